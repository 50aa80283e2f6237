/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turns an ACK of the server's into an answer. The gate had the refused request's place taken by a
 * byte that the server has already: the server thus learns what the client acked, and acks at once.
 * Here that ACK leaves, the socket stands still, and what it says is exact; so here it is decided
 * whether the answer can be given, and from here on the connection is spliced.
 */
#ifndef TPS_BPF_RESPOND_H
#define TPS_BPF_RESPOND_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>
#include <tps/frame.h>

#include "answer.h"
#include "count.h"
#include "flow.h"
#include "maps.h"
#include "translate.h"

/* What the TCP header of an answer that goes back at once says. */
struct respond_tcp {
	__u32 seq;
	__u32 ack;
	__u32 times_be[2]; /* value, echo (RFC 7323 3.2); none when there are 5 words */
	__u16 window_be;
	__u16 words; /* of the header: 5, or 8 with timestamps */
};

/* An answer that is wanted, as the entry had it at one instant. */
struct respond_want {
	struct splice_count count;
	struct tps_answer answer;
	__u32 seq;
	__u32 ack;
	__u32 bytes;
	__u8 want; /* enum tps_want */
	__u8 reason;
	__u8 listener;
	__u8 zero;
};

/* Where answers are written, and what leaves at the moment. */
struct respond {
	struct answer_text text;
	struct tps_answer written; /* what text says; bytes 0: nothing yet */
	__u32 text_sum;            /* of its bytes, as bpf_csum_diff() has it */
	struct respond_want want;
	struct frame frame;
	struct tps_flow_key key;   /* of frame, as its client sends */
	__u32 options[2][16];      /* as they were, as they will be */
	struct splice_count count; /* arrive.h's: of the client's segment's connection */
	struct respond_tcp tcp;
	__u8 head[160]; /* refuse.h's: the headers of an answer that goes back at once */
	__u64 none[(sizeof(struct tps_splice) + 7) / 8]; /* all zero: an entry to begin with */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct respond);
} responses SEC(".maps");

#define RESPOND_FAR (1U << 29)

/* Is @answer, but for its length, what was written last? */
static __always_inline int respond_is_written(const struct tps_answer *written,
					      const struct tps_answer *answer)
{
	__u64 differs = 0;

	for (__u32 i = 0; i < TPS_TIER_NAME_LEN; i += 8)
		differs |= *(__u64 *)(written->name + i) ^ *(__u64 *)(answer->name + i);
	differs |= (written->policy.quota ^ answer->policy.quota) |
		   (written->policy.window_s ^ answer->policy.window_s) |
		   (written->retry_s ^ answer->retry_s) | (written->closes ^ answer->closes) |
		   (written->form ^ answer->form);
	return written->bytes && !differs;
}

/* Writes @answer to @r->text, if it does not stand there: a flood is refused by the same words.
 * Returns its length; 0: it could not be. */
static __always_inline __u32 respond_text(struct respond *r, const struct tps_answer *answer)
{
	__u32 bytes, words;

	if (respond_is_written(&r->written, answer))
		return r->written.bytes;
	r->written.bytes = 0;
	bytes = answer_write(&r->text, answer);
	words = (bytes + 3) & ~3u; /* zero bytes behind it fill the last word */
	dual_opaque(words);
	words &= 1023;
	if (words > ANSWER_BYTES_MAX || !words)
		return 0;
	r->text_sum = bpf_csum_diff(NULL, 0, (__be32 *)r->text.bytes, words, 0);
	dual_memcpy(&r->written, answer, sizeof(*answer));
	r->written.bytes = bytes;
	return bytes;
}

