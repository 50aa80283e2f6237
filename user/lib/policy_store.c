// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in a directory of root's alone, each written in full beside its place and then renamed.
 */
#include "policy_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {
#define ROW(id, text) [TPS_KEPT_##id] = text,
	TPS_KEPT(ROW)
#undef ROW
};
#define SCRATCH "scratch"

static int store_path(const char *root, char ret_path[PATH_MAX])
{
	if (snprintf(ret_path, PATH_MAX, "%s" TPS_POLICY_SUFFIX, root) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* The directory; made when @make. */
static int store_open(const char *root, bool make, struct tps_why *why)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int err = store_path(root, path);

	if (err)
		return err;
	if (make && mkdir(path, 0700) && errno != EEXIST) {
		err = -errno;
		return tps_why_say(why, err, "directory '%s': %s", path, strerror(-err));
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
		return tps_why_say(why, err, "directory '%s': %s", path, strerror(-err));
	}
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return tps_why_say(why, -EPERM, "directory '%s': expected root's alone (mode 0700)",
				   path);
	return TAKE_FD(fd);
}

static int all_write(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t done = write(fd, text, len);

		if (done < 0 && errno != EINTR)
			return -errno;
		text += done > 0 ? done : 0;
		len -= done > 0 ? done : 0;
	}
	return 0;
}

static int kept_write(const char *root, enum tps_kept which, const struct tps_policy_file *policy,
		      struct tps_why *why)
{
	_cleanup_close_ int directory = store_open(root, true, why), fd = -1;
	_cleanup_out_ struct tps_out out = {};
	int err;

	if (directory < 0)
		return directory;
	tps_policy_print(policy, TPS_POLICY_YAML, &out);
	if (out.failed)
		return -ENOMEM;
	fd = openat(directory, SCRATCH, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	err = fd < 0 ? -errno : all_write(fd, out.text, out.len);
	if (!err && (fsync(fd) || renameat(directory, SCRATCH, directory, names[which])))
		err = -errno;
	if (!err)
		return 0;
	unlinkat(directory, SCRATCH, 0);
	return tps_why_say(why, err, "'%s" TPS_POLICY_SUFFIX "/%s': %s", root, names[which],
			   strerror(-err));
}

int tps_policy_kept_read(const char *root, enum tps_kept which, const __u64 *secret,
			 struct tps_policy_file **ret_policy, time_t *ret_when, struct tps_why *why)
{
	_cleanup_close_ int directory = store_open(root, false, NULL), fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t got = 0;
	struct stat st;
	ssize_t n;

	if (directory < 0)
		return directory;
	fd = openat(directory, names[which], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	text = malloc(st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while ((n = read(fd, text + got, st.st_size - got)) > 0)
		got += n;
	if (n < 0)
		return -errno;
	if (ret_when)
		*ret_when = st.st_mtime;
	return tps_policy_parse(names[which], text, got, secret, ret_policy, why);
}

bool tps_policy_is_unfinished(const char *root)
{
	_cleanup_close_ int directory = store_open(root, false, NULL);

	return directory >= 0 && !faccessat(directory, names[TPS_KEPT_NEXT], F_OK, 0);
}

int tps_policy_kept_begin(const char *root, const struct tps_policy_file *have,
			  const struct tps_policy_file *want, struct tps_why *why)
{
	int err = tps_policy_is_unfinished(root) ? 0 : kept_write(root, TPS_KEPT_BEFORE, have, why);

	return err ? err : kept_write(root, TPS_KEPT_NEXT, want, why);
}

int tps_policy_kept_end(const char *root, struct tps_why *why)
{
	_cleanup_close_ int directory = store_open(root, false, why);

	if (directory < 0)
		return directory;
	if (renameat(directory, names[TPS_KEPT_NEXT], directory, names[TPS_KEPT_APPLIED])) {
		int err = -errno;

		return tps_why_say(why, err, "'%s" TPS_POLICY_SUFFIX "': %s", root, strerror(-err));
	}
	return 0;
}

int tps_policy_kept_same(const char *root, const struct tps_policy_file *want, struct tps_why *why)
{
	return kept_write(root, TPS_KEPT_APPLIED, want, why);
}

void tps_policy_kept_forget(const char *root)
{
	_cleanup_close_ int directory = store_open(root, false, NULL);
	char path[PATH_MAX];

	if (directory < 0 || store_path(root, path))
		return;
	for (int i = 0; i < TPS_KEPT_MAX; i++)
		unlinkat(directory, names[i], 0);
	unlinkat(directory, SCRATCH, 0);
	rmdir(path);
}
