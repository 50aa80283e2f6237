// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many callers at once: everything is checked, then written in batches. Knows the same order as one
 * caller at a time (caller.c): slots, names, identities.
 */
#include "caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "double.h"
#include "dump.h"
#include "host.h"
#include "kind.h"
#include "slot.h"
#include "source.h"
#include "tier.h"

/* The identities of one kind, of all specs. */
struct list {
	const struct tps_kind *kind;
	const void **them;
	__u32 *of; /* whose, by place in specs */
	struct tps_slot *owners;
	size_t count;
};

struct load {
	const struct tps_caller_spec *specs;
	size_t count;
	struct tps_slot *slots;
	struct tps_caller_key *names;
	struct tps_caller *records;
	struct tps_limit *limits;
	struct list lists[TPS_IDENTITY_MAX];
	struct tps_source_counts counts;
};

/* The spec's own list of that kind. */
static size_t spec_list(const struct tps_caller_spec *spec, enum tps_identity identity,
			const void **ret_them)
{
	switch (identity) {
	case TPS_IDENTITY_SOURCE:
		*ret_them = spec->sources;
		return spec->source_count;
	case TPS_IDENTITY_KEY:
		*ret_them = spec->keys;
		return spec->key_count;
	case TPS_IDENTITY_HOST:
		*ret_them = spec->hosts;
		return spec->host_count;
	default:
		return 0;
	}
}

static void load_end(struct load *load)
{
	free(load->slots);
	free(load->names);
	free(load->records);
	free(load->limits);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		free(load->lists[i].them);
		free(load->lists[i].of);
		free(load->lists[i].owners);
	}
}

static int list_begin(const struct load *load, enum tps_identity identity, struct list *list)
{
	const void *them;
	size_t count = 0;

	for (size_t i = 0; i < load->count; i++)
		count += spec_list(&load->specs[i], identity, &them);
	list->kind = &tps_kinds[identity];
	list->them = calloc(count + 1, sizeof(*list->them));
	list->of = calloc(count + 1, sizeof(*list->of));
	list->owners = calloc(count + 1, sizeof(*list->owners));
	if (!list->them || !list->of || !list->owners)
		return -ENOMEM;
	for (size_t i = 0; i < load->count; i++) {
		size_t of_spec = spec_list(&load->specs[i], identity, &them);

		for (size_t j = 0; j < of_spec; j++, list->count++) {
			list->them[list->count] = (const char *)them + j * list->kind->size;
			list->of[list->count] = i;
		}
	}
	return 0;
}

static int load_begin(const struct tps_caller_spec *specs, size_t count, struct load *load)
{
	int err = 0;

	load->specs = specs;
	load->count = count;
	load->slots = calloc(count + 1, sizeof(*load->slots));
	load->names = calloc(count + 1, sizeof(*load->names));
	load->records = calloc(count + 1, sizeof(*load->records));
	load->limits = calloc(count + 1, sizeof(*load->limits));
	if (!load->slots || !load->names || !load->records || !load->limits)
		return -ENOMEM;
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++)
		err = list_begin(load, i, &load->lists[i]);
	return err;
}

/* ---- checks */

static int spec_check(const struct tps_gate *gate, const struct tps_caller_spec *spec, __u32 cost,
		      struct tps_caller *ret_record, struct tps_limit *ret_limit,
		      struct tps_why *why)
{
	struct tps_caller record = {.rate = spec->rate, .burst = spec->burst, .tier = spec->tier};
	__u64 own = 0;
	int err = tps_name_check("caller", spec->name, TPS_NAME_LEN, why);

	if (err)
		return err;
	if (spec->tier >= TPS_TIERS_MAX || !gate->tiers[spec->tier].limit)
		return tps_why_say(why, -ENOENT, "caller '%s': no tier of number %u", spec->name,
				   spec->tier);
	if (spec->burst && !spec->rate.period_s)
		return tps_why_say(why, -EINVAL,
				   "caller '%s': a burst of its own needs a rate of its own",
				   spec->name);
	if (spec->rate.period_s)
		err = tps_rate_limit(&spec->rate, spec->burst, &own, why);
	if (err)
		return err;
	if (own && limit_burst(own) < cost)
		return tps_why_say(why, -ERANGE,
				   "caller '%s': burst '%u' is below the cost of a listener's "
				   "transaction, %u: none would ever pass",
				   spec->name, limit_burst(own), cost);
	record.flags = spec->exempt ? TPS_LIMIT_EXEMPT : 0;
	*ret_record = record;
	*ret_limit = (struct tps_limit){.own = own,
					.tier = record.tier,
					.flags = record.flags,
					.policy = tps_rate_policy(&record.rate)};
	return 0;
}

