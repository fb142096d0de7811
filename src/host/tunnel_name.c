#include "host/tunnel_name.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>

#define ESCAPED_MAX 64

const char *tunnel_name(const char *instance, char out[static TUNNEL_NAME_SIZE])
{
	size_t at = 0;
	uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */
	for (const unsigned char *c = (const unsigned char *)instance; *c; c++) {
		hash = (hash ^ *c) * 0x100000001b3U;
		if (at <= ESCAPED_MAX && isalnum(*c) && *c < 0x80)
			out[at++] = (char)*c;
		else if (at <= ESCAPED_MAX)
			at += (size_t)snprintf(out + at, 4, "_%02x", *c);
	}
	out[at] = '\0';
	/* no escape begins with _h */
	if (at > ESCAPED_MAX)
		(void)snprintf(out, TUNNEL_NAME_SIZE, "_h%016llx", (unsigned long long)hash);
	return out;
}
