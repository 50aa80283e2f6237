// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gate's maps tell: how full they are, what the switches say, what came and from whom; and
 * whether a tpsd holds them.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "control.h"
#include "counts.h"
#include "doctor.h"
#include "doubt.h"
#include "label.h"
#include "listening.h"
#include "netns.h"
#include "object.h"
#include "report.h"

#define FULL_PERCENT 80
#define LOOK_NS 250000000L
#define TRAFFIC_MIN 50 /* in that time; fewer do not tell who carries most of them */

/* ---- maps */

static const char *fullness_means(enum tps_map map)
{
	switch (map) {
	case TPS_MAP_strangers:
		return "of strangers, whoever was not seen for longest is forgotten, and begins "
		       "anew";
	case TPS_MAP_flows:
		return "connections that are forgotten pass uncharged until their next request";
	case TPS_MAP_handshakes:
		return "handshakes that are forgotten make requests unproven";
	case TPS_MAP_spliced:
		return "when it is full, further refusals on live connections are drops";
	default:
		return "when it is full, no further one can be set";
	}
}

static int examine_maps(struct examination *examination, const struct tps_gate *gate)
{
	for (int map = 0; map < TPS_MAP_MAX; map++) {
		__u32 entries, capacity = gate->capacity[map];
		int err;

		if (!tps_map_sizable(map))
			continue;
		err = tps_map_entries(gate, map, &entries);
		if (err)
			return err;
		if ((__u64)entries * 100 <= (__u64)capacity * FULL_PERCENT)
			continue;
		found(examination, SEVERITY_WARNING, "full",
		      json_sprintf("capacities are of the gate's making: %s detach --all --forget, "
				   "then %s attach DEVICE --capacity %s=%u, and its settings again",
				   examination->tpsctl, examination->tpsctl, tps_map_name(map),
				   2 * capacity),
		      "map '%s': %u of %u entries are taken; %s", tps_map_name(map), entries,
		      capacity, fullness_means(map));
	}
	return 0;
}

/* ---- switches and programs */

static void examine_switches(struct examination *examination, const struct tps_gate *gate)
{
	const struct tps_control *control = gate->control;

	if (control->paused)
		found(examination, SEVERITY_WARNING, "paused",
		      json_sprintf("%s resume", examination->tpsctl),
		      "the gate is paused: everything passes, uncharged");
	if (control->draining)
		found(examination, SEVERITY_WARNING, "draining",
		      json_sprintf("%s attach DEVICE, or detach it again", examination->tpsctl),
		      "a detach was not ended: requests are no longer answered on live "
		      "connections");
	if (control->observe)
		found(examination, SEVERITY_NOTE, "observing",
		      json_sprintf("%s list callers --sort would_refuse, then %s enforce",
				   examination->tpsctl, examination->tpsctl),
		      "the gate observes: nothing is refused");
	if (!control->listeners)
		found(examination, SEVERITY_WARNING, "listeners",
		      json_sprintf("%s set listener NAME --port P --protocol http",
				   examination->tpsctl),
		      "there is no listener: nothing is limited");
	if (!control->tick_ns)
		found(examination, SEVERITY_WARNING, "clock",
		      json_string("make the gate anew when the host is less busy"),
		      "jiffies were not understood when the gate was made: it reads the slower "
		      "clock");
}

static int examine_programs(struct examination *examination, const struct tps_gate *gate)
{
	struct tps_meta meta;
	int err = tps_meta_read(gate, &meta);

	if (err)
		return err;
	if (!meta.object_hash)
		found(examination, SEVERITY_ERROR, "version",
		      json_sprintf("%s attach DEVICE", examination->tpsctl),
		      "a swap of the gate's programs was not ended");
	else if (!tps_object_signed(&meta))
		found(examination, SEVERITY_WARNING, "version",
		      json_sprintf("%s attach DEVICE", examination->tpsctl),
		      "the programs that run are of another build, tpsctl '%.*s', this one is '%s'",
		      (int)sizeof(meta.version), meta.version, TPS_VERSION);
	return 0;
}

/* ---- listeners */

