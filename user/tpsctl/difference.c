// SPDX-License-Identifier: GPL-2.0-only
/*
 * Differences, told.
 */
#include "difference.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy_store.h"

#define DRIFT_ROWS 20 /* of the status; `apply --dry-run` tells all */

struct telling {
	bool is_coloured;
	json_t *rows; /* with -j */
	size_t room;
};

static void row_add(const struct tps_difference *difference, void *context)
{
	const char sign[] = {difference->sign, '\0'};
	struct telling *telling = context;

	if (!telling->room)
		return;
	telling->room--;
	json_array_append_new(telling->rows,
			      json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s?}", "sign", sign, "what",
					difference->noun, "name", difference->name, "field",
					difference->field, "from", difference->from, "to",
					difference->to));
}

/* `~ caller acme: rate 500/s -> 600/s`, `~ caller acme: sources + 192.0.2.1`, `- ban 192.0.2.1` */
static void difference_print(const struct tps_difference *difference, void *context)
{
	const struct telling *telling = context;
	const char *colour = difference->sign == '+'   ? "\033[32m"
			     : difference->sign == '-' ? "\033[31m"
						       : "\033[33m";
	const char *from = difference->from, *to = difference->to;

	printf("%s%c %s", telling->is_coloured ? colour : "", difference->sign, difference->noun);
	if (difference->name)
		printf(" %s", difference->name);
	if (difference->sign != '~') {
		const char *whole = difference->sign == '+' ? to : from;

		printf("%s%s", whole ? " " : "", whole ? whole : "");
	} else {
		printf("%s%s%s", difference->name ? ":" : "", difference->field ? " " : "",
		       difference->field ? difference->field : "");
		if (from && to) /* of a field, which may be unset */
			printf(" %s -> %s", *from ? from : "none", *to ? to : "none");
		else
			printf(" %c %s", to ? '+' : '-', to ? to : from);
	}
	puts(telling->is_coloured ? "\033[0m" : "");
}

enum outcome differences_show(struct session *session, const struct tps_policy_file *have,
			      const struct tps_policy_file *want, bool exit_code)
{
	struct telling telling = {.is_coloured = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
				  .rows = session->json ? json_array() : NULL,
				  .room = ~0UL};
	long count =
		tps_policy_diff(have, want, session->json ? row_add : difference_print, &telling);

	if (count < 0) {
		json_decref(telling.rows);
		return failed(session, count, NULL);
	}
	if (telling.rows)
		print_json(session, json_pack("{s:b, s:o}", "would_change", count != 0,
					      "differences", telling.rows));
	return exit_code && count ? DIFFERS : DONE;
}

/* ---- drift */

static void drift_warn(long drift, bool is_unfinished, json_t *warnings)
{
	if (is_unfinished)
		json_array_append_new(warnings,
				      json_string("an apply was not ended: run it again, or "
						  "tpsctl rollback"));
	else if (drift)
		json_array_append_new(
			warnings,
			json_sprintf("the gate is no longer as the last policy has it, %ld "
				     "difference%s: tpsctl apply FILE --dry-run shows what it "
				     "would set back",
				     drift, drift == 1 ? "" : "s"));
}

int drift_json(const struct tps_gate *gate, json_t *ret_warnings, json_t **ret_policy)
{
	_cleanup_policy_ struct tps_policy_file *applied = NULL, *have = NULL;
	bool is_unfinished = tps_policy_is_unfinished(gate->root);
	struct telling telling = {.rows = json_array(), .room = DRIFT_ROWS};
	time_t when = 0;
	long drift = 0;
	int err = tps_policy_kept_read(gate->root, TPS_KEPT_APPLIED, gate->control->secret,
				       &applied, &when, NULL);

	if (!err)
		err = tps_policy_of_gate(gate, &have, NULL);
	if (!err)
		drift = tps_policy_diff(have, applied, row_add, &telling);
	if (drift < 0)
		err = drift;
	if (err && err != -ENOENT) {
		json_decref(telling.rows);
		return err;
	}
	drift_warn(drift, is_unfinished, ret_warnings);
	*ret_policy =
		json_pack("{s:o, s:b, s:I, s:o}", "applied_unix_s",
			  applied ? json_integer(when) : json_null(), "unfinished", is_unfinished,
			  "drift", (json_int_t)drift, "differences", telling.rows);
	return 0;
}
