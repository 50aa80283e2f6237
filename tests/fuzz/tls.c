// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/tls.h against a reader that has the whole stream, strips the records (RFC 8446 5.1), reads
 * the message (4.1.2) and walks over its extensions (RFC 6066 3), byte by byte: both must name the
 * same, in whatever segments and chunks the parser gets the stream, and whatever its scratch held.
 *
 * The first two bytes of the input seed how the stream is cut. The third says what the rest is: the
 * stream, or the order for one.
 */
#include <ctype.h>
#include <stdint.h>

#include "fuzz/expect.h"
#include "fuzz/hello_order.h"
#include "unit/tls_stream.h"

/* Of what goes over each byte: libFuzzer would take most of the time to follow it. */
#define UNTRACED __attribute__((noinline, no_sanitize("coverage")))

/* ---- the reader -------------------------------------------------------------------------------
 */

/* What a byte of the stream is part of. */
enum part { UNREAD, HEADER, FIELD, PASSED, NAME };

enum outcome { OPEN, NAMED, NAMELESS, NOBODY };

struct told {
	enum outcome is;
	enum tps_reason reason; /* of NOBODY */
	int early;              /* NOBODY, by a field that is cut off, and none of it has come */
	int names;              /* how many are whole, whatever follows */
	uint32_t name_bytes;
	char name[TPS_HOST_BYTES_MAX];
};

struct reader {
	const struct stream *stream;
	/* of each of its bytes */
	uint8_t part[ORDER_BYTES_MAX];
	uint8_t begins[ORDER_BYTES_MAX];    /* how many bytes the part has that begins with it */
	uint16_t left[ORDER_BYTES_MAX + 1]; /* of the record, still to come, it included */
	size_t taken[ORDER_BYTES_MAX + 1];  /* of the message, before it */
	/* of the message */
	size_t len, at, end; /* how much is there, was read, and belongs to it */
	uint8_t bytes[ORDER_BYTES_MAX];
	size_t place[ORDER_BYTES_MAX]; /* in the stream */
	enum tps_reason broken;        /* what follows is no record of it */
	struct told told;
};

/* How many bytes the record has whose header is at @at of the stream. */
UNTRACED static size_t record_header(struct reader *r, size_t at)
{
	const uint8_t *bytes = r->stream->bytes + at;
	size_t count = bytes[3] << 8 | bytes[4];

	if (bytes[0] != 22 || bytes[1] != 3)
		r->broken = at ? TPS_REASON_BAD_HELLO : TPS_REASON_NOT_HELLO;
	else if (!count || count > 16384)
		r->broken = TPS_REASON_BAD_HELLO;
	memset(r->part + at, HEADER, 5);
	r->begins[at] = 5;
	for (int i = 0; i < 5; i++)
		r->taken[at + i] = r->len;
	return r->broken ? 0 : count;
}

UNTRACED static void strip(struct reader *r)
{
	size_t at = 0, len = r->stream->len, bytes;

	memset(r->part, UNREAD, len);
	memset(r->begins, 0, len);
	memset(r->left, 0, (len + 1) * sizeof(*r->left));
	while (at + 5 <= len && !r->broken) {
		bytes = record_header(r, at);
		for (at += 5; bytes && at < len; bytes--) {
			r->left[at] = bytes;
			r->taken[at] = r->len;
			r->bytes[r->len] = r->stream->bytes[at];
			r->place[r->len++] = at++;
		}
		r->left[at] = bytes;
	}
	memset(r->part + at, HEADER, len - at);
	while (at <= len)
		r->taken[at++] = r->len;
}

/* False, for whoever cannot go on. */
static int nobody(struct reader *r, enum tps_reason reason)
{
	r->told.is = NOBODY;
	r->told.reason = reason;
	return 0;
}

/* The next @bytes of the message are one part of it. False: not all of them are there. */
UNTRACED static int are(struct reader *r, enum part part, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (r->at == r->len)
			return r->broken ? nobody(r, r->broken) : 0;
		r->begins[r->place[r->at]] = i ? 0 : bytes < 255 ? bytes : 255;
		r->part[r->place[r->at++]] = part;
	}
	return 1;
}

