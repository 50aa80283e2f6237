// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gate remembers and tells of what it did not allow: the last refusal, events and their
 * rate, a ring that is written over; and when a key last came.
 */
#include <arpa/inet.h>

#include <tps/siphash.h>

#include "lib/hello_cases.h"

#include "lib/entries.h"

#include "events.h"

static struct tps_events_reader reader;

static int notices_open(void **state)
{
	struct tps_gate gate = {};

	if (case_open(state))
		return -1;
	set_tls(TPS_REFUSAL_DROP, TPS_MODE_ENFORCE);
	gate.map_fd[TPS_MAP_events] = bpf_map__fd(h.gate->maps.events);
	return tps_events_begin(&gate, &reader);
}

static int notices_close(void **state)
{
	tps_events_end(&reader);
	return case_close(state);
}

#define NOTICE_CASE(sentence, function) \
	{ \
		sentence, function, notices_open, notices_close, NULL \
	}

/* The only event that is there. */
static struct tps_event only_event(void)
{
	struct tps_event event, none;
	__u64 lost;

	assert_int_equal(tps_events_next(&reader, &event, &lost), 1);
	assert_int_equal(lost, 0);
	assert_int_equal(tps_events_next(&reader, &none, &lost), 0);
	assert_int_equal(lost, 0);
	return event;
}

static void assert_no_event(void)
{
	struct tps_event event;
	__u64 lost;

	assert_int_equal(tps_events_next(&reader, &event, &lost), 0);
	assert_int_equal(lost, 0);
}

static void assert_last(__u64 last, __u64 from_ns, enum tps_verdict verdict, enum tps_reason reason,
			__u32 listener)
{
	assert_true(TPS_LAST_NS(last) + 0xffff >= from_ns);
	assert_true(TPS_LAST_NS(last) <= harness_now_ns());
	assert_int_equal(TPS_LAST_VERDICT(last), verdict);
	assert_int_equal(TPS_LAST_REASON(last), reason);
	assert_int_equal(TPS_LAST_LISTENER(last), listener);
}

/* As if the last refusal were that much older. */
static void age_caller(struct tps_slot caller, __u64 ns)
{
	struct tps_account account = harness_account(&h, caller);

	account.last -= ns;
	entry_put(h.gate->maps.buckets, &caller.slot, &account);
}

/* ---- the last refusal */

static void caller_remembers_its_last_refusal(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	__u64 from_ns = harness_now_ns();

	expect_allowed(&packet, UDP);
	assert_int_equal(harness_account(&h, caller).last, 0);
	assert_no_event();
	expect_refused(&packet, UDP);
	assert_caller(caller, 1, 1);
	assert_last(harness_account(&h, caller).last, from_ns, TPS_VERDICT_REFUSED,
		    TPS_REASON_LIMIT, UDP);
}

static void stranger_remembers_its_last_refusal(void **state)
{
	struct packet packet = syn(STRANGER);
	__u64 from_ns = harness_now_ns();
	struct tps_stranger stranger;

	for (int i = 0; i < HARNESS_DEFAULT_BURST; i++)
		expect_allowed(&packet, TCP);
	assert_true(harness_stranger(&h, STRANGER, &stranger));
	assert_int_equal(stranger.last, 0);
	expect_refused(&packet, TCP);
	assert_transactions(TCP, HARNESS_DEFAULT_BURST, 1);
	assert_true(harness_stranger(&h, STRANGER, &stranger));
	assert_last(stranger.last, from_ns, TPS_VERDICT_REFUSED, TPS_REASON_LIMIT, TCP);
}

static void clock_in_jiffies_serves_as_well(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	__u64 from_ns = harness_now_ns();

	harness_use_ticks(&h);
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	assert_last(harness_account(&h, caller).last, from_ns - 10000000, TPS_VERDICT_REFUSED,
		    TPS_REASON_LIMIT, UDP);
}

static void listener_limit_is_the_reason_that_is_told(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_UDP, .ports = {UDP_PORT}, .limit = limit_frozen(1)};
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 10);

	harness_set_listener(&h, UDP, &listener);
	expect_allowed(&packet, UDP);
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	assert_int_equal(TPS_LAST_REASON(harness_account(&h, caller).last),
			 TPS_REASON_LISTENER_LIMIT);
}

