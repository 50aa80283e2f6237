// SPDX-License-Identifier: GPL-2.0-only
/*
 * replay: a capture through a second gate: who would have been refused.
 */
#include "replay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "counts.h"
#include "label.h"
#include "policy.h"
#include "report.h"
#include "secret.h"
#include "tier.h"
#include "verbs.h"

#define TOP_STRANGERS 10
#define PROGRESS_EVERY 4096 /* packets between two looks at the clock */

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	is_interrupted = signal;
}

struct given {
	bool refused_only, summary_only;
	const char *policy, *secret_file;
};

/* Of one slot, of all strangers, or of bans by prefix. */
struct tally {
	__u64 verdicts[TPS_VERDICT_MAX];
};

struct run {
	const struct session *session;
	const struct tps_gate *gate; /* the replay's */
	struct tps_replay *replay;
	struct given given;
	struct tally *tallies;         /* by slot */
	struct tally banned;           /* prefixes: counted to no caller */
	__u64 packets[TPS_REASON_MAX]; /* of clients, by final reason */
	__u64 notes[TPS_REASON_MAX];   /* transactions of which something is not known */
};

static void run_end(struct run *run)
{
	free(run->tallies);
	if (run->replay)
		tps_replay_close(run->replay);
}

/* ---- lines */

#define TIME_TEXT 40
static const char *time_print(__u64 time_ns, char ret_text[TIME_TEXT])
{
	time_t seconds = time_ns / 1000000000;
	struct tm utc;
	char day[24];

	gmtime_r(&seconds, &utc);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ret_text, TIME_TEXT, "%s.%09lluZ", day, time_ns % 1000000000);
	return ret_text;
}

#define RULE_TEXT 320
static const char *rule_print(const struct run *run, const struct tps_replay_charge *charge,
			      char ret_text[RULE_TEXT])
{
	char prefix[TPS_PREFIX_TEXT], key[TPS_KEY_TEXT];

	switch (charge->by) {
	case TPS_BY_KEY:
		snprintf(ret_text, RULE_TEXT, "key %.*s", TPS_KEY_SHOWN,
			 tps_key_print(&charge->key, run->gate->control->secret, key));
		break;
	case TPS_BY_SNI:
		snprintf(ret_text, RULE_TEXT, "sni %s", charge->name.text);
		break;
	case TPS_BY_SOURCE:
		snprintf(ret_text, RULE_TEXT, "source %s",
			 charge->prefix ? tps_prefix_print(charge->prefix, prefix) : "?");
		break;
	default:
		snprintf(ret_text, RULE_TEXT, "address");
		break;
	}
	return ret_text;
}

static json_t *line_json(const struct run *run, const struct tps_captured *captured,
			 const struct tps_replayed *of, const struct tps_replay_charge *charge)
{
	struct tps_prefix to = tps_prefix_of_words(of->flow.destination_be, of->source.family);
	const char *caller = tps_replay_caller(run->replay, charge->slot.slot);
	char time[TIME_TEXT], source[TPS_PREFIX_TEXT], destination[TPS_PREFIX_TEXT];
	char rule[RULE_TEXT];
	json_t *line;

	tps_prefix_print(&of->source, source);
	tps_prefix_print(&to, destination);
	line = json_pack("{s:s, s:s, s:i, s:s, s:i, s:s, s:s?, s:s, s:s, s:I, s:s, s:s}", "time",
			 time_print(captured->time_ns, time), "source", source, "source_port",
			 ntohs(of->flow.source_port_be), "destination", destination,
			 "destination_port", ntohs(of->flow.destination_port_be), "listener",
			 run->gate->listeners[of->listener].name, "caller", caller, "by",
			 tps_by_text(charge->by), "rule", rule_print(run, charge, rule),
			 "transactions", (json_int_t)charge->transactions, "verdict",
			 tps_verdict_text(of->verdict), "reason", tps_reason_text(of->reason));
	json_object_set_new(line, "note",
			    of->note == TPS_REASON_MAX ? json_null()
						       : json_string(tps_reason_text(of->note)));
	return line;
}

