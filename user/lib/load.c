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
#include "identity.h"
#include "secret.h"
#include "slot.h"
#include "tier.h"

struct load {
	const struct tps_caller_spec *specs;
	size_t count;
	struct tps_slot *slots;
	struct tps_caller_key *names;
	struct tps_caller *records;
	struct tps_limit *limits;
	/* identities of all of them, and whose, by place in specs */
	struct tps_prefix *sources;
	struct tps_key *keys;
	__u32 *source_spec, *key_spec;
	struct tps_slot *source_owners, *key_owners;
	size_t source_count, key_count;
	struct tps_sources there; /* sources of others */
	struct tps_source_counts counts;
};

static void load_end(struct load *load)
{
	free(load->slots);
	free(load->names);
	free(load->records);
	free(load->limits);
	free(load->sources);
	free(load->keys);
	free(load->source_spec);
	free(load->key_spec);
	free(load->source_owners);
	free(load->key_owners);
	tps_sources_free(&load->there);
}

static int load_begin(const struct tps_caller_spec *specs, size_t count, struct load *load)
{
	load->specs = specs;
	load->count = count;
	for (size_t i = 0; i < count; i++) {
		load->source_count += specs[i].source_count;
		load->key_count += specs[i].key_count;
	}
	load->slots = calloc(count + 1, sizeof(*load->slots));
	load->names = calloc(count + 1, sizeof(*load->names));
	load->records = calloc(count + 1, sizeof(*load->records));
	load->limits = calloc(count + 1, sizeof(*load->limits));
	load->sources = calloc(load->source_count + 1, sizeof(*load->sources));
	load->source_spec = calloc(load->source_count + 1, sizeof(*load->source_spec));
	load->source_owners = calloc(load->source_count + 1, sizeof(*load->source_owners));
	load->keys = calloc(load->key_count + 1, sizeof(*load->keys));
	load->key_spec = calloc(load->key_count + 1, sizeof(*load->key_spec));
	load->key_owners = calloc(load->key_count + 1, sizeof(*load->key_owners));
	if (!load->slots || !load->names || !load->records || !load->limits || !load->sources ||
	    !load->source_spec || !load->source_owners || !load->keys || !load->key_spec ||
	    !load->key_owners)
		return -ENOMEM;
	return 0;
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
	size_t source = 0, key = 0;

	for (size_t i = 0; i < load->count; i++) {
		const struct tps_caller_spec *spec = &load->specs[i];
		int err = spec_check(gate, spec, cost, &load->records[i], &load->limits[i], why);

		if (err)
			return err;
		strcpy(load->names[i].name, spec->name);
		for (size_t j = 0; j < spec->source_count; j++, source++) {
			load->sources[source] = spec->sources[j];
			load->source_spec[source] = i;
		}
		for (size_t j = 0; j < spec->key_count; j++, key++) {
			load->keys[key] = spec->keys[j];
			load->key_spec[key] = i;
		}
	}
	return 0;
}

static const char *spec_name(const struct load *load, const __u32 *of, size_t at)
{
	return load->specs[of[at]].name;
}

/* Nothing twice among what is to be loaded. */
static int doubles_check(const struct load *load, struct tps_why *why)
{
	char text[TPS_PREFIX_TEXT];
	size_t first, second;
	int err;

	err = tps_double_find(load->names, sizeof(*load->names), load->count, &first, &second);
	if (!err)
		return tps_why_say(why, -EEXIST, "caller '%s': given twice",
				   load->names[first].name);
	if (err == -ENOENT)
		err = tps_double_find(load->sources, sizeof(*load->sources), load->source_count,
				      &first, &second);
	if (!err)
		return tps_why_say(why, -EEXIST, "source '%s': given to '%s' and to '%s'",
				   tps_prefix_print(&load->sources[first], text),
				   spec_name(load, load->source_spec, first),
				   spec_name(load, load->source_spec, second));
	if (err == -ENOENT)
		err = tps_double_find(load->keys, sizeof(*load->keys), load->key_count, &first,
				      &second);
	if (!err)
		return tps_why_say(why, -EEXIST, "a key is given to '%s' and to '%s'",
				   spec_name(load, load->key_spec, first),
				   spec_name(load, load->key_spec, second));
	return err == -ENOENT ? 0 : err;
}

/* Nothing that is there already, names and keys one by one: only where there is any. */
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
	for (size_t i = 0; i < load->key_count; i++) {
		if (!tps_key_owner(gate, &load->keys[i], &owner))
			return tps_why_say(why, -EEXIST, "caller '%s': a key of it is another's",
					   spec_name(load, load->key_spec, i));
	}
	return 0;
}

