// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the client of an answered connection sends, in the server's counts: each segment of it,
 * whatever the settings are, and nothing else.
 */
#include "lib/refused.h"

static int arriving_case_open(void **state)
{
	if (refused_case_open(state))
		return -1;
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	splice_open();
	return 0;
}

#define ARRIVING_CASE(sentence, function) \
	{ \
		sentence, function, arriving_case_open, refused_case_close, NULL \
	}

/* The packet as it was, but for its numbers. */
static void assert_turned(__u32 seq, __u32 ack)
{
	assert_same_way();
	assert_int_equal(t.len, t.len_before);
	assert_int_equal(t.now.seq, seq);
	assert_int_equal(t.now.ack, ack);
	assert_int_equal(t.now.flags, t.was.flags);
	assert_int_equal(t.now.window, t.was.window);
	assert_int_equal(t.now.payload_bytes, t.was.payload_bytes);
	assert_memory_equal(t.now.payload, t.was.payload, t.now.payload_bytes);
}

static void assert_turned_to_the_next_byte(void)
{
	struct packet next = live_packet(&c);

	assert_turned(next.seq, next.ack);
}

static void request_gets_the_servers_counts(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet;

		shape_open(shape);
		splice_open();
		packet = shaped(spliced_asks(GET), shape);
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
		assert_turned_to_the_next_byte();
		assert_memory_equal(t.now.options, t.was.options, sizeof(t.now.options));
	}
	assert_transactions(HTTP, SHAPES, 0);
}

static void segment_without_payload_gets_the_servers_counts(void **state)
{
	static const __u8 flags[] = {PACKET_ACK, PACKET_FIN | PACKET_ACK};

	for (size_t i = 0; i < sizeof(flags); i++) {
		struct packet packet = spliced_asks(NULL);

		packet.flags = flags[i];
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
		assert_turned_to_the_next_byte();
	}
	assert_int_equal(harness_splices(&h), 1);
}

/* RFC 9293 3.8.4 */
static void keep_alive_probe_stays_one(void **state)
{
	struct packet packet = spliced_asks(NULL), next = live_packet(&c);

	packet.seq--;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_turned(next.seq - 1, next.ack);
	packet.payload = "x";
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_turned(next.seq - 1, next.ack);
}

static void another_connection_of_the_port_is_not_touched(void **state)
{
	struct packet packet;
	struct live other;

	live_open(&other, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	packet = live_packet(&other);
	packet.payload = GET;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_identical();
	live_close(&other);
}

/* The first answer is still wanted: there is nothing to count yet. */
static void connection_without_an_answer_yet_is_not_touched(void **state)
{
	struct packet packet = asks(GET);
	struct tps_splice splice = {.want = TPS_WANT_ANSWER, .listener = HTTP};

	harness_set_splice(&h, &packet, &splice);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_identical();
}

/* The sum is corrected, not made anew: the host must still find the fault. */
static void wrong_checksum_stays_wrong(void **state)
{
	struct packet packet = spliced_asks(GET);

	packet.bad_checksum = true;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_turned_to_the_next_byte();
	assert_int_equal(t.now.sum, WIRE_WRONG);
}

/* ---- SACK -------------------------------------------------------------------------------------
 */

static void put32(__u8 *at, __u32 v)
{
	for (int i = 0; i < 4; i++)
		at[i] = v >> (24 - 8 * i);
}

/* An option of @blocks at @at of @options; block i of 1000 bytes each 10000, behind the answer. */
static size_t put_sack(__u8 *options, size_t at, int blocks)
{
	__u32 edge = live_packet(&c).ack + INJECTED;

	options[at] = 5;
	options[at + 1] = 2 + 8 * blocks;
	for (int i = 0; i < blocks; i++) {
		put32(options + at + 2 + 8 * i, edge + 10000 * (i + 1));
		put32(options + at + 6 + 8 * i, edge + 10000 * (i + 1) + 1000);
	}
	return at + 2 + 8 * blocks;
}

static __u32 edge_of(size_t at)
{
	return wire_option32(&t.now, at);
}

static void assert_sack(size_t at, int blocks)
{
	__u32 edge = live_packet(&c).ack;

	for (int i = 0; i < blocks; i++) {
		assert_int_equal(edge_of(at + 2 + 8 * i), edge + 10000 * (i + 1));
		assert_int_equal(edge_of(at + 6 + 8 * i), edge + 10000 * (i + 1) + 1000);
	}
}

/* At each place of a word, alone and behind timestamps, as many blocks as there is room for. */
static void sack_blocks_get_the_servers_counts(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		size_t times = shape & 2 ? 12 : 0;

		shape_open(shape);
		splice_open();
		for (size_t nops = 0; nops < 4; nops++)
			for (int blocks = 1; blocks <= 4; blocks++) {
				struct packet packet = shaped(spliced_asks(NULL), shape);
				__u8 options[48] = {1, 1, 1, 1};
				size_t bytes = (put_sack(options, nops, blocks) + 3) & ~3u;

				if (times + bytes > 40)
					continue;
				packet.tcp_options = options;
				packet.tcp_option_bytes = bytes;
				expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
				assert_turned_to_the_next_byte();
				assert_sack(times + nops, blocks);
			}
	}
}

