#include "control/route.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct row {
	const char *method;
	const char *path; /* one that ends in '/' is followed by a name */
	enum control_operation operation;
} rows[] = {
	{"GET", "/v1/status", CONTROL_STATUS},
	{"GET", "/v1/peers", CONTROL_PEERS},
	{"POST", "/v1/peers", CONTROL_PEER_ADD},
	{"GET", "/v1/peers/", CONTROL_PEER},
	{"DELETE", "/v1/peers/", CONTROL_PEER_REMOVE},
	{"GET", "/v1/leases", CONTROL_LEASES},
	{"DELETE", "/v1/leases/", CONTROL_LEASE_FREE},
	{"GET", "/v1/counters", CONTROL_COUNTERS},
	{"GET", "/v1/events", CONTROL_EVENTS},
	{"POST", "/v1/reload", CONTROL_RELOAD},
	{"POST", "/v1/down", CONTROL_DOWN},
	{"GET", "/metrics", CONTROL_METRICS},
};

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	return isxdigit((unsigned char)c) ? (int)(strchr(digits, tolower((unsigned char)c)) - digits) : -1;
}

/* "a%20b" -> "a b". */
static bool name_decode(char out[static ROUTE_NAME_LEN], const char *text)
{
	size_t n = 0;
	for (const char *c = text; *c; c++) {
		int byte = (unsigned char)*c;
		if (byte == '%') {
			int high = hex_digit(c[1]), low = high < 0 ? -1 : hex_digit(c[2]);
			if (low < 0)
				return false;
			byte = high << 4 | low;
			c += 2;
		} else if (byte == '/') {
			return false;
		}
		if (byte < 0x20 || byte == 0x7f || n == ROUTE_NAME_LEN - 1)
			return false;
		out[n++] = (char)byte;
	}
	out[n] = '\0';
	return n > 0;
}

static bool row_matches(const struct row *row, const char *path, char name[static ROUTE_NAME_LEN])
{
	size_t n = strlen(row->path);
	name[0] = '\0';
	if (row->path[n - 1] != '/')
		return strcmp(row->path, path) == 0;
	return strncmp(row->path, path, n) == 0 && name_decode(name, path + n);
}

enum err route_find(struct route *ret, const char *method, const char *path)
{
	struct route r = {0};
	size_t at = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!row_matches(&rows[i], path, r.name))
			continue;
		if (strcmp(rows[i].method, method) == 0) {
			r.operation = rows[i].operation;
			r.has_name = r.name[0] != '\0';
			r.allow[0] = '\0';
			*ret = r;
			return OK;
		}
		at += (size_t)snprintf(r.allow + at, sizeof(r.allow) - at, "%s%s", at ? ", " : "", rows[i].method);
	}
	memcpy(ret->allow, r.allow, sizeof(r.allow));
	return at ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}
