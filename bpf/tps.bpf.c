// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: frame, listener, flow, identify, take, count, verdict. The one XDP entry, the one tc
 * entry at egress, and the clocks that user space asks for.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "arrive.h"
#include "count.h"
#include "hello.h"
#include "identify.h"
#include "maps.h"
#include "notice.h"
#include "quoted.h"
#include "refuse.h"
#include "requests.h"
#include "respond.h"
#include "take.h"
#include "transit.h"
#include "translate.h"

/* What a transaction to listener @number needs. False: a map was not there. */
static __always_inline int gate_take(struct take *ret, __u32 number)
{
	__u32 zero = 0;

	ret->settings = bpf_map_lookup_elem(&control, &zero);
	ret->listener = bpf_map_lookup_elem(&listeners, &number);
	ret->of = count_totals(number);
	ret->number = number;
	return ret->settings && ret->listener;
}

/*
 * One transaction of the packet's source, on its unproven bucket: what anybody can forge. It costs
 * @weight transactions when that many may be in it and nobody can tell.
 */
static __always_inline int gate_unproven(struct xdp_md *ctx, const struct frame *frame,
					 __u32 number, __u32 why, __u32 weight)
{
	enum tps_verdict verdict;
	struct take take = {};
	struct subject who;
	__u32 reason;

	if (!gate_take(&take, number))
		return XDP_PASS;
	count_note(take.of, why);
	identify_source(take.settings, frame, take.of, &who);
	take.cost = weight * (take.listener->cost ?: 1);
	/* the host would put requests together that the gate cannot read */
	if (why == TPS_REASON_FIRST_FRAGMENT && take.listener->protocol == TPS_PROTOCOL_HTTP)
		reason = why;
	else
		reason = take_tokens(&take, &who, 1);
	verdict = count_verdict_of(reason, take_observes(&take));
	count_verdict(take.of, who.tier, verdict, 1);
	count_caller(who.slot, verdict, 1);
	if (who.stranger && !who.limit)
		count_stranger(who.stranger, verdict, 1);
	if (verdict != TPS_VERDICT_ALLOWED &&
	    !(who.stranger && notice_is_told(who.stranger, take.settings)))
		notice(who.stranger, who.slot, NOTICE_WHAT(verdict, reason, number));
	if (verdict == TPS_VERDICT_ALLOWED || verdict == TPS_VERDICT_WOULD_REFUSE)
		return count_pass(take.of, reason);
	if (why == TPS_REASON_SYN && take.listener->refusal == TPS_REFUSAL_RESET)
		return refuse_syn(ctx, number, reason);
	return count_drop(take.of, reason);
}

/* Of a source prefix that is banned by hand: all its traffic to a listener, unless its caller is
 * exempt. Returns the XDP action, or -1 when it is exempt. */
__noinline int gate_banned(struct frame *frame, __u32 number)
{
	struct take take = {};
	struct subject who;
	__u32 verdict;

	if (!frame || !gate_take(&take, number))
		return -1;
	identify_source(take.settings, frame, take.of, &who);
	if (who.limit && who.limit->flags & TPS_LIMIT_EXEMPT)
		return -1;
	verdict = count_verdict_of(TPS_REASON_BANNED_PREFIX, take_observes(&take));
	count_verdict(take.of, who.tier, verdict, 1);
	notice(who.stranger, who.slot, NOTICE_WHAT(verdict, TPS_REASON_BANNED_PREFIX, number));
	return take_finish(&take, TPS_REASON_BANNED_PREFIX);
}

/* Why what the packet asks for cannot be proven; TPS_REASON_MAX: it asks for nothing, or may be. */
static __always_inline __u32 gate_unproven_reason(const struct tps_listener *listener,
						  const struct frame *frame, int outcome)
{
	switch (outcome) {
	case FRAME_FIRST_FRAGMENT:
		return TPS_REASON_FIRST_FRAGMENT;
	case FRAME_UDP:
		return TPS_REASON_DATAGRAM;
	default:
		break;
	}
	if (listener->protocol == TPS_PROTOCOL_TCP)
		return (frame->flags & (FRAME_SYN | FRAME_ACK | FRAME_RST)) == FRAME_SYN
			       ? TPS_REASON_SYN
			       : TPS_REASON_MAX;
	return frame->payload_bytes && frame->flags & FRAME_SYN ? TPS_REASON_SYN_PAYLOAD
								: TPS_REASON_MAX;
}

/* How many requests may be in what cannot be read: as many of the smallest as it has room for. */
static __always_inline __u32 gate_weight(const struct tps_listener *listener,
					 const struct frame *frame, int outcome)
{
	if (listener->protocol != TPS_PROTOCOL_HTTP || outcome == FRAME_FIRST_FRAGMENT)
		return 1;
	return frame->payload_bytes / REQUESTS_BYTES_PER_HEAD + 1;
}

static __always_inline int gate_listener(struct xdp_md *ctx, struct tps_control *settings,
					 struct frame *frame, __u32 number, int outcome)
{
	struct tps_listener *listener = bpf_map_lookup_elem(&listeners, &number);
	__u32 why;

