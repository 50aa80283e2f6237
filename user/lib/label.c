// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text tables, each made from an X-list of tps/abi.h. Knows no text of its own.
 */
#include "label.h"

#include <errno.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const char *text_at(const char *const *table, size_t count, unsigned int value)
{
	return value < count ? table[value] : NULL;
}

static int text_find(const char *const *table, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i] && !strcmp(table[i], text))
			return i;
	}
	return -ENOENT;
}

/* "a" "b" -> ", a, b": the list without its first separator. */
#define JOINED(id, text) ", " text

#define TABLE(name, PREFIX, LIST) \
	static const char *const name##_texts[] = {LIST(PREFIX##_ROW)}; \
	const char *tps_##name##_text(unsigned int value) \
	{ \
		return text_at(name##_texts, COUNT(name##_texts), value); \
	} \
	int tps_##name##_find(const char *text) \
	{ \
		return text_find(name##_texts, COUNT(name##_texts), text); \
	} \
	const char *tps_##name##_list(void) \
	{ \
		return &(LIST(JOINED))[2]; \
	}

#define PROTOCOL_ROW(id, text) [TPS_PROTOCOL_##id] = text,
#define MODE_ROW(id, text) [TPS_MODE_##id] = text,
#define REFUSAL_ROW(id, text) [TPS_REFUSAL_##id] = text,
#define PLACEMENT_ROW(id, text) [TPS_PLACEMENT_##id] = text,
#define XDP_ROW(id, text) [TPS_XDP_##id] = text,
TABLE(protocol, PROTOCOL, TPS_PROTOCOLS)
TABLE(mode, MODE, TPS_MODES)
TABLE(refusal, REFUSAL, TPS_REFUSALS)
TABLE(placement, PLACEMENT, TPS_PLACEMENTS)
TABLE(xdp_mode, XDP, TPS_XDP_MODES)

#define VERDICT_TEXT(id, text, help) [TPS_VERDICT_##id] = text,
#define VERDICT_HELP(id, text, help) [TPS_VERDICT_##id] = help,
#define ACTION_TEXT(id, text) [TPS_ACTION_##id] = text,
#define REASON_TEXT(id, text, class, help) [TPS_REASON_##id] = text,
#define REASON_HELP(id, text, class, help) [TPS_REASON_##id] = help,
#define REASON_CLASS(id, text, class, help) [TPS_REASON_##id] = TPS_CLASS_##class,
static const char *const verdict_texts[] = {TPS_VERDICTS(VERDICT_TEXT)};
static const char *const verdict_helps[] = {TPS_VERDICTS(VERDICT_HELP)};
static const char *const action_texts[] = {TPS_ACTIONS(ACTION_TEXT)};
static const char *const reason_texts[] = {TPS_REASONS(REASON_TEXT)};
static const char *const reason_helps[] = {TPS_REASONS(REASON_HELP)};
static const enum tps_reason_class reason_classes[] = {TPS_REASONS(REASON_CLASS)};

const char *tps_verdict_text(unsigned int verdict)
{
	return text_at(verdict_texts, COUNT(verdict_texts), verdict);
}

const char *tps_verdict_help(unsigned int verdict)
{
	return text_at(verdict_helps, COUNT(verdict_helps), verdict);
}

const char *tps_action_text(unsigned int action)
{
	return text_at(action_texts, COUNT(action_texts), action);
}

const char *tps_reason_text(unsigned int reason)
{
	return text_at(reason_texts, COUNT(reason_texts), reason);
}

const char *tps_reason_help(unsigned int reason)
{
	return text_at(reason_helps, COUNT(reason_helps), reason);
}

enum tps_reason_class tps_reason_class(unsigned int reason)
{
	return reason < COUNT(reason_classes) ? reason_classes[reason] : TPS_CLASS_error;
}
