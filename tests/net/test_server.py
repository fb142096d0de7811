"""A server that people live with: keys in a folder, addresses from pools, what is handed out with them."""

import hashlib
import itertools
import os
import shutil

import pytest

import wait
from program import IS_SANITISED, identity
from server import Server, WebAndNames, fetch, given, inner, links_addresses
from traffic import Transfer, answers, ping, transfer

MIB = 1 << 20
AT_ONCE = 5 if IS_SANITISED else 1  # seconds in which a key's removal has to be seen


def assert_all_reach(server, hosts_of):
    """Each of these clients and the server, both ways."""
    for client in hosts_of:
        for family in (4, 6):
            assert ping(client.host, server.host.inner(family), 3) == 3, f"{client.name} to the server, IPv{family}"
            assert ping(server.host, inner(client, family), 3) == 3, f"the server to {client.name}, IPv{family}"


def reach_each_other(clients, count=2, patience=5):
    """How many pings between all of them came back, of all that were sent."""
    pairs = itertools.product(itertools.permutations(clients, 2), (4, 6))
    came = [ping(one.host, inner(other, family), count, patience=patience) for (one, other), family in pairs]
    return sum(came), count * len(came)


# ---- keys in a folder ----


def test_five_clients_with_keys_in_a_folder(lab):
    server = Server(lab, ClientToClient="yes")
    server.start()
    for family in (4, 6):
        addresses = {inner(client, family) for client in server.clients}
        assert len(addresses) == 5 and server.host.inner(family) not in addresses
    assert {peer["name"] for peer in server.program.status()["peers"]} == {"c2", "c3", "c4", "c5", "c6"}
    assert_all_reach(server, server.clients)
    came, sent = reach_each_other(server.clients)
    assert came == sent
    transfer(server.hosts[0], server.hosts[4], inner(server.clients[4], 4), 4 * MIB)
    transfer(server.hosts[3], server.hosts[1], inner(server.clients[1], 6), 4 * MIB)
    assert server.program.drops("between_peers") == server.program.drops("bad_source") == 0


def test_clients_that_may_not_reach_each_other(lab):
    server = Server(lab, clients=3, ClientToClient="no")
    # Even where the host would forward.
    server.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    server.start()
    came, sent = reach_each_other(server.clients, patience=0.3)
    assert came == 0
    wait.until(lambda: server.program.drops("between_peers") >= sent, "they are counted")
    assert_all_reach(server, server.clients)


@pytest.mark.parametrize("forwards", [0, 1])
def test_the_host_decides_when_nothing_is_said(lab, forwards):
    server = Server(lab, clients=2)
    server.host.run("sysctl", "-qw", f"net.ipv4.ip_forward={forwards}", f"net.ipv6.conf.all.forwarding={forwards}")
    server.start()
    came, sent = reach_each_other(server.clients, patience=5 if forwards else 0.3)
    assert came == (sent if forwards else 0)
    assert server.program.drops("between_peers") == 0


def test_a_key_that_is_added_and_removed_while_others_work(lab):
    server = Server(lab, clients=3)
    stranger, other, third = server.clients
    path = server.keys / "c2.pub"
    path.unlink()
    server.start(other, third)
    stream = Transfer(other.host, server.host, server.host.inner(4), rate=4 * MIB)
    stranger.start()
    wait.until(lambda: stranger.peer()["reject_reason"], "it is refused without its key")
    assert "this key is not known here" in stranger.peer()["reject_reason"]

    server.authorize(stranger.host)
    server.wait_for(stranger)
    assert_all_reach(server, [stranger])

    path.unlink()
    wait.until(lambda: server.peer(stranger.host) is None, "the server has forgotten it", AT_ONCE)
    wait.until(lambda: stranger.peer()["state"] != "established", "the client has been told", 5)
    refused = stranger.status()["handshakes"]["rejected"]
    assert not answers(stranger.host, server.host.inner(4))
    assert not answers(server.host, inner(stranger, 4))
    wait.until(
        lambda: answers(stranger.host, server.host.inner(4)) or stranger.status()["handshakes"]["rejected"] > refused,
        "the client is told when it calls again",
    )
    assert "this key is not known here" in stranger.peer()["reject_reason"]
    assert not answers(stranger.host, server.host.inner(4))
    stream.wait_for(MIB)
    stream.stop()
    for client in (other, third):
        assert client.status()["handshakes"]["established"] == 1, "nobody else was troubled"
    assert_all_reach(server, [other, third])


