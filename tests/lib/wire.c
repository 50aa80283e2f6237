// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads from the first byte on; what follows an IPv6 header is TCP, or another header of 8 bytes.
 */
#include "lib/wire.h"

#include <string.h>

static __u32 number(const __u8 *at, int bytes)
{
	__u32 v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

/* The internet checksum's sum of @len bytes (RFC 1071), folded. */
static __u32 sum(__u32 from, const __u8 *at, size_t len)
{
	__u64 total = from;

	for (size_t i = 0; i < len; i++)
		total += i & 1 ? at[i] : (__u32)at[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

static size_t read_stations(const __u8 *frame, size_t len, struct wire *ret)
{
	size_t at = 12;

	if (len < 14)
		return 0;
	memcpy(ret->to, frame, 6);
	memcpy(ret->from, frame + 6, 6);
	while (at + 4 < len && ret->tags < WIRE_TAGS_MAX &&
	       (number(frame + at, 2) == 0x8100 || number(frame + at, 2) == 0x88a8)) {
		memcpy(ret->tag[ret->tags++], frame + at, 4);
		at += 4;
	}
	return at + 2;
}

/* Returns where TCP begins; @ret_bytes is its length by the IP header. */
static const __u8 *read_ipv4(const __u8 *ip, size_t len, struct wire *ret, size_t *ret_bytes)
{
	size_t header = (ip[0] & 15) * 4u;

	if (len < 20 || header < 20 || number(ip + 2, 2) != len || ip[9] != 6)
		return NULL;
	ret->family = 4;
	memcpy(ret->source, ip + 12, 4);
	memcpy(ret->destination, ip + 16, 4);
	ret->ttl = ip[8];
	ret->ip_sum_right = sum(0, ip, header) == 0xffff;
	*ret_bytes = len - header;
	return ip + header;
}

static const __u8 *read_ipv6(const __u8 *ip, size_t len, struct wire *ret, size_t *ret_bytes)
{
	__u8 next = ip[6];

	if (len < 40 || number(ip + 4, 2) != len - 40)
		return NULL;
	ret->family = 6;
	memcpy(ret->source, ip + 8, 16);
	memcpy(ret->destination, ip + 24, 16);
	ret->ttl = ip[7];
	ret->ip_sum_right = true;
	ip += 40;
	len -= 40;
	while ((next == 0 || next == 60) && len >= 8) {
		next = ip[0];
		ip += 8;
		len -= 8;
	}
	*ret_bytes = len;
	return next == 6 ? ip : NULL;
}

static enum wire_sum read_sum(const struct wire *wire, const __u8 *tcp, size_t bytes)
{
	size_t address = wire->family == 4 ? 4 : 16;
	__u32 pseudo = sum(6 + bytes, wire->source, address);

	pseudo = sum(pseudo, wire->destination, address);
	if (sum(pseudo, tcp, bytes) == 0xffff)
		return WIRE_RIGHT;
	return number(tcp + 16, 2) == pseudo ? WIRE_PSEUDO : WIRE_WRONG;
}

bool wire_read(const __u8 *frame, size_t len, struct wire *ret)
{
	size_t at, bytes, header;
	const __u8 *tcp;

	memset(ret, 0, sizeof(*ret));
	at = read_stations(frame, len, ret);
	if (!at || len < at + 40)
		return false;
	tcp = frame[at] >> 4 == 4 ? read_ipv4(frame + at, len - at, ret, &bytes)
				  : read_ipv6(frame + at, len - at, ret, &bytes);
	if (!tcp || bytes < 20)
		return false;
	header = (tcp[12] >> 4) * 4u;
	if (header < 20 || header > bytes)
		return false;
	ret->source_port = number(tcp, 2);
	ret->destination_port = number(tcp + 2, 2);
	ret->seq = number(tcp + 4, 4);
	ret->ack = number(tcp + 8, 4);
	ret->flags = tcp[13];
	ret->window = number(tcp + 14, 2);
	ret->option_bytes = header - 20;
	memcpy(ret->options, tcp + 20, ret->option_bytes);
	ret->sum = read_sum(ret, tcp, bytes);
	ret->payload = tcp + header;
	ret->payload_bytes = bytes - header;
	return true;
}

__u32 wire_option32(const struct wire *wire, __u32 at)
{
	return number(wire->options + at, 4);
}
