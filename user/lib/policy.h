/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy: all that an operator sets, as a file says it (policy_file.c) or as a gate has it
 * (policy_gate.c), so that the two can be compared (policy_diff.c), printed (policy_text.c) and
 * made the same (policy_apply.c). Knows no verb and no daemon. See tps.yaml(5).
 */
#ifndef TPS_POLICY_H
#define TPS_POLICY_H

#include "gate.h"
#include "kind.h"
#include "out.h"
#include "text.h"

#define TPS_POLICY_VERSION 1
#define TPS_POLICY_BYTES_MAX (512UL << 20) /* of all files together */
#define TPS_POLICY_WARNINGS_MAX 16         /* are told; the rest is counted */

/* Where something was written. Line 0: in no file. */
struct tps_place {
	__u32 file; /* of tps_policy_file.files */
	__u32 line;
};

struct tps_policy_tier {
	char name[TPS_TIER_NAME_LEN];
	struct tps_rate rate;
	__u32 burst; /* 0: follows the rate */
	struct tps_place place;
};

struct tps_policy_listener {
	struct tps_listener listener; /* whole, as the gate would have it */
	bool refusal_given;
	bool torn; /* a killed command left it half-written */
	struct tps_place place;
};

struct tps_policy_caller {
	char name[TPS_NAME_LEN];
	char tier[TPS_TIER_NAME_LEN]; /* empty until it is sealed: the default one */
	struct tps_rate rate;         /* own; period_s 0: the tier's */
	__u32 burst;                  /* own; 0: follows the rate */
	bool exempt;
	bool banned;          /* by hand, now */
	bool torn;            /* a killed command left it half-written */
	struct tps_slot slot; /* in the gate; generation 0: none */
	struct tps_place place;
	__u32 number; /* where it was before it was sorted */
	/* its own in tps_policy_list.ordered, once sealed */
	size_t first[TPS_IDENTITY_MAX], count[TPS_IDENTITY_MAX];
};

/* An identity and whose it is. */
struct tps_claimed {
	const void *one; /* of the kind's type; once sorted */
	__u32 caller;    /* of tps_policy_file.callers */
	struct tps_place place;
	size_t index; /* of tps_policy_list.values */
};

struct tps_policy_list {
	char *values; /* of the kind's type */
	size_t value_room;
	struct tps_claimed *claimed; /* sorted by value, once sealed */
	struct tps_claimed *ordered; /* sorted by caller, then value */
	size_t count, room;
};

struct tps_policy_ban {
	struct tps_prefix prefix;
	bool by_hand; /* not the policy's: it is there for those who must not lift it */
	bool passes;  /* by hand, and it will end by itself */
	struct tps_place place;
};

struct tps_policy_device {
	struct tps_device_key key;
	struct tps_place place;
};

/* `tpsd:`, kept for the daemon. */
struct tps_policy_daemon {
	char *listen; /* NULL: not given */
	__u32 max_callers;
	char **hook;
	size_t hook_count, hook_room;
	bool is_given;
};

struct tps_policy_file {
	char **files;
	size_t file_count, file_room;
	__u64 secret[2];
	bool has_secret;
	__u32 fingerprint; /* of the keys' secret where ours is not known; 0: no key yet */
	char default_tier[TPS_TIER_NAME_LEN];
	struct tps_place default_tier_place;
	struct tps_policy_tier *tiers; /* these are sorted by name, once sealed */
	size_t tier_count, tier_room;
	struct tps_policy_listener *listeners;
	size_t listener_count, listener_room;
	struct tps_policy_caller *callers;
	size_t caller_count, caller_room;
	struct tps_policy_list lists[TPS_IDENTITY_MAX];
	struct tps_policy_ban *bans;
	size_t ban_count, ban_room;
	struct tps_policy_device *devices;
	size_t device_count, device_room;
	__u32 capacity[TPS_MAP_MAX]; /* 0: not given */
	struct tps_place capacity_place[TPS_MAP_MAX];
	struct tps_policy_daemon daemon;
	char *warnings[TPS_POLICY_WARNINGS_MAX];
	size_t warning_count; /* also of those that are not told */
};

/* ---- made */

/*
 * Read and check the policy of @file (`-`: standard input) and of what it includes. Errors of what
 * is written begin with FILE:LINE. @secret is what API keys are hashed with; NULL: not known, so
 * that hashes are only held against one another. May wait for ever: take no lock before.
 */
int tps_policy_read(const char *file, const __u64 *secret, struct tps_policy_file **ret_policy,
		    struct tps_why *why);
