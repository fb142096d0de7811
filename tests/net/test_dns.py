"""Name servers that come with a tunnel: how the host's own resolver is told, and told again at the end.

The resolvers' programs are stand-ins that note what they are asked; they are in front of PATH in a mount namespace of
the daemon's own, where the machine's own resolver is out of sight.
"""

import os
import signal

import pytest

import wait
from internet import ALL, helper_of, marks
from program import JORM
from server import NO_RESOLVER
from traffic import answers

STANDIN = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
case "$1" in -a) sed 's/^/< /' >> {log};; esac
exit $(cat {log}.exit 2>/dev/null || echo 0)
"""
# What pretends that systemd-resolved runs: resolvectl alone does not mean that.
RUNS = "mount -t tmpfs none /run/systemd; mkdir /run/systemd/resolve; "


class Resolver:
    """One of the two programs, on a client."""

    def __init__(self, lab, program, runs=True):
        self.folder, self.log = lab.folder / "bin", lab.folder / "calls"
        self.folder.mkdir()
        path = self.folder / program
        path.write_text(STANDIN.format(log=self.log))
        path.chmod(0o755)
        there = RUNS if program == "resolvectl" and runs else ""
        self.wrapper = [*NO_RESOLVER, "sh", "-c", f'{there}PATH={self.folder}:$PATH exec "$@"', "sh"]

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def fail(self, code):
        (self.log.parent / f"{self.log.name}.exit").write_text(f"{code}\n")


def start(lab, resolver, peer=None, server=None, **client):
    """A tunnel with the resolver's stand-in on the client; returns both programs."""
    lab.folder.chmod(0o711)
    to_client = [lab.peer(lab.client)]
    one = lab.program(lab.server, to_client, Listen="10666", **(server or {}))
    two = lab.program(lab.client, [lab.peer(lab.server, 4, **(peer or {}))], **client)
    two.wrapper = resolver.wrapper if resolver else NO_RESOLVER
    one.start()
    two.start()
    two.wait_for_session()
    return one, two


OWN = "10.66.0.1, fd66::1, corp.test"
SET = {
    "resolvectl": ["resolvectl dns tun 10.66.0.1 fd66::1", "resolvectl domain tun corp.test", "resolvectl default-route tun false"],
    "resolvconf": ["resolvconf -a tun.jorm -m 0 -x", "< nameserver 10.66.0.1", "< nameserver fd66::1", "< search corp.test"],
}
UNSET = {"resolvectl": "resolvectl revert tun", "resolvconf": "resolvconf -d tun.jorm"}


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("end", ["stop", "down", "kill", "kill_both"])
@pytest.mark.parametrize("program", ["resolvectl", "resolvconf"])
def test_own_name_servers(lab, program, end, user):
    resolver = Resolver(lab, program)
    _, client = start(lab, resolver, DNS=OWN, User=user)
    assert resolver.calls() == SET[program]
    assert client.status()["dns"] == ["10.66.0.1", "fd66::1"]
    if end == "kill_both":
        os.kill(helper_of(client), signal.SIGKILL)
    if end == "stop":
        client.stop()
    elif end == "down":
        client.cli("down", client.path)
    else:
        client.kill()
    if end == "kill_both":
        # Nobody was left to undo it. With its interface systemd-resolved forgets by itself; resolvconf has to be told.
        assert resolver.calls() == SET[program]
        lab.client.run(*resolver.wrapper, JORM, "down", client.path)
    if program == "resolvconf":
        wait.until(lambda: resolver.calls() == SET[program] + [UNSET[program]], "it is undone, once")
    assert set(resolver.calls()) <= {*SET[program], UNSET[program]}


def test_a_full_tunnel_asks_its_name_servers_for_everything(lab):
    resolver = Resolver(lab, "resolvectl")
    start(lab, resolver, peer=ALL, DNS="10.66.0.1")
    expected = ["resolvectl dns tun 10.66.0.1", "resolvectl domain tun ~.", "resolvectl default-route tun true"]
    assert resolver.calls() == expected


PUSHED = {"Pool": "10.66.0.0/24, fd66::/64", "PushDNS": "10.66.0.1, fd66::1, corp.test"}


@pytest.mark.parametrize("program", ["resolvectl", "resolvconf"])
def test_pushed_name_servers(lab, program):
    """They come with the session, follow the server, and go."""
    resolver = Resolver(lab, program)
    server, client = start(lab, resolver, server=PUSHED, peer={"AllowedIPs": "10.66.0.1/32"}, Address=None)
    wait.until(lambda: resolver.calls()[-len(SET[program]) :] == SET[program], "they are set")
    before = len(resolver.calls())
    server.interface["PushDNS"] = "10.66.0.1"
    server.write()
    server.api("POST", "/v1/reload")
    wait.until(lambda: client.status()["dns"] == ["10.66.0.1"], "the client knows")
    wait.until(lambda: len(resolver.calls()) > before, "the resolver is told")
    assert not [line for line in resolver.calls()[before:] if "corp.test" in line or "fd66::1" in line]
    server.interface["PushDNS"] = None
    server.write()
    server.api("POST", "/v1/reload")
    wait.until(lambda: resolver.calls()[-1] == UNSET[program], "none are left")
    calls = resolver.calls()
    assert client.stop() == 0
    assert resolver.calls() == calls, "what is undone is not undone again"


def test_pushed_name_servers_that_are_not_taken(lab):
    resolver = Resolver(lab, "resolvectl")
    peer = {"AllowedIPs": "10.66.0.1/32", "AcceptDNS": "no"}
    _, client = start(lab, resolver, server=PUSHED, peer=peer, Address=None)
    wait.until(lambda: client.peer()["given"] and client.peer()["given"]["addresses"], "it has got something")
    wait.until(lambda: answers(lab.client, "10.66.0.1"), "a ping comes back")
    assert resolver.calls() == []


@pytest.mark.parametrize("program", ["none", "resolvectl"])
def test_without_a_resolver_the_tunnel_comes_up_with_a_warning(lab, program):
    """resolvectl without systemd-resolved is none, either."""
    resolver = Resolver(lab, program, runs=False) if program != "none" else None
    _, client = start(lab, resolver, DNS="10.66.0.1, corp.test")
    assert "neither systemd-resolved (resolvectl) nor resolvconf is there; install one" in client.log()
    assert answers(lab.client, lab.server.inner(4))
    assert not resolver or resolver.calls() == []
    assert client.stop() == 0


def test_a_resolver_that_fails(lab):
    """The tunnel does not come up half."""
    resolver = Resolver(lab, "resolvectl")
    resolver.fail(4)
    before = marks(lab.client)
    client = lab.program(lab.client, [lab.peer(lab.server, 4)], DNS="10.66.0.1")
    client.wrapper = resolver.wrapper
    said = client.fail()
    assert "resolvectl dns failed (exit code 4)" in said
    assert marks(lab.client) == before
