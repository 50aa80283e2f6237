// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listeners. A port leads to its listener only while the listener is whole.
 */
#include "listener.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <bpf/bpf.h>

#include <tps/bucket.h>

#include "control.h"
#include "counts.h"
#include "grace.h"
#include "label.h"
#include "text.h"

/* What the parser reads for itself: a key there would be read as framing too. */
static const char *const framing_headers[] = {"content-length", "transfer-encoding", "connection",
					      "upgrade", "host"};

int tps_listener_find(const struct tps_gate *gate, const char *name)
{
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (gate->listeners[i].protocol &&
		    !strncmp(gate->listeners[i].name, name, TPS_NAME_LEN))
			return i;
	}
	return -ENOENT;
}

const char *tps_listener_name(const struct tps_gate *gate, __u32 number)
{
	const struct tps_listener *listener = &gate->listeners[number % TPS_LISTENERS_MAX];

	return listener->protocol ? listener->name : NULL;
}

int tps_listener_need(const struct tps_gate *gate, const char *name, struct tps_why *why)
{
	int number = tps_listener_find(gate, name);

	if (number < 0)
		return tps_why_say(why, number,
				   "no listener '%s': tpsctl list listeners shows what there is",
				   name);
	return number;
}

/* ---- what is wanted, checked and made whole */

/* RFC 9110 5.6.2: a token. */
static bool is_header_name(const char *name)
{
	size_t len = strnlen(name, TPS_HEADER_NAME_MAX);

	if (!len || len >= TPS_HEADER_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("!#$%&'*+-.^_`|~", name[i]))
			return false;
	}
	return true;
}

static void key_header_make(const char *name, struct tps_key_header *ret_header)
{
	struct tps_key_header header = {.len = strlen(name)};
	__u8 *lower = (__u8 *)header.name, *fold = (__u8 *)header.fold, *care = (__u8 *)header.care;

	for (__u32 i = 0; i < header.len; i++) {
		lower[i] = tolower((unsigned char)name[i]);
		fold[i] = isalpha((unsigned char)name[i]) ? 0x20 : 0;
		care[i] = 0xff;
	}
	header.bearer = !strcasecmp(name, "authorization");
	*ret_header = header;
}

static int key_headers_make(struct tps_listener *listener, struct tps_why *why)
{
	memset(listener->key_header, 0, sizeof(listener->key_header));
	if (listener->protocol != TPS_PROTOCOL_HTTP && listener->key_headers)
		return tps_why_say(why, -EINVAL,
				   "listener '%s': key headers are for protocol 'http'",
				   listener->name);
	if (listener->protocol == TPS_PROTOCOL_HTTP && !listener->key_headers) {
		strcpy(listener->key_header_text[0], TPS_KEY_HEADER_DEFAULT);
		listener->key_headers = 1;
	}
	for (int i = 0; i < TPS_KEY_HEADERS_MAX; i++) {
		char *name = listener->key_header_text[i];

		if (i >= listener->key_headers) {
			memset(name, 0, TPS_HEADER_NAME_MAX);
			continue;
		}
		if (!is_header_name(name))
			return tps_why_say(
				why, -EINVAL,
				"key header '%.32s': expected the name of an HTTP header, up "
				"to %d bytes",
				name, TPS_HEADER_NAME_MAX - 1);
		for (size_t f = 0; f < sizeof(framing_headers) / sizeof(*framing_headers); f++) {
			if (!strcasecmp(name, framing_headers[f]))
				return tps_why_say(
					why, -EINVAL,
					"key header '%s': it frames the request and cannot "
					"carry a key",
					name);
		}
		for (int j = 0; j < i; j++) {
			if (!strcasecmp(name, listener->key_header_text[j]))
				return tps_why_say(why, -EINVAL, "key header '%s': given twice",
						   name);
		}
		memset(name + strlen(name), 0, TPS_HEADER_NAME_MAX - strlen(name));
		key_header_make(name, &listener->key_header[i]);
	}
	return 0;
}

