// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rates: two sorted lists, of now and of before, walked side by side.
 */
#include "rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_LOOKS 3 /* a walk of a table that changes may miss an entry, hardly twice */

struct rates_seen {
	__u64 id;
	bool is_stranger;
	int missed; /* looks since it was seen */
	__u64 counted[TPS_VERDICT_MAX];
	__u64 at_ns;
};

void rates_end(struct rates *rates)
{
	free(rates->seen);
}

static int by_number(double a, double b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int kind_order(bool a_is_stranger, __u64 a, bool b_is_stranger, __u64 b)
{
	if (a_is_stranger != b_is_stranger)
		return a_is_stranger - b_is_stranger;
	return a < b ? -1 : a > b;
}

static int by_id(const void *a, const void *b)
{
	const struct rates_row *left = a, *right = b;

	return kind_order(left->is_stranger, left->id, right->is_stranger, right->id);
}

static bool has_begun_anew(const struct rates_row *row, const struct rates_seen *before)
{
	for (int v = 0; v < TPS_VERDICT_MAX; v++) {
		if (row->counted[v] < before->counted[v])
			return true;
	}
	return false;
}

/* @before is what was seen of the row; of one that was not, all zeros, at the last look. */
static void row_work(struct rates_row *row, const struct rates_seen *before, __u64 now_ns)
{
	double seconds = now_ns > before->at_ns ? (now_ns - before->at_ns) / 1e9 : 0;
	bool anew = has_begun_anew(row, before);

	row->asked_per_sec = row->refused_per_sec = row->used = 0;
	row->refused = 0;
	for (int v = 0; v < TPS_VERDICT_MAX; v++) {
		__u64 grown = row->counted[v] - (anew ? 0 : before->counted[v]);

		row->per_sec[v] = before->at_ns && seconds > 0 ? grown / seconds : 0;
		row->asked_per_sec += row->per_sec[v];
		if (v == TPS_VERDICT_ALLOWED)
			continue;
		row->refused_per_sec += row->per_sec[v];
		row->refused += row->counted[v];
	}
	if (row->limit_per_sec > 0 && !row->is_exempt)
		row->used = row->per_sec[TPS_VERDICT_ALLOWED] / row->limit_per_sec;
}

static void seen_make(const struct rates_row *row, __u64 now_ns, struct rates_seen *ret_seen)
{
	*ret_seen = (struct rates_seen){
		.id = row->id, .is_stranger = row->is_stranger, .at_ns = now_ns};
	memcpy(ret_seen->counted, row->counted, sizeof(row->counted));
}

int rates_step(struct rates *rates, struct rates_row *rows, size_t count, __u64 now_ns)
{
	const struct rates_seen none = {.at_ns = rates->at_ns};
	struct rates_seen *seen = calloc(count + rates->count + 1, sizeof(*seen));
	size_t old = 0, kept = 0;

	if (!seen)
		return -ENOMEM;
	if (count)
		qsort(rows, count, sizeof(*rows), by_id);
	for (size_t i = 0; i <= count; i++) {
		const struct rates_seen *before = &none;

		for (; old < rates->count; old++) {
			const struct rates_seen *at = &rates->seen[old];
			int order = i == count ? -1
					       : kind_order(at->is_stranger, at->id,
							    rows[i].is_stranger, rows[i].id);

			if (order > 0)
				break;
			if (order == 0) {
				before = at;
				old++;
				break;
			}
			if (at->missed + 1 < KEPT_LOOKS) {
				seen[kept] = *at;
				seen[kept++].missed++;
			}
		}
		if (i == count)
			break;
		row_work(&rows[i], before, now_ns);
		seen_make(&rows[i], now_ns, &seen[kept++]);
	}
	free(rates->seen);
	*rates = (struct rates){seen, kept, now_ns};
	return 0;
}

static enum rates_order sorted_by; /* qsort(3) hands its order no context */

static int by_order(const void *a, const void *b)
{
	const struct rates_row *left = a, *right = b;
	int order = 0;

	if (sorted_by == RATES_BY_REFUSED)
		order = by_number(left->refused_per_sec, right->refused_per_sec);
	else if (sorted_by == RATES_BY_RATE)
		order = by_number(left->asked_per_sec, right->asked_per_sec);
	else if (sorted_by == RATES_BY_USED)
		order = by_number(left->used, right->used);
	if (!order && (sorted_by == RATES_BY_REFUSED || sorted_by == RATES_BY_TOTAL))
		order = by_number(left->refused, right->refused);
	return order ? order : strcmp(left->name, right->name);
}

void rates_sort(struct rates_row *rows, size_t count, enum rates_order order)
{
	sorted_by = order;
	if (count)
		qsort(rows, count, sizeof(*rows), by_order);
}
