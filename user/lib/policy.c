// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy as it is put together: what it owns, where its parts were written, and their order.
 */
#include "policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tps_policy_free(struct tps_policy_file *policy)
{
	for (size_t i = 0; i < policy->file_count; i++)
		free(policy->files[i]);
	free(policy->files);
	free(policy->tiers);
	free(policy->listeners);
	free(policy->callers);
	for (int i = 0; i < TPS_IDENTITY_MAX; i++) {
		free(policy->lists[i].values);
		free(policy->lists[i].claimed);
		free(policy->lists[i].ordered);
	}
	free(policy->bans);
	free(policy->devices);
	free(policy->daemon.listen);
	for (size_t i = 0; i < policy->daemon.hook_count; i++)
		free(policy->daemon.hook[i]);
	free(policy->daemon.hook);
	for (size_t i = 0; i < TPS_POLICY_WARNINGS_MAX; i++)
		free(policy->warnings[i]);
	free(policy);
}

int tps_policy_claim(struct tps_policy_file *policy, enum tps_identity identity, const void *one,
		     struct tps_place place)
{
	struct tps_policy_list *list = &policy->lists[identity];
	size_t size = tps_kinds[identity].size;

	if (tps_array_grow(&list->values, &list->value_room, list->count, size) ||
	    tps_array_grow(&list->claimed, &list->room, list->count, sizeof(*list->claimed)))
		return -ENOMEM;
	memcpy(list->values + list->count * size, one, size);
	list->claimed[list->count] = (struct tps_claimed){
		.caller = policy->caller_count - 1, .place = place, .index = list->count};
	list->count++;
	return 0;
}

/* ---- places */

const char *tps_place_print(const struct tps_policy_file *policy, struct tps_place place,
			    char ret_text[TPS_PLACE_TEXT])
{
	*ret_text = '\0';
	if (place.line)
		snprintf(ret_text, TPS_PLACE_TEXT, "%s:%u", policy->files[place.file], place.line);
	return ret_text;
}

int tps_place_say(const struct tps_policy_file *policy, struct tps_place place, struct tps_why *why,
		  int error, const char *format, ...)
{
	char text[sizeof(why->text)], at[TPS_PLACE_TEXT];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return tps_why_say(why, error, "%s%s%s", tps_place_print(policy, place, at),
			   place.line ? ": " : "", text);
}

void tps_policy_warn(struct tps_policy_file *policy, struct tps_place place, const char *format,
		     ...)
{
	struct tps_why line = {};
	char text[sizeof(line.text)];
	va_list arguments;

	if (policy->warning_count < TPS_POLICY_WARNINGS_MAX) {
		va_start(arguments, format);
		vsnprintf(text, sizeof(text), format, arguments);
		va_end(arguments);
		tps_place_say(policy, place, &line, 0, "%s", text);
		policy->warnings[policy->warning_count] = strdup(line.text);
	}
	policy->warning_count++;
}

/* ---- order: by what tells two apart, and of the same the one that was written first */

static int by_place(struct tps_place a, struct tps_place b)
{
	if (a.file != b.file)
		return a.file < b.file ? -1 : 1;
	return a.line < b.line ? -1 : a.line > b.line;
}

static int by_tier(const void *a, const void *b)
{
	const struct tps_policy_tier *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : by_place(left->place, right->place);
}

static int by_listener(const void *a, const void *b)
{
	const struct tps_policy_listener *left = a, *right = b;
	int order = strcmp(left->listener.name, right->listener.name);

	return order ? order : by_place(left->place, right->place);
}

static int by_caller(const void *a, const void *b)
{
	const struct tps_policy_caller *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : by_place(left->place, right->place);
}

static int by_ban(const void *a, const void *b)
{
	const struct tps_policy_ban *left = a, *right = b;
	int order = memcmp(&left->prefix, &right->prefix, sizeof(left->prefix));

	return order ? order : by_place(left->place, right->place);
}

static int by_device(const void *a, const void *b)
{
	return memcmp(&((const struct tps_policy_device *)a)->key,
		      &((const struct tps_policy_device *)b)->key, sizeof(struct tps_device_key));
}

