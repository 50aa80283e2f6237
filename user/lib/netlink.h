/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A question to the kernel by netlink(7) and its answers, by libmnl, in the network namespace that
 * the thread is in. Knows no family.
 */
#ifndef TPS_NETLINK_H
#define TPS_NETLINK_H

#include <libmnl/libmnl.h>

#include "cleanup.h"

#define TPS_NETLINK_BYTES 32768 /* what the kernel puts in one message of a dump */

/* A socket of @bus, as NETLINK_ROUTE; NULL: errno says why. */
struct mnl_socket *tps_netlink_open(int bus);
TPS_DEFINE_CLEANUP(struct mnl_socket *, mnl_socket_close)
#define _cleanup_netlink_ _cleanup_(mnl_socket_close_at_end)

/* Send @message and hand each answer to @take, until there are no more; @message may lie in
 * @buffer. */
int tps_netlink_ask(struct mnl_socket *socket, const struct nlmsghdr *message, void *buffer,
		    size_t bytes, mnl_cb_t take, void *data);

#endif
