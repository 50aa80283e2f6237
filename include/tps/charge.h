/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A charge: transactions of a segment that are all of one caller, as who read them can tell. Knows
 * no map and no caller. Dual.
 */
#ifndef TPS_CHARGE_H
#define TPS_CHARGE_H

#include <linux/types.h>

/* To whom. UNDECIDED and SOURCE: to the source. */
enum charge_kind {
	CHARGE_SOURCE, /* nobody is named */
	CHARGE_KEY,
	CHARGE_UNDECIDED,
	CHARGE_BOUND, /* to the caller that the flow is bound to */
};

struct charge {
	__u64 hash[2]; /* KEY: SipHash of the key under the secret */
	__u32 heads;   /* at least 1 */
	__u8 kind;     /* enum charge_kind */
	__u8 reason;   /* UNDECIDED: enum tps_reason */
	__u16 zero;
};

#endif
