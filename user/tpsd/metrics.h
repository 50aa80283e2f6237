/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The numbers of one scrape: everything that an exposition says, read from the maps and summed over
 * CPUs. Does not know how the text looks (exposition.c).
 */
#ifndef TPSD_METRICS_H
#define TPSD_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include <tps/abi.h>

/* A configured caller that has series of its own. */
struct metrics_caller {
	char name[TPS_NAME_LEN];
	double per_sec; /* its own limit or its tier's; infinite when exempt */
	__u32 burst;
	bool exempt;
	bool banned;
	__u64 verdicts[TPS_VERDICT_MAX];
};

struct metrics_map {
	const char *name; /* static */
	__u64 entries;
	__u64 capacity;
};

struct metrics_device {
	char label[TPS_NETNS_LEN + TPS_DEVICE_LEN]; /* DEVICE, or NETNS:DEVICE */
	__u32 mode;                                 /* enum tps_xdp_mode */
	bool attached;
};

#define METRICS_MAPS_MAX 32
#define METRICS_DEVICES_MAX 256

struct metrics {
	struct tps_control control;
	struct tps_listener listeners[TPS_LISTENERS_MAX];
	struct tps_tier tiers[TPS_TIERS_MAX];
	struct tps_totals totals[TPS_LISTENERS_MAX];
	struct tps_totals all; /* sum of the above that never falls while tpsd runs */

	struct metrics_caller *callers; /* those that are named */
	size_t callers_count;
	__u64 events_lost; /* since the gate was made */
	bool others;       /* there are callers beyond those named */
	__u64 other[TPS_VERDICT_MAX];
	__u64 stranger[TPS_VERDICT_MAX];

	struct metrics_map maps[METRICS_MAPS_MAX];
	size_t maps_count;
	struct metrics_device devices[METRICS_DEVICES_MAX];
	size_t devices_count;
};

struct hold;
struct metrics_reader;

/* A reader of what @hold has (it stays the giver's). At most @callers_max callers are named. */
int metrics_open(const struct hold *hold, size_t callers_max, struct metrics_reader **ret_reader);
void metrics_close(struct metrics_reader *reader);

/* Read everything. The numbers are the reader's, and hold until the next read. */
int metrics_read(struct metrics_reader *reader, const struct metrics **ret_metrics);

#endif
