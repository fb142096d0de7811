"""A tunnel for everything, as on a laptop: what goes through it, what stays outside, and that nothing slips past it."""

import os
import re
import signal
import time

import pytest

import wait
from internet import ALL, SITE, Names, add_internet, helper_of, kill_switch, marks, rules, services, set_forwarding, tables
from leaks import FAR, Wire
from program import JORM
from server import fetch
from traffic import answers, ping

# ---- everything goes through it ----


def through(lab, **client):
    """A full tunnel to a server that masquerades, and the host behind it."""
    site = add_internet(lab)
    server, program = lab.pair(server={"Masquerade": "yes"}, to_server=ALL, client=client)
    return site, server, program


def test_pages_and_names(lab):
    site, _, client = through(lab)
    with services(lab, site):
        lab.client.use_names([SITE[4], SITE[6]], ["corp.test"])
        found = lab.client.run("getent", "ahosts", "www").stdout
        assert SITE[4] in found and SITE[6] in found
        sums = {fetch(lab.client, f"http://{where}/file") for where in ("www.corp.test", SITE[4], f"[{SITE[6]}]")}
        assert len(sums) == 1
    # Networks of its own are still its own.
    assert ping(lab.client, "10.1.2.1", 2) == ping(lab.client, "fd01:2::1", 2) == 2
    mark = re.search(r"fwmark (0x[0-9a-f]+)", rules(lab.client, 4)[-1][1])[1]
    for family, (near, server) in {4: ("10.1.2.1", "10.1.1.2"), 6: ("fd01:2::1", "fd01:1::2")}.items():
        assert [text for _, text in rules(lab.client, family)][-2:] == [
            "from all lookup main suppress_prefixlength 0 proto 106",
            f"not from all fwmark {mark} lookup {int(mark, 16)} proto 106",
        ]
        way = lab.client.run("ip", "route", "get", server, "mark", mark).stdout
        assert "dev eth0" in way and "dev tun" not in way
        assert "dev tun" in lab.client.run("ip", "route", "get", server).stdout
        assert "dev eth0" in lab.client.run("ip", "route", "get", near).stdout
    assert client.status()["handshakes"]["established"] == 1


@pytest.mark.parametrize("masquerade", ["yes", None])
def test_only_masquerading_brings_answers(lab, masquerade):
    """The host behind the server has no way back to the tunnel's addresses."""
    add_internet(lab)
    if masquerade is None:
        set_forwarding(lab.server, 1)
    lab.pair(server={"Masquerade": masquerade}, to_server=ALL)
    assert [ping(lab.client, SITE[family], 2, patience=1) for family in (4, 6)] == ([2, 2] if masquerade else [0, 0])


# ---- nothing gets past it ----


class Guarded:
    """A full tunnel with KillSwitch under a crowd that tries to get past it. A context manager: the tunnel is up
    inside, and nothing has got past it since the switch was set; `since`: that moment."""

    def __init__(self, lab, **client):
        self.lab = lab
        self.server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666", Masquerade="yes")
        self.client = lab.program(lab.client, [lab.peer(lab.server, 4, Keepalive="1", **ALL)], KillSwitch="yes", **client)
        self.wire = Wire(lab)

    def __enter__(self):
        self.server.start()
        self.wire.__enter__()
        self.client.spawn()
        wait.until(lambda: kill_switch(self.lab.client), "the switch is set", step=0)
        self.since = time.time()
        wait.until(lambda: " is up:" in self.client.log(), "the tunnel is up")
        self.wait_for_traffic()
        return self

    def __exit__(self, *error):
        if error[0] is None:
            self.wire.assert_tight(self.since)
            self.lift()
        self.wire.__exit__(*error)

    def wait_for_traffic(self):
        self.client.wait_for_session(0, 45)
        wait.until(lambda: answers(self.lab.client, self.lab.server.inner(4)), "a ping comes back")

    def lift(self):
        """`jorm down` opens the host again, also when only a dead daemon's rules are left."""
        until = time.time()
        assert not self.wire.seen(self.since, until)
        self.lab.client.run(JORM, "down", self.client.path)
        assert not kill_switch(self.lab.client)
        self.wire.wait_for_crowd(time.time())


def just_runs(guarded):
    guarded.wire.try_for(20)


def roams(guarded):
    address = guarded.lab.client.move(4)
    wait.until(lambda: guarded.server.peer()["endpoint"].startswith(address), "the server follows")
    # The old addresses are back, beside the new one, for those who call them from outside.
    host = guarded.lab.client
    host.ip("addr add 10.1.2.2/24 dev eth0\naddr add fd01:2::2/64 dev eth0 nodad\nroute replace default via fd01:2::1")


def server_restarts(guarded):
    guarded.server.stop()
    guarded.server.start()
    wait.until(lambda: guarded.server.peer()["state"] == "established", "the client is back", 45)


def server_is_down(guarded):
    """Until the client has noticed, and for a while."""
    guarded.server.kill()
    wait.until(lambda: guarded.client.status()["handshakes"]["initiated"] > 1, "the client has noticed", 45)
    guarded.wire.try_for(20)
    guarded.server.start()


