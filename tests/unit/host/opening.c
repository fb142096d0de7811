/* src/host/opening.c behind the keeper: which files a daemon gets, and by which ways it does not get others. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_A "q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLc="

static void shell(const char *command)
{
	if (room_shell(command) != 0)
		fail_msg("%s: %s", command, room_said);
}

static void assert_opens(struct keeper *keeper, const char *path, const char *text)
{
	struct fault fault = {0};
	char is[64] = "";
	int fd = -1;
	if (keeper_open(keeper, path, false, &fd, &fault))
		fail_msg("%s: %s", path, fault.text);
	if (text) {
		assert_true(read(fd, is, sizeof is - 1) >= 0);
		assert_string_equal(is, text);
	}
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void assert_refused(struct keeper *keeper, const char *path, enum err code)
{
	struct fault fault = {0};
	int fd = 77;
	enum err err = keeper_open(keeper, path, false, &fd, &fault);
	if (err != code)
		fail_msg("%s: %s expected, got %s: %s", path, err_text(code), err_text(err), fault.text);
	assert_int_equal(fd, 77);
}

/* The configuration is in ROOM; keys and the peers' folder are elsewhere, the latter where the daemon may write. */
static struct config *scene_make(void)
{
	shell("cd " ROOM " && mkdir sub elsewhere state state/keys state/more && echo -n own >own.priv && echo -n psk "
	      ">elsewhere/psk && "
	      "echo -n deep >sub/deep && echo -n other >elsewhere/other && echo -n secret >/run/secret && "
	      "echo -n peer >state/keys/a.pub && echo -n more >state/more/b.pub && echo -n linked >state/linked.psk && "
	      "ln -s sub/deep inner && ln -s /run/secret outer && ln -s ../../run/secret dots && mkfifo fifo && "
	      "ln -s /run/secret state/keys/evil.pub && ln -s ../more/b.pub state/keys/near.pub && mkfifo "
	      "state/keys/fifo.pub && "
	      "ln -s /proc/self/root/run/secret magic && mknod null c 1 3 && mkdir state/keys/folder && touch "
	      "state/keys/folder/x");
	return room_config("office", "StateDirectory = " ROOM "/state\nAuthorizedKeys = " ROOM
				     "/state/keys\n[peer a]\nKeyID = " KEY_A "\nPresharedKey = /run/psk\n");
}

