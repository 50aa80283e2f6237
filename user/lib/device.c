// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts the gate on devices and takes it off. The order: the pinned link before the entry that wants
 * it, and the entry before the link when it goes; so what is killed half-way is finished by running
 * it again.
 */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "control.h"
#include "dump.h"
#include "egress.h"
#include "label.h"
#include "netns.h"
#include "program.h"
#include "drain.h"

/* ---- pins of links: DEVICE or NETNS:DEVICE. A bpffs refuses dots in names, device names have
 * them. */

static void name_escape(const char *name, char **at)
{
	for (; *name; name++) {
		if (*name == '.' || *name == '%' || *name == ':')
			*at += sprintf(*at, "%%%02x", *name);
		else
			*(*at)++ = *name;
	}
	**at = '\0';
}

static void name_unescape(const char *from, size_t len, char *ret_name, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < len && count + 1 < size; i++) {
		unsigned int byte = from[i];

		if (byte == '%' && i + 2 < len && sscanf(from + i + 1, "%2x", &byte) == 1)
			i += 2;
		ret_name[count++] = byte;
	}
	ret_name[count] = '\0';
}

static int link_path(const struct tps_gate *gate, const struct tps_device_key *key,
		     char ret_path[PATH_MAX])
{
	char pin[3 * (TPS_NETNS_LEN + TPS_DEVICE_LEN) + 2], *at = pin;

	if (key->netns[0]) {
		name_escape(key->netns, &at);
		*at++ = ':';
	}
	name_escape(key->name, &at);
	if (snprintf(ret_path, PATH_MAX, "%s/" TPS_PIN_LINKS "/%s", gate->root, pin) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

static struct tps_device_key pin_key(const char *pin)
{
	const char *colon = strchr(pin, ':');
	struct tps_device_key key = {};

	if (colon)
		name_unescape(pin, colon - pin, key.netns, sizeof(key.netns));
	pin = colon ? colon + 1 : pin;
	name_unescape(pin, strlen(pin), key.name, sizeof(key.name));
	return key;
}

int tps_device_link_open(const struct tps_gate *gate, const struct tps_device_key *key,
			 struct bpf_link_info *ret_info)
{
	_cleanup_close_ int fd = -1;
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	int err = link_path(gate, key, path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (err)
		return err;
	*ret_info = info;
	return TAKE_FD(fd);
}

static void link_unpin(const struct tps_gate *gate, const struct tps_device_key *key)
{
	char path[PATH_MAX];

	if (!link_path(gate, key, path))
		unlink(path);
}

/* ---- which device is meant */

#define DEVICE_TEXT (TPS_NETNS_LEN + TPS_DEVICE_LEN + 32)

static const char *device_text(const struct tps_device_key *key, char ret_text[DEVICE_TEXT])
{
	if (key->netns[0])
		sprintf(ret_text, "'%s' in network namespace '%s'", key->name, key->netns);
	else
		sprintf(ret_text, "'%s'", key->name);
	return ret_text;
}

int tps_device_key(const char *netns, const char *name, struct tps_device_key *ret_key,
		   struct tps_why *why)
{
	struct tps_device_key key = {};
	int err;

	if (!*name || strlen(name) >= sizeof(key.name) || strchr(name, '/'))
		return tps_why_say(why, -EINVAL,
				   "device '%s': expected the name of a network device", name);
	strcpy(key.name, name);
	err = netns ? tps_netns_check(netns, why) : tps_netns_name(key.netns, why);
	if (err)
		return err;
	if (netns)
		strcpy(key.netns, netns);
	*ret_key = key;
	return 0;
}

int tps_device_enter(const struct tps_device_key *key, int *ret_back_fd, struct tps_why *why)
{
	char ours[TPS_NETNS_LEN];

	if (!tps_netns_name(ours, NULL) && !strcmp(ours, key->netns))
		return 0;
	if (!key->netns[0])
		return tps_why_say(why, -ENXIO, "device '%s' is of the host's network namespace",
				   key->name);
	return tps_netns_enter(key->netns, ret_back_fd, why);
}

int tps_device_check(const struct tps_device_key *key, struct tps_why *why)
{
	char text[DEVICE_TEXT];
	_cleanup_netns_ int back_fd = -1;
	int err = tps_device_enter(key, &back_fd, why);

	if (!err && !if_nametoindex(key->name))
		err = tps_why_say(why, -ENODEV, "no device %s: ip link shows what there is",
				  device_text(key, text));
	return err;
}

/* ---- attach */

/* The XDP program of a device here, or 0. */
static __u32 program_on(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query(ifindex, 0, &query))
		return 0;
	return query.prog_id       ? query.prog_id
	       : query.drv_prog_id ? query.drv_prog_id
				   : query.skb_prog_id;
}

static int busy(const char *text, int ifindex, int err, struct tps_why *why)
{
	char program[TPS_PROGRAM_TEXT];
	__u32 id = program_on(ifindex);

	if (!id)
		return tps_why_say(why, err, "device %s: %s", text, strerror(-err));
	return tps_why_say(
		why, -EBUSY,
		"device %s: the XDP program %s is there already; remove it first (bpftool "
		"net, bpftool link)",
		text, tps_program_print(id, program));
}

static int link_failed(const char *text, int ifindex, enum tps_xdp_mode mode, int err,
		       struct tps_why *why)
{
	if (err == -EBUSY || err == -EEXIST)
		return busy(text, ifindex, err, why);
	if (err == -EPERM)
		return tps_why_say(why, err,
				   "device %s: attaching needs CAP_NET_ADMIN and CAP_BPF "
				   "(root)",
				   text);
	if (mode == TPS_XDP_NATIVE)
		return tps_why_say(
			why, err,
			"device %s: its driver refused native XDP: %s; try --xdp-mode auto", text,
			strerror(-err));
	return tps_why_say(why, err, "device %s: XDP was refused: %s", text, strerror(-err));
}

static int link_make(const char *text, int ifindex, int program, enum tps_xdp_mode mode,
		     enum tps_xdp_mode *ret_mode, struct tps_why *why)
{
	LIBBPF_OPTS(bpf_link_create_opts, options);
	int fd = -1, err = -EOPNOTSUPP;

	if (mode != TPS_XDP_GENERIC) {
		options.flags = XDP_FLAGS_DRV_MODE;
		fd = bpf_link_create(program, ifindex, BPF_XDP, &options);
		err = fd;
		*ret_mode = TPS_XDP_NATIVE;
	}
	if (fd < 0 && mode != TPS_XDP_NATIVE && err != -EBUSY && err != -EEXIST && err != -EPERM) {
		options.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(program, ifindex, BPF_XDP, &options);
		*ret_mode = TPS_XDP_GENERIC;
	}
	return fd < 0 ? link_failed(text, ifindex, mode, fd, why) : fd;
}

/* The gate is there already: the egress filter and the entry may not be, after a kill. */
static int attach_again(struct tps_gate *gate, const struct tps_device_key *key, int ifindex,
			enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, bool *ret_changed,
			struct tps_why *why)
{
	char text[DEVICE_TEXT];
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct tps_device device = {}, before = {};
	bool is_wanted = !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_devices], key, &before);
	bool has_egress = tps_egress_find(ifindex, gate->egress_fd) == 1, made_clsact;
	int err;

	bpf_xdp_query(ifindex, 0, &query);
	device.mode = query.attach_mode == XDP_ATTACHED_SKB ? TPS_XDP_GENERIC : TPS_XDP_NATIVE;
	device.ifindex = ifindex;
	if (mode != TPS_XDP_AUTO && mode != device.mode)
		return tps_why_say(why, -EBUSY,
				   "device %s: attached in mode '%s', wanted '%s'; detach it first",
				   device_text(key, text), tps_xdp_mode_text(device.mode),
				   tps_xdp_mode_text(mode));
	err = tps_egress_attach(ifindex, gate->egress_fd, &made_clsact, why);
	if (err)
		return err;
	device.flags = before.flags | (made_clsact ? TPS_DEVICE_CLSACT : 0);
	if (ret_changed)
		*ret_changed =
			!has_egress || !is_wanted || memcmp(&device, &before, sizeof(device));
	if (ret_mode)
		*ret_mode = device.mode;
	return bpf_map_update_elem(gate->map_fd[TPS_MAP_devices], key, &device, BPF_ANY);
}

