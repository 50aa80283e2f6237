#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""late.py DEVICE MS: sends what comes from DEVICE back to it, each packet up to MS milliseconds later,
so out of order."""
import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4

device, most = sys.argv[1], float(sys.argv[2]) / 1000
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
sock.bind((device, 0))
waiting, number = [], 0
while True:
    wait = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    if select.select([sock], [], [], wait)[0]:
        packet, where = sock.recvfrom(65536)
        if where[2] != PACKET_OUTGOING:
            number += 1
            heapq.heappush(waiting, (time.monotonic() + random.random() * most, number, packet))
    while waiting and waiting[0][0] <= time.monotonic():
        sock.send(heapq.heappop(waiting)[2])
