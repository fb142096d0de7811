"""One-time pads as people set them up: files, folders, and what is wrong with them."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import socket
import struct
import subprocess
import tempfile

import pytest

import pads
import wait
from middle import Capture
from program import Connection, identity
from server import given, inner
from traffic import Flood, Transfer, answers, ping, ping_both_ways, transfer

MIB = 1 << 20


def metrics(program):
    """Those of the first peer."""
    connection = Connection(program.socket)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {name: int(value) for name, value in re.findall(r'^(\w+)\{peer="p0"\} (\d+)$', text, re.M)}


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
    figures = metrics(server)
    assert figures["jorm_peer_pad_size_bytes"] == 16 * MIB and figures["jorm_peer_pad_burned_bytes"] == 0
    assert max(used, 1) <= figures["jorm_peer_pad_received_bytes"] <= pads.of(server)["received"]
    assert figures["jorm_peer_pad_sent_bytes"] <= pads.of(server)["sent"]
    for name in ("left", "peer_left"):
        assert 0 < figures[f"jorm_peer_pad_{name}_bytes"] <= 8 * MIB
    assert figures["jorm_peer_pad_slots_left"] == pads.of(server)["slots_left"] > 0
    assert figures["jorm_peer_pad_usable"] == 1


@pytest.mark.parametrize("protection", ["otp", "pq+otp"])
def test_ethernet_under_a_pad(lab, protection):
    server, client = pads.pair(lab, protection, both={"Layer": "2"}, start=False)
    for program in (server, client):
        program.peers[0]["AllowedIPs"] = None
        program.write()
        program.start()
    client.wait_for_session()
    ping_both_ways(lab)
    ping_both_ways(lab, size=4000)
    transfer(lab.server, lab.client, lab.client.inner(4), MIB)


@pytest.mark.parametrize("padding", ["none", "random", "buckets"])
def test_padding_costs_no_pad(lab, padding):
    server, client = pads.pair(lab, both={"Padding": padding})
    ping_both_ways(lab)
    before = pads.of(client)["sent"]
    assert ping(lab.client, lab.server.inner(4), 100, 100) == 100
    used = pads.of(client)["sent"] - before
    assert 100 * 128 < used < 100 * (128 + 34 + 40), used


# ---- a folder of pads ----


@pytest.fixture
def elsewhere():
    """A folder that the sandbox hides: not the configuration's, and nobody but root gets in."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jorm-pads-"))
    yield path
    shutil.rmtree(path)


class Hub:
    """A server that knows its clients, c2, c3 ..., by the pads of a folder, and gives them addresses."""

    def __init__(self, lab, clients, folder=None, **interface):
        self.lab, self.folder = lab, folder or lab.folder / "pads"
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


@pytest.mark.parametrize("is_hidden", [False, True])
def test_a_pad_is_taken_when_it_is_whole(lab, elsewhere, is_hidden):
    """cp takes its time, and the file has its name from the first byte."""
    hub = Hub(lab, 1, elsewhere / "pads", User="nobody") if is_hidden else Hub(lab, 1)
    lab.folder.chmod(0o711)
    client = hub.clients[0]
    pad = hub.folder / "c2.pad"
    content = pad.read_bytes()
    pad.unlink()
    hub.program.start()
    client.start()
    with open(pad, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        for begin, end in ((0, 1000), (1000, MIB), (MIB, 8 * MIB), (8 * MIB, len(content))):
            file.write(content[begin:end])
            file.flush()
            assert wait.hold(1, lambda: hub.peer(client) is None), "half a pad is no pad"
    hub.wait_for(client)
    assert hub.peer(client)["pad"]["size"] == len(content)
    assert hub.reaches(client)
    assert "left out" not in hub.program.log()


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


# ---- what is wrong with a pad ----


def with_bad_pad(lab, make):
    """A client's configuration, with a pad that is not as it should be."""
    path = lab.folder / "bad.pad"
    make(path)
    return lab.program(lab.client, [pads.peer(lab, lab.server, path, 4)], PrivateKey=None)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "jorm pad new"),
        (lambda path: pads.make(path, MIB - 1), "too short"),
        (lambda path: pads.make(path, MIB).chmod(0o640), "chmod 600"),
        (lambda path: pads.make(path, MIB).chmod(0o622), "chmod 600"),
        (lambda path: os.chown(pads.make(path, MIB), 12345, -1), "belongs to another user"),
        (lambda path: path.mkdir(), "give the path of a pad"),
        (lambda path: os.mkfifo(path, 0o600), "give the path of a pad"),
    ],
    ids="missing short readable writable foreign folder fifo".split(),
)
def test_a_bad_pad_is_refused_with_the_remedy(lab, make, words):
    program = with_bad_pad(lab, make)
    program.spawn()
    assert program.wait() == 1
    assert words in program.log() and "bad.pad" in program.log() and "Pad:" in program.log()
    checked = program.cli("check", program.path, check=False)
    assert checked.returncode == 1 and words in checked.stdout + checked.stderr


