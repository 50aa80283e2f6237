// SPDX-License-Identifier: GPL-2.0-only
/*
 * One row after the other; JSON comes out whole at the end.
 */
#include "bench/report.h"

#include <stdio.h>

#include <jansson.h>

static json_t *rows; /* NULL: a table is printed */
static const char *group;
static int missed;

void report_row(const char *name, double value, const char *unit, double ratio, double bound)
{
	bool ok = !bound || (ratio ? ratio : value) <= bound;

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
	if (!rows)
		printf("%-64s %11s %6s %6s\n", title, "", "ratio", "bound");
}

void report_paths(const char *title, const struct path *paths, size_t count, size_t floor)
{
	report_group(title);
	for (size_t i = 0; i < count; i++)
		report_row(paths[i].name, measure_median(&paths[i], NULL), "ns",
			   measure_median(&paths[i], &paths[floor]), paths[i].bound);
}

void report_begin(bool as_json)
{
	rows = as_json ? json_array() : NULL;
}

int report_end(void)
{
	if (rows) {
		json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(4));
		printf("\n");
		json_decref(rows);
	} else if (missed) {
		printf("%d over their bound\n", missed);
	}
	return missed;
}
