// SPDX-License-Identifier: GPL-2.0-only
/*
 * One caller at a time: found, made, changed, deleted. A name is there when its slot's tenant
 * lives; what a killed command left is taken for absent and cleared away by the next one.
 */
#include "claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "dump.h"
#include "host.h"
#include "key.h"
#include "slot.h"
#include "tier.h"

static struct tps_caller_key name_key(const char *name)
{
	struct tps_caller_key key = {};

	memcpy(key.name, name, strnlen(name, sizeof(key.name) - 1));
	return key;
}

static struct tps_slot slot_of(const struct tps_caller *caller)
{
	return (struct tps_slot){caller->slot, caller->generation};
}

/* The record of that name, its tenant gone or not. */
static int record_find(const struct tps_gate *gate, const char *name, struct tps_caller *ret_caller)
{
	struct tps_caller_key key = name_key(name);

	if (strlen(name) >= sizeof(key.name))
		return -ENOENT;
	return bpf_map_lookup_elem(gate->map_fd[TPS_MAP_callers], &key, ret_caller);
}

int tps_caller_find(const struct tps_gate *gate, const char *name, struct tps_caller_entry *ret)
{
	struct tps_caller_entry entry = {};
	int err = record_find(gate, name, &entry.record);

	if (err)
		return err;
	if (!tps_slot_is_live(gate, slot_of(&entry.record)))
		return -ENOENT;
	strcpy(entry.name, name);
	entry.limit = gate->limits[entry.record.slot];
	*ret = entry;
	return 0;
}

int tps_caller_need(const struct tps_gate *gate, const char *name, struct tps_caller_entry *ret,
		    struct tps_why *why)
{
	int err = tps_caller_find(gate, name, ret);

	if (err == -ENOENT)
		return tps_why_say(why, err,
				   "no caller '%s': tpsctl list callers shows what there is", name);
	return err;
}

__u64 tps_caller_limit(const struct tps_gate *gate, const struct tps_limit *limit)
{
	if (limit->own)
		return limit->own;
	return limit->tier < TPS_TIERS_MAX ? gate->tiers[limit->tier].limit : 0;
}

/* ---- all callers */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tps_caller_entry *)a)->name,
		      ((const struct tps_caller_entry *)b)->name);
}

int tps_callers_read(const struct tps_gate *gate, struct tps_caller_entry **ret_callers,
		     size_t *ret_count)
{
	_cleanup_free_ struct tps_caller_entry *entries = NULL;
	_cleanup_free_ void *keys = NULL, *values = NULL;
	size_t all, count = 0;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_callers], &keys, &values, &all);

	if (err)
		return err;
	entries = calloc(all + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < all; i++) {
		const struct tps_caller *caller = (struct tps_caller *)values + i;

		if (!tps_slot_is_live(gate, slot_of(caller)))
			continue;
		memcpy(entries[count].name, ((struct tps_caller_key *)keys)[i].name,
		       TPS_NAME_LEN - 1);
		entries[count].record = *caller;
		entries[count++].limit = gate->limits[caller->slot];
	}
	qsort(entries, count, sizeof(*entries), by_name);
	*ret_callers = TAKE_PTR(entries);
	*ret_count = count;
	return 0;
}

int tps_callers_sweep(struct tps_gate *gate)
{
	_cleanup_free_ void *names = NULL, *values = NULL;
	size_t count;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_callers], &names, &values, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		if (!tps_slot_is_live(gate, slot_of((struct tps_caller *)values + i)))
			bpf_map_delete_elem(gate->map_fd[TPS_MAP_callers],
					    (struct tps_caller_key *)names + i);
	}
	err = tps_keys_sweep(gate);
	if (err >= 0)
		err = tps_hosts_sweep(gate);
	return err < 0 ? err : 0;
}