def test_a_constant_pad_is_refused_unless_it_is_asked_for(lab):
    said = with_bad_pad(lab, lambda path: pads.make(path, content=bytes(16 * MIB))).fail()
    assert "is constant" in said and "jorm pad new" in said
    pads.pair(lab, content=b"x" * (4 * MIB), both={"AllowWeakPad": "yes"})
    ping_both_ways(lab)


def test_pads_that_differ(lab):
    """The same identity, or another one: nobody gets in, and both can be told why."""
    server, client = pads.pair(lab, start=False)
    whole = bytearray((lab.folder / "client.pad").read_bytes())
    whole[64:] = os.urandom(len(whole) - 64)
    (lab.folder / "client.pad").write_bytes(whole)
    server.start()
    client.start()
    wait.until(lambda: server.drops("handshake_auth") > 0, "the server counts hellos that fit no pad")
    wait.until(lambda: "another pad" in client.log(), "the client says what may be wrong", 90)
    assert client.peer()["state"] != "established"
    assert pads.of(server)["sent"] == pads.of(server)["received"] == 0
    assert not answers(lab.client, lab.server.inner(4))


def test_two_daemons_on_one_pad(lab):
    server, client = pads.pair(lab)
    ledgers = server.state / "pads"
    assert len(list(ledgers.glob("*.ledger"))) == 1
    twin = lab.program(lab.server, server.peers, name="twin", PrivateKey=None)
    assert "server.pad is in use already" in twin.fail()
    # a copy of it does not help: the ledger is the same
    other = pads.copy(lab.folder / "server.pad", lab.folder / "copy.pad")
    twin.peers = [pads.peer(lab, lab.client, other)]
    twin.interface["StateDirectory"] = server.state
    twin.write()
    assert "ledger" in twin.fail()
    ping_both_ways(lab)


def test_both_ends_have_an_endpoint(lab):
    """Whose part is whose follows from who calls: it is recorded, and cannot be changed."""
    server, client = pads.pair(lab)
    client.stop()
    client.peers[0]["Endpoint"] = None
    client.write()
    said = client.fail()
    assert "client.pad" in said and "Endpoint" in said


@pytest.mark.parametrize(
    "ours, theirs", [("pq+otp", "pq"), ("pq", "pq+otp"), ("pq", "none"), ("none", "pq"), ("otp", "pq+otp"), ("pq+otp", "otp")]
)
def test_ends_that_want_different_protection(lab, ours, theirs):
    """Nobody steps down, and somebody says why. none: pq without a pad."""
    server, client = pads.pair(lab, "pq+otp", start=False)
    for program, wanted in ((server, ours), (client, theirs)):
        section = program.peers[0]
        section["Protection"] = "pq" if wanted == "none" else wanted
        if wanted == "none":
            section["Pad"] = None
        if wanted == "otp":
            section["KeyID"] = None
        program.write()
        program.start()

    def is_told():
        return client.peer()["reject_reason"] or "another pad" in client.log() or "does not answer" in client.log()

    wait.until(is_told, "the client knows that it is refused", 60)
    assert not answers(lab.client, lab.server.inner(4))
    assert not answers(lab.server, lab.client.inner(4))
    for program in (server, client):
        assert program.peer()["state"] != "established", program.describe()
    if "otp" not in (ours, theirs):
        assert re.search("pad|Protection", client.peer()["reject_reason"]), client.peer()["reject_reason"]


