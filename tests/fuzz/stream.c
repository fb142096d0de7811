/* The control stream: what a peer sends, in any order, mixed with what this end does. */
#include "fuzz.h"

#include "transport/stream.h"

static void act(struct stream *s, uint8_t op, struct reader *r, usec *now)
{
	uint8_t out[FRAME_HEADER_LEN + CONTROL_HEADER_LEN + STREAM_PART_MAX], type = reader_u8(r);
	struct writer w = writer_of(out, sizeof out);
	switch (op) {
	case 0:
		(void)!stream_send(s, (enum control_type)type, fuzz_take(r, (size_t)reader_u8(r) * 16));
		break;
	case 1:
		stream_drop(s, (enum control_type)type);
		break;
	case 2:
		stream_confirm(s, (enum control_type)type);
		break;
	case 3:
		*now += type * (100 * USEC_PER_MS);
		break;
	default:
		while (stream_poll(s, *now, &w)) {
			MUST(!w.failed);
			w = writer_of(out, sizeof out);
		}
		MUST(stream_deadline(s) > *now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	struct stream *s;
	usec now = 0;
	MUST(stream_new(&s) == OK);
	while (reader_left(&r)) {
		uint8_t op = reader_u8(&r) & 15;
		if (op < 5) {
			act(s, op, &r, &now);
			continue;
		}
		struct view body = fuzz_take(&r, reader_u16(&r) & 2047), message;
		uint8_t *copy = fuzz_copy(body), type;
		if (stream_input(s, VIEW(copy, body.len), &type, &message) == OK) {
			MUST(type != CONTROL_ACK && message.len <= CONTROL_MESSAGE_MAX);
			free(fuzz_copy(message)); /* can be read */
		}
		free(copy);
	}
	stream_free(s);
	return 0;
}
