// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handshakes on tls listeners: to whom a hello is charged, once a connection, however it is cut,
 * sent again or forged.
 */
#include "lib/hello_cases.h"

/* ---- to whom ---- */

static void handshake_is_charged_to_the_caller_of_its_name(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet packet = piece(&hello, 0, hello.len);

	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 1, 0);
	assert_int_equal(strangers_allowed(), 0);
	assert_int_not_equal(harness_bucket(&h, acme).proven_tat_vt, 0);
	assert_int_equal(harness_bucket(&h, acme).unproven_tat_vt, 0);
}

static void handshake_without_a_known_name_is_its_sources(void **state)
{
	struct tps_slot office = add_source("198.51.100.0/24", 5);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_UNKNOWN_NAME), 1);
	connect_anew();
	hello_usual(&hello, NULL, 517, 0);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_UNKNOWN_NAME), 1);
	assert_caller(office, 2, 0);
}

static void name_comes_before_the_source(void **state)
{
	struct tps_slot office = add_source("198.51.100.0/24", 5), acme = add_named(NAME, 5);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(office, 0, 0);
	assert_caller(acme, 1, 0);
}

static void longest_name_wins(void **state)
{
	static const struct {
		const char *name;
		int of;
	} names[] = {
		{"api.example.com", 0},     {"x.api.example.com", 2},
		{"y.x.api.example.com", 2}, {"other.example.com", 1},
		{"example.com", 3},         {"a.b.c.d.e.f.g.com", 3},
		{"example.org", -1},        {"com", -1},
		{"notexample.com", 3},
	};
	struct tps_slot callers[] = {add_named("api.example.com", 50),
				     add_named("*.example.com", 50),
				     add_named("*.api.example.com", 50), add_named("*.com", 50)};
	__u64 expected[4] = {0}, strangers = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		connect_anew();
		hello_usual(&hello, names[i].name, 517, i & 1);
		assert_int_equal(send_hello(&hello), XDP_PASS);
		if (names[i].of < 0)
			strangers++;
		else
			expected[names[i].of]++;
		for (int k = 0; k < 4; k++)
			assert_caller(callers[k], expected[k], 0);
		assert_int_equal(strangers_allowed(), strangers);
	}
}

static void suffix_has_up_to_six_labels(void **state)
{
	struct tps_slot six = add_named("*.a.b.c.d.e.f", 5);

	hello_usual(&hello, "x.y.z.a.b.c.d.e.f", 517, 0);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(six, 1, 0);
	connect_anew();
	hello_usual(&hello, "a.b.c.d.e.f", 517, 0);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(six, 1, 0);
}

static void name_of_a_caller_that_has_gone_is_nobodys(void **state)
{
	struct tps_slot acme = add_named(NAME, 5), next = harness_replace_caller(&h, acme, 0, 0);
	struct tps_slot rest;

	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(next, 0, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_UNKNOWN_NAME), 1);
	/* and it hides nobody's suffix */
	rest = add_named("*.example.com", 5);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(rest, 1, 0);
}

/* ---- once a connection ---- */

static void what_follows_a_hello_is_free(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	expect_bound();
	live_answer(&c, &h, SERVER_FLIGHT);
	for (int i = 0; i < 5; i++)
		assert_int_equal(live_send(&c, &h, DATA, sizeof(DATA) - 1), XDP_PASS);
	/* the second hello of a HelloRetryRequest (RFC 8446 4.1.4) */
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND), 7);
	assert_caller(acme, 1, 0);
	assert_int_equal(handshakes(), 1);
}

static void each_connection_is_charged(void **state)
{
	struct tps_slot acme = add_named(NAME, 3);

	for (int i = 0; i < 6; i++) {
		connect_anew();
		assert_int_equal(send_hello(&hello), i < 3 ? XDP_PASS : XDP_DROP);
	}
	assert_caller(acme, 3, 3);
}

