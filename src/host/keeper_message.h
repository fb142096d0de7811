/*
 * What daemon and keeper say to each other: one struct a packet, of one machine and one program, so plain integers. The
 * keeper believes nothing of what comes from the daemon: sizes are exact, texts end within their field, names are of
 * the characters that names have.
 *
 * There are two socket pairs. Over `orders` each order gets one reply. Over `questions` struct keeper_question goes
 * one way and struct keeper_answer (keeper.h) comes back, in any order.
 */
#pragma once

#include "base/err.h"
#include "host/dns.h"
#include "host/keeper.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

enum keeper_order { ORDER_HOOK = 1, ORDER_APPLY, ORDER_RELOAD, ORDER_OPEN, ORDER_LOG, ORDER_STOP };
#define ORDER_COUNT (ORDER_STOP + 1)

/* RELOAD; LOG, which has the new standard error beside it; STOP, with `value`: lift the kill switch. */
struct order_plain {
	uint32_t order, value;
};
/* The index-th command of a kind; the reply is ERR_NOT_FOUND when there are fewer. */
struct order_hook {
	uint32_t order, hook, index;
};
#define DOMAIN_SIZE 256
struct order_apply {
	uint32_t order, fwmark, table;
	uint32_t default_v4, default_v6; /* 0 or 1 */
	uint32_t server_count, domain_count;
	char interface[CONFIG_IFNAME_LEN];
	uint8_t servers[DNS_SERVERS_MAX][16];
	char domains[DNS_DOMAINS_MAX][DOMAIN_SIZE];
};
struct order_open {
	uint32_t order, writable; /* 0 or 1 */
	char path[PATH_MAX];
};
union keeper_any_order {
	uint32_t order;
	struct order_plain plain;
	struct order_hook hook;
	struct order_apply apply;
	struct order_open open;
};

/* To each order, and once unasked when the keeper is ready. An opened file is beside it. */
struct keeper_reply {
	uint32_t err;
	char text[sizeof(((struct fault *)0)->text)];
};

#define QUESTION_HOST_SIZE 256
struct keeper_question {
	uint32_t tag, port;
	char host[QUESTION_HOST_SIZE];
};

/* Sends one, with a descriptor beside it if fd >= 0; false: it did not go. */
bool message_send(int socket, const void *data, size_t size, int fd);

/*
 * Receives one. Returns its size, which is larger than `size` when it was cut; 0 at the end; -1 and errno. At most one
 * descriptor comes with it: *ret_fd, the caller's, else -1; when ret_fd is NULL it is closed.
 */
ptrdiff_t message_receive(int socket, void *data, size_t size, int *ret_fd);

/* The checks of what a daemon sends. */
bool message_is_text(const char *field, size_t size); /* not empty, ends within the field */
bool message_is_interface(const char field[static CONFIG_IFNAME_LEN]);
bool message_is_domain(const char field[static DOMAIN_SIZE]);
bool message_is_server(const uint8_t ip[static 16]);
bool message_is_apply(const struct order_apply *apply);
