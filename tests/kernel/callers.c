// SPDX-License-Identifier: GPL-2.0-only
/*
 * Callers by source prefix: who is meant, which limit holds, and what is left of a tenant that has
 * gone.
 */
#include "lib/cases.h"

static void spend(const struct packet *packet, __u32 allowed, __u32 refused)
{
	for (__u32 i = 0; i < allowed; i++)
		expect_allowed(packet, UDP);
	for (__u32 i = 0; i < refused; i++)
		expect_refused(packet, UDP);
}

static void caller_by_ipv4_prefix(void **state)
{
	struct packet inside = datagram("198.51.100.7"), outside = datagram("198.51.101.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(3), 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_set_tier(&h, 0, limit_frozen(1));
	spend(&inside, 3, 2);
	spend(&outside, 1, 1);
	assert_caller(caller, 3, 2);
	assert_transactions(UDP, 4, 3);
}

static void caller_by_ipv6_prefix(void **state)
{
	struct packet inside = datagram("2001:db8:ac:9::7"), outside = datagram("2001:db8:ad::7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(3), 0);

	harness_add_source(&h, caller, "2001:db8:ac::/48");
	harness_set_tier(&h, 0, limit_frozen(1));
	spend(&inside, 3, 2);
	spend(&outside, 1, 1);
	assert_caller(caller, 3, 2);
}

static void longest_ipv4_prefix_wins(void **state)
{
	struct packet wide = datagram("198.51.100.7"), narrow = datagram("198.51.100.129");
	struct tps_slot outer = harness_add_caller(&h, 0, limit_frozen(1), 0);
	struct tps_slot inner = harness_add_caller(&h, 0, limit_frozen(2), 0);

	harness_add_source(&h, outer, "198.51.100.0/24");
	harness_add_source(&h, inner, "198.51.100.128/25");
	spend(&narrow, 2, 1);
	spend(&wide, 1, 1);
	assert_caller(outer, 1, 1);
	assert_caller(inner, 2, 1);
}

/* Inside one /64, where a source's caller cannot be remembered by /64. */
static void longest_ipv6_prefix_wins_inside_a_64(void **state)
{
	struct packet wide = datagram("2001:db8:1:2::7"), narrow = datagram("2001:db8:1:2::ffff");
	struct tps_slot outer = harness_add_caller(&h, 0, limit_frozen(1), 0);
	struct tps_slot inner = harness_add_caller(&h, 0, limit_frozen(2), 0);

	harness_add_source(&h, outer, "2001:db8:1:2::/64");
	spend(&wide, 1, 1);
	harness_add_source(&h, inner, "2001:db8:1:2::ffff/128");
	spend(&narrow, 2, 1);
	spend(&wide, 0, 1);
	assert_caller(outer, 1, 2);
	assert_caller(inner, 2, 1);
}

static void address_in_a_64_is_not_its_neighbours_caller(void **state)
{
	struct packet member = datagram("2001:db8:1:2::7"), other = datagram("2001:db8:1:2::8");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(5), 0);

	harness_set_tier(&h, 0, limit_frozen(1));
	harness_add_source(&h, caller, "2001:db8:1:2::7/128");
	spend(&member, 2, 0);
	spend(&other, 1, 1);
	spend(&member, 3, 1);
	assert_caller(caller, 5, 1);
}

static void whole_internet_can_be_a_source(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), 0);

	harness_add_source(&h, caller, "0.0.0.0/0");
	spend(&packet, 1, 1);
	assert_caller(caller, 1, 1);
}

static void two_prefixes_share_a_bucket(void **state)
{
	struct packet one = datagram("198.51.100.7"), six = datagram("2001:db8:ac::7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(4), 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_add_source(&h, caller, "2001:db8:ac::/48");
	spend(&one, 2, 0);
	spend(&six, 2, 1);
	spend(&one, 0, 1);
	assert_caller(caller, 4, 2);
}

/* A stranger that was seen becomes a caller, and a caller a stranger, by the next packet. */
static void new_source_holds_at_once(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(2), 0);

	harness_set_tier(&h, 0, limit_frozen(1));
	spend(&packet, 1, 1);
	harness_add_source(&h, caller, "198.51.100.0/24");
	spend(&packet, 2, 1);
	harness_remove_source(&h, "198.51.100.0/24");
	spend(&packet, 0, 1);
	assert_caller(caller, 2, 1);
}

static void source_moves_to_another_caller(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot old = harness_add_caller(&h, 0, limit_frozen(2), 0);
	struct tps_slot new = harness_add_caller(&h, 0, limit_frozen(1), 0);

	harness_add_source(&h, old, "198.51.100.0/24");
	spend(&packet, 2, 1);
	harness_add_source(&h, new, "198.51.100.0/24");
	spend(&packet, 1, 1);
	assert_caller(old, 2, 1);
	assert_caller(new, 1, 1);
}

