// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client may try so that the host reads other requests than the gate does: none of them is
 * free.
 */
#include "lib/http_cases.h"

static struct tps_slot gold, net;

/* A key's caller, and the source's: whoever is charged, it is one of the two. */
static void set_up(void)
{
	gold = add_keyed("gold", 1000);
	net = add_source("198.51.100.0/24", 1000);
}

/* The same, on a connection that was there before the gate. */
static void set_up_old(void)
{
	set_up();
	live_close(&c);
	live_connect(&c, http_listener, CLIENT, SERVER, HTTP_PORT);
}

/* ---- bytes that the gate sees and the host does not ---- */

/* The host discards what has a bad checksum or an old timestamp; the gate passed it. Behind a bogus
 * body of @length bytes it would skip what the host reads as requests. */
static void bogus_head_then_requests(struct packet bogus, const char *length)
{
	char head[200];
	__u64 before;

	set_up();
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n",
		 length);
	bogus.payload = head;
	assert_int_equal(harness_run(&h, &bogus), XDP_PASS);
	before = charged();
	assert_int_equal(before, 1);
	/* the real bytes at the same place */
	for (int i = 1; i <= 10; i++) {
		assert_passes(GET_KEY("gold"));
		assert_true(charged() >= before + i);
	}
}

static void bad_checksum(void **state)
{
	struct packet bogus = live_packet(&c);

	bogus.bad_checksum = true;
	bogus_head_then_requests(bogus, "100000");
}

static void old_timestamp(void **state)
{
	struct packet bogus = live_packet(&c);

	bogus.timestamp = 1;
	bogus_head_then_requests(bogus, "100000");
}

/* The same, with the requests sent ahead, as the bogus body, before the real byte fills the gap. */
static void bogus_body_ahead(void **state)
{
	static char heads[1024];
	struct packet packet = live_packet(&c);
	__u32 sent = 0;
	__u64 before;
	size_t at;
	char head[200];

	set_up();
	snprintf(head, sizeof(head),
		 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	packet.payload = head;
	packet.bad_checksum = true;
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	before = charged();
	/* one request stands in for the discarded head, byte for byte as long */
	at = snprintf(heads, sizeof(heads), "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n",
		      (int)strlen(head) - 26, 0);
	assert_int_equal(at, strlen(head));
	while (at + 70 < sizeof(heads)) {
		at += snprintf(heads + at, sizeof(heads) - at, GET_KEY("none") "");
		sent++;
	}
	packet.bad_checksum = false;
	packet.seq += strlen(head);
	packet.payload = heads + strlen(head);
	if (harness_run(&h, &packet) == XDP_DROP)
		sent = 0;
	packet.seq -= strlen(head);
	packet.payload = heads;
	packet.payload_bytes = strlen(head);
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_true(charged() >= before + 1 + sent * 58 / 64);
}

/* Two versions of the same bytes, of which the host takes the first. */
static void second_version_of_sent_bytes(void **state)
{
	struct packet other = live_packet(&c);

	set_up();
	assert_passes("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n");
	other.payload = "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n";
	expect(&other, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_passes("0123456789" GET_KEY("gold"));
	assert_caller(gold, 1, 0);
}

static void head_resent_with_another_tail(void **state)
{
	struct packet part = live_packet(&c);
	__u64 before;

	set_up();
	/* the gate reads a head in two parts, of which the host gets only the second version */
	part.payload = "GET / HTTP/1.1\r\nX-API-Key: gold\r\nX: ";
	assert_int_equal(harness_run(&h, &part), XDP_PASS);
	before = charged();
	assert_passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(charged() > before);
	assert_passes(GET);
	assert_true(charged() > before + 1);
}

/* The host takes urgent data out of the stream: the gate would read another one. */
static void urgent_data(void **state)
{
	struct packet packet = live_packet(&c);

	set_up();
	packet.flags = PACKET_ACK | PACKET_PSH | PACKET_URG;
	packet.payload = GET_KEY("gold");
	expect(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_URGENT);
	assert_int_equal(charged(), 0);
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 1, 0);
	packet.destination_port = TCP_PORT;
	expect(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
}

/* ---- connections that the gate did not see from their beginning ---- */

/* How the host got bytes past a gate that was there all the time is not known. */
static void host_ahead_of_a_watched_flow(void **state)
{
	char body[1000];

	set_up();
	assert_passes(GET_KEY("gold"));
	live_deliver(&c, GET, strlen(GET));
	memset(body, 'b', sizeof(body));
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
		assert_int_equal(caller_allowed(net), i);
	}
	assert_true(harness_notes(&h, HTTP, TPS_REASON_VOID) >= 5);
}

static void host_ahead_while_the_gate_looked_away(void **state)
{
	char body[1000];

	set_up();
	assert_passes(GET_KEY("gold"));
	harness_pause(&h, true);
	live_deliver(&c, GET, strlen(GET));
	harness_pause(&h, false);
	memset(body, 'b', sizeof(body));
	for (int i = 1; i <= 5; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	assert_int_equal(caller_allowed(net), 0);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_JOINED), 5);
}

