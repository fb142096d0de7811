#include "disk.h"

#include <stdlib.h>
#include <string.h>

/* How much of a write of `len` bytes arrives, and whether the caller hears that it went well. */
static size_t fate(struct disk *d, bool is_read, size_t len, bool *ret_good)
{
	*ret_good = false;
	if (d->is_dead)
		return 0;
	bool is_crash = d->operations++ == d->crash_at;
	bool fails = d->failing && !(is_read && d->spares_reads) && seeded_chance(d->seed, d->failing);
	if (!is_crash && !fails) {
		*ret_good = true;
		return len;
	}
	d->is_dead = is_crash;
	enum crash how = is_crash ? d->crash : (enum crash)seeded_below(d->seed, 3);
	if (how == CRASH_TORN)
		return (size_t)(seeded_next(d->seed) % (len + 1));
	return how == CRASH_BEFORE ? 0 : len;
}

static enum err disk_read(void *context, uint64_t offset, uint8_t *out, size_t len)
{
	struct disk *d = context;
	bool is_good;
	assert_true(offset <= d->size && len <= d->size - offset);
	memcpy(out, d->bytes + offset, fate(d, true, len, &is_good));
	return is_good ? OK : ERR_IO;
}

static enum err disk_burn(void *context, uint64_t offset, uint64_t len)
{
	struct disk *d = context;
	bool is_good;
	assert_true(offset <= d->size && len <= d->size - offset);
	memset(d->bytes + offset, 0, fate(d, false, (size_t)len, &is_good)); /* a hole */
	return is_good ? OK : ERR_IO;
}

static enum err disk_write_record(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN])
{
	struct disk *d = context;
	bool is_good;
	assert_true(copy < LEDGER_COPIES);
	memcpy(d->copies[copy], record, fate(d, false, LEDGER_RECORD_LEN, &is_good));
	return is_good ? OK : ERR_IO;
}

static void disk_settle(void *context)
{
	(void)context;
}

static void disk_wake(void *context)
{
	((struct disk *)context)->wakes++;
}

void disk_init(struct disk *d, const uint8_t *bytes, uint64_t size, struct seeded *seed)
{
	*d = (struct disk){.size = size, .bytes = malloc(size), .seed = seed, .crash_at = UINT64_MAX};
	memcpy(d->bytes, bytes, size);
}

void disk_done(struct disk *d)
{
	free(d->bytes);
	*d = (struct disk){0};
}

struct pad_medium disk_medium(struct disk *d)
{
	return (struct pad_medium){.read = disk_read,
		.burn = disk_burn,
		.write_record = disk_write_record,
		.settle = disk_settle,
		.wake = disk_wake,
		.context = d};
}

void disk_revive(struct disk *d)
{
	d->is_dead = false;
	d->failing = 0;
	d->spares_reads = false;
	d->crash_at = UINT64_MAX;
}
