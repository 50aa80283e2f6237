// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is nobody's: strangers are limited one by one, IPv6 by /64, on their unproven bucket for what
 * anybody can forge.
 */
#include "lib/cases.h"

#include <stdio.h>

static void strangers_have_a_bucket_each(void **state)
{
	struct packet one = datagram("198.51.100.7"), other = datagram("198.51.100.8");

	harness_set_tier(&h, 0, limit_frozen(2));
	expect_allowed(&one, UDP);
	expect_allowed(&one, UDP);
	expect_refused(&one, UDP);
	expect_allowed(&other, UDP);
	expect_allowed(&other, UDP);
	expect_refused(&other, UDP);
	assert_transactions(UDP, 4, 2);
	assert_int_equal(harness_strangers(&h), 2);
}

static void subnet64_is_one_stranger(void **state)
{
	struct packet one = datagram("2001:db8:7:1::1");
	struct packet neighbour = datagram("2001:db8:7:1:ffff::2");
	struct packet next = datagram("2001:db8:7:2::1");

	harness_set_tier(&h, 0, limit_frozen(2));
	expect_allowed(&one, UDP);
	expect_allowed(&neighbour, UDP);
	expect_refused(&one, UDP);
	expect_refused(&neighbour, UDP);
	expect_allowed(&next, UDP);
	assert_int_equal(harness_strangers(&h), 2);
}

/* Of each IPv6 word one is built that would be the IPv4 one if bytes were read in the wrong order.
 */
static void families_never_share_an_entry(void **state)
{
	struct packet six = datagram("2001:db8:0:ff::1"); /* 20 01 0d b8 00 00 00 ff */
	struct packet four = datagram("184.13.1.32");     /* b8 0d 01 20 */

	harness_set_tier(&h, 0, limit_frozen(1));
	expect_allowed(&six, UDP);
	expect_refused(&six, UDP);
	expect_allowed(&four, UDP);
	assert_int_equal(harness_strangers(&h), 2);
}

static void datagrams_spend_the_unproven_word(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_stranger stranger;

	expect_allowed(&packet, UDP);
	expect_allowed(&packet, UDP);
	assert_true(harness_stranger(&h, STRANGER, &stranger));
	assert_int_equal(stranger.bucket.proven_tat_vt, 0);
	assert_int_not_equal(stranger.bucket.unproven_tat_vt, 0);
	assert_int_equal(stranger.verdicts[TPS_VERDICT_ALLOWED], 2);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_DATAGRAM), 2);
}

static void counts_stand_in_the_entry_and_in_slot_0(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot strangers = {.slot = TPS_SLOT_STRANGERS};
	struct tps_stranger stranger;

	harness_set_tier(&h, 0, limit_frozen(3));
	for (int i = 0; i < 10; i++)
		harness_run(&h, &packet);
	assert_true(harness_stranger(&h, STRANGER, &stranger));
	assert_int_equal(stranger.verdicts[TPS_VERDICT_ALLOWED], 3);
	assert_int_equal(stranger.verdicts[TPS_VERDICT_REFUSED], 7);
	assert_caller(strangers, 3, 7);
	assert_transactions(UDP, 3, 7);
}

static void default_tier_is_theirs(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_set_tier(&h, 5, limit_frozen(3));
	harness_set_default_tier(&h, 5);
	for (int i = 0; i < 10; i++)
		harness_run(&h, &packet);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 5, TPS_VERDICT_ALLOWED), 3);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 5, TPS_VERDICT_REFUSED), 7);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 0, TPS_VERDICT_ALLOWED), 0);
}

static void refusal_writes_nothing(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_stranger before, after;

	harness_set_tier(&h, 0, limit_frozen(1));
	expect_allowed(&packet, UDP);
	assert_true(harness_stranger(&h, STRANGER, &before));
	for (int i = 0; i < 100; i++)
		expect_refused(&packet, UDP);
	assert_true(harness_stranger(&h, STRANGER, &after));
	assert_memory_equal(&before.bucket, &after.bucket, sizeof(before.bucket));
}

static void tokens_come_back_with_time(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_set_tier(&h, 0, limit_per_second(200, 20000));
	harness_repeat(&h, &packet, 25000);
	expect_rate(&packet, 200, 0);
}

