#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Clients of Python's: each asks COUNT times with the key, and prints one word per answer: its status,
and "torn" when a 429 is not whole.

clients.py http URL SOURCE KEY COUNT      http.client, one connection; prints connects=N last
clients.py urllib URL SOURCE KEY COUNT    urllib, a connection each
clients.py requests URL SOURCE KEY COUNT  requests with a session
"""
import http.client
import json
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request


def word(status, headers, body):
    if status != 429:
        return status
    whole = (headers["Server"] == "tps" and int(headers["Retry-After"]) > 0 and
             headers["RateLimit"] and json.loads(body or b'{"status": 429}')["status"] == 429)
    return status if whole else "torn"


def over_http(url, source, key, count):
    where, connects, words = urllib.parse.urlsplit(url), 0, []
    client = http.client.HTTPConnection(where.hostname, where.port, timeout=3,
                                        source_address=(source, 0))
    for _ in range(count):
        if not client.sock:
            client.connect()
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connects += 1
        client.request("GET", where.path, headers={"X-API-Key": key})
        answer = client.getresponse()
        words.append(word(answer.status, answer.headers, answer.read()))
    return words + [f"connects={connects}"]


class Bound(urllib.request.HTTPHandler):
    """Connects from @source."""

    def __init__(self, source):
        super().__init__()
        self.source = source

    def http_open(self, request):
        return self.do_open(http.client.HTTPConnection, request, source_address=(self.source, 0))


def over_urllib(url, source, key, count):
    words, opener = [], urllib.request.build_opener(Bound(source))
    for _ in range(count):
        try:
            with opener.open(urllib.request.Request(url, headers={"X-API-Key": key}),
                             timeout=3) as answer:
                words.append(word(answer.status, answer.headers, answer.read()))
        except urllib.error.HTTPError as error:
            words.append(word(error.code, error.headers, error.read()))
    return words


def over_requests(url, source, key, count):
    import requests
    from requests.adapters import HTTPAdapter

    class Source(HTTPAdapter):
        def init_poolmanager(self, *args, **kwargs):
            super().init_poolmanager(*args, source_address=(source, 0), **kwargs)

    session, words = requests.Session(), []
    session.mount("http://", Source())
    for _ in range(count):
        answer = session.get(url, headers={"X-API-Key": key}, timeout=3)
        words.append(word(answer.status_code, answer.headers, answer.content))
    return words


if __name__ == "__main__":
    ways = {"http": over_http, "urllib": over_urllib, "requests": over_requests}
    if len(sys.argv) != 6 or sys.argv[1] not in ways:
        sys.exit(__doc__)
    print(*ways[sys.argv[1]](*sys.argv[2:5], int(sys.argv[5])))
