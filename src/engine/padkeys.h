/* Pads beside key exchanges: secrets, and the marks of masked links. Private to the engine. */
#pragma once

#include "engine/private.h"
#include "transport/rekey.h"

/* Does a secret of the pad go into each? */
bool padkeys_has_secret(const struct peer *p);
struct rekey_pad padkeys_rekey(struct peer *p);
/* What an initiator needs for this peer's pad. */
void padkeys_configure(struct peer *p, struct initiator_config *config);
/* The responder's find_pad, and what the pad has to say to an initiator. Not OK: *reason is filled. */
enum err padkeys_find(void *context, const uint8_t key_id[static KEY_ID_LEN], const uint8_t pad_ref[static PAD_REF_LEN],
	uint8_t secret[static PAD_SECRET_LEN]);
enum err padkeys_admit(struct peer *p, const struct responder_claim *claim, struct reject_reason *reason);
/* Our marks, for Accept; the peer's, from the first of a session: ERR_STATE: there is to be none. */
void padkeys_tell(struct peer *p, struct accept *accept);
enum err padkeys_take_accept(struct peer *p, const struct accept *accept);
