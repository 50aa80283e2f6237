/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prints what was measured: a table, or JSON. Knows which bounds were missed.
 */
#ifndef TPS_BENCH_REPORT_H
#define TPS_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/measure.h"

void report_begin(bool as_json);
void report_group(const char *title);
/* @ratio 0: the bound is on @value; @bound 0: there is none. */
void report_row(const char *name, double value, const char *unit, double ratio, double bound);
/* A group of paths, as ratios to the one that is floor b. */
void report_paths(const char *title, const struct path *paths, size_t count, size_t floor);
/* Returns how many bounds were missed. */
int report_end(void);

#endif
