/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Refusing so that the client learns it, out of the refused packet itself. What was not proven to
 * be the next byte of an open connection of this host's is dropped: nothing is ever sent for it.
 *
 * An answer is given in one of two ways. On a spliced connection whose socket stands still and
 * knows that the client acked all it sent, the packet becomes the answer and goes back at once
 * (XDP_TX). Else the packet goes on as one byte that the server has already: it carries the
 * client's ack, and the ACK that it draws becomes the answer (respond.h).
 */
#ifndef TPS_BPF_REFUSE_H
#define TPS_BPF_REFUSE_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>

#include "answer.h"
#include "count.h"
#include "flow.h"
#include "frame.h"
#include "identify.h"
#include "maps.h"
#include "respond.h"
#include "translate.h"

/* A refused request, as the answer needs it. */
struct refusal {
	struct tps_answer answer;
	__u32 reason;
	__u32 listener;
	__u32 bytes; /* of the segment, all of them the request's */
	__u8 want;   /* enum tps_want */
	__u8 is_head;
};

/* What the headers that were not written by us sum up to, from the transport header to @bytes
 * behind it, and the pseudo header. */
static __always_inline __u32 refuse_sum(struct xdp_md *ctx, const struct frame *frame, __u32 header,
					__u32 bytes)
{
	__u32 sum = dual_swap16(6) + dual_swap16(bytes);

	for (__u32 i = 0; i < 4; i++) {
		sum += (frame->flow.source_be[i] & 0xffff) + (frame->flow.source_be[i] >> 16);
		sum += (frame->flow.destination_be[i] & 0xffff) +
		       (frame->flow.destination_be[i] >> 16);
	}
	if (frame->family == 4) /* ::ffff: of both addresses is no part of it */
		sum -= 2 * 0xffff;
	for (__u32 i = 0; i < 30; i++) {
		const __u8 *data = (const __u8 *)(long)ctx->data;
		const __u8 *end = (const __u8 *)(long)ctx->data_end;
		const __u8 *at = data + ((frame->transport_at + 2 * i) & 0x7fff);

		if (2 * i >= header || at + 2 > end)
			break;
		sum += dual_load16(at);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static __always_inline void refuse_ip_length(__u8 *ip, int family, __u32 bytes)
{
	__u16 old, new = dual_swap16(bytes);

	if (family == 4) {
		old = dual_load16(ip + 2);
		*(__u16 *)(ip + 2) = new;
		*(__u16 *)(ip + 10) = translate_sum(dual_load16(ip + 10), old, new);
	} else {
		*(__u16 *)(ip + 4) = new;
	}
}

/*
 * The segment becomes one byte before @seq, with @flags: a byte that the server has already. Not 0:
 * it could not be, and may be half written.
 */
__noinline int refuse_shrink(struct xdp_md *ctx, struct frame *frame, __u32 seq, __u32 keep,
			     __u32 flags)
{
	__u32 header, ip_bytes, total = bpf_xdp_get_buff_len(ctx);
	__u8 *data, *end, *ip, *tcp;

	if (!frame)
		return -1;
	keep &= 1;
	header = frame->payload_at - frame->transport_at;
	if (bpf_xdp_adjust_tail(ctx, (int)(frame->payload_at + keep) - (int)total))
		return -1;
	data = (__u8 *)(long)ctx->data;
	end = (__u8 *)(long)ctx->data_end;
	ip = data + (frame->ip_at & 0xff);
	tcp = data + (frame->transport_at & 0x7fff);
	if (ip + FRAME_IPV6_BYTES > end || tcp + FRAME_TCP_BYTES > end)
		return -1;
	ip_bytes = frame->payload_at + keep - frame->ip_at;
	refuse_ip_length(ip, frame->family,
			 frame->family == 4 ? ip_bytes : ip_bytes - FRAME_IPV6_BYTES);
	*(__u32 *)(tcp + 4) = dual_swap32(seq);
	tcp[13] = flags;
	*(__u16 *)(tcp + 16) = 0;
	if (keep) {
		__u8 *byte = data + (frame->payload_at & 0x7fff);

		if (byte + 1 > end)
			return -1;
		*byte = 0;
	}
	*(__u16 *)(tcp + 16) = refuse_sum(ctx, frame, header, header + keep);
	return 0;
}

#define REFUSE_CLOCK_MONOTONIC 1 /* linux/time.h */

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
	/* -ENOMEM comes and goes (Linux 6.18): such an entry ends with its connection alone */
	bpf_timer_init(&splice->timer, &spliced, REFUSE_CLOCK_MONOTONIC);
	bpf_timer_set_callback(&splice->timer, translate_look);
	bpf_timer_start(&splice->timer, TRANSLATE_LOOK_NS, 0);
	return splice;
}

static __always_inline void refuse_want(struct xdp_md *ctx, struct tps_splice *splice,
					const struct frame *frame, const struct refusal *refusal)
{
	bpf_spin_lock(&splice->lock);
	splice->want = refusal->want;
	splice->want_seq = frame->seq;
	splice->want_ack = frame->ack;
	splice->want_bytes = refusal->bytes;
	splice->ifindex = ctx->ingress_ifindex;
	splice->listener = refusal->listener;
	splice->reason = refusal->reason;
	dual_memcpy(&splice->answer, &refusal->answer, sizeof(splice->answer));
	bpf_spin_unlock(&splice->lock);
}

#define REFUSE_STATIONS_MAX (FRAME_ETHERNET_BYTES + TPS_VLAN_TAGS_MAX * FRAME_TAG_BYTES)

/* Ethernet and its tags, the other way round. */
static __always_inline int refuse_stations(struct xdp_md *ctx, const struct frame *frame,
					   __u8 *head)
{
	__u32 bytes = frame->ip_at;
	__u16 first, second;

	dual_opaque(bytes);
	bytes = ((bytes - 1) & 63) + 1;
	if (bytes < FRAME_ETHERNET_BYTES || bpf_xdp_load_bytes(ctx, 0, head, bytes))
		return 0;
	for (__u32 i = 0; i < 6; i += 2) {
		first = dual_load16(head + i);
		second = dual_load16(head + 6 + i);
		*(__u16 *)(head + i) = second;
		*(__u16 *)(head + 6 + i) = first;
	}
	return 1;
}

static __always_inline __u32 refuse_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The IP header at @ip, from the server, for @bytes behind it. Returns its length; @ret_sum is the
 * addresses' part of TCP's pseudo header. */
static __always_inline __u32 refuse_ip(__u8 *ip, const struct frame *frame, __u32 bytes,
				       __u64 *ret_sum)
{
	const __u32 *from = frame->flow.destination_be, *to = frame->flow.source_be;
	__u64 sum;

	if (frame->family == 4) {
		*(__u32 *)ip = dual_swap32(0x45000000 | (FRAME_IPV4_BYTES + bytes));
		*(__u32 *)(ip + 4) = dual_swap32(0x00004000);
		*(__u32 *)(ip + 8) = dual_swap32(0x40060000);
		*(__u32 *)(ip + 12) = from[3];
		*(__u32 *)(ip + 16) = to[3];
		sum = (__u64)dual_load32(ip) + dual_load32(ip + 4) + dual_load32(ip + 8);
		*ret_sum = (__u64)from[3] + to[3];
		*(__u16 *)(ip + 10) = refuse_fold(sum + *ret_sum);
		return FRAME_IPV4_BYTES;
	}
	*(__u32 *)ip = dual_swap32(0x60000000);
	*(__u32 *)(ip + 4) = dual_swap32(bytes << 16 | 0x0640);
	sum = 0;
	for (int i = 0; i < 4; i++) {
		*(__u32 *)(ip + 8 + 4 * i) = from[i];
		*(__u32 *)(ip + 24 + 4 * i) = to[i];
		sum += (__u64)from[i] + to[i];
	}
	*ret_sum = sum;
	return FRAME_IPV6_BYTES;
}

/* The TCP header at @at of the head; @sum is that of the rest. Returns its length. */
static __always_inline __u32 refuse_tcp(__u8 *tcp, const struct frame *frame,
					const struct respond_tcp *t, __u64 sum, __u32 flags)
{
	*(__u16 *)tcp = frame->flow.destination_port_be;
	*(__u16 *)(tcp + 2) = frame->flow.source_port_be;
	*(__u32 *)(tcp + 4) = dual_swap32(t->seq);
	*(__u32 *)(tcp + 8) = dual_swap32(t->ack);
	*(__u16 *)(tcp + 12) = dual_swap16(t->words << 12 | flags);
	*(__u16 *)(tcp + 14) = t->window_be;
	*(__u32 *)(tcp + 16) = 0;
	*(__u32 *)(tcp + 20) = TRANSLATE_TIMES_ALONE;
	*(__u32 *)(tcp + 24) = t->times_be[0];
	*(__u32 *)(tcp + 28) = t->times_be[1];
	for (__u32 i = 0; i < 20; i += 4)
		sum += dual_load32(tcp + i);
	if (t->words > 5)
		sum += (__u64)TRANSLATE_TIMES_ALONE + t->times_be[0] + t->times_be[1];
	*(__u16 *)(tcp + 16) = refuse_fold(sum);
	return t->words * 4;
}

/* What the client's header says that its answer's needs. False: it is not laid out so. */
static __always_inline int refuse_read(struct xdp_md *ctx, const struct frame *frame,
				       struct respond_tcp *ret, __u32 *ret_window)
{
	const __u8 *data = (const __u8 *)(long)ctx->data, *end = (const __u8 *)(long)ctx->data_end;
	const struct tcphdr *tcp = (const void *)(data + (frame->transport_at & 0x7fff));
	const __u8 *options = (const __u8 *)(tcp + 1);

	if (options > end || !translate_plain(tcp, end))
		return 0;
	ret->words = tcp->doff;
	*ret_window = dual_swap16(tcp->window);
	ret->times_be[0] = 0;
	ret->times_be[1] = 0;
	if (ret->words == 5)
		return 1;
	if (options + 12 > end)
		return 0;
	ret->times_be[0] = dual_load32(options + 8); /* its echo is our clock */
	ret->times_be[1] = dual_load32(options + 4);
	return 1;
}

/* The segment is replaced by @r->head and @r->text. Not 0: it could not be; below 0, and it is as
 * it was. */
static __always_inline int refuse_replace(struct xdp_md *ctx, struct respond *r, __u32 head,
					  __u32 bytes)
{
	__u32 there = ctx->data_end - ctx->data;

	if (bpf_xdp_get_buff_len(ctx) != there ||
	    bpf_xdp_adjust_head(ctx, (int)there - (int)(head + bytes)))
		return -1;
	dual_opaque(head);
	head = ((head - 1) & 127) + 1;
	if (bpf_xdp_store_bytes(ctx, 0, r->head, head))
		return 1;
	if (!bytes)
		return 0;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & (ANSWER_BYTES_MAX - 1)) + 1;
	return bpf_xdp_store_bytes(ctx, head, r->text.bytes, bytes) != 0;
}

