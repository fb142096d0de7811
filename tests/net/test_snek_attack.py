"""snek-vpn: ours among hosts that mean it harm, over TCP and UDP. What ends the older program ends nothing here."""

import contextlib
import os
import random
import re
import signal
import socket
import struct

import pytest

import old_snek
import oldcrypto
import wait
from compat import KIB, MIXES, NAMES, Snek, SnekPair, Spoofer, Transferring, both_ways, fatal_datagrams, sent_by
from lab import Job
from middle import Capture
from program import identity
from traffic import answers, ping, transfer, udp_echo

KEY_PORT, DATA_PORT = 443, 10666


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
} | {
    f"JSON: {name}": lambda p, text=text: of_metas(p, lambda secret: sealed_meta(secret, text))
    for name, text in JSON.items()
}


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
                with contextlib.suppress(OSError):  # it may have hung up already
                    s.shutdown(socket.SHUT_WR)
                assert is_ended(s)
            assert client.wait() == 1, name
            assert "snek-vpn" in client.complained().splitlines()[-1], name
        assert "snk0" not in lab.client.links()


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
    wanted = {"no connection": "TCP port 443", "no answer": "snek-vpn: ", "no hello": "UDP port 10666"}
    assert wanted[when] in said, said


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
            for _ in range(200):
                server.hello(lab.middle, b"stranger").close()
            assert client.complained().count("which is not the server") <= 3, "a line in ten seconds"
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
        yield from (data, data[:1] + number + data[9:], bytes(changed))
        yield from (data[: r.randrange(len(data))], data + b"\0", data + data)
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
    sent = {host: [d for d in sent_by(capture, host) if len(d) > 1] for host in (lab.server, lab.client)}
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
        counted = wait.until(
            lambda t=target, b=before, p=peer: enough(dropped(t), b, sent, t.host, p), "they are counted"
        )
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