def test_a_key_that_is_renamed_is_the_same_client(lab):
    server = Server(lab, clients=2)
    server.start()
    client = server.clients[0]
    before = given(client)
    stream = Transfer(client.host, server.host, server.host.inner(6), rate=4 * MIB)
    stream.wait_for(MIB)
    (server.keys / "c2.pub").rename(server.keys / "laptop.pub")
    wait.until(lambda: server.program.named("laptop") and not server.program.named("c2"), "it has its new name")
    stream.wait_for(MIB)
    stream.stop()
    wait.until(lambda: server.program.named("laptop")["state"] == "established", "it has a session")
    assert given(client) == before
    assert_all_reach(server, server.clients)


def test_a_file_that_is_no_key_hinders_nobody(lab):
    server = Server(lab, clients=2)
    (server.keys / "broken.pub").write_text("this is no key\n")
    (server.keys / "README").write_text("keys of the staff\n")
    (server.keys / ".hidden.pub").write_text("an editor's\n")
    server.start()
    assert "broken.pub" in server.program.log()
    assert "README" not in server.program.log() and ".hidden" not in server.program.log()
    # And while it runs: cut off, empty, a folder, a name that no peer can have.
    public = identity(99).public.read_bytes()
    (server.keys / "short.pub").write_bytes(public[:-1])
    (server.keys / "empty.pub").write_bytes(b"")
    (server.keys / "folder.pub").mkdir()
    (server.keys / "two words.pub").write_bytes(public)
    (server.keys / "good.pub").write_bytes(public)
    wait.until(lambda: server.program.named("good"), "the good one is taken")
    for name in ("short.pub", "empty.pub", "folder.pub", "two words.pub"):
        assert name in server.program.log(), name
    assert {peer["name"] for peer in server.program.status()["peers"]} == {"c2", "c3", "good"}
    assert_all_reach(server, server.clients)


def test_a_file_that_becomes_another_key(lab):
    """Under the same name stands somebody else: the one before is out."""
    server = Server(lab, clients=3)
    first, second, other = server.clients
    (server.keys / "c3.pub").unlink()
    server.start(first, other)
    shutil.copy(identity(second.host.number).public, server.keys / "c2.pub")
    wait.until(lambda: server.peer(first.host)["key_id"] == identity(second.host.number).key_id, "it is the other's", AT_ONCE)
    assert not answers(first.host, server.host.inner(4))
    second.start()
    server.wait_for(second)
    assert not given(second) & given(first), "the address of the one before is not given away in a hurry"
    assert_all_reach(server, [second, other])


def test_a_section_and_a_file_of_one_name(lab):
    """The section counts; the file's key has no way in."""
    server = Server(lab, clients=2, sections=[lab.peer(lab.client)])
    (server.keys / "c3.pub").rename(server.keys / "p0.pub")
    server.start(server.clients[0])
    assert [peer["name"] for peer in server.program.status()["peers"]] == ["p0"]
    assert "p0" in server.program.log() and server.program.named("p0")["key_id"] == identity(2).key_id
    assert_all_reach(server, [server.clients[0]])
    # The other way round: the section comes later.
    server.authorize(server.hosts[1], "late")
    wait.until(lambda: server.program.named("late"), "the file is taken")
    server.program.path.write_text(server.program.path.read_text() + f"\n[peer late]\nKeyID = {identity(99).key_id}\n")
    server.program.cli("reload", server.program.path)
    assert server.program.named("late")["key_id"] == identity(99).key_id
    assert len(server.program.status()["peers"]) == 2


