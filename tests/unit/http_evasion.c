// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/http.h against clients that want to be charged to nobody, or to somebody else: each head here
 * is charged to its key, or to its source with the reason why it names nobody for certain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/http_stream.h"

#define LINE "GET / HTTP/1.1\r\n"
#define KEY(key) "X-API-Key: " key "\r\n"
#define END "\r\n"
#define NEXT LINE KEY("k9") END

/* @text is one head that names nobody, for @reason, whole and cut anywhere. With @framed the parser
 * still knows where it ends; otherwise what follows is the source's as well. */
static void assert_undecided(struct stream *s, const char *text, enum tps_reason reason, int framed)
{
	__u32 len = strlen(text);

	stream_rewind(s);
	stream_text(s, text);
	if (s->heads != 1 || stream_undecided(s, reason) != 1)
		fail_msg("%u heads, %u of this reason: %s", s->heads, stream_undecided(s, reason),
			 text);
	if ((s->http.phase == HTTP_START) != framed)
		fail_msg("phase %u behind: %s", s->http.phase, text);
	for (__u32 cut = 1; cut < len; cut++) {
		stream_rewind(s);
		stream_segment(s, text, cut, 0);
		stream_segment(s, text + cut, len - cut, 0);
		if (stream_undecided(s, reason) != 1 || stream_of_key(s, "k1") || stream_no_key(s))
			fail_msg("cut at %u: %s", cut, text);
	}
	stream_text(s, NEXT);
	assert_int_equal(stream_of_key(s, "k9"), framed);
	if (!framed)
		assert_true(stream_undecided(s, TPS_REASON_VOID) >= 1);
}

static void a_key_header_twice_names_nobody(void **state)
{
	assert_undecided(*state, LINE KEY("k1") KEY("k2") END, TPS_REASON_DOUBLED_KEY, 1);
	assert_undecided(*state, LINE KEY("k1") KEY("k1") END, TPS_REASON_DOUBLED_KEY, 1);
	assert_undecided(*state, LINE KEY("k1") "x-api-key:\r\n" END, TPS_REASON_DOUBLED_KEY, 1);
	assert_undecided(*state, LINE KEY("") KEY("k1") END, TPS_REASON_DOUBLED_KEY, 1);
	assert_undecided(*state, LINE KEY("k1") "A: b\r\n" KEY("k2") KEY("k1") END,
			 TPS_REASON_DOUBLED_KEY, 1);
}

static void two_different_key_headers_name_nobody(void **state)
{
	struct stream *s = *state;

	stream_key_header(s, "Authorization", 1);
	assert_undecided(s, LINE KEY("k1") "Authorization: Bearer k2\r\n" END,
			 TPS_REASON_DOUBLED_KEY, 1);
	assert_undecided(s, LINE "Authorization: Basic eA==\r\nAuthorization: Bearer k1\r\n" END,
			 TPS_REASON_DOUBLED_KEY, 1);
}

static void a_key_padded_without_end_names_nobody(void **state)
{
	assert_undecided(*state, LINE "X-API-Key:                  k1\r\n" END, TPS_REASON_BAD_KEY,
			 1);
	assert_undecided(*state, LINE "X-API-Key:k1                 \r\n" END, TPS_REASON_BAD_KEY,
			 1);
}

static void white_space_before_the_colon_names_nobody(void **state)
{
	assert_undecided(*state, LINE "X-API-Key : k1\r\n" END, TPS_REASON_SPACE_BEFORE_COLON, 0);
	assert_undecided(*state, LINE "X-API-Key\t: k1\r\n" END, TPS_REASON_SPACE_BEFORE_COLON, 0);
	assert_undecided(*state, LINE "Content-Length : 5\r\n" END, TPS_REASON_SPACE_BEFORE_COLON,
			 0);
	assert_undecided(*state, LINE "Transfer-Encoding : chunked\r\n" END,
			 TPS_REASON_SPACE_BEFORE_COLON, 0);
}

static void a_folded_line_names_nobody(void **state)
{
	assert_undecided(*state, LINE "A: b\r\n X-API-Key: k1\r\n" END, TPS_REASON_FOLDED, 0);
	assert_undecided(*state, LINE KEY("k1") "\tmore\r\n" END, TPS_REASON_FOLDED, 0);
	assert_undecided(*state, LINE " " KEY("k1") END, TPS_REASON_FOLDED, 0);
}

