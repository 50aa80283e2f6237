// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bans by hand: of prefixes, which stop all their traffic to listeners, and of callers, which stop
 * what is charged to them.
 */
#include "lib/cases.h"

#define FOR_EVER (~0ULL)

static void expect_banned(const struct packet *packet, __u32 listener)
{
	__u64 before = harness_transactions(&h, listener, TPS_VERDICT_BANNED);

	expect(packet, listener, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	assert_int_equal(harness_transactions(&h, listener, TPS_VERDICT_BANNED), before + 1);
}

static void banned_ipv4_prefix(void **state)
{
	struct packet inside = datagram("198.51.100.7"), outside = datagram("198.51.101.7");

	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect_banned(&inside, UDP);
	expect_allowed(&outside, UDP);
	inside = syn("198.51.100.200");
	expect_banned(&inside, TCP);
}

static void banned_ipv6_prefix(void **state)
{
	struct packet inside = datagram("2001:db8:bad:1::7"), outside = datagram("2001:db8:bae::7");

	harness_ban(&h, "2001:db8:bad::/48", FOR_EVER);
	expect_banned(&inside, UDP);
	expect_allowed(&outside, UDP);
}

/* Each end of the lengths, and one that straddles no byte. */
static void banned_at_every_length(void **state)
{
	static const struct {
		const char *prefix, *inside, *outside;
	} bans[] = {
		{"198.51.100.7/32", "198.51.100.7", "198.51.100.6"},
		{"198.51.96.0/19", "198.51.127.255", "198.51.128.0"},
		{"128.0.0.0/1", "198.51.100.7", "100.64.0.1"},
		{"2001:db8:1:2:3:4:5:6/128", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:7"},
		{"2001:db8:1:2:8000::/65", "2001:db8:1:2:8000::1", "2001:db8:1:2:7000::1"},
		{"2001:db8:1:2::/64", "2001:db8:1:2:ffff::1", "2001:db8:1:3::1"},
		{"2001:db8::/33", "2001:db8:2::1", "2001:db8:8000::1"},
	};

	for (size_t i = 0; i < sizeof(bans) / sizeof(*bans); i++) {
		struct packet inside = datagram(bans[i].inside);
		struct packet outside = datagram(bans[i].outside);

		harness_reset(&h);
		case_listeners();
		harness_ban(&h, bans[i].prefix, FOR_EVER);
		expect_banned(&inside, UDP);
		expect_allowed(&outside, UDP);
	}
}

static void all_of_a_family_banned(void **state)
{
	struct packet four = datagram(STRANGER), six = datagram(STRANGER6);

	harness_ban(&h, "0.0.0.0/0", FOR_EVER);
	expect_banned(&four, UDP);
	expect_allowed(&six, UDP);
	harness_ban(&h, "::/0", FOR_EVER);
	expect_banned(&six, UDP);
}

static void several_lengths_at_once(void **state)
{
	struct packet packet = datagram("198.51.100.7");

	harness_ban(&h, "198.51.100.8/32", FOR_EVER);
	harness_ban(&h, "198.51.101.0/24", FOR_EVER);
	harness_ban(&h, "10.0.0.0/8", FOR_EVER);
	expect_allowed(&packet, UDP);
	harness_ban(&h, "198.51.0.0/16", FOR_EVER);
	expect_banned(&packet, UDP);
}

static void ban_ends_by_itself(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	__u64 until_ns = harness_now_ns() + 200000000;

	harness_ban(&h, "198.51.100.7/32", until_ns);
	expect_banned(&packet, UDP);
	while (harness_now_ns() <= until_ns)
		;
	expect_allowed(&packet, UDP);
}

static void expired_ban_does_not_hide_a_wider_one(void **state)
{
	struct packet packet = datagram("198.51.100.7");

	harness_ban(&h, "198.51.100.7/32", harness_now_ns() - 1);
	expect_allowed(&packet, UDP);
	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect_banned(&packet, UDP);
}

static void lifted_ban(void **state)
{
	struct packet packet = datagram("198.51.100.7");

	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect_banned(&packet, UDP);
	harness_unban(&h, "198.51.100.0/24");
	expect_allowed(&packet, UDP);
}

static void banned_source_reaches_what_is_no_listeners(void **state)
{
	struct packet packet = syn("198.51.100.7");

	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	packet.destination_port = 22;
	expect(&packet, 0, TPS_ACTION_PASS, TPS_REASON_NOT_LISTENER);
}

/* Also bytes of a connection that is open already. */
static void ban_stops_every_segment_to_a_listener(void **state)
{
	struct packet packet = syn("198.51.100.7");

	packet.flags = PACKET_ACK;
	expect(&packet, TCP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect(&packet, TCP, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
}

static void banned_spends_no_token(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect_banned(&packet, UDP);
	assert_int_equal(harness_bucket(&h, caller).unproven_tat_vt, 0);
	harness_unban(&h, "198.51.100.0/24");
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
}

static void exempt_source_is_not_banned(void **state)
{
	struct packet packet = datagram("198.51.100.7"), other = datagram("198.51.100.99");
	struct tps_slot caller = harness_add_caller(&h, 0, 0, TPS_LIMIT_EXEMPT);

	harness_add_source(&h, caller, "198.51.100.7/32");
	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_EXEMPT);
	expect_banned(&other, UDP);
}

static void observed_ban_passes(void **state)
{
	struct packet packet = datagram("198.51.100.7");

	harness_observe(&h, true);
	harness_ban(&h, "198.51.100.0/24", FOR_EVER);
	expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_BANNED_PREFIX);
	assert_int_equal(harness_transactions(&h, UDP, TPS_VERDICT_WOULD_REFUSE), 1);
	assert_int_equal(harness_transactions(&h, UDP, TPS_VERDICT_BANNED), 0);
}

static void banned_caller(void **state)
{
	struct packet packet = datagram("198.51.100.7"), other = datagram("203.0.113.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), 0);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_ban_caller(&h, caller, FOR_EVER);
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_BANNED_CALLER);
	expect_allowed(&other, UDP);
	assert_int_equal(harness_caller_count(&h, caller, TPS_VERDICT_BANNED), 1);
	assert_int_equal(harness_bucket(&h, caller).unproven_tat_vt, 0);
	harness_ban_caller(&h, caller, 0);
	expect_allowed(&packet, UDP);
}

static void callers_ban_ends_by_itself(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), 0);
	__u64 until_ns = harness_now_ns() + 200000000;

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_ban_caller(&h, caller, until_ns);
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_BANNED_CALLER);
	while (harness_now_ns() <= until_ns)
		;
	expect_allowed(&packet, UDP);
}

