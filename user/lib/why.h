/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sentence that goes with an error: what was wanted, what was found, and the way out. The
 * library writes it where the cause is known; who gives up prints it, once.
 */
#ifndef TPS_WHY_H
#define TPS_WHY_H

struct tps_why {
	char text[640];
};

/* Write the sentence (@why may be NULL) and return @error, so that `return tps_why_say(…)` works.
 * The first sentence wins: an outer layer, which knows less, does not replace it. It is one line:
 * control characters of what was found are written as \x0a. */
int tps_why_say(struct tps_why *why, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
