/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client's byte stream out of a fuzzer's input: a ClientHello of the parts that the input orders,
 * bent where its numbers stand, put into records and bent at its ends. Knows no parser, and not
 * what a reader should make of it.
 */
#ifndef TPS_TEST_FUZZ_HELLO_ORDER_H
#define TPS_TEST_FUZZ_HELLO_ORDER_H

#include "lib/hello.h"

#define ORDER_BYTES_MAX (6 * HELLO_ROOM) /* records of a byte each */
#define ORDER_LENGTHS_MAX 64

struct stream {
	size_t len;
	size_t again; /* where it begins once more; 0: nowhere */
	uint8_t bytes[ORDER_BYTES_MAX];
};

struct order {
	const uint8_t *bytes; /* of the input, not yet taken */
	size_t left;
	uint32_t seed;
	const size_t *bounds; /* of what is made: two, to come close to */
	struct hello hello;
	size_t length_at[ORDER_LENGTHS_MAX]; /* where numbers stand that are worth bending */
	size_t lengths;
};

static inline uint32_t order_chance(struct order *o, uint32_t below)
{
	o->seed = o->seed * 1664525 + 1013904223;
	return (o->seed >> 8) % below;
}

/* The next byte of the input; 0 behind its end. */
static inline uint32_t order_next(struct order *o)
{
	if (!o->left)
		return 0;
	o->left--;
	return *o->bytes++;
}

/* Fewer than @most. */
static inline size_t order_take(struct order *o, uint8_t *ret, size_t most)
{
	size_t bytes = order_next(o) % most;

	for (size_t i = 0; i < bytes; i++)
		ret[i] = order_next(o);
	return bytes;
}

/* ---- the hello */

static inline void order_length(struct order *o, size_t at)
{
	if (o->lengths < ORDER_LENGTHS_MAX)
		o->length_at[o->lengths++] = at;
}

static inline void order_extend(struct order *o, uint16_t type, const void *body, size_t bytes)
{
	size_t at = o->hello.len + (o->hello.extensions_at ? 0 : 2);

	hello_extend(&o->hello, type, body, bytes);
	order_length(o, at + 1); /* its type */
	order_length(o, at + 3);
}

static inline void order_name(struct order *o, const void *name, size_t bytes)
{
	size_t at;

	hello_name_bytes(&o->hello, name, bytes);
	at = o->hello.len - bytes;
	order_length(o, at - 1); /* of the name */
	order_length(o, at - 3); /* its type */
	order_length(o, at - 4); /* of the list */
	order_length(o, at - 6); /* of the extension */
	order_length(o, at - 8); /* its type */
}

static inline void order_labels(struct order *o, size_t bytes, size_t each)
{
	uint8_t name[256];

	for (size_t i = 0; i < bytes; i++)
		name[i] = i % (each + 1) == each && i + 1 < bytes ? '.' : 'A' + i % 26;
	order_name(o, name, bytes);
}

/* False: there are no more extensions. */
static inline int order_extension(struct order *o)
{
	uint32_t what = order_next(o), first, count;
	uint8_t bytes[64];

	switch (what % 7) {
	case 0:
		return 0;
	case 1:
		order_name(o, bytes, order_take(o, bytes, 64));
		break;
	case 2:
		first = order_next(o);
		order_labels(o, first, 1 + order_next(o) % 63);
		break;
	case 3:
		first = order_next(o);
		order_extend(o, first, bytes, order_take(o, bytes, 16));
		break;
	case 4: /* more than are walked over, or than the steps that a chunk has */
		count = order_next(o) * (what & 8 ? 4 : 1);
		for (first = order_next(o) % 4; count; count--)
			order_extend(o, 100 + count, NULL, first);
		break;
	case 5:
		order_extend(o, 21, NULL, order_next(o) << (what & 8 ? 6 : 2));
		break;
	case 6:
		order_extend(o, 0, bytes, order_take(o, bytes, 32));
		break;
	}
	return o->hello.len < HELLO_ROOM / 3;
}

/* One more extension up to a bound, or to a byte less or more. */
static inline void order_fill(struct order *o)
{
	uint32_t how = order_next(o);
	size_t with = o->hello.len + (o->hello.extensions_at ? 4 : 6);
	size_t wanted = o->bounds[how >> 1 & 1] + how / 4 % 3 - 1;

	if (how & 1 && with <= wanted)
		order_extend(o, 21, NULL, wanted - with);
}

