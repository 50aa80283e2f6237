// SPDX-License-Identifier: GPL-2.0-only
/*
 * One caller at a time: found, made, changed, deleted. A name is there when its slot's tenant
 * lives; what a killed command left is taken for absent and cleared away by the next one.
 */
#include "caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "dump.h"
#include "identity.h"
#include "secret.h"
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
	return err < 0 ? err : 0;
}

/* For an error: the name of @owner's tenant. */
static void owner_name(const struct tps_gate *gate, struct tps_slot owner,
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
	/* identities to write and to take away; `sources` is what was there */
	struct tps_sources sources;
	bool touches_sources;
	struct tps_source_counts counts;
	const struct tps_prefix **put_sources, **remove_sources;
	size_t put_source_count, remove_source_count;
	const struct tps_key **put_keys, **remove_keys;
	size_t put_key_count, remove_key_count;
	struct tps_key *own_keys; /* what the caller has, where it is replaced */
	size_t own_key_count;
};

static void plan_end(struct plan *plan)
{
	tps_sources_free(&plan->sources);
	free(plan->put_sources);
	free(plan->remove_sources);
	free(plan->put_keys);
	free(plan->remove_keys);
	free(plan->own_keys);
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

static bool is_listed(const struct tps_prefix *prefix, const struct tps_prefix *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (tps_prefix_equal(prefix, &list[i]))
			return true;
	}
	return false;
}

static int source_taken(const struct tps_gate *gate, const char *name,
			const struct tps_prefix *prefix, struct tps_slot owner, struct tps_why *why)
{
	char text[TPS_PREFIX_TEXT], other[TPS_NAME_LEN];

	owner_name(gate, owner, other);
	return tps_why_say(why, -EEXIST, "caller '%s': source '%s' is of caller '%s'", name,
			   tps_prefix_print(prefix, text), other);
}

/* What to do with each prefix that is there; *ret_has tells which of the wanted ones are ours. */
static int sources_compare(const struct tps_gate *gate, const struct tps_sources_change *change,
			   struct plan *plan, bool *ret_has, struct tps_why *why)
{
	for (size_t i = 0; i < plan->sources.count; i++) {
		const struct tps_prefix *prefix = &plan->sources.prefixes[i];
		struct tps_slot owner = plan->sources.owners[i];
		bool ours = !plan->is_new && tps_slot_equal(owner, plan->slot), wanted = false;

		for (size_t j = 0; j < change->add_count; j++) {
			if (!tps_prefix_equal(prefix, &change->add[j]))
				continue;
			wanted = true;
			if (!ours && tps_slot_is_live(gate, owner))
				return source_taken(gate, plan->name, prefix, owner, why);
			ret_has[j] = ours;
		}
		tps_source_count(&plan->counts, prefix, 1);
		/* One of a tenant that has gone is cleared away, or written over. */
		if (!wanted && (!tps_slot_is_live(gate, owner) ||
				(ours && (change->replace || is_listed(prefix, change->remove,
								       change->remove_count)))))
			plan->remove_sources[plan->remove_source_count++] = prefix;
		else if (wanted && !ours)
			tps_source_count(&plan->counts, prefix, -1); /* counted when it is put */
	}
	return 0;
}

static int sources_plan(const struct tps_gate *gate, const struct tps_sources_change *change,
			struct plan *plan, struct tps_why *why)
{
	_cleanup_free_ bool *has = calloc(change->add_count + 1, sizeof(*has));
	char text[TPS_PREFIX_TEXT];
	int err;

	plan->touches_sources = change->replace || change->add_count || change->remove_count;
	if (!plan->touches_sources)
		return 0;
	err = tps_sources_dump(gate, &plan->sources);
	if (err)
		return err;
	plan->put_sources = calloc(change->add_count + 1, sizeof(*plan->put_sources));
	plan->remove_sources = calloc(plan->sources.count + 1, sizeof(*plan->remove_sources));
	if (!has || !plan->put_sources || !plan->remove_sources)
		return -ENOMEM;
	for (size_t i = 0; i < change->add_count; i++) {
		if (is_listed(&change->add[i], change->add, i))
			return tps_why_say(why, -EINVAL, "caller '%s': source '%s' is given twice",
					   plan->name, tps_prefix_print(&change->add[i], text));
		if (is_listed(&change->add[i], change->remove, change->remove_count))
			return tps_why_say(why, -EINVAL,
					   "caller '%s': source '%s' is both added and removed",
					   plan->name, tps_prefix_print(&change->add[i], text));
	}
	err = sources_compare(gate, change, plan, has, why);
	for (size_t i = 0; i < change->add_count && !err; i++) {
		if (has[i])
			continue;
		plan->put_sources[plan->put_source_count++] = &change->add[i];
		tps_source_count(&plan->counts, &change->add[i], 1);
	}
	return err;
}

