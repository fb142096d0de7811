"""jorm pad, as a person calls it: pads.py JORM. Prints TAP."""

import fcntl
import hashlib
import json
import os
import pathlib
import pty
import random
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from harness import JORM, Skip, main, run, test, write

MIB = 1 << 20
BLOCK = 65536


def bytes_of(seed, size):
    """Bytes that look random, always the same."""
    return random.Random(seed).randbytes(size)


def file_of(name, data, mode=0o600):
    path = pathlib.Path(name)
    path.write_bytes(data)
    path.chmod(mode)
    return data


def xor(*parts):
    value = 0
    for part in parts:
        value ^= int.from_bytes(part, "little")
    return value.to_bytes(len(parts[0]), "little")


def no_parts(*but):
    """Nothing unfinished lies about."""
    left = [p.name for p in pathlib.Path().iterdir() if ".part" in p.name and p.name not in but]
    assert not left, left


def wait_for(condition, what):
    """Polls, for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"not within a minute: {what}"


class Pad:
    """A pad of `size` bytes with a ledger that says what is given."""

    def __init__(self, size=8 * MIB, name="a.pad"):
        self.name, self.size, self.data = name, size, file_of(name, bytes_of(name, size))
        self.slots = min(MIB, size // 16) // 256
        end = size // 4096 * 4096
        self.blocks = (end - 64 - self.slots * 256) // BLOCK
        self.traffic = end - self.blocks * BLOCK
        self.ledger_path = pathlib.Path("state/pads") / f"{self.data[:16].hex()}.ledger"

    def ledger(self, role=1, **marks):
        names = "sequence boundary sent received burned_sent burned_received hello peer_saw peer_saw_hello".split()
        v = {name: 0 for name in [*names, "used_at_first", "first_s"]} | {"sequence": 1, "boundary": self.blocks // 2} | marks
        numbers = struct.pack(
            "<8sIBQ16sQQQQQQIQIQQ", b"jorm-pad", 1, role, v["sequence"], self.data[:16], self.size,
            *(v[name] for name in names[1:]), v["used_at_first"], v["first_s"],
        )  # fmt: skip
        record = numbers.ljust(480, b"\0")
        record += hashlib.sha256(record).digest()
        self.ledger_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file_of(self.ledger_path, record.ljust(4096, b"\0") + bytes(4096))
        return self


def info(name="a.pad"):
    return json.loads(run("pad", "info", name, "--state", "state", "--json")[0])


# ---- new ----


@test
def new_makes_a_pad_of_the_system_s_bytes():
    out, err = run("pad", "new", "a.pad", "--size", "3M")
    path = pathlib.Path("a.pad")
    data = path.read_bytes()
    assert (len(data), path.stat().st_mode & 0o777) == (3 * MIB, 0o600)
    assert out == f"a.pad is a pad of 3145728 bytes, ID {data[:16].hex()}\n"
    assert "CSPRNG" in err and "not information-theoretic" in err
    no_parts()
    run("pad", "new", "b.pad", "--size", "3145728")
    assert pathlib.Path("b.pad").read_bytes() != data
    run("pad", "check", "a.pad")


@test
def new_takes_sizes_in_powers_of_1024():
    for size, wanted in (("1M", MIB), ("1024k", MIB), ("1048577", MIB + 1), ("2MiB", 2 * MIB), ("2mib", 2 * MIB)):
        run("pad", "new", "a.pad", "--size", size)
        assert pathlib.Path("a.pad").stat().st_size == wanted
        os.remove("a.pad")
    for size in ("", "M", "1.5G", "-1M", "+1M", " 1M", "1MB", "1 M", "1X", "1Mi", "0x100000", "1M,1M", "9" * 30, "9999999T",
                 "0", "1023K", "1048575", "257T"):  # fmt: skip
        assert "--size" in run("pad", "new", "a.pad", "--size", size, code=2)[1], size
    no_parts()
    assert not pathlib.Path("a.pad").exists()


@test
def new_joins_sources_by_xor():
    size = 2 * MIB + 12345
    parts = [file_of(f"s{i}", bytes_of(i, size + 1000 * i)) for i in range(3)]
    out, err = run("pad", "new", "a.pad", "--size", str(size), "--source", "s0", "-S", "s1", "--source=s2")
    assert pathlib.Path("a.pad").read_bytes() == xor(*(part[:size] for part in parts))
    assert "CSPRNG" not in err, "the system's generator is not mixed in"
    run("pad", "new", "b.pad", "--size", str(size), "--source", "s1")
    assert pathlib.Path("b.pad").read_bytes() == parts[1][:size]
    no_parts()


@test
def new_reads_streams():
    os.mkfifo("fifo")
    data = bytes_of(7, 2 * MIB)
    with subprocess.Popen([JORM, "pad", "new", "a.pad", "--size", "2M", "--source", "fifo"], stdout=subprocess.DEVNULL) as made:
        with open("fifo", "wb") as fifo:
            for at in range(0, len(data), 60000):
                fifo.write(data[at : at + 60000])
        assert made.wait(60) == 0
    assert pathlib.Path("a.pad").read_bytes() == data
    run("pad", "new", "b.pad", "--size", "1M", "--source", "/dev/urandom", "--source", "/dev/urandom")
    with open("a.pad", "rb") as stdin:
        command = [JORM, "pad", "new", "c.pad", "--size", "1M", "--source", "/dev/stdin"]
        subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, timeout=60, check=True)
    assert pathlib.Path("c.pad").read_bytes() == data[:MIB]


@test
def new_says_what_is_wrong_with_a_source():
    file_of("good", bytes_of(1, MIB))
    file_of("short", bytes_of(2, MIB - 1))
    os.mkdir("folder")
    os.symlink("good", "again")
    file_of("flat", b"x" * MIB)
    for sources, said in (
        (["nowhere"], "nowhere: No such file"),
        (["good", "short"], "short ends after"),
        (["folder"], "folder is a folder"),
        (["good", "good"], "name it once"),
        (["good", "again"], "name it once"),
        (["flat"], "same byte"),
        (["/dev/zero"], "same byte"),
        (["/dev/null"], "/dev/null ends after"),
    ):
        options = [word for source in sources for word in ("--source", source)]
        _, err = run("pad", "new", "a.pad", "--size", "1M", *options, code=1)
        assert said in err and err.startswith("jorm pad new: "), (sources, err)
        assert not pathlib.Path("a.pad").exists()
        if sources != ["/dev/null"]:  # a stream may give more another time
            no_parts()
    os.remove("a.pad.part")
    file_of("copy", bytes_of(1, MIB))  # XORed with what it is a copy of
    assert "same byte" in run("pad", "new", "a.pad", "--size", "1M", "--source", "good", "--source", "copy", code=1)[1]
    options = ["--source", "good"] * 17
    assert "16 sources" in run("pad", "new", "a.pad", "--size", "1M", *options, code=2)[1]


@test
def new_overwrites_nothing():
    os.symlink("elsewhere", "link")
    os.mkdir("folder")
    file_of("a.pad", b"mine")
    for name in ("a.pad", "link", "folder"):
        assert "not overwritten" in run("pad", "new", name, "--size", "1M", code=1)[1]
    assert pathlib.Path("a.pad").read_bytes() == b"mine" and not pathlib.Path("elsewhere").exists()
    assert "No such file" in run("pad", "new", "nowhere/a.pad", "--size", "1M", code=1)[1]
    assert "too long" in run("pad", "new", "x" * 5000, "--size", "1M", code=1)[1]
    no_parts()


def as_nobody(*args):
    """The same as a user without rights; nothing special for who is none already."""
    options = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run([JORM, *args], capture_output=True, text=True, timeout=60, **options)


@test
def new_needs_rights():
    file_of("secret", bytes_of(1, MIB), 0o000)
    os.chmod(".", 0o555)
    try:
        may_run = as_nobody("version").returncode == 0
    except PermissionError:
        may_run = False
    if not may_run:
        raise Skip("nobody may not run the program where it lies")
    done = as_nobody("pad", "new", "a.pad", "--size", "1M")
    assert done.returncode == 1 and "Permission denied" in done.stderr, done.stderr
    os.chmod(".", 0o777)
    done = as_nobody("pad", "new", "a.pad", "--size", "1M", "--source", "secret")
    assert done.returncode == 1 and "secret: Permission denied" in done.stderr, done.stderr
    no_parts()


def on_small_disk(size, script):
    """A shell script in a folder `disk` with a file system of its own, of that size."""
    os.mkdir("disk")
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    mount = f"mount -t tmpfs -o size={size} none disk && cd disk && "
    if subprocess.run([*unshare, "true"], capture_output=True, timeout=60).returncode:
        raise Skip("no mount namespaces here")
    return subprocess.run([*unshare, "sh", "-c", mount + script, "sh", JORM], capture_output=True, text=True, timeout=60)


@test
def new_is_told_at_once_of_a_full_disk():
    done = on_small_disk("3m", 'ls -A; "$1" pad new a.pad --size 4M; echo "$?"; ls -A')
    assert done.stdout == "1\n", done
    assert "the disk is full: 4.00 MiB more are wanted, and 3.00 MiB are free" in done.stderr, done


@test
def new_goes_on_after_a_full_disk():
    data = file_of("source", bytes_of(1, 4 * MIB))
    command = ["pad", "new", "a.pad", "--size", "4M", "--source", "source"]

    def limit():
        """Most file systems do not tell of this one when the room is allocated beforehand."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, 2 * MIB))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run([JORM, *command], capture_output=True, text=True, timeout=60, preexec_fn=limit)
    assert done.returncode == 1 and "no file as large as this" in done.stderr, done.stderr
    said = run(*command)[1]
    if "are in a.pad.part" in done.stderr:  # some file systems are asked for the room beforehand, and tell then
        assert "2.00 MiB of 4.00 MiB are in a.pad.part; the same command again goes on" in done.stderr, done.stderr
        assert "going on after 2.00 MiB" in said
    assert pathlib.Path("a.pad").read_bytes() == data
    no_parts()