/* The lengths in the IP header and in TCP's pseudo header: @bytes of payload are there now. */
static __always_inline int respond_lengths(struct __sk_buff *skb, const struct frame *frame,
					   __u32 bytes)
{
	__u32 ip_at = frame->ip_at, header = frame->payload_at - frame->transport_at;
	__u16 from_be, to_be;
	int err;

	if (frame->family == 4) {
		err = bpf_skb_load_bytes(skb, ip_at + 2, &from_be, sizeof(from_be));
		to_be = dual_swap16(dual_swap16(from_be) + bytes);
		err = err ?: bpf_l3_csum_replace(skb, ip_at + 10, from_be, to_be, sizeof(to_be));
		err = err ?: bpf_skb_store_bytes(skb, ip_at + 2, &to_be, sizeof(to_be), 0);
	} else {
		err = bpf_skb_load_bytes(skb, ip_at + 4, &from_be, sizeof(from_be));
		to_be = dual_swap16(dual_swap16(from_be) + bytes);
		err = err ?: bpf_skb_store_bytes(skb, ip_at + 4, &to_be, sizeof(to_be), 0);
	}
	return err
		       ?: bpf_l4_csum_replace(skb, frame->transport_at + 16, dual_swap16(header),
					      dual_swap16(header + bytes),
					      BPF_F_PSEUDO_HDR | sizeof(__u16));
}

/* Sequence numbers and flags of the answer; what the ACK had beside timestamps becomes NOPs. */
static __always_inline int respond_header(struct __sk_buff *skb, const struct frame *frame,
					  __u32 seq, __u32 ack, int closes)
{
	__u32 at = frame->transport_at, check_at = at + 16;
	__u16 from_be, to_be;
	int err;

	err = translate_word(skb, check_at, at + 4, dual_swap32(frame->seq), dual_swap32(seq));
	err = err
		      ?: translate_word(skb, check_at, at + 8, dual_swap32(frame->ack),
					dual_swap32(ack));
	err = err ?: bpf_skb_load_bytes(skb, at + 12, &from_be, sizeof(from_be));
	to_be = from_be | dual_swap16(closes ? 0x0009 : 0x0008); /* PSH, FIN */
	err = err ?: bpf_l4_csum_replace(skb, check_at, from_be, to_be, sizeof(to_be));
	return err ?: bpf_skb_store_bytes(skb, at + 12, &to_be, sizeof(to_be), 0);
}

/*
 * The ACK's options, if they are timestamps, SACK or both as Linux lays them out: SACK, which tells
 * of the byte that stood for the request, becomes NOPs. False: there are others (MD5, AO, MPTCP),
 * and the connection cannot be answered.
 */
#define RESPOND_SACK dual_swap32(0x01010500)
static __always_inline int respond_options(struct __sk_buff *skb, const struct frame *frame,
					   __u32 *old, __u32 *new)
{
	__u32 at = frame->transport_at + FRAME_TCP_BYTES;
	__u32 bytes = frame->payload_at - at, keep = 0;
	__s64 diff;

	if (!bytes)
		return 1;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & 63) + 1;
	if (bytes > 40 || bpf_skb_load_bytes(skb, at, old, bytes))
		return 0;
	if (old[0] == TRANSLATE_TIMES_ALONE)
		keep = 3;
	/* and nothing behind it: Linux has MPTCP there */
	if (bytes > 4 * keep && ((old[keep] & dual_swap32(0xffffff00)) != RESPOND_SACK ||
				 (dual_swap32(old[keep]) & 0xff) != bytes - 4 * keep - 2))
		return 0;
	for (__u32 i = 0; i < 10; i++)
		new[i] = i < keep ? old[i] : 0x01010101;
	dual_opaque(bytes);
	bytes = ((bytes - 4) & 0x3c) + 4;
	diff = bpf_csum_diff(old, bytes, new, bytes, 0);
	return !bpf_l4_csum_replace(skb, frame->transport_at + 16, 0, diff, 0) &&
	       !bpf_skb_store_bytes(skb, at, new, bytes, 0);
}

/* May the ACK become the answer that is wanted? As the server's socket stands now, to the byte. */
static __always_inline int respond_fits(struct __sk_buff *skb, const struct frame *frame,
					const struct respond_want *want, __u32 bytes,
					__u32 *ret_shift)
{
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock___tps *socket;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->state != FLOW_ESTABLISHED)
		return 0;
	socket = (struct tcp_sock___tps *)bpf_skc_to_tcp_sock(sk);
	if (!socket)
		return 0;
	*ret_shift = socket->rx_opt.snd_wscale;
	if (socket->snd_wnd < bytes)
		return 0;
	return socket->rcv_nxt == want->seq && socket->snd_nxt == want->ack &&
	       socket->snd_una == want->ack && socket->write_seq == want->ack &&
	       frame->seq == want->ack && frame->ack == want->seq;
}

