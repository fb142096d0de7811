/*
 * libcurl, loaded when the first request is made: a daemon never has it in its memory, and a private libcrypto in this
 * program never meets the one that libcurl may bring along (docs/decisions/0016). Private to src/control.
 */
#pragma once

#include "base/err.h"

#include <curl/curl.h>

/* The functions that are used, as curl/curl.h declares them. */
struct libcurl {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_easy_setopt) easy_setopt;
	__typeof__(&curl_easy_perform) easy_perform;
	__typeof__(&curl_easy_getinfo) easy_getinfo;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
};

/*
 * The same table each time; it stays for the life of the process. Not thread safe. ERR_UNSUPPORTED: it is not
 * installed, or lacks something; ERR_NOMEM.
 */
enum err libcurl_get(const struct libcurl **ret, struct fault *fault);
