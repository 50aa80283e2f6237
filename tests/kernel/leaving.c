// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the server of an answered connection sends, in the client's counts; and the ACK of a real
 * server's that becomes the answer, which the egress program on lo makes of it.
 */
#include "lib/refused.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/libbpf.h>

#include "answer.h"

static int leaving_case_open(void **state)
{
	if (refused_case_open(state))
		return -1;
	splice_open();
	return 0;
}

#define LEAVING_CASE(sentence, function) \
	{ \
		sentence, function, leaving_case_open, refused_case_close, NULL \
	}

/* Runs the packet through the egress program; what it is then is in `t`, and whole. */
static void leaves(const struct packet *packet)
{
	turned_write(packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_UNSPEC);
	assert_true(wire_read(t.frame, t.len, &t.now));
	assert_true(t.now.ip_sum_right);
	assert_int_equal(t.now.sum, WIRE_RIGHT);
}

static void assert_turned(__u32 seq, __u32 ack)
{
	assert_same_way();
	assert_int_equal(t.len, t.len_before);
	assert_int_equal(t.now.seq, seq);
	assert_int_equal(t.now.ack, ack);
	assert_int_equal(t.now.flags, t.was.flags);
	assert_int_equal(t.now.window, t.was.window);
	assert_int_equal(t.now.payload_bytes, t.was.payload_bytes);
	assert_memory_equal(t.now.payload, t.was.payload, t.now.payload_bytes);
}

static void response_gets_the_clients_counts(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet packet;

		shape_open(shape);
		splice_open();
		packet = shaped(server_says(OK), shape);
		leaves(&packet);
		assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
		assert_memory_equal(t.now.options, t.was.options, sizeof(t.now.options));
		assert_int_equal(ntohs(splice_now().window_be), t.was.window);
	}
}

static void other_connections_are_not_touched(void **state)
{
	struct packet packet = server_says(OK);

	packet.destination_port ^= 1; /* of the same port of the server's */
	leaves(&packet);
	assert_identical();
	packet.destination_port ^= 1;
	packet.source_port = 8080; /* a port without any */
	leaves(&packet);
	assert_identical();
	packet.source_port = HTTP_PORT;
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
}

static void want_the_first(struct tps_splice *splice)
{
	*splice = (struct tps_splice){.want = TPS_WANT_ANSWER, .ifindex = splice->ifindex};
}

/* The socket that sends is none of that connection's, so its ACK is no answer either. */
static void connection_without_an_answer_yet_is_not_touched(void **state)
{
	struct packet packet = server_says(OK);

	splice_open_as(want_the_first);
	leaves(&packet);
	assert_identical();
	packet.payload = NULL;
	leaves(&packet);
	assert_identical();
	assert_int_equal(splice_now().want, TPS_WANT_ANSWER);
}

static void want_the_next(struct tps_splice *splice)
{
	struct packet next = live_packet(&c);

	want_the_first(splice);
	splice->want_seq = next.seq;
	splice->want_ack = next.ack;
}

/* A connection request has no socket that could send. What it says of other bytes may be news. */
static void ack_without_a_socket_to_the_byte_that_was_sent_does_not_leave(void **state)
{
	struct packet packet = server_says(NULL);

	splice_open_as(want_the_next);
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_SHOT);
	assert_int_equal(splice_now().want, TPS_WANT_ANSWER);
	packet.seq++;
	leaves(&packet);
	assert_identical();
	packet.seq--;
	packet.ack--;
	leaves(&packet);
	assert_identical();
}

/* What the client knows of before the answer keeps its place, and never the answer's. */
static void stale_bytes_never_get_the_new_count(void **state)
{
	struct packet packet = server_says("stale");
	__u32 edge = packet.seq;

	for (__u32 back = 5; back < 1000000; back *= 3) {
		packet.seq = edge - back;
		leaves(&packet);
		assert_turned(packet.seq + INJECTED - 300, packet.ack + SWALLOWED);
	}
	packet.seq = edge;
	leaves(&packet);
	assert_turned(edge + INJECTED, packet.ack + SWALLOWED);
}

static void is_unacked(struct tps_splice *splice)
{
	splice->unacked = 1;
}

