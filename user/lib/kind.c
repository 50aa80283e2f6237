// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of the kinds of identity, and what turns its words into those of each.
 */
#include "kind.h"

#include <string.h>

#include "claim.h"
#include "host.h"
#include "key.h"
#include "secret.h"
#include "source.h"

/* ---- sources */

static int source_put(struct tps_gate *gate, const void *source, struct tps_slot owner)
{
	return tps_source_put(gate, source, owner);
}

static int source_remove(struct tps_gate *gate, const void *source)
{
	return tps_source_remove(gate, source);
}

static enum tps_map source_map(const void *source)
{
	const struct tps_prefix *prefix = source;

	return prefix->family == 4 ? TPS_MAP_sources4 : TPS_MAP_sources6;
}

static const char *source_print(const struct tps_gate *gate, const void *source,
				char ret_text[TPS_IDENTITY_TEXT])
{
	return tps_prefix_print(source, ret_text);
}

/* With what is put, before anything goes. */
static struct tps_source_counts sources_count(const struct tps_claim *claim)
{
	const struct tps_prefix *there = claim->there.all;
	struct tps_source_counts counts = {};

	for (size_t i = 0; i < claim->there.count; i++)
		tps_source_count(&counts, &there[i], 1);
	for (size_t i = 0; i < claim->put_count; i++)
		tps_source_count(&counts, claim->put[i], 1);
	return counts;
}

static void sources_before(struct tps_gate *gate, const struct tps_claim *claim)
{
	struct tps_source_counts counts = sources_count(claim);

	tps_source_counts_raise(gate, &counts);
}

static void sources_after(struct tps_gate *gate, const struct tps_claim *claim)
{
	struct tps_source_counts counts = sources_count(claim);

	for (size_t i = 0; i < claim->remove_count; i++)
		tps_source_count(&counts, claim->remove[i], -1);
	tps_source_counts_set(gate, &counts);
}

/* ---- keys */

static int key_owner(const struct tps_gate *gate, const void *key, struct tps_slot *ret_owner)
{
	return tps_key_owner(gate, key, ret_owner);
}

static int key_put(struct tps_gate *gate, const void *key, struct tps_slot owner)
{
	return tps_key_put(gate, key, owner);
}

static int key_remove(struct tps_gate *gate, const void *key)
{
	return tps_key_remove(gate, key);
}

static enum tps_map key_map(const void *key)
{
	return TPS_MAP_keys;
}

static const char *key_print(const struct tps_gate *gate, const void *key,
			     char ret_text[TPS_IDENTITY_TEXT])
{
	tps_key_print(key, gate->control->secret, ret_text);
	strcpy(ret_text + TPS_KEY_SHOWN, "...");
	return ret_text;
}

/* ---- server names */

static int host_owner(const struct tps_gate *gate, const void *name, struct tps_slot *ret_owner)
{
	return tps_host_owner(gate, name, ret_owner);
}

static int host_put(struct tps_gate *gate, const void *name, struct tps_slot owner)
{
	return tps_host_put(gate, name, owner);
}

static int host_remove(struct tps_gate *gate, const void *name)
{
	return tps_host_remove(gate, name);
}

static enum tps_map host_map(const void *name)
{
	return TPS_MAP_hosts;
}

static const char *host_print(const struct tps_gate *gate, const void *name,
			      char ret_text[TPS_IDENTITY_TEXT])
{
	const struct tps_server_name *host = name;

	return host->text;
}

/* A killed command may have left a name without its depth, or a depth without a name. */
static void hosts_after(struct tps_gate *gate, const struct tps_claim *claim)
{
	const struct tps_list_change *change = claim->change;
	const struct tps_server_name *add = change->add;

	if (claim->put_count && !change->replace && !change->remove_count) {
		for (size_t i = 0; i < change->add_count; i++)
			tps_host_depth_raise(gate, &add[i]);
		return;
	}
	tps_hosts_sweep(gate); /* if it fails, the gate looks for a depth too many */
}

const struct tps_kind tps_kinds[TPS_IDENTITY_MAX] = {
	[TPS_IDENTITY_SOURCE] = {.noun = "source",
				 .size = sizeof(struct tps_prefix),
				 .dump = tps_sources_dump,
				 .put = source_put,
				 .remove = source_remove,
				 .put_all = tps_sources_put,
				 .map = source_map,
				 .print = source_print,
				 .before = sources_before,
				 .after = sources_after},
	[TPS_IDENTITY_KEY] = {.noun = "key",
			      .size = sizeof(struct tps_key),
			      .dump = tps_keys_dump,
			      .owner = key_owner,
			      .put = key_put,
			      .remove = key_remove,
			      .put_all = tps_keys_put,
			      .sweep = tps_keys_sweep,
			      .map = key_map,
			      .print = key_print},
	[TPS_IDENTITY_HOST] = {.noun = "server name",
			       .size = sizeof(struct tps_server_name),
			       .dump = tps_hosts_dump,
			       .owner = host_owner,
			       .put = host_put,
			       .remove = host_remove,
			       .put_all = tps_hosts_put,
			       .sweep = tps_hosts_sweep,
			       .map = host_map,
			       .print = host_print,
			       .after = hosts_after},
};
