// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets that listen, by sock_diag(7): the kernel is asked for those alone, however many
 * connections there are.
 */
#include "listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "cleanup.h"

#define ANSWER_BYTES 32768 /* what the kernel puts in one message of a dump */

static void port_add(__u64 *ports, __u16 port)
{
	ports[port / 64] |= 1ULL << port % 64;
}

bool tps_listening_has(const __u64 ports[65536 / 64], __u16 port)
{
	return ports[port / 64] >> port % 64 & 1;
}

static int socket_take(const struct nlmsghdr *message, void *data)
{
	const struct inet_diag_msg *found = mnl_nlmsg_get_payload(message);

	port_add(data, ntohs(found->id.idiag_sport));
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *socket, int family, int protocol, __u64 *ports)
{
	_cleanup_free_ void *buffer = malloc(ANSWER_BYTES);
	struct inet_diag_req_v2 *request;
	struct nlmsghdr *message;
	int run = MNL_CB_OK;

	if (!buffer)
		return -ENOMEM;
	message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = protocol;
	/* a datagram socket that is connected to nobody is "closed" */
	request->idiag_states = protocol == IPPROTO_TCP ? 1 << TCP_LISTEN : 1 << TCP_CLOSE;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (run > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, ANSWER_BYTES);

		if (got < 0)
			return -errno;
		run = mnl_cb_run(buffer, got, 0, mnl_socket_get_portid(socket), socket_take, ports);
	}
	return run < 0 ? -errno : 0;
}

int tps_listening_add(struct tps_listening *listening)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	static const int families[] = {AF_INET, AF_INET6};
	int err = socket && !mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) ? 0 : -errno;

	for (unsigned int i = 0; i < 2 && !err; i++) {
		err = dump(socket, families[i], IPPROTO_TCP, listening->tcp);
		if (!err)
			err = dump(socket, families[i], IPPROTO_UDP, listening->udp);
		/* a host without IPv6 */
		if (err == -ENOENT && families[i] == AF_INET6)
			err = 0;
	}
	if (socket)
		mnl_socket_close(socket);
	return err;
}
