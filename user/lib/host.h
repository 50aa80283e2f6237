/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TLS server names in the map `hosts`, each leading to a slot. Knows the order of a name and its
 * depth in control; knows no caller's name.
 */
#ifndef TPS_HOST_H
#define TPS_HOST_H

#include "identity.h"
#include "server_name.h"

/* All of them, as struct tps_server_name. */
int tps_hosts_dump(const struct tps_gate *gate, struct tps_identities *ret_names);

/* Whose a name is; -ENOENT when it is nobody's, or of a tenant that has gone. */
int tps_host_owner(const struct tps_gate *gate, const struct tps_server_name *name,
		   struct tps_slot *ret_owner);
int tps_host_put(struct tps_gate *gate, const struct tps_server_name *name, struct tps_slot owner);
/* Many at once: struct tps_server_name each. */
int tps_hosts_put(struct tps_gate *gate, const void *const *names, const struct tps_slot *owners,
		  size_t count);

/* The gate looks for names of this depth from now on: for one that a killed command may have left
 * without it. */
void tps_host_depth_raise(struct tps_gate *gate, const struct tps_server_name *name);
/* Its depth stays, whether another name needs it or not: tps_hosts_sweep() follows. */
int tps_host_remove(struct tps_gate *gate, const struct tps_server_name *name);
/* Remove the names of tenants that have gone, and set the depths that the others need; how many
 * went, or -errno. */
int tps_hosts_sweep(struct tps_gate *gate);

#endif
