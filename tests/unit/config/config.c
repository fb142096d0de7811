/* Files on a disk: the configuration itself and the keys that it names. */
#include "config/config.h"

#include "config/parse.h"
#include "crypto/keyfile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/jorm-config-XXXXXX";
static char own_id[KEY_ID_TEXT_LEN];

static void file_write(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* A folder with the keys of two hosts, a and b; the tests run in it. */
static int set_up(void **state)
{
	static const char *const names[] = {"a", "b"};
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	for (uint8_t i = 0; i < 2; i++) {
		struct identity *id;
		uint8_t seed[SIG_SEED_LEN] = {i};
		assert_int_equal(identity_generate(&id, SIG_ML_DSA_65, seed), OK);
		assert_int_equal(keyfile_write_pair(id, names[i], NULL), OK);
		if (i == 0)
			key_id_format(identity_key_id(id), own_id);
		identity_free(id);
	}
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"a/snek-cert.priv", "a/snek-cert.pub", "b/snek-cert.priv",
		"b/snek-cert.pub", "a", "b", "t.conf", "psk", "fifo", "keys/a.pub", "keys/b.pub", "keys/c.pub", "keys"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(names[i]);
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

/* Loads t.conf with that text; the one error is said of that line and key. */
static void expect_error(const char *text, unsigned line, const char *key, const char *part)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	file_write("t.conf", text, 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, NULL), ERR_FORMAT);
	assert_null(config);
	assert_int_equal(diags.count, 1);
	if (!strstr(diags.items[0].text, part))
		print_message("said: %s\n", diags.items[0].text);
	assert_int_equal(diags.items[0].line, line);
	assert_string_equal(diags.items[0].key, key);
	assert_non_null(strstr(diags.items[0].text, part));
	config_diagnostics_done(&diags);
}

#define TOP "[interface]\nPrivateKey = a/snek-cert.priv\nAddress = ::2/64\n"
#define PEER "[peer b]\nPublicKey = b/snek-cert.pub\nAllowedIPs = ::1\n"

static void reads_key_files(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	uint8_t own[KEY_ID_LEN];
	char text[KEY_ID_TEXT_LEN];
	struct sig_public key;
	file_write("t.conf", TOP PEER "PresharedKey = psk\n", 0644);
	file_write("psk", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n", 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, own), OK);
	assert_int_equal(diags.count, 0);
	assert_string_equal(key_id_format(own, text), own_id);
	assert_int_equal(keyfile_read_public(&key, "b/snek-cert.pub", NULL), OK);
	assert_int_equal(key_id_compute(own, &key), OK);
	assert_memory_equal(own, config->peers[0].key_id, KEY_ID_LEN);
	config_free(config);
}

static void names_wrong_key_files(void **state)
{
	char text[512];
	expect_error("[interface]\nPrivateKey = nowhere\nAddress = ::2/64\n" PEER, 2, "PrivateKey", "nowhere");
	file_write("psk", "too short", 0600);
	expect_error("[interface]\nPrivateKey = psk\nAddress = ::2/64\n" PEER, 2, "PrivateKey", "4032");
	snprintf(text, sizeof(text), "%s[peer b]\nAllowedIPs = ::1\nKeyID = %s\n", TOP, own_id);
	expect_error(text, 6, "KeyID", "this host's own");
	expect_error(TOP "[peer a]\nPublicKey = a/snek-cert.pub\nAllowedIPs = ::1\n", 5, "KeyID", "this host's own");
	expect_error(
		TOP PEER "KeyID = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n", 5, "PublicKey", "another key ID");
	expect_error(TOP PEER "PresharedKey = nowhere\n", 7, "PresharedKey", "nowhere");
	file_write("psk", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\n", 0640);
	expect_error(TOP PEER "PresharedKey = psk\n", 7, "PresharedKey", "chmod");
	assert_int_equal(chmod("a/snek-cert.priv", 0644), 0);
	expect_error(TOP PEER, 2, "PrivateKey", "chmod 600");
	assert_int_equal(chmod("a/snek-cert.priv", 0600), 0);
}

static void names_missing_accounts(void **state)
{
	expect_error(TOP "ControlGroup = no-such-group\n" PEER, 4, "ControlGroup", "groupadd --system no-such-group");
	expect_error(TOP "User = no-such-user\n" PEER, 4, "User", "useradd --system no-such-user");
	struct config *config;
	struct config_diagnostics diags = {0};
	file_write("t.conf", TOP "ControlGroup = root\nUser = root\n" PEER, 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, NULL), OK);
	assert_string_equal(config->user, "root");
	assert_int_equal(diags.count, 0);
	config_free(config);
}

#define KEYS TOP "Pool = ::/64\nAuthorizedKeys = keys\n"

static void looks_at_authorized_keys(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	expect_error(KEYS, 5, "AuthorizedKeys", "mkdir");
	file_write("keys", "", 0600);
	expect_error(KEYS, 5, "AuthorizedKeys", "give the folder");
	assert_int_equal(unlink("keys"), 0);
	assert_int_equal(mkdir("keys", 0755), 0);
	assert_int_equal(symlink("../b/snek-cert.pub", "keys/b.pub"), 0);
	file_write("t.conf", KEYS, 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, NULL), OK);
	assert_int_equal(diags.count, 0);
	config_free(config);

	/* what is wrong in the folder does not hold up the tunnel */
	assert_int_equal(symlink("../a/snek-cert.pub", "keys/a.pub"), 0);
	file_write("keys/c.pub", "?", 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, NULL), OK);
	assert_int_equal(diags.errors, 0);
	assert_int_equal(diags.count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(diags.items[i].line, 5);
	assert_non_null(strstr(diags.items[0].text, "keys/c.pub"));
	assert_non_null(strstr(diags.items[1].text, "keys/a.pub is this host's own key"));
	config_diagnostics_done(&diags);
	config_free(config);
}

