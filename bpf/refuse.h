/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Refusing so that the client learns it, out of the refused packet itself. Of a connection, what
 * was not proven to be its next byte is dropped: nothing is ever sent for it.
 *
 * An answer is given in one of two ways. On a spliced connection whose socket stands still and
 * knows that the client acked all it sent, the packet becomes the answer and goes back at once
 * (XDP_TX). Else the packet goes on as one byte that the server has already: it carries the
 * client's ack, and the ACK that it draws becomes the answer (respond.h). Where the handshake's ACK
 * was lost, it goes on as that. Of a connection that the host does not make before it has data, the
 * answer is the end, and goes back at once.
 */
#ifndef TPS_BPF_REFUSE_H
#define TPS_BPF_REFUSE_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "answer.h"
#include "count.h"
#include "flow.h"
#include "identify.h"
#include "maps.h"
#include "reply.h"
#include "respond.h"
#include "sweep.h"
#include "translate.h"

/* A refused request, as the answer needs it. */
struct refusal {
	struct tps_answer answer;
	__u32 reason;
	__u32 listener;
	__u32 bytes; /* of the segment, all of them the request's */
	__u32 want;  /* enum tps_want */
	__u32 form;  /* refuse()'s: answer.form, as it was asked for */
};

/* The entry in which the answer is wanted: there, or made. */
static __always_inline struct tps_splice *refuse_entry(struct frame *frame)
{
	struct tps_splice *splice = bpf_map_lookup_elem(&spliced, &frame->flow);
	__u32 *port, *source, zero = 0;
	struct respond *r;

	if (splice)
		return splice;
	port = translate_port(frame->flow.destination_port_be);
	source = translate_source(&frame->flow);
	r = bpf_map_lookup_elem(&responses, &zero);
	if (!port || !source || !r || *source >= TPS_SPLICED_PER_SOURCE_MAX)
		return NULL;
	__sync_fetch_and_add(port, 1);
	__sync_fetch_and_add(source, 1);
	if (bpf_map_update_elem(&spliced, &frame->flow, r->none, BPF_NOEXIST)) {
		__sync_fetch_and_add(port, -1);
		__sync_fetch_and_add(source, -1);
		return NULL;
	}
	splice = bpf_map_lookup_elem(&spliced, &frame->flow);
	if (!splice)
		return NULL;
	splice->used_jiffies = bpf_jiffies64();
	sweep_begin();
	return splice;
}

/* False: the segment was turned by counts that are the entry's no more, since a copy of it was
 * answered meanwhile. */
static __always_inline int refuse_want(struct xdp_md *ctx, struct tps_splice *splice,
				       const struct frame *frame, const struct refusal *refusal)
{
	int wanted = 0;

	bpf_spin_lock(&splice->lock);
	if (splice->swallowed == frame->swallowed) {
		splice->want = refusal->want;
		splice->want_seq = frame->seq;
		splice->want_ack = frame->ack;
		splice->want_bytes = refusal->bytes;
		splice->ifindex = ctx->ingress_ifindex;
		splice->listener = refusal->listener;
		splice->reason = refusal->reason;
		dual_memcpy(&splice->answer, &refusal->answer, sizeof(splice->answer));
		wanted = 1;
	}
	bpf_spin_unlock(&splice->lock);
	return wanted;
}

/* The entry's new counts. False: they are not @n any more, or the server has sent more meanwhile,
 * which left by the old ones. */
static __always_inline int refuse_commit(struct xdp_md *ctx, struct tps_splice *splice,
					 const struct splice_count *n, const struct frame *frame,
					 const struct refusal *refusal)
{
	int committed = 0, closes = refusal->answer.closes;

	bpf_spin_lock(&splice->lock);
	if (splice->swallowed == frame->swallowed && splice->swallowed == n->swallowed &&
	    splice->injected == n->injected && (closes || splice->sent_seq == frame->ack)) {
		translate_add(splice, frame->seq, refusal->bytes, frame->ack,
			      refusal->answer.bytes + closes);
		dual_memcpy(&splice->answer, &refusal->answer, sizeof(splice->answer));
		splice->ifindex = ctx->ingress_ifindex;
		splice->listener = refusal->listener;
		splice->reason = refusal->reason;
		if (closes)
			splice->state = TPS_SPLICE_CLOSED;
		committed = 1;
	}
	bpf_spin_unlock(&splice->lock);
	return committed;
}