/* Every network namespace that the gate has a device in. */
static int listening_read(const struct tps_device_entry *devices, size_t count,
			  struct tps_listening *ret_listening)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		_cleanup_netns_ int back_fd = -1;

		if (tps_device_enter(&devices[i].key, &back_fd, NULL))
			return -ENXIO;
		err = tps_listening_add(ret_listening);
	}
	return err;
}

static void examine_ports(struct examination *examination, const struct tps_gate *gate,
			  const struct tps_device_entry *devices, size_t count)
{
	_cleanup_free_ struct tps_listening *listening = calloc(1, sizeof(*listening));

	/* where a namespace cannot be entered, nobody knows */
	if (!listening || !count || listening_read(devices, count, listening))
		return;
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		const struct tps_listener *listener = &gate->listeners[i];
		bool is_udp = listener->protocol == TPS_PROTOCOL_UDP;

		if (!listener->protocol || listener->placement != TPS_PLACEMENT_LOCAL)
			continue;
		for (int port = 0; port < listener->port_count; port++) {
			if (tps_listening_has(is_udp ? listening->udp : listening->tcp,
					      listener->port[port]))
				continue;
			found(examination, SEVERITY_WARNING, "deserted",
			      json_sprintf(
				      "start the server; or, where it is in a container or behind "
				      "this host: %s set listener %s --placement transit",
				      examination->tpsctl, listener->name),
			      "listener '%s': nobody listens on %s port %u of this host",
			      listener->name, is_udp ? "UDP" : "TCP", listener->port[port]);
		}
	}
}

static int examine_proof(struct examination *examination, struct tps_gate *gate,
			 const struct tps_totals *totals)
{
	_cleanup_json_ json_t *doubts = json_array();
	json_t *doubt;
	size_t at;
	int err = doubts_add(gate, totals, doubts);

	json_array_foreach(doubts, at, doubt) found(
		examination, SEVERITY_WARNING, "unproven",
		json_sprintf("%s set listener NAME --placement transit, where its server is not "
			     "on this host",
			     examination->tpsctl),
		"%s", json_string_value(doubt));
	return err;
}

/* ---- what came */

static void examine_errors(struct examination *examination, const struct tps_totals *totals)
{
	for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
		__u64 times = 0;

		if (tps_reason_class(reason) != TPS_CLASS_error)
			continue;
		for (int i = 0; i < TPS_LISTENERS_MAX; i++) {
			times += totals[i].notes[reason];
			for (int action = 0; action < TPS_ACTION_MAX; action++)
				times += totals[i].packets[action][reason];
		}
		if (times)
			found(examination, SEVERITY_WARNING, "errors",
			      json_sprintf("%s status shows whether a map is full",
					   examination->tpsctl),
			      "the gate failed %llu times, and let these packets pass: %s: %s",
			      times, tps_reason_text(reason), tps_reason_help(reason));
	}
}

static __u64 transactions_of(const __u64 verdicts[TPS_VERDICT_MAX])
{
	__u64 sum = 0;

	for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++)
		sum += verdicts[verdict];
	return sum;
}

static int by_address(const void *a, const void *b)
{
	const struct tps_stranger_entry *left = a, *right = b;

	return memcmp(&left->address, &right->address, sizeof(left->address));
}

/* Who of @now did most since @before; *ret_transactions of them. NULL: nobody did any. */
static const struct tps_stranger_entry *busiest(const struct tps_stranger_entry *now, size_t count,
						struct tps_stranger_entry *before,
						size_t count_before, __u64 *ret_transactions)
{
	const struct tps_stranger_entry *most = NULL, *then;
	__u64 of_most = 0;

	qsort(before, count_before, sizeof(*before), by_address);
	for (size_t i = 0; i < count; i++) {
		__u64 done = transactions_of(now[i].stranger.verdicts);

		then = bsearch(&now[i], before, count_before, sizeof(*before), by_address);
		/* one that was forgotten meanwhile began anew */
		if (then && transactions_of(then->stranger.verdicts) <= done)
			done -= transactions_of(then->stranger.verdicts);
		if (done > of_most) {
			of_most = done;
			most = &now[i];
		}
	}
	*ret_transactions = of_most;
	return most;
}

static __u64 transactions_in(const struct tps_totals *totals)
{
	__u64 sum = 0;

	for (int i = 1; i < TPS_LISTENERS_MAX; i++)
		sum += share_of(&totals[i]).transactions;
	return sum;
}

