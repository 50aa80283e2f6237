/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is this the key that was hashed last? NH, the universal hash of UMAC (RFC 4418 5.2), over 64-bit
 * words, its subkeys stretched from the secret: two additions and a multiplication for eight bytes,
 * where each of SipHash's rotations takes BPF three instructions. It never leaves the flow's entry
 * and decides over nothing but that flow: who found two keys of one fingerprint, and holds both,
 * would be charged by one of them.
 */
#ifndef TPS_FINGERPRINT_H
#define TPS_FINGERPRINT_H

#include <tps/abi.h>
#include <tps/dual.h>

/* NH multiplies the two halves of each word, with a subkey added to each. */
DUAL_INLINE __u64 fingerprint_word(const __u64 secret[2], __u32 at, __u64 word)
{
	__u64 subkey = (secret[0] | 1) * (2 * at + 1) ^ secret[1];

	return (__u64)((__u32)word + (__u32)subkey) *
	       (__u32)((__u32)(word >> 32) + (__u32)(subkey >> 32));
}

/*
 * @len (at most TPS_KEY_BYTES_MAX, any alignment) bytes that are followed by 8 readable ones, whose
 * value does not matter. Never 0.
 */
DUAL_INLINE __u64 fingerprint_padded(const __u64 secret[2], const __u8 *bytes, __u32 len)
{
	__u64 sum = len;
	__u32 at = 0;

	for (; at < TPS_KEY_BYTES_MAX && at + 8 <= len; at += 8)
		sum += fingerprint_word(secret, at, dual_load64(bytes + at));
	sum += fingerprint_word(secret, at,
				dual_load64(bytes + at) & ((1ULL << 8 * (len & 7)) - 1));
	return sum ?: 1;
}

#endif
