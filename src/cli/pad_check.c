#include "cli/pad.h"

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/sockets.h"
#include "cli/status_text.h"
#include "cli/table.h"

#include "base/secret.h"
#include "pad/health.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
#define COLUMNS 4
#define CELL 48

struct scan {
	const char *path;
	int fd;
	uint64_t size, at;
	uint64_t burned, missing;    /* bytes in holes: of used pad, and of pad that has not been used */
	const struct ledger *ledger; /* NULL: nothing has been used here */
	struct health *health;
	struct health_report report;
	struct progress progress;
};

struct wanted {
	const char *path, *state;
	bool force, json;
};

static const struct {
	const char *name, *title;
	int digits;
} tests[HEALTH_TESTS] = {
	[HEALTH_ZEROS] = {"zeros", "zero bytes in a row", 0},
	[HEALTH_RUNS] = {"runs", "equal bytes in a row", 0},
	[HEALTH_REPEATS] = {"repeats", "samples that come again", 0},
	[HEALTH_ONES] = {"ones", "share of one bits", 6},
	[HEALTH_BYTES] = {"bytes", "bytes, chi-square", 1},
	[HEALTH_PAIRS] = {"pairs", "pairs of bytes, chi-square", 1},
	[HEALTH_CORRELATION] = {"correlation", "correlation of neighbours", 6},
};

/* ---- looking ---- */

static enum err scan_open(struct scan *s, struct fault *fault)
{
	struct stat st;
	struct pad_layout layout;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return fault_errno(fault, "cannot open the pad %s", s->path);
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, ERR_FORMAT, "%s is not a regular file: give the path of a pad", s->path);
	s->size = (uint64_t)st.st_size;
	if (pad_layout_of(&layout, s->size))
		return fault_set(fault, ERR_FORMAT, "%s has %llu bytes, and a pad has from %llu to %llu", s->path,
			(unsigned long long)s->size, (unsigned long long)PAD_SIZE_MIN,
			(unsigned long long)PAD_SIZE_MAX);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return health_new(&s->health, s->size) ? fault_set(fault, ERR_NOMEM, "out of memory") : OK;
}

static uint64_t overlap(uint64_t a, uint64_t b, uint64_t from, uint64_t to)
{
	uint64_t low = a > from ? a : from, high = b < to ? b : to;
	return low < high ? high - low : 0;
}

/* How many of the bytes in [a, b) have been used, so that they may have been burned. */
static uint64_t used_in(const struct scan *s, uint64_t a, uint64_t b)
{
	const struct ledger *l = s->ledger;
	struct pad_layout layout;
	if (!l || pad_layout_of(&layout, l->pad_size))
		return 0;
	bool up = l->role == PAD_RESPONDER;
	uint64_t rising = up ? l->sent : l->received, falling = up ? l->received : l->sent;
	uint64_t end = layout.traffic + layout.n_blocks * PAD_BLOCK, full = falling / PAD_BLOCK * PAD_BLOCK;
	uint64_t used = overlap(a, b, PAD_IDENTITY_LEN, pad_slot_offset(l->hello));
	used += overlap(a, b, layout.traffic, layout.traffic + rising);
	used += overlap(a, b, end - full, end);
	/* of the block that it is in, the lower part */
	if (falling > full)
		used += overlap(a, b, end - full - PAD_BLOCK, end - full - PAD_BLOCK + (falling - full));
	return used;
}

static void hole_take(struct scan *s, uint64_t to)
{
	uint64_t used = used_in(s, s->at, to);
	s->burned += used;
	s->missing += to - s->at - used;
	health_skip(s->health, to - s->at);
	s->at = to;
}

