// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gate has counted, spent and remembered, read from its maps.
 */
#include "lib/harness.h"

#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/entries.h"

/* A listener's totals, summed over the CPUs: a struct of __u64 alone. */
static struct tps_totals totals(const struct harness *harness, __u32 listener)
{
	int cpus = libbpf_num_possible_cpus();
	struct tps_totals sum = {0}, *each = calloc(cpus, sizeof(*each));

	if (!each)
		err(1, "totals");
	entry_get(harness->gate->maps.totals, &listener, each);
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

__u64 harness_refusals(const struct harness *harness, __u32 listener, enum tps_refusal refusal,
		       enum tps_reason reason)
{
	return totals(harness, listener).refusals[refusal][reason];
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
	entry_get(harness->gate->maps.counters, &caller.slot, each);
	for (int cpu = 0; cpu < cpus; cpu++)
		count += each[cpu].verdicts[verdict];
	free(each);
	return count;
}

struct tps_bucket harness_bucket(const struct harness *harness, struct tps_slot caller)
{
	return harness_account(harness, caller).bucket;
}

struct tps_account harness_account(const struct harness *harness, struct tps_slot caller)
{
	struct tps_account account;

	entry_get(harness->gate->maps.buckets, &caller.slot, &account);
	return account;
}

void harness_set_bucket(const struct harness *harness, struct tps_slot caller,
			const struct tps_bucket *bucket)
{
	struct tps_account account = harness_account(harness, caller);

	account.bucket = *bucket;
	entry_put(harness->gate->maps.buckets, &caller.slot, &account);
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

/* IPv4 as ::ffff:a.b.c.d. */
static void flow_address(const char *text, __u32 ret_be[4])
{
	__u8 bytes[16];

	if (packet_address(text, bytes) == 16) {
		memcpy(ret_be, bytes, 16);
		return;
	}
	ret_be[0] = 0;
	ret_be[1] = 0;
	ret_be[2] = htonl(0xffff);
	memcpy(&ret_be[3], bytes, 4);
}

static struct tps_flow_key flow_key(const struct packet *client)
{
	struct tps_flow_key key = {
		.source_port_be = htons(client->source_port),
		.destination_port_be = htons(client->destination_port),
	};

	flow_address(client->source, key.source_be);
	flow_address(client->destination, key.destination_be);
	return key;
}

bool harness_splice(const struct harness *harness, const struct packet *client,
		    struct tps_splice *ret_splice)
{
	struct tps_flow_key key = flow_key(client);

	return !bpf_map_lookup_elem(bpf_map__fd(harness->gate->maps.spliced), &key, ret_splice);
}

void harness_set_splice(const struct harness *harness, const struct packet *client,
			const struct tps_splice *splice)
{
	struct tps_flow_key key = flow_key(client);
	__u32 port = client->destination_port, count = harness_splices_of_port(harness, port);
	struct tps_splice old;

	if (!harness_splice(harness, client, &old)) {
		count++;
		entry_put(harness->gate->maps.spliced_ports, &port, &count);
	}
	entry_put(harness->gate->maps.spliced, &key, splice);
}

__u32 harness_splices(const struct harness *harness)
{
	return count_entries(harness->gate->maps.spliced);
}

__u32 harness_splices_of_port(const struct harness *harness, __u16 port)
{
	__u32 index = port, count;

	entry_get(harness->gate->maps.spliced_ports, &index, &count);
	return count;
}

void harness_forget_flows(const struct harness *harness)
{
	entry_empty_hash(harness->gate->maps.flows);
}

__u64 harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * BUCKET_NS_PER_SEC + now.tv_nsec;
}
