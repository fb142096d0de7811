"""No pad byte encrypts twice: both ends are killed at any moment, again and again, under traffic both ways, and what
they have sent in all their lives is held against the pad.

JORM_PAD_KILLS says how many kills (30); a long run has thousands. Each ROUND of them has a new pad, since each life
uses a slot for its hello, and what it had reserved."""

import os
import random

import pytest

import pads
import wait
from lab import Lab
from middle import Capture
from padproof import Proof, make_data, make_hello, mix, poly1305
from traffic import Flood, answers, ping_both_ways

MIB = 1 << 20
KILLS = int(os.environ.get("JORM_PAD_KILLS", "30"))
SEED = int(os.environ.get("JORM_PAD_SEED", "1"))
ROUND = 300
PER_KILL = MIB // 2  # of pad, more than a life uses and skips at this rate


# ---- the proof itself ----


@pytest.fixture(name="proof", scope="module")
def _pad():
    return os.urandom(2 * MIB + 4097)


def findings(pad, *seen):
    """Of a synthetic capture: what the proof says, and the proof."""
    proof = Proof(pad)
    for is_initiator, datagram in seen:
        proof.look(is_initiator, datagram)
    return proof


def test_poly1305_is_the_rfcs():
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    assert poly1305(key, b"Cryptographic Forum Research Group").hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def test_what_is_used_once_is_no_finding(proof):
    p = Proof(proof)
    up, end = p.traffic, p.traffic + p.blocks * pads.BLOCK
    first = make_data(p, False, up, b"x" * 100, 50)
    crossing = make_data(p, True, end - 40, b"y" * 1000)  # on into the block before
    seen = findings(
        proof,
        (False, first), (False, make_data(p, False, up + 134, b"z")), (False, first),
        (True, make_data(p, True, end - pads.BLOCK, b"a" * 65400)), (True, crossing),
        (True, make_hello(p, 5, bytes(64))), (True, make_hello(p, 5, bytes(64))), (True, make_hello(p, 6, bytes(64))),
    )  # fmt: skip
    assert seen.findings == []
    assert (seen.repeats, seen.hellos, seen.data) == (2, 2, {True: 2, False: 2})
    assert seen.bytes_used() == 134 + 35 + 34 + 65400 + 34 + 1000 + 2 * 96
    assert seen.used[end - 2 * pads.BLOCK : end - 2 * pads.BLOCK + 995] == b"\1" * 994 + b"\0"


def test_what_is_used_twice_is_found(proof):
    p = Proof(proof)
    up, end = p.traffic, p.traffic + p.blocks * pads.BLOCK
    one = (False, make_data(p, False, up + 1000, b"x" * 100))
    for offset, length in ((1000, 100), (1133, 1), (900, 67), (999, 0), (1000, 99), (0, 5000)):
        again = findings(proof, one, (False, make_data(p, False, up + offset, b"x" * length, 3)))
        assert len(again.findings) == 1 and "used twice" in again.findings[0], (offset, length)
    for offset, length in ((1134, 1), (965, 1), (0, 966)):
        assert not findings(proof, one, (False, make_data(p, False, up + offset, b"x" * length))).findings
    # The other end, past the boundary, in the same place of the file; and a crossing that comes out there.
    assert "used twice" in findings(proof, one, (True, make_data(p, True, up + 1100, b"q"))).findings[0]
    below = (True, make_data(p, True, end - 2 * pads.BLOCK + 20, b"q"))
    assert "used twice" in findings(proof, (True, make_data(p, True, end - 10, b"q" * 30)), below).findings[0]
    # The same plaintext for another receiver, or with other padding, is another message.
    assert findings(proof, one, (False, make_data(p, False, up + 1000, b"x" * 100, 0, 8))).findings
    hello = (True, make_hello(p, 5, bytes(64)))
    assert "used twice" in findings(proof, hello, (True, make_hello(p, 5, b"\1" + bytes(63)))).findings[0]


def test_what_was_not_made_with_the_pad_is_found(proof):
    p = Proof(proof)
    good = make_data(p, False, p.traffic, b"x" * 100)
    foreign = make_data(Proof(os.urandom(len(proof))), False, p.traffic, b"x" * 100)
    bad = [foreign, good[:-1], good[:20] + bytes([good[20] ^ 1]) + good[21:], b"", b"\4" + good[1:], make_hello(p, 1, bytes(64)),
           good[:8] + (p.traffic - 1).to_bytes(8, "little") + good[16:], good[:8] + b"\xff" * 8 + good[16:]]  # fmt: skip
    for datagram in bad:
        assert len(findings(proof, (False, datagram)).findings) == 1, datagram.hex()
    too_long = bytes([7, 0, 0, 0]) + bytes(4) + p.traffic.to_bytes(8, "little")
    too_long += mix(b"\xff\xff", proof[p.traffic + 32 : p.traffic + 34])
    too_long += poly1305(proof[p.traffic : p.traffic + 32], too_long)
    assert "frames in" in findings(proof, (False, too_long)).findings[0]


