// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bans by hand. The gate asks only for the prefix lengths whose bits are set in control: an entry
 * comes before its bit, and a bit goes when no entry needs it.
 */
#include "ban.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "caller.h"
#include "dump.h"
#include "slot.h"

__u64 tps_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static __u64 until_ns(__u64 seconds)
{
	return seconds ? tps_now_ns() + seconds * 1000000000ULL : TPS_BAN_FOR_EVER;
}

static struct tps_ban_key key_of(const struct tps_prefix *prefix)
{
	struct tps_ban_key key = {.prefix_bits = prefix->bits, .family = prefix->family};

	memcpy(key.address, prefix->address, sizeof(key.address));
	return key;
}

static int by_prefix(const void *a, const void *b)
{
	const struct tps_prefix *left = &((const struct tps_ban_entry *)a)->prefix;
	const struct tps_prefix *right = &((const struct tps_ban_entry *)b)->prefix;
	int order = (int)left->family - (int)right->family;

	if (!order)
		order = memcmp(left->address, right->address, sizeof(left->address));
	return order ? order : (int)left->bits - (int)right->bits;
}

int tps_bans_read(const struct tps_gate *gate, __u64 now_ns, struct tps_ban_entry **ret_bans,
		  size_t *ret_count)
{
	_cleanup_free_ struct tps_ban_entry *bans = NULL;
	_cleanup_free_ void *keys = NULL, *values = NULL;
	size_t all, count = 0;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_bans], &keys, &values, &all);

	if (err)
		return err;
	bans = calloc(all + 1, sizeof(*bans));
	if (!bans)
		return -ENOMEM;
	for (size_t i = 0; i < all; i++) {
		const struct tps_ban_key *key = (struct tps_ban_key *)keys + i;
		const struct tps_ban *ban = (struct tps_ban *)values + i;

		if (ban->until_ns <= now_ns)
			continue;
		memcpy(bans[count].prefix.address, key->address, sizeof(key->address));
		bans[count].prefix.bits = key->prefix_bits;
		bans[count].prefix.family = key->family;
		bans[count++].ban = *ban;
	}
	qsort(bans, count, sizeof(*bans), by_prefix);
	*ret_bans = TAKE_PTR(bans);
	*ret_count = count;
	return 0;
}

/* Which lengths are in use, as control has them. */
struct lengths {
	__u64 v4, v6[3];
};

static void length_add(struct lengths *lengths, const struct tps_prefix *prefix)
{
	if (prefix->family == 4)
		lengths->v4 |= 1ULL << prefix->bits;
	else
		lengths->v6[prefix->bits / 64] |= 1ULL << prefix->bits % 64;
}

static int lengths_v6_count(const struct lengths *lengths)
{
	return __builtin_popcountll(lengths->v6[0]) + __builtin_popcountll(lengths->v6[1]) +
	       __builtin_popcountll(lengths->v6[2]);
}

static struct lengths lengths_of(const struct tps_gate *gate)
{
	struct lengths lengths = {.v4 = gate->control->ban_lengths4};

	memcpy(lengths.v6, gate->control->ban_lengths6, sizeof(lengths.v6));
	return lengths;
}

static void lengths_put(struct tps_gate *gate, const struct lengths *lengths)
{
	tps_word_store(&gate->control->ban_lengths4, lengths->v4);
	for (int i = 0; i < 3; i++)
		tps_word_store(&gate->control->ban_lengths6[i], lengths->v6[i]);
}

/* Remove bans that are past, and tell the lengths of those that hold. */
static int bans_clean(struct tps_gate *gate, struct lengths *ret_lengths)
{
	_cleanup_free_ struct tps_ban_entry *bans = NULL;
	struct lengths lengths = {};
	__u64 now_ns = tps_now_ns();
	size_t count;
	int err = tps_bans_read(gate, 0, &bans, &count);

	for (size_t i = 0; i < count && !err; i++) {
		struct tps_ban_key key = key_of(&bans[i].prefix);

		if (bans[i].ban.until_ns > now_ns)
			length_add(&lengths, &bans[i].prefix);
		else
			bpf_map_delete_elem(gate->map_fd[TPS_MAP_bans], &key);
	}
	if (!err)
		*ret_lengths = lengths;
	return err;
}

