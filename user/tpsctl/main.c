// SPDX-License-Identifier: GPL-2.0-only
/*
 * tpsctl: the table of verbs and how one is found. Knows no map.
 */
#include <stdio.h>
#include <string.h>

#include "lock.h"
#include "log.h"
#include "verbs.h"

static enum outcome help(struct session *session, int argc, char **argv);
static enum outcome version(struct session *session, int argc, char **argv);

static const struct verb verbs[] = {
	{"attach",
	 "DEVICE... [--netns NAME] [--xdp-mode native|generic|auto] [--observe] "
	 "[--capacity MAP=N]... [--secret FILE]",
	 "put the gate on devices; the first one makes it", attach},
	{"detach", "DEVICE... [--netns NAME] | --all [--netns NAME | --forget] [--drain 30s]",
	 "take the gate off devices; settings and counters stay, unless forgotten", detach},
	{"status", "", "where the gate stands, what it does and how full its maps are", status},
	{"doctor", "[DEVICE... [--netns NAME]]", "what is wrong, and the command that mends it",
	 doctor},
	{"selftest", "",
	 "prove on this host, in a network namespace of its own, that the gate does its work",
	 selftest},
	{"pause", "", "the kill switch: everything passes, uncharged", pause_gate},
	{"resume", "", "end the pause", resume_gate},
	{"observe", "[LISTENER...]", "count what would be refused, and pass it", observe},
	{"enforce", "[LISTENER...]", "refuse what is over a limit", enforce},
	{"set tier", "NAME [--rate R] [--burst N]", "make or change a tier", set_tier},
	{"set default-tier", "NAME", "the tier of strangers and of new callers", set_default_tier},
	{"set listener",
	 "NAME [--port P[,P...]] [--protocol http|tls|tcp|udp] [--mode enforce|observe] "
	 "[--refuse answer|close|reset|drop] "
	 "[--rate R | --no-rate] [--burst N] [--cost N] [--key-header H]... "
	 "[--placement local|transit]",
	 "make or change a listener", set_listener},
	{"set caller",
	 "NAME [--tier T] [--rate R | --no-rate] [--burst N] [--exempt | --no-exempt] "
	 "[--source CIDR]... [--add-source CIDR]... [--remove-source CIDR]... [--no-sources] "
	 "[--sni NAME]... [--add-sni NAME]... [--remove-sni NAME]... [--no-sni] "
	 "[--key-file F]... [--key-hash H]... [--add-key-file F]... [--add-key-hash H]... "
	 "[--remove-key-file F]... [--remove-key-hash H]... [--no-keys]",
	 "make or change a caller", set_caller},
	{"delete tier", "NAME [--if-exists]", "delete a tier that nobody is in", delete_tier},
	{"delete listener", "NAME [--if-exists]", "delete a listener: its ports pass untouched",
	 delete_listener},
	{"delete caller", "NAME [--if-exists]", "delete a caller and its identities",
	 delete_caller},
	{"list tiers", "[--sort FIELD]", "all tiers", list_tiers},
	{"list listeners", "[--sort FIELD]", "all listeners and what they counted", list_listeners},
	{"list callers", "[--sort FIELD]", "all callers and what they spent", list_callers},
	{"list strangers", "[--sort FIELD]", "the strangers that are remembered", list_strangers},
	{"list bans", "[--sort FIELD]", "bans by hand that still hold", list_bans},
	{"show tier", "NAME", "one tier", show_tier},
	{"show listener", "NAME", "one listener, and why it let pass or refused", show_listener},
	{"show caller", "NAME", "one caller: its limit, tokens, identities and counters",
	 show_caller},
	{"key hash", "[FILE] [--secret FILE]",
	 "the hash of an API key; needs neither root nor a gate", key_hash},
	{"ban", "CIDR|ADDRESS|caller:NAME [--for DURATION] [--reason TEXT]",
	 "ban a source prefix or a caller", ban},
	{"unban", "CIDR|ADDRESS|caller:NAME", "lift a ban", unban},
	{"top", "[--sort FIELD] [--interval S] [--count N] [--rows N] [--plain]",
	 "callers and strangers by what they are refused or ask for, live", top},
	{"events",
	 "[--caller NAME | --strangers] [--listener NAME] [--verdict V] [--source CIDR] "
	 "[--count N]",
	 "what is refused as it happens: at most one line a caller and second", events},
	{"check", "FILE [--secret FILE]", "is this policy right? Needs neither root nor a gate",
	 check},
	{"apply", "FILE [--dry-run [--exit-code]] [--secret FILE]",
	 "make the gate's settings those of a policy", apply},
	{"export", "", "the gate's settings as a policy", export_policy},
	{"rollback", "[--dry-run [--exit-code]]", "back to what was before the last apply",
	 rollback},
	{"explain",
	 "--source ADDRESS [--port P [--udp]] [--sni NAME] [--key-file F | --key-hash H]",
	 "who that is, under which limit, and whether a transaction would pass; spends nothing",
	 explain},
	{"replay", "FILE [--policy FILE [--secret FILE]] [--refused | --summary]",
	 "a capture through a second gate: who would have been refused", replay},
	{"version", "", "the version of tpsctl", version},
	{"help", "[VERB]", "this list, or one verb", help},
};
#define VERBS (sizeof(verbs) / sizeof(*verbs))