# ---- the program ----


class Victims:
    """Both ends, and somebody who kills them."""

    def __init__(self, lab, server, client, seed):
        self.lab, self.ends, self.chance = lab, (server, client), random.Random(seed)
        self.kills = self.kills_in_session = 0
        self.trouble = None

    def revive(self, end):
        """Who was killed while it forked its keeper leaves it with the socket for a moment: the next is refused."""
        if end.process.poll() is not None:
            said = end.log().splitlines()[-1]
            assert end.wait() == 1 and "already running" in said, f"{end.name} has ended:\n{end.log()[-3000:]}"
            end.spawn()

    def has_session(self, end):
        self.revive(end)
        try:
            return end.peer()["state"] == "established"
        except (OSError, ValueError, IndexError):
            return False

    def kill(self):
        """One of them, or both at once; each then begins its next life."""
        victims = self.chance.choice([self.ends[:1], self.ends[1:], self.ends[1:], self.ends])
        in_session = self.chance.random() < 0.7
        if in_session:
            # Only who calls notices at once that the other end is new.
            if not wait.hold(1, lambda: not all(map(self.has_session, self.ends))):
                wait.hold(self.chance.random() / 3)
            else:
                victims = self.ends[1:]
        else:
            wait.hold(self.chance.random() / 3)
        for end in victims:
            self.kills_in_session += self.has_session(end)
            end.kill()
            self.kills += 1
        for end in victims:
            end.spawn()

    def settle(self):
        wait.until(lambda: all(map(self.has_session, self.ends)), "both have a session", 60)
        wait.until(lambda: answers(self.lab.client, self.lab.server.inner(4)), "a ping comes back", 30)
        ping_both_ways(self.lab, 5)

    def suffer(self, kills):
        """All of them, under traffic. What goes wrong is told later: first comes what was sent."""
        try:
            self.settle()
            to_server = Flood(self.lab.client, self.lab.server.inner(4), 100 * 1024, 700)
            to_client = Flood(self.lab.server, self.lab.client.inner(4), 60 * 1024, 300)
            with to_server, to_client:
                while self.kills < kills:
                    self.kill()
            self.settle()
        except AssertionError as error:
            self.trouble = error


def kill_round(kills, number):
    """Returns what was seen."""
    lab = Lab()
    try:
        lab.cut_outside()
        burns = {"Burn": "yes" if number % 2 else "no"}
        server, client = pads.pair(lab, size=16 * MIB + kills * PER_KILL, start=False, both=burns)
        # Before they start: burning changes the files.
        proof = Proof((lab.folder / "server.pad").read_bytes())
        up = Capture(lab.middle, "h2", lab.folder / "up.pcap", "udp port 10666 and inbound")
        down = Capture(lab.middle, "h1", lab.folder / "down.pcap", "udp port 10666 and inbound")
        with up, down:
            server.start()
            client.start()
            victims = Victims(lab, server, client, SEED * 1000 + number)
            victims.suffer(kills)
            for end in (server, client):
                end.end()
        for is_initiator, capture in ((True, up), (False, down)):
            for datagram in capture.datagrams:
                proof.look(is_initiator, datagram)
        return proof, victims
    except BaseException:
        print(lab.describe())
        raise
    finally:
        lab.close()


def test_no_pad_byte_is_used_twice_however_often_they_are_killed():
    left, number = KILLS, 0
    while left > 0:
        proof, victims = kill_round(min(left, ROUND), number)
        print(
            f"{victims.kills} kills, {victims.kills_in_session} of them in a session; {proof.hellos} hellos, "
            f"{proof.welcomes} welcomes, {proof.data} datagrams, {proof.repeats} repeats, {proof.bytes_used()} bytes of pad"
        )
        assert not proof.findings, f"{len(proof.findings)}: {proof.findings[:10]}"
        if victims.trouble:
            raise victims.trouble
        # Otherwise it has shown nothing.
        assert proof.data[True] > victims.kills and proof.data[False] > victims.kills
        assert proof.welcomes > victims.kills / 4 and victims.kills_in_session > victims.kills / 5
        left -= victims.kills
        number += 1
