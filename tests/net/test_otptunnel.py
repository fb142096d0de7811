"""otptunnel: ours in the place of either end of the older program, and of both. What was sent is looked at with the
pad: a proof of its own, which shares nothing with the program, that no byte of it was used twice."""

import contextlib
import os
import random
import re
import signal
import socket

import pytest

import old_otptunnel
import wait
from compat import KIB, MIB, MIXES, NAMES, OtpPair, Spoofer, both_ways, sent_by
from lab import Job
from middle import Capture
from traffic import Flood, answers, iperf, ping, transfer, udp_echo

PORT = 12000


# ---- what was sent, and with what ------------------------------------------------------------


class Proof:
    """Of one end's datagrams, in their order, over all its lives. `findings`: what must not be."""

    def __init__(self, content, parity):
        self.pad, self.parity = old_otptunnel.Pad(content, parity), parity
        self.used, self.findings, self.frames = bytearray(len(content)), [], []
        self.offsets = []

    def look(self, datagrams):
        for datagram in datagrams:
            finding = self.use(datagram)
            if finding:
                self.findings.append(f"{finding}: {datagram[-6:].hex()}, {len(datagram)} bytes")
        return self

    def use(self, datagram):
        offset, count = int.from_bytes(datagram[-6:], "big"), len(datagram) - 6
        if offset % 2 != self.parity:
            return "the other end's bytes"
        if offset + 2 * (count - 1) >= len(self.used):
            return "behind the end"
        frame = self.pad.open(datagram)
        if frame is None:
            return "does not open"
        if not 14 <= len(frame) <= 1518:
            return f"a frame of {len(frame)} bytes"
        place = slice(offset, offset + 2 * count, 2)
        if any(self.used[place]):
            return "bytes are used twice"
        self.used[place] = b"\1" * count
        self.frames.append(frame)
        self.offsets.append(offset)
        return None


class Watched(Capture):
    """Everything between the two ends, whole, and in an order that is the senders' own. (No datagram is in fragments:
    the links take more than an Ethernet's.)"""

    def __init__(self, lab, name="wire"):
        lab.cut_outside()
        for host in (lab.server, lab.client):
            lab.set_mtu(host, 2000)
        super().__init__(lab.middle, "h1", lab.folder / f"{name}.pcap", f"udp port {PORT}")

    def of(self, host):
        """What this host has sent."""
        return sent_by(self, host)

    def prove(self, peer, parity):
        """A proof that has found nothing."""
        proof = Proof(peer.pad.read_bytes(), parity).look(self.of(peer.host))
        assert proof.frames and not proof.findings, proof.findings[:10]
        return proof


def test_the_proof_finds_what_it_is_for():
    content = random.Random(1).randbytes(4096)
    good = old_otptunnel.Pad(content, 0)
    first, second = good.seal(bytes(60)), good.seal(b"\1" * 60)
    assert not Proof(content, 0).look([first, second]).findings
    for datagrams, word in (
        ([first, first], "twice"),
        ([first, old_otptunnel.Pad(content, 100).seal(bytes(60))], "twice"),
        ([old_otptunnel.Pad(content, 1).seal(bytes(60))], "other end"),
        ([first[:-8] + bytes(2) + first[-6:]], "open"),
        ([bytes(76) + (4096 - 150).to_bytes(6, "big")], "end"),
        ([good.seal(bytes(13))], "frame"),
    ):
        findings = Proof(content, 0).look(datagrams).findings
        assert len(findings) == 1 and word in findings[0], findings


