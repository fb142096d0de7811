#!/usr/bin/env python3
"""Makes the first inputs of the fuzz targets, in corpus/TARGET: one of each thing that a target takes.

What a fuzzer finds beyond them may be added beside them; this script only writes its own files.
"""

import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = json.loads((HERE.parent / "vectors" / "jorm4.json").read_text())


def seed(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def u8(*values):
    return bytes(values)


def u16(value):
    return struct.pack("<H", value)


def frame(kind, body, flags=0):
    return struct.pack("<BBH", kind, flags, len(body)) + body


def control(number, ack, type_, part, parts, body=b""):
    return struct.pack("<HHBBB", number, ack, type_, part, parts) + body


def tlv(type_, value):
    return struct.pack("<BH", type_, len(value)) + value


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


V4 = bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])
V6 = bytes([0xFD] + 14 * [0] + [2]), bytes([0xFD] + 14 * [0] + [3])


def packet(version, protocol, payload, tcp_flags=0x10, options=b"", partial=False):
    """An IP packet with TCP or UDP; with a complete checksum, or the pseudo-header's sum."""
    source, destination = V4 if version == 4 else V6
    ports = struct.pack("!HH", 4000, 4001)
    if protocol == 6:
        size = 5 + len(options) // 4
        layer4 = ports + struct.pack("!IIBBHHH", 1000, 2000, size << 4, tcp_flags, 500, 0, 0) + options + payload
        at = 16
    else:
        layer4 = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
        at = 6
    total = checksum(source + destination + struct.pack("!HH", protocol, len(layer4)))
    if not partial:
        total = ~checksum(struct.pack("!H", total) + b"" + layer4) & 0xFFFF or 0xFFFF
    layer4 = layer4[:at] + struct.pack("!H", total) + layer4[at + 2 :]
    if version == 6:
        return struct.pack("!IHBB", 6 << 28, len(layer4), protocol, 64) + source + destination + layer4
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(layer4), 7, 0x4000, 64, protocol, 0) + source + destination
    return header[:10] + struct.pack("!H", ~checksum(header) & 0xFFFF) + header[12:] + layer4


def virtio(flags=0, gso=0, header=0, size=0, start=0, offset=0):
    return struct.pack("<BBHHHH", flags, gso, header, size, start, offset)


def super_packets():
    """Name -> virtio header and packet, one of each offload."""
    return {
        "plain": virtio() + packet(4, 17, b"hello"),
        "partial6": virtio(1, 0, 0, 0, 40, 6) + packet(6, 17, b"hello", partial=True),
        "tcp4": virtio(1, 1, 40, 100, 20, 16) + packet(4, 6, bytes(350), 0x19, partial=True),
        "tcp6": virtio(1, 4, 72, 64, 40, 16) + packet(6, 6, bytes(200), 0x90, b"\x01" * 12, partial=True),
        "udp4": virtio(1, 5, 28, 50, 20, 6) + packet(4, 17, bytes(175), partial=True),
        "udp6": virtio(1, 5, 48, 50, 40, 6) + packet(6, 17, bytes(150), partial=True),
    }


# What stands before a packet in an Ethernet frame, but for its type: no tag, one of 802.1Q, two.
LINKS = {
    "untagged": bytes(range(2, 14)),
    "tagged": bytes(range(2, 14)) + struct.pack("!HH", 0x8100, 0xE007),
    "stacked": bytes(range(2, 14)) + struct.pack("!HHHH", 0x88A8, 5, 0x8100, 7),
}


def super_frames():
    """The same in Ethernet frames; and ARP, and a padded packet."""
    made = {}
    for link, start in LINKS.items():
        for name, data in super_packets().items():
            kind = struct.pack("!H", 0x0800 if data[10] >> 4 == 4 else 0x86DD)
            flags, gso, header, size, at, offset = struct.unpack("<BBHHHH", data[:10])
            more = len(start) + 2
            head = virtio(flags, gso, header + more if gso else 0, size, at + more if flags else 0, offset)
            made[f"{link}-{name}"] = head + start + kind + data[10:]
        made[f"{link}-arp"] = virtio() + start + b"\x08\x06" + bytes(28)
        made[f"{link}-padded"] = made[f"{link}-plain"] + bytes(9)
    return made