/* The next request's head always comes behind the last byte of the previous body, so that no
 * segment begins with a method. */
static void requests_behind_a_byte_of_body(void **state)
{
#define TAIL_AND_HEAD \
	"x" \
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
	set_up_old();
	live_deliver(&c, TAIL_AND_HEAD + 1, strlen(TAIL_AND_HEAD) - 1);
	for (int i = 0; i < 20; i++) {
		assert_passes(TAIL_AND_HEAD);
		answer();
	}
	assert_true(charged() >= 15);
}

static void unknown_method_on_an_old_connection(void **state)
{
	set_up_old();
	live_deliver(&c, GET, strlen(GET));
	answer();
	for (int i = 0; i < 20; i++) {
		assert_passes("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n");
		answer();
	}
	assert_true(charged() >= 15);
}

/* Each request's second half is sent first, so that neither half comes in order. */
static void reversed_halves_on_an_old_connection(void **state)
{
	static const char head[] = "GET / HT", tail[] = "TP/1.1\r\nHost: a\r\n\r\n";
	struct packet packet;

	set_up_old();
	live_deliver(&c, GET, strlen(GET));
	answer();
	for (int i = 0; i < 20; i++) {
		packet = live_packet(&c);
		packet.seq += sizeof(head) - 1;
		packet.payload = tail;
		/* what is dropped is sent again when the gap is filled */
		if (harness_run(&h, &packet) == XDP_PASS) {
			packet.seq -= sizeof(head) - 1;
			packet.payload = head;
			assert_int_equal(harness_run(&h, &packet), XDP_PASS);
			live_deliver(&c, head, sizeof(head) - 1);
			live_deliver(&c, tail, sizeof(tail) - 1);
		} else {
			assert_passes(head);
			assert_passes(tail);
		}
		answer();
	}
	assert_true(charged() >= 15);
}

/* The server asks for the body of a request that was there before the gate, so a head at the body's
 * beginning follows an answer; to the server it is a body, and what follows are requests. */
