"""The older program snek-vpn as its peers see it: old_snek.py [-l | -c HOST] [-kp PORT] [-dp PORT] -x PATH [--odd]

Written from the description of its wire format alone. It sends the old program's bytes, in the old program's order,
takes what that took, and where the old one died of something, it does: a line that begins with FATAL on stderr, and
then the direction, or the process, ends. So a test finds out what the program under test must never send.

--keys FILE: it adds the data key of each session to that file, for a test that looks into the datagrams.
--odd: it sends everything in all the forms that the old receiver took, and between its packets what that dropped.

Needs $OLDCRYPTO, or builds oldcrypto.c. It brings no interface up and gives it no address: that is for the test."""

import argparse
import base64
import contextlib
import fcntl
import json
import os
import pathlib
import random
import socket
import struct
import sys
import threading

import oldcrypto

MTU = 1536
CHUNK = 1536
BUCKETS = (64, 256, 512, 1536)
HEAD, EXTENSION = struct.Struct("<BQI"), struct.Struct("<IIHH")
NONCE_LEN, TAG_LEN = 12, 16
DATAGRAM_MAX = 2048
FRAGMENT = 2


class Fatal(Exception):
    """What the old program does not survive."""


def say(text):
    print(text, flush=True)


def complain(text):
    print(text, file=sys.stderr, flush=True)


# ---- frames ----------------------------------------------------------------------------------


class Padding:
    """A pool of random bytes, drawn once, of which each packet gets a slice."""

    def __init__(self):
        self.pool = os.urandom(1536)

    def of(self, length):
        """For an inner packet of that length. Buckets are chosen without the four bytes of the length field, so
        there may be less than no room; then a slice from the pool's begin or end is nearly always empty, but one in
        hundreds has nearly the whole pool."""
        bucket = next(size for size in BUCKETS if length <= size)
        room = bucket - (length + 4)
        begin = random.randrange(len(self.pool) - room + 1)
        return self.pool[begin : begin + room]


class Sealer:
    """Packets to datagrams."""

    def __init__(self, key):
        self.aead, self.padding, self.sequence = oldcrypto.Aead(key), Padding(), 0

    def head(self, flags, length):
        self.sequence += 1
        return HEAD.pack(flags, self.sequence - 1, length)

    def datagrams(self, packet):
        """A list of them."""
        return self.frames(struct.pack(">i", len(packet)) + packet + self.padding.of(len(packet)))

    def frames(self, plaintext, nonce=None, number=None):
        nonce = nonce or os.urandom(NONCE_LEN)
        sealed = self.aead.seal(nonce, plaintext)
        if len(sealed) <= CHUNK:
            return [self.head(1, len(sealed)) + nonce + sealed]
        chunks = [sealed[at : at + CHUNK] for at in range(0, len(sealed), CHUNK)]
        number = random.getrandbits(32) if number is None else number
        return [
            self.head(3, len(chunk)) + EXTENSION.pack(len(sealed), number, index, len(chunks)) + nonce + chunk
            for index, chunk in enumerate(chunks)
        ]