def fragment(number, offset, total, data):
    return frame(4, struct.pack("<IHH", number, offset, total) + data)


def frames():
    whole = packet(4, 17, bytes(range(200)))
    stream = [packet(4, 6, bytes(50)), packet(6, 6, bytes(60), 0x18), packet(4, 1, b"\x08\0\0\0ping")]
    return {
        "packets": b"".join(frame(1, p) for p in stream) + bytes(20),
        "partial": frame(1, packet(4, 17, b"x", partial=True), 1) + frame(1, packet(6, 6, b"y", partial=True), 1),
        "fragments": fragment(5, 0, len(whole), whole[:100]) + fragment(5, 100, len(whole), whole[100:]),
        "probe": frame(5, bytes(8)) + frame(5, bytes(range(8)), 1),
        "control": frame(3, control(1, 0, 5, 0, 1, tlv(1, b"bye"))) + frame(3, control(0, 1, 0, 0, 1)),
        "ethernet": frame(2, bytes(60)) + frame(77, b"later"),
    }


def step(op, body):
    return u8(op) + u16(len(body)) + body


def session_seeds():
    for name, plain in frames().items():
        for choice in (0, 13):
            seed("session", f"{name}-{choice}", u8(choice) + step(1, plain) + u8(7 | 80, 20) + step(1, plain))
    for name, data in super_packets().items():
        body = data[:10] + u16(len(data) - 10) + data[10:]
        seed("session", f"host-{name}", u8(1) + u8(5) + body + u8(7 | 40, 50) + u8(5) + body)
    accept = u8(3 | 8, 1) + u16(4) + tlv(1, b"\x19")
    seed("session", "messages", u8(4) + accept + u8(3, 200) + u16(3) + b"abc" + u8(3 | 8, 5) + u16(0))
    seed("session", "rekey", u8(0) + u8(4, 0) + u8(7 | 16, 100) + u8(4 | 8, 3) + u16(1500) + u8(1) + u8(7 | 80, 90))
    seed("session", "rekey2", u8(4) + u8(5) + virtio() + u16(33) + packet(4, 17, b"hello")
         + u8(7 | 0xF0, 255) * 2 + u8(3 | 8, 3) + u16(1604) + bytes(1604))
    seed("session", "moves", u8(0) + u8(6 | 8) + step(1, frame(1, packet(4, 17, b"x"))) + u8(7 | 80, 10)
         + u8(6 | 16) + step(1, b""))
    for i, vector in enumerate(VECTORS["data"][:4]):
        seed("session", f"raw-{i}", u8(0) + step(0, bytes.fromhex(vector["datagram"])))
    first = VECTORS["handshakes"][0]
    body = bytes.fromhex(first["init"]["message"])
    for i, datagram in enumerate(first["init"]["datagrams"]):
        parts = datagram["header"], body[1184 * i : 1184 * i + 1184].hex(), datagram["mac1"], datagram["mac2"]
        seed("session", f"init-{i}", u8(0) + step(0, bytes.fromhex("".join(parts))))
    seed("session", "cookie", u8(0) + step(0, bytes.fromhex(first["cookie"]["datagram"])))


