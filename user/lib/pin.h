/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pins below the root: made, opened and removed. Knows their names, not what they are for.
 */
#ifndef TPS_PIN_H
#define TPS_PIN_H

#include <stdbool.h>

/* The fd, or -errno. */
int tps_pin_open(const char *root, const char *name, bool only_read);
int tps_pin_make(const char *root, const char *name, int fd);
/* The directory that links are pinned in. */
int tps_pin_links_make(const char *root);

/* Remove maps, programs and the directory of links; meta first, so that what is half removed counts
 * as half made. */
void tps_pins_remove(const char *root);

/* Is a gate pinned in full? Its meta is written last. */
bool tps_pins_are_made(const char *root);

#endif
