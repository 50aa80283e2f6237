/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listeners whose traffic can mostly not be proven, which is what a wrong placement looks like.
 */
#ifndef TPSCTL_DOUBT_H
#define TPSCTL_DOUBT_H

#include <jansson.h>

#include "gate.h"

/* Append a sentence for each to @ret_doubts. @first is what they have counted; where there was such
 * traffic, lets go of the gate's lock and looks again, half a second later. */
int doubts_add(struct tps_gate *gate, const struct tps_totals first[TPS_LISTENERS_MAX],
	       json_t *ret_doubts);

#endif
