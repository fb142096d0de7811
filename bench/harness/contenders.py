"""Who is compared. A contender joins the two ends of a lab by a tunnel of its own: subnet, port and
device carry its index, so that all of them are up at once and measurements can be interleaved finely;
an idle tunnel costs the others nothing.

To add one: a subclass with name, start() and, where needed, missing() and version(); a line in field.py.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

from .lab import BenchError, cpu_seconds, peak_rss_mib, wait_for

TUNNEL_MTU = 1420  # for all that do not find their own: fits any of their overheads into 1500


class Contender:
    name = ""
    package = None  # Debian's, for what missing() says and --install does
    program = None
    is_tunnel = True
    needs_offloads = False  # a yardstick that runs without them is none
    widest_mtu = None  # of a tunnel whose protocol has one above what the path takes whole
    is_script = False  # plays another program: its memory says nothing about that, and it does not survive garbage

    def __init__(self, index, options):
        self.index = index
        self.options = options
        self.port = 10666 + index
        self.processes = {"a": [], "b": []}
        self._peaks = {"a": 0.0, "b": 0.0}  # of the processes that were restarted since
        self.facts = {}

    def inner(self, end):
        return f"10.66.{self.index}.{end.number}"

    def device(self, end):
        # wireguard-go's control sockets lie in one directory for all namespaces: hence the process ID
        return f"jb{os.getpid() % 10**7}-{self.index}{end.letter}"

    def missing(self):
        """Why this contender cannot take part, or None."""
        if self.program and not shutil.which(self.program):
            return f"{self.program} is not there (Debian: apt-get install {self.package}; or --install)"
        return None

    def version(self):
        return ""

    def start(self, lab):
        """Brings both ends up; the tunnel need not be usable yet."""
        raise NotImplementedError

    def stop_end(self, lab, letter):
        if self.alive():
            self._peaks[letter] = max(self._peaks[letter], self._peak(letter))
        while self.processes[letter]:
            lab.stop(self.processes[letter].pop())

    def stop(self, lab):
        for letter in self.processes:
            self.stop_end(lab, letter)

    # ---- for subclasses ----

    def spawn(self, lab, end, *args, env=None):
        log = lab.directory / f"{self.name}-{end.letter}.log"
        self.processes[end.letter].append(lab.spawn(end, *args, log=log, env=env))

    def last_words(self, lab):
        lines = []
        for end in lab.ends:
            log = lab.directory / f"{self.name}-{end.letter}.log"
            text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            lines += [f"{end.letter}: {line}" for line in text[-3:]]
        return "; ".join(lines) or "its log is empty"

    def set_address(self, lab, end):
        lab.ip(end, "address", "add", f"{self.inner(end)}/24", "dev", self.device(end))
        lab.ip(end, "link", "set", "dev", self.device(end), "mtu", str(TUNNEL_MTU), "up")

    def wait_device(self, lab, end):
        wait_for(lambda: lab.has_device(end, self.device(end)) or not self.alive(), f"{self.device(end)} of {self.name}")
        if not self.alive():
            raise BenchError(f"{self.name} has ended: {self.last_words(lab)}")

    # ---- for the measures ----

    def pids(self):
        return [p.pid for processes in self.processes.values() for p in processes]

    def alive(self):
        return all(p.poll() is None for processes in self.processes.values() for p in processes)

    def cpu_seconds(self):
        return cpu_seconds(self.pids())

    def is_worn(self, lab):
        """Has it used up something, so that it has to be started again before the next measurement of speed?"""
        return False

    def pad_used(self, lab):
        """Bytes of one-time pad used so far, by both ends; None: it has none."""

    def peak_rss_mib(self):
        """Of the bigger end."""
        return max(max(self._peaks[letter], self._peak(letter)) for letter in self.processes)

    def _peak(self, letter):
        return sum(peak_rss_mib(p.pid) for p in self.processes[letter])

    def first_byte_ms(self, lab):
        """Milliseconds from starting one end to the first answer through the tunnel; None: not offered."""

    def handshakes_per_second(self, lab):
        """Complete handshakes a second of one core, both sides' work; None: not offered."""


