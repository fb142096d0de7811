/* What the control thread keeps of a peer's pad. Private to the engine; what is done with it is in private.h. */
#pragma once

#include "engine/private.h"
#include "handshake/hello.h"

#include <stdio.h>

/* The initiator's hello under way. */
struct pad_call {
	uint32_t index;
	uint8_t slot[PAD_SLOT_LEN];
	uint8_t bytes[PAD_HELLO_LEN];
	uint8_t random[sizeof((struct hello_marks *)NULL)->random]; /* the hello's: its answer repeats it */
	uint64_t seen;                                              /* of the peer when the marks were made */
	usec began_at, due, interval;
	usec ends_at;     /* then with another slot: the other end may have taken this one, and forgotten its answer */
	usec welcomed_at; /* 0: not yet */
	bool has_hinted;
};

#define PADLINK_SAMPLES 16 /* a second apart: more than a handshake waits for its Finish */

struct padlink {
	struct pad_call *call;
	unsigned int unanswered; /* hellos in a row */
	/* The responder's last answer, for repeats of the same hello. */
	bool has_answered;
	uint8_t hello[PAD_HELLO_LEN], welcome[PAD_WELCOME_LEN];
	usec warned_old_at;
	usec look_at;
	uint64_t peer_left;          /* at the last look */
	unsigned int warned_percent; /* the last warning's; 0: none yet */
	bool has_warned_slots;
	enum pad_state state; /* as last told */
	/* How far the peer's walk had been seen, and when. */
	struct {
		usec at;
		uint64_t seen;
	} samples[PADLINK_SAMPLES];
	uint32_t next_sample;
	uint64_t seen_at_finish; /* when our marks were made for the handshake under way */
};

/* The peer has a pad. ERR_NOMEM. */
enum err padlink_new(struct peer *p);
void padlink_free(struct peer *p); /* wipes; fine if there is none */
/* Warns, gives credit, ends a session whose pad is used up; returns when to call again. */
usec padlink_tick(struct peer *p, usec now);
/* PadCredit came. */
void padlink_credit(struct peer *p, struct view body);
/* Is there pad left to begin a session with? */
bool padlink_can_begin(const struct peer *p);
