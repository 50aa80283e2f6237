// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads, sets and runs the gate. Knows the maps' layout, not what the gate makes of it.
 */
#include "lib/harness.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/siphash.h>

#include "tps.skel.h"

#define SMALL 256
/* an LRU map of a few hundred entries evicts what has just been made (its CPUs hold 128 each in
 * reserve), and a test that makes thousands of connections must not lose one in the middle */
#define FLOWS 65536

static const __u64 test_secret[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		err(1, "map '%s'", bpf_map__name(map));
}

static void get(const struct bpf_map *map, const void *key, void *ret_value)
{
	if (bpf_map_lookup_elem(bpf_map__fd(map), key, ret_value))
		err(1, "map '%s'", bpf_map__name(map));
}

static void set_ports(const struct harness *harness, const struct tps_listener *listener,
		      __u32 number)
{
	for (__u32 i = 0; i < listener->port_count; i++) {
		bool is_udp = listener->protocol == TPS_PROTOCOL_UDP;
		__u32 index = TPS_PORT_INDEX(is_udp, listener->port[i]);

		put(harness->gate->maps.ports, &index, &number);
	}
}

static void resize(struct bpf_map *map, __u32 entries)
{
	if (bpf_map__set_max_entries(map, entries ? entries : SMALL))
		err(1, "map '%s'", bpf_map__name(map));
}

static void size_maps(const struct tps_bpf *gate, const struct harness_sizes *sizes)
{
	resize(gate->maps.callers, sizes->callers);
	resize(gate->maps.limits, sizes->callers);
	resize(gate->maps.buckets, sizes->callers);
	resize(gate->maps.counters, sizes->callers);
	resize(gate->maps.strangers, sizes->strangers);
	resize(gate->maps.flows, sizes->flows ? sizes->flows : FLOWS);
	resize(gate->maps.handshakes, sizes->flows ? sizes->flows : FLOWS);
	resize(gate->maps.keys, sizes->keys);
	resize(gate->maps.sources4, sizes->sources);
	resize(gate->maps.sources6, sizes->sources);
	resize(gate->maps.bans, sizes->bans);
	/* a plain hash, so that it can be full: an LRU one evicts */
	if (sizes->strangers_fill_up && bpf_map__set_type(gate->maps.strangers, BPF_MAP_TYPE_HASH))
		err(1, "gate: strangers");
}

static void set_up(struct harness *harness)
{
	struct tps_control control = {.generation = 1};

	memcpy(control.secret, test_secret, sizeof(test_secret));
	harness_set_control(harness, &control);
	harness_set_tier(harness, 0, limit_frozen(HARNESS_DEFAULT_BURST));
	harness->slots = TPS_SLOT_STRANGERS + 1;
	harness->generation = 0;
}

void harness_open(struct harness *ret_harness, const struct harness_sizes *sizes)
{
	static const struct harness_sizes small;
	struct tps_bpf *gate;

	libbpf_set_print(quiet);
	gate = tps_bpf__open();
	if (!gate)
		err(1, "gate: open");
	size_maps(gate, sizes ? sizes : &small);
	if (tps_bpf__load(gate))
		err(1, "gate: load");
	*ret_harness = (struct harness){.gate = gate};
	set_up(ret_harness);
}

static void empty_hash(const struct bpf_map *map)
{
	__u8 key[128];

	while (!bpf_map_get_next_key(bpf_map__fd(map), NULL, key))
		if (bpf_map_delete_elem(bpf_map__fd(map), key))
			err(1, "map '%s'", bpf_map__name(map));
}

static void zero_array(const struct bpf_map *map)
{
	size_t bytes = (bpf_map__value_size(map) + 7) / 8 * 8;
	__u8 *zero = calloc(libbpf_num_possible_cpus(), bytes);

	if (!zero)
		err(1, "map '%s'", bpf_map__name(map));
	for (__u32 i = 0; i < bpf_map__max_entries(map); i++)
		put(map, &i, zero);
	free(zero);
}

static void reset_map(const struct bpf_map *map)
{
	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		empty_hash(map);
		break;
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		zero_array(map);
		break;
	default:
		errx(1, "map '%s': no way to reset it", bpf_map__name(map));
	}
}

void harness_clear(struct harness *harness)
{
	struct tps_bpf *gate = harness->gate;
	struct tps_listener listener;
	struct bpf_map *map;

	for (__u32 number = 1; number < TPS_LISTENERS_MAX; number++) {
		get(gate->maps.listeners, &number, &listener);
		set_ports(harness, &listener, 0);
	}
	/* ports is emptied by its listeners: it is large */
	bpf_object__for_each_map(map, gate->obj) if (!bpf_map__is_internal(map) &&
						     map != gate->maps.ports) reset_map(map);
}