static struct config *parsed(const char *text)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", text, strlen(text), &diags), OK);
	config_diagnostics_done(&diags);
	return config;
}

static void tells_what_needs_a_restart(void **state)
{
	static const struct {
		const char *lines, *keys;
	} rows[] = {
		{"", ""},
		{"Padding = none\nMTU = 1400\nPool = ::/64\nRekey = 60\nKillSwitch = yes\nDNS = ::1\n", ""},
		{"Name = x\n", "Name"},
		{"Layer = 2\n", "Layer"},
		{"Listen = 7\n", "Listen"},
		{"Listen = 0.0.0.0:0\n", "Listen"},
		{"User = root\n", "User"},
		{"ControlGroup = root\nStateDirectory = /s\nControlSocket = /c\nName = x\nListen = 1\nUser = u\n"
		 "FwMark = 1\nTable = 7\n",
			"Name, Listen, StateDirectory, ControlSocket, ControlGroup, User, FwMark, Table"},
	};
	struct config *plain = parsed(TOP);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512], keys[CONFIG_RESTART_KEYS_LEN];
		snprintf(text, sizeof(text), "%s%s", TOP, rows[i].lines);
		struct config *other = parsed(text);
		assert_int_equal(config_needs_restart(plain, other, keys, sizeof(keys)), rows[i].keys[0] != '\0');
		assert_string_equal(keys, rows[i].keys);
		assert_int_equal(config_needs_restart(other, plain, keys, sizeof(keys)), rows[i].keys[0] != '\0');
		/* as much as fits */
		config_needs_restart(plain, other, keys, 8);
		assert_int_equal(strncmp(keys, rows[i].keys, 7), 0);
		assert_true(strlen(keys) < 8);
		config_free(other);
	}
	config_free(plain);
}

/* The text's mistakes do not hide the files'. */
static void gathers_both(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	file_write("t.conf",
		"[interface]\nPrivateKey = nowhere\nMTU = 1\nAddress = ::2/64\n" PEER "PresharedKey = nowhere\n", 0600);
	assert_int_equal(config_load_with_keys(&config, "t.conf", &diags, NULL), ERR_FORMAT);
	assert_int_equal(diags.errors, 3);
	assert_int_equal(diags.items[0].line, 2);
	assert_int_equal(diags.items[1].line, 3);
	assert_int_equal(diags.items[2].line, 8);
	config_diagnostics_done(&diags);
}

static void expect_unreadable(const char *path, enum err wanted, const char *part)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_load(&config, path, &diags), wanted);
	assert_null(config);
	assert_int_equal(diags.errors, 1);
	assert_non_null(strstr(diags.items[0].text, part));
	assert_int_equal(diags.items[0].line, 0);
	config_diagnostics_done(&diags);
}

static void says_why_a_file_cannot_be_read(void **state)
{
	expect_unreadable("nowhere.conf", ERR_NOT_FOUND, "no such file");
	expect_unreadable(".", ERR_FORMAT, "regular file");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	expect_unreadable("fifo", ERR_FORMAT, "regular file");
	file_write("t.conf", "", 0600);
	assert_int_equal(truncate("t.conf", CONFIG_FILE_MAX + 1), 0);
	expect_unreadable("t.conf", ERR_TOO_BIG, "right file");
}

static void warns_of_a_file_that_all_may_change(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	file_write("t.conf", TOP PEER, 0666);
	assert_int_equal(config_load(&config, "t.conf", &diags), OK);
	assert_int_equal(diags.count, 1);
	assert_true(diags.items[0].warning);
	config_free(config);
	config_diagnostics_done(&diags);
}

static void finds_paths(void **state)
{
	char out[PATH_MAX], *large = calloc(1, PATH_MAX);
	assert_int_equal(config_path_of(out, "office"), OK);
	assert_string_equal(out, "/etc/jorm/office.conf");
	assert_int_equal(config_path_of(out, "./office"), OK);
	assert_string_equal(out, "./office");
	assert_int_equal(config_path_of(out, "office.conf"), OK);
	assert_string_equal(out, "office.conf");
	assert_int_equal(config_path_of(out, ""), ERR_FORMAT);
	assert_int_equal(config_socket_of(out, "office"), OK);
	assert_string_equal(out, "/run/jorm/office.sock");
	assert_non_null(large);
	memset(large, 'x', PATH_MAX - 1);
	assert_int_equal(config_path_of(out, large), ERR_TOO_BIG);
	assert_int_equal(config_socket_of(out, large), ERR_TOO_BIG);
	free(large);
}

static void formats_diagnostics(void **state)
{
	char out[CONFIG_DIAGNOSTIC_TEXT_LEN];
	struct config_diagnostic d = {.line = 3, .key = "MTU", .text = "is wrong"};
	assert_string_equal(config_diagnostic_format(&d, "f.conf", out), "f.conf:3: MTU: is wrong");
	d = (struct config_diagnostic){.warning = true, .text = "is odd"};
	assert_string_equal(config_diagnostic_format(&d, "f.conf", out), "f.conf: warning: is odd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_key_files),
		cmocka_unit_test(names_wrong_key_files),
		cmocka_unit_test(names_missing_accounts),
		cmocka_unit_test(looks_at_authorized_keys),
		cmocka_unit_test(tells_what_needs_a_restart),
		cmocka_unit_test(gathers_both),
		cmocka_unit_test(says_why_a_file_cannot_be_read),
		cmocka_unit_test(warns_of_a_file_that_all_may_change),
		cmocka_unit_test(finds_paths),
		cmocka_unit_test(formats_diagnostics),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