static void sack_block_before_the_answer_keeps_the_count_of_before(void **state)
{
	struct packet packet = spliced_asks(NULL);
	__u32 edge = live_packet(&c).ack;
	__u8 options[12] = {1, 1, 5, 10};

	put32(options + 4, edge + INJECTED - 300 - 50);
	put32(options + 8, edge + INJECTED - 300);
	packet.tcp_options = options;
	packet.tcp_option_bytes = sizeof(options);
	packet.ack -= 350;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_int_equal(t.now.ack, edge - 50);
	assert_int_equal(edge_of(4), edge - 50);
	assert_int_equal(edge_of(8), edge);
}

static void options_that_end_early_are_left_alone(void **state)
{
	static const __u8 options[][12] = {
		{0, 0, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8},  /* behind the end of the list */
		{5, 60, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1},  /* longer than the header */
		{99, 1, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8}, /* no option is one byte long */
		{99, 0, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		struct packet packet = spliced_asks(NULL);

		packet.tcp_options = options[i];
		packet.tcp_option_bytes = sizeof(options[i]);
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
		assert_turned_to_the_next_byte();
		assert_memory_equal(t.now.options, options[i], sizeof(options[i]));
	}
}

/* ---- whatever the settings are ----------------------------------------------------------------
 */

static void paused_gate_translates(void **state)
{
	struct packet packet = spliced_asks(GET);

	harness_pause(&h, true);
	expect_turn(&packet, 0, TPS_ACTION_PASS, TPS_REASON_PAUSED);
	assert_turned_to_the_next_byte();
}

static void observing_gate_translates(void **state)
{
	struct packet packet = spliced_asks(GET);

	harness_set_tier(&h, 0, limit_frozen(1));
	refuse_by(TPS_REFUSAL_ANSWER, 2);
	harness_observe(&h, true);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_turned_to_the_next_byte();
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
}

static void deleted_listeners_connections_are_translated(void **state)
{
	struct packet packet = spliced_asks(GET);

	harness_delete_listener(&h, HTTP);
	expect_turn(&packet, 0, TPS_ACTION_PASS, TPS_REASON_NOT_LISTENER);
	assert_turned_to_the_next_byte();
}

static void banned_sources_connection_is_dropped_whole(void **state)
{
	struct packet packet = spliced_asks(GET);

	harness_ban(&h, CLIENT, ~0ULL);
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	harness_unban(&h, CLIENT);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	assert_turned_to_the_next_byte();
}

/* ---- an answer that may be lost ---------------------------------------------------------------
 */

static char request[101];

static void make_request(void)
{
	memset(request, 'x', 100);
}

/* As it was sent first. */
static struct packet asks_again(void)
{
	struct packet packet = spliced_asks(request);

	make_request();
	packet.seq -= 100;
	packet.ack -= 300;
	return packet;
}

static void ack_of_the_whole_answer_settles_it(void **state)
{
	struct packet packet = spliced_asks(NULL);
	__u32 edge = live_packet(&c).ack;

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet.ack -= 300;
	for (int i = 0; i < 300; i++, packet.ack++) {
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
		assert_int_equal(t.now.ack, edge);
	}
	assert_int_equal(splice_now().unacked, 1);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_int_equal(t.now.ack, edge);
	assert_int_equal(splice_now().unacked, 0);
}

static void request_that_comes_again_is_answered_again(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet, next;
		struct tps_splice splice;

		shape_open(shape);
		answer_is_under_way(TPS_SPLICE_OPEN);
		packet = shaped(asks_again(), shape);
		next = live_packet(&c);
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ANSWERED_AGAIN);
		assert_same_way();
		assert_int_equal(t.now.seq, next.seq - 1);
		assert_int_equal(t.now.ack, next.ack);
		assert_int_equal(t.now.payload_bytes, 1);
		splice = splice_now();
		assert_int_equal(splice.want, TPS_WANT_AGAIN);
		assert_int_equal(splice.swallowed, SWALLOWED);
		assert_int_equal(splice.injected, INJECTED);
	}
	/* it was charged when it came first */
	assert_transactions(HTTP, 0, 0);
}

