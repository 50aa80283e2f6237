// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy read from files: the schema is followed along the nodes of YAML. Knows how keys, lists
 * and includes are read; what a value may be, the schema knows.
 */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy_schema.h"
#include "yaml_walk.h"

#define KEYS_MAX 16 /* of one object */

struct reader {
	struct tps_policy_file *policy;
	struct tps_yaml *yaml;
	__u32 file;
	bool is_included;
	bool has_base; /* what is included is looked for beside the file */
	size_t *bytes; /* of all files together */
	struct tps_why *why;
};

static struct tps_place place_at(const struct reader *reader, __u32 line)
{
	return (struct tps_place){reader->file, line};
}

/* @why as it is, with the place before it. */
static int placed(const struct reader *reader, struct tps_place place, int err,
		  const struct tps_why *inner)
{
	if (err && inner->text[0])
		return tps_place_say(reader->policy, place, reader->why, err, "%s", inner->text);
	return err;
}

static int next(const struct reader *reader, struct tps_yaml_node *ret_node)
{
	struct tps_why inner = {};
	int err = tps_yaml_next(reader->yaml, ret_node, &inner);

	return placed(reader, place_at(reader, ret_node->line), err, &inner);
}

static int unexpected(const struct reader *reader, const struct tps_yaml_node *node,
		      const char *key, const char *form)
{
	char text[TPS_YAML_TEXT];

	return tps_place_say(reader->policy, place_at(reader, node->line), reader->why, -EINVAL,
			     "%s: expected %s, found %s", key, form, tps_yaml_print(node, text));
}

static struct tps_scalar scalar_of(const struct reader *reader, const struct tps_yaml_node *node)
{
	return (struct tps_scalar){node->text, node->is_plain, place_at(reader, node->line)};
}

static int include(struct reader *reader, const struct tps_scalar *scalar);

static int value_read(struct reader *reader, const struct tps_field *field, void *object,
		      const char *name, const struct tps_yaml_node *node)
{
	struct tps_scalar scalar = scalar_of(reader, node);
	struct tps_why inner = {};

	if (node->kind != TPS_YAML_SCALAR)
		return unexpected(reader, node, name, field->form);
	if (!field->read)
		return include(reader, &scalar);
	return placed(reader, scalar.place,
		      field->read(reader->policy, object, name, &scalar, &inner), &inner);
}

static int list_read(struct reader *reader, const struct tps_field *field, void *object)
{
	struct tps_yaml_node node = {};
	int err = next(reader, &node);

	if (!err && node.kind != TPS_YAML_LIST)
		return unexpected(reader, &node, field->key, field->form);
	while (!err) {
		err = next(reader, &node);
		if (err || node.kind == TPS_YAML_LIST_END)
			break;
		err = value_read(reader, field, object, field->key, &node);
	}
	return err;
}

/* ---- keys of an object */

static int unknown_key(const struct reader *reader, const struct tps_field *fields,
		       const struct tps_yaml_node *node)
{
	_cleanup_out_ struct tps_out names = {};

	for (; fields->key; fields++)
		tps_out_add(&names, "%s%s", names.len ? ", " : "", fields->key);
	return tps_place_say(reader->policy, place_at(reader, node->line), reader->why, -EINVAL,
			     "key '%.64s': expected one of %s", node->text, names.text);
}

static int field_read(struct reader *reader, const struct tps_field *field, void *object);

static int fields_read(struct reader *reader, const struct tps_field *fields, void *object,
		       const char *whose, struct tps_place place)
{
	__u32 seen[KEYS_MAX] = {};
	struct tps_yaml_node node = {};
	size_t at;
	int err;

	for (;;) {
		err = next(reader, &node);
		if (err || node.kind == TPS_YAML_MAP_END)
			break;
		if (node.kind != TPS_YAML_SCALAR)
			return unexpected(reader, &node, whose, "a key");
		for (at = 0; fields[at].key && strcmp(fields[at].key, node.text); at++)
			;
		if (!fields[at].key)
			return unknown_key(reader, fields, &node);
		if (reader->is_included && fields == tps_policy_fields && !fields[at].of_includes)
			return tps_place_say(
				reader->policy, place_at(reader, node.line), reader->why, -EINVAL,
				"key '%s': an included file has callers only", fields[at].key);
		if (seen[at])
			return tps_place_say(reader->policy, place_at(reader, node.line),
					     reader->why, -EINVAL,
					     "key '%s': given twice, first in line %u",
					     fields[at].key, seen[at]);
		seen[at] = node.line;
		err = field_read(reader, &fields[at], object);
		if (err)
			return err;
	}
	for (at = 0; !err && fields[at].key; at++) {
		if (fields[at].needed && !seen[at] && !reader->is_included)
			return tps_place_say(reader->policy, place, reader->why, -EINVAL,
					     "%s: it needs the key '%s' (%s)", whose,
					     fields[at].key, fields[at].form);
	}
	return err;
}

