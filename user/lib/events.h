/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring of the gate's events, read by one of any number of readers. Knows when an event is whole
 * and when it was written over; not whom it is about.
 */
#ifndef TPS_EVENTS_H
#define TPS_EVENTS_H

#include "gate.h"

struct tps_events_reader {
	const struct tps_events *ring;
	__u64 *lost;   /* the ring's count, writable */
	__u64 next;    /* the number of the event that is wanted */
	__u64 awaited; /* the number + 1 of one that was not whole when it was last looked at */
};

/* What happens from now on. @gate must stay open; tps_events_end() gives back what this took. */
int tps_events_begin(const struct tps_gate *gate, struct tps_events_reader *ret_reader);
void tps_events_end(struct tps_events_reader *reader);

/*
 * The next event: 1 and *ret_event, or 0 when there is none yet. *ret_lost (in any case) is how
 * many were missed before it, because they were written over; the ring counts them too.
 */
int tps_events_next(struct tps_events_reader *reader, struct tps_event *ret_event, __u64 *ret_lost);

#endif
