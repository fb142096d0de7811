#include "cli/cli.h"

#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int cli_version(const struct command *self, int argc, char **argv);
static int cli_help_command(const struct command *self, int argc, char **argv);

static const struct command commands[] = {
	{"keygen", cli_keygen, "[DIR] [--type ml-dsa-65|ml-dsa-87]",
		"make this host's pair of keys and print its key ID",
		"Writes DIR/snek-cert.priv (mode 0600: keep it here and secret) and DIR/snek-cert.pub;\n"
		"DIR is the current folder when not given. Existing keys are never overwritten.\n"
		"\n"
		"  -t, --type TYPE   ml-dsa-65 (the default) or ml-dsa-87 (larger, for the very cautious)\n"},
	{"keyid", cli_keyid, "FILE", "print the key ID of a public or private key file",
		"The key ID is what the other end writes after KeyID =.\n"},
	{"check", cli_check, "FILE|NAME [--json]", "say what is wrong with a configuration",
		"Names every mistake, one a line, as FILE:LINE: KEY: what is wrong and what would be right.\n"
		"Reads the key files, too. NAME means /etc/jorm/NAME.conf.\n"
		"\n"
		"  -j, --json        one JSON document on standard output instead\n"},
	{"up", cli_up, "FILE|NAME [--foreground] [--log-level LEVEL] [--log-json]", "set a tunnel up",
		"Returns when the tunnel is set up and goes on in the background; its messages then go to\n"
		"NAME.log in the StateDirectory. NAME means /etc/jorm/NAME.conf.\n"
		"\n"
		"  -f, --foreground        stay; messages go to standard error (for systemd, and to look)\n"
		"  -l, --log-level LEVEL   error, warning, info (the default) or debug\n"
		"  -j, --log-json          each message is one line of JSON\n"},
	{"down", cli_down, "NAME|FILE|INTERFACE", "take a tunnel down",
		"Returns when nothing of it is left. Lifts the kill switch, too, also that of a daemon that has "
		"died.\n"},
	{"reload", cli_reload, "NAME|FILE|INTERFACE", "make a running tunnel read its configuration again",
		"Sessions go on as far as the new configuration allows them. Where it is wrong, nothing changes.\n"},
	{"status", cli_status, "[NAME|FILE|INTERFACE] [--json] [--watch [--interval SECONDS]]",
		"show tunnels and their peers",
		"Without an argument, all tunnels that have their socket in /run/jorm.\n"
		"\n"
		"  -j, --json               JSON: one document for a named tunnel, else an array of them\n"
		"  -w, --watch              again and again, until it is interrupted; with --json a line each time\n"
		"  -i, --interval SECONDS   how long to wait in between, 1 to 3600; 2 when not given\n"},
	{"events", cli_events, "NAME|FILE|INTERFACE [--json]", "show what happens to a tunnel, as it happens",
		"Peers that come, go, move or are refused, until the tunnel goes down or this is interrupted.\n"
		"\n"
		"  -j, --json        each event is one line of JSON\n"},
	{"peer", cli_peer, "add|remove|list TUNNEL [...]", "change or list the peers of a running tunnel",
		"  jorm peer add TUNNEL NAME KEY-ID|FILE.pub [options]\n"
		"  jorm peer remove TUNNEL NAME\n"
		"  jorm peer list TUNNEL [--json]\n"
		"\n"
		"What is added is kept, also over restarts, until it is removed. Peers of the configuration file or "
		"of\n"
		"the AuthorizedKeys folder are removed there.\n"
		"\n"
		"  -a, --allowed-ips LIST     as AllowedIPs: prefixes, with commas between them\n"
		"  -e, --endpoint HOST:PORT   as Endpoint\n"
		"  -k, --keepalive SECONDS    as Keepalive\n"
		"  -j, --json                 JSON in place of a table\n"},
	{"leases", cli_leases, "NAME|FILE|INTERFACE [--json | --free ADDRESS]",
		"show the addresses that a tunnel hands out, or take one back",
		"Each stays its peer's, also while that is away, until it is freed.\n"
		"\n"
		"  -f, --free ADDRESS   take this address back; ends the session of whoever has it\n"
		"  -j, --json           JSON in place of a table\n"},
	{"pad", cli_pad, "new|info|check|split|advance FILE [...]", "make one-time pads, and look after them",
		"  jorm pad new FILE --size SIZE [--source FILE|DEVICE]... [--force]   make one\n"
		"  jorm pad info FILE [--state DIR] [--json]                           what is left of it\n"
		"  jorm pad check FILE [--state DIR] [--force] [--json]                could it be random?\n"
		"  jorm pad split FILE OUT OUT... [--sizes SIZE,...] [--state DIR]     cut one into several\n"
		"  jorm pad advance FILE [--state DIR] [--by SIZE]                     after a backup was restored\n"
		"\n"
		"A pad is a file of random bytes that both ends of one link have, and nobody else: Pad in\n"
		"jorm.conf(5). jorm pad VERB --help says more.\n"},
	{"snek-vpn", cli_snek_vpn,
		"-g DIR | -l -x DIR | -c HOST -x FILE [-kp PORT] [-dp PORT] [--address LIST] [--name NAME] "
		"[--any-source]",
		"stand in for snek-vpn.py, at either end",
		"Takes that program's command line, key files and defaults and speaks its protocol. The same is run "
		"by\n"
		"calling this program snek-vpn.\n"
		"\n"
		"  -g, --gencert DIR     write DIR/snek-cert.pub and DIR/snek-cert.priv, never over existing ones\n"
		"  -l, --listen          serve one client at a time\n"
		"  -c, --connect HOST    connect to the server at this name or IPv4 address\n"
		"  -x, --cert PATH       server: the folder of its clients' public keys; client: its private key file\n"
		"  -kp, --keyport PORT   TCP port of the client for the key exchange; 443 when not given\n"
		"  -dp, --dataport PORT  TCP port of the server for the probe, UDP port of the client; 10666\n"
		"\n"
		"Not in that program:\n"
		"\n"
		"  -a, --address LIST    give the interface these addresses (10.8.0.1/24) and set it up\n"
		"  -n, --name NAME       of the interface; snk0, snk1, ... when not given\n"
		"      --any-source      client: the server may answer from another address than HOST's\n"},
	{"otptunnel", cli_otptunnel, "-K FILE [-S] [-A ADDRESS] [-P PORT] [OPTION]...",
		"stand in for OTPTunnel, at either end",
		"Takes that program's command line and key file and speaks its protocol. The same is run by calling\n"
		"this program otptunnel. How far the key file has been used is recorded: a restart goes on behind.\n"
		"\n"
		"  -S, --server            server: uses the bytes at odd offsets; without it: client, the even ones\n"
		"  -K FILE                 the key file; both ends have the same\n"
		"  -A ADDRESS              the peer's name or IPv4 address; a server can wait for its peer without it\n"
		"  -P PORT                 the peer's UDP port; 12000 when not given\n"
		"      --tap-addr ADDRESS  of the TAP interface; 10.8.0.1\n"
		"      --tap-netmask BITS  length of its network's prefix; 24\n"
		"      --tap-mtu BYTES     the interface's MTU, if below 1500 (1436: no fragments on a link of 1500)\n"
		"      --local-addr ADDRESS, --local-port PORT\n"
		"                          where to listen; 0.0.0.0 and 12000\n"
		"\n"
		"Not in that program:\n"
		"\n"
		"  -d, --state DIR         where ledgers are kept; /var/lib/jorm\n"
		"      --start-at OFFSET   send with no byte below this offset: an older program has used those\n"
		"      --peer-restarts     believe a peer that begins again at the file's beginning; allows replays\n"
		"      --restart-at-zero   begin again at the file's beginning, as that program does: breaks the pad\n"
		"      --allow-weak-pad    take a key file that looks constant\n"
		"      --tap-name NAME     of the interface; tap0, tap1, ... when not given\n"},
	{"version", cli_version, "", "print the version", ""},
	{"help", cli_help_command, "[COMMAND]", "print this, or the help of a command", ""},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void overview(FILE *out)
{
	fprintf(out, "usage: jorm COMMAND [ARGUMENTS]\n\njorm joins machines by post-quantum tunnels.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\njorm COMMAND --help says more; so do jorm(1) and jorm.conf(5).\n"
		     "Exit codes: 0 done, 1 failed, 2 the command line is wrong.\n");
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "jorm: there is no command '%s'\n\n", name);
	overview(stderr);
	return CLI_USAGE;
}