class Raw(Contender):
    """No tunnel: what the veth pair carries."""
    name = "raw"
    is_tunnel = False

    def inner(self, end):
        return end.outer

    def device(self, end):
        return end.veth

    def start(self, lab):
        pass


class Limit(Contender):
    """The forwarder with offloads and without crypto: the machine's ceiling for a TUN in user space."""
    name = "limit"
    flags = ()
    needs_offloads = True

    def start(self, lab):
        for end, other in (lab.ends, lab.ends[::-1]):
            self.spawn(lab, end, self.options.tool("limit"), *self.flags, "-i", self.device(end),
                       "-l", f"{end.outer}:{self.port}", "-r", f"{other.outer}:{self.port}")
            self.wait_device(lab, end)
            self.set_address(lab, end)


class LimitChacha(Limit):
    name = "limit-chacha"
    flags = ("-k",)


class LimitAes(Limit):
    name = "limit-aes"
    flags = ("-g",)


class WireguardGo(Contender):
    """The newest of Debian: the one in Debian 12 has no offloads and would be no yardstick."""
    name = "wireguard-go"
    package = "wireguard-tools"
    program = "wg"
    needs_offloads = True

    def _binary(self):
        return self.options.peers / "wireguard-go-sid/usr/bin/wireguard-go"

    def missing(self):
        if not self._binary().exists():
            get = pathlib.Path(__file__).parents[1] / "get-peers"
            done = subprocess.run([get, self.options.peers], capture_output=True, text=True, check=False)
            if done.returncode:
                return f"bench/get-peers failed: {done.stderr.strip()[-200:]}"
        return super().missing()

    def version(self):
        return (self.options.peers / "wireguard-go-sid/VERSION").read_text().strip()

    def start(self, lab):
        keys = {}
        for end in lab.ends:
            private = lab.run(None, "wg", "genkey")
            keyfile = lab.directory / f"wg-{end.letter}.key"
            keyfile.touch(0o600)
            keyfile.write_text(private)
            keys[end] = keyfile, lab.run(None, "wg", "pubkey", text_in=private).strip()
        for end, other in (lab.ends, lab.ends[::-1]):
            self.spawn(lab, end, self._binary(), "-f", self.device(end), env={"LOG_LEVEL": "error"})
            self.wait_device(lab, end)
            control = pathlib.Path(f"/var/run/wireguard/{self.device(end)}.sock")
            wait_for(control.exists, f"{control.name} of wireguard-go")
            lab.run(end, "wg", "set", self.device(end), "listen-port", self.port, "private-key", keys[end][0],
                    "peer", keys[other][1], "allowed-ips", f"{self.inner(other)}/32", "endpoint",
                    f"{other.outer}:{self.port}")
            self.set_address(lab, end)


class OpenVpn(Contender):
    """One TLS peer at each end, by certificate fingerprint; without the kernel module (DCO)."""
    package = "openvpn"
    program = "openvpn"
    cipher = ""

    def missing(self):
        return super().missing() or (None if shutil.which("openssl") else "openssl is not there (for its certificates)")

    def version(self):
        # exit status 1, of all things
        done = subprocess.run(["openvpn", "--version"], capture_output=True, text=True, check=False)
        return done.stdout.split()[1]

    def _certificate(self, lab, end):
        base = lab.directory / f"{self.name}-{end.letter}"
        lab.run(None, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-nodes",
                "-sha256", "-days", "2", "-subj", f"/CN={end.letter}", "-keyout", f"{base}.key", "-out", f"{base}.crt")
        text = lab.run(None, "openssl", "x509", "-in", f"{base}.crt", "-noout", "-fingerprint", "-sha256")
        return base, text.strip().partition("=")[2]

    def start(self, lab):
        certificates = {end: self._certificate(lab, end) for end in lab.ends}
        for end, other in (lab.ends, lab.ends[::-1]):
            base = certificates[end][0]
            role = ("--tls-server", "--dh", "none") if end is lab.a else ("--tls-client",)
            self.spawn(lab, end, "openvpn", *role, "--dev-type", "tun", "--dev", self.device(end), "--proto", "udp4",
                       "--local", end.outer, "--port", self.port, "--remote", other.outer, "--cert", f"{base}.crt",
                       "--key", f"{base}.key", "--peer-fingerprint", certificates[other][1], "--cipher", self.cipher,
                       "--data-ciphers", self.cipher, "--disable-dco", "--tun-mtu", TUNNEL_MTU, "--mssfix", "0",
                       "--ifconfig", self.inner(end), self.inner(other), "--auth-nocache", "--verb", "1", "--mute", "5")
        for end in lab.ends:
            self.wait_device(lab, end)


