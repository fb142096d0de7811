#include "handshake/ratelimit.h"

#include "crypto/kdf.h"

void ratelimit_init(struct ratelimit *limit, uint32_t rate, const struct rng *rng)
{
	*limit = (struct ratelimit){.interval = USEC_PER_SEC / rate};
	limit->depth = (2 * (usec)rate - 1) * limit->interval;
	rng_fill(rng, limit->secret, sizeof limit->secret);
}

static enum err bucket_of(const struct ratelimit *limit, const struct addr *source, uint32_t *ret)
{
	/* One host has one IPv4 address, but a whole IPv6 /64. */
	size_t len = addr_is_v4(source->ip) ? 16 : 8;
	uint8_t mac[HASH_SHA256_LEN];
	enum err e = HMAC_SHA256(mac, VIEW_ARRAY(limit->secret), VIEW(source->ip, len));
	*ret = le32_get(mac) % RATELIMIT_BUCKETS;
	return e;
}

enum err ratelimit_take(struct ratelimit *limit, const struct addr *source, usec now)
{
	uint32_t i;
	enum err e = bucket_of(limit, source, &i);
	if (e != OK)
		return e;
	usec ahead = limit->ahead[i] > now ? limit->ahead[i] : now;
	if (ahead - now > limit->depth)
		return ERR_FULL;
	limit->ahead[i] = ahead + limit->interval;
	return OK;
}
