/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The coarse time: jiffies where they are understood. Knows no bucket; where a limit needs a finer
 * one, take.h knows.
 */
#ifndef TPS_BPF_CLOCK_H
#define TPS_BPF_CLOCK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>

/* CLOCK_MONOTONIC, or up to a tick before it. */
static __always_inline __u64 clock_coarse_ns(const struct tps_control *settings)
{
	if (settings->tick_ns)
		return bpf_jiffies64() * settings->tick_ns + settings->tick_offset_ns;
	return bpf_ktime_get_ns();
}

#endif
