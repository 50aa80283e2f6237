// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strict reading and printing of what the operator writes. Knows the forms, no map.
 */
#include "text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tps/bucket.h>

#define MILLI 1000ULL
#define RATE_PER_SEC_MAX 10000000ULL
#define DURATION_MAX_S (10ULL * 365 * 86400)

static const struct {
	char letter;
	__u32 seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
#define UNITS (sizeof(units) / sizeof(*units))

/* Digits without a leading zero at *at; moves it behind them. -EINVAL when there are none. */
static int digits_read(const char **at, __u64 *ret_number)
{
	const char *c = *at;
	__u64 number = 0;

	if (!isdigit((unsigned char)*c) || (c[0] == '0' && isdigit((unsigned char)c[1])))
		return -EINVAL;
	for (; isdigit((unsigned char)*c); c++) {
		if (number > (~0ULL - 9) / 10)
			return -ERANGE;
		number = number * 10 + (*c - '0');
	}
	*at = c;
	*ret_number = number;
	return 0;
}

/* `.5`, `.125` behind a number, in thousandths; 0 when there is none. */
static int decimals_read(const char **at, __u32 *ret_milli)
{
	const char *c = *at;
	__u32 milli = 0, weight = 100;

	if (*c == '.') {
		for (c++; isdigit((unsigned char)*c) && weight; c++, weight /= 10)
			milli += (*c - '0') * weight;
		if (c[-1] == '.' || isdigit((unsigned char)*c))
			return -EINVAL;
	}
	*at = c;
	*ret_milli = milli;
	return 0;
}

static __u32 unit_seconds(const char *text)
{
	for (size_t i = 0; i < UNITS; i++) {
		if (text[0] == units[i].letter && !text[1])
			return units[i].seconds;
	}
	return 0;
}

int tps_rate_parse(const char *text, struct tps_rate *ret_rate, struct tps_why *why)
{
	const char *at = text;
	__u32 thousandths, seconds;
	__u64 whole, milli;

	if (digits_read(&at, &whole) || decimals_read(&at, &thousandths) || *at++ != '/' ||
	    !(seconds = unit_seconds(at)))
		return tps_why_say(why, -EINVAL,
				   "rate '%s': expected N/s, N/m, N/h or N/d, N with at most three "
				   "decimals",
				   text);
	if (whole > RATE_PER_SEC_MAX * seconds ||
	    (whole == RATE_PER_SEC_MAX * seconds && thousandths))
		return tps_why_say(why, -ERANGE, "rate '%s': at most %llu/s", text,
				   RATE_PER_SEC_MAX);
	milli = whole * MILLI + thousandths;
	if (milli * (86400 / seconds) < MILLI)
		return tps_why_say(why, -ERANGE, "rate '%s': at least 1/d", text);
	*ret_rate = (struct tps_rate){.milli = milli, .period_s = seconds};
	return 0;
}

const char *tps_rate_print(const struct tps_rate *rate, char ret_text[TPS_RATE_TEXT])
{
	char letter = '?', decimals[8] = "";
	int len;

	if (!rate->period_s)
		return strcpy(ret_text, "-");
	for (size_t i = 0; i < UNITS; i++) {
		if (units[i].seconds == rate->period_s)
			letter = units[i].letter;
	}
	if (rate->milli % MILLI) {
		len = sprintf(decimals, ".%03u", (__u32)(rate->milli % MILLI));
		while (decimals[len - 1] == '0')
			decimals[--len] = '\0';
	}
	snprintf(ret_text, TPS_RATE_TEXT, "%llu%s/%c", rate->milli / MILLI, decimals, letter);
	return ret_text;
}

double tps_rate_per_sec(const struct tps_rate *rate)
{
	return rate->period_s ? rate->milli / 1000.0 / rate->period_s : 0;
}

bool tps_rate_equal(const struct tps_rate *a, const struct tps_rate *b)
{
	return a->milli == b->milli && a->period_s == b->period_s;
}

__u32 tps_rate_default_burst(const struct tps_rate *rate)
{
	__u64 burst = rate->period_s ? rate->milli / MILLI / rate->period_s : 0;

	return burst ? burst : 1;
}

struct tps_policy tps_rate_policy(const struct tps_rate *rate)
{
	__u64 milli = rate->milli, window_s = rate->period_s, whole = MILLI;

	/* milli / 1000 of a window are q / w: both by what they share with 1000 (2 and 5) */
	for (int prime = 2; prime <= 5; prime += 3) {
		while (whole % prime == 0 && milli % prime == 0) {
			whole /= prime;
			milli /= prime;
		}
	}
	return (struct tps_policy){.quota = milli, .window_s = window_s * whole};
}

int tps_rate_limit(const struct tps_rate *rate, __u32 burst, __u64 *ret_limit, struct tps_why *why)
{
	char text[TPS_RATE_TEXT];
	__u64 period_vt, interval_vt, limit;

	if (!rate->milli || !rate->period_s)
		return tps_why_say(why, -EINVAL, "a limit needs a rate");
	if (!burst)
		burst = tps_rate_default_burst(rate);
	/* 86400 s are 5.5e18 thousandths: inside 64 bits. */
	period_vt = (BUCKET_NS_PER_SEC * rate->period_s * MILLI) << BUCKET_VT_SHIFT;
	interval_vt = period_vt / rate->milli + (period_vt % rate->milli >= (rate->milli + 1) / 2);
	limit = limit_make(interval_vt, burst);
	if (!limit)
		return tps_why_say(why, -ERANGE,
				   "burst '%u' at rate '%s': at most %llu (two years of the rate)",
				   burst, tps_rate_print(rate, text),
				   BUCKET_BURST_VT_MAX / interval_vt);
	*ret_limit = limit;
	return 0;
}

int tps_duration_parse(const char *text, __u64 *ret_seconds, struct tps_why *why)
{
	const char *at = text;
	__u32 seconds = 0;
	__u64 number;

	if (digits_read(&at, &number) || !(seconds = unit_seconds(at)) || !number)
		return tps_why_say(why, -EINVAL, "duration '%s': expected Ns, Nm, Nh or Nd", text);
	if (number > DURATION_MAX_S / seconds)
		return tps_why_say(why, -ERANGE, "duration '%s': at most ten years (3650d)", text);
	*ret_seconds = number * seconds;
	return 0;
}

const char *tps_duration_print(__u64 seconds, char ret_text[TPS_DURATION_TEXT])
{
	size_t i = UNITS - 1;

	while (i && (seconds % units[i].seconds || !seconds))
		i--;
	snprintf(ret_text, TPS_DURATION_TEXT, "%llu%c", seconds / units[i].seconds,
		 units[i].letter);
	return ret_text;
}

struct tps_prefix tps_prefix_cut(const struct tps_prefix *prefix, __u32 bits)
{
	struct tps_prefix cut = {.bits = bits, .family = prefix->family};

	memcpy(cut.address, prefix->address, bits / 8);
	if (bits % 8)
		cut.address[bits / 8] = prefix->address[bits / 8] & (0xff00 >> bits % 8);
	return cut;
}

struct tps_prefix tps_prefix_of_words(const __u32 address_be[4], __u32 family)
{
	bool is_v4 = family == 4;
	struct tps_prefix prefix = {.family = family, .bits = is_v4 ? 32 : 128};

	memcpy(prefix.address, &address_be[is_v4 ? 3 : 0], is_v4 ? 4 : 16);
	return prefix;
}

int tps_prefix_parse(const char *text, struct tps_prefix *ret_prefix, struct tps_why *why)
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	char address[INET6_ADDRSTRLEN], corrected[TPS_PREFIX_TEXT];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct tps_prefix prefix = {}, cut;
	__u64 bits;

	if (len >= sizeof(address))
		goto bad;
	memcpy(address, text, len);
	address[len] = '\0';
	prefix.family = strchr(address, ':') ? 6 : 4;
	prefix.bits = prefix.family == 4 ? 32 : 128;
	if (inet_pton(prefix.family == 4 ? AF_INET : AF_INET6, address, prefix.address) != 1)
		goto bad;
	if (slash) {
		slash++;
		if (digits_read(&slash, &bits) || *slash || bits > prefix.bits)
			goto bad;
		prefix.bits = bits;
	}
	if (prefix.family == 6 && prefix.bits >= 96 && !memcmp(prefix.address, mapped, 12)) {
		memmove(prefix.address, prefix.address + 12, 4);
		memset(prefix.address + 4, 0, 12);
		prefix.family = 4;
		prefix.bits -= 96;
		cut = tps_prefix_cut(&prefix, prefix.bits);
		return tps_why_say(why, -EINVAL, "prefix '%s': IPv4 is written as such: '%s'", text,
				   tps_prefix_print(&cut, corrected));
	}
	cut = tps_prefix_cut(&prefix, prefix.bits);
	if (!tps_prefix_equal(&prefix, &cut))
		return tps_why_say(why, -EINVAL,
				   "prefix '%s': host bits are set; did you mean '%s'?", text,
				   tps_prefix_print(&cut, corrected));
	*ret_prefix = prefix;
	return 0;
bad:
	return tps_why_say(why, -EINVAL,
			   "prefix '%s': expected ADDRESS or ADDRESS/LENGTH, as 192.0.2.0/24 or "
			   "2001:db8::/32",
			   text);
}

