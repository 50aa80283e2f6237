// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client may try so as not to be counted, or to be counted as another: each is charged to
 * the right caller or to its source, and never free.
 */
#include "lib/http_cases.h"

static struct tps_slot gold, net;

/* A key's caller, and the source's: whoever is charged, it is one of the two. */
static void set_up(void)
{
	gold = add_keyed("gold", 1000);
	net = add_source("198.51.100.0/24", 1000);
}

/* The head is charged once, to the source, for @reason. */
static void assert_undecided(const char *head, enum tps_reason reason)
{
	set_up();
	assert_passes(head);
	assert_int_equal(caller_allowed(gold), 0);
	assert_int_equal(caller_allowed(net), 1);
	assert_true(harness_notes(&h, HTTP, reason) >= 1);
	assert_int_equal(charged(), 1);
}

static void assert_gold(const char *head)
{
	set_up();
	assert_passes(head);
	assert_caller(gold, 1, 0);
	assert_caller(net, 0, 0);
}

/* ---- wrapping ---- */

static void assert_wrapped_is_charged(void (*wrap)(struct packet *), const char *client,
				      const char *server, int listener)
{
	struct packet packet;

	gold = add_keyed("gold", 1000);
	live_close(&c);
	live_open(&c, &h, listener, client, server, HTTP_PORT);
	packet = live_packet(&c);
	packet.payload = GET_KEY("gold");
	wrap(&packet);
	expect_allowed(&packet, HTTP);
	assert_caller(gold, 1, 0);
	assert_int_not_equal(harness_bucket(&h, gold).proven_tat_vt, 0);
}

static void wrap_in_tags(struct packet *packet)
{
	packet->vlan_tags = 2;
}

static void wrap_in_options(struct packet *packet)
{
	packet->option_bytes = 40;
	packet->timestamp = 7;
}

static void wrap_in_headers(struct packet *packet)
{
	packet->extension_headers = 8;
}

static void tagged_request(void **state)
{
	assert_wrapped_is_charged(wrap_in_tags, CLIENT, SERVER, http_listener);
}

static void request_with_ip_options(void **state)
{
	assert_wrapped_is_charged(wrap_in_options, CLIENT, SERVER, http_listener);
}

static void request_with_extension_headers(void **state)
{
	assert_wrapped_is_charged(wrap_in_headers, CLIENT6, SERVER6, http_listener6);
}

/* ---- heads ---- */

static void doubled_key(void **state)
{
	assert_undecided(GET_WITH("X-API-Key: gold\r\nX-API-Key: iron"), TPS_REASON_DOUBLED_KEY);
}

static void doubled_key_of_odd_case(void **state)
{
	assert_undecided(GET_WITH("X-API-Key: gold\r\nAccept: */*\r\nx-api-key: gold"),
			 TPS_REASON_DOUBLED_KEY);
}

static void odd_case_key(void **state)
{
	assert_gold(GET_WITH("x-ApI-kEy:gold"));
}

static void padded_key(void **state)
{
	assert_gold(GET_WITH("X-API-Key: \t gold\t "));
}

static void key_like_names_are_no_keys(void **state)
{
	set_up();
	assert_passes(GET_WITH("X-API-Keys: gold\r\nAX-API-Key: gold\r\nX-API_Key: gold"));
	assert_int_equal(caller_allowed(gold), 0);
	assert_int_equal(caller_allowed(net), 1);
}

static void folded_key(void **state)
{
	assert_undecided(GET_WITH("X-API-Key: go\r\n ld"), TPS_REASON_FOLDED);
}

static void space_before_colon(void **state)
{
	assert_undecided(GET_WITH("X-API-Key : gold"), TPS_REASON_SPACE_BEFORE_COLON);
}

static void bare_lf(void **state)
{
	assert_undecided("GET / HTTP/1.1\nHost: a\nX-API-Key: gold\n\n", TPS_REASON_BARE_LF);
}

static void bare_lf_in_the_key_line(void **state)
{
	assert_undecided(GET_WITH("X-API-Key: gold\nX-Other: a"), TPS_REASON_BARE_LF);
}

static void key_of_129_bytes(void **state)
{
	char head[400];

	snprintf(head, sizeof(head), GET_WITH("X-API-Key: %0129d"), 0);
	assert_undecided(head, TPS_REASON_BAD_KEY);
}

static void key_of_128_bytes(void **state)
{
	char head[400], key[129];

	snprintf(key, sizeof(key), "%0128d", 7);
	snprintf(head, sizeof(head), GET_WITH("X-API-Key: %s"), key);
	gold = add_keyed(key, 10);
	assert_passes(head);
	assert_caller(gold, 1, 0);
}

static void length_and_chunks(void **state)
{
	assert_undecided("POST / HTTP/1.1\r\nX-API-Key: gold\r\nContent-Length: 5\r\n"
			 "Transfer-Encoding: chunked\r\n\r\n",
			 TPS_REASON_BAD_LENGTH);
}

static void two_lengths(void **state)
{
	assert_undecided("POST / HTTP/1.1\r\nX-API-Key: gold\r\nContent-Length: 5\r\n"
			 "Content-Length: 500\r\n\r\n",
			 TPS_REASON_BAD_LENGTH);
}

static void length_with_a_sign(void **state)
{
	assert_undecided("POST / HTTP/1.1\r\nX-API-Key: gold\r\nContent-Length: +5\r\n\r\n",
			 TPS_REASON_BAD_LENGTH);
}

