/*
 * limit: a point-to-point TUN <-> UDP forwarder without handshake, key agreement or replay protection.
 * It is the yardstick for what TUN + UDP can do in user space on a machine, so that a real VPN has a
 * ceiling to be compared with. NOT a VPN: without -k the traffic is in the clear, with -k the key is a
 * constant and both directions use the same nonces.
 *
 * Reads of 64 KiB with a virtio header are cut into inner packets here and sent by UDP_SEGMENT; what
 * UDP_GRO brings is glued together here for writes of 64 KiB. One datagram is one inner packet, so a
 * lost one costs one packet. Inner checksums stay partial, which the header says: a VPN may do the same,
 * its tag vouches for the bytes.
 *
 *   -k   seal and open every datagram with ChaCha20-Poly1305
 *   -g   with AES-256-GCM
 *
 * A datagram: header of 16 bytes, inner packet, tag of 16 bytes; the overhead is WireGuard's.
 * Two threads: TUN to UDP, UDP to TUN.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Younger than the kernel headers of Debian 12. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define HDR 16
#define TAG 16
#define OVERHEAD (HDR + TAG)
#define VNET sizeof(struct virtio_net_hdr)
#define BATCH 64
#define DATAGRAM_ROOM 2048
#define MAX_SEGMENTS 64 /* the kernel's limit for one UDP_SEGMENT send */
#define MAX_UDP 65507
#define MAX_GLUED 65000

enum { HDR_FLAGS, HDR_CSUM_START, HDR_CSUM_OFFSET, HDR_COUNTER = 8 };
#define FLAG_PARTIAL 1

enum { IPPROTO_AT_V4 = 9, IPPROTO_AT_V6 = 6, TCP_CSUM = 16, UDP_CSUM = 6, TCP_SEQ = 4, TCP_FLAGS = 13 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_ACK = 0x10, TCP_CWR = 0x80 };

static struct {
	const EVP_CIPHER *cipher; /* NULL: in the clear */
	int tun, udp;
} self;

_Noreturn static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	poll(&p, 1, -1);
}

/* A full TUN queue or a vanished receiver is packet loss, as on a wire. */
static void write_tun(const struct iovec *iov, int count)
{
	if (writev(self.tun, iov, count) < 0 && errno != EAGAIN)
		perror("limit: write to the TUN");
}

/* ---- bytes ---- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}
static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static bool is_v4(const uint8_t *ip)
{
	return ip[0] >> 4 == 4;
}
static uint8_t protocol(const uint8_t *ip)
{
	return ip[is_v4(ip) ? IPPROTO_AT_V4 : IPPROTO_AT_V6];
}

/* ---- AEAD ---- */

struct aead {
	EVP_CIPHER_CTX *ctx;
	uint64_t counter;
};

static void aead_init(struct aead *a, int encrypt)
{
	static const uint8_t key[32] = "a constant key: this is no VPN";

	if (!self.cipher)
		return;
	a->ctx = EVP_CIPHER_CTX_new();
	if (!a->ctx || !EVP_CipherInit_ex(a->ctx, self.cipher, NULL, key, NULL, encrypt)) {
		fprintf(stderr, "limit: libcrypto refuses the cipher\n");
		exit(1);
	}
}

static void start_message(struct aead *a, const uint8_t *datagram, int encrypt)
{
	uint8_t nonce[12] = {0};

	memcpy(nonce + 4, datagram + HDR_COUNTER, 8);
	EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, nonce, encrypt);
}

/* In place: the datagram is header, len bytes, room for the tag. */
static void seal(struct aead *a, uint8_t *datagram, size_t len)
{
	uint8_t *text = datagram + HDR;
	int n;

	memcpy(datagram + HDR_COUNTER, &a->counter, 8);
	a->counter++;
	if (!self.cipher) {
		memset(text + len, 0, TAG);
		return;
	}
	start_message(a, datagram, 1);
	EVP_EncryptUpdate(a->ctx, text, &n, text, (int)len);
	EVP_EncryptFinal_ex(a->ctx, text + len, &n);
	EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, text + len);
}

