#include "cli/pad.h"

#include "cli/interrupt.h"
#include "cli/pad_journal.h"
#include "cli/pad_sources.h"
#include "cli/part.h"
#include "cli/progress.h"
#include "cli/sizes.h"
#include "cli/status_text.h"

#include "base/secret.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)
#define RECORD_EVERY (10 * USEC_PER_SEC) /* of slow sources little is lost */

struct wanted {
	const char *path;
	uint64_t size;
	const char *sources[PAD_SOURCES_MAX];
	unsigned int n_sources;
	bool force;
};

struct making {
	const struct wanted *wanted;
	struct part part;
	struct pad_journal journal;
	struct pad_sources *sources;
	struct progress progress;
	usec recorded;
	bool stays; /* what has been made is there to go on from */
};

/* Is FILE.part what this command began? */
static enum err goes_on(const struct making *m, const uint8_t sources[static HASH_SHA256_LEN], struct fault *fault)
{
	const struct pad_journal *j = &m->journal;
	const char *differs = NULL;
	if (!j->begun)
		differs = "nothing says what it is";
	else if (j->size != m->wanted->size)
		differs = "it was begun with another size";
	else if (!secret_equal(j->sources, sources, HASH_SHA256_LEN))
		differs = "it was begun with other sources, or they have changed";
	if (!differs)
		return OK;
	return fault_set(fault, ERR_EXISTS, "%s is there, but %s (say what was said then, or begin anew with --force)",
		m->part.temporary, differs);
}

static enum err begin_anew(struct making *m, const uint8_t sources[static HASH_SHA256_LEN], struct fault *fault)
{
	struct pad_journal *j = &m->journal;
	j->size = m->wanted->size;
	j->done = 0;
	memcpy(j->sources, sources, HASH_SHA256_LEN);
	enum err e = pad_journal_write(j, fault);
	if (e == OK)
		e = part_create(&m->part, fault);
	if (e)
		pad_journal_remove(j);
	return e;
}

static enum err begin(struct making *m, struct fault *fault)
{
	const struct wanted *w = m->wanted;
	uint8_t sources[HASH_SHA256_LEN];
	enum err e = part_init(&m->part, w->path, w->size, fault);
	if (e == OK)
		e = pad_sources_open(&m->sources, w->sources, w->n_sources, w->size, fault);
	if (e == OK && (e = pad_sources_identity(m->sources, sources)))
		return fault_set(fault, e, "cannot tell the sources: %s", err_text(e));
	if (e == OK)
		e = pad_journal_open(&m->journal, m->part.temporary, fault);
	if (e)
		return e;
	if (access(m->part.temporary, F_OK) < 0)
		return begin_anew(m, sources, fault);
	e = goes_on(m, sources, fault);
	if (e && w->force && unlink(m->part.temporary) == 0)
		return begin_anew(m, sources, fault);
	if (e && !m->journal.begun) /* made just now, by opening it */
		pad_journal_remove(&m->journal);
	return e ? e : part_resume(&m->part, m->journal.done, fault);
}

