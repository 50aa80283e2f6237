// SPDX-License-Identifier: GPL-2.0-only
/*
 * events: what the gate tells as it happens, a line each. Knows how a line looks and which are
 * wanted; how the ring is read is libtps's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "caller.h"
#include "caller_names.h"
#include "events.h"
#include "label.h"
#include "listener.h"
#include "live.h"
#include "text.h"
#include "verbs.h"
#include "when.h"

#define LOOK_MS 50 /* between two looks at a ring that was read to its end */

/* Which events are wanted: what is not given does not matter. */
struct filter {
	const char *caller;
	const char *listener;
	int verdict; /* or -1 */
	bool has_source;
	struct tps_prefix source;
	bool strangers;
	__u64 count; /* 0: no end */
};

struct stream {
	const struct session *session;
	struct tps_gate *gate;
	struct tps_caller_names *names;
	struct tps_events_reader reader;
	struct filter filter;
};

static void stream_end(struct stream *stream)
{
	tps_events_end(&stream->reader);
	tps_caller_names_free(stream->names);
	tps_gate_close(stream->gate);
}

/* ---- what is wanted */

static int verdict_parse(const char *text, int *ret_verdict, struct tps_why *why)
{
	for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++) {
		if (verdict == TPS_VERDICT_ALLOWED || strcmp(text, tps_verdict_text(verdict)))
			continue;
		*ret_verdict = verdict;
		return 0;
	}
	return tps_why_say(why, -EINVAL, "verdict '%s': expected refused, banned or would_refuse",
			   text);
}

static int option_read(struct filter *filter, int option, struct tps_why *why)
{
	switch (option) {
	case 'c':
		filter->caller = optarg;
		return tps_name_check("caller", optarg, TPS_NAME_LEN, why);
	case 'l':
		filter->listener = optarg;
		return tps_name_check("listener", optarg, TPS_NAME_LEN, why);
	case 'V':
		return verdict_parse(optarg, &filter->verdict, why);
	case 's':
		filter->has_source = true;
		return tps_prefix_parse(optarg, &filter->source, why);
	case 'S':
		filter->strangers = true;
		return 0;
	default:
		return tps_number_parse("count", optarg, 1, 1000000000, &filter->count, why);
	}
}

static bool is_inside(const struct tps_prefix *prefix, const struct tps_event *event)
{
	struct tps_prefix source = tps_prefix_of_words(event->source_be, event->family);

	if (prefix->family != source.family)
		return false;
	source = tps_prefix_cut(&source, prefix->bits);
	return tps_prefix_equal(prefix, &source);
}

static bool is_wanted(const struct stream *stream, const struct tps_event *event,
		      const char *caller)
{
	const struct filter *filter = &stream->filter;
	const char *listener = tps_listener_name(stream->gate, event->listener);

	return !(filter->verdict >= 0 && event->kind != filter->verdict) &&
	       !(filter->strangers && event->slot.generation) &&
	       !(filter->caller && (!caller || strcmp(caller, filter->caller))) &&
	       !(filter->listener && (!listener || strcmp(listener, filter->listener))) &&
	       !(filter->has_source && !is_inside(&filter->source, event));
}

/* ---- a line */

static bool event_print(const struct stream *stream, const struct tps_event *event,
			const char *caller)
{
	const char *tier = stream->gate->tiers[event->tier % TPS_TIERS_MAX].name;
	const char *kind = tps_verdict_text(event->kind), *reason = tps_reason_text(event->reason);
	const char *listener = tps_listener_name(stream->gate, event->listener);
	struct tps_prefix address = tps_prefix_of_words(event->source_be, event->family);
	char when[WHEN_TEXT], source[TPS_PREFIX_TEXT];

	when_print(event->time_ns, true, when);
	tps_prefix_print(&address, source);
	if (stream->session->json)
		return line_json(json_pack("{s:s, s:s?, s:b, s:s?, s:s, s:s?, s:i, s:s, s:s?}",
					   "time", when, "verdict", kind, "is_stranger",
					   !event->slot.generation, "caller", caller, "source",
					   source, "listener", listener, "port",
					   ntohs(event->port_be), "tier", tier, "reason", reason));
	if (!caller)
		caller = event->slot.generation ? "(gone)" : "(stranger)";
	printf("%s %-12s %-20s %-15s %s:%u %s\n", when, kind ? kind : "?", caller, source,
	       listener ? listener : "(gone)", ntohs(event->port_be), reason ? reason : "?");
	return !fflush(stdout);
}

static bool lost_print(const struct stream *stream, __u64 lost)
{
	if (stream->session->json)
		return line_json(json_pack("{s:I}", "lost", (json_int_t)lost));
	note("%llu events were missed: more came than could be written out", lost);
	return true;
}

/* Everything that is there. False: it is over. */
static bool stream_drain(struct stream *stream, __u64 *printed)
{
	struct tps_event event;
	const char *caller;
	__u64 lost;
	int got;

	do {
		got = tps_events_next(&stream->reader, &event, &lost);
		if (lost && !lost_print(stream, lost))
			return false;
		if (!got)
			break;
		caller = tps_caller_names_find(stream->names, event.slot);
		if (!is_wanted(stream, &event, caller))
			continue;
		if (!event_print(stream, &event, caller) || ++*printed == stream->filter.count)
			return false;
	} while (!live_is_over());
	return true;
}

/* Names that are asked for must be there: a typo would wait for ever. */
static int stream_begin(struct stream *stream, struct tps_why *why)
{
	struct tps_caller_entry caller;
	int err = live_open(stream->session, &stream->gate, why);

	if (!err && stream->filter.caller)
		err = tps_caller_need(stream->gate, stream->filter.caller, &caller, why);
	if (!err && stream->filter.listener) {
		err = tps_listener_need(stream->gate, stream->filter.listener, why);
		err = err < 0 ? err : 0;
	}
	if (!err)
		err = tps_caller_names_make(stream->gate, &stream->names);
	if (!err)
		err = tps_events_begin(stream->gate, &stream->reader);
	return err;
}

enum outcome events(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("caller", required_argument, 'c'),
						OPTION("listener", required_argument, 'l'),
						OPTION("verdict", required_argument, 'V'),
						OPTION("source", required_argument, 's'),
						OPTION("strangers", no_argument, 'S'),
						OPTION("count", required_argument, 'n'),
						OPTIONS_SHARED};
	_cleanup_(stream_end) struct stream stream = {.session = session, .filter.verdict = -1};
	struct tps_why why = {};
	__u64 printed = 0;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == '?')
			return USAGE;
		err = option_read(&stream.filter, option, &why);
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 0, NULL))
		return USAGE;
	if (stream.filter.caller && stream.filter.strangers)
		return misused(session, "--caller and --strangers exclude each other");
	err = stream_begin(&stream, &why);
	while (!err && !live_is_over() && stream_drain(&stream, &printed)) {
		live_sleep(LOOK_MS);
		err = live_check(stream.gate, &why);
	}
	return err ? failed(session, err, &why) : DONE;
}
