/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On which ports somebody on this host listens, in the network namespace that the thread is in.
 */
#ifndef TPS_LISTENING_H
#define TPS_LISTENING_H

#include <stdbool.h>

#include <linux/types.h>

struct tps_listening {
	__u64 tcp[65536 / 64];
	__u64 udp[65536 / 64];
};

/* Adds what there is here. */
int tps_listening_add(struct tps_listening *listening);

bool tps_listening_has(const __u64 ports[65536 / 64], __u16 port);

#endif
