/*
 * snek's key exchange with a peer that says what the input says and then no more: the first byte chooses the role. Its
 * own randomness is the system's, but what a peer can do without the answer does not depend on it.
 */
#include "fuzz.h"

#include "base/secret.h"
#include "compat/snek_exchange.h"

#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536 /* fits into the socket */

static const struct identity *identity(void)
{
	static struct identity *id;
	const uint8_t seed[SIG_SEED_LEN] = {1};
	MUST(id || identity_generate(&id, SIG_ML_DSA_65, seed) == OK);
	return id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const uint8_t choice = reader_u8(&r);
	const struct view script = fuzz_take(&r, INPUT_MAX);
	uint8_t data_key[AEAD_KEY_LEN];
	char name[NAME_MAX + 1];
	struct fault fault = {0};
	int fds[2];
	memset(data_key, 7, sizeof data_key);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	MUST(send(fds[1], script.data, script.len, 0) == (ssize_t)script.len && shutdown(fds[1], SHUT_WR) == 0);
	const enum err e =
		choice % 2 ? snek_exchange_client(fds[0], identity(), -1, USEC_NEVER, data_key, &fault)
			   : snek_exchange_server(fds[0], "/nonexistent", -1, USEC_NEVER, data_key, name, &fault);
	/* A client believes any ciphertext; a server nobody who has not seen its own. */
	MUST(e == ERR_IO || e == ERR_FORMAT || (e == ERR_AUTH && choice % 2 == 0) || (e == OK && choice % 2));
	MUST(e == OK || (fault.text[0] && secret_is_zero(data_key, sizeof data_key)));
	close(fds[0]);
	close(fds[1]);
	return 0;
}