def test_a_section_and_a_file_for_one_key(lab):
    """The section counts; without the file the client stays."""
    server = Server(lab, clients=2, sections=[lab.peer(lab.client)])
    server.start()
    assert {peer["name"] for peer in server.program.status()["peers"]} == {"p0", "c3"}
    (server.keys / "c2.pub").unlink()
    (server.keys / "c3.pub").unlink()
    wait.until(lambda: not server.program.named("c3"), "c3 is gone")
    assert server.program.named("p0")["state"] == "established"
    assert_all_reach(server, [server.clients[0]])


# ---- addresses ----


def leases(program):
    return {lease["address"]: lease["peer"] for lease in program.api("GET", "/v1/leases")["leases"]}


@pytest.mark.beside
def test_addresses_are_kept(lab):
    """Through restarts of a client and the server, whatever ends them, and in whatever order they come back."""
    server = Server(lab, clients=4)
    server.start(*server.clients[:3])
    known = {client.name: given(client) for client in server.clients[:3]}
    assert len(set.union(*known.values())) == 6
    table = leases(server.program)
    assert sorted(table.values()) == sorted(["c2", "c3", "c4"] * 2)

    first, second, third, newcomer = server.clients
    first.stop()
    first.start()
    server.wait_for(first)
    assert given(first) == known[first.name]

    for end in (server.program.stop, server.program.kill):
        first.stop()
        end()
        server.program.start()
        # Who is there first gets what is his, not what is free.
        server.wake(third)
        server.wake(second)
        if not newcomer.process:
            newcomer.start()
        server.wake(newcomer)
        first.start()
        server.wait_for(first)
        assert {client.name: given(client) for client in server.clients[:3]} == known
        assert leases(server.program).items() >= table.items()
    assert_all_reach(server, server.clients)


def test_the_command_for_leases(lab):
    server = Server(lab, clients=2)
    server.start()
    said = server.program.cli("leases", server.program.path).stdout
    for client in server.clients:
        line = next(line for line in said.splitlines() if f"c{client.host.number}" in line and inner(client, 4) in line)
        assert inner(client, 4) in line
        assert inner(client, 6) in said
    document = server.program.api("GET", "/v1/leases")["leases"]
    assert all(lease["connected"] for lease in document) and len(document) == 4


def test_a_lease_that_is_taken_back(lab):
    """The client has to come again, and gets another address: the old one rests."""
    server = Server(lab, clients=2)
    server.start()
    client = server.clients[0]
    before = inner(client, 4)
    server.program.cli("leases", server.program.path, "--free", before)
    server.wake(client)
    assert inner(client, 4) not in (before, None)
    wait.until(lambda: links_addresses(client) == given(client), "the old one is gone from the interface")
    assert_all_reach(server, server.clients)
    assert "10.66.0.99" in server.program.api("DELETE", "/v1/leases/10.66.0.99", code=404)["error"]


def test_static_addresses_are_respected(lab):
    """A section's address in the pool is its client's from the beginning and nobody else's."""
    peers = [
        lab.peer(lab.client, AllowedIPs="10.66.0.5/32"),
        {"KeyID": identity(77).key_id, "AllowedIPs": "10.66.0.3/32, fd66::2/128"},
    ]
    server = Server(lab, clients=4, sections=peers)
    server.start(*server.clients[1:])
    others = server.clients[1:]
    assert {inner(client, 4) for client in others} == {"10.66.0.2", "10.66.0.4", "10.66.0.6"}
    assert "fd66::2" not in {inner(client, 6) for client in others}
    server.clients[0].start()
    server.wait_for(server.clients[0])
    assert inner(server.clients[0], 4) == "10.66.0.5"
    assert inner(server.clients[0], 6) is not None
    assert_all_reach(server, server.clients)


