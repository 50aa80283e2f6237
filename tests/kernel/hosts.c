// SPDX-License-Identifier: GPL-2.0-only
/*
 * Server names as libtps writes them: what stands in `hosts` and in control, who may have a name,
 * what a command that was killed leaves, and whom a handshake is charged to then.
 */
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <tps/siphash.h>

#include "lib/cases.h"
#include "lib/live.h"

#include "caller.h"
#include "dump.h"
#include "gate.h"
#include "key.h"
#include "listener.h"
#include "slot.h"

#define TLS_PORT 443
#define CLIENT "198.51.100.7"

static int tls_listener = -1;
static struct tps_gate *gate;
static struct tps_why why;

/* ---- settings ---------------------------------------------------------------------------------
 */

/* A step of an operator's, which must succeed. */
static void must(int err)
{
	if (err)
		print_error("%d: %s\n", err, why.text);
	assert_int_equal(err, 0);
}

static void must_fail(int err, int expected, const char *text)
{
	assert_int_equal(err, expected);
	if (!strstr(why.text, text))
		fail_msg("wanted '%s', got '%s'", text, why.text);
	why.text[0] = 0;
}

static struct tps_server_name name_of(const char *text)
{
	struct tps_server_name name;

	must(tps_server_name_parse(text, &name, &why));
	return name;
}

/* Names as one text: "a.example b.example". */
struct names {
	struct tps_server_name name[8];
	size_t count;
};

static struct names names_of(const char *texts)
{
	struct names names = {.count = 0};
	char text[256];
	int len;

	for (; texts && sscanf(texts, "%255s%n", text, &len) == 1; texts += len)
		names.name[names.count++] = name_of(text);
	return names;
}

static bool was_changed;

static int change(const char *caller, bool replace, const char *add, const char *remove)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;
	struct names added = names_of(add), removed = names_of(remove);

	change.hosts = (struct tps_list_change){
		.replace = replace,
		.add = added.name,
		.add_count = added.count,
		.remove = removed.name,
		.remove_count = removed.count,
	};
	return tps_caller_set(gate, caller, &change, &was_changed, &why);
}

static int add(const char *caller, const char *names)
{
	return change(caller, false, names, NULL);
}

static int take(const char *caller, const char *names)
{
	return change(caller, false, NULL, names);
}

static struct tps_slot slot_of(const char *caller)
{
	struct tps_caller_entry entry;

	must(tps_caller_find(gate, caller, &entry));
	return (struct tps_slot){entry.record.slot, entry.record.generation};
}

/* @burst tokens and one more a day. */
static struct tps_slot limited(const char *caller, __u32 burst, const char *names)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;

	change.rate_given = change.burst_given = true;
	change.rate = (struct tps_rate){1000, 86400, 0};
	change.burst = burst;
	must(tps_caller_set(gate, caller, &change, NULL, &why));
	must(add(caller, names));
	return slot_of(caller);
}

/* As a command that was killed leaves it: the caller's slot is free, and the rest is there. */
static void kill_delete(const char *caller)
{
	tps_slot_free(gate, slot_of(caller));
}

/* ---- readings ---------------------------------------------------------------------------------
 */

/* The entry below the hash of @backwards. */
static bool has_entry(const char *backwards, struct tps_host *ret_host)
{
	struct tps_key key;

	siphash_128(gate->control->secret, backwards, strlen(backwards), key.hash);
	return !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_hosts], &key, ret_host);
}

static void assert_entry(const char *backwards, const char *text, struct tps_slot owner)
{
	struct tps_host host;

	assert_true(has_entry(backwards, &host));
	assert_string_equal(host.name, text);
	assert_int_equal(host.slot.slot, owner.slot);
	assert_int_equal(host.slot.generation, owner.generation);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The names of a caller, or of all (NULL), sorted: "a.example b.example". */
static void assert_names(const char *caller, const char *expected)
{
	struct tps_slot slot = caller ? slot_of(caller) : (struct tps_slot){0, 0}, *owners;
	struct tps_server_name *names;
	char all[1024] = "";
	size_t count;

	must(tps_hosts_read(gate, caller ? &slot : NULL, &names, &owners, &count));
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++) {
		strcat(strcat(all, i ? " " : ""), names[i].text);
		assert_true(tps_slot_is_live(gate, owners[i]));
	}
	free(names);
	free(owners);
	assert_string_equal(all, expected);
}

