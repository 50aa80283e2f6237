/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Request heads of HTTP/1.x out of a client's byte stream, cut at any byte: whom each head names,
 * and where the bodies between them end. Knows no map, helper, clock, flow or limit.
 *
 * How the gate calls it, for each segment with new bytes of a proven flow:
 *   if (http_skip(&flow->http, len)) nothing to scan: the bytes lie inside a body
 *   http_begin(s, &flow->http, secret, may_resync); then s->known, if there is a known key
 *   for each chunk of at most HTTP_CHUNK_MAX bytes, in order:
 *           copy it to s->bytes + HTTP_CARRY, set s->chunk_bytes, call http_scan(s, listener)
 *   spend s->charge[0 .. s->charges); look at s->met, s->framed and http_partial(&s->http)
 *   http_save(s, &flow->http), or not: until then nothing but *s has changed
 */
#ifndef TPS_HTTP_H
#define TPS_HTTP_H

#include <tps/abi.h>
#include <tps/charge.h>
#include <tps/dual.h>
#include <tps/fill.h>
#include <tps/fingerprint.h>
#include <tps/siphash.h>
#include <tps/swar.h>

/* Where the parser stands. From OPAQUE on the framing is not known: the loose phases. */
enum http_phase {
	HTTP_START, /* wants a request line */
	HTTP_HEADERS,
	HTTP_BODY,       /* body_bytes to come; http_skip() */
	HTTP_CHUNK_SIZE, /* wants a chunk-size line */
	HTTP_CHUNK_DATA, /* body_bytes to come; http_skip() */
	HTTP_CHUNK_END,  /* wants the CRLF behind a chunk */
	HTTP_TRAILERS,
	HTTP_OPAQUE, /* after Upgrade or CONNECT */
	HTTP_HTTP2,  /* after the preface, or Upgrade: h2c. The gate charges turns. */
	HTTP_VOID,   /* the host may have read it otherwise */
	HTTP_JOINED, /* a connection older than its entry */
	HTTP_PHASE_MAX,
};

/* tps_http.key: what the open head says of its caller; above it, a bit for each key header seen. */
enum http_key { HTTP_KEY_NONE, HTTP_KEY_FOUND, HTTP_KEY_DOUBLED, HTTP_KEY_BAD };
#define HTTP_KEY_MASK 0x0f
#define HTTP_KEY_SEEN 0x10 /* << number of the key header */

/* tps_http.flags */
#define HTTP_LENGTH 0x01    /* of the open head: it has a Content-Length */
#define HTTP_CHUNKED 0x02   /* of the open head: it has Transfer-Encoding: chunked */
#define HTTP_UPGRADE 0x04   /* what follows head and body may be another protocol */
#define HTTP_H2C 0x08       /* that protocol may be HTTP/2 */
#define HTTP_MINOR_0 0x10   /* of the open head: HTTP/1.0 */
#define HTTP_LONG_LINE 0x20 /* the carry is the two ends of a longer line */
#define HTTP_HEAD_OPEN 0x40 /* VOID: the empty line to come belongs to a head that was charged */
#define HTTP_GUESSED 0x40   /* OPAQUE, HTTP2: the host may have ignored the Upgrade */
#define HTTP_RESYNC 0x80    /* loose phases: may_resync was set for a segment too short to tell */
#define HTTP_CLOSE 0x80     /* of the latest head: its client may end the connection with it */

/* A key that need not be hashed. */
struct http_known {
	__u64 print; /* its fingerprint; 0: there is none */
	__u64 hash[2];
};

#define HTTP_CARRY TPS_CARRY_BYTES /* where in bytes[] the chunk begins; the carry ends here */
#define HTTP_CHUNK_MAX FILL_CHUNK_MAX
#define HTTP_SPAN 4096 /* positions are masked by this less one */
#define HTTP_STATE_BYTES 32
#define HTTP_HEAD_KEPT 160 /* of a line longer than the carry: its first bytes … */
#define HTTP_TAIL_KEPT 32  /* … and its last */

struct http_scan {
	/* for the gate to read, of the whole segment */
	__u32 charges;   /* valid entries of charge[] */
	__u32 met;       /* HTTP_MET(phase): some of its bytes lie in a body, or a loose phase */
	__u32 framed;    /* where in it the last line ended that framed a body; 0: none did */
	__u32 undecided; /* heads charged as UNDECIDED */
	struct charge charge[TPS_CHARGES_MAX];
	/* set before each http_scan() */
	__u32 chunk_bytes; /* 1 .. HTTP_CHUNK_MAX */
	/* set by http_begin() */
	__u32 may_resync;
	__u32 follows; /* 0; may be set: the segment begins where the last one ended */
	__u64 secret[2];
	__u64 print; /* the fingerprint of the last key that was read of the segment; 0: none */
	struct http_known known;
	/* the parser's own */
	__u32 segment_bytes; /* of chunks before this one */
	__u32 end;
	__u32 pos;        /* nothing before it need be looked at again */
	__u32 line_start; /* of the line that is open */
	__u32 counted;    /* http.head_bytes counts the bytes before it */
	__u32 long_line;  /* the line that the carry begins is cut in the middle */
	__u32 cut;        /* JOINED: what came before the segment is not known */
	__u32 initials;   /* bit c % 32: a header line that begins with c may matter */
	__u32 value_start;
	__u32 value_end;
	union {
		struct tps_http http; /* the working copy; its carry is the beginning of bytes[] */
		struct {
			__u8 state[HTTP_STATE_BYTES];
			__u8 bytes[HTTP_SPAN + 256]; /* the carry, the chunk, room to read on */
		};
	};
};
_Static_assert(__builtin_offsetof(struct tps_http, carry) == HTTP_STATE_BYTES,
	       "carry begins bytes[]");

#define HTTP_MET(phase) (1u << (phase))
#define HTTP_AT(s, at) ((s)->bytes + ((at) & (HTTP_SPAN - 1)))
#define HTTP_SPACES (0x20 * SWAR_EACH)
#define HTTP_CRLF 0x0a0d

