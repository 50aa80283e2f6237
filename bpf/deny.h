/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a refused segment of requests gets: whether any answer can be right for its client, and what
 * it says. Knows heads and responses; how an answer gets onto the connection is refuse.h's.
 */
#ifndef TPS_BPF_DENY_H
#define TPS_BPF_DENY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>
#include <tps/http.h>

#include "count.h"
#include "identify.h"
#include "maps.h"
#include "settle.h"
#include "take.h"

/* Was the segment one head from its first byte on, and at most some of that head's body? */
static __always_inline int deny_is_lone(const struct segment *r, const struct frame *frame)
{
	return r->read_seq == frame->seq && r->flow.http.phase == HTTP_START &&
	       !r->flow.http.carry_bytes && r->scan.charges == 1 && r->scan.charge[0].heads == 1 &&
	       r->scan.charge[0].kind != CHARGE_UNDECIDED && !r->scan.http.carry_bytes &&
	       (r->scan.http.phase == HTTP_START || r->scan.http.phase == HTTP_BODY);
}

/* Is what the segment asks for HTTP/1.x for certain, so that a response is no wrong byte to its
 * client? Behind an Upgrade, in HTTP/2 and where the framing is lost it may be anything. */
static __always_inline int deny_is_http(const struct segment *r)
{
	__u32 phase = r->flow.http.phase, loose = phase == HTTP_JOINED;

	if (phase == HTTP_OPAQUE || phase == HTTP_HTTP2 || phase == HTTP_VOID ||
	    (r->tainted && r->tainted != HTTP_JOINED))
		return 0;
	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++) {
		const struct charge *charge = &r->scan.charge[i];

		if (i < r->scan.charges && charge->kind == CHARGE_UNDECIDED &&
		    (loose || charge->reason == TPS_REASON_VOID ||
		     charge->reason == TPS_REASON_HTTP2))
			return 0;
	}
	return 1;
}

/* Has the server responded to what passed before? Its socket does not tell: while it works on a
 * request it has nothing to send either, and an answer would come before the response. */
static __always_inline int deny_is_turn(const struct segment *r)
{
	return r->turned || (r->flow.http.phase == HTTP_JOINED && r->peer.answered);
}

/* What a refused segment gets: an answer that keeps the connection, or one that ends it where the
 * server knows part of the request, or would read more of it than was refused; or a RST. */
static __always_inline void deny_want(struct segment *r, const struct frame *frame, __u32 refusal)
{
	__u64 begin = dual_load64(r->scan.bytes + HTTP_CARRY);
	int lone = deny_is_lone(r, frame);

	r->refusal.want = TPS_WANT_CLOSE;
	if (refusal == TPS_REFUSAL_RESET)
		r->refusal.want = TPS_WANT_RESET;
	else if (refusal == TPS_REFUSAL_ANSWER && lone && r->scan.http.phase == HTTP_START &&
		 !(r->scan.http.flags & HTTP_CLOSE))
		r->refusal.want = TPS_WANT_ANSWER;
	r->refusal.answer.closes = r->refusal.want == TPS_WANT_CLOSE;
	/* a HEAD has no body in its answer (RFC 9110 9.3.2), and who knows what is cut */
	if (lone && (begin & 0xffffffffffULL) != HTTP_TEXT('H', 'E', 'A', 'D', ' ', 0, 0, 0) &&
	    (begin & 0xff) > ' ')
		r->refusal.answer.form = TPS_FORM_BODY;
	else
		r->refusal.answer.form = TPS_FORM_HEAD;
}

/*
 * What the answer tells of the limit that refused for @reason, and of whom: worked out once more,
 * since in the charge itself it would cost those who are not refused. A global function: verified
 * once, with a frame of its own.
 */
__noinline int deny_tell(struct segment *r, __u32 reason)
{
	struct subject who = {};
	struct frame *frame;
	struct take take = {};
	__u32 zero = 0, slot;

	if (!r)
		return 0;
	slot = r->slot;
	take.number = r->listener;
	take.settings = bpf_map_lookup_elem(&control, &zero);
	take.listener = bpf_map_lookup_elem(&listeners, &take.number);
	frame = bpf_map_lookup_elem(&frames, &zero);
	if (!take.settings || !take.listener || !frame)
		return 0;
	take.cost = r->scan.charge[r->refused & (TPS_CHARGES_MAX - 1)].heads *
		    (take.listener->cost ?: 1);
	who.slot = slot;
	if (slot != TPS_SLOT_STRANGERS)
		who.limit = bpf_map_lookup_elem(&limits, &slot);
	else
		who.stranger = identify_stranger(frame);
	identify_rate(take.settings, &who);
	take_tell(&take, &who, reason, &r->refusal.answer);
	return 1;
}

/*
 * What the refused segment gets. 0: nothing but a drop, since no answer can be right for its
 * client. A global function, as above.
 */
__noinline int deny(struct segment *r)
{
	struct tps_listener *listener;
	struct tps_control *settings;
	struct frame *frame;
	__u32 zero = 0, number;

	if (!r)
		return 0;
	number = r->listener;
	frame = bpf_map_lookup_elem(&frames, &zero);
	settings = bpf_map_lookup_elem(&control, &zero);
	listener = bpf_map_lookup_elem(&listeners, &number);
	if (!settings || !listener || !frame)
		return 0;
	if (!settle_may_refuse(r, listener, frame) || !deny_is_turn(r) ||
	    (listener->refusal != TPS_REFUSAL_RESET && !deny_is_http(r)))
		return 0;
	deny_want(r, frame,
		  listener->refusal == TPS_REFUSAL_ANSWER && settings->draining
			  ? TPS_REFUSAL_CLOSE
			  : listener->refusal);
	return 1;
}

#endif
