#include "config/authorized.h"

#include "base/file.h"
#include "config/diag.h"
#include "config/peer.h"
#include "crypto/keyfile.h"
#include "pad/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is in the folder. */
struct kind {
	const char *suffix, *noun, *key;
	enum err (*read)(uint8_t ret_key_id[static KEY_ID_LEN], const char *path, struct fault *fault);
};

/* The caller may know the line; a daemon that reads the folder again does not. */
static struct diag_place place_of(const struct kind *kind)
{
	return (struct diag_place){.section = "interface", .key = kind->key};
}

static DIR *folder_open(const struct kind *kind, const char *folder, struct config_diagnostics *diags, enum err *ret)
{
	struct stat st;
	struct fault fault;
	int fd = file_open(folder, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		int why = errno;
		const char *remedy = why == ENOENT    ? "make it, with mkdir, or correct the path"
				     : why == ENOTDIR ? "give the folder in which the files are"
						      : "correct its access rights";
		*ret = fault_errno(&fault, "cannot open the folder %s", folder);
		*ret = why == ENOTDIR ? ERR_FORMAT : *ret;
		diag_error(diags, place_of(kind), "%s; %s", fault.text, remedy);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (fstat(fd, &st) == 0 && st.st_mode & S_IWOTH)
		diag_warning(diags, place_of(kind), "everyone on this host may add %ss to %s: run chmod o-w on it",
			kind->noun, folder);
	return dir;
}

/* The peer's name of a file that is to be one; false: it is none. */
static bool name_take(char ret[static CONFIG_PEER_NAME_LEN], const struct kind *kind, const char *file,
	const char *folder, struct config_diagnostics *diags)
{
	char name[NAME_MAX + 1], q[QUOTE_LEN];
	size_t n = strlen(file), end = strlen(kind->suffix);
	if (file[0] == '.' || n < end || strcmp(file + n - end, kind->suffix) != 0)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(n - end), file);
	if (!config_peer_name_ok(name)) {
		diag_warning(diags, place_of(kind),
			"%s/%s is left out: the name before %s becomes the peer's, so rename it to 1 to %d letters, "
			"digits and . _ -",
			folder, quote(q, file), kind->suffix, CONFIG_PEER_NAME_LEN - 1);
		return false;
	}
	memcpy(ret, name, strlen(name) + 1);
	return true;
}

static enum err names_read(
	struct authorized *ret, const struct kind *kind, DIR *dir, const char *folder, struct config_diagnostics *diags)
{
	size_t room = 0;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry)
			return errno ? ERR_IO : OK;
		char name[CONFIG_PEER_NAME_LEN];
		if (!name_take(name, kind, entry->d_name, folder, diags))
			continue;
		if (ret->count == room) {
			room = room ? room * 2 : 64;
			struct authorized_key *items = reallocarray(ret->items, room, sizeof(*items));
			if (!items)
				return ERR_NOMEM;
			ret->items = items;
		}
		struct authorized_key *key = &ret->items[ret->count++];
		*key = (struct authorized_key){0};
		memcpy(key->name, name, sizeof(name));
	}
}

static int by_name(const void *left, const void *right)
{
	const struct authorized_key *a = left, *b = right;
	return strcmp(a->name, b->name);
}

static int by_key_id_and_name(const void *left, const void *right)
{
	const struct authorized_key *a = left, *b = right;
	int order = memcmp(a->key_id, b->key_id, KEY_ID_LEN);
	return order ? order : by_name(a, b);
}

static enum err key_read(uint8_t ret_key_id[static KEY_ID_LEN], const char *path, struct fault *fault)
{
	struct sig_public key;
	enum err err = keyfile_read_public(&key, path, fault);
	return err ? err : key_id_compute(ret_key_id, &key);
}

static enum err pad_read(uint8_t ret_key_id[static KEY_ID_LEN], const char *path, struct fault *fault)
{
	uint8_t pad_id[PAD_ID_LEN];
	uint64_t size;
	enum err err = pad_file_id(path, pad_id, &size, fault);
	return err ? err : pad_key_id_compute(ret_key_id, pad_id);
}

static const struct kind keys_kind = {".pub", "key", "AuthorizedKeys", key_read};
static const struct kind pads_kind = {".pad", "pad", "Pads", pad_read};

/* Gives each name its key ID; those without a good file go. */
static void items_read(
	struct authorized *ret, const struct kind *kind, const char *folder, struct config_diagnostics *diags)
{
	size_t kept = 0;
	for (size_t i = 0; i < ret->count; i++) {
		char path[PATH_MAX];
		struct fault fault = {0};
		struct authorized_key item = ret->items[i];
		if (kept == AUTHORIZED_MAX) {
			diag_warning(diags, place_of(kind), "%s has more than %d %ss: from %s%s on, all are left out",
				folder, AUTHORIZED_MAX, kind->noun, item.name, kind->suffix);
			break;
		}
		int n = snprintf(path, sizeof(path), "%s/%s%s", folder, item.name, kind->suffix);
		if ((size_t)n >= sizeof(path))
			(void)fault_set(
				&fault, ERR_TOO_BIG, "%s%s: the folder's path is too long", item.name, kind->suffix);
		else if (kind->read(item.key_id, path, &fault) == OK)
			ret->items[kept++] = item;
		else if (!fault.text[0])
			(void)fault_set(&fault, ERR_CRYPTO, "%s: %s", path, err_text(ERR_CRYPTO));
		if (fault.text[0])
			diag_warning(diags, place_of(kind), "a %s is left out: %s", kind->noun, fault.text);
	}
	ret->count = kept;
}

/* Each belongs to one peer: to that of the first name. */
static void twins_drop(
	struct authorized *ret, const struct kind *kind, const char *folder, struct config_diagnostics *diags)
{
	size_t kept = 0;
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_key_id_and_name);
	for (size_t i = 0; i < ret->count; i++) {
		const struct authorized_key *last = kept ? &ret->items[kept - 1] : NULL;
		if (last && memcmp(last->key_id, ret->items[i].key_id, KEY_ID_LEN) == 0)
			diag_warning(diags, place_of(kind), "%s/%s%s is left out: %s%s is the same %s, so remove one",
				folder, ret->items[i].name, kind->suffix, last->name, kind->suffix, kind->noun);
		else
			ret->items[kept++] = ret->items[i];
	}
	ret->count = kept;
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_name);
}

static enum err folder_read(
	struct authorized *ret, const struct kind *kind, const char *folder, struct config_diagnostics *diags)
{
	enum err e = OK;
	*ret = (struct authorized){0};
	DIR *dir = folder_open(kind, folder, diags, &e);
	if (!dir)
		return e;
	e = names_read(ret, kind, dir, folder, diags);
	closedir(dir);
	if (e) {
		authorized_done(ret);
		diag_error(diags, place_of(kind), "%s cannot be read: %s", folder, err_text(e));
		return e;
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_name);
	items_read(ret, kind, folder, diags);
	twins_drop(ret, kind, folder, diags);
	return OK;
}

enum err authorized_read(struct authorized *ret, const char *folder, struct config_diagnostics *diags)
{
	return folder_read(ret, &keys_kind, folder, diags);
}

enum err authorized_read_pads(struct authorized *ret, const char *folder, struct config_diagnostics *diags)
{
	return folder_read(ret, &pads_kind, folder, diags);
}

void authorized_done(struct authorized *keys)
{
	free(keys->items);
	*keys = (struct authorized){0};
}
