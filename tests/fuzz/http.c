// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/http.h against a reader that goes byte by byte over the whole stream: both must charge the
 * same heads to the same callers, in whatever segments the parser gets the stream. Then, with
 * joined and void connections and false answers: no key that the stream does not show, and nothing
 * for nothing.
 *
 * The first two bytes of the input seed how the rest is cut.
 */
#include <stdint.h>
#include <stdio.h>
#include <strings.h>

#include "unit/http_stream.h"

#define KEYS_MAX 64

/* ---- the reader -------------------------------------------------------------------------------
 */

struct told {
	char key[KEYS_MAX][TPS_KEY_BYTES_MAX + 1]; /* of each keyed head */
	__u32 key_bytes[KEYS_MAX];
	__u32 keys;
	__u32 no_key;
	__u32 undecided; /* that keep the framing */
	int failed;      /* the framing was lost */
	size_t end;      /* of what was read, when it failed or went over to another protocol */
};

struct reader {
	const char *bytes;
	size_t len, at;
	size_t head; /* where the open head begins */
	struct told *told;
};

enum line { LINE, PARTIAL, BAD };

/* The next line; empty ones before a request line may end in a bare LF. */
static enum line next_line(struct reader *r, const char **ret_line, size_t *ret_len, int starting)
{
	for (size_t i = r->at; i < r->len; i++) {
		unsigned char c = r->bytes[i];

		if (c >= 0x20 || c == '\t')
			continue;
		if (c == '\r' && i + 1 == r->len)
			return PARTIAL;
		if (c == '\n' && starting && i == r->at) {
			*ret_line = r->bytes + i;
			*ret_len = 0;
			r->at = i + 1;
			return LINE;
		}
		if (c != '\r' || r->bytes[i + 1] != '\n')
			return BAD;
		*ret_line = r->bytes + r->at;
		*ret_len = i - r->at;
		r->at = i + 2;
		return LINE;
	}
	return PARTIAL;
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* False: more than 16 on a side. */
static int trim(const char **text, size_t *len)
{
	size_t before = 0, after = 0;

	while (*len && is_blank(**text)) {
		(*text)++;
		(*len)--;
		before++;
	}
	while (*len && is_blank((*text)[*len - 1])) {
		(*len)--;
		after++;
	}
	return before <= 16 && after <= 16;
}

/* The value of a header by this name; -1: white space before its colon. */
static int header(const char *line, size_t len, const char *name, const char **ret_value,
		  size_t *ret_len)
{
	size_t bytes = strlen(name);

	if (len < bytes || strncasecmp(line, name, bytes))
		return 0;
	if (len > bytes && is_blank(line[bytes]))
		return -1;
	if (len == bytes || line[bytes] != ':')
		return 0;
	*ret_value = line + bytes + 1;
	*ret_len = len - bytes - 1;
	return 1;
}

static int request_line(const char *line, size_t len)
{
	size_t method = 0;

	while (method < len && (isalnum((unsigned char)line[method]) ||
				(line[method] && strchr("!#$%&'*+-.^_`|~", line[method]))))
		method++;
	if (!method || method > 16 || method == len || line[method] != ' ')
		return 0;
	if (len < method + 1 + 1 + 9 || line[method + 1] == ' ')
		return 0;
	return !memcmp(line + len - 9, " HTTP/1.1", 9) || !memcmp(line + len - 9, " HTTP/1.0", 9);
}

struct head {
	int old, connect, upgrade, chunked, has_length;
	int api_seen, auth_seen, doubled, bad, found;
	const char *key;
	size_t key_bytes;
	uint64_t length;
};

static void key_value(struct head *h, int *seen, const char *value, size_t len, size_t line_len,
		      int bearer)
{
	int fits;

	if (*seen) {
		if (!h->doubled && !h->bad)
			h->doubled = 1;
		return;
	}
	*seen = 1;
	fits = line_len + 1 <= TPS_CARRY_BYTES && trim(&value, &len);
	if (fits && bearer) {
		if (len < 8 || strncasecmp(value, "bearer", 6) || !is_blank(value[6]))
			return;
		value += 7;
		len -= 7;
		fits = trim(&value, &len);
	}
	if (fits && !len)
		return;
	if (h->doubled || h->bad)
		return;
	if (fits && h->found) {
		h->doubled = 1;
	} else if (!fits || len > TPS_KEY_BYTES_MAX) {
		h->bad = 1;
	} else {
		h->found = 1;
		h->key = value;
		h->key_bytes = len;
	}
}

/* False: it loses the framing. */
static int header_line(struct head *h, const char *line, size_t len)
{
	const char *value;
	size_t bytes;
	int is;

	if (is_blank(*line))
		return 0;
	is = header(line, len, "x-api-key", &value, &bytes);
	if (is < 0)
		return 0;
	if (is)
		key_value(h, &h->api_seen, value, bytes, len, 0);
	is = header(line, len, "authorization", &value, &bytes);
	if (is < 0)
		return 0;
	if (is)
		key_value(h, &h->auth_seen, value, bytes, len, 1);
	is = header(line, len, "content-length", &value, &bytes);
	if (is < 0)
		return 0;
	if (is) {
		if (h->has_length || h->chunked || len + 1 > TPS_CARRY_BYTES ||
		    !trim(&value, &bytes) || !bytes || bytes > 18)
			return 0;
		h->has_length = 1;
		for (size_t i = 0; i < bytes; i++) {
			if (!isdigit((unsigned char)value[i]))
				return 0;
			h->length = h->length * 10 + (value[i] - '0');
		}
	}
	is = header(line, len, "transfer-encoding", &value, &bytes);
	if (is < 0)
		return 0;
	if (is) {
		if (h->has_length || h->chunked || len + 1 > TPS_CARRY_BYTES ||
		    !trim(&value, &bytes) || bytes != 7 || strncasecmp(value, "chunked", 7))
			return 0;
		h->chunked = 1;
	}
	if (header(line, len, "upgrade", &value, &bytes) > 0)
		h->upgrade = 1;
	return 1;
}

static void tell(struct told *told, const struct head *h)
{
	if (h->doubled || h->bad) {
		told->undecided++;
	} else if (h->found) {
		if (told->keys == KEYS_MAX)
			return;
		memcpy(told->key[told->keys], h->key, h->key_bytes);
		told->key_bytes[told->keys++] = h->key_bytes;
	} else {
		told->no_key++;
	}
}

static void fail(struct reader *r)
{
	r->told->failed = 1;
	r->told->end = r->len;
}

/* The next line of a body's framing. False: it is not there yet, or cannot be. */
static int framing_line(struct reader *r, const char **ret_line, size_t *ret_len)
{
	enum line is = next_line(r, ret_line, ret_len, 0);

	if (is == BAD)
		fail(r);
	return is == LINE;
}

/* The chunked body at @at. False: it goes on beyond the stream, or fails. */
static int chunked_body(struct reader *r)
{
	for (;;) {
		uint64_t size = 0;
		size_t len, digits = 0;
		const char *line;

		if (!framing_line(r, &line, &len))
			return 0;
		while (digits < len && isxdigit((unsigned char)line[digits]) && digits < 16) {
			char digit[2] = {line[digits++], 0};

			size = size << 4 | strtoul(digit, NULL, 16);
		}
		if (!digits || digits > 15 || (digits < len && line[digits] != ';')) {
			fail(r);
			return 0;
		}
		if (!size)
			break;
		if (size > r->len - r->at)
			return 0;
		r->at += size;
		if (!framing_line(r, &line, &len))
			return 0;
		if (len) {
			fail(r);
			return 0;
		}
	}
	for (;;) {
		size_t len;
		const char *line;

		if (!framing_line(r, &line, &len))
			return 0;
		if (!len)
			return 1;
	}
}

/* One request. False: the stream ends in it, or what follows is not read. */
static int request(struct reader *r)
{
	struct head h = {0};
	const char *line;
	size_t len;
	enum line is;

	r->head = r->at;
	do {
		is = next_line(r, &line, &len, 1);
		if (is == LINE && !len && r->at - r->head > 16)
			is = BAD;
	} while (is == LINE && !len);
	if (is == BAD || (is == LINE && !request_line(line, len))) {
		if (is == LINE && len == 14 && !memcmp(line, "PRI * HTTP/2.0", 14))
			r->told->end = r->at;
		else
			fail(r);
		return 0;
	}
	if (is == PARTIAL)
		return 0;
	h.old = line[len - 1] == '0';
	h.connect = !memcmp(line, "CONNECT ", 8);
	for (;;) {
		is = next_line(r, &line, &len, 0);
		if (is == PARTIAL)
			return 0;
		if (is == BAD || (len && !header_line(&h, line, len))) {
			fail(r);
			return 0;
		}
		if (!len)
			break;
	}
	if (r->at - r->head > TPS_HEAD_BYTES_MAX || (h.chunked && h.old)) {
		fail(r);
		return 0;
	}
	tell(r->told, &h);
	if (h.chunked && !chunked_body(r))
		return 0;
	if (h.length > r->len - r->at)
		return 0;
	r->at += h.length;
	if (h.connect || h.upgrade) {
		r->told->end = r->at;
		return 0;
	}
	return 1;
}

static void read_all(const char *bytes, size_t len, struct told *ret_told)
{
	struct reader r = {bytes, len, 0, 0, ret_told};

	memset(ret_told, 0, sizeof(*ret_told));
	ret_told->end = len;
	while (request(&r))
		;
}

/* ---- the comparison ---------------------------------------------------------------------------
 */

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void expect(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "it does not hold: %s\n", what);
	abort();
}