/* Text as the number that loads from it. */
#define HTTP_TEXT4(a, b, c, d) ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24)
#define HTTP_TEXT(a, b, c, d, e, f, g, h) (HTTP_TEXT4(a, b, c, d) | HTTP_TEXT4(e, f, g, h) << 32)

/* ---- for the gate -------------------------------------------------------------------------- */

/* A flow's state when it cannot be followed: TPS_REASON_VOID's, or a connection older than its
 * entry. (The state of a flow whose first byte comes next is all zero.) */
DUAL_INLINE void http_lose(struct tps_http *http, enum http_phase phase)
{
	dual_memset(http, 0, HTTP_STATE_BYTES);
	http->phase = phase;
}

/* Does the next byte belong to a head that is open? Segments beyond it must wait for it then. */
DUAL_INLINE int http_partial(const struct tps_http *http)
{
	return http->phase == HTTP_HEADERS || (http->phase == HTTP_START && http->carry_bytes);
}

/* What follows a body that has ended. */
DUAL_INLINE void http_after_body(struct tps_http *http)
{
	if (http->phase == HTTP_CHUNK_DATA) {
		http->phase = HTTP_CHUNK_END;
	} else if (http->flags & HTTP_UPGRADE) {
		http->phase = http->flags & HTTP_H2C ? HTTP_HTTP2 : HTTP_OPAQUE;
		http->flags = HTTP_GUESSED;
	} else {
		http->phase = HTTP_START;
	}
}

/* Take as many of the @left bytes that come next out of the body that is being skipped as are its:
 * they need not be copied. What may be another protocol behind it is scanned from its first byte.
 * Returns how many. */
DUAL_INLINE __u32 http_skip_some(struct http_scan *s, __u32 left)
{
	__u64 bytes = left;

	if ((s->http.phase != HTTP_BODY && s->http.phase != HTTP_CHUNK_DATA) ||
	    s->http.flags & HTTP_UPGRADE)
		return 0;
	if (bytes > s->http.body_bytes)
		bytes = s->http.body_bytes;
	if (!bytes)
		return 0;
	s->met |= HTTP_MET(HTTP_BODY);
	s->segment_bytes += bytes;
	s->http.body_bytes -= bytes;
	if (!s->http.body_bytes)
		http_after_body(&s->http);
	return bytes;
}

/* Take @bytes out of the body that is being skipped. False, with nothing changed, when not all of
 * them are its: they must be scanned. */
DUAL_INLINE int http_skip(struct tps_http *http, __u32 bytes)
{
	if ((http->phase != HTTP_BODY && http->phase != HTTP_CHUNK_DATA) ||
	    http->body_bytes < bytes)
		return 0;
	http->body_bytes -= bytes;
	if (!http->body_bytes)
		http_after_body(http);
	return 1;
}

/* Why a segment passed that charged nobody. */
DUAL_INLINE enum tps_reason http_idle_reason(const struct http_scan *s)
{
	if (s->met & HTTP_MET(HTTP_JOINED))
		return TPS_REASON_JOINED;
	if (s->met & HTTP_MET(HTTP_OPAQUE))
		return TPS_REASON_OPAQUE;
	return http_partial(&s->http) ? TPS_REASON_PARTIAL_HEAD : TPS_REASON_BODY;
}

/* @may_resync: the server has answered since the last segment, so that in VOID and JOINED a method
 * token at the beginning of this one is a request line's. */
DUAL_INLINE void http_begin(struct http_scan *s, const struct tps_http *http, const __u64 secret[2],
			    __u32 may_resync)
{
	dual_memcpy(&s->http, http, HTTP_STATE_BYTES);
	if (http->carry_bytes)
		dual_memcpy(s->bytes, http->carry, HTTP_CARRY);
	s->charges = 0;
	s->met = 0;
	s->framed = 0;
	s->undecided = 0;
	s->segment_bytes = 0;
	s->may_resync = may_resync;
	s->follows = 0;
	s->print = 0;
	s->known.print = 0;
	s->secret[0] = secret[0];
	s->secret[1] = secret[1];
}

DUAL_INLINE void http_save(const struct http_scan *s, struct tps_http *ret_http)
{
	dual_memcpy(ret_http, &s->http, HTTP_STATE_BYTES);
	if (s->http.carry_bytes)
		dual_memcpy(ret_http->carry, s->bytes, HTTP_CARRY);
}

/* ---- charging ------------------------------------------------------------------------------ */

DUAL_INLINE void http_charge_first(struct http_scan *s, __u32 at, __u32 kind, __u32 reason)
{
	struct charge *charge = &s->charge[at];

	charge->hash[0] = kind == CHARGE_KEY ? s->http.key_hash[0] : 0;
	charge->hash[1] = kind == CHARGE_KEY ? s->http.key_hash[1] : 0;
	charge->heads = 1;
	charge->kind = kind;
	charge->reason = reason;
	charge->zero = 0;
	s->charges = at + 1;
}

DUAL_INLINE int http_charge_fits(const struct http_scan *s, const struct charge *charge, __u32 kind,
				 __u32 reason)
{
	if (charge->kind != kind || charge->reason != reason)
		return 0;
	return kind != CHARGE_KEY ||
	       (charge->hash[0] == s->http.key_hash[0] && charge->hash[1] == s->http.key_hash[1]);
}

/* One head more for whom @kind names; KEY means http.key_hash. */
DUAL_GLOBAL int http_charge(struct http_scan *s, __u32 kind, __u32 reason)
{
	struct charge *charge;

	if (!s)
		return 0;
	if (kind == CHARGE_UNDECIDED)
		s->undecided++;
	for (__u32 i = 0; i < TPS_CHARGES_MAX; i++) {
		if (i >= s->charges) {
			http_charge_first(s, i, kind, reason);
			return 0;
		}
		if (http_charge_fits(s, &s->charge[i], kind, reason)) {
			s->charge[i].heads++;
			return 0;
		}
	}
	charge = &s->charge[TPS_CHARGES_MAX - 1];
	if (charge->kind != CHARGE_UNDECIDED)
		s->undecided += charge->heads;
	if (kind != CHARGE_UNDECIDED)
		s->undecided++;
	charge->kind = CHARGE_UNDECIDED;
	charge->reason = TPS_REASON_MANY_KEYS;
	charge->heads++;
	return 0;
}

