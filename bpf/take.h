/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Takes a transaction's tokens: from the caller's or the stranger's bucket, then from the
 * listener's. Knows limits and buckets, not packets. What is refused has taken nothing.
 */
#ifndef TPS_BPF_TAKE_H
#define TPS_BPF_TAKE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/bucket.h>

#include "answer.h"
#include "clock.h"
#include "count.h"
#include "identify.h"
#include "maps.h"

/* The bucket's retries as global functions: the verifier walks their loops once, whoever calls. */
__noinline int take_from(__u64 *word, bucket_limit limit, __u64 now_vt, __u32 cost)
{
	return word ? bucket_take(word, limit, now_vt, cost) : BUCKET_EMPTY;
}

__noinline int take_back(__u64 *word, bucket_limit limit, __u32 cost)
{
	if (word)
		bucket_give(word, limit, cost);
	return 0;
}

/* One try in line, since a call costs more than the take itself; who loses a race goes the long
 * way. */
static __always_inline enum bucket_outcome take_now(__u64 *word, bucket_limit limit, __u64 now_vt,
						    __u32 cost)
{
	__u64 tat_vt = *(volatile __u64 *)word;
	__u64 next_vt;

	if (!bucket_far_future(tat_vt, now_vt)) {
		next_vt =
			bucket_next_vt(tat_vt, bucket_floor_vt(now_vt, limit), now_vt, limit, cost);
		if (!next_vt)
			return BUCKET_EMPTY;
		if (__sync_val_compare_and_swap(word, tat_vt, next_vt) == tat_vt)
			return BUCKET_TAKEN;
	}
	return take_from(word, limit, now_vt, cost);
}

/* A transaction that asks for its tokens. */
struct take {
	const struct tps_control *settings;
	const struct tps_listener *listener;
	struct tps_totals *of;
	__u32 number; /* of the listener */
	__u32 cost;
	int proven;
};

static __always_inline int take_observes(const struct take *take)
{
	return take->settings->observe || take->listener->mode == TPS_MODE_OBSERVE;
}

/* A burst that lasts this many ticks hides jiffies' grain: a bucket with room for the tokens of 8
 * ticks never overflows within one, so none is lost. */
#define TAKE_COARSE_TICKS 8

static __always_inline int take_coarse(const struct tps_control *settings, bucket_limit limit)
{
	return limit_burst(limit) * limit_interval_vt(limit) >=
	       (settings->tick_ns << BUCKET_VT_SHIFT) * TAKE_COARSE_TICKS;
}

/* The gate's one reading of the clock: jiffies where every limit that is asked is coarse. */
static __always_inline __u64 take_now_vt(const struct tps_control *settings, bucket_limit limit,
					 bucket_limit listener_limit)
{
	if (settings->tick_ns && take_coarse(settings, limit) &&
	    (!listener_limit || take_coarse(settings, listener_limit)))
		return bucket_now_vt(clock_coarse_ns(settings));
	return bucket_now_vt(bpf_ktime_get_ns());
}

static __always_inline __u64 *take_word(struct tps_bucket *bucket, int proven)
{
	return proven ? &bucket->proven_tat_vt : &bucket->unproven_tat_vt;
}

/* BUCKET_TAKEN when the listener has no limit of its own. */
static __always_inline enum bucket_outcome take_listener(const struct take *take, __u64 now_vt)
{
	__u32 number = take->number;
	struct tps_listener_bucket *bucket;

	if (!take->listener->limit)
		return BUCKET_TAKEN;
	bucket = bpf_map_lookup_elem(&listener_buckets, &number);
	if (!bucket)
		return BUCKET_TAKEN;
	return take_from(take_word(&bucket->own, take->proven), take->listener->limit, now_vt,
			 take->cost);
}

static __always_inline void take_listener_back(const struct take *take)
{
	__u32 number = take->number;
	struct tps_listener_bucket *bucket;

	if (!take->listener->limit)
		return;
	bucket = bpf_map_lookup_elem(&listener_buckets, &number);
	if (bucket)
		take_back(take_word(&bucket->own, take->proven), take->listener->limit, take->cost);
}

static __always_inline enum tps_reason take_reason(enum bucket_outcome outcome,
						   enum tps_reason empty)
{
	if (outcome == BUCKET_TAKEN)
		return TPS_REASON_ALLOWED;
	return outcome == BUCKET_EMPTY ? empty : TPS_REASON_CONTENDED;
}

