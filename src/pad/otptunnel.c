#include "pad/otptunnel.h"

#include "crypto/kdf.h"

#define ID_LABEL "jorm otptunnel pad id v1"

enum err otptunnel_id(uint8_t out[static PAD_ID_LEN], const uint8_t head[static OTPTUNNEL_HEAD_LEN])
{
	uint8_t sum[HASH_SHA256_LEN];
	enum err err = HASH_SHA256(sum, VIEW_TEXT(ID_LABEL), VIEW(head, OTPTUNNEL_HEAD_LEN));
	memcpy(out, sum, PAD_ID_LEN); /* zeros after an error */
	return err;
}

static bool is_mark(uint64_t mark, enum pad_role role, uint64_t size)
{
	return mark % 2 == otptunnel_parity(role) && mark <= otptunnel_offset(role, otptunnel_share(role, size));
}

bool otptunnel_ledger_is_consistent(const struct ledger *l)
{
	if (l->pad_size < OTPTUNNEL_HEAD_LEN || l->pad_size > PAD_SIZE_MAX)
		return false;
	if (!is_mark(l->sent, l->role, l->pad_size) ||
		!is_mark(l->received, otptunnel_role_other(l->role), l->pad_size))
		return false;
	return !l->boundary && !l->burned_sent && !l->burned_received && !l->hello && !l->peer_saw &&
	       !l->peer_saw_hello && !l->used_at_first && !l->first_s;
}

bool otptunnel_ledger_is_used(const struct ledger *l)
{
	return l->sent > 1 || l->received > 1;
}

uint64_t otptunnel_unused_from(const struct ledger *l)
{
	if (!otptunnel_ledger_is_used(l))
		return 0;
	const uint64_t end = l->sent > l->received ? l->sent : l->received;
	return end < l->pad_size ? end : l->pad_size;
}