static void a_bare_newline_names_nobody(void **state)
{
	assert_undecided(*state, "GET / HTTP/1.1\nX-API-Key: k1\r\n" END, TPS_REASON_BARE_LF, 0);
	assert_undecided(*state, LINE "A: b\nX-API-Key: k1\r\n" END, TPS_REASON_BARE_LF, 0);
	assert_undecided(*state, LINE "X-API-Key: k1\n" END, TPS_REASON_BARE_LF, 0);
	assert_undecided(*state, LINE KEY("k1") "\n", TPS_REASON_BARE_LF, 0);
}

static void a_control_byte_in_a_head_names_nobody(void **state)
{
	struct stream *s = *state;

	assert_undecided(s, LINE "A: b\rX-API-Key: k1\r\n" END, TPS_REASON_CONTROL_BYTE, 0);
	assert_undecided(s, LINE "X-API-Key: k1\r\r\n" END, TPS_REASON_CONTROL_BYTE, 0);
	assert_undecided(s, LINE "X-API-Key\v: k1\r\n" END, TPS_REASON_CONTROL_BYTE, 0);
	assert_undecided(s, "GET /\f HTTP/1.1\r\n" KEY("k1") END, TPS_REASON_CONTROL_BYTE, 0);
	for (int c = 0; c < 0x20; c++) {
		char text[] = LINE "A: _"
				   "\r\n" END;

		*strchr(text, '_') = c;
		if (c == '\t' || c == '\n')
			continue;
		stream_rewind(s);
		stream_segment(s, text, sizeof(text) - 1, 0);
		assert_int_equal(stream_undecided(s, TPS_REASON_CONTROL_BYTE), 1);
	}
}

static void bytes_above_ascii_and_tabs_are_a_values_own(void **state)
{
	struct stream *s = *state;

	stream_text(s, LINE "A: \x80\xff\t\xa0\r\n" KEY("\xc3\xa4\t\xff") END);
	assert_int_equal(stream_of_key(s, "\xc3\xa4\t\xff"), 1);
}

static void a_lenient_request_line_names_nobody(void **state)
{
	static const char *const lines[] = {
		"GET /\r\n",           "GET / HTTP/1.2\r\n",
		"GET / HTTP/2.0\r\n",  "GET / http/1.1\r\n",
		"GET / HTTP/1.1 \r\n", "GET  / HTTP/1.1\r\n",
		"GET\t/ HTTP/1.1\r\n", " GET / HTTP/1.1\r\n",
		"GET /HTTP/1.1\r\n",   "GET HTTP/1.1\r\n",
		"GET  HTTP/1.1\r\n",   "G@T / HTTP/1.1\r\n",
		"GET / HTTP/1.10\r\n", "GET / HTTP/01.1\r\n",
		"GET / XHTTP/1.1\r\n", "POSTPOSTPOSTPOSTX / HTTP/1.1\r\n",
		"HTTP/1.1 200 OK\r\n", "PRI * HTTP/2.1\r\n",
		"X-API-Key: k1\r\n",
	};
	char text[200];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(text, sizeof(text), "%s" KEY("k1") END, lines[i]);
		assert_undecided(*state, text, TPS_REASON_BAD_REQUEST_LINE, 0);
	}
}

static void body_framing_that_contradicts_itself_names_nobody(void **state)
{
	static const char *const headers[] = {
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 0\r\ncontent-length: 0\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
		"Transfer-Encoding: chunke\r\n",
		"Transfer-Encoding: chunkedx\r\n",
		"Transfer-Encoding:\r\n",
		"Content-Length: \r\n",
		"Content-Length: +5\r\n",
		"Content-Length: -5\r\n",
		"Content-Length: 0x5\r\n",
		"Content-Length: 5, 5\r\n",
		"Content-Length: 5 5\r\n",
		"Content-Length: 1234567890123456789\r\n",
		"Content-Length:                  5\r\n",
	};
	char text[200];

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		snprintf(text, sizeof(text), LINE KEY("k1") "%s" END, headers[i]);
		assert_undecided(*state, text, TPS_REASON_BAD_LENGTH, 0);
	}
	assert_undecided(*state, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END,
			 TPS_REASON_BAD_LENGTH, 0);
}

