// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach and detach: the gate on devices.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "label.h"
#include "root.h"
#include "text.h"
#include "verbs.h"

/* What was asked of either verb. */
struct wish {
	const char *netns;
	enum tps_xdp_mode mode;
	struct tps_gate_options gate;
	bool all;
	bool forget;
};

/* MAP=N */
static int capacity_read(const char *text, __u32 capacity[TPS_MAP_MAX], struct tps_why *why)
{
	const char *equals = strchr(text, '=');
	char name[32] = "", sizable[256] = "";
	__u64 number;
	int map, err;

	if (equals && (size_t)(equals - text) < sizeof(name))
		memcpy(name, text, equals - text);
	map = tps_map_find(name);
	if (map < 0 || !tps_map_sizable(map)) {
		for (int i = 0; i < TPS_MAP_MAX; i++) {
			if (tps_map_sizable(i))
				snprintf(sizable + strlen(sizable),
					 sizeof(sizable) - strlen(sizable), "%s%s",
					 *sizable ? ", " : "", tps_map_name(i));
		}
		return tps_why_say(why, -EINVAL, "--capacity '%s': expected MAP=N, MAP one of %s",
				   text, sizable);
	}
	err = tps_number_parse("--capacity", equals + 1, 1, 1U << 26, &number, why);
	if (!err)
		capacity[map] = number;
	return err;
}

/* What this command did before it failed. */
static void undo(struct tps_gate *gate, const struct wish *wish, char **devices, const bool *done,
		 int count)
{
	bool one;

	for (int i = 0; i < count; i++) {
		if (done[i])
			tps_device_detach(gate, wish->netns, devices[i], &one, NULL);
	}
	if (gate->is_fresh)
		tps_gate_forget(gate, NULL);
}

static enum outcome attach_all(struct session *session, struct tps_gate *gate,
			       const struct wish *wish, char **devices, int count)
{
	_cleanup_free_ bool *done = calloc(count, sizeof(*done));
	bool changed = gate->is_fresh;

	for (int i = 0; i < count && done; i++) {
		enum tps_xdp_mode mode;
		struct tps_why why = {};
		int err = tps_device_attach(gate, wish->netns, devices[i], wish->mode, &mode,
					    &done[i], &why);

		if (err) {
			undo(gate, wish, devices, done, i);
			return failed(session, err, &why);
		}
		if (done[i] && wish->mode == TPS_XDP_AUTO && mode == TPS_XDP_GENERIC)
			note("device '%s': native XDP was refused, attached in generic mode: "
			     "slower",
			     devices[i]);
		changed |= done[i];
	}
	return written(session, changed);
}

enum outcome attach(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("netns", required_argument, 'n'),
						OPTION("xdp-mode", required_argument, 'x'),
						OPTION("observe", no_argument, 'o'),
						OPTION("capacity", required_argument, 'c'),
						OPTION("secret", required_argument, 's'),
						OPTIONS_SHARED};
	struct wish wish = {.mode = TPS_XDP_NATIVE};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	int option, found, err = 0;
	char **devices;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		switch (option) {
		case 'n':
			wish.netns = optarg;
			break;
		case 'x':
			found = tps_xdp_mode_find(optarg);
			if (found < 0)
				return misused(session, "--xdp-mode '%s': expected one of %s",
					       optarg, tps_xdp_mode_list());
			wish.mode = found;
			break;
		case 'o':
			wish.gate.observe = true;
			break;
		case 'c':
			err = capacity_read(optarg, wish.gate.capacity, &why);
			if (err)
				return rejected(session, err, &why);
			break;
		case 's':
			wish.gate.secret_file = optarg;
			break;
		default:
			return USAGE;
		}
	}
	if (!words_left(session, argc, argv, -1, &devices))
		return USAGE;
	if (!*devices)
		return misused(session, "no device: ip link shows what there is");
	err = tps_devices_check(wish.netns, devices, &why);
	if (!err)
		err = tps_gate_make(tps_root_choose(session->root), &wish.gate, &gate, &why);
	if (err)
		return failed(session, err, &why);
	if (wish.gate.observe && !gate->is_fresh && !gate->control->observe)
		note("--observe is for a gate that is made; tpsctl observe sets this one "
		     "observing");
	return attach_all(session, gate, &wish, devices, argc - optind);
}

static enum outcome detach_every(struct session *session, struct tps_gate *gate, bool forget)
{
	_cleanup_free_ struct tps_device_entry *devices = NULL;
	struct tps_why why = {};
	bool one;
	size_t count;
	int err = tps_devices_read(gate, &devices, &count);

	for (size_t i = 0; i < count && !err; i++)
		err = tps_device_detach_key(gate, &devices[i].key, &one, &why);
	if (!err && forget)
		err = tps_gate_forget(gate, &why);
	if (err)
		return failed(session, err, &why);
	return written(session, count || forget);
}

enum outcome detach(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("netns", required_argument, 'n'),
						OPTION("all", no_argument, 'a'),
						OPTION("forget", no_argument, 'f'), OPTIONS_SHARED};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct wish wish = {};
	struct tps_why why = {};
	bool changed = false;
	int option, err;
	char **devices;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		switch (option) {
		case 'n':
			wish.netns = optarg;
			break;
		case 'a':
			wish.all = true;
			break;
		case 'f':
			wish.forget = true;
			break;
		default:
			return USAGE;
		}
	}
	if (!words_left(session, argc, argv, -1, &devices))
		return USAGE;
	if (wish.all == (*devices != NULL) || (wish.forget && !wish.all))
		return misused(session, "expected devices, or --all");
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	if (wish.all)
		return detach_every(session, gate, wish.forget);
	for (; *devices; devices++) {
		bool one = false;

		err = tps_device_detach(gate, wish.netns, *devices, &one, &why);
		if (err)
			return failed(session, err, &why);
		changed |= one;
	}
	return written(session, changed);
}