static int object_read(struct reader *reader, const struct tps_field *field, const char *name,
		       struct tps_place place, const struct tps_yaml_node *node)
{
	struct tps_why inner = {};
	void *object;
	int err;

	if (node->kind != TPS_YAML_MAP)
		return unexpected(reader, node, name, "a mapping");
	object = field->make(reader->policy, name, place, &inner);
	if (!object)
		return placed(reader, place, inner.text[0] ? -EINVAL : -ENOMEM, &inner);
	err = fields_read(reader, field->of, object, name, place);
	if (!err && field->done)
		err = placed(reader, place, field->done(reader->policy, object, &inner), &inner);
	return err;
}

/* Names to objects, or to scalars. */
static int named_read(struct reader *reader, const struct tps_field *field)
{
	_cleanup_out_ struct tps_out name = {};
	struct tps_yaml_node node = {};
	struct tps_place place;
	int err = next(reader, &node);

	if (!err && node.kind != TPS_YAML_MAP)
		return unexpected(reader, &node, field->key, field->form);
	while (!err) {
		err = next(reader, &node);
		if (err || node.kind == TPS_YAML_MAP_END)
			break;
		if (node.kind != TPS_YAML_SCALAR)
			return unexpected(reader, &node, field->key, "a name");
		tps_out_cut(&name, 0);
		tps_out_add(&name, "%s", node.text);
		if (name.failed)
			return -ENOMEM;
		place = place_at(reader, node.line);
		err = next(reader, &node);
		if (err)
			break;
		err = field->shape == TPS_SHAPE_PAIRS
			      ? value_read(reader, field, NULL, name.text, &node)
			      : object_read(reader, field, name.text, place, &node);
	}
	return err;
}

static int field_read(struct reader *reader, const struct tps_field *field, void *object)
{
	struct tps_yaml_node node = {};
	int err;

	switch (field->shape) {
	case TPS_SHAPE_LIST:
		return list_read(reader, field, object);
	case TPS_SHAPE_NAMED:
	case TPS_SHAPE_PAIRS:
		return named_read(reader, field);
	case TPS_SHAPE_OBJECT:
		err = next(reader, &node);
		return err ? err
			   : object_read(reader, field, field->key, place_at(reader, node.line),
					 &node);
	default:
		err = next(reader, &node);
		return err ? err : value_read(reader, field, object, field->key, &node);
	}
}

/* ---- a text, a file */

static int text_read(struct reader *reader, const char *text, size_t bytes)
{
	struct tps_yaml_node node = {};
	int err;

	reader->yaml = tps_yaml_begin(text, bytes);
	if (!reader->yaml)
		return -ENOMEM;
	err = next(reader, &node);
	if (!err && node.kind != TPS_YAML_MAP)
		err = unexpected(reader, &node, "policy", "a mapping of keys");
	if (!err)
		err = fields_read(reader, tps_policy_fields, NULL, "policy",
				  place_at(reader, node.line));
	if (!err)
		err = next(reader, &node);
	tps_yaml_end(reader->yaml);
	return err;
}

static int file_add(struct tps_policy_file *policy, const char *file, __u32 *ret_number)
{
	if (tps_array_grow(&policy->files, &policy->file_room, policy->file_count,
			   sizeof(*policy->files)))
		return -ENOMEM;
	policy->files[policy->file_count] = strdup(file);
	if (!policy->files[policy->file_count])
		return -ENOMEM;
	*ret_number = policy->file_count++;
	return 0;
}