static void names_that_only_begin_like_the_framings_frame_nothing(void **state)
{
	struct stream *s = *state;

	stream_text(s,
		    LINE "Content-Length-X: 5\r\nContent-Lengt: 5\r\nContent-: 5\r\nContent\r\n"
			 "Transfer-Encodin: chunked\r\nTransfer-Encoding-X: chunked\r\nTransfer\r\n"
			 "Upgrade\r\nUpgrade-Insecure-Requests: 1\r\n" END NEXT);
	assert_int_equal(stream_no_key(s), 1);
	assert_int_equal(stream_of_key(s, "k9"), 1);
}

static void malformed_chunks_void_the_connection(void **state)
{
	static const char *const chunks[] = {
		"\r\n",
		"g\r\n",
		"5 \r\n",
		" 5\r\n",
		"0x5\r\n",
		"-1\r\n",
		"1000000000000000\r\n",
		"0000000000000000\r\n",
		"1\r\nxy\r\n",
		"1\r\nx0\r\n",
	};
	struct stream *s = *state;

	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		stream_rewind(s);
		stream_text(s, LINE KEY("k1") "Transfer-Encoding: chunked\r\n" END);
		assert_int_equal(stream_of_key(s, "k1"), 1);
		stream_text(s, chunks[i]);
		assert_int_equal(stream_undecided(s, TPS_REASON_BAD_LENGTH), 1);
		assert_int_equal(s->http.phase, HTTP_VOID);
		stream_text(s, NEXT NEXT);
		assert_int_equal(stream_undecided(s, TPS_REASON_VOID), 2);
		assert_int_equal(stream_of_key(s, "k9"), 0);
	}
}

static void a_bare_newline_in_chunk_framing_voids_the_connection(void **state)
{
	struct stream *s = *state;

	stream_text(s, LINE "Transfer-Encoding: chunked\r\n" END "5;a\n");
	assert_int_equal(stream_undecided(s, TPS_REASON_BARE_LF), 1);
	stream_rewind(s);
	stream_text(s, LINE "Transfer-Encoding: chunked\r\n" END "0\r\nA: b\n");
	assert_int_equal(stream_undecided(s, TPS_REASON_BARE_LF), 1);
}

static void good_heads_around_a_bad_one_are_charged_each(void **state)
{
	struct stream *s = *state;

	stream_text(s, NEXT LINE "X-API-Key : k1\r\n" END NEXT NEXT);
	assert_int_equal(stream_of_key(s, "k9"), 1);
	assert_int_equal(stream_undecided(s, TPS_REASON_SPACE_BEFORE_COLON), 1);
	assert_int_equal(stream_undecided(s, TPS_REASON_VOID), 2);
	assert_int_equal(s->heads, 4);
}

static void every_head_behind_a_bad_one_is_charged_however_lenient(void **state)
{
	struct stream *s = *state;

	stream_text(s, "GET / HTTP/1.7\n\nGET / HTTP/1.7\nA: b\n\nGET /x HTTP/1.23  \r\n\n");
	assert_int_equal(s->heads, 3);
	stream_text(s, "GET / HTTP/1.7\n\nGET / HTTP/1.7\nA: b\n\n");
	assert_int_equal(s->heads, 5);
}

static void lines_without_end_are_undecided_at_32_kilobytes(void **state)
{
	struct stream *s = *state;
	char text[1000];
	int sent = 0;

	memset(text, 'a', sizeof(text));
	stream_text(s, "GET /");
	for (; sent < TPS_HEAD_BYTES_MAX && !s->heads; sent += sizeof(text))
		stream_segment(s, text, sizeof(text), 0);
	assert_int_equal(stream_undecided(s, TPS_REASON_LONG_HEAD), 1);
	assert_in_range(sent, TPS_HEAD_BYTES_MAX - sizeof(text), TPS_HEAD_BYTES_MAX + sizeof(text));
	assert_int_equal(s->heads, 1);
	stream_segment(s, text, sizeof(text), 0);
	assert_int_equal(s->heads, 2);
}

