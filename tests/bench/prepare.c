// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets limits and scripts. Knows what an entry of `flows` must look like before a request.
 */
#include "bench/prepare.h"

#include <arpa/inet.h>
#include <err.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tps.skel.h"

void prepare_allow(struct stage *stage)
{
	struct bench_script script = script_fresh();

	script_set(stage, &script);
	harness_set_tier(&stage->harness, 0, UNLIMITED);
}

void prepare_refuse(struct stage *stage)
{
	harness_set_tier(&stage->harness, 0, limit_frozen(1));
	harness_run_frame(&stage->harness, stage->syn.bytes, stage->syn.len);
}

void prepare_floor_at_million(struct stage *stage)
{
	struct bench_script script = script_fresh();

	script.target = BENCH_TARGET_FLOOR;
	script_set(stage, &script);
}

void prepare_all_new(struct stage *stage)
{
	struct bench_script script = script_fresh();

	harness_set_tier(&stage->harness, 0, UNLIMITED);
	script.random += harness_now_ns();
	script.population = 0x70000000;
	script_set(stage, &script);
}

static struct tps_flow_key flow_key_of(const struct live *live)
{
	__u8 source[16], destination[16];
	struct tps_flow_key key = {
		.source_be = {0, 0, htonl(0xffff)},
		.destination_be = {0, 0, htonl(0xffff)},
		.source_port_be = htons(live->client_port),
		.destination_port_be = htons(live->server_port),
	};

	packet_address(live->client_address, source);
	packet_address(live->server_address, destination);
	memcpy(&key.source_be[3], source, 4);
	memcpy(&key.destination_be[3], destination, 4);
	return key;
}

static struct tps_flow flow_of(const struct stage *stage, const struct tps_flow_key *key)
{
	struct tps_flow flow;

	if (bpf_map_lookup_elem(bpf_map__fd(stage->harness.gate->maps.flows), key, &flow))
		err(1, "the bench's flow");
	return flow;
}

static void prepare_stream(struct stage *stage, int which)
{
	struct tps_flow_key key = flow_key_of(&stage->connection[which]);
	struct bench_script script = script_fresh();

	harness_set_tier(&stage->harness, 0, UNLIMITED);
	script.seq = flow_of(stage, &key).next_seq;
	script.payload_bytes = stage->request_bytes[which];
	script_set(stage, &script);
}

void prepare_250(struct stage *stage)
{
	prepare_stream(stage, STREAM_250);
}

void prepare_900(struct stage *stage)
{
	prepare_stream(stage, STREAM_900);
}

/* The entry as it stands before the request; the ack that it proved is not the request's. */
void prepare_lookup(struct stage *stage)
{
	static bool kept;
	static struct tps_flow before;
	struct bench_script script = script_fresh();
	struct packet packet = live_packet(&stage->connection[STREAM_LOOKUP]);

	harness_set_tier(&stage->harness, 0, UNLIMITED);
	script.flow = flow_key_of(&stage->connection[STREAM_LOOKUP]);
	if (!kept)
		before = flow_of(stage, &script.flow);
	kept = true;
	before.proven_ack = packet.ack - 1;
	script.before = before;
	script_set(stage, &script);
}
