// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nobody spends another's tokens: what is not proven by the host's own TCP state reaches only the
 * unproven bucket of its source, makes no entry and has nothing sent.
 */
#include "lib/victim.h"

#include <stdlib.h>

#define FORGERIES 20000

static void request_spends_the_proven_word(void **state)
{
	struct tps_slot caller = add_source("198.51.100.0/24", 2);
	struct tps_bucket bucket;

	assert_passes(GET);
	bucket = harness_bucket(&h, caller);
	assert_int_not_equal(bucket.proven_tat_vt, 0);
	assert_int_equal(bucket.unproven_tat_vt, 0);
	answer();
	assert_passes(GET);
	answer();
	assert_drops(GET);
	assert_caller(caller, 2, 1);
	assert_int_equal(harness_packets(&h, HTTP, TPS_ACTION_DROP, TPS_REASON_LIMIT), 1);
}

/* From now on the connection is one over IPv6. */
static void over_ipv6(void)
{
	live_close(&c);
	live_open(&c, &h, http_listener6, CLIENT6, SERVER6, HTTP_PORT);
}

static void request6_spends_the_proven_word(void **state)
{
	struct tps_slot caller = add_source("2001:db8:7::/48", 1);

	over_ipv6();
	assert_passes(GET);
	assert_int_not_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	answer();
	assert_drops(GET);
	assert_caller(caller, 1, 1);
}

static void strangers_request_spends_the_proven_word(void **state)
{
	struct tps_stranger stranger;

	assert_passes(GET);
	assert_true(harness_stranger(&h, CLIENT, &stranger));
	assert_int_not_equal(stranger.bucket.proven_tat_vt, 0);
	assert_int_equal(stranger.bucket.unproven_tat_vt, 0);
	assert_int_equal(stranger.verdicts[TPS_VERDICT_ALLOWED], 1);
}

/* One request of each of its names is behind it, on a live connection. */
static void make_victim(struct victim *ret)
{
	victim_add(ret, strchr(c.client_address, ':') ? "2001:db8:7::/48" : "198.51.100.0/24");
	assert_passes(GET);
	answer();
	assert_passes(GET_KEY("victim"));
	answer();
	victim_note(ret);
}

static void assert_untouched(const struct victim *victim)
{
	victim_assert_untouched(victim);
	/* and the victim's own request goes on */
	assert_passes(GET_KEY("victim"));
	answer();
	assert_passes(GET);
}

static struct packet genuine; /* what forgeries are made of */

static void forge(struct packet forged, int count, void (*vary)(struct packet *))
{
	genuine = forged;
	for (int i = 0; i < count; i++) {
		vary(&forged);
		harness_run(&h, &forged);
	}
}

static struct packet forgery(void)
{
	struct packet forged = live_packet(&c);

	forged.payload = GET_KEY("victim");
	return forged;
}

static void vary_all(struct packet *forged)
{
	forged->source_port = 1024 + random() % 60000;
	forged->seq = random() * 2654435761u;
	forged->ack = random() * 2654435761u;
}

static void vary_numbers(struct packet *forged)
{
	forged->seq = random() * 2654435761u;
	forged->ack = random() * 2654435761u;
}

static void vary_port(struct packet *forged)
{
	forged->source_port = 1024 + random() % 60000;
}

static void random_forgeries_spend_nothing(void **state)
{
	struct victim victim;
	__u64 before;

	make_victim(&victim);
	before = charged();
	forge(forgery(), FORGERIES, vary_all);
	assert_untouched(&victim);
	/* not free either: ten tokens of the victim's unproven word, then dropped */
	assert_int_equal(charged() - before, 10 + 2);
	assert_int_equal(harness_transactions(&h, HTTP, TPS_VERDICT_REFUSED), FORGERIES - 10);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_SOCKET) +
				 harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE) +
				 harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW),
			 FORGERIES);
}

static void forgeries_on_a_live_connection_spend_nothing(void **state)
{
	struct victim victim;

	make_victim(&victim);
	forge(forgery(), FORGERIES, vary_numbers);
	assert_untouched(&victim);
	assert_true(harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW) > FORGERIES * 9 / 10);
}

/* Anywhere but within a megabyte of what the client has seen: a window is not a secret, only where
 * it lies is. */
static void vary_ack(struct packet *forged)
{
	forged->ack = genuine.ack + (1 << 20) + random() % (0xffffffffu - (2 << 20));
}

