// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate's object as this program carries it, from the generated skeleton.
 */
#include "object.h"

#include <errno.h>
#include <string.h>

#include "tps.skel.h"

struct bpf_object *tps_object_open(int *ret_err, struct tps_why *why)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "tps");
	size_t size;
	const void *bytes = tps_bpf__elf_bytes(&size);
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &options);

	if (!object) {
		*ret_err = -errno;
		tps_why_say(why, *ret_err, "the gate's object cannot be read: %s",
			    strerror(-*ret_err));
	}
	return object;
}

struct bpf_map *tps_object_map(const struct bpf_object *object, enum tps_map map)
{
	return bpf_object__find_map_by_name(object, tps_map_name(map));
}
