/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF"; the
 * 128-bit variant of the authors' reference code): what an API key becomes under the secret. Knows
 * nothing of keys, headers or maps.
 */
#ifndef TPS_SIPHASH_H
#define TPS_SIPHASH_H

#include <tps/abi.h>
#include <tps/dual.h>

struct siphash {
	__u64 v0, v1, v2, v3;
};

DUAL_INLINE __u64 siphash_rotate(__u64 v, int bits)
{
	return v << bits | v >> (64 - bits);
}

DUAL_INLINE void siphash_round(struct siphash *h)
{
	h->v0 += h->v1;
	h->v2 += h->v3;
	h->v1 = siphash_rotate(h->v1, 13) ^ h->v0;
	h->v3 = siphash_rotate(h->v3, 16) ^ h->v2;
	h->v0 = siphash_rotate(h->v0, 32);
	h->v2 += h->v1;
	h->v0 += h->v3;
	h->v1 = siphash_rotate(h->v1, 17) ^ h->v2;
	h->v3 = siphash_rotate(h->v3, 21) ^ h->v0;
	h->v2 = siphash_rotate(h->v2, 32);
}

DUAL_INLINE void siphash_begin(struct siphash *h, const __u64 secret[2])
{
	h->v0 = secret[0] ^ 0x736f6d6570736575ULL;
	h->v1 = secret[1] ^ 0x646f72616e646f6dULL ^ 0xee;
	h->v2 = secret[0] ^ 0x6c7967656e657261ULL;
	h->v3 = secret[1] ^ 0x7465646279746573ULL;
}

DUAL_INLINE void siphash_word(struct siphash *h, __u64 word)
{
	h->v3 ^= word;
	siphash_round(h);
	siphash_round(h);
	h->v0 ^= word;
}

/* @tail holds the last len % 8 bytes, the rest of it zero. */
DUAL_INLINE void siphash_end(struct siphash *h, __u64 tail, __u32 len, __u64 ret_hash[2])
{
	siphash_word(h, tail | (__u64)len << 56);
	h->v2 ^= 0xee;
	siphash_round(h);
	siphash_round(h);
	siphash_round(h);
	siphash_round(h);
	ret_hash[0] = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
	h->v1 ^= 0xdd;
	siphash_round(h);
	siphash_round(h);
	siphash_round(h);
	siphash_round(h);
	ret_hash[1] = h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

/* The low @count (0..7) bytes of @word. */
DUAL_INLINE __u64 siphash_low_bytes(__u64 word, __u32 count)
{
	return word & ((1ULL << 8 * (count & 7)) - 1);
}

/*
 * For the gate: @len (at most TPS_KEY_BYTES_MAX, any alignment) bytes that are followed by 8
 * readable ones, whose value does not matter. On BPF the verifier wants to see that
 * TPS_KEY_BYTES_MAX + 8 bytes are readable, whatever @len is.
 */
DUAL_INLINE void siphash_128_padded(const __u64 secret[2], const __u8 *bytes, __u32 len,
				    __u64 ret_hash[2])
{
	struct siphash h;
	__u32 at = 0;

	siphash_begin(&h, secret);
	for (; at < TPS_KEY_BYTES_MAX && at + 8 <= len; at += 8)
		siphash_word(&h, dual_load64(bytes + at));
	siphash_end(&h, siphash_low_bytes(dual_load64(bytes + at), len), len, ret_hash);
}

/* For user space: @len bytes of any alignment, nothing beyond them is read. */
DUAL_INLINE void siphash_128(const __u64 secret[2], const void *bytes, __u32 len, __u64 ret_hash[2])
{
	const __u8 *from = bytes;
	struct siphash h;
	__u64 tail = 0;
	__u32 at = 0;

	siphash_begin(&h, secret);
	for (; at + 8 <= len; at += 8)
		siphash_word(&h, dual_load64(from + at));
	for (; at < len; at++)
		tail |= (__u64)from[at] << 8 * (at & 7);
	siphash_end(&h, tail, len, ret_hash);
}

#endif
