// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads the gate and runs packets through it. Knows the maps' sizes, not what is in them.
 */
#include "lib/harness.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/entries.h"

#define SMALL 256
/* an LRU map of a few hundred entries evicts what has just been made (its CPUs hold 128 each in
 * reserve), and a test that makes thousands of connections must not lose one in the middle */
#define FLOWS 65536

static const __u64 test_secret[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void resize(struct bpf_map *map, __u32 entries)
{
	if (bpf_map__set_max_entries(map, entries ? entries : SMALL))
		err(1, "map '%s'", bpf_map__name(map));
}

static void size_maps(const struct tps_bpf *gate, const struct harness_sizes *sizes)
{
	resize(gate->maps.callers, sizes->callers);
	resize(gate->maps.limits, sizes->callers);
	resize(gate->maps.buckets, sizes->callers);
	resize(gate->maps.counters, sizes->callers);
	resize(gate->maps.strangers, sizes->strangers);
	resize(gate->maps.flows, sizes->flows ? sizes->flows : FLOWS);
	resize(gate->maps.handshakes, sizes->flows ? sizes->flows : FLOWS);
	resize(gate->maps.keys, sizes->keys);
	resize(gate->maps.hosts, sizes->hosts);
	resize(gate->maps.sources4, sizes->sources);
	resize(gate->maps.sources6, sizes->sources);
	resize(gate->maps.bans, sizes->bans);
	if (sizes->spliced)
		resize(gate->maps.spliced, sizes->spliced);
	/* a plain hash, so that it can be full: an LRU one evicts */
	if (sizes->strangers_fill_up && bpf_map__set_type(gate->maps.strangers, BPF_MAP_TYPE_HASH))
		err(1, "gate: strangers");
}

static void set_up(struct harness *harness)
{
	struct tps_control control = {.generation = 1};

	memcpy(control.secret, test_secret, sizeof(test_secret));
	harness_set_control(harness, &control);
	harness_set_tier(harness, 0, limit_frozen(HARNESS_DEFAULT_BURST));
	harness->slots = TPS_SLOT_STRANGERS + 1;
	harness->generation = 0;
}

void harness_open(struct harness *ret_harness, const struct harness_sizes *sizes)
{
	static const struct harness_sizes small;
	struct tps_bpf *gate;

	libbpf_set_print(quiet);
	gate = tps_bpf__open();
	if (!gate)
		err(1, "gate: open");
	size_maps(gate, sizes ? sizes : &small);
	if (tps_bpf__load(gate))
		err(1, "gate: load");
	*ret_harness = (struct harness){.gate = gate};
	set_up(ret_harness);
}

static void zero_array(const struct bpf_map *map)
{
	size_t bytes = (bpf_map__value_size(map) + 7) / 8 * 8;
	__u8 *zero = calloc(libbpf_num_possible_cpus(), bytes);

	if (!zero)
		err(1, "map '%s'", bpf_map__name(map));
	for (__u32 i = 0; i < bpf_map__max_entries(map); i++)
		entry_put(map, &i, zero);
	free(zero);
}

static void reset_map(const struct bpf_map *map)
{
	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		entry_empty_hash(map);
		break;
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		zero_array(map);
		break;
	default:
		errx(1, "map '%s': no way to reset it", bpf_map__name(map));
	}
}

void harness_clear(struct harness *harness)
{
	struct tps_bpf *gate = harness->gate;
	struct tps_listener listener;
	struct bpf_map *map;

	for (__u32 number = 1; number < TPS_LISTENERS_MAX; number++) {
		entry_get(gate->maps.listeners, &number, &listener);
		entry_put_ports(harness->gate, &listener, 0);
	}
	/* ports is emptied by its listeners: it is large */
	bpf_object__for_each_map(map, gate->obj) if (!bpf_map__is_internal(map) &&
						     map != gate->maps.ports) reset_map(map);
}

void harness_reset(struct harness *harness)
{
	harness_clear(harness);
	set_up(harness);
}

void harness_close(struct harness *harness)
{
	tps_bpf__destroy(harness->gate);
	harness->gate = NULL;
}

struct bpf_object *harness_object(const struct harness *harness)
{
	return harness->gate->obj;
}

static __u32 run(int program, const __u8 *frame, size_t len, __u32 times)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = len, .repeat = times);

	if (bpf_prog_test_run_opts(program, &run))
		err(1, "test run of %zu bytes", len);
	return run.retval;
}

int harness_run_frame(const struct harness *harness, const __u8 *frame, size_t len)
{
	return run(bpf_program__fd(harness->gate->progs.gate), frame, len, 1);
}

int harness_run(const struct harness *harness, const struct packet *packet)
{
	__u8 frame[PACKET_BYTES_MAX];

	return harness_run_frame(harness, frame, packet_write(packet, frame));
}

static int turn(int program, __u8 *frame, size_t *len)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = *len,
		    .data_out = frame, .data_size_out = PACKET_BYTES_MAX, .repeat = 1);

	if (bpf_prog_test_run_opts(program, &run))
		err(1, "test run of %zu bytes", *len);
	*len = run.data_size_out;
	return (int)run.retval;
}

int harness_turn(const struct harness *harness, __u8 *frame, size_t *len)
{
	return turn(bpf_program__fd(harness->gate->progs.gate), frame, len);
}

int harness_turn_egress(const struct harness *harness, __u8 *frame, size_t *len)
{
	return turn(bpf_program__fd(harness->gate->progs.egress), frame, len);
}

void harness_repeat(const struct harness *harness, const struct packet *packet, __u32 times)
{
	__u8 frame[PACKET_BYTES_MAX];
	size_t len = packet_write(packet, frame);

	run(bpf_program__fd(harness->gate->progs.gate), frame, len, times);
}

int harness_run_egress(const struct harness *harness, const struct packet *packet)
{
	__u8 frame[PACKET_BYTES_MAX];

	return (int)run(bpf_program__fd(harness->gate->progs.egress), frame,
			packet_write(packet, frame), 1);
}
