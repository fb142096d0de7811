"""A daemon taken over (docs/threat-model.md): what its threads may still do, shown on a daemon that runs.

inject.c makes a thread of it do a system call, as an attacker's code in it would.
"""

import ctypes
import errno
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

import wait
from compat import OtpPair, SnekPair
from program import IS_SANITISED, JORM, identity
from traffic import answers

pytestmark = pytest.mark.skipif(IS_SANITISED, reason="a build with sanitisers has no filter of system calls")

HERE = pathlib.Path(__file__).parent
CAP_NET_ADMIN = 1 << 12
USERS = ["root", "nobody"]


@pytest.fixture(scope="module")
def inject(tmp_path_factory):
    """inject(thread, call, argument ...): the value or minus the errno."""
    if platform.machine() != "x86_64":
        pytest.skip("inject.c is for x86-64")
    program = pathlib.Path(JORM).parent / "tests/net/inject"
    if not program.exists():  # the program was built without its tests
        program = tmp_path_factory.mktemp("inject") / "inject"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-o", program, HERE / "inject.c"], check=True, timeout=60)

    def run(thread, call, *arguments):
        done = subprocess.run(
            [program, str(thread), call, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    return run


def threads(process):
    return sorted(int(name) for name in os.listdir(f"/proc/{process.pid}/task"))


def field(pid, thread, name):
    text = pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text()
    return re.search(rf"^{name}:[ \t]*(.*)$", text, re.M).group(1)


def pair(lab, user, **options):
    lab.folder.chmod(0o711)  # the way to StateDirectory
    return lab.pair(both={"User": user}, **options)


def landlock_version():
    """0: this kernel has none."""
    create_ruleset = 444  # of all architectures
    return max(0, ctypes.CDLL(None).syscall(create_ruleset, None, 0, 1))


# ---- what is tried ---------------------------------------------------------------------------

AT_FDCWD, O_RDONLY, O_RDWR, O_CREAT = -100, os.O_RDONLY, os.O_RDWR, os.O_CREAT
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_PRIVATE_ANONYMOUS = 0x22
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET = 1, 2, 10, 16, 17
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW = 1, 2, 3

FILES = [
    ("openat", AT_FDCWD, "@/etc/shadow", O_RDONLY),
    ("openat", AT_FDCWD, "@/etc/passwd", O_RDONLY),
    ("openat", AT_FDCWD, "@/root", O_RDONLY),
    ("openat", AT_FDCWD, "@/proc/self/mem", O_RDWR),
    ("openat", AT_FDCWD, "@/proc/1/environ", O_RDONLY),
    ("openat", AT_FDCWD, "@/dev/net/tun", O_RDWR),
    ("openat", AT_FDCWD, "@/tmp/jorm-taken-over", O_RDWR | O_CREAT, 0o600),
    ("mkdir", "@/tmp/jorm-taken-over", 0o700),
]
CALLS = [
    ("execve", "@/bin/true", 0, 0),
    ("execveat", AT_FDCWD, "@/bin/true", 0, 0, 0),
    ("fork",),
    ("clone", signal.SIGCHLD, 0, 0, 0, 0),
    ("socket", AF_INET, SOCK_RAW, 1),
    ("socket", AF_INET, SOCK_STREAM, 0),
    ("socket", AF_INET, SOCK_DGRAM, 0),
    ("socket", AF_INET6, SOCK_STREAM, 0),
    ("socket", AF_UNIX, SOCK_STREAM, 0),
    ("socket", AF_PACKET, SOCK_RAW, 0),
    ("socket", AF_NETLINK, SOCK_RAW, 12),  # nftables
    ("connect", 0, 0, 0),
    ("mmap", 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE_ANONYMOUS, -1, 0),
    ("mmap", 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE_ANONYMOUS, -1, 0),
    ("setuid", 0),
    ("capset", 0, 0),
    ("prctl", 4, 1, 0, 0, 0),  # PR_SET_DUMPABLE
    ("prctl", 47, 2, 12, 0, 0),  # PR_CAP_AMBIENT, raise
    ("prlimit64", 0, 4, "@" + "\x7f" * 16, 0),  # RLIMIT_CORE
    ("kill", 1, 0),
    ("kill", -1, 0),
    ("ptrace", 16, 1, 0, 0),  # PTRACE_ATTACH
    ("process_vm_readv", 1, 0, 0, 0, 0, 0),
    ("chroot", "@/"),
    ("mount", "@none", "@/mnt", "@tmpfs", 0, 0),
    ("unshare", 0x10000000),  # CLONE_NEWUSER
    ("setns", 0, 0),
    ("symlink", "@/etc/shadow", "@/tmp/jorm-taken-over"),
    ("ioctl", 2, 0x5412, "@x"),  # TIOCSTI
    ("bpf", 0, 0, 0),
    ("perf_event_open", 0, 0, -1, -1, 0),
    ("io_uring_setup", 1, 0),
    ("userfaultfd", 0),
    ("memfd_create", "@x", 0),
]


@pytest.mark.parametrize("user", USERS)
def test_a_daemon_taken_over_can_do_nothing_else(lab, inject, user):
    server, _ = pair(lab, user)
    pid = server.process.pid
    attempts = [(call, errno.EPERM) for call in CALLS]
    if landlock_version():
        attempts += [(call, errno.EACCES) for call in FILES]
        attempts += [(("openat", AT_FDCWD, f"@{server.path}", O_RDWR), errno.EACCES)]
        attempts += [(("unlink", f"@{server.path}"), errno.EACCES)]
    # The control thread, and one that carries packets.
    for thread in (pid, threads(server.process)[-1]):
        assert inject(thread, "getpid") == pid, "a call of its own still works"
        returned = {call: inject(thread, *call) for call, _ in attempts}
        wrong = {call: returned[call] for call, expected in attempts if returned[call] != -expected}
        assert not wrong, f"minus errno, or what it returned: {wrong}"
    assert not pathlib.Path("/tmp/jorm-taken-over").exists()
    # Nothing of this was noticed.
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert server.stop() == 0


@pytest.mark.parametrize("user", USERS)
def test_its_two_folders_are_open_to_it(lab, inject, user):
    server, _ = pair(lab, user)
    pid = server.process.pid
    folder = inject(pid, "openat", AT_FDCWD, f"@{server.folder}", os.O_RDONLY | os.O_DIRECTORY)
    # To a user of its own the folder is closed (0711 here); what it needs of it, the keeper opens.
    assert folder >= 0 if user == "root" else folder == -errno.EACCES
    made = server.state / "made"
    file = inject(pid, "openat", AT_FDCWD, f"@{made}", O_RDWR | O_CREAT, 0o600)
    assert file >= 0 and made.exists()
    for number in (folder, file):
        assert number < 0 or inject(pid, "close", number) == 0
    assert inject(pid, "unlink", f"@{made}") == 0 and not made.exists()


@pytest.mark.parametrize("user", USERS)
def test_what_the_kernel_says(lab, user):
    """Of each thread."""
    server, _ = pair(lab, user)
    pid = server.process.pid
    number = "0" if user == "root" else "65534"
    expected = {
        "Uid": [number] * 4,
        "Gid": [number] * 4,
        "Groups": [],
        "CapInh": ["0" * 16],
        "CapPrm": [f"{CAP_NET_ADMIN:016x}"],
        "CapEff": [f"{CAP_NET_ADMIN:016x}"],
        "CapBnd": [f"{CAP_NET_ADMIN:016x}"],
        "CapAmb": ["0" * 16],
        "NoNewPrivs": ["1"],
        "Seccomp": ["2"],
    }
    if user != "root":
        expected["Gid"] = [field(pid, pid, "Gid").split()[0]] * 4
        assert expected["Gid"][0] != "0"
    assert len(threads(server.process)) > 1
    for thread in threads(server.process):
        assert {name: field(pid, thread, name).split() for name in expected} == expected
    # Not dumpable: what is below /proc is root's, whoever the process is.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)


def test_memory_is_locked_or_the_log_says_why_not(lab):
    server, _ = lab.pair()
    locked = server.memory_kib("VmLck")
    if "memory is not locked" in server.log():
        assert locked == 0
    else:
        assert locked > 0
        # What is locked are pages that are used; the stacks and heaps around them cost nothing.
        assert server.memory_kib() < 64 * 1024


# ---- the programs for older protocols --------------------------------------------------------


def older_program(lab, kind):
    """One that carries packets, and the files of its own that it may still open and read."""
    if kind == "otptunnel":
        return OtpPair(lab).start().server, []
    pair = SnekPair(lab).start()
    if kind == "client":
        return pair.client, []
    return pair.server, [lab.folder / "new-snek-1-keys", lab.folder / "new-snek-1-keys/c2.pub"]


@pytest.mark.parametrize("kind", ["server", "client", "otptunnel"])
def test_an_older_program_taken_over_can_do_nothing_else(lab, inject, kind):
    program, readable = older_program(lab, kind)
    pid = program.process.pid
    # A new session needs sockets of these kinds, and connects them.
    usual = {("socket", AF_INET, SOCK_STREAM, 0), ("socket", AF_INET, SOCK_DGRAM, 0), ("connect", 0, 0, 0)}
    attempts = [(call, errno.EPERM) for call in CALLS if kind == "otptunnel" or call not in usual]
    attempts += [(call, errno.EPERM) for call in FILES if call[0] == "mkdir" or call[3] != O_RDONLY]
    attempts += [(("unlink", f"@{path}"), errno.EPERM) for path in readable]
    attempts += [(("socket", AF_NETLINK, SOCK_RAW, 0), errno.EPERM)]  # addresses and routes are set before
    if landlock_version():
        own = [f"@{lab.folder}", f"@{identity(2).private}"] + [f"@{pad}" for pad in lab.folder.glob("*.pad")]
        reads = [call for call in FILES if call[0] == "openat" and call[3] == O_RDONLY]
        attempts += [(call, errno.EACCES) for call in reads]
        attempts += [(("openat", AT_FDCWD, path, O_RDONLY), errno.EACCES) for path in own]
    for thread in (pid, threads(program.process)[-1]):
        assert inject(thread, "getpid") == pid, "a call of its own still works"
        returned = {call: inject(thread, *call) for call, _ in attempts}
        wrong = {call: returned[call] for call, expected in attempts if returned[call] != -expected}
        assert not wrong, f"minus errno, or what it returned: {wrong}"
        for path in readable:
            file = inject(thread, "openat", AT_FDCWD, f"@{path}", O_RDONLY)
            assert file >= 0 and inject(thread, "close", file) == 0
    assert not pathlib.Path("/tmp/jorm-taken-over").exists()
    # Nothing of this was noticed.
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert program.stop() == 0


@pytest.mark.parametrize("kind", ["server", "client", "otptunnel"])
def test_what_the_kernel_says_of_an_older_program(lab, kind):
    program, _ = older_program(lab, kind)
    pid = program.process.pid
    none = ["0" * 16]
    expected = {"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none}
    expected |= {"Uid": ["0"] * 4, "NoNewPrivs": ["1"], "Seccomp": ["2"]}
    assert len(threads(program.process)) > 1
    for thread in threads(program.process):
        assert {name: field(pid, thread, name).split() for name in expected} == expected
    assert re.search(r"^Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text(), re.M)


class Names(threading.Thread):
    """A name server on a host, which has one address for every name."""

    def __init__(self, host, address):
        super().__init__(daemon=True)
        self.address, self.asked = address, 0
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 53))
        self.socket.settimeout(0.2)
        self.ends = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.join(10)
        self.socket.close()

    def run(self):
        while not self.ends:
            try:
                query, client = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            question = query[12 : query.index(0, 12) + 5]
            answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(self.address)
            self.asked += 1
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question + answer, client)


def test_a_confined_client_looks_its_server_up_again(lab):
    """The name has another address since; and when nobody answers, the client asks where the server was."""

    def lose_session():
        pair.server.kill()
        seen = pair.client.complained().count("nobody has its port open")
        wait.until(
            lambda: answers(lab.client, lab.server.inner(4))
            or pair.client.complained().count("nobody has its port open") > seen,
            "the client has seen that the server has gone", 40,
        )  # fmt: skip

    pair = SnekPair(lab)
    pair.client.command[pair.client.command.index("-c") + 1] = "server.example"
    lab.client.use_names(["10.1.2.1"], ["example"])
    with Names(lab.middle, lab.server.outer(4)) as names:
        pair.start()
        assert names.asked == 1
        lose_session()
        names.address = lab.server.move(4)
        pair.server.start()
        pair.wait_for_traffic()
        assert names.asked > 1
        lose_session()
    pair.server.start()
    pair.client.wait_for("trying the address that it had")
    pair.wait_for_traffic()


# ---- what it does itself ---------------------------------------------------------------------

FORK = 57
CLONE3 = 435  # refused on purpose: the C library then uses clone, which can be filtered


def refused(log, pid):
    """The numbers of the calls that the kernel's log says were refused to a process."""
    return {
        int(match.group(1)) for match in re.finditer(rf"type=1326 .* pid={pid} .* syscall=(\d+) ", log)
    } - {CLONE3}  # fmt: skip


class KernelLog:
    """What is written to the kernel's log from now on."""

    def __init__(self):
        if not os.path.exists("/dev/kmsg"):
            pytest.skip("this machine, perhaps a container, shows nobody the kernel's log")
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def read(self):
        text = ""
        while True:
            try:
                text += os.read(self.fd, 8192).decode(errors="replace") + "\n"
            except BlockingIOError:
                return text

    def close(self):
        os.close(self.fd)


def test_nothing_that_the_daemon_does_is_refused(lab, inject):
    """At log level debug the kernel's log names each call that the filter refuses. So: all that a server and a client do."""
    lab.folder.chmod(0o711)
    keys = lab.folder / "keys"
    keys.mkdir()
    shutil.copy(identity(2).public, keys / "laptop.pub")
    server = lab.program(
        lab.server, [], Listen="10666", User="nobody", AuthorizedKeys=keys, Pool="10.66.0.0/24, fd66::/64"
    )
    client = lab.program(lab.client, [lab.peer(lab.server, 4, AllowedIPs=None)], User="nobody", Address=None, MTU="1300")
    log = KernelLog()
    try:
        for program in (server, client):
            program.start("--log-level", "debug")
        pids = [server.process.pid, client.process.pid]
        client.wait_for_session()
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
        # A file more, a peer in the database, and what asks.
        shutil.copy(identity(3).public, keys / "phone.pub")
        wait.until(lambda: server.named("phone"), "the server has seen the new file")
        server.cli("peer", "add", server.path, "tablet", identity(4).key_id)
        server.cli("peer", "remove", server.path, "tablet")
        for path in ("/v1/status", "/v1/leases"):
            server.api("GET", path)
        # Other settings: addresses, routes, an interface that changes.
        client.interface["MTU"] = "1290"
        client.write()
        for program in (client, server):
            program.cli("reload", program.path)
        lab.client.move(4)
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
        inject(server.process.pid, "fork")
        assert client.stop() == 0 and server.stop() == 0
        text = log.read()
    finally:
        log.close()
    found = [refused(text, pid) for pid in pids]
    if not found[0]:
        pytest.skip("this kernel's log does not name refused calls")
    assert found == [{FORK}, set()], "of the server the injected fork alone, of the client nothing"
