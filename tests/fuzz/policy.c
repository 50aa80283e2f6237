// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any text as a policy: it is refused in one line, or it is one. Then what is printed of it is read
 * again as the same, in YAML and in JSON, and printed again as the same text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#include "fuzz/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const __u64 secret[2] = {1, 2};

static struct tps_policy_file *parsed(const char *text, size_t bytes, struct tps_why *why)
{
	struct tps_policy_file *policy = NULL;

	if (tps_policy_parse("p", text, bytes, secret, &policy, why))
		return NULL;
	return policy;
}

static void round_trip(const struct tps_policy_file *policy, enum tps_policy_style style)
{
	_cleanup_out_ struct tps_out first = {}, second = {};
	_cleanup_policy_ struct tps_policy_file *again = NULL;
	struct tps_why why = {};

	tps_policy_print(policy, style, &first);
	expect(!first.failed, "there is memory");
	again = parsed(first.text, first.len, &why);
	expect(again != NULL, "what is printed is read again");
	expect(tps_policy_diff(policy, again, NULL, NULL) == 0, "it is the same");
	expect(tps_policy_diff(again, policy, NULL, NULL) == 0, "and the other way round");
	tps_policy_print(again, style, &second);
	expect(!strcmp(first.text, second.text), "the text is the same");
}

/* A key's file is opened: what would be read must not depend on the machine, nor wait. */
static int names_file(const uint8_t *data, size_t size)
{
	return memmem(data, size, "file:", 5) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_policy_ struct tps_policy_file *policy = NULL;
	struct tps_why why = {};

	if (names_file(data, size))
		return 0;
	policy = parsed((const char *)data, size, &why);
	if (!policy) {
		expect(why.text[0] != 0, "a refusal says why");
		expect(!strchr(why.text, '\n'), "in one line");
		return 0;
	}
	round_trip(policy, TPS_POLICY_YAML);
	round_trip(policy, TPS_POLICY_JSON);
	return 0;
}