int tps_ban_prefix(struct tps_gate *gate, const struct tps_prefix *prefix, __u64 seconds,
		   const char *reason, struct tps_why *why)
{
	struct tps_ban ban = {.until_ns = until_ns(seconds), .made_s = time(NULL)};
	struct tps_ban_key key = key_of(prefix);
	char text[TPS_PREFIX_TEXT];
	struct lengths lengths = {};
	int err = bans_clean(gate, &lengths);

	if (err)
		return err;
	strncpy(ban.reason, reason ? reason : "", sizeof(ban.reason) - 1);
	length_add(&lengths, prefix);
	if (lengths_v6_count(&lengths) > TPS_BAN_LENGTHS_MAX)
		return tps_why_say(
			why, -ENOSPC,
			"ban '%s': IPv6 bans have %d different prefix lengths already, the "
			"most there can be: use one of those",
			tps_prefix_print(prefix, text), TPS_BAN_LENGTHS_MAX);
	err = bpf_map_update_elem(gate->map_fd[TPS_MAP_bans], &key, &ban, BPF_ANY);
	if (err == -E2BIG)
		return tps_why_say(why, err,
				   "ban '%s': the map 'bans' is full; lift some, or set attach "
				   "--capacity bans=N",
				   tps_prefix_print(prefix, text));
	if (err)
		return err;
	lengths_put(gate, &lengths);
	return 0;
}

bool tps_ban_prefix_stands(const struct tps_gate *gate, const struct tps_prefix *prefix,
			   const char *reason)
{
	struct tps_ban_key key = key_of(prefix);
	struct lengths lengths = lengths_of(gate), with = lengths;
	struct tps_ban ban;

	length_add(&with, prefix);
	return !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_bans], &key, &ban) &&
	       ban.until_ns == TPS_BAN_FOR_EVER && !strcmp(ban.reason, reason ? reason : "") &&
	       !memcmp(&with, &lengths, sizeof(lengths)); /* a killed ban may lack its bit */
}

/* ---- the policy's own */

bool tps_ban_is_seen(const struct tps_gate *gate, const struct tps_prefix *prefix)
{
	struct lengths lengths = lengths_of(gate), with = lengths;

	length_add(&with, prefix);
	return !memcmp(&with, &lengths, sizeof(lengths));
}

static int policy_ban_put(struct tps_gate *gate, const struct tps_prefix *prefix)
{
	struct tps_ban ban = {.until_ns = TPS_BAN_FOR_EVER,
			      .made_s = TPS_BAN_OF_POLICY,
			      .reason = "in the policy"};
	struct tps_ban_key key = key_of(prefix);
	struct tps_ban there;

	if (!bpf_map_lookup_elem(gate->map_fd[TPS_MAP_bans], &key, &there) &&
	    there.made_s != TPS_BAN_OF_POLICY && there.until_ns > tps_now_ns()) {
		ban = there;
		ban.until_ns = TPS_BAN_FOR_EVER;
	}
	return bpf_map_update_elem(gate->map_fd[TPS_MAP_bans], &key, &ban, BPF_ANY);
}

int tps_bans_put(struct tps_gate *gate, const struct tps_prefix *prefixes, size_t count,
		 struct tps_why *why)
{
	char text[TPS_PREFIX_TEXT];
	struct lengths lengths;
	int err = bans_clean(gate, &lengths);