/* A head of @bytes in all, in segments of @segment. */
static void send_head(struct stream *s, __u32 bytes, __u32 segment)
{
	static char text[TPS_HEAD_BYTES_MAX + 100];
	__u32 at = sizeof(LINE) - 1;

	stream_rewind(s);
	memcpy(text, LINE, at);
	while (bytes - 2 - at > 80)
		at += sprintf(text + at, "%-38s\r\n", "A: b");
	at += sprintf(text + at, "%-*s\r\n\r\n", bytes - 4 - at, "A: b");
	assert_int_equal(at, bytes);
	for (at = 0; at < bytes; at += segment)
		stream_segment(s, text + at, bytes - at < segment ? bytes - at : segment, 0);
}

static void a_head_of_32_kilobytes_is_one_and_of_a_byte_more_is_undecided(void **state)
{
	struct stream *s = *state;

	for (__u32 segment = 100; segment <= 40000; segment += segment / 2) {
		send_head(s, TPS_HEAD_BYTES_MAX, segment);
		assert_int_equal(stream_no_key(s), 1);
		assert_int_equal(s->http.phase, HTTP_START);
		send_head(s, TPS_HEAD_BYTES_MAX + 1, segment);
		assert_int_equal(stream_undecided(s, TPS_REASON_LONG_HEAD), 1);
		assert_int_equal(stream_no_key(s), 0);
		assert_int_equal(s->http.phase, HTTP_VOID);
	}
}

static void empty_lines_without_end_are_undecided(void **state)
{
	struct stream *s = *state;

	for (int i = 0; i < 8; i++)
		stream_text(s, "\r\n");
	assert_int_equal(s->heads, 0);
	stream_text(s, "\r\n\r\n");
	assert_int_equal(stream_undecided(s, TPS_REASON_BAD_REQUEST_LINE), 1);
	stream_rewind(s);
	for (int i = 0; i < 20; i++)
		stream_text(s, "\n");
	assert_true(s->heads >= 1);
}

static void a_void_connection_with_a_cut_head_is_charged_for_both_pieces(void **state)
{
	struct stream *s = *state;

	stream_text(s, "bad\r\n\r\n");
	assert_int_equal(s->heads, 1);
	stream_text(s, "GET / HT");
	stream_text(s, "TP/1.1\r\n\r\n");
	assert_int_equal(s->heads, 3);
}

static void a_method_in_a_void_connection_is_not_believed_without_an_answer(void **state)
{
	struct stream *s = *state;

	stream_text(s, "bad\r\n\r\n");
	stream_text(s, NEXT);
	assert_int_equal(stream_of_key(s, "k9"), 0);
	stream_segment(s, NEXT, strlen(NEXT), 1);
	assert_int_equal(stream_of_key(s, "k9"), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, stream_case_open, stream_case_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_key_header_twice_names_nobody),
		CASE(two_different_key_headers_name_nobody),
		CASE(a_key_padded_without_end_names_nobody),
		CASE(white_space_before_the_colon_names_nobody),
		CASE(a_folded_line_names_nobody),
		CASE(a_bare_newline_names_nobody),
		CASE(a_control_byte_in_a_head_names_nobody),
		CASE(bytes_above_ascii_and_tabs_are_a_values_own),
		CASE(a_lenient_request_line_names_nobody),
		CASE(body_framing_that_contradicts_itself_names_nobody),
		CASE(names_that_only_begin_like_the_framings_frame_nothing),
		CASE(malformed_chunks_void_the_connection),
		CASE(a_bare_newline_in_chunk_framing_voids_the_connection),
		CASE(good_heads_around_a_bad_one_are_charged_each),
		CASE(every_head_behind_a_bad_one_is_charged_however_lenient),
		CASE(lines_without_end_are_undecided_at_32_kilobytes),
		CASE(a_head_of_32_kilobytes_is_one_and_of_a_byte_more_is_undecided),
		CASE(empty_lines_without_end_are_undecided),
		CASE(a_void_connection_with_a_cut_head_is_charged_for_both_pieces),
		CASE(a_method_in_a_void_connection_is_not_believed_without_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
