/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Proof: does this segment belong to a connection that exists? By the host's own TCP state
 * (placement local), or by what the egress program saw leave (transit). Knows sequence numbers, not
 * requests.
 *
 * XDP sees the TCP state late: in one batch, good segments run ahead of rcv_nxt and the ACK of the
 * handshake may still be unread. So proof means windows, never equality (RFC 9293 3.10.7.4).
 */
#ifndef TPS_BPF_FLOW_H
#define TPS_BPF_FLOW_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "maps.h"

/* The few kernel fields that proof reads, found by BTF at load (include/linux/tcp.h). */
struct inet_connection_sock___tps {
	struct {
		__u32 lrcvtime; /* jiffies of the last data received */
	} icsk_ack;
} __attribute__((preserve_access_index));

struct tcp_options_received___tps {
	__u16 saw_tstamp : 1, tstamp_ok : 1, dsack : 1, wscale_ok : 1, sack_ok : 3, smc_ok : 1,
		snd_wscale : 4, rcv_wscale : 4;
} __attribute__((preserve_access_index));

struct tcp_sock___tps {
	struct inet_connection_sock___tps inet_conn;
	struct tcp_options_received___tps rx_opt;
	__u32 snd_wnd;
	__u32 rcv_nxt;
	__u32 rcv_wnd;
	__u32 rcv_wup;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 write_seq;
	__u32 max_window;
	__u32 lsndtime; /* jiffies of the last data sent */
	__u64 bytes_received;
	__u64 bytes_sent;
} __attribute__((preserve_access_index));

struct inet_request_sock___tps {
	__u16 snd_wscale : 4, rcv_wscale : 4, tstamp_ok : 1, sack_ok : 1, wscale_ok : 1, ecn_ok : 1,
		acked : 1; /* the handshake's last ACK came, and no socket was made */
} __attribute__((preserve_access_index));

struct tcp_request_sock___tps {
	struct inet_request_sock___tps req;
	__u32 rcv_isn;
	__u32 snt_isn;
} __attribute__((preserve_access_index));

/* enum in net/tcp_states.h */
#define FLOW_ESTABLISHED 1
#define FLOW_SYN_SENT 2
#define FLOW_TIME_WAIT 6
#define FLOW_CLOSE 7
#define FLOW_LISTEN 10
#define FLOW_NEW_SYN_RECV 12

/* The largest window before a window scale is in force (RFC 9293 3.1), so the most that can be in
 * flight behind a handshake. */
#define FLOW_FIRST_WINDOW 65535
/* How far behind its newest ack a client of a transit flow may be: the largest TCP window (RFC
 * 7323 2.3). */
#define FLOW_ACK_BEHIND (1U << 30)

/* What the other side of the proof says of a connection. */
struct flow_peer {
	__u32 received; /* the server's rcv_nxt: it has every byte before */
	__u32 right;    /* the right edge of its window */
	__u32 ack_low;  /* a client may ack within [low, high] */
	__u32 ack_high;
	__u8 untouched; /* no byte of the client was received yet */
	__u8 answered;  /* the server sent data after the last that it received, and all of it is
			   acked */
	__u8 spoke;     /* the server has sent data */
	__u8 state;     /* of the host's socket; 0: it was not asked */
	__u8 deferred;  /* NEW_SYN_RECV: the handshake is over, and the host waits all the same, for
			   data (TCP_DEFER_ACCEPT) or for room in the accept queue */
	__u8 window_shift; /* then: the client's window scale */
	__u32 sent;        /* when FLOW_ESTABLISHED: its snd_nxt */
	__u32 acked;       /* and snd_una */
};

/* a is before b in sequence space (RFC 9293 3.4). */
static __always_inline int flow_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static __always_inline int flow_in_window(__u32 ack, __u32 low, __u32 high)
{
	return ack - low <= high - low;
}

/* A window probe (RFC 9293 3.8.6.1): one byte at the edge of the window, which the host discards.
 */
static __always_inline int flow_probes(const struct frame *frame, const struct flow_peer *peer)
{
	return frame->payload_bytes == 1 && frame->seq == peer->right;
}