static void part_of_a_request_that_comes_again_is_answered_again(void **state)
{
	struct packet packet = asks_again();

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet.seq += 99;
	packet.payload_bytes = 1;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ANSWERED_AGAIN);
	assert_int_equal(splice_now().want, TPS_WANT_AGAIN);
}

static void request_that_comes_again_and_was_acked_is_old(void **state)
{
	struct packet packet = asks_again(), next = live_packet(&c);

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet.ack += 300;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_turned(next.seq - 100, next.ack);
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
}

/* Nobody sends a request again with less than what it acked at first. */
static void request_that_comes_again_with_an_older_ack_is_dropped(void **state)
{
	struct packet packet = asks_again();

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet.ack--;
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_UNACKED);
	assert_int_equal(splice_now().want, TPS_WANT_NOTHING);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void reset_at_the_next_byte_ends_the_entry(void **state)
{
	struct packet packet = spliced_asks(NULL);
	struct tps_splice splice;

	packet.flags = PACKET_RST;
	for (int off = -1; off <= 1; off += 2) {
		packet.seq += off;
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
		assert_int_equal(t.now.seq, live_packet(&c).seq + off);
		assert_true(harness_splice(&h, &packet, &splice));
		packet.seq -= off;
	}
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_int_equal(t.now.seq, live_packet(&c).seq);
	assert_false(harness_splice(&h, &packet, &splice));
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 0);
}

static void reset_of_a_connection_that_is_gone_ends_the_entry(void **state)
{
	int listener = live_listen("192.0.2.9", HTTP_PORT);
	struct tps_splice splice;
	struct packet packet;

	live_close(&c);
	live_open(&c, &h, listener, CLIENT, "192.0.2.9", HTTP_PORT);
	close(listener);
	splice_open();
	packet = spliced_asks(NULL);
	packet.flags = PACKET_RST;
	live_close(&c);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_false(harness_splice(&h, &packet, &splice));
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
}

/* A forged one must not: the host answers it, and the egress program sees by what. */
static void syn_is_not_touched_and_ends_nothing(void **state)
{
	struct packet packet = spliced_asks(NULL);

	packet.flags = PACKET_SYN;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	assert_identical();
	assert_int_equal(harness_splices(&h), 1);
}

static void ack_of_a_closing_answer_resets_the_servers_socket(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet;

		shape_open(shape);
		answer_is_under_way(TPS_SPLICE_CLOSED);
		packet = shaped(spliced_asks(NULL), shape);
		packet.ack--;
		expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
		assert_int_equal(splice_now().state, TPS_SPLICE_CLOSED);
		packet.ack++;
		packet.flags = PACKET_ACK | (shape & 1 ? PACKET_FIN : 0);
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ENDED);
		assert_same_way();
		assert_int_equal(t.now.seq, live_packet(&c).seq);
		assert_int_equal(t.now.flags, PACKET_RST);
		assert_int_equal(t.now.payload_bytes, 0);
		assert_int_equal(splice_now().state, TPS_SPLICE_RESET);
	}
}

static void request_again_before_a_closing_answer_is_acked_is_answered_again(void **state)
{
	struct packet packet = asks_again();

	answer_is_under_way(TPS_SPLICE_CLOSED);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ANSWERED_AGAIN);
	assert_int_equal(t.now.seq, live_packet(&c).seq - 1);
	assert_int_equal(t.now.payload_bytes, 1);
	assert_int_equal(splice_now().want, TPS_WANT_AGAIN);
	assert_int_equal(splice_now().state, TPS_SPLICE_CLOSED);
}

