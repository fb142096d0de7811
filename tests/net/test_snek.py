"""snek-vpn: ours in the place of either end of the older program, and of both."""

import os
import random
import re
import signal
import socket
import struct
import subprocess

import pytest

import old_snek
import oldcrypto
import wait
from compat import Snek, SnekPair, Spoofer, fatal_datagrams, ours
from lab import Job, run
from middle import Capture
from program import JORM, identity
from traffic import Transfer, answers, iperf, ping, transfer, udp_echo

KIB, MIB = 1 << 10, 1 << 20
KEY_PORT, DATA_PORT = 443, 10666
# (server is old, client is old)
MIXES = [(True, False), (False, True), (False, False)]
NAMES = ["old server", "old client", "both ours"]


def both_ways(lab):
    return ((lab.client, lab.server), (lab.server, lab.client))


# ---- traffic ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_traffic(lab, mix):
    """Packets of every size and streams, both ways, and what came is what was sent."""
    SnekPair(lab, *mix).start()
    for source, target in both_ways(lab):
        for family, head in ((4, 28), (6, 48)):
            udp_echo(source, target, target.inner(family), [os.urandom(n) for n in range(1, 1536 - head + 1)])
        # At the borders of the buckets, and the smallest and the largest.
        for size in (0, 32, 36, 37, 224, 228, 229, 480, 484, 485, 1504, 1508, 1509, 4000):
            assert ping(source, target.inner(4), 3, size) == 3, size
        transfer(source, target, target.inner(4), MIB)
        transfer(source, target, target.inner(6), MIB)
        assert iperf(source, target, target.inner(4), seconds=1)["sum_received"]["bytes"] > MIB


@pytest.mark.parametrize("mix", [(True, False), (False, True)], ids=["old server", "old client"])
def test_odd_forms(lab, mix):
    """The old end sends in every form that its like took, and what that dropped; each packet arrives."""
    SnekPair(lab, *mix, server={"options": ["--odd"]} if mix[0] else {}, client={"options": ["--odd"]} if mix[1] else {}).start()
    forms = len(old_snek.OddSealer(bytes(32)).forms)
    for source, target in both_ways(lab):
        for size in (0, 36, 485, 1472, 1508):
            assert ping(source, target.inner(4), 2 * forms, size) == 2 * forms, size
        transfer(source, target, target.inner(4), 256 * KIB)


def usual(length):
    """The datagrams of an inner packet: as the older program's, but for its rare excess of padding."""
    bucket = next(size for size in old_snek.BUCKETS if length <= size)
    sealed = max(bucket, length + 4) + 16
    return [25 + sealed] if sealed <= 1536 else [37 + 1536, 37 + sealed - 1536]


@pytest.mark.parametrize("mix", [(True, False), (False, True)], ids=["old server", "old client"])
def test_the_bytes_on_the_wire(lab, mix):
    """Every datagram of ours in a session is decoded: numbers, sizes, fragments, padding, nonces; and one hello."""
    for host in (lab.server, lab.client):
        lab.set_mtu(host, 2000)
    lab.cut_outside()
    lengths = [*range(29, 1537, 7), *range(1525, 1537), *range(58, 67), *range(250, 260), *range(506, 516)]
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", f"udp port {DATA_PORT}") as capture:
        pair = SnekPair(lab, *mix).start()
        udp_echo(lab.client, lab.server, lab.server.inner(4), [bytes(n - 28) for n in lengths])
        transfer(lab.client, lab.server, lab.server.inner(4), 256 * KIB)
        transfer(lab.server, lab.client, lab.client.inner(4), 256 * KIB)
        (pair.client if mix[0] else pair.server).stop()
    old = pair.server if mix[0] else pair.client
    source = socket.inet_aton((lab.client if mix[0] else lab.server).outer(4))
    sent = [payload for frame, payload in zip(udp_frames(capture), capture.datagrams) if frame[26:30] == source]
    hellos = [payload for payload in sent if len(payload) < 25]
    assert hellos == ([b"\xff"] if not mix[0] else []), hellos
    assert all(payload[0] == 0xFF for payload in sent[: len(hellos)]), "the hello comes first"
    check_sealed(sent[len(hellos) :], old.data_key(), {n for n in lengths})


