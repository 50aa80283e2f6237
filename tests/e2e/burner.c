// SPDX-License-Identifier: GPL-2.0-only
/*
 * An HTTP/1.1 server on 127.0.0.1 where each request costs the same CPU time: an expensive
 * endpoint. One request after the other. Knows nothing of limits.
 *
 * usage: burner PORT MICROSECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 65536

/* How much of the blank line that ends a head a connection has sent. */
static uint8_t matched[CONNECTIONS_MAX];

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void burn(uint64_t ns)
{
	uint64_t end = cpu_ns() + ns;

	while (cpu_ns() < end)
		;
}

/* Heads that end in @bytes; there are no bodies. */
static unsigned heads(uint8_t *state, const char *bytes, size_t count)
{
	static const char end[] = "\r\n\r\n";
	unsigned found = 0;

	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == end[*state])
			++*state;
		else
			*state = bytes[i] == '\r';
		if (*state == 4) {
			*state = 0;
			found++;
		}
	}
	return found;
}

static void serve(int fd, uint64_t ns)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";
	char bytes[16384];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

	if (got < 0 && errno == EAGAIN) /* an event of the fd's connection before */
		return;
	if (got <= 0) {
		close(fd);
		return;
	}
	for (unsigned left = heads(&matched[fd], bytes, got); left; left--) {
		burn(ns);
		if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0) {
			close(fd);
			return;
		}
	}
}

static void take(int poll_fd, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return;
	if (fd >= CONNECTIONS_MAX || epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event)) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	matched[fd] = 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct rlimit files = {CONNECTIONS_MAX, CONNECTIONS_MAX};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int poll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64] = {{.events = EPOLLIN, .data.fd = listener}};

	if (argc != 3) {
		fprintf(stderr, "usage: burner PORT MICROSECONDS\n");
		return 2;
	}
	at.sin_port = htons(atoi(argv[1]));
	setrlimit(RLIMIT_NOFILE, &files);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4096) ||
	    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, events)) {
		fprintf(stderr, "burner: port %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (;;) {
		int count = epoll_wait(poll_fd, events, 64, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				take(poll_fd, listener);
			else
				serve(events[i].data.fd, atoi(argv[2]) * 1000ULL);
		}
	}
}
