"""States that are put back from a backup, and a pad that is used to its end."""

import re
import shutil

import pytest

import pads
import wait
from traffic import Flood, answers, ping, ping_both_ways, transfer

MIB = 1 << 20


def keep(program, folder):
    """A backup of what is recorded of pads."""
    shutil.copytree(program.state / "pads", folder)


def put_back(program, folder):
    for path in folder.iterdir():
        shutil.copy(path, program.state / "pads" / path.name)


def advance(program, lab, pad, *more):
    program.stop()
    said = program.cli("pad", "advance", lab.folder / pad, "--state", program.state, *more)
    program.start()
    return said


def test_a_restored_client(lab):
    """It is refused until it is advanced: its hellos use slots that have been used."""
    server, client = pads.pair(lab)
    client.stop()
    keep(client, lab.folder / "backup")
    client.start()
    client.wait_for_session()
    transfer(lab.client, lab.server, lab.server.inner(4), 2 * MIB)
    client.stop()
    used = pads.of(server)["received"]
    put_back(client, lab.folder / "backup")
    client.start()
    wait.until(lambda: "names a slot that has been used" in server.log(), "the server says why it does not answer", 30)
    wait.until(lambda: "does not answer" in client.log() and "jorm pad advance" in client.log(), "the client hints", 40)
    assert not answers(lab.client, lab.server.inner(4))
    assert pads.of(server)["received"] == used
    advance(client, lab, "client.pad", "--by", "4M")
    client.wait_for_session()
    ping_both_ways(lab)
    assert pads.of(client)["sent"] > used


@pytest.mark.parametrize("protection", ["otp", "pq+otp"])
def test_a_restored_server(lab, protection):
    """The marks show it before it has used anything; it says so itself, and how to go on."""
    server, client = pads.pair(lab, protection)
    server.stop()
    keep(server, lab.folder / "backup")
    server.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet again", 60)
    transfer(lab.server, lab.client, lab.client.inner(4), 2 * MIB)
    server.stop()
    used = pads.of(client)["received"]
    put_back(server, lab.folder / "backup")
    server.start()
    ping(lab.client, lab.server.inner(4), 1)  # the client has something to say
    wait.until(lambda: "old copy" in server.log(), "the server knows that it is old", 60)
    wait.until(lambda: "old copy" in client.log(), "so does the client", 60)
    assert not answers(lab.client, lab.server.inner(4))
    assert pads.of(server)["state"] == "old"
    assert pads.of(client)["received"] == used
    said = advance(server, lab, "server.pad")
    assert "advance" in said.stdout + said.stderr or re.search(r"\d", said.stdout)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet again", 90)
    assert pads.of(server)["sent"] > used


def test_a_restored_client_with_keys(lab):
    """`pq+otp`: the server reads the marks in Finish, and the client is told in words."""
    server, client = pads.pair(lab, "pq+otp")
    client.stop()
    keep(client, lab.folder / "backup")
    client.start()
    client.wait_for_session()
    transfer(lab.client, lab.server, lab.server.inner(4), 2 * MIB)
    client.stop()
    put_back(client, lab.folder / "backup")
    client.start()
    wait.until(lambda: "refused us" in client.log() and "old copy" in client.log(), "the client is told", 40)
    assert "is refused" in server.log() and "jorm pad advance" in server.log()
    assert not answers(lab.client, lab.server.inner(4))
    advance(client, lab, "client.pad", "--by", "4M")
    client.wait_for_session()
    ping_both_ways(lab)


def test_a_hundred_megabytes_to_the_end(lab):
    """One way nearly all of it can be used, by the peer's credit; nothing stops before, and then all does."""
    size = 100_000_000
    server, client = pads.pair(lab, size=size)
    traffic = pads.layout(size)[1] * pads.BLOCK
    with Flood(lab.client, lab.server.inner(4), rate=12 * MIB):
        wait.until(lambda: "is used up" in client.log(), "the client says that it is the end", 150)
    mine, theirs = pads.of(client), pads.of(server)
    assert mine["state"] == "used up"
    # whoever gives keeps what it may need itself: two blocks at most; and the last packet does not fit
    assert mine["left"] < 2048 and mine["peer_left"] < 2 * pads.BLOCK, mine
    assert mine["sent"] > 0.98 * traffic
    assert not answers(lab.client, lab.server.inner(4))
    assert theirs["received"] > 0.98 * mine["sent"] - 2 * MIB
    assert re.findall(r"less than (\d+) %", client.log())[0] == "20"
