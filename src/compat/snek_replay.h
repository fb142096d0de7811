/*
 * Which of the peer's frames have been received, as well as the protocol's bytes let one know.
 *
 * The sequence number is not authenticated, the nonce is. If the peer counts its nonces as jorm does (snek_sender.h),
 * which its first two packets show, a window over them (transport/replay) finds every replay, and sequence numbers
 * do not matter. The older program draws its nonces, so two means together have to do:
 *
 *   - the nonces of the last SNEK_HISTORY packets are known (snek_history.h);
 *   - a frame SNEK_REPLAY_WINDOW or more behind the highest sequence number is refused. The window is half as long as
 *     the history, so a frame that is sent again as it was is always found by one of the two.
 *
 * What gets through, then: a packet of the older program from before that history, sent again with another sequence
 * number by someone on the path. Repeated sequence numbers are as good as others, as they are for the older program.
 *
 * Someone on the path can also be quicker than a genuine frame with a copy of it that has a false sequence number. Were
 * that believed, it would cost all that follows. So a jump of more than SNEK_REPLAY_JUMP does not move the window,
 * and after SNEK_REPLAY_ASTRAY packets in a row from behind the window or beyond such a jump it begins anew there. (An
 * old recording, sent again while the peer is silent, moves it too; as above, it needed only other numbers.)
 *
 * Pure; one thread.
 */
#pragma once

#include "compat/snek_history.h"

#define SNEK_REPLAY_WINDOW (SNEK_HISTORY / 2) /* datagrams */
#define SNEK_REPLAY_JUMP (1U << 24)           /* datagrams */
#define SNEK_REPLAY_ASTRAY 32

struct snek_replay;

enum err snek_replay_new(struct snek_replay **ret); /* ERR_NOMEM */
void snek_replay_free(struct snek_replay *replay);  /* NULL is fine */

/* Is the nonce known to be used up? To be asked before anything is spent on a frame; nothing changes. */
bool snek_replay_is_seen(const struct snek_replay *replay, const uint8_t nonce[static AEAD_NONCE_LEN]);

/* Of a packet whose tag has verified. `seq`: of its datagram; of several, of the one that came last.
 * ERR_REPLAY: seen before, or too old to tell. */
enum err snek_replay_accept(struct snek_replay *replay, const uint8_t nonce[static AEAD_NONCE_LEN], uint64_t seq);

/* Does the peer count its nonces? False until its first two packets have shown it. */
bool snek_replay_peer_counts(const struct snek_replay *replay);
