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
#include <sys/sysmacros.h>
#include <time.h>

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

/* ---- waiting: by asking again, since flock(2) itself waits for ever */

#define STEP_MS 5
#define TELL_MS 1000
#define END_MS 30000

static void (*wait_tell)(const char *text);

void tps_lock_on_wait(void (*tell)(const char *text))
{
	wait_tell = tell;
}

#define HOLDER_TEXT 32

/* Who has it, from /proc/locks (proc(5)): `process 12`, or `a process` when that is not said. */
static const char *holder_text(int fd, char ret_text[HOLDER_TEXT])
{
	_cleanup_fclose_ FILE *locks = fopen("/proc/locks", "re");
	unsigned int major_id, minor_id;
	unsigned long long inode;
	char line[256];
	struct stat st;
	int pid;

	strcpy(ret_text, "a process");
	while (locks && !fstat(fd, &st) && fgets(line, sizeof(line), locks)) {
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_id, &minor_id,
			   &inode) == 4 &&
		    pid > 0 && inode == st.st_ino && major_id == major(st.st_dev) &&
		    minor_id == minor(st.st_dev))
			snprintf(ret_text, HOLDER_TEXT, "process %d", pid);
	}
	return ret_text;
}

static int lock_wait(int fd, const char *file, int operation, struct tps_why *why)
{
	char holder[HOLDER_TEXT];

	for (int waited_ms = 0; flock(fd, operation | LOCK_NB); waited_ms += STEP_MS) {
		int err = -errno;
		struct tps_why text = {};

		if (err != -EWOULDBLOCK && err != -EINTR)
			return tps_why_say(why, err, "lock '%s': %s", file, strerror(-err));
		if (waited_ms >= END_MS)
			return tps_why_say(why, err,
					   "lock '%s': %s holds it, for over %d s: end it, or try "
					   "again",
					   file, holder_text(fd, holder), END_MS / 1000);
		if (waited_ms == TELL_MS && wait_tell) {
			tps_why_say(&text, 0, "waiting for %s, which holds '%s'",
				    holder_text(fd, holder), file);
			wait_tell(text.text);
		}
		nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
	}
	return 0;
}

int tps_lock_take(const char *root, enum tps_access access, int *ret_fd, struct tps_why *why)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s" TPS_LOCK_SUFFIX, root) >= (int)sizeof(file))
		return tps_why_say(why, -ENAMETOOLONG, "root '%s': the path is too long", root);
	for (;;) {
		_cleanup_close_ int fd = lock_open(file, access);
		int err;

		if (fd == -ENOENT)
			return tps_why_say(why, fd,
					   "no gate at '%s': make one with tpsctl attach DEVICE",
					   root);
		if (fd == -EACCES || fd == -EPERM)
			return tps_why_say(why, fd, "lock '%s': %s: tpsctl needs root", file,
					   strerror(-fd));
		if (fd < 0)
			return tps_why_say(why, fd, "lock '%s': %s", file, strerror(-fd));
		err = lock_wait(fd, file, access == TPS_READ ? LOCK_SH : LOCK_EX, why);
		if (err)
			return err;
		if (is_current(fd, file)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}
