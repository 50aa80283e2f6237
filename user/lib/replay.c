// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the gate's two programs over a capture. Frames are read by the gate's own dual headers, so
 * that no second reader can see another flow, or another name, than it does.
 */
#include "replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include <tps/bucket.h>
#include <tps/frame.h>
#include <tps/http.h>
#include <tps/tls.h>

#include "ban.h"
#include "caller_names.h"
#include "clock.h"
#include "dump.h"
#include "explain.h"
#include "label.h"
#include "object.h"
#include "slot.h"

#define START_NS BUCKET_NS_PER_SEC /* the gate's time at the capture's first packet */
#define LONGEST_NS (1ULL << 57)    /* of a capture; a bucket's time ends later (tps/bucket.h) */
#define JIFFIES_EVERY 64 /* packets between two looks at jiffies: they move by 1 ns each */
#define UNDONE 65536
#define CLIENTS 65536
#define RUN_BYTES_MAX \
	69632 /* what a test run takes: 17 pages of fragments (net/bpf/test_run.c) \
	       */

/* Arrays of the object that are per CPU elsewhere; here one thread runs, and they are memory. */
enum seen { SEEN_TOTALS, SEEN_COUNTERS, SEEN_SCRATCH, SEEN_NAMES, SEEN_MAX };
static const char *const seen_names[SEEN_MAX] = {"totals", "counters", "scratch", "hello_scans"};

/* An entry of a connection before a segment of it was refused. */
struct undone {
	__u32 seq;
	__u32 was_there;
	struct tps_flow flow;
};

struct tps_replay {
	struct bpf_object *object;
	struct tps_gate *gate;
	int gate_fd, egress_fd, clocks_fd;
	int undone_fd;  /* LRU by flow: struct undone */
	int clients_fd; /* LRU by flow of datagrams: who was first */
	bool has_undone;
	void *seen[SEEN_MAX];
	size_t seen_bytes[SEEN_MAX];
	size_t scan_at, flow_at; /* in the gate's struct segment */
	struct tps_totals *totals_before;
	struct tps_counter *counters_before;
	struct tps_source_table sources;
	struct tps_caller_names *names;
	__u8 modes[TPS_LISTENERS_MAX];
	bool observes;
	__u64 jiffies, now_ns;
	__u32 runs;
	struct tps_replay_counts counts;
};

static const char *const skip_texts[TPS_SKIP_MAX] = {
#define ROW(id, text, help) [TPS_SKIP_##id] = text,
	TPS_SKIPS(ROW)
#undef ROW
};
static const char *const skip_helps[TPS_SKIP_MAX] = {
#define ROW(id, text, help) [TPS_SKIP_##id] = help,
	TPS_SKIPS(ROW)
#undef ROW
};

const char *tps_skip_text(enum tps_skip skip)
{
	return skip < TPS_SKIP_MAX ? skip_texts[skip] : NULL;
}

const char *tps_skip_help(enum tps_skip skip)
{
	return skip < TPS_SKIP_MAX ? skip_helps[skip] : NULL;
}

/* ---- made */

static int seen_prepare(struct bpf_object *object)
{
	for (int i = 0; i < SEEN_MAX; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, seen_names[i]);
		int err = map ? bpf_map__set_type(map, BPF_MAP_TYPE_ARRAY) : -ENOENT;

		if (!err)
			err = bpf_map__set_map_flags(map, BPF_F_MMAPABLE);
		if (err)
			return err;
	}
	return 0;
}

static int seen_map(struct tps_replay *replay)
{
	for (int i = 0; i < SEEN_MAX; i++) {
		const struct bpf_map *map =
			bpf_object__find_map_by_name(replay->object, seen_names[i]);
		size_t bytes = (bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);
		void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

		if (at == MAP_FAILED)
			return -errno;
		replay->seen[i] = at;
		replay->seen_bytes[i] = bytes;
	}
	return 0;
}

