/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a TCP segment of an http listener to the transactions in it: keeps the flow's entry, feeds
 * the parser, and has each request head charged to whom it names. Knows sequence numbers and
 * phases; what a head looks like is http.h's, what a token costs is take.h's.
 *
 * What is charged, and what must hold for a byte to pass uncharged:
 *   - a head that the parser reads is charged when its last line comes;
 *   - body bytes pass, since the host has the very head that announced them (flow->framed_seq), or
 *     will be charged for them when another head turns up in its place (requests_resent);
 *   - bytes beyond the next one that the parser wants are dropped, unless they lie inside a body:
 * so nothing reaches the host that was not read in order;
 *   - bytes that the host has already pass, since it discards them.
 */
#ifndef TPS_BPF_REQUESTS_H
#define TPS_BPF_REQUESTS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>
#include <tps/http.h>

#include "chunk.h"
#include "count.h"
#include "deny.h"
#include "flow.h"
#include "identify.h"
#include "maps.h"
#include "settle.h"
#include "take.h"

/* What is longer than CHUNK_SEGMENT_MAX chunks, and what passed though the host may read it
 * otherwise, costs a transaction per REQUESTS_BYTES_PER_HEAD, as if it were full of the smallest
 * requests: "A / HTTP/1.1\nHost:a\n\n" has 21 bytes. */
#define REQUESTS_BYTES_PER_HEAD 16
/* Sequence numbers compare right within 2^31 (RFC 9293 3.4): framed_seq follows a longer body. */
#define REQUESTS_FRAMED_BEHIND (1U << 29)

/* What the segment is, before its bytes are looked at. */
enum requests_place {
	REQUESTS_READ,  /* read it from flow.next_seq on */
	REQUESTS_AGAIN, /* what was read last, once more: is it the same? */
	REQUESTS_PASS,  /* pass it; the entry is as it was */
	REQUESTS_KEEP,  /* pass it; the entry changes */
	REQUESTS_DROP,  /* out of order */
	REQUESTS_UNPROVEN,
};

static __always_inline int requests_in_body(const struct tps_http *http)
{
	return http->phase == HTTP_BODY || http->phase == HTTP_CHUNK_DATA;
}

/* The framing is lost: from now on each segment is a transaction of the source. */
static __always_inline void requests_void(struct tps_flow *flow)
{
	http_lose(&flow->http, HTTP_VOID);
	flow->tainted = HTTP_VOID;
}

/* An entry for a connection that has none, or a stale one. */
static __always_inline void requests_begin(struct tps_flow *flow, const struct frame *frame,
					   const struct flow_peer *peer)
{
	http_lose(&flow->http, peer->untouched ? HTTP_START : HTTP_JOINED);
	flow->tainted = peer->untouched ? 0 : HTTP_JOINED;
	flow->next_seq = peer->untouched ? peer->received : frame->seq;
	flow->framed_seq = flow->next_seq;
	flow->high_seq = flow->next_seq;
	/* no response is outstanding where nothing was asked */
	flow->turn_ack = peer->ack_high - (peer->untouched ? 1 : 0);
	flow->open_seq = flow->next_seq;
	flow->bound.generation = 0;
	flow->answers = 0;
	flow->syn_seen = 0;
	flow->protocol = TPS_PROTOCOL_HTTP;
	flow->again[0] = HTTP_PHASE_MAX;
}

/* A joined connection has no order to keep: each segment is read for itself. */
static __always_inline enum requests_place requests_at(struct tps_flow *flow,
						       const struct frame *frame)
{
	flow->http.carry_bytes = 0;
	flow->next_seq = frame->seq;
	return REQUESTS_READ;
}

/* Transactions that may hide in what passed behind framing that the host never confirmed. */
static __always_inline __u32 requests_hidden(const struct tps_flow *flow)
{
	if (!flow_before(flow->open_seq, flow->high_seq))
		return 0;
	return (flow->high_seq - flow->open_seq) / REQUESTS_BYTES_PER_HEAD;
}

/* The framing is lost where bytes come again that the host may read otherwise than the gate did: a
 * transaction, and what may be hidden behind them. */
static __always_inline void requests_reread(struct tps_flow *flow, const struct frame *frame,
					    __u32 *ret_extra)
{
	*ret_extra = requests_hidden(flow);
	requests_void(flow);
	flow->next_seq = frame->seq;
}

