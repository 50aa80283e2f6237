/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of tls listeners have in common: a server that listens, callers by name, and
 * hellos cut as a case wants them. Knows no expectation.
 */
#ifndef TPS_TEST_HELLO_CASES_H
#define TPS_TEST_HELLO_CASES_H

#include "lib/hello.h"

#include "lib/http_cases.h"
#include "lib/wire.h"

#define TLS 4
#define TLS_PORT 443
#define NAME "api.example.com"
#define DATA "\x17\x03\x03\0\x20 application data of a client"
#define SERVER_FLIGHT "\x16\x03\x03\0\x10 what a server sends"

__attribute__((unused)) static int tls_listener = -1;
__attribute__((unused)) static struct hello hello, other;

static inline void set_tls(enum tps_refusal refusal, enum tps_mode mode)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_TLS,
		.ports = {TLS_PORT},
		.refusal = refusal,
		.mode = mode,
	};

	harness_set_listener(&h, TLS, &listener);
}

static inline void connect_anew(void)
{
	live_close(&c);
	live_open(&c, &h, tls_listener, CLIENT, SERVER, TLS_PORT);
}

static inline int group_open(void **state)
{
	live_enter_namespace();
	tls_listener = live_listen(SERVER, TLS_PORT);
	return 0;
}

static inline int group_close(void **state)
{
	close(tls_listener);
	return 0;
}

static inline int hello_case_open(void **state)
{
	if (case_open(state))
		return -1;
	set_tls(TPS_REFUSAL_DROP, TPS_MODE_ENFORCE);
	live_open(&c, &h, tls_listener, CLIENT, SERVER, TLS_PORT);
	hello_usual(&hello, NAME, 517, 0);
	return 0;
}

static inline int hello_case_close(void **state)
{
	live_close(&c);
	return case_close(state);
}

#define HELLO_CASE(sentence, function) \
	{ \
		sentence, function, hello_case_open, hello_case_close, NULL \
	}

static inline struct tps_slot add_named(const char *name, __u32 burst)
{
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(burst), 0);

	harness_add_name(&h, caller, name);
	return caller;
}

static inline __u64 handshakes(void)
{
	return harness_transactions(&h, TLS, TPS_VERDICT_ALLOWED);
}

static inline int send_hello(const struct hello *of)
{
	return live_send(&c, &h, of->bytes, of->len);
}

/* What the client would send next, of bytes [@from, @to) of the hello. */
static inline struct packet piece(const struct hello *of, size_t from, size_t to)
{
	struct packet packet = live_packet(&c);

	packet.seq += from;
	packet.payload = of->bytes + from;
	packet.payload_bytes = to - from;
	return packet;
}

static inline struct packet data_packet(void)
{
	struct packet packet = live_packet(&c);

	packet.payload = DATA;
	packet.payload_bytes = sizeof(DATA) - 1;
	return packet;
}

static inline void expect_bound(void)
{
	struct packet packet = data_packet();

	expect(&packet, TLS, TPS_ACTION_PASS, TPS_REASON_BOUND);
}

#endif
