/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a TCP segment of a tls listener to the handshake in it: keeps the flow's entry, feeds the
 * parser, and finds whose the server name is. Knows sequence numbers and phases; what a ClientHello
 * looks like is tls.h's, what a token costs is take.h's.
 *
 * A connection is charged once, when its hello has ended, and bound from then on: what follows
 * passes, a second hello (HelloRetryRequest) too. Until then bytes beyond the next one that the
 * parser wants are dropped. What the host has not got, and comes again, may not be what was read
 * before, and the host may have kept bytes behind it: it is paid once more, by its name only where
 * the segment holds all that the host will read, else by the source.
 */
#ifndef TPS_BPF_HELLO_H
#define TPS_BPF_HELLO_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/bucket.h>
#include <tps/frame.h>
#include <tps/tls.h>

#include "chunk.h"
#include "count.h"
#include "flow.h"
#include "identify.h"
#include "maps.h"
#include "settle.h"

#define HELLO_DISORDER_MAX 64 /* segments out of order while a hello is open */
#define HELLO_S_MAX 30        /* that a hello may take */
#define HELLO_BEGINS_BYTES 6  /* of a record with a ClientHello, up to its type */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tls_scan);
} hello_scans SEC(".maps");

/* What becomes of a segment; segment.reason says why. */
enum hello_fate {
	HELLO_PASS,
	HELLO_ORDER,  /* dropped, so that the sender's retransmission restores the order */
	HELLO_CHARGE, /* segment.scan.charge[0] is to be paid */
	HELLO_READ,   /* it is to be read, from segment.flow.next_seq on */
};

/* ---- whose name */

/* The caller that has the name from @from on: to @ret. One that has gone has none. A global
 * function: verified once. */
__noinline int hello_lookup(struct tls_scan *s, __u32 from, struct tps_slot *ret)
{
	struct tps_host *host;
	struct tps_key key;

	if (!s || !ret)
		return 0;
	tls_hash(s, from);
	key.hash[0] = s->hash[0];
	key.hash[1] = s->hash[1];
	host = bpf_map_lookup_elem(&hosts, &key);
	if (!host)
		return 0;
	if (!identify_tenant(host->slot))
		return 0;
	*ret = host->slot;
	return 1;
}

/* Finds whose the name is that was read: all of it, else its longest suffix that somebody has.
 * Returns whether somebody does. */
static __always_inline int hello_identify(struct tls_scan *s, __u32 depths, struct tps_slot *ret)
{
	__u32 from;

	if (depths & 1 && hello_lookup(s, 0, ret))
		return 1;
	if (!(depths >> 1))
		return 0;
	for (int labels = TPS_HOST_LABELS_MAX; labels > 0; labels--) {
		if (!(depths >> labels & 1))
			continue;
		from = tls_suffix(s, labels);
		if (from && hello_lookup(s, from, ret))
			return 1;
	}
	return 0;
}

/* ---- reading */

static long hello_step(__u32 i, void *s)
{
	return tls_step(*(struct tls_scan **)s);
}

/* One chunk of the segment through the parser. False: it could not be read. A global function:
 * verified once. */
__noinline int hello_chunk(struct xdp_md *ctx, struct tls_scan *s, __u32 at)
{
	if (!s || !CHUNK_READ(ctx, s, bytes, 0, at))
		return 0;
	if (tls_read(s) == TLS_ENDED)
		return 1;
	bpf_loop(TLS_STEPS_MAX, hello_step, &s, 0);
	if (s->pos < s->chunk_bytes && s->hello.phase < TLS_DONE)
		tls_fail(s, TPS_REASON_LONG_HELLO);
	return 1;
}

/* ---- where a segment stands */

/* A hello that begins with the next byte of the connection. */
static __always_inline void hello_begin(struct tps_flow *flow, const struct flow_peer *peer)
{
	dual_memset(&flow->hello, 0, TLS_STATE_BYTES);
	flow->hello.begin_jiffies = bpf_jiffies64();
	flow->next_seq = peer->received;
	flow->bound.generation = 0;
	flow->protocol = TPS_PROTOCOL_TLS;
}

/* The hello that is open names nobody, for @reason, and is paid by the source. */
static __always_inline enum hello_fate hello_undecided(struct segment *r, const struct frame *frame,
						       __u32 reason)
{
	__u32 end = frame->seq + frame->payload_bytes;

	r->flow.hello.phase = TLS_DONE;
	r->flow.hello.reason = reason;
	r->flow.hello.sent_seq = r->flow.ack_high;
	r->flow.bound.generation = 0;
	if (flow_before(r->flow.next_seq, end))
		r->flow.next_seq = end;
	r->scan.charge[0].kind = CHARGE_UNDECIDED;
	r->scan.charge[0].reason = reason;
	count_note(count_totals(r->listener), reason);
	return HELLO_CHARGE;
}

