// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/answer.h: the text of a 429, to the byte, against one that printf writes.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "answer.h"

#define PROBLEM \
	"{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\"," \
	"\"title\":\"Too Many Requests\",\"status\":429}"
#define LONGEST_NAME "abcdefghijklmnopqrstuvwxyz01234" /* 31 bytes */
#define STALE 0xa5

static const __u32 numbers[] = {0, 1, 9, 10, 99, 100, 86400, 999999999, 1000000000, 0xffffffff};
static const char *const names[] = {"a", "free", "premium", "seven77", "eight888", LONGEST_NAME};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct tps_answer make(const char *name, __u32 retry_s, __u32 quota, __u32 window_s)
{
	struct tps_answer answer = {.retry_s = retry_s, .policy = {quota, window_s}};

	snprintf(answer.name, sizeof(answer.name), "%s", name);
	return answer;
}

/* What the answer should be. */
static size_t print(const struct tps_answer *a, char ret_text[1024])
{
	return snprintf(ret_text, 1024,
			"HTTP/1.1 429 Too Many Requests\r\n"
			"Server: tps\r\n"
			"Retry-After: %u\r\n"
			"RateLimit-Policy: \"%.31s\";q=%u;w=%u\r\n"
			"RateLimit: \"%.31s\";r=0;t=%u\r\n"
			"%s"
			"Content-Length: %zu\r\n"
			"%s"
			"\r\n"
			"%s",
			a->retry_s, a->name, a->policy.quota, a->policy.window_s, a->name,
			a->retry_s, a->closes ? "Connection: close\r\n" : "",
			a->form ? strlen(PROBLEM) : 0,
			a->form ? "Content-Type: application/problem+json\r\n" : "",
			a->form ? PROBLEM : "");
}

/* The scratch holds what an earlier answer left there. Its own allocation: the sanitizer sees what
 * is written beyond it. */
static struct answer_text *scratch(void)
{
	struct answer_text *text = malloc(sizeof(*text));

	assert_non_null(text);
	memset(text, STALE, sizeof(*text));
	return text;
}

/* Returns the text, which is as it should be; to be freed. */
static struct answer_text *written(const struct tps_answer *answer, __u32 *ret_bytes)
{
	struct answer_text *text = scratch();
	char wanted[1024];
	size_t len = print(answer, wanted);

	*ret_bytes = answer_write(text, answer);
	if (*ret_bytes != len || memcmp(text->bytes, wanted, len))
		fail_msg("wanted %zu bytes:\n%s\ngot %u:\n%.*s", len, wanted, *ret_bytes,
			 (int)*ret_bytes, (const char *)text->bytes);
	return text;
}

static void check(const struct tps_answer *answer)
{
	__u32 bytes;

	free(written(answer, &bytes));
	assert_in_range(bytes, 1, ANSWER_BYTES_MAX);
}

static void an_answer_is_this_to_the_byte(void **state)
{
	static const char live[] = "HTTP/1.1 429 Too Many Requests\r\n"
				   "Server: tps\r\n"
				   "Retry-After: 1\r\n"
				   "RateLimit-Policy: \"premium\";q=1000;w=1\r\n"
				   "RateLimit: \"premium\";r=0;t=1\r\n"
				   "Content-Length: 0\r\n"
				   "\r\n";
	struct tps_answer answer = make("premium", 1, 1000, 1);
	struct answer_text *text = scratch();

	assert_int_equal(answer_write(text, &answer), sizeof(live) - 1);
	assert_memory_equal(text->bytes, live, sizeof(live) - 1);
	free(text);
}

static void every_form_says_what_it_is_told(void **state)
{
	for (int form = 0; form < 4; form++) {
		struct tps_answer answer = make("free", 10, 100, 1);

		answer.closes = form & 1;
		answer.form = form >> 1;
		check(&answer);
	}
}

static void any_number_is_written_in_decimal(void **state)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct tps_answer answer = make("free", numbers[i], 100, 1);

		check(&answer);
		answer = make("free", 1, numbers[i], 1);
		check(&answer);
		answer = make("free", 1, 100, numbers[i]);
		check(&answer);
	}
}

static void a_number_leaves_what_stands_before_it(void **state)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct answer_text *text = scratch();
		char wanted[16];
		int digits = snprintf(wanted, sizeof(wanted), "%u", numbers[i]);

		assert_int_equal(answer_number(text, 7, numbers[i]), 7 + digits);
		assert_memory_equal(text->bytes + 7, wanted, digits);
		assert_int_equal(text->bytes[6], STALE);
		free(text);
	}
}

static void names_of_any_length_are_quoted_whole(void **state)
{
	for (size_t i = 0; i < COUNT(names); i++)
		for (int form = 0; form < 4; form++) {
			struct tps_answer answer = make(names[i], 1, 100, 1);

			answer.closes = form & 1;
			answer.form = form >> 1;
			check(&answer);
		}
}

