// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handshakes that a client would have for nothing, or at another's expense: what the host discards,
 * keeps or reads otherwise than the gate did, and connections that begin where no SYN was seen.
 * What the gate passes is given to the host, and what its server reads is read here.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tps.skel.h"

#include "lib/hello.h"
#include "unit/tls_stream.h"

#include "lib/far.h"
#include "lib/hello_cases.h"

/* ---- what reaches the server ---- */

/* What the gate passed reaches the host, as it is. */
static void inject_frame(const __u8 *frame, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	memcpy(&to.sin_addr, frame + 14 + 16, 4);
	if (raw < 0 || sendto(raw, frame + 14, len - 14, 0, (void *)&to, sizeof(to)) < 0)
		err(1, "inject");
	close(raw);
}

static void inject(const struct packet *packet)
{
	static __u8 frame[PACKET_BYTES_MAX];

	inject_frame(frame, packet_write(packet, frame));
}

/* Runs the packet through the gate; when it passes, the host receives it. */
static int run_inject(struct packet p)
{
	int action = harness_run(&h, &p);

	if (action == XDP_PASS)
		inject(&p);
	return action;
}

static size_t take_all(int fd, __u8 *to, size_t room)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	size_t got = 0;

	while (got < room && poll(&readable, 1, 200) > 0) {
		ssize_t bytes = recv(fd, to + got, room - got, MSG_DONTWAIT);

		if (bytes <= 0)
			break;
		got += bytes;
	}
	return got;
}

/* What the server reads of the connection is a hello that names @name. */
static void assert_server_reads(const char *name)
{
	static __u8 got[4096];
	struct tls_stream stream;
	size_t bytes = take_all(c.server, got, sizeof(got));

	tls_stream_open(&stream);
	assert_true(tls_stream_segment(&stream, got, bytes));
	assert_string_equal(tls_stream_named(&stream), name);
	tls_stream_close(&stream);
}

static __u64 voided(void)
{
	return harness_notes(&h, TLS, TPS_REASON_VOID);
}

/* ---- another connection of the tuple ---- */

/* The next connection by the same cookie, its numbers both further on: Linux takes it. */
static int connect_by_cookie(struct packet packet, __u32 by)
{
	struct pollfd ready = {.fd = tls_listener, .events = POLLIN};
	static __u8 got[4096];
	size_t bytes;
	int fd;

	packet.seq += by;
	packet.ack += by;
	packet.payload = hello.bytes;
	packet.payload_bytes = hello.len;
	if (run_inject(packet) != XDP_PASS || poll(&ready, 1, 500) <= 0)
		return 0;
	fd = accept(tls_listener, NULL, NULL);
	bytes = take_all(fd, got, hello.len);
	packet.seq += hello.len;
	packet.payload = NULL;
	packet.payload_bytes = 0;
	packet.flags = PACKET_RST;
	run_inject(packet);
	usleep(20000);
	close(fd);
	return bytes == hello.len;
}

static void cookie_that_is_used_again_pays_again(void **state)
{
	struct tps_slot caller = add_source(LIVE_REMOTE, 1);
	struct packet packet;
	struct live remote;
	int served = 0;

	hello_usual(&hello, NULL, 517, 0);
	live_use_cookies(true);
	packet = live_half_open(&remote, "198.18.0.10", SERVER, TLS_PORT);
	for (int i = 0; i < 5; i++)
		served += connect_by_cookie(packet, 600 * i);
	live_use_cookies(false);
	live_close(&remote);
	assert_int_equal(served, 1);
	assert_caller(caller, 1, 4);
}

/* What went by while nothing was read may have ended the connection. */
static void behind_a_pause_the_entrys_word_is_not_enough(void **state)
{
	struct packet packet;

	assert_int_equal(send_hello(&hello), XDP_PASS);
	packet = data_packet();
	live_close(&c);
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND);
	harness_pause(&h, true);
	harness_pause(&h, false);
	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED);
}

/* As if the open hello had begun so much earlier. */
static void age(__u32 seconds)
{
	int fd = bpf_map__fd(h.gate->maps.flows);
	struct tps_flow_key key;
	struct tps_flow flow;

	assert_int_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
	flow.hello.begin_jiffies -= seconds * BUCKET_NS_PER_SEC / harness_control(&h).tick_ns;
	assert_int_equal(bpf_map_update_elem(fd, &key, &flow, BPF_EXIST), 0);
}

static void hello_that_takes_too_long_is_its_sources(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	harness_use_ticks(&h);
	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	age(29);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, 50), XDP_PASS);
	assert_int_equal(handshakes(), 0);
	age(2);
	assert_int_equal(live_send(&c, &h, hello.bytes + 250, 50), XDP_PASS);
	assert_int_equal(harness_notes(&h, TLS, TPS_REASON_LONG_HELLO), 1);
	assert_int_equal(strangers_allowed(), 1);
	assert_caller(acme, 0, 0);
}

