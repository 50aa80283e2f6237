// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receives datagrams and counts them by source, until it is told to end (SIGTERM). Knows nothing of
 * limits.
 *
 * usage: sink PORT
 * Says "ready" when it listens; at its end, for each source: SOURCE RECEIVED.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOURCES_MAX 8192 /* a power of two */
#define BATCH 64

struct source {
	struct in6_addr address;
	uint64_t received;
};

static struct source sources[SOURCES_MAX];
static volatile sig_atomic_t ended;

static void end(int signal)
{
	ended = 1;
}

/* The entry of an address: open addressing, since sources are few and never leave. */
static struct source *source_of(const struct in6_addr *address)
{
	uint32_t word, hash = 0;

	for (unsigned i = 0; i < sizeof(*address); i += sizeof(word)) {
		memcpy(&word, (const char *)address + i, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b1u;
		hash ^= hash >> 15;
	}
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		struct source *source = &sources[(hash + i) % SOURCES_MAX];

		if (!source->received)
			source->address = *address;
		if (!memcmp(&source->address, address, sizeof(*address)))
			return source;
	}
	fprintf(stderr, "sink: more than %d sources\n", SOURCES_MAX);
	exit(1);
}

static int sink_open(uint16_t port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	/* a signal between the look at `ended` and the wait is not waited on for ever */
	struct timeval patience = {.tv_usec = 100000};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = 256 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	/* What the gate admits must not be lost behind it. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any))) {
		fprintf(stderr, "sink: port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	return fd;
}

static void receive(int fd)
{
	static char bytes[BATCH][2048];
	static struct sockaddr_in6 from[BATCH];
	static struct iovec where[BATCH];
	static struct mmsghdr batch[BATCH];
	int count;

	for (unsigned i = 0; i < BATCH; i++) {
		where[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
		batch[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						   .msg_namelen = sizeof(from[i]),
						   .msg_iov = &where[i],
						   .msg_iovlen = 1};
	}
	count = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
	for (int i = 0; i < count; i++)
		source_of(&from[i].sin6_addr)->received++;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end};
	char text[INET6_ADDRSTRLEN];
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: sink PORT\n");
		return 2;
	}
	fd = sink_open(atoi(argv[1]));
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	puts("ready");
	fflush(stdout);
	while (!ended)
		receive(fd);
	/* What has arrived already counts. */
	for (int pending = 1; pending;) {
		char byte;

		pending = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
		if (pending)
			receive(fd);
	}
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (!sources[i].received)
			continue;
		if (IN6_IS_ADDR_V4MAPPED(&sources[i].address))
			inet_ntop(AF_INET, sources[i].address.s6_addr + 12, text, sizeof(text));
		else
			inet_ntop(AF_INET6, &sources[i].address, text, sizeof(text));
		printf("%s %llu\n", text, (unsigned long long)sources[i].received);
	}
	return 0;
}
