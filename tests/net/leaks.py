"""What leaves a client past its tunnel: a crowd of senders that all try, and a look at every frame on the outer wire."""

import contextlib
import ipaddress
import re
import socket
import struct
import subprocess
import threading
import time

import wait
from lab import Job
from packets import checksum, ipv4, ipv6, udp

# An address of each family that is outside for everybody: in the middle, behind no tunnel.
FAR = {4: "10.9.9.9", 6: "fd09::9"}
SO_BINDTODEVICE = 25
IPV6_HDRINCL = 36


def name_of(frame):
    """What an Ethernet frame is to somebody who looks for leaks: None if it may leave any host (ARP, neighbour discovery,
    MLD, DHCP), else protocol, target, and port or type."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    packet = frame[14:]
    if kind == 0x0806:
        return None
    if kind == 0x0800:
        protocol, target, hops, body = packet[9], packet[16:20], 0, packet[(packet[0] & 15) * 4 :]
        if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
            return f"fragment {ipaddress.ip_address(target)}"
    elif kind == 0x86DD:
        protocol, hops, target, body = packet[6], packet[7], packet[24:40], packet[40:]
        if protocol == 0:  # hop by hop: MLD has it
            protocol, body = body[0], body[8 * (body[1] + 1) :]
    else:
        return f"ethertype {kind:#x}"
    to = ipaddress.ip_address(target)
    if protocol == 17:
        ports = struct.unpack_from("!HH", body)
        return None if ports in ((68, 67), (546, 547)) else f"udp {to} {ports[1]}"
    if protocol == 6:
        return f"tcp {to} {struct.unpack_from('!H', body, 2)[0]}"
    if protocol == 58 and (hops == 255 and 133 <= body[0] <= 136 or hops == 1 and body[0] in (130, 131, 132, 143)):
        return None
    return f"icmp {to} {body[0]}" if protocol in (1, 58) else f"protocol {protocol} {to}"


def echo(family):
    """An echo request; the kernel fills in the checksum of ICMPv6."""
    packet = struct.pack("!BBHHH", 8 if family == 4 else 128, 0, 0, 1, 1)
    return packet if family == 6 else packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]


class Crowd:
    """Senders of a client, of a host behind it, and others that provoke an answer from it. `expected`: what the wire
    shows of them while nothing holds them back. A context manager: they send inside."""

    def __init__(self, lab, behind):
        self.client, self.middle, self.behind = lab.client, lab.middle, behind
        self.stopped, self.rounds = threading.Event(), 0
        self.expected, self.sources = set(), []
        self.closing = contextlib.ExitStack()
        for family in (4, 6):
            self._add_family(family, lab.server.outer(family))
        self._add_provoked()
        self._add_stream()
        self.hurried = self._socket(self.client, socket.AF_INET, socket.SOCK_DGRAM, device="eth0")
        self.expected.add(f"udp {FAR[4]} 5009")

    def _socket(self, host, *arguments, device=None):
        s = self.closing.enter_context(host.socket(*arguments))
        s.setblocking(False)
        if device:
            s.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        return s

    def _add(self, name, send):
        if name:
            self.expected.add(name)
        self.sources.append(send)

    def _add_datagrams(self, host, to, port, device=None):
        s = self._socket(host, socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM, device=device)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._add(f"udp {to} {port}", lambda: s.sendto(b"leak", (to, port)))

    def _add_connects(self, host, to, port):
        family = socket.AF_INET6 if ":" in to else socket.AF_INET

        def connect():
            with host.socket(family, socket.SOCK_STREAM) as s:
                s.setblocking(False)
                s.connect((to, port))

        self._add(f"tcp {to} {port}", connect)

    def _add_family(self, family, server):
        af = socket.AF_INET if family == 4 else socket.AF_INET6
        far, near = FAR[family], "10.1.2.1" if family == 4 else "fd01:2::1"
        for to, port in ((far, 5001), (far, 53), (near, 53), (near, 5002), (server, 5003)):
            self._add_datagrams(self.client, to, port)
        self._add_datagrams(self.client, far, 5004, device="eth0")
        group = "224.0.0.251" if family == 4 else "ff02::fb"
        self._add_datagrams(self.client, group, 5353, device="eth0")
        self._add_connects(self.client, far, 80)
        self._add_datagrams(self.behind, far, 5005)
        self._add_connects(self.behind, far, 82)
        icmp = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        ping = self._socket(self.client, af, socket.SOCK_RAW, icmp)
        self._add(f"icmp {far} {8 if family == 4 else 128}", lambda: ping.sendto(echo(family), (far, 0)))
        # A whole packet made by hand, as a program of root's could send it by the outer device.
        raw = self._socket(self.client, af, socket.SOCK_RAW, socket.IPPROTO_RAW, device="eth0")
        here = self.client.outer(family)
        payload = udp(here, far, 5006, 5006, b"leak")
        packet = ipv4(here, far, 17, payload) if family == 4 else ipv6(here, far, 17, payload)
        if family == 6:
            raw.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        self._add(f"udp {far} 5006", lambda: raw.sendto(packet, (far, 0)))

    def _add_provoked(self):
        """From outside: pings, a datagram to a closed port, a SYN to one. The answers are the client's."""
        self._add_datagrams(self.client, "255.255.255.255", 5007, device="eth0")
        for family, near in ((4, "10.1.2.1"), (6, "fd01:2::1")):
            af = socket.AF_INET if family == 4 else socket.AF_INET6
            s = self._socket(self.middle, af, socket.SOCK_RAW, socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6)
            here = self.client.outer(family)
            self._add(f"icmp {near} {0 if family == 4 else 129}", lambda s=s, h=here, f=family: s.sendto(echo(f), (h, 0)))
            d = self._socket(self.middle, af, socket.SOCK_DGRAM)
            self._add(f"icmp {near} {3 if family == 4 else 1}", lambda d=d, h=here: d.sendto(b"?", (h, 9)))

            def knock(af=af, near=near, here=here):
                with self.middle.socket(af, socket.SOCK_STREAM) as t:
                    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    t.setblocking(False)
                    t.bind((near, 5008))
                    t.connect((here, 9))

            self._add(f"tcp {near} 5008", knock)

    def _add_stream(self):
        """A connection from before."""
        with self.middle.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind((FAR[4], 81))
            listener.listen()
            s = self._socket(self.client, socket.AF_INET, socket.SOCK_STREAM)
            s.settimeout(20)
            s.connect((FAR[4], 81))
            s.settimeout(0)
            self.closing.enter_context(listener.accept()[0])
        self._add(f"tcp {FAR[4]} 81", lambda: s.send(b"leak"))

    def _run(self):
        while not self.stopped.is_set():
            pace = wait.Pace(20)  # a new one: what was late is not caught up with, others need the processor, too
            for send in self.sources:
                # Refused, no route, not connected yet: it has tried.
                with contextlib.suppress(OSError):
                    send()
            self.rounds += 1
            pace.spent(1)

    def _hurry(self):
        """One that tries each millisecond, or two, for gaps that are short."""
        while not self.stopped.is_set():
            pace = wait.Pace(500)
            with contextlib.suppress(OSError):
                self.hurried.sendto(b"leak", (FAR[4], 5009))
            pace.spent(1)

    def __enter__(self):
        self.jobs = [Job(self._run), Job(self._hurry)]
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for job in self.jobs:
            job.result()
        self.closing.close()