class OpenVpnChacha(OpenVpn):
    name = "openvpn-chacha"
    cipher = "CHACHA20-POLY1305"


class OpenVpnAes(OpenVpn):
    name = "openvpn-aes"
    cipher = "AES-256-GCM"


class Fastd(Contender):
    """Its fastest authenticated method; a single-threaded program with a system call a packet."""
    name = "fastd"
    package = "fastd"
    program = "fastd"

    def version(self):
        return subprocess.run(["fastd", "--version"], capture_output=True, text=True, check=False).stdout.split()[-1]

    def start(self, lab):
        keys = {}
        for end in lab.ends:
            secret = lab.run(None, "fastd", "--generate-key", "--machine-readable").strip()
            public = lab.run(None, "fastd", "--config", "-", "--show-key", "--machine-readable",
                             text_in=f'secret "{secret}";\n').strip()
            keys[end] = secret, public
        for end, other in (lab.ends, lab.ends[::-1]):
            config = lab.directory / f"fastd-{end.letter}.conf"
            config.touch(0o600)
            config.write_text(f'mode tun;\nmethod "salsa2012+umac";\nmtu {TUNNEL_MTU};\nlog level warn;\n'
                              f'interface "{self.device(end)}";\nbind {end.outer}:{self.port};\n'
                              f'secret "{keys[end][0]}";\npeer "other" {{\n\tkey "{keys[other][1]}";\n'
                              f'\tremote {other.outer}:{self.port};\n}}\n')
            self.spawn(lab, end, "fastd", "--config", config)
            self.wait_device(lab, end)
            self.set_address(lab, end)


