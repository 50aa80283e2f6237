/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Claims: the identities that a change gives to a caller and takes from it, of every kind by the
 * same words. Knows when an identity may change hands; what else a caller is, caller.c knows.
 *
 * Worked out before anything is written; what fails half-way is taken back; what goes, goes last.
 */
#ifndef TPS_CLAIM_H
#define TPS_CLAIM_H

#include "caller.h"
#include "kind.h"

/* Of one kind. */
struct tps_claim {
	const struct tps_list_change *change;
	struct tps_identities there; /* what was read of the map, but what is written over */
	const void **put, **remove;  /* what goes in, and out */
	size_t put_count, remove_count;
};

struct tps_claims {
	const char *name;     /* the caller's */
	struct tps_slot slot; /* generation 0: a new caller, which has none yet */
	struct tps_claim of[TPS_IDENTITY_MAX];
};

/* @change must live as long as the claims. An identity that another caller has is refused naming it
 * (-EEXIST); one that is given twice, or given and taken, is -EINVAL. */
int tps_claims_plan(const struct tps_gate *gate, const char *name, struct tps_slot slot,
		    const struct tps_caller_change *change, struct tps_claims *ret_claims,
		    struct tps_why *why);
void tps_claims_end(struct tps_claims *claims);

/* Write the identities that are new, to @slot. What fails has been taken back. */
int tps_claims_put(struct tps_gate *gate, struct tps_claims *claims, struct tps_slot slot,
		   struct tps_why *why);
void tps_claims_take_back(struct tps_gate *gate, struct tps_claims *claims);
/* Remove what goes. */
void tps_claims_finish(struct tps_gate *gate, struct tps_claims *claims);
/* Is anything put or removed? */
bool tps_claims_change(const struct tps_claims *claims);

/* The sentence for a full map; another error is returned as it is. */
int tps_map_full(const char *caller, enum tps_map map, int err, struct tps_why *why);

#endif
