/*
 * A frame from the TAP queue: flags, then virtio_net_hdr, then the frame. It is cut, and what comes of it goes through
 * the joiner, as if it had been received; so does the frame itself, as a peer might send it, with and without the flag
 * of an unfinished checksum.
 */
#include "fuzz.h"

#include "transport/join.h"
#include "transport/segment.h"

#define HELD_MAX 512

static void deliver(void *context, const struct iovec *iov, int n)
{
	size_t *total = context;
	static uint8_t sink[1 << 17];
	struct virtio_net_hdr header;
	size_t len = 0;
	MUST(n >= 2 && n <= JOIN_SEGMENTS + 2 && iov[0].iov_len == sizeof header);
	memcpy(&header, iov[0].iov_base, sizeof header);
	for (int i = 1; i < n; i++) {
		MUST(len + iov[i].iov_len <= sizeof sink);
		memcpy(sink + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	MUST(len >= ETHER_HEADER_LEN);
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		MUST((size_t)header.csum_start + header.csum_offset + 2 <= len);
	*total += 1;
}

static void put(struct joiner *joiner, const uint8_t *frame, size_t len, bool partial)
{
	struct ether_frame ether;
	MUST(ether_parse(&ether, frame, len) == OK && ether.header_len <= len);
	(void)!join_frame(joiner, frame, len, &ether, partial);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint8_t flags = reader_u8(&r);
	struct virtio_net_hdr header;
	reader_copy(&r, &header, sizeof header);
	struct view rest = fuzz_take(&r, SIZE_MAX);
	if (r.failed)
		return 0;
	uint8_t *frame = fuzz_copy(rest), *held[HELD_MAX];
	size_t delivered = 0, n = 0, got;
	struct joiner joiner;
	struct segmenter s;
	struct ether_frame ether;
	joiner_init(&joiner, (struct join_output){deliver, &delivered}, flags & 1);
	bool is_frame = ether_parse(&ether, frame, rest.len) == OK;
	if (is_frame && segmenter_init_frame(&s, &header, &ether, frame, rest.len) == OK) {
		MUST(s.largest <= 65535 && s.count >= 1);
		if (flags & 2)
			s.partial = false;
		uint8_t *out = malloc(s.largest);
		while (n < HELD_MAX && (got = segmenter_next(&s, out))) {
			MUST(got <= s.largest && memcmp(out, frame, ether.header_len) == 0);
			held[n++] = fuzz_copy(VIEW(out, got));
			put(&joiner, held[n - 1], got, s.partial);
		}
		free(out);
	}
	if (is_frame)
		put(&joiner, frame, rest.len, flags & 4);
	join_flush(&joiner);
	MUST(delivered <= n + 1);
	while (n)
		free(held[--n]);
	free(frame);
	return 0;
}
