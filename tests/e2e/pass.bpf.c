// SPDX-License-Identifier: GPL-2.0-only
/*
 * Passes every packet. A veth device hands on what its peer's XDP program sends back (XDP_TX) only
 * when it has an XDP program of its own; the lab's client has this one.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