static __u32 of_hash(const struct stream *s, const __u64 hash[2])
{
	for (__u32 i = 0; i < s->charges; i++)
		if (s->charge[i].kind == CHARGE_KEY && !memcmp(s->charge[i].hash, hash, 16))
			return s->charge[i].heads;
	return 0;
}

static __u32 undecided(const struct stream *s)
{
	__u32 heads = 0;

	for (__u32 i = 0; i < s->charges; i++)
		if (s->charge[i].kind == CHARGE_UNDECIDED)
			heads += s->charge[i].heads;
	return heads;
}

static void compare(const struct stream *s, const struct told *told)
{
	__u32 keyed = 0;

	for (__u32 i = 0; i < s->charges; i++)
		if (s->charge[i].kind == CHARGE_KEY)
			keyed += s->charge[i].heads;
	for (__u32 i = 0; i < told->keys; i++) {
		__u64 hash[2], other[2];
		__u32 heads = 0;

		siphash_128(stream_secret, told->key[i], told->key_bytes[i], hash);
		for (__u32 j = 0; j < told->keys; j++) {
			siphash_128(stream_secret, told->key[j], told->key_bytes[j], other);
			heads += !memcmp(hash, other, sizeof(hash));
		}
		expect(of_hash(s, hash) == heads, "each key is charged its heads");
	}
	expect(keyed == told->keys, "no other key is charged");
	expect(stream_no_key(s) == told->no_key, "heads without a key");
	if (told->failed)
		expect(undecided(s) > told->undecided, "the head that fails is charged");
	else
		expect(undecided(s) == told->undecided, "heads that name nobody for certain");
}