/* A connection without an entry whose first bytes went by. If its server has answered them, they
 * were a hello that somebody paid, or older than the gate; else it may still be the host's to read.
 */
static __always_inline enum hello_fate hello_join(struct segment *r, const struct frame *frame)
{
	hello_begin(&r->flow, &r->peer);
	if (!r->peer.spoke)
		return hello_undecided(r, frame, TPS_REASON_VOID);
	r->flow.hello.phase = TLS_DONE;
	r->flow.hello.sent_seq = r->flow.ack_high;
	bpf_map_update_elem(&flows, &frame->flow, &r->flow, BPF_ANY);
	r->reason = TPS_REASON_JOINED;
	return HELLO_PASS;
}

/* A proven segment of a flow that is bound. Its entry moves on: with this ack, and from here on,
 * the next ones need no proof. */
static __always_inline enum hello_fate hello_bound(struct segment *r, struct tps_flow *flow,
						   const struct frame *frame)
{
	const struct flow_peer *peer = &r->peer;
	int answered = peer->ack_high != flow->hello.sent_seq;

	/* the host has read the hello, or will before these bytes */
	if (answered || !flow_before(peer->received, flow->next_seq) ||
	    !flow_before(frame->seq, flow->next_seq)) {
		if (answered || flow_before(flow->next_seq, peer->received))
			flow->next_seq = peer->received;
		flow->proven_ack = frame->ack;
		flow->epoch = r->flow.epoch;
		flow->syn_seen = 0;
		r->reason = TPS_REASON_BOUND;
		return HELLO_PASS;
	}
	if (peer->untouched && frame->seq == peer->received) {
		hello_begin(&r->flow, peer);
		r->whole = 1;
		return HELLO_READ;
	}
	return hello_undecided(r, frame, TPS_REASON_VOID);
}

/* A proven segment of a flow whose hello is open. */
static __always_inline enum hello_fate hello_open(struct segment *r, struct tps_flow *flow,
						  const struct frame *frame)
{
	const struct flow_peer *peer = &r->peer;

	if (flow_before(flow->next_seq, peer->received)) {
		/* the host has more than was read: while the gate looked away, and it was answered?
		 */
		if (flow->epoch != r->flow.epoch && peer->ack_high != flow->ack_high)
			return hello_join(r, frame);
		return hello_undecided(r, frame, TPS_REASON_VOID);
	}
	if (flow_before(flow->next_seq, frame->seq)) {
		if (++flow->hello.disorder > HELLO_DISORDER_MAX)
			return hello_undecided(r, frame, TPS_REASON_LONG_HELLO);
		r->reason = TPS_REASON_OUT_OF_ORDER;
		return HELLO_ORDER;
	}
	if (frame->seq == flow->next_seq || peer->received == flow->next_seq)
		return HELLO_READ;
	if (peer->untouched && frame->seq == peer->received &&
	    !flow_before(frame->seq + frame->payload_bytes, flow->next_seq)) {
		hello_begin(&r->flow, peer);
		return HELLO_READ;
	}
	return hello_undecided(r, frame, TPS_REASON_VOID);
}

/* Of a transit connection whose entry may have been evicted with its hello open, the first bytes do
 * not come again: it gets an entry that waits for them, and not for long. */
static __always_inline void hello_miss(struct segment *r, const struct frame *frame)
{
	hello_begin(&r->flow, &r->peer);
	r->flow.hello.disorder = HELLO_DISORDER_MAX - 4;
	bpf_map_update_elem(&flows, &frame->flow, &r->flow, BPF_ANY);
}

