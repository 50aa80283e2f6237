// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes, opens and holds the gate's maps and programs. Knows the names and shapes of the maps and
 * the first settings of a fresh gate.
 */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "layout.h"
#include "tier.h"
#include "root.h"
#include "secret.h"
#include "text.h"

#include "tps.skel.h"

#define CAPACITY_MAX (1U << 26)
#define OLDEST_MAJOR 6
#define OLDEST_MINOR 1

TPS_DEFINE_CLEANUP(struct tps_bpf *, tps_bpf__destroy)
#define _cleanup_object_ _cleanup_(tps_bpf__destroy_at_end)
#define _cleanup_gate_ _cleanup_(tps_gate_close_at_end)

static const struct {
	const char *name;
	__u32 capacity;
} maps[TPS_MAP_MAX] = {
#define ROW(map, size) [TPS_MAP_##map] = {#map, size},
	TPS_MAPS(ROW)
#undef ROW
};

static bool is_by_slot(enum tps_map map)
{
#define TEST(name) map == TPS_MAP_##name ||
	return TPS_MAPS_BY_SLOT(TEST) false;
#undef TEST
}

const char *tps_map_name(enum tps_map map)
{
	return maps[map].name;
}

int tps_map_find(const char *name)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (!strcmp(maps[map].name, name))
			return map;
	}
	return -ENOENT;
}

bool tps_map_sizable(enum tps_map map)
{
	return maps[map].capacity && !is_by_slot(map);
}

__u32 tps_map_default_capacity(enum tps_map map)
{
	return maps[map].capacity;
}

/* ---- mapped memory */

void tps_word_store(__u64 *to, __u64 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

void tps_half_store(__u32 *to, __u32 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

void tps_words_store(void *to, const void *from, size_t bytes)
{
	__u64 *word = to;

	for (size_t i = 0; i < bytes / sizeof(*word); i++) {
		__u64 value;

		memcpy(&value, (const char *)from + i * sizeof(value), sizeof(value));
		if (word[i] != value)
			tps_word_store(&word[i], value);
	}
}

static const struct {
	enum tps_map map;
	size_t field, value_size;
} mapped[] = {
	{TPS_MAP_control, offsetof(struct tps_gate, control), sizeof(struct tps_control)},
	{TPS_MAP_ports, offsetof(struct tps_gate, ports), sizeof(struct tps_port)},
	{TPS_MAP_listeners, offsetof(struct tps_gate, listeners), sizeof(struct tps_listener)},
	{TPS_MAP_tiers, offsetof(struct tps_gate, tiers), sizeof(struct tps_tier)},
	{TPS_MAP_limits, offsetof(struct tps_gate, limits), sizeof(struct tps_limit)},
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

static int memory_map(struct tps_gate *gate, struct tps_why *why)
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

static struct tps_gate *gate_new(enum tps_access access)
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
	if (gate->gate_fd >= 0)
		close(gate->gate_fd);
	if (gate->egress_fd >= 0)
		close(gate->egress_fd);
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

/* ---- this program's idea of the maps */

static struct tps_bpf *object_open(struct tps_why *why, int *ret_err)
{
	struct tps_bpf *object = tps_bpf__open();

	if (!object) {
		*ret_err = -errno;
		tps_why_say(why, *ret_err, "the gate's object cannot be read: %s", strerror(errno));
	}
	return object;
}

static struct bpf_map *object_map(const struct bpf_object *object, enum tps_map map)
{
	return bpf_object__find_map_by_name(object, maps[map].name);
}

/* Are the opened maps those of @object? By layout hash and by shape; capacities may differ. */
static int shape_check(const struct tps_gate *gate, const struct tps_bpf *object,
		       struct tps_why *why)
{
	struct tps_meta meta;
	__u64 hash;
	int err = tps_layout_hash(bpf_object__btf(object->obj), &hash);

	if (!err)
		err = tps_meta_read(gate, &meta);
	if (err)
		return err;
	if (meta.abi_version != TPS_ABI_VERSION || meta.layout_hash != hash)
		return tps_why_say(
			why, -EPROTO,
			"the gate at '%s' was made by tpsctl '%.*s' and has another layout "
			"than this one, '%s': use that tpsctl, or detach --all --forget with "
			"it and attach anew",
			gate->root, (int)sizeof(meta.version), meta.version, TPS_VERSION);
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		const struct bpf_map *wanted = object_map(object->obj, map);
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);

		err = bpf_obj_get_info_by_fd(gate->map_fd[map], &info, &size);
		if (err)
			return err;
		if (!wanted || info.type != bpf_map__type(wanted) ||
		    info.key_size != bpf_map__key_size(wanted) ||
		    info.value_size != bpf_map__value_size(wanted))
			return tps_why_say(why, -EPROTO,
					   "map '%s' at '%s' has another shape than this tpsctl's",
					   maps[map].name, gate->root);
	}
	return 0;
}

static int capacities_read(struct tps_gate *gate)
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

/* ---- pins */

static int pin_path(const char *root, const char *name, char ret_path[PATH_MAX])
{
	return snprintf(ret_path, PATH_MAX, "%s/%s", root, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int pin_open(const char *root, const char *name, bool only_read)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = only_read ? BPF_F_RDONLY : 0);
	char path[PATH_MAX];
	int err = pin_path(root, name, path);

	return err ? err : bpf_obj_get_opts(path, &options);
}

static int pin_make(const char *root, const char *name, int fd)
{
	char path[PATH_MAX];
	int err = pin_path(root, name, path);

	return err ? err : bpf_obj_pin(fd, path);
}

static void pin_remove(const char *root, const char *name)
{
	char path[PATH_MAX];

	if (!pin_path(root, name, path))
		unlink(path);
}

/* Maps, programs and the directory of links; meta first, so that what is half removed counts as
 * half made. */
static void pins_remove(const char *root)
{
	char path[PATH_MAX];

	for (int map = 0; map < TPS_MAP_MAX; map++)
		pin_remove(root, maps[map].name);
	pin_remove(root, TPS_PIN_GATE);
	pin_remove(root, TPS_PIN_EGRESS);
	if (!pin_path(root, TPS_PIN_LINKS, path))
		rmdir(path);
}

/* Is a gate pinned in full? Its meta is written last. */
static bool is_made(const char *root)
{
	_cleanup_close_ int fd = pin_open(root, "meta", true);
	struct tps_meta meta = {};

	return fd >= 0 && !bpf_map_lookup_elem(fd, &(__u32){0}, &meta) && meta.magic == TPS_MAGIC;
}

static int open_failed(const char *root, const char *name, int err, struct tps_why *why)
{
	if (err == -ENOENT)
		return tps_why_say(why, err, "no gate at '%s': make one with tpsctl attach DEVICE",
				   root);
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
		int fd = pin_open(gate->root, maps[map].name, only_read);

		if (fd < 0)
			return open_failed(gate->root, maps[map].name, fd, why);
		gate->map_fd[map] = fd;
	}
	gate->gate_fd = pin_open(gate->root, TPS_PIN_GATE, false);
	if (gate->gate_fd < 0)
		return open_failed(gate->root, TPS_PIN_GATE, gate->gate_fd, why);
	gate->egress_fd = pin_open(gate->root, TPS_PIN_EGRESS, false);
	if (gate->egress_fd < 0)
		return open_failed(gate->root, TPS_PIN_EGRESS, gate->egress_fd, why);
	return 0;
}

