// SPDX-License-Identifier: GPL-2.0-only
/*
 * trickle ADDRESS PORT FLOWS BYTES NAME: opens FLOWS connections and sends a ClientHello on each of
 * them, a byte a segment, one byte of all of them after the other; only BYTES of it when that is
 * not 0. Then waits for what comes back, and prints how many connections a server answered, how
 * many were refused by an alert, and how many heard nothing.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/hello.h"

#define WAIT_MS 10000
#define PORTS_PER_SOURCE 20000

static struct hello hello;

/* A source address has ports for so many connections: 203.0.113.N is the next. */
static int flow_open(const struct sockaddr_in *server, int number)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	source.sin_addr.s_addr = htonl(0xcb007101 + number / PORTS_PER_SOURCE); /* 203.0.113.1 */
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&source, sizeof(source)) ||
	    connect(fd, (const struct sockaddr *)server, sizeof(*server)))
		err(1, "flow %d", number);
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	struct rlimit files;
	int flows, answered = 0, denied = 0, silent = 0;
	struct pollfd *polls;
	size_t bytes;

	if (argc != 6 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
		errx(2, "usage: trickle ADDRESS PORT FLOWS BYTES NAME");
	server.sin_port = htons(atoi(argv[2]));
	flows = atoi(argv[3]);
	hello_usual(&hello, argv[5], 517, 0);
	bytes = atoi(argv[4]) ? (size_t)atoi(argv[4]) : hello.len;
	polls = calloc(flows, sizeof(*polls));
	if (!polls || getrlimit(RLIMIT_NOFILE, &files))
		err(1, "%d flows", flows);
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "open files");
	for (int i = 0; i < flows; i++)
		polls[i] = (struct pollfd){flow_open(&server, i), POLLIN, 0};
	for (size_t at = 0; at < bytes; at++)
		for (int i = 0; i < flows; i++)
			if (send(polls[i].fd, hello.bytes + at, 1, MSG_NOSIGNAL) != 1)
				warn("flow %d, byte %zu", i, at);
	for (int i = 0; i < flows; i++) {
		unsigned char alert[7] = {0};

		if (poll(&polls[i], 1, bytes == hello.len ? WAIT_MS : 0) != 1 ||
		    recv(polls[i].fd, alert, sizeof(alert), MSG_DONTWAIT) < 1)
			silent++;
		else if (alert[0] == 21 && alert[6] == 49) /* access_denied (RFC 8446 6.2) */
			denied++;
		else
			answered++;
	}
	printf("answered %d denied %d silent %d\n", answered, denied, silent);
	return 0;
}
