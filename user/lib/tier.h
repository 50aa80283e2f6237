/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tiers: a name and a limit that many callers share, and which of them is the default. @ret_changed
 * may be NULL; what changes needs a gate that is open for writing.
 */
#ifndef TPS_TIER_H
#define TPS_TIER_H

#include "gate.h"

#define TPS_TIER_BUILT_IN "free"
#define TPS_TIER_BUILT_IN_MILLI 100000 /* a second */

/* The number of the tier of that name, or -ENOENT. */
int tps_tier_find(const struct tps_gate *gate, const char *name);
/* The same, and @why says what to do. */
int tps_tier_need(const struct tps_gate *gate, const char *name, struct tps_why *why);

/*
 * Make or change the tier @want->name. Read: name, rate, burst_given (0: the burst follows the
 * rate); the rest is derived.
 */
int tps_tier_set(struct tps_gate *gate, const struct tps_tier *want, bool *ret_changed,
		 struct tps_why *why);
/* The same, whatever a transaction costs anywhere: for who has looked at that. */
int tps_tier_put(struct tps_gate *gate, const struct tps_tier *want, struct tps_why *why);
/* Refused (-EBUSY) for the default tier and while a caller is in it; -ENOENT when there is none. */
int tps_tier_delete(struct tps_gate *gate, const char *name, struct tps_why *why);
int tps_default_tier_set(struct tps_gate *gate, const char *name, bool *ret_changed,
			 struct tps_why *why);

/* Tokens of the dearest listener: a burst below them would never admit anything there. */
__u32 tps_cost_max(const struct tps_gate *gate);

#endif
