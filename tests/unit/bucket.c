// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/bucket.h: what a limit holds, and what may be taken from a bucket at which instant.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <tps/bucket.h>

#define NS (1ULL << BUCKET_VT_SHIFT)
#define SECOND_NS BUCKET_NS_PER_SEC
#define NOW bucket_now_vt(1000 * SECOND_NS)

/* 100/s, burst 5 */
static bucket_limit hundred(void)
{
	return limit_make(SECOND_NS / 100 * NS, 5);
}

static __u64 interval_of(double per_second)
{
	return (__u64)(1e9 * 64 / per_second + 0.5);
}

static __u32 drain(__u64 *word, bucket_limit limit, __u64 now_vt)
{
	__u32 taken = 0;

	while (bucket_take(word, limit, now_vt, 1) == BUCKET_TAKEN)
		taken++;
	return taken;
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static void a_limit_gives_back_the_rate_and_burst_that_it_was_made_of(void **state)
{
	assert_int_equal(limit_interval_vt(hundred()), SECOND_NS / 100 * NS);
	assert_int_equal(limit_burst(hundred()), 5);
	assert_int_equal(limit_interval_vt(limit_make(1, 1)), 1);
	assert_int_equal(limit_burst(limit_make(1, 0xffffffff)), 0xffffffff);
}

static void a_limit_without_rate_or_burst_cannot_be_made(void **state)
{
	assert_int_equal(limit_make(0, 1), 0);
	assert_int_equal(limit_make(1, 0), 0);
	assert_int_equal(limit_make(0, 0), 0);
}

static void a_burst_that_would_overflow_cannot_be_made_and_one_less_can(void **state)
{
	__u64 interval_vt = BUCKET_BURST_VT_MAX >> 10;

	assert_true(limit_make(interval_vt, 1 << 10) != 0);
	assert_int_equal(limit_make(interval_vt, (1 << 10) + 1), 0);
	assert_true(limit_make(BUCKET_BURST_VT_MAX, 1) != 0);
	assert_int_equal(limit_make(BUCKET_BURST_VT_MAX + 1, 1), 0);
	assert_int_equal(limit_make(~0ULL, 0xffffffff), 0);
}

static void intervals_are_held_to_a_hundredth_of_a_percent(void **state)
{
	static const double rates[] = {
		1e7, 9999999, 3333333, 1e6,   65537,    1000,       999,          100,
		3,   1,       0.5,     0.001, 7 / 60.0, 1 / 3600.0, 10 / 86400.0, 1 / 86400.0};

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		__u64 held = limit_interval_vt(limit_make(interval_of(rates[i]), 1));
		double exact = 1e9 * 64 / rates[i];

		assert_true(held > exact * 0.9999 && held < exact * 1.0001);
	}
	for (__u64 interval = 1; interval < BUCKET_BURST_VT_MAX / 2; interval += interval / 3 + 1) {
		__u64 held = limit_interval_vt(limit_make(interval, 1));
		__u64 off = held > interval ? held - interval : interval - held;

		assert_true(off <= interval >> 24);
	}
}

/* ---- one bucket -------------------------------------------------------------------------------
 */

static void a_bucket_that_was_never_used_holds_its_burst_and_no_more(void **state)
{
	__u64 word = 0;

	assert_int_equal(bucket_tokens(0, NOW, hundred()), 5);
	assert_int_equal(drain(&word, hundred(), NOW), 5);
	assert_int_equal(bucket_tokens(word, NOW, hundred()), 0);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 1), BUCKET_EMPTY);
}

static void a_slow_bucket_is_full_on_a_host_that_has_just_booted(void **state)
{
	bucket_limit ten_a_day = limit_make(interval_of(10 / 86400.0), 10);
	__u64 word = 0;

	assert_int_equal(drain(&word, ten_a_day, bucket_now_vt(0)), 10);
	word = 0;
	assert_int_equal(drain(&word, ten_a_day, bucket_now_vt(1)), 10);
}

static void a_token_is_refused_one_nanosecond_early(void **state)
{
	__u64 word = 0, next;

	drain(&word, hundred(), NOW);
	next = NOW + SECOND_NS / 100 * NS;
	assert_int_equal(bucket_take(&word, hundred(), next - NS, 1), BUCKET_EMPTY);
	assert_int_equal(bucket_take(&word, hundred(), next - 1, 1), BUCKET_EMPTY);
	assert_false(bucket_would_take(&word, hundred(), next - 1, 1));
	assert_true(bucket_would_take(&word, hundred(), next, 1));
	assert_int_equal(bucket_take(&word, hundred(), next, 1), BUCKET_TAKEN);
	assert_int_equal(bucket_take(&word, hundred(), next, 1), BUCKET_EMPTY);
}