/*
 * Is it the ACK by which a connection request, which has no socket yet, turns down the byte that
 * stood for the request? It tells the client nothing but a time, and must not leave: Linux (since
 * 6.15) takes no ACK of the handshake that echoes another time than the SYN-ACK's.
 */
static __always_inline int respond_is_turned_down(struct __sk_buff *skb, const struct frame *frame,
						  const struct respond_want *want)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	/* its sender is the listener or a socket of the kernel's own, where there is any */
	return (!sk || sk->state == FLOW_LISTEN || sk->state == FLOW_CLOSE) &&
	       frame->seq == want->ack && frame->ack == want->seq;
}

static __always_inline void respond_read(struct tps_splice *splice, struct respond_want *ret)
{
	bpf_spin_lock(&splice->lock);
	translate_copy(splice, &ret->count);
	dual_memcpy(&ret->answer, &splice->answer, sizeof(ret->answer));
	ret->seq = splice->want_seq;
	ret->ack = splice->want_ack;
	ret->bytes = splice->want_bytes;
	ret->want = splice->want;
	ret->reason = splice->reason;
	ret->listener = splice->listener;
	bpf_spin_unlock(&splice->lock);
}

/* The entry's new counts: @bytes of text were given for the request that was wanted. False: it is
 * wanted no more, since the request has come again meanwhile. */
static __always_inline int respond_commit(struct tps_splice *splice,
					  const struct respond_want *want, __u32 bytes, __u32 shift)
{
	int committed = 0;

	bpf_spin_lock(&splice->lock);
	if (splice->want == want->want && splice->want_seq == want->seq &&
	    splice->want_bytes == want->bytes) {
		translate_add(splice, want->seq, want->bytes, want->ack,
			      bytes + (want->want == TPS_WANT_CLOSE));
		splice->answer.bytes = bytes;
		splice->window_shift = shift;
		if (want->want == TPS_WANT_CLOSE)
			splice->state = TPS_SPLICE_CLOSED;
		committed = 1;
	}
	bpf_spin_unlock(&splice->lock);
	return committed;
}

static __always_inline int respond_body(struct __sk_buff *skb, const struct frame *frame,
					struct respond *r, __u32 bytes)
{
	__u32 at = frame->payload_at;

	if (bpf_skb_change_tail(skb, at + bytes, 0))
		return -1;
	dual_opaque(bytes);
	bytes = ((bytes - 1) & (ANSWER_BYTES_MAX - 1)) + 1;
	return bpf_skb_store_bytes(skb, at, r->text.bytes, bytes, 0) ||
	       bpf_l4_csum_replace(skb, frame->transport_at + 16, 0, r->text_sum, 0);
}

enum respond_outcome {
	RESPOND_NOT,  /* an ACK like others */
	RESPOND_DONE, /* it is the answer now */
	RESPOND_TORN, /* it is half an answer, or none of a socket's: not to be sent */
};

/* The packet's stations, addresses and ports the other way round: no sum changes. Not 0: it is
 * torn. */
static __always_inline int respond_turn(struct __sk_buff *skb, const struct frame *frame,
					__u32 *first, __u32 *second)
{
	__u32 at = frame->ip_at + (frame->family == 4 ? 12 : 8);
	int err;

	err = bpf_skb_load_bytes(skb, 0, first, 6) || bpf_skb_load_bytes(skb, 6, second, 6) ||
	      bpf_skb_store_bytes(skb, 0, second, 6, 0) || bpf_skb_store_bytes(skb, 6, first, 6, 0);
	if (frame->family == 4)
		err = err || bpf_skb_load_bytes(skb, at, first, 4) ||
		      bpf_skb_load_bytes(skb, at + 4, second, 4) ||
		      bpf_skb_store_bytes(skb, at, second, 4, 0) ||
		      bpf_skb_store_bytes(skb, at + 4, first, 4, 0);
	else
		err = err || bpf_skb_load_bytes(skb, at, first, 16) ||
		      bpf_skb_load_bytes(skb, at + 16, second, 16) ||
		      bpf_skb_store_bytes(skb, at, second, 16, 0) ||
		      bpf_skb_store_bytes(skb, at + 16, first, 16, 0);
	at = frame->transport_at;
	return err || bpf_skb_load_bytes(skb, at, first, 2) ||
	       bpf_skb_load_bytes(skb, at + 2, second, 2) ||
	       bpf_skb_store_bytes(skb, at, second, 2, 0) ||
	       bpf_skb_store_bytes(skb, at + 2, first, 2, 0);
}

