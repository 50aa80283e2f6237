/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pins below the root: made, opened and removed. Knows their names, not what they are for.
 */
#ifndef TPS_PIN_H
#define TPS_PIN_H

#include <stdbool.h>

#include <tps/abi.h>

/* The fd, or -errno. */
int tps_pin_open(const char *root, const char *name, bool only_read);
int tps_pin_make(const char *root, const char *name, int fd);
/* In place of what is pinned there: at any time one of the two is. */
int tps_pin_replace(const char *root, const char *name, int fd);
/* The directory that links are pinned in. */
int tps_pin_links_make(const char *root);

/* Remove maps, programs and the directory of links; meta first, so that what is half removed counts
 * as half made. */
void tps_pins_remove(const char *root);

/* What the pinned meta says; of one of another size what it has in common with ours. -ENOENT: no
 * gate, or half of one, since meta is written last. */
int tps_pins_meta(const char *root, struct tps_meta *ret_meta);

#endif
