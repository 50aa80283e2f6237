/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policies that a gate was given, kept beside its root in ROOT.policy (0700): `applied`, the
 * last one; `before`, what the gate had before it; `next`, one whose apply has not ended. They live
 * as long as the gate does. The gate's lock guards them.
 */
#ifndef TPS_POLICY_STORE_H
#define TPS_POLICY_STORE_H

#include <time.h>

#include "policy.h"

#define TPS_POLICY_SUFFIX ".policy"

#define TPS_KEPT(X) X(APPLIED, "applied") X(BEFORE, "before") X(NEXT, "next")
#define TPS_ENUM_KEPT(id, text) TPS_KEPT_##id,
enum tps_kept { TPS_KEPT(TPS_ENUM_KEPT) TPS_KEPT_MAX };
#undef TPS_ENUM_KEPT

/* -ENOENT: there is none. *ret_when (may be NULL): when it was written. */
int tps_policy_kept_read(const char *root, enum tps_kept which, const __u64 *secret,
			 struct tps_policy_file **ret_policy, time_t *ret_when,
			 struct tps_why *why);
/* Is there an apply that has not ended? */
bool tps_policy_is_unfinished(const char *root);

/* Before @want is written over @have, and after. What an apply that has not ended wrote over stays
 * what a rollback goes back to. */
int tps_policy_kept_begin(const char *root, const struct tps_policy_file *have,
			  const struct tps_policy_file *want, struct tps_why *why);
int tps_policy_kept_end(const char *root, struct tps_why *why);
/* @want was found to be there already. */
int tps_policy_kept_same(const char *root, const struct tps_policy_file *want, struct tps_why *why);
/* With the gate itself. */
void tps_policy_kept_forget(const char *root);

#endif
