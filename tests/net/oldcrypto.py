"""The cryptography of the older programs for the scripted peers: oldcrypto.c over libcrypto, and hashlib.

The library is built when it is first wanted, for the net tests' own build folder has the program alone in it; a peer
that runs as a process of its own is told where it is ($OLDCRYPTO)."""

import atexit
import ctypes
import hashlib
import hmac
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
PUBLIC_LEN, PRIVATE_LEN, CIPHERTEXT_LEN = 1568, 3168, 1568
SIGNER_PUBLIC_LEN, SIGNER_PRIVATE_LEN, SIGNATURE_LEN = 1952, 4032, 3309
CONTEXT = b"SEPC-HF5"

LOCK, LOADED = threading.Lock(), {}


class Refused(Exception):
    """libcrypto did not take it: a wrong key, tag, signature or length."""


def shared_object():
    """Builds the library unless somebody has."""
    with LOCK:
        if "path" not in LOADED:
            given = os.environ.get("OLDCRYPTO")
            LOADED["path"] = pathlib.Path(given) if given else build()
        return LOADED["path"]


def build():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jorm-oldcrypto-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    private = HERE.parents[1] / ".deps/libcrypto/lib/pkgconfig"
    paths = [str(private), os.environ.get("PKG_CONFIG_PATH", "")]
    asked = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libcrypto >= 3.5"], check=True, capture_output=True, text=True,
        env=os.environ | {"PKG_CONFIG_PATH": ":".join(filter(None, paths))}, timeout=60,
    )  # fmt: skip
    # Python itself has loaded a libcrypto, maybe an older one: neither may find the other's functions.
    subprocess.run(
        ["cc", "-std=c2x", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", folder / "oldcrypto.so",
         HERE / "oldcrypto.c", *asked.stdout.split(), "-Wl,-Bsymbolic", "-Wl,--exclude-libs,ALL"],
        check=True, timeout=120,
    )  # fmt: skip
    return folder / "oldcrypto.so"


def library():
    path = shared_object()
    with LOCK:
        if "library" not in LOADED:
            # PyDLL: calls keep Python's lock. They take microseconds, and giving it away costs more.
            LOADED["library"] = ctypes.PyDLL(str(path))
            LOADED["library"].old_aead.restype = ctypes.c_void_p
        return LOADED["library"]


def sized(data):
    return (data, ctypes.c_size_t(len(data)))


def keypair(is_kem, seed=None):
    """(public, private), raw: ML-KEM-1024's or ML-DSA-65's."""
    lengths = (PUBLIC_LEN, PRIVATE_LEN) if is_kem else (SIGNER_PUBLIC_LEN, SIGNER_PRIVATE_LEN)
    public, private = map(ctypes.create_string_buffer, lengths)
    given = (None, ctypes.c_size_t(0)) if seed is None else sized(seed)
    if not library().old_keypair(
        int(is_kem), *given, public, ctypes.c_size_t(lengths[0]), private, ctypes.c_size_t(lengths[1])
    ):
        raise Refused("no key pair")
    return public.raw, private.raw


def round_3(secret, ciphertext):
    """Kyber's secret of the third round from ML-KEM's."""
    return hashlib.shake_256(secret + hashlib.sha3_256(ciphertext).digest()).digest(32)


def encapsulate(public, random=None):
    """Kyber1024 of round 3: (ciphertext, secret)."""
    ciphertext, secret = ctypes.create_string_buffer(CIPHERTEXT_LEN), ctypes.create_string_buffer(32)
    m = None if random is None else hashlib.sha3_256(random).digest()
    if not library().old_encapsulate(
        *sized(public), m, ciphertext, ctypes.c_size_t(CIPHERTEXT_LEN), secret, ctypes.c_size_t(32)
    ):
        raise Refused(f"no public key of Kyber1024: {len(public)} bytes")
    return ciphertext.raw, round_3(secret.raw, ciphertext.raw)


def decapsulate(private, ciphertext):
    secret = ctypes.create_string_buffer(32)
    if not library().old_decapsulate(*sized(private), *sized(ciphertext), secret, ctypes.c_size_t(32)):
        raise Refused(f"no ciphertext of Kyber1024: {len(ciphertext)} bytes")
    return round_3(secret.raw, ciphertext)


def sign(private, message, context=CONTEXT, deterministic=False):
    signature = ctypes.create_string_buffer(SIGNATURE_LEN)
    if not library().old_sign(
        *sized(private), *sized(context), int(deterministic), *sized(message), signature, ctypes.c_size_t(SIGNATURE_LEN)
    ):
        raise Refused("no signature")
    return signature.raw


def verify(public, message, signature, context=CONTEXT):
    return bool(library().old_verify(*sized(public), *sized(context), *sized(message), *sized(signature)))


def hkdf(secret, salt, info):
    """RFC 5869 over SHA-256, 32 bytes."""
    prk = hmac.digest(salt, secret, "sha256")
    return hmac.digest(prk, info + b"\1", "sha256")


class Aead:
    """ChaCha20-Poly1305 with one key, for one thread."""

    def __init__(self, key):
        assert len(key) == 32
        calls = library()
        self.contexts = [ctypes.c_void_p(calls.old_aead(key, is_seal)) for is_seal in (1, 0)]
        self.calls = calls
        self.room = ctypes.create_string_buffer(1 << 17)

    def seal(self, nonce, text):
        if not self.calls.old_seal(self.contexts[0], nonce, text, len(text), self.room):
            raise Refused("not sealed")
        return ctypes.string_at(self.room, len(text) + 16)

    def open(self, nonce, sealed):
        if not self.calls.old_open(self.contexts[1], nonce, sealed, len(sealed), self.room):
            raise Refused("the tag is wrong")
        return ctypes.string_at(self.room, len(sealed) - 16)
