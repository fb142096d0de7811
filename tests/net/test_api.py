"""The local API of a running server: its documents, its events, its metrics, and who may ask."""

import contextlib
import grp
import json
import re

import pytest

import wait
from program import Connection
from server import Events, Server, ask_as, given
from traffic import ping

STRANGER = 65533
SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\["\\n])*",?)*\})? (-?[\d.]+(?:e[+-]?\d+)?|NaN|[+-]Inf)$')


def get_text(program, path):
    connection = Connection(program.socket)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    return text, answer.headers["Content-Type"]


def parse_metrics(text):
    """{(name, labels): value}; fails where the text is not as Prometheus' format wants it."""
    types, samples, done = {}, {}, set()
    name = None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge"), line
            types[name] = kind
            continue
        match = SAMPLE.match(line)
        assert match, line
        assert match[1] == name and name not in done, f"{line}: all of one name stand together, after their type"
        assert types[name] != "counter" or name.endswith("_total"), line
        assert (match[1], match[2]) not in samples, line
        samples[match[1], match[2] or ""] = float(match[3])
    return samples


def test_the_documents(lab):
    server = Server(lab, clients=2)
    server.start()
    program = server.program
    status = program.api("GET", "/v1/status")
    assert status["interface"] == "tun" and status["listen_port"] == 10666
    assert {peer["name"]: peer["state"] for peer in status["peers"]} == {"c2": "established", "c3": "established"}
    assert status["leases"]["used"] == 4
    assert program.api("GET", "/v1/peers")["peers"][0]["source"] == "folder"
    one = program.api("GET", "/v1/peers/c3")
    assert one["name"] == "c3" and one["addresses"]
    assert {f"{address.split('/')[0]}" for address in one["addresses"]} == {a.split("/")[0] for a in given(server.clients[1])}
    counters = program.api("GET", "/v1/counters")
    assert counters["handshakes"]["established"] == 2 and counters["drops"]["forged"] == 0
    for method, path, code in (
        ("GET", "/v1/peers/nobody", 404), ("DELETE", "/v1/peers/nobody", 404), ("GET", "/v2/status", 404),
        ("DELETE", "/v1/status", 405), ("POST", "/v1/peers", 400), ("DELETE", "/v1/leases/10.99.0.1", 404),
    ):  # fmt: skip
        assert program.api(method, path, {} if method == "POST" else None, code=code)["error"]
    assert "key_id" in program.api("POST", "/v1/peers", {"name": "new"}, code=400)["error"]


def test_events_show_who_comes_and_goes(lab):
    server = Server(lab, clients=2)
    first, second = server.clients
    server.start(first)
    with Events(server.program) as events:
        second.start()
        told = events.wait_for("established", "c3")
        assert told["text"]
        server.wait_for(second)
        second.stop()
        events.wait_for("closed", "c3")
        assert not [event for event in events.all if event.get("peer") == "c2"]


def test_events_of_several_listeners_and_the_daemons_end(lab):
    server = Server(lab, clients=1)
    server.program.start()
    with Events(server.program) as one, Events(server.program) as two:
        server.clients[0].start()
        for events in (one, two):
            events.wait_for("established", "c2")
        assert server.program.stop() == 0, "listeners do not hold it up"
        wait.until(lambda: not one.job.is_alive() and not two.job.is_alive(), "they are told that it ends")


def test_metrics(lab):
    server = Server(lab, clients=2)
    server.start()
    assert ping(server.hosts[0], server.host.inner(4), 5) == 5
    text, kind = get_text(server.program, "/metrics")
    assert kind.startswith("text/plain")
    samples = parse_metrics(text)
    by_peer = {labels for _, labels in samples if "c2" in labels}
    assert by_peer, "the peers are there"
    status = server.program.status()
    received = [value for (name, labels), value in samples.items() if "c2" in labels and "bytes" in name]
    assert received and all(0 < value <= 1e9 for value in received)
    drops = {labels: value for (name, labels), value in samples.items() if "drop" in name}
    assert len(drops) == len(status["drops"])
    # A counter only grows.
    ping(server.hosts[0], server.host.inner(4), 5)
    later = parse_metrics(get_text(server.program, "/metrics")[0])
    assert all(later[key] >= value for key, value in samples.items() if key[0].endswith("_total"))


def test_only_root_may_ask(lab):
    server = Server(lab, clients=1)
    server.program.start()
    lab.folder.chmod(0o711)
    assert ask_as(server.program.socket, 0, 0) == "200"
    assert ask_as(server.program.socket, STRANGER, STRANGER) == "permission"
    # Even when somebody opens the socket's mode: who asks counts.
    server.program.socket.chmod(0o666)
    assert ask_as(server.program.socket, STRANGER, STRANGER) == "403"
    assert ask_as(server.program.socket, 0, 0) == "200"


def test_members_of_the_group_may_ask(lab):
    group = next(g for g in grp.getgrall() if g.gr_name in ("games", "users", "daemon"))
    server = Server(lab, clients=1, ControlGroup=group.gr_name)
    server.program.start()
    lab.folder.chmod(0o711)
    socket = server.program.socket
    assert socket.stat().st_mode & 0o777 == 0o660 and socket.stat().st_gid == group.gr_gid
    assert ask_as(socket, STRANGER, STRANGER, groups=group.gr_gid) == "200"
    assert ask_as(socket, STRANGER, group.gr_gid) == "200"
    server.program.api("POST", "/v1/reload")  # where the list of groups is out of its sight
    assert ask_as(socket, STRANGER, STRANGER, groups=group.gr_gid) == "200"
    assert ask_as(socket, STRANGER, STRANGER) == "permission"
    socket.chmod(0o666)
    assert ask_as(socket, STRANGER, STRANGER) == "403"


@pytest.mark.beside
@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\0" * 100, b"GET", b"GET /v1/status HTTP/9.9\r\n\r\n", b"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{"],
    ids=["silent", "zeros", "cut", "version", "endless"],
)
def test_whoever_is_stuck_holds_up_nobody(lab, request_bytes):
    """Forty connections that do not go on; the tunnel works and others are answered in the end."""
    server = Server(lab, clients=1)
    server.start()
    stuck = [Connection(server.program.socket) for _ in range(40)]
    try:
        for connection in stuck:
            with contextlib.suppress(OSError):  # so many that it does not even take them
                connection.connect()
                connection.sock.sendall(request_bytes)
        assert ping(server.hosts[0], server.host.inner(4), 5) == 5

        def is_answered():
            try:
                return server.program.status()["interface"] == "tun"
            except (OSError, json.JSONDecodeError):
                return False

        wait.until(is_answered, "somebody else is answered", 30)
    finally:
        for connection in stuck:
            connection.close()
