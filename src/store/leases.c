#include "store/private.h"

#include <string.h>

/* An address as the table has it: 4 bytes or 16. */
struct stored_address {
	const uint8_t *bytes;
	int len, family;
};

static bool address_of(const struct prefix *p, struct stored_address *ret)
{
	if (p->bits != (p->v4 ? 32 : 128) || p->v4 != addr_is_v4(p->ip))
		return false;
	*ret = p->v4 ? (struct stored_address){.bytes = p->ip + 12, .len = 4, .family = 4}
		     : (struct stored_address){.bytes = p->ip, .len = 16, .family = 6};
	return true;
}

static enum err no_single_address(const struct prefix *p, struct fault *fault)
{
	char text[ADDR_TEXT_LEN];
	return fault_set(
		fault, ERR_ARGUMENT, "%s is no single address: a lease is /32 or /128", prefix_format(p, text));
}

/* Why the table did not take a lease, for a person. */
static enum err say_conflict(
	struct store *s, const struct store_lease *lease, const struct stored_address *address, struct fault *fault)
{
	char text[ADDR_TEXT_LEN], name[STORE_NAME_LEN] = "";
	sqlite3_stmt *holder = s->statements[LEASE_HOLDER];
	(void)sqlite3_bind_blob(holder, 1, address->bytes, address->len, SQLITE_STATIC);
	bool is_held = sqlite3_step(holder) == SQLITE_ROW;
	if (is_held)
		(void)store_column_text(holder, 0, name, sizeof name);
	(void)sqlite3_reset(holder);
	(void)sqlite3_clear_bindings(holder);
	(void)addr_format_ip(lease->address.ip, text);
	if (is_held)
		return fault_set(fault, ERR_EXISTS,
			"the address %s is leased to another key (of peer %s): end that lease first", text, name);
	return fault_set(fault, ERR_EXISTS, "peer %s has a lease of another IPv%d address than %s: end that one first",
		lease->name, address->family, text);
}

static void bind_lease(sqlite3_stmt *s, const struct store_lease *lease, const struct stored_address *address)
{
	(void)sqlite3_bind_blob(s, 1, address->bytes, address->len, SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 2, lease->key_id, sizeof lease->key_id, SQLITE_STATIC);
	(void)sqlite3_bind_text(s, 3, lease->name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 4, lease->last_seen);
}

enum err store_lease_put(struct store *store, const struct store_lease *lease, struct fault *fault)
{
	struct stored_address address;
	if (!address_of(&lease->address, &address))
		return no_single_address(&lease->address, fault);
	if (!store_is_text(lease->name, sizeof lease->name) || lease->given_at < 0 || lease->last_seen < 0)
		return fault_set(fault, ERR_ARGUMENT, "a lease's name ends within %d bytes, its times are not negative",
			STORE_NAME_LEN);

	/* Two statements, each a transaction of its own: the first changes nothing unless it is all there is to do. */
	bind_lease(store->statements[LEASE_RENEW], lease, &address);
	int rc = store_run(store, LEASE_RENEW);
	if (rc == SQLITE_OK && sqlite3_changes(store->db) > 0)
		return OK;
	if (rc == SQLITE_OK) {
		sqlite3_stmt *insert = store->statements[LEASE_INSERT];
		bind_lease(insert, lease, &address);
		(void)sqlite3_bind_int64(insert, 5, lease->given_at);
		(void)sqlite3_bind_int(insert, 6, address.family);
		rc = store_run(store, LEASE_INSERT);
	}
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return say_conflict(store, lease, &address, fault);
	return rc == SQLITE_OK ? OK : store_fault(store->db, rc, store->path, "record a lease in", fault);
}

enum err store_lease_delete(struct store *store, const struct prefix *prefix, struct fault *fault)
{
	struct stored_address address;
	if (!address_of(prefix, &address))
		return no_single_address(prefix, fault);
	(void)sqlite3_bind_blob(store->statements[LEASE_DELETE], 1, address.bytes, address.len, SQLITE_STATIC);
	int rc = store_run(store, LEASE_DELETE);
	return rc == SQLITE_OK ? OK : store_fault(store->db, rc, store->path, "end a lease in", fault);
}

static bool lease_of_row(sqlite3_stmt *row, struct store_lease *ret)
{
	struct store_lease lease = {
		.given_at = sqlite3_column_int64(row, 3), .last_seen = sqlite3_column_int64(row, 4)};
	bool v4 = sqlite3_column_bytes(row, 1) == 4;
	lease.address = (struct prefix){.v4 = v4, .bits = v4 ? 32 : 128};
	if (v4)
		memset(lease.address.ip + 10, 0xff, 2);
	if (!store_column_bytes(row, 0, lease.key_id, sizeof lease.key_id) ||
		!store_column_bytes(row, 1, lease.address.ip + (v4 ? 12 : 0), v4 ? 4 : 16) ||
		!store_column_text(row, 2, lease.name, sizeof lease.name))
		return false;
	*ret = lease;
	return true;
}

enum err store_leases(struct store *store, bool (*each)(void *context, const struct store_lease *lease), void *context,
	struct fault *fault)
{
	sqlite3_stmt *all = store->statements[LEASE_ALL];
	struct store_lease lease;
	bool goes_on = true;
	int rc = SQLITE_DONE;
	while (goes_on && (rc = sqlite3_step(all)) == SQLITE_ROW) {
		if (!lease_of_row(all, &lease)) {
			rc = SQLITE_CORRUPT;
			break;
		}
		goes_on = each(context, &lease);
	}
	(void)sqlite3_reset(all);
	return rc == SQLITE_DONE || !goes_on ? OK
					     : store_fault(store->db, rc, store->path, "read the leases in", fault);
}

enum err store_leases_seen(
	struct store *store, const uint8_t (*key_ids)[STORE_KEY_ID_LEN], size_t n, int64_t now, struct fault *fault)
{
	if (now < 0)
		return fault_set(fault, ERR_ARGUMENT, "a lease's times are not negative");
	if (n == 0)
		return OK;
	int rc = store_run(store, STATEMENT_BEGIN);
	for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
		(void)sqlite3_bind_blob(store->statements[LEASE_SEEN], 1, key_ids[i], STORE_KEY_ID_LEN, SQLITE_STATIC);
		(void)sqlite3_bind_int64(store->statements[LEASE_SEEN], 2, now);
		rc = store_run(store, LEASE_SEEN);
	}
	if (rc == SQLITE_OK)
		rc = store_run(store, STATEMENT_COMMIT);
	if (rc == SQLITE_OK)
		return OK;
	enum err err = store_fault(store->db, rc, store->path, "record who was here in", fault);
	store_roll_back(store);
	return err;
}