static void line_text(const struct run *run, const struct tps_captured *captured,
		      const struct tps_replayed *of, const struct tps_replay_charge *charge)
{
	struct tps_prefix to = tps_prefix_of_words(of->flow.destination_be, of->source.family);
	const char *caller = tps_replay_caller(run->replay, charge->slot.slot);
	char time[TIME_TEXT], source[TPS_PREFIX_TEXT], destination[TPS_PREFIX_TEXT];
	bool brackets = of->source.family == 6;
	char rule[RULE_TEXT];

	tps_prefix_print(&of->source, source);
	tps_prefix_print(&to, destination);
	printf("%s %s%s%s:%u > %s%s%s:%u %s %s (%s)", time_print(captured->time_ns, time),
	       brackets ? "[" : "", source, brackets ? "]" : "", ntohs(of->flow.source_port_be),
	       brackets ? "[" : "", destination, brackets ? "]" : "",
	       ntohs(of->flow.destination_port_be), run->gate->listeners[of->listener].name,
	       caller ? caller : "stranger", rule_print(run, charge, rule));
	if (charge->transactions != 1)
		printf(" x%u", charge->transactions);
	printf(" %s %s", tps_verdict_text(of->verdict), tps_reason_text(of->reason));
	if (of->note != TPS_REASON_MAX)
		printf(" (%s)", tps_reason_text(of->note));
	putchar('\n');
}

static void lines_print(const struct run *run, const struct tps_captured *captured,
			const struct tps_replayed *of)
{
	if (run->given.summary_only ||
	    (run->given.refused_only && of->verdict == TPS_VERDICT_ALLOWED))
		return;
	for (__u32 i = 0; i < of->charge_count; i++) {
		_cleanup_json_ json_t *line = NULL;

		if (!run->session->json) {
			line_text(run, captured, of, &of->charges[i]);
			continue;
		}
		line = line_json(run, captured, of, &of->charges[i]);
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	}
}

static void tally_add(struct run *run, const struct tps_replayed *of)
{
	if (of->reason < TPS_REASON_MAX)
		run->packets[of->reason]++;
	for (__u32 i = 0; i < of->charge_count; i++) {
		struct tally *tally = of->reason == TPS_REASON_BANNED_PREFIX
					      ? &run->banned
					      : &run->tallies[of->charges[i].slot.slot];

		tally->verdicts[of->verdict] += of->charges[i].transactions;
		if (of->note < TPS_REASON_MAX)
			run->notes[of->note] += of->charges[i].transactions;
	}
}

/* ---- summary */

static void tally_row(json_t *rows, const char *key, const char *name, const struct tally *tally)
{
	json_t *row = json_pack("{s:s}", key, name);

	verdicts_json(tally->verdicts, row);
	json_array_append_new(rows, row);
}

static bool is_empty(const struct tally *tally)
{
	static const struct tally none;

	return !memcmp(tally, &none, sizeof(none));
}

static json_t *callers_json(const struct run *run)
{
	json_t *rows = json_array();

	for (__u32 slot = 1; slot < run->gate->capacity[TPS_MAP_limits]; slot++) {
		const char *name = tps_replay_caller(run->replay, slot);

		if (name && !is_empty(&run->tallies[slot]))
			tally_row(rows, "caller", name, &run->tallies[slot]);
	}
	table_sort(rows, "caller");
	return rows;
}

static int by_refused(const void *a, const void *b)
{
	const struct tps_stranger *left = &((const struct tps_stranger_entry *)a)->stranger;
	const struct tps_stranger *right = &((const struct tps_stranger_entry *)b)->stranger;
	__u64 of_left = left->verdicts[TPS_VERDICT_WOULD_REFUSE];
	__u64 of_right = right->verdicts[TPS_VERDICT_WOULD_REFUSE];

	if (of_left == of_right) {
		of_left = left->verdicts[TPS_VERDICT_ALLOWED];
		of_right = right->verdicts[TPS_VERDICT_ALLOWED];
	}
	if (of_left != of_right)
		return of_left < of_right ? 1 : -1;
	return memcmp(a, b, offsetof(struct tps_stranger_entry, stranger)); /* any, but one */
}

