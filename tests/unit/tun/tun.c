/* src/tun/tun.c: making interfaces, and every fault. What goes through them is packets.c. */
#include "netns.h"

#include "net/netlink_request.h"
#include "tun/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct tun *tun_new(const char *name, unsigned int n_queues, unsigned int layer)
{
	struct tun *tun = NULL;
	struct fault fault = {0};
	struct tun_config config = {.name = name, .n_queues = n_queues, .layer = layer};
	if (tun_open(&tun, &config, &fault))
		fail_msg("%s", fault.text);
	return tun;
}

static void assert_refused(const struct tun_config *config, enum err code, const char *text)
{
	struct tun *tun = NULL;
	struct fault fault = {0};
	assert_int_equal(tun_open(&tun, config, &fault), code);
	assert_null(tun);
	assert_fault(&fault, code, text);
}

static void test_names_are_chosen_or_given(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *first = tun_new("", 1, 3), *second = tun_new(NULL, 2, 3), *given = tun_new("home-vpn.1", 1, 3);
	assert_string_equal(tun_name(first), "snk0");
	assert_string_equal(tun_name(second), "snk1");
	assert_string_equal(tun_name(given), "home-vpn.1");
	assert_int_equal(tun_ifindex(given), if_nametoindex("home-vpn.1"));
	tun_close(first);
	assert_int_equal(if_nametoindex("snk0"), 0);
	first = tun_new(NULL, 1, 3);
	assert_string_equal(tun_name(first), "snk0");
	tun_close(first);
	tun_close(second);
	tun_close(given);
	tun_close(NULL);
	netlink_close(netlink);
}

static void test_a_prefix_stands_for_the_usual_one(void **state)
{
	static const struct {
		struct tun_config config;
		const char *expected;
	} cases[] = {{{.prefix = "tap", .n_queues = 1, .layer = 2}, "tap0"},
		{{.prefix = "tap", .n_queues = 1, .layer = 3}, "tap1"}, {{.n_queues = 1, .layer = 2}, "snk0"},
		{{.name = "mine", .prefix = "tap", .n_queues = 1, .layer = 2}, "mine"},
		/* A name has 15 bytes, of which the number needs some. */
		{{.prefix = "a-long-long-long-prefix", .n_queues = 1, .layer = 3}, "a-long-l0"}};
	struct tun *made[sizeof cases / sizeof *cases] = {0};
	struct netlink *netlink = netns_enter();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(tun_open(&made[i], &cases[i].config, NULL), OK);
		assert_string_equal(tun_name(made[i]), cases[i].expected);
	}
	/* A number that is free again is given again. */
	tun_close(made[0]);
	assert_int_equal(tun_open(&made[0], &cases[0].config, NULL), OK);
	assert_string_equal(tun_name(made[0]), "tap0");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		tun_close(made[i]);
	netlink_close(netlink);
}

static void test_queues_are_separate_and_do_not_block(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new(NULL, 4, 3);
	uint8_t buf[TUN_READ_SIZE];
	size_t len = 7;
	assert_int_equal(tun_n_queues(tun), 4);
	assert_int_equal(netlink_link_set_up(netlink, tun_ifindex(tun), NULL), OK);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(fcntl(tun_fd(tun, i), F_GETFD), FD_CLOEXEC);
		for (unsigned int j = 0; j < i; j++)
			assert_true(tun_fd(tun, i) != tun_fd(tun, j));
		enum err err;
		/* IPv6 has told the routers of its presence. */
		while ((err = tun_read(tun, i, buf, sizeof buf, &len)) == OK)
			assert_true(len > TUN_HEADER_LEN);
		assert_int_equal(err, ERR_AGAIN);
	}
	tun_close(tun);
	netlink_close(netlink);
}

static void test_offloads(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new(NULL, 2, 3);
	assert_true(tun_features(tun) & TUN_F_CSUM);
	assert_true(tun_features(tun) & TUN_F_TSO4);
	assert_true(tun_has_uso(tun) == ((tun_features(tun) & TUN_F_USO6) != 0));
	/* Cutting packets with TCP's CWR flag is left to the kernel. */
	assert_false(tun_features(tun) & TUN_F_TSO_ECN);
	tun_close(tun);
	netlink_close(netlink);
}

static void test_a_mac_address_is_given(void **state)
{
	static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5}, group[6] = {3, 1, 2, 3, 4, 5}, zero[6];
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new("tap", 1, 2);
	struct fault fault = {0};
	struct ifreq request = {.ifr_name = "tap"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(tun_set_mac(tun, mac, &fault), OK);
	assert_int_equal(tun_set_mac(tun, group, &fault), ERR_ARGUMENT);
	assert_fault(&fault, ERR_ARGUMENT, "03:01:02:03:04:05");
	assert_int_equal(tun_set_mac(tun, zero, &fault), ERR_ARGUMENT);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	assert_memory_equal(request.ifr_hwaddr.sa_data, mac, 6);
	close(fd);
	tun_close(tun);
	netlink_close(netlink);
}

