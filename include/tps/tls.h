/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The server name (RFC 6066 3) of a TLS ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2) out of a
 * client's byte stream, cut at any byte: by segments, by records (RFC 8446 5.1), or by both. Knows
 * no map, helper, clock, flow or limit. Dual.
 *
 * How the gate calls it, for each segment with new bytes of a flow whose hello has not ended:
 *   tls_begin(s, &flow->hello, secret)
 *   for each chunk of at most TLS_CHUNK_MAX bytes, in order:
 *           copy it to s->bytes, set s->chunk_bytes, call tls_read(s); if that returns TLS_PIECES,
 *           call tls_step(s) until it returns 1, at most TLS_STEPS_MAX times
 *   where s->name_bytes is not 0, the name has come with this segment: look it up now, all of it by
 *           tls_hash(s, 0), and suffixes of it by tls_hash(s, tls_suffix(s, labels)); it holds when
 *           the hello has ended well
 *   when s->hello.phase is TLS_DONE: s->hello.reason says why it names nobody; 0: it ended well
 *   tls_save(s, &flow->hello), or not: until then nothing but *s has changed
 *
 * What follows the hello is not read. A hello ends well when all of its lengths agree, so that
 * whoever reads it strictly reads the same name.
 */
#ifndef TPS_TLS_H
#define TPS_TLS_H

#include <tps/abi.h>
#include <tps/dual.h>
#include <tps/fill.h>
#include <tps/siphash.h>
#include <tps/swar.h>

/* What the parser waits for: fields of a known size, as they come. All zero: the first byte. */
enum tls_phase {
	TLS_MESSAGE,    /* type and length of the handshake message */
	TLS_VERSION,    /* and behind it the random value */
	TLS_SESSION,    /* length of the session id */
	TLS_CIPHERS,    /* length of the cipher suites */
	TLS_METHODS,    /* length of the compression methods */
	TLS_EXTENSIONS, /* length of them all; where the hello ends before, it has none */
	TLS_EXTENSION,  /* type and length of one */
	TLS_NAMES,      /* of server_name: length of the list, type and length of the first name */
	TLS_NAME,       /* the name itself */
	TLS_DONE,
};

/* tps_hello.flags */
#define TLS_BEGUN 0x01 /* a record's header was read */
#define TLS_NAMED 0x02 /* there was a server_name */

#define TLS_CHUNK_MAX FILL_CHUNK_MAX
#define TLS_SPAN 4096 /* positions are masked by this less one */
#define TLS_KEPT 3072 /* where in bytes[] a name is put together that comes in pieces */
#define TLS_NAME_SPAN 256
#define TLS_STEPS_MAX 512     /* a segment cut finer is undecided */
#define TLS_EXTENSIONS_MAX 40 /* that tls_read() walks over; of more, pieces are read */

#define TLS_RECORD_BYTES 5
#define TLS_RECORD_BYTES_MAX 16384 /* RFC 8446 5.1: of the fragment */
#define TLS_HANDSHAKE 22
#define TLS_CLIENT_HELLO 1
#define TLS_MESSAGE_BYTES 4
#define TLS_FIXED_BYTES 34 /* version and random */
#define TLS_SESSION_BYTES_MAX 32
#define TLS_SERVER_NAME 0 /* the extension's type */
#define TLS_HOST_NAME 0   /* the name's */
#define TLS_NAMES_BYTES 5

struct tls_scan {
	__u32 chunk_bytes;      /* set before each tls_read(): 1 .. TLS_CHUNK_MAX */
	__u32 pos;              /* in the chunk */
	__u32 name_bytes;       /* of a name that was read, in lower case */
	__u32 labels;           /* how many of its dots were met */
	__u16 dot_at[8];        /* where the last of them are: number n at n % 8 */
	__u32 name_at;          /* of the extension server_name in the chunk; 0: none yet */
	__u32 after_dot;        /* tls_name_word() */
	__u64 secret[2];        /* set by tls_begin() */
	__u64 hash[2];          /* of tls_hash() */
	struct tps_hello hello; /* the working copy */
	union {
		__u8 backwards[8 + TLS_NAME_SPAN]; /* the name, and 8 bytes before it to be read */
		struct {
			__u8 before[8];
			__u8 name[TLS_NAME_SPAN];
		};
	};
	__u8 bytes[TLS_SPAN + 64];
};

