// SPDX-License-Identifier: GPL-2.0-only
/*
 * The switches that hold for every listener.
 */
#include "control.h"

/* The epoch is raised on both sides of the change: no flow that was read before it, or during it,
 * is taken for one that the gate followed through. */
static bool switch_set(struct tps_gate *gate, __u32 *where, bool on)
{
	if (*where == on)
		return false;
	tps_epoch_raise(gate);
	tps_half_store(where, on);
	tps_epoch_raise(gate);
	return true;
}

void tps_epoch_raise(struct tps_gate *gate)
{
	tps_half_store(&gate->control->epoch, gate->control->epoch + 1);
}

bool tps_pause_set(struct tps_gate *gate, bool paused)
{
	return switch_set(gate, &gate->control->paused, paused);
}

bool tps_observe_set(struct tps_gate *gate, bool observe)
{
	return switch_set(gate, &gate->control->observe, observe);
}

enum tps_state tps_state_read(const struct tps_gate *gate)
{
	if (gate->control->paused)
		return TPS_STATE_PAUSED;
	return gate->control->observe ? TPS_STATE_OBSERVING : TPS_STATE_ENFORCING;
}

const char *tps_state_text(enum tps_state state)
{
	static const char *const texts[] = {"enforcing", "observing", "paused"};

	return texts[state];
}
