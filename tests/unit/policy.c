// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies as text: what is read, what is printed of it, what differs; and that the manual and the
 * example say what the schema says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy_schema.h"
#include "yaml_walk.h"

static const __u64 secret[2] = {1, 2};

static struct tps_policy_file *policy_of(const char *text)
{
	struct tps_policy_file *policy = NULL;
	struct tps_why why = {};

	if (tps_policy_parse("p", text, strlen(text), secret, &policy, &why))
		fail_msg("%s", why.text);
	return policy;
}

static void assert_refused(const char *text, const char *wanted)
{
	struct tps_policy_file *policy = NULL;
	struct tps_why why = {};

	assert_true(tps_policy_parse("p", text, strlen(text), secret, &policy, &why) < 0);
	assert_null(policy);
	if (strncmp(why.text, wanted, strlen(wanted)))
		fail_msg("wanted '%s', got '%s'", wanted, why.text);
}

/* ---- what is read */

static void what_is_left_out_has_its_default(void **state)
{
	struct tps_policy_file *policy =
		policy_of("version: 1\n"
			  "listeners: {a: {ports: [80], protocol: http}, b: {ports: [80], "
			  "protocol: udp}}\n"
			  "callers: {c: {sources: [192.0.2.1]}}\n");
	const struct tps_listener *http = &policy->listeners[0].listener;

	assert_string_equal(policy->default_tier, "free");
	assert_int_equal(policy->tier_count, 1);
	assert_int_equal(policy->tiers[0].rate.milli, 100000);
	assert_string_equal(policy->callers[0].tier, "free");
	assert_int_equal(http->cost, 1);
	assert_int_equal(http->refusal, TPS_REFUSAL_ANSWER);
	assert_int_equal(http->mode, TPS_MODE_ENFORCE);
	assert_string_equal(http->key_header_text[0], "X-API-Key");
	assert_int_equal(policy->listeners[1].listener.refusal, TPS_REFUSAL_DROP);
	tps_policy_free(policy);
}

static void the_built_in_tier_goes_when_another_is_the_default(void **state)
{
	struct tps_policy_file *policy =
		policy_of("version: 1\ndefault_tier: a\ntiers: {a: {rate: 1/s}}\n");

	assert_int_equal(policy->tier_count, 1);
	tps_policy_free(policy);
	assert_refused("version: 1\ndefault_tier: a\ntiers: {a: {rate: 1/s}}\n"
		       "callers: {c: {tier: free}}\n",
		       "p:4: caller 'c': there is no tier 'free'");
}

static void a_number_in_quotes_and_a_truth_of_yaml_1_1_are_refused(void **state)
{
	assert_refused("version: 1\ntiers: {a: {rate: 1/s, burst: '5'}}", "p:2: burst '5'");
	assert_refused("version: 1\ntiers: {a: {rate: 1/s, burst: 1_000}}", "p:2: burst '1_000'");
	assert_refused("version: 1\ncallers: {c: {exempt: on}}", "p:2: exempt 'on'");
	assert_refused("version: 1\ncallers: {c: {exempt: 'true'}}", "p:2: exempt 'true'");
}

static void a_doubled_key_is_refused_at_its_second_place(void **state)
{
	assert_refused("version: 1\n\nversion: 1\n",
		       "p:3: key 'version': given twice, first in line 1");
	assert_refused("version: 1\ncapacity:\n  bans: 5\n  bans: 5\n",
		       "p:4: capacity 'bans': given twice, first in line 3");
}

static void control_characters_of_a_file_do_not_reach_the_terminal(void **state)
{
	assert_refused("version: 1\n\"a\\e[31m\\n\": 1\n", "p:2: key 'a\\x1b[31m\\x0a': expected");
}

static void hashes_of_two_secrets_are_refused_also_where_the_secret_is_not_known(void **state)
{
	static const char text[] =
		"version: 1\n"
		"callers: {c: {keys: [\"hash:00000001:00000000000000000000000000000000\",\n"
		"  \"hash:00000002:00000000000000000000000000000001\"]}}\n";
	struct tps_policy_file *policy = NULL;
	struct tps_why why = {};

	assert_true(tps_policy_parse("p", text, sizeof(text) - 1, NULL, &policy, &why) < 0);
	assert_non_null(strstr(why.text, "p:3: key hash"));
	assert_non_null(strstr(why.text, "made with another secret than one before it"));
}

static void a_scalar_is_bounded(void **state)
{
	char text[TPS_YAML_SCALAR_MAX + 64] = "version: 1\ndefault_tier: ";

	memset(text + strlen(text), 'a', TPS_YAML_SCALAR_MAX + 1);
	assert_refused(text, "p:2: 'aaaa");
}

