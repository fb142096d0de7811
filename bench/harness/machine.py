"""The machine: what must be there, what it is, and the helper programs compiled for it."""

import argparse
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

from .field import CONTENDERS
from .lab import BenchError, machine_times

HERE = pathlib.Path(__file__).resolve().parents[1]
ROOT = HERE.parent


class Options(argparse.Namespace):
    """The command line, and where the helper programs are."""

    def tool(self, name):
        """limit and udpblast: the build's when it is up to date, else compiled here, so that the other
        contenders can be measured without building jorm."""
        source = HERE / f"{name}.c"
        for program in (self.build / "bench" / name, ROOT / ".deps/bench" / name):
            if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
                return program
        program.parent.mkdir(parents=True, exist_ok=True)
        pkgconfig = {**os.environ, "PKG_CONFIG_PATH": str(ROOT / ".deps/libcrypto/lib/pkgconfig")}
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "--static", "libcrypto"], capture_output=True, text=True,
                               env=pkgconfig, check=False).stdout.split() or ["-lcrypto"]
        compiler = os.environ.get("CC", "cc")
        done = subprocess.run([compiler, "-std=c2x", "-D_GNU_SOURCE", "-O3", "-o", program, source, *flags, "-pthread"], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise BenchError(f"{compiler} {name}.c: {done.stderr.strip()[-600:]}")
        return program


PACKAGES = {"iperf3": "iperf3", "ip": "iproute2", "ping": "iputils-ping", "gnuplot": "gnuplot-nox", "cc": "gcc"}


def install_packages():
    wanted = {**PACKAGES, **{c.program: c.package for c in CONTENDERS.values() if c.program}}
    packages = [package for program, package in wanted.items() if not shutil.which(program)]
    if packages:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=True, env=environment)


def check_machine():
    if os.geteuid():
        sys.exit("this makes network namespaces and devices: run it as root")
    for program in ("iperf3", "ip", "ping"):
        if not shutil.which(program):
            sys.exit(f"{program} is not there: apt-get install {PACKAGES[program]} (or bench/run --install)")
    if not os.path.exists("/dev/net/tun"):
        sys.exit("no /dev/net/tun: modprobe tun; in a container it must be passed in")


def machine_notes():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    compiler = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=False)
    iperf = subprocess.run(["iperf3", "--version"], capture_output=True, text=True, check=False)
    return [f"Kernel {platform.release()}, {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
            f"{(compiler.stdout.splitlines() or ['no compiler'])[0]}, {' '.join(iperf.stdout.split()[:2])}",
            "Two namespaces joined by veth (MTU 1500); both ends, iperf3 and the datagram source share the machine"]


def idle_note():
    """Figures from a machine that does something else are worthless: say so."""
    busy, _, total = machine_times()
    time.sleep(1)
    busy_after, _, total_after = machine_times()
    share = (busy_after - busy) / max(total_after - total, 0.01)
    if share > 0.1:
        return f"**The machine was not idle before the run ({share:.0%} busy): these figures mean little**"
    return f"{share:.0%} of the machine was busy before the run"
