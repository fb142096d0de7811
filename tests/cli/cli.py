"""The commands as a person calls them: cli.py JORM. JORM is linked with daemon.c beside this file in
place of the daemon, so that no rights are needed. Prints TAP."""

import json
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import termios

from harness import JORM, main, run, test, write

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = "keygen keyid check up down reload status events peer leases pad snek-vpn otptunnel version help".split()
OLDER = ("snek-vpn", "otptunnel")  # programs, which have a page of their own
PAD_VERBS = "new info check split advance".split()


def configuration(name="t.conf", interface="", peer=""):
    """A good configuration of the host `a`, with a peer `b`; more lines may be added."""
    for host in "ab":
        if not pathlib.Path(host).exists():
            run("keygen", host)
    write(
        name,
        "[interface]\nPrivateKey = a/snek-cert.priv\nStateDirectory = state\nControlSocket = t.sock\n"
        f"{interface}Address = 10.66.0.1/24\n[peer b]\nPublicKey = b/snek-cert.pub\nAllowedIPs = 10.66.0.2/32\n{peer}",
    )


@test
def every_command_has_help():
    for command in COMMANDS:
        out, err = run(command, "--help")
        assert out.startswith(f"usage: jorm {command}") and err == "", command
        assert run("help", command) == (out, ""), command
    overview, _ = run("--help")
    assert run("help") == (overview, "")
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", overview, re.M), command
    for verb in PAD_VERBS:
        assert run("pad", verb, "--help")[0].startswith(f"usage: jorm pad {verb} FILE"), verb


@test
def version_is_said():
    out, _ = run("--version")
    assert re.fullmatch(r"jorm \d+\.\d+\.\d+\n", out), out
    assert run("version")[0] == out


@test
def wrong_command_lines_exit_with_2():
    for args in (
        [],
        ["dance"],
        ["--dance"],
        ["help", "dance"],
        ["help", "up", "down"],
        ["version", "1"],
        ["keygen", "--typ=x"],
        ["keygen", "--type", "rsa"],
        ["keygen", "a", "b"],
        ["keyid"],
        ["keyid", "a", "b"],
        ["check"],
        ["check", "--jsn", "a"],
        ["up"],
        ["up", "a", "--log-level", "loud"],
        ["down"],
        ["down", "--now", "a"],
        ["status", "a", "b"],
        ["status", "--interval", "2"],
        ["status", "--watch", "--interval", "0"],
        ["status", "--watch", "--interval", "2s"],
        ["reload"],
        ["reload", "a", "b"],
        ["events"],
        ["peer"],
        ["peer", "dance"],
        ["peer", "add", "a", "b"],
        ["peer", "add", "--dance"],
        ["peer", "remove", "a"],
        ["peer", "list"],
        ["peer", "list", "--endpoint", "a"],
        ["leases"],
        ["leases", "a", "--free"],
        ["leases", "a", "--json", "--free", "10.66.0.7"],
        ["pad"],
        ["pad", "dance"],
        ["pad", "new", "a"],
        ["pad", "new", "--size", "1M"],
        ["pad", "new", "a", "b", "--size", "1M"],
        ["pad", "info"],
        ["pad", "info", "a", "b"],
        ["pad", "check", "--dance", "a"],
        ["pad", "split", "a", "b"],
        ["pad", "split", "a", "b", "c", "--sizes", "1M"],
        ["pad", "split", "a", "b", "c", "--sizes", "1M,,1M"],
        ["pad", "advance"],
        ["pad", "advance", "a", "--by", "0"],
    ) + tuple([command, "--nonsense"] for command in COMMANDS):
        out, err = run(*args, code=2)
        assert out == "" and "usage: jorm" in err, args