static bool open_sealed(struct aead *a, uint8_t *datagram, size_t len)
{
	uint8_t *text = datagram + HDR;
	int n;

	if (!self.cipher)
		return true;
	start_message(a, datagram, 0);
	EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, text + len);
	EVP_DecryptUpdate(a->ctx, text, &n, text, (int)len);
	return EVP_DecryptFinal_ex(a->ctx, text + len, &n) == 1;
}

/* ---- inner checksums; sums are in the machine's byte order, as the Internet checksum allows ---- */

static uint64_t sum(const uint8_t *p, size_t n, uint64_t s)
{
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		uint32_t w[8];
		memcpy(w, p + i, sizeof w);
		s += (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6] + w[7];
	}
	for (; i + 2 <= n; i += 2) {
		uint16_t w;
		memcpy(&w, p + i, sizeof w);
		s += w;
	}
	return i < n ? s + p[i] : s; /* an odd last byte: right on little-endian machines */
}

static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static uint64_t pseudo_header(const uint8_t *ip, size_t l4_len)
{
	uint64_t s = is_v4(ip) ? sum(ip + 12, 8, 0) : sum(ip + 8, 32, 0);
	return s + htons(protocol(ip)) + htons((uint16_t)l4_len);
}

static void put_sum(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof v);
}

static void ip_set_length(uint8_t *ip, size_t len)
{
	if (!is_v4(ip)) {
		put16(ip + 4, len - 40);
		return;
	}
	put16(ip + 2, len);
	put16(ip + 10, 0);
	put_sum(ip + 10, (uint16_t)~fold(sum(ip, 20, 0)));
}

/* ---- TUN -> UDP ---- */

/* Datagrams of one size, the last may be shorter: what one UDP_SEGMENT send takes. */
struct sender {
	struct aead aead;
	uint8_t buf[MAX_UDP + DATAGRAM_ROOM];
	size_t len, segment;
	unsigned count;
	bool closed;
};

static void sender_flush(struct sender *s)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct iovec iov = {.iov_base = s->buf, .iov_len = s->len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (!s->len)
		return;
	if (s->count > 1) {
		uint16_t segment = (uint16_t)s->segment;
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof segment);
		memcpy(CMSG_DATA(c), &segment, sizeof segment);
	}
	/* ECONNREFUSED is the answer to an earlier datagram: this one has not been sent yet. */
	while (sendmsg(self.udp, &m, 0) < 0) {
		if (errno == EINTR || errno == ECONNREFUSED)
			continue;
		if (errno != ENOBUFS && errno != EAGAIN)
			perror("limit: sendmsg");
		break;
	}
	s->len = s->count = 0;
	s->closed = false;
}

static uint8_t *sender_room(struct sender *s, size_t n)
{
	if (s->count && (s->closed || n > s->segment || s->count >= MAX_SEGMENTS || s->len + n > MAX_UDP))
		sender_flush(s);
	return s->buf + s->len;
}

static void sender_add(struct sender *s, size_t n)
{
	if (!s->count)
		s->segment = n;
	else if (n < s->segment)
		s->closed = true;
	s->len += n;
	s->count++;
}

/* What one read of the TUN gave: a packet, or many with one header. */
struct super {
	const uint8_t *ip;
	size_t len, head_len, csum_start, csum_offset;
	bool partial, segmented;
};

static void fix_segment_header(const struct super *u, uint8_t *ip, size_t len, size_t offset, unsigned index)
{
	uint8_t *l4 = ip + u->csum_start;
	size_t data_before = offset - u->head_len;
	bool last = offset + (len - u->head_len) == u->len;

	if (is_v4(ip))
		put16(ip + 4, get16(ip + 4) + index);
	ip_set_length(ip, len);
	if (u->csum_offset == UDP_CSUM) {
		put16(l4 + 4, len - u->csum_start);
	} else {
		put32(l4 + TCP_SEQ, get32(l4 + TCP_SEQ) + (uint32_t)data_before);
		if (!last)
			l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (index)
			l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	}
}

