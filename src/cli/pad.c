/* jorm pad new, info, check, split, advance: commands of their own below one name. */
#include "cli/pad.h"

#include "cli/sizes.h"

#include "pad/otptunnel.h"

#include <stdio.h>
#include <string.h>

static const struct command verbs[] = {
	{"pad new", cli_pad_new, "FILE --size SIZE [--source FILE|DEVICE]... [--force]",
		"make a pad, a file of random bytes for both ends of one link",
		"SIZE is " SIZE_SYNTAX ";\n"
		"1M at least. FILE is never overwritten; until it is whole it is FILE.part, and the same command\n"
		"again goes on where one was stopped.\n"
		"\n"
		"Without a source the bytes come from the system's generator. That is a CSPRNG: such a pad is as\n"
		"strong as the generator, and not information-theoretic. With sources, they alone are used: all of\n"
		"them XORed, so that the pad is as random as the best of them, if they know nothing of each other.\n"
		"Each has to give SIZE bytes.\n"
		"\n"
		"  -s, --size SIZE              how large\n"
		"  -S, --source FILE|DEVICE     take the bytes from there: a file, a disk, /dev/hwrng, a pipe\n"
		"  -f, --force                  begin anew where FILE.part is of another size or other sources\n"},
	{"pad info", cli_pad_info, "FILE [--state DIR] [--json]", "show what of a pad has been used, and what is left",
		"Also while a tunnel uses it, and of the key file of an otptunnel.\n"
		"\n"
		"  -d, --state DIR   the tunnel's StateDirectory, when it is not " PAD_STATE_FOLDER "\n"
		"  -j, --json        one JSON document in place of text\n"},
	{"pad check", cli_pad_check, "FILE [--state DIR] [--force] [--json]", "look for what cannot be random in a pad",
		"Reads all of it: zeros, repeats, bias. That nothing is found proves nothing: no test can show that\n"
		"bytes are random, or that nobody else has them. Exit code 1: the pad is weak.\n"
		"\n"
		"  -d, --state DIR   the tunnel's StateDirectory, when it is not " PAD_STATE_FOLDER "\n"
		"  -f, --force       exit code 0 for a weak pad, too; says more than \"not usable\" of a constant one\n"
		"  -j, --json        one JSON document in place of text\n"},
	{"pad split", cli_pad_split, "FILE OUT... [--sizes SIZE,SIZE...] [--from OFFSET] [--state DIR] [--force]",
		"cut a file of random bytes into pads for several peers",
		"In parts of one size, or of those that are given, 1M at least each. FILE is read only; destroy it\n"
		"afterwards. Both ends of a link need the same part.\n"
		"\n"
		"  -s, --sizes SIZE,...   one for each part: " SIZE_SYNTAX "\n"
		"  -o, --from OFFSET      leave out what stands before it: what otptunnel has used (pad info says how\n"
		"                         far, at each end: the larger one counts at both)\n"
		"  -d, --state DIR        the tunnels' StateDirectory, when it is not " PAD_STATE_FOLDER "\n"
		"  -f, --force            even if FILE has been used as a pad\n"},
	{"pad advance", cli_pad_advance, "FILE [--state DIR] [--by SIZE]",
		"skip what of a pad may have been used, after this host was restored from a backup",
		"A restored state does not know what was used since the backup. The other end has seen it; this\n"
		"goes on behind that, and some more for what got lost on the way. Stop the tunnel before.\n"
		"\n"
		"  -d, --state DIR   the tunnel's StateDirectory, when it is not " PAD_STATE_FOLDER "\n"
		"  -b, --by SIZE     how much more, also when nothing is known to be missing; by default 1G, or a\n"
		"                    quarter of what is left if that is less\n"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

enum err pad_ledger_below(
	char out[static PATH_MAX], const char *state, const uint8_t id[static PAD_ID_LEN], struct fault *fault)
{
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof(folder), "%s/pads", state);
	if (n < 0 || (size_t)n >= sizeof(folder) || pad_ledger_path(out, folder, id))
		return fault_set(fault, ERR_TOO_BIG, "the path of the state folder is too long");
	return OK;
}

enum err pad_otptunnel_ledger(struct ledger *ret, const char *path, const char *state, struct fault *fault)
{
	uint8_t id[PAD_ID_LEN];
	uint64_t size;
	char ledger[PATH_MAX];
	if (pad_file_otptunnel_id(path, id, &size, fault))
		return ERR_NOT_FOUND;
	enum err e = pad_ledger_below(ledger, state, id, fault);
	if (e == OK)
		e = pad_ledger_read(ret, ledger, fault);
	if (e)
		return e;
	if (ret->pad_size != size)
		return fault_set(fault, ERR_FORMAT,
			"%s has %llu bytes, but otptunnel's ledger %.200s is of a file of %llu (restore the whole "
			"file)",
			path, (unsigned long long)size, ledger, (unsigned long long)ret->pad_size);
	return otptunnel_ledger_is_used(ret) ? OK : ERR_NOT_FOUND;
}

const char *pad_id_format(char out[static PAD_ID_TEXT_LEN], const uint8_t id[static PAD_ID_LEN])
{
	for (size_t i = 0; i < PAD_ID_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
	return out;
}

int cli_pad(const struct command *self, int argc, char **argv)
{
	char called[32]; /* getopt begins its messages with this */
	if (argc < 2)
		return cli_usage(self, "say new, info, check, split or advance");
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (strcmp(argv[1], verbs[i].name + strlen("pad ")) != 0)
			continue;
		snprintf(called, sizeof(called), "jorm %s", verbs[i].name);
		argv[1] = called;
		return verbs[i].run(&verbs[i], argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return cli_help(self);
	return cli_usage(self, "there is no '%s': say new, info, check, split or advance", argv[1]);
}
