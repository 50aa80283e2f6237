/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate's object as this program carries it. Knows how it is opened and loaded, and by what it
 * is told from another build's; not what is done with it.
 */
#ifndef TPS_OBJECT_H
#define TPS_OBJECT_H

#include <bpf/libbpf.h>

#include "cleanup.h"
#include "gate.h"
#include "why.h"

TPS_DEFINE_CLEANUP(struct bpf_object *, bpf_object__close)
#define _cleanup_object_ _cleanup_(bpf_object__close_at_end)

/* Opened, not loaded; NULL with *ret_err. */
struct bpf_object *tps_object_open(int *ret_err, struct tps_why *why);

struct bpf_map *tps_object_map(const struct bpf_object *object, enum tps_map map);

/* -EOPNOTSUPP for a kernel that is too old. */
int tps_kernel_check(struct tps_why *why);
/* Load what was opened. */
int tps_object_load(struct bpf_object *object, struct tps_why *why);
/* A fd, the caller's own, of a program of what was loaded. */
int tps_object_program(const struct bpf_object *object, const char *name);

/* Write into @meta that the programs of this build run. */
void tps_object_sign(struct tps_meta *meta);
/* Is it written there? */
bool tps_object_signed(const struct tps_meta *meta);

#endif
