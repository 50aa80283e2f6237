// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/splice.h: what a sequence number of one end is to the other. First place by place, then
 * against a model that follows both streams byte by byte through any number of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "splice.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Where the server's counts stand at the latest answer: near the wrap of 2^32 or far from it. */
static const __u32 places[] = {1000000, 0, 1, 0xffffffff, 0xffffffff - 60, 0x80000000, 0x7fffffff};

/* A second answer: a request of 100 bytes at @asked was answered by 250, behind 40 and 210. */
static struct splice_count second(__u32 asked, __u32 edge)
{
	return (struct splice_count){
		.swallowed = 140,
		.injected = 460,
		.swallowed_before = 40,
		.injected_before = 210,
		.asked_seq = asked,
		.edge_seq = edge,
		.unacked = 1,
	};
}

#define FOR_EACH_PLACE(n) \
	for (size_t at_ = 0; at_ < COUNT(places) * COUNT(places); at_++) \
		for (struct splice_count \
			     n = second(places[at_ / COUNT(places)], places[at_ % COUNT(places)]), \
			     *once_ = &n; \
		     once_; once_ = NULL)

/* What the server said before is where it was; the new count is for what it says from now on. */
static void no_byte_before_the_edge_gets_the_new_count(void **state)
{
	FOR_EACH_PLACE(n)
	{
		assert_int_equal(splice_seq_outward(&n, n.edge_seq - 1), n.edge_seq - 1 + 210);
		assert_int_equal(splice_seq_outward(&n, n.edge_seq - 100000),
				 n.edge_seq - 100000 + 210);
		assert_int_equal(splice_seq_outward(&n, n.edge_seq), n.edge_seq + 460);
		assert_int_equal(splice_seq_outward(&n, n.edge_seq + 1), n.edge_seq + 1 + 460);
		assert_int_equal(splice_seq_outward(&n, n.edge_seq + 100000),
				 n.edge_seq + 100000 + 460);
	}
}

/* The last byte of the answer is the client's own matter until it has acked it. */
static void an_ack_within_the_answer_acks_all_before_it(void **state)
{
	FOR_EACH_PLACE(n)
	{
		__u32 begin = n.edge_seq + 210, end = n.edge_seq + 460;

		assert_int_equal(splice_ack_inward(&n, begin - 1), n.edge_seq - 1);
		assert_int_equal(splice_ack_inward(&n, begin), n.edge_seq);
		assert_int_equal(splice_ack_inward(&n, begin + 1), n.edge_seq);
		assert_int_equal(splice_ack_inward(&n, end - 1), n.edge_seq);
		assert_int_equal(splice_ack_inward(&n, end), n.edge_seq);
		assert_int_equal(splice_ack_inward(&n, end + 1), n.edge_seq + 1);
	}
}

static void the_answer_is_acked_by_its_last_byte(void **state)
{
	FOR_EACH_PLACE(n)
	{
		assert_false(splice_acked(&n, n.edge_seq + 210));
		assert_false(splice_acked(&n, n.edge_seq + 459));
		assert_true(splice_acked(&n, n.edge_seq + 460));
		assert_true(splice_acked(&n, n.edge_seq + 461));
	}
}

/* Else the client would never send it again. */
static void a_request_is_acked_by_its_answer_alone(void **state)
{
	FOR_EACH_PLACE(n)
	{
		assert_int_equal(splice_ack_outward(&n, n.asked_seq - 1), n.asked_seq - 1 + 40);
		assert_int_equal(splice_ack_outward(&n, n.asked_seq), n.asked_seq + 40);
		assert_int_equal(splice_ack_outward(&n, n.asked_seq + 1), n.asked_seq + 1 + 140);
	}
}

static void a_request_whose_answer_was_acked_is_acked(void **state)
{
	FOR_EACH_PLACE(n)
	{
		n.unacked = 0;
		assert_int_equal(splice_ack_outward(&n, n.asked_seq - 1), n.asked_seq - 1 + 40);
		assert_int_equal(splice_ack_outward(&n, n.asked_seq), n.asked_seq + 140);
		assert_int_equal(splice_ack_outward(&n, n.asked_seq + 1), n.asked_seq + 1 + 140);
	}
}

static void assert_place(const struct splice_count *n, __u32 seq, __u32 bytes, __u32 ack,
			 enum splice_place place, __u32 wanted)
{
	__u32 got = ~wanted;

	assert_int_equal(splice_inward(n, seq, bytes, ack, &got), place);
	assert_int_equal(got, wanted);
}

