"""A network of namespaces on this machine, and the program running in it.

     client (host 2)                        middle                          server (host 1)
    +------------------+            +--------------------+            +------------------+
    | tun  10.66.0.2   |            |                    |            | tun  10.66.0.1   |
    |      fd66::2     |            |  routes, and does  |            |      fd66::1     |
    |                  |            |  to packets what   |            |                  |
    | eth0 10.1.2.2    |------------|h2    a test    h1  |------------| eth0 10.1.1.2    |
    |      fd01:2::2   |  10.1.2.1  |       wants        |  10.1.1.1  |      fd01:1::2   |
    +------------------+  fd01:2::1 +--------------------+  fd01:1::1 +------------------+
             |                                |                                |
        (behind: a host              (hosts 3, 4 ...: 10.1.3.2,           (behind: a host
         10.2.2.2, fd02:2::2)         10.66.0.3, as clients 2, 3 ...)      10.2.1.2, fd02:1::2)

Names carry this process's number, so that runs do not meet. Everything made here is removed by
Lab.close, in the opposite order, whatever happened in between.
"""

import contextlib
import ctypes
import fcntl
import ipaddress
import itertools
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

from program import Program, identity

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NUMBERS = itertools.count(1)


def run(*arguments, check=True, text=None, seconds=60):
    """A command to its end; its output is in the message when it fails."""
    done = subprocess.run(
        [str(a) for a in arguments], input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def enter(fd):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        # No second of duplicate address detection, in which a neighbour cannot be asked for.
        self.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
        self.ip("link set lo up")

    def close(self):
        run("ip", "netns", "del", self.name, check=False)
        shutil.rmtree(f"/etc/netns/{self.name}", ignore_errors=True)

    def ip(self, lines):
        """Lines for ip -batch."""
        run("ip", "-n", self.name, "-batch", "-", text=lines + "\n")

    def nft(self, rules):
        self.run("nft", "-f", "-", text=rules)

    def command(self, *arguments):
        return ["ip", "netns", "exec", self.name, *map(str, arguments)]

    def run(self, *arguments, **options):
        return run(*self.command(*arguments), **options)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace; sockets made here stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            enter(there)
            yield
        finally:
            enter(before)
            os.close(before)
            os.close(there)

    def socket(self, *arguments):
        with self.inside():
            return socket.socket(*arguments)

    def finish_checksums(self, link):
        """Checksums are computed here before packets leave through `link`, as for a simple network card.
        (Between namespaces the kernel would leave them out altogether.)"""
        siocethtool, ethtool_stxcsum = 0x8946, 0x17
        value = (ctypes.c_uint32 * 2)(ethtool_stxcsum, 0)
        request = struct.pack("16sP16x", link.encode(), ctypes.addressof(value))
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, siocethtool, request)

    def links(self):
        """The names of the network interfaces."""
        with self.inside():
            return {name for _, name in socket.if_nameindex()}


class Host(Namespace):
    """A namespace with one link to the middle."""

    def __init__(self, name, number):
        super().__init__(name)
        self.number = number

    def outer(self, family):
        return f"10.1.{self.number}.2" if family == 4 else f"fd01:{self.number}::2"

    def inner(self, family):
        return f"10.66.0.{self.number}" if family == 4 else f"fd66::{self.number}"

    def move(self, family, last=77):
        """Another address for eth0, as after changing to another network."""
        n = self.number
        if family == 4:
            self.ip(f"addr flush dev eth0 scope global\naddr add 10.1.{n}.{last}/24 dev eth0\nroute add default via 10.1.{n}.1")
            return f"10.1.{n}.{last}"
        self.ip(f"addr flush dev eth0 scope global\naddr add fd01:{n}::{last}/64 dev eth0 nodad")
        self.ip(f"route replace default via fd01:{n}::1")
        return f"fd01:{n}::{last}"

    def use_names(self, servers, domains):
        """/etc/resolv.conf of a host, for what is started from now on."""
        folder = pathlib.Path(f"/etc/netns/{self.name}")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"nameserver {server}" for server in servers] + [f"search {' '.join(domains)}"]
        (folder / "resolv.conf").write_text("\n".join(lines) + "\n")

    def link_in_middle(self):
        return f"h{self.number}"


