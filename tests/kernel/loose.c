// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections of which the gate does not know where requests begin: older than the gate, after an
 * Upgrade, in segments that nothing proves. None is broken, and none is free for ever.
 */
#include <stdio.h>

#include "lib/http_cases.h"

#define POST_KEY(key, bytes) GET_WITH_LENGTH("POST", key, bytes)
#define GET_WITH_LENGTH(method, key, bytes) \
	method " / HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: " key \
	       "\r\nContent-Length: " bytes "\r\n\r\n"
/* What a Java client says by itself on every plain connection. */
#define GET_UPGRADE(key) \
	GET_WITH("X-API-Key: " key "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" \
		 "HTTP2-Settings: AAE")
#define TEN(text) text text text text text text text text text text
#define LOG_LINE "192.0.2.9 - - [24/Nov/2026:05:49:25 +0000] \"GET /x HTTP/1.1\" 200 1234\n"
#define NEWLINES "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"

static char body[20000];

static void connect_before_the_gate(void)
{
	live_close(&c);
	live_connect(&c, http_listener, CLIENT, SERVER, HTTP_PORT);
	live_deliver(&c, GET, strlen(GET));
	answer();
}

static struct packet part(__u32 skip, const char *bytes, size_t len)
{
	struct packet packet = live_packet(&c);

	packet.seq += skip;
	packet.payload = bytes;
	packet.payload_bytes = len;
	return packet;
}

static void ignored_upgrade_costs_an_upload_nothing(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet ahead;

	assert_passes(GET_UPGRADE("gold"));
	answer();
	assert_passes(POST_KEY("gold", "20000"));
	ahead = part(1000, body, 1000);
	expect(&ahead, HTTP, TPS_ACTION_PASS, TPS_REASON_BODY);
	for (int i = 0; i < 10; i++)
		assert_passes(TEN(LOG_LINE));
	assert_caller(gold, 2, 0);
	assert_int_equal(charged(), 2);
}

static void old_connection_may_reorder_an_upload(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet ahead;

	connect_before_the_gate();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(POST_KEY("gold", "50000"));
	ahead = part(1000, body, 1000);
	expect(&ahead, HTTP, TPS_ACTION_PASS, TPS_REASON_BODY);
	assert_caller(gold, 2, 0);
}

/* Their lines hold HTTP/1.1, or end in blanks. */
static void texts_in_an_old_upload_are_free(void **state)
{
	live_close(&c);
	live_connect(&c, http_listener, CLIENT, SERVER, HTTP_PORT);
	live_deliver(&c, POST_KEY("gold", "500000"), strlen(POST_KEY("gold", "500000")));
	for (int i = 0; i < 10; i++) {
		assert_passes(TEN(LOG_LINE));
		assert_passes(TEN("          \n"));
	}
	assert_int_equal(charged(), 0);
}

/* A request line cut and its end sent first: no piece looks like one. */
static void reversed_halves_on_an_old_connection_cost_turns(void **state)
{
	static const char first[] = NEWLINES "GET / HT", last[] = "TP/1.1\r\nHost: a\r\n\r\n";
	__u64 before;

	harness_set_tier(&h, 0, limit_frozen(100));
	connect_before_the_gate();
	assert_int_equal(live_send(&c, &h, "\n", 1), XDP_PASS);
	before = charged();
	for (__u64 i = 1; i <= 20; i++) {
		struct packet packet = part(sizeof(first) - 1, last, sizeof(last) - 1);

		answer();
		packet.ack += strlen(OK);
		assert_int_equal(harness_run(&h, &packet), XDP_PASS);
		assert_passes(first);
		live_deliver(&c, last, sizeof(last) - 1);
		assert_in_range(charged(), before + i, before + 2 * i);
	}
}

static void line_in_an_http2_stream_costs_one(void **state)
{
	assert_passes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	answer();
	assert_passes("frame");
	assert_passes("FROM alpine\nCOPY a b\nRUN x\n");
	assert_int_equal(charged(), 3);
	for (int i = 0; i < 20; i++)
		assert_passes("data data data");
	assert_int_equal(charged(), 3);
}

