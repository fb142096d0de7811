"""The scripted older peers themselves: the vectors, and one against the other. What they do not survive ends them here,
too, or the tests that look for that would find nothing."""

import hashlib
import itertools
import pathlib
import re
import struct

import pytest

import old_otptunnel
import old_snek
import oldcrypto
import wait
from compat import OtpPair, Snek, SnekPair, Spoofer, fatal_datagrams
from program import identity
from traffic import Flood, answers, iperf, ping, transfer

MIB = 1 << 20
CASE = pathlib.Path(__file__).resolve().parents[1] / "unit/compat/snek_case.h"

# Of inner packets: length, length of the plaintext, SHA-256 of the datagrams behind each other.
FRAMES = [
    (20, 64, "6cccf3f2d26742ed264b4663eb5994d9cb3ae55b0a85ab392a9c1f2f328b9002"),
    (60, 64, "aee8308d5496dbda66eb308cdce19db99e199c65be54b4bc70e5ed0503981f79"),
    (61, 65, "5d471e2b41dc3597c4d20f83efd96083e0e7a2f30a68c93f7421cd69cd482ed1"),
    (64, 68, "06bd86196ee6d4da9e90416492653d2655d62cc6847e35bfbc0565e22c6c0b0f"),
    (65, 256, "af5d3d47c3d228bb3391fb4d3b9618119c83767e6df33b275f7ddb9ad3914e22"),
    (252, 256, "57853e175834fff641ddeeb3b674bd9eda619d5ba53646bef7f142c3e56c8652"),
    (256, 260, "ee7d54c002f501d48a73931da510f2674dc8c3a4fede25a97ab61ddb37b57ab2"),
    (257, 512, "55dcf4853bfa5400e960c28f6ad911bf6583e6f4952c4a88eba6b58a0f3d39f7"),
    (512, 516, "81f8293a2cd23e098b2913bfbeff488ab39f4b9cb141c7227e40c71ba57ac60f"),
    (513, 1536, "1844b6a29082084c57cc72362786e8ccb607aef16db6647118168809e5bf11cb"),
    (1532, 1536, "b7fb4180c0484d3ff2b0b4337537954c3c047990b1e28ac6a2a5bfe48b64ca9d"),
    (1533, 1537, "1ac669506bd4e89d944bf7a7de461474ce8b09e3c464f9490dbad3d67d567b99"),
    (1536, 1540, "5d61ed6b22dc785122035af5d8e87d4098e3a97980185858392448ca88e4f2b7"),
]


def case():
    """The exchange with fixed randomness that the unit tests have, too."""
    text = CASE.read_text().replace("\\\n", " ")
    values = re.findall(r'^#define SNEK_CASE_(\w+)\s+("[^\n]*")', text, re.M)
    return {name: bytes.fromhex(re.sub(r'[" \t]', "", value)) for name, value in values}


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- vectors ---------------------------------------------------------------------------------


def test_vectors_of_the_key_exchange():
    v = case()
    ciphertext, secret = oldcrypto.encapsulate(v["KEM_KEY"], v["KEM_RANDOM"])
    assert (sha256(ciphertext), secret) == (v["CIPHERTEXT_SHA256"], v["SECRET"])
    assert old_snek.derive(secret, v["SALT"]) == (v["HANDSHAKE_KEY"], v["DATA_KEY"])
    public, private = oldcrypto.keypair(True)
    ciphertext, secret = oldcrypto.encapsulate(public)
    assert oldcrypto.decapsulate(private, ciphertext) == secret
    assert oldcrypto.decapsulate(private, bytes([ciphertext[0] ^ 1]) + ciphertext[1:]) != secret
    with pytest.raises(oldcrypto.Refused):
        oldcrypto.encapsulate(public[:-1])


