/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between two policies, as a person and as a program reads it; and whether the gate
 * has drifted from the last one that was applied.
 */
#ifndef TPSCTL_DIFFERENCE_H
#define TPSCTL_DIFFERENCE_H

#include "policy.h"
#include "verb.h"

/* What would have to be done to @have; DIFFERS when there is anything and @exit_code. */
enum outcome differences_show(struct session *session, const struct tps_policy_file *have,
			      const struct tps_policy_file *want, bool exit_code);

/* {applied_unix_s, unfinished, drift, differences}: from what is there to what was applied. A
 * sentence goes to @ret_warnings where something is to be done. */
int drift_json(const struct tps_gate *gate, json_t *ret_warnings, json_t **ret_policy);

#endif
