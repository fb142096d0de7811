#include "host/program.h"

#include "host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM_FOLDERS "/usr/sbin:/sbin:/usr/bin:/bin"
#define LIMIT_S 15 /* of programs that set something */
#define SAID_SIZE 256

extern char **environ;

/* What the child needs; its files are memory, so that nothing has to be fed or drained while it runs. */
struct run {
	const struct program *program;
	char **environment;
	int input, output; /* -1: none */
};

static int run_body(void *context)
{
	const struct run *run = context;
	const char *path = run->program->argv[0];
	int input = run->input >= 0 ? run->input : open("/dev/null", O_RDONLY | O_CLOEXEC);
	int output = run->output >= 0 ? run->output : STDERR_FILENO;
	(void)setsid();
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		return 127;
	child_close_from(STDERR_FILENO + 1); /* jorm down runs programs, too, and knows nothing of their descriptors */
	/* the array's strings are not written to: execve(2) only lacks the const */
	(void)execve(path, (char *const *)(uintptr_t)run->program->argv, run->environment);
	(void)dprintf(STDERR_FILENO, "%s: %s\n", path, strerror(errno));
	return 127;
}

static char **environment_with(const char *const *extra)
{
	size_t own = 0, more = 0;
	while (environ && environ[own])
		own++;
	while (extra && extra[more])
		more++;
	char **all = calloc(own + more + 1, sizeof *all);
	for (size_t i = 0; all && i < own; i++)
		all[i] = environ[i];
	for (size_t i = 0; all && i < more; i++)
		all[own + i] = (char *)(uintptr_t)extra[i];
	return all;
}

static enum err run_open(struct run *run, struct fault *fault)
{
	const struct program *program = run->program;
	run->environment = environment_with(program->extra);
	if (!run->environment)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	if (program->input) {
		size_t len = strlen(program->input);
		run->input = memfd_create("input", MFD_CLOEXEC);
		if (run->input < 0 || write(run->input, program->input, len) != (ssize_t)len ||
			lseek(run->input, 0, SEEK_SET) < 0)
			return fault_errno(fault, "cannot make the input of %s", program->argv[0]);
	}
	if (program->output) {
		run->output = memfd_create("output", MFD_CLOEXEC);
		if (run->output < 0)
			return fault_errno(fault, "cannot take the output of %s", program->argv[0]);
	}
	return OK;
}

static void output_take(const struct run *run)
{
	ssize_t n = pread(run->output, run->program->output, run->program->output_size - 1, 0);
	size_t len = n > 0 ? (size_t)n : 0;
	while (len > 0 && run->program->output[len - 1] == '\n')
		len--;
	run->program->output[len] = '\0';
}

static enum err run_wait(const struct run *run, int *ret_code, struct fault *fault)
{
	const struct program *program = run->program;
	usec deadline = clock_now() + program->limit_s * USEC_PER_SEC;
	int status = 0;
	pid_t pid = child_start(run_body, (void *)(uintptr_t)run);
	if (pid < 0)
		return fault_errno(fault, "cannot start a process for %s", program->argv[0]);
	if (!child_wait(pid, deadline, &status))
		return fault_set(fault, ERR_STATE, "%s did not end within %u s and was killed", program->argv[0],
			program->limit_s);
	*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	if (run->output >= 0)
		output_take(run);
	return OK;
}

enum err program_run(const struct program *program, int *ret_code, struct fault *fault)
{
	struct run run = {.program = program, .input = -1, .output = -1};
	enum err err = run_open(&run, fault);
	if (!err)
		err = run_wait(&run, ret_code, fault);
	if (run.input >= 0)
		close(run.input);
	if (run.output >= 0)
		close(run.output);
	free(run.environment);
	return err;
}

enum err program_must(const char *const *argv, const char *input, struct fault *fault)
{
	char said[SAID_SIZE] = "";
	int code = 0;
	struct program program = {
		.argv = argv, .input = input, .output = said, .output_size = sizeof said, .limit_s = LIMIT_S};
	enum err err = program_run(&program, &code, fault);
	if (!err && code)
		err = fault_set(fault, ERR_IO, "%s %s failed (exit code %d)%s%s", argv[0], argv[1] ? argv[1] : "", code,
			said[0] ? ": " : "", said);
	return err;
}

static bool find_in(const char *folders, const char *name, char out[static PATH_MAX])
{
	struct stat st;
	for (const char *folder = folders; folder; folder = strchr(folder, ':')) {
		folder += *folder == ':';
		int len = (int)strcspn(folder, ":");
		/* Relative ones are left out: what root runs must not depend on where it stands. */
		if (folder[0] != '/' || snprintf(out, PATH_MAX, "%.*s/%s", len, folder, name) >= PATH_MAX)
			continue;
		if (access(out, X_OK) == 0 && stat(out, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	}
	return false;
}

bool program_find(const char *name, char out[static PATH_MAX])
{
	const char *path = getenv("PATH");
	return (path && find_in(path, name, out)) || find_in(SYSTEM_FOLDERS, name, out);
}