static void hello_is_charged_by_the_listeners_cost(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_TLS, .ports = {TLS_PORT}, .cost = 4};
	struct tps_slot acme = add_named(NAME, 7);

	harness_set_listener(&h, TLS, &listener);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_DROP);
	assert_caller(acme, 1, 1);
}

static void forged_syn_does_not_unbind_a_connection(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet packet = live_packet(&c);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	packet.flags = PACKET_SYN;
	packet.seq -= 100;
	harness_run(&h, &packet);
	live_answer(&c, &h, SERVER_FLIGHT);
	expect_bound();
	assert_caller(acme, 1, 0);
}

/* ---- cut ---- */

static void hello_cut_anywhere_is_charged_once_to_its_caller(void **state)
{
	struct tps_slot acme = add_named(NAME, 1000);
	__u64 count = 0;

	for (int last = 0; last < 2; last++) {
		hello_usual(&hello, NAME, 700, last);
		for (size_t at = 1; at < hello.len; at += at < 120 || at > 560 ? 3 : 41) {
			connect_anew();
			assert_int_equal(live_send(&c, &h, hello.bytes, at), XDP_PASS);
			assert_caller(acme, count, 0);
			assert_int_equal(live_send(&c, &h, hello.bytes + at, hello.len - at),
					 XDP_PASS);
			assert_caller(acme, ++count, 0);
			expect_bound();
		}
	}
	assert_int_equal(handshakes(), count);
}

static void hello_in_segments_of_a_byte_is_charged_once_to_its_caller(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	for (size_t i = 0; i < hello.len; i++)
		assert_int_equal(live_send(&c, &h, hello.bytes + i, 1), XDP_PASS);
	assert_caller(acme, 1, 0);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_PARTIAL_HELLO),
			 hello.len - 1);
}

static void hello_of_the_largest_size_is_read_out_of_one_segment(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	hello_usual(&other, NAME, TPS_HELLO_BYTES_MAX + HELLO_BODY_AT, 1);
	hello_record(&other, 16000, &hello);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(acme, 1, 0);
}

static void two_segments_of_one_batch_are_one_hello(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet first = piece(&hello, 0, 300), second = piece(&hello, 300, hello.len);

	/* the host has received neither when the gate sees both */
	expect(&first, TLS, TPS_ACTION_PASS, TPS_REASON_PARTIAL_HELLO);
	expect(&second, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 1, 0);
}

static void segment_beyond_a_partial_hello_is_dropped(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet ahead = piece(&hello, 300, hello.len);

	expect(&ahead, TLS, TPS_ACTION_DROP, TPS_REASON_OUT_OF_ORDER);
	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	ahead = piece(&hello, 300, hello.len);
	ahead.seq -= 200;
	expect(&ahead, TLS, TPS_ACTION_DROP, TPS_REASON_OUT_OF_ORDER);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, 100), XDP_PASS);
	assert_int_equal(live_send(&c, &h, hello.bytes + 300, hello.len - 300), XDP_PASS);
	assert_caller(acme, 1, 0);
	assert_int_equal(handshakes(), 1);
}

static void disorder_without_end_is_paid_by_the_source(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet ahead;
	int dropped = 0;

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	ahead = piece(&hello, 300, hello.len);
	ahead.seq -= 200;
	while (dropped < 1000 && harness_run(&h, &ahead) == XDP_DROP)
		dropped++;
	assert_true(dropped > 10 && dropped < 100);
	assert_caller(acme, 0, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_LONG_HELLO), 1);
}

static void old_bytes_before_new_ones_are_not_read_twice(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet whole = piece(&hello, 0, hello.len);

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	expect(&whole, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 1, 0);
}

/* ---- sent again ---- */

static void hello_that_the_host_has_is_free_when_it_comes_again(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet again = piece(&hello, 0, hello.len);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	expect(&again, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND);
	assert_caller(acme, 1, 0);
}

