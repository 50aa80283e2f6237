// SPDX-License-Identifier: GPL-2.0-only
/*
 * ban, unban and list bans.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ban.h"
#include "caller.h"
#include "text.h"
#include "verbs.h"

#define CALLER_PREFIX "caller:"

/* Who is meant by a word: a caller, or a prefix. */
struct whom {
	const char *caller; /* or NULL */
	struct tps_prefix prefix;
};

static int whom_parse(const char *word, struct whom *ret_whom, struct tps_why *why)
{
	struct whom whom = {};
	int err = 0;

	if (!strncmp(word, CALLER_PREFIX, strlen(CALLER_PREFIX)))
		whom.caller = word + strlen(CALLER_PREFIX);
	else
		err = tps_prefix_parse(word, &whom.prefix, why);
	if (!err)
		*ret_whom = whom;
	return err;
}

static int reason_check(const char *reason, struct tps_why *why)
{
	json_t *text;

	if (strlen(reason) >= TPS_TEXT_LEN)
		return tps_why_say(why, -EINVAL, "reason '%s': over %d bytes", reason,
				   TPS_TEXT_LEN - 1);
	for (const char *c = reason; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return tps_why_say(why, -EINVAL, "reason: it has control characters");
	}
	text = json_string(reason);
	if (!text)
		return tps_why_say(why, -EINVAL, "reason: expected UTF-8");
	json_decref(text);
	return 0;
}

enum outcome ban(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("for", required_argument, 'f'),
						OPTION("reason", required_argument, 'r'),
						OPTIONS_SHARED};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	const char *reason = NULL;
	struct tps_why why = {};
	struct whom whom;
	__u64 seconds = 0;
	int option, err = 0;
	char **word;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == 'f')
			err = tps_duration_parse(optarg, &seconds, &why);
		else if (option == 'r')
			err = reason_check(reason = optarg, &why);
		else
			return USAGE;
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 1, &word))
		return USAGE;
	err = whom_parse(*word, &whom, &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	if (!seconds && (whom.caller ? tps_ban_caller_stands(gate, whom.caller, reason)
				     : tps_ban_prefix_stands(gate, &whom.prefix, reason)))
		return written(session, false);
	err = whom.caller ? tps_ban_caller(gate, whom.caller, seconds, reason, &why)
			  : tps_ban_prefix(gate, &whom.prefix, seconds, reason, &why);
	return err ? failed(session, err, &why) : written(session, true);
}

enum outcome unban(struct session *session, int argc, char **argv)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	struct whom whom;
	bool changed = false;
	char **word;
	int err;

	if (!words_only(session, argc, argv, 1, &word))
		return USAGE;
	err = whom_parse(*word, &whom, &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	err = whom.caller ? tps_unban_caller(gate, whom.caller, &changed, &why)
			  : tps_unban_prefix(gate, &whom.prefix, &changed);
	return err ? failed(session, err, &why) : written(session, changed);
}

/* One row of either kind. */
static json_t *ban_json(json_t *whom, __u64 until_ns, __u64 made_s, const char *reason,
			__u64 now_ns)
{
	json_t *row = json_pack("{s:o, s:s, s:s, s:o}", "banned", whom, "by", "hand", "reason",
				reason, "made_unix_s", made_s ? json_integer(made_s) : json_null());
	char left[TPS_DURATION_TEXT];

	if (until_ns == TPS_BAN_FOR_EVER) {
		json_object_set_new(row, "left", json_string("until lifted"));
		json_object_set_new(row, "left_s", json_null());
		return row;
	}
	json_object_set_new(row, "left_s", json_integer((until_ns - now_ns) / 1000000000));
	tps_duration_print((until_ns - now_ns) / 1000000000, left);
	json_object_set_new(row, "left", json_string(left));
	return row;
}

static int bans_json(const struct tps_gate *gate, json_t *ret_rows)
{
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	_cleanup_free_ struct tps_ban_entry *bans = NULL;
	size_t ban_count, caller_count;
	__u64 now_ns = tps_now_ns();
	char text[TPS_PREFIX_TEXT];
	json_t *row;
	int err = tps_bans_read(gate, now_ns, &bans, &ban_count);

	if (!err)
		err = tps_callers_read(gate, &callers, &caller_count);
	if (err)
		return err;
	for (size_t i = 0; i < ban_count; i++) {
		const struct tps_ban *of = &bans[i].ban;

		tps_prefix_print(&bans[i].prefix, text);
		row = ban_json(json_string(text), of->until_ns, of->made_s, of->reason, now_ns);
		if (of->made_s == TPS_BAN_OF_POLICY)
			json_object_set_new(row, "by", json_string("policy"));
		json_array_append_new(ret_rows, row);
	}
	for (size_t i = 0; i < caller_count; i++) {
		const struct tps_caller_entry *of = &callers[i];

		if (of->limit.banned_until_ns > now_ns)
			json_array_append_new(
				ret_rows, ban_json(json_sprintf(CALLER_PREFIX "%s", of->name),
						   of->limit.banned_until_ns, of->record.ban_made_s,
						   of->record.ban_reason, now_ns));
	}
	return 0;
}

enum outcome list_bans(struct session *session, int argc, char **argv)
{
	static const struct column columns[] = {{"BANNED", "banned", false},
						{"LEFT", "left", false},
						{"BY", "by", false},
						{"REASON", "reason", false},
						{.key = "left_s"},
						{.key = "made_unix_s"},
						{}};

	return list_rows(session, argc, argv, bans_json, columns);
}
