"""Links that a pad alone holds, and somebody without the pad: he repeats, turns round, cuts, alters, names other places,
and floods. Each datagram of his is counted by its reason, and none of them costs a byte of the pad."""

import itertools
import random
import shutil
import socket
import struct
import threading

import pytest

import pads
import wait
from middle import Capture
from program import IS_SANITISED
from traffic import Transfer, answers, ping, transfer

MIB = 1 << 20
PAD_HELLO, PAD_DATA, PAD_WELCOME = 6, 7, 8
SHORTEST = 16 + 2 + 16  # header, length, tag
TO_SERVER, FROM_SERVER = "udp dst port 10666", "udp src port 10666"


class Stranger:
    """In the middle. What he sends to the server is counted there as it arrives: `counted` is by which reasons."""

    def __init__(self, lab, program):
        self.lab, self.program = lab, program
        self.socket = lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, datagrams):
        """All of them, none lost on the way; returns by which drops the server counted them."""
        before = self.program.status()["drops"]
        rest, sent = iter(datagrams), 0
        while part := list(itertools.islice(rest, 64)):
            for datagram in part:
                self.socket.sendto(datagram, (self.lab.server.outer(4), 10666))
            sent += len(part)
            wait.until(lambda: sum(self.increase(before).values()) >= sent, f"{sent} datagrams are counted")
        return self.increase(before)

    def increase(self, before):
        now = self.program.status()["drops"]
        return {name: count - before[name] for name, count in now.items() if count != before[name]}

    def close(self):
        self.socket.close()


@pytest.fixture
def stranger(lab):
    made = []

    def make(program):
        made.append(Stranger(lab, program))
        return made[-1]

    yield make
    for one in made:
        one.close()


def recorded(lab):
    """A link that has carried something, and what was seen of it: program, program, to the server, from it."""
    lab.cut_outside()
    with (
        Capture(lab.middle, "h1", lab.folder / "to.pcap", TO_SERVER) as to,
        Capture(lab.middle, "h1", lab.folder / "from.pcap", FROM_SERVER) as back,
    ):
        server, client = pads.pair(lab, both={"Padding": "none"})
        for family in (4, 6):
            assert ping(lab.client, lab.server.inner(family), 5) == 5
        transfer(lab.client, lab.server, lab.server.inner(4), 128 * 1024)
    return server, client, to.datagrams, back.datagrams


def of_kind(datagrams, kind):
    return [datagram for datagram in datagrams if datagram[0] == kind]


def is_unharmed(lab, server, client):
    """The session is the one there was, and carries packets."""
    ends = client.status()["handshakes"], server.status()["handshakes"]
    return ends[0]["initiated"] == ends[1]["answered"] == 1 and ping(lab.client, lab.server.inner(4), 3) == 3


def test_repeats(lab, stranger):
    server, client, to_server, from_server = recorded(lab)
    somebody = stranger(server)
    data, hellos = of_kind(to_server, PAD_DATA), of_kind(to_server, PAD_HELLO)
    assert len(data) > 100 and len(set(hellos)) == 1
    endpoint = server.peer()["endpoint"]
    assert somebody.send(data) == {"replay": len(data)}
    # the hello that this session began with is answered with the same bytes, by which nothing begins
    somebody.socket.settimeout(20)
    somebody.socket.sendto(hellos[0], (lab.server.outer(4), 10666))
    assert somebody.socket.recv(1500) == of_kind(from_server, PAD_WELCOME)[0]
    assert server.peer()["endpoint"] == endpoint
    assert is_unharmed(lab, server, client)


def test_what_is_turned_round(lab, stranger):
    """What the server sent comes back to it, as it is, and with the index that it listens to."""
    server, client, to_server, from_server = recorded(lab)
    somebody = stranger(server)
    mine, own = of_kind(from_server, PAD_DATA), of_kind(to_server, PAD_DATA)[0][4:8]
    received = pads.of(server)["received"]
    assert somebody.send(mine) == {"unknown_index": len(mine)}
    assert somebody.send(data[:4] + own + data[8:] for data in mine) == {"forged": len(mine)}
    welcomes = of_kind(from_server, PAD_WELCOME)
    assert somebody.send(welcomes) == {"handshake_unknown": len(welcomes)}
    assert pads.of(server)["received"] - received < 64 * 1024, "what the client said meanwhile"
    assert is_unharmed(lab, server, client)