static bool is_listed_key(const struct tps_key *key, const struct tps_key *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!memcmp(key, &list[i], sizeof(*key)))
			return true;
	}
	return false;
}

static int key_plan(const struct tps_gate *gate, const struct tps_key *key, struct plan *plan,
		    struct tps_why *why)
{
	char text[TPS_KEY_TEXT], other[TPS_NAME_LEN];
	struct tps_slot owner;
	int err = tps_key_owner(gate, key, &owner);

	if (err == -ENOENT) {
		plan->put_keys[plan->put_key_count++] = key;
		return 0;
	}
	if (err || (!plan->is_new && tps_slot_equal(owner, plan->slot)))
		return err;
	owner_name(gate, owner, other);
	return tps_why_say(why, -EEXIST, "caller '%s': key '%.23s...' is of caller '%s'",
			   plan->name, tps_key_print(key, gate->control->secret, text), other);
}

static int keys_plan(const struct tps_gate *gate, const struct tps_keys_change *change,
		     struct plan *plan, struct tps_why *why)
{
	bool reads = change->replace && !plan->is_new;
	int err = 0;

	if (reads)
		err = tps_keys_read(gate, &plan->slot, &plan->own_keys, NULL, &plan->own_key_count);
	if (err)
		return err;
	plan->put_keys = calloc(change->add_count + 1, sizeof(*plan->put_keys));
	plan->remove_keys =
		calloc(plan->own_key_count + change->remove_count + 1, sizeof(*plan->remove_keys));
	if (!plan->put_keys || !plan->remove_keys)
		return -ENOMEM;
	for (size_t i = 0; i < change->add_count && !err; i++) {
		if (is_listed_key(&change->add[i], change->add, i))
			return tps_why_say(why, -EINVAL, "caller '%s': a key is given twice",
					   plan->name);
		if (is_listed_key(&change->add[i], change->remove, change->remove_count))
			return tps_why_say(why, -EINVAL,
					   "caller '%s': a key is both added and removed",
					   plan->name);
		err = key_plan(gate, &change->add[i], plan, why);
	}
	for (size_t i = 0; i < plan->own_key_count; i++) {
		if (!is_listed_key(&plan->own_keys[i], change->add, change->add_count))
			plan->remove_keys[plan->remove_key_count++] = &plan->own_keys[i];
	}
	for (size_t i = 0; i < change->remove_count && !plan->is_new; i++) {
		struct tps_slot owner;

		if (!tps_key_owner(gate, &change->remove[i], &owner) &&
		    tps_slot_equal(owner, plan->slot))
			plan->remove_keys[plan->remove_key_count++] = &change->remove[i];
	}
	return err;
}

/* ---- a change, written */

static int full(const char *name, const char *map, int err, struct tps_why *why)
{
	if (err != -E2BIG && err != -ENOSPC)
		return err;
	return tps_why_say(why, err,
			   "caller '%s': the map '%s' is full; tpsctl status shows the capacities, "
			   "attach --capacity sets them",
			   name, map);
}

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

/* A full map of keys may hold some of tenants that have gone, which a killed command left. */
static int key_put(struct tps_gate *gate, const struct tps_key *key, struct tps_slot owner)
{
	int err = tps_key_put(gate, key, owner);

	if (err == -E2BIG && tps_keys_sweep(gate) > 0)
		err = tps_key_put(gate, key, owner);
	return err;
}

/* Take the first @keys and @sources of the new identities away again. */
static void identities_take_back(struct tps_gate *gate, struct plan *plan, size_t keys,
				 size_t sources)
{
	for (size_t i = 0; i < keys; i++)
		tps_key_remove(gate, plan->put_keys[i]);
	for (size_t i = 0; i < plan->put_source_count; i++) {
		if (i < sources)
			tps_source_remove(gate, plan->put_sources[i]);
		tps_source_count(&plan->counts, plan->put_sources[i], -1);
	}
	if (plan->touches_sources)
		tps_source_counts_set(gate, &plan->counts);
}

