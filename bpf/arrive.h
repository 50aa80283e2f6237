/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client's segment to a server port with spliced connections, before anything else is asked of
 * it: turned to the server's count, answered once more, or taken for the server whose connection an
 * answer ended. respond.h has the way out.
 */
#ifndef TPS_BPF_ARRIVE_H
#define TPS_BPF_ARRIVE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "count.h"
#include "flow.h"
#include "identify.h"
#include "maps.h"
#include "reply.h"
#include "respond.h"
#include "splice.h"
#include "translate.h"

/*
 * The client's segment is acked in the server's stead, whose connection is gone: what it still
 * sends was refused with the request, and its FIN is the end. A global function: verified once.
 */
__noinline int arrive_ack(struct xdp_md *ctx, struct frame *frame, __u32 seq)
{
	__u32 zero = 0, window = 0;
	struct respond *r;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r || !frame || !reply_read(ctx, frame, &r->tcp, &window))
		return XDP_DROP;
	r->tcp.seq = seq;
	r->tcp.ack = frame->seq + frame->payload_bytes + (frame->flags & FRAME_FIN ? 1 : 0);
	r->tcp.window_be = 0xffff;
	return reply(ctx, frame, r, 0, FRAME_ACK) ? XDP_DROP : XDP_TX;
}

/* The client's segment to a connection that an answer ended. Returns the XDP action. */
static __always_inline int arrive_ended(struct xdp_md *ctx, struct frame *frame,
					struct tps_splice *splice, const struct splice_count *n)
{
	struct tps_totals *of = count_totals(splice->listener);
	int ended = splice_ended(n, frame->seq, frame->ack);

	/* the client's end of it, whatever of the answer it has (RFC 5961 3.2) */
	if (frame->flags & FRAME_RST && frame->seq == n->asked_seq + n->swallowed) {
		__u32 closed = splice->state == TPS_SPLICE_CLOSED;

		translate_forget(&frame->flow);
		if (!closed || reply_shrink(ctx, frame, n->asked_seq, 0, FRAME_RST))
			return count_drop(of, TPS_REASON_ENDED);
		return count_pass(of, TPS_REASON_ENDED);
	}
	if (splice->state == TPS_SPLICE_CLOSED && ended) {
		/* the server's socket goes: a RST at the very byte it waits for (RFC 5961 3.2) */
		if (reply_shrink(ctx, frame, n->asked_seq, 0, FRAME_RST))
			return count_drop(of, TPS_REASON_NO_SPLICE);
		splice->state = TPS_SPLICE_RESET;
		return count_pass(of, TPS_REASON_ENDED);
	}
	if (splice->state != TPS_SPLICE_RESET || !ended || reply_loses_tag(frame, splice->tagged) ||
	    !(frame->payload_bytes || frame->flags & FRAME_FIN) || frame->flags & FRAME_RST ||
	    arrive_ack(ctx, frame, n->edge_seq + n->injected) != XDP_TX)
		return count_drop(of, TPS_REASON_ENDED);
	if (frame->flags & FRAME_FIN)
		translate_forget(&frame->flow);
	return count_tx(of, TPS_REASON_ENDED);
}

/* Is this the very byte that the host waits for, so that it believes a RST (RFC 5961 3.2) or a FIN,
 * or is the connection gone? */
static __always_inline int arrive_is_next(struct xdp_md *ctx, const struct frame *frame)
{
	struct bpf_sock *found = flow_find(ctx, frame);
	struct tcp_sock___tps *socket;
	int is_next = 1;

	if (!found)
		return 1;
	socket = (struct tcp_sock___tps *)bpf_skc_to_tcp_sock(found);
	if (socket && found->state != FLOW_LISTEN)
		is_next = socket->rcv_nxt == frame->seq;
	bpf_sk_release(found);
	return is_next;
}

/* The client's side of the end. Once the server's FIN, which acked the client's, is acked in its
 * turn, neither has anything to send again. Not 0: so it is. */
