// SPDX-License-Identifier: GPL-2.0-only
/*
 * top: callers and strangers by what they ask for and are refused. Reads counts, makes lines of
 * them and prints them where there is no terminal.
 */
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ban.h"
#include "caller.h"
#include "control.h"
#include "counts.h"
#include "live.h"
#include "verbs.h"
#include "when.h"
#include "whose.h"

#define ROWS_DEFAULT 20
#define PLAIN_WIDTH 100

const char *top_order_text(enum rates_order order)
{
#define TEXT(id, text) [RATES_BY_##id] = text,
	static const char *const texts[] = {RATES_ORDERS(TEXT)};
#undef TEXT
	return texts[order];
}

/* ---- a sample */

static void caller_row(const struct tps_gate *gate, const struct tps_caller_entry *caller,
		       const struct tps_counter *counter, __u64 now_ns, struct rates_row *ret_row)
{
	const struct tps_tier *tier = &gate->tiers[caller->limit.tier % TPS_TIERS_MAX];
	const struct tps_rate *rate = caller->limit.own ? &caller->record.rate : &tier->rate;

	ret_row->id = caller->record.slot | (__u64)caller->record.generation << 32;
	ret_row->is_banned = caller->limit.banned_until_ns > now_ns;
	ret_row->is_exempt = caller->limit.flags & TPS_LIMIT_EXEMPT;
	ret_row->limit_per_sec = tps_rate_per_sec(rate);
	strcpy(ret_row->name, caller->name);
	memcpy(ret_row->tier, tier->name, sizeof(ret_row->tier) - 1);
	memcpy(ret_row->counted, counter->verdicts, sizeof(ret_row->counted));
}

static void stranger_row(const struct tps_gate *gate, const struct tps_stranger_entry *stranger,
			 struct rates_row *ret_row)
{
	const struct tps_tier *tier = &gate->tiers[gate->control->default_tier % TPS_TIERS_MAX];
	char text[TPS_PREFIX_TEXT];

	ret_row->id = tps_address_of(&stranger->address).word;
	ret_row->is_stranger = true;
	ret_row->limit_per_sec = tps_rate_per_sec(&tier->rate);
	snprintf(ret_row->name, sizeof(ret_row->name), "%s",
		 tps_prefix_print(&stranger->address, text));
	memcpy(ret_row->tier, tier->name, sizeof(ret_row->tier) - 1);
	memcpy(ret_row->counted, stranger->stranger.verdicts, sizeof(ret_row->counted));
}

