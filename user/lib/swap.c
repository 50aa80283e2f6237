// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order of a swap. meta disowns the programs first and owns the new ones last; so what is
 * killed between is told from what has ended. Old and new read the same maps, so it does not matter
 * which of them a packet meets, nor that it meets the one as it comes and the other as its answer
 * leaves.
 */
#include "swap.h"

#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "device.h"
#include "hold.h"
#include "object.h"
#include "pin.h"

struct swap {
	struct tps_gate *gate;
	struct tps_device_entry *devices;
	size_t count;
	struct tps_programs from, to;
	bool is_torn; /* what was changed could not be changed back */
};

static void swap_end(struct swap *swap)
{
	free(swap->devices);
	tps_close_at_end(&swap->to.gate_fd);
	tps_close_at_end(&swap->to.egress_fd);
}
#define _cleanup_swap_ _cleanup_(swap_end)

/* This build's programs, over the gate's maps. */
static int programs_load(struct swap *swap, struct tps_why *why)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	int err;

	object = tps_object_open(&err, why);
	if (!object)
		return err;
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		err = bpf_map__reuse_fd(tps_object_map(object, map), swap->gate->map_fd[map]);
		if (err)
			return err;
	}
	err = tps_object_load(object, why);
	if (err)
		return err;
	swap->to.gate_fd = tps_object_program(object, TPS_PIN_GATE);
	swap->to.egress_fd = tps_object_program(object, TPS_PIN_EGRESS);
	return swap->to.gate_fd < 0     ? swap->to.gate_fd
	       : swap->to.egress_fd < 0 ? swap->to.egress_fd
					: 0;
}

/* The first @count devices back to what they had. */
static void devices_back(struct swap *swap, size_t count)
{
	while (count--) {
		if (tps_device_swap(swap->gate, &swap->devices[count].key, &swap->to, &swap->from,
				    NULL))
			swap->is_torn = true;
	}
}

static int devices_swap(struct swap *swap, struct tps_why *why)
{
	for (size_t i = 0; i < swap->count; i++) {
		int err = tps_device_swap(swap->gate, &swap->devices[i].key, &swap->from, &swap->to,
					  why);

		if (err) {
			devices_back(swap, i);
			return err;
		}
	}
	return 0;
}

static int pins_put(const struct tps_gate *gate, const struct tps_programs *programs)
{
	int err = tps_pin_replace(gate->root, TPS_PIN_GATE, programs->gate_fd);

	return err ? err : tps_pin_replace(gate->root, TPS_PIN_EGRESS, programs->egress_fd);
}

/* Everywhere, and said so in @meta; or nowhere, unless it is torn. */
static int swap_all(struct swap *swap, struct tps_meta *meta, struct tps_why *why)
{
	int err = devices_swap(swap, why);

	if (err)
		return err;
	err = pins_put(swap->gate, &swap->to);
	if (!err) {
		tps_object_sign(meta);
		err = tps_meta_write(swap->gate, meta);
	}
	if (err) {
		swap->is_torn = pins_put(swap->gate, &swap->from) != 0;
		devices_back(swap, swap->count);
	}
	return err;
}

static int swap_marked(struct swap *swap, const struct tps_meta *before, struct tps_why *why)
{
	struct tps_meta meta = *before;
	int err;

	meta.object_hash = 0;
	err = tps_meta_write(swap->gate, &meta);
	if (!err)
		err = swap_all(swap, &meta, why);
	if (err && !swap->is_torn)
		tps_meta_write(swap->gate, before);
	return err;
}

/* The sweep's timer runs, and keeps, the program that set it: the next refusal sets the new one's.
 * What fails does no harm, since the old one sweeps on. */
static void sweep_end(const struct tps_gate *gate)
{
	int fd = gate->map_fd[TPS_MAP_splicing];
	struct tps_splicing of;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &of))
		return;
	of = (struct tps_splicing){.tagged = of.tagged};
	bpf_map_update_elem(fd, &zero, &of, BPF_ANY);
}

int tps_swap(struct tps_gate *gate, bool *ret_changed, struct tps_why *why)
{
	_cleanup_swap_ struct swap swap = {
		.gate = gate, .from = {gate->gate_fd, gate->egress_fd}, .to = {-1, -1}};
	struct tps_meta meta;
	int err = tps_meta_read(gate, &meta);

	if (!err && tps_object_signed(&meta)) {
		*ret_changed = false;
		return 0;
	}
	if (!err)
		err = tps_devices_read(gate, &swap.devices, &swap.count);
	if (!err)
		err = programs_load(&swap, why);
	if (!err)
		err = swap_marked(&swap, &meta, why);
	if (err)
		return tps_why_say(why, err, "the gate at '%s': its programs cannot be swapped: %s",
				   gate->root, strerror(-err));
	gate->gate_fd = TAKE_FD(swap.to.gate_fd);
	gate->egress_fd = TAKE_FD(swap.to.egress_fd);
	swap.to = swap.from; /* the gate's no longer */
	sweep_end(gate);
	*ret_changed = true;
	return 0;
}
