// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fresh gate: loaded, given its first settings, pinned; and forgotten again. Knows what holds
 * before the operator has said anything.
 */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "hold.h"
#include "layout.h"
#include "object.h"
#include "pin.h"
#include "policy_store.h"
#include "root.h"
#include "secret.h"
#include "text.h"
#include "tier.h"

int tps_gate_size(struct bpf_object *object, const __u32 capacity[TPS_MAP_MAX])
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 wanted = capacity[tps_map_by_slot(map) ? TPS_MAP_callers : map];
		int err;

		if (!tps_map_default_capacity(map))
			continue;
		if (!wanted)
			wanted = tps_map_default_capacity(map);
		wanted += tps_map_by_slot(map); /* slot 0 is the strangers' */
		err = bpf_map__set_max_entries(tps_object_map(object, map), wanted);
		if (err)
			return err;
	}
	return 0;
}

/* jiffies are read only where they were understood. */
static void tick_set(const struct bpf_object *object, struct tps_control *control)
{
	const struct bpf_program *clocks = bpf_object__find_program_by_name(object, "clocks");
	__u64 tick_ns, offset_ns;

	if (!clocks || bpf_program__fd(clocks) < 0 ||
	    tps_clock_calibrate(bpf_program__fd(clocks), &tick_ns, &offset_ns))
		return;
	tps_word_store(&control->tick_offset_ns, offset_ns);
	tps_word_store(&control->tick_ns, tick_ns);
}

/* What holds before the operator has said anything. */
static int first_settings(struct tps_gate *gate, const struct bpf_object *object,
			  const __u64 secret[2], struct tps_why *why)
{
	struct tps_tier built_in = {.rate = {TPS_TIER_BUILT_IN_MILLI, 1, 0},
				    .name = TPS_TIER_BUILT_IN};

	tps_word_store(&gate->control->secret[0], secret[0]);
	tps_word_store(&gate->control->secret[1], secret[1]);
	tps_half_store(&gate->control->generation, 1);
	tick_set(object, gate->control);
	return tps_tier_set(gate, &built_in, NULL, why);
}

static int meta_make(struct tps_gate *gate, const struct bpf_object *object)
{
	struct tps_meta meta = {.magic = TPS_MAGIC, .abi_version = TPS_ABI_VERSION};
	int err = tps_layout_hash(bpf_object__btf(object), &meta.layout_hash);

	tps_object_sign(&meta);
	return err ? err : tps_meta_write(gate, &meta);
}

static int adopt_unwritten(struct bpf_object *object, const __u64 secret[2],
			   struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_gate_ struct tps_gate *gate = tps_hold_new(TPS_MAKE);
	int err;

	if (!gate)
		return -ENOMEM;
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		const struct bpf_map *from = tps_object_map(object, map);

		if (!from)
			return tps_why_say(why, -ENOENT, "the object has no map '%s'",
					   tps_map_name(map));
		gate->map_fd[map] = fcntl(bpf_map__fd(from), F_DUPFD_CLOEXEC, 0);
		if (gate->map_fd[map] < 0)
			return -errno;
	}
	err = tps_hold_capacities(gate);
	if (!err)
		err = tps_hold_memory(gate, why);
	if (!err)
		err = first_settings(gate, object, secret, why);
	if (err)
		return err;
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

int tps_gate_adopt(struct bpf_object *object, const __u64 secret[2], struct tps_gate **ret_gate,
		   struct tps_why *why)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	int err = adopt_unwritten(object, secret, &gate, why);

	if (!err)
		err = meta_make(gate, object);
	if (err)
		return err;
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

/* Everything is made and set while unpinned; meta, which says that the rest is whole, comes last.
 */
static int pins_make(struct tps_gate *gate, const struct bpf_object *object)
{
	int err = 0;

	for (int map = 0; map < TPS_MAP_MAX && !err; map++)
		err = tps_pin_make(gate->root, tps_map_name(map), gate->map_fd[map]);
	if (!err)
		err = tps_pin_make(gate->root, TPS_PIN_GATE, gate->gate_fd);
	if (!err)
		err = tps_pin_make(gate->root, TPS_PIN_EGRESS, gate->egress_fd);
	if (!err)
		err = tps_pin_links_make(gate->root);
	return err ? err : meta_make(gate, object);
}

