// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rates from counts: over the time that passed, never below zero, whoever comes, goes or is missed
 * by a look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../user/tpsctl/rates.c"

#define SECOND 1000000000ULL

static struct rates rates;

static int begin(void **state)
{
	rates = (struct rates){};
	return 0;
}

static int end(void **state)
{
	rates_end(&rates);
	return 0;
}

static struct rates_row row_of(const char *name, __u64 id, __u64 allowed, __u64 refused)
{
	struct rates_row row = {.id = id, .limit_per_sec = 100};

	strcpy(row.name, name);
	row.counted[TPS_VERDICT_ALLOWED] = allowed;
	row.counted[TPS_VERDICT_REFUSED] = refused;
	return row;
}

/* One row at @s seconds; what it came to. */
static struct rates_row step(double s, struct rates_row row)
{
	assert_int_equal(rates_step(&rates, &row, 1, 5 * SECOND + (__u64)(s * SECOND)), 0);
	return row;
}

static void nobody(double s)
{
	assert_int_equal(rates_step(&rates, NULL, 0, 5 * SECOND + (__u64)(s * SECOND)), 0);
}

#define assert_rate(is, want) assert_true((is) > (want)*0.999 - 1e-9 && (is) < (want)*1.001 + 1e-9)

static void first_look_has_no_rates(void **state)
{
	struct rates_row row = step(0, row_of("acme", 1, 1000, 500));

	assert_rate(row.asked_per_sec, 0);
	assert_int_equal(row.refused, 500);
}

static void rate_is_over_the_time_that_passed(void **state)
{
	struct rates_row row;

	step(0, row_of("acme", 1, 1000, 500));
	row = step(2.5, row_of("acme", 1, 1100, 750));
	assert_rate(row.per_sec[TPS_VERDICT_ALLOWED], 40);
	assert_rate(row.refused_per_sec, 100);
	assert_rate(row.asked_per_sec, 140);
	assert_rate(row.used, 0.4);
	row = step(3, row_of("acme", 1, 1100, 750));
	assert_rate(row.asked_per_sec, 0);
}

static void banned_and_would_be_refused_are_refused(void **state)
{
	struct rates_row row = row_of("acme", 1, 0, 1);

	step(0, row_of("acme", 1, 0, 0));
	row.counted[TPS_VERDICT_BANNED] = 2;
	row.counted[TPS_VERDICT_WOULD_REFUSE] = 4;
	row = step(1, row);
	assert_rate(row.refused_per_sec, 7);
	assert_int_equal(row.refused, 7);
}

/* Another tenant of the slot has another id; an entry that was evicted has the same. */
static void counts_that_fell_began_anew(void **state)
{
	struct rates_row row;

	step(0, row_of("acme", 1, 1000, 500));
	row = step(1, row_of("acme", 1, 10, 600));
	assert_rate(row.per_sec[TPS_VERDICT_ALLOWED], 10);
	assert_rate(row.refused_per_sec, 600);
}

static void newcomer_began_at_zero(void **state)
{
	struct rates_row row;

	step(0, row_of("acme", 1, 1000, 500));
	row = step(1, row_of("bolt", 2, 30, 0));
	assert_rate(row.asked_per_sec, 30);
}

static void newcomer_at_the_first_look_has_no_rate(void **state)
{
	struct rates_row row;

	nobody(0);
	row = step(0, row_of("acme", 1, 1000, 0));
	assert_rate(row.asked_per_sec, 0);
}

static void who_was_missed_by_a_look_does_not_jump(void **state)
{
	struct rates_row row;

	step(0, row_of("acme", 1, 1000000, 0));
	nobody(1);
	row = step(2, row_of("acme", 1, 1000020, 0));
	assert_rate(row.asked_per_sec, 10);
}

static void who_is_gone_is_forgotten(void **state)
{
	step(0, row_of("acme", 1, 5, 0));
	assert_int_equal(rates.count, 1);
	for (int s = 1; s <= KEPT_LOOKS; s++)
		nobody(s);
	assert_int_equal(rates.count, 0);
}

