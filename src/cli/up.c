/*
 * The parent prints what goes wrong and waits; the child becomes the daemon. The child's standard
 * error stays the user's until the tunnel is set up, so that every message of set-up is seen.
 */
#include "cli/cli.h"

#include "base/log.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MAX (1 << 20) /* a larger log begins anew with the next tunnel */

/* What the child has to do when the tunnel is set up. */
struct background {
	int to_parent; /* the interface's name goes through, and that all is well */
	int log, null;
};

static void background_enter(void *ctx, const char *interface)
{
	struct background *b = ctx;
	struct stat st;
	if (fstat(b->log, &st) == 0 && st.st_size > LOG_MAX && ftruncate(b->log, 0) < 0)
		log_warning("the log could not be begun anew: %s", strerror(errno));
	fflush(stdout);
	dup2(b->null, STDIN_FILENO);
	dup2(b->null, STDOUT_FILENO);
	dup2(b->log, STDERR_FILENO);
	if (write(b->to_parent, interface, strlen(interface)) < 0)
		log_warning("the command that started this tunnel has gone: %s", strerror(errno));
	close(b->to_parent);
	close(b->null);
	close(b->log);
	b->to_parent = b->null = b->log = -1;
}

static void background_done(struct background *b)
{
	const int fds[] = {b->to_parent, b->log, b->null};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static enum err background_prepare(
	struct background *b, int *ret_from_child, const struct config *config, struct fault *fault)
{
	char path[PATH_MAX];
	int ends[2];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.log", config->state_directory, config->instance) >=
		sizeof(path))
		return fault_set(fault, ERR_TOO_BIG, "StateDirectory: the path is too long");
	if (mkdir(config->state_directory, 0700) < 0 && errno != EEXIST)
		return fault_errno(fault, "cannot make the StateDirectory %s", config->state_directory);
	b->log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->log < 0)
		return fault_errno(fault, "cannot open the log %s", path);
	b->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (b->null < 0)
		return fault_errno(fault, "cannot open /dev/null");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(fault, "cannot make a pipe");
	*ret_from_child = ends[0];
	b->to_parent = ends[1];
	return OK;
}

static int daemon_here(const struct command *self, const struct daemon_options *options)
{
	struct fault fault = {0};
	return daemon_run(options, &fault) ? cli_fault(self, &fault) : CLI_OK;
}

/* Waits until the child is ready or has failed, and has said why. */
static int parent_wait(pid_t child, int from_child)
{
	char interface[CONFIG_IFNAME_LEN] = "";
	ssize_t n;
	do {
		n = read(from_child, interface, sizeof(interface) - 1);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		printf("%s is up\n", interface);
		return CLI_OK;
	}
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		fprintf(stderr, "jorm up: the daemon was ended by signal %d\n", WTERMSIG(status));
	return CLI_FAILED;
}

static int up_in_background(const struct command *self, struct daemon_options *options)
{
	struct background b = {-1, -1, -1};
	struct fault fault = {0};
	int from_child = -1, code;
	enum err e = background_prepare(&b, &from_child, options->config, &fault);
	pid_t child = e ? -1 : fork();
	if (e == OK && child < 0)
		e = fault_errno(&fault, "cannot start a process");
	if (e) {
		code = cli_fault(self, &fault);
	} else if (child == 0) {
		close(from_child);
		from_child = -1;
		setsid();
		signal(SIGPIPE, SIG_IGN);   /* a parent that has gone must not take the tunnel with it */
		unsetenv("JOURNAL_STREAM"); /* it will not be the journal that reads the log */
		options->ready = background_enter;
		options->ready_ctx = &b;
		code = daemon_here(self, options);
	} else {
		close(b.to_parent);
		b.to_parent = -1;
		code = parent_wait(child, from_child);
	}
	background_done(&b);
	if (from_child >= 0)
		close(from_child);
	return code;
}

static bool log_level_set(const char *word)
{
	static const char *const words[] = {[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0) {
			log_set_level((enum log_level)i);
			return true;
		}
	}
	return false;
}

static int up(const struct command *self, const char *file_or_name, bool foreground)
{
	struct config *config = cli_config_load(self, file_or_name);
	if (!config)
		return CLI_FAILED;
	struct daemon_options options = {.config = config, .config_path = config->path};
	int code = foreground ? daemon_here(self, &options) : up_in_background(self, &options);
	config_free(config);
	return code;
}

int cli_up(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"foreground", no_argument, NULL, 'f'},
		{"log-level", required_argument, NULL, 'l'},
		{"log-json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool foreground = false;
	for (int o; (o = getopt_long(argc, argv, "fl:jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'f')
			foreground = true;
		else if (o == 'j')
			log_set_json(true);
		else if (o != 'l')
			return cli_usage(self, NULL);
		else if (!log_level_set(optarg))
			return cli_usage(
				self, "there is no log level '%s': write error, warning, info or debug", optarg);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one configuration");
	return up(self, argv[optind], foreground);
}