/* Where a proven segment stands. @flow is its entry, if it has one, and @r->flow a copy of it. */
static __always_inline enum hello_fate hello_locate(struct segment *r, struct tps_flow *flow,
						    const struct frame *frame, __u32 placement)
{
	const struct flow_peer *peer = &r->peer;
	__u32 end = frame->seq + frame->payload_bytes;
	int another = flow && peer->untouched && peer->ack_high != flow->ack_high;
	int known = flow && !another;

	r->flow.syn_seen = 0;
	r->flow.proven_ack = frame->ack;
	r->flow.ack_high = peer->ack_high;
	r->flow.server_next = peer->received;
	if (known && flow->hello.phase == TLS_DONE)
		return hello_bound(r, flow, frame);
	if (!flow_before(peer->received, end)) {
		r->reason = TPS_REASON_RESENT;
		return HELLO_PASS;
	}
	if (flow_probes(frame, peer)) { /* taken, if the window moves before the host sees it */
		r->reason = TPS_REASON_OUT_OF_ORDER;
		return HELLO_ORDER;
	}
	if (known)
		return hello_open(r, flow, frame);
	if (!peer->untouched)
		return hello_join(r, frame);
	if (flow_before(peer->received, frame->seq)) {
		if (placement == TPS_PLACEMENT_TRANSIT)
			hello_miss(r, frame);
		r->reason = TPS_REASON_OUT_OF_ORDER;
		return HELLO_ORDER;
	}
	hello_begin(&r->flow, peer);
	return HELLO_READ;
}

/* Does the connection whose handshake was seen leave begin after what the segment acks? No client
 * of it sends such a segment, though some hosts take it. */
static __always_inline int hello_is_before(const struct tps_listener *listener,
					   const struct frame *frame)
{
	struct tps_handshake *handshake;

	if (listener->placement != TPS_PLACEMENT_TRANSIT)
		return 0;
	handshake = bpf_map_lookup_elem(&handshakes, &frame->flow);
	return handshake && flow_before(frame->ack, handshake->server_next);
}

/* Nothing proves the segment. What may begin a hello is a transaction of the source; what a
 * connection goes on with is not. */
static __always_inline enum hello_fate hello_unproven(struct xdp_md *ctx, struct segment *r,
						      const struct tps_listener *listener,
						      const struct tps_flow *flow,
						      const struct frame *frame, __u32 reason)
{
	__u8 begin[8] = {TLS_HANDSHAKE, 3, 0, 1, 0, TLS_CLIENT_HELLO};
	__u32 bytes = frame->payload_bytes;

	r->reason = reason;
	/* the host takes it if its window moves before it sees it */
	if (flow && flow->hello.phase != TLS_DONE && reason == TPS_REASON_OUTSIDE_WINDOW)
		return HELLO_ORDER;
	if (!flow && hello_is_before(listener, frame))
		return HELLO_ORDER;
	if (bytes > HELLO_BEGINS_BYTES)
		bytes = HELLO_BEGINS_BYTES;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & 7) + 1;
	if (bpf_xdp_load_bytes(ctx, frame->payload_at, begin, bytes) || begin[0] != TLS_HANDSHAKE ||
	    begin[1] != 3 || ((begin[3] | begin[4]) && begin[5] != TLS_CLIENT_HELLO)) {
		r->reason = TPS_REASON_JOINED;
		return HELLO_PASS;
	}
	count_note(count_totals(r->listener), reason);
	r->proven = 0;
	return HELLO_CHARGE;
}

/* The host takes urgent data out of the stream, so what it would read as a hello nobody can tell.
 */
static __always_inline enum hello_fate hello_urgent(struct segment *r)
{
	r->reason = TPS_REASON_URGENT;
	return HELLO_ORDER;
}

/* Is this the byte that the parser wants next, with the ack that was proven? */
static __always_inline int hello_expected(const struct tps_flow *flow, const struct frame *frame,
					  __u32 epoch)
{
	return flow && frame->seq == flow->next_seq && frame->ack == flow->proven_ack &&
	       flow->hello.phase != TLS_DONE && !flow->syn_seen && flow->epoch == (__u16)epoch;
}

/* A hello takes no longer than HELLO_S_MAX. */
static __always_inline int hello_is_late(const struct tps_flow *flow,
					 const struct tps_control *settings)
{
	__u32 ticks = (__u32)bpf_jiffies64() - flow->hello.begin_jiffies;

	return ticks * settings->tick_ns > HELLO_S_MAX * BUCKET_NS_PER_SEC;
}

/* ---- for the gate */

static __always_inline void hello_save(const struct frame *frame, struct segment *r,
				       struct tps_flow *flow)
{
	if (!flow) {
		if (bpf_map_update_elem(&flows, &frame->flow, &r->flow, BPF_ANY))
			count_note(count_totals(r->listener), TPS_REASON_NO_FLOW);
		return;
	}
	flow->next_seq = r->flow.next_seq;
	flow->proven_ack = r->flow.proven_ack;
	if (r->acks) {
		flow->ack_high = r->flow.ack_high;
		flow->server_next = r->flow.server_next;
	}
	flow->bound = r->flow.bound;
	flow->epoch = r->flow.epoch;
	flow->syn_seen = 0;
	tls_copy(&flow->hello, &r->flow.hello);
}

