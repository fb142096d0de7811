"""What a full tunnel needs around it: a network behind the server that knows nothing of the tunnel's addresses."""

import json
import signal
import subprocess

import wait
from leaks import FAR
from server import WebAndNames

ALL = {"AllowedIPs": "0.0.0.0/0, ::/0"}
# The addresses of the host behind the server, by family.
SITE = {4: "10.2.1.2", 6: "fd02:1::2"}
FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


def forwarding(host):
    """Both families' switches."""
    return [int(host.run("sysctl", "-n", name).stdout) for name in FORWARDING]


def set_forwarding(host, value):
    host.run("sysctl", "-qw", *(f"{name}={value}" for name in FORWARDING))


def add_internet(lab):
    """A host behind the server without a way back to the tunnel's addresses: what comes from them is not answered
    unless the server masquerades. The server forwards nothing of its own accord."""
    host = lab.add_behind(lab.server)
    host.ip("route del default\nroute add 10.1.0.0/16 via 10.2.1.1\n")
    host.run("ip", "-6", "route", "del", "default")
    set_forwarding(lab.server, 0)
    return host


def services(lab, host):
    """Its web server, with /file, and its name server."""
    folder = lab.folder / "www"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_bytes(b"page" * 5000)
    return WebAndNames(host, folder)


def rules(host, family):
    """The policy rules besides the kernel's own: (priority, text)."""
    lines = host.run("ip", f"-{family}", "rule").stdout.splitlines()
    split = [line.split(":\t") for line in lines]
    return [(int(number), text.strip()) for number, text in split if int(number) not in (0, 32766, 32767)]


def tables(host):
    """The names of nftables' tables."""
    shown = json.loads(host.run("nft", "-j", "list", "tables").stdout)["nftables"]
    return {item["table"]["name"] for item in shown if "table" in item}


def kill_switch(host):
    return any(name.startswith("jorm_kill_") for name in tables(host))


def switches(host):
    """Everything of /proc/sys/net that a tunnel may change, by file."""
    shown = host.run("sh", "-c", "grep -H . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv[46]/conf/*/forwarding "
                     "/proc/sys/net/ipv6/conf/*/accept_ra /proc/sys/net/ipv4/conf/all/src_valid_mark").stdout  # fmt: skip
    return {line.rsplit(":", 1)[0]: line.rsplit(":", 1)[1] for line in shown.splitlines() if "/tun" not in line}


def marks(host):
    """All that a tunnel changes on its host, to be compared with what was before: addresses and links are test_cleanup's."""
    routes = [host.run("ip", f"-{family}", "route", "show", "table", "all").stdout.splitlines() for family in (4, 6)]
    kept = [sorted(line.strip() for line in lines if "cache" not in line and "ff00::" not in line) for lines in routes]
    return {
        "rules": rules(host, 4) + rules(host, 6), "tables": tables(host), "switches": switches(host),
        "links": host.links(), "routes": kept,
    }  # fmt: skip


def helper_of(program):
    """The process that stays outside the sandbox."""
    pid = program.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return int(children.read().split()[0])


class Names:
    """A name server outside: dnsmasq at FAR, in the middle. A context manager."""

    def __init__(self, lab):
        self.lab, self.hosts, self.log = lab, lab.folder / "names", lab.folder / "dnsmasq.log"
        self.hosts.write_text("")

    def __enter__(self):
        self.lab.middle.ip("\n".join(f"addr add {address} dev lo" for address in FAR.values()))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.lab.middle.command(
                    "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                    "--pid-file=", "--log-facility=-", "--log-queries", "--bind-interfaces", "--local=/test/",
                    f"--listen-address={FAR[4]},{FAR[6]}", f"--addn-hosts={self.hosts}",
                ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait.until(lambda: "read " in self.asked(), "dnsmasq has started")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def set(self, name, address):
        self.hosts.write_text(f"{address} {name}\n")
        seen = self.asked().count("read ")
        self.process.send_signal(signal.SIGHUP)
        wait.until(lambda: self.asked().count("read ") > seen, "dnsmasq has read the name")

    def asked(self):
        """Its log."""
        return self.log.read_text()