static void a_refusal_writes_nothing(void **state)
{
	__u64 word = 0, before;

	drain(&word, hundred(), NOW);
	before = word;
	for (int i = 0; i < 100; i++)
		bucket_take(&word, hundred(), NOW + i, 1);
	assert_int_equal(word, before);
}

static void a_cost_of_zero_or_above_the_burst_is_never_taken(void **state)
{
	__u64 word = 0;

	assert_int_equal(bucket_take(&word, hundred(), NOW, 0), BUCKET_EMPTY);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 6), BUCKET_EMPTY);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 0xffffffff), BUCKET_EMPTY);
	assert_int_equal(word, 0);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 5), BUCKET_TAKEN);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 1), BUCKET_EMPTY);
}

static void more_tokens_than_are_left_are_refused_whole(void **state)
{
	__u64 word = 0;

	assert_int_equal(bucket_take(&word, hundred(), NOW, 3), BUCKET_TAKEN);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 3), BUCKET_EMPTY);
	assert_int_equal(bucket_tokens(word, NOW, hundred()), 2);
	assert_int_equal(bucket_take(&word, hundred(), NOW, 2), BUCKET_TAKEN);
}

static void idle_time_fills_no_more_than_the_burst(void **state)
{
	__u64 word = 0;

	drain(&word, hundred(), NOW);
	assert_int_equal(drain(&word, hundred(), NOW + 3600 * SECOND_NS * NS), 5);
}

static void a_clock_that_steps_back_admits_nothing_twice(void **state)
{
	__u64 word = 0;

	assert_int_equal(drain(&word, hundred(), NOW), 5);
	for (__u64 back = 1; back < SECOND_NS / 2; back *= 3)
		assert_int_equal(bucket_take(&word, hundred(), NOW - back * NS, 1), BUCKET_EMPTY);
	assert_int_equal(drain(&word, hundred(), NOW + SECOND_NS / 100 * NS), 1);
}

static void a_word_in_the_far_future_becomes_an_empty_bucket_now(void **state)
{
	static const __u64 words[] = {~0ULL, 1ULL << 63, (1ULL << 63) + 1};
	__u64 word;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		word = words[i];
		assert_false(bucket_would_take(&word, hundred(), NOW, 1));
		assert_int_equal(bucket_take(&word, hundred(), NOW, 1), BUCKET_EMPTY);
		assert_int_equal(word, NOW);
		assert_int_equal(drain(&word, hundred(), NOW + SECOND_NS / 100 * NS), 1);
	}
	word = NOW + BUCKET_SKEW_VT;
	bucket_take(&word, hundred(), NOW, 1);
	assert_int_equal(word, NOW + BUCKET_SKEW_VT);
	word++;
	bucket_take(&word, hundred(), NOW, 1);
	assert_int_equal(word, NOW);
}

static void sums_that_wrap_are_refused(void **state)
{
	bucket_limit slow = limit_make(BUCKET_BURST_VT_MAX, 1);

	assert_int_equal(bucket_next_vt(~0ULL - 1, 0, ~0ULL, slow, 1), 0);
	assert_int_equal(bucket_next_vt(~0ULL, ~0ULL, ~0ULL, hundred(), 1), 0);
	assert_int_equal(bucket_floor_vt(0, slow), 0);
	assert_int_equal(bucket_floor_vt(BUCKET_BURST_VT_MAX, slow), 0);
}

static void a_token_given_back_can_be_taken_once_more(void **state)
{
	__u64 word = 0;

	assert_int_equal(drain(&word, hundred(), NOW), 5);
	bucket_give(&word, hundred(), 1);
	assert_int_equal(drain(&word, hundred(), NOW), 1);
	bucket_give(&word, hundred(), 2);
	assert_int_equal(drain(&word, hundred(), NOW), 2);
}

static void giving_back_never_mints(void **state)
{
	__u64 word = 7, before;

	bucket_give(&word, hundred(), 1);
	assert_int_equal(word, 7);
	bucket_take(&word, hundred(), NOW, 3);
	before = word;
	bucket_take(&word, hundred(), NOW, 1);
	bucket_give(&word, hundred(), 1);
	assert_int_equal(word, before);
}

