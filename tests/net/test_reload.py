"""What changes while the tunnel runs: the file read anew, and peers added by command."""

import shutil
import signal

import pytest

import wait
from program import identity
from server import Server, given
from traffic import Transfer, answers, ping

MIB = 1 << 20


class Streams:
    """A stream for each host, every second one towards it. A context manager: at its end all are compared."""

    def __init__(self, lab, hosts, rate=4 * MIB):
        self.all = []
        for number, host in enumerate(hosts):
            ends = (host, lab.server, lab.server.inner(4)) if number % 2 else (lab.server, host, host.inner(6))
            self.all.append(Transfer(*ends, rate=rate))

    def go_on(self):
        """Until each of them has carried more."""
        for stream in self.all:
            stream.wait_for(MIB // 2)

    def __enter__(self):
        self.go_on()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.go_on()
            for stream in self.all:
                stream.stop()


def start_five(lab, **interface):
    """Five clients with sections and addresses of their own, in sessions."""
    hosts = lab.clients(5)
    server = lab.program(lab.server, [lab.peer(host) for host in hosts], **{"Listen": "10666"} | interface)
    clients = [lab.program(host, [lab.peer(lab.server, 4)]) for host in hosts]
    server.start()
    for client in clients:
        client.start()
    for number, client in enumerate(clients):
        client.wait_for_session()
        server.wait_for_session(number)
    return server, clients


def by_command(program):
    program.cli("reload", program.path)


def by_signal(program):
    seen = program.log().count("reloaded")
    program.process.send_signal(signal.SIGHUP)
    wait.until(lambda: program.log().count("reloaded") > seen, "it says that it has reloaded")


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_reload_under_load(lab, reload):
    """Five streams and not one connection lost, whatever changes beside them."""
    server, clients = start_five(lab)
    newcomer = lab.join("newcomer", 7)
    behind = lab.add_behind(clients[4].host)
    with Streams(lab, [client.host for client in clients]) as streams:
        server.interface["Padding"] = "none"
        server.write()
        reload(server)
        streams.go_on()

        server.peers.append(lab.peer(newcomer))
        server.write()
        reload(server)
        program = lab.program(newcomer, [lab.peer(lab.server, 6)])
        program.start()
        program.wait_for_session()
        assert ping(newcomer, lab.server.inner(4), 3) == 3
        streams.go_on()

        server.peers[4]["AllowedIPs"] += ", 10.2.6.0/24, fd02:6::/64"
        server.write()
        reload(server)
        for address in ("10.2.6.2", "fd02:6::2"):
            assert ping(lab.server, address, 3) == 3, "the new route is there"
            assert ping(behind, lab.server.inner(4 if "." in address else 6), 3) == 3
        streams.go_on()

        server.interface["Reauthenticate"] = "7200"
        server.interface["PushKeepalive"] = "20"
        del server.peers[5]
        server.write()
        reload(server)
        wait.until(lambda: len(server.status()["peers"]) == 5, "the newcomer is gone")
        assert not answers(newcomer, lab.server.inner(4))
    assert server.status()["handshakes"]["established"] == 6
    for client in clients:
        assert client.status()["handshakes"]["initiated"] == 1, "it was one session all the time"
    for stream in streams.all:
        assert stream.received > MIB


def test_a_wrong_file_changes_nothing(lab):
    server, clients = start_five(lab)
    before = server.status()["peers"]
    with Streams(lab, [client.host for client in clients[:2]]) as streams:
        server.interface |= {"MTU": "3", "Padding": "none"}
        del server.peers[4]
        server.write()
        said = server.cli("reload", server.socket, check=False)
        assert said.returncode == 1 and "nothing has been changed" in said.stderr and "MTU" in said.stderr, said.stderr
        seen = len(server.log())
        server.process.send_signal(signal.SIGHUP)
        wait.until(lambda: "MTU" in server.log()[seen:], "the log names it, too")
        streams.go_on()
        server.path.unlink()
        said = server.cli("reload", server.socket, check=False)
        assert said.returncode == 1 and server.path.name in said.stderr, said.stderr
        streams.go_on()
    after = server.status()["peers"]
    keys = ("name", "key_id", "allowed_ips", "state", "epoch")
    assert [[peer[key] for key in keys] for peer in after] == [[peer[key] for key in keys] for peer in before]
    assert ping(clients[4].host, lab.server.inner(4), 3) == 3


@pytest.mark.parametrize(
    "change", [{"Listen": "10777"}, {"Name": "other"}, {"StateDirectory": "elsewhere"}, {"ControlGroup": "daemon"}]
)
def test_what_needs_a_restart_is_named(lab, change):
    server, client = lab.pair()
    server.interface |= change
    server.peers[0]["AllowedIPs"] += ", 10.99.0.0/16"
    server.write()
    said = server.cli("reload", server.socket, check=False)
    text = said.stdout + said.stderr
    assert said.returncode == 1 and next(iter(change)) in text and "take it down and up" in text, text
    assert ping(lab.client, lab.server.inner(4), 3) == 3
    assert server.status()["listen_port"] == 10666 and server.status()["interface"] == "tun"
    assert client.status()["handshakes"]["initiated"] == 1


def test_another_key_of_our_own(lab):
    """Sessions under the old one end; who knows the new one comes in."""
    server, client = lab.pair()
    new = identity("another")
    private = lab.folder / "another.priv"
    shutil.copy(new.private, private)
    private.chmod(0o600)
    server.interface["PrivateKey"] = private
    server.write()
    by_command(server)
    assert server.status()["key_id"] == new.key_id
    client.peers[0]["KeyID"] = new.key_id
    client.write()
    by_command(client)
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")


def test_a_peer_that_leaves_and_one_whose_key_changes(lab):
    """Nothing of a removed peer goes on; another key under the same name is another peer."""
    server, clients = start_five(lab)
    server.peers[1]["KeyID"] = identity("another").key_id
    del server.peers[0]
    server.write()
    by_command(server)
    assert not answers(clients[0].host, lab.server.inner(4))
    assert not answers(clients[1].host, lab.server.inner(4))
    for client in clients[2:]:
        assert ping(client.host, lab.server.inner(4), 3) == 3
    for client in clients[:2]:
        wait.until(
            lambda: answers(client.host, lab.server.inner(4)) or client.status()["handshakes"]["rejected"],
            f"{client.name} is told when it calls again", 35,
        )  # fmt: skip
        assert "this key is not known here" in client.peer()["reject_reason"]


# ---- peers by command ----


def names(program):
    return [peer["name"] for peer in program.status()["peers"]]


def test_peers_by_command(lab):
    """Added, listed, kept over a restart, removed."""
    server = Server(lab, clients=2)
    first, second = server.clients
    (server.keys / "c3.pub").unlink()
    server.start(first)
    key_id = identity(second.host.number).key_id
    server.program.cli("peer", "add", server.program.path, "phone", key_id, "--allowed-ips", "10.99.0.0/16")
    assert "phone" in names(server.program)
    second.start()
    server.wait_for(second)
    assert "10.99.0.0/16" in lab.server.run("ip", "route", "show", "dev", "tun").stdout
    shown = server.program.cli("peer", "list", server.program.path).stdout
    assert "phone" in shown and "10.99.0.0/16" in shown and "c2" in shown
    assert key_id in server.program.cli("peer", "list", server.program.path, "--json").stdout

    address = given(second)
    for end in (server.program.stop, server.program.kill):
        end()
        server.program.start()
        assert set(names(server.program)) == {"c2", "phone"}
        server.wake(second)
        assert given(second) == address
    assert ping(second.host, lab.server.inner(4), 3) == 3
    by_command(server.program)
    assert "phone" in names(server.program), "a reload does not forget it"

    server.program.cli("peer", "remove", server.program.path, "phone")
    assert names(server.program) == ["c2"]
    assert not answers(second.host, lab.server.inner(4))
    assert "10.99.0.0/16" not in lab.server.run("ip", "route", "show", "dev", "tun").stdout
    server.program.stop()
    server.program.start()
    assert names(server.program) == ["c2"]


def test_what_cannot_be_added_or_removed(lab):
    server = Server(lab, clients=2)
    server.program.start()
    key_id = identity("another").key_id

    def refused(*words):
        said = server.program.cli("peer", *words, check=False)
        assert said.returncode in (1, 2), said
        return said.stderr

    path = server.program.path
    assert "c2" in refused("add", path, "c2", key_id), "the name is taken"
    assert "c2" in refused("add", path, "new", identity(2).key_id), "the key is c2's"
    assert "300" in refused("add", path, "new", key_id, "--allowed-ips", "10.0.0.300")
    assert "abc" in refused("add", path, "new", "abc")
    assert "needs a name" in refused("add", path, "two words", key_id)
    assert "nobody" in refused("remove", path, "nobody")
    assert "c2.pub" in refused("remove", path, "c2"), "it is told where the peer comes from"
    assert names(server.program) == ["c2", "c3"]
