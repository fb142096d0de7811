#include "control/libcurl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static bool symbol_find(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);
	memcpy(ret_function, &symbol, sizeof(symbol)); /* ISO C has no conversion of it to a function */
	return symbol;
}

static bool symbols_find(struct libcurl *c, void *library)
{
	const struct {
		const char *name;
		void *function;
	} wanted[] = {
		{"curl_global_init", &c->global_init},
		{"curl_easy_init", &c->easy_init},
		{"curl_easy_cleanup", &c->easy_cleanup},
		{"curl_easy_setopt", &c->easy_setopt},
		{"curl_easy_perform", &c->easy_perform},
		{"curl_easy_getinfo", &c->easy_getinfo},
		{"curl_easy_strerror", &c->easy_strerror},
		{"curl_slist_append", &c->slist_append},
		{"curl_slist_free_all", &c->slist_free_all},
	};
	bool found = true;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		found = symbol_find(library, wanted[i].name, wanted[i].function) && found;
	return found;
}

enum err libcurl_get(const struct libcurl **ret, struct fault *fault)
{
	/* GnuTLS's first: libmicrohttpd has brought GnuTLS along already */
	static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};
	static struct libcurl table;
	static bool loaded;
	for (size_t i = 0; !loaded && i < sizeof(names) / sizeof(names[0]); i++) {
		void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
		loaded = library && symbols_find(&table, library) && table.global_init(CURL_GLOBAL_ALL) == CURLE_OK;
		if (library && !loaded)
			dlclose(library);
	}
	if (!loaded)
		return fault_set(fault, ERR_UNSUPPORTED,
			"libcurl, by which the daemon is asked, is not installed: on Debian the package is "
			"libcurl3-gnutls, or libcurl3t64-gnutls");
	*ret = &table;
	return OK;
}
