"""Ends that die, freeze, start in any order, or renew their keys: traffic returns by itself."""

import signal

import pytest

import wait
from traffic import Flood, Transfer, answers, ping, ping_both_ways, transfer

MIB = 1 << 20


@pytest.mark.beside
@pytest.mark.parametrize("who", ["server", "client"])
def test_one_end_is_killed_and_started_again(lab, who):
    """The client, which calls, notices after 15 s without an answer; a client that starts calls at once."""
    server, client = lab.pair()
    victim = server if who == "server" else client
    victim.kill()
    victim.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back", 35 if who == "server" else 10)
    ping_both_ways(lab, 3)
    assert client.status()["handshakes"]["established"] == (2 if who == "server" else 1)


@pytest.mark.beside
def test_a_frozen_end_recovers(lab):
    server, client = lab.pair()
    server.process.send_signal(signal.SIGSTOP)
    with Flood(lab.client, lab.server.inner(4), 64 * 1024, 200):
        assert wait.hold(20, lambda: server.process.poll() is None)
        server.process.send_signal(signal.SIGCONT)
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back", 35)
    ping_both_ways(lab, 3)


@pytest.mark.beside
def test_a_clean_restart_is_told(lab):
    """Close: the client need not wait until it misses something."""
    server, client = lab.pair()
    assert server.stop() == 0
    wait.until(lambda: client.peer()["state"] != "established", "the client has been told", 5)
    server.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(6)), "a ping comes back", 15)
    ping_both_ways(lab, 3)


def test_both_ends_call_at_once(lab):
    one = lab.program(lab.server, [lab.peer(lab.client, 4)], Listen="10666")
    two = lab.program(lab.client, [lab.peer(lab.server, 4)], Listen="10666")
    one.spawn()
    two.spawn()
    wait.until(lambda: one.socket.exists() and two.socket.exists(), "both are there")
    one.wait_for_session()
    two.wait_for_session()
    ping_both_ways(lab, 10)
    transfer(lab.client, lab.server, lab.server.inner(4), 4 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 4 * MIB)
    ping_both_ways(lab, 10)


@pytest.mark.beside
@pytest.mark.parametrize("who", ["server", "client"])
def test_either_end_calls_again_when_both_can(lab, who):
    one, two = lab.pair(client={"Listen": "10666"}, to_client={"Endpoint": "10.1.2.2:10666"})
    victim = one if who == "server" else two
    victim.kill()
    victim.start()
    wait.until(lambda: answers(lab.server, lab.client.inner(4)), "a ping comes back", 10)
    ping_both_ways(lab, 3)


@pytest.mark.beside
@pytest.mark.parametrize("direction", ["up", "down"])
def test_keys_are_renewed_under_load(lab, direction):
    server, client = lab.pair(both={"Rekey": "5"})
    ends = (lab.client, lab.server) if direction == "up" else (lab.server, lab.client)
    stream = Transfer(*ends, ends[1].inner(4), rate=4 * MIB)
    wait.until(lambda: client.peer()["epoch"] >= 4 and server.peer()["epoch"] >= 4, "four rekeys", 60)
    stream.stop()
    assert client.status()["handshakes"]["initiated"] == 1, "no full handshake was needed"
    for program in (server, client):
        drops = program.status()["drops"]
        assert drops["forged"] == drops["expired_keys"] == drops["unknown_index"] == 0, drops


@pytest.mark.beside
def test_identities_are_proved_again_under_load(lab):
    server, client = lab.pair(both={"Reauthenticate": "60"})
    stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=MIB)
    wait.until(lambda: client.status()["handshakes"]["established"] >= 2, "a second handshake", 100)
    stream.wait_for(4 * MIB)
    stream.stop()
    drops = server.status()["drops"]
    assert drops["forged"] == drops["unknown_index"] == 0, drops


def test_the_server_is_called_by_name(lab):
    lab.name_hosts(lab.client, {"vpn.example": lab.server.outer(4)})
    lab.pair(to_server={"Endpoint": "vpn.example:10666"})
    ping_both_ways(lab, 3)


def test_a_name_that_resolves_only_later(lab):
    lab.name_hosts(lab.client, {"other.example": "10.1.1.99"})
    server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
    client = lab.program(lab.client, [lab.peer(lab.server, Endpoint="vpn.example:10666")])
    server.start()
    client.start()
    wait.until(lambda: "cannot look up vpn.example" in client.log(), "the name is unknown")
    assert client.peer()["state"] == "idle"
    lab.name_hosts(lab.client, {"vpn.example": lab.server.outer(6)})
    client.wait_for_session()
    assert client.peer()["endpoint"].startswith(f"[{lab.server.outer(6)}]:")
    assert ping(lab.client, lab.server.inner(4), 3) == 3


def test_the_interface_is_set_down_and_up(lab):
    server, client = lab.pair()
    lab.client.ip("link set tun down")
    wait.until(lambda: "was set down" in client.log(), "the client says so")
    assert client.process.poll() is None
    assert not answers(lab.server, lab.client.inner(4))
    lab.client.ip("link set tun up")
    wait.until(lambda: answers(lab.server, lab.client.inner(4)), "a ping comes back")
    # An address of IPv6 goes with the interface; whoever sets it down has to add it again.
    assert ping(lab.client, lab.server.inner(4), 3) == 3
    assert server.drops("bad_inner") == 0
