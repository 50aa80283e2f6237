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
#include "report.h"
#include "secret.h"
#include "text.h"
#include "tier.h"
#include "verbs.h"

/* Words that need the gate to be understood (its tiers, its secret) wait in the order given. */
struct key_word {
	bool is_file;
	bool is_removal;
	const char *text;
	struct tps_api_key key; /* of a file */
};

struct given {
	const char *tier;
	struct tps_caller_change change;
	struct tps_prefix *add, *remove;
	struct key_word *key_words;
	size_t key_word_count;
	struct tps_key *add_keys, *remove_keys;
	/* the list flag and the editing flags of one kind exclude each other */
	bool sources_listed, sources_edited, keys_listed, keys_edited;
};

static void given_end(struct given *given)
{
	free(given->add);
	free(given->remove);
	for (size_t i = 0; i < given->key_word_count; i++)
		tps_api_key_forget(&given->key_words[i].key);
	free(given->key_words);
	free(given->add_keys);
	free(given->remove_keys);
}

enum {
	OPTION_SOURCE = 256,
	OPTION_ADD_SOURCE,
	OPTION_REMOVE_SOURCE,
	OPTION_NO_SOURCES,
	OPTION_KEY_FILE,
	OPTION_KEY_HASH,
	OPTION_ADD_KEY_FILE,
	OPTION_ADD_KEY_HASH,
	OPTION_REMOVE_KEY_FILE,
	OPTION_REMOVE_KEY_HASH,
	OPTION_NO_KEYS,
};

static const struct option caller_options[] = {
	OPTION("tier", required_argument, 't'),
	OPTION("rate", required_argument, 'r'),
	OPTION("no-rate", no_argument, 'N'),
	OPTION("burst", required_argument, 'b'),
	OPTION("exempt", no_argument, 'e'),
	OPTION("no-exempt", no_argument, 'E'),
	OPTION("source", required_argument, OPTION_SOURCE),
	OPTION("add-source", required_argument, OPTION_ADD_SOURCE),
	OPTION("remove-source", required_argument, OPTION_REMOVE_SOURCE),
	OPTION("no-sources", no_argument, OPTION_NO_SOURCES),
	OPTION("key-file", required_argument, OPTION_KEY_FILE),
	OPTION("key-hash", required_argument, OPTION_KEY_HASH),
	OPTION("add-key-file", required_argument, OPTION_ADD_KEY_FILE),
	OPTION("add-key-hash", required_argument, OPTION_ADD_KEY_HASH),
	OPTION("remove-key-file", required_argument, OPTION_REMOVE_KEY_FILE),
	OPTION("remove-key-hash", required_argument, OPTION_REMOVE_KEY_HASH),
	OPTION("no-keys", no_argument, OPTION_NO_KEYS),
	OPTIONS_SHARED,
};

static int source_read(struct given *given, int option, struct tps_why *why)
{
	struct tps_list_change *sources = &given->change.sources;
	bool is_removal = option == OPTION_REMOVE_SOURCE;
	size_t *count = is_removal ? &sources->remove_count : &sources->add_count;
	struct tps_prefix **list = is_removal ? &given->remove : &given->add;
	struct tps_prefix *grown = reallocarray(*list, *count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	if (option == OPTION_SOURCE)
		given->sources_listed = sources->replace = true;
	else
		given->sources_edited = true;
	return tps_prefix_parse(optarg, &grown[(*count)++], why);
}

static int key_word_read(struct given *given, int option)
{
	struct key_word *grown =
		reallocarray(given->key_words, given->key_word_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	given->key_words = grown;
	grown[given->key_word_count++] = (struct key_word){
		.is_file = option == OPTION_KEY_FILE || option == OPTION_ADD_KEY_FILE ||
			   option == OPTION_REMOVE_KEY_FILE,
		.is_removal = option == OPTION_REMOVE_KEY_FILE || option == OPTION_REMOVE_KEY_HASH,
		.text = optarg,
	};
	if (option == OPTION_KEY_FILE || option == OPTION_KEY_HASH)
		given->keys_listed = given->change.keys.replace = true;
	else
		given->keys_edited = true;
	return 0;
}

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
	case OPTION_NO_SOURCES:
		given->sources_listed = change->sources.replace = true;
		return 0;
	case OPTION_NO_KEYS:
		given->keys_listed = change->keys.replace = true;
		return 0;
	case OPTION_SOURCE:
	case OPTION_ADD_SOURCE:
	case OPTION_REMOVE_SOURCE:
		return source_read(given, option, why);
	default:
		return key_word_read(given, option);
	}
}

