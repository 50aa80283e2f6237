/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who sends: from an API key or a source address to a caller's slot, or to a stranger. Also whether
 * a source prefix is banned by hand. Knows no bucket and spends nothing.
 */
#ifndef TPS_BPF_IDENTIFY_H
#define TPS_BPF_IDENTIFY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "clock.h"
#include "count.h"
#include "maps.h"

/* The frame at hand. In a map, since the verifier then takes all ways through the headers for one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

/* A stranger's entry while it is being made: 64 bytes that three calls' stacks have no room for. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tps_stranger);
} newcomer SEC(".maps");

/* To whom a transaction is charged. limit NULL: to a stranger, whose entry may not be there yet. */
struct subject {
	struct tps_limit *limit;
	struct tps_stranger *stranger;
	struct tps_address address;
	__u64 rate; /* bucket_limit that holds for it; 0: none could be found */
	__u32 slot; /* TPS_SLOT_STRANGERS of a stranger */
	__u32 tier;
	__u32 sources_generation; /* read before the sources were asked */
};

static __always_inline struct tps_address identify_address(const struct frame *frame)
{
	struct tps_address address;

	if (frame->family == 4)
		address.word = TPS_ADDRESS_IPV4 | dual_swap32(frame->flow.source_be[3]);
	else
		address.word = (__u64)dual_swap32(frame->flow.source_be[0]) << 32 |
			       dual_swap32(frame->flow.source_be[1]);
	return address;
}

/* The entry of the frame's source, if it has one. */
static __always_inline struct tps_stranger *identify_stranger(const struct frame *frame)
{
	struct tps_address address = identify_address(frame);

	return bpf_map_lookup_elem(&strangers, &address);
}

/* The longest source prefix, by the trie. */
static __always_inline struct tps_slot *identify_prefix(const struct frame *frame)
{
	struct tps_source6_key key6;

	if (frame->family == 4) {
		struct tps_source4_key key4 = {32, frame->flow.source_be[3]};

		return bpf_map_lookup_elem(&sources4, &key4);
	}
	key6.prefix_bits = 128;
	dual_memcpy(key6.address, frame->flow.source_be, 16);
	return bpf_map_lookup_elem(&sources6, &key6);
}

/* Starts the loads that the take and the count will wait for, all at once: among a million callers
 * each is a cache miss, and behind the bucket's locked instruction they would come one by one. */
static __always_inline void identify_warm(__u32 slot)
{
	struct tps_counter *counter = bpf_map_lookup_elem(&counters, &slot);
	struct tps_bucket *bucket = bpf_map_lookup_elem(&buckets, &slot);

	if (counter)
		(void)*(volatile __u64 *)counter->verdicts;
	if (bucket)
		(void)*(volatile __u64 *)&bucket->proven_tat_vt;
}

/* The slot's tenant, if it still is the one that was meant. */
static __always_inline struct tps_limit *identify_tenant(struct tps_slot slot)
{
	struct tps_limit *limit;

	if (!slot.generation)
		return NULL;
	identify_warm(slot.slot);
	limit = bpf_map_lookup_elem(&limits, &slot.slot);
	if (!limit || limit->generation != slot.generation)
		return NULL;
	return limit;
}

static __always_inline void identify_rate(const struct tps_control *settings, struct subject *ret)
{
	__u32 tier = ret->limit ? ret->limit->tier : settings->default_tier;
	struct tps_tier *of = bpf_map_lookup_elem(&tiers, &tier);

	ret->tier = tier;
	ret->rate = of ? of->limit : 0;
	if (ret->limit && ret->limit->own)
		ret->rate = ret->limit->own;
}

/* An empty entry that knows whose its address is. */
static __always_inline void identify_remember(const struct tps_address *address, __u32 generation,
					      struct tps_slot caller)
{
	__u32 zero = 0;
	struct tps_stranger *fresh = bpf_map_lookup_elem(&newcomer, &zero);

	if (!fresh)
		return;
	dual_memset(fresh, 0, sizeof(*fresh));
	fresh->sources_generation = generation;
	fresh->caller = caller;
	bpf_map_update_elem(&strangers, address, fresh, BPF_NOEXIST);
}

/*
 * The caller of the longest source prefix, else a stranger. What the trie said is remembered in the
 * address's entry until the sources change; a /64 with longer prefixes inside is asked each time,
 * since it is not one caller.
 */
static __always_inline void identify_source(const struct tps_control *settings,
					    const struct frame *frame, struct tps_totals *of,
					    struct subject *ret)
{
	__u32 generation = *(volatile const __u32 *)&settings->generation;
	__u32 sources = frame->family == 4 ? settings->sources4 : settings->sources6;
	struct tps_slot found = {};

