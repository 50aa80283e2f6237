// SPDX-License-Identifier: GPL-2.0-only
/*
 * Growing by doubling.
 */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tps_array_grow(void *array, size_t *room, size_t count, size_t size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*(void **)array, wanted, size);
	if (!grown)
		return -ENOMEM;
	*(void **)array = grown;
	*room = wanted;
	return 0;
}

static bool out_make_room(struct tps_out *out, size_t more)
{
	while (!out->failed && out->len + more + 1 > out->room)
		out->failed = tps_array_grow(&out->text, &out->room, out->room, 1) != 0;
	return !out->failed;
}

void tps_out_put(struct tps_out *out, const char *text, size_t len)
{
	if (!out_make_room(out, len))
		return;
	memcpy(out->text + out->len, text, len);
	out->len += len;
	out->text[out->len] = '\0';
}

void tps_out_text(struct tps_out *out, const char *text)
{
	tps_out_put(out, text, strlen(text));
}

void tps_out_add(struct tps_out *out, const char *format, ...)
{
	va_list arguments;
	size_t len = 128;

	/* once is enough, but for a text that is longer */
	for (int tries = 0; tries < 2 && out_make_room(out, len); tries++) {
		va_start(arguments, format);
		len = vsnprintf(out->text + out->len, out->room - out->len, format, arguments);
		va_end(arguments);
		if (len < out->room - out->len) {
			out->len += len;
			return;
		}
		out->text[out->len] = '\0';
	}
}

void tps_out_quote(struct tps_out *out, const char *text)
{
	static const char special[] = "\"\\\x7f"
				      "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"
				      "\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37";

	tps_out_put(out, "\"", 1);
	for (;;) {
		size_t len = strcspn(text, special);

		tps_out_put(out, text, len);
		text += len;
		if (!*text)
			break;
		if (*text == '"' || *text == '\\')
			tps_out_add(out, "\\%c", *text);
		else
			tps_out_add(out, "\\u%04x", (unsigned char)*text);
		text++;
	}
	tps_out_put(out, "\"", 1);
}

void tps_out_cut(struct tps_out *out, size_t len)
{
	if (out->failed || len >= out->len)
		return;
	out->len = len;
	out->text[len] = '\0';
}

void tps_out_end(struct tps_out *out)
{
	free(out->text);
}
