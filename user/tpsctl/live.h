/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What verbs that go on share: they end on a signal, hold no lock, and notice when the gate that
 * they read is no longer the one that is pinned.
 */
#ifndef TPSCTL_LIVE_H
#define TPSCTL_LIVE_H

#include "verb.h"

/* The gate of the session, its lock let go: settings and counts are read as they are. From now on
 * SIGINT, SIGTERM and SIGHUP end the verb. */
int live_open(const struct session *session, struct tps_gate **ret_gate, struct tps_why *why);

/* Has a signal come? */
bool live_is_over(void);
/* Sleep for @ms, or until a signal. */
void live_sleep(unsigned int ms);

/* Is the gate still the one that is pinned? Looks once a second at most. -ESTALE: @why says so. */
int live_check(const struct tps_gate *gate, struct tps_why *why);

/* A number option of seconds with thousandths, @min .. @max. */
int seconds_parse(const char *what, const char *text, double min, double max, double *ret_seconds,
		  struct tps_why *why);

/* @object (taken) on a line of its own, at once. False: nobody reads any more. */
bool line_json(json_t *object);

#endif