@test
def new_stays_unfinished_on_a_full_disk():
    file_of("source", bytes_of(1, 2 * MIB))
    make = '"$1" pad new a.pad --size 2M --source /dev/stdin'
    done = on_small_disk("3m", f"""
        head -c 1M ../source | {make}
        truncate -s 1025K a.pad.part # the room that was taken is given back ...
        truncate -s 1M a.pad.part
        head -c 2M /dev/zero >filler 2>/dev/null # ... to another
        tail -c 1M ../source | {make}
        rm filler
        tail -c 1M ../source | {make} && cmp a.pad ../source && ls
    """)
    assert done.returncode == 0 and done.stdout.endswith("\na.pad\n"), done
    assert "/dev/stdin ends after 1.00 MiB" in done.stderr and "the disk is full: 1.00 MiB more are wanted" in done.stderr, done


def begin(*args):
    return subprocess.Popen([JORM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def size_of(name):
    try:
        return os.stat(name).st_size
    except FileNotFoundError:
        return 0


@test
def new_goes_on_after_it_was_killed():
    size, chance = 144 * MIB + 777, random.Random(1)
    file_of("s1", bytes_of(1, size))
    file_of("s2", b"\x5a" * size)
    command = ["pad", "new", "a.pad", "--size", str(size), "--source", "s1", "--source", "s2"]
    for _ in range(8):
        at = chance.randrange(size)
        with begin(*command) as made:
            wait_for(lambda at=at, made=made: size_of("a.pad.part") > at or made.poll() is not None, "it writes")
            made.kill()
        if pathlib.Path("a.pad").exists():
            break
    else:
        run(*command)
    whole = pathlib.Path("a.pad").read_bytes()
    assert len(whole) == size and whole.translate(bytes(b ^ 0x5A for b in range(256))) == pathlib.Path("s1").read_bytes()
    if pathlib.Path("a.pad.part.journal").exists():  # it was killed just before it would have deleted that
        assert "not overwritten" in run(*command, code=1)[1]
    no_parts("a.pad.part.journal")


@test
def new_can_be_interrupted():
    data = bytes_of(1, 3 * MIB)
    os.mkfifo("fifo")
    command = ["pad", "new", "a.pad", "--size", "3M", "--source", "fifo"]
    for number in (signal.SIGINT, signal.SIGTERM):
        written = size_of("a.pad.part")
        with begin(*command) as made:
            with open("fifo", "wb") as fifo:
                fifo.write(data[written : written + MIB])
                fifo.flush()
                wait_for(lambda: size_of("a.pad.part") >= written + MIB, "it writes")
                made.send_signal(number)
                _, err = made.communicate(timeout=60)
        assert made.returncode == 1 and "interrupted" in err, err
        assert f"{written // MIB + 1}.00 MiB of 3.00 MiB are in a.pad.part; the same command again goes on" in err, err
    with begin(*command) as made:
        with open("fifo", "wb") as fifo:
            fifo.write(data[2 * MIB :])
        assert made.wait(60) == 0
    assert pathlib.Path("a.pad").read_bytes() == data
    no_parts()
    with begin("pad", "new", "b.pad", "--size", "3M", "--source", "fifo") as made:  # while it waits for somebody to write
        wait_for(lambda: made.poll() is not None or made.terminate(), "it ends")
        assert made.wait(60) in (1, -signal.SIGTERM)
    no_parts()


def unfinished(*options):
    """Leaves 1 MiB of 2 of a pad."""
    command = [JORM, "pad", "new", "a.pad", "--size", "2M", "--source", "/dev/stdin", *options]
    done = subprocess.run(command, input=bytes_of(1, MIB), capture_output=True, timeout=60)
    assert done.returncode == 1 and pathlib.Path("a.pad.part").exists(), done.stderr


@test
def new_goes_on_only_with_what_it_began():
    file_of("s1", bytes_of(1, 4 * MIB))
    unfinished()
    before = pathlib.Path("a.pad.part").read_bytes()
    assert "another size" in run("pad", "new", "a.pad", "--size", "3M", "--source", "/dev/stdin", code=1)[1]
    for options in ((), ("--source", "s1"), ("--source", "/dev/stdin", "--source", "s1")):
        assert "other sources" in run("pad", "new", "a.pad", "--size", "2M", *options, code=1)[1]
    assert pathlib.Path("a.pad.part").read_bytes() == before
    run("pad", "new", "a.pad", "--size", "3M", "--source", "s1", "--force")
    assert pathlib.Path("a.pad").read_bytes() == pathlib.Path("s1").read_bytes()[: 3 * MIB]
    no_parts()
    # a part that is nobody's, and a journal that is none
    file_of("b.pad.part", b"mine")
    assert "nothing says what it is" in run("pad", "new", "b.pad", "--size", "1M", code=1)[1]
    assert pathlib.Path("b.pad.part").read_bytes() == b"mine"
    file_of("b.pad.part.journal", b"nonsense")
    assert "nothing says what it is" in run("pad", "new", "b.pad", "--size", "1M", code=1)[1]
    run("pad", "new", "b.pad", "--size", "1M", "--force")
    # one whose part has gone begins anew; one that was cut is not believed
    os.remove("a.pad")
    unfinished()
    os.remove("a.pad.part")
    unfinished()
    os.truncate("a.pad.part", 1000)
    assert "not what was written" in run("pad", "new", "a.pad", "--size", "2M", "--source", "/dev/stdin", code=1)[1]


@test
def new_notices_a_source_that_has_changed():
    file_of("s1", bytes_of(2, 4 * MIB))
    unfinished("--source", "s1")
    os.utime("s1", (1, 1))
    options = ("--source", "/dev/stdin", "--source", "s1")
    assert "have changed" in run("pad", "new", "a.pad", "--size", "2M", *options, code=1)[1]


@test
def new_is_alone():
    os.mkfifo("fifo")
    command = ["pad", "new", "a.pad", "--size", "2M", "--source", "fifo"]
    with begin(*command) as made, open("fifo", "wb") as fifo:
        wait_for(lambda: pathlib.Path("a.pad.part").exists(), "it has begun")
        for options in ((), ("--force",)):
            with begin(*command, *options) as other, open("fifo", "wb"):
                _, err = other.communicate(timeout=60)
            assert other.returncode == 1 and "another jorm pad new" in err, err
        fifo.write(bytes_of(1, 2 * MIB))
        fifo.close()
        assert made.wait(60) == 0
    assert pathlib.Path("a.pad").read_bytes() == bytes_of(1, 2 * MIB)
    no_parts()


def peak_kib(*args):
    with begin(*args) as done:
        _, status, usage = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
    assert done.returncode == 0, args
    return usage.ru_maxrss


@test
def pads_larger_than_memory_are_fine():
    file_of("large", bytes_of(1, 16 * MIB) * 10)
    small = peak_kib("pad", "new", "a.pad", "--size", "1M", "--source", "large")
    assert peak_kib("pad", "new", "b.pad", "--size", "160M", "--source", "large") < small + 8 * 1024
    assert peak_kib("pad", "split", "b.pad", "c.pad", "d.pad", "--state", "state") < small + 8 * 1024
    assert peak_kib("pad", "check", "b.pad", "--force") < small + 40 * 1024


def said(terminal, seconds):
    """What comes within that time."""
    return os.read(terminal, 65536) if select.select([terminal], [], [], seconds)[0] else b""


@test
def progress_is_shown_on_a_terminal():
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    os.mkfifo("fifo")
    command = [JORM, "pad", "new", "a.pad", "--size", "64M", "--source", "fifo"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave, env=os.environ | {"TERM": "vt100"}) as made:
        os.close(slave)
        seen = b""
        with open("fifo", "wb") as fifo:
            while b" left" not in seen:
                fifo.write(bytes_of(1, MIB // 4))
                seen += said(master, 0.3)
            made.terminate()
        made.wait(60)
        seen += said(master, 0)
    os.close(master)
    lines = seen.decode().split("\r\x1b[K")
    assert re.fullmatch(r"\[#*\.+\] \d+ %, [\d.]+ [KM]iB of 64.00 MiB, [\d.]+ [KM]iB/s, .* left", lines[1]), lines
    assert all(len(line) < 120 for line in lines[1:-1])
    assert lines[-1].startswith("jorm pad new: "), lines
    # elsewhere there is a line every half minute
    assert run("pad", "new", "b.pad", "--size", "8M")[1].count("\n") == 1


# ---- check ----


def check(name="a.pad", code=0, *options):
    return json.loads(run("pad", "check", name, "--state", "state", "--json", *options, code=code)[0])


def weak_tests(document):
    return [t["name"] for t in document["tests"] if t["weak"]]


@test
def check_passes_what_is_random():
    Pad()
    out, err = run("pad", "check", "a.pad", "--state", "state")
    assert err == "" and "No" in out and "no proof" in out and "WEAK" not in out
    document = check()
    assert document["verdict"] == "good" and weak_tests(document) == [] and len(document["tests"]) == 7
    assert (document["size"], document["tested"], document["missing"]) == (8 * MIB, 8 * MIB, 0)


@test
def check_finds_what_cannot_be_random():
    good = bytearray(bytes_of(1, 4 * MIB))
    text = b"The quick brown fox jumps over the lazy dog. " * 100000
    for name, data, tests in (
        ("zeros", good[:MIB] + bytes(100) + good[MIB + 100 :], ["zeros", "runs"]),
        ("repeat", good[:-100000] + good[5000:105000], ["repeats"]),
        ("text", text[: 4 * MIB], ["ones", "bytes", "pairs"]),
        ("high bit", bytes(b | 128 for b in good), ["ones", "bytes", "pairs"]),
    ):
        file_of("a.pad", data)
        document = check(code=1)
        assert document["verdict"] == "weak" and set(tests) <= set(weak_tests(document)), (name, document)
        out, _ = run("pad", "check", "a.pad", code=1)
        assert "WEAK" in out and "The pad is weak" in out
        assert run("pad", "check", "a.pad", "--force")[0] == out
    file_of("a.pad", good[:-100000] + good[5000:105000])
    assert re.search(r"Bytes at offset \d+ are those at \d+ again", run("pad", "check", "a.pad", code=1)[0])


@test
def check_refuses_what_is_constant():
    file_of("a.pad", b"\xff" * 2 * MIB)
    out, err = run("pad", "check", "a.pad", code=1)
    assert out == "" and "not usable as a pad: all its bytes are the same" in err
    assert "WEAK" in run("pad", "check", "a.pad", "--force")[0]
    assert check(code=1)["verdict"] == "constant"
    file_of("b.pad", b"")
    os.truncate("b.pad", 2 * MIB)
    assert "not usable" in run("pad", "check", "b.pad", "--state", "state", code=1)[1]


@test
def check_says_what_is_no_pad():
    os.mkdir("folder")
    os.mkfifo("fifo")
    file_of("short", b"x" * (MIB - 1))
    for name, said in (("nowhere", "No such file"), ("folder", "not a regular file"), ("fifo", "not a regular file"),
                       ("short", "from 1048576"), ("/dev/urandom", "not a regular file")):  # fmt: skip
        assert said in run("pad", "check", name, code=1)[1], name


def punch(name, offset, length):
    done = subprocess.run(["fallocate", "-p", "-o", str(offset), "-l", str(length), name], capture_output=True, timeout=60)
    if done.returncode:
        raise Skip("this file system has no holes")


@test
def check_tells_burned_pad_from_holes():
    pad = Pad()
    end = pad.traffic + pad.blocks * BLOCK
    # the responder's first blocks, and of the initiator's walk two blocks and a part of the third
    punch(pad.name, pad.traffic, 3 * BLOCK)
    punch(pad.name, end - 2 * BLOCK, 2 * BLOCK)
    punch(pad.name, end - 3 * BLOCK, 8192)
    holes = 5 * BLOCK + 8192
    assert (check(code=1)["missing"], check(code=1)["burned"]) == (holes, 0), "nothing says that it was used"
    out, _ = run("pad", "check", pad.name, "--state", "state", code=1)
    assert "are holes, which read as zeros" in out
    pad.ledger(role=1, sent=3 * BLOCK, received=2 * BLOCK + 8192)
    document = check()
    assert (document["verdict"], document["burned"], document["missing"]) == ("good", holes, 0)
    assert document["tested"] == pad.size - holes
    assert "have been burned" in run("pad", "check", pad.name, "--state", "state")[0]
    pad.ledger(role=2, sent=2 * BLOCK + 8192, received=3 * BLOCK)
    assert check()["verdict"] == "good"
    pad.ledger(role=2, sent=2 * BLOCK + 4096, received=3 * BLOCK)
    assert check(code=1)["missing"] == 4096
    pad.ledger(role=1, sent=2 * BLOCK, received=3 * BLOCK)
    assert check(code=1)["missing"] == BLOCK
    write(pad.ledger_path, "nonsense")
    assert "is damaged" in run("pad", "check", pad.name, "--state", "state", code=1)[1]


# ---- info ----


@test
def info_of_a_new_pad():
    pad = Pad(20 * MIB + 5)
    assert info() == {
        "file": "a.pad", "id": pad.data[:16].hex(), "state": "new", "size": pad.size, "identity_bytes": 64,
        "slots": pad.slots, "slots_left": pad.slots, "traffic_offset": pad.traffic, "blocks": pad.blocks,
        "boundary": pad.blocks // 2, "use": None,
    }  # fmt: skip
    out, err = run("pad", "info", "a.pad", "--state", "state")
    assert pad.data[:16].hex() in out and "not used yet on this host" in out and err == ""


@test
def info_of_a_pad_in_use():
    pad, day = Pad(), 86400
    half = pad.blocks // 2 * BLOCK
    other = pad.blocks * BLOCK - half
    pad.ledger(
        sent=5 * BLOCK, received=7 * BLOCK, burned_sent=4 * BLOCK, burned_received=BLOCK, hello=9,
        used_at_first=2 * BLOCK, first_s=int(time.time()) - day,
    )  # fmt: skip
    document = info()
    use = document["use"]
    left = half + other - 12 * BLOCK
    assert (document["state"], document["slots_left"]) == ("ready", pad.slots - 9)
    assert {k: use[k] for k in ("role", "share", "sent", "left", "peer_share", "received", "peer_left", "burned", "slots_used")} == {
        "role": "responder", "share": half, "sent": 5 * BLOCK, "left": half - 5 * BLOCK, "peer_share": other,
        "received": 7 * BLOCK, "peer_left": other - 7 * BLOCK, "burned": 5 * BLOCK, "slots_used": 9,
    }  # fmt: skip
    assert abs(use["bytes_per_day"] - 10 * BLOCK) < BLOCK / 100
    assert abs(use["lasts_until_s"] - time.time() - left / (10 * BLOCK) * day) < 120
    out, _ = run("pad", "info", "a.pad", "--state", "state")
    for line in ("role          responder", "state         ready", "burned        320.00 KiB", "used by us    320.00 KiB of "):
        assert line in out, out
    assert re.search(r"^lasts         until \d{4}-\d\d-\d\d \d\d:\d\d, at 6(?:40.00|39.99) KiB a day as of late$", out, re.M), out


@test
def info_says_in_which_state_a_pad_is():
    pad = Pad()
    share = (pad.blocks - pad.blocks // 2) * BLOCK
    for marks, state, said in (
        ({"sent": share - BLOCK}, "low", "low"),
        ({"sent": share}, "used up", "used up"),
        ({"sent": 1000, "peer_saw": 1001}, "old", "jorm pad advance a.pad"),
        ({"sent": 1000, "peer_saw": 1000}, "ready", "not known yet"),
        ({"sent": 1000, "first_s": int(time.time()) + 1000}, "ready", "not known yet"),
        ({"sent": 1, "first_s": 1}, "ready", "longer than anybody needs"),
    ):
        pad.ledger(role=2, **marks)
        assert info()["state"] == state, marks
        out, _ = run("pad", "info", "a.pad", "--state", "state")
        assert said in out and "initiator" in out, out


@test
def info_says_what_is_wrong():
    pad = Pad()
    os.mkdir("folder")
    file_of("short", b"x" * 1000)
    file_of("open", pad.data, 0o644)
    for name, said in (("nowhere", "there is no pad nowhere"), ("folder", "folder"), ("short", "too short"), ("open", "chmod 600")):
        assert said in run("pad", "info", name, "--state", "state", code=1)[1], name
    pad.ledger()
    os.truncate("a.pad", 4 * MIB)
    assert "is of a pad of 8388608" in run("pad", "info", "a.pad", "--state", "state", code=1)[1]
    os.truncate("a.pad", 8 * MIB)
    write(pad.ledger_path, "x" * 8192)
    assert "is damaged" in run("pad", "info", "a.pad", "--state", "state", code=1)[1]
    assert "too long" in run("pad", "info", "a.pad", "--state", "x" * 5000, code=1)[1]


# ---- split ----


@test
def split_cuts_equal_parts():
    pad = Pad(5 * MIB + 999)
    out, err = run("pad", "split", "a.pad", "x", "y", "z", "--state", "state")
    part = pad.size // 3 // 4096 * 4096
    for i, name in enumerate("xyz"):
        path = pathlib.Path(name)
        assert path.read_bytes() == pad.data[i * part : (i + 1) * part] and path.stat().st_mode & 0o777 == 0o600
    assert [line.split()[0] for line in out.splitlines()] == ["x", "y", "z"] and "destroy a.pad" in err
    assert pathlib.Path("a.pad").read_bytes() == pad.data
    no_parts()


@test
def split_cuts_parts_of_given_sizes():
    pad = Pad(5 * MIB)
    run("pad", "split", "a.pad", "x", "y", "--sizes", "1M,3145729", "--state", "state")
    assert pathlib.Path("x").read_bytes() == pad.data[:MIB]
    assert pathlib.Path("y").read_bytes() == pad.data[MIB : MIB + 3145729]
    run("pad", "split", "a.pad", "all", "--sizes", "5M", "--state", "state")
    assert pathlib.Path("all").read_bytes() == pad.data


@test
def split_refuses_what_does_not_fit():
    Pad(5 * MIB)
    file_of("there", b"mine")
    os.mkdir("folder")
    for args, said in (
        (["x", "y", "--sizes", "3M,3M"], "larger than a.pad"),
        (["x", "y", "--sizes", "1M,8388607T"], "larger than a.pad"),
        (["x", "y", "--sizes", "1M,1023K"], "y would have 1047552 bytes"),
        (list("uvwxyz"), "1M at least"),
        (["x", "there"], "there exists"),
        (["x", "folder"], "folder exists"),
        (["x", "nowhere/y"], "No such file"),
        (["x", "x"], "x exists"),
    ):
        assert said in run("pad", "split", "a.pad", *args, "--state", "state", code=1)[1], args
        assert not pathlib.Path("x").exists() and not pathlib.Path("u").exists(), "all or nothing"
        no_parts()
    assert pathlib.Path("there").read_bytes() == b"mine"
    run("pad", "split", "nowhere", "x", "y", code=1)
    file_of("x.part", b"mine")
    assert "x.part is there already" in run("pad", "split", "a.pad", "x", "y", "--state", "state", code=1)[1]


@test
def split_refuses_a_pad_that_was_used():
    pad = Pad(5 * MIB).ledger(hello=1)
    assert "have been used already" in run("pad", "split", "a.pad", "x", "y", "--state", "state", code=1)[1]
    pad.ledger(sent=1)
    assert "--force" in run("pad", "split", "a.pad", "x", "y", "--state", "state", code=1)[1]
    assert not pathlib.Path("x").exists()
    run("pad", "split", "a.pad", "x", "y", "--state", "state", "--force")
    pad.ledger()
    run("pad", "split", "a.pad", "v", "w", "--state", "state")
    with open("a.pad", "rb") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        assert "is using" in run("pad", "split", "a.pad", "t", "u", "--state", "state", code=1)[1]


class KeyFile:
    """A file that otptunnel has used: as the client (role 3), from its ledger's marks."""

    def __init__(self, size=4 * MIB, mode=0o600):
        self.data = file_of("key", bytes_of("key", size), mode)
        identity = hashlib.sha256(b"jorm otptunnel pad id v1" + self.data[:64]).digest()[:16]
        self.ledger_path = pathlib.Path("state/pads") / f"{identity.hex()}.ledger"
        self.identity, self.size = identity, size

    def ledger(self, sent, received, role=3):
        record = struct.pack("<8sIBQ16sQQQQ", b"jorm-pad", 1, role, 1, self.identity, self.size, 0, sent, received)
        record = record.ljust(480, b"\0")
        record += hashlib.sha256(record).digest()
        self.ledger_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file_of(self.ledger_path, record.ljust(4096, b"\0") + bytes(4096))
        return self


@test
def info_of_otptunnel_s_key_file():
    KeyFile(mode=0o644).ledger(sent=1000, received=2 * MIB + 1)
    assert info("key") == {
        "file": "key", "state": "otptunnel", "size": 4 * MIB,
        "use": {"role": "client", "share": 2 * MIB, "sent": 500, "left": 2 * MIB - 500, "peer_share": 2 * MIB,
                "received": MIB, "peer_left": MIB, "unused_from": 2 * MIB + 1},
    }  # fmt: skip
    out = run("pad", "info", "key", "--state", "state")[0]
    assert "used by otptunnel" in out and "even offsets" in out
    assert "used by peer  1.00 MiB of 2.00 MiB (50.0 %)" in out
    assert f"jorm pad split key OUT --from {2 * MIB + 1}" in out
    # A small one, all used: nothing is left to be split.
    KeyFile(size=1001).ledger(sent=1001, received=1000, role=4)
    use = info("key")["use"]
    assert (use["role"], use["left"], use["peer_left"], use["unused_from"]) == ("server", 0, 1, 1001)
    assert "pad split" not in run("pad", "info", "key", "--state", "state")[0]


@test
def info_of_a_file_that_otptunnel_has_only_opened():
    key = KeyFile().ledger(sent=0, received=1)
    assert info("key")["state"] == "new"
    key.ledger_path.write_bytes(b"x" * 8192)
    assert "damaged" in run("pad", "info", "key", "--state", "state", code=1)[1]
    key.ledger(sent=100, received=1)
    file_of("key", key.data[:-1])
    assert "restore the whole file" in run("pad", "info", "key", "--state", "state", code=1)[1]


@test
def split_cuts_off_what_otptunnel_has_used():
    key = KeyFile().ledger(sent=1000, received=2001)
    err = run("pad", "split", "key", "p", "q", "--state", "state", code=1)[1]
    assert "otptunnel has used key up to offset 2001" in err and "--from 2001" in err
    err = run("pad", "split", "key", "p", "--from", "2000", "--state", "state", code=1)[1]
    assert "--from 2001" in err
    for words in (["--from", "-1"], ["--from", "x"], ["--from"]):
        run("pad", "split", "key", "p", *words, "--state", "state", code=2)
    no_parts()
    # All of it but less than a page; then parts of given sizes, from further on.
    run("pad", "split", "key", "p", "--from", "2001", "--state", "state")
    whole = (4 * MIB - 2001) // 4096 * 4096
    assert pathlib.Path("p").read_bytes() == key.data[2001 : 2001 + whole]
    out, err = run("pad", "split", "key", "q", "r", "--from", "1M", "--sizes", "1M,1025K", "--state", "state")
    assert pathlib.Path("q").read_bytes() == key.data[MIB : 2 * MIB]
    assert pathlib.Path("r").read_bytes() == key.data[2 * MIB : 3 * MIB + 1024]
    assert "(1023.00 KiB at its end are in no part)" in err
    assert info("p")["state"] == "new"


@test
def split_from_an_offset_has_limits():
    KeyFile()
    for offset in ("4M", "3073K", "5M", "9999G"):
        err = run("pad", "split", "key", "p", "--from", offset, code=1)[1]
        assert "1M at least" in err, offset
    err = run("pad", "split", "key", "p", "--from", "2M", "--sizes", "3M", code=1)[1]
    assert "which has 2097152 bytes from there on" in err
    run("pad", "split", "key", "p", code=2)
    no_parts()
    assert not pathlib.Path("p").exists()
    Pad().ledger(sent=5)
    err = run("pad", "split", "a.pad", "p", "--from", "4M", "--state", "state", code=1)[1]
    assert "have been used already" in err


@test
def split_leaves_nothing_on_a_full_disk():
    Pad(5 * MIB)
    done = on_small_disk("3m", '"$1" pad split ../a.pad x y --state state; echo "$?"; ls -A')
    assert done.stdout == "1\n" and "the disk is full" in done.stderr, done


# ---- advance ----


def marks_of(pad):
    """The newer copy's sent, hello, peer_saw and peer_saw_hello."""
    copies = [struct.unpack_from("<8sIBQ16sQQQQQQIQI", pad.ledger_path.read_bytes(), at) for at in (0, 4096)]
    newer = max(copies, key=lambda copy: copy[3])
    return newer[7], *newer[11:14]


@test
def advance_skips_what_the_peer_has_seen():
    pad = Pad()
    share = (pad.blocks - pad.blocks // 2) * BLOCK
    for role, own in ((1, pad.blocks * BLOCK - share), (2, share)):
        saw, sent, slack = 10 * BLOCK + 5, 3 * BLOCK, (own - 10 * BLOCK - 5) // 4
        pad.ledger(role=role, sent=sent, hello=5, peer_saw=saw, peer_saw_hello=9)
        assert info()["state"] == "old"
        out, err = run("pad", "advance", "a.pad", "--state", "state")
        # the slots of a responder's hellos are the initiator's to skip
        assert marks_of(pad) == (saw + slack, 9 if role == 1 else 25, 0, 0)
        assert "before:" in out and "after:" in out and f"has seen {saw} bytes" in out and err == ""
        assert str(saw + slack) in out and info()["state"] == "ready"
        assert "nothing to advance" in run("pad", "advance", "a.pad", "--state", "state")[0]
        assert marks_of(pad) == (saw + slack, 9 if role == 1 else 25, 0, 0)


@test
def advance_goes_as_far_as_it_is_told():
    pad = Pad()
    share = pad.blocks // 2 * BLOCK
    pad.ledger(sent=BLOCK)
    run("pad", "advance", "a.pad", "--state", "state", "--by", "64K")
    assert marks_of(pad) == (2 * BLOCK, 0, 0, 0)
    assert "are left" in run("pad", "advance", "a.pad", "--state", "state", "--by", str(share - 2 * BLOCK + 1), code=1)[1]
    assert marks_of(pad) == (2 * BLOCK, 0, 0, 0)
    run("pad", "advance", "a.pad", "--state", "state", "--by", str(share - 2 * BLOCK))
    assert marks_of(pad)[0] == share and info()["state"] == "used up"
    assert "make a new pad" in run("pad", "advance", "a.pad", "--state", "state", "--by", "1", code=1)[1]
    pad.ledger(role=2, sent=1, peer_saw=2, peer_saw_hello=pad.slots - 3)
    run("pad", "advance", "a.pad", "--state", "state")
    assert marks_of(pad)[1] == pad.slots
    pad.ledger(sent=1, peer_saw=share)
    assert "make a new pad" in run("pad", "advance", "a.pad", "--state", "state", code=1)[1]
    assert marks_of(pad) == (1, 0, share, 0)


@test
def advance_needs_a_ledger_that_nobody_uses():
    pad = Pad()
    assert "has not been used here" in run("pad", "advance", "a.pad", "--state", "state", code=1)[1]
    assert not pathlib.Path("state").exists()
    pad.ledger(sent=1, peer_saw=2)
    with open(pad.ledger_path, "rb") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        before = pad.ledger_path.read_bytes()
        assert "stop that tunnel first" in run("pad", "advance", "a.pad", "--state", "state", code=1)[1]
        assert info()["state"] == "old", "looking at it is no use of it"
    assert pad.ledger_path.read_bytes() == before
    os.truncate("a.pad", 4 * MIB)
    assert "is not the file" in run("pad", "advance", "a.pad", "--state", "state", code=1)[1]
    os.truncate("a.pad", 8 * MIB)
    file_of(pad.ledger_path, before[:500] + b"x" + before[501:])
    assert "is damaged" in run("pad", "advance", "a.pad", "--state", "state", code=1)[1]


if __name__ == "__main__":
    sys.exit(main())
