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
		HTTP_CASE("each request in a jumbo segment is charged",
			  jumbo_segment_is_read_whole),
		HTTP_CASE("a body in a jumbo segment ends where its head says",
			  jumbo_body_ends_where_it_says),
		HTTP_CASE("a segment longer than what is read is never free",
			  segment_beyond_the_scan_is_never_free),
	};

	return cmocka_run_group_tests_name("requests", cases, http_group_open, http_group_close);
}