#define WHOLE 1u
#define SUFFIX(labels) (1u << (labels))

static void assert_depths(__u32 expected)
{
	assert_int_equal(gate->control->host_depths, expected);
}

static __u32 map_entries(enum tps_map map)
{
	__u32 count = 0;

	must(tps_dump_count(gate->map_fd[map], &count));
	return count;
}

static __u32 entries(void)
{
	return map_entries(TPS_MAP_hosts);
}

/* ---- handshakes -------------------------------------------------------------------------------
 */

/* A ClientHello for @name, as small as it can be. */
static size_t hello_write(const char *name, __u8 ret_bytes[512])
{
	size_t len = strlen(name), hello = 34 + 1 + 4 + 2 + 2 + 4 + 5 + len;
	const __u8 begin[] = {
		22, 3, 1, (hello + 4) >> 8, (hello + 4) & 255, 1, 0, hello >> 8, hello & 255, 3, 3};
	const __u8 behind_random[] = {0, 0, 2, 0x13, 1, 1, 0}; /* session, ciphers, methods */
	const __u8 extension[] = {0, 9 + len, 0, 0, 0, 5 + len, 0, 3 + len, 0, 0, len};
	__u8 *to = ret_bytes;

	memset(ret_bytes, 7, 512);
	memcpy(to, begin, sizeof(begin));
	to += sizeof(begin) + 32;
	memcpy(to, behind_random, sizeof(behind_random));
	to += sizeof(behind_random);
	memcpy(to, extension, sizeof(extension));
	to += sizeof(extension);
	memcpy(to, name, len);
	return to + len - ret_bytes;
}

/* A handshake of @name on a connection of its own; XDP_*. */
static int handshake(const char *name)
{
	struct live live;
	__u8 hello[512];
	size_t bytes = hello_write(name, hello);
	int action;

	live_open(&live, &h, tls_listener, CLIENT, SERVER, TLS_PORT);
	action = live_send(&live, &h, hello, bytes);
	live_close(&live);
	return action;
}

static void charged_to(const char *name, struct tps_slot caller)
{
	__u64 before = harness_caller_count(&h, caller, TPS_VERDICT_ALLOWED);

	assert_int_equal(handshake(name), XDP_PASS);
	assert_int_equal(harness_caller_count(&h, caller, TPS_VERDICT_ALLOWED), before + 1);
}

static const struct tps_slot strangers = {.slot = TPS_SLOT_STRANGERS};

/* ---- cases ------------------------------------------------------------------------------------
 */

static int group_open(void **state)
{
	live_enter_namespace();
	tls_listener = live_listen(SERVER, TLS_PORT);
	return 0;
}

static int group_close(void **state)
{
	close(tls_listener);
	return 0;
}

static void adopt(void)
{
	static const __u64 secret[2] = {1, 2};
	struct tps_listener listener = {
		.name = "tls", .protocol = TPS_PROTOCOL_TLS, .port = {TLS_PORT}, .port_count = 1};

	harness_clear(&h);
	must(tps_gate_adopt(harness_object(&h), secret, &gate, &why));
	must(tps_listener_set(gate, &listener, NULL, &why));
}

static int hosts_case_open(void **state)
{
	why.text[0] = 0;
	if (h.gate && case_sized)
		harness_close(&h);
	if (!h.gate)
		harness_open(&h, NULL);
	case_sized = false;
	adopt();
	return 0;
}

/* For a case with maps of other sizes. */
static void size(__u32 callers, __u32 hosts)
{
	const struct harness_sizes sizes = {.callers = callers, .hosts = hosts};

	tps_gate_close(gate);
	harness_close(&h);
	harness_open(&h, &sizes);
	case_sized = true;
	adopt();
}

static int hosts_case_close(void **state)
{
	tps_gate_close(gate);
	return case_close(state);
}