/* The segment's bytes from @at of the packet on through the parser. 0, or the reason of class
 * error. */
static __always_inline __u32 hello_chunks(struct xdp_md *ctx, struct tls_scan *s, __u32 at,
					  __u32 left)
{
	for (int i = 0; i < CHUNK_SEGMENT_MAX && left && s->hello.phase < TLS_DONE; i++) {
		s->chunk_bytes = left < TLS_CHUNK_MAX ? left : TLS_CHUNK_MAX;
		if (!hello_chunk(ctx, s, at))
			return TPS_REASON_NO_READ;
		at += s->chunk_bytes;
		left -= s->chunk_bytes;
	}
	return 0;
}

/*
 * Where a segment stands that has payload for tls listener @number and is not known to lie behind
 * its connection's hello. @flow is its entry, or NULL; of one that is bound it moves on, of one
 * that is open it counts the disorder, and an old connection gets one. Returns enum hello_fate. A
 * global function: verified once.
 */
__noinline int hello_place(struct xdp_md *ctx, struct tps_flow *flow, __u32 number)
{
	struct tps_control *settings;
	struct tps_listener *listener;
	struct charge *charge;
	struct frame *frame;
	struct segment *r;
	__u32 zero = 0, reason, fate;

	settings = bpf_map_lookup_elem(&control, &zero);
	listener = bpf_map_lookup_elem(&listeners, &number);
	frame = bpf_map_lookup_elem(&frames, &zero);
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!settings || !listener || !frame || !r)
		return HELLO_PASS;
	r->listener = number;
	r->proven = 1;
	r->whole = 0;
	r->acks = listener->placement == TPS_PLACEMENT_LOCAL;
	r->read_seq = frame->seq + 1; /* nothing was read that could be answered */
	r->peer.state = 0;
	r->scan.charges = 1;
	charge = &r->scan.charge[0];
	charge->kind = CHARGE_SOURCE;
	charge->reason = 0;
	charge->heads = 1;
	if (frame->flags & FRAME_URG && (!flow || flow->hello.phase != TLS_DONE))
		return hello_urgent(r);
	if (flow) {
		dual_memcpy(&r->flow, flow, __builtin_offsetof(struct tps_flow, hello));
		tls_copy(&r->flow.hello, &flow->hello);
	}
	r->flow.epoch = settings->epoch;
	if (hello_expected(flow, frame, settings->epoch))
		return HELLO_READ;
	reason = flow_prove(ctx, listener, frame, flow, &r->peer);
	if (reason) {
		fate = hello_unproven(ctx, r, listener, flow, frame, reason);
	} else {
		r->acks |= r->peer.untouched;
		fate = hello_locate(r, flow, frame, listener->placement);
	}
	return frame->flags & FRAME_URG && fate != HELLO_PASS ? hello_urgent(r) : fate;
}

/*
 * Reads the segment from r->flow.next_seq on. Returns enum hello_fate; until the charge is paid,
 * nothing outside the scratch has changed but the entry of a hello that goes on. A global function:
 * verified once.
 */
__noinline int hello_read(struct xdp_md *ctx, struct tps_flow *flow)
{
	struct tps_control *settings;
	struct frame *frame;
	struct tls_scan *s;
	struct segment *r;
	__u32 zero = 0, skip;

	settings = bpf_map_lookup_elem(&control, &zero);
	frame = bpf_map_lookup_elem(&frames, &zero);
	r = bpf_map_lookup_elem(&scratch, &zero);
	s = bpf_map_lookup_elem(&hello_scans, &zero);
	if (!settings || !frame || !r || !s)
		return HELLO_PASS;
	r->read_seq = r->flow.next_seq;
	skip = r->flow.next_seq - frame->seq;
	tls_begin(s, &r->flow.hello, settings->secret);
	r->reason = hello_chunks(ctx, s, frame->payload_at + (skip & 0xfffff),
				 frame->payload_bytes - skip);
	if (r->reason)
		return HELLO_PASS;
	if (s->name_bytes && !hello_identify(s, settings->host_depths, &r->flow.bound))
		count_note(count_totals(r->listener), TPS_REASON_UNKNOWN_NAME);
	r->flow.next_seq = frame->seq + frame->payload_bytes;
	tls_save(s, &r->flow.hello);
	if (s->hello.phase != TLS_DONE) {
		if (r->whole)
			return hello_undecided(r, frame, TPS_REASON_VOID);
		if (hello_is_late(&r->flow, settings))
			return hello_undecided(r, frame, TPS_REASON_LONG_HELLO);
		hello_save(frame, r, flow);
		r->reason = TPS_REASON_PARTIAL_HELLO;
		return HELLO_PASS;
	}
	if (s->hello.reason)
		return hello_undecided(r, frame, s->hello.reason);
	r->flow.hello.sent_seq = r->flow.ack_high;
	if (r->flow.bound.generation)
		r->scan.charge[0].kind = CHARGE_BOUND;
	return HELLO_CHARGE;
}