/*
 * Bytes before the next one wanted, and the host has not got them all. Body bytes are sent again as
 * often as they must.
 */
static __always_inline enum requests_place
requests_resent(struct tps_flow *flow, const struct frame *frame, __u32 *ret_extra)
{
	__u32 end = frame->seq + frame->payload_bytes;

	if (flow->http.phase == HTTP_JOINED)
		return requests_at(flow, frame);
	if (!flow_before(flow->next_seq, end)) {
		if (!flow_before(frame->seq, flow->framed_seq))
			return REQUESTS_PASS;
		if (frame->seq == flow->again_seq && (flow->again[0] & 0xff) < HTTP_PHASE_MAX)
			return REQUESTS_AGAIN;
	}
	requests_reread(flow, frame, ret_extra);
	return REQUESTS_READ;
}

/* Bytes beyond the next one wanted. */
static __always_inline enum requests_place requests_ahead(struct tps_flow *flow,
							  const struct frame *frame)
{
	__u32 end = frame->seq + frame->payload_bytes;

	if (flow->http.phase == HTTP_JOINED)
		return requests_at(flow, frame);
	if ((flow->tainted && flow->tainted != HTTP_JOINED) || !requests_in_body(&flow->http) ||
	    end - flow->next_seq > flow->http.body_bytes)
		return REQUESTS_DROP;
	if (flow_before(flow->high_seq, end))
		flow->high_seq = end;
	return REQUESTS_KEEP;
}

/*
 * The entry does not fit the connection: none was there, or the tuple is used again, or the host
 * has bytes that the parser did not read. That is no fault of the client's when the gate looked
 * away in between (@excused: pause, observe), or when it never saw the beginning. Else its framing
 * is lost: a client that could make the parser forget would pass uncharged.
 */
static __always_inline void requests_rejoin(struct tps_flow *flow, int known, int excused,
					    const struct frame *frame, const struct flow_peer *peer,
					    __u32 *ret_extra)
{
	/* a tuple may be used again at once, with sequence numbers only a little further on */
	int another = peer->untouched && peer->ack_high != flow->ack_high;
	int lost = known && !excused && !another && flow->http.phase != HTTP_JOINED;
	__u32 hidden = requests_hidden(flow), turn_ack = flow->turn_ack;

	requests_begin(flow, frame, peer);
	if (known && !another)
		flow->turn_ack = turn_ack;
	if (lost) {
		*ret_extra = hidden;
		requests_void(flow);
	}
}

/* A window probe. The window may move before the host sees it: then the byte is taken, and must be
 * one that may pass unread. */
static __always_inline enum requests_place requests_probed(const struct tps_flow *flow, int known,
							   const struct frame *frame)
{
	if (!known || flow->http.phase == HTTP_JOINED || flow->http.phase == HTTP_OPAQUE)
		return REQUESTS_PASS;
	return requests_in_body(&flow->http) && frame->seq - flow->next_seq < flow->http.body_bytes
		       ? REQUESTS_PASS
		       : REQUESTS_DROP;
}

/*
 * Where a proven segment stands. @flow is the working copy, @known whether it is of an entry. The
 * host may be ahead of the parser by body bytes that filled a gap.
 */
static __always_inline enum requests_place requests_locate(struct tps_flow *flow, int known,
							   int excused, const struct frame *frame,
							   const struct flow_peer *peer,
							   __u32 *ret_extra)
{
	__u32 end = frame->seq + frame->payload_bytes;
	__u32 gained;

	if (!flow_before(peer->received, end))
		return REQUESTS_PASS;
	if (flow_probes(frame, peer))
		return requests_probed(flow, known, frame);
	gained = peer->received - flow->next_seq;
	if (known && requests_in_body(&flow->http) && (__s32)gained > 0 &&
	    gained <= flow->http.body_bytes) {
		flow->next_seq = peer->received;
		http_skip(&flow->http, gained);
	}
	if (known && !flow_before(peer->received, flow->framed_seq)) {
		/* the host read that framing: what passed behind it is a body */
		flow->open_seq = flow->high_seq;
		if (peer->received - flow->framed_seq > REQUESTS_FRAMED_BEHIND / 2)
			flow->framed_seq = peer->received - REQUESTS_FRAMED_BEHIND / 4;
	}
	if (!known || flow_before(flow->next_seq, peer->received) ||
	    flow_before(peer->right, flow->next_seq) ||
	    (peer->untouched && peer->ack_high != flow->ack_high))
		requests_rejoin(flow, known, excused, frame, peer, ret_extra);
	flow->syn_seen = 0;
	flow->proven_ack = frame->ack;
	flow->ack_high = peer->ack_high;
	flow->server_next = peer->received;
	if (flow_before(flow->next_seq, frame->seq))
		return requests_ahead(flow, frame);
	if (flow_before(frame->seq, flow->next_seq) && flow_before(peer->received, flow->next_seq))
		return requests_resent(flow, frame, ret_extra);
	return REQUESTS_READ;
}

