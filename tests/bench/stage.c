// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads the gate and, sharing its maps, the bench's programs.
 */
#include "bench/stage.h"

#include <arpa/inet.h>
#include <err.h>
#include <string.h>

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/hello.h"

#include "tests/bench/bench.skel.h"
#include "tps.skel.h"

void stage_write_frame(const struct packet *packet, struct frame_bytes *ret)
{
	ret->len = packet_write(packet, ret->bytes);
}

struct packet stage_syn(const char *source, __u16 port)
{
	return (struct packet){
		.source = source,
		.destination = SERVER,
		.source_port = 40000,
		.destination_port = port,
		.seq = 1000,
		.flags = PACKET_SYN,
	};
}

/* A request of exactly @bytes, as clients send them: the key, some common lines, and an id that
 * fills up. */
static void write_request(char *ret_text, size_t bytes)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\nX-API-Key: aaaaaaaa\r\n",
		"Host: api.example.com\r\n",
		"User-Agent: curl/7.88.1\r\n",
		"Accept: */*\r\n",
		"Accept-Encoding: gzip\r\n",
		"Accept-Language: en\r\n",
		"Connection: keep-alive\r\n",
		"Content-Type: application/json\r\n",
		"Referer: https://www.example.com/dashboard/settings/billing\r\n",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
		"Cookie: session=ZmFrZSBzZXNzaW9uIGNvb2tpZSB3aXRoIHNvbWUgYnl0ZXM; theme=dark\r\n",
		"X-Forwarded-For: 203.0.113.77, 198.51.100.12\r\n",
		"X-Forwarded-Proto: https\r\n",
		"Cache-Control: no-cache\r\n",
		"Sec-Fetch-Mode: cors\r\n",
		"Sec-Fetch-Site: same-origin\r\n",
		"If-None-Match: W/\"5f2b1c3d-9a7\"\r\n",
	};
	static const char id[] = "X-Request-Id: ", end[] = "\r\n\r\n";
	size_t at = 0, rest = sizeof(id) - 1 + sizeof(end) - 1 + 8;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		if (at + strlen(lines[i]) + rest > bytes)
			continue;
		memcpy(ret_text + at, lines[i], strlen(lines[i]));
		at += strlen(lines[i]);
	}
	memcpy(ret_text + at, id, sizeof(id) - 1);
	at += sizeof(id) - 1;
	memset(ret_text + at, '7', bytes - at - (sizeof(end) - 1));
	memcpy(ret_text + bytes - (sizeof(end) - 1), end, sizeof(end) - 1);
}

/* The stream's next request, of a client that knows of @swallowed bytes of its own and @injected of
 * the server's that the server does not. */
static void write_next(struct stage *stage, enum stage_stream which, __u32 swallowed,
		       __u32 injected)
{
	struct packet packet = live_packet(&stage->connection[which]);
	char text[2048];

	write_request(text, stage->request_bytes[which]);
	packet.seq += swallowed;
	packet.ack += injected;
	packet.payload = text;
	packet.payload_bytes = stage->request_bytes[which];
	stage_write_frame(&packet, &stage->request[which]);
}

/* A caller of this slot and key has made its first request on a connection that is still open. */
void stage_open_stream(struct stage *stage, enum stage_stream which, size_t bytes)
{
	struct live *live = &stage->connection[which];
	char text[2048];

	write_request(text, bytes);
	live_open(live, &stage->harness, stage->listener, CLIENT, SERVER, HTTP_PORT);
	if (live_send(live, &stage->harness, text, bytes) != XDP_PASS)
		errx(1, "the first request of %zu bytes was refused", bytes);
	stage->request_bytes[which] = bytes;
	write_next(stage, which, 0, 0);
}

struct packet stage_response(const struct stage *stage, enum stage_stream which, const char *text)
{
	struct packet next = live_packet(&stage->connection[which]);

	return (struct packet){
		.source = next.destination,
		.destination = next.source,
		.source_port = next.destination_port,
		.destination_port = next.source_port,
		.seq = next.ack,
		.ack = next.seq,
		.payload = text,
	};
}

struct tps_flow_key stage_flow_key(const struct stage *stage, enum stage_stream which)
{
	const struct live *live = &stage->connection[which];
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

/* The first answer is the egress program's, out of an ACK of the socket's: a test run has no such
 * socket. So what it leaves in the entry is written here. */
void stage_open_spliced(struct stage *stage, size_t bytes)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
	struct tps_splice splice = {
		.swallowed = bytes,
		.injected = 331, /* as long as an answer with a body is */
		.ifindex = 1,    /* lo, where test runs arrive */
		.window_shift = 7,
		.window_be = htons(502),
		.listener = BENCH_HTTP_LISTENER,
		.unacked = 1,
	};
	struct tps_flow_key key;
	struct packet packet;

