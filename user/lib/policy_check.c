// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a policy agrees with itself: nothing claimed twice, every tier there, every burst enough
 * for every cost, all of it within the bounds of the gate. Knows no gate.
 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tps/bucket.h>

#include "tier.h"

/* ---- what is left to the defaults */

/* The built-in tier is there where nobody says otherwise and somebody needs it. */
static int tiers_complete(struct tps_policy_file *policy)
{
	struct tps_policy_tier built_in = {.name = TPS_TIER_BUILT_IN,
					   .rate = {TPS_TIER_BUILT_IN_MILLI, 1, 0}};

	if (!*policy->default_tier)
		strcpy(policy->default_tier, TPS_TIER_BUILT_IN);
	if (strcmp(policy->default_tier, TPS_TIER_BUILT_IN) ||
	    tps_policy_tier_find(policy, TPS_TIER_BUILT_IN))
		return 0;
	if (tps_array_grow(&policy->tiers, &policy->tier_room, policy->tier_count,
			   sizeof(*policy->tiers)))
		return -ENOMEM;
	policy->tiers[policy->tier_count++] = built_in;
	return tps_policy_sort(policy);
}

static int callers_complete(struct tps_policy_file *policy, struct tps_why *why)
{
	for (size_t i = 0; i < policy->caller_count; i++) {
		struct tps_policy_caller *caller = &policy->callers[i];

		if (!*caller->tier)
			strcpy(caller->tier, policy->default_tier);
		if (!tps_policy_tier_find(policy, caller->tier))
			return tps_place_say(policy, caller->place, why, -ENOENT,
					     "caller '%s': there is no tier '%s'", caller->name,
					     caller->tier);
	}
	return 0;
}

/* ---- nothing twice */

static int given_twice(const struct tps_policy_file *policy, const char *noun, const char *name,
		       struct tps_place first, struct tps_place second, struct tps_why *why)
{
	char at[TPS_PLACE_TEXT];

	return tps_place_say(policy, second, why, -EEXIST, "%s '%s': given twice, first at %s",
			     noun, name, tps_place_print(policy, first, at));
}

static int names_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	for (size_t i = 1; i < policy->tier_count; i++) {
		const struct tps_policy_tier *it = &policy->tiers[i];

		if (!strcmp(it[-1].name, it->name))
			return given_twice(policy, "tier", it->name, it[-1].place, it->place, why);
	}
	for (size_t i = 1; i < policy->listener_count; i++) {
		const struct tps_policy_listener *it = &policy->listeners[i];

		if (!strcmp(it[-1].listener.name, it->listener.name))
			return given_twice(policy, "listener", it->listener.name, it[-1].place,
					   it->place, why);
	}
	for (size_t i = 1; i < policy->caller_count; i++) {
		const struct tps_policy_caller *it = &policy->callers[i];

		if (!strcmp(it[-1].name, it->name))
			return given_twice(policy, "caller", it->name, it[-1].place, it->place,
					   why);
	}
	return 0;
}

static int claimed_twice(const struct tps_policy_file *policy, enum tps_identity identity,
			 const struct tps_claimed *first, const struct tps_claimed *second,
			 struct tps_why *why)
{
	const struct tps_policy_caller *one = &policy->callers[first->caller];
	const struct tps_policy_caller *other = &policy->callers[second->caller];
	char text[TPS_IDENTITY_TEXT], at[TPS_PLACE_TEXT];
	/* prints of a key with the gate's secret alone */
	const char *what = identity == TPS_IDENTITY_KEY
				   ? ""
				   : tps_kinds[identity].print(NULL, first->one, text);

	return tps_place_say(policy, second->place, why, -EEXIST,
			     "caller '%s': %s%s%s%s is of caller '%s' already, at %s", other->name,
			     tps_kinds[identity].noun, *what ? " '" : "", what, *what ? "'" : "",
			     one->name, tps_place_print(policy, first->place, at));
}

static int identities_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		const struct tps_policy_list *list = &policy->lists[i];

		for (size_t j = 1; j < list->count; j++) {
			const struct tps_claimed *it = &list->claimed[j];

			if (!memcmp(it[-1].one, it->one, tps_kinds[i].size))
				return claimed_twice(policy, i, &it[-1], it, why);
		}
	}
	return 0;
}

static bool share_port(const struct tps_listener *a, const struct tps_listener *b, __u16 *ret_port)
{
	if ((a->protocol == TPS_PROTOCOL_UDP) != (b->protocol == TPS_PROTOCOL_UDP))
		return false;
	for (int i = 0; i < a->port_count; i++) {
		for (int j = 0; j < b->port_count; j++) {
			*ret_port = a->port[i];
			if (a->port[i] == b->port[j])
				return true;
		}
	}
	return false;
}

static int ports_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	char at[TPS_PLACE_TEXT];
	__u16 port;

	for (size_t i = 0; i < policy->listener_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct tps_policy_listener *first = &policy->listeners[j];
			const struct tps_policy_listener *second = &policy->listeners[i];

			if (!share_port(&first->listener, &second->listener, &port))
				continue;
			return tps_place_say(policy, second->place, why, -EEXIST,
					     "listener '%s': port '%u' is of listener '%s' "
					     "already, at %s",
					     second->listener.name, port, first->listener.name,
					     tps_place_print(policy, first->place, at));
		}
	}
	return 0;
}