/* From a bucket that is there, then from the listener's; where that refuses, the first is given
 * back. */
static __always_inline enum tps_reason take_both(const struct take *take, __u64 *word,
						 bucket_limit rate, enum tps_reason empty)
{
	__u64 now_vt = take_now_vt(take->settings, rate, take->listener->limit);
	enum bucket_outcome outcome = take_now(word, rate, now_vt, take->cost);

	if (outcome != BUCKET_TAKEN)
		return take_reason(outcome, empty);
	outcome = take_listener(take, now_vt);
	if (outcome != BUCKET_TAKEN)
		take_back(word, rate, take->cost);
	return take_reason(outcome, TPS_REASON_LISTENER_LIMIT);
}

/* From the bucket that strangers share when the table has no room for theirs. */
static __always_inline enum tps_reason take_shared(const struct take *take, bucket_limit rate)
{
	__u32 number = take->number;
	struct tps_listener_bucket *bucket = bpf_map_lookup_elem(&listener_buckets, &number);

	if (!bucket)
		return TPS_REASON_ALLOWED;
	return take_both(take, take_word(&bucket->strangers, take->proven), rate,
			 TPS_REASON_SHARED_LIMIT);
}

/*
 * A stranger's first transaction: its entry is made with the tokens already taken, so that it is
 * not looked up again. The listener is asked first, since an entry cannot be taken back.
 */
static __always_inline enum tps_reason take_first(const struct take *take, struct subject *who,
						  __u32 transactions)
{
	__u64 now_vt = take_now_vt(take->settings, who->rate, take->listener->limit);
	__u64 next_vt = bucket_next_vt(0, bucket_floor_vt(now_vt, who->rate), now_vt, who->rate,
				       take->cost);
	enum bucket_outcome outcome;
	struct tps_stranger *fresh;
	__u32 zero = 0;
	long err;

	if (!next_vt)
		return TPS_REASON_LIMIT;
	outcome = take_listener(take, now_vt);
	if (outcome != BUCKET_TAKEN)
		return take_reason(outcome, TPS_REASON_LISTENER_LIMIT);
	fresh = bpf_map_lookup_elem(&newcomer, &zero);
	if (!fresh)
		return TPS_REASON_ALLOWED;
	dual_memset(fresh, 0, sizeof(*fresh));
	*take_word(&fresh->bucket, take->proven) = next_vt;
	fresh->sources_generation = who->sources_generation;
	fresh->verdicts[TPS_VERDICT_ALLOWED] = transactions;
	err = bpf_map_update_elem(&strangers, &who->address, fresh, BPF_NOEXIST);
	if (!err)
		return TPS_REASON_ALLOWED;
	take_listener_back(take);
	who->stranger = bpf_map_lookup_elem(&strangers, &who->address);
	if (who->stranger) /* another CPU was faster */
		return take_both(take, take_word(&who->stranger->bucket, take->proven), who->rate,
				 TPS_REASON_LIMIT);
	count_note(take->of, TPS_REASON_NO_STRANGER);
	return take_shared(take, who->rate);
}

/*
 * Takes @take->cost tokens of @who. @transactions is what is counted in a stranger's entry when
 * this makes it. Returns what decided.
 */
static __always_inline enum tps_reason take_tokens(const struct take *take, struct subject *who,
						   __u32 transactions)
{
	if (!who->rate) {
		count_note(take->of, TPS_REASON_NO_CONTROL);
		return TPS_REASON_ALLOWED;
	}
	if (who->limit) {
		struct tps_bucket *bucket;
		__u32 slot = who->slot;

		if (who->limit->flags & TPS_LIMIT_EXEMPT)
			return TPS_REASON_EXEMPT;
		if (who->limit->banned_until_ns && who->limit->banned_until_ns > bpf_ktime_get_ns())
			return TPS_REASON_BANNED_CALLER;
		bucket = bpf_map_lookup_elem(&buckets, &slot);
		if (!bucket)
			return TPS_REASON_ALLOWED;
		return take_both(take, take_word(bucket, take->proven), who->rate,
				 TPS_REASON_LIMIT);
	}
	if (who->stranger)
		return take_both(take, take_word(&who->stranger->bucket, take->proven), who->rate,
				 TPS_REASON_LIMIT);
	return take_first(take, who, transactions);
}

