"""snek-vpn: ours in the place of either end of the older program, and of both."""

import os
import signal
import struct

import pytest

import old_snek
import oldcrypto
import wait
from compat import KIB, MIB, MIXES, NAMES, Snek, SnekPair, Transferring, both_ways, sent_by
from middle import Capture
from program import identity
from traffic import answers, iperf, ping, transfer, udp_echo

KEY_PORT, DATA_PORT = 443, 10666


# ---- traffic ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_traffic(lab, mix):
    """Packets of every size and streams, both ways, and what came is what was sent."""
    SnekPair(lab, *mix).start()
    for source, target in both_ways(lab):
        for family, head in ((4, 28), (6, 48)):
            udp_echo(source, target, target.inner(family), [os.urandom(n) for n in range(1, 1536 - head + 1)])
        # At the borders of the buckets, and the smallest and the largest.
        for size in (0, 32, 36, 37, 224, 228, 229, 480, 484, 485, 1504, 1508, 1509, 4000):
            assert ping(source, target.inner(4), 3, size) == 3, size
        transfer(source, target, target.inner(4), MIB)
        transfer(source, target, target.inner(6), MIB)
        assert iperf(source, target, target.inner(4), seconds=1)["sum_received"]["bytes"] > MIB


@pytest.mark.parametrize("mix", [(True, False), (False, True)], ids=["old server", "old client"])
def test_odd_forms(lab, mix):
    """The old end sends in every form that its like took, and what that dropped; each packet arrives."""
    server, client = ({"options": ["--odd"]} if is_old else {} for is_old in mix)
    SnekPair(lab, *mix, server=server, client=client).start()
    forms = len(old_snek.OddSealer(bytes(32)).forms)
    for source, target in both_ways(lab):
        for size in (0, 36, 485, 1472, 1508):
            assert ping(source, target.inner(4), 2 * forms, size) == 2 * forms, size
        transfer(source, target, target.inner(4), 256 * KIB)


def usual(length):
    """The datagrams of an inner packet: as the older program's, but for its rare excess of padding."""
    bucket = next(size for size in old_snek.BUCKETS if length <= size)
    sealed = max(bucket, length + 4) + 16
    return [25 + sealed] if sealed <= 1536 else [37 + 1536, 37 + sealed - 1536]


@pytest.mark.parametrize("mix", [(True, False), (False, True)], ids=["old server", "old client"])
def test_the_bytes_on_the_wire(lab, mix):
    """Every datagram of ours in a session is decoded: numbers, sizes, fragments, padding, nonces; and one hello."""
    for host in (lab.server, lab.client):
        lab.set_mtu(host, 2000)
    lab.cut_outside()
    lengths = [*range(29, 1537, 7), *range(1525, 1537), *range(58, 67), *range(250, 260), *range(506, 516)]
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", f"udp port {DATA_PORT}") as capture:
        pair = SnekPair(lab, *mix).start()
        udp_echo(lab.client, lab.server, lab.server.inner(4), [bytes(n - 28) for n in lengths])
        transfer(lab.client, lab.server, lab.server.inner(4), 256 * KIB)
        transfer(lab.server, lab.client, lab.client.inner(4), 256 * KIB)
        (pair.client if mix[0] else pair.server).stop()
    old = pair.server if mix[0] else pair.client
    sent = sent_by(capture, lab.client if mix[0] else lab.server)
    hellos = [payload for payload in sent if len(payload) < 25]
    assert hellos == ([b"\xff"] if not mix[0] else []), hellos
    assert all(payload[0] == 0xFF for payload in sent[: len(hellos)]), "the hello comes first"
    check_sealed(sent[len(hellos) :], old.data_key(), {n for n in lengths})


def check_sealed(datagrams, key, wanted):
    """All of one sender's datagrams of a session, in their order."""
    aead, nonces, lengths, at = oldcrypto.Aead(key), [], set(), 0
    assert [struct.unpack_from("<Q", d, 1)[0] for d in datagrams] == list(range(len(datagrams))), "numbers go up by one"
    while at < len(datagrams):
        nonce, sealed, count = gather(datagrams, at)
        plaintext = aead.open(nonce, sealed)
        length = struct.unpack_from(">i", plaintext)[0]
        packet, padding = plaintext[4 : 4 + length], plaintext[4 + length :]
        assert [len(d) for d in datagrams[at : at + count]] == usual(length), length
        assert not any(padding)
        assert packet[0] >> 4 in (4, 6) and len(packet) == length
        nonces.append(nonce)
        lengths.add(length)
        at += count
    assert len(set(nonces)) == len(nonces), "no nonce twice"
    assert lengths >= wanted


