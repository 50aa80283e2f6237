/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies a chunk of a frame to where a parser reads it: 64 bytes at a time, with the bounds that
 * the verifier wants to see. Dual.
 */
#ifndef TPS_FILL_H
#define TPS_FILL_H

#include <tps/dual.h>

#define FILL_CHUNK_MAX 2048
#define FILL_BLOCK_BYTES 64
#define FILL_AT_MAX (0x7fff - FILL_CHUNK_MAX) /* the mask below keeps what lies behind it */

/* A parser's chunk: the bytes at @to_at of @parser's memory, of which the __u32 at @bytes_at says
 * how many there are. */
DUAL_INLINE int fill_block(__u8 *parser, __u32 to_at, const __u8 *data, const __u8 *end, __u32 at,
			   __u32 done)
{
	const __u8 *from = data + ((at + done) & 0x7fff);
	__u8 *to = parser + (done & (FILL_CHUNK_MAX - 1));

	if (from + FILL_BLOCK_BYTES > end)
		return 0;
	for (int i = 0; i < FILL_BLOCK_BYTES; i += 8)
		dual_store64(to + to_at + i, dual_load64(from + i));
	return 1;
}

/*
 * Copy the chunk from data + @at on, if all of it lies in [data, end), the linear part of the
 * frame; there is room for FILL_CHUNK_MAX and a block more. False: it does not, or it is short;
 * then let the helper do it, which takes three times as long. The last block lies over the one
 * before it.
 */
DUAL_INLINE int fill(void *parser, __u32 to_at, __u32 bytes_at, const __u8 *data, const __u8 *end,
		     __u32 at)
{
	const __u32 *chunk_bytes = parser + bytes_at;
	__u32 bytes = *chunk_bytes;

	if (bytes < FILL_BLOCK_BYTES || at > FILL_AT_MAX)
		return 0;
	for (__u32 i = 0; i < FILL_CHUNK_MAX / FILL_BLOCK_BYTES; i++) {
		if (bytes < (i + 1) * FILL_BLOCK_BYTES)
			break;
		if (!fill_block(parser, to_at, data, end, at, i * FILL_BLOCK_BYTES))
			return 0;
	}
	dual_reload();
	return fill_block(parser, to_at, data, end, at, *chunk_bytes - FILL_BLOCK_BYTES);
}
#define FILL(parser, member, skip, data, end, at) \
	fill(parser, __builtin_offsetof(__typeof__(*(parser)), member) + (skip), \
	     __builtin_offsetof(__typeof__(*(parser)), chunk_bytes), data, end, at)

#endif