static void jiffies_give_the_same_rate(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_use_ticks(&h);
	harness_set_tier(&h, 0, limit_per_second(1000, 20000));
	harness_repeat(&h, &packet, 25000);
	/* a busy host is a few ticks late at times */
	expect_rate(&packet, 1000, 5 * harness_control(&h).tick_ns);
}

/* A grain as coarse as the burst would lose tokens: there the exact clock is read. */
static void small_burst_needs_the_exact_clock(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_use_ticks(&h);
	harness_set_tier(&h, 0, limit_per_second(20000, 1));
	expect_allowed(&packet, UDP);
	for (__u64 from_ns = harness_now_ns(); harness_now_ns() - from_ns < 60000;)
		;
	expect_allowed(&packet, UDP);
}

static void random_addresses_are_bounded(void **state)
{
	char address[32];
	struct packet packet;

	for (int i = 0; i < 4096; i++) {
		snprintf(address, sizeof(address), "198.18.%d.%d", i / 256, i % 256);
		packet = datagram(address);
		assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	}
	assert_true(harness_strangers(&h) <= 256);
	assert_transactions(UDP, 4096, 0);
}

/* A stranger whose entry cannot be made shares one bucket with the others like it. */
static void full_table_shares_a_bucket(void **state)
{
	static const struct harness_sizes tight = {.strangers = 4, .strangers_fill_up = true};
	struct packet known = datagram("198.51.100.1"), packet;
	char address[32];

	case_open_sized(&tight);
	harness_set_tier(&h, 0, limit_frozen(2));
	for (int i = 1; i <= 4; i++) {
		snprintf(address, sizeof(address), "198.51.100.%d", i);
		packet = datagram(address);
		expect_allowed(&packet, UDP);
	}
	packet = datagram("203.0.113.1");
	expect_allowed(&packet, UDP);
	packet = datagram("203.0.113.2");
	expect_allowed(&packet, UDP);
	packet = datagram("203.0.113.3");
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_SHARED_LIMIT);
	assert_int_equal(harness_strangers(&h), 4);
	/* who has an entry is not touched by those who have none */
	expect_allowed(&known, UDP);
	expect_refused(&known, UDP);
	assert_transactions(UDP, 7, 2);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_NO_STRANGER), 3);
	harness_reset(&h); /* this error was meant */
}

/* The listener is asked before an entry is tried, and again with the shared bucket: once is
 * charged. */
static void full_table_charges_the_listener_once(void **state)
{
	static const struct harness_sizes tight = {.strangers = 4, .strangers_fill_up = true};
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_UDP, .ports = {UDP_PORT}, .limit = limit_frozen(10)};
	struct packet packet;
	char address[32];

	case_open_sized(&tight);
	harness_set_listener(&h, UDP, &listener);
	for (int i = 1; i <= 10; i++) {
		snprintf(address, sizeof(address), "198.51.100.%d", i);
		packet = datagram(address);
		expect_allowed(&packet, UDP);
	}
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_NO_STRANGER), 6);
	harness_reset(&h); /* this error was meant */
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE("two strangers have a bucket each", strangers_have_a_bucket_each),
		CASE("the addresses of a /64 are one stranger", subnet64_is_one_stranger),
		CASE("an IPv6 /64 never shares an entry with an IPv4 address",
		     families_never_share_an_entry),
		CASE("a datagram spends the unproven word and leaves the proven one",
		     datagrams_spend_the_unproven_word),
		CASE("a stranger's verdicts are counted in its entry and in slot 0",
		     counts_stand_in_the_entry_and_in_slot_0),
		CASE("strangers have the limit of the default tier", default_tier_is_theirs),
		CASE("a refusal writes nothing to the bucket", refusal_writes_nothing),
		CASE("tokens come back at the rate of the limit", tokens_come_back_with_time),
		CASE("a gate that reads jiffies admits the same rate", jiffies_give_the_same_rate),
		CASE("a burst shorter than a tick is read by the exact clock",
		     small_burst_needs_the_exact_clock),
		CASE("4096 strangers do not overflow a table of 256", random_addresses_are_bounded),
		CASE("strangers that a full table has no room for share one bucket",
		     full_table_shares_a_bucket),
		CASE("a full table of strangers charges the listener once",
		     full_table_charges_the_listener_once),
	};

	return cmocka_run_group_tests_name("strangers", cases, NULL, NULL);
}