def udp_frames(capture):
    return [frame for frame in capture.frames if frame[12:14] == b"\x08\0" and frame[23] == 17]


def check_sealed(datagrams, key, wanted):
    """All of one sender's datagrams of a session, in their order."""
    aead, nonces, lengths, at = oldcrypto.Aead(key), [], set(), 0
    assert [struct.unpack_from("<Q", d, 1)[0] for d in datagrams] == list(range(len(datagrams))), "numbers go up by one"
    while at < len(datagrams):
        nonce, sealed, count = gather(datagrams, at)
        plaintext = aead.open(nonce, sealed)
        length = struct.unpack_from(">i", plaintext)[0]
        packet, padding = plaintext[4 : 4 + length], plaintext[4 + length :]
        assert [len(d) for d in datagrams[at : at + count]] == usual(length), length
        assert not any(padding)
        assert packet[0] >> 4 in (4, 6) and len(packet) == length
        nonces.append(nonce)
        lengths.add(length)
        at += count
    assert len(set(nonces)) == len(nonces), "no nonce twice"
    assert lengths >= wanted


def gather(datagrams, at):
    """(nonce, ciphertext, how many datagrams): what begins at `at`."""
    first = datagrams[at]
    flags, _, length = old_snek.HEAD.unpack_from(first)
    if flags == 1:
        assert len(first) == 25 + length
        return first[13:25], first[25:], 1
    assert flags == 3
    total, number, _, count = old_snek.EXTENSION.unpack_from(first, 13)
    pieces = datagrams[at : at + count]
    for index, piece in enumerate(pieces):
        assert old_snek.HEAD.unpack_from(piece)[0] == 3 and old_snek.HEAD.unpack_from(piece)[2] == len(piece) - 37
        assert old_snek.EXTENSION.unpack_from(piece, 13) == (total, number, index, count)
        assert piece[25:37] == first[25:37]
    sealed = b"".join(piece[37:] for piece in pieces)
    assert len(sealed) == total and count == 2
    return first[25:37], sealed, count


# ---- coming and going ------------------------------------------------------------------------


@pytest.mark.beside
@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_ends_come_and_go(lab, mix):
    """Either end ends, or is killed, and starts again: traffic goes on. Ours needs nobody's help for that."""
    pair = SnekPair(lab, *mix).start()
    for end in (signal.SIGTERM, signal.SIGKILL):
        finish(pair.client, end)
        if mix[0]:
            # It notices only when it has sent something that nobody takes.
            seen = pair.server.said().count("Waiting for peer")
            wait.until(
                lambda seen=seen: answers(lab.server, lab.client.inner(4))
                or pair.server.said().count("Waiting for peer") > seen,
                "the old server waits again", 40,
            )  # fmt: skip
        pair.client.start()
        pair.wait_for_traffic()
        transfer(lab.server, lab.client, lab.client.inner(4), 64 * KIB)
    for end in (signal.SIGTERM, signal.SIGKILL):
        finish(pair.server, end)
        if mix[1]:
            finish(pair.client, signal.SIGKILL)  # the old one would have to be started again by somebody
        pair.server.start()
        if mix[1]:
            pair.server.wait_for("Waiting for peer")
            pair.client.start()
        pair.wait_for_traffic(60)
        transfer(lab.client, lab.server, lab.server.inner(4), 64 * KIB)


def finish(peer, number):
    code = peer.stop(number)
    assert peer.is_old or code == (0 if number == signal.SIGTERM else -number)
    assert_nothing_left(peer.host)


def assert_nothing_left(host):
    """No interface and no socket of it (the kernel takes an interface back a moment after a process ends)."""
    wait.until(lambda: not any(link.startswith("snk") for link in host.links()), f"{host.name} has no interface left")
    left = host.run("ss", "-Hlntup").stdout
    assert f":{DATA_PORT} " not in left and f":{KEY_PORT} " not in left, left