static __always_inline int arrive_ends(struct xdp_md *ctx, struct tps_splice *splice,
				       const struct frame *frame)
{
	if (frame->flags & FRAME_FIN && arrive_is_next(ctx, frame)) {
		splice->client_end = frame->seq + frame->payload_bytes + 1;
		splice->ending |= TPS_SPLICE_CLIENT_FIN;
	}
	return splice->ending & TPS_SPLICE_BOTH_FIN && frame->ack == splice->server_end;
}

/*
 * What the entry says, now that a segment of the client's has come. Its ack may be of the latest
 * answer. And an answer that is wanted is wanted no more once bytes of its request come: they may
 * be the same request, which then passes whole, and the server's ACK must not become an answer
 * beside its response. Refused again, it is wanted again.
 */
static __always_inline void arrive_meet(struct tps_splice *splice, const struct frame *frame,
					struct splice_count *ret)
{
	bpf_spin_lock(&splice->lock);
	if (frame->payload_bytes &&
	    splice_before(frame->seq - splice->swallowed, splice->want_seq + splice->want_bytes))
		splice->want = TPS_WANT_NOTHING;
	translate_copy(splice, ret);
	if (frame->flags & FRAME_ACK && splice_settles(ret, frame->seq, frame->ack))
		splice->unacked = 0;
	bpf_spin_unlock(&splice->lock);
}

/*
 * A segment to a server port with spliced connections: turned to the server's count, if it is of
 * one. Returns -1: go on with it; else the XDP action. A global function: verified once.
 */
__noinline int arrive(struct xdp_md *ctx)
{
	enum splice_place place;
	struct tps_splice *splice;
	struct splice_count *n;
	__u32 seq = 0, zero = 0;
	struct frame *frame;
	struct respond *r;

	frame = bpf_map_lookup_elem(&frames, &zero);
	r = bpf_map_lookup_elem(&responses, &zero);
	if (!frame || !r)
		return -1;
	n = &r->count;
	splice = bpf_map_lookup_elem(&spliced, &frame->flow);
	if (!splice || frame->flags & FRAME_SYN)
		return -1;
	splice->used_jiffies = bpf_jiffies64();
	arrive_meet(splice, frame, n);
	frame->swallowed = n->swallowed;
	if (!n->swallowed && !n->injected)
		return -1;
	place = splice_inward(n, frame->seq, frame->payload_bytes, frame->ack, &seq);
	if (place == SPLICE_AGAIN && splice->state != TPS_SPLICE_RESET) {
		if (splice_before(frame->ack, n->edge_seq + n->injected_before))
			return count_drop(count_totals(splice->listener), TPS_REASON_UNACKED);
		splice->want = TPS_WANT_AGAIN;
		if (!translate_inward(ctx, n, frame, seq, splice_ack_inward(n, frame->ack)) ||
		    reply_shrink(ctx, frame, n->asked_seq - 1, 1, FRAME_ACK))
			return count_drop(count_totals(splice->listener), TPS_REASON_NO_SPLICE);
		return count_pass(count_totals(splice->listener), TPS_REASON_ANSWERED_AGAIN);
	}
	if (splice->state != TPS_SPLICE_OPEN)
		return arrive_ended(ctx, frame, splice, n);
	frame->unacked = !splice_acked(n, frame->ack);
	/* the server's ack of what follows would ack the request whose answer may be lost */
	if (n->unacked && frame->unacked && (frame->payload_bytes || frame->flags & FRAME_FIN) &&
	    !splice_before(seq, n->asked_seq))
		return count_drop(count_totals(splice->listener), TPS_REASON_UNACKED);
	if (!translate_inward(ctx, n, frame, seq, splice_ack_inward(n, frame->ack)))
		return count_drop(count_totals(splice->listener), TPS_REASON_NO_SPLICE);
	if (arrive_ends(ctx, splice, frame) ||
	    (frame->flags & FRAME_RST && arrive_is_next(ctx, frame)))
		translate_forget(&frame->flow);
	return -1;
}

#endif
