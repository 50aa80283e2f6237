// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/tls.h: the server name of a ClientHello, wherever segments and records are cut, and what
 * names nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/hello.h"
#include "unit/tls_stream.h"

#define NAME "api.example.com"

static struct hello hello, records;

/* Feeds @h whole, and returns whom it names. */
static const char *named(struct tls_stream *s, const struct hello *h)
{
	tls_stream_rewind(s);
	tls_stream_segment(s, h->bytes, h->len);
	return tls_stream_named(s);
}

static void assert_undecided(struct tls_stream *s, const struct hello *h, enum tps_reason reason)
{
	assert_null(named(s, h));
	assert_int_equal(s->hello.phase, TLS_DONE);
	assert_int_equal(s->hello.reason, reason);
}

/* In two segments, cut before @at. */
static const char *named_in_two(struct tls_stream *s, const struct hello *h, size_t at)
{
	tls_stream_rewind(s);
	if (tls_stream_segment(s, h->bytes, at))
		assert_non_null(s->hello.reason ? "" : NULL); /* ended early: only when undecided */
	else
		tls_stream_segment(s, h->bytes + at, h->len - at);
	return tls_stream_named(s);
}

/* ---- a hello in one segment ------------------------------------------------------------------ */

static void a_hello_names_its_server(void **state)
{
	hello_usual(&hello, NAME, 517, 0);
	assert_string_equal(named(*state, &hello), NAME);
	hello_usual(&hello, NAME, 1755, 1);
	assert_string_equal(named(*state, &hello), NAME);
}

static void a_hello_that_is_whole_is_read_at_one_go(void **state)
{
	struct tls_stream *s = *state;

	tls_stream_rewind(s);
	hello_usual(&hello, NAME, 1755, 1);
	tls_begin(s->scan, &s->hello, tls_stream_secret);
	memcpy(s->scan->bytes, hello.bytes, hello.len);
	s->scan->chunk_bytes = hello.len;
	assert_int_equal(tls_read(s->scan), TLS_ENDED);
	s->scan->chunk_bytes = hello.len - 1;
	tls_begin(s->scan, &s->hello, tls_stream_secret);
	assert_int_equal(tls_read(s->scan), TLS_PIECES);
	assert_memory_equal(&s->scan->hello, &s->hello, TLS_STATE_BYTES);
}

static void a_name_is_read_in_lower_case(void **state)
{
	hello_open(&hello, 0, 2);
	hello_name(&hello, "API-2_x.ExamplE.COM");
	assert_string_equal(named(*state, &hello), "api-2_x.example.com");
}

static void a_hello_without_a_name_names_nobody(void **state)
{
	hello_usual(&hello, NULL, 517, 0);
	assert_string_equal(named(*state, &hello), "");
}

static void a_hello_without_extensions_ends_at_the_compression_methods(void **state)
{
	for (size_t session = 0; session <= 32; session++) {
		hello_open(&hello, session, 2);
		assert_string_equal(named(*state, &hello), "");
	}
	hello_open(&hello, 0, 2);
	hello.extensions_at = hello.len; /* none of them, but their length */
	hello.len += 2;
	hello_close(&hello);
	assert_string_equal(named(*state, &hello), "");
}

static void what_follows_a_hello_is_not_read(void **state)
{
	hello_usual(&hello, NAME, 600, 0);
	hello_put(&hello, "\x14\x03\x03\0\1\1garbage", 13); /* early data */
	assert_string_equal(named(*state, &hello), NAME);
}

static void more_extensions_than_are_walked_over_are_read_in_pieces(void **state)
{
	for (int count = 0; count < 90; count++) {
		hello_open(&hello, 32, 4);
		for (int i = 0; i < count; i++)
			hello_extend(&hello, 100 + i, NULL, i % 3);
		hello_name(&hello, NAME);
		assert_string_equal(named(*state, &hello), NAME);
	}
}

