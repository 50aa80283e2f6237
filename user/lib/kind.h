/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kinds of identity, each told by the same words, so that a change of any is worked out and
 * written once (claim.c). Knows how a kind is kept; not whose an identity may be.
 */
#ifndef TPS_KIND_H
#define TPS_KIND_H

#include "identity.h"
#include "text.h"

enum tps_identity { TPS_IDENTITY_SOURCE, TPS_IDENTITY_KEY, TPS_IDENTITY_HOST, TPS_IDENTITY_MAX };

#define TPS_IDENTITY_TEXT TPS_PREFIX_TEXT

struct tps_claim;

/* How a kind is kept. @one is of the kind's own type, which has no padding. */
struct tps_kind {
	const char *noun;
	size_t size;
	int (*dump)(const struct tps_gate *gate, struct tps_identities *ret_there);
	/* Whose one is; -ENOENT when it is nobody's who lives. NULL: only a dump tells. */
	int (*owner)(const struct tps_gate *gate, const void *one, struct tps_slot *ret_owner);
	int (*put)(struct tps_gate *gate, const void *one, struct tps_slot owner);
	int (*remove)(struct tps_gate *gate, const void *one);
	/* Many at once. On failure some may be there. */
	int (*put_all)(struct tps_gate *gate, const void *const *them,
		       const struct tps_slot *owners, size_t count);
	/* Make room in a full map; how many went. NULL: there is no way. */
	int (*sweep)(struct tps_gate *gate);
	enum tps_map (*map)(const void *one);
	const char *(*print)(const struct tps_gate *gate, const void *one,
			     char ret_text[TPS_IDENTITY_TEXT]);
	/* What control says of the kind: before anything is put, and when all is as it will be.
	 * NULL: nothing. */
	void (*before)(struct tps_gate *gate, const struct tps_claim *claim);
	void (*after)(struct tps_gate *gate, const struct tps_claim *claim);
};

extern const struct tps_kind tps_kinds[TPS_IDENTITY_MAX];

#endif
