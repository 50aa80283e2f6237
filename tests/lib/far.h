/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections whose sockets are elsewhere: this host forwards their segments, and no kernel keeps
 * their state. Knows what each side would send next.
 */
#ifndef TPS_TEST_FAR_H
#define TPS_TEST_FAR_H

#include <linux/pkt_cls.h>

#include "lib/http_cases.h"

#define FAR_SERVER "192.0.2.50" /* beyond this host, no socket here */
#define FAR_SERVER6 "2001:db8:1::50"

/* A connection of which this host forwards the segments. */
struct far {
	struct packet client; /* its next segment */
	struct packet server;
};

static inline void far_packets(struct far *ret, const char *client, const char *server, __u16 port)
{
	*ret = (struct far){
		.client = {.source = client,
			   .destination = server,
			   .source_port = port,
			   .destination_port = HTTP_PORT,
			   .seq = 1001},
		.server = {.source = server,
			   .destination = client,
			   .source_port = HTTP_PORT,
			   .destination_port = port,
			   .seq = 900000001},
	};
}

static inline void server_sends(struct far *far, const char *text)
{
	far->server.ack = far->client.seq;
	far->server.flags = 0;
	far->server.payload = text;
	assert_int_equal(harness_run_egress(&h, &far->server), TC_ACT_UNSPEC);
	far->server.seq += text ? strlen(text) : 0;
	far->client.ack = far->server.seq;
}

/* The handshake: SYN inwards, SYN-ACK outwards, ACK inwards. */
static inline void far_open(struct far *ret, const char *client, const char *server)
{
	static __u16 port = 30000;

	far_packets(ret, client, server, port++);
	ret->client.seq--;
	ret->client.flags = PACKET_SYN;
	expect(&ret->client, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
	ret->client.seq++;
	ret->client.flags = 0;
	ret->server.seq--;
	ret->server.ack = ret->client.seq;
	ret->server.flags = PACKET_SYN | PACKET_ACK;
	assert_int_equal(harness_run_egress(&h, &ret->server), TC_ACT_UNSPEC);
	ret->server.seq++;
	ret->client.ack = ret->server.seq;
	expect(&ret->client, HTTP, TPS_ACTION_PASS, TPS_REASON_NO_PAYLOAD);
}

/* The client's next segment; the server gets what passes, and acks nothing by itself. */
static inline int client_sends(struct far *far, const char *text)
{
	int action;

	far->client.payload = text;
	action = harness_run(&h, &far->client);
	if (action == XDP_PASS)
		far->client.seq += strlen(text);
	far->client.payload = NULL;
	return action;
}

/* The http listener of these connections. */
static inline void far_listener(void)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_HTTP,
		.ports = {HTTP_PORT},
		.placement = TPS_PLACEMENT_TRANSIT,
	};

	harness_set_listener(&h, HTTP, &listener);
}

#endif
