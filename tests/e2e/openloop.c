// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends datagrams in an open loop: each source at its own rate, whatever becomes of them. Knows
 * nothing of limits.
 *
 * usage: openloop PORT SECONDS SERVER4 SERVER6 <FLOWS
 * A line of FLOWS: SOURCE RATE. Prints for each: SOURCE SENT WINDOW, the seconds from before the
 * first of them to after the last. SIGTERM ends it earlier.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX 4096
#define BATCH 64
#define PAUSE_NS 500000

struct flow {
	char source[INET6_ADDRSTRLEN];
	double per_sec;
	int fd;
	uint64_t sent;
	uint64_t first_ns;
	uint64_t last_ns;
};

static struct flow flows[FLOWS_MAX];
static unsigned flow_count;
static struct mmsghdr batch[BATCH];
static volatile sig_atomic_t is_ended;

static void end(int signal)
{
	is_ended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "openloop: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

/* An address and a port as a socket address of its family. Returns its length, 0: not an address.
 */
static socklen_t address_parse(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	return 0;
}

static int flow_open(const char *source, uint16_t port, char *servers[2])
{
	struct sockaddr_storage from, to;
	socklen_t from_len = address_parse(source, 0, &from), to_len;
	int bytes = 4 << 20, fd;

	if (!from_len)
		fail("not an address:", source);
	to_len = address_parse(servers[from.ss_family == AF_INET6], port, &to);
	fd = socket(from.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, from_len) ||
	    connect(fd, (struct sockaddr *)&to, to_len))
		fail("cannot send from", source);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static void flows_read(uint16_t port, char *servers[2])
{
	struct flow *flow = flows;

	while (flow_count < FLOWS_MAX && scanf("%45s %lf", flow->source, &flow->per_sec) == 2) {
		flow->fd = flow_open(flow->source, port, servers);
		flow++;
		flow_count++;
	}
}

/* Sends what is due of a flow. An ICMP error that came back is told by the next send, and that one
 * is made again. */
static void flow_send(struct flow *flow, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t now = now_ns(), due;

	if (now > end_ns)
		now = end_ns;
	due = (now - start_ns) * flow->per_sec / 1e9;
	if (due <= flow->sent)
		return;
	if (!flow->first_ns)
		flow->first_ns = now_ns();
	while (flow->sent < due) {
		unsigned want = due - flow->sent > BATCH ? BATCH : due - flow->sent;
		int sent = sendmmsg(flow->fd, batch, want, 0);

		if (sent > 0)
			flow->sent += sent;
		else if (errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS)
			fail("cannot send from", flow->source);
	}
	flow->last_ns = now_ns();
}

int main(int argc, char **argv)
{
	static char text[] = "datagram";
	struct iovec bytes = {text, sizeof(text) - 1};
	struct rlimit files = {FLOWS_MAX + 64, FLOWS_MAX + 64};
	uint64_t start_ns, end_ns;

	if (argc != 5) {
		fprintf(stderr, "usage: openloop PORT SECONDS SERVER4 SERVER6 <FLOWS\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, end);
	for (unsigned i = 0; i < BATCH; i++)
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &bytes, .msg_iovlen = 1};
	flows_read(atoi(argv[1]), argv + 3);
	start_ns = now_ns();
	end_ns = start_ns + atof(argv[2]) * 1e9;
	for (;;) {
		int last = is_ended || now_ns() >= end_ns;

		for (unsigned i = 0; i < flow_count; i++)
			flow_send(&flows[i], start_ns, end_ns);
		if (last)
			break;
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
	for (unsigned i = 0; i < flow_count; i++)
		printf("%s %llu %.6f\n", flows[i].source, (unsigned long long)flows[i].sent,
		       (flows[i].last_ns - flows[i].first_ns) / 1e9);
	return 0;
}
