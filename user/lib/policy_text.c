// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy printed along the schema, as YAML or as JSON: the same policy gives the same text.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "policy_schema.h"

/* May it stand without quotes, in a list too? Anything else is quoted: quotes are never wrong. */
static bool is_plain(const char *text)
{
	return isalnum((unsigned char)*text) &&
	       !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789._-/")];
}

void tps_emit(struct tps_emit *emit, const char *text)
{
	if (emit->items++)
		tps_out_text(emit->out, ", ");
	if (emit->is_bare || (emit->style == TPS_POLICY_YAML && is_plain(text)))
		tps_out_text(emit->out, text);
	else
		tps_out_quote(emit->out, text);
}

void tps_field_print(const struct tps_policy_file *policy, const struct tps_field *field,
		     const void *object, enum tps_policy_style style, struct tps_out *out)
{
	struct tps_emit emit = {.out = out, .style = style, .is_bare = field->is_bare};
	bool is_list = field->shape == TPS_SHAPE_LIST;
	size_t begin = out->len;

	if (!field->print)
		return;
	tps_out_text(out, is_list ? "[" : "");
	field->print(policy, object, &emit);
	if (emit.items)
		tps_out_text(out, is_list ? "]" : "");
	else
		tps_out_cut(out, begin);
}

static void key_print(const char *key, enum tps_policy_style style, struct tps_out *out)
{
	if (style == TPS_POLICY_JSON)
		tps_out_quote(out, key);
	else
		tps_out_text(out, key);
	tps_out_text(out, ": ");
}

void tps_fields_print(const struct tps_policy_file *policy, const struct tps_field *fields,
		      const void *object, enum tps_policy_style style, struct tps_out *out)
{
	size_t printed = 0;

	tps_out_text(out, "{");
	for (; fields->key; fields++) {
		size_t begin = out->len, value;

		tps_out_text(out, printed ? ", " : "");
		key_print(fields->key, style, out);
		value = out->len;
		tps_field_print(policy, fields, object, style, out);
		if (out->len == value)
			tps_out_cut(out, begin);
		else
			printed++;
	}
	tps_out_text(out, "}");
}

/* The objects of a named field, one after the other; NULL at the end. */
static const void *object_at(const struct tps_policy_file *policy, const struct tps_field *field,
			     size_t i, const char **ret_name)
{
	if (field->of == tps_tier_fields && i < policy->tier_count) {
		*ret_name = policy->tiers[i].name;
		return &policy->tiers[i];
	}
	if (field->of == tps_listener_fields && i < policy->listener_count) {
		*ret_name = policy->listeners[i].listener.name;
		return &policy->listeners[i];
	}
	if (field->of == tps_caller_fields && i < policy->caller_count) {
		*ret_name = policy->callers[i].name;
		return &policy->callers[i];
	}
	return NULL;
}

static void named_print(const struct tps_policy_file *policy, const struct tps_field *field,
			enum tps_policy_style style, struct tps_out *out)
{
	bool is_json = style == TPS_POLICY_JSON;
	const void *object;
	const char *name;

	for (size_t i = 0; (object = object_at(policy, field, i, &name)); i++) {
		tps_out_text(out, !is_json ? "\n  " : i ? ",\n    " : "{\n    ");
		key_print(name, style, out);
		tps_fields_print(policy, field->of, object, style, out);
	}
	if (is_json && object_at(policy, field, 0, &name))
		tps_out_text(out, "\n  }");
}

static void capacity_print(const struct tps_policy_file *policy, enum tps_policy_style style,
			   struct tps_out *out)
{
	size_t begin = out->len, printed = 0;

	tps_out_text(out, "{");
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (!policy->capacity[map])
			continue;
		tps_out_text(out, printed++ ? ", " : "");
		key_print(tps_map_name(map), style, out);
		tps_out_add(out, "%u", policy->capacity[map]);
	}
	if (printed)
		tps_out_text(out, "}");
	else
		tps_out_cut(out, begin);
}

static void value_print(const struct tps_policy_file *policy, const struct tps_field *field,
			enum tps_policy_style style, struct tps_out *out)
{
	if (field->shape == TPS_SHAPE_NAMED)
		named_print(policy, field, style, out);
	else if (field->shape == TPS_SHAPE_PAIRS)
		capacity_print(policy, style, out);
	else if (field->shape == TPS_SHAPE_OBJECT && policy->daemon.is_given)
		tps_fields_print(policy, field->of, &policy->daemon, style, out);
	else
		tps_field_print(policy, field, policy, style, out);
}

void tps_policy_print(const struct tps_policy_file *policy, enum tps_policy_style style,
		      struct tps_out *out)
{
	bool is_json = style == TPS_POLICY_JSON;
	size_t printed = 0;

	for (const struct tps_field *field = tps_policy_fields; field->key; field++) {
		size_t begin = out->len, value;

		tps_out_text(out, is_json ? (printed ? ",\n  " : "{\n  ") : "");
		key_print(field->key, style, out);
		value = out->len;
		value_print(policy, field, style, out);
		if (out->len == value) {
			tps_out_cut(out, begin);
			continue;
		}
		/* no blank at the end of a line */
		if (!is_json && field->shape == TPS_SHAPE_NAMED && !out->failed)
			memmove(out->text + value - 1, out->text + value, out->len-- - value + 1);
		tps_out_text(out, is_json ? "" : "\n");
		printed++;
	}
	tps_out_text(out, is_json ? "\n}\n" : "");
}