def test_a_pool_that_is_exhausted(lab):
    """The client's status says so; when a key goes, its address is free."""
    server = Server(lab, clients=2, Pool="10.66.0.0/30")
    first, second = server.clients
    server.start(first)
    assert inner(first, 4) == "10.66.0.2" and inner(first, 6) is None
    second.start()
    wait.until(lambda: second.peer()["reject_reason"], "it is refused")
    assert "no address is left" in second.peer()["reject_reason"]
    assert "no address is left" in second.cli("status", second.path).stdout
    assert "c3" in server.program.log() and "Pool" in server.program.log()
    assert ping(first.host, server.host.inner(4), 3) == 3
    (server.keys / "c2.pub").unlink()
    server.wait_for(second, 45)
    assert inner(second, 4) == "10.66.0.2"
    assert leases(server.program) == {"10.66.0.2": "c3"}


# ---- what is handed out besides ----

PUSHED = {
    "PushRoutes": "10.2.1.0/24, fd02:1::/64",
    "PushDNS": "10.2.1.2, fd02:1::2, corp.test",
    "PushMTU": "1340",
    "PushKeepalive": "7",
}


def routes(host, family):
    words = host.run("ip", "-4" if family == 4 else "-6", "route", "show", "dev", "tun").stdout.splitlines()
    return {line.split()[0] for line in words}


def link_mtu(host):
    return int(host.run("cat", "/sys/class/net/tun/mtu").stdout)


def test_everything_that_is_handed_out_arrives(lab):
    server = Server(lab, clients=1, **PUSHED)
    server.start()
    client = server.clients[0]
    handed_out = client.peer()["given"]
    assert handed_out["dns"] == ["10.2.1.2", "fd02:1::2"] and handed_out["domains"] == ["corp.test"]
    assert handed_out["mtu"] == 1340 and handed_out["keepalive_s"] == 7
    assert {"10.2.1.0/24", "fd02:1::/64"} <= set(handed_out["routes"])
    wait.until(lambda: "10.2.1.0/24" in routes(client.host, 4), "the IPv4 route is set")
    wait.until(lambda: "fd02:1::/64" in routes(client.host, 6), "the IPv6 route is set")
    wait.until(lambda: link_mtu(client.host) == 1340, "the MTU is set")
    wait.until(lambda: "10.2.1.2" in client.status()["dns"] or "resolv" in client.log(), "the name servers are used, or it is said why not")
    shown = client.cli("status", client.path).stdout
    assert inner(client, 4) in shown and "10.2.1.0/24" in shown
    # What changes is told at once, and what is taken back goes.
    server.change(PushRoutes="10.3.0.0/16", PushMTU="1300")
    server.program.cli("reload", server.program.path)
    wait.until(lambda: "10.3.0.0/16" in routes(client.host, 4), "the new route is set")
    wait.until(lambda: "10.2.1.0/24" not in routes(client.host, 4), "the old one is gone")
    wait.until(lambda: link_mtu(client.host) == 1300, "the new MTU is set")
    assert client.status()["handshakes"]["established"] == 1


@pytest.mark.parametrize("what", ["Address", "Routes", "DNS", "MTU", "Keepalive"])
def test_what_a_client_does_not_take(lab, what):
    server = Server(lab, clients=1, **PUSHED)
    client = server.clients[0]
    client.peers[0] |= {f"Accept{what}": "no", "AllowedIPs": "10.66.0.1/32, fd66::1/128"}
    if what == "Address":
        # The address is its own: that which the server will give it.
        client.interface["Address"] = "10.66.0.2/32, fd66::1:2/128"
    client.write()
    server.program.start()
    client.start()
    client.wait_for_session()
    handed_out = wait.until(lambda: client.peer()["given"], "something is handed out")
    fields = {"Address": ["addresses"], "Routes": ["routes"], "DNS": ["dns", "domains"], "MTU": ["mtu"], "Keepalive": ["keepalive_s"]}
    for key, names in fields.items():
        for name in names:
            assert bool(handed_out[name]) is (key != what), f"{name}: {handed_out[name]}"
    wait.until(lambda: ("10.2.1.0/24" in routes(client.host, 4)) is (what != "Routes"), "routes are as they should be")
    wait.until(lambda: (link_mtu(client.host) == 1340) is (what != "MTU"), "the MTU is as it should be")
    # Without routes not even that of the address's own network comes.
    length = {"Address": None, "Routes": "/32"}.get(what, "/24")
    there = {f"10.66.0.2{length}"} if length else {"10.66.0.2/32", "fd66::1:2/128"}
    wait.until(lambda: there <= links_addresses(client), "the addresses are there")
    assert ("10.66.0.0/24" in routes(client.host, 4)) is (length == "/24")
    assert wait.until(lambda: answers(client.host, server.host.inner(4)), "a ping comes back")


