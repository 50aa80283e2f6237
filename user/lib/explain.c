// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate's order (bpf/tps.bpf.c, bpf/take.h), step by step: the switch, the ban of a prefix,
 * whose it is, the ban of a caller, its bucket, the listener's.
 */
#include "explain.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "caller.h"
#include "counts.h"

#define RETRY_S_MAX 0x7fffffffULL /* ANSWER_RETRY_S_MAX of bpf/answer.h */

/* The clocks that the gate reads. */
struct clocks {
	__u64 now_ns;    /* of bans, and of limits whose burst is short */
	__u64 coarse_ns; /* of the others: steps with jiffies */
};

static struct clocks clocks_read(void)
{
	struct timespec coarse;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse);
	return (struct clocks){tps_now_ns(), coarse.tv_sec * BUCKET_NS_PER_SEC + coarse.tv_nsec};
}

/* TAKE_COARSE_TICKS of bpf/take.h: does the burst last that many ticks? */
static bool is_coarse(const struct tps_control *control, bucket_limit limit)
{
	return limit_burst(limit) * limit_interval_vt(limit) >=
	       (control->tick_ns << BUCKET_VT_SHIFT) * 8;
}

static __u64 take_now_vt(const struct tps_control *control, const struct clocks *clocks,
			 bucket_limit limit, bucket_limit listener_limit)
{
	if (control->tick_ns && is_coarse(control, limit) &&
	    (!listener_limit || is_coarse(control, listener_limit)))
		return bucket_now_vt(clocks->coarse_ns);
	return bucket_now_vt(clocks->now_ns);
}

enum tps_verdict tps_verdict_of(enum tps_reason reason, bool observes)
{
	if (reason == TPS_REASON_ALLOWED || reason == TPS_REASON_EXEMPT)
		return TPS_VERDICT_ALLOWED;
	if (observes)
		return TPS_VERDICT_WOULD_REFUSE;
	if (reason == TPS_REASON_BANNED_PREFIX || reason == TPS_REASON_BANNED_CALLER)
		return TPS_VERDICT_BANNED;
	return TPS_VERDICT_REFUSED;
}

/* ---- bans by hand */

static bool has_length(const struct tps_control *control, __u32 family, __u32 bits)
{
	return family == 4 ? control->ban_lengths4 >> bits & 1
			   : control->ban_lengths6[bits / 64] >> bits % 64 & 1;
}

/* The ban of the longest prefix that holds, if one does. */
static int ban_find(const struct tps_gate *gate, const struct tps_prefix *source, __u64 now_ns,
		    struct tps_ban_entry *ret_ban)
{
	for (int bits = source->family == 4 ? 32 : 128; bits >= 0; bits--) {
		struct tps_prefix cut = tps_prefix_cut(source, bits);
		struct tps_ban_key key = {.prefix_bits = bits, .family = source->family};
		struct tps_ban ban;
		int err;

		if (!has_length(gate->control, source->family, bits))
			continue;
		memcpy(key.address, cut.address, sizeof(key.address));
		err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_bans], &key, &ban);
		if (err && err != -ENOENT)
			return err;
		if (!err && ban.until_ns > now_ns) {
			*ret_ban = (struct tps_ban_entry){cut, ban};
			return 0;
		}
	}
	return 0;
}

static __u64 until_wait_ns(__u64 until_ns, __u64 now_ns)
{
	return until_ns == TPS_BAN_FOR_EVER ? ~0ULL : until_ns > now_ns ? until_ns - now_ns : 0;
}

/* ---- whose */

static int identify(const struct tps_gate *gate, const struct tps_question *question,
		    enum tps_protocol protocol, struct tps_explanation *ret)
{
	int err = tps_whose_source(gate, &question->source, &ret->whose);
	int other = -ENOENT;

