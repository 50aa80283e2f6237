/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of doctor share: a finding, and where findings go.
 */
#ifndef TPSCTL_DOCTOR_H
#define TPSCTL_DOCTOR_H

#include "device.h"
#include "verb.h"

/* A note is worth knowing and nothing is wrong; a warning is wrong, and the gate does its work; an
 * error is why it does not. */
#define SEVERITIES(X) X(NOTE, "note") X(WARNING, "warning") X(ERROR, "error")
#define SEVERITY_ENUM(id, text) SEVERITY_##id,
enum severity { SEVERITIES(SEVERITY_ENUM) SEVERITY_MAX };
#undef SEVERITY_ENUM

struct examination {
	json_t *findings;
	char tpsctl[256]; /* how a command that mends begins: `tpsctl`, and --root when it was given
			   */
	bool is_unprivileged; /* what cannot be seen for that is told once */
};

/* Add a finding: what is wrong as @format says, and @mend, the command (or the deed) that mends it,
 * which it takes. */
void found(struct examination *examination, enum severity severity, const char *check, json_t *mend,
	   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- each looks at one thing, and adds what is wrong there */

/* Kernel, its BPF, privileges, clock. */
void examine_host(struct examination *examination);
void examine_secret(struct examination *examination, const struct tps_gate *gate);

/* A device that the gate is on or wanted on. */
void examine_gate_device(struct examination *examination, const struct tps_device_entry *entry);
/* One that it may be put on. */
void examine_device(struct examination *examination, const struct tps_device_key *key);

/* Maps, switches, listeners, what came so far, tpsd. Lets go of the gate's lock. */
int examine_gate(struct examination *examination, struct tps_gate *gate,
		 const struct tps_device_entry *devices, size_t count);

#endif