static void what_follows_the_request_is_the_servers_next(void **state)
{
	FOR_EACH_PLACE(n)
	{
		__u32 next = n.asked_seq + 140, ack = n.edge_seq + 460;

		assert_place(&n, next, 1, ack, SPLICE_ON, n.asked_seq);
		assert_place(&n, next, 0, ack, SPLICE_ON, n.asked_seq);
		assert_place(&n, next + 500, 10, ack, SPLICE_ON, n.asked_seq + 500);
		/* and so before the answer was acked */
		assert_place(&n, next, 1, ack - 1, SPLICE_ON, n.asked_seq);
	}
}

static void a_copy_of_what_the_server_has_is_old_to_it(void **state)
{
	FOR_EACH_PLACE(n)
	{
		__u32 asked = n.asked_seq + 40, ack = n.edge_seq + 210;

		assert_place(&n, asked - 1, 1, ack, SPLICE_ON, n.asked_seq - 1);
		assert_place(&n, asked - 30, 30, ack, SPLICE_ON, n.asked_seq - 30);
		assert_place(&n, asked - 1000, 30, ack, SPLICE_ON, n.asked_seq - 1000);
	}
}

static void a_request_that_comes_again_is_told_apart_by_its_ack(void **state)
{
	FOR_EACH_PLACE(n)
	{
		__u32 asked = n.asked_seq + 40, unacked = n.edge_seq + 210;

		assert_place(&n, asked, 100, unacked, SPLICE_AGAIN, n.asked_seq - 100);
		assert_place(&n, asked, 1, unacked, SPLICE_AGAIN, n.asked_seq - 100);
		assert_place(&n, asked + 99, 1, unacked, SPLICE_AGAIN, n.asked_seq - 1);
		/* put together with what was before it, or with what follows */
		assert_place(&n, asked - 20, 120, unacked, SPLICE_AGAIN, n.asked_seq - 120);
		assert_place(&n, asked, 300, unacked, SPLICE_AGAIN, n.asked_seq - 100);
		assert_place(&n, asked, 100, n.edge_seq + 459, SPLICE_AGAIN, n.asked_seq - 100);
		/* all of it was acked: it is old to the server too */
		assert_place(&n, asked, 100, n.edge_seq + 460, SPLICE_ON, n.asked_seq - 100);
		assert_place(&n, asked + 99, 1, n.edge_seq + 460, SPLICE_ON, n.asked_seq - 1);
	}
}

/* A keep-alive probe: no byte, one before the next (RFC 9293 3.8.4). */
static void a_segment_without_payload_is_never_a_request_again(void **state)
{
	FOR_EACH_PLACE(n)
	{
		assert_place(&n, n.asked_seq + 139, 0, n.edge_seq + 460, SPLICE_ON,
			     n.asked_seq - 1);
		assert_place(&n, n.asked_seq + 40, 0, n.edge_seq + 210, SPLICE_ON,
			     n.asked_seq - 100);
	}
}

/* An answer has no edge that the server would know: the block is empty there. */
static void a_sack_block_of_the_answer_is_empty_to_the_server(void **state)
{
	FOR_EACH_PLACE(n)
	{
		__u32 left = splice_ack_inward(&n, n.edge_seq + 210);
		__u32 right = splice_ack_inward(&n, n.edge_seq + 460);

		assert_int_equal(left, right);
		/* of what follows the answer, each byte is there */
		left = splice_ack_inward(&n, n.edge_seq + 460 + 1000);
		right = splice_ack_inward(&n, n.edge_seq + 460 + 2448);
		assert_int_equal(right - left, 1448);
	}
}

static void counts_of_zero_change_nothing(void **state)
{
	for (size_t i = 0; i < COUNT(places); i++) {
		struct splice_count n = {.asked_seq = places[i], .edge_seq = places[i]};

		for (__u32 at = places[i] - 300; at != places[i] + 300; at++) {
			assert_int_equal(splice_seq_outward(&n, at), at);
			assert_int_equal(splice_ack_outward(&n, at), at);
			assert_int_equal(splice_ack_inward(&n, at), at);
			assert_place(&n, at, 1, places[i], SPLICE_ON, at);
			assert_place(&n, at, 0, places[i], SPLICE_ON, at);
		}
	}
}