@pytest.mark.beside
@pytest.mark.parametrize("mix", [(False, True), (True, False)], ids=["old client", "old server"])
def test_many_sessions(lab, mix):
    """One after another, as fast as they come: the hello is never too early for an old client, and never too early
    for ours from an old server."""
    pair = SnekPair(lab, *mix).start()
    for _ in range(6):
        pair.client.kill()
        if mix[0]:
            seen = pair.server.said().count("Waiting for peer")
            wait.until(
                lambda seen=seen: answers(lab.server, lab.client.inner(4))
                or pair.server.said().count("Waiting for peer") > seen,
                "the old server waits again", 40,
            )  # fmt: skip
        pair.client.start()
        pair.wait_for_traffic()
    assert pair.server.said().count("[+] Connected.") == pair.client.said().count("[+] Connected to ") == 7


@pytest.mark.beside
def test_a_second_client_waits(lab):
    """Who has the session keeps it; when it is gone, the next one gets it."""
    other = lab.join("client3", 3)
    pair = SnekPair(lab, server={"authorized": (2, 3)}).start()
    late = Snek(lab, other, False, to=lab.server.outer(4), key=identity(3).private)
    with Transferring(lab):
        late.start()
        pair.server.wait_for("another client has the session")
    assert late.wait() == 1
    assert ping(lab.client, lab.server.inner(4), 3) == 3


class Transferring:
    """A stream from the client to the server meanwhile, which must not stop; a context manager."""

    def __init__(self, lab, rate=MIB):
        self.stream = Transfer(lab.client, lab.server, lab.server.inner(4), rate=rate)
        self.stream.wait_for(64 * KIB)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stream.wait_for(128 * KIB)
            self.stream.stop()
        else:
            self.stream.stopped.set()


# ---- who may not -----------------------------------------------------------------------------


@pytest.mark.parametrize("client_is_old", [True, False], ids=["old client", "our client"])
def test_an_unknown_key(lab, client_is_old):
    """It is refused, both say so, and the next one is let in."""
    server = Snek(lab, lab.server, False)
    server.start()
    other = lab.join("client3", 3)
    stranger = Snek(lab, other, client_is_old, to=lab.server.outer(4), key=identity(3).private)
    stranger.start()
    server.wait_for("no session with 10.1.3.2: ")
    assert "Connection not authorized. 10.1.3.2\n" in server.said()
    stranger.kill()
    client = Snek(lab, lab.client, client_is_old, to=lab.server.outer(4))
    client.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")


@pytest.mark.beside
def test_our_client_says_that_it_was_refused(lab):
    Snek(lab, lab.server, False).start()
    stranger = Snek(lab, lab.client, False, to=lab.server.outer(4), key=identity(3).private)
    stranger.start()
    assert stranger.wait(60) == 1
    assert "Connection failed! (bad auth?)" in stranger.complained()
    assert_nothing_left(lab.client)


# ---- hostile hosts over TCP ------------------------------------------------------------------


class Prober:
    """Somebody at the middle's `address` who asks our server for a session."""

    def __init__(self, lab, address):
        self.lab, self.address, self.open = lab, address, []

    def socket(self, *ends):
        s = self.lab.middle.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.open.append(s)
        s.settimeout(40)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.address, *ends))
        return s

    def close(self):
        for s in self.open:
            s.close()

    def probe(self, data=b"\xff"):
        s = self.socket(0)
        s.connect((self.lab.server.outer(4), DATA_PORT))
        s.sendall(data)
        return s

    def called_back(self):
        """The server's connection."""
        listener = self.socket(KEY_PORT)
        listener.listen()
        self.probe()
        s, _ = listener.accept()
        self.open.append(s)
        s.settimeout(40)
        return s

    def with_secret(self):
        """(connection, secret) after the KEM."""
        s = self.called_back()
        public, private = oldcrypto.keypair(True)
        old_snek.send_message(s, public)
        return s, oldcrypto.decapsulate(private, old_snek.receive_message(s))


def is_ended(s):
    """The other end has closed the connection, within the socket's timeout."""
    try:
        while s.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def sealed_meta(secret, text):
    """A meta message around any text."""
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = oldcrypto.Aead(old_snek.derive(secret, salt)[0]).seal(nonce, text)
    return salt + nonce + struct.pack("<I", len(sealed)) + sealed


def of_lengths(prober, length, body):
    s = prober.called_back()
    s.sendall(struct.pack("<I", length) + body)
    return s


