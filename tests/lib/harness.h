/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate under test: loaded by itself with small maps, set, run by BPF_PROG_TEST_RUN and read. It
 * writes the maps directly, so that these tests fail for the gate's faults and not for libtps'.
 * What goes wrong here is a mistake of the test or of the machine: it says so and exits.
 */
#ifndef TPS_TEST_HARNESS_H
#define TPS_TEST_HARNESS_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#include <tps/abi.h>
#include <tps/bucket.h>

#include "lib/packet.h"

struct tps_bpf;

struct harness {
	struct tps_bpf *gate;
	__u32 slots;      /* taken so far */
	__u32 generation; /* of the last tenant */
};

/* Capacities; 0: small. */
struct harness_sizes {
	__u32 callers;
	__u32 strangers;
	__u32 flows;
	__u32 keys;
	__u32 hosts;
	__u32 sources;
	__u32 bans;
	__u32 spliced;          /* 0: as many as the gate has by itself */
	bool strangers_fill_up; /* no stranger is evicted: the table can be full */
};

/* A gate of its own, enforcing, with a default tier (0) of HARNESS_DEFAULT_BURST frozen tokens. */
#define HARNESS_DEFAULT_BURST 100
void harness_open(struct harness *ret_harness, const struct harness_sizes *sizes);
void harness_close(struct harness *harness);
/* As it was when opened, without verifying the gate again. */
void harness_reset(struct harness *harness);
/* With empty maps and no settings at all. */
void harness_clear(struct harness *harness);

/* @burst tokens and no refill that a test could notice: up to 1,000,000 at a token each 71 s. */
bucket_limit limit_frozen(__u32 burst);
/* @per_s tokens a second. */
bucket_limit limit_per_second(__u64 per_s, __u32 burst);

/* For libtps to adopt. */
struct bpf_object;
struct bpf_object *harness_object(const struct harness *harness);

/* ---- settings ---------------------------------------------------------------------------------
 */

struct tps_control harness_control(const struct harness *harness);
void harness_set_control(const struct harness *harness, const struct tps_control *control);
void harness_pause(const struct harness *harness, bool paused);
void harness_observe(const struct harness *harness, bool observe);
/* From now on the gate may read jiffies. */
void harness_use_ticks(const struct harness *harness);

void harness_set_tier(const struct harness *harness, __u32 tier, bucket_limit limit);
void harness_set_default_tier(const struct harness *harness, __u32 tier);

/* A listener; what is zero is the default. Key headers: X-API-Key unless given; "Authorization" is
 * read as Bearer. */
struct harness_listener {
	enum tps_protocol protocol;
	__u16 ports[TPS_PORTS_PER_LISTENER];
	enum tps_mode mode;
	enum tps_placement placement;
	enum tps_refusal refusal;
	__u32 cost;
	bucket_limit limit;
	const char *key_headers[TPS_KEY_HEADERS_MAX];
};
void harness_set_listener(const struct harness *harness, __u32 number,
			  const struct harness_listener *listener);
void harness_delete_listener(const struct harness *harness, __u32 number);

/* A caller of a tier, or with a limit of its own (0: the tier's). Returns its slot. */
struct tps_slot harness_add_caller(struct harness *harness, __u32 tier, bucket_limit own,
				   __u32 flags);
void harness_set_own_limit(const struct harness *harness, struct tps_slot caller, bucket_limit own);
void harness_set_tier_of(const struct harness *harness, struct tps_slot caller, __u32 tier);
void harness_ban_caller(const struct harness *harness, struct tps_slot caller, __u64 until_ns);
/* The slot changes hands: its bucket and counters are zeroed, its identities stay behind. */
struct tps_slot harness_replace_caller(struct harness *harness, struct tps_slot caller, __u32 tier,
				       bucket_limit own);
void harness_add_source(const struct harness *harness, struct tps_slot caller, const char *prefix);
void harness_remove_source(const struct harness *harness, const char *prefix);
void harness_add_key(const struct harness *harness, struct tps_slot caller, const char *key);
/* "api.example.com", or "*.example.com". */
void harness_add_name(const struct harness *harness, struct tps_slot caller, const char *name);
void harness_ban(const struct harness *harness, const char *prefix, __u64 until_ns);
void harness_unban(const struct harness *harness, const char *prefix);

/* ---- runs --------------------------------------------------------------------------------------
 */

/* One packet, as if received on lo of this namespace. Returns XDP_*. */
int harness_run(const struct harness *harness, const struct packet *packet);
int harness_run_frame(const struct harness *harness, const __u8 *frame, size_t len);
/* The frame comes back as the gate left it: *len bytes of @frame (PACKET_BYTES_MAX). Returns XDP_*.
 */
int harness_turn(const struct harness *harness, __u8 *frame, size_t *len);
/* The same of the egress program. Returns TC_ACT_*. */
int harness_turn_egress(const struct harness *harness, __u8 *frame, size_t *len);
/* The same packet @times, back to back. Safe from several threads. */
void harness_repeat(const struct harness *harness, const struct packet *packet, __u32 times);
/* The egress program on a packet that this host sends. Returns TC_ACT_*. */
int harness_run_egress(const struct harness *harness, const struct packet *packet);

/* ---- readings ----------------------------------------------------------------------------------
 */

/* Of a listener, all tiers; all CPUs. */
__u64 harness_transactions(const struct harness *harness, __u32 listener, enum tps_verdict verdict);
__u64 harness_transactions_of_tier(const struct harness *harness, __u32 listener, __u32 tier,
				   enum tps_verdict verdict);
__u64 harness_packets(const struct harness *harness, __u32 listener, enum tps_action action,
		      enum tps_reason reason);
__u64 harness_packets_all(const struct harness *harness, enum tps_action action);
__u64 harness_notes(const struct harness *harness, __u32 listener, enum tps_reason reason);
__u64 harness_refusals(const struct harness *harness, __u32 listener, enum tps_refusal refusal,
		       enum tps_reason reason);
__u64 harness_errors(const struct harness *harness);

__u64 harness_caller_count(const struct harness *harness, struct tps_slot caller,
			   enum tps_verdict verdict);
struct tps_account harness_account(const struct harness *harness, struct tps_slot caller);
struct tps_bucket harness_bucket(const struct harness *harness, struct tps_slot caller);
void harness_set_bucket(const struct harness *harness, struct tps_slot caller,
			const struct tps_bucket *bucket);
/* False when the address has no entry. */
bool harness_stranger(const struct harness *harness, const char *address,
		      struct tps_stranger *ret_stranger);
__u32 harness_strangers(const struct harness *harness);
__u32 harness_flows(const struct harness *harness);
__u32 harness_keys(const struct harness *harness);
/* The spliced connection of a client's packet; false: it is not one. The lock and the timer are not
 * read, nor written. */
bool harness_splice(const struct harness *harness, const struct packet *client,
		    struct tps_splice *ret_splice);
void harness_set_splice(const struct harness *harness, const struct packet *client,
			const struct tps_splice *splice);
__u32 harness_splices(const struct harness *harness);
/* How many the gate takes a server port to have. */
__u32 harness_splices_of_port(const struct harness *harness, __u16 port);
/* As if they had been evicted. */
void harness_forget_flows(const struct harness *harness);

__u64 harness_now_ns(void);

#endif
