"""The house rules that a machine can check: lint.py [ROOT]

Prints FILE:LINE: RULE: what is wrong, for each finding; the exit code is 1 if there is one.
selftest.py proves that each rule finds what it is there for.
"""

import pathlib
import re
import shutil
import subprocess
import sys

# Each has a bad tree in selftest.py.
RULES = (
    "layers libraries unsafe printing ending clocks random system-calls sleeps leftovers machine-paths "
    "registry-hosts headers length shell"
).split()

# ---- the rules' tables -----------------------------------------------------------------------

# For each folder of src/, the folders whose headers it may include besides its own. This is the one
# place where the layers are written down for a machine (docs/architecture.md has them for people).
BELOW_DAEMON = "base crypto wire pad handshake transport engine tun net config store host control"
LAYERS = {
    "base": "",
    "crypto": "base",
    "wire": "base",
    "pad": "base crypto",
    "handshake": "base crypto wire",
    "transport": "base crypto wire pad",
    "engine": "base crypto wire pad handshake transport",
    "tun": "base",
    "net": "base",
    "compat": "base crypto wire pad transport tun net",
    "config": "base crypto pad",
    "store": "base",
    "host": "base net config",
    "control": "base config",
    "daemon": BELOW_DAEMON,
    "cli": "base crypto pad compat config host control daemon",
}

# Header prefix of a library -> the folders that may use it. A library has one home, so that it can
# be replaced there.
LIBRARIES = {
    "openssl/": "crypto",
    "intel-ipsec-mb.h": "crypto",
    "libmnl/": "net",
    "jansson.h": "compat control cli daemon",
    "sqlite3.h": "store",
    "microhttpd.h": "control",
    "curl/": "control",
    "cap-ng.h": "daemon",
    "seccomp.h": "daemon",
    "linux/landlock.h": "daemon",
    "urcu": "engine daemon transport",
}

# Folders that are pure computation: packets, time and randomness come in as arguments.
PURE = "wire handshake transport engine".split()
# Folders that may speak to a person.
SPEAKERS = ("compat", "daemon", "cli")
# The log itself, and the loop of a process of its own, which nobody hears otherwise.
SPEAKING_FILES = ("src/base/log.c", "src/base/log.h", "src/host/keeper_process.c")
# Where a process ends: besides main, what aborts without randomness, and what forks.
ENDING_FILES = ("src/base/rng.c", "src/host/child.c")

UNSAFE = "strcpy strcat sprintf vsprintf gets strtok alloca system popen rand srand random EVP_Cipher"
PRINTING = (
    "printf vprintf puts putchar perror syslog "
    "log_line log_event log_error log_warning log_info log_debug log_set_level log_set_json log_set_tunnel"
)
ENDING = "exit _exit quick_exit abort"
CLOCKS = "time gettimeofday clock_gettime clock"
RANDOM = "getrandom getentropy RAND_bytes RAND_priv_bytes"
SYSTEM_CALLS = (
    "socket bind connect listen accept accept4 send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg "
    "setsockopt getsockopt read write readv writev pread pwrite open openat close fopen ioctl fcntl "
    "poll ppoll select epoll_create1 epoll_ctl epoll_wait eventfd timerfd_create timerfd_settime "
    "nanosleep usleep sleep fork execv execve execvp mmap pthread_create"
)
SLEEPS = "sleep usleep nanosleep clock_nanosleep"

# The files of the tests that may sleep: they poll for a condition, with a deadline.
POLLING_HELPERS = ("tests/net/wait.py", "tests/unit/net/netns.c")

WARN_LINES, MAX_LINES = 500, 800

# Spelled so that this file does not find itself.
LEFTOVERS = re.compile(r"\b(" + "TO" + "DO|FIX" + r"ME|X{3})\b")
MACHINE_PATHS = re.compile(r"(?<![\w./-])/work" + r"/")
REGISTRY_HOSTS = re.compile(
    r"\b(deb|archive|security|snapshot|ftp|registry|index|static|pypi|files|proxy)\."
    r"(debian|ubuntu|npmjs|crates|python|pythonhosted|golang|docker)\.(org|com|io|net)\b"
    r"|\b" + "pypi" + r"\.org\b"
)

TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".build", ".options", ".txt", ".conf", ".pv", ".pvl", ".supp", ""}
# What git ignores, and the fuzzers' inputs, which are no text.
SKIPPED_FOLDERS = {".git", ".deps", "build", "results", "__pycache__", ".pytest_cache", "corpus"}

