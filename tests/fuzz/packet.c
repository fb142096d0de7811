/*
 * A packet from the TUN queue: flags, then virtio_net_hdr, then the packet. It is cut, and what comes
 * of it goes through the joiner, as if it had been received.
 */
#include "fuzz.h"

#include "transport/join.h"
#include "transport/segment.h"

#define HELD_MAX 512

static void deliver(void *context, const struct iovec *iov, int n)
{
	size_t *total = context;
	static uint8_t sink[1 << 17];
	size_t len = 0;
	MUST(n >= 2 && n <= JOIN_SEGMENTS + 2 && iov[0].iov_len == sizeof(struct virtio_net_hdr));
	for (int i = 1; i < n; i++) {
		MUST(len + iov[i].iov_len <= sizeof sink);
		memcpy(sink + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	*total += 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint8_t flags = reader_u8(&r);
	struct virtio_net_hdr header;
	reader_copy(&r, &header, sizeof header);
	struct view rest = fuzz_take(&r, SIZE_MAX);
	if (r.failed || rest.len == 0)
		return 0;
	uint8_t *packet = fuzz_copy(rest), *held[HELD_MAX];
	size_t delivered = 0, n = 0, got;
	struct joiner joiner;
	struct segmenter s;
	joiner_init(&joiner, (struct join_output){deliver, &delivered}, flags & 1);
	if (segmenter_init(&s, &header, packet, rest.len) == OK) {
		MUST(s.largest <= 65535 && s.count >= 1);
		if (flags & 2)
			s.partial = false;
		uint8_t *out = malloc(s.largest);
		while (n < HELD_MAX && (got = segmenter_next(&s, out))) {
			struct ip_packet ip;
			MUST(got <= s.largest);
			held[n++] = fuzz_copy(VIEW(out, got));
			if (ip_parse(&ip, held[n - 1], got) == OK)
				(void)!join_packet(&joiner, held[n - 1], got, &ip, s.partial);
			else
				MUST(s.count > 1); /* a single packet was parsed before */
		}
		free(out);
	}
	join_flush(&joiner);
	MUST(delivered <= n);
	while (n)
		free(held[--n]);
	free(packet);
	return 0;
}