/* Before the gate is opened: standard input may keep us waiting, and a lock everybody else. */
static int key_files_read(struct given *given, struct tps_why *why)
{
	int err = 0;

	for (size_t i = 0; i < given->key_word_count && !err; i++) {
		struct key_word *word = &given->key_words[i];

		if (word->is_file)
			err = tps_api_key_read(word->text, &word->key, why);
	}
	return err;
}

/* Keys become hashes under the gate's own secret. */
static int keys_hash(const __u64 secret[2], struct given *given, struct tps_why *why)
{
	struct tps_list_change *keys = &given->change.keys;

	given->add_keys = calloc(given->key_word_count + 1, sizeof(*given->add_keys));
	given->remove_keys = calloc(given->key_word_count + 1, sizeof(*given->remove_keys));
	if (!given->add_keys || !given->remove_keys)
		return -ENOMEM;
	for (size_t i = 0; i < given->key_word_count; i++) {
		const struct key_word *word = &given->key_words[i];
		struct tps_key *to = word->is_removal ? &given->remove_keys[keys->remove_count++]
						      : &given->add_keys[keys->add_count++];
		int err = 0;

		if (word->is_file)
			tps_key_hash(&word->key, secret, to);
		else
			err = tps_key_parse(word->text, secret, to, why);
		if (err)
			return err;
	}
	keys->add = given->add_keys;
	keys->remove = given->remove_keys;
	given->change.sources.add = given->add;
	given->change.sources.remove = given->remove;
	return 0;
}

enum outcome set_caller(struct session *session, int argc, char **argv)
{
	_cleanup_(given_end) struct given given = {.change = TPS_CALLER_CHANGE_INIT};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	bool changed = false;
	int option, err = 0;
	char **name;

	while ((option = option_next(session, argc, argv, caller_options)) != -1) {
		if (option == '?')
			return USAGE;
		err = option_read(&given, option, &why);
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 1, &name))
		return USAGE;
	if ((given.sources_listed && given.sources_edited) ||
	    (given.keys_listed && given.keys_edited))
		return misused(session, "a list is either replaced or edited, not both");
	err = tps_name_check("caller", *name, TPS_NAME_LEN, &why);
	if (!err)
		err = key_files_read(&given, &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (!err && given.tier) {
		given.change.tier = tps_tier_need(gate, given.tier, &why);
		err = given.change.tier < 0 ? given.change.tier : 0;
	}
	if (err)
		return failed(session, err, &why);
	err = keys_hash(gate->control->secret, &given, &why);
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

/* What `show` says beyond `list`. */
static int details_add(const struct tps_gate *gate, const struct tps_caller_entry *caller,
		       __u64 now_ns, json_t *ret_object)
{
	struct tps_slot slot = {caller->record.slot, caller->record.generation};
	_cleanup_free_ struct tps_prefix *prefixes = NULL;
	_cleanup_free_ struct tps_key *hashes = NULL;
	json_t *sources = json_array(), *keys = json_array();
	__u64 limit = tps_caller_limit(gate, &caller->limit), now_vt = bucket_now_vt(now_ns);
	size_t source_count = 0, key_count = 0;
	char text[TPS_PREFIX_TEXT], hash[TPS_KEY_TEXT];
	struct tps_bucket bucket;
	int err = tps_bucket_read(gate, slot.slot, &bucket);

	if (!err)
		err = tps_sources_read(gate, &slot, &prefixes, NULL, &source_count);
	if (!err)
		err = tps_keys_read(gate, &slot, &hashes, NULL, &key_count);
	for (size_t i = 0; i < source_count && !err; i++)
		json_array_append_new(sources, json_string(tps_prefix_print(&prefixes[i], text)));
	for (size_t i = 0; i < key_count && !err; i++) {
		tps_key_print(&hashes[i], gate->control->secret, hash);
		json_array_append_new(keys, json_stringn(hash, TPS_KEY_SHOWN));
	}
	json_object_set_new(ret_object, "sources", sources);
	json_object_set_new(ret_object, "keys", keys);
	if (err)
		return err;
	json_object_set_new(ret_object, "proven_tokens",
			    json_integer(bucket_tokens(bucket.proven_tat_vt, now_vt, limit)));
	json_object_set_new(ret_object, "unproven_tokens",
			    json_integer(bucket_tokens(bucket.unproven_tat_vt, now_vt, limit)));
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
	err = details_add(gate, &caller, now_ns, object);
	if (err) {
		json_decref(object);
		return failed(session, err, &why);
	}
	show_object(session, object);
	return DONE;
}
