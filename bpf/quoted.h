/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP errors that come in and quote a segment of a spliced connection (RFC 792, RFC 4443): the
 * quoted sequence number is the client's, and the server believes none that it has not sent (RFC
 * 5927 4.1). Knows where it stands; what becomes of it is splice.h's.
 */
#ifndef TPS_BPF_QUOTED_H
#define TPS_BPF_QUOTED_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "identify.h"
#include "maps.h"
#include "splice.h"
#include "translate.h"

#define QUOTED_PROTO_ICMP 1
#define QUOTED_PROTO_ICMPV6 58
#define QUOTED_ICMP_BYTES 8 /* before the quoted packet */
#define QUOTED_TCP_BYTES 8  /* of it at least are quoted (RFC 792) */

/* Does an error of this type quote a packet? Destination unreachable, time exceeded, parameter
 * problem; IPv6 has packet too big for itself. */
static __always_inline int quoted_type(int family, __u8 type)
{
	if (family == 4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* The quoted packet's connection, as its client sends. Returns where its TCP header begins, from
 * @ip on; 0: it is no TCP segment. */
static __always_inline __u32 quoted_read(const __u8 *ip, const __u8 *end, int family,
					 struct tps_flow_key *ret)
{
	__u32 header = FRAME_IPV6_BYTES;

	if (ip + FRAME_IPV6_BYTES > end)
		return 0;
	if (family == 4) {
		header = (ip[0] & 15) << 2;
		if (ip[0] >> 4 != 4 || header < FRAME_IPV4_BYTES || ip[9] != FRAME_PROTO_TCP ||
		    dual_load16(ip + 6) & dual_swap16(0x1fff))
			return 0;
		ret->source_be[2] = dual_swap32(0xffff);
		ret->source_be[3] = dual_load32(ip + 16);
		ret->destination_be[2] = dual_swap32(0xffff);
		ret->destination_be[3] = dual_load32(ip + 12);
	} else {
		if (ip[0] >> 4 != 6 || ip[6] != FRAME_PROTO_TCP)
			return 0;
		for (int i = 0; i < 4; i++) {
			ret->source_be[i] = dual_load32(ip + 24 + 4 * i);
			ret->destination_be[i] = dual_load32(ip + 8 + 4 * i);
		}
	}
	if (ip + header + QUOTED_TCP_BYTES > end)
		return 0;
	ret->source_port_be = dual_load16(ip + header + 2);
	ret->destination_port_be = dual_load16(ip + header);
	return header;
}

/* Turns the quoted number to the server's count, if it is of a spliced connection. A global
 * function: verified once. */
__noinline int quoted_arriving(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *end = (__u8 *)(long)ctx->data_end, *icmp, *at;
	struct tps_flow_key key = {};
	struct tps_splice *splice;
	struct splice_count n;
	struct frame *frame;
	__u32 zero = 0, header, old, new, *count;

	frame = bpf_map_lookup_elem(&frames, &zero);
	if (!frame)
		return 0;
	icmp = data + (frame->ip.at & 0x7fff);
	if (icmp + QUOTED_ICMP_BYTES > end || !quoted_type(frame->family, icmp[0]))
		return 0;
	header = quoted_read(icmp + QUOTED_ICMP_BYTES, end, frame->family, &key);
	if (!header)
		return 0;
	count = translate_port(key.destination_port_be);
	splice = count && *count ? bpf_map_lookup_elem(&spliced, &key) : NULL;
	if (!splice)
		return 0;
	translate_read(splice, &n);
	icmp = (__u8 *)(long)ctx->data + (frame->ip.at & 0x7fff);
	end = (__u8 *)(long)ctx->data_end;
	at = icmp + QUOTED_ICMP_BYTES + (header & 63) + 4;
	if (icmp + QUOTED_ICMP_BYTES > end || at + 4 > end)
		return 0;
	old = dual_load32(at);
	new = dual_swap32(splice_ack_inward(&n, dual_swap32(old)));
	*(__u32 *)at = new;
	*(__u16 *)(icmp + 2) = translate_sum(dual_load16(icmp + 2), old, new);
	return 1;
}

#endif