/* Open what is pinned, the lock being held. */
static int gate_open_locked(const char *root, enum tps_access access, struct tps_gate **ret_gate,
			    struct tps_why *why)
{
	_cleanup_object_ struct tps_bpf *object = NULL;
	_cleanup_gate_ struct tps_gate *gate = gate_new(access);
	int err;

	if (!gate)
		return -ENOMEM;
	gate->root = strdup(root);
	if (!gate->root)
		return -ENOMEM;
	err = pins_open(gate, why);
	if (err)
		return err;
	if (!is_made(root))
		return open_failed(root, "meta", -ENOENT, why);
	object = object_open(why, &err);
	if (!object)
		return err;
	err = shape_check(gate, object, why);
	if (!err)
		err = capacities_read(gate);
	if (!err)
		err = memory_map(gate, why);
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
		err = gate_open_locked(root, access, &gate, why);
	if (err)
		return err;
	gate->lock_fd = TAKE_FD(lock_fd);
	*ret_gate = gate;
	return 0;
}

/* ---- a fresh gate */

int tps_gate_size(struct bpf_object *object, const __u32 capacity[TPS_MAP_MAX])
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 wanted = capacity[is_by_slot(map) ? TPS_MAP_callers : map];
		int err;

		if (!maps[map].capacity)
			continue;
		if (!wanted)
			wanted = maps[map].capacity;
		wanted += is_by_slot(map); /* slot 0 is the strangers' */
		err = bpf_map__set_max_entries(object_map(object, map), wanted);
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
	struct tps_tier built_in = {.rate = {100000, 1, 0}, .name = TPS_TIER_BUILT_IN};

	tps_word_store(&gate->control->secret[0], secret[0]);
	tps_word_store(&gate->control->secret[1], secret[1]);
	tps_half_store(&gate->control->generation, 1);
	tick_set(object, gate->control);
	return tps_tier_set(gate, &built_in, NULL, why);
}

static int meta_make(struct tps_gate *gate, const struct bpf_object *object)
{
	struct tps_meta meta = {
		.magic = TPS_MAGIC, .abi_version = TPS_ABI_VERSION, .version = TPS_VERSION};
	int err = tps_layout_hash(bpf_object__btf(object), &meta.layout_hash);

	return err ? err : tps_meta_write(gate, &meta);
}

