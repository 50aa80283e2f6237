// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the sentence that goes with an error. Prints nothing.
 */
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

int tps_why_say(struct tps_why *why, int error, const char *format, ...)
{
	va_list arguments;

	if (!why || why->text[0])
		return error;
	va_start(arguments, format);
	vsnprintf(why->text, sizeof(why->text), format, arguments);
	va_end(arguments);
	return error;
}
