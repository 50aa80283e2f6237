/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Eight bytes at a time, in a word of their own, the first of them the lowest. Dual.
 */
#ifndef TPS_SWAR_H
#define TPS_SWAR_H

#include <tps/dual.h>

#define SWAR_EACH 0x0101010101010101ULL
#define SWAR_TOP (0x80 * SWAR_EACH)

/* The number of the lowest byte of which @high has the top bit; some byte must have it. */
DUAL_INLINE __u32 swar_lowest(__u64 high)
{
	return ((((high & -high) - 1) & SWAR_EACH) * SWAR_EACH >> 56) - 1;
}

/* The top bit of each byte of @word within [@from, @to]; none of them may have its own set. */
DUAL_INLINE __u64 swar_within(__u64 word, __u8 from, __u8 to)
{
	return (word + (0x80 - from) * SWAR_EACH) & ~(word + (0x7f - to) * SWAR_EACH) & SWAR_TOP;
}

#endif
