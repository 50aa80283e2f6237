// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request stream means the same however it is cut: at every byte, in two and three segments, in
 * order and reversed, the same callers are charged the same number of transactions.
 */
#include "lib/http_cases.h"

#include <stdlib.h>

#define SEGMENTS_MAX 3
#define ROUNDS_MAX 12 /* of a client that sends again what did not arrive */

struct expected {
	__u32 gold, iron, strangers;
};

struct segment {
	size_t from, to;
	bool passed;
};

/* A long head, two bodies with heads inside, chunks: 5 requests. */
static size_t make_stream(char *ret_stream, size_t long_header, struct expected *ret_expected)
{
	static const char begin[] = GET_KEY(
		"gold") "POST /a HTTP/1.1\r\nHost: a\r\nX-API-Key: iron\r\nContent-Length: "
			"58\r\n\r\n" GET_KEY("gold") "POST /b HTTP/1.1\r\nHost: "
						     "a\r\nTransfer-Encoding: chunked\r\n\r\n"
						     "3a;name=value\r\n" GET_KEY(
							     "iron") "\r\n"
								     "2\r\n\r\n\r\n0\r\nTrailer: "
								     "GET / HTTP/1.1\r\n\r\n"
								     "GET /long HTTP/1.1\r\nHost: "
								     "a\r\nCookie: ";
	static const char end[] = "\r\nx-api-KEY: \t gold \r\nAccept: */*\r\n\r\n" GET_KEY("iron");
	char *at = ret_stream;

	memcpy(at, begin, sizeof(begin) - 1);
	at += sizeof(begin) - 1;
	memset(at, 'c', long_header);
	at += long_header;
	memcpy(at, end, sizeof(end) - 1);
	at += sizeof(end) - 1;
	*ret_expected = (struct expected){.gold = 2, .iron = 2, .strangers = 1};
	return at - ret_stream;
}

/* Every passed byte that closes a gap is received by the host. */
static void deliver_in_order(struct live *live, const char *stream, const struct segment *segments,
			     int count, size_t *delivered)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (int i = 0; i < count; i++) {
			if (!segments[i].passed || segments[i].from != *delivered)
				continue;
			live_deliver(live, stream + segments[i].from,
				     segments[i].to - segments[i].from);
			*delivered = segments[i].to;
			moved = true;
		}
	}
}

/* Sends the segments on a connection of their own, and again what the gate dropped, until the host
 * has all of it. */
