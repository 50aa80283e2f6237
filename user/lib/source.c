// SPDX-License-Identifier: GPL-2.0-only
/*
 * Source prefixes. An LPM trie cannot be asked for one exact prefix on every kernel that tps
 * supports, so who must know reads them all.
 */
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "caller.h"
#include "dump.h"

static struct tps_source4_key key4_of(const struct tps_prefix *prefix)
{
	struct tps_source4_key key = {.prefix_bits = prefix->bits};

	memcpy(&key.address_be, prefix->address, sizeof(key.address_be));
	return key;
}

static struct tps_source6_key key6_of(const struct tps_prefix *prefix)
{
	struct tps_source6_key key = {.prefix_bits = prefix->bits};

	memcpy(key.address, prefix->address, sizeof(key.address));
	return key;
}

static struct tps_prefix prefix_of4(const struct tps_source4_key *key)
{
	struct tps_prefix prefix = {.bits = key->prefix_bits, .family = 4};

	memcpy(prefix.address, &key->address_be, sizeof(key->address_be));
	return prefix;
}

static struct tps_prefix prefix_of6(const struct tps_source6_key *key)
{
	struct tps_prefix prefix = {.bits = key->prefix_bits, .family = 6};

	memcpy(prefix.address, key->address, sizeof(key->address));
	return prefix;
}

int tps_sources_dump(const struct tps_gate *gate, struct tps_identities *ret_sources)
{
	_cleanup_free_ void *keys4 = NULL, *keys6 = NULL, *owners4 = NULL, *owners6 = NULL;
	_cleanup_identities_ struct tps_identities there = {};
	struct tps_prefix *prefix;
	size_t count4, count6;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_sources4], &keys4, &owners4, &count4);

	if (!err)
		err = tps_dump_read(gate->map_fd[TPS_MAP_sources6], &keys6, &owners6, &count6);
	if (err)
		return err;
	there.all = prefix = calloc(count4 + count6 + 1, sizeof(*prefix));
	there.owners = calloc(count4 + count6 + 1, sizeof(*there.owners));
	if (!there.all || !there.owners)
		return -ENOMEM;
	for (size_t i = 0; i < count4; i++, there.count++) {
		prefix[there.count] = prefix_of4((struct tps_source4_key *)keys4 + i);
		there.owners[there.count] = ((struct tps_slot *)owners4)[i];
	}
	for (size_t i = 0; i < count6; i++, there.count++) {
		prefix[there.count] = prefix_of6((struct tps_source6_key *)keys6 + i);
		there.owners[there.count] = ((struct tps_slot *)owners6)[i];
	}
	*ret_sources = there;
	there = (struct tps_identities){};
	return 0;
}

int tps_source_put(struct tps_gate *gate, const struct tps_prefix *prefix, struct tps_slot owner)
{
	struct tps_source4_key key4 = key4_of(prefix);
	struct tps_source6_key key6 = key6_of(prefix);

	if (prefix->family == 4)
		return bpf_map_update_elem(gate->map_fd[TPS_MAP_sources4], &key4, &owner, BPF_ANY);
	return bpf_map_update_elem(gate->map_fd[TPS_MAP_sources6], &key6, &owner, BPF_ANY);
}

int tps_source_remove(struct tps_gate *gate, const struct tps_prefix *prefix)
{
	struct tps_source4_key key4 = key4_of(prefix);
	struct tps_source6_key key6 = key6_of(prefix);

	if (prefix->family == 4)
		return bpf_map_delete_elem(gate->map_fd[TPS_MAP_sources4], &key4);
	return bpf_map_delete_elem(gate->map_fd[TPS_MAP_sources6], &key6);
}

int tps_sources_put(struct tps_gate *gate, const void *const *prefixes,
		    const struct tps_slot *owners, size_t count)
{
	_cleanup_free_ struct tps_source4_key *keys4 = calloc(count + 1, sizeof(*keys4));
	_cleanup_free_ struct tps_source6_key *keys6 = calloc(count + 1, sizeof(*keys6));
	_cleanup_free_ struct tps_slot *of4 = calloc(count + 1, sizeof(*of4));
	_cleanup_free_ struct tps_slot *of6 = calloc(count + 1, sizeof(*of6));
	size_t count4 = 0, count6 = 0;
	int err;

	if (!keys4 || !keys6 || !of4 || !of6)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct tps_prefix *prefix = prefixes[i];

		if (prefix->family == 4) {
			keys4[count4] = key4_of(prefix);
			of4[count4++] = owners[i];
		} else {
			keys6[count6] = key6_of(prefix);
			of6[count6++] = owners[i];
		}
	}
	err = tps_dump_write(gate->map_fd[TPS_MAP_sources4], keys4, of4, count4);
	return err ? err : tps_dump_write(gate->map_fd[TPS_MAP_sources6], keys6, of6, count6);
}

void tps_source_count(struct tps_source_counts *counts, const struct tps_prefix *prefix, int by)
{
	if (prefix->family == 4)
		counts->sources4 += by;
	else
		counts->sources6 += by;
	if (prefix->family == 6 && prefix->bits > 64)
		counts->sources6_long += by;
}

static void count_raise(__u32 *count, __u32 to)
{
	if (*count < to)
		tps_half_store(count, to);
}

void tps_source_counts_raise(struct tps_gate *gate, const struct tps_source_counts *counts)
{
	count_raise(&gate->control->sources6_long, counts->sources6_long);
	count_raise(&gate->control->sources4, counts->sources4);
	count_raise(&gate->control->sources6, counts->sources6);
}

void tps_source_counts_set(struct tps_gate *gate, const struct tps_source_counts *counts)
{
	__u32 generation = gate->control->generation + 1;

	tps_half_store(&gate->control->sources4, counts->sources4);
	tps_half_store(&gate->control->sources6, counts->sources6);
	tps_half_store(&gate->control->sources6_long, counts->sources6_long);
	tps_half_store(&gate->control->generation, generation ? generation : 1);
}

int tps_sources_read(const struct tps_gate *gate, const struct tps_slot *of,
		     struct tps_prefix **ret_sources, struct tps_slot **ret_owners,
		     size_t *ret_count)
{
	_cleanup_identities_ struct tps_identities there = {};
	int err = tps_sources_dump(gate, &there);

	if (err)
		return err;
	tps_identities_keep(gate, of, sizeof(struct tps_prefix), &there);
	*ret_sources = TAKE_PTR(there.all);
	if (ret_owners)
		*ret_owners = TAKE_PTR(there.owners);
	*ret_count = there.count;
	return 0;
}
