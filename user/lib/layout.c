// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layout hash: FNV-1a over the names, offsets and types that the BTF of the gate tells.
 */
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include <tps/names.h>

#include "cleanup.h"

#define LAYOUT_DEPTH_MAX 16 /* of types in types */

static void hash_bytes(__u64 *hash, const void *bytes, size_t count)
{
	const unsigned char *from = bytes;

	for (size_t i = 0; i < count; i++)
		*hash = (*hash ^ from[i]) * 0x100000001b3ULL;
}

static void hash_number(__u64 *hash, __u64 number)
{
	hash_bytes(hash, &number, sizeof(number));
}

static void hash_name(__u64 *hash, const struct btf *btf, __u32 offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	hash_bytes(hash, name ? name : "", (name ? strlen(name) : 0) + 1);
}

static void hash_members(__u64 *hash, const struct btf *btf, const struct btf_type *type,
			 int depth);

/* A member's type: named structs and enums by name (each has its own turn), the rest by what it is.
 */
static void hash_type(__u64 *hash, const struct btf *btf, __u32 id, int depth)
{
	const struct btf_type *type;

	type = btf__type_by_id(btf,
			       btf__resolve_type(btf, id) < 0 ? 0 : btf__resolve_type(btf, id));
	if (!type || depth > LAYOUT_DEPTH_MAX)
		return;
	hash_number(hash, btf_kind(type));
	if (btf_is_array(type)) {
		hash_number(hash, btf_array(type)->nelems);
		hash_type(hash, btf, btf_array(type)->type, depth + 1);
		return;
	}
	hash_name(hash, btf, type->name_off);
	if (!btf_is_ptr(type))
		hash_number(hash, type->size);
	if (btf_is_int(type))
		hash_number(hash, btf_int_encoding(type));
	if (btf_is_composite(type) && !type->name_off)
		hash_members(hash, btf, type, depth + 1);
}

static void hash_members(__u64 *hash, const struct btf *btf, const struct btf_type *type, int depth)
{
	const struct btf_member *member = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++) {
		hash_name(hash, btf, member[i].name_off);
		hash_number(hash, btf_member_bit_offset(type, i));
		hash_number(hash, btf_member_bitfield_size(type, i));
		hash_type(hash, btf, member[i].type, depth);
	}
}

static void hash_named(__u64 *hash, const struct btf *btf, const struct btf_type *type)
{
	hash_name(hash, btf, type->name_off);
	hash_number(hash, btf_kind(type));
	hash_number(hash, type->size);
	if (btf_is_composite(type)) {
		hash_members(hash, btf, type, 0);
		return;
	}
	for (int i = 0; i < btf_vlen(type); i++) {
		hash_name(hash, btf, btf_enum(type)[i].name_off);
		hash_number(hash, (__u32)btf_enum(type)[i].val);
	}
}

static const struct btf *sorted_btf; /* qsort(3) hands its order no context */

static const char *name_of(__u32 id)
{
	return btf__name_by_offset(sorted_btf, btf__type_by_id(sorted_btf, id)->name_off);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(name_of(*(const __u32 *)a), name_of(*(const __u32 *)b));
}

int tps_layout_hash(const struct btf *btf, __u64 *ret_hash)
{
	__u32 types = btf__type_cnt(btf);
	_cleanup_free_ __u32 *ids = calloc(types, sizeof(*ids));
	__u64 hash = 0xcbf29ce484222325ULL;
	size_t count = 0;

	if (!ids)
		return -ENOMEM;
	for (__u32 id = 1; id < types; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);

		if ((btf_is_composite(type) || btf_is_enum(type)) && name &&
		    !strncmp(name, "tps_", 4))
			ids[count++] = id;
	}
	if (!count)
		return -ENODATA;
	sorted_btf = btf;
	qsort(ids, count, sizeof(*ids), by_name);
	for (size_t i = 0; i < count; i++)
		hash_named(&hash, btf, btf__type_by_id(btf, ids[i]));
#define HASH_MAP(name, capacity) hash_bytes(&hash, #name, sizeof(#name));
	TPS_MAPS(HASH_MAP)
#undef HASH_MAP
	*ret_hash = hash ? hash : 1;
	return 0;
}
