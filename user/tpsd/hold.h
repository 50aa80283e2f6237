/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tpsd holds of the gate: its maps, and a descriptor of every link, so that a bpffs that is
 * unmounted does not take the gate off its devices. Knows what is wanted and what is there; changes
 * nothing.
 */
#ifndef TPSD_HOLD_H
#define TPSD_HOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "gate.h"

#define HOLD_LABEL (TPS_NETNS_LEN + TPS_DEVICE_LEN)
#define HOLD_DEVICES_MAX 256

/* A device that the gate is wanted on. */
struct hold_device {
	char label[HOLD_LABEL]; /* DEVICE, or NETNS:DEVICE */
	__u32 mode;             /* enum tps_xdp_mode */
	int link_fd;            /* or -1 */
	bool attached;          /* the link is there and its device is, too */
};

struct hold {
	struct tps_gate *gate;
	bool pinned;    /* what is held is what is pinned below the root */
	__u32 reopened; /* how often another gate was found in its place */
	struct hold_device devices[HOLD_DEVICES_MAX]; /* in the order of the map */
	size_t devices_count;
};

/* Open the gate pinned below @root and take hold of its links. */
int hold_open(const char *root, struct hold **ret_hold, struct tps_why *why);
void hold_close(struct hold *hold);

/* Look again: is the gate still pinned, has another taken its place (then that one is held from
 * here on), which devices are wanted, and which have it. */
void hold_look(struct hold *hold);

#endif
