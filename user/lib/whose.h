/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose a transaction is: from a key, a server name or a source to a slot, by the gate's own order
 * (bpf/identify.h, bpf/hello.h). Reads only; knows no limit.
 */
#ifndef TPS_WHOSE_H
#define TPS_WHOSE_H

#include "gate.h"
#include "server_name.h"
#include "text.h"

/* By what it was found. X(enum suffix, text) */
#define TPS_BYS(X) X(ADDRESS, "address") X(SOURCE, "source") X(SNI, "sni") X(KEY, "key")
#define TPS_ENUM_BY(id, ...) TPS_BY_##id,
enum tps_by { TPS_BYS(TPS_ENUM_BY) TPS_BY_MAX };
#undef TPS_ENUM_BY
const char *tps_by_text(enum tps_by by);

struct tps_whose {
	struct tps_slot slot; /* TPS_SLOT_STRANGERS: a stranger's */
	enum tps_by by;       /* ADDRESS: a stranger */
	bool is_stale;        /* the source leads to a caller that has gone */
	bool has_entry;       /* the address is remembered in `strangers` */
	struct tps_stranger entry;
	struct tps_server_name name; /* SNI: the name or the suffix that somebody has */
};

/* @source is an address in full length. */
struct tps_address tps_address_of(const struct tps_prefix *source);
/* As an operator writes it: IPv6 by its /64. */
struct tps_prefix tps_address_prefix(const struct tps_address *address);

int tps_whose_source(const struct tps_gate *gate, const struct tps_prefix *source,
		     struct tps_whose *ret);
/* -ENOENT: nobody has it, and the source decides. */
int tps_whose_key(const struct tps_gate *gate, const struct tps_key *key, struct tps_whose *ret);
int tps_whose_name(const struct tps_gate *gate, const struct tps_server_name *name,
		   struct tps_whose *ret);

/* All source prefixes, so that of an address the longest can be told. */
struct tps_source_table {
	struct tps_prefix *sorted;
	size_t count;
	bool has[2][129]; /* a length of IPv4, of IPv6 */
};
int tps_source_table_read(const struct tps_gate *gate, struct tps_source_table *ret_table);
void tps_source_table_free(struct tps_source_table *table);
/* NULL: none holds the address. */
const struct tps_prefix *tps_source_longest(const struct tps_source_table *table,
					    const struct tps_prefix *source);

#endif
