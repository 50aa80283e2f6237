// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nanoseconds a packet on each of the gate's paths, by BPF_PROG_TEST_RUN, beside two floors that
 * run in the same go: dropping at once, and the least that limits by address. Knows the bounds that
 * the paths must keep; ratios matter, absolute figures are this machine's.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include <tps/siphash.h>

#include "lib/harness.h"
#include "lib/live.h"
#include "lib/packet.h"

#include "caller.h"
#include "gate.h"

#include "tps.skel.h"

#include "bench/bench.h"
#include "tests/bench/bench.skel.h"

/* Many short batches: one that was preempted is an outlier, which the median does not see. */
#define ROUNDS 21
#define WARM_UP 1000
#define RUNS 50000
#define PREFIXES 100000
#define MILLION 1000000
#define MILLION_CAPACITY (1 << 20)
#define LOAD_SECONDS_MAX 10.0

#define SERVER "192.0.2.1"
#define CLIENT "198.51.100.7"
#define HTTP_PORT 80
#define TCP_PORT 7000
#define UDP_PORT 5353
#define UDP_LISTENER 1
#define TCP_LISTENER 2

/* No bucket that a bench could empty: a token each 1/64 ns. Coarse, so that jiffies may be read; as
 * are most limits (any burst that lasts 32 ms at 250 Hz). */
#define UNLIMITED ((bucket_limit)0xffffffff << 32 | 1)

struct frame_bytes {
	__u8 bytes[PACKET_BYTES_MAX];
	size_t len;
};

struct bench {
	struct harness harness;
	struct bench_bpf *own;
	struct frame_bytes syn;
	struct frame_bytes request[3]; /* of connection[] */
	struct live connection[3];
	__u32 request_bytes[3];
	int listener;
	bool quiet;
};

enum { REQUEST_250, REQUEST_900, REQUEST_LOOKUP };

/* What is run, and what it must come to. A path that begins in a wrapper has the wrapper's own cost
 * taken out. */
struct path {
	const char *name;
	double bound; /* ratio to floor b; 0: none is asked for */
	void (*prepare)(struct bench *bench);
	int program;
	bool wrapped;
	const struct frame_bytes *frame;
	int action;
	int minus; /* a program whose cost is taken out beside; 0: none */
	__u32 ns[ROUNDS];
};

/* ---- set up ------------------------------------------------------------------------------------
 */

static void write_frame(const struct packet *packet, struct frame_bytes *ret)
{
	ret->len = packet_write(packet, ret->bytes);
}

static struct packet syn_from(const char *source, __u16 port)
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

/* A caller of this slot and key has made its first request on a connection that is still open. */
static void open_stream(struct bench *bench, int which, size_t bytes)
{
	struct live *live = &bench->connection[which];
	struct packet packet;
	char text[2048];

	write_request(text, bytes);
	live_open(live, &bench->harness, bench->listener, CLIENT, SERVER, HTTP_PORT);
	if (live_send(live, &bench->harness, text, bytes) != XDP_PASS)
		errx(1, "the first request of %zu bytes was refused", bytes);
	packet = live_packet(live);
	packet.payload = text;
	packet.payload_bytes = bytes;
	write_frame(&packet, &bench->request[which]);
	bench->request_bytes[which] = bytes;
}

static void share_maps(struct bench *bench)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, bench->own->obj)
	{
		struct bpf_map *of_gate =
			bpf_object__find_map_by_name(bench->harness.gate->obj, bpf_map__name(map));

		if (of_gate && bpf_map__reuse_fd(map, bpf_map__fd(of_gate)))
			err(1, "map '%s'", bpf_map__name(map));
	}
}

static void set_target(struct bench *bench, __u32 target, int program)
{
	if (bpf_map_update_elem(bpf_map__fd(bench->own->maps.targets), &target, &program, 0))
		err(1, "a tail call");
}

