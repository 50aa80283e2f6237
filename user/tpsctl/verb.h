/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every verb shares: the session that the global options make, how options are read, and how a
 * verb ends. Knows no verb.
 */
#ifndef TPSCTL_VERB_H
#define TPSCTL_VERB_H

#include <getopt.h>
#include <stdbool.h>

#include <jansson.h>

#include "gate.h"
#include "why.h"

/* What a verb returns, and tpsctl's exit status. */
enum outcome { DONE = 0, FAILED = 1, USAGE = 2, DIFFERS = 3 /* --exit-code */ };

struct verb;

struct session {
	const struct verb *verb;
	const char *root;
	bool json;
	bool verbose;
	bool help; /* the use of the verb is wanted, not the verb */
};

struct verb {
	const char *name;  /* one or two words */
	const char *usage; /* what follows the name */
	const char *help;  /* one line */
	enum outcome (*run)(struct session *session, int argc, char **argv);
};

/* ---- options: a verb's own rows, then OPTIONS_SHARED; `-j`, `--root`, `-v` and `-h` stand
 * anywhere. */
#define OPTION(name, argument, value) \
	{ \
		name, argument, NULL, value \
	}
#define OPTIONS_SHARED \
	OPTION("json", no_argument, 'j'), OPTION("root", required_argument, 'R'), \
		OPTION("verbose", no_argument, 'v'), OPTION("help", no_argument, 'h'), \
		OPTION(NULL, 0, 0)

/* The next of the verb's own options as getopt_long(3) has it; -1 at the end, '?' when it was
 * refused (and said so). With `-h` it shows the use of the verb at the end, and ends tpsctl. */
int option_next(struct session *session, int argc, char **argv, const struct option *options);

/* No options of its own and exactly @count words (-1: any number); *ret_words are they. False:
 * refused, and said so. */
bool words_only(struct session *session, int argc, char **argv, int count, char ***ret_words);
/* The words behind the options, when option_next() said -1. */
bool words_left(struct session *session, int argc, char **argv, int count, char ***ret_words);

/* ---- how a verb ends */

/* Print why, once; FAILED. */
enum outcome failed(const struct session *session, int err, const struct tps_why *why);
/* The same for words that mean nothing: USAGE when the error is one of the operator's words. */
enum outcome rejected(const struct session *session, int err, const struct tps_why *why);
enum outcome misused(const struct session *session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* To stderr, beside success. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The last thing: @outcome, or FAILED when what was printed did not arrive. */
enum outcome finish(enum outcome outcome);

/* A writing verb has done: with -j it says whether anything changed. */
enum outcome written(const struct session *session, bool changed);
/* A reading verb has done: print @json (and take it) with -j; else nothing. True when it printed.
 */
bool print_json(const struct session *session, json_t *json);

json_t *verb_json(const struct verb *verb);
void verb_show(const struct session *session, const struct verb *verb);

/* The gate of the session. */
int gate_open(const struct session *session, enum tps_access access, struct tps_gate **ret_gate,
	      struct tps_why *why);
#define _cleanup_gate_ _cleanup_(tps_gate_close_at_end)

/* The secret that keys are hashed with here: of the file @option (--secret), else the gate's, else
 * the default file's; -ENOENT: none is there. */
int secret_find(const struct session *session, const char *option, __u64 ret_secret[2],
		struct tps_why *why);

/* ---- tables: rows are JSON objects, so that text and -j say the same. First the columns that are
 * shown, then the other fields, without a title; the end has no key. */
struct column {
	const char *title;
	const char *key;
	bool right; /* aligned to the right */
};

/* Print the array @rows. Arrays are joined by commas, null is `-`. */
void table_print(const json_t *rows, const struct column *columns);
/* Sort the array @rows in place by @key: numbers falling, text rising. */
void table_sort(json_t *rows, const char *key);

/* ---- verbs that are alike for every noun */

/* delete NOUN NAME [--if-exists] */
enum outcome delete_named(struct session *session, int argc, char **argv,
			  int (*delete_one)(struct tps_gate *gate, const char *name,
					    struct tps_why *why));

/* list NOUNS [--sort FIELD] */
enum outcome list_rows(struct session *session, int argc, char **argv,
		       int (*read)(const struct tps_gate *gate, json_t *ret_rows),
		       const struct column *columns);

/* Print @object (and take it): as JSON, or a line a member. */
void show_object(const struct session *session, json_t *object);

TPS_DEFINE_CLEANUP(json_t *, json_decref)
#define _cleanup_json_ _cleanup_(json_decref_at_end)

#endif
