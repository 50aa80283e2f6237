// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segments that come again, or at the place of others, while the host has not read the first: who
 * pays for what it may read instead.
 */
#include "lib/http_cases.h"

#define POST_KEY(key, bytes) \
	"POST / HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: " key "\r\nContent-Length: " bytes \
	"\r\n\r\n"
/* The same bytes but for a method and a header's name: no body follows. */
#define GET_AS_LONG_AS_POST_KEY(key, bytes) \
	"GET /a HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: " key "\r\nContent-Lexgth: " bytes \
	"\r\n\r\n"

/* Through the gate, and lost behind it. */
static int send_again(struct packet packet)
{
	return harness_run(&h, &packet);
}

static void bytes_that_the_host_has_are_free(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet first = live_packet(&c);

	first.payload = GET_KEY("gold");
	assert_passes(GET_KEY("gold"));
	for (int i = 0; i < 5; i++)
		expect(&first, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	answer();
	expect(&first, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_caller(gold, 1, 0);
}

/* Passed, but the host never got it (a bad checksum, an old timestamp, lost behind the gate). What
 * comes at its place may be anything, and is never free. */
static void bytes_that_the_host_has_not_are_charged(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet first = live_packet(&c);

	first.payload = GET_KEY("gold");
	assert_int_equal(send_again(first), XDP_PASS);
	first.payload = GET_KEY("gol");
	assert_int_equal(send_again(first), XDP_PASS);
	assert_int_equal(charged(), 2);
	assert_int_equal(caller_allowed(gold), 1);
	assert_int_equal(strangers_allowed(), 1);
}

/* A client that sent once more too soon, or a request that the host could not take: the two are
 * the same to the host, so nothing is lost but a token. */
static void same_head_again_is_charged_and_no_more(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet first = live_packet(&c);
	static char body[1000];

	first.payload = GET_KEY("gold");
	assert_int_equal(send_again(first), XDP_PASS);
	assert_passes(GET_KEY("gold"));
	answer();
	assert_caller(gold, 2, 0);
	memset(body, 'b', sizeof(body));
	assert_passes(POST_KEY("gold", "50000"));
	for (int i = 0; i < 50; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	answer();
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 4, 0);
	assert_int_equal(charged(), 4);
}

/* The accept queue is full: the host takes neither the head nor the body behind it. */
static void head_of_an_upload_again_is_charged_and_no_more(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet head = live_packet(&c), part = head;
	static char body[1000];

	head.payload = POST_KEY("gold", "5000");
	assert_int_equal(send_again(head), XDP_PASS);
	memset(body, 'b', sizeof(body));
	part.payload = body;
	part.payload_bytes = sizeof(body);
	part.seq += strlen(head.payload);
	for (int i = 0; i < 4; i++, part.seq += sizeof(body))
		assert_int_equal(send_again(part), XDP_PASS);
	part.seq -= sizeof(body);
	expect(&part, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_passes(POST_KEY("gold", "5000"));
	for (int i = 0; i < 5; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	answer();
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 3, 0);
	assert_int_equal(charged(), 3);
}

/* As long as the head before it, but no body follows: what passed as its body may be requests. */
static void another_head_in_its_place_pays_for_the_body(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet head = live_packet(&c), part = head;
	static char body[1600];

	harness_set_tier(&h, 0, limit_frozen(101));
	head.payload = POST_KEY("gold", "5000");
	assert_int_equal(send_again(head), XDP_PASS);
	memset(body, 'b', sizeof(body));
	part.payload = body;
	part.payload_bytes = sizeof(body);
	part.seq += strlen(head.payload);
	assert_int_equal(send_again(part), XDP_PASS);
	head.payload = GET_AS_LONG_AS_POST_KEY("gold", "5000");
	assert_int_equal(strlen(head.payload), strlen(POST_KEY("gold", "5000")));
	assert_int_equal(send_again(head), XDP_PASS);
	assert_int_equal(strangers_allowed(), 1 + sizeof(body) / 16);
	assert_caller(gold, 1, 0);
}

static void request_lost_behind_an_upload_costs_one(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet get;
	static char body[1000];

	memset(body, 'b', sizeof(body));
	assert_passes(POST_KEY("gold", "10000"));
	for (int i = 0; i < 10; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	answer();
	get = live_packet(&c);
	get.payload = GET_KEY("gold");
	assert_int_equal(send_again(get), XDP_PASS);
	get.payload = GET_KEY("gol");
	assert_int_equal(send_again(get), XDP_PASS);
	assert_caller(gold, 2, 0);
	assert_int_equal(strangers_allowed(), 1);
}

/* 2^31 bytes behind the head, sequence numbers compare the other way round. */
static void upload_beyond_2_gib_may_send_again(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	static char body[16000];
	struct packet part;

	memset(body, 'b', sizeof(body));
	assert_passes(POST_KEY("gold", "9000000000"));
	for (int i = 0; i < 140000; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	part = live_packet(&c);
	part.payload = body;
	part.payload_bytes = 1000;
	assert_int_equal(send_again(part), XDP_PASS);
	expect(&part, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	live_deliver(&c, body, 1000);
	for (int i = 0; i < 10; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

/* An established connection answers a SYN with a challenge: it is the same connection. */
static void syn_excuses_nothing(void **state)
{
	struct packet head = live_packet(&c), part = head, syn = head;
	static char body[1600];

	add_keyed("gold", 9);
	harness_set_tier(&h, 0, limit_frozen(50));
	head.payload = POST_KEY("gold", "5000");
	assert_int_equal(send_again(head), XDP_PASS);
	memset(body, 'b', sizeof(body));
	part.payload = body;
	part.payload_bytes = sizeof(body);
	part.seq += strlen(head.payload);
	assert_int_equal(send_again(part), XDP_PASS);
	syn.flags = PACKET_SYN;
	syn.ack = 0;
	assert_int_equal(send_again(syn), XDP_PASS);
	head.payload = GET_AS_LONG_AS_POST_KEY("gold", "5000");
	assert_int_equal(send_again(head), XDP_DROP);
}

static void forged_syn_disturbs_no_head(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet part = live_packet(&c), syn = part;

	syn.flags = PACKET_SYN;
	syn.ack = 0;
	syn.seq = 77;
	part.payload = "GET / HTTP/1.1\r\nX-API";
	assert_int_equal(send_again(part), XDP_PASS);
	assert_int_equal(send_again(syn), XDP_PASS);
	part.seq += strlen(part.payload);
	part.payload = "-Key: gold\r\n\r\n";
	assert_int_equal(send_again(part), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

/* BSD and Windows send one byte beyond a window that is closed (RFC 9293 3.8.6.1). */
static void window_probe_is_free(void **state)
{
	struct packet probe;

	add_keyed("gold", 9);
	assert_passes(POST_KEY("gold", "50000000"));
	probe = live_packet(&c);
	probe.seq = live_right_edge(&c);
	probe.payload = "b";
	for (int i = 0; i < 5; i++)
		expect(&probe, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_int_equal(charged(), 1);
	probe.seq++;
	expect(&probe, HTTP, TPS_ACTION_DROP, TPS_REASON_OUTSIDE_WINDOW);
	assert_int_equal(charged(), 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("bytes sent again that the host has are free",
			  bytes_that_the_host_has_are_free),
		HTTP_CASE("other bytes at the place of a head that the host has not are charged to "
			  "the source",
			  bytes_that_the_host_has_not_are_charged),
		HTTP_CASE("the same head again is charged, and the flow goes on",
			  same_head_again_is_charged_and_no_more),
		HTTP_CASE("the same head of an upload again is charged, and the upload goes on",
			  head_of_an_upload_again_is_charged_and_no_more),
		HTTP_CASE("a head without a body at the place of one with it pays for what passed "
			  "as the body",
			  another_head_in_its_place_pays_for_the_body),
		HTTP_CASE("a request lost behind a finished upload costs one transaction when it "
			  "comes again",
			  request_lost_behind_an_upload_costs_one),
		HTTP_CASE("an upload beyond 2 GiB may send again",
			  upload_beyond_2_gib_may_send_again),
		HTTP_CASE("a SYN excuses no bytes that passed", syn_excuses_nothing),
		HTTP_CASE("a forged SYN disturbs no head", forged_syn_disturbs_no_head),
		HTTP_CASE("a window probe is free, a byte beyond it does not pass",
			  window_probe_is_free),
	};

	return cmocka_run_group_tests_name("resent", cases, http_group_open, http_group_close);
}
