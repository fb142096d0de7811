#include "cli/cli.h"

#include "base/rng.h"
#include "base/secret.h"
#include "crypto/keyfile.h"

#include <getopt.h>
#include <stdio.h>
#include <strings.h>

static enum err pair_make(const char *dir, enum sig_alg alg, struct fault *fault)
{
	struct identity *id = NULL;
	struct rng rng = rng_system();
	uint8_t seed[SIG_SEED_LEN];
	char text[KEY_ID_TEXT_LEN];
	rng_fill(&rng, seed, sizeof(seed));
	enum err e = identity_generate(&id, alg, seed);
	secret_wipe(seed, sizeof(seed));
	if (e)
		return fault_set(fault, e, "cannot make a key: %s", err_text(e));
	e = keyfile_write_pair(id, dir, fault);
	if (e == OK) {
		fprintf(stderr,
			"%s keys are in %s: snek-cert.priv is this host's secret; give the others this key ID:\n",
			sig_alg_name(alg), dir);
		printf("%s\n", key_id_format(identity_key_id(id), text));
	}
	identity_free(id);
	return e;
}

int cli_keygen(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{"type", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
	enum sig_alg alg = SIG_ML_DSA_65;
	struct fault fault = {0};
	for (int o; (o = getopt_long(argc, argv, "t:h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		if (o != 't')
			return cli_usage(self, NULL);
		if (strcasecmp(optarg, "ml-dsa-65") == 0)
			alg = SIG_ML_DSA_65;
		else if (strcasecmp(optarg, "ml-dsa-87") == 0)
			alg = SIG_ML_DSA_87;
		else
			return cli_usage(self, "there is no type '%s': write ml-dsa-65 or ml-dsa-87", optarg);
	}
	if (argc - optind > 1)
		return cli_usage(self, "name one folder");
	return pair_make(optind < argc ? argv[optind] : ".", alg, &fault) ? cli_fault(self, &fault) : CLI_OK;
}
