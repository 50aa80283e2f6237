// SPDX-License-Identifier: GPL-2.0-only
/*
 * Refusals that the client learns of: what becomes of the refused packet, on a connection that was
 * never answered and on one that was. Each is on a real socket's connection.
 */
#include "lib/far.h"
#include "lib/refused.h"

#include <poll.h>
#include <stdlib.h>

/* ---- the first answer of a connection is asked for ---------------------------------------------
 */

/* The packet became one byte before its first, which the server has, with the client's ack. */
static void assert_asked(enum tps_want want, bool has_body)
{
	struct tps_splice splice = splice_now();

	assert_same_way();
	assert_int_equal(t.now.seq, t.was.seq - 1);
	assert_int_equal(t.now.ack, t.was.ack);
	assert_int_equal(t.now.flags, PACKET_ACK);
	assert_int_equal(t.now.window, t.was.window);
	assert_memory_equal(t.now.options, t.was.options, sizeof(t.now.options));
	assert_int_equal(t.now.payload_bytes, 1);
	assert_int_equal(t.now.payload[0], 0);
	assert_int_equal(splice.want, want);
	assert_int_equal(splice.want_seq, t.was.seq);
	assert_int_equal(splice.want_ack, t.was.ack);
	assert_int_equal(splice.want_bytes, t.was.payload_bytes);
	assert_int_equal(splice.answer.closes, want == TPS_WANT_CLOSE);
	assert_int_equal(splice.answer.form, has_body);
	assert_int_equal(splice.swallowed, 0);
	assert_int_equal(splice.injected, 0);
	assert_int_equal(splice.state, TPS_SPLICE_OPEN);
}

static void asked(const struct packet *packet, enum tps_want want, bool has_body)
{
	__u64 refused = harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED);

	expect_turn(packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_asked(want, has_body);
	assert_true(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED) > refused);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_CLOSE, TPS_REASON_LIMIT), 0);
}

static void first_refusal_asks_the_server_for_an_ack(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet;

		shape_open(shape);
		packet = shaped(asks(GET), shape);
		asked(&packet, TPS_WANT_ANSWER, true);
		assert_int_equal(harness_splices(&h), shape + 1);
		assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), shape + 1);
	}
	assert_transactions(HTTP, 0, SHAPES);
}

static void request_within_the_limit_is_not_touched(void **state)
{
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet;

		shape_open(shape);
		packet = shaped(asks(GET), shape);
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
		assert_identical();
	}
	assert_int_equal(harness_splices(&h), 0);
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 0);
	assert_transactions(HTTP, SHAPES, 0);
}

static void refusal_by_drop_drops(void **state)
{
	struct packet packet = asks(GET);

	refuse_all_by(TPS_REFUSAL_DROP);
	dropped(&packet);
	assert_transactions(HTTP, 0, 1);
}

/* A response would be a wrong byte there. */
static void what_may_not_be_http_is_dropped(void **state)
{
	static const char *const upgrades[] = {
		GET_WITH("Connection: Upgrade\r\nUpgrade: websocket"),
		GET_WITH("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
			 "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	struct packet packet = asks(upgrades[2]);

	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	for (size_t i = 0; i < sizeof(upgrades) / sizeof(*upgrades); i++) {
		shape_open(0);
		refuse_by(TPS_REFUSAL_ANSWER, 1);
		assert_int_equal(live_send_text(&c, &h, upgrades[i]), XDP_PASS);
		live_answer(&c, &h, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
		refuse_all_by(TPS_REFUSAL_ANSWER);
		packet = asks(GET);
		expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	}
	/* but an upgrade itself is a request, which need not be granted */
	shape_open(0);
	packet = asks(upgrades[0]);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(harness_splices(&h), 1);
}

static void connection_older_than_its_entry_is_answered_behind_a_response(void **state)
{
	struct packet packet;

	live_deliver(&c, GET, strlen(GET));
	packet = asks("\r\nGET / HTTP/1.1\r\n"); /* perhaps of a body */
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_int_equal(harness_splices(&h), 0);
	live_answer(&c, &h, OK);
	packet = asks(GET);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(harness_splices(&h), 1);
}

static void observed_request_is_not_touched(void **state)
{
	struct packet packet = asks(GET);

	harness_observe(&h, true);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_identical();
	assert_int_equal(harness_splices(&h), 0);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_WOULD_REFUSE), 1);
}

static void refused_request_twice_is_one_entry(void **state)
{
	struct packet packet = asks(GET);

	for (int i = 0; i < 3; i++)
		asked(&packet, TPS_WANT_ANSWER, true);
	assert_int_equal(harness_splices(&h), 1);
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 1);
	assert_transactions(HTTP, 0, 3);
}

