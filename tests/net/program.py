"""The program under test ($JORM): its keys, its configuration, one running instance."""

import atexit
import dataclasses
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import wait

JORM = os.environ.get("JORM") or str(pathlib.Path(__file__).resolve().parents[2] / "build/debug/jorm")
IS_SANITISED = b"__asan_init" in pathlib.Path(JORM).read_bytes()
SANITIZER = re.compile(r"^.*(?:ERROR: \w+Sanitizer|runtime error:).*$", re.M)


@dataclasses.dataclass
class Identity:
    private: pathlib.Path
    public: pathlib.Path
    key_id: str


KEYS, KEYS_LOCK = {}, threading.Lock()


def identity(label, algorithm="ml-dsa-65"):
    """The same keys for the same label, made at the first call."""
    with KEYS_LOCK:
        if not KEYS:
            KEYS["folder"] = pathlib.Path(tempfile.mkdtemp(prefix="jorm-keys-"))
            atexit.register(shutil.rmtree, KEYS["folder"], ignore_errors=True)
        if (label, algorithm) not in KEYS:
            folder = KEYS["folder"] / f"{label}-{algorithm}"
            done = subprocess.run(
                [JORM, "keygen", folder, "--type", algorithm], capture_output=True, text=True, timeout=60, check=True
            )
            KEYS[label, algorithm] = Identity(folder / "snek-cert.priv", folder / "snek-cert.pub", done.stdout.strip())
        return KEYS[label, algorithm]


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Program:
    """One configuration on one host, and the process that serves it, if one does."""

    def __init__(self, folder, host, name, interface, peers):
        self.folder, self.host, self.name = folder, host, name
        self.interface, self.peers = interface, peers
        self.path = folder / f"{name}.conf"
        self.socket = folder / f"{name}.sock"
        self.state = folder / f"{name}.state"
        self.log_path = folder / f"{name}.stderr"
        self.process = None
        self.wrapper = []
        self.hangs = []
        self.write()

    def write(self):
        """The file anew, from interface and peers."""
        # User: the same on a host that has a user jorm
        usual = {"ControlSocket": self.socket, "StateDirectory": self.state, "User": "root"}
        interface = usual | self.interface
        sections = {"interface": interface} | {f"peer p{number}": peer for number, peer in enumerate(self.peers)}
        lines = []
        for name, settings in sections.items():
            lines += [f"[{name}]"] + [f"{key} = {value}" for key, value in settings.items() if value is not None] + [""]
        self.path.write_text("\n".join(lines))

    # ---- the process ----

    def spawn(self, *options):
        """`up --foreground`, without waiting for anything."""
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                self.host.command(*self.wrapper, JORM, "up", self.path, "--foreground", *options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def start(self, *options):
        seen = len(self.log())
        self.spawn(*options)
        wait.until(
            lambda: " is up:" in self.log()[seen:] or self.process.poll() is not None, f"{self.name} started", 30
        )
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.log()[seen:]}"

    def fail(self, *options, seconds=30):
        """Starts what cannot start; returns what it says."""
        seen = len(self.log())
        self.spawn(*options)
        code = self.wait(seconds)
        said = self.log()[seen:]
        assert code == 1, f"exit {code}: {said}"
        assert "jorm up: " in said, said
        return said

    def wait(self, seconds=30):
        """The exit code."""
        code = self.process.wait(seconds)
        self.process = None
        return code

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def end(self):
        """However it stands: no process is left. One that does not end by itself is a finding, too."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.hangs.append(f"{self.name}: 20 s after SIGTERM it still ran:\n{self.log()[-3000:]}")
            self.process.kill()
            self.process.wait()

    def cli(self, command, *options, check=True):
        done = subprocess.run(
            [JORM, command, *map(str, options)], capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    # ---- what it says ----

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def complaints(self):
        """What must not be in any run: a sanitiser's report, an end that did not come."""
        text = self.log()
        for path in self.state.glob("*.log"):
            text += path.read_text(errors="replace")
        match = SANITIZER.search(text)
        return self.hangs + ([f"{self.name}: {text[match.start():match.start() + 6000]}"] if match else [])

    def status(self):
        """The status document."""
        return self.api("GET", "/v1/status")

    def api(self, method, path, body=None, code=200):
        """Asks the local API (docs/api.md), as the commands do, but quicker; returns the document."""
        connection = Connection(self.socket)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{self.name}: {error!r}") from error
        finally:
            connection.close()
        assert answer.status == code, f"{method} {path}: {answer.status}, not {code}: {text!r}"
        return json.loads(text)

    def peer(self, number=0):
        return self.status()["peers"][number]

    def named(self, name):
        """The peer of that name, or None."""
        return next((peer for peer in self.status()["peers"] if peer["name"] == name), None)

    def drops(self, reason):
        return self.status()["drops"][reason]

    def wait_for_session(self, number=0, seconds=30):
        wait.until(lambda: self.peer(number)["state"] == "established", f"{self.name} has a session", seconds)

    def wait_for_path(self, number=0, seconds=20):
        """Until the path MTU has been the same for a second."""

        def is_steady():
            size = self.peer(number)["path_mtu"]
            return wait.hold(1, lambda: self.peer(number)["path_mtu"] == size) and size

        return wait.until(is_steady, f"{self.name} knows its path MTU", seconds)

    def describe(self):
        """For whoever reads of a failure: the counters that are not zero, and the end of the log."""
        try:
            status = self.status()
            drops = {name: count for name, count in status["drops"].items() if count}
            peers = [{key: peer[key] for key in ("name", "state", "endpoint", "path_mtu", "epoch")} for peer in status["peers"]]
            text = f"{status['handshakes']} {drops} {peers}"
        except (OSError, ValueError) as error:
            text = f"no status: {error}"
        return f"{self.name}: {text}\n{self.log()[-3000:]}"

    def memory_kib(self, field="VmRSS"):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))
