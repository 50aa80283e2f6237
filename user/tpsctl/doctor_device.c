// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network devices: whether the gate is on those that it is wanted on, and what of a device or its
 * driver makes it slow or its answers fail.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <bpf/bpf.h>

#include "doctor.h"
#include "label.h"
#include "netns.h"
#include "nic.h"
#include "program.h"

#define OTHERS_MAX 16
#define NAME_TEXT 160

/* ` --netns NAME`, or nothing: what is added to a command of tpsctl's. */
static const char *netns_option(const struct tps_device_key *key, char ret_text[NAME_TEXT])
{
	snprintf(ret_text, NAME_TEXT, "%s%s", *key->netns ? " --netns " : "", key->netns);
	return ret_text;
}

/* What goes before a command of somebody else's. */
static const char *netns_prefix(const struct tps_device_key *key, char ret_text[NAME_TEXT])
{
	snprintf(ret_text, NAME_TEXT, "%s%s%s", *key->netns ? "ip netns exec " : "", key->netns,
		 *key->netns ? " " : "");
	return ret_text;
}

static void examine_offloads(struct examination *examination, const struct tps_device_key *key,
			     const struct tps_nic *nic)
{
	char in[NAME_TEXT];

	netns_prefix(key, in);
	if (nic->lro)
		found(examination, SEVERITY_WARNING, "lro",
		      json_sprintf("%sethtool -K %s lro off", in, key->name),
		      "device '%s': it puts segments together before the gate (LRO): several "
		      "requests look like one, and a router must not forward them",
		      key->name);
	if (nic->gro_hw)
		found(examination, SEVERITY_WARNING, "gro_hw",
		      json_sprintf("%sethtool -K %s rx-gro-hw off", in, key->name),
		      "device '%s': it puts segments together before the gate (hardware GRO)",
		      key->name);
	if (nic->rx_vlan)
		found(examination, nic->vlans ? SEVERITY_WARNING : SEVERITY_NOTE, "vlan",
		      json_sprintf("%sethtool -K %s rxvlan off", in, key->name),
		      "device '%s': it takes VLAN tags off before the gate%s: answers to tagged "
		      "requests would leave untagged, so these are dropped",
		      key->name, nic->vlans ? ", and has VLAN devices" : "");
}

static void examine_queues(struct examination *examination, const struct tps_device_key *key,
			   const struct tps_nic *nic)
{
	__u32 cpus = get_nprocs(), wanted = nic->queues_max < cpus ? nic->queues_max : cpus;
	char in[NAME_TEXT];

	if (!nic->queues || nic->queues >= wanted)
		return;
	found(examination, SEVERITY_WARNING, "queues",
	      json_sprintf("%sethtool -L %s %s %u", netns_prefix(key, in), key->name,
			   nic->is_combined ? "combined" : "rx", wanted),
	      "device '%s': %u of %u receive queues, so no more than %u of %u CPUs limit",
	      key->name, nic->queues, nic->queues_max, nic->queues, cpus);
}

/* Programs that see what leaves before the gate does: it would translate what they were to see. */
static void examine_egress(struct examination *examination, const struct tps_device_key *key,
			   __u32 ifindex)
{
	char program[TPS_PROGRAM_TEXT], in[NAME_TEXT];
	__u32 ids[OTHERS_MAX];
	int others =
		tps_nic_egress_others(ifindex, TPS_TC_HANDLE, TPS_TC_PRIORITY, ids, OTHERS_MAX);

	netns_prefix(key, in);
	for (int i = 0; i < others && i < OTHERS_MAX; i++) {
		if (ids[i])
			found(examination, SEVERITY_WARNING, "order",
			      json_sprintf("%sbpftool net show dev %s, then take it off", in,
					   key->name),
			      "device '%s': the tcx program %s sees what leaves before the gate, "
			      "with "
			      "sequence numbers that the gate translates behind it",
			      key->name, tps_program_print(ids[i], program));
		else
			found(examination, SEVERITY_WARNING, "order",
			      json_sprintf("%stc filter show dev %s egress, then add that one "
					   "again with prio 2 or more",
					   in, key->name),
			      "device '%s': another egress filter has the gate's priority %d or "
			      "comes before it",
			      key->name, TPS_TC_PRIORITY);
	}
}