static void open_bench(struct bench *bench, const struct harness_sizes *sizes, __u32 floor_callers)
{
	struct packet packet;

	harness_open(&bench->harness, sizes);
	bench->own = bench_bpf__open();
	if (!bench->own)
		err(1, "bench: open");
	share_maps(bench);
	if (bpf_map__set_max_entries(bench->own->maps.floor_callers, floor_callers) ||
	    bpf_map__set_max_entries(bench->own->maps.bound_callers, floor_callers) ||
	    bench_bpf__load(bench->own))
		err(1, "bench: load");
	set_target(bench, BENCH_TARGET_NOTHING, bpf_program__fd(bench->own->progs.nothing));
	set_target(bench, BENCH_TARGET_GATE, bpf_program__fd(bench->harness.gate->progs.gate));
	set_target(bench, BENCH_TARGET_FLOOR, bpf_program__fd(bench->own->progs.floor_bucket));
	packet = syn_from(CLIENT, TCP_PORT);
	write_frame(&packet, &bench->syn);
}

static void close_bench(struct bench *bench)
{
	bench_bpf__destroy(bench->own);
	harness_close(&bench->harness);
}

/* Listeners, ticks, and limits that let everything pass. */
static void set_gate(struct bench *bench)
{
	static const struct harness_listener udp = {.protocol = TPS_PROTOCOL_UDP,
						    .ports = {UDP_PORT}};
	static const struct harness_listener tcp = {.protocol = TPS_PROTOCOL_TCP,
						    .ports = {TCP_PORT}};
	static const struct harness_listener http = {.protocol = TPS_PROTOCOL_HTTP,
						     .ports = {HTTP_PORT}};

	harness_use_ticks(&bench->harness);
	harness_set_tier(&bench->harness, 0, UNLIMITED);
	harness_set_listener(&bench->harness, UDP_LISTENER, &udp);
	harness_set_listener(&bench->harness, TCP_LISTENER, &tcp);
	harness_set_listener(&bench->harness, BENCH_HTTP_LISTENER, &http);
}

static struct bench_script fresh_script(void)
{
	return (struct bench_script){
		.random = 88172645463325252ULL,
		.limit = UNLIMITED,
		.target = BENCH_TARGET_GATE,
		.population = MILLION,
		.address = 0x0a000000,
	};
}

static void set_script(struct bench *bench, const struct bench_script *script)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(bench->own->maps.script), &zero, script, 0))
		err(1, "script");
}

/* ---- what each path needs before a batch
 * --------------------------------------------------------- */

static void prepare_allow(struct bench *bench)
{
	struct bench_script script = fresh_script();

	set_script(bench, &script);
	harness_set_tier(&bench->harness, 0, UNLIMITED);
}

static void prepare_refuse(struct bench *bench)
{
	harness_set_tier(&bench->harness, 0, limit_frozen(1));
	harness_run_frame(&bench->harness, bench->syn.bytes, bench->syn.len);
}

static void prepare_floor_at_million(struct bench *bench)
{
	struct bench_script script = fresh_script();

	script.target = BENCH_TARGET_FLOOR;
	set_script(bench, &script);
}

static void prepare_all_new(struct bench *bench)
{
	struct bench_script script = fresh_script();

	harness_set_tier(&bench->harness, 0, UNLIMITED);
	script.random += harness_now_ns();
	script.population = 0x70000000;
	set_script(bench, &script);
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

static struct tps_flow flow_of(const struct bench *bench, const struct tps_flow_key *key)
{
	struct tps_flow flow;

	if (bpf_map_lookup_elem(bpf_map__fd(bench->harness.gate->maps.flows), key, &flow))
		err(1, "the bench's flow");
	return flow;
}

static void prepare_stream(struct bench *bench, int which)
{
	struct tps_flow_key key = flow_key_of(&bench->connection[which]);
	struct bench_script script = fresh_script();

	harness_set_tier(&bench->harness, 0, UNLIMITED);
	script.seq = flow_of(bench, &key).next_seq;
	script.payload_bytes = bench->request_bytes[which];
	set_script(bench, &script);
}

static void prepare_250(struct bench *bench)
{
	prepare_stream(bench, REQUEST_250);
}

static void prepare_900(struct bench *bench)
{
	prepare_stream(bench, REQUEST_900);
}

/* The entry as it stands before the request; its acks end just before the request's. */
static void prepare_lookup(struct bench *bench)
{
	static bool kept;
	static struct tps_flow before;
	struct bench_script script = fresh_script();
	struct packet packet = live_packet(&bench->connection[REQUEST_LOOKUP]);

	harness_set_tier(&bench->harness, 0, UNLIMITED);
	script.flow = flow_key_of(&bench->connection[REQUEST_LOOKUP]);
	if (!kept)
		before = flow_of(bench, &script.flow);
	kept = true;
	before.ack_high = packet.ack - 1;
	before.ack_low = before.ack_high - 1;
	script.before = before;
	set_script(bench, &script);
}

/* ---- runs --------------------------------------------------------------------------------------
 */

/* Nanoseconds a run of @times; exits when the last one came to something else than @action. */
static __u32 run(const struct path *path, int program, __u32 times, int action)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = path->frame->bytes,
		    .data_size_in = path->frame->len, .repeat = times);

	if (bpf_prog_test_run_opts(program, &run))
		err(1, "%s", path->name);
	if ((int)run.retval != action)
		errx(1, "%s: came to XDP action %u, wanted %d", path->name, run.retval, action);
	return run.duration;
}

