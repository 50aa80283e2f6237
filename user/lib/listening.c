// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets that listen, by sock_diag(7): the kernel is asked for those alone, however many
 * connections there are.
 */
#include "listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "netlink.h"

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
	_cleanup_free_ void *buffer = malloc(TPS_NETLINK_BYTES);
	struct inet_diag_req_v2 *request;
	struct nlmsghdr *message;

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
	return tps_netlink_ask(socket, message, buffer, TPS_NETLINK_BYTES, socket_take, ports);
}

int tps_listening_add(struct tps_listening *listening)
{
	_cleanup_netlink_ struct mnl_socket *socket = tps_netlink_open(NETLINK_SOCK_DIAG);
	static const int families[] = {AF_INET, AF_INET6};
	int err = socket ? 0 : -errno;

	for (unsigned int i = 0; i < 2 && !err; i++) {
		err = dump(socket, families[i], IPPROTO_TCP, listening->tcp);
		if (!err)
			err = dump(socket, families[i], IPPROTO_UDP, listening->udp);
		/* a host without IPv6 */
		if (err == -ENOENT && families[i] == AF_INET6)
			err = 0;
	}
	return err;
}