	ret->limit = NULL;
	ret->slot = TPS_SLOT_STRANGERS;
	ret->sources_generation = generation;
	ret->address = identify_address(frame);
	ret->stranger = bpf_map_lookup_elem(&strangers, &ret->address);
	if (sources) {
		int shared = frame->family == 6 && settings->sources6_long;

		if (ret->stranger && !shared && ret->stranger->sources_generation == generation) {
			found = ret->stranger->caller;
		} else {
			struct tps_slot *prefix = identify_prefix(frame);

			if (prefix)
				found = *prefix;
			if (ret->stranger && !shared) {
				ret->stranger->caller = found;
				ret->stranger->sources_generation = generation;
			} else if (found.generation && !shared) {
				identify_remember(&ret->address, generation, found);
			}
		}
		ret->limit = identify_tenant(found);
		if (ret->limit)
			ret->slot = found.slot;
		else if (found.generation)
			count_note(of, TPS_REASON_STALE_SLOT);
	}
	identify_rate(settings, ret);
}

/* The caller in @slot, if it still is the one that was meant. */
static __always_inline int identify_slot(const struct tps_control *settings, struct tps_slot slot,
					 struct subject *ret)
{
	ret->limit = identify_tenant(slot);
	if (!ret->limit)
		return 0;
	ret->slot = slot.slot;
	ret->stranger = NULL;
	identify_rate(settings, ret);
	return 1;
}

/* That the key came, at most once a minute. */
static __always_inline void identify_used(const struct tps_control *settings,
					  struct tps_key_owner *key)
{
	__u64 now_ns = clock_coarse_ns(settings);

	if (!key->used_ns || now_ns > key->used_ns + TPS_KEY_USE_NS)
		key->used_ns = now_ns;
}

/* The caller that has the key of @hash, and its slot. False: nobody has; then it is for
 * identify_source(). */
static __always_inline int identify_key(const struct tps_control *settings, const __u64 hash[2],
					struct tps_totals *of, struct subject *ret,
					struct tps_slot *ret_slot)
{
	struct tps_key key = {{hash[0], hash[1]}};
	struct tps_key_owner *found = bpf_map_lookup_elem(&keys, &key);

	if (!found) {
		count_note(of, TPS_REASON_UNKNOWN_KEY);
		return 0;
	}
	if (!identify_slot(settings, found->slot, ret)) {
		count_note(of, TPS_REASON_STALE_SLOT);
		return 0;
	}
	*ret_slot = found->slot;
	identify_used(settings, found);
	return 1;
}

/* Is there a ban of the first @bits bits of the address? @high_be and @low_be hold it. */
__noinline int identify_banned_at(__u64 high_be, __u64 low_be, __u32 family_bits, __u64 now_ns)
{
	__u32 family = family_bits >> 8, bits = family_bits & 255;
	__u64 mask_high = bits >= 64 ? ~0ULL : ~(~0ULL >> bits);
	__u64 mask_low = bits >= 128 ? ~0ULL : bits <= 64 ? 0 : ~(~0ULL >> (bits & 63));
	struct tps_ban_key key = {.prefix_bits = bits, .family = family};
	struct tps_ban *ban;

	high_be &= dual_swap64(mask_high);
	low_be &= dual_swap64(mask_low);
	dual_memcpy(key.address, &high_be, 8);
	dual_memcpy(key.address + 8, &low_be, 8);
	ban = bpf_map_lookup_elem(&bans, &key);
	return ban && ban->until_ns > now_ns;
}

/*
 * Is the source in a prefix that is banned by hand? One probe for each prefix length in use, the
 * longest first. Global functions: verified once, and out of the way of the packets that no ban
 * concerns. The loop's counter is the length: a bit scan (clz) would be quicker, but leaves the
 * verifier with a different scalar on each path (clang 14, Linux 6.18: 1000001 instructions).
 */
__noinline int identify_banned(struct tps_control *settings, struct frame *frame)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 high_be, low_be;

	if (!settings || !frame)
		return 0;
	if (frame->family == 4) {
		high_be = frame->flow.source_be[3];
		for (int bits = 32; bits >= 0; bits--)
			if (settings->ban_lengths4 >> bits & 1 &&
			    identify_banned_at(high_be, 0, 4 << 8 | bits, now_ns))
				return 1;
		return 0;
	}
	high_be = frame->flow.source_be[0] | (__u64)frame->flow.source_be[1] << 32;
	low_be = frame->flow.source_be[2] | (__u64)frame->flow.source_be[3] << 32;
	for (int bits = 128; bits >= 0; bits--)
		if (settings->ban_lengths6[bits >> 6] >> (bits & 63) & 1 &&
		    identify_banned_at(high_be, low_be, 6 << 8 | bits, now_ns))
			return 1;
	return 0;
}

static __always_inline int identify_any_ban(const struct tps_control *settings,
					    const struct frame *frame)
{
	if (frame->family == 4)
		return settings->ban_lengths4 != 0;
	return (settings->ban_lengths6[0] | settings->ban_lengths6[1] |
		settings->ban_lengths6[2]) != 0;
}

#endif
