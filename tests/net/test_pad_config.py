"""One-time pads as people set them up: files, folders, and what is wrong with them."""

import os
import shutil

import pytest

import pads
import wait
from server import given, inner
from traffic import Transfer, answers, ping, ping_both_ways, transfer

MIB = 1 << 20


@pytest.mark.parametrize(
    "protection, words", [("otp", "information-theoretic"), ("pq+otp", "pad + AEAD"), ("pq", "AEAD, pad in key exchange")]
)
def test_two_hosts_with_one_pad(lab, protection, words):
    server, client = pads.pair(lab, protection)
    ping_both_ways(lab)
    transfer(lab.client, lab.server, lab.server.inner(4), MIB)
    for program in (server, client):
        peer = program.peer()
        assert peer["protection"] == words
        assert (peer["cipher"] is None) == (peer["kem"] is None) == (protection == "otp")
        pad = peer["pad"]
        assert pad["size"] == 16 * MIB and pad["state"] == "ready"
        used = MIB if protection != "pq" else 0
        assert max(pad["sent"], pad["received"]) >= used
    assert pads.of(server)["id"] == pads.of(client)["id"] == open(lab.folder / "server.pad", "rb").read(16).hex()
    text = server.cli("status", server.path).stdout
    assert f"protection        {words}" in text and "left of 16.00 MiB" in text


# ---- a folder of pads ----


class Hub:
    """A server that knows its clients, c2, c3 ..., by the pads of a folder, and gives them addresses."""

    def __init__(self, lab, clients, **interface):
        self.lab, self.folder = lab, lab.folder / "pads"
        self.folder.mkdir()
        settings = {"Listen": "10666", "Pads": self.folder, "Pool": "10.66.0.0/24, fd66::/64", "PrivateKey": None}
        self.program = lab.program(lab.server, [], **settings | interface)
        self.clients = [self.client(host) for host in lab.clients(clients)]

    def client(self, host):
        pad = pads.make(self.lab.folder / f"c{host.number}.pad", 32 * MIB)
        self.authorize(host)
        section = pads.peer(self.lab, self.lab.server, pad, 4 if host.number % 2 else 6, AllowedIPs=None)
        return self.lab.program(host, [section], Address=None, PrivateKey=None)

    def authorize(self, host):
        """As one should: it has its name when it is whole."""
        here = pads.copy(self.lab.folder / f"c{host.number}.pad", self.folder / f".c{host.number}")
        return here.rename(self.folder / f"c{host.number}.pad")

    def peer(self, client):
        return self.program.named(f"c{client.host.number}")

    def wait_for(self, *clients):
        for client in clients:
            client.wait_for_session()
            wait.until(lambda c=client: set() < given(c), f"{client.name} has its addresses")

    def reaches(self, client):
        return all(
            ping(client.host, self.lab.server.inner(family), 3) == 3
            and ping(self.lab.server, inner(client, family), 3) == 3
            for family in (4, 6)
        )


def test_three_clients_with_pads_in_a_folder(lab):
    hub = Hub(lab, 3)
    hub.program.start()
    for client in hub.clients:
        client.start()
    hub.wait_for(*hub.clients)
    for family in (4, 6):
        assert len({inner(client, family) for client in hub.clients}) == 3
    assert all(hub.reaches(client) for client in hub.clients)
    peers = hub.program.status()["peers"]
    assert {peer["name"] for peer in peers} == {"c2", "c3", "c4"}
    assert all(peer["source"] == "folder" and peer["protection"] == "information-theoretic" for peer in peers)
    assert len({peer["pad"]["id"] for peer in peers}) == 3
    assert "AuthorizedKeys" not in hub.program.cli("status", hub.program.path).stdout
    # the same addresses after both have been away
    before = given(hub.clients[0])
    hub.clients[0].stop()
    hub.program.stop()
    hub.program.start()
    hub.clients[0].start()
    hub.wait_for(hub.clients[0])
    assert given(hub.clients[0]) == before


def test_a_pad_that_is_added_and_removed_under_traffic(lab):
    hub = Hub(lab, 3)
    other, newcomer, third = hub.clients
    pad = hub.folder / f"c{newcomer.host.number}.pad"
    pad.unlink()
    hub.program.start()
    for client in hub.clients:
        client.start()
    hub.wait_for(other, third)
    stream = Transfer(other.host, lab.server, lab.server.inner(4), rate=MIB // 4)
    stream.wait_for(MIB // 4)
    assert newcomer.peer()["state"] != "established" and hub.peer(newcomer) is None

    hub.authorize(newcomer.host)
    hub.wait_for(newcomer)
    assert hub.reaches(newcomer)
    stream.wait_for(MIB // 4)

    before = hub.peer(newcomer)["pad"]
    pad.unlink()
    wait.until(lambda: hub.peer(newcomer) is None, "the server has forgotten it")
    assert not answers(newcomer.host, lab.server.inner(4))
    stream.wait_for(MIB // 4)
    stream.stop()
    assert all(hub.reaches(client) for client in (other, third))
    # it comes back with what is left, not with what it had
    hub.authorize(newcomer.host)
    hub.wait_for(newcomer)
    assert hub.reaches(newcomer)
    after = hub.peer(newcomer)["pad"]
    assert after["sent"] > before["sent"] > 0 and after["received"] > before["received"] > 0


def test_a_pad_is_taken_when_it_is_whole(lab):
    """cp takes its time, and the file has its name from the first byte."""
    hub = Hub(lab, 1)
    client = hub.clients[0]
    pad = hub.folder / "c2.pad"
    content = pad.read_bytes()
    pad.unlink()
    hub.program.start()
    client.start()
    with open(pad, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        for part in range(4):
            file.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])
            file.flush()
            assert wait.hold(1, lambda: hub.peer(client) is None), "half a pad is no pad"
    hub.wait_for(client)
    assert hub.peer(client)["pad"]["size"] == len(content)
    assert hub.reaches(client)


def test_what_is_wrong_in_the_folder_hinders_nobody(lab):
    hub = Hub(lab, 1)
    (hub.folder / "short.pad").write_bytes(b"x" * 1000)
    (hub.folder / "short.pad").chmod(0o600)
    shutil.copy(hub.folder / "c2.pad", hub.folder / "open.pad")
    (hub.folder / "open.pad").chmod(0o644)
    pads.make(hub.folder / "zeros.pad", content=bytes(2 * MIB))
    pads.copy(hub.folder / "c2.pad", hub.folder / "twin.pad")
    hub.program.start()
    hub.clients[0].start()
    hub.wait_for(*hub.clients)
    log = hub.program.log()
    for words in ("too short", "chmod 600", "constant", "twin.pad is left out: c2.pad is the same pad"):
        assert words in log, words
    assert len(hub.program.status()["peers"]) == 1