static int field(struct reader *r, size_t bytes, uint64_t *ret)
{
	uint64_t value = 0;

	if (bytes > r->end - r->at) {
		r->told.early = r->at < r->end && !are(r, FIELD, 1);
		return nobody(r, TPS_REASON_BAD_HELLO);
	}
	if (!are(r, FIELD, bytes))
		return 0;
	for (size_t i = r->at - bytes; i < r->at; i++)
		value = value << 8 | r->bytes[i];
	*ret = value;
	return 1;
}

static int pass(struct reader *r, size_t bytes)
{
	return bytes > r->end - r->at ? nobody(r, TPS_REASON_BAD_HELLO) : are(r, PASSED, bytes);
}

/* A length of @bytes, of what then is passed over. */
static int pass_vector(struct reader *r, size_t bytes, size_t low, size_t high, size_t each)
{
	uint64_t length;

	if (!field(r, bytes, &length))
		return 0;
	if (length < low || length > high || length % each)
		return nobody(r, TPS_REASON_BAD_HELLO);
	return pass(r, length);
}

/* Labels of letters, digits, hyphens and underscores, with dots between them; in lower case. */
static int host_name(const uint8_t *bytes, size_t count, char *ret)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t c = bytes[i];

		if (c == '.' && (!i || i + 1 == count || bytes[i - 1] == '.'))
			return 0;
		if (c != '.' && c != '-' && c != '_' && (c > 0x7e || !isalnum(c)))
			return 0;
		ret[i] = tolower(c);
	}
	return 1;
}

static int server_name(struct reader *r, size_t bytes)
{
	uint64_t begin;
	size_t list, type, name;

	if (bytes > r->end - r->at)
		return nobody(r, TPS_REASON_BAD_HELLO);
	if (!field(r, 5, &begin))
		return 0;
	list = begin >> 24;
	type = begin >> 16 & 0xff;
	name = begin & 0xffff;
	if (list + 2 != bytes || type || name + 3 != list || !name || name > TPS_HOST_BYTES_MAX)
		return nobody(r, TPS_REASON_BAD_NAME);
	if (!are(r, NAME, name))
		return 0;
	if (!host_name(r->bytes + r->at - name, name, r->told.name))
		return nobody(r, TPS_REASON_BAD_NAME);
	r->told.name_bytes = name;
	r->told.names++;
	return 1;
}

static int extension(struct reader *r)
{
	uint64_t header;
	size_t bytes;

	if (!field(r, 4, &header))
		return 0;
	bytes = header & 0xffff;
	if (header >> 16)
		return pass(r, bytes);
	if (r->told.names || bytes < 5)
		return nobody(r, TPS_REASON_BAD_NAME);
	return server_name(r, bytes);
}

static void message(struct reader *r)
{
	uint64_t value;

	r->end = 4;
	if (!field(r, 4, &value))
		return;
	if (value >> 24 != 1) {
		nobody(r, TPS_REASON_NOT_HELLO);
		return;
	}
	value &= 0xffffff;
	if (value > TPS_HELLO_BYTES_MAX) {
		nobody(r, TPS_REASON_LONG_HELLO);
		return;
	}
	r->end += value;
	if (!field(r, 2, &value) || !pass(r, 32))
		return;
	if (!pass_vector(r, 1, 0, 32, 1) || !pass_vector(r, 2, 2, 65534, 2) ||
	    !pass_vector(r, 1, 1, 255, 1))
		return;
	if (r->at < r->end) {
		if (!field(r, 2, &value))
			return;
		if (value != r->end - r->at) {
			nobody(r, TPS_REASON_BAD_HELLO);
			return;
		}
	}
	while (r->at < r->end)
		if (!extension(r))
			return;
	r->told.is = r->told.names ? NAMED : NAMELESS;
}

static struct reader reader;

static void read_all(const struct stream *s)
{
	reader.stream = s;
	reader.len = reader.at = 0;
	reader.broken = 0;
	memset(&reader.told, 0, sizeof(reader.told));
	strip(&reader);
	message(&reader);
}

/* How many bytes the step takes that begins at @at, of what is there up to @end: a header or a
 * field if all of it is, else a byte of it; what is passed over; 8 bytes of a name. */
