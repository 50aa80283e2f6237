/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From counts to rates: how fast what callers and strangers count has grown since the last look.
 * Pure arithmetic; knows no map and no terminal.
 */
#ifndef TPSCTL_RATES_H
#define TPSCTL_RATES_H

#include <stdbool.h>
#include <stddef.h>

#include <tps/abi.h>

/* A caller or a stranger. The first part is the giver's, the rest is worked out. */
struct rates_row {
	__u64 id; /* of its kind: slot and generation, or the address */
	bool is_stranger;
	bool is_banned;
	bool is_exempt;
	char name[TPS_NAME_LEN];
	char tier[TPS_TIER_NAME_LEN];
	double limit_per_sec; /* 0: none is known */
	__u64 counted[TPS_VERDICT_MAX];

	double per_sec[TPS_VERDICT_MAX];
	double asked_per_sec;   /* of any verdict */
	double refused_per_sec; /* of any but allowed */
	__u64 refused;          /* so many in all */
	double used;            /* the share of its limit that passed, 0 when there is none */
};

struct rates_seen;

/* What was counted at the last look. Begins as zeros. */
struct rates {
	struct rates_seen *seen; /* by kind and id */
	size_t count;
	__u64 at_ns; /* 0: never */
};
void rates_end(struct rates *rates);

/*
 * Works out @rows, counted at @now_ns, against the look before, and keeps them for the next; sorts
 * them by kind and id. At the first look every rate is 0. No rate is ever negative: where counts
 * fell, the slot or entry was used anew and began at 0. Who was missed by one look is compared with
 * the one before. -ENOMEM: nothing was done.
 */
int rates_step(struct rates *rates, struct rates_row *rows, size_t count, __u64 now_ns);

/* X(enum suffix, word) */
#define RATES_ORDERS(X) \
	X(REFUSED, "refused") X(RATE, "rate") X(USED, "used") X(TOTAL, "total") X(NAME, "name")
enum rates_order {
#define RATES_ENUM(id, text) RATES_BY_##id,
	RATES_ORDERS(RATES_ENUM) RATES_ORDER_MAX
#undef RATES_ENUM
};
/* Numbers falling, names rising; what is equal by name. */
void rates_sort(struct rates_row *rows, size_t count, enum rates_order order);

#endif
