/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted, and where. Each packet has one action and one reason, each transaction one
 * verdict. Knows no limit; a failing count changes no verdict.
 */
#ifndef TPS_BPF_COUNT_H
#define TPS_BPF_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/dual.h>

#include "maps.h"

static __always_inline struct tps_totals *count_totals(__u32 listener)
{
	return bpf_map_lookup_elem(&totals, &listener);
}

/* A reason that is not known here is opaque where its bound is checked: else clang 14 checks a copy
 * of it ("R6 unbounded memory access", Linux 6.1). */
#define COUNT_REASON(reason) \
	do { \
		if (!__builtin_constant_p(reason)) \
			dual_opaque(reason); \
	} while (0)

/* The packet's end: counts it and returns what XDP is to do. */
static __always_inline int count_pass(struct tps_totals *of, __u32 reason)
{
	COUNT_REASON(reason);
	if (of && reason < TPS_REASON_MAX)
		of->packets[TPS_ACTION_PASS][reason]++;
	return XDP_PASS;
}

static __always_inline int count_drop(struct tps_totals *of, __u32 reason)
{
	COUNT_REASON(reason);
	if (of && reason < TPS_REASON_MAX)
		of->packets[TPS_ACTION_DROP][reason]++;
	return XDP_DROP;
}

static __always_inline int count_tx(struct tps_totals *of, __u32 reason)
{
	COUNT_REASON(reason);
	if (of && reason < TPS_REASON_MAX)
		of->packets[TPS_ACTION_TX][reason]++;
	return XDP_TX;
}

static __always_inline void count_note(struct tps_totals *of, __u32 reason)
{
	COUNT_REASON(reason);
	if (of && reason < TPS_REASON_MAX)
		of->notes[reason]++;
}

/* What a refused client was given. */
static __always_inline void count_refusal(struct tps_totals *of, __u32 refusal, __u32 reason)
{
	COUNT_REASON(reason);
	if (of && refusal < TPS_REFUSAL_MAX && reason < TPS_REASON_MAX)
		of->refusals[refusal][reason]++;
}

/* An index made safe right before its use: 6.1 forgets a bound over a spill ("max value is outside
 * of the allowed memory range"). */
#define COUNT_INDEX(index, max) \
	do { \
		dual_opaque(index); \
		(index) &= (max)-1; \
	} while (0)
_Static_assert((TPS_VERDICT_MAX & (TPS_VERDICT_MAX - 1)) == 0, "a mask");
_Static_assert((TPS_TIERS_MAX & (TPS_TIERS_MAX - 1)) == 0, "a mask");

static __always_inline void count_verdict(struct tps_totals *of, __u32 tier, __u32 verdict,
					  __u32 transactions)
{
	if (!of)
		return;
	COUNT_INDEX(tier, TPS_TIERS_MAX);
	COUNT_INDEX(verdict, TPS_VERDICT_MAX);
	of->verdicts[tier][verdict] += transactions;
}

static __always_inline void count_caller(__u32 slot, __u32 verdict, __u32 transactions)
{
	struct tps_counter *counter = bpf_map_lookup_elem(&counters, &slot);

	if (!counter)
		return;
	COUNT_INDEX(verdict, TPS_VERDICT_MAX);
	counter->verdicts[verdict] += transactions;
}

/* Strangers' counts are shared by the CPUs and not locked: two at once may count as one. */
static __always_inline void count_stranger(struct tps_stranger *stranger, __u32 verdict,
					   __u32 transactions)
{
	COUNT_INDEX(verdict, TPS_VERDICT_MAX);
	stranger->verdicts[verdict] += transactions;
}

/* A transaction's verdict, from what decided over it. */
static __always_inline enum tps_verdict count_verdict_of(__u32 reason, int observing)
{
	if (reason == TPS_REASON_ALLOWED || reason == TPS_REASON_EXEMPT)
		return TPS_VERDICT_ALLOWED;
	if (observing)
		return TPS_VERDICT_WOULD_REFUSE;
	if (reason == TPS_REASON_BANNED_PREFIX || reason == TPS_REASON_BANNED_CALLER)
		return TPS_VERDICT_BANNED;
	return TPS_VERDICT_REFUSED;
}

#endif
