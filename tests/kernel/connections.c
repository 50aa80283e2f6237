// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a connection is remembered by: bytes sent again, connections older than the gate, other
 * protocols after an upgrade, and a gate that looks away.
 */
#include "lib/http_cases.h"

#define POST_HEAD(bytes, key) \
	"POST /upload HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: " key \
	"\r\nContent-Length: " bytes "\r\n\r\n"

/* ---- sent again ---- */

static void refused_request_is_asked_again(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);

	assert_passes(GET_KEY("gold"));
	answer();
	for (int i = 0; i < 3; i++)
		assert_drops(GET_KEY("gold"));
	harness_set_own_limit(&h, gold, limit_per_second(1000, 1));
	usleep(10000);
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 2, 3);
}

/* The packet as it was sent, before the host got it. */
static int send_again(struct packet packet)
{
	return harness_run(&h, &packet);
}

static void undecided_flow_recovers_after_an_answer(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet first = live_packet(&c);

	first.payload = GET_KEY("gold");
	assert_int_equal(send_again(first), XDP_PASS);
	assert_passes(GET_KEY("gol"));
	answer();
	assert_int_equal(caller_allowed(gold), 1);
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("gold"));
	assert_int_equal(caller_allowed(gold), 3);
	assert_int_equal(charged(), 4);
}

/* The client's segment ends elsewhere the second time: old bytes and new ones. */
static void longer_segment_over_old_bytes_charges_the_new(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5), iron = add_keyed("iron", 5);
	struct packet both = live_packet(&c);

	both.payload = GET_KEY("gold") GET_KEY("iron");
	assert_passes(GET_KEY("gold"));
	assert_int_equal(harness_run(&h, &both), XDP_PASS);
	live_deliver(&c, GET_KEY("iron"), strlen(GET_KEY("iron")));
	assert_int_equal(charged(), 2);
	assert_int_equal(caller_allowed(gold), 1);
	assert_int_equal(caller_allowed(iron) + strangers_allowed(), 1);
}

static void segment_beyond_a_partial_head_is_dropped(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet later;

	assert_passes("GET / HTTP/1.1\r\nX-API");
	later = live_packet(&c);
	later.seq += 5;
	later.payload = "old\r\n\r\n";
	expect(&later, HTTP, TPS_ACTION_DROP, TPS_REASON_OUT_OF_ORDER);
	assert_passes("-Key: gold\r\n\r\n");
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

/* ---- connections older than their entry ---- */

#define OLD_UPLOAD "POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"

static void old_connection(void)
{
	live_close(&c);
	live_connect(&c, http_listener, CLIENT, SERVER, HTTP_PORT);
}

static void upload_that_began_before_the_gate_is_free(void **state)
{
	char body[1000];

	old_connection();
	live_deliver(&c, OLD_UPLOAD, strlen(OLD_UPLOAD));
	memset(body, 'b', sizeof(body));
	for (int i = 0; i < 5; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	assert_int_equal(charged(), 0);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_JOINED), 5);
}

static void old_connection_is_charged_from_its_next_request(void **state)
{
	struct tps_slot gold = add_keyed("gold", 2);

	old_connection();
	live_deliver(&c, GET, strlen(GET));
	answer();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 2, 1);
}

/* It cannot be told from a request, and must not be free: to the source, whatever key it names. */
static void head_in_an_upload_before_the_gate_is_the_sources(void **state)
{
	struct tps_slot gold = add_keyed("gold", 2);

	old_connection();
	live_deliver(&c, OLD_UPLOAD, strlen(OLD_UPLOAD));
	assert_passes(GET_KEY("gold"));
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 0, 0);
	assert_int_equal(charged(), 2);
}

static void silent_old_connection_is_charged_from_its_first_request(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);

	old_connection();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 1, 1);
}

static void evicted_flow_goes_on(void **state)
{
	struct tps_slot gold = add_keyed("gold", 3);

	assert_passes(GET_KEY("gold"));
	answer();
	harness_forget_flows(&h);
	assert_passes(GET_KEY("gold"));
	answer();
	harness_forget_flows(&h);
	assert_passes(GET_KEY("gold"));
	answer();
	harness_forget_flows(&h);
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 3, 1);
}

static void upload_goes_on_when_its_flow_is_evicted(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);
	char body[1000];

	memset(body, 'b', sizeof(body));
	assert_passes(POST_HEAD("10000", "gold"));
	for (int i = 0; i < 10; i++) {
		if (i == 5)
			harness_forget_flows(&h);
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	}
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

/* ---- other protocols on the connection ---- */

static void websocket_bytes_are_free_and_requests_in_them_are_not(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);

	assert_passes(GET_WITH("X-API-Key: gold\r\nConnection: Upgrade\r\nUpgrade: websocket"));
	live_answer(&c, &h, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		assert_passes("\x81\x85\x01\x02\x03\x04hello");
		assert_passes("\x82\x7e\x01\x02\x03\x04\n\nbinary\r\n\r\n");
	}
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_OPAQUE), 10);
	assert_int_equal(charged(), 1);
	/* a server that refused the upgrade reads requests */
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 2, 0);
}

