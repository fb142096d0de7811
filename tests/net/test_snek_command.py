"""snek-vpn: the older program's command line and files, what is new in it, and what it says when it cannot begin."""

import socket
import subprocess

import oldcrypto
import wait
from compat import Snek, SnekPair, ours
from lab import run
from program import JORM, identity
from traffic import answers, ping

KEY_PORT, DATA_PORT = 443, 10666


def snek(lab, *arguments, host=None, before=()):
    """Our program to its end."""
    return run(*(host or lab.server).command(*before, ours(lab, "snek-vpn"), *arguments), check=False)


def test_keys_are_made(lab):
    """-g, as the older program, but the private key is its owner's alone, and is never written over."""
    folder = lab.folder / "made"
    done = snek(lab, "-g", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Certificates written\n")
    public, private = folder / "snek-cert.pub", folder / "snek-cert.priv"
    assert (public.stat().st_size, private.stat().st_size) == (1952, 4032)
    assert private.stat().st_mode & 0o777 == 0o600
    signature = oldcrypto.sign(private.read_bytes(), b"text")
    assert oldcrypto.verify(public.read_bytes(), b"text", signature)
    before = private.read_bytes()
    done = snek(lab, "--gencert", folder)
    assert done.returncode == 1 and "snek-cert" in done.stderr
    assert private.read_bytes() == before
    # Keys of the older program's making: readable by all.
    private.chmod(0o644)
    done = snek(lab, "-c", lab.client.outer(4), "-x", private)
    assert done.returncode == 1 and f"chmod 600 {private}" in done.stderr, done.stderr


def test_keys_that_come_later(lab):
    """A folder that has no key is warned of; what is put there counts at the next request."""
    server = Snek(lab, lab.server, False, authorized=())
    folder = lab.folder / "new-snek-1-keys"
    server.start()
    assert str(folder) in server.complained()
    client = Snek(lab, lab.client, False, to=lab.server.outer(4))
    client.start()
    server.wait_for("no session with 10.1.2.2: ")
    client.kill()
    Snek.folder_of(lab, "new-snek-1", (2,))
    (folder / "other.pub").write_bytes(b"no key")
    (folder / "87.pub").write_bytes(identity(2, "ml-dsa-87").public.read_bytes())
    client.start()
    server.wait_for("[+] Connected.")
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")


def test_wrong_command_lines(lab):
    """Exit code 2 and what is wrong for what cannot be meant; 1 for what the machine has not."""
    key, folder = identity(2).private, lab.folder / "keys"
    folder.mkdir()
    (folder / "2.pub").write_bytes(identity(2).public.read_bytes())
    for arguments, code, said in (
        (["--nonsense"], 2, "nonsense"),
        (["-l", "-x", folder, "more"], 2, "'more'"),
        (["-c", "10.1.2.2"], 2, "-x"),
        (["-l"], 2, "-x"),
        (["-l", "-x", folder, "-dp", "0"], 2, "-dp"),
        (["-l", "-x", folder, "-kp", "65536"], 2, "-kp"),
        (["-l", "-x", folder, "--dataport", "http"], 2, "-dp"),
        (["-l", "-x", folder, "--address", "10.8.0.999/24"], 2, "--address"),
        (["-l", "-x", key], 1, str(key)),
        (["-l", "-x", lab.folder / "nowhere"], 1, "make it"),
        (["-c", "10.1.2.2", "-x", lab.folder / "nowhere"], 1, "nowhere"),
        (["-c", "10.1.2.2", "-x", folder], 1, str(folder)),
        (["-c", "10.1.2.2", "-x", identity(2).public], 1, "snek-cert.pub"),
        (["-c", "10.1.2.2", "-x", key], 1, "10.1.2.2:10666"),
        (["-c", "no.such.host.invalid", "-x", key], 1, "no.such.host.invalid"),
        (["-l", "-x", folder, "--name", "a-name-that-is-too-long"], 1, "a-name-that-is-too-long"),
    ):  # fmt: skip
        done = snek(lab, *arguments)
        assert done.returncode == code and said in done.stderr, f"{arguments}: {done.returncode}: {done.stderr}"
        assert "Traceback" not in done.stderr
        assert not {link for link in lab.server.links() if link.startswith("snk")}


def test_ports_that_are_taken(lab):
    """It says which, and of which flag."""
    folder = Snek.folder_of(lab, "some", (2,))
    for kind, port, flag, arguments in (
        (socket.SOCK_STREAM, DATA_PORT, "-dp", ["-l", "-x", folder]),
        (socket.SOCK_STREAM, KEY_PORT, "-kp", ["-c", lab.client.outer(4), "-x", identity(1).private]),
        (socket.SOCK_DGRAM, DATA_PORT, "10666", ["-c", lab.client.outer(4), "-x", identity(1).private]),
    ):
        with lab.server.socket(socket.AF_INET, kind) as s:
            s.bind(("0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            done = snek(lab, *arguments)
        assert done.returncode == 1 and flag in done.stderr and str(port) in done.stderr, done.stderr
        assert not {link for link in lab.server.links() if link.startswith("snk")}


def test_without_rights(lab):
    lab.folder.chmod(0o755)
    folder = Snek.folder_of(lab, "some", (2,))
    done = snek(lab, "-l", "-x", folder, before=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert done.returncode == 1 and "root" in done.stderr or "CAP_NET_ADMIN" in done.stderr, done.stderr


def test_additions_and_other_names(lab):
    """--address and --name; other ports; `jorm snek-vpn`, and the older file's name with .py."""
    script = lab.folder / "snek-vpn.py"
    script.symlink_to(JORM)
    ports, more = ["-kp", 1443, "-dp", 1666], ["--address", "10.66.0.1/24,fd66::1/64", "--name", "old7"]
    server = Snek(lab, lab.server, False, options=[*ports, *more])
    client = Snek(lab, lab.client, True, to=lab.server.outer(4), options=ports)
    server.command[0] = str(script)
    server.spawn()
    server.wait_for("[+] Opened TUN device: old7")
    client.start()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert ping(lab.client, lab.server.inner(6), 3) == 3
    assert "mtu 1536" in lab.server.run("ip", "link", "show", "old7").stdout
    assert server.stop() == 0
    assert "old7" not in lab.server.links()
    done = subprocess.run([JORM, "snek-vpn", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--keyport" in done.stdout


def test_the_interface_is_taken_away(lab):
    """Ours ends with a reason, instead of serving nobody."""
    pair = SnekPair(lab).start()
    lab.server.ip("link del snk0")
    assert pair.server.wait() == 1
    assert "interface was removed" in pair.server.complained()