# ---- traffic ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_traffic(lab, mix):
    """Packets of every size, streams and IPv6, both ways; what came is what was sent."""
    OtpPair(lab, *mix, size=32 * MIB).start()
    for host in (lab.server, lab.client):
        host.ip(f"addr add {host.inner(6)}/64 dev tap0 nodad")
        assert "mtu 1500" in host.run("ip", "link", "show", "tap0").stdout
    # First what may lose a packet: little of a pad as small as this is reserved at a time, until it is seen how quickly
    # it goes.
    for source, target in both_ways(lab):
        transfer(source, target, target.inner(4), MIB)
        transfer(source, target, target.inner(6), MIB)
    for source, target in both_ways(lab):
        udp_echo(source, target, target.inner(4), [os.urandom(n) for n in range(0, 1473, 3)])
        for size in (0, 1, 18, 1471, 1472, 1473, 4000):
            assert ping(source, target.inner(4), 3, size) == 3, size
        assert ping(source, target.inner(6), 3, 1400) == 3
        assert iperf(source, target, target.inner(4), "-b", "20M", seconds=1)["sum_received"]["bytes"] > MIB


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_the_bytes_on_the_wire(lab, mix):
    """Client even, server odd; from the file's beginning, one datagram's bytes behind the other's."""
    with Watched(lab) as watched:
        pair = OtpPair(lab, *mix).start()
        transfer(lab.client, lab.server, lab.server.inner(4), 256 * KIB)
        transfer(lab.server, lab.client, lab.client.inner(4), 256 * KIB)
        udp_echo(lab.client, lab.server, lab.server.inner(4), [os.urandom(n) for n in range(0, 1473, 50)])
    for peer, parity in ((pair.client, 0), (pair.server, 1)):
        proof = watched.prove(peer, parity)
        ends = [offset + 2 * (len(frame) + 16) for offset, frame in zip(proof.offsets, proof.frames)]
        assert proof.offsets == [parity, *ends[:-1]], "no byte is left out"
        assert max(map(len, proof.frames)) == 1514


# ---- coming and going ------------------------------------------------------------------------


@pytest.mark.beside
@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_a_restart_goes_on_behind(lab, mix):
    """Ours is killed in the middle of a stream, or ends, and starts again: traffic goes on, and no byte is used
    twice. An older end does not mind."""
    with Watched(lab) as watched:
        pair = OtpPair(lab, *mix, size=64 * MIB).start()
        mine = [(peer, parity) for peer, parity in ((pair.client, 0), (pair.server, 1)) if not peer.is_old]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            for peer, _ in mine:
                source, target = (lab.client, lab.server) if peer is pair.client else (lab.server, lab.client)
                with Flood(source, target.inner(4), MIB):
                    assert wait.hold(0.3, peer.runs)
                    code = peer.stop(number)
                assert code == (0 if number == signal.SIGTERM else -number)
                assert_nothing_left(peer.host)
                peer.start()
                pair.wait_for_traffic()
    for peer, parity in mine:
        proof = watched.prove(peer, parity)
        assert proof.offsets == sorted(proof.offsets)


def assert_nothing_left(host):
    wait.until(lambda: not any(link.startswith("tap") for link in host.links()), f"{host.name} has no interface left")
    left = host.run("ss", "-Hlntup").stdout
    assert f":{PORT} " not in left, left


def test_a_clean_end_wastes_nothing(lab):
    """What is recorded then is exactly what was used."""
    with Watched(lab) as watched:
        pair = OtpPair(lab).start()
        for _ in range(2):
            assert pair.client.stop() == 0
            pair.client.start()
            pair.wait_for_traffic()
    proof = watched.prove(pair.client, 0)
    ends = [offset + 2 * (len(frame) + 16) for offset, frame in zip(proof.offsets, proof.frames)]
    assert proof.offsets == [0, *ends[:-1]]


def test_restart_at_zero(lab):
    """As the older program did, with a loud warning; and the next start without it is behind all that was used."""
    pair = OtpPair(lab, server_is_old=True)
    pair.server.start()
    lives = []
    for number, options in enumerate(([], ["--restart-at-zero"], [])):
        with Watched(lab, f"life{number}") as watched:
            pair.client.start(*options)
            pair.wait_for_traffic()
            if not options:
                transfer(lab.client, lab.server, lab.server.inner(4), 64 * KIB)
            assert pair.client.stop() == 0
        lives.append(watched.of(lab.client))
        assert ("THE SAME BYTES" in pair.client.complained()) == (number > 0)
    first, second, third = lives
    content = pair.client.pad.read_bytes()
    assert not Proof(content, 0).look(first + third).findings
    findings = Proof(content, 0).look(first + second).findings
    assert len(findings) == len(second) and all("twice" in finding for finding in findings)
    assert int.from_bytes(second[0][-6:], "big") == 0


@pytest.mark.parametrize("is_believed", [False, True])
def test_an_old_peer_starts_again(lab, is_believed):
    """It uses its first bytes again: that is refused and said with the remedy, or believed, with --peer-restarts."""
    options = {"options": ["--peer-restarts"] if is_believed else []}
    pair = OtpPair(lab, client_is_old=True, server=options).start()
    assert ("--peer-restarts: whoever keeps" in pair.server.complained()) == is_believed
    transfer(lab.client, lab.server, lab.server.inner(4), 256 * KIB)
    pair.client.kill()
    pair.client.start()
    if is_believed:
        pair.wait_for_traffic()
        transfer(lab.client, lab.server, lab.server.inner(4), 64 * KIB)
    else:
        wait.until(
            lambda: answers(lab.client, lab.server.inner(4)) or "--peer-restarts" in pair.server.complained(),
            "it is said",
        )
        assert not answers(lab.client, lab.server.inner(4))


