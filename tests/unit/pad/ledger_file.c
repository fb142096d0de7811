/*
 * The ledger's file: made durably and alone, locked, read as it was written, and refused with a remedy whatever is
 * wrong with it.
 */
#include "place.h"

#include "pad/ledger_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_LEN 8192
#define COPY 4096

static const uint8_t id[PAD_ID_LEN] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff};
#define NAME "pads/ab0102030405060708090a0b0c0d0eff.ledger"

static struct ledger sample(uint64_t sequence)
{
	struct ledger l = {.sequence = sequence, .pad_size = PAD_SIZE_MIN, .role = PAD_RESPONDER, .sent = sequence};
	memcpy(l.pad_id, id, PAD_ID_LEN);
	return l;
}

static int open_it(void)
{
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct fault fault;
	int fd = -1;
	if (ledger_file_open(&fd, "pads", id, copies, &fault) != OK)
		fail_msg("%s", fault.text);
	return fd;
}

static void write_record(int fd, const struct ledger *l)
{
	uint8_t record[LEDGER_RECORD_LEN];
	assert_err(ledger_encode(record, l), OK);
	assert_err(ledger_file_write(fd, (unsigned int)(l->sequence % LEDGER_COPIES), record), OK);
}

/* Opening is refused with `code` and words that hold each of these. */
static void expect_refusal(enum err code, const char *word, const char *remedy)
{
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct fault fault;
	int fd = -7;
	assert_err(ledger_file_open(&fd, "pads", id, copies, &fault), code);
	assert_int_equal(fd, -7);
	assert_fault(&fault, code, word, remedy);
}

