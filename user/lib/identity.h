/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Identities: source prefixes and API keys, each leading to a slot. Knows the order of tries and
 * control (counts, generation); knows no name.
 */
#ifndef TPS_IDENTITY_H
#define TPS_IDENTITY_H

#include "gate.h"
#include "text.h"

/* All source prefixes, and whose; those of tenants that have gone too. */
struct tps_sources {
	struct tps_prefix *prefixes;
	struct tps_slot *owners;
	size_t count;
};
void tps_sources_free(struct tps_sources *sources);
int tps_sources_dump(const struct tps_gate *gate, struct tps_sources *ret_sources);

int tps_source_put(struct tps_gate *gate, const struct tps_prefix *prefix, struct tps_slot owner);
int tps_source_remove(struct tps_gate *gate, const struct tps_prefix *prefix);
/* Many at once. */
int tps_sources_put(struct tps_gate *gate, const struct tps_prefix *prefixes,
		    const struct tps_slot *owners, size_t count);

/* What control says of the sources. Before prefixes are added, with what will be there; after a
 * change, with what is. Raises the generation, so that the gate looks again. */
struct tps_source_counts {
	__u32 sources4, sources6, sources6_long;
};
void tps_source_count(struct tps_source_counts *counts, const struct tps_prefix *prefix, int by);
void tps_source_counts_raise(struct tps_gate *gate, const struct tps_source_counts *counts);
void tps_source_counts_set(struct tps_gate *gate, const struct tps_source_counts *counts);

/* Whose a key is; -ENOENT when it is nobody's, or of a tenant that has gone. */
int tps_key_owner(const struct tps_gate *gate, const struct tps_key *key,
		  struct tps_slot *ret_owner);
int tps_key_put(struct tps_gate *gate, const struct tps_key *key, struct tps_slot owner);
int tps_key_remove(struct tps_gate *gate, const struct tps_key *key);
/* Remove the keys of tenants that have gone; how many, or -errno. */
int tps_keys_sweep(struct tps_gate *gate);

bool tps_slot_equal(struct tps_slot a, struct tps_slot b);

#endif