static void options_of_ip_and_ipv6_do_not_matter(void **state)
{
	struct packet packet = asks(GET);

	packet.option_bytes = 8;
	asked(&packet, TPS_WANT_ANSWER, true);
	shape_open(1);
	packet = asks(GET);
	packet.extension_headers = 2;
	asked(&packet, TPS_WANT_ANSWER, true);
}

static void request_on_a_new_socket_is_not_answered_before_its_handshake(void **state)
{
	struct live remote;
	struct packet packet = live_half_open(&remote, "198.18.0.9", SERVER, HTTP_PORT);

	packet.payload = GET_LONG;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(t.now.seq, t.was.seq - 1);
	assert_int_equal(t.now.payload_bytes, 1);
	/* neither with an ack that the SYN-ACK does not bear out */
	packet.ack++;
	dropped(&packet);
	live_close(&remote);
}

/* The refused request became the handshake's last ACK, which makes the host's socket: when it comes
 * next, it is one of an open connection. */
static void assert_opens(const struct packet *packet, struct live *remote)
{
	struct pollfd made = {.fd = http_listener, .events = POLLIN};
	struct tps_splice splice;

	assert_same_way();
	assert_int_equal(t.now.seq, t.was.seq);
	assert_int_equal(t.now.ack, t.was.ack);
	assert_int_equal(t.now.flags, PACKET_ACK);
	assert_int_equal(t.now.window, t.was.window);
	assert_int_equal(t.now.payload_bytes, 0);
	live_receive(t.frame, t.len);
	assert_int_equal(poll(&made, 1, 2000), 1);
	remote->server = accept(http_listener, NULL, NULL);
	assert_true(remote->server >= 0);
	expect_turn(packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(t.now.seq, t.was.seq - 1);
	assert_int_equal(t.now.payload_bytes, 1);
	assert_true(harness_splice(&h, packet, &splice));
	assert_int_equal(splice.want, TPS_WANT_ANSWER);
	assert_int_equal(splice.want_seq, t.was.seq);
}

/* The host's connection request takes no ack from a byte that it has (Linux: tcp_check_req()). */
static void request_sent_again_ends_a_handshake_whose_ack_was_lost(void **state)
{
	struct live remote;
	struct packet packet = live_half_open(&remote, "198.18.0.11", SERVER, HTTP_PORT);

	packet.payload = GET_LONG;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(t.now.payload_bytes, 1);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_opens(&packet, &remote);
	live_close(&remote);
}

/* Nor does the host send its SYN-ACK again. */
static void request_on_a_syn_cookie_ends_the_handshake(void **state)
{
	struct live remote;
	struct packet packet;

	live_use_cookies(true);
	packet = live_half_open(&remote, "198.18.0.12", SERVER, HTTP_PORT);
	live_use_cookies(false);
	packet.payload = GET_LONG;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_opens(&packet, &remote);
	live_close(&remote);
}

/* The client sends it again, and it passes whole: the server's ACK must not become an answer beside
 * its response. */
static void answer_is_wanted_no_more_once_the_request_passes(void **state)
{
	struct packet packet = asks(GET);

	asked(&packet, TPS_WANT_ANSWER, true);
	packet.payload = NULL;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_int_equal(splice_now().want, TPS_WANT_ANSWER);
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	packet.payload = GET;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_identical();
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
}

/* The table never evicts. Who found no room is refused by drop; who is in it is not forgotten. */
static void full_table_refuses_by_drop(void **state)
{
	static const struct harness_sizes one = {.spliced = 1};
	struct packet packet = asks(GET);
	struct live other;

	case_open_sized(&one);
	refuse_all_by(TPS_REFUSAL_ANSWER);
	asked(&packet, TPS_WANT_ANSWER, true);
	live_open(&other, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	packet = live_packet(&other);
	packet.payload = GET;
	dropped(&packet);
	live_close(&other);
	packet = asks(GET);
	asked(&packet, TPS_WANT_ANSWER, true);
}

/* ---- what it tells -----------------------------------------------------------------------------
 */

static void assert_tells(enum tps_reason reason, const char *name, __u32 least_s, __u32 most_s)
{
	struct tps_answer answer = splice_now().answer;

	assert_int_equal(splice_now().reason, reason);
	assert_string_equal(answer.name, name);
	assert_in_range(answer.retry_s, least_s, most_s);
}

/* A frozen limit has its next token in 71 s. */
static void answer_tells_when_the_stranger_has_its_next_token(void **state)
{
	struct packet packet;

	refuse_by(TPS_REFUSAL_ANSWER, 1);
	harness_set_tier(&h, 0, limit_frozen(1));
	assert_passes(GET);
	answer();
	packet = asks(GET);
	asked(&packet, TPS_WANT_ANSWER, true);
	assert_tells(TPS_REASON_LIMIT, "tier-0", 70, 71);
}

static void answer_tells_when_the_caller_has_its_next_token(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);
	struct packet packet;

	refuse_by(TPS_REFUSAL_ANSWER, 1);
	harness_set_tier(&h, 3, limit_frozen(9));
	harness_set_tier_of(&h, gold, 3);
	assert_passes(GET_KEY("gold"));
	answer();
	packet = asks(GET_KEY("gold"));
	asked(&packet, TPS_WANT_ANSWER, true);
	assert_tells(TPS_REASON_LIMIT, "tier-3", 70, 71);
}

static void answer_tells_how_long_the_ban_lasts(void **state)
{
	struct tps_slot gold = add_keyed("gold", 10);
	struct packet packet = asks(GET_KEY("gold"));

	refuse_by(TPS_REFUSAL_ANSWER, 1);
	harness_ban_caller(&h, gold, harness_now_ns() + 10 * BUCKET_NS_PER_SEC);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_BANNED_CALLER);
	assert_asked(TPS_WANT_ANSWER, true);
	assert_tells(TPS_REASON_BANNED_CALLER, "tier-0", 9, 10);
	harness_ban_caller(&h, gold, ~0ULL);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_BANNED_CALLER);
	assert_tells(TPS_REASON_BANNED_CALLER, "tier-0", 0x7fffffff, 0x7fffffff);
}

