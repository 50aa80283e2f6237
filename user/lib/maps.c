// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of the pinned maps, and how a mapped word is stored. Knows no entry's meaning.
 */
#include "gate.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	__u32 capacity;
} maps[TPS_MAP_MAX] = {
#define ROW(map, size) [TPS_MAP_##map] = {#map, size},
	TPS_MAPS(ROW)
#undef ROW
};

bool tps_map_by_slot(enum tps_map map)
{
#define TEST(name) map == TPS_MAP_##name ||
	return TPS_MAPS_BY_SLOT(TEST) false;
#undef TEST
}

const char *tps_map_name(enum tps_map map)
{
	return maps[map].name;
}

int tps_map_find(const char *name)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (!strcmp(maps[map].name, name))
			return map;
	}
	return -ENOENT;
}

bool tps_map_sizable(enum tps_map map)
{
	return maps[map].capacity && !tps_map_by_slot(map);
}

__u32 tps_map_default_capacity(enum tps_map map)
{
	return maps[map].capacity;
}

void tps_word_store(__u64 *to, __u64 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

void tps_half_store(__u32 *to, __u32 value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

void tps_words_store(void *to, const void *from, size_t bytes)
{
	__u64 *word = to;

	for (size_t i = 0; i < bytes / sizeof(*word); i++) {
		__u64 value;

		memcpy(&value, (const char *)from + i * sizeof(value), sizeof(value));
		if (word[i] != value)
			tps_word_store(&word[i], value);
	}
}
