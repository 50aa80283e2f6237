/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate and the bench's own programs, made ready: frames, a listener of each kind, connections
 * that stay open. Knows no path and no figure.
 */
#ifndef TPS_BENCH_STAGE_H
#define TPS_BENCH_STAGE_H

#include <stdbool.h>

#include <tps/bucket.h>

#include "bench/script.h"
#include "lib/harness.h"
#include "lib/live.h"
#include "lib/packet.h"

#define SERVER "192.0.2.1"
#define CLIENT "198.51.100.7"
#define HTTP_PORT 80
#define TCP_PORT 7000
#define TLS_PORT 443
#define UDP_PORT 5353
#define UDP_LISTENER 1
#define TCP_LISTENER 2
#define TLS_LISTENER 4
#define MILLION 1000000
#define MILLION_CAPACITY (1 << 20)

/* No bucket that a bench could empty: a token each 1/64 ns. Coarse, so that jiffies may be read; as
 * are most limits (any burst that lasts 32 ms at 250 Hz). */
#define UNLIMITED ((bucket_limit)0xffffffff << 32 | 1)

struct bench_bpf;

struct frame_bytes {
	__u8 bytes[PACKET_BYTES_MAX];
	size_t len;
};

enum stage_stream { STREAM_250, STREAM_900, STREAM_LOOKUP, STREAM_SPLICED, STREAM_TLS, STREAM_MAX };

struct stage {
	struct harness harness;
	struct bench_bpf *own;
	struct frame_bytes syn;
	struct frame_bytes request[STREAM_MAX]; /* of connection[] */
	struct live connection[STREAM_MAX];
	__u32 request_bytes[STREAM_MAX];
	int listener;
	int tls_listener;
	bool quiet;
};

/* The gate with maps of @sizes, floor b with @floor_callers; @stage keeps its listener. */
void stage_open(struct stage *stage, const struct harness_sizes *sizes, __u32 floor_callers);
void stage_close(struct stage *stage);
/* Listeners, ticks, and limits that let everything pass. */
void stage_set_gate(struct stage *stage);
/* What becomes of a handshake that is refused. */
void stage_set_tls_refusal(struct stage *stage, enum tps_refusal refusal);
/* What becomes of a request to the http listener that is refused; by default it is dropped. */
void stage_set_refusal(struct stage *stage, enum tps_refusal refusal);
/* A connection whose client has made its first request of @bytes, and may make the next. */
void stage_open_stream(struct stage *stage, enum stage_stream which, size_t bytes);
/* The server has answered it, and a request was refused with an answer since: STREAM_SPLICED, whose
 * next request of @bytes can be answered at once. The answers' numbers are made up. */
void stage_open_spliced(struct stage *stage, size_t bytes);

/* A connection whose client is about to send its hello: STREAM_TLS. */
void stage_open_tls(struct stage *stage);
/* Its hello, of @bytes, with the server name first or last. */
void stage_write_hello(const struct stage *stage, size_t bytes, bool name_last,
		       struct frame_bytes *ret);

/* What the server would send on it next. */
struct packet stage_response(const struct stage *stage, enum stage_stream which, const char *text);
/* The stream's connection, as the gate's maps name it. */
struct tps_flow_key stage_flow_key(const struct stage *stage, enum stage_stream which);

struct packet stage_syn(const char *source, __u16 port);
void stage_write_frame(const struct packet *packet, struct frame_bytes *ret);

/* What the wrappers do: go on to the gate, with callers drawn from a million. */
struct bench_script script_fresh(void);
void script_set(struct stage *stage, const struct bench_script *script);
void script_get(struct stage *stage, struct bench_script *ret_script);

#endif