class OddSealer(Sealer):
    """The same in each form that the old receiver took, in turn. `calls` counts packets."""

    def __init__(self, key):
        super().__init__(key)
        self.calls, self.waiting = 0, []
        self.forms = [
            self.bare, self.flags, self.whole, self.excess, self.extended, self.pieces, self.backwards, self.repeated,
            self.wrong_total, self.sharing, self.short_rest, self.among_junk, self.interleaved,
        ]  # fmt: skip

    def datagrams(self, packet):
        form = self.forms[self.calls % len(self.forms)]
        self.calls += 1
        return form(struct.pack(">i", len(packet)) + packet)

    def seal(self, plaintext):
        nonce = os.urandom(NONCE_LEN)
        return nonce, self.aead.seal(nonce, plaintext)

    def one(self, plaintext, flags=1):
        nonce, sealed = self.seal(plaintext)
        return self.head(flags, len(sealed)) + nonce + sealed

    def cut(self, plaintext, size, number=None, total=None):
        nonce, sealed = self.seal(plaintext)
        number = random.getrandbits(32) if number is None else number
        chunks = [sealed[at : at + size] for at in range(0, len(sealed), size)]
        return [
            self.head(3, len(chunk))
            + EXTENSION.pack(len(sealed) if total is None else total, number, index, len(chunks))
            + nonce
            + chunk
            for index, chunk in enumerate(chunks)
        ]

    def bare(self, plaintext):
        return self.frames(plaintext)  # no padding

    def flags(self, plaintext):
        return [self.one(plaintext, random.choice((0, 0xFD, 0x80)))]

    def whole(self, plaintext):
        return [self.one(plaintext)]  # up to 1581 bytes

    def excess(self, plaintext):
        return self.frames(plaintext + self.padding.pool)  # up to 3076: three fragments

    def extended(self, plaintext):
        """A fragment that is the only one, or one of none."""
        nonce, sealed = self.seal(plaintext)
        count = random.choice((0, 1))
        extension = EXTENSION.pack(len(sealed), 7, 0, count)
        return [self.head(3, len(sealed)) + extension + nonce + sealed]

    def pieces(self, plaintext):
        return self.cut(plaintext, len(plaintext) // 5 + 1)

    def backwards(self, plaintext):
        return self.cut(plaintext, len(plaintext) // 3 + 1)[::-1]

    def repeated(self, plaintext):
        pieces = self.cut(plaintext, len(plaintext) // 2 + 1)
        return [pieces[0], *pieces]

    def wrong_total(self, plaintext):
        return self.cut(plaintext, len(plaintext) // 2 + 1, total=random.choice((0, 1, 0xFFFFFFFF)))

    def sharing(self, plaintext):
        """Several frames in one datagram."""
        return [self.one(b"") + self.one(plaintext) + self.one(b"\0\0\0")]

    def short_rest(self, plaintext):
        """The length says more than there is: the rest counts."""
        more = min(MTU, len(plaintext) - 4 + 100)
        return [self.one(struct.pack(">i", more) + plaintext[4:])]

    def among_junk(self, plaintext):
        """Sealed with the key, and dropped in silence."""
        junk = [b"", b"\0\0\0", struct.pack(">i", 0) + plaintext[4:], struct.pack(">i", -1) + plaintext[4:],
                struct.pack(">i", -(1 << 31)) + bytes(9), struct.pack(">i", MTU + 1) + bytes(MTU + 1),
                struct.pack(">i", 20) + b"\x55" + bytes(30), struct.pack(">i", 0x7FFFFFFF) + plaintext[4:],
                struct.pack(">i", 1) + b"\0"]  # fmt: skip
        return [*map(self.one, junk), self.one(plaintext)]

    def interleaved(self, plaintext):
        """Fragments of two packets in turn; of the second one, the last never comes. (The second is no packet.)"""
        mine, other = self.cut(plaintext, len(plaintext) // 2 + 1), self.cut(bytes(100), 50)
        return [mine[0], other[0], *mine[1:]]


class Opener:
    """Datagrams to packets: a stream of frames, to which each datagram is appended."""

    pending = {}  # of all sessions: nothing ever leaves it but what is complete

    def __init__(self, key):
        self.aead = oldcrypto.Aead(key)

    def packets(self, datagram):
        """A list of inner packets."""
        if not datagram:
            raise Fatal("socket closed by peer: an empty datagram")
        at, packets = 0, []
        while at < len(datagram):
            nonce, chunk, fragment, at = self.frame(datagram, at)
            sealed = self.join(fragment, chunk) if fragment else chunk
            if sealed is not None:
                packet = self.packet(nonce, sealed)
                if packet:
                    packets.append(packet)
        return packets

    @staticmethod
    def frame(datagram, at):
        """The one that begins at `at`, and where the next one does. The old program would wait for what is missing in
        the next datagram, and be out of step with its peer for good."""
        begin = at
        if at + HEAD.size > len(datagram):
            raise Fatal(f"out of step: {len(datagram) - begin} bytes are left over: {datagram[begin:][:32].hex()}")
        flags, _, length = HEAD.unpack_from(datagram, at)
        at += HEAD.size
        fragment = None
        if flags & FRAGMENT:
            if at + EXTENSION.size > len(datagram):
                raise Fatal("out of step: half a header")
            fragment = EXTENSION.unpack_from(datagram, at)
            at += EXTENSION.size
        end = at + NONCE_LEN + length
        if end > len(datagram):
            raise Fatal(f"out of step: {length} bytes of {len(datagram) - at - NONCE_LEN}")
        return datagram[at : at + NONCE_LEN], datagram[at + NONCE_LEN : end], fragment, end

    def join(self, fragment, chunk):
        """The whole ciphertext, or None as long as fragments are missing."""
        _, number, index, count = fragment
        if count <= 1:
            return chunk
        slots = self.pending.setdefault(number, [None] * count)
        if index >= len(slots):
            raise Fatal(f"IndexError: fragment {index} of {len(slots)}")
        slots[index] = chunk
        if None in slots:
            return None
        return b"".join(self.pending.pop(number))

    def packet(self, nonce, sealed):
        """The inner packet, or None for what is dropped."""
        try:
            plaintext = self.aead.open(nonce, sealed)
        except oldcrypto.Refused:
            raise Fatal("InvalidTag") from None
        if len(plaintext) < 4:
            return None
        length = struct.unpack_from(">i", plaintext)[0]
        if length <= 0 or length > MTU:
            return None
        if len(plaintext) == 4:
            raise Fatal("IndexError: a plaintext of 4 bytes that says more follow")
        packet = plaintext[4 : 4 + length]
        return packet if packet[0] >> 4 in (4, 6) else None


# ---- the exchange ----------------------------------------------------------------------------


def receive_exact(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise Fatal("Connection closed")
        data += more
    return data


def receive_message(s):
    return receive_exact(s, struct.unpack("<I", receive_exact(s, 4))[0])


def send_message(s, data):
    s.sendall(struct.pack("<I", len(data)) + data)


def derive(secret, salt):
    """(handshake key, data key)"""
    return oldcrypto.hkdf(secret, salt, b"VPN handshake v2"), oldcrypto.hkdf(secret, salt, b"VPN data channel v2")


def build_meta(private, secret, salt, nonce, aad, deterministic=False):
    """The client's message, and the data key."""
    handshake_key, data_key = derive(secret, salt)
    signature = oldcrypto.sign(private, data_key, deterministic=deterministic)
    members = {"DataKeySig": base64.b64encode(signature).decode(), "aad_b64": base64.b64encode(aad).decode()}
    sealed = oldcrypto.Aead(handshake_key).seal(nonce, json.dumps(members).encode())
    return salt + nonce + struct.pack("<I", len(sealed)) + sealed, data_key


def open_meta(secret, salt, nonce, sealed):
    """(signature, data key); raises whatever Python does."""
    handshake_key, data_key = derive(secret, salt)
    members = json.loads(oldcrypto.Aead(handshake_key).open(nonce, sealed))
    base64.b64decode(members["aad_b64"])
    return base64.b64decode(members["DataKeySig"]), data_key


def find_signer(folder, data_key, signature):
    for name in os.listdir(folder):
        if name.endswith(".pub"):
            public = pathlib.Path(folder, name).read_bytes()
            with contextlib.suppress(oldcrypto.Refused):
                if oldcrypto.verify(public, data_key, signature):
                    return name
    return None


# ---- a session -------------------------------------------------------------------------------


class Tun:
    """snkN, the first that is free; made before anything else."""

    def __init__(self):
        tunsetiff, iff_tun, iff_no_pi = 0x400454CA, 1, 0x1000
        self.fd = os.open("/dev/net/tun", os.O_RDWR)
        taken = {name for _, name in socket.if_nameindex()}
        self.name = next(f"snk{number}" for number in range(1000) if f"snk{number}" not in taken)
        say(f"[+] Selected interface name {self.name}")
        fcntl.ioctl(self.fd, tunsetiff, struct.pack("16sH22x", self.name.encode(), iff_tun | iff_no_pi))
        siocsifmtu = 0x8922
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, siocsifmtu, struct.pack("16sI20x", self.name.encode(), MTU))
        say(f"[+] Opened TUN device: {self.name}")


class Session:
    """The two threads between the interface and a connected UDP socket."""

    def __init__(self, tun, udp, data_key, options):
        self.tun, self.udp = tun, udp
        self.sealer, self.opener = (OddSealer if options.odd else Sealer)(data_key), Opener(data_key)
        if options.keys:
            with open(options.keys, "a", encoding="ascii") as file:
                file.write(data_key.hex() + "\n")

    def run(self):
        udp_to_tun = threading.Thread(target=self.udp_to_tun, daemon=True)
        udp_to_tun.start()
        self.tun_to_udp()
        udp_to_tun.join()
        self.udp.close()

    def udp_to_tun(self):
        try:
            while True:
                for packet in self.opener.packets(self.udp.recv(DATAGRAM_MAX)):
                    try:
                        os.write(self.tun.fd, packet)
                    except OSError as error:
                        complain(f"TUN: {error}")
        except OSError as error:
            say(f"[-] UDP: {error}")  # the peer is gone
        except Fatal as fatal:
            complain(f"FATAL {fatal}")

    def tun_to_udp(self):
        try:
            while True:
                packet = os.read(self.tun.fd, 2048)
                for datagram in self.sealer.datagrams(packet):
                    self.udp.send(datagram)
        except OSError as error:
            say(f"[-] UDP: {error}")


class Server:
    def __init__(self, options):
        self.tun, self.options = Tun(), options

    def run(self):
        while True:
            self.serve_one()

    def serve_one(self):
        say("[+] Waiting for peer...")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("0.0.0.0", self.options.dataport))
            listener.listen(1)
            probe, (address, _) = listener.accept()
            with probe:
                probe.recv(1)
        say(f"[+] Request from peer {address}")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            self.connect_back(s, address)
            s.settimeout(600)
            signature, data_key = self.exchange(s)
        name = find_signer(self.options.cert, data_key, signature)
        if name is None:
            raise Fatal("UnboundLocalError: Connection not authorized")
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.connect((address, self.options.dataport))
        try:
            udp.send(b"\xff")
        except OSError as error:
            say(f"[-] UDP: {error}")
            udp.close()
            return
        say(f"[+] Connected. {name}")
        Session(self.tun, udp, data_key, self.options).run()

    def connect_back(self, s, address):
        say(f"[+] Initiating connection to peer. {address}")
        while True:
            try:
                s.connect((address, self.options.keyport))
                return
            except OSError:
                print(".", end="", flush=True)

    @staticmethod
    def exchange(s):
        try:
            ciphertext, secret = oldcrypto.encapsulate(receive_message(s))
            send_message(s, ciphertext)
            salt, nonce = receive_exact(s, 16), receive_exact(s, 12)
            return open_meta(secret, salt, nonce, receive_message(s))
        except (oldcrypto.Refused, ValueError, KeyError) as error:
            raise Fatal(f"an uncaught exception: {error!r}") from error


class Client:
    def __init__(self, options):
        self.tun, self.options = Tun(), options
        self.private = pathlib.Path(options.cert).read_bytes()

    def run(self):
        host, port = self.options.connect, self.options.dataport
        say(f"[+] Connecting to {host}:{port}...")
        with socket.create_connection((host, port), 5) as probe:
            probe.sendall(b"\xff")
        data_key = self.exchange()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
        udp.settimeout(30)
        try:
            _, peer = udp.recvfrom(1)
        except socket.timeout:
            raise Fatal("Connection failed! (bad auth?)") from None
        udp.connect(peer)
        udp.settimeout(None)
        say(f"[+] Connected to {peer[0]}:{peer[1]}")
        Session(self.tun, udp, data_key, self.options).run()

    def exchange(self):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0", self.options.keyport))
            listener.listen(1)
            listener.settimeout(20)
            say(f"[+] Waiting for connection on port {self.options.keyport}...")
            s, _ = listener.accept()
        with s:
            s.settimeout(20)
            public, private = oldcrypto.keypair(True)
            send_message(s, public)
            secret = oldcrypto.decapsulate(private, receive_message(s))
            message, data_key = build_meta(self.private, secret, os.urandom(16), os.urandom(12), os.urandom(16))
            s.sendall(message)
        return data_key


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--connect")
    parser.add_argument("-l", "--listen", action="store_true")
    parser.add_argument("-kp", "--keyport", type=int, default=443)
    parser.add_argument("-dp", "--dataport", type=int, default=10666)
    parser.add_argument("-x", "--cert", required=True)
    parser.add_argument("--odd", action="store_true")
    parser.add_argument("--keys")
    options = parser.parse_args()
    try:
        (Client(options) if options.connect else Server(options)).run()
    except (Fatal, OSError, oldcrypto.Refused) as error:
        complain(f"FATAL {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
