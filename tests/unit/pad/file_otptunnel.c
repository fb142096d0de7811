/* A pad as a file between a tunnel of jorm's own and otptunnel: the one that comes second is refused. And what
 * otptunnel asks of a file. */
#include "place.h"

#include "pad/file.h"
#include "pad/otptunnel.h"

#include <string.h>
#include <sys/stat.h>
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

static const struct pad_file_config native = {.path = "pad", .folder = "pads"};

static struct pad_file *open_natively(void)
{
	struct pad_file *f = NULL;
	struct fault fault;
	if (pad_file_open(&f, &native, &fault) != OK)
		fail_msg("%s", fault.text);
	return f;
}

static void expect_refusal(enum err code, const char *what, const char *remedy)
{
	struct pad_file *f = NULL;
	struct fault fault;
	assert_err(pad_file_open(&f, &native, &fault), code);
	assert_null(f);
	assert_fault(&fault, code, what, remedy);
}

static void record_use(const struct ledger *l)
{
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN], record[LEDGER_RECORD_LEN];
	struct fault fault;
	int fd;
	assert_err(ledger_file_open(&fd, "pads", l->pad_id, copies, &fault), OK);
	assert_err(ledger_encode(record, l), OK);
	assert_err(ledger_file_write(fd, 0, record), OK);
	close(fd);
}

static void test_what_otptunnel_has_used_is_refused(void **state)
{
	(void)state;
	write_pad("pad", PAD_SIZE_MIN);
	struct ledger l = {.sequence = 1, .pad_size = PAD_SIZE_MIN, .role = PAD_OTP_SERVER, .sent = 1, .received = 0};
	assert_err(otptunnel_id(l.pad_id, content), OK);
	record_use(&l); /* opened by it, and nothing came or went */
	pad_file_close(open_natively());
	l.received = 2;
	record_use(&l);
	expect_refusal(ERR_STATE, "otptunnel has used", "--from 2`");
	l.sent = 4001;
	record_use(&l);
	expect_refusal(ERR_STATE, "otptunnel has used", "--from 4001`");
	l.received = l.pad_size;
	record_use(&l);
	expect_refusal(ERR_STATE, "otptunnel has used", "--from 1048576`");
	/* What a damaged ledger says is not known: it may be all. */
	l.sent = 2;
	record_use(&l);
	expect_refusal(ERR_FORMAT, "damaged", "replace the pad");
	const struct pad_file_config elsewhere = {.path = "pad", .folder = "others"};
	struct pad_file *f = NULL;
	assert_err(pad_file_open(&f, &elsewhere, NULL), OK);
	pad_file_close(f);
}

/* ---- the key files of otptunnel ---- */

static enum err open_key(struct pad_file **ret, bool allows_weak, struct fault *fault)
{
	const struct pad_file_config config = {
		.path = "key", .folder = "pads", .is_otptunnel = true, .allows_weak = allows_weak};
	return pad_file_open(ret, &config, fault);
}

static void expect_key_refused(enum err code, const char *what, const char *remedy)
{
	struct pad_file *f = NULL;
	struct fault fault;
	assert_err(open_key(&f, false, &fault), code);
	assert_null(f);
	assert_fault(&fault, code, what, remedy);
}

static void test_a_key_file_needs_little(void **state)
{
	(void)state;
	struct pad_file *f = NULL;
	struct fault fault;
	uint8_t id[PAD_ID_LEN], out[64];
	uint64_t size;
	write_pad("key", OTPTUNNEL_HEAD_LEN);
	assert_err(open_key(&f, false, &fault), OK);
	assert_int_equal(pad_file_size(f), OTPTUNNEL_HEAD_LEN);
	assert_err(otptunnel_id(id, content), OK);
	assert_memory_equal(pad_file_ledger_id(f), id, sizeof id);
	assert_false(pad_file_is_exposed(f));
	const struct pad_medium medium = pad_file_medium(f);
	assert_err(medium.read(medium.context, 1, out, 63), OK);
	assert_memory_equal(out, content + 1, 63);
	expect_key_refused(ERR_STATE, "in use already", "use another pad");
	pad_file_close(f);
	assert_err(pad_file_otptunnel_id("key", id, &size, &fault), OK);
	assert_int_equal(size, OTPTUNNEL_HEAD_LEN);

	/* As the older program took it; but who runs it is told. */
	assert_int_equal(chmod("key", 0644), 0);
	assert_err(open_key(&f, false, &fault), OK);
	assert_true(pad_file_is_exposed(f));
	pad_file_close(f);

	write_pad("key", OTPTUNNEL_HEAD_LEN - 1);
	expect_key_refused(ERR_FORMAT, "63 bytes, and 64 are the least", "use a longer file");
	assert_err(pad_file_otptunnel_id("key", id, &size, &fault), ERR_FORMAT);
	uint8_t zeros[100] = {0};
	place_write("key", zeros, sizeof zeros);
	expect_key_refused(ERR_FORMAT, "constant", "--allow-weak-pad");
	assert_err(open_key(&f, true, &fault), OK);
	pad_file_close(f);
}

/* Both ends read on, each in its own time, sometimes far behind the other. */
static void test_both_halves_of_a_key_file_are_read(void **state)
{
	(void)state;
	static uint8_t out[MIB];
	struct seeded seed = {14};
	struct pad_file *f = NULL;
	struct fault fault;
	write_pad("key", SIZE);
	assert_err(open_key(&f, false, &fault), OK);
	const struct pad_medium medium = pad_file_medium(f);
	uint64_t at[2] = {0, 1};
	while (at[0] < SIZE - MIB || at[1] < SIZE - MIB) {
		uint64_t *next = &at[seeded_below(&seed, 2)];
		const size_t len = 20000 + seeded_below(&seed, 200000);
		if (*next + len > SIZE)
			continue;
		assert_err(medium.read(medium.context, *next, out, len), OK);
		assert_memory_equal(out, content + *next, len);
		*next += len & ~(size_t)1;
	}
	pad_file_close(f);
}

static void test_what_was_used_natively_is_refused_to_otptunnel(void **state)
{
	(void)state;
	struct pad_file *f = NULL;
	struct fault fault;
	write_pad("key", PAD_SIZE_MIN);
	struct ledger l = {.sequence = 1, .pad_size = PAD_SIZE_MIN, .role = PAD_RESPONDER};
	memcpy(l.pad_id, content, PAD_ID_LEN);
	record_use(&l); /* opened, and nothing was used */
	assert_err(open_key(&f, false, &fault), OK);
	pad_file_close(f);
	struct ledger used[] = {l, l, l};
	used[0].sent = used[1].received = used[2].hello = 1;
	for (size_t i = 0; i < 3; i++) {
		record_use(&used[i]);
		expect_key_refused(ERR_STATE, "a tunnel of jorm's own has used the pad key", "use a fresh file");
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_otptunnel_has_used_is_refused),
		TEST(test_a_key_file_needs_little),
		TEST(test_both_halves_of_a_key_file_are_read),
		TEST(test_what_was_used_natively_is_refused_to_otptunnel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
