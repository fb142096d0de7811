"""Paths of all sizes: no size of packet disappears, and nobody sets an MTU."""

import pytest

import wait
from middle import filter_forwarded
from traffic import Transfer, answers, ping, ping_both_ways, transfer

MIB = 1 << 20
SIZES = (0, 56, 200, 1200, 1300, 1372, 1452, 1472, 2000, 8972, 30000, 65507)


def ping_sizes(lab, sizes=SIZES):
    for family in (4, 6):
        for size in sizes:
            assert ping(lab.client, lab.server.inner(family), 2, size) == 2, f"{size} bytes over IPv{family}"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_interfaces_with_an_mtu_of(lab, mtu, family):
    for host in (lab.server, lab.client):
        lab.set_mtu(host, mtu)
    server, client = lab.pair(family)
    ping_sizes(lab)
    client.wait_for_path()
    server.wait_for_path()
    # Sizes are multiples of 64, and the same over both families.
    for program in (server, client):
        assert mtu - 64 - 20 < program.peer()["path_mtu"] <= mtu
    transfer(lab.client, lab.server, lab.server.inner(4), 8 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 8 * MIB)
    assert client.drops("too_big") == server.drops("too_big") == 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_narrow_hop_that_says_nothing(lab, family):
    lab.cut_outside()
    filter_forwarded(lab, "meta l4proto udp meta length > 1340 drop")
    server, client = lab.pair(family)
    ping_sizes(lab)
    client.wait_for_path()
    server.wait_for_path()
    for program in (server, client):
        assert 1340 - 64 - 20 < program.peer()["path_mtu"] <= 1340
    transfer(lab.client, lab.server, lab.server.inner(4), 4 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 4 * MIB)


def test_an_interface_that_is_narrower_at_one_end(lab):
    lab.set_mtu(lab.client, 1300)
    lab.set_mtu(lab.server, 9000)
    lab.pair()
    ping_sizes(lab, (56, 1372, 8972, 65507))
    transfer(lab.server, lab.client, lab.client.inner(4), 4 * MIB)
    transfer(lab.client, lab.server, lab.server.inner(6), 4 * MIB)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.beside
def test_a_path_that_shrinks_and_grows(lab, direction):
    """A hop becomes narrow in silence under a running transfer; later the client moves, and finds the
    whole width again."""
    lab.cut_outside()
    server, client = lab.pair()
    client.wait_for_path()
    wide = client.peer()["path_mtu"]
    ends = (lab.client, lab.server) if direction == "up" else (lab.server, lab.client)
    stream = Transfer(*ends, ends[1].inner(4), rate=4 * MIB)
    stream.wait_for(4 * MIB)
    filter_forwarded(lab, "meta l4proto udp meta length > 1300 drop")
    stream.wait_for(4 * MIB)
    sender = client if direction == "up" else server
    wait.until(lambda: sender.peer()["path_mtu"] <= 1300, "the sender knows that the path is narrow")
    for size in (56, 1372, 65507):  # beside a stream that fills queues a ping may get lost
        wait.until(lambda s=size: answers(lab.client, lab.server.inner(6), s), f"pings of {size} bytes come back")
    filter_forwarded(lab)
    address = lab.client.move(4)
    stream.wait_for(4 * MIB)
    wait.until(lambda: server.peer()["endpoint"].startswith(f"{address}:"), "the server follows")
    wait.until(lambda: server.peer()["path_mtu"] == wide, "the server knows the width")
    stream.stop()


def test_an_interface_that_shrinks_and_grows(lab):
    """The interface's own MTU changes: the kernel refuses what is too large, so this is quick."""
    server, client = lab.pair()
    client.wait_for_path()
    stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=8 * MIB)
    stream.wait_for(2 * MIB)
    lab.set_mtu(lab.client, 1300)
    stream.wait_for(8 * MIB)
    wait.until(lambda: client.peer()["path_mtu"] <= 1300, "the client knows its MTU")
    wait.until(lambda: answers(lab.server, lab.client.inner(6), 5000), "large pings come back")
    lab.set_mtu(lab.client, 1500)
    stream.wait_for(8 * MIB)
    stream.stop()
    assert server.drops("bad_inner") == 0


def test_a_fixed_mtu_of_the_tunnel(lab):
    """A tunnel as wide as one likes over a path that is not."""
    server, _ = lab.pair(both={"MTU": "9000"})
    assert server.status()["mtu"] == 9000
    ping_both_ways(lab, 2, 8972)
    ping_sizes(lab, (1472, 65507))
    transfer(lab.client, lab.server, lab.server.inner(4), 4 * MIB)
