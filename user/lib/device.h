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
	bool wanted;   /* it stands in the map */
	bool attached; /* its link is there and not defunct */
	__u32 program_id;
};

/*
 * Put the gate on @name, in the network namespace @netns (NULL: this one, under its name if it has
 * one). Already there: changes nothing. Another program there: -EBUSY, named. *ret_mode (may be
 * NULL, as ret_changed) is what was got: TPS_XDP_AUTO takes generic where native is refused.
 */
int tps_device_attach(struct tps_gate *gate, const char *netns, const char *name,
		      enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, bool *ret_changed,
		      struct tps_why *why);

/* 0 when every one of the @names (NULL ends them) is there: to know before a gate is made. */
int tps_devices_check(const char *netns, char *const *names, struct tps_why *why);

/* Take it off again: no longer wanted, link detached, pin gone, filter removed. Works too when the
 * device or its namespace has gone meanwhile. -ENOENT when the gate is not there and there is no
 * such device; where there is one, nothing changes. */
int tps_device_detach(struct tps_gate *gate, const char *netns, const char *name, bool *ret_changed,
		      struct tps_why *why);

/* The same for a device as tps_devices_read() tells it. */
int tps_device_detach_key(struct tps_gate *gate, const struct tps_device_key *key,
			  bool *ret_changed, struct tps_why *why);

/* What is wanted or attached, sorted. The array is the caller's to free. */
int tps_devices_read(const struct tps_gate *gate, struct tps_device_entry **ret_devices,
		     size_t *ret_count);

#endif