static void test_bad_configurations(void **state)
{
	static const char *const bad[] = {".", "..", "all", "default", "a/b", "a:b", "snk%d"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_refused(&(struct tun_config){.name = bad[i], .n_queues = 1, .layer = 3}, ERR_ARGUMENT, bad[i]);
	assert_refused(&(struct tun_config){.name = "a b", .n_queues = 1, .layer = 3}, ERR_ARGUMENT, "blanks");
	assert_refused(&(struct tun_config){.name = "a\033[2J", .n_queues = 1, .layer = 3}, ERR_ARGUMENT, "invisible");
	assert_refused(
		&(struct tun_config){.name = "sixteen-letters-", .n_queues = 1, .layer = 3}, ERR_ARGUMENT, "too long");
	assert_refused(&(struct tun_config){.n_queues = 0, .layer = 3}, ERR_ARGUMENT, "1 to 256 queues");
	assert_refused(&(struct tun_config){.n_queues = 257, .layer = 3}, ERR_ARGUMENT, "257");
	assert_refused(&(struct tun_config){.n_queues = 1, .layer = 4}, ERR_ARGUMENT, "Layer is 4");
}

static void test_a_taken_name(void **state)
{
	struct netlink *netlink = netns_enter();
	assert_refused(&(struct tun_config){.name = "lo", .n_queues = 1, .layer = 3}, ERR_EXISTS,
		"interface lo exists already");
	struct tun *tun = tun_new("vpn", 2, 3);
	assert_refused(&(struct tun_config){.name = "vpn", .n_queues = 2, .layer = 3}, ERR_EXISTS,
		"interface vpn exists already");
	tun_close(tun);

	/* One that somebody made to stay, and that nobody is using. */
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = {.ifr_name = "stays", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1UL), 0);
	assert_int_equal(close(fd), 0);
	assert_refused(&(struct tun_config){.name = "stays", .n_queues = 1, .layer = 3}, ERR_EXISTS,
		"interface stays exists already");
	netlink_close(netlink);
}

/* Hides /dev/net from this process, and puts there what is asked for. */
static bool device_replace(bool present)
{
	dev_t tun = makedev(10, 200);
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/dev/net", "tmpfs", 0, NULL) == 0 &&
	       (!present || mknod("/dev/net/tun", S_IFCHR | 0600, tun) == 0);
}

static bool open_gives(enum err code, const char *text)
{
	struct tun *tun;
	struct fault fault = {0};
	enum err err = tun_open(&tun, &(struct tun_config){.n_queues = 1, .layer = 3}, &fault);
	return err == code && fault.code == code && strstr(fault.text, text);
}

static bool without_device(void)
{
	return device_replace(false) && open_gives(ERR_NOT_FOUND, "modprobe tun") &&
	       open_gives(ERR_NOT_FOUND, "--device");
}

static bool without_permission(void)
{
	return device_replace(true) && netns_drop_root() &&
	       open_gives(ERR_PERMISSION, "/dev/net/tun may not be opened");
}

static bool without_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	data[0].effective &= ~(1U << CAP_NET_ADMIN);
	return syscall(SYS_capset, &header, data) == 0 && open_gives(ERR_PERMISSION, "CAP_NET_ADMIN") &&
	       open_gives(ERR_PERMISSION, "snk0");
}

static void test_what_the_machine_may_lack(void **state)
{
	struct netlink *netlink = netns_enter();
	assert_true(netns_child(without_device));
	assert_true(netns_child(without_permission));
	assert_true(netns_child(without_capability));
	netlink_close(netlink);
}

static void test_a_removed_interface(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new(NULL, 2, 3);
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_DELLINK, 0, sizeof *info);
	info->ifi_index = (int)tun_ifindex(tun);
	assert_int_equal(netlink_request_run(netlink, &request, NULL, NULL), 0);

	uint8_t buf[TUN_READ_SIZE] = {0};
	size_t len = 7;
	struct iovec iov = {buf, TUN_HEADER_LEN + 20};
	for (unsigned int queue = 0; queue < 2; queue++) {
		assert_int_equal(tun_read(tun, queue, buf, sizeof buf, &len), ERR_NOT_FOUND);
		assert_int_equal(tun_writev(tun, queue, &iov, 1), ERR_NOT_FOUND);
	}
	assert_int_equal(len, 7);
	tun_close(tun);
	netlink_close(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_chosen_or_given),
		cmocka_unit_test(test_a_prefix_stands_for_the_usual_one),
		cmocka_unit_test(test_queues_are_separate_and_do_not_block),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_a_mac_address_is_given),
		cmocka_unit_test(test_bad_configurations),
		cmocka_unit_test(test_a_taken_name),
		cmocka_unit_test(test_what_the_machine_may_lack),
		cmocka_unit_test(test_a_removed_interface),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
