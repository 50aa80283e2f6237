/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client's segment made into another one: the server's reply, which goes back, or less than it
 * was, which goes on. Knows headers and sums, not when they are due.
 */
#ifndef TPS_BPF_REPLY_H
#define TPS_BPF_REPLY_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "answer.h"
#include "maps.h"
#include "respond.h"
#include "translate.h"

/* ---- less of it, onward */

/* The checksum of @bytes from the transport header on, whose first @header are summed (the rest is
 * zero), and of the pseudo header. */
static __always_inline __u32 reply_sum(struct xdp_md *ctx, const struct frame *frame, __u32 header,
				       __u32 bytes)
{
	__u32 sum = dual_swap16(FRAME_PROTO_TCP) + dual_swap16(bytes);

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

static __always_inline void reply_ip_length(__u8 *ip, int family, __u32 bytes)
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

/* The segment becomes one at @seq with @flags and @keep bytes, 0 or 1, which are zero. Not 0: it
 * could not be, and may be half written. A global function: verified once. */
__noinline int reply_shrink(struct xdp_md *ctx, struct frame *frame, __u32 seq, __u32 keep,
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
	reply_ip_length(ip, frame->family,
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
	*(__u16 *)(tcp + 16) = reply_sum(ctx, frame, header, header + keep);
	return 0;
}

/* ---- the reply, back */

/* Would a reply leave without the VLAN tag that the device took off the frame? */
static __always_inline int reply_loses_tag(const struct frame *frame, int tagged)
{
	return tagged && frame->ip_at == FRAME_ETHERNET_BYTES;
}

/* Does the device put in the tags of what leaves, so that it takes off those of what arrives? Of
 * another whose number is the same in the last six bits it is said as well. */
static __always_inline int reply_is_tagged(__u32 ifindex)
{
	__u32 zero = 0;
	struct tps_splicing *of = bpf_map_lookup_elem(&splicing, &zero);

	return of && of->tagged >> (ifindex & 63) & 1;
}

/* Ethernet and its tags, the other way round. */
static __always_inline int reply_stations(struct xdp_md *ctx, const struct frame *frame, __u8 *head)
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

static __always_inline __u32 reply_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The IP header at @ip, from the server, for @bytes behind it. Returns its length; @ret_sum is the
 * addresses' part of TCP's pseudo header. */
static __always_inline __u32 reply_ip(__u8 *ip, const struct frame *frame, __u32 bytes,
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
		*(__u16 *)(ip + 10) = reply_fold(sum + *ret_sum);
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
static __always_inline __u32 reply_tcp(__u8 *tcp, const struct frame *frame,
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
	*(__u16 *)(tcp + 16) = reply_fold(sum);
	return t->words * 4;
}

/* What the client's header says that its answer's needs. False: it is not laid out so. */
static __always_inline int reply_read(struct xdp_md *ctx, const struct frame *frame,
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
static __always_inline int reply_replace(struct xdp_md *ctx, struct respond *r, __u32 head,
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

/*
 * The segment becomes a reply of the server's: @r->tcp with @flags, and @bytes of @r->text behind
 * it. Not 0: it could not be; below 0, and it is as it was.
 */
static __always_inline int reply(struct xdp_md *ctx, const struct frame *frame, struct respond *r,
				 __u32 bytes, __u32 flags)
{
	__u32 segment = 4 * r->tcp.words + bytes, head = frame->ip_at & 63;
	__u64 sum = 0;

	if (!reply_stations(ctx, frame, r->head))
		return -1;
	head += reply_ip(r->head + head, frame, segment, &sum);
	sum += dual_swap16(FRAME_PROTO_TCP) + dual_swap16(segment);
	if (bytes)
		sum += r->text_sum;
	head += reply_tcp(r->head + (head & 127), frame, &r->tcp, sum, flags);
	return reply_replace(ctx, r, head, bytes);
}

#endif