#define TLS_AT(s, at) ((s)->bytes + ((at) & (TLS_SPAN - 1)))
#define TLS_BEFORE(s, at) ((s)->backwards + ((at) & (TLS_NAME_SPAN - 1)))
#define TLS_NAME_AT(s, at) ((s)->name + ((at) & (TLS_NAME_SPAN - 1)))
#define TLS_STATE_BYTES __builtin_offsetof(struct tps_hello, name)

/* ---- for the gate -------------------------------------------------------------------------- */

DUAL_INLINE void tls_copy(struct tps_hello *to, const struct tps_hello *from)
{
	dual_memcpy(to, from, TLS_STATE_BYTES);
	if (from->phase == TLS_NAME)
		dual_memcpy(to->name, from->name, sizeof(to->name));
}

DUAL_INLINE void tls_begin(struct tls_scan *s, const struct tps_hello *hello, const __u64 secret[2])
{
	dual_memcpy(&s->hello, hello, TLS_STATE_BYTES);
	if (hello->phase == TLS_NAME)
		dual_memcpy(s->bytes + TLS_KEPT, hello->name, sizeof(hello->name));
	s->secret[0] = secret[0];
	s->secret[1] = secret[1];
	s->name_bytes = 0;
}

DUAL_INLINE void tls_save(const struct tls_scan *s, struct tps_hello *ret_hello)
{
	dual_memcpy(ret_hello, &s->hello, TLS_STATE_BYTES);
	if (s->hello.phase == TLS_NAME)
		dual_memcpy(ret_hello->name, s->bytes + TLS_KEPT, sizeof(ret_hello->name));
}

