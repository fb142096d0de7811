"""Traffic between namespaces: pings, streams whose content is compared, datagrams."""

import contextlib
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import threading
import time

import wait
from lab import Job
from packets import checksum

CHUNK = 1 << 18


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ping(source, address, count=5, size=56, interval=0.02, patience=5):
    """How many of `count` pings came back within `patience` after the last. (ping(8) does not wait: once
    something came back, it gives the last one twice the usual time, which a busy machine may exceed.)"""
    v4 = ":" not in address
    request, reply = (8, 0) if v4 else (128, 129)
    protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
    mark, pace, came = os.urandom(2), wait.Pace(1 / interval), set()
    with source.socket(family_of(address), socket.SOCK_RAW, protocol) as s:

        def collect(seconds):
            end = time.monotonic() + seconds  # others' messages may come without end
            while select.select([s], [], [], max(0, end - time.monotonic()))[0]:
                data = s.recv(1 << 17)
                data = data[(data[0] & 15) * 4 :] if v4 else data
                if data[:1] == bytes([reply]) and data[4:6] == mark and data[8:] == bytes(size):
                    came.add(data[6:8])

        for number in range(count):
            packet = struct.pack("!BBH2sH", request, 0, 0, mark, number) + bytes(size)
            if v4:
                packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
            with contextlib.suppress(OSError):  # no route, no buffer: it does not come back
                s.sendto(packet, (address, 0))
            pace.spent(1)
            collect(0)
        end = time.monotonic() + patience
        while len(came) < count and time.monotonic() < end:
            collect(0.05)
    return len(came)


def answers(source, address, size=56):
    """Whether one ping comes back soon: a condition for wait.until."""
    return ping(source, address, 1, size, patience=1) == 1


def ping_both_ways(lab, count=5, size=56):
    for a, b in ((lab.client, lab.server), (lab.server, lab.client)):
        for family in (4, 6):
            assert ping(a, b.inner(family), count, size) == count, f"{a.name} to {b.inner(family)}, {size} bytes"


class Transfer:
    """A TCP stream of pseudo-random bytes. It runs until `size` bytes are sent or stop() is called;
    finish() compares what was sent with what came."""

    PORTS = iter(range(20000, 60000))

    def __init__(self, sender, receiver, address, size=None, rate=0, port=None):
        self.port = port or next(self.PORTS)
        self.received = self.sent = 0
        self.size, self.pace = size, wait.Pace(rate)
        self.stopped = threading.Event()
        self.digests = {}
        listener = receiver.socket(family_of(address), socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, self.port))
        listener.listen(1)
        listener.settimeout(60)
        self.jobs = [
            Job(self._receive, listener),
            Job(self._send, sender.socket(family_of(address), socket.SOCK_STREAM), address),
        ]

    def _send(self, s, address):
        digest, number = hashlib.sha256(), 0
        with s:
            s.settimeout(60)
            s.connect((address, self.port))
            while not self.stopped.is_set() and (self.size is None or self.sent < self.size):
                chunk = hashlib.shake_128(b"%d" % number).digest(CHUNK)
                if self.size is not None:
                    chunk = chunk[: self.size - self.sent]
                s.sendall(chunk)
                digest.update(chunk)
                number += 1
                self.sent += len(chunk)
                self.pace.spent(len(chunk))
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1) == b"", "the receiver has got the end"
        self.digests["sent"] = digest.hexdigest()

    def _receive(self, listener):
        digest = hashlib.sha256()
        with listener:
            s, _ = listener.accept()
        with s:
            s.settimeout(60)
            while data := s.recv(CHUNK):
                digest.update(data)
                self.received += len(data)
        self.digests["received"] = digest.hexdigest()

    def wait_for(self, count, seconds=60):
        """Until `count` more bytes have come."""
        goal = self.received + count

        def has_come():
            for job in self.jobs:
                if job.error:
                    raise job.error
            return self.received >= goal

        wait.until(has_come, f"{count} more bytes (of {self.received})", seconds)

    def stop(self):
        self.stopped.set()
        self.finish()

    def finish(self, seconds=90):
        for job in self.jobs:
            job.result(seconds)
        assert self.digests["sent"] == self.digests["received"], "the content is another"
        assert self.sent == self.received


def transfer(sender, receiver, address, size, seconds=90):
    """`size` bytes at once, compared."""
    Transfer(sender, receiver, address, size).finish(seconds)


def udp_echo(source, target, address, payloads, port=19999, seconds=20):
    """Sends datagrams one after another, each echoed by the other end; all have to come back equal."""
    with target.socket(family_of(address), socket.SOCK_DGRAM) as there, source.socket(
        family_of(address), socket.SOCK_DGRAM
    ) as here:
        there.bind((address, port))
        here.connect((address, port))
        for payload in payloads:
            here.send(payload)
            assert select.select([there], [], [], seconds)[0], f"{len(payload)} bytes did not arrive"
            data, sender = there.recvfrom(65536)
            assert data == payload
            there.sendto(data, sender)
            assert select.select([here], [], [], seconds)[0], f"{len(payload)} bytes did not come back"
            assert here.recv(65536) == payload


def iperf(source, target, address, *options, seconds=2):
    """An iperf3 run; returns its result's `end`."""
    server = subprocess.Popen(
        target.command("iperf3", "-s", "-1", "-B", address, "--forceflush"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert any("Server listening" in line for line in server.stdout), "iperf3 listens"
        done = source.run("iperf3", "-c", address, "-t", seconds, "--json", *options, seconds=seconds + 60)
        return json.loads(done.stdout)["end"]
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


class Flood:
    """Datagrams from one end that nobody answers. A context manager: it runs inside."""

    def __init__(self, source, address, rate, size=1200, port=19998):
        self.address, self.payload, self.pace = (address, port), bytes(size), wait.Pace(rate)
        self.socket = source.socket(family_of(address), socket.SOCK_DGRAM)
        self.stopped = threading.Event()

    def _run(self):
        while not self.stopped.is_set():
            try:
                self.socket.sendto(self.payload, self.address)
            except OSError:  # full, or told that nobody listens
                pass
            self.pace.spent(len(self.payload))

    def __enter__(self):
        self.job = Job(self._run)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.job.result()
        self.socket.close()
