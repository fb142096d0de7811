#include "cli/pad.h"

#include "cli/sockets.h"
#include "cli/status_text.h"

#include "base/clock.h"
#include "pad/otptunnel.h"

#include <getopt.h>
#include <string.h>
#include <time.h>

#define RATE_MIN_S 60 /* shorter use says nothing about the rate */

struct info {
	const char *path;
	uint8_t id[PAD_ID_LEN];
	struct pad_layout layout;
	bool used; /* there is a ledger, which is: */
	struct ledger ledger;
	/* what follows from it */
	uint64_t boundary, share, peer_share, left, peer_left, burned;
	uint32_t slots_left;
	bool old;
	double per_day;         /* bytes; 0: not known */
	uint64_t lasts_until_s; /* seconds since 1970; 0: not known */
};

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Credit moves what is left to whoever needs it, so it lasts as long as both shares together. */
static void rate_derive(struct info *info, uint64_t now_s)
{
	const struct ledger *l = &info->ledger;
	uint64_t used = minus(l->sent + l->received, l->used_at_first), seconds = minus(now_s, l->first_s);
	if (l->first_s == 0 || seconds < RATE_MIN_S || used == 0)
		return;
	info->per_day = (double)used / (double)seconds * 86400;
	double left_s = (double)(info->left + info->peer_left) / (double)used * (double)seconds;
	if (left_s < 1e11) /* some 3000 years */
		info->lasts_until_s = now_s + (uint64_t)left_s;
}

static void derive(struct info *info, uint64_t now_s)
{
	const struct ledger *l = &info->ledger;
	info->slots_left = info->layout.n_slots;
	info->boundary = pad_middle(&info->layout);
	if (!info->used)
		return;
	info->boundary = l->boundary;
	info->share = pad_share(&info->layout, l->role, l->boundary);
	info->peer_share = pad_share(&info->layout, pad_role_other(l->role), l->boundary);
	info->left = minus(info->share, l->sent);
	info->peer_left = minus(info->peer_share, l->received);
	info->burned = l->burned_sent + l->burned_received;
	info->slots_left -= l->hello < info->layout.n_slots ? l->hello : info->layout.n_slots;
	info->old = l->peer_saw > l->sent;
	rate_derive(info, now_s);
}

static enum err info_take(struct info *info, const char *state, struct fault *fault)
{
	char path[PATH_MAX];
	uint64_t size;
	enum err e = pad_file_id(info->path, info->id, &size, fault);
	if (e == OK && (e = pad_layout_of(&info->layout, size)))
		return fault_set(fault, e, "%s has not the size of a pad", info->path);
	if (e == OK)
		e = pad_ledger_below(path, state, info->id, fault);
	if (e)
		return e;
	e = pad_ledger_read(&info->ledger, path, fault);
	if (e == OK && info->ledger.pad_size != size)
		return fault_set(fault, ERR_FORMAT,
			"%s has %llu bytes, but its ledger %.200s is of a pad of %llu (restore the whole file)",
			info->path, (unsigned long long)size, path, (unsigned long long)info->ledger.pad_size);
	info->used = e == OK;
	if (e == ERR_NOT_FOUND)
		e = OK;
	derive(info, clock_wall() / USEC_PER_SEC);
	return e;
}

static const char *role_name(enum pad_role role)
{
	return role == PAD_INITIATOR ? "initiator" : "responder";
}

static const char *state_name(const struct info *info)
{
	if (!info->used)
		return "new";
	if (info->old)
		return "old";
	if (info->left == 0)
		return "used up";
	return info->left < info->share / 10 ? "low" : "ready";
}

static json_t *seconds_or_null(uint64_t seconds)
{
	return seconds ? json_integer((json_int_t)seconds) : json_null();
}