static void feed(struct stream *s, const char *bytes, size_t len, uint32_t most, int answers)
{
	for (size_t at = 0; at < len;) {
		size_t segment = 1 + chance(most);
		char *exact;

		if (segment > len - at)
			segment = len - at;
		exact = malloc(segment);
		memcpy(exact, bytes + at, segment);
		stream_segment(s, exact, segment, answers && !chance(3));
		free(exact);
		at += segment;
	}
}

/* Every key that was charged is the value of some line. */
static void keys_are_shown(const struct stream *s, const char *bytes, size_t len)
{
	__u32 shown = 0, keyed = 0;
	static __u64 seen[1024][2];

	for (size_t at = 0; at < len; at++) {
		const char *end, *value;
		size_t left;

		if (strncasecmp(bytes + at, "x-api-key:", 10) &&
		    strncasecmp(bytes + at, "authorization:", 14))
			continue;
		value = strchr(bytes + at, ':') + 1;
		end = memchr(value, '\r', bytes + len - value);
		if (!end)
			continue;
		left = end - value;
		trim(&value, &left);
		if (left > 7 && tolower(bytes[at]) == 'a') {
			value += 7;
			left -= 7;
			trim(&value, &left);
		}
		if (shown < 1024)
			siphash_128(stream_secret, value, left, seen[shown++]);
	}
	for (__u32 i = 0; i < s->charges; i++) {
		int found = 0;

		if (s->charge[i].kind != CHARGE_KEY)
			continue;
		keyed++;
		for (__u32 j = 0; j < shown; j++)
			found |= !memcmp(seen[j], s->charge[i].hash, 16);
		expect(found || shown == 1024, "a key that was charged stands in the stream");
	}
}

static void rewind_as(struct stream *s, enum http_phase phase)
{
	stream_rewind(s);
	if (phase)
		http_lose(&s->http, phase);
	s->stale = chance(256);
	s->chunk_max = chance(4) ? HTTP_CHUNK_MAX : 1 + chance(HTTP_CHUNK_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct told told;
	static struct stream s;
	struct tps_http whole;
	char *text;
	int few;

	if (size < 3 || size > 60000)
		return 0;
	if (!s.scan) {
		stream_open(&s);
		stream_key_header(&s, "Authorization", 1);
	}
	seed = data[0] | data[1] << 8;
	size -= 2;
	text = malloc(size + 32);
	memcpy(text, data + 2, size);
	memset(text + size, 0, 32);
	read_all(text, size, &told);
	if (told.keys < KEYS_MAX) {
		rewind_as(&s, HTTP_START);
		feed(&s, text, told.end, 1 + chance(40), 0);
		compare(&s, &told);
		whole = s.http;
		/* a segment tells of four callers or reasons, and 40 bytes hold no more */
		few = told.keys + (told.no_key > 0) + 2 * (told.undecided > 0) + 2 * told.failed <=
		      TPS_CHARGES_MAX;
		rewind_as(&s, HTTP_START);
		feed(&s, text, told.end, few ? 1 + chance(6000) : 40, 0);
		compare(&s, &told);
		if (!told.failed)
			expect(!memcmp(&whole, &s.http, HTTP_STATE_BYTES),
			       "the same state at the end");
	}
	rewind_as(&s, HTTP_START);
	feed(&s, text, size, 1 + chance(300), 1);
	keys_are_shown(&s, text, size);
	rewind_as(&s, chance(2) ? HTTP_JOINED : HTTP_VOID);
	feed(&s, text, size, 1 + chance(300), 1);
	keys_are_shown(&s, text, size);
	free(text);
	return 0;
}
