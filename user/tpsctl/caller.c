// SPDX-License-Identifier: GPL-2.0-only
/*
 * set, delete, list and show for callers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tps/bucket.h>

#include "ban.h"
#include "caller.h"
#include "counts.h"
#include "key.h"
#include "lists.h"
#include "report.h"
#include "secret.h"
#include "text.h"
#include "tier.h"
#include "verbs.h"
#include "when.h"

struct given {
	const char *tier;
	struct tps_caller_change change;
	struct lists lists;
};

static void given_end(struct given *given)
{
	lists_end(&given->lists);
}

static const struct option caller_options[] = {
	OPTION("tier", required_argument, 't'),
	OPTION("rate", required_argument, 'r'),
	OPTION("no-rate", no_argument, 'N'),
	OPTION("burst", required_argument, 'b'),
	OPTION("exempt", no_argument, 'e'),
	OPTION("no-exempt", no_argument, 'E'),
	OPTIONS_OF_LISTS,
	OPTIONS_SHARED,
};

static int option_read(struct given *given, int option, struct tps_why *why)
{
	struct tps_caller_change *change = &given->change;
	__u64 number = 0;
	int err;

	switch (option) {
	case 't':
		given->tier = optarg;
		return 0;
	case 'r':
		change->rate_given = true;
		return tps_rate_parse(optarg, &change->rate, why);
	case 'N':
		change->rate_given = true;
		change->rate = (struct tps_rate){};
		return 0;
	case 'b':
		err = tps_number_parse("burst", optarg, 1, 0xffffffff, &number, why);
		change->burst_given = true;
		change->burst = number;
		return err;
	case 'e':
	case 'E':
		change->exempt = option == 'e';
		return 0;
	default:
		return lists_option(&given->lists, option, why);
	}
}

enum outcome set_caller(struct session *session, int argc, char **argv)
{
	_cleanup_(given_end) struct given given = {.change = TPS_CALLER_CHANGE_INIT};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	bool changed = false;
	int option, err = 0;
	char **name;

	lists_begin(&given.lists, &given.change);
	while ((option = option_next(session, argc, argv, caller_options)) != -1) {
		if (option == '?')
			return USAGE;
		err = option_read(&given, option, &why);
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 1, &name))
		return USAGE;
	if (lists_are_mixed(&given.lists))
		return misused(session, "a list is either replaced or edited, not both");
	err = tps_name_check("caller", *name, TPS_NAME_LEN, &why);
	if (!err)
		err = lists_keys_read(&given.lists, &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (!err && given.tier) {
		given.change.tier = tps_tier_need(gate, given.tier, &why);
		err = given.change.tier < 0 ? given.change.tier : 0;
	}
	if (err)
		return failed(session, err, &why);
	err = lists_keys_hash(&given.lists, gate->control->secret, &why);
	if (!err)
		err = tps_caller_set(gate, *name, &given.change, &changed, &why);
	return err ? rejected(session, err, &why) : written(session, changed);
}

enum outcome delete_caller(struct session *session, int argc, char **argv)
{
	return delete_named(session, argc, argv, tps_caller_delete);
}

/* ---- reading */

static json_t *caller_json(const struct tps_gate *gate, const struct tps_caller_entry *caller,
			   const struct tps_counter *counter, __u64 now_ns)
{
	const struct tps_tier *tier = &gate->tiers[caller->limit.tier];
	bool has_own = caller->limit.own != 0;
	char rate[TPS_RATE_TEXT];
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:b}", "name", caller->name, "tier",
				tier->name, "rate",
				tps_rate_print(has_own ? &caller->record.rate : &tier->rate, rate),
				"limit_from", has_own ? "own" : "tier", "burst",
				(json_int_t)limit_burst(tps_caller_limit(gate, &caller->limit)),
				"exempt", (caller->limit.flags & TPS_LIMIT_EXEMPT) != 0,
				"is_banned", caller->limit.banned_until_ns > now_ns);

	verdicts_json(counter->verdicts, row);
	return row;
}

static int callers_json(const struct tps_gate *gate, json_t *ret_rows)
{
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	_cleanup_free_ struct tps_counter *counters = NULL;
	__u64 now_ns = tps_now_ns();
	size_t count;
	int err = tps_callers_read(gate, &callers, &count);

	if (!err)
		err = tps_counters_read(gate, &counters);
	for (size_t i = 0; i < count && !err; i++)
		json_array_append_new(
			ret_rows,
			caller_json(gate, &callers[i], &counters[callers[i].record.slot], now_ns));
	return err;
}

enum outcome list_callers(struct session *session, int argc, char **argv)
{
	static const struct column columns[] = {{"NAME", "name", false},
						{"TIER", "tier", false},
						{"RATE", "rate", true},
						{"FROM", "limit_from", false},
						{"BURST", "burst", true},
						{"EXEMPT", "exempt", false},
						{"BAN", "is_banned", false},
						{"ALLOWED", "allowed", true},
						{"REFUSED", "refused", true},
						{"BANNED", "banned", true},
						{"WOULD_REFUSE", "would_refuse", true},
						{}};

