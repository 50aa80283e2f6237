// SPDX-License-Identifier: GPL-2.0-only
/*
 * A gate in hand: its pins opened, its arrays mapped, its layout checked. Knows the shapes of the
 * maps, not their entries.
 */
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "hold.h"
#include "layout.h"
#include "object.h"
#include "pin.h"
#include "root.h"

static const struct {
	enum tps_map map;
	size_t field, value_size;
} mapped[] = {
	{TPS_MAP_control, offsetof(struct tps_gate, control), sizeof(struct tps_control)},
	{TPS_MAP_ports, offsetof(struct tps_gate, ports), sizeof(struct tps_port)},
	{TPS_MAP_listeners, offsetof(struct tps_gate, listeners), sizeof(struct tps_listener)},
	{TPS_MAP_tiers, offsetof(struct tps_gate, tiers), sizeof(struct tps_tier)},
	{TPS_MAP_limits, offsetof(struct tps_gate, limits), sizeof(struct tps_limit)},
	{TPS_MAP_spliced_ports, offsetof(struct tps_gate, spliced_ports),
	 sizeof(struct tps_spliced_count)},
	{TPS_MAP_spliced_sources, offsetof(struct tps_gate, spliced_sources),
	 sizeof(struct tps_spliced_count)},
	{TPS_MAP_events, offsetof(struct tps_gate, events), sizeof(struct tps_events)},
};
#define MAPPED_COUNT (sizeof(mapped) / sizeof(*mapped))

static void **mapped_field(struct tps_gate *gate, unsigned int i)
{
	return (void **)((char *)gate + mapped[i].field);
}

static size_t mapped_bytes(const struct tps_gate *gate, unsigned int i)
{
	return mapped[i].value_size * gate->capacity[mapped[i].map];
}

int tps_hold_memory(struct tps_gate *gate, struct tps_why *why)
{
	int protection = gate->access == TPS_READ ? PROT_READ : PROT_READ | PROT_WRITE;

	for (unsigned int i = 0; i < MAPPED_COUNT; i++) {
		void *at = mmap(NULL, mapped_bytes(gate, i), protection, MAP_SHARED,
				gate->map_fd[mapped[i].map], 0);
		int err = -errno;

		if (at == MAP_FAILED)
			return tps_why_say(why, err, "map '%s': cannot map it to memory: %s",
					   tps_map_name(mapped[i].map), strerror(-err));
		*mapped_field(gate, i) = at;
	}
	return 0;
}

/* ---- a gate in hand */

struct tps_gate *tps_hold_new(enum tps_access access)
{
	struct tps_gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return NULL;
	for (int map = 0; map < TPS_MAP_MAX; map++)
		gate->map_fd[map] = -1;
	gate->gate_fd = -1;
	gate->egress_fd = -1;
	gate->lock_fd = -1;
	gate->access = access;
	gate->cpus = libbpf_num_possible_cpus();
	return gate;
}

void tps_gate_unlock(struct tps_gate *gate)
{
	if (gate->lock_fd >= 0)
		close(gate->lock_fd);
	gate->lock_fd = -1;
}

void tps_gate_close_programs(struct tps_gate *gate)
{
	if (gate->gate_fd >= 0)
		close(gate->gate_fd);
	if (gate->egress_fd >= 0)
		close(gate->egress_fd);
	gate->gate_fd = -1;
	gate->egress_fd = -1;
}

void tps_gate_close(struct tps_gate *gate)
{
	if (!gate)
		return;
	for (unsigned int i = 0; i < MAPPED_COUNT; i++) {
		if (*mapped_field(gate, i))
			munmap(*mapped_field(gate, i), mapped_bytes(gate, i));
	}
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (gate->map_fd[map] >= 0)
			close(gate->map_fd[map]);
	}
	tps_gate_close_programs(gate);
	tps_gate_unlock(gate);
	free(gate->root);
	free(gate);
}

int tps_meta_read(const struct tps_gate *gate, struct tps_meta *ret_meta)
{
	return bpf_map_lookup_elem(gate->map_fd[TPS_MAP_meta], &(__u32){0}, ret_meta);
}

int tps_meta_write(const struct tps_gate *gate, const struct tps_meta *meta)
{
	return bpf_map_update_elem(gate->map_fd[TPS_MAP_meta], &(__u32){0}, meta, BPF_ANY);
}