static inline void order_bend(struct order *o)
{
	struct hello *h = &o->hello;

	for (uint32_t times = order_next(o) % 4; times; times--) {
		uint32_t where = order_next(o), by = order_next(o);

		if (where & 1)
			h->bytes[o->length_at[where / 2 % o->lengths]] += by & 1 ? 1 : -1;
		else
			h->bytes[(where << 7 | by) % h->len] = order_next(o);
	}
}

/* What comes before the extensions; here and there, half a cipher suite or no compression method.
 */
static inline void order_begin(struct order *o)
{
	uint32_t first = order_next(o), session = first % 36;
	struct hello *h = &o->hello;

	hello_open(h, session, 2 * order_next(o) + (first / 36 == 6));
	o->lengths = 0;
	order_length(o, 8); /* of the message */
	order_length(o, HELLO_SESSION_AT);
	order_length(o, HELLO_SESSION_AT + session + 2); /* of the cipher suites */
	order_length(o, h->len - 2);                     /* of the compression methods */
	if (first / 36 == 5) {
		h->bytes[h->len - 2] = 0;
		h->len--;
		hello_close(h);
	}
	order_length(o, h->len + 1); /* of all extensions, when there are any */
}

/* The message ends where one of its numbers stands, and says so. */
static inline void order_end(struct order *o)
{
	uint32_t how = order_next(o);

	if (!(how & 1) || o->length_at[how / 2 % o->lengths] >= o->hello.len)
		return;
	o->hello.len = o->length_at[how / 2 % o->lengths];
	hello_number(o->hello.bytes + 6, o->hello.len - HELLO_BODY_AT, 3);
}

static inline void order_hello(struct order *o)
{
	order_begin(o);
	while (order_extension(o))
		;
	order_fill(o);
	order_bend(o);
	order_end(o);
}

/* ---- the stream */

/* Something in the header of a record of @bytes. */
static inline void order_bend_header(uint8_t *header, size_t bytes, uint32_t how, uint32_t by)
{
	switch (how) {
	case 5:
		hello_number(header + 3, 16384 + by % 2, 2);
		break;
	case 6:
		hello_number(header + 3, by & 1 ? bytes - 1 : bytes + 1, 2);
		break;
	default:
		header[how % 5] = by;
	}
}

/* Into records of one size or of any, of which one may have another header, or be empty. */
static inline void order_record(struct order *o, struct stream *ret)
{
	uint32_t how = order_next(o), odd = order_next(o), bent = order_next(o) % 8;
	uint32_t by = order_next(o);
	size_t size = how & 1 ? 1 + order_next(o) : 16384;

	ret->len = 0;
	for (size_t at = 5; at < o->hello.len; odd--) {
		size_t bytes = how & 2 ? 1 + order_chance(o, size) : size;
		uint8_t *to = ret->bytes + ret->len;

		if (bytes > o->hello.len - at)
			bytes = o->hello.len - at;
		if (!odd && how & 4 && bent == 7)
			bytes = 0;
		memcpy(to, o->hello.bytes, 3);
		hello_number(to + 3, bytes, 2);
		if (!odd && how & 4 && bent != 7)
			order_bend_header(to, bytes, bent, by);
		memcpy(to + 5, o->hello.bytes + at, bytes);
		ret->len += 5 + bytes;
		at += bytes;
	}
}

/* Of its end some is taken, or its beginning stands there twice, or something follows it. */
static inline void order_bend_ends(struct order *o, struct stream *s)
{
	uint32_t how = order_next(o);

	if (how & 1) {
		s->len -= how < s->len ? how : s->len;
	} else if (how & 2) {
		s->again = how / 4 < s->len ? how / 4 : 0;
		memmove(s->bytes + s->again, s->bytes, s->len);
		s->len += s->again;
	} else {
		for (how /= 4; how; how--)
			s->bytes[s->len++] = order_next(o);
	}
}

static inline void order_stream(struct order *o, struct stream *ret)
{
	ret->again = 0;
	order_hello(o);
	order_record(o, ret);
	order_bend_ends(o, ret);
}

#endif