/* Is [seq, end) of the frame within what @peer may get, or a range that it got already? */
static __always_inline int flow_proven(const struct frame *frame, const struct flow_peer *peer)
{
	__u32 end = frame->seq + frame->payload_bytes;

	return flow_in_window(frame->ack, peer->ack_low, peer->ack_high) &&
	       (!flow_before(peer->right, end) || flow_probes(frame, peer)) &&
	       !flow_before(frame->seq + FLOW_ACK_BEHIND, peer->received);
}

static __always_inline void flow_read_socket(const struct tcp_sock___tps *socket, __u32 ack,
					     struct flow_peer *ret)
{
	__u32 behind = socket->max_window;

	ret->received = socket->rcv_nxt;
	ret->right = socket->rcv_wup + socket->rcv_wnd;
	/* RFC 5961 5.2: acceptable is from snd_una - max_window on */
	ret->ack_low = socket->snd_una - behind;
	/* what leaves may be acked before the host has moved snd_nxt past it; write_seq it has */
	ret->ack_high = socket->write_seq;
	ret->sent = socket->snd_nxt;
	ret->acked = socket->snd_una;
	ret->untouched = socket->bytes_received == 0;
	ret->spoke = socket->bytes_sent != 0;
	ret->deferred = 0;
	ret->answered = ret->spoke && ack == socket->write_seq &&
			(__s32)(socket->lsndtime - socket->inet_conn.icsk_ack.lrcvtime) >= 0;
}

static __always_inline void flow_read_handshake(__u32 client_next, __u32 server_next,
						struct flow_peer *ret)
{
	ret->received = client_next;
	ret->right = client_next + FLOW_FIRST_WINDOW;
	ret->ack_low = server_next;
	ret->ack_high = server_next;
	ret->untouched = 1;
	ret->spoke = 0;
	ret->answered = 0;
	ret->deferred = 0;
}

/* The handshake's last ACK, or data that came with it, answers a SYN cookie of this listener. */
static __always_inline int flow_check_cookie(struct xdp_md *ctx, struct bpf_sock *listener,
					     const struct frame *frame)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	void *ip = data + (frame->ip_at & 0xff);
	struct tcphdr *tcp = data + (frame->transport_at & 0x7fff);

	if ((void *)(tcp + 1) > end)
		return 0;
	if (frame->family == 4) {
		if (ip + sizeof(struct iphdr) > end)
			return 0;
		return !bpf_tcp_check_syncookie(listener, ip, sizeof(struct iphdr), tcp,
						sizeof(*tcp));
	}
	if (ip + sizeof(struct ipv6hdr) > end)
		return 0;
	return !bpf_tcp_check_syncookie(listener, ip, sizeof(struct ipv6hdr), tcp, sizeof(*tcp));
}

/* How the host's socket stands to a segment that is the next in order, to the byte. */
enum flow_stand {
	FLOW_ELSEWHERE, /* it has more to send than the client acked, or is not open */
	FLOW_LATE,      /* it may have what is before the segment still to read */
	FLOW_EXACT,     /* and it does not know yet that the client acked all */
	FLOW_SETTLED,   /* exact, and it knows */
};

static __always_inline enum flow_stand flow_stand(const struct flow_peer *peer,
						  const struct frame *frame)
{
	if (peer->state == FLOW_NEW_SYN_RECV || peer->state == FLOW_LISTEN)
		return FLOW_LATE;
	if (peer->state != FLOW_ESTABLISHED || peer->ack_high != frame->ack ||
	    peer->sent != frame->ack)
		return FLOW_ELSEWHERE;
	if (peer->received != frame->seq)
		return flow_before(peer->received, frame->seq) ? FLOW_LATE : FLOW_ELSEWHERE;
	return peer->acked == frame->ack ? FLOW_SETTLED : FLOW_EXACT;
}

