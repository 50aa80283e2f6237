// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes frames front to back and fills in lengths and checksums at the end.
 */
#include "lib/packet.h"

#include <arpa/inet.h>
#include <err.h>
#include <string.h>

#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define IPV6_FRAGMENT_HEADER 44

struct writer {
	const struct packet *packet;
	__u8 *frame;
	size_t len;
	__u8 addresses[32]; /* source, then destination */
	size_t address_bytes;
	const void *payload;
	size_t payload_bytes;
};

size_t packet_address(const char *text, __u8 ret_address[16])
{
	bool is_v6 = strchr(text, ':');

	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text, ret_address) != 1)
		errx(1, "packet: '%s' is no address", text);
	return is_v6 ? 16 : 4;
}

static void *room(struct writer *w, size_t bytes)
{
	void *at = w->frame + w->len;

	if (w->len + bytes > PACKET_BYTES_MAX)
		errx(1, "packet: longer than %d bytes", PACKET_BYTES_MAX);
	memset(at, 0, bytes);
	w->len += bytes;
	return at;
}

static void put16(struct writer *w, __u16 value)
{
	value = htons(value);
	memcpy(room(w, sizeof(value)), &value, sizeof(value));
}

static __u32 sum_bytes(__u32 sum, const __u8 *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (__u32)bytes[i] << 8;
	return sum;
}