def test_vectors_of_the_signature_and_the_meta_message():
    v = case()
    secret, data_key = v["SECRET"], v["DATA_KEY"]
    public, private = oldcrypto.keypair(False, v["XI"])
    assert sha256(public) == v["PUBLIC_KEY_SHA256"]
    signature = oldcrypto.sign(private, data_key, deterministic=True)
    assert sha256(signature) == v["SIG_SHA256"]
    for message, context, is_right in (
        (data_key, b"SEPC-HF5", True), (data_key[::-1], b"SEPC-HF5", False), (data_key, b"", False),
    ):  # fmt: skip
        assert oldcrypto.verify(public, message, signature, context) == is_right
    message, key = old_snek.build_meta(private, secret, v["SALT"], v["NONCE"], v["UNUSED"], deterministic=True)
    assert sha256(message) == v["MESSAGE_SHA256"] and key == data_key
    assert old_snek.open_meta(secret, v["SALT"], message[16:28], message[32:]) == (signature, data_key)
    with pytest.raises(oldcrypto.Refused):
        old_snek.open_meta(secret, v["SALT"], message[16:28], message[32:-1] + bytes([message[-1] ^ 1]))


@pytest.mark.parametrize("number", range(len(FRAMES)))
def test_vectors_of_frames(number):
    """In the vectors the padding is 00 01 02 ..., and nonces, numbers and packets have a rule."""
    length, plain_length, digest = FRAMES[number]
    packet = b"\x45\0" + struct.pack(">H", length) + bytes((length + i) & 0xFF for i in range(length - 4))
    nonce = bytes(range(number, number + 12))
    plaintext = struct.pack(">i", length) + packet + bytes(i & 0xFF for i in range(plain_length - 4 - length))
    sealer, opener = old_snek.Sealer(case()["DATA_KEY"]), old_snek.Opener(case()["DATA_KEY"])
    sealer.sequence = 2 * number
    datagrams = sealer.frames(plaintext, nonce, 0x01020304 + number)
    assert sha256(b"".join(datagrams)).hex() == digest
    assert [opener.packets(datagram) for datagram in datagrams] == [[]] * (len(datagrams) - 1) + [[packet]]
    # Sizes with padding of its own: the same, or, where a bucket is full, rarely another.
    sizes = [len(datagram) for datagram in datagrams]
    seen = [[len(d) for d in sealer.datagrams(packet)] for _ in range(200)]
    assert seen.count(sizes) > (190 if plain_length == length + 4 else 199), seen


def test_the_rare_padding_comes_and_is_taken():
    sealer, opener = old_snek.Sealer(bytes(32)), old_snek.Opener(bytes(32))
    packet = b"\x45" + bytes(59 + 4)
    count = 0
    for _ in range(20000):
        datagrams = sealer.datagrams(packet)
        assert [p for d in datagrams for p in opener.packets(d)] == [packet]
        if len(datagrams) > 1:
            assert [len(d) for d in datagrams] == [37 + 1536, 37 + 64 + 16]
            count += 1
    assert 10 <= count <= 150  # 4 in 1541: 52


# ---- what is fatal is found ------------------------------------------------------------------


@pytest.mark.parametrize("name", fatal_datagrams(bytes(32)))
def test_what_the_old_snek_dies_of(name):
    opener = old_snek.Opener(bytes(32))
    with pytest.raises(old_snek.Fatal):
        opener.packets(fatal_datagrams(bytes(32))[name])


def test_what_the_old_snek_takes():
    """Each odd form gives its packet, once."""
    sealer, opener = old_snek.OddSealer(bytes(32)), old_snek.Opener(bytes(32))
    for number, size in itertools.product(range(2 * len(sealer.forms)), (20, 64, 600, 1536)):
        packet = bytes([0x45 if number % 2 else 0x60]) + bytes([number]) * (size - 1)
        datagrams = sealer.datagrams(packet)
        assert max(map(len, datagrams)) <= old_snek.DATAGRAM_MAX
        assert [p for d in datagrams for p in opener.packets(d)] == [packet], (number, size)


def otp_of(length, offset=0):
    return old_otptunnel.Pad(bytes(range(256))[:length], offset)


