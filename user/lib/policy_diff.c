// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two policies walked side by side: both are sorted, so that what differs is met in order.
 */
#include <errno.h>
#include <string.h>

#include "policy_schema.h"

struct walk {
	const struct tps_policy_file *have, *want;
	tps_difference_tell tell;
	void *context;
	long count;
	struct tps_out from, to; /* what is told */
};

static void told(struct walk *walk, char sign, const char *noun, const char *name,
		 const char *field, const char *from, const char *to)
{
	struct tps_difference difference = {sign, noun, name, field, from, to};

	walk->count++;
	if (walk->tell)
		walk->tell(&difference, walk->context);
}

/* ---- equal */

bool tps_policy_tier_equal(const struct tps_policy_tier *a, const struct tps_policy_tier *b)
{
	return tps_rate_equal(&a->rate, &b->rate) && a->burst == b->burst;
}

bool tps_policy_caller_equal(const struct tps_policy_caller *a, const struct tps_policy_caller *b)
{
	return !strcmp(a->tier, b->tier) && tps_rate_equal(&a->rate, &b->rate) &&
	       a->burst == b->burst && a->exempt == b->exempt && !a->torn && !b->torn;
}

bool tps_policy_listener_equal(const struct tps_policy_listener *have,
			       const struct tps_policy_listener *want)
{
	return !have->torn && !memcmp(&have->listener, &want->listener, sizeof(have->listener));
}

