"""What somebody on the way sees, and what he can do with it."""

import random
import socket

import pytest

import wait
from middle import Capture
from program import IS_SANITISED, identity
from traffic import Transfer, answers, family_of, ping, transfer, udp_echo

MIB = 1 << 20
OVERHEAD = 32  # header and tag of a Data datagram
DATA = 4


@pytest.mark.parametrize("padding", ["buckets", "none"])
@pytest.mark.parametrize("family", [4, 6])
def test_nothing_readable_on_the_wire(lab, family, padding):
    """No plaintext, and with buckets only a few sizes: whatever is sent."""
    lab.cut_outside()
    marker = b"this is the plaintext marker"
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp port 10666") as capture:
        server, client = lab.pair(family, both={"Padding": padding})
        client.wait_for_path()
        server.wait_for_path()
        sizes = {program.peer()["path_mtu"] for program in (server, client)}
        for inner in (4, 6):
            payloads = [marker + bytes(size) for size in (0, 10, 20, 100, 200, 300, 500, 900, 1250, 3000)]
            udp_echo(lab.client, lab.server, lab.server.inner(inner), payloads)
            assert ping(lab.server, lab.client.inner(inner), 3, 40) == 3
        transfer(lab.client, lab.server, lab.server.inner(4), 256 * 1024)
        client.stop()
    assert capture.datagrams
    secrets = [marker, b"10666", server.status()["key_id"].encode()]
    public = [identity(host.number).public.read_bytes()[:64] for host in (lab.server, lab.client)]
    for datagram in capture.datagrams:
        assert not any(text in datagram for text in secrets + public)
    assert {datagram[0] for datagram in capture.datagrams} <= {1, 2, 3, DATA}
    largest = max(sizes) - (28 if family == 4 else 48)
    seen = {len(datagram) for datagram in capture.datagrams if datagram[0] == DATA}
    if padding == "buckets":
        # While the path's size is searched for, the smallest size stands for the largest, and probes go above.
        search = set(range(1152 + OVERHEAD, largest + 1, 64))
        buckets = {size + OVERHEAD for size in (64, 256, 512)} | {largest}
        assert buckets <= seen <= buckets | search, sorted(seen)
    else:
        assert len(seen) > 12, sorted(seen)


def garbage(seed):
    """Datagrams of all kinds: random bytes, all types, true headers with wrong contents, cut short."""
    r = random.Random(seed)
    while True:
        size = r.choice((0, 1, 3, 15, 16, 31, 32, 63, 64, 100, 1232, 1233, 1400, r.randrange(1450)))
        data = bytearray(r.randbytes(size))
        if size and r.random() < 0.9:
            data[0] = r.randrange(12)
        if size > 3 and r.random() < 0.7:
            data[1:4] = bytes((4, 0, r.choice((1, 2, 3, 4)))) if data[0] != DATA else b"\0\0\0"
        yield bytes(data)


@pytest.mark.parametrize("family", [4, 6])
def test_garbage_on_the_port(lab, family):
    """It is counted; the traffic beside it loses nothing; memory stays small."""
    server, client = lab.pair(family)
    stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=4 * MIB)
    stream.wait_for(MIB)
    source = garbage(family)
    with lab.middle.socket(family_of(lab.server.outer(family)), socket.SOCK_DGRAM) as s:
        for _ in range(20000):
            s.sendto(next(source), (lab.server.outer(family), 10666))
    stream.wait_for(2 * MIB)
    stream.stop()
    drops = server.status()["drops"]
    for reason in ("unknown_type", "unknown_index", "handshake_format"):
        assert drops[reason] > 100, drops
    assert drops["bad_frame"] == drops["bad_inner"] == drops["forged"] == 0, drops
    assert server.status()["handshakes"]["answered"] == 1
    assert ping(lab.server, lab.client.inner(6), 3) == 3
    if not IS_SANITISED:
        assert server.memory_kib("VmHWM") < 32 * 1024
    assert client.process.poll() is None


def test_true_datagrams_again_and_altered(lab):
    """What was seen on the wire comes again, cut short, turned round and altered: nothing of it counts."""
    lab.cut_outside()
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp dst port 10666") as capture:
        server, client = lab.pair()
        assert ping(lab.client, lab.server.inner(4), 10) == 10
        transfer(lab.client, lab.server, lab.server.inner(4), 256 * 1024)
    r = random.Random(5)
    before, endpoint = server.peer()["rx_bytes"], server.peer()["endpoint"]
    with lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for data in capture.datagrams:
            altered = bytearray(data)
            altered[r.randrange(len(data))] ^= 1 << r.randrange(8)
            for copy in (data, bytes(altered), data[: r.randrange(len(data))], data + b"\0"):
                s.sendto(copy, (lab.server.outer(4), 10666))
                s.sendto(copy, (lab.client.outer(4), int(endpoint.rsplit(":", 1)[1])))
    wait.until(lambda: server.drops("replay") > 100 and server.drops("forged") > 100, "they are counted")
    assert server.peer()["endpoint"] == endpoint
    assert server.status()["handshakes"]["established"] == 1
    assert server.peer()["rx_bytes"] - before < 4096, "nothing but what the client itself had to say"
    assert ping(lab.client, lab.server.inner(6), 5) == 5
    assert client.status()["handshakes"]["initiated"] == 1


def test_a_flood_of_calls(lab):
    """The same Init over and over, from many ports: bounded work, and sessions go on."""
    lab.cut_outside()
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp dst port 10666") as capture:
        server, client = lab.pair()
    init = [data for data in capture.datagrams if data[0] == 1]
    assert len(init) == 3
    sockets = [lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=2 * MIB)
    for _ in range(20):
        for s in sockets:
            for data in init:
                s.sendto(data, (lab.server.outer(4), 10666))
    stream.wait_for(2 * MIB)
    stream.stop()
    for s in sockets:
        s.close()
    status = server.status()
    assert status["handshakes"]["established"] == 1
    assert status["drops"]["handshake_limit"] + status["drops"]["busy"] + status["handshakes"]["cookies"] > 0, status
    # A new session still begins.
    assert client.stop() == 0
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
