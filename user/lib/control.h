/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The switches that hold for every listener: pause (the kill switch) and observe.
 */
#ifndef TPS_CONTROL_H
#define TPS_CONTROL_H

#include "gate.h"

/* To be called before and after each change that makes the gate look away from connections, or back
 * at them (tps_flow.epoch). */
void tps_epoch_raise(struct tps_gate *gate);

/* Whether anything changed. The gate must be open for writing. */
bool tps_pause_set(struct tps_gate *gate, bool paused);
bool tps_observe_set(struct tps_gate *gate, bool observe);

/* The gate's state as one word: enforcing, observing or paused. */
enum tps_state { TPS_STATE_ENFORCING, TPS_STATE_OBSERVING, TPS_STATE_PAUSED, TPS_STATE_MAX };
enum tps_state tps_state_read(const struct tps_gate *gate);
const char *tps_state_text(enum tps_state state);

#endif
