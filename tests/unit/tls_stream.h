/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client's byte stream fed to the parser of tps/tls.h in segments, as the gate feeds it, and the
 * name that it read. Knows no expectation.
 */
#ifndef TPS_TEST_TLS_STREAM_H
#define TPS_TEST_TLS_STREAM_H

#include <stdlib.h>

#include <tps/tls.h>

struct tls_stream {
	struct tps_hello hello;
	struct tls_scan *scan; /* its own allocation: a read beyond it is seen */
	uint32_t chunk_max;
	__u8 stale;     /* what the scratch holds where nothing was copied */
	uint32_t names; /* how often one was read */
	char name[TPS_HOST_BYTES_MAX + 1];
};

static const __u64 tls_stream_secret[2] = {0x1111111111111111ULL, 0x2222222222222222ULL};

static inline void tls_stream_open(struct tls_stream *s)
{
	memset(s, 0, sizeof(*s));
	s->scan = malloc(sizeof(*s->scan));
	s->chunk_max = TLS_CHUNK_MAX;
}

static inline void tls_stream_close(struct tls_stream *s)
{
	free(s->scan);
}

static inline void tls_stream_rewind(struct tls_stream *s)
{
	memset(&s->hello, 0, sizeof(s->hello));
	s->names = 0;
	s->name[0] = 0;
}

static inline void tls_stream_chunk(struct tls_stream *s, const uint8_t *bytes, uint32_t count)
{
	struct tls_scan *scan = s->scan;

	memset(scan->bytes, s->stale, TLS_CHUNK_MAX + 64);
	memcpy(scan->bytes, bytes, count);
	scan->chunk_bytes = count;
	if (tls_read(scan) == TLS_ENDED)
		return;
	for (int i = 0; i < TLS_STEPS_MAX && !tls_step(scan); i++)
		;
	if (scan->pos < scan->chunk_bytes && scan->hello.phase < TLS_DONE)
		tls_fail(scan, TPS_REASON_LONG_HELLO);
}

/* True: the hello has ended. */
static inline int tls_stream_segment(struct tls_stream *s, const uint8_t *bytes, uint32_t count)
{
	memset(s->scan, s->stale, sizeof(*s->scan));
	tls_begin(s->scan, &s->hello, tls_stream_secret);
	for (uint32_t at = 0; at < count && s->scan->hello.phase < TLS_DONE; at += s->chunk_max)
		tls_stream_chunk(s, bytes + at,
				 count - at < s->chunk_max ? count - at : s->chunk_max);
	if (s->scan->name_bytes) {
		s->names++;
		memcpy(s->name, s->scan->name, s->scan->name_bytes);
		s->name[s->scan->name_bytes] = 0;
	}
	tls_save(s->scan, &s->hello);
	return s->hello.phase == TLS_DONE;
}

/* Whom the hello names: a name, "" for nobody, or NULL where that is undecided or not over. */
static inline const char *tls_stream_named(const struct tls_stream *s)
{
	return s->hello.phase == TLS_DONE && !s->hello.reason ? s->name : NULL;
}

#endif
