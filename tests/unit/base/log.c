/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE 32768

static int reader, stderr_before;

/* Standard error becomes a pipe; the journal, if the test says so. */
static int set_up(void **state)
{
	int ends[2];
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	log_set_json(false);
	log_set_tunnel(NULL);
	unsetenv("JOURNAL_STREAM");
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	stderr_before = dup(STDERR_FILENO);
	if (stderr_before < 0 || dup2(ends[1], STDERR_FILENO) < 0)
		return -1;
	reader = ends[0];
	return close(ends[1]);
}

static int clean_up(void **state)
{
	(void)state;
	log_set_json(false);
	if (dup2(stderr_before, STDERR_FILENO) < 0)
		return -1;
	close(stderr_before);
	return close(reader);
}

/* All that has been written since the last call. */
static const char *written(void)
{
	static char text[SIZE];
	ssize_t n = read(reader, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The JSON line without its time, which is checked on its way. */
static const char *json_rest(void)
{
	const char *line = written();
	int used = 0;
	assert_int_equal(strncmp(line, "{\"time\":\"", 9), 0);
	(void)sscanf(line, "{\"time\":\"%*4u-%*2u-%*2uT%*2u:%*2u:%*2u.%*3uZ\",%n", &used);
	assert_int_equal(used, 35);
	return line + used;
}

static void journal_is_stderr(long inode_offset)
{
	char text[64];
	struct stat st;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(
		text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + (uintmax_t)inode_offset);
	setenv("JOURNAL_STREAM", text, 1);
}

static void levels_have_their_words(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a %d", 1);
	assert_string_equal(written(), "error: a 1\n");
	log_warning("b");
	assert_string_equal(written(), "warning: b\n");
	log_info("c");
	assert_string_equal(written(), "c\n");
	log_debug("d");
	assert_string_equal(written(), "debug: d\n");
	log_event(LOG_LEVEL_WARNING, "lost", "laptop", "e %s", "f");
	assert_string_equal(written(), "warning: e f\n");
}

static void lower_levels_are_not_written(void **state)
{
	(void)state;
	assert_true(log_is_on(LOG_LEVEL_INFO));
	assert_false(log_is_on(LOG_LEVEL_DEBUG));
	log_debug("d");
	log_event(LOG_LEVEL_DEBUG, "x", NULL, "d");
	assert_string_equal(written(), "");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("b");
	assert_string_equal(written(), "");
	log_error("a");
	assert_string_equal(written(), "error: a\n");
}

static void the_journal_gets_priorities(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	journal_is_stderr(0);
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(written(), "<3>a\n<4>b\n<6>c\n<7>d\n");
	log_set_json(true);
	log_info("c");
	const char *line = written();
	assert_int_equal(strncmp(line, "<6>{\"time\":", 11), 0);
}

/* A shell inside a service inherits the variable, but its output goes to a file. */
static void others_get_none(void **state)
{
	static const char *const odd[] = {"", "1", ":", "x:y", "1:2"};
	(void)state;
	journal_is_stderr(1);
	log_warning("b");
	assert_string_equal(written(), "warning: b\n");
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		setenv("JOURNAL_STREAM", odd[i], 1);
		log_warning("b");
		assert_string_equal(written(), "warning: b\n");
	}
}

static void a_terminal_gets_no_control_characters(void **state)
{
	(void)state;
	log_info("%s", "a\nb\x1b[31m\tc\x7f\xc2\x9b"
		       "d\xff"
		       "e\xc3\xa4");
	assert_string_equal(written(), "a b [31m c  d\xef\xbf\xbd"
				       "e\xc3\xa4\n");
}

static void json_has_what_is_known(void **state)
{
	(void)state;
	log_set_json(true);
	log_info("up");
	assert_string_equal(json_rest(), "\"level\":\"info\",\"message\":\"up\"}\n");
	log_set_tunnel("office");
	log_event(LOG_LEVEL_WARNING, "session_lost", "laptop", "session with %s is lost", "laptop");
	assert_string_equal(json_rest(), "\"level\":\"warning\",\"tunnel\":\"office\",\"event\":\"session_lost\","
					 "\"peer\":\"laptop\",\"message\":\"session with laptop is lost\"}\n");
	log_event(LOG_LEVEL_ERROR, "stopped", NULL, "%s", "");
	assert_string_equal(
		json_rest(), "\"level\":\"error\",\"tunnel\":\"office\",\"event\":\"stopped\",\"message\":\"\"}\n");
}

static void json_tells_the_time(void **state)
{
	struct tm t = {0};
	unsigned int ms;
	(void)state;
	log_set_json(true);
	usec before = clock_wall();
	log_info("x");
	usec after = clock_wall();
	const char *line = written();
	assert_int_equal(sscanf(line, "{\"time\":\"%d-%d-%dT%d:%d:%d.%uZ\"", &t.tm_year, &t.tm_mon, &t.tm_mday,
				 &t.tm_hour, &t.tm_min, &t.tm_sec, &ms),
		7);
	t.tm_year -= 1900;
	t.tm_mon -= 1;
	usec at = (usec)timegm(&t) * USEC_PER_SEC + ms * USEC_PER_MS;
	assert_in_range(at, before - before % USEC_PER_MS, after);
}

static void json_is_escaped(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {{"\"\\/", "\\u0022\\u005c/"}, {"\n\r\t\b\f", "\\u000a\\u000d\\u0009\\u0008\\u000c"},
		{"\x01\x1b\x1f\x7f", "\\u0001\\u001b\\u001f\\u007f"},
		{"\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0"},
		/* Two, three and four bytes, the first and last of each. */
		{"\xc3\xa4\xdf\xbf", "\xc3\xa4\xdf\xbf"}, {"\xe0\xa0\x80\xef\xbf\xbf", "\xe0\xa0\x80\xef\xbf\xbf"},
		{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"}};
	char expected[256];
	(void)state;
	log_set_json(true);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		log_event(LOG_LEVEL_INFO, "x", cases[i].text, "%s", cases[i].text);
		(void)snprintf(expected, sizeof expected,
			"\"level\":\"info\",\"event\":\"x\",\"peer\":\"%s\",\"message\":\"%s\"}\n", cases[i].json,
			cases[i].json);
		assert_string_equal(json_rest(), expected);
	}
}

#define BAD "\xef\xbf\xbd"
static void bytes_that_are_no_text_are_replaced(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {{"\x80", BAD},
		{"\xbf"
		 "a",
			BAD "a"},
		{"\xff\xfe", BAD BAD}, {"\xc3", BAD}, {"\xc3(", BAD "("}, {"\xe2\x82", BAD BAD},
		{"\xe2\x82\"", BAD BAD "\\u0022"}, {"\xf0\x9f\x98", BAD BAD BAD}, {"\xc0\xaf", BAD BAD},
		{"\xc1\xbf", BAD BAD}, {"\xe0\x80\xaf", BAD BAD BAD},                 /* longer than needed */
		{"\xf0\x80\x80\xaf", BAD BAD BAD BAD}, {"\xed\xa0\x80", BAD BAD BAD}, /* half a pair */
		{"\xf4\x90\x80\x80", BAD BAD BAD BAD}, {"\xf8\x88\x80\x80\x80", BAD BAD BAD BAD BAD}};
	char expected[256];
	(void)state;
	log_set_json(true);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		log_info("%s", cases[i].text);
		(void)snprintf(expected, sizeof expected, "\"level\":\"info\",\"message\":\"%s\"}\n", cases[i].json);
		assert_string_equal(json_rest(), expected);
	}
}

/* Whatever the bytes are: one line, closed, and its only quotes are its own. */
static void long_lines_are_cut_and_whole(void **state)
{
	static const unsigned char fills[] = {'x', 0x01, '"', '\\', 0xff, 0xc3, 0xf0};
	char text[4096], peer[1024];
	(void)state;
	log_set_json(true);
	for (size_t i = 0; i < sizeof fills; i++) {
		memset(text, fills[i], sizeof text - 1);
		memset(peer, fills[i], sizeof peer - 1);
		text[sizeof text - 1] = peer[sizeof peer - 1] = '\0';
		log_set_tunnel(peer);
		log_event(LOG_LEVEL_WARNING, peer, peer, "%s", text);
		const char *line = json_rest();
		size_t len = strlen(line), quotes = 0;
		for (const char *c = line; *c; c++) {
			quotes += *c == '"';
			assert_true((unsigned char)*c >= 0x20 || c == line + len - 1);
		}
		assert_int_equal(quotes, 4 * 5);
		assert_string_equal(line + len - 6, "...\"}\n");
	}
	log_set_json(false);
	log_info("%s", text);
	const char *line = written();
	assert_string_equal(line + strlen(line) - 4, "...\n");
	memset(text, 'x', sizeof text);
	text[1023] = '\0'; /* the longest that fits */
	log_info("%s", text);
	line = written();
	assert_int_equal(strlen(line), 1024);
	assert_string_equal(line + 1020, "xxx\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(levels_have_their_words), TEST(lower_levels_are_not_written),
		TEST(the_journal_gets_priorities), TEST(others_get_none), TEST(a_terminal_gets_no_control_characters),
		TEST(json_has_what_is_known), TEST(json_tells_the_time), TEST(json_is_escaped),
		TEST(bytes_that_are_no_text_are_replaced), TEST(long_lines_are_cut_and_whole)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
