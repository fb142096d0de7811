#!/usr/bin/env python3
"""Writes ../jorm4.json, the frozen test vectors of protocol 4, from protocol.py; with --check, compares instead.

Everything random is SHAKE-256("jorm4 vectors" || name), so that the file can be made again byte for byte. Both sides
of each handshake and rekey are run, the second one by parsing what the first one sent, and must agree.
"""

import argparse
import hashlib
import json
import pathlib
import struct
import sys

import primitives as p
import protocol as jorm

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "jorm4.json"


def draw(name, length):
    return hashlib.shake_256(b"jorm4 vectors" + name.encode()).digest(length)


def draw_u32(name):
    return int.from_bytes(draw(name, 4), "little")


def must_equal(*values):
    if any(v != values[0] for v in values):
        raise AssertionError("the two sides disagree")


# ---------------------------------------------------------------------------------------------------------------------
# Identities

def make_identities():
    return {name: jorm.Identity(alg, draw(f"{name}/xi", 32))
            for name, alg in (("alice65", 1), ("bob65", 1), ("alice87", 2), ("bob87", 2))}


def identity_vector(identity):
    return {"alg": identity.alg, "xi": identity.xi, "pub": identity.pub, "priv": identity.priv,
            "key_id": identity.key_id, "key_id_base64": identity.key_id_text}


# ---------------------------------------------------------------------------------------------------------------------
# Handshakes