/* The hello names nobody, for @reason. What comes behind is not read. */
DUAL_INLINE long tls_fail(struct tls_scan *s, enum tps_reason reason)
{
	s->hello.phase = TLS_DONE;
	s->hello.reason = reason;
	return 1;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Dots in a word that begins at @at of the name. No two stand side by side, so there are four at
 * most. A global function: its ways are verified once, and not for each word. */
DUAL_GLOBAL int tls_dots(struct tls_scan *s, __u64 dots, __u32 at)
{
	if (!s)
		return 0;
	for (int i = 0; i < 4 && dots; i++) {
		s->dot_at[s->labels & 7] = at + swar_lowest(dots);
		s->labels++;
		dots &= dots - 1;
	}
	return 0;
}

/*
 * 8 bytes of a name that begin at @at, of which @left are its; all in lower case, or 0 when they
 * are none of a host name: letters, digits, hyphen, underscore, and dots between them. s->after_dot
 * is 0x80 when the byte before is a dot, or there is none.
 */
DUAL_INLINE __u64 tls_name_word(struct tls_scan *s, __u64 word, __u32 at, __u32 left)
{
	__u64 mask = left < 8 ? (1ULL << 8 * left) - 1 : ~0ULL;
	__u64 dots, good;

	word = (word & mask) | ('a' * SWAR_EACH & ~mask);
	if (word & SWAR_TOP)
		return 0;
	word |= swar_within(word, 'A', 'Z') >> 2;
	dots = swar_within(word, '.', '.');
	good = swar_within(word, 'a', 'z') | swar_within(word, '0', '9') | dots |
	       swar_within(word, '-', '-') | swar_within(word, '_', '_');
	if (good != SWAR_TOP || dots & (dots << 8 | s->after_dot))
		return 0;
	s->after_dot = dots >> 56;
	if (dots)
		tls_dots(s, dots, at);
	return word & mask;
}

/* The @bytes of name at @at of bytes[] become s->name. False: they are no host name. A global
 * function: verified once. */
DUAL_GLOBAL int tls_name(struct tls_scan *s, __u32 at, __u32 bytes)
{
	__u64 word;

	if (!s)
		return 0;
	s->labels = 0;
	s->after_dot = 0x80;
	s->name_bytes = bytes;
	for (__u32 i = 0; i < TLS_NAME_SPAN && i < s->name_bytes; i += 8) {
		word = dual_load64(TLS_AT(s, at + i));
		word = tls_name_word(s, word, i, s->name_bytes - i);
		if (!word) {
			s->name_bytes = 0;
			return 0;
		}
		dual_store64(s->name + i, word);
		dual_reload();
	}
	if (*TLS_NAME_AT(s, s->name_bytes - 1) != '.')
		return 1;
	s->name_bytes = 0;
	return 0;
}

/* Where in the name the suffix of its last @labels begins, with the dot before it; 0: it has no
 * more labels than that. */
DUAL_INLINE __u32 tls_suffix(const struct tls_scan *s, __u32 labels)
{
	return s->labels < labels ? 0 : s->dot_at[(s->labels - labels) & 7];
}

/* To s->hash: of the name from @from on, read backwards. A global function: verified once. */
DUAL_GLOBAL int tls_hash(struct tls_scan *s, __u32 from)
{
	struct siphash h;
	__u32 at, left;

	if (!s)
		return 0;
	at = s->name_bytes;
	left = at - from;
	siphash_begin(&h, s->secret);
	for (int i = 0; i < TLS_NAME_SPAN / 8 && left >= 8; i++) {
		siphash_word(&h, dual_swap64(dual_load64(TLS_BEFORE(s, at))));
		at -= 8;
		left -= 8;
	}
	siphash_end(&h, siphash_low_bytes(dual_swap64(dual_load64(TLS_BEFORE(s, at))), left),
		    s->name_bytes - from, s->hash);
	return 1;
}

/* ---- a hello in pieces --------------------------------------------------------------------- */

/* How many bytes the field has that a phase waits for. */
DUAL_INLINE __u32 tls_field_bytes(__u32 phase)
{
	switch (phase) {
	case TLS_MESSAGE:
	case TLS_EXTENSION:
		return 4;
	case TLS_NAMES:
		return TLS_NAMES_BYTES;
	case TLS_SESSION:
	case TLS_METHODS:
		return 1;
	default:
		return 2;
	}
}

/* Goes on with @phase behind the next @skip bytes. */
DUAL_INLINE long tls_next(struct tls_scan *s, enum tls_phase phase, __u32 skip)
{
	if (skip > s->hello.hello_bytes)
		return tls_fail(s, TPS_REASON_BAD_HELLO);
	s->hello.phase = phase;
	s->hello.skip_bytes = skip;
	return 0;
}

/* The header of an extension, or of the list of names in server_name. */
DUAL_INLINE long tls_extension(struct tls_scan *s, __u64 field)
{
	__u32 bytes = field & 0xffff;

	if (s->hello.phase == TLS_NAMES) {
		/* one name, which is all that the list holds */
		if ((field >> 16 & 0xff) != TLS_HOST_NAME || field >> 24 != bytes + 3 ||
		    field >> 24 != s->hello.list_bytes - 2u || !bytes || bytes > TPS_HOST_BYTES_MAX)
			return tls_fail(s, TPS_REASON_BAD_NAME);
		s->hello.name_bytes = 0;
		return tls_next(s, TLS_NAME, bytes);
	}
	if (field >> 16 != TLS_SERVER_NAME)
		return tls_next(s, TLS_EXTENSION, bytes);
	if (s->hello.flags & TLS_NAMED || bytes < TLS_NAMES_BYTES)
		return tls_fail(s, TPS_REASON_BAD_NAME);
	s->hello.flags |= TLS_NAMED;
	s->hello.list_bytes = bytes;
	return bytes > s->hello.hello_bytes ? tls_fail(s, TPS_REASON_BAD_HELLO)
					    : tls_next(s, TLS_NAMES, 0);
}

/* A field is whole. Not 0: the hello has ended, or cannot be read. */
DUAL_INLINE long tls_field(struct tls_scan *s, __u64 field)
{
	switch (s->hello.phase) {
	case TLS_MESSAGE:
		if (field >> 24 != TLS_CLIENT_HELLO)
			return tls_fail(s, TPS_REASON_NOT_HELLO);
		s->hello.hello_bytes = field & 0xffffff;
		if (s->hello.hello_bytes > TPS_HELLO_BYTES_MAX)
			return tls_fail(s, TPS_REASON_LONG_HELLO);
		return tls_next(s, TLS_VERSION, 0);
	case TLS_VERSION:
		return tls_next(s, TLS_SESSION, TLS_FIXED_BYTES - 2);
	case TLS_SESSION:
		if (field > TLS_SESSION_BYTES_MAX)
			return tls_fail(s, TPS_REASON_BAD_HELLO);
		return tls_next(s, TLS_CIPHERS, field);
	case TLS_CIPHERS: /* two bytes each, and one of them at least */
		if (!field || field & 1)
			return tls_fail(s, TPS_REASON_BAD_HELLO);
		return tls_next(s, TLS_METHODS, field);
	case TLS_METHODS:
		if (!field)
			return tls_fail(s, TPS_REASON_BAD_HELLO);
		return tls_next(s, TLS_EXTENSIONS, field);
	case TLS_EXTENSIONS:
		if (field != s->hello.hello_bytes)
			return tls_fail(s, TPS_REASON_BAD_HELLO);
		return tls_next(s, TLS_EXTENSION, 0);
	default:
		return tls_extension(s, field);
	}
}

/* The header of a record is whole. */
DUAL_INLINE long tls_record(struct tls_scan *s, __u64 header)
{
	__u32 bytes = header & 0xffff;

	if (header >> 24 != (TLS_HANDSHAKE << 8 | 3))
		return tls_fail(s, s->hello.flags & TLS_BEGUN ? TPS_REASON_BAD_HELLO
							      : TPS_REASON_NOT_HELLO);
	if (!bytes || bytes > TLS_RECORD_BYTES_MAX)
		return tls_fail(s, TPS_REASON_BAD_HELLO);
	s->hello.flags |= TLS_BEGUN;
	s->hello.record_bytes = bytes;
	return 0;
}

/* Takes as many as there are of the @want bytes of a big-endian number at s->pos, of which @left
 * are readable; @had of it are in *@value. Returns how many it took. */
DUAL_INLINE __u32 tls_number(struct tls_scan *s, __u32 want, __u32 had, __u32 left, __u64 *value)
{
	if (!had && left >= want) {
		*value = dual_swap64(dual_load64(TLS_AT(s, s->pos))) >> (64 - 8 * want);
		return want;
	}
	*value = *value << 8 | *TLS_AT(s, s->pos);
	return 1;
}

/* Bytes of the hello were taken. */
DUAL_INLINE void tls_take(struct tls_scan *s, __u32 bytes)
{
	s->pos += bytes;
	s->hello.record_bytes -= bytes;
	s->hello.hello_bytes -= bytes;
}

/* Bytes that are not fields: passed over, or kept when they are of the name. */
DUAL_INLINE void tls_skip(struct tls_scan *s, __u32 left)
{
	__u32 bytes = s->hello.skip_bytes < left ? s->hello.skip_bytes : left;

	if (s->hello.phase == TLS_NAME) {
		if (bytes > 8)
			bytes = 8;
		dual_store64(TLS_AT(s, TLS_KEPT + s->hello.name_bytes),
			     dual_load64(TLS_AT(s, s->pos)));
		s->hello.name_bytes += bytes;
	}
	s->hello.skip_bytes -= bytes;
	tls_take(s, bytes);
}

/* Behind a field, the bytes that it announced, or the name. Not 0: nothing follows. */
DUAL_INLINE long tls_arrive(struct tls_scan *s)
{
	if (s->hello.phase == TLS_NAME) {
		__u32 bytes = s->hello.name_bytes;

		if (!tls_name(s, TLS_KEPT, bytes))
			return tls_fail(s, TPS_REASON_BAD_NAME);
		s->hello.phase = TLS_EXTENSION;
	}
	if (s->hello.hello_bytes)
		return 0;
	if (s->hello.phase < TLS_EXTENSIONS)
		return tls_fail(s, TPS_REASON_BAD_HELLO);
	s->hello.phase = TLS_DONE;
	return 1;
}

/* One step on: a header, a field, or bytes between them. Not 0: the chunk has ended, or the hello.
 */
DUAL_INLINE long tls_step(struct tls_scan *s)
{
	struct tps_hello *hello = &s->hello;
	__u32 left = s->chunk_bytes - s->pos, want, took;
	__u64 value;

	if (hello->phase >= TLS_DONE || s->pos >= s->chunk_bytes)
		return 1;
	if (!hello->record_bytes) {
		value = hello->header;
		took = tls_number(s, TLS_RECORD_BYTES, hello->header_bytes, left, &value);
		s->pos += took;
		hello->header = value;
		hello->header_bytes += took;
		if (hello->header_bytes < TLS_RECORD_BYTES)
			return 0;
		hello->header_bytes = 0;
		hello->header = 0;
		return tls_record(s, value);
	}
	if (left > hello->record_bytes)
		left = hello->record_bytes;
	if (hello->skip_bytes) {
		tls_skip(s, left);
		return hello->skip_bytes ? 0 : tls_arrive(s);
	}
	want = tls_field_bytes(hello->phase);
	if (hello->phase != TLS_MESSAGE && want - hello->field_bytes > hello->hello_bytes)
		return tls_fail(s, TPS_REASON_BAD_HELLO);
	value = hello->field;
	took = tls_number(s, want, hello->field_bytes, left, &value);
	tls_take(s, took);
	hello->field = value;
	hello->field_bytes += took;
	if (hello->field_bytes < want)
		return 0;
	hello->field_bytes = 0;
	hello->field = 0;
	if (tls_field(s, value))
		return 1;
	return hello->skip_bytes ? 0 : tls_arrive(s);
}

/* ---- a hello that lies in one chunk and one record ----------------------------------------- */

enum tls_read {
	TLS_ENDED,  /* the hello was read: its phase is TLS_DONE */
	TLS_PIECES, /* nothing has changed: it is for tls_step() */
};

DUAL_INLINE __u32 tls_load16(const struct tls_scan *s, __u32 at)
{
	return dual_swap16(dual_load16(TLS_AT(s, at)));
}

/* The name in the server_name at s->name_at. */
DUAL_INLINE enum tls_read tls_read_name(struct tls_scan *s)
{
	__u32 at = s->name_at, bytes = tls_load16(s, at + 7);

	if (*TLS_AT(s, at + 6) != TLS_HOST_NAME || tls_load16(s, at + 4) != bytes + 3 ||
	    tls_load16(s, at + 2) != bytes + 5 || !bytes || bytes > TPS_HOST_BYTES_MAX)
		return TLS_PIECES;
	if (tls_name(s, at + 9, bytes))
		s->hello.phase = TLS_DONE;
	else
		tls_fail(s, TPS_REASON_BAD_NAME);
	return TLS_ENDED;
}

/* Walks over the extensions, which take all from @at to @end. */
DUAL_INLINE enum tls_read tls_read_extensions(struct tls_scan *s, __u32 at, __u32 end)
{
	s->name_at = 0;
	for (int i = 0; i < TLS_EXTENSIONS_MAX; i++) {
		__u32 header;

		if (at == end) {
			if (s->name_at)
				return tls_read_name(s);
			s->hello.phase = TLS_DONE;
			return TLS_ENDED;
		}
		if (at + 4 > end)
			return TLS_PIECES;
		header = dual_swap32(dual_load32(TLS_AT(s, at)));
		if (header >> 16 == TLS_SERVER_NAME) {
			if (s->name_at)
				return TLS_PIECES;
			s->name_at = at;
		}
		at += 4 + (header & 0xffff);
	}
	return TLS_PIECES;
}

/*
 * The whole hello, if it begins with the chunk, lies in it and in one record, and has nothing wrong
 * with it but the name. A global function: verified once.
 */
DUAL_GLOBAL int tls_read(struct tls_scan *s)
{
	__u32 at = TLS_RECORD_BYTES + TLS_MESSAGE_BYTES + TLS_FIXED_BYTES, record, hello, end;
	__u32 ciphers, methods;
	__u64 begin;

	if (!s)
		return TLS_PIECES;
	s->pos = 0;
	begin = dual_swap64(dual_load64(s->bytes));
	record = begin >> 24 & 0xffff;
	hello = (begin & 0xffff) << 8 | s->bytes[8];
	end = TLS_RECORD_BYTES + TLS_MESSAGE_BYTES + hello;
	if (s->hello.phase != TLS_MESSAGE || s->hello.flags || s->hello.header_bytes ||
	    begin >> 48 != (TLS_HANDSHAKE << 8 | 3) || (begin >> 16 & 0xff) != TLS_CLIENT_HELLO ||
	    record < TLS_MESSAGE_BYTES + hello || record > TLS_RECORD_BYTES_MAX ||
	    s->chunk_bytes < end || *TLS_AT(s, at) > TLS_SESSION_BYTES_MAX)
		return TLS_PIECES;
	at += 1 + *TLS_AT(s, at);
	ciphers = tls_load16(s, at);
	at += 2 + ciphers;
	methods = *TLS_AT(s, at);
	at += 1 + methods;
	if (!ciphers || ciphers & 1 || !methods)
		return TLS_PIECES;
	if (at == end) {
		s->hello.phase = TLS_DONE;
		return TLS_ENDED;
	}
	if (at + 2 + tls_load16(s, at) != end)
		return TLS_PIECES;
	return tls_read_extensions(s, at + 2, end);
}

#endif
