/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"

#include <errno.h>
#include <string.h>

static void each_code_has_its_own_text(void **state)
{
	(void)state;
	const enum err codes[] = {
#define X(name, text) name,
		ERR_LIST(X)
#undef X
	};
	const size_t n = sizeof codes / sizeof *codes;
	assert_int_equal(OK, 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(err_text(codes[i])) > 5);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(err_text(codes[i]), err_text(codes[j]));
	}
	assert_string_equal(err_text((enum err)1000), "unknown error");
}

static void faults_are_filled(void **state)
{
	(void)state;
	struct fault fault;
	assert_int_equal(fault_set(&fault, ERR_FORMAT, "%s is %d", "this", 7), ERR_FORMAT);
	assert_int_equal(fault.code, ERR_FORMAT);
	assert_string_equal(fault.text, "this is 7");
	assert_int_equal(fault_set(NULL, ERR_AUTH, "nobody asks"), ERR_AUTH);
}

static void errno_is_told(void **state)
{
	(void)state;
	const struct {
		int number;
		enum err code;
	} cases[] = {{EPERM, ERR_PERMISSION}, {EACCES, ERR_PERMISSION}, {ENOMEM, ERR_NOMEM}, {EEXIST, ERR_EXISTS},
		{ENOENT, ERR_NOT_FOUND}, {ENODEV, ERR_NOT_FOUND}, {EIO, ERR_IO}, {ENOSPC, ERR_IO}, {0, ERR_IO}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fault fault;
		char expected[200] = "cannot open x: ";
		errno = cases[i].number;
		assert_int_equal(fault_errno(&fault, "cannot open %s", "x"), cases[i].code);
		assert_int_equal(fault.code, cases[i].code);
		strncat(expected, strerror(cases[i].number), sizeof expected - strlen(expected) - 1);
		assert_string_equal(fault.text, expected);
		errno = cases[i].number;
		assert_int_equal(fault_errno(NULL, "nobody asks"), cases[i].code);
	}
}

/* Around the size of the text: cut, ended, and never written past. */
static void long_texts_are_cut(void **state)
{
	(void)state;
	char longest[500];
	struct {
		struct fault fault;
		char guard[8];
	} box;
	memset(longest, 'x', sizeof longest);
	for (size_t len = sizeof box.fault.text - 30; len < sizeof longest; len++) {
		memset(box.guard, 7, sizeof box.guard);
		const size_t kept = len < sizeof box.fault.text ? len : sizeof box.fault.text - 1;
		assert_int_equal(fault_set(&box.fault, ERR_IO, "%.*s", (int)len, longest), ERR_IO);
		assert_int_equal(strlen(box.fault.text), kept);
		errno = ENOENT;
		assert_int_equal(fault_errno(&box.fault, "%.*s", (int)len, longest), ERR_NOT_FOUND);
		assert_true(strlen(box.fault.text) >= kept);
		assert_true(strlen(box.fault.text) < sizeof box.fault.text);
		assert_memory_equal(box.fault.text, longest, kept);
		assert_memory_equal(box.guard, "\7\7\7\7\7\7\7\7", sizeof box.guard);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_its_own_text),
		cmocka_unit_test(faults_are_filled),
		cmocka_unit_test(errno_is_told),
		cmocka_unit_test(long_texts_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