	if (err)
		return err;
	ret->is_exempt = ret->whose.by == TPS_BY_SOURCE &&
			 gate->limits[ret->whose.slot.slot].flags & TPS_LIMIT_EXEMPT;
	err = ban_find(gate, &question->source, tps_now_ns(), &ret->ban);
	/* where the source's ban decides, nothing else is read */
	if (err || (ret->ban.ban.until_ns && !ret->is_exempt))
		return err;
	ret->ban = (struct tps_ban_entry){};
	if (question->key && (protocol == TPS_PROTOCOL_HTTP || question->any_listener)) {
		other = tps_whose_key(gate, question->key, &ret->whose);
		ret->is_unknown_key = other == -ENOENT;
	}
	if (other == -ENOENT && question->name &&
	    (protocol == TPS_PROTOCOL_TLS || question->any_listener)) {
		other = tps_whose_name(gate, question->name, &ret->whose);
		ret->is_unknown_name = other == -ENOENT;
	}
	return other == -ENOENT ? 0 : other;
}

/* What the gate knows of who it is: the limit, and where it comes from. */
static void limit_read(const struct tps_gate *gate, struct tps_explanation *ret)
{
	const struct tps_limit *limit = &gate->limits[ret->whose.slot.slot];
	bool is_caller = ret->whose.by != TPS_BY_ADDRESS;

	ret->tier = (is_caller ? limit->tier : gate->control->default_tier) % TPS_TIERS_MAX;
	ret->left.limit = gate->tiers[ret->tier].limit;
	ret->is_exempt = false;
	if (!is_caller)
		return;
	tps_caller_name(gate, ret->whose.slot, ret->caller);
	ret->is_exempt = limit->flags & TPS_LIMIT_EXEMPT;
	ret->is_own = limit->own != 0;
	if (limit->own)
		ret->left.limit = limit->own;
	if (limit->banned_until_ns > tps_now_ns())
		ret->caller_banned_until_ns = limit->banned_until_ns;
}

/* ---- tokens */

struct words {
	struct tps_bucket own;
	struct tps_listener_bucket listener;
};

static int words_read(const struct tps_gate *gate, const struct tps_question *question,
		      const struct tps_explanation *of, struct words *ret_words)
{
	struct words words = {.own = of->whose.entry.bucket};
	__u32 number = question->listener;
	struct tps_account account;
	int err = 0;

	if (of->whose.by != TPS_BY_ADDRESS) {
		err = tps_account_read(gate, of->whose.slot.slot, &account);
		if (!err)
			words.own = account.bucket;
	}
	if (!err && number)
		err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_listener_buckets], &number,
					  &words.listener);
	if (!err)
		*ret_words = words;
	return err;
}

static __u64 word_of(const struct tps_bucket *bucket, bool is_proven)
{
	return is_proven ? bucket->proven_tat_vt : bucket->unproven_tat_vt;
}

static void tokens_count(const struct tps_bucket *bucket, __u64 now_vt, struct tps_left *ret)
{
	ret->proven_tokens = bucket_tokens(bucket->proven_tat_vt, now_vt, ret->limit);
	ret->unproven_tokens = bucket_tokens(bucket->unproven_tat_vt, now_vt, ret->limit);
}

static __u64 tokens_wait_ns(const struct tps_bucket *bucket, const struct tps_explanation *of,
			    bucket_limit limit, __u64 now_vt)
{
	if (!limit)
		return 0;
	if (of->cost > limit_burst(limit))
		return ~0ULL;
	return bucket_wait_vt(word_of(bucket, of->is_proven), now_vt, limit, of->cost) >>
	       BUCKET_VT_SHIFT;
}

/* When who is refused would find its tokens, as an answer says it (take_retry_s() of bpf/take.h).
 */
static __u32 retry_after_s(__u64 wait_ns, __u64 tick_ns)
{
	if (wait_ns > RETRY_S_MAX * BUCKET_NS_PER_SEC)
		return RETRY_S_MAX;
	wait_ns = (wait_ns + tick_ns + BUCKET_NS_PER_SEC - 1) / BUCKET_NS_PER_SEC;
	return wait_ns ? wait_ns : 1;
}

static bool would_take(const struct tps_bucket *bucket, const struct tps_explanation *of,
		       bucket_limit limit, __u64 now_vt)
{
	__u64 word = word_of(bucket, of->is_proven);

	return bucket_would_take(&word, limit, now_vt, of->cost);
}

