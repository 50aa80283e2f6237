// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims. How each kind of identity is kept, a table tells (kind.c); what is done with it is the
 * same for all.
 */
#include "claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"
#include "slot.h"

/* ---- whose an identity is */

static const void *at(const struct tps_kind *kind, const void *list, size_t i)
{
	return (const char *)list + i * kind->size;
}

static bool is_listed(const struct tps_kind *kind, const void *one, const void *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!memcmp(one, at(kind, list, i), kind->size))
			return true;
	}
	return false;
}

static int owner_find(const struct tps_gate *gate, const struct tps_kind *kind,
		      const struct tps_claim *claim, const void *one, struct tps_slot *ret_owner)
{
	const struct tps_identities *there = &claim->there;

	if (kind->owner)
		return kind->owner(gate, one, ret_owner);
	for (size_t i = 0; i < there->count; i++) {
		if (memcmp(one, at(kind, there->all, i), kind->size) ||
		    !tps_slot_is_live(gate, there->owners[i]))
			continue;
		*ret_owner = there->owners[i];
		return 0;
	}
	return -ENOENT;
}

/* ---- planned */

static int lists_check(const struct tps_gate *gate, const struct tps_kind *kind, const char *name,
		       const struct tps_list_change *change, struct tps_why *why)
{
	_cleanup_free_ const void **added = calloc(change->add_count + 1, sizeof(*added));
	char text[TPS_IDENTITY_TEXT];
	size_t first, second;
	int err;

	if (!added)
		return -ENOMEM;
	for (size_t i = 0; i < change->add_count; i++)
		added[i] = at(kind, change->add, i);
	err = tps_double_find(added, kind->size, change->add_count, &first, &second);
	if (!err)
		return tps_why_say(why, -EINVAL, "caller '%s': %s '%s' is given twice", name,
				   kind->noun, kind->print(gate, added[first], text));
	if (err != -ENOENT)
		return err;
	for (size_t i = 0; i < change->add_count; i++) {
		if (is_listed(kind, added[i], change->remove, change->remove_count))
			return tps_why_say(why, -EINVAL,
					   "caller '%s': %s '%s' is both added and removed", name,
					   kind->noun, kind->print(gate, added[i], text));
	}
	return 0;
}

/* What of the list is not the caller's yet is to be put. */
static int adds_plan(const struct tps_gate *gate, const struct tps_kind *kind,
		     const struct tps_claims *claims, struct tps_claim *claim, struct tps_why *why)
{
	char text[TPS_IDENTITY_TEXT], other[TPS_NAME_LEN];
	struct tps_slot owner;

	for (size_t i = 0; i < claim->change->add_count; i++) {
		const void *one = at(kind, claim->change->add, i);
		int err = owner_find(gate, kind, claim, one, &owner);

		if (err == -ENOENT) {
			claim->put[claim->put_count++] = one;
			continue;
		}
		if (err)
			return err;
		if (tps_slot_equal(owner, claims->slot))
			continue;
		tps_caller_name(gate, owner, other);
		return tps_why_say(why, -EEXIST, "caller '%s': %s '%s' is of caller '%s'",
				   claims->name, kind->noun, kind->print(gate, one, text), other);
	}
	return 0;
}

/* What the list takes of the caller's is to be removed. */
static void removes_plan(const struct tps_gate *gate, const struct tps_kind *kind,
			 const struct tps_claims *claims, struct tps_claim *claim)
{
	struct tps_slot owner;

	for (size_t i = 0; i < claim->change->remove_count; i++) {
		const void *one = at(kind, claim->change->remove, i);

		if (!owner_find(gate, kind, claim, one, &owner) &&
		    tps_slot_equal(owner, claims->slot))
			claim->remove[claim->remove_count++] = one;
	}
}

/* Where the map was read: a list that is replaced loses the rest of what it had, and what is of
 * tenants that have gone is cleared away, or written over. */
static void there_plan(const struct tps_gate *gate, const struct tps_kind *kind,
		       const struct tps_claims *claims, struct tps_claim *claim)
{
	const struct tps_list_change *change = claim->change;
	struct tps_identities *there = &claim->there;
	char *all = there->all;
	size_t count = 0;

	for (size_t i = 0; i < there->count; i++) {
		bool is_live = tps_slot_is_live(gate, there->owners[i]);
		bool goes = !is_live ||
			    (change->replace && tps_slot_equal(there->owners[i], claims->slot));

		if (goes && is_listed(kind, all + i * kind->size, change->add, change->add_count)) {
			if (!is_live)
				continue; /* counted as what is put */
			goes = false;
		}
		memmove(all + count * kind->size, all + i * kind->size, kind->size);
		there->owners[count] = there->owners[i];
		if (goes)
			claim->remove[claim->remove_count++] = all + count * kind->size;
		count++;
	}
	there->count = count;
}

static bool is_touched(const struct tps_claim *claim)
{
	const struct tps_list_change *change = claim->change;

	return change->replace || change->add_count || change->remove_count;
}