static bool is_constant(const uint8_t *bytes, size_t len)
{
	return memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* What is on disk by now is what a later run may build on. */
static enum err record(struct making *m, struct fault *fault)
{
	m->recorded = clock_now();
	m->journal.done = m->part.synced;
	return pad_journal_write(&m->journal, fault);
}

static enum err chunk_make(struct making *m, uint8_t *buffer, struct fault *fault)
{
	struct part *p = &m->part;
	uint64_t left = p->size - p->at, synced = p->synced;
	size_t n = left < CHUNK ? (size_t)left : CHUNK;
	enum err e = pad_sources_read(m->sources, p->at, buffer, n, fault);
	if (e == OK && p->at == 0 && is_constant(buffer, n)) {
		m->stays = false;
		return fault_set(fault, ERR_FORMAT,
			"the sources give one and the same byte, again and again: that is no pad (give random ones)");
	}
	if (e == OK)
		e = part_write(p, buffer, n, fault);
	if (e == OK && clock_now() - m->recorded >= RECORD_EVERY)
		e = part_sync(p, fault);
	return e == OK && p->synced != synced ? record(m, fault) : e;
}

static enum err all_make(struct making *m, struct fault *fault)
{
	uint8_t *buffer = malloc(CHUNK);
	enum err e = buffer ? OK : fault_set(fault, ERR_NOMEM, "out of memory");
	progress_begin(&m->progress, "pad new", m->part.size, m->part.at);
	m->recorded = clock_now();
	m->stays = true;
	while (e == OK && m->part.at < m->part.size) {
		progress_show(&m->progress, m->part.at);
		e = interrupt_seen() ? fault_set(fault, ERR_STATE, "interrupted") : chunk_make(m, buffer, fault);
	}
	if (e == OK)
		e = part_finish(&m->part, fault);
	progress_end(&m->progress);
	if (buffer)
		secret_wipe(buffer, CHUNK);
	free(buffer);
	return e;
}

/* What was made so far stays, unless it is worth nothing. */
static void leave(struct making *m)
{
	char done[STATUS_SPAN_LEN], total[STATUS_SPAN_LEN];
	if (m->part.fd >= 0 && !m->stays) {
		part_remove(&m->part);
		pad_journal_remove(&m->journal);
	} else if (m->part.fd >= 0) {
		if (part_sync(&m->part, NULL) == OK)
			(void)!record(m, NULL); /* then what it says already counts */
		fprintf(stderr, "jorm pad new: %s of %s are in %s; the same command again goes on from there\n",
			status_bytes(done, (json_int_t)m->journal.done), status_bytes(total, (json_int_t)m->part.size),
			m->part.temporary);
	}
	part_close(&m->part);
	pad_journal_close(&m->journal);
}

static void announce(const struct making *m)
{
	char done[STATUS_SPAN_LEN];
	if (m->wanted->n_sources == 0)
		fputs("jorm pad new: the bytes come from the system's generator, a CSPRNG: this pad is as strong as "
		      "that "
		      "generator, and not information-theoretic (for that, give sources of true randomness)\n",
			stderr);
	if (m->part.at > 0)
		fprintf(stderr, "jorm pad new: going on after %s\n", status_bytes(done, (json_int_t)m->part.at));
}

static int pad_make(const struct command *self, const struct wanted *w)
{
	struct fault fault = {0};
	struct making m = {.wanted = w, .part.fd = -1, .journal.fd = -1};
	uint8_t id[PAD_ID_LEN];
	char text[PAD_ID_TEXT_LEN];
	uint64_t size;
	interrupt_catch();
	enum err e = begin(&m, &fault);
	if (e == OK) {
		announce(&m);
		e = all_make(&m, &fault);
	}
	pad_sources_close(m.sources);
	if (e) {
		cli_fault(self, &fault);
		leave(&m);
		return CLI_FAILED;
	}
	pad_journal_remove(&m.journal);
	e = pad_file_id(w->path, id, &size, &fault);
	if (e)
		return cli_fault(self, &fault);
	printf("%s is a pad of %llu bytes, ID %s\n", w->path, (unsigned long long)size, pad_id_format(text, id));
	return CLI_OK;
}

int cli_pad_new(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"size", required_argument, NULL, 's'},
		{"source", required_argument, NULL, 'S'}, {"force", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct wanted w = {0};
	for (int o; (o = getopt_long(argc, argv, "s:S:fh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'f')
			w.force = true;
		else if (o == 's' && !size_read(&w.size, optarg))
			return cli_usage(self, "--size takes " SIZE_SYNTAX ", not '%s'", optarg);
		else if (o == 'S' && w.n_sources == PAD_SOURCES_MAX)
			return cli_usage(self, "there may be up to %d sources", PAD_SOURCES_MAX);
		else if (o == 'S')
			w.sources[w.n_sources++] = optarg;
		else if (o != 's')
			return cli_usage(self, NULL);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one file");
	w.path = argv[optind];
	if (w.size < PAD_SIZE_MIN || w.size > PAD_SIZE_MAX)
		return cli_usage(self, "--size has to be given, from 1M to 256T");
	return pad_make(self, &w);
}