static int specs_check(const struct tps_gate *gate, struct load *load, struct tps_why *why)
{
	__u32 cost = tps_cost_max(gate);

	for (size_t i = 0; i < load->count; i++) {
		const struct tps_caller_spec *spec = &load->specs[i];
		int err = spec_check(gate, spec, cost, &load->records[i], &load->limits[i], why);

		if (err)
			return err;
		strcpy(load->names[i].name, spec->name);
	}
	return 0;
}

static const char *spec_name(const struct load *load, const struct list *list, size_t at)
{
	return load->specs[list->of[at]].name;
}

static int names_check(const struct load *load, struct tps_why *why)
{
	_cleanup_free_ const void **names = calloc(load->count + 1, sizeof(*names));
	size_t first, second;
	int err;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < load->count; i++)
		names[i] = &load->names[i];
	err = tps_double_find(names, sizeof(*load->names), load->count, &first, &second);
	if (!err)
		return tps_why_say(why, -EEXIST, "caller '%s': given twice",
				   load->names[first].name);
	return err == -ENOENT ? 0 : err;
}

/* Nothing twice among what is to be loaded. */
static int doubles_check(const struct tps_gate *gate, const struct load *load, struct tps_why *why)
{
	char text[TPS_IDENTITY_TEXT];
	size_t first, second;
	int err = names_check(load, why);

	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++) {
		const struct list *list = &load->lists[i];
		const struct tps_kind *kind = list->kind;

		err = tps_double_find(list->them, kind->size, list->count, &first, &second);
		if (!err)
			return tps_why_say(why, -EEXIST, "%s '%s': given to '%s' and to '%s'",
					   kind->noun, kind->print(gate, list->them[first], text),
					   spec_name(load, list, first),
					   spec_name(load, list, second));
		err = err == -ENOENT ? 0 : err;
	}
	return err;
}

static int taken(const struct tps_gate *gate, const struct load *load, const struct list *list,
		 size_t at, struct tps_slot owner, struct tps_why *why)
{
	char text[TPS_IDENTITY_TEXT], other[TPS_NAME_LEN];

	tps_caller_name(gate, owner, other);
	return tps_why_say(why, -EEXIST, "caller '%s': %s '%s' is of caller '%s'",
			   spec_name(load, list, at), list->kind->noun,
			   list->kind->print(gate, list->them[at], text), other);
}

/* Nothing that is there already, names and identities one by one: only where there is any. */
static int others_check(const struct tps_gate *gate, const struct load *load, struct tps_why *why)
{
	struct tps_caller_key first;
	struct tps_caller_entry entry;
	struct tps_slot owner;

	if (bpf_map_get_next_key(gate->map_fd[TPS_MAP_callers], NULL, &first))
		return 0;
	for (size_t i = 0; i < load->count; i++) {
		if (!tps_caller_find(gate, load->names[i].name, &entry))
			return tps_why_say(why, -EEXIST, "caller '%s': it is there already",
					   load->names[i].name);
	}
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		const struct list *list = &load->lists[i];

		for (size_t j = 0; list->kind->owner && j < list->count; j++) {
			if (!list->kind->owner(gate, list->them[j], &owner))
				return taken(gate, load, list, j, owner, why);
		}
	}
	return 0;
}

/* Nothing that is another's source. What is of tenants that have gone is removed first. */
static int sources_check(struct tps_gate *gate, struct load *load, struct tps_why *why)
{
	const struct list *list = &load->lists[TPS_IDENTITY_SOURCE];
	_cleanup_identities_ struct tps_identities there = {};
	_cleanup_free_ const void **both = NULL;
	const struct tps_prefix *prefix;
	size_t first, second, live = 0;
	int err = tps_sources_dump(gate, &there);

	if (err)
		return err;
	both = calloc(there.count + list->count + 1, sizeof(*both));
	if (!both)
		return -ENOMEM;
	prefix = there.all;
	for (size_t i = 0; i < there.count; i++) {
		if (!tps_slot_is_live(gate, there.owners[i])) {
			tps_source_remove(gate, &prefix[i]);
			continue;
		}
		tps_source_count(&load->counts, &prefix[i], 1);
		there.owners[live] = there.owners[i];
		both[live++] = &prefix[i];
	}
	memcpy(both + live, list->them, list->count * sizeof(*both));
	err = tps_double_find(both, list->kind->size, live + list->count, &first, &second);
	if (!err)
		return taken(gate, load, list, second - live, there.owners[first], why);
	return err == -ENOENT ? 0 : err;
}