static int limit_fill(struct tps_listener *listener, struct tps_why *why)
{
	listener->limit = 0;
	listener->policy = (struct tps_policy){};
	if (!listener->rate.period_s) {
		if (listener->burst)
			return tps_why_say(why, -EINVAL,
					   "listener '%s': a burst needs a rate (--rate R)",
					   listener->name);
		return 0;
	}
	if (listener->cost >
	    (listener->burst ? listener->burst : tps_rate_default_burst(&listener->rate)))
		return tps_why_say(
			why, -ERANGE,
			"listener '%s': its burst is below the cost of one transaction, %u: "
			"none would ever pass",
			listener->name, listener->cost);
	listener->policy = tps_rate_policy(&listener->rate);
	return tps_rate_limit(&listener->rate, listener->burst, &listener->limit, why);
}

/* Would @cost ever be admitted by every limit there is? */
static int cost_check(const struct tps_gate *gate, __u32 cost, struct tps_why *why)
{
	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		if (gate->tiers[tier].limit && gate->tiers[tier].burst < cost)
			return tps_why_say(
				why, -ERANGE,
				"cost '%u': over the burst of tier '%s', %u: none of its "
				"callers would ever pass",
				cost, gate->tiers[tier].name, gate->tiers[tier].burst);
	}
	for (__u32 slot = 0; cost > 1 && slot < gate->capacity[TPS_MAP_limits]; slot++) {
		const struct tps_limit *limit = &gate->limits[slot];

		if (limit->generation && limit->own && limit_burst(limit->own) < cost)
			return tps_why_say(
				why, -ERANGE,
				"cost '%u': over the burst of a caller, %u: it would never "
				"pass (tpsctl list callers --sort burst)",
				cost, limit_burst(limit->own));
	}
	return 0;
}

static const struct {
	__u8 usual; /* enum tps_refusal */
	__u8 known; /* a bit for each */
} refusals[TPS_PROTOCOL_MAX] = {
	[TPS_PROTOCOL_HTTP] = {TPS_REFUSAL_ANSWER,
			       1 << TPS_REFUSAL_ANSWER | 1 << TPS_REFUSAL_CLOSE |
				       1 << TPS_REFUSAL_RESET | 1 << TPS_REFUSAL_DROP},
	[TPS_PROTOCOL_TLS] = {TPS_REFUSAL_ANSWER, 1 << TPS_REFUSAL_ANSWER | 1 << TPS_REFUSAL_RESET |
							  1 << TPS_REFUSAL_DROP},
	[TPS_PROTOCOL_TCP] = {TPS_REFUSAL_RESET, 1 << TPS_REFUSAL_RESET | 1 << TPS_REFUSAL_DROP},
	[TPS_PROTOCOL_UDP] = {TPS_REFUSAL_DROP, 1 << TPS_REFUSAL_DROP},
};

enum tps_refusal tps_refusal_default(enum tps_protocol protocol, enum tps_placement placement)
{
	return placement == TPS_PLACEMENT_TRANSIT ? TPS_REFUSAL_DROP : refusals[protocol].usual;
}

