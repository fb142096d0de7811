#include "handshake/hello.h"

#include "base/secret.h"

/* In a slot: the key of the tag, then the mask of the marks. */
#define HELLO_PART 0
#define WELCOME_PART 96
#define MASK_AT POLY1305_KEY_LEN
static_assert(WELCOME_PART == POLY1305_KEY_LEN + PAD_MARKS_LEN);
static_assert(WELCOME_PART + POLY1305_KEY_LEN + PAD_MARKS_LEN <= HELLO_SLOT_LEN);

static void mask(uint8_t marks[static PAD_MARKS_LEN], const uint8_t *part)
{
	for (size_t i = 0; i < PAD_MARKS_LEN; i++)
		marks[i] ^= part[MASK_AT + i];
}

static void marks_write(uint8_t out[static PAD_MARKS_LEN], const struct hello_marks *m)
{
	struct writer w = writer_of(out, PAD_MARKS_LEN);
	writer_u64(&w, m->sent);
	writer_u64(&w, m->received);
	writer_u64(&w, m->boundary);
	writer_bytes(&w, m->random, sizeof m->random);
	writer_u8(&w, m->status);
	writer_u8(&w, m->max_zero_run);
	writer_zeros(&w, PAD_MARKS_LEN - w.at);
}

static enum err marks_read(struct hello_marks *ret, const uint8_t in[static PAD_MARKS_LEN])
{
	struct reader r = reader_of(in, PAD_MARKS_LEN);
	struct hello_marks m = {.sent = reader_u64(&r), .received = reader_u64(&r), .boundary = reader_u64(&r)};
	reader_copy(&r, m.random, sizeof m.random);
	m.status = reader_u8(&r);
	m.max_zero_run = reader_u8(&r);
	const size_t rest = reader_left(&r);
	if (!secret_is_zero(reader_take(&r, rest), rest))
		return ERR_FORMAT;
	*ret = m;
	return OK;
}

/* The rest of a message, whose header is there. */
static enum err seal(
	struct poly1305 *mac, const uint8_t *part, const struct hello_marks *marks, uint8_t *out, size_t header)
{
	const size_t body = header + PAD_MARKS_LEN;
	marks_write(out + header, marks);
	mask(out + header, part);
	const enum err err = poly1305_tag(mac, part, VIEW(out, body), out + body);
	if (err != OK)
		memset(out, 0, body);
	return err;
}

static enum err unseal(
	struct poly1305 *mac, const uint8_t *part, const uint8_t *data, size_t header, struct hello_marks *ret)
{
	const size_t body = header + PAD_MARKS_LEN;
	enum err err = poly1305_check(mac, part, VIEW(data, body), data + body);
	if (err != OK)
		return err;
	uint8_t marks[PAD_MARKS_LEN];
	memcpy(marks, data + header, sizeof marks);
	mask(marks, part);
	err = marks_read(ret, marks);
	secret_wipe(marks, sizeof marks);
	return err;
}

enum err hello_build(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const struct hello *hello,
	uint8_t out[static PAD_HELLO_LEN])
{
	struct pad_hello m = {.type = MSG_PAD_HELLO, .version = WIRE_VERSION};
	le32_put(m.sender, hello->sender);
	le32_put(m.slot, hello->slot);
	memcpy(out, &m, sizeof m);
	return seal(mac, slot + HELLO_PART, &hello->marks, out, offsetof(struct pad_hello, marks));
}

enum err welcome_build(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const struct hello *welcome,
	uint8_t out[static PAD_WELCOME_LEN])
{
	struct pad_welcome m = {.type = MSG_PAD_WELCOME, .version = WIRE_VERSION};
	le32_put(m.sender, welcome->sender);
	le32_put(m.receiver, welcome->receiver);
	le32_put(m.slot, welcome->slot);
	memcpy(out, &m, sizeof m);
	return seal(mac, slot + WELCOME_PART, &welcome->marks, out, offsetof(struct pad_welcome, marks));
}

static bool header_read(struct reader *r, uint8_t type)
{
	const bool is_this = reader_u8(r) == type, is_now = reader_u8(r) == WIRE_VERSION;
	return reader_u16(r) == 0 && is_this && is_now;
}

enum err hello_parse(struct hello *ret, const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const bool is_right = len == PAD_HELLO_LEN && header_read(&r, MSG_PAD_HELLO);
	const struct hello h = {.sender = reader_u32(&r), .slot = reader_u32(&r)};
	if (!is_right)
		return ERR_FORMAT;
	*ret = h;
	return OK;
}

enum err welcome_parse(struct hello *ret, const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const bool is_right = len == PAD_WELCOME_LEN && header_read(&r, MSG_PAD_WELCOME);
	const struct hello h = {.sender = reader_u32(&r), .receiver = reader_u32(&r), .slot = reader_u32(&r)};
	if (!is_right)
		return ERR_FORMAT;
	*ret = h;
	return OK;
}

enum err hello_open(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const uint8_t *data, size_t len,
	struct hello *ret)
{
	struct hello h;
	enum err err = hello_parse(&h, data, len);
	if (err == OK)
		err = unseal(mac, slot + HELLO_PART, data, offsetof(struct pad_hello, marks), &h.marks);
	if (err == OK)
		*ret = h;
	return err;
}

enum err welcome_open(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const uint8_t *data, size_t len,
	struct hello *ret)
{
	struct hello h;
	enum err err = welcome_parse(&h, data, len);
	if (err == OK)
		err = unseal(mac, slot + WELCOME_PART, data, offsetof(struct pad_welcome, marks), &h.marks);
	if (err == OK)
		*ret = h;
	return err;
}
