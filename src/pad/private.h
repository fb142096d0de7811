/* The inside of a pad, shared by its files. */
#pragma once

#include "pad/pad.h"
#include "pad/supply.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAD_SEND_RING ((uint64_t)8 << 20)
#define PAD_RECEIVE_RING ((uint64_t)16 << 20)
#define PAD_STRETCH_MAX ((uint64_t)64 << 20) /* reserved at once, and no more than: */
#define PAD_STRETCH_SHARE 8                  /* this part of the share */
#define PAD_FETCHES 256   /* datagrams looked up in the file that may fail before more are tried ... */
#define PAD_FETCH_RATE 64 /* ... and how many of them a second */

/* How one direction is read ahead: more while more is used. */
struct pad_pace {
	uint64_t ahead; /* bytes to keep in memory beyond what is used */
	uint64_t used;  /* position at the last look */
	bool was_busy;  /* since its memory was given back */
};

struct pad {
	struct pad_medium medium;
	struct pad_layout layout;
	struct pad_options options;
	char name[160];
	struct supply *send, *receive;

	/* Lanes'. */
	_Atomic uint64_t share;                   /* end of our walk */
	_Atomic uint64_t received;                /* end of the highest position that has authenticated */
	_Atomic uint64_t wake_send, wake_receive; /* positions that wake the feeder; UINT64_MAX: it has been */
	_Atomic bool is_stopped;                  /* nothing is given out: old, or the ledger failed for too long */
	_Atomic size_t short_of; /* bytes that a take has failed to get from our share since the last look; 0: none */
	_Atomic int32_t fetches; /* that are still allowed */

	pthread_mutex_t lock; /* of what follows */
	struct ledger ledger; /* as it is on disk */
	struct pad_pace send_pace, receive_pace;
	uint64_t stretch; /* reserved at once */
	usec reserved_at, recorded_at, fetched_at, failed_at;
	usec starved_since; /* the share's end was reached then; 0: not */
	bool credit_waits;  /* marks are under way: no credit is taken */
	bool is_used_up;
	uint8_t slots[PAD_HELLO_WINDOW * PAD_SLOT_LEN]; /* from slots_from on (responder) */
	uint32_t slots_from, n_slots;
	char fault[160];
};

static inline uint64_t pad_stretch_max(uint64_t share)
{
	uint64_t part = share / PAD_STRETCH_SHARE;
	return part < PAD_BLOCK ? PAD_BLOCK : part < PAD_STRETCH_MAX ? part : PAD_STRETCH_MAX;
}

/* The next record; `ledger` becomes what it says only when it is on disk. ERR_IO. Under the lock. */
enum err pad_record(struct pad *p, struct ledger *next);
/* Bytes of a walk from the file, in the order of positions. */
enum err pad_read_walk(const struct pad *p, enum pad_role role, uint64_t position, uint8_t *out, size_t len);
/* The same, burned. */
enum err pad_burn_walk(const struct pad *p, enum pad_role role, uint64_t from, uint64_t to);
/* Durable marks that are at least what has been used, exactly as things are. */
enum err pad_settle_marks(struct pad *p);
/* Wakes the feeder at most once until it has looked. */
void pad_wake(struct pad *p, _Atomic uint64_t *mark);
/* Slots for hellos from `from` on are held in memory. ERR_IO. */
enum err pad_load_slots(struct pad *p, uint32_t from);