static int words_check(const struct tps_listener *listener, struct tps_why *why)
{
	if (!tps_protocol_text(listener->protocol))
		return tps_why_say(why, -EINVAL, "listener '%s': it needs a protocol: %s",
				   listener->name, tps_protocol_list());
	if (!tps_mode_text(listener->mode) || !tps_refusal_text(listener->refusal) ||
	    !tps_placement_text(listener->placement))
		return tps_why_say(why, -EINVAL,
				   "listener '%s': unknown mode, refusal or placement",
				   listener->name);
	if (!(refusals[listener->protocol].known >> listener->refusal & 1))
		return tps_why_say(
			why, -EINVAL, "listener '%s': refuse '%s' is not for protocol '%s'%s",
			listener->name, tps_refusal_text(listener->refusal),
			tps_protocol_text(listener->protocol),
			listener->protocol == TPS_PROTOCOL_UDP ? ": a datagram is dropped" : "");
	if (listener->placement == TPS_PLACEMENT_TRANSIT && listener->refusal != TPS_REFUSAL_DROP)
		return tps_why_say(why, -EINVAL,
				   "listener '%s': refuse '%s' needs the server's socket on this "
				   "host: with placement 'transit' refuse 'drop' is all there is",
				   listener->name, tps_refusal_text(listener->refusal));
	if (!listener->port_count || listener->port_count > TPS_PORTS_PER_LISTENER)
		return tps_why_say(why, -EINVAL, "listener '%s': it needs 1 to %d ports (--port P)",
				   listener->name, TPS_PORTS_PER_LISTENER);
	return 0;
}

static struct tps_port *port_of(const struct tps_gate *gate, const struct tps_listener *listener,
				int i)
{
	return &gate->ports[TPS_PORT_INDEX(listener->protocol == TPS_PROTOCOL_UDP,
					   listener->port[i])];
}

static bool has_port(const struct tps_gate *gate, const struct tps_listener *listener,
		     const struct tps_port *port)
{
	for (int i = 0; i < listener->port_count; i++) {
		if (port_of(gate, listener, i) == port)
			return true;
	}
	return false;
}

static int ports_check(const struct tps_gate *gate, const struct tps_listener *listener, int self,
		       struct tps_why *why)
{
	for (int i = 0; i < listener->port_count; i++) {
		const struct tps_port *port = port_of(gate, listener, i);

		for (int other = 1; other < TPS_LISTENERS_MAX; other++) {
			const struct tps_listener *holder = &gate->listeners[other];

			if (other != self && holder->protocol && has_port(gate, holder, port))
				return tps_why_say(why, -EEXIST,
						   "listener '%s': port '%u' is of listener '%s'",
						   listener->name, listener->port[i], holder->name);
		}
	}
	return 0;
}

/* ---- writing */

static int number_find(const struct tps_gate *gate)
{
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (!gate->listeners[i].protocol)
			return i;
	}
	return -ENOSPC;
}

/* Zero what the gate spent and counted for the number's last listener. */
static int number_reset(const struct tps_gate *gate, __u32 number)
{
	_cleanup_free_ void *totals = calloc(gate->cpus, sizeof(struct tps_totals));
	int err;

	if (!totals)
		return -ENOMEM;
	tps_grace_wait();
	err = bpf_map_update_elem(gate->map_fd[TPS_MAP_listener_buckets], &number,
				  &(struct tps_listener_bucket){}, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(gate->map_fd[TPS_MAP_totals], &number, totals, BPF_ANY);
	return err;
}

/* control's counts, as they are with @with (may be NULL) as number @self. */
static void counts_set(struct tps_gate *gate, int self, const struct tps_listener *with,
		       bool only_up)
{
	__u32 listeners = with != NULL;
	__u32 transit = with && with->placement == TPS_PLACEMENT_TRANSIT;
	__u32 enforcing = with && with->mode == TPS_MODE_ENFORCE;

	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (i == self || !gate->listeners[i].protocol)
			continue;
		listeners++;
		transit += gate->listeners[i].placement == TPS_PLACEMENT_TRANSIT;
		enforcing += gate->listeners[i].mode == TPS_MODE_ENFORCE;
	}
	if (!only_up || listeners > gate->control->listeners)
		tps_half_store(&gate->control->listeners, listeners);
	if (!only_up || transit > gate->control->transit)
		tps_half_store(&gate->control->transit, transit);
	if (!only_up || enforcing > gate->control->enforcing)
		tps_half_store(&gate->control->enforcing, enforcing);
}

/* limit | cost, protocol, mode, refusal, placement, counts | the rest: the second word says that
 * there is a listener. */
