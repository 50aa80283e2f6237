/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two counts of a spliced connection: the client's, and the server's, which knows neither the
 * requests that were answered in its stead nor the answers. Sequence space arithmetic (RFC 9293
 * 3.4) alone; knows no packet and no map. Dual.
 *
 * An answer is given only when the server has acked every byte before the request, and the client
 * every byte that the server sent. So nothing older than the latest answer is under way but copies,
 * and two counts are enough: the latest, and the one before.
 */
#ifndef TPS_BPF_SPLICE_H
#define TPS_BPF_SPLICE_H

#include <tps/abi.h>
#include <tps/dual.h>

/* What both directions need of an entry, read at once. */
struct splice_count {
	__u32 swallowed;
	__u32 injected;
	__u32 swallowed_before;
	__u32 injected_before;
	__u32 asked_seq;
	__u32 edge_seq;
	__u32 unacked; /* the latest answer may still be lost */
};

DUAL_INLINE int splice_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

/* Has the client acked the latest answer? */
DUAL_INLINE int splice_acked(const struct splice_count *n, __u32 ack)
{
	return !splice_before(ack, n->edge_seq + n->injected);
}

/* How far a client can be ahead of what it was told last: as much as a host keeps of one connection
 * (net.ipv4.tcp_rmem has 6 MiB). */
#define SPLICE_AHEAD_MAX (1U << 24)

/* Is a segment at @seq with @ack what the client sends behind a closing answer, which has a FIN? */
DUAL_INLINE int splice_ended(const struct splice_count *n, __u32 seq, __u32 ack)
{
	return ack == n->edge_seq + n->injected && !splice_before(seq, n->asked_seq + n->swallowed);
}

/* Does a segment at @seq with @ack follow the answered request to the byte, and ack the answer?
 * What is forged does not; of what the client sends one does, or its retransmission. */
DUAL_INLINE int splice_settles(const struct splice_count *n, __u32 seq, __u32 ack)
{
	return seq == n->asked_seq + n->swallowed &&
	       ack - (n->edge_seq + n->injected) < SPLICE_AHEAD_MAX;
}

/* What a client's ack of @ack (or an edge of its SACK) is to the server. Of an answer's own bytes
 * the server knows only that they follow edge_seq. */
DUAL_INLINE __u32 splice_ack_inward(const struct splice_count *n, __u32 ack)
{
	if (splice_acked(n, ack))
		return ack - n->injected;
	if (splice_before(n->edge_seq + n->injected_before, ack))
		return n->edge_seq;
	return ack - n->injected_before;
}

enum splice_place {
	SPLICE_ON,    /* the server's, at *ret_seq */
	SPLICE_AGAIN, /* a request that was answered, and the answer was not acked: it may be lost
		       */
};

/* Where [@seq, @seq + @bytes) of the client belongs, sent with @ack. */
DUAL_INLINE enum splice_place splice_inward(const struct splice_count *n, __u32 seq, __u32 bytes,
					    __u32 ack, __u32 *ret_seq)
{
	__u32 from = n->asked_seq + n->swallowed_before, to = n->asked_seq + n->swallowed;

	*ret_seq = seq - n->swallowed;
	if (!bytes || !splice_before(seq, to))
		return SPLICE_ON;
	if (!splice_before(from, seq + bytes)) { /* a copy of what the server has */
		*ret_seq = seq - n->swallowed_before;
		return SPLICE_ON;
	}
	/* a probe of a byte that was acked (RFC 9293 3.8.4), or a copy that came late: old to the
	 * server too */
	return splice_acked(n, ack) ? SPLICE_ON : SPLICE_AGAIN;
}

/* What the server's byte at @seq is to the client. */
DUAL_INLINE __u32 splice_seq_outward(const struct splice_count *n, __u32 seq)
{
	return seq + (splice_before(seq, n->edge_seq) ? n->injected_before : n->injected);
}

/* What the server's ack of @ack, or the end of a SACK block of its, is to the client. A request
 * whose answer may be lost is acked by its answer alone, or the client would never send it again.
 */
DUAL_INLINE __u32 splice_ack_outward(const struct splice_count *n, __u32 ack)
{
	if (splice_before(ack, n->asked_seq) || (n->unacked && ack == n->asked_seq))
		return ack + n->swallowed_before;
	return ack + n->swallowed;
}

#endif
