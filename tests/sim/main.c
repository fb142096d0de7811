/*
 * sim [--many] [--seed N] [--count N] [--verbose]
 *
 * Runs seeds N, N + 1, ... (the count is JORM_SIM_SEEDS where the option is not given). Prints the seeds
 * that fail, with the command that runs one alone; exit code 1 then. Every 50th seed runs twice, and must
 * leave the same trace. --many: not of a few hosts with an attacker between them, but of a server and many clients
 * (sim/many); their first seed runs twice.
 */
#include "engine/grace.h"
#include "sim/many.h"
#include "sim/scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_DEFAULT 2000
#define COUNT_MANY_DEFAULT 8
#define FAILURES_MAX 10
#define TWICE_EVERY 50

struct options {
	uint64_t seed, count;
	bool is_verbose, is_many;
};

static struct identity *identities[CLIENTS + 1]; /* of a few hosts, or of many */

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;
	if (!text || *text < '0' || *text > '9')
		return false;
	*ret = strtoull(text, &end, 10);
	return *end == '\0';
}

static bool parse_options(struct options *o, int argc, char **argv)
{
	bool has_seed = false, has_count = false;
	*o = (struct options){.seed = 1};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0)
			o->is_verbose = true;
		else if (strcmp(argv[i], "--many") == 0)
			o->is_many = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc && parse_number(argv[++i], &o->seed))
			has_seed = true;
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc && parse_number(argv[++i], &o->count))
			has_count = true;
		else
			return false;
	}
	const char *seeds = o->is_many ? NULL : getenv("JORM_SIM_SEEDS");
	if (has_count)
		return true;
	o->count = has_seed ? 1 : o->is_many ? COUNT_MANY_DEFAULT : COUNT_DEFAULT;
	return has_seed || !seeds || !*seeds || parse_number(seeds, &o->count);
}

static void report(uint64_t seed, const struct options *o, const struct result *r)
{
	printf("seed %" PRIu64 ": %s\n    again: sim %s--seed %" PRIu64 " --verbose\n", seed, r->failure,
		o->is_many ? "--many " : "", seed);
	(void)fflush(stdout);
}

static struct result run_once(uint64_t seed, const struct options *o, bool is_verbose)
{
	return o->is_many ? many_run(seed, is_verbose, identities) : scenario_run(seed, is_verbose, identities);
}

static struct result run_seed(uint64_t seed, const struct options *o)
{
	struct result r = run_once(seed, o, o->is_verbose);
	if (o->is_verbose)
		printf("seed %" PRIu64 ": trace %016" PRIx64 ", %" PRIu64 " steps\n", seed, r.trace, r.steps);
	if (r.has_failed || seed % TWICE_EVERY != (o->is_many ? 1 : 0))
		return r;
	struct result again = run_once(seed, o, false);
	if (again.trace != r.trace || again.steps != r.steps) {
		r.has_failed = true;
		(void)snprintf(r.failure, sizeof r.failure, "two runs of the same seed differ");
	}
	return r;
}

int main(int argc, char **argv)
{
	struct options o;
	if (!parse_options(&o, argc, argv)) {
		(void)fputs("usage: sim [--many] [--seed N] [--count N] [--verbose]\n", stderr);
		return 2;
	}
	grace_register_thread();
	if (!(o.is_many ? many_identities(identities) : scenario_identities(identities)))
		return 2;
	uint64_t failed = 0, ran = 0;
	struct result sum = {0};
	for (; ran < o.count && failed < FAILURES_MAX; ran++) {
		struct result r = run_seed(o.seed + ran, &o);
		if (r.has_failed) {
			report(o.seed + ran, &o, &r);
			failed++;
		}
		sum.sent += r.sent;
		sum.delivered += r.delivered;
		sum.datagrams += r.datagrams;
		sum.handshakes += r.handshakes;
		sum.rekeys += r.rekeys;
		sum.pad_datagrams += r.pad_datagrams;
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " of %" PRIu64 " packets delivered in %" PRIu64
	       " datagrams (%" PRIu64 " by a pad), %" PRIu64 " handshakes, %" PRIu64 " rekeys\n",
		ran, failed, sum.delivered, sum.sent, sum.datagrams, sum.pad_datagrams, sum.handshakes / 2,
		sum.rekeys / 2);
	for (uint32_t i = 0; i <= CLIENTS; i++)
		identity_free(identities[i]);
	grace_unregister_thread();
	return failed ? 1 : 0;
}