static void names_of_every_length_are_read(void **state)
{
	char name[TPS_HOST_BYTES_MAX + 2];

	for (size_t bytes = 1; bytes <= TPS_HOST_BYTES_MAX; bytes++) {
		for (size_t i = 0; i < bytes; i++)
			name[i] = i % 4 == 3 && i + 1 < bytes ? '.' : 'a' + i % 26;
		name[bytes] = 0;
		hello_usual(&hello, name, 900, bytes & 1);
		assert_string_equal(named(*state, &hello), name);
	}
	memset(name, 'a', sizeof(name));
	hello_open(&hello, 0, 2);
	hello_name_bytes(&hello, name, TPS_HOST_BYTES_MAX + 1);
	assert_undecided(*state, &hello, TPS_REASON_BAD_NAME);
}

/* ---- cut ------------------------------------------------------------------------------------- */

static void a_hello_cut_at_any_byte_names_the_same(void **state)
{
	struct tls_stream *s = *state;

	for (int last = 0; last < 2; last++) {
		hello_usual(&hello, NAME, 700, last);
		for (size_t at = 1; at < hello.len; at++) {
			assert_string_equal(named_in_two(s, &hello, at), NAME);
			assert_int_equal(s->names, 1);
		}
	}
}

static void a_hello_byte_by_byte_names_the_same(void **state)
{
	struct tls_stream *s = *state;

	hello_usual(&hello, NAME, 1755, 1);
	tls_stream_rewind(s);
	for (size_t i = 0; i + 1 < hello.len; i++)
		assert_false(tls_stream_segment(s, hello.bytes + i, 1));
	assert_true(tls_stream_segment(s, hello.bytes + hello.len - 1, 1));
	assert_string_equal(tls_stream_named(s), NAME);
}

static void a_hello_in_records_of_any_size_names_the_same(void **state)
{
	hello_usual(&hello, NAME, 1755, 1);
	for (size_t size = 8; size < hello.len; size++) {
		hello_record(&hello, size, &records);
		assert_string_equal(named(*state, &records), NAME);
	}
}

static void a_hello_cut_by_records_and_by_segments_names_the_same(void **state)
{
	hello_usual(&hello, NAME, 560, 1);
	for (size_t size = 8; size < 90; size += 7) {
		hello_record(&hello, size, &records);
		for (size_t at = 1; at < records.len; at++)
			assert_string_equal(named_in_two(*state, &records, at), NAME);
	}
}

static void records_of_a_byte_are_too_fine_for_one_segment_and_not_for_many(void **state)
{
	struct tls_stream *s = *state;

	hello_usual(&hello, NAME, 517, 0);
	hello_record(&hello, 1, &records);
	assert_undecided(s, &records, TPS_REASON_LONG_HELLO);
	tls_stream_rewind(s);
	for (size_t at = 0; at < records.len; at += 600)
		tls_stream_segment(s, records.bytes + at,
				   records.len - at < 600 ? records.len - at : 600);
	assert_string_equal(tls_stream_named(s), NAME);
}

static void the_longest_hello_is_read_in_chunks(void **state)
{
	struct tls_stream *s = *state;

	hello_usual(&hello, NAME, TPS_HELLO_BYTES_MAX + HELLO_BODY_AT, 1);
	hello_record(&hello, 16000, &records);
	assert_string_equal(named(s, &records), NAME);
	hello_usual(&hello, NAME, TPS_HELLO_BYTES_MAX + HELLO_BODY_AT + 1, 1);
	hello_record(&hello, 16000, &records);
	assert_undecided(s, &records, TPS_REASON_LONG_HELLO);
}

/* ---- what names nobody ----------------------------------------------------------------------- */

static void what_is_no_host_name_is_undecided(void **state)
{
	static const struct {
		const char *bytes;
		size_t count;
	} names[] = {
		{"", 0},
		{".", 1},
		{"a.", 2},
		{".a", 2},
		{"a..b", 4},
		{"a\0b", 3},
		{"a b", 3},
		{"a/b", 3},
		{"a\x80", 2},
		{"\xc3\xa4.de", 5},
		{"a@b", 3},
		{"a[", 2},
		{"a`b", 3},
		{"a:443", 5},
		{"*.example.com", 13},
		{"example.com\0", 12},
		{"abcdefg..h", 10},
		{"abcdefgh.", 9},
		{"abcdefgh.i.", 11},
		{"abcdefg\0", 8},
		{"a,b", 3},
		{"a{b", 3},
		{"a^b", 3},
		{"a\x7f", 2},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		hello_open(&hello, 0, 2);
		hello_name_bytes(&hello, names[i].bytes, names[i].count);
		assert_undecided(*state, &hello, TPS_REASON_BAD_NAME);
		for (size_t at = 1; at < hello.len; at++)
			assert_null(named_in_two(*state, &hello, at));
	}
}

