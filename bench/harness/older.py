"""The two older programs: ours in their place, at both ends, and for comparison what stands for them.

The older programs themselves are not here: snek-vpn.py needs liboqs and other modules, OTPTunnel needs Python 2.
They are played by tests/net/old_snek.py and old_otptunnel.py, which send their bytes in their order, also in Python, with
a system call a packet. The latter is many times quicker than the program, which opened its key file for each packet and
read it byte by byte. So what counts are the programs' own figures (OWN_FIGURES), measured once, with the programs, on a
machine like that of docs/performance.md."""

import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

from .contenders import Contender, Jorm
from .lab import BenchError, listens, wait_for

PEERS = pathlib.Path(__file__).resolve().parents[2] / "tests/net"
SNEK_MTU, TAP_MTU = 1536, 1500  # theirs: what goes through them is over the MTU outside, and IP cuts it
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

OWN_FIGURES = ("The older programs' own figures, one TCP stream between two namespaces joined by veth, 2 cores of an AMD EPYC, "
               "other work going on: snek-vpn.py 251 and 290 Mbit/s (there and back), ping 0.44 ms; OTPTunnel (run by "
               "Python 3) 14.2 and 14.3 Mbit/s, 1.02 ms. Measured with the programs, 2026; old-snek and old-otptunnel here "
               "are scripts that play them")


class Snek(Contender):
    """End a is the client, end b the server."""
    widest_mtu = SNEK_MTU

    def _program(self):
        raise NotImplementedError

    def _environment(self):
        return None

    def _spawn(self, lab, end, *args):
        self.spawn(lab, end, *self._program(), *args, "-kp", self.port + 1000, "-dp", self.port, env=self._environment())

    def _keys(self, lab):
        """(the client's private key, the server's folder)"""
        folder, authorized = lab.directory / self.name, lab.directory / f"{self.name}-authorized"
        if not folder.exists():
            lab.run(None, self.options.jorm, "keygen", folder)
            authorized.mkdir()
            shutil.copy(folder / "snek-cert.pub", authorized / "a.pub")
        return folder / "snek-cert.priv", authorized

    def _options(self, end):
        return ()

    def start(self, lab):
        private, authorized = self._keys(lab)
        self._spawn(lab, lab.b, "-l", "-x", authorized, *self._options(lab.b))
        server = self.processes["b"][0]
        wait_for(lambda: not self.alive() or listens(server.pid, self.port), f"the server of {self.name}")
        if not self.alive():
            raise BenchError(f"{self.name} has ended: {self.last_words(lab)}")
        self._spawn(lab, lab.a, "-c", lab.b.outer, "-x", private, *self._options(lab.a))
        for end in lab.ends:
            self.wait_device(lab, end)


class SnekVpn(Snek):
    """jorm in the place of snek-vpn.py."""
    name = "snek-vpn"
    version, missing = Jorm.version, Jorm.missing

    def device(self, end):
        return f"jb{self.index}{end.letter}"

    def _program(self):
        return self.options.jorm, "snek-vpn"

    def _options(self, end):
        return "--name", self.device(end), "--address", f"{self.inner(end)}/24"


class StandIn(Contender):
    """A script that plays an older program."""
    is_script = True

    def version(self):
        return "script"

    def missing(self):
        return Jorm.missing(self) or (None if PEERS.exists() else f"{PEERS} is not there")


