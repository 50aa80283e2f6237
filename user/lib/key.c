// SPDX-License-Identifier: GPL-2.0-only
/*
 * API keys by their hashes.
 */
#include "key.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "caller.h"
#include "dump.h"
#include "slot.h"

int tps_keys_dump(const struct tps_gate *gate, struct tps_identities *ret_keys)
{
	_cleanup_free_ void *keys = NULL, *values = NULL;
	struct tps_slot *owners;
	size_t count;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_keys], &keys, &values, &count);

	if (err)
		return err;
	owners = calloc(count + 1, sizeof(*owners));
	if (!owners)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		owners[i] = ((struct tps_key_owner *)values)[i].slot;
	*ret_keys = (struct tps_identities){TAKE_PTR(keys), owners, count};
	return 0;
}

int tps_key_owner(const struct tps_gate *gate, const struct tps_key *key,
		  struct tps_slot *ret_owner)
{
	struct tps_key_owner owner;
	int err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_keys], key, &owner);

	if (err)
		return err;
	if (!tps_slot_is_live(gate, owner.slot))
		return -ENOENT;
	*ret_owner = owner.slot;
	return 0;
}

int tps_key_used(const struct tps_gate *gate, const struct tps_key *key, __u64 *ret_used_ns)
{
	struct tps_key_owner owner;
	int err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_keys], key, &owner);

	if (!err)
		*ret_used_ns = owner.used_ns;
	return err;
}

int tps_key_put(struct tps_gate *gate, const struct tps_key *key, struct tps_slot owner)
{
	struct tps_key_owner value = {.slot = owner};

	return bpf_map_update_elem(gate->map_fd[TPS_MAP_keys], key, &value, BPF_ANY);
}

int tps_keys_put(struct tps_gate *gate, const void *const *keys, const struct tps_slot *owners,
		 size_t count)
{
	_cleanup_free_ struct tps_key *all = calloc(count + 1, sizeof(*all));
	_cleanup_free_ struct tps_key_owner *values = calloc(count + 1, sizeof(*values));

	if (!all || !values)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		all[i] = *(const struct tps_key *)keys[i];
		values[i].slot = owners[i];
	}
	return tps_dump_write(gate->map_fd[TPS_MAP_keys], all, values, count);
}

int tps_key_remove(struct tps_gate *gate, const struct tps_key *key)
{
	int err = bpf_map_delete_elem(gate->map_fd[TPS_MAP_keys], key);

	/* flows remember whose key it was */
	if (!err)
		tps_half_store(&gate->control->keys_generation, gate->control->keys_generation + 1);
	return err;
}

int tps_keys_sweep(struct tps_gate *gate)
{
	_cleanup_identities_ struct tps_identities there = {};
	int swept = 0;
	int err = tps_keys_dump(gate, &there);

	for (size_t i = 0; i < there.count && !err; i++) {
		if (!tps_slot_is_live(gate, there.owners[i]))
			swept += !tps_key_remove(gate, (struct tps_key *)there.all + i);
	}
	return err ? err : swept;
}

int tps_keys_read(const struct tps_gate *gate, const struct tps_slot *of, struct tps_key **ret_keys,
		  struct tps_slot **ret_owners, size_t *ret_count)
{
	_cleanup_identities_ struct tps_identities there = {};
	int err = tps_keys_dump(gate, &there);

	if (err)
		return err;
	tps_identities_keep(gate, of, sizeof(struct tps_key), &there);
	*ret_keys = TAKE_PTR(there.all);
	if (ret_owners)
		*ret_owners = TAKE_PTR(there.owners);
	*ret_count = there.count;
	return 0;
}
