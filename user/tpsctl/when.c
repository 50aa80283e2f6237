// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instants of CLOCK_MONOTONIC as local time.
 */
#include "when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ban.h"
#include "label.h"
#include "listener.h"

#define NS_PER_SEC 1000000000ULL

const char *when_print(__u64 at_ns, bool is_exact, char ret_text[WHEN_TEXT])
{
	struct timespec real, now;
	__u64 then_ns;
	struct tm local;
	char zone[8];
	time_t at_s;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &now);
	then_ns = real.tv_sec * NS_PER_SEC + real.tv_nsec -
		  (now.tv_sec * NS_PER_SEC + now.tv_nsec) + at_ns;
	at_s = then_ns / NS_PER_SEC;
	if (!localtime_r(&at_s, &local))
		return strcpy(ret_text, "?");
	len = strftime(ret_text, WHEN_TEXT, "%Y-%m-%dT%H:%M:%S", &local);
	strftime(zone, sizeof(zone), "%z", &local); /* +hhmm */
	if (is_exact)
		len += snprintf(ret_text + len, WHEN_TEXT - len, ".%03u",
				(unsigned int)(then_ns % NS_PER_SEC / 1000000));
	snprintf(ret_text + len, WHEN_TEXT - len, "%.3s:%.2s", zone, zone + 3);
	return ret_text;
}

static __u64 ago_ns(__u64 at_ns, __u64 now_ns)
{
	return now_ns > at_ns ? now_ns - at_ns : 0;
}

const char *ago_print(__u64 at_ns, __u64 now_ns, char ret_text[AGO_TEXT])
{
	unsigned long long s = ago_ns(at_ns, now_ns) / NS_PER_SEC;

	if (s < 120)
		snprintf(ret_text, AGO_TEXT, "%llu s ago", s);
	else if (s < 120 * 60)
		snprintf(ret_text, AGO_TEXT, "%llu min ago", s / 60);
	else if (s < 48 * 3600)
		snprintf(ret_text, AGO_TEXT, "%llu h ago", s / 3600);
	else
		snprintf(ret_text, AGO_TEXT, "%llu days ago", s / 86400);
	return ret_text;
}

json_t *when_text(__u64 at_ns, __u64 now_ns)
{
	char when[WHEN_TEXT], ago[AGO_TEXT];

	if (!at_ns)
		return json_string("never");
	return json_sprintf("%s (%s)", when_print(at_ns, false, when),
			    ago_print(at_ns, now_ns, ago));
}

json_t *when_json(__u64 at_ns, __u64 now_ns)
{
	char when[WHEN_TEXT];

	if (!at_ns)
		return json_null();
	return json_pack("{s:s, s:f}", "time", when_print(at_ns, false, when), "ago_s",
			 ago_ns(at_ns, now_ns) / 1000000 / 1e3);
}

json_t *last_json(const struct tps_gate *gate, __u64 last, __u64 now_ns)
{
	json_t *object = when_json(TPS_LAST_NS(last), now_ns);

	if (!last)
		return object;
	json_object_set_new(object, "verdict",
			    json_string(tps_verdict_text(TPS_LAST_VERDICT(last))));
	json_object_set_new(object, "reason", json_string(tps_reason_text(TPS_LAST_REASON(last))));
	json_object_update_new(object, json_pack("{s:s?}", "listener",
						 tps_listener_name(gate, TPS_LAST_LISTENER(last))));
	return object;
}

json_t *last_text(const struct tps_gate *gate, __u64 last, __u64 now_ns)
{
	const char *listener = tps_listener_name(gate, TPS_LAST_LISTENER(last));
	const char *help = tps_reason_help(TPS_LAST_REASON(last));
	char when[WHEN_TEXT], ago[AGO_TEXT];

	if (!last)
		return json_string("never");
	return json_sprintf("%s (%s), %s: %s, at %s", when_print(TPS_LAST_NS(last), false, when),
			    ago_print(TPS_LAST_NS(last), now_ns, ago),
			    tps_verdict_text(TPS_LAST_VERDICT(last)), help ? help : "?",
			    listener ? listener : "a listener that has gone");
}
