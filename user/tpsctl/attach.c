// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach and detach: the gate on devices.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "label.h"
#include "netns.h"
#include "root.h"
#include "swap.h"
#include "drain.h"
#include "text.h"
#include "verbs.h"

/* What was asked of either verb. */
struct wish {
	const char *netns;
	enum tps_xdp_mode mode;
	struct tps_gate_options gate;
	bool all;
	bool forget;
	__u64 drain_s;
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

/* ---- the devices that are meant, found out before anything is done */

struct devices {
	struct tps_device_key *keys;
	size_t count;
};

static void devices_end(struct devices *devices)
{
	free(devices->keys);
}
#define _cleanup_devices_ _cleanup_(devices_end)

static int device_add(struct devices *devices, const struct tps_device_key *key)
{
	struct tps_device_key *grown =
		reallocarray(devices->keys, devices->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	devices->keys = grown;
	grown[devices->count++] = *key;
	return 0;
}

static int devices_named(const char *netns, char *const *names, struct devices *devices,
			 struct tps_why *why)
{
	struct tps_device_key key;
	int err = 0;

	for (; *names && !err; names++) {
		err = tps_device_key(netns, *names, &key, why);
		if (!err)
			err = device_add(devices, &key);
	}
	return err;
}

/* Where the gate is, in @netns (NULL: anywhere). One that has gone may have left something. */
static int devices_all(const struct tps_gate *gate, const char *netns, struct devices *devices,
		       struct tps_why *why)
{
	_cleanup_free_ struct tps_device_entry *entries = NULL;
	_cleanup_netns_ int back_fd = -1;
	size_t count;
	int err = tps_devices_read(gate, &entries, &count);

	for (size_t i = 0; i < count && !err; i++) {
		if (!netns || !strcmp(entries[i].key.netns, netns))
			err = device_add(devices, &entries[i].key);
	}
	if (!err && netns && !devices->count)
		err = tps_netns_enter(netns, &back_fd, why);
	return err;
}

/* ---- attach */

/* Does the gate stand on the device? */
static bool stands_on(const struct tps_gate *gate, const struct tps_device_key *key)
{
	struct bpf_link_info info;
	_cleanup_close_ int fd = tps_device_link_open(gate, key, &info);

	return fd >= 0 && info.xdp.ifindex;
}

/* Off the devices that this command put the gate on before it failed; what it mended on others
 * stays. */
static void undo(struct tps_gate *gate, const struct devices *devices, const bool *made)
{
	bool one;

	for (size_t i = 0; i < devices->count; i++) {
		if (made[i])
			tps_device_detach(gate, &devices->keys[i], &one, NULL, NULL);
	}
	if (gate->is_fresh)
		tps_gate_forget(gate, NULL);
}

static enum outcome attach_all(struct session *session, struct tps_gate *gate,
			       const struct wish *wish, const struct devices *devices)
{
	_cleanup_free_ bool *made = calloc(devices->count, sizeof(*made));
	bool changed = gate->is_fresh, swapped;
	struct tps_why why = {};
	int err = made ? 0 : -ENOMEM;

	for (size_t i = 0; i < devices->count && !err; i++) {
		const struct tps_device_key *key = &devices->keys[i];
		bool stood = stands_on(gate, key), one = false;
		enum tps_xdp_mode mode;

		err = tps_device_attach(gate, key, wish->mode, &mode, &one, &why);
		if (err)
			break;
		made[i] = one && !stood;
		if (made[i] && wish->mode == TPS_XDP_AUTO && mode == TPS_XDP_GENERIC)
			note("device '%s': native XDP was refused, attached in generic mode: "
			     "slower",
			     key->name);
		changed |= one;
	}
	if (!err)
		err = tps_swap(gate, &swapped, &why);
	if (err) {
		if (made)
			undo(gate, devices, made);
		return failed(session, err, &why);
	}
	return written(session, changed || swapped);
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
	_cleanup_devices_ struct devices devices = {};
	struct tps_why why = {};
	int option, found, err = 0;
	char **names;

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
	if (!words_left(session, argc, argv, -1, &names))
		return USAGE;
	if (!*names)
		return misused(session, "no device: ip link shows what there is");
	err = devices_named(wish.netns, names, &devices, &why);
	for (size_t i = 0; i < devices.count && !err; i++)
		err = tps_device_check(&devices.keys[i], &why);
	if (!err)
		err = tps_gate_make(tps_root_choose(session->root), &wish.gate, &gate, &why);
	if (err)
		return failed(session, err, &why);
	/* a detach that was killed may have left it */
	tps_half_store(&gate->control->draining, 0);
	if (wish.gate.observe && !gate->is_fresh && !gate->control->observe)
		note("--observe is for a gate that is made; tpsctl observe sets this one "
		     "observing");
	return attach_all(session, gate, &wish, &devices);
}

/* ---- detach */

#define DRAIN_LOOK_US 100000

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

/* Waits until no spliced connection is left, @seconds at most; no further one is made meanwhile. */
static int drain(struct tps_gate *gate, __u64 seconds)
{
	size_t left = 0;
	int err = 0;

	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	for (__u64 looks = seconds * 1000000 / DRAIN_LOOK_US; looks && !err && !is_interrupted;
	     looks--) {
		err = tps_splices_count(gate, 0, &left);
		if (!left)
			break;
		usleep(DRAIN_LOOK_US);
	}
	return err;
}

static enum outcome detach_all(struct session *session, struct tps_gate *gate,
			       const struct devices *devices, const struct wish *wish)
{
	bool one, changed = wish->forget;
	struct tps_why why = {};
	size_t ended, all = 0;
	int err = 0;

	/* nothing more is spliced: what is, would have to be ended */
	tps_half_store(&gate->control->draining, 1);
	if (wish->drain_s)
		err = drain(gate, wish->drain_s);
	if (!err && is_interrupted)
		err = tps_why_say(&why, -EINTR,
				  "interrupted while connections drained: the gate stays where it "
				  "is");
	for (size_t i = 0; i < devices->count && !err; i++) {
		err = tps_device_detach(gate, &devices->keys[i], &one, &ended, &why);
		changed |= !err && one;
		all += err ? 0 : ended;
	}
	tps_half_store(&gate->control->draining, 0);
	if (all)
		note("%zu connections with answered requests were reset", all);
	if (!err && wish->forget)
		err = tps_gate_forget(gate, &why);
	return err ? failed(session, err, &why) : written(session, changed);
}

enum outcome detach(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {
		OPTION("netns", required_argument, 'n'), OPTION("all", no_argument, 'a'),
		OPTION("forget", no_argument, 'f'), OPTION("drain", required_argument, 'd'),
		OPTIONS_SHARED};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	_cleanup_devices_ struct devices devices = {};
	struct wish wish = {};
	struct tps_why why = {};
	int option, err;
	char **names;

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
		case 'd':
			if (tps_duration_parse(optarg, &wish.drain_s, &why))
				return rejected(session, -EINVAL, &why);
			break;
		default:
			return USAGE;
		}
	}
	if (!words_left(session, argc, argv, -1, &names))
		return USAGE;
	if (wish.all == (*names != NULL) || (wish.forget && !wish.all))
		return misused(session, "expected devices, or --all");
	if (wish.forget && wish.netns)
		return misused(session, "--forget is of the whole gate, not of a namespace");
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (!err)
		err = wish.all ? devices_all(gate, wish.netns, &devices, &why)
			       : devices_named(wish.netns, names, &devices, &why);
	for (size_t i = 0; i < devices.count && !err; i++)
		err = tps_device_detach_check(gate, &devices.keys[i], &why);
	if (!err && wish.forget)
		err = tps_root_idle_check(gate->root, &why);
	return err ? failed(session, err, &why) : detach_all(session, gate, &devices, &wish);
}
