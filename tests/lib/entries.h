/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries of the gate's maps, for the harness alone: put there and got, or the test exits.
 */
#ifndef TPS_TEST_ENTRIES_H
#define TPS_TEST_ENTRIES_H

#include <err.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/abi.h>

#include "tps.skel.h"

static inline void entry_put(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		err(1, "map '%s'", bpf_map__name(map));
}

static inline void entry_get(const struct bpf_map *map, const void *key, void *ret_value)
{
	if (bpf_map_lookup_elem(bpf_map__fd(map), key, ret_value))
		err(1, "map '%s'", bpf_map__name(map));
}

static inline void entry_empty_hash(const struct bpf_map *map)
{
	__u8 key[128];

	while (!bpf_map_get_next_key(bpf_map__fd(map), NULL, key))
		if (bpf_map_delete_elem(bpf_map__fd(map), key))
			err(1, "map '%s'", bpf_map__name(map));
}

/* The ports of @listener lead to listener @number; 0: to none. */
static inline void entry_put_ports(const struct tps_bpf *gate, const struct tps_listener *listener,
				   __u32 number)
{
	for (__u32 i = 0; i < listener->port_count; i++) {
		__u32 index =
			TPS_PORT_INDEX(listener->protocol == TPS_PROTOCOL_UDP, listener->port[i]);

		entry_put(gate->maps.ports, &index, &number);
	}
}

#endif
