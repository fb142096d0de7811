"""Who may come in, and as whom."""

import pytest

import wait
from packets import ipv4, udp
from program import identity
from traffic import Transfer, answers, ping, ping_both_ways, transfer

MIB = 1 << 20


def start_pair_without_session(lab, server_peer, client_peer):
    server = lab.program(lab.server, [server_peer], Listen="10666")
    client = lab.program(lab.client, [client_peer])
    server.start()
    client.start()
    return server, client


def test_a_server_that_does_not_know_the_client_says_so(lab):
    stranger = identity("stranger").key_id
    server, client = start_pair_without_session(
        lab, lab.peer(lab.client, KeyID=stranger), lab.peer(lab.server, 4)
    )
    wait.until(lambda: client.peer()["reject_reason"], "the client is told")
    assert "this key is not known here" in client.peer()["reject_reason"]
    assert client.peer()["reject_reason"] in client.cli("status", client.path).stdout
    assert "refused us" in client.log()
    assert client.peer()["state"] != "established" and server.peer()["state"] == "idle"
    assert client.status()["handshakes"]["rejected"] == 1
    assert server.status()["handshakes"]["established"] == 0
    assert not answers(lab.client, lab.server.inner(4))


def test_a_client_that_expects_another_server_gets_no_answer(lab):
    """Who does not know its key ID does not learn that a server is there."""
    stranger = identity("stranger").key_id
    server, client = start_pair_without_session(
        lab, lab.peer(lab.client), lab.peer(lab.server, 4, KeyID=stranger)
    )
    wait.until(lambda: server.drops("handshake_auth") >= 3, "the wrong call is counted")
    assert client.peer()["state"] == "connecting"
    assert server.status()["handshakes"]["answered"] == 0
    assert client.peer()["reject_reason"] is None


def write_psk(lab, name, byte):
    path = lab.folder / name
    path.write_bytes(bytes([byte]) * 32)
    path.chmod(0o600)
    return path


def test_a_preshared_key(lab):
    key = {"PresharedKey": write_psk(lab, "psk", 7)}
    server, client = lab.pair(to_server=key, to_client=key)
    assert client.peer()["preshared_key"] is server.peer()["preshared_key"] is True
    ping_both_ways(lab, 3)


@pytest.mark.parametrize("case", ["another", "server only", "client only"])
def test_preshared_keys_that_differ(lab, case):
    ours, theirs = ({"PresharedKey": write_psk(lab, f"psk{n}", n)} for n in (7, 8))
    server, client = start_pair_without_session(
        lab,
        lab.peer(lab.client, **(ours if case != "client only" else {})),
        lab.peer(lab.server, 4, **(theirs if case != "server only" else {})),
    )
    wait.until(lambda: client.peer()["reject_reason"], "the client is told")
    assert "pre-shared key" in client.peer()["reject_reason"]
    assert server.status()["handshakes"]["established"] == client.status()["handshakes"]["established"] == 0


def test_three_peers_at_one_server(lab):
    hosts = [lab.client, lab.join("second", 3), lab.join("third", 4)]
    server = lab.program(lab.server, [lab.peer(host) for host in hosts], Listen="10666")
    server.start()
    clients = [lab.program(host, [lab.peer(lab.server, 4 if host is lab.client else 6)]) for host in hosts]
    for client in clients:
        client.start()
    for number, client in enumerate(clients):
        client.wait_for_session()
        server.wait_for_session(number)
    for host in hosts:
        for family in (4, 6):
            assert ping(lab.server, host.inner(family), 3) == ping(host, lab.server.inner(family), 3) == 3
    # All at once, both ways.
    streams = [Transfer(host, lab.server, lab.server.inner(4), 8 * MIB) for host in hosts]
    streams += [Transfer(lab.server, host, host.inner(6), 8 * MIB) for host in hosts]
    for stream in streams:
        stream.finish()
    counts = [server.peer(number)["rx_bytes"] for number in range(3)]
    assert all(8 * MIB < count < 32 * MIB for count in counts), counts


def test_a_client_is_nobody_else(lab):
    """Its packets with another's source address are dropped and counted; its own go on."""
    other = lab.join("other", 3)
    server = lab.program(lab.server, [lab.peer(lab.client), lab.peer(other)], Listen="10666")
    server.start()
    # The client thinks that it owns the other's address.
    client = lab.program(
        lab.client, [lab.peer(lab.server, 4)], Address="10.66.0.2/24, 10.66.0.3/24, fd66::2/64, fd66::3/64"
    )
    client.start()
    client.wait_for_session()
    before = server.drops("bad_source")
    for source, target in (("10.66.0.3", "10.66.0.1"), ("fd66::3", "fd66::1")):
        lab.client.run("ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "1", "-I", source, target, check=False)
    wait.until(lambda: server.drops("bad_source") >= before + 6, "they are counted")
    for source, target in (("10.66.0.2", "10.66.0.1"), ("fd66::2", "fd66::1")):
        lab.client.run("ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "2", "-I", source, target)


def test_a_network_behind_the_client(lab):
    behind = lab.add_behind(lab.client)
    networks = {"AllowedIPs": "10.66.0.2/32, fd66::2/128, 10.2.2.0/24, fd02:2::/64"}
    server, _ = lab.pair(to_client=networks)
    for family, address in ((4, "10.2.2.2"), (6, "fd02:2::2")):
        assert ping(lab.server, address, 3) == 3, "the route was set"
        assert ping(behind, lab.server.inner(family), 3) == 3
        transfer(behind, lab.server, lab.server.inner(family), 4 * MIB)
        transfer(lab.server, behind, address, 4 * MIB)
    # What is behind it may be behind it only if the server says so.
    assert server.drops("bad_source") == 0


def test_a_packet_for_nobody_is_counted(lab):
    _, client = lab.pair()
    before = client.drops("no_route")
    with lab.client.inside():
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            for _ in range(5):
                s.sendto(ipv4("10.66.0.2", "10.66.0.99", 17, udp("10.66.0.2", "10.66.0.99", 1, 2, b"x")), ("10.66.0.99", 0))
    wait.until(lambda: client.drops("no_route") >= before + 5, "they are counted")
