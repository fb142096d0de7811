/* OTPTunnel's command line, and its name (docs/migrating.md). */
#include "cli/cli.h"

#include "cli/numbers.h"

#include "compat/otptunnel.h"
#include "daemon/confine.h"
#include "daemon/sandbox.h"

#include <getopt.h>
#include <string.h>

enum {
	OPTION_TAP_ADDR = 256,
	OPTION_TAP_NETMASK,
	OPTION_TAP_MTU,
	OPTION_TAP_NAME,
	OPTION_LOCAL_ADDR,
	OPTION_LOCAL_PORT,
	OPTION_RESTART,
	OPTION_START,
	OPTION_PEER_RESTARTS,
	OPTION_WEAK
};

static const struct option options[] = {{"server", no_argument, NULL, 'S'},
	{"tap-addr", required_argument, NULL, OPTION_TAP_ADDR},
	{"tap-netmask", required_argument, NULL, OPTION_TAP_NETMASK},
	{"tap-mtu", required_argument, NULL, OPTION_TAP_MTU}, {"tap-name", required_argument, NULL, OPTION_TAP_NAME},
	{"local-addr", required_argument, NULL, OPTION_LOCAL_ADDR},
	{"local-port", required_argument, NULL, OPTION_LOCAL_PORT}, {"state", required_argument, NULL, 'd'},
	{"restart-at-zero", no_argument, NULL, OPTION_RESTART}, {"start-at", required_argument, NULL, OPTION_START},
	{"peer-restarts", no_argument, NULL, OPTION_PEER_RESTARTS}, {"allow-weak-pad", no_argument, NULL, OPTION_WEAK},
	{"help", no_argument, NULL, 'h'}, {0}};

/* An address alone, of IPv4: as the older program takes. */
static bool address_read(struct prefix *ret, const char *text)
{
	struct prefix p;
	if (strchr(text, '/') || prefix_parse(&p, text) != OK || !p.v4)
		return false;
	memcpy(ret->ip, p.ip, sizeof ret->ip);
	ret->v4 = true;
	return true;
}

/* What an option with a value is; NULL: done, else what is wrong with it. */
static const char *value_take(struct otptunnel_options *o, int option, const char *text)
{
	struct prefix address;
	uint64_t number;
	switch (option) {
	case OPTION_TAP_ADDR:
		return address_read(&o->tap_address, text) ? NULL : "--tap-addr takes an IPv4 address";
	case OPTION_TAP_NETMASK:
		if (!number_read(&number, text, 0, 32))
			return "--tap-netmask takes the length of the network's prefix, 0 to 32";
		o->tap_address.bits = (uint8_t)number;
		return NULL;
	case OPTION_TAP_MTU: /* the older program's read buffer, whose size says nothing where frames fit into it */
		if (!number_read(&number, text, OTPTUNNEL_MTU_MIN, UINT32_MAX))
			return "--tap-mtu takes a number of bytes, 68 at least";
		o->tap_mtu = number < OTPTUNNEL_MTU ? (uint32_t)number : OTPTUNNEL_MTU;
		return NULL;
	case OPTION_LOCAL_ADDR:
		if (!address_read(&address, text))
			return "--local-addr takes an IPv4 address";
		memcpy(o->local.ip, address.ip, sizeof o->local.ip);
		return NULL;
	case OPTION_LOCAL_PORT:
		return port_read(&o->local.port, text) ? NULL : "--local-port takes a port, 1 to 65535";
	case 'P':
		return port_read(&o->peer_port, text) ? NULL : "-P takes a port, 1 to 65535";
	case OPTION_START:
		o->has_start_at = number_read(&o->start_at, text, 0, (uint64_t)1 << 48);
		return o->has_start_at ? NULL : "--start-at takes an offset in the key file, a number of bytes";
	default:
		return "";
	}
}

/* False: it takes none of these. */
static bool word_take(struct otptunnel_options *o, int option, const char *text)
{
	if (option == 'S')
		o->is_server = true;
	else if (option == 'K')
		o->key_file = text;
	else if (option == 'A')
		o->peer = text;
	else if (option == 'd')
		o->state = text;
	else if (option == OPTION_TAP_NAME)
		o->tap_name = text;
	else if (option == OPTION_RESTART)
		o->restarts_at_zero = true;
	else if (option == OPTION_PEER_RESTARTS)
		o->peer_restarts = true;
	else if (option == OPTION_WEAK)
		o->allows_weak = true;
	else
		return false;
	return true;
}

static const char *contradiction(const struct otptunnel_options *o)
{
	if (!o->key_file)
		return "name the key file with -K";
	if (!o->peer && !o->is_server)
		return "name the server's address with -A (a server, -S, can wait for its peer)";
	if (o->has_start_at && o->restarts_at_zero)
		return "--start-at and --restart-at-zero contradict each other";
	return NULL;
}

/* All that it uses is open by then: key file, ledger, socket, interface. */
static enum err confine(struct fault *fault)
{
	const struct confine_config nothing = {0};
	return confine_enter(&nothing, fault);
}

int cli_otptunnel(const struct command *self, int argc, char **argv)
{
	struct otptunnel_options o = {.peer_port = OTPTUNNEL_PORT,
		.state = OTPTUNNEL_STATE,
		.tap_mtu = OTPTUNNEL_MTU,
		.local = {.ip = {[10] = 0xff, [11] = 0xff}, .port = OTPTUNNEL_PORT},
		.confine = confine};
	struct fault fault = {0};
	(void)address_read(&o.tap_address, "10.8.0.1");
	o.tap_address.bits = 24;
	for (int c; (c = getopt_long(argc, argv, "SK:A:P:d:h", options, NULL)) != -1;) {
		if (c == 'h')
			return cli_help(self);
		if (word_take(&o, c, optarg))
			continue;
		const char *wrong = c == '?' ? "" : value_take(&o, c, optarg);
		if (wrong)
			return cli_usage(self, wrong[0] ? "%s" : NULL, wrong);
	}
	if (optind < argc)
		return cli_usage(self, "it takes no arguments besides options: '%s'", argv[optind]);
	const char *wrong = contradiction(&o);
	if (wrong)
		return cli_usage(self, "%s", wrong);
	sandbox_protect_memory(); /* before any secret is read */
	return otptunnel_run(&o, &fault) ? cli_fault(self, &fault) : CLI_OK;
}
