/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices that the gate stands on: bpf_link for XDP, a tc filter for egress, and the map of
 * what is wanted. Knows network namespaces by name; never replaces another's program.
 */
#ifndef TPS_DEVICE_H
#define TPS_DEVICE_H

#include <bpf/bpf.h>

#include "gate.h"

struct tps_programs {
	int gate_fd, egress_fd;
};

struct tps_device_entry {
	struct tps_device_key key;
	struct tps_device device;
	bool wanted;   /* it stands in the map */
	bool attached; /* its link is there and not defunct */
	int egress;    /* so is its filter: 1, 0, or -errno when that cannot be told from here */
	__u32 program_id;
};

/* The device @name of the network namespace @netns (NULL: of this one; see tps_netns_name()). It
 * need not be there. */
int tps_device_key(const char *netns, const char *name, struct tps_device_key *ret_key,
		   struct tps_why *why);
/* 0 when it is there: to know before a gate is made. */
int tps_device_check(const struct tps_device_key *key, struct tps_why *why);

/* Be in the network namespace that the device is of; *ret_back_fd is as of tps_netns_enter(), and
 * left alone where that is here. */
int tps_device_enter(const struct tps_device_key *key, int *ret_back_fd, struct tps_why *why);

/*
 * Put the gate on a device. Already there: changes nothing. Another program there, or the gate on
 * another device that had this name once: -EBUSY, named. *ret_mode (may be NULL, as ret_changed) is
 * what was got: TPS_XDP_AUTO takes generic where native is refused.
 */
int tps_device_attach(struct tps_gate *gate, const struct tps_device_key *key,
		      enum tps_xdp_mode mode, enum tps_xdp_mode *ret_mode, bool *ret_changed,
		      struct tps_why *why);

/* Take it off again: no longer wanted, link detached, pin gone, filter removed. Works too when the
 * device or its namespace has gone meanwhile. Where the gate is not, nothing changes. *ret_ended
 * (may be NULL) is how many spliced connections were ended, which cannot go on without it. */
int tps_device_detach(struct tps_gate *gate, const struct tps_device_key *key, bool *ret_changed,
		      size_t *ret_ended, struct tps_why *why);
/* -ENOENT when the gate is not there and there is no such device either. */
int tps_device_detach_check(const struct tps_gate *gate, const struct tps_device_key *key,
			    struct tps_why *why);

/* The fd of its pinned link and what the kernel says of it, or -ENOENT. ret_info->xdp.ifindex is 0
 * when its device has gone. */
int tps_device_link_open(const struct tps_gate *gate, const struct tps_device_key *key,
			 struct bpf_link_info *ret_info);

/* Other programs in place of those @from on a device where the gate stands, each in one step: no
 * packet goes by unseen. Where the gate is not, nothing changes; nor does it where it fails. */
int tps_device_swap(struct tps_gate *gate, const struct tps_device_key *key,
		    const struct tps_programs *from, const struct tps_programs *to,
		    struct tps_why *why);

/* What is wanted or attached, sorted. The array is the caller's to free. */
int tps_devices_read(const struct tps_gate *gate, struct tps_device_entry **ret_devices,
		     size_t *ret_count);

#endif
