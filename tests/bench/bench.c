// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nanoseconds a packet on each of the gate's paths, beside two floors that run in the same go:
 * dropping at once, and the least that limits by address. Knows the bounds that the paths must
 * keep; ratios matter, absolute figures are this machine's.
 */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/libbpf.h>

#include "bench/crowd.h"
#include "bench/measure.h"
#include "bench/prepare.h"
#include "bench/report.h"
#include "bench/stage.h"

#include "tests/bench/bench.skel.h"
#include "tps.skel.h"

#define LOAD_SECONDS_MAX 10.0
#define QUICK_SLACK 0.15
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int tries_max = 1; /* before a path counts as over its bound */

/* Measured again while a path was over its bound each time: a path that has become slower is. */
static void bench_paths(struct stage *stage, const char *title, struct path *paths, size_t count,
			size_t floor)
{
	do
		measure_all(stage, paths, count, floor);
	while (paths->tries < tries_max && report_missed(paths, count));
	report_paths(title, paths, count);
}

static void bench_speed(struct stage *stage)
{
	struct bench_bpf *own;
	struct frame_bytes other_port, datagram, syn6;
	struct packet packet = stage_syn(CLIENT, 22);
	struct tps_slot caller;
	int gate;

	stage_open(stage, NULL, 16);
	stage_set_gate(stage);
	own = stage->own;
	gate = bpf_program__fd(stage->harness.gate->progs.gate);
	crowd_add_floor_caller(stage, CLIENT);
	caller = harness_add_caller(&stage->harness, 0, 0, 0);
	harness_add_key(&stage->harness, caller, "aaaaaaaa");
	stage_open_stream(stage, STREAM_250, 250);
	stage_open_stream(stage, STREAM_900, 900);
	stage_open_stream(stage, STREAM_LOOKUP, 250);
	stage_write_frame(&packet, &other_port);
	packet = stage_syn("2001:db8:7::7", TCP_PORT);
	packet.destination = "2001:db8:1::1";
	stage_write_frame(&packet, &syn6);
	packet = stage_syn(CLIENT, UDP_PORT);
	packet.kind = PACKET_UDP;
	packet.payload = "query";
	stage_write_frame(&packet, &datagram);

	struct path paths[] = {
		{"XDP_DROP at once (floor a)", 0, prepare_allow,
		 bpf_program__fd(own->progs.floor_drop), .frame = &stage->syn, .action = XDP_DROP},
		{"parse, one hash lookup, ktime, one CAS (floor b)", 0, prepare_allow,
		 bpf_program__fd(own->progs.floor_bucket), .frame = &stage->syn,
		 .action = XDP_PASS},
		{"not a listener's packet", 0.6, prepare_allow, gate, .frame = &other_port,
		 .action = XDP_PASS},
		{"stranger's SYN, allowed", 0.95, prepare_allow, gate, .frame = &stage->syn,
		 .action = XDP_PASS},
		{"stranger's SYN, refused", 0.95, prepare_refuse, gate, .frame = &stage->syn,
		 .action = XDP_DROP},
		{"stranger's SYN, IPv6, allowed", 0, prepare_allow, gate, .frame = &syn6,
		 .action = XDP_PASS},
		{"stranger's datagram, allowed", 0, prepare_allow, gate, .frame = &datagram,
		 .action = XDP_PASS},
		{"keyed request of 250 B on a live flow", 3.5, prepare_250,
		 bpf_program__fd(own->progs.wrap_stream), .wrapped = true,
		 .frame = &stage->request[STREAM_250], .action = XDP_PASS},
		{"keyed request of 900 B on a live flow", 5.0, prepare_900,
		 bpf_program__fd(own->progs.wrap_stream), .wrapped = true,
		 .frame = &stage->request[STREAM_900], .action = XDP_PASS},
		{"keyed request of 250 B, the host's socket asked", 0, prepare_lookup,
		 bpf_program__fd(own->progs.wrap_flow), .wrapped = true,
		 .frame = &stage->request[STREAM_LOOKUP], .action = XDP_PASS},
	};

	bench_paths(stage, "speed, no prefixes and no bans set", paths, COUNT(paths), 1);
	for (size_t i = 0; i < STREAM_SPLICED; i++)
		live_close(&stage->connection[i]);
	stage_close(stage);
}

