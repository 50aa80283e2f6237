// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots. A slot is taken when limits[slot].generation is not zero; everything that refers to it
 * holds its generation, so that clearing this one number cuts all references at once.
 */
#include "slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "dump.h"
#include "grace.h"

#define RESET_BATCH 16384

bool tps_slot_is_live(const struct tps_gate *gate, struct tps_slot slot)
{
	return slot.generation && slot.slot < gate->capacity[TPS_MAP_limits] &&
	       gate->limits[slot.slot].generation == slot.generation;
}

/* Free every slot that no name leads to: what killed commands left. */
static int sweep(struct tps_gate *gate)
{
	__u32 slots = gate->capacity[TPS_MAP_limits];
	_cleanup_free_ bool *is_named = calloc(slots, sizeof(*is_named));
	_cleanup_free_ void *names = NULL, *values = NULL;
	size_t count;
	int err;

	if (!is_named)
		return -ENOMEM;
	err = tps_dump_read(gate->map_fd[TPS_MAP_callers], &names, &values, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		const struct tps_caller *caller = (struct tps_caller *)values + i;
		struct tps_slot slot = {caller->slot, caller->generation};

		if (tps_slot_is_live(gate, slot))
			is_named[slot.slot] = true;
	}
	for (__u32 slot = 1; slot < slots; slot++) {
		if (gate->limits[slot].generation && !is_named[slot])
			tps_slot_free(gate, (struct tps_slot){slot, gate->limits[slot].generation});
	}
	return 0;
}

/* Free slots from @from on; how many were found. */
static size_t free_collect(const struct tps_gate *gate, __u32 from, size_t count,
			   struct tps_slot *ret_slots)
{
	size_t found = 0;

	for (__u32 slot = from; slot < gate->capacity[TPS_MAP_limits] && found < count; slot++) {
		if (!gate->limits[slot].generation)
			ret_slots[found++].slot = slot;
	}
	return found;
}

/* Zero buckets and counters. Whoever saw an earlier tenant there must have ended before. */
static int slots_reset(const struct tps_gate *gate, const struct tps_slot *slots, size_t count)
{
	size_t batch = count < RESET_BATCH ? count : RESET_BATCH;
	_cleanup_free_ __u32 *keys = calloc(batch, sizeof(*keys));
	_cleanup_free_ void *zeros = calloc(batch * gate->cpus, sizeof(struct tps_counter));
	int err = 0;

	if (!keys || !zeros)
		return -ENOMEM;
	tps_grace_wait();
	for (size_t done = 0; done < count && !err; done += batch) {
		size_t n = count - done < batch ? count - done : batch;

		for (size_t i = 0; i < n; i++)
			keys[i] = slots[done + i].slot;
		err = tps_dump_write(gate->map_fd[TPS_MAP_buckets], keys, zeros, n);
		if (!err)
			err = tps_dump_write(gate->map_fd[TPS_MAP_counters], keys, zeros, n);
	}
	return err;
}

int tps_slots_find(struct tps_gate *gate, size_t count, struct tps_slot *ret_slots)
{
	_cleanup_free_ struct tps_slot *slots = calloc(count ? count : 1, sizeof(*slots));
	struct tps_meta meta;
	size_t found;
	int err = tps_meta_read(gate, &meta);

	if (err)
		return err;
	if (!slots)
		return -ENOMEM;
	if (!meta.hint_slot)
		meta.hint_slot = 1; /* 0 is the strangers' */
	found = free_collect(gate, meta.hint_slot, count, slots);
	if (found < count) {
		err = sweep(gate);
		if (err)
			return err;
		found = free_collect(gate, 1, count, slots);
	}
	if (found < count)
		return -ENOSPC;
	err = slots_reset(gate, slots, count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		if (!++meta.last_generation)
			meta.last_generation = 1;
		slots[i].generation = meta.last_generation;
	}
	/* These may stay free yet (a killed command, one that fails): the next search begins here.
	 */
	if (count)
		meta.hint_slot = slots[0].slot;
	err = tps_meta_write(gate, &meta);
	if (err)
		return err;
	memcpy(ret_slots, slots, count * sizeof(*slots));
	return 0;
}

void tps_slot_put(struct tps_gate *gate, struct tps_slot slot, const struct tps_limit *limit)
{
	struct tps_limit *to = &gate->limits[slot.slot];
	struct tps_limit want = *limit;
	size_t tenancy = offsetof(struct tps_limit, generation);
	__u64 word;

	want.generation = slot.generation;
	memcpy(&word, (const char *)&want + tenancy, sizeof(word));
	tps_word_store(&to->banned_until_ns, want.banned_until_ns);
	tps_words_store(&to->policy, &want.policy, sizeof(want.policy));
	/* Whoever reads between the stores sees the old limit or the new one, not the tier's in
	 * passing: a limit of one's own is there before, and until after, the tier changes. */
	if (want.own)
		tps_word_store(&to->own, want.own);
	tps_word_store((__u64 *)((char *)to + tenancy), word);
	if (!want.own)
		tps_word_store(&to->own, 0);
}

void tps_slot_free(struct tps_gate *gate, struct tps_slot slot)
{
	struct tps_limit *to = &gate->limits[slot.slot];
	struct tps_meta meta;

	if (!tps_slot_is_live(gate, slot))
		return;
	tps_half_store(&to->generation, 0);
	tps_words_store(to, &(struct tps_limit){}, sizeof(*to));
	if (!tps_meta_read(gate, &meta) && slot.slot < meta.hint_slot) {
		meta.hint_slot = slot.slot;
		tps_meta_write(gate, &meta); /* else the slot is found by the search from 1 */
	}
}
