"""One-time pads for tests: the same file at both ends, and links that it holds."""

import os
import shutil

MIB = 1 << 20
BLOCK = 1 << 16
HELLO_MAX = 1 << 20


def make(path, size=16 * MIB, content=None):
    """A pad of random bytes, or of what is given."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        if content is not None:
            file.write(content)
        else:
            for at in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - at)))
    return path


def copy(path, to):
    """The other end's, accessible to its owner only, as the first."""
    shutil.copy(path, to)
    os.chmod(to, 0o600)
    return to


def layout(size):
    """Offset of the traffic, and how many blocks it has (docs/protocol.md, "One-time pads")."""
    slots = min(HELLO_MAX, size // 16) // 256
    end = size // 4096 * 4096
    blocks = (end - 64 - slots * 256) // BLOCK
    return end - blocks * BLOCK, blocks


def peer(lab, host, pad, to=None, protection="otp", **settings):
    """The section of a peer that has a pad; with otp alone it has no key."""
    section = lab.peer(host, to, Protection=protection, Pad=pad, **settings)
    if protection == "otp":
        section["KeyID"] = None
    return section


def pair(lab, protection="otp", size=16 * MIB, content=None, both=None, server=None, client=None, family=4, start=True):
    """Server and client with a pad between them, in a session unless `start` is false."""
    first = make(lab.folder / "server.pad", size, content)
    second = copy(first, lab.folder / "client.pad")
    key = {"PrivateKey": None} if protection == "otp" else {}
    one = lab.program(
        lab.server, [peer(lab, lab.client, first, None, protection)], **{"Listen": "10666"} | key | (both or {}) | (server or {})
    )
    two = lab.program(lab.client, [peer(lab, lab.server, second, family, protection)], **key | (both or {}) | (client or {}))
    if start:
        for program in (one, two):
            program.start()
        for program in (two, one):
            program.wait_for_session()
    return one, two


def of(program, number=0):
    """What the status says of a peer's pad."""
    return program.peer(number)["pad"]