class Handshake:
    """One case: draws its inputs, runs both sides, keeps what the vectors tell."""

    def __init__(self, identities, name, initiator, responder, suites, suite,
                 psk=False, pad_offset=None, tlvs=b"", reject=None, cookie=False):
        self.name = name
        self.initiator, self.responder = identities[initiator], identities[responder]
        self.inputs = {
            "initiator": initiator, "responder": responder,
            "sender_I": draw_u32(f"{name}/sender_I"), "sender_R": draw_u32(f"{name}/sender_R"),
            "nonce": draw(f"{name}/nonce", 32), "suites": suites, "suite": suite,
            "x25519_I": draw(f"{name}/x25519_I", 32), "x25519_R": draw(f"{name}/x25519_R", 32),
            "kem_d": draw(f"{name}/kem_d", 32), "kem_z": draw(f"{name}/kem_z", 32),
            "kem_m": draw(f"{name}/kem_m", 32),
            "rnd_R": draw(f"{name}/rnd_R", 32), "rnd_I": draw(f"{name}/rnd_I", 32),
            "psk": draw(f"{name}/psk", 32) if psk else b"",
            "pad_secret": b"" if pad_offset is None else draw(f"{name}/pad_secret", 64),
            "pad_ref": jorm.NO_PAD_REF if pad_offset is None
            else jorm.pad_ref(draw(f"{name}/pad_id", 16), pad_offset),
            "tlvs": tlvs,
        }
        self.run()
        self.check_other_side()
        self.extras = {}
        if reject:
            self.extras["reject"] = self.run_reject(*reject)
        if cookie:
            self.extras["cookie"] = self.run_cookie()

    def run(self):
        i = self.inputs
        self.ks = ks = jorm.KeySchedule(self.responder.key_id)
        ek_i, self.dk_i = p.mlkem1024_keygen(i["kem_d"], i["kem_z"])
        epk_i = p.x25519_public(i["x25519_I"])
        self.init = jorm.build_init(i["nonce"], i["suites"], epk_i, ek_i)
        ks.add_init(i["sender_I"], self.init)
        self.resp, self.sig_r = jorm.build_resp(ks, self.responder, i["suite"], i["sender_R"], epk_i, ek_i,
                                                i["x25519_R"], i["kem_m"], i["rnd_R"])
        self.finish, self.sig_i = jorm.build_finish(ks, self.initiator, i["psk"], i["pad_secret"], i["pad_ref"],
                                                    i["tlvs"], i["rnd_I"])
        self.datagrams = {
            "init": jorm.fragment(jorm.INIT, i["sender_I"], 0, self.init, jorm.mac1_key(self.responder.key_id)),
            "resp": jorm.fragment(jorm.RESP, i["sender_R"], i["sender_I"], self.resp, jorm.mac1_key(ks.init_hash)),
            "finish": jorm.fragment(jorm.FINISH, i["sender_I"], i["sender_R"], self.finish, ks.k_m3),
        }

    def check_other_side(self):
        """What run() built, taken apart by the side that it was for, from the datagrams on."""
        i, datagrams = self.inputs, self.datagrams
        other = jorm.KeySchedule(self.responder.key_id)
        init = jorm.reassemble(jorm.INIT, i["sender_I"], 0, datagrams["init"], jorm.mac1_key(self.responder.key_id))
        nonce, suites, _, _ = jorm.parse_init(init)
        must_equal((nonce, suites), (i["nonce"], i["suites"]))
        other.add_init(i["sender_I"], init)
        resp = jorm.reassemble(jorm.RESP, i["sender_R"], i["sender_I"], datagrams["resp"][::-1],
                               jorm.mac1_key(other.init_hash))
        suite = jorm.open_resp(other, resp, i["sender_R"], suites, i["x25519_I"], self.dk_i, self.responder.key_id)
        finish = jorm.reassemble(jorm.FINISH, i["sender_I"], i["sender_R"], datagrams["finish"] * 2, other.k_m3)
        tlvs = jorm.open_finish(other, finish, self.initiator.key_id, i["psk"], i["pad_secret"], i["pad_ref"])
        must_equal((suite, tlvs), (i["suite"], i["tlvs"]))
        must_equal(vars(other), vars(self.ks))

    def run_reject(self, code, text):
        i, ks = self.inputs, self.ks
        message = jorm.build_reject(ks, self.finish, code, text)
        datagrams = jorm.fragment(jorm.REJECT, i["sender_R"], i["sender_I"], message, jorm.mac1_key(ks.init_hash))
        must_equal(jorm.open_reject(ks, self.finish, message), (code, text))
        return {"code": code, "text": text.encode(), **message_vector(message, datagrams)}

    def run_cookie(self):
        sender, key_id = self.inputs["sender_I"], self.responder.key_id
        salt, cookie = draw(f"{self.name}/salt", 24), draw(f"{self.name}/cookie", 16)
        mac1 = self.datagrams["init"][0][-32:-16]
        datagram = jorm.build_cookie(sender, salt, cookie, key_id, mac1)
        must_equal(jorm.open_cookie(datagram, sender, key_id, mac1), cookie)
        repeated = jorm.fragment(jorm.INIT, sender, 0, self.init, jorm.mac1_key(key_id), cookie)
        return {"salt": salt, "cookie": cookie, "cause": 0, "cause_mac1": mac1, "datagram": datagram,
                "init_datagrams": [datagram_vector(d) for d in repeated]}

    def vector(self):
        i, ks = self.inputs, self.ks
        kem_secret = p.mlkem1024_decaps(self.dk_i, self.resp[32:1600])
        intermediate = {
            "key_id_I": self.initiator.key_id, "key_id_R": self.responder.key_id,
            "kem_secret": kem_secret, "x25519_secret": p.x25519(i["x25519_I"], self.resp[:32]),
            "init_hash": ks.init_hash, "psk_ref": jorm.psk_ref(i["psk"]),
            "sig_R_sha256": hashlib.sha256(self.sig_r).digest(), "sig_I_sha256": hashlib.sha256(self.sig_i).digest(),
        }
        intermediate |= {name: getattr(ks, name) for name in (
            "h0", "h1", "h2", "PRK", "k_hr", "k_hi", "k_m3", "k_rj", "k_fr", "s", "h3", "fin_R", "h4",
            "T", "k_fi", "h5", "fin_I", "h6", "k_i2r", "k_r2i", "rekey_0")}
        return {"name": self.name, "inputs": i, "intermediate": intermediate,
                "init": message_vector(self.init, self.datagrams["init"]),
                "resp": message_vector(self.resp, self.datagrams["resp"]),
                "finish": message_vector(self.finish, self.datagrams["finish"]), **self.extras}