static void answer_tells_of_the_listeners_limit(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.refusal = TPS_REFUSAL_ANSWER,
		.limit = limit_frozen(1),
	};
	struct packet packet;

	harness_set_listener(&h, HTTP, &listener);
	assert_passes(GET);
	answer();
	packet = asks(GET);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LISTENER_LIMIT);
	assert_asked(TPS_WANT_ANSWER, true);
	assert_tells(TPS_REASON_LISTENER_LIMIT, "listener", 70, 71);
}

/* ---- whether the connection lives on -----------------------------------------------------------
 */

struct form {
	const char *text;
	enum tps_want want;
	bool has_body;
};

static void one_request_alone_is_answered_else_the_connection_ends(void **state)
{
	static const struct form forms[] = {
		{GET, TPS_WANT_ANSWER, true},
		{HEAD, TPS_WANT_ANSWER, false},
		{"\r\n" GET, TPS_WANT_ANSWER, false}, /* who knows what it is */
		{POST "hello", TPS_WANT_ANSWER, true},
		{POST "he", TPS_WANT_CLOSE, true},
		{POST, TPS_WANT_CLOSE, true},
		{POST "hello" GET, TPS_WANT_CLOSE, false},
		{GET GET, TPS_WANT_CLOSE, false},
		{GET HEAD, TPS_WANT_CLOSE, false},
		{GET "GET / HT", TPS_WANT_CLOSE, false},
		{GET_WITH("Connection: close"), TPS_WANT_CLOSE, true},
		{GET_WITH("Connection: keep-alive"), TPS_WANT_ANSWER, true},
		{"GET / HTTP/1.0\r\nHost: api.example.com\r\n\r\n", TPS_WANT_CLOSE, true},
		{GET_WITH(" folded"), TPS_WANT_CLOSE, false},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct packet packet;

		shape_open(0);
		packet = asks(forms[i].text);
		asked(&packet, forms[i].want, forms[i].has_body);
	}
}

