/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of refusals have in common: packets of every shape, what becomes of one, and
 * connections on which requests were answered before. Knows what an answer must be, not how the
 * gate makes it.
 */
#ifndef TPS_TEST_REFUSED_H
#define TPS_TEST_REFUSED_H

#include <jansson.h>
#include <net/if.h>
#include <sys/socket.h>
#include <netinet/tcp.h>

#include "lib/http_cases.h"
#include "lib/wire.h"

/* With the room before a frame, enough for an answer with a body. */
#define AGENT "User-Agent: a client that says at some length what it is and whom to ask about it"
#define GET_LONG GET_WITH(AGENT)
#define HEAD "HEAD / HTTP/1.1\r\nHost: api.example.com\r\n" AGENT "\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 5\r\n\r\n"

/* ---- settings ---------------------------------------------------------------------------------
 */

static inline void refuse_by(enum tps_refusal refusal, __u32 cost)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.refusal = refusal,
		.cost = cost,
	};

	harness_set_listener(&h, HTTP, &listener);
}

/* Each request costs more than anybody has. */
static inline void refuse_all_by(enum tps_refusal refusal)
{
	refuse_by(refusal, HARNESS_DEFAULT_BURST + 1);
}

static inline int refused_case_open(void **state)
{
	if (http_case_open(state))
		return -1;
	refuse_all_by(TPS_REFUSAL_ANSWER);
	return 0;
}

/* Unlike elsewhere the gate may send; the case says what. */
static inline int refused_case_close(void **state)
{
	__u64 errors = harness_errors(&h);

	live_close(&c);
	if (errors)
		print_error("%llu internal errors\n", errors);
	return errors ? -1 : 0;
}

#define REFUSED_CASE(sentence, function) \
	{ \
		sentence, function, refused_case_open, refused_case_close, NULL \
	}

/* ---- packets ----------------------------------------------------------------------------------
 */

#define TIMES 0x11223344
#define TIMES_ECHO 0x55667788

/* A packet of the open connection's, in one of the shapes that the gate must know: IPv4 and IPv6,
 * up to two tags, with timestamps or without. */
#define SHAPES 12
static inline void shape_open(int shape)
{
	bool is_v6 = shape & 1;

	live_close(&c);
	live_open(&c, &h, is_v6 ? http_listener6 : http_listener, is_v6 ? CLIENT6 : CLIENT,
		  is_v6 ? SERVER6 : SERVER, HTTP_PORT);
}

static inline struct packet shaped(struct packet packet, int shape)
{
	packet.vlan_tags = shape / 4;
	if (shape & 2) {
		packet.timestamp = TIMES;
		packet.timestamp_echo = TIMES_ECHO;
	}
	return packet;
}

/* The client's next segment. */
static inline struct packet asks(const char *text)
{
	struct packet packet = live_packet(&c);

	packet.payload = text;
	return packet;
}

/* What became of a packet. */
struct turned {
	__u8 before[PACKET_BYTES_MAX];
	size_t len_before;
	struct wire was;
	__u8 frame[PACKET_BYTES_MAX];
	size_t len;
	struct wire now;
};

__attribute__((unused)) static struct turned t;

static inline void turned_write(const struct packet *packet)
{
	t.len_before = packet_write(packet, t.before);
	assert_true(wire_read(t.before, t.len_before, &t.was));
	memcpy(t.frame, t.before, t.len_before);
	t.len = t.len_before;
}

static inline void assert_identical(void)
{
	assert_int_equal(t.len, t.len_before);
	assert_memory_equal(t.frame, t.before, t.len);
}

/* Runs the packet: it ends as @action, and that and nothing else is counted. What it is then is in
 * `t`, and whole. */
static inline void expect_turn(const struct packet *packet, __u32 listener, enum tps_action action,
			       enum tps_reason reason)
{
	static const int xdp[] = {XDP_PASS, XDP_DROP, XDP_TX};
	__u64 before = harness_packets(&h, listener, action, reason), all = 0, now = 0;

	for (int i = 0; i < TPS_ACTION_MAX; i++)
		all += harness_packets_all(&h, i);
	turned_write(packet);
	assert_int_equal(harness_turn(&h, t.frame, &t.len), xdp[action]);
	for (int i = 0; i < TPS_ACTION_MAX; i++)
		now += harness_packets_all(&h, i);
	assert_int_equal(harness_packets(&h, listener, action, reason), before + 1);
	assert_int_equal(now, all + 1);
	if (action == TPS_ACTION_DROP)
		return;
	assert_true(wire_read(t.frame, t.len, &t.now));
	assert_true(t.now.ip_sum_right);
	if (!packet->bad_checksum)
		assert_int_equal(t.now.sum, WIRE_RIGHT);
}

/* The packet is dropped, and no answer is thought of. */
static inline void dropped(const struct packet *packet)
{
	__u32 splices = harness_splices(&h);

	expect_turn(packet, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_int_equal(harness_splices(&h), splices);
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), splices);
}

