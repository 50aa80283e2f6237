/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages that tpsd serves: /metrics and /healthz.
 */
#ifndef TPSD_PAGES_H
#define TPSD_PAGES_H

#include "hold.h"
#include "http.h"
#include "metrics.h"

/* What the pages are written from. */
struct pages {
	struct hold *hold;
	struct metrics_reader *reader;
};

/* Ended by a NULL path; each page wants a struct pages. */
extern const struct http_page pages_table[];

#endif
