#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Dialogs that no ordinary client has, each on a connection of its own.

odd.py CASE SOURCE SERVER PORT
    The source has no tokens left; key "allowed" has. Prints one word per answer: a status and what
    its body is (ok: that of its request; problem: the 429's; none), "fin", "reset" or "hung" (3 s)
    at the end. Anything else that comes is printed as it is.
"""
import random
import re
import socket
import struct
import sys
import time

import dialog

HEAD = re.compile(rb"HTTP/1\.[01] (\d+) .*?\r\nContent-Length: (\d+)\r\n(?:.*?\r\n)?\r\n|"
                  rb"HTTP/1\.1 100 Continue\r\n\r\n", re.DOTALL)


class Talk:
    def __init__(self, source, server, port, own_port=0, receive_bytes=0):
        self.sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(3)
        self.sock.bind((source, own_port))
        self.sock.connect((server, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.have, self.words, self.ended = b"", [], False

    def send(self, data):
        self.sock.sendall(data)
        return self

    def more(self, slow=0.0):
        try:
            time.sleep(slow)
            data = self.sock.recv(65536)
        except socket.timeout:
            self.words.append("hung")
        except OSError:
            self.words.append("reset")
        else:
            self.have += data
            if data:
                return True
            self.words.append("fin")
        self.ended = True
        return False

    def hear(self, want=None, head=False, slow=0.0):
        """One answer; @want is the body of a 200."""
        while not self.ended and not HEAD.match(self.have):
            self.more(slow)
        match = HEAD.match(self.have)
        if not match:
            return self
        self.have = self.have[match.end():]
        if not match[1]:
            self.words.append("100")
            return self
        length = 0 if head else int(match[2])
        while not self.ended and len(self.have) < length:
            self.more(slow)
        body, self.have = self.have[:length], self.have[length:]
        kind = "none" if not body and not length else \
            "problem" if match[1] == b"429" and body.startswith(b'{"type":"https://iana') and \
            body.endswith(b'"status":429}') and length == 114 else \
            "ok" if match[1] != b"429" and body == (want if want is not None else b"ok\n") else \
            repr(body[:200])
        self.words.append(f"{match[1].decode()}:{kind}")
        return self

    def end(self):
        """What comes last."""
        if not self.ended:
            if self.more():
                self.words.append(repr(self.have[:300]))
        return self

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        return self.words


def ask(path="/", key=None, method="GET", headers="", pad=60):
    key = f"X-API-Key: {key}\r\n" if key else ""
    return (f"{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}{key}X-Pad: {'p' * pad}\r\n\r\n").encode()


def asked(talk, path="/id?id=after", want=b"after"):
    """The server still answers on the connection, and to the right request."""
    return talk.send(ask(path, "allowed")).hear(want)


def pipelined(*where):
    return Talk(*where).send(ask() * 3).hear().end().close()


def pipelined_allowed_first(*where):
    return Talk(*where).send(ask("/id?id=one", "allowed") + ask()).hear(b"one").hear().end().close()


def pipelined_behind_answers(*where):
    talk = asked(Talk(*where).send(ask()).hear())
    return talk.send(ask() * 3).hear().end().close()


def body_same_segment(*where):
    return asked(Talk(*where).send(ask("/upload", method="POST", headers="Content-Length: 5\r\n") +
                                   b"12345").hear()).close()


def body_later(*where):
    talk = Talk(*where).send(ask("/upload", method="POST", headers="Content-Length: 5\r\n"))
    time.sleep(0.05)
    talk.hear()
    try:
        talk.send(b"12345")
    except OSError:
        pass
    return talk.end().close()


def body_at_once(*where):
    """Head and body in two segments, none waited for."""
    talk = Talk(*where).send(ask("/upload", method="POST", headers="Content-Length: 5\r\n"))
    return talk.send(b"12345").hear().end().close()


def split_head(*where):
    whole = ask()
    talk = Talk(*where).send(whole[:20])
    time.sleep(0.05)
    return talk.send(whole[20:]).hear().end().close()


def split_head_live(*where):
    whole = ask()
    talk = asked(Talk(*where).send(ask()).hear())
    talk.send(whole[:20])
    time.sleep(0.05)
    return talk.send(whole[20:]).hear().end().close()


def in_flight(*where):
    """The next request comes while the response to the last is still under way, and the client's
    window is shut."""
    talk = Talk(*where, receive_bytes=1).send(ask("/large", "allowed"))
    time.sleep(0.3)
    talk.send(ask())
    talk.hear(dialog.large_bytes(0, dialog.LARGE_BYTES)).hear()
    return asked(talk).close()


def tiny_window(*where):
    talk = Talk(*where, receive_bytes=1)
    for _ in range(5):
        talk.send(ask()).hear()
        asked(talk, "/id?id=" + "w" * 1500, b"w" * 1500)
    return talk.close()


def plain(*where):
    talk = Talk(*where)
    for _ in range(3):
        talk.send(ask()).hear()
        asked(talk)
        talk.send(ask(method="HEAD")).hear(head=True)
        asked(talk)
    return talk.close()


def same_tuple(*where):
    """The same port again, right after a reset, a close by this side and one by the server."""
    port, words = random.randrange(20000, 60000), []
    for reset in (True, True, True):
        talk = Talk(*where, own_port=port)
        asked(talk.send(ask()).hear())
        words += talk.send(ask()).hear().close(reset)
    talk = Talk(*where, own_port=port)
    asked(talk.send(ask()).hear())
    words += talk.send(ask("/", "allowed", headers="Connection: close\r\n")).hear().end().close()
    talk = Talk(*where, own_port=port)
    words += asked(talk.send(ask()).hear()).close()
    return words


def same_tuple_closed(*where):
    """The same port again, after an answer that closed the connection."""
    port, words = random.randrange(20000, 60000), []
    for _ in range(3):
        talk = Talk(*where, own_port=port)
        words += talk.send(ask(headers="Connection: close\r\n")).hear().end().close()
        time.sleep(0.5)  # a FIN that is the answer's ACK too is sent twice, 0.2 s apart
    return words


def half_closed(*where):
    """The client ends its side with its request."""
    talk = Talk(*where).send(ask())
    talk.sock.shutdown(socket.SHUT_WR)
    return talk.hear().end().close()


def half_closed_live(*where):
    talk = asked(Talk(*where).send(ask()).hear())
    talk.send(ask())
    talk.sock.shutdown(socket.SHUT_WR)
    return talk.hear().end().close()


def idle_probe(*where):
    """Keep-alive probes on an answered connection are acked."""
    talk = Talk(*where)
    talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        talk.sock.setsockopt(socket.IPPROTO_TCP, name, value)
    talk.send(ask()).hear()
    time.sleep(5)
    return asked(talk).close()


def old_copy(*where):
    """The 429 is lost (by the wire), and a copy of an old segment has the server ack once more."""
    talk = asked(Talk(*where).send(ask()).hear())
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind(("client0", 0))
    wire.settimeout(3)
    number = struct.pack("!H", talk.sock.getsockname()[1])
    asked(talk)
    while True:  # the request that was allowed
        packet = wire.recv(65536)
        if b"/id?id=after" in packet and number in packet[34:58]:
            break
    print("ready", flush=True)  # the wire loses from here on
    sys.stdin.readline()
    talk.send(ask(pad=70))
    time.sleep(0.02)
    wire.send(packet)
    talk.hear()
    return asked(talk).close() if not talk.ended else talk.close()


def received(sock):
    """The next byte that the client wants of the server, as the client counts (tcp(7), repair)."""
    repair, queue, queue_seq, receive_queue, off_without_probe = 19, 20, 21, 1, -1
    sock.setsockopt(socket.IPPROTO_TCP, repair, 1)
    sock.setsockopt(socket.IPPROTO_TCP, queue, receive_queue)
    seq = sock.getsockopt(socket.IPPROTO_TCP, queue_seq) & 0xffffffff
    sock.setsockopt(socket.IPPROTO_TCP, repair, off_without_probe)
    return seq


def too_big(source, server, port, own_port, seq):
    """Tells the server that its segment @seq was too big for the way to the client (RFC 1191,
    RFC 4443 3.2)."""
    quoted = struct.pack("!HHIIHHHH", port, own_port, seq, 0, 0x5010, 0, 0, 0)
    if ":" in server:
        quoted = struct.pack("!IHBB16s16s", 6 << 28, 20, 6, 64, socket.inet_pton(socket.AF_INET6, server),
                             socket.inet_pton(socket.AF_INET6, source)) + quoted
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        message = struct.pack("!BBHI", 2, 0, 0, 1400) + quoted  # the kernel sums
    else:
        quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0x4000, 64, 6, 0, socket.inet_aton(server),
                             socket.inet_aton(source)) + quoted
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        message = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + quoted
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        total = (total & 0xffff) + (total >> 16)
        total = ~((total & 0xffff) + (total >> 16)) & 0xffff
        message = message[:2] + struct.pack("!H", total) + message[4:]
    raw.bind((source, 0))
    raw.sendto(message, (server, 0))
    raw.close()


def quoted_error(source, server, port, off=0):
    talk = Talk(source, server, port)
    talk.send(ask()).hear().send(ask()).hear()
    asked(talk)
    too_big(source, server, port, talk.sock.getsockname()[1], received(talk.sock) + off & 0xffffffff)
    asked(talk)
    return talk.close()


def quoted_error_astray(*where):
    return quoted_error(*where, off=1 << 20)


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1].startswith("_"):
        sys.exit(__doc__)
    print(*globals()[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4])))
