// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps to numbers. Takes no lock: the settings are single words that are old or new, and a scrape
 * must not make a writer wait. What it remembers between scrapes (who is named, what was last
 * counted) only keeps series steady: it is made again from the maps after a restart.
 */
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tps/bucket.h>

#include "ban.h"
#include "caller.h"
#include "cleanup.h"
#include "counts.h"
#include "gate.h"
#include "hold.h"
#include "ledger.h"
#include "text.h"

/* What a slot had counted at the last scrape. */
struct seen {
	__u32 generation;
	bool named; /* has series of its own, so is not part of the others */
	__u64 verdicts[TPS_VERDICT_MAX];
};

struct metrics_reader {
	const struct hold *hold;
	__u32 reopened; /* hold->reopened that the rest belongs to */
	size_t callers_max;
	struct tps_caller_key *named; /* up to callers_max, by name */
	size_t named_count;
	size_t taken;      /* slots in use */
	__u64 fingerprint; /* of which slots they are, and whose */
	struct seen *seen; /* by slot */
	struct tps_totals totals_seen[TPS_LISTENERS_MAX];
	struct metrics metrics;
};

void metrics_close(struct metrics_reader *reader)
{
	if (!reader)
		return;
	free(reader->seen);
	free(reader->named);
	free(reader->metrics.callers);
	free(reader);
}

TPS_DEFINE_CLEANUP(struct metrics_reader *, metrics_close)

/* Begin with the gate that is held now. Of a former one nothing is remembered: the counters of this
 * one began at zero, and so do the sums. */
static int forget(struct metrics_reader *reader)
{
	struct metrics *m = &reader->metrics;
	struct seen *seen;

	seen = calloc(reader->hold->gate->capacity[TPS_MAP_counters], sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	free(reader->seen);
	reader->seen = seen;
	reader->named_count = 0;
	reader->fingerprint = 0;
	memset(reader->totals_seen, 0, sizeof(reader->totals_seen));
	memset(&m->all, 0, sizeof(m->all));
	memset(m->other, 0, sizeof(m->other));
	reader->reopened = reader->hold->reopened;
	return 0;
}

int metrics_open(const struct hold *hold, size_t callers_max, struct metrics_reader **ret_reader)
{
	_cleanup_(metrics_close_at_end) struct metrics_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	/* One more than asked for, so that 0 is no special case. */
	reader->named = calloc(callers_max + 1, sizeof(*reader->named));
	reader->metrics.callers = calloc(callers_max + 1, sizeof(*reader->metrics.callers));
	reader->hold = hold;
	reader->callers_max = callers_max;
	if (!reader->named || !reader->metrics.callers || forget(reader))
		return -ENOMEM;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

/* Which slots are taken, by which tenants: two words that say whether the names must be read again.
 * A generation is never used twice, so a sum that mixes slot and generation tells sets apart. */
static __u64 slots_fingerprint(const struct tps_gate *gate, size_t *ret_taken)
{
	__u64 sum = 0;
	size_t taken = 0;

	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_limits]; slot++) {
		__u64 generation = *(volatile __u32 *)&gate->limits[slot].generation;

		if (!generation)
			continue;
		taken++;
		/* 2^64 / golden ratio: neighbouring pairs end far apart. */
		sum += ((__u64)slot << 32 | generation) * 0x9e3779b97f4a7c15ULL;
	}
	*ret_taken = taken;
	return sum;
}

/* Choose who is named: the first by name. */
static int names_read(struct metrics_reader *reader)
{
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	const struct tps_gate *gate = reader->hold->gate;
	size_t count;
	int err;

	err = tps_callers_read(gate, &callers, &count);
	if (err)
		return err;
	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_counters]; slot++)
		reader->seen[slot].named = false;
	reader->named_count = count < reader->callers_max ? count : reader->callers_max;
	for (size_t i = 0; i < reader->named_count; i++) {
		memcpy(reader->named[i].name, callers[i].name, TPS_NAME_LEN);
		reader->seen[callers[i].record.slot].named = true;
	}
	return 0;
}

