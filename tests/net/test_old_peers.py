"""The scripted older peers themselves: the vectors, and one against the other. What they do not survive ends them here,
too, or the tests that look for that would find nothing."""

import hashlib
import itertools
import json
import pathlib
import struct

import pytest

import old_otptunnel
import old_snek
import oldcrypto
import wait
from compat import OtpPair, Snek, SnekPair, Spoofer
from program import identity
from traffic import Flood, answers, iperf, ping, transfer

MIB = 1 << 20
VECTORS = json.loads(pathlib.Path(__file__).resolve().parents[1].joinpath("vectors/snek.json").read_text())


def unhexed(group):
    """The members of a group, those that are hexadecimal as bytes."""

    def value(text):
        try:
            return bytes.fromhex(text)
        except (ValueError, TypeError):
            return text

    return {name: value(text) for name, text in VECTORS[group].items()}


# ---- vectors ---------------------------------------------------------------------------------


def test_vectors_of_the_key_exchange():
    v, hkdf = unhexed("kyber1024"), unhexed("hkdf")
    ciphertext, secret = oldcrypto.encapsulate(v["pk"], v["m"])
    assert (ciphertext, secret) == (v["ct"], v["ss"])
    assert old_snek.derive(secret, hkdf["salt"]) == (hkdf["handshake_key"], hkdf["data_key"])
    public, private = oldcrypto.keypair(True)
    ciphertext, secret = oldcrypto.encapsulate(public)
    assert oldcrypto.decapsulate(private, ciphertext) == secret
    assert oldcrypto.decapsulate(private, bytes([ciphertext[0] ^ 1]) + ciphertext[1:]) != secret
    with pytest.raises(oldcrypto.Refused):
        oldcrypto.encapsulate(public[:-1])


def test_vectors_of_the_signature_and_the_meta_message():
    v, meta, secret, salt = unhexed("ml_dsa_65"), unhexed("meta"), unhexed("kyber1024")["ss"], unhexed("hkdf")["salt"]
    public, private = oldcrypto.keypair(False, v["xi"])
    assert (public, private) == (v["pk"], v["sk"])
    assert oldcrypto.sign(private, v["message"], deterministic=True) == v["sig"]
    for message, context, is_right in (
        (v["message"], b"SEPC-HF5", True),
        (v["message"][::-1], b"SEPC-HF5", False),
        (v["message"], b"", False),
    ):
        assert oldcrypto.verify(public, message, v["sig"], context) == is_right
    members = json.loads(meta["json"])
    nonce = old_snek.base64.b64decode(members["aad_b64"])
    message, data_key = old_snek.build_meta(private, secret, salt, meta["nonce"], nonce, deterministic=True)
    assert message == meta["message"] and data_key == v["message"]
    assert old_snek.open_meta(secret, salt, message[16:28], message[32:]) == (v["sig"], data_key)
    with pytest.raises(oldcrypto.Refused):
        old_snek.open_meta(secret, salt, message[16:28], message[32:-1] + bytes([message[-1] ^ 1]))


def test_vectors_of_frames():
    """The padding of the vectors is 00 01 02 ...; what the sender draws at random is given here."""
    key = unhexed("hkdf")["data_key"]
    for frame in VECTORS["frames"]:
        packet, nonce = bytes.fromhex(frame["packet"]), bytes.fromhex(frame["nonce"])
        datagrams = list(map(bytes.fromhex, frame["datagrams"]))
        room = frame["plain_length"] - 4 - len(packet)
        plaintext = struct.pack(">i", len(packet)) + packet + bytes(i & 0xFF for i in range(room))
        sealer = old_snek.Sealer(key)
        sealer.sequence = frame["sequence"]
        assert sealer.frames(plaintext, nonce, frame["frag_id"]) == datagrams
        opener = old_snek.Opener(key)
        assert [opener.packets(datagram) for datagram in datagrams] == [[]] * (len(datagrams) - 1) + [[packet]]
        # Sizes of our own sender: those of the vectors, or, where a bucket is full, rarely the excess.
        sizes = [len(datagram) for datagram in datagrams]
        seen = [[len(d) for d in sealer.datagrams(packet)] for _ in range(200)]
        assert seen.count(sizes) > 190 and (room > 0) <= all(size == sizes for size in seen)


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


def fatal_datagrams(key):
    whole = old_snek.Sealer(key).datagrams(b"\x45" + bytes(100))[0]
    seal = old_snek.OddSealer(key).one
    fragment = old_snek.HEAD.pack(3, 0, 16) + old_snek.EXTENSION.pack(32, 9, 2, 2) + bytes(12 + 16)
    return {
        "forged": whole[:-1] + bytes([whole[-1] ^ 1]),
        "another key's": old_snek.Sealer(bytes(31) + b"\1").datagrams(b"\x45" + bytes(100))[0],
        "a hello": b"\xff",
        "short": whole[:24],
        "empty": b"",
        "chunk too long": whole[:-1],
        "chunk too short": whole + b"\0",
        "fragment beyond the last": fragment,
        "length alone": seal(struct.pack(">i", 20)),
    }


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
    with Spoofer(lab, lab.client, 10666, lab.server, pair.server_port()) as spoofer:
        spoofer.send(b"\xff")
    pair.server.wait_for("FATAL out of step")
    assert not answers(lab.client, lab.server.inner(4))
    assert pair.server.runs() and pair.client.runs()
    pair.client.kill()
    pair.server.kill()
    pair.server.start()
    stranger = Snek(lab, lab.client, True, to=lab.server.outer(4), key=identity(3).private)
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