static int claim_plan(const struct tps_gate *gate, const struct tps_kind *kind,
		      const struct tps_claims *claims, struct tps_claim *claim, struct tps_why *why)
{
	const struct tps_list_change *change = claim->change;
	bool reads = !kind->owner || (change->replace && claims->slot.generation);
	int err = lists_check(gate, kind, claims->name, change, why);

	if (!err && reads)
		err = kind->dump(gate, &claim->there);
	if (err)
		return err;
	claim->put = calloc(change->add_count + 1, sizeof(*claim->put));
	claim->remove =
		calloc(claim->there.count + change->remove_count + 1, sizeof(*claim->remove));
	if (!claim->put || !claim->remove)
		return -ENOMEM;
	err = adds_plan(gate, kind, claims, claim, why);
	if (err)
		return err;
	removes_plan(gate, kind, claims, claim);
	there_plan(gate, kind, claims, claim);
	return 0;
}

int tps_claims_plan(const struct tps_gate *gate, const char *name, struct tps_slot slot,
		    const struct tps_caller_change *change, struct tps_claims *ret_claims,
		    struct tps_why *why)
{
	_cleanup_(tps_claims_end) struct tps_claims claims = {
		.name = name,
		.slot = slot,
		.of = {[TPS_IDENTITY_SOURCE].change = &change->sources,
		       [TPS_IDENTITY_KEY].change = &change->keys,
		       [TPS_IDENTITY_HOST].change = &change->hosts},
	};
	int err = 0;

	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++) {
		if (is_touched(&claims.of[i]))
			err = claim_plan(gate, &tps_kinds[i], &claims, &claims.of[i], why);
	}
	if (err)
		return err;
	*ret_claims = claims;
	claims = (struct tps_claims){};
	return 0;
}

void tps_claims_end(struct tps_claims *claims)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		tps_identities_free(&claims->of[i].there);
		free(claims->of[i].put);
		free(claims->of[i].remove);
	}
}

bool tps_claims_change(const struct tps_claims *claims)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		if (claims->of[i].put_count || claims->of[i].remove_count)
			return true;
	}
	return false;
}

/* ---- written */

int tps_map_full(const char *caller, enum tps_map map, int err, struct tps_why *why)
{
	if (err != -E2BIG && err != -ENOSPC)
		return err;
	return tps_why_say(why, err,
			   "caller '%s': the map '%s' is full; tpsctl status shows the capacities, "
			   "attach --capacity sets them",
			   caller, tps_map_name(map));
}

/* A full map may hold something of tenants that have gone, which a killed command left. */
static int one_put(struct tps_gate *gate, const struct tps_kind *kind, const void *one,
		   struct tps_slot owner)
{
	int err = kind->put(gate, one, owner);

	if (err == -E2BIG && kind->sweep && kind->sweep(gate) > 0)
		err = kind->put(gate, one, owner);
	return err;
}

/* The first @count of what was to be put are there: they go, and the claim gives nothing. */
static void claim_take_back(struct tps_gate *gate, const struct tps_kind *kind,
			    struct tps_claim *claim, size_t count)
{
	for (size_t i = 0; i < count; i++)
		kind->remove(gate, claim->put[i]);
	claim->put_count = 0;
	claim->remove_count = 0;
	if (kind->after && is_touched(claim))
		kind->after(gate, claim);
}

static int claim_put(struct tps_gate *gate, const struct tps_kind *kind, const char *name,
		     struct tps_claim *claim, struct tps_slot slot, struct tps_why *why)
{
	if (kind->before && is_touched(claim))
		kind->before(gate, claim);
	for (size_t i = 0; i < claim->put_count; i++) {
		const void *one = claim->put[i];
		int err = one_put(gate, kind, one, slot);

		if (!err)
			continue;
		claim_take_back(gate, kind, claim, i);
		return tps_map_full(name, kind->map(one), err, why);
	}
	return 0;
}

int tps_claims_put(struct tps_gate *gate, struct tps_claims *claims, struct tps_slot slot,
		   struct tps_why *why)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		int err = claim_put(gate, &tps_kinds[i], claims->name, &claims->of[i], slot, why);

		if (!err)
			continue;
		while (i--)
			claim_take_back(gate, &tps_kinds[i], &claims->of[i],
					claims->of[i].put_count);
		return err;
	}
	return 0;
}

void tps_claims_take_back(struct tps_gate *gate, struct tps_claims *claims)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++)
		claim_take_back(gate, &tps_kinds[i], &claims->of[i], claims->of[i].put_count);
}

void tps_claims_finish(struct tps_gate *gate, struct tps_claims *claims)
{
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		struct tps_claim *claim = &claims->of[i];
		size_t removed = 0;

		for (size_t j = 0; j < claim->remove_count; j++) {
			if (!tps_kinds[i].remove(gate, claim->remove[j]))
				claim->remove[removed++] = claim->remove[j];
		}
		claim->remove_count = removed;
		if (tps_kinds[i].after && is_touched(claim))
			tps_kinds[i].after(gate, claim);
	}
}