static int cli_version(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (optind < argc)
		return cli_usage(self, "it takes no arguments");
	puts("jorm " JORM_VERSION);
	return CLI_OK;
}

static int cli_help_command(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (argc - optind > 1)
		return cli_usage(self, "name one command");
	if (optind == argc) {
		overview(stdout);
		return CLI_OK;
	}
	const struct command *c = command_find(argv[optind]);
	return c ? cli_help(c) : unknown_command(argv[optind]);
}

/* The older programs' names, with which their scripts call this one. */
static const struct command *command_called(const char *path)
{
	static const char *const names[] = {"snek-vpn", "otptunnel"};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);
		if (strncmp(name, names[i], len) == 0 && (name[len] == '\0' || strcmp(name + len, ".py") == 0))
			return command_find(names[i]);
	}
	return NULL;
}

/* Output that did not get out (a full disk) is a failure, too. */
static int flushed(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "jorm: cannot write the output\n");
	return code == CLI_OK ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
	const struct command *older = argc > 0 ? command_called(argv[0]) : NULL;
	if (older)
		return flushed(older->run(older, argc, argv));
	if (argc < 2) {
		overview(stderr);
		return CLI_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct command *c = command_find(name);
	if (!c)
		return unknown_command(name);
	char called[32]; /* getopt begins its messages with this */
	snprintf(called, sizeof(called), "jorm %s", c->name);
	argv[1] = called;
	return flushed(c->run(c, argc - 1, argv + 1));
}
