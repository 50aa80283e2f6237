/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waiting until no run of the gate can still hold what was unlinked before.
 */
#ifndef TPS_GRACE_H
#define TPS_GRACE_H

/* All runs that had begun when this is called have ended when it returns. */
void tps_grace_wait(void);

#endif