/* The entry's new counts. False: they are not @n any more, or the server has sent more meanwhile,
 * which left by the old ones. */
static __always_inline int refuse_commit(struct tps_splice *splice, const struct splice_count *n,
					 const struct frame *frame, const struct tps_answer *answer,
					 __u32 swallowed)
{
	int committed = 0;

	bpf_spin_lock(&splice->lock);
	if (splice->swallowed == n->swallowed && splice->injected == n->injected &&
	    splice->sent_seq == frame->ack) {
		splice->swallowed_before = splice->swallowed;
		splice->injected_before = splice->injected;
		splice->unacked = 1;
		splice->swallowed += swallowed;
		splice->injected += answer->bytes;
		splice->asked_seq = frame->seq;
		splice->edge_seq = frame->ack;
		splice->want = TPS_WANT_NOTHING;
		dual_memcpy(&splice->answer, answer, sizeof(*answer));
		committed = 1;
	}
	bpf_spin_unlock(&splice->lock);
	return committed;
}

/*
 * The answer at once, on a connection that is spliced already, so that this device is known to lead
 * to the client and the egress program to be there. Returns the XDP action, or -1 when it is not
 * for this segment, which then is as it was.
 */
static __always_inline int refuse_at_once(struct xdp_md *ctx, struct frame *frame,
					  struct refusal *refusal, struct tps_splice *splice)
{
	struct splice_count *n;
	struct respond_tcp *tcp;
	struct respond *r;
	__u32 zero = 0, window = 0, head, bytes;
	__u64 sum = 0;
	int failed;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r || !splice->swallowed || splice->ifindex != ctx->ingress_ifindex ||
	    splice->sent_seq != frame->ack)
		return -1;
	if (splice->tagged &&
	    frame->ip_at == FRAME_ETHERNET_BYTES) /* the device took its tag off */
		return -1;
	n = &r->count;
	tcp = &r->tcp;
	if (!refuse_read(ctx, frame, tcp, &window) || !refuse_stations(ctx, frame, r->head))
		return -1;
	bytes = answer_write(&r->text, &refusal->answer);
	if (bytes > ANSWER_BYTES_MAX || (__u64)window << (splice->window_shift & 15) < bytes)
		return -1;
	refusal->answer.bytes = bytes;
	translate_read(splice, n);
	tcp->seq = frame->ack + n->injected;
	tcp->ack = frame->seq + n->swallowed + refusal->bytes;
	tcp->window_be = splice->window_be;
	head = frame->ip_at & 63;
	head += refuse_ip(r->head + head, frame, 4 * tcp->words + bytes, &sum);
	sum += dual_swap16(6) + dual_swap16(4 * tcp->words + bytes);
	sum += (__u32)respond_sum(&r->text, bytes);
	head += refuse_tcp(r->head + (head & 127), frame, tcp, sum, FRAME_PSH | FRAME_ACK);
	failed = refuse_replace(ctx, r, head, bytes);
	if (failed < 0)
		return -1;
	if (failed)
		return count_drop(count_totals(refusal->listener), TPS_REASON_NO_SPLICE);
	if (!refuse_commit(splice, n, frame, &refusal->answer, refusal->bytes))
		return count_drop(count_totals(refusal->listener), refusal->reason);
	count_refusal(count_totals(refusal->listener), TPS_REFUSAL_ANSWER, refusal->reason);
	return count_tx(count_totals(refusal->listener), refusal->reason);
}