def daemon_is_killed(guarded):
    helper = helper_of(guarded.client)
    guarded.client.kill()
    wait.until(lambda: not os.path.exists(f"/proc/{helper}"), "its helper has cleaned up")
    assert not rules(guarded.lab.client, 4) and not rules(guarded.lab.client, 6)
    guarded.wire.try_for(10)
    assert "but the kill switch, which is lifted by: jorm down" in guarded.client.log()
    guarded.client.start()


def everything_is_killed(guarded):
    """The rules stay until the next start finds them."""
    helper = helper_of(guarded.client)
    os.kill(helper, signal.SIGKILL)
    guarded.client.kill()
    guarded.wire.try_for(10)
    guarded.client.start()


def helper_is_killed(guarded):
    """The daemon does not go on without it."""
    os.kill(helper_of(guarded.client), signal.SIGKILL)
    assert guarded.client.wait() == 1
    guarded.wire.try_for(10)
    guarded.client.start()


def reloads(guarded):
    for keepalive in (2, 3, 4):
        guarded.client.peers[0]["Keepalive"] = keepalive
        guarded.client.write()
        guarded.client.api("POST", "/v1/reload")
    guarded.wire.try_for(5)


def service_stops(guarded):
    assert guarded.client.stop() == 0
    assert "the kill switch stays" in guarded.client.log() and "jorm down" in guarded.client.log()
    guarded.wire.try_for(10)
    guarded.client.start()


def interface_is_removed(guarded):
    guarded.lab.client.ip("link del tun")
    assert guarded.client.wait() == 1
    guarded.wire.try_for(10)
    guarded.client.start()


EVENTS = [
    just_runs, roams, server_restarts, server_is_down, daemon_is_killed, everything_is_killed, helper_is_killed, reloads,
    service_stops, interface_is_removed,
]  # fmt: skip


SLOW = [server_is_down]


@pytest.mark.parametrize(
    "event", [pytest.param(event, id=event.__name__, marks=[pytest.mark.beside] * (event in SLOW)) for event in EVENTS]
)
def test_nothing_leaks_when(lab, event):
    lab.folder.chmod(0o711)  # the way to StateDirectory for another user: every second one is not root
    with Guarded(lab, User=("root", "nobody")[EVENTS.index(event) % 2]) as guarded:
        event(guarded)
        assert kill_switch(lab.client)
        guarded.wait_for_traffic()


def test_the_switch_follows_a_reload(lab):
    with Guarded(lab) as guarded:
        for value in ("no", "yes"):
            guarded.wire.assert_tight(guarded.since)
            guarded.client.interface["KillSwitch"] = value
            guarded.client.write()
            guarded.client.api("POST", "/v1/reload")
            guarded.since = time.time()
            assert kill_switch(lab.client) is (value == "yes")
            if value == "no":
                # Those who ask for the outer device go there again, the rest into the tunnel.
                wait.until(lambda: f"udp {FAR[4]} 5004" in guarded.wire.seen(guarded.since), "the way outside is open")
                guarded.since = float("inf")


@pytest.mark.parametrize("end", ["kill", "kill_all", "stop"])
def test_down_lifts_what_a_dead_daemon_has_left(lab, end):
    before = marks(lab.client)
    with Guarded(lab) as guarded:
        if end == "kill_all":
            os.kill(helper_of(guarded.client), signal.SIGKILL)
        if end == "stop":
            guarded.client.stop()
        else:
            guarded.client.kill()
        guarded.wire.try_for(5)
    after = marks(lab.client)
    # The host behind it came meanwhile, and with it forwarding.
    assert (after["rules"], after["tables"]) == (before["rules"], before["tables"])
    said = lab.client.run(JORM, "down", guarded.client.path, check=False)
    assert said.returncode == 1, "there is nothing left to take down"


# ---- the way to the server ----


@pytest.mark.parametrize("strict", [1, 2])
def test_a_host_that_looks_at_the_way_back(lab, strict):
    """With rp_filter a packet counts only if its answer would go out where it came in: what the server sends comes in
    by eth0, while the answer to whoever else was there would go into the tunnel."""
    for link in ("all", "default", "eth0"):
        lab.client.run("sysctl", "-qw", f"net.ipv4.conf.{link}.rp_filter={strict}")
    _, client = lab.pair(to_server=ALL)
    assert ping(lab.client, lab.server.inner(4), 3) == 3
    assert client.stop() == 0
    assert not tables(lab.client) and not rules(lab.client, 4)


@pytest.mark.parametrize("switch", ["yes", "no"])
@pytest.mark.beside
def test_the_server_moves_and_its_name_follows(lab, switch):
    """The name server is outside, too, and nobody but the tunnel may ask it past the tunnel."""
    names = Names(lab)
    with names:
        names.set("vpn.test", lab.server.outer(4))
        lab.client.use_names([FAR[4]], ["test"])
        server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
        section = lab.peer(lab.server, Endpoint="vpn.test:10666", Keepalive="1", **ALL)
        client = lab.program(lab.client, [section], KillSwitch=switch)
        server.start()
        client.start()
        client.wait_for_session()
        server.kill()
        address = lab.server.move(4)
        names.set("vpn.test", address)
        server.start()
        wait.until(lambda: client.peer()["endpoint"].startswith(f"{address}:"), "the client looks there", 40)
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back", 40)
        server.kill()
        lab.client.run("getent", "ahosts", "secret.test", check=False)
        assert "vpn.test" in names.asked() and "secret.test" not in names.asked()