static void set_wrapped_target(struct bench *bench, __u32 target)
{
	struct bench_script script;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(bench->own->maps.script), &zero, &script))
		err(1, "script");
	script.target = target;
	set_script(bench, &script);
}

/* One batch of a path, its wrapper's own cost taken out. */
static __u32 measure(struct bench *bench, const struct path *path)
{
	int nothing = bpf_program__fd(bench->own->progs.nothing);
	__u32 whole, own = 0, empty;

	path->prepare(bench);
	run(path, path->program, WARM_UP, path->action);
	whole = run(path, path->program, RUNS, path->action);
	if (!path->wrapped && !path->minus)
		return whole;
	empty = run(path, nothing, RUNS, XDP_PASS);
	path->prepare(bench);
	if (path->wrapped)
		set_wrapped_target(bench, BENCH_TARGET_NOTHING);
	own = run(path, path->minus ? path->minus : path->program, RUNS, XDP_PASS);
	return whole + empty > own ? whole + empty - own : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of what a path took in each round; with @floor, as ratios to what that took in the same round, so
 * that a machine that grows slower or faster meanwhile changes nothing. */
static double median(const struct path *path, const struct path *floor)
{
	double values[ROUNDS];

	for (int round = 0; round < ROUNDS; round++)
		values[round] = path->ns[round] / (floor ? (double)floor->ns[round] : 1.0);
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static void measure_all(struct bench *bench, struct path *paths, size_t count)
{
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < count; i++) {
			if (!bench->quiet)
				fprintf(stderr, "\r\033[K%d/%d %s", round + 1, ROUNDS,
					paths[i].name);
			paths[i].ns[round] = measure(bench, &paths[i]);
		}
	}
	if (!bench->quiet)
		fprintf(stderr, "\r\033[K");
	if (harness_errors(&bench->harness))
		errx(1, "the gate met %llu internal errors", harness_errors(&bench->harness));
}

/* ---- results ------------------------------------------------------------------------------------
 */

static json_t *results;
static const char *group;
static bool as_json;
static int missed;

static void report(const char *name, double value, const char *unit, double ratio, double bound)
{
	bool ok = !bound || (ratio ? ratio : value) <= bound;

	missed += !ok;
	if (as_json) {
		json_t *row = json_pack("{s:s, s:s, s:f, s:s}", "group", group, "path", name,
					"value", value, "unit", unit);

		if (ratio)
			json_object_set_new(row, "ratio", json_real(ratio));
		if (bound) {
			json_object_set_new(row, "bound", json_real(bound));
			json_object_set_new(row, "ok", json_boolean(ok));
		}
		json_array_append_new(results, row);
		return;
	}
	printf("  %-62s %8.*f %-2s", name, *unit == 's', value, unit);
	if (ratio)
		printf(" %6.2f", ratio);
	else
		printf(" %6s", "");
	if (bound)
		printf(" %6.2f  %s", bound, ok ? "ok" : "over");
	printf("\n");
}