def datagram_vector(datagram):
    """Without the body, which is the message's next 1184 bytes: the file would be twice the size."""
    return {"header": datagram[:16], "mac1": datagram[-32:-16], "mac2": datagram[-16:],
            "length": len(datagram), "sha256": hashlib.sha256(datagram).digest()}


def message_vector(message, datagrams):
    return {"message": message, "datagrams": [datagram_vector(d) for d in datagrams]}


def make_handshakes(identities):
    # The request is long enough to make Finish a datagram longer.
    tlvs = jorm.tlv(1, b"laptop") + jorm.tlv(200, draw("request/tlvs", 600))
    return [
        Handshake(identities, "65-65-chacha20", "alice65", "bob65", 1, 1, cookie=True),
        Handshake(identities, "65-87-aes", "alice65", "bob87", 3, 2),
        Handshake(identities, "87-65-psk", "alice87", "bob65", 3, 1, psk=True,
                  reject=(1, "not authorised \u2013 ask your administrator")),
        Handshake(identities, "65-65-psk-pad", "alice65", "bob65", 3, 2, psk=True, pad_offset=0x0123456789),
        Handshake(identities, "65-65-request", "alice65", "bob65", 3, 1, tlvs=tlvs),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Rekeys

def run_rekey(handshake, number, epoch, starter, pad_offset=None):
    """-> the next epoch, the vector"""
    name = f"{handshake.name}/rekey{number}"
    inputs = {"handshake": handshake.name, "n": number, "starter": starter}
    inputs |= {key: draw(f"{name}/{key}", 32)
               for key in ("x25519_starter", "x25519_answerer", "kem_d", "kem_z", "kem_m")}
    inputs |= {
        "index_starter": draw_u32(f"{name}/index_starter"), "index_answerer": draw_u32(f"{name}/index_answerer"),
        "pad_secret": b"" if pad_offset is None else draw(f"{name}/pad_secret", 64),
        "pad_ref": jorm.NO_PAD_REF if pad_offset is None else handshake.inputs["pad_ref"][:16] + jorm.u64(pad_offset),
    }
    ek, dk = p.mlkem1024_keygen(inputs["kem_d"], inputs["kem_z"])
    kem_secret, ct = p.mlkem1024_encaps(ek, inputs["kem_m"])
    epk_starter, epk_answerer = (p.x25519_public(inputs[k]) for k in ("x25519_starter", "x25519_answerer"))
    x25519_secret = p.x25519(inputs["x25519_starter"], epk_answerer)
    must_equal(x25519_secret, p.x25519(inputs["x25519_answerer"], epk_starter))
    must_equal(kem_secret, p.mlkem1024_decaps(dk, ct))
    rekey1 = jorm.build_rekey1(epk_starter, ek, inputs["index_starter"], inputs["pad_ref"])
    rekey2 = jorm.build_rekey2(epk_answerer, ct, inputs["index_answerer"])
    following, secret = epoch.next(rekey1, rekey2, kem_secret, x25519_secret, inputs["pad_secret"])
    return following, {
        "inputs": inputs, "rekey1": rekey1, "rekey2": rekey2,
        "kem_secret": kem_secret, "x25519_secret": x25519_secret,
        "r_before": epoch.r, "rekey_before": epoch.rekey, "r": following.r, "T": secret,
        "k_i2r": following.k_i2r, "k_r2i": following.k_r2i, "rekey": following.rekey,
    }


def make_rekeys(handshakes):
    plain = handshakes["65-65-chacha20"]
    epoch = jorm.Epoch.of_handshake(plain.ks)
    epoch, first = run_rekey(plain, 1, epoch, "initiator")
    _, second = run_rekey(plain, 2, epoch, "responder")
    padded = handshakes["65-65-psk-pad"]
    _, third = run_rekey(padded, 1, jorm.Epoch.of_handshake(padded.ks), "initiator", pad_offset=0x0123456789 - 64)
    return [first, second, third]


# ---------------------------------------------------------------------------------------------------------------------
# Data

def ones_sum(data):
    """The Internet checksum's sum (RFC 1071), not complemented."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def udp_packet(payload, partial_checksum=False):
    """An IPv4 packet from 10.4.0.2 to 10.4.0.1; the payload's length is even."""
    addresses = bytes([10, 4, 0, 2, 10, 4, 0, 1])
    length = 8 + len(payload)
    pseudo_sum = ones_sum(addresses + struct.pack(">HH", 17, length))
    ports = struct.pack(">HHH", 4000, 4001, length)
    checksum = pseudo_sum
    if not partial_checksum:
        checksum = ~ones_sum(struct.pack(">H", pseudo_sum) + ports + payload) & 0xffff
    header = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 1, 0x4000, 64, 17)
    header += struct.pack(">H", ~ones_sum(header + addresses) & 0xffff) + addresses
    return header + ports + struct.pack(">H", checksum) + payload


