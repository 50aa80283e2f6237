// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that the answers had: each case failed once.
 */
#include "lib/refused.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

/* NOP NOP SACK with one block has 12 bytes, like timestamps. */
static void one_sack_block_without_timestamps(void **state)
{
	struct packet packet;
	__u8 options[12] = {1, 1, 5, 10};

	splice_open();
	packet = server_says(NULL);
	for (int i = 0; i < 2; i++) {
		__u32 edge_be = __builtin_bswap32(packet.ack + 1000 + 500 * i);

		memcpy(options + 4 + 4 * i, &edge_be, 4);
	}
	packet.tcp_options = options;
	packet.tcp_option_bytes = sizeof(options);
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_UNSPEC);
	assert_true(wire_read(t.frame, t.len, &t.now));
	assert_int_equal(t.now.ack, packet.ack + SWALLOWED);
	assert_int_equal(wire_option32(&t.now, 4), packet.ack + SWALLOWED + 1000);
}

/* the socket that listens is taken for the connection's. */
static void reset_of_a_gone_connection_whose_listener_lives(void **state)
{
	struct tps_splice splice;
	struct packet packet;

	splice_open();
	packet = spliced_asks(NULL);
	packet.flags = PACKET_RST;
	live_close(&c);
	harness_run(&h, &packet);
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	assert_false(harness_splice(&h, &packet, &splice));
}

/* I3: an ACK is sent to whoever's address it is. */
static void forged_segments_behind_a_closing_answer_draw_nothing(void **state)
{
	struct packet packet;
	int sent = 0;

	answer_is_under_way(TPS_SPLICE_RESET);
	packet = spliced_asks("x");
	for (int i = 0; i < 1000; i++) {
		packet.seq = random() * 2654435761u;
		packet.ack = random() * 2654435761u;
		sent += harness_run(&h, &packet) == XDP_TX;
	}
	print_message("# %d of 1000 sent\n", sent);
	assert_int_equal(sent, 0);
}

static void forged_fins_behind_a_closing_answer_forget_nothing(void **state)
{
	struct packet packet;
	struct tps_splice splice;

	answer_is_under_way(TPS_SPLICE_RESET);
	packet = spliced_asks(NULL);
	packet.flags = PACKET_FIN | PACKET_ACK;
	packet.seq += 0x40000000;
	packet.ack += 0x12345678;
	harness_run(&h, &packet);
	assert_true(harness_splice(&h, &packet, &splice));
}

/* half of all acks are taken for the answer's; the request that comes again is then acked, and
 * has no answer. */
static void forged_ack_ends_no_closing_answer(void **state)
{
	static char request[101];
	struct packet packet;

	answer_is_under_way(TPS_SPLICE_CLOSED);
	packet = spliced_asks(NULL);
	packet.seq += 0x20000000;
	packet.ack += 0x12345678;
	print_message("# action %d\n", harness_run(&h, &packet));
	memset(request, 'x', 100);
	packet = spliced_asks(request);
	packet.seq -= 100;
	packet.ack -= 300;
	print_message("# then the request again: action %d, state %d\n", harness_run(&h, &packet),
		      splice_now().state);
	assert_int_equal(splice_now().state, TPS_SPLICE_CLOSED);
}

/* likewise: then the server's ACK acks the request whose answer may be lost. */
static void forged_ack_settles_no_answer(void **state)
{
	struct packet packet;

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet = spliced_asks("x");
	packet.seq += 0x20000000;
	packet.ack += 0x12345678;
	harness_run(&h, &packet);
	assert_int_equal(splice_now().unacked, 1);
}

/* a request ahead of a gap, on a connection older than its entry. */
static void stand_in_is_a_byte_that_the_server_has(void **state)
{
	struct packet packet;
	struct live old;

	live_connect(&old, http_listener, CLIENT, SERVER, HTTP_PORT);
	live_deliver(&old, GET, strlen(GET));
	assert_int_equal(send(old.server, OK, strlen(OK), 0), strlen(OK));
	assert_int_equal(recv(old.client, t.frame, 100, 0), strlen(OK));
	packet = live_packet(&old);
	packet.seq += 5; /* 5 bytes before it were lost */
	packet.payload = GET;
	turned_write(&packet);
	if (harness_turn(&h, t.frame, &t.len) == XDP_PASS) {
		assert_true(wire_read(t.frame, t.len, &t.now));
		print_message("# the server waits for %u, the stand-in is at %u\n", packet.seq - 5,
			      t.now.seq);
		{
			struct sockaddr_ll lo = {
				.sll_family = AF_PACKET,
				.sll_ifindex = (int)if_nametoindex("lo"),
			};
			int raw = socket(AF_PACKET, SOCK_RAW, 0);
			char got[16];
			ssize_t bytes;

			memset(t.frame, 0, 12);
			assert_int_equal(
				sendto(raw, t.frame, t.len, 0, (struct sockaddr *)&lo, sizeof(lo)),
				(ssize_t)t.len);
			close(raw);
			assert_int_equal(send(old.client, "abcd", 4, 0), 4);
			usleep(50000);
			bytes = recv(old.server, got, sizeof(got), MSG_DONTWAIT);
			print_message("# 4 bytes were sent; the server reads %zd, the last is %d\n",
				      bytes, got[bytes - 1]);
		}
		live_close(&old);
		assert_true((__s32)(t.now.seq - (packet.seq - 5)) < 0);
	}
	live_close(&old);
}

