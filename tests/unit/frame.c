// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/frame.h: what is read of frames whole, cut at every byte, and with headers that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <tps/frame.h>

#include "lib/packet.c" /* a unit test is one file; the builder belongs to the kernel tests */

#define IP_AT 14

/* The IP header is aligned, as the builder wants it. */
static __u8 space[2 + PACKET_BYTES_MAX] __attribute__((aligned(8)));
static __u8 *const bytes = space + 2;
static size_t len;
static struct frame frame;

/* Of an allocation as long as the frame: a read beyond it is seen. */
static enum frame_outcome read_first(size_t count)
{
	__u8 *exact = malloc(count + !count);
	enum frame_outcome outcome;

	memcpy(exact, bytes, count);
	memset(&frame, 0, sizeof(frame));
	outcome = frame_read(exact, exact + count, &frame);
	free(exact);
	return outcome;
}

static enum frame_outcome read_packet(struct packet packet)
{
	len = packet_write(&packet, bytes);
	return read_first(len);
}

static struct packet tcp4(void)
{
	return (struct packet){.kind = PACKET_TCP,
			       .source = "192.0.2.1",
			       .destination = "198.51.100.2",
			       .source_port = 4711,
			       .destination_port = 80,
			       .seq = 0x01020304,
			       .ack = 0xfffefdfc,
			       .payload = "GET / HTTP/1.1"};
}

static struct packet tcp6(void)
{
	struct packet packet = tcp4();

	packet.source = "2001:db8::1";
	packet.destination = "2001:db8:1::2";
	return packet;
}

static void assert_reads_tcp(void)
{
	assert_int_equal(dual_swap16(frame.flow.source_port_be), 4711);
	assert_int_equal(dual_swap16(frame.flow.destination_port_be), 80);
	assert_int_equal(frame.seq, 0x01020304);
	assert_int_equal(frame.ack, 0xfffefdfc);
	assert_int_equal(frame.flags, FRAME_ACK | 0x08);
	assert_int_equal(frame.payload_bytes, 14);
	assert_memory_equal(bytes + frame.payload_at, "GET / HTTP/1.1", 14);
}

/* ---- whole ------------------------------------------------------------------------------------
 */

static void tcp_over_ipv4_is_read(void **state)
{
	static const __u8 source[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};
	static const __u8 destination[16] = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 2};

	assert_int_equal(read_packet(tcp4()), FRAME_TCP);
	assert_reads_tcp();
	assert_int_equal(frame.family, 4);
	assert_memory_equal(frame.flow.source_be, source, 16);
	assert_memory_equal(frame.flow.destination_be, destination, 16);
	assert_false(frame.is_udp);
}

