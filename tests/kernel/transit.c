// SPDX-License-Identifier: GPL-2.0-only
/*
 * Placement transit: the sockets are elsewhere, and what the egress program saw leave is the proof.
 */
#include "lib/far.h"
#include "lib/victim.h"

#include <stdlib.h>

#define FORGERIES 20000

static struct far f;

static int transit_case_open(void **state)
{
	case_open(state);
	far_listener();
	far_open(&f, CLIENT, FAR_SERVER);
	return 0;
}

static void syn_ack_proves_the_first_request(void **state)
{
	struct tps_slot caller = add_source("198.51.100.0/24", 2);

	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	assert_int_not_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	assert_int_equal(harness_bucket(&h, caller).unproven_tat_vt, 0);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET), XDP_DROP);
	assert_caller(caller, 2, 1);
}

/* A server takes an ack that is a little too low; the gate, which saw the handshake, cannot prove
 * it. The connection is no older than the gate for that. */
static void unproven_first_request_makes_no_old_connection(void **state)
{
	__u64 before;

	harness_set_tier(&h, 0, limit_frozen(100));
	f.client.ack--;
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	server_sends(&f, OK);
	before = charged();
	for (__u64 i = 1; i <= 20; i++) {
		assert_int_equal(client_sends(&f, "\r\nGET / HT"), XDP_PASS);
		assert_int_equal(client_sends(&f, "TP/1.1\r\n\r\n"), XDP_PASS);
		server_sends(&f, OK);
		assert_true(charged() >= before + i);
	}
}

static void syn_ack6_proves_the_first_request(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);

	far_open(&f, CLIENT6, FAR_SERVER6);
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_PASS);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_DROP);
	assert_caller(gold, 1, 1);
	assert_int_not_equal(harness_bucket(&h, gold).proven_tat_vt, 0);
}

static void no_syn_ack_no_proof(void **state)
{
	struct tps_slot caller = add_source("198.51.100.0/24", 1);
	__u32 flows = harness_flows(&h);

	far_packets(&f, CLIENT, FAR_SERVER, 1234);
	f.client.ack = f.server.seq;
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	assert_int_equal(client_sends(&f, GET), XDP_DROP);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE), 2);
	assert_int_equal(harness_flows(&h), flows);
}

/* One request of each of its names is behind it, on the connection. */
static void make_victim(struct victim *ret, const char *prefix)
{
	victim_add(ret, prefix);
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET_KEY("victim")), XDP_PASS);
	server_sends(&f, OK);
	victim_note(ret);
}

static void assert_untouched(const struct victim *victim)
{
	victim_assert_untouched(victim);
	/* and the victim's own request goes on, charged to it */
	assert_int_equal(client_sends(&f, GET_KEY("victim")), XDP_PASS);
	assert_int_equal(caller_allowed(victim->keyed), 2);
}

static void forge(struct packet forged, __u8 flags, const char *payload, bool ports)
{
	forged.flags = flags;
	forged.payload = payload;
	for (int i = 0; i < FORGERIES; i++) {
		if (ports)
			forged.source_port = 1024 + random() % 28000; /* no connection's here */
		forged.seq = random() * 2654435761u;
		forged.ack = random() * 2654435761u;
		harness_run(&h, &forged);
	}
}

static void forgeries_at_random(const char *prefix)
{
	struct victim victim;

	make_victim(&victim, prefix);
	forge(f.client, 0, GET_KEY("victim"), true);
	assert_untouched(&victim);
	/* not free either: ten tokens of the unproven word */
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED), FORGERIES - 10);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE), FORGERIES);
}

static void forgeries_on_the_connection(const char *prefix)
{
	struct victim victim;

	make_victim(&victim, prefix);
	forge(f.client, 0, GET_KEY("victim"), false);
	assert_untouched(&victim);
	/* an eighth of all numbers fit the windows (FLOW_ACK_BEHIND), and not the next byte */
	assert_true(harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW) > FORGERIES * 8 / 10);
}

/* On other ports and on the connection's own, with payload and without. */
static void forged_syns_on_the_way(const char *prefix)
{
	struct victim victim;

	make_victim(&victim, prefix);
	for (int ports = 0; ports < 2; ports++) {
		forge(f.client, PACKET_SYN, GET_KEY("victim"), ports);
		forge(f.client, PACKET_SYN, NULL, ports);
	}
	assert_untouched(&victim);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_SYN_PAYLOAD), 2 * FORGERIES);
}

static void open_ipv6(void)
{
	far_open(&f, CLIENT6, FAR_SERVER6);
}

static void random_forgeries(void **state)
{
	forgeries_at_random("198.51.100.0/24");
}

static void random_forgeries6(void **state)
{
	open_ipv6();
	forgeries_at_random("2001:db8:7::/48");
}

