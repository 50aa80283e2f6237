/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The directory of the pins: a private bpffs, mounted where PID 1 sees it. Knows nothing of what is
 * pinned there.
 */
#ifndef TPS_ROOT_H
#define TPS_ROOT_H

#include <stdbool.h>

#include "why.h"

/* The root to use: @given (--root) if not NULL, else the environment's TPS_ROOT, else the default.
 */
const char *tps_root_choose(const char *given);

/* 0 when @root is a bpffs that belongs to root alone; -ENOENT when nothing is there or nothing is
 * mounted on it; -EPERM when it is a symbolic link, somebody else's or open to others. */
int tps_root_check(const char *root, struct tps_why *why);

/* tps_root_check(), and where nothing is mounted: make the directory and mount a bpffs on it.
 * Refuses
 * (-EXDEV) when a mount would be seen by this process's mount namespace only. */
int tps_root_mount(const char *root, struct tps_why *why);

/* 0 when PID 1 sees the bpffs that is mounted on @root; -EXDEV when it would vanish with this mount
 * namespace. */
int tps_root_lasting_check(const char *root, struct tps_why *why);

/* Unmount the bpffs and remove its directory. What is pinned goes with it, and stays when it cannot
 * be unmounted. */
int tps_root_unmount(const char *root, struct tps_why *why);
/* -EBUSY when somebody is in there, so that it could not be unmounted. */
int tps_root_idle_check(const char *root, struct tps_why *why);

#endif