/* When who was refused for @reason would find its tokens: whole seconds from now, at least one, and
 * never before the next token (jiffies may lag by a tick). */
static __always_inline __u32 take_retry_s(const struct take *take, const struct subject *who,
					  __u32 reason)
{
	__u64 now_ns = bpf_ktime_get_ns(), now_vt = bucket_now_vt(now_ns), wait_ns;
	struct tps_bucket *bucket = NULL;
	bucket_limit limit = who->rate;
	__u32 slot = who->slot, number = take->number;

	if (reason == TPS_REASON_BANNED_CALLER) {
		wait_ns = who->limit ? who->limit->banned_until_ns : 0;
		wait_ns = wait_ns > now_ns ? wait_ns - now_ns : 0;
	} else {
		if (reason == TPS_REASON_LISTENER_LIMIT || reason == TPS_REASON_SHARED_LIMIT) {
			struct tps_listener_bucket *of;

			of = bpf_map_lookup_elem(&listener_buckets, &number);
			if (of && reason == TPS_REASON_SHARED_LIMIT) {
				bucket = &of->strangers;
			} else if (of) {
				limit = take->listener->limit;
				bucket = &of->own;
			}
		} else if (who->limit) {
			bucket = bpf_map_lookup_elem(&buckets, &slot);
		} else if (who->stranger) {
			bucket = &who->stranger->bucket;
		}
		wait_ns =
			bucket ? bucket_wait_vt(bucket->proven_tat_vt, now_vt, limit, take->cost) >>
					 BUCKET_VT_SHIFT
			       : 0;
		wait_ns += take->settings->tick_ns;
	}
	wait_ns = (wait_ns + BUCKET_NS_PER_SEC - 1) / BUCKET_NS_PER_SEC;
	if (wait_ns > ANSWER_RETRY_S_MAX)
		return ANSWER_RETRY_S_MAX;
	return wait_ns ?: 1;
}

/* What an answer tells of the limit that refused. */
static __always_inline void take_tell(const struct take *take, const struct subject *who,
				      __u32 reason, struct tps_answer *ret)
{
	__u32 tier = who->tier;
	struct tps_tier *of = bpf_map_lookup_elem(&tiers, &tier);

	if (of) {
		ret->policy = of->policy;
		dual_memcpy(ret->name, of->name, sizeof(ret->name));
	}
	if (who->limit && who->limit->own)
		ret->policy = who->limit->policy;
	if (reason == TPS_REASON_LISTENER_LIMIT) {
		ret->policy = take->listener->policy;
		dual_memset(ret->name, 0, sizeof(ret->name));
		dual_memcpy(ret->name, "listener", 8);
	}
	ret->retry_s = take_retry_s(take, who, reason);
}

/* Gives back what take_tokens() took just now. What cannot be found again is lost, never minted. */
static __always_inline void take_return(const struct take *take, const struct subject *who)
{
	if (!who->rate)
		return;
	if (who->limit) {
		__u32 slot = who->slot;
		struct tps_bucket *bucket = bpf_map_lookup_elem(&buckets, &slot);

		if (bucket)
			take_back(take_word(bucket, take->proven), who->rate, take->cost);
	} else if (who->stranger) {
		take_back(take_word(&who->stranger->bucket, take->proven), who->rate, take->cost);
	}
	take_listener_back(take);
}

/* Does what decided over a transaction stop its packet? */
static __always_inline int take_refuses(const struct take *take, __u32 reason)
{
	enum tps_verdict verdict = count_verdict_of(reason, take_observes(take));

	return verdict != TPS_VERDICT_ALLOWED && verdict != TPS_VERDICT_WOULD_REFUSE;
}

/* The end of a packet whose fate a transaction decided. */
static __always_inline int take_finish(const struct take *take, __u32 reason)
{
	return take_refuses(take, reason) ? count_drop(take->of, reason)
					  : count_pass(take->of, reason);
}

/* The end of a packet that the gate cannot let the host read as it is (class order). */
static __always_inline int take_order(const struct take *take, __u32 reason)
{
	return take_observes(take) ? count_pass(take->of, reason) : count_drop(take->of, reason);
}

#endif