def wire_seeds():
    first = VECTORS["handshakes"][0]
    for kind in ("init", "resp", "finish"):
        message = bytes.fromhex(first[kind]["message"])
        for i, datagram in list(enumerate(first[kind]["datagrams"]))[-1:]:
            parts = datagram["header"], message[1184 * i : 1184 * i + 1184].hex(), datagram["mac1"], datagram["mac2"]
            seed("wire", f"datagram-{kind}", u8(0) + bytes.fromhex("".join(parts)))
    for name, plain in frames().items():
        seed("wire", f"frames-{name}", u8(1) + plain)
    seed("wire", "tlvs", u8(2) + tlv(1, b"abc") + tlv(9, b"") + tlv(255, bytes(300)))
    seed("wire", "ipv4", u8(3) + packet(4, 6, b"data"))
    seed("wire", "ipv6", u8(3) + packet(6, 17, b"data"))
    seed("wire", "init", u8(4) + bytes.fromhex(first["init"]["message"]))
    identity = VECTORS["identities"]["alice65"]
    public = bytes.fromhex(identity["pub"])
    seed("wire", "resp-box", u8(5) + u8(1, 1) + public + bytes(3309) + bytes(48))
    finish = u8(1) + public + bytes(3309) + bytes(48 + 16 + 24) + u16(4) + tlv(1, b"x")
    seed("wire", "finish", u8(6) + finish + bytes(1184 * 5 - 16 - len(finish)))
    seed("wire", "reason", u8(7) + u8(1) + "not known: \u00e9\n".encode() + b"\xff\xc0")
    seed("wire", "cookie", u8(8) + bytes.fromhex(first["cookie"]["datagram"]))
    v4, v6 = bytes([10, 66, 0, 5]), bytes.fromhex("fd66" + 26 * "0" + "05")
    accept = [tlv(1, u16(25)), tlv(2, v4 + u8(24)), tlv(2, v6 + u8(64)), tlv(3, bytes(5)), tlv(3, bytes(17))]
    accept += [tlv(4, v4), tlv(4, v6), tlv(5, b"corp.example.com"), tlv(6, u16(1380))]
    seed("wire", "accept", u8(9) + b"".join(accept))
    marks = VECTORS["pads"]["marks"]
    seed("wire", "accept-pad-marks", u8(9) + accept[0] + bytes.fromhex(marks["accept"]))
    seed("wire", "request", u8(10) + tlv(99, b"later") + bytes.fromhex(marks["request"]))
    seed("wire", "request-twice", u8(10) + 2 * bytes.fromhex(marks["request"]))
    seed("wire", "accept-wrong-route", u8(9) + accept[0] + tlv(3, v4 + u8(24)))
    seed("wire", "accept-too-many", u8(9) + 9 * b"".join(accept) + 80 * tlv(3, bytes(5)))


def stream_seeds():
    two = [control(1, 0, 2, 0, 2, bytes(1100)), control(2, 0, 2, 1, 2, bytes(528))]
    seed("stream", "two-parts", b"".join(u8(5) + u16(len(b)) + b for b in two) + u8(4, 0))
    ack = control(0, 1, 0, 0, 1)
    seed("stream", "send", u8(0, 3, 100) + bytes(1600) + u8(4, 0) + u8(5) + u16(len(ack)) + ack + u8(3, 9, 4, 0))
    seed("stream", "drop", u8(0, 2, 2) + bytes(32) + u8(4, 0, 1, 2, 0, 5, 0, 2, 3, 3, 4, 0, 2, 5))


def handshake_seeds():
    run = u8(0x48 | 1, 0), u8(0xF8, 0), u8(0xF8 | 1, 3)  # Init, Resp, Finish, as they are
    seed("handshake", "whole", b"".join(run) + u8(0xF8, 0) + u8(0xF9, 0))
    seed("handshake", "load", u8(7, 0) + run[0] + u8(0x18, 0) + u8(4, 40) + u8(0xF9, 3) + u8(0xF8, 1) + u8(0xF9, 6))
    changed = u8(0x11, 1) + u16(100) + u8(1)
    seed("handshake", "changed", changed + run[0] + u8(0x10, 0) + u16(1000) + u8(7) + run[1] + u8(0x11, 4) + u16(9) + u8(1) + run[2])
    seed("handshake", "raw", u8(3, 0) + u16(64) + u8(1, 4) + bytes(62) + u8(2, 0) + u16(64) + u8(5, 4) + bytes(62))
    seed("handshake", "late", run[0] + u8(4, 255) + u8(4, 255) + run[1] + run[2] + u8(4, 255) + run[2])


