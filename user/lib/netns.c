// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network namespaces by their names under /run/netns, as iproute2 keeps them.
 */
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define NETNS_DIRECTORY "/run/netns"

static void directory_close(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Files below /proc/PID/net are one inode to a namespace, and unlike /proc/PID/ns they are shown to
 * whoever may not trace that process. Where PID 1 cannot be asked, there is nobody else to mean. */
static bool is_of_pid_1(void)
{
	struct stat ours, first;

	return stat("/proc/1/net/dev", &first) ||
	       (!stat("/proc/self/net/dev", &ours) && first.st_ino == ours.st_ino);
}

int tps_netns_name(char ret_name[TPS_NETNS_LEN], struct tps_why *why)
{
	_cleanup_(directory_close) DIR *directory = opendir(NETNS_DIRECTORY);
	const struct dirent *entry;
	struct stat ours, named;

	if (is_of_pid_1()) {
		ret_name[0] = '\0';
		return 0;
	}
	if (stat("/proc/self/ns/net", &ours))
		return -errno;
	while (directory && (entry = readdir(directory))) {
		if (strlen(entry->d_name) >= TPS_NETNS_LEN ||
		    fstatat(dirfd(directory), entry->d_name, &named, 0))
			continue;
		if (named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) {
			strcpy(ret_name, entry->d_name);
			return 0;
		}
	}
	return tps_why_say(why, -ENXIO,
			   "this network namespace has no name, so its devices cannot be told from "
			   "another's: give it one with ip netns attach NAME PID (of a process in "
			   "it), then use --netns NAME");
}

int tps_netns_check(const char *name, struct tps_why *why)
{
	if (*name && !strchr(name, '/') && strlen(name) < TPS_NETNS_LEN)
		return 0;
	return tps_why_say(why, -EINVAL,
			   "network namespace '%s': expected a name that ip netns list shows",
			   name);
}

int tps_netns_enter(const char *name, int *ret_back_fd, struct tps_why *why)
{
	_cleanup_close_ int back = -1, there = -1;
	char path[sizeof(NETNS_DIRECTORY) + TPS_NETNS_LEN + 1];
	int err = tps_netns_check(name, why);

	if (err)
		return err;
	snprintf(path, sizeof(path), NETNS_DIRECTORY "/%s", name);
	back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return -errno;
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0 || setns(there, CLONE_NEWNET)) {
		err = -errno;
		return tps_why_say(why, err, "network namespace '%s': %s%s", name, strerror(-err),
				   err == -ENOENT  ? "; ip netns list shows what there is"
				   : err == -EPERM ? "; entering it needs CAP_SYS_ADMIN (root)"
						   : "");
	}
	*ret_back_fd = TAKE_FD(back);
	return 0;
}

void tps_netns_leave(int *back_fd)
{
	if (*back_fd < 0)
		return;
	/* Entered it, so it may be left; going on in the wrong namespace would be worse than
	 * ending. */
	if (setns(*back_fd, CLONE_NEWNET))
		abort();
	close(*back_fd);
	*back_fd = -1;
}