static void forgeries_on_a_forwarded_connection(void **state)
{
	forgeries_on_the_connection("198.51.100.0/24");
}

static void forgeries_on_a_forwarded_connection6(void **state)
{
	open_ipv6();
	forgeries_on_the_connection("2001:db8:7::/48");
}

static void forged_syns(void **state)
{
	forged_syns_on_the_way("198.51.100.0/24");
}

static void forged_syns6(void **state)
{
	open_ipv6();
	forged_syns_on_the_way("2001:db8:7::/48");
}

/* The server answers them, and whoever forged them has not seen how. */
static void answers_to_forged_syns_prove_nothing(void **state)
{
	struct victim victim;
	struct far forged;

	make_victim(&victim, "198.51.100.0/24");
	for (int i = 0; i < 1000; i++) {
		far_packets(&forged, CLIENT, FAR_SERVER, 2000 + i);
		forged.server.seq = random() * 2654435761u;
		forged.server.ack = forged.client.seq;
		forged.server.flags = PACKET_SYN | PACKET_ACK;
		assert_int_equal(harness_run_egress(&h, &forged.server), TC_ACT_UNSPEC);
		forged.client.payload = GET_KEY("victim");
		forged.client.ack = forged.server.seq + 1 + (1 << 20) + random() % (1u << 31);
		harness_run(&h, &forged.client);
	}
	assert_untouched(&victim);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE) +
				 harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW),
			 1000);
}

/* What comes from outside is no proof, whatever it looks like. */
static void syn_ack_from_outside_proves_nothing(void **state)
{
	struct tps_slot caller = add_source("198.51.100.0/24", 5);

	far_packets(&f, CLIENT, FAR_SERVER, 1235);
	f.server.ack = f.client.seq;
	f.server.flags = PACKET_SYN | PACKET_ACK;
	expect(&f.server, 0, TPS_ACTION_PASS, TPS_REASON_NOT_LISTENER);
	f.client.ack = f.server.seq + 1;
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
}

static void what_leaves_from_other_ports_makes_no_entry(void **state)
{
	__u32 flows = harness_flows(&h);

	far_packets(&f, CLIENT, FAR_SERVER, 1236);
	f.server.source_port = 22;
	server_sends(&f, "SSH-2.0");
	assert_int_equal(harness_flows(&h), flows);
}

static void cut_request_is_read_whole(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);

	assert_int_equal(client_sends(&f, "GET / HTTP/1.1\r\nX-API-"), XDP_PASS);
	server_sends(&f, NULL);
	assert_int_equal(client_sends(&f, "Key: gold\r\n\r\n"), XDP_PASS);
	assert_caller(gold, 1, 0);
}

static void bytes_that_the_server_has_are_free(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	struct packet first = f.client;

	first.payload = GET_KEY("gold");
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_PASS);
	server_sends(&f, OK);
	expect(&first, HTTP, TPS_ACTION_PASS, TPS_REASON_RESENT);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

static void bytes_that_the_server_has_not_are_charged(void **state)
{
	struct packet first = f.client;

	add_keyed("gold", 5);
	first.payload = GET_KEY("gold");
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_PASS);
	assert_int_equal(harness_run(&h, &first), XDP_PASS);
	assert_int_equal(charged(), 2);
}

/* Its bare ACK: the client's stream is still read from its first byte, by which
 * even a method that resync would not know is charged to its key. */
static void server_that_speaks_first(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);

	server_sends(&f, NULL);
	assert_int_equal(client_sends(&f, "BREW / HTTP/1.1\r\nX-API-Key: gold\r\n\r\n"), XDP_PASS);
	assert_caller(gold, 1, 0);
	assert_int_equal(charged(), 1);
}

static void old_forwarded_connection(void **state)
{
	struct tps_slot gold = add_keyed("gold", 1);

	far_packets(&f, CLIENT, FAR_SERVER, 1237);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_PASS);
	server_sends(&f, OK);
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_DROP);
	assert_caller(gold, 1, 1);
}

static void old_forwarded_upload_is_free(void **state)
{
	far_packets(&f, CLIENT, FAR_SERVER, 1238);
	server_sends(&f, NULL);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(client_sends(&f, "body body body body body"), XDP_PASS);
		server_sends(&f, NULL);
	}
	assert_int_equal(charged(), 0);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED), 0);
}