/* Where @name is in the gate's struct segment, which only its BTF tells. */
static int segment_offset(const struct bpf_object *object, const char *name, size_t *ret_at)
{
	const struct btf *btf = bpf_object__btf(object);
	__s32 id = btf__find_by_name_kind(btf, "segment", BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, id) : NULL;
	const struct btf_member *member = type ? btf_members(type) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++) {
		if (strcmp(btf__name_by_offset(btf, member[i].name_off), name))
			continue;
		*ret_at = btf_member_bit_offset(type, i) / 8;
		return 0;
	}
	return -ENOENT;
}

static int lru_make(const char *name, __u32 value_size, __u32 entries)
{
	return bpf_map_create(BPF_MAP_TYPE_LRU_HASH, name, sizeof(struct tps_flow_key), value_size,
			      entries, NULL);
}

static int programs_find(struct tps_replay *replay)
{
	replay->gate_fd = tps_object_program(replay->object, TPS_PIN_GATE);
	replay->egress_fd = tps_object_program(replay->object, TPS_PIN_EGRESS);
	replay->clocks_fd = tps_object_program(replay->object, "clocks");
	if (replay->gate_fd < 0 || replay->egress_fd < 0 || replay->clocks_fd < 0)
		return -ENOENT;
	replay->undone_fd = lru_make("tps_undone", sizeof(struct undone), UNDONE);
	if (replay->undone_fd < 0)
		return replay->undone_fd;
	replay->clients_fd = lru_make("tps_clients", sizeof(__u32), CLIENTS);
	return replay->clients_fd < 0 ? replay->clients_fd : 0;
}

static int replay_load(struct tps_replay *replay, const __u32 capacity[TPS_MAP_MAX],
		       struct tps_why *why)
{
	int err = 0;

	replay->object = tps_object_open(&err, why);
	if (!replay->object)
		return err;
	err = tps_gate_size(replay->object, capacity);
	if (!err)
		err = seen_prepare(replay->object);
	if (!err)
		err = tps_object_load(replay->object, why);
	if (!err)
		err = seen_map(replay);
	if (!err)
		err = segment_offset(replay->object, "scan", &replay->scan_at);
	if (!err)
		err = segment_offset(replay->object, "flow", &replay->flow_at);
	return err ? err : programs_find(replay);
}

int tps_replay_make(const __u32 capacity[TPS_MAP_MAX], const __u64 secret[2],
		    struct tps_replay **ret_replay, struct tps_why *why)
{
	_cleanup_(tps_replay_close_at_end) struct tps_replay *replay = calloc(1, sizeof(*replay));
	int err;

	if (!replay)
		return -ENOMEM;
	replay->gate_fd = replay->egress_fd = replay->clocks_fd = -1;
	replay->undone_fd = replay->clients_fd = -1;
	err = replay_load(replay, capacity, why);
	if (!err)
		err = tps_gate_adopt(replay->object, secret, &replay->gate, why);
	if (err)
		return tps_why_say(why, err, "the replay's gate cannot be made: %s",
				   strerror(-err));
	*ret_replay = TAKE_PTR(replay);
	return 0;
}

void tps_replay_close(struct tps_replay *replay)
{
	for (int i = 0; i < SEEN_MAX; i++) {
		if (replay->seen[i])
			munmap(replay->seen[i], replay->seen_bytes[i]);
	}
	tps_close_at_end(&replay->gate_fd);
	tps_close_at_end(&replay->egress_fd);
	tps_close_at_end(&replay->clocks_fd);
	tps_close_at_end(&replay->undone_fd);
	tps_close_at_end(&replay->clients_fd);
	tps_caller_names_free(replay->names);
	tps_gate_close(replay->gate);
	if (replay->object)
		bpf_object__close(replay->object);
	tps_source_table_free(&replay->sources);
	free(replay->totals_before);
	free(replay->counters_before);
	free(replay);
}

struct tps_gate *tps_replay_gate(struct tps_replay *replay)
{
	return replay->gate;
}

