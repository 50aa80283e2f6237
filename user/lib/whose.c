// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate's order of identities, followed in its maps.
 */
#include "whose.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "host.h"
#include "identity.h"
#include "key.h"
#include "slot.h"
#include "source.h"

static const char *const by_texts[TPS_BY_MAX] = {
#define ROW(id, text) [TPS_BY_##id] = text,
	TPS_BYS(ROW)
#undef ROW
};

const char *tps_by_text(enum tps_by by)
{
	return by < TPS_BY_MAX ? by_texts[by] : NULL;
}

/* ---- sources */

struct tps_address tps_address_of(const struct tps_prefix *source)
{
	struct tps_address address;
	__u32 v4_be;
	__u64 v6_be;

	memcpy(&v4_be, source->address, sizeof(v4_be));
	memcpy(&v6_be, source->address, sizeof(v6_be));
	address.word = source->family == 4 ? TPS_ADDRESS_IPV4 | ntohl(v4_be) : be64toh(v6_be);
	return address;
}

struct tps_prefix tps_address_prefix(const struct tps_address *address)
{
	struct tps_prefix prefix = {.family = 4, .bits = 32};
	__u32 v4_be = htonl((__u32)address->word);
	__u64 v6_be = htobe64(address->word);

	if ((address->word & TPS_ADDRESS_IPV4) == TPS_ADDRESS_IPV4) {
		memcpy(prefix.address, &v4_be, sizeof(v4_be));
		return prefix;
	}
	prefix.family = 6;
	prefix.bits = 64;
	memcpy(prefix.address, &v6_be, sizeof(v6_be));
	return prefix;
}

/* What the trie says; generation 0: nothing. */
static int prefix_ask(const struct tps_gate *gate, const struct tps_prefix *source,
		      struct tps_slot *ret_slot)
{
	struct tps_source4_key key4 = {.prefix_bits = 32};
	struct tps_source6_key key6 = {.prefix_bits = 128};
	bool is_v4 = source->family == 4;
	int err;

	memcpy(&key4.address_be, source->address, sizeof(key4.address_be));
	memcpy(key6.address, source->address, sizeof(key6.address));
	err = bpf_map_lookup_elem(gate->map_fd[is_v4 ? TPS_MAP_sources4 : TPS_MAP_sources6],
				  is_v4 ? (void *)&key4 : (void *)&key6, ret_slot);
	if (err == -ENOENT)
		*ret_slot = (struct tps_slot){};
	return err == -ENOENT ? 0 : err;
}

int tps_whose_source(const struct tps_gate *gate, const struct tps_prefix *source,
		     struct tps_whose *ret)
{
	const struct tps_control *control = gate->control;
	struct tps_address address = tps_address_of(source);
	/* a /64 with longer prefixes inside is not one caller */
	bool is_shared = source->family == 6 && control->sources6_long;
	struct tps_whose whose = {.by = TPS_BY_ADDRESS};
	struct tps_slot found = {};
	int err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_strangers], &address, &whose.entry);

	if (err && err != -ENOENT)
		return err;
	whose.has_entry = !err;
	if (source->family == 4 ? control->sources4 : control->sources6) {
		if (whose.has_entry && !is_shared &&
		    whose.entry.sources_generation == control->generation) {
			found = whose.entry.caller;
		} else {
			err = prefix_ask(gate, source, &found);
			if (err)
				return err;
		}
	}
	if (tps_slot_is_live(gate, found)) {
		whose.slot = found;
		whose.by = TPS_BY_SOURCE;
	} else {
		whose.is_stale = found.generation != 0;
	}
	*ret = whose;
	return 0;
}

/* ---- keys and names */

int tps_whose_key(const struct tps_gate *gate, const struct tps_key *key, struct tps_whose *ret)
{
	struct tps_slot owner;
	int err = tps_key_owner(gate, key, &owner);

	if (!err)
		*ret = (struct tps_whose){.slot = owner, .by = TPS_BY_KEY};
	return err;
}

/* "*." and the last @labels of @name; false: it has no more than these. */
static bool suffix_of(const struct tps_server_name *name, __u32 labels,
		      struct tps_server_name *ret_suffix)
{
	const char *from = name->text + strlen(name->text);
	struct tps_server_name suffix = {};

	while (labels && from > name->text)
		labels -= *--from == '.';
	if (labels || strlen(from) > TPS_HOST_BYTES_MAX)
		return false;
	suffix.text[0] = '*';
	strcpy(suffix.text + 1, from);
	*ret_suffix = suffix;
	return true;
}

int tps_whose_name(const struct tps_gate *gate, const struct tps_server_name *name,
		   struct tps_whose *ret)
{
	__u32 depths = gate->control->host_depths;
	struct tps_server_name asked = *name;
	struct tps_slot owner;
	int err = -ENOENT;

	if (depths & 1)
		err = tps_host_owner(gate, &asked, &owner);
	for (int labels = TPS_HOST_LABELS_MAX; labels > 0 && err == -ENOENT; labels--) {
		if (depths >> labels & 1 && suffix_of(name, labels, &asked))
			err = tps_host_owner(gate, &asked, &owner);
	}
	if (!err)
		*ret = (struct tps_whose){.slot = owner, .by = TPS_BY_SNI, .name = asked};
	return err;
}

/* ---- the longest prefix by name */

static int by_prefix(const void *a, const void *b)
{
	const struct tps_prefix *left = a, *right = b;

	if (left->family != right->family)
		return left->family < right->family ? -1 : 1;
	if (left->bits != right->bits)
		return left->bits < right->bits ? -1 : 1;
	return memcmp(left->address, right->address, sizeof(left->address));
}

int tps_source_table_read(const struct tps_gate *gate, struct tps_source_table *ret_table)
{
	_cleanup_identities_ struct tps_identities there = {};
	struct tps_source_table table = {};
	int err = tps_sources_dump(gate, &there);

	if (err)
		return err;
	table.count = there.count;
	table.sorted = TAKE_PTR(there.all);
	for (size_t i = 0; i < table.count; i++)
		table.has[table.sorted[i].family == 6][table.sorted[i].bits] = true;
	qsort(table.sorted, table.count, sizeof(*table.sorted), by_prefix);
	*ret_table = table;
	return 0;
}

void tps_source_table_free(struct tps_source_table *table)
{
	free(table->sorted);
	*table = (struct tps_source_table){};
}

const struct tps_prefix *tps_source_longest(const struct tps_source_table *table,
					    const struct tps_prefix *source)
{
	for (int bits = source->family == 4 ? 32 : 128; bits >= 0; bits--) {
		struct tps_prefix cut;
		const struct tps_prefix *found;

		if (!table->has[source->family == 6][bits])
			continue;
		cut = tps_prefix_cut(source, bits);
		found = bsearch(&cut, table->sorted, table->count, sizeof(cut), by_prefix);
		if (found)
			return found;
	}
	return NULL;
}