/* ---- what does not fit */

static void capacities_are_held_against_what_is_wanted(void **state)
{
	struct tps_policy_file *policy =
		policy_of("version: 1\ncallers: {a: {sources: [192.0.2.1, 192.0.2.2]}, b: {}}\n");
	__u32 capacity[TPS_MAP_MAX] = {[TPS_MAP_callers] = 2, [TPS_MAP_sources4] = 2};
	struct tps_why why = {};

	assert_int_equal(tps_policy_fits(policy, capacity, &why), 0);
	capacity[TPS_MAP_callers] = 1;
	assert_int_equal(tps_policy_fits(policy, capacity, &why), -ENOSPC);
	capacity[TPS_MAP_callers] = 2;
	capacity[TPS_MAP_sources4] = 1;
	assert_int_equal(tps_policy_fits(policy, capacity, NULL), -ENOSPC);
	tps_policy_free(policy);
}

/* ---- what is printed */

static char *printed(const struct tps_policy_file *policy, enum tps_policy_style style)
{
	struct tps_out out = {};

	tps_policy_print(policy, style, &out);
	assert_false(out.failed);
	return out.text;
}

static void a_policy_is_printed_in_one_order(void **state)
{
	struct tps_policy_file *policy =
		policy_of("callers: {b: {sni: [z.example, \"*.a.example\"]},\n"
			  "  a: {exempt: true, sources: [\"2001:db8::/32\", 192.0.2.0/24]}}\n"
			  "tiers: {t: {burst: 3, rate: 0.50/s}, free: {rate: 1/d}}\n"
			  "version: 1\n");
	char *text = printed(policy, TPS_POLICY_YAML);

	assert_string_equal(text, "version: 1\n"
				  "default_tier: free\n"
				  "tiers:\n"
				  "  free: {rate: 1/d}\n"
				  "  t: {rate: 0.5/s, burst: 3}\n"
				  "callers:\n"
				  "  a: {tier: free, exempt: true, sources: [\"2001:db8::/32\", "
				  "192.0.2.0/24]}\n"
				  "  b: {tier: free, sni: [\"*.a.example\", z.example]}\n");
	free(text);
	tps_policy_free(policy);
}

/* ---- what differs */

struct told {
	char text[1024];
};

static void tell(const struct tps_difference *d, void *context)
{
	struct told *told = context;

	snprintf(told->text + strlen(told->text), sizeof(told->text) - strlen(told->text),
		 "%c %s %s %s %s>%s\n", d->sign, d->noun, d->name ? d->name : "-",
		 d->field ? d->field : "-", d->from ? d->from : "-", d->to ? d->to : "-");
}

static void an_identity_that_changes_hands_is_told_of_both(void **state)
{
	struct tps_policy_file *have = policy_of("version: 1\ncallers:\n"
						 "  a: {sources: [192.0.2.1, 192.0.2.2]}\n"
						 "  b: {}\n");
	struct tps_policy_file *want = policy_of("version: 1\ncallers:\n"
						 "  a: {sources: [192.0.2.2]}\n"
						 "  b: {rate: 5/s, sources: [192.0.2.1]}\n");
	struct told told = {};

	assert_int_equal(tps_policy_diff(have, want, tell, &told), 3);
	assert_string_equal(told.text, "~ caller b rate >5/s\n"
				       "~ caller a sources 192.0.2.1>-\n"
				       "~ caller b sources ->192.0.2.1\n");
	assert_int_equal(tps_policy_diff(have, have, NULL, NULL), 0);
	tps_policy_free(have);
	tps_policy_free(want);
}

static void what_comes_and_goes_is_told_whole(void **state)
{
	struct tps_policy_file *have =
		policy_of("version: 1\ncallers: {a: {sources: [192.0.2.1]}}\n"
			  "bans: [198.51.100.1]\n");
	struct tps_policy_file *want =
		policy_of("version: 1\ncallers: {b: {sources: [192.0.2.1]}}\n"
			  "bans: [198.51.100.2]\n");
	struct told told = {};

	assert_int_equal(tps_policy_diff(have, want, tell, &told), 4);
	assert_string_equal(told.text, "- caller a - {tier: free, sources: [192.0.2.1]}>-\n"
				       "+ caller b - ->{tier: free, sources: [192.0.2.1]}\n"
				       "+ ban 198.51.100.2 - ->-\n"
				       "- ban 198.51.100.1 - ->-\n");
	tps_policy_free(have);
	tps_policy_free(want);
}

