// SPDX-License-Identifier: GPL-2.0-only
/*
 * The directory of the pins: is it ours alone, is a bpffs mounted there, and would PID 1 see it.
 */
#include "root.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <tps/names.h>

#include "cleanup.h"

#define MOUNT_HOW \
	"run it outside of `ip netns exec` or the sandbox, as tpsctl attach --netns NAME DEVICE"

const char *tps_root_choose(const char *given)
{
	const char *chosen = given ? given : getenv(TPS_ROOT_ENV);

	return chosen && *chosen ? chosen : TPS_ROOT_DEFAULT;
}

static bool is_bpffs(const char *root)
{
	struct statfs fs;

	return !statfs(root, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* What a line of mountinfo (proc(5)) says. */
struct mount_line {
	int id;
	unsigned int major, minor;
};

typedef bool (*mount_match)(const struct mount_line *line, const void *with);

/* Is there a line in @file for which @match is true? -errno when the file cannot be read. */
static int mountinfo_any(const char *file, mount_match match, const void *with)
{
	_cleanup_fclose_ FILE *lines = fopen(file, "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	if (!lines)
		return -errno;
	while (getline(&text, &size, lines) > 0) {
		struct mount_line line;

		if (sscanf(text, "%d %*d %u:%u", &line.id, &line.major, &line.minor) == 3 &&
		    match(&line, with))
			return 1;
	}
	return 0;
}

static bool is_device(const struct mount_line *line, const void *with)
{
	const struct stat *root = with;

	return line->major == major(root->st_dev) && line->minor == minor(root->st_dev);
}

static bool is_id(const struct mount_line *line, const void *with)
{
	return line->id == *(const int *)with;
}

static bool is_of_pid_1(const struct mount_line *line, const void *with)
{
	return mountinfo_any("/proc/1/mountinfo", is_id, &line->id) > 0;
}

/* Mount ids are unique over all mount namespaces, so one in common means the same namespace. Where
 * PID 1 cannot be asked, there is nobody else to outlive us. */
static bool is_mount_namespace_of_pid_1(void)
{
	int shared;

	if (mountinfo_any("/proc/1/mountinfo", is_id, &(int){-1}) < 0)
		return true;
	shared = mountinfo_any("/proc/self/mountinfo", is_of_pid_1, NULL);
	return shared != 0;
}

int tps_root_check(const char *root, struct tps_why *why)
{
	struct stat st;

	if (root[0] != '/')
		return tps_why_say(why, -EINVAL, "root '%s': expected an absolute path", root);
	if (lstat(root, &st)) {
		int err = -errno;

		if (err == -ENOENT)
			return tps_why_say(why, err,
					   "no gate at '%s': make one with tpsctl attach DEVICE",
					   root);
		return tps_why_say(why, err, "root '%s': %s", root, strerror(-err));
	}
	if (S_ISLNK(st.st_mode))
		return tps_why_say(why, -EPERM, "root '%s': a symbolic link; name the directory",
				   root);
	if (!S_ISDIR(st.st_mode))
		return tps_why_say(why, -ENOTDIR, "root '%s': not a directory", root);
	if (st.st_uid != 0)
		return tps_why_say(why, -EPERM, "root '%s': belongs to user %u, expected root",
				   root, st.st_uid);
	if (!is_bpffs(root))
		return tps_why_say(why, -ENOENT,
				   "no gate at '%s': no bpffs is mounted there; make one with "
				   "tpsctl attach DEVICE",
				   root);
	if (st.st_mode & 077)
		return tps_why_say(why, -EPERM,
				   "root '%s': open to others (mode %03o); chmod 700 it", root,
				   st.st_mode & 0777);
	return 0;
}

static int bpffs_mount(const char *root, struct tps_why *why)
{
	int err;

	if (!is_mount_namespace_of_pid_1())
		return tps_why_say(why, -EXDEV,
				   "root '%s': a mount made here would vanish with this mount "
				   "namespace, and the gate with it: " MOUNT_HOW,
				   root);
	if (mkdir(root, 0700) && errno != EEXIST) {
		err = -errno;
		return tps_why_say(why, err, "root '%s': %s", root, strerror(-err));
	}
	if (mount("tps", root, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")) {
		err = -errno;
		rmdir(root);
		return tps_why_say(why, err, "root '%s': cannot mount a bpffs: %s%s", root,
				   strerror(-err),
				   err == -EPERM ? "; it needs CAP_SYS_ADMIN (root)" : "");
	}
	return 0;
}

int tps_root_lasting_check(const char *root, struct tps_why *why)
{
	struct stat st;

	if (stat(root, &st))
		return -errno;
	if (mountinfo_any("/proc/1/mountinfo", is_device, &st) == 0)
		return tps_why_say(why, -EXDEV,
				   "root '%s': its bpffs is mounted in this mount namespace only: "
				   "umount it, and " MOUNT_HOW,
				   root);
	return 0;
}

int tps_root_mount(const char *root, struct tps_why *why)
{
	int err;

	if (tps_root_check(root, NULL) == -ENOENT) {
		err = bpffs_mount(root, why);
		if (err)
			return err;
	}
	err = tps_root_check(root, why);
	return err ? err : tps_root_lasting_check(root, why);
}

static int unmount_failed(const char *root, int err, struct tps_why *why)
{
	return tps_why_say(why, err, "root '%s': cannot unmount it: %s%s", root, strerror(-err),
			   err == -EBUSY ? "; fuser -vm names who is in there" : "");
}

int tps_root_idle_check(const char *root, struct tps_why *why)
{
	/* Only marks an idle mount, until somebody uses it again: umount(2). */
	if (!umount2(root, UMOUNT_NOFOLLOW | MNT_EXPIRE) || errno == EAGAIN)
		return 0;
	return unmount_failed(root, -errno, why);
}

int tps_root_unmount(const char *root, struct tps_why *why)
{
	int err = tps_root_check(root, why);

	if (err)
		return err;
	if (umount2(root, UMOUNT_NOFOLLOW))
		return unmount_failed(root, -errno, why);
	rmdir(root);
	return 0;
}
