/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of holding a gate that opening one and making one share. For the library alone.
 */
#ifndef TPS_HOLD_H
#define TPS_HOLD_H

#include "gate.h"

/* Empty, every fd -1; NULL without memory. */
struct tps_gate *tps_hold_new(enum tps_access access);
/* From the maps' fds. */
int tps_hold_capacities(struct tps_gate *gate);
int tps_hold_memory(struct tps_gate *gate, struct tps_why *why);
/* What is pinned below @root; the lock is the giver's business. */
int tps_hold_pinned(const char *root, enum tps_access access, struct tps_gate **ret_gate,
		    struct tps_why *why);

#define _cleanup_gate_ _cleanup_(tps_gate_close_at_end)

#endif
