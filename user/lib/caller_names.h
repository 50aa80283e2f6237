/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a slot back to its caller's name, for who reads what the gate wrote. Knows when the names
 * must be read again; knows nothing else of a caller.
 */
#ifndef TPS_CALLER_NAMES_H
#define TPS_CALLER_NAMES_H

#include "gate.h"

struct tps_caller_names;

int tps_caller_names_make(const struct tps_gate *gate, struct tps_caller_names **ret_names);
void tps_caller_names_free(struct tps_caller_names *names);
TPS_DEFINE_CLEANUP(struct tps_caller_names *, tps_caller_names_free)

/* The name of that tenant, or NULL: it has gone, or nobody could tell. Reads all names again, but
 * only once a second, where the slot has a tenant that was not there before. */
const char *tps_caller_names_find(struct tps_caller_names *names, struct tps_slot slot);

#endif