# ---- reading ---------------------------------------------------------------------------------


def blank(match):
    """Spaces in place of a comment or a literal; line breaks stay, so that line numbers do."""
    return re.sub(r"[^\n]", " ", match.group(0))


COMMENT_OR_LITERAL = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def code_only(text):
    """C without comments and literals; #include lines keep their names."""
    kept = re.sub(r"^[ \t]*#[ \t]*include[^\n]*", lambda m: m.group(0).replace('"', "\0"), text, flags=re.M)
    return COMMENT_OR_LITERAL.sub(blank, kept).replace("\0", '"')


class Tree:
    """A checkout, and the findings in it."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings, self.warnings = [], []
        # Taken from disk, not from git: a machine that only builds has no git.
        self.files = sorted(
            path
            for path in self.root.rglob("*")
            if path.is_file() and not SKIPPED_FOLDERS.intersection(path.relative_to(self.root).parts)
        )

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def report(self, path, line, rule, text):
        assert rule in RULES, rule
        self.findings.append((self.name(path), line, rule, text))

    def c_files(self, *tops):
        """Each C file below the given folders, as (path, its folders' names, its code)."""
        for path in self.files:
            parts = path.relative_to(self.root).parts
            if parts[0] in tops and path.suffix in (".c", ".h"):
                yield path, parts[1:-1], code_only(path.read_text(errors="replace"))

    def report_calls(self, path, code, names, rule, why):
        # Not after "." or ">": a member of a struct is no function of the library.
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(names.split()) + r")\s*\(")
        for match in pattern.finditer(code):
            self.report(path, code.count("\n", 0, match.start()) + 1, rule, f"{match.group(1)}(): {why}")


# ---- the rules -------------------------------------------------------------------------------


def check_layers(tree):
    for path, folders, code in tree.c_files("src"):
        if not folders or folders[0] not in LAYERS:
            tree.report(path, 1, "layers", "this folder is not in the table of layers (tests/lint/lint.py)")
            continue
        allowed = {folders[0], *LAYERS[folders[0]].split()}
        for number, line in enumerate(code.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]*)"', line)
            if match is None:
                continue
            target = match.group(1).split("/")
            if len(target) < 2:
                tree.report(path, number, "layers", f'write the folder too: "{folders[0]}/{match.group(1)}"')
            elif target[0] not in allowed:
                tree.report(path, number, "layers", f"{folders[0]} may not include {target[0]}")


def check_libraries(tree):
    for path, folders, code in tree.c_files("src"):
        folder = folders[0] if folders else ""
        for number, line in enumerate(code.splitlines(), 1):
            match = re.match(r"\s*#\s*include\s*<([^>]*)>", line)
            if match is None:
                continue
            for prefix, allowed in LIBRARIES.items():
                if match.group(1).startswith(prefix) and folder not in allowed.split():
                    tree.report(path, number, "libraries", f"<{match.group(1)}> may be used in {allowed} only")


def check_unsafe(tree):
    for path, _, code in tree.c_files("src", "tests", "bench"):
        tree.report_calls(path, code, UNSAFE, "unsafe", "forbidden everywhere, there is a safe one")


def check_printing(tree):
    for path, folders, code in tree.c_files("src"):
        if (folders and folders[0] in SPEAKERS) or tree.name(path) in SPEAKING_FILES:
            continue
        why = "a library returns an error, only compat, daemon and cli speak"
        tree.report_calls(path, code, PRINTING, "printing", why)
        for match in re.finditer(r"\bv?fprintf\s*\(\s*(?:stdout|stderr)\b", code):
            tree.report(path, code.count("\n", 0, match.start()) + 1, "printing", f"fprintf(): {why}")


def check_ending(tree):
    for path, _, code in tree.c_files("src"):
        if path.name != "main.c" and tree.name(path) not in ENDING_FILES:
            tree.report_calls(path, code, ENDING, "ending", "only main ends the program")


def check_clocks(tree):
    for path, _, code in tree.c_files("src"):
        if tree.name(path) != "src/base/clock.c":
            tree.report_calls(path, code, CLOCKS, "clocks", "time comes from base/clock, or as an argument")


def check_random(tree):
    for path, _, code in tree.c_files("src"):
        if tree.name(path) != "src/base/rng.c":
            tree.report_calls(path, code, RANDOM, "random", "randomness comes from struct rng")


