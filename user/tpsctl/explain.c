// SPDX-License-Identifier: GPL-2.0-only
/*
 * explain: who a source is to the gate, under which limit, and what a transaction of it would meet
 * now.
 */
#include "explain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tps/bucket.h>

#include "caller.h"
#include "control.h"
#include "label.h"
#include "secret.h"
#include "verbs.h"

struct given {
	const char *source, *port, *name, *key_file, *key_hash;
	bool udp;
};

/* What is given, read. */
struct asked {
	struct tps_question question;
	__u64 port; /* 0: none */
	bool udp;
	struct tps_server_name name;
	struct tps_api_key key;
	struct tps_key hash;
};

static void asked_end(struct asked *asked)
{
	tps_api_key_forget(&asked->key);
}

static const struct option explain_options[] = {
	OPTION("source", required_argument, 's'),
	OPTION("port", required_argument, 'p'),
	OPTION("udp", no_argument, 'u'),
	OPTION("sni", required_argument, 'n'),
	OPTION("key-file", required_argument, 'f'),
	OPTION("key-hash", required_argument, 'k'),
	OPTIONS_SHARED,
};

static bool option_read(struct given *given, int option)
{
	switch (option) {
	case 's':
		given->source = optarg;
		return true;
	case 'p':
		given->port = optarg;
		return true;
	case 'u':
		given->udp = true;
		return true;
	case 'n':
		given->name = optarg;
		return true;
	case 'f':
		given->key_file = optarg;
		return true;
	case 'k':
		given->key_hash = optarg;
		return true;
	default:
		return false;
	}
}

/* ---- the question */

static int source_parse(const char *text, struct tps_prefix *ret_source, struct tps_why *why)
{
	struct tps_prefix source;
	int err = tps_prefix_parse(text, &source, why);

	if (err)
		return err;
	if (source.bits != (source.family == 4 ? 32u : 128u))
		return tps_why_say(why, -EINVAL,
				   "source '%s': expected one address, as 192.0.2.7 or 2001:db8::7",
				   text);
	*ret_source = source;
	return 0;
}

static int name_parse(const char *text, struct tps_server_name *ret_name, struct tps_why *why)
{
	if (text[0] == '*')
		return tps_why_say(why, -EINVAL,
				   "server name '%s': expected one that a client sends, as "
				   "api.example.com",
				   text);
	return tps_server_name_parse(text, ret_name, why);
}

/* What can be read before the gate is opened: standard input may keep us waiting. */
static int given_read(const struct given *given, struct asked *ret, struct tps_why *why)
{
	int err = source_parse(given->source, &ret->question.source, why);

	if (!err && given->port)
		err = tps_number_parse("port", given->port, 1, 65535, &ret->port, why);
	if (!err && given->name)
		err = name_parse(given->name, &ret->name, why);
	if (!err && given->key_file)
		err = tps_api_key_read(given->key_file, &ret->key, why);
	ret->udp = given->udp;
	return err;
}

static int listener_find(const struct tps_gate *gate, struct asked *asked, struct tps_why *why)
{
	__u32 tcp = gate->ports[TPS_PORT_INDEX(0, asked->port)].listener;
	__u32 udp = gate->ports[TPS_PORT_INDEX(1, asked->port)].listener;

	if (!asked->port) {
		asked->question.any_listener = true;
		return 0;
	}
	asked->question.listener = asked->udp ? udp : tcp;
	if (asked->udp || tcp || !udp)
		return 0;
	return tps_why_say(
		why, -EINVAL,
		"port '%llu': only the udp listener '%s' has it: expected --udp beside it",
		asked->port, gate->listeners[udp].name);
}

static int question_make(const struct tps_gate *gate, const struct given *given,
			 struct asked *asked, struct tps_why *why)
{
	const __u64 *secret = gate->control->secret;
	int err = listener_find(gate, asked, why);

	if (err)
		return err;
	if (given->name)
		asked->question.name = &asked->name;
	if (given->key_hash)
		err = tps_key_parse(given->key_hash, secret, &asked->hash, why);
	else if (given->key_file)
		tps_key_hash(&asked->key, secret, &asked->hash);
	if (given->key_hash || given->key_file)
		asked->question.key = &asked->hash;
	return err;
}

/* ---- the answer */

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static const char *limit_print(const struct tps_rate *rate, __u64 limit, char *ret_text,
			       size_t size)
{
	char text[TPS_RATE_TEXT];

	snprintf(ret_text, size, "%s, burst %u", tps_rate_print(rate, text), limit_burst(limit));
	return ret_text;
}

