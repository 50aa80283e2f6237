// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/frame.h against a reader that takes one byte at a time: the same outcome, ports and payload,
 * and no byte beyond the frame.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tps/frame.h>

#include "fuzz/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
	const uint8_t *bytes;
	size_t len, at;
	int cut; /* something was read beyond the end */
};

static unsigned int take(struct reader *r, int bytes)
{
	unsigned int v = 0;

	while (bytes--) {
		if (r->at >= r->len)
			r->cut = 1;
		v = v << 8 | (r->at < r->len ? r->bytes[r->at] : 0);
		r->at++;
	}
	return v;
}

struct told {
	unsigned int source_port, destination_port, seq, ack, flags;
	size_t payload_at, payload_bytes;
};

static enum frame_outcome transport(struct reader *r, unsigned int protocol, size_t left,
				    int fragment, struct told *ret)
{
	size_t begin = r->at, header;

	if (protocol != 6 && protocol != 17)
		return FRAME_NOT_TRANSPORT;
	ret->source_port = take(r, 2);
	ret->destination_port = take(r, 2);
	take(r, 4);
	if (r->cut || left < 8)
		return FRAME_MALFORMED;
	if (fragment)
		return FRAME_FIRST_FRAGMENT;
	ret->payload_at = begin + 8;
	ret->payload_bytes = left - 8;
	if (protocol == 17)
		return FRAME_UDP;
	r->at = begin + 4;
	ret->seq = take(r, 4);
	ret->ack = take(r, 4);
	header = (take(r, 1) >> 4) * 4;
	ret->flags = take(r, 1);
	take(r, 6);
	if (r->cut || header < 20 || header > left)
		return FRAME_MALFORMED;
	ret->payload_at = begin + header;
	ret->payload_bytes = left - header;
	return FRAME_TCP;
}

static enum frame_outcome ipv4(struct reader *r, struct told *ret)
{
	size_t begin = r->at, header = take(r, 1), total, left;
	unsigned int fragment, protocol;

	take(r, 1);
	total = take(r, 2);
	take(r, 2);
	fragment = take(r, 2);
	take(r, 1);
	protocol = take(r, 1);
	take(r, 10);
	if (r->cut || header >> 4 != 4)
		return FRAME_MALFORMED;
	header = (header & 15) * 4;
	if (!total)
		total = r->len - begin;
	if (header < 20 || total < header)
		return FRAME_MALFORMED;
	if (fragment % 8192)
		return FRAME_LATER_FRAGMENT;
	left = total - header;
	r->at = begin + header;
	return transport(r, protocol, left, fragment & 0x2000, ret);
}

static enum frame_outcome ipv6(struct reader *r, struct told *ret)
{
	unsigned int version = take(r, 1) >> 4, next, multicast, fragment = 0;
	size_t left;

	take(r, 3);
	left = take(r, 2);
	next = take(r, 1);
	take(r, 1);
	multicast = take(r, 1) == 0xff;
	take(r, 31);
	if (r->cut || version != 6 || multicast)
		return FRAME_MALFORMED;
	if (!left && !next)
		left = r->len - r->at;
	for (int headers = 0; next == 0 || next == 43 || next == 44 || next == 51 || next == 60 ||
			      next == 135 || next == 139 || next == 140;
	     headers++) {
		size_t begin = r->at, bytes;
		unsigned int is = next, second;

		if (headers == TPS_IPV6_HEADERS_MAX)
			return FRAME_TOO_MANY_HEADERS;
		next = take(r, 1);
		bytes = take(r, 1);
		second = take(r, 2);
		take(r, 4);
		if (r->cut || left < 8)
			return FRAME_MALFORMED;
		if (is == 44 && second / 8)
			return FRAME_LATER_FRAGMENT;
		if (is == 44)
			fragment |= second & 1;
		bytes = is == 44 ? 8 : is == 51 ? (bytes + 2) * 4 : (bytes + 1) * 8;
		if (bytes > left)
			return FRAME_MALFORMED;
		left -= bytes;
		r->at = begin + bytes;
	}
	return transport(r, next, left, fragment, ret);
}

static enum frame_outcome read_slowly(const uint8_t *bytes, size_t len, struct told *ret)
{
	struct reader r = {bytes, len, 0, 0};
	unsigned int type;
	int tags = 0;

	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < 12; i++)
		take(&r, 1);
	type = take(&r, 2);
	for (; (type == 0x8100 || type == 0x88a8) && tags < TPS_VLAN_TAGS_MAX; tags++) {
		take(&r, 2);
		type = take(&r, 2);
	}
	if (r.cut)
		return FRAME_MALFORMED;
	if (type == 0x8100 || type == 0x88a8)
		return FRAME_TOO_MANY_TAGS;
	if (type == 0x0800)
		return ipv4(&r, ret);
	return type == 0x86dd ? ipv6(&r, ret) : FRAME_NOT_IP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame frame = {0};
	struct told told;
	enum frame_outcome outcome;

	if (size > 9000)
		return 0;
	outcome = frame_read(data, data + size, &frame);
	expect(outcome == read_slowly(data, size, &told), "the same outcome");
	if (outcome != FRAME_TCP && outcome != FRAME_UDP && outcome != FRAME_FIRST_FRAGMENT)
		return 0;
	expect(dual_swap16(frame.flow.source_port_be) == told.source_port, "source port");
	expect(dual_swap16(frame.flow.destination_port_be) == told.destination_port,
	       "destination port");
	if (outcome == FRAME_FIRST_FRAGMENT)
		return 0;
	expect(frame.payload_at == told.payload_at, "where the payload is");
	expect(frame.payload_bytes == told.payload_bytes, "how long it is");
	if (outcome == FRAME_TCP)
		expect(frame.seq == told.seq && frame.ack == told.ack && frame.flags == told.flags,
		       "TCP's words");
	return 0;
}