/* ---- settings */

static int entries_copy(int from, int to)
{
	_cleanup_free_ void *keys = NULL, *values = NULL;
	size_t count;
	int err = tps_dump_read(from, &keys, &values, &count);

	return err ? err : tps_dump_write(to, keys, values, count);
}

int tps_settings_copy(const struct tps_gate *from, struct tps_gate *to)
{
	static const enum tps_map hashes[] = {TPS_MAP_callers, TPS_MAP_sources4, TPS_MAP_sources6,
					      TPS_MAP_keys,    TPS_MAP_hosts,    TPS_MAP_bans};
	int err = 0;

	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes) && !err; i++)
		err = entries_copy(from->map_fd[hashes[i]], to->map_fd[hashes[i]]);
	if (err)
		return err;
	tps_words_store(to->limits, from->limits,
			to->capacity[TPS_MAP_limits] * sizeof(*to->limits));
	tps_words_store(to->tiers, from->tiers, TPS_TIERS_MAX * sizeof(*to->tiers));
	tps_words_store(to->listeners, from->listeners, TPS_LISTENERS_MAX * sizeof(*to->listeners));
	tps_words_store(to->ports, from->ports, TPS_PORTS_MAX * sizeof(*to->ports));
	tps_words_store(to->control, from->control, sizeof(*to->control));
	return 0;
}

/* A ban that holds now holds throughout, whenever the capture was made. */
static int bans_settle(struct tps_gate *gate)
{
	_cleanup_free_ void *keys = NULL, *values = NULL;
	__u64 now_ns = tps_now_ns();
	struct tps_ban *ban;
	size_t count;
	int err = tps_dump_read(gate->map_fd[TPS_MAP_bans], &keys, &values, &count);

	if (err)
		return err;
	ban = values;
	for (size_t i = 0; i < count; i++)
		ban[i].until_ns = ban[i].until_ns > now_ns ? TPS_BAN_FOR_EVER : 0;
	for (__u32 slot = 0; slot < gate->capacity[TPS_MAP_limits]; slot++) {
		__u64 *until_ns = &gate->limits[slot].banned_until_ns;

		if (*until_ns)
			tps_word_store(until_ns, *until_ns > now_ns ? TPS_BAN_FOR_EVER : 0);
	}
	return tps_dump_write(gate->map_fd[TPS_MAP_bans], keys, values, count);
}

static void listeners_settle(struct tps_replay *replay)
{
	struct tps_gate *gate = replay->gate;
	struct tps_control control = *gate->control;

	replay->observes = control.observe;
	control.transit = 0;
	for (int i = 1; i < TPS_LISTENERS_MAX; i++) {
		struct tps_listener listener = gate->listeners[i];

		if (!listener.protocol)
			continue;
		replay->modes[i] = listener.mode;
		listener.placement = TPS_PLACEMENT_TRANSIT;
		listener.refusal = TPS_REFUSAL_DROP;
		control.transit++;
		tps_words_store(&gate->listeners[i], &listener, sizeof(listener));
	}
	control.observe = 1;
	control.paused = 0;
	control.draining = 0;
	control.tick_ns = TPS_TICK_OF_REPLAY_NS;
	tps_words_store(gate->control, &control, sizeof(control));
}

int tps_replay_begin(struct tps_replay *replay, struct tps_why *why)
{
	int err = bans_settle(replay->gate);

	listeners_settle(replay);
	if (!err)
		err = tps_caller_names_make(replay->gate, &replay->names);
	if (!err)
		err = tps_source_table_read(replay->gate, &replay->sources);
	replay->totals_before = calloc(1, replay->seen_bytes[SEEN_TOTALS]);
	replay->counters_before = calloc(1, replay->seen_bytes[SEEN_COUNTERS]);
	if (!replay->totals_before || !replay->counters_before)
		err = -ENOMEM;
	return err ? tps_why_say(why, err, "the replay's settings: %s", strerror(-err)) : 0;
}

