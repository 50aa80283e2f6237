// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on a connection: to whom each head is charged, what is no transaction, and what a byte
 * that is sent again costs.
 */
#include "lib/http_cases.h"

#define POST_HEAD(bytes, key) \
	"POST /upload HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: " key \
	"\r\nContent-Length: " bytes "\r\n\r\n"

static void key_names_the_caller(void **state)
{
	struct tps_slot gold = add_keyed("gold", 2), iron = add_keyed("iron", 1);

	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("iron"));
	answer();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("iron"));
	assert_drops(GET_KEY("gold"));
	assert_passes(GET);
	assert_caller(gold, 2, 1);
	assert_caller(iron, 1, 1);
	assert_int_equal(strangers_allowed(), 1);
}

static void key_comes_before_source(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5), net = add_source("198.51.100.0/24", 5);

	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET);
	assert_caller(gold, 1, 0);
	assert_caller(net, 1, 0);
}

static void two_keys_and_two_prefixes_share_a_bucket(void **state)
{
	struct tps_slot caller = add_keyed("gold", 4);

	harness_add_key(&h, caller, "spare-key-with-more-than-sixteen-bytes");
	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_add_source(&h, caller, "2001:db8:ac::/48");
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("spare-key-with-more-than-sixteen-bytes"));
	answer();
	assert_passes(GET);
	answer();
	assert_passes(GET);
	answer();
	assert_drops(GET_KEY("gold"));
	assert_drops(GET);
	assert_caller(caller, 4, 2);
}

static void unknown_key_is_charged_to_its_source(void **state)
{
	struct tps_slot net = add_source("198.51.100.0/24", 2);
	__u32 keys = harness_keys(&h);

	assert_passes(GET_KEY("made-up-1"));
	answer();
	assert_passes(GET_KEY("made-up-2"));
	answer();
	assert_drops(GET_KEY("made-up-3"));
	assert_caller(net, 2, 1);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_UNKNOWN_KEY), 3);
	assert_int_equal(harness_keys(&h), keys);
}

static void key_of_a_caller_that_has_gone_is_charged_to_its_source(void **state)
{
	struct tps_slot old = add_keyed("gold", 3), net = add_source("198.51.100.0/24", 1);
	struct tps_slot tenant;

	assert_passes(GET_KEY("gold"));
	answer();
	tenant = harness_replace_caller(&h, old, 0, limit_frozen(3));
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(tenant, 0, 0);
	assert_int_equal(harness_bucket(&h, tenant).proven_tat_vt, 0);
	assert_caller(net, 1, 1);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_STALE_SLOT), 2);
}

static void banned_key_and_not_its_neighbours(void **state)
{
	struct tps_slot gold = add_keyed("gold", 3), iron = add_keyed("iron", 3);

	harness_ban_caller(&h, gold, ~0ULL);
	assert_drops(GET_KEY("gold"));
	assert_passes(GET_KEY("iron"));
	answer();
	assert_passes(GET);
	assert_int_equal(harness_caller_count(&h, gold, TPS_VERDICT_BANNED), 1);
	assert_caller(iron, 1, 0);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_DROP, TPS_REASON_BANNED_CALLER), 1);
}

static void other_header_names(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.key_headers = {"X-Client-Token", "Authorization"},
	};
	struct tps_slot gold = add_keyed("gold", 5);

	harness_set_listener(&h, HTTP, &listener);
	assert_passes(GET_WITH("x-client-TOKEN: gold"));
	answer();
	assert_passes(GET_WITH("Authorization: Bearer gold"));
	answer();
	assert_int_equal(caller_allowed(gold), 2);
	assert_passes(GET_WITH("Authorization: Basic gold"));
	answer();
	assert_passes(GET_KEY("gold"));
	assert_int_equal(caller_allowed(gold), 2);
	assert_int_equal(strangers_allowed(), 2);
}

/* ---- what is no transaction ---- */

