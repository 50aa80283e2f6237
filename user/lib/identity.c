// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arrays of identities and of their owners, side by side.
 */
#include "identity.h"

#include <stdlib.h>
#include <string.h>

#include "slot.h"

bool tps_slot_equal(struct tps_slot a, struct tps_slot b)
{
	return a.slot == b.slot && a.generation == b.generation;
}

void tps_identities_free(struct tps_identities *identities)
{
	free(identities->all);
	free(identities->owners);
}

void tps_identities_keep(const struct tps_gate *gate, const struct tps_slot *of, size_t size,
			 struct tps_identities *identities)
{
	struct tps_slot *owners = identities->owners;
	char *all = identities->all;
	size_t count = 0;

	for (size_t i = 0; i < identities->count; i++) {
		if (of ? !tps_slot_equal(owners[i], *of) : !tps_slot_is_live(gate, owners[i]))
			continue;
		memmove(all + count * size, all + i * size, size);
		owners[count++] = owners[i];
	}
	identities->count = count;
}