def test_vectors_of_otptunnel():
    frame = bytes.fromhex("ffffffffffff 020000000001 0806 68656c6c6f")
    client, server = otp_of(256), otp_of(256, 1)
    assert client.seal(frame).hex() == (
        "fffdfbf9f7f50e0e10121417101c747b4c4e4b686d170b8777d2b35d5d7550807a3a58000000000000"
    ) and client.offset == 70
    assert server.seal(frame).hex() == (
        "fefcfaf8f6f40f0f11131516111d757a4d4f4a696c160a8676d3b25c5c7451817b3b59000000000001"
    ) and server.offset == 71
    key = b"".join(hashlib.sha256(b"otp-vector-key" + struct.pack(">I", i)).digest() for i in range(32))
    frame = bytes.fromhex("ffffffffffffb290b24f47aa08060001080006040001b290b24f47aa0a0800020000000000000a080001")
    datagram = old_otptunnel.Pad(key, 668).seal(frame)
    assert datagram.hex() == (
        "864828f04bdbdc4eda24e690f428e5ad696abed3fcfb9f7d5a0833ef742c561fed8de6c4bc9c"
        "7ab670b851c33ef1a4a3a593fc64c2af17e8c3ba00000000029c"
    )
    assert old_otptunnel.Pad(key, 1).open(datagram) == frame
    assert old_otptunnel.Pad(key, 1).open(bytes([datagram[0] ^ 1]) + datagram[1:]) is None
    assert old_otptunnel.Pad(key, 1).open(datagram[-21:]) is None


def test_what_the_old_otptunnel_dies_of():
    with pytest.raises(old_otptunnel.Fatal):
        otp_of(256).open(bytes(30) + (256 - 2 * 29).to_bytes(6, "big"))
    assert otp_of(256).open(bytes(30) + (256 - 2 * 30).to_bytes(6, "big")) is None
    with pytest.raises(old_otptunnel.Fatal):
        otp_of(64).seal(bytes(17))


# ---- one against the other -------------------------------------------------------------------


def test_old_snek_against_old_snek(lab):
    SnekPair(lab, True, True).start()
    for source, target in ((lab.client, lab.server), (lab.server, lab.client)):
        for family in (4, 6):
            assert ping(source, target.inner(family), 3) == 3
        for size in (0, 36, 37, 1000, 1508):
            assert ping(source, target.inner(4), 2, size) == 2, size
        transfer(source, target, target.inner(4), MIB)
        assert iperf(source, target, target.inner(4), "-b", "20M", seconds=1)["sum_received"]["bytes"] > MIB


def test_the_old_snek_dies_as_it_did(lab):
    """One stray byte from where its peer is: nothing comes in any more, while it still sends. A key that it does not
    know: its server ends."""
    pair = SnekPair(lab, True, True).start()
    pair.client.may_die = pair.server.may_die = True
    with Spoofer(lab, lab.client, pair.data_port, lab.server, pair.server_port()) as spoofer:
        spoofer.send(b"\xff")
    pair.server.wait_for("FATAL out of step")
    assert not answers(lab.client, lab.server.inner(4))
    assert pair.server.runs() and pair.client.runs()
    pair.client.kill()
    pair.server.kill()
    pair.use_next_port()
    pair.server.start()
    port, key = ["-dp", pair.data_port], identity(3).private
    stranger = Snek(lab, lab.client, True, to=lab.server.outer(4), key=key, options=port)
    stranger.may_die = True
    stranger.start()
    pair.server.wait_for("Connection not authorized")
    assert pair.server.wait() == 1


def test_old_otptunnel_against_old_otptunnel(lab):
    pair = OtpPair(lab, True, True, size=32 * MIB).start()
    for source, target in ((lab.client, lab.server), (lab.server, lab.client)):
        for size in (0, 100, 1472, 4000):
            assert ping(source, target.inner(4), 3, size) == 3, size
        transfer(source, target, target.inner(4), MIB)
        assert iperf(source, target, target.inner(4), "-b", "20M", seconds=1)["sum_received"]["bytes"] > MIB
    pair.client.may_die = True
    with Flood(lab.client, lab.server.inner(4), rate=20 * MIB):
        pair.client.wait_for("FATAL ValueError: the key ends")
    assert pair.client.wait() == 1
    assert wait.hold(0.2, pair.server.runs)