UNTRACED static size_t step_bytes(const struct reader *r, size_t at, size_t end)
{
	int whole = r->part[at] == HEADER || r->part[at] == FIELD;
	size_t most = whole ? r->begins[at] : r->part[at] == NAME ? 8 : end, bytes = 1;

	while (bytes < most && at + bytes < end && r->part[at + bytes] == r->part[at] &&
	       !r->begins[at + bytes])
		bytes++;
	return whole && bytes < most ? 1 : bytes;
}

/* Whether a chunk has more steps than are taken in one. */
UNTRACED static int is_fine(const struct reader *r, size_t at, size_t end)
{
	int steps = 0;

	for (; at < end && r->part[at] != UNREAD; steps++)
		at += step_bytes(r, at, end);
	return steps > TLS_STEPS_MAX;
}

/* ---- the comparison ---------------------------------------------------------------------------
 */

#define STALES 3
#define DISORDER 77
#define BEGIN_JIFFIES 0x12345678

static void check_hash(struct tls_scan *scan, const struct told *told, uint32_t from)
{
	char backwards[TPS_HOST_BYTES_MAX];
	uint32_t bytes = told->name_bytes - from;
	__u64 hash[2];

	for (uint32_t i = 0; i < bytes; i++)
		backwards[i] = told->name[told->name_bytes - 1 - i];
	siphash_128(tls_stream_secret, backwards, bytes, hash);
	expect(tls_hash(scan, from) && !memcmp(hash, scan->hash, sizeof(hash)),
	       "a suffix is hashed backwards");
}

static void check_name(struct tls_scan *scan, const struct told *told)
{
	uint32_t from = told->name_bytes, labels = 0;

	expect(told->names && scan->name_bytes == told->name_bytes &&
		       !memcmp(scan->name, told->name, told->name_bytes),
	       "the name that is read stands in the stream");
	check_hash(scan, told, 0);
	check_hash(scan, told, told->name_bytes / 2);
	while (labels < TPS_HOST_LABELS_MAX) {
		labels++;
		while (from && told->name[--from] != '.')
			;
		expect(tls_suffix(scan, labels) == from, "where a suffix begins");
		if (from)
			check_hash(scan, told, from);
	}
}

/* Between two segments, @at bytes in. */
static void check_open(const struct tps_hello *hello, size_t at)
{
	expect(!hello->reason, "an open hello is not undecided");
	expect(hello->record_bytes == reader.left[at], "how much of the record is to come");
	expect(hello->header_bytes < TLS_RECORD_BYTES, "a header that is whole is not kept");
	expect(hello->field_bytes < tls_field_bytes(hello->phase),
	       "a field that is whole is not kept");
	if (hello->phase == TLS_MESSAGE)
		return;
	expect(hello->hello_bytes <= TPS_HELLO_BYTES_MAX &&
		       hello->hello_bytes == reader.end - reader.taken[at],
	       "how much of the hello is to come");
	expect(hello->skip_bytes <= hello->hello_bytes, "no more is passed over than there is");
	if (hello->phase == TLS_NAME)
		expect(hello->name_bytes + hello->skip_bytes <= TPS_HOST_BYTES_MAX,
		       "a name fits where it is kept");
}

/* As the gate keeps it, with all else in its entry as it was. */
static void keep(struct tls_stream *s)
{
	struct tps_hello entry;

	expect(s->hello.disorder == DISORDER && s->hello.begin_jiffies == BEGIN_JIFFIES &&
		       !s->hello.zero,
	       "what is not the parser's");
	memset(&entry, s->stale, sizeof(entry));
	tls_copy(&entry, &s->hello);
	s->hello = entry;
}

static int is_same(const struct tps_hello *a, const struct tps_hello *b)
{
	return !memcmp(a, b, TLS_STATE_BYTES) &&
	       (a->phase != TLS_NAME || !memcmp(a->name, b->name, a->name_bytes));
}