/* ---- time */

/* From now on the gate's time is that of the capture, @time_ns; never back. */
static int time_set(struct tps_replay *replay, __u64 time_ns)
{
	struct tps_replay_counts *counts = &replay->counts;

	if (!counts->packets)
		counts->first_ns = counts->last_ns = time_ns;
	if (time_ns < counts->last_ns)
		counts->backwards++;
	else
		counts->last_ns = time_ns;
	replay->now_ns = START_NS + counts->last_ns - counts->first_ns;
	if (replay->now_ns > LONGEST_NS)
		replay->now_ns = LONGEST_NS;
	if (replay->runs++ % JIFFIES_EVERY == 0) {
		struct tps_clocks clocks = {};
		LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &clocks,
			    .ctx_size_in = sizeof(clocks));
		int err = bpf_prog_test_run_opts(replay->clocks_fd, &options);

		if (err)
			return err;
		replay->jiffies = clocks.jiffies;
	}
	tps_word_store(&replay->gate->control->tick_offset_ns, replay->now_ns - replay->jiffies);
	return 0;
}

/* ---- a packet */

static int program_run(int fd, const __u8 *frame, __u32 bytes)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = bytes,
		    .repeat = 1);

	return bpf_prog_test_run_opts(fd, &options);
}

static struct tps_flow_key turned(const struct tps_flow_key *flow)
{
	struct tps_flow_key key = {.source_port_be = flow->destination_port_be,
				   .destination_port_be = flow->source_port_be};

	memcpy(key.source_be, flow->destination_be, sizeof(key.source_be));
	memcpy(key.destination_be, flow->source_be, sizeof(key.destination_be));
	return key;
}

static bool is_known(const struct tps_replay *replay, const struct tps_flow_key *client)
{
	struct tps_handshake handshake;
	struct tps_flow flow;

	return !bpf_map_lookup_elem(replay->gate->map_fd[TPS_MAP_flows], client, &flow) ||
	       !bpf_map_lookup_elem(replay->gate->map_fd[TPS_MAP_handshakes], client, &handshake);
}

enum side { SIDE_OTHER, SIDE_CLIENT, SIDE_SERVER, SIDE_UNKNOWN };

/* Both ports are listeners': whose side was seen before? */
static enum side side_guess(struct tps_replay *replay, const struct frame *frame)
{
	struct tps_flow_key back = turned(&frame->flow);
	__u32 one = 1;

	if (frame->is_udp) {
		if (!bpf_map_lookup_elem(replay->clients_fd, &back, &one))
			return SIDE_SERVER;
		bpf_map_update_elem(replay->clients_fd, &frame->flow, &one, BPF_ANY);
		return SIDE_CLIENT;
	}
	if (frame->flags & FRAME_SYN)
		return frame->flags & FRAME_ACK ? SIDE_SERVER : SIDE_CLIENT;
	if (is_known(replay, &frame->flow))
		return SIDE_CLIENT;
	return is_known(replay, &back) ? SIDE_SERVER : SIDE_UNKNOWN;
}

static __u32 listener_at(const struct tps_replay *replay, const struct frame *frame, __u16 port_be)
{
	return replay->gate->ports[TPS_PORT_INDEX(frame->is_udp, dual_swap16(port_be))].listener;
}

static enum side side_of(struct tps_replay *replay, const struct frame *frame, int outcome,
			 __u32 *ret_listener)
{
	__u32 to, from;

	if (outcome != FRAME_TCP && outcome != FRAME_UDP && outcome != FRAME_FIRST_FRAGMENT)
		return SIDE_OTHER;
	to = listener_at(replay, frame, frame->flow.destination_port_be);
	from = listener_at(replay, frame, frame->flow.source_port_be);
	*ret_listener = to;
	if (to && from)
		return side_guess(replay, frame);
	return to ? SIDE_CLIENT : from ? SIDE_SERVER : SIDE_OTHER;
}

