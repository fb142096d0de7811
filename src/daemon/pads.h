/*
 * The one-time pads of this tunnel's peers: opens them with their ledgers, and does their chores (pad_serve) in a
 * thread of its own, so that nobody who has packets in hand waits for a disk. It hides that thread. What is in the pads
 * is the engine's to use.
 *
 * Control thread, outside of read sections (engine/grace.h): the pads' thread lets lanes settle.
 */
#pragma once

#include "pad/pad.h"

struct pads;

/* Which pad, and how it is to be used. */
struct pads_wish {
	const char *path;
	struct pad_options options;
	bool allows_weak;
};

/* No pads yet. Ledgers are in `folder`, which is made when the first pad is opened. ERR_IO, ERR_NOMEM. */
enum err pads_new(struct pads **ret, const char *folder, struct fault *fault);
/* Ends the thread and closes all: no lane may use any of them any more. NULL is fine. */
void pads_free(struct pads *p);

/* Starts the thread; until then what has been opened gives no bytes. ERR_IO. */
enum err pads_start(struct pads *p, struct fault *fault);

/* *ret is p's. Faults as pad_file_open's and pad_new's. */
enum err pads_open(struct pads *p, const struct pads_wish *wish, struct pad **ret, struct fault *fault);
/* Records how far it was used. Nobody may use it any more. */
void pads_close(struct pads *p, struct pad *pad);
/* Was it opened by such a wish? */
bool pads_is_as_wished(const struct pads *p, const struct pad *pad, const struct pads_wish *wish);
