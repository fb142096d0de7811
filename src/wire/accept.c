#include "wire/accept.h"

#include "wire/control.h"

#define ADDRESS_V4_LEN 5
#define ADDRESS_V6_LEN 17
#define MTU_MIN 1280 /* IPv6 needs it (RFC 8200) */
#define LABEL_MAX 63

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool accept_is_domain(const char *name, size_t len)
{
	if (len == 0 || len >= ACCEPT_DOMAIN_LEN || name[0] == '-')
		return false;
	size_t label = 0;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.' ? label == 0 : !is_name_character(name[i]))
			return false;
		label = name[i] == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* An IP of 4 or 16 bytes. ERR_FORMAT: another length, or IPv4 that poses as IPv6. */
static enum err parse_ip(uint8_t ret[static 16], struct view value)
{
	if (value.len != 4 && value.len != 16)
		return ERR_FORMAT;
	bool v4 = value.len == 4;
	if (v4) {
		memset(ret, 0, 10);
		memset(ret + 10, 0xff, 2);
	}
	memcpy(ret + (v4 ? 12 : 0), value.data, value.len);
	return addr_is_v4(ret) == v4 ? OK : ERR_FORMAT;
}

static enum err parse_prefix(struct prefix *ret, struct view value)
{
	if (value.len != ADDRESS_V4_LEN && value.len != ADDRESS_V6_LEN)
		return ERR_FORMAT;
	struct reader r = reader_of(value.data, value.len);
	size_t ip_len = value.len - 1;
	enum err e = parse_ip(ret->ip, VIEW(reader_take(&r, ip_len), ip_len));
	ret->v4 = ip_len == 4;
	ret->bits = reader_u8(&r);
	return e == OK && ret->bits > ip_len * 8 ? ERR_FORMAT : e;
}

static enum err parse_address(struct accept *ret, struct view value)
{
	struct prefix p;
	enum err e = parse_prefix(&p, value);
	if (e != OK)
		return e;
	if (p.bits == 0)
		return ERR_FORMAT; /* the whole world on one link would be a default route by the back door */
	if (ret->n_addresses < ACCEPT_ADDRESSES_MAX)
		ret->addresses[ret->n_addresses++] = p;
	return OK;
}

static enum err parse_route(struct accept *ret, struct view value)
{
	struct prefix p;
	enum err e = parse_prefix(&p, value);
	if (e != OK)
		return e;
	if (prefix_has_host_bits(&p))
		return ERR_FORMAT;
	if (ret->n_routes < ACCEPT_ROUTES_MAX)
		ret->routes[ret->n_routes++] = p;
	return OK;
}

static enum err parse_dns(struct accept *ret, struct view value)
{
	uint8_t ip[16];
	enum err e = parse_ip(ip, value);
	if (e == OK && ret->n_dns < ACCEPT_DNS_MAX)
		memcpy(ret->dns[ret->n_dns++], ip, sizeof ip);
	return e;
}

static enum err parse_domain(struct accept *ret, struct view value)
{
	if (!accept_is_domain(value.data, value.len))
		return ERR_FORMAT;
	if (ret->n_domains < ACCEPT_DOMAINS_MAX)
		memcpy(ret->domains[ret->n_domains++], value.data, value.len); /* zeroed before: its NUL is there */
	return OK;
}

static enum err parse_u16(uint16_t *ret, struct view value)
{
	if (value.len != 2)
		return ERR_FORMAT;
	*ret = le16_get(value.data);
	return OK;
}

static enum err parse_mtu(struct accept *ret, struct view value)
{
	enum err e = parse_u16(&ret->mtu, value);
	return e == OK && ret->mtu < MTU_MIN ? ERR_FORMAT : e;
}

static enum err parse_pad_marks(struct accept *ret, struct view value)
{
	ret->has_pad_marks = true;
	return padmarks_parse(&ret->pad_marks, value);
}

static enum err parse_tlv(struct accept *ret, const struct tlv *tlv)
{
	switch (tlv->type) {
	case ACCEPT_KEEPALIVE:
		return parse_u16(&ret->keepalive_s, tlv->value);
	case ACCEPT_ADDRESS:
		return parse_address(ret, tlv->value);
	case ACCEPT_ROUTE:
		return parse_route(ret, tlv->value);
	case ACCEPT_DNS:
		return parse_dns(ret, tlv->value);
	case ACCEPT_DOMAIN:
		return parse_domain(ret, tlv->value);
	case ACCEPT_MTU:
		return parse_mtu(ret, tlv->value);
	case ACCEPT_PAD_MARKS:
		return parse_pad_marks(ret, tlv->value);
	default:
		return OK; /* a later version's */
	}
}

enum err accept_parse(struct accept *ret, struct view body)
{
	struct reader r = reader_of(body.data, body.len);
	struct tlv tlv;
	enum err e;
	*ret = (struct accept){0};
	while ((e = tlv_next(&r, &tlv)) == OK)
		if ((e = parse_tlv(ret, &tlv)) != OK)
			break;
	if (e == ERR_NOT_FOUND)
		return OK;
	*ret = (struct accept){0};
	return e;
}

static void write_prefix(struct writer *w, uint8_t type, const struct prefix *p)
{
	uint8_t value[ADDRESS_V6_LEN];
	struct writer v = writer_of(value, sizeof value);
	writer_bytes(&v, p->ip + (p->v4 ? 12 : 0), p->v4 ? 4 : 16);
	writer_u8(&v, p->bits);
	tlv_write(w, type, VIEW(value, v.at));
}

static void write_u16(struct writer *w, uint8_t type, uint16_t value)
{
	uint8_t bytes[2];
	le16_put(bytes, value);
	if (value)
		tlv_write(w, type, VIEW_ARRAY(bytes));
}

void accept_write(struct writer *w, const struct accept *accept)
{
	write_u16(w, ACCEPT_KEEPALIVE, accept->keepalive_s);
	for (size_t i = 0; i < accept->n_addresses; i++)
		write_prefix(w, ACCEPT_ADDRESS, &accept->addresses[i]);
	for (size_t i = 0; i < accept->n_routes; i++)
		write_prefix(w, ACCEPT_ROUTE, &accept->routes[i]);
	for (size_t i = 0; i < accept->n_dns; i++) {
		bool v4 = addr_is_v4(accept->dns[i]);
		tlv_write(w, ACCEPT_DNS, VIEW(accept->dns[i] + (v4 ? 12 : 0), v4 ? 4 : 16));
	}
	for (size_t i = 0; i < accept->n_domains; i++)
		tlv_write(w, ACCEPT_DOMAIN, VIEW(accept->domains[i], strlen(accept->domains[i])));
	write_u16(w, ACCEPT_MTU, accept->mtu);
	if (accept->has_pad_marks)
		padmarks_write(w, ACCEPT_PAD_MARKS, &accept->pad_marks);
}
