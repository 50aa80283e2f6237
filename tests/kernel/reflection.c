// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nobody has an answer sent to another: what is forged draws nothing, is not rewritten and splices
 * no connection, whatever the listener's refusal is and however much of the truth is in it.
 */
#include "lib/refused.h"

#include <stdlib.h>

#define FORGERIES 20000

static struct packet genuine; /* what forgeries are made of */

static __u32 anything(void)
{
	return random() * 2654435761u;
}

/* Far from the truth: by a megabyte at least, where no window of these connections reaches. */
static __u32 far_off(void)
{
	return (1 << 20) + anything() % (0xffffffffu - (2 << 20));
}

static void vary_tuple(struct packet *forged)
{
	forged->source_port = 1024 + random() % 60000;
	forged->seq = anything();
	forged->ack = anything();
}

static void vary_numbers(struct packet *forged)
{
	forged->seq = anything();
	forged->ack = anything();
}

static void vary_ack(struct packet *forged)
{
	forged->ack = genuine.ack + far_off();
}

static void vary_seq(struct packet *forged)
{
	forged->seq = genuine.seq + far_off();
}

/* Right but for a little: the last bytes before and behind. */
static void vary_ack_a_little(struct packet *forged)
{
	do
		forged->ack = genuine.ack + random() % 4000 - 2000;
	while (forged->ack == genuine.ack);
}

/* Each as the first that the gate sees of the connection: what is within the windows and was let
 * through the host takes for the client's, and so must the gate. */
static void vary_seq_a_little(struct packet *forged)
{
	do
		forged->seq = genuine.seq + random() % 4000 - 2000;
	while (forged->seq == genuine.seq);
	harness_forget_flows(&h);
}

static void vary_flags(struct packet *forged)
{
	vary_numbers(forged);
	forged->flags = random();
}

/* Each packet is dropped, or goes on as it was; nothing is sent. */
static void forge(const struct packet *from, void (*vary)(struct packet *), int count)
{
	struct packet forged = *from;

	genuine = *from;
	for (int i = 0; i < count; i++) {
		int action;

		vary(&forged);
		t.len_before = t.len = packet_write(&forged, t.before);
		memcpy(t.frame, t.before, t.len);
		action = harness_turn(&h, t.frame, &t.len);
		if (action == XDP_PASS)
			assert_identical();
		else
			assert_int_equal(action, XDP_DROP);
	}
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_TX), 0);
	assert_int_equal(harness_splices(&h), 0);
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_CLOSE, TPS_REASON_LIMIT), 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_RESET, TPS_REASON_LIMIT), 0);
}

/* The same by each refusal; and what is not forged is answered. */
static void forge_by_each_refusal(const struct packet *from, void (*vary)(struct packet *))
{
	struct packet packet = asks(GET_LONG);

	for (int refusal = TPS_REFUSAL_ANSWER; refusal <= TPS_REFUSAL_RESET; refusal++) {
		refuse_all_by(refusal);
		forge(from, vary, FORGERIES / 3 + 1);
	}
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(t.now.payload_bytes, 1);
	assert_int_equal(harness_splices(&h), 1);
}

/* Half of the cases are over IPv6. */
static void connection(int family)
{
	shape_open(family == 6);
}

static void forged_tuples(int family)
{
	struct packet packet;

	connection(family);
	packet = asks(GET_LONG);
	forge_by_each_refusal(&packet, vary_tuple);
}

static void forged_numbers(int family)
{
	struct packet packet;

	connection(family);
	packet = asks(GET_LONG);
	forge_by_each_refusal(&packet, vary_numbers);
}

static void forged_tuples4(void **state)
{
	forged_tuples(4);
}

static void forged_tuples6(void **state)
{
	forged_tuples(6);
}

static void forged_numbers4(void **state)
{
	forged_numbers(4);
}

static void forged_numbers6(void **state)
{
	forged_numbers(6);
}

static void forged_acks(void **state)
{
	struct packet packet = asks(GET_LONG);

	forge_by_each_refusal(&packet, vary_ack);
}

static void forged_acks_that_are_nearly_right(void **state)
{
	struct packet packet;

	answer();
	packet = asks(GET_LONG);
	forge_by_each_refusal(&packet, vary_ack_a_little);
}

static void forged_seqs(void **state)
{
	struct packet packet = asks(GET_LONG);

	forge_by_each_refusal(&packet, vary_seq);
}

