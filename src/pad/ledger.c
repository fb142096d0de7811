#include "pad/ledger.h"

#include "base/bytes.h"
#include "crypto/kdf.h"
#include "pad/otptunnel.h"

#include <assert.h>

#define MAGIC_LEN 8
#define VERSION 1
#define SUMMED_LEN (LEDGER_RECORD_LEN - HASH_SHA256_LEN)
#define NUMBERS_LEN (MAGIC_LEN + 4 + 1 + 8 + PAD_ID_LEN + 8 + 5 * 8 + 4 + 8 + 4 + 2 * 8)

static_assert(NUMBERS_LEN <= SUMMED_LEN, "a record holds all of a ledger and its checksum");

static const uint8_t magic[MAGIC_LEN] = {'j', 'o', 'r', 'm', '-', 'p', 'a', 'd'};

static enum err sum(uint8_t out[static HASH_SHA256_LEN], const uint8_t record[static LEDGER_RECORD_LEN])
{
	return HASH_SHA256(out, VIEW(record, SUMMED_LEN));
}

enum err ledger_encode(uint8_t out[static LEDGER_RECORD_LEN], const struct ledger *ledger)
{
	struct writer w = writer_of(out, SUMMED_LEN);
	writer_bytes(&w, magic, MAGIC_LEN);
	writer_u32(&w, VERSION);
	writer_u8(&w, (uint8_t)ledger->role);
	writer_u64(&w, ledger->sequence);
	writer_bytes(&w, ledger->pad_id, PAD_ID_LEN);
	writer_u64(&w, ledger->pad_size);
	writer_u64(&w, ledger->boundary);
	writer_u64(&w, ledger->sent);
	writer_u64(&w, ledger->received);
	writer_u64(&w, ledger->burned_sent);
	writer_u64(&w, ledger->burned_received);
	writer_u32(&w, ledger->hello);
	writer_u64(&w, ledger->peer_saw);
	writer_u32(&w, ledger->peer_saw_hello);
	writer_u64(&w, ledger->used_at_first);
	writer_u64(&w, ledger->first_s);
	writer_zeros(&w, SUMMED_LEN - NUMBERS_LEN);
	enum err err = sum(out + SUMMED_LEN, out);
	if (err != OK)
		memset(out, 0, LEDGER_RECORD_LEN);
	return err;
}

static void read_numbers(struct reader *r, struct ledger *ret)
{
	ret->role = (enum pad_role)reader_u8(r);
	ret->sequence = reader_u64(r);
	reader_copy(r, ret->pad_id, PAD_ID_LEN);
	ret->pad_size = reader_u64(r);
	ret->boundary = reader_u64(r);
	ret->sent = reader_u64(r);
	ret->received = reader_u64(r);
	ret->burned_sent = reader_u64(r);
	ret->burned_received = reader_u64(r);
	ret->hello = reader_u32(r);
	ret->peer_saw = reader_u64(r);
	ret->peer_saw_hello = reader_u32(r);
	ret->used_at_first = reader_u64(r);
	ret->first_s = reader_u64(r);
}

/* Against the size and each other. Not against the boundary: who was restored from a backup may be told of marks
 * beyond the boundary that it knows. */
static bool is_consistent(const struct ledger *l)
{
	struct pad_layout layout;
	if (l->role == PAD_OTP_CLIENT || l->role == PAD_OTP_SERVER)
		return otptunnel_ledger_is_consistent(l);
	if (l->role != PAD_RESPONDER && l->role != PAD_INITIATOR)
		return false;
	if (pad_layout_of(&layout, l->pad_size) != OK)
		return false;
	const uint64_t walk = layout.n_blocks * PAD_BLOCK;
	return l->boundary <= layout.n_blocks && l->sent <= walk && l->received <= walk && l->peer_saw <= walk &&
	       l->burned_sent <= l->sent && l->burned_received <= l->received && l->hello <= layout.n_slots &&
	       l->peer_saw_hello <= layout.n_slots && l->used_at_first <= l->sent + l->received;
}

enum err ledger_decode(struct ledger *ret, const uint8_t record[static LEDGER_RECORD_LEN])
{
	uint8_t expected[HASH_SHA256_LEN];
	enum err err = sum(expected, record);
	if (err != OK)
		return err;
	struct reader r = reader_of(record, SUMMED_LEN);
	const uint8_t *found_magic = reader_take(&r, MAGIC_LEN);
	if (memcmp(expected, record + SUMMED_LEN, HASH_SHA256_LEN) != 0 || memcmp(found_magic, magic, MAGIC_LEN) != 0)
		return ERR_FORMAT;
	if (reader_u32(&r) != VERSION)
		return ERR_FORMAT;

	struct ledger l;
	read_numbers(&r, &l);
	while (reader_left(&r) > 0)
		if (reader_u8(&r) != 0) /* written by a later version, with fields that would be lost */
			return ERR_FORMAT;
	if (!is_consistent(&l))
		return ERR_FORMAT;
	*ret = l;
	return OK;
}

static bool is_blank(const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN])
{
	uint8_t any = 0;
	for (size_t i = 0; i < LEDGER_COPIES; i++)
		for (size_t k = 0; k < LEDGER_RECORD_LEN; k++)
			any |= copies[i][k];
	return any == 0;
}

enum err ledger_choose(struct ledger *ret, const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN])
{
	enum err result = is_blank(copies) ? ERR_NOT_FOUND : ERR_FORMAT;
	struct ledger best = {0};
	for (size_t i = 0; i < LEDGER_COPIES; i++) {
		struct ledger l;
		enum err err = ledger_decode(&l, copies[i]);
		/* A right copy that cannot be checked must not be passed over for the older one. */
		if (err == ERR_CRYPTO)
			return err;
		if (err != OK || (result == OK && l.sequence <= best.sequence))
			continue;
		best = l;
		result = OK;
	}
	if (result == OK)
		*ret = best;
	return result;
}
