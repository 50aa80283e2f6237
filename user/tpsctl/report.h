/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What listeners counted, as JSON, and how much of it could be proven. Shared by status and the
 * listener verbs.
 */
#ifndef TPSCTL_REPORT_H
#define TPSCTL_REPORT_H

#include <jansson.h>

#include "gate.h"

json_t *listener_json(const struct tps_gate *gate, int number, const struct tps_totals *totals);
/* Append every listener to @ret_rows. */
void listeners_json(const struct tps_gate *gate, const struct tps_totals totals[TPS_LISTENERS_MAX],
		    json_t *ret_rows);

/* How many transactions of an http or tls listener could not be proven, though what comes on a live
 * connection can be. */
struct share {
	__u64 transactions;
	__u64 unproven;
};
struct share share_of(const struct tps_totals *totals);

/* {reason: count} of what is not zero. */
json_t *packets_json(const struct tps_totals *totals);
json_t *notes_json(const struct tps_totals *totals);

/* Text by verdict, in the order of the contract, added to @ret_object. */
void verdicts_json(const __u64 verdicts[TPS_VERDICT_MAX], json_t *ret_object);

#endif