/* ---- events */

static void event_says_who_where_and_why(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	__u64 from_ns = harness_now_ns();
	struct tps_event event;

	harness_set_tier(&h, 5, limit_frozen(7));
	harness_set_tier_of(&h, caller, 5);
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	event = only_event();
	assert_true(event.time_ns >= from_ns && event.time_ns <= harness_now_ns());
	assert_int_equal(event.slot.slot, caller.slot);
	assert_int_equal(event.slot.generation, caller.generation);
	assert_int_equal(event.kind, TPS_VERDICT_REFUSED);
	assert_int_equal(event.reason, TPS_REASON_LIMIT);
	assert_int_equal(event.listener, UDP);
	assert_int_equal(event.tier, 5);
	assert_int_equal(event.family, 4);
	assert_int_equal(event.source_be[3], inet_addr(STRANGER));
	assert_int_equal(ntohs(event.port_be), UDP_PORT);
}

static void event_has_all_of_an_ipv6_source(void **state)
{
	struct packet packet = datagram(STRANGER6);
	struct in6_addr source;
	struct tps_event event;

	add_source("2001:db8:7::/64", 1);
	inet_pton(AF_INET6, STRANGER6, &source);
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	event = only_event();
	assert_int_equal(event.family, 6);
	assert_memory_equal(event.source_be, &source, sizeof(source));
}

static void stranger_event_names_no_slot(void **state)
{
	struct packet packet = syn(STRANGER);

	for (int i = 0; i <= HARNESS_DEFAULT_BURST; i++)
		harness_run(&h, &packet);
	assert_int_equal(only_event().slot.generation, 0);
}

static void thousand_refusals_are_one_event_a_second(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	__u64 last;

	for (int i = 0; i < 1000; i++)
		harness_run(&h, &packet);
	assert_caller(caller, 1, 999);
	only_event();
	last = harness_account(&h, caller).last;
	age_caller(caller, TPS_EVENT_APART_NS / 2);
	expect_refused(&packet, UDP);
	assert_no_event();
	age_caller(caller, TPS_EVENT_APART_NS / 2);
	expect_refused(&packet, UDP);
	expect_refused(&packet, UDP);
	only_event();
	assert_true(harness_account(&h, caller).last >= last);
	assert_caller(caller, 1, 1002);
}

static void others_have_events_of_their_own(void **state)
{
	struct packet one = datagram(STRANGER), second = datagram("198.51.100.8");
	struct tps_event event;
	__u64 lost;

	add_source(STRANGER "/32", 1);
	add_source("198.51.100.8/32", 1);
	for (int i = 0; i < 3; i++) {
		harness_run(&h, &one);
		harness_run(&h, &second);
	}
	assert_int_equal(tps_events_next(&reader, &event, &lost), 1);
	only_event();
}

static void observing_tells_what_would_be_refused(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);

	harness_observe(&h, true);
	expect_allowed(&packet, UDP);
	expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(harness_caller_count(&h, caller, TPS_VERDICT_WOULD_REFUSE), 1);
	assert_int_equal(only_event().kind, TPS_VERDICT_WOULD_REFUSE);
}

static void banned_caller_is_told(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	struct tps_event event;

	harness_ban_caller(&h, caller, ~0ULL);
	expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_BANNED_CALLER);
	event = only_event();
	assert_int_equal(event.kind, TPS_VERDICT_BANNED);
	assert_int_equal(event.reason, TPS_REASON_BANNED_CALLER);
	assert_int_equal(event.slot.generation, caller.generation);
}

