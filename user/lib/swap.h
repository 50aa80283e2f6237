/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * This build's programs in place of another's, under traffic: over the same maps, under the same
 * links.
 */
#ifndef TPS_SWAP_H
#define TPS_SWAP_H

#include "gate.h"

/*
 * Swap the programs of a gate that is open for writing, on every device that it stands on, where
 * they are not of this build. At any moment each device has the old program or the new one. What
 * fails has changed nothing; what is killed is ended by the next swap, of whichever build.
 */
int tps_swap(struct tps_gate *gate, bool *ret_changed, struct tps_why *why);

#endif