static void exempt_caller_is_not_banned(void **state)
{
	struct packet packet = datagram("198.51.100.7");
	struct tps_slot caller = harness_add_caller(&h, 0, 0, TPS_LIMIT_EXEMPT);

	harness_add_source(&h, caller, "198.51.100.0/24");
	harness_ban_caller(&h, caller, FOR_EVER);
	expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_EXEMPT);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE("a banned IPv4 prefix is dropped at every listener", banned_ipv4_prefix),
		CASE("a banned IPv6 prefix is dropped", banned_ipv6_prefix),
		CASE("a ban holds for exactly its prefix, at every length", banned_at_every_length),
		CASE("a ban of length zero is a ban of its family", all_of_a_family_banned),
		CASE("bans of several lengths hold at once", several_lengths_at_once),
		CASE("a ban ends by itself", ban_ends_by_itself),
		CASE("a ban that has ended does not hide a wider one",
		     expired_ban_does_not_hide_a_wider_one),
		CASE("a lifted ban holds no longer", lifted_ban),
		CASE("a banned source reaches what is no listener's",
		     banned_source_reaches_what_is_no_listeners),
		CASE("a ban stops every segment to a listener",
		     ban_stops_every_segment_to_a_listener),
		CASE("what is banned spends no token", banned_spends_no_token),
		CASE("an exempt source is not banned with its prefix", exempt_source_is_not_banned),
		CASE("an observing gate passes the banned and counts them", observed_ban_passes),
		CASE("a banned caller is refused and nobody else", banned_caller),
		CASE("a caller's ban ends by itself", callers_ban_ends_by_itself),
		CASE("an exempt caller is not banned", exempt_caller_is_not_banned),
	};

	return cmocka_run_group_tests_name("bans", cases, NULL, NULL);
}
