"""Commands before and after a tunnel: in their order, as root, outside the sandbox; what fails undoes all."""

import os
import re
import signal

import pytest

import wait
from internet import helper_of, marks
from program import JORM
from traffic import answers

# Where the interface stands at each; what the shell may do there.
NOTE = (
    'echo {} %i "$JORM_INTERFACE" "$JORM_TUNNEL" "$JORM_CONFIG" $(id -u) $(ip link show %i 2>&1 | grep -c mtu) '
    "$(sed -n '/CapEff\\|NoNewPrivs\\|Seccomp:/s/.*\\t//p' /proc/self/status | tr '\\n' ' ') # a comment; with, all"
)
KINDS = ("PreUp", "PostUp", "PreDown", "PostDown")
THERE = {"PreUp": "0", "PostUp": "1", "PreDown": "1", "PostDown": "0"}


def notes(lab):
    path = lab.folder / "notes"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def note(lab, kind):
    return f"({NOTE.format(kind).split(' # ')[0]}) >> {lab.folder}/notes # a comment; with, all"


def client_with(lab, **interface):
    """A server, started, and its client with these hooks, not started."""
    lab.folder.chmod(0o711)  # the way to StateDirectory for another user
    lab.program(lab.server, [lab.peer(lab.client)], Listen="10666").start()
    return lab.program(lab.client, [lab.peer(lab.server, 4)], **interface)


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("end", ["signal", "down"])
def test_order_and_environment(lab, user, end):
    client = client_with(lab, User=user, **{kind: note(lab, kind) for kind in KINDS})
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    assert [line[0] for line in notes(lab)] == ["PreUp", "PostUp"]
    if end == "signal":
        assert client.stop() == 0
    else:
        client.cli("down", client.path)
        assert client.wait() == 0
    lines = notes(lab)
    assert [line[0] for line in lines] == list(KINDS)
    with open("/proc/self/status", encoding="ascii") as status:
        everything = re.search(r"^CapEff:\t(\w+)$", status.read(), re.M)[1]
    for line in lines:
        assert line[1:5] == ["tun", "tun", client.name, str(client.path)]
        assert line[5:7] == ["0", THERE[line[0]]], f"{line[0]}: root, and the interface is there or not"
        assert line[7:] == [everything, "0", "0"], "all rights, no filter"


def test_several_of_a_kind_run_in_their_order(lab):
    path = lab.folder / "notes"
    client = client_with(lab)
    text = client.path.read_text()
    hooks = "".join(f"PostUp = echo {number} >> {path}\n" for number in range(12))
    client.path.write_text(text.replace("[interface]\n", f"[interface]\n{hooks}"))
    client.start()
    assert [line[0] for line in notes(lab)] == [str(number) for number in range(12)]


def test_the_background_and_what_hooks_say(lab):
    """Before the tunnel is up the user sees it, afterwards the log has it."""
    client = client_with(lab, PreUp="echo early words", PreDown="echo late words >&2")
    done = lab.client.run(JORM, "up", client.path)
    try:
        assert "early words" in done.stdout + done.stderr
    finally:
        lab.client.run(JORM, "down", client.path)
    assert "late words" in (client.state / f"{client.name}.log").read_text()


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("kind", ["PreUp", "PostUp"])
def test_one_that_fails_before_the_tunnel_is_up(lab, kind, user):
    before = marks(lab.client)
    client = client_with(lab, User=user, KillSwitch="yes", **{kind: "echo reason >&2; exit 7"})
    client.peers[0]["AllowedIPs"] = "0.0.0.0/0, ::/0"
    client.write()
    said = client.fail()
    assert f"{kind}: the command 'echo reason >&2; exit 7' failed with exit code 7" in said and "\nreason\n" in f"\n{said}"
    after = marks(lab.client)
    kept = {name for name in after["tables"] if name.startswith("jorm_kill_")}
    assert kept == ({f"jorm_kill_{client.name}"} if kind == "PostUp" else set())
    assert ("the kill switch stays" in said) is bool(kept)
    assert after | {"tables": before["tables"]} == before
    assert not client.socket.exists()
    # Without the hook it starts.
    client.interface[kind] = None
    client.write()
    client.start()
    client.wait_for_session()
    client.cli("down", client.path)
    client.wait()
    assert marks(lab.client) == before


def test_one_that_fails_at_the_end(lab):
    """What cannot be stopped any more goes on, and says so."""
    before = marks(lab.client)
    client = client_with(lab, PreDown="exit 3", PostDown=note(lab, "PostDown"))
    client.start()
    assert client.stop() == 0
    assert "PreDown: the command 'exit 3' failed with exit code 3" in client.log()
    assert [line[0] for line in notes(lab)] == ["PostDown"]
    assert marks(lab.client) == before


@pytest.mark.parametrize("victim", ["daemon", "both"])
def test_a_kill_runs_no_hook(lab, victim):
    client = client_with(lab, **{kind: note(lab, kind) for kind in KINDS})
    before = marks(lab.client)
    client.start()
    helper = helper_of(client)
    if victim == "both":
        os.kill(helper, signal.SIGKILL)
        wait.until(lambda: not os.path.exists(f"/proc/{helper}/exe") or client.process.poll() is not None, "it has gone")
    client.kill()
    wait.until(lambda: not os.path.exists(f"/proc/{helper}"), "the helper has ended")
    seen = [line[0] for line in notes(lab)]
    assert seen[:2] == ["PreUp", "PostUp"] and len(seen) == len(set(seen)), seen
    client.start()
    client.wait_for_session()
    assert [line[0] for line in notes(lab)][len(seen) :] == ["PreUp", "PostUp"]
    assert client.stop() == 0
    assert marks(lab.client) == before


def test_reload_runs_none_but_takes_the_new_ones(lab):
    client = client_with(lab, PostUp=note(lab, "PostUp"), PostDown=note(lab, "PreDown"))
    client.start()
    client.interface["PostDown"] = note(lab, "PostDown")
    client.write()
    client.api("POST", "/v1/reload")
    assert [line[0] for line in notes(lab)] == ["PostUp"]
    assert client.stop() == 0
    assert [line[0] for line in notes(lab)] == ["PostUp", "PostDown"]


def test_a_hook_may_leave_something_running(lab):
    """A process in the background, with the hook's output open, holds nothing up."""
    pid = lab.folder / "pid"
    client = client_with(lab, PostUp=f"sleep 600 & echo $! > {pid}")
    client.start()
    try:
        client.wait_for_session()
        assert client.stop() == 0
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_without_nft_there_is_no_switch(lab):
    client = client_with(lab, KillSwitch="yes")
    client.wrapper = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null "$(command -v nft)"; exec "$@"', "sh"]
    said = client.fail()
    assert "KillSwitch needs the program nft: install nftables" in said
    assert "the kill switch stays" not in said
