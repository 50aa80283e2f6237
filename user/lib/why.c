// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the sentence that goes with an error. Prints nothing.
 */
#include "why.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

int tps_why_say(struct tps_why *why, int error, const char *format, ...)
{
	char text[sizeof(why->text)], *to;
	va_list arguments;

	if (!why || why->text[0])
		return error;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	to = why->text;
	for (const char *c = text; *c && to + 5 <= why->text + sizeof(why->text); c++)
		to += sprintf(to, iscntrl((unsigned char)*c) ? "\\x%02x" : "%c", (unsigned char)*c);
	*to = '\0';
	return error;
}