/* The framing is lost: charge the head that is open (or what stands for one) and read on loosely
 * from @pos. Returns where the strict reading goes on: nowhere. */
DUAL_GLOBAL int http_fail(struct http_scan *s, __u32 reason, __u32 pos)
{
	if (!s)
		return 0;
	http_charge(s, CHARGE_UNDECIDED, reason);
	s->http.flags = s->http.phase <= HTTP_HEADERS ? HTTP_HEAD_OPEN : 0;
	s->http.phase = HTTP_VOID;
	s->http.key = 0;
	s->http.body_bytes = 0;
	s->pos = pos;
	return s->end;
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* The top bit of each byte below 0x20. Exact up to the lowest one, and that is all that is used: a
 * borrow only reaches the bytes above a hit. */
DUAL_INLINE __u64 http_controls(__u64 word)
{
	return (word - HTTP_SPACES) & ~word & SWAR_TOP;
}

/* The same of each newline. */
DUAL_INLINE __u64 http_newlines(__u64 word)
{
	word ^= '\n' * SWAR_EACH;
	return (word - SWAR_EACH) & ~word & SWAR_TOP;
}

DUAL_INLINE int http_blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* RFC 9110 5.6.2 */
DUAL_INLINE int http_token_char(__u8 c)
{
	const __u64 low = 0x03ff6cfa00000000ULL, high = 0x57ffffffc7fffffeULL;

	return c < 64 ? low >> c & 1 : c < 128 ? high >> (c - 64) & 1 : 0;
}

DUAL_INLINE int http_hex_char(__u8 c)
{
	const __u64 low = 0x03ff000000000000ULL, high = 0x0000007e0000007eULL;

	return c < 64 ? low >> c & 1 : c < 128 ? high >> (c - 64) & 1 : 0;
}

/* Narrow [from, to) by the white space around it, to value_start and value_end. False when there is
 * more than HTTP_PADDING_MAX on a side. */
#define HTTP_PADDING_MAX 16
DUAL_GLOBAL int http_trim_long(struct http_scan *s, __u32 from, __u32 to)
{
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i <= HTTP_PADDING_MAX && from < to && http_blank(*HTTP_AT(s, from)); i++)
		from++;
	if (i > HTTP_PADDING_MAX)
		return 0;
	s->value_start = from;
	dual_reload();
	from = s->value_start;
	for (i = 0; i <= HTTP_PADDING_MAX && from < to && http_blank(*HTTP_AT(s, to - 1)); i++)
		to--;
	s->value_end = to;
	return i <= HTTP_PADDING_MAX;
}

DUAL_INLINE int http_trim(struct http_scan *s, __u32 from, __u32 to)
{
	if (from + 1 < to && *HTTP_AT(s, from) == ' ' && *HTTP_AT(s, from + 1) > ' ' &&
	    *HTTP_AT(s, to - 1) > ' ') { /* as a rule; a call less */
		s->value_start = from + 1;
		s->value_end = to;
		return 1;
	}
	return http_trim_long(s, from, to);
}

/* The methods that tell a request from another protocol's bytes: X(bytes compared, text with SP).
 */
#define HTTP_METHODS(X) \
	X(4, 'G', 'E', 'T', ' ', 0, 0, 0, 0) \
	X(5, 'P', 'O', 'S', 'T', ' ', 0, 0, 0) \
	X(4, 'P', 'U', 'T', ' ', 0, 0, 0, 0) \
	X(5, 'H', 'E', 'A', 'D', ' ', 0, 0, 0) \
	X(7, 'D', 'E', 'L', 'E', 'T', 'E', ' ', 0) \
	X(6, 'P', 'A', 'T', 'C', 'H', ' ', 0, 0) \
	X(8, 'O', 'P', 'T', 'I', 'O', 'N', 'S', ' ') \
	X(8, 'C', 'O', 'N', 'N', 'E', 'C', 'T', ' ') \
	X(6, 'T', 'R', 'A', 'C', 'E', ' ', 0, 0) \
	X(6, 'Q', 'U', 'E', 'R', 'Y', ' ', 0, 0) \
	X(8, 'P', 'R', 'I', ' ', '*', ' ', 'H', 'T') \
	X(8, 'P', 'R', 'O', 'P', 'F', 'I', 'N', 'D') \
	X(8, 'P', 'R', 'O', 'P', 'P', 'A', 'T', 'C') \
	X(6, 'M', 'K', 'C', 'O', 'L', ' ', 0, 0) \
	X(5, 'C', 'O', 'P', 'Y', ' ', 0, 0, 0) \
	X(5, 'M', 'O', 'V', 'E', ' ', 0, 0, 0) \
	X(5, 'L', 'O', 'C', 'K', ' ', 0, 0, 0) \
	X(7, 'U', 'N', 'L', 'O', 'C', 'K', ' ', 0) \
	X(7, 'R', 'E', 'P', 'O', 'R', 'T', ' ', 0) \
	X(7, 'S', 'E', 'A', 'R', 'C', 'H', ' ', 0) \
	X(6, 'P', 'U', 'R', 'G', 'E', ' ', 0, 0)

/* Do the bytes at @at begin with one of them? */
DUAL_GLOBAL int http_method_at(struct http_scan *s, __u32 at)
{
	__u64 word, bytes;

	if (!s || at >= s->end)
		return 0;
	word = dual_load64(HTTP_AT(s, at));
	bytes = s->end - at;
#define HTTP_IS_METHOD(count, ...) \
	if (bytes >= count && (word & (~0ULL >> (64 - 8 * count))) == HTTP_TEXT(__VA_ARGS__)) \
		return 1;
	HTTP_METHODS(HTTP_IS_METHOD)
#undef HTTP_IS_METHOD
	return 0;
}