/* Write the identities that are new. Whatever fails is undone. */
static int identities_put(struct tps_gate *gate, struct plan *plan, struct tps_why *why)
{
	size_t sources = 0, keys = 0;
	const char *map = "keys";
	int err = 0;

	if (plan->touches_sources)
		tps_source_counts_raise(gate, &plan->counts);
	for (; keys < plan->put_key_count && !err; keys++)
		err = key_put(gate, plan->put_keys[keys], plan->slot);
	for (; sources < plan->put_source_count && !err; sources++) {
		map = plan->put_sources[sources]->family == 4 ? "sources4" : "sources6";
		err = tps_source_put(gate, plan->put_sources[sources], plan->slot);
	}
	if (!err)
		return 0;
	identities_take_back(gate, plan, keys, sources);
	return full(plan->name, map, err, why);
}

static void identities_remove(struct tps_gate *gate, struct plan *plan)
{
	for (size_t i = 0; i < plan->remove_key_count; i++)
		tps_key_remove(gate, plan->remove_keys[i]);
	for (size_t i = 0; i < plan->remove_source_count; i++) {
		if (!tps_source_remove(gate, plan->remove_sources[i]))
			tps_source_count(&plan->counts, plan->remove_sources[i], -1);
	}
	if (plan->touches_sources)
		tps_source_counts_set(gate, &plan->counts);
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
		return full(plan->name, "callers", err, why);
	err = identities_put(gate, plan, why);
	if (err) {
		tps_slot_free(gate, plan->slot);
		record_remove(gate, plan->name);
		return err;
	}
	identities_remove(gate, plan);
	return 0;
}

/* What can fail comes first and is undone; the limit and what goes cannot. */
static int change_write(struct tps_gate *gate, struct plan *plan, struct tps_why *why)
{
	int err = identities_put(gate, plan, why);

	if (err)
		return err;
	err = record_put(gate, plan->name, &plan->record);
	if (err) {
		identities_take_back(gate, plan, plan->put_key_count, plan->put_source_count);
		return full(plan->name, "callers", err, why);
	}
	tps_slot_put(gate, plan->slot, &plan->limit);
	identities_remove(gate, plan);
	return 0;
}

int tps_caller_set(struct tps_gate *gate, const char *name, const struct tps_caller_change *change,
		   bool *ret_changed, struct tps_why *why)
{
	_cleanup_(plan_end) struct plan plan = {.name = name};
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
		err = sources_plan(gate, &change->sources, &plan, why);
	if (!err)
		err = keys_plan(gate, &change->keys, &plan, why);
	if (!err)
		err = plan.is_new ? new_write(gate, &plan, why) : change_write(gate, &plan, why);
	if (err)
		return err;
	if (ret_changed)
		*ret_changed = plan.is_new || plan.put_source_count || plan.put_key_count ||
			       plan.remove_source_count || plan.remove_key_count ||
			       memcmp(&plan.record, &before.record, sizeof(before.record)) ||
			       memcmp(&plan.limit, &before.limit, sizeof(before.limit));
	return 0;
}

int tps_caller_delete(struct tps_gate *gate, const char *name, struct tps_why *why)
{
	static const struct tps_caller_change nothing = {
		.tier = -1, .exempt = -1, .sources.replace = true, .keys.replace = true};
	_cleanup_(plan_end) struct plan plan = {.name = name};
	int err = record_find(gate, name, &plan.record);

	if (err == -ENOENT)
		return tps_why_say(why, err,
				   "no caller '%s': tpsctl list callers shows what there is", name);
	if (err)
		return err;
	plan.slot = slot_of(&plan.record);
	err = sources_plan(gate, &nothing.sources, &plan, why);
	if (!err)
		err = keys_plan(gate, &nothing.keys, &plan, why);
	if (err)
		return err;
	/* First the slot, which makes every identity stale; the name, which leads to what is left
	 * of a killed deletion, last. */
	tps_slot_free(gate, plan.slot);
	identities_remove(gate, &plan);
	record_remove(gate, name);
	return 0;
}
