"""Tests of `jorm snek-vpn`, also by that program's own names: older.py JORM, the program with daemon.c in it.

No test gets as far as an interface: what is right on a command line shows by what is wrong behind it.
"""

import os
import pathlib
import subprocess
import sys

from harness import JORM, main, run, test

KEY = "client/snek-cert.priv"


def called(name, *args, code=0):
    """By another name, through a link."""
    if not os.path.islink(name):
        os.symlink(JORM, name)
    done = subprocess.run(
        [f"./{name}", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, f"{name} {args}: exit code {done.returncode}, not {code}: {done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def is_understood(*args):
    """It goes as far as the key file, which is not there."""
    out, err = run("snek-vpn", *args, "-x", "nowhere/key", code=1)
    assert "there is no key file nowhere/key" in err and "usage" not in err, f"{args}: {err}"
    assert "Jormungandr" in out  # the banner of the older program


def is_refused(*args, said=""):
    out, err = run("snek-vpn", *args, code=2)
    assert "usage: jorm snek-vpn" in err and said in err and out == "", f"{args}: {out}{err}"


@test
def it_has_three_names():
    expected = run("snek-vpn", "--help")[0]
    for flag in ("-c, --connect", "-l, --listen", "-kp, --keyport", "-dp, --dataport", "-x, --cert", "-g, --gencert"):
        assert flag in expected, flag
    assert called("snek-vpn", "--help")[0] == called("snek-vpn.py", "-h")[0] == expected
    # The name is all of the path's last part.
    for name in ("snek-vpn2", "snek", "snek-vpn.pyc", "my-snek-vpn"):
        assert "COMMAND" in called(name, "--help")[0], name


@test
def every_flag_is_taken_in_both_spellings():
    for flag in ("-c", "-connect", "--connect"):
        is_understood(flag, "192.0.2.1")
    is_understood("-c192.0.2.1")
    is_understood("--connect=192.0.2.1")
    for flag in ("-kp", "--kp", "-keyport", "--keyport", "-dp", "--dp", "-dataport", "--dataport"):
        for port in ("1", "80", "65535"):
            is_understood("-c", "192.0.2.1", flag, port)
            is_understood("-c", "192.0.2.1", f"{flag}={port}")
    is_understood("-c", "192.0.2.1", "-kp", "443", "--dataport=10666", "--any-source", "--name", "snk7")
    is_understood("-c", "192.0.2.1", "-a", "10.8.0.2/24,fd00::2/64")
    is_understood("-c", "192.0.2.1", "--address=10.8.0.2/24", "--address", "fd00::2/64")
    # -l is what it does without -c, and nothing beside it.
    is_understood("-l", "-c", "192.0.2.1")
    for flag in (["-x", KEY], [f"-x{KEY}"], ["--cert", KEY], [f"--cert={KEY}"]):
        run("snek-vpn", "-g", "client", code=0 if not os.path.exists(KEY) else 1)
        for role in ([], ["-l"], ["--listen"]):
            err = run("snek-vpn", *role, *flag, code=1)[1]
            assert f"{KEY} is no folder" in err, err


@test
def what_cannot_be_meant_is_refused():
    for flag in ("-kp", "-dp", "--keyport", "--dataport"):
        for port in ("", "0", "65536", "-1", "+80", " 80", "80 ", "0x50", "http", "80,443", "8" * 30):
            is_refused("-c", "192.0.2.1", "-x", KEY, f"{flag}={port}", said="1 to 65535")
    for address in ("10.8.0.1/33", "10.8.0.1/24/8", "10.8.0", "nowhere", "fd00::1/129"):
        is_refused("-c", "192.0.2.1", "-x", KEY, f"--address={address}", said="--address")
    is_refused("-c", "192.0.2.1", "-x", KEY, "-a", ",".join(["10.8.0.1/24"] * 17), said="at most 16")
    # Without their values.
    for flag in "-c --connect -x --cert -kp --keyport -dp --dataport -g --gencert -a --address -n --name".split():
        is_refused(flag)
    is_refused("-l", "-x", "keys", "more", said="'more'")
    is_refused("--nonsense")
    is_refused("-z")
    is_refused("--listen=yes", "-x", "keys")


@test
def the_certificate_is_asked_for_as_the_older_program_did():
    is_refused("-c", "192.0.2.1", said="Must specify a certificate for client mode!")
    for role in ([], ["-l"]):
        is_refused(*role, said="Must specify directory containing approved public keys for server mode!")


@test
def a_client_says_what_is_wrong_with_its_key():
    run("keygen", "large", "--type", "ml-dsa-87")
    err = run("snek-vpn", "-c", "192.0.2.1", "-x", "large/snek-cert.priv", code=1)[1]
    assert "ML-DSA-87" in err and "-g" in err, err
    run("keygen", "client")
    for path, said in (("client", "not a regular file"), ("client/snek-cert.pub", "is not a private key")):
        err = run("snek-vpn", "-c", "192.0.2.1", "-x", path, code=1)[1]
        assert path in err and said in err, err
    os.chmod(KEY, 0o622)
    assert "chmod 600" in run("snek-vpn", "-c", "192.0.2.1", "-x", KEY, code=1)[1]


@test
def keys_are_made_once():
    for number, (name, flag) in enumerate((("snek-vpn", "-g"), ("snek-vpn.py", "--gencert"))):
        folder = pathlib.Path(f"keys{number}")
        out, err = called(name, flag, str(folder))
        assert out == "" and err == "Certificates written\n"
        private, public = folder / "snek-cert.priv", folder / "snek-cert.pub"
        assert (private.stat().st_size, public.stat().st_size) == (4032, 1952)
        assert private.stat().st_mode & 0o777 == 0o600
        assert run("keyid", str(private)) == run("keyid", str(public))
        # Not again, whichever of both is there.
        for gone in (None, private):
            if gone:
                gone.unlink()
            before = public.read_bytes()
            assert "exists already" in called(name, flag, str(folder), code=1)[1]
            assert public.read_bytes() == before and (gone is None or not private.exists())


@test
def keys_go_into_a_folder_that_is_there():
    os.mkdir("there")
    called("snek-vpn", "--gencert=there")
    assert sorted(os.listdir("there")) == ["snek-cert.priv", "snek-cert.pub"]


@test
def keys_that_cannot_be_written_are_told_of():
    pathlib.Path("file").write_text("")
    for folder in ("missing/below", "file", "file/below", "/proc", "/proc/below", ""):
        err = called("snek-vpn", "-g", folder, code=1)[1]
        assert "Certificates written" not in err and ("cannot" in err or "no directory" in err), f"{folder}: {err}"
    assert sorted(os.listdir(".")) == ["file", "snek-vpn"]


sys.exit(main())
