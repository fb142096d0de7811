#include "host/keeper_message.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor: what is more the kernel closes. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

bool message_send(int socket, const void *data, size_t size, int fd)
{
	union control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control.room;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(header), &fd, sizeof fd);
	}
	ssize_t n;
	do {
		n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

ptrdiff_t message_receive(int socket, void *data, size_t size, int *ret_fd)
{
	union control control = {0};
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
	int fd = -1;
	ssize_t n;
	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return n;
}

bool message_is_text(const char *field, size_t size)
{
	return field[0] && memchr(field, '\0', size);
}

bool message_is_interface(const char field[static CONFIG_IFNAME_LEN])
{
	if (!message_is_text(field, CONFIG_IFNAME_LEN) || strcmp(field, ".") == 0 || strcmp(field, "..") == 0 ||
		field[0] == '-')
		return false;
	for (const char *c = field; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	}
	return true;
}

bool message_is_domain(const char field[static DOMAIN_SIZE])
{
	if (!message_is_text(field, DOMAIN_SIZE) || strlen(field) > 253)
		return false;
	for (const char *label = field, *dot; label; label = dot ? dot + 1 : NULL) {
		dot = strchr(label, '.');
		size_t len = strcspn(label, ".");
		if (len < 1 || len > 63 || label[0] == '-')
			return false;
		for (size_t i = 0; i < len; i++) {
			if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
				return false;
		}
	}
	return true;
}

bool message_is_server(const uint8_t ip[static 16])
{
	static const uint8_t none[16];
	if (addr_is_v4(ip))
		return ip[12] != 0 && ip[12] < 224;
	return memcmp(ip, none, 16) != 0 && ip[0] != 0xff;
}

bool message_is_apply(const struct order_apply *apply)
{
	bool good = message_is_interface(apply->interface) && apply->default_v4 <= 1 && apply->default_v6 <= 1 &&
		    apply->server_count <= DNS_SERVERS_MAX && apply->domain_count <= DNS_DOMAINS_MAX;
	for (size_t i = 0; good && i < apply->server_count; i++)
		good = message_is_server(apply->servers[i]);
	for (size_t i = 0; good && i < apply->domain_count; i++)
		good = message_is_domain(apply->domains[i]);
	return good;
}
