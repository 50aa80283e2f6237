// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a test sets, written straight to the maps. Knows their layout, not what the gate makes of
 * it.
 */
#include "lib/harness.h"

#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/siphash.h>

#include "lib/entries.h"

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

struct tps_control harness_control(const struct harness *harness)
{
	struct tps_control control;
	__u32 zero = 0;

	entry_get(harness->gate->maps.control, &zero, &control);
	return control;
}

void harness_set_control(const struct harness *harness, const struct tps_control *control)
{
	__u32 zero = 0;

	entry_put(harness->gate->maps.control, &zero, control);
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
	entry_put(harness->gate->maps.tiers, &tier, &value);
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
		.refusal = listener->refusal,
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
	entry_get(harness->gate->maps.listeners, &number, &old);
	entry_put(harness->gate->maps.listeners, &number, &value);
	entry_put_ports(harness->gate, &value, number);
	control.listeners += old.protocol == TPS_PROTOCOL_NONE;
	control.transit += (value.placement == TPS_PLACEMENT_TRANSIT) -
			   (old.placement == TPS_PLACEMENT_TRANSIT);
	control.enforcing +=
		(value.mode == TPS_MODE_ENFORCE) - (old.protocol && old.mode == TPS_MODE_ENFORCE);
	harness_set_control(harness, &control);
}

void harness_delete_listener(const struct harness *harness, __u32 number)
{
	static const struct tps_listener none;
	struct tps_control control = harness_control(harness);
	struct tps_listener old;

	entry_get(harness->gate->maps.listeners, &number, &old);
	entry_put_ports(harness->gate, &old, 0);
	entry_put(harness->gate->maps.listeners, &number, &none);
	control.listeners--;
	control.transit -= old.placement == TPS_PLACEMENT_TRANSIT;
	control.enforcing -= old.mode == TPS_MODE_ENFORCE;
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

	entry_put(harness->gate->maps.limits, &caller.slot, &limit);
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

	entry_get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.own = own;
	entry_put(harness->gate->maps.limits, &caller.slot, &limit);
}

void harness_set_tier_of(const struct harness *harness, struct tps_slot caller, __u32 tier)
{
	struct tps_limit limit;

	entry_get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.tier = tier;
	entry_put(harness->gate->maps.limits, &caller.slot, &limit);
}

void harness_ban_caller(const struct harness *harness, struct tps_slot caller, __u64 until_ns)
{
	struct tps_limit limit;

	entry_get(harness->gate->maps.limits, &caller.slot, &limit);
	limit.banned_until_ns = until_ns;
	entry_put(harness->gate->maps.limits, &caller.slot, &limit);
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
	entry_put(harness->gate->maps.counters, &tenant.slot, zero);
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
		entry_put(map, &key, caller);
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
	struct tps_control control = harness_control(harness);
	struct tps_key_owner owner = {.slot = caller};
	struct tps_key hash;

	siphash_128(control.secret, key, strlen(key), hash.hash);
	entry_put(harness->gate->maps.keys, &hash, &owner);
}

void harness_add_name(const struct harness *harness, struct tps_slot caller, const char *name)
{
	struct tps_control control = harness_control(harness);
	struct tps_host host = {.slot = caller};
	bool is_suffix = name[0] == '*';
	const char *hashed = name + is_suffix;
	size_t len = strlen(hashed);
	char backwards[TPS_HOST_BYTES_MAX];
	struct tps_key key;
	__u32 dots = 0;

	if (len > sizeof(backwards))
		errx(1, "server name '%s'", name);
	for (size_t i = 0; i < len; i++) {
		backwards[i] = tolower((unsigned char)hashed[len - 1 - i]);
		dots += hashed[i] == '.';
	}
	for (size_t i = 0; name[i]; i++)
		host.name[i] = tolower((unsigned char)name[i]);
	siphash_128(control.secret, backwards, len, key.hash);
	entry_put(harness->gate->maps.hosts, &key, &host);
	/* ".example.com" has a dot for each of its labels */
	control.host_depths |= 1U << (is_suffix ? dots : 0);
	harness_set_control(harness, &control);
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

	entry_put(harness->gate->maps.bans, &key, &ban);
	set_ban_length(harness, &key, true);
}

void harness_unban(const struct harness *harness, const char *prefix)
{
	struct tps_ban_key key = ban_key(prefix);

	set_ban_length(harness, &key, false);
	if (bpf_map_delete_elem(bpf_map__fd(harness->gate->maps.bans), &key))
		err(1, "ban '%s'", prefix);
}