/* The same sender and receiver as before. */
static inline void assert_same_way(void)
{
	assert_memory_equal(t.now.to, t.was.to, 12);
	assert_memory_equal(t.now.source, t.was.source, 32);
	assert_int_equal(t.now.source_port, t.was.source_port);
	assert_int_equal(t.now.destination_port, t.was.destination_port);
	assert_int_equal(t.now.tags, t.was.tags);
	assert_memory_equal(t.now.tag, t.was.tag, sizeof(t.now.tag));
	assert_int_equal(t.now.option_bytes, t.was.option_bytes);
}

/* From the receiver back to the sender, by the same tags. */
static inline void assert_way_back(void)
{
	assert_memory_equal(t.now.to, t.was.from, 6);
	assert_memory_equal(t.now.from, t.was.to, 6);
	assert_memory_equal(t.now.source, t.was.destination, 16);
	assert_memory_equal(t.now.destination, t.was.source, 16);
	assert_int_equal(t.now.source_port, t.was.destination_port);
	assert_int_equal(t.now.destination_port, t.was.source_port);
	assert_int_equal(t.now.tags, t.was.tags);
	assert_memory_equal(t.now.tag, t.was.tag, sizeof(t.now.tag));
}

/* ---- spliced connections ----------------------------------------------------------------------
 */

#define SWALLOWED 123456
#define INJECTED 0xfffff000u /* it wraps */

/* From now on the connection is one whose last answer was acked. */
static inline struct tps_splice splice_make(void)
{
	struct packet next = live_packet(&c);

	return (struct tps_splice){
		.swallowed = SWALLOWED,
		.injected = INJECTED,
		.swallowed_before = SWALLOWED - 100,
		.injected_before = INJECTED - 300,
		.asked_seq = next.seq,
		.edge_seq = next.ack,
		.sent_seq = next.ack,
		.ifindex = if_nametoindex("lo"),
		.state = TPS_SPLICE_OPEN,
		.window_shift = 7,
		.window_be = 0x3412,
		.listener = HTTP,
		.reason = TPS_REASON_LIMIT,
	};
}

/* One that @change (may be NULL) has made otherwise. */
static inline void splice_open_as(void (*change)(struct tps_splice *))
{
	struct tps_splice splice = splice_make();
	struct packet next = live_packet(&c);

	if (change)
		change(&splice);
	harness_set_splice(&h, &next, &splice);
}

static inline void splice_open(void)
{
	splice_open_as(NULL);
}

/* One whose latest answer, of 300 bytes to a request of 100, is under way; CLOSED: with a FIN;
 * RESET: it was acked, and the server's socket is gone. */
static inline void answer_is_under_way(enum tps_splice_state state)
{
	struct tps_splice splice = splice_make();
	struct packet next = live_packet(&c);

	splice.state = state;
	splice.unacked = state != TPS_SPLICE_RESET;
	harness_set_splice(&h, &next, &splice);
}

/* The client's next segment in the client's counts. */
static inline struct packet spliced_asks(const char *text)
{
	struct packet packet = asks(text);

	packet.seq += SWALLOWED;
	packet.ack += INJECTED;
	return packet;
}

/* What the server would send next, in its own counts. */
static inline struct packet server_says(const char *text)
{
	struct packet client = live_packet(&c);

	return (struct packet){
		.source = client.destination,
		.destination = client.source,
		.source_port = client.destination_port,
		.destination_port = client.source_port,
		.seq = client.ack,
		.ack = client.seq,
		.payload = text,
	};
}

static inline struct tps_splice splice_now(void)
{
	struct packet next = live_packet(&c);
	struct tps_splice splice;

	assert_true(harness_splice(&h, &next, &splice));
	return splice;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* A field's value in the answer's head, which must have it once. */
static inline const char *answer_field(const char *head, const char *name)
{
	const char *at = strstr(head, name);

	assert_non_null(at);
	assert_null(strstr(at + 1, name));
	return at + strlen(name);
}

/* The payload is a whole 429 (its body, when it has one, as jansson reads it). */
static inline void assert_answer(const struct wire *wire, bool closes, bool has_body)
{
	char text[1024];
	const char *body;

	assert_in_range(wire->payload_bytes, 1, sizeof(text) - 1);
	memcpy(text, wire->payload, wire->payload_bytes);
	text[wire->payload_bytes] = 0;
	assert_memory_equal(text, "HTTP/1.1 429 Too Many Requests\r\n", 32);
	assert_int_equal(strncmp(answer_field(text, "\r\nRateLimit-Policy: "), "\"tier-0\";", 9),
			 0);
	assert_in_range(atoi(answer_field(text, "\r\nRetry-After: ")), 1, 86400);
	assert_int_equal(strstr(text, "\r\nConnection: close\r\n") != NULL, closes);
	body = strstr(text, "\r\n\r\n") + 4;
	assert_int_equal(atoi(answer_field(text, "\r\nContent-Length: ")), strlen(body));
	assert_int_equal(*body != 0, has_body);
	if (has_body) {
		json_t *problem = json_loads(body, 0, NULL);

		assert_non_null(problem);
		assert_int_equal(json_integer_value(json_object_get(problem, "status")), 429);
		json_decref(problem);
	}
}

#endif
