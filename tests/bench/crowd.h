/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many at once: prefixes, addresses, callers. Knows how to put them into the maps quickly.
 */
#ifndef TPS_BENCH_CROWD_H
#define TPS_BENCH_CROWD_H

#include "bench/stage.h"

#define PREFIXES 100000

void crowd_add_floor_caller(struct stage *stage, const char *address);
/* PREFIXES of one caller, everywhere but where the bench's strangers are. */
void crowd_add_prefixes(struct stage *stage, struct tps_slot caller);
/* A million addresses from 10.0.0.0 on, as strangers and as floor b's callers. */
void crowd_add_addresses(struct stage *stage);
/* A million keyed callers by the way that loads a policy. Returns how many seconds it took. */
double crowd_load_callers(struct stage *stage);
/* Lists them for the flows that are bound to one. */
void crowd_list_callers(struct stage *stage);

#endif