/* May a method token at the segment's start be believed? Only if the server answered, and has all.
 */
static __always_inline int requests_may_resync(const struct tps_flow *flow, int known,
					       const struct frame *frame,
					       const struct flow_peer *peer)
{
	if (flow->http.phase != HTTP_JOINED && flow->http.phase != HTTP_VOID)
		return 0;
	if (frame->seq != peer->received)
		return 0;
	return peer->answered || (known && flow_before(flow->turn_ack, frame->ack));
}

/* One chunk of the segment through the parser. False: it could not be read. */
__noinline int requests_chunk(struct xdp_md *ctx, struct http_scan *scan,
			      struct tps_listener *listener, __u32 at)
{
	if (!scan || !listener || !CHUNK_READ(ctx, scan, bytes, HTTP_CARRY, at))
		return 0;
	http_scan(scan, listener);
	return 1;
}

/* One more charge of the source; the first entry is used when all are. */
static __always_inline void requests_add(struct http_scan *scan, __u32 heads, __u32 reason)
{
	__u32 at = scan->charges;

	if (at >= TPS_CHARGES_MAX) {
		scan->charge[TPS_CHARGES_MAX - 1].heads += heads;
		return;
	}
	at &= TPS_CHARGES_MAX - 1;
	scan->charge[at].kind = CHARGE_UNDECIDED;
	scan->charge[at].reason = reason;
	scan->charge[at].heads = heads;
	scan->charges = at + 1;
	scan->undecided += heads;
}

/* @left bytes of the segment were not read: they may be full of requests. */
static __always_inline void requests_unread(struct http_scan *scan, __u32 left)
{
	if (!left)
		return;
	requests_add(scan, left / REQUESTS_BYTES_PER_HEAD + 1, TPS_REASON_VOID);
	http_lose(&scan->http, HTTP_VOID);
	scan->met |= HTTP_MET(HTTP_VOID);
}

/* What is still to be read of a segment. */
struct requests_rest {
	struct xdp_md *ctx;
	struct http_scan *scan;
	struct tps_listener *listener;
	__u32 at;
	__u32 left;
	__u32 failed;
};

/* The next chunk of it, behind what of a body need not be read. Not 0: no more. */
static __always_inline long requests_next(struct requests_rest *rest)
{
	__u32 bytes = rest->scan->segment_bytes ? http_skip_some(rest->scan, rest->left) : 0;

	rest->at += bytes;
	rest->left -= bytes;
	if (!rest->left)
		return 1;
	bytes = rest->left < HTTP_CHUNK_MAX ? rest->left : HTTP_CHUNK_MAX;
	rest->scan->chunk_bytes = bytes;
	if (!requests_chunk(rest->ctx, rest->scan, rest->listener, rest->at)) {
		rest->failed = 1;
		return 1;
	}
	rest->at += bytes;
	rest->left -= bytes;
	return !rest->left;
}

static long requests_each(__u32 i, void *rest)
{
	return requests_next(rest);
}

/* Reads the segment's bytes from @at on through the parser, but for those of bodies. 0, or the
 * reason of class error. */
static __always_inline __u32 requests_parse(struct xdp_md *ctx, struct http_scan *scan,
					    struct tps_listener *listener, __u32 at, __u32 left)
{
	struct requests_rest rest = {ctx, scan, listener, at, left, 0};