static enum err data_take(struct scan *s, uint64_t to, uint8_t *buffer, struct fault *fault)
{
	while (s->at < to) {
		if (interrupt_seen())
			return fault_set(fault, ERR_STATE, "interrupted");
		size_t n = to - s->at < CHUNK ? (size_t)(to - s->at) : CHUNK;
		ssize_t got = pread(s->fd, buffer, n, (off_t)s->at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(fault, "cannot read %s", s->path);
		if (got == 0)
			return fault_set(fault, ERR_IO, "%s was cut while it was read", s->path);
		health_add(s->health, buffer, (size_t)got);
		posix_fadvise(s->fd, (off_t)s->at, (off_t)got, POSIX_FADV_DONTNEED);
		s->at += (uint64_t)got;
		progress_show(&s->progress, s->at);
	}
	return OK;
}

/* The next place of this kind, SEEK_DATA or SEEK_HOLE; where file systems know nothing of holes, all is data. */
static uint64_t next_of(const struct scan *s, int kind)
{
	off_t at = lseek(s->fd, (off_t)s->at, kind);
	if (at < 0)
		return kind == SEEK_DATA && errno != ENXIO ? s->at : s->size;
	return (uint64_t)at < s->size ? (uint64_t)at : s->size;
}

static enum err scan_run(struct scan *s, struct fault *fault)
{
	uint8_t *buffer = malloc(CHUNK);
	enum err e = buffer ? OK : fault_set(fault, ERR_NOMEM, "out of memory");
	progress_begin(&s->progress, "pad check", s->size, 0);
	while (e == OK && s->at < s->size) {
		hole_take(s, next_of(s, SEEK_DATA));
		e = data_take(s, next_of(s, SEEK_HOLE), buffer, fault);
	}
	progress_end(&s->progress);
	if (buffer)
		secret_wipe(buffer, CHUNK);
	free(buffer);
	health_report(s->health, &s->report);
	return e;
}

/* What has been used, if that can be known; a pad without a ledger is new. */
static enum err ledger_take(struct scan *s, const char *state, struct ledger *ledger, struct fault *fault)
{
	char path[PATH_MAX];
	uint8_t id[PAD_ID_LEN];
	if (lseek(s->fd, 0, SEEK_HOLE) >= (off_t)s->size)
		return OK; /* no hole: it does not matter */
	if (pread(s->fd, id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return fault_errno(fault, "cannot read %s", s->path);
	enum err e = pad_ledger_below(path, state, id, fault);
	if (e == OK)
		e = pad_ledger_read(ledger, path, fault);
	if (e == OK && ledger->pad_size == s->size)
		s->ledger = ledger;
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- telling ---- */

static bool is_constant(const struct scan *s)
{
	return s->report.constant || s->report.bytes == 0;
}

static bool is_weak(const struct scan *s)
{
	return s->report.weak || s->missing || is_constant(s);
}

static void json_print(const struct scan *s)
{
	const struct health_report *r = &s->report;
	json_t *list = json_array();
	for (size_t i = 0; i < HEALTH_TESTS; i++) {
		const struct health_finding *f = &r->findings[i];
		if (f->tested)
			json_array_append_new(list,
				json_pack("{s:s, s:f, s:f, s:f, s:b, s:I}", "name", tests[i].name, "value", f->value,
					"low", f->low, "high", f->high, "weak", f->weak, "at", (json_int_t)f->at));
	}
	json_t *document = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "file", s->path, "verdict",
		is_constant(s) ? "constant"
		: is_weak(s)   ? "weak"
			       : "good",
		"size", (json_int_t)s->size, "tested", (json_int_t)r->bytes, "burned", (json_int_t)s->burned, "missing",
		(json_int_t)s->missing, "repeats_found_from", (json_int_t)r->repeat_found, "tests", list);
	socket_print(document);
	json_decref(document);
}

static void findings_print(const struct scan *s)
{
	char texts[HEALTH_TESTS][2][CELL];
	const char *cells[(HEALTH_TESTS + 1) * COLUMNS] = {"TEST", "FOUND", "USUAL", "VERDICT"};
	size_t n = 1;
	for (size_t i = 0; i < HEALTH_TESTS; i++) {
		const struct health_finding *f = &s->report.findings[i];
		if (!f->tested)
			continue;
		snprintf(texts[i][0], CELL, "%.*f", tests[i].digits, f->value);
		snprintf(texts[i][1], CELL, "%.*f to %.*f", tests[i].digits, f->low, tests[i].digits, f->high);
		cells[n * COLUMNS] = tests[i].title;
		cells[n * COLUMNS + 1] = texts[i][0];
		cells[n * COLUMNS + 2] = texts[i][1];
		cells[n * COLUMNS + 3] = f->weak ? "WEAK" : "good";
		n++;
	}
	table_print(stdout, cells, n, COLUMNS);
}

/* Where to look. */
static void places_print(const struct scan *s)
{
	const struct health_finding *f = s->report.findings;
	char size[STATUS_SPAN_LEN];
	if (f[HEALTH_ZEROS].weak)
		printf("The longest run of zeros begins at offset %llu.\n", (unsigned long long)f[HEALTH_ZEROS].at);
	if (f[HEALTH_RUNS].weak)
		printf("The longest run of one byte begins at offset %llu.\n", (unsigned long long)f[HEALTH_RUNS].at);
	if (f[HEALTH_REPEATS].weak)
		printf("Bytes at offset %llu are those at %llu again; of %llu samples, %.0f come again.\n",
			(unsigned long long)f[HEALTH_REPEATS].at, (unsigned long long)s->report.repeat_of,
			(unsigned long long)s->report.samples, f[HEALTH_REPEATS].value);
	else
		printf("Repeats are found if they have %s or more; shorter ones by chance.\n",
			status_bytes(size, (json_int_t)s->report.repeat_found));
	if (s->missing)
		printf("%s are holes, which read as zeros, though nothing of them has been used: not usable.\n",
			status_bytes(size, (json_int_t)s->missing));
}

static void text_print(const struct scan *s)
{
	char looked[STATUS_SPAN_LEN], burned[STATUS_SPAN_LEN];
	printf("%s: %s were tested", s->path, status_bytes(looked, (json_int_t)s->report.bytes));
	if (s->burned)
		printf(", %s have been burned", status_bytes(burned, (json_int_t)s->burned));
	printf("\n\n");
	findings_print(s);
	putchar('\n');
	places_print(s);
	if (is_weak(s))
		puts("The pad is weak: do not use it.");
	else
		puts("Nothing was found that cannot be random. That is no proof: no test can show that bytes are "
		     "random,\nor that nobody else has them.");
}

static int pad_check(const struct command *self, const struct wanted *w)
{
	struct ledger ledger;
	struct fault fault = {0};
	struct scan s = {.path = w->path, .fd = -1};
	interrupt_catch();
	enum err e = scan_open(&s, &fault);
	if (e == OK)
		e = ledger_take(&s, w->state, &ledger, &fault);
	if (e == OK)
		e = scan_run(&s, &fault);
	if (e == OK && is_constant(&s) && !w->force && !w->json)
		e = fault_set(&fault, ERR_FORMAT,
			s.report.bytes ? "%s is not usable as a pad: all its bytes are the same"
				       : "%s is not usable as a pad: it has nothing in it but holes",
			w->path);
	if (e == OK && w->json)
		json_print(&s);
	else if (e == OK)
		text_print(&s);
	health_free(s.health);
	if (s.fd >= 0)
		close(s.fd);
	if (e)
		return cli_fault(self, &fault);
	return is_weak(&s) && !w->force ? CLI_FAILED : CLI_OK;
}

int cli_pad_check(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"state", required_argument, NULL, 'd'},
		{"force", no_argument, NULL, 'f'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'},
		{0}};
	struct wanted w = {.state = PAD_STATE_FOLDER};
	for (int o; (o = getopt_long(argc, argv, "d:fjh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'd')
			w.state = optarg;
		else if (o == 'f')
			w.force = true;
		else if (o == 'j')
			w.json = true;
		else
			return cli_usage(self, NULL);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one pad");
	w.path = argv[optind];
	return pad_check(self, &w);
}
