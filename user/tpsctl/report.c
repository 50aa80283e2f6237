// SPDX-License-Identifier: GPL-2.0-only
/*
 * What listeners counted, as JSON.
 */
#include "report.h"

#include "counts.h"
#include "label.h"
#include "text.h"

void verdicts_json(const __u64 verdicts[TPS_VERDICT_MAX], json_t *ret_object)
{
	for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++)
		json_object_set_new(ret_object, tps_verdict_text(verdict),
				    json_integer(verdicts[verdict]));
}

json_t *packets_json(const struct tps_totals *totals)
{
	json_t *actions = json_object();

	for (int action = 0; action < TPS_ACTION_MAX; action++) {
		json_t *reasons = json_object();

		for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
			if (totals->packets[action][reason])
				json_object_set_new(reasons, tps_reason_text(reason),
						    json_integer(totals->packets[action][reason]));
		}
		json_object_set_new(actions, tps_action_text(action), reasons);
	}
	return actions;
}

json_t *notes_json(const struct tps_totals *totals)
{
	json_t *notes = json_object();

	for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
		if (totals->notes[reason])
			json_object_set_new(notes, tps_reason_text(reason),
					    json_integer(totals->notes[reason]));
	}
	return notes;
}

struct share share_of(const struct tps_totals *totals)
{
	struct share share = {.unproven = totals->notes[TPS_REASON_NO_SOCKET] +
					  totals->notes[TPS_REASON_OUTSIDE_WINDOW] +
					  totals->notes[TPS_REASON_NO_HANDSHAKE]};

	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++)
			share.transactions += totals->verdicts[tier][verdict];
	}
	return share;
}

json_t *listener_json(const struct tps_gate *gate, int number, const struct tps_totals *totals)
{
	const struct tps_listener *listener = &gate->listeners[number];
	__u64 verdicts[TPS_VERDICT_MAX] = {};
	json_t *object, *ports = json_array(), *headers = json_array();
	char rate[TPS_RATE_TEXT];

	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++)
			verdicts[verdict] += totals->verdicts[tier][verdict];
	}
	for (int i = 0; i < listener->port_count; i++)
		json_array_append_new(ports, json_integer(listener->port[i]));
	for (int i = 0; i < listener->key_headers; i++)
		json_array_append_new(headers, json_string(listener->key_header_text[i]));
	object = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:i, s:o}", "name", listener->name,
			   "protocol", tps_protocol_text(listener->protocol), "ports", ports,
			   "mode", tps_mode_text(listener->mode), "refuse",
			   tps_refusal_text(listener->refusal), "placement",
			   tps_placement_text(listener->placement), "cost", listener->cost,
			   "key_headers", headers);
	json_object_set_new(object, "rate",
			    listener->limit ? json_string(tps_rate_print(&listener->rate, rate))
					    : json_null());
	json_object_set_new(
		object, "burst",
		listener->limit
			? json_integer(listener->burst ? listener->burst
						       : tps_rate_default_burst(&listener->rate))
			: json_null());
	verdicts_json(verdicts, object);
	json_object_set_new(object, "unproven", json_integer(share_of(totals).unproven));
	return object;
}

void listeners_json(const struct tps_gate *gate, const struct tps_totals totals[TPS_LISTENERS_MAX],
		    json_t *ret_rows)
{
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		if (gate->listeners[i].protocol)
			json_array_append_new(ret_rows, listener_json(gate, i, &totals[i]));
	}
}