	/* as a rule there is one chunk, and no loop */
	if (!requests_next(&rest))
		bpf_loop(CHUNK_SEGMENT_MAX - 1, requests_each, &rest, 0);
	if (rest.failed)
		return TPS_REASON_NO_READ;
	requests_unread(scan, rest.left - http_skip_some(scan, rest.left));
	return 0;
}

/* Puts the working copy into the flow's entry, or makes one. @acks: also what the proof said; on a
 * transit flow that is known, the egress program keeps it. */
static __always_inline void requests_save(const struct frame *frame, struct segment *r,
					  struct tps_flow *flow, struct tps_totals *of, int acks)
{
	if (!flow) {
		http_save(&r->scan, &r->flow.http);
		if (bpf_map_update_elem(&flows, &frame->flow, &r->flow, BPF_ANY))
			count_note(of, TPS_REASON_NO_FLOW);
		return;
	}
	flow->next_seq = r->flow.next_seq;
	flow->framed_seq = r->flow.framed_seq;
	flow->high_seq = r->flow.high_seq;
	flow->turn_ack = r->flow.turn_ack;
	flow->tainted = r->flow.tainted;
	flow->answers = r->flow.answers;
	flow->syn_seen = 0;
	flow->again_seq = r->flow.again_seq;
	for (int i = 0; i < 4; i++)
		flow->again[i] = r->flow.again[i];
	flow->open_seq = r->flow.open_seq;
	flow->proven_ack = r->flow.proven_ack;
	flow->epoch = r->flow.epoch;
	flow->bound_print = r->flow.bound_print;
	flow->bound_hash[0] = r->flow.bound_hash[0];
	flow->bound_hash[1] = r->flow.bound_hash[1];
	flow->bound = r->flow.bound;
	flow->bound_generation = r->flow.bound_generation;
	http_save(&r->scan, &flow->http);
	if (acks) {
		flow->ack_high = r->flow.ack_high;
		flow->server_next = r->flow.server_next;
	}
}

/* Keeps the state in which a segment began that is not all body, in case that it comes again. */
static __always_inline void requests_keep(struct segment *r, __u32 at)
{
	const __u64 *state = (const __u64 *)&r->flow.http;

	r->flow.again_seq = at;
	for (int i = 0; i < 4; i++)
		r->flow.again[i] = state[i];
	if (r->flow.http.carry_bytes || r->flow.http.phase >= HTTP_OPAQUE)
		r->flow.again[0] = HTTP_PHASE_MAX;
}

/*
 * The last segment that was not all body comes once more, and the host has read neither yet:
 * whichever of the two it takes, what follows is the same if the parser ends in the same state.
 * Then its heads are charged once more, to whom they name now, and nothing else changes.
 */
static __always_inline int requests_same(const struct segment *r, const struct frame *frame)
{
	const struct tps_http *once = &r->flow.http, *again = &r->scan.http;
	__u32 end = frame->seq + frame->payload_bytes, later = r->flow.next_seq - end;
	__u64 differs;

	if (again->phase >= HTTP_OPAQUE || again->phase != once->phase ||
	    again->flags != once->flags || again->carry_bytes != once->carry_bytes)
		return 0;
	if (later) /* body bytes passed since */
		return requests_in_body(again) && again->body_bytes == once->body_bytes + later &&
		       r->flow.framed_seq == frame->seq + r->scan.framed;
	differs = again->body_bytes ^ once->body_bytes;
	if (again->phase == HTTP_HEADERS)
		differs |= (again->key ^ once->key) | (again->head_bytes ^ once->head_bytes) |
			   (again->key_hash[0] ^ once->key_hash[0]) |
			   (again->key_hash[1] ^ once->key_hash[1]);
	if (again->carry_bytes)
		for (__u32 i = 0; i < TPS_CARRY_BYTES; i += 8)
			differs |= dual_load64(r->scan.bytes + i) ^ dual_load64(once->carry + i);
	return !differs;
}