def of_metas(prober, make):
    s, secret = prober.with_secret()
    s.sendall(make(secret))
    return s


def of_damaged(secret):
    message, _ = old_snek.build_meta(identity(2).private.read_bytes(), secret, *map(os.urandom, (16, 12, 16)))
    return message[:-1] + bytes([message[-1] ^ 1])


def of_a_stranger(secret):
    return old_snek.build_meta(identity(3).private.read_bytes(), secret, *map(os.urandom, (16, 12, 16)))[0]


def of_another_session(_):
    return of_a_known_key(os.urandom(32))


def of_a_known_key(secret):
    return old_snek.build_meta(identity(2).private.read_bytes(), secret, *map(os.urandom, (16, 12, 16)))[0]


def closes(s):
    s.close()
    return None


JSON = {
    "no JSON": b"\xff\xfe{", "empty": b"", "a list": b'["DataKeySig", "aad_b64"]', "no members": b"{}", "null": b"null",
    "not closed": b'{"DataKeySig": "AAAA', "one member": b'{"DataKeySig": "AAAA"}', "deep": b"[" * 60000,
    "a number": b'{"DataKeySig": 1, "aad_b64": "AAAA"}', "bad base64": b'{"DataKeySig": "A", "aad_b64": "AAAA"}',
    "a short signature": b'{"DataKeySig": "AAAA", "aad_b64": "AAAA"}', "huge number": b'{"x": 1e999999, "aad_b64": ""}',
}  # fmt: skip

# What is over at once: a connection that the server then closes, or None.
QUICK = {
    "closed": lambda p: closes(p.probe(b"")),
    "another byte": lambda p: p.probe(b"\0"),
    "a request": lambda p: p.probe(b"GET / HTTP/1.0\r\n\r\n"),
    "called back, closed": lambda p: closes(p.called_back()),
    "length 0": lambda p: of_lengths(p, 0, b""),
    "length 1567": lambda p: of_lengths(p, 1567, bytes(1567)),
    "length 1569": lambda p: of_lengths(p, 1569, bytes(1569)),
    "length 2^32-1": lambda p: of_lengths(p, 0xFFFFFFFF, bytes(100)),
    "no key": lambda p: of_lengths(p, 1568, b"\xff" * 1568),
    "half a key": lambda p: closes(of_lengths(p, 1568, bytes(700))),
    "meta of 0": lambda p: of_metas(p, lambda _: bytes(32)),
    "meta of 15": lambda p: of_metas(p, lambda _: bytes(28) + struct.pack("<I", 15) + bytes(15)),
    "meta of 2^32-1": lambda p: of_metas(p, lambda _: bytes(28) + b"\xff" * 4),
    "meta cut off": lambda p: closes(of_metas(p, lambda secret: of_a_known_key(secret)[:2000])),
    "damaged": lambda p: of_metas(p, of_damaged),
    "a stranger": lambda p: of_metas(p, of_a_stranger),
    "another session": lambda p: of_metas(p, of_another_session),
} | {f"JSON: {name}": lambda p, text=text: of_metas(p, lambda secret: sealed_meta(secret, text)) for name, text in JSON.items()}


def slow_probers(lab, addresses):
    """Those that want to take a server's time: each on a thread, which ends when the server has had enough."""

    def silent(prober):
        return is_ended(prober.probe(b""))

    def bare(prober):
        return is_ended(prober.probe())

    def silent_later(prober):
        return is_ended(prober.called_back())

    def trickle(prober):
        s, pace = prober.called_back(), wait.Pace(10)
        try:
            for byte in struct.pack("<I", 1568) + bytes(1568):
                s.sendall(bytes([byte]))
                pace.spent(1)
        except OSError:
            return True
        return False

    return [Job(slow, Prober(lab, next(addresses))) for slow in (silent, bare, silent_later, trickle)]


