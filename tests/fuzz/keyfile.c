/* Key files: the input is the file; the first byte chooses what it is read as. */
#include "fuzz.h"

#include "crypto/keyfile.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[64];
	if (len == 0)
		return 0;
	int fd = memfd_create("key", MFD_CLOEXEC);
	MUST(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, data + 1, len - 1) == (ssize_t)(len - 1));
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	struct fault fault = {0};
	struct identity *id = NULL;
	struct sig_public key;
	uint8_t psk[32], key_id[KEY_ID_LEN];
	enum err err;
	switch (data[0] % 3) {
	case 0:
		err = keyfile_read_private(&id, path, &fault);
		if (err == OK)
			identity_free(id);
		break;
	case 1:
		err = keyfile_read_public(&key, path, &fault);
		if (err == OK)
			MUST(key_id_compute(key_id, &key) == OK);
		break;
	default:
		err = keyfile_read_psk(psk, path, &fault);
	}
	MUST(err == OK || fault.text[0]); /* a person is told why */
	close(fd);
	return 0;
}