static void request_is_acked_by_its_answer_alone(void **state)
{
	struct packet packet = server_says(NULL);

	splice_open_as(is_unacked);
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED - 100);
	packet.ack++; /* of what followed the request */
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
	packet.ack -= 2;
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED - 100);
}

static void put32(__u8 *at, __u32 v)
{
	for (int i = 0; i < 4; i++)
		at[i] = v >> (24 - 8 * i);
}

/* As Linux lays it out: behind two NOPs. */
static void sack_blocks_get_the_clients_counts(void **state)
{
	for (int shape = 0; shape < SHAPES; shape++) {
		__u32 times = shape & 2 ? 12 : 0;

		shape_open(shape);
		splice_open();
		for (int blocks = times ? 1 : 2; blocks <= (times ? 3 : 4); blocks++) {
			struct packet packet = shaped(server_says(NULL), shape);
			__u8 options[36] = {1, 1, 5, 2 + 8 * blocks};

			for (int i = 0; i < blocks; i++) {
				put32(options + 4 + 8 * i, packet.ack + 1000 * (i + 1));
				put32(options + 8 + 8 * i, packet.ack + 1000 * (i + 1) + 500);
			}
			packet.tcp_options = options;
			packet.tcp_option_bytes = 4 + 8 * blocks;
			leaves(&packet);
			assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
			for (int i = 0; i < blocks; i++) {
				__u32 left = packet.ack + SWALLOWED + 1000 * (i + 1);

				assert_int_equal(wire_option32(&t.now, times + 4 + 8 * i), left);
				assert_int_equal(wire_option32(&t.now, times + 8 + 8 * i),
						 left + 500);
			}
		}
	}
}

/* A block that ends where the request begins does not end behind it. */
static void sack_block_before_the_request_keeps_the_count_of_before(void **state)
{
	struct packet packet = server_says(NULL);
	__u8 options[12] = {1, 1, 5, 10};
	__u32 asked = packet.ack;

	put32(options + 4, asked - 1);
	put32(options + 8, asked);
	packet.timestamp = TIMES;
	packet.tcp_options = options;
	packet.tcp_option_bytes = sizeof(options);
	leaves(&packet);
	assert_int_equal(wire_option32(&t.now, 12 + 4), asked - 1 + SWALLOWED - 100);
	assert_int_equal(wire_option32(&t.now, 12 + 8), asked + SWALLOWED - 100);
}

/* ---- an answer is given again -----------------------------------------------------------------
 */

static void want_again(struct tps_splice *splice)
{
	static struct answer_text text;

	splice->want = TPS_WANT_AGAIN;
	splice->unacked = 1;
	memcpy(splice->answer.name, "tier-0", 6);
	splice->answer.policy = (struct tps_policy){100, 1};
	splice->answer.retry_s = 7;
	splice->answer.form = 1;
	splice->answer.bytes = answer_write(&text, &splice->answer);
}

static void want_again_closing(struct tps_splice *splice)
{
	want_again(splice);
	splice->state = TPS_SPLICE_CLOSED;
	splice->answer.closes = 1;
	splice->answer.bytes += strlen("Connection: close\r\n");
}

static void assert_given_again(const struct packet *packet, bool closes)
{
	struct tps_splice splice = splice_now();
	__u32 times = packet->timestamp ? 12 : 0;

	assert_memory_equal(t.now.to, t.was.to, 12);
	assert_memory_equal(t.now.source, t.was.source, 32);
	assert_memory_equal(t.now.tag, t.was.tag, sizeof(t.now.tag));
	assert_int_equal(t.now.seq, packet->seq + INJECTED - 300);
	assert_int_equal(t.now.ack, packet->ack + SWALLOWED);
	assert_int_equal(t.now.flags, PACKET_ACK | PACKET_PSH | (closes ? PACKET_FIN : 0));
	assert_int_equal(t.now.option_bytes, t.was.option_bytes);
	assert_memory_equal(t.now.options, t.was.options, times);
	for (__u32 i = times; i < t.now.option_bytes; i++)
		assert_int_equal(t.now.options[i], 1);
	assert_int_equal(t.now.payload_bytes, splice.answer.bytes);
	assert_answer(&t.now, closes, true);
	assert_int_equal(splice.want, TPS_WANT_NOTHING);
	assert_int_equal(splice.swallowed, SWALLOWED);
	assert_int_equal(splice.injected, INJECTED);
}

