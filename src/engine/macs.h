/*
 * The table of MAC addresses at layer 2: behind which port - a peer, or this host's own side - a station is, for each
 * virtual network by itself. Learned from the sources of frames that were authenticated (or came from this host).
 *
 * A port cannot take much, nor from others (docs/decisions/0022): entries are bounded for each port and in all, some
 * are kept free for every peer, none is removed to make room, and a station moves to another port only after it has
 * been silent where it is. Only this host's own side gets a station at once.
 *
 * Lanes look up without a lock, inside a read section of engine/grace; learning something new takes a lock for a
 * moment. Ageing and forgetting belong to the control thread, outside a read section.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/rng.h"
#include "wire/ether.h"

#include <stdatomic.h>

#define MACS_LIFETIME (300 * USEC_PER_SEC)   /* of a station that is not heard again */
#define MACS_QUIET_PEER (5 * USEC_PER_SEC)   /* silent for so long behind a peer, it may come up behind another */
#define MACS_QUIET_LOCAL (60 * USEC_PER_SEC) /* ... and so long at this host's own side */
#define MACS_LOCAL_MAX 16384U                /* stations at this host's own side */
#define MACS_PEER_OWN 32U                    /* behind a peer, whatever others have ... */
#define MACS_PEER_MAX 4096U                  /* ... and at most */
#define MACS_SHARED_MAX 65536U               /* behind all peers, beyond each one's own */

/* Where stations are. Zero-initialised by its owner, who keeps it until macs_forget has returned. */
struct mac_port {
	bool is_local;
	_Atomic uint32_t count; /* of its entries */
};

struct mac_key {
	uint32_t vlan; /* as ether_frame's */
	uint8_t address[ETHER_ADDRESS_LEN];
};

static inline bool mac_key_equal(const struct mac_key *a, const struct mac_key *b)
{
	return a->vlan == b->vlan && memcmp(a->address, b->address, ETHER_ADDRESS_LEN) == 0;
}

struct macs;

enum err macs_new(struct macs **ret, const struct rng *rng);
/* No lane may be in use any more. NULL is fine. */
void macs_free(struct macs *m);

/*
 * A frame came from that station through that port. OK: it is known there now. ERR_EXISTS: it is another port's, which
 * has heard it lately: the frame is not to be believed. ERR_FULL, ERR_NOMEM: it is not learned, so what is sent to it
 * is flooded.
 */
enum err macs_learn(struct macs *m, struct mac_port *port, const struct mac_key *key, usec now);

/* NULL: nobody knows. */
struct mac_port *macs_find(const struct macs *m, const struct mac_key *key, usec now);

/* Forgets who has not been heard for MACS_LIFETIME. */
void macs_age(struct macs *m, usec now);
/* Forgets all stations of a port, through which nothing comes any more. */
void macs_forget(struct macs *m, const struct mac_port *port);
