// SPDX-License-Identifier: GPL-2.0-only
/*
 * An apply, from end to end: met, kept, written, attached.
 */
#include "policy_put.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "policy_store.h"

int tps_policy_standing(const struct tps_gate *gate, struct tps_policy_file **ret_have,
			struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *have = NULL, *applied = NULL;
	int err = tps_policy_of_gate(gate, &have, why);

	if (err)
		return err;
	if (!tps_policy_kept_read(gate->root, TPS_KEPT_APPLIED, gate->control->secret, &applied,
				  NULL, NULL)) {
		have->daemon = applied->daemon;
		applied->daemon = (struct tps_policy_daemon){};
	}
	*ret_have = TAKE_PTR(have);
	return 0;
}

static int same_secret(const struct tps_gate *gate, const struct tps_policy_file *want,
		       struct tps_why *why)
{
	if (!memcmp(gate->control->secret, want->secret, sizeof(want->secret)) ||
	    !want->lists[TPS_IDENTITY_KEY].count)
		return 0;
	return tps_why_say(why, -EEXIST,
			   "secret: keys were hashed with another than the gate's at '%s'",
			   gate->root);
}

/* ---- banned callers stay */

static int caller_keep(struct tps_policy_file *want, const struct tps_policy_file *have,
		       const struct tps_policy_caller *it)
{
	struct tps_policy_caller *kept;

	if (tps_array_grow(&want->callers, &want->caller_room, want->caller_count, sizeof(*kept)))
		return -ENOMEM;
	kept = &want->callers[want->caller_count++];
	*kept = *it;
	kept->torn = false;
	if (!tps_policy_tier_find(want, it->tier))
		strcpy(kept->tier, want->default_tier);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		const struct tps_claimed *own = have->lists[i].ordered + it->first[i];

		for (size_t j = 0; j < it->count[i]; j++) {
			const struct tps_policy_list *list = &want->lists[i];
			bool is_given = false;

			for (size_t k = 0; k < list->count && !is_given; k++)
				is_given = !memcmp(list->values + k * tps_kinds[i].size, own[j].one,
						   tps_kinds[i].size);
			if (!is_given && tps_policy_claim(want, i, own[j].one, own[j].place))
				return -ENOMEM;
		}
	}
	tps_policy_warn(want, (struct tps_place){},
			"caller '%s' is not in the policy, but banned by hand: it stays "
			"(tpsctl unban caller:%s, then apply again)",
			it->name, it->name);
	return 0;
}

/* Callers that are banned by hand and that @want does not have stay: else the ban would go with
 * them. They are added to @want, and a warning says so. */
static int keep_banned(struct tps_policy_file *want, const struct tps_policy_file *have,
		       struct tps_why *why)
{
	_cleanup_free_ bool *stays = calloc(have->caller_count + 1, sizeof(*stays));
	bool any = false;
	int err = stays ? 0 : -ENOMEM;

	/* found before anything is added: what is added is not in order yet */
	for (size_t i = 0; i < have->caller_count && !err; i++) {
		const struct tps_policy_caller *it = &have->callers[i];

		stays[i] = it->banned && !tps_policy_caller_find(want, it->name);
		any |= stays[i];
	}
	for (size_t i = 0; i < have->caller_count && !err; i++) {
		if (stays[i])
			err = caller_keep(want, have, &have->callers[i]);
	}
	return any && !err ? tps_policy_sort(want) : err;
}

/* ---- met, and put */

int tps_policy_meet(const struct tps_gate *gate, struct tps_policy_file *want,
		    struct tps_policy_file **ret_have, struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *have = NULL;
	int err = same_secret(gate, want, why);

	if (!err)
		err = tps_policy_standing(gate, &have, why);
	if (!err)
		err = keep_banned(want, have, why);
	if (!err)
		err = tps_policy_fits(want, gate->capacity, why);
	if (!err)
		*ret_have = TAKE_PTR(have);
	return err;
}

/* What stands is left as it is, also in generic mode. */
static int devices_attach(struct tps_gate *gate, const struct tps_policy_file *want,
			  bool *ret_changed, struct tps_why *why)
{
	int err = 0;

	for (size_t i = 0; i < want->device_count && !err; i++) {
		struct bpf_link_info info;
		_cleanup_close_ int fd = tps_device_link_open(gate, &want->devices[i].key, &info);
		bool one = false;

		err = tps_device_attach(gate, &want->devices[i].key,
					fd >= 0 && info.xdp.ifindex ? TPS_XDP_AUTO : TPS_XDP_NATIVE,
					NULL, &one, why);
		*ret_changed |= one;
	}
	return err;
}

int tps_policy_put(struct tps_gate *gate, const struct tps_policy_file *have,
		   const struct tps_policy_file *want, tps_progress_tell tell, bool *ret_changed,
		   struct tps_why *why)
{
	bool again = tps_policy_is_unfinished(gate->root), changed;
	long count = tps_policy_diff(have, want, NULL, NULL);
	int err = count < 0 ? (int)count : 0;

	changed = count != 0 || again;
	if (!err && changed)
		err = tps_policy_kept_begin(gate->root, have, want, why);
	if (!err && changed)
		err = tps_policy_apply(gate, have, want, again, tell, why);
	/* what the devices bring meets the whole policy */
	if (!err)
		err = devices_attach(gate, want, &changed, why);
	if (!err)
		err = tps_policy_is_unfinished(gate->root)
			      ? tps_policy_kept_end(gate->root, why)
			      : tps_policy_kept_same(gate->root, want, why);
	if (!err)
		*ret_changed = changed;
	return err;
}