	return list_rows(session, argc, argv, callers_json, columns);
}

static int sources_json(const struct tps_gate *gate, const struct tps_slot *slot,
			json_t *ret_sources)
{
	_cleanup_free_ struct tps_prefix *prefixes = NULL;
	char text[TPS_PREFIX_TEXT];
	size_t count = 0;
	int err = tps_sources_read(gate, slot, &prefixes, NULL, &count);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret_sources,
				      json_string(tps_prefix_print(&prefixes[i], text)));
	return err;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct tps_server_name *)a)->text,
		      ((const struct tps_server_name *)b)->text);
}

static int hosts_json(const struct tps_gate *gate, const struct tps_slot *slot, json_t *ret_names)
{
	_cleanup_free_ struct tps_server_name *names = NULL;
	size_t count = 0;
	int err = tps_hosts_read(gate, slot, &names, NULL, &count);

	if (count)
		qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret_names, json_string(names[i].text));
	return err;
}

static int keys_json(const struct tps_gate *gate, const struct tps_slot *slot, bool is_text,
		     __u64 now_ns, json_t *ret_keys)
{
	_cleanup_free_ struct tps_key *hashes = NULL;
	char text[TPS_KEY_TEXT];
	size_t count = 0;
	int err = tps_keys_read(gate, slot, &hashes, NULL, &count);

	for (size_t i = 0; i < count; i++) {
		__u64 used_ns = 0;
		json_t *used;

		tps_key_used(gate, &hashes[i], &used_ns); /* one that goes now was never used */
		used = is_text ? when_text(used_ns, now_ns) : when_json(used_ns, now_ns);
		tps_key_print(&hashes[i], gate->control->secret, text);
		json_array_append_new(ret_keys,
				      json_pack("{s:s%, s:o}", "key", text, (size_t)TPS_KEY_SHOWN,
						"last_used", used));
	}
	return err;
}

/* Where the limit comes from, as a sentence for people. */
static json_t *limit_text(const struct tps_gate *gate, const struct tps_caller_entry *caller)
{
	if (caller->limit.flags & TPS_LIMIT_EXEMPT)
		return json_string("none holds: exempt");
	if (caller->limit.own)
		return json_string("own");
	return json_sprintf("tier %s", gate->tiers[caller->limit.tier].name);
}

/* What `show` says beyond `list`. */
static int details_add(const struct tps_gate *gate, const struct tps_caller_entry *caller,
		       bool is_text, __u64 now_ns, json_t *ret_object)
{
	struct tps_slot slot = {caller->record.slot, caller->record.generation};
	json_t *sources = json_array(), *names = json_array(), *keys = json_array();
	__u64 limit = tps_caller_limit(gate, &caller->limit), now_vt = bucket_now_vt(now_ns);
	struct tps_account account;
	int err;

	json_object_set_new(ret_object, "sources", sources);
	json_object_set_new(ret_object, "sni", names);
	json_object_set_new(ret_object, "keys", keys);
	err = tps_account_read(gate, slot.slot, &account);
	if (!err)
		err = sources_json(gate, &slot, sources);
	if (!err)
		err = hosts_json(gate, &slot, names);
	if (!err)
		err = keys_json(gate, &slot, is_text, now_ns, keys);
	if (err)
		return err;
	json_object_set_new(
		ret_object, "proven_tokens",
		json_integer(bucket_tokens(account.bucket.proven_tat_vt, now_vt, limit)));
	json_object_set_new(
		ret_object, "unproven_tokens",
		json_integer(bucket_tokens(account.bucket.unproven_tat_vt, now_vt, limit)));
	json_object_set_new(ret_object, "last_refusal",
			    is_text ? last_text(gate, account.last, now_ns)
				    : last_json(gate, account.last, now_ns));
	if (is_text)
		json_object_set_new(ret_object, "limit_from", limit_text(gate, caller));
	if (caller->limit.banned_until_ns > now_ns)
		json_object_set_new(ret_object, "ban_reason",
				    json_string(caller->record.ban_reason));
	return 0;
}

enum outcome show_caller(struct session *session, int argc, char **argv)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_caller_entry caller;
	struct tps_counter counter = {};
	__u64 now_ns = tps_now_ns();
	struct tps_why why = {};
	json_t *object;
	char **name;
	int err;

	if (!words_only(session, argc, argv, 1, &name))
		return USAGE;
	err = gate_open(session, TPS_READ, &gate, &why);
	if (!err)
		err = tps_caller_need(gate, *name, &caller, &why);
	if (!err)
		err = tps_counter_read(gate, caller.record.slot, &counter);
	if (err)
		return failed(session, err, &why);
	object = caller_json(gate, &caller, &counter, now_ns);
	err = details_add(gate, &caller, !session->json, now_ns, object);
	if (err) {
		json_decref(object);
		return failed(session, err, &why);
	}
	show_object(session, object);
	return DONE;
}
