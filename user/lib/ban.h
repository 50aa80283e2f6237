/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bans by hand, of a prefix or a caller. Knows the order of entry and length bit.
 */
#ifndef TPS_BAN_H
#define TPS_BAN_H

#include "gate.h"
#include "text.h"

#define TPS_BAN_FOR_EVER (~0ULL)
#define TPS_BAN_OF_POLICY 0 /* tps_ban.made_s: the policy's own, and nobody's else */

struct tps_ban_entry {
	struct tps_prefix prefix;
	struct tps_ban ban;
};

/* @seconds 0: until lifted. @reason may be NULL. A ban that is there is replaced. */
int tps_ban_prefix(struct tps_gate *gate, const struct tps_prefix *prefix, __u64 seconds,
		   const char *reason, struct tps_why *why);
int tps_ban_caller(struct tps_gate *gate, const char *name, __u64 seconds, const char *reason,
		   struct tps_why *why);
/* Is it banned until lifted, with this reason? Then to ban it so again changes nothing. */
bool tps_ban_prefix_stands(const struct tps_gate *gate, const struct tps_prefix *prefix,
			   const char *reason);
bool tps_ban_caller_stands(const struct tps_gate *gate, const char *name, const char *reason);
/* What is not banned is not changed. -ENOENT when there is no such caller. */
int tps_unban_prefix(struct tps_gate *gate, const struct tps_prefix *prefix, bool *ret_changed);
int tps_unban_caller(struct tps_gate *gate, const char *name, bool *ret_changed,
		     struct tps_why *why);

/* Prefix bans that still hold at @now_ns (CLOCK_MONOTONIC; 0: all), sorted by prefix. The array is
 * the caller's to free. */
int tps_bans_read(const struct tps_gate *gate, __u64 now_ns, struct tps_ban_entry **ret_bans,
		  size_t *ret_count);

/* Does the gate look for bans of this length? A killed command may have left one that it does not.
 */
bool tps_ban_is_seen(const struct tps_gate *gate, const struct tps_prefix *prefix);
/* The policy's own, until lifted. One by hand that holds so long stays as it is; one that would end
 * by itself no longer does, and stays by hand. Lifting leaves those by hand alone. */
int tps_bans_put(struct tps_gate *gate, const struct tps_prefix *prefixes, size_t count,
		 struct tps_why *why);
int tps_bans_lift(struct tps_gate *gate, const struct tps_prefix *prefixes, size_t count);

/* CLOCK_MONOTONIC. */
__u64 tps_now_ns(void);

#endif
