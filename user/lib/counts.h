/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gate spent and counted, summed over CPUs, and how full its maps are. Reads only.
 */
#ifndef TPS_COUNTS_H
#define TPS_COUNTS_H

#include "gate.h"
#include "text.h"

struct tps_stranger_entry {
	struct tps_prefix address; /* IPv6: the /64 */
	struct tps_stranger stranger;
};

/* By listener number; 0: what is no listener's. */
int tps_totals_read(const struct tps_gate *gate, struct tps_totals ret_totals[TPS_LISTENERS_MAX]);

/* One slot's, or an array of capacity[TPS_MAP_counters], the caller's to free. */
int tps_counter_read(const struct tps_gate *gate, __u32 slot, struct tps_counter *ret_counter);
int tps_counters_read(const struct tps_gate *gate, struct tps_counter **ret_counters);

int tps_account_read(const struct tps_gate *gate, __u32 slot, struct tps_account *ret_account);

/* The strangers that are remembered; callers' own addresses are left out. */
int tps_strangers_read(const struct tps_gate *gate, struct tps_stranger_entry **ret_strangers,
		       size_t *ret_count);

/* Entries in use. The arrays by slot count the slots that are taken. */
int tps_map_entries(const struct tps_gate *gate, enum tps_map map, __u32 *ret_entries);

#endif