void tps_caller_name(const struct tps_gate *gate, struct tps_slot owner,
		     char ret_name[TPS_NAME_LEN])
{
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	size_t count;

	strcpy(ret_name, "?");
	if (tps_callers_read(gate, &callers, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (tps_slot_equal(slot_of(&callers[i].record), owner))
			strcpy(ret_name, callers[i].name);
	}
}

/* ---- a change, worked out before anything is written */

struct plan {
	const char *name;
	bool is_new;
	struct tps_slot slot;
	struct tps_caller record;
	struct tps_limit limit;
	struct tps_claims claims;
};

static void plan_end(struct plan *plan)
{
	tps_claims_end(&plan->claims);
}

static int tier_plan(const struct tps_gate *gate, const struct tps_caller_change *change,
		     struct plan *plan, struct tps_why *why)
{
	int tier = plan->record.tier;

	if (plan->is_new)
		tier = gate->control->default_tier;
	if (change->tier >= 0)
		tier = change->tier;
	if (tier >= TPS_TIERS_MAX || !gate->tiers[tier].limit)
		return tps_why_say(why, -ENOENT, "caller '%s': no tier of number %d", plan->name,
				   tier);
	plan->record.tier = tier;
	return 0;
}

static int limit_plan(const struct tps_gate *gate, const struct tps_caller_change *change,
		      struct plan *plan, struct tps_why *why)
{
	struct tps_caller *record = &plan->record;
	__u64 own = 0;
	int err = tier_plan(gate, change, plan, why);

	if (err)
		return err;
	if (change->rate_given) {
		record->rate = change->rate;
		if (!change->rate.period_s)
			record->burst = 0;
	}
	if (change->burst_given)
		record->burst = change->burst;
	if (change->exempt >= 0)
		record->flags = change->exempt ? record->flags | TPS_LIMIT_EXEMPT
					       : record->flags & ~TPS_LIMIT_EXEMPT;
	if (record->burst && !record->rate.period_s)
		return tps_why_say(
			why, -EINVAL,
			"caller '%s': a burst of its own needs a rate of its own (--rate R)",
			plan->name);
	if (record->rate.period_s) {
		err = tps_rate_limit(&record->rate, record->burst, &own, why);
		if (err)
			return err;
		if (limit_burst(own) < tps_cost_max(gate))
			return tps_why_say(
				why, -ERANGE,
				"caller '%s': burst '%u' is below the cost of a listener's "
				"transaction, %u: none would ever pass",
				plan->name, limit_burst(own), tps_cost_max(gate));
	}
	plan->limit.own = own;
	plan->limit.policy = tps_rate_policy(&record->rate);
	plan->limit.tier = record->tier;
	plan->limit.flags = record->flags;
	return 0;
}

/* ---- a change, written */

static int record_put(struct tps_gate *gate, const char *name, const struct tps_caller *record)
{
	struct tps_caller_key key = name_key(name);

	return bpf_map_update_elem(gate->map_fd[TPS_MAP_callers], &key, record, BPF_ANY);
}

static void record_remove(struct tps_gate *gate, const char *name)
{
	struct tps_caller_key key = name_key(name);

	bpf_map_delete_elem(gate->map_fd[TPS_MAP_callers], &key);
}

static int slot_and_name_put(struct tps_gate *gate, struct plan *plan)
{
	int err = tps_slots_find(gate, 1, &plan->slot);

	if (err)
		return err;
	plan->record.slot = plan->slot.slot;
	plan->record.generation = plan->slot.generation;
	tps_slot_put(gate, plan->slot, &plan->limit);
	err = record_put(gate, plan->name, &plan->record);
	if (err)
		tps_slot_free(gate, plan->slot);
	return err;
}

/* Slot, name, identities: without a name a slot is swept, without a slot an identity is stale. */
static int new_write(struct tps_gate *gate, struct plan *plan, struct tps_why *why)
{
	int err = slot_and_name_put(gate, plan);

	if (err == -E2BIG && !tps_callers_sweep(gate))
		err = slot_and_name_put(gate, plan);
	if (err)
		return tps_map_full(plan->name, TPS_MAP_callers, err, why);
	err = tps_claims_put(gate, &plan->claims, plan->slot, why);
	if (err) {
		tps_slot_free(gate, plan->slot);
		record_remove(gate, plan->name);
		return err;
	}
	tps_claims_finish(gate, &plan->claims);
	return 0;
}

/* What can fail comes first and is undone; the limit and what goes cannot. */
static int change_write(struct tps_gate *gate, struct plan *plan, struct tps_why *why)
{
	int err = tps_claims_put(gate, &plan->claims, plan->slot, why);

	if (err)
		return err;
	err = record_put(gate, plan->name, &plan->record);
	if (err) {
		tps_claims_take_back(gate, &plan->claims);
		return tps_map_full(plan->name, TPS_MAP_callers, err, why);
	}
	tps_slot_put(gate, plan->slot, &plan->limit);
	tps_claims_finish(gate, &plan->claims);
	return 0;
}

int tps_caller_set(struct tps_gate *gate, const char *name, const struct tps_caller_change *change,
		   bool *ret_changed, struct tps_why *why)
{
	_cleanup_(plan_end) struct plan plan = {.name = name};
	__u32 depths = gate->control->host_depths;
	struct tps_caller_entry before = {};
	int err = tps_name_check("caller", name, TPS_NAME_LEN, why);

	if (err)
		return err;
	err = tps_caller_find(gate, name, &before);
	if (err && err != -ENOENT)
		return err;
	plan.is_new = err == -ENOENT;
	plan.record = before.record;
	plan.limit = before.limit;
	plan.slot = slot_of(&before.record);
	err = limit_plan(gate, change, &plan, why);
	if (!err)
		err = tps_claims_plan(gate, name, plan.slot, change, &plan.claims, why);
	if (!err)
		err = plan.is_new ? new_write(gate, &plan, why) : change_write(gate, &plan, why);
	if (err)
		return err;
	if (ret_changed)
		*ret_changed = plan.is_new || tps_claims_change(&plan.claims) ||
			       gate->control->host_depths != depths || /* mended */
			       memcmp(&plan.record, &before.record, sizeof(before.record)) ||
			       memcmp(&plan.limit, &before.limit, sizeof(before.limit));
	return 0;
}

int tps_caller_delete(struct tps_gate *gate, const char *name, struct tps_why *why)
{
	static const struct tps_caller_change nothing = {.tier = -1,
							 .exempt = -1,
							 .sources.replace = true,
							 .keys.replace = true,
							 .hosts.replace = true};
	_cleanup_(tps_claims_end) struct tps_claims claims = {};
	struct tps_caller record;
	int err = record_find(gate, name, &record);

	if (err == -ENOENT)
		return tps_why_say(why, err,
				   "no caller '%s': tpsctl list callers shows what there is", name);
	if (!err)
		err = tps_claims_plan(gate, name, slot_of(&record), &nothing, &claims, why);
	if (err)
		return err;
	/* First the slot, which makes every identity stale; the name, which leads to what is left
	 * of a killed deletion, last. */
	tps_slot_free(gate, slot_of(&record));
	tps_claims_finish(gate, &claims);
	record_remove(gate, name);
	return 0;
}
