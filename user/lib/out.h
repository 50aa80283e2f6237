/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text that grows, and arrays that do. Knows nothing of what is in them.
 */
#ifndef TPS_OUT_H
#define TPS_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct tps_out {
	char *text; /* ends in a NUL once anything was added; the owner's to free */
	size_t len, room;
	bool failed; /* there was no memory: what was added since is not there */
};

void tps_out_add(struct tps_out *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void tps_out_text(struct tps_out *out, const char *text);
void tps_out_put(struct tps_out *out, const char *text, size_t len);
/* In double quotes, as both YAML and JSON read it. */
void tps_out_quote(struct tps_out *out, const char *text);
/* What was added behind the first @len bytes is gone again. */
void tps_out_cut(struct tps_out *out, size_t len);
void tps_out_end(struct tps_out *out);
#define _cleanup_out_ __attribute__((cleanup(tps_out_end)))

/* Room for one more behind @count elements of @size bytes at *@array (a pointer to the array's).
 * -ENOMEM leaves it as it is. */
int tps_array_grow(void *array, size_t *room, size_t count, size_t size);

#endif
