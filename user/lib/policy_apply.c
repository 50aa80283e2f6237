// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy written to a gate: what is not there yet first, what moves by one store or one update,
 * what goes last. So a packet that comes by meanwhile meets the old limit or the new one, never
 * none; and what is killed anywhere is ended by the next one.
 *
 * The order, and what it prevents:
 *   bans, costs that fall, tiers       before anything that refers to them or would be refused
 *   callers that stay                  keep slot, debt and counters; a limit is one word
 *   callers that are new               slot, name, then identities, as everywhere (caller.c)
 *   identities                         put over the old owner's: never nobody's in between
 *   callers and identities that go     after what they had has been given away
 *   listeners                          when everybody is known whom they will police
 *   tiers that go, bans that go        when nobody is in them
 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "ban.h"
#include "caller.h"
#include "dump.h"
#include "host.h"
#include "key.h"
#include "listener.h"
#include "slot.h"
#include "source.h"
#include "tier.h"

#define CHUNK 8192 /* between two words about progress */

struct apply {
	struct tps_gate *gate;
	const struct tps_policy_file *have, *want;
	tps_progress_tell tell;
	bool again;
	struct tps_slot *slots; /* by number in want->callers */
	__u32 *from;            /* the same: its number in have->callers + 1; 0: a new one */
	__u32 *to;              /* the other way round */
	size_t new_count;
};

static void apply_end(struct apply *apply)
{
	free(apply->slots);
	free(apply->from);
	free(apply->to);
}

static void told(const struct apply *apply, const char *what, size_t done, size_t count)
{
	if (apply->tell)
		apply->tell(what, done, count);
}

