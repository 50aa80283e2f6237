// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the running kernel's verifier spent on each program of the gate. Knows the object, not what
 * it does. TPS_INSNS_MAX sets another budget.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tps.skel.h"

/* Linux gives up at a million; a third of that leaves room for kernels that see more paths. Counted
 * on 6.1, the floor. */
#define INSNS_MAX 300000
#define COMPLAINT_BYTES 4000

static unsigned long insns_max(void)
{
	const char *text = getenv("TPS_INSNS_MAX");

	return text ? strtoul(text, NULL, 10) : INSNS_MAX;
}

/* libbpf's complaints; of a verifier's log, which can be megabytes, its end. */
static int complain(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *text = NULL;
	int len;

	if (level > LIBBPF_WARN)
		return 0;
	len = vasprintf(&text, format, arguments);
	if (len >= 0)
		fprintf(stderr, "%s", len > COMPLAINT_BYTES ? text + len - COMPLAINT_BYTES : text);
	free(text);
	return 0;
}

static void every_program_verifies_within_the_budget(void **state)
{
	struct tps_bpf *gate = tps_bpf__open_and_load();
	struct bpf_program *program;
	struct utsname host;
	unsigned programs = 0;

	assert_non_null(gate);
	assert_int_equal(uname(&host), 0);
	bpf_object__for_each_program(program, gate->obj)
	{
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &len), 0);
		printf("# %s: %u insns on %s\n", bpf_program__name(program), info.verified_insns,
		       host.release);
		assert_true(info.verified_insns > 0);
		assert_true(info.verified_insns <= insns_max());
		programs++;
	}
	assert_true(programs >= 2);
	tps_bpf__destroy(gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_program_verifies_within_the_budget),
	};

	libbpf_set_print(complain);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
