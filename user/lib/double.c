// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hash set of places in an array, open addressing.
 */
#include "double.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#include "cleanup.h"

static size_t place_of(const char *element, size_t size)
{
	__u64 hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)element[i]) * 0x100000001b3ULL;
	return hash ^ hash >> 32;
}

int tps_double_find(const void *const *elements, size_t size, size_t count, size_t *ret_first,
		    size_t *ret_second)
{
	_cleanup_free_ size_t *places = NULL; /* index + 1; 0: empty */
	size_t room = 16;

	while (room < count * 2)
		room *= 2;
	places = calloc(room, sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		size_t at = place_of(elements[i], size) & (room - 1);

		for (; places[at]; at = (at + 1) & (room - 1)) {
			if (!memcmp(elements[places[at] - 1], elements[i], size)) {
				*ret_first = places[at] - 1;
				*ret_second = i;
				return 0;
			}
		}
		places[at] = i + 1;
	}
	return -ENOENT;
}