/* The same of a text; @name stands for the file's in errors, and nothing is included. */
int tps_policy_parse(const char *name, const char *text, size_t bytes, const __u64 *secret,
		     struct tps_policy_file **ret_policy, struct tps_why *why);
/* What the gate has. */
int tps_policy_of_gate(const struct tps_gate *gate, struct tps_policy_file **ret_policy,
		       struct tps_why *why);
/* What a gate has that was just made. */
int tps_policy_of_fresh(struct tps_policy_file **ret_policy);
void tps_policy_free(struct tps_policy_file *policy);
TPS_DEFINE_CLEANUP(struct tps_policy_file *, tps_policy_free)
#define _cleanup_policy_ _cleanup_(tps_policy_free_at_end)

/* To put one together: the last caller of policy->callers gets an identity. */
int tps_policy_claim(struct tps_policy_file *policy, enum tps_identity identity, const void *one,
		     struct tps_place place);
void tps_policy_warn(struct tps_policy_file *policy, struct tps_place place, const char *format,
		     ...) __attribute__((format(printf, 3, 4)));
/* FILE:LINE, or an empty text. */
#define TPS_PLACE_TEXT 300
const char *tps_place_print(const struct tps_policy_file *policy, struct tps_place place,
			    char ret_text[TPS_PLACE_TEXT]);
/* tps_why_say() with FILE:LINE before it. */
int tps_place_say(const struct tps_policy_file *policy, struct tps_place place, struct tps_why *why,
		  int error, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sort what was put together. */
int tps_policy_sort(struct tps_policy_file *policy);
/* The same; resolve what is left to the defaults, and refuse what contradicts itself. */
int tps_policy_seal(struct tps_policy_file *policy, struct tps_why *why);
/* Would it fit maps of these capacities (0: the default ones)? */
int tps_policy_fits(const struct tps_policy_file *policy, const __u32 capacity[TPS_MAP_MAX],
		    struct tps_why *why);

/* By name, or NULL. Sealed. */
const struct tps_policy_tier *tps_policy_tier_find(const struct tps_policy_file *policy,
						   const char *name);
const struct tps_policy_caller *tps_policy_caller_find(const struct tps_policy_file *policy,
						       const char *name);
/* Is it one of the policy's devices? */
bool tps_policy_has_device(const struct tps_policy_file *policy, const struct tps_device_key *key);

/* ---- printed: what tps_policy_parse() reads back as the same */

enum tps_policy_style { TPS_POLICY_YAML, TPS_POLICY_JSON };
void tps_policy_print(const struct tps_policy_file *policy, enum tps_policy_style style,
		      struct tps_out *out);

/* ---- compared */

struct tps_difference {
	char sign;         /* '+', '-' or '~' */
	const char *noun;  /* tier, listener, caller, ban, device, default_tier */
	const char *name;  /* of the object; may be NULL */
	const char *field; /* what of it; NULL: the whole */
	const char *from;  /* NULL: nothing */
	const char *to;
};
typedef void (*tps_difference_tell)(const struct tps_difference *difference, void *context);

/* What must be done to @have to make it @want; how many differences there are, or -errno. @tell may
 * be NULL. Devices that @want does not name are left out: a policy takes the gate off none. */
long tps_policy_diff(const struct tps_policy_file *have, const struct tps_policy_file *want,
		     tps_difference_tell tell, void *context);

bool tps_policy_tier_equal(const struct tps_policy_tier *a, const struct tps_policy_tier *b);
bool tps_policy_caller_equal(const struct tps_policy_caller *a, const struct tps_policy_caller *b);
bool tps_policy_listener_equal(const struct tps_policy_listener *have,
			       const struct tps_policy_listener *want);
/* Is @prefix banned in @have so that it needs no more? */
bool tps_policy_ban_holds(const struct tps_policy_file *have, const struct tps_prefix *prefix);

/* ---- applied */

/* Told now and then: what is written, and how much of it. */
typedef void (*tps_progress_tell)(const char *what, size_t done, size_t count);

/*
 * Make the gate's settings those of @want, from @have, which was read of it under the same lock. In
 * an order that is safe at each step: whoever is limited stays limited, and what does not change is
 * not touched. Killed anywhere, the next one ends the work, with @again (something of an earlier
 * one may be half-done). Devices are not attached here.
 */
int tps_policy_apply(struct tps_gate *gate, const struct tps_policy_file *have,
		     const struct tps_policy_file *want, bool again, tps_progress_tell tell,
		     struct tps_why *why);

#endif
