// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS server names. What is a name here is what bpf/tls.h takes for one: RFC 6066 3, but for the
 * bytes that a label may have.
 */
#include "server_name.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <tps/siphash.h>

#define NAME_FORMS "as api.example.com or *.example.com"

static bool is_suffix(const char *text)
{
	return text[0] == '*';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Letters, digits, hyphen, underscore; between labels a dot. */
static bool is_name_byte(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static __u32 labels_of(const char *labels)
{
	__u32 count = 1;

	for (; *labels; labels++)
		count += *labels == '.';
	return count;
}

static bool has_empty_label(const char *labels)
{
	return labels[0] == '.' || strstr(labels, "..") || labels[strlen(labels) - 1] == '.';
}

/* @labels are @text, or what is behind its "*.". */
static int labels_check(const char *text, const char *labels, struct tps_why *why)
{
	for (const char *c = labels; *c; c++) {
		if (*c == '*')
			return tps_why_say(why, -EINVAL,
					   "server name '%s': '*' stands for all labels before a "
					   "suffix: expected " NAME_FORMS,
					   text);
		if (!is_name_byte(*c))
			return tps_why_say(why, -EINVAL,
					   "server name '%s': expected letters, digits, '-' and "
					   "'_', with dots between labels, " NAME_FORMS
					   "; other letters in their xn-- form",
					   text);
	}
	if (has_empty_label(labels))
		return tps_why_say(why, -EINVAL,
				   "server name '%s': a label is empty: expected dots between "
				   "labels only, " NAME_FORMS,
				   text);
	return 0;
}

int tps_server_name_parse(const char *text, struct tps_server_name *ret_name, struct tps_why *why)
{
	bool has_star = is_suffix(text);
	const char *labels = has_star && text[1] == '.' ? text + 2 : text;
	size_t bytes = strlen(text) - has_star; /* that are hashed */
	struct tps_server_name name = {};
	int err;

	if (!*labels || !strcmp(text, "*"))
		return tps_why_say(why, -EINVAL,
				   "server name '%s': expected a name or *.SUFFIX, " NAME_FORMS
				   "; who has no name is limited by the default tier",
				   text);
	if (bytes > TPS_HOST_BYTES_MAX)
		return tps_why_say(why, -EINVAL,
				   "server name '%.40s...': it has %zu bytes, expected at most %d",
				   text, bytes, TPS_HOST_BYTES_MAX);
	err = labels_check(text, labels, why);
	if (err)
		return err;
	if (has_star && labels_of(labels) > TPS_HOST_LABELS_MAX)
		return tps_why_say(why, -EINVAL,
				   "server name '%s': %u labels behind '*.', expected at most %d: "
				   "a shorter suffix, or whole names",
				   text, labels_of(labels), TPS_HOST_LABELS_MAX);
	for (size_t i = 0; text[i]; i++)
		name.text[i] = lower(text[i]);
	*ret_name = name;
	return 0;
}

struct tps_key tps_server_name_hash(const struct tps_server_name *name, const __u64 secret[2])
{
	const char *from = name->text + is_suffix(name->text);
	char backwards[sizeof(name->text)];
	size_t len = strlen(from);
	struct tps_key key;

	for (size_t i = 0; i < len; i++)
		backwards[i] = from[len - 1 - i];
	siphash_128(secret, backwards, len, key.hash);
	return key;
}

__u32 tps_server_name_depth(const struct tps_server_name *name)
{
	return is_suffix(name->text) ? labels_of(name->text + 2) : 0;
}