static void listener_that_closes_ends_the_connection(void **state)
{
	struct packet packet = asks(GET);

	refuse_all_by(TPS_REFUSAL_CLOSE);
	asked(&packet, TPS_WANT_CLOSE, true);
}

static void while_draining_each_answer_ends_its_connection(void **state)
{
	struct tps_control control = harness_control(&h);
	struct packet packet = asks(GET);

	control.draining = 1;
	harness_set_control(&h, &control);
	asked(&packet, TPS_WANT_CLOSE, true);
	control.draining = 0;
	harness_set_control(&h, &control);
	packet = asks(GET);
	asked(&packet, TPS_WANT_ANSWER, true);
}

static void listener_that_resets_wants_a_reset(void **state)
{
	struct packet packet = asks(GET);

	refuse_all_by(TPS_REFUSAL_RESET);
	asked(&packet, TPS_WANT_RESET, true);
}

/* The server knows how it began. */
static void last_part_of_a_head_ends_the_connection(void **state)
{
	struct packet packet;

	assert_passes("GET / HTTP/1.1\r\nHost: api.exa");
	packet = asks("mple.com\r\n\r\n");
	asked(&packet, TPS_WANT_CLOSE, false);
}

/* A segment that begins before what is new to the parser, and is one request's end to it. */
static void what_begins_before_the_request_is_dropped(void **state)
{
	struct packet packet = asks(GET GET);

	assert_passes("GET / HTTP/1.1\r\nHost: api.exa");
	dropped(&packet);
}

/* ---- what the server's socket must be ----------------------------------------------------------
 */

/* The client would lose what the server has sent: its last bytes may still be lost. */
static void request_before_the_servers_last_bytes_are_acked_is_dropped(void **state)
{
	struct packet packet;

	live_answer(&c, &h, OK);
	packet = asks(GET);
	packet.ack -= strlen(OK);
	dropped(&packet);
	packet.ack += strlen(OK) - 1;
	dropped(&packet);
	packet.ack++;
	asked(&packet, TPS_WANT_ANSWER, true);
}

/* Bytes that the server has already are none of a request to be answered. */
static void request_that_the_server_has_is_dropped_or_old(void **state)
{
	struct packet packet = asks(GET);

	live_deliver(&c, GET, strlen(GET));
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_identical();
	packet.payload = GET GET;
	dropped(&packet);
}

static void socket_that_closes_is_not_answered(void **state)
{
	struct packet packet;

	shutdown(c.server, SHUT_WR); /* FIN_WAIT2 soon */
	packet = asks(GET);
	dropped(&packet);
}

/* ---- at once, on a connection that was answered before -----------------------------------------
 */

/* The packet went back as a whole answer. */
static void assert_answered(bool has_body)
{
	struct tps_splice splice = splice_now();

	assert_way_back();
	assert_int_equal(t.now.ttl, 64);
	assert_int_equal(t.now.seq, t.was.ack);
	assert_int_equal(t.now.ack, t.was.seq + t.was.payload_bytes);
	assert_int_equal(t.now.flags, PACKET_PSH | PACKET_ACK);
	assert_int_equal(t.now.window, 0x1234);
	assert_int_equal(t.now.option_bytes, t.was.option_bytes);
	if (t.now.option_bytes) {
		assert_int_equal(wire_option32(&t.now, 0), 0x0101080a);
		assert_int_equal(wire_option32(&t.now, 4), TIMES_ECHO);
		assert_int_equal(wire_option32(&t.now, 8), TIMES);
	}
	assert_answer(&t.now, false, has_body);
	assert_int_equal(splice.answer.bytes, t.now.payload_bytes);
	assert_int_equal(splice.answer.form, has_body);
	assert_int_equal(splice.want, TPS_WANT_NOTHING);
	assert_int_equal(splice.unacked, 1);
}

