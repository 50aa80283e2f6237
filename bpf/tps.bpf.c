// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: frame, listener, flow, identify, take, count, verdict. One XDP entry and one tc entry.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <tps/abi.h>

#include "maps.h"

SEC("xdp.frags")
int gate(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* Both clocks at once, for user space to find out jiffies' tick and offset (control.tick_*). */
SEC("syscall")
int clocks(struct tps_clocks *ctx)
{
	ctx->ktime_ns = bpf_ktime_get_ns();
	ctx->jiffies = bpf_jiffies64();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
