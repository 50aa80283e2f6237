// SPDX-License-Identifier: GPL-2.0-only
/*
 * list strangers: who is limited by address.
 */
#include <tps/bucket.h>

#include "ban.h"
#include "counts.h"
#include "report.h"
#include "verbs.h"
#include "when.h"

static int strangers_json(const struct tps_gate *gate, json_t *ret_rows)
{
	__u64 limit = gate->tiers[gate->control->default_tier].limit;
	_cleanup_free_ struct tps_stranger_entry *strangers = NULL;
	__u64 now_vt = bucket_now_vt(tps_now_ns());
	char text[TPS_PREFIX_TEXT], when[WHEN_TEXT];
	size_t count;
	int err = tps_strangers_read(gate, &strangers, &count);

	for (size_t i = 0; i < count && !err; i++) {
		const struct tps_stranger *of = &strangers[i].stranger;
		json_t *row = json_pack(
			"{s:s, s:I, s:I}", "address", tps_prefix_print(&strangers[i].address, text),
			"proven_tokens",
			(json_int_t)bucket_tokens(of->bucket.proven_tat_vt, now_vt, limit),
			"unproven_tokens",
			(json_int_t)bucket_tokens(of->bucket.unproven_tat_vt, now_vt, limit));

		verdicts_json(of->verdicts, row);
		json_object_set_new(row, "last_refused",
				    of->last ? json_string(when_print(of->last, false, when))
					     : json_null());
		json_array_append_new(ret_rows, row);
	}
	return err;
}

enum outcome list_strangers(struct session *session, int argc, char **argv)
{
	static const struct column columns[] = {{"ADDRESS", "address", false},
						{"PROVEN", "proven_tokens", true},
						{"UNPROVEN", "unproven_tokens", true},
						{"ALLOWED", "allowed", true},
						{"REFUSED", "refused", true},
						{"BANNED", "banned", true},
						{"WOULD_REFUSE", "would_refuse", true},
						{"LAST_REFUSED", "last_refused", false},
						{}};

	return list_rows(session, argc, argv, strangers_json, columns);
}
