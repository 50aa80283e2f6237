// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gate needs of the host: its kernel, its clock, privileges, the secret's file.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "doctor.h"
#include "object.h"
#include "secret.h"

#define BTF_FILE "/sys/kernel/btf/vmlinux"
#define JIT_FILE "/proc/sys/net/core/bpf_jit_enable"
#define CLOCK_FILE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* The first word of a file. */
static bool word_read(const char *path, char ret_word[64])
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	return file && fscanf(file, "%63s", ret_word) == 1;
}

static void examine_privileges(struct examination *examination)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	static const struct {
		int capability;
		const char *name;
	} needed[] = {{CAP_BPF, "CAP_BPF"},
		      {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		      {CAP_PERFMON, "CAP_PERFMON"}};
	struct __user_cap_data_struct data[2] = {};
	char missing[64] = "";

	if (syscall(SYS_capget, &header, data))
		return;
	for (unsigned int i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		__u32 bit = 1U << needed[i].capability % 32;

		if (!(data[needed[i].capability / 32].effective & bit))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 "%s%s", *missing ? ", " : "", needed[i].name);
	}
	if (!*missing)
		return;
	examination->is_unprivileged = true;
	found(examination, SEVERITY_ERROR, "privileges",
	      json_sprintf("sudo %s doctor", examination->tpsctl),
	      "tpsctl lacks %s: it can neither load the gate nor see it", missing);
}

/* What the object uses of the kernel, as libbpf can ask for it. */
static void examine_features(struct examination *examination)
{
	struct utsname kernel = {};
	char missing[128] = "";

	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 0)
		strcat(missing, "XDP programs, ");
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) == 0)
		strcat(missing, "tc programs, ");
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, NULL) == 0)
		strcat(missing, "LPM tries, ");
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_skc_lookup_tcp, NULL) == 0)
		strcat(missing, "socket lookups from XDP, ");
	if (!*missing)
		return;
	missing[strlen(missing) - 2] = '\0';
	uname(&kernel);
	found(examination, SEVERITY_ERROR, "features",
	      json_string("boot a kernel of a distribution: they have CONFIG_BPF_SYSCALL, "
			  "CONFIG_NET_CLS_BPF and CONFIG_INET"),
	      "kernel '%s' was built without: %s", kernel.release, missing);
}

static void examine_kernel(struct examination *examination)
{
	struct utsname kernel = {};
	struct tps_why why = {};
	char word[64];

	uname(&kernel);
	if (tps_kernel_check(&why))
		found(examination, SEVERITY_ERROR, "kernel", json_string("boot a newer kernel"),
		      "%s", why.text);
	if (access(BTF_FILE, R_OK))
		found(examination, SEVERITY_ERROR, "btf",
		      json_string("boot a kernel that was built with CONFIG_DEBUG_INFO_BTF"),
		      "kernel '%s' does not tell its types (%s): the gate cannot be loaded",
		      kernel.release, BTF_FILE);
	/* the file is the first network namespace's alone; without it there is nothing to tell */
	if (word_read(JIT_FILE, word) && !strcmp(word, "0"))
		found(examination, SEVERITY_WARNING, "jit",
		      json_string("sysctl -w net.core.bpf_jit_enable=1"),
		      "BPF programs are interpreted: the gate costs many times as much");
	if (!examination->is_unprivileged)
		examine_features(examination);
}

/* The gate reads the clock for whom jiffies are too coarse. */
static void examine_clock(struct examination *examination)
{
	static const char *const slow[] = {"hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies"};
	char word[64];

	if (!word_read(CLOCK_FILE, word))
		return;
	for (unsigned int i = 0; i < sizeof(slow) / sizeof(*slow); i++) {
		if (!strcmp(word, slow[i]))
			found(examination, SEVERITY_WARNING, "clock",
			      json_string("echo tsc >" CLOCK_FILE
					  "; where that is refused, dmesg says why (clocksource)"),
			      "the clock source is '%s', which takes about a microsecond to read",
			      word);
	}
}

void examine_secret(struct examination *examination, const struct tps_gate *gate)
{
	const char *file = tps_secret_choose(NULL);
	struct tps_why why = {};
	__u64 secret[2];
	int err;

	if (examination->is_unprivileged)
		return;
	err = tps_secret_read(file, secret, &why);
	if (err == -ENOENT) {
		if (gate)
			found(examination, SEVERITY_WARNING, "secret",
			      json_sprintf("copy it from where the policy's keys were hashed to %s",
					   file),
			      "secret '%s': it is not there, and keys cannot be hashed for the "
			      "gate, which was made with it",
			      file);
	} else if (err == -EPERM) {
		found(examination, SEVERITY_ERROR, "secret",
		      json_sprintf("chown root: %s && chmod 600 %s", file, file), "%s", why.text);
	} else if (err) {
		found(examination, SEVERITY_ERROR, "secret",
		      json_sprintf("copy it again to %s", file), "%s", why.text);
	} else if (gate && memcmp(secret, gate->control->secret, sizeof(secret))) {
		found(examination, SEVERITY_ERROR, "secret",
		      json_sprintf(
			      "copy the one with fingerprint %08x to %s, or make the gate anew",
			      tps_secret_fingerprint(gate->control->secret), file),
		      "secret '%s' is not the one that the gate was made with: keys that are "
		      "hashed with it are nobody's there",
		      file);
	}
}

void examine_host(struct examination *examination)
{
	examine_privileges(examination);
	examine_kernel(examination);
	examine_clock(examination);
}
