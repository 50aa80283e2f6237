// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets limits and scripts. Knows what the entries of a connection must look like before a request.
 */
#include "bench/prepare.h"

#include <err.h>
#include <string.h>

#include <linux/bpf.h>
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

static struct tps_flow flow_of(const struct stage *stage, const struct tps_flow_key *key)
{
	struct tps_flow flow;

	if (bpf_map_lookup_elem(bpf_map__fd(stage->harness.gate->maps.flows), key, &flow))
		err(1, "the bench's flow");
	return flow;
}

static void prepare_stream(struct stage *stage, int which)
{
	struct tps_flow_key key = stage_flow_key(stage, which);
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
	script.flow = stage_flow_key(stage, STREAM_LOOKUP);
	if (!kept)
		before = flow_of(stage, &script.flow);
	kept = true;
	before.proven_ack = packet.ack - 1;
	script.before = before;
	script_set(stage, &script);
}

static void set_spliced_connections(struct stage *stage, __u32 count)
{
	__u32 port = HTTP_PORT;

	if (bpf_map_update_elem(bpf_map__fd(stage->harness.gate->maps.spliced_ports), &port, &count,
				0))
		err(1, "spliced_ports");
}

/* Entries and frame as they stand before the request; the warm-up spends the one token. */
static void prepare_refused(struct stage *stage, enum tps_refusal refusal)
{
	const struct frame_bytes *frame = &stage->request[STREAM_SPLICED];
	static bool kept;
	static struct tps_flow before;
	static struct tps_splice splice;
	struct bench_script script = script_fresh();

	set_spliced_connections(stage, 1);
	stage_set_refusal(stage, refusal);
	harness_set_tier(&stage->harness, 0, limit_frozen(1));
	script.flow = stage_flow_key(stage, STREAM_SPLICED);
	if (!kept) {
		before = flow_of(stage, &script.flow);
		if (bpf_map_lookup_elem(bpf_map__fd(stage->harness.gate->maps.spliced),
					&script.flow, &splice))
			err(1, "the bench's splice");
	}
	kept = true;
	script.before = before;
	script.counts = (struct bench_counts){
		.swallowed = splice.swallowed,
		.injected = splice.injected,
		.swallowed_before = splice.swallowed_before,
		.injected_before = splice.injected_before,
		.asked_seq = splice.asked_seq,
		.edge_seq = splice.edge_seq,
	};
	if (frame->len > sizeof(script.frame))
		errx(1, "a frame of %zu bytes", frame->len);
	script.frame_bytes = frame->len;
	memcpy(script.frame, frame->bytes, frame->len);
	script_set(stage, &script);
}

void prepare_answered(struct stage *stage)
{
	prepare_refused(stage, TPS_REFUSAL_ANSWER);
}

void prepare_dropped(struct stage *stage)
{
	prepare_refused(stage, TPS_REFUSAL_DROP);
}

/* The entry as the connection's first byte would find it, had the host been asked already. */
void prepare_hello_known(struct stage *stage)
{
	struct bench_script script = script_fresh();
	struct packet packet = live_packet(&stage->connection[STREAM_TLS]);

	prepare_bound(stage);
	script.flow = stage_flow_key(stage, STREAM_TLS);
	script.before = flow_of(stage, &script.flow);
	memset(&script.before.hello, 0, sizeof(script.before.hello));
	script.before.bound.generation = 0;
	script.before.next_seq = packet.seq;
	script_set(stage, &script);
}

void prepare_hello(struct stage *stage)
{
	struct bench_script script = script_fresh();

	harness_set_tier(&stage->harness, 0, UNLIMITED);
	script.flow = stage_flow_key(stage, STREAM_TLS);
	script_set(stage, &script);
}

/* The frame that is measured lies behind this one's hello. */
void prepare_bound(struct stage *stage)
{
	struct frame_bytes hello;

	prepare_hello(stage);
	stage_write_hello(stage, 517, false, &hello);
	if (harness_run_frame(&stage->harness, hello.bytes, hello.len) != XDP_PASS)
		errx(1, "the bench's hello was refused");
}

static void prepare_tls_refused(struct stage *stage, enum tps_refusal refusal)
{
	struct bench_script script = script_fresh();
	struct frame_bytes hello;

	stage_set_tls_refusal(stage, refusal);
	harness_set_tier(&stage->harness, 0, limit_frozen(1));
	script.flow = stage_flow_key(stage, STREAM_TLS);
	stage_write_hello(stage, 517, false, &hello);
	script.frame_bytes = hello.len;
	memcpy(script.frame, hello.bytes, hello.len);
	bpf_map_delete_elem(bpf_map__fd(stage->harness.gate->maps.flows), &script.flow);
	harness_run_frame(&stage->harness, hello.bytes, hello.len);
	bpf_map_delete_elem(bpf_map__fd(stage->harness.gate->maps.flows), &script.flow);
	script_set(stage, &script);
}

/* The warm-up spends the one token. */
void prepare_denied(struct stage *stage)
{
	prepare_tls_refused(stage, TPS_REFUSAL_ANSWER);
}

void prepare_hello_dropped(struct stage *stage)
{
	prepare_tls_refused(stage, TPS_REFUSAL_DROP);
}

void prepare_unspliced_port(struct stage *stage)
{
	set_spliced_connections(stage, 0);
}

void prepare_spliced_port(struct stage *stage)
{
	set_spliced_connections(stage, 1);
}
