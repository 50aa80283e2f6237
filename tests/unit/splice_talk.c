// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/splice.h in a conversation: a client that asks again and again, a wire that loses, doubles
 * and reorders, a server behind it, and between the two what both programs do with the counts. Each
 * end must read each byte that it should, once and in order. Knows as much of TCP as that takes:
 * what is out of order is dropped, what is not acked is sent again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "splice.h"

#define TALKS 1000
#define REQUESTS 60
#define SEGMENT_MAX 700
#define RESPONSE_MAX 3000 /* several segments */
#define STREAM_MAX (REQUESTS * (RESPONSE_MAX + SEGMENT_MAX))
#define WIRE_MAX 64
#define STEPS_MAX 200000 /* a talk takes some 2000 */

static unsigned int seed;

static __u32 below(__u32 bound)
{
	return (__u32)rand_r(&seed) % bound;
}

struct segment {
	__u32 seq, ack, bytes;
	__u8 data[SEGMENT_MAX];
};

/* What one end has written and read. Places are offsets in its stream; @first is the first's
 * sequence number. */
struct end {
	__u32 first, peer_first;
	__u8 out[STREAM_MAX];
	__u32 written, sent, acked;
	__u8 should[STREAM_MAX]; /* what it should read */
	__u32 should_bytes, read;
	const char *name;
};

struct wire {
	struct segment segment[WIRE_MAX];
	int count;
};

struct talk {
	struct end client, server;
	struct wire up, down;
	struct splice_count n;
	__u8 answer[SEGMENT_MAX]; /* the latest */
	__u32 answer_bytes;
	__u32 asked, refused, given_again, unread;
	__u32 request_end; /* of the request that the server is told of, in its stream */
};

static void write_some(struct end *end, __u32 bytes, struct end *reader)
{
	for (__u32 i = 0; i < bytes; i++) {
		__u8 byte = below(256);

		end->out[end->written++] = byte;
		if (reader)
			reader->should[reader->should_bytes++] = byte;
	}
}

/* ---- the wire ---------------------------------------------------------------------------------
 */

/* What finds no room is lost. */
static void wire_put(struct wire *wire, const struct segment *segment)
{
	if (wire->count < WIRE_MAX)
		wire->segment[wire->count++] = *segment;
}

/* Any of what is under way, which may stay there too. False: it was lost, or there is nothing. */
static int wire_get(struct wire *wire, struct segment *ret)
{
	__u32 at;

	if (!wire->count)
		return 0;
	at = below(4) ? 0 : below(wire->count);
	*ret = wire->segment[at];
	if (!below(12)) /* once more, later */
		return 1;
	memmove(&wire->segment[at], &wire->segment[at + 1], sizeof(*ret) * (wire->count - at - 1));
	wire->count--;
	return below(10) != 0;
}

/* ---- both ends --------------------------------------------------------------------------------
 */

/* The next segment from @at of the stream; @max 0: an ACK. */
static struct segment end_segment(const struct end *end, __u32 at, __u32 max)
{
	struct segment segment = {.seq = end->first + at, .ack = end->peer_first + end->read};

	segment.bytes = end->written - at < max ? end->written - at : max;
	memcpy(segment.data, end->out + at, segment.bytes);
	return segment;
}

/* Takes what is the next in order. */
static void end_read(struct end *end, const struct segment *segment)
{
	__u32 acked = segment->ack - end->first, skip;

	if ((__s32)(acked - end->acked) > 0) {
		if (acked > end->sent)
			fail_msg("%s: %u is acked, %u was sent", end->name, acked, end->sent);
		end->acked = acked;
	}
	skip = end->peer_first + end->read - segment->seq;
	if ((__s32)skip < 0 || skip >= segment->bytes)
		return;
	for (; skip < segment->bytes; skip++, end->read++)
		if (end->read >= end->should_bytes || segment->data[skip] != end->should[end->read])
			fail_msg("%s: byte %u of %u is not the one that was meant for it",
				 end->name, end->read, end->should_bytes);
}

