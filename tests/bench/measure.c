// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of batches, a wrapper's own cost taken out of each.
 */
#include "bench/measure.h"

#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bench/bench.skel.h"

int measure_rounds = ROUNDS;

/* Nanoseconds a run of @times; exits when the last one came to something else than @action. */
static __u32 run(const struct path *path, int program, __u32 times, int action)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = path->frame->bytes,
		    .data_size_in = path->frame->len, .repeat = times);

	if (bpf_prog_test_run_opts(program, &run))
		err(1, "%s", path->name);
	if ((int)run.retval != action)
		errx(1, "%s: came to action %d, wanted %d", path->name, (int)run.retval, action);
	return run.duration;
}

static void set_wrapped_target(struct stage *stage, __u32 target)
{
	struct bench_script script;

	script_get(stage, &script);
	script.target = target;
	script_set(stage, &script);
}

/* One batch of a path, its wrapper's own cost taken out. */
static __u32 measure(struct stage *stage, const struct path *path)
{
	int nothing = bpf_program__fd(stage->own->progs.nothing);
	__u32 whole, own = 0, empty;

	path->prepare(stage);
	run(path, path->program, WARM_UP, path->action);
	whole = run(path, path->program, RUNS, path->action);
	if (!path->wrapped && !path->minus)
		return whole;
	empty = run(path, nothing, RUNS, XDP_PASS);
	path->prepare(stage);
	if (path->wrapped)
		set_wrapped_target(stage, BENCH_TARGET_NOTHING);
	own = run(path, path->minus ? path->minus : path->program, RUNS, XDP_PASS);
	return whole + empty > own ? whole + empty - own : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double measure_median(const struct path *path, const struct path *floor)
{
	double values[ROUNDS];

	for (int round = 0; round < measure_rounds; round++)
		values[round] = path->ns[round] / (floor ? (double)floor->ns[round] : 1.0);
	qsort(values, measure_rounds, sizeof(*values), compare);
	return values[measure_rounds / 2];
}

void measure_all(struct stage *stage, struct path *paths, size_t count, size_t floor)
{
	for (int round = 0; round < measure_rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			if (!stage->quiet)
				fprintf(stderr, "\r\033[K%d/%d %s", round + 1, measure_rounds,
					paths[i].name);
			paths[i].ns[round] = measure(stage, &paths[i]);
		}
	}
	for (size_t i = 0; i < count; i++) {
		double ratio = measure_median(&paths[i], &paths[floor]);

		if (!paths[i].tries++ || ratio < paths[i].ratio)
			paths[i].ratio = ratio;
	}
	if (!stage->quiet)
		fprintf(stderr, "\r\033[K");
	if (harness_errors(&stage->harness))
		errx(1, "the gate met %llu internal errors", harness_errors(&stage->harness));
}

void measure_alone(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || setpriority(PRIO_PROCESS, 0, -20))
		err(1, "a CPU of its own");
}