@test
def keygen_writes_a_pair_once():
    out, _ = run("keygen", "keys")
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", out), out
    private, public = pathlib.Path("keys/snek-cert.priv"), pathlib.Path("keys/snek-cert.pub")
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    assert (len(before), public.stat().st_size) == (4032, 1952)
    assert "snek-cert" in run("keygen", "keys", code=1)[1]
    assert private.read_bytes() == before
    assert run("keyid", "keys/snek-cert.priv") == run("keyid", "keys/snek-cert.pub") == (out, "")


@test
def keygen_makes_the_larger_kind():
    out, _ = run("keygen", "--type", "ML-DSA-87")
    assert pathlib.Path("snek-cert.priv").stat().st_size == 4896
    assert run("keyid", "snek-cert.pub")[0] == out


@test
def keyid_says_what_is_wrong():
    assert "nowhere" in run("keyid", "nowhere", code=1)[1]
    write("short", "x" * 100)
    assert "short" in run("keyid", "short", code=1)[1]
    write("noise", "x" * 4032)
    assert "noise" in run("keyid", "noise", code=1)[1]
    run("keyid", ".", code=1)
    run("keygen", "keys")
    os.chmod("keys/snek-cert.priv", 0o644)
    assert "chmod" in run("keyid", "keys/snek-cert.priv", code=1)[1]


@test
def check_is_content_with_a_good_file():
    configuration()
    own = run("keyid", "a/snek-cert.pub")[0].strip()
    out, err = run("check", "t.conf")
    assert "OK" in out and own in out and err == ""
    document = json.loads(run("check", "t.conf", "--json")[0])
    assert document == {"file": "t.conf", "ok": True, "key_id": own, "diagnostics": []}


@test
def check_names_all_mistakes():
    configuration(interface="MTU = 1\nListenPort = 1\nCipher = rot13\n", peer="Endpoint = b\nPresharedKey = nowhere\n")
    os.chmod("a/snek-cert.priv", 0o640)
    out, err = run("check", "t.conf", code=1)
    assert out == ""
    places = [re.match(r"t\.conf:(\d+): (\w+): ", line).groups() for line in err.splitlines()]
    wanted = "2 PrivateKey 5 MTU 6 ListenPort 7 Cipher 12 Endpoint 13 PresharedKey".split()
    assert places == list(zip(wanted[::2], wanted[1::2])), err
    document = json.loads(run("check", "--json", "t.conf", code=1)[0])
    assert not document["ok"] and document["key_id"] is None
    assert [(str(d["line"]), d["key"]) for d in document["diagnostics"]] == places
    assert {d["severity"] for d in document["diagnostics"]} == {"error"}


@test
def check_takes_a_server_and_a_client():
    os.mkdir("keys")
    configuration(
        interface="AuthorizedKeys = keys\nPool = 10.66.0.0/24\nPushRoutes = 0.0.0.0/0\nPushDNS = 10.66.0.1, example.org\n"
        "PushMTU = 1380\nPushKeepalive = 25\nClientToClient = yes\nMasquerade = yes\nControlGroup = root\nUser = root\n"
        "PostUp = logger '%i is up, at last'; true # said\n"
    )
    out, err = run("check", "t.conf")
    assert "OK" in out and err == "", err
    # the server hands out the address and the routes
    configuration(interface="KillSwitch = yes\nDNS = 10.66.0.1, example.org\n", peer="Endpoint = vpn.example.org:10666\n")
    text = pathlib.Path("t.conf").read_text().replace("Address = 10.66.0.1/24\n", "")
    write("t.conf", text.replace("AllowedIPs = 10.66.0.2/32", "AllowedIPs = 0.0.0.0/0, ::/0"))
    out, err = run("check", "t.conf")
    assert "OK" in out and err == "", err


