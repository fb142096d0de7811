"""IP packets made by hand, and their checksums checked by hand."""

import ipaddress
import struct


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo(source, target, protocol, length):
    return packed(source) + packed(target) + struct.pack("!II", length, protocol)


def ipv4(source, target, protocol, payload, identification=1, fragment=0, tos=0, ttl=64, options=b""):
    """`fragment`: the whole field, flags and offset."""
    size = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | size // 4, tos, size + len(payload), identification, fragment, ttl, protocol, 0,
        packed(source), packed(target),
    ) + options  # fmt: skip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, protocol, payload, traffic_class=0, label=0, hops=64):
    first = 6 << 28 | traffic_class << 20 | label
    return struct.pack("!IHBB", first, len(payload), protocol, hops) + packed(source) + packed(target) + payload


def udp(source, target, source_port, target_port, payload, with_checksum=True):
    length = 8 + len(payload)
    head = struct.pack("!HHHH", source_port, target_port, length, 0)
    if not with_checksum:
        return head + payload
    value = checksum(pseudo(source, target, 17, length) + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", value) + payload


def wrong_checksums(frames):
    """Of Ethernet frames: those whose IPv4, TCP, UDP or ICMP checksum is wrong, and how many were looked at."""
    wrong, seen = [], 0
    for frame in frames:
        kind = struct.unpack_from("!H", frame, 12)[0]
        packet = frame[14:]
        if kind == 0x0800:
            length, head = struct.unpack_from("!H", packet, 2)[0], (packet[0] & 15) * 4
            protocol, body = packet[9], packet[head:length]
            addresses = packet[12:20]
            if checksum(packet[:head]):
                wrong.append(frame)
            if struct.unpack_from("!H", packet, 6)[0] & 0x3FFF:
                continue  # a fragment: its checksum is over the whole
        elif kind == 0x86DD:
            protocol, body = packet[6], packet[40 : 40 + struct.unpack_from("!H", packet, 4)[0]]
            addresses = packet[8:40]
        else:
            continue
        if protocol not in (6, 17, 58) and not (protocol == 1 and kind == 0x0800):
            continue
        seen += 1
        if protocol == 17 and body[6:8] == b"\0\0" and kind == 0x0800:
            continue  # UDP over IPv4 may go without
        before = b"" if protocol == 1 else addresses + struct.pack("!II", len(body), protocol)
        if checksum(before + body):
            wrong.append(frame)
    return wrong, seen
