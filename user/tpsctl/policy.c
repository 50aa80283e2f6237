// SPDX-License-Identifier: GPL-2.0-only
/*
 * check, apply, export and rollback: the policy in a file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "difference.h"
#include "policy.h"
#include "policy_put.h"
#include "policy_store.h"
#include "root.h"
#include "secret.h"
#include "verbs.h"

static void warnings_note(const struct tps_policy_file *policy)
{
	for (size_t i = 0; i < policy->warning_count && i < TPS_POLICY_WARNINGS_MAX; i++)
		note("%s", policy->warnings[i]);
	if (policy->warning_count > TPS_POLICY_WARNINGS_MAX)
		note("and %zu more of the kind", policy->warning_count - TPS_POLICY_WARNINGS_MAX);
}

/* ---- check */

enum outcome check(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("secret", required_argument, 's'),
						OPTIONS_SHARED};
	_cleanup_policy_ struct tps_policy_file *policy = NULL;
	const char *secret_file = NULL;
	struct tps_why why = {};
	json_t *warnings;
	__u64 secret[2];
	char **file;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option != 's')
			return USAGE;
		secret_file = optarg;
	}
	if (!words_left(session, argc, argv, 1, &file))
		return USAGE;
	err = secret_find(session, secret_file, secret, &why);
	if (err && tps_secret_given(secret_file))
		return failed(session, err, &why);
	why = (struct tps_why){};
	err = tps_policy_read(*file, err ? NULL : secret, &policy, &why);
	if (!err)
		err = tps_policy_fits(policy, policy->capacity, &why);
	if (err)
		return failed(session, err, &why);
	if (!policy->has_secret && policy->lists[TPS_IDENTITY_KEY].count)
		tps_policy_warn(policy, (struct tps_place){},
				"no secret can be read here: whether keys were hashed with this "
				"host's is not checked (--secret FILE)");
	warnings = json_array();
	for (size_t i = 0; i < policy->warning_count && i < TPS_POLICY_WARNINGS_MAX; i++)
		json_array_append_new(warnings, json_string(policy->warnings[i]));
	if (!print_json(session, json_pack("{s:b, s:o}", "valid", true, "warnings", warnings)))
		warnings_note(policy);
	return DONE;
}

/* ---- apply and rollback */

struct wish {
	const char *secret_file;
	bool dry_run, exit_code;
};

/* On a terminal, a line that is written over; gone when all is done. */
static void progress_show(const char *what, size_t done, size_t count)
{
	if (count >= 10000)
		fprintf(stderr, "\r%s: %zu of %zu\033[K", what, done, count);
}

static tps_progress_tell progress(void)
{
	return isatty(STDERR_FILENO) ? progress_show : NULL;
}

/* A policy cannot change how the gate was made. */
static void capacities_note(const struct tps_gate *gate, const struct tps_policy_file *policy)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (policy->capacity[map] && policy->capacity[map] != gate->capacity[map])
			note("capacity %s: %u is wanted, the gate was made with %u; detach --all "
			     "--forget, then apply makes it anew",
			     tps_map_name(map), policy->capacity[map], gate->capacity[map]);
	}
}

static void devices_note(const struct tps_policy_file *have, const struct tps_policy_file *want)
{
	for (size_t i = 0; i < have->device_count; i++) {
		if (want->device_count && !tps_policy_has_device(want, &have->devices[i].key))
			note("device '%s' is not in the policy, and the gate stays on it: tpsctl "
			     "detach %s takes it off",
			     have->devices[i].key.name, have->devices[i].key.name);
	}
}

static int devices_check(const struct tps_policy_file *want, struct tps_why *why)
{
	struct tps_why inner = {};
	int err = 0;

	for (size_t i = 0; i < want->device_count && !err; i++) {
		err = tps_device_check(&want->devices[i].key, &inner);
		if (err)
			tps_place_say(want, want->devices[i].place, why, err, "%s", inner.text);
	}
	return err;
}

static enum outcome apply_to(struct session *session, struct tps_gate *gate,
			     struct tps_policy_file *want, const struct wish *wish)
{
	_cleanup_policy_ struct tps_policy_file *have = NULL;
	struct tps_why why = {};
	bool changed = false;
	int err = tps_policy_meet(gate, want, &have, &why);

	if (!err && wish->dry_run) {
		warnings_note(want);
		return differences_show(session, have, want, wish->exit_code);
	}
	if (!err)
		err = tps_policy_put(gate, have, want, progress(), &changed, &why);
	if (progress())
		fprintf(stderr, "\r\033[K");
	if (err && gate->is_fresh)
		tps_gate_forget(gate, NULL);
	if (err)
		return failed(session, err, &why);
	warnings_note(want);
	capacities_note(gate, want);
	devices_note(have, want);
	return written(session, changed);
}

/* Against nothing, or against what a gate has that was just made. */
static enum outcome differences_of_none(struct session *session, const struct tps_policy_file *want,
					const struct wish *wish)
{
	_cleanup_policy_ struct tps_policy_file *have = NULL;
	struct tps_why why = {};
	int err = tps_policy_of_fresh(&have);

	if (!err)
		err = tps_policy_fits(want, want->capacity, &why);
	if (err)
		return failed(session, err, &why);
	warnings_note(want);
	return differences_show(session, have, want, wish->exit_code);
}

