/* Parsers of src/wire and of the handshake's messages: the first byte chooses one, the rest is its input. */
#include "fuzz.h"

#include "handshake/message.h"
#include "wire/accept.h"
#include "wire/control.h"
#include "wire/cookie.h"
#include "wire/frame.h"
#include "wire/hs.h"
#include "wire/ip.h"
#include "wire/request.h"

/* A view that a parser gave out lies within its input; reading it shows. */
static void touch(struct view v)
{
	volatile uint8_t sum = 0;
	for (size_t i = 0; i < v.len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)v.data)[i]);
	(void)sum;
}

static void parse_handshake(const uint8_t *data, size_t len)
{
	struct hs_datagram d;
	if (hs_parse(&d, data, len) != OK)
		return;
	touch(d.body);
	touch(d.mac1_input);
	touch(d.mac2_input);
	touch(VIEW(d.mac1, HS_MAC_LEN));
	touch(VIEW(d.mac2, HS_MAC_LEN));
	MUST(d.fragment < d.fragments && (size_t)d.fragment * HS_BODY_MAX + d.body.len <= d.message_len);
}

static void parse_frames(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	struct frame f;
	struct fragment part;
	struct control_part control;
	while (frame_next(&r, &f) == OK) {
		touch(VIEW(f.body, f.len));
		if (fragment_parse(&part, &f) == OK) {
			touch(VIEW(part.data, part.len));
			MUST(part.len && part.offset + part.len <= part.total);
		}
		if (control_parse(&control, VIEW(f.body, f.len)) == OK)
			touch(control.body);
	}
}

static void parse_tlvs(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	struct tlv tlv;
	while (tlv_next(&r, &tlv) == OK)
		touch(tlv.value);
}

static void parse_ip(const uint8_t *data, size_t len)
{
	struct ip_packet ip;
	if (ip_parse(&ip, data, len) != OK)
		return;
	touch(VIEW(data, ip.header_len));
	touch(VIEW(ip.source, ip.v4 ? 8 : 32));
	MUST(ip.header_len <= len);
}

static void parse_init(const uint8_t *data, size_t len)
{
	struct init_message m;
	static uint8_t again[HS_INIT_LEN];
	if (init_parse(&m, VIEW(data, len)) != OK)
		return;
	init_build(again, &m);
	MUST(memcmp(again, data, len) == 0);
}

static void parse_resp_box(const uint8_t *data, size_t len)
{
	struct resp_box box;
	if (resp_box_parse(&box, VIEW(data, len)) != OK)
		return;
	static uint8_t again[8192];
	struct writer w = writer_of(again, sizeof again);
	resp_box_build(&w, &box);
	MUST(!w.failed && w.at == len && memcmp(again, data, len) == 0);
}

static void parse_finish(const uint8_t *data, size_t len)
{
	struct finish_message m;
	if (finish_parse(&m, VIEW(data, len)) != OK)
		return;
	uint8_t *again = malloc(len);
	struct writer w = writer_of(again, len);
	finish_build(&w, &m);
	MUST(!w.failed && memcmp(again, data, len) == 0);
	parse_tlvs(m.tlvs.data, m.tlvs.len);
	free(again);
}

static void parse_reason(const uint8_t *data, size_t len)
{
	struct reject_reason reason;
	if (reason_parse(&reason, VIEW(data, len)) == OK)
		MUST(strlen(reason.text) <= REJECT_TEXT_MAX);
}

static void parse_cookie(const uint8_t *data, size_t len)
{
	struct cookie_datagram c;
	uint8_t again[COOKIE_DATAGRAM_LEN];
	if (cookie_parse(&c, data, len) != OK)
		return;
	cookie_build(again, &c);
	MUST(memcmp(again, data, len) == 0);
}

/* What was understood is within its limits and says the same when it is written again. */
static void parse_accept(const uint8_t *data, size_t len)
{
	static uint8_t again[ACCEPT_BODY_MAX], third[ACCEPT_BODY_MAX];
	struct accept a, b;
	if (accept_parse(&a, VIEW(data, len)) != OK)
		return;
	for (size_t i = 0; i < a.n_domains; i++)
		MUST(accept_is_domain(a.domains[i], strlen(a.domains[i])));
	for (size_t i = 0; i < a.n_routes; i++)
		MUST(!prefix_has_host_bits(&a.routes[i]));
	struct writer w = writer_of(again, sizeof again), v = writer_of(third, sizeof third);
	accept_write(&w, &a);
	MUST(!w.failed && accept_parse(&b, VIEW(again, w.at)) == OK);
	accept_write(&v, &b);
	MUST(!v.failed && v.at == w.at && memcmp(again, third, w.at) == 0);
}

static void parse_request(const uint8_t *data, size_t len)
{
	uint8_t again[REQUEST_BODY_MAX];
	struct request a, b;
	if (request_parse(&a, VIEW(data, len)) != OK)
		return;
	struct writer w = writer_of(again, sizeof again);
	request_write(&w, &a);
	MUST(!w.failed && request_parse(&b, VIEW(again, w.at)) == OK && b.has_pad_marks == a.has_pad_marks);
	MUST(a.pad_marks.boundary == b.pad_marks.boundary && a.pad_marks.max_zero_run == b.pad_marks.max_zero_run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const parsers[])(const uint8_t *, size_t) = {parse_handshake, parse_frames, parse_tlvs, parse_ip,
		parse_init, parse_resp_box, parse_finish, parse_reason, parse_cookie, parse_accept, parse_request};
	if (len == 0)
		return 0;
	uint8_t *copy = fuzz_copy(VIEW(data + 1, len - 1));
	parsers[data[0] % (sizeof parsers / sizeof *parsers)](copy, len - 1);
	free(copy);
	return 0;
}
