// SPDX-License-Identifier: GPL-2.0-only
/*
 * doctor: what is wrong with this host, its devices and the gate, and the command that mends it.
 * Changes nothing.
 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "root.h"
#include "verbs.h"

static const char *const severity_texts[SEVERITY_MAX] = {
#define TEXT(id, text) [SEVERITY_##id] = text,
	SEVERITIES(TEXT)
#undef TEXT
};

void found(struct examination *examination, enum severity severity, const char *check, json_t *mend,
	   const char *format, ...)
{
	struct tps_why line = {};
	char text[sizeof(line.text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tps_why_say(&line, 0, "%s", text);
	json_array_append_new(examination->findings,
			      json_pack("{s:s, s:s, s:s, s:o}", "severity",
					severity_texts[severity], "check", check, "found",
					line.text, "mend", mend));
}

/* Why the gate could not be opened. */
static void examine_absence(struct examination *examination, int err, const struct tps_why *why,
			    bool is_wanted)
{
	const char *text = *why->text ? why->text : strerror(-err);

	if (err == -ENOENT)
		found(examination, is_wanted ? SEVERITY_ERROR : SEVERITY_NOTE, "gate",
		      json_sprintf("%s attach DEVICE --observe", examination->tpsctl),
		      "there is no gate: nothing is throttled");
	else if (err == -EPROTO)
		found(examination, SEVERITY_ERROR, "layout",
		      json_string("use the tpsctl that made it"), "%s", text);
	else if (!examination->is_unprivileged)
		found(examination, SEVERITY_ERROR, "gate", json_string("see tpsctl(8)"), "%s",
		      text);
}

static int examine_all(struct session *session, struct examination *examination, bool is_wanted,
		       struct tps_why *why)
{
	_cleanup_free_ struct tps_device_entry *devices = NULL;
	_cleanup_gate_ struct tps_gate *gate = NULL;
	struct tps_why lasting = {};
	size_t count;
	int err = gate_open(session, TPS_READ, &gate, why);

	if (err == -ENOMEM)
		return err;
	if (err) {
		examine_absence(examination, err, why, is_wanted);
		examine_secret(examination, NULL);
		return 0;
	}
	if (tps_root_lasting_check(gate->root, &lasting) == -EXDEV)
		found(examination, SEVERITY_ERROR, "bpffs",
		      json_sprintf("%s detach --all --forget", examination->tpsctl), "%s",
		      lasting.text);
	err = tps_devices_read(gate, &devices, &count);
	if (err)
		return err;
	examine_secret(examination, gate);
	for (size_t i = 0; i < count; i++)
		examine_gate_device(examination, &devices[i]);
	return examine_gate(examination, gate, devices, count);
}

static enum outcome report(const struct session *session, const struct examination *examination)
{
	bool is_ill = false;
	json_t *finding;
	size_t at;

	json_array_foreach(examination->findings, at, finding)
	{
		const char *severity = json_string_value(json_object_get(finding, "severity"));

		is_ill |= strcmp(severity, severity_texts[SEVERITY_NOTE]) != 0;
		if (!session->json)
			printf("%s: %s -> %s\n", severity,
			       json_string_value(json_object_get(finding, "found")),
			       json_string_value(json_object_get(finding, "mend")));
	}
	print_json(session,
		   json_pack("{s:b, s:O}", "healthy", !is_ill, "findings", examination->findings));
	return is_ill ? FAILED : DONE;
}

enum outcome doctor(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("netns", required_argument, 'n'),
						OPTIONS_SHARED};
	_cleanup_json_ json_t *findings = json_array();
	struct examination examination = {.findings = findings};
	const char *netns = NULL;
	struct tps_device_key key;
	struct tps_why why = {};
	char **names;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option != 'n')
			return USAGE;
		netns = optarg;
	}
	if (!words_left(session, argc, argv, -1, &names))
		return USAGE;
	if (netns && !*names)
		return misused(session, "--netns is of devices that are named");
	for (char **name = names; *name; name++) {
		err = tps_device_key(netns, *name, &key, &why);
		if (!err)
			err = tps_device_check(&key, &why);
		if (err)
			return rejected(session, err, &why);
	}
	snprintf(examination.tpsctl, sizeof(examination.tpsctl), "tpsctl%s%s",
		 session->root ? " --root " : "", session->root ? session->root : "");
	examine_host(&examination);
	err = examine_all(session, &examination, !*names, &why);
	if (err)
		return failed(session, err, &why);
	for (; *names; names++) {
		tps_device_key(netns, *names, &key, NULL);
		examine_device(&examination, &key);
	}
	return report(session, &examination);
}
