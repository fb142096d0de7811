"""The daemon as jorm@.service runs it: what it tells the service manager, with no more rights than the unit gives."""

import os
import pathlib
import re
import signal
import socket

import wait
from program import IS_SANITISED
from traffic import answers

UNIT = pathlib.Path(__file__).parents[2] / "packaging/systemd/jorm@.service.in"
WATCHDOG_USEC = 400_000


class Manager:
    """The end of $NOTIFY_SOCKET where systemd listens."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)

    def next(self):
        """The next message but signs of life, as {name: value}."""

        def take():
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            return None if "WATCHDOG" in message else message

        return wait.until(take, "the service manager is told something")

    def signs_of_life(self, count):
        return all(b"WATCHDOG=1" in self.socket.recv(4096) for _ in range(count))

    def close(self):
        self.socket.close()


def unit_capabilities():
    """As setpriv wants them: -all,+net_admin,..."""
    names = re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.M)
    return ",".join(["-all"] + [f"+{name[4:].lower()}" for line in names for name in line.split()])


def test_a_service(lab):
    lab.folder.chmod(0o711)
    hook = lab.folder / "environment"
    manager = Manager(lab.folder / "manager")
    server = lab.program(
        lab.server, [lab.peer(lab.client)], Listen="666", User="nobody", PostUp=f"env > {hook}", PreDown="true"
    )
    server.wrapper = [
        "env", f"NOTIFY_SOCKET={manager.path}", f"WATCHDOG_USEC={WATCHDOG_USEC}",
        "setpriv", "--no-new-privs", "--bounding-set", unit_capabilities(),
    ]  # fmt: skip
    client = lab.program(lab.client, [lab.peer(lab.server, 4, port=666)])
    try:
        server.start()
        ready = manager.next()
        pid = server.process.pid
        assert ready["READY"] == "1" and ready["MAINPID"] == str(pid) and ready["STATUS"]
        # The hook has run; it cannot speak in the daemon's name.
        assert hook.exists() and not re.search("NOTIFY_SOCKET|WATCHDOG", hook.read_text())
        client.start()
        client.wait_for_session()
        wait.until(lambda: answers(lab.client, lab.server.inner(4)), "a ping comes back")
        assert manager.signs_of_life(3), "nothing but signs of life while all is well"

        server.process.send_signal(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.next()["READY"] == "1"
        assert os.stat(server.state).st_uid == 65534
        if not IS_SANITISED:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^CapEff:\s*0000000000001000$", status, re.M)
        assert server.stop() == 0
        assert manager.next()["STOPPING"] == "1"
    finally:
        manager.close()
    for word in ("warning: cannot", "error:"):
        assert word not in server.log()


def test_a_service_that_cannot_start_says_nothing_of_ready(lab):
    manager = Manager(lab.folder / "manager")
    server = lab.program(lab.server, [lab.peer(lab.client)], PreUp="false")
    server.wrapper = ["env", f"NOTIFY_SOCKET={manager.path}"]
    try:
        server.fail()
        manager.socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(manager.socket.recv(4096))
        except BlockingIOError:
            pass
        assert not any(b"READY" in message for message in said)
    finally:
        manager.close()
