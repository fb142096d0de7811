"""What a tunnel changes on its host besides its interface: policy rules, nftables, forwarding. Afterwards all is as it
was, however it ended, and whoever else needs it meanwhile keeps it."""

import os
import signal

import pytest

import wait
from internet import ALL, SITE, add_internet, forwarding, helper_of, marks, rules, set_forwarding, switches, tables
from lab import run
from program import JORM, identity
from server import Server, inner
from traffic import answers, ping

USERS = ["root", "nobody"]


def full(lab, **client):
    """A full tunnel whose user may be another than root."""
    lab.folder.chmod(0o711)
    return lab.pair(to_server=ALL, client=client)[1]


def end(client, how):
    """Ends the daemon so."""
    if how == "kill":
        client.kill()
    elif how == "helper":
        os.kill(helper_of(client), signal.SIGKILL)
        assert client.wait() == 1
    elif how == "down":
        client.cli("down", client.path)
        assert client.wait() == 0
    elif how == "interface":
        client.host.ip("link del tun")
        assert client.wait() == 1
    else:
        assert client.stop(how) == 0


# ---- nothing is left ----


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "down", "kill", "interface"])
def test_nothing_is_left_by_a_full_tunnel(lab, how, user):
    before = marks(lab.client)
    client = full(lab, User=user)
    there = marks(lab.client)
    assert there["rules"] != before["rules"] and there["tables"] and there["routes"] != before["routes"]
    end(client, how)
    if how == "kill":  # its helper cleans up
        wait.until(lambda: marks(lab.client) == before, "all is as before")
    assert marks(lab.client) == before
    wait.until(lambda: not client.socket.exists(), "its socket is gone")
    assert not client.socket.with_name(f"{client.socket.name}.lock").exists()
    client.start()
    client.wait_for_session()
    assert ping(lab.client, lab.server.inner(4), 2) == 2


@pytest.mark.parametrize("by", ["up", "down"])
@pytest.mark.parametrize("user", USERS)
def test_what_is_left_when_everything_is_killed(lab, user, by):
    """The kernel takes the interface; the next `up` or `down` the rest."""
    before = marks(lab.client)
    client = full(lab, User=user)
    os.kill(helper_of(client), signal.SIGKILL)
    client.kill()
    assert rules(lab.client, 4) and tables(lab.client)
    if by == "down":
        said = lab.client.run(JORM, "down", client.path).stdout
        assert "what one had left behind is removed" in said
    else:
        client.start()
        client.wait_for_session()
        assert len(rules(lab.client, 4)) == len(rules(lab.client, 6)) == 3
        assert client.stop() == 0
    assert marks(lab.client) == before
    assert not client.socket.exists()


def test_a_helper_that_is_killed_takes_the_tunnel_with_it(lab):
    """What is left then is the next one's to clean up."""
    before = marks(lab.client)
    client = full(lab)
    end(client, "helper")
    assert "has ended; start the tunnel again" in client.log()
    assert "tun" not in lab.client.links()
    client.start()
    assert client.stop() == 0
    assert marks(lab.client) == before


def nothing_starts(client, **interface):
    client.interface |= interface
    client.write()
    return client.fail()


@pytest.mark.parametrize("user", USERS)
def test_nothing_is_left_by_one_that_does_not_start(lab, user):
    lab.folder.chmod(0o711)
    lab.client.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    before = marks(lab.client)
    client = lab.program(lab.client, [lab.peer(lab.server, 4, **ALL)], User=user, Masquerade="yes")
    taken = lab.client.socket(2, 2)
    with taken:
        taken.bind(("0.0.0.0", 10777))
        said = nothing_starts(client, Listen="10777")
        assert "10777" in said
        assert marks(lab.client) == before
    said = nothing_starts(client, Listen=None)
    assert "fd66::2" in said or "IPv6" in said
    assert marks(lab.client) == before and not client.socket.exists()
    assert "eth0" in nothing_starts(client, Address="10.66.0.2/24", Name="eth0")
    assert marks(lab.client) == before and not client.socket.exists()
    # A route that is another interface's.
    lab.client.ip("route add 10.99.0.0/16 via 10.1.2.1")
    before = marks(lab.client)
    client.peers[0]["AllowedIPs"] = "0.0.0.0/0, 10.99.0.0/16"
    said = nothing_starts(client, Address="10.66.0.2/24", Name="tun")
    assert "10.99.0.0/16" in said and "another interface has it" in said and "AllowedIPs" in said
    assert marks(lab.client) == before and not client.socket.exists()
    client.peers[0] |= ALL
    # And one that runs is not hurt by a second one.
    lab.client.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=0")
    client.interface |= {"Name": "tun", "Masquerade": None, "Address": "10.66.0.2/24, fd66::2/64"}
    client.write()
    lab.program(lab.server, [lab.peer(lab.client)], Listen="10666").start()
    client.start()
    client.wait_for_session()
    there = marks(lab.client)
    said = lab.client.run(JORM, "up", client.path, check=False)
    assert said.returncode == 1 and "jorm up: " in said.stderr
    assert marks(lab.client) == there
    assert ping(lab.client, lab.server.inner(4), 2) == 2


