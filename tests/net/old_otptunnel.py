"""The older program OTPTunnel as its peers see it: old_otptunnel.py [-S] -K FILE [-A ADDRESS] [-P PORT] ...

Written from the description of its wire format alone. It begins at offset 0 or 1 with every run, takes every offset
from everybody, and where the old one died of a datagram, it does: a line that begins with FATAL on stderr, exit
code 1. (A socket's error ended the old one with code 0; this one says FATAL then, too.)"""

import argparse
import fcntl
import hashlib
import os
import pathlib
import select
import socket
import struct
import sys

MD5_LEN, OFFSET_LEN = 16, 6
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
SIOCSIFADDR, SIOCSIFNETMASK, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x891C, 0x8913, 0x8914, 1


class Fatal(Exception):
    """What the old program does not survive."""


def mix(data, key):
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


class Pad:
    """The key file. `offset`: where the next datagram's bytes begin; the client's are even, the server's odd."""

    def __init__(self, content, offset):
        self.content, self.offset = content, offset

    def bytes_at(self, offset, count):
        key = self.content[offset : offset + 2 * count : 2]
        if len(key) < count:
            raise Fatal(f"ValueError: the key ends; {count} bytes were wanted from {offset}")
        return key

    def seal(self, frame):
        text = frame + hashlib.md5(frame).digest()
        datagram = mix(text, self.bytes_at(self.offset, len(text))) + self.offset.to_bytes(OFFSET_LEN, "big")
        self.offset += 2 * len(text)
        return datagram

    def open(self, datagram):
        """The frame, or None for what is dropped."""
        if len(datagram) < MD5_LEN + OFFSET_LEN:
            return None
        offset = int.from_bytes(datagram[-OFFSET_LEN:], "big")
        text = mix(datagram[:-OFFSET_LEN], self.bytes_at(offset, len(datagram) - OFFSET_LEN))
        frame, md5 = text[:-MD5_LEN], text[-MD5_LEN:]
        return frame if hashlib.md5(frame).digest() == md5 else None


class Tap:
    """A TAP with the kernel's choice of a name, an address, and up."""

    def __init__(self, address, prefix):
        self.fd = os.open("/dev/net/tun", os.O_RDWR)
        made = fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"tap%d", IFF_TAP | IFF_NO_PI))
        self.name = made[:16].rstrip(b"\0").decode()
        mask = socket.inet_ntoa(struct.pack("!I", 0xFFFFFFFF << (32 - prefix) & 0xFFFFFFFF))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for call, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
                fcntl.ioctl(s, call, struct.pack("16sHH4s16x", made[:16], socket.AF_INET, 0, socket.inet_aton(value)))
            flags = struct.unpack_from("16sH", fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16s24x", made[:16])))[1]
            fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", made[:16], flags | IFF_UP))


class Tunnel:
    def __init__(self, options):
        self.pad = Pad(pathlib.Path(options.K).read_bytes(), 1 if options.server else 0)
        self.peer = (options.A, options.P)
        self.tap = Tap(options.tap_addr, options.tap_netmask)
        self.read_max = options.tap_mtu
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((options.local_addr, options.local_port))
        print(f"{self.tap.name} is up", flush=True)

    def run(self):
        poll = select.poll()
        poll.register(self.tap.fd, select.POLLIN)
        poll.register(self.udp, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.tap.fd:
                    self.send(os.read(fd, self.read_max))
                else:
                    self.receive(self.udp.recv(65536))

    def send(self, frame):
        if self.peer[0] is None:
            raise Fatal("TypeError: a frame to send, and no address of a peer")
        self.udp.sendto(self.pad.seal(frame), self.peer)

    def receive(self, datagram):
        frame = self.pad.open(datagram)
        if frame is None:
            print(f"dropped: {len(datagram)} bytes", flush=True)
        elif frame:
            try:
                os.write(self.tap.fd, frame)
            except OSError as error:
                raise Fatal(f"TAP, with a frame of {len(frame)} bytes: {error}") from error


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-S", "--server", action="store_true")
    parser.add_argument("-K", required=True)
    parser.add_argument("-A")
    parser.add_argument("-P", type=int, default=12000)
    parser.add_argument("--tap-addr", default="10.8.0.1")
    parser.add_argument("--tap-netmask", type=int, default=24)
    parser.add_argument("--tap-mtu", type=int, default=32768)
    parser.add_argument("--local-addr", default="0.0.0.0")
    parser.add_argument("--local-port", type=int, default=12000)
    try:
        Tunnel(parser.parse_args()).run()
    except (Fatal, OSError) as error:
        print(f"FATAL {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
