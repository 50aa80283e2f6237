// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every key of a policy: one row each. What a later version will do, this one reads strictly and
 * then refuses: a limit that is written and does not hold would be worse than none.
 */
#include "policy_schema.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tps/bucket.h>

#include "device.h"
#include "label.h"
#include "listener.h"
#include "secret.h"
#include "server_name.h"
#include "tier.h"

/* ---- scalars */

static int number_read(const char *what, const struct tps_scalar *scalar, __u64 max,
		       __u64 *ret_number, struct tps_why *why)
{
	if (!scalar->is_plain)
		return tps_why_say(why, -EINVAL, "%s '%s': expected a number, without quotes", what,
				   scalar->text);
	return tps_number_parse(what, scalar->text, 1, max, ret_number, why);
}

static int truth_read(const char *what, const struct tps_scalar *scalar, bool *ret_truth,
		      struct tps_why *why)
{
	bool is_true = !strcmp(scalar->text, "true");

	if (!scalar->is_plain || (!is_true && strcmp(scalar->text, "false")))
		return tps_why_say(why, -EINVAL, "%s '%s': expected true or false, without quotes",
				   what, scalar->text);
	*ret_truth = is_true;
	return 0;
}

static int burst_read(const struct tps_scalar *scalar, __u32 *ret_burst, struct tps_why *why)
{
	__u64 number;
	int err = number_read("burst", scalar, 0xffffffff, &number, why);

	if (!err)
		*ret_burst = number;
	return err;
}

static int choice_read(const char *what, const char *text, int (*find)(const char *),
		       const char *(*list)(void), __u8 *ret_value, struct tps_why *why)
{
	int value = find(text);

	if (value < 0)
		return tps_why_say(why, -EINVAL, "%s '%s': expected one of %s", what, text, list());
	*ret_value = value;
	return 0;
}

static void number_print(struct tps_emit *emit, __u64 number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", number);
	tps_emit(emit, text);
}

static void rate_print(struct tps_emit *emit, const struct tps_rate *rate)
{
	char text[TPS_RATE_TEXT];

	if (rate->period_s)
		tps_emit(emit, tps_rate_print(rate, text));
}

/* ---- tiers */

static void *tier_make(struct tps_policy_file *policy, const char *name, struct tps_place place,
		       struct tps_why *why)
{
	struct tps_policy_tier *tier;

	if (tps_name_check("tier", name, sizeof(tier->name), why) ||
	    tps_array_grow(&policy->tiers, &policy->tier_room, policy->tier_count, sizeof(*tier)))
		return NULL;
	tier = &policy->tiers[policy->tier_count++];
	*tier = (struct tps_policy_tier){.place = place};
	strcpy(tier->name, name);
	return tier;
}

static int tier_done(struct tps_policy_file *policy, void *object, struct tps_why *why)
{
	const struct tps_policy_tier *tier = object;
	__u64 limit;

	return tps_rate_limit(&tier->rate, tier->burst, &limit, why);
}

static int tier_rate_read(struct tps_policy_file *policy, void *object, const char *name,
			  const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_policy_tier *tier = object;

	return tps_rate_parse(scalar->text, &tier->rate, why);
}

static void tier_rate_print(const struct tps_policy_file *policy, const void *object,
			    struct tps_emit *emit)
{
	rate_print(emit, &((const struct tps_policy_tier *)object)->rate);
}

static int tier_burst_read(struct tps_policy_file *policy, void *object, const char *name,
			   const struct tps_scalar *scalar, struct tps_why *why)
{
	return burst_read(scalar, &((struct tps_policy_tier *)object)->burst, why);
}

static void tier_burst_print(const struct tps_policy_file *policy, const void *object,
			     struct tps_emit *emit)
{
	const struct tps_policy_tier *tier = object;

	if (tier->burst)
		number_print(emit, tier->burst);
}