static void each_byte_that_a_name_may_have_and_no_other(void **state)
{
	char name[] = "ab?cd";

	for (int c = 0; c < 256; c++) {
		int good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			   (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';

		name[2] = c;
		hello_open(&hello, 0, 2);
		hello_name_bytes(&hello, name, 5);
		assert_int_equal(named(*state, &hello) != NULL, good);
	}
}

static void two_names_are_undecided(void **state)
{
	static const uint8_t two[] = {0, 12, 0, 0, 3, 'a', '.', 'b', 0, 0, 3, 'c', '.', 'd'};

	hello_open(&hello, 0, 2);
	hello_extend(&hello, 0, two, sizeof(two));
	assert_undecided(*state, &hello, TPS_REASON_BAD_NAME);
	hello_open(&hello, 0, 2);
	hello_name(&hello, "a.b");
	hello_extend(&hello, 23, NULL, 0);
	hello_name(&hello, "a.b");
	assert_undecided(*state, &hello, TPS_REASON_BAD_NAME);
}

static void a_name_of_another_type_is_undecided(void **state)
{
	static const uint8_t other[] = {0, 6, 1, 0, 3, 'a', '.', 'b'};

	hello_open(&hello, 0, 2);
	hello_extend(&hello, 0, other, sizeof(other));
	assert_undecided(*state, &hello, TPS_REASON_BAD_NAME);
}

static void what_does_not_begin_with_a_hello_is_told(void **state)
{
	static const char *const begins[] = {
		"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n",
		"\x17\x03\x03\x01\x01 application data",
		"\x15\x03\x03\x01\x02\x02\x28 an alert",
		"\x16\x02\x01\x01\x01\x01\x01\x01 an older major version",
		"\x16\x03\x01\x01\x01\x02\x01\x01 a ServerHello",
		"\x80\x2e\x01\x03\x01 SSLv2",
	};

	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++) {
		hello.len = strlen(begins[i]);
		memcpy(hello.bytes, begins[i], hello.len);
		assert_undecided(*state, &hello, TPS_REASON_NOT_HELLO);
	}
}

static void a_second_record_of_another_type_is_undecided(void **state)
{
	hello_usual(&hello, NAME, 517, 0);
	hello_record(&hello, 200, &records);
	records.bytes[205] = 23;
	assert_undecided(*state, &records, TPS_REASON_BAD_HELLO);
}

static void an_empty_record_is_undecided(void **state)
{
	hello_usual(&hello, NAME, 517, 0);
	memcpy(records.bytes, hello.bytes, 3);
	records.bytes[3] = records.bytes[4] = 0;
	memcpy(records.bytes + 5, hello.bytes, hello.len);
	records.len = hello.len + 5;
	assert_undecided(*state, &records, TPS_REASON_BAD_HELLO);
}

/* Every length of the hello, one more and one less. */
static void a_length_that_lies_is_undecided(void **state)
{
	struct tls_stream *s = *state;
	static const int by[] = {-1, 1};

	for (int i = 0; i < 2; i++) {
		hello_usual(&hello, NAME, 517, 0);
		hello.bytes[8] += by[i]; /* the message */
		if (named(s, &hello))
			fail_msg("a hello of another length");
		hello_usual(&hello, NAME, 517, 0);
		hello.bytes[HELLO_SESSION_AT] += by[i];
		assert_null(named(s, &hello));
		hello_usual(&hello, NAME, 517, 0);
		hello.bytes[HELLO_SESSION_AT + 34] += by[i]; /* the cipher suites */
		assert_null(named(s, &hello));
		hello_usual(&hello, NAME, 517, 0);
		hello.bytes[hello.extensions_at + 1] += by[i];
		assert_null(named(s, &hello));
		for (int at = 0; at < 9; at++) { /* the extension's, the list's, the name's */
			if (at != 3 && at != 5 && at != 8)
				continue;
			hello_usual(&hello, NAME, 517, 0);
			hello.bytes[hello.extensions_at + 2 + 4 + at] += by[i];
			assert_null(named(s, &hello));
		}
	}
}