def pad_seeds():
    pads = VECTORS["pads"]
    for i, vector in enumerate(pads["hellos"]):
        for choice, kind in enumerate(("hello", "welcome")):
            datagram = bytes.fromhex(vector[kind])
            seed("hello", f"{kind}-{i}", u8(choice) + datagram)
            seed("hello", f"{kind}-{i}-signed", u8(choice | 4) + datagram)
    for vector in pads["data"][:4]:
        seed("hello", f"data-{vector['name']}", u8(2 | 4) + bytes.fromhex(vector["datagram"]))
    for run in (0, 1, 3):
        seed("hello", f"mask-{run}", u8(3, run) + u16(84) + bytes.fromhex(pads["data"][-1]["pad"])[34:300])

    whole = b"".join(u8(0x40 | end, 9) for end in (0, 1, 1)) + u8(0x0D, 0, 0x0C, 1, 0x0C, 2, 0x0C, 2)
    changed = u8(0x40, 9) + u8(0x15, 0) + u16(3) + u8(1) + u8(0x15, 0) + u16(100) + u8(1) + u8(7, 0) + u16(5) + u8(0x0D, 0)
    reflected = u8(0x40, 9) + u8(0x0C, 0, 0x0D, 0, 0x0D, 0)
    raw = u8(9, 0) + u16(60) + struct.pack("<IQ", 0x1111, 64 + 65536) + bytes(48)
    late = u8(0x40, 255) + u8(0x40, 255) * 12 + u8(0x0D, 3) + u8(0x0B, 99) + u8(0x0D, 0)
    for choice in range(8):
        for name, steps in {"whole": whole, "changed": changed, "reflected": reflected, "raw": raw, "late": late}.items():
            seed("sealing", f"{name}-{choice}", u8(choice) + steps)


def config_seeds():
    key = VECTORS["identities"]["bob65"]["key_id_base64"]
    whole = f"""# a tunnel
[interface]
Name = snk0
PrivateKey = snek-cert.priv
Address = 10.66.0.1/24, fd66::1/64
Listen = [::]:10666
Cipher = auto
Padding = buckets
MTU = auto
Protection = pq
Reauthenticate = 3600

[peer laptop]
KeyID = {key}
AllowedIPs = 10.66.0.2/32, fd66::2/128
Endpoint = vpn.example.org:10666
Keepalive = 25
PresharedKey = psk
"""
    server = """[interface]
PrivateKey = k
Address = 10.66.0.1/24, fd66::1/64
ControlGroup = wheel
User = jorm
AuthorizedKeys = keys
Pool = 10.66.0.0/24, fd66::1/64
PushRoutes = 0.0.0.0/0, ::/0
PushDNS = 10.66.0.1, example.org
PushMTU = 1380
PushKeepalive = 25
ClientToClient = no
Masquerade = yes
PreUp = true
PostUp = logger "%i, up" ; true # said
PostUp = ip route add 10.9.0.0/16 dev %i
PreDown = true
PostDown = true
"""
    client = f"""[interface]
PrivateKey = k
Table = 51820
DNS = fd66::1, a-b.c_d
KillSwitch = yes
[peer s]
KeyID = {key}
Endpoint = [2001:db8::1]:10666
AllowedIPs = 0.0.0.0/0
AcceptAddress = yes
AcceptRoutes = no
AcceptDNS = no
AcceptMTU = no
AcceptKeepalive = no
"""
    pads = """[interface]
Address = 10.66.0.1/24
Pool = 10.66.0.0/24
Pads = pads
Burn = yes
MaxZeroRun = 16
AllowWeakPad = no
Padding = random
Protection = otp
[peer a]
Pad = a.pad
PadOffset = 1048576
AllowedIPs = 10.66.0.2/32
[peer b]
Protection = pq+otp
KeyID = x
PresharedKey = psk
"""
    together = b"[interface]\nPool=10.0.0.0/8,10.1.0.0/16,::/99,fd00::/31\nTable=off\nKillSwitch=yes\nUser=7\nDNS=-a,..\nPostUp=\n"
    seed("config", "server", server.encode())
    seed("config", "client", client.encode())
    seed("config", "pads", pads.encode())
    seed("config", "together", together)
    seed("config", "whole", whole.encode())
    seed("config", "mistakes", b"[peer]\nKeyId=x\nMtu = 99999999999\n[interface\n= 1\n\x00\xff[peer a b]\nAddress=1.2.3.4/99\n")
    seed("config", "twice", (whole + whole).replace("\n", "\r\n").encode())
    seed("config", "empty", b"\xef\xbb\xbf\n\n# nothing\n")


