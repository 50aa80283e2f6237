// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exposition and the sums below it, from numbers made by hand: labels, escapes, what is shown
 * at zero and what is never shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../user/lib/label.c"
#include "../../user/tpsd/exposition.c"
#include "../../user/tpsd/ledger.h"

/* The numbers of a gate with one listener, one tier and one caller. */
static struct metrics *metrics_of_one(void)
{
	struct metrics *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->callers = calloc(2, sizeof(*m->callers));
	assert_non_null(m->callers);
	m->listeners[3].protocol = TPS_PROTOCOL_HTTP;
	strcpy(m->listeners[3].name, "api");
	m->tiers[0].limit = 1;
	strcpy(m->tiers[0].name, "free");
	strcpy(m->callers[0].name, "acme");
	m->callers[0].per_sec = 0.5;
	m->callers[0].burst = 7;
	m->callers_count = 1;
	return m;
}

static char *text_of(const struct metrics *m)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	exposition_write(out, m);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void metrics_free(struct metrics *m)
{
	free(m->callers);
	free(m);
}

/* Does @text have this very line? */
static int has_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = strstr(text, line); at; at = strstr(at + 1, line))
		if ((at == text || at[-1] == '\n') && at[length] == '\n')
			return 1;
	return 0;
}

static void assert_line(const struct metrics *m, const char *line)
{
	char *text = text_of(m);

	if (!has_line(text, line))
		fail_msg("no line: %s\n%s", line, text);
	free(text);
}

static void assert_no(const struct metrics *m, const char *part)
{
	char *text = text_of(m);

	if (strstr(text, part))
		fail_msg("unwanted: %s\n%s", part, text);
	free(text);
}

static void a_configured_listener_has_its_series_at_zero(void **state)
{
	struct metrics *m = metrics_of_one();

	assert_line(m,
		    "tps_transactions_total{listener=\"api\",tier=\"free\",verdict=\"refused\"} 0");
	assert_line(m, "tps_refusals_total{listener=\"api\",reason=\"limit\",refusal=\"drop\"} 0");
	assert_line(m, "tps_unproven_total{listener=\"api\",reason=\"no_socket\"} 0");
	assert_line(m, "tps_unknown_keys_total{listener=\"api\"} 0");
	assert_line(m, "tps_packets_total{action=\"pass\",reason=\"not_listener\"} 0");
	metrics_free(m);
}

static void each_number_stands_at_its_own_labels(void **state)
{
	struct metrics *m = metrics_of_one();

	m->totals[3].verdicts[0][TPS_VERDICT_ALLOWED] = 11;
	m->totals[3].verdicts[0][TPS_VERDICT_WOULD_REFUSE] = 12;
	m->totals[3].packets[TPS_ACTION_DROP][TPS_REASON_LISTENER_LIMIT] = 13;
	m->totals[3].notes[TPS_REASON_OUTSIDE_WINDOW] = 14;
	m->totals[3].notes[TPS_REASON_BARE_LF] = 15;
	m->totals[3].notes[TPS_REASON_UNKNOWN_KEY] = 16;
	m->totals[3].notes[TPS_REASON_UNKNOWN_NAME] = 17;
	m->callers[0].verdicts[TPS_VERDICT_BANNED] = 17;
	m->stranger[TPS_VERDICT_REFUSED] = 18;
	assert_line(
		m, "tps_transactions_total{listener=\"api\",tier=\"free\",verdict=\"allowed\"} 11");
	assert_line(m, "tps_transactions_total{listener=\"api\",tier=\"free\","
		       "verdict=\"would_refuse\"} 12");
	assert_line(m, "tps_refusals_total{listener=\"api\",reason=\"listener_limit\","
		       "refusal=\"drop\"} 13");
	assert_line(m, "tps_unproven_total{listener=\"api\",reason=\"outside_window\"} 14");
	assert_line(m, "tps_undecided_total{listener=\"api\",reason=\"bare_lf\"} 15");
	assert_line(m, "tps_unknown_keys_total{listener=\"api\"} 16");
	assert_line(m, "tps_unknown_names_total{listener=\"api\"} 17");
	assert_line(m, "tps_caller_transactions_total{caller=\"acme\",verdict=\"banned\"} 17");
	assert_line(m,
		    "tps_caller_transactions_total{caller=\"_stranger\",verdict=\"refused\"} 18");
	metrics_free(m);
}

