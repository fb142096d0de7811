#include "otp_end.h"

#include <stdlib.h>
#include <string.h>

void otp_end_init(struct otp_end *e, const uint8_t *file, uint64_t size, enum pad_role role, struct seeded *seed)
{
	*e = (struct otp_end){.options = {.role = role}};
	disk_init(&e->disk, file, size, seed);
	assert_err(otptunnel_id(e->id, file), OK);
}

void otp_end_done(struct otp_end *e)
{
	otp_end_stop(e);
	disk_done(&e->disk);
}

enum err otp_end_try(struct otp_end *e, struct fault *fault)
{
	const struct pad_medium medium = disk_medium(&e->disk);
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	memcpy(copies, e->disk.copies, sizeof copies);
	return otp_pad_new(&e->pad, &medium, e->disk.size, e->id, copies, &e->options, "key", fault);
}

void otp_end_start(struct otp_end *e)
{
	struct fault fault;
	if (otp_end_try(e, &fault) != OK)
		fail_msg("%s", fault.text);
}

void otp_end_stop(struct otp_end *e)
{
	otp_pad_free(e->pad);
	e->pad = NULL;
}

void otp_end_kill(struct otp_end *e)
{
	e->disk.is_dead = true;
	otp_end_stop(e);
	disk_revive(&e->disk);
	otp_end_start(e);
}

void otp_end_refused(struct otp_end *e, enum err code, const char *words)
{
	struct fault fault;
	assert_err(otp_end_try(e, &fault), code);
	assert_null(e->pad);
	assert_err(fault.code, code);
	if (!strstr(fault.text, words))
		fail_msg("\"%s\" has not \"%s\"", fault.text, words);
}

struct ledger otp_end_ledger(const struct otp_end *e)
{
	struct ledger l;
	assert_err(ledger_choose(&l, e->disk.copies), OK);
	return l;
}

enum err otp_end_seal(struct otp_end *e, size_t len, uint8_t *frame, uint8_t *datagram, size_t *ret_len)
{
	seeded_bytes(e->disk.seed, frame, len);
	enum err err = otp_pad_seal(e->pad, frame, len, datagram, ret_len);
	if (err == ERR_AGAIN) {
		otp_pad_serve(e->pad, 0);
		err = otp_pad_seal(e->pad, frame, len, datagram, ret_len);
	}
	return err;
}

enum err otp_end_open(struct otp_end *e, usec now, const uint8_t *datagram, size_t len, uint8_t *frame, size_t *ret_len)
{
	uint8_t *copy = malloc(len ? len : 1); /* of exactly its length: the sanitiser sees more */
	bool is_new;
	memcpy(copy, datagram, len);
	enum err err = otp_pad_open(e->pad, now, copy, len, ret_len, &is_new);
	if (err == OK)
		memcpy(frame, copy, *ret_len);
	free(copy);
	return err;
}

uint64_t otp_offset_of(const uint8_t *datagram, size_t len)
{
	uint64_t offset = 0;
	for (size_t i = len - OTP_OFFSET_LEN; i < len; i++)
		offset = offset << 8 | datagram[i];
	return offset;
}
