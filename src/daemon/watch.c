#include "daemon/watch.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE (100 * USEC_PER_MS) /* many files at once are one change */
#define SETTLE_MAX (500 * USEC_PER_MS)
#define LOOK_EVERY (500 * USEC_PER_MS)

struct watch {
	char *folder;
	int fd, id;                /* id -1: not watched, looked at instead */
	usec first, last, look_at; /* first: 0 when nothing is pending */
	struct timespec modified;
	ino_t inode;
};

static void begin(struct watch *w)
{
	w->id = inotify_add_watch(w->fd, w->folder,
		IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
			IN_MOVE_SELF | IN_ONLYDIR);
}

/* What tells one state of the folder from another, as well as that can be seen from outside. */
static bool look(struct watch *w)
{
	struct stat st = {0};
	int fd = file_open(w->folder, O_RDONLY | O_DIRECTORY);
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			st = (struct stat){0};
		close(fd);
	}
	bool changed = st.st_ino != w->inode || st.st_mtim.tv_sec != w->modified.tv_sec ||
		       st.st_mtim.tv_nsec != w->modified.tv_nsec;
	w->inode = st.st_ino;
	w->modified = st.st_mtim;
	return changed;
}

enum err watch_new(struct watch **ret, struct fault *fault)
{
	struct watch *w = calloc(1, sizeof *w);
	if (!w)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	w->id = -1;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0) {
		enum err err = fault_errno(fault, "cannot watch folders");
		free(w);
		return err;
	}
	*ret = w;
	return OK;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	close(w->fd);
	free(w->folder);
	free(w);
}

enum err watch_set(struct watch *w, const char *folder, struct fault *fault)
{
	char *copy = folder ? strdup(folder) : NULL;
	if (folder && !copy)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	if (w->id >= 0)
		(void)inotify_rm_watch(w->fd, w->id);
	free(w->folder);
	w->folder = copy;
	w->id = -1;
	w->first = w->look_at = 0;
	if (folder) {
		begin(w);
		(void)look(w);
	}
	return OK;
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

static bool take_events(struct watch *w)
{
	_Alignas(struct inotify_event) char buffer[4096];
	bool any = false;
	ssize_t n;
	while ((n = read(w->fd, buffer, sizeof buffer)) > 0) {
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;
			if (event->wd == w->id && (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))) {
				if (!(event->mask & IN_IGNORED))
					(void)inotify_rm_watch(w->fd, w->id);
				w->id = -1;
			}
			any = true;
			at += sizeof *event + event->len;
		}
	}
	return any;
}

usec watch_poll(struct watch *w, usec now, bool *ret_changed)
{
	bool any = take_events(w) && w->folder;
	*ret_changed = false;
	if (!w->folder)
		return USEC_NEVER;
	if (w->id < 0 && now >= w->look_at) {
		begin(w); /* another folder may have its name by now */
		any |= look(w);
		w->look_at = now + LOOK_EVERY;
	}
	if (any) {
		w->last = now;
		if (!w->first)
			w->first = now;
	}
	*ret_changed = w->first && (now >= w->last + SETTLE || now >= w->first + SETTLE_MAX);
	if (*ret_changed)
		w->first = 0;
	usec settled = w->first ? w->last + SETTLE : USEC_NEVER;
	usec next = w->id < 0 ? w->look_at : USEC_NEVER;
	return settled < next ? settled : next;
}
