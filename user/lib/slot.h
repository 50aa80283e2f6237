/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots: which are free, and how one comes to a tenant and leaves it. Knows limits, buckets and
 * counters; knows no name and no identity.
 */
#ifndef TPS_SLOT_H
#define TPS_SLOT_H

#include "gate.h"

/*
 * Find @count free slots, zero what their last tenants left, and write down a generation for each
 * that nobody had before. Nothing is taken yet. -ENOSPC: there are not as many.
 */
int tps_slots_find(struct tps_gate *gate, size_t count, struct tps_slot *ret_slots);

/* Let the tenant @slot in, or change what it may do: its generation comes with its limit. */
void tps_slot_put(struct tps_gate *gate, struct tps_slot slot, const struct tps_limit *limit);
/* From now on every reference to @slot's tenant is stale. */
void tps_slot_free(struct tps_gate *gate, struct tps_slot slot);

/* Is @slot's tenant still the one that is meant? */
bool tps_slot_is_live(const struct tps_gate *gate, struct tps_slot slot);

#endif