/* Nothing that is another's source. What is of tenants that have gone is removed first. */
static int sources_check(struct tps_gate *gate, struct load *load, struct tps_why *why)
{
	_cleanup_free_ struct tps_prefix *both = NULL;
	char text[TPS_PREFIX_TEXT];
	size_t first, second, live = 0;
	int err = tps_sources_dump(gate, &load->there);

	if (err)
		return err;
	both = calloc(load->there.count + load->source_count + 1, sizeof(*both));
	if (!both)
		return -ENOMEM;
	for (size_t i = 0; i < load->there.count; i++) {
		if (!tps_slot_is_live(gate, load->there.owners[i])) {
			tps_source_remove(gate, &load->there.prefixes[i]);
			continue;
		}
		tps_source_count(&load->counts, &load->there.prefixes[i], 1);
		both[live++] = load->there.prefixes[i];
	}
	memcpy(both + live, load->sources, load->source_count * sizeof(*both));
	err = tps_double_find(both, sizeof(*both), live + load->source_count, &first, &second);
	if (!err)
		return tps_why_say(why, -EEXIST, "caller '%s': source '%s' is another caller's",
				   spec_name(load, load->source_spec, second - live),
				   tps_prefix_print(&both[second], text));
	return err == -ENOENT ? 0 : err;
}

static int room_check(const struct tps_gate *gate, enum tps_map map, size_t there, size_t wanted,
		      struct tps_why *why)
{
	if (there + wanted <= gate->capacity[map])
		return 0;
	return tps_why_say(why, -ENOSPC,
			   "the map '%s' has room for %zu of %zu more; attach --capacity sets it",
			   tps_map_name(map), gate->capacity[map] - there, wanted);
}

static int rooms_check(struct tps_gate *gate, const struct load *load, struct tps_why *why)
{
	size_t wanted4 = 0;
	__u32 callers, keys;
	int err;

	for (size_t i = 0; i < load->source_count; i++)
		wanted4 += load->sources[i].family == 4;
	err = tps_callers_sweep(gate);
	if (!err)
		err = tps_dump_count(gate->map_fd[TPS_MAP_callers], &callers);
	if (!err)
		err = tps_dump_count(gate->map_fd[TPS_MAP_keys], &keys);
	if (!err)
		err = room_check(gate, TPS_MAP_callers, callers, load->count, why);
	if (!err)
		err = room_check(gate, TPS_MAP_keys, keys, load->key_count, why);
	if (!err)
		err = room_check(gate, TPS_MAP_sources4, load->counts.sources4, wanted4, why);
	if (!err)
		err = room_check(gate, TPS_MAP_sources6, load->counts.sources6,
				 load->source_count - wanted4, why);
	return err;
}

/* ---- writing */

static void owners_fill(struct load *load)
{
	for (size_t i = 0; i < load->count; i++) {
		load->records[i].slot = load->slots[i].slot;
		load->records[i].generation = load->slots[i].generation;
	}
	for (size_t i = 0; i < load->source_count; i++) {
		load->source_owners[i] = load->slots[load->source_spec[i]];
		tps_source_count(&load->counts, &load->sources[i], 1);
	}
	for (size_t i = 0; i < load->key_count; i++)
		load->key_owners[i] = load->slots[load->key_spec[i]];
}

static void undo(struct tps_gate *gate, const struct load *load)
{
	struct tps_source_counts counts = load->counts;

	for (size_t i = 0; i < load->count; i++) {
		tps_slot_free(gate, load->slots[i]);
		bpf_map_delete_elem(gate->map_fd[TPS_MAP_callers], &load->names[i]);
	}
	for (size_t i = 0; i < load->key_count; i++)
		tps_key_remove(gate, &load->keys[i]);
	for (size_t i = 0; i < load->source_count; i++) {
		tps_source_remove(gate, &load->sources[i]);
		tps_source_count(&counts, &load->sources[i], -1);
	}
	tps_source_counts_set(gate, &counts);
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
	if (!err) {
		tps_source_counts_raise(gate, &load->counts);
		err = tps_sources_put(gate, load->sources, load->source_owners, load->source_count);
	}
	if (!err)
		err = tps_dump_write(gate->map_fd[TPS_MAP_keys], load->keys, load->key_owners,
				     load->key_count);
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
		err = doubles_check(&load, why);
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
