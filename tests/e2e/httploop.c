// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks for a page over HTTP/1.1 in an open loop: each source at its own rate over connections that
 * live on, whatever becomes of its requests. Knows nothing of limits.
 *
 * usage: httploop PORT SECONDS SERVER PATH <FLOWS
 * A line of FLOWS: SOURCE RATE CONNECTIONS. Prints for each, as JSON, how many requests were sent
 * and what became of them; latencies begin when a request was due, so that one that had to wait for
 * a connection counts with its wait, and what was never answered with the time it has waited.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX 16
#define CONNECTIONS_MAX 4096 /* of a flow */
#define BYTES_MAX 8192       /* of an answer's head */
#define NS_PER_S 1000000000ULL
#define LATE_NS (2 * NS_PER_S) /* how long answers are waited for at the end */

enum state { OPENING, IDLE, BUSY };

struct connection {
	struct flow *flow;
	int fd;
	enum state state;
	bool is_queued;  /* among its flow's idle ones; it may have been closed there */
	uint64_t due_ns; /* of the request that is under way */
	size_t have;     /* bytes of the head */
	size_t body;     /* bytes of the body that are still to come */
	bool in_body;
	int status;
	char head[BYTES_MAX];
};

struct flow {
	char source[INET_ADDRSTRLEN];
	double per_sec;
	unsigned connection_count;
	struct connection *connections;
	unsigned idle[CONNECTIONS_MAX], idle_first, idle_count; /* first in, first out */
	uint64_t sent, ok, refused, other, broken, opened;
	double *latency_us;
	size_t samples, room;
};

static struct flow flows[FLOWS_MAX];
static unsigned flow_count;
static struct sockaddr_in server = {.sin_family = AF_INET};
static char request[1024];
static size_t request_bytes;
static int poll_fd;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "httploop: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

static void watch(struct connection *c, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	if (epoll_ctl(poll_fd, operation, c->fd, &event))
		fail("epoll", c->flow->source);
}

static void connection_open(struct connection *c)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int one = 1;

	inet_pton(AF_INET, c->flow->source, &from.sin_addr);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		fail("no socket for", c->flow->source);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) && errno != EINPROGRESS))
		fail("cannot connect from", c->flow->source);
	c->state = OPENING;
	c->have = 0;
	c->in_body = false;
	c->flow->opened++;
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connection_again(struct connection *c)
{
	if (c->state == BUSY)
		c->flow->broken++;
	close(c->fd);
	connection_open(c);
}

static void connection_idle(struct connection *c)
{
	struct flow *flow = c->flow;

	c->state = IDLE;
	if (c->is_queued)
		return;
	c->is_queued = true;
	flow->idle[(flow->idle_first + flow->idle_count++) % flow->connection_count] =
		c - flow->connections;
}

static void sample(struct flow *flow, uint64_t latency_ns)
{
	if (flow->samples == flow->room) {
		flow->room = flow->room ? 2 * flow->room : 4096;
		flow->latency_us =
			realloc(flow->latency_us, flow->room * sizeof(*flow->latency_us));
		if (!flow->latency_us)
			fail("no memory for", flow->source);
	}
	flow->latency_us[flow->samples++] = latency_ns / 1e3;
}

static void answered(struct connection *c)
{
	struct flow *flow = c->flow;

	sample(flow, now_ns() - c->due_ns);
	if (c->status == 200)
		flow->ok++;
	else if (c->status == 429)
		flow->refused++;
	else
		flow->other++;
	c->have = 0;
	c->in_body = false;
	connection_idle(c);
}

/* The head of an answer is there, @end behind it; what follows it is the body's. */
static bool head_read(struct connection *c, const char *end)
{
	const char *length = strcasestr(c->head, "\r\ncontent-length:");
	size_t behind = c->have - (end - c->head), bytes;

	if (sscanf(c->head, "HTTP/1.%*1d %d", &c->status) != 1 || !length || length > end)
		return false;
	bytes = strtoul(length + 17, NULL, 10);
	if (behind > bytes)
		return false;
	c->body = bytes - behind;
	c->in_body = true;
	return true;
}

/* False: the connection is of no more use. */
static bool connection_read(struct connection *c)
{
	char sink[BYTES_MAX];
	bool skips = c->in_body;
	size_t room = skips ? sizeof(sink) : sizeof(c->head) - 1 - c->have;
	ssize_t got = recv(c->fd, skips ? sink : c->head + c->have, room, 0);
	char *end;

	if (got < 0 && errno == EAGAIN)
		return true;
	if (got <= 0 || c->state != BUSY || (skips && (size_t)got > c->body))
		return false;
	if (skips) {
		c->body -= got;
	} else {
		c->have += got;
		c->head[c->have] = 0;
		end = strstr(c->head, "\r\n\r\n");
		if (!end)
			return c->have < sizeof(c->head) - 1;
		if (!head_read(c, end + 4))
			return false;
	}
	if (!c->body)
		answered(c);
	return true;
}

static void connection_event(struct connection *c, uint32_t events)
{
	if (c->state != OPENING) {
		if (!connection_read(c))
			connection_again(c);
		return;
	}
	if (events & (EPOLLERR | EPOLLHUP)) {
		connection_again(c);
		return;
	}
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	connection_idle(c);
}