/* Refuses the segment with an answer. Returns the XDP action, or -1 when it cannot be and the
 * packet is as it was. @frame is of the map: 6.1 takes no argument's memory for a key ("R2 type=mem
 * expected=fp"). */
static __always_inline int refuse(struct xdp_md *ctx, struct frame *frame, struct refusal *refusal)
{
	struct tps_splice *splice;
	struct tps_totals *of;
	enum flow_stand stand;
	__u32 received = 0;

	if (frame->unacked)
		return -1;
	stand = flow_stand(ctx, frame, &received);
	if (stand == FLOW_ELSEWHERE)
		return -1;
	splice = refuse_entry(frame);
	if (!splice || splice->state != TPS_SPLICE_OPEN)
		return -1;
	of = count_totals(refusal->listener);
	if (stand == FLOW_SETTLED && refusal->want == TPS_WANT_ANSWER) {
		__u8 has_body = refusal->answer.has_body;

		for (int tries = 0; tries < 2; tries++) {
			int action = refuse_at_once(ctx, frame, refusal, splice);

			if (action >= 0)
				return action;
			refusal->answer.has_body = 0; /* a short one may have room */
		}
		refusal->answer.has_body = has_body;
	}
	refuse_want(ctx, splice, frame, refusal);
	/* not the byte before the request: that one may never come, as it was */
	if (refuse_shrink(ctx, frame, received - 1, 1, FRAME_ACK))
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
	__u32 zero = 0, head;
	__u64 sum = 0;

	frame = bpf_map_lookup_elem(&frames, &zero);
	r = bpf_map_lookup_elem(&responses, &zero);
	if (!frame || !r || !refuse_stations(ctx, frame, r->head))
		return count_drop(of, reason);
	r->tcp.seq = 0;
	r->tcp.ack = frame->seq + frame->payload_bytes + 1;
	r->tcp.window_be = 0;
	r->tcp.words = FRAME_TCP_BYTES / 4;
	head = frame->ip_at & 63;
	head += refuse_ip(r->head + head, frame, FRAME_TCP_BYTES, &sum);
	sum += dual_swap16(6) + dual_swap16(FRAME_TCP_BYTES);
	head += refuse_tcp(r->head + (head & 127), frame, &r->tcp, sum, FRAME_RST | FRAME_ACK);
	if (refuse_replace(ctx, r, head, 0))
		return count_drop(of, reason);
	count_refusal(of, TPS_REFUSAL_RESET, reason);
	return count_tx(of, reason);
}