/* N/day or N/month */
static int quota_read(struct tps_policy_file *policy, void *object, const char *name,
		      const struct tps_scalar *scalar, struct tps_why *why)
{
	const char *slash = strchr(scalar->text, '/');
	char digits[24] = "";
	__u64 number;

	if (slash && (size_t)(slash - scalar->text) < sizeof(digits))
		memcpy(digits, scalar->text, slash - scalar->text);
	if (!slash || (strcmp(slash, "/day") && strcmp(slash, "/month")) ||
	    tps_number_parse("quota", digits, 1, ~0ULL >> 16, &number, NULL))
		return tps_why_say(why, -EINVAL, "quota '%s': expected N/day or N/month",
				   scalar->text);
	return tps_why_say(why, -EOPNOTSUPP, "quota '%s': this version counts no quotas yet",
			   scalar->text);
}

static int no_escalation(const char *what, const struct tps_scalar *scalar, int err,
			 struct tps_why *why)
{
	return err ? err
		   : tps_why_say(why, -EOPNOTSUPP, "%s '%s': this version does not escalate yet",
				 what, scalar->text);
}

static int ban_after_read(struct tps_policy_file *policy, void *object, const char *name,
			  const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_rate rate;
	__u64 limit;
	if (tps_rate_parse(scalar->text, &rate, NULL) || tps_rate_limit(&rate, 0, &limit, NULL))
		return tps_why_say(why, -EINVAL,
				   "ban_after '%s': expected N/s, N/m, N/h or N/d, at least 1/d",
				   scalar->text);
	return no_escalation("ban_after", scalar, 0, why);
}

static int ban_read(struct tps_policy_file *policy, void *object, const char *name,
		    const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 seconds;

	return no_escalation("ban", scalar, tps_duration_parse(scalar->text, &seconds, why), why);
}

static int ban_max_read(struct tps_policy_file *policy, void *object, const char *name,
			const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 seconds;

	return no_escalation("ban_max", scalar, tps_duration_parse(scalar->text, &seconds, why),
			     why);
}

static int reject_after_read(struct tps_policy_file *policy, void *object, const char *name,
			     const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 number;

	return no_escalation("reject_after", scalar,
			     number_read("reject_after", scalar, 1000000, &number, why), why);
}

const struct tps_field tps_tier_fields[] = {
	{.key = "rate",
	 .form = "N/s, N/m, N/h or N/d",
	 .needed = true,
	 .read = tier_rate_read,
	 .print = tier_rate_print},
	{.key = "burst",
	 .form = "a number",
	 .is_bare = true,
	 .read = tier_burst_read,
	 .print = tier_burst_print},
	{.key = "quota", .form = "N/day or N/month", .read = quota_read},
	{.key = "ban_after", .form = "N/s, N/m, N/h or N/d", .read = ban_after_read},
	{.key = "ban", .form = "a duration", .read = ban_read},
	{.key = "ban_max", .form = "a duration", .read = ban_max_read},
	{.key = "reject_after", .form = "a number", .read = reject_after_read},
	{},
};

/* ---- listeners */

static void *listener_make(struct tps_policy_file *policy, const char *name, struct tps_place place,
			   struct tps_why *why)
{
	struct tps_policy_listener *listener;

	if (tps_name_check("listener", name, TPS_NAME_LEN, why) ||
	    tps_array_grow(&policy->listeners, &policy->listener_room, policy->listener_count,
			   sizeof(*listener)))
		return NULL;
	listener = &policy->listeners[policy->listener_count++];
	*listener = (struct tps_policy_listener){.place = place};
	strcpy(listener->listener.name, name);
	return listener;
}

static int listener_done(struct tps_policy_file *policy, void *object, struct tps_why *why)
{
	struct tps_policy_listener *it = object;
	struct tps_listener *listener = &it->listener;

	if (!it->refusal_given)
		listener->refusal = tps_refusal_default(listener->protocol, listener->placement);
	return tps_listener_make(listener, listener, why);
}

static struct tps_listener *listener_of(void *object)
{
	return &((struct tps_policy_listener *)object)->listener;
}

static const struct tps_listener *listener_in(const void *object)
{
	return &((const struct tps_policy_listener *)object)->listener;
}

