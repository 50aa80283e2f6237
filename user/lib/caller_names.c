// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names by slot, kept until a tenant turns up that is not among them.
 */
#include "caller_names.h"

#include <errno.h>
#include <stdlib.h>

#include "ban.h"
#include "caller.h"

#define AGAIN_NS 1000000000ULL

struct tps_caller_names {
	const struct tps_gate *gate;
	struct tps_caller_entry *callers;
	__u32 *by_slot; /* place in callers + 1, or 0 */
	__u64 read_ns;
};

void tps_caller_names_free(struct tps_caller_names *names)
{
	if (!names)
		return;
	free(names->callers);
	free(names->by_slot);
	free(names);
}

static int names_read(struct tps_caller_names *names)
{
	__u32 slots = names->gate->capacity[TPS_MAP_limits];
	_cleanup_free_ struct tps_caller_entry *callers = NULL;
	_cleanup_free_ __u32 *by_slot = calloc(slots, sizeof(*by_slot));
	size_t count;
	int err;

	if (!by_slot)
		return -ENOMEM;
	err = tps_callers_read(names->gate, &callers, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		if (callers[i].record.slot < slots)
			by_slot[callers[i].record.slot] = i + 1;
	}
	free(names->callers);
	free(names->by_slot);
	names->callers = TAKE_PTR(callers);
	names->by_slot = TAKE_PTR(by_slot);
	names->read_ns = tps_now_ns();
	return 0;
}

int tps_caller_names_make(const struct tps_gate *gate, struct tps_caller_names **ret_names)
{
	_cleanup_(tps_caller_names_free_at_end) struct tps_caller_names *names =
		calloc(1, sizeof(*names));
	int err;

	if (!names)
		return -ENOMEM;
	names->gate = gate;
	err = names_read(names);
	if (err)
		return err;
	*ret_names = TAKE_PTR(names);
	return 0;
}

static const char *name_at(const struct tps_caller_names *names, struct tps_slot slot)
{
	__u32 at = names->by_slot[slot.slot];

	if (!at || names->callers[at - 1].record.generation != slot.generation)
		return NULL;
	return names->callers[at - 1].name;
}

const char *tps_caller_names_find(struct tps_caller_names *names, struct tps_slot slot)
{
	const char *name;

	if (!slot.generation || slot.slot >= names->gate->capacity[TPS_MAP_limits])
		return NULL;
	name = name_at(names, slot);
	if (name || names->gate->limits[slot.slot].generation != slot.generation ||
	    tps_now_ns() < names->read_ns + AGAIN_NS || names_read(names))
		return name;
	return name_at(names, slot);
}