static void names_stand_below_their_hashes(void **state)
{
	must(add("acme", "API.example.com *.Example.com"));
	assert_entry("moc.elpmaxe.ipa", "api.example.com", slot_of("acme"));
	assert_entry("moc.elpmaxe.", "*.example.com", slot_of("acme"));
	assert_names("acme", "*.example.com api.example.com");
	assert_int_equal(entries(), 2);
}

static void depths_are_of_the_names_that_are_there(void **state)
{
	assert_depths(0);
	must(add("acme", "a.b.c.d.e.f.g.h"));
	assert_depths(WHOLE);
	must(add("acme", "*.com *.a.b.c.d.e.f"));
	assert_depths(WHOLE | SUFFIX(1) | SUFFIX(6));
	must(add("beta", "*.example.com *.example.org"));
	assert_depths(WHOLE | SUFFIX(1) | SUFFIX(2) | SUFFIX(6));
	/* another name needs the bit still */
	must(take("beta", "*.example.com"));
	assert_depths(WHOLE | SUFFIX(1) | SUFFIX(2) | SUFFIX(6));
	must(take("beta", "*.example.org"));
	assert_depths(WHOLE | SUFFIX(1) | SUFFIX(6));
	must(change("acme", true, "*.a.b.c", NULL));
	assert_depths(SUFFIX(3));
	must(tps_caller_delete(gate, "acme", &why));
	assert_depths(0);
}

static void list_is_replaced_or_edited(void **state)
{
	must(add("acme", "a.example b.example"));
	assert_true(was_changed);
	must(add("acme", "b.example"));
	assert_false(was_changed);
	must(change("acme", false, "c.example", "a.example nobodys.example"));
	assert_true(was_changed);
	assert_names("acme", "b.example c.example");
	must(change("acme", true, "b.example *.b.example", NULL));
	assert_names("acme", "*.b.example b.example");
	must(change("acme", true, "*.b.example b.example", NULL));
	assert_false(was_changed);
	must(take("acme", "c.example"));
	assert_false(was_changed);
	must(change("acme", true, NULL, NULL));
	assert_true(was_changed);
	assert_names("acme", "");
	assert_int_equal(entries(), 0);
}

static void name_of_another_is_refused(void **state)
{
	must(add("acme", "api.example.com"));
	must_fail(add("beta", "x.example *.example.com api.example.com"), -EEXIST,
		  "caller 'beta': server name 'api.example.com' is of caller 'acme'");
	must_fail(change("beta", true, "api.example.com", NULL), -EEXIST, "is of caller 'acme'");
	assert_names(NULL, "api.example.com");
	assert_depths(WHOLE);
	assert_int_equal(tps_caller_find(gate, "beta", &(struct tps_caller_entry){}), -ENOENT);
	/* nor is it taken from another */
	must(take("beta", "api.example.com"));
	assert_names("acme", "api.example.com");
	/* a name below a suffix of another's is a name of its own, and the other way round */
	must(add("beta", "*.example.com"));
	must(add("gamma", "v1.api.example.com *.api.example.com"));
	must(take("acme", "api.example.com"));
	must(add("beta", "api.example.com"));
	assert_names("beta", "*.example.com api.example.com");
}

static void name_twice_is_refused(void **state)
{
	must_fail(add("acme", "a.example b.example A.example"), -EINVAL,
		  "server name 'a.example' is given twice");
	must_fail(change("acme", false, "a.example b.example", "b.example"), -EINVAL,
		  "server name 'b.example' is both added and removed");
	assert_int_equal(entries(), 0);
	assert_depths(0);
}

static void full_map_changes_nothing(void **state)
{
	size(0, 4);
	must(add("acme", "a.example b.example c.example"));
	must_fail(add("beta", "d.example *.e.example"), -E2BIG, "the map 'hosts' is full");
	assert_names(NULL, "a.example b.example c.example");
	assert_depths(WHOLE);
	must_fail(add("acme", "*.d.example *.e.f.example"), -E2BIG, "the map 'hosts' is full");
	assert_names("acme", "a.example b.example c.example");
	assert_depths(WHOLE);
	/* a list that is replaced needs room for what is new, as long as the old is there */
	must(change("acme", true, "a.example d.example", NULL));
	assert_names(NULL, "a.example d.example");
}