	if (!listener)
		return XDP_PASS;
	if (identify_any_ban(settings, frame) && identify_banned(settings, frame)) {
		int action = gate_banned(frame, number);

		if (action >= 0)
			return action;
	}
	if ((listener->protocol == TPS_PROTOCOL_HTTP || listener->protocol == TPS_PROTOCOL_TLS) &&
	    (frame->flags & FRAME_SYN || outcome == FRAME_FIRST_FRAGMENT))
		flow_syn(frame);
	why = gate_unproven_reason(listener, frame, outcome);
	if (why != TPS_REASON_MAX)
		return gate_unproven(ctx, frame, number, why,
				     gate_weight(listener, frame, outcome));
	if (!(frame->flags & FRAME_RST) && (frame->payload_bytes || frame->flags & FRAME_URG)) {
		if (listener->protocol == TPS_PROTOCOL_HTTP)
			return requests_gate(ctx, frame, number);
		if (listener->protocol == TPS_PROTOCOL_TLS)
			return hello_gate(ctx, frame, number);
	}
	if (listener->protocol == TPS_PROTOCOL_TLS && frame->flags & FRAME_RST &&
	    listener->placement == TPS_PLACEMENT_TRANSIT)
		hello_reset(frame);
	return count_pass(count_totals(number), TPS_REASON_NO_PAYLOAD);
}

/* The reason why a frame that is no listener's passes. */
static __always_inline enum tps_reason gate_pass_reason(int outcome)
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
	case FRAME_TOO_MANY_HEADERS:
		return TPS_REASON_TOO_MANY_HEADERS;
	case FRAME_MALFORMED:
		return TPS_REASON_MALFORMED;
	default:
		return TPS_REASON_NOT_LISTENER;
	}
}

/* A frame of which no listener's port was read. Behind more tags or headers than are read the host
 * may find any listener's all the same: where one enforces, such a frame does not pass. */
static __always_inline int gate_nobody(const struct tps_control *settings, int outcome)
{
	struct tps_totals *of = count_totals(0);

	if ((outcome == FRAME_TOO_MANY_TAGS || outcome == FRAME_TOO_MANY_HEADERS) &&
	    settings->enforcing && !settings->observe)
		return count_drop(of, gate_pass_reason(outcome));
	return count_pass(of, gate_pass_reason(outcome));
}

SEC("xdp.frags")
int gate(struct xdp_md *ctx)
{
	const __u8 *data = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u32 index = 0, number = 0, *found, outcome;
	struct tps_control *settings;
	struct frame *frame;

	settings = bpf_map_lookup_elem(&control, &index);
	frame = bpf_map_lookup_elem(&frames, &index);
	if (!settings || !frame)
		return XDP_PASS;
	frame->outcome = frame_read(data, end, frame);
	dual_reload();
	if (frame->outcome == FRAME_TCP) {
		/* before every switch: a spliced connection is never left untranslated */
		found = translate_port(frame->flow.destination_port_be);
		if (found && *found)
			frame->action = arrive(ctx);
		dual_reload();
		if (frame->action >= 0)
			return frame->action;
	} else if (frame->outcome == FRAME_NOT_TRANSPORT &&
		   (frame->ip.next == QUOTED_PROTO_ICMP || frame->ip.next == QUOTED_PROTO_ICMPV6)) {
		quoted_arriving(ctx);
		dual_reload();
	}
	outcome = frame->outcome;
	if (settings->paused)
		return count_pass(count_totals(0), TPS_REASON_PAUSED);
	/* cut short here, but not for the host: the headers go on in the next buffer. Of IPv4's, 60
	 * bytes each, that does not happen. */
	if (outcome == FRAME_MALFORMED && frame->family &&
	    bpf_xdp_get_buff_len(ctx) > ctx->data_end - ctx->data)
		outcome = FRAME_TOO_MANY_HEADERS;
	if (frame->is_jumbo)
		frame->payload_bytes = bpf_xdp_get_buff_len(ctx) - frame->payload_at;
	if (outcome == FRAME_TCP || outcome == FRAME_UDP || outcome == FRAME_FIRST_FRAGMENT) {
		index = TPS_PORT_INDEX(frame->is_udp, dual_swap16(frame->flow.destination_port_be));
		found = bpf_map_lookup_elem(&ports, &index);
		number = found ? *found : 0;
	}
	if (!number)
		return gate_nobody(settings, outcome);
	return gate_listener(ctx, settings, frame, number, outcome);
}

/* Reads what leaves. False: no TCP. */
__noinline int egress_frame(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct respond *r = bpf_map_lookup_elem(&responses, &zero);

	if (!r || frame_read((const __u8 *)(long)skb->data, (const __u8 *)(long)skb->data_end,
			     &r->frame) != FRAME_TCP)
		return 0;
	r->key = transit_key(&r->frame);
	return 1;
}

/* The frame leaves with a tag that its device puts in. */
static __always_inline void egress_tagged(__u32 ifindex)
{
	__u32 zero = 0;
	struct tps_splicing *of = bpf_map_lookup_elem(&splicing, &zero);
	__u64 bit = 1ULL << (ifindex & 63);

	if (of && !(of->tagged & bit))
		__sync_fetch_and_or(&of->tagged, bit);
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	__u32 zero = 0, index, *number;
	struct tps_listener *listener;
	struct tps_control *settings;
	struct respond *r;

	settings = bpf_map_lookup_elem(&control, &zero);
	r = bpf_map_lookup_elem(&responses, &zero);
	if (!settings || !r || !egress_frame(skb))
		return TC_ACT_UNSPEC;
	if (skb->vlan_present)
		egress_tagged(skb->ifindex);
	number = translate_port(r->frame.flow.source_port_be);
	if (number && *number)
		return respond_leaving(skb);
	if (!settings->transit)
		return TC_ACT_UNSPEC;
	index = TPS_PORT_INDEX(0, dual_swap16(r->frame.flow.source_port_be));
	number = bpf_map_lookup_elem(&ports, &index);
	if (!number || !*number)
		return TC_ACT_UNSPEC;
	listener = bpf_map_lookup_elem(&listeners, number);
	if (listener && listener->placement == TPS_PLACEMENT_TRANSIT &&
	    (listener->protocol == TPS_PROTOCOL_HTTP || listener->protocol == TPS_PROTOCOL_TLS))
		transit_leaving(&r->frame, listener->protocol, settings->epoch);
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