void harness_reset(struct harness *harness)
{
	harness_clear(harness);
	set_up(harness);
}

void harness_close(struct harness *harness)
{
	tps_bpf__destroy(harness->gate);
	harness->gate = NULL;
}

struct bpf_object *harness_object(const struct harness *harness)
{
	return harness->gate->obj;
}

bucket_limit limit_frozen(__u32 burst)
{
	bucket_limit limit = limit_make(71ULL * BUCKET_NS_PER_SEC << BUCKET_VT_SHIFT, burst);

	if (!limit)
		errx(1, "a frozen burst of %u", burst);
	return limit;
}

bucket_limit limit_per_second(__u64 per_s, __u32 burst)
{
	bucket_limit limit = limit_make((BUCKET_NS_PER_SEC << BUCKET_VT_SHIFT) / per_s, burst);

	if (!limit)
		errx(1, "a limit of %llu/s", per_s);
	return limit;
}

/* ---- settings ---------------------------------------------------------------------------------
 */

struct tps_control harness_control(const struct harness *harness)
{
	struct tps_control control;
	__u32 zero = 0;

	get(harness->gate->maps.control, &zero, &control);
	return control;
}

void harness_set_control(const struct harness *harness, const struct tps_control *control)
{
	__u32 zero = 0;

	put(harness->gate->maps.control, &zero, control);
}

void harness_pause(const struct harness *harness, bool paused)
{
	struct tps_control control = harness_control(harness);

	control.paused = paused;
	control.epoch++;
	harness_set_control(harness, &control);
}

void harness_observe(const struct harness *harness, bool observe)
{
	struct tps_control control = harness_control(harness);

	control.observe = observe;
	control.epoch++;
	harness_set_control(harness, &control);
}

/* A syscall program's context is written back to where it came from. */
static struct tps_clocks read_clocks(const struct harness *harness)
{
	struct tps_clocks clocks = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &clocks, .ctx_size_in = sizeof(clocks));

	if (bpf_prog_test_run_opts(bpf_program__fd(harness->gate->progs.clocks), &run))
		err(1, "clocks");
	return clocks;
}

/* Both clocks just after jiffies moved. */
static struct tps_clocks next_tick(const struct harness *harness)
{
	struct tps_clocks before = read_clocks(harness), now = before;

	while (now.jiffies == before.jiffies)
		now = read_clocks(harness);
	return now;
}

void harness_use_ticks(const struct harness *harness)
{
	static const __u64 known_hz[] = {100, 250, 300, 1000};
	const struct timespec wait = {.tv_nsec = 100000000};
	struct tps_control control = harness_control(harness);
	struct tps_clocks from = next_tick(harness), to;
	__u64 hz;

	nanosleep(&wait, NULL);
	to = next_tick(harness);
	hz = ((to.jiffies - from.jiffies) * BUCKET_NS_PER_SEC + (to.ktime_ns - from.ktime_ns) / 2) /
	     (to.ktime_ns - from.ktime_ns);
	for (size_t i = 0; i < sizeof(known_hz) / sizeof(*known_hz); i++)
		if (hz > known_hz[i] * 9 / 10 && hz < known_hz[i] * 11 / 10)
			control.tick_ns = (BUCKET_NS_PER_SEC + known_hz[i] / 2) / known_hz[i];
	if (!control.tick_ns)
		errx(1, "jiffies move %llu times a second", hz);
	control.tick_offset_ns = to.ktime_ns - to.jiffies * control.tick_ns;
	harness_set_control(harness, &control);
}

void harness_set_tier(const struct harness *harness, __u32 tier, bucket_limit limit)
{
	struct tps_tier value = {.limit = limit, .burst = limit_burst(limit)};

	snprintf(value.name, sizeof(value.name), "tier-%u", tier);
	put(harness->gate->maps.tiers, &tier, &value);
}

void harness_set_default_tier(const struct harness *harness, __u32 tier)
{
	struct tps_control control = harness_control(harness);

	control.default_tier = tier;
	harness_set_control(harness, &control);
}

static void make_key_header(const char *name, struct tps_key_header *ret_header)
{
	__u8 *bytes = (__u8 *)ret_header->name, *fold = (__u8 *)ret_header->fold;

	ret_header->len = strlen(name);
	ret_header->bearer = !strcasecmp(name, "authorization");
	if (ret_header->len > TPS_HEADER_NAME_MAX)
		errx(1, "header '%s'", name);
	memset(ret_header->care, 0xff, ret_header->len);
	for (__u32 i = 0; i < ret_header->len; i++) {
		bytes[i] = tolower((unsigned char)name[i]);
		fold[i] = isalpha((unsigned char)name[i]) ? 0x20 : 0;
	}
}

