#include "host/upstream.h"

#include "base/bytes.h"
#include "base/rng.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define SERVERS_MAX 3
#define PATIENCE_MS 2000 /* for one answer */
#define MESSAGE_MAX 512  /* of DNS over UDP; a longer answer comes cut, which does for one address */
#define LABEL_MAX 63
#define NAME_MAX_LEN 253
#define HEADER_LEN 12
#define FLAG_ANSWER 0x8000
#define FLAG_RECURSION_DESIRED 0x0100
#define RCODE_MASK 0x000f
#define POINTER 0xc0 /* in place of a label's length: the rest of the name stands elsewhere */
#define CLASS_IN 1
#define TYPE_A 1
#define TYPE_AAAA 28

/* ---- messages (RFC 1035) ---- */

static uint16_t type_of(int family)
{
	return family == AF_INET ? TYPE_A : TYPE_AAAA;
}

static void put_u16(struct writer *w, uint16_t value)
{
	uint8_t *p = writer_room(w, 2);
	if (p)
		be16_put(p, value);
}

static uint16_t get_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p ? be16_get(p) : 0;
}

static void put_name(struct writer *w, const char *host)
{
	for (const char *label = host; *label;) {
		size_t len = strcspn(label, ".");
		w->failed |= len < 1 || len > LABEL_MAX;
		writer_u8(w, (uint8_t)len);
		writer_bytes(w, label, len);
		label += len + (label[len] == '.');
	}
	writer_u8(w, 0);
}

size_t upstream_question(uint8_t *out, size_t size, uint16_t id, const char *host, int family)
{
	struct writer w = writer_of(out, size);
	w.failed = !*host || strlen(host) > NAME_MAX_LEN;
	put_u16(&w, id);
	put_u16(&w, FLAG_RECURSION_DESIRED);
	put_u16(&w, 1); /* question; no answer, authority or additional record */
	writer_zeros(&w, 6);
	put_name(&w, host);
	put_u16(&w, type_of(family));
	put_u16(&w, CLASS_IN);
	return w.failed ? 0 : w.at;
}

static void skip_name(struct reader *r)
{
	uint8_t len;
	while ((len = reader_u8(r)) != 0) {
		if (len >= POINTER) {
			(void)reader_u8(r);
			return;
		}
		(void)reader_take(r, len);
	}
}

static void address_set(struct sockaddr_storage *ret, const uint8_t *bytes, int family)
{
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET)
		memcpy(&((struct sockaddr_in *)ret)->sin_addr, bytes, 4);
	else
		memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr, bytes, 16);
}

bool upstream_answer(const uint8_t *answer, size_t len, const uint8_t *question, size_t question_len, int family,
	struct sockaddr_storage *ret)
{
	struct reader r = reader_of(answer, len);
	size_t address_len = family == AF_INET ? 4 : 16;
	uint16_t id = get_u16(&r), flags = get_u16(&r), questions = get_u16(&r), records = get_u16(&r);
	(void)reader_take(&r, HEADER_LEN - 8);
	const uint8_t *echo = reader_take(&r, question_len - HEADER_LEN);
	if (!echo || id != be16_get(question) || !(flags & FLAG_ANSWER) || (flags & RCODE_MASK) || questions != 1 ||
		memcmp(echo, question + HEADER_LEN, question_len - HEADER_LEN) != 0)
		return false;
	while (records-- > 0 && !r.failed) { /* aliases come before what they stand for */
		skip_name(&r);
		uint16_t type = get_u16(&r), class = get_u16(&r);
		(void)reader_take(&r, 4); /* how long it is valid */
		uint16_t data_len = get_u16(&r);
		const uint8_t *data = reader_take(&r, data_len);
		if (data && type == type_of(family) && class == CLASS_IN && data_len == address_len) {
			address_set(ret, data, family);
			return true;
		}
	}
	return false;
}

/* ---- servers ---- */

static bool server_parse(struct sockaddr_storage *ret, const char *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	memset(ret, 0, sizeof *ret);
	if (getaddrinfo(text, "53", &hints, &list) != 0)
		return false;
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return true;
}

static size_t servers_read(struct sockaddr_storage servers[static SERVERS_MAX])
{
	char line[256], text[128];
	size_t n = 0;
	FILE *file = fopen(UPSTREAM_FILE, "re");
	if (!file)
		return 0;
	while (n < SERVERS_MAX && fgets(line, sizeof line, file)) {
		if (sscanf(line, "nameserver %127s", text) == 1 && server_parse(&servers[n], text))
			n++;
	}
	fclose(file);
	return n;
}

/* Returns -1 when there is no way to the address. */
static int connect_to(const struct sockaddr_storage *address)
{
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One question, one answer: who answers something else first has answered. */
static bool server_ask(
	const struct sockaddr_storage *server, const char *host, int family, struct sockaddr_storage *ret)
{
	uint8_t question[MESSAGE_MAX], answer[MESSAGE_MAX];
	struct rng rng = rng_system();
	size_t len = upstream_question(question, sizeof question, (uint16_t)rng_u32(&rng), host, family);
	int fd = len > 0 ? connect_to(server) : -1;
	if (fd < 0)
		return false;
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	ssize_t n = -1;
	if (send(fd, question, len, 0) == (ssize_t)len && poll(&readable, 1, PATIENCE_MS) == 1)
		n = recv(fd, answer, sizeof answer, 0);
	close(fd);
	return n > 0 && upstream_answer(answer, (size_t)n, question, len, family, ret);
}

bool upstream_ask(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct sockaddr_storage servers[SERVERS_MAX], found;
	size_t n = servers_read(servers);
	for (size_t i = 0; i < 2 * n; i++) {
		int family = families[i % 2];
		if (!server_ask(&servers[i / 2], host, family, &found))
			continue;
		/* sin6_port is at the same place */
		((struct sockaddr_in *)&found)->sin_port = htons(port);
		int fd = connect_to(&found);
		if (fd < 0)
			continue;
		close(fd);
		*ret = found;
		return true;
	}
	return false;
}
