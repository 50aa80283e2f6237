#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Just enough of WebSocket (RFC 6455) for a connection that lives through an Upgrade.

websocket.py serve PORT
    echoes frames on 127.0.0.1
websocket.py talk SOURCE SERVER PORT FRAMES SECONDS
    upgrades, then sends FRAMES over SECONDS and wants each back; prints how many came
"""
import base64
import hashlib
import os
import socket
import socketserver
import struct
import sys
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_head(stream):
    lines = []
    while (line := stream.readline().strip()):
        lines.append(line.decode())
    return lines[0], {n.lower(): v.strip() for n, v in (l.split(":", 1) for l in lines[1:])}


def write_frame(sock, payload, masked):
    """One binary frame of at most 64 KiB."""
    mask = os.urandom(4) if masked else b""
    bit = 0x80 if masked else 0
    head = b"\x82" + (bytes([bit | len(payload)]) if len(payload) < 126
                      else struct.pack("!BH", bit | 126, len(payload)))
    if masked:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    sock.sendall(head + mask + payload)


def read_frame(stream):
    first = stream.read(2)
    if len(first) < 2:
        return None
    size = first[1] & 0x7f
    if size == 126:
        (size,) = struct.unpack("!H", stream.read(2))
    mask = stream.read(4) if first[1] & 0x80 else None
    payload = stream.read(size)
    return payload if not mask else bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        _, headers = read_head(self.rfile)
        token = hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest()
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                         + base64.b64encode(token) + b"\r\n\r\n")
        while (payload := read_frame(self.rfile)) is not None:
            write_frame(self.request, payload, masked=False)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def talk(source, server, port, frames, seconds):
    sock = socket.create_connection((server, port), timeout=10, source_address=(source, 0))
    stream = sock.makefile("rb")
    sock.sendall(b"GET /socket HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                 + base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
    status, _ = read_head(stream)
    if " 101 " not in status:
        sys.exit(f"websocket: wanted 101, got '{status}'")
    print("upgraded", flush=True)
    echoed = 0
    for number in range(frames):
        payload = b"frame %d " % number * 20
        write_frame(sock, payload, masked=True)
        echoed += read_frame(stream) == payload
        time.sleep(seconds / frames)
    print(echoed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        Server(("127.0.0.1", int(sys.argv[2])), Echo).serve_forever()
    elif sys.argv[1:2] == ["talk"] and len(sys.argv) == 7:
        talk(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
    else:
        sys.exit(__doc__)
