/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a frame's first byte to its transport header: Ethernet (IEEE 802.3), VLAN tags (802.1Q,
 * 802.1ad), IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200 4), TCP (RFC 9293 3.1), UDP
 * (RFC 768). Knows no listener and no verdict. Dual.
 */
#ifndef TPS_FRAME_H
#define TPS_FRAME_H

#include <linux/types.h>

#include <tps/abi.h>
#include <tps/dual.h>

enum frame_outcome {
	FRAME_TCP,
	FRAME_UDP,
	FRAME_FIRST_FRAGMENT, /* ports, family and protocol are read, nothing behind them */
	FRAME_LATER_FRAGMENT,
	FRAME_NOT_IP,
	FRAME_NOT_TRANSPORT,
	FRAME_MALFORMED,
	FRAME_TOO_MANY_TAGS,
	FRAME_TOO_MANY_HEADERS, /* no ports are read: may be anybody's */
};

#define FRAME_FIN 0x01
#define FRAME_SYN 0x02
#define FRAME_RST 0x04
#define FRAME_PSH 0x08
#define FRAME_ACK 0x10
#define FRAME_URG 0x20

/* How far the IP layer got: where the next header starts, what it is, what the IP header leaves for
 * it. */
struct frame_ip {
	__u32 at;
	__u32 left;
	__u32 fragment; /* the first of several */
	__u8 next;
};

struct frame {
	struct tps_flow_key flow; /* addresses and ports as they stand in the packet */
	__u32 seq;                /* TCP, host order */
	__u32 ack;
	__u32 payload_bytes; /* by the IP header: padding of short frames is not payload */
	__u16 payload_at;    /* from the frame's first byte */
	__u16 ip_at;
	__u16 transport_at;
	__u16 window_be; /* TCP: as it stands in the packet */
	__u8 flags;      /* FRAME_FIN ... */
	__u8 family;     /* 4 or 6 */
	__u8 is_udp;
	__u8 is_jumbo;      /* the payload ends with the frame, beyond its linear part too */
	__u8 unacked;       /* for the gate: the client has not acked the latest answer */
	__u32 swallowed;    /* for the gate: seq was turned to the server's count by so many */
	struct frame_ip ip; /* the reader's own */
	__u32 outcome;      /* enum frame_outcome; for the gate to keep */
	int action;         /* for the gate to keep: below 0, none yet */
};

#define FRAME_ETHERNET_BYTES 14
#define FRAME_TAG_BYTES 4
#define FRAME_IPV4_BYTES 20
#define FRAME_IPV6_BYTES 40
#define FRAME_TCP_BYTES 20
#define FRAME_UDP_BYTES 8

/* Ether types and protocol numbers (IANA), as they are compared: network order. */
#define FRAME_TYPE_IPV4 dual_swap16(0x0800)
#define FRAME_TYPE_IPV6 dual_swap16(0x86dd)
#define FRAME_TYPE_8021Q dual_swap16(0x8100)
#define FRAME_TYPE_8021AD dual_swap16(0x88a8)
#define FRAME_PROTO_TCP 6
#define FRAME_PROTO_UDP 17
#define FRAME_PROTO_HOPOPTS 0
#define FRAME_PROTO_ROUTING 43
#define FRAME_PROTO_FRAGMENT 44
#define FRAME_PROTO_AH 51
#define FRAME_PROTO_DSTOPTS 60
#define FRAME_PROTO_MOBILITY 135
#define FRAME_PROTO_HIP 139
#define FRAME_PROTO_SHIM6 140

DUAL_INLINE int frame_is_vlan(__u16 type_be)
{
	return type_be == FRAME_TYPE_8021Q || type_be == FRAME_TYPE_8021AD;
}

/* What the linear part has from @at on. */
DUAL_INLINE __u32 frame_rest(const __u8 *data, __u32 at, const __u8 *end)
{
	__u64 linear = end - data;

	/* clang 14 goes on in 32 bits ("32-bit pointer arithmetic prohibited") */
	dual_opaque(linear);
	return linear - at;
}

#define FRAME_IP_DONE -1 /* no outcome yet: go on with the transport header */

