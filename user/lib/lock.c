// SPDX-License-Identifier: GPL-2.0-only
/*
 * flock(2) on a file beside the root. Knows nothing of mounts and maps.
 */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <tps/names.h>

#include "cleanup.h"

/* Make the directories above @file. */
static int parents_make(const char *file)
{
	char path[PATH_MAX];

	if (strlen(file) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path, file);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int lock_open(const char *file, enum tps_access access)
{
	int flags = O_CLOEXEC | O_NOFOLLOW | (access == TPS_READ ? O_RDONLY : O_RDWR);
	int err, fd;

	if (access == TPS_MAKE) {
		err = parents_make(file);
		if (err)
			return err;
		flags |= O_CREAT;
	}
	fd = open(file, flags, 0600);
	return fd < 0 ? -errno : fd;
}

/* A lock file that was removed while we waited (tps_gate_forget) guards nothing. */
static bool is_current(int fd, const char *file)
{
	struct stat held, there;

	return !fstat(fd, &held) && !stat(file, &there) && held.st_dev == there.st_dev &&
	       held.st_ino == there.st_ino;
}

int tps_lock_take(const char *root, enum tps_access access, int *ret_fd, struct tps_why *why)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s" TPS_LOCK_SUFFIX, root) >= (int)sizeof(file))
		return tps_why_say(why, -ENAMETOOLONG, "root '%s': the path is too long", root);
	for (;;) {
		_cleanup_close_ int fd = lock_open(file, access);

		if (fd == -ENOENT)
			return tps_why_say(why, fd,
					   "no gate at '%s': make one with tpsctl attach DEVICE",
					   root);
		if (fd == -EACCES || fd == -EPERM)
			return tps_why_say(why, fd, "lock '%s': %s: tpsctl needs root", file,
					   strerror(-fd));
		if (fd < 0)
			return tps_why_say(why, fd, "lock '%s': %s", file, strerror(-fd));
		while (flock(fd, access == TPS_READ ? LOCK_SH : LOCK_EX)) {
			int err = -errno;

			if (err != -EINTR)
				return tps_why_say(why, err, "lock '%s': %s", file, strerror(-err));
		}
		if (is_current(fd, file)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}
