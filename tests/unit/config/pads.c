/* What a configuration says of one-time pads. */
#include "config/authorized.h"
#include "config/parse.h"
#include "config/peer.h"
#include "pad/layout.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID_1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define TOP "[interface]\nAddress = 10.0.0.1/24\n" /* 2 lines */
#define PEER "[peer a]\nAllowedIPs = 10.0.0.2\n"   /* 2 lines */

static struct config *parsed(const char *text)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", text, strlen(text), &diags), OK);
	assert_int_equal(diags.count, 0);
	config_diagnostics_done(&diags);
	return config;
}

static void takes_every_key(void **state)
{
	struct config *c = parsed(TOP "Burn = yes\nMaxZeroRun = 255\nAllowWeakPad = yes\nPads = pads.d\n"
				      "Pool = 10.0.0.0/24\nPadding = random\n" PEER
				      "Protection = otp\nPad = a.pad\nPadOffset = 281474976710656\n");
	const struct config_peer *p = &c->peers[0];
	assert_true(c->burn && c->allow_weak_pad);
	assert_int_equal(c->max_zero_run, 255);
	assert_string_equal(c->pads, "/x/pads.d");
	assert_int_equal(c->pads_line, 6);
	assert_int_equal(c->padding, CONFIG_PADDING_RANDOM);
	assert_int_equal(c->protection, CONFIG_PROTECTION_PQ);
	assert_int_equal(p->protection, CONFIG_PROTECTION_OTP);
	assert_string_equal(p->pad, "/x/a.pad");
	assert_true(p->pad_offset == (uint64_t)1 << 48);
	assert_int_equal(p->protection_line, 11);
	assert_int_equal(p->pad_line, 12);
	assert_int_equal(p->pad_offset_line, 13);
	config_free(c);
}

static void nothing_is_on_by_default(void **state)
{
	struct config *c = parsed(TOP "PrivateKey = k\n" PEER "KeyID = " ID_1 "\n");
	assert_false(c->burn || c->allow_weak_pad);
	assert_int_equal(c->max_zero_run, 0);
	assert_null(c->pads);
	assert_int_equal(c->peers[0].protection, CONFIG_PROTECTION_PQ);
	assert_null(c->peers[0].pad);
	assert_true(c->peers[0].pad_offset == 0);
	config_free(c);
}

/* What [interface] says holds for those that say nothing, wherever it stands. */
static void a_section_precedes_the_interface(void **state)
{
	struct config *c = parsed("[peer a]\nAllowedIPs = ::1\nPad = a\n"
				  "[peer b]\nAllowedIPs = ::2\nProtection = pq\nKeyID = " ID_1 "\n"
				  "[interface]\nAddress = fd66::1/64\nPrivateKey = k\nProtection = otp\n");
	assert_int_equal(c->peers[0].protection, CONFIG_PROTECTION_OTP);
	assert_int_equal(c->peers[1].protection, CONFIG_PROTECTION_PQ);
	config_free(c);
	/* with pads alone nobody needs a key; a pad in key exchanges is fine, too */
	config_free(parsed(TOP "Pads = d\nPool = 10.0.0.0/24\n"));
	config_free(parsed(TOP "PrivateKey = k\n" PEER "KeyID = " ID_1 "\nPad = a\nPresharedKey = p\n"));
	config_free(parsed(TOP "PrivateKey = k\n" PEER "KeyID = " ID_1 "\nPad = a\nProtection = pq+otp\n"));
}