/* With and without the SACK block of the byte that stood for the request. */
static void ack_becomes_the_answer_once_more(void **state)
{
	static const __u8 sack[12] = {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2};

	for (int variant = 0; variant < 4 * SHAPES; variant++) {
		int shape = variant % SHAPES;
		bool closes = variant / SHAPES & 1;
		__u64 again = harness_notes(&h, HTTP, TPS_REASON_ANSWERED_AGAIN);
		struct packet packet;

		shape_open(shape);
		splice_open_as(closes ? want_again_closing : want_again);
		packet = shaped(server_says(NULL), shape);
		packet.tcp_options = sack;
		packet.tcp_option_bytes = variant / SHAPES & 2 ? sizeof(sack) : 0;
		leaves(&packet);
		assert_given_again(&packet, closes);
		assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_ANSWERED_AGAIN), again + 1);
	}
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
}

/* The same words are written once; these differ in one thing each. */
static void each_answer_has_its_own_words(void **state)
{
	struct packet packet = server_says(NULL), next = live_packet(&c);
	struct tps_splice splice = splice_make();
	static struct answer_text text;

	want_again(&splice);
	for (int round = 0; round < 6; round++) {
		struct tps_answer *answer = &splice.answer;

		answer->policy.quota += round == 1;
		answer->policy.window_s += round == 2;
		answer->retry_s += round == 3;
		answer->name[5] += round == 4;
		answer->form = round != 5;
		answer->bytes = answer_write(&text, answer);
		harness_set_splice(&h, &next, &splice);
		leaves(&packet);
		assert_int_equal(t.now.payload_bytes, answer->bytes);
		assert_memory_equal(t.now.payload, text.bytes, answer->bytes);
	}
}

static void assert_no_answer(const struct packet *packet)
{
	leaves(packet);
	assert_turned(packet->seq + INJECTED,
		      packet->ack + SWALLOWED - (splice_now().unacked ? 100 : 0));
	assert_int_equal(splice_now().want, TPS_WANT_AGAIN);
}

static void only_an_ack_alone_becomes_an_answer(void **state)
{
	struct packet packet = server_says("late");

	splice_open_as(want_again);
	assert_no_answer(&packet);
	packet.payload = NULL;
	packet.flags = PACKET_FIN | PACKET_ACK;
	assert_no_answer(&packet);
	packet.flags = 0;
	leaves(&packet);
	assert_given_again(&packet, false);
}

/* MD5, MPTCP: the signature would not fit; an answer of another length neither. */
static void ack_that_does_not_fit_stays_one(void **state)
{
	static const struct {
		size_t count;
		__u8 bytes[20];
	} options[] = {
		{12, {19, 18}},
		{12, {30, 12, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{12, {1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1}},
		/* MPTCP behind SACK, as Linux has it */
		{20, {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 8, 0x20, 1, 0, 0, 0, 9}},
	};
	struct tps_splice splice = splice_make();
	struct packet packet = server_says(NULL), next = live_packet(&c);

	splice_open_as(want_again);
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		packet.tcp_options = options[i].bytes;
		packet.tcp_option_bytes = options[i].count;
		assert_no_answer(&packet);
		packet.timestamp = TIMES;
		assert_no_answer(&packet);
		packet.timestamp = 0;
	}
	packet.tcp_option_bytes = 0;
	want_again(&splice);
	splice.answer.bytes--;
	harness_set_splice(&h, &next, &splice);
	assert_no_answer(&packet);
	splice.answer.bytes++;
	splice.ifindex++;
	harness_set_splice(&h, &next, &splice);
	assert_no_answer(&packet);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void reset_of_the_servers_ends_the_entry(void **state)
{
	struct packet packet = server_says(NULL), next = live_packet(&c);
	struct tps_splice splice;

	packet.flags = PACKET_RST | PACKET_ACK;
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
	assert_false(harness_splice(&h, &next, &splice));
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 0);
}

static void syn_ack_of_a_new_connection_ends_the_entry(void **state)
{
	struct packet packet = server_says(NULL), next = live_packet(&c);
	struct tps_splice splice;

	packet.flags = PACKET_SYN | PACKET_ACK;
	leaves(&packet);
	assert_identical();
	assert_false(harness_splice(&h, &next, &splice));
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 0);
}