/* Which rule says whose it is. */
static int rule_print(const struct tps_gate *gate, const struct asked *asked,
		      const struct tps_explanation *of, char *ret_text, size_t size)
{
	_cleanup_(tps_source_table_free) struct tps_source_table table = {};
	char prefix[TPS_PREFIX_TEXT], key[TPS_KEY_TEXT];
	const struct tps_prefix *longest;
	struct tps_address address;
	struct tps_prefix alone;
	int err;

	switch (of->whose.by) {
	case TPS_BY_KEY:
		tps_key_print(asked->question.key, gate->control->secret, key);
		snprintf(ret_text, size, "key %.*s", TPS_KEY_SHOWN, key);
		return 0;
	case TPS_BY_SNI:
		snprintf(ret_text, size, "sni %s", of->whose.name.text);
		return 0;
	case TPS_BY_SOURCE:
		err = tps_source_table_read(gate, &table);
		if (err)
			return err;
		longest = tps_source_longest(&table, &asked->question.source);
		snprintf(ret_text, size, "source %s",
			 longest ? tps_prefix_print(longest, prefix) : "?");
		return 0;
	default:
		address = tps_address_of(&asked->question.source);
		alone = tps_address_prefix(&address);
		snprintf(ret_text, size, "address %s", tps_prefix_print(&alone, prefix));
		return 0;
	}
}

static void identity_add(const struct tps_gate *gate, const struct asked *asked,
			 const struct tps_explanation *of, const char *rule, json_t *ret_object)
{
	char source[TPS_PREFIX_TEXT];

	json_object_set_new(ret_object, "source",
			    json_string(tps_prefix_print(&asked->question.source, source)));
	json_object_set_new(ret_object, "caller", text_or_null(of->caller));
	json_object_set_new(ret_object, "by", json_string(tps_by_text(of->whose.by)));
	json_object_set_new(ret_object, "rule", json_string(rule));
	json_object_set_new(ret_object, "is_unknown_key", json_boolean(of->is_unknown_key));
	json_object_set_new(ret_object, "is_unknown_name", json_boolean(of->is_unknown_name));
	json_object_set_new(ret_object, "tier", json_string(gate->tiers[of->tier].name));
}

static int limit_add(const struct tps_gate *gate, const struct tps_explanation *of,
		     json_t *ret_object)
{
	const struct tps_rate *rate = &gate->tiers[of->tier].rate;
	struct tps_caller_entry entry;
	char text[TPS_RATE_TEXT];
	int err = 0;

	if (of->is_own) {
		err = tps_caller_find(gate, of->caller, &entry);
		rate = &entry.record.rate;
	}
	if (err)
		return err;
	json_object_set_new(ret_object, "rate", json_string(tps_rate_print(rate, text)));
	json_object_set_new(ret_object, "burst", json_integer(limit_burst(of->left.limit)));
	json_object_set_new(ret_object, "limit_from",
			    json_string(of->is_own                       ? "own"
					: of->whose.by == TPS_BY_ADDRESS ? "default tier"
									 : "tier"));
	json_object_set_new(ret_object, "exempt", json_boolean(of->is_exempt));
	json_object_set_new(ret_object, "proven_tokens", json_integer(of->left.proven_tokens));
	json_object_set_new(ret_object, "unproven_tokens", json_integer(of->left.unproven_tokens));
	return 0;
}

static json_t *seconds_left(__u64 until_ns)
{
	__u64 now_ns = tps_now_ns();

	if (until_ns == TPS_BAN_FOR_EVER)
		return json_string("until lifted");
	return json_integer(until_ns > now_ns ? (until_ns - now_ns + 999999999) / 1000000000 : 0);
}

static void bans_add(const struct tps_gate *gate, const struct tps_explanation *of,
		     json_t *ret_object)
{
	struct tps_caller_entry entry;
	char text[TPS_PREFIX_TEXT];
	bool has_prefix = of->ban.ban.until_ns != 0;
	bool has_caller = of->caller_banned_until_ns != 0;
	const char *why = NULL;

	if (has_prefix)
		why = of->ban.ban.reason;
	else if (has_caller && !tps_caller_find(gate, of->caller, &entry))
		why = entry.record.ban_reason;
	json_object_set_new(ret_object, "ban",
			    has_prefix   ? json_string(tps_prefix_print(&of->ban.prefix, text))
			    : has_caller ? json_sprintf("caller:%s", of->caller)
					 : json_null());
	json_object_set_new(ret_object, "ban_reason", text_or_null(why));
	json_object_set_new(ret_object, "ban_left_s",
			    has_prefix   ? seconds_left(of->ban.ban.until_ns)
			    : has_caller ? seconds_left(of->caller_banned_until_ns)
					 : json_null());
}

static void listener_add(const struct tps_gate *gate, const struct asked *asked,
			 const struct tps_explanation *of, json_t *ret_object)
{
	const struct tps_listener *listener = &gate->listeners[asked->question.listener];
	bool is_one = asked->question.listener != 0, has_limit = of->listener_left.limit != 0;
	char text[TPS_RATE_TEXT + 24];

	json_object_set_new(ret_object, "listener", text_or_null(is_one ? listener->name : NULL));
	json_object_set_new(ret_object, "protocol",
			    text_or_null(is_one ? tps_protocol_text(listener->protocol) : NULL));
	json_object_set_new(ret_object, "mode",
			    text_or_null(is_one ? tps_mode_text(listener->mode) : NULL));
	json_object_set_new(ret_object, "cost", is_one ? json_integer(of->cost) : json_null());
	json_object_set_new(
		ret_object, "listener_limit",
		has_limit ? json_string(limit_print(&listener->rate, of->listener_left.limit, text,
						    sizeof(text)))
			  : json_null());
	json_object_set_new(ret_object, "listener_tokens",
			    has_limit ? json_integer(of->is_proven
							     ? of->listener_left.proven_tokens
							     : of->listener_left.unproven_tokens)
				      : json_null());
	json_object_set_new(ret_object, "state", json_string(tps_state_text(tps_state_read(gate))));
}