bool tps_policy_ban_holds(const struct tps_policy_file *have, const struct tps_prefix *prefix)
{
	for (size_t low = 0, high = have->ban_count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = memcmp(prefix, &have->bans[middle].prefix, sizeof(*prefix));

		if (!order)
			return !have->bans[middle].passes;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* ---- told */

/* One side only: the whole object. */
static void whole(struct walk *walk, char sign, const char *noun, const char *name,
		  const struct tps_field *fields, const void *object)
{
	const struct tps_policy_file *policy = sign == '+' ? walk->want : walk->have;

	tps_out_cut(&walk->to, 0);
	if (walk->tell)
		tps_fields_print(policy, fields, object, TPS_POLICY_YAML, &walk->to);
	told(walk, sign, noun, name, NULL, sign == '+' ? NULL : walk->to.text,
	     sign == '+' ? walk->to.text : NULL);
}

/* Each field that is another; the lists of a caller are told by their items. */
static void fields(struct walk *walk, const char *noun, const char *name,
		   const struct tps_field *field, const void *have, const void *want)
{
	long before = walk->count;

	for (; field->key; field++) {
		if (!field->print || (field->shape == TPS_SHAPE_LIST && !strcmp(noun, "caller")))
			continue;
		tps_out_cut(&walk->from, 0);
		tps_out_cut(&walk->to, 0);
		tps_out_text(&walk->from, "");
		tps_out_text(&walk->to, "");
		tps_field_print(walk->have, field, have, TPS_POLICY_YAML, &walk->from);
		tps_field_print(walk->want, field, want, TPS_POLICY_YAML, &walk->to);
		if (walk->from.failed || walk->to.failed || strcmp(walk->from.text, walk->to.text))
			told(walk, '~', noun, name, field->key, walk->from.text, walk->to.text);
	}
	if (walk->count == before)
		told(walk, '~', noun, name, NULL, "half-written", "whole");
}

static void tiers(struct walk *walk)
{
	const struct tps_policy_file *have = walk->have, *want = walk->want;
	size_t i = 0, j = 0;

	while (i < have->tier_count || j < want->tier_count) {
		const struct tps_policy_tier *a = &have->tiers[i], *b = &want->tiers[j];
		int order = i == have->tier_count   ? 1
			    : j == want->tier_count ? -1
						    : strcmp(a->name, b->name);

		if (order < 0)
			whole(walk, '-', "tier", a->name, tps_tier_fields, a);
		else if (order > 0)
			whole(walk, '+', "tier", b->name, tps_tier_fields, b);
		else if (!tps_policy_tier_equal(a, b))
			fields(walk, "tier", a->name, tps_tier_fields, a, b);
		i += order <= 0;
		j += order >= 0;
	}
}

static void listeners(struct walk *walk)
{
	const struct tps_policy_file *have = walk->have, *want = walk->want;
	size_t i = 0, j = 0;

	while (i < have->listener_count || j < want->listener_count) {
		const struct tps_policy_listener *a = &have->listeners[i], *b = &want->listeners[j];
		int order = i == have->listener_count ? 1
			    : j == want->listener_count
				    ? -1
				    : strcmp(a->listener.name, b->listener.name);

		if (order < 0)
			whole(walk, '-', "listener", a->listener.name, tps_listener_fields, a);
		else if (order > 0)
			whole(walk, '+', "listener", b->listener.name, tps_listener_fields, b);
		else if (!tps_policy_listener_equal(a, b))
			fields(walk, "listener", a->listener.name, tps_listener_fields, a, b);
		i += order <= 0;
		j += order >= 0;
	}
}

static void callers(struct walk *walk)
{
	const struct tps_policy_file *have = walk->have, *want = walk->want;
	size_t i = 0, j = 0;

	while (i < have->caller_count || j < want->caller_count) {
		const struct tps_policy_caller *a = &have->callers[i], *b = &want->callers[j];
		int order = i == have->caller_count   ? 1
			    : j == want->caller_count ? -1
						      : strcmp(a->name, b->name);

		if (order < 0)
			whole(walk, '-', "caller", a->name, tps_caller_fields, a);
		else if (order > 0)
			whole(walk, '+', "caller", b->name, tps_caller_fields, b);
		else if (!tps_policy_caller_equal(a, b))
			fields(walk, "caller", a->name, tps_caller_fields, a, b);
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- identities: those of callers that are on both sides; else the whole caller was told */

static void identity_told(struct walk *walk, enum tps_identity identity, char sign,
			  const struct tps_claimed *claimed)
{
	const char *const names[] = {"sources", "keys", "sni"};
	const struct tps_policy_file *of = sign == '+' ? walk->want : walk->have;
	const struct tps_policy_file *other = sign == '+' ? walk->have : walk->want;
	const char *caller = of->callers[claimed->caller].name;
	char buffer[TPS_IDENTITY_TEXT];
	const char *text;

	if (!tps_policy_caller_find(other, caller))
		return;
	text = tps_policy_identity_print(walk->want, identity, claimed->one, buffer);
	told(walk, '~', "caller", caller, names[identity], sign == '+' ? NULL : text,
	     sign == '+' ? text : NULL);
}

static void identities(struct walk *walk, enum tps_identity identity)
{
	const struct tps_policy_list *have = &walk->have->lists[identity];
	const struct tps_policy_list *want = &walk->want->lists[identity];
	size_t i = 0, j = 0;

	while (i < have->count || j < want->count) {
		const struct tps_claimed *a = &have->claimed[i], *b = &want->claimed[j];
		int order = i == have->count   ? 1
			    : j == want->count ? -1
					       : memcmp(a->one, b->one, tps_kinds[identity].size);
		bool moves = !order && strcmp(walk->have->callers[a->caller].name,
					      walk->want->callers[b->caller].name);

		if (order < 0 || moves)
			identity_told(walk, identity, '-', a);
		if (order > 0 || moves)
			identity_told(walk, identity, '+', b);
		i += order <= 0;
		j += order >= 0;
	}
}

/* ---- the rest */

static void bans(struct walk *walk)
{
	const struct tps_policy_file *have = walk->have, *want = walk->want;
	char text[TPS_PREFIX_TEXT];

	for (size_t i = 0; i < want->ban_count; i++) {
		if (!tps_policy_ban_holds(have, &want->bans[i].prefix))
			told(walk, '+', "ban", tps_prefix_print(&want->bans[i].prefix, text), NULL,
			     NULL, NULL);
	}
	for (size_t i = 0; i < have->ban_count; i++) {
		if (!have->bans[i].by_hand && !tps_policy_ban_holds(want, &have->bans[i].prefix))
			told(walk, '-', "ban", tps_prefix_print(&have->bans[i].prefix, text), NULL,
			     NULL, NULL);
	}
}

static void devices(struct walk *walk)
{
	const struct tps_policy_file *have = walk->have, *want = walk->want;

	for (size_t i = 0; i < want->device_count; i++) {
		if (!tps_policy_has_device(have, &want->devices[i].key))
			told(walk, '+', "device", want->devices[i].key.name, NULL, NULL, NULL);
	}
}

long tps_policy_diff(const struct tps_policy_file *have, const struct tps_policy_file *want,
		     tps_difference_tell tell, void *context)
{
	struct walk walk = {.have = have, .want = want, .tell = tell, .context = context};

	devices(&walk);
	if (strcmp(have->default_tier, want->default_tier))
		told(&walk, '~', "default_tier", NULL, NULL, have->default_tier,
		     want->default_tier);
	tiers(&walk);
	listeners(&walk);
	callers(&walk);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++)
		identities(&walk, i);
	bans(&walk);
	if (walk.from.failed || walk.to.failed)
		walk.count = -ENOMEM;
	tps_out_end(&walk.from);
	tps_out_end(&walk.to);
	return walk.count;
}