static void a_hello_that_ends_in_any_field_is_undecided(void **state)
{
	struct tls_stream *s = *state;

	hello_usual(&hello, NAME, 517, 1);
	for (size_t bytes = 0; bytes < hello.len - HELLO_BODY_AT; bytes++) {
		int plain = bytes == hello.extensions_at - HELLO_BODY_AT; /* without extensions */

		records = hello;
		records.len = HELLO_BODY_AT + bytes;
		hello_number(records.bytes + 3, records.len - 5, 2);
		hello_number(records.bytes + 6, bytes, 3);
		assert_int_equal(named(s, &records) != NULL, plain);
		assert_int_equal(s->hello.phase, TLS_DONE);
		/* and where more follows that is none of it */
		records.len = hello.len;
		assert_int_equal(named(s, &records) != NULL, plain);
	}
}

/* ---- suffixes and hashes --------------------------------------------------------------------- */

static void assert_hashed(struct tls_stream *s, uint32_t from, const char *expected)
{
	char backwards[TPS_HOST_BYTES_MAX + 1];
	size_t bytes = strlen(expected);
	__u64 hash[2];

	for (size_t i = 0; i < bytes; i++)
		backwards[i] = expected[bytes - 1 - i];
	siphash_128(tls_stream_secret, backwards, bytes, hash);
	tls_hash(s->scan, from);
	assert_int_equal(s->scan->hash[0], hash[0]);
	assert_int_equal(s->scan->hash[1], hash[1]);
}

static void a_name_is_hashed_backwards_from_any_of_its_bytes(void **state)
{
	struct tls_stream *s = *state;
	char name[TPS_HOST_BYTES_MAX + 1];

	for (size_t bytes = 1; bytes <= TPS_HOST_BYTES_MAX; bytes++) {
		memset(name, 0, sizeof(name));
		for (size_t i = 0; i < bytes; i++)
			name[i] = 'a' + (i * 7 + bytes) % 26;
		hello_open(&hello, 0, 2);
		hello_name(&hello, name);
		assert_string_equal(named(s, &hello), name);
		for (size_t from = 0; from < bytes; from += 1 + bytes / 9)
			assert_hashed(s, from, name + from);
	}
}

static void the_last_labels_of_a_name_are_its_suffixes(void **state)
{
	struct tls_stream *s = *state;

	hello_open(&hello, 0, 2);
	hello_name(&hello, "a.bb.ccc.dddd.e.f.g.h.example.com");
	assert_non_null(named(s, &hello));
	assert_int_equal(tls_suffix(s->scan, 1), strlen("a.bb.ccc.dddd.e.f.g.h.example"));
	assert_int_equal(tls_suffix(s->scan, 2), strlen("a.bb.ccc.dddd.e.f.g.h"));
	assert_int_equal(tls_suffix(s->scan, 6), strlen("a.bb.ccc.dddd"));
	assert_hashed(s, tls_suffix(s->scan, 2), ".example.com");
	hello_open(&hello, 0, 2);
	hello_name(&hello, "a.example.com");
	named(s, &hello);
	assert_int_equal(tls_suffix(s->scan, 2), 1);
	assert_int_equal(tls_suffix(s->scan, 3), 0); /* the name itself is no suffix of it */
}

static void a_name_of_as_many_labels_as_there_can_be_has_its_last_six(void **state)
{
	struct tls_stream *s = *state;
	char name[TPS_HOST_BYTES_MAX + 1] = "";

	for (int i = 0; i < 126; i++)
		strcat(name, "a.");
	strcat(name, "b");
	hello_open(&hello, 0, 2);
	hello_name(&hello, name);
	assert_string_equal(named(s, &hello), name);
	for (uint32_t labels = 1; labels <= TPS_HOST_LABELS_MAX; labels++)
		assert_int_equal(tls_suffix(s->scan, labels), strlen(name) - 2 * labels);
}