static int port_read(struct tps_policy_file *policy, void *object, const char *name,
		     const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_listener *listener = listener_of(object);
	__u64 port;
	int err = number_read("port", scalar, 65535, &port, why);

	if (err)
		return err;
	for (int i = 0; i < listener->port_count; i++) {
		if (listener->port[i] == port)
			return tps_why_say(why, -EINVAL, "port '%llu': it is given twice", port);
	}
	if (listener->port_count == TPS_PORTS_PER_LISTENER)
		return tps_why_say(why, -EINVAL, "port '%llu': at most %d ports a listener", port,
				   TPS_PORTS_PER_LISTENER);
	listener->port[listener->port_count++] = port;
	return 0;
}

static void ports_print(const struct tps_policy_file *policy, const void *object,
			struct tps_emit *emit)
{
	for (int i = 0; i < listener_in(object)->port_count; i++)
		number_print(emit, listener_in(object)->port[i]);
}

static int protocol_read(struct tps_policy_file *policy, void *object, const char *name,
			 const struct tps_scalar *scalar, struct tps_why *why)
{
	return choice_read("protocol", scalar->text, tps_protocol_find, tps_protocol_list,
			   &listener_of(object)->protocol, why);
}

static void protocol_print(const struct tps_policy_file *policy, const void *object,
			   struct tps_emit *emit)
{
	tps_emit(emit, tps_protocol_text(listener_in(object)->protocol));
}

static int mode_read(struct tps_policy_file *policy, void *object, const char *name,
		     const struct tps_scalar *scalar, struct tps_why *why)
{
	return choice_read("mode", scalar->text, tps_mode_find, tps_mode_list,
			   &listener_of(object)->mode, why);
}

static void mode_print(const struct tps_policy_file *policy, const void *object,
		       struct tps_emit *emit)
{
	tps_emit(emit, tps_mode_text(listener_in(object)->mode));
}

static int refuse_read(struct tps_policy_file *policy, void *object, const char *name,
		       const struct tps_scalar *scalar, struct tps_why *why)
{
	((struct tps_policy_listener *)object)->refusal_given = true;
	return choice_read("refuse", scalar->text, tps_refusal_find, tps_refusal_list,
			   &listener_of(object)->refusal, why);
}

static void refuse_print(const struct tps_policy_file *policy, const void *object,
			 struct tps_emit *emit)
{
	tps_emit(emit, tps_refusal_text(listener_in(object)->refusal));
}

static int key_header_read(struct tps_policy_file *policy, void *object, const char *name,
			   const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_listener *listener = listener_of(object);

	if (listener->key_headers == TPS_KEY_HEADERS_MAX)
		return tps_why_say(why, -EINVAL, "key header '%s': at most %d a listener",
				   scalar->text, TPS_KEY_HEADERS_MAX);
	if (strlen(scalar->text) >= TPS_HEADER_NAME_MAX)
		return tps_why_say(why, -EINVAL, "key header '%s': over %d bytes", scalar->text,
				   TPS_HEADER_NAME_MAX - 1);
	strcpy(listener->key_header_text[listener->key_headers++], scalar->text);
	return 0;
}

static void key_headers_print(const struct tps_policy_file *policy, const void *object,
			      struct tps_emit *emit)
{
	for (int i = 0; i < listener_in(object)->key_headers; i++)
		tps_emit(emit, listener_in(object)->key_header_text[i]);
}

static int listener_rate_read(struct tps_policy_file *policy, void *object, const char *name,
			      const struct tps_scalar *scalar, struct tps_why *why)
{
	return tps_rate_parse(scalar->text, &listener_of(object)->rate, why);
}

static void listener_rate_print(const struct tps_policy_file *policy, const void *object,
				struct tps_emit *emit)
{
	rate_print(emit, &listener_in(object)->rate);
}

static int listener_burst_read(struct tps_policy_file *policy, void *object, const char *name,
			       const struct tps_scalar *scalar, struct tps_why *why)
{
	return burst_read(scalar, &listener_of(object)->burst, why);
}

static void listener_burst_print(const struct tps_policy_file *policy, const void *object,
				 struct tps_emit *emit)
{
	if (listener_in(object)->burst)
		number_print(emit, listener_in(object)->burst);
}

static int cost_read(struct tps_policy_file *policy, void *object, const char *name,
		     const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 cost;
	int err = number_read("cost", scalar, TPS_COST_MAX, &cost, why);

	if (!err)
		listener_of(object)->cost = cost;
	return err;
}