/* Do the entries of the gate that has @meta mean what those of @object's maps do? */
static int layout_check(const char *root, const struct tps_meta *meta,
			const struct bpf_object *object, struct tps_why *why)
{
	__u64 hash;
	int err = tps_layout_hash(bpf_object__btf(object), &hash);

	if (err)
		return err;
	if (meta->magic == TPS_MAGIC && meta->abi_version == TPS_ABI_VERSION &&
	    meta->layout_hash == hash)
		return 0;
	return tps_why_say(why, -EPROTO,
			   "the gate at '%s' was made by tpsctl '%.*s' and has another layout "
			   "than this one, '%s': use that tpsctl, or detach --all --forget with "
			   "it and attach anew",
			   root, (int)sizeof(meta->version), meta->version, TPS_VERSION);
}

/* Capacities may differ. */
static int shapes_check(const struct tps_gate *gate, const struct bpf_object *object,
			struct tps_why *why)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		const struct bpf_map *wanted = tps_object_map(object, map);
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);
		int err = bpf_obj_get_info_by_fd(gate->map_fd[map], &info, &size);

		if (err)
			return err;
		if (!wanted || info.type != bpf_map__type(wanted) ||
		    info.key_size != bpf_map__key_size(wanted) ||
		    info.value_size != bpf_map__value_size(wanted))
			return tps_why_say(why, -EPROTO,
					   "map '%s' at '%s' has another shape than this tpsctl's",
					   tps_map_name(map), gate->root);
	}
	return 0;
}

int tps_hold_capacities(struct tps_gate *gate)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);
		int err = bpf_obj_get_info_by_fd(gate->map_fd[map], &info, &size);

		if (err)
			return err;
		gate->capacity[map] = info.max_entries;
	}
	return 0;
}

static int open_failed(const char *root, const char *name, int err, struct tps_why *why)
{
	if (err == -ENOENT && !strcmp(name, tps_map_name(TPS_MAP_meta)))
		return tps_why_say(why, err, "no gate at '%s': make one with tpsctl attach DEVICE",
				   root);
	if (err == -ENOENT)
		return tps_why_say(why, err,
				   "'%s/%s' is no longer pinned: umount '%s' takes the gate away, "
				   "then attach anew",
				   root, name, root);
	return tps_why_say(why, err, "'%s/%s': %s%s", root, name, strerror(-err),
			   err == -EPERM || err == -EACCES
				   ? "; it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (root)"
				   : "");
}

/* mmap(2) takes a file that is open for reading alone for a private one, which the kernel refuses.
 */
static bool is_mapped(enum tps_map map)
{
	for (unsigned int i = 0; i < MAPPED_COUNT; i++) {
		if (mapped[i].map == map)
			return true;
	}
	return false;
}

static int pins_open(struct tps_gate *gate, struct tps_why *why)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		bool only_read = gate->access == TPS_READ && !is_mapped(map);
		int fd = tps_pin_open(gate->root, tps_map_name(map), only_read);

		if (fd < 0)
			return open_failed(gate->root, tps_map_name(map), fd, why);
		gate->map_fd[map] = fd;
	}
	gate->gate_fd = tps_pin_open(gate->root, TPS_PIN_GATE, false);
	if (gate->gate_fd < 0)
		return open_failed(gate->root, TPS_PIN_GATE, gate->gate_fd, why);
	gate->egress_fd = tps_pin_open(gate->root, TPS_PIN_EGRESS, false);
	if (gate->egress_fd < 0)
		return open_failed(gate->root, TPS_PIN_EGRESS, gate->egress_fd, why);
	return 0;
}

int tps_hold_pinned(const char *root, enum tps_access access, struct tps_gate **ret_gate,
		    struct tps_why *why)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	_cleanup_gate_ struct tps_gate *gate = tps_hold_new(access);
	struct tps_meta meta;
	int err;

	if (!gate)
		return -ENOMEM;
	gate->root = strdup(root);
	if (!gate->root)
		return -ENOMEM;
	err = tps_pins_meta(root, &meta);
	if (err)
		return open_failed(root, tps_map_name(TPS_MAP_meta), err, why);
	object = tps_object_open(&err, why);
	if (!object)
		return err;
	err = layout_check(root, &meta, object, why);
	if (!err)
		err = pins_open(gate, why);
	if (!err)
		err = shapes_check(gate, object, why);
	if (!err)
		err = tps_hold_capacities(gate);
	if (!err)
		err = tps_hold_memory(gate, why);
	if (err)
		return tps_why_say(why, err, "the gate at '%s': %s", root, strerror(-err));
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

int tps_gate_open(const char *root, enum tps_access access, struct tps_gate **ret_gate,
		  struct tps_why *why)
{
	_cleanup_close_ int lock_fd = -1;
	struct tps_gate *gate;
	int err = tps_lock_take(root, access, &lock_fd, why);

	if (!err)
		err = tps_root_check(root, why);
	if (!err)
		err = tps_hold_pinned(root, access, &gate, why);
	if (err)
		return err;
	gate->lock_fd = TAKE_FD(lock_fd);
	*ret_gate = gate;
	return 0;
}