static void what_passed_is_no_refusal(void **state)
{
	struct metrics *m = metrics_of_one();

	m->totals[3].packets[TPS_ACTION_PASS][TPS_REASON_LIMIT] = 5; /* observed */
	assert_line(m, "tps_refusals_total{listener=\"api\",reason=\"limit\",refusal=\"drop\"} 0");
	assert_no(m, "tps_refusals_total{listener=\"api\",reason=\"allowed\"");
	assert_no(m, "tps_refusals_total{listener=\"api\",reason=\"exempt\"");
	metrics_free(m);
}

static void labels_are_escaped(void **state)
{
	struct metrics *m = metrics_of_one();

	m->devices_count = 1;
	m->devices[0].mode = TPS_XDP_NATIVE;
	m->devices[0].attached = true;
	strcpy(m->devices[0].label, "a\"b\\c\nd\xff\x01");
	assert_line(m, "tps_xdp_attached{device=\"a\\\"b\\\\c\\nd__\",mode=\"native\"} 1");
	metrics_free(m);
}

static void a_device_that_lost_the_gate_is_zero(void **state)
{
	struct metrics *m = metrics_of_one();

	m->devices_count = 1;
	m->devices[0].mode = TPS_XDP_GENERIC;
	strcpy(m->devices[0].label, "blue:eth0");
	assert_line(m, "tps_xdp_attached{device=\"blue:eth0\",mode=\"generic\"} 0");
	metrics_free(m);
}

static void listener_0_and_free_numbers_are_no_label(void **state)
{
	struct metrics *m = metrics_of_one();

	m->listeners[0].protocol = TPS_PROTOCOL_HTTP; /* never written, never believed */
	strcpy(m->listeners[0].name, "nobody");
	strcpy(m->listeners[4].name, "deleted");
	strcpy(m->tiers[5].name, "former");
	assert_no(m, "\"nobody\"");
	assert_no(m, "deleted");
	assert_no(m, "former");
	metrics_free(m);
}

static void transactions_of_a_deleted_tier_are_kept_as_gone(void **state)
{
	struct metrics *m = metrics_of_one();

	assert_no(m, "_gone");
	m->totals[3].verdicts[5][TPS_VERDICT_ALLOWED] = 2;
	m->totals[3].verdicts[6][TPS_VERDICT_ALLOWED] = 3;
	assert_line(
		m, "tps_transactions_total{listener=\"api\",tier=\"_gone\",verdict=\"allowed\"} 5");
	metrics_free(m);
}

static void the_others_have_series_only_when_there_are_any(void **state)
{
	struct metrics *m = metrics_of_one();

	m->other[TPS_VERDICT_ALLOWED] = 9;
	assert_no(m, "_other\"");
	m->others = true;
	assert_line(m, "tps_caller_transactions_total{caller=\"_other\",verdict=\"allowed\"} 9");
	assert_no(m, "tps_caller_banned{caller=\"_other\"}");
	metrics_free(m);
}

static void limits_are_told_per_second_and_exempt_is_infinite(void **state)
{
	struct metrics *m = metrics_of_one();

	assert_line(m, "tps_caller_limit_transactions_per_second{caller=\"acme\"} 0.5");
	assert_line(m, "tps_caller_burst_transactions{caller=\"acme\"} 7");
	m->callers[0].exempt = true;
	assert_line(m, "tps_caller_limit_transactions_per_second{caller=\"acme\"} +Inf");
	assert_line(m, "tps_caller_burst_transactions{caller=\"acme\"} +Inf");
	metrics_free(m);
}

static void paused_outranks_observing(void **state)
{
	struct metrics *m = metrics_of_one();

	assert_line(m, "tps_control_state{state=\"enforcing\"} 1");
	m->control.observe = 1;
	assert_line(m, "tps_control_state{state=\"enforcing\"} 0");
	assert_line(m, "tps_control_state{state=\"observing\"} 1");
	m->control.paused = 1;
	assert_line(m, "tps_control_state{state=\"observing\"} 0");
	assert_line(m, "tps_control_state{state=\"paused\"} 1");
	metrics_free(m);
}

