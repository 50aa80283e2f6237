/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TLS server names as the operator writes them, and as the gate looks them up. Knows no map.
 */
#ifndef TPS_SERVER_NAME_H
#define TPS_SERVER_NAME_H

#include <tps/abi.h>

#include "why.h"

/* `api.example.com`, or `*.example.com` for all names below it; in lower case, NUL padded. */
struct tps_server_name {
	char text[sizeof(((struct tps_host *)0)->name)];
};

/* Strict: what is not exactly of the form is refused, never guessed. */
int tps_server_name_parse(const char *text, struct tps_server_name *ret_name, struct tps_why *why);

/* What it is in the map `hosts`, of a gate with this secret. */
struct tps_key tps_server_name_hash(const struct tps_server_name *name, const __u64 secret[2]);

/* Its bit in control.host_depths: 0 for a whole name, else how many labels are behind "*.". */
__u32 tps_server_name_depth(const struct tps_server_name *name);

#endif
