/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real TCP connections over lo of a network namespace of the test's own, so that the gate finds
 * real sockets. A segment is first run through the gate and, when it passes, sent for real: the
 * host's TCP state moves as it would behind the gate.
 */
#ifndef TPS_TEST_LIVE_H
#define TPS_TEST_LIVE_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#include "lib/harness.h"

/* Moves the process to a namespace where every documentation address is local. */
void live_enter_namespace(void);

struct live {
	const char *client_address;
	const char *server_address;
	__u16 client_port;
	__u16 server_port;
	int client;
	int server;
	__u32 first_seq; /* of the client's first byte of data */
};

/* A listening socket; to be closed by the test. */
int live_listen(const char *address, __u16 port);
/* An established connection. The gate has seen nothing of it. */
void live_connect(struct live *ret_live, int listener, const char *client, const char *server,
		  __u16 port);
/* The same, and the gate has seen the client's SYN and the handshake's last ACK. */
void live_open(struct live *ret_live, const struct harness *harness, int listener,
	       const char *client, const char *server, __u16 port);
void live_close(struct live *live);

/* A client that is not of this host has sent its SYN and seen the SYN-ACK; nothing more. Fills in
 * addresses, ports and first_seq; returns what it would send next. Its address must be of
 * LIVE_REMOTE, where no host answers. */
#define LIVE_REMOTE "198.18.0.0/15"
struct packet live_half_open(struct live *ret_live, const char *client, const char *server,
			     __u16 port);
/* The host receives @frame as the gate left it, of IPv4 from that client. */
void live_receive(const __u8 *frame, size_t len);
/* Whether listeners answer by SYN cookies always (as under a flood), or only when they must. */
void live_use_cookies(bool always);

/* What the client would send next: addresses, ports, seq and ack are filled in. */
struct packet live_packet(const struct live *live);
/* The first sequence number that the server's window has no room for. */
__u32 live_right_edge(const struct live *live);
/* Runs the client's next segment through the gate; when it passes, the host receives it. */
int live_send(struct live *live, const struct harness *harness, const void *bytes, size_t len);
int live_send_text(struct live *live, const struct harness *harness, const char *text);
/* The client sends past the gate: what the host has got by another way. */
void live_deliver(struct live *live, const void *bytes, size_t len);
/* The server answers, and the client's ACK passes the gate. */
void live_answer(struct live *live, const struct harness *harness, const char *text);

#endif
