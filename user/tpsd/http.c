// SPDX-License-Identifier: GPL-2.0-only
/*
 * A few pages over HTTP by libmicrohttpd, on its epoll descriptor. GET and HEAD alone; what a page
 * says is the pages' business.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#define CONNECTIONS_MAX 64
#define IDLE_SECONDS 15
#define BACKLOG 64
#define ADDRESS_MAX 64

struct http {
	struct MHD_Daemon *daemon;
	const struct http_page *pages;
	void *context;
	int fd;
};

/* 1 .. 65535, digits alone, no leading zero. */
static int port_parse(const char *text, in_port_t *ret_port_be)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port;

	if (!digits || digits > 5 || text[digits] || *text == '0')
		return -EINVAL;
	port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return -EINVAL;
	*ret_port_be = htons(port);
	return 0;
}

int http_address_parse(const char *text, struct http_address *ret_address)
{
	struct http_address address = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address.socket;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.socket;
	const char *colon = strrchr(text, ':');
	bool brackets = *text == '[' && colon && colon > text && colon[-1] == ']';
	char host[ADDRESS_MAX];
	size_t length;

	if (!colon)
		return -EINVAL;
	length = colon - text - (brackets ? 2 : 0);
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text + (brackets ? 1 : 0), length);
	host[length] = 0;
	if (brackets) {
		v6->sin6_family = AF_INET6;
		address.socket_bytes = sizeof(*v6);
		if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1 ||
		    port_parse(colon + 1, &v6->sin6_port))
			return -EINVAL;
	} else {
		v4->sin_family = AF_INET;
		address.socket_bytes = sizeof(*v4);
		if (inet_pton(AF_INET, host, &v4->sin_addr) != 1 ||
		    port_parse(colon + 1, &v4->sin_port))
			return -EINVAL;
	}
	*ret_address = address;
	return 0;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned int status,
				   const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_page(struct MHD_Connection *connection, const struct http *http,
				   const struct http_page *page)
{
	struct MHD_Response *response = NULL;
	enum MHD_Result result = MHD_NO;
	unsigned int status;
	size_t bytes = 0;
	char *body = NULL;
	FILE *out = open_memstream(&body, &bytes);
	bool whole;

	if (!out)
		return MHD_NO;
	status = page->write(http->context, out);
	whole = !ferror(out);
	if (fclose(out) || !whole) {
		free(body);
		return MHD_NO;
	}
	response = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_bytes, void **request)
{
	const struct http *http = context;
	const struct http_page *page = http->pages;

	while (page->path && strcmp(page->path, path))
		page++;
	if (!page->path)
		return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed\n");
	return answer_page(connection, http, page);
}

static int listener_open(const struct http_address *address, int *ret_fd)
{
	int fd, err, on = 1;

	fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&address->socket, address->socket_bytes) ||
	    listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int http_open(const struct http_address *address, const struct http_page *pages, void *context,
	      struct http **ret_http)
{
	const union MHD_DaemonInfo *info;
	struct http *http;
	int listener = -1, err;

	err = listener_open(address, &listener);
	if (err)
		return err;
	http = calloc(1, sizeof(*http));
	if (!http) {
		close(listener);
		return -ENOMEM;
	}
	http->pages = pages;
	http->context = context;
	/* From here on the listening socket is the daemon's to close. */
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, answer, http, MHD_OPTION_LISTEN_SOCKET, listener,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS, MHD_OPTION_END);
	if (!http->daemon) {
		close(listener);
		free(http);
		return -EIO;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info) {
		http_close(http);
		return -EIO;
	}
	http->fd = info->epoll_fd;
	*ret_http = http;
	return 0;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	MHD_stop_daemon(http->daemon);
	free(http);
}

int http_fd(const struct http *http)
{
	return http->fd;
}

int http_timeout_ms(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	if (MHD_get_timeout(http->daemon, &timeout_ms) != MHD_YES)
		return -1;
	return timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
}

void http_run(struct http *http)
{
	MHD_run(http->daemon);
}
