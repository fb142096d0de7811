"""The primitives of jorm protocol 4 in plain Python: TEST ONLY.

Nothing here runs in constant time, nothing is wiped, and it is a thousand times slower than it could be. It exists
so that the test vectors do not come from the library that the program under test uses: every algorithm is written
from its specification, and selfcheck.py holds it against Project Wycheproof's cases.

Only the hash functions (hashlib: SHA-2, SHA-3, SHAKE) and HMAC (hmac) are the interpreter's.
"""

import hashlib
import hmac as _hmac


class CheckFailed(Exception):
    """An input that the specification says to refuse: a bad tag, key or encoding."""


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# HMAC (RFC 2104) and HKDF (RFC 5869)

def hmac(digest, key, data):
    return _hmac.new(key, data, digest).digest()


def hkdf_extract(digest, salt, ikm):
    return hmac(digest, salt, ikm)


def hkdf_expand(digest, prk, info, length):
    if length > 255 * hashlib.new(digest).digest_size:
        raise CheckFailed("HKDF output too long")
    okm = block = b""
    counter = 1
    while len(okm) < length:
        block = hmac(digest, prk, block + info + bytes([counter]))
        okm += block
        counter += 1
    return okm[:length]


# ---------------------------------------------------------------------------------------------------------------------
# X25519 (RFC 7748)

_P25519 = 2**255 - 19
X25519_BASE = bytes([9]) + bytes(31)


def x25519(private, public):
    """The shared secret, all-zero ones included: refusing those is the protocol's decision."""
    scalar = int.from_bytes(private, "little")
    scalar = scalar & ~7 & ~(1 << 255) | 1 << 254
    u = (int.from_bytes(public, "little") & ((1 << 255) - 1)) % _P25519

    # The Montgomery ladder of section 5, in the RFC's names, without its masked swap.
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in range(254, -1, -1):
        swap = scalar >> bit & 1
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb = a * a % _P25519, b * b % _P25519
        da, cb = d * a, c * b
        e = aa - bb
        x3 = (da + cb) ** 2 % _P25519
        z3 = u * ((da - cb) ** 2 % _P25519) % _P25519
        x2 = aa * bb % _P25519
        z2 = e * (aa + 121665 * e) % _P25519
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, _P25519 - 2, _P25519) % _P25519).to_bytes(32, "little")


def x25519_public(private):
    return x25519(private, X25519_BASE)


# ---------------------------------------------------------------------------------------------------------------------
# ChaCha20-Poly1305 (RFC 8439)

_CHACHA_CONSTANTS = [int.from_bytes(b"expand 32-byte k"[i:i + 4], "little") for i in range(0, 16, 4)]
_CHACHA_QUARTERS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def _words(data):
    return [int.from_bytes(data[i:i + 4], "little") for i in range(0, len(data), 4)]


def _chacha20_block(key, counter, nonce):
    initial = _CHACHA_CONSTANTS + _words(key) + [counter] + _words(nonce)
    s = list(initial)
    for _ in range(10):
        for ia, ib, ic, id_ in _CHACHA_QUARTERS:
            a, b, c, d = s[ia], s[ib], s[ic], s[id_]
            a = a + b & 0xffffffff
            d ^= a
            d = (d << 16 | d >> 16) & 0xffffffff
            c = c + d & 0xffffffff
            b ^= c
            b = (b << 12 | b >> 20) & 0xffffffff
            a = a + b & 0xffffffff
            d ^= a
            d = (d << 8 | d >> 24) & 0xffffffff
            c = c + d & 0xffffffff
            b ^= c
            b = (b << 7 | b >> 25) & 0xffffffff
            s[ia], s[ib], s[ic], s[id_] = a, b, c, d
    return b"".join((x + y & 0xffffffff).to_bytes(4, "little") for x, y in zip(s, initial))


