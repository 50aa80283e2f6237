/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * YAML (and so JSON) as what a policy may have of it: scalars, lists and mappings of one document.
 * Anchors, aliases, tags and second documents are refused. Knows no key of a policy.
 */
#ifndef TPS_YAML_WALK_H
#define TPS_YAML_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#include "why.h"

#define TPS_YAML_SCALAR_MAX 4096 /* bytes of one scalar */

enum tps_yaml_kind {
	TPS_YAML_SCALAR,
	TPS_YAML_LIST,
	TPS_YAML_LIST_END,
	TPS_YAML_MAP,
	TPS_YAML_MAP_END,
	TPS_YAML_END, /* of the document, and nothing follows */
};

struct tps_yaml_node {
	enum tps_yaml_kind kind;
	__u32 line;
	const char *text; /* a scalar's, until the next node is read */
	bool is_plain;    /* a scalar without quotes */
};

struct tps_yaml;

/* @text stays the giver's, and must stay. NULL without memory. */
struct tps_yaml *tps_yaml_begin(const char *text, size_t bytes);
void tps_yaml_end(struct tps_yaml *yaml);

/* The next node. -EINVAL: not YAML, or not of this kind; @ret_node has the line all the same. */
int tps_yaml_next(struct tps_yaml *yaml, struct tps_yaml_node *ret_node, struct tps_why *why);

/* `a mapping`, `a list`, `'abc'`: what was found, for an error. */
#define TPS_YAML_TEXT 80
const char *tps_yaml_print(const struct tps_yaml_node *node, char ret_text[TPS_YAML_TEXT]);

#endif
