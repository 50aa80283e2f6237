/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a network device and its driver say of themselves, as far as it matters to XDP. Reads only;
 * acts in the network namespace that the thread is in, and knows no gate.
 */
#ifndef TPS_NIC_H
#define TPS_NIC_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

/* Of what a driver may not tell. */
enum tps_told { TPS_TOLD_NO, TPS_TOLD_YES, TPS_TOLD_NOTHING };

struct tps_nic {
	char driver[32]; /* empty: not told */
	__u32 ifindex;
	__u32 mtu;
	bool is_up;
	enum tps_told native; /* can it run XDP programs? Told since Linux 6.3 */
	enum tps_told frags;  /* also on frames of more than one buffer? */
	bool lro, gro_hw;     /* put segments together before XDP sees them */
	bool rx_vlan;         /* takes VLAN tags off before XDP sees them */
	__u32 queues;         /* that receive; 0: not told */
	__u32 queues_max;
	bool is_combined; /* with those that send */
	__u32 vlans;      /* VLAN devices on it */
};

/* -ENODEV: there is none of that name. */
int tps_nic_read(const char *name, struct tps_nic *ret_nic);

/* The largest MTU whose frames fit in one buffer of a page, as drivers want it that cannot do more:
 * what XDP_PACKET_HEADROOM, skb_shared_info and the Ethernet header leave of it. */
__u32 tps_nic_mtu_of_a_page(void);

/* The ids of programs that see what leaves by @ifindex before or beside the clsact filter that has
 * @handle and @priority: those of tcx (Linux 6.6), and one entry of 0 for each other filter of that
 * priority or an earlier one. How many there are, at most @room of them in @ret_ids; -errno. */
int tps_nic_egress_others(__u32 ifindex, __u32 handle, __u32 priority, __u32 *ret_ids, size_t room);

#endif