/* A stranger who is most of what comes now is rarely one: rather what many come through. Lets go of
 * the lock and looks twice. */
static int examine_sources(struct examination *examination, struct tps_gate *gate,
			   const struct tps_totals *totals)
{
	_cleanup_free_ struct tps_stranger_entry *before = NULL, *now = NULL;
	_cleanup_free_ struct tps_totals *second = calloc(TPS_LISTENERS_MAX, sizeof(*second));
	const struct tps_stranger_entry *most;
	size_t count_before, count;
	char text[TPS_PREFIX_TEXT];
	__u64 all, of_most;
	int err = second ? tps_strangers_read(gate, &before, &count_before) : -ENOMEM;

	if (err || !count_before)
		return err;
	tps_gate_unlock(gate);
	nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	err = tps_strangers_read(gate, &now, &count);
	if (!err)
		err = tps_totals_read(gate, second);
	if (err)
		return err;
	all = transactions_in(second) - transactions_in(totals);
	most = busiest(now, count, before, count_before, &of_most);
	if (!most || all < TRAFFIC_MIN || of_most * 2 <= all)
		return 0;
	tps_prefix_print(&most->address, text);
	found(examination, SEVERITY_WARNING, "proxy",
	      json_sprintf("if that is a load balancer: %s set caller NAME --source %s --exempt, "
			   "where its clients are told apart by their API keys; else %s ban %s",
			   examination->tpsctl, text, examination->tpsctl, text),
	      "source %s sent %llu of %llu transactions just now: through a load balancer, "
	      "strangers share one limit",
	      text, of_most, all);
	return 0;
}

/* ---- tpsd */

static void directory_close(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}
#define _cleanup_directory_ _cleanup_(directory_close)

static bool is_named(const char *process, const char *name)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[300], comm[32] = "";

	snprintf(path, sizeof(path), "/proc/%s/comm", process);
	file = fopen(path, "re");
	return file && fscanf(file, "%31s", comm) == 1 && !strcmp(comm, name);
}

/* Does the process have the map @id open? proc(5): a map's fdinfo tells its id. */
static bool has_map(const char *process, __u32 id)
{
	_cleanup_directory_ DIR *directory = NULL;
	const struct dirent *entry;
	char path[600], line[128];
	unsigned int of;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", process);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		_cleanup_fclose_ FILE *file = NULL;

		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", process, entry->d_name);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file)) {
			if (sscanf(line, "map_id: %u", &of) == 1 && of == id)
				return true;
		}
	}
	return false;
}

static void examine_tpsd(struct examination *examination, const struct tps_gate *gate)
{
	_cleanup_directory_ DIR *directory = opendir("/proc");
	struct bpf_map_info info = {};
	const struct dirent *process;
	__u32 size = sizeof(info);

	if (!directory || bpf_obj_get_info_by_fd(gate->map_fd[TPS_MAP_control], &info, &size))
		return;
	while ((process = readdir(directory))) {
		if (process->d_name[0] >= '1' && process->d_name[0] <= '9' &&
		    is_named(process->d_name, "tpsd") && has_map(process->d_name, info.id))
			return;
	}
	found(examination, SEVERITY_NOTE, "tpsd", json_string("systemctl start tpsd"),
	      "no tpsd serves this gate's metrics, nor holds it should its root be unmounted");
}

int examine_gate(struct examination *examination, struct tps_gate *gate,
		 const struct tps_device_entry *devices, size_t count)
{
	_cleanup_free_ struct tps_totals *totals = calloc(TPS_LISTENERS_MAX, sizeof(*totals));
	int err = totals ? tps_totals_read(gate, totals) : -ENOMEM;

	if (err)
		return err;
	if (!count)
		found(examination, SEVERITY_ERROR, "devices",
		      json_sprintf("%s attach DEVICE", examination->tpsctl),
		      "the gate is on no device: nothing is throttled");
	examine_switches(examination, gate);
	err = examine_programs(examination, gate);
	if (!err)
		err = examine_maps(examination, gate);
	if (err)
		return err;
	examine_errors(examination, totals);
	examine_ports(examination, gate, devices, count);
	examine_tpsd(examination, gate);
	err = examine_sources(examination, gate, totals);
	return err ? err : examine_proof(examination, gate, totals);
}