/* After the bytes [.., @end) were read: where the flow stands now. */
static __always_inline void requests_advance(struct segment *r, const struct frame *frame, __u32 at)
{
	__u32 end = frame->seq + frame->payload_bytes;

	/* heads alone hide nothing, and what was read line by line neither: each was charged */
	if (r->flow.open_seq == r->flow.high_seq && !(r->scan.met & HTTP_MET(HTTP_BODY)))
		r->flow.open_seq = end;
	if (r->scan.charges || r->scan.framed || !requests_in_body(&r->flow.http))
		requests_keep(r, at);
	if (requests_in_body(&r->scan.http)) {
		if (r->scan.framed)
			r->flow.framed_seq = at + r->scan.framed;
	} else {
		r->flow.framed_seq = end;
	}
	r->flow.next_seq = end;
	if (flow_before(r->flow.high_seq, end))
		r->flow.high_seq = end;
	if (r->scan.charges)
		r->flow.turn_ack = r->flow.ack_high;
}

/*
 * On a connection whose framing was not known once, what looks like a body may be requests to the
 * host. So the segment is read a second time as if it still were not known (VOID: a transaction at
 * least; else one for each request line), and what this finds beyond the heads that were charged is
 * charged to the source.
 */
static __always_inline __u32 requests_doubt(struct xdp_md *ctx, struct segment *r,
					    struct tps_listener *listener, __u32 at, __u32 left)
{
	struct http_scan *scan = &r->doubt;
	__u32 heads = 0;

	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++)
		if (i < r->scan.charges)
			heads += r->scan.charge[i].heads;
	http_lose(&r->lost, r->flow.tainted == HTTP_VOID ? HTTP_VOID : HTTP_JOINED);
	http_begin(scan, &r->lost, r->scan.secret, 0);
	if (requests_parse(ctx, scan, listener, at, left))
		return TPS_REASON_NO_READ;
	if (scan->undecided > heads)
		requests_add(&r->scan, scan->undecided - heads, TPS_REASON_VOID);
	return 0;
}

/* The connection has had bytes in a loose phase; the one that charges most is remembered. An
 * Upgrade that the host ignored taints nothing: the next request begins right behind it. */
static __always_inline void requests_taint(struct tps_flow *flow, const struct http_scan *scan)
{
	if (scan->met & HTTP_MET(HTTP_VOID))
		flow->tainted = HTTP_VOID;
	else if (scan->met & HTTP_MET(HTTP_HTTP2) && flow->tainted != HTTP_VOID)
		flow->tainted = HTTP_HTTP2;
	else if (scan->met & HTTP_MET(HTTP_OPAQUE) && !flow->tainted)
		flow->tainted = HTTP_OPAQUE;
}

/* A turn is the first segment since the server sent more (by its own count: a client may ack late):
 * a transaction of HTTP/2 without TLS, and of a connection older than its entry when it comes out
 * of order, since a request line may be cut so that none of its pieces looks like one. */
static __always_inline void requests_turn(struct segment *r, const struct frame *frame)
{
	int begins = r->scan.http.phase == HTTP_HTTP2 && r->flow.http.phase != HTTP_HTTP2;
	int turn = flow_before(r->flow.turn_ack, r->flow.ack_high);

	if (r->scan.charges)
		return;
	if (r->scan.http.phase == HTTP_HTTP2 || r->flow.tainted == HTTP_HTTP2) {
		if (turn || begins)
			requests_add(&r->scan, 1, TPS_REASON_HTTP2);
	} else if (r->flow.http.phase == HTTP_JOINED && frame->seq != r->peer.received && turn) {
		requests_add(&r->scan, 1, TPS_REASON_VOID);
	}
}

/* A server that answers twice in the middle of what a tainted flow takes for a body (once may be
 * 100 Continue, RFC 9110 10.1.1) reads requests there. */
static __always_inline void requests_distrust(struct tps_flow *flow, const struct frame *frame)
{
	if (!flow->tainted || !requests_in_body(&flow->http)) {
		flow->answers = 0;
		return;
	}
	if (!flow_before(flow->turn_ack, flow->ack_high))
		return;
	flow->turn_ack = flow->ack_high;
	if (++flow->answers > 1)
		requests_void(flow);
}