static void caller_and_stranger_of_one_number_are_two(void **state)
{
	struct rates_row rows[2] = {row_of("203.0.113.1", 7, 50, 0), row_of("acme", 7, 10, 0)};

	rows[0].is_stranger = true;
	assert_int_equal(rates_step(&rates, rows, 2, SECOND), 0);
	assert_string_equal(rows[0].name, "acme");
	rows[0].counted[TPS_VERDICT_ALLOWED] += 1;
	rows[1].counted[TPS_VERDICT_ALLOWED] += 2;
	assert_int_equal(rates_step(&rates, rows, 2, 2 * SECOND), 0);
	assert_rate(rows[0].asked_per_sec, 1);
	assert_rate(rows[1].asked_per_sec, 2);
}

static void clock_that_stands_or_goes_back_gives_no_rate(void **state)
{
	struct rates_row row;

	step(1, row_of("acme", 1, 10, 0));
	row = step(1, row_of("acme", 1, 20, 0));
	assert_rate(row.asked_per_sec, 0);
	row = step(0.5, row_of("acme", 1, 30, 0));
	assert_rate(row.asked_per_sec, 0);
}

static void many_rows_keep_their_own(void **state)
{
	struct rates_row *rows = calloc(1000, sizeof(*rows));

	assert_non_null(rows);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1000; i++)
			rows[i] = row_of("x", (i * 7919) % 1000 + 1,
					 round * ((i * 7919) % 1000 + 1), 0);
		assert_int_equal(rates_step(&rates, rows, 1000, (1 + round) * SECOND), 0);
	}
	for (int i = 0; i < 1000; i++)
		assert_rate(rows[i].asked_per_sec, (double)rows[i].id);
	free(rows);
}

static void exempt_uses_no_limit(void **state)
{
	struct rates_row row = row_of("acme", 1, 0, 0);

	row.is_exempt = true;
	step(0, row);
	row.counted[TPS_VERDICT_ALLOWED] = 50;
	assert_rate(step(1, row).used, 0);
}

static void orders(void **state)
{
	struct rates_row rows[3] = {row_of("c", 1, 0, 9), row_of("a", 2, 0, 0),
				    row_of("b", 3, 0, 0)};

	rows[0].refused = 9;
	rows[0].asked_per_sec = 1;
	rows[1].asked_per_sec = 3;
	rows[2].asked_per_sec = 2;
	rows[2].refused_per_sec = 1;
	rows[2].used = 0.5;
	rates_sort(rows, 3, RATES_BY_RATE);
	assert_string_equal(rows[0].name, "a");
	assert_string_equal(rows[2].name, "c");
	rates_sort(rows, 3, RATES_BY_REFUSED);
	assert_string_equal(rows[0].name, "b");
	assert_string_equal(rows[1].name, "c"); /* refused more in all than who was never */
	rates_sort(rows, 3, RATES_BY_TOTAL);
	assert_string_equal(rows[0].name, "c");
	rates_sort(rows, 3, RATES_BY_USED);
	assert_string_equal(rows[0].name, "b");
	assert_string_equal(rows[1].name, "a");
	rates_sort(rows, 3, RATES_BY_NAME);
	assert_string_equal(rows[0].name, "a");
	assert_string_equal(rows[2].name, "c");
	rates_sort(rows, 0, RATES_BY_NAME);
}

#define RATES_CASE(sentence, function) \
	{ \
		sentence, function, begin, end, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		RATES_CASE("the first look has no rates", first_look_has_no_rates),
		RATES_CASE("a rate is over the time that passed",
			   rate_is_over_the_time_that_passed),
		RATES_CASE("banned and would be refused count as refused",
			   banned_and_would_be_refused_are_refused),
		RATES_CASE("counts that fell began anew", counts_that_fell_began_anew),
		RATES_CASE("a newcomer began at zero", newcomer_began_at_zero),
		RATES_CASE("where no time passed nobody has a rate",
			   newcomer_at_the_first_look_has_no_rate),
		RATES_CASE("who was missed by a look does not jump",
			   who_was_missed_by_a_look_does_not_jump),
		RATES_CASE("who is gone is forgotten", who_is_gone_is_forgotten),
		RATES_CASE("a caller and a stranger of one number are two",
			   caller_and_stranger_of_one_number_are_two),
		RATES_CASE("a clock that stands or goes back gives no rate",
			   clock_that_stands_or_goes_back_gives_no_rate),
		RATES_CASE("a thousand rows keep their own", many_rows_keep_their_own),
		RATES_CASE("who is exempt uses no limit", exempt_uses_no_limit),
		RATES_CASE("rows are sorted as asked", orders),
	};

	return cmocka_run_group_tests_name("rates", cases, NULL, NULL);
}