def keyfile_seeds():
    identity = VECTORS["identities"]["alice65"]
    seed("keyfile", "private", u8(0) + bytes.fromhex(identity["priv"]))
    seed("keyfile", "public", u8(1) + bytes.fromhex(identity["pub"]))
    seed("keyfile", "psk-text", u8(2) + identity["key_id_base64"].encode() + b"\n")
    seed("keyfile", "psk-raw", u8(2) + bytes.fromhex(identity["key_id"]))


def snek_meta_seeds():
    sig, unused = (base64.b64encode(data).decode() for data in (bytes(range(251)) * 13 + bytes(46), bytes(16)))
    whole = {"DataKeySig": sig, "aad_b64": unused}
    more = {"version": 3, "n": [-1.5e3, 10**30, None, True], "\u00e9\n": {"a": {}}}
    seed("snek_meta", "whole", u8(1) + json.dumps(whole).encode())
    seed("snek_meta", "more", u8(1) + json.dumps(more | whole, ensure_ascii=False).encode())
    seed("snek_meta", "empty", u8(1) + b'{"DataKeySig": "", "aad_b64": ""}')
    seed("snek_meta", "types", u8(1) + b'{"DataKeySig": ["%b"], "aad_b64": {}}' % sig[:8].encode())
    seed("snek_meta", "deep", u8(1) + 3000 * b"[")
    seed("snek_meta", "sealed", u8(0) + bytes(28) + struct.pack("<I", 100) + bytes(100))
    seed("snek_meta", "cut", u8(0) + bytes(28) + struct.pack("<I", 101) + bytes(100))
    for number, text in enumerate((sig[:80], "QUI=QUJD", "Q=Q==", "Q U\nI-=")):
        seed("snek_meta", f"base64-{number}", u8(2) + text.encode())


def snek_exchange_seeds():
    hello = struct.pack("<I", 1568) + bytes(1568)  # zeros are a KEM key, and a ciphertext
    meta = bytes(28) + struct.pack("<I", 64) + bytes(64)
    for role, name in enumerate(("server", "client")):
        seed("snek_exchange", name, u8(role) + hello + meta)
        seed("snek_exchange", f"{name}-cut", u8(role) + hello[:1000])
        seed("snek_exchange", f"{name}-length", u8(role) + struct.pack("<I", 0xFFFFFFFF) + hello[4:])
    seed("snek_exchange", "server-no-key", u8(0) + hello[:4] + 1568 * b"\xff" + meta)
    seed("snek_exchange", "server-long", u8(0) + hello + bytes(28) + struct.pack("<I", 65537) + bytes(64))


def snek_frame_seeds():
    """Lists of things: 0 a datagram, 1 a plaintext to seal (5 more: a fragment more), 2 again, 3 time, 4 our own."""

    def counted(kind, data):
        return u8(kind) + u16(len(data)) + data

    def plain(size, packet, pad=0):
        return struct.pack(">i", size) + packet + bytes(pad)

    packet = b"\x45\0" + struct.pack(">H", 60) + bytes(range(56))
    frame = struct.pack("<BQI12s", 1, 7, 80, bytes(range(12))) + bytes(80)
    part = struct.pack("<BQIIIHH12s", 3, 8, 40, 80, 9, 1, 2, bytes(range(12))) + bytes(40)
    again, time, own = u8(2) + struct.pack("<Q", 1 << 30), u8(3) + struct.pack("<I", 10_000_001), u8(4) + u16(700)
    sealed = plain(60, packet)
    things = {
        "whole": counted(1, sealed) + again,
        "fragments": counted(6, sealed) + counted(16, sealed) + again,
        "backwards": counted(0x80 | 11, plain(60, packet, 1476)) + again,
        "excess": counted(11, plain(60, packet, 3008)),
        "oddities": b"".join(counted(1, text) for text in (b"", b"abc", bytes(4), plain(-1, packet), plain(1537, packet))),
        "longer": counted(1, plain(1536, packet)),
        "not-ip": counted(1, plain(60, bytes(60))),
        "forged": counted(0, frame) + counted(0, part) + again,
        "several": counted(0, frame + part + frame),
        "short": b"".join(counted(0, bytes(size)) for size in (0, 1, 24)) + counted(0, b"\xff"),
        "long": counted(0, bytes(2049)) + again,
        "lengths": counted(0, frame[:-1]) + counted(0, frame + b"\xff") + counted(0, part[:-1]),
        "indices": counted(0, part[:21] + u16(2) + part[23:]) + counted(0, part[:23] + u16(65535) + part[25:]),
        "own": own + again + u8(4) + u16(30),
        "expiry": counted(0, part) + time + counted(0, part) + time,
    }
    for name, data in things.items():
        seed("snek_frame", name, data)
    seed("snek_frame", "all", b"".join(things.values()))


