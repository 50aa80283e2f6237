// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums per-CPU values and counts entries. Reads only.
 */
#include "counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "dump.h"
#include "whose.h"

#define SLOTS_A_BATCH 4096

/* Add the per-CPU values at @from, @words 64-bit words each, to @to. */
static void words_add(__u64 *to, const __u64 *from, size_t words, int cpus)
{
	for (int cpu = 0; cpu < cpus; cpu++) {
		for (size_t i = 0; i < words; i++)
			to[i] += from[cpu * words + i];
	}
}

int tps_totals_read(const struct tps_gate *gate, struct tps_totals ret_totals[TPS_LISTENERS_MAX])
{
	size_t words = sizeof(struct tps_totals) / sizeof(__u64);
	_cleanup_free_ __u64 *sums = calloc(TPS_LISTENERS_MAX, sizeof(struct tps_totals));
	_cleanup_free_ __u64 *values = calloc(gate->cpus, sizeof(struct tps_totals));

	if (!sums || !values)
		return -ENOMEM;
	for (__u32 i = 0; i < TPS_LISTENERS_MAX; i++) {
		int err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_totals], &i, values);

		if (err)
			return err;
		words_add(sums + i * words, values, words, gate->cpus);
	}
	memcpy(ret_totals, sums, TPS_LISTENERS_MAX * sizeof(struct tps_totals));
	return 0;
}

int tps_counter_read(const struct tps_gate *gate, __u32 slot, struct tps_counter *ret_counter)
{
	size_t words = sizeof(struct tps_counter) / sizeof(__u64);
	_cleanup_free_ __u64 *values = calloc(gate->cpus, sizeof(struct tps_counter));
	__u64 sum[sizeof(struct tps_counter) / sizeof(__u64)] = {};
	int err;

	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_counters], &slot, values);
	if (err)
		return err;
	words_add(sum, values, words, gate->cpus);
	memcpy(ret_counter, sum, sizeof(*ret_counter));
	return 0;
}

int tps_counters_read(const struct tps_gate *gate, struct tps_counter **ret_counters)
{
	size_t words = sizeof(struct tps_counter) / sizeof(__u64);
	__u32 slots = gate->capacity[TPS_MAP_counters], done = 0, position, next;
	_cleanup_free_ __u64 *sums = calloc(slots, sizeof(struct tps_counter));
	_cleanup_free_ __u64 *values =
		calloc((size_t)SLOTS_A_BATCH * gate->cpus, sizeof(struct tps_counter));
	_cleanup_free_ __u32 *keys = calloc(SLOTS_A_BATCH, sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, options);

	if (!sums || !values || !keys)
		return -ENOMEM;
	while (done < slots) {
		__u32 count = SLOTS_A_BATCH;
		int err = bpf_map_lookup_batch(gate->map_fd[TPS_MAP_counters],
					       done ? &position : NULL, &next, keys, values, &count,
					       &options);

		if (err && err != -ENOENT)
			return err;
		for (__u32 i = 0; i < count; i++)
			words_add(sums + keys[i] * words, values + i * words * gate->cpus, words,
				  gate->cpus);
		done += count;
		position = next;
		if (err == -ENOENT)
			break;
	}
	*ret_counters = (struct tps_counter *)TAKE_PTR(sums);
	return 0;
}

int tps_account_read(const struct tps_gate *gate, __u32 slot, struct tps_account *ret_account)
{
	return bpf_map_lookup_elem(gate->map_fd[TPS_MAP_buckets], &slot, ret_account);
}

int tps_strangers_read(const struct tps_gate *gate, struct tps_stranger_entry **ret_strangers,
		       size_t *ret_count)
{
	_cleanup_free_ void *keys = NULL, *values = NULL;
	_cleanup_free_ struct tps_stranger_entry *entries = NULL;
	size_t all, count = 0;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_strangers], &keys, &values, &all);

	if (err)
		return err;
	entries = calloc(all ? all : 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < all; i++) {
		const struct tps_stranger *stranger = (struct tps_stranger *)values + i;

		if (stranger->caller.generation)
			continue;
		entries[count].address = tps_address_prefix((struct tps_address *)keys + i);
		entries[count++].stranger = *stranger;
	}
	*ret_strangers = TAKE_PTR(entries);
	*ret_count = count;
	return 0;
}

static __u32 slots_taken(const struct tps_gate *gate)
{
	__u32 taken = 0;

	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_limits]; slot++)
		taken += gate->limits[slot].generation != 0;
	return taken;
}

static __u32 ports_taken(const struct tps_gate *gate)
{
	__u32 taken = 0;

	for (__u32 i = 0; i < TPS_PORTS_MAX; i++)
		taken += gate->ports[i].listener != 0;
	return taken;
}

static __u32 listeners_taken(const struct tps_gate *gate)
{
	__u32 taken = 0;

	for (int i = 1; i < TPS_LISTENERS_MAX; i++)
		taken += gate->listeners[i].protocol != TPS_PROTOCOL_NONE;
	return taken;
}

static __u32 tiers_taken(const struct tps_gate *gate)
{
	__u32 taken = 0;

	for (int i = 0; i < TPS_TIERS_MAX; i++)
		taken += gate->tiers[i].limit != 0;
	return taken;
}

int tps_map_entries(const struct tps_gate *gate, enum tps_map map, __u32 *ret_entries)
{
	switch (map) {
	case TPS_MAP_meta:
	case TPS_MAP_control:
	case TPS_MAP_events:
		*ret_entries = 1;
		return 0;
	case TPS_MAP_ports:
		*ret_entries = ports_taken(gate);
		return 0;
	case TPS_MAP_listeners:
	case TPS_MAP_listener_buckets:
	case TPS_MAP_totals:
		*ret_entries = listeners_taken(gate);
		return 0;
	case TPS_MAP_tiers:
		*ret_entries = tiers_taken(gate);
		return 0;
	case TPS_MAP_limits:
	case TPS_MAP_buckets:
	case TPS_MAP_counters:
		*ret_entries = slots_taken(gate);
		return 0;
	default:
		return tps_dump_count(gate->map_fd[map], ret_entries);
	}
}