static void cost_print(const struct tps_policy_file *policy, const void *object,
		       struct tps_emit *emit)
{
	if (listener_in(object)->cost != 1)
		number_print(emit, listener_in(object)->cost);
}

static int placement_read(struct tps_policy_file *policy, void *object, const char *name,
			  const struct tps_scalar *scalar, struct tps_why *why)
{
	return choice_read("placement", scalar->text, tps_placement_find, tps_placement_list,
			   &listener_of(object)->placement, why);
}

static void placement_print(const struct tps_policy_file *policy, const void *object,
			    struct tps_emit *emit)
{
	if (listener_in(object)->placement != TPS_PLACEMENT_LOCAL)
		tps_emit(emit, tps_placement_text(listener_in(object)->placement));
}

const struct tps_field tps_listener_fields[] = {
	{.key = "ports",
	 .form = "a list of port numbers",
	 .shape = TPS_SHAPE_LIST,
	 .needed = true,
	 .is_bare = true,
	 .read = port_read,
	 .print = ports_print},
	{.key = "protocol",
	 .form = "http, tls, tcp or udp",
	 .needed = true,
	 .read = protocol_read,
	 .print = protocol_print},
	{.key = "mode", .form = "enforce or observe", .read = mode_read, .print = mode_print},
	{.key = "refuse",
	 .form = "answer, close, reset or drop",
	 .read = refuse_read,
	 .print = refuse_print},
	{.key = "key_headers",
	 .form = "a list of header names",
	 .shape = TPS_SHAPE_LIST,
	 .read = key_header_read,
	 .print = key_headers_print},
	{.key = "rate",
	 .form = "N/s, N/m, N/h or N/d",
	 .read = listener_rate_read,
	 .print = listener_rate_print},
	{.key = "burst",
	 .form = "a number",
	 .is_bare = true,
	 .read = listener_burst_read,
	 .print = listener_burst_print},
	{.key = "cost",
	 .form = "a number",
	 .is_bare = true,
	 .read = cost_read,
	 .print = cost_print},
	{.key = "placement",
	 .form = "local or transit",
	 .read = placement_read,
	 .print = placement_print},
	{},
};

/* ---- callers */

static void *caller_make(struct tps_policy_file *policy, const char *name, struct tps_place place,
			 struct tps_why *why)
{
	struct tps_policy_caller *caller;

	if (tps_name_check("caller", name, sizeof(caller->name), why) ||
	    tps_array_grow(&policy->callers, &policy->caller_room, policy->caller_count,
			   sizeof(*caller)))
		return NULL;
	caller = &policy->callers[policy->caller_count++];
	*caller = (struct tps_policy_caller){.place = place};
	strcpy(caller->name, name);
	return caller;
}

static int caller_done(struct tps_policy_file *policy, void *object, struct tps_why *why)
{
	const struct tps_policy_caller *caller = object;
	__u64 limit;

	if (caller->rate.period_s)
		return tps_rate_limit(&caller->rate, caller->burst, &limit, why);
	if (caller->burst)
		return tps_why_say(why, -EINVAL,
				   "caller '%s': a burst of its own needs a rate of its own",
				   caller->name);
	return 0;
}

static int caller_tier_read(struct tps_policy_file *policy, void *object, const char *name,
			    const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_policy_caller *caller = object;
	int err = tps_name_check("tier", scalar->text, sizeof(caller->tier), why);

	if (!err)
		strcpy(caller->tier, scalar->text);
	return err;
}

static void caller_tier_print(const struct tps_policy_file *policy, const void *object,
			      struct tps_emit *emit)
{
	tps_emit(emit, ((const struct tps_policy_caller *)object)->tier);
}

static int caller_rate_read(struct tps_policy_file *policy, void *object, const char *name,
			    const struct tps_scalar *scalar, struct tps_why *why)
{
	return tps_rate_parse(scalar->text, &((struct tps_policy_caller *)object)->rate, why);
}

static void caller_rate_print(const struct tps_policy_file *policy, const void *object,
			      struct tps_emit *emit)
{
	rate_print(emit, &((const struct tps_policy_caller *)object)->rate);
}

