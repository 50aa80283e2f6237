// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads sequence numbers by TCP_REPAIR, which needs CAP_NET_ADMIN in the namespace.
 */
#include "lib/live.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

void live_enter_namespace(void)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip route add local 192.0.2.0/24 dev lo",
		"ip route add local 198.51.100.0/24 dev lo",
		"ip route add local 203.0.113.0/24 dev lo",
		"ip -6 route add local 2001:db8::/32 dev lo",
		"ip route add " LIVE_REMOTE " dev lo",
	};

	if (unshare(CLONE_NEWNET))
		err(1, "a network namespace (is this root?)");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (system(commands[i]))
			errx(1, "'%s' failed", commands[i]);
}

static socklen_t make_address(const char *text, __u16 port, union address *ret)
{
	__u8 bytes[16];

	memset(ret, 0, sizeof(*ret));
	if (packet_address(text, bytes) == 16) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		memcpy(&ret->v6.sin6_addr, bytes, 16);
		return sizeof(ret->v6);
	}
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons(port);
	memcpy(&ret->v4.sin_addr, bytes, 4);
	return sizeof(ret->v4);
}

/* -1: another socket has the port. */
static int bound_socket(const char *text, __u16 port)
{
	union address address;
	socklen_t len = make_address(text, port, &address);
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one));
	setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &one, sizeof(one));
	if (!bind(fd, &address.any, len))
		return fd;
	if (errno != EADDRINUSE)
		err(1, "bind to %s port %u", text, port);
	close(fd);
	return -1;
}

/* One after the other, so that a flow of an earlier connection is never met again: Linux might give
 * the same port, and sequence numbers only a little further on, to connections that are reset. */
static __u16 next_port(void)
{
	static __u16 last = 1023;

	last = last == 65535 ? 1024 : last + 1;
	return last;
}

int live_listen(const char *address, __u16 port)
{
	int fd = bound_socket(address, port);

	if (fd < 0 || listen(fd, 128))
		err(1, "listen on %s port %u", address, port);
	return fd;
}

/* TCP_SEND_QUEUE: the next byte to be written; TCP_RECV_QUEUE: the next one expected. */
static __u32 queue_seq(int fd, int queue)
{
	int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP;
	__u32 seq;
	socklen_t len = sizeof(seq);

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
	    getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		err(1, "TCP_REPAIR");
	return seq;
}

void live_connect(struct live *ret_live, int listener, const char *client, const char *server,
		  __u16 port)
{
	union address address;
	socklen_t len = make_address(server, port, &address);
	struct live live = {
		.client_address = client,
		.server_address = server,
		.server_port = port,
	};

	do {
		live.client_port = next_port();
		live.client = bound_socket(client, live.client_port);
	} while (live.client < 0);
	if (connect(live.client, &address.any, len))
		err(1, "connect to %s port %u", server, port);
	live.server = accept(listener, NULL, NULL);
	if (live.server < 0)
		err(1, "accept");
	live.first_seq = queue_seq(live.client, TCP_SEND_QUEUE);
	*ret_live = live;
}

void live_open(struct live *ret_live, const struct harness *harness, int listener,
	       const char *client, const char *server, __u16 port)
{
	struct packet packet;

	live_connect(ret_live, listener, client, server, port);
	packet = live_packet(ret_live);
	packet.seq--;
	packet.ack = 0;
	packet.flags = PACKET_SYN;
	if (harness_run(harness, &packet) != XDP_PASS)
		errx(1, "the gate dropped a SYN");
	packet = live_packet(ret_live);
	if (harness_run(harness, &packet) != XDP_PASS)
		errx(1, "the gate dropped the handshake's ACK");
}

/* The SYN-ACK to @live's client, as it is seen on lo. */
static bool is_syn_ack(const struct live *live, const __u8 *frame, ssize_t len, __u32 *ret_seq)
{
	__u32 seq_be;
	__u16 port_be;

	if (len < 14 + 40 || frame[12] != 8 || frame[13] || frame[14] != 0x45 || frame[23] != 6 ||
	    (frame[14 + 20 + 13] & 0x12) != 0x12)
		return false;
	memcpy(&port_be, frame + 14 + 20 + 2, 2);
	memcpy(&seq_be, frame + 14 + 20 + 4, 4);
	*ret_seq = ntohl(seq_be);
	return ntohs(port_be) == live->client_port;
}