static int adopt_unwritten(struct bpf_object *object, const __u64 secret[2],
			   struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_gate_ struct tps_gate *gate = gate_new(TPS_MAKE);
	int err;

	if (!gate)
		return -ENOMEM;
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		const struct bpf_map *from = object_map(object, map);

		if (!from)
			return tps_why_say(why, -ENOENT, "the object has no map '%s'",
					   maps[map].name);
		gate->map_fd[map] = fcntl(bpf_map__fd(from), F_DUPFD_CLOEXEC, 0);
		if (gate->map_fd[map] < 0)
			return -errno;
	}
	err = capacities_read(gate);
	if (!err)
		err = memory_map(gate, why);
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

static int kernel_check(struct tps_why *why)
{
	int major = 0, minor = 0;
	struct utsname kernel;

	if (uname(&kernel) || sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
		return 0; /* loading tells */
	if (major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR))
		return 0;
	return tps_why_say(why, -EOPNOTSUPP, "kernel '%s': tps needs Linux %d.%d or later",
			   kernel.release, OLDEST_MAJOR, OLDEST_MINOR);
}

static int load_failed(int err, struct tps_why *why)
{
	if (err == -EPERM || err == -EACCES)
		return tps_why_say(why, err,
				   "the kernel refused the gate: %s; loading it needs CAP_BPF, "
				   "CAP_NET_ADMIN and CAP_PERFMON (root)",
				   strerror(-err));
	if (err == -ENOMEM || err == -E2BIG)
		return tps_why_say(why, err,
				   "the gate's maps do not fit in memory: %s; give smaller ones "
				   "with --capacity MAP=N",
				   strerror(-err));
	return tps_why_say(why, err, "the kernel refused the gate: %s; tpsctl -v says more",
			   strerror(-err));
}

/* Everything is made and set while unpinned; meta, which says that the rest is whole, comes last.
 */
static int pins_make(struct tps_gate *gate, const struct tps_bpf *object)
{
	char path[PATH_MAX];
	int err = 0;

	for (int map = 0; map < TPS_MAP_MAX && !err; map++)
		err = pin_make(gate->root, maps[map].name, gate->map_fd[map]);
	if (!err)
		err = pin_make(gate->root, TPS_PIN_GATE, gate->gate_fd);
	if (!err)
		err = pin_make(gate->root, TPS_PIN_EGRESS, gate->egress_fd);
	if (!err)
		err = pin_path(gate->root, TPS_PIN_LINKS, path);
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	return err ? err : meta_make(gate, object->obj);
}

static int gate_load(const char *root, const struct tps_gate_options *options,
		     struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_object_ struct tps_bpf *object = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	__u64 secret[2];
	int err = kernel_check(why);

	if (err)
		return err;
	object = object_open(why, &err);
	if (!object)
		return err;
	err = tps_gate_size(object->obj, options->capacity);
	if (err)
		return err;
	err = tps_bpf__load(object);
	if (err)
		return load_failed(err, why);
	err = tps_secret_make(tps_secret_choose(options->secret_file), secret, why);
	if (!err)
		err = adopt_unwritten(object->obj, secret, &gate, why);
	if (err)
		return err;
	gate->root = strdup(root);
	gate->gate_fd = fcntl(bpf_program__fd(object->progs.gate), F_DUPFD_CLOEXEC, 0);
	gate->egress_fd = fcntl(bpf_program__fd(object->progs.egress), F_DUPFD_CLOEXEC, 0);
	if (!gate->root || gate->gate_fd < 0 || gate->egress_fd < 0)
		return -ENOMEM;
	tps_half_store(&gate->control->observe, options->observe);
	err = pins_make(gate, object);
	if (err) {
		pins_remove(root);
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
				maps[map].name, options->capacity[map], gate->root,
				gate->capacity[map]);
	}
	return 0;
}

int tps_gate_make(const char *root, const struct tps_gate_options *options,
		  struct tps_gate **ret_gate, struct tps_why *why)
{
	_cleanup_close_ int lock_fd = -1;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	int err;

	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (options->capacity[map] > CAPACITY_MAX)
			return tps_why_say(why, -E2BIG, "--capacity %s=%u: at most %u",
					   maps[map].name, options->capacity[map], CAPACITY_MAX);
	}
	err = tps_lock_take(root, TPS_MAKE, &lock_fd, why);
	if (!err)
		err = tps_root_mount(root, why);
	if (err)
		return err;
	if (is_made(root)) {
		err = gate_open_locked(root, TPS_WRITE, &gate, why);
		if (!err)
			err = capacities_agree(gate, options, why);
	} else {
		pins_remove(root);
		err = gate_load(root, options, &gate, why);
	}
	if (err)
		return tps_why_say(why, err, "the gate at '%s': %s", root, strerror(-err));
	gate->lock_fd = TAKE_FD(lock_fd);
	*ret_gate = TAKE_PTR(gate);
	return 0;
}

int tps_gate_forget(struct tps_gate *gate, struct tps_why *why)
{
	char file[PATH_MAX];
	int err;

	pins_remove(gate->root);
	err = tps_root_unmount(gate->root, why);
	if (err)
		return err;
	if (snprintf(file, sizeof(file), "%s" TPS_LOCK_SUFFIX, gate->root) < (int)sizeof(file))
		unlink(file);
	return 0;
}
