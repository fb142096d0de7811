#include "cli/pad.h"

#include "cli/interrupt.h"
#include "cli/part.h"
#include "cli/progress.h"
#include "cli/sizes.h"
#include "cli/status_text.h"

#include "base/secret.h"
#include "pad/otptunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
#define PARTS_MAX 256
#define ROUND ((uint64_t)4096) /* equal parts are cut where pages of the disk begin */

struct split {
	const char *path, *state;
	char **outs;
	unsigned int n;
	uint64_t sizes[PARTS_MAX];
	unsigned int n_sizes; /* 0: equal parts */
	uint64_t from;        /* offset of the first part */
	bool has_from, force;
	/* at work */
	int fd;
	uint64_t size, total, done;
	uint8_t *buffer;
	struct part part;
	struct progress progress;
};

/* Otptunnel uses a file from its beginning on, and both ends together. */
static enum err is_behind_otptunnel(const struct split *s, struct fault *fault)
{
	struct ledger l;
	enum err e = pad_otptunnel_ledger(&l, s->path, s->state, fault);
	if (e == ERR_NOT_FOUND)
		return OK;
	if (e)
		return e;
	uint64_t unused = otptunnel_unused_from(&l);
	if (s->has_from && s->from >= unused)
		return OK;
	return fault_set(fault, ERR_STATE,
		"otptunnel has used %s up to offset %llu, and no byte may be used twice: say --from %llu, or more if "
		"the "
		"other end's jorm pad info does, and the same there",
		s->path, (unsigned long long)unused, (unsigned long long)unused);
}