void harness_set_listener(const struct harness *harness, __u32 number,
			  const struct harness_listener *listener)
{
	struct tps_control control = harness_control(harness);
	struct tps_listener old;
	struct tps_listener value = {
		.limit = listener->limit,
		.cost = listener->cost ? listener->cost : 1,
		.protocol = listener->protocol,
		.mode = listener->mode,
		.placement = listener->placement,
	};

	snprintf(value.name, sizeof(value.name), "listener-%u", number);
	while (value.port_count < TPS_PORTS_PER_LISTENER && listener->ports[value.port_count]) {
		value.port[value.port_count] = listener->ports[value.port_count];
		value.port_count++;
	}
	while (value.key_headers < TPS_KEY_HEADERS_MAX &&
	       listener->key_headers[value.key_headers]) {
		make_key_header(listener->key_headers[value.key_headers],
				&value.key_header[value.key_headers]);
		value.key_headers++;
	}
	if (value.protocol == TPS_PROTOCOL_HTTP && !value.key_headers)
		make_key_header("X-API-Key", &value.key_header[value.key_headers++]);
	get(harness->gate->maps.listeners, &number, &old);
	put(harness->gate->maps.listeners, &number, &value);
	set_ports(harness, &value, number);
	control.listeners += old.protocol == TPS_PROTOCOL_NONE;
	control.transit += (value.placement == TPS_PLACEMENT_TRANSIT) -
			   (old.placement == TPS_PLACEMENT_TRANSIT);
	harness_set_control(harness, &control);
}

void harness_delete_listener(const struct harness *harness, __u32 number)
{
	static const struct tps_listener none;
	struct tps_control control = harness_control(harness);
	struct tps_listener old;

	get(harness->gate->maps.listeners, &number, &old);
	set_ports(harness, &old, 0);
	put(harness->gate->maps.listeners, &number, &none);
	control.listeners--;
	control.transit -= old.placement == TPS_PLACEMENT_TRANSIT;
	harness_set_control(harness, &control);
}

static void set_limit(const struct harness *harness, struct tps_slot caller, __u32 tier,
		      bucket_limit own, __u32 flags)
{
	struct tps_limit limit = {
		.own = own,
		.generation = caller.generation,
		.tier = tier,
		.flags = flags,
	};

	put(harness->gate->maps.limits, &caller.slot, &limit);
}

struct tps_slot harness_add_caller(struct harness *harness, __u32 tier, bucket_limit own,
				   __u32 flags)
{
	struct tps_slot caller = {harness->slots++, ++harness->generation};

	set_limit(harness, caller, tier, own, flags);
	return caller;
}

void harness_set_own_limit(const struct harness *harness, struct tps_slot caller, bucket_limit own)
{
	struct tps_limit limit;

	get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.own = own;
	put(harness->gate->maps.limits, &caller.slot, &limit);
}

void harness_set_tier_of(const struct harness *harness, struct tps_slot caller, __u32 tier)
{
	struct tps_limit limit;

	get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.tier = tier;
	put(harness->gate->maps.limits, &caller.slot, &limit);
}

void harness_ban_caller(const struct harness *harness, struct tps_slot caller, __u64 until_ns)
{
	struct tps_limit limit;

	get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.banned_until_ns = until_ns;
	put(harness->gate->maps.limits, &caller.slot, &limit);
}

struct tps_slot harness_replace_caller(struct harness *harness, struct tps_slot caller, __u32 tier,
				       bucket_limit own)
{
	struct tps_slot tenant = {caller.slot, ++harness->generation};
	struct tps_counter *zero = calloc(libbpf_num_possible_cpus(), sizeof(*zero));
	struct tps_bucket full = {0};

	if (!zero)
		err(1, "counters");
	harness_set_bucket(harness, tenant, &full);
	put(harness->gate->maps.counters, &tenant.slot, zero);
	free(zero);
	set_limit(harness, tenant, tier, own, 0);
	return tenant;
}

/* "ADDRESS/BITS", host bits zeroed by whoever writes the test. */
static size_t parse_prefix(const char *text, __u8 ret_address[16], __u32 *ret_bits)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t bytes;

	snprintf(address, sizeof(address), "%.*s", slash ? (int)(slash - text) : 63, text);
	memset(ret_address, 0, 16);
	bytes = packet_address(address, ret_address);
	*ret_bits = slash ? (__u32)atoi(slash + 1) : bytes * 8;
	return bytes;
}