static int gate_load(const char *root, const struct tps_gate_options *options,
		     struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	__u64 secret[2];
	int err;

	object = tps_object_open(&err, why);
	if (!object)
		return err;
	err = tps_gate_size(object, options->capacity);
	if (!err)
		err = tps_object_load(object, why);
	if (err)
		return err;
	err = tps_secret_make(tps_secret_choose(options->secret_file), secret, why);
	if (!err)
		err = adopt_unwritten(object, secret, &gate, why);
	if (err)
		return err;
	gate->root = strdup(root);
	gate->gate_fd = tps_object_program(object, TPS_PIN_GATE);
	gate->egress_fd = tps_object_program(object, TPS_PIN_EGRESS);
	if (!gate->root || gate->gate_fd < 0 || gate->egress_fd < 0)
		return -ENOMEM;
	gate->is_fresh = true;
	tps_half_store(&gate->control->observe, options->observe);
	err = pins_make(gate, object);
	if (err) {
		tps_pins_remove(root);
		return tps_why_say(why, err, "root '%s': cannot pin the gate: %s", root,
				   strerror(-err));
	}
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

/* Capacities are of the making: one that is asked for later must be what is there. */
static int capacities_agree(const struct tps_gate *gate, const struct tps_gate_options *options,
			    struct tps_why *why)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (options->capacity[map] && options->capacity[map] != gate->capacity[map])
			return tps_why_say(
				why, -EEXIST,
				"--capacity %s=%u: the gate at '%s' was made with %u; detach "
				"--all --forget first, then attach anew",
				tps_map_name(map), options->capacity[map], gate->root,
				gate->capacity[map]);
	}
	return 0;
}

/* So is the secret, which one that is named now must be. */
static int secret_agrees(const struct tps_gate *gate, const struct tps_gate_options *options,
			 struct tps_why *why)
{
	const char *file = tps_secret_given(options->secret_file);
	__u64 secret[2];
	int err = file ? tps_secret_read(file, secret, NULL) : 0;

	if (err && err != -ENOENT)
		return tps_secret_read(file, secret, why);
	if (!file || (!err && !memcmp(secret, gate->control->secret, sizeof(secret))))
		return 0;
	return tps_why_say(why, -EEXIST,
			   "secret '%s': the gate at '%s' was made with another; detach --all "
			   "--forget first, then attach anew",
			   file, gate->root);
}

/* Open the gate below @root, or make it. */
static int gate_have(const char *root, const struct tps_gate_options *options,
		     struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_meta meta;
	int err;

	/* what cannot be read may stand and enforce: only what was never made is swept away */
	if (tps_pins_meta(root, &meta) != -ENOENT) {
		err = tps_hold_pinned(root, TPS_WRITE, &gate, why);
		if (!err)
			err = capacities_agree(gate, options, why);
		if (!err)
			err = secret_agrees(gate, options, why);
	} else {
		tps_pins_remove(root);
		err = gate_load(root, options, &gate, why);
	}
	if (err)
		return err;
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

static void lock_remove(const char *root)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s" TPS_LOCK_SUFFIX, root) < (int)sizeof(file))
		unlink(file);
}

int tps_gate_make(const char *root, const struct tps_gate_options *options,
		  struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_close_ int lock_fd = -1;
	struct tps_gate *gate;
	bool was_mounted;
	int err;

	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (options->capacity[map] > TPS_CAPACITY_MAX)
			return tps_why_say(why, -E2BIG, "--capacity %s=%u: at most %u",
					   tps_map_name(map), options->capacity[map],
					   TPS_CAPACITY_MAX);
	}
	if (tps_root_check(root, NULL) != -ENOENT) {
		err = tps_root_check(root, why);
		if (err)
			return err;
	}
	err = tps_lock_take(root, TPS_MAKE, &lock_fd, why);
	if (err)
		return err;
	was_mounted = !tps_root_check(root, NULL);
	err = tps_root_mount(root, why);
	if (!err)
		err = gate_have(root, options, &gate, why);
	if (err) {
		tps_why_say(why, err, "the gate at '%s': %s", root, strerror(-err));
		if (!was_mounted) {
			tps_root_unmount(root, NULL);
			lock_remove(root);
		}
		return err;
	}
	gate->lock_fd = TAKE_FD(lock_fd);
	*ret_gate = gate;
	return 0;
}

int tps_gate_forget(struct tps_gate *gate, struct tps_why *why)
{
	int err = tps_root_unmount(gate->root, why);

	if (err)
		return err;
	tps_policy_kept_forget(gate->root);
	lock_remove(gate->root);
	return 0;
}
