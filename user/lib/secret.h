/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The secret under which API keys are hashed, its file, and the text of a key's hash. Keys
 * themselves are never kept.
 */
#ifndef TPS_SECRET_H
#define TPS_SECRET_H

#include <tps/abi.h>

#include "why.h"

#define TPS_SECRET_ENV "TPS_SECRET"
#define TPS_KEY_TEXT 47  /* hash:<8 hex>:<32 hex>, with the NUL */
#define TPS_KEY_SHOWN 22 /* bytes of it; 32 bits of the hash tell keys apart */

/* The file that was named: @option (--secret) if not NULL, else the environment's TPS_SECRET, else
 * NULL. */
const char *tps_secret_given(const char *option);
/* The file to use: that one, else the default. */
const char *tps_secret_choose(const char *option);

/* 32 hex digits and a newline. -ENOENT: none there; -EPERM: open to others, or of another user than
 * root or oneself; -EINVAL: not of the form. */
int tps_secret_read(const char *file, __u64 ret_secret[2], struct tps_why *why);
/* tps_secret_read(), made from getrandom(2) when it is not there. */
int tps_secret_make(const char *file, __u64 ret_secret[2], struct tps_why *why);

/* Which secret it is, without telling it. */
__u32 tps_secret_fingerprint(const __u64 secret[2]);

/* An API key itself, for as long as it takes to hash it. */
struct tps_api_key {
	__u32 len;
	__u8 bytes[TPS_KEY_BYTES_MAX +
		   2]; /* what tells that a file has more, or ends in a newline */
};

/* The key in @file (`-`: stdin): one trailing newline is dropped; 1 .. TPS_KEY_BYTES_MAX bytes,
 * none of them a control character or a blank at an end. May wait for ever: take no lock before. */
int tps_api_key_read(const char *file, struct tps_api_key *ret_key, struct tps_why *why);
void tps_api_key_forget(struct tps_api_key *key);

void tps_key_hash(const struct tps_api_key *key, const __u64 secret[2], struct tps_key *ret_hash);

/* `hash:3fa9…:…`. One made with another secret is refused. */
int tps_key_parse(const char *text, const __u64 secret[2], struct tps_key *ret_key,
		  struct tps_why *why);
/* The same, whichever secret it was made with. */
int tps_key_split(const char *text, __u32 *ret_fingerprint, struct tps_key *ret_key,
		  struct tps_why *why);
const char *tps_key_print(const struct tps_key *key, const __u64 secret[2],
			  char ret_text[TPS_KEY_TEXT]);

#endif