static void send_cut(const char *stream, size_t len, struct segment *segments, int count,
		     bool reversed)
{
	size_t delivered = 0;
	struct packet packet;
	struct live live;
	__u32 ack;

	live_open(&live, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	packet = live_packet(&live);
	ack = packet.ack;
	for (int round = 0; delivered < len; round++) {
		assert_true(round < ROUNDS_MAX);
		for (int i = 0; i < count; i++) {
			struct segment *segment = &segments[reversed ? count - 1 - i : i];

			if (segment->passed)
				continue;
			packet.seq = live.first_seq + segment->from;
			packet.ack = ack;
			packet.payload = stream + segment->from;
			packet.payload_bytes = segment->to - segment->from;
			segment->passed = harness_run(&h, &packet) == XDP_PASS;
			deliver_in_order(&live, stream, segments, count, &delivered);
		}
	}
	live_close(&live);
}

static struct tps_slot gold, iron;

static void check_cut(const char *stream, size_t len, const size_t *cuts, int count, bool reversed,
		      const struct expected *expected)
{
	__u64 gold_before = caller_allowed(gold), iron_before = caller_allowed(iron);
	__u64 strangers_before = strangers_allowed();
	struct segment segments[SEGMENTS_MAX];

	for (int i = 0; i < count; i++)
		segments[i] = (struct segment){
			.from = i ? cuts[i - 1] : 0,
			.to = i + 1 < count ? cuts[i] : len,
		};
	send_cut(stream, len, segments, count, reversed);
	if (caller_allowed(gold) - gold_before != expected->gold ||
	    caller_allowed(iron) - iron_before != expected->iron ||
	    strangers_allowed() - strangers_before != expected->strangers)
		print_error("cut at %zu and %zu%s: gold %llu of %u, iron %llu of %u, others %llu "
			    "of %u\n",
			    cuts[0], count > 2 ? cuts[1] : len, reversed ? ", reversed" : "",
			    caller_allowed(gold) - gold_before, expected->gold,
			    caller_allowed(iron) - iron_before, expected->iron,
			    strangers_allowed() - strangers_before, expected->strangers);
	assert_int_equal(caller_allowed(gold) - gold_before, expected->gold);
	assert_int_equal(caller_allowed(iron) - iron_before, expected->iron);
	assert_int_equal(strangers_allowed() - strangers_before, expected->strangers);
}

static char stream[4096];

static size_t begin(size_t long_header, struct expected *ret_expected)
{
	gold = add_keyed("gold", 1000000);
	iron = add_keyed("iron", 1000000);
	harness_set_tier(&h, 0, limit_frozen(1000000));
	return make_stream(stream, long_header, ret_expected);
}

static void whole(void **state)
{
	struct expected expected;
	size_t len = begin(2000, &expected);

	assert_true(len > 2400);
	check_cut(stream, len, &len, 1, false, &expected);
	assert_int_equal(charged(), 5);
}

static void cut_in_two(bool reversed)
{
	struct expected expected;
	size_t len = begin(2000, &expected);

	for (size_t cut = 1; cut < len; cut++)
		check_cut(stream, len, &cut, 2, reversed, &expected);
}

static void in_two_in_order(void **state)
{
	cut_in_two(false);
}

static void in_two_reversed(void **state)
{
	cut_in_two(true);
}

/* The second cut at each of some distances from the first, and anywhere. */
static void cut_in_three(bool reversed)
{
	static const size_t distances[] = {1, 2, 7, 64, 191, 193};
	struct expected expected;
	size_t len = begin(300, &expected);

	for (size_t first = 1; first < len - 1; first++) {
		for (size_t i = 0; i < sizeof(distances) / sizeof(*distances); i++) {
			size_t cuts[2] = {first, first + distances[i]};

			if (cuts[1] < len)
				check_cut(stream, len, cuts, 3, reversed, &expected);
		}
		for (int i = 0; i < 2; i++) {
			size_t cuts[2] = {first, first + 1 + random() % (len - 1 - first)};

			check_cut(stream, len, cuts, 3, reversed, &expected);
		}
	}
}

static void in_three_in_order(void **state)
{
	cut_in_three(false);
}

static void in_three_reversed(void **state)
{
	cut_in_three(true);
}

static void byte_by_byte(void **state)
{
	struct expected expected;
	size_t len = begin(300, &expected);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(live_send(&c, &h, stream + i, 1), XDP_PASS);
	assert_int_equal(caller_allowed(gold), expected.gold);
	assert_int_equal(caller_allowed(iron), expected.iron);
	assert_int_equal(strangers_allowed(), expected.strangers);
}

/* A head whose tokens are gone is refused at its last segment, and the rest of it waits there. */
static void cut_head_is_refused_at_its_end(void **state)
{
	struct tps_slot lead = add_keyed("lead", 1);

	assert_passes(GET_KEY("lead"));
	answer();
	assert_passes("GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: le");
	for (int i = 0; i < 3; i++)
		assert_drops("ad\r\n\r\n");
	assert_caller(lead, 1, 3);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("a stream in one segment charges five requests", whole),
		HTTP_CASE("a stream cut in two at every byte charges the same", in_two_in_order),
		HTTP_CASE("a stream cut in two at every byte, reversed, charges the same",
			  in_two_reversed),
		HTTP_CASE("a stream cut in three charges the same", in_three_in_order),
		HTTP_CASE("a stream cut in three, reversed, charges the same", in_three_reversed),
		HTTP_CASE("a stream sent byte by byte charges the same", byte_by_byte),
		HTTP_CASE("a cut head is refused at its last segment",
			  cut_head_is_refused_at_its_end),
	};

	return cmocka_run_group_tests_name("segments", cases, http_group_open, http_group_close);
}
