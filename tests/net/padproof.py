"""From a capture and the pad: has any byte been used twice? An implementation of its own of what docs/protocol.md,
"One-time pads", says, which shares nothing with the program: it finds each datagram's place in the pad, checks that it
was made there, and marks the bytes that it used, over all lives of both ends.

A datagram that comes again, byte for byte, uses nothing: the network may repeat it, and hellos are sent again."""

import hashlib
import struct

import pads

PAD_HELLO, PAD_DATA, PAD_WELCOME = 6, 7, 8
SLOT, SLOTS_AT = 256, 64
TAG, MAC_KEY = 16, 32
PRIME = (1 << 130) - 5
CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def poly1305(key, message):
    """RFC 8439, 2.5.1."""
    r, total = int.from_bytes(key[:16], "little") & CLAMP, 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\1", "little")) * r % PRIME
    return ((total + int.from_bytes(key[16:32], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def mix(data, key):
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(len(data), "little")


class Wrong(Exception):
    """What a datagram must not be."""


class Proof:
    """Looks at datagrams one by one; `findings` is empty as long as no pad byte was used twice, and each datagram
    was made with the pad and in the part of the pad that its sender may use."""

    def __init__(self, pad):
        self.pad, self.used = pad, bytearray(len(pad))
        self.traffic, self.blocks = pads.layout(len(pad))
        self.slots = min(pads.HELLO_MAX, len(pad) // 16) // SLOT
        self.known, self.findings = set(), []
        self.data = {True: 0, False: 0}  # datagrams of the initiator, of the responder
        self.hellos = self.welcomes = self.repeats = 0

    def bytes_used(self):
        return self.used.count(1)

    def look(self, is_initiator, datagram):
        digest = hashlib.blake2b(datagram, digest_size=16, key=b"\1" if is_initiator else b"\2").digest()
        if digest in self.known:
            self.repeats += 1
            return
        self.known.add(digest)
        try:
            self.use(self.ranges(is_initiator, datagram))
        except Wrong as wrong:
            self.findings.append(f"{'initiator' if is_initiator else 'responder'}: {wrong}: {datagram[:32].hex()}...")

    def ranges(self, is_initiator, datagram):
        """Which parts of the file the datagram used: [(from, to)]."""
        kind = datagram[0] if datagram else None
        if kind == PAD_DATA:
            return self.ranges_of_data(is_initiator, datagram)
        if kind == PAD_HELLO and is_initiator and len(datagram) == 92:
            self.hellos += 1
            return self.range_in_slot(datagram, 12, 0)
        if kind == PAD_WELCOME and not is_initiator and len(datagram) == 96:
            self.welcomes += 1
            return self.range_in_slot(datagram, 16, 96)
        raise Wrong("not a datagram of a link that a pad alone holds")

    def range_in_slot(self, datagram, head, first):
        slot = struct.unpack_from("<I", datagram, head - 4)[0]
        if slot >= self.slots:
            raise Wrong(f"there is no slot {slot}")
        begin = SLOTS_AT + slot * SLOT + first
        self.check_tag(self.pad[begin : begin + MAC_KEY], datagram)
        return [(begin, begin + MAC_KEY + 64)]

    def ranges_of_data(self, is_initiator, datagram):
        if len(datagram) < 16 + 2 + TAG or datagram[1:4] != b"\0\0\0":
            raise Wrong("no PadData")
        offset = struct.unpack_from("<Q", datagram, 8)[0]
        key = b"".join(self.pad[a:b] for a, b in self.walk(is_initiator, offset, MAC_KEY + 2))
        self.check_tag(key, datagram)
        length = struct.unpack("<H", mix(datagram[16:18], key[MAC_KEY:]))[0]
        if length > len(datagram) - 18 - TAG:
            raise Wrong(f"{length} bytes of frames in {len(datagram)}")
        self.data[is_initiator] += 1
        return self.walk(is_initiator, offset, MAC_KEY + 2 + length)

    def walk(self, is_initiator, offset, count):
        """The ranges of `count` positions from an offset on: up the file, or block by block down."""
        end, ranges = self.traffic + self.blocks * pads.BLOCK, []
        while count:
            if not self.traffic <= offset < end:
                raise Wrong(f"offset {offset} is not in the traffic")
            block_end = offset - (offset - self.traffic) % pads.BLOCK + pads.BLOCK
            n = min(count, block_end - offset)
            ranges.append((offset, offset + n))
            count -= n
            offset = offset + n if offset + n < block_end or not is_initiator else block_end - 2 * pads.BLOCK
        return ranges

    @staticmethod
    def check_tag(key, datagram):
        if poly1305(key, datagram[:-TAG]) != datagram[-TAG:]:
            raise Wrong("not made with the pad at its place")

    def use(self, ranges):
        for begin, end in ranges:
            again = self.used.find(1, begin, end)
            if again >= 0:
                raise Wrong(f"pad byte {again} is used twice, in [{begin}, {end})")
        for begin, end in ranges:
            self.used[begin:end] = b"\1" * (end - begin)


# ---- datagrams made here, to see that the proof finds what it is for ----


def make_data(proof, is_initiator, offset, frames, padding=0, receiver=7):
    pieces = b"".join(proof.pad[a:b] for a, b in proof.walk(is_initiator, offset, 34 + len(frames)))
    datagram = bytes([PAD_DATA, 0, 0, 0]) + struct.pack("<IQ", receiver, offset)
    datagram += mix(struct.pack("<H", len(frames)), pieces[32:34]) + mix(frames, pieces[34:]) + bytes(padding)
    return datagram + poly1305(pieces[:32], datagram)


def make_hello(proof, slot, marks):
    begin = SLOTS_AT + slot * SLOT
    datagram = bytes([PAD_HELLO, 1, 0, 0]) + struct.pack("<II", 3, slot) + mix(marks, proof.pad[begin + 32 : begin + 96])
    return datagram + poly1305(proof.pad[begin : begin + 32], datagram)
