/*
 * Both ends of one pad, joined by a network that loses, repeats and reorders, as engine/padlink.c joins them, and a
 * checker that stands above all lives of both: it knows of each byte and slot whether it has been given out, and fails
 * the test when one is given out again, is not what the pad holds there, or is not found as the same by the peer.
 */
#pragma once

#include "disk.h"

#include "pad/pad.h"

#define MESSAGES 24

enum message_kind { DATA, CREDIT, HELLO, WELCOME, SECRET };

struct message {
	enum message_kind kind;
	uint32_t session; /* of the hello; SECRET has none */
	uint64_t position, offset;
	size_t len;
	uint32_t slot;
	uint64_t from, to; /* CREDIT */
	struct pad_marks marks;
};

struct end {
	struct pad *pad;
	struct disk disk;
	enum pad_role role;
	struct message inbox[MESSAGES];
	size_t n_inbox;
	uint32_t session; /* 0: none */
	uint64_t floor;   /* of what the peer sends in it */
	uint32_t calling; /* the initiator's: session that its hello asked for; 0: none */
	uint32_t slot;
	uint64_t seen; /* when it called */
	struct message hello;
	bool is_refused; /* it said that we are old */
};

struct link {
	struct seeded seed;
	uint64_t size;
	struct pad_layout layout;
	uint8_t *bytes; /* as they were */
	uint8_t *used;  /* 1: given out */
	struct end ends[2];
	uint32_t talker; /* percent of what is sent that the initiator sends */
	uint32_t sessions, lives;
	usec now;
	bool burns;
	bool has_sessions; /* else only secrets are taken: a pad of Protection = pq */
	uint8_t *buffer;
	/* What has happened, so that a test can say that it did. */
	uint64_t taken, found, credits, sessions_made, crashes, full, slots, secrets, refusals;
};

/* With sessions; nothing has been sent yet. */
void link_init(struct link *l, uint64_t seed, uint64_t size, bool burns);
void link_done(struct link *l);

/* One random step of the weights that link.c has; and single ones. */
void link_step(struct link *l);
void link_take(struct link *l, struct end *e, size_t len, bool is_control);
void link_serve(struct link *l, struct end *e, usec later);
void link_call(struct link *l);
void link_give(struct link *l, struct end *e);
void link_take_secret(struct link *l, struct end *e);
/* Delivers the oldest message to an end, if there is one. */
void link_deliver_first(struct link *l, struct end *e);
/* All messages in order, until there are none. */
void link_deliver_all(struct link *l);

/* Kills an end (or ends it as it should be), and starts it from what its disk holds. */
void link_restart(struct link *l, struct end *e, bool is_killed);
/* Starts an end that its disk has killed. Returns whether it was. */
bool link_restart_dead(struct link *l, struct end *e);
