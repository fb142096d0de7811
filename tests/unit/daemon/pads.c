/* The pads' thread, with pads that are files. */
#include "daemon/pads.h"

#include "base/rng.h"
#include "engine/grace.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE (30 * USEC_PER_SEC)
#define PAD_SIZE ((size_t)24 << 20)
#define CHUNK ((size_t)1 << 10) /* about a datagram */

static char folder[] = "/tmp/jorm-daemon-pads-XXXXXX", before[PATH_MAX];
static uint8_t *content; /* of the first pad */

static void pad_write(const char *name, size_t size)
{
	const struct rng rng = rng_system();
	rng_fill(&rng, content, size);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), size);
	close(fd);
}

static int set_up(void **state)
{
	grace_register_thread();
	content = malloc(PAD_SIZE);
	memset(folder + strlen(folder) - 6, 'X', 6);
	return content && getcwd(before, sizeof before) && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int one_remove(const char *path, const struct stat *st, int type, struct FTW *place)
{
	return remove(path);
}

static int tear_down(void **state)
{
	grace_unregister_thread();
	free(content);
	return chdir(before) == 0 && nftw(folder, one_remove, 8, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -1;
}

static struct pads *begun(const char *ledgers)
{
	struct pads *pads;
	struct fault fault;
	if (pads_new(&pads, ledgers, &fault) || pads_start(pads, &fault))
		fail_msg("%s", fault.text);
	return pads;
}

static struct pads_wish wish_of(const char *path)
{
	return (struct pads_wish){.path = path, .options = {.role = PAD_RESPONDER}};
}

static struct pad *opened(struct pads *pads, const struct pads_wish *wish)
{
	struct pad *pad = NULL;
	struct fault fault;
	if (pads_open(pads, wish, &pad, &fault))
		fail_msg("%s", fault.text);
	return pad;
}

/* As a lane takes them; those that come are compared with the file. */
static size_t taken(struct pad *pad, size_t wanted)
{
	usec end = clock_now() + DEADLINE;
	size_t got = 0;
	while (got < wanted && clock_now() < end) {
		struct pad_stretch s;
		grace_read_begin();
		enum err err = pad_take(pad, CHUNK, false, &s);
		if (err == OK) {
			assert_memory_equal(s.bytes, content + s.offset, CHUNK);
			got += CHUNK;
		}
		grace_read_end();
		if (err == ERR_FULL)
			break;
		if (err != OK)
			(void)sched_yield();
	}
	return got;
}

/* More than is in memory at once: the thread is woken again and again, and has lanes settle. */
static void feeds_lanes(void **state)
{
	pad_write("a.pad", PAD_SIZE);
	struct pads *pads = begun("ledgers");
	const struct pads_wish wish = wish_of("a.pad");
	struct pad *pad = opened(pads, &wish);
	assert_int_equal(taken(pad, 10 << 20), 10 << 20);
	pads_free(pads);
}

/* Nothing comes before the thread runs: what was not recorded is not given out. */
static void is_idle_before_it_starts(void **state)
{
	struct pads *pads;
	struct pad_stretch s;
	struct fault fault;
	pad_write("a.pad", PAD_SIZE_MIN);
	assert_int_equal(pads_new(&pads, "ledgers", &fault), OK);
	const struct pads_wish wish = wish_of("a.pad");
	struct pad *pad = opened(pads, &wish);
	grace_read_begin();
	assert_int_equal(pad_take(pad, 64, false, &s), ERR_AGAIN);
	grace_read_end();
	pads_free(pads);
}

/* What is closed is recorded as far as it was used: nothing is lost, and nothing comes again. */
static void goes_on_where_it_was(void **state)
{
	pad_write("a.pad", PAD_SIZE);
	struct pads *pads = begun("ledgers");
	const struct pads_wish wish = wish_of("a.pad");
	uint64_t used = 0;
	for (int i = 0; i < 5; i++) {
		struct pad *pad = opened(pads, &wish);
		struct pad_status status;
		pad_status(pad, &status);
		assert_true(status.sent == used);
		used += taken(pad, 300 * CHUNK);
		assert_true(used == (uint64_t)(i + 1) * 300 * CHUNK);
		pads_close(pads, pad);
	}
	pads_free(pads);
}

static void many_come_and_go(void **state)
{
	enum { N = 6 };
	char names[N][16];
	struct pad *open_pads[N];
	struct pads *pads = begun("ledgers");
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], "%d.pad", i);
		pad_write(names[i], PAD_SIZE_MIN);
		const struct pads_wish wish = wish_of(names[i]);
		open_pads[i] = opened(pads, &wish);
	}
	for (int round = 0; round < 50; round++) {
		int i = round % N;
		const struct pads_wish wish = wish_of(names[i]), other = wish_of(names[(i + 1) % N]);
		assert_true(pads_is_as_wished(pads, open_pads[i], &wish));
		assert_false(pads_is_as_wished(pads, open_pads[i], &other));
		pads_close(pads, open_pads[i]);
		open_pads[i] = opened(pads, &wish);
	}
	pads_free(pads);
}

static void knows_what_it_was_asked_for(void **state)
{
	pad_write("a.pad", PAD_SIZE_MIN);
	struct pads *pads = begun("ledgers");
	const struct pads_wish wish = wish_of("a.pad");
	struct pad *pad = opened(pads, &wish);
	struct pads_wish others[4] = {wish, wish, wish, wish};
	others[0].options.role = PAD_INITIATOR;
	others[1].options.burns = true;
	others[2].options.max_zero_run = 3;
	others[3].options.first = 1;
	assert_true(pads_is_as_wished(pads, pad, &wish));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_false(pads_is_as_wished(pads, pad, &others[i]));
	pads_free(pads);
}

static void expect_refusal(struct pads *pads, const struct pads_wish *wish, enum err code, const char *part)
{
	struct pad *pad = NULL;
	struct fault fault = {0};
	assert_int_equal(pads_open(pads, wish, &pad, &fault), code);
	if (!strstr(fault.text, part))
		fail_msg("said: %s", fault.text);
	assert_null(pad);
}

/* A pad has one user at a time, and one role for ever. */
static void refuses_what_would_use_bytes_twice(void **state)
{
	pad_write("a.pad", PAD_SIZE_MIN);
	struct pads *pads = begun("ledgers"), *others = begun("other-ledgers");
	struct pads_wish wish = wish_of("a.pad");
	struct pad *pad = opened(pads, &wish);
	expect_refusal(pads, &wish, ERR_STATE, "a.pad is in use already");
	expect_refusal(others, &wish, ERR_STATE, "a.pad is in use already");
	/* a copy of the pad under another name has the same ledger */
	assert_int_equal(rename("a.pad", "b.pad"), 0);
	int fd = open("a.pad", O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, content, PAD_SIZE_MIN), PAD_SIZE_MIN);
	close(fd);
	expect_refusal(pads, &wish, ERR_STATE, "ledger");
	pads_close(pads, pad);
	wish.options.role = PAD_INITIATOR;
	expect_refusal(pads, &wish, ERR_STATE, "a.pad");
	wish.options.role = PAD_RESPONDER;
	(void)opened(pads, &wish);
	wish.path = "nowhere.pad";
	expect_refusal(pads, &wish, ERR_NOT_FOUND, "nowhere.pad");
	pads_free(others);
	pads_free(pads);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(feeds_lanes),
		IN_FOLDER(is_idle_before_it_starts),
		IN_FOLDER(goes_on_where_it_was),
		IN_FOLDER(many_come_and_go),
		IN_FOLDER(knows_what_it_was_asked_for),
		IN_FOLDER(refuses_what_would_use_bytes_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
