// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection that the host has not made yet, since it waits for data (TCP_DEFER_ACCEPT): its
 * first request, refused, is answered with the connection's end, and nothing of it stays. Also how
 * long an entry stays that nobody uses.
 */
#include "lib/refused.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tps.skel.h"

static struct live remote;

/* The handshake is over for the client @address; the host has its last ACK and makes no socket. */
static struct packet defer(const char *address)
{
	struct packet packet;
	int seconds = 30;

	setsockopt(http_listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
	packet = live_half_open(&remote, address, SERVER, HTTP_PORT);
	turned_write(&packet);
	live_receive(t.frame, t.len);
	packet.payload = GET_LONG;
	return packet;
}

static void end(void)
{
	int never = 0;

	setsockopt(http_listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &never, sizeof(never));
	live_close(&remote);
}

static struct tps_splicing splicing_now(void)
{
	struct tps_splicing of = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(h.gate->maps.splicing), &zero, &of);
	return of;
}

static void tagged_devices_are(__u64 devices)
{
	struct tps_splicing of = {.tagged = devices};
	__u32 zero = 0;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(h.gate->maps.splicing), &zero, &of, BPF_ANY), 0);
}

static void first_request_of_a_deferred_connection_is_answered_at_once(void **state)
{
	struct packet packet = defer("198.18.1.9");
	struct tps_splice splice;

	expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_LIMIT);
	assert_way_back();
	assert_int_equal(t.now.flags, PACKET_FIN | PACKET_PSH | PACKET_ACK);
	assert_int_equal(t.now.seq, t.was.ack);
	assert_int_equal(t.now.ack, t.was.seq + strlen(GET_LONG));
	assert_true(harness_splice(&h, &packet, &splice));
	assert_int_equal(splice.state, TPS_SPLICE_CLOSED);
	/* the client's ACK frees what the host has of it */
	packet.payload = NULL;
	packet.seq = t.now.ack;
	packet.ack = t.now.seq + t.now.payload_bytes + 1;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ENDED);
	assert_int_equal(t.now.flags, PACKET_RST);
	assert_int_equal(t.now.seq, splice.asked_seq);
	end();
}

static void numbers_that_the_handshake_does_not_have_draw_nothing(void **state)
{
	struct packet packet = defer("198.18.1.10");

	packet.ack++;
	assert_int_not_equal(harness_run(&h, &packet), XDP_TX);
	packet.ack--;
	packet.seq--;
	assert_int_not_equal(harness_run(&h, &packet), XDP_TX);
	packet.seq++;
	packet.flags = PACKET_PSH;
	assert_int_not_equal(harness_run(&h, &packet), XDP_TX);
	end();
}

/* The host would never get them. */
static void request_behind_bytes_that_passed_is_not_answered_at_once(void **state)
{
	struct packet packet = defer("198.18.1.13");

	packet.payload = "\r\n";
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	packet.seq += 2;
	packet.payload = GET_LONG;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_same_way();
	end();
}

static void reset_frees_the_hosts_request(void **state)
{
	struct packet packet;

	refuse_all_by(TPS_REFUSAL_RESET);
	packet = defer("198.18.1.11");
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_LIMIT);
	assert_same_way();
	assert_int_equal(t.now.flags, PACKET_RST);
	assert_int_equal(t.now.seq, t.was.seq);
	assert_int_equal(t.now.payload_bytes, 0);
	end();
}

/* The answer would go to whoever has that address where there is no tag. */
static void nothing_is_answered_where_its_tag_would_be_lost(void **state)
{
	struct packet packet = defer("198.18.1.12");

	tagged_devices_are(1ULL << if_nametoindex("lo"));
	dropped(&packet);
	tagged_devices_are(~(1ULL << if_nametoindex("lo")));
	expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_LIMIT);
	end();
}

static void is_tagged_and_reset(struct tps_splice *splice)
{
	splice->state = TPS_SPLICE_RESET;
	splice->tagged = 1;
}

static void nothing_is_acked_where_its_tag_would_be_lost(void **state)
{
	struct packet packet = spliced_asks("the rest of a body");

	splice_open_as(is_tagged_and_reset);
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
	packet.vlan_tags = 1;
	expect_turn(&packet, HTTP, TPS_ACTION_TX, TPS_REASON_ENDED);
}

