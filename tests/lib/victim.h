/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A caller by prefix and by key, in whose name packets are forged, and what must be the same behind
 * them. Knows nothing of how they are forged.
 */
#ifndef TPS_TEST_VICTIM_H
#define TPS_TEST_VICTIM_H

#include "lib/http_cases.h"

struct victim {
	struct tps_slot caller, keyed;
	struct tps_bucket bucket, keyed_bucket;
	__u32 flows;
};

/* Before it has asked anything. */
static inline void victim_add(struct victim *ret, const char *prefix)
{
	ret->caller = add_source(prefix, 10);
	ret->keyed = add_keyed("victim", 10);
}

/* When a request of each of its names is behind it. */
static inline void victim_note(struct victim *victim)
{
	victim->bucket = harness_bucket(&h, victim->caller);
	victim->keyed_bucket = harness_bucket(&h, victim->keyed);
	victim->flows = harness_flows(&h);
	assert_int_not_equal(victim->bucket.proven_tat_vt, 0);
	assert_int_not_equal(victim->keyed_bucket.proven_tat_vt, 0);
}

/* Proven words to the bit, no flow more, nothing sent. */
static inline void victim_assert_untouched(const struct victim *victim)
{
	struct tps_bucket now = harness_bucket(&h, victim->caller);
	struct tps_bucket keyed = harness_bucket(&h, victim->keyed);

	assert_true(now.proven_tat_vt == victim->bucket.proven_tat_vt);
	assert_memory_equal(&keyed, &victim->keyed_bucket, sizeof(keyed));
	assert_int_equal(harness_flows(&h), victim->flows);
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_TX), 0);
}

#endif