static json_t *use_document(const struct info *info)
{
	const struct ledger *l = &info->ledger;
	if (!info->used)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "role", role_name(l->role), "share",
		(json_int_t)info->share, "sent", (json_int_t)l->sent, "left", (json_int_t)info->left, "peer_share",
		(json_int_t)info->peer_share, "received", (json_int_t)l->received, "peer_left",
		(json_int_t)info->peer_left, "burned", (json_int_t)info->burned, "slots_used", (json_int_t)l->hello,
		"bytes_per_day", info->per_day > 0 ? json_integer((json_int_t)info->per_day) : json_null(),
		"lasts_until_s", seconds_or_null(info->lasts_until_s));
}

static void json_print(const struct info *info)
{
	char id[PAD_ID_TEXT_LEN];
	const struct pad_layout *l = &info->layout;
	json_t *document = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "file", info->path,
		"id", pad_id_format(id, info->id), "state", state_name(info), "size", (json_int_t)l->size,
		"identity_bytes", (json_int_t)PAD_IDENTITY_LEN, "slots", (json_int_t)l->n_slots, "slots_left",
		(json_int_t)info->slots_left, "traffic_offset", (json_int_t)l->traffic, "blocks",
		(json_int_t)l->n_blocks, "boundary", (json_int_t)info->boundary, "use", use_document(info));
	socket_print(document);
	json_decref(document);
}

static void bytes_line(const char *label, uint64_t bytes, uint64_t total)
{
	char a[STATUS_SPAN_LEN], b[STATUS_SPAN_LEN];
	printf("%-14s%s of %s (%.1f %%)\n", label, status_bytes(a, (json_int_t)bytes),
		status_bytes(b, (json_int_t)total), total ? 100 * ((double)bytes / (double)total) : 0);
}

static void regions_print(const struct info *info)
{
	char id[PAD_ID_TEXT_LEN], size[STATUS_SPAN_LEN];
	const struct pad_layout *l = &info->layout;
	uint64_t middle = l->traffic + info->boundary * PAD_BLOCK, end = l->traffic + l->n_blocks * PAD_BLOCK;
	printf("pad           %s\nID            %s\n", info->path, pad_id_format(id, info->id));
	printf("size          %s (%llu bytes)\n", status_bytes(size, (json_int_t)l->size), (unsigned long long)l->size);
	printf("identity      %d bytes at offset 0, never used as key\n", PAD_IDENTITY_LEN);
	printf("hello slots   %u of %d bytes at offset %d, %u left\n", l->n_slots, PAD_SLOT_LEN, PAD_IDENTITY_LEN,
		info->slots_left);
	printf("responder's   %s at offset %llu, used upwards\n", status_bytes(size, (json_int_t)(middle - l->traffic)),
		(unsigned long long)l->traffic);
	printf("initiator's   %s at offset %llu, used from the end\n", status_bytes(size, (json_int_t)(end - middle)),
		(unsigned long long)middle);
}

static void rate_print(const struct info *info)
{
	char rate[STATUS_SPAN_LEN], date[32];
	time_t until = (time_t)info->lasts_until_s;
	struct tm tm;
	if (info->per_day <= 0)
		puts("lasts         not known yet");
	else if (info->lasts_until_s == 0 || !localtime_r(&until, &tm) ||
		 strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm) == 0)
		printf("lasts         longer than anybody needs, at %s a day\n",
			status_bytes(rate, (json_int_t)info->per_day));
	else
		printf("lasts         until %s, at %s a day as of late\n", date,
			status_bytes(rate, (json_int_t)info->per_day));
}

static void text_print(const struct info *info)
{
	const struct ledger *l = &info->ledger;
	char burned[STATUS_SPAN_LEN];
	regions_print(info);
	printf("state         %s\n", info->used ? state_name(info) : "not used yet on this host");
	if (!info->used)
		return;
	if (info->old)
		printf("              the other end has seen more of it used than this host knows of: was the state "
		       "restored\n              from a backup? jorm pad advance %s makes it usable again\n",
			info->path);
	printf("role          %s\n", role_name(l->role));
	bytes_line("used by us", l->sent, info->share);
	bytes_line("used by peer", l->received, info->peer_share);
	bytes_line("left", info->left + info->peer_left, info->share + info->peer_share);
	printf("burned        %s\n", status_bytes(burned, (json_int_t)info->burned));
	rate_print(info);
}