static void edit_source(const struct harness *harness, const struct tps_slot *caller,
			const char *prefix)
{
	struct tps_control control = harness_control(harness);
	__u8 address[16];
	__u32 bits;
	bool is_v6 = parse_prefix(prefix, address, &bits) == 16;
	struct bpf_map *map = is_v6 ? harness->gate->maps.sources6 : harness->gate->maps.sources4;
	struct tps_source6_key key = {.prefix_bits = bits}; /* begins like the IPv4 one */
	int change = caller ? 1 : -1;

	memcpy(key.address, address, sizeof(address));
	if (caller)
		put(map, &key, caller);
	else if (bpf_map_delete_elem(bpf_map__fd(map), &key))
		err(1, "source '%s'", prefix);
	control.sources4 += is_v6 ? 0 : change;
	control.sources6 += is_v6 ? change : 0;
	control.sources6_long += is_v6 && bits > 64 ? change : 0;
	control.generation++;
	harness_set_control(harness, &control);
}

void harness_add_source(const struct harness *harness, struct tps_slot caller, const char *prefix)
{
	edit_source(harness, &caller, prefix);
}

void harness_remove_source(const struct harness *harness, const char *prefix)
{
	edit_source(harness, NULL, prefix);
}

void harness_add_key(const struct harness *harness, struct tps_slot caller, const char *key)
{
	struct tps_key hash;

	siphash_128(test_secret, key, strlen(key), hash.hash);
	put(harness->gate->maps.keys, &hash, &caller);
}

static struct tps_ban_key ban_key(const char *prefix)
{
	struct tps_ban_key key = {0};

	key.family = parse_prefix(prefix, key.address, &key.prefix_bits) == 16 ? 6 : 4;
	return key;
}

static void set_ban_length(const struct harness *harness, const struct tps_ban_key *key, bool set)
{
	struct tps_control control = harness_control(harness);
	__u64 *word = key->family == 6 ? &control.ban_lengths6[key->prefix_bits / 64]
				       : &control.ban_lengths4;
	__u64 bit = 1ULL << key->prefix_bits % 64;

	*word = set ? *word | bit : *word & ~bit;
	harness_set_control(harness, &control);
}

void harness_ban(const struct harness *harness, const char *prefix, __u64 until_ns)
{
	struct tps_ban_key key = ban_key(prefix);
	struct tps_ban ban = {.until_ns = until_ns};

	put(harness->gate->maps.bans, &key, &ban);
	set_ban_length(harness, &key, true);
}

void harness_unban(const struct harness *harness, const char *prefix)
{
	struct tps_ban_key key = ban_key(prefix);

	set_ban_length(harness, &key, false);
	if (bpf_map_delete_elem(bpf_map__fd(harness->gate->maps.bans), &key))
		err(1, "ban '%s'", prefix);
}

/* ---- runs --------------------------------------------------------------------------------------
 */

static __u32 run(int program, const __u8 *frame, size_t len, __u32 times)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len, .repeat = times);

	if (bpf_prog_test_run_opts(program, &run))
		err(1, "test run of %zu bytes", len);
	return run.retval;
}

int harness_run_frame(const struct harness *harness, const __u8 *frame, size_t len)
{
	return run(bpf_program__fd(harness->gate->progs.gate), frame, len, 1);
}

int harness_run(const struct harness *harness, const struct packet *packet)
{
	__u8 frame[PACKET_BYTES_MAX];

	return harness_run_frame(harness, frame, packet_write(packet, frame));
}

void harness_repeat(const struct harness *harness, const struct packet *packet, __u32 times)
{
	__u8 frame[PACKET_BYTES_MAX];
	size_t len = packet_write(packet, frame);

	run(bpf_program__fd(harness->gate->progs.gate), frame, len, times);
}

int harness_run_egress(const struct harness *harness, const struct packet *packet)
{
	__u8 frame[PACKET_BYTES_MAX];

	return (int)run(bpf_program__fd(harness->gate->progs.egress), frame,
			packet_write(packet, frame), 1);
}

/* ---- readings ----------------------------------------------------------------------------------
 */

/* A listener's totals, summed over the CPUs: a struct of __u64 alone. */
static struct tps_totals totals(const struct harness *harness, __u32 listener)
{
	int cpus = libbpf_num_possible_cpus();
	struct tps_totals sum = {0}, *each = calloc(cpus, sizeof(*each));

