/* Peers from folders: a file of AuthorizedKeys, or of Pads, is a peer of its name. */
#include "base/file.h"
#include "base/log.h"
#include "config/authorized.h"
#include "daemon/roster_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RIPE_S 2 /* nobody has written to it for so long */

struct folder {
	const char *key, *path, *suffix;
	bool has_pads; /* not keys */
	enum err (*read)(struct authorized *ret, const char *path, struct config_diagnostics *diags);
};

/* A copy is under way as long as somebody writes to it: its end would be taken for the pad's. */
static bool is_ripe(const char *path)
{
	struct stat st;
	int fd = file_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	bool is_known = fd >= 0 && fstat(fd, &st) == 0;
	if (fd >= 0)
		close(fd);
	int64_t now = (int64_t)(clock_wall() / USEC_PER_SEC);
	return !is_known || st.st_mtim.tv_sec > now || st.st_mtim.tv_sec < now - RIPE_S;
}

/* The peer of one file. */
static enum err peer_of(
	struct config_peer *ret, const struct folder *folder, const struct authorized_key *item, struct fault *fault)
{
	enum err err = config_peer_from(ret, item->name, item->key_id, NULL, NULL, 0, fault);
	if (err != OK || !folder->has_pads)
		return err;
	ret->protection = CONFIG_PROTECTION_OTP;
	if (asprintf(&ret->pad, "%s/%s%s", folder->path, item->name, folder->suffix) < 0) {
		ret->pad = NULL;
		config_peer_done(ret);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	return OK;
}

/* An unchanged file of the folder is the common case: nothing is to be done then. */
static bool is_as_before(struct roster *r, const struct config_peer *peer)
{
	uint32_t number;
	if (engine_find_peer(r->config.engine, peer->key_id, &number) != OK)
		return false;
	struct entry *e = r->entries[number];
	if (e->peer.source != ROSTER_FOLDER || e->round == r->round || strcmp(e->own.name, peer->name) != 0 ||
		!roster_is_pad_as_before(r, e, peer))
		return false;
	e->round = r->round;
	return true;
}

static void list_file(struct roster *r, const struct folder *folder, const struct authorized_key *item)
{
	struct config_peer own;
	struct fault fault;
	enum err err = peer_of(&own, folder, item, &fault);
	if (err == OK && is_as_before(r, &own)) {
		config_peer_done(&own);
	} else if (err == OK && folder->has_pads && roster_has_listed(r, item->name)) {
		config_peer_done(&own);
		err = fault_set(&fault, ERR_STATE, "another peer has that name");
	} else if (err == OK && folder->has_pads && r->has_begun && !is_ripe(own.pad)) {
		config_peer_done(&own); /* noted already */
	} else if (err == OK) {
		err = roster_list(r, ROSTER_FOLDER, &own, &own, &fault);
	}
	if (err != OK)
		log_warning("%s: %s%s is left out: %s", folder->key, item->name, folder->suffix, fault.text);
}

static bool has_section(const struct config *file, const char *name)
{
	for (size_t i = 0; i < file->peer_count; i++)
		if (strcmp(file->peers[i].name, name) == 0)
			return true;
	return false;
}

static bool is_in_use(const struct roster *r, const char *pad)
{
	for (size_t i = 0; i < r->size; i++)
		if (r->entries[i] && r->entries[i]->pad && strcmp(r->entries[i]->peer.config->pad, pad) == 0)
			return true;
	return false;
}

/* The first pad that somebody is still writing to, if there is one. Those in use are written to by ourselves. */
static void note_unripe(struct roster *r, const struct folder *folder)
{
	int fd = file_open(folder->path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	size_t end = strlen(folder->suffix);
	const struct dirent *entry;
	while (dir && !r->unripe[0] && (entry = readdir(dir))) {
		char path[PATH_MAX];
		size_t len = strlen(entry->d_name);
		if (entry->d_name[0] == '.' || len < end || strcmp(entry->d_name + len - end, folder->suffix) != 0)
			continue;
		int n = snprintf(path, sizeof path, "%s/%s", folder->path, entry->d_name);
		if (n > 0 && (size_t)n < sizeof path && !is_in_use(r, path) && !is_ripe(path))
			memcpy(r->unripe, path, (size_t)n + 1);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

static void list_folder(struct roster *r, const struct folder *folder)
{
	struct authorized files;
	struct config_diagnostics diags = {0};
	if (!folder->path)
		return;
	enum err err = folder->read(&files, folder->path, &diags);
	/* what is still being written is no mistake yet */
	for (size_t i = 0; i < diags.count && !(folder->has_pads && r->unripe[0]); i++)
		log_warning("%s", diags.items[i].text);
	config_diagnostics_done(&diags);
	if (err != OK) /* a folder that cannot be read now must not throw everybody out */
		for (size_t i = 0; i < r->size; i++) {
			struct entry *e = r->entries[i];
			if (e && e->peer.source == ROSTER_FOLDER && !e->own.pad == !folder->has_pads &&
				err != ERR_NOT_FOUND)
				e->round = r->round;
		}
	for (size_t i = 0; i < files.count; i++) {
		if (has_section(r->file, files.items[i].name))
			log_warning("%s: %s%s is left out: the section [peer %s] counts", folder->key,
				files.items[i].name, folder->suffix, files.items[i].name);
		else
			list_file(r, folder, &files.items[i]);
	}
	authorized_done(&files);
}

void roster_list_folders(struct roster *r)
{
	const struct folder keys = {"AuthorizedKeys", r->file->authorized_keys, ".pub", false, authorized_read};
	const struct folder pads = {"Pads", r->file->pads, ".pad", true, authorized_read_pads};
	list_folder(r, &keys);
	r->unripe[0] = '\0';
	if (pads.path && r->has_begun)
		note_unripe(r, &pads);
	list_folder(r, &pads);
}

bool roster_is_unripe(const struct roster *r)
{
	return r->unripe[0];
}

bool roster_has_ripened(const struct roster *r)
{
	return r->unripe[0] && is_ripe(r->unripe);
}
