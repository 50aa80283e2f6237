/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sums of counters that never fall: when an addend begins anew (its slot has another tenant, its
 * listener another name), what it had counted stays in the sum. Prometheus would take a fall for a
 * restart and the whole sum for new events.
 */
#ifndef TPSD_LEDGER_H
#define TPSD_LEDGER_H

#include <stddef.h>

#include <linux/types.h>

/* Add to each of @sums what its counter @now[] says beyond @last[], and remember it there. A
 * counter below its last value began anew: all of it is added. Zeroed memory is the right @last to
 * begin with. */
static inline void ledger_add(__u64 *sums, __u64 *last, const __u64 *now, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sums[i] += now[i] >= last[i] ? now[i] - last[i] : now[i];
		last[i] = now[i];
	}
}

#endif
