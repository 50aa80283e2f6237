/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source prefixes, each leading to a slot. Knows the order of tries and control (counts,
 * generation); knows no caller's name.
 */
#ifndef TPS_SOURCE_H
#define TPS_SOURCE_H

#include "identity.h"
#include "text.h"

/* All of them, as struct tps_prefix. */
int tps_sources_dump(const struct tps_gate *gate, struct tps_identities *ret_sources);

int tps_source_put(struct tps_gate *gate, const struct tps_prefix *prefix, struct tps_slot owner);
int tps_source_remove(struct tps_gate *gate, const struct tps_prefix *prefix);
/* Many at once: struct tps_prefix each. */
int tps_sources_put(struct tps_gate *gate, const void *const *prefixes,
		    const struct tps_slot *owners, size_t count);

/* What control says of the sources. Before prefixes are added, with what will be there; after a
 * change, with what is. Raises the generation, so that the gate looks again. */
struct tps_source_counts {
	__u32 sources4, sources6, sources6_long;
};
void tps_source_count(struct tps_source_counts *counts, const struct tps_prefix *prefix, int by);
void tps_source_counts_raise(struct tps_gate *gate, const struct tps_source_counts *counts);
void tps_source_counts_set(struct tps_gate *gate, const struct tps_source_counts *counts);

#endif
