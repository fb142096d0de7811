"""Two network namespaces joined by a veth pair, and the processes in them.

        end a  198.18.0.1 ----- veth, MTU 1500 ----- 198.18.0.2  end b

All traffic stays inside. Names carry the process ID, so that several runs can share a machine.
Whatever was made is taken away by close(), and only that: processes are ended one by one.
"""

import atexit
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """A measurement or a set-up that did not work; the text says why."""


def _die_with_parent():
    """In the child: no VPN process outlives a harness that was killed the hard way."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class End:
    def __init__(self, letter, number):
        self.letter = letter
        self.number = number  # last byte of its addresses
        self.namespace = f"jormbench-{os.getpid()}-{letter}"
        self.outer = f"198.18.0.{number}"
        self.veth = f"veth{letter}"


class Lab:
    def __init__(self, mtu=1500, disk="/var/tmp"):
        self.a, self.b = End("a", 1), End("b", 2)
        self.ends = (self.a, self.b)
        self.mtu = mtu
        self._directory = tempfile.TemporaryDirectory(prefix="jormbench-")
        self.directory = pathlib.Path(self._directory.name)
        self._disk_parent = disk
        self._disk = None
        self._children = []
        self._namespaces = []

    @property
    def disk(self):
        """A folder for large files."""
        if self._disk is None:
            self._disk = tempfile.TemporaryDirectory(prefix="jormbench-", dir=self._disk_parent)
        return pathlib.Path(self._disk.name)

    @staticmethod
    def _sweep():
        """Namespaces of runs that were killed the hard way: their processes have died with them."""
        for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
            left = re.fullmatch(r"jormbench-(\d+)-[ab]", name)
            if left and not os.path.exists(f"/proc/{left[1]}"):
                subprocess.run(["ip", "netns", "del", name], check=False)

    def open(self):
        self._sweep()
        for end in self.ends:
            self._namespaces.append(end)
            self.run(None, "ip", "netns", "add", end.namespace)
            self.run(None, "ip", "-n", end.namespace, "link", "set", "lo", "up")
        self.run(None, "ip", "link", "add", self.a.veth, "mtu", str(self.mtu), "netns", self.a.namespace, "type", "veth",
                 "peer", "name", self.b.veth, "mtu", str(self.mtu), "netns", self.b.namespace)
        for end in self.ends:
            self.ip(end, "address", "add", f"{end.outer}/24", "dev", end.veth)
            self.ip(end, "link", "set", end.veth, "up")

    def close_at_exit(self):
        """Whatever ends the program, a signal included."""
        atexit.register(self.close)
        for number in SIGNALS:
            signal.signal(number, lambda n, _: sys.exit(128 + n))

    def close(self):
        """Safe to call twice, and after a half-done open()."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the tidying up
        for child in reversed(self._children):
            self.stop(child)
        while self._namespaces:
            end = self._namespaces.pop()
            subprocess.run(["ip", "netns", "del", end.namespace], stderr=subprocess.DEVNULL, check=False)
        self._directory.cleanup()
        if self._disk:
            self._disk.cleanup()

    # ---- processes ----

    @staticmethod
    def _inside(end, args):
        args = [str(a) for a in args]
        return args if end is None else ["ip", "netns", "exec", end.namespace, *args]

    def run(self, end, *args, timeout=30, text_in=None):
        """A short command; its standard output. Everything but exit status 0 is a BenchError."""
        try:
            done = subprocess.run(self._inside(end, args), input=text_in, capture_output=True, text=True, timeout=timeout,
                                  check=False, preexec_fn=_die_with_parent)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{args[0]}: no end after {timeout} s") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-400:]
            raise BenchError(f"{' '.join(map(str, args[:4]))} ...: exit status {done.returncode}: {said}")
        return done.stdout

    def ip(self, end, *args):
        return self.run(None, "ip", "-n", end.namespace, *args)

    def ip_json(self, end, *args):
        return json.loads(self.run(None, "ip", "-n", end.namespace, "-s", "-d", "-j", *args))[0]

    def spawn(self, end, *args, log=None, pipe=False, env=None):
        """A process that stays. `ip netns exec` becomes the program: the child's ID is the program's."""
        out = subprocess.PIPE if pipe else open(log, "ab") if log else subprocess.DEVNULL
        try:
            child = subprocess.Popen(self._inside(end, args), stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.DEVNULL if pipe else subprocess.STDOUT, text=True,
                                     env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent)
        finally:
            if log and not pipe:
                out.close()
        self._children.append(child)
        return child

    def stop(self, child, patience=3):
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(patience)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child.stdout:
            child.stdout.close()
        if child in self._children:
            self._children.remove(child)

    # ---- what is there ----

    def has_device(self, end, device):
        return subprocess.run(["ip", "-n", end.namespace, "link", "show", "dev", device], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def counters(self, end, device):
        """(bytes, packets) received and sent by a device; a segmented super-packet counts once."""
        s = self.ip_json(end, "link", "show", "dev", device)["stats64"]
        return s["rx"]["bytes"] + s["tx"]["bytes"], s["rx"]["packets"] + s["tx"]["packets"]


def wait_for(condition, what, timeout=10.0, step=0.02):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"waited {timeout:g} s for {what}")
        time.sleep(step)


def listens(pid, port):
    """Does a TCP socket in that process's namespace listen on the port?"""
    pattern = re.compile(rf":{port:04X} \S+ 0A ")
    return any(pattern.search(pathlib.Path(f"/proc/{pid}/net/{f}").read_text()) for f in ("tcp", "tcp6"))


def cpu_seconds(pids):
    """User and system time of processes, all their threads included, also those that have ended."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_rss_mib(pid):
    found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def machine_times():
    """(busy, stolen, all) CPU seconds of the machine since it started."""
    t = [int(x) / TICKS for x in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(t) - t[3] - t[4], t[7], sum(t)