/* Who is who: both are sorted by name. */
static int callers_match(struct apply *apply)
{
	const struct tps_policy_file *have = apply->have, *want = apply->want;
	size_t i = 0, j = 0;

	apply->slots = calloc(want->caller_count + 1, sizeof(*apply->slots));
	apply->from = calloc(want->caller_count + 1, sizeof(*apply->from));
	apply->to = calloc(have->caller_count + 1, sizeof(*apply->to));
	if (!apply->slots || !apply->from || !apply->to)
		return -ENOMEM;
	while (j < want->caller_count) {
		int order = i == have->caller_count
				    ? 1
				    : strcmp(have->callers[i].name, want->callers[j].name);

		if (!order) {
			apply->slots[j] = have->callers[i].slot;
			apply->from[j] = i + 1;
			apply->to[i] = j + 1;
		}
		apply->new_count += order > 0;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

/* ---- room, before anything is written */

static size_t tiers_together(const struct apply *apply)
{
	size_t count = apply->have->tier_count;

	for (size_t i = 0; i < apply->want->tier_count; i++)
		count += !tps_policy_tier_find(apply->have, apply->want->tiers[i].name);
	return count;
}

static size_t bans_together(const struct apply *apply)
{
	const struct tps_policy_file *have = apply->have;
	size_t count = have->ban_count;

	for (size_t i = 0; i < apply->want->ban_count; i++)
		count += !tps_policy_ban_holds(have, &apply->want->bans[i].prefix);
	return count;
}

static size_t listeners_together(const struct apply *apply)
{
	const struct tps_policy_file *want = apply->want;
	size_t count = apply->have->listener_count;

	for (size_t i = 0; i < want->listener_count; i++)
		count += tps_listener_find(apply->gate, want->listeners[i].listener.name) < 0;
	return count;
}

static int room_check(const struct apply *apply, struct tps_why *why)
{
	if (tiers_together(apply) > TPS_TIERS_MAX)
		return tps_why_say(why, -ENOSPC,
				   "the gate's tiers and those that the policy adds are over %d: "
				   "delete some first (tpsctl delete tier)",
				   TPS_TIERS_MAX);
	if (listeners_together(apply) > TPS_LISTENERS_MAX - 1)
		return tps_why_say(why, -ENOSPC,
				   "the gate's listeners and those that the policy adds are over "
				   "%d: delete some first (tpsctl delete listener)",
				   TPS_LISTENERS_MAX - 1);
	if (bans_together(apply) > apply->gate->capacity[TPS_MAP_bans])
		return tps_why_say(why, -ENOSPC,
				   "the gate's bans and those that the policy adds are over the "
				   "%u that the map 'bans' holds: lift some first (tpsctl unban)",
				   apply->gate->capacity[TPS_MAP_bans]);
	return tps_policy_fits(apply->want, apply->gate->capacity, why);
}

/* ---- bans and tiers */

static int bans_add(const struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *want = apply->want;
	_cleanup_free_ struct tps_prefix *new = calloc(want->ban_count + 1, sizeof(*new));
	size_t count = 0;

	if (!new)
		return -ENOMEM;
	for (size_t i = 0; i < want->ban_count; i++) {
		if (!tps_policy_ban_holds(apply->have, &want->bans[i].prefix))
			new[count++] = want->bans[i].prefix;
	}
	return count ? tps_bans_put(apply->gate, new, count, why) : 0;
}

static int bans_remove(const struct apply *apply)
{
	const struct tps_policy_file *have = apply->have;
	_cleanup_free_ struct tps_prefix *old = calloc(have->ban_count + 1, sizeof(*old));
	size_t count = 0;

	if (!old)
		return -ENOMEM;
	for (size_t i = 0; i < have->ban_count; i++) {
		if (!have->bans[i].by_hand &&
		    !tps_policy_ban_holds(apply->want, &have->bans[i].prefix))
			old[count++] = have->bans[i].prefix;
	}
	return count || apply->again ? tps_bans_lift(apply->gate, old, count) : 0;
}

static int tiers_put(const struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *want = apply->want;
	int err = 0;

	for (size_t i = 0; i < want->tier_count && !err; i++) {
		const struct tps_policy_tier *it = &want->tiers[i];
		const struct tps_policy_tier *there = tps_policy_tier_find(apply->have, it->name);
		struct tps_tier tier = {.rate = it->rate, .burst_given = it->burst};

		strcpy(tier.name, it->name);
		/* one that a killed command left half-written is told by nothing but itself */
		if (!there || apply->again || !tps_policy_tier_equal(there, it))
			err = tps_tier_put(apply->gate, &tier, why);
	}
	return err ? err : tps_default_tier_set(apply->gate, want->default_tier, NULL, why);
}

static int tiers_remove(const struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *have = apply->have;
	int err = 0;

	for (size_t i = 0; i < have->tier_count && !err; i++) {
		if (!tps_policy_tier_find(apply->want, have->tiers[i].name))
			err = tps_tier_delete(apply->gate, have->tiers[i].name, why);
	}
	return err;
}

/* ---- callers */

static int limit_of(const struct apply *apply, const struct tps_policy_caller *it,
		    struct tps_caller *record, struct tps_limit *limit, struct tps_why *why)
{
	__u64 own = 0;
	int tier = tps_tier_need(apply->gate, it->tier, why), err = 0;

	if (tier < 0)
		return tier;
	if (it->rate.period_s)
		err = tps_rate_limit(&it->rate, it->burst, &own, why);
	if (err)
		return err;
	record->rate = it->rate;
	record->burst = it->burst;
	record->tier = limit->tier = tier;
	record->flags = limit->flags = it->exempt ? TPS_LIMIT_EXEMPT : 0;
	limit->own = own;
	limit->policy = tps_rate_policy(&it->rate);
	return 0;
}

/* What the names lead to, in chunks. */
static int records_write(const struct apply *apply, const struct tps_caller_key *names,
			 const struct tps_caller *records, size_t count)
{
	int err = 0;

	for (size_t done = 0; done < count && !err; done += CHUNK) {
		size_t n = count - done < CHUNK ? count - done : CHUNK;

		err = tps_dump_write(apply->gate->map_fd[TPS_MAP_callers], names + done,
				     records + done, n);
		told(apply, "callers", done + n, count);
	}
	return err;
}

struct batch {
	struct tps_caller_key *names;
	struct tps_caller *records;
	struct tps_limit *limits;
	struct tps_slot *slots;
	size_t count;
};

static void batch_end(struct batch *batch)
{
	free(batch->names);
	free(batch->records);
	free(batch->limits);
	free(batch->slots);
}

static int batch_begin(struct batch *batch, size_t count)
{
	batch->names = calloc(count + 1, sizeof(*batch->names));
	batch->records = calloc(count + 1, sizeof(*batch->records));
	batch->limits = calloc(count + 1, sizeof(*batch->limits));
	batch->slots = calloc(count + 1, sizeof(*batch->slots));
	return batch->names && batch->records && batch->limits && batch->slots ? 0 : -ENOMEM;
}

/* Those that stay and are another: the record, then the limit, which cannot fail. */
static int callers_change(const struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *have = apply->have, *want = apply->want;
	_cleanup_(batch_end) struct batch batch = {};
	int err = batch_begin(&batch, want->caller_count);

	for (size_t i = 0; i < want->caller_count && !err; i++) {
		const struct tps_policy_caller *it = &want->callers[i];
		size_t at = batch.count;

		if (!apply->from[i] ||
		    tps_policy_caller_equal(&have->callers[apply->from[i] - 1], it))
			continue;
		strcpy(batch.names[at].name, it->name);
		batch.slots[at] = apply->slots[i];
		batch.limits[at] = apply->gate->limits[apply->slots[i].slot];
		err = bpf_map_lookup_elem(apply->gate->map_fd[TPS_MAP_callers], &batch.names[at],
					  &batch.records[at]);
		if (!err)
			err = limit_of(apply, it, &batch.records[at], &batch.limits[at], why);
		batch.count++;
	}
	if (!err)
		err = records_write(apply, batch.names, batch.records, batch.count);
	for (size_t i = 0; i < batch.count && !err; i++)
		tps_slot_put(apply->gate, batch.slots[i], &batch.limits[i]);
	return err;
}

static int callers_make(struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *want = apply->want;
	_cleanup_(batch_end) struct batch batch = {};
	int err = batch_begin(&batch, apply->new_count);

	if (!err && apply->new_count)
		err = tps_slots_find(apply->gate, apply->new_count, batch.slots);
	for (size_t i = 0; i < want->caller_count && !err; i++) {
		size_t at = batch.count;

		if (apply->from[i])
			continue;
		strcpy(batch.names[at].name, want->callers[i].name);
		err = limit_of(apply, &want->callers[i], &batch.records[at], &batch.limits[at],
			       why);
		batch.records[at].slot = batch.slots[at].slot;
		batch.records[at].generation = batch.slots[at].generation;
		apply->slots[i] = batch.slots[at];
		batch.count++;
	}
	for (size_t i = 0; i < batch.count && !err; i++)
		tps_slot_put(apply->gate, batch.slots[i], &batch.limits[i]);
	if (!err)
		err = records_write(apply, batch.names, batch.records, batch.count);
	return err;
}

/* The slot, which makes every identity stale; the name at the end of all (callers_forget). */
static void callers_free(const struct apply *apply)
{
	for (size_t i = 0; i < apply->have->caller_count; i++) {
		if (!apply->to[i])
			tps_slot_free(apply->gate, apply->have->callers[i].slot);
	}
}

static void callers_forget(const struct apply *apply)
{
	for (size_t i = 0; i < apply->have->caller_count; i++) {
		struct tps_caller_key key = {};

		if (apply->to[i])
			continue;
		strcpy(key.name, apply->have->callers[i].name);
		bpf_map_delete_elem(apply->gate->map_fd[TPS_MAP_callers], &key);
	}
}

/* ---- identities */

/* What is put, and what goes. */
struct moves {
	const void **put, **remove;
	struct tps_slot *owners;
	size_t put_count, remove_count, change_count; /* changes: of hands */
};

static void moves_end(struct moves *moves)
{
	free(moves->put);
	free(moves->remove);
	free(moves->owners);
}

static int moves_find(const struct apply *apply, enum tps_identity identity, struct moves *moves)
{
	const struct tps_policy_list *have = &apply->have->lists[identity];
	const struct tps_policy_list *want = &apply->want->lists[identity];
	size_t i = 0, j = 0;

	moves->put = calloc(want->count + 1, sizeof(*moves->put));
	moves->owners = calloc(want->count + 1, sizeof(*moves->owners));
	moves->remove = calloc(have->count + 1, sizeof(*moves->remove));
	if (!moves->put || !moves->owners || !moves->remove)
		return -ENOMEM;
	while (i < have->count || j < want->count) {
		const struct tps_claimed *a = &have->claimed[i], *b = &want->claimed[j];
		int order = i == have->count   ? 1
			    : j == want->count ? -1
					       : memcmp(a->one, b->one, tps_kinds[identity].size);
		bool moves_on = !order && apply->to[a->caller] != b->caller + 1;

		if (order < 0)
			moves->remove[moves->remove_count++] = a->one;
		if (order > 0 || moves_on) {
			moves->put[moves->put_count] = b->one;
			moves->owners[moves->put_count++] = apply->slots[b->caller];
		}
		moves->change_count += moves_on;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

static int moves_put(const struct apply *apply, enum tps_identity identity,
		     const struct moves *moves)
{
	const struct tps_kind *kind = &tps_kinds[identity];
	int err = 0;

	for (size_t done = 0; done < moves->put_count && !err; done += CHUNK) {
		size_t n = moves->put_count - done < CHUNK ? moves->put_count - done : CHUNK;

		err = kind->put_all(apply->gate, moves->put + done, moves->owners + done, n);
		told(apply, kind->noun, done + n, moves->put_count);
	}
	return err;
}

static void moves_remove(const struct apply *apply, enum tps_identity identity,
			 const struct moves *moves)
{
	const struct tps_kind *kind = &tps_kinds[identity];

	for (size_t i = 0; i < moves->remove_count; i++) {
		kind->remove(apply->gate, moves->remove[i]);
		if (i % CHUNK == 0)
			told(apply, kind->noun, i, moves->remove_count);
	}
}

/* Enough for what is there and what comes, before it comes. */
static void counts_cover(const struct apply *apply)
{
	struct tps_source_counts counts = {apply->gate->control->sources4,
					   apply->gate->control->sources6,
					   apply->gate->control->sources6_long};
	const struct tps_policy_list *want = &apply->want->lists[TPS_IDENTITY_SOURCE];

	for (size_t i = 0; i < want->count; i++)
		tps_source_count(&counts, want->claimed[i].one, 1);
	tps_source_counts_raise(apply->gate, &counts);
}

static void counts_settle(const struct apply *apply)
{
	const struct tps_policy_list *want = &apply->want->lists[TPS_IDENTITY_SOURCE];
	struct tps_source_counts counts = {};

	for (size_t i = 0; i < want->count; i++)
		tps_source_count(&counts, want->claimed[i].one, 1);
	tps_source_counts_set(apply->gate, &counts);
}

/* Sources of callers that have gone, which killed commands left: no sweep knows them. */
static int sources_sweep(const struct apply *apply)
{
	_cleanup_identities_ struct tps_identities there = {};
	const struct tps_prefix *prefix;
	int err = tps_sources_dump(apply->gate, &there);

	prefix = there.all;
	for (size_t i = 0; i < there.count && !err; i++) {
		if (!tps_slot_is_live(apply->gate, there.owners[i]))
			tps_source_remove(apply->gate, &prefix[i]);
	}
	return err;
}

static bool is_any(const struct moves *moves)
{
	return moves->put_count || moves->remove_count;
}

/* Would old and new together not fit? Then what goes, goes first, and is a stranger's meanwhile. */
static bool is_tight(const struct apply *apply, const struct moves moves[TPS_IDENTITY_MAX])
{
	const struct tps_gate *gate = apply->gate;
	size_t wanted[TPS_MAP_MAX] = {[TPS_MAP_callers] =
					      apply->have->caller_count + apply->new_count};

	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		const struct tps_policy_list *have = &apply->have->lists[i];

		for (size_t j = 0; j < have->count; j++)
			wanted[tps_kinds[i].map(have->claimed[j].one)]++;
		for (size_t j = 0; j < moves[i].put_count; j++)
			wanted[tps_kinds[i].map(moves[i].put[j])]++;
	}
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (wanted[map] > gate->capacity[map])
			return true;
	}
	return false;
}

static void gone_remove(const struct apply *apply, const struct moves moves[TPS_IDENTITY_MAX])
{
	callers_free(apply);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++)
		moves_remove(apply, i, &moves[i]);
	callers_forget(apply);
}

static int callers_apply(struct apply *apply, struct moves moves[TPS_IDENTITY_MAX],
			 struct tps_why *why)
{
	struct tps_gate *gate = apply->gate;
	bool tight;
	int err = 0;

	/* owners of new callers are known later; which identities move is not changed by that */
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++)
		err = moves_find(apply, i, &moves[i]);
	if (err)
		return err;
	tight = is_tight(apply, moves);
	if (tight)
		gone_remove(apply, moves);
	err = callers_change(apply, why);
	if (!err)
		err = callers_make(apply, why);
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++) {
		struct moves again = {};

		err = moves_find(apply, i, &again);
		moves_end(&moves[i]);
		moves[i] = again;
	}
	if (!err && moves[TPS_IDENTITY_SOURCE].put_count)
		counts_cover(apply);
	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++)
		err = moves_put(apply, i, &moves[i]);
	if (err)
		return err;
	if (!tight)
		gone_remove(apply, moves);
	if (is_any(&moves[TPS_IDENTITY_SOURCE]) || apply->again)
		counts_settle(apply);
	if (moves[TPS_IDENTITY_KEY].change_count || apply->again)
		tps_half_store(&gate->control->keys_generation, gate->control->keys_generation + 1);
	if (is_any(&moves[TPS_IDENTITY_HOST]) || apply->again) {
		err = tps_hosts_sweep(gate);
		err = err < 0 ? err : 0;
	}
	return err;
}

