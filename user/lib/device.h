/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices that the gate stands on: bpf_link for XDP, a tc filter for egress, and the map of
 * what is wanted. Knows network namespaces by name; never replaces another's program.
 */
#ifndef TPS_DEVICE_H
#define TPS_DEVICE_H

#include "gate.h"

struct tps_device_entry {
	struct tps_device_key key;
	struct tps_device device;
	bool attached; /* the link is there and not defunct */
	__u32 program_id;
};

/*
 * Put the gate on @name, in the network namespace @netns (NULL: this one, by its name if it has
 * one). Already there: changes nothing. Another program there: -EBUSY, named. *ret_mode is what was
 * got; with TPS_XDP_AUTO that is generic where native was refused (then *ret_changed and the mode
 * tell).
 */
int tps_device_attach(struct tps_gate *gate, const char *netns, const char *name,
		      enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, bool *ret_changed,
		      struct tps_why *why);

/* Take it off again: no longer wanted, link detached, pin gone, filter removed. Works too when the
 * device has gone meanwhile. -ENOENT when it was not wanted. */
int tps_device_detach(struct tps_gate *gate, const char *netns, const char *name,
		      struct tps_why *why);

/* The wanted devices, sorted. The array is the caller's to free. */
int tps_devices_read(const struct tps_gate *gate, struct tps_device_entry **ret_devices,
		     size_t *ret_count);

/* The name under /run/netns of this process's network namespace, or "". */
int tps_netns_name(char ret_name[TPS_NETNS_LEN]);

#endif