static void fin_of_the_servers_is_noted(void **state)
{
	struct packet packet = server_says("bye");

	leaves(&packet);
	assert_int_equal(splice_now().ending, 0);
	packet.flags = PACKET_FIN | PACKET_ACK;
	leaves(&packet);
	assert_turned(packet.seq + INJECTED, packet.ack + SWALLOWED);
	assert_int_equal(splice_now().ending, TPS_SPLICE_SERVER_FIN);
}

static void is_closed(struct tps_splice *splice)
{
	splice->state = TPS_SPLICE_CLOSED;
}

static void is_reset(struct tps_splice *splice)
{
	splice->state = TPS_SPLICE_RESET;
}

static void nothing_of_the_servers_follows_a_closing_answer(void **state)
{
	struct packet packet = server_says(OK);

	splice_open_as(is_closed);
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_SHOT);
	splice_open_as(is_reset);
	packet.payload = NULL;
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_SHOT);
}

/* ---- a real server's ACK ----------------------------------------------------------------------
 */

static int tap = -1; /* sees and sends on lo */

/* The egress program on lo, once for each gate. */
static void attach_egress(void)
{
	static int attached = -1;
	struct bpf_program *egress = bpf_object__find_program_by_name(harness_object(&h), "egress");
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("lo"),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(egress));

	if (attached == opts.prog_fd)
		return;
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	attached = opts.prog_fd;
}

static int real_case_open(void **state)
{
	struct sockaddr_ll lo = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("lo"),
	};
	struct timeval patience = {.tv_sec = 2};

	if (refused_case_open(state))
		return -1;
	attach_egress();
	tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(tap >= 0);
	setsockopt(tap, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(bind(tap, (struct sockaddr *)&lo, sizeof(lo)), 0);
	return 0;
}

static int real_case_close(void **state)
{
	close(tap);
	return refused_case_close(state);
}

#define REAL_CASE(sentence, function) \
	{ \
		sentence, function, real_case_open, real_case_close, NULL \
	}

/* The host receives what the gate let pass. */
static void deliver(void)
{
	memset(t.frame, 0, 12); /* lo's stations */
	assert_int_equal(send(tap, t.frame, t.len, 0), (ssize_t)t.len);
}

/* The next segment that the server sends on the connection, behind the handshake, is in `t`. */
static void server_sent(void)
{
	struct sockaddr_ll way;
	socklen_t len;

	do {
		ssize_t got;

		len = sizeof(way);
		got = recvfrom(tap, t.frame, sizeof(t.frame), 0, (struct sockaddr *)&way, &len);
		if (got < 0)
			fail_msg("the server sent nothing");
		t.len = got;
	} while (way.sll_pkttype != PACKET_OUTGOING || !wire_read(t.frame, t.len, &t.now) ||
		 t.now.flags & PACKET_SYN || t.now.source_port != HTTP_PORT ||
		 t.now.destination_port != c.client_port);
	assert_true(t.now.ip_sum_right);
	assert_int_not_equal(t.now.sum, WIRE_WRONG);
}

/* The request is refused and its stand-in is received: what the server sends then is in `t`. */
static void ask(const struct packet *packet)
{
	expect_turn(packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	deliver();
	server_sent();
}

static void over_ipv6(void)
{
	live_close(&c);
	live_open(&c, &h, http_listener6, CLIENT6, SERVER6, HTTP_PORT);
}

static void assert_first_answer(const struct packet *packet, bool closes)
{
	struct tps_splice splice = splice_now();

	assert_int_equal(t.now.seq, packet->ack);
	assert_int_equal(t.now.ack, packet->seq + (__u32)strlen(packet->payload));
	assert_int_equal(t.now.flags, PACKET_ACK | PACKET_PSH | (closes ? PACKET_FIN : 0));
	assert_answer(&t.now, closes, true);
	assert_int_equal(splice.swallowed, strlen(packet->payload));
	assert_int_equal(splice.injected, t.now.payload_bytes + closes);
	assert_int_equal(splice.swallowed_before, 0);
	assert_int_equal(splice.injected_before, 0);
	assert_int_equal(splice.asked_seq, packet->seq);
	assert_int_equal(splice.edge_seq, packet->ack);
	assert_int_equal(splice.unacked, 1);
	assert_int_equal(splice.want, TPS_WANT_NOTHING);
	assert_int_equal(splice.state, closes ? TPS_SPLICE_CLOSED : TPS_SPLICE_OPEN);
	assert_int_equal(ntohs(splice.window_be), t.now.window);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), !closes);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_CLOSE, TPS_REASON_LIMIT), closes);
}