@test
def check_names_what_does_not_go_together():
    configuration(
        interface="Pool = fd66::/64\nUser = no-such-user\nControlGroup = no-such-group\nAuthorizedKeys = nowhere\n"
        "KillSwitch = true\n"
    )
    _, err = run("check", "t.conf", code=1)
    told = [re.match(r"t\.conf:(\d+): (\w+): (.*)", line).groups() for line in err.splitlines()]
    wanted = (
        ("5", "Pool", "add one to Address"),
        ("6", "User", "useradd"),
        ("7", "ControlGroup", "groupadd"),
        ("8", "AuthorizedKeys", "mkdir"),
        ("9", "KillSwitch", "yes or no"),
    )
    assert len(told) == len(wanted), err
    for (line, key, text), want in zip(told, wanted):
        assert (line, key) == want[:2] and want[2] in text, err


@test
def check_warns_of_what_is_probably_not_meant():
    configuration(peer="AllowedIPs = 0.0.0.0/0\n")
    out, err = run("check", "t.conf")
    assert "OK" in out and "t.conf:6: warning: AllowedIPs: " in err and "IPv6 goes outside the tunnel" in err, err
    configuration(interface="KillSwitch = yes\n")
    _, err = run("check", "t.conf")
    assert "t.conf:5: warning: KillSwitch: " in err and "nothing else" in err, err
    # a file that is no key keeps nobody out but its owner
    os.mkdir("keys")
    write("keys/carol.pub", "none")
    configuration(interface="AuthorizedKeys = keys\nPool = 10.66.0.0/24\n")
    diagnostics = json.loads(run("check", "t.conf", "--json")[0])["diagnostics"]
    assert [(d["severity"], d["line"], d["key"]) for d in diagnostics] == [("warning", 5, "AuthorizedKeys")]
    assert "carol.pub" in diagnostics[0]["message"]


@test
def check_says_that_a_file_is_not_there():
    assert "nowhere.conf" in run("check", "nowhere.conf", code=1)[1]
    assert "/etc/jorm/no-such-tunnel.conf" in run("check", "no-such-tunnel", code=1)[1]


@test
def secrets_are_not_shown():
    secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
    configuration(peer=f"PresharedKey = {secret}\n")
    assert secret not in "".join(run("check", "t.conf", code=1))
    assert secret not in "".join(run("check", "t.conf", "--json", code=1))


@test
def a_tunnel_goes_up_and_down():
    configuration()
    out, err = run("up", "t.conf")
    assert (out, err) == ("snk7 is up\n", "")
    try:
        assert pathlib.Path("t.sock").stat().st_mode & 0o777 == 0o600
        assert "already running" in run("up", "t.conf", code=1)[1]
        assert pathlib.Path("state/t.log").stat().st_mode & 0o777 == 0o600
        # by a configuration that has become unreadable it is not found; its socket still serves
        write("t.conf", "nonsense")
        run("status", "t.conf", code=1)
        run("status", "./t.sock")
        configuration()
    finally:
        assert run("down", "t.conf") == ("", "")
    assert not pathlib.Path("t.sock").exists() and not pathlib.Path("t.sock.lock").exists()
    assert pathlib.Path("state/t.log").read_text() == "the stub serves\n"
    assert "jorm up" in run("down", "t.conf", code=1)[1]


@test
def a_tunnel_that_cannot_be_set_up_is_a_failure():
    configuration(interface="Name = refused\n")
    out, err = run("up", "t.conf", code=1)
    assert out == "" and "as root" in err, err
    assert "as root" in run("up", "t.conf", "--foreground", code=1)[1]
    configuration(interface="Name = crash\n")
    assert "signal" in run("up", "t.conf", code=1)[1]
    configuration(interface="MTU = 1\nLayer = 4\n")
    assert len(run("up", "t.conf", code=1)[1].splitlines()) == 2
    write("file", "")
    configuration(interface="")
    text = pathlib.Path("t.conf").read_text().replace("= state", "= file/state")
    write("t.conf", text)
    assert "StateDirectory" in run("up", "t.conf", code=1)[1]
    assert not pathlib.Path("t.sock").exists()


