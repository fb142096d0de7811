#include "tun/tun.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static_assert(sizeof(struct virtio_net_hdr) == TUN_HEADER_LEN, "the header before each packet");
static_assert(TUN_NAME_SIZE == IFNAMSIZ, "interface names");

#define DEVICE "/dev/net/tun"

struct tun {
	char name[TUN_NAME_SIZE];
	uint32_t ifindex;
	unsigned int features;
	unsigned int n_queues;
	int fds[]; /* owned, one a queue */
};

static enum err name_check(const char *name, struct fault *fault)
{
	size_t len = strlen(name);
	if (len >= TUN_NAME_SIZE)
		return fault_set(fault, ERR_ARGUMENT,
			"interface name '%.40s' is too long: %zu characters, at most %d are possible; shorten Name",
			name, len, TUN_NAME_SIZE - 1);
	/* Not to be shown to a terminal either. */
	for (const char *c = name; *c; c++)
		if (!isgraph((unsigned char)*c))
			return fault_set(fault, ERR_ARGUMENT,
				"an interface's name cannot have blanks or other invisible characters; correct Name");
	bool bad = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	/* Taken by directories in /proc/sys/net/ipv4/conf. */
	bad = bad || strcmp(name, "all") == 0 || strcmp(name, "default") == 0;
	/* The kernel would expand '%', and refuses the other two. */
	if (bad || strpbrk(name, "/:%"))
		return fault_set(fault, ERR_ARGUMENT,
			"'%s' cannot be an interface's name: use letters, digits, '-', '_' or '.' for Name", name);
	return OK;
}

static enum err device_open(int *ret, struct fault *fault)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		*ret = fd;
		return OK;
	}
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO || errno == ENOTDIR)
		return fault_set(fault, ERR_NOT_FOUND,
			"there is no " DEVICE ": load the driver with 'modprobe tun'; a container must be started "
			"with the device (docker run --device " DEVICE " --cap-add NET_ADMIN)");
	if (errno == EACCES || errno == EPERM)
		return fault_errno(fault, DEVICE " may not be opened; run as root, or in a container allow the device");
	return fault_errno(fault, "cannot open " DEVICE);
}

static enum err attach_fault(const char *name, struct fault *fault)
{
	if (errno == EBUSY || errno == EEXIST)
		return fault_set(fault, ERR_EXISTS,
			"interface %s exists already; choose another Name or leave it out, or remove that one "
			"('ip link del %s')",
			name, name);
	if (errno == EPERM || errno == EACCES)
		return fault_errno(fault,
			"cannot make interface %s without CAP_NET_ADMIN; run as root or give that to the service",
			name);
	return fault_errno(fault, "cannot make interface %s", name);
}

/* Attaches fd to the interface request->ifr_name; the first queue creates it. */
static enum err queue_attach(int fd, struct ifreq *request, short flags, struct fault *fault)
{
	request->ifr_flags = flags;
	if (ioctl(fd, TUNSETIFF, request) == 0)
		return OK;
	/* What it would have been called. */
	char *number = strstr(request->ifr_name, "%d");
	if (number)
		memcpy(number, "0", sizeof "0");
	return attach_fault(request->ifr_name, fault);
}

/*
 * Tells the kernel what it may leave unfinished in packets it hands over, the most first. Packets
 * with TCP's CWR flag are left to the kernel to cut (no TUN_F_TSO_ECN): there is one in a round
 * trip at most, and whoever cuts them must not repeat the flag.
 */
static unsigned int offloads_set(int fd)
{
	static const unsigned int attempts[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
	};
	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)attempts[i]) == 0)
			return attempts[i];
	return 0;
}

/* Opens all queues of a new interface. What was opened is in tun->fds, also on error. */
static enum err queues_open(struct tun *tun, const struct tun_config *config, unsigned int wanted, struct fault *fault)
{
	enum err err = device_open(&tun->fds[0], fault);
	if (err)
		return err;
	tun->n_queues = 1;