const char *tps_prefix_print(const struct tps_prefix *prefix, char ret_text[TPS_PREFIX_TEXT])
{
	bool is_v4 = prefix->family == 4;
	size_t len;

	inet_ntop(is_v4 ? AF_INET : AF_INET6, prefix->address, ret_text, TPS_PREFIX_TEXT);
	len = strlen(ret_text);
	if (prefix->bits != (is_v4 ? 32 : 128))
		snprintf(ret_text + len, TPS_PREFIX_TEXT - len, "/%u", prefix->bits);
	return ret_text;
}

bool tps_prefix_equal(const struct tps_prefix *a, const struct tps_prefix *b)
{
	return !memcmp(a, b, sizeof(*a));
}

int tps_name_check(const char *what, const char *name, size_t size, struct tps_why *why)
{
	size_t len = strlen(name);

	if (!len || len >= size || !isalnum((unsigned char)name[0]) ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
		    len)
		return tps_why_say(
			why, -EINVAL,
			"%s '%s': expected 1 to %zu of A-Z a-z 0-9 . _ -, a letter or digit "
			"first",
			what, name, size - 1);
	return 0;
}

int tps_number_parse(const char *what, const char *text, __u64 min, __u64 max, __u64 *ret_number,
		     struct tps_why *why)
{
	const char *at = text;
	__u64 number;

