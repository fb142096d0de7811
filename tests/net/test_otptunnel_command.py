"""otptunnel: the older program's command line, what is new in it, what it says when it cannot begin; and moving on to
jorm's own tunnels with what it has not used."""

import re
import socket
import subprocess

import pads
from compat import MIB, Otp, OtpPair, ours
from lab import run
from middle import Capture
from program import JORM
from traffic import ping, transfer

PORT = 12000


def otptunnel(lab, *arguments, before=()):
    """Our program to its end."""
    return run(*lab.server.command(*before, ours(lab, "otptunnel"), *arguments), check=False)


def test_wrong_command_lines(lab):
    """Exit code 2 and what is wrong for what cannot be meant; 1 for what the machine has not."""
    pad, short, weak = lab.folder / "a.pad", lab.folder / "short.pad", lab.folder / "weak.pad"
    pads.make(pad, MIB)
    pads.make(short, content=bytes(range(63)))
    pads.make(weak, content=bytes(MIB))
    state, file = ["--state", lab.folder / "state"], lab.folder / "file"
    file.write_text("")
    usual = ["-S", "-K", pad, *state]
    for arguments, code, said in (
        (["--nonsense"], 2, "nonsense"),
        (["-S"], 2, "-K"),
        (["-K", pad], 2, "-A"),
        ([*usual, "more"], 2, "'more'"),
        ([*usual, "-P", "0"], 2, "-P"),
        ([*usual, "--local-port", "70000"], 2, "--local-port"),
        ([*usual, "--tap-addr", "10.8.0"], 2, "--tap-addr"),
        ([*usual, "--tap-netmask", "33"], 2, "--tap-netmask"),
        ([*usual, "--tap-mtu", "much"], 2, "--tap-mtu"),
        ([*usual, "--start-at", "-1"], 2, "--start-at"),
        ([*usual, "--start-at", "5", "--restart-at-zero"], 2, "--restart-at-zero"),
        ([*usual, "--start-at", str(2 * MIB)], 1, "a.pad"),
        ([*usual, "--local-addr", "192.0.2.9"], 1, "192.0.2.9"),
        ([*usual, "-A", "no.such.host.invalid"], 1, "no.such.host.invalid"),
        (["-S", "-K", lab.folder / "nowhere", *state], 1, "nowhere"),
        (["-S", "-K", lab.folder, *state], 1, str(lab.folder)),
        (["-S", "-K", short, *state], 1, "short.pad"),
        (["-S", "-K", weak, *state], 1, "--allow-weak-pad"),
        (["-S", "-K", pad, "--state", file / "below"], 1, str(file)),
    ):  # fmt: skip
        done = otptunnel(lab, *arguments)
        assert done.returncode == code and said in done.stderr, f"{arguments}: {done.returncode}: {done.stderr}"
        assert not any(link.startswith("tap") for link in lab.server.links())
    with lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", PORT))
        done = otptunnel(lab, *usual)
    assert done.returncode == 1 and "--local-port" in done.stderr, done.stderr
    lab.folder.chmod(0o755)
    pad.chmod(0o644)
    (lab.folder / "all").mkdir()
    (lab.folder / "all").chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = otptunnel(lab, "-S", "-K", pad, "--state", lab.folder / "all", before=nobody)
    assert done.returncode == 1 and ("root" in done.stderr or "CAP_NET_ADMIN" in done.stderr), done.stderr


def test_a_pad_has_one_role_and_one_use(lab):
    """A ledger that says client is refused to a server; a pad that otptunnel has used is refused to the native
    program; each with the remedy."""
    pair = OtpPair(lab).start()
    assert pair.client.stop() == 0
    other = Otp(lab, lab.client, False, pair.client.pad, is_server=True)
    other.spawn()
    assert other.wait() == 1
    assert "client.pad" in other.complained() and "-S" in other.complained()
    native = lab.program(
        lab.client, [pads.peer(lab, lab.server, pair.client.pad, 4)], PrivateKey=None, StateDirectory=pair.client.state
    )
    said = native.fail()
    assert "client.pad" in said and "jorm pad split" in said, said


def test_moving_on(lab):
    """What otptunnel has not used is a fresh pad: the same at both ends, and jorm's own tunnel runs with it."""
    pair = OtpPair(lab, size=16 * MIB).start()
    transfer(lab.client, lab.server, lab.server.inner(4), MIB)
    halves = []
    for peer in (pair.client, pair.server):
        assert peer.stop() == 0
        shown = run(JORM, "pad", "info", peer.pad, "--state", peer.state).stdout
        offset = int(re.search(r"--from (\d+)", shown).group(1))
        halves.append(offset)
    offset = max(halves)
    assert MIB < offset < 8 * MIB
    fresh = []
    for peer, name in ((pair.server, "one"), (pair.client, "two")):
        fresh.append(lab.folder / f"{name}.pad")
        run(JORM, "pad", "split", peer.pad, fresh[-1], "--from", offset, "--state", peer.state)
    assert fresh[0].read_bytes() == fresh[1].read_bytes()
    one = lab.program(lab.server, [pads.peer(lab, lab.client, fresh[0])], Listen="10666", PrivateKey=None)
    two = lab.program(lab.client, [pads.peer(lab, lab.server, fresh[1], 4)], PrivateKey=None)
    one.start()
    two.start()
    two.wait_for_session()
    assert ping(lab.client, lab.server.inner(4), 3) == 3


def test_additions_and_other_names(lab):
    """--tap-name, --start-at, other ports; the older file's name with .py, and `jorm otptunnel`."""
    script = lab.folder / "otptunnel.py"
    script.symlink_to(JORM)
    lab.cut_outside()
    with Capture(lab.middle, "h1", lab.folder / "wire.pcap", "udp port 1200") as capture:
        pair = OtpPair(
            lab, client_is_old=True, client={"options": ["--local-port", 1200, "-P", 1201]},
            server={"options": ["--local-port", 1201, "-P", 1200, "--tap-name", "old7", "--start-at", "1000"]},
        )  # fmt: skip
        pair.server.command[0] = str(script)
        pair.server.spawn()
        pair.server.wait_for_link("old7")
        pair.client.start()
        pair.wait_for_traffic()
    offsets = [int.from_bytes(d[-6:], "big") for d in capture.datagrams]
    assert min(offset for offset in offsets if offset % 2) == 1001
    assert pair.server.stop() == 0
    done = subprocess.run([JORM, "otptunnel", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--restart-at-zero" in done.stdout


def test_the_interface_is_taken_away(lab):
    pair = OtpPair(lab).start()
    lab.server.ip("link del tap0")
    assert pair.server.wait() == 1
    assert "interface was removed" in pair.server.complained()
