"""Packets of all kinds come out as they went in, and with right checksums for those behind."""

import os
import select
import socket
import struct

import pytest

import wait
from middle import Capture
from packets import checksum, ipv4, ipv6, pseudo, udp, wrong_checksums
from traffic import answers, ping, transfer, udp_echo

MIB = 1 << 20
LEFT = {4: "10.2.2.2", 6: "fd02:2::2"}


def crafted():
    """(name, packet): from the client to the server, as no ordinary program sends them."""
    a4, b4, a6, b6 = "10.66.0.2", "10.66.0.1", "fd66::2", "fd66::1"
    body = os.urandom(333)
    yield "UDP without a checksum", ipv4(a4, b4, 17, udp(a4, b4, 1000, 2000, body, with_checksum=False))
    yield "UDP with one", ipv4(a4, b4, 17, udp(a4, b4, 1000, 2001, body), tos=0xB8, ttl=3)
    yield "UDP with a wrong one", ipv4(a4, b4, 17, struct.pack("!HHHH", 1000, 2002, 8 + len(body), 0x1234) + body)
    yield "empty UDP", ipv4(a4, b4, 17, udp(a4, b4, 1000, 2003, b""))
    yield "a first fragment", ipv4(a4, b4, 17, udp(a4, b4, 1, 2, body + bytes(2)), 77, 0x2000)
    yield "a last fragment", ipv4(a4, b4, 17, body, 77, 100)
    yield "SCTP", ipv4(a4, b4, 132, body)
    yield "an unknown protocol", ipv4(a4, b4, 253, body, tos=3)
    yield "a protocol without a body", ipv4(a4, b4, 253, b"")
    yield "IPv4 with options", ipv4(a4, b4, 253, body, options=bytes((1, 1, 1, 0)))
    yield "UDP over IPv6", ipv6(a6, b6, 17, udp(a6, b6, 1000, 2000, body), 0xB8, 0x12345, 9)
    yield "UDP over IPv6 without a checksum", ipv6(a6, b6, 17, udp(a6, b6, 1000, 2001, body, with_checksum=False))
    yield "a fragment of IPv6", ipv6(a6, b6, 44, struct.pack("!BBHI", 17, 0, 1, 99) + body[:328])
    yield "hop-by-hop options", ipv6(a6, b6, 0, bytes((253, 0, 1, 4, 0, 0, 0, 0)) + body)
    yield "an unknown protocol over IPv6", ipv6(a6, b6, 253, body)
    yield "no next header", ipv6(a6, b6, 59, b"")
    yield "TCP out of nowhere", ipv4(a4, b4, 6, tcp_with_odd_flags(a4, b4, body))
    yield "as large as the path", ipv4(a4, b4, 253, os.urandom(1344))
    yield "larger than the path", ipv4(a4, b4, 253, os.urandom(1380))


def tcp_with_odd_flags(source, target, body):
    head = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0xFF, 5, 0, 6)
    value = checksum(pseudo(source, target, 6, len(head) + len(body)) + head + body)
    return head[:16] + struct.pack("!H", value) + head[18:] + body


class Reader:
    """Reads the packets that come in through an interface, with their checksums complete."""

    SOL_PACKET, AUXDATA, CHECKSUM_NOT_READY = 263, 8, 8

    def __init__(self, namespace, link):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self.socket.bind((link, 3))
        self.socket.setsockopt(self.SOL_PACKET, self.AUXDATA, 1)

    def next(self, seconds):
        """The next packet; None when there is none in this time."""
        while select.select([self.socket], [], [], seconds)[0]:
            data, ancillary, _, (_, _, kind, _, _) = self.socket.recvmsg(65536, 128)
            if kind == socket.PACKET_OUTGOING:
                continue
            status = struct.unpack_from("=I", ancillary[0][2])[0]
            return complete(data) if status & self.CHECKSUM_NOT_READY else data
        return None


