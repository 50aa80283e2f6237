/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock beside the root: one writer, or readers. Knows nothing of the maps that it guards.
 */
#ifndef TPS_LOCK_H
#define TPS_LOCK_H

#include "why.h"

enum tps_access {
	TPS_READ,
	TPS_WRITE,
	TPS_MAKE, /* TPS_WRITE, and what is missing is made */
};

/* Take the lock of @root; it is released by closing @ret_fd. Waits for its holder, but for half a
 * minute at most: then -EWOULDBLOCK. Where there was never a root, only TPS_MAKE makes the lock;
 * the others get -ENOENT. */
int tps_lock_take(const char *root, enum tps_access access, int *ret_fd, struct tps_why *why);

/* @tell is given a line to show when the holder is waited for. */
void tps_lock_on_wait(void (*tell)(const char *text));

#endif