def frame_cases():
    """-> [(name, [(kind, flags, body)])]"""
    packet = udp_packet(draw("data/payload", 56))
    long_packet = udp_packet(draw("data/long_payload", 172))
    probe = draw("data/probe", 8)
    ethernet = bytes.fromhex("02000000000102000000000208004a4f")
    return [
        ("ip_packet", [(jorm.FRAME_IP, 0, packet)]),
        ("ip_packet_partial_checksum",
         [(jorm.FRAME_IP, jorm.FLAG_PARTIAL_CHECKSUM, udp_packet(draw("data/payload", 56), partial_checksum=True))]),
        ("two_small", [(jorm.FRAME_IP, 0, udp_packet(b"ping")), (jorm.FRAME_ETHERNET, 0, ethernet)]),
        ("fragment_first", [(jorm.FRAME_FRAGMENT, 0, jorm.fragment_body(7, 0, 200, long_packet[:120]))]),
        ("fragment_last", [(jorm.FRAME_FRAGMENT, 0, jorm.fragment_body(7, 120, 200, long_packet[120:]))]),
        ("path_probe", [(jorm.FRAME_PROBE, 0, probe)]),
        ("path_probe_echo", [(jorm.FRAME_PROBE, jorm.FLAG_PROBE_ECHO, probe)]),
        ("control", [(jorm.FRAME_CONTROL, 0, jorm.bare_ack(1))]),
        ("empty", []),
    ]


# The plaintext that fits IPv6's minimum: 1280 less headers of IPv6, UDP and Data, and the tag.
FULL = 1280 - 40 - 8 - 16 - 16
COUNTERS = (0, 1, 2**32 - 1, 2**40)


def data_vector(suite, counter, name, frames, padding):
    key, receiver = draw(f"data/{suite}/key", 32), draw_u32(f"data/{suite}/receiver")
    encoded = b"".join(jorm.frame(*f) for f in frames)
    length = {"none": len(encoded), "buckets": jorm.bucket_length(len(encoded), FULL), "full": FULL}[padding]
    datagram = jorm.seal_data(suite, key, receiver, counter, encoded, length)
    got_counter, plaintext = jorm.open_data(suite, key, receiver, datagram)
    must_equal((got_counter, jorm.parse_frames(plaintext)), (counter, frames))
    return {"name": name, "suite": suite, "key": key, "receiver": receiver, "counter": counter,
            "frames": [{"kind": kind, "flags": flags, "body": body} for kind, flags, body in frames],
            "frames_encoded": encoded, "plaintext_length": length, "datagram": datagram}


def make_data():
    vectors = []
    for suite in (jorm.SUITE_CHACHA20_POLY1305, jorm.SUITE_AES_256_GCM):
        cases = [(name, frames, "buckets") for name, frames in frame_cases()]
        packet, empty = cases[0], cases[-1]
        cases += [packet] * 3 + [(*packet[:2], "none"), (*empty[:2], "none"), (*packet[:2], "full")]
        for i, (name, frames, padding) in enumerate(cases):
            vectors.append(data_vector(suite, COUNTERS[i % len(COUNTERS)], name, frames, padding))
    return vectors


