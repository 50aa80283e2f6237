// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS server names. The gate asks only for the depths whose bits are set in control: an entry comes
 * before its bit, and a bit goes when no entry needs it.
 */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "caller.h"
#include "dump.h"
#include "slot.h"

#define BATCH 4096 /* values of a batch are put together in 1 MB */

static struct tps_key key_of(const struct tps_gate *gate, const struct tps_server_name *name)
{
	return tps_server_name_hash(name, gate->control->secret);
}

static struct tps_host host_of(const struct tps_server_name *name, struct tps_slot owner)
{
	struct tps_host host = {.slot = owner};

	memcpy(host.name, name->text, sizeof(host.name));
	return host;
}

int tps_hosts_dump(const struct tps_gate *gate, struct tps_identities *ret_names)
{
	_cleanup_identities_ struct tps_identities there = {};
	_cleanup_free_ void *keys = NULL, *values = NULL;
	struct tps_server_name *name;
	size_t count;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_hosts], &keys, &values, &count);

	if (err)
		return err;
	there.all = name = calloc(count + 1, sizeof(*name));
	there.owners = calloc(count + 1, sizeof(*there.owners));
	if (!there.all || !there.owners)
		return -ENOMEM;
	for (; there.count < count; there.count++) {
		const struct tps_host *host = (struct tps_host *)values + there.count;

		memcpy(name[there.count].text, host->name, sizeof(host->name));
		there.owners[there.count] = host->slot;
	}
	*ret_names = there;
	there = (struct tps_identities){};
	return 0;
}

int tps_host_owner(const struct tps_gate *gate, const struct tps_server_name *name,
		   struct tps_slot *ret_owner)
{
	struct tps_key key = key_of(gate, name);
	struct tps_host host;
	int err = bpf_map_lookup_elem(gate->map_fd[TPS_MAP_hosts], &key, &host);

	if (err)
		return err;
	if (!tps_slot_is_live(gate, host.slot))
		return -ENOENT;
	*ret_owner = host.slot;
	return 0;
}

static void depths_raise(struct tps_gate *gate, __u32 depths)
{
	if (depths & ~gate->control->host_depths)
		tps_half_store(&gate->control->host_depths, gate->control->host_depths | depths);
}

void tps_host_depth_raise(struct tps_gate *gate, const struct tps_server_name *name)
{
	depths_raise(gate, 1U << tps_server_name_depth(name));
}

int tps_host_put(struct tps_gate *gate, const struct tps_server_name *name, struct tps_slot owner)
{
	struct tps_host host = host_of(name, owner);
	struct tps_key key = key_of(gate, name);
	int err = bpf_map_update_elem(gate->map_fd[TPS_MAP_hosts], &key, &host, BPF_ANY);

	if (!err)
		tps_host_depth_raise(gate, name);
	return err;
}

int tps_hosts_put(struct tps_gate *gate, const void *const *names, const struct tps_slot *owners,
		  size_t count)
{
	_cleanup_free_ struct tps_host *hosts = calloc(BATCH, sizeof(*hosts));
	_cleanup_free_ struct tps_key *keys = calloc(BATCH, sizeof(*keys));
	int err = hosts && keys ? 0 : -ENOMEM;

	for (size_t done = 0; done < count && !err; done += BATCH) {
		size_t n = count - done < BATCH ? count - done : BATCH;
		__u32 depths = 0;

		for (size_t i = 0; i < n; i++) {
			const struct tps_server_name *name = names[done + i];

			keys[i] = key_of(gate, name);
			hosts[i] = host_of(name, owners[done + i]);
			depths |= 1U << tps_server_name_depth(name);
		}
		err = tps_dump_write(gate->map_fd[TPS_MAP_hosts], keys, hosts, n);
		if (!err)
			depths_raise(gate, depths);
	}
	return err;
}

int tps_host_remove(struct tps_gate *gate, const struct tps_server_name *name)
{
	struct tps_key key = key_of(gate, name);

	return bpf_map_delete_elem(gate->map_fd[TPS_MAP_hosts], &key);
}

int tps_hosts_sweep(struct tps_gate *gate)
{
	_cleanup_identities_ struct tps_identities there = {};
	const struct tps_server_name *name;
	__u32 depths = 0;
	int swept = 0;
	int err = tps_hosts_dump(gate, &there);

	if (err)
		return err;
	name = there.all;
	for (size_t i = 0; i < there.count; i++) {
		if (tps_slot_is_live(gate, there.owners[i]))
			depths |= 1U << tps_server_name_depth(&name[i]);
		else
			swept += !tps_host_remove(gate, &name[i]);
	}
	if (gate->control->host_depths != depths)
		tps_half_store(&gate->control->host_depths, depths);
	return swept;
}

int tps_hosts_read(const struct tps_gate *gate, const struct tps_slot *of,
		   struct tps_server_name **ret_names, struct tps_slot **ret_owners,
		   size_t *ret_count)
{
	_cleanup_identities_ struct tps_identities there = {};
	int err = tps_hosts_dump(gate, &there);

	if (err)
		return err;
	tps_identities_keep(gate, of, sizeof(struct tps_server_name), &there);
	*ret_names = TAKE_PTR(there.all);
	if (ret_owners)
		*ret_owners = TAKE_PTR(there.owners);
	*ret_count = there.count;
	return 0;
}
