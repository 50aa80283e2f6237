// SPDX-License-Identifier: GPL-2.0-only
/*
 * delete, list and show, which are alike for every noun.
 */
#include "verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum outcome delete_named(struct session *session, int argc, char **argv,
			  int (*delete_one)(struct tps_gate *gate, const char *name,
					    struct tps_why *why))
{
	static const struct option options[] = {OPTION("if-exists", no_argument, 'i'),
						OPTIONS_SHARED};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	bool if_exists = false;
	struct tps_why why = {};
	char **name;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option != 'i')
			return USAGE;
		if_exists = true;
	}
	if (!words_left(session, argc, argv, 1, &name))
		return USAGE;
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	err = delete_one(gate, *name, &why);
	if (if_exists && err == -ENOENT)
		return written(session, false);
	return err ? failed(session, err, &why) : written(session, true);
}

static bool is_field(const struct column *columns, const char *key)
{
	for (; columns->key; columns++) {
		if (!strcmp(columns->key, key))
			return true;
	}
	return false;
}

static enum outcome sort_unknown(const struct session *session, const struct column *columns,
				 const char *field)
{
	char fields[512] = "";

	for (; columns->key; columns++)
		snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "%s%s",
			 *fields ? ", " : "", columns->key);
	return misused(session, "--sort '%s': expected one of %s", field, fields);
}

enum outcome list_rows(struct session *session, int argc, char **argv,
		       int (*read)(const struct tps_gate *gate, json_t *ret_rows),
		       const struct column *columns)
{
	static const struct option options[] = {OPTION("sort", required_argument, 's'),
						OPTIONS_SHARED};
	_cleanup_json_ json_t *rows = json_array();
	_cleanup_gate_ struct tps_gate *gate = NULL;
	const char *sort = NULL;
	struct tps_why why = {};
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option != 's')
			return USAGE;
		sort = optarg;
	}
	if (!words_left(session, argc, argv, 0, NULL))
		return USAGE;
	if (sort && !is_field(columns, sort))
		return sort_unknown(session, columns, sort);
	err = gate_open(session, TPS_READ, &gate, &why);
	if (!err)
		err = read(gate, rows);
	if (err)
		return failed(session, err, &why);
	if (sort)
		table_sort(rows, sort);
	if (!print_json(session, json_incref(rows)))
		table_print(rows, columns);
	return DONE;
}

/* The first member, and the others by name. */
static void row_print(json_t *row)
{
	const char *key, *gap = "";
	json_t *value;

	json_object_foreach(row, key, value)
	{
		printf("%s%s%s%s", gap, *gap ? key : "", *gap ? " " : "", json_string_value(value));
		gap = ", ";
	}
	putchar('\n');
}

static void member_print(const char *key, const json_t *value, int depth)
{
	const char *inner;
	json_t *member;
	size_t at;

	printf("%*s%-*s ", 2 * depth, "", 18 - 2 * depth, key);
	if (json_is_object(value)) {
		putchar('\n');
		json_object_foreach((json_t *)value, inner, member)
			member_print(inner, member, depth + 1);
		return;
	}
	if (json_is_object(json_array_get(value, 0))) {
		/* a line each: its members beside each other */
		json_array_foreach(value, at, member)
		{
			if (at)
				printf("%*s", 19, "");
			row_print(member);
		}
		return;
	}
	if (json_is_array(value)) {
		json_array_foreach(value, at, member)
		{
			char *text = json_dumps(member, JSON_ENCODE_ANY);

			printf("%s%s", at ? ", " : "",
			       json_is_string(member) ? json_string_value(member) : text);
			free(text);
		}
		puts(json_array_size(value) ? "" : "-");
		return;
	}
	if (json_is_string(value))
		puts(json_string_value(value));
	else if (json_is_boolean(value))
		puts(json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	else if (json_is_real(value))
		printf("%g\n", json_real_value(value));
	else
		puts("-");
}

void show_object(const struct session *session, json_t *object)
{
	_cleanup_json_ json_t *taken = object;
	const char *key;
	json_t *value;

	if (print_json(session, json_incref(taken)))
		return;
	json_object_foreach(taken, key, value) member_print(key, value, 0);
}
