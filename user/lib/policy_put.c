// SPDX-License-Identifier: GPL-2.0-only
/*
 * An apply, from end to end: met, kept, written, attached.
 */
#include "policy_put.h"

#include <errno.h>
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

int tps_policy_meet(const struct tps_gate *gate, struct tps_policy_file *want,
		    struct tps_policy_file **ret_have, struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *have = NULL;
	int err = same_secret(gate, want, why);

	if (!err)
		err = tps_policy_standing(gate, &have, why);
	if (!err)
		err = tps_policy_keep_banned(want, have, why);
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
