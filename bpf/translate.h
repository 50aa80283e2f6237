/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rewrites the segments of a spliced connection from one count to the other: the client's on their
 * way in (XDP), the server's on their way out (tc). Knows where the numbers stand in a packet; what
 * becomes of them is splice.h's.
 */
#ifndef TPS_BPF_TRANSLATE_H
#define TPS_BPF_TRANSLATE_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "count.h"
#include "maps.h"
#include "splice.h"

/* TCP options that are walked over; 40 bytes hold no more in use */
#define TRANSLATE_OPTIONS_MAX 12
#define TRANSLATE_BLOCKS_MAX 4 /* of SACK (RFC 2018 3) */
#define TRANSLATE_OPTION_NOP 1
#define TRANSLATE_OPTION_SACK 5

/* Under the entry's lock. */
static __always_inline void translate_copy(const struct tps_splice *splice,
					   struct splice_count *ret)
{
	ret->swallowed = splice->swallowed;
	ret->injected = splice->injected;
	ret->swallowed_before = splice->swallowed_before;
	ret->injected_before = splice->injected_before;
	ret->asked_seq = splice->asked_seq;
	ret->edge_seq = splice->edge_seq;
	ret->unacked = splice->unacked;
}

/* What both directions need of the entry, as it was at one instant. */
static __always_inline void translate_read(struct tps_splice *splice, struct splice_count *ret)
{
	bpf_spin_lock(&splice->lock);
	translate_copy(splice, ret);
	bpf_spin_unlock(&splice->lock);
}

/* One more answer, under the entry's lock: @injected bytes in place of the @swallowed of the
 * request at @asked_seq, where the server has sent all before @edge_seq. */
static __always_inline void translate_add(struct tps_splice *splice, __u32 asked_seq,
					  __u32 swallowed, __u32 edge_seq, __u32 injected)
{
	splice->swallowed_before = splice->swallowed;
	splice->injected_before = splice->injected;
	splice->swallowed += swallowed;
	splice->injected += injected;
	splice->asked_seq = asked_seq;
	splice->edge_seq = edge_seq;
	splice->sent_seq = edge_seq;
	splice->unacked = 1;
	splice->want = TPS_WANT_NOTHING;
}

/* How many entries have this server port. */
static __always_inline __u32 *translate_port(__u16 port_be)
{
	__u32 port = dual_swap16(port_be);

	return bpf_map_lookup_elem(&spliced_ports, &port);
}

static __always_inline __u32 *translate_source(const struct tps_flow_key *key)
{
	__u32 index = tps_spliced_source(key->source_be);

	return bpf_map_lookup_elem(&spliced_sources, &index);
}

static __always_inline void translate_forget(const struct tps_flow_key *key)
{
	__u32 *port = translate_port(key->destination_port_be), *source = translate_source(key);

	if (bpf_map_delete_elem(&spliced, key) || !port || !source)
		return;
	__sync_fetch_and_add(port, -1);
	__sync_fetch_and_add(source, -1);
}

/* The internet checksum's correction for a word that changes (RFC 1624 3, eqn. 3). */
static __always_inline __u16 translate_sum(__u16 check, __u32 from_be, __u32 to_be)
{
	__u64 sum = (__u16)~check;

	sum += (__u16)~from_be + (__u16)(~from_be >> 16);
	sum += (__u16)to_be + (to_be >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* One SACK edge at @at of the packet, inward. */
static __always_inline void translate_edge_inward(struct xdp_md *ctx, const struct splice_count *n,
						  struct frame *frame, __u32 at)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
	__u8 *edge = data + (at & 0x7fff);
	struct tcphdr *tcp = (struct tcphdr *)(data + (frame->transport_at & 0x7fff));
	__u32 old, new;

	if (edge + 4 > end || (__u8 *)(tcp + 1) > end)
		return;
	old = dual_load32(edge);
	new = dual_swap32(splice_ack_inward(n, dual_swap32(old)));
	*(__u32 *)edge = new;
	/* an edge at an odd place counts with its bytes swapped */
	if ((at - frame->transport_at) & 1) {
		old = old << 8 | old >> 24;
		new = new << 8 | new >> 24;
	}
	tcp->check = translate_sum(tcp->check, old, new);
}

/* A TCP header from its 20th byte on, and how far it was walked over. */
struct translate_options {
	__u8 bytes[40];
	__u32 at;
	__u32 zero;
};

/* Where the SACK option's blocks begin, from the options' first byte, and above 8 bits how many
 * there are; 0: it has none. A global function: verified once. */
__noinline int translate_find_sack(struct translate_options *options, __u32 bytes)
{
	__u32 at;

	if (!options)
		return 0;
	options->at = 0;
	for (int i = 0; i < TRANSLATE_OPTIONS_MAX; i++) {
		__u8 kind, length;

		dual_reload(); /* or each round is verified for each way through those before */
		at = options->at;
		if (at >= bytes)
			return 0;
		kind = options->bytes[at & 31];
		length = options->bytes[(at & 31) + 1];
		if (!kind)
			return 0;
		if (kind == TRANSLATE_OPTION_NOP)
			length = 1;
		else if (length < 2 || at + length > bytes)
			return 0;
		if (kind == TRANSLATE_OPTION_SACK)
			return (at + 2) | (length - 2) / 8 << 8;
		options->at = at + length;
	}
	return 0;
}

/* The timestamps option alone, as Linux and most others lay it out (RFC 7323 appendix A). */
#define TRANSLATE_TIMES_ALONE bpf_htonl(0x0101080a)
static __always_inline int translate_plain(const struct tcphdr *tcp, const void *end)
{
	const __u32 *options = (const __u32 *)(tcp + 1);

	if (tcp->doff == 5)
		return 1;
	return tcp->doff == 8 && (const void *)(options + 1) <= end &&
	       *options == TRANSLATE_TIMES_ALONE;
}

/* The client's SACK blocks, which are about what the server sent. A global function: verified once.
 */
__noinline int translate_sack_inward(struct xdp_md *ctx, const struct splice_count *n,
				     struct frame *frame)
{
	struct translate_options options = {};
	__u32 at, bytes, blocks, sack;

	if (!n || !frame)
		return 0;
	at = frame->transport_at + FRAME_TCP_BYTES;
	bytes = frame->payload_at - at;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & 63) + 1;
	if (bytes > 40 || bpf_xdp_load_bytes(ctx, at, options.bytes, bytes))
		return 0;
	sack = translate_find_sack(&options, bytes);
	dual_opaque(sack); /* one unknown, however the walk ended */
	blocks = sack >> 8;
	sack &= 63;
	for (__u32 i = 0; i < TRANSLATE_BLOCKS_MAX && i < blocks; i++) {
		translate_edge_inward(ctx, n, frame, at + sack + 8 * i);
		translate_edge_inward(ctx, n, frame, at + sack + 8 * i + 4);
	}
	return 0;
}

