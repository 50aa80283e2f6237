/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The schema of a policy: one table of every key, how it is read and how it is printed. The manual
 * tps.yaml(5) is kept equal to it by a test.
 */
#ifndef TPS_POLICY_SCHEMA_H
#define TPS_POLICY_SCHEMA_H

#include "policy.h"

struct tps_scalar {
	const char *text;
	bool is_plain; /* without quotes: numbers and truth are */
	struct tps_place place;
};

/* A value on its way out. */
struct tps_emit {
	struct tps_out *out;
	enum tps_policy_style style;
	bool is_bare;
	size_t items;
};
/* The value, or one more of the list: in quotes where the style wants them. */
void tps_emit(struct tps_emit *emit, const char *text);

enum tps_shape {
	TPS_SHAPE_ONE,    /* a scalar */
	TPS_SHAPE_LIST,   /* of scalars */
	TPS_SHAPE_OBJECT, /* a mapping with the keys .of */
	TPS_SHAPE_NAMED,  /* a mapping of names to such */
	TPS_SHAPE_PAIRS,  /* a mapping of names to scalars */
};

struct tps_field {
	const char *key;
	const char *form; /* what stands there, as errors and the manual say it */
	enum tps_shape shape;
	bool needed;
	bool of_includes; /* an included file may have it */
	bool is_bare;     /* a number or a truth: never in quotes */
	/* ONE: the value; LIST: an item; PAIRS: a value, whose name is @name. */
	int (*read)(struct tps_policy_file *policy, void *object, const char *name,
		    const struct tps_scalar *scalar, struct tps_why *why);
	/* Emits the value, or for a LIST each item; nothing: it is not set. NULL: it cannot be. */
	void (*print)(const struct tps_policy_file *policy, const void *object,
		      struct tps_emit *emit);
	const struct tps_field *of;
	/* NAMED: the object of that name, or NULL without memory (*@why untouched). OBJECT: the
	 * object. */
	void *(*make)(struct tps_policy_file *policy, const char *name, struct tps_place place,
		      struct tps_why *why);
	/* OBJECT, NAMED: all its keys were read. */
	int (*done)(struct tps_policy_file *policy, void *object, struct tps_why *why);
};

/* The end has no key. */
extern const struct tps_field tps_policy_fields[];
extern const struct tps_field tps_tier_fields[];
extern const struct tps_field tps_listener_fields[];
extern const struct tps_field tps_caller_fields[];

/* An item of `sources`, `sni` or `keys`, as a policy has it: a key's hash in full. */
const char *tps_policy_identity_print(const struct tps_policy_file *policy,
				      enum tps_identity identity, const void *one,
				      char ret_text[TPS_IDENTITY_TEXT]);

/* `{rate: 100/s, burst: 5}` */
void tps_fields_print(const struct tps_policy_file *policy, const struct tps_field *fields,
		      const void *object, enum tps_policy_style style, struct tps_out *out);
/* The value of one field; nothing is added when it is not set. */
void tps_field_print(const struct tps_policy_file *policy, const struct tps_field *field,
		     const void *object, enum tps_policy_style style, struct tps_out *out);

#endif
