/*
 * snek's key exchange over a connected TCP socket, both roles:
 *
 *     client: 1568 u32le | KEM key      server: 1568 u32le | ciphertext      client: the meta message (snek_meta.h)
 *
 * Blocks, for as long as `deadline` (of clock_now) lets it: one for all, however slowly bytes trickle. A byte in
 * stop_fd (an eventfd; -1: none) ends it at once and is not taken out. The socket may block or not; its flags stay as
 * they are, nothing is closed, and no signal is raised. What a stranger may send is bounded: other lengths than these
 * are refused before anything is read for them. On error ret_data_key is zeroed; the caller wipes it after use.
 *
 * What it gives: the server knows that the client has one of the keys in its folder. The client knows nothing of the
 * server: whoever answers first is believed. That is the protocol's, and cannot be mended here.
 *
 * Errors, all with a fault in words (but without the peer's address, which the caller knows): ERR_AGAIN: the deadline
 * has passed; ERR_STATE: stopped; ERR_IO: closed or broken by the peer; ERR_FORMAT: a length or an encoding is wrong;
 * ERR_AUTH: the meta message does not open, or the signature is nobody's; ERR_ARGUMENT: the identity is no ML-DSA-65
 * key; ERR_CRYPTO, ERR_NOMEM; for the server also those of snek_authorized_find.
 */
#pragma once

#include "base/clock.h"
#include "compat/snek_authorized.h"

/* Returns OK when all is sent. Whether the server takes it is not said on this socket: it sends its first datagram, or
 * nothing. The caller closes the socket at once, for that is what the server waits for. */
enum err snek_exchange_client(int fd, const struct identity *id, int stop_fd, usec deadline,
	uint8_t ret_data_key[static AEAD_KEY_LEN], struct fault *fault);

/* Returns OK when the client has closed its end, too: only then is it on its way to its UDP port. `folder`: of
 * authorised keys; ret_key_name: the one that fits (snek_authorized_find), empty on error. */
enum err snek_exchange_server(int fd, const char *folder, int stop_fd, usec deadline,
	uint8_t ret_data_key[static AEAD_KEY_LEN], char ret_key_name[static NAME_MAX + 1], struct fault *fault);