static int caller_burst_read(struct tps_policy_file *policy, void *object, const char *name,
			     const struct tps_scalar *scalar, struct tps_why *why)
{
	return burst_read(scalar, &((struct tps_policy_caller *)object)->burst, why);
}

static void caller_burst_print(const struct tps_policy_file *policy, const void *object,
			       struct tps_emit *emit)
{
	const struct tps_policy_caller *caller = object;

	if (caller->burst)
		number_print(emit, caller->burst);
}

static int exempt_read(struct tps_policy_file *policy, void *object, const char *name,
		       const struct tps_scalar *scalar, struct tps_why *why)
{
	return truth_read("exempt", scalar, &((struct tps_policy_caller *)object)->exempt, why);
}

static void exempt_print(const struct tps_policy_file *policy, const void *object,
			 struct tps_emit *emit)
{
	if (((const struct tps_policy_caller *)object)->exempt)
		tps_emit(emit, "true");
}

static int source_read(struct tps_policy_file *policy, void *object, const char *name,
		       const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_prefix prefix;
	int err = tps_prefix_parse(scalar->text, &prefix, why);

	return err ? err : tps_policy_claim(policy, TPS_IDENTITY_SOURCE, &prefix, scalar->place);
}

static int sni_read(struct tps_policy_file *policy, void *object, const char *name,
		    const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_server_name server;
	int err = tps_server_name_parse(scalar->text, &server, why);

	return err ? err : tps_policy_claim(policy, TPS_IDENTITY_HOST, &server, scalar->place);
}

static int key_file_read(const struct tps_policy_file *policy, const char *file,
			 struct tps_key *ret_key, struct tps_why *why)
{
	_cleanup_(tps_api_key_forget) struct tps_api_key key = {};
	int err;

	if (*file != '/')
		return tps_why_say(why, -EINVAL, "key 'file:%s': expected file:/ABSOLUTE/PATH",
				   file);
	err = tps_api_key_read(file, &key, why);
	if (!err)
		tps_key_hash(&key, policy->secret, ret_key); /* without one: to be told apart */
	return err;
}

/* Where the secret is not known: at least of one and the same. */
static int key_hash_read(struct tps_policy_file *policy, const char *text, struct tps_key *ret_key,
			 struct tps_why *why)
{
	__u32 fingerprint;
	int err;

	if (policy->has_secret)
		return tps_key_parse(text, policy->secret, ret_key, why);
	err = tps_key_split(text, &fingerprint, ret_key, why);
	if (err)
		return err;
	if (policy->fingerprint && policy->fingerprint != fingerprint)
		return tps_why_say(why, -EKEYREJECTED,
				   "key hash '%.22s...': made with another secret than one before "
				   "it (hash:%08x:...)",
				   text, policy->fingerprint);
	policy->fingerprint = fingerprint;
	return 0;
}

static int key_read(struct tps_policy_file *policy, void *object, const char *name,
		    const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_key key;
	int err;

	if (!strncmp(scalar->text, "file:", 5))
		err = key_file_read(policy, scalar->text + 5, &key, why);
	else if (!strncmp(scalar->text, "hash:", 5))
		err = key_hash_read(policy, scalar->text, &key, why);
	else /* not repeated: it may be a key itself */
		err = tps_why_say(why, -EINVAL,
				  "key: expected hash:..., as tpsctl key hash prints it, or "
				  "file:/PATH; never a key itself");
	return err ? err : tps_policy_claim(policy, TPS_IDENTITY_KEY, &key, scalar->place);
}

const char *tps_policy_identity_print(const struct tps_policy_file *policy,
				      enum tps_identity identity, const void *one,
				      char ret_text[TPS_IDENTITY_TEXT])
{
	switch (identity) {
	case TPS_IDENTITY_SOURCE:
		return tps_prefix_print(one, ret_text);
	case TPS_IDENTITY_KEY:
		return tps_key_print(one, policy->secret, ret_text);
	default:
		return ((const struct tps_server_name *)one)->text;
	}
}

