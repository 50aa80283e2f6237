// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks devices: by the ethtool ioctls, rtnetlink, the generic netlink family `netdev`, and
 * /proc/net/vlan. What a driver does not tell is no error.
 */
#include "nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "netlink.h"

/* linux/netdev.h, which came with Linux 6.3: the headers of Debian 12 are older. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_DEV_GET 1
#define NETDEV_IFINDEX 1
#define NETDEV_XDP_FEATURES 3
#define NETDEV_XDP_BASIC 0x01
#define NETDEV_XDP_RX_SG 0x20

#define TCX_EGRESS 47 /* enum bpf_attach_type of Linux 6.6 */

/* include/linux/bpf.h and linux/skbuff.h of the kernel, x86-64 and arm64 */
#define XDP_HEADROOM 256
#define SHARED_INFO 320
#define ETHERNET_AND_TAG 18

__u32 tps_nic_mtu_of_a_page(void)
{
	return sysconf(_SC_PAGESIZE) - XDP_HEADROOM - SHARED_INFO - ETHERNET_AND_TAG;
}

/* ---- ioctls */

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
}

static void driver_read(int fd, const char *name, struct tps_nic *nic)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	if (!ethtool(fd, name, &info))
		snprintf(nic->driver, sizeof(nic->driver), "%.31s", info.driver);
}

static void queues_read(int fd, const char *name, struct tps_nic *nic)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (ethtool(fd, name, &channels))
		return;
	nic->queues = channels.rx_count + channels.combined_count;
	nic->is_combined = channels.max_combined && channels.max_combined >= channels.max_rx;
	nic->queues_max = nic->is_combined ? channels.max_combined : channels.max_rx;
}

static __u32 features_count(int fd, const char *name)
{
	struct {
		struct ethtool_sset_info info;
		__u32 count;
	} set = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};

	return ethtool(fd, name, &set) || !set.info.sset_mask ? 0 : set.count;
}

static void feature_set(const char *feature, struct tps_nic *nic)
{
	if (!strcmp(feature, "rx-lro"))
		nic->lro = true;
	else if (!strcmp(feature, "rx-gro-hw"))
		nic->gro_hw = true;
	else if (!strcmp(feature, "rx-vlan-hw-parse"))
		nic->rx_vlan = true;
}

/* By their names, which every kernel has in an order of its own. */
static void features_read(int fd, const char *name, struct tps_nic *nic)
{
	__u32 count = features_count(fd, name), blocks = (count + 31) / 32;
	_cleanup_free_ struct ethtool_gstrings *names = NULL;
	_cleanup_free_ struct ethtool_gfeatures *features = NULL;

	names = calloc(1, sizeof(*names) + count * ETH_GSTRING_LEN);
	features = calloc(1, sizeof(*features) + blocks * sizeof(features->features[0]));
	if (!count || !names || !features)
		return;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = blocks;
	if (ethtool(fd, name, names) || ethtool(fd, name, features))
		return;
	for (__u32 i = 0; i < count && i < names->len; i++) {
		char feature[ETH_GSTRING_LEN + 1] = "";

		memcpy(feature, names->data + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		if (features->features[i / 32].active >> i % 32 & 1)
			feature_set(feature, nic);
	}
}

static int link_read(int fd, const char *name, struct tps_nic *nic)
{
	struct ifreq request = {};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFINDEX, &request))
		return -errno;
	nic->ifindex = request.ifr_ifindex;
	if (ioctl(fd, SIOCGIFMTU, &request))
		return -errno;
	nic->mtu = request.ifr_mtu;
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		return -errno;
	nic->is_up = request.ifr_flags & IFF_UP;
	return 0;
}

/* Lines `NAME | ID | DEVICE` behind two of headings. */
static void vlans_read(const char *name, struct tps_nic *nic)
{
	_cleanup_fclose_ FILE *lines = fopen("/proc/thread-self/net/vlan/config", "re");
	_cleanup_free_ char *line = NULL;
	char device[IFNAMSIZ];
	size_t size = 0;

	while (lines && getline(&line, &size, lines) > 0) {
		if (sscanf(line, "%*s | %*u | %15s", device) == 1 && !strcmp(device, name))
			nic->vlans++;
	}
}

/* ---- netlink */

struct wanted {
	__u16 type;
	__u64 value;
	bool is_found;
};

