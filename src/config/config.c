#include "config/config.h"

#include "base/file.h"
#include "base/secret.h"
#include "config/authorized.h"
#include "config/diag.h"
#include "config/keys.h"
#include "config/lists.h"
#include "config/parse.h"
#include "config/peer.h"
#include "crypto/keyfile.h"
#include "pad/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A diagnostic's place when it is about the file as a whole. */
static const struct diag_place whole;

void config_free(struct config *config)
{
	if (!config)
		return;
	struct config_strings *commands[] = {&config->pre_up, &config->post_up, &config->pre_down, &config->post_down};
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		config_strings_done(commands[i]);
	for (size_t i = 0; i < config->peer_count; i++)
		config_peer_done(&config->peers[i]);
	free(config->peers);
	free(config->path);
	free(config->instance);
	free(config->private_key);
	free(config->addresses.items);
	free(config->state_directory);
	free(config->control_socket);
	free(config->control_group);
	free(config->user);
	free(config->authorized_keys);
	free(config->pads);
	free(config->pools.items);
	free(config->push_routes.items);
	config_dns_done(&config->push_dns);
	config_dns_done(&config->dns);
	free(config);
}

/* An opened regular file of a bearable size. */
static enum err open_regular(int *ret, const char *path, struct config_diagnostics *diags)
{
	struct stat st;
	struct fault fault;
	/* O_NONBLOCK: a FIFO without a writer must not hold us up */
	int fd = file_open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		enum err e = fault_errno(&fault, "cannot be read");
		if (e == ERR_NOT_FOUND)
			diag_error(diags, whole, "there is no such file");
		else
			diag_error(diags, whole, "%s%s", fault.text, e == ERR_PERMISSION ? "; run this as root" : "");
		if (fd >= 0)
			close(fd);
		return e;
	}
	enum err e = OK;
	if (!S_ISREG(st.st_mode)) {
		diag_error(diags, whole, "is not a regular file");
		e = ERR_FORMAT;
	} else if (st.st_size > CONFIG_FILE_MAX) {
		diag_error(diags, whole, "has %lld bytes, a configuration at most %u: is this the right file?",
			(long long)st.st_size, CONFIG_FILE_MAX);
		e = ERR_TOO_BIG;
	} else if (st.st_mode & S_IWOTH) {
		diag_warning(diags, whole, "everyone on this host may change this file: run chmod o-w on it");
	}
	if (e)
		close(fd);
	*ret = e ? -1 : fd;
	return e;
}

/* Reads to the end, or to one byte beyond the limit, which config_parse then refuses. */
static enum err file_read(char *text, size_t *ret_len, int fd)
{
	size_t len = 0;
	while (len <= CONFIG_FILE_MAX) {
		ssize_t n = read(fd, text + len, CONFIG_FILE_MAX + 1 - len);
		if (n < 0 && errno != EINTR)
			return ERR_IO;
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
	}
	*ret_len = len;
	return OK;
}

/* What is in the file; *ret is to be freed also when there is an error. */
static enum err load_partly(struct config **ret, const char *path, struct config_diagnostics *diags)
{
	int fd;
	*ret = NULL;
	enum err e = open_regular(&fd, path, diags);
	if (e)
		return e;
	size_t len = 0;
	char *text = malloc(CONFIG_FILE_MAX + 1);
	e = text ? file_read(text, &len, fd) : ERR_NOMEM;
	close(fd);
	if (e)
		diag_error(diags, whole, "cannot be read: %s", err_text(e));
	else
		e = config_parse_partly(ret, path, text, len, diags);
	free(text);
	return e;
}

static void own_key_check(const struct config *config, struct config_diagnostics *diags, const uint8_t *own)
{
	for (size_t i = 0; own && i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];
		char section[CONFIG_PEER_NAME_LEN + 8];
		snprintf(section, sizeof(section), "peer %s", peer->name);
		if (memcmp(peer->key_id, own, KEY_ID_LEN) == 0)
			diag_error(diags,
				(struct diag_place){.line = peer->key_id_line, .section = section, .key = "KeyID"},
				"is the key ID of this host's own PrivateKey: give the peer's");
	}
}

/* true: ret_key_id has the host's own key ID. */
static bool private_key_check(
	const struct config *config, struct config_diagnostics *diags, uint8_t ret_key_id[static KEY_ID_LEN])
{
	struct identity *id = NULL;
	struct fault fault;
	const struct diag_place place = {.line = config->private_key_line, .section = "interface", .key = "PrivateKey"};
	if (!config->private_key)
		return false; /* has been missed already */
	if (keyfile_read_private(&id, config->private_key, &fault)) {
		diag_error(diags, place, "%s", fault.text);
		return false;
	}
	memcpy(ret_key_id, identity_key_id(id), KEY_ID_LEN);
	identity_free(id);
	return true;
}