#define WANTS_MAX 3
static const struct mistake {
	const char *text;
	struct {
		unsigned line;
		const char *key, *part; /* of the message; after a ~ it is a warning */
	} wants[WANTS_MAX];
} mistakes[] = {
	{TOP PEER "KeyID = " ID_1 "\nProtection = pq\n", {{1, "PrivateKey", "missing"}}},
	{TOP PEER "KeyID = " ID_1 "\nProtection = pq+otp\nPad = p\n", {{1, "PrivateKey", "missing"}}},
	{TOP "Pads = d\nPool = 10.0.0.0/24\nAuthorizedKeys = k\n", {{1, "PrivateKey", "missing"}}},
	{TOP "Pads = d\n", {{3, "Pads", "~no Pool"}}},
	{TOP "PrivateKey = k\nProtection = otp\nAuthorizedKeys = k\nPool = 10.0.0.0/24\n",
		{{5, "AuthorizedKeys", "no pad"}}},
	{TOP PEER "Protection = otp\n", {{5, "Pad", "needs the file of a pad"}}},
	{TOP PEER "Protection = otp\nPad = \n", {{6, "Pad", "no value"}}},
	{TOP "PrivateKey = k\n" PEER "KeyID = " ID_1 "\nProtection = pq+otp\n", {{7, "Pad", "pq+otp needs"}}},
	{TOP "Protection = otp\n" PEER, {{4, "Pad", "otp needs"}}},
	{TOP PEER "Protection = otp\nPad = p\nKeyID = " ID_1 "\n", {{7, "KeyID", "no key"}}},
	{TOP PEER "Protection = otp\nPad = p\nPublicKey = /nonexistent\n",
		{{7, "PublicKey", "/nonexistent"}, {7, "PublicKey", "no key"}}},
	{TOP PEER "Protection = otp\nPad = p\nPresharedKey = q\n", {{7, "PresharedKey", "pq+otp"}}},
	{TOP "PrivateKey = k\n" PEER "KeyID = " ID_1 "\nPadOffset = 5\n", {{7, "PadOffset", "no Pad"}}},
	{TOP PEER "Protection = otp\nPad = p\nPadOffset = -1\n", {{7, "PadOffset", "0 to 281474976710656"}}},
	{TOP PEER "Protection = otp\nPad = p\nPadOffset = 281474976710657\n", {{7, "PadOffset", "whole number"}}},
	{TOP PEER "Protection = otp\nPad = p\nPadOffset = 1G\n", {{7, "PadOffset", "whole number"}}},
	{TOP "MaxZeroRun = 256\nBurn = 1\n" PEER "Protection = otp\nPad = " ID_1 "\n",
		{{3, "MaxZeroRun", "1 to 255, nor off"}, {4, "Burn", "yes or no"}, {8, "Pad", "key"}}},
	{TOP "MaxZeroRun = 0\nAllowWeakPad = maybe\n" PEER "Protection = otp\nPad = p\n",
		{{3, "MaxZeroRun", "1 to 255"}, {4, "AllowWeakPad", "yes or no"}}},
};

static void names_every_mistake(void **state)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct config *config;
		struct config_diagnostics diags = {0};
		enum err e = config_parse(&config, "/x/t.conf", m->text, strlen(m->text), &diags);
		size_t wanted = 0;
		while (wanted < WANTS_MAX && m->wants[wanted].key)
			wanted++;
		for (size_t j = 0; j < diags.count && j < wanted; j++) {
			const struct config_diagnostic *d = &diags.items[j];
			bool warning = m->wants[j].part[0] == '~';
			if (d->line != m->wants[j].line || !strstr(d->text, m->wants[j].part + warning))
				print_message("in: %s\nsaid %u: %s\n", m->text, d->line, d->text);
			assert_int_equal(d->line, m->wants[j].line);
			assert_string_equal(d->key, m->wants[j].key);
			assert_non_null(strstr(d->text, m->wants[j].part + warning));
			assert_int_equal(d->warning, warning);
		}
		if (diags.count != wanted)
			print_message("in: %s\n", m->text);
		assert_int_equal(diags.count, wanted);
		assert_int_equal(e, diags.errors ? ERR_FORMAT : OK);
		config_free(config);
		config_diagnostics_done(&diags);
	}
}

/* A peer that is added at run time, or by a key in a folder, has no pad. */
static void others_have_none(void **state)
{
	static const uint8_t id[KEY_ID_LEN] = {1};
	struct config_peer peer;
	assert_int_equal(config_peer_from(&peer, "a", id, NULL, NULL, 0, NULL), OK);
	assert_int_equal(peer.protection, CONFIG_PROTECTION_PQ);
	assert_null(peer.pad);
	config_peer_done(&peer);
}

/* ---- files ---- */

static char folder[] = "/tmp/jorm-config-pads-XXXXXX", before[PATH_MAX];

