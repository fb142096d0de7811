/*
 * What became of the frames that snek's receiver was given: counted by its thread, read by anyone at any time.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct snek_counters {
	_Atomic uint64_t delivered; /* inner packets */
	_Atomic uint64_t forged;    /* tag does not fit: forged, damaged, or of another session */
	_Atomic uint64_t malformed; /* no frame, with all behind it in its datagram; or a fragment beyond a limit */
	_Atomic uint64_t replayed;  /* seen before, or too old to tell */
	_Atomic uint64_t reflected; /* our own frames, sent back to us */
	_Atomic uint64_t not_ip;    /* authentic, but without an inner IP packet of 1 to 1536 bytes */
	_Atomic uint64_t expired;   /* packets whose fragments did not all come in time */
	_Atomic uint64_t evicted;   /* packets given up for newer ones, when too many lacked fragments */
};

static inline void snek_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
