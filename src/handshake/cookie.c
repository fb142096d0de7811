#include "handshake/cookie.h"

#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "handshake/mac.h"

void cookie_jar_init(struct cookie_jar *jar, const uint8_t key_id[static KEY_ID_LEN], const struct rng *rng, usec now)
{
	memcpy(jar->key_id, key_id, KEY_ID_LEN);
	rng_fill(rng, jar->secret, sizeof jar->secret);
	rng_fill(rng, jar->previous, sizeof jar->previous); /* none yet: nobody has a cookie made from it */
	jar->changed = now;
}

void cookie_jar_wipe(struct cookie_jar *jar)
{
	secret_wipe(jar, sizeof *jar);
}

void cookie_jar_rotate(struct cookie_jar *jar, const struct rng *rng, usec now)
{
	usec periods = (now - jar->changed) / COOKIE_ROTATION;
	if (periods == 0)
		return;
	if (periods == 1)
		memcpy(jar->previous, jar->secret, sizeof jar->previous);
	else /* after a silence both are old */
		rng_fill(rng, jar->previous, sizeof jar->previous);
	rng_fill(rng, jar->secret, sizeof jar->secret);
	jar->changed += periods * COOKIE_ROTATION;
}

/* cookie = HMAC-SHA-256(secret, source address || port)[0..16) */
static enum err make(uint8_t ret[static COOKIE_LEN], const uint8_t secret[static 32], const struct addr *source)
{
	uint8_t port[2], full[HASH_SHA256_LEN];
	le16_put(port, source->port);
	enum err e = HMAC_SHA256(full, VIEW(secret, 32), VIEW_ARRAY(source->ip), VIEW_ARRAY(port));
	memcpy(ret, full, COOKIE_LEN);
	secret_wipe(full, sizeof full);
	return e;
}

static enum err check(const uint8_t secret[static 32], const struct addr *source, const struct hs_datagram *datagram)
{
	uint8_t cookie[COOKIE_LEN];
	enum err e = make(cookie, secret, source);
	if (e == OK)
		e = mac2_check(cookie, datagram);
	secret_wipe(cookie, sizeof cookie);
	return e;
}

enum err cookie_jar_check(const struct cookie_jar *jar, const struct addr *source, const struct hs_datagram *datagram)
{
	enum err e = check(jar->secret, source, datagram);
	return e == ERR_AUTH ? check(jar->previous, source, datagram) : e;
}

/* key = HKDF-SHA-256(salt = salt, ikm = responder key ID, info = "jorm4 cookie") */
static enum err sealing_key(uint8_t key[static AEAD_KEY_LEN], const uint8_t salt[static COOKIE_SALT_LEN],
	const uint8_t key_id[static KEY_ID_LEN])
{
	return hkdf_sha256(
		key, AEAD_KEY_LEN, VIEW(salt, COOKIE_SALT_LEN), VIEW(key_id, KEY_ID_LEN), VIEW_TEXT("jorm4 cookie"));
}

enum err cookie_seal(uint8_t out[static COOKIE_DATAGRAM_LEN], struct cookie_datagram *cookie,
	const uint8_t key_id[static KEY_ID_LEN], const uint8_t mac1[static HS_MAC_LEN])
{
	uint8_t key[AEAD_KEY_LEN];
	enum err e = sealing_key(key, cookie->salt, key_id);
	if (e == OK)
		e = aead_seal_once(key, VIEW(mac1, HS_MAC_LEN), cookie->sealed, COOKIE_LEN);
	if (e == OK)
		cookie_build(out, cookie);
	else
		memset(out, 0, COOKIE_DATAGRAM_LEN);
	secret_wipe(key, sizeof key);
	return e;
}

enum err cookie_jar_answer(uint8_t out[static COOKIE_DATAGRAM_LEN], const struct cookie_jar *jar,
	const struct addr *source, const struct hs_datagram *datagram, const struct rng *rng)
{
	struct cookie_datagram c = {.receiver = datagram->sender};
	rng_fill(rng, c.salt, sizeof c.salt);
	enum err e = make(c.sealed, jar->secret, source);
	if (e == OK)
		e = cookie_seal(out, &c, jar->key_id, datagram->mac1);
	else
		memset(out, 0, COOKIE_DATAGRAM_LEN);
	secret_wipe(&c, sizeof c);
	return e;
}

enum err cookie_open(uint8_t ret[static COOKIE_LEN], const struct cookie_datagram *cookie,
	const uint8_t key_id[static KEY_ID_LEN], const uint8_t mac1[static HS_MAC_LEN])
{
	uint8_t key[AEAD_KEY_LEN], opened[COOKIE_SEALED_LEN];
	memcpy(opened, cookie->sealed, sizeof opened);
	memset(ret, 0, COOKIE_LEN);
	enum err e = sealing_key(key, cookie->salt, key_id);
	if (e == OK)
		e = aead_open_once(key, VIEW(mac1, HS_MAC_LEN), opened, COOKIE_LEN);
	if (e == OK)
		memcpy(ret, opened, COOKIE_LEN);
	secret_wipe(key, sizeof key);
	secret_wipe(opened, sizeof opened);
	return e;
}