def otp_frame_seeds():
    """Steps of otp_frame.c: its authentic ones name a place, so no key is needed here."""

    def strange(data):
        return u8(0) + u16(len(data)) + data

    def authentic(size, place, change=0xFFFF):
        return u8(1) + u16(size) + u16(place) + u16(change) + bytes(range(8))

    back, again = u8(2, 60), u8(4)
    time = u8(3) + u16(3000)
    walk = b"".join(authentic(100, place) for place in range(0, 1900, 130))
    things = {
        "walk": walk + walk,
        "late": authentic(10, 1500) + authentic(10, 0) + authentic(10, 20) + authentic(10, 1500),
        "edges": authentic(50, 1900) + authentic(1969, 0) + authentic(14, 1971) + authentic(14, 1999),
        "changed": b"".join(authentic(20, 40 * i, i) for i in range(40)),
        "back": back * 5,
        "again": walk + again + walk + time + again + walk,
        "strange": strange(b"") + strange(bytes(22)) + strange(bytes(36)) + strange(bytes(29) + b"\xff" * 6),
        "places": b"".join(strange(bytes(40) + offset.to_bytes(6, "big")) for offset in (0, 1, 3930, 4001, 2**47, 2**48 - 1)),
    }
    for name, data in things.items():
        for first in range(4):
            seed("otp_frame", f"{name}-{first}", u8(first) + data)


def pieces(*texts):
    return b"".join(u8(len(text)) + text for text in texts)


def socket_seeds():
    get = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    seed("socket", "status", u8(2) + pieces(get))
    seed("socket", "pieces", u8(2) + pieces(get[:5], get[5:20], get[20:]))
    seed("socket", "twice", u8(2) + pieces(get + get))
    seed("socket", "events", u8(2) + pieces(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"", b""))
    body = b'{"name": "laptop"}'
    head = b"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    seed("socket", "post", u8(2) + pieces(head, body))
    chunked = b"POST /v1/peers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    seed("socket", "chunked", u8(2) + pieces(chunked, b"5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"))
    seed("socket", "long", u8(2) + pieces(b"GET /", *[200 * b"a"] * 8))
    seed("socket", "garbage", u8(2) + pieces(b"\0\xff{}\n\n", bytes(200)))
    for number, path in enumerate(("/v1/peers/a%20b%2F", "/v1/leases/fd66::2", "/v1/down", "/v1/peers/%0", "/metrics/")):
        seed("socket", f"path-{number}", u8(0, number % 4) + path.encode())
    whole = {
        "name": "laptop", "key_id": VECTORS["identities"]["bob65"]["key_id_base64"],
        "allowed_ips": ["10.66.0.2", "fd66::2/128"], "endpoint": "[2001:db8::1]:10666", "keepalive": 25,
    }  # fmt: skip
    seed("socket", "peer", u8(1) + json.dumps(whole).encode())
    seed("socket", "peer-nulls", u8(1) + json.dumps(whole | {"allowed_ips": None, "endpoint": None}).encode())
    seed("socket", "peer-wrong", u8(1) + json.dumps(whole | {"allowed_ips": ["1.2.3.4/99", 5]}).encode())


def main():
    for name, data in super_packets().items():
        for flags in (1, 2):
            seed("packet", f"{name}-{flags}", u8(flags) + data)
    for name, data in super_frames().items():
        seed("ether", name, u8(1) + data)
    session_seeds()
    wire_seeds()
    stream_seeds()
    handshake_seeds()
    config_seeds()
    keyfile_seeds()
    pad_seeds()
    snek_meta_seeds()
    snek_exchange_seeds()
    snek_frame_seeds()
    otp_frame_seeds()
    socket_seeds()


if __name__ == "__main__":
    main()