/* The sources and the key of the same command went in before. */
static void full_map_takes_the_other_lists_back(void **state)
{
	struct tps_caller_change change = TPS_CALLER_CHANGE_INIT;
	struct names names = names_of("a.example b.example");
	struct tps_key key = {{1, 2}};
	struct tps_prefix source;
	struct tps_slot owner;

	size(0, 1);
	must(tps_prefix_parse("203.0.113.0/24", &source, &why));
	change.sources.add = &source;
	change.keys.add = &key;
	change.sources.add_count = change.keys.add_count = 1;
	change.hosts.add = names.name;
	change.hosts.add_count = names.count;
	must(add("beta", NULL));
	for (int i = 0; i < 2; i++) {
		must_fail(tps_caller_set(gate, i ? "beta" : "acme", &change, NULL, &why), -E2BIG,
			  "the map 'hosts' is full");
		assert_names(NULL, "");
		assert_depths(0);
		assert_int_equal(tps_key_owner(gate, &key, &owner), -ENOENT);
		assert_int_equal(gate->control->sources4, 0);
		assert_int_equal(map_entries(TPS_MAP_sources4), 0);
		assert_int_equal(map_entries(TPS_MAP_keys), 0);
	}
	change.hosts.add_count = 1;
	must(tps_caller_set(gate, "beta", &change, NULL, &why));
	assert_int_equal(map_entries(TPS_MAP_sources4), 1);
	assert_int_equal(map_entries(TPS_MAP_keys), 1);
	assert_names("beta", "a.example");
}

static void names_of_who_has_gone_make_room(void **state)
{
	size(0, 4);
	must(add("acme", "a.example *.example b.example c.example"));
	kill_delete("acme");
	assert_names(NULL, "");
	assert_int_equal(entries(), 4);
	must(add("beta", "d.example"));
	assert_names("beta", "d.example");
	assert_int_equal(entries(), 1);
	assert_depths(WHOLE);
}

static void name_of_who_has_gone_is_written_over(void **state)
{
	must(add("acme", "a.example *.example"));
	kill_delete("acme");
	must(add("beta", "a.example"));
	assert_entry("elpmaxe.a", "a.example", slot_of("beta"));
	must(tps_caller_delete(gate, "beta", &why));
	/* whoever reads the map clears away what leads to nobody */
	assert_int_equal(entries(), 0);
	assert_depths(0);
}

static void killed_delete_is_ended_by_the_next(void **state)
{
	must(add("acme", "a.example *.example"));
	kill_delete("acme");
	must(tps_caller_delete(gate, "acme", &why));
	assert_int_equal(entries(), 0);
	assert_depths(0);
	assert_int_equal(tps_caller_delete(gate, "acme", NULL), -ENOENT);
}

/* Between an entry and its bit. */
static void name_without_its_depth_is_mended(void **state)
{
	must(add("acme", "a.example *.example"));
	tps_half_store(&gate->control->host_depths, 0);
	must(add("acme", "*.example"));
	assert_true(was_changed);
	assert_depths(WHOLE | SUFFIX(1));
	must(add("acme", "*.example"));
	assert_false(was_changed);
	/* beside one that is new */
	tps_half_store(&gate->control->host_depths, 0);
	must(add("acme", "*.example b.c.example"));
	assert_depths(WHOLE | SUFFIX(1));
	/* and where a list is replaced */
	tps_half_store(&gate->control->host_depths, 0);
	must(change("acme", true, "a.example", NULL));
	assert_depths(WHOLE);
}

/* Between the last entry and its bit. */
static void depth_without_a_name_is_mended(void **state)
{
	must(add("acme", "a.example *.example"));
	tps_half_store(&gate->control->host_depths, WHOLE | SUFFIX(1) | SUFFIX(2));
	must(take("acme", "*.b.example"));
	assert_true(was_changed);
	assert_depths(WHOLE | SUFFIX(1));
}

