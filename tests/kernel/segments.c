// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request stream means the same however it is cut: at every byte, in two and three segments, in
 * order and reversed, the same callers are charged the same number of transactions.
 */
#include "lib/far.h"

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

enum place { LOCAL, LOCAL6, TRANSIT, TRANSIT6 };

/* A connection of the client's, whose server is here or beyond. */
struct connection {
	bool forwarded;
	struct live live;
	struct far far;
	struct packet next; /* its first byte */
};

static void connection_open(struct connection *ret, enum place place)
{
	ret->forwarded = place == TRANSIT || place == TRANSIT6;
	if (ret->forwarded) {
		far_open(&ret->far, place == TRANSIT ? CLIENT : CLIENT6,
			 place == TRANSIT ? FAR_SERVER : FAR_SERVER6);
		ret->next = ret->far.client;
		return;
	}
	if (place == LOCAL)
		live_open(&ret->live, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	else
		live_open(&ret->live, &h, http_listener6, CLIENT6, SERVER6, HTTP_PORT);
	ret->next = live_packet(&ret->live);
}

static void connection_close(struct connection *connection)
{
	if (!connection->forwarded)
		live_close(&connection->live);
}

/* The server has the next @len bytes. */
static void connection_deliver(struct connection *connection, const char *bytes, size_t len)
{
	if (connection->forwarded) {
		connection->far.client.seq += len;
		server_sends(&connection->far, NULL);
	} else {
		live_deliver(&connection->live, bytes, len);
	}
}

/* Every passed byte that closes a gap is received by the server. */
static void deliver_in_order(struct connection *connection, const char *stream,
			     const struct segment *segments, int count, size_t *delivered)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (int i = 0; i < count; i++) {
			if (!segments[i].passed || segments[i].from != *delivered)
				continue;
			connection_deliver(connection, stream + segments[i].from,
					   segments[i].to - segments[i].from);
			*delivered = segments[i].to;
			moved = true;
		}
	}
}

/* Sends the segments on a connection of their own, and again what the gate dropped, until the
 * server has all of it. */
static void send_cut(const char *stream, size_t len, struct segment *segments, int count,
		     const int *order, enum place place)
{
	size_t delivered = 0;
	struct connection connection;
	struct packet packet;

	connection_open(&connection, place);
	for (int round = 0; delivered < len; round++) {
		assert_true(round < ROUNDS_MAX);
		for (int i = 0; i < count; i++) {
			struct segment *segment = &segments[order[i]];

			if (segment->passed)
				continue;
			packet = connection.next;
			packet.seq += segment->from;
			packet.payload = stream + segment->from;
			packet.payload_bytes = segment->to - segment->from;
			segment->passed = harness_run(&h, &packet) == XDP_PASS;
			deliver_in_order(&connection, stream, segments, count, &delivered);
		}
	}
	connection_close(&connection);
}

static struct tps_slot gold, iron;

/* In which order the segments are sent, before those that were dropped are sent again. */
static const int in_order[] = {0, 1, 2};
static const int reversed2[] = {1, 0}, reversed3[] = {2, 1, 0};
static const int middle_first[] = {1, 0, 2}, middle_last[] = {0, 2, 1};
static const int first_last[] = {1, 2, 0}, last_first[] = {2, 0, 1};

static char stream[4096];
static size_t stream_bytes;
static struct expected expected;

/* On a machine that is emulated: only at every N-th byte. */
static size_t thinner(void)
{
	const char *text = getenv("TPS_THINNER");

	return text && atoi(text) > 1 ? atoi(text) : 1;
}

static void check_cut(const size_t *cuts, int count, const int *order, enum place place)
{
	__u64 before[] = {caller_allowed(gold), caller_allowed(iron), strangers_allowed()};
	struct segment segments[SEGMENTS_MAX];
	__u64 got[3];

	for (int i = 0; i < count; i++)
		segments[i] = (struct segment){
			.from = i ? cuts[i - 1] : 0,
			.to = i + 1 < count ? cuts[i] : stream_bytes,
		};
	send_cut(stream, stream_bytes, segments, count, order, place);
	got[0] = caller_allowed(gold) - before[0];
	got[1] = caller_allowed(iron) - before[1];
	got[2] = strangers_allowed() - before[2];
	if (got[0] != expected.gold || got[1] != expected.iron || got[2] != expected.strangers)
		fail_msg("cut at %zu and %zu, sent in the order %d %d %d, place %d: gold %llu of "
			 "%u, iron %llu of %u, others %llu of %u",
			 count > 1 ? cuts[0] : 0, count > 2 ? cuts[1] : 0, order[0],
			 count > 1 ? order[1] : 0, count > 2 ? order[2] : 0, place, got[0],
			 expected.gold, got[1], expected.iron, got[2], expected.strangers);
}

static void begin(size_t long_header)
{
	gold = add_keyed("gold", 1000000);
	iron = add_keyed("iron", 1000000);
	harness_set_tier(&h, 0, limit_frozen(1000000));
	stream_bytes = make_stream(stream, long_header, &expected);
}

/* The counters and buckets of a case hold a million transactions. */
static void begin_in(enum place place, size_t long_header)
{
	begin(long_header);
	if (place == TRANSIT || place == TRANSIT6)
		far_listener();
}

static void whole(void **state)
{
	begin(2000);
	assert_true(stream_bytes > 2400);
	check_cut(NULL, 1, in_order, LOCAL);
	assert_int_equal(charged(), 5);
}

