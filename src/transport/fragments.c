#include "transport/fragments.h"

#include <stdlib.h>

struct range {
	uint16_t offset, len;
};

struct open_packet {
	uint8_t *data; /* NULL: the slot is free */
	uint32_t id;
	uint16_t total, have, n_parts;
	usec since;
	struct range parts[FRAGMENTS_PARTS];
};

struct fragments {
	struct open_packet *open[FRAGMENTS_OPEN];
	struct open_packet *complete; /* given out by the last call */
};

enum err fragments_new(struct fragments **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? OK : ERR_NOMEM;
}

static void packet_free(struct open_packet *p)
{
	if (p) {
		free(p->data);
		free(p);
	}
}

void fragments_free(struct fragments *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < FRAGMENTS_OPEN; i++)
		packet_free(f->open[i]);
	packet_free(f->complete);
	free(f);
}

/* The slot of this id; else a free one; else the oldest one's, emptied. Drops what is too old. */
static struct open_packet **find_slot(struct fragments *f, uint32_t id, usec now)
{
	struct open_packet **free_slot = NULL, **oldest = &f->open[0];
	for (size_t i = 0; i < FRAGMENTS_OPEN; i++) {
		struct open_packet **slot = &f->open[i];
		/* not `now - since`: another lane's clock reading may be a moment newer */
		if (*slot && now > (*slot)->since + FRAGMENTS_LIFETIME) {
			packet_free(*slot);
			*slot = NULL;
		}
		if (*slot && (*slot)->id == id)
			return slot;
		if (!*slot)
			free_slot = slot;
		else if (*oldest && (*slot)->since < (*oldest)->since)
			oldest = slot;
	}
	if (free_slot)
		return free_slot;
	packet_free(*oldest);
	*oldest = NULL;
	return oldest;
}

static struct open_packet *packet_new(const struct fragment *part, usec now)
{
	struct open_packet *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->data = malloc(part->total);
	if (!p->data) {
		free(p);
		return NULL;
	}
	p->id = part->id;
	p->total = part->total;
	p->since = now;
	return p;
}

static enum err packet_add(struct open_packet *p, const struct fragment *part)
{
	if (p->total != part->total || p->n_parts == FRAGMENTS_PARTS)
		return ERR_FORMAT;
	for (uint16_t i = 0; i < p->n_parts; i++) {
		const struct range *have = &p->parts[i];
		if (have->offset == part->offset && have->len == part->len)
			return ERR_REPLAY;
		if (part->offset < have->offset + have->len && have->offset < part->offset + part->len)
			return ERR_FORMAT;
	}
	memcpy(p->data + part->offset, part->data, part->len);
	p->parts[p->n_parts++] = (struct range){.offset = part->offset, .len = part->len};
	p->have = (uint16_t)(p->have + part->len);
	return p->have == p->total ? OK : ERR_AGAIN;
}

enum err fragments_add(struct fragments *f, const struct fragment *part, usec now, struct view *packet)
{
	packet_free(f->complete);
	f->complete = NULL;

	struct open_packet **slot = find_slot(f, part->id, now);
	if (!*slot && !(*slot = packet_new(part, now)))
		return ERR_NOMEM;
	enum err err = packet_add(*slot, part);
	if (err == OK) {
		f->complete = *slot;
		*slot = NULL;
		*packet = VIEW(f->complete->data, f->complete->total);
	}
	return err;
}