/* Sends what is due of a flow, as far as connections are free. Returns when the next is due. */
static uint64_t flow_send(struct flow *flow, uint64_t start_ns, uint64_t now)
{
	for (;;) {
		uint64_t due_ns = start_ns + flow->sent * 1e9 / flow->per_sec;
		struct connection *c;
		unsigned first;

		if (due_ns > now)
			return due_ns;
		if (!flow->idle_count)
			return UINT64_MAX; /* the next event frees one */
		first = flow->idle_first;
		c = &flow->connections[flow->idle[first]];
		flow->idle_first = (first + 1) % flow->connection_count;
		flow->idle_count--;
		c->is_queued = false;
		if (c->state != IDLE)
			continue;
		if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) {
			connection_again(c);
			continue;
		}
		c->state = BUSY;
		c->due_ns = due_ns;
		flow->sent++;
	}
}

static void poll_events(uint64_t until_ns)
{
	static struct epoll_event events[256];
	uint64_t now = now_ns(), wait_ns = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
	int count = epoll_pwait2(poll_fd, events, 256, &timeout, NULL);

	for (int i = 0; i < count; i++)
		connection_event(events[i].data.ptr, events[i].events);
}

static void flows_open(void)
{
	struct flow *flow = flows;

	while (flow_count < FLOWS_MAX &&
	       scanf("%15s %lf %u", flow->source, &flow->per_sec, &flow->connection_count) == 3) {
		if (!flow->connection_count || flow->connection_count > CONNECTIONS_MAX)
			fail("how many connections of", flow->source);
		flow->connections = calloc(flow->connection_count, sizeof(*flow->connections));
		if (!flow->connections)
			fail("no memory for", flow->source);
		for (unsigned i = 0; i < flow->connection_count; i++) {
			flow->connections[i].flow = flow;
			connection_open(&flow->connections[i]);
		}
		flow++;
		flow_count++;
	}
}

static unsigned flows_without_answer(void)
{
	unsigned busy = 0;

	for (unsigned i = 0; i < flow_count; i++)
		for (unsigned j = 0; j < flows[i].connection_count; j++)
			busy += flows[i].connections[j].state == BUSY;
	return busy;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double percentile(const struct flow *flow, double part)
{
	return flow->samples ? flow->latency_us[(size_t)((flow->samples - 1) * part)] : 0;
}

static void flow_tell(struct flow *flow, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t due = (end_ns - start_ns) * flow->per_sec / 1e9, now = now_ns();
	uint64_t unanswered = 0, unsent = due > flow->sent ? due - flow->sent : 0;

	for (unsigned i = 0; i < flow->connection_count; i++) {
		struct connection *c = &flow->connections[i];

		if (c->state == BUSY) {
			unanswered++;
			sample(flow, now - c->due_ns);
		}
	}
	for (uint64_t i = 0; i < unsent; i++)
		sample(flow, now - start_ns - (flow->sent + i) * 1e9 / flow->per_sec);
	qsort(flow->latency_us, flow->samples, sizeof(*flow->latency_us), compare);
	printf("{\"source\":\"%s\",\"due\":%llu,\"sent\":%llu,\"ok\":%llu,\"refused\":%llu,"
	       "\"other\":%llu,\"broken\":%llu,\"unanswered\":%llu,\"opened\":%llu,"
	       "\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}\n",
	       flow->source, (unsigned long long)due, (unsigned long long)flow->sent,
	       (unsigned long long)flow->ok, (unsigned long long)flow->refused,
	       (unsigned long long)flow->other, (unsigned long long)flow->broken,
	       (unsigned long long)unanswered, (unsigned long long)flow->opened,
	       percentile(flow, 0.5), percentile(flow, 0.99), percentile(flow, 1));
}

int main(int argc, char **argv)
{
	struct rlimit files = {FLOWS_MAX * CONNECTIONS_MAX, FLOWS_MAX * CONNECTIONS_MAX};
	uint64_t start_ns, end_ns, next_ns, now;

	if (argc != 5 || inet_pton(AF_INET, argv[3], &server.sin_addr) != 1) {
		fprintf(stderr, "usage: httploop PORT SECONDS SERVER PATH <FLOWS\n");
		return 2;
	}
	server.sin_port = htons(atoi(argv[1]));
	request_bytes = snprintf(request, sizeof(request),
				 "GET %s HTTP/1.1\r\nHost: api.example.com\r\n"
				 "User-Agent: httploop\r\nAccept: */*\r\n\r\n",
				 argv[4]);
	setrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_SET_TIMERSLACK, 1UL);
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	flows_open();
	start_ns = now_ns();
	end_ns = start_ns + atof(argv[2]) * 1e9;
	while ((now = now_ns()) < end_ns) {
		next_ns = end_ns;
		for (unsigned i = 0; i < flow_count; i++) {
			uint64_t due_ns = flow_send(&flows[i], start_ns, now);

			next_ns = due_ns < next_ns ? due_ns : next_ns;
		}
		poll_events(next_ns);
	}
	while (flows_without_answer() && now_ns() < end_ns + LATE_NS)
		poll_events(end_ns + LATE_NS);
	for (unsigned i = 0; i < flow_count; i++)
		flow_tell(&flows[i], start_ns, end_ns);
	return 0;
}