/* Regular files, and pipes: what ends. */
static int content_read(const char *file, size_t room, char **ret_text, size_t *ret_bytes,
			struct tps_why *why)
{
	bool is_stdin = !strcmp(file, "-");
	_cleanup_close_ int opened = is_stdin ? -1 : open(file, O_RDONLY | O_CLOEXEC);
	int fd = is_stdin ? STDIN_FILENO : opened;
	_cleanup_free_ char *text = NULL;
	size_t bytes = 0, size = 0;
	struct stat st;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st)) {
		int err = -errno;

		return tps_why_say(why, err, "%s: %s", file, strerror(-err));
	}
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && !is_stdin))
		return tps_why_say(why, -EINVAL, "%s: expected a file", file);
	do {
		if (bytes > room)
			return tps_why_say(why, -EFBIG, "%s: over %lu MB, with what it includes",
					   file, TPS_POLICY_BYTES_MAX >> 20);
		if (bytes == size) {
			char *grown = realloc(text, size = size ? size * 2 : 65536);

			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		got = read(fd, text + bytes, size - bytes);
		if (got < 0 && errno != EINTR) {
			int err = -errno;

			return tps_why_say(why, err, "%s: %s", file, strerror(-err));
		}
		bytes += got > 0 ? got : 0;
	} while (got);
	*ret_text = TAKE_PTR(text);
	*ret_bytes = bytes;
	return 0;
}

/* @by: where it is included; line 0: it is not. */
static int file_read(struct tps_policy_file *policy, const char *file, struct tps_place by,
		     size_t *bytes, struct tps_why *why)
{
	struct reader reader = {.policy = policy,
				.is_included = by.line != 0,
				.has_base = true,
				.bytes = bytes,
				.why = why};
	_cleanup_free_ char *text = NULL;
	struct tps_why inner = {};
	size_t own = 0;
	int err = content_read(file, TPS_POLICY_BYTES_MAX - *bytes, &text, &own, &inner);

	if (!err)
		err = file_add(policy, file, &reader.file);
	if (err)
		return placed(&reader, by, err, &inner);
	*bytes += own;
	return text_read(&reader, text, own);
}

/* glob(3) asks whether to give up. */
static int is_unreadable(const char *directory, int err)
{
	return err != ENOENT && err != ENOTDIR;
}

/* A pattern is looked for beside the file that names it. One without wildcards must be there. */
static int include(struct reader *reader, const struct tps_scalar *scalar)
{
	struct tps_policy_file *policy = reader->policy;
	char base[PATH_MAX], path[PATH_MAX];
	glob_t found;
	int err;

	if (!reader->has_base)
		return tps_place_say(policy, scalar->place, reader->why, -EINVAL,
				     "include '%s': not from here", scalar->text);
	snprintf(base, sizeof(base), "%s", policy->files[reader->file]);
	if (snprintf(path, sizeof(path), "%s%s%s", *scalar->text == '/' ? "" : dirname(base),
		     *scalar->text == '/' ? "" : "/", scalar->text) >= (int)sizeof(path))
		return tps_place_say(policy, scalar->place, reader->why, -ENAMETOOLONG,
				     "include '%s': the path is too long", scalar->text);
	err = glob(path, 0, is_unreadable, &found);
	if (err == GLOB_NOMATCH && strpbrk(scalar->text, "*?["))
		return 0;
	if (err)
		return tps_place_say(policy, scalar->place, reader->why,
				     err == GLOB_NOSPACE ? -ENOMEM : -ENOENT, "include '%s': %s",
				     scalar->text,
				     err == GLOB_NOMATCH ? "there is no such file"
							 : "its directory cannot be read");
	for (size_t i = 0; i < found.gl_pathc && !err; i++)
		err = file_read(policy, found.gl_pathv[i], scalar->place, reader->bytes,
				reader->why);
	globfree(&found);
	return err;
}

/* ---- the whole */

static struct tps_policy_file *policy_new(const __u64 *secret)
{
	struct tps_policy_file *policy = calloc(1, sizeof(*policy));

	if (policy && secret) {
		memcpy(policy->secret, secret, sizeof(policy->secret));
		policy->has_secret = true;
	}
	return policy;
}

int tps_policy_read(const char *file, const __u64 *secret, struct tps_policy_file **ret_policy,
		    struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *policy = policy_new(secret);
	size_t bytes = 0;
	int err = policy ? file_read(policy, file, (struct tps_place){}, &bytes, why) : -ENOMEM;

	if (!err)
		err = tps_policy_seal(policy, why);
	if (err)
		return err;
	*ret_policy = TAKE_PTR(policy);
	return 0;
}

int tps_policy_parse(const char *name, const char *text, size_t bytes, const __u64 *secret,
		     struct tps_policy_file **ret_policy, struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *policy = policy_new(secret);
	struct reader reader = {.policy = policy, .why = why};
	int err = policy ? file_add(policy, name, &reader.file) : -ENOMEM;

	if (!err)
		err = text_read(&reader, text, bytes);
	if (!err)
		err = tps_policy_seal(policy, why);
	if (err)
		return err;
	*ret_policy = TAKE_PTR(policy);
	return 0;
}