def test_every_length_and_every_byte(lab, stranger):
    server, client, to_server, _ = recorded(lab)
    somebody = stranger(server)
    data = max(of_kind(to_server, PAD_DATA), key=len)
    assert len(data) > 1000
    shorter = somebody.send(data[:length] for length in range(1, len(data)))
    assert shorter == {"unknown_type": 31, "forged": len(data) - 32}
    assert somebody.send([data + bytes(n) for n in range(1, 17)]) == {"forged": 16}

    def altered(places):
        for at in places:
            yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]

    assert somebody.send(altered([1, 2, 3])) == {"forged": 3}
    assert somebody.send(altered(range(4, 8))) == {"unknown_index": 4}
    assert somebody.send(altered(range(16, len(data)))) == {"forged": len(data) - 16}

    hello = of_kind(to_server, PAD_HELLO)[0]
    cut = somebody.send(hello[:length] for length in range(1, len(hello)))
    assert cut == {"handshake_format": len(hello) - 1}
    assert somebody.send([hello + b"\0"]) == {"handshake_format": 1}
    assert is_unharmed(lab, server, client)


def test_other_places(lab, stranger):
    """A true datagram that names another place of the pad, or none; nothing is read for them without bound."""
    server, client, to_server, _ = recorded(lab)
    somebody = stranger(server)
    data = of_kind(to_server, PAD_DATA)[-1]
    traffic, blocks = pads.layout(16 * MIB)
    end = traffic + blocks * pads.BLOCK

    def at(places):
        return [data[:8] + struct.pack("<Q", place) + data[16:] for place in places]

    outside = [0, 1, 63, 64, traffic - 1, end, end + 1, 16 * MIB, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
    assert somebody.send(at(outside)) == {"forged": len(outside)}
    place = struct.unpack_from("<Q", data, 8)[0]
    near = [place + step for step in (-1000, -33, -1, 1, 33, 1000)]
    assert somebody.send(at(near)) == {"forged": len(near)}
    own = [traffic, traffic + 34, traffic + pads.BLOCK * (blocks // 2) - 34]
    assert somebody.send(at(own)) == {"forged": len(own)}
    r = random.Random(3)
    far = [r.randrange(traffic, end) for _ in range(3000)]
    counted = somebody.send(at(far))
    assert sum(counted.values()) == len(far) and counted.keys() <= {"forged", "pad_waits"}, counted
    assert is_unharmed(lab, server, client)


def hello(r):
    """As well made as it can be without the pad."""
    slot = r.randrange(300) if r.random() < 0.9 else r.getrandbits(32)
    return struct.pack("<BBHII", PAD_HELLO, 4, 0, r.getrandbits(32), slot) + r.randbytes(80)


class Flood(threading.Thread):
    """Hellos from many ports until it is stopped."""

    def __init__(self, lab, rate):
        super().__init__(daemon=True)
        self.lab, self.sent, self.ends = lab, 0, threading.Event()
        self.pace = wait.Pace(rate)
        self.sockets = [lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        self.start()

    def run(self):
        r = random.Random(8)
        made = [hello(r) for _ in range(5000)]
        while not self.ends.is_set():
            for one in self.sockets:
                one.sendto(made[self.sent % len(made)], (self.lab.server.outer(4), 10666))
                self.sent += 1
            self.pace.spent(len(self.sockets))

    def stop(self):
        self.ends.set()
        self.join(30)
        for one in self.sockets:
            one.close()


def snapshot(server):
    """All that is written of a pad, and what the server says of it."""
    status = pads.of(server)
    kept = {path.name: path.read_bytes() for path in (server.state / "pads").iterdir()}
    return kept, status["sent"], status["received"], status["slots_left"]


def refused_hellos(server):
    drops = server.status()["drops"]
    return sum(drops[name] for name in ("handshake_auth", "handshake_limit", "busy"))


def test_a_flood_of_hellos(lab):
    """Not one byte of the pad, nor a write; little memory; and whoever has the pad still gets in."""
    server, client = pads.pair(lab, start=False)
    server.start()
    wait.until(lambda: pads.of(server)["state"] == "ready", "the pad is ready")
    before, pad = snapshot(server), (lab.folder / "server.pad").read_bytes()
    flood = Flood(lab, 15000)
    wait.until(lambda: refused_hellos(server) > 20000, "many hellos are refused", 60)
    assert snapshot(server) == before
    assert (lab.folder / "server.pad").read_bytes() == pad
    assert server.status()["handshakes"]["answered"] == 0
    client.start()
    client.wait_for_session(seconds=90)
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    # and a session that is there goes on beside it
    stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=MIB // 4)
    stream.wait_for(MIB)
    flood.stop()
    stream.stop()
    assert server.status()["handshakes"]["answered"] == 1
    assert server.process.poll() is None
    if not IS_SANITISED:
        assert server.memory_kib("VmHWM") < 96 * 1024


def test_an_old_hello_after_a_restart(lab, stranger):
    server, client, to_server, _ = recorded(lab)
    old = of_kind(to_server, PAD_HELLO)[0]
    client.stop()
    server.stop()
    server.start()
    somebody = stranger(server)
    before = snapshot(server)
    assert somebody.send([old] * 3) == {"replay": 3}
    assert "names a slot that has been used" in server.log()
    assert snapshot(server) == before and server.status()["handshakes"]["answered"] == 0
    client.start()
    client.wait_for_session()
    assert ping(lab.client, lab.server.inner(4), 3) == 3


def test_a_client_that_has_called_in_vain_for_long(lab):
    """More slots have been used up than the server keeps in memory; this, too, is no reason to shut it out."""
    server, client = pads.pair(lab)
    first = pads.of(client)["slots_left"]
    client.stop()
    for _ in range(20):  # each passes over 16 slots
        client.cli("pad", "advance", lab.folder / "client.pad", "--state", client.state, "--by", "64K")
    client.start()
    client.wait_for_session()
    assert first - pads.of(client)["slots_left"] > 256
    assert server.peer()["pad"]["slots_left"] == pads.of(client)["slots_left"]
    assert ping(lab.client, lab.server.inner(4), 3) == 3


def test_an_old_hello_for_a_restored_server(lab, stranger):
    """The server's state is restored from a backup that was made before its first session, in which it sent much; then
    somebody sends it the hello of that session, whose marks fit what it remembers. It may answer with a PadWelcome, but
    uses none of the traffic's bytes; and when the client itself comes, it learns how things are."""
    lab.cut_outside()
    server, client = pads.pair(lab, start=False)
    server.start()
    server.stop()
    shutil.copytree(server.state / "pads", lab.folder / "backup")
    server.start()
    with Capture(lab.middle, "h1", lab.folder / "first.pcap", TO_SERVER) as first:
        client.start()
        client.wait_for_session()
        server.wait_for_session()
        transfer(lab.server, lab.client, lab.client.inner(4), 512 * 1024)
    client.stop()
    server.stop()
    for path in (lab.folder / "backup").iterdir():
        shutil.copy(path, server.state / "pads" / path.name)
    server.start()

    old = set(of_kind(first.datagrams, PAD_HELLO))
    data = of_kind(first.datagrams, PAD_DATA)
    somebody = stranger(server)
    with Capture(lab.middle, "h1", lab.folder / "second.pcap", FROM_SERVER) as second:
        for _ in range(40):  # also so that three times what came from there would be enough for more
            for datagram in old:
                somebody.socket.sendto(datagram, (lab.server.outer(4), 10666))
        wait.until(lambda: server.status()["handshakes"]["answered"] == 1, "it takes the hello for a new one")
        assert somebody.send(data) == {"unknown_index": len(data)}
        assert wait.hold(3), "time enough for Accept"
    kinds = {datagram[0] for datagram in second.datagrams}
    assert kinds == {PAD_WELCOME}, kinds
    assert len(set(second.datagrams)) == 1

    client.start()
    wait.until(lambda: "old copy" in server.log() and "old copy" in client.log(), "both say why there is no session", 60)
    assert client.peer()["state"] != "established"
