/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A segment's bytes, chunk by chunk, to where a parser reads them: fill.h's way where they lie in
 * one piece, the helper's where not. Knows no parser.
 */
#ifndef TPS_BPF_CHUNK_H
#define TPS_BPF_CHUNK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/fill.h>

/* Of a segment that is read: what receive offloads put together (64 KiB), and one more. */
#define CHUNK_SEGMENT_MAX 33

/* The chunk of @bytes from @at of the packet on, to @to. False: it could not be read. */
static __always_inline int chunk_load(struct xdp_md *ctx, void *to, __u32 bytes, __u32 at)
{
	/* 6.1 forgets the bound over a spill, and wants a length above 0 */
	dual_opaque(bytes);
	bytes = ((bytes - 1) & (FILL_CHUNK_MAX - 1)) + 1;
	return !bpf_xdp_load_bytes(ctx, at, to, bytes);
}

/* The chunk of @parser's chunk_bytes from @at of the packet on, to @skip of @parser's @member. */
#define CHUNK_READ(ctx, parser, member, skip, at) \
	(FILL(parser, member, skip, (const __u8 *)(long)(ctx)->data, \
	      (const __u8 *)(long)(ctx)->data_end, at) || \
	 chunk_load(ctx, (parser)->member + (skip), (parser)->chunk_bytes, at))

#endif