static void tcp_over_ipv6_is_read(void **state)
{
	static const __u8 source[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	static const __u8 destination[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = 2};

	assert_int_equal(read_packet(tcp6()), FRAME_TCP);
	assert_reads_tcp();
	assert_int_equal(frame.family, 6);
	assert_memory_equal(frame.flow.source_be, source, 16);
	assert_memory_equal(frame.flow.destination_be, destination, 16);
}

static void a_datagram_is_read(void **state)
{
	struct packet packet = tcp4();

	packet.kind = PACKET_UDP;
	assert_int_equal(read_packet(packet), FRAME_UDP);
	assert_true(frame.is_udp);
	assert_int_equal(dual_swap16(frame.flow.destination_port_be), 80);
	assert_int_equal(frame.payload_bytes, 14);
	packet = tcp6();
	packet.kind = PACKET_UDP;
	assert_int_equal(read_packet(packet), FRAME_UDP);
	assert_int_equal(frame.payload_bytes, 14);
}

static void tcp_options_are_not_payload(void **state)
{
	struct packet packet = tcp4();

	packet.timestamp = 7;
	assert_int_equal(read_packet(packet), FRAME_TCP);
	assert_reads_tcp();
}

static void padding_of_a_short_frame_is_not_payload(void **state)
{
	struct packet packet = tcp4();

	packet.payload = "";
	len = packet_write(&packet, bytes);
	memset(bytes + len, 0, 60 - len);
	assert_int_equal(read_first(60), FRAME_TCP);
	assert_int_equal(frame.payload_bytes, 0);
}

static void other_protocols_are_told_apart(void **state)
{
	struct packet packet = tcp4();

	packet.kind = PACKET_ARP;
	assert_int_equal(read_packet(packet), FRAME_NOT_IP);
	packet.kind = PACKET_ICMP;
	assert_int_equal(read_packet(packet), FRAME_NOT_TRANSPORT);
	packet = tcp6();
	packet.kind = PACKET_ICMP;
	assert_int_equal(read_packet(packet), FRAME_NOT_TRANSPORT);
}

/* ---- tags, options, extension headers, fragments ----------------------------------------------
 */

static void eight_vlan_tags_are_walked_over_and_a_ninth_is_told(void **state)
{
	for (__u32 tags = 0; tags <= TPS_VLAN_TAGS_MAX; tags++) {
		struct packet packet = tcp4();

		packet.vlan_tags = tags;
		assert_int_equal(read_packet(packet), FRAME_TCP);
		assert_reads_tcp();
		assert_int_equal(frame.ip_at, IP_AT + 4 * tags);
		packet = tcp6();
		packet.vlan_tags = tags;
		assert_int_equal(read_packet(packet), FRAME_TCP);
		assert_reads_tcp();
	}
	for (__u32 tags = TPS_VLAN_TAGS_MAX + 1; tags <= TPS_VLAN_TAGS_MAX + 2; tags++) {
		struct packet packet = tcp4();

		packet.vlan_tags = tags;
		assert_int_equal(read_packet(packet), FRAME_TOO_MANY_TAGS);
	}
}

static void every_length_of_ipv4_options_is_walked_over(void **state)
{
	for (__u32 options = 0; options <= 40; options += 4) {
		struct packet packet = tcp4();

		packet.option_bytes = options;
		assert_int_equal(read_packet(packet), FRAME_TCP);
		assert_reads_tcp();
		packet.kind = PACKET_UDP;
		assert_int_equal(read_packet(packet), FRAME_UDP);
		assert_int_equal(frame.payload_bytes, 14);
	}
}

static void eight_extension_headers_are_walked_over_and_a_ninth_is_told(void **state)
{
	for (__u32 headers = 0; headers <= TPS_IPV6_HEADERS_MAX; headers++) {
		struct packet packet = tcp6();

		packet.extension_headers = headers;
		assert_int_equal(read_packet(packet), FRAME_TCP);
		assert_reads_tcp();
	}
	for (__u32 headers = TPS_IPV6_HEADERS_MAX + 1; headers < 20; headers++) {
		struct packet packet = tcp6();

		packet.extension_headers = headers;
		assert_int_equal(read_packet(packet), FRAME_TOO_MANY_HEADERS);
		assert_int_equal(frame.family, 6);
		assert_int_equal(frame.flow.source_be[3], dual_swap32(1));
	}
}

static void each_kind_of_extension_header_has_its_own_length(void **state)
{
	/* kind, the length field, bytes */
	static const __u8 kinds[][3] = {
		{0, 1, 16},  {43, 0, 8},   {44, 99, 8},  {51, 4, 24},
		{60, 2, 24}, {135, 1, 16}, {139, 4, 40}, {140, 0, 8},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct packet packet = tcp6();
		__u8 extension[40] = {FRAME_PROTO_TCP, kinds[i][1]};
		__u32 size = kinds[i][2];

		len = packet_write(&packet, bytes);
		memmove(bytes + IP_AT + 40 + size, bytes + IP_AT + 40, len - IP_AT - 40);
		memcpy(bytes + IP_AT + 40, extension, size);
		bytes[IP_AT + 6] = kinds[i][0];
		bytes[IP_AT + 5] += size;
		assert_int_equal(read_first(len + size), FRAME_TCP);
		assert_reads_tcp();
	}
}

static void the_first_fragment_shows_its_ports_and_no_payload(void **state)
{
	struct packet packet = tcp4();

	packet.more_fragments = true;
	assert_int_equal(read_packet(packet), FRAME_FIRST_FRAGMENT);
	assert_int_equal(dual_swap16(frame.flow.destination_port_be), 80);
	packet.kind = PACKET_UDP;
	assert_int_equal(read_packet(packet), FRAME_FIRST_FRAGMENT);
	assert_true(frame.is_udp);
	packet = tcp6();
	packet.more_fragments = true;
	assert_int_equal(read_packet(packet), FRAME_FIRST_FRAGMENT);
	assert_int_equal(dual_swap16(frame.flow.destination_port_be), 80);
}

static void later_fragments_are_told(void **state)
{
	for (int more = 0; more < 2; more++) {
		struct packet packet = tcp4();

		packet.fragment_offset = 8;
		packet.more_fragments = more;
		assert_int_equal(read_packet(packet), FRAME_LATER_FRAGMENT);
		packet.fragment_offset = 65528;
		assert_int_equal(read_packet(packet), FRAME_LATER_FRAGMENT);
		packet = tcp6();
		packet.fragment_offset = 8;
		packet.more_fragments = more;
		assert_int_equal(read_packet(packet), FRAME_LATER_FRAGMENT);
	}
}

static void dont_fragment_is_no_fragment(void **state)
{
	struct packet packet = tcp4();

	len = packet_write(&packet, bytes);
	bytes[IP_AT + 6] |= 0x40;
	assert_int_equal(read_first(len), FRAME_TCP);
}

/* ---- cut, and lying ---------------------------------------------------------------------------
 */

/* Every cut before the end of the transport header is malformed, and none is read beyond. */
static void assert_cuts(struct packet packet, enum frame_outcome whole, size_t needed)
{
	assert_int_equal(read_packet(packet), whole);
	for (size_t count = 0; count < len; count++) {
		enum frame_outcome outcome = read_first(count);

		if (outcome != (count < needed ? FRAME_MALFORMED : whole))
			fail_msg("outcome %d of the first %zu bytes, %zu needed", outcome, count,
				 needed);
	}
}

static void a_frame_cut_before_its_ports_end_is_malformed(void **state)
{
	struct packet packet = tcp4();

	assert_cuts(packet, FRAME_TCP, 14 + 20 + 20);
	packet.option_bytes = 40;
	packet.vlan_tags = 2;
	assert_cuts(packet, FRAME_TCP, 14 + 8 + 60 + 20);
	packet.kind = PACKET_UDP;
	assert_cuts(packet, FRAME_UDP, 14 + 8 + 60 + 8);
	packet = tcp6();
	assert_cuts(packet, FRAME_TCP, 14 + 40 + 20);
	packet.extension_headers = TPS_IPV6_HEADERS_MAX;
	assert_cuts(packet, FRAME_TCP, 14 + 40 + 8 * TPS_IPV6_HEADERS_MAX + 20);
	packet.kind = PACKET_UDP;
	packet.vlan_tags = 1;
	assert_cuts(packet, FRAME_UDP, 14 + 4 + 40 + 8 * TPS_IPV6_HEADERS_MAX + 8);
	packet.extension_headers = 0;
	packet.more_fragments = true;
	assert_cuts(packet, FRAME_FIRST_FRAGMENT, 14 + 4 + 40 + 8 + 8);
}

static void headers_that_lie_about_their_length_are_malformed(void **state)
{
	struct packet packet = tcp4();

	len = packet_write(&packet, bytes);
	for (int ihl = 0; ihl < 5; ihl++) {
		bytes[IP_AT] = 0x40 | ihl;
		assert_int_equal(read_first(len), FRAME_MALFORMED);
	}
	bytes[IP_AT] = 0x65;
	assert_int_equal(read_first(len), FRAME_MALFORMED);
	len = packet_write(&packet, bytes);
	for (int total = 1; total < 40; total++) {
		bytes[IP_AT + 2] = 0;
		bytes[IP_AT + 3] = total;
		assert_int_equal(read_first(len), FRAME_MALFORMED);
	}
	len = packet_write(&packet, bytes);
	for (int offset = 0; offset < 5; offset++) {
		bytes[IP_AT + 20 + 12] = offset << 4;
		assert_int_equal(read_first(len), FRAME_MALFORMED);
	}
	bytes[IP_AT + 20 + 12] = 0xf0;
	assert_int_equal(read_first(len), FRAME_MALFORMED);
	packet = tcp6();
	len = packet_write(&packet, bytes);
	bytes[IP_AT] = 0x45;
	assert_int_equal(read_first(len), FRAME_MALFORMED);
	len = packet_write(&packet, bytes);
	for (int payload = 0; payload < 20; payload++) {
		bytes[IP_AT + 4] = 0;
		bytes[IP_AT + 5] = payload;
		assert_int_equal(read_first(len), FRAME_MALFORMED);
	}
}

static void an_extension_header_beyond_the_packet_is_malformed(void **state)
{
	struct packet packet = tcp6();

	packet.extension_headers = 2;
	len = packet_write(&packet, bytes);
	bytes[IP_AT + 40 + 1] = 255;
	assert_int_equal(read_first(len), FRAME_MALFORMED);
	len = packet_write(&packet, bytes);
	bytes[IP_AT + 40 + 8 + 1] = 5;
	assert_int_equal(read_first(len), FRAME_MALFORMED);
}

static void bytes_behind_the_packets_own_end_are_not_of_it(void **state)
{
	struct packet packet = tcp4();

	packet.kind = PACKET_UDP;
	len = packet_write(&packet, bytes);
	for (int total = 20; total < 28; total++) {
		bytes[IP_AT + 3] = total;
		assert_int_equal(read_first(len), FRAME_MALFORMED);
	}
	bytes[IP_AT + 3] = 28;
	assert_int_equal(read_first(len), FRAME_UDP);
	assert_int_equal(frame.payload_bytes, 0);
	packet = tcp6();
	packet.extension_headers = 1;
	len = packet_write(&packet, bytes);
	memmove(bytes + IP_AT + 40 + 8, bytes + IP_AT + 40, len - IP_AT - 40);
	bytes[IP_AT + 40 + 1] = 1;
	bytes[IP_AT + 4] = 0;
	for (int payload = 8; payload < 16 + 20; payload++) {
		bytes[IP_AT + 5] = payload;
		assert_int_equal(read_first(len + 8), FRAME_MALFORMED);
	}
}

static void a_multicast_source_is_malformed(void **state)
{
	struct packet packet = tcp6();

	packet.source = "ff02::1";
	assert_int_equal(read_packet(packet), FRAME_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_over_ipv4_is_read),
		cmocka_unit_test(tcp_over_ipv6_is_read),
		cmocka_unit_test(a_datagram_is_read),
		cmocka_unit_test(tcp_options_are_not_payload),
		cmocka_unit_test(padding_of_a_short_frame_is_not_payload),
		cmocka_unit_test(other_protocols_are_told_apart),
		cmocka_unit_test(eight_vlan_tags_are_walked_over_and_a_ninth_is_told),
		cmocka_unit_test(every_length_of_ipv4_options_is_walked_over),
		cmocka_unit_test(eight_extension_headers_are_walked_over_and_a_ninth_is_told),
		cmocka_unit_test(each_kind_of_extension_header_has_its_own_length),
		cmocka_unit_test(the_first_fragment_shows_its_ports_and_no_payload),
		cmocka_unit_test(later_fragments_are_told),
		cmocka_unit_test(dont_fragment_is_no_fragment),
		cmocka_unit_test(a_frame_cut_before_its_ports_end_is_malformed),
		cmocka_unit_test(headers_that_lie_about_their_length_are_malformed),
		cmocka_unit_test(an_extension_header_beyond_the_packet_is_malformed),
		cmocka_unit_test(bytes_behind_the_packets_own_end_are_not_of_it),
		cmocka_unit_test(a_multicast_source_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