@pytest.mark.parametrize("role", ["server", "client"])
def test_both_ends_have_one_role(lab, role):
    """They would use the same bytes: nothing gets through, and ours says why."""
    pair = OtpPair(lab, server={"is_server": role == "server"}, client={"is_server": role == "server"})
    pair.server.start()
    pair.client.start()
    wait.until(
        lambda: answers(lab.client, lab.server.inner(4)) or "one of them needs -S" in pair.server.complained(),
        "it is said",
    )
    assert not answers(lab.client, lab.server.inner(4))


# ---- whose datagrams count -------------------------------------------------------------------


def counters(peer):
    """What ours counts, by SIGUSR1: name -> number, of what is dropped on the way in, and `in`."""
    seen = len(peer.complained())
    peer.process.send_signal(signal.SIGUSR1)
    wait.until(lambda: "frames out " in peer.complained()[seen:] and peer.complained().endswith("\n"), "counters")
    text = peer.complained()[seen:].rsplit("frames out ", 1)[1]
    found = re.findall(r"([a-zA-Z' ]+) (\d+)", text.split("on the way in: ")[1])
    names = {name.strip(): int(number) for name, number in found}
    names["again"] = names["replayed"] + names["from a peer that began again"]
    return names | {"in": int(re.search(r"^\d+, in (\d+)", text).group(1))}


def garbage(seed, size):
    """Datagrams of all lengths, with offsets of all kinds."""
    r = random.Random(seed)
    yield from map(r.randbytes, [*range(40), 63, 64, 1536, 2000, 4095, 4096, 4097, 9000, 40000])
    for length in (16, 29, 30, 58, 76, 1530):
        fit = size - 2 * length
        for offset in (0, 1, 2, 3, r.randrange(size), fit, fit + 1, fit + 2, size - 1, size, size + 1, (1 << 48) - 1):
            yield r.randbytes(length) + offset.to_bytes(6, "big")


def altered(datagrams, seed):
    r = random.Random(seed)
    for data in datagrams:
        changed = bytearray(data)
        changed[r.randrange(len(data))] ^= 1 << r.randrange(8)
        yield from (data, bytes(changed), data[: r.randrange(len(data))], data + b"\0")


def short_frames(content, offset):
    """With a right MD5, and shorter than an Ethernet header, at each place where there may be one."""
    pad = old_otptunnel.Pad(content, offset)
    return [pad.seal(bytes(length)) for length in range(14)]


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_hostile_datagrams(lab, mix):
    """What would end the older program, what was on the wire before, our own, and noise, from where the peer is. All of
    it is dropped and counted; what goes on beside it loses nothing."""
    pair = OtpPair(lab, *mix).start()
    with Watched(lab) as watched:  # from now on: what was sent before the other end was there has not been received
        for source, target in both_ways(lab):
            transfer(source, target, target.inner(4), 256 * KIB)
        udp_echo(lab.client, lab.server, lab.server.inner(4), [os.urandom(n) for n in range(0, 1473, 20)])
    content = pair.client.pad.read_bytes()
    ends = {lab.client: 0, lab.server: 1}
    for target, peer in ((pair.server, lab.client), (pair.client, lab.server)):
        if target.is_old:
            continue
        before, true, own = counters(target), watched.of(peer), watched.of(target.host)
        pings = Job(ping, lab.client, lab.server.inner(4), 150, 56, 0.01)
        pace = wait.Pace(1000)
        with Spoofer(lab, peer, PORT, target.host, PORT) as spoofer:
            noise = [*garbage(1, len(content)), *short_frames(content, MIB + ends[peer]), *altered(true, 2), *own]
            for datagram in noise:
                spoofer.send(datagram)
                pace.spent(1)
        assert pings.result() == 150
        wanted = {"malformed": 40, "reflected": len(own), "behind the file's end": 20, "forged": 20, "again": len(true)}

        def is_counted(target=target, before=before, wanted=wanted):
            now = counters(target)
            return all(now[name] >= before[name] + count for name, count in wanted.items())

        try:
            wait.until(is_counted, "they are counted")
        except AssertionError as error:
            raise AssertionError(f"{error}: {before}, {counters(target)}, wanted {wanted}") from error
        # Everything there is of ICMP was the pings'.
        assert counters(target)["in"] - before["in"] < 400
    for source, target in both_ways(lab):
        assert ping(source, target.inner(4), 5, 1400) == 5


