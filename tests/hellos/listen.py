#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Stores the ClientHello that a command sends. Knows records and the message's length; no field of it.

listen.py FILE PORT SECONDS COMMAND...
    Listens on 127.0.0.1:PORT, runs the command, writes the records of the first hello that is whole,
    and nothing behind them, to FILE, closes and kills the command. Exit status 1: none came in time.
"""
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

HANDSHAKE = 22
CLIENT_HELLO = 1


def hello_bytes(stream):
    """How many bytes of the stream are the records that hold its hello; 0: not there yet."""
    at, message = 0, b""
    while len(stream) >= at + 5:
        if stream[at] != HANDSHAKE:
            raise ValueError(f"record of type {stream[at]} at byte {at}: expected {HANDSHAKE}")
        end = at + 5 + int.from_bytes(stream[at + 3:at + 5], "big")
        if len(stream) < end:
            break
        message += stream[at + 5:end]
        at = end
        if message[0] != CLIENT_HELLO:
            raise ValueError(f"message of type {message[0]}: expected {CLIENT_HELLO}")
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return at
    return 0


def first_hello(server, seconds):
    """A client may open more connections than the one on which it speaks first."""
    streams, end = {}, time.monotonic() + seconds
    with selectors.DefaultSelector() as ready:
        ready.register(server, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                if key.fileobj is server:
                    peer = server.accept()[0]
                    streams[peer] = b""
                    ready.register(peer, selectors.EVENT_READ)
                    continue
                try:
                    some = key.fileobj.recv(65536)
                except ConnectionResetError:
                    some = b""
                if not some:
                    ready.unregister(key.fileobj)
                    continue
                streams[key.fileobj] += some
                if count := hello_bytes(streams[key.fileobj]):
                    return streams[key.fileobj][:count]
    return None


def main():
    path, port, seconds, command = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    with socket.create_server(("127.0.0.1", port)) as server:
        client = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            hello = first_hello(server, seconds)
        finally:
            os.killpg(client.pid, signal.SIGKILL)
            client.wait()
    if hello is None:
        sys.exit(1)
    with open(path, "wb") as file:
        file.write(hello)


main()
