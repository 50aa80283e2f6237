// SPDX-License-Identifier: GPL-2.0-only
/*
 * pause, resume, observe and enforce: the switches.
 */
#include <errno.h>

#include "control.h"
#include "listener.h"
#include "verbs.h"

static enum outcome pause_set(struct session *session, int argc, char **argv, bool paused)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	int err;

	if (!words_only(session, argc, argv, 0, NULL))
		return USAGE;
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	return written(session, tps_pause_set(gate, paused));
}

enum outcome pause_gate(struct session *session, int argc, char **argv)
{
	return pause_set(session, argc, argv, true);
}

enum outcome resume_gate(struct session *session, int argc, char **argv)
{
	return pause_set(session, argc, argv, false);
}

/* With names: those listeners. Without: all of them, by the one switch above their modes. */
static enum outcome mode_set(struct session *session, int argc, char **argv, enum tps_mode mode)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why why = {};
	bool changed = false;
	char **names;
	int err;

	if (!words_only(session, argc, argv, -1, &names))
		return USAGE;
	err = gate_open(session, TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	if (!*names) {
		for (int i = 1; mode == TPS_MODE_ENFORCE && i < TPS_LISTENERS_MAX; i++) {
			if (gate->listeners[i].protocol &&
			    gate->listeners[i].mode == TPS_MODE_OBSERVE)
				note("listener '%s' observes still, by its own mode",
				     gate->listeners[i].name);
		}
		return written(session, tps_observe_set(gate, mode == TPS_MODE_OBSERVE));
	}
	for (char **name = names; *name; name++) {
		err = tps_listener_need(gate, *name, &why);
		if (err < 0)
			return failed(session, err, &why);
	}
	for (char **name = names; *name; name++) {
		bool one = false;

		tps_listener_mode_set(gate, tps_listener_find(gate, *name), mode, &one);
		changed |= one;
	}
	if (mode == TPS_MODE_ENFORCE && gate->control->observe)
		note("every listener observes still, by tpsctl observe; tpsctl enforce ends it");
	return written(session, changed);
}

enum outcome observe(struct session *session, int argc, char **argv)
{
	return mode_set(session, argc, argv, TPS_MODE_OBSERVE);
}

enum outcome enforce(struct session *session, int argc, char **argv)
{
	return mode_set(session, argc, argv, TPS_MODE_ENFORCE);
}