/* What the refused hello gets: the connection ends, since nothing has begun. Only what speaks TLS
 * gets an alert. 0: nothing but a drop. */
static __always_inline int hello_deny(struct segment *r, const struct tps_listener *listener,
				      const struct frame *frame)
{
	if (!r->proven || !settle_may_refuse(r, listener, frame) ||
	    (listener->refusal != TPS_REFUSAL_RESET &&
	     r->scan.charge[0].reason == TPS_REASON_NOT_HELLO))
		return 0;
	r->refusal.want = listener->refusal == TPS_REFUSAL_RESET ? TPS_WANT_RESET : TPS_WANT_CLOSE;
	dual_memset(&r->refusal.answer, 0, sizeof(r->refusal.answer));
	r->refusal.answer.closes = 1;
	r->refusal.answer.form = TPS_FORM_ALERT;
	return 1;
}

/* A RST of the client's that the server believes (RFC 5961 3.2), as a transit flow's entry tells:
 * what comes next of the tuple is another connection's. */
static __always_inline void hello_reset(const struct frame *frame)
{
	struct tps_flow *flow = bpf_map_lookup_elem(&flows, &frame->flow);

	if (flow && flow->protocol == TPS_PROTOCOL_TLS && frame->seq == flow->server_next)
		bpf_map_delete_elem(&flows, &frame->flow);
}

/* Is the segment behind the hello of a connection that is bound? Without the ack that was proven it
 * may be another connection's, of the same tuple: of a SYN cookie that is used again. */
static __always_inline int hello_is_behind(const struct tps_flow *flow, const struct frame *frame,
					   __u32 epoch)
{
	return flow->hello.phase == TLS_DONE && !flow_before(frame->seq, flow->next_seq) &&
	       frame->ack == flow->proven_ack && !flow->syn_seen && flow->epoch == (__u16)epoch;
}

/* A segment with payload, or with urgent data announced, to tls listener @number; returns the XDP
 * action. */
static __always_inline int hello_gate(struct xdp_md *ctx, struct frame *frame, __u32 number)
{
	__u32 zero = 0, reason, fate, verdict;
	struct take take = {};
	struct tps_flow *flow;
	struct segment *r;

	take.number = number;
	take.of = count_totals(number);
	take.settings = bpf_map_lookup_elem(&control, &zero);
	if (!take.settings)
		return count_pass(take.of, TPS_REASON_NO_CONTROL);
	flow = bpf_map_lookup_elem(&flows, &frame->flow);
	if (flow && flow->protocol != TPS_PROTOCOL_TLS)
		flow = NULL; /* the listener's protocol has changed */
	if (flow && hello_is_behind(flow, frame, take.settings->epoch))
		return count_pass(take.of, TPS_REASON_BOUND);
	take.listener = bpf_map_lookup_elem(&listeners, &number);
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!take.listener || !r)
		return count_pass(take.of, TPS_REASON_NO_SCRATCH);
	r->reason = TPS_REASON_NO_SCRATCH; /* else they say why */
	fate = hello_place(ctx, flow, number);
	if (fate == HELLO_READ)
		fate = hello_read(ctx, flow);
	if (fate == HELLO_ORDER)
		return take_order(&take, r->reason);
	if (fate != HELLO_CHARGE)
		return count_pass(take.of, r->reason);
	reason = settle_one(frame, r, SETTLE_STEP(SETTLE_ONLY, 0, 0));
	verdict = count_verdict_of(reason, take_observes(&take));
	if (verdict != TPS_VERDICT_ALLOWED)
		settle_notice(r, reason, verdict);
	if (take_refuses(&take, reason))
		return hello_deny(r, take.listener, frame) ? settle_refuse(ctx, r, reason)
							   : count_drop(take.of, reason);
	if (r->proven)
		hello_save(frame, r, flow);
	return count_pass(take.of, reason);
}

#endif