static __u64 word_of(const struct tps_listener *listener, int word)
{
	__u64 value;

	memcpy(&value, (const char *)listener + word * sizeof(value), sizeof(value));
	return value;
}

static void word_put(struct tps_listener *listener, int word, __u64 value)
{
	tps_word_store((__u64 *)((char *)listener + word * sizeof(value)), value);
}

static void listener_store(struct tps_listener *to, const struct tps_listener *from)
{
	bool headers_change = memcmp(to->key_header, from->key_header, sizeof(to->key_header)) != 0;

	if (to->protocol && headers_change) {
		struct tps_listener without = *to;

		/* Half a header name is nobody's choice: no key is read meanwhile, and requests are
		 * charged to their source. */
		without.key_headers = 0;
		word_put(to, 1, word_of(&without, 1));
	}
	tps_words_store((char *)to + 2 * sizeof(__u64), (const char *)from + 2 * sizeof(__u64),
			sizeof(*to) - 2 * sizeof(__u64));
	word_put(to, 0, word_of(from, 0));
	word_put(to, 1, word_of(from, 1));
}

static void ports_store(struct tps_gate *gate, const struct tps_listener *listener, __u32 number)
{
	for (int i = 0; i < listener->port_count; i++) {
		if (port_of(gate, listener, i)->listener != number)
			tps_half_store(&port_of(gate, listener, i)->listener, number);
	}
}

/* Every port of @number that @keep (may be NULL) does not have: also such as a killed command left.
 */
static void ports_clear(struct tps_gate *gate, const struct tps_listener *keep, __u32 number)
{
	for (__u32 i = 0; i < TPS_PORTS_MAX; i++) {
		struct tps_port *port = &gate->ports[i];

		if (port->listener == number && !(keep && has_port(gate, keep, port)))
			tps_half_store(&port->listener, 0);
	}
}

/* Do the ports lead where the listener says? */
static bool ports_agree(const struct tps_gate *gate, const struct tps_listener *listener,
			__u32 number)
{
	for (int i = 0; i < listener->port_count; i++) {
		if (port_of(gate, listener, i)->listener != number)
			return false;
	}
	return true;
}

int tps_listener_make(const struct tps_listener *want, struct tps_listener *ret_listener,
		      struct tps_why *why)
{
	struct tps_listener listener = *want;
	int err = tps_name_check("listener", want->name, sizeof(want->name), why);

	if (!listener.cost)
		listener.cost = 1;
	memset(listener.name, 0, sizeof(listener.name));
	if (!err)
		strcpy(listener.name, want->name);
	if (!err)
		err = words_check(&listener, why);
	if (!err && listener.cost > TPS_COST_MAX)
		err = tps_why_say(why, -EINVAL, "cost '%u': expected 1 to %d", listener.cost,
				  TPS_COST_MAX);
	if (!err)
		err = key_headers_make(&listener, why);
	if (!err)
		err = limit_fill(&listener, why);
	if (err)
		return err;
	for (int i = listener.port_count; i < TPS_PORTS_PER_LISTENER; i++)
		listener.port[i] = 0;
	*ret_listener = listener;
	return 0;
}

bool tps_listener_is_whole(const struct tps_gate *gate, int number)
{
	struct tps_listener whole;

	return !tps_listener_make(&gate->listeners[number], &whole, NULL) &&
	       !memcmp(&whole, &gate->listeners[number], sizeof(whole)) &&
	       ports_agree(gate, &whole, number);
}

int tps_listener_set(struct tps_gate *gate, const struct tps_listener *want, bool *ret_changed,
		     struct tps_why *why)
{
	struct tps_listener listener;
	int number = tps_listener_find(gate, want->name);
	int err = tps_listener_make(want, &listener, why);

