// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS server names: which are taken and which refused, and that what libtps stores is what the gate
 * looks up when such a name comes in a ClientHello.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <tps/tls.h>

#include "../../user/lib/server_name.c"
#include "../../user/lib/why.c"

static const __u64 secret[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static struct tps_server_name parsed(const char *text)
{
	struct tps_server_name name;
	struct tps_why why = {};

	if (tps_server_name_parse(text, &name, &why))
		fail_msg("'%s': %s", text, why.text);
	return name;
}

/* Refused for @reason, and nothing is written. */
static void refused(const char *text, const char *reason)
{
	struct tps_server_name name = {"untouched"};
	struct tps_why why = {};

	assert_int_equal(tps_server_name_parse(text, &name, &why), -EINVAL);
	assert_string_equal(name.text, "untouched");
	if (!strstr(why.text, reason))
		fail_msg("'%s': wanted '%s', got '%s'", text, reason, why.text);
	assert_null(strchr(why.text, '\n'));
}

static void a_name_is_kept_in_lower_case(void **state)
{
	struct tps_server_name name = parsed("API.Example.COM"), zeros = {};

	assert_string_equal(name.text, "api.example.com");
	assert_memory_equal(name.text + 15, zeros.text, sizeof(name.text) - 15);
	assert_string_equal(parsed("*.Example.COM").text, "*.example.com");
	assert_string_equal(parsed("a").text, "a");
	assert_string_equal(parsed("*.a").text, "*.a");
	assert_string_equal(parsed("-_.0-9_z").text, "-_.0-9_z");
	assert_string_equal(parsed("192.0.2.1").text, "192.0.2.1");
}

static void what_is_no_name_is_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} table[] = {
		{"", "expected a name or *.SUFFIX"},
		{"*", "limited by the default tier"},
		{"*.", "expected a name or *.SUFFIX"},
		{".", "a label is empty"},
		{"api.example.com.", "a label is empty"},
		{".example.com", "a label is empty"},
		{"*..example.com", "a label is empty"},
		{"*.example.com.", "a label is empty"},
		{"api..example.com", "a label is empty"},
		{"*api.example.com", "'*' stands for all labels"},
		{"**", "'*' stands for all labels"},
		{"**.example.com", "'*' stands for all labels"},
		{"api.*.com", "'*' stands for all labels"},
		{"*.*.com", "'*' stands for all labels"},
		{"a*.example.com", "'*' stands for all labels"},
		{"api.example.*", "'*' stands for all labels"},
		{"api example.com", "expected letters, digits"},
		{" api.example.com", "expected letters, digits"},
		{"api.example.com:443", "expected letters, digits"},
		{"https://api.example.com", "expected letters, digits"},
		{"api,web", "expected letters, digits"},
		{"m\303\274nchen.example", "xn-- form"},
		{"a\001b", "expected letters, digits"},
		{"a\nb", "'a\\x0ab'"},
		{"a\177b", "expected letters, digits"},
		{"a/b", "expected letters, digits"}, /* the byte behind '.' */
		{"a[b", "expected letters, digits"}, /* behind 'Z' */
		{"a@b", "expected letters, digits"}, /* before 'A' */
		{"a`b", "expected letters, digits"}, /* before 'a' */
		{"a{b", "expected letters, digits"}, /* behind 'z' */
		{"*.a.b.c.d.e.f.g", "7 labels behind '*.', expected at most 6"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		refused(table[i].text, table[i].reason);
}

/* @bytes of a name, of labels of two. */
static const char *long_text(size_t bytes, const char *begin)
{
	static char text[512];

	assert_true(bytes < sizeof(text));
	for (size_t i = 0; i < bytes; i++)
		text[i] = i % 3 == 2 && i + 1 < bytes ? '.' : 'a';
	memcpy(text, begin, strlen(begin));
	text[bytes] = '\0';
	return text;
}

static void a_name_has_253_bytes_at_most(void **state)
{
	static char suffix[512] = "*.a.";

	assert_int_equal(strlen(parsed(long_text(253, "")).text), 253);
	refused(long_text(254, ""), "it has 254 bytes, expected at most 253");
	/* of a suffix what is hashed counts: all but the star */
	memset(suffix + 4, 'b', 250);
	assert_int_equal(strlen(parsed(suffix).text), 254);
	suffix[254] = 'b';
	refused(suffix, "it has 254 bytes, expected at most 253");
	assert_string_equal(parsed("*.a.b.c.d.e.f").text, "*.a.b.c.d.e.f");
}

static void depth_of(const char *text, __u32 depth)
{
	struct tps_server_name name = parsed(text);

	assert_int_equal(tps_server_name_depth(&name), depth);
}

static void a_depth_is_the_labels_behind_the_star(void **state)
{
	depth_of("com", 0);
	depth_of("a.b.c.d.e.f.g.h", 0);
	depth_of("*.com", 1);
	depth_of("*.example.com", 2);
	depth_of("*.a.b.c.d.e.f", 6);
}

/* The hash of @text, for who has it and not us. */
static void hash_is(const char *name, const char *backwards)
{
	struct tps_server_name parsed_name = parsed(name);
	struct tps_key key = tps_server_name_hash(&parsed_name, secret);
	__u64 expected[2];

	siphash_128(secret, backwards, strlen(backwards), expected);
	assert_memory_equal(key.hash, expected, sizeof(expected));
}

static void a_name_is_hashed_backwards(void **state)
{
	hash_is("api.example.com", "moc.elpmaxe.ipa");
	hash_is("API.example.com", "moc.elpmaxe.ipa");
	hash_is("*.example.com", "moc.elpmaxe.");
	hash_is("a", "a");
	hash_is("*.a", "a.");
}

/* The gate has read @sent from a hello. */
static void gate_reads(struct tls_scan *s, const char *sent)
{
	size_t len = strlen(sent);

	memset(s, 0, sizeof(*s));
	memcpy(s->secret, secret, sizeof(secret));
	memcpy(s->bytes, sent, len);
	if (!tls_name(s, 0, len))
		fail_msg("'%s': no host name to the gate", sent);
}

/* Does the gate, when @sent comes, look for @name? With its depth, as hello_identify() does. */
static bool is_found(const char *name, const char *sent)
{
	static struct tls_scan s;
	struct tps_server_name stored = parsed(name);
	struct tps_key key = tps_server_name_hash(&stored, secret);
	__u32 depth = tps_server_name_depth(&stored), from = 0;

	gate_reads(&s, sent);
	if (depth)
		from = tls_suffix(&s, depth);
	if (depth && !from)
		return false;
	tls_hash(&s, from);
	return !memcmp(s.hash, key.hash, sizeof(key.hash));
}

static void the_gate_finds_what_is_stored(void **state)
{
	assert_true(is_found("api.example.com", "api.example.com"));
	assert_true(is_found("api.example.com", "API.EXAMPLE.com"));
	assert_false(is_found("api.example.com", "api.example.org"));
	assert_false(is_found("api.example.com", "x.api.example.com"));
	assert_true(is_found("*.example.com", "api.example.com"));
	assert_true(is_found("*.example.com", "v1.eu.api.example.com"));
	assert_false(is_found("*.example.com", "example.com"));
	assert_false(is_found("*.example.com", "api.notexample.com"));
	assert_false(is_found("*.example.com", "apiexample.com"));
	assert_true(is_found("*.com", "example.com"));
	assert_false(is_found("*.com", "com"));
	assert_true(is_found("*.a.b.c.d.e.f", "x.a.b.c.d.e.f"));
	assert_true(is_found("*.a.b.c.d.e.f", "1.2.3.4.5.6.7.8.9.a.b.c.d.e.f"));
}

/* Of every length, and of the longest suffix that can be found. */
static void the_gate_finds_names_of_any_length(void **state)
{
	char suffix[300], sent[300];

	for (size_t bytes = 1; bytes <= TPS_HOST_BYTES_MAX; bytes++) {
		const char *text = long_text(bytes, "");

		assert_true(is_found(text, text));
	}
	for (size_t bytes = 1; bytes <= TPS_HOST_BYTES_MAX - 2; bytes++) {
		memset(suffix, 'b', sizeof(suffix));
		memcpy(suffix, "*.", 2);
		suffix[2 + bytes] = '\0';
		snprintf(sent, sizeof(sent), "x%s", suffix + 1);
		assert_true(is_found(suffix, sent));
	}
}

/* What the one takes for a byte of a name, the other does. */
static void bytes_of_a_name_are_those_of_the_gate(void **state)
{
	static struct tls_scan s;

	for (int byte = 1; byte < 256; byte++) {
		char text[] = {'a', (char)byte, 'b', '\0'};
		struct tps_server_name name;

		memset(&s, 0, sizeof(s));
		memcpy(s.bytes, text, 3);
		assert_int_equal(!tps_server_name_parse(text, &name, NULL), tls_name(&s, 0, 3));
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_name_is_kept_in_lower_case),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(a_name_has_253_bytes_at_most),
		cmocka_unit_test(a_depth_is_the_labels_behind_the_star),
		cmocka_unit_test(a_name_is_hashed_backwards),
		cmocka_unit_test(the_gate_finds_what_is_stored),
		cmocka_unit_test(the_gate_finds_names_of_any_length),
		cmocka_unit_test(bytes_of_a_name_are_those_of_the_gate),
	};

	return cmocka_run_group_tests_name("server_name", cases, NULL, NULL);
}
