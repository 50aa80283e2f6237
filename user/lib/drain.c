// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spliced connections, as the map tells them; and sock_diag's way to end a connection.
 */
#include "drain.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "dump.h"

struct splices {
	struct tps_flow_key *keys;
	struct tps_splice *values;
	size_t count;
};

static void splices_free(struct splices *splices)
{
	free(splices->keys);
	free(splices->values);
}

#define _cleanup_splices_ __attribute__((cleanup(splices_free)))

static int splices_read(const struct tps_gate *gate, __u32 ifindex, struct splices *ret_splices)
{
	struct splices all;
	size_t kept = 0;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_spliced], (void **)&all.keys,
				(void **)&all.values, &all.count);

	if (err)
		return err;
	for (size_t i = 0; i < all.count; i++) {
		if (ifindex && all.values[i].ifindex != ifindex)
			continue;
		all.keys[kept] = all.keys[i];
		all.values[kept++] = all.values[i];
	}
	all.count = kept;
	*ret_splices = all;
	return 0;
}

int tps_splices_count(const struct tps_gate *gate, __u32 ifindex, size_t *ret_count)
{
	_cleanup_splices_ struct splices splices = {};
	int err = splices_read(gate, ifindex, &splices);

	if (!err)
		*ret_count = splices.count;
	return err;
}

static bool is_mapped(const __u32 address_be[4])
{
	return !address_be[0] && !address_be[1] && address_be[2] == htonl(0xffff);
}

/* The host's side of the connection: its source is the server. */
static struct inet_diag_req_v2 request_of(const struct tps_flow_key *key)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = is_mapped(key->source_be) ? AF_INET : AF_INET6,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0U,
		.id = {.idiag_sport = key->destination_port_be,
		       .idiag_dport = key->source_port_be,
		       .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
	};

	if (request.sdiag_family == AF_INET) {
		request.id.idiag_src[0] = key->destination_be[3];
		request.id.idiag_dst[0] = key->source_be[3];
	} else {
		memcpy(request.id.idiag_src, key->destination_be, 16);
		memcpy(request.id.idiag_dst, key->source_be, 16);
	}
	return request;
}

struct ask {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

/* Sends @ask and receives what comes back; -errno, also what the kernel answered. */
static int ask(int fd, struct ask *ask, void *ret_answer, size_t bytes)
{
	const struct nlmsghdr *header = ret_answer;
	ssize_t got;

	ask->header.nlmsg_len = sizeof(*ask);
	if (send(fd, ask, sizeof(*ask), 0) < 0)
		return -errno;
	got = recv(fd, ret_answer, bytes, 0);
	if (got < 0)
		return -errno;
	if (!NLMSG_OK(header, got))
		return -EPROTO;
	if (header->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(header))->error;
	return 0;
}

/*
 * 0; -ENOENT: there is no such socket any more; another -errno. The kernel looks connections up as
 * it does for packets: where there is none it finds the socket that listens, which is not to be
 * harmed. So the connection is asked for first, and then named by its cookie.
 */
static int socket_destroy(int fd, const struct tps_flow_key *key)
{
	struct ask message = {
		.header = {.nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
		.request = request_of(key)};
	char answer[4096] __attribute__((aligned(8)));
	const struct inet_diag_msg *found = NLMSG_DATA((struct nlmsghdr *)answer);
	int err = ask(fd, &message, answer, sizeof(answer));

	if (err)
		return err;
	if (found->idiag_state == TCP_LISTEN)
		return -ENOENT;
	memcpy(message.request.id.idiag_cookie, found->id.idiag_cookie,
	       sizeof(message.request.id.idiag_cookie));
	message.header.nlmsg_type = SOCK_DESTROY;
	message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	return ask(fd, &message, answer, sizeof(answer));
}

/* Had an answer ended the connection for its client, who then loses nothing? To be asked when the
 * socket is gone: until then one may be given. The entry of another goes with the RST. */
static bool is_answered(const struct tps_gate *gate, const struct tps_flow_key *key)
{
	struct tps_splice splice;

	return !bpf_map_lookup_elem(gate->map_fd[TPS_MAP_spliced], key, &splice) &&
	       splice.state != TPS_SPLICE_OPEN;
}

int tps_splices_end(const struct tps_gate *gate, __u32 ifindex, size_t *ret_ended)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_splices_ struct splices splices = {};
	int err = splices_read(gate, ifindex, &splices), failed = 0;

	if (err)
		return err;
	if (fd < 0)
		return -errno;
	*ret_ended = 0;
	for (size_t i = 0; i < splices.count; i++) {
		err = socket_destroy(fd, &splices.keys[i]);
		*ret_ended += !err && !is_answered(gate, &splices.keys[i]);
		if (err && err != -ENOENT)
			failed = err;
	}
	return failed;
}

static void count_down(struct tps_spliced_count *count)
{
	__atomic_fetch_sub(&count->connections, 1, __ATOMIC_RELAXED);
}

int tps_splices_forget(const struct tps_gate *gate, __u32 ifindex)
{
	_cleanup_splices_ struct splices splices = {};
	int err = splices_read(gate, ifindex, &splices);

	for (size_t i = 0; !err && i < splices.count; i++) {
		const struct tps_flow_key *key = &splices.keys[i];
		__u16 port = ntohs(key->destination_port_be);

		if (bpf_map_delete_elem(gate->map_fd[TPS_MAP_spliced], key))
			continue;
		count_down(&gate->spliced_ports[port]);
		count_down(&gate->spliced_sources[tps_spliced_source(key->source_be)]);
	}
	return err;
}