static int folder_make(void **state)
{
	memset(folder + strlen(folder) - 6, 'X', 6);
	return getcwd(before, sizeof(before)) && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int one_remove(const char *path, const struct stat *st, int type, struct FTW *place)
{
	return remove(path);
}

static int folder_remove(void **state)
{
	return chdir(before) == 0 && nftw(folder, one_remove, 8, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -1;
}

/* A file of that size whose identity is `first`, and all else a hole. */
static void pad_write(const char *name, uint8_t first, off_t size, mode_t mode)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	fputc(first, f);
	fclose(f);
	assert_int_equal(truncate(name, size), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static enum err loaded(struct config **ret, const char *text, struct config_diagnostics *diags)
{
	FILE *f = fopen("t.conf", "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	uint8_t own[KEY_ID_LEN] = {1};
	enum err e = config_load_with_keys(ret, "t.conf", diags, own);
	assert_true(e || own[0] == 0); /* there is no key */
	return e;
}

/* Loads that text; the one error, or after a ~ the warning, is said of that line and key. */
static void expect(const char *text, unsigned line, const char *key, const char *part)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(loaded(&config, text, &diags), part[0] == '~' ? OK : ERR_FORMAT);
	assert_int_equal(diags.count, 1);
	part += part[0] == '~';
	if (!strstr(diags.items[0].text, part))
		print_message("said: %s\n", diags.items[0].text);
	assert_int_equal(diags.items[0].line, line);
	assert_string_equal(diags.items[0].key, key);
	assert_non_null(strstr(diags.items[0].text, part));
	config_diagnostics_done(&diags);
	config_free(config);
}

#define OTP(name) "[peer " name "]\nEndpoint = h:1\nProtection = otp\nPad = " name ".pad\n" /* 4 lines */

static void a_pad_stands_for_a_key(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	uint8_t wanted[KEY_ID_LEN], id[PAD_ID_LEN] = {7};
	pad_write("a.pad", 7, PAD_SIZE_MIN, 0600);
	pad_write("b.pad", 8, PAD_SIZE_MIN, 0400);
	assert_int_equal(loaded(&config, TOP OTP("a") OTP("b"), &diags), OK);
	assert_int_equal(diags.count, 0);
	assert_int_equal(pad_key_id_compute(wanted, id), OK);
	assert_memory_equal(config->peers[0].key_id, wanted, KEY_ID_LEN);
	assert_memory_not_equal(config->peers[1].key_id, wanted, KEY_ID_LEN);
	config_free(config);
}

static void names_wrong_pads(void **state)
{
	expect(TOP OTP("none"), 6, "Pad", "jorm pad new");
	pad_write("a.pad", 7, PAD_SIZE_MIN - 1, 0600);
	expect(TOP OTP("a"), 6, "Pad", "too short");
	static const mode_t modes[] = {0640, 0620, 0604, 0602};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		pad_write("a.pad", 7, PAD_SIZE_MIN, modes[i]);
		expect(TOP OTP("a"), 6, "Pad", "chmod 600");
	}
	assert_int_equal(mkdir("d.pad", 0700), 0);
	expect(TOP OTP("d"), 6, "Pad", "give the path of a pad");
	assert_int_equal(mkfifo("f.pad", 0600), 0);
	expect(TOP OTP("f"), 6, "Pad", "give the path of a pad");
}

/* Under one name or two. */
static void a_pad_is_for_one_peer(void **state)
{
	pad_write("a.pad", 7, PAD_SIZE_MIN, 0600);
	pad_write("b.pad", 7, PAD_SIZE_MIN, 0600);
	expect(TOP OTP("b") OTP("a"), 10, "Pad", "is the pad of peer b in line 6");
	expect(TOP OTP("a") "[peer b]\nEndpoint = h:1\nProtection = otp\nPad = a.pad\n", 10, "Pad", "its own");
}

#define FOLDER TOP "Pool = 10.0.0.0/24\nPads = pads\n"

static void looks_at_the_folder(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	struct authorized pads;
	expect(FOLDER, 4, "Pads", "mkdir");
	assert_int_equal(mkdir("pads", 0755), 0);
	pad_write("pads/b.pad", 8, PAD_SIZE_MIN, 0600);
	pad_write("pads/a.pad", 7, PAD_SIZE_MIN, 0600);
	pad_write("pads/.c.pad", 9, PAD_SIZE_MIN, 0600);
	pad_write("pads/d.pub", 9, PAD_SIZE_MIN, 0600);
	assert_int_equal(loaded(&config, FOLDER, &diags), OK);
	assert_int_equal(diags.count, 0);
	config_free(config);
	assert_int_equal(authorized_read_pads(&pads, "pads", &diags), OK);
	assert_int_equal(pads.count, 2);
	assert_string_equal(pads.items[0].name, "a");
	assert_string_equal(pads.items[1].name, "b");
	uint8_t wanted[KEY_ID_LEN], id[PAD_ID_LEN] = {7};
	assert_int_equal(pad_key_id_compute(wanted, id), OK);
	assert_memory_equal(pads.items[0].key_id, wanted, KEY_ID_LEN);
	authorized_done(&pads);
	/* what is wrong in it does not hold up the others */
	pad_write("pads/c.pad", 8, PAD_SIZE_MIN, 0600);
	expect(FOLDER, 4, "Pads", "~c.pad is left out: b.pad is the same pad");
	pad_write("pads/c.pad", 9, PAD_SIZE_MIN, 0604);
	expect(FOLDER, 4, "Pads", "~a pad is left out");
	assert_int_equal(unlink("pads/c.pad"), 0);
	pad_write("pads/c d.pad", 9, PAD_SIZE_MIN, 0600);
	expect(FOLDER, 4, "Pads", "~before .pad becomes the peer's");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_key),
		cmocka_unit_test(nothing_is_on_by_default),
		cmocka_unit_test(a_section_precedes_the_interface),
		cmocka_unit_test(names_every_mistake),
		cmocka_unit_test(others_have_none),
		IN_FOLDER(a_pad_stands_for_a_key),
		IN_FOLDER(names_wrong_pads),
		IN_FOLDER(a_pad_is_for_one_peer),
		IN_FOLDER(looks_at_the_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