	if (digits_read(&at, &number) || *at || number < min || number > max)
		return tps_why_say(why, -EINVAL, "%s '%s': expected a number from %llu to %llu",
				   what, text, min, max);
	*ret_number = number;
	return 0;
}

int tps_ports_parse(const char *text, __u16 ret_ports[TPS_PORTS_PER_LISTENER], __u8 *ret_count,
		    struct tps_why *why)
{
	__u16 ports[TPS_PORTS_PER_LISTENER];
	const char *at = text;
	__u8 count = 0;

	do {
		__u64 port;

		if (count && *at++ != ',')
			goto bad;
		if (digits_read(&at, &port) || port < 1 || port > 65535)
			goto bad;
		if (count == TPS_PORTS_PER_LISTENER)
			return tps_why_say(why, -EINVAL, "port '%s': at most %d ports a listener",
					   text, TPS_PORTS_PER_LISTENER);
		for (int i = 0; i < count; i++) {
			if (ports[i] == port)
				return tps_why_say(why, -EINVAL, "port '%s': %llu is given twice",
						   text, port);
		}
		ports[count++] = port;
	} while (*at);
	memcpy(ret_ports, ports, count * sizeof(*ports));
	*ret_count = count;
	return 0;
bad:
	return tps_why_say(why, -EINVAL, "port '%s': expected P[,P...], each from 1 to 65535",
			   text);
}
