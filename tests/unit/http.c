// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/http.h: whom well-formed request heads are charged to, wherever the segments are cut, and
 * what body framing, upgrades and joined connections do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/http_stream.h"

/* ---- one head -------------------------------------------------------------------------------- */

static void a_head_without_a_key_is_charged_to_its_source(void **state)
{
	struct stream *s = *state;

	assert_int_equal(stream_text(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1);
	assert_int_equal(stream_no_key(s), 1);
	assert_int_equal(s->http.phase, HTTP_START);
}

static void a_head_with_a_key_is_charged_to_the_key(void **state)
{
	struct stream *s = *state;

	assert_int_equal(stream_text(s, "GET / HTTP/1.1\r\nX-API-Key: k1\r\nHost: a\r\n\r\n"), 1);
	assert_int_equal(stream_of_key(s, "k1"), 1);
}

static void a_head_is_charged_when_its_last_line_has_come(void **state)
{
	struct stream *s = *state;

	assert_int_equal(stream_text(s, "GET / HTTP/1.1\r\nX-API-Key: k1\r\n\r"), 0);
	assert_true(http_partial(&s->http));
	assert_int_equal(stream_text(s, "\n"), 1);
	assert_false(http_partial(&s->http));
	assert_int_equal(stream_of_key(s, "k1"), 1);
}

static void a_header_name_matches_in_any_case(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.1\r\nx-aPI-kEY: k1\r\n\r\n");
	assert_int_equal(stream_of_key(s, "k1"), 1);
}

static void a_longer_or_shorter_name_is_another_header(void **state)
{
	struct stream *s = *state;

	stream_text(s,
		    "GET / HTTP/1.1\r\nX-API-Key-Id: k1\r\nX-API-Ke: k1\r\nAX-API-Key: k1\r\n\r\n");
	assert_int_equal(stream_no_key(s), 1);
}

static void white_space_around_a_key_is_not_of_it(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key:k1\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key: \t k1 \t \r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key:                k1                \r\n\r\n");
	assert_int_equal(stream_of_key(s, "k1"), 3);
}

static void an_empty_key_is_no_key(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key:\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key:  \r\n\r\n");
	assert_int_equal(stream_no_key(s), 2);
}

static void a_key_of_128_bytes_is_one_and_of_129_is_bad(void **state)
{
	struct stream *s = *state;
	char key[TPS_KEY_BYTES_MAX + 2], text[300];

	memset(key, 'k', sizeof(key));
	key[TPS_KEY_BYTES_MAX + 1] = 0;
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX-API-Key: %s\r\n\r\n", key + 1);
	stream_text(s, text);
	assert_int_equal(stream_of_key(s, key + 1), 1);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX-API-Key: %s\r\n\r\n", key);
	stream_text(s, text);
	assert_int_equal(stream_undecided(s, TPS_REASON_BAD_KEY), 1);
	assert_int_equal(s->heads, 2);
	assert_int_equal(s->http.phase, HTTP_START);
}

static void a_bearer_token_is_a_key_and_other_schemes_are_none(void **state)
{
	struct stream *s = *state;

	s->listener.key_headers = 0;
	memset(s->listener.key_header, 0, sizeof(s->listener.key_header));
	stream_key_header(s, "Authorization", 1);
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: Bearer k1\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nauthorization:bEARER   k1  \r\n\r\n");
	assert_int_equal(stream_of_key(s, "k1"), 2);
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: Basic azE6azE=\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: Bearer\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: Bearerk1\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: k1\r\n\r\n");
	assert_int_equal(stream_no_key(s), 4);
	assert_int_equal(s->heads, 6);
}

static void the_fourth_key_header_is_read_like_the_first(void **state)
{
	struct stream *s = *state;

	stream_key_header(s, "Authorization", 1);
	stream_key_header(s, "Api-Token", 0);
	stream_key_header(s, "A-Header-Name-Of-Thirty-Two-Byte", 0);
	stream_text(s, "GET / HTTP/1.1\r\nA-Header-Name-Of-Thirty-Two-Byte: k4\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nAPI-TOKEN: k3\r\n\r\n");
	stream_text(s, "GET / HTTP/1.1\r\nAuthorization: Basic eA==\r\nX-API-Key: k1\r\n\r\n");
	assert_int_equal(stream_of_key(s, "k4"), 1);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(stream_of_key(s, "k1"), 1);
}

static void any_method_of_up_to_16_token_characters_is_one(void **state)
{
	struct stream *s = *state;

	stream_text(s, "G / HTTP/1.1\r\n\r\nabcdefghijklmno! * HTTP/1.0\r\n\r\n");
	assert_int_equal(stream_no_key(s), 2);
	stream_text(s, "abcdefghijklmnopq * HTTP/1.0\r\n\r\n");
	assert_int_equal(stream_undecided(s, TPS_REASON_BAD_REQUEST_LINE), 1);
	assert_int_equal(s->heads, 3);
}

static void empty_lines_before_a_request_line_are_skipped(void **state)
{
	struct stream *s = *state;

	stream_text(s, "\r\n\r\n\nGET / HTTP/1.1\r\n\r\n\r\n");
	stream_text(s, "\r\nGET / HTTP/1.1\r\n\r\n");
	assert_int_equal(stream_no_key(s), 2);
	assert_int_equal(s->heads, 2);
}

/* ---- bodies -----------------------------------------------------------------------------------
 */

static void a_head_inside_a_body_does_not_count(void **state)
{
	struct stream *s = *state;

	stream_text(s, "POST / HTTP/1.1\r\nContent-Length: 43\r\nX-API-Key: k1\r\n\r\n"
		       "GET / HTTP/1.1\r\nX-API-Key: k2\r\nA: aaaa\r\n\r\n"
		       "GET / HTTP/1.1\r\nX-API-Key: k3\r\n\r\n");
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(stream_of_key(s, "k2"), 0);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(s->heads, 2);
}

static void segments_inside_a_body_need_no_scan(void **state)
{
	struct stream *s = *state;

	stream_text(s, "POST / HTTP/1.1\r\nContent-Length: 10000000000\r\n\r\nabc");
	assert_true(s->http.body_bytes == 9999999997);
	assert_true(http_skip(&s->http, 0xffffffff));
	assert_true(http_skip(&s->http, 0xffffffff));
	assert_int_equal(s->http.body_bytes, 9999999997 - 2 * 0xffffffffLL);
	assert_false(http_skip(&s->http, 0xffffffff));
	assert_true(http_skip(&s->http, 9999999997 - 2 * 0xffffffffLL));
	assert_int_equal(s->http.phase, HTTP_START);
	assert_false(http_skip(&s->http, 1));
	assert_int_equal(s->heads, 1);
}

static void a_head_behind_a_chunked_body_counts_and_one_inside_does_not(void **state)
{
	struct stream *s = *state;

	stream_text(s, "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nX-API-Key: k1\r\n\r\n"
		       "12\r\nGET / HTTP/1.1\r\n\r\n\r\n0A;ext=\"x\"\r\nGET / HTTP\r\n"
		       "0\r\nX-API-Key: k2\r\n\r\n"
		       "GET / HTTP/1.1\r\nX-API-Key: k3\r\n\r\n");
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(s->heads, 2);
	assert_int_equal(s->http.phase, HTTP_START);
}

static void a_segment_of_one_byte_chunks_is_read_to_its_end(void **state)
{
	struct stream *s = *state;
	char text[2100] = "";

	stream_text(s, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 330; i++)
		strcat(text, "1\r\nx\r\n");
	strcat(text, "0\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\n");
	stream_text(s, text);
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(s->heads, 2);
}

static void where_framing_ended_is_told_from_the_segments_start(void **state)
{
	struct stream *s = *state;
	const char *post = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
	char text[200];

	stream_text(s, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(s->scan->framed, 0);
	snprintf(text, sizeof(text), "%sbodyGET / HTTP/1.1\r\n", post);
	stream_text(s, text);
	assert_int_equal(s->scan->framed, strlen(post));
	stream_text(s, "\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
	assert_int_equal(s->scan->framed, 2 + 17 + 28 + 2 + 3);
	s->chunk_max = 7;
	stream_text(s, "de\r\n3;abcdefgh\r\nab");
	assert_int_equal(s->scan->framed, 16);
	stream_rewind(s);
	snprintf(text, sizeof(text), "%sbo", post);
	stream_text(s, text);
	assert_int_equal(s->scan->framed, strlen(post));
}

/* ---- several heads ----------------------------------------------------------------------------
 */

static void heads_of_one_segment_are_merged_by_key(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\nGET / HTTP/1.1\r\n\r\n"
		       "GET / HTTP/1.1\r\nX-API-Key: k2\r\n\r\n"
		       "GET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\n");
	assert_int_equal(s->scan->charges, 3);
	assert_int_equal(stream_of_key(s, "k1"), 2);
	assert_int_equal(stream_of_key(s, "k2"), 1);
	assert_int_equal(stream_no_key(s), 1);
}

static void four_keys_in_a_segment_are_told_and_more_are_undecided(void **state)
{
	struct stream *s = *state;

	stream_text(
		s,
		"GET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k2\r\n\r\n"
		"GET / HTTP/1.1\r\nX-API-Key: k3\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k4\r\n\r\n");
	assert_int_equal(s->scan->charges, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(stream_of_key(s, (const char *[]){"k1", "k2", "k3", "k4"}[i]), 1);
	stream_rewind(s);
	stream_text(s,
		    "GET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k2\r\n\r\n"
		    "GET / HTTP/1.1\r\nX-API-Key: k3\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k4\r\n\r\n"
		    "GET / HTTP/1.1\r\nX-API-Key: k5\r\n\r\nGET / HTTP/1.1\r\nX-API-Key: k1\r\n\r\n"
		    "GET / HTTP/1.1\r\nX-API-Key: k4\r\n\r\n");
	assert_int_equal(s->scan->charges, 4);
	assert_int_equal(stream_of_key(s, "k1"), 2);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(stream_undecided(s, TPS_REASON_MANY_KEYS), 3);
	assert_int_equal(s->scan->undecided, 3);
	assert_int_equal(s->heads, 7);
}

/* ---- cut anywhere -----------------------------------------------------------------------------
 */

#define KEYED(key) "GET /" key " HTTP/1.1\r\nHost: api\r\nX-API-Key: " key "\r\n\r\n"
#define POSTED \
	"POST /p HTTP/1.1\r\nX-API-Key: k1\r\nContent-Length: 29\r\n\r\nGET / " \
	"HTTP/1.1\r\nX-API-Key: k9"
#define CHUNKS \
	"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nx-api-key: k2\r\n\r\n" \
	"1b;e=1\r\nGET / HTTP/1.1\r\nX-API-Key: \r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n"
#define PLAIN "\r\nGET / HTTP/1.0\r\nA:\tb\r\n\r\n"
#define TEN(text) text text text text text text text text text text
#define LONG_HEAD(key) \
	"GET /" TEN("0123456789abcdefghij") \
		TEN("0123456789abcdefghij") " HTTP/1.1\r\nCookie: " TEN( \
			TEN("a=b; c=12")) "\r\nX-API-Key: " key "\r\nAccept: " TEN("text/html, ") \
			TEN(TEN("*/*,  ")) "\r\n\r\n"

static void feed_in_three(struct stream *s, const char *text, __u32 len, __u32 first, __u32 second)
{
	stream_rewind(s);
	stream_segment(s, text, first, 0);
	stream_segment(s, text + first, second - first, 0);
	stream_segment(s, text + second, len - second, 0);
}

static void assert_like_whole(struct stream *s, const char *text, __u32 step)
{
	static struct stream whole;
	__u32 len = strlen(text);

	stream_rewind(s);
	stream_segment(s, text, len, 0);
	whole = *s;
	for (__u32 first = 1; first < len; first++)
		for (__u32 second = first + (step > 1 ? first % step : 0); second < len;
		     second += step) {
			feed_in_three(s, text, len, first, second);
			if (s->charges != whole.charges ||
			    memcmp(s->charge, whole.charge, s->charges * sizeof(*s->charge)) ||
			    memcmp(&s->http, &whole.http, HTTP_STATE_BYTES))
				fail_msg(
					"cut at %u and %u: %u heads of %u callers, whole: %u of %u",
					first, second, s->heads, s->charges, whole.heads,
					whole.charges);
		}
}

static void a_stream_cut_twice_anywhere_is_charged_like_the_whole(void **state)
{
	struct stream *s = *state;
	const char *text = KEYED("k1") POSTED CHUNKS PLAIN POSTED KEYED("k3");

	assert_like_whole(s, text, 1);
	assert_int_equal(stream_of_key(s, "k1"), 3);
	assert_int_equal(stream_of_key(s, "k2"), 1);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(stream_no_key(s), 1);
	assert_int_equal(s->heads, 6);
}

static void heads_of_two_kilobytes_cut_twice_are_charged_like_the_whole(void **state)
{
	struct stream *s = *state;

	assert_true(strlen(LONG_HEAD("k1")) > 2000);
	assert_like_whole(s, LONG_HEAD("k1") LONG_HEAD("k2") KEYED("k1"), 61);
	assert_int_equal(stream_of_key(s, "k1"), 2);
	assert_int_equal(stream_of_key(s, "k2"), 1);
	assert_int_equal(s->heads, 3);
}

static void a_stream_of_one_byte_segments_is_charged_like_the_whole(void **state)
{
	struct stream *s = *state;
	const char *text = KEYED("k1") POSTED CHUNKS PLAIN LONG_HEAD("k2") KEYED("k3");

	for (const char *c = text; *c; c++)
		stream_segment(s, c, 1, 0);
	assert_int_equal(stream_of_key(s, "k1"), 2);
	assert_int_equal(stream_of_key(s, "k2"), 2);
	assert_int_equal(stream_of_key(s, "k3"), 1);
	assert_int_equal(stream_no_key(s), 1);
	assert_int_equal(s->heads, 6);
}

static void a_large_segment_is_read_in_chunks_like_the_whole(void **state)
{
	struct stream *s = *state;
	const char *text = KEYED("k1") POSTED CHUNKS PLAIN LONG_HEAD("k2") KEYED("k3");

	for (__u32 chunk = 1; chunk < HTTP_CHUNK_MAX; chunk += 1 + chunk / 8) {
		s->chunk_max = chunk;
		stream_rewind(s);
		stream_segment(s, text, strlen(text), 0);
		assert_int_equal(stream_of_key(s, "k1"), 2);
		assert_int_equal(stream_of_key(s, "k2"), 2);
		assert_int_equal(stream_of_key(s, "k3"), 1);
		assert_int_equal(s->heads, 6);
	}
}

static void a_chunk_is_copied_from_any_place_of_a_frame_and_no_more_is_read(void **state)
{
	struct stream *s = *state;
	struct http_scan *scan = s->scan;

	for (__u32 bytes = 1; bytes <= HTTP_CHUNK_MAX; bytes += 1 + bytes / 40) {
		for (__u32 at = 0; at < 80; at += 13) {
			__u8 *frame = malloc(at + bytes);

			for (__u32 i = 0; i < at + bytes; i++)
				frame[i] = i * 7 + i / 256;
			memset(scan->bytes, 0xee, sizeof(scan->bytes));
			scan->chunk_bytes = bytes;
			assert_int_equal(
				FILL(scan, bytes, HTTP_CARRY, frame, frame + at + bytes, at),
				bytes >= FILL_BLOCK_BYTES);
			assert_false(
				FILL(scan, bytes, HTTP_CARRY, frame, frame + at + bytes - 1, at));
			if (bytes >= FILL_BLOCK_BYTES)
				assert_memory_equal(scan->bytes + HTTP_CARRY, frame + at, bytes);
			assert_int_equal(scan->bytes[HTTP_CARRY - 1], 0xee);
			assert_int_equal(scan->bytes[HTTP_CARRY + bytes], 0xee);
			free(frame);
		}
	}
}

static void what_the_scratch_held_before_does_not_matter(void **state)
{
	struct stream *s = *state;
	const char *text = KEYED("k1") POSTED CHUNKS PLAIN KEYED("k3");
	__u32 len = strlen(text);

	for (int stale = 0; stale < 256; stale++) {
		s->stale = stale;
		for (__u32 cut = 1; cut < len; cut++) {
			feed_in_three(s, text, len, cut, cut);
			assert_int_equal(s->heads, 5);
			assert_int_equal(stream_of_key(s, "k1"), 2);
			assert_int_equal(stream_of_key(s, "k2"), 1);
		}
	}
}

static void a_key_line_that_just_fits_the_carry_is_a_key_wherever_it_is_cut(void **state)
{
	struct stream *s = *state;
	char key[TPS_KEY_BYTES_MAX + 1], text[400];

	memset(key, 'k', sizeof(key));
	key[TPS_KEY_BYTES_MAX] = 0;
	s->listener.key_headers = 0;
	memset(s->listener.key_header, 0, sizeof(s->listener.key_header));
	stream_key_header(s, "A-Header-Name-Of-Thirty-Two-Byte", 1);
	for (int padding = 0; padding <= 16; padding++) {
		/* 32 + 1 + 7 + 128, 168 bytes, and the padding on both sides */
		snprintf(text, sizeof(text),
			 "GET / HTTP/1.1\r\nA-Header-Name-Of-Thirty-Two-Byte:%*sBearer "
			 "%s%*s\r\n\r\n",
			 padding, "", key, padding, "");
		assert_like_whole(s, text, 1);
		if (168 + 2 * padding + 1 <= TPS_CARRY_BYTES)
			assert_int_equal(stream_of_key(s, key), 1);
		else
			assert_int_equal(stream_undecided(s, TPS_REASON_BAD_KEY), 1);
		assert_int_equal(s->heads, 1);
	}
}

/* ---- other protocols --------------------------------------------------------------------------
 */

#define UPGRADE "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
/* A masked frame: FIN and text, 5 bytes. */
#define FRAME "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

static void bytes_behind_an_upgrade_are_opaque(void **state)
{
	struct stream *s = *state;

	assert_int_equal(stream_text(s, UPGRADE), 1);
	assert_int_equal(s->http.phase, HTTP_OPAQUE);
	for (int i = 0; i < 100; i++)
		assert_int_equal(stream_text(s, FRAME "\n\r\n\n\n\r\n\r\n"), 1);
	assert_true(s->met & HTTP_MET(HTTP_OPAQUE));
	assert_int_equal(http_idle_reason(s->scan), TPS_REASON_OPAQUE);
}

static void a_request_where_opaque_bytes_were_due_is_charged(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	stream_text(s, FRAME);
	stream_text(s, KEYED("k1"));
	assert_int_equal(stream_of_key(s, "k1"), 1);
	stream_text(s, KEYED("k1") KEYED("k1"));
	assert_int_equal(stream_of_key(s, "k1"), 3);
	assert_int_equal(s->heads, 4);
}

static void a_request_right_behind_an_upgrade_is_charged(void **state)
{
	struct stream *s = *state;

	assert_like_whole(s, UPGRADE KEYED("k1") UPGRADE "\r\n" KEYED("k2"), 1);
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(stream_of_key(s, "k2"), 1);
	assert_int_equal(s->heads, 4);
}

static void a_request_behind_the_body_of_an_upgrade_is_charged(void **state)
{
	struct stream *s = *state;

	stream_text(s, "POST / HTTP/1.1\r\nUpgrade: foo\r\nContent-Length: 1\r\n\r\nX" KEYED("k1"));
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(s->heads, 2);
	stream_text(s, "POST / HTTP/1.1\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "1\r\nX\r\n0\r\n\r\n" KEYED("k1"));
	assert_int_equal(stream_of_key(s, "k1"), 2);
	assert_int_equal(s->heads, 4);
}

static void a_request_with_an_odd_method_in_opaque_bytes_is_the_sources(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	assert_int_equal(stream_text(s, "FOO / HTTP/1.1\r\n\r\nBAR / HTTP/1.1\r\n\r\n"), 3);
	assert_int_equal(stream_undecided(s, TPS_REASON_VOID), 2);
}

static void a_request_line_cut_in_opaque_bytes_is_the_sources(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	stream_text(s, "FOO / HT");
	assert_int_equal(stream_text(s, "TP/1.1\r\n"), 2);
}

static void a_padded_request_line_in_opaque_bytes_is_the_sources(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	assert_int_equal(stream_text(s, "x\nFOO / HTTP/1.1               \n"), 2);
}

/* HTTP/0.9, behind more empty lines than are skipped: RFC 1945 5.1. */
static void a_simple_request_in_opaque_bytes_is_the_sources(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	assert_int_equal(stream_text(s, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nGET /\n"), 2);
}

/* The host ignored the upgrade, then: what looks like a head behind it may lie in a body. */
static void a_request_line_in_opaque_bytes_loses_the_framing(void **state)
{
	struct stream *s = *state;

	stream_text(s, UPGRADE);
	assert_int_equal(stream_text(s, "x\r\nPOST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"), 2);
	for (int i = 0; i < 5; i++)
		assert_int_equal(stream_text(s, "x"), 3 + i);
}

/* In one segment: the line at which the parser gives up, wherever its rounds end. */
static void what_follows_a_bad_line_is_counted_at_every_line(void **state)
{
	struct stream *s = *state;

	for (int lines = 0; lines < 80; lines++) {
		char text[2048] = "GET / HTTP/1.1\r\n";
		__u32 before = s->heads;

		for (int i = 0; i < lines; i++)
			strcat(text, "a:b\r\n");
		strcat(text, "Host:a\n\n");
		for (int i = 0; i < 20; i++)
			strcat(text, "GET / HTTP/1.1\nHost:a\n\n");
		assert_true(stream_text(s, text) - before >= 21);
		stream_rewind(s);
	}
}

/* Its own empty line ended the head, so the next one ends another. */
static void a_bare_lf_that_ends_a_head_hides_none(void **state)
{
	struct stream *s = *state;

	assert_int_equal(stream_text(s, "GET / HTTP/1.1\r\nHost: a\r\n\n"
					"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
					"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
			 3);
}

static void a_method_token_cut_in_two_is_one_in_opaque_bytes(void **state)
{
	struct stream *s = *state;

	for (int cut = 1; cut < 8; cut++) {
		stream_rewind(s);
		stream_text(s, UPGRADE);
		stream_segment(s, KEYED("k1"), cut, 0);
		stream_segment(s, KEYED("k1") + cut, strlen(KEYED("k1")) - cut, 0);
		assert_int_equal(stream_of_key(s, "k1"), 1);
		assert_int_equal(s->heads, 2);
	}
}

static void connect_makes_a_tunnel(void **state)
{
	struct stream *s = *state;

	stream_text(s, "CONNECT host:443 HTTP/1.1\r\nHost: host\r\n\r\n\x16\x03\x01");
	assert_int_equal(s->http.phase, HTTP_OPAQUE);
	assert_int_equal(s->heads, 1);
}

static void the_http_2_preface_is_told(void **state)
{
	struct stream *s = *state;
	const char *preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	for (__u32 cut = 1; cut <= strlen(preface); cut++) {
		stream_rewind(s);
		stream_segment(s, preface, cut, 0);
		stream_text(s, preface + cut);
		assert_int_equal(s->http.phase, HTTP_HTTP2);
		assert_true(s->met & HTTP_MET(HTTP_HTTP2));
		assert_int_equal(s->heads, 0);
	}
	stream_text(s, "\x01\x02\x03");
	assert_true(s->scan->met & HTTP_MET(HTTP_HTTP2));
}

static void an_upgrade_that_names_h2c_anywhere_is_http_2(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n");
	assert_int_equal(s->http.phase, HTTP_HTTP2);
	stream_rewind(s);
	stream_text(s, "GET / HTTP/1.1\r\nUpgrade: websocket, H2C\r\n\r\n");
	assert_int_equal(s->http.phase, HTTP_HTTP2);
	stream_rewind(s);
	stream_text(s, "GET / HTTP/1.1\r\nupgrade: foo\r\nupgrade:h2c\r\n\r\n");
	assert_int_equal(s->http.phase, HTTP_HTTP2);
	stream_rewind(s);
	stream_text(s, "GET / HTTP/1.1\r\nUpgrade: " TEN("foo, ") "h2c\r\n\r\n");
	assert_int_equal(s->http.phase, HTTP_HTTP2);
	stream_rewind(s);
	stream_text(s, "GET / HTTP/1.1\r\nUpgrade: h2, 2c\r\n\r\n");
	assert_int_equal(s->http.phase, HTTP_OPAQUE);
}

/* ---- joined and void --------------------------------------------------------------------------
 */

static void a_joined_connection_has_no_keys_until_a_method_follows_an_answer(void **state)
{
	struct stream *s = *state;

	http_lose(&s->http, HTTP_JOINED);
	stream_text(s, "rest of a body\r\n\r\n\r\n\r\n");
	stream_segment(s, "more body, with an empty line\r\n\r\n", 33, 1);
	assert_int_equal(s->heads, 0);
	assert_int_equal(http_idle_reason(s->scan), TPS_REASON_JOINED);
	stream_text(s, KEYED("k1") KEYED("k1"));
	assert_int_equal(s->heads, 2);
	assert_int_equal(stream_undecided(s, TPS_REASON_VOID), 2);
	stream_segment(s, KEYED("k1"), strlen(KEYED("k1")), 1);
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(stream_text(s, KEYED("k1")), 4);
}

static void a_joined_connection_may_begin_with_a_piece_of_a_method(void **state)
{
	struct stream *s = *state;

	for (int cut = 1; cut < 4; cut++) {
		stream_rewind(s);
		http_lose(&s->http, HTTP_JOINED);
		stream_segment(s, KEYED("k1"), cut, 1);
		stream_segment(s, KEYED("k1") + cut, strlen(KEYED("k1")) - cut, 0);
		assert_int_equal(stream_of_key(s, "k1"), 1);
	}
	stream_rewind(s);
	http_lose(&s->http, HTTP_JOINED);
	stream_segment(s, "\r\n", 2, 1);
	stream_segment(s, KEYED("k1"), strlen(KEYED("k1")), 0);
	assert_int_equal(stream_of_key(s, "k1"), 1);
}

static void a_void_segment_costs_its_source_a_transaction_for_each_empty_line(void **state)
{
	struct stream *s = *state;

	http_lose(&s->http, HTTP_VOID);
	assert_int_equal(stream_text(s, "x"), 1);
	assert_int_equal(stream_text(s, KEYED("k1")), 2);
	assert_int_equal(stream_text(s, KEYED("k1") KEYED("k1")), 4);
	assert_int_equal(stream_text(s, "GET / HTTP/1.7\n\nGET / HTTP/1.7\n\nGET /"), 6);
	assert_int_equal(stream_undecided(s, TPS_REASON_VOID), 6);
}

static void a_large_void_segment_costs_a_transaction_at_least(void **state)
{
	struct stream *s = *state;
	char text[5000];

	memset(text, 'x', sizeof(text));
	http_lose(&s->http, HTTP_VOID);
	stream_segment(s, text, sizeof(text), 0);
	assert_int_equal(s->heads, 1);
	memset(text, '\n', sizeof(text));
	stream_segment(s, text, sizeof(text), 0);
	assert_in_range(s->heads, sizeof(text) - 1, sizeof(text) + 1);
}

static void a_void_connection_is_read_again_when_a_method_follows_an_answer(void **state)
{
	struct stream *s = *state;

	http_lose(&s->http, HTTP_VOID);
	stream_segment(s, KEYED("k1"), strlen(KEYED("k1")), 1);
	assert_int_equal(stream_of_key(s, "k1"), 1);
	assert_int_equal(s->heads, 1);
	assert_int_equal(s->http.phase, HTTP_START);
}

static void without_key_headers_every_head_is_the_sources(void **state)
{
	struct stream *s = *state;

	s->listener.key_headers = 0;
	stream_text(s, KEYED("k1") POSTED);
	assert_int_equal(stream_no_key(s), 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stream_case_open, stream_case_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_head_without_a_key_is_charged_to_its_source),
		CASE(a_head_with_a_key_is_charged_to_the_key),
		CASE(a_head_is_charged_when_its_last_line_has_come),
		CASE(a_header_name_matches_in_any_case),
		CASE(a_longer_or_shorter_name_is_another_header),
		CASE(white_space_around_a_key_is_not_of_it),
		CASE(an_empty_key_is_no_key),
		CASE(a_key_of_128_bytes_is_one_and_of_129_is_bad),
		CASE(a_bearer_token_is_a_key_and_other_schemes_are_none),
		CASE(the_fourth_key_header_is_read_like_the_first),
		CASE(any_method_of_up_to_16_token_characters_is_one),
		CASE(empty_lines_before_a_request_line_are_skipped),
		CASE(a_head_inside_a_body_does_not_count),
		CASE(segments_inside_a_body_need_no_scan),
		CASE(a_head_behind_a_chunked_body_counts_and_one_inside_does_not),
		CASE(a_segment_of_one_byte_chunks_is_read_to_its_end),
		CASE(where_framing_ended_is_told_from_the_segments_start),
		CASE(heads_of_one_segment_are_merged_by_key),
		CASE(four_keys_in_a_segment_are_told_and_more_are_undecided),
		CASE(a_stream_cut_twice_anywhere_is_charged_like_the_whole),
		CASE(heads_of_two_kilobytes_cut_twice_are_charged_like_the_whole),
		CASE(a_stream_of_one_byte_segments_is_charged_like_the_whole),
		CASE(a_large_segment_is_read_in_chunks_like_the_whole),
		CASE(a_chunk_is_copied_from_any_place_of_a_frame_and_no_more_is_read),
		CASE(what_the_scratch_held_before_does_not_matter),
		CASE(a_key_line_that_just_fits_the_carry_is_a_key_wherever_it_is_cut),
		CASE(bytes_behind_an_upgrade_are_opaque),
		CASE(a_request_where_opaque_bytes_were_due_is_charged),
		CASE(a_request_right_behind_an_upgrade_is_charged),
		CASE(a_request_behind_the_body_of_an_upgrade_is_charged),
		CASE(a_request_with_an_odd_method_in_opaque_bytes_is_the_sources),
		CASE(a_request_line_cut_in_opaque_bytes_is_the_sources),
		CASE(a_padded_request_line_in_opaque_bytes_is_the_sources),
		CASE(a_simple_request_in_opaque_bytes_is_the_sources),
		CASE(a_request_line_in_opaque_bytes_loses_the_framing),
		CASE(what_follows_a_bad_line_is_counted_at_every_line),
		CASE(a_bare_lf_that_ends_a_head_hides_none),
		CASE(a_method_token_cut_in_two_is_one_in_opaque_bytes),
		CASE(connect_makes_a_tunnel),
		CASE(the_http_2_preface_is_told),
		CASE(an_upgrade_that_names_h2c_anywhere_is_http_2),
		CASE(a_joined_connection_has_no_keys_until_a_method_follows_an_answer),
		CASE(a_joined_connection_may_begin_with_a_piece_of_a_method),
		CASE(a_void_segment_costs_its_source_a_transaction_for_each_empty_line),
		CASE(a_large_void_segment_costs_a_transaction_at_least),
		CASE(a_void_connection_is_read_again_when_a_method_follows_an_answer),
		CASE(without_key_headers_every_head_is_the_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
