/*
 * A pad as a file: read where it is asked, burned durably, locked, and refused with a remedy whatever is wrong with it.
 * The ledger beside it has tests of its own (ledger_file.c).
 */
#include "place.h"

#include "pad/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define SIZE (9 * MIB + 4097) /* more windows than are kept */

static uint8_t content[SIZE];

static void write_pad(const char *name, size_t len)
{
	struct seeded seed = {11};
	seeded_bytes(&seed, content, sizeof content);
	place_write(name, content, len);
}

static struct pad_file *open_it(bool burns)
{
	const struct pad_file_config config = {.path = "pad", .folder = "pads", .burns = burns};
	struct pad_file *f = NULL;
	struct fault fault;
	if (pad_file_open(&f, &config, &fault) != OK)
		fail_msg("%s", fault.text);
	return f;
}

static void expect_refusal_of(const struct pad_file_config *config, enum err code, const char *what, const char *remedy)
{
	struct pad_file *f = NULL;
	struct fault fault;
	assert_err(pad_file_open(&f, config, &fault), code);
	assert_null(f);
	assert_fault(&fault, code, what, remedy);
}

static void expect_refusal(enum err code, const char *what, const char *remedy)
{
	const struct pad_file_config config = {.path = "pad", .folder = "pads"};
	expect_refusal_of(&config, code, what, remedy);
}

/* ---- reading ---- */

static void test_bytes_are_read_where_they_stand(void **state)
{
	(void)state;
	static uint8_t out[MIB];
	struct seeded seed = {12};
	write_pad("pad", SIZE);
	struct pad_file *f = open_it(false);
	const struct pad_medium medium = pad_file_medium(f);
	assert_int_equal(pad_file_size(f), SIZE);
	assert_null(medium.burn);
	for (int i = 0; i < 400; i++) {
		size_t len = 1 + seeded_below(&seed, i % 2 ? 100 : MIB);
		uint64_t at = seeded_below(&seed, (uint32_t)(SIZE - len + 1));
		assert_err(medium.read(medium.context, at, out, len), OK);
		assert_memory_equal(out, content + at, len);
	}
	for (size_t at = SIZE / MIB * MIB; at > 0; at -= MIB) { /* downwards, as the initiator does */
		assert_err(medium.read(medium.context, at - MIB, out, MIB), OK);
		assert_memory_equal(out, content + at - MIB, MIB);
	}
	pad_file_close(f);
}

static void test_a_pad_that_is_cut_while_in_use_is_an_error(void **state)
{
	(void)state;
	uint8_t out[100];
	write_pad("pad", SIZE);
	struct pad_file *f = open_it(false);
	const struct pad_medium medium = pad_file_medium(f);
	assert_int_equal(truncate("pad", (off_t)(2 * MIB)), 0);
	assert_err(medium.read(medium.context, 2 * MIB - 50, out, sizeof out), ERR_IO);
	assert_err(medium.read(medium.context, 2 * MIB - 100, out, sizeof out), OK);
	pad_file_close(f);
}

static void test_the_identity_is_told(void **state)
{
	(void)state;
	uint8_t id[PAD_ID_LEN] = {0};
	uint64_t size = 0;
	struct fault fault;
	write_pad("pad", SIZE);
	struct pad_file *f = open_it(false);
	assert_err(pad_file_id("pad", id, &size, &fault), OK); /* while it is in use */
	assert_memory_equal(id, content, PAD_ID_LEN);
	assert_int_equal(size, SIZE);
	pad_file_close(f);
	assert_err(pad_file_id("other", id, &size, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "other", "jorm pad new");
	assert_int_equal(size, SIZE);
}

/* ---- what is refused ---- */

static void test_what_is_no_pad_is_refused(void **state)
{
	(void)state;
	uint8_t id[PAD_ID_LEN];
	uint64_t size;
	struct fault fault;
	expect_refusal(ERR_NOT_FOUND, "there is no pad pad", "jorm pad new");
	assert_int_equal(mkdir("pad", 0700), 0);
	expect_refusal(ERR_FORMAT, "pad is ", "give the path of a pad");
	const struct pad_file_config burning = {.path = "pad", .folder = "pads", .burns = true};
	expect_refusal_of(&burning, ERR_FORMAT, "folder", "give the path of a pad");
	assert_int_equal(rmdir("pad"), 0);
	assert_int_equal(mkfifo("pad", 0600), 0);
	expect_refusal(ERR_FORMAT, "not a regular file", "give the path of a pad");
	assert_int_equal(unlink("pad"), 0);
	const struct pad_file_config device = {.path = "/dev/zero", .folder = "pads"};
	expect_refusal_of(&device, ERR_FORMAT, "not a regular file", "give the path of a pad");

	write_pad("pad", PAD_SIZE_MIN - 1);
	expect_refusal(ERR_FORMAT, "too short: it has 1048575 bytes, and 1048576", "longer file");
	assert_err(pad_file_id("pad", id, &size, &fault), ERR_FORMAT);
	place_write("pad", "", 0);
	expect_refusal(ERR_FORMAT, "too short", "longer file");
	write_pad("pad", PAD_SIZE_MIN);
	pad_file_close(open_it(false));
	assert_int_equal(access("pads", F_OK), 0);
}

static void test_a_pad_too_long_is_refused(void **state)
{
	(void)state;
	const struct pad_file_config config = {.path = "small/pad", .folder = "pads"};
	place_disk("size=64k"); /* where files may be as long as that */
	place_write("small/pad", "x", 1);
	assert_int_equal(truncate("small/pad", (off_t)PAD_SIZE_MAX + 1), 0);
	expect_refusal_of(&config, ERR_FORMAT, "too long", "jorm pad split");
}

static void test_a_pad_that_others_may_touch_is_refused(void **state)
{
	(void)state;
	const mode_t modes[] = {0640, 0620, 0604, 0602, 0610, 0601, 0666};
	write_pad("pad", PAD_SIZE_MIN);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod("pad", modes[i]), 0);
		expect_refusal(ERR_PERMISSION, "others than its owner", "chmod 600 pad");
	}
	assert_int_equal(chmod("pad", 0400), 0);
	pad_file_close(open_it(false));
}