static void preshared_key_check(const struct config_peer *peer, struct config_diagnostics *diags)
{
	uint8_t psk[32];
	struct fault fault;
	char section[CONFIG_PEER_NAME_LEN + 8];
	snprintf(section, sizeof(section), "peer %s", peer->name);
	const struct diag_place place = {.line = peer->preshared_key_line, .section = section, .key = "PresharedKey"};
	if (peer->preshared_key && keyfile_read_psk(psk, peer->preshared_key, &fault))
		diag_error(diags, place, "%s", fault.text);
	secret_wipe(psk, sizeof(psk));
}

/* Whose pad it is. */
struct pad_of {
	uint8_t id[PAD_ID_LEN];
	struct config_peer *peer;
};

static int by_pad_and_line(const void *left, const void *right)
{
	const struct pad_of *a = left, *b = right;
	int order = memcmp(a->id, b->id, PAD_ID_LEN);
	return order ? order : (a->peer->line > b->peer->line) - (a->peer->line < b->peer->line);
}

/* Reads the peer's, if it has one that is good. */
static bool pad_read(struct pad_of *ret, struct config_peer *peer, struct config_diagnostics *diags)
{
	uint64_t size;
	struct fault fault;
	char section[CONFIG_PEER_NAME_LEN + 8];
	snprintf(section, sizeof(section), "peer %s", peer->name);
	const struct diag_place place = {.line = peer->pad_line, .section = section, .key = "Pad"};
	ret->peer = peer;
	if (!peer->pad)
		return false;
	if (pad_file_id(peer->pad, ret->id, &size, &fault)) {
		diag_error(diags, place, "%s", fault.text);
		return false;
	}
	if (peer->protection == CONFIG_PROTECTION_OTP && pad_key_id_compute(peer->key_id, ret->id))
		diag_error(diags, place, "%s: %s", peer->pad, err_text(ERR_CRYPTO));
	return true;
}

/* Gives peers without a key what stands for it. A pad belongs to one link, whatever its files are called. */
static enum err pads_check(const struct config *config, struct config_diagnostics *diags)
{
	struct pad_of *pads = calloc(config->peer_count + 1, sizeof(*pads));
	size_t n = 0;
	if (!pads)
		return ERR_NOMEM;
	for (size_t i = 0; i < config->peer_count; i++)
		n += pad_read(&pads[n], &config->peers[i], diags);
	qsort(pads, n, sizeof(*pads), by_pad_and_line);
	for (size_t i = 1; i < n; i++) {
		char section[CONFIG_PEER_NAME_LEN + 8];
		const struct config_peer *first = pads[i - 1].peer, *second = pads[i].peer;
		if (memcmp(pads[i - 1].id, pads[i].id, PAD_ID_LEN) != 0)
			continue;
		snprintf(section, sizeof(section), "peer %s", second->name);
		diag_error(diags, (struct diag_place){.line = second->pad_line, .section = section, .key = "Pad"},
			"is the pad of peer %s in line %u: a pad is for one peer only, so give this one its own",
			first->name, first->pad_line);
	}
	free(pads);
	return OK;
}

/* Only what was looked for and not found is a mistake: a daemon in its sandbox cannot look. (errno does not tell, the
 * last of several sources has set it; nor does looking for root, whom some sources make up.) */
