// SPDX-License-Identifier: GPL-2.0-only
/*
 * status: where the gate stands, what it does, how full its maps are, and what looks wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "counts.h"
#include "device.h"
#include "difference.h"
#include "doubt.h"
#include "label.h"
#include "object.h"
#include "report.h"
#include "verbs.h"

static const struct column device_columns[] = {
	{"DEVICE", "device", false},     {"NETNS", "netns", false},       {"MODE", "mode", false},
	{"ATTACHED", "attached", false}, {"PROGRAM", "program_id", true}, {}};
static const struct column listener_columns[] = {
	{"LISTENER", "name", false},    {"PROTOCOL", "protocol", false},
	{"PORTS", "ports", false},      {"MODE", "mode", false},
	{"ALLOWED", "allowed", true},   {"REFUSED", "refused", true},
	{"BANNED", "banned", true},     {"WOULD_REFUSE", "would_refuse", true},
	{"UNPROVEN", "unproven", true}, {}};
static const struct column map_columns[] = {
	{"MAP", "name", false}, {"ENTRIES", "entries", true}, {"CAPACITY", "capacity", true}, {}};

static int devices_json(const struct tps_gate *gate, json_t *ret_rows)
{
	_cleanup_free_ struct tps_device_entry *devices = NULL;
	size_t count;
	int err = tps_devices_read(gate, &devices, &count);

	for (size_t i = 0; i < count && !err; i++) {
		const struct tps_device_entry *entry = &devices[i];
		json_t *row = json_pack("{s:s, s:i, s:s, s:b, s:b}", "device", entry->key.name,
					"ifindex", entry->device.ifindex, "mode",
					tps_xdp_mode_text(entry->device.mode), "wanted",
					entry->wanted, "attached", entry->attached);

		json_object_set_new(row, "netns",
				    *entry->key.netns ? json_string(entry->key.netns)
						      : json_null());
		json_object_set_new(row, "egress",
				    entry->egress < 0 ? json_null() : json_boolean(entry->egress));
		json_object_set_new(row, "program_id",
				    entry->attached ? json_integer(entry->program_id)
						    : json_null());
		json_array_append_new(ret_rows, row);
	}
	return err;
}

static int maps_json(const struct tps_gate *gate, json_t *ret_rows)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 entries;
		int err = tps_map_entries(gate, map, &entries);

		if (err)
			return err;
		json_array_append_new(ret_rows,
				      json_pack("{s:s, s:I, s:I}", "name", tps_map_name(map),
						"entries", (json_int_t)entries, "capacity",
						(json_int_t)gate->capacity[map]));
	}
	return 0;
}

static void programs_warn(const struct tps_meta *meta, json_t *ret_warnings)
{
	if (!meta->object_hash)
		json_array_append_new(ret_warnings,
				      json_string("a swap of the gate's programs was not ended: "
						  "tpsctl attach DEVICE ends it"));
	else if (!tps_object_signed(meta))
		json_array_append_new(
			ret_warnings,
			json_sprintf("the programs that run are of another build, tpsctl '%s': "
				     "tpsctl attach DEVICE swaps them for those of this one, '%s'",
				     meta->version, TPS_VERSION));
}

/* What the operator should look at. */
static json_t *warnings_json(const struct tps_gate *gate, const struct tps_meta *meta,
			     const json_t *devices)
{
	json_t *warnings = json_array(), *row;
	size_t at;

	programs_warn(meta, warnings);
	if (!json_array_size(devices))
		json_array_append_new(
			warnings, json_string("the gate is on no device: nothing is throttled"));
	json_array_foreach(devices, at, row)
	{
		const char *name = json_string_value(json_object_get(row, "device"));

		if (!json_is_true(json_object_get(row, "attached")))
			json_array_append_new(
				warnings,
				json_sprintf("device '%s': wanted, but the gate is not on it",
					     name));
		else if (!json_is_true(json_object_get(row, "wanted")))
			json_array_append_new(
				warnings,
				json_sprintf(
					"device '%s': attached, but not wanted: detach it again",
					name));
		else if (json_is_false(json_object_get(row, "egress")))
			json_array_append_new(
				warnings,
				json_sprintf("device '%s': its egress filter has gone: attach it "
					     "again",
					     name));
	}
	if (!gate->control->tick_ns)
		json_array_append_new(warnings,
				      json_string("jiffies were not understood: the gate reads the "
						  "slower clock"));
	return warnings;
}

static void warnings_print(const json_t *warnings)
{
	json_t *warning;
	size_t at;

	json_array_foreach(warnings, at, warning)
		printf("warning: %s\n", json_string_value(warning));
}

enum outcome status(struct session *session, int argc, char **argv)
{
	_cleanup_json_ json_t *devices = json_array(), *listeners = json_array();
	_cleanup_json_ json_t *maps = json_array(), *warnings = NULL, *policy = NULL;
	_cleanup_free_ struct tps_totals *totals = calloc(TPS_LISTENERS_MAX, sizeof(*totals));
	_cleanup_gate_ struct tps_gate *gate = NULL;
	const struct tps_tier *default_tier;
	struct tps_meta meta = {};
	struct tps_why why = {};
	int err;

	if (!words_only(session, argc, argv, 0, NULL))
		return USAGE;
	err = totals ? gate_open(session, TPS_READ, &gate, &why) : -ENOMEM;
	if (!err)
		err = tps_meta_read(gate, &meta);
	if (!err)
		err = devices_json(gate, devices);
	if (!err)
		err = tps_totals_read(gate, totals);
	if (!err)
		err = maps_json(gate, maps);
	if (err)
		return failed(session, err, &why);
	listeners_json(gate, totals, listeners);
	warnings = warnings_json(gate, &meta, devices);
	err = drift_json(gate, warnings, &policy);
	if (!err)
		err = doubts_add(gate, totals, warnings);
	if (err)
		return failed(session, err, &why);
	default_tier = &gate->tiers[gate->control->default_tier];
	if (print_json(session,
		       json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:O, s:O, s:O}", "root",
				 gate->root, "made_by", meta.version, "state",
				 tps_state_text(tps_state_read(gate)), "default_tier",
				 default_tier->name, "devices", devices, "listeners", listeners,
				 "maps", maps, "policy", policy, "warnings", warnings)))
		return DONE;
	printf("root %s, programs of tpsctl %s, %s, default tier %s\n\n", gate->root, meta.version,
	       tps_state_text(tps_state_read(gate)), default_tier->name);
	table_print(devices, device_columns);
	putchar('\n');
	table_print(listeners, listener_columns);
	putchar('\n');
	table_print(maps, map_columns);
	if (json_array_size(warnings))
		putchar('\n');
	warnings_print(warnings);
	return DONE;
}