/* The gate that @want is for: open, or made where the policy has devices to put it on. */
static int gate_have(const struct session *session, const struct tps_policy_file *want,
		     const struct wish *wish, struct tps_gate **ret_gate, struct tps_why *why)
{
	const char *root = tps_root_choose(session->root);
	struct tps_gate_options options = {.secret_file = wish->secret_file};
	int err = tps_gate_open(root, wish->dry_run ? TPS_READ : TPS_WRITE, ret_gate, why);

	if (err != -ENOENT || wish->dry_run)
		return err;
	if (!want->device_count) {
		*why = (struct tps_why){};
		return tps_why_say(why, err,
				   "no gate at '%s': name 'devices:' in the policy, or make it "
				   "with tpsctl attach DEVICE",
				   root);
	}
	*why = (struct tps_why){};
	memcpy(options.capacity, want->capacity, sizeof(options.capacity));
	err = tps_policy_fits(want, want->capacity, why);
	return err ? err : tps_gate_make(root, &options, ret_gate, why);
}

/* The policy of @file, with the secret that its keys are to be hashed with. Where there is none
 * yet and keys need one, it is made: but not for a policy that is refused. */
static int want_read(const struct session *session, const char *file, const struct wish *wish,
		     struct tps_policy_file **ret_want, struct tps_why *why)
{
	_cleanup_policy_ struct tps_policy_file *want = NULL;
	struct tps_why inner = {};
	__u64 secret[2];
	int err = secret_find(session, wish->secret_file, secret, &inner);

	if (err && err != -ENOENT)
		return tps_why_say(why, err, "%s", inner.text);
	if (!err)
		return tps_policy_read(file, secret, ret_want, why);
	err = tps_policy_read(file, NULL, &want, why);
	if (!err && want->lists[TPS_IDENTITY_KEY].count && !wish->dry_run) {
		err = tps_secret_make(tps_secret_choose(wish->secret_file), secret, why);
		return err ? err : tps_policy_read(file, secret, ret_want, why);
	}
	if (!err)
		*ret_want = TAKE_PTR(want);
	return err;
}

static bool wish_read(struct session *session, int argc, char **argv, struct wish *wish)
{
	static const struct option options[] = {
		OPTION("dry-run", no_argument, 'd'), OPTION("exit-code", no_argument, 'e'),
		OPTION("secret", required_argument, 's'), OPTIONS_SHARED};
	int option;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option == 'd')
			wish->dry_run = true;
		else if (option == 'e')
			wish->exit_code = true;
		else if (option == 's')
			wish->secret_file = optarg;
		else
			return false;
	}
	if (wish->exit_code && !wish->dry_run) {
		misused(session, "--exit-code is for --dry-run");
		return false;
	}
	return true;
}

enum outcome apply(struct session *session, int argc, char **argv)
{
	_cleanup_policy_ struct tps_policy_file *want = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct wish wish = {};
	struct tps_why why = {};
	char **file;
	int err;

	if (!wish_read(session, argc, argv, &wish) || !words_left(session, argc, argv, 1, &file))
		return USAGE;
	err = want_read(session, *file, &wish, &want, &why);
	if (!err)
		err = devices_check(want, &why);
	if (err)
		return failed(session, err, &why);
	err = gate_have(session, want, &wish, &gate, &why);
	if (err == -ENOENT && wish.dry_run)
		return differences_of_none(session, want, &wish);
	return err ? failed(session, err, &why) : apply_to(session, gate, want, &wish);
}

enum outcome rollback(struct session *session, int argc, char **argv)
{
	_cleanup_policy_ struct tps_policy_file *want = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct wish wish = {};
	struct tps_why why = {};
	int err;

	if (!wish_read(session, argc, argv, &wish) || !words_left(session, argc, argv, 0, NULL))
		return USAGE;
	err = gate_open(session, wish.dry_run ? TPS_READ : TPS_WRITE, &gate, &why);
	if (err)
		return failed(session, err, &why);
	err = tps_policy_kept_read(gate->root, TPS_KEPT_BEFORE, gate->control->secret, &want, NULL,
				   &why);
	if (err == -ENOENT)
		tps_why_say(&why, err,
			    "nothing to go back to: no apply has changed the gate at '%s'",
			    gate->root);
	return err ? failed(session, err, &why) : apply_to(session, gate, want, &wish);
}

/* ---- export */

enum outcome export_policy(struct session *session, int argc, char **argv)
{
	_cleanup_policy_ struct tps_policy_file *policy = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	_cleanup_out_ struct tps_out out = {};
	struct tps_why why = {};
	int err;

	if (!words_only(session, argc, argv, 0, NULL))
		return USAGE;
	err = gate_open(session, TPS_READ, &gate, &why);
	if (!err)
		err = tps_policy_standing(gate, &policy, &why);
	if (!err) {
		tps_policy_print(policy, session->json ? TPS_POLICY_JSON : TPS_POLICY_YAML, &out);
		err = out.failed ? -ENOMEM : 0;
	}
	if (err)
		return failed(session, err, &why);
	fwrite(out.text, 1, out.len, stdout);
	return DONE;
}
