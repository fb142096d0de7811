"""Tests of a program's commands: SCRIPT JORM runs the functions marked by @test, each in a folder of its own, and prints
TAP."""

import os
import pathlib
import subprocess
import sys
import tempfile

JORM = os.path.abspath(sys.argv[1])
TESTS = []


class Skip(Exception):
    """Raised by a test that this machine does not allow."""


def test(function):
    TESTS.append(function)
    return function


def run(*args, code=0):
    """Runs a command in the current folder; returns what it said on stdout and stderr."""
    done = subprocess.run([JORM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, f"{args}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def write(name, text, mode=0o600):
    path = pathlib.Path(name)
    path.write_text(text)
    path.chmod(mode)


def main():
    print(f"1..{len(TESTS)}")
    bad = 0
    for number, function in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                function()
                print(f"ok {number} {function.__name__}")
            except Skip as reason:
                print(f"ok {number} {function.__name__} # SKIP {reason}")
            except Exception as error:  # a test that cannot run has failed, too
                bad += 1
                print(f"not ok {number} {function.__name__}")
                print("# " + f"{type(error).__name__}: {error}".replace("\n", "\n# "))
            os.chdir("/")
    return 1 if bad else 0