/* The segment's own reading: from flow.next_seq on. 0, or the reason of class error. */
static __always_inline __u32 requests_read(struct xdp_md *ctx, struct segment *r,
					   struct tps_listener *listener, const struct frame *frame,
					   const __u64 *secret, __u32 may_resync, __u32 extra)
{
	__u32 skip = r->flow.next_seq - frame->seq;
	__u32 at = frame->payload_at + (skip & 0xfffff), left = frame->payload_bytes - skip;
	__u32 error;

	requests_distrust(&r->flow, frame);
	r->tainted = r->flow.tainted;
	r->turned = flow_before(r->flow.turn_ack, frame->ack);
	http_begin(&r->scan, &r->flow.http, secret, may_resync);
	r->scan.follows = r->follows;
	if (r->flow.bound.generation) {
		r->scan.known.print = r->flow.bound_print;
		r->scan.known.hash[0] = r->flow.bound_hash[0];
		r->scan.known.hash[1] = r->flow.bound_hash[1];
	}
	error = requests_parse(ctx, &r->scan, listener, at, left);
	if (error)
		return error;
	if (extra)
		requests_add(&r->scan, extra, TPS_REASON_VOID);
	requests_taint(&r->flow, &r->scan);
	if (r->flow.tainted && r->scan.http.phase < HTTP_OPAQUE) {
		error = requests_doubt(ctx, r, listener, at, left);
		if (error)
			return error;
	}
	requests_turn(r, frame);
	r->read_seq = r->flow.next_seq;
	requests_advance(r, frame, r->flow.next_seq);
	return 0;
}

/* Nothing proves the segment: each head in it, and at least one, is charged to the source. */
static __always_inline __u32 requests_unproven(struct xdp_md *ctx, struct segment *r,
					       struct tps_listener *listener, struct frame *frame,
					       const __u64 *secret)
{
	__u32 error;

	http_lose(&r->lost, HTTP_VOID);
	http_begin(&r->scan, &r->lost, secret, 0);
	error = requests_parse(ctx, &r->scan, listener, frame->payload_at, frame->payload_bytes);
	if (!r->scan.charges || error)
		requests_add(&r->scan, 1, TPS_REASON_VOID);
	return 0;
}

/* Reads a segment once more from the state in which it was read first. Is it the same to the host?
 */
static __always_inline int requests_again(struct xdp_md *ctx, struct segment *r,
					  struct tps_listener *listener, const struct frame *frame,
					  const __u64 *secret)
{
	__u64 *state = (__u64 *)&r->lost;

	for (int i = 0; i < 4; i++)
		state[i] = r->flow.again[i];
	http_begin(&r->scan, &r->lost, secret, 0);
	return !requests_parse(ctx, &r->scan, listener, frame->payload_at, frame->payload_bytes) &&
	       requests_same(r, frame);
}

/* The next body bytes of a flow in order: what most segments of an upload are. */
static __always_inline int requests_more_body(struct tps_flow *flow, const struct frame *frame)
{
	__u32 end = frame->seq + frame->payload_bytes;

	if (flow->tainted || !http_skip(&flow->http, frame->payload_bytes))
		return 0;
	flow->next_seq = end;
	if (flow_before(flow->high_seq, end))
		flow->high_seq = end;
	return 1;
}

/* Is this the byte that the parser wants next, with the ack that was proven last? A head behind a
 * body is proven anew, so that open_seq says whether the host has read the body's framing. */
static __always_inline int requests_expected(const struct tps_flow *flow, const struct frame *frame)
{
	if (!flow || frame->seq != flow->next_seq || frame->ack != flow->proven_ack ||
	    flow->http.phase >= HTTP_HTTP2 || flow->syn_seen || flow->tainted)
		return 0;
	return flow->framed_seq == flow->next_seq ||
	       (requests_in_body(&flow->http) && frame->payload_bytes <= flow->http.body_bytes &&
		frame->seq - flow->framed_seq < REQUESTS_FRAMED_BEHIND);
}

/* The entry as the working copy; the carry only where there is one. */
static __always_inline void requests_copy(struct tps_flow *to, const struct tps_flow *from)
{
	dual_memcpy(to, from, __builtin_offsetof(struct tps_flow, http) + HTTP_STATE_BYTES);
	if (from->http.carry_bytes)
		dual_memcpy(to->http.carry, from->http.carry, TPS_CARRY_BYTES);
}

/*
 * A segment with payload to listener @number; returns the XDP
 * action. Until the charges are settled, nothing outside the scratch has changed.
 */
