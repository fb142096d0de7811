"""A bad network between the two ends: relay.py LISTEN TO [--seed N] [--lose P] ...

Forwards UDP datagrams to TO (HOST,PORT), and what comes back to whoever sent last from each address.
Each datagram, in each direction, is lost, sent twice, damaged or held back with the given
probability; --jitter holds each one for a random time, so that they overtake each other. The same
seed decides the same way for the same order of datagrams. Ends when standard input does, and then
prints how many it treated how, as JSON.
"""

import argparse
import heapq
import json
import random
import select
import socket
import sys
import time

HELD_MAX = 4096  # datagrams; more are dropped, as a router's queue would


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("listen")
    parser.add_argument("to")
    parser.add_argument("--seed", type=int, default=1)
    for name in ("lose", "twice", "damage", "hold"):
        parser.add_argument(f"--{name}", type=float, default=0)
    parser.add_argument("--hold-ms", type=float, default=20)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0)
    return parser.parse_args()


def place(text):
    host, port = text.rsplit(",", 1)
    return host, int(port)


def udp_socket(host):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setblocking(False)
    return s


class Relay:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.counts = dict.fromkeys(("forwarded", "lost", "twice", "damaged", "held", "overflowed"), 0)
        self.held, self.number = [], 0
        self.to = place(options.to)
        self.front = udp_socket(self.to[0])
        self.front.bind(place(options.listen))
        self.backs, self.clients = {}, {}  # by client address; by back socket

    def back_of(self, client):
        if client not in self.backs:
            s = self.backs[client] = udp_socket(self.to[0])
            s.connect(self.to)
            self.clients[s] = client
        return self.backs[client]

    def chance(self, name, counter):
        if self.random.random() >= getattr(self.options, name):
            return False
        self.counts[counter] += 1
        return True

    def treat(self, data, out):
        if self.chance("lose", "lost"):
            return
        if self.chance("damage", "damaged"):
            data = bytearray(data)
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        for _ in range(2 if self.chance("twice", "twice") else 1):
            wait_ms = self.options.delay_ms + self.random.random() * self.options.jitter_ms
            if self.chance("hold", "held"):
                wait_ms += self.options.hold_ms
            if wait_ms == 0:
                self.send(out, data)
            elif len(self.held) < HELD_MAX:
                self.number += 1
                heapq.heappush(self.held, (time.monotonic() + wait_ms / 1000, self.number, out, bytes(data)))
            else:
                self.counts["overflowed"] += 1

    def send(self, out, data):
        self.counts["forwarded"] += 1
        try:
            if isinstance(out, tuple):
                self.front.sendto(data, out)
            else:
                out.send(data)
        except OSError:  # nobody listens there now, or the buffer is full: lost
            pass

    def take(self, s):
        for _ in range(64):
            try:
                data, client = s.recvfrom(65536)
            except OSError:
                return
            self.treat(data, self.back_of(client) if s is self.front else self.clients[s])

    def serve(self):
        while True:
            wait = max(0, self.held[0][0] - time.monotonic()) if self.held else None
            ready, _, _ = select.select([sys.stdin, self.front, *self.clients], [], [], wait)
            if sys.stdin in ready:
                return
            for s in ready:
                self.take(s)
            while self.held and self.held[0][0] <= time.monotonic():
                _, _, out, data = heapq.heappop(self.held)
                self.send(out, data)


if __name__ == "__main__":
    relay = Relay(arguments())
    print("ready", flush=True)
    relay.serve()
    print(json.dumps(relay.counts))