/* The first byte from @at on that is no CR or LF; of these it reads HTTP_PADDING_MAX. */
DUAL_GLOBAL int http_past_newlines(struct http_scan *s, __u32 at)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < HTTP_PADDING_MAX && at < s->end; i++, at++) {
		__u8 c = *HTTP_AT(s, at);

		if (c != '\r' && c != '\n')
			break;
	}
	return at;
}

/* ---- bodies and what is not HTTP/1.x ------------------------------------------------------- */

/* Skip what is here of the body that begins at line_start. */
DUAL_INLINE void http_skip_here(struct http_scan *s)
{
	__u64 here = s->end - s->line_start;

	if (here > s->http.body_bytes)
		here = s->http.body_bytes;
	if (here)
		s->met |= HTTP_MET(HTTP_BODY);
	s->line_start += here;
	s->counted = s->line_start;
	s->http.body_bytes -= here;
	if (!s->http.body_bytes)
		http_after_body(&s->http);
}

/* In a loose phase, does a request line begin at @at (behind empty lines)? Then START is the phase,
 * and the line begins there. */
DUAL_GLOBAL int http_restart(struct http_scan *s, __u32 at)
{
	if (!s)
		return 0;
	at = http_past_newlines(s, at);
	if (!http_method_at(s, at))
		return 0;
	s->http.phase = HTTP_START;
	s->http.flags = 0;
	s->http.key = 0;
	s->http.head_bytes = 0;
	s->http.body_bytes = 0;
	s->line_start = at;
	s->counted = at;
	s->pos = at;
	return 1;
}

/* The bytes from line_start on come after an upgrade, or may. */
DUAL_GLOBAL int http_go_loose(struct http_scan *s)
{
	if (!s)
		return 0;
	if (s->http.phase < HTTP_OPAQUE || http_restart(s, s->line_start))
		return s->line_start;
	s->pos = s->line_start;
	return s->end;
}

/* A chunk's first byte meets a phase that reads no lines, or reads them loosely. */
DUAL_GLOBAL int http_resume(struct http_scan *s)
{
	__u32 open;

	if (!s)
		return 0;
	if (s->http.phase == HTTP_BODY || s->http.phase == HTTP_CHUNK_DATA) {
		http_skip_here(s);
		s->pos = s->line_start;
		http_go_loose(s);
		return 0;
	}
	if (s->http.phase < HTTP_OPAQUE || s->segment_bytes)
		return 0;
	open = s->may_resync || s->http.phase <= HTTP_HTTP2 || s->http.flags & HTTP_RESYNC;
	s->http.flags &= ~HTTP_RESYNC;
	if (!open)
		return 0;
	if ((s->line_start < HTTP_CARRY && http_restart(s, s->line_start)) ||
	    http_restart(s, HTTP_CARRY))
		return 0;
	if (s->chunk_bytes < HTTP_PADDING_MAX)
		s->http.flags |= HTTP_RESYNC;
	return 0;
}

/* Where the line [@start, @to) ends without the blanks, or the digits, at its end; -1: there are
 * more of them than are looked through. */
DUAL_GLOBAL int http_strip(struct http_scan *s, __u32 start, __u32 to, __u32 digits)
{
	__u32 i = 0;

	if (!s)
		return -1;
	for (; i <= HTTP_PADDING_MAX && to > start; i++, to--) {
		__u8 c = *HTTP_AT(s, to - 1);

		if (digits ? (__u8)(c - '0') > 9 : !http_blank(c))
			break;
	}
	return i > HTTP_PADDING_MAX ? -1 : (int)(to & (HTTP_SPAN - 1));
}

/*
 * Could this line, which ends before @to, be a request line? Generous: it ends in HTTP/1. and
 * digits (hosts take leading zeros), blanks behind it. @cut: the line's beginning may have been
 * elsewhere; then any end of one will do, but for the empty one and digits alone, which chunks are
 * full of.
 */
DUAL_INLINE int http_like_request(struct http_scan *s, __u32 start, __u32 to, int cut)
{
	const __u64 version = HTTP_TEXT(' ', 'H', 'T', 'T', 'P', '/', '1', '.');
	int blanks = http_strip(s, start, to, 0), end = http_strip(s, start, blanks, 1);
	__u32 bytes = end - start;

	if (blanks < 0 || end < 0)
		return 1;
	if (cut && bytes < 8)
		return bytes &&
		       (dual_load64(HTTP_AT(s, end - 8)) ^ version) >> 8 * (8 - bytes) == 0;
	return end < blanks && bytes >= 7 &&
	       (dual_load64(HTTP_AT(s, end - 7)) & ~0ULL >> 8) == version >> 8;
}

/* A line of a loose phase ends at the newline at @pos. In VOID each empty line ends a head, for all
 * that is known; elsewhere a request line is one whatever it follows, and where the other protocol
 * was a guess it means that the host may read requests: the framing is lost. */
DUAL_GLOBAL int http_loose_line(struct http_scan *s, __u32 pos)
{
	__u32 start, to = pos;

	if (!s)
		return 0;
	start = s->line_start;
	s->line_start = pos + 1;
	if (to > start && *HTTP_AT(s, to - 1) == '\r')
		to--;
	if (s->http.phase != HTTP_VOID) {
		__u32 expected = s->http.phase != HTTP_JOINED;
		__u32 guessed = expected && s->http.flags & HTTP_GUESSED;

		if (!http_like_request(s, start, to, s->cut && start == HTTP_CARRY) &&
		    !(expected && http_method_at(s, start)))
			return 0;
		http_charge(s, CHARGE_UNDECIDED, TPS_REASON_VOID);
		if (guessed) {
			s->http.phase = HTTP_VOID;
			s->http.flags = HTTP_HEAD_OPEN;
		}
	} else if (to == start) {
		if (!(s->http.flags & HTTP_HEAD_OPEN))
			http_charge(s, CHARGE_UNDECIDED, TPS_REASON_VOID);
		s->http.flags &= ~HTTP_HEAD_OPEN;
	}
	return 0;
}

