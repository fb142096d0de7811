/*
 * src/host/firewall.c with real packets. The room is the host; "wire" leads to another one (192.0.2.9), "snk7" stands
 * for the tunnel and leads to its other end (10.9.0.2). Both have no route back for each other's networks.
 */
#include "room.h"

#include "host/firewall.h"
#include "host/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void shell(const char *command)
{
	if (room_shell(command) != 0)
		fail_msg("%s: %s", command, room_said);
}

static void net_make(void)
{
	shell("mkdir -p /run/netns && ip netns add outside && ip netns add inside && "
	      "ip link add wire type veth peer name far netns outside && "
	      "ip link add snk7 type veth peer name far netns inside && "
	      "ip address add 192.0.2.1/24 dev wire && ip address add 2001:db8::1/64 dev wire nodad && "
	      "ip address add 10.9.0.1/24 dev snk7 && ip address add fd09::1/64 dev snk7 nodad && "
	      "ip link set wire up && ip link set snk7 up && "
	      "ip -n outside address add 192.0.2.9/24 dev far && ip -n outside address add 2001:db8::9/64 dev far "
	      "nodad && "
	      "ip -n inside address add 10.9.0.2/24 dev far && ip -n inside address add fd09::2/64 dev far nodad && "
	      "for n in outside inside; do ip -n $n link set lo up; ip -n $n link set far up; done && "
	      "ip -n inside route add default via 10.9.0.1 && ip -n inside route add default via fd09::1");
}

#define PING(address) "ping -c 1 -W 3 " address
#define NO_PING(address) "ping -c 1 -W 1 " address

/* Of a datagram of ours to 192.0.2.9; 0, or errno's value. */
static int send_udp(uint32_t mark, uint32_t uid, uint16_t from, uint16_t to)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(from)};
	pid_t pid = fork();
	if (pid == 0) {
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		bool good = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
			    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 &&
			    setresuid(uid, uid, uid) == 0;
		int again = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* a socket belongs to who made it */
		if (uid) {
			close(fd);
			fd = again;
		}
		address.sin_port = htons(to);
		address.sin_addr.s_addr = inet_addr("192.0.2.9");
		_exit(!good                                                                       ? 255
			: sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) == 1 ? 0
												  : errno);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void kill_switch_body(void)
{
	net_make();
	shell(PING("192.0.2.9"));
	shell(PING("2001:db8::9"));
	assert_int_equal(firewall_kill_switch("office", "snk7", 0x99, NULL), OK);
	shell(PING("10.9.0.2"));
	shell(PING("fd09::2"));
	shell(PING("127.0.0.1"));
	shell(PING("192.0.2.1")); /* an address of the host itself */
	shell(PING("::1"));
	assert_int_not_equal(room_shell(NO_PING("192.0.2.9")), 0);
	assert_int_not_equal(room_shell(NO_PING("2001:db8::9")), 0);

	assert_int_equal(send_udp(0, 0, 4000, 4000), EPERM);
	assert_int_equal(send_udp(0x99, 0, 4000, 4000), 0);
	assert_int_equal(send_udp(0x98, 0, 4000, 4000), EPERM);
	assert_int_equal(send_udp(0, 0, 68, 67), 0); /* DHCP */
	assert_int_equal(send_udp(0, 0, 67, 68), EPERM);
	assert_int_equal(send_udp(0, LOOKUP_UID, 0, 53), 0);
	assert_int_equal(send_udp(0, LOOKUP_UID, 0, 54), EPERM);
	assert_int_equal(send_udp(0, LOOKUP_UID + 1, 0, 53), EPERM);

	/* neighbour discovery goes on, also for addresses that are not known yet */
	shell("ip neigh flush dev wire; ip -n outside neigh flush dev far");
	shell("ip netns exec outside " NO_PING(
		"2001:db8::1") "; ip -n outside -6 neigh show 2001:db8::1 | grep lladdr");

	/* nor does the host answer, or lead anybody else out */
	assert_int_not_equal(room_shell("ip netns exec outside " NO_PING("192.0.2.1")), 0);
	assert_int_equal(firewall_remove(FIREWALL_KILL_SWITCH, "office", NULL, NULL), OK);
	shell(PING("192.0.2.9"));
	shell("ip netns exec outside " PING("192.0.2.1"));
}

static void test_kill_switch(void **state)
{
	room_run(kill_switch_body);
}

