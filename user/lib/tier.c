// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tiers. A tier's limit is one word, so all its callers change at once.
 */
#include "tier.h"

#include <errno.h>
#include <string.h>

#include <tps/bucket.h>

#include "caller.h"
#include "counts.h"
#include "text.h"

int tps_tier_find(const struct tps_gate *gate, const char *name)
{
	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		if (gate->tiers[tier].limit &&
		    !strncmp(gate->tiers[tier].name, name, TPS_TIER_NAME_LEN))
			return tier;
	}
	return -ENOENT;
}

int tps_tier_need(const struct tps_gate *gate, const char *name, struct tps_why *why)
{
	int tier = tps_tier_find(gate, name);

	if (tier < 0)
		return tps_why_say(why, tier, "no tier '%s': tpsctl list tiers shows what there is",
				   name);
	return tier;
}

__u32 tps_cost_max(const struct tps_gate *gate)
{
	__u32 cost = 1;

	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (gate->listeners[i].protocol && gate->listeners[i].cost > cost)
			cost = gate->listeners[i].cost;
	}
	return cost;
}

static bool has_counts(const struct tps_totals totals[TPS_LISTENERS_MAX], int tier)
{
	for (int i = 0; i < TPS_LISTENERS_MAX; i++) {
		for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++) {
			if (totals[i].verdicts[tier][verdict])
				return true;
		}
	}
	return false;
}

/* A free number, if possible one that was never counted under: the totals of a tier that has gone
 * stay, and would be told as the new one's. */
static int number_find(const struct tps_gate *gate)
{
	struct tps_totals totals[TPS_LISTENERS_MAX];
	int err, found = -ENOSPC;

	err = tps_totals_read(gate, totals);
	if (err)
		return err;
	for (int tier = TPS_TIERS_MAX - 1; tier >= 0; tier--) {
		if (gate->tiers[tier].limit)
			continue;
		if (found < 0 || !has_counts(totals, tier))
			found = tier;
	}
	return found;
}

static int tier_make(const struct tps_tier *want, struct tps_tier *ret_tier, struct tps_why *why)
{
	struct tps_tier tier = {.rate = want->rate, .burst_given = want->burst_given};
	int err = tps_name_check("tier", want->name, sizeof(want->name), why);

	if (err)
		return err;
	if (!want->rate.period_s)
		return tps_why_say(why, -EINVAL, "tier '%s': it needs a rate (--rate R)",
				   want->name);
	strcpy(tier.name, want->name);
	tier.burst = tier.burst_given ? tier.burst_given : tps_rate_default_burst(&tier.rate);
	tier.policy = tps_rate_policy(&tier.rate);
	err = tps_rate_limit(&tier.rate, tier.burst, &tier.limit, why);
	if (!err)
		*ret_tier = tier;
	return err;
}

static int tier_store(struct tps_gate *gate, const struct tps_tier *want, bool *ret_changed,
		      struct tps_why *why)
{
	struct tps_tier tier = *want;
	int number = tps_tier_find(gate, tier.name);

	if (number < 0)
		number = number_find(gate);
	if (number == -ENOSPC)
		return tps_why_say(why, number,
				   "tier '%s': there are %d already, the most there can be",
				   tier.name, TPS_TIERS_MAX);
	if (number < 0)
		return number;
	if (ret_changed)
		*ret_changed = memcmp(&gate->tiers[number], &tier, sizeof(tier)) != 0;
	/* The limit, which makes the number taken, comes last. */
	tps_words_store(&gate->tiers[number].policy, &tier.policy,
			sizeof(tier) - offsetof(struct tps_tier, policy));
	tps_word_store(&gate->tiers[number].limit, tier.limit);
	return 0;
}

int tps_tier_set(struct tps_gate *gate, const struct tps_tier *want, bool *ret_changed,
		 struct tps_why *why)
{
	struct tps_tier tier;
	int err = tier_make(want, &tier, why);

	if (err)
		return err;
	if (tier.burst < tps_cost_max(gate))
		return tps_why_say(why, -ERANGE,
				   "tier '%s': burst '%u' is below the cost of a listener's "
				   "transaction, %u: none would ever pass",
				   want->name, tier.burst, tps_cost_max(gate));
	return tier_store(gate, &tier, ret_changed, why);
}

int tps_tier_put(struct tps_gate *gate, const struct tps_tier *want, struct tps_why *why)
{
	struct tps_tier tier;
	int err = tier_make(want, &tier, why);

	return err ? err : tier_store(gate, &tier, NULL, why);
}

/* -EBUSY while a caller is in the tier. By names: a slot without one is what a killed command left.
 */
static int in_use(const struct tps_gate *gate, int tier, struct tps_why *why)
{
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	size_t count = 0;
	int err = tps_callers_read(gate, &callers, &count);

	for (size_t i = 0; i < count && !err; i++) {
		if (callers[i].limit.tier == tier)
			err = tps_why_say(
				why, -EBUSY,
				"tier '%s' has callers in it, as '%s': give them another by "
				"tpsctl set caller NAME --tier first",
				gate->tiers[tier].name, callers[i].name);
	}
	return err;
}

int tps_tier_delete(struct tps_gate *gate, const char *name, struct tps_why *why)
{
	int tier = tps_tier_need(gate, name, why), err;

	if (tier < 0)
		return tier;
	if (gate->control->default_tier == (__u32)tier)
		return tps_why_say(why, -EBUSY,
				   "tier '%s' is the default tier: set another by tpsctl set "
				   "default-tier first",
				   name);
	err = in_use(gate, tier, why);
	if (err)
		return err;
	tps_word_store(&gate->tiers[tier].limit, 0);
	tps_words_store(&gate->tiers[tier], &(struct tps_tier){}, sizeof(struct tps_tier));
	return 0;
}

int tps_default_tier_set(struct tps_gate *gate, const char *name, bool *ret_changed,
			 struct tps_why *why)
{
	int tier = tps_tier_need(gate, name, why);

	if (tier < 0)
		return tier;
	if (ret_changed)
		*ret_changed = gate->control->default_tier != (__u32)tier;
	tps_half_store(&gate->control->default_tier, tier);
	return 0;
}
