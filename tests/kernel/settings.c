// SPDX-License-Identifier: GPL-2.0-only
/*
 * What libtps writes is what the gate does: the same settings as an operator's, each followed by
 * packets.
 */
#include <errno.h>

#include <tps/siphash.h>

#include "lib/http_cases.h"

#include "ban.h"
#include "caller.h"
#include "control.h"
#include "dump.h"
#include "gate.h"
#include "listener.h"
#include "slot.h"
#include "text.h"
#include "tier.h"

static struct tps_gate *gate;
static struct tps_why why;

/* A step of an operator's, which must succeed. */
static void must(int err)
{
	if (err)
		print_error("%d: %s\n", err, why.text);
	assert_int_equal(err, 0);
}

static void must_fail(int err, int expected)
{
	assert_int_equal(err, expected);
	assert_true(why.text[0]);
	why.text[0] = 0;
}

/* @burst tokens and one more a day. */
static struct tps_tier make_tier(const char *name, __u32 burst)
{
	struct tps_tier tier = {.rate = {1000, 86400, 0}, .burst_given = burst};

	snprintf(tier.name, sizeof(tier.name), "%s", name);
	return tier;
}

static void set_tier(const char *name, __u32 burst)
{
	struct tps_tier tier = make_tier(name, burst);

	must(tps_tier_set(gate, &tier, NULL, &why));
}

static void set_listener(const char *name, enum tps_protocol protocol, __u16 port)
{
	struct tps_listener listener = {
		.protocol = protocol, .port = {port}, .port_count = 1, .cost = 1};

	snprintf(listener.name, sizeof(listener.name), "%s", name);
	must(tps_listener_set(gate, &listener, NULL, &why));
}

/* Adds to what the caller has; NULL: nothing. @burst 0: its tier's limit. */
static int change_caller(const char *name, int tier, __u32 burst, const char *source,
			 const char *key)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;
	struct tps_prefix prefix;
	struct tps_key hash;

	change.tier = tier;
	if (burst) {
		change.rate_given = true;
		change.rate = (struct tps_rate){1000, 86400, 0};
		change.burst_given = true;
		change.burst = burst;
	}
	if (source) {
		must(tps_prefix_parse(source, &prefix, &why));
		change.sources.add = &prefix;
		change.sources.add_count = 1;
	}
	if (key) {
		siphash_128(gate->control->secret, key, strlen(key), hash.hash);
		change.keys.add = &hash;
		change.keys.add_count = 1;
	}
	return tps_caller_set(gate, name, &change, NULL, &why);
}

static struct tps_slot slot_of(const char *name)
{
	struct tps_caller_entry entry;

	must(tps_caller_find(gate, name, &entry));
	return (struct tps_slot){entry.record.slot, entry.record.generation};
}

static int settings_case_open(void **state)
{
	static const __u64 secret[2] = {1, 2};

	if (!h.gate)
		harness_open(&h, NULL);
	harness_clear(&h);
	must(tps_gate_adopt(harness_object(&h), secret, &gate, &why));
	set_listener("dns", TPS_PROTOCOL_UDP, UDP_PORT);
	set_listener("api", TPS_PROTOCOL_HTTP, HTTP_PORT);
	set_tier("free", 3);
	return 0;
}

static int settings_case_close(void **state)
{
	tps_gate_close(gate);
	return case_close(state);
}

/* @allowed datagrams pass, and the next is refused. */
static void spend(const char *source, __u32 allowed)
{
	struct packet packet = datagram(source);
	__u32 number = tps_listener_find(gate, "dns");

	for (__u32 i = 0; i < allowed; i++)
		expect_allowed(&packet, number);
	expect_refused(&packet, number);
}

static void strangers_have_the_built_in_tier(void **state)
{
	spend(STRANGER, 3);
	set_tier("small", 1);
	must(tps_default_tier_set(gate, "small", NULL, &why));
	spend("198.51.100.8", 1);
	spend(STRANGER6, 1);
}

static void callers_by_prefix(void **state)
{
	must(change_caller("acme", -1, 5, "203.0.113.0/24", NULL));
	must(change_caller("acme", -1, 0, "2001:db8:ac::/48", NULL));
	must(change_caller("inner", -1, 2, "203.0.113.128/25", NULL));
	must(change_caller("host", -1, 4, "2001:db8:ac:1:2::9", NULL));
	spend("203.0.113.129", 2);
	spend("203.0.113.1", 5);
	spend("2001:db8:ac:1:2::9", 4);
	spend("2001:db8:ac:1:2::8", 0);
	spend(STRANGER, 3);
	assert_caller(slot_of("acme"), 5, 2);
	assert_caller(slot_of("inner"), 2, 1);
	assert_caller(slot_of("host"), 4, 1);
}

