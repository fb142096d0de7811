/* The older program's command line, and its names (docs/migrating.md). */
#include "cli/cli.h"

#include "cli/numbers.h"

#include "compat/snek.h"
#include "daemon/confine.h"
#include "daemon/sandbox.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Long options only: what is written with one dash there (-kp) is found as such (getopt_long_only). */
enum { OPTION_KEY_PORT = 256, OPTION_DATA_PORT, OPTION_ANY_SOURCE };

struct line {
	struct snek_options options;
	const char *generate;
};

/* False: said. */
static bool addresses_read(const struct command *self, struct snek_options *o, char *list)
{
	for (char *rest, *word = strtok_r(list, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
		if (o->n_addresses == SNEK_ADDRESSES_MAX) {
			cli_usage(self, "--address: at most %d addresses", SNEK_ADDRESSES_MAX);
			return false;
		}
		if (prefix_parse(&o->addresses[o->n_addresses], word) != OK) {
			cli_usage(self, "--address takes addresses with their network's length, as 10.8.0.1/24");
			return false;
		}
		o->n_addresses++;
	}
	return true;
}

/* CLI_OK, or the exit code. */
static int line_read(const struct command *self, int argc, char **argv, struct line *line)
{
	static const struct option options[] = {{"connect", required_argument, NULL, 'c'},
		{"listen", no_argument, NULL, 'l'}, {"kp", required_argument, NULL, OPTION_KEY_PORT},
		{"keyport", required_argument, NULL, OPTION_KEY_PORT},
		{"dp", required_argument, NULL, OPTION_DATA_PORT},
		{"dataport", required_argument, NULL, OPTION_DATA_PORT}, {"cert", required_argument, NULL, 'x'},
		{"gencert", required_argument, NULL, 'g'}, {"address", required_argument, NULL, 'a'},
		{"name", required_argument, NULL, 'n'}, {"any-source", no_argument, NULL, OPTION_ANY_SOURCE},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct snek_options *o = &line->options;
	for (int c; (c = getopt_long_only(argc, argv, "c:lx:g:a:n:h", options, NULL)) != -1;) {
		if (c == 'h')
			return cli_help(self), -1;
		else if (c == 'c')
			o->connect = optarg;
		else if (c == 'x')
			o->cert = optarg;
		else if (c == 'g')
			line->generate = optarg;
		else if (c == 'n')
			o->name = optarg;
		else if (c == OPTION_ANY_SOURCE)
			o->any_source = true;
		else if (c == OPTION_KEY_PORT || c == OPTION_DATA_PORT) {
			if (!port_read(c == OPTION_KEY_PORT ? &o->key_port : &o->data_port, optarg))
				return cli_usage(self, "-kp and -dp take ports, 1 to 65535");
		} else if (c == 'a') {
			if (!addresses_read(self, o, optarg))
				return CLI_USAGE;
		} else if (c != 'l') /* which is what it does without -c */
			return cli_usage(self, NULL);
	}
	return optind < argc ? cli_usage(self, "it takes no arguments besides options: '%s'", argv[optind]) : CLI_OK;
}

static int generate(const struct command *self, const char *dir)
{
	struct fault fault = {0};
	if (snek_generate(dir, &fault) != OK)
		return cli_fault(self, &fault);
	/* Where and how the older program said it; but it is no failure, which its exit code told. */
	fprintf(stderr, "Certificates written\n");
	return CLI_OK;
}

/* A server reads keys anew for each client and connects back; a client connects to probe. Each session has a socket. */
static enum err confine(const struct snek_options *o, struct fault *fault)
{
	struct in_addr number;
	const struct confine_config server = {.key_folder = o->cert, .tcp_port = o->key_port};
	const struct confine_config client = {.tcp_port = o->data_port,
		.udp_port = o->data_port,
		.looks_up = o->connect && inet_pton(AF_INET, o->connect, &number) != 1};
	return confine_enter(o->connect ? &client : &server, fault);
}

int cli_snek_vpn(const struct command *self, int argc, char **argv)
{
	struct line line = {.options = {.key_port = SNEK_KEY_PORT, .data_port = SNEK_DATA_PORT, .confine = confine}};
	struct fault fault = {0};
	int code = line_read(self, argc, argv, &line);
	if (code != CLI_OK)
		return code < 0 ? CLI_OK : code;
	if (line.generate)
		return generate(self, line.generate);
	if (!line.options.cert)
		return cli_usage(self,
			line.options.connect
				? "Must specify a certificate for client mode! (-x FILE: this host's private key)"
				: "Must specify directory containing approved public keys for server mode! (-x DIR)");
	sandbox_protect_memory(); /* before any secret is read */
	/* Scripts wait for lines. After the first output newer C libraries do not change the buffering any more. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	printf("-----\n|      Jormungandr Quantum Safe VPN by Mephistopheles      |\n-----\n");
	return snek_run(&line.options, &fault) ? cli_fault(self, &fault) : CLI_OK;
}
