/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the maps of identities have alike: each entry leads to a slot, whose tenant may have gone.
 * Knows no kind of identity: source.h, key.h and host.h do.
 */
#ifndef TPS_IDENTITY_H
#define TPS_IDENTITY_H

#include "gate.h"

/* Identities of one kind, and whose. */
struct tps_identities {
	void *all; /* an array of the kind's own type */
	struct tps_slot *owners;
	size_t count;
};
void tps_identities_free(struct tps_identities *identities);
#define _cleanup_identities_ _cleanup_(tps_identities_free)

/* Keep those of one tenant, or of every one that lives when @of is NULL. @size is of one. */
void tps_identities_keep(const struct tps_gate *gate, const struct tps_slot *of, size_t size,
			 struct tps_identities *identities);

bool tps_slot_equal(struct tps_slot a, struct tps_slot b);

#endif