static void answered(const struct packet *packet, bool has_body)
{
	__u64 given = harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT);
	__u64 refused = harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED);

	expect_turn(packet, HTTP, TPS_ACTION_TX, TPS_REASON_LIMIT);
	assert_answered(has_body);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT),
			 given + 1);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED), refused + 1);
}

static void assert_counts(const struct packet *packet, const struct tps_splice *before)
{
	struct tps_splice splice = splice_now();
	struct packet next = live_packet(&c);

	assert_int_equal(splice.swallowed_before, before->swallowed);
	assert_int_equal(splice.injected_before, before->injected);
	assert_int_equal(splice.swallowed, before->swallowed + (__u32)strlen(packet->payload));
	assert_int_equal(splice.injected, before->injected + (__u32)t.now.payload_bytes);
	assert_int_equal(splice.asked_seq, next.seq);
	assert_int_equal(splice.edge_seq, next.ack);
}

static void request_on_an_answered_connection_becomes_the_answer(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct tps_splice before;
		struct packet packet;

		shape_open(shape);
		splice_open();
		before = splice_now();
		packet = shaped(spliced_asks(GET_LONG), shape);
		answered(&packet, true);
		assert_counts(&packet, &before);
	}
	assert_transactions(HTTP, 0, SHAPES);
}

/* Each acks the answer before. */
static void answers_follow_each_other(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);

	splice_open();
	for (int i = 0; i < 100; i++) {
		struct tps_splice before = splice_now();

		answered(&packet, true);
		assert_counts(&packet, &before);
		packet.seq += t.was.payload_bytes;
		packet.ack += t.now.payload_bytes;
	}
	/* and one within the limit is the server's next byte */
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_int_equal(t.now.seq, live_packet(&c).seq);
	assert_int_equal(t.now.ack, live_packet(&c).ack);
}

static void answer_to_a_head_request_has_no_body(void **state)
{
	struct packet packet = spliced_asks(HEAD);

	splice_open();
	answered(&packet, false);
}

static void answer_without_room_for_its_body_has_none(void **state)
{
	struct packet packet = spliced_asks("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

	splice_open();
	answered(&packet, false);
	packet.seq += t.was.payload_bytes;
	packet.ack += t.now.payload_bytes;
	packet.payload = GET_LONG;
	answered(&packet, true);
}

/* It goes the long way instead: the server's ACK will tell whether there is room by then. */
static void assert_asked_on_a_spliced_connection(const struct packet *packet, enum tps_want want)
{
	struct tps_splice before = splice_now(), splice;
	struct packet next = live_packet(&c);

	expect_turn(packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_same_way();
	assert_int_equal(t.now.seq, next.seq - 1);
	assert_int_equal(t.now.ack, next.ack);
	assert_int_equal(t.now.payload_bytes, 1);
	splice = splice_now();
	assert_int_equal(splice.want, want);
	assert_int_equal(splice.want_seq, next.seq);
	assert_int_equal(splice.want_ack, next.ack);
	assert_int_equal(splice.swallowed, before.swallowed);
	assert_int_equal(splice.injected, before.injected);
	assert_int_equal(splice.asked_seq, before.asked_seq);
}

static void answer_fits_the_clients_window(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);
	struct tps_splice splice = splice_make();
	size_t bytes;

	splice.window_shift = 0;
	harness_set_splice(&h, &packet, &splice);
	answered(&packet, true);
	bytes = t.now.payload_bytes;
	packet.window = bytes;
	harness_set_splice(&h, &packet, &splice);
	answered(&packet, true);
	packet.window = bytes - 1;
	harness_set_splice(&h, &packet, &splice);
	answered(&packet, false);
	packet.window = t.now.payload_bytes - 1;
	harness_set_splice(&h, &packet, &splice);
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_ANSWER);
	splice.window_shift = 2; /* four times the room */
	harness_set_splice(&h, &packet, &splice);
	answered(&packet, true);
}