static int names_look(struct metrics_reader *reader)
{
	__u64 fingerprint = slots_fingerprint(reader->hold->gate, &reader->taken);
	int err;

	if (fingerprint == reader->fingerprint)
		return 0;
	err = names_read(reader);
	if (err)
		return err;
	reader->fingerprint = fingerprint;
	return 0;
}

/* The rate that holds for a caller: its own or its tier's, in transactions a second. */
static double caller_per_sec(const struct tps_gate *gate, const struct tps_caller *record)
{
	const struct tps_rate *rate = &record->rate;

	if (!rate->period_s && record->tier < TPS_TIERS_MAX)
		rate = &gate->tiers[record->tier].rate;
	return rate->period_s ? tps_rate_per_sec(rate) : 0;
}

/* What the slot had counted, as far as it was this tenant. */
static struct seen *slot_seen(struct metrics_reader *reader, __u32 slot, __u32 generation)
{
	struct seen *seen = &reader->seen[slot];

	if (seen->generation != generation)
		memset(seen->verdicts, 0, sizeof(seen->verdicts));
	seen->generation = generation;
	return seen;
}

static int caller_read(struct metrics_reader *reader, const char *name, struct metrics_caller *ret)
{
	const struct tps_gate *gate = reader->hold->gate;
	struct tps_caller_entry entry;
	struct tps_counter counter;
	int err;

	err = tps_caller_find(gate, name, &entry);
	if (err)
		return err;
	err = tps_counter_read(gate, entry.record.slot, &counter);
	if (err)
		return err;
	memcpy(ret->name, entry.name, TPS_NAME_LEN);
	ret->exempt = entry.limit.flags & TPS_LIMIT_EXEMPT;
	ret->per_sec = caller_per_sec(gate, &entry.record);
	ret->burst = limit_burst(tps_caller_limit(gate, &entry.limit));
	ret->banned = entry.limit.banned_until_ns > tps_now_ns();
	memcpy(ret->verdicts, counter.verdicts, sizeof(ret->verdicts));
	memcpy(slot_seen(reader, entry.record.slot, entry.record.generation)->verdicts,
	       counter.verdicts, sizeof(counter.verdicts));
	return 0;
}

/* Callers that went between two looks are left out. */
static int named_read(struct metrics_reader *reader)
{
	struct metrics *m = &reader->metrics;
	int err;

	m->callers_count = 0;
	for (size_t i = 0; i < reader->named_count; i++) {
		err = caller_read(reader, reader->named[i].name, &m->callers[m->callers_count]);
		if (err && err != -ENOENT)
			return err;
		m->callers_count += !err;
	}
	return 0;
}

/* The sum of all that have no series of their own. */
static int others_read(struct metrics_reader *reader)
{
	const struct tps_gate *gate = reader->hold->gate;
	_cleanup_free_ struct tps_counter *counters = NULL;
	struct metrics *m = &reader->metrics;
	int err;

	m->others = reader->taken > reader->named_count;
	if (!m->others)
		return 0;
	err = tps_counters_read(gate, &counters);
	if (err)
		return err;
	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_counters]; slot++) {
		__u32 generation = *(volatile __u32 *)&gate->limits[slot].generation;
		struct seen *seen;

		if (!generation || reader->seen[slot].named)
			continue;
		seen = slot_seen(reader, slot, generation);
		ledger_add(m->other, seen->verdicts, counters[slot].verdicts, TPS_VERDICT_MAX);
	}
	return 0;
}

static int callers_read(struct metrics_reader *reader)
{
	struct tps_counter strangers;
	int err;

	err = names_look(reader);
	if (!err)
		err = named_read(reader);
	if (!err)
		err = others_read(reader);
	if (!err)
		err = tps_counter_read(reader->hold->gate, TPS_SLOT_STRANGERS, &strangers);
	if (!err)
		memcpy(reader->metrics.stranger, strangers.verdicts, sizeof(strangers.verdicts));
	return err;
}