@pytest.mark.beside
@pytest.mark.parametrize("client_is_old", [True, False], ids=["old client", "our client"])
def test_hostile_probers(lab, client_is_old):
    """None of them keeps the server from its client, before the session and in it, and none costs it more than a line
    in the log."""
    lab.middle.ip("\n".join(f"addr add 10.1.1.{n}/24 dev h1" for n in range(10, 80)))
    addresses = (f"10.1.1.{n}" for n in range(10, 80))
    pair = SnekPair(lab, False, client_is_old)
    pair.server.start()
    slow = slow_probers(lab, addresses)
    for name, attack in QUICK.items():
        prober = Prober(lab, next(addresses))
        try:
            s = attack(prober)
            assert s is None or is_ended(s), name
        except (OSError, AssertionError) as error:
            raise AssertionError(f"{name}: {error!r}") from error
        finally:
            prober.close()
        assert pair.server.runs(), name
    refused = len(QUICK) - len(("closed", "another byte"))
    wait.until(lambda: pair.server.complained().count("no session with 10.1.1.") >= refused, "each has its line", 30)
    pair.start_client()
    with Transferring(lab):
        # Nobody but the session's own host is heard now.
        prober = Prober(lab, next(addresses))
        assert is_ended(prober.probe())
        prober.close()
        with lab.client.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.settimeout(40)
            s.connect((lab.server.outer(4), DATA_PORT))
            s.sendall(b"\xff")
        for job in slow:
            assert job.result()
    assert ping(lab.client, lab.server.inner(4), 5) == ping(lab.server, lab.client.inner(4), 5) == 5
    assert pair.server.said().count("[+] Connected.\n") <= 2


class FalseServer:
    """The test itself in the server's place, for our client on host 2. A context manager."""

    def __init__(self, lab):
        self.lab = lab
        self.listener = lab.server.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("0.0.0.0", DATA_PORT))
        self.listener.listen()
        self.listener.settimeout(40)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def probed(self):
        s, _ = self.listener.accept()
        with s:
            s.settimeout(40)
            assert s.recv(2) == b"\xff" and s.recv(1) == b""

    def call_back(self, host=None):
        s = (host or self.lab.server).socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(40)
        s.connect((self.lab.client.outer(4), KEY_PORT))
        return s

    @staticmethod
    def exchange(s):
        """An honest one: the data key, and whether the client has signed it."""
        ciphertext, secret = oldcrypto.encapsulate(old_snek.receive_message(s))
        old_snek.send_message(s, ciphertext)
        salt, nonce = old_snek.receive_exact(s, 16), old_snek.receive_exact(s, 12)
        signature, key = old_snek.open_meta(secret, salt, nonce, old_snek.receive_message(s))
        assert s.recv(1) == b"", "the client closes at once"
        return key, oldcrypto.verify(identity(2).public.read_bytes(), key, signature)

    def hello(self, host, data=b"\xff"):
        s = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(20)
        s.connect((self.lab.client.outer(4), DATA_PORT))
        s.send(data)
        return s


BAD_ANSWERS = {
    "closed": b"", "length 0": struct.pack("<I", 0), "length 1567": struct.pack("<I", 1567) + bytes(1567),
    "length 2^32-1": b"\xff" * 4 + bytes(2000), "half": struct.pack("<I", 1568) + bytes(500),
}  # fmt: skip


def test_a_server_that_answers_badly(lab):
    """Our client ends with a reason, and leaves nothing."""
    with FalseServer(lab) as server:
        for name, data in BAD_ANSWERS.items():
            client = Snek(lab, lab.client, False, to=lab.server.outer(4))
            client.spawn()
            server.probed()
            with server.call_back() as s:
                assert len(old_snek.receive_message(s)) == 1568
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                assert is_ended(s)
            assert client.wait() == 1, name
            assert "snek-vpn" in client.complained().splitlines()[-1], name
        assert_nothing_left(lab.client)


@pytest.mark.beside
@pytest.mark.parametrize("when", ["no connection", "no answer", "no hello"])
def test_a_server_that_falls_silent(lab, when):
    """Our client gives up as the older one did, after 20 s or 30 s, and says what it waited for."""
    with FalseServer(lab) as server:
        client = Snek(lab, lab.client, False, to=lab.server.outer(4))
        client.spawn()
        server.probed()
        s = server.call_back() if when != "no connection" else None
        if when == "no hello":
            server.exchange(s)
        assert client.wait(60) == 1
        said = client.complained()
        if s:
            s.close()
    assert {"no connection": "TCP port 443", "no answer": "snek-vpn: ", "no hello": "UDP port 10666"}[when] in said, said