/* ---- what otptunnel has used ---- */

/* Bytes of an end's half that lie below its mark. */
static uint64_t used_of_half(const struct ledger *l, enum pad_role role)
{
	return ((role == l->role ? l->sent : l->received) - otptunnel_parity(role)) / 2;
}

static void otptunnel_json_print(const char *path, const struct ledger *l)
{
	const enum pad_role peer = otptunnel_role_other(l->role);
	const uint64_t share = otptunnel_share(l->role, l->pad_size), peer_share = otptunnel_share(peer, l->pad_size);
	json_t *document = json_pack("{s:s, s:s, s:I, s:{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "file", path,
		"state", "otptunnel", "size", (json_int_t)l->pad_size, "use", "role",
		l->role == PAD_OTP_SERVER ? "server" : "client", "share", (json_int_t)share, "sent",
		(json_int_t)used_of_half(l, l->role), "left", (json_int_t)(share - used_of_half(l, l->role)),
		"peer_share", (json_int_t)peer_share, "received", (json_int_t)used_of_half(l, peer), "peer_left",
		(json_int_t)(peer_share - used_of_half(l, peer)), "unused_from", (json_int_t)otptunnel_unused_from(l));
	socket_print(document);
	json_decref(document);
}

static void otptunnel_text_print(const char *path, const struct ledger *l)
{
	char size[STATUS_SPAN_LEN];
	const enum pad_role peer = otptunnel_role_other(l->role);
	const uint64_t unused = otptunnel_unused_from(l);
	printf("pad           %s\n", path);
	printf("size          %s (%llu bytes)\n", status_bytes(size, (json_int_t)l->pad_size),
		(unsigned long long)l->pad_size);
	puts("state         used by otptunnel: no other tunnel may use it");
	printf("role          %s: the bytes at %s offsets\n", l->role == PAD_OTP_SERVER ? "server" : "client",
		l->role == PAD_OTP_SERVER ? "odd" : "even");
	bytes_line("used by us", used_of_half(l, l->role), otptunnel_share(l->role, l->pad_size));
	bytes_line("used by peer", used_of_half(l, peer), otptunnel_share(peer, l->pad_size));
	printf("unused        from offset %llu on, as far as this end knows\n", (unsigned long long)unused);
	if (l->pad_size - unused >= PAD_SIZE_MIN)
		printf("              for a tunnel of jorm's own: jorm pad split %s OUT --from %llu\n"
		       "              at both ends, with the larger offset of the two that are shown there\n",
			path, (unsigned long long)unused);
}

static int otptunnel_print(const char *path, const struct ledger *l, bool json)
{
	if (json)
		otptunnel_json_print(path, l);
	else
		otptunnel_text_print(path, l);
	return CLI_OK;
}

int cli_pad_info(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"state", required_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *state = PAD_STATE_FOLDER;
	bool json = false;
	struct fault fault = {0};
	struct info info = {0};
	for (int o; (o = getopt_long(argc, argv, "d:jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'd')
			state = optarg;
		else if (o == 'j')
			json = true;
		else
			return cli_usage(self, NULL);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one pad");
	info.path = argv[optind];
	enum err e = pad_otptunnel_ledger(&info.ledger, info.path, state, &fault);
	if (e == OK)
		return otptunnel_print(info.path, &info.ledger, json);
	if (e != ERR_NOT_FOUND)
		return cli_fault(self, &fault);
	if (info_take(&info, state, &fault))
		return cli_fault(self, &fault);
	if (json)
		json_print(&info);
	else
		text_print(&info);
	return CLI_OK;
}