static void identities_print(const struct tps_policy_file *policy, const void *object,
			     enum tps_identity identity, struct tps_emit *emit)
{
	const struct tps_policy_caller *caller = object;
	const struct tps_claimed *own = policy->lists[identity].ordered + caller->first[identity];

	for (size_t i = 0; i < caller->count[identity]; i++) {
		char text[TPS_IDENTITY_TEXT];

		tps_emit(emit, tps_policy_identity_print(policy, identity, own[i].one, text));
	}
}

static void sources_print(const struct tps_policy_file *policy, const void *object,
			  struct tps_emit *emit)
{
	identities_print(policy, object, TPS_IDENTITY_SOURCE, emit);
}

static void sni_print(const struct tps_policy_file *policy, const void *object,
		      struct tps_emit *emit)
{
	identities_print(policy, object, TPS_IDENTITY_HOST, emit);
}

static void keys_print(const struct tps_policy_file *policy, const void *object,
		       struct tps_emit *emit)
{
	identities_print(policy, object, TPS_IDENTITY_KEY, emit);
}

const struct tps_field tps_caller_fields[] = {
	{.key = "tier",
	 .form = "the name of a tier",
	 .read = caller_tier_read,
	 .print = caller_tier_print},
	{.key = "rate",
	 .form = "N/s, N/m, N/h or N/d",
	 .read = caller_rate_read,
	 .print = caller_rate_print},
	{.key = "burst",
	 .form = "a number",
	 .is_bare = true,
	 .read = caller_burst_read,
	 .print = caller_burst_print},
	{.key = "exempt",
	 .form = "true or false",
	 .is_bare = true,
	 .read = exempt_read,
	 .print = exempt_print},
	{.key = "sources",
	 .form = "a list of prefixes",
	 .shape = TPS_SHAPE_LIST,
	 .read = source_read,
	 .print = sources_print},
	{.key = "sni",
	 .form = "a list of server names",
	 .shape = TPS_SHAPE_LIST,
	 .read = sni_read,
	 .print = sni_print},
	{.key = "keys",
	 .form = "a list of hash:... or file:/PATH",
	 .shape = TPS_SHAPE_LIST,
	 .read = key_read,
	 .print = keys_print},
	{},
};

/* ---- tpsd */

static void *daemon_make(struct tps_policy_file *policy, const char *name, struct tps_place place,
			 struct tps_why *why)
{
	policy->daemon.is_given = true;
	return &policy->daemon;
}

/* ADDRESS:PORT, an IPv6 address in brackets */
static int listen_read(struct tps_policy_file *policy, void *object, const char *name,
		       const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_policy_daemon *daemon = object;
	const char *colon = strrchr(scalar->text, ':');
	char address[64] = "";
	struct tps_prefix prefix;
	__u64 port;
	size_t len = colon ? (size_t)(colon - scalar->text) : 0;
	bool is_v6 = len >= 2 && scalar->text[0] == '[' && colon[-1] == ']';

	if (len && len < sizeof(address))
		memcpy(address, scalar->text + is_v6, len - 2 * is_v6);
	if (!*address || strchr(address, '/') || tps_prefix_parse(address, &prefix, NULL) ||
	    prefix.family != (is_v6 ? 6 : 4) ||
	    tps_number_parse("port", colon + 1, 1, 65535, &port, NULL))
		return tps_why_say(why, -EINVAL,
				   "listen '%s': expected ADDRESS:PORT, as 127.0.0.1:10429 or "
				   "[::1]:10429",
				   scalar->text);
	daemon->listen = strdup(scalar->text);
	return daemon->listen ? 0 : -ENOMEM;
}

static void listen_print(const struct tps_policy_file *policy, const void *object,
			 struct tps_emit *emit)
{
	if (policy->daemon.listen)
		tps_emit(emit, policy->daemon.listen);
}

static int max_callers_read(struct tps_policy_file *policy, void *object, const char *name,
			    const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 number;
	int err = number_read("max_callers", scalar, 1000000, &number, why);

	if (!err)
		policy->daemon.max_callers = number;
	return err;
}

static void max_callers_print(const struct tps_policy_file *policy, const void *object,
			      struct tps_emit *emit)
{
	if (policy->daemon.max_callers)
		number_print(emit, policy->daemon.max_callers);
}