def test_strangers_at_our_client(lab):
    """Others that connect and send while it waits for its server are not taken for it."""
    with FalseServer(lab) as server:
        client = Snek(lab, lab.client, False, to=lab.server.outer(4))
        client.start()
        server.probed()
        with server.call_back(lab.middle) as s:
            assert is_ended(s)
        with server.call_back() as s:
            key, is_right = server.exchange(s)
        assert is_right
        with server.hello(lab.middle), server.hello(lab.middle, b"stranger"):
            client.wait_for("10.1.2.1, which is not the server")
            assert "Connected to" not in client.said()
            with server.hello(lab.server) as udp:
                client.wait_for("[+] Connected to 10.1.1.2:")
                job = Job(answers, lab.client, lab.server.inner(4))
                packet = old_snek.Opener(key).packets(udp.recv(2048))
                assert packet and packet[0][0] >> 4 in (4, 6)
                job.result()


# ---- hostile datagrams -----------------------------------------------------------------------


def dropped(peer):
    """What ours counts, by SIGUSR1: name -> number."""
    seen = len(peer.complained())
    peer.process.send_signal(signal.SIGUSR1)
    wait.until(lambda: "dropped: " in peer.complained()[seen:] and peer.complained().endswith("\n"), "counters")
    text = peer.complained()[seen:].rsplit("dropped: ", 1)[1]
    return {name.strip(): int(number) for name, number in re.findall(r"([a-zA-Z ]+) (\d+)", text)}


def garbage(seed):
    """Datagrams that are not, or nearly, frames."""
    r = random.Random(seed)
    sizes = [*range(41), 63, 64, 105, 1573, 2047, 2048, 2049, 4000, 9000, 40000]
    yield from map(r.randbytes, sizes)
    for size in sizes:
        flags, count = r.choice((0, 1, 2, 3, 0xFF)), r.choice((0, 1, 2, 64, 65, 65535))
        head = old_snek.HEAD.pack(flags, r.getrandbits(64), r.choice((0, size, 16, 0xFFFFFFFF)))
        if flags & 2:
            head += old_snek.EXTENSION.pack(r.getrandbits(32), r.randrange(4), r.randrange(4), count)
        yield head + r.randbytes(12 + size)


def altered(datagrams, seed):
    """True ones again: as they were, with other numbers, changed, cut, longer, twice in one."""
    r = random.Random(seed)
    for data in datagrams:
        number = struct.pack("<Q", r.choice((0, 1, 1 << 20, 1 << 25, (1 << 64) - 1)))
        changed = bytearray(data)
        changed[r.randrange(len(data))] ^= 1 << r.randrange(8)
        yield from (data, data[:1] + number + data[9:], bytes(changed), data[: r.randrange(len(data))], data + b"\0", data + data)
        if not data[0] & 2:
            # A nonce that has not come yet, whether they are drawn or counted, and so a tag that does not fit.
            low = struct.unpack_from("<I", data, 21)[0] + 5000 & 0xFFFFFFFF
            yield data[:21] + struct.pack("<I", low) + data[25:]