class Jorm(Contender):
    """This program, size buckets on. End a has the endpoint and initiates."""
    cipher = ""

    def device(self, end):
        return f"jb{self.index}{end.letter}"

    def missing(self):
        return None if self.options.jorm.exists() else f"{self.options.jorm} is not built (scripts/build release, or --jorm)"

    def version(self):
        done = subprocess.run([self.options.jorm, "--version"], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def _make_key(self, lab, end):
        directory = lab.directory / f"{self.name}-{end.letter}"
        directory.mkdir(mode=0o700, exist_ok=True)
        private = directory / "snek-cert.priv"
        if private.exists():
            said = lab.run(None, self.options.jorm, "keyid", directory / "snek-cert.pub")
        else:
            said = lab.run(None, self.options.jorm, "keygen", directory)
        key_id = re.search(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}=", said)
        if not key_id:
            raise BenchError(f"jorm prints no key ID: {said.strip()[-200:]}")
        return private, key_id[0]

    def _up(self, lab, end):
        self.spawn(lab, end, self.options.jorm, "up", lab.directory / f"{self.name}-{end.letter}.conf", "--foreground")

    def _private_lines(self, lab, end):
        """Of a section [interface], besides what all have."""
        return [f"PrivateKey = {self._make_key(lab, end)[0]}", f"Cipher = {self.cipher}"]

    def _peer_lines(self, lab, end, other):
        return [f"KeyID = {self._make_key(lab, other)[1]}"]

    def _socket(self, lab, end):
        return lab.directory / f"{self.name}-{end.letter}.sock"

    def start(self, lab):
        for end, other in (lab.ends[::-1], lab.ends):
            lines = ["[interface]", f"Name = {self.device(end)}", f"Listen = {self.port}", f"Address = {self.inner(end)}/24",
                     "Padding = buckets", f"ControlSocket = {self._socket(lab, end)}", *self._private_lines(lab, end), "",
                     "[peer other]", f"AllowedIPs = {self.inner(other)}/32", *self._peer_lines(lab, end, other)]
            if end is lab.a:
                lines.append(f"Endpoint = {other.outer}:{self.port}")
            config = lab.directory / f"{self.name}-{end.letter}.conf"
            config.write_text("\n".join(lines) + "\n")
            self._up(lab, end)
            self.wait_device(lab, end)

    def first_byte_ms(self, lab):
        """From the start of the initiating daemon: reading keys, making the device, handshake, first packet."""
        self.stop_end(lab, "a")
        blast, target = self.options.tool("udpblast"), f"{self.inner(lab.b)}:6999"
        echo = lab.spawn(lab.b, blast, "echo", target, pipe=True)
        try:
            echo.stdout.readline()
            self._up(lab, lab.a)
            return float(lab.run(lab.a, blast, "first", target, "-t", 10, timeout=15))
        finally:
            lab.stop(echo)

    def handshakes_per_second(self, lab):
        program = self.options.build / "bench/handshake"
        return float(lab.run(None, program).split()[0]) if program.exists() else None


class JormAes(Jorm):
    name = "jorm-aes"
    cipher = "aes-256-gcm"


class JormChacha(Jorm):
    name = "jorm-chacha"
    cipher = "chacha20-poly1305"


class JormPad(Jorm):
    """With a pad on the local disk, from which both ends read. A pad is made once for all rounds; where too little of it
    is left, both ends forget that they have used it, which nobody may do whose secrets matter, and the kernel forgets
    what it has read."""
    cipher = "aes-256-gcm"
    protection = ""

    def _pad(self, lab, end):
        return lab.disk / f"{self.name}-{end.letter}.pad"

    def _state(self, lab, end):
        return lab.directory / f"{self.name}-{end.letter}.state"

    def _private_lines(self, lab, end):
        keys = [] if self.protection == "otp" else super()._private_lines(lab, end)
        return [*keys, f"StateDirectory = {self._state(lab, end)}"]

    def _peer_lines(self, lab, end, other):
        keys = [] if self.protection == "otp" else super()._peer_lines(lab, end, other)
        return [*keys, f"Protection = {self.protection}", f"Pad = {self._pad(lab, end)}"]

    def _make_pads(self, lab):
        size, source = str(self.options.pad_size), ()
        for end in lab.ends:
            if not self._pad(lab, end).exists():
                lab.run(None, self.options.jorm, "pad", "new", self._pad(lab, end), "--size", size, *source, timeout=600)
            source = "--source", self._pad(lab, end)

    def start(self, lab):
        self._make_pads(lab)
        for end in lab.ends:
            shutil.rmtree(self._state(lab, end), ignore_errors=True)
            with open(self._pad(lab, end), "rb") as pad:
                os.posix_fadvise(pad.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        super().start(lab)

    def _status(self, lab, end):
        said = lab.run(end, self.options.jorm, "status", self._socket(lab, end), "--json")
        return json.loads(said)["peers"][0]["pad"]

    def is_worn(self, lab):
        return any(self._status(lab, end)["left"] < 0.45 * self.options.pad_size for end in lab.ends)

    def pad_used(self, lab):
        return sum(self._status(lab, end)["sent"] for end in lab.ends)


class JormOtp(JormPad):
    name = "jorm-otp"
    protection = "otp"


class JormPqOtp(JormPad):
    name = "jorm-pq+otp"
    protection = "pq+otp"

