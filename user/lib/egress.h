/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate's tc filter on the clsact egress of a device. Acts in the current network namespace.
 */
#ifndef TPS_EGRESS_H
#define TPS_EGRESS_H

#include <stdbool.h>

#include "why.h"

/* Put the program @fd there; ours there already is replaced, another's is refused (-EBUSY).
 * *ret_made_clsact: was there no clsact qdisc before? */
int tps_egress_attach(int ifindex, int fd, bool *ret_made_clsact, struct tps_why *why);

/* 1 when the program @fd is there, 0 when it is not; -errno when that cannot be told. */
int tps_egress_find(int ifindex, int fd);

/* Remove the filter, and the qdisc if @made_clsact and nobody else has a filter there. */
int tps_egress_detach(int ifindex, bool made_clsact);

#endif