static int attach_new(struct tps_gate *gate, const struct tps_device_key *key, int ifindex,
		      enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, struct tps_why *why)
{
	char text[DEVICE_TEXT], path[PATH_MAX];
	struct tps_device device = {.ifindex = ifindex};
	_cleanup_close_ int fd = -1;
	enum tps_xdp_mode got;
	bool made_clsact;
	int err = link_path(gate, key, path);

	if (err)
		return err;
	device_text(key, text);
	tps_epoch_raise(gate); /* what went by meanwhile, nobody followed */
	fd = link_make(text, ifindex, gate->gate_fd, mode, &got, why);
	if (fd < 0)
		return fd;
	err = tps_egress_attach(ifindex, gate->egress_fd, &made_clsact, why);
	if (err)
		return tps_why_say(why, err, "device %s: %s", text, strerror(-err));
	device.mode = got;
	device.flags = made_clsact ? TPS_DEVICE_CLSACT : 0;
	link_unpin(gate, key); /* of a device that has gone and come back */
	err = bpf_obj_pin(fd, path);
	if (!err)
		err = bpf_map_update_elem(gate->map_fd[TPS_MAP_devices], key, &device, BPF_ANY);
	if (err) {
		unlink(path);
		tps_egress_detach(ifindex, made_clsact);
		return tps_why_say(why, err, "device %s: %s", text,
				   err == -E2BIG ? "the map 'devices' is full" : strerror(-err));
	}
	if (ret_mode)
		*ret_mode = got;
	return 0;
}

