#include "pad/layout.h"

#define PAGE ((uint64_t)4096)

enum err pad_layout_of(struct pad_layout *ret, uint64_t size)
{
	if (size < PAD_SIZE_MIN)
		return ERR_FORMAT;
	if (size > PAD_SIZE_MAX)
		return ERR_TOO_BIG;
	uint64_t hello = size / 16 < PAD_HELLO_MAX ? size / 16 : PAD_HELLO_MAX;
	uint64_t end = size - size % PAGE; /* whole pages can be given back to the file system when burned */
	struct pad_layout l = {.size = size, .n_slots = (uint32_t)(hello / PAD_SLOT_LEN)};
	l.n_blocks = (end - pad_slot_offset(l.n_slots)) / PAD_BLOCK;
	l.traffic = end - l.n_blocks * PAD_BLOCK;
	*ret = l;
	return OK;
}

uint64_t pad_offset(const struct pad_layout *l, enum pad_role role, uint64_t position)
{
	if (role == PAD_RESPONDER)
		return l->traffic + position;
	return l->traffic + (l->n_blocks - 1 - position / PAD_BLOCK) * PAD_BLOCK + position % PAD_BLOCK;
}

bool pad_position(const struct pad_layout *l, enum pad_role role, uint64_t offset, uint64_t *ret)
{
	if (offset < l->traffic || offset - l->traffic >= l->n_blocks * PAD_BLOCK)
		return false;
	uint64_t at = offset - l->traffic;
	*ret = role == PAD_RESPONDER ? at : (l->n_blocks - 1 - at / PAD_BLOCK) * PAD_BLOCK + at % PAD_BLOCK;
	return true;
}

uint64_t pad_slot_offset(uint32_t slot)
{
	return PAD_IDENTITY_LEN + (uint64_t)slot * PAD_SLOT_LEN;
}
