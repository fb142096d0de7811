"""jorm protocol 4 as docs/protocol.md describes it, in plain Python: TEST ONLY.

Written from that text alone, never from the C code, so that the two can be held against each other. The names are
the text's: h0 .. h6, PRK, k_hr, T ... Every random value is an argument; nothing here draws any. What a peer must
refuse raises CheckFailed.
"""

import base64
import hashlib
import struct

import primitives as p
from primitives import CheckFailed

VERSION = 4
INIT, RESP, FINISH, DATA, COOKIE, PAD_HELLO, PAD_DATA, PAD_WELCOME, REJECT = 1, 2, 3, 4, 5, 6, 7, 8, 9

BODY_MAX = 1184
INIT_DATAGRAMS = 3
ZERO_NONCE = bytes(12)
NO_MAC2 = bytes(16)
NO_PSK_REF = bytes(16)
NO_PAD_REF = bytes(24)
REASON_MAX = 200

SUITE_CHACHA20_POLY1305, SUITE_AES_256_GCM = 1, 2
SUITES = {
    SUITE_CHACHA20_POLY1305: (p.chacha20_poly1305_seal, p.chacha20_poly1305_open),
    SUITE_AES_256_GCM: (p.aes256_gcm_seal, p.aes256_gcm_open),
}

# alg -> scheme; it gives the sizes of keys and signatures.
ML_DSA = {1: p.ML_DSA_65, 2: p.ML_DSA_87}


def u8(x):
    return struct.pack("<B", x)


def u16(x):
    return struct.pack("<H", x)


def u32(x):
    return struct.pack("<I", x)


def u64(x):
    return struct.pack("<Q", x)


def H(data):
    return hashlib.sha384(data).digest()


def HMAC(key, data):
    return p.hmac("sha384", key, data)


def hmac_sha256(key, data):
    return p.hmac("sha256", key, data)


def hkdf_extract(salt, ikm):
    return p.hkdf_extract("sha384", salt, ikm)


def hkdf_expand(prk, info, length):
    return p.hkdf_expand("sha384", prk, info, length)


def take(data, *sizes):
    """The first parts of data by their sizes, and the rest."""
    parts = []
    for size in sizes:
        if size > len(data):
            raise CheckFailed("too short")
        parts.append(data[:size])
        data = data[size:]
    return *parts, data


def hybrid(kem_secret, x25519_secret):
    if not any(x25519_secret):
        raise CheckFailed("all-zero X25519 result")
    return kem_secret + x25519_secret


# ---------------------------------------------------------------------------------------------------------------------
# Identities

def key_id(alg, pub):
    return hashlib.sha256(b"jorm key id v1" + u8(alg) + pub).digest()


class Identity:
    """A key pair, from the seed xi of FIPS 204's key generation."""

    def __init__(self, alg, xi):
        self.alg, self.xi = alg, xi
        self.pub, self.priv = ML_DSA[alg].keygen(xi)
        self.key_id = key_id(alg, self.pub)
        self.key_id_text = base64.b64encode(self.key_id).decode()

    def sign(self, message, context, rnd):
        return ML_DSA[self.alg].sign(self.priv, message, context, rnd)


def verify(alg, pub, message, context, signature):
    ML_DSA[alg].verify(pub, message, context, signature)


# ---------------------------------------------------------------------------------------------------------------------
# Handshake datagrams

def mac1_key(identifier):
    """Init: identifier is the responder's key ID. Resp and Reject: H(Init). (Finish: k_m3 is the key itself.)"""
    return hashlib.sha256(b"jorm4 mac1" + identifier).digest()


def mac2(cookie, before):
    return hmac_sha256(cookie, before)[:16] if cookie else NO_MAC2


def fragment(kind, sender, receiver, message, key, cookie=None):
    """The datagrams that carry a whole message; `key` is mac1's."""
    bodies = [message[i:i + BODY_MAX] for i in range(0, len(message), BODY_MAX)]
    datagrams = []
    for number, body in enumerate(bodies):
        header = struct.pack("<BBBBIIHH", kind, VERSION, number, len(bodies), sender, receiver, len(message), 0)
        datagram = header + body
        datagram += hmac_sha256(key, datagram)[:16]
        datagrams.append(datagram + mac2(cookie, datagram))
    return datagrams