DUAL_INLINE int frame_ipv4(const __u8 *data, __u32 at, const __u8 *end, struct frame *ret)
{
	struct frame_ip *ip = &ret->ip;
	const __u8 *pos = data + at;
	__u32 header, total, fragment;

	if (pos + FRAME_IPV4_BYTES > end)
		return FRAME_MALFORMED;
	header = (pos[0] & 15) << 2;
	total = dual_swap16(dual_load16(pos + 2));
	if (!total) { /* Linux's own, of segments put together beyond 64 KiB */
		total = frame_rest(data, at, end);
		ret->is_jumbo = 1;
	}
	if (pos[0] >> 4 != 4 || header < FRAME_IPV4_BYTES || total < header)
		return FRAME_MALFORMED;
	ret->family = 4;
	ret->flow.source_be[0] = 0;
	ret->flow.source_be[1] = 0;
	ret->flow.source_be[2] = dual_swap32(0xffff);
	ret->flow.source_be[3] = dual_load32(pos + 12);
	ret->flow.destination_be[0] = 0;
	ret->flow.destination_be[1] = 0;
	ret->flow.destination_be[2] = dual_swap32(0xffff);
	ret->flow.destination_be[3] = dual_load32(pos + 16);
	fragment = dual_swap16(dual_load16(pos + 6)) & 0x3fff;
	if (fragment & 0x1fff)
		return FRAME_LATER_FRAGMENT;
	ip->at = at + header;
	ip->left = total - header;
	ip->fragment = fragment != 0;
	ip->next = pos[9];
	return FRAME_IP_DONE;
}

/* Extension headers that are walked over: hop-by-hop, routing, fragment, authentication,
 * destination options, mobility, HIP, shim6 (IANA). */
DUAL_INLINE int frame_is_extension(__u8 next)
{
	if (next < 64)
		return (1ULL << FRAME_PROTO_HOPOPTS | 1ULL << FRAME_PROTO_ROUTING |
			1ULL << FRAME_PROTO_FRAGMENT | 1ULL << FRAME_PROTO_AH |
			1ULL << FRAME_PROTO_DSTOPTS) >>
			       next &
		       1;
	return next == FRAME_PROTO_MOBILITY || next == FRAME_PROTO_HIP || next == FRAME_PROTO_SHIM6;
}

/* One extension header; @ip moves behind it. */
DUAL_INLINE int frame_extension(const __u8 *data, const __u8 *end, struct frame_ip *ip)
{
	const __u8 *pos = data + (ip->at & 0x7fff);
	__u32 header, fragment = 0;

	if (ip->left < 8 || pos + 8 > end)
		return FRAME_MALFORMED;
	header = (pos[1] + 1) << 3;
	if (ip->next == FRAME_PROTO_AH) /* RFC 4302 2.2: in words of four bytes */
		header = (pos[1] + 2) << 2;
	if (ip->next == FRAME_PROTO_FRAGMENT) {
		header = 8;
		fragment = dual_swap16(dual_load16(pos + 2));
	}
	if (fragment & 0xfff8)
		return FRAME_LATER_FRAGMENT;
	if (header > ip->left)
		return FRAME_MALFORMED;
	ip->fragment |= fragment & 1;
	ip->next = pos[0];
	ip->left -= header;
	ip->at += header;
	dual_reload();
	return FRAME_IP_DONE;
}

