/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of http listeners have in common: a namespace with servers that listen, callers by
 * key, and whom a request was charged to.
 */
#ifndef TPS_TEST_HTTP_CASES_H
#define TPS_TEST_HTTP_CASES_H

#include <string.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/live.h"

#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:7::7"

#define GET "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
#define GET_WITH(header) "GET / HTTP/1.1\r\nHost: api.example.com\r\n" header "\r\n\r\n"
#define GET_KEY(key) GET_WITH("X-API-Key: " key)
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static int http_listener = -1, http_listener6 = -1;
__attribute__((unused)) static struct live c; /* the connection of most cases */

__attribute__((unused)) static int http_group_open(void **state)
{
	live_enter_namespace();
	http_listener = live_listen(SERVER, HTTP_PORT);
	http_listener6 = live_listen(SERVER6, HTTP_PORT);
	return 0;
}

__attribute__((unused)) static int http_group_close(void **state)
{
	close(http_listener);
	close(http_listener6);
	return 0;
}

__attribute__((unused)) static int http_case_open(void **state)
{
	if (case_open(state))
		return -1;
	live_open(&c, &h, http_listener, CLIENT, SERVER, HTTP_PORT);
	return 0;
}

__attribute__((unused)) static int http_case_close(void **state)
{
	live_close(&c);
	return case_close(state);
}

/* A case with an open connection. */
#define HTTP_CASE(sentence, function) \
	{ \
		sentence, function, http_case_open, http_case_close, NULL \
	}

static inline struct tps_slot add_keyed(const char *key, __u32 burst)
{
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(burst), 0);

	harness_add_key(&h, caller, key);
	return caller;
}

static inline struct tps_slot add_source(const char *prefix, __u32 burst)
{
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(burst), 0);

	harness_add_source(&h, caller, prefix);
	return caller;
}

/* Transactions of strangers, by slot 0. */
static inline __u64 strangers_allowed(void)
{
	struct tps_slot strangers = {.slot = TPS_SLOT_STRANGERS};

	return harness_caller_count(&h, strangers, TPS_VERDICT_ALLOWED);
}

static inline __u64 caller_allowed(struct tps_slot caller)
{
	return harness_caller_count(&h, caller, TPS_VERDICT_ALLOWED);
}

static inline __u64 caller_refused(struct tps_slot caller)
{
	return harness_caller_count(&h, caller, TPS_VERDICT_REFUSED);
}

static inline __u64 charged(void)
{
	return harness_transactions(&h, HTTP, TPS_VERDICT_ALLOWED);
}

#define assert_passes(text) assert_int_equal(live_send_text(&c, &h, text), XDP_PASS)
#define assert_drops(text) assert_int_equal(live_send_text(&c, &h, text), XDP_DROP)
/* The server answers, and the client has read it. */
#define answer() live_answer(&c, &h, OK)

#endif
