// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bad wire, on the client's device: packets are lost, doubled and made late, each way. Map `wire`
 * says how often, and counts. The loss is silent, as a wire's is: the sender's own stack is not
 * told. What is to be late goes out by another device (late0), and whoever is behind it sends it
 * back when it likes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* In each entry of `wire`, by direction: 0: to the server, 1: from it. */
struct wire {
	__u32 lose_permille;
	__u32 double_permille;
	__u32 late_permille;
	__u32 late_ifindex;
	__s32 lose_refusals; /* this many segments that begin with a 429's status line */
	__s32 lose_payloads; /* this many segments with any payload */
	__s32 lose_acks;     /* this many that are an ACK and nothing else */
	__u32 spare_syns;    /* what opens a connection is not lost by chance */
	__u64 lost;
	__u64 doubled;
	__u64 late;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct wire);
} wire SEC(".maps");

#define WIRE_SYN 0x02 /* of TCP's flags */
#define WIRE_ACK 0x10
#define WIRE_COPY 0x77697265 /* a mark: has been through here */

static __always_inline int wire_chance(__u32 permille)
{
	return permille && bpf_get_prandom_u32() % 1000 < permille;
}

/* Where the payload begins, or 0: no TCP, or none. */
static __always_inline __u32 wire_payload(struct __sk_buff *skb, __u8 *ret_flags)
{
	__u32 at = ETH_HLEN, ip_bytes;
	__u8 first, doff;
	__u16 length;

	*ret_flags = 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, at, &first, 1) ||
		    bpf_skb_load_bytes(skb, at + 2, &length, 2))
			return 0;
		ip_bytes = bpf_ntohs(length);
		at += (first & 15) * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, at + 4, &length, 2))
			return 0;
		ip_bytes = bpf_ntohs(length) + sizeof(struct ipv6hdr);
		at += sizeof(struct ipv6hdr);
	} else {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, at + 12, &doff, 1) ||
	    bpf_skb_load_bytes(skb, at + 13, ret_flags, 1))
		return 0;
	at += (doff >> 4) * 4;
	return at < ETH_HLEN + ip_bytes ? at : 0;
}

static __always_inline int wire_refusal(struct __sk_buff *skb, __u32 at)
{
	__u8 status[4];

	return at && !bpf_skb_load_bytes(skb, at + 8, status, 4) && status[0] == ' ' &&
	       status[1] == '4' && status[2] == '2' && status[3] == '9';
}

/* @lost: the action that loses it. */
static __always_inline int wire_pass(struct __sk_buff *skb, __u32 way, __u64 flags, int lost)
{
	struct wire *w = bpf_map_lookup_elem(&wire, &way);
	__u8 tcp_flags;
	__u32 at;

	if (!w || skb->mark == WIRE_COPY)
		return TC_ACT_OK;
	at = wire_payload(skb, &tcp_flags);
	if (w->lose_refusals > 0 && wire_refusal(skb, at)) {
		__sync_fetch_and_add(&w->lose_refusals, -1);
		__sync_fetch_and_add(&w->lost, 1);
		return lost;
	}
	if (w->lose_payloads > 0 && at) {
		__sync_fetch_and_add(&w->lose_payloads, -1);
		__sync_fetch_and_add(&w->lost, 1);
		return lost;
	}
	if (w->lose_acks > 0 && !at && tcp_flags == WIRE_ACK) {
		__sync_fetch_and_add(&w->lose_acks, -1);
		__sync_fetch_and_add(&w->lost, 1);
		return lost;
	}
	if (!(w->spare_syns && tcp_flags & WIRE_SYN) && wire_chance(w->lose_permille)) {
		__sync_fetch_and_add(&w->lost, 1);
		return lost;
	}
	if (wire_chance(w->late_permille)) {
		__sync_fetch_and_add(&w->late, 1);
		return bpf_redirect(w->late_ifindex, 0);
	}
	if (wire_chance(w->double_permille)) {
		skb->mark = WIRE_COPY;
		__sync_fetch_and_add(&w->doubled, 1);
		bpf_clone_redirect(skb, skb->ifindex, flags);
	}
	return TC_ACT_OK;
}

SEC("tc/outward")
int outward(struct __sk_buff *skb)
{
	return wire_pass(skb, 0, 0, TC_ACT_STOLEN);
}

SEC("tc/inward")
int inward(struct __sk_buff *skb)
{
	return wire_pass(skb, 1, BPF_F_INGRESS, TC_ACT_SHOT);
}

/* Comes back from late0: the client's device is the first word of `home`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} home SEC(".maps");

SEC("tc/belated")
int belated(struct __sk_buff *skb)
{
	__u32 zero = 0, *ifindex = bpf_map_lookup_elem(&home, &zero);
	__u8 last;

	if (!ifindex || bpf_skb_load_bytes(skb, ETH_ALEN - 1, &last, 1))
		return TC_ACT_SHOT;
	skb->mark = WIRE_COPY;
	/* the lab's server has the address ..:01, its client ..:02 */
	return bpf_redirect(*ifindex, last == 2 ? BPF_F_INGRESS : 0);
}

char LICENSE[] SEC("license") = "GPL";