static void cut_in_two(enum place place, const int *order)
{
	begin_in(place, 2000);
	for (size_t cut = 1; cut < stream_bytes; cut += thinner())
		check_cut(&cut, 2, order, place);
}

static void in_two_in_order(void **state)
{
	cut_in_two(LOCAL, in_order);
}

static void in_two_reversed(void **state)
{
	cut_in_two(LOCAL, reversed2);
}

static void in_two_6(void **state)
{
	cut_in_two(LOCAL6, in_order);
}

static void in_two_transit(void **state)
{
	cut_in_two(TRANSIT, in_order);
}

static void in_two_transit6_reversed(void **state)
{
	cut_in_two(TRANSIT6, reversed2);
}

/* Both cuts at every byte; without the long header's filling, in which nothing changes. */
static void in_three_everywhere(void **state)
{
	begin(0);
	for (size_t first = 1; first < stream_bytes - 1; first += thinner())
		for (size_t second = first + 1; second < stream_bytes; second++)
			check_cut((size_t[]){first, second}, 3, in_order, LOCAL);
}

/*
 * With a head of 2 kB: the first cut at each @step-th byte, the second at some distances from it
 * and @stride apart from there on, each time from another byte.
 */
static void cut_in_three(enum place place, const int *order, size_t step, size_t stride)
{
	static const size_t distances[] = {1, 2, 7, 64, 191, 193};

	begin_in(place, 2000);
	for (size_t first = 1; first < stream_bytes - 1; first += step * thinner()) {
		for (size_t i = 0; i < sizeof(distances) / sizeof(*distances); i++)
			if (first + distances[i] < stream_bytes)
				check_cut((size_t[]){first, first + distances[i]}, 3, order, place);
		for (size_t second = first + 1 + first % stride; second < stream_bytes;
		     second += stride)
			check_cut((size_t[]){first, second}, 3, order, place);
	}
}

static void in_three_in_order(void **state)
{
	cut_in_three(LOCAL, in_order, 1, 97);
}

static void in_three_reversed(void **state)
{
	cut_in_three(LOCAL, reversed3, 1, 97);
}

static void in_three_middle_first(void **state)
{
	cut_in_three(LOCAL, middle_first, 3, 499);
}

static void in_three_middle_last(void **state)
{
	cut_in_three(LOCAL, middle_last, 3, 499);
}

static void in_three_first_last(void **state)
{
	cut_in_three(LOCAL, first_last, 3, 499);
}

static void in_three_last_first(void **state)
{
	cut_in_three(LOCAL, last_first, 3, 499);
}

static void in_three_6(void **state)
{
	cut_in_three(LOCAL6, reversed3, 3, 499);
}

static void in_three_transit(void **state)
{
	cut_in_three(TRANSIT, in_order, 3, 499);
}

/* Anywhere, in any order; the seed is said, and TPS_SEED chooses it. */
static void in_three_at_random(void **state)
{
	static const int *const orders[] = {in_order,    reversed3,  middle_first,
					    middle_last, first_last, last_first};
	const char *chosen = getenv("TPS_SEED");
	unsigned seed = chosen ? strtoul(chosen, NULL, 10) : harness_now_ns() / 1000;

	print_message("# TPS_SEED=%u\n", seed);
	srandom(seed);
	begin(2000);
	for (size_t i = 0; i < 5000; i += thinner()) {
		size_t first = 1 + random() % (stream_bytes - 2);
		size_t second = first + 1 + random() % (stream_bytes - 1 - first);

		check_cut((size_t[]){first, second}, 3, orders[random() % 6], LOCAL);
	}
}

static void byte_by_byte(void **state)
{
	begin(300);
	for (size_t i = 0; i < stream_bytes; i++)
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
		HTTP_CASE("over IPv6, a stream cut in two charges the same", in_two_6),
		HTTP_CASE("in transit, a stream cut in two charges the same", in_two_transit),
		HTTP_CASE("in transit over IPv6, a stream cut in two, reversed, charges the same",
			  in_two_transit6_reversed),
		HTTP_CASE("a stream cut in three at every two bytes charges the same",
			  in_three_everywhere),
		HTTP_CASE("a stream with 2 kB heads cut in three charges the same",
			  in_three_in_order),
		HTTP_CASE("a stream cut in three, reversed, charges the same", in_three_reversed),
		HTTP_CASE("a stream cut in three, the middle first, charges the same",
			  in_three_middle_first),
		HTTP_CASE("a stream cut in three, the middle last, charges the same",
			  in_three_middle_last),
		HTTP_CASE("a stream cut in three, its beginning last, charges the same",
			  in_three_first_last),
		HTTP_CASE("a stream cut in three, its end first, charges the same",
			  in_three_last_first),
		HTTP_CASE("over IPv6, a stream cut in three, reversed, charges the same",
			  in_three_6),
		HTTP_CASE("in transit, a stream cut in three charges the same", in_three_transit),
		HTTP_CASE("a stream cut in three at random, in any order, charges the same",
			  in_three_at_random),
		HTTP_CASE("a stream sent byte by byte charges the same", byte_by_byte),
		HTTP_CASE("a cut head is refused at its last segment",
			  cut_head_is_refused_at_its_end),
	};

	return cmocka_run_group_tests_name("segments", cases, http_group_open, http_group_close);
}
