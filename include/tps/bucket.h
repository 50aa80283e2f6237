/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one token bucket: a limit in one word, a bucket in one word, and what may be taken. Pure
 * arithmetic; knows no clock, no map and no policy.
 *
 * Virtual time (suffix _vt) is CLOCK_MONOTONIC plus BUCKET_EPOCH_NS, in units of 2^-6 ns. The epoch
 * lets a bucket of a slow rate be full on a host that has just booted (10/d wants a day's credit).
 */
#ifndef TPS_BUCKET_H
#define TPS_BUCKET_H

#include <tps/dual.h>

#define BUCKET_VT_SHIFT 6
#define BUCKET_EPOCH_NS (1ULL << 56)
/* burst * interval may not exceed the epoch, or a floor could pass below zero: 2^56 ns = 2.28
 * years. */
#define BUCKET_BURST_VT_MAX (BUCKET_EPOCH_NS << BUCKET_VT_SHIFT)
/* Clocks of two CPUs, and jiffies against ktime, differ by less than this; a word further ahead of
 * now is garbage: 1 s. */
#define BUCKET_SKEW_VT (1000000000ULL << BUCKET_VT_SHIFT)
#define BUCKET_NS_PER_SEC 1000000000ULL

/*
 * A limit packed in one word, so that replacing it is one store and no reader ever sees a new rate
 * with an old burst: burst (32 bits) | exponent (8) | mantissa (24); interval_vt = mantissa <<
 * exponent. 24 bits hold every interval to 3e-8. Zero means "no limit here".
 */
typedef __u64 bucket_limit;

DUAL_INLINE __u64 limit_interval_vt(bucket_limit limit)
{
	return (limit & 0xffffff) << ((limit >> 24) & 63);
}

DUAL_INLINE __u32 limit_burst(bucket_limit limit)
{
	return limit >> 32;
}

/* @burst tokens, a token each @interval_vt (1 .. 2^62, rounded to 24 significant bits). Zero when
 * the pair cannot be held: burst 0, interval 0, or burst * interval beyond BUCKET_BURST_VT_MAX. */
DUAL_INLINE bucket_limit limit_make(__u64 interval_vt, __u32 burst)
{
	__u32 exponent = 0;

	if (!interval_vt || !burst || interval_vt > BUCKET_BURST_VT_MAX / burst)
		return 0;
	while ((interval_vt >> exponent) >= (1 << 24))
		exponent++;
	if (exponent && (interval_vt >> (exponent - 1)) & 1 &&
	    (interval_vt >> exponent) < (1 << 24) - 1)
		interval_vt += 1ULL << exponent;
	return (__u64)burst << 32 | (__u64)exponent << 24 | interval_vt >> exponent;
}

DUAL_INLINE __u64 bucket_now_vt(__u64 now_ns)
{
	return (now_ns + BUCKET_EPOCH_NS) << BUCKET_VT_SHIFT;
}

/* The oldest instant that still counts: a bucket idle since then is full. */
DUAL_INLINE __u64 bucket_floor_vt(__u64 now_vt, bucket_limit limit)
{
	__u64 burst_vt = limit_burst(limit) * limit_interval_vt(limit);

	return now_vt > burst_vt ? now_vt - burst_vt : 0;
}

/*
 * What the word becomes when @cost tokens are taken from @tat_vt, or 0 when they are not there.
 * @floor_vt and @horizon_vt are the caller's: on one host the floor is bucket_floor_vt() and the
 * horizon is now. @cost must be <= the limit's burst, else 0 (and the product cannot overflow).
 */
DUAL_INLINE __u64 bucket_next_vt(__u64 tat_vt, __u64 floor_vt, __u64 horizon_vt, bucket_limit limit,
				 __u32 cost)
{
	__u64 base_vt = tat_vt > floor_vt ? tat_vt : floor_vt;
	__u64 next_vt;

	if (!cost || cost > limit_burst(limit))
		return 0;
	next_vt = base_vt + cost * limit_interval_vt(limit);
	if (next_vt < base_vt || next_vt > horizon_vt)
		return 0;
	return next_vt;
}

/* A word that no honest clock could have written. It is set back to now: an empty bucket, never a
 * full one. */
DUAL_INLINE int bucket_far_future(__u64 tat_vt, __u64 now_vt)
{
	return tat_vt > now_vt && tat_vt - now_vt > BUCKET_SKEW_VT;
}

/* Whole tokens in the bucket now: what `show` and `explain` print. */
DUAL_INLINE __u32 bucket_tokens(__u64 tat_vt, __u64 now_vt, bucket_limit limit)
{
	__u64 floor_vt = bucket_floor_vt(now_vt, limit);
	__u64 base_vt = tat_vt > floor_vt ? tat_vt : floor_vt;
	__u64 interval_vt = limit_interval_vt(limit);

	if (!interval_vt || base_vt >= now_vt)
		return 0;
	return (now_vt - base_vt) / interval_vt;
}

/* How long from @now_vt until bucket_take() would find @cost tokens, if nobody else took any. */
DUAL_INLINE __u64 bucket_wait_vt(__u64 tat_vt, __u64 now_vt, bucket_limit limit, __u32 cost)
{
	__u64 floor_vt = bucket_floor_vt(now_vt, limit);
	__u64 base_vt = tat_vt > floor_vt ? tat_vt : floor_vt;
	__u64 next_vt;

	if (bucket_far_future(tat_vt, now_vt))
		base_vt = now_vt;
	next_vt = base_vt + cost * limit_interval_vt(limit);
	return next_vt > now_vt ? next_vt - now_vt : 0;
}

enum bucket_outcome {
	BUCKET_TAKEN,
	BUCKET_EMPTY,
	BUCKET_CONTENDED, /* the retries ran out: refused, nothing taken */
};

/* Attempts of one take. Two CPUs need 2 in practice; what runs out under-admits. */
#define BUCKET_CAS_TRIES 16

/*
 * Take @cost tokens of @limit from @word at @now_vt, on any number of CPUs. A refusal does not
 * write (but for a word in the far future, which is set back to now).
 */
DUAL_INLINE enum bucket_outcome bucket_take(__u64 *word, bucket_limit limit, __u64 now_vt,
					    __u32 cost)
{
	__u64 floor_vt = bucket_floor_vt(now_vt, limit);
	__u64 tat_vt = *(volatile __u64 *)word;

	for (int i = 0; i < BUCKET_CAS_TRIES; i++) {
		__u64 next_vt, seen_vt;

		if (bucket_far_future(tat_vt, now_vt)) {
			__sync_val_compare_and_swap(word, tat_vt, now_vt);
			return BUCKET_EMPTY;
		}
		next_vt = bucket_next_vt(tat_vt, floor_vt, now_vt, limit, cost);
		if (!next_vt)
			return BUCKET_EMPTY;
		seen_vt = __sync_val_compare_and_swap(word, tat_vt, next_vt);
		if (seen_vt == tat_vt)
			return BUCKET_TAKEN;
		tat_vt = seen_vt;
	}
	return BUCKET_CONTENDED;
}

/* Would bucket_take() admit? Reads only. */
DUAL_INLINE int bucket_would_take(const __u64 *word, bucket_limit limit, __u64 now_vt, __u32 cost)
{
	__u64 tat_vt = *(const volatile __u64 *)word;

	return !bucket_far_future(tat_vt, now_vt) &&
	       bucket_next_vt(tat_vt, bucket_floor_vt(now_vt, limit), now_vt, limit, cost) != 0;
}

/* Give @cost tokens back that bucket_take() took just now. What cannot be given back within the
 * tries is lost, never minted: the word never moves below what it was before the take. */
DUAL_INLINE void bucket_give(__u64 *word, bucket_limit limit, __u32 cost)
{
	__u64 back_vt = cost * limit_interval_vt(limit);
	__u64 tat_vt = *(volatile __u64 *)word;

	for (int i = 0; i < BUCKET_CAS_TRIES; i++) {
		__u64 seen_vt;

		if (tat_vt < back_vt)
			return;
		seen_vt = __sync_val_compare_and_swap(word, tat_vt, tat_vt - back_vt);
		if (seen_vt == tat_vt)
			return;
		tat_vt = seen_vt;
	}
}

#endif