static void report_head(const char *title)
{
	group = title;
	if (!as_json)
		printf("%-64s %11s %6s %6s\n", title, "", "ratio", "bound");
}

/* The paths behind floor b, which is the @floor-th, as ratios to it. */
static void report_all(const char *title, const struct path *paths, size_t count, size_t floor)
{
	report_head(title);
	for (size_t i = 0; i < count; i++)
		report(paths[i].name, median(&paths[i], NULL), "ns",
		       median(&paths[i], &paths[floor]), paths[i].bound);
}

/* ---- the three goes -----------------------------------------------------------------------------
 */

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void add_floor_caller(struct bench *bench, const char *address)
{
	__u8 address_be[16];
	__u64 word = 0;

	packet_address(address, address_be);
	if (bpf_map_update_elem(bpf_map__fd(bench->own->maps.floor_callers), address_be, &word, 0))
		err(1, "floor");
}

static void bench_speed(struct bench *bench)
{
	struct bench_bpf *own;
	struct frame_bytes other_port, datagram, syn6;
	struct packet packet = syn_from(CLIENT, 22);
	struct tps_slot caller;
	int gate;

	open_bench(bench, NULL, 16);
	set_gate(bench);
	own = bench->own;
	gate = bpf_program__fd(bench->harness.gate->progs.gate);
	add_floor_caller(bench, CLIENT);
	caller = harness_add_caller(&bench->harness, 0, 0, 0);
	harness_add_key(&bench->harness, caller, "aaaaaaaa");
	open_stream(bench, REQUEST_250, 250);
	open_stream(bench, REQUEST_900, 900);
	open_stream(bench, REQUEST_LOOKUP, 250);
	write_frame(&packet, &other_port);
	packet = syn_from("2001:db8:7::7", TCP_PORT);
	packet.destination = "2001:db8:1::1";
	write_frame(&packet, &syn6);
	packet = syn_from(CLIENT, UDP_PORT);
	packet.kind = PACKET_UDP;
	packet.payload = "query";
	write_frame(&packet, &datagram);

	struct path paths[] = {
		{"XDP_DROP at once (floor a)", 0, prepare_allow,
		 bpf_program__fd(own->progs.floor_drop), .frame = &bench->syn, .action = XDP_DROP},
		{"parse, one hash lookup, ktime, one CAS (floor b)", 0, prepare_allow,
		 bpf_program__fd(own->progs.floor_bucket), .frame = &bench->syn,
		 .action = XDP_PASS},
		{"not a listener's packet", 0.6, prepare_allow, gate, .frame = &other_port,
		 .action = XDP_PASS},
		{"stranger's SYN, allowed", 0.95, prepare_allow, gate, .frame = &bench->syn,
		 .action = XDP_PASS},
		{"stranger's SYN, refused", 0.95, prepare_refuse, gate, .frame = &bench->syn,
		 .action = XDP_DROP},
		{"stranger's SYN, IPv6, allowed", 0, prepare_allow, gate, .frame = &syn6,
		 .action = XDP_PASS},
		{"stranger's datagram, allowed", 0, prepare_allow, gate, .frame = &datagram,
		 .action = XDP_PASS},
		{"keyed request of 250 B on a live flow", 3.5, prepare_250,
		 bpf_program__fd(own->progs.wrap_stream), .wrapped = true,
		 .frame = &bench->request[REQUEST_250], .action = XDP_PASS},
		{"keyed request of 900 B on a live flow", 5.0, prepare_900,
		 bpf_program__fd(own->progs.wrap_stream), .wrapped = true,
		 .frame = &bench->request[REQUEST_900], .action = XDP_PASS},
		{"keyed request of 250 B, the host's socket asked", 0, prepare_lookup,
		 bpf_program__fd(own->progs.wrap_flow), .wrapped = true,
		 .frame = &bench->request[REQUEST_LOOKUP], .action = XDP_PASS},
	};

	measure_all(bench, paths, COUNT(paths));
	report_all("speed, no prefixes and no bans set", paths, COUNT(paths), 1);
	for (size_t i = 0; i < COUNT(bench->connection); i++)
		live_close(&bench->connection[i]);
	close_bench(bench);
}

