/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What listeners counted, as JSON, and whether their traffic could be proven. Shared by status and
 * the listener verbs.
 */
#ifndef TPSCTL_REPORT_H
#define TPSCTL_REPORT_H

#include <jansson.h>

#include "gate.h"

json_t *listener_json(const struct tps_gate *gate, int number, const struct tps_totals *totals);
/* Append every listener to @ret_rows. */
int listeners_json(const struct tps_gate *gate, json_t *ret_rows);

/* {reason: count} of what is not zero. */
json_t *packets_json(const struct tps_totals *totals);
json_t *notes_json(const struct tps_totals *totals);

/* Text by verdict, in the order of the contract, added to @ret_object. */
void verdicts_json(const __u64 verdicts[TPS_VERDICT_MAX], json_t *ret_object);

#endif
