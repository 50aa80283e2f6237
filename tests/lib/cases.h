/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every kernel test begins with: a gate of its own for each case, packets to its listeners,
 * and one assertion for a packet's action and its one count. Knows cmocka, so that nothing else
 * here must.
 */
#ifndef TPS_TEST_CASES_H
#define TPS_TEST_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include <tps/abi.h>

#include "lib/harness.h"
#include "lib/packet.h"

#define SERVER "192.0.2.1"
#define SERVER6 "2001:db8:1::1"
#define STRANGER "198.51.100.7"
#define STRANGER6 "2001:db8:7::7"

#define UDP_PORT 5353
#define TCP_PORT 7000
#define HTTP_PORT 80
/* listener numbers */
#define UDP 1
#define TCP 2
#define HTTP 3

__attribute__((unused)) static struct harness h;

__attribute__((unused)) static bool case_sized; /* by the case that ran last */

static inline void case_listener(__u32 number, enum tps_protocol protocol, __u16 port)
{
	struct harness_listener listener = {.protocol = protocol, .ports = {port}};

	harness_set_listener(&h, number, &listener);
}

static inline void case_listeners(void)
{
	case_listener(UDP, TPS_PROTOCOL_UDP, UDP_PORT);
	case_listener(TCP, TPS_PROTOCOL_TCP, TCP_PORT);
	case_listener(HTTP, TPS_PROTOCOL_HTTP, HTTP_PORT);
}

/* Every case begins with the same gate, verified once and reset. */
__attribute__((unused)) static int case_open(void **state)
{
	if (h.gate && case_sized)
		harness_close(&h);
	if (h.gate)
		harness_reset(&h);
	else
		harness_open(&h, NULL);
	case_sized = false;
	case_listeners();
	return 0;
}

/* For a case that needs maps of other sizes. */
static inline void case_open_sized(const struct harness_sizes *sizes)
{
	harness_close(&h);
	harness_open(&h, sizes);
	case_sized = true;
	case_listeners();
}

/* No case may end with an internal error, or with a packet sent by the gate. */
__attribute__((unused)) static int case_close(void **state)
{
	__u64 errors = harness_errors(&h), sent = harness_packets_all(&h, TPS_ACTION_TX);

	if (errors || sent)
		print_error("%llu internal errors, %llu packets sent\n", errors, sent);
	return errors || sent ? -1 : 0;
}

/* A case is named by a sentence. */
#define CASE(sentence, function) \
	{ \
		sentence, function, case_open, case_close, NULL \
	}

static inline const char *server_of(const char *source)
{
	for (const char *c = source; *c; c++)
		if (*c == ':')
			return SERVER6;
	return SERVER;
}

static inline struct packet datagram(const char *source)
{
	return (struct packet){
		.kind = PACKET_UDP,
		.source = source,
		.destination = server_of(source),
		.source_port = 40000,
		.destination_port = UDP_PORT,
		.payload = "query",
	};
}

static inline struct packet syn(const char *source)
{
	return (struct packet){
		.source = source,
		.destination = server_of(source),
		.source_port = 40000,
		.destination_port = TCP_PORT,
		.seq = 1000,
		.flags = PACKET_SYN,
	};
}

/* Runs the packet: it ends as @action, and that and nothing else is counted. */
static inline void expect(const struct packet *packet, __u32 listener, enum tps_action action,
			  enum tps_reason reason)
{
	__u64 passed = harness_packets_all(&h, TPS_ACTION_PASS);
	__u64 dropped = harness_packets_all(&h, TPS_ACTION_DROP);
	__u64 before = harness_packets(&h, listener, action, reason);

	assert_int_equal(harness_run(&h, packet), action == TPS_ACTION_PASS ? XDP_PASS : XDP_DROP);
	assert_int_equal(harness_packets(&h, listener, action, reason), before + 1);
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_PASS),
			 passed + (action == TPS_ACTION_PASS));
	assert_int_equal(harness_packets_all(&h, TPS_ACTION_DROP),
			 dropped + (action == TPS_ACTION_DROP));
}

static inline void expect_allowed(const struct packet *packet, __u32 listener)
{
	expect(packet, listener, TPS_ACTION_PASS, TPS_REASON_ALLOWED);
}

static inline void expect_refused(const struct packet *packet, __u32 listener)
{
	expect(packet, listener, TPS_ACTION_DROP, TPS_REASON_LIMIT);
}

/*
 * Empties the bucket of @packet's source, whose limit is @per_s and whose burst lasts longer than
 * this does, and goes on for a while: what is admitted is what came in between, to a token, however
 * busy the machine is; give or take @late_ns of the rate where jiffies are read.
 */
static inline void expect_rate(const struct packet *packet, __u64 per_s, __u64 late_ns)
{
	__u64 empty_from_ns, empty_to_ns, last_ns, now_ns, admitted = 0;

	do
		empty_from_ns = harness_now_ns();
	while (harness_run(&h, packet) == XDP_PASS);
	empty_to_ns = now_ns = harness_now_ns();
	do {
		last_ns = now_ns;
		admitted += harness_run(&h, packet) == XDP_PASS;
		now_ns = harness_now_ns();
	} while (now_ns - empty_to_ns < 300000000);
	assert_true(admitted <= per_s * (now_ns - empty_from_ns + late_ns) / BUCKET_NS_PER_SEC + 1);
	assert_true(admitted + 1 >= per_s * (last_ns - empty_to_ns - late_ns) / BUCKET_NS_PER_SEC);
}

/* A listener's transactions so far. */
static inline void assert_transactions(__u32 listener, __u64 allowed, __u64 refused)
{
	assert_int_equal(harness_transactions(&h, listener, TPS_VERDICT_ALLOWED), allowed);
	assert_int_equal(harness_transactions(&h, listener, TPS_VERDICT_REFUSED), refused);
}

static inline void assert_caller(struct tps_slot caller, __u64 allowed, __u64 refused)
{
	assert_int_equal(harness_caller_count(&h, caller, TPS_VERDICT_ALLOWED), allowed);
	assert_int_equal(harness_caller_count(&h, caller, TPS_VERDICT_REFUSED), refused);
}

#endif