static void send_segment(struct sender *s, const struct super *u, size_t offset, size_t data_len, unsigned index)
{
	size_t len = u->head_len + data_len;
	uint8_t *d = sender_room(s, len + OVERHEAD), *ip = d + HDR;

	memset(d, 0, HDR);
	memcpy(ip, u->ip, u->head_len);
	memcpy(ip + u->head_len, u->ip + offset, data_len);
	if (u->segmented)
		fix_segment_header(u, ip, len, offset, index);
	if (u->partial) {
		d[HDR_FLAGS] = FLAG_PARTIAL;
		d[HDR_CSUM_START] = (uint8_t)u->csum_start;
		d[HDR_CSUM_OFFSET] = (uint8_t)u->csum_offset;
	}
	seal(&s->aead, d, len);
	sender_add(s, len + OVERHEAD);
}

static void send_super(struct sender *s, const uint8_t *buf, size_t n)
{
	struct virtio_net_hdr v;

	memcpy(&v, buf, VNET);
	struct super u = {.ip = buf + VNET,
		.len = n - VNET,
		.csum_start = v.csum_start,
		.csum_offset = v.csum_offset,
		.partial = v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.segmented = (v.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_NONE};
	if (!u.segmented) {
		u.head_len = u.len;
		send_segment(s, &u, u.len, 0, 0);
		return;
	}
	const uint8_t *l4 = u.ip + u.csum_start;
	u.head_len = u.csum_start + (u.csum_offset == TCP_CSUM ? (size_t)(l4[12] >> 4) * 4 : 8);
	unsigned index = 0;
	for (size_t off = u.head_len; off < u.len; off += v.gso_size)
		send_segment(s, &u, off, u.len - off < v.gso_size ? u.len - off : v.gso_size, index++);
}

static void *tun_to_udp(void *unused)
{
	static struct sender s;
	static uint8_t buf[70000];

	aead_init(&s.aead, 1);
	for (;;) {
		ssize_t n = 0;
		for (unsigned k = 0; k < BATCH && (n = read(self.tun, buf, sizeof buf)) > (ssize_t)VNET; k++)
			send_super(&s, buf, (size_t)n);
		if (n <= 0) {
			sender_flush(&s);
			wait_readable(self.tun);
		}
	}
	return NULL;
}

/* ---- UDP -> TUN ---- */

/* Of one packet, or of several that are glued together. */
struct run {
	size_t len, head_len, csum_start, csum_offset, gso_size;
	unsigned count;
	uint32_t next_seq;
	bool closed;
};

/* Neighbouring packets of one flow, waiting to be written as one; empty while run.len is 0. */
struct glue {
	struct run run;
	uint8_t buf[VNET + MAX_GLUED + DATAGRAM_ROOM];
};

static void glue_flush(struct glue *g)
{
	const struct run *r = &g->run;
	struct virtio_net_hdr v = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)r->csum_start,
		.csum_offset = (uint16_t)r->csum_offset};
	uint8_t *ip = g->buf + VNET, *l4 = ip + r->csum_start;

	if (!r->len)
		return;
	if (r->count > 1) {
		v.gso_type = is_v4(ip) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		if (r->csum_offset == UDP_CSUM) {
			v.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
			put16(l4 + 4, r->len - r->csum_start);
		}
		v.gso_size = (uint16_t)r->gso_size;
		v.hdr_len = (uint16_t)r->head_len;
		ip_set_length(ip, r->len);
	}
	put_sum(l4 + r->csum_offset, fold(pseudo_header(ip, r->len - r->csum_start)));
	memcpy(g->buf, &v, VNET);
	write_tun(&(struct iovec){.iov_base = g->buf, .iov_len = VNET + r->len}, 1);
	g->run.len = 0;
}