static void open_with_a_head_for_a_body(void)
{
#define BOGUS_HEAD "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n"
	char upload[200];

	set_up_old();
	snprintf(upload, sizeof(upload),
		 "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
		 strlen(BOGUS_HEAD));
	live_deliver(&c, upload, strlen(upload));
	live_answer(&c, &h, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_passes(BOGUS_HEAD);
	answer();
}

static void head_in_a_body_that_was_asked_for(void **state)
{
	open_with_a_head_for_a_body();
	for (int i = 0; i < 20; i++) {
		assert_passes(GET_KEY("gold"));
		answer();
	}
	assert_true(charged() >= 15);
}

/* The same, and every request line is cut where it says what it is. */
static void cut_requests_behind_a_body_that_was_asked_for(void **state)
{
	open_with_a_head_for_a_body();
	for (int i = 0; i < 20; i++) {
		assert_passes("GET / HT");
		assert_passes("TP/1.1\r\nHost: a\r\n\r\n");
		answer();
	}
	assert_true(charged() >= 15);
}

/* Its first answer is 100-continue, and the body is a body. */
static void upload_on_an_old_connection_is_free(void **state)
{
	char body[1000];

	set_up_old();
	live_deliver(&c, GET, strlen(GET));
	answer();
	assert_passes("POST / HTTP/1.1\r\nX-API-Key: gold\r\nExpect: 100-continue\r\n"
		      "Content-Length: 10000\r\n\r\n");
	live_answer(&c, &h, "HTTP/1.1 100 Continue\r\n\r\n");
	memset(body, 'b', sizeof(body));
	for (int i = 0; i < 10; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

/* This client has shown the host and the gate different bytes once: what the gate takes for a body
 * may be requests again. */
static void body_on_a_flow_that_was_lost(void **state)
{
	struct packet packet = live_packet(&c);
	__u64 before;

	set_up();
	packet.payload = GET_KEY("gold");
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_passes(GET_KEY("gol"));
	answer();
	assert_passes(BOGUS_HEAD);
	before = charged();
	for (int i = 1; i <= 10; i++) {
		assert_passes(GET_KEY("gold"));
		assert_int_equal(charged(), before + i);
	}
}

/* To the server it lies inside a frame, and the turns go on. */
static void head_in_an_http2_frame(void **state)
{
	set_up();
	assert_passes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	answer();
	assert_passes(BOGUS_HEAD);
	for (int i = 0; i < 20; i++) {
		answer();
		assert_passes("binary frame");
	}
	assert_true(charged() >= 15);
}

/* The server ignores the upgrade and reads a request of a method that the gate does not look for;
 * the head in its body is none to the server. */
static void head_in_a_body_after_an_upgrade(void **state)
{
	char unlisted[200];

	set_up();
	assert_passes(GET_WITH("Connection: Upgrade\r\nUpgrade: x"));
	answer();
	snprintf(unlisted, sizeof(unlisted), "BREW / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
		 strlen(BOGUS_HEAD));
	assert_passes(unlisted);
	assert_passes(BOGUS_HEAD);
	for (int i = 0; i < 20; i++) {
		answer();
		assert_passes(GET_KEY("gold"));
	}
	assert_true(charged() >= 15);
}

static void upgrade_that_the_server_ignores(void **state)
{
	__u64 before;

	set_up();
	assert_passes("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
		      "Content-Length: 1\r\n\r\n");
	before = charged();
	for (int i = 0; i < 20; i++) {
		assert_passes(TAIL_AND_HEAD);
		answer();
	}
	assert_true(charged() - before >= 15);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("a bogus body with a bad checksum frees no request", bad_checksum),
		HTTP_CASE("a bogus body with an old timestamp frees no request", old_timestamp),
		HTTP_CASE("requests sent ahead inside a bogus body are charged", bogus_body_ahead),
		HTTP_CASE("a second version of bytes that the host has changes nothing",
			  second_version_of_sent_bytes),
		HTTP_CASE("a head sent again with another tail is charged",
			  head_resent_with_another_tail),
		HTTP_CASE("urgent data is dropped at an http listener", urgent_data),
		HTTP_CASE("a flow whose host got bytes past the gate is charged to its source",
			  host_ahead_of_a_watched_flow),
		HTTP_CASE("a flow whose host got bytes while the gate was paused is joined again",
			  host_ahead_while_the_gate_looked_away),
		HTTP_CASE("requests that begin behind a byte of body are not free on an old "
			  "connection",
			  requests_behind_a_byte_of_body),
		HTTP_CASE("requests sent back to front are not free on an old connection",
			  reversed_halves_on_an_old_connection),
		HTTP_CASE("a head in a body that the server asked for frees no request on an old "
			  "connection",
			  head_in_a_body_that_was_asked_for),
		HTTP_CASE("cut requests behind a body that the server asked for are not free",
			  cut_requests_behind_a_body_that_was_asked_for),
		HTTP_CASE("an upload that was asked for is free on an old connection",
			  upload_on_an_old_connection_is_free),
		HTTP_CASE("a body on a flow that was lost once frees no request",
			  body_on_a_flow_that_was_lost),
		HTTP_CASE("a head in an HTTP/2 frame frees no turn", head_in_an_http2_frame),
		HTTP_CASE("a head in a body after an upgrade frees no request",
			  head_in_a_body_after_an_upgrade),
		HTTP_CASE("requests of an unknown method are not free on an old connection",
			  unknown_method_on_an_old_connection),
		HTTP_CASE("requests that begin behind a byte of body are not free after an upgrade",
			  upgrade_that_the_server_ignores),
	};

	return cmocka_run_group_tests_name("framing", cases, http_group_open, http_group_close);
}
