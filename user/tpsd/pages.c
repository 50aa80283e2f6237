// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages that tpsd serves. Each looks at what is held first, so that it never tells of a gate
 * that has gone as if it were there.
 */
#include "pages.h"

#include <string.h>

#include "exposition.h"

enum { STATUS_OK = 200, STATUS_FAILED = 500, STATUS_UNAVAILABLE = 503 };

static unsigned int metrics_page(void *context, FILE *out)
{
	const struct pages *pages = context;
	const struct metrics *metrics;
	int err;

	hold_look(pages->hold);
	err = metrics_read(pages->reader, &metrics);
	if (err) {
		fprintf(out, "reading the maps below %s: %s\n", pages->hold->gate->root,
			strerror(-err));
		return STATUS_FAILED;
	}
	exposition_write(out, metrics);
	return STATUS_OK;
}

static bool any_attached(const struct hold *hold)
{
	for (size_t i = 0; i < hold->devices_count; i++)
		if (hold->devices[i].attached)
			return true;
	return false;
}

/* 200 while the gate is pinned and stands on a device that it is wanted on, else 503 and why. */
static unsigned int health_page(void *context, FILE *out)
{
	struct hold *hold = ((struct pages *)context)->hold;

	hold_look(hold);
	if (!hold->pinned) {
		fprintf(out, "lost: no gate is pinned below %s any more, tpsd alone holds it\n",
			hold->gate->root);
		return STATUS_UNAVAILABLE;
	}
	if (!hold->devices_count) {
		fputs("detached: the gate is wanted on no device\n", out);
		return STATUS_UNAVAILABLE;
	}
	if (!any_attached(hold)) {
		fputs("lost: the gate is on none of the devices that it is wanted on:", out);
		for (size_t i = 0; i < hold->devices_count; i++)
			fprintf(out, " %s", hold->devices[i].label);
		fputc('\n', out);
		return STATUS_UNAVAILABLE;
	}
	fputs("ok\n", out);
	return STATUS_OK;
}

const struct http_page pages_table[] = {
	{"/metrics", EXPOSITION_TYPE, metrics_page},
	{"/healthz", "text/plain; charset=utf-8", health_page},
	{NULL, NULL, NULL},
};