/*
 * Writes @seq and @ack into a segment of the client's, and turns its SACK blocks. False: it could
 * not be. Incremental sums: a checksum that was right stays right, one that was wrong stays wrong.
 */
static __always_inline int translate_inward(struct xdp_md *ctx, const struct splice_count *n,
					    struct frame *frame, __u32 seq, __u32 ack)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end;
	struct tcphdr *tcp = (struct tcphdr *)(data + (frame->transport_at & 0x7fff));
	__u32 old, plain;

	if ((__u8 *)(tcp + 1) > end)
		return 0;
	plain = translate_plain(tcp, end);
	old = tcp->seq;
	tcp->seq = dual_swap32(seq);
	tcp->check = translate_sum(tcp->check, old, tcp->seq);
	if (frame->flags & FRAME_ACK) {
		old = tcp->ack_seq;
		tcp->ack_seq = dual_swap32(ack);
		tcp->check = translate_sum(tcp->check, old, tcp->ack_seq);
	}
	if (!plain)
		translate_sack_inward(ctx, n, frame);
	frame->seq = seq;
	frame->ack = ack;
	return 1;
}

/* A 32-bit number at @at of what leaves becomes @value_be; the sum follows, now or when the device
 * makes it (CHECKSUM_PARTIAL). */
static __always_inline int translate_word(struct __sk_buff *skb, __u32 check_at, __u32 at,
					  __u32 from_be, __u32 to_be)
{
	return bpf_l4_csum_replace(skb, check_at, from_be, to_be, sizeof(to_be)) ||
	       bpf_skb_store_bytes(skb, at, &to_be, sizeof(to_be), 0);
}

/* The server's SACK blocks, which are about what the client sent. Not 0: they could not be. A
 * global function: verified once. */
__noinline int translate_sack_outward(struct __sk_buff *skb, const struct splice_count *n,
				      const struct frame *frame)
{
	__u32 at, check_at, bytes, blocks, sack;
	struct translate_options options = {};

	if (!n || !frame)
		return 1;
	at = frame->transport_at + FRAME_TCP_BYTES;
	check_at = frame->transport_at + 16;
	bytes = frame->payload_at - at;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & 63) + 1;
	if (bytes > 40 || bpf_skb_load_bytes(skb, at, options.bytes, bytes) ||
	    (bytes == 12 && dual_load32(options.bytes) == TRANSLATE_TIMES_ALONE))
		return 0;
	sack = translate_find_sack(&options, bytes);
	dual_opaque(sack); /* one unknown, however the walk ended */
	blocks = sack >> 8;
	sack &= 63;
	for (__u32 i = 0; i < 2 * TRANSLATE_BLOCKS_MAX && i < 2 * blocks; i++) {
		__u32 edge_at = at + sack + 4 * i, old, new;

		if (bpf_skb_load_bytes(skb, edge_at, &old, sizeof(old)))
			return 1;
		new = dual_swap32(i & 1 ? splice_ack_outward(n, dual_swap32(old) - 1) + 1
					: splice_ack_outward(n, dual_swap32(old)));
		if (translate_word(skb, check_at, edge_at, old, new))
			return 1;
	}
	return 0;
}

/* Writes what the server's segment is to the client. Not 0: it could not be. */
static __always_inline int translate_outward(struct __sk_buff *skb, const struct splice_count *n,
					     const struct frame *frame)
{
	__u32 at = frame->transport_at, check_at = at + 16;
	__u32 bytes = frame->payload_at - at - FRAME_TCP_BYTES;
	int err;

	err = translate_word(skb, check_at, at + 4, dual_swap32(frame->seq),
			     dual_swap32(splice_seq_outward(n, frame->seq)));
	if (!err && frame->flags & FRAME_ACK)
		err = translate_word(skb, check_at, at + 8, dual_swap32(frame->ack),
				     dual_swap32(splice_ack_outward(n, frame->ack)));
	if (!err && bytes)
		err = translate_sack_outward(skb, n, frame);
	return err;
}

#endif