	stage_open_stream(stage, STREAM_SPLICED, bytes);
	live_answer(&stage->connection[STREAM_SPLICED], &stage->harness, ok);
	packet = live_packet(&stage->connection[STREAM_SPLICED]);
	splice.asked_seq = packet.seq;
	splice.edge_seq = packet.ack;
	splice.sent_seq = packet.ack;
	key = stage_flow_key(stage, STREAM_SPLICED);
	if (bpf_map_update_elem(bpf_map__fd(stage->harness.gate->maps.spliced), &key, &splice, 0))
		err(1, "the bench's splice");
	write_next(stage, STREAM_SPLICED, splice.swallowed, splice.injected);
}

void stage_open_tls(struct stage *stage)
{
	live_open(&stage->connection[STREAM_TLS], &stage->harness, stage->tls_listener, CLIENT,
		  SERVER, TLS_PORT);
}

void stage_write_hello(const struct stage *stage, size_t bytes, bool name_last,
		       struct frame_bytes *ret)
{
	struct packet packet = live_packet(&stage->connection[STREAM_TLS]);
	static struct hello hello;

	hello_usual(&hello, "api.example.com", bytes, name_last);
	packet.payload = hello.bytes;
	packet.payload_bytes = hello.len;
	stage_write_frame(&packet, ret);
}

static void share_maps(struct stage *stage)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, stage->own->obj)
	{
		struct bpf_map *of_gate =
			bpf_object__find_map_by_name(stage->harness.gate->obj, bpf_map__name(map));

		if (of_gate && bpf_map__reuse_fd(map, bpf_map__fd(of_gate)))
			err(1, "map '%s'", bpf_map__name(map));
	}
}

static void set_target(struct stage *stage, __u32 target, int program)
{
	if (bpf_map_update_elem(bpf_map__fd(stage->own->maps.targets), &target, &program, 0))
		err(1, "a tail call");
}

void stage_open(struct stage *stage, const struct harness_sizes *sizes, __u32 floor_callers)
{
	struct packet packet;

	harness_open(&stage->harness, sizes);
	stage->own = bench_bpf__open();
	if (!stage->own)
		err(1, "bench: open");
	share_maps(stage);
	if (bpf_map__set_max_entries(stage->own->maps.floor_callers, floor_callers) ||
	    bpf_map__set_max_entries(stage->own->maps.bound_callers, floor_callers) ||
	    bench_bpf__load(stage->own))
		err(1, "bench: load");
	set_target(stage, BENCH_TARGET_NOTHING, bpf_program__fd(stage->own->progs.nothing));
	set_target(stage, BENCH_TARGET_GATE, bpf_program__fd(stage->harness.gate->progs.gate));
	set_target(stage, BENCH_TARGET_FLOOR, bpf_program__fd(stage->own->progs.floor_bucket));
	packet = stage_syn(CLIENT, TCP_PORT);
	stage_write_frame(&packet, &stage->syn);
}

void stage_close(struct stage *stage)
{
	bench_bpf__destroy(stage->own);
	harness_close(&stage->harness);
}

void stage_set_refusal(struct stage *stage, enum tps_refusal refusal)
{
	struct harness_listener http = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.refusal = refusal,
	};

	harness_set_listener(&stage->harness, BENCH_HTTP_LISTENER, &http);
}

void stage_set_tls_refusal(struct stage *stage, enum tps_refusal refusal)
{
	struct harness_listener tls = {
		.protocol = TPS_PROTOCOL_TLS,
		.ports = {TLS_PORT},
		.refusal = refusal,
	};

	harness_set_listener(&stage->harness, TLS_LISTENER, &tls);
}

/* Listeners, ticks, and limits that let everything pass. */
void stage_set_gate(struct stage *stage)
{
	static const struct harness_listener udp = {.protocol = TPS_PROTOCOL_UDP,
						    .ports = {UDP_PORT}};
	static const struct harness_listener tcp = {.protocol = TPS_PROTOCOL_TCP,
						    .ports = {TCP_PORT}};

	harness_use_ticks(&stage->harness);
	harness_set_tier(&stage->harness, 0, UNLIMITED);
	harness_set_listener(&stage->harness, UDP_LISTENER, &udp);
	harness_set_listener(&stage->harness, TCP_LISTENER, &tcp);
	stage_set_refusal(stage, TPS_REFUSAL_DROP);
	stage_set_tls_refusal(stage, TPS_REFUSAL_DROP);
}

struct bench_script script_fresh(void)
{
	return (struct bench_script){
		.random = 88172645463325252ULL,
		.limit = UNLIMITED,
		.target = BENCH_TARGET_GATE,
		.population = MILLION,
		.address = 0x0a000000,
	};
}

void script_set(struct stage *stage, const struct bench_script *script)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(stage->own->maps.script), &zero, script, 0))
		err(1, "script");
}

void script_get(struct stage *stage, struct bench_script *ret_script)
{
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(stage->own->maps.script), &zero, ret_script))
		err(1, "script");
}
