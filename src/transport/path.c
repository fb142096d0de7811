#include "transport/path.h"

#include <string.h>

#define TIMEOUT_UNKNOWN (400 * USEC_PER_MS) /* doubled with each try, until the round trip is known; */
#define TIMEOUT_MIN (200 * USEC_PER_MS)     /* then twice that, within these */
#define TIMEOUT_MAX (3 * USEC_PER_SEC)
#define PROBE_TRIES 3
#define CONFIRM_TRIES 5 /* one in five datagrams lost is no smaller path */
#define CONFIRM_EVERY (2 * USEC_PER_SEC)
#define RAISE_EVERY (600 * USEC_PER_SEC)

static uint32_t round_down(uint32_t size)
{
	return size / 64 * 64;
}

uint32_t path_plain_of_mtu(uint32_t mtu)
{
	uint32_t overhead = OUTER_OVERHEAD_V6 + DATA_OVERHEAD;
	uint32_t plain = mtu > overhead ? round_down(mtu - overhead) : 0;
	if (plain < PATH_PLAIN_MIN)
		return PATH_PLAIN_MIN;
	return plain > PATH_PLAIN_MAX ? PATH_PLAIN_MAX : plain;
}

uint32_t path_mtu_of_plain(uint32_t plain, bool v4)
{
	return plain + DATA_OVERHEAD + (v4 ? OUTER_OVERHEAD_V4 : OUTER_OVERHEAD_V6);
}

static void search(struct path *p, uint32_t ceiling, usec now)
{
	p->ceiling = ceiling;
	p->low = p->found;
	p->high = ceiling;
	p->size = 0;
	p->tries = 0;
	p->state = p->high > p->low ? PATH_SEARCH : PATH_FOUND;
	p->due = now;
	p->confirm_at = now + CONFIRM_EVERY;
	p->raise_at = now + RAISE_EVERY;
}

void path_reset(struct path *p, uint32_t ceiling, usec now)
{
	*p = (struct path){.found = PATH_PLAIN_MIN};
	search(p, ceiling < PATH_PLAIN_MIN ? PATH_PLAIN_MIN : ceiling, now);
}

static usec timeout(const struct path *p)
{
	usec t = p->rtt ? 2 * p->rtt + TIMEOUT_MIN / 2 : TIMEOUT_UNKNOWN << (p->tries < 4 ? p->tries - 1 : 3);
	return t < TIMEOUT_MIN ? TIMEOUT_MIN : t > TIMEOUT_MAX ? TIMEOUT_MAX : t;
}

/* The next size to try: the ceiling first, then the middle of what is left. */
static uint32_t next_size(const struct path *p)
{
	if (!p->rtt)
		return PATH_PLAIN_MIN; /* passes everywhere: tells how long an echo takes here */
	if (p->high == p->ceiling)
		return p->high;
	uint32_t middle = round_down(p->low + (p->high - p->low + 64) / 2);
	return middle > p->low ? middle : p->high;
}

/* The probe on its way was tried often enough: that size does not pass. */
static void give_up(struct path *p, usec now)
{
	if (p->state == PATH_SEARCH) {
		p->high = p->size - 64;
		p->size = 0;
		p->tries = 0;
		if (p->high <= p->low) {
			p->state = PATH_FOUND;
			p->confirm_at = now + CONFIRM_EVERY;
			p->raise_at = now + RAISE_EVERY;
		}
	} else {
		path_reset(p, p->ceiling, now);
	}
}

bool path_poll(struct path *p, usec now, bool busy, bool silent, const struct rng *rng, uint32_t *size)
{
	if (p->state == PATH_IDLE)
		return false;
	uint32_t most = !p->rtt ? UINT32_MAX : p->state == PATH_SEARCH ? PROBE_TRIES : CONFIRM_TRIES;
	if (p->size && now >= p->due && p->tries >= most)
		give_up(p, now);
	if (p->state == PATH_FOUND && !p->size) {
		if (now >= p->raise_at && p->found < p->ceiling) {
			search(p, p->ceiling, now);
		} else if (p->found > PATH_PLAIN_MIN && ((busy && now >= p->confirm_at) || silent)) {
			p->size = p->found;
			p->tries = 0;
			p->due = now;
		} else {
			return false;
		}
	}
	if (p->state == PATH_SEARCH && !p->size) {
		p->size = next_size(p);
		p->tries = 0;
		p->due = now;
	}
	if (now < p->due)
		return false;
	if (p->tries == 0) {
		rng_fill(rng, p->nonce, sizeof p->nonce);
		p->sent_at = now;
	}
	p->tries++;
	p->due = now + timeout(p);
	*size = p->size;
	return true;
}

usec path_deadline(const struct path *p)
{
	if (p->state == PATH_IDLE)
		return USEC_NEVER;
	if (p->size || p->state == PATH_SEARCH)
		return p->due;
	return p->found < p->ceiling ? p->raise_at : USEC_NEVER;
}

void path_ceiling(struct path *p, uint32_t ceiling, usec now)
{
	if (ceiling > p->ceiling)
		p->ceiling = ceiling;
	if (p->found >= p->ceiling)
		p->raise_at = now + RAISE_EVERY; /* nothing to raise: asked again then */
}

bool path_echo(struct path *p, const uint8_t nonce[static PROBE_LEN], usec now)
{
	if (!p->size || !p->tries || memcmp(nonce, p->nonce, PROBE_LEN) != 0)
		return false;
	/* From the first try: too long rather than too short; after repeats only while nothing is known (Karn). */
	if (p->tries == 1 || !p->rtt)
		p->rtt = now > p->sent_at ? now - p->sent_at : 1;
	bool changed = p->found != p->size;
	p->found = p->low = p->size;
	p->size = 0;
	p->tries = 0;
	p->confirm_at = now + CONFIRM_EVERY;
	if (p->state == PATH_SEARCH && p->low >= p->high) {
		p->state = PATH_FOUND;
		p->raise_at = now + RAISE_EVERY;
	}
	p->due = now;
	return changed;
}

bool path_refused(struct path *p, uint32_t ceiling, usec now)
{
	if (p->state == PATH_IDLE || ceiling >= p->ceiling)
		return false;
	uint32_t before = p->found;
	path_reset(p, ceiling, now);
	return before != p->found;
}
