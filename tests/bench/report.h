/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prints what was measured: a table, JSON, or TAP with a case for each bound. Knows which bounds
 * were missed.
 */
#ifndef TPS_BENCH_REPORT_H
#define TPS_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/measure.h"

enum report_form { REPORT_TABLE, REPORT_JSON, REPORT_TAP };

/* @slack: how far over its bound a row may be, 0.15 for 15 %. */
void report_begin(enum report_form form, double slack);
void report_group(const char *title);
/* @ratio 0: the bound is on @value; @bound 0: there is none. */
void report_row(const char *name, double value, const char *unit, double ratio, double bound);
/* Is any of the paths over its bound, and the slack? */
bool report_missed(const struct path *paths, size_t count);
/* A group of paths, as ratios to the one that is floor b. */
void report_paths(const char *title, const struct path *paths, size_t count);
/* Returns how many bounds were missed. */
int report_end(void);

#endif