static void longest_name_is_charged(void **state)
{
	struct tps_slot whole = limited("whole", 10, "api.example.com");
	struct tps_slot deep = limited("deep", 10, "*.eu.example.com");
	struct tps_slot shallow = limited("shallow", 10, "*.example.com");
	struct tps_slot outer = limited("outer", 10, "*.com");

	charged_to("api.example.com", whole);
	charged_to("API.Example.COM", whole);
	charged_to("api.eu.example.com", deep);
	charged_to("eu.example.com", shallow);
	charged_to("v1.api.example.com", shallow);
	charged_to("example.com", outer);
	charged_to("com", strangers);
	charged_to("example.org", strangers);
	assert_int_equal(harness_notes(&h, 1, TPS_REASON_UNKNOWN_NAME), 2);
}

static void names_share_the_callers_bucket(void **state)
{
	struct tps_slot acme = limited("acme", 3, "a.example *.b.example");

	charged_to("a.example", acme);
	charged_to("x.b.example", acme);
	charged_to("y.b.example", acme);
	assert_int_equal(handshake("a.example"), XDP_DROP);
	assert_caller(acme, 3, 1);
}

static void name_changes_hands_at_once(void **state)
{
	struct tps_slot acme = limited("acme", 10, "a.example"), beta = limited("beta", 10, NULL);

	charged_to("a.example", acme);
	must(take("acme", "a.example"));
	charged_to("a.example", strangers);
	must(add("beta", "*.example"));
	charged_to("a.example", beta);
	must(add("acme", "a.example"));
	charged_to("a.example", acme);
	must(tps_caller_delete(gate, "acme", &why));
	charged_to("a.example", beta);
	must(tps_caller_delete(gate, "beta", &why));
	charged_to("a.example", strangers);
	assert_int_equal(entries(), 0);
}

static void harness_writes_the_same(void **state)
{
	struct tps_slot acme = limited("acme", 10, NULL);
	struct tps_control control;

	harness_add_name(&h, acme, "API.example.com");
	harness_add_name(&h, acme, "*.eu.example.com");
	control = harness_control(&h);
	assert_int_equal(control.host_depths, WHOLE | SUFFIX(3));
	assert_entry("moc.elpmaxe.ipa", "api.example.com", acme);
	assert_entry("moc.elpmaxe.ue.", "*.eu.example.com", acme);
	assert_names("acme", "*.eu.example.com api.example.com");
	must(add("acme", "api.example.com *.eu.example.com"));
	assert_false(was_changed);
	charged_to("api.example.com", acme);
	charged_to("api.eu.example.com", acme);
}

/* ---- many at once -----------------------------------------------------------------------------
 */

#define MANY 100000

/* @names of a caller each, "n0.example" on. */
struct crowd {
	struct tps_caller_spec *specs;
	struct tps_server_name *names;
	char (*callers)[16];
};

static struct crowd crowd_make(size_t count)
{
	struct crowd crowd = {calloc(count, sizeof(*crowd.specs)),
			      calloc(count, sizeof(*crowd.names)),
			      calloc(count, sizeof(*crowd.callers))};

	assert_true(crowd.specs && crowd.names && crowd.callers);
	for (size_t i = 0; i < count; i++) {
		char text[32];

		snprintf(crowd.callers[i], sizeof(crowd.callers[i]), "c%zu", i);
		snprintf(text, sizeof(text), "%s%zu.example", i % 2 ? "*.n" : "n", i);
		crowd.names[i] = name_of(text);
		crowd.specs[i] = (struct tps_caller_spec){
			.name = crowd.callers[i], .hosts = &crowd.names[i], .host_count = 1};
	}
	return crowd;
}

static void crowd_free(struct crowd *crowd)
{
	free(crowd->specs);
	free(crowd->names);
	free(crowd->callers);
}

