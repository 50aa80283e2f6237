/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate's clock as people read it: an instant in local time (ISO 8601) and how long ago it was.
 * Also the last refusal, which is such an instant with its reason.
 */
#ifndef TPSCTL_WHEN_H
#define TPSCTL_WHEN_H

#include <jansson.h>

#include "gate.h"

#define WHEN_TEXT 40 /* 2026-11-24T17:41:05.123+01:00 */
#define AGO_TEXT 24  /* 3 s ago */

/* @at_ns is CLOCK_MONOTONIC, with thousandths of a second where @is_exact. */
const char *when_print(__u64 at_ns, bool is_exact, char ret_text[WHEN_TEXT]);
const char *ago_print(__u64 at_ns, __u64 now_ns, char ret_text[AGO_TEXT]);

/* `2026-11-24T17:41:05+01:00 (3 s ago)`, or `never` for 0. */
json_t *when_text(__u64 at_ns, __u64 now_ns);
/* {time, ago_s}, or null for 0. */
json_t *when_json(__u64 at_ns, __u64 now_ns);

/* The word TPS_LAST: {time, ago_s, verdict, reason, listener}, or null; and as one line. */
json_t *last_json(const struct tps_gate *gate, __u64 last, __u64 now_ns);
json_t *last_text(const struct tps_gate *gate, __u64 last, __u64 now_ns);

#endif
