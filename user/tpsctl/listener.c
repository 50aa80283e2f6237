// SPDX-License-Identifier: GPL-2.0-only
/*
 * set, delete, list and show for listeners.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counts.h"
#include "label.h"
#include "listener.h"
#include "report.h"
#include "text.h"
#include "verbs.h"

/* What was given of a listener; the rest stays. */
struct given {
	struct tps_listener listener;
	bool port, protocol, mode, refuse, rate, burst, cost, placement;
	int key_headers;
};

static int choice_read(const char *option, const char *text, int (*find)(const char *),
		       const char *(*list)(void), __u8 *ret_value, bool *ret_given,
		       struct tps_why *why)
{
	int value = find(text);

	if (value < 0)
		return tps_why_say(why, -EINVAL, "%s '%s': expected one of %s", option, text,
				   list());
	*ret_value = value;
	*ret_given = true;
	return 0;
}

static int number_read(const char *what, __u64 max, __u64 *ret_number, bool *ret_given,
		       struct tps_why *why)
{
	int err = tps_number_parse(what, optarg, 1, max, ret_number, why);

	*ret_given |= !err;
	return err;
}

static int key_header_read(struct given *given, const char *name, struct tps_why *why)
{
	if (given->key_headers == TPS_KEY_HEADERS_MAX)
		return tps_why_say(why, -EINVAL, "key header '%s': at most %d a listener", name,
				   TPS_KEY_HEADERS_MAX);
	if (strlen(name) >= TPS_HEADER_NAME_MAX)
		return tps_why_say(why, -EINVAL, "key header '%s': over %d bytes", name,
				   TPS_HEADER_NAME_MAX - 1);
	strcpy(given->listener.key_header_text[given->key_headers++], name);
	return 0;
}

static int option_read(int option, struct given *given, struct tps_why *why)
{
	struct tps_listener *listener = &given->listener;
	__u64 number = 0;
	int err;

	switch (option) {
	case 'p':
		given->port = true;
		return tps_ports_parse(optarg, listener->port, &listener->port_count, why);
	case 'P':
		return choice_read("--protocol", optarg, tps_protocol_find, tps_protocol_list,
				   &listener->protocol, &given->protocol, why);
	case 'm':
		return choice_read("--mode", optarg, tps_mode_find, tps_mode_list, &listener->mode,
				   &given->mode, why);
	case 'f':
		return choice_read("--refuse", optarg, tps_refusal_find, tps_refusal_list,
				   &listener->refusal, &given->refuse, why);
	case 'l':
		return choice_read("--placement", optarg, tps_placement_find, tps_placement_list,
				   &listener->placement, &given->placement, why);
	case 'r':
		given->rate = true;
		return tps_rate_parse(optarg, &listener->rate, why);
	case 'N':
		given->rate = true;
		listener->rate = (struct tps_rate){};
		return 0;
	case 'b':
		err = number_read("burst", 0xffffffff, &number, &given->burst, why);
		listener->burst = number;
		return err;
	case 'c':
		err = number_read("cost", TPS_COST_MAX, &number, &given->cost, why);
		listener->cost = number;
		return err;
	default:
		return key_header_read(given, optarg, why);
	}
}

/* What is given over what is there. Another protocol or placement brings its own refusal. */
static void merge(const struct given *given, struct tps_listener *listener)
{
	const struct tps_listener *from = &given->listener, was = *listener;

	if (given->port) {
		memcpy(listener->port, from->port, sizeof(listener->port));
		listener->port_count = from->port_count;
	}
	if (given->protocol)
		listener->protocol = from->protocol;
	if (given->mode)
		listener->mode = from->mode;
	if (given->placement)
		listener->placement = from->placement;
	if (given->refuse)
		listener->refusal = from->refusal;
	else if (listener->protocol != was.protocol || listener->placement != was.placement)
		listener->refusal = tps_refusal_default(listener->protocol, listener->placement);
	if (given->rate) {
		listener->rate = from->rate;
		if (!from->rate.period_s)
			listener->burst = 0;
	}
	if (given->burst)
		listener->burst = from->burst;
	if (given->cost)
		listener->cost = from->cost;
	if (given->key_headers) {
		memcpy(listener->key_header_text, from->key_header_text,
		       sizeof(listener->key_header_text));
		listener->key_headers = given->key_headers;
	} else if (given->protocol && from->protocol != TPS_PROTOCOL_HTTP) {
		listener->key_headers = 0;
	}
}