	if (!each)
		err(1, "totals");
	get(harness->gate->maps.totals, &listener, each);
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(sum) / sizeof(__u64); i++)
			((__u64 *)&sum)[i] += ((__u64 *)&each[cpu])[i];
	free(each);
	return sum;
}

__u64 harness_transactions_of_tier(const struct harness *harness, __u32 listener, __u32 tier,
				   enum tps_verdict verdict)
{
	return totals(harness, listener).verdicts[tier][verdict];
}

__u64 harness_transactions(const struct harness *harness, __u32 listener, enum tps_verdict verdict)
{
	struct tps_totals sum = totals(harness, listener);
	__u64 count = 0;

	for (__u32 tier = 0; tier < TPS_TIERS_MAX; tier++)
		count += sum.verdicts[tier][verdict];
	return count;
}

__u64 harness_packets(const struct harness *harness, __u32 listener, enum tps_action action,
		      enum tps_reason reason)
{
	return totals(harness, listener).packets[action][reason];
}

__u64 harness_packets_all(const struct harness *harness, enum tps_action action)
{
	__u64 count = 0;

	for (__u32 listener = 0; listener < TPS_LISTENERS_MAX; listener++) {
		struct tps_totals sum = totals(harness, listener);

		for (__u32 reason = 0; reason < TPS_REASON_MAX; reason++)
			count += sum.packets[action][reason];
	}
	return count;
}

__u64 harness_notes(const struct harness *harness, __u32 listener, enum tps_reason reason)
{
	return totals(harness, listener).notes[reason];
}

__u64 harness_errors(const struct harness *harness)
{
#define CLASS_OF(id, text, class, help) [TPS_REASON_##id] = #class,
	static const char *const classes[] = {TPS_REASONS(CLASS_OF)};
	__u64 count = 0;

	for (__u32 listener = 0; listener < TPS_LISTENERS_MAX; listener++) {
		struct tps_totals sum = totals(harness, listener);

		for (__u32 reason = 0; reason < TPS_REASON_MAX; reason++) {
			if (strcmp(classes[reason], "error"))
				continue;
			count += sum.notes[reason];
			for (__u32 action = 0; action < TPS_ACTION_MAX; action++)
				count += sum.packets[action][reason];
		}
	}
	return count;
}

__u64 harness_caller_count(const struct harness *harness, struct tps_slot caller,
			   enum tps_verdict verdict)
{
	int cpus = libbpf_num_possible_cpus();
	struct tps_counter *each = calloc(cpus, sizeof(*each));
	__u64 count = 0;

	if (!each)
		err(1, "counters");
	get(harness->gate->maps.counters, &caller.slot, each);
	for (int cpu = 0; cpu < cpus; cpu++)
		count += each[cpu].verdicts[verdict];
	free(each);
	return count;
}

struct tps_bucket harness_bucket(const struct harness *harness, struct tps_slot caller)
{
	struct tps_bucket bucket;

	get(harness->gate->maps.buckets, &caller.slot, &bucket);
	return bucket;
}

void harness_set_bucket(const struct harness *harness, struct tps_slot caller,
			const struct tps_bucket *bucket)
{
	put(harness->gate->maps.buckets, &caller.slot, bucket);
}

bool harness_stranger(const struct harness *harness, const char *address,
		      struct tps_stranger *ret_stranger)
{
	struct tps_address key;
	__u8 bytes[16];

	if (packet_address(address, bytes) == 16) {
		memcpy(&key.word, bytes, 8);
		key.word = be64toh(key.word);
	} else {
		__u32 address_be;

		memcpy(&address_be, bytes, 4);
		key.word = TPS_ADDRESS_IPV4 | ntohl(address_be);
	}
	return !bpf_map_lookup_elem(bpf_map__fd(harness->gate->maps.strangers), &key, ret_stranger);
}

static __u32 count_entries(const struct bpf_map *map)
{
	__u8 key[64], next[64];
	void *at = NULL;
	__u32 count = 0;

	while (!bpf_map_get_next_key(bpf_map__fd(map), at, next)) {
		memcpy(key, next, sizeof(key));
		at = key;
		count++;
	}
	return count;
}

__u32 harness_strangers(const struct harness *harness)
{
	return count_entries(harness->gate->maps.strangers);
}

__u32 harness_flows(const struct harness *harness)
{
	return count_entries(harness->gate->maps.flows);
}

__u32 harness_keys(const struct harness *harness)
{
	return count_entries(harness->gate->maps.keys);
}

void harness_forget_flows(const struct harness *harness)
{
	empty_hash(harness->gate->maps.flows);
}

__u64 harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * BUCKET_NS_PER_SEC + now.tv_nsec;
}