/* ---- of real clients ------------------------------------------------------------------------- */

static struct hello_file files[HELLO_FILES_MAX];
static int file_count;

static void hellos_of_real_clients_name_what_tshark_reads(void **state)
{
	assert_true(file_count > 10);
	for (int i = 0; i < file_count; i++) {
		assert_true(hello_load(&files[i], &hello));
		assert_string_equal(named(*state, &hello), files[i].name);
	}
}

static void hellos_of_real_clients_cut_at_any_byte_name_the_same(void **state)
{
	for (int i = 0; i < file_count; i++) {
		assert_true(hello_load(&files[i], &hello));
		for (size_t at = 1; at < hello.len; at++)
			assert_string_equal(named_in_two(*state, &hello, at), files[i].name);
	}
}

static void hellos_of_real_clients_in_records_of_64_bytes_name_the_same(void **state)
{
	for (int i = 0; i < file_count; i++) {
		assert_true(hello_load(&files[i], &hello));
		hello_record(&hello, 64, &records);
		assert_string_equal(named(*state, &records), files[i].name);
		for (size_t at = 1; at < records.len; at++)
			assert_string_equal(named_in_two(*state, &records, at), files[i].name);
	}
}

static int begin(void **state)
{
	static struct tls_stream stream;

	file_count = hello_files(files);
	tls_stream_open(&stream);
	*state = &stream;
	return 0;
}

static int end(void **state)
{
	tls_stream_close(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_names_its_server),
		cmocka_unit_test(a_hello_that_is_whole_is_read_at_one_go),
		cmocka_unit_test(a_name_is_read_in_lower_case),
		cmocka_unit_test(a_hello_without_a_name_names_nobody),
		cmocka_unit_test(a_hello_without_extensions_ends_at_the_compression_methods),
		cmocka_unit_test(what_follows_a_hello_is_not_read),
		cmocka_unit_test(more_extensions_than_are_walked_over_are_read_in_pieces),
		cmocka_unit_test(names_of_every_length_are_read),
		cmocka_unit_test(a_hello_cut_at_any_byte_names_the_same),
		cmocka_unit_test(a_hello_byte_by_byte_names_the_same),
		cmocka_unit_test(a_hello_in_records_of_any_size_names_the_same),
		cmocka_unit_test(a_hello_cut_by_records_and_by_segments_names_the_same),
		cmocka_unit_test(records_of_a_byte_are_too_fine_for_one_segment_and_not_for_many),
		cmocka_unit_test(the_longest_hello_is_read_in_chunks),
		cmocka_unit_test(what_is_no_host_name_is_undecided),
		cmocka_unit_test(each_byte_that_a_name_may_have_and_no_other),
		cmocka_unit_test(two_names_are_undecided),
		cmocka_unit_test(a_name_of_another_type_is_undecided),
		cmocka_unit_test(what_does_not_begin_with_a_hello_is_told),
		cmocka_unit_test(a_second_record_of_another_type_is_undecided),
		cmocka_unit_test(an_empty_record_is_undecided),
		cmocka_unit_test(a_length_that_lies_is_undecided),
		cmocka_unit_test(a_hello_that_ends_in_any_field_is_undecided),
		cmocka_unit_test(a_name_is_hashed_backwards_from_any_of_its_bytes),
		cmocka_unit_test(the_last_labels_of_a_name_are_its_suffixes),
		cmocka_unit_test(a_name_of_as_many_labels_as_there_can_be_has_its_last_six),
		cmocka_unit_test(hellos_of_real_clients_name_what_tshark_reads),
		cmocka_unit_test(hellos_of_real_clients_cut_at_any_byte_name_the_same),
		cmocka_unit_test(hellos_of_real_clients_in_records_of_64_bytes_name_the_same),
	};

	return cmocka_run_group_tests_name("tls", tests, begin, end);
}