def moved_pad(pair, parity, offset=4 * MIB):
    """Somebody who has the key, further on in it."""
    return old_otptunnel.Pad(pair.client.pad.read_bytes(), offset + parity)


def test_others_than_the_peer(lab):
    """With -A only what comes from there counts, be it ever so right; the port is free."""
    pair = OtpPair(lab).start()
    frame = bytes.fromhex("ffffffffffff") + bytes(6) + b"\x88\xb5" + bytes(46)
    before = counters(pair.server)
    with lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        pad = moved_pad(pair, 0)
        for _ in range(20):
            s.sendto(pad.seal(frame), (lab.server.outer(4), PORT))
    wait.until(lambda: counters(pair.server)["other source"] >= before["other source"] + 20, "they are counted")
    assert ping(lab.client, lab.server.inner(4), 5) == 5
    pair.server.wait_for("from another address than -A")
    with Spoofer(lab, lab.client, 40000, lab.server, PORT) as spoofer:
        before = counters(pair.server)["in"]
        spoofer.send(moved_pad(pair, 0, 2 * MIB).seal(frame))
        wait.until(lambda: counters(pair.server)["in"] > before, "it is taken")


@pytest.mark.parametrize("client_is_old", [True, False], ids=["old client", "our client"])
def test_the_server_finds_its_client(lab, client_is_old):
    """Without -A: whoever sends the first authentic datagram, and where it comes from later; not whoever sends that
    again, or noise."""
    lab.cut_outside()
    for host in (lab.server, lab.client):
        lab.set_mtu(host, 2000)
    pair = OtpPair(lab, client_is_old=client_is_old, server={"to": None})
    pair.server.start()
    with lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for datagram in garbage(3, 8 * MIB):
            if len(datagram) < 1500:
                s.sendto(datagram, (lab.server.outer(4), PORT))
        assert not answers(lab.server, lab.client.inner(4))
        assert "the peer is at" not in pair.server.complained()
        with Watched(lab, "first") as watched:
            pair.client.start()
            pair.wait_for_traffic()
        pair.server.wait_for(f"the peer is at {lab.client.outer(4)}:{PORT}")
        for datagram in watched.of(lab.client):
            s.sendto(datagram, (lab.server.outer(4), PORT))
        assert ping(lab.server, lab.client.inner(4), 5) == 5
        assert pair.server.complained().count("the peer is at") == 1
    new = lab.client.move(4)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    pair.server.wait_for(f"the peer is at {new}:{PORT}")
    assert ping(lab.server, lab.client.inner(4), 5) == 5


# ---- the end of the pad ----------------------------------------------------------------------


@pytest.mark.parametrize("mix", [(True, False), (False, False)], ids=["old server", "both ours"])
def test_used_up(lab, mix):
    """Ours sends until a packet does not fit any more, says so, sends nothing more, and still receives; also after a
    restart."""
    with Watched(lab) as watched:
        pair = OtpPair(lab, *mix, size=256 * KIB).start()
        neighbour = lab.client.run("cat", "/sys/class/net/tap0/address").stdout.strip()
        with Flood(lab.client, lab.server.inner(4), 256 * KIB):
            pair.client.wait_for("is used up")
        for _ in range(2):
            assert not answers(lab.client, lab.server.inner(4))
            arrives(lab, neighbour)
            assert pair.client.stop() == 0
            seen = pair.client.mark()
            pair.client.start()
            pair.client.wait_for("is used up", since=seen)
            neighbour = lab.client.run("cat", "/sys/class/net/tap0/address").stdout.strip()
    proof = watched.prove(pair.client, 0)
    assert 256 * KIB - 2 * 2 * 1530 < max(proof.offsets)


def arrives(lab, neighbour):
    """Datagrams from the server, whom the client cannot answer any more, not even to ARP."""
    lab.server.ip(f"neigh replace {lab.client.inner(4)} lladdr {neighbour} dev tap0 nud permanent")
    with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as there, lab.server.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as here:
        there.bind((lab.client.inner(4), 5000))
        there.settimeout(0.2)

        def has_come():
            here.sendto(b"still there", (lab.client.inner(4), 5000))
            with contextlib.suppress(socket.timeout):
                return there.recv(100) == b"still there"

        wait.until(has_come, "it arrives")