static void handshake_and_acks_are_free(void **state)
{
	struct packet packet = live_packet(&c);

	expect(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	packet.flags = PACKET_FIN | PACKET_ACK;
	expect(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_int_equal(charged(), 0);
}

static void body_is_free(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);
	char body[1000];

	memset(body, 'b', sizeof(body));
	assert_passes(POST_HEAD("10000", "gold"));
	for (int i = 0; i < 10; i++)
		assert_int_equal(live_send(&c, &h, body, sizeof(body)), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_PASS, TPS_REASON_BODY), 10);
	answer();
	assert_drops(GET_KEY("gold"));
}

/* Each second segment of the body overtakes the one before it. */
static void body_out_of_order_is_free(void **state)
{
	struct tps_slot gold = add_keyed("gold", 2);
	char body[2000];
	struct packet packet;

	memset(body, 'b', sizeof(body));
	assert_passes(POST_HEAD("10000", "gold"));
	for (int i = 0; i < 5; i++) {
		packet = live_packet(&c);
		packet.payload = body;
		packet.payload_bytes = 1000;
		packet.seq += 1000;
		expect(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_BODY);
		packet.seq -= 1000;
		expect(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_BODY);
		live_deliver(&c, body, sizeof(body));
	}
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
	/* and the body ends where it ends */
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 2, 0);
	answer();
	assert_drops(GET_KEY("gold"));
	assert_int_equal(strangers_allowed(), 0);
}

static void head_in_a_body_is_free(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5), iron = add_keyed("iron", 5);

	_Static_assert(sizeof(GET_KEY("iron")) - 1 == 58, "the body's length");
	assert_passes(POST_HEAD("58", "gold"));
	assert_passes(GET_KEY("iron"));
	assert_caller(gold, 1, 0);
	assert_caller(iron, 0, 0);
	assert_int_equal(charged(), 1);
	/* and the next byte is a request again */
	assert_passes(GET_KEY("iron"));
	assert_caller(iron, 1, 0);
}

static void head_in_a_chunk_is_free(void **state)
{
	struct tps_slot iron = add_keyed("iron", 5);

	assert_passes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_passes("3a\r\n" GET_KEY("iron") "\r\n");
	assert_passes("0\r\n\r\n");
	assert_int_equal(charged(), 1);
	assert_passes(GET_KEY("iron"));
	assert_caller(iron, 1, 0);
}

/* ---- several heads in a segment ---- */

static void pipelined_heads_are_charged_each(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5), iron = add_keyed("iron", 5);

	assert_passes(GET_KEY("gold") GET_KEY("iron") GET_KEY("gold") GET);
	assert_caller(gold, 2, 0);
	assert_caller(iron, 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(charged(), 4);
}

static void segment_with_more_heads_than_tokens_is_refused_whole(void **state)
{
	struct tps_slot gold = add_keyed("gold", 3);
	struct tps_bucket before;

	assert_passes(GET_KEY("gold"));
	answer();
	before = harness_bucket(&h, gold);
	assert_drops(GET_KEY("gold") GET_KEY("gold") GET_KEY("gold"));
	assert_int_equal(harness_bucket(&h, gold).proven_tat_vt, before.proven_tat_vt);
	assert_caller(gold, 1, 3);
	/* the two tokens are still there */
	assert_passes(GET_KEY("gold") GET_KEY("gold"));
	assert_caller(gold, 3, 3);
}

/* One of two callers is out of tokens: the other's are given back. */
static void segment_of_two_callers_is_refused_whole(void **state)
{
	struct tps_slot gold = add_keyed("gold", 3), iron = add_keyed("iron", 1);

	assert_passes(GET_KEY("iron"));
	answer();
	assert_drops(GET_KEY("gold") GET_KEY("iron"));
	assert_int_equal(bucket_tokens(harness_bucket(&h, gold).proven_tat_vt,
				       bucket_now_vt(harness_now_ns()), limit_frozen(3)),
			 3);
	assert_int_equal(caller_allowed(gold), 0);
	assert_drops(GET_KEY("iron") GET_KEY("gold"));
	assert_passes(GET_KEY("gold") GET_KEY("gold") GET_KEY("gold"));
	assert_int_equal(caller_allowed(gold), 3);
	assert_int_equal(caller_allowed(iron), 1);
}