def make_buckets():
    lengths = (0, 1, 64, 65, 256, 257, 512, 513, FULL)
    return [{"length": n, "full": FULL, "padded": jorm.bucket_length(n, FULL)} for n in lengths]


# ---------------------------------------------------------------------------------------------------------------------
# Control

def control_vector(name, identifier, ack, kind, part, parts, body):
    encoded = jorm.control_part(identifier, ack, kind, part, parts, body)
    return {"name": name, "id": identifier, "ack": ack, "type": kind, "part": part, "parts": parts, "body": body,
            "encoded": encoded, "frame": jorm.frame(jorm.FRAME_CONTROL, 0, encoded)}


def make_control():
    # The ids of the two parts go over the wrap: 65535 is followed by 1.
    message = jorm.tlv(1, draw("control/tlv1", 20)) + jorm.tlv(2, draw("control/tlv2", 30))
    must_equal(jorm.bare_ack(3), jorm.control_part(0, 3, jorm.CONTROL_ACK, 0, 1, b""))
    return [
        control_vector("bare_ack", 0, 3, jorm.CONTROL_ACK, 0, 1, b""),
        control_vector("bare_ack_of_none", 0, 0, jorm.CONTROL_ACK, 0, 1, b""),
        control_vector("close", 2, 1, jorm.CONTROL_CLOSE, 0, 1, b""),
        control_vector("part_0_of_2", 65535, 513, jorm.CONTROL_ACCEPT, 0, 2, message[:32]),
        control_vector("part_1_of_2", 1, 513, jorm.CONTROL_ACCEPT, 1, 2, message[32:]),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# One-time pads

def layout_vector(size):
    layout = jorm.PadLayout(size)
    last = layout.n_blocks * jorm.PAD_BLOCK - 1
    positions = sorted({0, 1, 65535, 65536, 65537, 3 * 65536 + 77, last // 2, last - 65536, last})
    return {"size": size, "n_slots": layout.n_slots, "traffic": layout.traffic, "n_blocks": layout.n_blocks,
            "walk": [{"position": q, "responder": layout.offset(jorm.RESPONDER, q),
                      "initiator": layout.offset(jorm.INITIATOR, q)} for q in positions]}


def sparse(name, length):
    """Bytes of which about half are zero, in runs."""
    data, pattern = draw(name, length), draw(f"{name}/zeros", length)
    return bytes(x if pattern[i // 8] & 1 << i // 4 % 8 else 0 for i, x in enumerate(data))


def pad_data_cases():
    """-> (name, pad, frames, n bytes of noise, max_zero_run)"""
    packet = jorm.frame(jorm.FRAME_IP, 0, udp_packet(draw("data/payload", 56)))
    pad, zeros = draw("pads/data/pad", 600), draw("pads/data/sparse/key", 34) + sparse("pads/data/sparse", 2000)
    return [
        ("empty", pad[:34], b"", 0, 0),
        ("padding_alone", pad[:34], b"", 30, 0),
        ("packet", pad, packet, 0, 0),
        ("packet_and_padding", pad, packet, 400, 0),
        ("zeros_are_used", zeros, packet, 7, 0),
        ("zeros_in_runs_of_3", zeros, packet, 7, 3),
        ("zeros_in_runs_of_1", zeros, packet, 0, 1),
    ]


def pad_data_vector(case):
    name, pad, frames, n_noise, max_zero_run = case
    receiver, offset = draw_u32("pads/data/receiver"), 0x0123456789ab
    noise = draw(f"pads/data/{name}/noise", n_noise)
    datagram, used = jorm.seal_pad_data(receiver, offset, pad, frames, noise, max_zero_run)
    must_equal(jorm.open_pad_data(receiver, offset, pad, datagram, max_zero_run), frames)
    plaintext, masked = jorm.masked_plaintext(offset, pad[34:], frames, 10 + len(frames) + n_noise, max_zero_run)
    return {"name": name, "receiver": receiver, "offset": offset, "pad": pad, "frames": frames, "noise": noise,
            "max_zero_run": max_zero_run, "datagram": datagram, "pad_used": used,
            "masked_plaintext": plaintext, "masked_pad_used": masked}


def hello_vector(name, status, max_zero_run):
    slot_bytes, sender, receiver, slot = draw(f"pads/{name}/slot", 256), draw_u32(f"pads/{name}/sender"), \
        draw_u32(f"pads/{name}/receiver"), draw_u32(f"pads/{name}/number") % 4096
    marks = {"sent": 0x0102030405, "received": 0x1112131415, "boundary": 0x212223,
             "random": draw(f"pads/{name}/random", 8), "status": status, "max_zero_run": max_zero_run}
    hello = jorm.build_hello(slot_bytes, sender, slot, *marks.values())
    welcome = jorm.build_welcome(slot_bytes, sender, receiver, slot, *marks.values())
    must_equal(jorm.open_hello(slot_bytes, hello), jorm.open_welcome(slot_bytes, welcome))
    return {"slot_bytes": slot_bytes, "sender": sender, "receiver": receiver, "slot": slot, **marks,
            "hello": hello, "welcome": welcome}


def make_pads():
    pad_id = draw("pads/id", 16)
    marks = {"pad_id": pad_id, "sent": 2**40 + 1, "received": 2**33 + 2, "boundary": 77, "max_zero_run": 4}
    return {
        "layouts": [layout_vector(n) for n in (2**20, 2**20 + 4095, 10**7 + 1, 100 * 2**20, 2**34, 2**48)],
        "data": [pad_data_vector(case) for case in pad_data_cases()],
        "hellos": [hello_vector("hello0", 0, 0), hello_vector("hello1", 3, 9)],
        "marks": {**marks, "request": jorm.pad_marks_tlv(1, *marks.values()),
                  "accept": jorm.pad_marks_tlv(7, *marks.values())},
    }


# ---------------------------------------------------------------------------------------------------------------------

def make_vectors():
    identities = make_identities()
    handshakes = make_handshakes(identities)
    return {
        "about": "jorm protocol 4. Made by reference/generate.py, not edited by hand. Bytes are hex, numbers are "
                 "numbers; \"\" is an absent secret. A datagram is header, the message's next 1184 bytes, mac1, mac2.",
        "protocol": jorm.VERSION,
        "identities": {name: identity_vector(identity) for name, identity in identities.items()},
        "handshakes": [h.vector() for h in handshakes],
        "rekeys": make_rekeys({h.name: h for h in handshakes}),
        "data": make_data(),
        "buckets": make_buckets(),
        "control": make_control(),
        "pads": make_pads(),
    }


def hexed(value):
    """The same with bytes as hex, as JSON wants it."""
    if isinstance(value, dict):
        return {k: hexed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hexed(v) for v in value]
    return value.hex() if isinstance(value, bytes) else value


def first_difference(a, b, path="jorm4.json"):
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = ((f"{path}.{k}", a.get(k), b.get(k)) for k in a | b)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = ((f"{path}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b)))
    else:
        return None if a == b else path
    return next((found for name, x, y in pairs if (found := first_difference(x, y, name))), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check

    vectors = hexed(make_vectors())
    text = json.dumps(vectors, indent=1) + "\n"
    if not check:
        OUTPUT.write_text(text)
        print(f"{OUTPUT}: {len(text)} bytes")
        return 0
    current = OUTPUT.read_text() if OUTPUT.exists() else ""
    if current == text:
        return 0
    try:
        where = first_difference(json.loads(current), vectors) or "the layout"
    except ValueError:
        where = "the whole file (it is not JSON)"
    print(f"{OUTPUT} is not what the reference makes; first difference: {where}.\n"
          "If protocol.md changed on purpose, run generate.py; else one of the two is wrong.",
          file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