static void tier_is_the_limit_of_who_has_no_own(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 3, 0, 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_set_tier(&h, 3, limit_frozen(2));
	spend(&packet, 2, 1);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 3, TPS_VERDICT_ALLOWED), 2);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 3, TPS_VERDICT_REFUSED), 1);
	assert_int_equal(harness_transactions_of_tier(&h, UDP, 0, TPS_VERDICT_ALLOWED), 0);
}

/* What is left is what was left, however large the new burst is; a smaller burst takes the rest. */
static void new_limit_holds_at_once_without_refill(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 1, limit_frozen(6), 0);

	harness_set_tier(&h, 1, limit_frozen(100));
	harness_add_source(&h, caller, "198.51.100.0/24");
	spend(&packet, 1, 0);
	harness_set_own_limit(&h, caller, limit_frozen(10));
	spend(&packet, 1, 0);
	/* the tier's limit: 4 are left, not 98 */
	harness_set_own_limit(&h, caller, 0);
	spend(&packet, 1, 0);
	/* the tier changes for all its callers: of 3, 2 fit */
	harness_set_tier(&h, 1, limit_frozen(2));
	spend(&packet, 1, 0);
	harness_set_tier(&h, 2, limit_frozen(50));
	harness_set_tier_of(&h, caller, 2);
	spend(&packet, 1, 2);
	assert_caller(caller, 5, 2);
}

static void new_rate_holds_at_once(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(2), 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	spend(&packet, 2, 1);
	harness_set_own_limit(&h, caller, limit_per_second(200, 20000));
	expect_rate(&packet, 200, 0);
}

static void exempt_caller_is_never_refused(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), TPS_LIMIT_EXEMPT);
	struct tps_bucket bucket;

	harness_add_source(&h, caller, "198.51.100.0/24");
	for (int i = 0; i < 10; i++)
		expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_EXEMPT);
	bucket = harness_bucket(&h, caller);
	assert_int_equal(bucket.unproven_tat_vt, 0);
	assert_caller(caller, 10, 0);
	assert_transactions(UDP, 10, 0);
}

/* The old tenant's identities are left behind on purpose: the generation tells them apart. */
static void new_tenant_inherits_nothing(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot old = harness_add_caller(&h, 0, limit_frozen(2), 0), tenant;
	struct tps_bucket bucket;

	harness_set_tier(&h, 0, limit_frozen(1));
	harness_add_source(&h, old, "198.51.100.0/24");
	spend(&packet, 2, 1);
	tenant = harness_replace_caller(&h, old, 0, limit_frozen(2));
	/* its prefix names nobody now: it is a stranger */
	spend(&packet, 1, 1);
	assert_true(harness_notes(&h, UDP, TPS_REASON_STALE_SLOT) >= 1);
	assert_caller(tenant, 0, 0);
	bucket = harness_bucket(&h, tenant);
	assert_int_equal(bucket.unproven_tat_vt, 0);
	/* and the tenant begins with a full bucket */
	harness_add_source(&h, tenant, "198.51.100.0/24");
	spend(&packet, 2, 1);
	assert_caller(tenant, 2, 1);
}

static void callers_do_not_spend_strangers_tokens(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(3), 0);
	struct tps_stranger stranger;

	harness_add_source(&h, caller, "198.51.100.0/24");
	spend(&packet, 3, 1);
	if (harness_stranger(&h, "198.51.100.7", &stranger)) {
		assert_int_equal(stranger.bucket.unproven_tat_vt, 0);
		assert_int_equal(stranger.verdicts[TPS_VERDICT_ALLOWED], 0);
	}
	assert_caller((struct tps_slot){.slot = TPS_SLOT_STRANGERS}, 0, 0);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE("a caller is known by an IPv4 prefix", caller_by_ipv4_prefix),
		CASE("a caller is known by an IPv6 prefix", caller_by_ipv6_prefix),
		CASE("the longest IPv4 prefix wins", longest_ipv4_prefix_wins),
		CASE("the longest IPv6 prefix wins, inside a /64 too",
		     longest_ipv6_prefix_wins_inside_a_64),
		CASE("an address in a /64 is a caller, and its neighbour is not",
		     address_in_a_64_is_not_its_neighbours_caller),
		CASE("the whole internet can be one caller", whole_internet_can_be_a_source),
		CASE("two prefixes of a caller share one bucket", two_prefixes_share_a_bucket),
		CASE("a source set or removed holds at the next packet", new_source_holds_at_once),
		CASE("a source given to another caller is charged to that one",
		     source_moves_to_another_caller),
		CASE("a caller without a limit of its own has its tier's",
		     tier_is_the_limit_of_who_has_no_own),
		CASE("a new limit holds at the next packet, without a refill",
		     new_limit_holds_at_once_without_refill),
		CASE("a new rate holds at the next packet", new_rate_holds_at_once),
		CASE("an exempt caller is counted and never refused",
		     exempt_caller_is_never_refused),
		CASE("a slot's new tenant inherits no debit, counter or identity",
		     new_tenant_inherits_nothing),
		CASE("a caller's packets spend no stranger's tokens",
		     callers_do_not_spend_strangers_tokens),
	};

	return cmocka_run_group_tests_name("callers", cases, NULL, NULL);
}