/* The extension headers, at most TPS_IPV6_HEADERS_MAX of them. */
DUAL_INLINE int frame_ipv6(const __u8 *data, __u32 at, const __u8 *end, struct frame *ret)
{
	struct frame_ip *ip = &ret->ip;
	const __u8 *pos = data + at;

	if (pos + FRAME_IPV6_BYTES > end)
		return FRAME_MALFORMED;
	/* RFC 4291 2.7: multicast is never a source; the host discards it */
	if (pos[0] >> 4 != 6 || pos[8] == 0xff)
		return FRAME_MALFORMED;
	ret->family = 6;
	for (int i = 0; i < 4; i++) {
		ret->flow.source_be[i] = dual_load32(pos + 8 + 4 * i);
		ret->flow.destination_be[i] = dual_load32(pos + 24 + 4 * i);
	}
	ip->at = at + FRAME_IPV6_BYTES;
	ip->left = dual_swap16(dual_load16(pos + 4));
	ip->fragment = 0;
	ip->next = pos[6];
	/* RFC 2675: the length stands in an option. Linux believes the frame's then. */
	if (!ip->left && ip->next == FRAME_PROTO_HOPOPTS) {
		ip->left = frame_rest(data, ip->at, end);
		ret->is_jumbo = 1;
	}
	dual_reload();
	for (int i = 0; i < TPS_IPV6_HEADERS_MAX; i++) {
		int outcome;

		if (!frame_is_extension(ip->next))
			return FRAME_IP_DONE;
		outcome = frame_extension(data, end, ip);
		if (outcome != FRAME_IP_DONE)
			return outcome;
	}
	return frame_is_extension(ip->next) ? FRAME_TOO_MANY_HEADERS : FRAME_IP_DONE;
}

/* The ports, then what TCP or UDP says. */
DUAL_INLINE enum frame_outcome frame_transport(const __u8 *data, const __u8 *end, struct frame *ret)
{
	const struct frame_ip *ip = &ret->ip;
	__u32 at = ip->at & 0x7fff, left = ip->left, header;
	const __u8 *pos = data + at;

	if (ip->next != FRAME_PROTO_TCP && ip->next != FRAME_PROTO_UDP)
		return FRAME_NOT_TRANSPORT;
	if (left < FRAME_UDP_BYTES || pos + FRAME_UDP_BYTES > end)
		return FRAME_MALFORMED;
	ret->is_udp = ip->next == FRAME_PROTO_UDP;
	ret->flow.source_port_be = dual_load16(pos);
	ret->flow.destination_port_be = dual_load16(pos + 2);
	ret->transport_at = at;
	if (ip->fragment)
		return FRAME_FIRST_FRAGMENT;
	if (ret->is_udp) {
		ret->payload_at = at + FRAME_UDP_BYTES;
		ret->payload_bytes = left - FRAME_UDP_BYTES;
		return FRAME_UDP;
	}
	if (left < FRAME_TCP_BYTES || pos + FRAME_TCP_BYTES > end)
		return FRAME_MALFORMED;
	header = pos[12] >> 4 << 2;
	if (header < FRAME_TCP_BYTES || header > left)
		return FRAME_MALFORMED;
	ret->seq = dual_swap32(dual_load32(pos + 4));
	ret->ack = dual_swap32(dual_load32(pos + 8));
	ret->flags = pos[13];
	ret->window_be = dual_load16(pos + 14);
	ret->payload_at = at + header;
	ret->payload_bytes = left - header;
	return FRAME_TCP;
}

/* Reads [@data, @end), the linear part of the frame. @ret is meaningful as far as the outcome says.
 */
DUAL_INLINE enum frame_outcome frame_read(const __u8 *data, const __u8 *end, struct frame *ret)
{
	__u32 at = FRAME_ETHERNET_BYTES;
	__u16 type_be;
	int outcome;

	ret->family = 0;
	ret->flags = 0;
	ret->is_jumbo = 0;
	ret->unacked = 0;
	ret->swallowed = 0;
	ret->action = -1;
	if (data + at > end)
		return FRAME_MALFORMED;
	type_be = dual_load16(data + 12);
	for (int i = 0; i < TPS_VLAN_TAGS_MAX && frame_is_vlan(type_be); i++) {
		if (data + at + FRAME_TAG_BYTES > end)
			return FRAME_MALFORMED;
		type_be = dual_load16(data + at + 2);
		at += FRAME_TAG_BYTES;
	}
	ret->ip_at = at;
	if (type_be == FRAME_TYPE_IPV4)
		outcome = frame_ipv4(data, at, end, ret);
	else if (type_be == FRAME_TYPE_IPV6)
		outcome = frame_ipv6(data, at, end, ret);
	else
		outcome = frame_is_vlan(type_be) ? FRAME_TOO_MANY_TAGS : FRAME_NOT_IP;
	if (outcome != FRAME_IP_DONE)
		return outcome;
	dual_reload();
	return frame_transport(data, end, ret);
}

#endif