static int hook_read(struct tps_policy_file *policy, void *object, const char *name,
		     const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_policy_daemon *daemon = object;

	if (!daemon->hook_count && *scalar->text != '/')
		return tps_why_say(why, -EINVAL, "hook '%s': expected the command's absolute path",
				   scalar->text);
	if (tps_array_grow(&daemon->hook, &daemon->hook_room, daemon->hook_count,
			   sizeof(*daemon->hook)))
		return -ENOMEM;
	daemon->hook[daemon->hook_count] = strdup(scalar->text);
	return daemon->hook[daemon->hook_count] ? (daemon->hook_count++, 0) : -ENOMEM;
}

static void hook_print(const struct tps_policy_file *policy, const void *object,
		       struct tps_emit *emit)
{
	for (size_t i = 0; i < policy->daemon.hook_count; i++)
		tps_emit(emit, policy->daemon.hook[i]);
}

static const struct tps_field daemon_fields[] = {
	{.key = "listen", .form = "ADDRESS:PORT", .read = listen_read, .print = listen_print},
	{.key = "max_callers",
	 .form = "a number",
	 .is_bare = true,
	 .read = max_callers_read,
	 .print = max_callers_print},
	{.key = "hook",
	 .form = "a list: a command and its arguments",
	 .shape = TPS_SHAPE_LIST,
	 .read = hook_read,
	 .print = hook_print},
	{},
};

/* ---- the top */

static int version_read(struct tps_policy_file *policy, void *object, const char *name,
			const struct tps_scalar *scalar, struct tps_why *why)
{
	__u64 version;

	if (!scalar->is_plain || tps_number_parse("version", scalar->text, TPS_POLICY_VERSION,
						  TPS_POLICY_VERSION, &version, NULL))
		return tps_why_say(why, -EINVAL, "version '%s': expected %d", scalar->text,
				   TPS_POLICY_VERSION);
	return 0;
}

static void version_print(const struct tps_policy_file *policy, const void *object,
			  struct tps_emit *emit)
{
	number_print(emit, TPS_POLICY_VERSION);
}

/* DEVICE, or NETNS:DEVICE; a device's name has no colon. */
static int device_read(struct tps_policy_file *policy, void *object, const char *name,
		       const struct tps_scalar *scalar, struct tps_why *why)
{
	const char *colon = strrchr(scalar->text, ':');
	struct tps_policy_device *device;
	char netns[TPS_NETNS_LEN] = "";
	struct tps_device_key key;
	int err;

	if (colon && (size_t)(colon - scalar->text) >= sizeof(netns))
		return tps_why_say(why, -EINVAL, "device '%s': expected DEVICE or NETNS:DEVICE",
				   scalar->text);
	if (colon)
		memcpy(netns, scalar->text, colon - scalar->text);
	err = tps_device_key(colon ? netns : NULL, colon ? colon + 1 : scalar->text, &key, why);
	if (err)
		return err;
	if (tps_policy_has_device(policy, &key))
		return tps_why_say(why, -EINVAL, "device '%s': it is given twice", scalar->text);
	if (tps_array_grow(&policy->devices, &policy->device_room, policy->device_count,
			   sizeof(*device)))
		return -ENOMEM;
	device = &policy->devices[policy->device_count++];
	*device = (struct tps_policy_device){.key = key, .place = scalar->place};
	return 0;
}

static void devices_print(const struct tps_policy_file *policy, const void *object,
			  struct tps_emit *emit)
{
	for (size_t i = 0; i < policy->device_count; i++) {
		const struct tps_device_key *key = &policy->devices[i].key;
		char text[TPS_NETNS_LEN + TPS_DEVICE_LEN + 1];

		snprintf(text, sizeof(text), "%s%s%s", key->netns, *key->netns ? ":" : "",
			 key->name);
		tps_emit(emit, text);
	}
}

static int default_tier_read(struct tps_policy_file *policy, void *object, const char *name,
			     const struct tps_scalar *scalar, struct tps_why *why)
{
	int err = tps_name_check("tier", scalar->text, sizeof(policy->default_tier), why);

	if (err)
		return err;
	strcpy(policy->default_tier, scalar->text);
	policy->default_tier_place = scalar->place;
	return 0;
}