static void verdict_add(const struct tps_explanation *of, json_t *ret_object)
{
	bool is_refused = of->verdict != TPS_VERDICT_MAX && of->verdict != TPS_VERDICT_ALLOWED;

	json_object_set_new(ret_object, "proven", json_boolean(of->is_proven));
	json_object_set_new(ret_object, "verdict",
			    of->verdict == TPS_VERDICT_MAX
				    ? json_null()
				    : json_string(tps_verdict_text(of->verdict)));
	json_object_set_new(ret_object, "reason", json_string(tps_reason_text(of->reason)));
	json_object_set_new(ret_object, "passes", json_boolean(of->passes));
	json_object_set_new(ret_object, "wait_s",
			    !is_refused            ? json_null()
			    : of->wait_ns == ~0ULL ? json_string("never")
						   : json_real(of->wait_ns / 1000000 / 1000.0));
	json_object_set_new(ret_object, "retry_after_s",
			    is_refused && of->retry_after_s ? json_integer(of->retry_after_s)
							    : json_null());
}

static const char *whom(const struct tps_explanation *of, const char *rule, char *text, size_t size)
{
	if (of->whose.by == TPS_BY_ADDRESS)
		snprintf(text, size, "a stranger (%s)", rule);
	else
		snprintf(text, size, "caller '%s' (%s)", of->caller, rule);
	return text;
}

/* The whole in one sentence, for who reads it to a customer. */
static void sentence_print(const struct tps_gate *gate, const struct asked *asked,
			   const struct tps_explanation *of, const char *rule)
{
	const char *listener = gate->listeners[asked->question.listener].name;
	char source[TPS_PREFIX_TEXT], who[512];

	printf("%s is %s; ", tps_prefix_print(&asked->question.source, source),
	       whom(of, rule, who, sizeof(who)));
	if (of->reason == TPS_REASON_PAUSED || of->reason == TPS_REASON_NOT_LISTENER) {
		printf("all of it passes, uncharged: %s\n\n", tps_reason_help(of->reason));
		return;
	}
	printf("a transaction%s%s%s would be %s: %s", asked->question.listener ? " on '" : "",
	       asked->question.listener ? listener : "", asked->question.listener ? "'" : "",
	       of->verdict == TPS_VERDICT_WOULD_REFUSE ? "let through, since it is only observed"
						       : tps_verdict_text(of->verdict),
	       tps_reason_help(of->reason));
	if (of->verdict != TPS_VERDICT_ALLOWED && of->wait_ns == ~0ULL)
		printf("; no wait ends that");
	else if (of->verdict != TPS_VERDICT_ALLOWED)
		printf("; in %.3f s it would pass, if nobody else spent any",
		       of->wait_ns / 1000000 / 1000.0);
	printf("\n\n");
}

static int explanation_json(const struct tps_gate *gate, const struct asked *asked,
			    const struct tps_explanation *of, const char *rule, json_t *ret_object)
{
	int err;

	identity_add(gate, asked, of, rule, ret_object);
	err = limit_add(gate, of, ret_object);
	bans_add(gate, of, ret_object);
	listener_add(gate, asked, of, ret_object);
	verdict_add(of, ret_object);
	return err;
}

static enum outcome answer(const struct session *session, const struct tps_gate *gate,
			   const struct asked *asked)
{
	_cleanup_json_ json_t *object = json_object();
	struct tps_explanation of;
	char rule[512] = "";
	int err = tps_explain(gate, &asked->question, &of);

	if (!err)
		err = rule_print(gate, asked, &of, rule, sizeof(rule));
	if (!err)
		err = explanation_json(gate, asked, &of, rule, object);
	if (err)
		return failed(session, err, NULL);
	if (!session->json)
		sentence_print(gate, asked, &of, rule);
	show_object(session, TAKE_PTR(object));
	return DONE;
}

enum outcome explain(struct session *session, int argc, char **argv)
{
	_cleanup_(asked_end) struct asked asked = {};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct given given = {};
	struct tps_why why = {};
	int option, err;

	while ((option = option_next(session, argc, argv, explain_options)) != -1) {
		if (!option_read(&given, option))
			return USAGE;
	}
	if (!words_left(session, argc, argv, 0, NULL))
		return USAGE;
	if (!given.source)
		return misused(session, "no source: expected --source ADDRESS");
	if (given.key_file && given.key_hash)
		return misused(session, "--key-file and --key-hash: expected one of them");
	if (given.udp && !given.port)
		return misused(session, "--udp: expected --port beside it");
	err = given_read(&given, &asked, &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_READ, &gate, &why);
	if (err)
		return failed(session, err, &why);
	err = question_make(gate, &given, &asked, &why);
	return err ? rejected(session, err, &why) : answer(session, gate, &asked);
}