	if (!err)
		err = ports_check(gate, &listener, number, why);
	if (!err)
		err = cost_check(gate, listener.cost, why);
	if (err)
		return err;
	if (number < 0) {
		number = number_find(gate);
		if (number < 0)
			return tps_why_say(
				why, number,
				"listener '%s': there are %d already, the most there can be",
				listener.name, TPS_LISTENERS_MAX - 1);
		ports_clear(gate, NULL, number);
		err = number_reset(gate, number);
		if (err)
			return err;
	}
	if (ret_changed)
		*ret_changed = memcmp(&gate->listeners[number], &listener, sizeof(listener)) != 0 ||
			       !ports_agree(gate, &listener, number);
	tps_epoch_raise(gate);
	counts_set(gate, number, &listener, true);
	ports_clear(gate, &listener, number);
	listener_store(&gate->listeners[number], &listener);
	ports_store(gate, &listener, number);
	counts_set(gate, number, &listener, false);
	tps_epoch_raise(gate);
	return 0;
}

int tps_listener_delete(struct tps_gate *gate, const char *name, struct tps_why *why)
{
	static const struct tps_listener none;
	int number = tps_listener_need(gate, name, why);

	if (number < 0)
		return number;
	tps_epoch_raise(gate);
	ports_clear(gate, NULL, number);
	word_put(&gate->listeners[number], 1, 0);
	listener_store(&gate->listeners[number], &none);
	counts_set(gate, number, NULL, false);
	tps_epoch_raise(gate);
	return 0;
}

int tps_listener_mode_set(struct tps_gate *gate, int listener, enum tps_mode mode,
			  bool *ret_changed)
{
	struct tps_listener want = gate->listeners[listener];

	if (ret_changed)
		*ret_changed = want.mode != mode;
	want.mode = mode;
	tps_epoch_raise(gate);
	word_put(&gate->listeners[listener], 1, word_of(&want, 1));
	counts_set(gate, listener, &want, false);
	tps_epoch_raise(gate);
	return 0;
}

/* ---- all of them at once */

struct replacement {
	const struct tps_listener *const *wants;
	size_t count;
	int number[TPS_LISTENERS_MAX];   /* of each that is wanted */
	bool is_kept[TPS_LISTENERS_MAX]; /* by number: not to be deleted */
	bool changes;
	bool looks_away; /* or back: not only what is charged changes */
	__u8 *owner;     /* by place in ports: the number that it shall have */
};

/* May connections go on as if nothing was? Limits, costs and refusals are no matter. */
static bool is_followed(const struct tps_listener *a, const struct tps_listener *b)
{
	return a->protocol == b->protocol && a->mode == b->mode && a->placement == b->placement &&
	       a->port_count == b->port_count && !memcmp(a->port, b->port, sizeof(a->port)) &&
	       a->key_headers == b->key_headers &&
	       !memcmp(a->key_header, b->key_header, sizeof(a->key_header));
}

/* A number for each. Numbers that are free are made ready; nothing leads to them yet. */
static int numbers_find(struct tps_gate *gate, struct replacement *it, struct tps_why *why)
{
	int next = 1, err = 0;

	for (size_t i = 0; i < it->count; i++) {
		it->number[i] = tps_listener_find(gate, it->wants[i]->name);
		if (it->number[i] > 0)
			it->is_kept[it->number[i]] = true;
	}
	for (size_t i = 0; i < it->count && !err; i++) {
		if (it->number[i] > 0)
			continue;
		while (next < TPS_LISTENERS_MAX &&
		       (gate->listeners[next].protocol || it->is_kept[next]))
			next++;
		if (next == TPS_LISTENERS_MAX)
			return tps_why_say(why, -ENOSPC,
					   "listener '%s': with those that it takes the place of "
					   "there are more than %d; delete one first",
					   it->wants[i]->name, TPS_LISTENERS_MAX - 1);
		it->number[i] = next;
		it->is_kept[next] = true;
		ports_clear(gate, NULL, next);
		err = number_reset(gate, next);
	}
	return err;
}