static void bench_hellos(struct stage *stage)
{
	static struct frame_bytes short_first, long_last, data;
	struct bench_bpf *own;
	struct packet packet;
	struct tps_slot caller;
	int gate;

	stage_open(stage, NULL, 16);
	stage_set_gate(stage);
	own = stage->own;
	gate = bpf_program__fd(stage->harness.gate->progs.gate);
	crowd_add_floor_caller(stage, CLIENT);
	caller = harness_add_caller(&stage->harness, 0, 0, 0);
	harness_add_name(&stage->harness, caller, "api.example.com");
	stage_open_tls(stage);
	stage_write_hello(stage, 517, false, &short_first);
	stage_write_hello(stage, 1755, true, &long_last);
	packet = live_packet(&stage->connection[STREAM_TLS]);
	packet.seq += 517;
	packet.payload = "\x17\x03\x03 application data";
	stage_write_frame(&packet, &data);

	struct path paths[] = {
		{"floor b", 0, prepare_allow, bpf_program__fd(own->progs.floor_bucket),
		 .frame = &stage->syn, .action = XDP_PASS},
		{"ClientHello of 517 B, its flow bound", 4.5, prepare_hello_known,
		 bpf_program__fd(own->progs.wrap_flow), .wrapped = true, .frame = &short_first,
		 .action = XDP_PASS},
		{"ClientHello of 1755 B, its name last", 6.0, prepare_hello_known,
		 bpf_program__fd(own->progs.wrap_flow), .wrapped = true, .frame = &long_last,
		 .action = XDP_PASS},
		{"ClientHello of 517 B, the host's socket asked, an entry made", 0, prepare_hello,
		 bpf_program__fd(own->progs.wrap_hello), .wrapped = true, .frame = &short_first,
		 .action = XDP_PASS},
		{"application data of a bound flow", 1.0, prepare_bound, gate, .frame = &data,
		 .action = XDP_PASS},
		{"ClientHello of 517 B, refused with an alert", 13, prepare_denied,
		 bpf_program__fd(own->progs.wrap_denied), .wrapped = true, .frame = &short_first,
		 .action = XDP_PASS},
		{"the same hello, dropped", 0, prepare_hello_dropped, gate, .frame = &short_first,
		 .action = XDP_DROP},
	};

	bench_paths(stage, "handshakes", paths, COUNT(paths), 0);
	if (harness_caller_count(&stage->harness, caller, TPS_VERDICT_ALLOWED) <
	    (__u64)2 * measure_rounds * RUNS)
		errx(1, "not every handshake was its caller's");
	if (harness_caller_count(&stage->harness, caller, TPS_VERDICT_REFUSED) <
	    (__u64)2 * measure_rounds * RUNS)
		errx(1, "not every handshake that was refused was its caller's");
	live_close(&stage->connection[STREAM_TLS]);
	stage_close(stage);
}

