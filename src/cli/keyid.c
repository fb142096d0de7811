#include "cli/cli.h"

#include "crypto/keyfile.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A key file's length tells which kind it is. */
enum err cli_key_id_of_file(uint8_t out[static KEY_ID_LEN], const char *path, struct fault *fault)
{
	struct stat st;
	enum sig_alg alg;
	struct sig_public key;
	if (stat(path, &st) == 0 && sig_alg_of_private_len(&alg, (size_t)st.st_size) == OK) {
		struct identity *id;
		enum err e = keyfile_read_private(&id, path, fault);
		if (e)
			return e;
		memcpy(out, identity_key_id(id), KEY_ID_LEN);
		identity_free(id);
		return OK;
	}
	enum err e = keyfile_read_public(&key, path, fault);
	if (e)
		return e;
	e = key_id_compute(out, &key);
	return e ? fault_set(fault, e, "%s: %s", path, err_text(e)) : OK;
}

int cli_keyid(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	uint8_t id[KEY_ID_LEN];
	char text[KEY_ID_TEXT_LEN];
	struct fault fault = {0};
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (argc - optind != 1)
		return cli_usage(self, "name one key file");
	if (cli_key_id_of_file(id, argv[optind], &fault))
		return cli_fault(self, &fault);
	printf("%s\n", key_id_format(id, text));
	return CLI_OK;
}
