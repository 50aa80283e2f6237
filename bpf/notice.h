/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is remembered of transactions that were not allowed, and told to who listens: the last of a
 * caller or stranger, and an event, once a second each. Knows no bucket and no limit, and changes
 * no verdict.
 */
#ifndef TPS_BPF_NOTICE_H
#define TPS_BPF_NOTICE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "clock.h"
#include "identify.h"
#include "maps.h"

/* Has the second passed that began with @last (whose low bits count as 66 us at most)? */
static __always_inline int notice_is_due(__u64 last, __u64 now_ns)
{
	return now_ns > last + TPS_EVENT_APART_NS;
}

/* Has something of @stranger been told within the second? Where most of a flood ends. */
static __always_inline int notice_is_told(const struct tps_stranger *stranger,
					  const struct tps_control *settings)
{
	return !notice_is_due(*(volatile const __u64 *)&stranger->last, clock_coarse_ns(settings));
}

/* @event's place is the caller's: none else writes or reads it until its turn is set. */
static __always_inline void notice_fill(struct tps_event *event, __u64 whose, __u32 what)
{
	__u32 zero = 0;
	struct frame *frame = bpf_map_lookup_elem(&frames, &zero);

	event->time_ns = bpf_ktime_get_ns();
	event->slot.slot = whose;
	event->slot.generation = whose >> 32;
	event->kind = what;
	event->reason = what >> 8;
	event->listener = what >> 16;
	event->tier = what >> 24;
	if (!frame)
		return;
	dual_memcpy(event->source_be, frame->flow.source_be, sizeof(event->source_be));
	event->port_be = frame->flow.destination_port_be;
	event->family = frame->family;
}

/*
 * Into the ring, over the oldest. A place that another CPU still writes, a whole round behind, is
 * left to it: then this event is lost. Both turns are set by atomic operations, which are full
 * barriers.
 */
static __always_inline void notice_event(__u64 whose, __u32 what)
{
	__u32 zero = 0;
	struct tps_events *ring = bpf_map_lookup_elem(&events, &zero);
	struct tps_event *event;
	__u64 number, turn;

	if (!ring)
		return;
	number = __sync_fetch_and_add(&ring->next, 1);
	event = &ring->event[number & (TPS_EVENTS_MAX - 1)];
	turn = *(volatile __u64 *)&event->turn;
	if (turn == TPS_EVENT_OPEN ||
	    __sync_val_compare_and_swap(&event->turn, turn, TPS_EVENT_OPEN) != turn) {
		__sync_fetch_and_add(&ring->lost, 1);
		return;
	}
	notice_fill(event, whose, what);
	__sync_lock_test_and_set(&event->turn, number + 1);
}

/* What notice() is told of a transaction, packed. */
#define NOTICE_WHAT(verdict, reason, listener) ((verdict) | (reason) << 8 | (listener) << 16)

/* Where the last one is kept; NULL: nowhere. Opaque, or clang adds the offset before it has looked
 * for NULL ("pointer arithmetic on map_value_or_null", Linux 6.18). */
static __always_inline __u64 *notice_last(struct tps_stranger *stranger, __u32 slot, __u32 listener)
{
	struct tps_listener_bucket *shared;
	struct tps_account *account;

	if (slot != TPS_SLOT_STRANGERS) {
		account = bpf_map_lookup_elem(&buckets, &slot);
		if (!account)
			return NULL;
		dual_opaque(account);
		return &account->last;
	}
	if (stranger)
		return &stranger->last;
	shared = bpf_map_lookup_elem(&listener_buckets, &listener);
	if (!shared)
		return NULL;
	dual_opaque(shared);
	return &shared->last;
}

/*
 * A transaction of the caller in @slot, or of @stranger (NULL: it has no entry), was not allowed.
 * @what is NOTICE_WHAT(). Of CPUs that come at once, one tells. A global function: verified once,
 * since each way through the packet leads here.
 */
__noinline int notice(struct tps_stranger *stranger, __u32 slot, __u32 what)
{
	__u64 *word = notice_last(stranger, slot, what >> 16 & 255);
	struct tps_control *settings;
	struct tps_limit *limit;
	__u64 last, now_ns;
	__u32 zero = 0, tier;

	settings = bpf_map_lookup_elem(&control, &zero);
	if (!word || !settings)
		return 0;
	last = *(volatile __u64 *)word;
	now_ns = clock_coarse_ns(settings);
	if (!notice_is_due(last, now_ns) ||
	    __sync_val_compare_and_swap(
		    word, last, TPS_LAST(now_ns, what >> 8 & 255, what & 3, what >> 16 & 63)) !=
		    last)
		return 0;
	limit = bpf_map_lookup_elem(&limits, &slot);
	if (!limit)
		return 0;
	tier = slot == TPS_SLOT_STRANGERS ? settings->default_tier : limit->tier;
	notice_event(slot | (__u64)limit->generation << 32, what | tier << 24);
	return 1;
}

#endif