static void part_of_a_hello_that_the_host_has_is_free_when_it_comes_again(void **state)
{
	struct packet again = piece(&hello, 0, 200);

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	expect(&again, TLS, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_int_equal(handshakes(), 0);
}

/* Whichever of the two the host believes is paid. */
static void hello_that_the_host_has_not_is_paid_again(void **state)
{
	struct tps_slot acme = add_named(NAME, 5), iron = add_named("iron.example.com", 5);
	struct packet first = piece(&hello, 0, hello.len), second;

	hello_usual(&other, "iron.example.com", 517, 0);
	second = piece(&other, 0, other.len);
	expect(&first, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	expect(&second, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 1, 0);
	assert_caller(iron, 1, 0);
}

static void first_part_that_the_host_has_not_is_read_anew(void **state)
{
	struct tps_slot acme = add_named(NAME, 5), iron = add_named("iron.example.com", 5);
	struct packet first = piece(&hello, 0, 300), second;

	hello_usual(&other, "iron.example.com", 517, 0);
	second = piece(&other, 0, 310);
	expect(&first, TLS, TPS_ACTION_PASS, TPS_REASON_PARTIAL_HELLO);
	expect(&second, TLS, TPS_ACTION_PASS, TPS_REASON_PARTIAL_HELLO);
	second = piece(&other, 310, other.len);
	expect(&second, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 0, 0);
	assert_caller(iron, 1, 0);
}

static void later_part_that_the_host_has_not_is_paid_by_the_source(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet rest = piece(&hello, 200, hello.len);

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	expect(&rest, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	expect(&rest, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_caller(acme, 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_VOID), 1);
}

static void refused_hello_is_asked_again(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	for (int i = 0; i < 3; i++)
		assert_int_equal(send_hello(&hello), XDP_DROP);
	harness_set_own_limit(&h, acme, limit_per_second(1000, 1));
	usleep(10000);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	expect_bound();
	assert_caller(acme, 2, 3);
}

static void last_part_of_a_refused_hello_is_asked_again(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	assert_int_equal(live_send(&c, &h, hello.bytes, 300), XDP_PASS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(live_send(&c, &h, hello.bytes + 300, hello.len - 300), XDP_DROP);
	harness_set_own_limit(&h, acme, limit_per_second(1000, 1));
	usleep(10000);
	assert_int_equal(live_send(&c, &h, hello.bytes + 300, hello.len - 300), XDP_PASS);
	assert_caller(acme, 2, 3);
}

/* ---- connections older than their entry ---- */

static void connection_older_than_the_gate_is_free(void **state)
{
	struct packet packet;

	live_close(&c);
	live_connect(&c, tls_listener, CLIENT, SERVER, TLS_PORT);
	live_deliver(&c, hello.bytes, hello.len);
	live_answer(&c, &h, SERVER_FLIGHT);
	packet = data_packet();
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED);
	expect_bound();
	assert_int_equal(handshakes(), 0);
}

static void hello_whose_beginning_was_not_seen_is_its_sources(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	live_close(&c);
	live_connect(&c, tls_listener, CLIENT, SERVER, TLS_PORT);
	live_deliver(&c, hello.bytes, 200);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, hello.len - 200), XDP_PASS);
	expect_bound();
	assert_caller(acme, 0, 0);
	assert_int_equal(strangers_allowed(), 1);
}

static void hello_whose_entry_was_evicted_is_its_sources(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	harness_forget_flows(&h);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, hello.len - 200), XDP_PASS);
	assert_caller(acme, 0, 0);
	assert_int_equal(handshakes(), 1);
}

static void connection_that_began_while_paused_is_free(void **state)
{
	harness_pause(&h, true);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_PASS);
	live_answer(&c, &h, SERVER_FLIGHT);
	harness_pause(&h, false);
	assert_int_equal(live_send(&c, &h, DATA, sizeof(DATA) - 1), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED), 1);
	assert_int_equal(handshakes(), 0);
}

static void bound_connection_stays_bound_over_a_change(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	assert_int_equal(send_hello(&hello), XDP_PASS);
	live_answer(&c, &h, SERVER_FLIGHT);
	harness_pause(&h, true);
	harness_pause(&h, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(live_send(&c, &h, DATA, sizeof(DATA) - 1), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND), 3);
	assert_caller(acme, 1, 0);
}