/* What gluing needs to know of a packet; false: pass it on as it is. */
static bool parse_gluable(struct run *k, const uint8_t *ip, size_t n)
{
	bool v4 = is_v4(ip), tcp = protocol(ip) == IPPROTO_TCP;
	size_t start = v4 ? 20 : 40;

	if (n < start + (tcp ? 20 : 8) || (!tcp && protocol(ip) != IPPROTO_UDP))
		return false;
	if (v4 && (ip[0] != 0x45 || (ip[6] & 0x3f) || ip[7])) /* options, fragments */
		return false;
	const uint8_t *l4 = ip + start;
	size_t head_len = start + (tcp ? (size_t)(l4[12] >> 4) * 4 : 8);
	if (n <= head_len || (tcp && (l4[TCP_FLAGS] & ~TCP_PSH) != TCP_ACK))
		return false;
	*k = (struct run){.len = n,
		.head_len = head_len,
		.csum_start = start,
		.csum_offset = tcp ? TCP_CSUM : UDP_CSUM,
		.gso_size = n - head_len,
		.count = 1,
		.next_seq = tcp ? get32(l4 + TCP_SEQ) + (uint32_t)(n - head_len) : 0,
		.closed = tcp && (l4[TCP_FLAGS] & TCP_PSH)};
	return true;
}

static bool continues(const struct glue *glue, const struct run *k, const uint8_t *ip)
{
	const struct run *g = &glue->run;
	const uint8_t *a = glue->buf + VNET, *b = ip;

	if (!g->len || g->closed || g->head_len != k->head_len || g->csum_offset != k->csum_offset ||
		g->csum_start != k->csum_start || k->gso_size > g->gso_size || g->len + k->gso_size > MAX_GLUED)
		return false;
	if (is_v4(b) ? a[0] != b[0] || a[1] != b[1] || memcmp(a + 6, b + 6, 4) || memcmp(a + 12, b + 12, 8)
		     : memcmp(a, b, 4) || memcmp(a + 6, b + 6, 34))
		return false;
	a += k->csum_start;
	b += k->csum_start;
	if (k->csum_offset == UDP_CSUM)
		return !memcmp(a, b, 4) && k->gso_size == g->gso_size && g->count < MAX_SEGMENTS;
	return get32(b + TCP_SEQ) == g->next_seq && !memcmp(a, b, 4) && !memcmp(a + 8, b + 8, 5) &&
	       !memcmp(a + 14, b + 14, 2) && !memcmp(a + 18, b + 18, k->head_len - k->csum_start - 18);
}

static void write_alone(const uint8_t *d, uint8_t *ip, size_t n)
{
	struct virtio_net_hdr v = {0};
	size_t start = d[HDR_CSUM_START], at = start + d[HDR_CSUM_OFFSET];

	if ((d[HDR_FLAGS] & FLAG_PARTIAL) && at + 2 <= n) {
		v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		v.csum_start = d[HDR_CSUM_START];
		v.csum_offset = d[HDR_CSUM_OFFSET];
		put_sum(ip + at, fold(pseudo_header(ip, n - start)));
	}
	write_tun((struct iovec[]){{.iov_base = &v, .iov_len = VNET}, {.iov_base = ip, .iov_len = n}}, 2);
}

static void receive(struct glue *g, const uint8_t *d, uint8_t *ip, size_t n)
{
	struct run k;

	if (n < 20 || !(d[HDR_FLAGS] & FLAG_PARTIAL) || !parse_gluable(&k, ip, n)) {
		glue_flush(g);
		write_alone(d, ip, n);
	} else if (continues(g, &k, ip)) {
		uint8_t *first = g->buf + VNET;
		memcpy(first + g->run.len, ip + k.head_len, k.gso_size);
		g->run.len += k.gso_size;
		g->run.count++;
		g->run.next_seq = k.next_seq;
		g->run.closed = k.closed || k.gso_size < g->run.gso_size;
		if (k.closed)
			first[k.csum_start + TCP_FLAGS] |= TCP_PSH;
	} else {
		glue_flush(g);
		memcpy(g->buf + VNET, ip, n);
		g->run = k;
	}
}