static void check_end(const struct tls_stream *s, const struct told *told, int fine)
{
	const char *named = tls_stream_named(s);
	int done = s->hello.phase == TLS_DONE;

	expect(s->hello.phase <= TLS_DONE, "a phase");
	if (done && fine && s->hello.reason == TPS_REASON_LONG_HELLO)
		return;
	switch (told->is) {
	case OPEN:
		expect(!done, "the hello goes on");
		break;
	case NAMED:
		expect(named && s->names == 1 && strlen(named) == told->name_bytes &&
			       !memcmp(named, told->name, told->name_bytes),
		       "the same name");
		break;
	case NAMELESS:
		expect(named && !s->names && !*named, "no name");
		break;
	case NOBODY:
		expect(!named, "nobody is named");
		expect(done ? s->hello.reason == told->reason : told->early, "for its reason");
		break;
	}
}

static void segment(struct tls_stream *to, const struct stream *s, size_t at, size_t bytes)
{
	int done = tls_stream_segment(to, s->bytes + at, bytes);

	if (to->scan->name_bytes)
		check_name(to->scan, &reader.told);
	keep(to);
	if (!done)
		check_open(&to->hello, at + bytes);
}

static void rewind_to(struct tls_stream *to, uint32_t chunk_max)
{
	for (int i = 0; i < STALES; i++) {
		tls_stream_rewind(&to[i]);
		to[i].hello.disorder = DISORDER;
		to[i].hello.begin_jiffies = BEGIN_JIFFIES;
		to[i].chunk_max = chunk_max;
	}
}

/* All of the stream, in segments of @most at most, or in two when that is 0: cut where it begins
 * once more, so that a parser that forgot what came before reads on as if nothing had. The streams
 * @to differ only in what their scratch holds. */
static void feed(struct tls_stream *to, const struct stream *s, struct order *o, size_t most)
{
	size_t first = s->again ? s->again : 1 + order_chance(o, s->len), chunk_max = to->chunk_max;
	int fine = 0;

	for (size_t at = 0, bytes; at < s->len && to->hello.phase < TLS_DONE; at += bytes) {
		bytes = most ? 1 + order_chance(o, most) : at ? s->len : first;
		if (bytes > s->len - at || most > s->len)
			bytes = s->len - at;
		for (size_t from = at; from < at + bytes; from += chunk_max)
			fine |= is_fine(&reader, from,
					from + chunk_max < at + bytes ? from + chunk_max
								      : at + bytes);
		for (int i = 0; i < STALES; i++) {
			segment(&to[i], s, at, bytes);
			expect(is_same(&to[i].hello, &to->hello),
			       "what the scratch held changes nothing");
		}
	}
	for (int i = 0; i < STALES; i++)
		check_end(&to[i], &reader.told, fine);
}

/* Whole, and cut: to the same end. */
static void feed_twice(struct tls_stream *to, const struct stream *s, struct order *o)
{
	struct tps_hello whole;
	size_t most = order_chance(o, 3) ? 1 + order_chance(o, order_chance(o, 2) ? 40 : 2000) : 0;

	rewind_to(to, TLS_CHUNK_MAX);
	feed(to, s, o, ORDER_BYTES_MAX);
	whole = to->hello;
	if (most && most < s->len / 256)
		most = s->len / 256; /* it takes long */
	rewind_to(to, order_chance(o, 2) ? TLS_CHUNK_MAX : 1 + order_chance(o, TLS_CHUNK_MAX));
	feed(to, s, o, most);
	if (whole.phase < TLS_DONE && to->hello.phase < TLS_DONE)
		expect(is_same(&whole, &to->hello), "the same state at the end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t bounds[] = {HELLO_BODY_AT + TPS_HELLO_BYTES_MAX, TLS_CHUNK_MAX};
	static const uint8_t stale[STALES] = {0, 0xff, 22};
	static struct tls_stream streams[STALES];
	static struct order order = {.bounds = bounds};
	static struct stream s;

	if (size < 4 || size > 60000)
		return 0;
	for (int i = 0; i < STALES && !streams[i].scan; i++) {
		tls_stream_open(&streams[i]);
		streams[i].stale = stale[i];
	}
	order.seed = data[0] | data[1] << 8;
	order.bytes = data + 3;
	order.left = size - 3;
	s.again = 0;
	s.len = order.left;
	memcpy(s.bytes, order.bytes, s.len);
	if (data[2] & 1)
		order_stream(&order, &s);
	if (!s.len)
		return 0;
	read_all(&s);
	feed_twice(streams, &s, &order);
	return 0;
}
