// SPDX-License-Identifier: GPL-2.0-only
/*
 * set, delete, list and show for tiers, and set default-tier.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "caller.h"
#include "text.h"
#include "tier.h"
#include "verbs.h"

enum outcome set_tier(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("rate", required_argument, 'r'),
						OPTION("burst", required_argument, 'b'),
						OPTIONS_SHARED};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_tier want = {};
	struct tps_rate rate = {};
	bool changed = false;
	__u64 burst = 0;
	struct tps_why why = {};
	char **name;
	int option, err = 0, number;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == 'r')
			err = tps_rate_parse(optarg, &rate, &why);
		else if (option == 'b')
			err = tps_number_parse("burst", optarg, 1, 0xffffffff, &burst, &why);
		else
			return USAGE;
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 1, &name))
		return USAGE;
	err = tps_name_check("tier", *name, sizeof(want.name), &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	number = tps_tier_find(gate, *name);
	if (number >= 0)
		want = gate->tiers[number];
	strcpy(want.name, *name);
	if (rate.period_s)
		want.rate = rate;
	if (burst)
		want.burst_given = burst;
	err = tps_tier_set(gate, &want, &changed, &why);
	return err ? rejected(session, err, &why) : written(session, changed);
}

enum outcome set_default_tier(struct session *session, int argc, char **argv)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	bool changed = false;
	char **name;
	int err;

	if (!words_only(session, argc, argv, 1, &name))
		return USAGE;
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (!err)
		err = tps_default_tier_set(gate, *name, &changed, &why);
	return err ? failed(session, err, &why) : written(session, changed);
}

enum outcome delete_tier(struct session *session, int argc, char **argv)
{
	return delete_named(session, argc, argv, tps_tier_delete);
}

static json_t *tier_json(const struct tps_gate *gate, int number, size_t callers)
{
	const struct tps_tier *tier = &gate->tiers[number];
	char rate[TPS_RATE_TEXT];

	return json_pack("{s:s, s:s, s:i, s:b, s:I}", "name", tier->name, "rate",
			 tps_rate_print(&tier->rate, rate), "burst", tier->burst, "default",
			 gate->control->default_tier == (__u32)number, "callers",
			 (json_int_t)callers);
}

static const struct column columns[] = {{"NAME", "name", false},       {"RATE", "rate", true},
					{"BURST", "burst", true},      {"CALLERS", "callers", true},
					{"DEFAULT", "default", false}, {}};

static void callers_count(const struct tps_gate *gate, size_t ret_callers[TPS_TIERS_MAX])
{
	memset(ret_callers, 0, TPS_TIERS_MAX * sizeof(*ret_callers));
	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_limits]; slot++) {
		if (gate->limits[slot].generation && gate->limits[slot].tier < TPS_TIERS_MAX)
			ret_callers[gate->limits[slot].tier]++;
	}
}

static int tiers_json(const struct tps_gate *gate, json_t *ret_rows)
{
	size_t callers[TPS_TIERS_MAX];

	callers_count(gate, callers);
	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		if (gate->tiers[tier].limit)
			json_array_append_new(ret_rows, tier_json(gate, tier, callers[tier]));
	}
	return 0;
}

enum outcome list_tiers(struct session *session, int argc, char **argv)
{
	return list_rows(session, argc, argv, tiers_json, columns);
}

enum outcome show_tier(struct session *session, int argc, char **argv)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	size_t callers[TPS_TIERS_MAX];
	struct tps_why why = {};
	char **name;
	int tier, err;

	if (!words_only(session, argc, argv, 1, &name))
		return USAGE;
	err = gate_open(session, TPS_READ, &gate, &why);
	if (err)
		return failed(session, err, &why);
	tier = tps_tier_need(gate, *name, &why);
	if (tier < 0)
		return failed(session, tier, &why);
	callers_count(gate, callers);
	show_object(session, tier_json(gate, tier, callers[tier]));
	return DONE;
}
