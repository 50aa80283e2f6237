#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A client that checks each byte of each answer against its request.

dialog.py SOURCE SERVER PORT CONNECTIONS SECONDS [PATIENCE]
    Keep-alive connections on which requests of the keys "allowed" and "limited" take turns at
    random, small and large, of any length, GET and HEAD. Each asks for what only it can get: an id
    (/id?id=...), or a range of the file /large, whose every eight bytes tell their place. Prints a
    JSON object: asked, ok, refused, bodyless, connections, closed (by a 429 that says so), and what
    must be 0: wrong (bytes, or an answer to somebody else), broken (connections), hung (no answer
    within PATIENCE seconds, 3 by default). Faults are told on standard error. SIGTERM ends it
    earlier.
dialog.py large FILE
    makes that file
"""
import json
import random
import re
import signal
import socket
import struct
import sys
import threading
import time

LARGE_BYTES = 4 << 20
RANGE_BYTES = 100_000
OK = re.compile(
    rb"HTTP/1\.1 (?P<status>200 OK|206 Partial Content)\r\nServer: nginx/[\d.]+\r\n"
    rb"Date: [A-Za-z0-9:, ]{25} GMT\r\nContent-Type: [a-z/-]+\r\nContent-Length: (?P<length>\d+)\r\n"
    rb"(?:Last-Modified: [A-Za-z0-9:, ]{25} GMT\r\n)?Connection: keep-alive\r\n"
    rb"(?:ETag: \"[0-9a-f-]+\"\r\n)?(?:Content-Range: bytes (?P<range>\d+-\d+)/\d+\r\n)?\r\n")
REFUSED = re.compile(
    rb"HTTP/1\.1 429 Too Many Requests\r\nServer: tps\r\nRetry-After: (?P<retry>\d+)\r\n"
    rb"RateLimit-Policy: \"(?P<policy>[a-z0-9-]+)\";q=\d+;w=\d+\r\n"
    rb"RateLimit: \"(?P=policy)\";r=0;t=(?P=retry)\r\n(?P<close>Connection: close\r\n)?"
    rb"Content-Length: (?P<length>0|114\r\nContent-Type: application/problem\+json)\r\n\r\n")
PROBLEM = (b'{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",'
           b'"title":"Too Many Requests","status":429}')
COUNTS = ("asked", "ok", "refused", "bodyless", "connections", "closed", "wrong", "broken", "hung")


def large_bytes(begin, end):
    """What /large has in [begin, end)."""
    text = b"".join(b"%07x\n" % number for number in range(begin // 8, (end + 7) // 8))
    return text[begin % 8:begin % 8 + end - begin]


class Fault(Exception):
    """@args: which count, and what happened."""


class Dialog:
    def __init__(self, number, source, server, port, end, patience):
        self.number, self.end, self.patience = number, end, patience
        self.where = (server, port), (source, 0)
        self.random = random.Random(number)
        self.count = dict.fromkeys(COUNTS, 0)
        self.sock, self.have, self.turn, self.local = None, b"", 0, 0
        self.faults = []

    def open(self):
        self.sock = socket.create_connection(self.where[0], self.patience, self.where[1])
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local, self.have = self.sock.getsockname()[1], b""
        self.count["connections"] += 1

    def close(self):
        self.sock.close()
        self.sock = None

    def resent(self):
        """Segments that were sent again so far (tcpi_total_retrans, linux/tcp.h)."""
        return struct.unpack_from("I", self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO,
                                                            104), 100)[0]

    def receive(self):
        try:
            more = self.sock.recv(1 << 18)
        except socket.timeout:
            raise Fault("hung", f"{self.patience} s after the request, had {self.have[:400]!r}") \
                from None
        except OSError as error:
            raise Fault("broken", f"{error}, had {self.have[:400]!r}") from None
        if not more:
            raise Fault("broken", f"end of file, had {self.have[:400]!r}")
        self.have += more

    def body(self, length):
        while len(self.have) < length:
            self.receive()
        body, self.have = self.have[:length], self.have[length:]
        return body

    def head(self):
        while b"\r\n\r\n" not in self.have:
            self.receive()
        head, _, self.have = self.have.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def refusal(self, match, method, key):
        if key != "allowed" and match:
            has_body = match["length"] != b"0" and method != "HEAD"
            body = self.body(len(PROBLEM)) if has_body else b""
            if body != (PROBLEM if has_body else b""):
                raise Fault("wrong", f"429's body {body!r}")
            self.count["refused"] += 1
            self.count["bodyless"] += not has_body
            return match["close"] is not None
        raise Fault("wrong", f"refused, though of key {key}")

    def answer(self, method, key, want, where):
        head = self.head()
        match = REFUSED.fullmatch(head)
        if match:
            return self.refusal(match, method, key)
        match = OK.fullmatch(head)
        if not match or (match["range"] or b"").decode() != where or \
                int(match["length"]) != len(want):
            raise Fault("wrong", f"head {head!r}, then {self.have[:200]!r}, wanted range {where!r}")
        body = self.body(len(want)) if method != "HEAD" else b""
        if method != "HEAD" and body != want:
            at = next(i for i, (a, b) in enumerate(zip(body, want)) if a != b)
            raise Fault("wrong", f"body differs at {at}: {body[at:at + 80]!r},"
                                 f" wanted {want[at:at + 80]!r}")
        self.count["ok"] += 1
        return False

    def ask(self):
        draw, self.turn = self.random, self.turn + 1
        key = draw.choice(("allowed", "limited"))
        method = "HEAD" if draw.random() < 0.1 else "GET"
        where, ranged = "", ""
        if draw.random() < 0.15:
            begin = draw.randrange(LARGE_BYTES - RANGE_BYTES)
            path, want = "/large", large_bytes(begin, begin + RANGE_BYTES)
            where = f"{begin}-{begin + RANGE_BYTES - 1}"
            ranged = f"Range: bytes={where}\r\n"
        else:
            name = f"{self.number}-{self.turn}-" + "x" * draw.randrange(200)
            path, want = f"/id?id={name}", name.encode()
        pad = f"X-Pad: {'p' * draw.randrange(600)}\r\n" if draw.random() < 0.5 else ""
        request = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{ranged}{pad}X-API-Key: {key}\r\n\r\n"
        self.count["asked"] += 1
        resent = self.resent()
        try:
            self.sock.sendall(request.encode())
            closes = self.answer(method, key, want, where)
            if self.have:
                raise Fault("wrong", f"behind the answer: {self.have[:400]!r}")
            if closes:
                self.ends()
        except OSError as error:
            raise Fault("broken", str(error)) from None
        except Fault as fault:
            raise Fault(fault.args[0], f"{fault.args[1]}; sent again {self.resent() - resent} times;"
                                       f" asked {request[:160]!r}") from None

    def ends(self):
        """The answer said that it is the connection's last."""
        try:
            rest = self.sock.recv(1000)
        except socket.timeout:
            raise Fault("hung", "no end of file behind Connection: close") from None
        if rest:
            raise Fault("wrong", f"behind Connection: close: {rest!r}")
        self.count["closed"] += 1
        self.close()

    def run(self):
        while time.monotonic() < self.end:
            try:
                if not self.sock:
                    self.open()
                self.ask()
            except Fault as fault:
                self.count[fault.args[0]] += 1
                self.faults.append(f"{time.time():.6f} port {self.local} turn {self.turn}"
                                   f" {fault.args[0]}: {fault.args[1]}")
                self.close()
            except OSError as error:
                self.count["broken"] += 1
                self.faults.append(f"{time.time():.6f} connect: {error}")
                time.sleep(0.1)
        if self.sock:
            self.close()


def main(source, server, port, connections, seconds, patience=3.0):
    end = time.monotonic() + seconds
    dialogs = [Dialog(number, source, server, port, end, patience)
               for number in range(connections)]


    def stop(*_):
        for dialog in dialogs:
            dialog.end = 0

    signal.signal(signal.SIGTERM, stop)
    threads = [threading.Thread(target=dialog.run) for dialog in dialogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in sorted(sum((dialog.faults for dialog in dialogs), []))[:20]:
        print(fault, file=sys.stderr)
    print(json.dumps({name: sum(dialog.count[name] for dialog in dialogs) for name in COUNTS}))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "large":
        with open(sys.argv[2], "wb") as file:
            file.write(large_bytes(0, LARGE_BYTES))
    elif len(sys.argv) in (6, 7):
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), *map(float, sys.argv[5:]))
    else:
        sys.exit(__doc__)
