"""Addresses that change under way, and NATs between."""

import pytest

import wait
from lab import endpoint
from middle import FRESH, counter, forget_connections, masquerade
from traffic import Transfer, answers, ping, transfer, Flood

MIB = 1 << 20


def wait_until_at(program, address, number=0):
    wait.until(lambda: program.peer(number)["endpoint"].startswith(address), f"{program.name} has its peer at {address}")


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("family", [4, 6])
def test_the_client_changes_its_address_under_a_transfer(lab, family, direction):
    server, client = lab.pair(family)
    ends = (lab.client, lab.server) if direction == "up" else (lab.server, lab.client)
    stream = Transfer(*ends, ends[1].inner(4), rate=16 * MIB)
    # A client that only receives has nothing to send from its new address: it takes longer.
    for last in (77, 78, 79) if direction == "up" else (77,):
        stream.wait_for(2 * MIB)
        address = lab.client.move(family, last)
        wait_until_at(server, endpoint(address, 0)[:-1])
        stream.wait_for(2 * MIB)
    stream.stop()
    assert server.status()["handshakes"]["established"] == 1, "it was one session all the time"
    assert client.status()["handshakes"]["initiated"] == 1
    assert server.drops("forged") == server.drops("replay") == 0


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_nat_forgets_under_a_transfer(lab, direction):
    masquerade(lab, "40000-40009")
    server, client = lab.pair()
    assert server.peer()["endpoint"].startswith("10.1.1.1:4000")
    ends = (lab.client, lab.server) if direction == "up" else (lab.server, lab.client)
    stream = Transfer(*ends, ends[1].inner(4), rate=16 * MIB)
    stream.wait_for(2 * MIB)
    masquerade(lab, "50000-50009")
    forget_connections(lab.middle)
    wait_until_at(server, "10.1.1.1:5000")
    stream.wait_for(4 * MIB)
    stream.stop()
    assert server.status()["handshakes"]["established"] == 1


def test_two_clients_behind_one_nat(lab):
    """Two hosts, one address: only the port tells them apart."""
    other = lab.join("other", 3)
    masquerade(lab, "40000-40999")
    server = lab.program(lab.server, [lab.peer(lab.client), lab.peer(other)], Listen="10666")
    server.start()
    for host in (lab.client, other):
        lab.program(host, [lab.peer(lab.server, 4)], Listen="10666").start()
    server.wait_for_session(0)
    server.wait_for_session(1)
    ends = [server.peer(number)["endpoint"].rsplit(":", 1) for number in (0, 1)]
    assert ends[0][0] == ends[1][0] == "10.1.1.1" and ends[0][1] != ends[1][1]
    for host in (lab.client, other):
        assert ping(host, lab.server.inner(4), 3) == ping(lab.server, host.inner(6), 3) == 3
        transfer(host, lab.server, lab.server.inner(4), 2 * MIB)

    assert server.drops("bad_source") == 0


def test_keepalive_holds_a_nat_open(lab):
    """The NAT forgets in between, and nobody has anything to say but the keepalive."""
    masquerade(lab, "40000-40009")
    server, client = lab.pair(to_server={"Keepalive": "1"})
    masquerade(lab, "50000-50009")
    forget_connections(lab.middle)
    wait_until_at(server, "10.1.1.1:5000")
    # before the new address is proven little is sent there
    assert wait.until(lambda: answers(lab.server, lab.client.inner(4)), "the server's ping comes back")
    assert ping(lab.server, lab.client.inner(4), 3) == 3
    assert client.status()["handshakes"]["initiated"] == 1


def test_the_server_changes_its_address(lab):
    """The client follows the server as well, once the server says something."""
    server, client = lab.pair()
    assert ping(lab.client, lab.server.inner(4), 2) == 2
    address = lab.server.move(4)
    assert wait.until(lambda: answers(lab.server, lab.client.inner(6)), "the server's ping comes back")
    wait_until_at(client, f"{address}:")
    assert ping(lab.client, lab.server.inner(4), 3) == 3
    assert client.status()["handshakes"]["initiated"] == 1


def test_a_third_address_is_not_flooded(lab):
    """Somebody on the way sends the client's datagrams on from a victim's address, while the server has
    much to send. The victim gets three times what came from it at most."""
    lab.cut_outside()
    server, _ = lab.pair()
    flood = Flood(lab.server, lab.client.inner(4), 2 * MIB)
    with flood:
        wait.until(lambda: server.peer()["tx_bytes"] > MIB, "the flood runs")
        lab.middle.nft(
            FRESH + "table inet lab {\n counter from_victim { }\n counter to_victim { }\n"
            # A datagram to the victim is counted once, where it comes in.
            ' chain first { type filter hook prerouting priority -310;\n  iifname "h2" meta l4proto udp ip saddr set 10.1.9.9 '
            'notrack counter name from_victim\n  iifname "h1" ip daddr 10.1.9.9 counter name to_victim drop\n }\n}'
        )
        lab.middle.ip("route add 10.1.9.0/24 dev h2")
        ping(lab.client, lab.server.inner(4), 20, interval=0.05, patience=1)
        wait_until_at(server, "10.1.9.9:")
        wait.until(lambda: server.drops("unproven_path") > 100, "the flood is held back")
        received, sent = counter(lab, "from_victim"), counter(lab, "to_victim")
        assert 0 < sent <= 3 * received + 4096
        lab.middle.nft(FRESH)
        # The client's next datagram is newer.
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "the client is back")
    wait_until_at(server, "10.1.2.2:")