static void length_that_overflows(void **state)
{
	assert_undecided("POST / HTTP/1.1\r\nX-API-Key: gold\r\n"
			 "Content-Length: 18446744073709551617\r\n\r\n",
			 TPS_REASON_BAD_LENGTH);
}

static void request_line_with_a_tab(void **state)
{
	assert_undecided("GET\t/ HTTP/1.1\r\nX-API-Key: gold\r\n\r\n", TPS_REASON_BAD_REQUEST_LINE);
}

static void request_of_http_0_9(void **state)
{
	assert_undecided("GET /\r\n", TPS_REASON_BAD_REQUEST_LINE);
}

static void head_that_never_ends(void **state)
{
	char line[1024];
	int passed = 0;

	set_up();
	memset(line, 'a', sizeof(line));
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	assert_passes("GET / HTTP/1.1\r\nX-API-Key: gold\r\n");
	for (int i = 0; i < 40; i++)
		passed += live_send(&c, &h, line, sizeof(line)) == XDP_PASS;
	assert_int_equal(caller_allowed(gold), 0);
	assert_true(caller_allowed(net) >= 1);
	assert_true(harness_notes(&h, HTTP, TPS_REASON_LONG_HEAD) >= 1);
}

/* After framing was lost, whatever follows is charged to the source until the server answers. */
static void nothing_is_free_after_a_bad_head(void **state)
{
	__u64 before;

	set_up();
	assert_passes("POST / HTTP/1.1\r\nContent-Length: 5, 500\r\n\r\n");
	before = caller_allowed(net);
	for (int i = 0; i < 5; i++)
		assert_passes(GET_KEY("gold"));
	assert_true(caller_allowed(net) >= before + 5);
	assert_int_equal(caller_allowed(gold), 0);
	answer();
	assert_passes(GET_KEY("gold"));
	assert_int_equal(caller_allowed(gold), 1);
}

static void more_callers_than_are_told(void **state)
{
	static char heads[4096];
	__u32 heads_sent = 0;

	set_up();
	for (size_t at = 0; heads_sent < 20; heads_sent++)
		at += snprintf(heads + at, sizeof(heads) - at, GET_KEY("gold-%u"), heads_sent);
	assert_passes(heads);
	assert_true(charged() >= heads_sent);
	assert_int_equal(caller_allowed(net), charged());
}

static void small_requests_in_a_large_segment(void **state)
{
	static char heads[3200];
	size_t at = 0;
	__u32 sent = 0;

	set_up();
	while (at + 30 < sizeof(heads)) {
		at += snprintf(heads + at, sizeof(heads) - at, "GET / HTTP/1.1\r\nHost:a\r\n\r\n");
		sent++;
	}
	assert_true(sent > 100);
	assert_passes(heads);
	assert_int_equal(caller_allowed(net), sent);
}

static void empty_lines_before_a_request(void **state)
{
	set_up();
	assert_passes("\r\n\r\n" GET_KEY("gold"));
	assert_caller(gold, 1, 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("a request with VLAN tags is charged to its key", tagged_request),
		HTTP_CASE("a request with IP and TCP options is charged to its key",
			  request_with_ip_options),
		HTTP_CASE("a request with extension headers is charged to its key",
			  request_with_extension_headers),
		HTTP_CASE("a doubled key header is charged to the source", doubled_key),
		HTTP_CASE("a key header doubled in another case is charged to the source",
			  doubled_key_of_odd_case),
		HTTP_CASE("a key header in odd case names the caller", odd_case_key),
		HTTP_CASE("white space around a key is no part of it", padded_key),
		HTTP_CASE("a header name that is only like the key header's is none",
			  key_like_names_are_no_keys),
		HTTP_CASE("a folded key is charged to the source", folded_key),
		HTTP_CASE("a space before the colon is charged to the source", space_before_colon),
		HTTP_CASE("bare LF is charged to the source", bare_lf),
		HTTP_CASE("a bare LF behind the key is charged to the source",
			  bare_lf_in_the_key_line),
		HTTP_CASE("a key of 129 bytes is charged to the source", key_of_129_bytes),
		HTTP_CASE("a key of 128 bytes names the caller", key_of_128_bytes),
		HTTP_CASE("a length together with chunks is charged to the source",
			  length_and_chunks),
		HTTP_CASE("two lengths are charged to the source", two_lengths),
		HTTP_CASE("a length with a sign is charged to the source", length_with_a_sign),
		HTTP_CASE("a length that overflows is charged to the source",
			  length_that_overflows),
		HTTP_CASE("a request line with a tab is charged to the source",
			  request_line_with_a_tab),
		HTTP_CASE("a request of HTTP/0.9 is charged to the source", request_of_http_0_9),
		HTTP_CASE("a head that never ends is charged to the source", head_that_never_ends),
		HTTP_CASE("nothing is free after a head that cannot be framed",
			  nothing_is_free_after_a_bad_head),
		HTTP_CASE("more callers in a segment than are told are charged to the source",
			  more_callers_than_are_told),
		HTTP_CASE("each of many small requests in a large segment is charged",
			  small_requests_in_a_large_segment),
		HTTP_CASE("empty lines before a request hide nothing",
			  empty_lines_before_a_request),
	};

	return cmocka_run_group_tests_name("evasion", cases, http_group_open, http_group_close);
}