static void default_tier_print(const struct tps_policy_file *policy, const void *object,
			       struct tps_emit *emit)
{
	tps_emit(emit, policy->default_tier);
}

static int ban_item_read(struct tps_policy_file *policy, void *object, const char *name,
			 const struct tps_scalar *scalar, struct tps_why *why)
{
	struct tps_prefix prefix;
	int err = tps_prefix_parse(scalar->text, &prefix, why);

	if (err)
		return err;
	if (tps_array_grow(&policy->bans, &policy->ban_room, policy->ban_count,
			   sizeof(*policy->bans)))
		return -ENOMEM;
	policy->bans[policy->ban_count++] =
		(struct tps_policy_ban){.prefix = prefix, .place = scalar->place};
	return 0;
}

static void bans_print(const struct tps_policy_file *policy, const void *object,
		       struct tps_emit *emit)
{
	char text[TPS_PREFIX_TEXT];

	for (size_t i = 0; i < policy->ban_count; i++) {
		if (!policy->bans[i].by_hand)
			tps_emit(emit, tps_prefix_print(&policy->bans[i].prefix, text));
	}
}

static int capacity_read(struct tps_policy_file *policy, void *object, const char *name,
			 const struct tps_scalar *scalar, struct tps_why *why)
{
	int map = tps_map_find(name);
	__u64 number;
	int err;

	if (map < 0 || !tps_map_sizable(map)) {
		_cleanup_out_ struct tps_out names = {};

		for (int i = 0; i < TPS_MAP_MAX; i++) {
			if (tps_map_sizable(i))
				tps_out_add(&names, "%s%s", names.len ? ", " : "", tps_map_name(i));
		}
		return tps_why_say(why, -EINVAL, "capacity '%s': expected one of %s", name,
				   names.text);
	}
	if (policy->capacity[map])
		return tps_why_say(why, -EINVAL, "capacity '%s': given twice, first in line %u",
				   name, policy->capacity_place[map].line);
	err = number_read("capacity", scalar, TPS_CAPACITY_MAX, &number, why);
	if (err)
		return err;
	policy->capacity[map] = number;
	policy->capacity_place[map] = scalar->place;
	return 0;
}

const struct tps_field tps_policy_fields[] = {
	{.key = "version",
	 .form = "1",
	 .needed = true,
	 .of_includes = true,
	 .is_bare = true,
	 .read = version_read,
	 .print = version_print},
	{.key = "include", .form = "a list of files or patterns", .shape = TPS_SHAPE_LIST},
	{.key = "devices",
	 .form = "a list of devices",
	 .shape = TPS_SHAPE_LIST,
	 .read = device_read,
	 .print = devices_print},
	{.key = "default_tier",
	 .form = "the name of a tier",
	 .read = default_tier_read,
	 .print = default_tier_print},
	{.key = "tiers",
	 .form = "a mapping of names to tiers",
	 .shape = TPS_SHAPE_NAMED,
	 .of = tps_tier_fields,
	 .make = tier_make,
	 .done = tier_done},
	{.key = "listeners",
	 .form = "a mapping of names to listeners",
	 .shape = TPS_SHAPE_NAMED,
	 .of = tps_listener_fields,
	 .make = listener_make,
	 .done = listener_done},
	{.key = "callers",
	 .form = "a mapping of names to callers",
	 .shape = TPS_SHAPE_NAMED,
	 .of_includes = true,
	 .of = tps_caller_fields,
	 .make = caller_make,
	 .done = caller_done},
	{.key = "bans",
	 .form = "a list of prefixes",
	 .shape = TPS_SHAPE_LIST,
	 .read = ban_item_read,
	 .print = bans_print},
	{.key = "capacity",
	 .form = "a mapping of maps to numbers",
	 .shape = TPS_SHAPE_PAIRS,
	 .is_bare = true,
	 .read = capacity_read},
	{.key = "tpsd",
	 .form = "a mapping",
	 .shape = TPS_SHAPE_OBJECT,
	 .of = daemon_fields,
	 .make = daemon_make},
	{},
};