static void header_with_other_options_is_not_turned_round(void **state)
{
	/* MD5 (RFC 2385), and SACK */
	static const __u8 md5[20] = "\x13\x12................\x01\x01";
	static const __u8 sack[12] = "\x01\x01\x05\x0a\0\0\0\1\0\0\0\2";
	struct packet packet = spliced_asks(GET_LONG);

	splice_open();
	packet.tcp_options = md5;
	packet.tcp_option_bytes = sizeof(md5);
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_ANSWER);
	assert_memory_equal(t.now.options, md5, sizeof(md5));
	packet.tcp_options = sack;
	packet.tcp_option_bytes = sizeof(sack);
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_ANSWER);
	packet.timestamp = TIMES;
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_ANSWER);
}

static void answer_leaves_by_the_device_that_leads_to_the_client(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);
	struct tps_splice splice = splice_make();

	splice.ifindex++;
	harness_set_splice(&h, &packet, &splice);
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_ANSWER);
	assert_int_equal(splice_now().ifindex, if_nametoindex("lo"));
}

static void two_requests_on_an_answered_connection_end_it(void **state)
{
	struct packet packet = spliced_asks(GET GET);

	splice_open();
	assert_asked_on_a_spliced_connection(&packet, TPS_WANT_CLOSE);
}

/* What it knows of the answer before would be lost. */
static void request_before_the_last_answer_is_acked_is_dropped(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);
	struct tps_splice splice;

	splice_open();
	packet.ack -= 1;
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	splice = splice_now();
	assert_int_equal(splice.want, TPS_WANT_NOTHING);
	assert_int_equal(splice.swallowed, SWALLOWED);
	packet.ack += 1;
	answered(&packet, true);
}

static void answer_waits_until_the_servers_bytes_are_acked(void **state)
{
	struct packet packet;

	splice_open();
	live_answer(&c, &h, OK);
	packet = spliced_asks(GET_LONG);
	packet.ack -= 1;
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
	assert_int_equal(splice_now().swallowed, SWALLOWED);
}

static void refusal_by_drop_drops_on_an_answered_connection_too(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);

	refuse_all_by(TPS_REFUSAL_DROP);
	splice_open();
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
	assert_int_equal(splice_now().swallowed, SWALLOWED);
}

/* ---- a connection attempt -----------------------------------------------------------------------
 */

static void set_tcp(enum tps_refusal refusal)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_TCP,
		.ports = {TCP_PORT},
		.refusal = refusal,
		.cost = HARNESS_DEFAULT_BURST + 1,
	};

	harness_set_listener(&h, TCP, &listener);
}

/* As a closed port answers, and no larger than the SYN. */
static void refused_syn_becomes_a_reset(void **state)
{
	set_tcp(TPS_REFUSAL_RESET);
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet = shaped(syn(shape & 1 ? STRANGER6 : STRANGER), shape);

		expect_turn(&packet, TCP, TPS_ACTION_TX, TPS_REASON_LIMIT);
		assert_way_back();
		assert_int_equal(t.now.flags, PACKET_RST | PACKET_ACK);
		assert_int_equal(t.now.seq, 0);
		assert_int_equal(t.now.ack, t.was.seq + 1);
		assert_int_equal(t.now.option_bytes, 0);
		assert_int_equal(t.now.payload_bytes, 0);
		assert_true(t.len <= t.len_before);
		assert_int_equal(harness_refusals(&h, TCP, TPS_REFUSAL_RESET, TPS_REASON_LIMIT),
				 shape + 1);
	}
	assert_transactions(TCP, 0, SHAPES);
}