def complete(packet):
    """What the kernel knows to be right, and computes only for those who need it: TCP's or UDP's checksum."""
    v4 = packet[0] >> 4 == 4
    start = (packet[0] & 15) * 4 if v4 else 40
    protocol = packet[9] if v4 else packet[6]
    at = start + {6: 16, 17: 6}[protocol]
    body = packet[start:at] + b"\0\0" + packet[at + 2 :]
    addresses = packet[12:20] if v4 else packet[8:40]
    value = checksum(addresses + struct.pack("!II", len(body), protocol) + body)
    return packet[:at] + struct.pack("!H", value or 0xFFFF) + packet[at + 2 :]


@pytest.mark.parametrize("padding", ["buckets", "none"])
def test_packets_pass_unchanged(lab, padding):
    """Byte for byte: sent at one end's interface, read at the other's."""
    server, client = lab.pair(both={"Padding": padding, "MTU": "1400"})
    eth_p = {4: 0x0800, 6: 0x86DD}
    with lab.client.inside():
        sending = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    reader = Reader(lab.server, "tun")
    with sending, reader.socket:
        for name, packet in crafted():
            sending.sendto(packet, ("tun", eth_p[packet[0] >> 4]))
            seen = []
            while packet not in seen:
                seen.append(reader.next(5))
                assert seen[-1], f"{name}: {packet.hex()} came as {[p.hex() for p in seen[:-1]]}"
    assert server.drops("bad_inner") == client.drops("bad_packet") == 0


def test_packets_that_lie_are_dropped(lab):
    _, client = lab.pair()
    good = ipv4("10.66.0.2", "10.66.0.1", 253, bytes(100))
    before = client.drops("bad_packet")
    with lab.client.inside():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    with s:
        for bad in (good[:60], b"\x45" + bytes(10), b"\x43" + good[1:], b"\x05" + good[1:], b"\x4f" + good[1:40]):
            s.sendto(bad, ("tun", 0x0800))
    wait.until(lambda: client.drops("bad_packet") >= before + 5, "they are counted")
    assert ping(lab.client, lab.server.inner(4), 3) == 3


@pytest.mark.parametrize("padding", ["buckets", "none"])
def test_checksums_beyond_the_ends(lab, padding):
    """Hosts behind both ends: what leaves the tunnel for a real link has complete checksums, whoever made
    the packets, and whichever way they go."""
    left, right = lab.add_behind(lab.client), lab.add_behind(lab.server)
    server, client = lab.pair(
        both={"Padding": padding},
        to_client={"AllowedIPs": "10.66.0.2/32, fd66::2/128, 10.2.2.0/24, fd02:2::/64"},
        to_server={"AllowedIPs": "10.66.0.1/32, fd66::1/128, 10.2.1.0/24, fd02:1::/64"},
    )
    lab.server.finish_checksums("lan")
    for host in (left, lab.client):
        path = lab.folder / "right.pcap"
        with Capture(right, "eth0", path, "inbound and (ip or ip6)", must_have_all=False) as capture:
            for address in ("10.2.1.2", "fd02:1::2"):
                family = 6 if ":" in address else 4
                back = host.inner(family) if host is lab.client else LEFT[family]
                transfer(host, right, address, MIB)
                transfer(right, host, back, MIB)
                # IPv6 leaves it to the ends to cut packets; they lose one until they know how small.
                sizes = (0, 1, 500, 1300, 5000) if family == 4 else (0, 1, 500, 1300)
                udp_echo(host, right, address, [os.urandom(size) for size in sizes])
                wait.until(lambda h=host, a=address: answers(h, a, 4000), "large pings come back")
                assert ping(host, address, 5, 1200) == 5
        wrong, seen = wrong_checksums(capture.frames)
        assert seen > 500
        assert not wrong, f"{len(wrong)} of {seen}, the first: {wrong[0].hex()}"
    assert server.drops("bad_inner") == client.drops("bad_inner") == 0