static void changes_find(const struct tps_gate *gate, struct replacement *it)
{
	for (size_t i = 0; i < it->count; i++) {
		const struct tps_listener *to = it->wants[i];
		const struct tps_listener *from = &gate->listeners[it->number[i]];
		bool agree = ports_agree(gate, to, it->number[i]);

		it->changes |= !agree || memcmp(from, to, sizeof(*to));
		it->looks_away |= !agree || !is_followed(from, to);
		for (int j = 0; j < to->port_count; j++)
			it->owner[port_of(gate, to, j) - gate->ports] = it->number[i];
	}
	for (int i = 1; i < TPS_LISTENERS_MAX; i++)
		it->looks_away |= gate->listeners[i].protocol && !it->is_kept[i];
	for (__u32 i = 0; i < TPS_PORTS_MAX; i++)
		it->looks_away |= gate->ports[i].listener != it->owner[i];
	it->changes |= it->looks_away;
}

/* Enough for what is there and what comes. */
static void counts_cover(struct tps_gate *gate, const struct replacement *it)
{
	struct tps_control *control = gate->control;
	__u32 transit = control->transit, enforcing = control->enforcing;

	for (size_t i = 0; i < it->count; i++) {
		transit += it->wants[i]->placement == TPS_PLACEMENT_TRANSIT;
		enforcing += it->wants[i]->mode == TPS_MODE_ENFORCE;
	}
	tps_half_store(&control->listeners, control->listeners + it->count);
	tps_half_store(&control->transit, transit);
	tps_half_store(&control->enforcing, enforcing);
}

static void replacement_write(struct tps_gate *gate, const struct replacement *it)
{
	static const struct tps_listener none;

	counts_cover(gate, it);
	for (size_t i = 0; i < it->count; i++) {
		struct tps_listener *to = &gate->listeners[it->number[i]];

		/* no port leads to another protocol than it was meant for, but to nobody's sooner
		 * than it would */
		if (to->protocol && to->protocol != it->wants[i]->protocol)
			ports_clear(gate, it->wants[i], it->number[i]);
		if (memcmp(to, it->wants[i], sizeof(*to)))
			listener_store(to, it->wants[i]);
	}
	/* A port goes from one listener to another by one store. */
	for (__u32 i = 0; i < TPS_PORTS_MAX; i++) {
		if (it->owner[i] && gate->ports[i].listener != it->owner[i])
			tps_half_store(&gate->ports[i].listener, it->owner[i]);
	}
	for (__u32 i = 0; i < TPS_PORTS_MAX; i++) {
		if (!it->owner[i] && gate->ports[i].listener)
			tps_half_store(&gate->ports[i].listener, 0);
	}
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (!gate->listeners[i].protocol || it->is_kept[i])
			continue;
		word_put(&gate->listeners[i], 1, 0);
		listener_store(&gate->listeners[i], &none);
	}
	counts_set(gate, 0, NULL, false);
}

int tps_listeners_replace(struct tps_gate *gate, const struct tps_listener *const *wants,
			  size_t count, struct tps_why *why)
{
	_cleanup_free_ __u8 *owner = calloc(TPS_PORTS_MAX, sizeof(*owner));
	struct replacement it = {.wants = wants, .count = count, .owner = owner};
	int err = owner ? numbers_find(gate, &it, why) : -ENOMEM;

	if (err)
		return err;
	changes_find(gate, &it);
	if (!it.changes)
		return 0;
	if (it.looks_away)
		tps_epoch_raise(gate);
	replacement_write(gate, &it);
	if (it.looks_away)
		tps_epoch_raise(gate);
	return 0;
}

void tps_listener_costs_lower(struct tps_gate *gate, const struct tps_listener *const *wants,
			      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = tps_listener_find(gate, wants[i]->name);
		struct tps_listener lower;

		if (number < 0 || gate->listeners[number].cost <= wants[i]->cost)
			continue;
		lower = gate->listeners[number];
		lower.cost = wants[i]->cost;
		word_put(&gate->listeners[number], 1, word_of(&lower, 1));
	}
}
