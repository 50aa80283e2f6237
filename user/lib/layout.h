/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A number for what the entries of the maps mean: a change of a name, an offset or a type changes
 * it.
 */
#ifndef TPS_LAYOUT_H
#define TPS_LAYOUT_H

#include <linux/types.h>

struct btf;

/* Over all `struct tps_*` and `enum tps_*` of @btf, in order of name, and which maps are pinned.
 * Never 0. */
int tps_layout_hash(const struct btf *btf, __u64 *ret_hash);

#endif
