// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of JSON objects as a table for people.
 */
#include "verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL 256

static const char *cell_text(const json_t *value, char ret_text[CELL])
{
	size_t len = 0;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		snprintf(ret_text, CELL, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		snprintf(ret_text, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(ret_text, CELL, "%g", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(ret_text, CELL, "%s", json_is_true(value) ? "yes" : "no");
		break;
	case JSON_ARRAY:
		ret_text[0] = '\0';
		for (size_t i = 0; i < json_array_size(value) && len < CELL - 1; i++) {
			char part[CELL];

			len += snprintf(ret_text + len, CELL - len, "%s%s", i ? "," : "",
					cell_text(json_array_get(value, i), part));
		}
		if (!json_array_size(value))
			strcpy(ret_text, "-");
		break;
	default:
		strcpy(ret_text, "-");
	}
	return ret_text;
}

void table_print(const json_t *rows, const struct column *columns)
{
	int widths[16] = {};
	char text[CELL];
	json_t *row;
	size_t at;

	for (int c = 0; columns[c].title; c++) {
		widths[c] = strlen(columns[c].title);
		json_array_foreach(rows, at, row)
		{
			int width = strlen(cell_text(json_object_get(row, columns[c].key), text));

			if (width > widths[c])
				widths[c] = width;
		}
	}
	for (at = 0; at <= json_array_size(rows); at++) {
		row = at ? json_array_get(rows, at - 1) : NULL;
		for (int c = 0; columns[c].title; c++) {
			const char *cell =
				row ? cell_text(json_object_get(row, columns[c].key), text)
				    : columns[c].title;

			if (columns[c].right)
				printf("%*s", widths[c], cell);
			else if (columns[c + 1].title)
				printf("%-*s", widths[c], cell);
			else
				fputs(cell, stdout);
			fputs(columns[c + 1].title ? "  " : "\n", stdout);
		}
	}
}

static const char *sort_key; /* qsort(3) hands its order no context */

static int by_sort_key(const void *a, const void *b)
{
	const json_t *left = json_object_get(*(json_t *const *)a, sort_key);
	const json_t *right = json_object_get(*(json_t *const *)b, sort_key);

	if (json_is_number(left) && json_is_number(right)) {
		double difference = json_number_value(right) - json_number_value(left);

		return difference > 0 ? 1 : difference < 0 ? -1 : 0;
	}
	if (json_is_string(left) && json_is_string(right))
		return strcmp(json_string_value(left), json_string_value(right));
	if (json_is_boolean(left) && json_is_boolean(right))
		return json_is_true(right) - json_is_true(left);
	return (int)json_is_null(left) - (int)json_is_null(right);
}

void table_sort(json_t *rows, const char *key)
{
	size_t count = json_array_size(rows);
	_cleanup_free_ json_t **sorted = calloc(count + 1, sizeof(*sorted));
	json_t *row;
	size_t at;

	if (!sorted)
		return;
	json_array_foreach(rows, at, row) sorted[at] = json_incref(row);
	sort_key = key;
	qsort(sorted, count, sizeof(*sorted), by_sort_key);
	json_array_clear(rows);
	for (at = 0; at < count; at++)
		json_array_append_new(rows, sorted[at]);
}
