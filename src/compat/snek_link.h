/*
 * A snek session that carries packets: its keys, its own connected UDP socket, and the carrier's threads. While there
 * is none, nobody reads from the interface.
 */
#pragma once

#include "compat/carrier.h"
#include "compat/snek_receiver.h"

struct snek_link;

struct snek_link_config {
	struct tun *tun;
	struct udp *udp; /* connected to `remote`; the link's from then on, also when snek_link_start fails */
	struct addr remote;
	const uint8_t *data_key; /* AEAD_KEY_LEN bytes; copied */
	int event_fd;            /* carrier_config's */
};

/* ERR_NOMEM, ERR_CRYPTO, ERR_IO. */
enum err snek_link_start(struct snek_link **ret, const struct snek_link_config *config, struct fault *fault);
void snek_link_stop(struct snek_link *link); /* wipes; NULL is fine */

struct carrier *snek_link_carrier(struct snek_link *link);
const struct addr *snek_link_remote(const struct snek_link *link);
/* When the peer was last heard, or the session began. */
usec snek_link_heard_at(const struct snek_link *link);
/* Has anything been sent since the last call of this? */
bool snek_link_has_sent(struct snek_link *link);

/* One line of counters, for people; returns out. */
#define SNEK_LINK_TEXT_LEN 512
const char *snek_link_text(const struct snek_link *link, char out[static SNEK_LINK_TEXT_LEN]);
