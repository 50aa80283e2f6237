/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate as user space holds it: its pinned maps and programs, made or opened. Knows which maps
 * there are and which of them are mapped to memory, not what their entries mean.
 *
 * Arrays that the operator writes are mapped and written through tps_words_store() only, never by
 * bpf_map_update_elem(): the gate then reads each 8-byte word old or new.
 */
#ifndef TPS_GATE_H
#define TPS_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include <bpf/libbpf.h>

#include <tps/abi.h>
#include <tps/names.h>

#include "cleanup.h"
#include "lock.h"
#include "why.h"

#define TPS_ENUM_MAP(name, capacity) TPS_MAP_##name,
enum tps_map { TPS_MAPS(TPS_ENUM_MAP) TPS_MAP_MAX };
#undef TPS_ENUM_MAP

#define TPS_CAPACITY_MAX (1U << 26) /* of a map */

/* An entry of the mapped ports: values of an array lie 8 bytes apart. */
struct tps_port {
	__u32 listener;
	__u32 zero;
};

/* The same of spliced_ports and spliced_sources. */
struct tps_spliced_count {
	__u32 connections;
	__u32 zero;
};

struct tps_gate {
	int map_fd[TPS_MAP_MAX];
	__u32 capacity[TPS_MAP_MAX];
	int cpus;      /* possible CPUs: values of a per-CPU map */
	int gate_fd;   /* the XDP program, or -1 (tps_gate_adopt) */
	int egress_fd; /* the tc program, or -1 */
	int lock_fd;   /* or -1 */
	enum tps_access access;
	bool is_fresh; /* made just now */
	char *root;    /* NULL when nothing is pinned */
	/* mapped: read-only when access is TPS_READ */
	struct tps_control *control;
	struct tps_port *ports;                    /* TPS_PORTS_MAX, by TPS_PORT_INDEX */
	struct tps_listener *listeners;            /* TPS_LISTENERS_MAX */
	struct tps_tier *tiers;                    /* TPS_TIERS_MAX */
	struct tps_limit *limits;                  /* capacity[TPS_MAP_limits] */
	struct tps_spliced_count *spliced_ports;   /* by port */
	struct tps_spliced_count *spliced_sources; /* by tps_spliced_source() */
	struct tps_events *events;
};

struct tps_gate_options {
	const char *secret_file;     /* NULL: TPS_SECRET, else the default; made when missing */
	__u32 capacity[TPS_MAP_MAX]; /* 0: the default, or what is there */
	bool observe;                /* a gate that is made starts observing */
};

const char *tps_map_name(enum tps_map map);
/* The map of that name, or -ENOENT. */
int tps_map_find(const char *name);
/* Does it follow the capacity of `callers`, with slot 0 beside? */
bool tps_map_by_slot(enum tps_map map);
/* May `--capacity` set it? */
bool tps_map_sizable(enum tps_map map);
__u32 tps_map_default_capacity(enum tps_map map);

/* Open what is pinned below @root, under the lock: readers share it, a writer has it alone until
 * tps_gate_unlock() or tps_gate_close(). -ENOENT: no gate there; -EPROTO: made by another version.
 */
int tps_gate_open(const char *root, enum tps_access access, struct tps_gate **ret_gate,
		  struct tps_why *why);

/* Open the gate below @root for writing, or load and pin it when there is none (or half of one). */
int tps_gate_make(const char *root, const struct tps_gate_options *options,
		  struct tps_gate **ret_gate, struct tps_why *why);

/* Set capacities on an object that is opened but not loaded; what follows `callers` follows. */
int tps_gate_size(struct bpf_object *object, const __u32 capacity[TPS_MAP_MAX]);

/* A gate over the maps of a loaded @object, unpinned and with the settings of a fresh one: for
 * tests and benches. The maps are held by the gate's own fds; @object stays the caller's. */
int tps_gate_adopt(struct bpf_object *object, const __u64 secret[2], struct tps_gate **ret_gate,
		   struct tps_why *why);

void tps_gate_unlock(struct tps_gate *gate);
/* For who keeps the gate at hand: programs that were swapped stay in memory as long as somebody has
 * them open. */
void tps_gate_close_programs(struct tps_gate *gate);
void tps_gate_close(struct tps_gate *gate);
TPS_DEFINE_CLEANUP(struct tps_gate *, tps_gate_close)

/* meta, read and written as a whole. */
int tps_meta_read(const struct tps_gate *gate, struct tps_meta *ret_meta);
int tps_meta_write(const struct tps_gate *gate, const struct tps_meta *meta);

/* Replace @bytes (a multiple of 8, aligned) at mapped @to, one atomic store a word, only where it
 * differs, in order of address. */
void tps_words_store(void *to, const void *from, size_t bytes);
void tps_word_store(__u64 *to, __u64 value);
void tps_half_store(__u32 *to, __u32 value);

/* Unmount the root, which forgets every pin, and remove it; or change nothing. Devices must be
 * detached before: see tps_root_idle_check(). */
int tps_gate_forget(struct tps_gate *gate, struct tps_why *why);

#endif