def gather(datagrams, at):
    """(nonce, ciphertext, how many datagrams): what begins at `at`."""
    first = datagrams[at]
    flags, _, length = old_snek.HEAD.unpack_from(first)
    if flags == 1:
        assert len(first) == 25 + length
        return first[13:25], first[25:], 1
    assert flags == 3
    total, number, _, count = old_snek.EXTENSION.unpack_from(first, 13)
    pieces = datagrams[at : at + count]
    for index, piece in enumerate(pieces):
        assert old_snek.HEAD.unpack_from(piece)[0] == 3 and old_snek.HEAD.unpack_from(piece)[2] == len(piece) - 37
        assert old_snek.EXTENSION.unpack_from(piece, 13) == (total, number, index, count)
        assert piece[25:37] == first[25:37]
    sealed = b"".join(piece[37:] for piece in pieces)
    assert len(sealed) == total and count == 2
    return first[25:37], sealed, count


# ---- coming and going ------------------------------------------------------------------------


@pytest.mark.beside
@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_ends_come_and_go(lab, mix):
    """Either end ends, or is killed, and starts again: traffic goes on. Ours needs nobody's help for that."""
    pair = SnekPair(lab, *mix).start()
    for end in (signal.SIGTERM, signal.SIGKILL):
        finish(pair.client, end)
        if mix[0]:
            # It notices only when it has sent something that nobody takes.
            seen = pair.server.said().count("Waiting for peer")
            wait.until(
                lambda seen=seen: answers(lab.server, lab.client.inner(4))
                or pair.server.said().count("Waiting for peer") > seen,
                "the old server waits again", 40,
            )  # fmt: skip
        pair.client.start()
        pair.wait_for_traffic()
        transfer(lab.server, lab.client, lab.client.inner(4), 64 * KIB)
    for end in (signal.SIGTERM, signal.SIGKILL):
        finish(pair.server, end)
        if mix[1]:
            finish(pair.client, signal.SIGKILL)  # the old one would have to be started again by somebody
        pair.server.start()
        if mix[1]:
            pair.server.wait_for("Waiting for peer")
            pair.client.start()
        pair.wait_for_traffic(60)
        transfer(lab.client, lab.server, lab.server.inner(4), 64 * KIB)


def finish(peer, number):
    code = peer.stop(number)
    assert peer.is_old or code == (0 if number == signal.SIGTERM else -number)
    assert_nothing_left(peer.host)


def assert_nothing_left(host):
    """No interface and no socket of it (the kernel takes an interface back a moment after a process ends)."""
    wait.until(lambda: not any(link.startswith("snk") for link in host.links()), f"{host.name} has no interface left")
    left = host.run("ss", "-Hlntup").stdout
    assert f":{DATA_PORT} " not in left and f":{KEY_PORT} " not in left, left


@pytest.mark.beside
@pytest.mark.parametrize("mix", [(False, True), (True, False)], ids=["old client", "old server"])
def test_many_sessions(lab, mix):
    """One after another, as fast as they come: the hello is never too early for an old client, and never too early
    for ours from an old server."""
    pair = SnekPair(lab, *mix).start()
    for _ in range(6):
        pair.client.kill()
        if mix[0]:
            seen = pair.server.said().count("Waiting for peer")
            wait.until(
                lambda seen=seen: answers(lab.server, lab.client.inner(4))
                or pair.server.said().count("Waiting for peer") > seen,
                "the old server waits again", 40,
            )  # fmt: skip
        pair.client.start()
        pair.wait_for_traffic()
    assert pair.server.said().count("[+] Connected.") == pair.client.said().count("[+] Connected to ") == 7


@pytest.mark.beside
def test_a_second_client_waits(lab):
    """Who has the session keeps it; when it is gone, the next one gets it."""
    other = lab.join("client3", 3)
    pair = SnekPair(lab, server={"authorized": (2, 3)}).start()
    late = Snek(lab, other, False, to=lab.server.outer(4), key=identity(3).private)
    with Transferring(lab):
        late.start()
        pair.server.wait_for("another client has the session")
    assert late.wait() == 1
    assert ping(lab.client, lab.server.inner(4), 3) == 3


# ---- who may not -----------------------------------------------------------------------------


@pytest.mark.parametrize("client_is_old", [True, False], ids=["old client", "our client"])
def test_an_unknown_key(lab, client_is_old):
    """It is refused, both say so, and the next one is let in."""
    server = Snek(lab, lab.server, False)
    server.start()
    other = lab.join("client3", 3)
    stranger = Snek(lab, other, client_is_old, to=lab.server.outer(4), key=identity(3).private)
    stranger.start()
    server.wait_for("no session with 10.1.3.2: ")
    assert "Connection not authorized. 10.1.3.2\n" in server.said()
    stranger.kill()
    client = Snek(lab, lab.client, client_is_old, to=lab.server.outer(4))
    client.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")


@pytest.mark.beside
def test_our_client_says_that_it_was_refused(lab):
    Snek(lab, lab.server, False).start()
    stranger = Snek(lab, lab.client, False, to=lab.server.outer(4), key=identity(3).private)
    stranger.start()
    assert stranger.wait(60) == 1
    assert "Connection failed! (bad auth?)" in stranger.complained()
    assert_nothing_left(lab.client)