static void connect_tunnel_is_free(void **state)
{
	assert_passes("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
	live_answer(&c, &h, "HTTP/1.1 200 OK\r\n\r\n");
	for (int i = 0; i < 5; i++)
		assert_passes("\x16\x03\x01\x02\x03\x01 not a request");
	assert_int_equal(charged(), 1);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_OPAQUE), 5);
}

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FRAME "binary frame"

static void http2_is_charged_by_turns(void **state)
{
	struct tps_slot net = add_source("198.51.100.0/24", 3);

	assert_passes(PREFACE);
	assert_int_equal(charged(), 1);
	assert_passes(FRAME);
	assert_passes(FRAME);
	assert_int_equal(charged(), 1);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_SAME_TURN), 2);
	live_answer(&c, &h, FRAME);
	assert_passes(FRAME);
	assert_int_equal(charged(), 2);
	assert_passes(FRAME);
	assert_int_equal(charged(), 2);
	live_answer(&c, &h, FRAME);
	assert_passes(FRAME);
	live_answer(&c, &h, FRAME);
	assert_drops(FRAME);
	assert_drops(FRAME);
	assert_caller(net, 3, 2);
	assert_true(harness_notes(&h, HTTP, TPS_REASON_HTTP2) >= 3);
}

static void h2c_upgrade_is_charged_by_turns(void **state)
{
	struct tps_slot net = add_source("198.51.100.0/24", 3);

	assert_passes(GET_WITH("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
			       "HTTP2-Settings: AAMAAABkAAQAAP__"));
	live_answer(&c, &h, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
	assert_passes(PREFACE);
	assert_passes(FRAME);
	live_answer(&c, &h, FRAME);
	assert_passes(FRAME);
	live_answer(&c, &h, FRAME);
	assert_drops(FRAME);
	assert_caller(net, 3, 1);
}

/* ---- switches ---- */

static void observed_connection_is_refused_nothing(void **state)
{
	struct tps_slot gold = add_keyed("gold", 2);

	harness_observe(&h, true);
	for (int i = 0; i < 5; i++) {
		assert_passes(GET_KEY("gold"));
		answer();
	}
	assert_int_equal(caller_allowed(gold), 2);
	assert_int_equal(harness_caller_count(&h, gold, TPS_VERDICT_WOULD_REFUSE), 3);
	assert_int_equal(caller_refused(gold), 0);
}

static void pause_in_the_middle_of_a_connection(void **state)
{
	struct tps_slot gold = add_keyed("gold", 3);

	assert_passes(GET_KEY("gold"));
	answer();
	harness_pause(&h, true);
	for (int i = 0; i < 5; i++) {
		assert_passes(GET_KEY("gold"));
		answer();
	}
	assert_int_equal(caller_allowed(gold), 1);
	harness_pause(&h, false);
	/* the flow was not read in between */
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 3, 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("a refused request that is sent again is asked again",
			  refused_request_is_asked_again),
		HTTP_CASE("an undecided flow recovers after an answer",
			  undecided_flow_recovers_after_an_answer),
		HTTP_CASE("a longer segment over old bytes charges the new ones",
			  longer_segment_over_old_bytes_charges_the_new),
		HTTP_CASE("a segment beyond a partial head is dropped until the gap is filled",
			  segment_beyond_a_partial_head_is_dropped),
		HTTP_CASE("an upload that began before the gate is free",
			  upload_that_began_before_the_gate_is_free),
		HTTP_CASE("an old connection is charged from its next request on",
			  old_connection_is_charged_from_its_next_request),
		HTTP_CASE("a head inside an upload that began before the gate is charged to the "
			  "source",
			  head_in_an_upload_before_the_gate_is_the_sources),
		HTTP_CASE(
			"an old connection that has sent nothing is charged from its first request",
			silent_old_connection_is_charged_from_its_first_request),
		HTTP_CASE("an evicted flow's next request is charged to its key",
			  evicted_flow_goes_on),
		HTTP_CASE("an upload whose flow is evicted goes on, free",
			  upload_goes_on_when_its_flow_is_evicted),
		HTTP_CASE("WebSocket bytes are free, and a request after them is charged",
			  websocket_bytes_are_free_and_requests_in_them_are_not),
		HTTP_CASE("a CONNECT tunnel is free", connect_tunnel_is_free),
		HTTP_CASE("HTTP/2 is charged by turns", http2_is_charged_by_turns),
		HTTP_CASE("HTTP/2 by upgrade is charged by turns", h2c_upgrade_is_charged_by_turns),
		HTTP_CASE("an observing gate refuses nothing and counts what it would",
			  observed_connection_is_refused_nothing),
		HTTP_CASE("a pause leaves no connection uncharged for ever",
			  pause_in_the_middle_of_a_connection),
	};

	return cmocka_run_group_tests_name("connections", cases, http_group_open, http_group_close);
}
