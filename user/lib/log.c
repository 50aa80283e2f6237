// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbpf's voice: silent, unless asked for. The only place of the library that may write to stderr,
 * and only when the operator asked.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#include <bpf/libbpf.h>

static int speak(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, arguments);
}

void tps_log_libbpf(bool verbose)
{
	libbpf_set_print(verbose ? speak : NULL);
}