static void exempt_and_limited_callers_in_a_segment(void **state)
{
	struct tps_slot lb = harness_add_caller(&h, 0, 0, TPS_LIMIT_EXEMPT);
	struct tps_slot iron = add_keyed("iron", 2);

	harness_add_key(&h, lb, "lb");
	assert_passes(GET_KEY("lb") GET_KEY("iron"));
	answer();
	assert_passes(GET_KEY("iron") GET_KEY("lb"));
	answer();
	assert_drops(GET_KEY("lb") GET_KEY("iron"));
	assert_passes(GET_KEY("lb") GET_KEY("lb"));
	assert_int_equal(caller_allowed(lb), 4);
	assert_int_equal(caller_allowed(iron), 2);
}

/* Runs some segments of one and two callers; returns what @caller would be or was refused. */
static __u64 run_pipelined(struct tps_slot caller, enum tps_verdict verdict)
{
	static const char *const segments[] = {
		GET_KEY("gold"),
		GET_KEY("gold") GET_KEY("iron"),
		GET_KEY("iron") GET_KEY("gold"),
		GET_KEY("gold") GET_KEY("gold"),
		GET_KEY("iron"),
		GET_KEY("iron") GET_KEY("iron"),
	};

	for (size_t i = 0; i < sizeof(segments) / sizeof(*segments); i++)
		if (live_send_text(&c, &h, segments[i]) == XDP_PASS)
			answer();
	return harness_caller_count(&h, caller, verdict);
}

static void observed_pipeline_is_what_enforced_refuses(void **state)
{
	__u64 observed, enforced;
	struct tps_slot gold = add_keyed("gold", 3);

	add_keyed("iron", 2);
	harness_observe(&h, true);
	observed = run_pipelined(gold, TPS_VERDICT_WOULD_REFUSE);
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_DROP), 0);
	http_case_close(state);
	http_case_open(state);
	gold = add_keyed("gold", 3);
	add_keyed("iron", 2);
	enforced = run_pipelined(gold, TPS_VERDICT_REFUSED);
	assert_true(enforced > 0);
	assert_int_equal(observed, enforced);
}

static void listeners_limit_gives_back_on_connections(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.limit = limit_frozen(1),
	};
	struct tps_slot gold = add_keyed("gold", 2);

	harness_set_listener(&h, HTTP, &listener);
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT), 1);
	listener.limit = 0;
	harness_set_listener(&h, HTTP, &listener);
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 2, 2);
}

static void cost_weighs_requests(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.cost = 2,
	};
	struct tps_slot gold = add_keyed("gold", 5);

	harness_set_listener(&h, HTTP, &listener);
	assert_passes(GET_KEY("gold") GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 2, 1);
}

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
	assert_int_equal(send_again(first), XDP_PASS);
	assert_int_equal(charged(), 2);
	assert_int_equal(caller_allowed(gold), 1);
	assert_int_equal(strangers_allowed(), 1);
}

static void undecided_flow_recovers_after_an_answer(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet first = live_packet(&c);

	first.payload = GET_KEY("gold");
	assert_int_equal(send_again(first), XDP_PASS);
	assert_passes(GET_KEY("gold"));
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

/* ---- large segments ---- */

static char large[16000];

/* Fills @bytes of large[] with small requests of @key; returns how many. */
static __u32 fill_with_requests(const char *key, size_t bytes)
{
	size_t at = 0;
	__u32 count = 0;

	while (at + 100 < bytes) {
		at += snprintf(large + at, sizeof(large) - at, GET_KEY("%s"), key);
		count++;
	}
	/* the last one fills up to the end */
	snprintf(large + at, sizeof(large) - at, "GET /%0*d HTTP/1.1\r\n\r\n",
		 (int)(bytes - at - 18), 0);
	return count;
}

static void jumbo_segment_is_read_whole(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1000);
	__u32 count = fill_with_requests("gold", 8900);

	assert_true(count > 100);
	assert_passes(large);
	assert_int_equal(caller_allowed(gold), count);
	assert_int_equal(charged(), count + 1);
}

