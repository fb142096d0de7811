"""What cannot work is refused with what is wrong and what to do; nothing is left behind."""

import contextlib
import os
import shutil

import pytest

import wait
from lab import run
from program import JORM, identity
from traffic import answers


@pytest.fixture
def server(lab):
    return lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")


def refused(lab, program, *words):
    """It does not start, says why in these words, and leaves no interface and no socket."""
    before = lab.server.links()
    said = program.fail()
    for word in words:
        assert word in said, said
    assert lab.server.links() == before
    assert not program.socket.exists()
    return said


def test_a_second_daemon_for_one_configuration(lab, server):
    server.start()
    second = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
    said = second.fail()
    assert "already running" in said and "take it down first" in said
    assert "tun" in lab.server.links() and server.status()["interface"] == "tun"


def test_a_port_in_use(lab, server):
    server.start()
    other = lab.program(lab.server, [lab.peer(lab.client)], name="tun1", Listen="10666")
    refused(lab, other, "port 10666 is in use", "ss -ulpn")


def test_a_name_that_is_taken(lab, server):
    lab.server.ip("link add tun type veth peer name nut")
    refused(lab, server, "tun exists already", "choose another Name")


def test_names_by_number(lab):
    """Without a Name: the first free one of snk0, snk1 ..."""
    programs = [lab.program(lab.server, [lab.peer(lab.client)], name=f"t{n}", Name=f"x{n}") for n in (0, 1)]
    for number, program in enumerate(programs):
        del program.interface["Name"]
        program.interface["Address"] = f"10.6{number}.0.1/24"
        program.peers[0]["AllowedIPs"] = f"10.6{number}.0.2/32"
        program.write()
        program.start()
        assert program.status()["interface"] == f"snk{number}"
    assert {"snk0", "snk1"} <= lab.server.links()


def test_no_tun_device(lab, server):
    server.wrapper = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"', "sh"]
    refused(lab, server, "/dev/net/tun", "modprobe tun")


def test_no_right_to_make_an_interface(lab, server):
    server.wrapper = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    refused(lab, server, "CAP_NET_ADMIN", "run as root")


def own_key(lab, program):
    """A copy of the key that a test may spoil."""
    path = lab.folder / "own.priv"
    shutil.copy(program.interface["PrivateKey"], path)
    path.chmod(0o600)
    program.interface["PrivateKey"] = path
    program.write()
    return path


def spoil_missing(path):
    path.unlink()


def spoil_mode(path):
    path.chmod(0o644)


def spoil_short(path):
    os.truncate(path, 4000)


def spoil_empty(path):
    os.truncate(path, 0)


def spoil_public(path):
    shutil.copy(identity(1).public, path)


def spoil_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_mode, spoil_short, spoil_empty, spoil_public, spoil_folder])
def test_a_spoiled_key(lab, server, spoil):
    spoil(own_key(lab, server))
    server.spawn()
    assert server.wait() == 1
    said = server.log()
    assert "own.priv" in said and "PrivateKey" in said, said
    if spoil is spoil_mode:
        assert "chmod" in said
    assert "tun" not in lab.server.links()


def test_a_key_that_another_user_owns(lab, server):
    path = own_key(lab, server)
    os.chown(path, 65534, 65534)
    server.wrapper = ["setpriv", "--reuid=65533", "--clear-groups", "--"]
    lab.folder.chmod(0o755)
    server.spawn()
    assert server.wait() == 1
    assert "own.priv" in server.log()


def test_a_configuration_that_cannot_be_read(lab, server):
    server.path.unlink()
    server.spawn()
    assert server.wait() == 1
    assert str(server.path) in server.log()


def test_every_mistake_at_once(lab, server):
    server.interface |= {"MTU": "3", "Colour": "blue"}
    server.peers[0]["AllowedIPs"] = "10.66.0.300"
    server.write()
    server.spawn()
    assert server.wait() == 1
    said = server.log()
    assert all(word in said for word in ("MTU", "Colour", "AllowedIPs")), said


def test_an_address_that_is_not_ours(lab, server):
    server.interface["Listen"] = "192.0.2.55:10666"
    server.write()
    refused(lab, server, "192.0.2.55", "correct Listen")


def test_a_route_that_another_interface_has(lab, server):
    lab.server.ip("route add 10.99.0.0/16 dev eth0 scope link")
    server.peers[0]["AllowedIPs"] = "10.66.0.2/32, 10.99.0.0/16"
    server.write()
    refused(lab, server, "10.99.0.0/16")


def full_disk(lab, name, files=8):
    """A file system without room for a byte; there may be a file or two more."""
    folder = lab.folder / name
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size=16k,nr_inodes={files}", "none", folder)
    lab.closing.callback(run, "umount", folder, check=False)
    with contextlib.suppress(OSError):
        (folder / "filler").write_bytes(bytes(1 << 20))
    return folder


def test_a_full_disk_for_the_log(lab, server):
    """The log is lost, the tunnel is not."""
    server.interface["StateDirectory"] = full_disk(lab, "full")
    server.write()
    lab.server.run(JORM, "up", server.path)
    client = lab.program(lab.client, [lab.peer(lab.server, 4)])
    client.start()
    client.wait_for_session()
    wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
    server.cli("down", server.path)
    assert "tun" not in lab.server.links()


def test_no_room_for_a_log(lab, server):
    server.interface["StateDirectory"] = full_disk(lab, "full", files=2)
    server.write()
    done = lab.server.run(JORM, "up", server.path, check=False)
    assert done.returncode == 1 and "cannot open the log" in done.stderr and "No space left" in done.stderr
    assert "tun" not in lab.server.links()


def test_a_file_where_the_state_directory_should_be(lab, server):
    (lab.folder / "file").write_text("in the way")
    server.interface["StateDirectory"] = lab.folder / "file/state"
    server.write()
    done = lab.server.run(JORM, "up", server.path, check=False)
    assert done.returncode == 1 and "StateDirectory" in done.stderr
    assert "tun" not in lab.server.links()


def test_no_room_for_a_socket(lab, server):
    server.interface["ControlSocket"] = full_disk(lab, "full", files=2) / "tun.sock"
    server.write()
    refused(lab, server, "/full/tun.sock", "No space left")