static void clients_rst_behind_a_closing_answer_is_the_end(void **state)
{
	struct packet packet;
	struct tps_splice splice;

	answer_is_under_way(TPS_SPLICE_CLOSED);
	packet = spliced_asks(NULL);
	packet.flags = PACKET_RST;
	packet.ack -= 300; /* the answer is not acked */
	packet.seq++;
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
	assert_true(harness_splice(&h, &packet, &splice));
	packet.seq--;
	expect_turn(&packet, HTTP, TPS_ACTION_PASS, TPS_REASON_ENDED);
	assert_int_equal(t.now.flags, PACKET_RST);
	assert_int_equal(t.now.seq, live_packet(&c).seq);
	assert_false(harness_splice(&h, &packet, &splice));
	/* the server's socket is gone already */
	answer_is_under_way(TPS_SPLICE_RESET);
	expect_turn(&packet, HTTP, TPS_ACTION_DROP, TPS_REASON_ENDED);
	assert_false(harness_splice(&h, &packet, &splice));
}

static void is_closed(struct tps_splice *splice)
{
	splice->state = TPS_SPLICE_CLOSED;
}

/* The host sends it until it has the handshake's end, or the RST that is to come. */
static void syn_ack_again_leaves_the_entry_of_an_answered_connection(void **state)
{
	struct packet packet = server_says(NULL), client = spliced_asks(NULL);
	struct tps_splice splice;

	splice_open_as(is_closed);
	packet.flags = PACKET_SYN | PACKET_ACK;
	packet.seq--;
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_SHOT);
	assert_true(harness_splice(&h, &client, &splice));
	packet.seq += 1000; /* another connection's */
	turned_write(&packet);
	assert_int_equal(harness_turn_egress(&h, t.frame, &t.len), TC_ACT_UNSPEC);
	assert_false(harness_splice(&h, &client, &splice));
}

/* Each ten seconds all are looked at. */
static void entry_that_nobody_uses_is_forgotten_and_no_other(void **state)
{
	struct packet packet = asks(GET_LONG), other = packet;
	struct tps_splice splice, fresh;

	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	assert_int_equal(splicing_now().swept, 1);
	assert_true(harness_splice(&h, &packet, &splice));
	fresh = splice;
	fresh.swallowed = 100; /* of an open connection */
	other.source_port++;
	harness_set_splice(&h, &other, &fresh);
	splice.used_jiffies = 1;
	harness_set_splice(&h, &packet, &splice);
	for (int tenths = 0; tenths < 150 && harness_splice(&h, &packet, &splice); tenths++)
		usleep(100000);
	assert_false(harness_splice(&h, &packet, &splice));
	assert_true(harness_splice(&h, &other, &splice));
	assert_int_equal(harness_splices_of_port(&h, HTTP_PORT), 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		REFUSED_CASE("a deferred connection's first request is answered at once",
			     first_request_of_a_deferred_connection_is_answered_at_once),
		REFUSED_CASE("numbers that its handshake does not have draw nothing",
			     numbers_that_the_handshake_does_not_have_draw_nothing),
		REFUSED_CASE("a request behind bytes that passed is not answered at once",
			     request_behind_bytes_that_passed_is_not_answered_at_once),
		REFUSED_CASE("a reset frees the host's request", reset_frees_the_hosts_request),
		REFUSED_CASE("nothing is answered where its tag would be lost",
			     nothing_is_answered_where_its_tag_would_be_lost),
		REFUSED_CASE("nothing is acked where its tag would be lost",
			     nothing_is_acked_where_its_tag_would_be_lost),
		REFUSED_CASE("the client's RST behind a closing answer is the end",
			     clients_rst_behind_a_closing_answer_is_the_end),
		REFUSED_CASE("a SYN-ACK sent again leaves the entry of an answered connection",
			     syn_ack_again_leaves_the_entry_of_an_answered_connection),
		REFUSED_CASE("an entry that nobody uses is forgotten, and no other",
			     entry_that_nobody_uses_is_forgotten_and_no_other),
	};

	return cmocka_run_group_tests_name("deferred", cases, http_group_open, http_group_close);
}