enum outcome set_listener(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {
		OPTION("port", required_argument, 'p'),
		OPTION("protocol", required_argument, 'P'),
		OPTION("mode", required_argument, 'm'),
		OPTION("refuse", required_argument, 'f'),
		OPTION("placement", required_argument, 'l'),
		OPTION("rate", required_argument, 'r'),
		OPTION("no-rate", no_argument, 'N'),
		OPTION("burst", required_argument, 'b'),
		OPTION("cost", required_argument, 'c'),
		OPTION("key-header", required_argument, 'k'),
		OPTIONS_SHARED,
	};
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_listener want = {};
	struct given given = {};
	struct tps_why why = {};
	bool changed = false;
	char **name;
	int option, number, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == '?')
			return USAGE;
		err = option_read(option, &given, &why);
		if (err)
			return rejected(session, err, &why);
	}
	if (!words_left(session, argc, argv, 1, &name))
		return USAGE;
	err = tps_name_check("listener", *name, sizeof(want.name), &why);
	if (err)
		return rejected(session, err, &why);
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	number = tps_listener_find(gate, *name);
	if (number >= 0)
		want = gate->listeners[number];
	strcpy(want.name, *name);
	merge(&given, &want);
	err = tps_listener_set(gate, &want, &changed, &why);
	return err ? rejected(session, err, &why) : written(session, changed);
}

enum outcome delete_listener(struct session *session, int argc, char **argv)
{
	return delete_named(session, argc, argv, tps_listener_delete);
}

static const struct column columns[] = {{"NAME", "name", false},
					{"PROTOCOL", "protocol", false},
					{"PORTS", "ports", false},
					{"MODE", "mode", false},
					{"PLACEMENT", "placement", false},
					{"RATE", "rate", true},
					{"COST", "cost", true},
					{"ALLOWED", "allowed", true},
					{"REFUSED", "refused", true},
					{"BANNED", "banned", true},
					{"WOULD_REFUSE", "would_refuse", true},
					{.key = "refuse"},
					{.key = "key_headers"},
					{.key = "burst"},
					{.key = "unproven"},
					{}};

static int rows_json(const struct tps_gate *gate, json_t *ret_rows)
{
	_cleanup_free_ struct tps_totals *totals = calloc(TPS_LISTENERS_MAX, sizeof(*totals));
	int err = totals ? tps_totals_read(gate, totals) : -ENOMEM;

	if (!err)
		listeners_json(gate, totals, ret_rows);
	return err;
}

enum outcome list_listeners(struct session *session, int argc, char **argv)
{
	return list_rows(session, argc, argv, rows_json, columns);
}

enum outcome show_listener(struct session *session, int argc, char **argv)
{
	_cleanup_free_ struct tps_totals *totals = calloc(TPS_LISTENERS_MAX, sizeof(*totals));
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	json_t *listener;
	char **name;
	int number, err;

	if (!words_only(session, argc, argv, 1, &name))
		return USAGE;
	err = totals ? gate_open(session, TPS_READ, &gate, &why) : -ENOMEM;
	if (err)
		return failed(session, err, &why);
	number = tps_listener_need(gate, *name, &why);
	if (number < 0)
		return failed(session, number, &why);
	err = tps_totals_read(gate, totals);
	if (err)
		return failed(session, err, &why);
	listener = listener_json(gate, number, &totals[number]);
	json_object_set_new(listener, "packets", packets_json(&totals[number]));
	json_object_set_new(listener, "notes", notes_json(&totals[number]));
	show_object(session, listener);
	return DONE;
}