/* ---- what the server's host does --------------------------------------------------------------
 */

/* The egress program. */
static void leave(struct talk *talk, struct segment segment)
{
	segment.seq = splice_seq_outward(&talk->n, segment.seq);
	segment.ack = splice_ack_outward(&talk->n, segment.ack);
	wire_put(&talk->down, &segment);
}

static void server_send(struct talk *talk, __u32 from)
{
	struct end *server = &talk->server;

	for (__u32 at = from; at < server->written;) {
		struct segment segment = end_segment(server, at, 1 + below(SEGMENT_MAX));

		at += segment.bytes;
		if (server->sent < at)
			server->sent = at;
		leave(talk, segment);
	}
}

static void server_receive(struct talk *talk, const struct segment *segment)
{
	struct end *server = &talk->server;

	end_read(server, segment);
	if (server->read == talk->request_end && talk->unread) {
		talk->unread = 0;
		write_some(server, below(8) ? 1 + below(RESPONSE_MAX) : 1, &talk->client);
		server_send(talk, server->sent);
	} else if (segment->bytes) {
		leave(talk, end_segment(server, server->sent, 0));
	}
}

static void give_answer(struct talk *talk, __u32 seq, __u32 ack)
{
	struct segment segment = {.seq = seq, .ack = ack, .bytes = talk->answer_bytes};

	memcpy(segment.data, talk->answer, segment.bytes);
	wire_put(&talk->down, &segment);
}

/* The request is refused, as both programs do it. */
static void refuse(struct talk *talk, const struct segment *segment)
{
	struct end *client = &talk->client;
	struct splice_count *n = &talk->n;
	__u32 ack = segment->seq + n->swallowed + segment->bytes;
	__u32 seq = segment->ack + n->injected;

	talk->answer_bytes = 1 + below(SEGMENT_MAX);
	for (__u32 i = 0; i < talk->answer_bytes; i++) {
		talk->answer[i] = below(256);
		client->should[client->should_bytes++] = talk->answer[i];
	}
	n->swallowed_before = n->swallowed;
	n->injected_before = n->injected;
	n->swallowed += segment->bytes;
	n->injected += talk->answer_bytes;
	n->asked_seq = segment->seq;
	n->edge_seq = segment->ack;
	n->unacked = 1;
	talk->refused++;
	give_answer(talk, seq, ack);
}

/* A request that the server has not read: in its counts. */
static void decide(struct talk *talk, struct segment *segment, int unacked)
{
	struct end *server = &talk->server;

	if (below(3)) {
		struct segment stand_in = *segment;

		if (unacked || segment->ack != server->first + server->written ||
		    server->sent != server->written)
			return;     /* dropped: it comes again */
		stand_in.bytes = 0; /* the server learns of the ack */
		end_read(server, &stand_in);
		refuse(talk, segment);
		return;
	}
	if (!talk->unread) {
		memcpy(server->should + server->should_bytes, segment->data, segment->bytes);
		server->should_bytes += segment->bytes;
		talk->request_end = server->should_bytes;
		talk->unread = 1;
	}
	server_receive(talk, segment);
}

/* The gate. */
static void arrive(struct talk *talk, struct segment *segment)
{
	struct splice_count *n = &talk->n;
	struct end *server = &talk->server;
	__u32 seq, ack = splice_ack_inward(n, segment->ack);
	int unacked;

	if (splice_inward(n, segment->seq, segment->bytes, segment->ack, &seq) == SPLICE_AGAIN) {
		if (splice_before(segment->ack, n->edge_seq + n->injected_before))
			return;
		talk->given_again++;
		give_answer(talk, n->edge_seq + n->injected_before,
			    server->peer_first + server->read + n->swallowed);
		return;
	}
	unacked = !splice_acked(n, segment->ack);
	if (!unacked)
		n->unacked = 0;
	segment->seq = seq;
	segment->ack = ack;
	if (segment->bytes && seq == server->peer_first + server->read)
		decide(talk, segment, unacked);
	else if (!splice_before(server->peer_first + server->read, seq))
		server_receive(talk, segment); /* the host has it, or it is an ACK */
}

