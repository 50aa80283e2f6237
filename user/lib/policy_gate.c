// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy as a gate has it. What a killed command left half-written is marked as torn; what of a
 * caller that has gone is left out.
 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tps/bucket.h>

#include "ban.h"
#include "caller.h"
#include "device.h"
#include "listener.h"
#include "slot.h"
#include "tier.h"

static const struct tps_place nowhere;

static int tiers_add(const struct tps_gate *gate, struct tps_policy_file *policy)
{
	for (int i = 0; i < TPS_TIERS_MAX; i++) {
		const struct tps_tier *tier = &gate->tiers[i];
		struct tps_policy_tier *it;

		if (!tier->limit)
			continue;
		if (tps_array_grow(&policy->tiers, &policy->tier_room, policy->tier_count,
				   sizeof(*it)))
			return -ENOMEM;
		it = &policy->tiers[policy->tier_count++];
		*it = (struct tps_policy_tier){.rate = tier->rate, .burst = tier->burst_given};
		memcpy(it->name, tier->name, sizeof(it->name));
		if (gate->control->default_tier == (__u32)i)
			memcpy(policy->default_tier, tier->name, sizeof(tier->name));
	}
	return 0;
}

static int listeners_add(const struct tps_gate *gate, struct tps_policy_file *policy)
{
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		struct tps_policy_listener *it;

		if (!gate->listeners[i].protocol)
			continue;
		if (tps_array_grow(&policy->listeners, &policy->listener_room,
				   policy->listener_count, sizeof(*it)))
			return -ENOMEM;
		it = &policy->listeners[policy->listener_count++];
		*it = (struct tps_policy_listener){.listener = gate->listeners[i],
						   .torn = !tps_listener_is_whole(gate, i)};
	}
	return 0;
}

/* Does the slot say what the name's record says? */
static bool is_torn(const struct tps_caller_entry *entry)
{
	const struct tps_caller *record = &entry->record;
	__u64 own = 0;

	if (record->rate.period_s)
		tps_rate_limit(&record->rate, record->burst, &own, NULL);
	return entry->limit.own != own || entry->limit.tier != record->tier ||
	       entry->limit.flags != record->flags;
}

/* *ret_number[slot] is the caller's number + 1; 0: nobody's. */
static int callers_add(const struct tps_gate *gate, struct tps_policy_file *policy,
		       __u32 **ret_number)
{
	_cleanup_free_ struct tps_caller_entry *entries = NULL;
	_cleanup_free_ __u32 *number = calloc(gate->capacity[TPS_MAP_limits], sizeof(*number));
	__u64 now_ns = tps_now_ns();
	size_t count;
	int err = number ? tps_callers_read(gate, &entries, &count) : -ENOMEM;

	if (err)
		return err;
	policy->callers = calloc(count + 1, sizeof(*policy->callers));
	if (!policy->callers)
		return -ENOMEM;
	policy->caller_room = count + 1;
	for (size_t i = 0; i < count; i++) {
		const struct tps_caller *record = &entries[i].record;
		struct tps_policy_caller *it = &policy->callers[policy->caller_count++];

		*it = (struct tps_policy_caller){
			.rate = record->rate,
			.burst = record->burst,
			.exempt = record->flags & TPS_LIMIT_EXEMPT,
			.banned = entries[i].limit.banned_until_ns > now_ns,
			.torn = is_torn(&entries[i]),
			.slot = {record->slot, record->generation},
		};
		memcpy(it->name, entries[i].name, sizeof(it->name));
		if (record->tier < TPS_TIERS_MAX)
			memcpy(it->tier, gate->tiers[record->tier].name, sizeof(it->tier));
		number[record->slot] = policy->caller_count;
	}
	*ret_number = TAKE_PTR(number);
	return 0;
}

static int identities_add(const struct tps_gate *gate, enum tps_identity identity,
			  const __u32 *number, struct tps_policy_file *policy)
{
	const struct tps_kind *kind = &tps_kinds[identity];
	_cleanup_identities_ struct tps_identities there = {};
	size_t callers = policy->caller_count;
	int err = kind->dump(gate, &there);

	for (size_t i = 0; i < there.count && !err; i++) {
		if (!tps_slot_is_live(gate, there.owners[i]) || !number[there.owners[i].slot])
			continue;
		/* the last one is who gets it */
		policy->caller_count = number[there.owners[i].slot];
		err = tps_policy_claim(policy, identity, (char *)there.all + i * kind->size,
				       nowhere);
	}
	policy->caller_count = callers;
	return err;
}

static int bans_add(const struct tps_gate *gate, struct tps_policy_file *policy)
{
	_cleanup_free_ struct tps_ban_entry *bans = NULL;
	size_t count;
	int err = tps_bans_read(gate, tps_now_ns(), &bans, &count);

	if (err)
		return err;
	policy->bans = calloc(count + 1, sizeof(*policy->bans));
	if (!policy->bans)
		return -ENOMEM;
	policy->ban_room = count + 1;
	for (size_t i = 0; i < count; i++)
		policy->bans[policy->ban_count++] = (struct tps_policy_ban){
			.prefix = bans[i].prefix,
			.by_hand = bans[i].ban.made_s != TPS_BAN_OF_POLICY,
			.passes = bans[i].ban.until_ns != TPS_BAN_FOR_EVER ||
				  !tps_ban_is_seen(gate, &bans[i].prefix),
		};
	return 0;
}

static int devices_add(const struct tps_gate *gate, struct tps_policy_file *policy)
{
	_cleanup_free_ struct tps_device_entry *devices = NULL;
	size_t count;
	int err = tps_devices_read(gate, &devices, &count);

	if (err)
		return err;
	policy->devices = calloc(count + 1, sizeof(*policy->devices));
	if (!policy->devices)
		return -ENOMEM;
	policy->device_room = count + 1;
	for (size_t i = 0; i < count; i++) {
		if (devices[i].wanted)
			policy->devices[policy->device_count++].key = devices[i].key;
	}
	return 0;
}

static void capacities_add(const struct tps_gate *gate, struct tps_policy_file *policy)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (tps_map_sizable(map) && gate->capacity[map] != tps_map_default_capacity(map))
			policy->capacity[map] = gate->capacity[map];
	}
}

int tps_policy_of_gate(const struct tps_gate *gate, struct tps_policy_file **ret_policy,
		       struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *policy = calloc(1, sizeof(*policy));
	_cleanup_free_ __u32 *number = NULL;
	int err = policy ? tiers_add(gate, policy) : -ENOMEM;

	if (!err)
		err = listeners_add(gate, policy);
	if (!err)
		err = callers_add(gate, policy, &number);
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++)
		err = identities_add(gate, i, number, policy);
	if (!err)
		err = bans_add(gate, policy);
	if (!err)
		err = devices_add(gate, policy);
	if (err)
		return err;
	capacities_add(gate, policy);
	memcpy(policy->secret, gate->control->secret, sizeof(policy->secret));
	policy->has_secret = true;
	err = tps_policy_sort(policy);
	if (!err)
		*ret_policy = TAKE_PTR(policy);
	return err;
}

int tps_policy_of_fresh(struct tps_policy_file **ret_policy)
{
	static const char text[] = "version: 1\n";

	return tps_policy_parse("", text, sizeof(text) - 1, NULL, ret_policy, NULL);
}
