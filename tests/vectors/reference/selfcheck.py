#!/usr/bin/env python3
"""Holds primitives.py against Project Wycheproof's cases: a sample of each file.

The files are looked for in $JORM_VECTORS, else in ../shared/vectors beside the repository. Without them this exits
with 77, which test runners take as "skipped"; a case that comes out otherwise than its file says gives exit 1.
"""

import json
import os
import pathlib
import sys
import time

import primitives as p

ROOT = pathlib.Path(__file__).resolve().parents[3]
VECTORS = pathlib.Path(os.environ.get("JORM_VECTORS", ROOT / "../shared/vectors"))
SKIPPED = 77


def unhex(case, name):
    return bytes.fromhex(case.get(name) or "")


def expect_equal(got, want):
    if got != want:
        raise p.CheckFailed("another result than the file's")


def check_hmac(digest):
    def check(group, case):
        tag = p.hmac(digest, unhex(case, "key"), unhex(case, "msg"))
        expect_equal(tag[:group["tagSize"] // 8], unhex(case, "tag"))
    return check


def check_hkdf(digest):
    def check(_group, case):
        prk = p.hkdf_extract(digest, unhex(case, "salt"), unhex(case, "ikm"))
        expect_equal(p.hkdf_expand(digest, prk, unhex(case, "info"), case["size"]), unhex(case, "okm"))
    return check


def check_x25519(_group, case):
    expect_equal(p.x25519(unhex(case, "private"), unhex(case, "public")), unhex(case, "shared"))


def check_aead(seal, open_):
    def check(_group, case):
        key, nonce, aad = unhex(case, "key"), unhex(case, "iv"), unhex(case, "aad")
        sealed = unhex(case, "ct") + unhex(case, "tag")
        expect_equal(open_(key, nonce, aad, sealed), unhex(case, "msg"))
        expect_equal(seal(key, nonce, aad, unhex(case, "msg")), sealed)
    return check


def jorm_sizes(group):
    return group["keySize"] == 256 and group["ivSize"] == 96


def check_kem_keygen(_group, case):
    seed = unhex(case, "seed")
    expect_equal(p.mlkem1024_keygen(seed[:32], seed[32:]), (unhex(case, "ek"), unhex(case, "dk")))


def check_kem_encaps(_group, case):
    expect_equal(p.mlkem1024_encaps(unhex(case, "ek"), unhex(case, "m")), (unhex(case, "K"), unhex(case, "c")))


def check_kem_whole(_group, case):
    seed = unhex(case, "seed")
    if len(seed) != 64:
        raise p.CheckFailed("seed length")
    ek, dk = p.mlkem1024_keygen(seed[:32], seed[32:])
    expect_equal(ek, unhex(case, "ek"))
    expect_equal(p.mlkem1024_decaps(dk, unhex(case, "c")), unhex(case, "K"))


def check_kem_decaps(_group, case):
    expect_equal(p.mlkem1024_decaps(unhex(case, "dk"), unhex(case, "c")), unhex(case, "K"))


def check_sign(dsa):
    def check(group, case):
        if "privateSeed" in group:
            if len(unhex(group, "privateSeed")) != 32:
                raise p.CheckFailed("seed length")
            public, private = dsa.keygen(unhex(group, "privateSeed"))
            expect_equal(public, unhex(group, "publicKey"))
        else:
            private = unhex(group, "privateKey")
        rnd = unhex(case, "rnd") or bytes(32)
        if "msg" in case:
            signature = dsa.sign(private, unhex(case, "msg"), unhex(case, "ctx"), rnd)
        else:
            signature = dsa.sign_mu(private, unhex(case, "mu"), rnd)
        expect_equal(signature, unhex(case, "sig"))
    return check


def check_verify(dsa):
    def check(group, case):
        public, signature = unhex(group, "publicKey"), unhex(case, "sig")
        if "msg" in case:
            dsa.verify(public, unhex(case, "msg"), unhex(case, "ctx"), signature)
        else:
            dsa.verify_mu(public, unhex(case, "mu"), signature)
    return check


# File, how many cases at most, what runs one (raising CheckFailed to refuse it), which groups apply.
TABLE = [
    ("hmac_sha256_test.json", 200, check_hmac("sha256"), None),
    ("hmac_sha384_test.json", 200, check_hmac("sha384"), None),
    ("hkdf_sha256_test.json", 200, check_hkdf("sha256"), None),
    ("hkdf_sha384_test.json", 200, check_hkdf("sha384"), None),
    ("x25519_test.json", 200, check_x25519, None),
    ("chacha20_poly1305_test.json", 400, check_aead(p.chacha20_poly1305_seal, p.chacha20_poly1305_open), jorm_sizes),
    ("aes_gcm_test.json", 400, check_aead(p.aes256_gcm_seal, p.aes256_gcm_open), jorm_sizes),
    ("mlkem_1024_keygen_seed_test.json", 15, check_kem_keygen, None),
    ("mlkem_1024_encaps_test.json", 30, check_kem_encaps, None),
    ("mlkem_1024_test.json", 30, check_kem_whole, None),
    ("mlkem_1024_semi_expanded_decaps_test.json", 10, check_kem_decaps, None),
    ("mldsa_65_sign_seed_test.json", 24, check_sign(p.ML_DSA_65), None),
    ("mldsa_65_sign_noseed_test.json", 6, check_sign(p.ML_DSA_65), None),
    ("mldsa_65_verify_test.json", 40, check_verify(p.ML_DSA_65), None),
    ("mldsa_87_sign_noseed_test.json", 15, check_sign(p.ML_DSA_87), None),
    ("mldsa_87_verify_test.json", 40, check_verify(p.ML_DSA_87), None),
]


def sample(cases, count):
    """Evenly spread; and for each set of flags, which name what a case is about, its first case."""
    step = max(1, -(-len(cases) // count))
    chosen, seen = [], set()
    for i, (group, case) in enumerate(cases):
        flags = (case["result"], *sorted(case.get("flags", [])))
        if i % step == 0 or flags not in seen:
            chosen.append((group, case))
        seen.add(flags)
    return chosen


def agrees(check, group, case):
    try:
        check(group, case)
        return case["result"] != "invalid"
    except p.CheckFailed:
        return case["result"] == "invalid"


def main():
    if not VECTORS.is_dir():
        print(f"no Wycheproof files in {VECTORS}: skipped")
        return SKIPPED
    failures = 0
    for name, count, check, applies in TABLE:
        if not (VECTORS / name).exists():
            print(f"{name}: absent, skipped")
            continue
        started = time.monotonic()
        groups = json.loads((VECTORS / name).read_text())["testGroups"]
        cases = [(g, c) for g in groups if applies is None or applies(g) for c in g["tests"]]
        chosen = sample(cases, count)
        bad = [c["tcId"] for g, c in chosen if not agrees(check, g, c)]
        failures += len(bad)
        verdict = f"WRONG in {bad}" if bad else "agree"
        print(f"{name}: {len(chosen)} of {len(cases)} cases {verdict} ({time.monotonic() - started:.1f} s)")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