static void connect_from(struct live *l, __u16 port)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(TLS_PORT)};
	int one = 1;

	inet_pton(AF_INET, CLIENT, &from.sin_addr);
	inet_pton(AF_INET, SERVER, &to.sin_addr);
	l->client = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(l->client, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->client, (void *)&from, sizeof(from)) ||
	    connect(l->client, (void *)&to, sizeof(to)))
		err(1, "connect again");
	l->server = accept(tls_listener, NULL, NULL);
}

/* RST, SYN and data of the old connection in one batch: the gate sees all before the host sees any.
 */
static void old_data_behind_a_syn_hides_no_connection(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);
	struct packet p;

	assert_int_equal(send_hello(&hello), XDP_PASS);
	live_answer(&c, &h, SERVER_FLIGHT);
	p = data_packet();
	p.flags = PACKET_RST;
	p.payload = NULL;
	p.payload_bytes = 0;
	harness_run(&h, &p);
	p = data_packet();
	p.payload = NULL;
	p.payload_bytes = 0;
	p.seq += 5000;
	p.flags = PACKET_SYN;
	harness_run(&h, &p);
	expect_bound(); /* the host's old socket is still there */
	live_close(&c); /* now the host sees RST and SYN */
	usleep(1000);
	connect_from(&c, c.client_port);
	p = piece(&hello, 0, hello.len);
	harness_run(&h, &p);
	assert_int_equal(handshakes(), 2);
	assert_caller(acme, 2, 0);
}

/* ---- what the host reads otherwise ---- */

/* Announced by a segment without payload, it would take a byte out of the next one. */
static void urgent_data_is_dropped_where_it_is_announced(void **state)
{
	struct packet packet = live_packet(&c);

	packet.flags = PACKET_ACK | PACKET_URG;
	expect(&packet, TLS, TPS_ACTION_DROP, TPS_REASON_URGENT);
	assert_int_equal(send_hello(&hello), XDP_PASS);
}

static void make_pair(struct tps_slot *ret_gold, struct tps_slot *ret_iron, int last)
{
	*ret_gold = add_named("gold.example.com", 5);
	*ret_iron = add_named("iron.example.com", 5);
	hello_usual(&hello, "gold.example.com", 517, last);
	hello_usual(&other, "iron.example.com", 517, last);
}

/* Gold's first part is lost, its rest waits in the host; iron's first part completes it. */
static void bytes_that_wait_in_the_host_are_paid_by_the_source(void **state)
{
	struct tps_slot gold, iron;
	struct packet packet;

	make_pair(&gold, &iron, 0);
	packet = piece(&hello, 0, 300);
	packet.bad_checksum = true;
	assert_int_equal(run_inject(packet), XDP_PASS);
	assert_int_equal(run_inject(piece(&hello, 300, hello.len)), XDP_PASS);
	assert_int_equal(run_inject(piece(&other, 0, 300)), XDP_PASS);
	assert_server_reads("iron.example.com");
	assert_caller(gold, 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(voided(), 1);
}

/* The same where the gate would read on without asking the socket. */
static void bytes_that_wait_behind_what_is_read_anew_are_paid_by_the_source(void **state)
{
	struct tps_slot gold, iron;
	struct packet packet;

	make_pair(&gold, &iron, 1);
	packet = piece(&hello, 0, 480);
	packet.bad_checksum = true;
	assert_int_equal(run_inject(packet), XDP_PASS);
	assert_int_equal(run_inject(piece(&other, 480, 510)), XDP_PASS);
	run_inject(piece(&hello, 0, 480));
	usleep(10000);
	run_inject(piece(&hello, 480, hello.len));
	assert_caller(gold, 0, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(voided(), 1);
}

static void server_that_speaks_first_has_answered_no_hello(void **state)
{
	struct tps_slot gold, iron;
	struct packet packet;

	make_pair(&gold, &iron, 0);
	live_answer(&c, &h, "220 ready\r\n");
	packet = piece(&hello, 0, hello.len);
	packet.bad_checksum = true;
	assert_int_equal(run_inject(packet), XDP_PASS);
	assert_int_equal(run_inject(piece(&other, 0, other.len)), XDP_PASS);
	assert_server_reads("iron.example.com");
	assert_caller(gold, 1, 0);
	assert_caller(iron, 1, 0);
}

static void empty_record_hides_no_hello(void **state)
{
	struct packet packet;

	other.len = 0;
	hello_put(&other, "\x16\x03\x01\0\0", 5);
	hello_put(&other, hello.bytes, hello.len);
	packet = piece(&other, 0, other.len);
	packet.source_port = 2000; /* no socket */
	harness_run(&h, &packet);
	assert_int_equal(handshakes(), 1);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED), 0);
}

