/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gate would do to a transaction now, and why: its order followed in its maps, with the
 * bucket's own arithmetic. Nothing is spent and nothing written.
 */
#ifndef TPS_EXPLAIN_H
#define TPS_EXPLAIN_H

#include "ban.h"
#include "gate.h"
#include "server_name.h"
#include "text.h"
#include "whose.h"

struct tps_question {
	struct tps_prefix source;           /* an address in full length */
	int listener;                       /* its number; 0: what is no listener's */
	const struct tps_key *key;          /* or NULL; asked by http listeners */
	const struct tps_server_name *name; /* or NULL; asked by tls listeners */
	bool any_listener;                  /* no listener is asked: who is it, and what is left? */
};

/* A bucket, and what is in it. */
struct tps_left {
	__u64 limit; /* bucket_limit; 0: there is none */
	__u32 proven_tokens, unproven_tokens;
};

struct tps_explanation {
	struct tps_whose whose;
	char caller[TPS_NAME_LEN]; /* empty: a stranger */
	bool is_unknown_key, is_unknown_name;
	__u32 tier;
	bool is_own; /* the limit is the caller's own, not its tier's */
	bool is_exempt;
	bool observes;  /* the gate or the listener: what would be refused passes */
	bool is_proven; /* which word of the buckets decides */
	__u32 cost;
	struct tps_left left;          /* of the caller or the stranger */
	struct tps_left listener_left; /* of the listener's own limit */
	struct tps_ban_entry ban;      /* of the source's prefix; until_ns 0: none */
	__u64 caller_banned_until_ns;  /* 0: not banned */
	enum tps_reason reason;        /* what decides */
	enum tps_verdict verdict;      /* TPS_VERDICT_MAX: there is no transaction */
	bool passes;
	/* when it would not be refused, if nobody else takes any tokens: from now; ~0: never */
	__u64 wait_ns;
	__u32 retry_after_s; /* what an answer would say; 0: none is refused */
};

/* A transaction's verdict, from what decided over it (bpf/count.h). */
enum tps_verdict tps_verdict_of(enum tps_reason reason, bool observes);

int tps_explain(const struct tps_gate *gate, const struct tps_question *question,
		struct tps_explanation *ret);

#endif