/* An entry of the other protocol is none. */
static void listener_that_changes_its_protocol_begins_anew(void **state)
{
	struct harness_listener http = {.protocol = TPS_PROTOCOL_HTTP, .ports = {TLS_PORT}};
	struct tps_slot acme = add_named(NAME, 5);

	harness_set_listener(&h, TLS, &http);
	assert_int_equal(live_send_text(&c, &h, "GET / HTTP/1.1\r\nHost: "), XDP_PASS);
	set_tls(TPS_REFUSAL_DROP, TPS_MODE_ENFORCE);
	assert_int_equal(live_send_text(&c, &h, "api.example.com\r\n\r\n"), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_VOID), 1);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(acme, 1, 0);
	harness_set_listener(&h, TLS, &http);
	connect_anew();
	assert_int_equal(live_send_text(&c, &h, GET), XDP_PASS);
	assert_int_equal(strangers_allowed(), 2);
}

/* ---- what names nobody ---- */

static void what_is_no_hello_is_its_sources_and_paid_once(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	assert_int_equal(live_send_text(&c, &h, GET), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_NOT_HELLO), 1);
	assert_int_equal(live_send_text(&c, &h, GET), XDP_PASS);
	assert_int_equal(handshakes(), 1);
	assert_int_equal(strangers_allowed(), 1);
	assert_caller(acme, 0, 0);
}

static void undecided_hello_is_refused_with_its_source(void **state)
{
	add_source("198.51.100.0/24", 1);
	hello.bytes[HELLO_SESSION_AT]++;
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_BAD_HELLO), 1);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_DROP);
}

static void urgent_data_is_dropped_until_the_hello_has_ended(void **state)
{
	struct packet packet = piece(&hello, 0, hello.len);

	packet.flags = PACKET_ACK | PACKET_URG;
	expect(&packet, TLS, TPS_ACTION_DROP, TPS_REASON_URGENT);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	packet = data_packet();
	packet.flags = PACKET_ACK | PACKET_URG;
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND);
	/* and so with an ack that was not seen before */
	live_answer(&c, &h, "server hello");
	packet = data_packet();
	packet.flags = PACKET_ACK | PACKET_URG;
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND);
}

/* ---- forged ---- */

static void forged_hello_spends_its_sources_unproven_word(void **state)
{
	struct tps_slot acme = add_named(NAME, 5), office = add_source("198.51.100.0/24", 5);
	struct tps_bucket before;
	struct packet forged;

	assert_int_equal(send_hello(&hello), XDP_PASS);
	before = harness_bucket(&h, office);
	assert_int_equal(before.proven_tat_vt, 0);
	for (int i = 0; i < 50; i++) {
		forged = piece(&hello, 0, hello.len);
		forged.source_port = 2000 + i;
		harness_run(&h, &forged);
	}
	assert_caller(acme, 1, 0);
	assert_caller(office, 5, 45);
	assert_int_equal(harness_bucket(&h, office).proven_tat_vt, 0);
	assert_int_equal(harness_flows(&h), 1);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_NO_HANDSHAKE), 50);
	/* and the connection goes on */
	expect_bound();
}

static void forged_numbers_reach_no_connection(void **state)
{
	struct tps_slot acme = add_named(NAME, 50);
	__u32 flows = harness_flows(&h);

	for (__u32 i = 1; i <= 1000; i++) {
		struct packet forged = piece(&hello, 0, hello.len);

		forged.seq += i * 2654435761u;
		forged.ack += i * 40503u << 8;
		harness_run(&h, &forged);
	}
	assert_int_equal(harness_bucket(&h, acme).proven_tat_vt, 0);
	assert_int_equal(harness_flows(&h), flows);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	assert_caller(acme, 1, 0);
}

static void forged_data_is_nobodys_transaction(void **state)
{
	struct packet forged = data_packet();

	forged.source_port = 2000;
	expect(&forged, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED);
	assert_int_equal(handshakes(), 0);
	assert_int_equal(harness_flows(&h), 0);
}