/* A step of the loops below reads eight bytes or ends at a line's end; a round is what the verifier
 * walks through at once. Rounds are enough for a chunk of nothing but newlines. */
#define HTTP_STEPS 32
#define HTTP_ROUNDS ((HTTP_CHUNK_MAX + HTTP_CARRY) / HTTP_STEPS + 2)

/* Read lines loosely from s->pos on. False when the round was not enough. */
DUAL_GLOBAL int http_loose_lines(struct http_scan *s)
{
	__u32 pos, end;

	if (!s)
		return 1;
	pos = s->pos;
	end = s->end;
	for (__u32 i = 0; i < HTTP_STEPS; i++) {
		__u64 hits;

		if (pos >= end)
			return 1;
		hits = http_newlines(dual_load64(HTTP_AT(s, pos)));
		if (!hits) {
			pos += 8;
			continue;
		}
		pos += swar_lowest(hits);
		http_loose_line(s, pos);
		pos++;
	}
	s->pos = pos;
	return 0;
}

/* ---- request heads ------------------------------------------------------------------------- */

#define HTTP_EMPTY_MAX 8 /* empty lines before a request line */

/* The request line [start, pos); RFC 9112 3: METHOD SP target SP HTTP/1.x, and nothing more
 * lenient. */
DUAL_GLOBAL int http_request_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u32 method = 0;
	__u64 version;
	__u8 c = 0;

	if (!s)
		return 0;
	if (start >= pos) { /* empty lines before it are skipped, RFC 9112 2.2 */
		if (s->http.head_bytes + pos + 2 - s->counted > 2 * HTTP_EMPTY_MAX)
			return http_fail(s, TPS_REASON_BAD_REQUEST_LINE, pos + 2);
		return pos + 2;
	}
	for (; method <= 16; method++) {
		c = *HTTP_AT(s, start + method);
		if (!http_token_char(c))
			break;
	}
	if (!method || c != ' ' || pos - start < method + 11)
		return http_fail(s, TPS_REASON_BAD_REQUEST_LINE, pos + 2);
	version = dual_load64(HTTP_AT(s, pos - 8));
	if (version == HTTP_TEXT('H', 'T', 'T', 'P', '/', '2', '.', '0') && pos - start == 14 &&
	    dual_load64(HTTP_AT(s, start)) == HTTP_TEXT('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')) {
		s->http.phase = HTTP_HTTP2; /* RFC 9113 3.4 */
		s->http.flags = 0;
		s->http.head_bytes = 0;
		s->met |= HTTP_MET(HTTP_HTTP2);
		s->pos = pos + 2;
		return s->end;
	}
	s->http.flags = 0;
	if (version == HTTP_TEXT('H', 'T', 'T', 'P', '/', '1', '.', '0'))
		s->http.flags = HTTP_MINOR_0 | HTTP_CLOSE;
	else if (version != HTTP_TEXT('H', 'T', 'T', 'P', '/', '1', '.', '1'))
		return http_fail(s, TPS_REASON_BAD_REQUEST_LINE, pos + 2);
	if (*HTTP_AT(s, pos - 9) != ' ' || *HTTP_AT(s, start + method + 1) == ' ')
		return http_fail(s, TPS_REASON_BAD_REQUEST_LINE, pos + 2);
	if (dual_load64(HTTP_AT(s, start)) == HTTP_TEXT('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		s->http.flags |= HTTP_UPGRADE;
	s->http.phase = HTTP_HEADERS;
	s->http.key = 0;
	s->http.body_bytes = 0;
	return pos + 2;
}

/* Was the line [start, pos) ever longer than what a carry holds? Then its value is not read, so
 * that the answer does not depend on where the segments were cut. */
DUAL_INLINE int http_long_line(const struct http_scan *s, __u32 start, __u32 pos)
{
	return pos + 1 - start > TPS_CARRY_BYTES || (start < HTTP_CARRY && s->long_line);
}

/* What the name [start, colon) of a line that matters is followed by: 1 a colon, 0 another name's
 * bytes, -1 white space (RFC 9112 5.1 forbids it; hosts differ). */
DUAL_INLINE int http_colon(struct http_scan *s, __u32 colon)
{
	__u8 c = *HTTP_AT(s, colon);

	return c == ':' ? 1 : http_blank(c) ? -1 : 0;
}

/* Content-Length, RFC 9110 8.6: digits, once. */
DUAL_GLOBAL int http_length_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u64 length = 0;
	__u32 from, bytes;
	int colon;

	if (!s)
		return 0;
	colon = http_colon(s, start + 14);
	if (!colon)
		return pos + 2;
	if (colon < 0)
		return http_fail(s, TPS_REASON_SPACE_BEFORE_COLON, pos + 2);
	if (s->http.flags & (HTTP_LENGTH | HTTP_CHUNKED) || http_long_line(s, start, pos) ||
	    !http_trim(s, start + 15, pos))
		return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
	from = s->value_start;
	bytes = s->value_end - from;
	if (!bytes || bytes > 18)
		return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
	for (__u32 i = 0; i < 18 && i < bytes; i++) {
		__u32 digit = *HTTP_AT(s, from + i) - '0';

		if (digit > 9)
			return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
		length = length * 10 + digit;
	}
	s->http.flags |= HTTP_LENGTH;
	s->http.body_bytes = length;
	return pos + 2;
}

/* Transfer-Encoding, RFC 9112 6.1: `chunked` alone, once, and no Content-Length beside it. */
DUAL_GLOBAL int http_coding_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u64 word;
	int colon;

	if (!s)
		return 0;
	colon = http_colon(s, start + 17);
	if (!colon)
		return pos + 2;
	if (colon < 0)
		return http_fail(s, TPS_REASON_SPACE_BEFORE_COLON, pos + 2);
	if (s->http.flags & (HTTP_LENGTH | HTTP_CHUNKED) || http_long_line(s, start, pos) ||
	    !http_trim(s, start + 18, pos) || s->value_end - s->value_start != 7)
		return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
	word = (dual_load64(HTTP_AT(s, s->value_start)) | HTTP_SPACES) << 8;
	if (word != HTTP_TEXT(0, 'c', 'h', 'u', 'n', 'k', 'e', 'd'))
		return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
	s->http.flags |= HTTP_CHUNKED;
	return pos + 2;
}