@pytest.fixture
def full_disk():
    """A folder with room for little, to be filled."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jorm-full-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)
    path.rmdir()


def fill(path):
    with contextlib.suppress(OSError), open(path / "ballast", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_full_disk(lab, full_disk):
    """No pad is used that cannot be recorded; what has its record goes on."""
    fill(full_disk)
    server, client = pads.pair(lab, server={"StateDirectory": full_disk}, start=False)
    said = server.fail()
    assert "make room" in said and ".ledger" in said
    (full_disk / "ballast").unlink()
    server.start()
    client.start()
    client.wait_for_session()
    fill(full_disk)
    transfer(lab.server, lab.client, lab.client.inner(4), 2 * MIB)
    ping_both_ways(lab)
    used = pads.of(server)["sent"]
    assert pads.of(server)["fault"] is None
    server.stop()
    (full_disk / "ballast").unlink()
    server.start()
    assert pads.of(server)["sent"] >= used


# ---- a pad that is burned ----


def regions(path, size=16 * MIB):
    """The first byte of each walk, and the whole content."""
    traffic, blocks = pads.layout(size)
    data = path.read_bytes()
    return traffic, traffic + (blocks - 1) * pads.BLOCK, data


def test_used_pad_is_burned(lab):
    server, client = pads.pair(lab, server={"Burn": "yes"}, client={"Burn": "yes"})
    original = pads.copy(lab.folder / "client.pad", lab.folder / "kept.pad").read_bytes()
    before = os.stat(lab.folder / "server.pad")
    transfer(lab.client, lab.server, lab.server.inner(4), 6 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(4), 2 * MIB)
    assert original[:64] == (lab.folder / "server.pad").read_bytes()[:64]
    for program in (server, client):
        wait.until(lambda p=program: pads.of(p)["burned"] >= 3 * MIB, f"{program.name} burns", 30)
    ping_both_ways(lab)
    used = {program: pads.of(program) for program in (server, client)}
    for program in (client, server):
        program.stop()
    ours, theirs = (regions(lab.folder / f"{name}.pad") for name in ("server", "client"))
    up, down, _ = ours
    for data in (ours[2], theirs[2]):
        assert len(data) == len(original)
        # the server's walk, from the start of the traffic; the client's, down from the end
        assert data[up : up + pads.BLOCK] != original[up : up + pads.BLOCK], "the server's first block is gone"
        assert data[down : down + pads.BLOCK] != original[down : down + pads.BLOCK], "the client's first block is gone"
        # what was not used stays
        middle = up + (used[server]["sent"] // pads.BLOCK + 4) * pads.BLOCK
        assert data[middle : middle + pads.BLOCK] == original[middle : middle + pads.BLOCK]
    after = os.stat(lab.folder / "server.pad")
    assert after.st_size == before.st_size and after.st_blocks < before.st_blocks, "the space was given back"
    # and the rest still serves
    server.start()
    client.start()
    client.wait_for_session()
    ping_both_ways(lab)


def test_a_pad_is_not_touched_unless_it_is_to_be_burned(lab):
    server, client = pads.pair(lab, client={"Burn": "yes"})
    before = (lab.folder / "server.pad").read_bytes()
    transfer(lab.client, lab.server, lab.server.inner(4), 6 * MIB)
    server.stop()
    client.stop()
    assert (lab.folder / "server.pad").read_bytes() == before
    assert (lab.folder / "client.pad").read_bytes() != before


# ---- MaxZeroRun ----


def holed(size):
    """Random bytes with runs of 45 to 300 zeros among them."""
    data = bytearray()
    while len(data) < size:
        data += os.urandom(200) + bytes(os.urandom(1)[0] + 45)
    return bytes(data[:size])


@pytest.mark.parametrize("limit", ["off", "4"])
def test_long_runs_of_zeros_are_used_or_not(lab, limit):
    pads.pair(lab, content=holed(16 * MIB), both={"MaxZeroRun": limit, "Padding": "none"})
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp") as capture:
        pace = wait.Pace(MIB)
        with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(100):
                sender.sendto(b"\xa5" * 1000, (lab.server.inner(4), 9))
                pace.spent(1000)
    assert len(capture.frames) > 50
    longest = max(len(run) for frame in capture.frames for run in re.findall(b"\xa5+", frame))
    assert longest <= 4 if limit == "4" else longest >= 45, longest
    ping_both_ways(lab)


def test_max_zero_run_has_to_be_the_same(lab):
    server, client = pads.pair(lab, server={"MaxZeroRun": "16"}, client={"MaxZeroRun": "8"}, start=False)
    server.start()
    client.start()
    wait.until(lambda: "MaxZeroRun" in server.log() + client.log(), "it says what differs", 60)
    assert client.peer()["state"] != "established"
    assert not answers(lab.client, lab.server.inner(4))
    client.stop()
    client.interface["MaxZeroRun"] = "16"
    client.write()
    client.start()
    client.wait_for_session()
    ping_both_ways(lab)


# ---- where a pad begins, and where it ends ----


def test_a_part_of_the_pad_is_skipped(lab):
    skipped = 3 * MIB + 5
    server, client = pads.pair(lab, start=False)
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp") as capture:
        for program in (server, client):
            program.peers[0]["PadOffset"] = skipped
            program.write()
            program.start()
        client.wait_for_session()
        ping_both_ways(lab)
    traffic, blocks = pads.layout(16 * MIB)
    middle, end = traffic + blocks // 2 * pads.BLOCK, traffic + blocks * pads.BLOCK
    seen = sorted(struct.unpack_from("<Q", data, 8)[0] for data in capture.datagrams if data[0] == 7)
    assert [offset for offset in seen if offset < middle][0] == traffic + skipped, "the responder's first byte"
    assert middle <= seen[-1] < end - 3 * MIB, "nothing of the initiator's last 3 MiB"
    # said once more, it changes nothing
    for program in (client, server):
        program.stop()
    for program in (server, client):
        program.start()
    client.wait_for_session()
    assert skipped < pads.of(server)["sent"] < skipped + MIB


def test_an_offset_outside_the_pad(lab):
    server, _ = pads.pair(lab, start=False)
    server.peers[0]["PadOffset"] = 1 << 30
    server.write()
    said = server.fail()
    assert "PadOffset" in said and "server.pad" in said


def test_a_pad_that_is_used_up(lab):
    """Warnings come long before the end, and the end is one: no packet leaves in another way."""
    server, client = pads.pair(lab, size=4 * MIB)
    with Flood(lab.client, lab.server.inner(4), rate=MIB // 4):
        wait.until(lambda: "is used up" in client.log(), "the client says that it is the end", 90)
    log = client.log()
    told = re.findall(r"less than (\d+) %|(is used up)", log)
    assert told[:2] == [("20", ""), ("10", "")] and told[-1] == ("", "is used up"), told
    pad = pads.of(client)
    assert pad["state"] == "used up" and pad["left"] < 1 << 16
    assert "pad is used up" in client.cli("status", client.path).stdout
    assert not answers(lab.client, lab.server.inner(4))
    assert client.drops("pad_used_up") > 0
    # a restart finds no new pad
    client.stop()
    client.start()
    with Flood(lab.client, lab.server.inner(4), rate=MIB // 4):
        wait.until(lambda: client.log().count("is used up") == 2, "it is still used up", 60)
    assert pads.of(client)["sent"] - pad["sent"] < 1 << 16
    assert not answers(lab.client, lab.server.inner(4))


# ---- reload ----


def test_reload_of_a_pads_settings(lab):
    server, client = pads.pair(lab)
    before = pads.of(server)
    # what does not concern it leaves its session alone
    server.interface["Padding"] = "none"
    server.write()
    server.cli("reload", server.path)
    assert server.peer()["state"] == "established"
    ping_both_ways(lab)
    assert pads.of(server)["sent"] >= before["sent"]
    # another use of it means that it is opened anew
    server.interface["Burn"] = "yes"
    server.write()
    server.cli("reload", server.path)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they find each other again", 60)
    transfer(lab.server, lab.client, lab.client.inner(4), 2 * MIB)
    wait.until(lambda: pads.of(server)["burned"] > 0, "it is burned now", 30)
    # another pad for the same peer
    for program, name in ((server, "server"), (client, "client")):
        other = lab.folder / f"{name}2.pad"
        if name == "server":
            pads.make(other, 2 * MIB)
        else:
            pads.copy(lab.folder / "server2.pad", other)
        program.peers[0]["Pad"] = other
        program.write()
        program.cli("reload", program.path)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet with the other pad", 60)
    assert pads.of(server)["size"] == 2 * MIB
    # one that cannot be used that way is left out, and comes back
    server.peers[0]["PadOffset"] = 1 << 30
    server.write()
    said = server.cli("reload", server.path, check=False)
    assert said.returncode == 1 and "all has been reloaded but this" in said.stderr and "PadOffset" in said.stderr
    assert not server.status()["peers"]
    del server.peers[0]["PadOffset"]
    server.write()
    server.cli("reload", server.path)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet again", 60)
    # a wrong one changes nothing
    server.peers[0]["Pad"] = lab.folder / "none.pad"
    server.write()
    said = server.cli("reload", server.path, check=False)
    assert said.returncode == 1 and "none.pad" in said.stderr and "nothing has been changed" in said.stderr
    ping_both_ways(lab)


def test_a_pad_goes_to_another_section(lab):
    """The same pad under another peer's name, and with another key."""
    server, client = pads.pair(lab, "pq+otp", client={"PrivateKey": identity(7).private}, start=False)
    server.start()
    client.start()
    wait.until(lambda: client.peer()["reject_reason"], "the key is not the one that is known")
    server.peers[0]["KeyID"] = identity(7).key_id
    server.write()
    server.cli("reload", server.path)
    client.wait_for_session(seconds=60)
    ping_both_ways(lab)