def _chacha20(key, counter, nonce, data):
    out = []
    for i in range(0, len(data), 64):
        chunk = data[i:i + 64]
        out.append(xor(chunk, _chacha20_block(key, counter + i // 64, nonce)[:len(chunk)]))
    return b"".join(out)


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for i in range(0, len(data), 16):
        total = (total + int.from_bytes(data[i:i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def _pad16(data):
    return data + bytes(-len(data) % 16)


def _chacha20_poly1305_tag(key, nonce, aad, ciphertext):
    lengths = len(aad).to_bytes(8, "little") + len(ciphertext).to_bytes(8, "little")
    return poly1305(_chacha20_block(key, 0, nonce)[:32], _pad16(aad) + _pad16(ciphertext) + lengths)


def chacha20_poly1305_seal(key, nonce, aad, plaintext):
    ciphertext = _chacha20(key, 1, nonce, plaintext)
    return ciphertext + _chacha20_poly1305_tag(key, nonce, aad, ciphertext)


def chacha20_poly1305_open(key, nonce, aad, sealed):
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if len(sealed) < 16 or tag != _chacha20_poly1305_tag(key, nonce, aad, ciphertext):
        raise CheckFailed("ChaCha20-Poly1305 tag")
    return _chacha20(key, 1, nonce, ciphertext)


# ---------------------------------------------------------------------------------------------------------------------
# AES-256 (FIPS 197) in GCM (SP 800-38D)

def _xtime(x):
    return x << 1 ^ (0x11b if x & 0x80 else 0)


def _make_sbox():
    # 3 generates GF(2^8)*: walking its powers forwards and those of its inverse alongside gives every inverse.
    exp = [1]
    while len(exp) < 255:
        exp.append(_xtime(exp[-1]) ^ exp[-1])
    sbox = [0x63] * 256
    for i, x in enumerate(exp):
        inverse = exp[-i % 255]
        y = inverse
        for shift in range(1, 5):
            y ^= (inverse << shift | inverse >> 8 - shift) & 0xff
        sbox[x] = y ^ 0x63
    return sbox


_SBOX = _make_sbox()


def _aes256_expand_key(key):
    words = [list(key[i:i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = [_SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = _xtime(rcon)
        elif i % 8 == 4:
            word = [_SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i:i + 4], []) for i in range(0, 60, 4)]


def _aes256_encrypt(round_keys, block):
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for number, round_key in enumerate(round_keys[1:], 1):
        # SubBytes and ShiftRows: byte (row, column) comes from (row, column + row).
        state = [_SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for column in range(0, 16, 4):
                a = state[column:column + 4]
                every = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[i] ^ every ^ _xtime(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


def _ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], "big")
        product, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                product ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = product
    return y.to_bytes(16, "big")


def _aes256_gcm_crypt(round_keys, nonce, data):
    out = []
    for i in range(0, len(data), 16):
        chunk = data[i:i + 16]
        counter = (2 + i // 16).to_bytes(4, "big")
        out.append(xor(chunk, _aes256_encrypt(round_keys, nonce + counter)[:len(chunk)]))
    return b"".join(out)


def _aes256_gcm_tag(round_keys, nonce, aad, ciphertext):
    h = int.from_bytes(_aes256_encrypt(round_keys, bytes(16)), "big")
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    return xor(_ghash(h, _pad16(aad) + _pad16(ciphertext) + lengths),
               _aes256_encrypt(round_keys, nonce + bytes([0, 0, 0, 1])))


def aes256_gcm_seal(key, nonce, aad, plaintext):
    round_keys = _aes256_expand_key(key)
    ciphertext = _aes256_gcm_crypt(round_keys, nonce, plaintext)
    return ciphertext + _aes256_gcm_tag(round_keys, nonce, aad, ciphertext)


def aes256_gcm_open(key, nonce, aad, sealed):
    round_keys = _aes256_expand_key(key)
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if len(sealed) < 16 or tag != _aes256_gcm_tag(round_keys, nonce, aad, ciphertext):
        raise CheckFailed("AES-256-GCM tag")
    return _aes256_gcm_crypt(round_keys, nonce, ciphertext)


# ---------------------------------------------------------------------------------------------------------------------
# What ML-KEM and ML-DSA share. A polynomial is a list of 256 integers, a vector a list of polynomials.

def _shake128(data, length):
    return hashlib.shake_128(data).digest(length)


def _shake256(data, length):
    return hashlib.shake_256(data).digest(length)


def _bit_reverse(x, bits):
    return int(format(x, f"0{bits}b")[::-1], 2)


def _pack(values, bits):
    """Integers of `bits` bits each, the least significant bit of the first one first."""
    total = 0
    for i, value in enumerate(values):
        total |= value << i * bits
    return total.to_bytes(len(values) * bits // 8, "little")


def _unpack(data, bits):
    total = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [total >> i & mask for i in range(0, 8 * len(data), bits)]


def _split(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def _vector_add(a, b):
    return [[x + y for x, y in zip(p, q)] for p, q in zip(a, b)]


def _vector_sub(a, b):
    return [[x - y for x, y in zip(p, q)] for p, q in zip(a, b)]


# ---------------------------------------------------------------------------------------------------------------------
# ML-KEM-1024 (FIPS 203)

_KEM_Q = 3329
_KEM_K = 4
_KEM_DU = 11
_KEM_DV = 5
_KEM_ZETAS = [pow(17, _bit_reverse(i, 7), _KEM_Q) for i in range(128)]
_KEM_GAMMAS = [pow(17, 2 * _bit_reverse(i, 7) + 1, _KEM_Q) for i in range(128)]
_KEM_EK_SIZE = 384 * _KEM_K + 32
_KEM_CT_SIZE = 32 * (_KEM_DU * _KEM_K + _KEM_DV)


def _kem_g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def _kem_h(data):
    return hashlib.sha3_256(data).digest()


def _kem_ntt(f):
    """Algorithm 9."""
    f = list(f)
    i, length = 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta = _KEM_ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % _KEM_Q
                f[j + length] = (f[j] - t) % _KEM_Q
                f[j] = (f[j] + t) % _KEM_Q
        length //= 2
    return f


def _kem_ntt_inverse(f):
    """Algorithm 10."""
    f = list(f)
    i, length = 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta = _KEM_ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % _KEM_Q
                f[j + length] = zeta * (f[j + length] - t) % _KEM_Q
        length *= 2
    return [x * 3303 % _KEM_Q for x in f]


def _kem_dot(a, b):
    """Sum of the products of two vectors of NTT representatives (algorithms 11 and 12)."""
    out = [0] * 256
    for f, g in zip(a, b):
        for i, gamma in enumerate(_KEM_GAMMAS):
            f0, f1, g0, g1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            out[2 * i] += f0 * g0 + f1 * g1 % _KEM_Q * gamma
            out[2 * i + 1] += f0 * g1 + f1 * g0
    return [x % _KEM_Q for x in out]


def _kem_sample_ntt(seed):
    """Algorithm 7. hashlib cannot squeeze on, so a stream that runs dry is made again, longer."""
    length = 840
    while True:
        out = [x for x in _unpack(_shake128(seed, length), 12) if x < _KEM_Q]
        if len(out) >= 256:
            return out[:256]
        length *= 2


def _kem_matrix(rho):
    return [[_kem_sample_ntt(rho + bytes([j, i])) for j in range(_KEM_K)] for i in range(_KEM_K)]


def _kem_sample_cbd2(seed, n):
    """Algorithm 8 for eta = 2, on PRF output."""
    bits = _unpack(_shake256(seed + bytes([n]), 128), 1)
    return [bits[i] + bits[i + 1] - bits[i + 2] - bits[i + 3] for i in range(0, 1024, 4)]


def _kem_compress(poly, d):
    # Rounding to nearest, ties up: (2^d x + (q - 1) / 2) / q is exact as q is odd.
    return [((x % _KEM_Q << d) + _KEM_Q // 2) // _KEM_Q % (1 << d) for x in poly]


def _kem_decompress(poly, d):
    return [x * _KEM_Q + (1 << d - 1) >> d for x in poly]


def mlkem1024_keygen(d, z):
    """-> (ek, dk), algorithms 13 and 16."""
    rho, sigma = _kem_g(d + bytes([_KEM_K]))
    matrix = _kem_matrix(rho)
    s = [_kem_ntt(_kem_sample_cbd2(sigma, i)) for i in range(_KEM_K)]
    e = [_kem_ntt(_kem_sample_cbd2(sigma, _KEM_K + i)) for i in range(_KEM_K)]
    t = _vector_add([_kem_dot(row, s) for row in matrix], e)
    ek = b"".join(_pack([x % _KEM_Q for x in p], 12) for p in t) + rho
    dk = b"".join(_pack(p, 12) for p in s) + ek + _kem_h(ek) + z
    return ek, dk


def _kem_pke_encrypt(ek, m, randomness):
    """Algorithm 14."""
    t = [_unpack(p, 12) for p in _split(ek[:-32], 384)]
    matrix = _kem_matrix(ek[-32:])
    y = [_kem_ntt(_kem_sample_cbd2(randomness, i)) for i in range(_KEM_K)]
    e1 = [_kem_sample_cbd2(randomness, _KEM_K + i) for i in range(_KEM_K)]
    e2 = _kem_sample_cbd2(randomness, 2 * _KEM_K)
    columns = [[matrix[i][j] for i in range(_KEM_K)] for j in range(_KEM_K)]
    u = _vector_add([_kem_ntt_inverse(_kem_dot(column, y)) for column in columns], e1)
    mu = _kem_decompress(_unpack(m, 1), 1)
    v = [a + b + c for a, b, c in zip(_kem_ntt_inverse(_kem_dot(t, y)), e2, mu)]
    return b"".join(_pack(_kem_compress(p, _KEM_DU), _KEM_DU) for p in u) + _pack(_kem_compress(v, _KEM_DV), _KEM_DV)


def mlkem1024_encaps(ek, m):
    """-> (shared secret, ciphertext), algorithms 17 and 20 with the checks of section 7.2."""
    if len(ek) != _KEM_EK_SIZE or any(x >= _KEM_Q for x in _unpack(ek[:-32], 12)):
        raise CheckFailed("ML-KEM encapsulation key")
    secret, randomness = _kem_g(m + _kem_h(ek))
    return secret, _kem_pke_encrypt(ek, m, randomness)


def mlkem1024_decaps(dk, ciphertext):
    """-> shared secret, algorithms 18 and 21 with the checks of section 7.3."""
    split = 384 * _KEM_K
    if len(ciphertext) != _KEM_CT_SIZE:
        raise CheckFailed("ML-KEM ciphertext length")
    if len(dk) != split + _KEM_EK_SIZE + 64 or _kem_h(dk[split:split + _KEM_EK_SIZE]) != dk[-64:-32]:
        raise CheckFailed("ML-KEM decapsulation key")
    ek, ek_hash, z = dk[split:split + _KEM_EK_SIZE], dk[-64:-32], dk[-32:]
    s = [_unpack(p, 12) for p in _split(dk[:split], 384)]

    size = 32 * _KEM_DU
    u = [_kem_decompress(_unpack(p, _KEM_DU), _KEM_DU) for p in _split(ciphertext[:size * _KEM_K], size)]
    v = _kem_decompress(_unpack(ciphertext[size * _KEM_K:], _KEM_DV), _KEM_DV)
    product = _kem_ntt_inverse(_kem_dot(s, [_kem_ntt(p) for p in u]))
    m = _pack(_kem_compress([a - b for a, b in zip(v, product)], 1), 1)

    secret, randomness = _kem_g(m + ek_hash)
    if _kem_pke_encrypt(ek, m, randomness) != ciphertext:
        return _shake256(z + ciphertext, 32)
    return secret


# ---------------------------------------------------------------------------------------------------------------------
# ML-DSA-65 and ML-DSA-87 (FIPS 204)

_DSA_Q = 8380417
_DSA_D = 13
_DSA_ZETAS = [pow(1753, _bit_reverse(i, 8), _DSA_Q) for i in range(256)]


def _dsa_ntt(w):
    """Algorithm 41, reduced only where a product is made: the sums stay below 9q."""
    w = list(w)
    m, length = 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            m += 1
            zeta = _DSA_ZETAS[m]
            for j in range(start, start + length):
                t = zeta * w[j + length] % _DSA_Q
                w[j + length] = w[j] - t
                w[j] += t
        length //= 2
    return [x % _DSA_Q for x in w]


def _dsa_ntt_inverse(w):
    """Algorithm 42."""
    w = list(w)
    m, length = 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            zeta = _DSA_ZETAS[m]
            for j in range(start, start + length):
                t = w[j]
                w[j] = t + w[j + length]
                w[j + length] = zeta * (w[j + length] - t) % _DSA_Q
        length *= 2
    return [x * 8347681 % _DSA_Q for x in w]


def _dsa_multiply(matrix, vector):
    """A matrix times a vector, both of NTT representatives."""
    out = []
    for row in matrix:
        total = [0] * 256
        for f, g in zip(row, vector):
            total = [t + a * b for t, a, b in zip(total, f, g)]
        out.append([t % _DSA_Q for t in total])
    return out


def _dsa_scale(c, vector):
    """A polynomial times a vector (both NTT representatives), out of the NTT domain."""
    return [_dsa_ntt_inverse([a * b % _DSA_Q for a, b in zip(c, p)]) for p in vector]


def _centred(x):
    x %= _DSA_Q
    return x - _DSA_Q if x > _DSA_Q // 2 else x


def _norm(vector):
    return max(abs(_centred(x)) for p in vector for x in p)


class MlDsa:
    """One parameter set, its methods in the specification's names and order."""

    gamma1 = 1 << 19
    gamma2 = (_DSA_Q - 1) // 32

    def __init__(self, k, l, eta, tau, collision_strength, omega):
        self.k, self.l, self.eta, self.tau, self.omega = k, l, eta, tau, omega
        self.beta = tau * eta
        self.c_size = collision_strength // 4
        self.eta_bits = (2 * eta).bit_length()
        self.public_size = 32 + 320 * k
        self.private_size = 128 + 32 * (self.eta_bits * (k + l) + _DSA_D * k)
        self.signature_size = self.c_size + 640 * l + omega + k

    # Sampling (section 7.3)

    def _expand_a(self, rho):
        def reject(seed):
            length = 840
            while True:
                stream = _shake128(seed, length)
                out = [x & 0x7fffff for x in _unpack(stream, 24) if x & 0x7fffff < _DSA_Q]
                if len(out) >= 256:
                    return out[:256]
                length += 168
        return [[reject(rho + bytes([s, r])) for s in range(self.l)] for r in range(self.k)]

    def _expand_s(self, rho):
        def bounded(seed):
            length = 272
            while True:
                nibbles = _unpack(_shake256(seed, length), 4)
                if self.eta == 2:
                    out = [2 - x % 5 for x in nibbles if x < 15]
                else:
                    out = [4 - x for x in nibbles if x < 9]
                if len(out) >= 256:
                    return out[:256]
                length += 136
        polys = [bounded(rho + i.to_bytes(2, "little")) for i in range(self.l + self.k)]
        return polys[:self.l], polys[self.l:]

    def _expand_mask(self, rho, kappa):
        return [[self.gamma1 - x for x in _unpack(_shake256(rho + (kappa + i).to_bytes(2, "little"), 640), 20)]
                for i in range(self.l)]

    def _sample_in_ball(self, seed):
        length = 272
        while True:
            stream = iter(_shake256(seed, length))
            signs = int.from_bytes(bytes(next(stream) for _ in range(8)), "little")
            c = [0] * 256
            try:
                for i in range(256 - self.tau, 256):
                    j = next(x for x in stream if x <= i)
                    c[i] = c[j]
                    c[j] = -1 if signs & 1 else 1
                    signs >>= 1
                return c
            except StopIteration:
                length *= 2

    # Rounding (section 7.4)

    def _decompose(self, r):
        r %= _DSA_Q
        r0 = r % (2 * self.gamma2)
        if r0 > self.gamma2:
            r0 -= 2 * self.gamma2
        if r - r0 == _DSA_Q - 1:
            return 0, r0 - 1
        return (r - r0) // (2 * self.gamma2), r0

    def _high_bits(self, vector):
        return [[self._decompose(x)[0] for x in p] for p in vector]

    def _use_hint(self, hint, r):
        r1, r0 = self._decompose(r)
        if not hint:
            return r1
        return (r1 + 1 if r0 > 0 else r1 - 1) % 16

    # Encoding (section 7.2)

    def _pack_hint(self, hint):
        positions, ends = [], []
        for p in hint:
            positions += [i for i, x in enumerate(p) if x]
            ends.append(len(positions))
        return bytes(positions + [0] * (self.omega - len(positions)) + ends)

    def _unpack_hint(self, data):
        hint, index = [], 0
        for end in data[self.omega:]:
            positions = data[index:end]
            if not index <= end <= self.omega or any(a >= b for a, b in zip(positions, positions[1:])):
                raise CheckFailed("ML-DSA hint")
            hint.append([int(i in positions) for i in range(256)])
            index = end
        if any(data[index:self.omega]):
            raise CheckFailed("ML-DSA hint")
        return hint

    def _pack_w1(self, w1):
        return b"".join(_pack(p, 4) for p in w1)

    # The three operations (sections 5 and 6)

    def keygen(self, xi):
        """-> (public key, private key) of a seed, algorithm 6."""
        seed = _shake256(xi + bytes([self.k, self.l]), 128)
        rho, rho_prime, key = seed[:32], seed[32:96], seed[96:]
        s1, s2 = self._expand_s(rho_prime)
        product = _dsa_multiply(self._expand_a(rho), [_dsa_ntt(p) for p in s1])
        t = _vector_add([_dsa_ntt_inverse(p) for p in product], s2)
        t1, t0 = [], []
        for p in t:
            # Power2Round: the low part is in (-2^12, 2^12].
            high = [x % _DSA_Q + (1 << _DSA_D - 1) - 1 >> _DSA_D for x in p]
            t1.append(high)
            t0.append([x % _DSA_Q - (h << _DSA_D) for x, h in zip(p, high)])
        public = rho + b"".join(_pack(p, 10) for p in t1)
        private = (rho + key + _shake256(public, 64)
                   + b"".join(_pack([self.eta - x for x in p], self.eta_bits) for p in s1 + s2)
                   + b"".join(_pack([(1 << _DSA_D - 1) - x for x in p], _DSA_D) for p in t0))
        return public, private

    def _decode_private(self, private):
        if len(private) != self.private_size:
            raise CheckFailed("ML-DSA private key length")
        size = 32 * self.eta_bits
        short_end = 128 + size * (self.l + self.k)
        short = [[self.eta - x for x in _unpack(p, self.eta_bits)] for p in _split(private[128:short_end], size)]
        if any(abs(x) > self.eta for p in short for x in p):
            raise CheckFailed("ML-DSA private key")
        t0 = [[(1 << _DSA_D - 1) - x for x in _unpack(p, _DSA_D)] for p in _split(private[short_end:], 32 * _DSA_D)]
        return short[:self.l], short[self.l:], t0

    @staticmethod
    def _mu(tr, message, context):
        if len(context) > 255:
            raise CheckFailed("ML-DSA context length")
        return _shake256(tr + bytes([0, len(context)]) + context + message, 64)

    def sign(self, private, message, context, rnd):
        """Algorithm 2, with the 32 bytes of randomness given."""
        return self.sign_mu(private, self._mu(private[64:128], message, context), rnd)

    def sign_mu(self, private, mu, rnd):
        """Algorithm 7 from mu on."""
        s1, s2, t0 = ([_dsa_ntt(p) for p in v] for v in self._decode_private(private))
        matrix = self._expand_a(private[:32])
        rho = _shake256(private[32:64] + rnd + mu, 64)
        kappa = 0
        while True:
            y = self._expand_mask(rho, kappa)
            kappa += self.l
            w = [_dsa_ntt_inverse(p) for p in _dsa_multiply(matrix, [_dsa_ntt(p) for p in y])]
            w1 = self._high_bits(w)
            c_hash = _shake256(mu + self._pack_w1(w1), self.c_size)
            c = _dsa_ntt(self._sample_in_ball(c_hash))

            z = _vector_add(y, _dsa_scale(c, s1))
            if _norm(z) >= self.gamma1 - self.beta:
                continue
            rest = _vector_sub(w, _dsa_scale(c, s2))
            if max(abs(self._decompose(x)[1]) for p in rest for x in p) >= self.gamma2 - self.beta:
                continue
            ct0 = _dsa_scale(c, t0)
            if _norm(ct0) >= self.gamma2:
                continue
            # MakeHint(-ct0, rest + ct0): where adding ct0 changes the high bits.
            with_ct0 = self._high_bits(_vector_add(rest, ct0))
            hint = [[int(a != b) for a, b in zip(p, q)] for p, q in zip(with_ct0, self._high_bits(rest))]
            if sum(map(sum, hint)) > self.omega:
                continue
            packed = b"".join(_pack([self.gamma1 - _centred(x) for x in p], 20) for p in z)
            return c_hash + packed + self._pack_hint(hint)

    def verify(self, public, message, context, signature):
        """Algorithm 3: raises CheckFailed unless the signature is valid."""
        self.verify_mu(public, self._mu(_shake256(public, 64), message, context), signature)

    def verify_mu(self, public, mu, signature):
        """Algorithm 8 from mu on."""
        if len(public) != self.public_size or len(signature) != self.signature_size:
            raise CheckFailed("ML-DSA length")
        z_end = self.c_size + 640 * self.l
        c_hash = signature[:self.c_size]
        z = [[self.gamma1 - x for x in _unpack(p, 20)] for p in _split(signature[self.c_size:z_end], 640)]
        hint = self._unpack_hint(signature[z_end:])
        if _norm(z) >= self.gamma1 - self.beta:
            raise CheckFailed("ML-DSA norm")
        c = _dsa_ntt(self._sample_in_ball(c_hash))
        t1 = [_dsa_ntt([x << _DSA_D for x in _unpack(p, 10)]) for p in _split(public[32:], 320)]
        az = _dsa_multiply(self._expand_a(public[:32]), [_dsa_ntt(p) for p in z])
        w = _vector_sub([_dsa_ntt_inverse(p) for p in az], _dsa_scale(c, t1))
        w1 = [[self._use_hint(h, x) for h, x in zip(p, q)] for p, q in zip(hint, w)]
        if _shake256(mu + self._pack_w1(w1), self.c_size) != c_hash:
            raise CheckFailed("ML-DSA signature")


ML_DSA_65 = MlDsa(k=6, l=5, eta=4, tau=49, collision_strength=192, omega=55)
ML_DSA_87 = MlDsa(k=8, l=7, eta=2, tau=60, collision_strength=256, omega=75)