@pytest.mark.parametrize("mix", MIXES, ids=NAMES)
def test_hostile_datagrams(lab, mix):
    """Everything that would end the older receiver, what was on the wire before, and our own: from where the peer is,
    and from strangers. It is counted, and what goes on beside it loses nothing."""
    lab.cut_outside()
    for host in (lab.server, lab.client):
        lab.set_mtu(host, 2000)
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", f"udp port {DATA_PORT}") as capture:
        pair = SnekPair(lab, *mix).start()
        udp_echo(lab.client, lab.server, lab.server.inner(4), [bytes(n) for n in range(0, 1500, 50)])
        transfer(lab.client, lab.server, lab.server.inner(4), 64 * KIB)
    sent = {lab.server: [], lab.client: []}
    for frame, payload in zip(udp_frames(capture), capture.datagrams):
        if len(payload) > 1:
            sent[lab.server if frame[26:30] == socket.inet_aton(lab.server.outer(4)) else lab.client].append(payload)
    old = pair.server if mix[0] else pair.client if mix[1] else None
    keys = [os.urandom(32)] + ([old.data_key()] if old else [])
    fatal = [datagram for key in keys for datagram in fatal_datagrams(key).values()]
    ports = {lab.server: pair.server_port(), lab.client: DATA_PORT}
    for target, peer in ((pair.server, lab.client), (pair.client, lab.server)):
        if target.is_old:
            continue
        pings = Job(ping, lab.client, lab.server.inner(4), 150, 56, 0.01)
        before = dropped(target)
        attack(lab, target.host, peer, ports, [*fatal, *garbage(1), *altered(sent[peer], 2), *sent[target.host]])
        counted = wait.until(lambda t=target, b=before, p=peer: enough(dropped(t), b, sent, t.host, p), "they are counted")
        assert counted["forged"] > before["forged"] + 10
        # A stranger's datagrams do not get to the session at all.
        with lab.middle.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for datagram in [*fatal, *sent[peer][:50]]:
                s.sendto(datagram, (target.host.outer(4), ports[target.host]))
        assert pings.result() == 150
    for source, target in both_ways(lab):
        assert ping(source, target.inner(4), 5) == ping(source, target.inner(6), 5, 1400) == 5
        transfer(source, target, target.inner(4), 64 * KIB)


def attack(lab, target, peer, ports, datagrams):
    pace = wait.Pace(1000)
    with Spoofer(lab, peer, ports[peer], target, ports[target]) as spoofer:
        for datagram in datagrams:
            spoofer.send(datagram)
            pace.spent(1)


def enough(now, before, sent, host, peer):
    """The counters, when they have what was sent: most of the true ones again, twice; our own."""
    more = {name: now[name] - before.get(name, 0) for name in now}
    fine = more["replayed"] > len(sent[peer]) and more["reflected"] > len(sent[host]) // 4 and more["malformed"] > 40
    return now if fine else None


# ---- the command line ------------------------------------------------------------------------


def snek(lab, *arguments, host=None, before=()):
    """Our program to its end."""
    return run(*(host or lab.server).command(*before, ours(lab, "snek-vpn"), *arguments), check=False)


