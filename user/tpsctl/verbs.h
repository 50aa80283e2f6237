/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs, each in the file of its noun.
 */
#ifndef TPSCTL_VERBS_H
#define TPSCTL_VERBS_H

#include "verb.h"

#define DECLARE(function) enum outcome function(struct session *session, int argc, char **argv)

DECLARE(attach);
DECLARE(detach);
DECLARE(status);
DECLARE(doctor);
DECLARE(selftest);
DECLARE(pause_gate);
DECLARE(resume_gate);
DECLARE(observe);
DECLARE(enforce);
DECLARE(set_tier);
DECLARE(set_default_tier);
DECLARE(delete_tier);
DECLARE(list_tiers);
DECLARE(show_tier);
DECLARE(set_listener);
DECLARE(delete_listener);
DECLARE(list_listeners);
DECLARE(show_listener);
DECLARE(set_caller);
DECLARE(delete_caller);
DECLARE(list_callers);
DECLARE(show_caller);
DECLARE(list_strangers);
DECLARE(list_bans);
DECLARE(ban);
DECLARE(unban);
DECLARE(key_hash);
DECLARE(top);
DECLARE(events);
DECLARE(check);
DECLARE(apply);
DECLARE(export_policy);
DECLARE(rollback);
DECLARE(explain);
DECLARE(replay);

#undef DECLARE

#endif
