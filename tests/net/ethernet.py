"""Ethernet frames by hand, hosts behind a bridge, and a DHCP exchange in its few messages."""

import contextlib
import os
import select
import socket
import struct

import wait
from lab import Job, Namespace

EXPERIMENT = 0x88B5  # IEEE's type for local experiments: no kernel says it by itself
BROADCAST = "ff:ff:ff:ff:ff:ff"


def packed(mac):
    return bytes.fromhex(mac.replace(":", ""))


def frame(target, source, payload, tags=()):
    """`tags`: (type, number) each, the outer one first."""
    between = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return packed(target) + packed(source) + between + struct.pack("!H", EXPERIMENT) + payload


def mac_of(namespace, link="tun"):
    return namespace.run("cat", f"/sys/class/net/{link}/address").stdout.strip()


class Wire:
    """Sends any frame through an interface, and takes the experiments, tagged or not, that come in. A context
    manager."""

    ETH_P_ALL, SOL_PACKET, AUXDATA, HAS_TAG = 3, 263, 8, 0x10

    def __init__(self, namespace, link="tun"):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ETH_P_ALL))
        self.socket.bind((link, self.ETH_P_ALL))
        self.socket.setsockopt(self.SOL_PACKET, self.AUXDATA, 1)
        self.came = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(OSError):  # the queue is full: lost, as on any network
            self.socket.send(data)

    def collect(self, seconds=0.0):
        """All that has come, after waiting for the first of it."""
        while select.select([self.socket], [], [], seconds)[0]:
            data, ancillary, _, address = self.socket.recvmsg(65536, 128)
            status, *_, tag, kind = struct.unpack_from("=IIIHHHH", ancillary[0][2])
            if status & self.HAS_TAG:  # the kernel has taken it off
                data = data[:12] + struct.pack("!HH", kind, tag) + data[12:]
            if address[2] != socket.PACKET_OUTGOING and struct.pack("!H", EXPERIMENT) in data[12:22]:
                self.came.append(data)
            seconds = 0
        return self.came

    def has(self, payload):
        """How often a frame with this payload has come."""
        return sum(payload in data for data in self.collect())


def passes(sender, data, payload, receivers):
    """Sends a frame, until it has come to these receivers."""
    sender.send(data)
    wait.until(lambda: all(receiver.has(payload) for receiver in receivers), f"{payload!r} has come", 10)


def everywhere(sender, source, others):
    """A broadcast that comes to all others, exactly once; returns its payload."""
    payload = os.urandom(50)
    passes(sender, frame(BROADCAST, source, payload), payload, others)
    return payload


class Leaf(Namespace):
    """A host behind a bridge, with addresses 10.77.0.N and fd77::N; `number` is N."""

    def __init__(self, lab, host, number, mtu):
        super().__init__(f"{host.name}-l{number}")
        lab.closing.callback(self.close)
        self.number = number
        host.ip(
            f"link add p{number} type veth peer name eth0 netns {self.name}\n"
            f"link set p{number} mtu {mtu} master br0 up"
        )
        self.ip(f"link set eth0 mtu {mtu} up")

    def address(self):
        self.ip(f"addr add 10.77.0.{self.number}/24 dev eth0\naddr add fd77::{self.number}/64 dev eth0 nodad")

    def inner(self, family):
        return f"10.77.0.{self.number}" if family == 4 else f"fd77::{self.number}"

    def add_vlan(self, vlan):
        """A tagged interface, with the addresses 10.VLAN.0.N and fdff:VLAN::N. False: this kernel has none such."""
        if self.run("ip", "link", "add", "link", "eth0", "name", "probe", "type", "vlan", "id", "1", check=False).returncode:
            return False
        self.ip("link del probe")
        self.ip(
            f"link add link eth0 name v{vlan} type vlan id {vlan}\n"
            f"addr add 10.{vlan}.0.{self.number}/24 dev v{vlan}\n"
            f"addr add fdff:{vlan}::{self.number}/64 dev v{vlan} nodad\nlink set v{vlan} up"
        )
        return True


# ---- DHCP (RFC 2131), as far as an address needs it ----

MAGIC = bytes([99, 130, 83, 99])
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5


def dhcp_message(operation, exchange, hardware, kind, given="0.0.0.0", options=b""):
    head = struct.pack("!BBBB4sHH", operation, 1, 6, 0, exchange, 0, 0x8000)  # answers are to be broadcast
    addresses = bytes(4) + socket.inet_aton(given) + bytes(8)
    return head + addresses + hardware + bytes(10 + 192) + MAGIC + bytes([53, 1, kind]) + options + b"\xff"


def dhcp_kind(message):
    return message[242] if message[236:240] == MAGIC else None


def dhcp_server(namespace, link, given):
    """Gives one address to the first who asks; returns the client's hardware address."""
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        s.bind(("", 67))
        s.settimeout(40)
        while True:
            asked = s.recv(2048)
            kind = {DISCOVER: OFFER, REQUEST: ACK}.get(dhcp_kind(asked))
            if kind:
                answer = dhcp_message(2, asked[4:8], asked[28:34], kind, given)
                s.sendto(answer, ("255.255.255.255", 68))
            if kind == ACK:
                return asked[28:34]


def dhcp_client(namespace, link):
    """Asks until it has an address; returns it."""
    exchange, hardware = os.urandom(4), packed(mac_of(namespace, link))
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        s.bind(("", 68))
        kind = DISCOVER
        for _ in range(60):
            s.sendto(dhcp_message(1, exchange, hardware, kind), ("255.255.255.255", 67))
            while select.select([s], [], [], 0.5)[0]:
                answer = s.recv(2048)
                if answer[4:8] != exchange:
                    continue
                if dhcp_kind(answer) == ACK:
                    return socket.inet_ntoa(answer[16:20])
                kind = REQUEST if dhcp_kind(answer) == OFFER else kind
                break
    raise AssertionError("no DHCP server has answered")


def dhcp(client, server, given="10.77.0.99"):
    """An exchange between two hosts; both are asked how it went."""
    serving = Job(dhcp_server, server, "eth0", given)
    assert dhcp_client(client, "eth0") == given
    assert serving.result() == packed(mac_of(client, "eth0"))
