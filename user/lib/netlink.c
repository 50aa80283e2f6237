// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends, and receives until the kernel has said all.
 */
#include "netlink.h"

#include <errno.h>

struct mnl_socket *tps_netlink_open(int bus)
{
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int err;

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = errno;
		mnl_socket_close(socket);
		errno = err;
		return NULL;
	}
	return socket;
}

int tps_netlink_ask(struct mnl_socket *socket, const struct nlmsghdr *message, void *buffer,
		    size_t bytes, mnl_cb_t take, void *data)
{
	int run = MNL_CB_OK;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (run > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, bytes);

		if (got < 0)
			return -errno;
		run = mnl_cb_run(buffer, got, 0, mnl_socket_get_portid(socket), take, data);
	}
	return run < 0 ? -errno : 0;
}
