/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ClientHellos (RFC 8446 4.1.2) to order, the records around them, and hellos that real clients
 * sent, out of tests/hellos. Knows no parser.
 */
#ifndef TPS_TEST_HELLO_H
#define TPS_TEST_HELLO_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HELLO_ROOM 70000
#define HELLO_BODY_AT 9 /* behind the headers of the record and of the message */
#define HELLO_SESSION_AT (HELLO_BODY_AT + 34)

struct hello {
	size_t len;
	size_t extensions_at; /* of the length of them all; 0: there are none yet */
	uint8_t bytes[HELLO_ROOM];
};

static inline void hello_number(uint8_t *at, size_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = value >> 8 * (bytes - 1 - i);
}

static inline void hello_put(struct hello *h, const void *bytes, size_t count)
{
	memcpy(h->bytes + h->len, bytes, count);
	h->len += count;
}

/* The lengths that stand before what is there now. */
static inline void hello_close(struct hello *h)
{
	if (h->extensions_at)
		hello_number(h->bytes + h->extensions_at, h->len - h->extensions_at - 2, 2);
	hello_number(h->bytes + 6, h->len - HELLO_BODY_AT, 3);
	hello_number(h->bytes + 3, h->len - 5, 2);
}

/* A hello without extensions, as one record. */
static inline void hello_open(struct hello *h, size_t session, size_t ciphers)
{
	static const uint8_t begin[] = {22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};

	h->len = 0;
	h->extensions_at = 0;
	hello_put(h, begin, sizeof(begin));
	memset(h->bytes + h->len, 0x5a, 32);
	h->len += 32;
	h->bytes[h->len++] = session;
	memset(h->bytes + h->len, 0x33, session);
	h->len += session;
	hello_number(h->bytes + h->len, ciphers, 2);
	memset(h->bytes + h->len + 2, 0x13, ciphers);
	h->len += 2 + ciphers;
	h->bytes[h->len++] = 1;
	h->bytes[h->len++] = 0;
	hello_close(h);
}

/* One more extension; @bytes of @body, or of filling when that is NULL. */
static inline void hello_extend(struct hello *h, uint16_t type, const void *body, size_t bytes)
{
	if (!h->extensions_at) {
		h->extensions_at = h->len;
		h->len += 2;
	}
	hello_number(h->bytes + h->len, type, 2);
	hello_number(h->bytes + h->len + 2, bytes, 2);
	h->len += 4;
	if (body)
		memcpy(h->bytes + h->len, body, bytes);
	else
		memset(h->bytes + h->len, 0, bytes); /* would be a server_name, where misread */
	h->len += bytes;
	hello_close(h);
}

static inline void hello_name_bytes(struct hello *h, const void *name, size_t bytes)
{
	uint8_t body[600];

	hello_number(body, bytes + 3, 2);
	body[2] = 0;
	hello_number(body + 3, bytes, 2);
	memcpy(body + 5, name, bytes);
	hello_extend(h, 0, body, bytes + 5);
}

static inline void hello_name(struct hello *h, const char *name)
{
	hello_name_bytes(h, name, strlen(name));
}

/* A usual one: @name, or none when that is NULL, and @bytes in all (517 or more) by a key share. */
static inline void hello_usual(struct hello *h, const char *name, size_t bytes, int name_last)
{
	size_t last = name_last && name ? strlen(name) + 9 : 0;

	hello_open(h, 32, 32);
	hello_extend(h, 0x0a0a, NULL, 0); /* GREASE (RFC 8701) */
	if (name && !name_last)
		hello_name(h, name);
	hello_extend(h, 23, NULL, 0);
	hello_extend(h, 10, NULL, 10);
	hello_extend(h, 16, "\0\x0c\x02h2\x08http/1.1", 14);
	hello_extend(h, 13, NULL, 18);
	hello_extend(h, 43, "\x04\x03\x04\x03\x03", 5);
	hello_extend(h, 45, "\x01\x01", 2);
	hello_extend(h, 51, NULL, bytes - h->len - 4 - last);
	if (last)
		hello_name(h, name);
}

/* The message of @h once more, in records of @size bytes each. */
static inline void hello_record(const struct hello *h, size_t size, struct hello *ret)
{
	ret->len = 0;
	ret->extensions_at = 0;
	for (size_t at = 5; at < h->len; at += size) {
		size_t bytes = h->len - at < size ? h->len - at : size;

		hello_put(ret, h->bytes, 3);
		hello_number(ret->bytes + ret->len, bytes, 2);
		ret->len += 2;
		hello_put(ret, h->bytes + at, bytes);
	}
}

/* ---- of real clients */

#define HELLO_FILES_MAX 64

struct hello_file {
	char path[128];
	char name[256]; /* as the list says, and tshark; empty: it has none */
};

/* tests/hellos/names: a line each, "FILE NAME", or "FILE -" where there is no name. */
static inline int hello_files(struct hello_file *ret_files)
{
	FILE *list = fopen("tests/hellos/names", "r");
	char file[64], name[256];
	int count = 0;

	while (list && count < HELLO_FILES_MAX && fscanf(list, "%63s %255s", file, name) == 2) {
		struct hello_file *to = &ret_files[count++];

		snprintf(to->path, sizeof(to->path), "tests/hellos/%s", file);
		snprintf(to->name, sizeof(to->name), "%s", strcmp(name, "-") ? name : "");
	}
	if (list)
		fclose(list);
	return count;
}

static inline int hello_load(const struct hello_file *file, struct hello *ret)
{
	FILE *from = fopen(file->path, "rb");

	if (!from)
		return 0;
	ret->extensions_at = 0;
	ret->len = fread(ret->bytes, 1, sizeof(ret->bytes), from);
	fclose(from);
	return ret->len > HELLO_BODY_AT;
}

#endif