static void forged_pieces_do_not_move_an_open_hello(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet forged;

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	forged = piece(&hello, 200, hello.len);
	forged.seq -= 200;
	forged.ack += 0x20000000;
	assert_int_equal(harness_run(&h, &forged), XDP_DROP);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, hello.len - 200), XDP_PASS);
	assert_caller(acme, 1, 0);
	assert_int_equal(handshakes(), 1);
}

static void hello_in_a_syn_is_unproven(void **state)
{
	struct tps_slot acme = add_named(NAME, 5), office = add_source("198.51.100.0/24", 1);
	struct packet packet = piece(&hello, 0, hello.len);

	packet.source_port = 2000;
	packet.flags = PACKET_SYN;
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	expect(&packet, TLS, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_SYN_PAYLOAD), 2);
	assert_int_equal(harness_bucket(&h, office).proven_tat_vt, 0);
	assert_caller(acme, 0, 0);
}

/* ---- switches and answers ---- */

static void observed_hello_passes_and_is_told(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	set_tls(TPS_REFUSAL_ANSWER, TPS_MODE_OBSERVE);
	for (int i = 0; i < 3; i++) {
		connect_anew();
		assert_int_equal(send_hello(&hello), XDP_PASS);
		expect_bound();
	}
	assert_caller(acme, 1, 0);
	assert_int_equal(harness_caller_count(&h, acme, TPS_VERDICT_WOULD_REFUSE), 2);
}

/* The hello becomes a byte that the server has; the ACK that it draws becomes the alert. */
static void refused_hello_asks_for_an_alert(void **state)
{
	static __u8 frame[PACKET_BYTES_MAX];
	struct tps_splice splice;
	struct packet packet;
	struct wire wire;
	size_t len;

	add_named(NAME, 1);
	set_tls(TPS_REFUSAL_ANSWER, TPS_MODE_ENFORCE);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	packet = piece(&hello, 0, hello.len);
	len = packet_write(&packet, frame);
	assert_int_equal(harness_turn(&h, frame, &len), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_LIMIT), 1);
	assert_true(wire_read(frame, len, &wire));
	assert_int_equal(wire.sum, WIRE_RIGHT);
	assert_int_equal(wire.seq, packet.seq - 1);
	assert_int_equal(wire.payload_bytes, 1);
	assert_true(harness_splice(&h, &packet, &splice));
	assert_int_equal(splice.want, TPS_WANT_CLOSE);
	assert_int_equal(splice.answer.form, TPS_FORM_ALERT);
	assert_int_equal(splice.want_bytes, hello.len);
	assert_int_equal(splice.reason, TPS_REASON_LIMIT);
}

