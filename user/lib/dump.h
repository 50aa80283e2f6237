/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A whole map at once, read and written in batches. Knows no map by name.
 */
#ifndef TPS_DUMP_H
#define TPS_DUMP_H

#include <stddef.h>

#include <linux/types.h>

/* All entries of the hash, LRU hash or LPM trie @fd. The arrays are the caller's to free;
 * @ret_values may be NULL. What others change meanwhile may be there or not. */
int tps_dump_read(int fd, void **ret_keys, void **ret_values, size_t *ret_count);

/* How many entries there are. */
int tps_dump_count(int fd, __u32 *ret_count);

/* Write @count entries, replacing. On failure some may be written. */
int tps_dump_write(int fd, const void *keys, const void *values, size_t count);

#endif
