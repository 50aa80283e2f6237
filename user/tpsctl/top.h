/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What top shows, on a terminal or off it: the sample at hand and how a line of it looks. The
 * screen is top_screen.c's.
 */
#ifndef TPSCTL_TOP_H
#define TPSCTL_TOP_H

#include "gate.h"
#include "rates.h"
#include "why.h"

#define TOP_LINE 256

enum top_view { TOP_BOTH, TOP_CALLERS, TOP_STRANGERS, TOP_VIEW_MAX };

struct top {
	struct tps_gate *gate;
	struct rates rates;
	struct rates_row *rows; /* sorted */
	size_t count;
	size_t callers, strangers;             /* how many of each */
	double asked_per_sec, refused_per_sec; /* of all together, forgotten strangers too */
	double elapsed_s;                      /* that the rates are over; 0: none yet */
	__u64 at_ns;
	enum rates_order order;
	enum top_view view;
	double interval_s;
	__u64 rounds; /* to go; 0: no end */
};

/* Look once more. */
int top_sample(struct top *top, struct tps_why *why);
/* In another order. */
void top_sort(struct top *top, enum rates_order order);
bool top_is_shown(const struct top *top, const struct rates_row *row);

const char *top_order_text(enum rates_order order);
/* The gate's state in a word. */
const char *top_state(const struct top *top);
/* Lines of at most @width columns. */
void top_summary(const struct top *top, char ret_text[TOP_LINE]);
void top_heading(int width, char ret_text[TOP_LINE]);
void top_line(const struct rates_row *row, int width, char ret_text[TOP_LINE]);

/* On the terminal, until the end. -ENOTTY: it can be no such screen, and nothing was done. */
int top_screen(struct top *top, struct tps_why *why);

#endif
