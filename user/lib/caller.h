/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Callers: names, slots, limits and identities (source prefixes, API keys and TLS server names).
 * Knows the order in which a slot is given and taken back, so that the gate never charges one
 * tenant for another.
 */
#ifndef TPS_CALLER_H
#define TPS_CALLER_H

#include "gate.h"
#include "server_name.h"
#include "text.h"

struct tps_caller_entry {
	char name[TPS_NAME_LEN];
	struct tps_caller record;
	struct tps_limit limit; /* as the gate sees it */
};

/* What a new caller is: for loading many. The strings and arrays stay the giver's. */
struct tps_caller_spec {
	const char *name;
	struct tps_rate rate; /* own; period_s 0: the tier's */
	__u32 burst;          /* own; 0: follows the rate */
	__u8 tier;
	bool exempt;
	const struct tps_prefix *sources;
	size_t source_count;
	const struct tps_key *keys;
	size_t key_count;
	const struct tps_server_name *hosts;
	size_t host_count;
};

/* A change of one list of identities; @add and @remove are arrays of its own type. */
struct tps_list_change {
	bool replace; /* the list becomes add[] */
	const void *add;
	size_t add_count;
	const void *remove;
	size_t remove_count;
};

/* What is not given stays; a new caller starts in the default tier, without a rate of its own. */
struct tps_caller_change {
	int tier; /* -1: not given */
	bool rate_given;
	struct tps_rate rate; /* period_s 0: the tier's again */
	bool burst_given;
	__u32 burst;                    /* 0: follows the rate */
	int exempt;                     /* 1, 0, or -1: not given */
	struct tps_list_change sources; /* struct tps_prefix */
	struct tps_list_change keys;    /* struct tps_key */
	struct tps_list_change hosts;   /* struct tps_server_name */
};
#define TPS_CALLER_CHANGE_INIT ((struct tps_caller_change){.tier = -1, .exempt = -1})

/* -ENOENT when there is none of that name. */
int tps_caller_find(const struct tps_gate *gate, const char *name, struct tps_caller_entry *ret);
/* The same, and @why says what to do. */
int tps_caller_need(const struct tps_gate *gate, const char *name, struct tps_caller_entry *ret,
		    struct tps_why *why);

/* For an error: the name of @owner's tenant. */
void tps_caller_name(const struct tps_gate *gate, struct tps_slot owner,
		     char ret_name[TPS_NAME_LEN]);

/* Make or change a caller. An identity that another caller has is refused naming it (-EEXIST). */
int tps_caller_set(struct tps_gate *gate, const char *name, const struct tps_caller_change *change,
		   bool *ret_changed, struct tps_why *why);
int tps_caller_delete(struct tps_gate *gate, const char *name, struct tps_why *why);

/* Remove names, keys and server names that lead to no slot any more: what killed commands left. It
 * is done where a map seems full. */
int tps_callers_sweep(struct tps_gate *gate);

/* Make @count callers that are not there yet, all or none: everything is checked first. The way to
 * load a million. */
int tps_callers_load(struct tps_gate *gate, const struct tps_caller_spec *specs, size_t count,
		     struct tps_why *why);

/* All callers, by name. The array is the caller's to free. */
int tps_callers_read(const struct tps_gate *gate, struct tps_caller_entry **ret_callers,
		     size_t *ret_count);

/* The identities of one caller, or of all when @of is NULL; *ret_owners (may be NULL) says whose.
 * Identities of callers that have gone are left out. The arrays are the caller's to free. */
int tps_sources_read(const struct tps_gate *gate, const struct tps_slot *of,
		     struct tps_prefix **ret_sources, struct tps_slot **ret_owners,
		     size_t *ret_count);
int tps_keys_read(const struct tps_gate *gate, const struct tps_slot *of, struct tps_key **ret_keys,
		  struct tps_slot **ret_owners, size_t *ret_count);
int tps_hosts_read(const struct tps_gate *gate, const struct tps_slot *of,
		   struct tps_server_name **ret_names, struct tps_slot **ret_owners,
		   size_t *ret_count);

/* The limit that holds for a caller now: its own, or its tier's. */
__u64 tps_caller_limit(const struct tps_gate *gate, const struct tps_limit *limit);

#endif
