// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the bench runs beside the gate: the floors, and the wrappers that make each test run find
 * frame and flow as the first one did, then tail-call the gate itself. The gate's maps are shared
 * by fd. Knows no limit and no figure.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/bucket.h>
#include <tps/frame.h>
#include <tps/siphash.h>

#include "identify.h"
#include "take.h"
#include "translate.h"

#include "script.h"

/* the bench; the wrappers move seq and random on */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_script);
} script SEC(".maps");

/* what a wrapper goes on to */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, BENCH_TARGET_MAX);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

/* floor b's callers: address to bucket word */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} floor_callers SEC(".maps");

static __always_inline struct bench_script *get_script(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&script, &zero);
}

SEC("xdp.frags")
int nothing(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int floor_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* Parse, one hash lookup, ktime, one compare-and-swap: the least that limits by address. */
SEC("xdp.frags")
int floor_bucket(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct bench_script *s = get_script();
	__u64 *word;

	if ((void *)(tcp + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->protocol != 6 || !tcp->syn || !s)
		return XDP_PASS;
	word = bpf_map_lookup_elem(&floor_callers, &ip->saddr);
	if (!word)
		return XDP_ABORTED;
	if (bucket_take(word, s->limit, bucket_now_vt(bpf_ktime_get_ns()), 1) != BUCKET_TAKEN)
		return XDP_DROP;
	return XDP_PASS;
}

/* xorshift64 (Marsaglia 2003): the order in which callers come must not be the order in memory. */
static __always_inline __u32 draw(struct bench_script *s, __u32 of)
{
	__u64 x = s->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	s->random = x;
	return (__u64)(__u32)(x >> 16) * of >> 32;
}

/* The source address becomes a random one of @s->population, from s->address on. */
static __always_inline int scatter_source(struct xdp_md *ctx, struct bench_script *s)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if ((void *)(ip + 1) > end)
		return -1;
	ip->saddr = bpf_htonl(s->address + draw(s, s->population));
	return 0;
}

/* Sixteen letters, four bits each: what follows "X-API-Key: " in the bench's requests. */
static __always_inline __u64 letters(__u32 value)
{
	__u64 x = value;

	x = (x | x << 16) & 0x0000ffff0000ffffULL;
	x = (x | x << 8) & 0x00ff00ff00ff00ffULL;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fULL;
	return x + 0x6161616161616161ULL;
}

/* The request becomes the next of its stream: the sequence number moves on. */
static __always_inline int move_on(struct xdp_md *ctx, struct bench_script *s)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = data + BENCH_TCP_AT;

	if ((void *)(tcp + 1) > end)
		return -1;
	tcp->seq = bpf_htonl(s->seq);
	s->seq += s->payload_bytes;
	return 0;
}

/* Its key becomes a random one of @s->population. */
static __always_inline int scatter_key(struct xdp_md *ctx, struct bench_script *s)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *key = data + BENCH_KEY_AT;

	if ((void *)(key + 1) > end)
		return -1;
	*key = letters(draw(s, s->population));
	return 0;
}

