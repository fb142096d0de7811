/*
 * Rekey, Data datagrams, control frames and padding sizes against jorm4.json, which an independent
 * program made from docs/protocol.md: byte for byte, both directions.
 */
#include "seeded.h"

#include "transport/keys.h"
#include "transport/padding.h"
#include "transport/rekey.h"
#include "reference.h"
#include "wire/frame.h"

#include <stdio.h>

static json_t *vectors;

/* ---- rekey ---- */

/* Randomness that gives exactly these bytes, one after another. */
struct script {
	struct blob bytes;
	size_t at;
};

static void script_add(struct script *s, json_t *object, const char *name)
{
	struct blob b = bytes(object, name);
	memcpy(s->bytes.data + s->bytes.len, b.data, b.len);
	s->bytes.len += b.len;
}

static void script_fill(void *context, uint8_t *out, size_t n)
{
	struct script *s = context;
	assert_true(n <= s->bytes.len - s->at);
	memcpy(out, s->bytes.data + s->at, n);
	s->at += n;
}

static void assert_epoch(const struct epoch *e, json_t *vector)
{
	assert_bytes(e->r, sizeof e->r, vector, "r");
	assert_bytes(e->rekey, sizeof e->rekey, vector, "rekey");
	assert_bytes(e->k_i2r, sizeof e->k_i2r, vector, "k_i2r");
	assert_bytes(e->k_r2i, sizeof e->k_r2i, vector, "k_r2i");
}

/* The vector's pad: both its ends. */
static enum err take_pad(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN])
{
	struct blob s = bytes(context, "pad_secret"), ref = bytes(context, "pad_ref");
	memcpy(secret, s.data, PAD_SECRET_LEN);
	memcpy(pad_ref, ref.data, PAD_REF_LEN);
	return OK;
}

static enum err find_pad(
	void *context, const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	assert_bytes(pad_ref, PAD_REF_LEN, context, "pad_ref");
	struct blob s = bytes(context, "pad_secret");
	memcpy(secret, s.data, PAD_SECRET_LEN);
	return OK;
}

static void check_rekey(json_t *vector)
{
	json_t *in = field(vector, "inputs");
	struct blob r = bytes(vector, "r_before"), rekey = bytes(vector, "rekey_before");
	struct script starter = {.bytes.len = 0}, answerer = {.bytes.len = 0};
	struct rng starter_rng = {script_fill, &starter}, answerer_rng = {script_fill, &answerer};
	struct epoch now = {0}, next;
	struct rekey_start *start;
	struct rekey1_body one;
	struct rekey2_body two;
	memcpy(now.r, r.data, sizeof now.r);
	memcpy(now.rekey, rekey.data, sizeof now.rekey);
	script_add(&starter, in, "x25519_starter");
	script_add(&starter, in, "kem_d");
	script_add(&starter, in, "kem_z");
	script_add(&answerer, in, "x25519_answerer");
	script_add(&answerer, in, "kem_m");

	const struct rekey_pad with_pad = {.take = take_pad, .find = find_pad, .context = in};
	const struct rekey_pad *pad = bytes(in, "pad_secret").len ? &with_pad : NULL;
	uint32_t index = (uint32_t)number(in, "index_answerer");
	assert_int_equal(rekey_begin(&start, &one, (uint32_t)number(in, "index_starter"), pad, &starter_rng), OK);
	assert_bytes(&one, sizeof one, vector, "rekey1");
	assert_int_equal(rekey_answer(&now, VIEW(&one, sizeof one), index, pad, &answerer_rng, &two, &next), OK);
	assert_bytes(&two, sizeof two, vector, "rekey2");
	assert_epoch(&next, vector);
	memset(&next, 0, sizeof next);
	assert_int_equal(rekey_finish(start, &now, VIEW(&two, sizeof two), &next), OK);
	assert_epoch(&next, vector);
	assert_int_equal(starter.at, starter.bytes.len);
	assert_int_equal(answerer.at, answerer.bytes.len);
	rekey_abandon(start);
}

static void rekeys_match(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	assert_true(json_array_size(field(vectors, "rekeys")) > 1);
	json_array_foreach(field(vectors, "rekeys"), i, vector) check_rekey(vector);
}

/* ---- data ---- */