/* The strangers that the replay's gate remembers: how many, and those that were refused most. */
static int strangers_json(const struct run *run, json_t *ret_rows, size_t *ret_count)
{
	_cleanup_free_ struct tps_stranger_entry *strangers = NULL;
	char text[TPS_PREFIX_TEXT];
	size_t count;
	int err = tps_strangers_read(run->gate, &strangers, &count);

	if (err)
		return err;
	qsort(strangers, count, sizeof(*strangers), by_refused);
	for (size_t i = 0; i < count && i < TOP_STRANGERS; i++) {
		const __u64 *verdicts = strangers[i].stranger.verdicts;

		json_array_append_new(
			ret_rows,
			json_pack("{s:s, s:I, s:I}", "address",
				  tps_prefix_print(&strangers[i].address, text), "allowed",
				  (json_int_t)verdicts[TPS_VERDICT_ALLOWED], "refused",
				  (json_int_t)verdicts[TPS_VERDICT_WOULD_REFUSE]));
	}
	*ret_count = count;
	return 0;
}

/* What is not known, and why: of transactions that were charged to somebody all the same, and of
 * packets that could not be read for any. */
static json_t *undecided_json(const struct run *run)
{
	const struct tps_replay_counts *counts = tps_replay_counts(run->replay);
	json_t *rows = json_array();

	for (int i = 0; i < TPS_SKIP_MAX; i++) {
		if (counts->skipped[i])
			json_array_append_new(rows,
					      json_pack("{s:s, s:s, s:I, s:s}", "what", "packets",
							"reason", tps_skip_text(i), "count",
							(json_int_t)counts->skipped[i], "help",
							tps_skip_help(i)));
	}
	for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
		enum tps_reason_class class = tps_reason_class(reason);
		bool is_passed = reason == TPS_REASON_JOINED || reason == TPS_REASON_OPAQUE ||
				 class == TPS_CLASS_order || class == TPS_CLASS_error;
		__u64 count = is_passed ? run->packets[reason] : run->notes[reason];

		if (count)
			json_array_append_new(
				rows, json_pack("{s:s, s:s, s:I, s:s}", "what",
						is_passed ? "packets" : "transactions", "reason",
						tps_reason_text(reason), "count", (json_int_t)count,
						"help", tps_reason_help(reason)));
	}
	return rows;
}

static int summary_json(const struct run *run, json_t **ret_summary)
{
	const struct tps_replay_counts *counts = tps_replay_counts(run->replay);
	_cleanup_json_ json_t *top = json_array();
	json_t *summary, *strangers = json_object(), *banned = json_object();
	size_t count = 0;
	int err = strangers_json(run, top, &count);

	verdicts_json(run->tallies[TPS_SLOT_STRANGERS].verdicts, strangers);
	json_object_set_new(strangers, "addresses", json_integer(count));
	json_object_set(strangers, "top", top);
	verdicts_json(run->banned.verdicts, banned);
	summary = json_pack("{s:I, s:I, s:I, s:f, s:I, s:I, s:b}", "packets",
			    (json_int_t)counts->packets, "to_listeners", (json_int_t)counts->asked,
			    "from_listeners", (json_int_t)counts->served, "seconds",
			    (counts->last_ns - counts->first_ns) / 1e9, "backwards",
			    (json_int_t)counts->backwards, "unattributed",
			    (json_int_t)counts->unattributed, "interrupted", is_interrupted != 0);
	json_object_set_new(summary, "callers", callers_json(run));
	json_object_set_new(summary, "strangers", strangers);
	json_object_set_new(summary, "banned_prefixes", banned);
	json_object_set_new(summary, "undecided", undecided_json(run));
	*ret_summary = summary;
	return err;
}