static void test_what_was_written_is_found(void **state)
{
	(void)state;
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct ledger out;
	struct fault fault;
	struct stat st;
	int fd = open_it();
	assert_int_equal(stat("pads", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(NAME, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, FILE_LEN);
	assert_true(st.st_blocks * 512 >= FILE_LEN); /* no later write fails for want of room */
	assert_err(pad_ledger_read(&out, NAME, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, NAME, "not been used");
	for (uint64_t sequence = 1; sequence < 6; sequence++) {
		const struct ledger l = sample(sequence);
		write_record(fd, &l);
		assert_err(pad_ledger_read(&out, NAME, &fault), OK); /* while it is locked */
		assert_int_equal(out.sequence, sequence);
		assert_int_equal(out.sent, sequence);
	}
	close(fd);
	fd = -1;
	assert_err(ledger_file_open(&fd, "pads", id, copies, &fault), OK);
	assert_err(ledger_choose(&out, copies), OK);
	assert_int_equal(out.sequence, 5);
	assert_err(ledger_decode(&out, copies[0]), OK);
	assert_int_equal(out.sequence, 4);
	close(fd);
	assert_int_equal(stat(NAME, &st), 0);
	assert_int_equal(st.st_size, FILE_LEN);
}

static void test_who_opens_it_second_is_refused(void **state)
{
	(void)state;
	int ready[2], leave[2], status;
	char byte = 0;
	assert_int_equal(pipe(ready) + pipe(leave), 0);
	pid_t child = fork();
	if (child == 0) {
		int fd = open_it();
		if (write(ready[1], "", 1) != 1 || close(leave[1]) != 0 || read(leave[0], &byte, 1) != 0)
			_exit(1);
		_exit(fd < 0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	expect_refusal(ERR_STATE, "in use", "stop that tunnel first");
	close(leave[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(open_it());
	for (int i = 0; i < 2; i++)
		close(ready[i]);
	close(leave[0]);
}

/* The machine stopped while it was being made: at every length. */
static void test_one_that_was_being_made_is_completed(void **state)
{
	(void)state;
	struct stat st;
	close(open_it());
	for (off_t len = 0; len < FILE_LEN; len += 500) {
		assert_int_equal(truncate(NAME, 0), 0);
		assert_int_equal(truncate(NAME, len), 0);
		close(open_it());
		assert_int_equal(stat(NAME, &st), 0);
		assert_int_equal(st.st_size, FILE_LEN);
	}
}

static void test_one_that_was_cut_is_refused(void **state)
{
	(void)state;
	const struct ledger l = sample(2);
	struct ledger out;
	struct fault fault;
	int fd = open_it();
	write_record(fd, &l);
	close(fd);
	assert_int_equal(truncate(NAME, 100), 0);
	expect_refusal(ERR_FORMAT, "damaged", "replace the pad");
	assert_err(pad_ledger_read(&out, NAME, &fault), ERR_FORMAT);
	assert_fault(&fault, ERR_FORMAT, NAME, "replace the pad");
}

static void test_wrong_files_and_folders_are_refused(void **state)
{
	(void)state;
	struct ledger out;
	struct fault fault;
	place_write("pads", "x", 1);
	expect_refusal(ERR_IO, "folder of ledgers pads", "correct its owner");
	assert_int_equal(unlink("pads"), 0);

	assert_int_equal(mkdir("pads", 0700) + mkdir(NAME, 0700), 0);
	expect_refusal(ERR_IO, NAME, "look at its owner");
	assert_int_equal(rmdir(NAME), 0);
	assert_int_equal(mkfifo(NAME, 0600), 0);
	expect_refusal(ERR_FORMAT, "no regular file", "move it away");
	assert_int_equal(unlink(NAME), 0);

	place_write("elsewhere", "x", 1);
	assert_int_equal(symlink("../elsewhere", NAME), 0);
	expect_refusal(ERR_FORMAT, "symbolic link", "in its place");
	assert_err(pad_ledger_read(&out, NAME, &fault), ERR_FORMAT);
	assert_int_equal(unlink(NAME), 0);
	assert_err(pad_ledger_read(&out, NAME, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, NAME, "not been used");

	assert_int_equal(chmod("pads", 0770), 0);
	expect_refusal(ERR_PERMISSION, "others than its owner", "chmod 700 pads");
	assert_int_equal(chmod("pads", 0755), 0);
	close(open_it());
}

static void test_missing_parents_and_long_paths_are_refused(void **state)
{
	(void)state;
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	char longest[PATH_MAX], out[PATH_MAX];
	struct fault fault;
	int fd;
	assert_err(ledger_file_open(&fd, "no/pads", id, copies, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "no/pads", "make its parent first");

	const size_t name = strlen(NAME) - strlen("pads");
	memset(longest, 'x', sizeof longest);
	longest[PATH_MAX - name] = '\0';
	assert_err(pad_ledger_path(out, longest, id), ERR_TOO_BIG);
	assert_err(ledger_file_open(&fd, longest, id, copies, &fault), ERR_TOO_BIG);
	assert_fault(&fault, ERR_TOO_BIG, "too long", "StateDirectory");
	longest[PATH_MAX - name - 1] = '\0';
	assert_err(pad_ledger_path(out, longest, id), OK);
	assert_int_equal(strlen(out), PATH_MAX - 1);
	assert_err(pad_ledger_path(out, "pads", id), OK);
	assert_string_equal(out, NAME);
}

static void test_a_full_disk_stops_making_but_not_writing(void **state)
{
	(void)state;
	place_disk("size=64k");
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct fault fault;
	int fd = -7;
	place_fill("small/rest");
	assert_err(ledger_file_open(&fd, "small/pads", id, copies, &fault), ERR_IO);
	assert_int_equal(fd, -7);
	assert_fault(&fault, ERR_IO, "small/pads", "make room");
	assert_int_equal(unlink("small/rest"), 0);
	assert_err(ledger_file_open(&fd, "small/pads", id, copies, &fault), OK);
	place_fill("small/rest");
	for (uint64_t sequence = 1; sequence < 4; sequence++) { /* it has its room */
		const struct ledger l = sample(sequence);
		write_record(fd, &l);
	}
	close(fd);
}

static void test_a_read_only_disk_is_refused(void **state)
{
	(void)state;
	place_disk("size=64k");
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct fault fault;
	int fd = -1;
	assert_err(ledger_file_open(&fd, "small/pads", id, copies, &fault), OK);
	close(fd);
	place_remount_read_only("small");
	fd = -7;
	assert_err(ledger_file_open(&fd, "small/pads", id, copies, &fault), ERR_IO);
	assert_int_equal(fd, -7);
	assert_fault(&fault, ERR_IO, "small/pads", "mount its file system writable");
}

/* ---- changing ---- */

struct change {
	enum err result;
	uint64_t sent;
	int calls;
};

static enum err change_it(void *context, struct ledger *ledger, struct fault *fault)
{
	struct change *c = context;
	c->calls++;
	ledger->sent = c->sent;
	return c->result == OK ? OK : fault_set(fault, c->result, "no");
}

static void test_a_change_is_written_beside_what_is_good(void **state)
{
	(void)state;
	struct ledger out;
	struct fault fault;
	/* Wherever the newest stands, also where the sequence would not have put it. */
	for (unsigned int where = 0; where < LEDGER_COPIES; where++)
		for (uint64_t sequence = 4; sequence < 6; sequence++) {
			uint8_t record[LEDGER_RECORD_LEN], before[LEDGER_RECORD_LEN];
			const struct ledger older = sample(sequence - 1), newest = sample(sequence);
			int fd = open_it();
			assert_err(ledger_encode(record, &older), OK);
			assert_err(ledger_file_write(fd, 1 - where, record), OK);
			assert_err(ledger_encode(before, &newest), OK);
			assert_err(ledger_file_write(fd, where, before), OK);
			close(fd);
			struct change change = {.sent = 4242};
			assert_err(pad_ledger_change(NAME, change_it, &change, &fault), OK);
			assert_int_equal(change.calls, 1);
			assert_err(pad_ledger_read(&out, NAME, &fault), OK);
			assert_int_equal(out.sequence, sequence + 1);
			assert_int_equal(out.sent, 4242);
			fd = open(NAME, O_RDONLY);
			assert_int_equal(pread(fd, record, sizeof record, where * COPY), LEDGER_RECORD_LEN);
			assert_memory_equal(record, before, sizeof record);
			close(fd);
		}
}

static void test_a_change_that_cannot_be_is_not_written(void **state)
{
	(void)state;
	const struct ledger l = sample(4);
	struct change change = {.sent = 1};
	struct ledger out;
	struct fault fault;
	assert_err(pad_ledger_change(NAME, change_it, &change, &fault), ERR_NOT_FOUND);
	assert_int_equal(access("pads", F_OK), -1); /* nothing is made */
	int fd = open_it();
	assert_err(pad_ledger_change(NAME, change_it, &change, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, NAME, "stop that tunnel first");
	close(fd);
	assert_err(pad_ledger_change(NAME, change_it, &change, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, NAME, "not been used");
	assert_int_equal(change.calls, 0);

	fd = open_it();
	write_record(fd, &l);
	close(fd);
	change.result = ERR_PERMISSION;
	assert_err(pad_ledger_change(NAME, change_it, &change, &fault), ERR_PERMISSION);
	change = (struct change){.sent = UINT64_MAX};
	assert_err(pad_ledger_change(NAME, change_it, &change, &fault), ERR_ARGUMENT);
	assert_fault(&fault, ERR_ARGUMENT, NAME, "not changed");
	assert_err(pad_ledger_read(&out, NAME, &fault), OK);
	assert_int_equal(out.sequence, 4);
	assert_int_equal(out.sent, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_written_is_found),
		TEST(test_who_opens_it_second_is_refused),
		TEST(test_one_that_was_being_made_is_completed),
		TEST(test_one_that_was_cut_is_refused),
		TEST(test_wrong_files_and_folders_are_refused),
		TEST(test_missing_parents_and_long_paths_are_refused),
		TEST(test_a_full_disk_stops_making_but_not_writing),
		TEST(test_a_read_only_disk_is_refused),
		TEST(test_a_change_is_written_beside_what_is_good),
		TEST(test_a_change_that_cannot_be_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
