/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the transactions of a segment cost, and whom: the part that requests and handshakes have
 * alike. Also what is being worked out for a segment. Knows charges, not what was read; what a
 * token costs is take.h's.
 */
#ifndef TPS_BPF_SETTLE_H
#define TPS_BPF_SETTLE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/charge.h>
#include <tps/frame.h>
#include <tps/http.h>

#include "count.h"
#include "flow.h"
#include "identify.h"
#include "maps.h"
#include "notice.h"
#include "refuse.h"
#include "take.h"

/* What is being worked out for one segment; per CPU. */
struct segment {
	struct tps_flow flow; /* as it will be, if the segment passes */
	struct tps_http lost; /* a parser's state that knows no framing */
	struct http_scan scan;
	struct http_scan doubt; /* requests_doubt() */
	struct flow_peer peer;  /* when the segment had to be proven anew */
	__u32 listener;
	__u32 proven;
	__u32 follows;  /* the segment begins where the one before it ended */
	__u32 reason;   /* settle_all() */
	__u32 refused;  /* the last charge for which tokens were asked */
	__u32 slot;     /* and of whom: TPS_SLOT_STRANGERS, of the source */
	__u32 read_seq; /* from where on the segment was read */
	__u32 tainted;  /* flow.tainted, before it was read */
	__u32 whole;    /* hello.h: what is read ends with the segment, or names nobody */
	__u32 acks;     /* hello.h: the entry keeps what the proof said */
	__u32 turned;   /* the server has sent more since the last request that passed */
	struct refusal refusal;
	__u32 taken[TPS_CHARGES_MAX]; /* what decided over each charge */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct segment);
} scratch SEC(".maps");

enum settle_step {
	SETTLE_ONLY, /* the segment's only charge: take and count at once */
	SETTLE_TAKE,
	SETTLE_GIVE,
	SETTLE_COUNT, /* the verdict that all charges of the segment share */
};
#define SETTLE_STEP(step, index, verdict) ((step) << 8 | (index) | (verdict) << 16)

static __always_inline void settle_count(const struct take *take, const struct subject *who,
					 __u32 verdict, __u32 heads)
{
	count_verdict(take->of, who->tier, verdict, heads);
	count_caller(who->slot, verdict, heads);
	if (who->stranger && !who->limit)
		count_stranger(who->stranger, verdict, heads);
}

/* The fingerprint of the key of @hash, if it was the last that the segment named. */
static __always_inline __u64 settle_print(const struct segment *r, const __u64 hash[2])
{
	return hash[0] == r->scan.http.key_hash[0] && hash[1] == r->scan.http.key_hash[1]
		       ? r->scan.print
		       : 0;
}

/* Is the charge of the caller that the flow is bound to? */
static __always_inline int settle_is_bound(const struct tps_flow *flow, const struct charge *charge,
					   __u32 generation)
{
	return charge->kind == CHARGE_BOUND ||
	       (flow->bound_hash[0] == charge->hash[0] && flow->bound_hash[1] == charge->hash[1] &&
		flow->bound_generation == generation);
}

/* The caller of the charge: the one that the flow is bound to, as a rule. False: it is for
 * identify_source(). */
static __always_inline int settle_identify(const struct tps_control *settings, struct segment *r,
					   const struct charge *charge, struct tps_totals *of,
					   struct subject *ret)
{
	struct tps_flow *flow = &r->flow;
	__u32 generation = *(volatile const __u32 *)&settings->keys_generation +
			   (__u32)(bpf_jiffies64() >> TPS_KEY_BIND_SHIFT);

	if (charge->kind != CHARGE_KEY && charge->kind != CHARGE_BOUND)
		return 0;
	if (settle_is_bound(flow, charge, generation) && identify_slot(settings, flow->bound, ret))
		return 1;
	if (charge->kind == CHARGE_BOUND) {
		count_note(of, TPS_REASON_STALE_SLOT);
		return 0;
	}
	if (!identify_key(settings, charge->hash, of, ret, &flow->bound))
		return 0;
	flow->bound_hash[0] = charge->hash[0];
	flow->bound_hash[1] = charge->hash[1];
	flow->bound_print = settle_print(r, charge->hash);
	flow->bound_generation = generation;
	return 1;
}

/*
 * One step of one charge, packed by SETTLE_STEP(). A global function, so that every kind of
 * caller in every step is verified once. ONLY and TAKE return the reason.
 */