static bool is_read(const struct tps_replay *replay, __u32 listener, const struct frame *frame,
		    int outcome)
{
	__u8 protocol = replay->gate->listeners[listener].protocol;

	return (protocol == TPS_PROTOCOL_HTTP || protocol == TPS_PROTOCOL_TLS) &&
	       outcome == FRAME_TCP && frame->payload_bytes && !(frame->flags & FRAME_SYN);
}

/* ---- what a refusal would have left as it was */

/*
 * A segment that was refused comes again, and the capture's server has not got it: so it was
 * dropped there as well, and the gate would know nothing of it.
 */
static void undo(struct tps_replay *replay, const struct frame *frame, struct tps_flow *flow,
		 bool *is_there)
{
	int flows = replay->gate->map_fd[TPS_MAP_flows];
	struct undone before;

	if (!replay->has_undone || !*is_there ||
	    bpf_map_lookup_elem(replay->undone_fd, &frame->flow, &before) ||
	    before.seq != frame->seq || (__s32)(frame->seq - flow->server_next) < 0)
		return;
	bpf_map_delete_elem(replay->undone_fd, &frame->flow);
	*is_there = before.was_there;
	if (!before.was_there) {
		bpf_map_delete_elem(flows, &frame->flow);
		return;
	}
	before.flow.server_next = flow->server_next;
	before.flow.ack_high = flow->ack_high;
	*flow = before.flow;
	bpf_map_update_elem(flows, &frame->flow, flow, BPF_ANY);
}

static void undo_keep(struct tps_replay *replay, const struct frame *frame,
		      const struct tps_flow *flow, bool is_there)
{
	struct undone before = {.seq = frame->seq, .was_there = is_there};

	if (is_there)
		before.flow = *flow;
	replay->has_undone = true;
	bpf_map_update_elem(replay->undone_fd, &frame->flow, &before, BPF_ANY);
}

/* ---- what the run has counted */

static __u64 verdicts_gained(const struct tps_totals *now, const struct tps_totals *before,
			     enum tps_verdict verdict)
{
	__u64 gained = 0;

	for (int tier = 0; tier < TPS_TIERS_MAX; tier++)
		gained += now->verdicts[tier][verdict] - before->verdicts[tier][verdict];
	return gained;
}

static enum tps_reason reason_gained(const struct tps_totals *now, const struct tps_totals *before)
{
	for (int action = 0; action < TPS_ACTION_MAX; action++) {
		for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
			if (now->packets[action][reason] != before->packets[action][reason])
				return reason;
		}
	}
	return TPS_REASON_MAX;
}

static enum tps_reason note_gained(const struct tps_totals *now, const struct tps_totals *before)
{
	for (int reason = 0; reason < TPS_REASON_MAX; reason++) {
		enum tps_reason_class class = tps_reason_class(reason);

		if (now->notes[reason] != before->notes[reason] &&
		    (class == TPS_CLASS_unproven || class == TPS_CLASS_undecided))
			return reason;
	}
	return TPS_REASON_MAX;
}

/* The source's, when nothing else says whose. */
static int charge_source(struct tps_replay *replay, const struct tps_prefix *source,
			 struct tps_replay_charge *ret)
{
	struct tps_whose whose;
	int err = tps_whose_source(replay->gate, source, &whose);

	if (err)
		return err;
	ret->slot = whose.slot;
	ret->by = whose.by;
	if (whose.by == TPS_BY_SOURCE)
		ret->prefix = tps_source_longest(&replay->sources, source);
	return 0;
}