/* The right sequence number, which a listener on the way might have seen, and not the ack. */
static void forgeries_at_the_right_seq_spend_nothing(void **state)
{
	struct victim victim;

	make_victim(&victim);
	forge(forgery(), FORGERIES, vary_ack);
	assert_untouched(&victim);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW), FORGERIES);
}

/* Beyond the window, or more than 2^30 behind it. */
static void vary_seq(struct packet *forged)
{
	forged->seq = genuine.seq + (1 << 24) + random() % 0xbe000000u;
}

static void forgeries_with_the_right_ack_spend_nothing(void **state)
{
	struct victim victim;

	make_victim(&victim);
	forge(forgery(), FORGERIES, vary_seq);
	assert_untouched(&victim);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW), FORGERIES);
}

static void forged_syns_spend_nothing(void **state)
{
	struct victim victim;
	struct packet forged;

	make_victim(&victim);
	forged = forgery();
	forged.flags = PACKET_SYN;
	forge(forged, FORGERIES / 2, vary_all);
	forged.payload = NULL;
	forge(forged, FORGERIES / 2, vary_all);
	assert_untouched(&victim);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_SYN_PAYLOAD), FORGERIES / 2);
}

static void vary_last_byte_of_port(struct packet *forged)
{
	forged->flags = PACKET_SYN;
	vary_port(forged);
}

static void forged_connection_attempts_spend_the_unproven_word(void **state)
{
	bool is_v6 = strchr(c.client_address, ':');
	struct tps_slot caller = add_source(is_v6 ? "2001:db8:7::/48" : "198.51.100.0/24", 10);
	struct packet forged = syn(c.client_address);

	forge(forged, FORGERIES, vary_last_byte_of_port);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	assert_caller(caller, 10, FORGERIES - 10);
	assert_passes(GET);
	assert_int_not_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
}

/* ---- the same over IPv6 ---- */

static void random_forgeries6(void **state)
{
	over_ipv6();
	random_forgeries_spend_nothing(state);
}

static void forgeries6_on_a_live_connection(void **state)
{
	over_ipv6();
	forgeries_on_a_live_connection_spend_nothing(state);
}

static void forgeries6_at_the_right_seq(void **state)
{
	over_ipv6();
	forgeries_at_the_right_seq_spend_nothing(state);
}

static void forgeries6_with_the_right_ack(void **state)
{
	over_ipv6();
	forgeries_with_the_right_ack_spend_nothing(state);
}

static void forged_syns6(void **state)
{
	over_ipv6();
	forged_syns_spend_nothing(state);
}

static void forged_connection_attempts6(void **state)
{
	over_ipv6();
	forged_connection_attempts_spend_the_unproven_word(state);
}

/* ---- what else may be forged ---- */

static void forged_resets_end_nothing(void **state)
{
	struct victim victim;
	struct packet forged;

	make_victim(&victim);
	forged = forgery();
	forged.payload = NULL;
	forged.flags = PACKET_RST;
	forge(forged, 1000, vary_numbers);
	forged.flags = PACKET_FIN | PACKET_ACK;
	forge(forged, 1000, vary_numbers);
	assert_untouched(&victim);
}

/* A segment far ahead would make the flow wait for bytes that never come. */
static void forged_ack_moves_no_window(void **state)
{
	struct packet forged;

	assert_passes(GET);
	answer();
	forged = live_packet(&c);
	forged.ack += 100000;
	harness_run(&h, &forged);
	forged.payload = GET;
	expect(&forged, HTTP, TPS_ACTION_DROP, TPS_REASON_OUTSIDE_WINDOW);
	assert_int_equal(charged(), 1);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_OUTSIDE_WINDOW), 1);
	assert_passes(GET);
	assert_int_equal(charged(), 2);
}

static void forgeries_spend_nothing_of_the_listeners_limit(void **state)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP, .ports = {HTTP_PORT}, .limit = limit_frozen(2)};
	struct packet forged;

	harness_set_listener(&h, HTTP, &listener);
	forged = forgery();
	forged.source = "203.0.113.7";
	forge(forged, 1000, vary_all);
	assert_int_equal(charged(), 2);
	assert_passes(GET);
	answer();
	assert_passes(GET);
	answer();
	assert_drops(GET);
	assert_int_equal(charged(), 4);
}

/* ---- ahead of the handshake's last ACK ---- */

