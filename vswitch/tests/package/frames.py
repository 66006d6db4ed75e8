"""Sends frames out of one interface until one arrives at another: `frames.py FROM TO`.

Both are ends of ports of one bridge, in this network namespace. Packet sockets, because the kernel would not send
between two of its own addresses by way of the switch.
"""

import select
import socket
import sys
import time

ETH_P_ALL = 0x0003
EXPERIMENTAL = b"\x88\xb5"
DEADLINE = time.monotonic() + 60

outgoing, incoming = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) for _ in range(2))
outgoing.bind((sys.argv[1], 0))
incoming.bind((sys.argv[2], 0))
mark = sys.argv[1].encode() + b" to " + sys.argv[2].encode() + b" %d" % time.monotonic_ns()
frame = (b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + EXPERIMENTAL + mark).ljust(60, b"\0")
while time.monotonic() < DEADLINE:
    outgoing.send(frame)
    while select.select([incoming], [], [], 0.1)[0]:
        if mark in incoming.recv(2048):
            sys.exit(0)
sys.exit(f"no frame from {sys.argv[1]} came to {sys.argv[2]}")