/* One of the charges that the gate found in a segment. */
static int charge_read(struct tps_replay *replay, const struct tps_replayed *of,
		       const struct charge *charge, struct tps_replay_charge *ret)
{
	const struct tps_flow *flow = replay->seen[SEEN_SCRATCH] + replay->flow_at;
	const struct tls_scan *names = replay->seen[SEEN_NAMES];
	struct tps_whose whose;
	int err;

	ret->transactions = charge->heads;
	if (charge->kind == CHARGE_KEY) {
		memcpy(ret->key.hash, charge->hash, sizeof(ret->key.hash));
		err = tps_whose_key(replay->gate, &ret->key, &whose);
		if (err && err != -ENOENT)
			return err;
		ret->slot = whose.slot;
		ret->by = TPS_BY_KEY;
		if (!err)
			return 0;
	} else if (charge->kind == CHARGE_BOUND && tps_slot_is_live(replay->gate, flow->bound)) {
		ret->slot = flow->bound;
		ret->by = TPS_BY_SNI;
		memcpy(ret->name.text, names->name, names->name_bytes & (TLS_NAME_SPAN - 1));
		return 0;
	}
	return charge_source(replay, &of->source, ret);
}

/* Whom the transactions were charged to. */
static int charges_read(struct tps_replay *replay, bool is_scanned, __u64 transactions,
			struct tps_replayed *of)
{
	const struct http_scan *scan = replay->seen[SEEN_SCRATCH] + replay->scan_at;
	int err = 0;

	if (!is_scanned || of->reason == TPS_REASON_BANNED_PREFIX) {
		of->charge_count = 1;
		of->charges[0].transactions = transactions;
		return charge_source(replay, &of->source, &of->charges[0]);
	}
	of->charge_count = scan->charges < TPS_CHARGES_MAX ? scan->charges : TPS_CHARGES_MAX;
	for (__u32 i = 0; i < of->charge_count && !err; i++)
		err = charge_read(replay, of, &scan->charge[i], &of->charges[i]);
	return err;
}

/* The gate's own counters must say the same. */
static void charges_verify(struct tps_replay *replay, const struct tps_replayed *of,
			   __u64 transactions)
{
	const struct tps_counter *now = replay->seen[SEEN_COUNTERS];
	enum tps_verdict verdict =
		of->verdict == TPS_VERDICT_ALLOWED ? TPS_VERDICT_ALLOWED : TPS_VERDICT_WOULD_REFUSE;
	__u64 charged = 0, counted = 0;

	if (of->reason == TPS_REASON_BANNED_PREFIX) /* which no caller's counter has */
		return;
	for (__u32 i = 0; i < of->charge_count; i++) {
		__u32 slot = of->charges[i].slot.slot;
		struct tps_counter *before = &replay->counters_before[slot];

		charged += of->charges[i].transactions;
		counted += now[slot].verdicts[verdict] - before->verdicts[verdict];
		*before = now[slot];
	}
	if (charged != transactions || counted != transactions)
		replay->counts.unattributed += transactions;
}

/* What the run has done, by what it counted. */
static int outcome_read(struct tps_replay *replay, bool is_scanned, struct tps_replayed *of)
{
	const struct tps_totals *now =
		(const struct tps_totals *)replay->seen[SEEN_TOTALS] + of->listener;
	struct tps_totals *before = &replay->totals_before[of->listener];
	__u64 allowed = verdicts_gained(now, before, TPS_VERDICT_ALLOWED);
	__u64 refused = verdicts_gained(now, before, TPS_VERDICT_WOULD_REFUSE);
	bool observes = replay->observes || replay->modes[of->listener] == TPS_MODE_OBSERVE;
	int err;

	of->reason = reason_gained(now, before);
	of->note = note_gained(now, before);
	*before = *now;
	if (!allowed && !refused)
		return 0;
	of->verdict = allowed ? TPS_VERDICT_ALLOWED : tps_verdict_of(of->reason, observes);
	err = charges_read(replay, is_scanned, allowed + refused, of);
	if (!err)
		charges_verify(replay, of, allowed + refused);
	return err;
}

/* ---- the sides */

static int skip(struct tps_replay *replay, enum tps_skip why)
{
	replay->counts.skipped[why]++;
	return 0;
}