static void allowed_body(void)
{
	shell("echo -n named >/run/psk");
	struct config *config = scene_make();
	struct keeper *keeper = room_keeper(config);
	assert_opens(keeper, ROOM "/own.priv", "own");
	assert_opens(keeper, ROOM "/office.conf", NULL);
	assert_opens(keeper, ROOM "/sub/deep", "deep");
	assert_opens(keeper, ROOM "/sub//deep", "deep");
	assert_opens(keeper, ROOM "/sub/../sub/deep", "deep");
	assert_opens(keeper, ROOM "/inner", "deep");
	assert_opens(keeper, ROOM "/sub", NULL);
	assert_opens(keeper, ROOM "/", NULL);
	assert_opens(keeper, ROOM, NULL);
	assert_opens(keeper, "/run/psk", "named");
	assert_opens(keeper, ROOM "/state/keys", NULL);
	assert_opens(keeper, ROOM "/state/keys/a.pub", "peer");
	assert_refused(keeper, ROOM "/nothing", ERR_NOT_FOUND);
	assert_refused(keeper, ROOM "/state/keys/none.pub", ERR_NOT_FOUND);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_opens_what_belongs_to_the_configuration(void **state)
{
	room_run(allowed_body);
}

static void refused_body(void)
{
	static const char *const outside[] = {"/etc/shadow", "/run/secret", "/run", "/", "", "office.conf", "/run/psk2",
		ROOM "x", ROOM "/../secret", ROOM "/sub/../../secret", ROOM "/outer", ROOM "/dots", ROOM "/magic",
		ROOM "/fifo", ROOM "/null", ROOM "/state/keys/evil.pub", ROOM "/state/keys/near.pub",
		ROOM "/state/keys/fifo.pub"};
	struct config *config = scene_make();
	struct keeper *keeper = room_keeper(config);
	for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
		assert_refused(keeper, outside[i], *outside[i] ? ERR_PERMISSION : ERR_FORMAT);
	char large[PATH_MAX + 10];
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	assert_refused(keeper, large, ERR_NOT_FOUND);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_refuses_everything_else(void **state)
{
	room_run(refused_body);
}

/* Without openat2(2) no symbolic link is followed, nor any "..". */
static void old_kernel_body(void)
{
	static const char *const outside[] = {ROOM "/inner", ROOM "/outer", ROOM "/dots", ROOM "/magic", ROOM "/fifo",
		ROOM "/sub/../sub/deep", ROOM "/sub/../../secret", ROOM "/state/keys/evil.pub",
		ROOM "/state/keys/near.pub"};
	struct config *config = scene_make();
	room_forget_calls(SYS_openat2, SYS_openat2);
	struct keeper *keeper = room_keeper(config);
	assert_opens(keeper, ROOM "/own.priv", "own");
	assert_opens(keeper, ROOM "/sub//deep", "deep");
	assert_opens(keeper, ROOM "/sub/", NULL);
	assert_opens(keeper, ROOM, NULL);
	assert_opens(keeper, ROOM "/state/keys/a.pub", "peer");
	assert_refused(keeper, ROOM "/sub/none", ERR_NOT_FOUND);
	for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
		assert_refused(keeper, outside[i], ERR_PERMISSION);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_without_openat2(void **state)
{
	room_run(old_kernel_body);
}

/* A daemon that was taken over changes what lies in its StateDirectory. */
static void swapped_body(void)
{
	shell("mkdir " ROOM "/conf " ROOM "/state " ROOM "/state/keys && echo -n peer >" ROOM
	      "/state/keys/a.pub && echo -n k >" ROOM "/state/own.priv");
	room_write(ROOM "/conf/office.conf",
		"[interface]\nPrivateKey = " ROOM "/state/own.priv\nStateDirectory = " ROOM
		"/state\nAuthorizedKeys = " ROOM "/state/keys\n",
		0600);
	struct config *config = NULL;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_load(&config, ROOM "/conf/office.conf", &diags), OK);
	config_diagnostics_done(&diags);
	struct keeper *keeper = room_keeper(config);
	assert_opens(keeper, ROOM "/state/keys/a.pub", "peer");
	assert_opens(keeper, ROOM "/state/own.priv", "k");
	shell("cd " ROOM "/state && mv keys old && ln -s /etc keys && ln -sf /etc/shadow own.priv");
	assert_refused(keeper, ROOM "/state/keys", ERR_PERMISSION);
	assert_refused(keeper, ROOM "/state/keys/shadow", ERR_PERMISSION);
	assert_refused(keeper, ROOM "/state/own.priv", ERR_PERMISSION);
	assert_refused(keeper, ROOM "/state/old/a.pub", ERR_PERMISSION);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_a_changed_state_folder_leads_nowhere(void **state)
{
	room_run(swapped_body);
}

static enum err open_to_write(struct keeper *keeper, const char *path)
{
	struct fault fault = {0};
	int fd = -1;
	enum err err = keeper_open(keeper, path, true, &fd, &fault);
	if (err == OK) {
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
		assert_int_equal(pwrite(fd, "!", 1, 0), 1);
	}
	close(fd);
	return err;
}

#define PADS "StateDirectory = " ROOM "/state\nPads = /run/pads\n"
#define PAD_PEER "[peer a]\nProtection = otp\nPad = /run/a-pad\n"

static void pads_body(void)
{
	shell("mkdir /run/pads " ROOM
	      "/state && cd /run/pads && echo -n b >b.pad && echo -n c >c.txt && echo -n s >/run/s && "
	      "ln -s /run/s evil.pad && mkdir d.pad && mkfifo f.pad && echo -n a >/run/a-pad && echo -n o >" ROOM
	      "/o.pad");
	struct config *config = room_config("office", PADS PAD_PEER);
	struct keeper *keeper = room_keeper(config);
	assert_opens(keeper, "/run/a-pad", "a");
	assert_opens(keeper, "/run/pads/b.pad", "b");
	assert_opens(keeper, "/run/pads", NULL);
	assert_refused(keeper, "/run/pads/c.txt", ERR_PERMISSION);
	assert_refused(keeper, "/run/pads/evil.pad", ERR_PERMISSION);
	assert_refused(keeper, "/run/pads/f.pad", ERR_PERMISSION);
	assert_refused(keeper, "/run/pads/none.pad", ERR_NOT_FOUND);
	/* nothing is written where nothing is burned */
	assert_int_equal(open_to_write(keeper, "/run/a-pad"), ERR_PERMISSION);
	assert_int_equal(open_to_write(keeper, "/run/pads/b.pad"), ERR_PERMISSION);
	keeper_stop(keeper, true);
	config_free(config);
	config = room_config("office", "Burn = yes\n" PADS PAD_PEER);
	keeper = room_keeper(config);
	assert_int_equal(open_to_write(keeper, "/run/a-pad"), OK);
	assert_int_equal(open_to_write(keeper, "/run/pads/b.pad"), OK);
	assert_int_equal(open_to_write(keeper, "/run/pads/evil.pad"), ERR_PERMISSION);
	assert_int_equal(open_to_write(keeper, "/run/pads/d.pad"), ERR_IO);
	assert_int_equal(open_to_write(keeper, ROOM "/o.pad"), ERR_PERMISSION);
	assert_int_equal(open_to_write(keeper, ROOM "/office.conf"), ERR_PERMISSION);
	assert_opens(keeper, "/run/a-pad", "!");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_pads_are_written_only_to_burn_them(void **state)
{
	room_run(pads_body);
}

/* A reload looks at what the file names now, before the keeper goes by it. */
static void present_file_body(void)
{
	shell("echo -n a >/run/a-pad && echo -n b >/run/b-pad && mkdir " ROOM "/state");
	struct config *config = room_config("office", PADS PAD_PEER);
	struct keeper *keeper = room_keeper(config);
	assert_refused(keeper, "/run/b-pad", ERR_PERMISSION);
	shell("sed -i 's|/run/a-pad|/run/b-pad|' " ROOM "/office.conf");
	assert_opens(keeper, "/run/b-pad", "b");
	assert_opens(keeper, "/run/a-pad", "a");
	assert_int_equal(open_to_write(keeper, "/run/b-pad"), ERR_PERMISSION);
	shell("echo nonsense >>" ROOM "/office.conf");
	assert_refused(keeper, "/run/b-pad", ERR_PERMISSION);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_goes_by_the_file_as_it_is_now_too(void **state)
{
	room_run(present_file_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_what_belongs_to_the_configuration),
		cmocka_unit_test(test_refuses_everything_else),
		cmocka_unit_test(test_without_openat2),
		cmocka_unit_test(test_a_changed_state_folder_leads_nowhere),
		cmocka_unit_test(test_pads_are_written_only_to_burn_them),
		cmocka_unit_test(test_goes_by_the_file_as_it_is_now_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