/* Its bytes would be used a second time, in a part of it. */
static enum err is_unused(const struct split *s, const uint8_t id[static PAD_ID_LEN], struct fault *fault)
{
	char path[PATH_MAX], used[STATUS_SPAN_LEN];
	struct ledger l;
	if (s->force)
		return OK;
	if (flock(s->fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return fault_set(fault, ERR_STATE,
			"a tunnel is using the pad %s, so its bytes may not serve another one", s->path);
	enum err e = pad_ledger_below(path, s->state, id, fault);
	if (e == OK)
		e = pad_ledger_read(&l, path, fault);
	if (e == ERR_NOT_FOUND)
		return is_behind_otptunnel(s, fault);
	if (e)
		return e;
	if (l.sent == 0 && l.received == 0 && l.hello == 0)
		return is_behind_otptunnel(s, fault);
	status_bytes(used, (json_int_t)(l.sent + l.received));
	return fault_set(fault, ERR_STATE,
		"%s of the pad %s have been used already, and no byte may be used twice (take another file; --force if "
		"you "
		"know that the parts have none of those)",
		used, s->path);
}

static enum err sizes_derive(struct split *s, struct fault *fault)
{
	const uint64_t left = s->size > s->from ? s->size - s->from : 0;
	s->total = 0;
	for (unsigned int i = 0; i < s->n; i++) {
		if (s->n_sizes == 0)
			s->sizes[i] = left / s->n / ROUND * ROUND;
		if (s->sizes[i] < PAD_SIZE_MIN)
			return fault_set(fault, ERR_FORMAT,
				"the part %s would have %llu bytes, but a pad has 1M at least", s->outs[i],
				(unsigned long long)s->sizes[i]);
		if (__builtin_add_overflow(s->total, s->sizes[i], &s->total) || s->total > left)
			return fault_set(fault, ERR_FORMAT, "the parts are larger than %s, which has %llu bytes%s",
				s->path, (unsigned long long)left, s->from ? " from there on" : "");
	}
	return OK;
}

static enum err split_begin(struct split *s, struct fault *fault)
{
	uint8_t id[PAD_ID_LEN];
	enum err e = pad_file_id(s->path, id, &s->size, fault);
	if (e)
		return e;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	s->buffer = malloc(CHUNK);
	if (s->fd < 0)
		return fault_errno(fault, "cannot open the pad %s", s->path);
	if (!s->buffer)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	e = is_unused(s, id, fault);
	for (unsigned int i = 0; e == OK && i < s->n; i++)
		e = part_init(&s->part, s->outs[i], 0, fault);
	return e ? e : sizes_derive(s, fault);
}

static enum err chunk_copy(struct split *s, struct fault *fault)
{
	uint64_t left = s->part.size - s->part.at;
	ssize_t got = pread(s->fd, s->buffer, left < CHUNK ? (size_t)left : CHUNK, (off_t)(s->from + s->done));
	if (interrupt_seen())
		return fault_set(fault, ERR_STATE, "interrupted: nothing of the parts that were not finished is left");
	if (got < 0 && errno == EINTR)
		return OK;
	if (got <= 0)
		return got < 0 ? fault_errno(fault, "cannot read %s", s->path)
			       : fault_set(fault, ERR_IO, "%s was cut while it was read", s->path);
	posix_fadvise(s->fd, (off_t)(s->from + s->done), (off_t)got, POSIX_FADV_DONTNEED);
	s->done += (uint64_t)got;
	progress_show(&s->progress, s->done);
	return part_write(&s->part, s->buffer, (size_t)got, fault);
}

static enum err part_make(struct split *s, unsigned int number, struct fault *fault)
{
	struct part *p = &s->part;
	enum err e = part_init(p, s->outs[number], s->sizes[number], fault);
	if (e == OK)
		e = part_create(p, fault);
	while (e == OK && p->at < p->size)
		e = chunk_copy(s, fault);
	if (e == OK)
		e = part_finish(p, fault);
	if (e)
		part_remove(p);
	return e;
}

/* All or nothing: half of the parts would be taken for all of them. */
static void parts_forget(const struct split *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		unlink(s->outs[i]);
}

static enum err split_run(struct split *s, struct fault *fault)
{
	progress_begin(&s->progress, "pad split", s->total, 0);
	for (unsigned int i = 0; i < s->n; i++) {
		enum err e = part_make(s, i, fault);
		if (e) {
			progress_end(&s->progress);
			parts_forget(s, i);
			return e;
		}
	}
	progress_end(&s->progress);
	return OK;
}

static void result_print(const struct split *s)
{
	char text[STATUS_SPAN_LEN];
	for (unsigned int i = 0; i < s->n; i++)
		printf("%s  %s\n", s->outs[i], status_bytes(text, (json_int_t)s->sizes[i]));
	const uint64_t rest = s->size - s->from - s->total;
	fprintf(stderr, "jorm pad split: now destroy %s at both ends, so that no byte of it can be used again%s%s%s\n",
		s->path, rest ? " (" : "", rest ? status_bytes(text, (json_int_t)rest) : "",
		rest ? " at its end are in no part)" : "");
}

static int pad_split(const struct command *self, struct split *s)
{
	struct fault fault = {0};
	interrupt_catch();
	enum err e = split_begin(s, &fault);
	if (e == OK)
		e = split_run(s, &fault);
	if (e == OK)
		result_print(s);
	if (s->buffer)
		secret_wipe(s->buffer, CHUNK);
	free(s->buffer);
	if (s->fd >= 0)
		close(s->fd);
	return e ? cli_fault(self, &fault) : CLI_OK;
}

int cli_pad_split(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"sizes", required_argument, NULL, 's'},
		{"from", required_argument, NULL, 'o'}, {"state", required_argument, NULL, 'd'},
		{"force", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct split s = {.state = PAD_STATE_FOLDER, .fd = -1, .part.fd = -1};
	for (int o; (o = getopt_long(argc, argv, "s:o:d:fh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 's' && !sizes_read(s.sizes, PARTS_MAX, &s.n_sizes, optarg))
			return cli_usage(self, "--sizes takes sizes with commas between them, each " SIZE_SYNTAX);
		else if (o == 'o' && !(s.has_from = size_read(&s.from, optarg)))
			return cli_usage(self, "--from takes an offset in FILE: " SIZE_SYNTAX);
		else if (o == 'd')
			s.state = optarg;
		else if (o == 'f')
			s.force = true;
		else if (o != 's' && o != 'o')
			return cli_usage(self, NULL);
	}
	int n = argc - optind - 1;
	if (n < 1 || n > PARTS_MAX || (n < 2 && s.n_sizes == 0 && !s.has_from))
		return cli_usage(self, "name the file, and two parts of it or more (with --from one is enough)");
	if (s.n_sizes && (int)s.n_sizes != n)
		return cli_usage(self, "--sizes has %u sizes, but there are %d parts", s.n_sizes, n);
	s.path = argv[optind];
	s.outs = argv + optind + 1;
	s.n = (unsigned int)n;
	return pad_split(self, &s);
}