static int by_value(const void *a, const void *b, void *size)
{
	const struct tps_claimed *left = a, *right = b;
	int order = memcmp(left->one, right->one, *(const size_t *)size);

	return order ? order : by_place(left->place, right->place);
}

static void sort(void *array, size_t count, size_t size, int (*order)(const void *, const void *))
{
	if (count)
		qsort(array, count, size, order);
}

/* Where each caller went: *ret_moved is the giver's to free. */
static int callers_sort(struct tps_policy_file *policy, __u32 **ret_moved)
{
	__u32 *moved = calloc(policy->caller_count + 1, sizeof(*moved));

	if (!moved)
		return -ENOMEM;
	for (size_t i = 0; i < policy->caller_count; i++)
		policy->callers[i].number = i;
	sort(policy->callers, policy->caller_count, sizeof(*policy->callers), by_caller);
	for (size_t i = 0; i < policy->caller_count; i++)
		moved[policy->callers[i].number] = i;
	*ret_moved = moved;
	return 0;
}

/* By value; and by caller, each of whom then knows where his begin. */
static int list_sort(struct tps_policy_file *policy, enum tps_identity identity, const __u32 *moved)
{
	struct tps_policy_list *list = &policy->lists[identity];
	size_t size = tps_kinds[identity].size, first = 0;

	free(list->ordered);
	list->ordered = calloc(list->count + 1, sizeof(*list->ordered));
	if (!list->ordered)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		list->claimed[i].one = list->values + list->claimed[i].index * size;
		list->claimed[i].caller = moved[list->claimed[i].caller];
	}
	if (list->count)
		qsort_r(list->claimed, list->count, sizeof(*list->claimed), by_value, &size);
	for (size_t i = 0; i < policy->caller_count; i++)
		policy->callers[i].count[identity] = 0;
	for (size_t i = 0; i < list->count; i++)
		policy->callers[list->claimed[i].caller].count[identity]++;
	for (size_t i = 0; i < policy->caller_count; i++) {
		policy->callers[i].first[identity] = first;
		first += policy->callers[i].count[identity];
		policy->callers[i].count[identity] = 0;
	}
	for (size_t i = 0; i < list->count; i++) {
		struct tps_policy_caller *caller = &policy->callers[list->claimed[i].caller];

		list->ordered[caller->first[identity] + caller->count[identity]++] =
			list->claimed[i];
	}
	return 0;
}

int tps_policy_sort(struct tps_policy_file *policy)
{
	_cleanup_free_ __u32 *moved = NULL;
	int err = callers_sort(policy, &moved);

	for (int i = 0; i < TPS_IDENTITY_MAX && !err; i++)
		err = list_sort(policy, i, moved);
	sort(policy->tiers, policy->tier_count, sizeof(*policy->tiers), by_tier);
	sort(policy->listeners, policy->listener_count, sizeof(*policy->listeners), by_listener);
	sort(policy->bans, policy->ban_count, sizeof(*policy->bans), by_ban);
	sort(policy->devices, policy->device_count, sizeof(*policy->devices), by_device);
	return err;
}

/* ---- found */

static int tier_named(const void *name, const void *tier)
{
	return strcmp(name, ((const struct tps_policy_tier *)tier)->name);
}

const struct tps_policy_tier *tps_policy_tier_find(const struct tps_policy_file *policy,
						   const char *name)
{
	if (!policy->tier_count)
		return NULL;
	return bsearch(name, policy->tiers, policy->tier_count, sizeof(*policy->tiers), tier_named);
}

static int caller_named(const void *name, const void *caller)
{
	return strcmp(name, ((const struct tps_policy_caller *)caller)->name);
}

const struct tps_policy_caller *tps_policy_caller_find(const struct tps_policy_file *policy,
						       const char *name)
{
	if (!policy->caller_count)
		return NULL;
	return bsearch(name, policy->callers, policy->caller_count, sizeof(*policy->callers),
		       caller_named);
}

bool tps_policy_has_device(const struct tps_policy_file *policy, const struct tps_device_key *key)
{
	for (size_t i = 0; i < policy->device_count; i++) {
		if (!memcmp(&policy->devices[i].key, key, sizeof(*key)))
			return true;
	}
	return false;
}
