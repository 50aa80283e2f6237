/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Resources that free themselves at the end of their scope, and how their ownership leaves it.
 * Knows only libc's and libbpf's own; a type of libtps brings its cleanup in its own header.
 */
#ifndef TPS_CLEANUP_H
#define TPS_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* A cleanup for a pointer type: f(p) is called when p is not NULL. */
#define TPS_DEFINE_CLEANUP(type, f) \
	static inline void f##_at_end(type *p) \
	{ \
		if (*p) \
			f(*p); \
	}

static inline void tps_free_at_end(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(tps_free_at_end)

static inline void tps_close_at_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define _cleanup_close_ _cleanup_(tps_close_at_end)

static inline void tps_fclose_at_end(FILE **file)
{
	if (*file)
		fclose(*file);
}
#define _cleanup_fclose_ _cleanup_(tps_fclose_at_end)

#define TAKE_PTR(p) \
	({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

#define TAKE_FD(fd) \
	({ \
		int taken_ = (fd); \
		(fd) = -1; \
		taken_; \
	})

#endif