static int bans_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	bool lengths[129] = {};
	char text[TPS_PREFIX_TEXT];
	int count = 0;

	for (size_t i = 0; i < policy->ban_count; i++) {
		const struct tps_policy_ban *it = &policy->bans[i];

		if (i && tps_prefix_equal(&it[-1].prefix, &it->prefix))
			return given_twice(policy, "ban", tps_prefix_print(&it->prefix, text),
					   it[-1].place, it->place, why);
		if (it->prefix.family != 6 || lengths[it->prefix.bits])
			continue;
		lengths[it->prefix.bits] = true;
		if (++count > TPS_BAN_LENGTHS_MAX)
			return tps_place_say(policy, it->place, why, -ENOSPC,
					     "ban '%s': IPv6 bans of more than %d different prefix "
					     "lengths",
					     tps_prefix_print(&it->prefix, text),
					     TPS_BAN_LENGTHS_MAX);
	}
	return 0;
}

/* ---- bursts and costs: what would never pass */

static int cost_check(const struct tps_policy_file *policy, struct tps_place place,
		      const char *noun, const char *name, const struct tps_rate *rate, __u32 burst,
		      const struct tps_listener *dearest, struct tps_why *why)
{
	if (!burst)
		burst = tps_rate_default_burst(rate);
	if (burst >= dearest->cost)
		return 0;
	return tps_place_say(policy, place, why, -ERANGE,
			     "%s '%s': burst '%u' is below the cost of a transaction of listener "
			     "'%s', %u: none would ever pass",
			     noun, name, burst, dearest->name, dearest->cost);
}

static int costs_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	const struct tps_listener *dearest = NULL;
	int err = 0;

	for (size_t i = 0; i < policy->listener_count; i++) {
		const struct tps_listener *it = &policy->listeners[i].listener;

		if (!dearest || it->cost > dearest->cost)
			dearest = it;
	}
	for (size_t i = 0; dearest && i < policy->tier_count && !err; i++) {
		const struct tps_policy_tier *it = &policy->tiers[i];

		err = cost_check(policy, it->place, "tier", it->name, &it->rate, it->burst, dearest,
				 why);
	}
	for (size_t i = 0; dearest && i < policy->caller_count && !err; i++) {
		const struct tps_policy_caller *it = &policy->callers[i];

		if (it->rate.period_s)
			err = cost_check(policy, it->place, "caller", it->name, &it->rate,
					 it->burst, dearest, why);
	}
	return err;
}

/* ---- bounds */

int tps_policy_fits(const struct tps_policy_file *policy, const __u32 capacity[TPS_MAP_MAX],
		    struct tps_why *why)
{
	size_t wanted[TPS_MAP_MAX] = {
		[TPS_MAP_callers] = policy->caller_count, [TPS_MAP_bans] = policy->ban_count};

	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		for (size_t j = 0; j < policy->lists[i].count; j++)
			wanted[tps_kinds[i].map(policy->lists[i].claimed[j].one)]++;
	}
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 room = capacity[map] ? capacity[map] : tps_map_default_capacity(map);

		if (wanted[map] > room)
			return tps_why_say(why, -ENOSPC,
					   "the policy has %zu entries for the map '%s', which "
					   "holds %u: 'capacity: {%s: N}', or attach --capacity, "
					   "sets it when the gate is made",
					   wanted[map], tps_map_name(map), room, tps_map_name(map));
	}
	return 0;
}

static int bounds_check(const struct tps_policy_file *policy, struct tps_why *why)
{
	if (policy->tier_count > TPS_TIERS_MAX)
		return tps_place_say(policy, policy->tiers[policy->tier_count - 1].place, why,
				     -ENOSPC, "%zu tiers: at most %d", policy->tier_count,
				     TPS_TIERS_MAX);
	if (policy->listener_count > TPS_LISTENERS_MAX - 1)
		return tps_place_say(policy, policy->listeners[policy->listener_count - 1].place,
				     why, -ENOSPC, "%zu listeners: at most %d",
				     policy->listener_count, TPS_LISTENERS_MAX - 1);
	return 0;
}

/* ---- what is allowed, and may not be meant */

static void callers_warn(struct tps_policy_file *policy)
{
	for (size_t i = 0; i < policy->caller_count; i++) {
		const struct tps_policy_caller *it = &policy->callers[i];
		bool has_name = it->count[TPS_IDENTITY_HOST] != 0;
		bool has_proof = it->count[TPS_IDENTITY_SOURCE] || it->count[TPS_IDENTITY_KEY];

		if (has_name && it->exempt)
			tps_policy_warn(policy, it->place,
					"caller '%s': exempt, and known by a server name: whoever "
					"sends that name is never refused",
					it->name);
		else if (has_name && !has_proof)
			tps_policy_warn(policy, it->place,
					"caller '%s': known by a server name alone, which is no "
					"proof: whoever sends it spends this caller's tokens",
					it->name);
		else if (!has_name && !has_proof)
			tps_policy_warn(policy, it->place,
					"caller '%s': nothing is known of it (sources, sni or "
					"keys): nobody is charged as it",
					it->name);
	}
}

int tps_policy_seal(struct tps_policy_file *policy, struct tps_why *why)
{
	int err = tps_policy_sort(policy);

	if (!err)
		err = names_check(policy, why);
	if (!err)
		err = identities_check(policy, why);
	if (!err)
		err = tiers_complete(policy);
	if (!err && !tps_policy_tier_find(policy, policy->default_tier))
		err = tps_place_say(policy, policy->default_tier_place, why, -ENOENT,
				    "default_tier: there is no tier '%s'", policy->default_tier);
	if (!err)
		err = callers_complete(policy, why);
	if (!err)
		err = bounds_check(policy, why);
	if (!err)
		err = ports_check(policy, why);
	if (!err)
		err = costs_check(policy, why);
	if (!err)
		err = bans_check(policy, why);
	if (!err)
		callers_warn(policy);
	return err;
}
