"""A server with many clients: it knows their keys from a folder, and they have the addresses that it gives them."""

import contextlib
import http.client
import ipaddress
import json
import shutil
import socket
import subprocess
import sys

import wait
from lab import Job
from program import Connection, identity
from traffic import answers

# The machine's own resolver is out of this program's sight: what a server hands out must not get there.
NO_RESOLVER = [
    "unshare", "-m", "sh", "-c",
    "[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd; for f in /usr/sbin/resolvconf /usr/bin/resolvconf; do "
    '[ ! -e "$f" ] || mount --bind /dev/null "$f"; done; exec "$@"', "sh",
]  # fmt: skip


class Server:
    """Host 1, and the hosts 2, 3, ... that it knows as c2, c3, ...; `sections`: [peer] sections besides the folder."""

    def __init__(self, lab, clients=5, sections=(), **interface):
        self.lab, self.host = lab, lab.server
        self.keys = lab.folder / "keys"
        self.keys.mkdir()
        self.hosts = lab.clients(clients)
        for host in self.hosts:
            self.authorize(host)
        settings = {"Listen": "10666", "AuthorizedKeys": self.keys, "Pool": "10.66.0.0/24, fd66::/64"}
        self.program = lab.program(lab.server, list(sections), **settings | interface)
        self.clients = [self.client(host) for host in self.hosts]

    def authorize(self, host, name=None):
        """A file in the folder; returns its path."""
        path = self.keys / f"{name or self.name_of(host)}.pub"
        shutil.copy(identity(host.number).public, path)
        return path

    @staticmethod
    def name_of(host):
        return f"c{host.number}"

    def client(self, host, peer=None, **interface):
        """A configuration without any address, not started; every second one calls over IPv6."""
        section = self.lab.peer(self.host, 4 if host.number % 2 == 0 else 6, AllowedIPs=None)
        program = self.lab.program(host, [section | (peer or {})], **{"Address": None} | interface)
        program.wrapper = NO_RESOLVER
        return program

    def start(self, *clients):
        """The server and these clients, or all; returns when all have sessions and addresses."""
        self.program.start()
        for client in clients or self.clients:
            client.start()
        for client in clients or self.clients:
            self.wait_for(client)

    def wait_for(self, client, seconds=30):
        client.wait_for_session(0, seconds)
        wait.until(lambda: set() < given(client) <= links_addresses(client), f"{client.name} has its addresses", seconds)

    def wake(self, client, seconds=45):
        """After the server was away: somebody there wants something from it."""
        wait.until(lambda: answers(client.host, self.host.inner(4)), f"{client.name} is back", seconds)
        self.wait_for(client, seconds)

    def peer(self, host):
        """How the server sees it; None: it does not know it."""
        return self.program.named(self.name_of(host))

    def has_session(self, host):
        peer = self.peer(host)
        return bool(peer) and peer["state"] == "established"

    def change(self, **interface):
        """Other settings in the file; the program does not know of them yet."""
        self.program.interface |= interface
        self.program.write()


def given(client):
    """The addresses that its server has given it, as 10.66.0.2/24."""
    handed_out = client.peer()["given"]
    return set(handed_out["addresses"]) if handed_out else set()


def links_addresses(client, link="tun"):
    """Those of its interface."""
    shown = json.loads(client.host.run("ip", "-j", "addr", "show", "dev", link).stdout)
    return {f"{a['local']}/{a['prefixlen']}" for a in shown[0]["addr_info"] if a["scope"] == "global"}


def inner(client, family):
    """The one of that family, without its length; None: it has none."""
    all_of_them = map(ipaddress.ip_interface, given(client))
    return next((str(address.ip) for address in all_of_them if address.version == family), None)


class Events:
    """Follows /v1/events of a program, a context manager; .all are those that have come."""

    def __init__(self, program):
        self.all = []
        self.connection = Connection(program.socket, timeout=60)
        self.connection.connect()
        self.socket = self.connection.sock  # which it lets go of when the answer is the last one
        self.connection.request("GET", "/v1/events")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.job = Job(self._read)

    def _read(self):
        try:
            while line := self.answer.readline():
                if line.strip():
                    self.all.append(json.loads(line))
        except (OSError, http.client.HTTPException):
            pass  # closed, by us or in the middle of a chunk

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # the daemon has ended
            self.socket.shutdown(socket.SHUT_RDWR)
        self.job.result()
        self.connection.close()

    def wait_for(self, event, peer):
        return wait.until(
            lambda: next((e for e in self.all if e["event"] == event and e.get("peer") == peer), None),
            f"{event} of {peer} is told",
        )


ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print("permission")
    sys.exit()
s.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
data = b""
while more := s.recv(65536):
    data += more
print(data.split(b" ")[1].decode())
"""


def ask_as(path, uid, gid, groups=None):
    """What somebody else gets from a control socket: an HTTP status, or "permission" when he cannot even connect."""
    who = [f"--reuid={uid}", f"--regid={gid}", f"--groups={groups}" if groups else "--clear-groups"]
    done = subprocess.run(
        ["setpriv", *who, sys.executable, "-c", ASK, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


FETCH = """
import hashlib, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(hashlib.sha256(opener.open(sys.argv[1], timeout=30).read()).hexdigest())
"""


def fetch(host, url):
    """The SHA-256 of what a host gets from there."""
    return host.run(sys.executable, "-c", FETCH, url).stdout.strip()


class WebAndNames:
    """On the host behind the server: a web server for the files of a folder, and dnsmasq that knows www.corp.test.
    A context manager."""

    def __init__(self, host, folder):
        self.host, self.folder, self.processes = host, folder, []

    def __enter__(self):
        four, six = "10.2.1.2", "fd02:1::2"
        self._spawn(sys.executable, "-m", "http.server", "80", "--bind", "::", "--directory", self.folder)
        self._spawn(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
            "--pid-file=", "--log-facility=-", "--bind-interfaces", "--local=/corp.test/",
            f"--listen-address={four},{six}", f"--host-record=www.corp.test,{four},{six}",
        )  # fmt: skip
        wait.until(self._listens, "the web server and dnsmasq listen")
        return self

    def _spawn(self, *command):
        self.processes.append(
            subprocess.Popen(
                self.host.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )

    def _listens(self):
        sockets = self.host.run("ss", "-Hlnut").stdout
        return ":80 " in sockets and ":53 " in sockets

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.wait(20)
