/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding what stands twice in a large array of pointers. Knows nothing of what the elements are.
 */
#ifndef TPS_DOUBLE_H
#define TPS_DOUBLE_H

#include <stddef.h>

/* *ret_first and *ret_second are two places whose elements have the same @size bytes; -ENOENT when
 * all @count differ. */
int tps_double_find(const void *const *elements, size_t size, size_t count, size_t *ret_first,
		    size_t *ret_second);

#endif
