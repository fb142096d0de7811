#include "cli/pad.h"

#include "cli/sizes.h"
#include "cli/status_text.h"

#include <getopt.h>
#include <stdio.h>

#define SLACK_MAX ((uint64_t)1 << 30)
#define SLACK_SLOTS 16

struct advance {
	const char *path;
	uint64_t size;
	uint64_t by; /* 0: as the pad has it */
	struct ledger before, after;
};

static enum err no_room(const struct advance *a, uint64_t left, struct fault *fault)
{
	char text[STATUS_SPAN_LEN];
	status_bytes(text, (json_int_t)left);
	if (a->by && left)
		return fault_set(fault, ERR_FULL, "only %s are left to send with of the pad %s (say less with --by)",
			text, a->path);
	return fault_set(fault, ERR_FULL,
		"the other end has seen all of this end's share of the pad %s used: make a new pad for both", a->path);
}

/*
 * What the other end has seen is the least that was used: what was lost on the way, or sent since, is not in it. The
 * slots of hellos of a responder are the initiator's: passing over more than were seen would shut it out.
 */
static enum err ledger_advance(void *context, struct ledger *l, struct fault *fault)
{
	struct advance *a = context;
	struct pad_layout layout;
	enum err e = pad_layout_of(&layout, l->pad_size);
	if (e || l->pad_size != a->size)
		return fault_set(
			fault, ERR_FORMAT, "%s is not the file that its ledger is of: restore all of it", a->path);
	a->before = *l;
	bool seen = l->peer_saw > l->sent || l->peer_saw_hello > l->hello;
	if (!seen && a->by == 0)
		return ERR_AGAIN;
	uint64_t share = pad_share(&layout, l->role, l->boundary), used = l->peer_saw > l->sent ? l->peer_saw : l->sent;
	uint64_t left = share > used ? share - used : 0, by = a->by;
	if (by == 0)
		by = left / 4 < SLACK_MAX ? left / 4 : SLACK_MAX;
	if (left == 0 || by > left)
		return no_room(a, left, fault);
	l->sent = used + by;
	uint32_t slots = l->peer_saw_hello > l->hello ? l->peer_saw_hello : l->hello;
	if (l->role == PAD_INITIATOR)
		slots = layout.n_slots - slots > SLACK_SLOTS ? slots + SLACK_SLOTS : layout.n_slots;
	l->hello = slots;
	l->peer_saw = 0;
	l->peer_saw_hello = 0;
	a->after = *l;
	return OK;
}

static void marks_print(const char *label, const struct ledger *l, uint64_t share)
{
	char sent[STATUS_SPAN_LEN], left[STATUS_SPAN_LEN];
	printf("%s  %s (%llu bytes) of our share are used, %s are left; %u hello slots are used\n", label,
		status_bytes(sent, (json_int_t)l->sent), (unsigned long long)l->sent,
		status_bytes(left, (json_int_t)(share > l->sent ? share - l->sent : 0)), l->hello);
}

static void result_print(const struct advance *a)
{
	char text[STATUS_SPAN_LEN];
	struct pad_layout layout;
	if (pad_layout_of(&layout, a->after.pad_size))
		return;
	uint64_t share = pad_share(&layout, a->after.role, a->after.boundary);
	marks_print("before:", &a->before, share);
	if (a->before.peer_saw > a->before.sent)
		printf("seen:    the other end has seen %llu bytes used\n", (unsigned long long)a->before.peer_saw);
	marks_print("after: ", &a->after, share);
	printf("skipped: %s\n", status_bytes(text, (json_int_t)(a->after.sent - a->before.sent)));
}

static int pad_advance(const struct command *self, struct advance *a, const char *state)
{
	char path[PATH_MAX];
	uint8_t id[PAD_ID_LEN];
	struct fault fault = {0};
	enum err e = pad_file_id(a->path, id, &a->size, &fault);
	if (e == OK)
		e = pad_ledger_below(path, state, id, &fault);
	if (e == OK)
		e = pad_ledger_change(path, ledger_advance, a, &fault);
	if (e == ERR_AGAIN) {
		puts("there is nothing to advance: the other end has seen no more of this pad used than this host "
		     "knows of");
		return CLI_OK;
	}
	if (e)
		return cli_fault(self, &fault);
	result_print(a);
	return CLI_OK;
}

int cli_pad_advance(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"state", required_argument, NULL, 'd'},
		{"by", required_argument, NULL, 'b'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *state = PAD_STATE_FOLDER;
	struct advance a = {0};
	for (int o; (o = getopt_long(argc, argv, "d:b:h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'd')
			state = optarg;
		else if (o == 'b' && (!size_read(&a.by, optarg) || a.by == 0))
			return cli_usage(self, "--by takes " SIZE_SYNTAX);
		else if (o != 'b')
			return cli_usage(self, NULL);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one pad");
	a.path = argv[optind];
	return pad_advance(self, &a, state);
}