static void examine_nic(struct examination *examination, const struct tps_device_key *key,
			const struct tps_nic *nic)
{
	char in[NAME_TEXT];

	if (!nic->is_up)
		found(examination, SEVERITY_WARNING, "down",
		      json_sprintf("%sip link set %s up", netns_prefix(key, in), key->name),
		      "device '%s' is down", key->name);
	examine_offloads(examination, key, nic);
	examine_queues(examination, key, nic);
}

/* ---- where the gate is */

static void examine_mode(struct examination *examination, const struct tps_device_key *key,
			 const struct tps_nic *nic)
{
	char option[NAME_TEXT];

	netns_option(key, option);
	if (nic->native == TPS_TOLD_NO)
		found(examination, SEVERITY_WARNING, "mode",
		      json_string("put the gate on a device whose driver has native XDP"),
		      "device '%s': attached in generic mode, in which a packet costs more: its "
		      "driver '%s' has no native XDP",
		      key->name, nic->driver);
	else
		found(examination, SEVERITY_WARNING, "mode",
		      json_sprintf("%s detach %s%s --drain 30s && %s attach %s%s",
				   examination->tpsctl, key->name, option, examination->tpsctl,
				   key->name, option),
		      "device '%s': attached in generic mode, in which a packet costs more%s%s%s",
		      key->name, nic->native == TPS_TOLD_YES ? ", and its driver '" : "",
		      nic->native == TPS_TOLD_YES ? nic->driver : "",
		      nic->native == TPS_TOLD_YES ? "' has native XDP" : "");
}

/* By the name that it was attached by, the device may be no more, or another. True: it is the one.
 */
static bool is_itself(struct examination *examination, const struct tps_device_entry *entry,
		      __u32 now)
{
	const char *tpsctl = examination->tpsctl, *name = entry->key.name;
	char called[IF_NAMESIZE] = "", option[NAME_TEXT];

	netns_option(&entry->key, option);
	if (entry->attached && now == entry->device.ifindex)
		return true;
	if (entry->attached && if_indextoname(entry->device.ifindex, called)) {
		found(examination, SEVERITY_WARNING, "renamed",
		      json_sprintf("ip link set %s name %s, or %s detach %s%s && %s attach %s%s",
				   called, name, tpsctl, name, option, tpsctl, called, option),
		      "device '%s' is called '%s' now: the gate is on it still, and no command by "
		      "its new name finds it",
		      name, called);
		return false;
	}
	if (entry->attached)
		return true;
	if (now)
		found(examination, SEVERITY_ERROR, "attached",
		      json_sprintf("%s attach %s%s", tpsctl, name, option),
		      "device '%s': wanted, but the gate is not on it: nothing that comes by it is "
		      "limited",
		      name);
	else
		found(examination, SEVERITY_ERROR, "gone",
		      json_sprintf("%s detach %s%s, or bring it back and attach it again", tpsctl,
				   name, option),
		      "device '%s': the gate is wanted on it, and there is no such device", name);
	return false;
}

/* In the network namespace of the device. */
static void examine_there(struct examination *examination, const struct tps_device_entry *entry)
{
	struct tps_nic nic = {};
	int err = tps_nic_read(entry->key.name, &nic);
	char option[NAME_TEXT];

	if (!is_itself(examination, entry, err ? 0 : nic.ifindex))
		return;
	netns_option(&entry->key, option);
	if (!entry->wanted)
		found(examination, SEVERITY_WARNING, "unwanted",
		      json_sprintf("%s detach %s%s", examination->tpsctl, entry->key.name, option),
		      "device '%s': the gate is on it, but not wanted: a detach was not ended",
		      entry->key.name);
	else if (entry->egress == 0)
		found(examination, SEVERITY_ERROR, "egress",
		      json_sprintf("%s attach %s%s", examination->tpsctl, entry->key.name, option),
		      "device '%s': the gate's egress filter has gone: connections with answered "
		      "requests hang",
		      entry->key.name);
	if (err)
		return;
	if (entry->device.mode == TPS_XDP_GENERIC)
		examine_mode(examination, &entry->key, &nic);
	examine_nic(examination, &entry->key, &nic);
	examine_egress(examination, &entry->key, nic.ifindex);
}