static void servers_ack_becomes_the_answer(void **state)
{
	struct packet packet = asks(GET);

	ask(&packet);
	assert_first_answer(&packet, false);
}

static void servers_ack_becomes_the_answer_over_ipv6(void **state)
{
	struct packet packet;

	over_ipv6();
	packet = asks(GET);
	ask(&packet);
	assert_first_answer(&packet, false);
}

static void servers_ack_becomes_an_answer_that_closes(void **state)
{
	struct packet packet = asks(GET);

	refuse_all_by(TPS_REFUSAL_CLOSE);
	ask(&packet);
	assert_first_answer(&packet, true);
}

static void servers_ack_becomes_a_reset(int family)
{
	struct packet packet;
	struct tps_splice splice;
	char byte;

	if (family == 6)
		over_ipv6();
	packet = asks(GET);
	refuse_all_by(TPS_REFUSAL_RESET);
	ask(&packet);
	assert_int_equal(t.now.flags, PACKET_RST | PACKET_ACK);
	assert_int_equal(t.now.seq, packet.ack);
	assert_int_equal(t.now.payload_bytes, 0);
	assert_int_equal(recv(c.server, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(c.client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_false(harness_splice(&h, &packet, &splice));
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_RESET, TPS_REASON_LIMIT), 1);
}

static void servers_ack_becomes_a_reset4(void **state)
{
	servers_ack_becomes_a_reset(4);
}

static void servers_ack_becomes_a_reset6(void **state)
{
	servers_ack_becomes_a_reset(6);
}

static void set_timestamps(const char *value)
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_timestamps", "w");

	assert_non_null(file);
	assert_true(fputs(value, file) > 0);
	assert_int_equal(fclose(file), 0);
}

static void servers_ack_without_timestamps_becomes_the_answer(void **state)
{
	struct packet packet;

	set_timestamps("0");
	shape_open(0);
	set_timestamps("1");
	packet = asks(GET);
	ask(&packet);
	assert_first_answer(&packet, false);
}

