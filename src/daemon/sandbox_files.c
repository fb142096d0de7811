#include "daemon/sandbox_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What Debian 12's header lacks. Each version of the interface adds some. */
#define FS_EXECUTE LANDLOCK_ACCESS_FS_EXECUTE
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                                       \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |              \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR)
#define FS_SPECIAL                                                                                                     \
	(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK |                 \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_REFER (1ULL << 13)     /* 2: to move between folders; refused without it, too */
#define FS_TRUNCATE (1ULL << 14)  /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define VERSION_WITH_NET 4
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1)

/* struct landlock_net_port_attr, and its kind of rule. */
struct net_port {
	uint64_t allowed_access, port;
};
#define RULE_NET_PORT 2

/* struct landlock_ruleset_attr of version 6; older kernels take it as long as what they do not know is zero. */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

static uint64_t known_to(int version)
{
	uint64_t known = FS_EXECUTE | FS_READ | FS_WRITE | FS_SPECIAL;
	if (version >= 2)
		known |= FS_REFER;
	if (version >= 3)
		known |= FS_TRUNCATE;
	if (version >= 5)
		known |= FS_IOCTL_DEV;
	return known;
}

static enum err allow(int ruleset, const char *folder, uint64_t access, struct fault *fault)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	rule.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return fault_errno(fault, "the sandbox cannot be built around the folder %s", folder);
	long added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
	enum err err = added < 0 ? fault_errno(fault, "Landlock takes no rule for the folder %s", folder) : OK;
	close(rule.parent_fd);
	return err;
}

enum err sandbox_files_prepare(
	struct sandbox_files *ret, const char *read_folder, const char *write_folder, struct fault *fault)
{
	struct sandbox_files files = {.ruleset = -1};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0UL, LANDLOCK_CREATE_RULESET_VERSION);
	if (version <= 0) {
		*ret = files;
		return OK;
	}
	files.version = (int)version;
	uint64_t known = known_to(files.version);
	struct ruleset wanted = {.handled_access_fs = known,
		.handled_access_net = version >= VERSION_WITH_NET ? NET_BIND_TCP | NET_CONNECT_TCP : 0,
		.scoped = version >= 6 ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0};
	files.ruleset = (int)syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0U);
	if (files.ruleset < 0)
		return fault_errno(fault, "the kernel has Landlock %d, but makes no ruleset", files.version);
	enum err err = OK;
	if (read_folder)
		err = allow(files.ruleset, read_folder, FS_READ, fault);
	if (err == OK && write_folder)
		err = allow(files.ruleset, write_folder, (FS_READ | FS_WRITE | FS_TRUNCATE) & known, fault);
#ifdef SANDBOX_SANITIZED
	/* The leak sanitiser looks through the list of threads when the program ends. */
	if (err == OK)
		err = allow(files.ruleset, "/proc", FS_READ, fault);
#endif
	if (err != OK) {
		sandbox_files_done(&files);
		return err;
	}
	*ret = files;
	return OK;
}

void sandbox_files_allow_reading(struct sandbox_files *files, const char *path)
{
	struct stat st;
	struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
	if (rule.parent_fd < 0)
		return;
	if (files->ruleset >= 0 && fstat(rule.parent_fd, &st) == 0) {
		rule.allowed_access = S_ISDIR(st.st_mode) ? FS_READ : LANDLOCK_ACCESS_FS_READ_FILE;
		(void)syscall(SYS_landlock_add_rule, files->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
	}
	close(rule.parent_fd);
}

enum err sandbox_files_allow_connecting(struct sandbox_files *files, uint16_t tcp_port, struct fault *fault)
{
	const struct net_port rule = {.allowed_access = NET_CONNECT_TCP, .port = tcp_port};
	if (files->version < VERSION_WITH_NET ||
		syscall(SYS_landlock_add_rule, files->ruleset, RULE_NET_PORT, &rule, 0U) == 0)
		return OK;
	return fault_errno(fault, "Landlock takes no rule for TCP port %u", tcp_port);
}

enum err sandbox_files_enter(struct sandbox_files *files, struct fault *fault)
{
	enum err err = OK;
	if (files->ruleset >= 0 && syscall(SYS_landlock_restrict_self, files->ruleset, 0U) < 0)
		err = fault_errno(fault, "the kernel has Landlock %d, but does not put it in force", files->version);
	sandbox_files_done(files);
	return err;
}

void sandbox_files_done(struct sandbox_files *files)
{
	if (files->ruleset >= 0)
		close(files->ruleset);
	files->ruleset = -1;
}