static void assert_acked(__u32 bytes)
{
	assert_way_back();
	assert_int_equal(t.now.seq, live_packet(&c).ack + INJECTED);
	assert_int_equal(t.now.ack, t.was.seq + bytes);
	assert_int_equal(t.now.flags, PACKET_ACK);
	assert_int_equal(t.now.payload_bytes, 0);
}

static void what_the_client_still_sends_is_acked_until_its_fin(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct tps_splice splice;
		struct packet packet;

		shape_open(shape);
		answer_is_under_way(TPS_SPLICE_RESET);
		packet = shaped(spliced_asks("the rest of a body"), shape);
		expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_ENDED);
		assert_acked(18);
		packet.payload = NULL;
		expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
		packet.flags = PACKET_RST | PACKET_ACK;
		packet.seq++;
		expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
		assert_int_equal(splice_now().state, TPS_SPLICE_RESET);
		packet.seq += 17;
		packet.flags = PACKET_FIN | PACKET_ACK;
		expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_ENDED);
		assert_acked(1);
		assert_false(harness_splice(&h, &packet, &splice));
	}
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), harness_splices(&h));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		ARRIVING_CASE("a request gets the server's counts, in every shape",
			      request_gets_the_servers_counts),
		ARRIVING_CASE("an ACK and a FIN get the server's counts",
			      segment_without_payload_gets_the_servers_counts),
		ARRIVING_CASE("a keep-alive probe stays one", keep_alive_probe_stays_one),
		ARRIVING_CASE("another connection of the port is not touched",
			      another_connection_of_the_port_is_not_touched),
		ARRIVING_CASE("a connection whose first answer is still wanted is not touched",
			      connection_without_an_answer_yet_is_not_touched),
		ARRIVING_CASE("a wrong checksum stays wrong", wrong_checksum_stays_wrong),
		ARRIVING_CASE("SACK blocks get the server's counts, at any place, in every shape",
			      sack_blocks_get_the_servers_counts),
		ARRIVING_CASE("a SACK block before the answer keeps the count of before",
			      sack_block_before_the_answer_keeps_the_count_of_before),
		ARRIVING_CASE("options that end early are left alone",
			      options_that_end_early_are_left_alone),
		ARRIVING_CASE("a paused gate translates", paused_gate_translates),
		ARRIVING_CASE("an observing gate translates, and answers nothing",
			      observing_gate_translates),
		ARRIVING_CASE("connections of a listener that was deleted are translated",
			      deleted_listeners_connections_are_translated),
		ARRIVING_CASE("a banned source's connection is dropped, and goes on afterwards",
			      banned_sources_connection_is_dropped_whole),
		ARRIVING_CASE("only the ack of its last byte settles an answer",
			      ack_of_the_whole_answer_settles_it),
		ARRIVING_CASE("a request that comes again is answered again, uncharged, in every "
			      "shape",
			      request_that_comes_again_is_answered_again),
		ARRIVING_CASE("a part of a request that comes again is answered again",
			      part_of_a_request_that_comes_again_is_answered_again),
		ARRIVING_CASE("a request that comes again behind the ack of its answer is old",
			      request_that_comes_again_and_was_acked_is_old),
		ARRIVING_CASE("a request that comes again with an older ack is dropped",
			      request_that_comes_again_with_an_older_ack_is_dropped),
		ARRIVING_CASE("a RST at the server's next byte ends the entry, and no other",
			      reset_at_the_next_byte_ends_the_entry),
		ARRIVING_CASE(
			"a RST of a connection that is gone, and its listener, ends the entry",
			reset_of_a_connection_that_is_gone_ends_the_entry),
		ARRIVING_CASE("a SYN is not touched, and ends nothing",
			      syn_is_not_touched_and_ends_nothing),
		ARRIVING_CASE("the ack of a closing answer resets the server's socket, and nothing "
			      "before it, in every shape",
			      ack_of_a_closing_answer_resets_the_servers_socket),
		ARRIVING_CASE("a request again before a closing answer is acked is answered again",
			      request_again_before_a_closing_answer_is_acked_is_answered_again),
		ARRIVING_CASE("behind a closing answer the client is acked until its FIN, in every "
			      "shape",
			      what_the_client_still_sends_is_acked_until_its_fin),
	};

	return cmocka_run_group_tests_name("arriving", cases, http_group_open, http_group_close);
}