static void data_after_the_syn_ack_is_proven(void **state)
{
	struct tps_slot caller = add_source(LIVE_REMOTE, 1);
	struct live remote;
	struct packet packet = live_half_open(&remote, "198.18.0.9", SERVER, HTTP_PORT);

	packet.payload = GET;
	packet.ack++;
	expect_allowed(&packet, HTTP);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	packet.ack--;
	expect_allowed(&packet, HTTP);
	assert_int_not_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	live_close(&remote);
}

static void data_on_a_syn_cookie_is_proven(void **state)
{
	struct tps_slot caller = add_source(LIVE_REMOTE, 1);
	struct live remote;
	struct packet packet;
	__u32 ack;

	live_use_cookies(true);
	packet = live_half_open(&remote, "198.18.0.10", SERVER, HTTP_PORT);
	live_use_cookies(false);
	ack = packet.ack;
	packet.ack ^= 0x5a5a5a5a;
	packet.payload = GET;
	expect_allowed(&packet, HTTP);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_HANDSHAKE), 1);
	assert_int_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	packet.ack = ack;
	expect_allowed(&packet, HTTP);
	assert_int_not_equal(harness_bucket(&h, caller).proven_tat_vt, 0);
	live_close(&remote);
}

static void request_without_a_socket_is_unproven(void **state)
{
	struct packet packet = forgery();

	harness_set_tier(&h, 0, limit_frozen(1));
	packet.source = "203.0.113.77";
	packet.destination = "192.0.2.200"; /* nobody listens there */
	expect_allowed(&packet, HTTP);
	expect_refused(&packet, HTTP);
	assert_int_equal(harness_notes(&h, HTTP, TPS_REASON_NO_SOCKET), 2);
	assert_int_equal(harness_flows(&h) <= 1, 1);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		HTTP_CASE("a request on a connection spends the caller's proven word",
			  request_spends_the_proven_word),
		HTTP_CASE("an IPv6 request spends the caller's proven word",
			  request6_spends_the_proven_word),
		HTTP_CASE("a stranger's request spends the stranger's proven word",
			  strangers_request_spends_the_proven_word),
		HTTP_CASE("20,000 forged segments spend nothing of the victim's proven word",
			  random_forgeries_spend_nothing),
		HTTP_CASE("20,000 forged segments on a live connection spend nothing of its word",
			  forgeries_on_a_live_connection_spend_nothing),
		HTTP_CASE("forged segments with the right sequence number spend nothing",
			  forgeries_at_the_right_seq_spend_nothing),
		HTTP_CASE("forged segments with the right ack spend nothing",
			  forgeries_with_the_right_ack_spend_nothing),
		HTTP_CASE("20,000 forged SYNs, with payload and without, spend nothing",
			  forged_syns_spend_nothing),
		HTTP_CASE("forged connection attempts spend the unproven word alone",
			  forged_connection_attempts_spend_the_unproven_word),
		HTTP_CASE("20,000 forged IPv6 segments spend nothing of the victim's proven word",
			  random_forgeries6),
		HTTP_CASE("20,000 forged segments on a live IPv6 connection spend nothing",
			  forgeries6_on_a_live_connection),
		HTTP_CASE("forged IPv6 segments with the right sequence number spend nothing",
			  forgeries6_at_the_right_seq),
		HTTP_CASE("forged IPv6 segments with the right ack spend nothing",
			  forgeries6_with_the_right_ack),
		HTTP_CASE("20,000 forged IPv6 SYNs, with payload and without, spend nothing",
			  forged_syns6),
		HTTP_CASE("forged IPv6 connection attempts spend the unproven word alone",
			  forged_connection_attempts6),
		HTTP_CASE("forged resets end no flow", forged_resets_end_nothing),
		HTTP_CASE("a forged ACK moves no window", forged_ack_moves_no_window),
		HTTP_CASE("forged segments spend nothing of the listener's proven limit",
			  forgeries_spend_nothing_of_the_listeners_limit),
		HTTP_CASE("data that comes with the handshake's last ACK is proven by the SYN-ACK",
			  data_after_the_syn_ack_is_proven),
		HTTP_CASE("data that answers a SYN cookie is proven by it",
			  data_on_a_syn_cookie_is_proven),
		HTTP_CASE("a request without a socket here is charged to the unproven bucket",
			  request_without_a_socket_is_unproven),
	};

	return cmocka_run_group_tests_name("proof", cases, http_group_open, http_group_close);
}