/* Bytes that the server sends meanwhile would lie where the answer does. */
static void server_that_has_spoken_meanwhile_gives_no_answer(void **state)
{
	struct packet packet = asks(GET);

	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(send(c.server, OK, strlen(OK), 0), strlen(OK));
	server_sent();
	assert_int_equal(t.now.payload_bytes, strlen(OK));
	packet.seq--; /* `t` is the server's now: the stand-in is made once more */
	packet.payload = "";
	packet.payload_bytes = 1;
	turned_write(&packet);
	deliver();
	server_sent();
	assert_int_equal(t.now.payload_bytes, 0);
	assert_int_equal(t.now.ack, packet.seq + 1);
	assert_int_equal(splice_now().swallowed, 0);
	assert_int_equal(splice_now().injected, 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
}

/* The request came again and passed, before the server's ACK left. */
static void request_that_passes_meanwhile_has_no_answer(void **state)
{
	struct packet packet = asks(GET), again = packet;
	struct turned stand_in;

	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	stand_in = t;
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	expect_turn(&again, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	t = stand_in;
	deliver();
	server_sent();
	assert_int_equal(t.now.payload_bytes, 0);
	assert_int_equal(t.now.ack, packet.seq);
	assert_int_equal(splice_now().swallowed, 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
}

/* Another connection's ACK meanwhile is its own. */
static void ack_of_another_connection_is_no_answer(void **state)
{
	struct packet packet = asks(GET);
	struct live other;

	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	live_connect(&other, http_listener, CLIENT, SERVER, HTTP_PORT);
	live_deliver(&other, GET, strlen(GET));
	live_close(&other);
	assert_int_equal(splice_now().want, TPS_WANT_ANSWER);
	assert_int_equal(splice_now().swallowed, 0);
	assert_int_equal(harness_refusals(&h, HTTP, TPS_REFUSAL_ANSWER, TPS_REASON_LIMIT), 0);
}

/* Has the host said anything on the connection? */
static bool host_spoke(const struct live *live)
{
	struct pollfd sent = {.fd = tap, .events = POLLIN};
	struct sockaddr_ll way;

	while (poll(&sent, 1, 100) == 1) {
		socklen_t len = sizeof(way);
		ssize_t got =
			recvfrom(tap, t.frame, sizeof(t.frame), 0, (struct sockaddr *)&way, &len);

		if (way.sll_pkttype == PACKET_OUTGOING && wire_read(t.frame, got, &t.now) &&
		    t.now.source_port == HTTP_PORT && t.now.destination_port == live->client_port &&
		    !(t.now.flags & PACKET_SYN))
			return true;
	}
	return false;
}

/* The handshake's ACK is lost: what the host has to say of the byte would spoil the next. */
static void half_open_connection_says_nothing_of_the_byte(void **state)
{
	struct live remote;
	struct packet packet = live_half_open(&remote, "198.18.0.13", SERVER, HTTP_PORT);

	packet.payload = GET;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_int_equal(t.now.payload_bytes, 1);
	deliver();
	assert_false(host_spoke(&remote));
	/* where no answer is wanted, it does */
	packet = live_half_open(&remote, "198.18.0.13", SERVER, HTTP_PORT);
	packet.seq--;
	packet.payload = "";
	packet.payload_bytes = 1;
	turned_write(&packet);
	deliver();
	assert_true(host_spoke(&remote));
	live_close(&remote);
}

/* Answered by the server's ACK, then at once, then served: each byte at its place at both ends. */
static void request_behind_answers_reaches_the_server_whole(void **state)
{
	struct packet packet = asks(GET_LONG);
	char got[256];

	ask(&packet);
	assert_first_answer(&packet, false);
	for (int i = 0; i < 20; i++) {
		packet.seq += strlen(packet.payload);
		packet.ack += t.now.payload_bytes;
		expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_LIMIT);
		assert_int_equal(t.now.seq, packet.ack);
		assert_answer(&t.now, false, true);
	}
	packet.seq += strlen(packet.payload);
	packet.ack += t.now.payload_bytes;
	packet.payload = GET;
	refuse_by(TPS_REFUSAL_ANSWER, 1);
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
	deliver();
	assert_int_equal(recv(c.server, got, sizeof(got), 0), strlen(GET));
	assert_memory_equal(got, GET, strlen(GET));
	assert_int_equal(send(c.server, OK, strlen(OK), 0), strlen(OK));
	do
		server_sent();
	while (!t.now.payload_bytes);
	assert_int_equal(t.now.seq, packet.ack);
	assert_int_equal(t.now.ack, packet.seq + (__u32)strlen(GET));
	assert_int_equal(t.now.payload_bytes, strlen(OK));
	assert_memory_equal(t.now.payload, OK, strlen(OK));
}

/* The answer is lost: the request comes again, and with it the same answer. */
static void lost_answer_is_given_again_to_the_byte(void **state)
{
	struct packet packet = asks(GET);
	__u8 answer[1024];
	size_t bytes;

	ask(&packet);
	assert_first_answer(&packet, false);
	bytes = t.now.payload_bytes;
	memcpy(answer, t.now.payload, bytes);
	for (int i = 0; i < 3; i++) {
		expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ANSWERED_AGAIN);
		deliver();
		do
			server_sent();
		while (!t.now.payload_bytes);
		assert_int_equal(t.now.seq, packet.ack);
		assert_int_equal(t.now.ack, packet.seq + (__u32)strlen(GET));
		assert_int_equal(t.now.payload_bytes, bytes);
		assert_memory_equal(t.now.payload, answer, bytes);
	}
	assert_int_equal(splice_now().swallowed, strlen(GET));
	assert_int_equal(splice_now().injected, bytes);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_ANSWERED_AGAIN), 3);
	assert_transactions(HTTP, 0, 1);
}