static __always_inline int requests_gate(struct xdp_md *ctx, struct frame *frame, __u32 number)
{
	__u32 zero = 0, reason, extra = 0, may_resync = 0, acks, excused;
	enum requests_place place = REQUESTS_READ;
	struct flow_peer *peer;
	struct take take = {};
	struct tps_control *settings;
	struct tps_listener *listener;
	struct tps_flow *flow;
	struct segment *r;

	if (!frame)
		return XDP_PASS;
	take.number = number;
	take.of = count_totals(number);
	settings = bpf_map_lookup_elem(&control, &zero);
	listener = bpf_map_lookup_elem(&listeners, &number);
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!settings || !listener || !r)
		return count_pass(take.of, TPS_REASON_NO_SCRATCH);
	take.settings = settings;
	take.listener = listener;
	r->listener = number;
	r->proven = 1;
	r->follows = 0;
	peer = &r->peer;
	peer->untouched = 0;
	peer->state = 0;
	if (frame->flags & FRAME_URG)
		return take_order(&take, TPS_REASON_URGENT);
	flow = bpf_map_lookup_elem(&flows, &frame->flow);
	if (flow && flow->protocol != TPS_PROTOCOL_HTTP)
		flow = NULL; /* the listener's protocol has changed */
	if (flow)
		r->follows = frame->seq == flow->next_seq;
	if (requests_expected(flow, frame)) {
		if (requests_more_body(flow, frame))
			return count_pass(take.of, TPS_REASON_BODY);
		requests_copy(&r->flow, flow);
	} else {
		reason = flow_prove(ctx, listener, frame, flow, peer);
		if (reason) {
			count_note(take.of, reason);
			/* the host takes it all the same if its window moves before it sees it;
			 * nobody who follows the connection sends it */
			if (flow && reason == TPS_REASON_OUTSIDE_WINDOW)
				return take_order(&take, reason);
			r->proven = 0;
			requests_unproven(ctx, r, listener, frame, settings->secret);
			reason = settle(frame, r, take.of, take_observes(&take));
			return take_finish(&take, reason);
		}
		excused = take_observes(&take);
		if (flow) {
			requests_copy(&r->flow, flow);
			excused |= flow->epoch != (__u16)settings->epoch;
		}
		place = requests_locate(&r->flow, flow != NULL, excused, frame, peer, &extra);
		may_resync = requests_may_resync(&r->flow, flow != NULL, frame, peer);
	}
	if (place == REQUESTS_PASS)
		return count_pass(take.of, TPS_REASON_RESENT);
	if (place == REQUESTS_DROP)
		return take_order(&take, TPS_REASON_OUT_OF_ORDER);
	r->flow.epoch = settings->epoch;
	acks = peer->untouched || listener->placement == TPS_PLACEMENT_LOCAL;
	if (place == REQUESTS_KEEP) {
		http_begin(&r->scan, &r->flow.http, settings->secret, 0);
		requests_save(frame, r, flow, take.of, acks);
		return count_pass(take.of, r->flow.http.phase == HTTP_JOINED ? TPS_REASON_JOINED
									     : TPS_REASON_BODY);
	}
	if (place == REQUESTS_AGAIN) {
		if (requests_again(ctx, r, listener, frame, settings->secret)) {
			if (!r->scan.charges)
				return count_pass(take.of, TPS_REASON_RESENT);
			reason = settle(frame, r, take.of, take_observes(&take));
			return take_finish(&take, reason);
		}
		requests_reread(&r->flow, frame, &extra);
	}
	reason = requests_read(ctx, r, listener, frame, settings->secret, may_resync, extra);
	if (reason) {
		count_note(take.of, reason);
		return XDP_PASS;
	}
	if (!r->scan.charges) {
		requests_save(frame, r, flow, take.of, acks);
		return count_pass(take.of, r->scan.http.phase == HTTP_HTTP2
						   ? TPS_REASON_SAME_TURN
						   : http_idle_reason(&r->scan));
	}
	reason = settle(frame, r, take.of, take_observes(&take));
	if (take_refuses(&take, reason)) {
		if (listener->refusal != TPS_REFUSAL_DROP)
			deny_tell(r, reason);
		return deny(r) ? settle_refuse(ctx, r, reason) : count_drop(take.of, reason);
	}
	requests_save(frame, r, flow, take.of, acks);
	return count_pass(take.of, reason);
}

#endif