@test
def the_log_is_begun_anew_when_it_is_large():
    configuration()
    os.mkdir("state")
    for size, left in ((1 << 20, True), ((1 << 20) + 1, False)):
        write("state/t.log", "x" * size)
        run("up", "t.conf")
        run("down", "t.conf")
        text = pathlib.Path("state/t.log").read_text()
        assert text.endswith("the stub serves\n") and text.startswith("x") == left


@test
def foreground_stays():
    configuration()
    with subprocess.Popen([JORM, "up", "t.conf", "-f"], stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr.readline() == "the stub serves\n"
        run("down", "t.conf")
        assert daemon.wait(60) == 0
    assert not pathlib.Path("state").exists()


@test
def status_is_for_people_and_programs():
    configuration()
    run("up", "t.conf")
    try:
        text, _ = run("status", "t.conf")
        document = json.loads(run("status", "t.conf", "--json")[0])
    finally:
        run("down", "t.conf")
    for line in (
        "interface snk7",
        "  up for            1 day, 2 hours",
        "peer laptop",
        "  allowed IPs       10.66.0.2/32, fd66::2/128",
        "  last handshake    1 minute, 1 second ago",
        "  key exchange      ML-KEM-1024 + X25519",
        "  signatures        ML-DSA-65 (ours), ML-DSA-87 (theirs)",
        "  cipher            AES-256-GCM",
        "  preshared key     yes",
        "  path MTU          1500",
        "  transfer          1.50 GiB received, 1000 B sent",
        "peer silent",
        "  last handshake    never",
        "  rejected by peer  not?[31m welcome",
        "  replay            3",
        "  completed         2",
        "  leases            2 handed out",
        "  DNS               10.66.0.1",
        "  kill switch       yes",
        "  sandbox           user jorm, seccomp",
        "  from              AuthorizedKeys",
        "  its addresses     10.66.0.7/32, fd66::7/128",
        "  our addresses     10.9.0.5/24",
        "  given routes      10.9.0.0/16, fd09::/48",
        "  given DNS         10.9.0.1",
        "  given domains     corp.example",
        "  given MTU         1400",
        "peer vault",
        "  from              Pads",
        "  protection        information-theoretic",
        "  pad               3f9a0102: 12.00 GiB left of 16.00 GiB, 6.00 GiB of it ours; lasts until 2027-03-01 at the "
        "rate of the last 14 days",
        "  pad is refused    the peer has seen more of it used than our record says: see jorm pad advance",
        "peer spent",
        "  protection        pad + AEAD",
        "  pad               4f9a0102: 512 B left of 1.00 MiB, 0 B of it ours",
        "  pad fails         no room?[31m",
    ):
        assert line in text.splitlines(), f"{line!r} is not in:\n{text}"
    assert "given keepalive" not in text
    assert text.count("preshared key") == 1 and "NONE" not in text, "a pad alone has no keys"
    assert "auth" not in text.replace("authent", "") and "\x1b" not in text
    assert document["peers"][0]["rx_bytes"] == 1610612736


@test
def status_of_nothing():
    assert "no-such-tunnel" in run("status", "no-such-tunnel", code=1)[1]
    run("status", "", code=1)
    run("status", "x" * 200, code=1)
    run("status", "x" * 5000, code=1)


class Running:
    """A tunnel that is up for as long as the block lasts."""

    def __enter__(self):
        configuration()
        run("up", "t.conf")

    def __exit__(self, *_):
        run("down", "t.conf")


class Following:
    """A command that goes on; .line() is the next one that it says."""

    def __init__(self, *args):
        self.process = subprocess.Popen([JORM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline()


@test
def events_come_as_they_happen():
    with Running():
        with Following("events", "t.conf", "--json") as events, Following("events", "t.conf") as text:
            hello = json.loads(events.line())
            assert hello["event"] == "hello" and hello["api"] == 1 and hello["peer"] is None
            for _ in range(1000):  # the other one cannot be seen to have begun: until it has
                run("reload", "t.conf")
                event = json.loads(events.line())
                assert (event["event"], event["text"]) == ("reloaded", "a\x1b[31m line")
                if select.select([text.process.stdout], [], [], 0)[0]:
                    break
            assert re.fullmatch(r"2023-11-1\d \d\d:\d\d:\d\d  reloaded  a\?\[31m line\n", text.line())
            run("down", "t.conf")
            assert events.process.wait(60) == text.process.wait(60) == 0, "the tunnel's end is theirs"
        run("up", "t.conf")
    assert "no tunnel is up" in run("events", "./t.sock", code=1)[1]


@test
def peers_are_added_and_removed():
    with Running():
        own, theirs = (run("keyid", f"{host}/snek-cert.pub")[0].strip() for host in "ab")
        with Following("events", "t.conf", "--json") as events:
            events.line()
            for key, options, body in (
                (theirs, (), {"allowed_ips": [], "endpoint": None, "keepalive": 0}),
                (
                    "a/snek-cert.pub",
                    ("--allowed-ips", "10.66.0.9/32, fd66::9", "--endpoint=[::1]:7", "--keepalive", "25"),
                    {"allowed_ips": ["10.66.0.9/32", "fd66::9"], "endpoint": "[::1]:7", "keepalive": 25},
                ),
            ):
                assert run("peer", "add", "t.conf", "phone", key, *options) == ("", "")
                event = json.loads(events.line())
                body |= {"name": "phone", "key_id": theirs if key == theirs else own}
                assert event["event"] == "added" and json.loads(event["text"]) == body
            run("peer", "remove", "t.conf", "laptop")
            assert json.loads(events.line())["text"] == "laptop"
        for args, said in (
            (("laptop", theirs), "laptop already"),
            (("a b", theirs), "letters"),
            (("phone", "nonsense"), "keyid"),
            (("phone", "."), "."),
            (("phone", theirs, "--allowed-ips", "10.66.0.9/33"), "AllowedIPs"),
            (("phone", theirs, "--allowed-ips", "10.66.0.9,,"), "allowed_ips"),
            (("phone", theirs, "--endpoint", "there"), "port"),
            (("phone", theirs, "--keepalive", "70000"), "65535"),
            (("phone", theirs, "--keepalive", "soon"), "65535"),
            ((b"\xff", theirs), "UTF-8"),
        ):
            _, err = run("peer", "add", "t.conf", *args, code=1)
            assert said in err and err.startswith("jorm peer: "), (args, err)
        assert "there is no a/b" in run("peer", "remove", "t.conf", "a/b", code=1)[1]
        run("peer", "remove", "t.conf", "", code=1)
        run("peer", "remove", "t.conf", "x" * 2000, code=1)


@test
def peers_and_leases_are_listed():
    with Running():
        assert run("peer", "list", "t.conf")[0].splitlines() == [
            "NAME    STATE        SOURCE  ENDPOINT         ADDRESSES",
            "laptop  established  folder  192.0.2.1:10666  10.66.0.2/32, fd66::2/128, 10.66.0.7/32, fd66::7/128",
            "silent  idle         file    -                -",
            "vault   established  folder  -                -",
            "spent   idle         file    -                -",
        ]
        assert json.loads(run("peer", "list", "t.conf", "--json")[0])["peers"][1]["name"] == "silent"
        assert run("leases", "t.conf")[0].splitlines() == [
            "ADDRESS    PEER    CONNECTED  KEY ID",
            "10.66.0.7  laptop  yes        THEIRS",
            "fd66::9    -       no         GONE",
        ]
        assert len(json.loads(run("leases", "t.conf", "--json")[0])["leases"]) == 2
        assert run("leases", "t.conf", "--free", "fd66::9") == ("", "")
        assert "there is no 10.66.0.99" in run("leases", "t.conf", "--free", "10.66.0.99", code=1)[1]


@test
def status_is_watched():
    with Running():
        with Following("status", "t.conf", "--watch", "--interval", "1", "--json") as watch:
            for _ in range(2):
                assert json.loads(watch.line())["interface"] == "snk7"
            run("down", "t.conf")
            while "error" not in (seen := json.loads(watch.line())):
                assert seen["interface"] == "snk7"
            assert "no tunnel is up" in seen["error"]
            run("up", "t.conf")
            while "error" in (seen := json.loads(watch.line())):
                pass
            assert seen["interface"] == "snk7", "it is there again"
        with Following("status", "t.conf", "--watch", "-i1") as watch:
            for _ in range(2):
                while watch.line() != "interface snk7\n":
                    pass
    assert "no tunnel is up" in run("status", "./t.sock", "--watch", code=1)[1], "not at the beginning"


@test
def status_is_drawn_on_a_terminal():
    with Running():
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (12, 30))
        command = [JORM, "status", "t.conf", "--watch", "-i1"]
        with subprocess.Popen(command, stdout=slave, env=os.environ | {"TERM": "vt100"}) as watch:
            os.close(slave)
            seen = b""
            while seen.count(b"\x1b[H\x1b[J") < 3:
                seen += os.read(master, 65536)
            watch.kill()
        os.close(master)
    screen = seen.split(b"\x1b[H\x1b[J")[1].decode().split("\r\n")
    assert screen[0] == "interface snk7" and screen[-1] == "" and len(screen) == 12
    assert re.fullmatch(r"\(\d+ more lines: the window is too small\)", screen[-2])
    assert all(len(line) <= 30 for line in screen[:-2])


def words_of_help():
    """{command: its long options}, as --help has them."""
    words = {command: run(command, "--help")[0] for command in COMMANDS}
    words["pad"] += "".join(run("pad", verb, "--help")[0] for verb in PAD_VERBS)
    return {command: set(re.findall(r"--[a-z-]+", text)) for command, text in words.items()}


@test
def the_manual_page_has_every_command_and_option():
    pages = {name: (ROOT / f"docs/man/{name}.1").read_text() for name in ("jorm", *OLDER)}
    page = pages["jorm"]
    synopsis, described = page[: page.index(".Sh DESCRIPTION")], page[page.index(".Sh DESCRIPTION") :]
    listed, _ = run("help")
    assert sorted(re.findall(r"^  ([a-z-]+) ", listed, re.M)) == sorted(COMMANDS)
    for command, options in words_of_help().items():
        assert re.search(rf"^\.Cm {command}$", synopsis, re.M), command
        assert re.search(rf"^\.It Cm {command}\b", described, re.M), command
        for option in options:
            assert re.search(rf"(Fl |, )-{option[2:]}\b", pages.get(command, page)), (command, option)


@test
def the_api_is_described():
    page = (ROOT / "docs/api.md").read_text()
    routes = re.findall(r'\{"([A-Z]+)", "(/[^"]*)", CONTROL_\w+\}', (ROOT / "src/control/route.c").read_text())
    described = set(re.findall(r"^\| `([A-Z]+) (/\S+)` \|", page, re.M))
    assert len(routes) > 10
    assert {(method, re.sub(r"/(NAME|ADDRESS)$", "/", path)) for method, path in described} == set(routes)
    metrics = set(re.findall(r'"(jorm_[a-z_]+)"', (ROOT / "src/daemon/metrics.c").read_text()))
    assert len(metrics) > 10 and metrics == set(re.findall(r"`(jorm_[a-z_]+)`", page))
    report = "".join((ROOT / "src/daemon" / name).read_text() for name in ("report.c", "report_pad.c"))
    for member in re.findall(r'json_object_set_new\(\s*\w+, "([a-z_]+)"', report):
        assert f'"{member}"' in page, member
    for event in re.findall(r'\[NOTICE_\w+\] = "([a-z]+)"', report):
        assert f"| `{event}` |" in page, event


@test
def every_shell_completes_every_command_and_option():
    for name in ("jorm.bash", "_jorm", "jorm.fish"):
        text = (ROOT / "completions" / name).read_text()
        for command, options in words_of_help().items():
            assert re.search(rf"\b{command}\b", text), (name, command)
            for option in options:
                assert re.search(rf"(-l |--){option[2:]}\b", text), (name, command, option)


def complete_in_bash(*words, name="jorm"):
    """What the shell would offer for the last of these words."""
    quoted = " ".join(map(shlex.quote, (name, *words)))
    script = f"""
        . {shlex.quote(str(ROOT / "completions/jorm.bash"))}
        COMP_WORDS=({quoted}) COMP_CWORD={len(words)}
        $(complete -p {name} | sed 's/.*-F //; s/ .*//')
        for word in "${{COMPREPLY[@]}}"; do echo "$word"; done
    """
    path = f"{os.getcwd()}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env=os.environ | {"PATH": path}
    )
    assert done.stderr == "", done.stderr
    return sorted(done.stdout.split("\n")[:-1])


@test
def bash_completes():
    os.mkdir("bin")
    os.symlink(JORM, "bin/jorm")
    with Running():
        write("a b.conf", "")
        for words, offered in (
            ([""], sorted([*COMMANDS, "--help", "--version"])),
            (["ke"], ["keygen", "keyid"]),
            (["keygen", "--t"], ["--type"]),
            (["keygen", "--type", ""], ["ml-dsa-65", "ml-dsa-87"]),
            (["up", "--log-level", "w"], ["warning"]),
            (["up", "a "], ["a b.conf"]),
            (["status", "--w"], ["--watch"]),
            (["status", "--interval", ""], []),
            (["peer", ""], ["add", "list", "remove"]),
            (["peer", "add", "--e"], ["--endpoint"]),
            (["peer", "add", "t.conf", "phone", "a/snek-cert.p"], ["a/snek-cert.priv", "a/snek-cert.pub"]),
            (["peer", "add", "--keepalive", "5", "t.conf", "x", "b/snek-cert.pu"], ["b/snek-cert.pub"]),
            (["peer", "remove", "t.conf", ""], ["laptop", "silent", "spent", "vault"]),
            (["peer", "remove", "./nowhere.sock", ""], []),
            (["help", "le"], ["leases"]),
            (["pad", ""], sorted(PAD_VERBS)),
            (["pad", "new", "--s"], ["--size", "--source"]),
            (["pad", "new", "--size", ""], []),
            (["pad", "new", "--size", "1G", "--source", "a/snek-cert.pu"], ["a/snek-cert.pub"]),
            (["pad", "split", "a b.conf", "a/snek-cert.pu"], ["a/snek-cert.pub"]),
            (["pad", "info", "a b.conf", ""], []),
            (["snek-vpn", "--c"], ["--cert", "--connect"]),
            (["snek-vpn", "-l", "-k"], ["-kp"]),
            (["snek-vpn", "-x", "a/snek-cert.pu"], ["a/snek-cert.pub"]),
            (["snek-vpn", "-kp", ""], []),
        ):
            assert complete_in_bash(*words) == offered, (words, complete_in_bash(*words))
            if words[0] in OLDER:
                assert complete_in_bash(*words[1:], name=words[0]) == offered, words
        assert complete_in_bash("-K", "a/snek-cert.pu", name="otptunnel") == ["a/snek-cert.pub"]
        assert complete_in_bash("", name="otptunnel") == [], "it has no commands"


@test
def other_shells_accept_their_files():
    for shell, name in (("zsh", "_jorm"), ("fish", "jorm.fish")):
        if shutil.which(shell):
            subprocess.run([shell, "-n", ROOT / "completions" / name], timeout=60, check=True)


@test
def a_full_disk_is_noticed():
    with open("/dev/full", "w") as full:
        done = subprocess.run([JORM, "version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "cannot write" in done.stderr


if __name__ == "__main__":
    sys.exit(main())