/* While the server works on a request it has nothing to send, like one that stands still. */
static void answer_never_overtakes_a_response(void **state)
{
	struct packet packet;

	refuse_by(TPS_REFUSAL_ANSWER, 1);
	assert_int_equal(live_send_text(&c, &h, GET), XDP_PASS);
	refuse_all_by(TPS_REFUSAL_ANSWER);
	packet = asks(GET);
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
	assert_int_equal(harness_splices(&h), 0);
	live_answer(&c, &h, OK);
	packet = asks(GET);
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_int_equal(harness_splices(&h), 1);
}

/* Sequence numbers compare right within 2^31. */
static void counts_hold_beyond_two_gigabytes(void **state)
{
	struct packet packet;
	__u32 seq, ack;

	splice_open();
	packet = server_says(NULL);
	seq = packet.seq;
	ack = packet.ack;
	for (__u32 at = 0; at < 3; at++) {
		for (__u32 step = 0; step < 64; step++) {
			packet.seq += 1U << 26;
			packet.ack += 1U << 26;
			turned_write(&packet);
			assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_UNSPEC);
			assert_true(wire_read(t.frame, t.len, &t.now));
			assert_int_equal(t.now.seq, packet.seq + INJECTED);
			assert_int_equal(t.now.ack, packet.ack + SWALLOWED);
		}
		assert_int_equal(packet.seq, seq);
		assert_int_equal(packet.ack, ack);
	}
}

static void forged_fin_is_not_noted(void **state)
{
	struct packet packet;

	splice_open();
	packet = spliced_asks(NULL);
	packet.flags = PACKET_FIN | PACKET_ACK;
	packet.seq += 0x1234;
	harness_run(&h, &packet);
	assert_int_equal(splice_now().ending, 0);
	packet.seq -= 0x1234;
	harness_run(&h, &packet);
	assert_int_equal(splice_now().ending, TPS_SPLICE_CLIENT_FIN);
}

/* Else the server's ack of it acks the request, whose answer may be lost, and nobody sends it
 * again. */
static void nothing_passes_behind_an_answer_that_is_not_acked(void **state)
{
	struct packet packet;

	answer_is_under_way(TPS_SPLICE_OPEN);
	packet = spliced_asks("x");
	packet.ack -= 1;
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
	packet.payload = NULL;
	packet.flags = PACKET_FIN | PACKET_ACK;
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
	assert_int_equal(splice_now().unacked, 1);
}

/* The client sends all of its upload, whatever it has read. */
static void a_body_beyond_any_window_is_acked_behind_a_closing_answer(void **state)
{
	struct packet packet;

	answer_is_under_way(TPS_SPLICE_RESET);
	packet = spliced_asks("the rest");
	packet.seq += 40 << 20;
	assert_int_equal(harness_run(&h, &packet), XDP_TX);
	packet.seq = spliced_asks(NULL).seq - (40 << 20);
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
}

static void server_has_sent_more(struct tps_splice *splice)
{
	splice->sent_seq++;
}

/* It left by the old count: an answer of the new one would stand in its place. */
static void answer_at_once_has_nothing_beside_it(void **state)
{
	struct packet packet = spliced_asks(GET_LONG);

	splice_open_as(server_has_sent_more);
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_int_equal(splice_now().want, TPS_WANT_ANSWER);
	assert_int_equal(splice_now().injected, INJECTED);
	splice_open();
	assert_int_equal(harness_run(&h, &packet), XDP_TX);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		REFUSED_CASE("one SACK block without timestamps gets the client's counts",
			     one_sack_block_without_timestamps),
		REFUSED_CASE("a RST of a connection that is gone ends its entry",
			     reset_of_a_gone_connection_whose_listener_lives),
		REFUSED_CASE("forged segments behind a closing answer draw nothing",
			     forged_segments_behind_a_closing_answer_draw_nothing),
		REFUSED_CASE("a forged FIN behind a closing answer forgets nothing",
			     forged_fins_behind_a_closing_answer_forget_nothing),
		REFUSED_CASE("a forged ACK does not end a closing answer",
			     forged_ack_ends_no_closing_answer),
		REFUSED_CASE("a forged ACK settles no answer", forged_ack_settles_no_answer),
		REFUSED_CASE("the stand-in is a byte that the server has",
			     stand_in_is_a_byte_that_the_server_has),
		REFUSED_CASE("an answer never overtakes a response",
			     answer_never_overtakes_a_response),
		REFUSED_CASE("the counts hold beyond two gigabytes",
			     counts_hold_beyond_two_gigabytes),
		REFUSED_CASE("a forged FIN is not noted", forged_fin_is_not_noted),
		REFUSED_CASE("nothing passes behind an answer that is not acked",
			     nothing_passes_behind_an_answer_that_is_not_acked),
		REFUSED_CASE("a body beyond any window is acked behind a closing answer",
			     a_body_beyond_any_window_is_acked_behind_a_closing_answer),
		REFUSED_CASE("an answer at once has nothing beside it",
			     answer_at_once_has_nothing_beside_it),
	};

	return cmocka_run_group_tests_name("mended", cases, http_group_open, http_group_close);
}
