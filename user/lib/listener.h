/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listeners: sets of ports and what a transaction is there. Knows the order in which ports and
 * listener are written. @ret_changed may be NULL; what changes needs a gate open for writing.
 */
#ifndef TPS_LISTENER_H
#define TPS_LISTENER_H

#include "gate.h"

#define TPS_KEY_HEADER_DEFAULT "X-API-Key"

/* How a listener refuses when nothing else is asked: so that the client understands, where that can
 * be. */
enum tps_refusal tps_refusal_default(enum tps_protocol protocol, enum tps_placement placement);

/* The number of the listener of that name, or -ENOENT. */
int tps_listener_find(const struct tps_gate *gate, const char *name);
/* Of the one that has that number, as events and counts keep it; NULL: it has gone. */
const char *tps_listener_name(const struct tps_gate *gate, __u32 number);
/* tps_listener_find(), and @why says what to do. */
int tps_listener_need(const struct tps_gate *gate, const char *name, struct tps_why *why);

/*
 * Make or change the listener @want->name. Read: name, protocol, mode, refusal, placement, cost
 * (0: 1), port[] and port_count, rate (period_s 0: none) and burst (0: follows the rate),
 * key_header_text[] and key_headers; the rest is derived. `Authorization` is read as Bearer. An
 * http listener without a key header gets X-API-Key. To change one, start from a copy of
 * gate->listeners[number].
 */
int tps_listener_set(struct tps_gate *gate, const struct tps_listener *want, bool *ret_changed,
		     struct tps_why *why);
/* The same without a gate: checked by itself and made whole. @ret_listener may be @want. */
int tps_listener_make(const struct tps_listener *want, struct tps_listener *ret_listener,
		      struct tps_why *why);
/* Did no killed command leave it half-written? */
bool tps_listener_is_whole(const struct tps_gate *gate, int number);

/*
 * Make the listeners those @count, each of them made whole, which share no port. A port that goes
 * from one to another is never without one; those that are not wanted go last. Nothing that does
 * not change is touched.
 */
int tps_listeners_replace(struct tps_gate *gate, const struct tps_listener *const *wants,
			  size_t count, struct tps_why *why);
/* Of those that are there, where less is wanted: before bursts are lowered. */
void tps_listener_costs_lower(struct tps_gate *gate, const struct tps_listener *const *wants,
			      size_t count);
int tps_listener_delete(struct tps_gate *gate, const char *name, struct tps_why *why);
int tps_listener_mode_set(struct tps_gate *gate, int listener, enum tps_mode mode,
			  bool *ret_changed);

#endif