/* Is it known of the connection, which is open and spliced, that this device leads to its client
 * and has the egress program, and that the server has sent no more than its client knows of? */
static __always_inline int refuse_knows(struct xdp_md *ctx, const struct frame *frame,
					const struct tps_splice *splice)
{
	return splice->swallowed && splice->ifindex == ctx->ingress_ifindex &&
	       splice->sent_seq == frame->ack && !reply_loses_tag(frame, splice->tagged);
}

/*
 * The answer at once: on a connection of which refuse_knows(), or as all of one that the host has
 * not made yet, which ends with it. Returns the XDP action, or -1 when it is not for this segment,
 * which then is as it was.
 */
static __always_inline int refuse_at_once(struct xdp_md *ctx, struct frame *frame,
					  struct refusal *refusal, struct tps_splice *splice)
{
	__u32 zero = 0, window = 0, bytes;
	struct splice_count *n;
	struct respond_tcp *tcp;
	struct respond *r;
	int failed;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r)
		return -1;
	n = &r->count;
	tcp = &r->tcp;
	if (refusal->answer.closes)
		dual_memset(n, 0, sizeof(*n));
	else if (!refuse_knows(ctx, frame, splice))
		return -1;
	if (!reply_read(ctx, frame, tcp, &window))
		return -1;
	bytes = respond_text(r, &refusal->answer);
	if (!bytes || (__u64)window << (splice->window_shift & 15) < bytes)
		return -1;
	refusal->answer.bytes = bytes;
	tcp->seq = frame->ack + n->injected;
	tcp->ack = frame->seq + n->swallowed + refusal->bytes;
	tcp->window_be = refusal->answer.closes ? 0xffff : splice->window_be;
	failed = reply(ctx, frame, r, bytes,
		       FRAME_PSH | FRAME_ACK | (refusal->answer.closes ? FRAME_FIN : 0));
	if (failed < 0)
		return -1;
	if (failed)
		return count_drop(count_totals(refusal->listener), TPS_REASON_NO_SPLICE);
	if (!refuse_commit(ctx, splice, n, frame, refusal))
		return count_drop(count_totals(refusal->listener), refusal->reason);
	count_refusal(count_totals(refusal->listener),
		      refusal->answer.closes ? TPS_REFUSAL_CLOSE : TPS_REFUSAL_ANSWER,
		      refusal->reason);
	return count_tx(count_totals(refusal->listener), refusal->reason);
}

/* Is it the first segment of a connection that the host defers? Nothing but new bytes would make
 * its socket. */
static __always_inline int refuse_is_deferred(const struct flow_peer *peer,
					      const struct frame *frame)
{
	return peer->state == FLOW_NEW_SYN_RECV && peer->deferred && peer->received == frame->seq &&
	       frame->flags & FRAME_ACK;
}

/* The host's request for a connection is freed; the client's next segment meets a closed port. */
static __always_inline int refuse_request(struct xdp_md *ctx, struct frame *frame,
					  const struct refusal *refusal)
{
	struct tps_totals *of = count_totals(refusal->listener);

	if (reply_shrink(ctx, frame, frame->seq, 0, FRAME_RST))
		return count_drop(of, TPS_REASON_NO_SPLICE);
	count_refusal(of, TPS_REFUSAL_RESET, refusal->reason);
	return count_pass(of, refusal->reason);
}

/*
 * Is the handshake's last ACK lost, as far as can be told? As a rule it comes in one batch with the
 * request and has made the socket before the host reads what is left of that. But a request that
 * comes again finds it still missing; and behind a SYN cookie nothing is sent again but requests.
 */
