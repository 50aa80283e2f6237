#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs a command on a terminal of its own and plays a script on it, a step an argument:
  key:TEXT           typed
  size:COLUMNSxLINES the terminal is resized
  signal:NAME        sent to the command
  see:TEXT           waits until the screen shows it (5 s)
  gone:TEXT          waits until it does not
  print              the screen as it stands
At the end the command must have ended by itself, with the terminal as it was found: its settings,
the screen that it began with, and the cursor to be seen. Prints the command's status.

usage: screen.py COLUMNSxLINES STEP... -- COMMAND...
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pyte

WAIT_S = 5


def size_set(fd, size):
    columns, lines = (int(n) for n in size.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return columns, lines


class Terminal:
    def __init__(self, size, command):
        self.bytes = b""
        self.master, self.slave = pty.openpty()
        columns, lines = size_set(self.slave, size)
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.found = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvp(command[0], command)

    def read(self, seconds):
        """What came within the time."""
        if not select.select([self.master], [], [], seconds)[0]:
            return
        got = os.read(self.master, 65536)
        self.bytes += got
        self.stream.feed(got)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, shown, text):
        end = time.monotonic() + WAIT_S
        while (text in self.text()) != shown:
            if time.monotonic() > end:
                sys.exit(f"{'not seen' if shown else 'still seen'}: {text!r} on\n{self.text()}")
            self.read(0.05)

    def step(self, step):
        verb, _, argument = step.partition(":")
        if verb == "key":
            os.write(self.master, argument.encode())
        elif verb == "size":
            self.screen.resize(*reversed(size_set(self.slave, argument)))
            os.kill(self.pid, signal.SIGWINCH)
        elif verb == "signal":
            os.kill(self.pid, getattr(signal, argument))
        elif verb in ("see", "gone"):
            self.wait(verb == "see", argument)
        elif verb == "print":
            self.read(0.2)
            print(self.text())
        else:
            sys.exit(f"step {step!r}: unknown")

    def end(self):
        """Its status. It must end within the time."""
        end = time.monotonic() + WAIT_S
        while True:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                sys.exit("it does not end")
        self.read(0.1)
        return status


def check_given_back(terminal):
    if termios.tcgetattr(terminal.slave) != terminal.found:
        sys.exit("the terminal's settings are not what they were")
    for on, off, what in (
        (rb"\x1b\[\?1049h", rb"\x1b\[\?1049l", "the screen"),
        (rb"\x1b\[\?25l", rb"\x1b\[\?25h", "the cursor"),
    ):
        switches = re.findall(on + b"|" + off, terminal.bytes)
        if not switches:
            sys.exit(f"{what} was never taken: is this the terminal that was meant?")
        if re.fullmatch(on, switches[-1]):
            sys.exit(f"{what} was not given back")


def main():
    split = sys.argv.index("--")
    size, steps, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
    terminal = Terminal(size, command)
    try:
        for step in steps:
            terminal.step(step)
        status = terminal.end()
    finally:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    check_given_back(terminal)
    print("coloured" if re.search(rb"\x1b\[[0-9;]*31", terminal.bytes) else "plain")
    if os.WIFSIGNALED(status):
        print("signal", os.WTERMSIG(status))
    else:
        print("status", os.WEXITSTATUS(status))


main()