/* A segment of which bytes are missing: the gate is to know as little of its connection as if it
 * had been there before it. */
static int skip_cut(struct tps_replay *replay, const struct frame *frame)
{
	bpf_map_delete_elem(replay->gate->map_fd[TPS_MAP_flows], &frame->flow);
	bpf_map_delete_elem(replay->gate->map_fd[TPS_MAP_handshakes], &frame->flow);
	return skip(replay, TPS_SKIP_CUT);
}

static int client_run(struct tps_replay *replay, const struct tps_captured *captured,
		      const struct frame *frame, int outcome, struct tps_replayed *of)
{
	bool reads = is_read(replay, of->listener, frame, outcome), is_there = false;
	struct tps_handshake handshake;
	struct tps_flow flow;
	int err;

	if (reads && captured->bytes < frame->payload_at + frame->payload_bytes)
		return skip_cut(replay, frame);
	if (captured->bytes > RUN_BYTES_MAX)
		return skip(replay, TPS_SKIP_UNREAD);
	if (reads) {
		is_there = !bpf_map_lookup_elem(replay->gate->map_fd[TPS_MAP_flows], &frame->flow,
						&flow);
		undo(replay, frame, &flow, &is_there);
		if (!is_there && bpf_map_lookup_elem(replay->gate->map_fd[TPS_MAP_handshakes],
						     &frame->flow, &handshake))
			return skip(replay, TPS_SKIP_NO_HANDSHAKE);
	}
	err = program_run(replay->gate_fd, captured->frame, captured->bytes);
	if (!err)
		err = outcome_read(replay, reads, of);
	if (!err && reads && of->charge_count && of->verdict != TPS_VERDICT_ALLOWED)
		undo_keep(replay, frame, &flow, is_there);
	return err;
}

/* Of a server's segment only the headers are read. */
static int server_run(struct tps_replay *replay, const struct tps_captured *captured,
		      const struct frame *frame, int outcome)
{
	__u32 bytes = captured->bytes;

	replay->counts.served++;
	if (outcome != FRAME_TCP)
		return 0;
	if (bytes > frame->payload_at)
		bytes = frame->payload_at;
	return program_run(replay->egress_fd, captured->frame, bytes);
}

int tps_replay_run(struct tps_replay *replay, const struct tps_captured *captured,
		   struct tps_replayed *ret)
{
	struct tps_replayed of = {
		.reason = TPS_REASON_MAX, .note = TPS_REASON_MAX, .verdict = TPS_VERDICT_MAX};
	struct frame frame = {};
	__u32 listener = 0;
	int outcome, err = time_set(replay, captured->time_ns);

	replay->counts.packets++;
	if (err)
		return err;
	*ret = of;
	if (captured->bytes < ETH_HLEN)
		return 0;
	outcome = frame_read(captured->frame, captured->frame + captured->bytes, &frame);
	switch (side_of(replay, &frame, outcome, &listener)) {
	case SIDE_CLIENT:
		break;
	case SIDE_SERVER:
		return server_run(replay, captured, &frame, outcome);
	case SIDE_UNKNOWN:
		return skip(replay, TPS_SKIP_AMBIGUOUS);
	default:
		return 0;
	}
	replay->counts.asked++;
	of.listener = listener;
	of.flow = frame.flow;
	of.is_udp = frame.is_udp;
	of.source = tps_prefix_of_words(frame.flow.source_be, frame.family);
	err = client_run(replay, captured, &frame, outcome, &of);
	if (!err)
		*ret = of;
	return err;
}

const struct tps_replay_counts *tps_replay_counts(struct tps_replay *replay)
{
	return &replay->counts;
}

const char *tps_replay_caller(const struct tps_replay *replay, __u32 slot)
{
	const struct tps_gate *gate = replay->gate;

	if (slot >= gate->capacity[TPS_MAP_limits])
		return NULL;
	return tps_caller_names_find(replay->names,
				     (struct tps_slot){slot, gate->limits[slot].generation});
}
