/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Forgets spliced connections that nobody uses any more. One timer looks for them all: one for each
 * is made at every first refusal, and cannot always be made there (bpf_timer_init(): -ENOMEM for
 * half of them where the map's memory is charged to a cgroup, Linux 6.18).
 */
#ifndef TPS_BPF_SWEEP_H
#define TPS_BPF_SWEEP_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/bucket.h>

#include "maps.h"
#include "translate.h"

#define SWEEP_CLOCK_MONOTONIC 1 /* linux/time.h */
#define SWEEP_NS (10 * BUCKET_NS_PER_SEC)
#define SWEEP_TICK_NS 1000000 /* of jiffies, the shortest there is, where it is not known */

/* How long an entry is kept after the last segment: of a connection that is open, until nobody can
 * still be waiting at either end; behind both FINs, as long as Linux holds what is left of
 * such a connection (TCP_TIMEWAIT_LEN, include/net/tcp.h); when nothing was given yet, a little. */
#define SWEEP_OPEN_S 86400
#define SWEEP_ENDING_S 60
#define SWEEP_WANTED_S 10

static __always_inline __u64 sweep_kept_s(const struct tps_splice *splice)
{
	if (!splice->swallowed && !splice->injected)
		return SWEEP_WANTED_S;
	return splice->ending & TPS_SPLICE_BOTH_FIN || splice->state != TPS_SPLICE_OPEN
		       ? SWEEP_ENDING_S
		       : SWEEP_OPEN_S;
}

static long sweep_one(void *map, struct tps_flow_key *key, struct tps_splice *splice,
		      __u64 *tick_ns)
{
	/* read first: a segment that comes meanwhile is later */
	__u64 used = *(volatile __u64 *)&splice->used_jiffies;
	__s64 idle = bpf_jiffies64() - used;

	if (idle > 0 && idle * *tick_ns > sweep_kept_s(splice) * BUCKET_NS_PER_SEC)
		translate_forget(key);
	return 0;
}

static int sweep_all(void *map, __u32 *key, struct tps_splicing *of)
{
	__u64 tick_ns = SWEEP_TICK_NS;
	struct tps_control *settings;
	__u32 zero = 0;

	settings = bpf_map_lookup_elem(&control, &zero);
	if (settings && settings->tick_ns)
		tick_ns = settings->tick_ns;
	bpf_for_each_map_elem(&spliced, sweep_one, &tick_ns, 0);
	bpf_timer_start(&of->timer, SWEEP_NS, 0);
	return 0;
}

/* A connection is spliced: from now on it is looked for. What fails is tried at the next one. A
 * global function: verified once. */
__noinline int sweep_begin(void)
{
	__u32 zero = 0;
	struct tps_splicing *of = bpf_map_lookup_elem(&splicing, &zero);
	long err;

	if (!of || of->swept)
		return 0;
	err = bpf_timer_init(&of->timer, &splicing, SWEEP_CLOCK_MONOTONIC);
	if ((err && err != -EBUSY) || bpf_timer_set_callback(&of->timer, sweep_all))
		return 0;
	of->swept = !bpf_timer_start(&of->timer, SWEEP_NS, 0);
	return 0;
}

#endif
