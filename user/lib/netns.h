/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network namespaces by name: entering one for a while, and what ours is called. Leaves the mount
 * namespace alone, so that pins made meanwhile stay where they are seen.
 */
#ifndef TPS_NETNS_H
#define TPS_NETNS_H

#include <tps/abi.h>

#include "why.h"

/* The name of this process's network namespace: "" for that of PID 1, for any other the one under
 * /run/netns. -ENXIO for one without: it could not be told from the next. */
int tps_netns_name(char ret_name[TPS_NETNS_LEN], struct tps_why *why);

/* -EINVAL for what can be no name of one. */
int tps_netns_check(const char *name, struct tps_why *why);

/* Enter the network namespace @name; *ret_back_fd leads back, by tps_netns_leave(). */
int tps_netns_enter(const char *name, int *ret_back_fd, struct tps_why *why);

/* For a cleanup: nothing happens when *back_fd is -1. */
void tps_netns_leave(int *back_fd);
#define _cleanup_netns_ __attribute__((cleanup(tps_netns_leave)))

#endif
