// SPDX-License-Identifier: GPL-2.0-only
/*
 * The switches that hold for every listener.
 */
#include "control.h"

static bool switch_set(__u32 *where, bool on)
{
	if (*where == on)
		return false;
	tps_half_store(where, on);
	return true;
}

bool tps_pause_set(struct tps_gate *gate, bool paused)
{
	return switch_set(&gate->control->paused, paused);
}

bool tps_observe_set(struct tps_gate *gate, bool observe)
{
	return switch_set(&gate->control->observe, observe);
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
