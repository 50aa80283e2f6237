/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second gate, which nothing is attached to and nobody can find: the same object with maps of its
 * own, run packet by packet at the times of a capture. Knows how its settings must stand for that;
 * knows no file.
 *
 * Nothing in the object knows of it. Time: control says how jiffies become nanoseconds, and here a
 * jiffy is 1 ns on top of the capture's time. Proof: every listener's placement is transit, so that
 * the egress program takes it from what the capture's servers send. Verdicts: the gate observes, so
 * that a connection goes on after a refusal as it does in the capture.
 */
#ifndef TPS_REPLAY_H
#define TPS_REPLAY_H

#include "capture.h"
#include "gate.h"
#include "server_name.h"
#include "text.h"
#include "whose.h"

struct tps_replay;

/* What could not be replayed. X(enum suffix, text, help) */
#define TPS_SKIPS(X) \
	X(NO_HANDSHAKE, "no_handshake", \
	  "of a connection whose handshake is not in the capture, before its server spoke") \
	X(CUT, "cut", "captured without all of its payload: its connection goes on as an old one") \
	X(AMBIGUOUS, "ambiguous", "both ports are listeners', and nothing tells which one served") \
	X(UNREAD, "unread", "larger than the kernel runs")
#define TPS_ENUM_SKIP(id, ...) TPS_SKIP_##id,
enum tps_skip { TPS_SKIPS(TPS_ENUM_SKIP) TPS_SKIP_MAX };
#undef TPS_ENUM_SKIP
const char *tps_skip_text(enum tps_skip skip);
const char *tps_skip_help(enum tps_skip skip);

/* Transactions of a packet that are all of one caller or stranger. */
struct tps_replay_charge {
	struct tps_slot slot; /* TPS_SLOT_STRANGERS: a stranger's */
	enum tps_by by;
	__u32 transactions;
	const struct tps_prefix *prefix; /* by SOURCE: the longest; or NULL */
	struct tps_key key;              /* by KEY */
	struct tps_server_name name;     /* by SNI: as the client sent it */
};

/* What became of a packet. */
struct tps_replayed {
	__u32 listener; /* 0: no client's to a listener */
	struct tps_flow_key flow;
	struct tps_prefix source; /* the address */
	bool is_udp;
	enum tps_reason reason;
	enum tps_reason note;     /* class unproven or undecided: what is behind it; else MAX */
	enum tps_verdict verdict; /* MAX: no transaction was in it */
	struct tps_replay_charge charges[TPS_CHARGES_MAX];
	__u32 charge_count;
};

struct tps_replay_counts {
	__u64 packets;
	__u64 served; /* of them, of servers at a listener's port */
	__u64 asked;  /* of clients to one */
	__u64 skipped[TPS_SKIP_MAX];
	__u64 backwards;    /* earlier than the one before: taken for as late */
	__u64 unattributed; /* transactions that the gate counted elsewhere: 0, or a fault of tps */
	__u64 first_ns, last_ns; /* of the capture */
};

/* A gate to be set as @to wants: for the capacities of @capacity (0: the defaults). */
int tps_replay_make(const __u32 capacity[TPS_MAP_MAX], const __u64 secret[2],
		    struct tps_replay **ret_replay, struct tps_why *why);
void tps_replay_close(struct tps_replay *replay);
TPS_DEFINE_CLEANUP(struct tps_replay *, tps_replay_close)

/* Its gate: for settings, until tps_replay_begin(). */
struct tps_gate *tps_replay_gate(struct tps_replay *replay);
/* Settings of @from to @to, which has the same capacities: all that an operator sets. */
int tps_settings_copy(const struct tps_gate *from, struct tps_gate *to);

/* The settings stand. Buckets are full; bans that hold now hold throughout; nothing is paused. */
int tps_replay_begin(struct tps_replay *replay, struct tps_why *why);

int tps_replay_run(struct tps_replay *replay, const struct tps_captured *captured,
		   struct tps_replayed *ret);

const struct tps_replay_counts *tps_replay_counts(struct tps_replay *replay);
/* NULL for a slot that nobody has. */
const char *tps_replay_caller(const struct tps_replay *replay, __u32 slot);

#endif