static __u16 sum_fold_be(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* Of a transport header and all behind it, with the pseudo header (RFC 9293 3.1, RFC 8200 8.1). */
static __u16 transport_checksum(struct writer *w, size_t at, __u8 protocol)
{
	__u32 sum = sum_bytes(0, w->addresses, 2 * w->address_bytes);

	sum += protocol + (__u32)(w->len - at);
	return sum_fold_be(sum_bytes(sum, w->frame + at, w->len - at));
}

static void write_ethernet(struct writer *w, __u16 protocol)
{
	static const __u8 stations[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

	memcpy(room(w, sizeof(stations)), stations, sizeof(stations));
	for (__u32 i = 0; i < w->packet->vlan_tags; i++) {
		put16(w, i + 1 < w->packet->vlan_tags ? ETH_P_8021AD : ETH_P_8021Q);
		put16(w, 100 + i);
	}
	put16(w, protocol);
}

static void write_arp(struct writer *w)
{
	static const __u8 stations[6] = {2, 0, 0, 0, 0, 2};
	__u8 *body;

	put16(w, ARPHRD_ETHER);
	put16(w, ETH_P_IP);
	put16(w, 0x0604);
	put16(w, ARPOP_REQUEST);
	body = room(w, 20);
	memcpy(body, stations, 6);
	memcpy(body + 6, w->addresses, 4);
	memcpy(body + 16, w->addresses + 4, 4);
}

static __u8 ip_protocol(const struct writer *w)
{
	switch (w->packet->kind) {
	case PACKET_UDP:
		return IPPROTO_UDP;
	case PACKET_ICMP:
		return w->address_bytes == 16 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	default:
		return IPPROTO_TCP;
	}
}

/* Returns where the header begins; its length and checksum come last. */
static size_t write_ipv4(struct writer *w)
{
	const struct packet *p = w->packet;
	size_t at = w->len;
	struct iphdr *ip = room(w, sizeof(*ip) + p->option_bytes);

	if (p->option_bytes % 4 || p->option_bytes > 40)
		errx(1, "packet: %u bytes of IPv4 options", p->option_bytes);
	memset(ip + 1, 1 /* no operation */, p->option_bytes);
	ip->version = 4;
	ip->ihl = (sizeof(*ip) + p->option_bytes) / 4;
	ip->ttl = 64;
	ip->id = htons(0x1234);
	ip->protocol = ip_protocol(w);
	ip->frag_off = htons(p->fragment_offset / 8 | (p->more_fragments ? 0x2000 : 0));
	memcpy(&ip->saddr, w->addresses, 8);
	return at;
}

static size_t write_ipv6(struct writer *w)
{
	const struct packet *p = w->packet;
	bool fragment = p->fragment_offset || p->more_fragments;
	size_t at = w->len;
	struct ipv6hdr *ip = room(w, sizeof(*ip));
	__u8 *next = &ip->nexthdr;

	ip->version = 6;
	ip->hop_limit = 64;
	memcpy(&ip->saddr, w->addresses, 32);
	for (__u32 i = 0; i < p->extension_headers; i++) {
		__u8 *header = room(w, 8);

		*next = i ? IPPROTO_DSTOPTS : IPPROTO_HOPOPTS;
		header[2] = 1; /* PadN that fills the header */
		header[3] = 4;
		next = header;
	}
	if (fragment) {
		__u16 offset_be = htons(p->fragment_offset | (p->more_fragments ? 1 : 0));
		__u8 *header = room(w, 8);

		*next = IPV6_FRAGMENT_HEADER;
		memcpy(header + 2, &offset_be, 2);
		header[7] = 0x34;
		next = header;
	}
	*next = ip_protocol(w);
	return at;
}

static void write_payload(struct writer *w)
{
	memcpy(room(w, w->payload_bytes), w->payload, w->payload_bytes);
}

static void write_tcp(struct writer *w)
{
	const struct packet *p = w->packet;
	size_t times = p->timestamp ? 12 : 0, options = times + p->tcp_option_bytes;
	size_t at = w->len;
	struct tcphdr *tcp = room(w, sizeof(*tcp) + options);
	__u8 *option = (__u8 *)(tcp + 1), flags = p->flags;

	if (options % 4 || options > 40)
		errx(1, "packet: %zu bytes of TCP options", options);
	if (!flags)
		flags = PACKET_ACK | (w->payload_bytes ? PACKET_PSH : 0);
	tcp->source = htons(p->source_port);
	tcp->dest = htons(p->destination_port);
	tcp->seq = htonl(p->seq);
	tcp->ack_seq = htonl(p->ack);
	tcp->doff = (sizeof(*tcp) + options) / 4;
	tcp->window = htons(p->window ? p->window : 502);
	((__u8 *)tcp)[13] = flags;
	if (times) {
		__u32 times_be[2] = {htonl(p->timestamp), htonl(p->timestamp_echo)};

		memcpy(option, "\x01\x01\x08\x0a", 4);
		memcpy(option + 4, times_be, 8);
	}
	if (p->tcp_option_bytes)
		memcpy(option + times, p->tcp_options, p->tcp_option_bytes);
	write_payload(w);
	tcp = (struct tcphdr *)(w->frame + at);
	tcp->check = transport_checksum(w, at, IPPROTO_TCP);
	if (p->bad_checksum)
		tcp->check ^= 0x5555;
}

static void write_udp(struct writer *w)
{
	size_t at = w->len;
	struct udphdr *udp = room(w, sizeof(*udp));

	udp->source = htons(w->packet->source_port);
	udp->dest = htons(w->packet->destination_port);
	udp->len = htons(sizeof(*udp) + w->payload_bytes);
	write_payload(w);
	udp = (struct udphdr *)(w->frame + at);
	udp->check = transport_checksum(w, at, IPPROTO_UDP);
	if (w->packet->bad_checksum)
		udp->check ^= 0x5555;
}

static void write_icmp(struct writer *w)
{
	size_t at = w->len;
	struct icmphdr *icmp = room(w, sizeof(*icmp));

	icmp->type = w->address_bytes == 16 ? 128 : ICMP_ECHO;
	write_payload(w);
	icmp = (struct icmphdr *)(w->frame + at);
	if (w->address_bytes == 16)
		icmp->checksum = transport_checksum(w, at, IPPROTO_ICMPV6);
	else
		icmp->checksum = sum_fold_be(sum_bytes(0, w->frame + at, w->len - at));
}

static void write_transport(struct writer *w)
{
	if (w->packet->fragment_offset) {
		write_payload(w);
		return;
	}
	switch (w->packet->kind) {
	case PACKET_UDP:
		write_udp(w);
		break;
	case PACKET_ICMP:
		write_icmp(w);
		break;
	default:
		write_tcp(w);
	}
}

static void write_ip(struct writer *w)
{
	bool is_v6 = w->address_bytes == 16;
	size_t at = is_v6 ? write_ipv6(w) : write_ipv4(w);

	write_transport(w);
	if (is_v6) {
		struct ipv6hdr *ip = (struct ipv6hdr *)(w->frame + at);

		ip->payload_len = htons(w->len - at - sizeof(*ip));
	} else {
		struct iphdr *ip = (struct iphdr *)(w->frame + at);

		ip->tot_len = htons(w->len - at);
		ip->check = sum_fold_be(sum_bytes(0, (__u8 *)ip, ip->ihl * 4));
	}
}

size_t packet_write(const struct packet *packet, __u8 *ret_frame)
{
	struct writer w = {.packet = packet, .frame = ret_frame, .payload = packet->payload};

	w.payload_bytes = packet->payload_bytes;
	if (packet->payload && !packet->payload_bytes)
		w.payload_bytes = strlen(packet->payload);
	w.address_bytes = packet_address(packet->source, w.addresses);
	if (packet_address(packet->destination, w.addresses + w.address_bytes) != w.address_bytes)
		errx(1, "packet: '%s' and '%s' differ in family", packet->source,
		     packet->destination);
	if (packet->kind == PACKET_ARP) {
		write_ethernet(&w, ETH_P_ARP);
		write_arp(&w);
		return w.len;
	}
	write_ethernet(&w, w.address_bytes == 16 ? ETH_P_IPV6 : ETH_P_IP);
	write_ip(&w);
	return w.len;
}
