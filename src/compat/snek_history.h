/*
 * The nonces of the last SNEK_HISTORY packets, exactly: the next one pushes out the oldest. They are kept as
 * fingerprints of 64 bits, in an open hash table (linear probing, half full at most) and in a ring in the order of
 * their coming. 6 MiB, touched as it fills. Only authentic nonces belong in here: a stranger could steer where others
 * go.
 */
#pragma once

#include "base/err.h"
#include "crypto/aead.h"

#include <stdbool.h>

#define SNEK_HISTORY (1U << 18)

struct snek_history;

enum err snek_history_new(struct snek_history **ret); /* ERR_NOMEM */
void snek_history_free(struct snek_history *history); /* NULL is fine */

bool snek_history_has(const struct snek_history *history, const uint8_t nonce[static AEAD_NONCE_LEN]);

/* ERR_REPLAY: it is there already; nothing changes then. */
enum err snek_history_add(struct snek_history *history, const uint8_t nonce[static AEAD_NONCE_LEN]);