/* Who was never seen has no entry of its own: they share one event a second. */
static void banned_prefix_of_strangers_never_seen_is_told_once(void **state)
{
	struct packet one = datagram(STRANGER), second = datagram("198.51.100.8");

	harness_ban(&h, "198.51.100.0/24", ~0ULL);
	expect(&one, UDP, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	expect(&second, UDP, TPS_ACTION_DROP, TPS_REASON_BANNED_PREFIX);
	assert_int_equal(only_event().reason, TPS_REASON_BANNED_PREFIX);
}

static void exempt_and_allowed_are_not_told(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1), TPS_LIMIT_EXEMPT);

	harness_add_source(&h, caller, STRANGER "/32");
	for (int i = 0; i < 3; i++)
		expect(&packet, UDP, TPS_ACTION_PASS, TPS_REASON_EXEMPT);
	assert_int_equal(harness_account(&h, caller).last, 0);
	assert_no_event();
}

/* ---- the ring */

static void overrun(struct tps_slot caller, const struct packet *packet, int events)
{
	for (int i = 0; i < events; i++) {
		age_caller(caller, 2 * TPS_EVENT_APART_NS);
		harness_run(&h, packet);
	}
}

static void what_is_written_over_is_counted_as_lost(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	__u64 first = reader.next, lost, all = 0;
	struct tps_event event;
	int events = 0;

	harness_run(&h, &packet);
	harness_run(&h, &packet);
	overrun(caller, &packet, TPS_EVENTS_MAX + 6);
	assert_int_equal(reader.ring->next - first, TPS_EVENTS_MAX + 7);
	while (tps_events_next(&reader, &event, &lost)) {
		all += lost;
		events++;
	}
	assert_int_equal(events, TPS_EVENTS_MAX);
	assert_int_equal(all, 7);
	assert_int_equal(*reader.lost, 7);
}

static void two_readers_see_the_same(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_events_reader second = reader;
	struct tps_event event;
	__u64 lost;

	add_source(STRANGER "/32", 1);
	harness_run(&h, &packet);
	harness_run(&h, &packet);
	only_event();
	assert_int_equal(tps_events_next(&second, &event, &lost), 1);
}

static void who_listens_later_hears_nothing_old(void **state)
{
	struct tps_gate gate = {};
	struct packet packet = datagram(STRANGER);

	add_source(STRANGER "/32", 1);
	harness_run(&h, &packet);
	harness_run(&h, &packet);
	tps_events_end(&reader);
	gate.map_fd[TPS_MAP_events] = bpf_map__fd(h.gate->maps.events);
	assert_int_equal(tps_events_begin(&gate, &reader), 0);
	assert_no_event();
}

/* Another CPU is a whole round behind and still writes: the event is lost, not the verdict. */
static void place_that_is_being_written_is_left_alone(void **state)
{
	struct packet packet = datagram(STRANGER);
	struct tps_slot caller = add_source(STRANGER "/32", 1);
	struct tps_events *ring = (struct tps_events *)reader.ring;
	struct tps_event *place = &ring->event[ring->next & (TPS_EVENTS_MAX - 1)];
	struct tps_event event;
	__u64 lost;

	place->turn = TPS_EVENT_OPEN;
	place->time_ns = 42;
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	assert_caller(caller, 1, 1);
	assert_int_equal(place->time_ns, 42);
	assert_int_equal(ring->lost, 1);
	/* the reader waits one look for it, then goes on; the gate has counted it */
	assert_int_equal(tps_events_next(&reader, &event, &lost), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(tps_events_next(&reader, &event, &lost), 0);
	assert_int_equal(lost, 1);
	assert_int_equal(ring->lost, 1);
	age_caller(caller, 2 * TPS_EVENT_APART_NS);
	expect_refused(&packet, UDP);
	only_event();
}

/* ---- requests and handshakes */

static void connect_http(void)
{
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
}

static void refused_request_is_told_of_its_key(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);
	struct tps_event event;

	connect_http();
	assert_passes(GET_KEY("gold"));
	answer();
	assert_drops(GET_KEY("gold"));
	assert_caller(gold, 1, 1);
	event = only_event();
	assert_int_equal(event.slot.slot, gold.slot);
	assert_int_equal(event.slot.generation, gold.generation);
	assert_int_equal(event.listener, HTTP);
	assert_int_equal(event.source_be[3], inet_addr(CLIENT));
	assert_int_equal(TPS_LAST_LISTENER(harness_account(&h, gold).last), HTTP);
	live_close(&c);
}