class Wire:
    """Every frame that leaves the client's outer interface, with its time, while a crowd tries to get past the tunnel.
    A context manager; begins before the tunnel."""

    def __init__(self, lab, endpoints=("10.1.1.2 10666", "fd01:1::2 10666")):
        self.lab, self.path = lab, lab.folder / "wire.pcap"
        self.endpoints = {f"udp {endpoint}" for endpoint in endpoints}
        lab.middle.ip("\n".join(f"addr add {address} dev lo" for address in FAR.values()))
        self.position, self.left = 24, []  # behind the file's header
        self.closing = contextlib.ExitStack()

    def __enter__(self):
        behind = self.lab.add_behind(self.lab.client)
        self.mac = bytes.fromhex(self.lab.client.run("cat", "/sys/class/net/eth0/address").stdout.replace(":", ""))
        self.tcpdump = subprocess.Popen(
            self.lab.client.command("tcpdump", "-i", "eth0", "-w", self.path, "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert any("listening on" in line for line in self.tcpdump.stderr), "tcpdump listens"
        self.crowd = self.closing.enter_context(Crowd(self.lab, behind))
        self.wait_for_crowd(0)
        return self

    def __exit__(self, *_):
        self.closing.close()
        self.tcpdump.terminate()
        said = self.tcpdump.communicate(timeout=30)[1]
        assert re.search(r"^0 packets dropped by kernel", said, re.M), said

    def _read(self):
        """What tcpdump has written meanwhile."""
        with self.path.open("rb") as file:
            file.seek(self.position)
            data, at = file.read(), 0
        while at + 16 <= len(data):
            seconds, micro, length = struct.unpack_from("=III", data, at)
            if at + 16 + length > len(data):
                break  # half written
            frame = data[at + 16 : at + 16 + length]
            at += 16 + length
            name = name_of(frame) if frame[6:12] == self.mac else None
            if name and name not in self.endpoints:
                self.left.append((seconds + micro / 1e6, name))
        self.position += at

    def seen(self, since, until=float("inf")):
        """Names of what left in that time, but for what may leave."""
        self._read()
        return {name for when, name in self.left if since < when < until}

    def wait_for_crowd(self, since):
        """All get through: nothing holds them back (any more)."""
        known = self.crowd.expected
        if since:
            known = known - {f"tcp {FAR[4]} 81"}  # its connection has ended, or waits long
        try:
            wait.until(lambda: known <= self.seen(since), "the whole crowd is on the wire")
        except AssertionError as error:
            raise AssertionError(f"{error}: {sorted(known - self.seen(since))} are not") from error

    def try_for(self, rounds):
        """Until everybody has tried so many times."""
        goal = self.crowd.rounds + rounds
        wait.until(lambda: self.crowd.rounds >= goal, f"{rounds} rounds of the crowd")

    def assert_tight(self, since, until=None):
        self.try_for(3)
        leaks = self.seen(since, until or time.time())
        assert not leaks, f"{sorted(leaks)} went past the tunnel"
