// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/siphash.h against the reference vectors, at every length, alignment and with both readers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <tps/siphash.h>

/* Of the message 00 01 02 … of this length under the key 00 … 0f: the first 64 lengths as in the
 * authors' vectors_sip128, all of them as `openssl mac SIPHASH` prints them. */
static const struct {
	__u32 len;
	const char *hash;
} vectors[] = {
	{0, "a3817f04ba25a8e66df67214c7550293"},   {1, "da87c1d86b99af44347659119b22fc45"},
	{2, "8177228da4a45dc7fca38bdef60affe4"},   {3, "9c70b60c5267a94e5f33b6b02985ed51"},
	{4, "f88164c12d9c8faf7d0f6e7c7bcd5579"},   {5, "1368875980776f8854527a07690e9627"},
	{6, "14eeca338b208613485ea0308fd7a15e"},   {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
	{8, "3b62a9ba6258f5610f83e264f31497b4"},   {9, "264499060ad9baabc47f8b02bb6d71ed"},
	{10, "00110dc378146956c95447d3f3d0fbba"},  {11, "0151c568386b6677a2b4dc6f81e5dc18"},
	{12, "d626b266905ef35882634df68532c125"},  {13, "9869e247e9c08b10d029934fc4b952f7"},
	{14, "31fcefac66d7de9c7ec7485fe4494902"},  {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
	{16, "6ee2a4ca67b054bbfd3315bf85230577"},  {31, "2939b0183223fafc1723de4f52c43d35"},
	{32, "7c3956ca5eeafc3e363e9d556546eb68"},  {33, "77c6077146f01c32b6b69d5f4ea9ffcf"},
	{63, "5150d1772f50834a503e069a973fbd7c"},  {64, "1eaf077dc0d4cd3f8cad4d383658a74b"},
	{127, "6b01f8d78740d48842333afe3e87c23d"}, {128, "d1b4bd390255083ddabe483d6e7af066"},
};

static const __u64 secret[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static void assert_hash(const __u64 hash[2], const char *wanted)
{
	char text[33];

	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", (unsigned)(hash[i / 8] >> 8 * (i % 8) & 0xff));
	assert_string_equal(text, wanted);
}

static void both_readers_agree_with_the_reference_vectors(void **state)
{
	__u8 bytes[TPS_KEY_BYTES_MAX + 8];
	__u64 hash[2];

	for (__u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		siphash_128(secret, bytes, vectors[i].len, hash);
		assert_hash(hash, vectors[i].hash);
		siphash_128_padded(secret, bytes, vectors[i].len, hash);
		assert_hash(hash, vectors[i].hash);
	}
}

static void bytes_after_the_message_do_not_matter(void **state)
{
	__u8 bytes[TPS_KEY_BYTES_MAX + 8];
	__u64 first[2], second[2];

	for (__u32 len = 0; len <= TPS_KEY_BYTES_MAX; len++) {
		memset(bytes, 'k', len);
		memset(bytes + len, 0, sizeof(bytes) - len);
		siphash_128_padded(secret, bytes, len, first);
		memset(bytes + len, 0xff, sizeof(bytes) - len);
		siphash_128_padded(secret, bytes, len, second);
		assert_memory_equal(first, second, sizeof(first));
	}
}

static void a_message_may_begin_at_any_offset(void **state)
{
	__u8 bytes[8 + 128 + 8];
	__u64 hash[2];

	for (__u32 offset = 0; offset < 8; offset++) {
		memset(bytes, 0xa5, sizeof(bytes));
		for (__u32 i = 0; i < 128; i++)
			bytes[offset + i] = i;
		siphash_128(secret, bytes + offset, 128, hash);
		assert_hash(hash, vectors[sizeof(vectors) / sizeof(*vectors) - 1].hash);
		siphash_128_padded(secret, bytes + offset, 33, hash);
		assert_hash(hash, "77c6077146f01c32b6b69d5f4ea9ffcf");
	}
}

/* The sanitizer sees a read beyond the allocation. */
static void user_space_reads_nothing_beyond_the_message(void **state)
{
	__u64 hash[2], padded[2];

	for (__u32 len = 1; len <= TPS_KEY_BYTES_MAX; len++) {
		__u8 *bytes = malloc(len), roomy[TPS_KEY_BYTES_MAX + 8];

		memset(bytes, 'x', len);
		memset(roomy, 'x', sizeof(roomy));
		siphash_128(secret, bytes, len, hash);
		siphash_128_padded(secret, roomy, len, padded);
		assert_memory_equal(hash, padded, sizeof(hash));
		free(bytes);
	}
}

static void another_secret_gives_another_hash(void **state)
{
	const __u64 other[2] = {secret[0] ^ 1, secret[1]};
	__u64 first[2], second[2];

	siphash_128(secret, "key", 3, first);
	siphash_128(other, "key", 3, second);
	assert_memory_not_equal(first, second, sizeof(first));
}

static void a_trailing_zero_byte_gives_another_hash(void **state)
{
	__u64 first[2], second[2];

	siphash_128(secret, "key", 3, first);
	siphash_128(secret, "key", 4, second);
	assert_memory_not_equal(first, second, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_readers_agree_with_the_reference_vectors),
		cmocka_unit_test(bytes_after_the_message_do_not_matter),
		cmocka_unit_test(a_message_may_begin_at_any_offset),
		cmocka_unit_test(user_space_reads_nothing_beyond_the_message),
		cmocka_unit_test(another_secret_gives_another_hash),
		cmocka_unit_test(a_trailing_zero_byte_gives_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