static void jumbo_body_ends_where_it_says(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	size_t at = snprintf(large, sizeof(large), POST_HEAD("8000", "gold"));

	memset(large + at, 'b', 8000);
	at += 8000;
	snprintf(large + at, sizeof(large) - at, GET_KEY("gold"));
	assert_passes(large);
	assert_caller(gold, 2, 0);
	assert_int_equal(charged(), 2);
}

/* What generic XDP hands over after GRO can be longer than what is read: a transaction for each 64
 * bytes then. */
static void segment_beyond_the_scan_is_never_free(void **state)
{
	__u32 count;

	harness_set_tier(&h, 0, limit_frozen(1000));
	count = fill_with_requests("a-key-of-nobody", 15900);
	assert_passes(large);
	assert_true(charged() >= count);
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
		HTTP_CASE("a request is charged to the caller of its key", key_names_the_caller),
		HTTP_CASE("a key comes before a source", key_comes_before_source),
		HTTP_CASE("two keys and two prefixes of a caller share one bucket",
			  two_keys_and_two_prefixes_share_a_bucket),
		HTTP_CASE("an unknown key is charged to its source and makes no entry",
			  unknown_key_is_charged_to_its_source),
		HTTP_CASE("a key of a caller that has gone is charged to its source",
			  key_of_a_caller_that_has_gone_is_charged_to_its_source),
		HTTP_CASE("a banned caller's key is refused and its neighbours' are not",
			  banned_key_and_not_its_neighbours),
		HTTP_CASE("the listener names the key headers", other_header_names),
		HTTP_CASE("handshake, ACK and FIN are free", handshake_and_acks_are_free),
		HTTP_CASE("a body is free", body_is_free),
		HTTP_CASE("a body whose segments come out of order is free",
			  body_out_of_order_is_free),
		HTTP_CASE("a head inside a body is free", head_in_a_body_is_free),
		HTTP_CASE("a head inside a chunk is free", head_in_a_chunk_is_free),
		HTTP_CASE("pipelined heads are charged each to its own caller",
			  pipelined_heads_are_charged_each),
		HTTP_CASE("a segment with more heads than tokens is refused whole, uncharged",
			  segment_with_more_heads_than_tokens_is_refused_whole),
		HTTP_CASE("a segment of two callers is refused whole, uncharged",
			  segment_of_two_callers_is_refused_whole),
		HTTP_CASE("an exempt caller in a segment frees no other",
			  exempt_and_limited_callers_in_a_segment),
		HTTP_CASE("what is observed of pipelined callers is what is refused them",
			  observed_pipeline_is_what_enforced_refuses),
		HTTP_CASE("where the listener refuses a request, the caller's token is given back",
			  listeners_limit_gives_back_on_connections),
		HTTP_CASE("a listener's cost weighs requests", cost_weighs_requests),
		HTTP_CASE("a refused request that is sent again is asked again",
			  refused_request_is_asked_again),
		HTTP_CASE("bytes sent again that the host has are free",
			  bytes_that_the_host_has_are_free),
		HTTP_CASE("bytes sent again that the host has not are charged to the source",
			  bytes_that_the_host_has_not_are_charged),
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
		HTTP_CASE("each request in a jumbo segment is charged",
			  jumbo_segment_is_read_whole),
		HTTP_CASE("a body in a jumbo segment ends where its head says",
			  jumbo_body_ends_where_it_says),
		HTTP_CASE("a segment longer than what is read is never free",
			  segment_beyond_the_scan_is_never_free),
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

	return cmocka_run_group_tests_name("requests", cases, http_group_open, http_group_close);
}