/* Two callers in one segment: told of whom there were no tokens for. */
static void of_two_callers_the_one_that_was_short_is_told(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5), iron = add_keyed("iron", 1);

	connect_http();
	assert_passes(GET_KEY("iron"));
	answer();
	assert_drops(GET_KEY("gold") GET_KEY("iron"));
	assert_int_equal(only_event().slot.slot, iron.slot);
	assert_int_equal(harness_account(&h, gold).last, 0);
	live_close(&c);
}

static void refused_stranger_request_is_told(void **state)
{
	struct tps_stranger stranger;

	connect_http();
	harness_set_tier(&h, 0, limit_frozen(1));
	assert_passes(GET);
	answer();
	assert_drops(GET);
	assert_int_equal(only_event().slot.generation, 0);
	assert_true(harness_stranger(&h, CLIENT, &stranger));
	assert_int_equal(TPS_LAST_LISTENER(stranger.last), HTTP);
	live_close(&c);
}

static void refused_hello_is_told_of_its_name(void **state)
{
	struct tps_slot named = add_named(NAME, 1);

	live_open(&c, &h, tls_listener, CLIENT, SERVER, TLS_PORT);
	hello_usual(&hello, NAME, 517, 0);
	assert_int_equal(send_hello(&hello), XDP_PASS);
	connect_anew();
	assert_int_equal(send_hello(&hello), XDP_DROP);
	assert_caller(named, 1, 1);
	assert_int_equal(only_event().slot.slot, named.slot);
	assert_int_equal(TPS_LAST_LISTENER(harness_account(&h, named).last), TLS);
	live_close(&c);
}

/* ---- when a key last came */

static struct tps_key key_of(const char *key)
{
	struct tps_control control = harness_control(&h);
	struct tps_key hash;

	siphash_128(control.secret, key, strlen(key), hash.hash);
	return hash;
}

static __u64 key_used(const char *key)
{
	struct tps_key hash = key_of(key);
	struct tps_key_owner owner;

	entry_get(h.gate->maps.keys, &hash, &owner);
	return owner.used_ns;
}

/* As if it had come that long ago. */
static void age_key(const char *key, __u64 ns)
{
	struct tps_key hash = key_of(key);
	struct tps_key_owner owner;

	entry_get(h.gate->maps.keys, &hash, &owner);
	owner.used_ns -= ns;
	entry_put(h.gate->maps.keys, &hash, &owner);
}

static void key_that_comes_is_noted_once_a_minute(void **state)
{
	__u64 from_ns = harness_now_ns(), used_ns;

	add_keyed("gold", 50);
	assert_int_equal(key_used("gold"), 0);
	connect_http();
	assert_passes(GET_KEY("gold"));
	used_ns = key_used("gold");
	assert_true(used_ns >= from_ns && used_ns <= harness_now_ns());
	live_close(&c);
	connect_http();
	age_key("gold", TPS_KEY_USE_NS / 2);
	assert_passes(GET_KEY("gold"));
	assert_int_equal(key_used("gold"), used_ns - TPS_KEY_USE_NS / 2);
	live_close(&c);
	connect_http();
	age_key("gold", TPS_KEY_USE_NS / 2 + 1);
	assert_passes(GET_KEY("gold"));
	assert_true(key_used("gold") > used_ns);
	live_close(&c);
}

static void key_of_nobody_is_noted_nowhere(void **state)
{
	add_keyed("gold", 5);
	connect_http();
	assert_passes(GET_KEY("iron"));
	assert_int_equal(key_used("gold"), 0);
	live_close(&c);
}

static __u32 jiffies_now(void)
{
	struct tps_clocks clocks = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &clocks, .ctx_size_in = sizeof(clocks));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(h.gate->progs.clocks), &options),
			 0);
	return clocks.jiffies >> TPS_KEY_BIND_SHIFT;
}

/* The only flow there is. */
static struct tps_flow flow_get(struct tps_flow_key *ret_key)
{
	struct tps_flow flow;

	assert_int_equal(bpf_map_get_next_key(bpf_map__fd(h.gate->maps.flows), NULL, ret_key), 0);
	entry_get(h.gate->maps.flows, ret_key, &flow);
	return flow;
}

