#include "host/switches.h"

#include "host/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ROOT "/proc/sys/"
#define FILE_MAX (256 * 1024)
#define USERS_MAX 256
#define NAME_SIZE 96

/* How a value is restored: always, or only if its switch has been (it follows from it). */
enum restore { RESTORE_ITSELF, RESTORE_FOLLOWS };

struct user {
	int pid;
	unsigned long long start; /* of the process; tells it from a later one with the same number */
	unsigned wanted;
};

struct saved {
	unsigned which;
	enum restore restore;
	int ours, before;     /* values */
	char name[NAME_SIZE]; /* below ROOT */
};

struct state {
	int fd;
	struct user users[USERS_MAX];
	size_t n_users;
	struct saved *saved; /* owned */
	size_t n_saved;
	unsigned on; /* what the users needed when the file was written */
	bool no_memory;
};

static const struct switch_info {
	unsigned which;
	const char *name;   /* the switch itself */
	const char *folder; /* of the interfaces' own values, which the switch overwrites; or NULL */
} infos[] = {
	{SWITCH_FORWARD_V4, "net/ipv4/ip_forward", "net/ipv4/conf"},
	{SWITCH_FORWARD_V6, "net/ipv6/conf/all/forwarding", "net/ipv6/conf"},
	{SWITCH_VALID_MARK, "net/ipv4/conf/all/src_valid_mark", NULL},
};
#define N_INFOS (sizeof infos / sizeof infos[0])

/* ---- values ---- */

static int value_open(const char *name, int flags)
{
	char path[NAME_SIZE + sizeof ROOT];
	(void)snprintf(path, sizeof path, ROOT "%s", name);
	return open(path, flags | O_CLOEXEC);
}

/* -1: there is none. */
static int value_read(const char *name)
{
	char text[16] = "";
	int fd = value_open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 ? (int)strtol(text, NULL, 10) : -1;
}

static enum err value_write(const char *name, int value, struct fault *fault)
{
	char text[16];
	int len = snprintf(text, sizeof text, "%d\n", value);
	int fd = value_open(name, O_WRONLY);
	enum err err = OK;
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		err = fault_errno(fault,
			"cannot set " ROOT "%s to %d; set it on the host (sysctl) if this is a container", name, value);
	if (fd >= 0)
		close(fd);
	return err;
}

/* ---- the file ---- */

/* 0: there is no such process (any more). */
static unsigned long long process_start(int pid)
{
	char path[64], text[1024];
	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* the 22nd field; the second is a name in brackets, which may hold anything */
	const char *at = strrchr(text, ')');
	if (at && strncmp(at, ") Z", 3) == 0)
		return 0; /* it has ended, but its parent has not asked for it yet */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void saved_add(struct state *state, const struct saved *saved)
{
	struct saved *all = reallocarray(state->saved, state->n_saved + 1, sizeof *all);
	state->no_memory |= !all;
	if (!all)
		return;
	state->saved = all;
	state->saved[state->n_saved++] = *saved;
}

static void line_take(struct state *state, const char *line)
{
	struct user user = {0};
	struct saved saved = {0};
	unsigned restore = 0;
	if (sscanf(line, "user %d %llu %u", &user.pid, &user.start, &user.wanted) == 3) {
		state->on |= user.wanted;
		bool lives = user.pid > 0 && user.start && process_start(user.pid) == user.start;
		if (lives && user.pid != getpid() && state->n_users < USERS_MAX - 1)
			state->users[state->n_users++] = user;
	} else if (sscanf(line, "saved %u %u %d %d %95s", &saved.which, &restore, &saved.ours, &saved.before,
			   saved.name) == 5) {
		saved.restore = restore == RESTORE_FOLLOWS ? RESTORE_FOLLOWS : RESTORE_ITSELF;
		saved_add(state, &saved);
	}
}

static void state_close(struct state *state)
{
	free(state->saved);
	if (state->fd >= 0)
		close(state->fd);
	free(state);
}

static enum err state_open(struct state **ret, bool make, struct fault *fault)
{
	char path[PATH_MAX];
	struct fault own = {.code = ERR_IO};
	struct state *state = calloc(1, sizeof *state);
	char *text = malloc(FILE_MAX);
	enum err err = OK;
	if (!state || !text) {
		free(state);
		free(text);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	state->fd = record_file_open(path, "switches", NULL, make, &own);
	if (state->fd < 0)
		err = fault_set(fault, own.code, "%s", own.text);
	else if (flock(state->fd, LOCK_EX) < 0) /* held for moments only */
		err = fault_errno(fault, "cannot lock %s", path);
	else if (!record_file_read(state->fd, text, FILE_MAX))
		err = fault_set(fault, ERR_TOO_BIG, "%s cannot be read; remove it", path);
	for (char *line = text, *end; !err && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		line_take(state, line);
	}
	free(text);
	if (err)
		state_close(state);
	else
		*ret = state;
	return err;
}

static enum err state_write(const struct state *state, struct fault *fault)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = state->no_memory ? NULL : open_memstream(&text, &len);
	if (!file)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < state->n_users; i++)
		fprintf(file, "user %d %llu %u\n", state->users[i].pid, state->users[i].start, state->users[i].wanted);
	for (size_t i = 0; i < state->n_saved; i++) {
		const struct saved *s = &state->saved[i];
		fprintf(file, "saved %u %u %d %d %s\n", s->which, (unsigned)s->restore, s->ours, s->before, s->name);
	}
	enum err err = fclose(file) ? fault_set(fault, ERR_NOMEM, "out of memory") : OK;
	if (!err && (pwrite(state->fd, text, len, 0) != (ssize_t)len || ftruncate(state->fd, (off_t)len) < 0))
		err = fault_errno(fault, "cannot write what was changed in " ROOT);
	free(text);
	return err;
}

