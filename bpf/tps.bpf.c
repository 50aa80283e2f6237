// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: frame, listener, flow, identify, take, count, verdict. The one XDP entry, the one tc entry
 * at egress, and the clocks that user space asks for.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>

#include "count.h"
#include "frame.h"
#include "identify.h"
#include "maps.h"
#include "take.h"

static __always_inline int gate_observes(const struct take *take)
{
	return take->settings->observe || take->listener->mode == TPS_MODE_OBSERVE;
}

/* The end of a packet whose fate a transaction decided: pass, or in enforce mode the refusal. */
static __always_inline int gate_finish(const struct take *take, __u32 reason)
{
	enum tps_verdict verdict = count_verdict_of(reason, gate_observes(take));

	if (verdict == TPS_VERDICT_ALLOWED || verdict == TPS_VERDICT_WOULD_REFUSE)
		return count_pass(take->of, reason);
	return count_drop(take->of, reason);
}

/* One transaction of the packet's source, on its unproven bucket: what anybody can forge. */
static __always_inline int gate_unproven(struct take *take, const struct frame *frame, __u32 why)
{
	struct subject who;
	enum tps_verdict verdict;
	__u32 reason;

	take->proven = 0;
	take->cost = take->listener->cost ?: 1;
	count_note(take->of, why);
	identify_source(take->settings, frame, take->of, &who);
	reason = take_tokens(take, &who, 1);
	verdict = count_verdict_of(reason, gate_observes(take));
	count_verdict(take->of, who.tier, verdict, 1);
	count_caller(who.slot, verdict, 1);
	if (who.stranger && !who.limit)
		count_stranger(who.stranger, verdict, 1);
	return gate_finish(take, reason);
}

/* A source prefix is banned by hand: all its traffic to a listener, unless its caller is exempt. */
static __always_inline int gate_banned(struct take *take, struct frame *frame)
{
	struct subject who;

	if (!identify_any_ban(take->settings, frame) ||
	    !identify_banned((struct tps_control *)take->settings, frame))
		return 0;
	identify_source(take->settings, frame, take->of, &who);
	if (who.limit && who.limit->flags & TPS_LIMIT_EXEMPT)
		return 0;
	count_verdict(take->of, who.tier,
		      count_verdict_of(TPS_REASON_BANNED_PREFIX, gate_observes(take)), 1);
	return 1;
}

/* Why what the packet asks for cannot be proven; TPS_REASON_MAX: it asks for nothing. */
static __always_inline __u32 gate_unproven_reason(const struct take *take, const struct frame *frame,
						  enum frame_outcome outcome)
{
	switch (outcome) {
	case FRAME_TOO_MANY_HEADERS:
		return TPS_REASON_TOO_MANY_HEADERS;
	case FRAME_FIRST_FRAGMENT:
		return TPS_REASON_FIRST_FRAGMENT;
	case FRAME_UDP:
		return TPS_REASON_DATAGRAM;
	default:
		break;
	}
	if (take->listener->protocol == TPS_PROTOCOL_TCP)
		return (frame->flags & (FRAME_SYN | FRAME_ACK | FRAME_RST)) == FRAME_SYN ?
			       TPS_REASON_SYN :
			       TPS_REASON_MAX;
	return frame->payload_bytes && frame->flags & FRAME_SYN ? TPS_REASON_SYN_PAYLOAD :
								 TPS_REASON_MAX;
}

static __always_inline int gate_listener(struct xdp_md *ctx, struct take *take, struct frame *frame,
					 enum frame_outcome outcome)
{
	__u32 why;

	if (gate_banned(take, frame))
		return gate_finish(take, TPS_REASON_BANNED_PREFIX);
	why = gate_unproven_reason(take, frame, outcome);
	if (why != TPS_REASON_MAX)
		return gate_unproven(take, frame, why);
	return count_pass(take->of, TPS_REASON_NO_PAYLOAD);
}

/* The reason why a frame that is no listener's passes. */
static __always_inline enum tps_reason gate_pass_reason(enum frame_outcome outcome)
{
	switch (outcome) {
	case FRAME_NOT_IP:
		return TPS_REASON_NOT_IP;
	case FRAME_NOT_TRANSPORT:
		return TPS_REASON_NOT_TRANSPORT;
	case FRAME_LATER_FRAGMENT:
		return TPS_REASON_LATER_FRAGMENT;
	case FRAME_TOO_MANY_TAGS:
		return TPS_REASON_TOO_MANY_TAGS;
	case FRAME_MALFORMED:
		return TPS_REASON_MALFORMED;
	default:
		return TPS_REASON_NOT_LISTENER;
	}
}

/* A global function, so that what follows is verified once and not for each way through the headers. */
__noinline int gate_frame(struct xdp_md *ctx, struct frame *frame)
{
	if (!frame)
		return FRAME_MALFORMED;
	return frame_read((const __u8 *)(long)ctx->data, (const __u8 *)(long)ctx->data_end, frame);
}

SEC("xdp.frags")
int gate(struct xdp_md *ctx)
{
	enum frame_outcome outcome;
	struct tps_control *settings;
	struct take take = {};
	struct frame frame = {};
	__u32 zero = 0, index, *number;

	settings = bpf_map_lookup_elem(&control, &zero);
	if (!settings)
		return XDP_PASS;
	if (settings->paused)
		return count_pass(count_totals(0), TPS_REASON_PAUSED);
	outcome = gate_frame(ctx, &frame);
	if (outcome == FRAME_TCP || outcome == FRAME_UDP || outcome == FRAME_FIRST_FRAGMENT) {
		index = TPS_PORT_INDEX(frame.is_udp, dual_swap16(frame.flow.destination_port_be));
		number = bpf_map_lookup_elem(&ports, &index);
		take.number = number ? *number : 0;
	}
	if (!take.number && (outcome != FRAME_TOO_MANY_HEADERS || !settings->listeners))
		return count_pass(count_totals(0), gate_pass_reason(outcome));
	take.settings = settings;
	take.listener = bpf_map_lookup_elem(&listeners, &take.number);
	take.of = count_totals(take.number);
	if (!take.listener)
		return count_pass(take.of, TPS_REASON_NOT_LISTENER);
	return gate_listener(ctx, &take, &frame, outcome);
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* Both clocks at once, for user space to find out jiffies' tick and offset (control.tick_*). */
SEC("syscall")
int clocks(struct tps_clocks *ctx)
{
	ctx->ktime_ns = bpf_ktime_get_ns();
	ctx->jiffies = bpf_jiffies64();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