static int totals_read(struct metrics_reader *reader)
{
	struct metrics *m = &reader->metrics;
	int err;

	err = tps_totals_read(reader->hold->gate, m->totals);
	if (err)
		return err;
	for (int i = 0; i < TPS_LISTENERS_MAX; i++)
		ledger_add((__u64 *)&m->all, (__u64 *)&reader->totals_seen[i],
			   (const __u64 *)&m->totals[i], sizeof(m->all) / sizeof(__u64));
	return 0;
}

/* Maps of one entry, and those that are as long as a list whatever is in them, have no occupancy.
 */
static bool has_occupancy(enum tps_map map)
{
	return map != TPS_MAP_meta && map != TPS_MAP_control && map != TPS_MAP_totals &&
	       map != TPS_MAP_listener_buckets && map != TPS_MAP_events;
}

/* Where a setting tells the number, no map is walked for it: a prefix trie of 65000 entries would
 * take longer than all else. */
static int entries_read(const struct metrics_reader *reader, enum tps_map map, __u32 *ret_entries)
{
	const struct tps_gate *gate = reader->hold->gate;

	switch (map) {
	case TPS_MAP_callers:
	case TPS_MAP_limits:
	case TPS_MAP_buckets:
	case TPS_MAP_counters:
		*ret_entries = reader->taken;
		return 0;
	case TPS_MAP_sources4:
		*ret_entries = gate->control->sources4;
		return 0;
	case TPS_MAP_sources6:
		*ret_entries = gate->control->sources6;
		return 0;
	default:
		return tps_map_entries(gate, map, ret_entries);
	}
}

static int maps_read(struct metrics_reader *reader)
{
	struct metrics *m = &reader->metrics;
	int err;

	m->maps_count = 0;
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 entries;

		if (!has_occupancy(map))
			continue;
		err = entries_read(reader, map, &entries);
		if (err)
			return err;
		m->maps[m->maps_count++] = (struct metrics_map){
			.name = tps_map_name(map),
			.entries = entries,
			.capacity = reader->hold->gate->capacity[map],
		};
	}
	return 0;
}

/* The settings are mapped. A name that is read while it is written still ends. */
static void settings_read(struct metrics_reader *reader)
{
	const struct tps_gate *gate = reader->hold->gate;
	struct metrics *m = &reader->metrics;

	m->control = *gate->control;
	m->events_lost = *(const volatile __u64 *)&gate->events->lost;
	memcpy(m->listeners, gate->listeners, sizeof(m->listeners));
	for (int i = 0; i < TPS_LISTENERS_MAX; i++)
		m->listeners[i].name[TPS_NAME_LEN - 1] = 0;
	memcpy(m->tiers, gate->tiers, sizeof(m->tiers));
	for (int i = 0; i < TPS_TIERS_MAX; i++)
		m->tiers[i].name[TPS_TIER_NAME_LEN - 1] = 0;
}

static void devices_read(struct metrics_reader *reader)
{
	const struct hold *hold = reader->hold;
	struct metrics *m = &reader->metrics;

	m->devices_count = hold->devices_count;
	for (size_t i = 0; i < hold->devices_count; i++) {
		memcpy(m->devices[i].label, hold->devices[i].label, HOLD_LABEL);
		m->devices[i].mode = hold->devices[i].mode;
		m->devices[i].attached = hold->devices[i].attached;
	}
}

int metrics_read(struct metrics_reader *reader, const struct metrics **ret_metrics)
{
	int err = 0;

	if (reader->reopened != reader->hold->reopened)
		err = forget(reader);
	if (err)
		return err;
	settings_read(reader);
	devices_read(reader);
	err = totals_read(reader);
	if (!err)
		err = callers_read(reader);
	if (!err)
		err = maps_read(reader);
	if (!err)
		*ret_metrics = &reader->metrics;
	return err;
}
