/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of what is pinned and of the files beside it. Knows nothing of what is in the maps.
 */
#ifndef TPS_NAMES_H
#define TPS_NAMES_H

#define TPS_ROOT_DEFAULT "/run/tps/bpf" /* a private bpffs; TPS_ROOT or --root selects another */
#define TPS_ROOT_ENV "TPS_ROOT"
#define TPS_SECRET_DEFAULT "/etc/tps/secret"
#define TPS_LOCK_SUFFIX ".lock" /* flock, beside the root */

#define TPS_PIN_GATE "gate"     /* the XDP program */
#define TPS_PIN_EGRESS "egress" /* the tc program */
#define TPS_PIN_NEXT "next"     /* a program that is about to take the place of either */
#define TPS_PIN_LINKS "links"   /* a directory: DEVICE, or NETNS:DEVICE */

/* The tc filter on clsact egress. */
#define TPS_TC_HANDLE 0x747073 /* "tps" */
#define TPS_TC_PRIORITY 1

/* Every pinned map: X(name, capacity that `--capacity NAME=N` may set, or 0 when it is fixed).
 * The name is the pin name and the name in metrics. */
#define TPS_MAPS(X) \
	X(meta, 0) \
	X(control, 0) \
	X(devices, 0) \
	X(ports, 0) \
	X(listeners, 0) \
	X(listener_buckets, 0) \
	X(tiers, 0) \
	X(callers, 65536) \
	X(limits, 65536) \
	X(buckets, 65536) \
	X(counters, 65536) \
	X(sources4, 65536) \
	X(sources6, 65536) \
	X(keys, 65536) \
	X(hosts, 65536) \
	X(bans, 65536) \
	X(strangers, 262144) \
	X(flows, 131072) \
	X(handshakes, 16384) \
	X(spliced, 65536) \
	X(spliced_ports, 0) \
	X(spliced_sources, 0) \
	X(splicing, 0) \
	X(totals, 0) \
	X(events, 0)

/* Of these, the arrays by slot follow `callers`: they are not set by themselves. */
#define TPS_MAPS_BY_SLOT(X) X(limits) X(buckets) X(counters)

#endif
