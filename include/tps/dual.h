/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a header needs to compile for the BPF target and for the host alike. The only place that
 * asks which of the two it is; knows no map, no helper and no clock.
 */
#ifndef TPS_DUAL_H
#define TPS_DUAL_H

#include <linux/types.h>

#ifdef __bpf__

/* memcpy & co. without a libc: clang expands constant sizes in line. */
#define dual_memcpy __builtin_memcpy
#define dual_memset __builtin_memset

/* An empty asm that makes @v opaque to the optimiser, so that it keeps a bound the verifier needs.
 */
#define dual_opaque(v) asm volatile("" : "+r"(v))

/* What was stored is loaded again. From memory that a global function was given, the verifier then
 * knows nothing of the value, and ways that differ only in it are verified as one. */
#define dual_reload() asm volatile("" : : : "memory")

/* A global BPF function: the verifier checks it once, whoever calls it. */
#define DUAL_GLOBAL __attribute__((noinline))

/* Unaligned loads from map memory are accepted by the verifier; an aligned(1) type is not used,
 * since clang would then load byte by byte. */
static inline __attribute__((always_inline)) __u64 dual_load64(const void *from)
{
	return *(const __u64 *)from;
}

static inline __attribute__((always_inline)) void dual_store64(void *to, __u64 v)
{
	*(__u64 *)to = v;
}

static inline __attribute__((always_inline)) __u32 dual_load32(const void *from)
{
	return *(const __u32 *)from;
}

static inline __attribute__((always_inline)) __u16 dual_load16(const void *from)
{
	return *(const __u16 *)from;
}

#else

#include <string.h>

#define dual_memcpy memcpy
#define dual_memset memset
#define dual_opaque(v) ((void)(v))
#define dual_reload() ((void)0)
#define DUAL_GLOBAL __attribute__((unused)) static

static inline __u64 dual_load64(const void *from)
{
	__u64 v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline void dual_store64(void *to, __u64 v)
{
	memcpy(to, &v, sizeof(v));
}

static inline __u32 dual_load32(const void *from)
{
	__u32 v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static inline __u16 dual_load16(const void *from)
{
	__u16 v;

	memcpy(&v, from, sizeof(v));
	return v;
}

#endif

#define DUAL_INLINE static inline __attribute__((always_inline))

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "tps: word-at-a-time scanning is written for little-endian hosts"
#endif

DUAL_INLINE __u16 dual_swap16(__u16 v)
{
	return __builtin_bswap16(v);
}

DUAL_INLINE __u32 dual_swap32(__u32 v)
{
	return __builtin_bswap32(v);
}

DUAL_INLINE __u64 dual_swap64(__u64 v)
{
	return __builtin_bswap64(v);
}

#endif
