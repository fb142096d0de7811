/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "crypto/algorithms.h"

#include <openssl/proverr.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A configuration that would leave libcrypto without any algorithm. */
static const char poison[] = "openssl_conf = init\n[init]\nproviders = list\n[list]\nnull = on\n[on]\nactivate = 1\n";

static void configuration_files_are_not_read(void **state)
{
	(void)state;
	char path[] = "/tmp/jorm-openssl-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, poison, sizeof poison - 1), sizeof poison - 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(setenv("OPENSSL_CONF", path, 1), 0);

	const struct algorithms *all = algorithms_get();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	assert_int_equal(unlink(path), 0);
	assert_non_null(all);
	assert_non_null(ctx);
	EVP_PKEY_CTX_free(ctx);
	assert_ptr_equal(algorithms_get(), all);
}

static void import_errors_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(algorithms_import_error(), ERR_FORMAT); /* no reason given */
	ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_KEY);
	assert_int_equal(algorithms_import_error(), ERR_FORMAT);
	ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
	ERR_raise(ERR_LIB_EVP, EVP_R_KEY_SETUP_FAILED);
	assert_int_equal(algorithms_import_error(), ERR_CRYPTO);
	assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_files_are_not_read), /* before anything initialises libcrypto */
		cmocka_unit_test(import_errors_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