	unsigned int can = 0;
	if (ioctl(tun->fds[0], TUNGETFEATURES, &can) < 0 || !(can & IFF_VNET_HDR))
		return fault_set(fault, ERR_UNSUPPORTED,
			"this kernel's TUN driver does not know IFF_VNET_HDR; a Linux kernel of version 5.4 or newer "
			"does");
	unsigned int flags = (config->layer == 2 ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR;
	if (wanted > 1 && can & IFF_MULTI_QUEUE)
		flags |= IFF_MULTI_QUEUE;
	else
		wanted = 1;

	struct ifreq request = {0};
	/* The kernel replaces %d by the first free number. */
	if (config->name && *config->name)
		(void)snprintf(request.ifr_name, IFNAMSIZ, "%s", config->name);
	else
		(void)snprintf(request.ifr_name, IFNAMSIZ, "%.8s%%d", config->prefix ? config->prefix : "snk");
	err = queue_attach(tun->fds[0], &request, (short)(flags | IFF_TUN_EXCL), fault);
	for (unsigned int i = 1; !err && i < wanted; i++) {
		err = device_open(&tun->fds[i], fault);
		if (err)
			break;
		tun->n_queues++;
		err = queue_attach(tun->fds[i], &request, (short)flags, fault);
	}
	memcpy(tun->name, request.ifr_name, IFNAMSIZ);
	return err;
}

enum err tun_open(struct tun **ret, const struct tun_config *config, struct fault *fault)
{
	if (config->layer != 2 && config->layer != 3)
		return fault_set(fault, ERR_ARGUMENT, "Layer is %u; it must be 3 (IP) or 2 (Ethernet)", config->layer);
	if (config->n_queues < 1 || config->n_queues > TUN_QUEUES_MAX)
		return fault_set(fault, ERR_ARGUMENT,
			"an interface has 1 to %d queues, not %u; set Workers accordingly", TUN_QUEUES_MAX,
			config->n_queues);
	enum err err = config->name ? name_check(config->name, fault) : OK;
	if (err)
		return err;

	struct tun *tun = calloc(1, sizeof *tun + config->n_queues * sizeof tun->fds[0]);
	if (!tun)
		return fault_set(fault, ERR_NOMEM, "no memory for an interface with %u queues", config->n_queues);
	err = queues_open(tun, config, config->n_queues, fault);
	if (err)
		goto fail;

	int header_len = TUN_HEADER_LEN;
	tun->ifindex = if_nametoindex(tun->name);
	if (tun->ifindex == 0 || ioctl(tun->fds[0], TUNSETVNETHDRSZ, &header_len) < 0) {
		err = fault_errno(fault, "cannot set up interface %s", tun->name);
		goto fail;
	}
	tun->features = offloads_set(tun->fds[0]);
	*ret = tun;
	return OK;
fail:
	tun_close(tun);
	return err;
}

enum err tun_set_mac(struct tun *tun, const uint8_t mac[static 6], struct fault *fault)
{
	struct ifreq request = {.ifr_hwaddr = {.sa_family = ARPHRD_ETHER}};
	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	if (ioctl(tun->fds[0], SIOCSIFHWADDR, &request) == 0)
		return OK;
	if (errno == EADDRNOTAVAIL || errno == EINVAL)
		return fault_set(fault, ERR_ARGUMENT,
			"%02x:%02x:%02x:%02x:%02x:%02x cannot be an interface's MAC address: it is a group's, or zero",
			mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return fault_errno(fault, "cannot set the MAC address of interface %s", tun->name);
}

void tun_close(struct tun *tun)
{
	if (!tun)
		return;
	for (unsigned int i = 0; i < tun->n_queues; i++)
		(void)close(tun->fds[i]);
	free(tun);
}

const char *tun_name(const struct tun *tun)
{
	return tun->name;
}
uint32_t tun_ifindex(const struct tun *tun)
{
	return tun->ifindex;
}
unsigned int tun_n_queues(const struct tun *tun)
{
	return tun->n_queues;
}
unsigned int tun_features(const struct tun *tun)
{
	return tun->features;
}
bool tun_has_uso(const struct tun *tun)
{
	return tun->features & TUN_F_USO4;
}

int tun_fd(const struct tun *tun, unsigned int queue)
{
	assert(queue < tun->n_queues);
	return tun->fds[queue];
}

enum err tun_read(struct tun *tun, unsigned int queue, uint8_t *buf, size_t size, size_t *ret_len)
{
	assert(queue < tun->n_queues);
	ssize_t n;
	do
		n = read(tun->fds[queue], buf, size);
	while (n < 0 && errno == EINTR);
	if (n > TUN_HEADER_LEN) {
		*ret_len = (size_t)n;
		return OK;
	}
	if (n >= 0 || errno == EAGAIN)
		return ERR_AGAIN;
	return errno == EBADFD ? ERR_NOT_FOUND : ERR_IO;
}

enum err tun_writev(struct tun *tun, unsigned int queue, const struct iovec *iov, size_t n)
{
	assert(queue < tun->n_queues);
	ssize_t written;
	do
		written = writev(tun->fds[queue], iov, (int)n);
	while (written < 0 && errno == EINTR);
	if (written >= 0)
		return OK;
	switch (errno) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return ERR_AGAIN;
	case EINVAL:
		return ERR_FORMAT;
	case EIO:
		return ERR_STATE;
	case EBADFD:
		return ERR_NOT_FOUND;
	default:
		return ERR_IO;
	}
}
