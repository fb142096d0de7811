#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *err_text(enum err code)
{
	switch (code) {
#define X(name, text) \
	case name: \
		return text;
		ERR_LIST(X)
#undef X
	}
	return "unknown error";
}

enum err fault_set(struct fault *fault, enum err code, const char *format, ...)
{
	if (fault) {
		va_list args;
		va_start(args, format);
		fault->code = code;
		(void)vsnprintf(fault->text, sizeof fault->text, format, args);
		va_end(args);
	}
	return code;
}

static enum err err_of_errno(int number)
{
	switch (number) {
	case EPERM:
	case EACCES:
		return ERR_PERMISSION;
	case ENOMEM:
		return ERR_NOMEM;
	case EEXIST:
		return ERR_EXISTS;
	case ENOENT:
	case ENODEV:
		return ERR_NOT_FOUND;
	default:
		return ERR_IO;
	}
}

enum err fault_errno(struct fault *fault, const char *format, ...)
{
	int number = errno;
	enum err code = err_of_errno(number);

	if (fault) {
		va_list args;
		va_start(args, format);
		fault->code = code;
		int used = vsnprintf(fault->text, sizeof fault->text, format, args);
		va_end(args);
		if (used >= 0 && (size_t)used < sizeof fault->text)
			(void)snprintf(fault->text + used, sizeof fault->text - (size_t)used, ": %s", strerror(number));
	}
	return code;
}