/* A connection that lasts: bound to its key's caller, it does not look the key up for each request,
 * but after a while it does. */
static void key_of_a_long_connection_is_noted(void **state)
{
	struct tps_flow_key flow_key;
	struct tps_flow flow;
	__u32 before;
	__u64 used_ns;

	add_keyed("gold", 50);
	connect_http();
	before = jiffies_now();
	assert_passes(GET_KEY("gold"));
	flow = flow_get(&flow_key);
	assert_in_range(flow.bound_generation - harness_control(&h).keys_generation, before,
			jiffies_now());
	answer();
	age_key("gold", 2 * TPS_KEY_USE_NS);
	used_ns = key_used("gold");
	flow = flow_get(&flow_key);
	flow.bound_generation--; /* bound 2^13 jiffies ago */
	entry_put(h.gate->maps.flows, &flow_key, &flow);
	assert_passes(GET_KEY("gold"));
	assert_true(key_used("gold") > used_ns + TPS_KEY_USE_NS);
	assert_int_equal(flow_get(&flow_key).bound_generation - harness_control(&h).keys_generation,
			 jiffies_now());
	live_close(&c);
}

static int both_open(void **state)
{
	return http_group_open(state) || (tls_listener = live_listen(SERVER, TLS_PORT)) < 0;
}

static int both_close(void **state)
{
	close(tls_listener);
	return http_group_close(state);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		NOTICE_CASE("a refused caller remembers when, why and where",
			    caller_remembers_its_last_refusal),
		NOTICE_CASE("a refused stranger remembers it too",
			    stranger_remembers_its_last_refusal),
		NOTICE_CASE("the time is right by jiffies as well",
			    clock_in_jiffies_serves_as_well),
		NOTICE_CASE("a listener's limit is told as the reason",
			    listener_limit_is_the_reason_that_is_told),
		NOTICE_CASE("an event says who, where and why", event_says_who_where_and_why),
		NOTICE_CASE("an event has all of an IPv6 source", event_has_all_of_an_ipv6_source),
		NOTICE_CASE("a stranger's event names no slot", stranger_event_names_no_slot),
		NOTICE_CASE("a thousand refusals are one event, and one a second later",
			    thousand_refusals_are_one_event_a_second),
		NOTICE_CASE("another caller has events of its own",
			    others_have_events_of_their_own),
		NOTICE_CASE("observing tells what would be refused",
			    observing_tells_what_would_be_refused),
		NOTICE_CASE("a banned caller is told of", banned_caller_is_told),
		NOTICE_CASE("strangers never seen, of a banned prefix, share an event",
			    banned_prefix_of_strangers_never_seen_is_told_once),
		NOTICE_CASE("nothing is told of an exempt caller", exempt_and_allowed_are_not_told),
		NOTICE_CASE("what is written over is counted as lost",
			    what_is_written_over_is_counted_as_lost),
		NOTICE_CASE("two readers see the same event", two_readers_see_the_same),
		NOTICE_CASE("who listens later hears nothing old",
			    who_listens_later_hears_nothing_old),
		NOTICE_CASE("a place that is being written is left alone, and counted",
			    place_that_is_being_written_is_left_alone),
		NOTICE_CASE("a refused request is told of its key's caller",
			    refused_request_is_told_of_its_key),
		NOTICE_CASE("of two callers in a segment the one that was short is told of",
			    of_two_callers_the_one_that_was_short_is_told),
		NOTICE_CASE("a stranger's refused request is told of",
			    refused_stranger_request_is_told),
		NOTICE_CASE("a refused handshake is told of its name's caller",
			    refused_hello_is_told_of_its_name),
		NOTICE_CASE("a key that comes is noted, once a minute",
			    key_that_comes_is_noted_once_a_minute),
		NOTICE_CASE("a key of nobody is noted nowhere", key_of_nobody_is_noted_nowhere),
		NOTICE_CASE("the key of a connection that lasts is noted again",
			    key_of_a_long_connection_is_noted),
	};

	return cmocka_run_group_tests_name("notices", cases, both_open, both_close);
}