/* From the caller's bucket, then from the listener's. */
static void take(const struct tps_gate *gate, const struct words *words,
		 const struct clocks *clocks, struct tps_explanation *ret)
{
	__u64 now_vt =
		take_now_vt(gate->control, clocks, ret->left.limit, ret->listener_left.limit);
	__u64 fine_vt = bucket_now_vt(clocks->now_ns);
	__u64 own_ns = tokens_wait_ns(&words->own, ret, ret->left.limit, fine_vt);
	__u64 listener_ns =
		tokens_wait_ns(&words->listener.own, ret, ret->listener_left.limit, fine_vt);

	ret->wait_ns = own_ns > listener_ns ? own_ns : listener_ns;
	if (!would_take(&words->own, ret, ret->left.limit, now_vt)) {
		ret->reason = TPS_REASON_LIMIT;
		ret->retry_after_s = retry_after_s(own_ns, gate->control->tick_ns);
	} else if (ret->listener_left.limit &&
		   !would_take(&words->listener.own, ret, ret->listener_left.limit, now_vt)) {
		ret->reason = TPS_REASON_LISTENER_LIMIT;
		ret->retry_after_s = retry_after_s(listener_ns, gate->control->tick_ns);
	} else {
		ret->reason = TPS_REASON_ALLOWED;
		ret->wait_ns = 0;
	}
}

/* ---- the order */

static void decide(const struct tps_gate *gate, const struct words *words,
		   const struct clocks *clocks, struct tps_explanation *ret)
{
	if (ret->ban.ban.until_ns) {
		ret->reason = TPS_REASON_BANNED_PREFIX;
		ret->wait_ns = until_wait_ns(ret->ban.ban.until_ns, clocks->now_ns);
	} else if (!ret->left.limit) {
		ret->reason = TPS_REASON_ALLOWED; /* a tier that is not there stops nobody */
	} else if (ret->is_exempt) {
		ret->reason = TPS_REASON_EXEMPT;
	} else if (ret->caller_banned_until_ns) {
		ret->reason = TPS_REASON_BANNED_CALLER;
		ret->wait_ns = until_wait_ns(ret->caller_banned_until_ns, clocks->now_ns);
		ret->retry_after_s = retry_after_s(ret->wait_ns, 0);
	} else {
		take(gate, words, clocks, ret);
	}
	ret->verdict = tps_verdict_of(ret->reason, ret->observes);
	ret->passes = ret->verdict == TPS_VERDICT_ALLOWED || ret->observes;
}

int tps_explain(const struct tps_gate *gate, const struct tps_question *question,
		struct tps_explanation *ret)
{
	const struct tps_listener *listener =
		question->listener ? &gate->listeners[question->listener] : NULL;
	enum tps_protocol protocol = listener ? listener->protocol : TPS_PROTOCOL_NONE;
	struct tps_explanation of = {.cost = listener && listener->cost ? listener->cost : 1,
				     .verdict = TPS_VERDICT_MAX,
				     .passes = true};
	struct words words = {};
	struct clocks clocks;
	int err = identify(gate, question, protocol, &of);

	if (err)
		return err;
	of.is_proven = protocol != TPS_PROTOCOL_TCP && protocol != TPS_PROTOCOL_UDP;
	of.observes = gate->control->observe || (listener && listener->mode == TPS_MODE_OBSERVE);
	limit_read(gate, &of);
	of.listener_left.limit = listener ? listener->limit : 0;
	err = words_read(gate, question, &of, &words);
	if (err)
		return err;
	clocks = clocks_read();
	tokens_count(&words.own, bucket_now_vt(clocks.now_ns), &of.left);
	tokens_count(&words.listener.own, bucket_now_vt(clocks.now_ns), &of.listener_left);
	if (gate->control->paused)
		of.reason = TPS_REASON_PAUSED;
	else if (!listener && !question->any_listener)
		of.reason = TPS_REASON_NOT_LISTENER;
	else
		decide(gate, &words, &clocks, &of);
	*ret = of;
	return 0;
}
