/*
 * Asking the name servers that systemd-resolved asks, past it. Resolved asks as a user of its own, whom neither the
 * policy rules nor the kill switch let past a tunnel (host/routing.h, host/firewall.h); a tunnel whose peer has a name
 * would wait for an answer that has to come through it. Only for a process that may send (LOOKUP_UID).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where resolved writes down whom it asks. */
#define UPSTREAM_FILE "/run/systemd/resolve/resolv.conf"

/*
 * An address of `host` that there is a way to, IPv4 before IPv6, with `port`. Asks one server after the other, by UDP;
 * blocks for up to 12 s. False, and *ret is unchanged: there is no resolved, or nobody had an answer.
 */
bool upstream_ask(const char *host, uint16_t port, struct sockaddr_storage *ret);

/* The parts, for tests: a question's length, 0 where `host` is no name or does not fit; and the answer's first address
 * of the family, without its port. False: it answers something else, or has none. */
size_t upstream_question(uint8_t *out, size_t size, uint16_t id, const char *host, int family);
bool upstream_answer(const uint8_t *answer, size_t len, const uint8_t *question, size_t question_len, int family,
	struct sockaddr_storage *ret);
