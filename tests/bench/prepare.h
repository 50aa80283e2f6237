/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each path needs before a batch of runs: limits, and where its wrapper begins.
 */
#ifndef TPS_BENCH_PREPARE_H
#define TPS_BENCH_PREPARE_H

#include "bench/stage.h"

void prepare_allow(struct stage *stage);
void prepare_refuse(struct stage *stage);
void prepare_floor_at_million(struct stage *stage);
/* Sources that were never seen. */
void prepare_all_new(struct stage *stage);
void prepare_250(struct stage *stage);
void prepare_900(struct stage *stage);
/* The host's socket must be asked. */
void prepare_lookup(struct stage *stage);
/* The caller has no token, and the gate answers. */
void prepare_answered(struct stage *stage);
/* The caller has no token, and the gate does not answer. */
void prepare_dropped(struct stage *stage);
/* A connection's first bytes, its entry there or not; behind its hello; and a caller without a
 * token.
 */
void prepare_hello_known(struct stage *stage);
void prepare_hello(struct stage *stage);
void prepare_bound(struct stage *stage);
void prepare_denied(struct stage *stage);
void prepare_hello_dropped(struct stage *stage);
/* None, or others than the one that is run, of the port's connections are spliced. */
void prepare_unspliced_port(struct stage *stage);
void prepare_spliced_port(struct stage *stage);

#endif
