/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Placement transit: the server's TCP state as its packets leave tell it, since its socket is in
 * another namespace or on another host. What leaves cannot be forged from outside. Knows sequence
 * numbers, not requests.
 */
#ifndef TPS_BPF_TRANSIT_H
#define TPS_BPF_TRANSIT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>
#include <tps/http.h>

#include "flow.h"
#include "maps.h"
#include "requests.h"

/* The flow as its client sends it. */
static __always_inline struct tps_flow_key transit_key(const struct frame *frame)
{
	struct tps_flow_key key;

	for (int i = 0; i < 4; i++) {
		key.source_be[i] = frame->flow.destination_be[i];
		key.destination_be[i] = frame->flow.source_be[i];
	}
	key.source_port_be = frame->flow.destination_port_be;
	key.destination_port_be = frame->flow.source_port_be;
	return key;
}

/* What the server has sent and received, by a segment of its own. Never backwards. */
static __always_inline void transit_update(struct tps_flow *flow, const struct frame *frame)
{
	__u32 end = frame->seq + frame->payload_bytes;

	if (flow_before(flow->ack_high, end))
		flow->ack_high = end;
	if (flow_before(flow->server_next, frame->ack))
		flow->server_next = frame->ack;
}

/* A connection without an entry: its server speaks, so it exists. @phase: what of its client's
 * bytes went by unread. */
__noinline int transit_join(struct frame *frame, struct tps_flow_key *key, __u32 phase)
{
	struct tps_control *settings;
	struct tps_flow_key copy;
	struct segment *r;
	__u32 zero = 0;

	if (!frame || !key)
		return 0;
	copy = *key; /* 6.1 takes no argument's memory for a key: "R2 type=mem expected=fp" */
	settings = bpf_map_lookup_elem(&control, &zero);
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!settings || !r)
		return 0;
	phase = phase == HTTP_VOID ? HTTP_VOID : HTTP_JOINED;
	http_lose(&r->flow.http, phase);
	r->flow.tainted = phase;
	r->flow.epoch = settings->epoch;
	r->flow.next_seq = frame->ack;
	r->flow.framed_seq = frame->ack;
	r->flow.high_seq = frame->ack;
	r->flow.server_next = frame->ack;
	r->flow.ack_high = frame->seq + frame->payload_bytes;
	r->flow.proven_ack = r->flow.ack_high;
	r->flow.turn_ack = r->flow.ack_high;
	r->flow.bound.generation = 0;
	r->flow.answers = 0;
	r->flow.syn_seen = 0;
	r->flow.protocol = TPS_PROTOCOL_HTTP;
	r->flow.again[0] = HTTP_PHASE_MAX;
	r->flow.open_seq = frame->ack;
	bpf_map_update_elem(&flows, &copy, &r->flow, BPF_NOEXIST);
	return 0;
}

/* A segment that leaves from a listener's port, in @epoch of the settings. */
static __always_inline void transit_leaving(struct frame *frame, __u32 protocol, __u32 epoch)
{
	struct tps_flow_key key = transit_key(frame);
	struct tps_handshake *handshake;
	struct tps_flow *flow;

	if (frame->flags & FRAME_RST && protocol == TPS_PROTOCOL_TLS)
		bpf_map_delete_elem(&flows, &key); /* the next one of the tuple is another */
	if (frame->flags & FRAME_RST || !(frame->flags & FRAME_ACK))
		return;
	if (frame->flags & FRAME_SYN) {
		struct tps_handshake fresh = {
			.client_next = frame->ack,
			.server_next = frame->seq + 1,
			.epoch = epoch,
		};

		handshake = bpf_map_lookup_elem(&handshakes, &key);
		if (handshake && handshake->client_next == fresh.client_next &&
		    handshake->server_next == fresh.server_next)
			return;                    /* sent again */
		bpf_map_delete_elem(&flows, &key); /* of a connection before, same tuple */
		bpf_map_update_elem(&handshakes, &key, &fresh, BPF_ANY);
		return;
	}
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && flow->protocol == protocol) {
		transit_update(flow, frame);
		return;
	}
	if (flow) /* the listener's protocol has changed */
		bpf_map_delete_elem(&flows, &key);
	/* The ACK of a request head whose first part was dropped, or of a FIN, proves no more than
	 * the handshake did: then the client's first segment makes the entry, from its first byte.
	 * If the gate saw the handshake and all since, the client sent bytes that did not fit it.
	 */
	if (protocol == TPS_PROTOCOL_TLS)
		return;
	handshake = bpf_map_lookup_elem(&handshakes, &key);
	if (!handshake || handshake->client_next != frame->ack)
		transit_join(frame, &key,
			     handshake && handshake->epoch == epoch ? HTTP_VOID : HTTP_JOINED);
}

#endif
