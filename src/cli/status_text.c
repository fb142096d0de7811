#include "cli/status_text.h"

#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 18

/* One aligned line. What stands in it may come from the other end of the world. */
[[gnu::format(printf, 3, 4)]] static void line(FILE *out, const char *label, const char *format, ...)
{
	char *text;
	va_list args;
	va_start(args, format);
	int n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return;
	fprintf(out, "  %-*s%s\n", LABEL_WIDTH, label, cli_harmless(text));
	free(text);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void text_line(FILE *out, const json_t *object, const char *key, const char *label)
{
	const char *text = text_of(object, key);
	if (text && *text)
		line(out, label, "%s", text);
}

static void number_line(FILE *out, const json_t *object, const char *key, const char *label)
{
	const json_t *number = json_object_get(object, key);
	if (json_is_integer(number))
		line(out, label, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
}

const char *status_span(char out[static STATUS_SPAN_LEN], json_int_t seconds)
{
	static const struct {
		json_int_t seconds;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t at = 0, shown = 0;
	if (seconds <= 0)
		return memcpy(out, "0 seconds", sizeof("0 seconds"));
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && shown < 2; i++) {
		json_int_t n = seconds / units[i].seconds;
		seconds %= units[i].seconds;
		if (n == 0 && shown == 0)
			continue;
		shown++;
		if (n)
			at += (size_t)snprintf(out + at, STATUS_SPAN_LEN - at, "%s%" JSON_INTEGER_FORMAT " %s%s",
				at ? ", " : "", n, units[i].name, n == 1 ? "" : "s");
	}
	return out;
}

const char *status_bytes(char out[static STATUS_SPAN_LEN], json_int_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;
	if (bytes < 1024) {
		snprintf(out, STATUS_SPAN_LEN, "%" JSON_INTEGER_FORMAT " B", bytes);
		return out;
	}
	double n = (double)bytes / 1024;
	for (; n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		n /= 1024;
	snprintf(out, STATUS_SPAN_LEN, "%.2f %s", n, units[unit]);
	return out;
}

static void age_line(FILE *out, const json_t *object, const char *key, const char *label, const char *never)
{
	const json_t *age = json_object_get(object, key);
	char span[STATUS_SPAN_LEN];
	if (json_is_integer(age))
		line(out, label, "%s ago", status_span(span, json_integer_value(age)));
	else if (never)
		line(out, label, "%s", never);
}

/* "a, b"; `none` stands for an empty list, NULL: no line then. */
static void list_line(FILE *out, const json_t *object, const char *key, const char *label, const char *none)
{
	const json_t *list = json_object_get(object, key), *item;
	char *text = NULL;
	size_t size, i;
	FILE *joined = open_memstream(&text, &size);
	if (!joined)
		return;
	json_array_foreach(list, i, item)
		fprintf(joined, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "?");
	if (fclose(joined) == 0 && (*text || none))
		line(out, label, "%s", *text ? text : none);
	free(text);
}

/* What a server has given us. */
static void given_lines(FILE *out, const json_t *peer)
{
	const json_t *given = json_object_get(peer, "given");
	list_line(out, given, "addresses", "our addresses", NULL);
	list_line(out, given, "routes", "given routes", NULL);
	list_line(out, given, "dns", "given DNS", NULL);
	list_line(out, given, "domains", "given domains", NULL);
	number_line(out, given, "mtu", "given MTU");
	number_line(out, given, "keepalive_s", "given keepalive");
}

/* Which primitives stand between the packets and the world. */
static void protection_lines(FILE *out, const json_t *peer)
{
	const char *theirs = text_of(peer, "signature_peer"), *ours = text_of(peer, "signature_local");
	if (!text_of(peer, "kem"))
		return; /* there is none but the pad */
	text_line(out, peer, "kem", "key exchange");
	if (theirs && ours)
		line(out, "signatures", "%s (ours), %s (theirs)", ours, theirs);
	text_line(out, peer, "cipher", "cipher");
	line(out, "preshared key", "%s", json_is_true(json_object_get(peer, "preshared_key")) ? "yes" : "no");
}

/* How much is left of its pad, and how long that lasts; or why it cannot be used. */
static void pad_lines(FILE *out, const json_t *peer)
{
	const json_t *pad = json_object_get(peer, "pad");
	const char *id = text_of(pad, "id"), *state = text_of(pad, "state"), *until = text_of(pad, "lasts_until");
	const char *fault = text_of(pad, "fault");
	char left[STATUS_SPAN_LEN], ours[STATUS_SPAN_LEN], size[STATUS_SPAN_LEN], span[STATUS_SPAN_LEN];
	if (!id || !state)
		return;
	json_int_t own = json_integer_value(json_object_get(pad, "left"));
	status_bytes(ours, own);
	status_bytes(left, own + json_integer_value(json_object_get(pad, "peer_left")));
	status_bytes(size, json_integer_value(json_object_get(pad, "size")));
	status_span(span, json_integer_value(json_object_get(pad, "measured_s")));
	if (until)
		line(out, "pad", "%.8s: %s left of %s, %s of it ours; lasts until %.10s at the rate of the last %s", id,
			left, size, ours, until, span);
	else
		line(out, "pad", "%.8s: %s left of %s, %s of it ours", id, left, size, ours);
	if (strcmp(state, "used up") == 0)
		line(out, "pad is used up", "nothing more can be sent: give both ends a new one");
	else if (strcmp(state, "old") == 0)
		line(out, "pad is refused",
			"the peer has seen more of it used than our record says: see jorm pad advance");
	else if (fault)
		line(out, "pad fails", "%s", fault);
}

static void transfer_line(FILE *out, const json_t *peer)
{
	char rx[STATUS_SPAN_LEN], tx[STATUS_SPAN_LEN];
	status_bytes(rx, json_integer_value(json_object_get(peer, "rx_bytes")));
	status_bytes(tx, json_integer_value(json_object_get(peer, "tx_bytes")));
	line(out, "transfer", "%s received, %s sent", rx, tx);
}

static void peer_print(FILE *out, const json_t *peer)
{
	char title[CONFIG_PEER_NAME_LEN];
	const char *name = text_of(peer, "name"), *state = text_of(peer, "state"), *source = text_of(peer, "source");
	snprintf(title, sizeof(title), "%s", name ? name : "?");
	fprintf(out, "\npeer %s\n", cli_harmless(title));
	if (source && strcmp(source, "file") != 0)
		line(out, "from", "%s",
			strcmp(source, "folder") != 0 ? "jorm peer add"
			: text_of(peer, "kem")        ? "AuthorizedKeys"
						      : "Pads");
	if (text_of(peer, "kem"))
		text_line(out, peer, "key_id", "key ID");
	text_line(out, peer, "endpoint", "endpoint");
	if (json_is_integer(json_object_get(peer, "stations")))
		number_line(out, peer, "stations", "stations");
	else
		list_line(out, peer, "allowed_ips", "allowed IPs", "(none)");
	list_line(out, peer, "addresses", "its addresses", NULL);
	given_lines(out, peer);
	text_line(out, peer, "state", "state");
	text_line(out, peer, "reject_reason", "rejected by peer");
	age_line(out, peer, "last_handshake_s", "last handshake", "never");
	age_line(out, peer, "last_receive_s", "last received", NULL);
	text_line(out, peer, "protection", "protection");
	pad_lines(out, peer);
	if (state && strcmp(state, "established") == 0) {
		protection_lines(out, peer);
		number_line(out, peer, "path_mtu", "path MTU");
	}
	transfer_line(out, peer);
}

/* Only what has happened. */
static void counters_print(FILE *out, const json_t *counters, const char *title)
{
	const char *name;
	json_t *count;
	bool any = false;
	json_object_foreach((json_t *)counters, name, count)
	{
		if (json_integer_value(count) == 0)
			continue;
		if (!any)
			fprintf(out, "\n%s\n", title);
		any = true;
		line(out, name, "%" JSON_INTEGER_FORMAT, json_integer_value(count));
	}
}

static void leases_line(FILE *out, const json_t *status)
{
	const json_t *used = json_object_get(json_object_get(status, "leases"), "used");
	if (json_integer_value(used) > 0)
		line(out, "leases", "%" JSON_INTEGER_FORMAT " handed out", json_integer_value(used));
}

void status_print(FILE *out, const json_t *status)
{
	char title[CONFIG_IFNAME_LEN], span[STATUS_SPAN_LEN];
	const char *name = text_of(status, "interface");
	const json_t *up = json_object_get(status, "uptime_s"), *peer;
	size_t i;
	snprintf(title, sizeof(title), "%s", name ? name : "?");
	fprintf(out, "interface %s\n", cli_harmless(title));
	text_line(out, status, "key_id", "key ID");
	text_line(out, status, "algorithm", "algorithm");
	number_line(out, status, "listen_port", "listening port");
	number_line(out, status, "mtu", "MTU");
	number_line(out, status, "own_stations", "own stations");
	if (json_is_integer(up))
		line(out, "up for", "%s", status_span(span, json_integer_value(up)));
	leases_line(out, status);
	list_line(out, status, "dns", "DNS", NULL);
	if (json_is_true(json_object_get(status, "kill_switch")))
		line(out, "kill switch", "yes");
	text_line(out, status, "sandbox", "sandbox");
	json_array_foreach(json_object_get(status, "peers"), i, peer) peer_print(out, peer);
	counters_print(out, json_object_get(status, "handshakes"), "handshakes");
	counters_print(out, json_object_get(status, "drops"), "drops");
}