static int wanted_take(const struct nlattr *attribute, void *data)
{
	struct wanted *wanted = data;

	if (mnl_attr_get_type(attribute) != wanted->type)
		return MNL_CB_OK;
	wanted->is_found = true;
	wanted->value = mnl_attr_get_payload_len(attribute) == sizeof(__u64)
				? mnl_attr_get_u64(attribute)
				: mnl_attr_get_u16(attribute);
	return MNL_CB_STOP;
}

static int generic_take(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct genlmsghdr), wanted_take, data) < 0
		       ? MNL_CB_ERROR
		       : MNL_CB_OK;
}

static struct nlmsghdr *generic_begin(void *buffer, __u16 family, __u8 command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));

	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	generic->cmd = command;
	generic->version = 1;
	return message;
}

static void xdp_read(struct tps_nic *nic)
{
	_cleanup_netlink_ struct mnl_socket *socket = tps_netlink_open(NETLINK_GENERIC);
	struct wanted family = {.type = CTRL_ATTR_FAMILY_ID};
	struct wanted features = {.type = NETDEV_XDP_FEATURES};
	char buffer[8192] __attribute__((aligned(8)));
	struct nlmsghdr *message;

	if (!socket)
		return;
	message = generic_begin(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
	if (tps_netlink_ask(socket, message, buffer, sizeof(buffer), generic_take, &family) ||
	    !family.is_found)
		return;
	message = generic_begin(buffer, family.value, NETDEV_DEV_GET);
	mnl_attr_put_u32(message, NETDEV_IFINDEX, nic->ifindex);
	if (tps_netlink_ask(socket, message, buffer, sizeof(buffer), generic_take, &features) ||
	    !features.is_found)
		return;
	nic->native = features.value & NETDEV_XDP_BASIC ? TPS_TOLD_YES : TPS_TOLD_NO;
	nic->frags = features.value & NETDEV_XDP_RX_SG ? TPS_TOLD_YES : TPS_TOLD_NO;
}

int tps_nic_read(const char *name, struct tps_nic *ret_nic)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct tps_nic nic = {.native = TPS_TOLD_NOTHING, .frags = TPS_TOLD_NOTHING};
	int err = fd < 0 ? -errno : link_read(fd, name, &nic);

	if (err)
		return err;
	driver_read(fd, name, &nic);
	queues_read(fd, name, &nic);
	features_read(fd, name, &nic);
	vlans_read(name, &nic);
	xdp_read(&nic);
	*ret_nic = nic;
	return 0;
}

/* ---- who else sees what leaves */

struct others {
	__u32 handle, priority;
	int count;
};

/* A filter of its own has a handle; the kernel tells the list that it is in as one without. */
static int filter_take(const struct nlmsghdr *message, void *data)
{
	const struct tcmsg *filter = mnl_nlmsg_get_payload(message);
	struct others *others = data;

	if (message->nlmsg_type == RTM_NEWTFILTER && filter->tcm_handle &&
	    TC_H_MAJ(filter->tcm_info) >> 16 <= others->priority &&
	    !(filter->tcm_handle == others->handle &&
	      TC_H_MAJ(filter->tcm_info) >> 16 == others->priority))
		others->count++;
	return MNL_CB_OK;
}

static int filters_count(__u32 ifindex, __u32 handle, __u32 priority)
{
	_cleanup_netlink_ struct mnl_socket *socket = tps_netlink_open(NETLINK_ROUTE);
	struct others others = {.handle = handle, .priority = priority};
	_cleanup_free_ void *buffer = malloc(TPS_NETLINK_BYTES);
	struct nlmsghdr *message;
	struct tcmsg *filter;
	int err;

	if (!socket || !buffer)
		return -ENOMEM;
	message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	filter = mnl_nlmsg_put_extra_header(message, sizeof(*filter));
	filter->tcm_ifindex = ifindex;
	filter->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
	err = tps_netlink_ask(socket, message, buffer, TPS_NETLINK_BYTES, filter_take, &others);
	return err ? err : others.count;
}

int tps_nic_egress_others(__u32 ifindex, __u32 handle, __u32 priority, __u32 *ret_ids, size_t room)
{
	__u32 count = room, flags;
	int filters = filters_count(ifindex, handle, priority);

	/* older kernels know no such attach type */
	if (bpf_prog_query(ifindex, (enum bpf_attach_type)TCX_EGRESS, 0, &flags, ret_ids, &count))
		count = 0;
	if (filters < 0)
		return filters;
	for (int i = 0; i < filters && count + i < room; i++)
		ret_ids[count + i] = 0;
	return count + filters;
}
