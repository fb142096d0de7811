#include "sim/letters.h"

#include "base/bytes.h"
#include "sim/inner.h"
#include "wire/ip.h"

#include <stdlib.h>

#define PROTOCOL 253 /* RFC 3692 */
#define PAYLOAD_MIN (INNER_MARKER_LEN + 4)

void letters_init(struct letters *l, struct world *w)
{
	*l = (struct letters){.world = w, .random = random_fork(&w->random, 5)};
}

void letters_done(struct letters *l)
{
	free(l->list);
}

static size_t build(const struct letter *letter, uint32_t number, uint8_t *out)
{
	bool v4 = letter->to.v4;
	size_t header = v4 ? 20 : 40, len = header + letter->payload_len;
	struct stream_random contents = {number};
	struct ip_packet ip;
	memset(out, 0, header);
	if (v4) {
		out[0] = 0x45;
		out[6] = 0x40; /* do not fragment */
		out[8] = 64;
		out[9] = PROTOCOL;
		memcpy(out + 12, letter->source.ip + 12, 4);
		memcpy(out + 16, letter->to.ip + 12, 4);
		be16_put(out + 2, (uint16_t)len);
	} else {
		out[0] = 0x60;
		out[6] = PROTOCOL;
		out[7] = 64;
		memcpy(out + 8, letter->source.ip, 16);
		memcpy(out + 24, letter->to.ip, 16);
		be16_put(out + 4, letter->payload_len);
	}
	memcpy(out + header, INNER_MARKER, INNER_MARKER_LEN);
	le32_put(out + header + INNER_MARKER_LEN, number);
	random_fill(&contents, out + header + PAYLOAD_MIN, letter->payload_len - (size_t)PAYLOAD_MIN);
	if (ip_parse(&ip, out, len) == OK)
		ip_set_length(out, &ip, len);
	return len;
}

size_t letters_write(struct letters *l, const struct letter *letter, uint8_t out[static LETTER_LEN_MAX])
{
	if (l->n == l->size) {
		l->size = l->size ? 2 * l->size : 1024;
		l->list = realloc(l->list, l->size * sizeof *l->list);
		if (!l->list)
			exit(2);
	}
	struct letter *p = &l->list[l->n];
	*p = *letter;
	p->sent_at = l->world->now;
	p->payload_len = (uint16_t)random_between(
		&l->random, PAYLOAD_MIN, random_chance(&l->random, 200) ? LETTER_LEN_MAX - 40 : 100);
	return build(p, l->n++, out);
}

struct letter *letters_read(
	struct letters *l, const struct iovec *iov, int n, const uint8_t **ret_bytes, size_t *ret_len)
{
	static uint8_t packet[INNER_MAX], expected[LETTER_LEN_MAX];
	size_t len = 0;
	for (int i = 1; i < n && len + iov[i].iov_len <= sizeof packet; i++) {
		memcpy(packet + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	struct ip_packet ip;
	const uint8_t *payload = NULL;
	uint32_t number = UINT32_MAX;
	if (ip_parse(&ip, packet, len) == OK && len >= ip.header_len + (size_t)PAYLOAD_MIN) {
		payload = packet + ip.header_len;
		number = le32_get(payload + INNER_MARKER_LEN);
	}
	if (!payload || memcmp(payload, INNER_MARKER, INNER_MARKER_LEN) != 0 || number >= l->n) {
		world_fail(l->world, "a packet of %zu bytes comes out that nobody wrote", len);
		return NULL;
	}
	size_t expected_len = build(&l->list[number], number, expected);
	if (len != expected_len || memcmp(packet, expected, len) != 0) {
		world_fail(l->world, "letter %u comes out changed", number);
		return NULL;
	}
	*ret_bytes = packet;
	*ret_len = len;
	return &l->list[number];
}