/* Upgrade: another protocol may follow; HTTP/2 when h2c is among those named, or cannot be ruled
 * out. */
DUAL_GLOBAL int http_upgrade_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u32 h2c = 0;

	if (!s)
		return 0;
	start += 8;
	if (pos - start > 2 * HTTP_PADDING_MAX)
		h2c = 1;
	for (__u32 i = 0; i < 2 * HTTP_PADDING_MAX && start + 3 <= pos; i++, start++)
		if (((dual_load64(HTTP_AT(s, start)) | HTTP_SPACES) & 0xffffff) ==
		    HTTP_TEXT4('h', '2', 'c', 0))
			h2c = 1;
	s->http.flags |= h2c ? HTTP_UPGRADE | HTTP_H2C : HTTP_UPGRADE;
	return pos + 2;
}

DUAL_INLINE void http_bad_key(struct http_scan *s, enum http_key why)
{
	if ((s->http.key & HTTP_KEY_MASK) <= HTTP_KEY_FOUND)
		s->http.key = (s->http.key & ~HTTP_KEY_MASK) | why;
}

/* The value of a key header: [value_start, value_end) becomes the key, past "Bearer" if it must be
 * there. False: the value is no key of this kind. */
DUAL_INLINE int http_past_bearer(struct http_scan *s, __u32 bearer)
{
	__u32 from = s->value_start, to = s->value_end;
	__u64 scheme;

	if (!bearer)
		return from < to;
	scheme = (dual_load64(HTTP_AT(s, from)) | HTTP_SPACES) << 16;
	if (to - from < 8 || scheme != HTTP_TEXT(0, 0, 'b', 'e', 'a', 'r', 'e', 'r') ||
	    !http_blank(*HTTP_AT(s, from + 6)))
		return 0;
	if (!http_trim(s, from + 7, to))
		s->value_end = s->value_start + TPS_KEY_BYTES_MAX + 1;
	return 1;
}

/* The hash of the key of @bytes at @at: as a rule, the known one's. */
DUAL_INLINE void http_hash(struct http_scan *s, __u32 at, __u32 bytes)
{
	s->print = fingerprint_padded(s->secret, HTTP_AT(s, at), bytes);
	if (s->print == s->known.print) {
		s->http.key_hash[0] = s->known.hash[0];
		s->http.key_hash[1] = s->known.hash[1];
		return;
	}
	siphash_128_padded(s->secret, HTTP_AT(s, at), bytes, s->http.key_hash);
}

/* A line [start, pos) whose first 8 bytes fit key header @number. Returns where to go
 * on; 0: it has another name; -1: white space before the colon. (Not said by http_fail() from here:
 * Linux 6.1 counts the stacks of a chain of calls together.) */
DUAL_GLOBAL int http_key_line(struct http_scan *s, const struct tps_listener *listener,
			      __u32 number, __u32 start, __u32 pos)
{
	const struct tps_key_header *header;
	__u32 bytes;
	int colon;

	if (!s || !listener || number >= TPS_KEY_HEADERS_MAX)
		return 0;
	header = &listener->key_header[number];
	bytes = header->len;
	for (__u32 i = 1; i < TPS_HEADER_NAME_MAX / 8 && 8 * i < bytes; i++)
		if (((dual_load64(HTTP_AT(s, start + 8 * i)) | header->fold[i]) &
		     header->care[i]) != header->name[i])
			return 0;
	colon = http_colon(s, start + bytes);
	if (!colon)
		return 0;
	if (colon < 0)
		return -1;
	if (s->http.key & HTTP_KEY_SEEN << number) {
		http_bad_key(s, HTTP_KEY_DOUBLED);
		return pos + 2;
	}
	s->http.key |= HTTP_KEY_SEEN << number;
	if (http_long_line(s, start, pos) || !http_trim(s, start + bytes + 1, pos)) {
		http_bad_key(s, HTTP_KEY_BAD);
		return pos + 2;
	}
	if (!http_past_bearer(s, header->bearer))
		return pos + 2;
	bytes = s->value_end - s->value_start;
	if (s->http.key & HTTP_KEY_MASK) {
		http_bad_key(s, HTTP_KEY_DOUBLED);
	} else if (bytes > TPS_KEY_BYTES_MAX) {
		http_bad_key(s, HTTP_KEY_BAD);
	} else {
		http_hash(s, s->value_start, bytes);
		s->http.key |= HTTP_KEY_FOUND;
	}
	return pos + 2;
}

/* The empty line that ends a head, at @pos: charge it, and find out what comes behind it. */
DUAL_GLOBAL int http_head_end(struct http_scan *s, __u32 pos)
{
	__u32 key, reason = 0;

	if (!s)
		return 0;
	key = s->http.key & HTTP_KEY_MASK;
	if (s->http.head_bytes + pos + 2 - s->counted > TPS_HEAD_BYTES_MAX)
		reason = TPS_REASON_LONG_HEAD;
	else if ((s->http.flags & HTTP_CHUNKED) && (s->http.flags & HTTP_MINOR_0))
		reason = TPS_REASON_BAD_LENGTH; /* RFC 9112 6.1: its framing is faulty */
	if (reason) {
		s->http.phase = HTTP_VOID; /* no head is open any more */
		return http_fail(s, reason, pos + 2);
	}
	if (key > HTTP_KEY_FOUND)
		http_charge(s, CHARGE_UNDECIDED,
			    key == HTTP_KEY_BAD ? TPS_REASON_BAD_KEY : TPS_REASON_DOUBLED_KEY);
	else if (!s->charges) /* as a rule; a call less */
		http_charge_first(s, 0, key == HTTP_KEY_FOUND ? CHARGE_KEY : CHARGE_SOURCE, 0);
	else
		http_charge(s, key == HTTP_KEY_FOUND ? CHARGE_KEY : CHARGE_SOURCE, 0);
	s->http.head_bytes = 0;
	s->counted = pos + 2;
	s->http.phase = s->http.flags & HTTP_CHUNKED ? HTTP_CHUNK_SIZE : HTTP_BODY;
	if (s->http.body_bytes || s->http.phase == HTTP_CHUNK_SIZE)
		s->framed = s->segment_bytes + pos + 2 - HTTP_CARRY;
	if (s->http.phase == HTTP_BODY)
		http_skip_here(s);
	return s->http.phase < HTTP_OPAQUE ? (int)s->line_start : http_go_loose(s);
}