/* ---- what is no fault of the client's ---- */

static void hello_that_was_open_while_the_gate_looked_away_is_free(void **state)
{
	struct tps_slot acme = add_named(NAME, 1);

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	harness_pause(&h, true);
	assert_int_equal(live_send(&c, &h, hello.bytes + 200, hello.len - 200), XDP_PASS);
	live_answer(&c, &h, SERVER_FLIGHT);
	harness_pause(&h, false);
	assert_int_equal(live_send(&c, &h, DATA, sizeof(DATA) - 1), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_JOINED), 1);
	assert_caller(acme, 0, 0);
	assert_int_equal(handshakes(), 0);
}

/* A host that is gone resets it, as it should. */
static void open_hello_without_a_socket_passes(void **state)
{
	struct packet packet;

	assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
	packet = piece(&hello, 200, hello.len);
	packet.seq -= 200;
	packet.ack++; /* or no socket is asked */
	live_close(&c);
	c.client = c.server = -1;
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
}

static void refuse_all(enum tps_refusal refusal)
{
	set_tls(refusal, TPS_MODE_ENFORCE);
	harness_set_tier(&h, 0, limit_frozen(1));
	assert_int_equal(live_send_text(&c, &h, GET), XDP_PASS);
	connect_anew();
}

static void client_that_speaks_no_tls_gets_no_alert(void **state)
{
	struct tps_splice splice;
	struct packet packet;

	refuse_all(TPS_REFUSAL_ANSWER);
	packet = live_packet(&c);
	packet.payload = GET;
	expect(&packet, TLS, TPS_ACTION_DROP, TPS_REASON_LIMIT);
	assert_false(harness_splice(&h, &packet, &splice));
}

/* Whatever was read last on this CPU. */
static void what_was_not_read_is_not_answered(void **state)
{
	struct packet packet;

	refuse_all(TPS_REFUSAL_ANSWER);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(live_send(&c, &h, hello.bytes, 200), XDP_PASS);
		packet = piece(&hello, 0, hello.len - 200);
		packet.payload = hello.bytes + 200;
		assert_int_equal(harness_run(&h, &packet), XDP_PASS); /* read, and to be answered */
		harness_forget_flows(&h);
		expect(&packet, TLS, TPS_ACTION_DROP, TPS_REASON_LIMIT);
		connect_anew();
	}
}

/* ---- placement transit ---- */

static struct far f;

static void far_tls(void)
{
	struct harness_listener listener = {.protocol = TPS_PROTOCOL_TLS,
					    .ports = {TLS_PORT},
					    .placement = TPS_PLACEMENT_TRANSIT};
	static __u16 port = 31000;

	harness_set_listener(&h, TLS, &listener);
	far_packets(&f, CLIENT, FAR_SERVER, port++);
	f.client.destination_port = TLS_PORT;
	f.server.source_port = TLS_PORT;
	f.client.seq--;
	f.client.flags = PACKET_SYN;
	assert_int_equal(harness_run(&h, &f.client), XDP_PASS);
	f.client.seq++;
	f.client.flags = 0;
	f.server.seq--;
	f.server.ack = f.client.seq;
	f.server.flags = PACKET_SYN | PACKET_ACK;
	assert_int_equal(harness_run_egress(&h, &f.server), TC_ACT_UNSPEC);
	f.server.seq++;
	f.client.ack = f.server.seq;
	assert_int_equal(harness_run(&h, &f.client), XDP_PASS);
}

static int far_piece(const struct hello *of, size_t from, size_t to)
{
	struct packet p = f.client;

	p.seq += from;
	p.payload = of->bytes + from;
	p.payload_bytes = to - from;
	return harness_run(&h, &p);
}

static void far_acks(__u32 bytes)
{
	f.server.ack = f.client.seq + bytes;
	f.server.flags = 0;
	assert_int_equal(harness_run_egress(&h, &f.server), TC_ACT_UNSPEC);
}

static void transit_hello_is_charged_to_its_name(void **state)
{
	struct tps_slot acme = add_named(NAME, 5);

	far_tls();
	assert_int_equal(far_piece(&hello, 0, 200), XDP_PASS);
	assert_int_equal(far_piece(&hello, 200, hello.len), XDP_PASS);
	assert_caller(acme, 1, 0);
	far_acks(hello.len);
	f.client.seq += hello.len;
	assert_int_equal(far_piece(&hello, 0, hello.len), XDP_PASS);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND), 1);
	assert_caller(acme, 1, 0);
}

/* Some servers take an ack that is a little too low. */
static void transit_ack_before_the_handshakes_passes_nothing(void **state)
{
	far_tls();
	f.client.ack--;
	assert_int_equal(far_piece(&hello, 1, hello.len), XDP_DROP);
	assert_int_equal(harness_packets(&h, TLS, TPS_ACTION_DROP, TPS_REASON_NO_HANDSHAKE), 1);
}

