// SPDX-License-Identifier: GPL-2.0-only
/*
 * A walk along libyaml's events. Nothing is kept but the event at hand, so that nothing can be made
 * to grow by what is read.
 */
#include "yaml_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

struct tps_yaml {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one */
	const char *text;
	size_t bytes;
};

struct tps_yaml *tps_yaml_begin(const char *text, size_t bytes)
{
	struct tps_yaml *yaml = calloc(1, sizeof(*yaml));

	if (!yaml)
		return NULL;
	if (!yaml_parser_initialize(&yaml->parser)) {
		free(yaml);
		return NULL;
	}
	yaml->text = text;
	yaml->bytes = bytes;
	yaml_parser_set_encoding(&yaml->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&yaml->parser, (const unsigned char *)text, bytes);
	return yaml;
}

void tps_yaml_end(struct tps_yaml *yaml)
{
	yaml_event_delete(&yaml->event);
	yaml_parser_delete(&yaml->parser);
	free(yaml);
}

/* Bytes that are no text have no mark, but a place in the input. */
static __u32 line_at(const struct tps_yaml *yaml, size_t offset)
{
	__u32 line = 1;

	for (size_t i = 0; i < offset && i < yaml->bytes; i++)
		line += yaml->text[i] == '\n';
	return line;
}

static int malformed(const struct tps_yaml *yaml, __u32 *ret_line, struct tps_why *why)
{
	const yaml_parser_t *parser = &yaml->parser;

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return -ENOMEM;
	case YAML_READER_ERROR:
		*ret_line = line_at(yaml, parser->problem_offset);
		return tps_why_say(why, -EINVAL, "expected text in UTF-8: %s", parser->problem);
	default:
		*ret_line = parser->problem_mark.line + 1;
		return tps_why_say(why, -EINVAL, "not YAML: %s%s%s", parser->problem,
				   parser->context ? " " : "",
				   parser->context ? parser->context : "");
	}
}

/* What a policy has no use for, and a reader would have to follow. */
static int scalar_check(const yaml_event_t *event, struct tps_why *why)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	if (event->data.scalar.anchor)
		return tps_why_say(why, -EINVAL, "anchor '&%.64s': expected none; write it out",
				   (const char *)event->data.scalar.anchor);
	if (event->data.scalar.tag)
		return tps_why_say(why, -EINVAL, "tag '%.64s': expected none",
				   (const char *)event->data.scalar.tag);
	if (len > TPS_YAML_SCALAR_MAX)
		return tps_why_say(why, -EINVAL, "'%.32s...': %zu bytes, expected at most %d", text,
				   len, TPS_YAML_SCALAR_MAX);
	if (strlen(text) != len)
		return tps_why_say(why, -EINVAL, "'%.64s': a NUL byte follows, expected none",
				   text);
	return 0;
}

static int collection_check(const yaml_char_t *anchor, const yaml_char_t *tag, struct tps_why *why)
{
	if (anchor)
		return tps_why_say(why, -EINVAL, "anchor '&%.64s': expected none; write it out",
				   (const char *)anchor);
	if (tag)
		return tps_why_say(why, -EINVAL, "tag '%.64s': expected none", (const char *)tag);
	return 0;
}

/* The event as a node; 1: it is none. */
static int node_make(const struct tps_yaml *yaml, struct tps_yaml_node *node, struct tps_why *why)
{
	const yaml_event_t *event = &yaml->event;

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		node->kind = TPS_YAML_SCALAR;
		node->text = (const char *)event->data.scalar.value;
		node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		return scalar_check(event, why);
	case YAML_SEQUENCE_START_EVENT:
		node->kind = TPS_YAML_LIST;
		return collection_check(event->data.sequence_start.anchor,
					event->data.sequence_start.tag, why);
	case YAML_MAPPING_START_EVENT:
		node->kind = TPS_YAML_MAP;
		return collection_check(event->data.mapping_start.anchor,
					event->data.mapping_start.tag, why);
	case YAML_SEQUENCE_END_EVENT:
		node->kind = TPS_YAML_LIST_END;
		return 0;
	case YAML_MAPPING_END_EVENT:
		node->kind = TPS_YAML_MAP_END;
		return 0;
	case YAML_STREAM_END_EVENT:
		node->kind = TPS_YAML_END;
		return 0;
	case YAML_ALIAS_EVENT:
		return tps_why_say(why, -EINVAL, "alias '*%.64s': expected none; write it out",
				   (const char *)event->data.alias.anchor);
	default:
		return 1;
	}
}

int tps_yaml_next(struct tps_yaml *yaml, struct tps_yaml_node *ret_node, struct tps_why *why)
{
	struct tps_yaml_node node;
	int err;

	do {
		bool had_document = yaml->event.type == YAML_DOCUMENT_END_EVENT;

		yaml_event_delete(&yaml->event);
		if (!yaml_parser_parse(&yaml->parser, &yaml->event))
			return malformed(yaml, &ret_node->line, why);
		node = (struct tps_yaml_node){.line = yaml->event.start_mark.line + 1};
		ret_node->line = node.line;
		if (had_document && yaml->event.type == YAML_DOCUMENT_START_EVENT)
			return tps_why_say(why, -EINVAL, "a second document: expected one");
		err = node_make(yaml, &node, why);
	} while (err == 1);
	if (!err)
		*ret_node = node;
	return err;
}

const char *tps_yaml_print(const struct tps_yaml_node *node, char ret_text[TPS_YAML_TEXT])
{
	static const char *const kinds[] = {
		[TPS_YAML_LIST] = "a list",        [TPS_YAML_LIST_END] = "the list's end",
		[TPS_YAML_MAP] = "a mapping",      [TPS_YAML_MAP_END] = "the mapping's end",
		[TPS_YAML_END] = "the file's end",
	};

	if (node->kind == TPS_YAML_SCALAR)
		snprintf(ret_text, TPS_YAML_TEXT, "'%.64s'", node->text);
	else
		snprintf(ret_text, TPS_YAML_TEXT, "%s", kinds[node->kind]);
	return ret_text;
}
