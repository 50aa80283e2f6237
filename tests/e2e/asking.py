#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Requests that no command-line client makes, and the server that reads long ones.

asking.py keepalive SOURCE SERVER PORT CONNECTIONS PER_SECOND SECONDS
    each connection asks again and again; prints asked and answered
asking.py keys SOURCE SERVER PORT COUNT
    COUNT requests on one connection, each with a random key; prints answered
asking.py upload SOURCE SERVER PORT MEBIBYTES [chunked]
    one body, its length given or in chunks; prints the bytes that the server read
asking.py read PORT
    serves uploads on 127.0.0.1: reads a body to its end, then answers with its length
"""
import http.client
import os
import re
import socket
import socketserver
import sys
import threading
import time


def connect(source, server, port):
    sock = socket.create_connection((server, port), timeout=10, source_address=(source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def keepalive(source, server, port, connections, per_second, seconds):
    end = time.monotonic() + seconds
    asked, answered = [0] * connections, [0] * connections

    def run(number):
        client = http.client.HTTPConnection(server, port, timeout=10)
        client.sock = connect(source, server, port)
        client.auto_open = 0  # a connection that breaks is an error, not a new connection
        while time.monotonic() < end:
            asked[number] += 1
            client.request("GET", "/")
            answered[number] += client.getresponse().read() == b"ok\n"
            time.sleep(connections / per_second)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(asked), sum(answered))


def keys(source, server, port, count):
    sock = connect(source, server, port)
    answered, seen, ended = 0, b"", re.compile(rb"\r\n\r\nok\n")
    for number in range(count):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nX-API-Key: %s\r\n\r\n"
                     % os.urandom(16).hex().encode())
        # At most 40 answers are under way, so that neither side waits for the other.
        while number - answered > 40 or (number == count - 1 and answered < count):
            seen += sock.recv(65536)
            answered += len(ended.findall(seen))
            seen = seen[seen.rfind(b"ok\n") + 3:] if b"ok\n" in seen else seen
    print(answered)


def upload(source, server, port, mebibytes, chunked=False):
    block = bytes(range(256)) * 4096
    client = http.client.HTTPConnection(server, port, timeout=60)
    client.sock = connect(source, server, port)
    client.request("POST", "/upload", body=(block for _ in range(mebibytes)),
                   headers={} if chunked else {"Content-Length": str(len(block) * mebibytes)},
                   encode_chunked=chunked)
    print(client.getresponse().read().decode())


class Reader(socketserver.StreamRequestHandler):
    def skip(self, length):
        """How much of the next bytes there was."""
        read = 0
        while read < length and (block := self.rfile.read1(min(length - read, 1 << 20))):
            read += len(block)
        return read

    def handle(self):
        length, read = 0, 0
        while (line := self.rfile.readline().strip().lower()):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            if line == b"transfer-encoding: chunked":
                length = None
        if length is not None:
            read = self.skip(length)
        else:
            while (chunk := int(self.rfile.readline(), 16)):
                read += self.skip(chunk)
                self.rfile.readline()
            self.rfile.readline()
        body = b"%d" % read
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                         % (len(body), body))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    verb, arguments = sys.argv[1:2], sys.argv[2:]
    if verb == ["keepalive"] and len(arguments) == 6:
        keepalive(*arguments[:2], *map(int, arguments[2:5]), float(arguments[5]))
    elif verb == ["keys"] and len(arguments) == 4:
        keys(*arguments[:2], *map(int, arguments[2:]))
    elif verb == ["upload"] and (len(arguments) == 4 or arguments[4:] == ["chunked"]):
        upload(*arguments[:2], *map(int, arguments[2:4]), chunked=len(arguments) == 5)
    elif verb == ["read"] and len(arguments) == 1:
        Server(("127.0.0.1", int(arguments[0])), Reader).serve_forever()
    else:
        sys.exit(__doc__)
