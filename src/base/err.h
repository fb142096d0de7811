/*
 * Errors: one list for the whole program.
 *
 * A function that can fail returns `enum err`. Functions whose failure a person has to read about
 * (opening a device, parsing a file) also fill a `struct fault` with a sentence that names the
 * thing and the remedy. Libraries (everything but daemon, cli and compat) never print.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define ERR_LIST(X) \
	X(OK, "no error") \
	X(ERR_NOMEM, "out of memory") \
	X(ERR_ARGUMENT, "an argument is outside what the function takes") \
	X(ERR_FORMAT, "the bytes do not have the required form") \
	X(ERR_AUTH, "authentication failed") \
	X(ERR_REPLAY, "seen before, or too old to tell") \
	X(ERR_CRYPTO, "the crypto library refused the operation") \
	X(ERR_NOT_FOUND, "not found") \
	X(ERR_EXISTS, "exists already") \
	X(ERR_FULL, "a fixed limit is reached") \
	X(ERR_AGAIN, "nothing to do now, try again") \
	X(ERR_STATE, "not possible in the present state") \
	X(ERR_PERMISSION, "permission denied") \
	X(ERR_UNSUPPORTED, "the kernel or the machine lacks the feature") \
	X(ERR_TOO_BIG, "larger than allowed") \
	X(ERR_IO, "a system call failed")

enum [[nodiscard]] err {
#define X(name, text) name,
	ERR_LIST(X)
#undef X
};

/* The list's sentence for a code; never NULL. */
const char *err_text(enum err code);

/* An error with a sentence for a person. `text` never holds a secret. */
struct fault {
	enum err code;
	char text[400];
};

/* Fills *fault (which may be NULL) and returns `code`, so that `return fault_set(...)` reads well. */
[[gnu::format(printf, 3, 4)]] enum err fault_set(struct fault *fault, enum err code, const char *format, ...);

/* As fault_set, with ": " and the text of errno appended. Maps EPERM/EACCES to ERR_PERMISSION,
 * ENOMEM to ERR_NOMEM, EEXIST to ERR_EXISTS, ENOENT/ENODEV to ERR_NOT_FOUND, anything else to ERR_IO. */
[[gnu::format(printf, 2, 3)]] enum err fault_errno(struct fault *fault, const char *format, ...);