/*
 * The ACK becomes a RST to either side: a copy goes in to the server, as the client's at the very
 * byte that the server waits for (RFC 5961 3.2), and what leaves is the server's. The entry goes
 * first: neither is to be translated. A global function: verified once.
 */
__noinline int respond_reset(struct __sk_buff *skb)
{
	struct respond_want *want;
	struct frame *frame;
	struct respond *r;
	__u32 zero = 0, at, check_at;
	__u16 from_be, to_be;
	int err;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r)
		return RESPOND_TORN;
	frame = &r->frame;
	want = &r->want;
	at = frame->transport_at;
	check_at = at + 16;
	translate_forget(&r->key);
	err = bpf_skb_load_bytes(skb, at + 12, &from_be, sizeof(from_be));
	to_be = from_be | dual_swap16(FRAME_RST);
	err = err || bpf_l4_csum_replace(skb, check_at, from_be, to_be, sizeof(to_be)) ||
	      bpf_skb_store_bytes(skb, at + 12, &to_be, sizeof(to_be), 0) ||
	      translate_word(skb, check_at, at + 4, dual_swap32(frame->seq),
			     dual_swap32(frame->ack)) ||
	      translate_word(skb, check_at, at + 8, dual_swap32(frame->ack),
			     dual_swap32(frame->seq)) ||
	      respond_turn(skb, frame, r->options[0], r->options[1]) ||
	      bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS) ||
	      respond_turn(skb, frame, r->options[0], r->options[1]) ||
	      translate_word(skb, check_at, at + 4, dual_swap32(frame->ack),
			     dual_swap32(frame->seq + want->count.injected)) ||
	      translate_word(skb, check_at, at + 8, dual_swap32(frame->seq),
			     dual_swap32(frame->ack + want->count.swallowed));
	if (err)
		return RESPOND_TORN;
	count_refusal(count_totals(want->listener), TPS_REFUSAL_RESET, want->reason);
	return RESPOND_DONE;
}

/* An ACK without payload that leaves while an answer is wanted. A global function: verified once.
 */
__noinline int respond(struct __sk_buff *skb)
{
	__u32 zero = 0, bytes, shift = 0, seq, ack, again, refusal;
	struct respond_want *want;
	struct tps_splice *splice;
	struct frame *frame;
	struct respond *r;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r)
		return RESPOND_NOT;
	frame = &r->frame;
	want = &r->want;
	splice = bpf_map_lookup_elem(&spliced, &r->key);
	if (!splice || splice->ifindex != skb->ifindex)
		return RESPOND_NOT;
	respond_read(splice, want);
	again = want->want == TPS_WANT_AGAIN;
	if (want->want && !again && respond_is_turned_down(skb, frame, want))
		return RESPOND_TORN;
	if (want->want == TPS_WANT_RESET)
		return respond_fits(skb, frame, want, 0, &shift) ? respond_reset(skb) : RESPOND_NOT;
	bytes = respond_text(r, &want->answer);
	if (!want->want || !bytes || (again && bytes != want->answer.bytes) ||
	    (!again && !respond_fits(skb, frame, want, bytes, &shift)))
		return RESPOND_NOT;
	splice->window_be = frame->window_be;
	splice->tagged = skb->vlan_present != 0;
	if (!respond_options(skb, frame, r->options[0], r->options[1]))
		return RESPOND_NOT;
	seq = again ? want->count.edge_seq + want->count.injected_before
		    : frame->seq + want->count.injected;
	ack = frame->ack + want->count.swallowed + (again ? 0 : want->bytes);
	if (respond_body(skb, frame, r, bytes) || respond_lengths(skb, frame, bytes) ||
	    respond_header(skb, frame, seq, ack, want->answer.closes))
		return RESPOND_TORN;
	if (again) {
		splice->want = TPS_WANT_NOTHING;
		count_note(count_totals(want->listener), TPS_REASON_ANSWERED_AGAIN);
		return RESPOND_DONE;
	}
	if (!respond_commit(splice, want, bytes, shift))
		return RESPOND_TORN;
	refusal = want->answer.closes ? TPS_REFUSAL_CLOSE : TPS_REFUSAL_ANSWER;
	count_refusal(count_totals(want->listener), refusal, want->reason);
	return RESPOND_DONE;
}