static void summary_text(const struct run *run, json_t *summary)
{
	static const struct column callers[] = {{"CALLER", "caller", false},
						{"ALLOWED", "allowed", true},
						{"REFUSED", "refused", true},
						{"BANNED", "banned", true},
						{"WOULD_REFUSE", "would_refuse", true},
						{}};
	static const struct column top[] = {{"STRANGER", "address", false},
					    {"ALLOWED", "allowed", true},
					    {"REFUSED", "refused", true},
					    {}};
	static const struct column undecided[] = {{"COUNT", "count", true},
						  {"", "what", false},
						  {"NOT CERTAIN", "reason", false},
						  {"", "help", false},
						  {}};
	const struct tps_replay_counts *counts = tps_replay_counts(run->replay);
	json_t *rows = json_object_get(summary, "callers");
	json_t *strangers = json_object_get(summary, "strangers");

	if (!run->given.summary_only)
		putchar('\n');
	printf("%llu packets in %.3f s, %llu of clients to a listener\n\n", counts->packets,
	       (counts->last_ns - counts->first_ns) / 1e9, counts->asked);
	tally_row(rows, "caller", "strangers, together", &run->tallies[TPS_SLOT_STRANGERS]);
	if (!is_empty(&run->banned))
		tally_row(rows, "caller", "banned prefixes, together", &run->banned);
	table_print(rows, callers);
	if (json_array_size(json_object_get(strangers, "top"))) {
		putchar('\n');
		table_print(json_object_get(strangers, "top"), top);
	}
	if (json_array_size(json_object_get(summary, "undecided"))) {
		putchar('\n');
		table_print(json_object_get(summary, "undecided"), undecided);
	}
}

static int summary_print(const struct run *run)
{
	_cleanup_json_ json_t *summary = NULL, *line = NULL;
	const struct tps_replay_counts *counts = tps_replay_counts(run->replay);
	int err = summary_json(run, &summary);

	if (err)
		return err;
	if (run->session->json) {
		line = json_pack("{s:O}", "summary", summary);
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		summary_text(run, summary);
	}
	if (counts->backwards)
		note("%llu of the packets came earlier than the one before: taken for as late as "
		     "it",
		     counts->backwards);
	if (counts->unattributed)
		note("%llu transactions were counted to others than is told here: a fault of tps",
		     counts->unattributed);
	return 0;
}

/* ---- the run */