class OldSnek(StandIn, Snek):
    """What plays snek-vpn.py. It takes the first free name of snk0, snk1 ...: no other contender here uses those."""
    name = "old-snek"

    def device(self, end):
        return "snk0"

    def _program(self):
        return PYTHON, "-u", PEERS / "old_snek.py"

    def _environment(self):
        """Its cryptography is built once for both ends; it goes away with this process."""
        if str(PEERS) not in sys.path:
            sys.path.append(str(PEERS))
        try:
            return {"OLDCRYPTO": str(importlib.import_module("oldcrypto").shared_object())}
        except (OSError, subprocess.SubprocessError) as e:
            raise BenchError(f"tests/net/oldcrypto.c cannot be built: {e}") from None

    def start(self, lab):
        """The server's hello is lost when it comes before the client has its port open: once in a while, as it was with
        snek-vpn.py. What waits in an interface that is up comes right behind it, so that is set up afterwards."""
        log = lab.directory / f"{self.name}-a.log"
        for _ in range(5):
            log.unlink(missing_ok=True)
            self.port += 100  # its server may not have one again within a minute
            try:
                super().start(lab)
                wait_for(lambda: "[+] Connected to" in log.read_text(), "the client to be connected", timeout=3)
                break
            except BenchError:
                self.stop(lab)
        else:
            raise BenchError(f"{self.name} does not connect")
        for end in lab.ends:
            lab.ip(end, "address", "add", f"{self.inner(end)}/24", "dev", self.device(end))
            lab.ip(end, "link", "set", "dev", self.device(end), "up")


class Otp(Contender):
    """End b is the server."""
    widest_mtu = TAP_MTU

    def _program(self):
        raise NotImplementedError

    def _pad_size(self):
        raise NotImplementedError

    def _pad(self, lab, end):
        return lab.disk / f"{self.name}-{end.letter}.pad"

    def _options(self, lab, end):
        return ()

    def _make_pads(self, lab):
        if not self._pad(lab, lab.a).exists():
            lab.run(None, self.options.jorm, "pad", "new", self._pad(lab, lab.a), "--size", self._pad_size(), timeout=600)
            shutil.copyfile(self._pad(lab, lab.a), self._pad(lab, lab.b))
            self._pad(lab, lab.b).chmod(0o600)
        for end in lab.ends:
            with open(self._pad(lab, end), "rb") as pad:
                os.posix_fadvise(pad.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def start(self, lab):
        self._make_pads(lab)
        for end, other in (lab.ends, lab.ends[::-1]):
            role = ("-S",) if end is lab.b else ()
            self.spawn(lab, end, *self._program(), *role, "-K", self._pad(lab, end), "-A", other.outer, "-P", self.port,
                       "--local-port", self.port, "--tap-addr", self.inner(end), *self._options(lab, end))
            self.wait_device(lab, end)


class OtpTunnel(Otp):
    """jorm in the place of OTPTunnel. A pad is made once for all rounds; before each measurement both ends forget that
    they have used it, which nobody may do whose secrets matter, and the kernel forgets what it has read."""
    name = "otptunnel"
    version, missing = Jorm.version, Jorm.missing

    def device(self, end):
        return f"jb{self.index}{end.letter}"

    def _program(self):
        return self.options.jorm, "otptunnel"

    def _pad_size(self):
        return self.options.pad_size

    def _state(self, lab, end):
        return lab.directory / f"{self.name}-{end.letter}.state"

    def _options(self, lab, end):
        return "--tap-name", self.device(end), "--state", self._state(lab, end)

    def start(self, lab):
        for end in lab.ends:
            shutil.rmtree(self._state(lab, end), ignore_errors=True)
        super().start(lab)

    def is_worn(self, lab):
        """Each end has its own half, and one stream may take most of that."""
        for end in lab.ends:
            said = lab.run(end, self.options.jorm, "pad", "info", self._pad(lab, end), "--state", self._state(lab, end), "--json")
            use = json.loads(said)["use"]
            if use and use["left"] < 0.9 * use["share"]:
                return True
        return False


class OldOtp(StandIn, Otp):
    """What plays OTPTunnel. The whole of its pad is in memory; it begins at the first byte with every start."""
    name = "old-otptunnel"
    pad_size = 1 << 30

    def device(self, end):
        return "tap0"

    def _program(self):
        return PYTHON, "-u", PEERS / "old_otptunnel.py"

    def _pad_size(self):
        return min(self.pad_size, self.options.pad_size)

    def is_worn(self, lab):
        return True
