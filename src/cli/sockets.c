#include "cli/sockets.h"

#include "control/control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum err sockets_list(glob_t *ret)
{
	*ret = (glob_t){0};
	return glob(CONFIG_SOCKET_FOLDER "/*.sock", 0, NULL, ret) == GLOB_NOSPACE ? ERR_NOMEM : OK;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

/* Where a configuration file says that its socket is. */
static bool configured_socket(char out[static PATH_MAX], const char *what)
{
	char path[PATH_MAX];
	return config_path_of(path, what) == OK && config_socket_in(out, path) == OK;
}

/* The socket of the daemon whose interface has this name; among those that answer. */
static bool interface_socket(char out[static PATH_MAX], const char *interface)
{
	glob_t sockets;
	bool found = false;
	if (sockets_list(&sockets))
		return false;
	for (size_t i = 0; i < sockets.gl_pathc && !found; i++) {
		json_t *status;
		if (control_request(sockets.gl_pathv[i], "GET", "/v1/status", NULL, &status, NULL))
			continue;
		const char *name = json_string_value(json_object_get(status, "interface"));
		size_t n = strlen(sockets.gl_pathv[i]);
		found = name && strcmp(name, interface) == 0 && n < PATH_MAX;
		if (found)
			memcpy(out, sockets.gl_pathv[i], n + 1);
		json_decref(status);
	}
	globfree(&sockets);
	return found;
}

enum err socket_find(char out[static PATH_MAX], const char *what, struct fault *fault)
{
	struct stat st;
	size_t n = strlen(what);
	if (n == 0 || n >= PATH_MAX - sizeof(CONFIG_SOCKET_FOLDER "/.sock"))
		return fault_set(fault, ERR_FORMAT, "this is no name of a tunnel");
	if (ends_with(what, ".sock")) {
		memcpy(out, what, n + 1);
		return OK;
	}
	if (configured_socket(out, what))
		return OK;
	/* a file that has become unreadable since: its socket is where it is by default */
	const char *slash = strrchr(what, '/');
	char instance[PATH_MAX];
	memcpy(instance, slash ? slash + 1 : what, strlen(slash ? slash + 1 : what) + 1);
	if (ends_with(instance, ".conf"))
		instance[strlen(instance) - strlen(".conf")] = '\0';
	if (config_socket_of(out, instance))
		return fault_set(fault, ERR_TOO_BIG, "'%s' is too long for a tunnel's name", instance);
	if (stat(out, &st) < 0 && !slash)
		interface_socket(out, what);
	return OK;
}

enum err socket_ask(
	const char *what, const char *method, const char *path, const json_t *body, json_t **ret, struct fault *fault)
{
	char place[PATH_MAX];
	*ret = NULL;
	enum err e = socket_find(place, what, fault);
	return e ? e : control_request(place, method, path, body, ret, fault);
}

void socket_print(const json_t *document)
{
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
}
