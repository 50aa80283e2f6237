// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers to text: names, help and labels of every metric. Words of verdicts, actions and reasons
 * come from the lists in tps/abi.h; no address and no key is ever a label.
 */
#include "exposition.h"

#include <inttypes.h>
#include <math.h>

#include <tps/abi.h>

#include "label.h"

/* Labels that no configured name can have: names do not begin with an underscore. */
#define LABEL_OTHER "_other"
#define LABEL_STRANGER "_stranger"
#define LABEL_GONE "_gone"

/* Which final reasons are an answer at each action: these series exist from the start, so that the
 * first event is a step from zero. What is found beyond them is shown as well. */
static bool expected(enum tps_action action, enum tps_reason reason)
{
	switch (tps_reason_class(reason)) {
	case TPS_CLASS_pass:
	case TPS_CLASS_error:
		return action == TPS_ACTION_PASS;
	case TPS_CLASS_verdict:
		return action == TPS_ACTION_PASS ||
		       (action == TPS_ACTION_DROP && reason != TPS_REASON_ALLOWED &&
			reason != TPS_REASON_EXEMPT);
	case TPS_CLASS_order:
		return action == TPS_ACTION_DROP;
	default:
		return false;
	}
}

/* Is this what a refused transaction's packet is counted under? */
static bool refuses(enum tps_reason reason)
{
	return tps_reason_class(reason) == TPS_CLASS_verdict && reason != TPS_REASON_ALLOWED &&
	       reason != TPS_REASON_EXEMPT;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, escaped as the format wants it. Bytes that are no printable ASCII (a device may
 * be called anything) become '_': one bad name must not spoil a whole scrape. */
static void value(FILE *out, const char *text)
{
	for (; text && *text; text++) {
		unsigned char c = *text;

		if (c == '\\' || c == '"')
			fputc('\\', out);
		if (c == '\n')
			fputs("\\n", out);
		else
			fputc(c < 0x20 || c >= 0x7f ? '_' : c, out);
	}
}

/* NAME{LABEL="VALUE",… : up to three labels, ended by a NULL label. The number is the caller's. */
static void series(FILE *out, const char *name, const char *const labels[][2])
{
	fputs(name, out);
	for (size_t i = 0; labels[i][0]; i++) {
		fprintf(out, "%s%s=\"", i ? "," : "{", labels[i][0]);
		value(out, labels[i][1]);
		fputc('"', out);
	}
	fputs(labels[0][0] ? "} " : " ", out);
}

/* Up to three labels and the end, which is zero. */
#define LABELS(...) ((const char *const[4][2]){__VA_ARGS__})

static void count(FILE *out, const char *name, const char *const labels[][2], __u64 n)
{
	series(out, name, labels);
	fprintf(out, "%" PRIu64 "\n", (uint64_t)n);
}

static void gauge(FILE *out, const char *name, const char *const labels[][2], double n)
{
	series(out, name, labels);
	if (isinf(n))
		fputs("+Inf\n", out);
	else
		fprintf(out, "%.15g\n", n);
}

static bool any(const __u64 verdicts[TPS_VERDICT_MAX])
{
	for (int v = 0; v < TPS_VERDICT_MAX; v++)
		if (verdicts[v])
			return true;
	return false;
}

/* What was counted under tiers that have been deleted since stays, under one label. */
static void transactions_of(FILE *out, const struct metrics *m, __u32 listener)
{
	static const char name[] = "tps_transactions_total";
	const struct tps_listener *l = &m->listeners[listener];
	__u64 gone[TPS_VERDICT_MAX] = {0};

	for (int t = 0; t < TPS_TIERS_MAX; t++) {
		const __u64 *verdicts = m->totals[listener].verdicts[t];

		for (int v = 0; v < TPS_VERDICT_MAX; v++) {
			if (m->tiers[t].limit)
				count(out, name,
				      LABELS({"listener", l->name}, {"tier", m->tiers[t].name},
					     {"verdict", tps_verdict_text(v)}),
				      verdicts[v]);
			else
				gone[v] += verdicts[v];
		}
	}
	for (int v = 0; any(gone) && v < TPS_VERDICT_MAX; v++)
		count(out, name,
		      LABELS({"listener", l->name}, {"tier", LABEL_GONE},
			     {"verdict", tps_verdict_text(v)}),
		      gone[v]);
}

/* The number of the next listener after @number, or 0. Listener 0 stands for what is no listener's:
 * it is never one here. */
static __u32 listener_next(const struct metrics *m, __u32 number)
{
	while (++number < TPS_LISTENERS_MAX)
		if (m->listeners[number].protocol != TPS_PROTOCOL_NONE)
			return number;
	return 0;
}

static void transactions(FILE *out, const struct metrics *m)
{
	head(out, "tps_transactions_total", "counter",
	     "Transactions by listener, tier of the caller and verdict.");
	for (__u32 n = listener_next(m, 0); n; n = listener_next(m, n))
		transactions_of(out, m, n);
}

static void refusals(FILE *out, const struct metrics *m)
{
	static const char name[] = "tps_refusals_total";

	head(out, name, "counter",
	     "Packets refused, by what decided and by the form of the refusal.");
	for (__u32 n = listener_next(m, 0); n; n = listener_next(m, n)) {
		for (int r = 0; r < TPS_REASON_MAX; r++) {
			for (int f = 0; refuses(r) && f < TPS_REFUSAL_MAX; f++)
				count(out, name,
				      LABELS({"listener", m->listeners[n].name},
					     {"reason", tps_reason_text(r)},
					     {"refusal", tps_refusal_text(f)}),
				      f == TPS_REFUSAL_DROP
					      ? m->totals[n].packets[TPS_ACTION_DROP][r]
					      : m->totals[n].refusals[f][r]);
		}
	}
}

/* One series for each listener and reason of @class, from the notes. */
static void notes(FILE *out, const struct metrics *m, const char *name, enum tps_reason_class class)
{
	for (__u32 n = listener_next(m, 0); n; n = listener_next(m, n)) {
		for (int r = 0; r < TPS_REASON_MAX; r++)
			if (tps_reason_class(r) == class)
				count(out, name,
				      LABELS({"listener", m->listeners[n].name},
					     {"reason", tps_reason_text(r)}),
				      m->totals[n].notes[r]);
	}
}

static void note(FILE *out, const struct metrics *m, const char *name, enum tps_reason reason)
{
	for (__u32 n = listener_next(m, 0); n; n = listener_next(m, n))
		count(out, name, LABELS({"listener", m->listeners[n].name}),
		      m->totals[n].notes[reason]);
}

static void noted(FILE *out, const struct metrics *m)
{
	head(out, "tps_unproven_total", "counter",
	     "Transactions that could not be proven and went to the unproven bucket, by why.");
	notes(out, m, "tps_unproven_total", TPS_CLASS_unproven);
	head(out, "tps_undecided_total", "counter",
	     "Request heads that named nobody for certain and went to the source, by why.");
	notes(out, m, "tps_undecided_total", TPS_CLASS_undecided);
	head(out, "tps_unknown_keys_total", "counter", "API keys that no caller has.");
	note(out, m, "tps_unknown_keys_total", TPS_REASON_UNKNOWN_KEY);
	head(out, "tps_unknown_names_total", "counter", "Server names that no caller has.");
	note(out, m, "tps_unknown_names_total", TPS_REASON_UNKNOWN_NAME);
	head(out, "tps_stale_slots_total", "counter", "Identities met of callers that have gone.");
	note(out, m, "tps_stale_slots_total", TPS_REASON_STALE_SLOT);
}

static void caller_transactions(FILE *out, const char *caller, const __u64 *verdicts)
{
	for (int v = 0; v < TPS_VERDICT_MAX; v++)
		count(out, "tps_caller_transactions_total",
		      LABELS({"caller", caller}, {"verdict", tps_verdict_text(v)}), verdicts[v]);
}

static void callers(FILE *out, const struct metrics *m)
{
	const struct metrics_caller *end = m->callers + m->callers_count;

	head(out, "tps_caller_transactions_total", "counter",
	     "Transactions by caller and verdict; _other: callers beyond --max-callers, "
	     "_stranger: all that are no caller's.");
	for (const struct metrics_caller *c = m->callers; c < end; c++)
		caller_transactions(out, c->name, c->verdicts);
	if (m->others)
		caller_transactions(out, LABEL_OTHER, m->other);
	caller_transactions(out, LABEL_STRANGER, m->stranger);

	head(out, "tps_caller_limit_transactions_per_second", "gauge",
	     "The limit of a caller, its own or its tier's; +Inf: exempt.");
	for (const struct metrics_caller *c = m->callers; c < end; c++)
		gauge(out, "tps_caller_limit_transactions_per_second", LABELS({"caller", c->name}),
		      c->exempt ? INFINITY : c->per_sec);
	head(out, "tps_caller_burst_transactions", "gauge",
	     "How many transactions a caller that was idle may make at once; +Inf: exempt.");
	for (const struct metrics_caller *c = m->callers; c < end; c++)
		gauge(out, "tps_caller_burst_transactions", LABELS({"caller", c->name}),
		      c->exempt ? INFINITY : c->burst);
	head(out, "tps_caller_banned", "gauge", "1 while a caller is banned.");
	for (const struct metrics_caller *c = m->callers; c < end; c++)
		gauge(out, "tps_caller_banned", LABELS({"caller", c->name}), c->banned);
}

static void packets(FILE *out, const struct metrics *m)
{
	static const char name[] = "tps_packets_total";

	head(out, name, "counter", "Packets by action and reason, also those of no listener.");
	for (int a = 0; a < TPS_ACTION_MAX; a++) {
		for (int r = 0; r < TPS_REASON_MAX; r++)
			if (expected(a, r) || m->all.packets[a][r])
				count(out, name,
				      LABELS({"action", tps_action_text(a)},
					     {"reason", tps_reason_text(r)}),
				      m->all.packets[a][r]);
	}
}

/* An error is a packet's final reason or a note beside it, never both. */
static void errors(FILE *out, const struct metrics *m)
{
	head(out, "tps_errors_total", "counter", "Internal errors of the gate: the packet passed.");
	for (int r = 0; r < TPS_REASON_MAX; r++) {
		__u64 n = m->all.notes[r];

		if (tps_reason_class(r) != TPS_CLASS_error)
			continue;
		for (int a = 0; a < TPS_ACTION_MAX; a++)
			n += m->all.packets[a][r];
		count(out, "tps_errors_total", LABELS({"reason", tps_reason_text(r)}), n);
	}
}

static void events(FILE *out, const struct metrics *m)
{
	head(out, "tps_events_lost_total", "counter",
	     "Events that a listener missed, because they were written over before it read them.");
	count(out, "tps_events_lost_total", LABELS({NULL}), m->events_lost);
}

static void maps(FILE *out, const struct metrics *m)
{
	head(out, "tps_map_entries", "gauge", "Entries in use.");
	for (size_t i = 0; i < m->maps_count; i++)
		count(out, "tps_map_entries", LABELS({"map", m->maps[i].name}), m->maps[i].entries);
	head(out, "tps_map_capacity", "gauge", "Entries that there is room for.");
	for (size_t i = 0; i < m->maps_count; i++)
		count(out, "tps_map_capacity", LABELS({"map", m->maps[i].name}),
		      m->maps[i].capacity);
}

static void attachment(FILE *out, const struct metrics *m)
{
	static const char name[] = "tps_control_state";
	bool paused = m->control.paused, observing = !paused && m->control.observe;

	head(out, "tps_xdp_attached", "gauge",
	     "1 while the gate is on a device that it is wanted on.");
	for (size_t i = 0; i < m->devices_count; i++) {
		const struct metrics_device *d = &m->devices[i];

		gauge(out, "tps_xdp_attached",
		      LABELS({"device", d->label}, {"mode", tps_xdp_mode_text(d->mode)}),
		      d->attached);
	}
	head(out, name, "gauge", "1 at the state that all listeners together are in.");
	gauge(out, name, LABELS({"state", "enforcing"}), !paused && !observing);
	gauge(out, name, LABELS({"state", "observing"}), observing);
	gauge(out, name, LABELS({"state", "paused"}), paused);
}

void exposition_write(FILE *out, const struct metrics *m)
{
	transactions(out, m);
	callers(out, m);
	refusals(out, m);
	noted(out, m);
	packets(out, m);
	errors(out, m);
	events(out, m);
	maps(out, m);
	attachment(out, m);
	head(out, "tps_build_info", "gauge", "1, of the tpsd that is running.");
	gauge(out, "tps_build_info", LABELS({"version", TPS_VERSION}), 1);
}
