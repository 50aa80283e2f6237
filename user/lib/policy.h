/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the operator sets beside callers: tiers, listeners, the default tier and the switches. Each
 * change is checked in full first, then written in an order that is safe at each step. @ret_changed
 * may be NULL. The gate must be open for writing.
 */
#ifndef TPS_POLICY_H
#define TPS_POLICY_H

#include "gate.h"
#include "text.h"

#define TPS_TIER_BUILT_IN "free"

/* The number of the tier or listener of that name, or -ENOENT. */
int tps_tier_find(const struct tps_gate *gate, const char *name);
int tps_listener_find(const struct tps_gate *gate, const char *name);

/*
 * Make or change the tier @want->name. Read: name, rate, burst_given (0: the burst follows the
 * rate); the rest is derived.
 */
int tps_tier_set(struct tps_gate *gate, const struct tps_tier *want, bool *ret_changed,
		 struct tps_why *why);
/* Refused (-EBUSY) for the default tier and while a caller is in it; -ENOENT when there is none. */
int tps_tier_delete(struct tps_gate *gate, const char *name, struct tps_why *why);
int tps_default_tier_set(struct tps_gate *gate, const char *name, bool *ret_changed,
			 struct tps_why *why);

/*
 * Make or change the listener @want->name. Read: name, protocol, mode, refusal, placement, cost
 * (0: 1), port[] and port_count, rate (period_s 0: none) and burst (0: follows the rate),
 * key_header_text[] and key_headers; the rest is derived. `Authorization` is read as Bearer. An
 * http listener without a key header gets X-API-Key. To change one, start from a copy of
 * gate->listeners[number].
 */
int tps_listener_set(struct tps_gate *gate, const struct tps_listener *want, bool *ret_changed,
		     struct tps_why *why);
int tps_listener_delete(struct tps_gate *gate, const char *name, struct tps_why *why);
int tps_listener_mode_set(struct tps_gate *gate, int listener, enum tps_mode mode,
			  bool *ret_changed);

/* The kill switch, and observing by every listener. */
bool tps_pause_set(struct tps_gate *gate, bool paused);
bool tps_observe_set(struct tps_gate *gate, bool observe);

#endif