/* As another user, in a process of its own: what it ends with is the first check that failed. */
static int as_nobody(void)
{
	const struct pad_file_config config = {.path = "pad", .folder = "pads"};
	struct pad_file *f = NULL;
	struct fault fault;
	if (setgid(65534) != 0 || setuid(65534) != 0)
		return 1;
	if (pad_file_open(&f, &config, &fault) != ERR_PERMISSION || !strstr(fault.text, "cannot open the pad pad"))
		return 2;
	return strstr(fault.text, "access rights") ? 0 : 3;
}

static void test_a_pad_of_another_user_is_refused(void **state)
{
	(void)state;
	int status;
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	write_pad("pad", PAD_SIZE_MIN);
	assert_int_equal(chmod(".", 0755), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(as_nobody());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(chown("pad", 65534, 65534), 0);
	expect_refusal(ERR_PERMISSION, "belongs to another user (uid 65534)", "chown it");
}

static void test_a_constant_pad_is_refused(void **state)
{
	(void)state;
	const struct pad_file_config weak = {.path = "pad", .folder = "pads", .allows_weak = true};
	struct pad_file *f;
	struct fault fault;
	memset(content, 0x5a, sizeof content);
	place_write("pad", content, SIZE);
	expect_refusal(ERR_FORMAT, "constant", "jorm pad new");
	assert_int_equal(access("pads", F_OK), -1); /* nothing was made for it */
	assert_err(pad_file_open(&f, &weak, &fault), OK);
	pad_file_close(f);
	assert_int_equal(truncate("pad", 0), 0); /* a hole */
	assert_int_equal(truncate("pad", (off_t)SIZE), 0);
	expect_refusal(ERR_FORMAT, "constant", "AllowWeakPad");

	/* One that has been burned to its end still has its identity. */
	struct seeded seed = {3};
	int fd = open("pad", O_WRONLY);
	seeded_bytes(&seed, content, PAD_IDENTITY_LEN);
	assert_int_equal(pwrite(fd, content, PAD_IDENTITY_LEN, 0), PAD_IDENTITY_LEN);
	close(fd);
	pad_file_close(open_it(false));
}

/* ---- locks ---- */

static void test_a_pad_has_one_user(void **state)
{
	(void)state;
	int ready[2], leave[2], status;
	char byte = 0;
	write_pad("pad", PAD_SIZE_MIN);
	assert_int_equal(pipe(ready) + pipe(leave), 0);
	pid_t child = fork();
	if (child == 0) {
		struct pad_file *f = open_it(false);
		if (write(ready[1], "", 1) != 1 || close(leave[1]) != 0 || read(leave[0], &byte, 1) != 0)
			_exit(1);
		pad_file_close(f);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	expect_refusal(ERR_STATE, "in use already", "use another pad");
	/* Another folder of ledgers makes no difference. */
	const struct pad_file_config elsewhere = {.path = "pad", .folder = "others"};
	expect_refusal_of(&elsewhere, ERR_STATE, "pad", "stop that one first");
	/* A copy of it has the same ledger. */
	write_pad("copy", PAD_SIZE_MIN);
	const struct pad_file_config copy = {.path = "copy", .folder = "pads"};
	expect_refusal_of(&copy, ERR_STATE, "ledger", "StateDirectory");
	close(leave[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	struct pad_file *f = open_it(false);
	expect_refusal(ERR_STATE, "another peer", "use another pad"); /* the same process */
	pad_file_close(f);
	pad_file_close(open_it(false));
	for (int i = 0; i < 2; i++)
		close(ready[i]);
	close(leave[0]);
}

/* ---- burning ---- */

static void test_burned_bytes_are_gone_and_no_others(void **state)
{
	(void)state;
	static uint8_t out[SIZE];
	const struct {
		uint64_t at, len;
	} ranges[] = {{64 * 1024, 64 * 1024}, {3 * MIB, 2 * MIB + 4096}, {6 * MIB + 100, 256}, {SIZE - 4097, 4097}};
	write_pad("pad", SIZE);
	struct pad_file *f = open_it(true);
	const struct pad_medium medium = pad_file_medium(f);
	assert_non_null(medium.burn);
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		const uint64_t at = ranges[i].at, len = ranges[i].len;
		assert_err(medium.burn(medium.context, at, len), OK);
		assert_err(medium.read(medium.context, 0, out, SIZE), OK);
		assert_memory_equal(out, content, at);
		assert_memory_equal(out + at + len, content + at + len, SIZE - at - len);
		size_t same = 0;
		for (uint64_t k = at; k < at + len; k++)
			same += out[k] == content[k];
		assert_true(same <= len / 64); /* by chance */
		memcpy(content + at, out + at, len);
	}
	struct stat st;
	assert_int_equal(stat("pad", &st), 0);
	assert_int_equal(st.st_size, SIZE);
	pad_file_close(f);
}

static void test_a_pad_that_cannot_be_burned_is_refused_or_an_error(void **state)
{
	(void)state;
	const struct pad_file_config config = {.path = "small/pad", .folder = "pads", .burns = true};
	const struct pad_file_config reading = {.path = "small/pad", .folder = "pads"};
	struct pad_file *f;
	struct fault fault;
	place_disk("size=3m");
	write_pad("small/pad", 2 * MIB);
	assert_err(pad_file_open(&f, &config, &fault), OK);
	/* A limit that stops the write half way. */
	const struct pad_medium medium = pad_file_medium(f);
	struct rlimit before, limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = MIB + 1000, .rlim_max = before.rlim_max};
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	enum err result = medium.burn(medium.context, MIB, 4096);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, handler);
	assert_err(result, ERR_IO);
	assert_err(medium.burn(medium.context, MIB, 4096), OK);
	pad_file_close(f);

	place_remount_read_only("small");
	expect_refusal_of(&config, ERR_PERMISSION, "read-only", "Burn = no");
	assert_err(pad_file_open(&f, &reading, &fault), OK); /* a pad on a medium that nobody can write is fine */
	pad_file_close(f);
}

/* ---- the ledger and the callbacks ---- */

static void count(void *context)
{
	++*(int *)context;
}

static void test_records_and_calls_go_through(void **state)
{
	(void)state;
	int calls = 0;
	const struct pad_file_config config = {
		.path = "pad", .folder = "pads", .settle = count, .wake = count, .callback_context = &calls};
	struct ledger l = {.sequence = 1, .pad_size = PAD_SIZE_MIN, .role = PAD_RESPONDER, .sent = 5}, out;
	uint8_t record[LEDGER_RECORD_LEN];
	struct pad_file *f;
	struct fault fault;
	write_pad("pad", PAD_SIZE_MIN);
	assert_err(pad_file_open(&f, &config, &fault), OK);
	assert_err(ledger_choose(&out, pad_file_copies(f)), ERR_NOT_FOUND);
	struct pad_medium medium = pad_file_medium(f);
	assert_err(ledger_encode(record, &l), OK);
	assert_err(medium.write_record(medium.context, 1, record), OK);
	medium.settle(medium.context);
	medium.wake(medium.context);
	assert_int_equal(calls, 2);
	pad_file_close(f);

	f = open_it(false);
	assert_err(ledger_choose(&out, pad_file_copies(f)), OK);
	assert_int_equal(out.sent, 5);
	medium = pad_file_medium(f);
	medium.settle(medium.context); /* nobody to call */
	medium.wake(medium.context);
	assert_int_equal(calls, 2);
	pad_file_close(f);
	pad_file_close(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_bytes_are_read_where_they_stand),
		TEST(test_a_pad_that_is_cut_while_in_use_is_an_error),
		TEST(test_the_identity_is_told),
		TEST(test_what_is_no_pad_is_refused),
		TEST(test_a_pad_too_long_is_refused),
		TEST(test_a_pad_that_others_may_touch_is_refused),
		TEST(test_a_pad_of_another_user_is_refused),
		TEST(test_a_constant_pad_is_refused),
		TEST(test_a_pad_has_one_user),
		TEST(test_burned_bytes_are_gone_and_no_others),
		TEST(test_a_pad_that_cannot_be_burned_is_refused_or_an_error),
		TEST(test_records_and_calls_go_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