static void forged_seqs_that_are_nearly_right(void **state)
{
	struct packet packet = asks(GET_LONG);

	forge_by_each_refusal(&packet, vary_seq_a_little);
}

static void forged_syns(void **state)
{
	struct packet packet = asks(GET_LONG);

	packet.flags = PACKET_SYN;
	forge_by_each_refusal(&packet, vary_tuple);
}

static void forged_syns_without_payload(void **state)
{
	struct packet packet = asks(NULL);

	packet.flags = PACKET_SYN;
	forge_by_each_refusal(&packet, vary_numbers);
}

static void forged_flags(void **state)
{
	struct packet packet = asks(GET_LONG);

	forge_by_each_refusal(&packet, vary_flags);
}

/* Nobody is connected: the only socket there is listens. */
static void forgeries_to_a_socket_that_listens(void **state)
{
	int listener = live_listen("192.0.2.9", HTTP_PORT);
	struct packet packet = asks(GET_LONG);

	packet.destination = "192.0.2.9";
	packet.source = "203.0.113.7";
	forge_by_each_refusal(&packet, vary_tuple);
	close(listener);
}

/* ---- on an answered connection ----------------------------------------------------------------
 */

/* Its numbers are turned, as the host expects; nothing is sent, and nothing is committed. */
static void forge_spliced(void (*vary)(struct packet *))
{
	struct packet packet = spliced_asks(GET_LONG);
	struct tps_splice before, after;

	for (int refusal = TPS_REFUSAL_ANSWER; refusal <= TPS_REFUSAL_RESET; refusal++) {
		struct packet forged = packet;

		refuse_all_by(refusal);
		splice_open();
		before = splice_now();
		genuine = packet;
		for (int i = 0; i < FORGERIES / 3 + 1; i++) {
			vary(&forged);
			assert_int_not_equal(harness_run(&h, &forged), XDP_TX);
		}
		after = splice_now();
		after.used_jiffies = before.used_jiffies;
		assert_memory_equal(&after, &before, sizeof(after));
	}
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_TX), 0);
	assert_int_equal(harness_splices(&h), 1);
	/* what is not forged is answered */
	refuse_all_by(TPS_REFUSAL_ANSWER);
	expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_LIMIT);
	assert_answer(&t.now, false, true);
}

static void forged_numbers_on_an_answered_connection(void **state)
{
	forge_spliced(vary_numbers);
}

static void forged_acks_on_an_answered_connection(void **state)
{
	forge_spliced(vary_ack);
}

static void forged_seqs_on_an_answered_connection(void **state)
{
	forge_spliced(vary_seq);
}

static void other_tuples_beside_an_answered_connection(void **state)
{
	forge_spliced(vary_tuple);
}

#define CASE_OF(sentence, function) REFUSED_CASE("20,000 forged " sentence, function)

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE_OF("requests of other tuples draw nothing", forged_tuples4),
		CASE_OF("IPv6 requests of other tuples draw nothing", forged_tuples6),
		CASE_OF("requests of a live tuple draw nothing", forged_numbers4),
		CASE_OF("IPv6 requests of a live tuple draw nothing", forged_numbers6),
		CASE_OF("requests with the right seq draw nothing", forged_acks),
		CASE_OF("requests with the right seq and nearly the right ack draw nothing",
			forged_acks_that_are_nearly_right),
		CASE_OF("requests with the right ack draw nothing", forged_seqs),
		CASE_OF("requests with the right ack and nearly the right seq draw nothing",
			forged_seqs_that_are_nearly_right),
		CASE_OF("SYNs with payload draw nothing", forged_syns),
		CASE_OF("SYNs of a live tuple draw nothing", forged_syns_without_payload),
		CASE_OF("segments with any flags draw nothing", forged_flags),
		CASE_OF("requests to a socket that listens draw nothing",
			forgeries_to_a_socket_that_listens),
		CASE_OF("requests on an answered connection draw nothing",
			forged_numbers_on_an_answered_connection),
		CASE_OF("requests with the right seq on an answered connection draw nothing",
			forged_acks_on_an_answered_connection),
		CASE_OF("requests with the right ack on an answered connection draw nothing",
			forged_seqs_on_an_answered_connection),
		CASE_OF("requests beside an answered connection draw nothing",
			other_tuples_beside_an_answered_connection),
	};

	return cmocka_run_group_tests_name("reflection", cases, http_group_open, http_group_close);
}
