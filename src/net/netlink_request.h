/*
 * Private to src/net: one rtnetlink request and its answer, and the faults of refused ones.
 * Errors inside are errno values, since each request gives them its own meaning.
 */
#pragma once

#include "net/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#define NETLINK_REQUEST_SIZE 512 /* the largest request has some 100 bytes */
#define NETLINK_DETAIL_SIZE 128  /* the kernel's explanation */

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	char detail[NETLINK_DETAIL_SIZE]; /* the kernel's explanation of the last failure, or "" */
};

struct netlink_request {
	union {
		struct nlmsghdr header;
		uint8_t bytes[NETLINK_REQUEST_SIZE];
	};
};

/* Starts a request with a zeroed type-specific header of `len` bytes, which is returned. */
void *netlink_request_init(struct netlink_request *request, uint16_t type, uint16_t flags, size_t len);

/* Appends 4 or 16 bytes. */
void netlink_request_put_ip(struct netlink_request *request, uint16_t type, const uint8_t ip[16], bool v4);

/*
 * Sends a request and reads to the end of its answer; `each` (may be NULL) sees every message of
 * it and returns MNL_CB_OK. Returns 0 or errno's value.
 */
int netlink_request_run(struct netlink *netlink, struct netlink_request *request, mnl_cb_t each, void *context);

/* For a fault: the interface's name, or its number if it is gone. */
const char *netlink_name_of(struct netlink *netlink, uint32_t ifindex, char out[static NETLINK_NAME_SIZE]);

/* "cannot WHAT INTERFACE", the reason, the kernel's explanation, the remedy. */
enum err netlink_refused(struct netlink *netlink, int error, uint32_t ifindex, const char *what, struct fault *fault);

/* "cannot VERB PREFIX PREPOSITION INTERFACE" likewise; knows that IPv6 can be switched off. */
enum err netlink_refused_prefix(struct netlink *netlink, int error, uint32_t ifindex, const char *verb,
	const struct prefix *prefix, const char *preposition, struct fault *fault);
