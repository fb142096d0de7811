/*
 * A TUN or TAP interface with one queue a worker, and the offloads that let one system call
 * carry up to 64 KiB.
 *
 * Every packet read or written starts with a `struct virtio_net_hdr` of TUN_HEADER_LEN bytes in
 * the machine's byte order: it says where an unfinished checksum belongs and at which size a
 * super-packet is to be cut. The module knows the kernel's device and its ioctls; what the bytes
 * mean is the caller's business. Addresses, routes and "up" are src/net/netlink.h.
 *
 * `struct tun` owns the descriptors. The interface is not persistent: it vanishes, with its
 * addresses and routes, at tun_close or when the process ends. Different queues may be used from
 * different threads at the same time; one queue from one thread.
 */
#pragma once

#include "base/err.h"

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* UDP segmentation on TUN came with Linux 6.2; older headers lack its names. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define TUN_HEADER_LEN 10   /* struct virtio_net_hdr before each packet */
#define TUN_QUEUES_MAX 256  /* the kernel's limit */
#define TUN_NAME_SIZE 16    /* with the final NUL */
#define TUN_READ_SIZE 65664 /* holds the largest packet: virtio, Ethernet and VLAN header, IPv6 header, 65535 */

struct tun_config {
	const char *name;      /* NULL or "": the first free one of snk0, snk1, ... */
	const char *prefix;    /* what stands for "snk" there; NULL: "snk" */
	unsigned int n_queues; /* 1..TUN_QUEUES_MAX */
	unsigned int layer;    /* 3: IP packets (TUN); 2: Ethernet frames (TAP) */
};

struct tun;

/*
 * Makes a new interface; an existing one is never taken over. It is down and has no address.
 * On error *ret is unchanged and *fault says what to do:
 *   ERR_ARGUMENT     the name is not one an interface can have; 0 or too many queues; layer not 2 or 3
 *   ERR_EXISTS       there is an interface of that name
 *   ERR_NOT_FOUND    there is no /dev/net/tun
 *   ERR_PERMISSION   /dev/net/tun may not be opened, or CAP_NET_ADMIN is missing
 *   ERR_UNSUPPORTED  the kernel's TUN driver lacks the virtio header
 *   ERR_NOMEM, ERR_IO
 * Where the kernel lacks several queues there is one: ask tun_n_queues.
 */
enum err tun_open(struct tun **ret, const struct tun_config *config, struct fault *fault);

/* Gives an interface of layer 2, while it is down, another MAC address than the random one that it has. ERR_ARGUMENT:
 * no interface can have that one; ERR_PERMISSION, ERR_IO. */
enum err tun_set_mac(struct tun *tun, const uint8_t mac[static 6], struct fault *fault);

/* Removes the interface. NULL is allowed. */
void tun_close(struct tun *tun);

const char *tun_name(const struct tun *tun); /* as given or chosen; valid until tun_close */
uint32_t tun_ifindex(const struct tun *tun);
unsigned int tun_n_queues(const struct tun *tun);
int tun_fd(const struct tun *tun, unsigned int queue); /* to wait on; non-blocking, stays the interface's */
unsigned int tun_features(const struct tun *tun);      /* TUN_F_ bits: what the kernel may hand over unfinished */
bool tun_has_uso(const struct tun *tun);               /* UDP super-packets may be read and written */

/*
 * Reads one packet, header first, into buf of `size` bytes; a longer packet would be cut, so size
 * is at least TUN_READ_SIZE. *ret_len > TUN_HEADER_LEN on success.
 *   ERR_AGAIN      nothing waiting
 *   ERR_NOT_FOUND  the interface was removed
 *   ERR_IO         anything else, errno kept
 */
enum err tun_read(struct tun *tun, unsigned int queue, uint8_t *buf, size_t size, size_t *ret_len);

/*
 * Writes one packet gathered from n pieces, header first. All or nothing.
 *   ERR_AGAIN      the kernel has no room now: drop the packet
 *   ERR_FORMAT     the kernel refused the packet or its header
 *   ERR_STATE      the interface is down
 *   ERR_NOT_FOUND  the interface was removed
 *   ERR_IO         anything else, errno kept
 */
enum err tun_writev(struct tun *tun, unsigned int queue, const struct iovec *iov, size_t n);
