/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one builder of test frames: what a packet says, in readable addresses, becomes bytes with
 * right checksums. Knows nothing of the gate.
 */
#ifndef TPS_TEST_PACKET_H
#define TPS_TEST_PACKET_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define PACKET_BYTES_MAX 20480

enum packet_kind { PACKET_TCP, PACKET_UDP, PACKET_ICMP, PACKET_ARP };

enum packet_flag {
	PACKET_FIN = 0x01,
	PACKET_SYN = 0x02,
	PACKET_RST = 0x04,
	PACKET_PSH = 0x08,
	PACKET_ACK = 0x10,
	PACKET_URG = 0x20,
};

/*
 * A packet. The family is that of @source ("192.0.2.1" or "2001:db8::1"; both addresses of one
 * family). What is zero is absent: no tags, no options, no fragment, no payload.
 */
struct packet {
	enum packet_kind kind;
	const char *source;
	const char *destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 seq;
	__u32 ack;
	__u8 flags; /* enum packet_flag; 0: ACK, with payload PSH too */
	const void *payload;
	size_t payload_bytes; /* 0 with a payload: it is a string */
	__u32 vlan_tags;
	__u32 option_bytes;      /* IPv4 options, a multiple of 4, up to 40 */
	__u32 extension_headers; /* IPv6: hop-by-hop, then destination options, 8 bytes each */
	__u32 fragment_offset;   /* in bytes, a multiple of 8; such a fragment is payload alone */
	bool more_fragments;
	__u32 timestamp; /* TCP: the timestamps option with this value */
	__u32 timestamp_echo;
	const void *tcp_options; /* behind the timestamps, a multiple of 4 */
	size_t tcp_option_bytes;
	__u16 window; /* 0: 502 */
	bool bad_checksum;
};

/* Writes @packet to @ret_frame (PACKET_BYTES_MAX) and returns its length. Exits on a packet that
 * cannot be written: a mistake of the test. */
size_t packet_write(const struct packet *packet, __u8 *ret_frame);

/* The 4 or 16 bytes of an address; returns how many. */
size_t packet_address(const char *text, __u8 ret_address[16]);

#endif
