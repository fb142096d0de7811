"""Whatever ends a tunnel, nothing of it is left, and the next one starts."""

import signal
import subprocess

import pytest

import wait
from program import JORM
from traffic import answers, ping_both_ways


def traces(host):
    """All that a tunnel could leave in a namespace."""
    words = (["link"], ["addr"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"], ["rule"])
    texts = [host.run("ip", "-o", *word).stdout for word in words]
    # Lifetimes and the state of neighbours change by themselves.
    return [sorted(line.split(" lft ")[0].strip() for line in text.splitlines() if "tun" in line or "66" in line) for text in texts]


def files(program):
    return {path.name for path in program.folder.iterdir()}


ROUTES = {"AllowedIPs": "10.66.0.1/32, fd66::1/128, 10.99.0.0/16, fd99::/32, 192.0.2.7/32"}


def start_with_routes(lab):
    before = traces(lab.client)
    server, client = lab.pair(to_server=ROUTES)
    there = traces(lab.client)
    assert there != before
    routes = "\n".join(there[2] + there[3])
    for prefix in ("10.99.0.0/16", "fd99::/32", "192.0.2.7"):
        assert f"{prefix} dev tun" in routes
    return server, client, before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal(lab, number):
    server, client, before = start_with_routes(lab)
    known = files(client)
    assert client.stop(number) == 0
    assert traces(lab.client) == before
    assert files(client) == known - {client.socket.name, f"{client.socket.name}.lock"}
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert server.process.poll() is None


@pytest.mark.parametrize("name", ["file", "interface"])
def test_down(lab, name):
    _, client, before = start_with_routes(lab)
    known = files(client)
    client.cli("down", client.path if name == "file" else client.socket)
    assert traces(lab.client) == before, "down returns when all is gone"
    assert client.wait() == 0
    assert files(client) == known - {client.socket.name, f"{client.socket.name}.lock"}
    said = client.cli("down", client.path, check=False)
    assert said.returncode == 1 and "jorm down: " in said.stderr


def test_a_kill_leaves_nothing_that_matters(lab):
    _, client, before = start_with_routes(lab)
    client.kill()
    wait.until(lambda: traces(lab.client) == before, "the kernel has removed the interface")
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert client.stop() == 0
    assert not client.socket.exists()


def test_the_background(lab):
    """`up` without --foreground returns when the tunnel is there, and leaves a log and no terminal."""
    server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
    server.start()
    client = lab.program(lab.client, [lab.peer(lab.server, 4)])
    done = lab.client.run(JORM, "up", client.path)
    try:
        # Where the limit of locked memory cannot be raised (a container), that is said.
        warnings = [line for line in done.stderr.splitlines() if "warning" in line and "memory is not locked" not in line]
        assert done.stdout == "tun is up\n" and not warnings
        client.wait_for_session()
        ping_both_ways(lab, 3)
        # Its state, and not more than its user may read it.
        log = client.state / f"{client.name}.log"
        assert log.stat().st_mode & 0o777 == 0o600 and client.state.stat().st_mode & 0o777 == 0o700
        assert client.socket.stat().st_mode & 0o777 == 0o600
    finally:
        client.cli("down", client.path)
    assert "tun" not in lab.client.links()
    assert not client.socket.exists()
    assert "session with p0" in log.read_text()


def test_it_comes_and_goes_many_times(lab):
    server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
    client = lab.program(lab.client, [lab.peer(lab.server, 4)])
    server.start()
    memory = []
    for _ in range(5):
        client.start()
        client.wait_for_session()
        wait.until(lambda: answers(lab.server, lab.client.inner(4)), "a ping comes back")
        assert client.stop() == 0
        memory.append(server.memory_kib())
    assert memory[-1] < memory[0] * 1.5
    assert server.status()["handshakes"]["established"] == 5


def test_somebody_removes_the_interface(lab):
    server, client = lab.pair()
    lab.client.ip("link del tun")
    assert client.wait() == 1
    assert "was removed by somebody else; start the tunnel again" in client.log()
    assert not client.socket.exists()
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert server.process.poll() is None


def test_no_descriptor_or_secret_gets_out(lab):
    """Nobody else can look into the process, and its arguments say nothing."""
    server, _ = lab.pair()
    with open(f"/proc/{server.process.pid}/cmdline", "rb") as file:
        assert file.read().split(b"\0")[1:3] == [b"up", str(server.path).encode()]
    limits = subprocess.run(["cat", f"/proc/{server.process.pid}/limits"], capture_output=True, text=True, check=True)
    assert [line.split()[4:6] for line in limits.stdout.splitlines() if "core file" in line] == [["0", "0"]]
