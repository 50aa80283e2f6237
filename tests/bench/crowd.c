// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills maps in batches; the million callers go through libtps, as an operator's would.
 */
#include "bench/crowd.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/siphash.h>

#include "caller.h"
#include "gate.h"

#include "tests/bench/bench.skel.h"
#include "tps.skel.h"

void crowd_add_floor_caller(struct stage *stage, const char *address)
{
	__u8 address_be[16];
	__u64 word = 0;

	packet_address(address, address_be);
	if (bpf_map_update_elem(bpf_map__fd(stage->own->maps.floor_callers), address_be, &word, 0))
		err(1, "floor");
}

/* Prefix lengths as routing tables and customer lists have them: mostly /24, many hosts. */
static __u32 prefix_bits(__u32 i)
{
	static const __u8 mix[] = {24, 24, 24, 24, 24, 24, 24, 24, 24, 32, 32, 32, 32, 22, 22,
				   23, 23, 20, 21, 16, 19, 18, 28, 29, 30, 27, 26, 25, 17, 31};

	return mix[i % sizeof(mix)];
}

/* Everywhere but in 198.51.100.0/22 and below 32.0.0.0, where the bench's strangers are. */
void crowd_add_prefixes(struct stage *stage, struct tps_slot caller)
{
	struct tps_control control = harness_control(&stage->harness);
	struct tps_source4_key *keys = calloc(PREFIXES, sizeof(*keys));
	struct tps_slot *slots = calloc(PREFIXES, sizeof(*slots));
	__u32 added = 0, count, address = 0x20000001;

	if (!keys || !slots)
		err(1, "prefixes");
	for (__u32 i = 0; added < PREFIXES; i++) {
		__u32 bits = prefix_bits(i), prefix;

		address = address * 1664525 + 1013904223; /* Knuth's generator */
		prefix = address & ~0U << (32 - bits);
		if (prefix < 0x20000000 || prefix >> 16 == 0xc633)
			continue;
		keys[added] = (struct tps_source4_key){bits, htonl(prefix)};
		slots[added++] = caller;
	}
	count = added;
	if (bpf_map_update_batch(bpf_map__fd(stage->harness.gate->maps.sources4), keys, slots,
				 &count, NULL))
		err(1, "prefixes");
	control.sources4 += added;
	control.generation++;
	harness_set_control(&stage->harness, &control);
	free(keys);
	free(slots);
}

/* A million of each: addresses from 10.0.0.0 on, as strangers and as floor b's callers. */
void crowd_add_addresses(struct stage *stage)
{
	struct tps_address *addresses = calloc(MILLION, sizeof(*addresses));
	struct tps_stranger *strangers = calloc(MILLION, sizeof(*strangers));
	__u32 *floor_addresses = calloc(MILLION, sizeof(*floor_addresses));
	__u64 *words = calloc(MILLION, sizeof(*words));
	__u32 count = MILLION;

	if (!addresses || !strangers || !floor_addresses || !words)
		err(1, "a million addresses");
	for (__u32 i = 0; i < MILLION; i++) {
		addresses[i].word = TPS_ADDRESS_IPV4 | (0x0a000000 + i);
		floor_addresses[i] = htonl(0x0a000000 + i);
	}
	if (bpf_map_update_batch(bpf_map__fd(stage->harness.gate->maps.strangers), addresses,
				 strangers, &count, NULL))
		err(1, "a million strangers");
	count = MILLION;
	if (bpf_map_update_batch(bpf_map__fd(stage->own->maps.floor_callers), floor_addresses,
				 words, &count, NULL))
		err(1, "a million addresses of floor b");
	free(addresses);
	free(strangers);
	free(floor_addresses);
	free(words);
}

static void key_text(__u32 caller, char ret_text[8])
{
	for (int i = 0; i < 8; i++)
		ret_text[i] = 'a' + (caller >> 4 * i & 15);
}

/* A million keyed callers by the way that loads a policy. Returns how many seconds it took. */
double crowd_load_callers(struct stage *stage)
{
	struct tps_caller_spec *specs = calloc(MILLION, sizeof(*specs));
	struct tps_key *keys = calloc(MILLION, sizeof(*keys));
	char(*names)[16] = calloc(MILLION, sizeof(*names));
	struct tps_control control = harness_control(&stage->harness);
	struct tps_gate *gate = NULL;
	struct tps_why why = {0};
	__u64 from_ns;
	double seconds;

	if (!specs || !keys || !names)
		err(1, "a million callers");
	for (__u32 i = 0; i < MILLION; i++) {
		char text[8];

		key_text(i, text);
		siphash_128(control.secret, text, sizeof(text), keys[i].hash);
		snprintf(names[i], sizeof(names[i]), "caller-%u", i);
		specs[i] = (struct tps_caller_spec){
			.name = names[i], .keys = &keys[i], .key_count = 1};
	}
	if (tps_gate_adopt(stage->harness.gate->obj, control.secret, &gate, &why))
		errx(1, "adopt: %s", why.text);
	from_ns = harness_now_ns();
	if (tps_callers_load(gate, specs, MILLION, &why))
		errx(1, "load: %s", why.text);
	seconds = (harness_now_ns() - from_ns) / 1e9;
	tps_gate_close(gate);
	free(specs);
	free(keys);
	free(names);
	return seconds;
}

/* Who a flow may be bound to: the callers as their slots stand in the gate. */
void crowd_list_callers(struct stage *stage)
{
	struct tps_slot *slots = calloc(MILLION, sizeof(*slots));
	__u32 *indices = calloc(MILLION, sizeof(*indices));
	__u32 count = MILLION, found = 0;

	if (!slots || !indices)
		err(1, "a million callers");
	for (__u32 slot = 1; slot < MILLION_CAPACITY && found < MILLION; slot++) {
		struct tps_limit limit;

		if (bpf_map_lookup_elem(bpf_map__fd(stage->harness.gate->maps.limits), &slot,
					&limit))
			err(1, "slot %u", slot);
		if (!limit.generation)
			continue;
		indices[found] = found;
		slots[found++] = (struct tps_slot){slot, limit.generation};
	}
	if (found != MILLION || bpf_map_update_batch(bpf_map__fd(stage->own->maps.bound_callers),
						     indices, slots, &count, NULL))
		err(1, "a million slots, %u found", found);
	free(slots);
	free(indices);
}
