"""What a test does to the network in the middle: a bad line, a NAT, a look at the wire."""

import json
import pathlib
import re
import socket
import struct
import subprocess
import sys

from lab import endpoint


class Relay:
    """relay.py in the middle of a lab; both ends see it as the other end. A context manager."""

    def __init__(self, lab, family=4, port=10777, **options):
        here = "10.1.2.1" if family == 4 else "fd01:2::1"
        self.endpoint = endpoint(here, port)
        self.counts = None
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(
            lab.middle.command(
                sys.executable, pathlib.Path(__file__).with_name("relay.py"),
                f"{here},{port}", f"{lab.server.outer(family)},10666", *words,
            ),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.counts = json.loads(self.process.communicate("", timeout=30)[0])


# What every rule set starts with, so that a second one takes the place of the first.
FRESH = "table inet lab\ndelete table inet lab\n"


def filter_forwarded(lab, *rules):
    """nftables rules for what the middle forwards; none: everything passes."""
    lines = "\n".join(rules)
    lab.middle.nft(FRESH + f"table inet lab {{ chain forward {{ type filter hook forward priority 0;\n{lines}\n}}\n}}")


def masquerade(lab, ports):
    """A NAT before the server: whatever goes there comes from the middle, from one of `ports`."""
    rule = f'oifname "h1" meta l4proto udp masquerade to :{ports}'
    lab.middle.nft(FRESH + f"table inet lab {{ chain nat {{ type nat hook postrouting priority 100; {rule}\n}}\n}}")


def forget_connections(namespace):
    """The NAT's memory is empty, as after its restart: ctnetlink's delete without a filter."""
    ipctnl_msg_ct_delete, nlm_f_request_ack, netlink_netfilter = (1 << 8) | 2, 5, 12
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_netfilter) as s:
        s.send(struct.pack("=IHHIIBBH", 20, ipctnl_msg_ct_delete, nlm_f_request_ack, 1, 0, 0, 0, 0))
        answer = s.recv(4096)
    error = struct.unpack_from("=i", answer, 16)[0]
    assert error == 0, f"ctnetlink: {error}"


def counter(lab, name):
    """The bytes that a named nftables counter of the lab's table has seen."""
    text = lab.middle.run("nft", "-j", "list", "counter", "inet", "lab", name).stdout
    return next(item["counter"]["bytes"] for item in json.loads(text)["nftables"] if "counter" in item)


class Capture:
    """The UDP payloads that pass an interface, by tcpdump. A context manager; `datagrams` afterwards:
    a list of (addresses and ports as bytes, payload)."""

    def __init__(self, namespace, link, path, expression="udp", must_have_all=True):
        self.path, self.must_have_all = path, must_have_all
        self.datagrams = []
        self.process = subprocess.Popen(
            namespace.command("tcpdump", "-i", link, "-w", path, "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root", expression),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert any("listening on" in line for line in self.process.stderr), "tcpdump listens"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        said = self.process.communicate(timeout=30)[1]
        assert not self.must_have_all or re.search(r"^0 packets dropped by kernel", said, re.M), said
        self.frames = read_capture(self.path)
        self.datagrams = [payload for payload in map(udp_payload, self.frames) if payload is not None]


def read_capture(path):
    """The frames of a pcap file as tcpdump writes it on this machine."""
    data = path.read_bytes()
    magic = struct.unpack_from("=I", data)[0]
    assert magic == 0xA1B2C3D4, hex(magic)
    at, frames = 24, []
    while at < len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


def udp_payload(frame):
    """Of an Ethernet frame, or None if it holds no UDP datagram."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and frame[23] == 17:
        at = 14 + (frame[14] & 15) * 4
    elif kind == 0x86DD and frame[20] == 17:
        at = 54
    else:
        return None
    length = struct.unpack_from("!H", frame, at + 4)[0]
    return frame[at + 8 : at + length]