static void a_name_without_its_nul_ends_where_it_must(void **state)
{
	struct tps_answer answer = make(LONGEST_NAME, 1, 100, 1);
	__u32 bytes, with_nul;

	free(written(&answer, &with_nul));
	answer.name[TPS_TIER_NAME_LEN - 1] = '5';
	free(written(&answer, &bytes));
	assert_int_equal(bytes, with_nul);
}

/* The text ends at each place of a word. */
static void what_lies_behind_the_end_is_zero(void **state)
{
	int seen[8] = {0}, all = 0;

	for (size_t i = 0; i < COUNT(numbers); i++)
		for (size_t j = 0; j < COUNT(names); j++) {
			struct tps_answer answer = make(names[j], 1, numbers[i], 1);
			struct answer_text *text;
			__u32 bytes;

			answer.form = i & 1;
			text = written(&answer, &bytes);
			for (int k = 0; k < 8; k++)
				assert_int_equal(text->bytes[bytes + k], 0);
			all += !seen[bytes & 7];
			seen[bytes & 7] = 1;
			free(text);
		}
	assert_int_equal(all, 8);
}

static void the_longest_answer_fits(void **state)
{
	struct tps_answer answer = make(LONGEST_NAME, 0xffffffff, 0xffffffff, 0xffffffff);
	__u32 live, bytes;

	answer.form = 1;
	free(written(&answer, &live));
	answer.closes = 1;
	free(written(&answer, &bytes));
	assert_int_equal(bytes, live + strlen("Connection: close\r\n"));
	assert_true(bytes <= ANSWER_BYTES_MAX);
}

/* What answers are given again with: the same facts make the same text. */
static void the_same_facts_make_the_same_text(void **state)
{
	struct tps_answer answer = make("premium", 7, 1000, 60);
	struct answer_text *once, *again;
	__u32 bytes, bytes_again;

	answer.form = 1;
	once = written(&answer, &bytes);
	answer.bytes = bytes; /* as it is kept */
	again = written(&answer, &bytes_again);
	assert_int_equal(bytes, bytes_again);
	assert_memory_equal(once->bytes, again->bytes, bytes);
	free(once);
	free(again);
}

/* ---- as its reader sees it --------------------------------------------------------------------
 */

static const char *field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	assert_null(strstr(at + 1, name));
	return at + strlen(name);
}

static void content_length_is_the_bodys(void **state)
{
	for (int form = 0; form < 4; form++) {
		struct tps_answer answer = make("free", 1, 100, 1);
		struct answer_text *text = scratch();
		const char *head = (const char *)text->bytes, *body;
		int bytes;

		answer.closes = form & 1;
		answer.form = form >> 1;
		bytes = answer_write(text, &answer);
		assert_int_equal(strlen(head), bytes);
		body = strstr(head, "\r\n\r\n") + 4;
		assert_int_equal(atoi(field(head, "\r\nContent-Length: ")), strlen(body));
		assert_int_equal(*body != 0, answer.form);
		assert_int_equal(strstr(head, "\r\nConnection: close\r\n") != NULL, answer.closes);
		free(text);
	}
}

static const char *skip_string(const char *at)
{
	assert_int_equal(*at++, '"');
	for (; *at != '"'; at++)
		assert_true(*at >= ' ' && *at != '\\');
	return at + 1;
}

/* One object of strings and whole numbers (RFC 8259 4), and nothing behind it. */
static void the_body_is_json(void **state)
{
	const char *at = strstr(ANSWER_BODY, "\r\n\r\n") + 4;
	int members = 0;

	do {
		assert_int_equal(*at++, members ? ',' : '{');
		at = skip_string(at);
		assert_int_equal(*at++, ':');
		if (*at == '"') {
			at = skip_string(at);
		} else {
			assert_in_range(*at, '1', '9');
			while (isdigit((unsigned char)*at))
				at++;
		}
		members++;
	} while (*at == ',');
	assert_string_equal(at, "}");
	assert_int_equal(members, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_this_to_the_byte),
		cmocka_unit_test(every_form_says_what_it_is_told),
		cmocka_unit_test(any_number_is_written_in_decimal),
		cmocka_unit_test(a_number_leaves_what_stands_before_it),
		cmocka_unit_test(names_of_any_length_are_quoted_whole),
		cmocka_unit_test(a_name_without_its_nul_ends_where_it_must),
		cmocka_unit_test(what_lies_behind_the_end_is_zero),
		cmocka_unit_test(the_longest_answer_fits),
		cmocka_unit_test(the_same_facts_make_the_same_text),
		cmocka_unit_test(content_length_is_the_bodys),
		cmocka_unit_test(the_body_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