/* I5: the socket is gone with the client's ack of the answer. */
static void closing_answer_leaves_no_socket(void **state)
{
	struct packet packet = asks(GET);
	char byte;

	refuse_all_by(TPS_REFUSAL_CLOSE);
	ask(&packet);
	assert_first_answer(&packet, true);
	packet.seq += strlen(packet.payload);
	packet.ack += t.now.payload_bytes + 1;
	packet.payload = NULL;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ENDED);
	deliver();
	assert_int_equal(recv(c.server, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		LEAVING_CASE("a response gets the client's counts, in every shape",
			     response_gets_the_clients_counts),
		LEAVING_CASE("other connections, and other ports, are not touched",
			     other_connections_are_not_touched),
		LEAVING_CASE("a connection whose first answer is still wanted is not touched",
			     connection_without_an_answer_yet_is_not_touched),
		LEAVING_CASE("an ACK without a socket, to the byte that was sent, does not leave",
			     ack_without_a_socket_to_the_byte_that_was_sent_does_not_leave),
		LEAVING_CASE("stale bytes of the server's never get the new count",
			     stale_bytes_never_get_the_new_count),
		LEAVING_CASE("a request is acked by its answer alone until that was acked",
			     request_is_acked_by_its_answer_alone),
		LEAVING_CASE("SACK blocks get the client's counts, in every shape",
			     sack_blocks_get_the_clients_counts),
		LEAVING_CASE("a SACK block before the request keeps the count of before",
			     sack_block_before_the_request_keeps_the_count_of_before),
		LEAVING_CASE("an ACK becomes the answer once more, in every shape",
			     ack_becomes_the_answer_once_more),
		LEAVING_CASE("each answer has its own words", each_answer_has_its_own_words),
		LEAVING_CASE("only an ACK alone becomes an answer",
			     only_an_ack_alone_becomes_an_answer),
		LEAVING_CASE("an ACK that does not fit the answer stays one",
			     ack_that_does_not_fit_stays_one),
		LEAVING_CASE("a RST of the server's ends the entry",
			     reset_of_the_servers_ends_the_entry),
		LEAVING_CASE("a SYN-ACK of a new connection ends the entry untouched",
			     syn_ack_of_a_new_connection_ends_the_entry),
		LEAVING_CASE("a FIN of the server's is noted, and nothing else is",
			     fin_of_the_servers_is_noted),
		LEAVING_CASE("nothing of the server's follows a closing answer",
			     nothing_of_the_servers_follows_a_closing_answer),
		REAL_CASE("a real server's ACK becomes the answer", servers_ack_becomes_the_answer),
		REAL_CASE("a real server's ACK becomes the answer over IPv6",
			  servers_ack_becomes_the_answer_over_ipv6),
		REAL_CASE("a real server's ACK becomes an answer that closes",
			  servers_ack_becomes_an_answer_that_closes),
		REAL_CASE("a real server's ACK becomes a reset of either side",
			  servers_ack_becomes_a_reset4),
		REAL_CASE("a real server's ACK becomes a reset of either side over IPv6",
			  servers_ack_becomes_a_reset6),
		REAL_CASE("a real server's ACK without timestamps becomes the answer",
			  servers_ack_without_timestamps_becomes_the_answer),
		REAL_CASE("a server that has spoken meanwhile gives no answer",
			  server_that_has_spoken_meanwhile_gives_no_answer),
		REAL_CASE("a request that passes meanwhile has no answer beside its response",
			  request_that_passes_meanwhile_has_no_answer),
		REAL_CASE("an ACK of another connection is no answer",
			  ack_of_another_connection_is_no_answer),
		REAL_CASE("a connection that is half open says nothing of that byte",
			  half_open_connection_says_nothing_of_the_byte),
		REAL_CASE("a request behind 21 answers reaches the server whole, and its response "
			  "the client",
			  request_behind_answers_reaches_the_server_whole),
		REAL_CASE("an answer that is lost is given again to the byte",
			  lost_answer_is_given_again_to_the_byte),
		REAL_CASE("a closing answer leaves the server no socket",
			  closing_answer_leaves_no_socket),
	};

	return cmocka_run_group_tests_name("leaving", cases, http_group_open, http_group_close);
}