static void progress_print(const struct tps_capture *capture)
{
	static struct timespec last;
	int permille = tps_capture_permille(capture);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (permille < 0 ||
	    (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 < 250)
		return;
	last = now;
	fprintf(stderr, "\r%3d.%d %% ", permille / 10, permille % 10);
}

static int packets_run(struct run *run, struct tps_capture *capture, struct tps_why *why)
{
	bool shows = isatty(STDERR_FILENO) && (run->given.summary_only || !isatty(STDOUT_FILENO));
	struct tps_captured captured;
	struct tps_replayed of;
	int got = 0, err = 0;

	for (__u64 count = 0; !err && !is_interrupted; count++) {
		got = tps_capture_next(capture, &captured, why);
		if (got != 1)
			break;
		err = tps_replay_run(run->replay, &captured, &of);
		if (err == -E2BIG || err == -ENOMEM || err == -EINVAL)
			err = tps_why_say(why, err, "packet %llu: the kernel does not run it: %s",
					  count + 1, strerror(-err));
		if (err)
			break;
		lines_print(run, &captured, &of);
		tally_add(run, &of);
		if (shows && count % PROGRESS_EVERY == 0)
			progress_print(capture);
	}
	if (shows)
		fputs("\r        \r", stderr);
	if (!err && got < 0 && !is_interrupted) /* which interrupts a read as well */
		err = got;
	return err;
}

/* The settings of the running gate, which is let go at once. */
static int settings_of_gate(const struct session *session, struct tps_replay **ret_replay,
			    struct tps_why *why)
{
	_cleanup_(tps_replay_close_at_end) struct tps_replay *replay = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	__u32 capacity[TPS_MAP_MAX];
	int err = gate_open(session, TPS_READ, &gate, why);

	if (err)
		return err;
	memcpy(capacity, gate->capacity, sizeof(capacity));
	if (capacity[TPS_MAP_handshakes] < capacity[TPS_MAP_flows])
		capacity[TPS_MAP_handshakes] = capacity[TPS_MAP_flows];
	err = tps_replay_make(capacity, gate->control->secret, &replay, why);
	if (!err)
		err = tps_settings_copy(gate, tps_replay_gate(replay));
	if (err)
		return err;
	*ret_replay = TAKE_PTR(replay);
	return 0;
}

/* Those of a policy: no gate is needed. */
static int settings_of_policy(const struct session *session, const struct given *given,
			      struct tps_replay **ret_replay, struct tps_why *why)
{
	_cleanup_(tps_replay_close_at_end) struct tps_replay *replay = NULL;
	_cleanup_policy_ struct tps_policy_file *policy = NULL, *have = NULL;
	struct tps_why no_secret = {};
	__u64 secret[2] = {};
	int missing = secret_find(session, given->secret_file, secret, &no_secret);
	int err;

	if (missing && tps_secret_given(given->secret_file))
		return tps_why_say(why, missing, "%s", no_secret.text);
	err = tps_policy_read(given->policy, missing ? NULL : secret, &policy, why);
	if (!err)
		err = tps_policy_fits(policy, policy->capacity, why);
	if (!err && missing && policy->lists[TPS_IDENTITY_KEY].count)
		err = tps_why_say(why, missing,
				  "policy '%s' has keys, which only their secret tells: expected "
				  "--secret FILE; %s",
				  given->policy, no_secret.text);
	if (!err)
		err = tps_replay_make(policy->capacity, secret, &replay, why);
	if (!err)
		err = tps_policy_of_gate(tps_replay_gate(replay), &have, why);
	if (!err)
		err = tps_policy_apply(tps_replay_gate(replay), have, policy, false, NULL, why);
	if (err)
		return err;
	*ret_replay = TAKE_PTR(replay);
	return 0;
}

static int run_begin(struct run *run, struct tps_why *why)
{
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESETHAND};
	int err = tps_replay_begin(run->replay, why);

	if (err)
		return err;
	run->gate = tps_replay_gate(run->replay);
	run->tallies = calloc(run->gate->capacity[TPS_MAP_limits], sizeof(*run->tallies));
	if (!run->tallies)
		return -ENOMEM;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return 0;
}

enum outcome replay(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {
		OPTION("refused", no_argument, 'r'), OPTION("summary", no_argument, 's'),
		OPTION("policy", required_argument, 'p'), OPTION("secret", required_argument, 'S'),
		OPTIONS_SHARED};
	_cleanup_(tps_capture_close_at_end) struct tps_capture *capture = NULL;
	_cleanup_(run_end) struct run run = {.session = session};
	struct tps_why why = {};
	int option, err, printed;
	char **file;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == 'r')
			run.given.refused_only = true;
		else if (option == 's')
			run.given.summary_only = true;
		else if (option == 'p')
			run.given.policy = optarg;
		else if (option == 'S')
			run.given.secret_file = optarg;
		else
			return USAGE;
	}
	if (!words_left(session, argc, argv, 1, &file))
		return USAGE;
	if (run.given.secret_file && !run.given.policy)
		return misused(session,
			       "--secret: expected --policy beside it; a gate has its own");
	err = tps_capture_open(*file, &capture, &why);
	if (!err)
		err = run.given.policy ? settings_of_policy(session, &run.given, &run.replay, &why)
				       : settings_of_gate(session, &run.replay, &why);
	if (!err)
		err = run_begin(&run, &why);
	if (err)
		return failed(session, err, &why);
	err = packets_run(&run, capture, &why);
	printed = summary_print(&run);
	if (err || printed)
		return failed(session, err ? err : printed, &why);
	if (is_interrupted)
		note("interrupted: this is what came before");
	return is_interrupted ? FAILED : DONE;
}
