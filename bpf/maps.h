/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map of the gate: who writes it, and what a reader sees during an update. Knows the types
 * (tps/abi.h), not the logic. Sizes of the larger maps are defaults; libtps sets them at load.
 *
 * The arrays that the operator writes are mapped (BPF_F_MMAPABLE), so that tpsctl replaces each
 * 8-byte word by one store: a reader sees a word old or new, never mixed. What must change together
 * (rate and burst) is one word.
 */
#ifndef TPS_BPF_MAPS_H
#define TPS_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>

/* user space alone; the gate never reads it */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tps_meta);
} meta SEC(".maps");

/* tpsctl; the gate reads it once a packet */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tps_control);
} control SEC(".maps");

/* tpsctl; read by tpsd, which attaches only what stands here */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct tps_device_key);
	__type(value, struct tps_device);
} devices SEC(".maps");

/* tpsctl; a port's listener number. Cleared before its listener, set after it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TPS_PORTS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

/* tpsctl; a packet that meets a change sees each field old or new, and either is a setting that the
 * operator chose */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TPS_LISTENERS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tps_listener);
} listeners SEC(".maps");

/* the gate; zeroed by tpsctl before a listener number is used again */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TPS_LISTENERS_MAX);
	__type(key, __u32);
	__type(value, struct tps_listener_bucket);
} listener_buckets SEC(".maps");

/* tpsctl; a limit is one word, so a tier changes for all its callers by one store */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TPS_TIERS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tps_tier);
} tiers SEC(".maps");

/* user space alone: names to slots */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_caller_key);
	__type(value, struct tps_caller);
} callers SEC(".maps");

/* tpsctl; each word by one store, the generation first when a caller goes and last when it comes */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tps_limit);
} limits SEC(".maps");

/* the gate, by compare-and-swap; zeroed by tpsctl before a slot is used again */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct tps_account);
} buckets SEC(".maps");

/* the gate; zeroed by tpsctl before a slot is used again */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct tps_counter);
} counters SEC(".maps");

/* tpsctl; after a change control.generation is raised, so that the gate looks again */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_source4_key);
	__type(value, struct tps_slot);
} sources4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_source6_key);
	__type(value, struct tps_slot);
} sources6 SEC(".maps");

/* tpsctl, but for .used_ns, which is the gate's: a key that changes hands may lose it */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_key);
	__type(value, struct tps_key_owner);
} keys SEC(".maps");

/* tpsctl; the entry before its depth's bit in control, and gone before that goes */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_key);
	__type(value, struct tps_host);
} hosts SEC(".maps");

/* tpsctl; the entry before its length's bit in control, and gone before that goes */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tps_ban_key);
	__type(value, struct tps_ban);
} bans SEC(".maps");

/* the gate; evicts the least recently used stranger */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct tps_address);
	__type(value, struct tps_stranger);
} strangers SEC(".maps");

/* the gate; an evicted flow is joined again */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct tps_flow_key);
	__type(value, struct tps_flow);
} flows SEC(".maps");

/* the egress program; read by the gate */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tps_flow_key);
	__type(value, struct tps_handshake);
} handshakes SEC(".maps");

/* the gate, both programs, under each entry's lock; never evicted */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tps_flow_key);
	__type(value, struct tps_splice);
} spliced SEC(".maps");

/* the gate, and tpsctl as it detaches: how many entries of `spliced` have this server port, so that
 * the rest of the host's segments are not looked up there */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} spliced_ports SEC(".maps");

/* the same; how many have this source, by tps_spliced_source() */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TPS_SPLICED_SOURCES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} spliced_sources SEC(".maps");

/* the gate, both programs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tps_splicing);
} splicing SEC(".maps");

/* the gate */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TPS_LISTENERS_MAX);
	__type(key, __u32);
	__type(value, struct tps_totals);
} totals SEC(".maps");

/* the gate, over what is oldest, and readers .lost; each event's turn says whether it is whole */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tps_events);
} events SEC(".maps");

#endif