void live_receive(const __u8 *frame, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	memcpy(&to.sin_addr, frame + ETH_HLEN + 16, 4);
	if (raw < 0 || sendto(raw, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to,
			      sizeof(to)) < 0)
		err(1, "a raw socket");
	close(raw);
}

struct packet live_half_open(struct live *ret_live, const char *client, const char *server,
			     __u16 port)
{
	struct live live = {
		.client_address = client,
		.server_address = server,
		.client_port = next_port(),
		.server_port = port,
		.client = -1,
		.server = -1,
		.first_seq = 5001,
	};
	struct packet syn = {
		.source = client,
		.destination = server,
		.source_port = live.client_port,
		.destination_port = port,
		.seq = live.first_seq - 1,
		.flags = PACKET_SYN,
	};
	struct timeval patience = {.tv_sec = 2};
	int tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	__u8 frame[PACKET_BYTES_MAX];
	size_t len = packet_write(&syn, frame);
	__u32 seq = 0;
	ssize_t got;

	if (tap < 0)
		err(1, "a raw socket");
	setsockopt(tap, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	live_receive(frame, len);
	do {
		got = recv(tap, frame, sizeof(frame), 0);
		if (got < 0)
			err(1, "no SYN-ACK from %s port %u", server, port);
	} while (!is_syn_ack(&live, frame, got, &seq));
	close(tap);
	*ret_live = live;
	return (struct packet){
		.source = client,
		.destination = server,
		.source_port = live.client_port,
		.destination_port = port,
		.seq = live.first_seq,
		.ack = seq + 1,
	};
}

void live_use_cookies(bool always)
{
	int fd = open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, always ? "2" : "1", 1) != 1)
		err(1, "tcp_syncookies");
	close(fd);
}

void live_close(struct live *live)
{
	struct linger reset = {.l_onoff = 1};

	/* without TIME_WAIT: thousands of these come and go */
	setsockopt(live->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (live->client >= 0)
		close(live->client);
	if (live->server >= 0)
		close(live->server);
}

struct packet live_packet(const struct live *live)
{
	return (struct packet){
		.source = live->client_address,
		.destination = live->server_address,
		.source_port = live->client_port,
		.destination_port = live->server_port,
		.seq = queue_seq(live->client, TCP_SEND_QUEUE),
		.ack = queue_seq(live->client, TCP_RECV_QUEUE),
	};
}

__u32 live_right_edge(const struct live *live)
{
	struct tcp_repair_window window;
	socklen_t len = sizeof(window);
	int on = 1, off = TCP_REPAIR_OFF_NO_WP;

	if (setsockopt(live->server, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ||
	    getsockopt(live->server, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &len) ||
	    setsockopt(live->server, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		err(1, "TCP_REPAIR_WINDOW");
	return window.rcv_wup + window.rcv_wnd;
}

/* All of it moves from one socket to the other before it returns. */
static void move(int from, int to, const void *bytes, size_t len)
{
	static __u8 sink[65536];

	for (size_t at = 0; at < len;) {
		ssize_t sent = send(from, (const __u8 *)bytes + at, len - at, MSG_NOSIGNAL);

		if (sent <= 0)
			err(1, "send");
		for (ssize_t got = 0; got < sent;) {
			ssize_t more = recv(to, sink, sent - got, 0);

			if (more <= 0)
				err(1, "recv");
			got += more;
		}
		at += sent;
	}
}

int live_send(struct live *live, const struct harness *harness, const void *bytes, size_t len)
{
	struct packet packet = live_packet(live);
	int action;

	packet.payload = bytes;
	packet.payload_bytes = len;
	action = harness_run(harness, &packet);
	if (action == XDP_PASS)
		live_deliver(live, bytes, len);
	return action;
}

int live_send_text(struct live *live, const struct harness *harness, const char *text)
{
	return live_send(live, harness, text, strlen(text));
}

void live_deliver(struct live *live, const void *bytes, size_t len)
{
	move(live->client, live->server, bytes, len);
}

void live_answer(struct live *live, const struct harness *harness, const char *text)
{
	struct packet packet;

	move(live->server, live->client, text, strlen(text));
	packet = live_packet(live);
	if (harness_run(harness, &packet) != XDP_PASS)
		errx(1, "the gate dropped an ACK");
}