static void prefix_of_another_is_refused(void **state)
{
	must(change_caller("acme", -1, 5, "203.0.113.0/24", NULL));
	must_fail(change_caller("other", -1, 5, "203.0.113.0/24", NULL), -EEXIST);
	spend("203.0.113.1", 5);
	assert_caller(slot_of("acme"), 5, 1);
}

static void tier_and_own_limit(void **state)
{
	set_tier("gold", 7);
	must(change_caller("acme", tps_tier_find(gate, "gold"), 0, "203.0.113.0/24", NULL));
	spend("203.0.113.1", 7);
	must(change_caller("beta", tps_tier_find(gate, "gold"), 2, "198.51.100.0/24", NULL));
	spend("198.51.100.1", 2);
}

static void seen_stranger_becomes_a_caller_and_back(void **state)
{
	spend("203.0.113.1", 3);
	must(change_caller("acme", -1, 5, "203.0.113.0/24", NULL));
	spend("203.0.113.1", 5);
	must(tps_caller_delete(gate, "acme", &why));
	spend("203.0.113.1", 0);
}

/* The slot is given to another as soon as it is free. */
static void slot_is_used_again_clean(void **state)
{
	struct tps_slot old, tenant;

	must(change_caller("acme", -1, 5, "203.0.113.0/24", NULL));
	old = slot_of("acme");
	spend("203.0.113.1", 5);
	must(tps_caller_delete(gate, "acme", &why));
	must(change_caller("beta", -1, 5, "198.51.100.0/24", NULL));
	tenant = slot_of("beta");
	assert_int_equal(tenant.slot, old.slot);
	assert_int_not_equal(tenant.generation, old.generation);
	assert_caller(tenant, 0, 0);
	spend("203.0.113.1", 3);
	assert_caller(tenant, 0, 0);
	spend("198.51.100.1", 5);
	assert_caller(tenant, 5, 1);
}

static void keys_of_a_caller(void **state)
{
	struct tps_slot acme;

	must(change_caller("acme", -1, 3, "203.0.113.0/24", "gold"));
	must(change_caller("acme", -1, 0, NULL, "spare"));
	acme = slot_of("acme");
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	assert_passes(GET_KEY("gold"));
	answer();
	assert_passes(GET_KEY("spare"));
	answer();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("spare"));
	assert_caller(acme, 3, 1);
	/* what anybody can forge has the other word */
	spend("203.0.113.1", 3);
	must(tps_caller_delete(gate, "acme", &why));
	assert_passes(GET_KEY("gold"));
	live_close(&c);
}

static void remove_key(const char *name, const char *key)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;
	struct tps_key hash;

	siphash_128(gate->control->secret, key, strlen(key), hash.hash);
	change.keys.remove = &hash;
	change.keys.remove_count = 1;
	must(tps_caller_set(gate, name, &change, NULL, &why));
}