static void errors_are_summed_over_packets_and_notes(void **state)
{
	struct metrics *m = metrics_of_one();

	m->all.packets[TPS_ACTION_PASS][TPS_REASON_NO_READ] = 2;
	m->all.notes[TPS_REASON_NO_READ] = 3;
	assert_line(m, "tps_errors_total{reason=\"no_read\"} 5");
	assert_line(m, "tps_errors_total{reason=\"no_flow\"} 0");
	metrics_free(m);
}

static void an_unexpected_packet_is_shown_once_there_is_one(void **state)
{
	struct metrics *m = metrics_of_one();

	assert_no(m, "action=\"tx\"");
	m->all.packets[TPS_ACTION_TX][TPS_REASON_LIMIT] = 1;
	assert_line(m, "tps_packets_total{action=\"tx\",reason=\"limit\"} 1");
	metrics_free(m);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The largest exposition that there can be, but for callers: each series once. */
static void no_series_is_written_twice(void **state)
{
	struct metrics *m = metrics_of_one();
	char *text, *line, *save = NULL, **lines;
	size_t count = 0;

	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		m->listeners[i].protocol = TPS_PROTOCOL_UDP;
		sprintf(m->listeners[i].name, "l%d", i);
	}
	for (int t = 0; t < TPS_TIERS_MAX; t++) {
		m->tiers[t].limit = 1;
		sprintf(m->tiers[t].name, "t%d", t);
	}
	m->others = true;
	text = text_of(m);
	lines = calloc(strlen(text), sizeof(*lines));
	assert_non_null(lines);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line != '#')
			*strrchr(line, ' ') = 0;
		lines[count++] = line;
	}
	qsort(lines, count, sizeof(*lines), by_text);
	for (size_t i = 1; i < count; i++)
		assert_string_not_equal(lines[i - 1], lines[i]);
	assert_in_range(count, (TPS_LISTENERS_MAX - 1) * TPS_TIERS_MAX * TPS_VERDICT_MAX, 20000);
	free(lines);
	free(text);
	metrics_free(m);
}

static void a_sum_follows_its_counters(void **state)
{
	__u64 sum[2] = {0}, last[2] = {0};

	ledger_add(sum, last, (__u64[]){5, 0}, 2);
	ledger_add(sum, last, (__u64[]){7, 1}, 2);
	assert_int_equal(sum[0], 7);
	assert_int_equal(sum[1], 1);
}

static void a_sum_never_falls_when_a_counter_begins_anew(void **state)
{
	__u64 sum = 0, last = 0;

	ledger_add(&sum, &last, (__u64[]){100}, 1);
	ledger_add(&sum, &last, (__u64[]){0}, 1);
	assert_int_equal(sum, 100);
	ledger_add(&sum, &last, (__u64[]){3}, 1);
	assert_int_equal(sum, 103);
	ledger_add(&sum, &last, (__u64[]){2}, 1); /* anew, and counted since */
	assert_int_equal(sum, 105);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configured_listener_has_its_series_at_zero),
		cmocka_unit_test(each_number_stands_at_its_own_labels),
		cmocka_unit_test(what_passed_is_no_refusal),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(a_device_that_lost_the_gate_is_zero),
		cmocka_unit_test(listener_0_and_free_numbers_are_no_label),
		cmocka_unit_test(transactions_of_a_deleted_tier_are_kept_as_gone),
		cmocka_unit_test(the_others_have_series_only_when_there_are_any),
		cmocka_unit_test(limits_are_told_per_second_and_exempt_is_infinite),
		cmocka_unit_test(paused_outranks_observing),
		cmocka_unit_test(errors_are_summed_over_packets_and_notes),
		cmocka_unit_test(an_unexpected_packet_is_shown_once_there_is_one),
		cmocka_unit_test(no_series_is_written_twice),
		cmocka_unit_test(a_sum_follows_its_counters),
		cmocka_unit_test(a_sum_never_falls_when_a_counter_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
