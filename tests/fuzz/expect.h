/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a fuzz target says when something does not hold: libFuzzer keeps the input of an abort.
 */
#ifndef TPS_TEST_FUZZ_EXPECT_H
#define TPS_TEST_FUZZ_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

static inline void expect(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "it does not hold: %s\n", what);
	abort();
}

#endif