static bool can_look(const char *database)
{
	int fd = open(database, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void accounts_check(const struct config *config, struct config_diagnostics *diags)
{
	struct diag_place place = {.line = config->control_group_line, .section = "interface", .key = "ControlGroup"};
	if (config->control_group && !getgrnam(config->control_group) && can_look("/etc/group"))
		diag_error(diags, place, "this host has no group %s: correct the name, or run groupadd --system %s",
			config->control_group, config->control_group);
	place.line = config->user_line;
	place.key = "User";
	if (config->user && !getpwnam(config->user) && can_look("/etc/passwd"))
		diag_error(diags, place, "this host has no user %s: correct the name, or run useradd --system %s",
			config->user, config->user);
}

static enum err folder_check(struct authorized *ret,
	enum err (*read)(struct authorized *ret, const char *folder, struct config_diagnostics *diags),
	const char *folder, unsigned line, struct config_diagnostics *diags)
{
	size_t first = diags->count;
	enum err e = read(ret, folder, diags);
	for (size_t i = first; i < diags->count; i++)
		diags->items[i].line = line;
	return e;
}

static void folders_check(const struct config *config, struct config_diagnostics *diags, const uint8_t *own)
{
	const struct diag_place place = {
		.line = config->authorized_keys_line, .section = "interface", .key = "AuthorizedKeys"};
	struct authorized keys;
	if (config->pads) {
		(void)folder_check(&keys, authorized_read_pads, config->pads, config->pads_line, diags);
		authorized_done(&keys);
	}
	if (!config->authorized_keys)
		return;
	enum err e = folder_check(&keys, authorized_read, config->authorized_keys, place.line, diags);
	for (size_t i = 0; e == OK && own && i < keys.count; i++) {
		if (memcmp(keys.items[i].key_id, own, KEY_ID_LEN) == 0)
			diag_warning(diags, place, "%s/%s.pub is this host's own key: remove it there",
				config->authorized_keys, keys.items[i].name);
	}
	authorized_done(&keys);
}

/* Errors found on the way leave nothing behind. */
static enum err finish(struct config **ret, struct config *config, enum err e)
{
	if (e)
		config_free(config);
	*ret = e ? NULL : config;
	return e;
}

enum err config_load(struct config **ret, const char *path, struct config_diagnostics *diags)
{
	struct config *config;
	enum err e = load_partly(&config, path, diags);
	return finish(ret, config, e);
}

enum err config_load_with_keys(
	struct config **ret, const char *path, struct config_diagnostics *diags, uint8_t ret_key_id[KEY_ID_LEN])
{
	struct config *config;
	enum err e = load_partly(&config, path, diags);
	if (e == OK || (e == ERR_FORMAT && config)) {
		uint8_t id[KEY_ID_LEN];
		const uint8_t *own = private_key_check(config, diags, id) ? id : NULL;
		own_key_check(config, diags, own);
		folders_check(config, diags, own);
		accounts_check(config, diags);
		for (size_t i = 0; ret_key_id && i < KEY_ID_LEN; i++)
			ret_key_id[i] = own ? own[i] : 0;
		for (size_t i = 0; i < config->peer_count; i++)
			preshared_key_check(&config->peers[i], diags);
		enum err pads = pads_check(config, diags);
		diag_sort(diags);
		e = pads ? pads : diags->errors ? ERR_FORMAT : OK;
	}
	return finish(ret, config, e);
}

static bool differ(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) != 0 : a != b;
}

bool config_needs_restart(const struct config *old, const struct config *new, char *ret_keys, size_t size)
{
	const struct {
		const char *key;
		bool differs;
	} fixed[] = {
		{"Name", differ(old->name, new->name)},
		{"Layer", old->layer != new->layer},
		{"Listen", !addr_equal(&old->listen, &new->listen)},
		{"StateDirectory", differ(old->state_directory, new->state_directory)},
		{"ControlSocket", differ(old->control_socket, new->control_socket)},
		{"ControlGroup", differ(old->control_group, new->control_group)},
		{"User", differ(old->user, new->user)},
		{"FwMark", old->fwmark != new->fwmark},
		{"Table", old->table != new->table},
	};
	bool any = false;
	size_t at = 0;
	if (size)
		ret_keys[0] = '\0';
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (!fixed[i].differs)
			continue;
		int n = snprintf(ret_keys + at, size - at, "%s%s", any ? ", " : "", fixed[i].key);
		at = (size_t)n < size - at ? at + (size_t)n : size;
		any = true;
	}
	return any;
}

enum err config_socket_in(char out[static PATH_MAX], const char *path)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	enum err e = load_partly(&config, path, &diags);
	if (e == ERR_FORMAT && config && config->control_socket)
		e = OK;
	if (e == OK)
		e = snprintf(out, PATH_MAX, "%s", config->control_socket) < PATH_MAX ? OK : ERR_TOO_BIG;
	config_diagnostics_done(&diags);
	config_free(config);
	return e;
}

enum err config_path_of(char out[static PATH_MAX], const char *file_or_name)
{
	size_t n = strlen(file_or_name);
	if (n == 0)
		return ERR_FORMAT;
	bool is_path = strchr(file_or_name, '/') || (n > 5 && strcmp(file_or_name + n - 5, ".conf") == 0);
	int written = snprintf(
		out, PATH_MAX, "%s%s%s", is_path ? "" : CONFIG_FOLDER "/", file_or_name, is_path ? "" : ".conf");
	return written < PATH_MAX ? OK : ERR_TOO_BIG;
}

enum err config_socket_of(char out[static PATH_MAX], const char *instance)
{
	int written = snprintf(out, PATH_MAX, "%s/%s.sock", CONFIG_SOCKET_FOLDER, instance);
	return (size_t)written < sizeof(((struct sockaddr_un *)0)->sun_path) ? OK : ERR_TOO_BIG;
}