/* ---- the whole */

static int apply_write(struct apply *apply, struct tps_why *why)
{
	const struct tps_policy_file *want = apply->want;
	const struct tps_listener *listeners[TPS_LISTENERS_MAX];
	struct moves moves[TPS_IDENTITY_MAX] = {};
	int err = tps_callers_sweep(apply->gate);

	for (size_t i = 0; i < want->listener_count; i++)
		listeners[i] = &want->listeners[i].listener;
	if (!err)
		err = sources_sweep(apply);
	if (!err)
		err = bans_add(apply, why);
	if (!err)
		tps_listener_costs_lower(apply->gate, listeners, want->listener_count);
	if (!err)
		err = tiers_put(apply, why);
	if (!err)
		err = callers_apply(apply, moves, why);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++)
		moves_end(&moves[i]);
	if (!err)
		err = tps_listeners_replace(apply->gate, listeners, want->listener_count, why);
	if (!err)
		err = tiers_remove(apply, why);
	return err ? err : bans_remove(apply);
}

int tps_policy_apply(struct tps_gate *gate, const struct tps_policy_file *have,
		     const struct tps_policy_file *want, bool again, tps_progress_tell tell,
		     struct tps_why *why)
{
	_cleanup_(apply_end) struct apply apply = {
		.gate = gate, .have = have, .want = want, .again = again, .tell = tell};
	int err = callers_match(&apply);

	if (!err)
		err = room_check(&apply, why);
	return err ? err : apply_write(&apply, why);
}