# ---- masquerading and forwarding ----


def masquerading(lab, number, **more):
    """A tunnel of the server's that masquerades."""
    peer = {"KeyID": identity(50 + number).key_id, "AllowedIPs": f"10.{70 + number}.0.2/32"}
    settings = {"Listen": str(10700 + number), "Address": f"10.{70 + number}.0.1/24, fd{70 + number}::1/64"}
    return lab.program(lab.server, [peer], name=f"tun{number}", Masquerade="yes", **settings | more)


def router_advertisements(host):
    return int(host.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").stdout)


@pytest.mark.parametrize("how", [signal.SIGTERM, "down", "kill"])
def test_forwarding_is_on_while_somebody_needs_it(lab, how):
    """Two tunnels, which end in either order."""
    set_forwarding(lab.server, 0)
    lab.server.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    before, all_before = switches(lab.server), marks(lab.server)
    one, two = masquerading(lab, 1), masquerading(lab, 2)
    for first, second in ((one, two), (two, one)):
        one.start()
        assert forwarding(lab.server) == [1, 1]
        assert router_advertisements(lab.server) == 2, "a router, but one that takes its own default route from another"
        two.start()
        end(first, how)
        wait.until(lambda: len([name for name in tables(lab.server) if "nat" in name]) == 1, "its table is gone")
        assert forwarding(lab.server) == [1, 1]
        end(second, how)
        wait.until(lambda: switches(lab.server) == before, "all is as before")
        wait.until(lambda: marks(lab.server) == all_before, "rules and tables are, too")


@pytest.mark.parametrize("by", ["up", "down", "other"])
def test_forwarding_after_everything_was_killed(lab, by):
    set_forwarding(lab.server, 0)
    lab.server.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    before = switches(lab.server)
    one, two = masquerading(lab, 1), masquerading(lab, 2)
    one.start()
    os.kill(helper_of(one), signal.SIGKILL)
    one.kill()
    assert forwarding(lab.server) == [1, 1], "nobody was left to switch it off"
    if by == "down":
        lab.server.run(JORM, "down", one.path)
    else:
        last = one if by == "up" else two
        last.start()
        assert forwarding(lab.server) == [1, 1]
        assert last.stop() == 0
    assert switches(lab.server) == before


@pytest.mark.parametrize("before, meanwhile", [(1, 1), (1, 0), (0, 0)])
def test_forwarding_that_is_the_admins(lab, before, meanwhile):
    """What was on stays on; what somebody sets meanwhile is not undone."""
    set_forwarding(lab.server, before)
    one = masquerading(lab, 1)
    one.start()
    assert forwarding(lab.server) == [1, 1]
    set_forwarding(lab.server, meanwhile)
    assert one.stop() == 0
    assert forwarding(lab.server) == [meanwhile, meanwhile]


def test_masquerading_that_is_switched_by_reload(lab):
    site = add_internet(lab)
    before = switches(lab.server)
    server, _ = lab.pair(to_server=ALL)
    assert not answers(lab.client, SITE[4])
    for value, count in (("yes", 2), ("no", 0)):
        server.interface["Masquerade"] = value
        server.write()
        server.api("POST", "/v1/reload")
        assert [ping(lab.client, SITE[family], 2, patience=1) for family in (4, 6)] == [count, count]
    assert switches(lab.server) == before
    assert site.links() == {"lo", "eth0"}


@pytest.mark.parametrize("between, forwards", [("yes", 0), ("no", 1), (None, 1)])
def test_clients_and_the_hosts_forwarding(lab, between, forwards):
    """With yes the host is made to forward, with no it does not help that it does; else it decides."""
    server = Server(lab, clients=2, ClientToClient=between)
    set_forwarding(lab.server, forwards)
    before = switches(lab.server)
    server.start()
    one, other = server.clients
    for family in (4, 6):
        assert ping(one.host, inner(other, family), 2, patience=1) == (0 if between == "no" else 2)
    assert server.program.stop() == 0
    assert switches(lab.server) == before


# ---- as wg-quick's users expect ----


def routes(host, family, table="main"):
    return host.run("ip", f"-{family}", "route", "show", "table", table, check=False).stdout


def test_table_off(lab):
    before = marks(lab.client)
    client = full(lab, Table="off")
    there = marks(lab.client)
    assert (there["rules"], there["tables"], there["switches"]) == (before["rules"], before["tables"], before["switches"])
    assert "default dev tun" not in routes(lab.client, 4, "all") + routes(lab.client, 6, "all")
    assert ping(lab.client, "10.1.1.1", 2) == 2, "what is not of the tunnel's own network goes outside"
    assert ping(lab.client, lab.server.inner(4), 2) == 2
    assert client.stop() == 0
    assert marks(lab.client) == before


def test_a_table_of_ones_own(lab):
    """All routes go there, and rules are the user's business."""
    before = marks(lab.client)
    client = full(lab, Table="1234", PostUp="ip rule add to 10.2.1.0/24 lookup 1234 prio 500", PostDown="ip rule del prio 500")
    for family in (4, 6):
        assert "default dev tun" in routes(lab.client, family, 1234)
        assert "default dev tun" not in routes(lab.client, family)
    assert [text for _, text in rules(lab.client, 4)] == ["from all to 10.2.1.0/24 lookup 1234"]
    assert rules(lab.client, 6) == []
    assert "dev tun" in lab.client.run("ip", "route", "get", "10.2.1.2").stdout
    assert client.stop() == 0
    assert marks(lab.client) == before


def test_a_mark_of_ones_own(lab):
    client = full(lab, FwMark="0x77")
    text = rules(lab.client, 4)[-1][1]
    assert text.startswith("not from all fwmark 0x77 lookup ")
    assert ping(lab.client, lab.server.inner(6), 2) == 2
    assert client.stop() == 0


@pytest.mark.parametrize("family", [4, 6])
def test_one_family_alone(lab, family):
    """The other one's traffic is none of the tunnel's business."""
    lab.pair(to_server={"AllowedIPs": "0.0.0.0/0" if family == 4 else "::/0"})
    other = 10 - family
    assert rules(lab.client, family) and not rules(lab.client, other)
    far = {4: "10.1.1.1", 6: "fd01:1::1"}
    assert "dev tun" in lab.client.run("ip", "route", "get", far[family]).stdout
    assert "dev eth0" in lab.client.run("ip", "route", "get", far[other]).stdout


def test_halves_of_everything(lab):
    """0.0.0.0/1 and 128.0.0.0/1 are plain routes, for those who are used to them: the server has to be kept outside."""
    client = lab.program(lab.client, [lab.peer(lab.server, 4, AllowedIPs="0.0.0.0/1, 128.0.0.0/1")])
    lab.program(lab.server, [lab.peer(lab.client)], Listen="10666").start()
    lab.client.ip("route add 10.1.1.0/24 via 10.1.2.1")
    client.start()
    client.wait_for_session()
    assert not rules(lab.client, 4)
    assert "dev tun" in lab.client.run("ip", "route", "get", "10.9.9.9").stdout


def test_two_full_tunnels(lab):
    """Each would carry the other's datagrams: the second one is refused, and the first has not noticed."""
    first = full(lab)
    there = marks(lab.client)
    second = lab.program(lab.client, [lab.peer(lab.server, 4, port=10667, **ALL)], name="more", Address="10.67.0.2/24")
    said = second.fail()
    assert "another tunnel of this host takes all of IPv4 already" in said and "take it down first" in said
    assert marks(lab.client) == there
    assert ping(lab.client, lab.server.inner(4), 2) == 2
    assert first.stop() == 0
    second.start()


# ---- another user than root ----


def test_a_reload_reads_roots_files_for_another_user(lab):
    """The daemon could not open them any more."""
    lab.folder.chmod(0o711)
    keys = {}
    for name in ("old", "new"):
        keys[name] = lab.folder / f"{name}.psk"
        keys[name].write_bytes(os.urandom(32))
        keys[name].chmod(0o600)
    both = {"PresharedKey": keys["old"]}
    server, client = lab.pair(both={"User": "nobody"}, to_server=both, to_client=both)
    for program in (client, server):
        assert run("stat", "-c", "%U", program.state).stdout == "nobody\n"
        assert {path.owner() for path in program.state.iterdir()} <= {"nobody"}
        with open(f"/proc/{program.process.pid}/status", encoding="ascii") as status:
            assert "\nUid:\t65534\t65534\t65534\t65534\n" in status.read()
    for program in (client, server):
        program.peers[0]["PresharedKey"] = keys["new"]
        program.write()
        program.api("POST", "/v1/reload")
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a session with the new key", 40)
    assert client.status()["handshakes"]["established"] > 1
    assert client.stop() == server.stop() == 0
    assert not client.socket.exists() and not server.socket.exists()
