/* jorm peer add, remove, list: commands of their own below one name. */
#include "cli/cli.h"
#include "cli/sockets.h"
#include "cli/table.h"

#include "control/control.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS 5

/* ---- add ---- */

/* What the options and arguments say, as they were typed. */
struct wanted {
	const char *tunnel, *name, *key, *allowed_ips, *endpoint, *keepalive;
};

/* A key ID, or the file of a public key. */
static enum err key_id_take(char out[static KEY_ID_TEXT_LEN], const char *key, struct fault *fault)
{
	uint8_t id[KEY_ID_LEN];
	if (key_id_parse(id, key)) {
		if (access(key, F_OK) < 0)
			return fault_set(fault, ERR_FORMAT,
				"'%s' is neither a key ID, which jorm keyid prints on the peer, nor a public key's "
				"file",
				key);
		enum err e = cli_key_id_of_file(id, key, fault);
		if (e)
			return e;
	}
	key_id_format(id, out);
	return OK;
}

/* "a, b" -> ["a", "b"]. */
static json_t *list_of(const char *text)
{
	json_t *list = json_array();
	char *copy = strdup(text), *rest = copy;
	for (char *item; rest && (item = strsep(&rest, ","));) {
		while (*item == ' ')
			item++;
		size_t n = strlen(item);
		while (n && item[n - 1] == ' ')
			n--;
		json_array_append_new(list, json_stringn(item, n));
	}
	free(copy);
	return list;
}

static enum err peer_add(const struct wanted *w, struct fault *fault)
{
	char key_id[KEY_ID_TEXT_LEN], *end = NULL;
	errno = 0;
	long keepalive = w->keepalive ? strtol(w->keepalive, &end, 10) : 0;
	if (w->keepalive && (errno || end == w->keepalive || *end || keepalive < 0 || keepalive > UINT16_MAX))
		return fault_set(fault, ERR_FORMAT, "--keepalive takes a number of seconds up to 65535, 0 for none");
	enum err e = key_id_take(key_id, w->key, fault);
	if (e)
		return e;
	json_t *answer, *body = json_pack("{s:s, s:s, s:o, s:s?, s:i}", "name", w->name, "key_id", key_id,
				"allowed_ips", w->allowed_ips ? list_of(w->allowed_ips) : json_array(), "endpoint",
				w->endpoint, "keepalive", (int)keepalive);
	if (!body)
		return fault_set(fault, ERR_FORMAT, "the arguments are no text in UTF-8");
	e = socket_ask(w->tunnel, "POST", "/v1/peers", body, &answer, fault);
	json_decref(body);
	if (e == OK)
		json_decref(answer);
	return e;
}

static int cli_peer_add(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"allowed-ips", required_argument, NULL, 'a'},
		{"endpoint", required_argument, NULL, 'e'}, {"keepalive", required_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct wanted w = {0};
	struct fault fault = {0};
	for (int o; (o = getopt_long(argc, argv, "a:e:k:h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'a')
			w.allowed_ips = optarg;
		else if (o == 'e')
			w.endpoint = optarg;
		else if (o == 'k')
			w.keepalive = optarg;
		else
			return cli_usage(self, NULL);
	}
	if (argc - optind != 3)
		return cli_usage(self, "add: name a tunnel, the peer, and its key ID or public key's file");
	w.tunnel = argv[optind];
	w.name = argv[optind + 1];
	w.key = argv[optind + 2];
	return peer_add(&w, &fault) ? cli_fault(self, &fault) : CLI_OK;
}

/* ---- remove ---- */

static int cli_peer_remove(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	char path[1024];
	struct fault fault = {0};
	json_t *answer;
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (argc - optind != 2)
		return cli_usage(self, "remove: name a tunnel and the peer");
	if (!argv[optind + 1][0] || control_path(path, sizeof(path), "/v1/peers/", argv[optind + 1]))
		return cli_fault(self, &(struct fault){.code = ERR_FORMAT, .text = "this is no name of a peer"});
	if (socket_ask(argv[optind], "DELETE", path, NULL, &answer, &fault))
		return cli_fault(self, &fault);
	json_decref(answer);
	return CLI_OK;
}

/* ---- list ---- */

/* "a, b" of both lists; NULL: none. To be freed. */
static char *addresses_join(const json_t *peer)
{
	static const char *const keys[] = {"allowed_ips", "addresses"};
	char *text = NULL;
	size_t size, i;
	const json_t *item;
	FILE *out = open_memstream(&text, &size);
	bool any = false;
	for (size_t k = 0; out && k < sizeof(keys) / sizeof(keys[0]); k++) {
		json_array_foreach(json_object_get(peer, keys[k]), i, item)
		{
			fprintf(out, "%s%s", any ? ", " : "", json_is_string(item) ? json_string_value(item) : "?");
			any = true;
		}
	}
	if (out)
		fclose(out);
	return text;
}

static enum err peers_print(const json_t *list, struct fault *fault)
{
	static const char *const titles[COLUMNS] = {"NAME", "STATE", "SOURCE", "ENDPOINT", "ADDRESSES"};
	static const char *const keys[COLUMNS] = {"name", "state", "source", "endpoint"};
	size_t i, n = json_array_size(list) + 1;
	const json_t *peer;
	const char **cells = calloc(n * COLUMNS, sizeof(*cells));
	char **joined = calloc(n, sizeof(*joined));
	enum err e = cells && joined ? OK : fault_set(fault, ERR_NOMEM, "out of memory");
	for (i = 0; e == OK && i < COLUMNS; i++)
		cells[i] = titles[i];
	json_array_foreach(list, i, peer)
	{
		if (e)
			break;
		for (size_t k = 0; k + 1 < COLUMNS; k++)
			cells[(i + 1) * COLUMNS + k] = json_string_value(json_object_get(peer, keys[k]));
		joined[i] = addresses_join(peer);
		cells[(i + 2) * COLUMNS - 1] = joined[i];
	}
	if (e == OK)
		table_print(stdout, cells, n, COLUMNS);
	for (i = 0; joined && i < n; i++)
		free(joined[i]);
	free(joined);
	free(cells);
	return e;
}

static int cli_peer_list(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool json = false;
	struct fault fault = {0};
	json_t *answer;
	for (int o; (o = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		if (o != 'j')
			return cli_usage(self, NULL);
		json = true;
	}
	if (argc - optind != 1)
		return cli_usage(self, "list: name one tunnel");
	enum err e = socket_ask(argv[optind], "GET", "/v1/peers", NULL, &answer, &fault);
	if (e)
		return cli_fault(self, &fault);
	const json_t *list = json_object_get(answer, "peers");
	if (json)
		socket_print(answer);
	else if (json_array_size(list) == 0)
		puts("there are no peers");
	else
		e = peers_print(list, &fault);
	json_decref(answer);
	return e ? cli_fault(self, &fault) : CLI_OK;
}

/* ---- the three ---- */

int cli_peer(const struct command *self, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct command *self, int argc, char **argv);
	} verbs[] = {{"add", cli_peer_add}, {"remove", cli_peer_remove}, {"list", cli_peer_list}};
	char called[32]; /* getopt begins its messages with this */
	if (argc < 2)
		return cli_usage(self, "say add, remove or list");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		snprintf(called, sizeof(called), "jorm peer %s", verbs[i].name);
		argv[1] = called;
		return verbs[i].run(self, argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return cli_help(self);
	return cli_usage(self, "there is no '%s': say add, remove or list", argv[1]);
}
