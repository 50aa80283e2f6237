/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the operator writes and reads: rates, durations, prefixes, ports, names. Strict: what is not
 * exactly of the form is refused, never guessed. Knows no map.
 */
#ifndef TPS_TEXT_H
#define TPS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <tps/abi.h>

#include "why.h"

/* A prefix, host bits zero. IPv4: the first four bytes. As in struct tps_ban_key. */
struct tps_prefix {
	__u8 address[16];
	__u32 bits;
	__u32 family; /* 4 or 6 */
};

#define TPS_RATE_TEXT 32
#define TPS_PREFIX_TEXT 52
#define TPS_DURATION_TEXT 24

/* `100/s`, `0.5/s`, `30/m`, `1000/h`, `10/d`: 1/d .. 10000000/s, at most three decimals. */
int tps_rate_parse(const char *text, struct tps_rate *ret_rate, struct tps_why *why);
/* As it was written: `100/s`; `-` for none. */
const char *tps_rate_print(const struct tps_rate *rate, char ret_text[TPS_RATE_TEXT]);
double tps_rate_per_sec(const struct tps_rate *rate);
bool tps_rate_equal(const struct tps_rate *a, const struct tps_rate *b);
/* One second of the rate, at least 1. */
__u32 tps_rate_default_burst(const struct tps_rate *rate);
/* The rate in whole numbers: what answers to refused clients say. */
struct tps_policy tps_rate_policy(const struct tps_rate *rate);
/* The bucket's word for @rate and @burst (0: the default one); -ERANGE when it cannot be held. */
int tps_rate_limit(const struct tps_rate *rate, __u32 burst, __u64 *ret_limit, struct tps_why *why);

/* `10s`, `10m`, `2h`, `1d`: at least a second, at most ten years. */
int tps_duration_parse(const char *text, __u64 *ret_seconds, struct tps_why *why);
const char *tps_duration_print(__u64 seconds, char ret_text[TPS_DURATION_TEXT]);

/* `192.0.2.0/24`, `2001:db8::/32`, or an address: the whole of it. Host bits that are set are
 * refused naming the corrected form. */
int tps_prefix_parse(const char *text, struct tps_prefix *ret_prefix, struct tps_why *why);
/* An address in full length is printed without its length. */
const char *tps_prefix_print(const struct tps_prefix *prefix, char ret_text[TPS_PREFIX_TEXT]);
bool tps_prefix_equal(const struct tps_prefix *a, const struct tps_prefix *b);
/* The first @bits of it, which has as many or more. */
struct tps_prefix tps_prefix_cut(const struct tps_prefix *prefix, __u32 bits);
/* An address as struct tps_flow_key has it, in full length. */
struct tps_prefix tps_prefix_of_words(const __u32 address_be[4], __u32 family);

/* 0 when @name is 1 .. @size - 1 of A-Z a-z 0-9 . _ -, and does not begin with . - or _. @what says
 * in the error what it is a name of. */
int tps_name_check(const char *what, const char *name, size_t size, struct tps_why *why);

/* Digits only, no leading zero, @min .. @max. @what says in the error what it is. */
int tps_number_parse(const char *what, const char *text, __u64 min, __u64 max, __u64 *ret_number,
		     struct tps_why *why);

/* `80`, `80,8080`: 1 .. 65535 each, none twice. */
int tps_ports_parse(const char *text, __u16 ret_ports[TPS_PORTS_PER_LISTENER], __u8 *ret_count,
		    struct tps_why *why);

#endif
