#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What tshark reads in hellos. Knows TCP and records; no field of a hello.

tshark.py records|segments BYTES FILE...
    records: the message of each hello once more, in records of BYTES each, in one segment.
    segments: the records that were sent, in segments of BYTES each.
    Prints a line for each file, "FILE NAME", sorted, the name in lower case: "FILE -" where the hello
    has none, "FILE ?" where tshark finds no hello.
"""
import os
import subprocess
import sys
import tempfile

from scapy.all import IP, TCP, Ether, wrpcap

CLIENT, SERVER = "192.0.2.1", "198.51.100.1"
LINK = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
FIRST_PORT = 10000


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def recorded(hello, size):
    """The message in records of @size bytes, with the version of its own first one."""
    at, message = 0, b""
    while at < len(hello):
        end = at + 5 + int.from_bytes(hello[at + 3:at + 5], "big")
        message += hello[at + 5:end]
        at = end
    return b"".join(hello[:3] + len(part).to_bytes(2, "big") + part for part in pieces(message, size))


def stream(port, segments):
    """A connection's packets: the handshake of TCP, and the segments."""
    sent = IP(src=CLIENT, dst=SERVER) / TCP(sport=port, dport=443)
    back = IP(src=SERVER, dst=CLIENT) / TCP(sport=443, dport=port)
    sent[TCP].flags, sent[TCP].seq = "S", 0
    yield sent.copy()
    back[TCP].flags, back[TCP].ack = "SA", 1
    yield back
    sent[TCP].flags, sent[TCP].seq, sent[TCP].ack = "PA", 1, 1
    for segment in segments:
        yield sent / segment
        sent[TCP].seq += len(segment)


def main():
    how, size, paths = sys.argv[1], int(sys.argv[2]), sorted(sys.argv[3:])
    packets = []
    for number, path in enumerate(paths):
        with open(path, "rb") as file:
            hello = file.read()
        segments = [recorded(hello, size)] if how == "records" else pieces(hello, size)
        packets += [LINK / packet for packet in stream(FIRST_PORT + number, segments)]
    with tempfile.NamedTemporaryFile(suffix=".pcap") as capture:
        wrpcap(capture.name, packets)
        read = subprocess.run(
            ["tshark", "-r", capture.name, "-d", "tcp.port==443,tls", "-o",
             "tcp.desegment_tcp_streams:true", "-o", "tls.desegment_ssl_records:true",
             "-Y", "tls.handshake.type == 1", "-T", "fields", "-e", "tcp.srcport",
             "-e", "tls.handshake.extensions_server_name"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    names = dict(line.split("\t") for line in read.splitlines())
    for number, path in enumerate(paths):
        name = names.get(str(FIRST_PORT + number), "?")
        print(os.path.basename(path), name.lower() or "-")


main()