def reassemble(kind, sender, receiver, datagrams, key):
    """The message of datagrams in any order, repeats allowed."""
    bodies = {}
    for datagram in datagrams:
        header, rest = datagram[:16], datagram[16:]
        kind_, version, number, count, sender_, receiver_, length, reserved = struct.unpack("<BBBBIIHH", header)
        body, mac1 = rest[:-32], rest[-32:-16]
        if (kind_, version, sender_, receiver_, reserved) != (kind, VERSION, sender, receiver, 0):
            raise CheckFailed("handshake header")
        if count != -(-length // BODY_MAX) or number >= count:
            raise CheckFailed("fragment numbers")
        if len(body) != min(BODY_MAX, length - number * BODY_MAX) or len(datagram) < 64:
            raise CheckFailed("fragment length")
        if mac1 != hmac_sha256(key, header + body)[:16]:
            raise CheckFailed("mac1")
        bodies[number] = body
    message = b"".join(body for _, body in sorted(bodies.items()))
    if len(message) != length:
        raise CheckFailed("fragments missing")
    return message


# ---------------------------------------------------------------------------------------------------------------------
# Cookies

def cookie_key(salt, responder_key_id):
    prk = p.hkdf_extract("sha256", salt, responder_key_id)
    return p.hkdf_expand("sha256", prk, b"jorm4 cookie", 32)


def build_cookie(receiver, salt, cookie, responder_key_id, mac1):
    """The Cookie datagram for the sender of a datagram with this mac1."""
    sealed = p.chacha20_poly1305_seal(cookie_key(salt, responder_key_id), ZERO_NONCE, mac1, cookie)
    return struct.pack("<BBHI", COOKIE, VERSION, 0, receiver) + salt + sealed


def open_cookie(datagram, receiver, responder_key_id, mac1):
    header, salt, sealed, rest = take(datagram, 8, 24, 32)
    if header != struct.pack("<BBHI", COOKIE, VERSION, 0, receiver) or rest:
        raise CheckFailed("cookie header")
    return p.chacha20_poly1305_open(cookie_key(salt, responder_key_id), ZERO_NONCE, mac1, sealed)


# ---------------------------------------------------------------------------------------------------------------------
# The key schedule, which both sides walk step by step in the same order

class KeySchedule:
    def __init__(self, responder_key_id):
        self.h0 = H(b"jorm4" + responder_key_id)

    def add_init(self, sender_i, init):
        self.init_hash = H(init)
        self.h1 = H(self.h0 + u32(sender_i) + init)

    def add_exchange(self, sender_r, epk_r, ct, kem_secret, x25519_secret):
        self.h2 = H(self.h1 + u32(sender_r) + epk_r + ct)
        self.PRK = hkdf_extract(self.h2, hybrid(kem_secret, x25519_secret))
        for label, length in (("hr", 32), ("hi", 32), ("m3", 32), ("rj", 32), ("fr", 48), ("s", 48)):
            name = "s" if label == "s" else "k_" + label
            setattr(self, name, hkdf_expand(self.PRK, b"jorm4 " + label.encode(), length))

    def add_responder(self, suite, alg, pub_r):
        self.h3 = H(self.h2 + u8(suite) + u8(alg) + pub_r)

    def add_responder_signature(self, sig_r):
        self.fin_R = HMAC(self.k_fr, H(self.h3 + sig_r))
        self.h4 = H(self.h3 + sig_r + self.fin_R)

    def add_preshared(self, psk, pad_secret):
        self.T = hkdf_extract(self.s, (psk or bytes(32)) + (pad_secret or bytes(64)))
        self.k_fi = hkdf_expand(self.T, b"jorm4 fin i", 48)

    def add_initiator(self, alg, pub_i, psk_ref, pad_ref, request):
        self.h5 = H(self.h4 + u8(alg) + pub_i + psk_ref + pad_ref + request)

    def add_initiator_signature(self, sig_i):
        self.fin_I = HMAC(self.k_fi, H(self.h5 + sig_i))
        self.h6 = H(self.h5 + sig_i + self.fin_I)
        self.k_i2r, self.k_r2i, self.rekey_0 = traffic_keys(self.T, self.h6)


def traffic_keys(secret, transcript):
    """-> k_i2r, k_r2i and the next rekey secret, of a handshake or a rekey."""
    return tuple(hkdf_expand(secret, b"jorm4 " + label + b"\x00" + transcript, length)
                 for label, length in ((b"i2r", 32), (b"r2i", 32), (b"rekey", 48)))


# ---------------------------------------------------------------------------------------------------------------------
# Handshake messages. The build_ functions and the open_ functions both advance the schedule of their side.

def build_init(nonce, suites, epk_i, ek_i):
    message = nonce + u32(suites) + epk_i + ek_i
    return message + bytes(INIT_DATAGRAMS * BODY_MAX - len(message))


def parse_init(message):
    """-> nonce, suites, epk_I, ek_I"""
    nonce, suites, epk_i, ek_i, padding = take(message, 32, 4, 32, 1568)
    if len(message) != INIT_DATAGRAMS * BODY_MAX or any(padding):
        raise CheckFailed("Init")
    return nonce, int.from_bytes(suites, "little"), epk_i, ek_i


def build_resp(ks, identity, suite, sender_r, epk_i, ek_i, x25519_private, kem_m, rnd):
    """-> Resp, sig_R; ks is at h1."""
    epk_r = p.x25519_public(x25519_private)
    kem_secret, ct = p.mlkem1024_encaps(ek_i, kem_m)
    ks.add_exchange(sender_r, epk_r, ct, kem_secret, p.x25519(x25519_private, epk_i))
    ks.add_responder(suite, identity.alg, identity.pub)
    sig_r = identity.sign(ks.h3, b"jorm4 responder", rnd)
    ks.add_responder_signature(sig_r)
    plaintext = u8(suite) + u8(identity.alg) + identity.pub + sig_r + ks.fin_R
    return epk_r + ct + p.chacha20_poly1305_seal(ks.k_hr, ZERO_NONCE, ks.h2, plaintext), sig_r


def open_resp(ks, message, sender_r, suites, x25519_private, dk_i, responder_key_id):
    """-> the suite; ks is at h1 and comes out at h4."""
    epk_r, ct, sealed = take(message, 32, 1568)
    ks.add_exchange(sender_r, epk_r, ct, p.mlkem1024_decaps(dk_i, ct), p.x25519(x25519_private, epk_r))
    plaintext = p.chacha20_poly1305_open(ks.k_hr, ZERO_NONCE, ks.h2, sealed)
    suite, alg, rest = take(plaintext, 1, 1)
    suite, alg = suite[0], alg[0]
    if suite not in SUITES or not suites & suite or alg not in ML_DSA:
        raise CheckFailed("suite or alg")
    pub_r, sig_r, fin_r, rest = take(rest, ML_DSA[alg].public_size, ML_DSA[alg].signature_size, 48)
    if rest or key_id(alg, pub_r) != responder_key_id:
        raise CheckFailed("responder's key")
    ks.add_responder(suite, alg, pub_r)
    verify(alg, pub_r, ks.h3, b"jorm4 responder", sig_r)
    ks.add_responder_signature(sig_r)
    if fin_r != ks.fin_R:
        raise CheckFailed("fin_R")
    return suite


def psk_ref(psk):
    return hmac_sha256(psk, b"jorm4 psk ref")[:16] if psk else NO_PSK_REF


def pad_ref(pad_id, offset):
    return pad_id + u64(offset)


def tlv(kind, value):
    return u8(kind) + u16(len(value)) + value


def build_finish(ks, identity, psk, pad_secret, pad_reference, tlvs, rnd):
    """-> Finish, sig_I; ks is at h4 and comes out complete."""
    request = u16(len(tlvs)) + tlvs
    ks.add_preshared(psk, pad_secret)
    ks.add_initiator(identity.alg, identity.pub, psk_ref(psk), pad_reference, request)
    sig_i = identity.sign(ks.h5, b"jorm4 initiator", rnd)
    ks.add_initiator_signature(sig_i)
    plaintext = u8(identity.alg) + identity.pub + sig_i + ks.fin_I + psk_ref(psk) + pad_reference + request
    plaintext += bytes(-(len(plaintext) + 16) % BODY_MAX)
    return p.chacha20_poly1305_seal(ks.k_hi, ZERO_NONCE, ks.h4, plaintext), sig_i


def open_finish(ks, message, initiator_key_id, psk, pad_secret, pad_reference):
    """-> the request's TLVs; ks is at h4 and comes out complete. The initiator, PSK and pad are those configured."""
    plaintext = p.chacha20_poly1305_open(ks.k_hi, ZERO_NONCE, ks.h4, message)
    alg, rest = take(plaintext, 1)
    alg = alg[0]
    if alg not in ML_DSA:
        raise CheckFailed("alg")
    pub_i, sig_i, fin_i, got_psk_ref, got_pad_ref, length, rest = take(
        rest, ML_DSA[alg].public_size, ML_DSA[alg].signature_size, 48, 16, 24, 2)
    tlvs, padding = take(rest, int.from_bytes(length, "little"))
    if any(padding) or len(padding) >= BODY_MAX or len(message) % BODY_MAX:
        raise CheckFailed("Finish's padding")
    ks.add_initiator(alg, pub_i, got_psk_ref, got_pad_ref, length + tlvs)
    verify(alg, pub_i, ks.h5, b"jorm4 initiator", sig_i)
    if key_id(alg, pub_i) != initiator_key_id:
        raise CheckFailed("initiator not authorised")
    if got_psk_ref != psk_ref(psk) or got_pad_ref != pad_reference:
        raise CheckFailed("another PSK or pad than configured")
    ks.add_preshared(psk, pad_secret)
    ks.add_initiator_signature(sig_i)
    if fin_i != ks.fin_I:
        raise CheckFailed("fin_I")
    return tlvs


def build_reject(ks, finish, code, text):
    reason = u8(code) + text.encode()
    if len(reason) > REASON_MAX:
        raise CheckFailed("reason too long")
    return p.chacha20_poly1305_seal(ks.k_rj, ZERO_NONCE, H(ks.h4 + finish), reason)


def open_reject(ks, finish, message):
    """-> code, text"""
    reason = p.chacha20_poly1305_open(ks.k_rj, ZERO_NONCE, H(ks.h4 + finish), message)
    if not 1 <= len(reason) <= REASON_MAX:
        raise CheckFailed("reason")
    return reason[0], reason[1:].decode()


# ---------------------------------------------------------------------------------------------------------------------
# In-session rekey

def build_rekey1(epk, ek, index, pad_reference):
    return epk + ek + u32(index) + pad_reference


def build_rekey2(epk, ct, index):
    return epk + ct + u32(index)


class Epoch:
    """What a rekey starts from and ends in: r_n, rekey_n and the traffic keys."""

    def __init__(self, r, k_i2r, k_r2i, rekey):
        self.r, self.k_i2r, self.k_r2i, self.rekey = r, k_i2r, k_r2i, rekey

    @classmethod
    def of_handshake(cls, ks):
        return cls(ks.h6, ks.k_i2r, ks.k_r2i, ks.rekey_0)

    def next(self, rekey1, rekey2, kem_secret, x25519_secret, pad_secret):
        """-> the next epoch, T'"""
        r = H(b"jorm4 rekey" + self.r + rekey1 + rekey2)
        secret = hkdf_extract(self.rekey, hybrid(kem_secret, x25519_secret) + (pad_secret or bytes(64)))
        return Epoch(r, *traffic_keys(secret, r)), secret


# ---------------------------------------------------------------------------------------------------------------------
# Frames and Data datagrams

FRAME_IP, FRAME_ETHERNET, FRAME_CONTROL, FRAME_FRAGMENT, FRAME_PROBE = 1, 2, 3, 4, 5
FLAG_PARTIAL_CHECKSUM = FLAG_PROBE_ECHO = 1
BUCKETS = (64, 256, 512)


def frame(kind, flags, body):
    return u8(kind) + u8(flags) + u16(len(body)) + body


def fragment_body(identifier, offset, total, data):
    return u32(identifier) + u16(offset) + u16(total) + data


def parse_frames(plaintext):
    """-> [(kind, flags, body)]; a zero kind byte ends them."""
    frames = []
    while plaintext and plaintext[0]:
        header, rest = take(plaintext, 4)
        kind, flags, length = struct.unpack("<BBH", header)
        body, plaintext = take(rest, length)
        frames.append((kind, flags, body))
    return frames


def bucket_length(length, full):
    """The plaintext's length under `Padding = buckets`, `full` being the most that the path takes."""
    if length > full:
        raise CheckFailed("more than the path takes")
    return next((bucket for bucket in BUCKETS if length <= bucket), full)


def _data_header(receiver, counter):
    return struct.pack("<B3xIQ", DATA, receiver, counter)


def _data_nonce(counter):
    return bytes(4) + u64(counter)


def seal_data(suite, key, receiver, counter, frames, plaintext_length):
    plaintext = frames + bytes(plaintext_length - len(frames))
    header = _data_header(receiver, counter)
    return header + SUITES[suite][0](key, _data_nonce(counter), header, plaintext)


def open_data(suite, key, receiver, datagram):
    """-> counter, plaintext"""
    header, sealed = take(datagram, 16)
    counter = int.from_bytes(header[8:], "little")
    if header != _data_header(receiver, counter):
        raise CheckFailed("Data header")
    return counter, SUITES[suite][1](key, _data_nonce(counter), header, sealed)


# ---------------------------------------------------------------------------------------------------------------------
# One-time pads

PAD_BLOCK = 65536
RESPONDER, INITIATOR = "responder", "initiator"


class PadLayout:
    def __init__(self, size):
        self.n_slots = min(2**20, size // 16) // 256
        end = size // 4096 * 4096
        self.n_blocks = (end - 64 - self.n_slots * 256) // PAD_BLOCK
        self.traffic = end - self.n_blocks * PAD_BLOCK

    def offset(self, role, position):
        """Where in the file a position of a walk is."""
        if role == INITIATOR:
            block, within = divmod(position, PAD_BLOCK)
            position = (self.n_blocks - 1 - block) * PAD_BLOCK + within
        return self.traffic + position


def pad_mask(pad, length, max_zero_run):
    """-> the bytes to XOR with, how many of `pad` (consecutive positions) they took"""
    out, zeros, used = [], 0, 0
    while len(out) < length:
        byte, used = pad[used], used + 1
        if byte:
            zeros = 0
        elif max_zero_run and zeros >= max_zero_run:
            continue
        else:
            zeros += 1
        out.append(byte)
    return bytes(out), used


def _one_time(key, body):
    return body + p.poly1305(key, body)


def _check_one_time(key, message):
    if len(message) < 16 or p.poly1305(key, message[:-16]) != message[-16:]:
        raise CheckFailed("tag")
    return message[:-16]


def seal_pad_data(receiver, offset, pad, frames, noise, max_zero_run):
    """-> the datagram, how many bytes of `pad` it took"""
    key, length_mask, rest = take(pad, 32, 2)
    mask, used = pad_mask(rest, len(frames), max_zero_run)
    length = p.xor(u16(len(frames)), length_mask)
    body = struct.pack("<B3xIQ", PAD_DATA, receiver, offset) + length + p.xor(frames, mask) + noise
    return _one_time(key, body), 34 + used


def open_pad_data(receiver, offset, pad, datagram, max_zero_run):
    """-> the frames; offset is that of pad[0]"""
    key, length_mask, rest = take(pad, 32, 2)
    header, length, masked = take(_check_one_time(key, datagram), 16, 2)
    if header != struct.pack("<B3xIQ", PAD_DATA, receiver, offset):
        raise CheckFailed("PadData header")
    length = int.from_bytes(p.xor(length, length_mask), "little")
    if length > len(masked):
        raise CheckFailed("PadData length")
    return p.xor(masked[:length], pad_mask(rest, length, max_zero_run)[0])


def masked_plaintext(offset, pad, frames, plaintext_length, max_zero_run):
    """-> the plaintext of a Data of pq+otp, how many bytes of `pad` it took"""
    mask, used = pad_mask(pad, len(frames), max_zero_run)
    plaintext = u64(offset) + u16(len(frames)) + p.xor(frames, mask)
    return plaintext + bytes(plaintext_length - len(plaintext)), used


def _marks(sent, received, boundary, random, status, max_zero_run):
    return u64(sent) + u64(received) + u64(boundary) + random + u8(status) + u8(max_zero_run) + bytes(30)


def build_hello(slot_bytes, sender, slot, *marks):
    header = struct.pack("<BBHII", PAD_HELLO, VERSION, 0, sender, slot)
    return _one_time(slot_bytes[:32], header + p.xor(_marks(*marks), slot_bytes[32:96]))


def build_welcome(slot_bytes, sender, receiver, slot, *marks):
    header = struct.pack("<BBHIII", PAD_WELCOME, VERSION, 0, sender, receiver, slot)
    return _one_time(slot_bytes[96:128], header + p.xor(_marks(*marks), slot_bytes[128:192]))


def open_hello(slot_bytes, datagram):
    """-> the plaintext"""
    return p.xor(_check_one_time(slot_bytes[:32], datagram)[12:], slot_bytes[32:96])


def open_welcome(slot_bytes, datagram):
    return p.xor(_check_one_time(slot_bytes[96:128], datagram)[16:], slot_bytes[128:192])


def pad_marks_tlv(kind, pad_id, sent, received, boundary, max_zero_run):
    return tlv(kind, pad_id + u64(sent) + u64(received) + u64(boundary) + u8(max_zero_run))


# ---------------------------------------------------------------------------------------------------------------------
# Control messages

CONTROL_ACK, CONTROL_ACCEPT, CONTROL_REKEY1, CONTROL_REKEY2, CONTROL_PAD_CREDIT, CONTROL_CLOSE = range(6)


def control_part(identifier, ack, kind, part, parts, body):
    return struct.pack("<HHBBB", identifier, ack, kind, part, parts) + body


def bare_ack(ack):
    """A message of one part like any other, so part 0 of 1."""
    return control_part(0, ack, CONTROL_ACK, 0, 1, b"")