/* All of them; the first row is the strangers' together, evicted ones too. */
static int rows_read(struct top *top, struct rates_row **ret_rows)
{
	_cleanup_free_ struct tps_stranger_entry *strangers = NULL;
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	_cleanup_free_ struct tps_counter *counters = NULL;
	struct rates_row *rows;
	int err = tps_callers_read(top->gate, &callers, &top->callers);

	if (!err)
		err = tps_counters_read(top->gate, &counters);
	if (!err)
		err = tps_strangers_read(top->gate, &strangers, &top->strangers);
	if (err)
		return err;
	rows = calloc(top->callers + top->strangers + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	memcpy(rows[0].counted, counters[TPS_SLOT_STRANGERS].verdicts, sizeof(rows[0].counted));
	for (size_t i = 0; i < top->callers; i++)
		caller_row(top->gate, &callers[i], &counters[callers[i].record.slot], tps_now_ns(),
			   &rows[1 + i]);
	for (size_t i = 0; i < top->strangers; i++)
		stranger_row(top->gate, &strangers[i], &rows[1 + top->callers + i]);
	*ret_rows = rows;
	return 0;
}

int top_sample(struct top *top, struct tps_why *why)
{
	__u64 before_ns = top->at_ns;
	struct rates_row *rows;
	size_t count;
	int err = live_check(top->gate, why);

	if (!err)
		err = rows_read(top, &rows);
	if (err)
		return err;
	count = 1 + top->callers + top->strangers;
	top->at_ns = tps_now_ns();
	err = rates_step(&top->rates, rows, count, top->at_ns);
	if (err) {
		free(rows);
		return err;
	}
	top->asked_per_sec = top->refused_per_sec = 0;
	for (size_t i = 0; i < count && !rows[i].is_stranger; i++) {
		top->asked_per_sec += rows[i].asked_per_sec;
		top->refused_per_sec += rows[i].refused_per_sec;
	}
	/* That of all strangers together, of id 0, has come first. */
	memmove(rows, rows + 1, (count - 1) * sizeof(*rows));
	free(top->rows);
	top->rows = rows;
	top->count = count - 1;
	top->elapsed_s = before_ns ? (top->at_ns - before_ns) / 1e9 : 0;
	rates_sort(top->rows, top->count, top->order);
	return 0;
}

void top_sort(struct top *top, enum rates_order order)
{
	top->order = order;
	rates_sort(top->rows, top->count, order);
}

/* Who never asked for anything is not shown. */
bool top_is_shown(const struct top *top, const struct rates_row *row)
{
	if (top->view != TOP_BOTH && row->is_stranger != (top->view == TOP_STRANGERS))
		return false;
	return row->refused || row->counted[TPS_VERDICT_ALLOWED];
}

/* ---- lines */

#define NUMBER 16
#define BAR 12

static const char *number_print(double number, char ret_text[NUMBER])
{
	if (number >= 999.5e6)
		snprintf(ret_text, NUMBER, "%.1fG", number / 1e9);
	else if (number >= 9.9995e6)
		snprintf(ret_text, NUMBER, "%.1fM", number / 1e6);
	else if (number >= 99.95 || number == (long)number)
		snprintf(ret_text, NUMBER, "%.0f", number);
	else
		snprintf(ret_text, NUMBER, number < 1 ? "%.2g" : "%.1f", number);
	return ret_text;
}

/* How much of the limit passes. */
static void bar_print(const struct rates_row *row, char ret_text[BAR + 1])
{
	int filled = row->used >= 1 ? BAR - 2 : row->used * (BAR - 2) + 0.5;

	if (row->is_banned || row->is_exempt) {
		strcpy(ret_text, row->is_banned ? "banned" : "exempt");
		return;
	}
	memset(ret_text, '-', BAR);
	memset(ret_text + 1, '#', filled);
	ret_text[0] = '[';
	ret_text[BAR - 1] = ']';
	ret_text[BAR] = '\0';
}

/* The columns behind the name, in the order of their worth: where there is no room for all, those
 * in front are shown. */
static const struct {
	int gap, width;
	bool is_left;
} columns[] = {{1, 9, false},  {1, 9, false},  {1, 9, false},
	       {1, BAR, true}, {1, 10, false}, {2, 11, true}};
#define COLUMNS ((int)(sizeof(columns) / sizeof(*columns)))
#define NAME_MIN 16
#define NAME_MAX 40

static int columns_fit(int width, int *ret_name)
{
	int count = 0, left = width - NAME_MIN;

	while (count < COLUMNS && left >= columns[count].gap + columns[count].width) {
		left -= columns[count].gap + columns[count].width;
		count++;
	}
	*ret_name = NAME_MIN + left > NAME_MAX ? NAME_MAX : NAME_MIN + left;
	return count;
}

static void columns_print(int width, const char *name, const char *const cells[COLUMNS],
			  char ret_text[TOP_LINE])
{
	int name_width, count = columns_fit(width, &name_width), len;

	len = snprintf(ret_text, TOP_LINE, "%-*.*s", name_width, name_width, name);
	for (int i = 0; i < count && len < TOP_LINE; i++)
		len += snprintf(ret_text + len, TOP_LINE - len, "%*s%*.*s", columns[i].gap, "",
				columns[i].is_left ? -columns[i].width : columns[i].width,
				columns[i].width, cells[i]);
}

void top_heading(int width, char ret_text[TOP_LINE])
{
	static const char *const cells[] = {"REFUSED/S", "ASKED/S", "LIMIT/S",
					    "USED",      "REFUSED", "TIER"};

	columns_print(width, "NAME", cells, ret_text);
}

void top_line(const struct rates_row *row, int width, char ret_text[TOP_LINE])
{
	char refused_s[NUMBER], asked[NUMBER], limit[NUMBER], bar[BAR + 1], refused[NUMBER];
	const char *cells[] = {number_print(row->refused_per_sec, refused_s),
			       number_print(row->asked_per_sec, asked),
			       row->is_exempt ? "-" : number_print(row->limit_per_sec, limit),
			       bar,
			       number_print(row->refused, refused),
			       row->tier};

	bar_print(row, bar);
	columns_print(width, row->name, cells, ret_text);
}

const char *top_state(const struct top *top)
{
	return tps_state_text(tps_state_read(top->gate));
}

void top_summary(const struct top *top, char ret_text[TOP_LINE])
{
	char asked[NUMBER], refused[NUMBER];

	snprintf(ret_text, TOP_LINE, "%s: %s/s asked, %s/s refused; %zu callers, %zu strangers",
		 top_state(top), number_print(top->asked_per_sec, asked),
		 number_print(top->refused_per_sec, refused), top->callers, top->strangers);
}

/* ---- without a terminal */

static bool plain_print(const struct top *top, __u64 rows)
{
	char text[TOP_LINE], when[WHEN_TEXT];

	top_summary(top, text);
	printf("%s %s\n", when_print(top->at_ns, false, when), text);
	top_heading(PLAIN_WIDTH, text);
	puts(text);
	for (size_t i = 0; i < top->count && rows; i++) {
		if (!top_is_shown(top, &top->rows[i]))
			continue;
		top_line(&top->rows[i], PLAIN_WIDTH, text);
		puts(text);
		rows--;
	}
	putchar('\n');
	return !fflush(stdout);
}

static json_t *row_json(const struct rates_row *row)
{
	json_t *object =
		json_pack("{s:s, s:b, s:s, s:f, s:f, s:f, s:f, s:I, s:b}", "name", row->name,
			  "is_stranger", row->is_stranger, "tier", row->tier, "asked_per_s",
			  row->asked_per_sec, "allowed_per_s", row->per_sec[TPS_VERDICT_ALLOWED],
			  "refused_per_s", row->refused_per_sec, "used", row->used, "refused",
			  (json_int_t)row->refused, "is_banned", row->is_banned);

	json_object_set_new(object, "limit_per_s",
			    row->is_exempt ? json_null() : json_real(row->limit_per_sec));
	return object;
}

static bool json_line(const struct top *top, __u64 rows)
{
	json_t *array = json_array();
	char when[WHEN_TEXT];

	for (size_t i = 0; i < top->count && json_array_size(array) < rows; i++) {
		if (top_is_shown(top, &top->rows[i]))
			json_array_append_new(array, row_json(&top->rows[i]));
	}
	return line_json(json_pack("{s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:o}", "time",
				   when_print(top->at_ns, true, when), "state", top_state(top),
				   "interval_s", top->elapsed_s, "asked_per_s", top->asked_per_sec,
				   "refused_per_s", top->refused_per_sec, "callers",
				   (json_int_t)top->callers, "strangers",
				   (json_int_t)top->strangers, "rows", array));
}

static int lines_print(const struct session *session, struct top *top, __u64 rows,
		       struct tps_why *why)
{
	int err = top_sample(top, why);

	for (__u64 round = 1; !err; round++) {
		live_sleep(top->interval_s * 1000);
		if (live_is_over())
			break;
		err = top_sample(top, why);
		if (err || !(session->json ? json_line(top, rows) : plain_print(top, rows)) ||
		    round == top->rounds)
			break;
	}
	return err;
}

/* ---- the verb */

static void top_end(struct top *top)
{
	rates_end(&top->rates);
	free(top->rows);
	tps_gate_close(top->gate);
}

static int order_parse(const char *text, enum rates_order *ret_order, struct tps_why *why)
{
	for (int order = 0; order < RATES_ORDER_MAX; order++) {
		if (strcmp(text, top_order_text(order)))
			continue;
		*ret_order = order;
		return 0;
	}
#define LISTED(id, text) ", " text
	return tps_why_say(why, -EINVAL, "--sort '%s': expected one of %s", text,
			   &(RATES_ORDERS(LISTED))[2]);
#undef LISTED
}

static int option_read(struct top *top, int option, __u64 *ret_rows, bool *ret_is_plain,
		       struct tps_why *why)
{
	switch (option) {
	case 's':
		return order_parse(optarg, &top->order, why);
	case 'i':
		return seconds_parse("interval", optarg, 0.1, 3600, &top->interval_s, why);
	case 'n':
		return tps_number_parse("count", optarg, 1, 1000000000, &top->rounds, why);
	case 'r':
		return tps_number_parse("rows", optarg, 1, 1000000, ret_rows, why);
	default:
		*ret_is_plain = true;
		return 0;
	}
}

enum outcome top(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {
		OPTION("sort", required_argument, 's'),  OPTION("interval", required_argument, 'i'),
		OPTION("count", required_argument, 'n'), OPTION("rows", required_argument, 'r'),
		OPTION("plain", no_argument, 'p'),       OPTIONS_SHARED};
	_cleanup_(top_end) struct top of = {.interval_s = 1};
	__u64 rows = ROWS_DEFAULT;
	struct tps_why why = {};
	bool is_plain = false;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == '?')
			return USAGE;
		err = option_read(&of, option, &rows, &is_plain, &why);
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 0, NULL))
		return USAGE;
	is_plain = is_plain || session->json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO);
	err = live_open(session, &of.gate, &why);
	if (err)
		return failed(session, err, &why);
	if (!is_plain) {
		err = top_screen(&of, &why);
		is_plain = err == -ENOTTY;
	}
	if (is_plain)
		err = lines_print(session, &of, rows, &why);
	return err ? failed(session, err, &why) : DONE;
}