static void udp_to_tun(void)
{
	static uint8_t buf[70000];
	static struct glue glue;
	struct aead aead = {0};

	aead_init(&aead, 0);
	for (;;) {
		_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
		struct iovec iov = {.iov_base = buf, .iov_len = sizeof buf};
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(self.udp, &m, MSG_DONTWAIT);
		if (n <= 0) {
			glue_flush(&glue);
			wait_readable(self.udp);
			continue;
		}
		int segment = (int)n;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
				memcpy(&segment, CMSG_DATA(c), sizeof segment);
		for (size_t off = 0, total = (size_t)n, step = (size_t)segment; off < total; off += step) {
			size_t len = total - off < step ? total - off : step;
			if (len > OVERHEAD && open_sealed(&aead, buf + off, len - OVERHEAD))
				receive(&glue, buf + off, buf + off + HDR, len - OVERHEAD);
		}
	}
}

/* ---- set-up ---- */

static struct sockaddr_in parse_addr(char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	char *colon = strchr(text, ':');

	if (colon)
		*colon = 0;
	if (!colon || inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		fprintf(stderr, "limit: not an IPv4 address:port: %s\n", text);
		exit(2);
	}
	a.sin_port = htons((uint16_t)atoi(colon + 1));
	return a;
}

static void open_tun(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	self.tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (self.tun < 0)
		die("limit: /dev/net/tun");
	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	if (ioctl(self.tun, TUNSETIFF, &ifr) < 0)
		die("limit: TUNSETIFF");
	if (ioctl(self.tun, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) == 0)
		return;
	fprintf(stderr, "limit: this kernel's TUN has no UDP segmentation; going on without\n");
	if (ioctl(self.tun, TUNSETOFFLOAD, offloads) < 0)
		die("limit: TUNSETOFFLOAD");
}

static void open_udp(struct sockaddr_in local, struct sockaddr_in remote)
{
	int one = 1, size = 8 << 20;

	self.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (self.udp < 0)
		die("limit: socket");
	setsockopt(self.udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(self.udp, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	if (bind(self.udp, (struct sockaddr *)&local, sizeof local) < 0)
		die("limit: bind");
	if (connect(self.udp, (struct sockaddr *)&remote, sizeof remote) < 0)
		die("limit: connect");
	if (setsockopt(self.udp, SOL_UDP, UDP_GRO, &one, sizeof one) < 0)
		die("limit: UDP_GRO");
}

static int usage(void)
{
	fprintf(stderr, "usage: limit -i INTERFACE -l ADDRESS:PORT -r ADDRESS:PORT [-k|-g]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *name = NULL;
	char *local = NULL, *remote = NULL;

	for (int o; (o = getopt(argc, argv, "i:l:r:kg")) > 0;)
		switch (o) {
		case 'i':
			name = optarg;
			break;
		case 'l':
			local = optarg;
			break;
		case 'r':
			remote = optarg;
			break;
		case 'k':
			self.cipher = EVP_chacha20_poly1305();
			break;
		case 'g':
			self.cipher = EVP_aes_256_gcm();
			break;
		default:
			return usage();
		}
	if (!name || !local || !remote)
		return usage();
	open_tun(name);
	open_udp(parse_addr(local), parse_addr(remote));

	pthread_t thread;
	errno = pthread_create(&thread, NULL, tun_to_udp, NULL);
	if (errno)
		die("limit: pthread_create");
	udp_to_tun();
	return 0;
}