/* On a connection that is open, whatever is remembered there. */
static void key_changes_hands(void **state)
{
	must(change_caller("acme", -1, 5, NULL, "gold"));
	must(change_caller("acme", -1, 0, NULL, "spare"));
	must(change_caller("beta", -1, 5, NULL, "iron"));
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	assert_passes(GET_KEY("gold"));
	answer();
	must_fail(change_caller("beta", -1, 0, NULL, "gold"), -EEXIST);
	remove_key("acme", "gold");
	assert_passes(GET_KEY("gold"));
	answer();
	assert_caller(slot_of("acme"), 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	must(change_caller("beta", -1, 0, NULL, "gold"));
	assert_passes(GET_KEY("gold"));
	answer();
	assert_caller(slot_of("acme"), 1, 0);
	assert_caller(slot_of("beta"), 1, 0);
	must(tps_caller_delete(gate, "beta", &why));
	must(change_caller("gamma", -1, 5, NULL, "gold"));
	assert_passes(GET_KEY("gold"));
	answer();
	assert_caller(slot_of("gamma"), 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	live_close(&c);
}

static __u32 entries(enum tps_map map)
{
	__u32 count = 0;

	must(tps_dump_count(gate->map_fd[map], &count));
	return count;
}

/* As a command leaves it that was killed: the slot is free, and the rest is there. */
static void what_a_killed_command_left_is_cleared_away(void **state)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;

	must(change_caller("acme", -1, 5, "203.0.113.0/24", "gold"));
	must(change_caller("acme", -1, 0, "203.0.114.0/24", NULL));
	tps_slot_free(gate, slot_of("acme"));
	assert_int_equal(entries(TPS_MAP_sources4), 2);
	/* one is written over and one goes */
	must(change_caller("beta", -1, 2, "203.0.113.0/24", NULL));
	assert_int_equal(entries(TPS_MAP_sources4), 1);
	assert_int_equal(gate->control->sources4, 1);
	spend("203.0.113.1", 2);
	spend("203.0.114.1", 3);
	assert_int_equal(entries(TPS_MAP_keys), 1);
	change.keys.replace = true;
	must(tps_caller_set(gate, "beta", &change, NULL, &why));
	assert_int_equal(entries(TPS_MAP_keys), 0);
}

static void new_limit_without_refill(void **state)
{
	must(change_caller("acme", -1, 5, "203.0.113.0/24", NULL));
	spend("203.0.113.1", 5);
	must(change_caller("acme", -1, 50, NULL, NULL));
	spend("203.0.113.1", 0);
}

static void bans_by_hand(void **state)
{
	struct packet packet = datagram("203.0.113.1");
	__u32 dns = tps_listener_find(gate, "dns");
	struct tps_prefix prefix;
	bool changed = false;

	must(change_caller("acme", -1, 5, "198.51.100.0/24", NULL));
	must(tps_prefix_parse("203.0.113.0/24", &prefix, &why));
	must(tps_ban_prefix(gate, &prefix, 1, "test", &why));
	expect(&packet, dns, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	sleep(1);
	expect_allowed(&packet, dns);
	must(tps_ban_prefix(gate, &prefix, 0, NULL, &why));
	expect(&packet, dns, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	must(tps_unban_prefix(gate, &prefix, &changed));
	assert_true(changed);
	expect_allowed(&packet, dns);
	must(tps_ban_caller(gate, "acme", 0, NULL, &why));
	packet = datagram("198.51.100.9");
	expect(&packet, dns, TPS_ACTION_DROP, TPS_REASON_BANNED_CALLER);
	must(tps_unban_caller(gate, "acme", &changed, &why));
	assert_true(changed);
	expect_allowed(&packet, dns);
}

static void pause_and_observe(void **state)
{
	struct packet packet = datagram(STRANGER);
	__u32 dns = tps_listener_find(gate, "dns");

	spend(STRANGER, 3);
	assert_true(tps_pause_set(gate, true));
	expect(&packet, 0, TPS_ACTION_PASS, TPS_REASON_PAUSED);
	assert_true(tps_pause_set(gate, false));
	expect_refused(&packet, dns);
	assert_true(tps_observe_set(gate, true));
	expect(&packet, dns, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_true(tps_observe_set(gate, false));
	expect_refused(&packet, dns);
	must(tps_listener_delete(gate, "dns", &why));
	expect(&packet, 0, TPS_ACTION_PASS, TPS_REASON_NOT_LISTENER);
}

#define SETTINGS_CASE(sentence, function) \
	{ \
		sentence, function, settings_case_open, settings_case_close, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		SETTINGS_CASE("strangers have the limit of the default tier",
			      strangers_have_the_built_in_tier),
		SETTINGS_CASE("callers by prefix have their own limits", callers_by_prefix),
		SETTINGS_CASE("a prefix that another caller has is refused and changes nothing",
			      prefix_of_another_is_refused),
		SETTINGS_CASE("a caller has its tier's limit, or its own", tier_and_own_limit),
		SETTINGS_CASE("a stranger that was seen becomes a caller, and one again",
			      seen_stranger_becomes_a_caller_and_back),
		SETTINGS_CASE("a slot that is used again has no debit and no counter",
			      slot_is_used_again_clean),
		SETTINGS_CASE("two keys of a caller share its bucket", keys_of_a_caller),
		SETTINGS_CASE("a key that changes hands is charged to its new caller at once",
			      key_changes_hands),
		SETTINGS_CASE("what a killed command left of a caller is cleared away",
			      what_a_killed_command_left_is_cleared_away),
		SETTINGS_CASE("a larger limit refills nothing", new_limit_without_refill),
		SETTINGS_CASE("bans by hand hold, end and are lifted", bans_by_hand),
		SETTINGS_CASE("pause, observe and delete hold at the next packet",
			      pause_and_observe),
	};

	return cmocka_run_group_tests_name("settings", cases, http_group_open, http_group_close);
}
