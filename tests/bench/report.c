// SPDX-License-Identifier: GPL-2.0-only
/*
 * One row after the other; JSON comes out whole at the end, and TAP's plan.
 */
#include "bench/report.h"

#include <stdio.h>

#include <jansson.h>

static json_t *rows; /* of REPORT_JSON */
static enum report_form form;
static double slack;
static const char *group;
static int missed, cases;

static bool keeps(double value, double bound)
{
	return !bound || value <= bound * (1 + slack);
}

static void tap_row(const char *name, double value, const char *unit, double ratio, double bound,
		    bool ok)
{
	if (!bound)
		printf("# ");
	else
		printf("%sok %d - ", ok ? "" : "not ", ++cases);
	printf("%s: %s: %.*f %s", group, name, *unit == 's', value, unit);
	if (ratio)
		printf(", ratio %.2f", ratio);
	if (bound)
		printf(" of %.2f", bound);
	printf("\n");
}

void report_row(const char *name, double value, const char *unit, double ratio, double bound)
{
	bool ok = keeps(ratio ? ratio : value, bound);

	missed += !ok;
	if (rows) {
		json_t *row = json_pack("{s:s, s:s, s:f, s:s}", "group", group, "path", name,
					"value", value, "unit", unit);

		if (ratio)
			json_object_set_new(row, "ratio", json_real(ratio));
		if (bound) {
			json_object_set_new(row, "bound", json_real(bound));
			json_object_set_new(row, "ok", json_boolean(ok));
		}
		json_array_append_new(rows, row);
		return;
	}
	if (form == REPORT_TAP) {
		tap_row(name, value, unit, ratio, bound, ok);
		return;
	}
	printf("  %-62s %8.*f %-2s", name, *unit == 's', value, unit);
	if (ratio)
		printf(" %6.2f", ratio);
	else
		printf(" %6s", "");
	if (bound)
		printf(" %6.2f  %s", bound, ok ? "ok" : "over");
	printf("\n");
}

void report_group(const char *title)
{
	group = title;
	if (form == REPORT_TABLE)
		printf("%-64s %11s %6s %6s\n", title, "", "ratio", "bound");
}

bool report_missed(const struct path *paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!keeps(paths[i].ratio, paths[i].bound))
			return true;
	return false;
}

void report_paths(const char *title, const struct path *paths, size_t count)
{
	report_group(title);
	for (size_t i = 0; i < count; i++)
		report_row(paths[i].name, measure_median(&paths[i], NULL), "ns", paths[i].ratio,
			   paths[i].bound);
}

void report_begin(enum report_form as, double with_slack)
{
	form = as;
	slack = with_slack;
	rows = form == REPORT_JSON ? json_array() : NULL;
}

int report_end(void)
{
	if (form == REPORT_TAP)
		printf("1..%d\n", cases);
	if (rows) {
		json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(4));
		printf("\n");
		json_decref(rows);
	} else if (missed && form == REPORT_TABLE) {
		printf("%d over their bound\n", missed);
	}
	return missed;
}