/* ---- switching ---- */

static void save_if(struct state *state, const struct saved *candidate)
{
	if (value_read(candidate->name) == candidate->before)
		saved_add(state, candidate);
}

/* What setting a family's forwarding overwrites, or makes work otherwise. */
static void interfaces_save(struct state *state, const struct switch_info *info)
{
	char path[NAME_SIZE];
	(void)snprintf(path, sizeof path, ROOT "%s", info->folder);
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		struct saved own = {.which = info->which, .restore = RESTORE_FOLLOWS, .ours = 1, .before = 1};
		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 16 || strcmp(entry->d_name, "all") == 0)
			continue;
		(void)snprintf(own.name, sizeof own.name, "%s/%.16s/forwarding", info->folder, entry->d_name);
		save_if(state, &own);
		/* a router takes no advertisements, and would lose its own default route, unless this is 2 */
		struct saved ra = {.which = info->which, .restore = RESTORE_ITSELF, .ours = 2, .before = 1};
		(void)snprintf(ra.name, sizeof ra.name, "%s/%.16s/accept_ra", info->folder, entry->d_name);
		if (info->which == SWITCH_FORWARD_V6)
			save_if(state, &ra);
	}
	if (folder)
		closedir(folder);
}

static void switch_save(struct state *state, const struct switch_info *info)
{
	struct saved itself = {.which = info->which, .restore = RESTORE_ITSELF, .ours = 1, .before = 0};
	(void)snprintf(itself.name, sizeof itself.name, "%s", info->name);
	if (value_read(info->name) != 0)
		return; /* on already: nothing of ours */
	saved_add(state, &itself);
	if (info->folder)
		interfaces_save(state, info);
}

static enum err switch_on(const struct state *state, const struct switch_info *info, struct fault *fault)
{
	for (size_t i = 0; i < state->n_saved; i++) {
		const struct saved *s = &state->saved[i];
		if (s->which == info->which && s->restore == RESTORE_ITSELF && s->ours != 1)
			(void)value_write(s->name, s->ours, NULL); /* the interface may have gone */
	}
	return value_read(info->name) == 1 ? OK : value_write(info->name, 1, fault);
}

static enum err switch_off(struct state *state, const struct switch_info *info, struct fault *fault)
{
	enum err err = OK;
	bool restored = false;
	size_t kept = 0;
	for (size_t i = 0; i < state->n_saved; i++) {
		const struct saved *s = &state->saved[i];
		if (s->which != info->which) {
			state->saved[kept++] = *s;
		} else if (strcmp(s->name, info->name) == 0) {
			/* whoever has set it meanwhile keeps what he has set */
			restored = value_read(s->name) == s->ours;
			if (restored)
				err = value_write(s->name, s->before, fault);
		} else if (s->restore == RESTORE_FOLLOWS ? restored : value_read(s->name) == s->ours) {
			(void)value_write(s->name, s->before, NULL); /* the interface may have gone */
		}
	}
	state->n_saved = kept;
	return err;
}

static unsigned needed_by(const struct state *state)
{
	unsigned needed = 0;
	for (size_t i = 0; i < state->n_users; i++)
		needed |= state->users[i].wanted;
	return needed;
}

/* From what the file said to what its users need now. What was before is written down before it changes. */
static enum err state_apply(struct state *state, struct fault *fault)
{
	enum err err = OK;
	unsigned needed = needed_by(state);
	for (size_t i = 0; i < N_INFOS; i++) {
		if (needed & ~state->on & infos[i].which)
			switch_save(state, &infos[i]);
	}
	if (needed & ~state->on)
		err = state_write(state, fault);
	for (size_t i = 0; !err && i < N_INFOS; i++) {
		if (needed & infos[i].which)
			err = switch_on(state, &infos[i], fault);
		else if (state->on & infos[i].which)
			err = switch_off(state, &infos[i], fault);
	}
	enum err written = state_write(state, err ? NULL : fault);
	return err ? err : written;
}

enum err switches_need(unsigned wanted, struct fault *fault)
{
	struct state *state = NULL;
	enum err err = state_open(&state, wanted != 0, fault);
	if (err)
		return err == ERR_NOT_FOUND && !wanted ? OK : err;
	if (wanted)
		state->users[state->n_users++] =
			(struct user){.pid = getpid(), .start = process_start(getpid()), .wanted = wanted};
	err = state_apply(state, fault);
	state_close(state);
	return err;
}

enum err switches_sweep(bool *ret_any, struct fault *fault)
{
	struct state *state = NULL;
	enum err err = state_open(&state, false, fault);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	if (ret_any && (state->on & ~needed_by(state)))
		*ret_any = true;
	err = state_apply(state, fault);
	state_close(state);
	return err;
}