/* The link of that name is on a device, which was renamed since or is in a namespace that had this
 * one's name: to unpin it would take the gate off there. */
static int elsewhere(const struct tps_device_key *key, __u32 ifindex, struct tps_why *why)
{
	char text[DEVICE_TEXT], now[IF_NAMESIZE] = "";

	if_indextoname(ifindex, now);
	return tps_why_say(
		why, -EBUSY,
		"device %s: this is another device now; the gate was put on number %u%s%s%s "
		"by that name: tpsctl detach %s first",
		device_text(key, text), ifindex, *now ? " (now '" : "", now, *now ? "')" : "",
		key->name);
}

int tps_device_attach(struct tps_gate *gate, const struct tps_device_key *key,
		      enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, bool *ret_changed,
		      struct tps_why *why)
{
	_cleanup_netns_ int back_fd = -1;
	_cleanup_close_ int fd = -1;
	struct bpf_link_info info;
	__u32 ifindex;
	int err;

	if (!gate->root || gate->control->tick_ns == TPS_TICK_OF_REPLAY_NS)
		return tps_why_say(
			why, -EINVAL,
			"device '%s': a gate of a replay, whose clock is a capture's, is "
			"put on no device",
			key->name);
	err = tps_device_check(key, why);
	if (!err)
		err = tps_device_enter(key, &back_fd, why);
	if (err)
		return err;
	ifindex = if_nametoindex(key->name);
	fd = tps_device_link_open(gate, key, &info);
	if (fd >= 0 && info.xdp.ifindex == ifindex && info.prog_id == program_on(ifindex))
		return attach_again(gate, key, ifindex, mode, ret_mode, ret_changed, why);
	if (fd >= 0 && info.xdp.ifindex)
		return elsewhere(key, info.xdp.ifindex, why);
	err = attach_new(gate, key, ifindex, mode, ret_mode, why);
	if (!err && ret_changed)
		*ret_changed = true;
	return err;
}

/* ---- swap */

int tps_device_swap(struct tps_gate *gate, const struct tps_device_key *key,
		    const struct tps_programs *from, const struct tps_programs *to,
		    struct tps_why *why)
{
	char text[DEVICE_TEXT];
	_cleanup_netns_ int back_fd = -1;
	struct bpf_link_info info;
	_cleanup_close_ int fd = tps_device_link_open(gate, key, &info);
	struct tps_device device;
	bool made_clsact;
	int err;

	if (fd == -ENOENT || (fd >= 0 && !info.xdp.ifindex))
		return 0;
	err = fd < 0 ? fd : tps_device_enter(key, &back_fd, why);
	if (err)
		return tps_why_say(why, err, "device %s: %s", device_text(key, text),
				   strerror(-err));
	if (program_on(info.xdp.ifindex) != info.prog_id)
		return elsewhere(key, info.xdp.ifindex, why);
	err = tps_egress_attach(info.xdp.ifindex, to->egress_fd, &made_clsact, why);
	if (err)
		return err;
	if (made_clsact && !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_devices], key, &device)) {
		device.flags |= TPS_DEVICE_CLSACT;
		bpf_map_update_elem(gate->map_fd[TPS_MAP_devices], key, &device, BPF_EXIST);
	}
	err = bpf_link_update(fd, to->gate_fd, NULL);
	if (!err || err == -ENOLINK) /* the device went meanwhile */
		return 0;
	tps_egress_attach(info.xdp.ifindex, from->egress_fd, &made_clsact, NULL);
	return tps_why_say(why, err, "device %s: its program cannot be swapped: %s",
			   device_text(key, text), strerror(-err));
}

/* ---- detach */

int tps_device_detach_check(const struct tps_gate *gate, const struct tps_device_key *key,
			    struct tps_why *why)
{
	char text[DEVICE_TEXT];
	struct bpf_link_info info;
	_cleanup_close_ int fd = tps_device_link_open(gate, key, &info);
	struct tps_device device;

	if (fd >= 0 || !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_devices], key, &device) ||
	    !tps_device_check(key, NULL))
		return 0;
	return tps_why_say(why, -ENOENT,
			   "device %s: the gate is not on it; tpsctl status shows where it is",
			   device_text(key, text));
}

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tps_device_key));
}

/* Is the gate on a device of the same index, which then is in another network namespace?
 * Connections are known by the index. */
