// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which frames the gate polices: what is a listener's is charged in whatever wrapping it comes, and
 * what is not passes untouched.
 */
#include "lib/cases.h"

#include <string.h>

/* The stranger's one token is spent by @packet: nothing that reaches a listener is free. */
static void assert_charged(const struct packet *packet, __u32 listener)
{
	harness_set_tier(&h, 0, limit_frozen(1));
	expect_allowed(packet, listener);
	assert_transactions(listener, 1, 0);
	expect_refused(packet, listener);
	assert_transactions(listener, 1, 1);
}

static void assert_untouched(const struct packet *packet, enum tps_reason reason)
{
	harness_set_tier(&h, 0, limit_frozen(1));
	for (int i = 0; i < 3; i++)
		expect(packet, 0, TPS_ACTION_PASS, reason);
	for (__u32 listener = 0; listener < TPS_LISTENERS_MAX; listener++)
		assert_transactions(listener, 0, 0);
	assert_int_equal(harness_strangers(&h), 0);
}

static void datagram_is_charged(void **state)
{
	struct packet packet = datagram(STRANGER);

	assert_charged(&packet, UDP);
}

static void datagram6_is_charged(void **state)
{
	struct packet packet = datagram(STRANGER6);

	assert_charged(&packet, UDP);
}

static void syn_is_charged(void **state)
{
	struct packet packet = syn(STRANGER);

	assert_charged(&packet, TCP);
}

static void syn6_is_charged(void **state)
{
	struct packet packet = syn(STRANGER6);

	assert_charged(&packet, TCP);
}

static void other_segments_of_tcp_listener_pass(void **state)
{
	static const __u8 flags[] = {PACKET_ACK, PACKET_FIN | PACKET_ACK, PACKET_RST,
				     PACKET_SYN | PACKET_ACK};

	harness_set_tier(&h, 0, limit_frozen(1));
	for (size_t i = 0; i < sizeof(flags); i++) {
		struct packet packet = syn(STRANGER);

		packet.flags = flags[i];
		expect(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	}
	assert_transactions(TCP, 0, 0);
}

static void syn_with_other_flags_is_charged(void **state)
{
	struct packet packet = syn(STRANGER);

	packet.flags = PACKET_SYN | PACKET_PSH;
	assert_charged(&packet, TCP);
}

static void other_port_passes(void **state)
{
	struct packet packet = syn(STRANGER);

	packet.destination_port = 22;
	assert_untouched(&packet, TPS_REASON_NOT_LISTENER);
}

static void same_port_of_other_protocol_passes(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.destination_port = TCP_PORT;
	assert_untouched(&packet, TPS_REASON_NOT_LISTENER);
}

static void answers_from_listener_port_pass(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.source_port = UDP_PORT;
	packet.destination_port = 40000;
	assert_untouched(&packet, TPS_REASON_NOT_LISTENER);
}

static void deleted_listener_passes(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_delete_listener(&h, UDP);
	assert_untouched(&packet, TPS_REASON_NOT_LISTENER);
}

static void arp_passes(void **state)
{
	struct packet packet = {.kind = PACKET_ARP, .source = STRANGER, .destination = SERVER};

	assert_untouched(&packet, TPS_REASON_NOT_IP);
}

static void icmp_passes(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.kind = PACKET_ICMP;
	assert_untouched(&packet, TPS_REASON_NOT_TRANSPORT);
}

static void icmp6_passes(void **state)
{
	struct packet packet = datagram(STRANGER6);

	packet.kind = PACKET_ICMP;
	assert_untouched(&packet, TPS_REASON_NOT_TRANSPORT);
}

static void tagged_is_charged(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.vlan_tags = 1;
	assert_charged(&packet, UDP);
}

static void doubly_tagged_is_charged(void **state)
{
	struct packet packet = syn(STRANGER6);

	packet.vlan_tags = TPS_VLAN_TAGS_MAX;
	assert_charged(&packet, TCP);
}

/* Linux strips any number of tags with VID 0, so what lies behind them may be a listener's. */
static void too_many_tags_are_dropped(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.vlan_tags = TPS_VLAN_TAGS_MAX + 1;
	expect(&packet, 0, TPS_ACTION_DROP, TPS_REASON_TOO_MANY_TAGS);
	harness_observe(&h, true);
	expect(&packet, 0, TPS_ACTION_PASS, TPS_REASON_TOO_MANY_TAGS);
}

static void ip_options_are_charged(void **state)
{
	struct packet packet = syn(STRANGER);

	packet.option_bytes = 40;
	assert_charged(&packet, TCP);
}

static void extension_headers_are_charged(void **state)
{
	struct packet packet = syn(STRANGER6);

	packet.extension_headers = TPS_IPV6_HEADERS_MAX;
	assert_charged(&packet, TCP);
}

/* Linux reads any number of extension headers, so what lies behind them may be a listener's. */
static void too_many_headers_are_dropped(void **state)
{
	struct packet packet = syn(STRANGER6);

	packet.extension_headers = TPS_IPV6_HEADERS_MAX + 1;
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
	assert_int_equal(harness_packets(&h, 0, TPS_ACTION_DROP, TPS_REASON_TOO_MANY_HEADERS), 1);
	assert_int_equal(harness_strangers(&h), 0);
}

static void observe_every_listener(void)
{
	const struct harness_listener http = {.protocol = TPS_PROTOCOL_HTTP,
					      .ports = {HTTP_PORT},
					      .mode = TPS_MODE_OBSERVE},
				      tcp = {.protocol = TPS_PROTOCOL_TCP,
					     .ports = {TCP_PORT},
					     .mode = TPS_MODE_OBSERVE};

	harness_delete_listener(&h, UDP);
	harness_set_listener(&h, HTTP, &http);
	harness_set_listener(&h, TCP, &tcp);
}

static void unreadable_passes_where_none_enforces(void **state)
{
	struct packet headers = syn(STRANGER6), tags = syn(STRANGER);

	headers.extension_headers = TPS_IPV6_HEADERS_MAX + 1;
	tags.vlan_tags = TPS_VLAN_TAGS_MAX + 1;
	observe_every_listener();
	assert_untouched(&headers, TPS_REASON_TOO_MANY_HEADERS);
	assert_untouched(&tags, TPS_REASON_TOO_MANY_TAGS);
}

static void first_fragment_is_charged(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.more_fragments = true;
	assert_charged(&packet, UDP);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_FIRST_FRAGMENT), 2);
}

