// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every verb shares.
 */
#include "verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "root.h"
#include "secret.h"

json_t *verb_json(const struct verb *verb)
{
	return json_pack("{s:s, s:s, s:s}", "verb", verb->name, "usage", verb->usage, "help",
			 verb->help);
}

void verb_show(const struct session *session, const struct verb *verb)
{
	if (!print_json(session, verb_json(verb)))
		printf("usage: tpsctl %s%s%s\n%s\n", verb->name, *verb->usage ? " " : "",
		       verb->usage, verb->help);
}

enum outcome finish(enum outcome outcome)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return outcome;
	fprintf(stderr, "tpsctl: standard output: %s\n", strerror(errno ? errno : EIO));
	return outcome == DONE ? FAILED : outcome;
}

int option_next(struct session *session, int argc, char **argv, const struct option *options)
{
	for (;;) {
		int at = optind ? optind : 1;
		int option;

		opterr = 0;
		option = getopt_long(argc, argv, ":jvh", options, NULL);
		switch (option) {
		case 'j':
			session->json = true;
			break;
		case 'v':
			session->verbose = true;
			tps_log_libbpf(true);
			break;
		case 'R':
			session->root = optarg;
			break;
		case 'h':
			session->help = true;
			break;
		case ':':
			misused(session, "option '%s': it needs a value", argv[optind - 1]);
			return '?';
		case '?':
			misused(session, "option '%s': unknown",
				argv[optind > at ? optind - 1 : at]);
			return '?';
		case -1:
			if (!session->help || !session->verb->run)
				return option;
			verb_show(session, session->verb);
			exit(finish(DONE));
		default:
			return option;
		}
	}
}

bool words_left(struct session *session, int argc, char **argv, int count, char ***ret_words)
{
	int words = argc - optind;

	if (count >= 0 && words > count) {
		misused(session, "'%s': not expected", argv[optind + count]);
		return false;
	}
	if (count >= 0 && words < count) {
		misused(session, "something is missing");
		return false;
	}
	if (ret_words)
		*ret_words = argv + optind;
	return true;
}

bool words_only(struct session *session, int argc, char **argv, int count, char ***ret_words)
{
	static const struct option options[] = {OPTIONS_SHARED};
	int option = option_next(session, argc, argv, options);

	return option == -1 && words_left(session, argc, argv, count, ret_words);
}

enum outcome failed(const struct session *session, int err, const struct tps_why *why)
{
	if (why && why->text[0])
		fprintf(stderr, "tpsctl: %s\n", why->text);
	else if (err == -EPERM || err == -EACCES)
		fprintf(stderr, "tpsctl: %s: %s; it needs root\n", session->verb->name,
			strerror(-err));
	else if (err == -E2BIG)
		fprintf(stderr, "tpsctl: %s: a map is full; tpsctl status shows which\n",
			session->verb->name);
	else
		fprintf(stderr, "tpsctl: %s: %s\n", session->verb->name, strerror(-err));
	return FAILED;
}

enum outcome rejected(const struct session *session, int err, const struct tps_why *why)
{
	failed(session, err, why);
	return (err == -EINVAL || err == -ERANGE) && why->text[0] ? USAGE : FAILED;
}

/* As one line. */
static const char *line_text(const char *format, va_list arguments, struct tps_why *line)
{
	char text[sizeof(line->text)];

	vsnprintf(text, sizeof(text), format, arguments);
	tps_why_say(line, 0, "%s", text);
	return line->text;
}

enum outcome misused(const struct session *session, const char *format, ...)
{
	const struct verb *verb = session->verb;
	const char *gap = *verb->name ? " " : "";
	struct tps_why line = {};
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "tpsctl%s%s: %s; usage: tpsctl%s%s%s%s\n", gap, verb->name,
		line_text(format, arguments, &line), gap, verb->name, *verb->usage ? " " : "",
		verb->usage);
	va_end(arguments);
	return USAGE;
}

void note(const char *format, ...)
{
	struct tps_why line = {};
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "tpsctl: note: %s\n", line_text(format, arguments, &line));
	va_end(arguments);
}

bool print_json(const struct session *session, json_t *json)
{
	_cleanup_json_ json_t *taken = json;

	if (!session->json)
		return false;
	json_dumpf(taken, stdout, JSON_INDENT(2));
	putchar('\n');
	return true;
}

enum outcome written(const struct session *session, bool changed)
{
	if (session->json)
		printf("{\"changed\": %s}\n", changed ? "true" : "false");
	return DONE;
}

int gate_open(const struct session *session, enum tps_access access, struct tps_gate **ret_gate,
	      struct tps_why *why)
{
	return tps_gate_open(tps_root_choose(session->root), access, ret_gate, why);
}

int secret_find(const struct session *session, const char *option, __u64 ret_secret[2],
		struct tps_why *why)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;

	if (!tps_secret_given(option) && !gate_open(session, TPS_READ, &gate, NULL)) {
		memcpy(ret_secret, gate->control->secret, sizeof(gate->control->secret));
		return 0;
	}
	return tps_secret_read(tps_secret_choose(option), ret_secret, why);
}