/* Nor is what is no SYN alone: whoever's address it is would be told of it. */
static void syn_draws_a_reset_only_where_the_listener_says_so(void **state)
{
	static const enum tps_refusal others[] = {TPS_REFUSAL_DROP, TPS_REFUSAL_ANSWER,
						  TPS_REFUSAL_CLOSE};
	struct packet packet = syn(STRANGER);

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		set_tcp(others[i]);
		expect_turn(&packet, TCP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	}
	set_tcp(TPS_REFUSAL_RESET);
	packet.flags = PACKET_SYN | PACKET_ACK;
	expect_turn(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_identical();
	packet.flags = PACKET_RST;
	expect_turn(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_identical();
	harness_observe(&h, true);
	packet.flags = PACKET_SYN;
	expect_turn(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_identical();
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_TX), 0);
}

/* ---- elsewhere ---------------------------------------------------------------------------------
 */

/* Its server's state is only what was seen leaving: too little to speak in its stead. */
static void transit_refuses_by_drop_alone(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.placement = TPS_PLACEMENT_TRANSIT,
	};
	struct far far;

	harness_set_tier(&h, 0, limit_frozen(1));
	for (int refusal = TPS_REFUSAL_ANSWER; refusal <= TPS_REFUSAL_CLOSE; refusal++) {
		listener.refusal = refusal;
		harness_set_listener(&h, HTTP, &listener);
		far_open(&far, refusal == TPS_REFUSAL_ANSWER ? CLIENT : "203.0.113.7", FAR_SERVER);
		assert_int_equal(client_sends(&far, GET), XDP_PASS);
		server_sends(&far, OK);
		far.client.payload = GET;
		dropped(&far.client);
	}
	assert_transactions(HTTP, 2, 2);
}

/* Even where a socket of this host's has the connection: its packets may leave by another device.
 */