def test_keys_are_made(lab):
    """-g, as the older program, but the private key is its owner's alone, and is never written over."""
    folder = lab.folder / "made"
    done = snek(lab, "-g", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Certificates written\n")
    public, private = folder / "snek-cert.pub", folder / "snek-cert.priv"
    assert (public.stat().st_size, private.stat().st_size) == (1952, 4032)
    assert private.stat().st_mode & 0o777 == 0o600
    signature = oldcrypto.sign(private.read_bytes(), b"text")
    assert oldcrypto.verify(public.read_bytes(), b"text", signature)
    before = private.read_bytes()
    done = snek(lab, "--gencert", folder)
    assert done.returncode == 1 and "snek-cert" in done.stderr
    assert private.read_bytes() == before
    # Keys of the older program's making: readable by all.
    private.chmod(0o644)
    done = snek(lab, "-c", lab.client.outer(4), "-x", private)
    assert done.returncode == 1 and f"chmod 600 {private}" in done.stderr, done.stderr


def test_keys_that_come_later(lab):
    """A folder that has no key is warned of; what is put there counts at the next request."""
    server = Snek(lab, lab.server, False, authorized=())
    folder = lab.folder / "new-snek-1-keys"
    server.start()
    assert str(folder) in server.complained()
    client = Snek(lab, lab.client, False, to=lab.server.outer(4))
    client.start()
    server.wait_for("no session with 10.1.2.2: ")
    client.kill()
    Snek.folder_of(lab, "new-snek-1", (2,))
    (folder / "other.pub").write_bytes(b"no key")
    (folder / "87.pub").write_bytes(identity(2, "ml-dsa-87").public.read_bytes())
    # Whose request came to nothing is not heard for two seconds.
    assert wait.hold(2.5, server.runs)
    client.start()
    server.wait_for("[+] Connected.")
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")


def test_wrong_command_lines(lab):
    """Exit code 2 and what is wrong for what cannot be meant; 1 for what the machine has not."""
    key, folder = identity(2).private, lab.folder / "keys"
    folder.mkdir()
    (folder / "2.pub").write_bytes(identity(2).public.read_bytes())
    for arguments, code, said in (
        (["--nonsense"], 2, "nonsense"),
        (["-l", "-x", folder, "more"], 2, "'more'"),
        (["-c", "10.1.2.2"], 2, "-x"),
        (["-l"], 2, "-x"),
        (["-l", "-x", folder, "-dp", "0"], 2, "-dp"),
        (["-l", "-x", folder, "-kp", "65536"], 2, "-kp"),
        (["-l", "-x", folder, "--dataport", "http"], 2, "-dp"),
        (["-l", "-x", folder, "--address", "10.8.0.999/24"], 2, "--address"),
        (["-l", "-x", key], 1, str(key)),
        (["-l", "-x", lab.folder / "nowhere"], 1, "make it"),
        (["-c", "10.1.2.2", "-x", lab.folder / "nowhere"], 1, "nowhere"),
        (["-c", "10.1.2.2", "-x", folder], 1, str(folder)),
        (["-c", "10.1.2.2", "-x", identity(2).public], 1, "snek-cert.pub"),
        (["-c", "10.1.2.2", "-x", key], 1, "10.1.2.2:10666"),
        (["-c", "no.such.host.invalid", "-x", key], 1, "no.such.host.invalid"),
        (["-l", "-x", folder, "--name", "a-name-that-is-too-long"], 1, "a-name-that-is-too-long"),
    ):  # fmt: skip
        done = snek(lab, *arguments)
        assert done.returncode == code and said in done.stderr, f"{arguments}: {done.returncode}: {done.stderr}"
        assert "Traceback" not in done.stderr
        assert not {link for link in lab.server.links() if link.startswith("snk")}


def test_ports_that_are_taken(lab):
    """It says which, and of which flag."""
    folder = Snek.folder_of(lab, "some", (2,))
    for kind, port, flag, arguments in (
        (socket.SOCK_STREAM, DATA_PORT, "-dp", ["-l", "-x", folder]),
        (socket.SOCK_STREAM, KEY_PORT, "-kp", ["-c", lab.client.outer(4), "-x", identity(1).private]),
        (socket.SOCK_DGRAM, DATA_PORT, "10666", ["-c", lab.client.outer(4), "-x", identity(1).private]),
    ):
        with lab.server.socket(socket.AF_INET, kind) as s:
            s.bind(("0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            done = snek(lab, *arguments)
        assert done.returncode == 1 and flag in done.stderr and str(port) in done.stderr, done.stderr
        assert not {link for link in lab.server.links() if link.startswith("snk")}


def test_without_rights(lab):
    lab.folder.chmod(0o755)
    folder = Snek.folder_of(lab, "some", (2,))
    done = snek(lab, "-l", "-x", folder, before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert done.returncode == 1 and "root" in done.stderr or "CAP_NET_ADMIN" in done.stderr, done.stderr


def test_additions_and_other_names(lab):
    """--address and --name; other ports; `jorm snek-vpn`, and the older file's name with .py."""
    script = lab.folder / "snek-vpn.py"
    script.symlink_to(JORM)
    server = Snek(lab, lab.server, False, options=["-kp", 1443, "-dp", 1666, "--address", "10.66.0.1/24,fd66::1/64", "--name", "old7"])
    client = Snek(lab, lab.client, True, to=lab.server.outer(4), options=["-kp", 1443, "-dp", 1666])
    server.command[0] = str(script)
    server.spawn()
    server.wait_for("[+] Opened TUN device: old7")
    client.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert ping(lab.client, lab.server.inner(6), 3) == 3
    assert "mtu 1536" in lab.server.run("ip", "link", "show", "old7").stdout
    assert server.stop() == 0
    assert "old7" not in lab.server.links()
    done = subprocess.run([JORM, "snek-vpn", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--keyport" in done.stdout


def test_the_interface_is_taken_away(lab):
    """Ours ends with a reason, instead of serving nobody."""
    pair = SnekPair(lab).start()
    lab.server.ip("link del snk0")
    assert pair.server.wait() == 1
    assert "interface was removed" in pair.server.complained()
