/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a policy that was read to a gate that has it: what an apply is, for tpsctl and tpsd alike.
 * The gate must be open for writing; to compare, for reading.
 */
#ifndef TPS_POLICY_PUT_H
#define TPS_POLICY_PUT_H

#include "policy.h"

/* What the gate has; what it does not know (`tpsd:`) is of the policy that was applied last. */
int tps_policy_standing(const struct tps_gate *gate, struct tps_policy_file **ret_have,
			struct tps_why *why);

/* Hold @want against the gate: what the gate has, to which callers that are banned by hand are kept
 * in @want, or why @want cannot be there (its secret, its size). */
int tps_policy_meet(const struct tps_gate *gate, struct tps_policy_file *want,
		    struct tps_policy_file **ret_have, struct tps_why *why);

/* Make the gate what @want says, its devices last, and keep both beside it for `rollback` and
 * `status`. @have is of tps_policy_meet(), under the same lock. Where there is nothing to do,
 * nothing is written. */
int tps_policy_put(struct tps_gate *gate, const struct tps_policy_file *have,
		   const struct tps_policy_file *want, tps_progress_tell tell, bool *ret_changed,
		   struct tps_why *why);

#endif