/* Keys that send under the vector's key to its receiver, or receive under it. */
static struct keys *keys_of(json_t *vector)
{
	struct blob key = bytes(vector, "key");
	struct keys_config config = {.local_index = (uint32_t)number(vector, "receiver"),
		.remote_index = (uint32_t)number(vector, "receiver"),
		.cipher = (enum cipher)number(vector, "suite"),
		.n_lanes = 1,
		.key_send = key.data,
		.key_receive = key.data};
	struct keys *keys;
	assert_int_equal(keys_new(&keys, &config), OK);
	return keys;
}

static void check_frames(json_t *frames, struct view plain)
{
	struct reader r = reader_of(plain.data, plain.len);
	struct frame frame;
	size_t i;
	json_t *expected;
	json_array_foreach(frames, i, expected)
	{
		assert_int_equal(frame_next(&r, &frame), OK);
		assert_int_equal(frame.kind, number(expected, "kind"));
		assert_int_equal(frame.flags, number(expected, "flags"));
		assert_bytes(frame.body, frame.len, expected, "body");
	}
	assert_int_equal(frame_next(&r, &frame), ERR_NOT_FOUND);
}

static void check_data(json_t *vector)
{
	uint8_t datagram[4096] = {0};
	struct writer w = writer_of(datagram + DATA_HEADER_LEN, sizeof datagram - DATA_OVERHEAD);
	size_t i, plain_len = number(vector, "plaintext_length");
	json_t *frame;
	json_array_foreach(field(vector, "frames"), i, frame)
	{
		struct blob body = bytes(frame, "body");
		frame_write(&w, (enum frame_kind)number(frame, "kind"), (uint8_t)number(frame, "flags"),
			VIEW(body.data, body.len));
	}
	assert_false(w.failed);
	assert_bytes(datagram + DATA_HEADER_LEN, w.at, vector, "frames_encoded");
	struct keys *sender = keys_of(vector), *receiver = keys_of(vector);
	assert_int_equal(keys_seal(sender, 0, datagram, plain_len, number(vector, "counter")), OK);
	assert_bytes(datagram, plain_len + DATA_OVERHEAD, vector, "datagram");

	struct blob sealed = bytes(vector, "datagram");
	struct view plain;
	uint64_t counter;
	bool is_newest;
	assert_int_equal(keys_open(receiver, 0, sealed.data, sealed.len, &plain, &counter, &is_newest), OK);
	assert_int_equal(counter, number(vector, "counter"));
	assert_int_equal(plain.len, plain_len);
	check_frames(field(vector, "frames"), plain);
	keys_free(sender);
	keys_free(receiver);
}

static void data_matches(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	assert_true(json_array_size(field(vectors, "data")) > 20);
	json_array_foreach(field(vectors, "data"), i, vector) check_data(vector);
}

/* ---- control, padding ---- */

static void control_matches(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(field(vectors, "control"), i, vector)
	{
		struct blob body = bytes(vector, "body"), encoded = bytes(vector, "encoded");
		struct control_part part;
		assert_int_equal(control_parse(&part, VIEW(encoded.data, encoded.len)), OK);
		assert_int_equal(part.id, number(vector, "id"));
		assert_int_equal(part.ack, number(vector, "ack"));
		assert_int_equal(part.type, number(vector, "type"));
		assert_int_equal(part.part, number(vector, "part"));
		assert_int_equal(part.parts, number(vector, "parts"));
		assert_bytes(part.body.data, part.body.len, vector, "body");

		uint8_t out[4096], frame[4096];
		struct writer w = writer_of(out, sizeof out), f = writer_of(frame, sizeof frame);
		part.body = VIEW(body.data, body.len);
		control_write(&w, &part);
		assert_bytes(out, w.at, vector, "encoded");
		frame_write(&f, FRAME_CONTROL, 0, VIEW(out, w.at));
		assert_bytes(frame, f.at, vector, "frame");
	}
}

static void buckets_match(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(field(vectors, "buckets"), i, vector)
	{
		size_t len = number(vector, "length");
		assert_int_equal(
			padding_size(PADDING_BUCKETS, len, number(vector, "full"), 0), number(vector, "padded"));
		assert_int_equal(padding_size(PADDING_NONE, len, number(vector, "full"), 0), len);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rekeys_match),
		cmocka_unit_test(data_matches),
		cmocka_unit_test(control_matches),
		cmocka_unit_test(buckets_match),
	};
	json_error_t error;
	vectors = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
	if (!vectors) {
		fprintf(stderr, "usage: %s jorm4.json (%s)\n", argv[0], argc == 2 ? error.text : "no file given");
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(vectors);
	return failed;
}
