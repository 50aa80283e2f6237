/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network namespaces by name: entering one for a while, and what ours is called. Leaves the mount
 * namespace alone, so that pins made meanwhile stay where they are seen.
 */
#ifndef TPS_NETNS_H
#define TPS_NETNS_H

#include <tps/abi.h>

#include "why.h"

/* The name under /run/netns of this process's network namespace, or "" when it has none. */
int tps_netns_name(char ret_name[TPS_NETNS_LEN]);

/* Enter the network namespace @name; *ret_back_fd leads back, by tps_netns_leave(). */
int tps_netns_enter(const char *name, int *ret_back_fd, struct tps_why *why);

/* For a cleanup: nothing happens when *back_fd is -1. */
void tps_netns_leave(int *back_fd);
#define _cleanup_netns_ __attribute__((cleanup(tps_netns_leave)))

#endif
