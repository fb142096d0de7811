/*
 * State that outlives the process: leases and peers added at run time, in one SQLite file for each tunnel
 * (StateDirectory/INSTANCE.db). All SQL is here. It hides the schema and its migrations; rows come and go as plain
 * structs.
 *
 * What has been written when a function returns OK is on disk: it survives kill -9 and power loss at any moment
 * (docs/decisions/0014). One commit is one fdatasync. What has failed with ERR_IO is not there, but may come back after a
 * crash, if it was the disk that failed.
 *
 * One process at a time has the file, from open to close. Not thread safe: the control thread owns it. Locks do not pass
 * through fork(2): open it after the last one.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_ID_LEN 32
#define STORE_NAME_LEN 64 /* with its NUL */
#define STORE_TEXT_LEN 256

struct store;

/*
 * Opens or makes the file (0600), and brings an older schema up to date in one transaction. ERR_FORMAT: damaged, or
 * no file of ours, or of a newer version of the program: it is left exactly as it is, nothing is made beside it, and the
 * fault says what to do with it. ERR_EXISTS: another process has it. ERR_PERMISSION: it may not be written, or it is a
 * link, or others may write to it or its folder. ERR_NOT_FOUND: no such folder (links in its path are followed).
 * ERR_ARGUMENT: no path of a file. ERR_IO (disk full, read-only, ...), ERR_NOMEM. *ret is NULL unless OK.
 */
enum err store_open(struct store **ret, const char *path, struct fault *fault);
void store_close(struct store *store); /* NULL is fine */

/* Unix time, in seconds, everywhere here; not negative. Texts end within their arrays. Else ERR_ARGUMENT. */
struct store_lease {
	uint8_t key_id[STORE_KEY_ID_LEN];
	struct prefix address;     /* /32 or /128 */
	char name[STORE_NAME_LEN]; /* the peer's when it last came */
	int64_t given_at, last_seen;
};

/*
 * Records a lease, or renews it: name and last_seen are taken over, given_at stays. ERR_EXISTS: the address is another
 * key's, or the key has another address of this family. ERR_ARGUMENT: no single address. ERR_IO: not recorded (disk full,
 * ...); nothing has changed, and it may be tried again.
 */
enum err store_lease_put(struct store *store, const struct store_lease *lease, struct fault *fault);
/* OK also when there is none. ERR_ARGUMENT, ERR_IO. */
enum err store_lease_delete(struct store *store, const struct prefix *address, struct fault *fault);
/* All, by address, IPv4 first; `each` returns false to stop, and leaves the store alone. ERR_FORMAT, ERR_IO. */
enum err store_leases(struct store *store, bool (*each)(void *context, const struct store_lease *lease), void *context,
	struct fault *fault);
/* The peers' last_seen, in one transaction: what a crash loses of it is no harm. Keys without a lease are skipped. */
enum err store_leases_seen(struct store *store, const uint8_t (*key_ids)[STORE_KEY_ID_LEN], size_t n, int64_t now,
	struct fault *fault);

/* A peer added at run time (`jorm peer add`). Texts are as the configuration file would have them; empty: not given. */
struct store_peer {
	char name[STORE_NAME_LEN]; /* not empty */
	uint8_t key_id[STORE_KEY_ID_LEN];
	char endpoint[STORE_TEXT_LEN];
	char allowed_ips[1024];
	uint16_t keepalive_s;
	int64_t added_at;
};
/* ERR_EXISTS: the name or the key is another's, the fault says which. ERR_ARGUMENT, ERR_IO. */
enum err store_peer_put(struct store *store, const struct store_peer *peer, struct fault *fault);
/* ERR_NOT_FOUND: no such was added. ERR_IO. */
enum err store_peer_delete(struct store *store, const char *name, struct fault *fault);
/* All, by name; `each` as above. ERR_FORMAT, ERR_IO. */
enum err store_peers(struct store *store, bool (*each)(void *context, const struct store_peer *peer), void *context,
	struct fault *fault);
