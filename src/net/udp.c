#include "net/udp_private.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES_DEFAULT ((size_t)8 << 20)

/* ---- opening ---- */

static bool option_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static enum err socket_open(struct udp *udp, struct fault *fault)
{
	udp->ipv6 = true;
	udp->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (udp->fd < 0 && errno == EAFNOSUPPORT) {
		udp->ipv6 = false;
		udp->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	return udp->fd < 0 ? fault_errno(fault, "cannot open a UDP socket") : OK;
}

/* The options without which the program would not work; all are older than any kernel it meets. */
static enum err options_set(struct udp *udp, bool is_plain, struct fault *fault)
{
	int fd = udp->fd;
	bool done = option_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, is_plain ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE) &&
		    option_set(fd, IPPROTO_IP, IP_RECVERR, 0);
	if (udp->ipv6)
		done = done && option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
		       option_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
			       is_plain ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE) &&
		       option_set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, !is_plain) &&
		       option_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 0) &&
		       /* Tells the address of IPv4 datagrams too, in mapped form. */
		       option_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	else
		done = done && option_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	return done ? OK : fault_errno(fault, "cannot set up a UDP socket");
}

static void offloads_probe(struct udp *udp)
{
	int value = 0;
	socklen_t len = sizeof value;
	atomic_store(&udp->segment, getsockopt(udp->fd, IPPROTO_UDP, UDP_SEGMENT, &value, &len) == 0);
	atomic_store(&udp->segment_max, SIZE_MAX);
	udp->gro = option_set(udp->fd, IPPROTO_UDP, UDP_GRO, 1);
}

static void buffers_set(int fd, size_t bytes)
{
	int value = bytes > INT32_MAX ? INT32_MAX : (int)bytes;
	/* FORCE exceeds the system's limit but needs CAP_NET_ADMIN. */
	if (!option_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, value))
		(void)option_set(fd, SOL_SOCKET, SO_RCVBUF, value);
	if (!option_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, value))
		(void)option_set(fd, SOL_SOCKET, SO_SNDBUF, value);
}

static enum err bind_fault(const struct addr *addr, struct fault *fault)
{
	char text[ADDR_TEXT_LEN];
	(void)addr_format(addr, text);
	if (errno == EADDRINUSE)
		return fault_set(fault, ERR_EXISTS,
			"UDP port %u is in use by another program ('ss -ulpn sport = :%u' shows which); stop it or set "
			"Listen to another port",
			addr->port, addr->port);
	if (errno == EADDRNOTAVAIL)
		return fault_set(fault, ERR_NOT_FOUND,
			"cannot listen on %s: no interface has that address; correct Listen, or give the port alone",
			text);
	if (errno == EACCES || errno == EPERM)
		return fault_errno(fault,
			"cannot listen on UDP port %u without CAP_NET_BIND_SERVICE; run as root or set Listen to a "
			"port above 1023",
			addr->port);
	if (errno == EINVAL || errno == ENODEV)
		return fault_set(fault, ERR_NOT_FOUND,
			"cannot listen on %s: a link-local address needs an existing interface as its scope", text);
	return fault_errno(fault, "cannot listen on %s", text);
}

static enum err socket_bind(struct udp *udp, const struct addr *addr, struct fault *fault)
{
	struct addr wanted = *addr;
	union udp_name name = {0};
	socklen_t len = 0;
	/* An IPv4 socket says "any" differently. */
	if (!udp->ipv6 && memcmp(wanted.ip, ip_zero, 16) == 0)
		memcpy(wanted.ip, ip_any_v4, 16);
	if (!udp_name_of(&name, &len, udp->ipv6, &wanted)) {
		char text[ADDR_TEXT_LEN];
		return fault_set(fault, ERR_UNSUPPORTED,
			"cannot listen on %s: this machine has no IPv6; set Listen to an IPv4 address or to the port "
			"alone",
			addr_format(addr, text));
	}
	if (bind(udp->fd, &name.any, len) < 0)
		return bind_fault(addr, fault);

	len = sizeof name.storage;
	struct addr bound;
	if (getsockname(udp->fd, &name.any, &len) < 0 || addr_of_sockaddr(&bound, &name.storage))
		return fault_errno(fault, "cannot learn a UDP socket's port");
	udp->port = bound.port;
	return OK;
}

/*
 * Binds to another socket's port. SO_REUSEPORT counts at the time of binding, on both sides: the
 * first socket was bound without it, which fails when anyone else has the port, and gets it only
 * now. So a second daemon, whose first socket binds without it too, is always refused.
 */
static enum err socket_join(struct udp *udp, const struct udp *first, struct fault *fault)
{
	union udp_name name = {0};
	socklen_t len = sizeof name.storage;
	struct addr addr;
	if (getsockname(first->fd, &name.any, &len) < 0 || addr_of_sockaddr(&addr, &name.storage))
		return fault_errno(fault, "cannot learn a UDP socket's address");
	if (!option_set(first->fd, SOL_SOCKET, SO_REUSEPORT, 1) || !option_set(udp->fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return fault_errno(fault, "cannot share UDP port %u among workers", first->port);
	return socket_bind(udp, &addr, fault);
}

enum err udp_open(struct udp **ret, const struct udp_config *config, struct fault *fault)
{
	struct udp *udp = calloc(1, sizeof *udp);
	if (!udp)
		return fault_set(fault, ERR_NOMEM, "no memory for a UDP socket");
	enum err err = socket_open(udp, fault);
	if (!err)
		err = options_set(udp, config->is_plain, fault);
	if (!err && config->mark && setsockopt(udp->fd, SOL_SOCKET, SO_MARK, &config->mark, sizeof config->mark) < 0)
		err = fault_errno(fault,
			"cannot set firewall mark %u: that needs CAP_NET_ADMIN; run as root or leave it out",
			config->mark);
	if (!err)
		err = config->join ? socket_join(udp, config->join, fault) : socket_bind(udp, &config->bind, fault);
	if (err) {
		udp_close(udp);
		return err;
	}
	offloads_probe(udp);
	buffers_set(udp->fd, config->buffer_bytes ? config->buffer_bytes : BUFFER_BYTES_DEFAULT);
	*ret = udp;
	return OK;
}

void udp_close(struct udp *udp)
{
	if (!udp)
		return;
	if (udp->fd >= 0)
		(void)close(udp->fd);
	free(udp);
}

uint16_t udp_local_port(const struct udp *udp)
{
	return udp->port;
}
int udp_fd(const struct udp *udp)
{
	return udp->fd;
}
bool udp_has_gro(const struct udp *udp)
{
	return udp->gro;
}
bool udp_has_ipv6(const struct udp *udp)
{
	return udp->ipv6;
}

bool udp_has_segment(const struct udp *udp)
{
	return atomic_load_explicit(&udp->segment, memory_order_relaxed);
}

enum err udp_connect(struct udp *udp, const struct addr *remote)
{
	union udp_name name = {0};
	socklen_t len = 0;
	if (!udp_name_of(&name, &len, udp->ipv6, remote)) {
		errno = EAFNOSUPPORT;
		return ERR_IO;
	}
	return connect(udp->fd, &name.any, len) == 0 ? OK : ERR_IO;
}

int udp_take_error(struct udp *udp)
{
	int error = 0;
	socklen_t len = sizeof error;
	return getsockopt(udp->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}