static __always_inline int refuse_opens(const struct tps_splice *splice,
					const struct flow_peer *peer, const struct frame *frame)
{
	return peer->state == FLOW_LISTEN ||
	       (peer->state == FLOW_NEW_SYN_RECV && splice->want_seq == frame->seq);
}

/* Refuses the segment with an answer. @peer is what proved it, if that was asked anew. Returns the
 * XDP action, or -1 when it cannot be and the packet is as it was. @frame is of the map: 6.1 takes
 * no argument's memory for a key ("R2 type=mem expected=fp"). */
static __always_inline int refuse(struct xdp_md *ctx, struct frame *frame, struct flow_peer *peer,
				  struct refusal *refusal)
{
	struct tps_splice *splice;
	struct tps_totals *of;
	enum flow_stand stand;
	int opens;

	if (frame->unacked || (!peer->state && flow_read_host(ctx, frame, peer)))
		return -1;
	stand = flow_stand(peer, frame);
	if (stand == FLOW_ELSEWHERE)
		return -1;
	of = count_totals(refusal->listener);
	refusal->form = refusal->answer.form;
	peer->deferred = refuse_is_deferred(peer, frame);
	if (peer->deferred) {
		if (refusal->want == TPS_WANT_RESET)
			return refuse_request(ctx, frame, refusal);
		if (reply_loses_tag(frame, reply_is_tagged(ctx->ingress_ifindex)))
			return -1;
		refusal->want = TPS_WANT_CLOSE;
		refusal->answer.closes = 1;
	}
	splice = refuse_entry(frame);
	if (!splice || splice->state != TPS_SPLICE_OPEN)
		return -1;
	if (peer->deferred || (stand == FLOW_SETTLED && refusal->want == TPS_WANT_ANSWER)) {
		if (peer->deferred)
			splice->window_shift = peer->window_shift;
		for (int tries = 0; tries < 2; tries++) {
			int action = refuse_at_once(ctx, frame, refusal, splice);

			if (action >= 0)
				return action;
			if (refusal->form == TPS_FORM_BODY)
				refusal->answer.form = TPS_FORM_HEAD; /* it may have room */
		}
		if (peer->deferred) {
			translate_forget(&frame->flow);
			return -1;
		}
		refusal->answer.form = refusal->form;
	}
	opens = refuse_opens(splice, peer, frame);
	if (!refuse_want(ctx, splice, frame, refusal))
		return -1;
	/* not the byte before the request: that one may never come, as it was. A connection request
	 * takes no ack from a byte that is outside its window (Linux: tcp_check_req()): it gets the
	 * bare ACK that it waits for, and the request when it comes next finds a socket. */
	if (reply_shrink(ctx, frame, peer->received - !opens, !opens, FRAME_ACK))
		return count_drop(of, TPS_REASON_NO_SPLICE);
	return count_pass(of, refusal->reason);
}

/*
 * A connection attempt to listener @number that is refused for @reason: the RST that a closed port
 * would send (RFC 9293 3.10.7.1), no larger than the SYN. Returns the XDP action. A global
 * function: verified once.
 */
__noinline int refuse_syn(struct xdp_md *ctx, __u32 number, __u32 reason)
{
	struct tps_totals *of = count_totals(number);
	struct frame *frame;
	struct respond *r;
	__u32 zero = 0;

	frame = bpf_map_lookup_elem(&frames, &zero);
	r = bpf_map_lookup_elem(&responses, &zero);
	if (!frame || !r)
		return count_drop(of, reason);
	r->tcp.seq = 0;
	r->tcp.ack = frame->seq + frame->payload_bytes + 1;
	r->tcp.window_be = 0;
	r->tcp.words = FRAME_TCP_BYTES / 4;
	if (reply(ctx, frame, r, 0, FRAME_RST | FRAME_ACK))
		return count_drop(of, reason);
	count_refusal(of, TPS_REFUSAL_RESET, reason);
	return count_tx(of, reason);
}

#endif