static bool index_is_shared(const struct tps_gate *gate, const struct tps_device_key *key,
			    __u32 ifindex)
{
	_cleanup_free_ struct tps_device_entry *entries = NULL;
	size_t count;

	if (tps_devices_read(gate, &entries, &count))
		return true;
	for (size_t i = 0; i < count; i++) {
		if (entries[i].device.ifindex == ifindex && by_key(&entries[i].key, key))
			return true;
	}
	return false;
}

int tps_device_detach(struct tps_gate *gate, const struct tps_device_key *key, bool *ret_changed,
		      size_t *ret_ended, struct tps_why *why)
{
	char text[DEVICE_TEXT];
	_cleanup_netns_ int back_fd = -1;
	struct bpf_link_info info = {};
	_cleanup_close_ int fd = tps_device_link_open(gate, key, &info);
	struct tps_device device = {};
	bool is_wanted = !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_devices], key, &device);
	__u32 ifindex = fd >= 0 ? info.xdp.ifindex : device.ifindex;
	bool is_there = ifindex && !tps_device_enter(key, &back_fd, NULL);
	size_t ended = 0, late = 0;
	int err;

	/* where the kernel cannot end them (INET_DIAG_DESTROY) the gate goes all the same */
	if (is_there)
		tps_splices_end(gate, ifindex, &ended);
	if (is_wanted)
		bpf_map_delete_elem(gate->map_fd[TPS_MAP_devices], key);
	err = fd >= 0 ? bpf_link_detach(fd) : 0;
	if (err && err != -ENOLINK && ifindex)
		return tps_why_say(why, err, "device %s: cannot be detached: %s",
				   device_text(key, text), strerror(-err));
	link_unpin(gate, key);
	/* what was answered meanwhile; its resets leave translated */
	if (is_there)
		tps_splices_end(gate, ifindex, &late);
	if (ret_ended)
		*ret_ended = ended + late;
	/* With a device that has gone went its filter. */
	if (is_there)
		tps_egress_detach(ifindex, device.flags & TPS_DEVICE_CLSACT);
	if (ifindex && !index_is_shared(gate, key, ifindex))
		tps_splices_forget(gate, ifindex);
	*ret_changed = is_wanted || fd >= 0;
	return 0;
}

/* ---- list */

static void state_fill(const struct tps_gate *gate, struct tps_device_entry *entry)
{
	_cleanup_netns_ int back_fd = -1;
	struct bpf_link_info info;
	_cleanup_close_ int fd = tps_device_link_open(gate, &entry->key, &info);

	if (fd < 0)
		return;
	entry->attached = info.xdp.ifindex != 0;
	entry->program_id = info.prog_id;
	if (!entry->wanted)
		entry->device.ifindex = info.xdp.ifindex;
	entry->egress = tps_device_enter(&entry->key, &back_fd, NULL);
	if (entry->attached && !entry->egress)
		entry->egress = tps_egress_find(info.xdp.ifindex, gate->egress_fd);
}

static void directory_close(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Pinned links that nobody wants (a detach was killed) are told too. */
static int unwanted_add(const struct tps_gate *gate, struct tps_device_entry **entries,
			size_t *count)
{
	_cleanup_(directory_close) DIR *directory = NULL;
	const struct dirent *pin;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" TPS_PIN_LINKS, gate->root) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	directory = opendir(path);
	while (directory && (pin = readdir(directory))) {
		struct tps_device_key key;
		struct tps_device_entry *grown;
		bool known = pin->d_name[0] == '.';

		key = pin_key(pin->d_name);
		for (size_t i = 0; i < *count && !known; i++)
			known = !by_key(&(*entries)[i].key, &key);
		if (known)
			continue;
		grown = realloc(*entries, (*count + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*entries = grown;
		grown[(*count)++] = (struct tps_device_entry){.key = key};
	}
	return 0;
}

int tps_devices_read(const struct tps_gate *gate, struct tps_device_entry **ret_devices,
		     size_t *ret_count)
{
	_cleanup_free_ void *keys = NULL, *values = NULL;
	_cleanup_free_ struct tps_device_entry *entries = NULL;
	size_t count;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_devices], &keys, &values, &count);

	if (err)
		return err;
	entries = calloc(count ? count : 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		entries[i].key = ((struct tps_device_key *)keys)[i];
		entries[i].device = ((struct tps_device *)values)[i];
		entries[i].wanted = true;
	}
	err = gate->root ? unwanted_add(gate, &entries, &count) : 0;
	if (err)
		return err;
	for (size_t i = 0; i < count && gate->root; i++)
		state_fill(gate, &entries[i]);
	qsort(entries, count, sizeof(*entries), by_key);
	*ret_devices = TAKE_PTR(entries);
	*ret_count = count;
	return 0;
}
