#include "compat/snek_authorized.h"

#include "base/file.h"
#include "base/log.h"
#include "crypto/keyfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".pub"

/* A folder on the way through its key files. */
struct folder {
	const char *path;
	DIR *dir;
	unsigned files; /* so far */
};

static enum err folder_open(struct folder *ret, const char *path, struct fault *fault)
{
	int fd = file_open(path, O_RDONLY | O_DIRECTORY);
	*ret = (struct folder){.path = path, .dir = fd >= 0 ? fdopendir(fd) : NULL};
	if (ret->dir)
		return OK;
	const int why = errno;
	if (fd >= 0)
		(void)close(fd);
	if (why == ENOTDIR)
		return fault_set(
			fault, ERR_FORMAT, "%s is no folder: give the one in which the clients' *%s are", path, SUFFIX);
	errno = why;
	return fault_errno(fault, "cannot open the folder of public keys %s (%s)", path,
		why == ENOENT ? "make it, and put the clients' snek-cert.pub there" : "correct its access rights");
}

/* The next key file's name, or NULL: *ret_err then says whether that was all (OK). ERR_TOO_BIG: there are more than are
 * looked at. */
static const char *folder_next(struct folder *f, enum err *ret_err, struct fault *fault)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(f->dir);
		if (!entry) {
			*ret_err = errno ? fault_errno(fault,
						   "cannot read the folder of public keys %s (check its disk)", f->path)
					 : OK;
			return NULL;
		}
		const size_t len = strlen(entry->d_name), end = sizeof SUFFIX - 1;
		if (len < end || strcmp(entry->d_name + len - end, SUFFIX) != 0)
			continue;
		if (f->files++ < SNEK_AUTHORIZED_MAX)
			return entry->d_name;
		*ret_err = fault_set(fault, ERR_TOO_BIG,
			"%s has more than %d files that end in %s: those beyond are not looked at, so move them away",
			f->path, SNEK_AUTHORIZED_MAX, SUFFIX);
		return NULL;
	}
}

static enum err key_read(struct sig_public *ret, const char *folder, const char *name, struct fault *fault)
{
	char path[PATH_MAX];
	if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
		return fault_set(fault, ERR_TOO_BIG, "%s: the folder's path is too long, so move it", name);
	enum err e = keyfile_read_public(ret, path, fault);
	if (e == OK && ret->alg != SIG_ML_DSA_65)
		e = fault_set(fault, ERR_UNSUPPORTED, "%s is an %s key, and the older program knows ML-DSA-65 only",
			path, sig_alg_name(ret->alg));
	return e;
}

static void warn_of_rights(const struct folder *f)
{
	struct stat st;
	if (fstat(dirfd(f->dir), &st) == 0 && st.st_mode & S_IWOTH)
		log_warning("everyone on this host may add keys to %s: run chmod o-w on it", f->path);
}

enum err snek_authorized_check(size_t *ret_n, const char *folder, struct fault *fault)
{
	struct folder f;
	struct fault why;
	struct sig_public key;
	const char *name;
	size_t n = 0;

	*ret_n = 0;
	enum err e = folder_open(&f, folder, fault);
	if (e != OK)
		return e;
	warn_of_rights(&f);
	while ((name = folder_next(&f, &e, &why))) {
		if (key_read(&key, folder, name, &why) == OK)
			n++;
		else
			log_warning("a key is left out: %s", why.text);
	}
	(void)closedir(f.dir);
	if (e == ERR_TOO_BIG)
		log_warning("%s", why.text);
	else if (e != OK)
		return fault_set(fault, e, "%s", why.text);
	if (n == 0)
		return fault_set(fault, ERR_NOT_FOUND,
			"there is no public key in %s: put each client's snek-cert.pub there, under a name that ends "
			"in %s",
			folder, SUFFIX);
	*ret_n = n;
	return OK;
}

enum err snek_authorized_find(char ret_name[static NAME_MAX + 1], const char *folder,
	const uint8_t data_key[static AEAD_KEY_LEN], const uint8_t sig[static SIG_65_LEN], struct fault *fault)
{
	struct folder f;
	struct sig_public key;
	const char *name;
	unsigned tried = 0;
	bool found = false;

	ret_name[0] = '\0';
	enum err e = folder_open(&f, folder, fault);
	if (e != OK)
		return e;
	while (!found && (name = folder_next(&f, &e, fault))) {
		if (key_read(&key, folder, name, NULL) != OK)
			continue;
		tried++;
		e = sig_verify(&key, SNEK_CONTEXT, VIEW(data_key, AEAD_KEY_LEN), VIEW(sig, SIG_65_LEN));
		found = e == OK;
		if (found)
			(void)snprintf(ret_name, NAME_MAX + 1, "%s", name);
		else if (e == ERR_CRYPTO)
			break;
	}
	(void)closedir(f.dir);
	if (found)
		return OK;
	if (e == ERR_CRYPTO)
		return fault_set(fault, e, "cannot verify the client's signature: %s", err_text(e));
	if (e != OK && e != ERR_TOO_BIG)
		return e;
	return fault_set(fault, ERR_AUTH,
		"the client's signature is by no key in %s (%u tried): if it may connect, put its snek-cert.pub there, "
		"under a name that ends in %s",
		folder, tried, SUFFIX);
}
