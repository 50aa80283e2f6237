/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client's byte stream fed to the parser of tps/http.h in segments, as the gate feeds it, and
 * whom it charged. Knows no expectation.
 */
#ifndef TPS_TEST_HTTP_STREAM_H
#define TPS_TEST_HTTP_STREAM_H

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <tps/http.h>

#define STREAM_CHARGES_MAX 64

struct stream {
	struct tps_listener listener;
	struct tps_http http;
	struct http_scan *scan; /* its own allocation: a read beyond it is seen */
	__u8 stale;             /* what the scratch holds where nothing was copied */
	__u32 chunk_max;
	/* of all segments so far, merged */
	struct charge charge[STREAM_CHARGES_MAX];
	__u32 charges;
	__u32 heads;
	__u32 met;
};

static const __u64 stream_secret[2] = {0x1111111111111111ULL, 0x2222222222222222ULL};

static inline void stream_key_header(struct stream *stream, const char *name, int bearer)
{
	struct tps_key_header *header =
		&stream->listener.key_header[stream->listener.key_headers++];
	__u8 *text = (__u8 *)header->name, *fold = (__u8 *)header->fold,
	     *care = (__u8 *)header->care;

	header->len = strlen(name);
	header->bearer = bearer;
	for (__u32 i = 0; i < header->len; i++) {
		text[i] = tolower(name[i]);
		care[i] = 0xff;
		fold[i] = isalpha(name[i]) ? 0x20 : 0;
	}
}

/* A flow at its first byte, of a listener whose keys are in X-API-Key. */
static inline void stream_open(struct stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	stream->scan = malloc(sizeof(*stream->scan));
	memset(stream->scan, 0xa5, sizeof(*stream->scan));
	stream->chunk_max = HTTP_CHUNK_MAX;
	stream_key_header(stream, "X-API-Key", 0);
}

static inline void stream_close(struct stream *stream)
{
	free(stream->scan);
}

/* The same flow from its beginning again. */
static inline void stream_rewind(struct stream *stream)
{
	memset(&stream->http, 0, sizeof(stream->http));
	stream->charges = 0;
	stream->heads = 0;
	stream->met = 0;
}

static inline void stream_gather(struct stream *stream, const struct charge *charge)
{
	__u32 i;

	stream->heads += charge->heads;
	for (i = 0; i < stream->charges; i++)
		if (stream->charge[i].kind == charge->kind &&
		    stream->charge[i].reason == charge->reason &&
		    !memcmp(stream->charge[i].hash, charge->hash, sizeof(charge->hash)))
			break;
	if (i == STREAM_CHARGES_MAX)
		abort();
	if (i == stream->charges) {
		stream->charge[i] = *charge;
		stream->charges++;
	} else {
		stream->charge[i].heads += charge->heads;
	}
}

/* One segment, as requests.h hands it over. */
static inline void stream_segment(struct stream *stream, const void *bytes, __u32 len,
				  __u32 may_resync)
{
	struct http_scan *scan = stream->scan;
	__u32 at = 0;

	if (!len || http_skip(&stream->http, len))
		return;
	http_begin(scan, &stream->http, stream_secret, may_resync);
	while (at < len) {
		__u32 chunk = len - at < stream->chunk_max ? len - at : stream->chunk_max;

		memset(scan->bytes + HTTP_CARRY, stream->stale, sizeof(scan->bytes) - HTTP_CARRY);
		memcpy(scan->bytes + HTTP_CARRY, (const __u8 *)bytes + at, chunk);
		scan->chunk_bytes = chunk;
		http_scan(scan, &stream->listener);
		at += chunk;
	}
	for (__u32 i = 0; i < scan->charges; i++)
		stream_gather(stream, &scan->charge[i]);
	stream->met |= scan->met;
	http_save(scan, &stream->http);
}

static inline __u32 stream_text(struct stream *stream, const char *text)
{
	stream_segment(stream, text, strlen(text), 0);
	return stream->heads;
}

/* How many heads were charged to this key. */
static inline __u32 stream_of_key(const struct stream *stream, const char *key)
{
	__u64 hash[2];

	siphash_128(stream_secret, key, strlen(key), hash);
	for (__u32 i = 0; i < stream->charges; i++)
		if (stream->charge[i].kind == CHARGE_KEY &&
		    !memcmp(stream->charge[i].hash, hash, sizeof(hash)))
			return stream->charge[i].heads;
	return 0;
}

/* How many heads were charged to the source, for @reason if they were undecided. */
static inline __u32 stream_of_kind(const struct stream *stream, enum charge_kind kind, __u32 reason)
{
	__u32 heads = 0;

	for (__u32 i = 0; i < stream->charges; i++)
		if (stream->charge[i].kind == kind &&
		    (kind != CHARGE_UNDECIDED || stream->charge[i].reason == reason))
			heads += stream->charge[i].heads;
	return heads;
}

static inline __u32 stream_no_key(const struct stream *stream)
{
	return stream_of_kind(stream, CHARGE_SOURCE, 0);
}

static inline __u32 stream_undecided(const struct stream *stream, enum tps_reason reason)
{
	return stream_of_kind(stream, CHARGE_UNDECIDED, reason);
}

/* ---- a case's stream, for cmocka: opened before it, closed behind it ---- */

static inline int stream_case_open(void **state)
{
	static struct stream stream;

	stream_open(&stream);
	*state = &stream;
	return 0;
}

static inline int stream_case_close(void **state)
{
	stream_close(*state);
	return 0;
}

#endif