SEC("xdp.frags")
int wrap_source(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();

	if (!s || scatter_source(ctx, s))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int wrap_stream(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();

	if (!s || move_on(ctx, s))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int wrap_stream_and_key(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();

	if (!s || move_on(ctx, s) || scatter_key(ctx, s))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

/* The flow's entry as it was before the request, with acks that the request's own is not among: the
 * gate has to ask the host's socket. */
SEC("xdp.frags")
int wrap_flow(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	struct tps_flow *flow;

	if (!s)
		return XDP_ABORTED;
	flow = bpf_map_lookup_elem(&flows, &s->flow);
	if (!flow)
		return XDP_ABORTED;
	__builtin_memcpy(flow, &s->before, sizeof(s->before));
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

/* Is the connection again as it was before its request was answered? */
static __always_inline int restore_connection(struct bench_script *s)
{
	struct tps_flow *flow = bpf_map_lookup_elem(&flows, &s->flow);
	struct tps_splice *splice = bpf_map_lookup_elem(&spliced, &s->flow);

	if (!flow || !splice)
		return 0;
	__builtin_memcpy(flow, &s->before, sizeof(s->before));
	splice->swallowed = s->counts.swallowed;
	splice->injected = s->counts.injected;
	splice->swallowed_before = s->counts.swallowed_before;
	splice->injected_before = s->counts.injected_before;
	splice->asked_seq = s->counts.asked_seq;
	splice->edge_seq = s->counts.edge_seq;
	splice->unacked = 1;
	return 1;
}

/* Is the frame, of which the gate made an answer, the request again? */
static __always_inline int restore_frame(struct xdp_md *ctx, struct bench_script *s)
{
	__u32 bytes = s->frame_bytes;

	if (bpf_xdp_adjust_head(ctx, (int)bpf_xdp_get_buff_len(ctx) - (int)bytes))
		return 0;
	barrier_var(bytes); /* else the mask below, which the verifier wants, is left out */
	bytes = ((bytes - 1) & (BENCH_FRAME_MAX - 1)) + 1;
	return !bpf_xdp_store_bytes(ctx, 0, s->frame, bytes);
}

/* A request that is refused with an answer: frame, flow and splice as they were before it. */
SEC("xdp.frags")
int wrap_answered(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();

	if (!s || !restore_connection(s) || !restore_frame(ctx, s))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

/* A connection's first bytes: the gate has no entry of it. */
SEC("xdp.frags")
int wrap_hello(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();

	if (!s)
		return XDP_ABORTED;
	bpf_map_delete_elem(&flows, &s->flow);
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

/* The same of one that is refused with an alert: frame and entries as they were before it. */
SEC("xdp.frags")
int wrap_denied(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	__u32 bytes;

	if (!s)
		return XDP_ABORTED;
	translate_forget(&s->flow);
	bytes = s->frame_bytes;
	if (bpf_xdp_adjust_tail(ctx, (int)bytes - (int)bpf_xdp_get_buff_len(ctx)))
		return XDP_ABORTED;
	barrier_var(bytes); /* as restore_frame() */
	bytes = ((bytes - 1) & (BENCH_FRAME_MAX - 1)) + 1;
	if (bpf_xdp_store_bytes(ctx, 0, s->frame, bytes))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &targets, s->target);
	return XDP_ABORTED;
}

/* The hash of a random caller's key, as the parser makes it from the eight letters. */
static __always_inline void draw_key(struct bench_script *s, struct tps_key *ret_key)
{
	const struct tps_control *settings;
	struct siphash hash;
	__u32 zero = 0;

	settings = bpf_map_lookup_elem(&control, &zero);
	if (!settings)
		return;
	siphash_begin(&hash, settings->secret);
	siphash_word(&hash, letters(draw(s, s->population)));
	siphash_end(&hash, 0, 8, ret_key->hash);
}

/* What keyed_bucket costs before it begins: the draw, and the hash that belongs to the parser. */
SEC("xdp.frags")
int keyed_draw(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	struct tps_key key = {};

	if (!s)
		return XDP_ABORTED;
	draw_key(s, &key);
	return (key.hash[0] ^ key.hash[1]) == 1 ? XDP_DROP : XDP_PASS;
}

/* What a transaction to the http listener needs. False: a map was not there, or no TCP frame. */
static __always_inline int begin(struct xdp_md *ctx, struct take *ret)
{
	const __u8 *data = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u32 zero = 0;
	struct frame *frame = bpf_map_lookup_elem(&frames, &zero);

	ret->number = BENCH_HTTP_LISTENER;
	ret->cost = 1;
	ret->proven = 1;
	ret->settings = bpf_map_lookup_elem(&control, &zero);
	ret->listener = bpf_map_lookup_elem(&listeners, &ret->number);
	ret->of = count_totals(ret->number);
	return ret->settings && ret->listener && frame && frame_read(data, end, frame) == FRAME_TCP;
}

static __always_inline int spend(const struct take *take, struct subject *who)
{
	__u32 reason = take_tokens(take, who, 1);

	count_verdict(take->of, who->tier, count_verdict_of(reason, 0), 1);
	count_caller(who->slot, count_verdict_of(reason, 0), 1);
	return take_finish(take, reason);
}

/* A keyed caller's transaction without the request around it: from the key's hash to the verdict.
 */
SEC("xdp.frags")
int keyed_bucket(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	struct subject who = {};
	struct take take = {};
	struct tps_key key = {};
	struct tps_slot slot;

	if (!s || !begin(ctx, &take))
		return XDP_ABORTED;
	draw_key(s, &key);
	if (!identify_key(take.settings, key.hash, take.of, &who, &slot))
		return XDP_ABORTED;
	return spend(&take, &who);
}

/* the bench: every caller, for a flow that is bound to one */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tps_slot);
} bound_callers SEC(".maps");

static __always_inline struct tps_slot *draw_caller(struct bench_script *s)
{
	__u32 index = draw(s, s->population);

	return bpf_map_lookup_elem(&bound_callers, &index);
}

/* What bound_bucket costs before it begins: in the gate, the caller stands in the flow's entry. */
SEC("xdp.frags")
int bound_draw(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	struct tps_slot *slot = s ? draw_caller(s) : NULL;

	if (!slot)
		return XDP_ABORTED;
	return slot->generation ? XDP_PASS : XDP_DROP;
}

/* The same for a flow that is bound to its caller: from the slot to the verdict. */
SEC("xdp.frags")
int bound_bucket(struct xdp_md *ctx)
{
	struct bench_script *s = get_script();
	struct tps_slot *slot = s ? draw_caller(s) : NULL;
	struct subject who = {};
	struct take take = {};

	if (!slot || !begin(ctx, &take) || !identify_slot(take.settings, *slot, &who))
		return XDP_ABORTED;
	return spend(&take, &who);
}

char LICENSE[] SEC("license") = "GPL";
