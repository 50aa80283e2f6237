// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was served uncharged once, and what was charged though the client did nothing for it.
 */
#include "lib/http_cases.h"

#define GET_UPGRADE GET_WITH("Upgrade: foo")
#define ODD_VERSION "FOO / HTTP/1.0001\r\nHost: a\r\n\r\n"

static char bytes[20000];

/* nginx reads any number of digits behind "HTTP/1.", and ignores an Upgrade. */
static void version_of_many_digits_is_a_request(void **state)
{
	harness_set_tier(&h, 0, limit_frozen(9));
	assert_passes(GET_UPGRADE);
	answer();
	for (int i = 0; i < 3; i++) {
		assert_passes(ODD_VERSION);
		answer();
	}
	assert_int_equal(charged(), 4);
}

static void version_of_many_digits_is_a_request_on_an_old_connection(void **state)
{
	harness_set_tier(&h, 0, limit_frozen(9));
	live_deliver(&c, GET, strlen(GET)); /* as in fragments */
	answer();
	for (int i = 0; i < 3; i++) {
		assert_passes(ODD_VERSION);
		answer();
	}
	assert_int_equal(charged(), 3);
}

/* The host takes a segment whose ack is as old as the largest window. */
static void old_ack_hides_no_turn(void **state)
{
	struct packet turn = live_packet(&c);
	__u32 old = turn.ack;

	harness_set_tier(&h, 0, limit_frozen(9));
	assert_passes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		answer();
		turn = live_packet(&c);
		turn.ack = old;
		turn.payload = "twenty bytes of HEAD";
		assert_int_equal(harness_run(&h, &turn), XDP_PASS);
		live_deliver(&c, turn.payload, 20);
	}
	assert_int_equal(charged(), 4);
}

/* The window may have moved when the host comes to read the byte: then it takes it, and the gate
 * has not read it. */
static void probe_in_a_head_does_not_pass(void **state)
{
	struct packet probe;

	harness_set_tier(&h, 0, limit_frozen(9));
	assert_passes("GET / HTTP/1.1\r\nHost: ");
	probe = live_packet(&c);
	probe.seq = live_right_edge(&c);
	probe.payload = "X";
	assert_int_equal(harness_run(&h, &probe), XDP_DROP);
}

static void bytes_beyond_the_window_do_not_pass(void **state)
{
	struct packet beyond;

	harness_set_tier(&h, 0, limit_frozen(9));
	assert_passes("GET / HTTP/1.1\r\nHost: ");
	beyond = live_packet(&c);
	beyond.seq = live_right_edge(&c);
	beyond.payload = "XX";
	assert_int_equal(harness_run(&h, &beyond), XDP_DROP);
}

static void chunk_that_the_network_doubles_costs_nothing(void **state)
{
	struct tps_slot gold = add_keyed("gold", 9);
	struct packet part;

	assert_passes("POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: gold\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n"
		      "5\r\nhel");
	part = live_packet(&c);
	part.payload = "lo\r\n5\r\nhello\r\n5\r\nhel";
	assert_int_equal(harness_run(&h, &part), XDP_PASS);
	assert_int_equal(harness_run(&h, &part), XDP_PASS);
	assert_passes(part.payload);
	assert_passes("lo\r\n0\r\n\r\n");
	answer();
	assert_passes(GET_KEY("gold"));
	assert_caller(gold, 2, 0);
	assert_int_equal(charged(), 2);
}

/* 10240 bytes of a segment are read. */
static void bytes_that_are_not_read_after_an_upgrade_are_charged(void **state)
{
	struct packet large;

	harness_set_tier(&h, 0, limit_frozen(5));
	assert_passes(GET_UPGRADE);
	answer();
	for (size_t i = 0; i < 10240; i += 2)
		memcpy(bytes + i, "\r\n", 2);
	for (size_t i = 10240; i + sizeof(GET) - 1 < 14000; i += sizeof(GET) - 1)
		memcpy(bytes + i, GET, sizeof(GET) - 1);
	large = live_packet(&c);
	large.payload = bytes;
	large.payload_bytes = 14000;
	assert_int_equal(harness_run(&h, &large), XDP_DROP);
}

/* 64 KiB of requests may follow in the later ones. */
static void first_fragment_that_no_limit_pays_does_not_pass(void **state)
{
	struct packet first = live_packet(&c);

	harness_set_tier(&h, 0, limit_frozen(5));
	first.payload = GET;
	first.more_fragments = true;
	first.payload_bytes = 24;
	assert_int_equal(harness_run(&h, &first), XDP_DROP);
}

static void pieces_of_request_lines_out_of_order_are_charged(void **state)
{
	static const char line[] = "FOO / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct packet piece;

	harness_set_tier(&h, 0, limit_frozen(50));
	live_deliver(&c, GET, strlen(GET));
	answer();
	for (int i = 0; i < 8; i++)
		memcpy(bytes + i * (sizeof(line) - 1), line, sizeof(line) - 1);
	for (int odd = 1; odd >= 0; odd--) {
		for (int i = odd; i < 8; i += 2) {
			__u32 from = i ? i * (sizeof(line) - 1) - 16 : 0;

			piece = live_packet(&c);
			piece.seq += from;
			piece.payload = bytes + from;
			piece.payload_bytes = (i + 1) * (sizeof(line) - 1) - 16 - from;
			assert_int_equal(harness_run(&h, &piece), XDP_PASS);
		}
	}
	assert_true(charged() >= 7);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("HTTP/1.0001 behind an Upgrade is a request",
			  version_of_many_digits_is_a_request),
		HTTP_CASE("HTTP/1.0001 on an old connection is a request",
			  version_of_many_digits_is_a_request_on_an_old_connection),
		HTTP_CASE("an old ack hides no turn", old_ack_hides_no_turn),
		HTTP_CASE("a window probe in a head does not pass", probe_in_a_head_does_not_pass),
		HTTP_CASE("two bytes beyond the window do not pass unproven",
			  bytes_beyond_the_window_do_not_pass),
		HTTP_CASE("a chunk that the network doubles costs nothing",
			  chunk_that_the_network_doubles_costs_nothing),
		HTTP_CASE("bytes that are not read after an Upgrade are charged",
			  bytes_that_are_not_read_after_an_upgrade_are_charged),
		HTTP_CASE("a first fragment that no limit pays does not pass",
			  first_fragment_that_no_limit_pays_does_not_pass),
		HTTP_CASE("pieces of request lines out of order are charged",
			  pieces_of_request_lines_out_of_order_are_charged),
	};

	return cmocka_run_group_tests_name("unpaid", cases, http_group_open, http_group_close);
}