/* What the host's socket says. 0, or the reason why nothing is proven. */
static __always_inline __u32 flow_read_found(struct xdp_md *ctx, struct bpf_sock *found,
					     const struct frame *frame, struct flow_peer *ret)
{
	__u32 state = found->state;

	ret->state = state;
	if (state == FLOW_LISTEN) {
		if (!flow_check_cookie(ctx, found, frame))
			return TPS_REASON_NO_HANDSHAKE;
		flow_read_handshake(frame->seq, frame->ack, ret);
		return 0;
	}
	if (state == FLOW_NEW_SYN_RECV) {
		struct tcp_request_sock___tps *request =
			(struct tcp_request_sock___tps *)bpf_skc_to_tcp_request_sock(found);

		if (!request)
			return TPS_REASON_NO_HANDSHAKE;
		flow_read_handshake(request->rcv_isn + 1, request->snt_isn + 1, ret);
		ret->deferred = request->req.acked;
		ret->window_shift = request->req.snd_wscale;
		return 0;
	}
	if (state == FLOW_TIME_WAIT || state == FLOW_CLOSE || state == FLOW_SYN_SENT)
		return TPS_REASON_NO_SOCKET;
	struct tcp_sock___tps *socket = (struct tcp_sock___tps *)bpf_skc_to_tcp_sock(found);

	if (!socket)
		return TPS_REASON_NO_SOCKET;
	flow_read_socket(socket, frame->ack, ret);
	return 0;
}

/* The host's socket of the client's segment, to be released; or NULL. */
static __always_inline struct bpf_sock *flow_find(struct xdp_md *ctx, const struct frame *frame)
{
	struct bpf_sock_tuple tuple = {};

	if (frame->family == 4) {
		tuple.ipv4.saddr = frame->flow.source_be[3];
		tuple.ipv4.daddr = frame->flow.destination_be[3];
		tuple.ipv4.sport = frame->flow.source_port_be;
		tuple.ipv4.dport = frame->flow.destination_port_be;
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	dual_memcpy(tuple.ipv6.saddr, frame->flow.source_be, 16);
	dual_memcpy(tuple.ipv6.daddr, frame->flow.destination_be, 16);
	tuple.ipv6.sport = frame->flow.source_port_be;
	tuple.ipv6.dport = frame->flow.destination_port_be;
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

static __always_inline __u32 flow_read_host(struct xdp_md *ctx, const struct frame *frame,
					    struct flow_peer *ret)
{
	struct bpf_sock *found = flow_find(ctx, frame);
	__u32 reason;

	if (!found)
		return TPS_REASON_NO_SOCKET;
	reason = flow_read_found(ctx, found, frame, ret);
	bpf_sk_release(found);
	return reason;
}

/* What was seen leaving: the newest of it stands in the flow's entry, before that the SYN-ACK. */
static __always_inline __u32 flow_read_transit(const struct frame *frame,
					       const struct tps_flow *flow, struct flow_peer *ret)
{
	if (!flow) {
		struct tps_handshake *handshake;

		handshake = bpf_map_lookup_elem(&handshakes, &frame->flow);
		if (!handshake || frame->ack != handshake->server_next)
			return TPS_REASON_NO_HANDSHAKE;
		flow_read_handshake(handshake->client_next, handshake->server_next, ret);
		return 0;
	}
	ret->received = flow->server_next;
	ret->right = flow->server_next + FLOW_ACK_BEHIND;
	ret->ack_low = flow->ack_high - FLOW_ACK_BEHIND;
	ret->ack_high = flow->ack_high;
	ret->untouched = 0;
	ret->spoke = flow_before(flow->proven_ack, flow->ack_high);
	ret->answered = frame->ack == flow->ack_high && frame->seq == flow->server_next;
	return 0;
}

/* 0: proven, and @ret says by what; else the reason why not (class unproven). */
static __always_inline __u32 flow_prove(struct xdp_md *ctx, const struct tps_listener *listener,
					const struct frame *frame, const struct tps_flow *flow,
					struct flow_peer *ret)
{
	__u32 reason;

	if (listener->placement == TPS_PLACEMENT_TRANSIT)
		reason = flow_read_transit(frame, flow, ret);
	else
		reason = flow_read_host(ctx, frame, ret);
	if (reason)
		return reason;
	return flow_proven(frame, ret) ? 0 : TPS_REASON_OUTSIDE_WINDOW;
}

/* A SYN of the tuple: a new connection's, or forged. Either way the entry's word is not enough. */
static __always_inline void flow_syn(const struct frame *frame)
{
	struct tps_flow *flow = bpf_map_lookup_elem(&flows, &frame->flow);

	if (flow)
		flow->syn_seen = 1;
}

#endif