/* Prefix lengths as routing tables and customer lists have them: mostly /24, many hosts. */
static __u32 prefix_bits(__u32 i)
{
	static const __u8 mix[] = {24, 24, 24, 24, 24, 24, 24, 24, 24, 32, 32, 32, 32, 22, 22,
				   23, 23, 20, 21, 16, 19, 18, 28, 29, 30, 27, 26, 25, 17, 31};

	return mix[i % sizeof(mix)];
}

/* Everywhere but in 198.51.100.0/22 and below 32.0.0.0, where the bench's strangers are. */
static void add_prefixes(struct bench *bench, struct tps_slot caller)
{
	struct tps_control control = harness_control(&bench->harness);
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
	if (bpf_map_update_batch(bpf_map__fd(bench->harness.gate->maps.sources4), keys, slots,
				 &count, NULL))
		err(1, "prefixes");
	control.sources4 += added;
	control.generation++;
	harness_set_control(&bench->harness, &control);
	free(keys);
	free(slots);
}

static void bench_prefixes(struct bench *bench)
{
	static const struct harness_sizes sizes = {.sources = 2 * PREFIXES, .strangers = 65536};
	struct frame_bytes by_prefix;
	struct packet packet = syn_from("203.0.113.7", TCP_PORT);
	struct tps_slot caller;
	int gate;

	open_bench(bench, &sizes, 16);
	set_gate(bench);
	gate = bpf_program__fd(bench->harness.gate->progs.gate);
	add_floor_caller(bench, CLIENT);
	caller = harness_add_caller(&bench->harness, 0, 0, 0);
	add_prefixes(bench, caller);
	harness_add_source(&bench->harness, caller, "203.0.113.0/24");
	write_frame(&packet, &by_prefix);

	struct path paths[] = {
		{"floor b", 0, prepare_allow, bpf_program__fd(bench->own->progs.floor_bucket),
		 .frame = &bench->syn, .action = XDP_PASS},
		{"stranger's SYN, allowed", 2.0, prepare_allow, gate, .frame = &bench->syn,
		 .action = XDP_PASS},
		{"stranger's SYN, refused", 2.0, prepare_refuse, gate, .frame = &bench->syn,
		 .action = XDP_DROP},
		{"SYN of a caller known by prefix", 2.0, prepare_allow, gate, .frame = &by_prefix,
		 .action = XDP_PASS},
		{"SYN of a stranger never seen (tries walked, entry made)", 0, prepare_all_new,
		 bpf_program__fd(bench->own->progs.wrap_source), .wrapped = true,
		 .frame = &bench->syn, .action = XDP_PASS},
	};

	measure_all(bench, paths, COUNT(paths));
	report_all("speed, 100,000 prefixes set", paths, COUNT(paths), 0);
	if (!harness_caller_count(&bench->harness, caller, TPS_VERDICT_ALLOWED))
		errx(1, "the caller known by prefix was not known");
	close_bench(bench);
}