/* How many entries @map has. */
static int entries_count(const struct tps_gate *gate, const struct load *load, enum tps_map map,
			 __u32 *ret_count)
{
	switch (map) {
	case TPS_MAP_sources4:
		*ret_count = load->counts.sources4;
		return 0;
	case TPS_MAP_sources6:
		*ret_count = load->counts.sources6;
		return 0;
	default:
		return tps_dump_count(gate->map_fd[map], ret_count);
	}
}

static int rooms_check(struct tps_gate *gate, const struct load *load, struct tps_why *why)
{
	size_t wanted[TPS_MAP_MAX] = {[TPS_MAP_callers] = load->count};
	int err = tps_callers_sweep(gate);

	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		for (size_t j = 0; j < load->lists[i].count; j++)
			wanted[load->lists[i].kind->map(load->lists[i].them[j])]++;
	}
	for (int map = 0; map < TPS_MAP_MAX && !err; map++) {
		__u32 there = 0;

		if (wanted[map])
			err = entries_count(gate, load, map, &there);
		if (!err && there + wanted[map] > gate->capacity[map])
			return tps_why_say(why, -ENOSPC,
					   "the map '%s' has room for %u of %zu more; attach "
					   "--capacity sets it",
					   tps_map_name(map), gate->capacity[map] - there,
					   wanted[map]);
	}
	return err;
}

/* ---- writing */

static void owners_fill(struct load *load)
{
	const struct list *sources = &load->lists[TPS_IDENTITY_SOURCE];

	for (size_t i = 0; i < load->count; i++) {
		load->records[i].slot = load->slots[i].slot;
		load->records[i].generation = load->slots[i].generation;
	}
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		for (size_t j = 0; j < load->lists[i].count; j++)
			load->lists[i].owners[j] = load->slots[load->lists[i].of[j]];
	}
	for (size_t i = 0; i < sources->count; i++)
		tps_source_count(&load->counts, sources->them[i], 1);
}

static void undo(struct tps_gate *gate, const struct load *load)
{
	const struct list *sources = &load->lists[TPS_IDENTITY_SOURCE];
	struct tps_source_counts counts = load->counts;

	for (size_t i = 0; i < load->count; i++) {
		tps_slot_free(gate, load->slots[i]);
		bpf_map_delete_elem(gate->map_fd[TPS_MAP_callers], &load->names[i]);
	}
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		const struct list *list = &load->lists[i];

		for (size_t j = 0; j < list->count; j++)
			list->kind->remove(gate, list->them[j]);
	}
	for (size_t i = 0; i < sources->count; i++)
		tps_source_count(&counts, sources->them[i], -1);
	tps_source_counts_set(gate, &counts);
	tps_hosts_sweep(gate);
}

static int load_write(struct tps_gate *gate, struct load *load)
{
	int err = tps_slots_find(gate, load->count, load->slots);

	if (err)
		return err;
	owners_fill(load);
	for (size_t i = 0; i < load->count; i++)
		tps_slot_put(gate, load->slots[i], &load->limits[i]);
	err = tps_dump_write(gate->map_fd[TPS_MAP_callers], load->names, load->records,
			     load->count);
	tps_source_counts_raise(gate, &load->counts);
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++) {
		const struct list *list = &load->lists[i];

		err = list->kind->put_all(gate, list->them, list->owners, list->count);
	}
	if (err)
		undo(gate, load);
	else
		tps_source_counts_set(gate, &load->counts);
	return err;
}

int tps_callers_load(struct tps_gate *gate, const struct tps_caller_spec *specs, size_t count,
		     struct tps_why *why)
{
	_cleanup_(load_end) struct load load = {};
	int err = load_begin(specs, count, &load);

	if (!err)
		err = specs_check(gate, &load, why);
	if (!err)
		err = doubles_check(gate, &load, why);
	if (!err)
		err = others_check(gate, &load, why);
	if (!err)
		err = sources_check(gate, &load, why);
	if (!err)
		err = rooms_check(gate, &load, why);
	if (!err)
		err = load_write(gate, &load);
	return err ? tps_why_say(why, err, "callers cannot be loaded: %s", strerror(-err)) : 0;
}