static void many_load_in_seconds(void **state)
{
	struct crowd crowd = crowd_make(MANY);
	__u64 from_ns;

	size(MANY + 1, MANY);
	from_ns = harness_now_ns();
	must(tps_callers_load(gate, crowd.specs, MANY, &why));
	/* 0.3 s; an emulated machine takes longer */
	assert_true(harness_now_ns() - from_ns < 20000000000ULL);
	assert_int_equal(entries(), MANY);
	assert_depths(WHOLE | SUFFIX(2));
	assert_names("c77777", "*.n77777.example");
	charged_to("n77776.example", slot_of("c77776"));
	charged_to("x.n77777.example", slot_of("c77777"));
	crowd_free(&crowd);
}

static void load_refuses_names_twice_and_of_others(void **state)
{
	struct crowd crowd = crowd_make(3);

	crowd.names[2] = crowd.names[1];
	must_fail(tps_callers_load(gate, crowd.specs, 3, &why), -EEXIST,
		  "server name '*.n1.example': given to 'c1' and to 'c2'");
	must(add("acme", "*.n1.example"));
	must_fail(tps_callers_load(gate, crowd.specs, 2, &why), -EEXIST,
		  "caller 'c1': server name '*.n1.example' is of caller 'acme'");
	assert_names(NULL, "*.n1.example");
	kill_delete("acme");
	must(tps_callers_load(gate, crowd.specs, 2, &why));
	assert_names("c1", "*.n1.example");
	crowd_free(&crowd);
}

static void load_needs_room_for_its_names(void **state)
{
	struct crowd crowd = crowd_make(5);

	size(0, 4);
	must(add("acme", "*.a.b.example"));
	must_fail(tps_callers_load(gate, crowd.specs, 5, &why), -ENOSPC,
		  "the map 'hosts' has room for 3 of 5 more");
	assert_names(NULL, "*.a.b.example");
	assert_depths(SUFFIX(3));
	/* what leads to nobody makes room, and its depth goes */
	kill_delete("acme");
	must(tps_callers_load(gate, crowd.specs, 4, &why));
	assert_depths(WHOLE | SUFFIX(2));
	crowd_free(&crowd);
}

#define HOSTS_CASE(sentence, function) \
	{ \
		sentence, function, hosts_case_open, hosts_case_close, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HOSTS_CASE("a name stands below the hash of it read backwards, with its text",
			   names_stand_below_their_hashes),
		HOSTS_CASE("a depth is set while a name needs it, and no longer",
			   depths_are_of_the_names_that_are_there),
		HOSTS_CASE(
			"a list of names is replaced or edited, and says whether that changed it",
			list_is_replaced_or_edited),
		HOSTS_CASE("a name that another caller has is refused and changes nothing",
			   name_of_another_is_refused),
		HOSTS_CASE("a name given twice, or given and taken, is refused",
			   name_twice_is_refused),
		HOSTS_CASE("a full map is refused, and names and depths are as they were",
			   full_map_changes_nothing),
		HOSTS_CASE(
			"where names find no room, the other lists of the command are taken back",
			full_map_takes_the_other_lists_back),
		HOSTS_CASE("names of callers that have gone make room in a full map",
			   names_of_who_has_gone_make_room),
		HOSTS_CASE("a name of a caller that has gone is written over",
			   name_of_who_has_gone_is_written_over),
		HOSTS_CASE("a deletion that was killed is ended by the next",
			   killed_delete_is_ended_by_the_next),
		HOSTS_CASE("a name that was left without its depth gets it",
			   name_without_its_depth_is_mended),
		HOSTS_CASE("a depth that was left without a name goes",
			   depth_without_a_name_is_mended),
		HOSTS_CASE("a handshake is charged to the longest name that somebody has",
			   longest_name_is_charged),
		HOSTS_CASE("names of a caller share its bucket", names_share_the_callers_bucket),
		HOSTS_CASE("a name that changes hands is charged to its new caller at once",
			   name_changes_hands_at_once),
		HOSTS_CASE("the harness writes a name as libtps does", harness_writes_the_same),
		HOSTS_CASE("a hundred thousand names load in seconds", many_load_in_seconds),
		HOSTS_CASE("loading refuses a name twice, and one of another caller",
			   load_refuses_names_twice_and_of_others),
		HOSTS_CASE("loading needs room for its names", load_needs_room_for_its_names),
	};

	return cmocka_run_group_tests_name("hosts", cases, group_open, group_close);
}
