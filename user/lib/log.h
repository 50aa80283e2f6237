/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libbpf's voice: silent, unless asked for.
 */
#ifndef TPS_LOG_H
#define TPS_LOG_H

#include <stdbool.h>

/* To stderr when @verbose, else nowhere. */
void tps_log_libbpf(bool verbose);

#endif