/*
 * What the entry says, now that @frame leaves: the server's own numbers, which nobody forges. A
 * count of before holds for 2^31 bytes behind the latest answer (RFC 9293 3.4): beyond a quarter of
 * that all that can still be under way is counted by the latest.
 */
static __always_inline void respond_meet(struct tps_splice *splice, const struct frame *frame,
					 struct splice_count *ret)
{
	__u32 end = frame->seq + frame->payload_bytes + (frame->flags & FRAME_FIN ? 1 : 0);

	bpf_spin_lock(&splice->lock);
	if (splice_before(splice->asked_seq, frame->ack))
		splice->unacked = 0;
	translate_copy(splice, ret);
	if (splice_before(splice->sent_seq, end))
		splice->sent_seq = end;
	if (!ret->unacked && frame->seq - ret->edge_seq - RESPOND_FAR < RESPOND_FAR) {
		splice->edge_seq = frame->seq - RESPOND_FAR / 2;
		splice->injected_before = splice->injected;
	}
	if (!ret->unacked && frame->ack - ret->asked_seq - RESPOND_FAR < RESPOND_FAR) {
		splice->asked_seq = frame->ack - RESPOND_FAR / 2;
		splice->swallowed_before = splice->swallowed;
	}
	splice->window_be = frame->window_be;
	if (frame->flags & FRAME_FIN) {
		splice->server_end = end;
		splice->ending |= TPS_SPLICE_SERVER_FIN;
	}
	if (splice->ending & TPS_SPLICE_CLIENT_FIN && splice->ending & TPS_SPLICE_SERVER_FIN &&
	    frame->ack == splice->client_end)
		splice->ending |= TPS_SPLICE_BOTH_FIN;
	bpf_spin_unlock(&splice->lock);
}

/* A segment that leaves from a server port with spliced connections. Returns the tc action. */
__noinline int respond_leaving(struct __sk_buff *skb)
{
	struct tps_splice *splice;
	struct splice_count n;
	struct frame *frame;
	struct respond *r;
	__u32 zero = 0;

	r = bpf_map_lookup_elem(&responses, &zero);
	if (!r)
		return TC_ACT_UNSPEC;
	frame = &r->frame;
	splice = bpf_map_lookup_elem(&spliced, &r->key);
	if (!splice)
		return TC_ACT_UNSPEC;
	/* of the connection that an answer ended before the host had made it */
	if (frame->flags & FRAME_SYN && splice->state != TPS_SPLICE_OPEN &&
	    frame->seq + 1 == splice->edge_seq && frame->ack == splice->asked_seq)
		return TC_ACT_SHOT;
	if (frame->flags & FRAME_SYN) { /* a new connection of the tuple */
		translate_forget(&r->key);
		return TC_ACT_UNSPEC;
	}
	if (splice->want && !frame->payload_bytes &&
	    (frame->flags & (FRAME_FIN | FRAME_SYN | FRAME_RST | FRAME_ACK)) == FRAME_ACK) {
		int outcome = respond(skb);

		if (outcome == RESPOND_DONE)
			return TC_ACT_UNSPEC;
		if (outcome == RESPOND_TORN)
			return TC_ACT_SHOT;
	}
	if (splice->state != TPS_SPLICE_OPEN) /* what the client knows of ended with the answer */
		return TC_ACT_SHOT;
	respond_meet(splice, frame, &n);
	splice->used_jiffies = bpf_jiffies64();
	if (!n.swallowed && !n.injected)
		return TC_ACT_UNSPEC;
	if (translate_outward(skb, &n, frame))
		return TC_ACT_SHOT;
	if (frame->flags & FRAME_RST)
		translate_forget(&r->key);
	return TC_ACT_UNSPEC;
}

#endif
