/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The text of a refusal: an HTTP response (RFC 9110 15, RFC 6585 4) with Retry-After (RFC 9110
 * 10.2.3), the fields of draft-ietf-httpapi-ratelimit-headers-10 and a problem (RFC 9457); or a TLS
 * alert. Knows no packet and no sequence number. Dual.
 */
#ifndef TPS_BPF_ANSWER_H
#define TPS_BPF_ANSWER_H

#include <tps/abi.h>
#include <tps/dual.h>

#define ANSWER_SPAN 1024 /* positions are masked by this less one */
#define ANSWER_BYTES_MAX 512
#define ANSWER_RETRY_S_MAX 0x7fffffff

/* Where an answer is written; what lies behind its end is zero. */
struct answer_text {
	__u8 bytes[ANSWER_SPAN + 64];
};

#define ANSWER_STATUS "HTTP/1.1 429 Too Many Requests\r\nServer: tps\r\nRetry-After: "
#define ANSWER_POLICY "\r\nRateLimit-Policy: \""
#define ANSWER_LIMIT "\r\nRateLimit: \""
#define ANSWER_LIVE "\r\nContent-Length: "
#define ANSWER_CLOSE "\r\nConnection: close\r\nContent-Length: "
#define ANSWER_BODYLESS "0\r\n\r\n"
#define ANSWER_BODY \
	"114\r\nContent-Type: application/problem+json\r\n\r\n" \
	"{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\"," \
	"\"title\":\"Too Many Requests\",\"status\":429}"

/* A record with a fatal alert, access_denied (RFC 8446 5.1, 6.2). */
#define ANSWER_ALERT "\x15\x03\x03\x00\x02\x02\x31"

#define ANSWER_AT(text, at) ((text)->bytes + ((at) & (ANSWER_SPAN - 1)))

/* Appends a string literal at @at; up to 7 bytes behind it are written as well. Returns its end. */
#define ANSWER_PUT(text, at, literal) \
	answer_put(text, at, literal "\0\0\0\0\0\0\0", sizeof(literal) - 1)
DUAL_INLINE __u32 answer_put(struct answer_text *text, __u32 at, const char *literal, __u32 bytes)
{
	for (__u32 i = 0; i < bytes; i += 8)
		dual_store64(ANSWER_AT(text, at + i), dual_load64(literal + i));
	return at + bytes;
}

/* Appends @value in decimal. Returns its end. */
DUAL_GLOBAL int answer_number(struct answer_text *text, __u32 at, __u32 value)
{
	__u32 digits = 1;

	if (!text)
		return at;
	for (__u32 more = value; digits < 10 && more >= 10; digits++)
		more /= 10;
	for (__u32 i = 0; i < 10 && i < digits; i++) {
		*ANSWER_AT(text, at + digits - 1 - i) = '0' + value % 10;
		value /= 10;
	}
	return at + digits;
}

/* Appends the NUL-padded name of @answer. Returns its end. */
DUAL_INLINE __u32 answer_name(struct answer_text *text, __u32 at, const struct tps_answer *answer)
{
	__u32 bytes = 0;

	for (__u32 i = 0; i < TPS_TIER_NAME_LEN; i += 8)
		dual_store64(ANSWER_AT(text, at + i), dual_load64(answer->name + i));
	for (; bytes < TPS_TIER_NAME_LEN - 1 && answer->name[bytes]; bytes++)
		;
	return at + bytes;
}

/*
 * Writes the answer to @text; returns its length, at most ANSWER_BYTES_MAX, and a multiple of
 * nothing: checksums are taken over it with the zero bytes behind.
 */
DUAL_GLOBAL int answer_write(struct answer_text *text, const struct tps_answer *answer)
{
	__u32 at = 0;

	if (!text || !answer)
		return 0;
	if (answer->form == TPS_FORM_ALERT)
		return ANSWER_PUT(text, at, ANSWER_ALERT);
	at = ANSWER_PUT(text, at, ANSWER_STATUS);
	at = answer_number(text, at, answer->retry_s);
	at = ANSWER_PUT(text, at, ANSWER_POLICY);
	at = answer_name(text, at, answer);
	at = ANSWER_PUT(text, at, "\";q=");
	at = answer_number(text, at, answer->policy.quota);
	at = ANSWER_PUT(text, at, ";w=");
	at = answer_number(text, at, answer->policy.window_s);
	at = ANSWER_PUT(text, at, ANSWER_LIMIT);
	at = answer_name(text, at, answer);
	at = ANSWER_PUT(text, at, "\";r=0;t=");
	at = answer_number(text, at, answer->retry_s);
	if (answer->closes)
		at = ANSWER_PUT(text, at, ANSWER_CLOSE);
	else
		at = ANSWER_PUT(text, at, ANSWER_LIVE);
	if (answer->form == TPS_FORM_BODY)
		at = ANSWER_PUT(text, at, ANSWER_BODY);
	else
		at = ANSWER_PUT(text, at, ANSWER_BODYLESS);
	dual_store64(ANSWER_AT(text, at), 0);
	return at;
}

#endif