def test_a_route_that_is_not_the_servers_to_give(lab):
    """A default route needs the client's own AllowedIPs; another peer's prefix stays that peer's."""
    server = Server(lab, clients=2, PushRoutes="0.0.0.0/0, ::/0, 10.77.0.0/16, 10.88.0.0/16")
    client = server.clients[0]
    client.peers.append({"KeyID": identity(78).key_id, "AllowedIPs": "10.77.0.0/16"})
    client.write()
    server.start(client)
    taken = client.peer()["given"]["routes"]
    assert "10.88.0.0/16" in taken
    assert not {"0.0.0.0/0", "::/0", "10.77.0.0/16"} & set(taken)
    wait.until(lambda: "10.88.0.0/16" in routes(client.host, 4), "the route is set")
    assert "default" not in routes(client.host, 4) | routes(client.host, 6)
    assert ping(client.host, server.host.inner(4), 3) == 3


# ---- what stands behind it ----


def test_a_web_server_and_a_name_server_behind_it(lab):
    server = Server(lab, **PUSHED)
    behind = lab.add_behind(lab.server)
    folder = lab.folder / "www"
    folder.mkdir()
    content = os.urandom(2 * MIB)
    (folder / "file").write_bytes(content)
    server.start()
    with WebAndNames(behind, folder):
        for client in server.clients:
            handed_out = client.peer()["given"]
            client.host.use_names(handed_out["dns"], handed_out["domains"])
            found = client.host.run("getent", "ahosts", "www").stdout
            assert "10.2.1.2" in found and "fd02:1::2" in found, "the search domain is used"
            for url in ("http://www.corp.test/file", "http://10.2.1.2/file", "http://[fd02:1::2]/file"):
                assert fetch(client.host, url) == hashlib.sha256(content).hexdigest(), url
            assert client.host.run("getent", "ahosts", "nobody.corp.test", check=False).returncode == 2


# ---- two on one host ----


def test_two_tunnels_on_one_host(lab):
    """Two daemons beside each other; one ends, the other does not notice."""
    first = Server(lab, clients=2)
    second = lab.program(
        lab.server, [lab.peer(lab.client, AllowedIPs="10.67.0.2/32, fd67::2/128")],
        name="tun1", Listen="10667", Address="10.67.0.1/24, fd67::1/64",
    )  # fmt: skip
    calling = lab.program(
        lab.client, [lab.peer(lab.server, 4, port=10667, AllowedIPs="10.67.0.1/32, fd67::1/128")],
        name="tun1", Address="10.67.0.2/24, fd67::2/64",
    )  # fmt: skip
    first.start()
    second.start()
    calling.start()
    calling.wait_for_session()
    stream = Transfer(lab.client, lab.server, first.host.inner(4), rate=4 * MIB)
    for address in ("10.67.0.1", "fd67::1"):
        assert ping(lab.client, address, 3) == 3
        transfer(lab.client, lab.server, address, 4 * MIB)
    assert_all_reach(first, first.clients)
    assert second.stop() == 0
    stream.wait_for(MIB)
    stream.stop()
    assert_all_reach(first, first.clients)
    assert {"tun"} == lab.server.links() & {"tun", "tun1"}
    assert first.program.status()["handshakes"]["established"] == 2
