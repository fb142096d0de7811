/*
 * For the tests of the sandbox: folders, and children that enter it. What a child finds, it tells by its exit code or
 * through a pipe that was open before.
 */
#pragma once

/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "daemon/sandbox.h"

#include <stdbool.h>

#define NOBODY 65534
#define PATH_LEN 256

extern const struct sandbox_user inside_nobody, inside_root;

/* Set-up and clean-up of each test: a folder of its own in /tmp with "read", "write" and "other" in it, and a file "in"
 * in each. */
int inside_set_up(void **state);
int inside_clean_up(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, inside_set_up, inside_clean_up)

const char *inside_path(char out[static PATH_LEN], const char *name); /* of something in that folder; returns out */
int inside_open(const char *name, int flags);                         /* of a path, or of something in that folder */
void inside_make_file(const char *name);

/* Skips the test, with a message. */
void inside_need_root(void);
void inside_need_filter(void);
bool inside_has_landlock(void);

/* As root: "write" becomes the user's. */
void inside_give(const struct sandbox_user *user);
/* sandbox_enter with "read" and "write"; says on standard error why it fails if `fault` is NULL. */
enum err inside_enter(const struct sandbox_user *user, char *ret_text, struct fault *fault);

/* Runs fn in a child and returns its exit code; -1 - N: ended by signal N. */
int inside_child(int (*fn)(void *context), void *context);

/* In a child, whose exit code it is. */
#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			(void)fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));     \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

/* A system call that is to fail. */
struct probe {
	const char *name;
	int expected; /* the errno */
	long number;
	long arguments[6];
};
#define POINTER(pointer) ((long)(uintptr_t)(pointer))
#define PROBE(call, expected, ...)                                                                                     \
	{                                                                                                              \
#call "(" #__VA_ARGS__ ")", expected, SYS_##call,                                                      \
		{                                                                                                      \
			__VA_ARGS__                                                                                    \
		}                                                                                                      \
	}

/* All in one child, after `enter` (0, or it failed); names all that go otherwise. */
void inside_probe_by(int (*enter)(void *context), void *context, const struct probe *probes, size_t n);
/* The same in the sandbox, as that user. */
void inside_probe(const struct sandbox_user *user, const struct probe *probes, size_t n);
