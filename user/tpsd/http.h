/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A few pages over HTTP, on one address, without a thread: the caller's loop polls one descriptor.
 * Knows nothing of what the pages say.
 */
#ifndef TPSD_HTTP_H
#define TPSD_HTTP_H

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

struct http_address {
	struct sockaddr_storage socket;
	socklen_t socket_bytes;
};

struct http_page {
	const char *path;
	const char *type; /* Content-Type */
	/* Write the page to @out; returns the HTTP status. */
	unsigned int (*write)(void *context, FILE *out);
};

struct http;

/* `ADDR:PORT` or `[ADDR6]:PORT`, numbers only. -EINVAL when @text is anything else. */
int http_address_parse(const char *text, struct http_address *ret_address);

/* Serve @pages (ended by a NULL path; not copied) at @address, each written with @context. */
int http_open(const struct http_address *address, const struct http_page *pages, void *context,
	      struct http **ret_http);
void http_close(struct http *http);

/* What to poll for reading, for how long at most (ms, -1: for ever), and what to call then. */
int http_fd(const struct http *http);
int http_timeout_ms(const struct http *http);
void http_run(struct http *http);

#endif