	for (size_t i = 0; i < count && !err; i++)
		length_add(&lengths, &prefixes[i]);
	if (!err && lengths_v6_count(&lengths) > TPS_BAN_LENGTHS_MAX)
		return tps_why_say(why, -ENOSPC,
				   "bans: with those by hand, IPv6 bans would have over %d "
				   "different prefix lengths",
				   TPS_BAN_LENGTHS_MAX);
	for (size_t i = 0; i < count && !err; i++) {
		err = policy_ban_put(gate, &prefixes[i]);
		if (err == -E2BIG)
			tps_why_say(why, err,
				    "ban '%s': the map 'bans' is full, with those by hand; lift "
				    "some (tpsctl unban)",
				    tps_prefix_print(&prefixes[i], text));
	}
	if (!err)
		lengths_put(gate, &lengths);
	return err;
}

int tps_bans_lift(struct tps_gate *gate, const struct tps_prefix *prefixes, size_t count)
{
	struct lengths lengths;
	int err;

	for (size_t i = 0; i < count; i++) {
		struct tps_ban_key key = key_of(&prefixes[i]);
		struct tps_ban there;

		if (!bpf_map_lookup_elem(gate->map_fd[TPS_MAP_bans], &key, &there) &&
		    there.made_s == TPS_BAN_OF_POLICY)
			bpf_map_delete_elem(gate->map_fd[TPS_MAP_bans], &key);
	}
	err = bans_clean(gate, &lengths);
	if (!err)
		lengths_put(gate, &lengths);
	return err;
}

int tps_unban_prefix(struct tps_gate *gate, const struct tps_prefix *prefix, bool *ret_changed)
{
	struct tps_ban_key key = key_of(prefix);
	struct lengths lengths;
	struct tps_ban ban;
	bool holds = !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_bans], &key, &ban) &&
		     ban.until_ns > tps_now_ns();
	int err = bpf_map_delete_elem(gate->map_fd[TPS_MAP_bans], &key);

	if (!err || err == -ENOENT)
		err = bans_clean(gate, &lengths);
	if (err)
		return err;
	lengths_put(gate, &lengths);
	*ret_changed = holds;
	return 0;
}

/* The record first when a ban comes and last when it goes: it only explains. */
static int caller_ban_put(struct tps_gate *gate, const char *name, __u64 until, const char *reason,
			  bool *ret_changed, struct tps_why *why)
{
	struct tps_caller_entry caller;
	struct tps_caller_key key = {};
	int err = tps_caller_need(gate, name, &caller, why);

	if (err)
		return err;
	if (ret_changed)
		*ret_changed = caller.limit.banned_until_ns != until;
	strcpy(key.name, name);
	memset(caller.record.ban_reason, 0, sizeof(caller.record.ban_reason));
	strncpy(caller.record.ban_reason, reason ? reason : "",
		sizeof(caller.record.ban_reason) - 1);
	caller.record.ban_made_s = until ? time(NULL) : 0;
	if (!until)
		tps_word_store(&gate->limits[caller.record.slot].banned_until_ns, 0);
	err = bpf_map_update_elem(gate->map_fd[TPS_MAP_callers], &key, &caller.record, BPF_EXIST);
	if (!err && until)
		tps_word_store(&gate->limits[caller.record.slot].banned_until_ns, until);
	return err;
}

int tps_ban_caller(struct tps_gate *gate, const char *name, __u64 seconds, const char *reason,
		   struct tps_why *why)
{
	return caller_ban_put(gate, name, until_ns(seconds), reason, NULL, why);
}

bool tps_ban_caller_stands(const struct tps_gate *gate, const char *name, const char *reason)
{
	struct tps_caller_entry caller;

	return !tps_caller_find(gate, name, &caller) &&
	       caller.limit.banned_until_ns == TPS_BAN_FOR_EVER &&
	       !strcmp(caller.record.ban_reason, reason ? reason : "");
}

int tps_unban_caller(struct tps_gate *gate, const char *name, bool *ret_changed,
		     struct tps_why *why)
{
	return caller_ban_put(gate, name, 0, NULL, ret_changed, why);
}