/* A line around chunk data, RFC 9112 7.1, [start, pos). */
DUAL_GLOBAL int http_chunk_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u64 bytes = 0;
	__u32 i;

	if (!s)
		return 0;
	if (s->http.phase == HTTP_TRAILERS) {
		if (start < pos)
			return pos + 2;
		http_after_body(&s->http);
		s->http.head_bytes = 0;
		s->counted = pos + 2;
		return http_go_loose(s);
	}
	if (s->http.phase == HTTP_CHUNK_END) {
		if (start < pos)
			return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
		s->http.phase = HTTP_CHUNK_SIZE;
		return pos + 2;
	}
	for (i = 0; i < 16; i++) {
		__u8 c = *HTTP_AT(s, start + i);

		if (!http_hex_char(c))
			break;
		bytes = bytes << 4 | ((c & 15) + (c >> 6) * 9);
	}
	start += i;
	if (!i || i == 16 || (start < pos && *HTTP_AT(s, start) != ';'))
		return http_fail(s, TPS_REASON_BAD_LENGTH, pos + 2);
	s->framed = s->segment_bytes + pos + 2 - HTTP_CARRY;
	s->http.head_bytes = 0;
	s->counted = pos + 2;
	s->http.phase = bytes ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
	s->http.body_bytes = bytes;
	if (bytes)
		http_skip_here(s);
	return s->line_start;
}