static void refused_hello_asks_for_a_reset(void **state)
{
	struct tps_splice splice;
	struct packet packet;

	add_named(NAME, 1);
	set_tls(TPS_REFUSAL_RESET, TPS_MODE_ENFORCE);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	assert_int_equal(live_send(&c, &h, hello.bytes, 100), XDP_PASS);
	packet = piece(&hello, 100, hello.len);
	packet.seq -= 100;
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_true(harness_splice(&h, &packet, &splice));
	assert_int_equal(splice.want, TPS_WANT_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HELLO_CASE("a handshake is charged to the caller of its name",
			   handshake_is_charged_to_the_caller_of_its_name),
		HELLO_CASE("a handshake without a name that somebody has is its source's",
			   handshake_without_a_known_name_is_its_sources),
		HELLO_CASE("the name comes before the source", name_comes_before_the_source),
		HELLO_CASE("the longest name wins", longest_name_wins),
		HELLO_CASE("a suffix has up to six labels", suffix_has_up_to_six_labels),
		HELLO_CASE("the name of a caller that has gone is nobody's",
			   name_of_a_caller_that_has_gone_is_nobodys),
		HELLO_CASE("what follows a hello is free", what_follows_a_hello_is_free),
		HELLO_CASE("each connection is charged", each_connection_is_charged),
		HELLO_CASE("a hello is charged by the listener's cost",
			   hello_is_charged_by_the_listeners_cost),
		HELLO_CASE("a forged SYN does not unbind a connection",
			   forged_syn_does_not_unbind_a_connection),
		HELLO_CASE("a hello cut anywhere is charged once, to its caller",
			   hello_cut_anywhere_is_charged_once_to_its_caller),
		HELLO_CASE("a hello in segments of a byte is charged once, to its caller",
			   hello_in_segments_of_a_byte_is_charged_once_to_its_caller),
		HELLO_CASE("a hello of the largest size is read out of one segment",
			   hello_of_the_largest_size_is_read_out_of_one_segment),
		HELLO_CASE("two segments of one batch are one hello",
			   two_segments_of_one_batch_are_one_hello),
		HELLO_CASE("a segment beyond a partial hello is dropped",
			   segment_beyond_a_partial_hello_is_dropped),
		HELLO_CASE("disorder without end is paid by the source",
			   disorder_without_end_is_paid_by_the_source),
		HELLO_CASE("old bytes before new ones are not read twice",
			   old_bytes_before_new_ones_are_not_read_twice),
		HELLO_CASE("a hello that the host has is free when it comes again",
			   hello_that_the_host_has_is_free_when_it_comes_again),
		HELLO_CASE("a part of a hello that the host has is free when it comes again",
			   part_of_a_hello_that_the_host_has_is_free_when_it_comes_again),
		HELLO_CASE("a hello that the host has not is paid again",
			   hello_that_the_host_has_not_is_paid_again),
		HELLO_CASE("a first part that the host has not is read anew",
			   first_part_that_the_host_has_not_is_read_anew),
		HELLO_CASE("a later part that the host has not is paid by the source",
			   later_part_that_the_host_has_not_is_paid_by_the_source),
		HELLO_CASE("a refused hello is asked again", refused_hello_is_asked_again),
		HELLO_CASE("the last part of a refused hello is asked again",
			   last_part_of_a_refused_hello_is_asked_again),
		HELLO_CASE("a connection older than the gate is free",
			   connection_older_than_the_gate_is_free),
		HELLO_CASE("a hello whose beginning was not seen is its source's",
			   hello_whose_beginning_was_not_seen_is_its_sources),
		HELLO_CASE("a hello whose entry was evicted is its source's",
			   hello_whose_entry_was_evicted_is_its_sources),
		HELLO_CASE("a connection that began while the gate was paused is free",
			   connection_that_began_while_paused_is_free),
		HELLO_CASE("a bound connection stays bound over a change",
			   bound_connection_stays_bound_over_a_change),
		HELLO_CASE("a listener that changes its protocol begins anew",
			   listener_that_changes_its_protocol_begins_anew),
		HELLO_CASE("what is no hello is its source's, and paid once",
			   what_is_no_hello_is_its_sources_and_paid_once),
		HELLO_CASE("an undecided hello is refused with its source",
			   undecided_hello_is_refused_with_its_source),
		HELLO_CASE("urgent data is dropped until the hello has ended",
			   urgent_data_is_dropped_until_the_hello_has_ended),
		HELLO_CASE("a forged hello spends its source's unproven word",
			   forged_hello_spends_its_sources_unproven_word),
		HELLO_CASE("forged numbers reach no connection",
			   forged_numbers_reach_no_connection),
		HELLO_CASE("forged data is nobody's transaction",
			   forged_data_is_nobodys_transaction),
		HELLO_CASE("forged pieces do not move an open hello",
			   forged_pieces_do_not_move_an_open_hello),
		HELLO_CASE("a hello in a SYN is unproven", hello_in_a_syn_is_unproven),
		HELLO_CASE("an observed hello passes, and is told",
			   observed_hello_passes_and_is_told),
		HELLO_CASE("a refused hello asks for an alert", refused_hello_asks_for_an_alert),
		HELLO_CASE("a refused hello asks for a reset", refused_hello_asks_for_a_reset),
	};

	return cmocka_run_group_tests_name("hellos", tests, group_open, group_close);
}
