// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VLAN device does to what leaves, where there is none: a priority tag (VID 0, IEEE 802.1Q
 * 6.9) that every host takes off again. It stands beside the packet, as a VLAN device puts it; a
 * device without tag offload writes it in.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int tag(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6))
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 0);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