static void a_new_limit_applies_at_once_and_refills_nothing(void **state)
{
	bucket_limit faster = limit_make(SECOND_NS / 1000 * NS, 5);
	__u64 word = 0;

	drain(&word, hundred(), NOW);
	assert_int_equal(drain(&word, faster, NOW), 0);
	assert_int_equal(drain(&word, faster, NOW + SECOND_NS / 1000 * NS), 1);
	word = 0;
	drain(&word, faster, NOW);
	assert_int_equal(drain(&word, hundred(), NOW + SECOND_NS / 1000 * NS), 0);
	assert_int_equal(drain(&word, hundred(), NOW + SECOND_NS / 100 * NS), 1);
}

/* Ten attempts for each token, over @tokens intervals. */
static void admits_its_rate(double per_second, __u32 burst, __u32 tokens)
{
	bucket_limit limit = limit_make(interval_of(per_second), burst);
	double interval_vt = 1e9 * 64 / per_second;
	__u64 word = 0, bound;
	__u32 taken = 0;

	for (__u64 i = 0; i <= 10ULL * tokens; i++)
		taken += bucket_take(&word, limit, NOW + (__u64)(i * interval_vt / 10), 1) ==
			 BUCKET_TAKEN;
	bound = burst + tokens;
	if (taken > bound * 1.0001 + 1 || taken < bound * 0.9999 - 1)
		fail_msg("%g/s: %u of %llu", per_second, taken, bound);
}

static void ten_times_the_rate_is_admitted_at_the_rate(void **state)
{
	static const double rates[] = {1e7, 3333333, 1e6,      10000,         999,         100,
				       10,  0.5,     7 / 60.0, 1000 / 3600.0, 10 / 86400.0};

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++)
		admits_its_rate(rates[i], 3, 20000);
	admits_its_rate(1 / 86400.0, 2, 1000);
}

/* ---- several CPUs -----------------------------------------------------------------------------
 */

#define SHARED_BURST 5000000
#define SHARED_TRIES 5000000

struct share {
	__u64 *word;
	bucket_limit limit;
	pthread_barrier_t *begin;
	int cpu;
	__u32 taken;
};

static void *take_a_share(void *of)
{
	struct share *share = of;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(share->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus); /* apart, if it can be had */
	pthread_barrier_wait(share->begin);
	for (int i = 0; i < SHARED_TRIES; i++)
		share->taken += bucket_take(share->word, share->limit, NOW, 1) == BUCKET_TAKEN;
	return NULL;
}

static void two_threads_on_one_word_take_exactly_the_burst(void **state)
{
	bucket_limit limit = limit_make(64, SHARED_BURST);
	__u64 word = 0;
	pthread_barrier_t begin;
	struct share shares[2] = {{&word, limit, &begin, 0, 0}, {&word, limit, &begin, 1, 0}};
	pthread_t thread;

	pthread_barrier_init(&begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, take_a_share, &shares[1]), 0);
	take_a_share(&shares[0]);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&begin);
	/* a take that ran out of retries may leave a token, but none is admitted twice */
	assert_int_equal(shares[0].taken + shares[1].taken + bucket_tokens(word, NOW, limit),
			 SHARED_BURST);
	assert_int_equal(bucket_tokens(word, NOW, limit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_gives_back_the_rate_and_burst_that_it_was_made_of),
		cmocka_unit_test(a_limit_without_rate_or_burst_cannot_be_made),
		cmocka_unit_test(a_burst_that_would_overflow_cannot_be_made_and_one_less_can),
		cmocka_unit_test(intervals_are_held_to_a_hundredth_of_a_percent),
		cmocka_unit_test(a_bucket_that_was_never_used_holds_its_burst_and_no_more),
		cmocka_unit_test(a_slow_bucket_is_full_on_a_host_that_has_just_booted),
		cmocka_unit_test(a_token_is_refused_one_nanosecond_early),
		cmocka_unit_test(a_refusal_writes_nothing),
		cmocka_unit_test(a_cost_of_zero_or_above_the_burst_is_never_taken),
		cmocka_unit_test(more_tokens_than_are_left_are_refused_whole),
		cmocka_unit_test(idle_time_fills_no_more_than_the_burst),
		cmocka_unit_test(a_clock_that_steps_back_admits_nothing_twice),
		cmocka_unit_test(a_word_in_the_far_future_becomes_an_empty_bucket_now),
		cmocka_unit_test(sums_that_wrap_are_refused),
		cmocka_unit_test(a_token_given_back_can_be_taken_once_more),
		cmocka_unit_test(giving_back_never_mints),
		cmocka_unit_test(a_new_limit_applies_at_once_and_refills_nothing),
		cmocka_unit_test(ten_times_the_rate_is_admitted_at_the_rate),
		cmocka_unit_test(two_threads_on_one_word_take_exactly_the_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
