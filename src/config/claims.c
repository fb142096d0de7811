#include "config/claims.h"

#include "config/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct claim {
	enum claim_kind kind;
	uint8_t data[CONFIG_PEER_NAME_LEN];
	size_t peer;
	unsigned line;
};

enum err claims_add(struct claims *claims, enum claim_kind kind, struct view data, size_t peer, unsigned line)
{
	/* grows by doubling: a power of two is full */
	if ((claims->count & (claims->count - 1)) == 0) {
		size_t room = claims->count ? claims->count * 2 : 1;
		struct claim *items = reallocarray(claims->items, room, sizeof(*items));
		if (!items)
			return ERR_NOMEM;
		claims->items = items;
	}
	struct claim *c = &claims->items[claims->count++];
	*c = (struct claim){.kind = kind, .peer = peer, .line = line};
	memcpy(c->data, data.data, data.len < sizeof(c->data) ? data.len : sizeof(c->data));
	return OK;
}

static int same_thing(const struct claim *a, const struct claim *b)
{
	int by_kind = (a->kind > b->kind) - (a->kind < b->kind);
	return by_kind ? by_kind : memcmp(a->data, b->data, sizeof(a->data));
}

static int by_thing_and_line(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;
	int order = same_thing(a, b);
	return order ? order : (a->line > b->line) - (a->line < b->line);
}

static void report(const struct claim *first, const struct claim *second, const struct config *config,
	struct config_diagnostics *diags)
{
	const char *first_name = config->peers[first->peer].name, *second_name = config->peers[second->peer].name;
	char section[CONFIG_PEER_NAME_LEN + 8], text[ADDR_TEXT_LEN];
	struct prefix p;
	snprintf(section, sizeof(section), "peer %s", second_name);
	struct diag_place place = {.line = second->line, .section = section};
	switch (second->kind) {
	case CLAIM_NAME:
		diag_error(diags, place, "there is a peer %s in line %u already: give each its own name", second_name,
			first->line);
		break;
	case CLAIM_KEY_ID:
		place.key = "KeyID";
		diag_error(diags, place, "peer %s in line %u has the same key ID: a key belongs to one peer",
			first_name, first->line);
		break;
	case CLAIM_PREFIX:
		place.key = "AllowedIPs";
		memcpy(&p, second->data, sizeof(p));
		prefix_format(&p, text);
		if (first->peer == second->peer)
			diag_warning(diags, place, "%s is listed twice (see line %u)", text, first->line);
		else
			diag_error(diags, place,
				"%s belongs to peer %s in line %u already: a packet can go to one peer only", text,
				first_name, first->line);
		break;
	}
}

void claims_check(struct claims *claims, const struct config *config, struct config_diagnostics *diags)
{
	if (claims->count)
		qsort(claims->items, claims->count, sizeof(*claims->items), by_thing_and_line);
	for (size_t i = 1, first = 0; i < claims->count; i++) {
		if (same_thing(&claims->items[first], &claims->items[i]) == 0)
			report(&claims->items[first], &claims->items[i], config, diags);
		else
			first = i;
	}
}

void claims_done(struct claims *claims)
{
	free(claims->items);
	*claims = (struct claims){0};
}
