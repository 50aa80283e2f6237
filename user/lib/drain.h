/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections on which requests were answered in the server's stead. Their ends count differently,
 * so none outlives the gate on its device: they are ended, both sides, before the gate goes.
 */
#ifndef TPS_DRAIN_H
#define TPS_DRAIN_H

#include "gate.h"

/* How many there are through the device @ifindex; 0: through any. */
int tps_splices_count(const struct tps_gate *gate, __u32 ifindex, size_t *ret_count);

/*
 * End those through @ifindex, of the network namespace that this thread is in: the host's sockets
 * are destroyed (sock_diag(7)), and the RSTs leave through the gate. To be called while it still
 * stands. Those that an answer had ended for their clients are not counted.
 */
int tps_splices_end(const struct tps_gate *gate, __u32 ifindex, size_t *ret_ended);

/* Forget what is left of them, once the gate is off the device. */
int tps_splices_forget(const struct tps_gate *gate, __u32 ifindex);

#endif
