/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * API keys by their hashes, each leading to a slot. Knows when flows must forget whose a key was;
 * knows no caller's name, and no key itself.
 */
#ifndef TPS_KEY_H
#define TPS_KEY_H

#include "identity.h"

/* All of them, as struct tps_key. */
int tps_keys_dump(const struct tps_gate *gate, struct tps_identities *ret_keys);

/* Whose a key is; -ENOENT when it is nobody's, or of a tenant that has gone. */
int tps_key_owner(const struct tps_gate *gate, const struct tps_key *key,
		  struct tps_slot *ret_owner);
/* When the gate last noted that the key came, CLOCK_MONOTONIC; 0: never. -ENOENT when it is
 * nobody's.
 */
int tps_key_used(const struct tps_gate *gate, const struct tps_key *key, __u64 *ret_used_ns);
int tps_key_put(struct tps_gate *gate, const struct tps_key *key, struct tps_slot owner);
/* Many at once: struct tps_key each. */
int tps_keys_put(struct tps_gate *gate, const void *const *keys, const struct tps_slot *owners,
		 size_t count);
int tps_key_remove(struct tps_gate *gate, const struct tps_key *key);
/* Remove the keys of tenants that have gone; how many, or -errno. */
int tps_keys_sweep(struct tps_gate *gate);

#endif
