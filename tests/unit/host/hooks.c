/* src/host/hooks.c and program.c: hooks as root's shell runs them, and what a program may do to its caller. */
#include "room.h"

#include "host/hooks.h"
#include "host/program.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void runs_body(void)
{
	struct config *config = room_config("office",
		"Name = snk7\nPreUp = echo first %i $JORM_INTERFACE $JORM_TUNNEL $JORM_CONFIG >>" ROOM "/out\n"
		"PreUp = cat >>" ROOM "/out; echo second 100% %% %j >>" ROOM "/out\n");
	struct keeper *keeper = room_keeper(config);
	assert_int_equal(keeper_hook(keeper, KEEPER_PRE_UP, NULL), OK);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, NULL), OK); /* there is none */
	assert_string_equal(room_read(ROOM "/out"), "first snk7 snk7 office " ROOM "/office.conf\nsecond 100% %% %j\n");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_runs_in_order_with_the_names(void **state)
{
	room_run(runs_body);
}

static void fails_body(void)
{
	struct fault fault = {0};
	struct config *config = room_config("office",
		"Name = snk7\nPostUp = exit 3\nPostUp = echo no >>" ROOM "/out\nPreDown = no-such-program\n"
		"PostDown = kill -9 $$\n");
	struct keeper *keeper = room_keeper(config);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "PostUp: the command 'exit 3' failed with exit code 3");
	assert_string_equal(room_read(ROOM "/out"), "");
	assert_int_equal(keeper_hook(keeper, KEEPER_PRE_DOWN, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "127");
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_DOWN, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "137");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_failures_are_told(void **state)
{
	room_run(fails_body);
}

/* What the keeper ignores, and what it has open, is none of a hook's business. */
static void clean_body(void)
{
	struct config *config =
		room_config("office", "Name = snk7\nPreUp = grep -E 'SigIgn|SigBlk' /proc/self/status >" ROOM
				      "/out; ls -l /proc/self/fd | grep "
				      "-c socket >>" ROOM "/out; true\n");
	struct keeper *keeper = room_keeper(config);
	assert_int_equal(keeper_hook(keeper, KEEPER_PRE_UP, NULL), OK);
	assert_string_equal(room_read(ROOM "/out"), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_inherits_nothing(void **state)
{
	room_run(clean_body);
}

/* Of two that hang the first is killed; the second is another call. */
static void slow_body(void)
{
	struct fault fault = {0};
	struct config *config = room_config("office", "PostUp = exec cat " ROOM "/fifo\nPostUp = true\n");
	assert_int_equal(mkfifo(ROOM "/fifo", 0600), 0);
	struct hook_call call = {.hook = KEEPER_POST_UP, .interface = "snk0", .limit_s = 1};
	assert_int_equal(hooks_run(config, &call, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "PostUp: the command 'exec cat " ROOM "/fifo' did not end within 1 s");
	call.index++;
	assert_int_equal(hooks_run(config, &call, &fault), OK);
	call.index++;
	assert_int_equal(hooks_run(config, &call, &fault), ERR_NOT_FOUND);
	config_free(config);
}

static void test_a_slow_one_is_killed(void **state)
{
	room_run(slow_body);
}

/* Without pidfd_open(2) and close_range(2). */
static void old_kernel_body(void)
{
	room_forget_calls(SYS_pidfd_open, SYS_close_range);
	clean_body();
	slow_body();
}

static void test_on_an_old_kernel(void **state)
{
	room_run(old_kernel_body);
}

static void unknown_name_body(void)
{
	struct fault fault = {0};
	struct config *config = room_config("office",
		"PreUp = echo >" ROOM "/out\nPreUp = echo %i >" ROOM "/out\nPostUp = echo %i >" ROOM "/out\n");
	struct keeper *keeper = room_keeper(config);
	assert_int_equal(keeper_hook(keeper, KEEPER_PRE_UP, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "PreUp: %i is not known");
	assert_string_equal(room_read(ROOM "/out"), "\n");
	const struct keeper_facts facts = {.interface = "snk4"};
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, NULL), OK);
	assert_string_equal(room_read(ROOM "/out"), "snk4\n");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_an_unknown_interface_is_no_empty_word(void **state)
{
	room_run(unknown_name_body);
}

/* ---- program.c ---- */

static void test_a_program_that_hangs_is_killed_with_its_children(void **state)
{
	char said[64], command[128];
	int code = -1, ends[2];
	struct fault fault = {0};
	/* its child has the write end of a pipe, too, as long as it lives */
	assert_int_equal(pipe(ends), 0);
	(void)snprintf(command, sizeof command, "/proc/%d/fd/%d", getpid(), ends[1]);
	const char *const argv[] = {"/bin/sh", "-c", "exec 9>\"$0\"; sleep 1000 & sleep 1000", command, NULL};
	struct program program = {.argv = argv, .output = said, .output_size = sizeof said, .limit_s = 1};
	usec start = clock_now();
	assert_int_equal(program_run(&program, &code, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "did not end within 1 s");
	assert_true(clock_now() - start < 10 * USEC_PER_SEC);
	close(ends[1]);
	char byte;
	assert_int_equal(read(ends[0], &byte, 1), 0); /* at the end: nobody has it any more */
	close(ends[0]);
}

static void test_input_output_and_exit_code(void **state)
{
	char said[8];
	int code = -1;
	const char *const cat[] = {"/bin/sh", "-c", "cat; echo \"$MORE\" >&2; exit 5", NULL};
	const char *const extra[] = {"MORE=xyz", NULL};
	struct program program = {
		.argv = cat, .extra = extra, .output = said, .output_size = sizeof said, .limit_s = 20};
	assert_int_equal(program_run(&program, &code, NULL), OK);
	assert_string_equal(said, "xyz");
	assert_int_equal(code, 5);
	program.input = "abcdef";
	assert_int_equal(program_run(&program, &code, NULL), OK);
	assert_string_equal(said, "abcdefx"); /* what fits */

	struct fault fault = {0};
	assert_int_equal(program_must(cat, "input", &fault), ERR_IO);
	assert_fault(&fault, ERR_IO, "exit code 5): input");
	const char *const nothing[] = {"/nonexistent/program", NULL};
	assert_int_equal(program_must(nothing, NULL, &fault), ERR_IO);
	assert_fault(&fault, ERR_IO, "/nonexistent/program");
	const char *const fine[] = {"/bin/true", NULL};
	assert_int_equal(program_must(fine, NULL, &fault), OK);
}

static void test_finds_programs(void **state)
{
	char path[PATH_MAX];
	const char *before = getenv("PATH");
	char *kept = strdup(before ? before : "");
	assert_int_equal(setenv("PATH", ":relative:/nonexistent::", 1), 0);
	assert_true(program_find("sh", path));
	assert_int_equal(path[0], '/');
	assert_false(program_find("no-such-program", path));
	assert_false(program_find("bin", path)); /* a folder is no program */
	assert_int_equal(unsetenv("PATH"), 0);
	assert_true(program_find("sh", path));
	assert_int_equal(setenv("PATH", kept, 1), 0);
	free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_in_order_with_the_names),
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_a_slow_one_is_killed),
		cmocka_unit_test(test_on_an_old_kernel),
		cmocka_unit_test(test_an_unknown_interface_is_no_empty_word),
		cmocka_unit_test(test_inherits_nothing),
		cmocka_unit_test(test_a_program_that_hangs_is_killed_with_its_children),
		cmocka_unit_test(test_input_output_and_exit_code),
		cmocka_unit_test(test_finds_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