def check_system_calls(tree):
    for path, folders, code in tree.c_files("src"):
        if folders and folders[0] in PURE:
            tree.report_calls(path, code, SYSTEM_CALLS, "system-calls", f"{folders[0]} makes no system calls")


def check_sleeps(tree):
    for path, _, code in tree.c_files("tests"):
        if tree.name(path) in POLLING_HELPERS:
            continue
        tree.report_calls(path, code, SLEEPS, "sleeps", "a test waits for a condition, not for time to pass")
    for path in tree.files:
        name = tree.name(path)
        if path.suffix != ".py" or not name.startswith("tests/net/") or name in POLLING_HELPERS:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\btime\.sleep\(|\bfrom time import\b.*\bsleep\b", line):
                tree.report(path, number, "sleeps", f"wait for a condition, with {POLLING_HELPERS[0]}")


def check_text(tree):
    for path in tree.files:
        if path.suffix not in TEXT_SUFFIXES:
            continue
        data = path.read_bytes()
        if b"\0" in data or len(data) > 1_000_000:
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if LEFTOVERS.search(line):
                tree.report(path, number, "leftovers", "do it, or open an issue")
            if MACHINE_PATHS.search(line):
                tree.report(path, number, "machine-paths", "a path of one developer's machine")
            if REGISTRY_HOSTS.search(line):
                tree.report(path, number, "registry-hosts", "take the archive from the machine's own apt configuration")


def check_headers(tree):
    present = {tree.name(path) for path in tree.files}
    for path, folders, code in tree.c_files("src"):
        name = tree.name(path)
        # A module in several files keeps what they share in a private header.
        part = re.search(r'#\s*include\s*"[^"]*private\.h"', code)
        if path.suffix == ".h":
            text = path.read_text(errors="replace")
            if not text.startswith("/*"):
                tree.report(path, 1, "headers", "starts with a comment: what it knows, what it hides, who owns what")
            if not re.search(r"^#pragma once$", text, re.M):
                tree.report(path, 1, "headers", "has no #pragma once")
        elif folders[:1] != ("cli",) and path.name != "main.c" and not part and name[:-1] + "h" not in present:
            tree.report(path, 1, "headers", f"has no {path.stem}.h beside it")


def check_length(tree):
    for path, _, _ in tree.c_files("src"):
        lines = len(path.read_text(errors="replace").splitlines())
        if lines > MAX_LINES:
            tree.report(path, lines, "length", f"{lines} lines, at most {MAX_LINES}: more than one thing is in there")
        elif lines > WARN_LINES:
            tree.warnings.append(f"{tree.name(path)}: {lines} lines: is it still one thing?")


def check_shell(tree):
    """shellcheck over the shell scripts, where it is installed (scripts/setup test does)."""
    scripts = []
    for path in tree.files:
        if path.suffix in ("", ".sh"):
            with path.open("rb") as file:
                if re.match(rb"#!/bin/(ba)?sh\b|#!/usr/bin/env (ba)?sh\b", file.readline()):
                    scripts.append(path)
    if scripts and shutil.which("shellcheck") is None:
        tree.warnings.append("shellcheck is not installed: the shell scripts are not checked")
        return
    for path in scripts:
        run = subprocess.run(
            ["shellcheck", "--severity=warning", "--format=gcc", path], capture_output=True, text=True, check=False
        )
        for line in run.stdout.splitlines():
            match = re.search(r":(\d+):\d+: (.*)", line)
            if match:
                tree.report(path, int(match.group(1)), "shell", match.group(2))
        if run.returncode > 1:
            tree.report(path, 1, "shell", f"shellcheck failed: {run.stderr.strip()}")


CHECKS = [
    check_layers,
    check_libraries,
    check_unsafe,
    check_printing,
    check_ending,
    check_clocks,
    check_random,
    check_system_calls,
    check_sleeps,
    check_text,
    check_headers,
    check_length,
    check_shell,
]


def lint(root):
    tree = Tree(root)
    for check in CHECKS:
        check(tree)
    return tree


def main(root):
    tree = lint(root)
    if not any(name.startswith("src/") for name in map(tree.name, tree.files)):
        print(f"{root} has no src: nothing to check")
        return 1
    for warning in tree.warnings:
        print(f"warning: {warning}")
    for name, line, rule, text in sorted(tree.findings):
        print(f"{name}:{line}: {rule}: {text}")
    print(f"{len(tree.files)} files, {len(tree.findings)} findings")
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]))