static void websocket_segment_lost_behind_the_gate_costs_one(void **state)
{
	struct packet again;

	harness_set_tier(&h, 0, limit_frozen(5));
	memset(body, 0x81, sizeof(body));
	assert_passes(GET_WITH("Connection: Upgrade\r\nUpgrade: websocket"));
	live_answer(&c, &h, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	for (int i = 0; i < 200; i++)
		assert_int_equal(live_send(&c, &h, body, 1000), XDP_PASS);
	again = part(0, body, 1000);
	for (__u64 i = 0; i < 3; i++) {
		assert_int_equal(harness_run(&h, &again), XDP_PASS);
		assert_int_equal(charged(), 1 + i);
	}
}

/* What receive offloads make of an upload: more than the gate reads at once. */
static void large_segments_of_an_upload_are_free(void **state)
{
	static const char head[] = POST_KEY("gold", "5000000");
	struct tps_slot gold = add_keyed("gold", 5);

	memset(body, 'b', sizeof(body));
	memcpy(body, head, sizeof(head) - 1);
	assert_int_equal(live_send(&c, &h, body, 18000), XDP_PASS);
	live_answer(&c, &h, "HTTP/1.1 100 Continue\r\n\r\n");
	memset(body, 'b', sizeof(head));
	for (int i = 0; i < 10; i++)
		assert_int_equal(live_send(&c, &h, body, 18000), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

static void large_segments_of_chunks_are_free(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nX-API-Key: gold\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";
	struct tps_slot gold = add_keyed("gold", 5);
	size_t at;

	assert_passes(head);
	for (int i = 0; i < 10; i++) {
		memset(body, 'b', sizeof(body));
		at = sprintf(body, "1f40\r\n") + 8000;
		at += sprintf(body + at, "\r\n1f40\r\n") + 8000;
		at += sprintf(body + at, "\r\n");
		body[6] = body[8000 + 14] = 'b';
		assert_int_equal(live_send(&c, &h, body, at), XDP_PASS);
	}
	assert_passes("0\r\n\r\n");
	answer();
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 2, 0);
	assert_int_equal(charged(), 2);
}

/* 769 requests, of which the gate reads the first half. */
static void unproven_heads_beyond_what_is_read_are_charged(void **state)
{
	struct packet packet = {
		.source = "203.0.113.77",
		.destination = "192.0.2.200",
		.source_port = 4000,
		.destination_port = HTTP_PORT,
		.seq = 1,
		.ack = 1,
		.payload = body,
	};
	size_t heads = 0;

	harness_set_tier(&h, 0, limit_frozen(100000));
	while (packet.payload_bytes + 30 < sizeof(body)) {
		packet.payload_bytes += sprintf(body + packet.payload_bytes, "%s",
						"GET / HTTP/1.1\r\nHost:a\r\n\r\n");
		heads++;
	}
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_true(charged() >= heads);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("an upload behind an Upgrade that was ignored is as any other",
			  ignored_upgrade_costs_an_upload_nothing),
		HTTP_CASE("an upload on an old connection may come out of order",
			  old_connection_may_reorder_an_upload),
		HTTP_CASE("texts that speak of HTTP are free in an old upload",
			  texts_in_an_old_upload_are_free),
		HTTP_CASE("requests in reversed halves on an old connection cost a turn each",
			  reversed_halves_on_an_old_connection_cost_turns),
		HTTP_CASE("a line like a request in HTTP/2 costs one transaction, not the framing",
			  line_in_an_http2_stream_costs_one),
		HTTP_CASE("a WebSocket segment lost behind the gate costs one transaction",
			  websocket_segment_lost_behind_the_gate_costs_one),
		HTTP_CASE("an upload in segments larger than what is read is free",
			  large_segments_of_an_upload_are_free),
		HTTP_CASE("chunks in segments larger than what is read are free",
			  large_segments_of_chunks_are_free),
		HTTP_CASE("unproven heads beyond what is read are charged",
			  unproven_heads_beyond_what_is_read_are_charged),
	};

	return cmocka_run_group_tests_name("loose", cases, http_group_open, http_group_close);
}