static void first_fragment6_is_charged(void **state)
{
	struct packet packet = datagram(STRANGER6);

	packet.more_fragments = true;
	assert_charged(&packet, UDP);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_FIRST_FRAGMENT), 2);
}

/* The host would put requests together that the gate cannot read. */
static void first_fragment_of_http_is_refused(void **state)
{
	struct packet packet = syn(STRANGER);

	packet.destination_port = HTTP_PORT;
	packet.flags = 0;
	packet.payload = "GET / HTTP/1.1\r\n";
	packet.more_fragments = true;
	expect(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_FIRST_FRAGMENT);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED), 1);
	harness_observe(&h, true);
	expect(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_FIRST_FRAGMENT);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_WOULD_REFUSE), 1);
}

static void later_fragments_pass(void **state)
{
	struct packet packet = datagram(STRANGER);

	packet.fragment_offset = 1480;
	assert_untouched(&packet, TPS_REASON_LATER_FRAGMENT);
}

static void later_fragments6_pass(void **state)
{
	struct packet packet = datagram(STRANGER6);

	packet.fragment_offset = 1448;
	packet.more_fragments = true;
	assert_untouched(&packet, TPS_REASON_LATER_FRAGMENT);
}

/* Cut anywhere, a frame is charged once or passes: it is never dropped and never an error. */
static void cut_frames_pass(const struct packet *packet)
{
	__u8 frame[PACKET_BYTES_MAX];
	size_t whole = packet_write(packet, frame);

	for (size_t len = 14; len <= whole; len++)
		assert_int_equal(harness_run_frame(&h, frame, len), XDP_PASS);
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_DROP), 0);
	assert_true(harness_packets(&h, 0, TPS_ACTION_PASS, TPS_REASON_MALFORMED) > 40);
}

static void frames_cut_anywhere_pass(void **state)
{
	struct packet packet = syn(STRANGER);

	packet.option_bytes = 8;
	packet.vlan_tags = 2;
	cut_frames_pass(&packet);
}

static void frames6_cut_anywhere_pass(void **state)
{
	struct packet packet = datagram(STRANGER6);

	packet.extension_headers = 3;
	cut_frames_pass(&packet);
}

static void paused_gate_charges_nobody(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_set_tier(&h, 0, limit_frozen(1));
	harness_pause(&h, true);
	for (int i = 0; i < 5; i++)
		expect(&packet, 0, TPS_ACTION_PASS, TPS_REASON_PAUSED);
	assert_transactions(UDP, 0, 0);
	harness_pause(&h, false);
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE("a datagram to a listener is charged to its source", datagram_is_charged),
		CASE("an IPv6 datagram to a listener is charged to its source",
		     datagram6_is_charged),
		CASE("a SYN to a tcp listener is charged to its source", syn_is_charged),
		CASE("an IPv6 SYN to a tcp listener is charged to its source", syn6_is_charged),
		CASE("segments other than SYNs pass a tcp listener uncharged",
		     other_segments_of_tcp_listener_pass),
		CASE("a SYN with a needless PSH is charged", syn_with_other_flags_is_charged),
		CASE("a SYN to a port without a listener passes", other_port_passes),
		CASE("a datagram to the port of a tcp listener passes",
		     same_port_of_other_protocol_passes),
		CASE("what comes from a listener's port number passes",
		     answers_from_listener_port_pass),
		CASE("what was a listener's passes when the listener is deleted",
		     deleted_listener_passes),
		CASE("ARP passes", arp_passes),
		CASE("ICMP passes", icmp_passes),
		CASE("ICMPv6 passes", icmp6_passes),
		CASE("a packet with a VLAN tag is charged", tagged_is_charged),
		CASE("a packet with eight VLAN tags is charged", doubly_tagged_is_charged),
		CASE("a packet with nine VLAN tags is dropped", too_many_tags_are_dropped),
		CASE("a packet with IPv4 options is charged", ip_options_are_charged),
		CASE("a packet with eight extension headers is charged",
		     extension_headers_are_charged),
		CASE("a packet with nine extension headers is dropped",
		     too_many_headers_are_dropped),
		CASE("what cannot be read passes where no listener enforces",
		     unreadable_passes_where_none_enforces),
		CASE("a first fragment is charged", first_fragment_is_charged),
		CASE("an IPv6 first fragment is charged", first_fragment6_is_charged),
		CASE("a first fragment of a request is refused", first_fragment_of_http_is_refused),
		CASE("later fragments pass", later_fragments_pass),
		CASE("later IPv6 fragments pass", later_fragments6_pass),
		CASE("a frame cut at any byte is never dropped", frames_cut_anywhere_pass),
		CASE("an IPv6 frame cut at any byte is never dropped", frames6_cut_anywhere_pass),
		CASE("a paused gate charges nobody, and charges again when resumed",
		     paused_gate_charges_nobody),
	};

	return cmocka_run_group_tests_name("frames", cases, NULL, NULL);
}