def test_keys_cannot_be_added_where_there_is_none(lab):
    server, _ = pads.pair(lab, start=False)
    server.start()
    done = server.cli("peer", "add", server.path, "x", identity(9).key_id, check=False)
    assert done.returncode == 1 and "PrivateKey" in done.stderr, done.stderr


def test_a_key_comes_and_goes(lab):
    """A host with pads alone gets a key and a peer for it, and gives both up again; its pad's link does not notice."""
    server, client = pads.pair(lab)
    third = lab.join("third", 3)
    other = lab.program(third, [lab.peer(lab.server, 4)])
    other.start()
    server.interface["PrivateKey"] = identity(1).private
    server.peers.append(lab.peer(third))
    server.write()
    server.cli("reload", server.path)
    wait.until(lambda: answers(third, lab.server.inner(4)), "the third host gets in", 60)
    assert server.peer(1)["protection"] == "AEAD"
    server.interface["PrivateKey"] = None
    server.peers.pop()
    server.write()
    server.cli("reload", server.path)
    wait.until(lambda: not answers(third, lab.server.inner(4)), "it is out", 30)
    ping_both_ways(lab)
    assert client.status()["handshakes"]["established"] == 1


# ---- the sandbox ----


@pytest.mark.parametrize("burn", ["no", "yes"])
def test_pads_that_the_sandbox_hides(lab, elsewhere, burn):
    """As another user, and after a reload: the keeper opens them, and the ledger goes on."""
    server, client = pads.pair(lab, server={"User": "nobody", "Burn": burn}, start=False)
    lab.folder.chmod(0o711)
    for number, path in ((1, elsewhere / "one.pad"), (2, elsewhere / "two.pad")):
        pads.make(path, 4 * MIB)
        pads.copy(path, lab.folder / f"{number}.pad")
    server.peers[0]["Pad"], client.peers[0]["Pad"] = elsewhere / "one.pad", lab.folder / "1.pad"
    for program in (server, client):
        program.write()
        program.start()
    client.wait_for_session()
    for _ in range(2):
        transfer(lab.server, lab.client, lab.client.inner(4), MIB // 2)
        ping_both_ways(lab)
        ledgers = list((server.state / "pads").iterdir())
        assert all(os.stat(path).st_uid == pwd.getpwnam("nobody").pw_uid for path in ledgers), "the ledgers are its own"
        server.peers[0]["Pad"], client.peers[0]["Pad"] = elsewhere / "two.pad", lab.folder / "2.pad"
        for program in (server, client):
            program.write()
            program.cli("reload", program.path)
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet with the other pad", 60)
    if burn == "yes":
        wait.until(lambda: pads.of(server)["burned"] > 0, "it is burned", 30)
    assert pads.of(server)["fault"] is None
    used = pads.of(server)["sent"]
    server.stop()
    server.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "they meet again", 60)
    assert pads.of(server)["sent"] >= used


def test_a_folder_that_the_sandbox_hides(lab, elsewhere):
    hub = Hub(lab, 2, elsewhere / "pads", User="nobody")
    lab.folder.chmod(0o711)
    first, second = hub.clients
    (hub.folder / "c3.pad").unlink()
    hub.program.start()
    for client in hub.clients:
        client.start()
    hub.wait_for(first)
    hub.authorize(second.host)
    hub.wait_for(second)
    assert all(hub.reaches(client) for client in hub.clients)
    (hub.folder / "c2.pad").unlink()
    wait.until(lambda: hub.peer(first) is None, "the server has forgotten it")
    assert hub.reaches(second)