/* A third host that uses this one as its router. */
static void forwarding_body(void)
{
	net_make();
	shell("ip netns add lan && ip link add lan type veth peer name far netns lan && ip address add 10.8.0.1/24 dev "
	      "lan && "
	      "ip link set lan up && ip -n lan address add 10.8.0.2/24 dev far && ip -n lan link set far up && "
	      "ip -n lan route add default via 10.8.0.1 && echo 1 >/proc/sys/net/ipv4/ip_forward && "
	      "ip -n outside route add default via 192.0.2.1");
	shell("ip netns exec lan " PING("192.0.2.9"));
	shell("ip netns exec lan " PING("10.9.0.2"));
	assert_int_equal(firewall_kill_switch("office", "snk7", 0x99, NULL), OK);
	assert_int_not_equal(room_shell("ip netns exec lan " NO_PING("192.0.2.9")), 0);
	shell("ip netns exec lan " PING("10.9.0.2"));
}

static void test_kill_switch_for_forwarded_packets(void **state)
{
	room_run(forwarding_body);
}

/* Somebody's own rules lead packets elsewhere after the host's first choice of a way. */
static void rerouted_body(void)
{
	net_make();
	shell("ip route add 203.0.113.0/24 via 10.9.0.2 && ip rule add fwmark 7 lookup 77 && "
	      "ip route add default via 192.0.2.9 table 77 && ip -n outside address add 203.0.113.5/24 dev far && "
	      "ip -n outside route add default via 192.0.2.1 && "
	      "echo 0 | tee /proc/sys/net/ipv4/conf/*/rp_filter >/dev/null && "
	      "nft 'table inet theirs { chain c { type route hook output priority -150; "
	      "ip daddr 203.0.113.5 meta mark set 7; }; }'");
	shell(PING("203.0.113.5"));
	assert_int_equal(firewall_kill_switch("office", "snk7", 0x99, NULL), OK);
	assert_int_not_equal(room_shell(NO_PING("203.0.113.5")), 0);
}

static void test_kill_switch_for_rerouted_packets(void **state)
{
	room_run(rerouted_body);
}

static void masquerade_body(void)
{
	net_make();
	struct config *config = room_config("office", "Name = snk7\nAddress = 10.9.0.1/24, fd09::1/64\nPool = "
						      "10.9.0.0/24\nMasquerade = yes\nAuthorizedKeys = "
						      "keys\n");
	shell("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	assert_int_not_equal(room_shell("ip netns exec inside " NO_PING("192.0.2.9")), 0);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(firewall_masquerade(config, "snk7", NULL), OK);
		shell("ip netns exec inside " PING("192.0.2.9"));
		shell("ip netns exec inside " PING("2001:db8::9"));
	}
	bool any = false;
	assert_int_equal(firewall_remove(FIREWALL_KILL_SWITCH, "office", &any, NULL), OK);
	assert_false(any);
	assert_int_equal(firewall_remove(FIREWALL_MASQUERADE, "office", &any, NULL), OK);
	assert_true(any);
	any = false;
	assert_int_equal(firewall_remove(FIREWALL_MASQUERADE, "office", &any, NULL), OK);
	assert_false(any);
	config_free(config);
}

static void test_masquerade(void **state)
{
	room_run(masquerade_body);
}

/* What comes in for a socket with the mark has it, and nothing else has. */
static void return_body(void)
{
	const uint32_t mark = 0x99;
	net_make();
	shell("nft 'table inet seen { chain c { type filter hook prerouting priority -100; "
	      "udp dport 5000 meta mark 0x99 counter; udp dport 5001 meta mark 0 counter; }; }'");
	for (uint16_t port = 5000; port < 5002; port++) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
		if (port == 5000)
			assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
	}
	assert_int_equal(firewall_return("office", mark, NULL), OK);
	shell("for p in 5000 5001; do ip netns exec outside bash -c \"echo x >/dev/udp/192.0.2.1/$p\"; done");
	room_wait(room_shell_succeeds, "test $(nft list table inet seen | grep -c 'packets 1 ') = 2", "both marks");
	bool any = false;
	assert_int_equal(firewall_remove(FIREWALL_RETURN, "office", &any, NULL), OK);
	assert_true(any);
}

static void test_return(void **state)
{
	room_run(return_body);
}

static void refused_body(void)
{
	struct fault fault = {0};
	assert_int_equal(firewall_kill_switch("office", "snk7", 0x99, NULL), OK);
	shell("nft list table inet jorm_kill_office >" ROOM "/before");
	/* nft fails at this name: what was there stays as a whole */
	assert_int_equal(firewall_kill_switch("office", "a name that is too long for an interface", 1, &fault), ERR_IO);
	assert_non_null(strstr(fault.text, "nft"));
	shell("nft list table inet jorm_kill_office | diff " ROOM "/before -");
}

static void test_a_refusal_changes_nothing(void **state)
{
	room_run(refused_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_switch),
		cmocka_unit_test(test_kill_switch_for_forwarded_packets),
		cmocka_unit_test(test_kill_switch_for_rerouted_packets),
		cmocka_unit_test(test_masquerade),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_a_refusal_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
