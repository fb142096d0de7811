/*
 * The table of paths: which method and path mean which operation (docs/api.md). Splits and decodes the path. Plain
 * data, nothing owned. Private to src/control.
 */
#pragma once

#include "control/server.h"

#define ROUTE_NAME_LEN 256 /* with its NUL */

struct route {
	enum control_operation operation;
	char name[ROUTE_NAME_LEN]; /* the path's last part, decoded; empty where the row has none */
	bool has_name;
	char allow[32]; /* with ERR_UNSUPPORTED: the methods that the path has, for the header Allow */
};

/*
 * `path` as it came, without its query. ERR_NOT_FOUND: there is no such path, or its last part is empty, too long,
 * not properly encoded, or holds a control character; ERR_UNSUPPORTED: there is, but not with this method.
 */
enum err route_find(struct route *ret, const char *method, const char *path);