static void a_device_that_is_not_wanted_is_no_difference(void **state)
{
	struct tps_policy_file *have = policy_of("version: 1\ndevices: [\"lab:eth0\"]\n");
	struct tps_policy_file *want = policy_of("version: 1\n");

	assert_int_equal(tps_policy_diff(have, want, NULL, NULL), 0);
	assert_int_equal(tps_policy_diff(want, have, NULL, NULL), 1);
	tps_policy_free(have);
	tps_policy_free(want);
}

/* ---- the manual and the example */

static char *file_read(const char *name)
{
	FILE *file = fopen(name, "r");
	char *text = calloc(1, 1 << 20);

	if (!file || !text)
		fail_msg("%s: cannot be read", name);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

/* `.It Cm KEY Pq FORM` of the section, in the order of the fields, and nothing else. */
static void assert_section(const char *manual, const char *section, const struct tps_field *fields)
{
	const char *at = strstr(manual, section), *end;
	char wanted[256];

	if (!at)
		fail_msg("no section '%s'", section);
	at += strlen(section);
	end = strstr(at, "\n.S");
	for (; fields->key; fields++) {
		snprintf(wanted, sizeof(wanted), ".It Cm %s Pq %s\n", fields->key, fields->form);
		at = strstr(at, "\n.It ");
		if (!at || at > end || strncmp(at + 1, wanted, strlen(wanted)))
			fail_msg("%s: wanted '%s', found '%.60s'", section, wanted,
				 at ? at + 1 : "");
		at++;
	}
	at = strstr(at, "\n.It ");
	if (at && at < end)
		fail_msg("%s: there is no such key: '%.40s'", section, at + 1);
}

static void the_manual_has_every_key_and_no_other(void **state)
{
	char *manual = file_read("user/tpsctl/tps.yaml.5");
	const struct tps_field *field;

	assert_section(manual, ".Ss Of the policy\n", tps_policy_fields);
	assert_section(manual, ".Ss Of a tier\n", tps_tier_fields);
	assert_section(manual, ".Ss Of a listener\n", tps_listener_fields);
	assert_section(manual, ".Ss Of a caller\n", tps_caller_fields);
	for (field = tps_policy_fields; strcmp(field->key, "tpsd"); field++)
		;
	assert_section(manual, ".Ss Of tpsd\n", field->of);
	free(manual);
}

static void the_manuals_and_the_packages_examples_are_policies(void **state)
{
	char *manual = file_read("user/tpsctl/tps.yaml.5");
	char *example = file_read("packaging/tps.yaml");
	char *begin = strstr(manual, ".Bd -literal\n") + strlen(".Bd -literal\n");
	struct tps_policy_file *policy;
	struct tps_why why = {};

	*strstr(begin, ".Ed\n") = '\0';
	/* all of it but files of the host */
	assert_memory_equal(begin, "version: 1\ninclude: [", 21);
	memset(strstr(begin, "include"), '#', strlen("include"));
	if (tps_policy_parse("manual", begin, strlen(begin), NULL, &policy, &why))
		fail_msg("%s", why.text);
	assert_int_equal(policy->caller_count, 2);
	tps_policy_free(policy);
	policy = policy_of(example);
	assert_true(policy->listener_count >= 1);
	for (size_t i = 0; i < policy->listener_count; i++)
		assert_int_equal(policy->listeners[i].listener.mode, TPS_MODE_OBSERVE);
	tps_policy_free(policy);
	free(manual);
	free(example);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(the_built_in_tier_goes_when_another_is_the_default),
		cmocka_unit_test(a_number_in_quotes_and_a_truth_of_yaml_1_1_are_refused),
		cmocka_unit_test(a_doubled_key_is_refused_at_its_second_place),
		cmocka_unit_test(control_characters_of_a_file_do_not_reach_the_terminal),
		cmocka_unit_test(
			hashes_of_two_secrets_are_refused_also_where_the_secret_is_not_known),
		cmocka_unit_test(a_scalar_is_bounded),
		cmocka_unit_test(capacities_are_held_against_what_is_wanted),
		cmocka_unit_test(a_policy_is_printed_in_one_order),
		cmocka_unit_test(an_identity_that_changes_hands_is_told_of_both),
		cmocka_unit_test(what_comes_and_goes_is_told_whole),
		cmocka_unit_test(a_device_that_is_not_wanted_is_no_difference),
		cmocka_unit_test(the_manual_has_every_key_and_no_other),
		cmocka_unit_test(the_manuals_and_the_packages_examples_are_policies),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