/*
 * The client's segment is acked in the server's stead, whose connection is gone: what it still
 * sends was refused with the request, and its FIN is the end. A global function: verified once.
 */
__noinline int refuse_ack(struct xdp_md *ctx, struct frame *frame, __u32 seq)
{
	__u32 zero = 0, window = 0, head, bytes;
	struct respond *r;
	__u64 sum = 0;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r || !frame || !refuse_read(ctx, frame, &r->tcp, &window) ||
	    !refuse_stations(ctx, frame, r->head))
		return XDP_DROP;
	r->tcp.seq = seq;
	r->tcp.ack = frame->seq + frame->payload_bytes + (frame->flags & FRAME_FIN ? 1 : 0);
	r->tcp.window_be = 0xffff;
	bytes = 4 * r->tcp.words;
	head = frame->ip_at & 63;
	head += refuse_ip(r->head + head, frame, bytes, &sum);
	sum += dual_swap16(6) + dual_swap16(bytes);
	head += refuse_tcp(r->head + (head & 127), frame, &r->tcp, sum, FRAME_ACK);
	return refuse_replace(ctx, r, head, 0) ? XDP_DROP : XDP_TX;
}

/* The client's segment to a connection that an answer ended. Returns the XDP action. */
static __always_inline int refuse_ended(struct xdp_md *ctx, struct frame *frame,
					struct tps_splice *splice, const struct splice_count *n)
{
	struct tps_totals *of = count_totals(splice->listener);