static void reused_port_begins_anew(void **state)
{
	struct tps_slot gold = add_keyed("gold", 5);
	__u16 port;

	assert_int_equal(client_sends(&f, "GET / HTTP/1.1\r\nX-API-"), XDP_PASS);
	port = f.client.source_port;
	far_packets(&f, CLIENT, FAR_SERVER, port);
	f.client.seq = 3000000001u;
	f.server.seq = 77;
	f.server.ack = f.client.seq;
	f.server.flags = PACKET_SYN | PACKET_ACK;
	assert_int_equal(harness_run_egress(&h, &f.server), TC_ACT_UNSPEC);
	f.server.seq++;
	f.client.ack = f.server.seq;
	assert_int_equal(client_sends(&f, GET_KEY("gold")), XDP_PASS);
	assert_caller(gold, 1, 0);
}

static void numbers_wrap_around(void **state)
{
	struct tps_slot gold = add_keyed("gold", 60);
	struct tps_bucket bucket;

	far_packets(&f, CLIENT, FAR_SERVER, 1239);
	f.client.seq = 0xffffff80;
	f.server.seq = 0xffffffc0;
	f.server.ack = f.client.seq;
	f.server.flags = PACKET_SYN | PACKET_ACK;
	f.server.seq--;
	assert_int_equal(harness_run_egress(&h, &f.server), TC_ACT_UNSPEC);
	f.server.seq++;
	f.client.ack = f.server.seq;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(client_sends(&f, "GET / HTTP/1.1\r\nX-API-"), XDP_PASS);
		assert_int_equal(client_sends(&f, "Key: gold\r\n\r\n"), XDP_PASS);
		server_sends(&f, OK);
	}
	assert_true(f.client.seq < 10000 && f.server.seq < 10000);
	assert_caller(gold, 20, 0);
	assert_int_equal(charged(), 20);
	bucket = harness_bucket(&h, gold);
	assert_int_equal(bucket.unproven_tat_vt, 0);
}

static void local_placement_ignores_what_leaves(void **state)
{
	struct tps_slot caller = add_source("198.51.100.0/24", 5);

	case_listener(HTTP, TPS_PROTOCOL_HTTP, HTTP_PORT);
	assert_int_equal(client_sends(&f, GET), XDP_PASS);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_SOCKET), 1);
}

#define TRANSIT_CASE(sentence, function) \
	{ \
		sentence, function, transit_case_open, case_close, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		TRANSIT_CASE("the SYN-ACK that left proves the first request",
			     syn_ack_proves_the_first_request),
		TRANSIT_CASE("a first request that is not proven makes no old connection",
			     unproven_first_request_makes_no_old_connection),
		TRANSIT_CASE("the IPv6 SYN-ACK that left proves the first request",
			     syn_ack6_proves_the_first_request),
		TRANSIT_CASE("without a SYN-ACK nothing is proven", no_syn_ack_no_proof),
		TRANSIT_CASE("20,000 forged segments spend nothing of the victim's proven word",
			     random_forgeries),
		TRANSIT_CASE("20,000 forged IPv6 segments spend nothing", random_forgeries6),
		TRANSIT_CASE("20,000 forged segments on a forwarded connection spend nothing",
			     forgeries_on_a_forwarded_connection),
		TRANSIT_CASE("20,000 forged segments on a forwarded IPv6 connection spend nothing",
			     forgeries_on_a_forwarded_connection6),
		TRANSIT_CASE("forged SYNs, 20,000 of each kind, spend nothing", forged_syns),
		TRANSIT_CASE("forged IPv6 SYNs, 20,000 of each kind, spend nothing", forged_syns6),
		TRANSIT_CASE("the answers to forged SYNs prove nothing to who has not seen them",
			     answers_to_forged_syns_prove_nothing),
		TRANSIT_CASE("a SYN-ACK from outside proves nothing",
			     syn_ack_from_outside_proves_nothing),
		TRANSIT_CASE("what leaves from a port without a listener makes no entry",
			     what_leaves_from_other_ports_makes_no_entry),
		TRANSIT_CASE("a request cut in two is read whole", cut_request_is_read_whole),
		TRANSIT_CASE("bytes that the server has acknowledged are free",
			     bytes_that_the_server_has_are_free),
		TRANSIT_CASE("bytes that the server has not acknowledged are charged again",
			     bytes_that_the_server_has_not_are_charged),
		TRANSIT_CASE("a server that speaks first makes no old connection",
			     server_that_speaks_first),
		TRANSIT_CASE("an old connection is charged from its next request on",
			     old_forwarded_connection),
		TRANSIT_CASE("an upload that began before the gate is free",
			     old_forwarded_upload_is_free),
		TRANSIT_CASE("a port that is used again begins a new flow",
			     reused_port_begins_anew),
		TRANSIT_CASE("sequence numbers may wrap around", numbers_wrap_around),
		TRANSIT_CASE("a listener of placement local does not believe what leaves",
			     local_placement_ignores_what_leaves),
	};

	return cmocka_run_group_tests_name("transit", cases, http_group_open, http_group_close);
}