static void transit_ack_that_is_low_makes_no_answer(void **state)
{
	struct tps_slot gold, iron;

	make_pair(&gold, &iron, 0);
	far_tls();
	assert_int_equal(far_piece(&hello, 0, 1), XDP_PASS);
	far_acks(1);
	f.client.ack--;
	assert_int_equal(far_piece(&hello, 1, hello.len), XDP_PASS); /* lost behind the gate */
	f.client.ack++;
	assert_int_equal(far_piece(&other, 1, other.len), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(strangers_allowed(), 1);
	assert_int_equal(voided(), 1);
}

static void transit_hello_whose_entry_was_evicted_does_not_hang(void **state)
{
	int dropped = 0;

	far_tls();
	assert_int_equal(far_piece(&hello, 0, 200), XDP_PASS);
	far_acks(200);
	harness_forget_flows(&h);
	while (dropped < 100 && far_piece(&hello, 200, hello.len) == XDP_DROP)
		dropped++;
	assert_true(dropped < 8);
	assert_int_equal(handshakes(), 1);
}

static void transit_connection_of_any_length_stays_bound(void **state)
{
	harness_set_tier(&h, 0, limit_frozen(1));
	far_tls();
	assert_int_equal(far_piece(&hello, 0, hello.len), XDP_PASS);
	/* both sides go on, 5 GiB each */
	for (int i = 0; i < 20; i++) {
		f.client.seq += 1u << 28;
		f.server.seq += 1u << 28;
		f.server.payload = SERVER_FLIGHT;
		far_acks(0);
		f.client.ack = f.server.seq;
		assert_int_equal(far_piece(&hello, 0, hello.len), XDP_PASS);
	}
	assert_int_equal(handshakes(), 1);
	assert_int_equal(voided(), 0);
}

static void transit_reset_ends_what_is_bound(void **state)
{
	struct packet packet;

	far_tls();
	assert_int_equal(far_piece(&hello, 0, hello.len), XDP_PASS);
	far_acks(hello.len);
	packet = f.client;
	packet.flags = PACKET_RST;
	packet.seq += hello.len + 1; /* forged */
	harness_run(&h, &packet);
	assert_int_equal(harness_flows(&h), 1);
	packet.seq--;
	harness_run(&h, &packet);
	assert_int_equal(harness_flows(&h), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HELLO_CASE("a SYN cookie that is used again pays again",
			   cookie_that_is_used_again_pays_again),
		HELLO_CASE("old data behind a SYN hides no connection",
			   old_data_behind_a_syn_hides_no_connection),
		HELLO_CASE("behind a pause the entry's word is not enough",
			   behind_a_pause_the_entrys_word_is_not_enough),
		HELLO_CASE("a hello that takes too long is its source's",
			   hello_that_takes_too_long_is_its_sources),
		HELLO_CASE("urgent data is dropped where it is announced",
			   urgent_data_is_dropped_where_it_is_announced),
		HELLO_CASE("bytes that wait in the host are paid by the source",
			   bytes_that_wait_in_the_host_are_paid_by_the_source),
		HELLO_CASE("bytes that wait behind what is read anew are paid by the source",
			   bytes_that_wait_behind_what_is_read_anew_are_paid_by_the_source),
		HELLO_CASE("a server that speaks first has answered no hello",
			   server_that_speaks_first_has_answered_no_hello),
		HELLO_CASE("an empty record hides no hello", empty_record_hides_no_hello),
		HELLO_CASE("a hello that was open while the gate looked away is free",
			   hello_that_was_open_while_the_gate_looked_away_is_free),
		HELLO_CASE("an open hello without a socket passes",
			   open_hello_without_a_socket_passes),
		HELLO_CASE("a client that speaks no TLS gets no alert",
			   client_that_speaks_no_tls_gets_no_alert),
		HELLO_CASE("what was not read is not answered", what_was_not_read_is_not_answered),
		HELLO_CASE("transit: a hello is charged to its name",
			   transit_hello_is_charged_to_its_name),
		HELLO_CASE("transit: an ack before the handshake's passes nothing",
			   transit_ack_before_the_handshakes_passes_nothing),
		HELLO_CASE("transit: an ack that is low makes no answer",
			   transit_ack_that_is_low_makes_no_answer),
		HELLO_CASE("transit: a hello whose entry was evicted does not hang",
			   transit_hello_whose_entry_was_evicted_does_not_hang),
		HELLO_CASE("transit: a connection of any length stays bound",
			   transit_connection_of_any_length_stays_bound),
		HELLO_CASE("transit: a reset ends what is bound", transit_reset_ends_what_is_bound),
	};

	return cmocka_run_group_tests_name("hello_evasion", tests, group_open, group_close);
}