static void bench_refusals(struct stage *stage)
{
	struct bench_bpf *own;
	struct frame_bytes response;
	struct packet packet;
	struct tps_slot caller;
	int egress;

	stage_open(stage, NULL, 16);
	stage_set_gate(stage);
	own = stage->own;
	egress = bpf_program__fd(stage->harness.gate->progs.egress);
	crowd_add_floor_caller(stage, CLIENT);
	caller = harness_add_caller(&stage->harness, 0, 0, 0);
	harness_add_key(&stage->harness, caller, "aaaaaaaa");
	stage_open_stream(stage, STREAM_250, 250);
	stage_open_spliced(stage, 250);
	packet = stage_response(stage, STREAM_250,
				"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
	stage_write_frame(&packet, &response);

	struct path paths[] = {
		{"floor b", 0, prepare_allow, bpf_program__fd(own->progs.floor_bucket),
		 .frame = &stage->syn, .action = XDP_PASS},
		{"keyed request of 250 B, answered with 429 on its connection", 11,
		 prepare_answered, bpf_program__fd(own->progs.wrap_answered), .wrapped = true,
		 .frame = &stage->request[STREAM_SPLICED], .action = XDP_TX},
		{"the same request, dropped", 0, prepare_dropped,
		 bpf_program__fd(own->progs.wrap_answered), .wrapped = true,
		 .frame = &stage->request[STREAM_SPLICED], .action = XDP_DROP},
		{"egress, no connection of the port ever answered", 1.3, prepare_unspliced_port,
		 egress, .frame = &response, .action = TC_ACT_UNSPEC},
		{"egress, others of the port answered", 1.3, prepare_spliced_port, egress,
		 .frame = &response, .action = TC_ACT_UNSPEC},
	};

	bench_paths(stage, "refusals with an answer", paths, COUNT(paths), 0);
	if (harness_packets_all(&stage->harness, TPS_ACTION_TX) < (__u64)measure_rounds * RUNS)
		errx(1, "not every request was answered");
	live_close(&stage->connection[STREAM_250]);
	live_close(&stage->connection[STREAM_SPLICED]);
	stage_close(stage);
}

static void bench_prefixes(struct stage *stage)
{
	static const struct harness_sizes sizes = {.sources = 2 * PREFIXES, .strangers = 65536};
	struct frame_bytes by_prefix;
	struct packet packet = stage_syn("203.0.113.7", TCP_PORT);
	struct tps_slot caller;
	int gate;

	stage_open(stage, &sizes, 16);
	stage_set_gate(stage);
	gate = bpf_program__fd(stage->harness.gate->progs.gate);
	crowd_add_floor_caller(stage, CLIENT);
	caller = harness_add_caller(&stage->harness, 0, 0, 0);
	crowd_add_prefixes(stage, caller);
	harness_add_source(&stage->harness, caller, "203.0.113.0/24");
	stage_write_frame(&packet, &by_prefix);

	struct path paths[] = {
		{"floor b", 0, prepare_allow, bpf_program__fd(stage->own->progs.floor_bucket),
		 .frame = &stage->syn, .action = XDP_PASS},
		{"stranger's SYN, allowed", 2.0, prepare_allow, gate, .frame = &stage->syn,
		 .action = XDP_PASS},
		{"stranger's SYN, refused", 2.0, prepare_refuse, gate, .frame = &stage->syn,
		 .action = XDP_DROP},
		{"SYN of a caller known by prefix", 2.0, prepare_allow, gate, .frame = &by_prefix,
		 .action = XDP_PASS},
		{"SYN of a stranger never seen (tries walked, entry made)", 0, prepare_all_new,
		 bpf_program__fd(stage->own->progs.wrap_source), .wrapped = true,
		 .frame = &stage->syn, .action = XDP_PASS},
	};

	bench_paths(stage, "speed, 100,000 prefixes set", paths, COUNT(paths), 0);
	if (!harness_caller_count(&stage->harness, caller, TPS_VERDICT_ALLOWED))
		errx(1, "the caller known by prefix was not known");
	stage_close(stage);
}

static void bench_scale(struct stage *stage)
{
	static const struct harness_sizes sizes = {
		.callers = MILLION_CAPACITY,
		.strangers = MILLION_CAPACITY,
		.keys = MILLION_CAPACITY,
	};
	double seconds;

	stage_open(stage, &sizes, MILLION_CAPACITY);
	seconds = crowd_load_callers(stage);
	crowd_list_callers(stage);
	stage_set_gate(stage);
	crowd_add_addresses(stage);
	stage_open_stream(stage, STREAM_250, 250);

	struct path paths[] = {
		{"floor b, random among 1M", 0, prepare_floor_at_million,
		 bpf_program__fd(stage->own->progs.wrap_source), .wrapped = true,
		 .frame = &stage->syn, .action = XDP_PASS},
		{"known stranger's SYN, random among 1M", 1.3, prepare_allow,
		 bpf_program__fd(stage->own->progs.wrap_source), .wrapped = true,
		 .frame = &stage->syn, .action = XDP_PASS},
		{"keyed caller's bucket, random among 1M", 1.3, prepare_allow,
		 bpf_program__fd(stage->own->progs.bound_bucket),
		 .frame = &stage->request[STREAM_250], .action = XDP_PASS,
		 .minus = bpf_program__fd(stage->own->progs.bound_draw)},
		{"the same, and its key looked up (a flow's first request)", 0, prepare_allow,
		 bpf_program__fd(stage->own->progs.keyed_bucket),
		 .frame = &stage->request[STREAM_250], .action = XDP_PASS,
		 .minus = bpf_program__fd(stage->own->progs.keyed_draw)},
		{"keyed request of 250 B, each of another caller of 1M", 0, prepare_250,
		 bpf_program__fd(stage->own->progs.wrap_stream_and_key), .wrapped = true,
		 .frame = &stage->request[STREAM_250], .action = XDP_PASS},
	};

	bench_paths(stage, "scale, 1M strangers and 1M keyed callers", paths, COUNT(paths), 0);
	report_row("load of 1M keyed callers", seconds, "s", 0, LOAD_SECONDS_MAX);
	if (harness_notes(&stage->harness, BENCH_HTTP_LISTENER, TPS_REASON_UNKNOWN_KEY))
		errx(1, "keys of the million callers were unknown");
	live_close(&stage->connection[STREAM_250]);
	stage_close(stage);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: bench [-j|-t] [-q] [-r|-h]\n"
		"  -j  JSON\n"
		"  -t  TAP, each bound a case\n"
		"  -r  refusals with an answer, in place of the rest\n"
		"  -h  handshakes, in place of the rest\n"
		"  -q  quick, for a machine that others use: half the rounds, no million entries, "
		"and\n"
		"      a bound is missed when each of twelve tries is more than 15 %% over it\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct stage stage = {.quiet = !isatty(STDERR_FILENO)};
	enum report_form form = REPORT_TABLE;
	bool quick = false, refusals = false, hellos = false;
	int option;

	while ((option = getopt(argc, argv, "hjqrt")) != -1) {
		if (option == '?')
			return usage();
		quick |= option == 'q';
		refusals |= option == 'r';
		hellos |= option == 'h';
		if (option == 'j' || option == 't')
			form = option == 'j' ? REPORT_JSON : REPORT_TAP;
	}
	if (geteuid())
		errx(1, "must be root, to load BPF programs");
	tries_max = quick ? TRIES_MAX : 1;
	measure_rounds = quick ? QUICK_ROUNDS : ROUNDS;
	report_begin(form, quick ? QUICK_SLACK : 0);
	measure_alone();
	live_enter_namespace();
	stage.listener = live_listen(SERVER, HTTP_PORT);
	stage.tls_listener = live_listen(SERVER, TLS_PORT);
	if (refusals) {
		bench_refusals(&stage);
	} else if (hellos) {
		bench_hellos(&stage);
	} else {
		bench_speed(&stage);
		bench_hellos(&stage);
		bench_prefixes(&stage);
		if (!quick)
			bench_scale(&stage);
	}
	close(stage.listener);
	close(stage.tls_listener);
	return report_end() ? 1 : 0;
}
