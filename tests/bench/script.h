/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the bench and its BPF programs agree on.
 */
#ifndef TPS_BENCH_SCRIPT_H
#define TPS_BENCH_SCRIPT_H

#include <linux/types.h>

#include <tps/abi.h>

/* Where things are in the bench's frames: Ethernet, IPv4 and TCP without options. */
#define BENCH_TCP_AT 34
#define BENCH_PAYLOAD_AT 54
/* of the key in "GET / HTTP/1.1\r\nX-API-Key: aaaaaaaa" */
#define BENCH_KEY_AT (BENCH_PAYLOAD_AT + 27)

#define BENCH_HTTP_LISTENER 3

/* Of the frame that wrap_answered writes again: a power of two. */
#define BENCH_FRAME_MAX 1024

enum bench_target { BENCH_TARGET_NOTHING, BENCH_TARGET_GATE, BENCH_TARGET_FLOOR, BENCH_TARGET_MAX };

/* The part of a spliced connection's entry that an answer changes. */
struct bench_counts {
	__u32 swallowed;
	__u32 injected;
	__u32 swallowed_before;
	__u32 injected_before;
	__u32 asked_seq;
	__u32 edge_seq;
};

struct bench_script {
	__u64 random; /* state, never 0 */
	__u64 limit;  /* bucket_limit of floor b */
	__u32 target;
	__u32 population;
	__u32 address; /* of the first source, host order */
	__u32 seq;     /* of the next request of the stream */
	__u32 payload_bytes;
	struct tps_flow_key flow;
	struct tps_flow before;
	struct bench_counts counts; /* of the flow's entry of `spliced`, before */
	__u32 frame_bytes;
	__u8 frame[BENCH_FRAME_MAX];
};

#endif