/* A connection lives long: its counts wrap too. */
static void counts_wrap_like_sequence_numbers(void **state)
{
	struct splice_count n = second(77, 99), far = n;

	far.swallowed += 0xfffffff0;
	far.swallowed_before += 0xfffffff0;
	far.injected += 0x80000000;
	far.injected_before += 0x80000000;
	for (__u32 at = 0; at < 1000; at++) {
		__u32 near_seq, far_seq;

		assert_int_equal(splice_seq_outward(&far, at),
				 splice_seq_outward(&n, at) + 0x80000000);
		assert_int_equal(splice_ack_outward(&far, at),
				 splice_ack_outward(&n, at) + 0xfffffff0);
		assert_int_equal(splice_ack_inward(&far, at + 0x80000000),
				 splice_ack_inward(&n, at));
		assert_int_equal(
			splice_inward(&far, at + 0xfffffff0, 10, at + 0x80000000, &far_seq),
			splice_inward(&n, at, 10, at, &near_seq));
		assert_int_equal(far_seq, near_seq);
	}
}

/* ---- a model ----------------------------------------------------------------------------------
 *
 * Both streams, with each byte where it truly is, in 64 bits. Nothing is refused before the server
 * has all that was before the request and the client has acked all that the server sent; so what is
 * under way never lies before the answer before the latest.
 */

#define MODEL_ANSWERS 60
#define MODEL_RUNS 400
#define MODEL_SAMPLES 40

struct model_answer {
	__u64 asked, edge; /* in the server's counts */
	__u64 swallowed, injected;
};

struct model {
	struct splice_count n;
	__u64 received, sent; /* by the server, in its counts: rcv_nxt and snd_nxt */
	struct model_answer answer[MODEL_ANSWERS];
	int answers;
};

static unsigned int seed;

static __u32 below(__u32 bound)
{
	return (__u32)rand_r(&seed) % bound;
}

/* Of any size, small ones often. */
static __u32 some_bytes(void)
{
	static const __u32 most[] = {1, 2, 100, 2000, 1000000};

	return below(most[below(COUNT(most))]);
}

/* As both programs commit it. */
static void model_refuse(struct model *m)
{
	struct model_answer *answer = &m->answer[m->answers++];

	*answer = (struct model_answer){m->received, m->sent, 1 + some_bytes(), 1 + below(512)};
	m->n.swallowed_before = m->n.swallowed;
	m->n.injected_before = m->n.injected;
	m->n.swallowed += answer->swallowed;
	m->n.injected += answer->injected;
	m->n.asked_seq = answer->asked;
	m->n.edge_seq = answer->edge;
	m->n.unacked = 1;
}

/* Bytes pass either way. The client acks with the first that it sends. */
static void model_pass(struct model *m)
{
	__u32 up = some_bytes();

	m->received += up;
	m->sent += some_bytes();
	if (up || below(2))
		m->n.unacked = 0;
}

/* Where the client has the server's byte at @at, and the server's next byte that the client's first
 * @at bytes make. */
static __u64 model_to_client(const struct model *m, __u64 at)
{
	__u64 injected = 0;

	for (int i = 0; i < m->answers; i++)
		injected += m->answer[i].edge <= at ? m->answer[i].injected : 0;
	return at + injected;
}

/* The same of the client's bytes. @latest: whether the last answer's request counts. */
static __u64 model_asked_to_client(const struct model *m, __u64 at, int latest)
{
	__u64 swallowed = 0;

	for (int i = 0; i < m->answers - !latest; i++)
		swallowed += m->answer[i].asked <= at ? m->answer[i].swallowed : 0;
	return at + swallowed;
}

static void fail_at(const struct model *m, const char *what, __u64 at, __u64 wanted, __u32 got)
{
	fail_msg("%s at %llu, behind %d answers: wanted %u, got %u", what, at, m->answers,
		 (__u32)wanted, got);
}

#define CHECK(m, what, at, wanted, got) \
	do { \
		__u32 got_ = (got); \
		__u64 wanted_ = (wanted); \
		if (got_ != (__u32)wanted_) \
			fail_at(m, what, at, wanted_, got_); \
	} while (0)

/* A place between two, its ends and those of the latest answer often. */
static __u64 sample(__u64 from, __u64 to, __u64 edge)
{
	__u64 span = to - from + 1, at;

	switch (below(3)) {
	case 0:
		at = from + (((__u64)below(1 << 16) << 16) | below(1 << 16)) % span;
		break;
	case 1:
		at = edge + below(3) - 1;
		break;
	default:
		at = below(2) ? from : to;
	}
	return at < from ? from : at > to ? to : at;
}