/* A header line [start, pos) that may be about what comes behind the head. */
DUAL_GLOBAL int http_framing_line(struct http_scan *s, __u32 start, __u32 pos)
{
	__u64 word, more;

	if (!s)
		return 0;
	word = dual_load64(HTTP_AT(s, start)) | HTTP_SPACES;
	more = dual_load64(HTTP_AT(s, start + 8)) | HTTP_SPACES;
	if (word == HTTP_TEXT('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
		if (more << 16 == HTTP_TEXT(0, 0, 'l', 'e', 'n', 'g', 't', 'h'))
			return http_length_line(s, start, pos);
	} else if (word == HTTP_TEXT('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		if (more == HTTP_TEXT('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') &&
		    (*HTTP_AT(s, start + 16) | 0x20) == 'g')
			return http_coding_line(s, start, pos);
	} else {
		return http_upgrade_line(s, start, pos);
	}
	return pos + 2;
}

/* A control byte at @pos that is not a line's CRLF. */
DUAL_GLOBAL int http_odd_byte(struct http_scan *s, __u32 pos)
{
	__u8 c;

	if (!s)
		return 0;
	c = *HTTP_AT(s, pos);
	if (c == '\t')
		return pos + 1;
	if (c == '\r' && pos + 1 == s->end)
		return pos + 1; /* its LF, if that it is, comes with the next segment */
	if (c != '\n')
		return http_fail(s, TPS_REASON_CONTROL_BYTE, pos + 1);
	if (s->line_start == pos && s->http.phase == HTTP_START) {
		s->line_start = pos + 1;
		return http_request_line(s, pos, pos - 1);
	}
	c = s->line_start == pos;
	s->line_start = pos + 1;
	http_fail(s, TPS_REASON_BARE_LF, pos + 1);
	if (c) /* this was the empty line of the head that is charged */
		s->http.flags &= ~HTTP_HEAD_OPEN;
	return s->end;
}

/* Header lines that begin otherwise are nothing to us: white space (folded), the framing's names,
 * the key's. */
#define HTTP_INITIAL(c) (1u << ((c)&31))
DUAL_INLINE __u32 http_initials(const struct tps_listener *listener)
{
	__u32 initials = HTTP_INITIAL(' ') | HTTP_INITIAL('\t') | HTTP_INITIAL('c') |
			 HTTP_INITIAL('t') | HTTP_INITIAL('u');

	for (__u32 i = 0; i < TPS_KEY_HEADERS_MAX && i < listener->key_headers; i++)
		initials |= HTTP_INITIAL(listener->key_header[i].name[0]);
	return initials;
}

/* A header line that is not empty, [start, pos). */
DUAL_INLINE int http_header_line(struct http_scan *s, const struct tps_listener *listener,
				 __u32 start, __u32 pos)
{
	__u64 word = dual_load64(HTTP_AT(s, start)), lower = word | HTTP_SPACES;

	if (!(s->initials >> (word & 31) & 1))
		return pos + 2;
	if (http_blank(word))
		return http_fail(s, TPS_REASON_FOLDED, pos + 2);
	for (__u32 i = 0; i < TPS_KEY_HEADERS_MAX && i < listener->key_headers; i++) {
		const struct tps_key_header *header = &listener->key_header[i];

		if (((word | header->fold[0]) & header->care[0]) == header->name[0]) {
			int next = http_key_line(s, listener, i, start, pos);

			if (next < 0)
				return http_fail(s, TPS_REASON_SPACE_BEFORE_COLON, pos + 2);
			if (next)
				return next;
		}
	}
	if (lower == HTTP_TEXT('c', 'o', 'n', 'n', 'e', 'c', 't', 'i')) {
		/* RFC 9110 7.6.1; "Connection: " has 12 bytes */
		if ((dual_load64(HTTP_AT(s, start + 12)) | HTTP_SPACES) !=
		    HTTP_TEXT('k', 'e', 'e', 'p', '-', 'a', 'l', 'i'))
			s->http.flags |= HTTP_CLOSE;
		return pos + 2;
	}
	if (lower == HTTP_TEXT('c', 'o', 'n', 't', 'e', 'n', 't', '-') ||
	    lower == HTTP_TEXT('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') ||
	    lower == HTTP_TEXT('u', 'p', 'g', 'r', 'a', 'd', 'e', ':'))
		return http_framing_line(s, start, pos);
	return pos + 2;
}

/* The lowest control byte from the last place on is at @pos: the end of a line, as a rule. Returns
 * where to go on. */
DUAL_INLINE int http_line(struct http_scan *s, const struct tps_listener *listener, __u32 pos)
{
	__u32 start;

	if (dual_load16(HTTP_AT(s, pos)) != HTTP_CRLF)
		return http_odd_byte(s, pos);
	start = s->line_start;
	s->line_start = pos + 2;
	if (s->http.phase == HTTP_HEADERS)
		return start == pos ? http_head_end(s, pos)
				    : http_header_line(s, listener, start, pos);
	return s->http.phase == HTTP_START ? http_request_line(s, start, pos)
					   : http_chunk_line(s, start, pos);
}

/* Read lines strictly from s->pos on. False when the round was not enough. */
DUAL_GLOBAL int http_lines(struct http_scan *s, const struct tps_listener *listener)
{
	__u32 pos, end;

	if (!s || !listener)
		return 1;
	pos = s->pos;
	end = s->end;
	for (__u32 i = 0; i < HTTP_STEPS; i++) {
		__u64 low, high;

		if (pos >= end)
			return 1;
		low = http_controls(dual_load64(HTTP_AT(s, pos)));
		high = http_controls(dual_load64(HTTP_AT(s, pos) + 8));
		if (!(low | high)) {
			pos += 16;
			continue;
		}
		if (!low) {
			low = high;
			pos += 8;
		}
		pos = http_line(s, listener, pos + swar_lowest(low));
	}
	if (s->http.phase >= HTTP_OPAQUE) /* lost at the last step: s->pos is where to read on */
		return 1;
	s->pos = pos;
	return 0;
}

/* ---- a chunk ------------------------------------------------------------------------------- */

/* Keep the line that is open for the next chunk, at the end of the carry. */
DUAL_GLOBAL int http_keep_line(struct http_scan *s)
{
	__u32 bytes, from;

	if (!s)
		return 0;
	bytes = s->end - s->line_start;
	if (bytes <= TPS_CARRY_BYTES) {
		from = s->end - TPS_CARRY_BYTES;
		for (__u32 i = 0; i < TPS_CARRY_BYTES; i += 8)
			dual_store64(s->bytes + i, dual_load64(HTTP_AT(s, from + i)));
		s->http.carry_bytes = bytes;
		return 0;
	}
	for (__u32 i = 0; i < HTTP_HEAD_KEPT; i += 8)
		dual_store64(s->bytes + i, dual_load64(HTTP_AT(s, s->line_start + i)));
	from = s->end - HTTP_TAIL_KEPT;
	for (__u32 i = 0; i < HTTP_TAIL_KEPT; i += 8)
		dual_store64(s->bytes + HTTP_HEAD_KEPT + i, dual_load64(HTTP_AT(s, from + i)));
	s->http.carry_bytes = TPS_CARRY_BYTES;
	s->http.flags |= HTTP_LONG_LINE;
	return 0;
}

/* What was met in a loose phase, and what a segment in VOID costs at least. */
DUAL_GLOBAL int http_rest(struct http_scan *s)
{
	if (!s)
		return 0;
	if (s->pos < s->end || s->http.phase == HTTP_VOID)
		s->met |= HTTP_MET(s->http.phase & 15);
	for (__u32 i = 0; i < HTTP_ROUNDS; i++)
		if (http_loose_lines(s))
			break;
	if (s->http.phase == HTTP_VOID && !s->undecided)
		http_charge(s, CHARGE_UNDECIDED, TPS_REASON_VOID);
	return 0;
}

/* Read the chunk_bytes bytes at bytes + HTTP_CARRY. */
DUAL_INLINE int http_scan(struct http_scan *s, const struct tps_listener *listener)
{
	__u32 end, carry;

	if (!s || !listener)
		return 0;
	end = HTTP_CARRY + s->chunk_bytes;
	carry = s->http.carry_bytes;
	if (carry > HTTP_CARRY || end > HTTP_CARRY + HTTP_CHUNK_MAX)
		return 0;
	dual_store64(HTTP_AT(s, end), HTTP_SPACES); /* no control byte beyond the end is met */
	dual_store64(HTTP_AT(s, end) + 8, HTTP_SPACES);
	s->end = end;
	s->line_start = HTTP_CARRY - carry;
	s->long_line = s->http.flags & HTTP_LONG_LINE;
	s->http.flags &= ~HTTP_LONG_LINE;
	s->http.carry_bytes = 0;
	s->cut = s->http.phase == HTTP_JOINED && !carry && !s->segment_bytes && !s->follows;
	s->counted = HTTP_CARRY;
	s->initials = http_initials(listener);
	/* Of a carry only a CR at its end was not judged yet. */
	s->pos = carry && s->bytes[HTTP_CARRY - 1] == '\r' ? HTTP_CARRY - 1 : HTTP_CARRY;
	if (s->http.phase >= HTTP_BODY)
		http_resume(s);
	if (s->http.phase < HTTP_OPAQUE)
		for (__u32 i = 0; i < HTTP_ROUNDS; i++)
			if (http_lines(s, listener))
				break;
	if (s->http.phase < HTTP_OPAQUE) {
		s->http.head_bytes += end - s->counted;
		if (s->http.head_bytes > TPS_HEAD_BYTES_MAX)
			http_fail(s, TPS_REASON_LONG_HEAD, end);
	}
	if (s->http.phase >= HTTP_OPAQUE)
		http_rest(s);
	if (s->line_start < end)
		http_keep_line(s);
	s->segment_bytes += s->chunk_bytes;
	return 0;
}

#endif