class Lab:
    """The middle, a server and a client; no program runs yet."""

    def __init__(self):
        self.tag = f"jt{os.getpid()}-{next(NUMBERS)}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="jorm-"))
        self.closing = contextlib.ExitStack()
        self.closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.programs = []
        try:
            self.middle = Namespace(f"{self.tag}-m")
            self.closing.callback(self.middle.close)
            self.middle.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            self.server = self.join("server", 1)
            self.client = self.join("client", 2)
        except BaseException:
            self.close()
            raise

    def describe(self):
        return "\n".join(program.describe() for program in self.programs)

    def close(self):
        """Ends the programs and removes everything, then complains of what must not have happened."""
        for program in self.programs:
            program.end()
        self.closing.close()
        complaints = [text for program in self.programs for text in program.complaints()]
        assert not complaints, "\n".join(complaints)

    def join(self, name, number):
        host = Host(f"{self.tag}-{name}", number)
        self.closing.callback(host.close)
        link = host.link_in_middle()
        self.middle.ip(
            f"link add {link} type veth peer name eth0 netns {host.name}\n"
            f"addr add 10.1.{number}.1/24 dev {link}\n"
            f"addr add fd01:{number}::1/64 dev {link} nodad\n"
            f"link set {link} up"
        )
        host.ip(
            f"addr add 10.1.{number}.2/24 dev eth0\n"
            f"addr add fd01:{number}::2/64 dev eth0 nodad\n"
            "link set eth0 up\n"
            f"route add default via 10.1.{number}.1\n"
            f"route add default via fd01:{number}::1"
        )
        return host

    def clients(self, count):
        """Hosts 2, 3, ...: the client and as many more as it takes."""
        return [self.client] + [self.join(f"client{number}", number + 1) for number in range(2, count + 1)]

    def add_behind(self, host):
        """A host that reaches the world only through `host`."""
        n = host.number
        behind = Namespace(f"{host.name}-b")
        self.closing.callback(behind.close)
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        host.ip(
            f"link add lan type veth peer name eth0 netns {behind.name}\n"
            f"addr add 10.2.{n}.1/24 dev lan\naddr add fd02:{n}::1/64 dev lan nodad\nlink set lan up"
        )
        behind.ip(
            f"addr add 10.2.{n}.2/24 dev eth0\naddr add fd02:{n}::2/64 dev eth0 nodad\nlink set eth0 up\n"
            f"route add default via 10.2.{n}.1\nroute add default via fd02:{n}::1"
        )
        return behind

    def cut_outside(self):
        """Each datagram crosses the middle alone, as on a cable. (Between namespaces the kernel would
        pass dozens as one buffer, and a rule that drops one would drop them all.)"""
        for host in (self.server, self.client):
            host.ip("link set eth0 gso_max_segs 1")

    def set_mtu(self, host, mtu):
        host.ip(f"link set eth0 mtu {mtu}")
        self.middle.ip(f"link set {host.link_in_middle()} mtu {mtu}")

    def name_hosts(self, host, names):
        """/etc/hosts of a host, for what is started from now on or looks again."""
        folder = pathlib.Path(f"/etc/netns/{host.name}")
        folder.mkdir(parents=True, exist_ok=True)
        # In place: the file is mounted over /etc/hosts of what runs already.
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in names.items()))

    # ---- the program ----

    def program(self, host, peers, name="tun", algorithm="ml-dsa-65", **interface):
        """A configuration for `host`, not started. `peers`: sections, as peer() makes them; a setting that is
        None is left out."""
        settings = {
            "PrivateKey": identity(host.number, algorithm).private,
            "Name": name,
            "Address": f"10.66.0.{host.number}/24, fd66::{host.number}/64",
        }
        program = Program(self.folder, host, f"{name}{host.number}", settings | interface, peers)
        self.programs.append(program)
        return program

    def peer(self, host, to=None, algorithm="ml-dsa-65", port=10666, **settings):
        """The section of a peer; `to`: 4 or 6, the family by which it is called."""
        section = {
            "KeyID": identity(host.number, algorithm).key_id,
            "AllowedIPs": f"10.66.0.{host.number}/32, fd66::{host.number}/128",
        }
        if to:
            section["Endpoint"] = endpoint(host.outer(to), port)
        return section | settings

    def pair(self, family=4, both=None, server=None, client=None, to_server=None, to_client=None):
        """Server and client, started, with a session between them."""
        both = both or {}
        one = self.program(
            self.server, [self.peer(self.client, **(to_client or {}))], **{"Listen": "10666"} | both | (server or {})
        )
        two = self.program(self.client, [self.peer(self.server, family, **(to_server or {}))], **both | (client or {}))
        one.start()
        two.start()
        two.wait_for_session()
        one.wait_for_session()
        return one, two


def endpoint(address, port):
    return f"[{address}]:{port}" if ipaddress.ip_address(address).version == 6 else f"{address}:{port}"


class Job(threading.Thread):
    """A function on a thread; result() returns what it returned, or raises what it raised."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.function(*self.arguments)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def result(self, seconds=90):
        self.join(seconds)
        assert not self.is_alive(), f"{self.function.__name__} does not end"
        if self.error:
            raise self.error
        return self.value