/* A million of each: addresses from 10.0.0.0 on, as strangers and as floor b's callers. */
static void add_million_addresses(struct bench *bench)
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
	if (bpf_map_update_batch(bpf_map__fd(bench->harness.gate->maps.strangers), addresses,
				 strangers, &count, NULL))
		err(1, "a million strangers");
	count = MILLION;
	if (bpf_map_update_batch(bpf_map__fd(bench->own->maps.floor_callers), floor_addresses,
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
static double load_million_callers(struct bench *bench)
{
	struct tps_caller_spec *specs = calloc(MILLION, sizeof(*specs));
	struct tps_key *keys = calloc(MILLION, sizeof(*keys));
	char(*names)[16] = calloc(MILLION, sizeof(*names));
	struct tps_control control = harness_control(&bench->harness);
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
	if (tps_gate_adopt(bench->harness.gate->obj, control.secret, &gate, &why))
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
static void list_million_callers(struct bench *bench)
{
	struct tps_slot *slots = calloc(MILLION, sizeof(*slots));
	__u32 *indices = calloc(MILLION, sizeof(*indices));
	__u32 count = MILLION, found = 0;

	if (!slots || !indices)
		err(1, "a million callers");
	for (__u32 slot = 1; slot < MILLION_CAPACITY && found < MILLION; slot++) {
		struct tps_limit limit;

		if (bpf_map_lookup_elem(bpf_map__fd(bench->harness.gate->maps.limits), &slot,
					&limit))
			err(1, "slot %u", slot);
		if (!limit.generation)
			continue;
		indices[found] = found;
		slots[found++] = (struct tps_slot){slot, limit.generation};
	}
	if (found != MILLION || bpf_map_update_batch(bpf_map__fd(bench->own->maps.bound_callers),
						     indices, slots, &count, NULL))
		err(1, "a million slots, %u found", found);
	free(slots);
	free(indices);
}

static void bench_scale(struct bench *bench)
{
	static const struct harness_sizes sizes = {
		.callers = MILLION_CAPACITY,
		.strangers = MILLION_CAPACITY,
		.keys = MILLION_CAPACITY,
	};
	double seconds;

	open_bench(bench, &sizes, MILLION_CAPACITY);
	seconds = load_million_callers(bench);
	list_million_callers(bench);
	set_gate(bench);
	add_million_addresses(bench);
	open_stream(bench, REQUEST_250, 250);

	struct path paths[] = {
		{"floor b, random among 1M", 0, prepare_floor_at_million,
		 bpf_program__fd(bench->own->progs.wrap_source), .wrapped = true,
		 .frame = &bench->syn, .action = XDP_PASS},
		{"known stranger's SYN, random among 1M", 1.3, prepare_allow,
		 bpf_program__fd(bench->own->progs.wrap_source), .wrapped = true,
		 .frame = &bench->syn, .action = XDP_PASS},
		{"keyed caller's bucket, random among 1M", 1.3, prepare_allow,
		 bpf_program__fd(bench->own->progs.bound_bucket),
		 .frame = &bench->request[REQUEST_250], .action = XDP_PASS,
		 .minus = bpf_program__fd(bench->own->progs.bound_draw)},
		{"the same, and its key looked up (a flow's first request)", 0, prepare_allow,
		 bpf_program__fd(bench->own->progs.keyed_bucket),
		 .frame = &bench->request[REQUEST_250], .action = XDP_PASS,
		 .minus = bpf_program__fd(bench->own->progs.keyed_draw)},
		{"keyed request of 250 B, each of another caller of 1M", 0, prepare_250,
		 bpf_program__fd(bench->own->progs.wrap_stream_and_key), .wrapped = true,
		 .frame = &bench->request[REQUEST_250], .action = XDP_PASS},
	};

	measure_all(bench, paths, COUNT(paths));
	report_all("scale, 1M strangers and 1M keyed callers", paths, COUNT(paths), 0);
	report("load of 1M keyed callers", seconds, "s", 0, LOAD_SECONDS_MAX);
	if (harness_notes(&bench->harness, BENCH_HTTP_LISTENER, TPS_REASON_UNKNOWN_KEY))
		errx(1, "keys of the million callers were unknown");
	live_close(&bench->connection[REQUEST_250]);
	close_bench(bench);
}

/* One CPU, and as little of others on it as may be. */
static void be_alone(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || setpriority(PRIO_PROCESS, 0, -20))
		err(1, "a CPU of its own");
}

static void finish(void)
{
	if (as_json) {
		json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(4));
		printf("\n");
		json_decref(results);
		return;
	}
	if (missed)
		printf("%d over their bound\n", missed);
}

int main(int argc, char **argv)
{
	struct bench bench = {.quiet = !isatty(STDERR_FILENO)};
	int option;

	while ((option = getopt(argc, argv, "j")) != -1) {
		if (option != 'j') {
			fprintf(stderr, "usage: bench [-j]\n");
			return 2;
		}
		as_json = true;
	}
	if (geteuid())
		errx(1, "must be root, to load BPF programs");
	results = json_array();
	be_alone();
	live_enter_namespace();
	bench.listener = live_listen(SERVER, HTTP_PORT);
	bench_speed(&bench);
	bench_prefixes(&bench);
	bench_scale(&bench);
	close(bench.listener);
	finish();
	return missed ? 1 : 0;
}
