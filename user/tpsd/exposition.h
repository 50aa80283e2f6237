/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers to text: the Prometheus exposition format. Knows no map and no socket.
 */
#ifndef TPSD_EXPOSITION_H
#define TPSD_EXPOSITION_H

#include <stdio.h>

#include "metrics.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Write @metrics to @out in the text format 0.0.4. Errors of the stream are the caller's to look
 * at. */
void exposition_write(FILE *out, const struct metrics *metrics);

#endif