static void transit_refuses_by_drop_alone_beside_a_socket(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.placement = TPS_PLACEMENT_TRANSIT,
		.refusal = TPS_REFUSAL_ANSWER,
		.cost = HARNESS_DEFAULT_BURST + 1,
	};
	struct packet packet = asks(GET);
	struct packet syn_ack = {
		.source = packet.destination,
		.destination = packet.source,
		.source_port = packet.destination_port,
		.destination_port = packet.source_port,
		.seq = packet.ack - 1,
		.ack = packet.seq,
		.flags = PACKET_SYN | PACKET_ACK,
	};

	harness_set_listener(&h, HTTP, &listener);
	harness_run_egress(&h, &syn_ack);
	dropped(&packet);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE), 0);
	refuse_all_by(TPS_REFUSAL_ANSWER);
	asked(&packet, TPS_WANT_ANSWER, true);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		REFUSED_CASE("a connection's first refused request becomes one old byte, in every "
			     "shape",
			     first_refusal_asks_the_server_for_an_ack),
		REFUSED_CASE("a request within the limit goes on untouched, in every shape",
			     request_within_the_limit_is_not_touched),
		REFUSED_CASE("a listener that refuses by drop drops", refusal_by_drop_drops),
		REFUSED_CASE("behind an Upgrade and in HTTP/2 a refusal is a drop",
			     what_may_not_be_http_is_dropped),
		REFUSED_CASE("a connection older than its entry is answered behind a response",
			     connection_older_than_its_entry_is_answered_behind_a_response),
		REFUSED_CASE("a request that would be refused goes on untouched when observed",
			     observed_request_is_not_touched),
		REFUSED_CASE("a request that is refused again makes no second entry",
			     refused_request_twice_is_one_entry),
		REFUSED_CASE("a refused request may have IP options and extension headers",
			     options_of_ip_and_ipv6_do_not_matter),
		REFUSED_CASE("a request right behind the SYN-ACK waits for the server's ACK, and a "
			     "forged one is dropped",
			     request_on_a_new_socket_is_not_answered_before_its_handshake),
		REFUSED_CASE(
			"a refused request that comes again ends a handshake whose ACK was lost",
			request_sent_again_ends_a_handshake_whose_ack_was_lost),
		REFUSED_CASE("a refused request that answers a SYN cookie ends the handshake",
			     request_on_a_syn_cookie_ends_the_handshake),
		REFUSED_CASE("an answer is wanted no more once the request passes",
			     answer_is_wanted_no_more_once_the_request_passes),
		REFUSED_CASE("a full table refuses by drop, and forgets nobody",
			     full_table_refuses_by_drop),
		REFUSED_CASE("an answer tells when the stranger has its next token",
			     answer_tells_when_the_stranger_has_its_next_token),
		REFUSED_CASE("an answer tells when the caller has its next token",
			     answer_tells_when_the_caller_has_its_next_token),
		REFUSED_CASE("an answer tells how long a ban lasts",
			     answer_tells_how_long_the_ban_lasts),
		REFUSED_CASE("an answer tells of the listener's limit",
			     answer_tells_of_the_listeners_limit),
		REFUSED_CASE("one request alone keeps its connection, anything else ends it",
			     one_request_alone_is_answered_else_the_connection_ends),
		REFUSED_CASE("a listener that closes ends the connection",
			     listener_that_closes_ends_the_connection),
		REFUSED_CASE("a listener that resets wants a reset",
			     listener_that_resets_wants_a_reset),
		REFUSED_CASE("a refused SYN becomes a reset no larger than it, in every shape",
			     refused_syn_becomes_a_reset),
		REFUSED_CASE(
			"a SYN draws a reset only where the listener says so, and nothing else "
			"does",
			syn_draws_a_reset_only_where_the_listener_says_so),
		REFUSED_CASE("while draining each answer ends its connection, and not afterwards",
			     while_draining_each_answer_ends_its_connection),
		REFUSED_CASE("the last part of a head ends the connection",
			     last_part_of_a_head_ends_the_connection),
		REFUSED_CASE(
			"a refused segment that begins before the parser's next byte is dropped",
			what_begins_before_the_request_is_dropped),
		REFUSED_CASE("a request is dropped until the server's last byte is acked",
			     request_before_the_servers_last_bytes_are_acked_is_dropped),
		REFUSED_CASE("a request that the server has is old, and with another behind it "
			     "dropped",
			     request_that_the_server_has_is_dropped_or_old),
		REFUSED_CASE("a socket that closes is not answered for",
			     socket_that_closes_is_not_answered),
		REFUSED_CASE("a refused request on an answered connection becomes the answer, in "
			     "every shape",
			     request_on_an_answered_connection_becomes_the_answer),
		REFUSED_CASE("100 answers follow each other, and the next request goes on",
			     answers_follow_each_other),
		REFUSED_CASE("the answer to a HEAD has no body",
			     answer_to_a_head_request_has_no_body),
		REFUSED_CASE("an answer without room for its body has none",
			     answer_without_room_for_its_body_has_none),
		REFUSED_CASE("an answer fits the client's window to the byte, or is not sent",
			     answer_fits_the_clients_window),
		REFUSED_CASE("a header with options beside timestamps is not turned round",
			     header_with_other_options_is_not_turned_round),
		REFUSED_CASE("an answer leaves only by the device that leads to the client",
			     answer_leaves_by_the_device_that_leads_to_the_client),
		REFUSED_CASE("two requests in a segment end an answered connection",
			     two_requests_on_an_answered_connection_end_it),
		REFUSED_CASE("a request is dropped until the last answer is acked",
			     request_before_the_last_answer_is_acked_is_dropped),
		REFUSED_CASE("on an answered connection, too, the server's bytes are acked first",
			     answer_waits_until_the_servers_bytes_are_acked),
		REFUSED_CASE("a listener that refuses by drop drops on an answered connection too",
			     refusal_by_drop_drops_on_an_answered_connection_too),
		CASE("a listener of placement transit refuses by drop alone",
		     transit_refuses_by_drop_alone),
		REFUSED_CASE("a listener of placement transit refuses by drop beside a socket too",
			     transit_refuses_by_drop_alone_beside_a_socket),
	};

	return cmocka_run_group_tests_name("refusals", cases, http_group_open, http_group_close);
}
