// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calibrates jiffies: watches some of its steps and keeps the earliest instant that fits them all.
 */
#include "clock.h"

#include <errno.h>

#include <bpf/bpf.h>

#include <tps/abi.h>

#define STEPS 12 /* watched at most; 120 ms at HZ=100 */
#define STEPS_NS_MIN \
	40000000ULL             /* watched at least this long: a late tick must not pass for HZ \
				 */
#define GIVE_UP_NS 500000000ULL /* jiffies that do not move */
#define FIT_PERCENT 8           /* HZ 250 and 300 differ by 17 % */

/* (10^9 + HZ/2) / HZ, as the kernel's TICK_NSEC. */
static const __u64 known_ticks_ns[] = {10000000, 4000000, 3333333, 1000000};

static int clocks_read(int fd, struct tps_clocks *ret_clocks)
{
	struct tps_clocks clocks = {};
	/* A syscall program's context goes in and out by ctx_in; the kernel refuses a ctx_out. */
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &clocks, .ctx_size_in = sizeof(clocks));
	int err = bpf_prog_test_run_opts(fd, &options);

	if (err)
		return err;
	*ret_clocks = clocks;
	return 0;
}

/* Wait for jiffies to step: *ret_before was read just before, *ret_after just after. */
static int step_watch(int fd, struct tps_clocks *ret_before, struct tps_clocks *ret_after)
{
	struct tps_clocks first, before, after;
	int err = clocks_read(fd, &first);

	if (err)
		return err;
	before = first;
	for (;;) {
		err = clocks_read(fd, &after);
		if (err)
			return err;
		if (after.jiffies != before.jiffies)
			break;
		if (after.ktime_ns - first.ktime_ns > GIVE_UP_NS)
			return -ERANGE;
		before = after;
	}
	*ret_before = before;
	*ret_after = after;
	return 0;
}

static __u64 tick_find(__u64 measured_ns)
{
	for (unsigned int i = 0; i < sizeof(known_ticks_ns) / sizeof(*known_ticks_ns); i++) {
		__u64 tick_ns = known_ticks_ns[i];
		__u64 apart_ns =
			measured_ns > tick_ns ? measured_ns - tick_ns : tick_ns - measured_ns;

		if (apart_ns * 100 <= tick_ns * FIT_PERCENT)
			return tick_ns;
	}
	return 0;
}

int tps_clock_calibrate(int clocks_fd, __u64 *ret_tick_ns, __u64 *ret_offset_ns)
{
	struct tps_clocks before[STEPS], after[STEPS];
	__u64 tick_ns, offset_ns = 0;
	int steps = 0;

	do {
		int err = step_watch(clocks_fd, &before[steps], &after[steps]);

		if (err)
			return err;
		steps++;
	} while (steps < STEPS &&
		 (steps < 3 || after[steps - 1].ktime_ns - after[0].ktime_ns < STEPS_NS_MIN));

	tick_ns = tick_find((after[steps - 1].ktime_ns - after[0].ktime_ns) /
			    (after[steps - 1].jiffies - after[0].jiffies));
	if (!tick_ns)
		return -ERANGE;
	/* A step is seen late, never early; what was read before it is surely no later than it. */
	for (int i = 0; i < steps; i++) {
		__u64 at_ns = before[i].ktime_ns - (before[i].jiffies + 1) * tick_ns;

		if (i == 0 || (__s64)(at_ns - offset_ns) < 0)
			offset_ns = at_ns;
	}
	*ret_tick_ns = tick_ns;
	*ret_offset_ns = offset_ns;
	return 0;
}