/* The server's bytes and the client's acks of them. */
static void model_check_down(const struct model *m)
{
	const struct model_answer *last = &m->answer[m->answers - 1];
	__u64 from = m->answers > 1 ? last[-1].edge : last->edge - 1000;
	__u64 at = sample(from, m->sent, last->edge), to = model_to_client(m, at), ack, next;
	__u32 once;

	CHECK(m, "the server's byte", at, to, splice_seq_outward(&m->n, at));
	CHECK(m, "its ack", at, at, splice_ack_inward(&m->n, to));
	/* any ack of the client's: of all server's bytes that it has, and never less than before */
	ack = sample(model_to_client(m, from), model_to_client(m, m->sent),
		     model_to_client(m, last->edge));
	once = splice_ack_inward(&m->n, ack);
	next = splice_ack_inward(&m->n, ack + 1);
	if ((__u32)next - once > 1)
		fail_at(m, "the next ack", ack, once + 1, next);
	if (ack < last->edge + m->n.injected_before || ack >= model_to_client(m, last->edge))
		CHECK(m, "the ack's byte", ack, ack, splice_seq_outward(&m->n, once));
	/* whatever is old to the client stays before the answer */
	at = last->edge - 1 - below(1 << 30);
	if ((__s32)(splice_seq_outward(&m->n, at) - (__u32)(last->edge + m->n.injected_before)) >=
	    0)
		fail_at(m, "a stale byte", at, at + m->n.injected_before,
			splice_seq_outward(&m->n, at));
}

/* The client's bytes and the server's acks of them. */
static void model_check_up(const struct model *m)
{
	const struct model_answer *last = &m->answer[m->answers - 1];
	__u64 from = m->answers > 1 ? last[-1].asked : last->asked - 1000;
	__u64 at = sample(from, m->received, last->asked);
	__u32 acked = last->edge + m->n.injected, place, seq, all = last->swallowed, some;

	CHECK(m, "the server's ack", at,
	      model_asked_to_client(m, at, !m->n.unacked || at != last->asked),
	      splice_ack_outward(&m->n, at));
	place = splice_inward(&m->n, model_asked_to_client(m, at, 1), 1, acked, &seq);
	assert_int_equal(place, SPLICE_ON);
	CHECK(m, "the client's byte", at, at, seq);
	/* the request that was answered: whole or a part */
	some = below(all);
	place = splice_inward(&m->n, last->asked + m->n.swallowed_before + some, all - some,
			      acked - 1 - below(last->injected), &seq);
	assert_int_equal(place, SPLICE_AGAIN);
	place = splice_inward(&m->n, last->asked + m->n.swallowed_before + some, all - some, acked,
			      &seq);
	assert_int_equal(place, SPLICE_ON);
	if ((__s32)(seq + all - some - (__u32)last->asked) > 0)
		fail_at(m, "a request that comes late", last->asked, last->asked, seq);
}

static void model_run(void)
{
	struct model m = {
		/* at 2^32 in the middle of it, or anywhere */
		.received =
			(2ULL << 32) + (below(2) ? (__u32)-below(100000) : (__u32)rand_r(&seed)),
		.sent = (2ULL << 32) + (below(2) ? (__u32)-below(100000) : (__u32)rand_r(&seed)),
	};

	while (m.answers < MODEL_ANSWERS) {
		model_refuse(&m);
		for (int i = 0; i < MODEL_SAMPLES; i++) {
			model_check_down(&m);
			model_check_up(&m);
			if (!below(4))
				model_pass(&m);
		}
	}
}

static void each_byte_in_flight_has_one_place_at_either_end(void **state)
{
	unsigned int first = getenv("TEST_SEED") ? strtoul(getenv("TEST_SEED"), NULL, 0)
						 : (unsigned int)time(NULL);

	print_message("# TEST_SEED=%u\n", first);
	seed = first;
	for (int i = 0; i < MODEL_RUNS; i++)
		model_run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_before_the_edge_gets_the_new_count),
		cmocka_unit_test(an_ack_within_the_answer_acks_all_before_it),
		cmocka_unit_test(the_answer_is_acked_by_its_last_byte),
		cmocka_unit_test(a_request_is_acked_by_its_answer_alone),
		cmocka_unit_test(a_request_whose_answer_was_acked_is_acked),
		cmocka_unit_test(what_follows_the_request_is_the_servers_next),
		cmocka_unit_test(a_copy_of_what_the_server_has_is_old_to_it),
		cmocka_unit_test(a_request_that_comes_again_is_told_apart_by_its_ack),
		cmocka_unit_test(a_segment_without_payload_is_never_a_request_again),
		cmocka_unit_test(a_sack_block_of_the_answer_is_empty_to_the_server),
		cmocka_unit_test(counts_of_zero_change_nothing),
		cmocka_unit_test(counts_wrap_like_sequence_numbers),
		cmocka_unit_test(each_byte_in_flight_has_one_place_at_either_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
