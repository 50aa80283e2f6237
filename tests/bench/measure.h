/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nanoseconds a run of a path, by BPF_PROG_TEST_RUN. Knows how to be fair to paths that are
 * compared, not what they are.
 */
#ifndef TPS_BENCH_MEASURE_H
#define TPS_BENCH_MEASURE_H

#include <stddef.h>

#include "bench/stage.h"

/* Many short batches: one that was preempted is an outlier, which the median does not see. */
#define ROUNDS 21
#define QUICK_ROUNDS 11
#define WARM_UP 1000
#define RUNS 50000
#define TRIES_MAX 12

/* What is run, and what it must come to. A path that begins in a wrapper has the wrapper's own cost
 * taken out. */
struct path {
	const char *name;
	double bound; /* ratio to floor b; 0: none is asked for */
	void (*prepare)(struct stage *stage);
	int program;
	bool wrapped;
	const struct frame_bytes *frame;
	int action;
	int minus; /* a program whose cost is taken out beside; 0: none */
	__u32 ns[ROUNDS];
	double ratio; /* to the floor, of the best try */
	int tries;
};

/* How many batches a path gets: ROUNDS, or fewer. */
extern int measure_rounds;

/* One more try: all paths in turn, measure_rounds times, as ratios to paths[@floor]. Exits when one
 * comes to another action than it should, or the gate meets an internal error. */
void measure_all(struct stage *stage, struct path *paths, size_t count, size_t floor);

/* Of what a path took in each round of the last try; with @floor, as ratios to what that took in
 * the same round, so that a machine that grows slower or faster meanwhile changes nothing. */
double measure_median(const struct path *path, const struct path *floor);

/* One CPU, and as little of others on it as may be. */
void measure_alone(void);

#endif
