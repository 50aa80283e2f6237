// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is what cannot be proven most of what comes? Totals go back to when the listener was made, so two
 * looks tell how it is now; where little comes between them, the whole is all that can be told, and
 * is told as that.
 */
#include "doubt.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "counts.h"
#include "report.h"

#define LOOK_NS 500000000L
#define DOUBT_MIN 10 /* fewer transactions say nothing */

static bool is_doubtful(struct share share)
{
	return share.unproven >= DOUBT_MIN && share.unproven * 2 > share.transactions;
}

static json_t *doubt_json(const struct tps_listener *listener, struct share now,
			  struct share before)
{
	struct share between = {now.transactions - before.transactions,
				now.unproven - before.unproven};
	bool is_told = now.transactions >= before.transactions + DOUBT_MIN;
	struct share share = is_told ? between : now;

	if (!is_doubtful(share))
		return NULL;
	return json_sprintf("listener '%s': %s %llu of %llu transactions could not be proven: %s",
			    listener->name, is_told ? "just now," : "since it was made,",
			    share.unproven, share.transactions,
			    listener->placement == TPS_PLACEMENT_LOCAL
				    ? "is its placement transit?"
				    : "is the gate on each device that the answers leave by?");
}

static bool is_looked_at(const struct tps_gate *gate, int listener, const struct tps_totals *totals)
{
	__u8 protocol = gate->listeners[listener].protocol;

	return (protocol == TPS_PROTOCOL_HTTP || protocol == TPS_PROTOCOL_TLS) &&
	       share_of(totals).unproven >= DOUBT_MIN;
}

/* Lets go of the lock: nobody need wait for the second look. */
int doubts_add(struct tps_gate *gate, const struct tps_totals first[TPS_LISTENERS_MAX],
	       json_t *ret_doubts)
{
	_cleanup_free_ struct tps_totals *second = calloc(TPS_LISTENERS_MAX, sizeof(*second));
	json_t *doubt;
	int i = 1, err;

	while (i < TPS_LISTENERS_MAX && !is_looked_at(gate, i, &first[i]))
		i++;
	if (i == TPS_LISTENERS_MAX)
		return 0;
	tps_gate_unlock(gate);
	nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	err = second ? tps_totals_read(gate, second) : -ENOMEM;
	for (; i < TPS_LISTENERS_MAX && !err; i++) {
		if (!is_looked_at(gate, i, &first[i]))
			continue;
		doubt = doubt_json(&gate->listeners[i], share_of(&second[i]), share_of(&first[i]));
		if (doubt)
			json_array_append_new(ret_doubts, doubt);
	}
	return err;
}