	int ended = splice_ended(n, frame->seq, frame->ack);

	if (splice->state == TPS_SPLICE_CLOSED && ended) {
		/* the server's socket goes: a RST at the very byte it waits for (RFC 5961 3.2) */
		if (refuse_shrink(ctx, frame, n->asked_seq, 0, FRAME_RST))
			return count_drop(of, TPS_REASON_NO_SPLICE);
		splice->state = TPS_SPLICE_RESET;
		return count_pass(of, TPS_REASON_ENDED);
	}
	if (splice->state != TPS_SPLICE_RESET || !ended ||
	    !(frame->payload_bytes || frame->flags & FRAME_FIN) || frame->flags & FRAME_RST ||
	    refuse_ack(ctx, frame, n->edge_seq + n->injected) != XDP_TX)
		return count_drop(of, TPS_REASON_ENDED);
	if (frame->flags & FRAME_FIN)
		translate_forget(&frame->flow);
	return count_tx(of, TPS_REASON_ENDED);
}

/* Is this the very byte that the host waits for, so that it believes a RST (RFC 5961 3.2) or a FIN,
 * or is the connection gone? */
static __always_inline int refuse_is_next(struct xdp_md *ctx, const struct frame *frame)
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
static __always_inline int refuse_ends(struct xdp_md *ctx, struct tps_splice *splice,
				       const struct frame *frame)
{
	if (frame->flags & FRAME_FIN && refuse_is_next(ctx, frame)) {
		splice->client_end = frame->seq + frame->payload_bytes + 1;
		splice->ending |= TPS_SPLICE_CLIENT_FIN;
	}
	return splice->ending & TPS_SPLICE_BOTH_FIN && splice->ending & TPS_SPLICE_SERVER_FIN &&
	       frame->ack == splice->server_end;
}

/*
 * What the entry says, now that a segment of the client's has come. Its ack may be of the latest
 * answer. And an answer that is wanted is wanted no more once bytes of its request come: they may
 * be the same request, which then passes whole, and the server's ACK must not become an answer
 * beside its response. Refused again, it is wanted again.
 */
static __always_inline void refuse_meet(struct tps_splice *splice, const struct frame *frame,
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
__noinline int refuse_arriving(struct xdp_md *ctx)
{
	enum splice_place place;
	struct tps_splice *splice;
	struct splice_count n;
	__u32 seq = 0, zero = 0;
	struct frame *frame;

	frame = bpf_map_lookup_elem(&frames, &zero);
	if (!frame)
		return -1;
	splice = bpf_map_lookup_elem(&spliced, &frame->flow);
	if (!splice || frame->flags & FRAME_SYN)
		return -1;
	splice->used_jiffies = bpf_jiffies64();
	refuse_meet(splice, frame, &n);
	if (!n.swallowed && !n.injected)
		return -1;
	place = splice_inward(&n, frame->seq, frame->payload_bytes, frame->ack, &seq);
	if (place == SPLICE_AGAIN && splice->state != TPS_SPLICE_RESET) {
		if (splice_before(frame->ack, n.edge_seq + n.injected_before))
			return count_drop(count_totals(splice->listener), TPS_REASON_UNACKED);
		splice->want = TPS_WANT_AGAIN;
		if (!translate_inward(ctx, &n, frame, seq, splice_ack_inward(&n, frame->ack)) ||
		    refuse_shrink(ctx, frame, n.asked_seq - 1, 1, FRAME_ACK))
			return count_drop(count_totals(splice->listener), TPS_REASON_NO_SPLICE);
		return count_pass(count_totals(splice->listener), TPS_REASON_ANSWERED_AGAIN);
	}
	if (splice->state != TPS_SPLICE_OPEN)
		return refuse_ended(ctx, frame, splice, &n);
	frame->unacked = !splice_acked(&n, frame->ack);
	/* the server's ack of what follows would ack the request whose answer may be lost */
	if (n.unacked && frame->unacked && (frame->payload_bytes || frame->flags & FRAME_FIN) &&
	    !splice_before(seq, n.asked_seq))
		return count_drop(count_totals(splice->listener), TPS_REASON_UNACKED);
	if (!translate_inward(ctx, &n, frame, seq, splice_ack_inward(&n, frame->ack)))
		return count_drop(count_totals(splice->listener), TPS_REASON_NO_SPLICE);
	if (refuse_ends(ctx, splice, frame) ||
	    (frame->flags & FRAME_RST && refuse_is_next(ctx, frame)))
		translate_forget(&frame->flow);
	return -1;
}

#endif
