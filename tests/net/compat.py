"""Both ends of the two older programs' tunnels: the scripted older peers (old_snek.py, old_otptunnel.py), and ours
under their names ($JORM through a symbolic link). Their addresses are those of the lab's tunnels, 10.66.0.N and
fd66::N."""

import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys

import old_snek
import oldcrypto
import pads
import wait
from middle import udp_payload
from packets import ipv4, udp
from program import JORM, SANITIZER, identity
from traffic import Transfer, answers

PIECE = 1480  # of an IP packet's payload
KIB, MIB = 1 << 10, 1 << 20

# (server is old, client is old)
MIXES = [(True, False), (False, True), (False, False)]
NAMES = ["old server", "old client", "both ours"]
HERE = pathlib.Path(__file__).resolve().parent


class Peer:
    """A program on a host. In its folder are what it says and what it complains of."""

    def __init__(self, lab, host, command, name):
        self.lab, self.host, self.name = lab, host, name
        self.command = [*map(str, command)]
        self.is_old = self.command[0] == sys.executable
        self.said_path, self.complained_path = (lab.folder / f"{name}.{kind}" for kind in ("stdout", "stderr"))
        self.process, self.hangs, self.may_die = None, [], False
        lab.programs.append(self)

    def spawn(self, *options):
        with self.said_path.open("a") as said, self.complained_path.open("a") as complained:
            self.process = subprocess.Popen(
                self.host.command(*self.command, *options), stdin=subprocess.DEVNULL, stdout=said, stderr=complained,
                env=os.environ | {"OLDCRYPTO": str(oldcrypto.shared_object())},
            )  # fmt: skip

    def wait_for_link(self, name):
        wait.until(lambda: name in self.host.links() or self.process.poll() is not None, f"{self.name} has {name}", 30)
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.describe()}"

    def mark(self):
        """Where it is in what it says, for wait_for."""
        return len(self.said()), len(self.complained())

    def wait_for(self, text, seconds=40, since=(0, 0)):
        """Until it has said so, on stdout or stderr, after that mark."""

        def has_said():
            return text in self.said()[since[0] :] or text in self.complained()[since[1] :]

        wait.until(lambda: has_said() or self.process.poll() is not None, f"{self.name} says {text!r}", seconds)
        assert has_said(), f"{self.name} has ended:\n{self.describe()}"

    def wait(self, seconds=40):
        """The exit code."""
        code = self.process.wait(seconds)
        self.process = None
        return code

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def said(self):
        return self.said_path.read_text(errors="replace") if self.said_path.exists() else ""

    def complained(self):
        return self.complained_path.read_text(errors="replace") if self.complained_path.exists() else ""

    # ---- what a lab wants of a program ----

    def describe(self):
        if self.runs() and not self.is_old:
            self.process.send_signal(signal.SIGUSR1)  # ours then logs its counters
            wait.hold(0.2)
        return f"{self.name}:\n{self.said()[-2000:]}\n{self.complained()[-3000:]}"

    def end(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.hangs.append(f"{self.name}: 20 s after SIGTERM it still ran:\n{self.describe()}")
            self.process.kill()
            self.process.wait()

    def complaints(self):
        """A hang, a sanitiser's report, and what the old program has died of: ours has sent that."""
        text = self.complained()
        findings = [] if self.may_die else re.findall(r"^FATAL.*$", text, re.M)
        match = SANITIZER.search(text)
        return self.hangs + findings + ([f"{self.name}: {text[match.start():][:6000]}"] if match else [])


def both_ways(lab):
    return ((lab.client, lab.server), (lab.server, lab.client))


def sent_by(capture, host):
    """The UDP payloads of a capture (middle.py) that this host has sent over IPv4."""
    udp = [frame for frame in capture.frames if udp_payload(frame) is not None]
    address = socket.inet_aton(host.outer(4))
    return [udp_payload(frame) for frame in udp if frame[12:14] == b"\x08\0" and frame[26:30] == address]


class Transferring:
    """A stream from the client to the server meanwhile, which must not stop. A context manager."""

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


def ours(lab, name):
    """The program under one of its other names."""
    link = lab.folder / name
    if not link.is_symlink():
        link.symlink_to(JORM)
    return link


class Spoofer:
    """Datagrams from the middle that look as if they came from `source`. A context manager."""

    def __init__(self, lab, source, source_port, target, target_port):
        self.ends = (source.outer(4), target.outer(4), source_port, target_port)
        self.socket = lab.middle.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, payload):
        """One that is longer than the link's MTU goes in fragments, as its sender's kernel would cut it."""
        source, target, source_port, target_port = self.ends
        datagram = udp(source, target, source_port, target_port, payload)
        number = random.randrange(1, 1 << 16)
        for at in range(0, len(datagram), PIECE):
            more = 0x2000 if at + PIECE < len(datagram) else 0
            piece = ipv4(source, target, 17, datagram[at : at + PIECE], number, at // 8 | more)
            self.socket.sendto(piece, (target, 0))


# ---- snek-vpn --------------------------------------------------------------------------------


class Snek(Peer):
    """One end. The server knows the keys of the hosts that `authorized` names; the client is host N with N's key."""

    def __init__(self, lab, host, is_old, to=None, authorized=(2,), options=(), key=None):
        kind = f"{'old' if is_old else 'new'}-snek-{host.number}"
        program = [sys.executable, HERE / "old_snek.py"] if is_old else [ours(lab, "snek-vpn")]
        self.is_client, self.keys = to is not None, lab.folder / f"{kind}.keys"
        options = [*options, "--keys", self.keys] if is_old else options
        if self.is_client:
            role = ["-c", to, "-x", key or identity(host.number).private]
        else:
            role = ["-l", "-x", self.folder_of(lab, kind, authorized)]
        super().__init__(lab, host, [*program, *role, *options], kind)

    def data_key(self):
        """Of the latest session, from an old peer."""
        return bytes.fromhex(self.keys.read_text().split()[-1])

    @staticmethod
    def folder_of(lab, kind, authorized):
        folder = lab.folder / f"{kind}-keys"
        folder.mkdir(exist_ok=True)
        for number in authorized:
            (folder / f"c{number}.pub").write_bytes(identity(number).public.read_bytes())
        return folder

    def start(self, *options):
        """Returns when it has its interface, and that has its addresses."""
        seen = self.mark()
        self.spawn(*options)
        self.wait_for_link("snk0")
        self.wait_for("[+] Opened TUN device: snk0", since=seen)
        self.host.ip(
            "link set snk0 up\n"
            f"addr add {self.host.inner(4)}/24 dev snk0\naddr add {self.host.inner(6)}/64 dev snk0 nodad"
        )


class SnekPair:
    """A server on host 1 and a client on host 2."""

    def __init__(self, lab, server_is_old=False, client_is_old=False, server=None, client=None):
        self.lab, self.data_port = lab, 10666
        self.server = Snek(lab, lab.server, server_is_old, **(server or {}))
        self.client = Snek(lab, lab.client, client_is_old, to=lab.server.outer(4), **(client or {}))

    def start(self):
        self.server.start()
        if self.server.is_old and self.client.is_old:
            self.start_old_client()
        else:
            self.start_client()
        return self

    def start_old_client(self):
        """Between two old ends the hello may come before the client has a port for it. Then all begins anew."""
        while True:
            seen = len(self.server.said())
            self.server.wait_for("Waiting for peer")
            self.client.start()

            def outcome(seen=seen):
                is_lost = "UDP: " in self.server.said()[seen:]
                return "lost" if is_lost else answers(self.lab.client, self.lab.server.inner(4)) and "there"

            if wait.until(outcome, "the hello comes, or is lost") == "there":
                return
            self.client.kill()
            self.server.kill()
            self.use_next_port()
            self.server.start()

    def use_next_port(self):
        """An old server that has closed a probe before its client did cannot have its port again for a minute."""
        self.data_port += 1
        for end in (self.server, self.client):
            end.command += ["-dp", str(self.data_port)]

    def server_port(self):
        """The server's of the latest session."""
        return int(self.client.said().rsplit("[+] Connected to ", 1)[1].split()[0].rsplit(":", 1)[1])

    def start_client(self):
        seen = self.server.said().count("Waiting for peer")
        wait.until(lambda: self.server.said().count("Waiting for peer") >= max(1, seen), "the server waits")
        self.client.start()
        self.wait_for_traffic()

    def wait_for_traffic(self, seconds=40):
        ends = self.lab.client, self.lab.server
        for a, b in (ends, ends[::-1]):
            wait.until(lambda a=a, b=b: answers(a, b.inner(4)), f"{a.name} gets a ping back", seconds)


def fatal_datagrams(key):
    """What the old receiver does not survive, by name; the key is a session's, or any other."""
    whole = old_snek.Sealer(key).datagrams(b"\x45" + bytes(100))[0]
    seal = old_snek.OddSealer(key).one
    fragment = old_snek.HEAD.pack(3, 0, 16) + old_snek.EXTENSION.pack(32, 9, 2, 2) + bytes(12 + 16)
    return {
        "forged": whole[:-1] + bytes([whole[-1] ^ 1]),
        "another key's": old_snek.Sealer(bytes(31) + b"\1").datagrams(b"\x45" + bytes(100))[0],
        "a hello": b"\xff",
        "short": whole[:24],
        "empty": b"",
        "chunk too long": whole[:-1],
        "chunk too short": whole + b"\0",
        "fragment beyond the last": fragment,
        "length alone": seal(struct.pack(">i", 20)),
    }


# ---- otptunnel -------------------------------------------------------------------------------


class Otp(Peer):
    """One end. Ours keeps its ledgers in a folder of its own."""

    def __init__(self, lab, host, is_old, pad, to=None, is_server=False, options=(), prefix=24):
        kind = f"{'old' if is_old else 'new'}-otp-{host.number}"
        program = [sys.executable, HERE / "old_otptunnel.py"] if is_old else [ours(lab, "otptunnel")]
        self.pad = pad
        arguments = ["-K", pad, "--tap-addr", host.inner(4), "--tap-netmask", prefix]
        arguments += ["-S"] if is_server else []
        arguments += ["-A", to] if to else []
        if not is_old:
            self.state = lab.folder / f"{kind}.state"
            arguments += ["--state", self.state]
        super().__init__(lab, host, [*program, *arguments, *options], kind)

    def start(self, *options):
        """Returns when its TAP is up."""
        self.spawn(*options)
        self.wait_for_link("tap0")


class OtpPair:
    """A server on host 1 and a client on host 2, with copies of one pad."""

    def __init__(self, lab, server_is_old=False, client_is_old=False, size=8 * MIB, server=None, client=None):
        self.lab = lab
        pad = pads.make(lab.folder / "server.pad", size)
        copy = pads.copy(pad, lab.folder / "client.pad")
        server = {"to": lab.client.outer(4), "is_server": True} | (server or {})
        client = {"to": lab.server.outer(4)} | (client or {})
        self.server = Otp(lab, lab.server, server_is_old, pad, **server)
        self.client = Otp(lab, lab.client, client_is_old, copy, **client)

    def start(self):
        self.server.start()
        self.client.start()
        self.wait_for_traffic()
        return self

    def wait_for_traffic(self, seconds=40):
        """A TAP that is made anew has another address at layer 2, which its own traffic tells the other end."""
        ends = self.lab.client, self.lab.server

        def either():
            return any([answers(a, b.inner(4)) for a, b in (ends, ends[::-1])])

        wait.until(either, "a ping comes back", seconds)
        for a, b in (ends, ends[::-1]):
            wait.until(lambda a=a, b=b: answers(a, b.inner(4)), f"{a.name} gets a ping back", seconds)