__noinline int settle_one(struct frame *frame, struct segment *r, __u32 what)
{
	__u32 index = what & (TPS_CHARGES_MAX - 1), step = what >> 8 & 255, verdict = what >> 16;
	__u32 zero = 0, number, heads, reason;
	struct tps_listener *listener;
	struct tps_control *settings;
	struct charge *charge;
	struct tps_totals *noted;
	struct subject who = {};
	struct take take = {};

	dual_opaque(verdict); /* clang would check the bound on @what instead */
	if (!frame || !r)
		return TPS_REASON_ALLOWED;
	number = r->listener;
	settings = bpf_map_lookup_elem(&control, &zero);
	listener = bpf_map_lookup_elem(&listeners, &number);
	if (!settings || !listener)
		return TPS_REASON_ALLOWED;
	charge = &r->scan.charge[index];
	heads = charge->heads;
	take.settings = settings;
	take.listener = listener;
	take.of = count_totals(number);
	take.number = number;
	take.cost = heads * (listener->cost ?: 1);
	take.proven = r->proven != 0;
	/* what is noticed is noted once, not again in each step */
	noted = step == SETTLE_ONLY || step == SETTLE_TAKE ? take.of : NULL;
	if (!settle_identify(settings, r, charge, noted, &who))
		identify_source(settings, frame, noted, &who);
	if (step == SETTLE_GIVE) {
		take_return(&take, &who);
		return TPS_REASON_ALLOWED;
	}
	if (step == SETTLE_COUNT) {
		settle_count(&take, &who, verdict, heads);
		return TPS_REASON_ALLOWED;
	}
	reason = take_tokens(&take, &who, step == SETTLE_ONLY ? heads : 0);
	if (step == SETTLE_ONLY)
		settle_count(&take, &who, count_verdict_of(reason, take_observes(&take)), heads);
	r->slot = who.slot;
	r->refused = index;
	return reason;
}

/*
 * All of the segment's heads, or none: a segment with more heads than tokens is refused whole. What
 * is carried from one round to the next lives in the scratch, or each round would be verified again
 * for each outcome of those before.
 */
static __always_inline __u32 settle_all(struct frame *frame, struct segment *r, int observing)
{
	__u32 verdict;

	r->reason = TPS_REASON_ALLOWED;
	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++) {
		if (i < r->scan.charges &&
		    (r->reason == TPS_REASON_ALLOWED || r->reason == TPS_REASON_EXEMPT)) {
			r->taken[i] = settle_one(frame, r, SETTLE_STEP(SETTLE_TAKE, i, 0));
			r->reason = r->taken[i];
		} else {
			r->taken[i] = TPS_REASON_MAX;
		}
	}
	verdict = count_verdict_of(r->reason, observing);
	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++) {
		if (i >= r->scan.charges)
			break;
		if (verdict != TPS_VERDICT_ALLOWED && r->taken[i] == TPS_REASON_ALLOWED)
			settle_one(frame, r, SETTLE_STEP(SETTLE_GIVE, i, 0));
		settle_one(frame, r, SETTLE_STEP(SETTLE_COUNT, i, verdict));
	}
	return r->reason;
}

/* Why heads of this segment name nobody, and that they do. */
static __always_inline void settle_note(struct segment *r, struct tps_totals *of)
{
	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++) {
		if (i >= r->scan.charges)
			break;
		if (r->scan.charge[i].kind == CHARGE_UNDECIDED) {
			__u32 reason = r->scan.charge[i].reason;

			count_note(of, reason);
		}
	}
}

/*
 * The charge that was not allowed, for @reason, is told of. Whose it is, is looked up once more: in
 * the charge itself it would cost those who are allowed. A global function: verified once.
 */
__noinline int settle_notice(struct segment *r, __u32 reason, __u32 verdict)
{
	struct tps_stranger *stranger = NULL;
	struct frame *frame;
	__u32 zero = 0;

	frame = bpf_map_lookup_elem(&frames, &zero);
	if (!r || !frame)
		return 0;
	if (r->slot == TPS_SLOT_STRANGERS)
		stranger = identify_stranger(frame);
	return notice(stranger, r->slot, NOTICE_WHAT(verdict, reason, r->listener));
}

/* Charges what was found in the segment. Returns the packet's reason. */
static __always_inline __u32 settle(struct frame *frame, struct segment *r, struct tps_totals *of,
				    int observing)
{
	__u32 reason, verdict;

	if (r->proven)
		settle_note(r, of);
	if (r->scan.charges == 1)
		reason = settle_one(frame, r, SETTLE_STEP(SETTLE_ONLY, 0, 0));
	else
		reason = settle_all(frame, r, observing);
	verdict = count_verdict_of(reason, observing);
	if (verdict != TPS_VERDICT_ALLOWED)
		settle_notice(r, reason, verdict);
	return reason;
}

/* Can the segment, read from its first byte on, be refused by anything but a drop? */
static __always_inline int settle_may_refuse(const struct segment *r,
					     const struct tps_listener *listener,
					     const struct frame *frame)
{
	return listener->refusal != TPS_REFUSAL_DROP && r->read_seq == frame->seq &&
	       listener->placement == TPS_PLACEMENT_LOCAL;
}

/* Refuses the segment for @reason by what r->refusal wants. Returns the XDP action. A global
 * function: verified once. */
__noinline int settle_refuse(struct xdp_md *ctx, struct segment *r, __u32 reason)
{
	struct frame *frame;
	__u32 zero = 0;
	int action;

	frame = bpf_map_lookup_elem(&frames, &zero);
	if (!r || !frame)
		return XDP_DROP;
	r->refusal.bytes = frame->payload_bytes;
	r->refusal.listener = r->listener;
	r->refusal.reason = reason;
	action = refuse(ctx, frame, &r->peer, &r->refusal);
	return action >= 0 ? action : count_drop(count_totals(r->listener), reason);
}

#endif