void examine_gate_device(struct examination *examination, const struct tps_device_entry *entry)
{
	_cleanup_netns_ int back_fd = -1;
	char option[NAME_TEXT];
	struct tps_why why = {};
	int err = tps_device_enter(&entry->key, &back_fd, &why);

	if (!err)
		examine_there(examination, entry);
	else if (err == -ENOENT)
		found(examination, SEVERITY_ERROR, "gone",
		      json_sprintf("%s detach %s%s", examination->tpsctl, entry->key.name,
				   netns_option(&entry->key, option)),
		      "device '%s': the gate is wanted on it, and its network namespace '%s' has "
		      "gone",
		      entry->key.name, entry->key.netns);
	else
		found(examination, SEVERITY_NOTE, "netns",
		      json_sprintf("sudo %s doctor", examination->tpsctl),
		      "device '%s' was not looked at: %s", entry->key.name, why.text);
}

/* ---- where it may be put */

static void examine_native(struct examination *examination, const struct tps_device_key *key,
			   const struct tps_nic *nic)
{
	char in[NAME_TEXT], option[NAME_TEXT];

	netns_prefix(key, in);
	netns_option(key, option);
	if (nic->native == TPS_TOLD_NO)
		found(examination, SEVERITY_WARNING, "native",
		      json_sprintf("%s attach %s%s --xdp-mode generic, or the device below it",
				   examination->tpsctl, key->name, option),
		      "device '%s': its driver '%s' has no native XDP", key->name, nic->driver);
	else if (nic->native == TPS_TOLD_NOTHING)
		found(examination, SEVERITY_NOTE, "native",
		      json_sprintf("%s attach %s%s --observe --xdp-mode auto says which it got",
				   examination->tpsctl, key->name, option),
		      "device '%s': this kernel does not tell whether its driver '%s' has native "
		      "XDP",
		      key->name, nic->driver);
	else if (nic->frags == TPS_TOLD_NO && nic->mtu > tps_nic_mtu_of_a_page())
		found(examination, SEVERITY_WARNING, "mtu",
		      json_sprintf("%sip link set %s mtu %u", in, key->name,
				   tps_nic_mtu_of_a_page()),
		      "device '%s': MTU %u needs XDP on several buffers, which its driver '%s' has "
		      "not: it may refuse the gate",
		      key->name, nic->mtu, nic->driver);
}

static bool is_of_tps(__u32 id)
{
	char name[TPS_PROGRAM_NAME];

	return !tps_program_name(id, name) && !strcmp(name, TPS_PIN_GATE);
}

static void examine_others(struct examination *examination, const struct tps_device_key *key,
			   __u32 ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char program[TPS_PROGRAM_TEXT], in[NAME_TEXT];
	__u32 id;

	if (bpf_xdp_query(ifindex, 0, &query))
		return;
	id = query.prog_id       ? query.prog_id
	     : query.drv_prog_id ? query.drv_prog_id
				 : query.skb_prog_id;
	if (id && !is_of_tps(id))
		found(examination, SEVERITY_ERROR, "taken",
		      json_sprintf("%sip link set %s xdp off; where it is there by a link: bpftool "
				   "link",
				   netns_prefix(key, in), key->name),
		      "device '%s': the XDP program %s is there, and the gate will be refused",
		      key->name, tps_program_print(id, program));
}

void examine_device(struct examination *examination, const struct tps_device_key *key)
{
	_cleanup_netns_ int back_fd = -1;
	struct tps_nic nic;

	if (tps_device_enter(key, &back_fd, NULL) || tps_nic_read(key->name, &nic))
		return;
	examine_native(examination, key, &nic);
	examine_others(examination, key, nic.ifindex);
	examine_nic(examination, key, &nic);
	examine_egress(examination, key, nic.ifindex);
}