/* ---- the client -------------------------------------------------------------------------------
 */

static int client_is_waiting(const struct talk *talk)
{
	return talk->client.acked < talk->client.written ||
	       talk->client.read < talk->client.should_bytes;
}

static void client_receive(struct talk *talk, const struct segment *segment)
{
	end_read(&talk->client, segment);
	if (segment->bytes && below(3)) { /* else with the next request */
		struct segment ack = end_segment(&talk->client, talk->client.sent, 0);

		wire_put(&talk->up, &ack);
	}
}

static void client_ask(struct talk *talk)
{
	struct end *client = &talk->client;
	struct segment segment;

	talk->asked++;
	write_some(client, 1 + below(SEGMENT_MAX), NULL);
	segment = end_segment(client, client->sent, SEGMENT_MAX);
	client->sent = client->written;
	wire_put(&talk->up, &segment);
}

/* What is not acked for long is sent again; a client that waits for nothing else acks. */
static void time_out(struct talk *talk)
{
	struct segment segment = end_segment(&talk->client, talk->client.acked, SEGMENT_MAX);

	wire_put(&talk->up, &segment);
	if (talk->server.acked < talk->server.sent)
		server_send(talk, talk->server.acked);
}

/* ---- a talk -----------------------------------------------------------------------------------
 */

static void step(struct talk *talk)
{
	struct segment segment;

	if (!client_is_waiting(talk) && talk->asked < REQUESTS) {
		client_ask(talk);
	} else if (!below(20) || !(talk->up.count + talk->down.count)) {
		time_out(talk);
	} else if (below(2)) {
		if (wire_get(&talk->up, &segment))
			arrive(talk, &segment);
	} else if (wire_get(&talk->down, &segment)) {
		client_receive(talk, &segment);
	}
}

static void talk_run(__u32 *ret_refused, __u32 *ret_again)
{
	static struct talk talk;
	int steps = 0;

	memset(&talk, 0, sizeof(talk));
	talk.client.name = "the client";
	talk.server.name = "the server";
	talk.client.first = talk.server.peer_first = below(2) ? -below(20000) : below(1u << 31);
	talk.server.first = talk.client.peer_first = below(2) ? -below(20000) : below(1u << 31);
	/* an entry with nothing in it yet */
	talk.n.asked_seq = talk.client.first;
	talk.n.edge_seq = talk.server.first;
	while (talk.asked < REQUESTS || client_is_waiting(&talk)) {
		if (++steps > STEPS_MAX)
			fail_msg("it hangs: %u asked, %u refused", talk.asked, talk.refused);
		step(&talk);
	}
	assert_int_equal(talk.client.read, talk.client.should_bytes);
	assert_int_equal(talk.server.read, talk.server.should_bytes);
	assert_int_equal(talk.client.written - talk.n.swallowed, talk.server.read);
	*ret_refused += talk.refused;
	*ret_again += talk.given_again;
}

static void each_end_reads_what_was_meant_for_it(void **state)
{
	__u32 refused = 0, again = 0;

	seed = getenv("TEST_SEED") ? strtoul(getenv("TEST_SEED"), NULL, 0)
				   : (unsigned int)time(NULL);
	print_message("# TEST_SEED=%u\n", seed);
	for (int i = 0; i < TALKS; i++)
		talk_run(&refused, &again);
	/* it was about something */
	assert_in_range(refused, TALKS * REQUESTS / 4, TALKS * REQUESTS);
	assert_true(again > TALKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_reads_what_was_meant_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
