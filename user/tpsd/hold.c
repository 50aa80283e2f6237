// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holding the gate: maps by libtps, links by their pins; no programs, which may be swapped. A link
 * whose device has gone stays held and says so itself (its ifindex is 0).
 */
#include "hold.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "device.h"

static void label_print(const struct tps_device_key *key, char ret_label[HOLD_LABEL])
{
	snprintf(ret_label, HOLD_LABEL, "%.*s%s%.*s", TPS_NETNS_LEN - 1, key->netns,
		 *key->netns ? ":" : "", TPS_DEVICE_LEN - 1, key->name);
}

/* Is the XDP link @fd on a device? One whose device was removed has ifindex 0. */
static bool link_attached(int fd)
{
	struct bpf_link_info info = {0};
	__u32 bytes = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &bytes) &&
	       info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex;
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {0};
	__u32 bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &bytes) ? 0 : info.id;
}

/* The id of the pinned control map, or 0. */
static __u32 pinned_id(const char *root)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", root, tps_map_name(TPS_MAP_control)) >=
	    (int)sizeof(path))
		return 0;
	fd = bpf_obj_get(path);
	return fd < 0 ? 0 : map_id(fd);
}

static void devices_drop(struct hold_device *devices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (devices[i].link_fd >= 0)
			close(devices[i].link_fd);
}

/* The descriptor of the device's link: of its pin, or else the one that is held (then it is taken
 * from there). */
static int link_open(struct hold *hold, const struct tps_device_key *key, const char *label)
{
	struct bpf_link_info info;
	int fd = tps_device_link_open(hold->gate, key, &info);

	if (fd >= 0)
		return fd;
	for (size_t i = 0; i < hold->devices_count; i++)
		if (!strcmp(hold->devices[i].label, label))
			return TAKE_FD(hold->devices[i].link_fd);
	return -1;
}

static bool listed(const struct hold_device *devices, size_t count, const char *label)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(devices[i].label, label))
			return true;
	return false;
}

/* A walk that meets a deletion begins again: what was met before is left out then. */
static void devices_look(struct hold *hold)
{
	struct hold_device devices[HOLD_DEVICES_MAX];
	int map_fd = hold->gate->map_fd[TPS_MAP_devices];
	struct tps_device_key key, *last = NULL;
	struct hold_device *device;
	struct tps_device wanted;
	size_t count = 0;

	for (int i = 0; count < HOLD_DEVICES_MAX && i < 2 * HOLD_DEVICES_MAX; i++) {
		if (bpf_map_get_next_key(map_fd, last, &key))
			break;
		last = &key;
		device = &devices[count];
		label_print(&key, device->label);
		if (listed(devices, count, device->label) ||
		    bpf_map_lookup_elem(map_fd, &key, &wanted))
			continue;
		device->mode = wanted.mode;
		device->link_fd = link_open(hold, &key, device->label);
		device->attached = link_attached(device->link_fd);
		count++;
	}
	devices_drop(hold->devices, hold->devices_count);
	memcpy(hold->devices, devices, count * sizeof(*devices));
	hold->devices_count = count;
}

static int maps_open(const char *root, struct tps_gate **ret_gate, struct tps_why *why)
{
	int err = tps_gate_open(root, TPS_READ, ret_gate, why);

	if (err)
		return err;
	tps_gate_unlock(*ret_gate);
	tps_gate_close_programs(*ret_gate);
	return 0;
}

void hold_look(struct hold *hold)
{
	__u32 pinned = pinned_id(hold->gate->root);
	struct tps_gate *gate;

	hold->pinned = pinned && pinned == map_id(hold->gate->map_fd[TPS_MAP_control]);
	if (pinned && !hold->pinned && !maps_open(hold->gate->root, &gate, NULL)) {
		devices_drop(hold->devices, hold->devices_count);
		hold->devices_count = 0;
		tps_gate_close(hold->gate);
		hold->gate = gate;
		hold->pinned = true;
		hold->reopened++;
	}
	devices_look(hold);
}

int hold_open(const char *root, struct hold **ret_hold, struct tps_why *why)
{
	struct hold *hold = calloc(1, sizeof(*hold));
	int err;

	if (!hold)
		return tps_why_say(why, -ENOMEM, "out of memory");
	err = maps_open(root, &hold->gate, why);
	if (err) {
		free(hold);
		return err;
	}
	hold_look(hold);
	*ret_hold = hold;
	return 0;
}

void hold_close(struct hold *hold)
{
	if (!hold)
		return;
	devices_drop(hold->devices, hold->devices_count);
	tps_gate_close(hold->gate);
	free(hold);
}
