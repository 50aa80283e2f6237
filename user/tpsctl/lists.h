/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lists of a caller's identities as options give them: each is replaced or edited. Knows that
 * keys wait for the gate's secret; knows no caller.
 */
#ifndef TPSCTL_LISTS_H
#define TPSCTL_LISTS_H

#include "caller.h"
#include "verb.h"

struct list {
	struct tps_list_change *change;
	bool is_edited;
	void *add, *remove; /* the change's arrays */
};

struct lists {
	struct list sources, hosts, keys;
	struct key_word *key_words;
	size_t key_word_count;
};

/* How an option means a list: it becomes what is given, is edited, or becomes empty. */
enum how { LISTED, ADDED, REMOVED, EMPTIED };

/* Of each list in the order of enum how. */
enum {
	OPTION_SOURCE = 256,
	OPTION_ADD_SOURCE,
	OPTION_REMOVE_SOURCE,
	OPTION_NO_SOURCES,
	OPTION_SNI,
	OPTION_ADD_SNI,
	OPTION_REMOVE_SNI,
	OPTION_NO_SNI,
	OPTION_KEY_FILE,
	OPTION_ADD_KEY_FILE,
	OPTION_REMOVE_KEY_FILE,
	OPTION_NO_KEYS,
	OPTION_KEY_HASH,
	OPTION_ADD_KEY_HASH,
	OPTION_REMOVE_KEY_HASH,
};

#define OPTIONS_OF_LISTS \
	OPTION("source", required_argument, OPTION_SOURCE), \
		OPTION("add-source", required_argument, OPTION_ADD_SOURCE), \
		OPTION("remove-source", required_argument, OPTION_REMOVE_SOURCE), \
		OPTION("no-sources", no_argument, OPTION_NO_SOURCES), \
		OPTION("sni", required_argument, OPTION_SNI), \
		OPTION("add-sni", required_argument, OPTION_ADD_SNI), \
		OPTION("remove-sni", required_argument, OPTION_REMOVE_SNI), \
		OPTION("no-sni", no_argument, OPTION_NO_SNI), \
		OPTION("key-file", required_argument, OPTION_KEY_FILE), \
		OPTION("add-key-file", required_argument, OPTION_ADD_KEY_FILE), \
		OPTION("remove-key-file", required_argument, OPTION_REMOVE_KEY_FILE), \
		OPTION("no-keys", no_argument, OPTION_NO_KEYS), \
		OPTION("key-hash", required_argument, OPTION_KEY_HASH), \
		OPTION("add-key-hash", required_argument, OPTION_ADD_KEY_HASH), \
		OPTION("remove-key-hash", required_argument, OPTION_REMOVE_KEY_HASH)

/* @change gets the lists; it is whole when the keys are hashed. */
void lists_begin(struct lists *lists, struct tps_caller_change *change);
void lists_end(struct lists *lists);

/* One of these options, with optarg. */
int lists_option(struct lists *lists, int option, struct tps_why *why);
/* Is a list both replaced and edited? */
bool lists_are_mixed(const struct lists *lists);

/* Read the keys' files. Before the gate is opened: standard input may keep us waiting, and a lock
 * everybody else. */
int lists_keys_read(struct lists *lists, struct tps_why *why);
/* Keys become hashes under the gate's own secret. */
int lists_keys_hash(struct lists *lists, const __u64 secret[2], struct tps_why *why);

#endif
