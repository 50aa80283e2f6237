/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How jiffies, which only the kernel reads, relate to CLOCK_MONOTONIC. Asks the gate's own program
 * `clocks`.
 */
#ifndef TPS_CLOCK_H
#define TPS_CLOCK_H

#include <linux/types.h>

/* No jiffies step so. It is the tick of a replay's gate, which reads its time from the offset. */
#define TPS_TICK_OF_REPLAY_NS 1

/*
 * *ret_tick_ns is jiffies' step and *ret_offset_ns such that jiffies64 * tick + offset lags
 * CLOCK_MONOTONIC by 0 .. 1 tick and is never ahead. -ERANGE when the step is that of no HZ: then
 * read no jiffies.
 */
int tps_clock_calibrate(int clocks_fd, __u64 *ret_tick_ns, __u64 *ret_offset_ns);

#endif