static size_t words_of(const struct verb *verb)
{
	return strchr(verb->name, ' ') ? 2 : 1;
}

static bool is_named(const struct verb *verb, int count, char **words)
{
	char name[64];

	if (count < (int)words_of(verb))
		return false;
	snprintf(name, sizeof(name), "%s%s%s", words[0], words_of(verb) == 2 ? " " : "",
		 words_of(verb) == 2 ? words[1] : "");
	return !strcmp(verb->name, name);
}

static const struct verb *verb_find(int count, char **words)
{
	for (size_t i = 0; i < VERBS; i++) {
		if (is_named(&verbs[i], count, words))
			return &verbs[i];
	}
	return NULL;
}

/* `set` without its noun, or with one that there is not: name those that there are. */
static enum outcome unknown(struct session *session, int count, char **words)
{
	size_t len = strlen(words[0]);
	struct tps_why why = {};
	char nouns[256] = "";

	for (size_t i = 0; i < VERBS; i++) {
		if (!strncmp(verbs[i].name, words[0], len) && verbs[i].name[len] == ' ')
			snprintf(nouns + strlen(nouns), sizeof(nouns) - strlen(nouns), "%s '%s'",
				 *nouns ? "," : "", verbs[i].name);
	}
	if (*nouns)
		tps_why_say(&why, 0, "'%s%s%s': expected%s", words[0], count > 1 ? " " : "",
			    count > 1 ? words[1] : "", nouns);
	else
		tps_why_say(&why, 0, "verb '%s': unknown; tpsctl help lists what there is",
			    words[0]);
	failed(session, 0, &why);
	return USAGE;
}

static enum outcome verbs_show(const struct session *session)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < VERBS; i++)
		json_array_append_new(rows, verb_json(&verbs[i]));
	if (print_json(session, rows))
		return DONE;
	printf("usage: tpsctl [--root DIR] [-j] [-v] VERB ...\n\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-17s %s\n", verbs[i].name, verbs[i].help);
	printf("\ntpsctl help VERB shows a verb's options; tpsctl(8) explains them.\n");
	return DONE;
}

static enum outcome help(struct session *session, int argc, char **argv)
{
	const struct verb *verb;
	char **words;

	if (!words_only(session, argc, argv, -1, &words))
		return USAGE;
	if (!*words)
		return verbs_show(session);
	verb = verb_find(argc - optind, words);
	if (!verb)
		return unknown(session, argc - optind, words);
	verb_show(session, verb);
	return DONE;
}

static enum outcome version(struct session *session, int argc, char **argv)
{
	if (!words_only(session, argc, argv, 0, NULL))
		return USAGE;
	if (!print_json(session, json_pack("{s:s, s:i}", "version", TPS_VERSION, "abi_version",
					   TPS_ABI_VERSION)))
		printf("tpsctl %s\n", TPS_VERSION);
	return DONE;
}

static void wait_note(const char *text)
{
	note("%s", text);
}

static enum outcome run(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTIONS_SHARED};
	int first = 1;

	/* The options before the verb: getopt_long would look behind it, where others hold. */
	while (first < argc && argv[first][0] == '-')
		first += !strcmp(argv[first], "--root") && first + 1 < argc ? 2 : 1;
	optind = 1;
	if (option_next(session, first, argv, options) != -1)
		return USAGE;
	if (session->help)
		return verbs_show(session);
	if (first >= argc)
		return misused(session, "no verb");
	session->verb = verb_find(argc - first, argv + first);
	if (!session->verb)
		return unknown(session, argc - first, argv + first);
	optind = 0; /* glibc: begin anew, behind the verb's last word */
	first += words_of(session->verb) - 1;
	return session->verb->run(session, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	static const struct verb none = {"", "[--root DIR] [-j] [-v] VERB ...; tpsctl help", "",
					 NULL};
	struct session session = {.verb = &none};

	tps_log_libbpf(false);
	tps_lock_on_wait(wait_note);
	return finish(run(&session, argc, argv));
}
