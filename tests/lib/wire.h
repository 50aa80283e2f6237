/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TCP frame read back: what it says, and whether its lengths and checksums are right. Reads one
 * byte at a time and shares nothing with the gate's reader, nor with the builder of test frames.
 */
#ifndef TPS_TEST_WIRE_H
#define TPS_TEST_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define WIRE_TAGS_MAX 8

enum wire_sum {
	WIRE_WRONG,
	WIRE_RIGHT,
	WIRE_PSEUDO, /* of the pseudo header alone: the device makes the rest */
};

struct wire {
	__u8 to[6], from[6]; /* stations */
	__u32 tags;
	__u8 tag[WIRE_TAGS_MAX][4]; /* ether type and tag, as they stand there */
	int family;
	__u8 source[16], destination[16]; /* IPv4: the first four bytes */
	__u8 ttl;
	bool ip_sum_right; /* IPv6 has none: right */
	__u16 source_port, destination_port;
	__u32 seq, ack;
	__u8 flags;
	__u16 window;
	__u8 options[40];
	__u32 option_bytes;
	enum wire_sum sum;
	const __u8 *payload; /* in the frame */
	size_t payload_bytes;
};

/* False: it is no TCP frame, or its lengths contradict each other or the frame's. */
bool wire_read(const __u8 *frame, size_t len, struct wire *ret);

/* The 32-bit number at @at of the TCP options. */
__u32 wire_option32(const struct wire *wire, __u32 at);

#endif
