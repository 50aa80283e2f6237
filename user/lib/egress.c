// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tc side of a device: clsact, our one filter, and whether anybody else has one. Speaks
 * rtnetlink for what libbpf does not ask.
 */
#include "egress.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/names.h>

#include "cleanup.h"
#include "program.h"

/* Is there any filter at @parent of @ifindex? -errno when it cannot be told. */
static int has_filter(int ifindex, __u32 parent)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr header;
		struct tcmsg filter;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETTFILTER,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.filter = {.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent},
	};
	char answer[32768] __attribute__((aligned(8)));
	int found = 0;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t len = recv(fd, answer, sizeof(answer), 0);
		struct nlmsghdr *message = (struct nlmsghdr *)answer;

		if (len < 0)
			return -errno;
		for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return found;
			if (message->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(message))->error;
			found |= message->nlmsg_type == RTM_NEWTFILTER;
		}
	}
}

static int filter_failed(int err, const char *what, struct tps_why *why)
{
	return tps_why_say(why, err, "%s: %s%s", what, strerror(-err),
			   err == -EPERM ? "; it needs CAP_NET_ADMIN (root)" : "");
}

/* Is the program @id one of ours? Its filter has our handle; its name tells the rest. */
static bool is_ours(__u32 id)
{
	char name[TPS_PROGRAM_NAME];

	return !tps_program_name(id, name) && !strcmp(name, TPS_PIN_EGRESS);
}

int tps_egress_find(int ifindex, int fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, there, .handle = TPS_TC_HANDLE, .priority = TPS_TC_PRIORITY);
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &size);

	if (err)
		return err;
	err = bpf_tc_query(&hook, &there);
	/* Without clsact there is no parent to ask for: -EINVAL. */
	if (err == -ENOENT || err == -EINVAL)
		return 0;
	return err ? err : there.prog_id == info.id;
}

int tps_egress_attach(int ifindex, int fd, bool *ret_made_clsact, struct tps_why *why)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, there, .handle = TPS_TC_HANDLE, .priority = TPS_TC_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TPS_TC_HANDLE, .priority = TPS_TC_PRIORITY,
		    .prog_fd = fd);
	int err = bpf_tc_hook_create(&hook);
	bool made = err == 0;

	if (err && err != -EEXIST)
		return filter_failed(err, "the clsact qdisc cannot be made", why);
	if (!made && !bpf_tc_query(&hook, &there)) {
		if (!is_ours(there.prog_id))
			return tps_why_say(
				why, -EBUSY,
				"another program (id %u) has tc filter %#x of priority %d: "
				"remove it first",
				there.prog_id, TPS_TC_HANDLE, TPS_TC_PRIORITY);
		filter.flags = BPF_TC_F_REPLACE;
	}
	err = bpf_tc_attach(&hook, &filter);
	if (err) {
		if (made)
			tps_egress_detach(ifindex, made);
		return filter_failed(err, "the egress program cannot be attached to tc", why);
	}
	*ret_made_clsact = made;
	return 0;
}

int tps_egress_detach(int ifindex, bool made_clsact)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, there, .handle = TPS_TC_HANDLE, .priority = TPS_TC_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TPS_TC_HANDLE, .priority = TPS_TC_PRIORITY);
	int err = 0;

	if (!bpf_tc_query(&hook, &there) && is_ours(there.prog_id))
		err = bpf_tc_detach(&hook, &filter);
	if (!made_clsact || has_filter(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) ||
	    has_filter(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)))
		return err;
	hook.attach_point =
		BPF_TC_INGRESS | BPF_TC_EGRESS; /* both: libbpf then removes the qdisc */
	return bpf_tc_hook_destroy(&hook);
}
