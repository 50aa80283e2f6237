/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract between the gate and user space: every map key and value, every enum and every
 * bound. All of it is host byte order unless the name ends in _be; padding is explicit and zero.
 * Knows no map definition (bpf/maps.h) and no pin path (tps/names.h).
 *
 * Changing the meaning of a field means renaming it or raising TPS_ABI_VERSION: the layout hash in
 * `meta` covers names, offsets and types.
 */
#ifndef TPS_ABI_H
#define TPS_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

#define TPS_MAGIC 0x31737074u /* "tps1" */
#define TPS_ABI_VERSION 1

/* ---- bounds -------------------------------------------------------------------------------- */

#define TPS_NAME_LEN 64      /* names of callers and listeners, with the NUL */
#define TPS_TIER_NAME_LEN 32 /* with the NUL */
#define TPS_TEXT_LEN 64      /* a ban's reason, with the NUL */
#define TPS_VERSION_LEN 24   /* with the NUL */
#define TPS_LISTENERS_MAX 64 /* listener 0 stands for "not a listener's" */
#define TPS_TIERS_MAX 32
#define TPS_PORTS_PER_LISTENER 16
#define TPS_KEY_HEADERS_MAX 4
#define TPS_HEADER_NAME_MAX 32 /* bytes of a key header's name */
#define TPS_KEY_BYTES_MAX 128  /* bytes of an API key */
#define TPS_COST_MAX 1000
#define TPS_VLAN_TAGS_MAX 8              /* Linux strips any number of VID 0 */
#define TPS_IPV6_HEADERS_MAX 8           /* extension headers before the transport header */
#define TPS_BAN_LENGTHS_MAX 33           /* different prefix lengths of bans, per family */
#define TPS_CARRY_BYTES 192              /* of an incomplete line of a request head */
#define TPS_HEAD_BYTES_MAX 32768         /* a longer request head is undecided */
#define TPS_CHARGES_MAX 4                /* different callers named in one segment */
#define TPS_HOST_BYTES_MAX 253           /* of a TLS server name (RFC 1035 2.3.4, as text) */
#define TPS_HOST_LABELS_MAX 6            /* of the name behind "*." */
#define TPS_HELLO_BYTES_MAX 16384        /* a longer ClientHello is undecided */
#define TPS_SPLICED_PER_SOURCE_MAX 16384 /* spliced connections of one cell of spliced_sources */

/* ---- words --------------------------------------------------------------------------------- */

enum tps_protocol {
	TPS_PROTOCOL_NONE,
	TPS_PROTOCOL_HTTP,
	TPS_PROTOCOL_TLS,
	TPS_PROTOCOL_TCP,
	TPS_PROTOCOL_UDP,
	TPS_PROTOCOL_MAX,
};
/* X(enum suffix, text) */
#define TPS_PROTOCOLS(X) X(HTTP, "http") X(TLS, "tls") X(TCP, "tcp") X(UDP, "udp")

enum tps_mode { TPS_MODE_ENFORCE, TPS_MODE_OBSERVE, TPS_MODE_MAX };
#define TPS_MODES(X) X(ENFORCE, "enforce") X(OBSERVE, "observe")

enum tps_refusal {
	TPS_REFUSAL_DROP,
	TPS_REFUSAL_ANSWER,
	TPS_REFUSAL_CLOSE,
	TPS_REFUSAL_RESET,
	TPS_REFUSAL_MAX,
};
#define TPS_REFUSALS(X) X(DROP, "drop") X(ANSWER, "answer") X(CLOSE, "close") X(RESET, "reset")

enum tps_placement { TPS_PLACEMENT_LOCAL, TPS_PLACEMENT_TRANSIT, TPS_PLACEMENT_MAX };
#define TPS_PLACEMENTS(X) X(LOCAL, "local") X(TRANSIT, "transit")

/* A transaction's fate. */
#define TPS_VERDICTS(X) \
	X(ALLOWED, "allowed", "within the limit, or exempt: the request went on") \
	X(REFUSED, "refused", "over a limit") \
	X(BANNED, "banned", "of a banned source or caller") \
	X(WOULD_REFUSE, "would_refuse", "observing: over a limit or banned, and passed")

/* A packet's. */
#define TPS_ACTIONS(X) X(PASS, "pass") X(DROP, "drop") X(TX, "tx")

/*
 * Why. Each packet has one final reason (tps_totals.packets); what was noticed on the way is noted
 * as well (tps_totals.notes). The class says which question a reason answers: pass      what passes
 * without being a transaction verdict   what decided over a transaction order     what was dropped
 * so that the sender's retransmission restores the order unproven  why a transaction could not be
 * proven (charged to the unproven bucket) undecided why a request head names nobody for certain
 * (charged to the source) note      noticed on the way error     an internal error: the packet
 * passed
 */
#define TPS_REASONS(X) \
	X(NOT_LISTENER, "not_listener", pass, "no listener has this port") \
	X(NOT_IP, "not_ip", pass, "ARP and other protocols beside IP") \
	X(NOT_TRANSPORT, "not_transport", pass, "IP, but neither TCP nor UDP") \
	X(LATER_FRAGMENT, "later_fragment", pass, "an IP fragment after the first") \
	X(MALFORMED, "malformed", pass, "headers cut short or contradictory") \
	X(PAUSED, "paused", pass, "the kill switch is on") \
	X(NO_PAYLOAD, "no_payload", pass, "a TCP segment that carries no transaction") \
	X(PARTIAL_HEAD, "partial_head", pass, "a request head that goes on in the next segment") \
	X(BODY, "body", pass, "bytes of a request body") \
	X(RESENT, "resent", pass, \
	  "bytes that were let through before, or that the host cannot take") \
	X(JOINED, "joined", pass, "a connection older than its entry") \
	X(OPAQUE, "opaque", pass, "after a protocol upgrade or CONNECT") \
	X(PARTIAL_HELLO, "partial_hello", pass, "a ClientHello that goes on in the next segment") \
	X(BOUND, "bound", pass, "of a TLS connection whose handshake was charged") \
	X(SAME_TURN, "same_turn", pass, "HTTP/2: no new server data since the last charge") \
	X(ALLOWED, "allowed", verdict, "within the limit") \
	X(EXEMPT, "exempt", verdict, "of an exempt caller") \
	X(LIMIT, "limit", verdict, "over the caller's or the stranger's limit") \
	X(LISTENER_LIMIT, "listener_limit", verdict, "over the listener's own limit") \
	X(SHARED_LIMIT, "shared_limit", verdict, "over the strangers' shared limit, table full") \
	X(BANNED_PREFIX, "banned_prefix", verdict, "source prefix banned by hand") \
	X(BANNED_CALLER, "banned_caller", verdict, "caller banned by hand") \
	X(CONTENDED, "contended", verdict, "retries of a bucket ran out") \
	X(OUT_OF_ORDER, "out_of_order", order, "beyond the next byte of a request head or hello") \
	X(UNACKED, "unacked", order, \
	  "before an answer was acked that the server knows nothing of") \
	X(ENDED, "ended", order, "after an answer that ended the connection") \
	X(TOO_MANY_TAGS, "too_many_tags", order, "more VLAN tags than are read") \
	X(TOO_MANY_HEADERS, "too_many_headers", order, "more IP headers than are read") \
	X(URGENT, "urgent", order, "TCP urgent data, which the host takes out of the stream") \
	X(NO_SOCKET, "no_socket", unproven, "no socket on this host: is the placement transit?") \
	X(OUTSIDE_WINDOW, "outside_window", unproven, "outside the socket's windows") \
	X(NO_HANDSHAKE, "no_handshake", unproven, "ahead of a proven handshake") \
	X(SYN_PAYLOAD, "syn_payload", unproven, "a SYN that carries payload") \
	X(SYN, "syn", unproven, "a connection attempt: anybody can forge it") \
	X(DATAGRAM, "datagram", unproven, "a datagram: anybody can forge it") \
	X(FIRST_FRAGMENT, "first_fragment", unproven, "the first fragment of a listener's packet") \
	X(BAD_REQUEST_LINE, "bad_request_line", undecided, "not METHOD SP target SP HTTP/1.x") \
	X(BARE_LF, "bare_lf", undecided, "a line that ends without CR") \
	X(CONTROL_BYTE, "control_byte", undecided, "a bare CR or another control byte in a head") \
	X(FOLDED, "folded", undecided, "obsolete line folding") \
	X(SPACE_BEFORE_COLON, "space_before_colon", undecided, "white space before the colon") \
	X(DOUBLED_KEY, "doubled_key", undecided, "the key header more than once") \
	X(BAD_KEY, "bad_key", undecided, "a key over 128 bytes or padded without end") \
	X(BAD_LENGTH, "bad_length", undecided, "body framing that contradicts itself") \
	X(LONG_HEAD, "long_head", undecided, "a request head over 32 KiB") \
	X(MANY_KEYS, "many_keys", undecided, "more different keys in a segment than are told") \
	X(VOID, "void", undecided, "after bytes that the host may have read otherwise") \
	X(HTTP2, "http2", undecided, "a turn of HTTP/2 without TLS") \
	X(NOT_HELLO, "not_hello", undecided, \
	  "a connection that does not begin with a ClientHello") \
	X(BAD_HELLO, "bad_hello", undecided, "a ClientHello whose lengths contradict each other") \
	X(BAD_NAME, "bad_name", undecided, "a server name that is no host name") \
	X(LONG_HELLO, "long_hello", undecided, "a ClientHello too long, or too long in coming") \
	X(UNKNOWN_NAME, "unknown_name", note, "a server name that no caller has") \
	X(UNKNOWN_KEY, "unknown_key", note, "an API key that no caller has") \
	X(STALE_SLOT, "stale_slot", note, "an identity of a caller that has gone") \
	X(ANSWERED_AGAIN, "answered_again", note, "an answer that was lost is given again") \
	X(NO_SCRATCH, "no_scratch", error, "per-CPU memory was not there") \
	X(NO_CONTROL, "no_control", error, "a settings map was not there") \
	X(NO_FLOW, "no_flow", error, "a flow entry could not be made") \
	X(NO_SPLICE, "no_splice", error, "a spliced segment could not be rewritten") \
	X(NO_STRANGER, "no_stranger", error, "a stranger's entry could not be made") \
	X(NO_READ, "no_read", error, "the payload could not be read")

#define TPS_ENUM_VERDICT(id, ...) TPS_VERDICT_##id,
#define TPS_ENUM_ACTION(id, ...) TPS_ACTION_##id,
#define TPS_ENUM_REASON(id, ...) TPS_REASON_##id,
enum tps_verdict { TPS_VERDICTS(TPS_ENUM_VERDICT) TPS_VERDICT_MAX };
enum tps_action { TPS_ACTIONS(TPS_ENUM_ACTION) TPS_ACTION_MAX };
enum tps_reason { TPS_REASONS(TPS_ENUM_REASON) TPS_REASON_MAX };
#undef TPS_ENUM_VERDICT
#undef TPS_ENUM_ACTION
#undef TPS_ENUM_REASON

/* ---- what the operator sets ------------------------------------------------------------------ */

/* A rate as it was written: milli/1000 transactions each period_s seconds. 0.5/s = {500, 1}. */
struct tps_rate {
	__u64 milli;
	__u32 period_s; /* 1, 60, 3600 or 86400; 0: none given */
	__u32 zero;
};

/* A rate in whole numbers, as an answer says it: quota transactions each window_s seconds
 * (draft-ietf-httpapi-ratelimit-headers). 0.5/s = {1, 2}. */
struct tps_policy {
	__u32 quota;
	__u32 window_s;
};

/* control: one entry. Written by tpsctl, read by the gate for each packet. */
struct tps_control {
	__u32 paused;     /* the kill switch: all passes, uncharged */
	__u32 observe;    /* every listener observes */
	__u32 generation; /* raised after each change of sources; never 0 */
	__u32 default_tier;
	__u32 sources4; /* is there any source prefix, IPv4 / IPv6? (counts) */
	__u32 sources6;
	__u32 sources6_long; /* IPv6 prefixes longer than /64: a /64 is not one caller then */
	__u32 transit;       /* listeners with placement transit */
	__u32 listeners;     /* of any kind */
	/* raised when the gate looks away or back: pause, resume, observe, enforce, attach */
	__u32 epoch;
	__u32 keys_generation; /* raised after each key that goes */
	__u32 enforcing;       /* listeners of mode enforce */
	__u64 ban_lengths4;    /* bit n: some IPv4 ban has prefix length n (0..32) */
	__u64 ban_lengths6[3]; /* bit n % 64 of word n / 64 (0..128) */
	__u64 secret[2];       /* of the API key hash; the bytes of /etc/tps/secret */
	__u64 tick_ns;         /* of jiffies; 0: read no jiffies */
	__u64 tick_offset_ns;  /* jiffies64 * tick_ns + this lags CLOCK_MONOTONIC by 0 .. 1 tick */
	__u32 draining;        /* no connection is spliced any more: a detach waits for them */
	/* bit 0: some caller has a whole server name; bit n: some has *.suffix, suffix of n labels
	 */
	__u32 host_depths;
};

/* A name of a header that carries the key, made ready for comparing 8 bytes at a time: a header
 * matches when ((text | fold) & care) == name for all four words. */
struct tps_key_header {
	__u64 name[TPS_HEADER_NAME_MAX / 8]; /* lower case, zero padded */
	__u64 fold[TPS_HEADER_NAME_MAX / 8]; /* 0x20 under each letter */
	__u64 care[TPS_HEADER_NAME_MAX / 8]; /* 0xff under each byte of the name */
	__u32 len;
	__u32 bearer; /* the value is "Bearer KEY" (RFC 6750 2.1) */
};

/* listeners: array by listener number, 1 .. TPS_LISTENERS_MAX - 1. protocol NONE: a free number. */
struct tps_listener {
	__u64 limit;      /* bucket_limit of all its transactions; 0: none */
	__u16 cost;       /* tokens a transaction, >= 1 */
	__u8 protocol;    /* enum tps_protocol */
	__u8 mode;        /* enum tps_mode */
	__u8 refusal;     /* enum tps_refusal */
	__u8 placement;   /* enum tps_placement */
	__u8 key_headers; /* how many of key_header[] are set (http) */
	__u8 port_count;
	struct tps_key_header key_header[TPS_KEY_HEADERS_MAX];
	/* for user space */
	struct tps_rate rate;
	__u32 burst;
	__u32 zero;
	struct tps_policy policy; /* as answers name the rate */
	__u16 port[TPS_PORTS_PER_LISTENER];
	char name[TPS_NAME_LEN];
	char key_header_text[TPS_KEY_HEADERS_MAX][TPS_HEADER_NAME_MAX]; /* as given, NUL padded */
};

/* tiers: array by tier number. limit 0: a free number. */
struct tps_tier {
	__u64 limit;              /* bucket_limit */
	struct tps_policy policy; /* as answers name the rate */
	char name[TPS_TIER_NAME_LEN];
	/* for user space */
	struct tps_rate rate;
	__u32 burst;
	__u32 burst_given; /* 0: burst follows the rate, one second of it */
};

#define TPS_LIMIT_EXEMPT 0x01

/* limits: array by slot. What a caller may do. Written by tpsctl alone, each word by one store. */
struct tps_limit {
	__u64 own;             /* bucket_limit, 0: the tier's */
	__u64 banned_until_ns; /* CLOCK_MONOTONIC; 0: not banned; ~0: until lifted */
	__u32 generation;      /* 0: nobody has this slot */
	__u8 tier;
	__u8 flags; /* TPS_LIMIT_* */
	__u16 zero;
	struct tps_policy policy; /* of own */
};

/* callers: hash by name. For user space alone; the gate knows slots. */
struct tps_caller_key {
	char name[TPS_NAME_LEN];
};
struct tps_caller {
	__u32 slot;
	__u32 generation;
	struct tps_rate rate; /* own, or period_s 0 */
	__u32 burst;          /* own; 0: follows the rate */
	__u8 tier;
	__u8 flags; /* TPS_LIMIT_* */
	__u16 zero;
	__u64 ban_made_s; /* CLOCK_REALTIME, of a ban by hand */
	char ban_reason[TPS_TEXT_LEN];
};

/* Slot 0 is never a caller's: its counters are the strangers', all together (an evicted stranger
 * takes its own along). */
#define TPS_SLOT_STRANGERS 0

/* A slot and which of its tenants is meant. */
struct tps_slot {
	__u32 slot;
	__u32 generation;
};

/* sources4, sources6: LPM to tps_slot. Only data[0 .. prefix_bits) counts. */
struct tps_source4_key {
	__u32 prefix_bits;
	__u32 address_be;
};
struct tps_source6_key {
	__u32 prefix_bits;
	__u8 address[16];
};

/* keys: hash by SipHash-2-4-128 of the key under the secret, to whose it is. */
struct tps_key {
	__u64 hash[2];
};
struct tps_key_owner {
	struct tps_slot slot;
	/* the gate's: when the key last came, CLOCK_MONOTONIC; 0: never yet. Written once in
	 * TPS_KEY_USE_NS at most, and no later than TPS_KEY_BIND_SHIFT allows after that. */
	__u64 used_ns;
};
#define TPS_KEY_USE_NS 60000000000ULL
/* A flow asks again whose its key is each 2^13 jiffies: 8 s at HZ 1000, 33 s at 250, 82 s at 100.
 */
#define TPS_KEY_BIND_SHIFT 13

/* hosts: hash by the same hash, of a server name in lower case read backwards, to whose it is. Of
 * "*.suffix" the name is ".suffix". */
struct tps_host {
	struct tps_slot slot;
	char name[TPS_HOST_BYTES_MAX + 3]; /* for user space, as given, in lower case; "*." before a
					      suffix */
};

/* bans: hash of prefixes banned by hand, host bits zero. Never evicted; ignored once past. */
struct tps_ban_key {
	__u8 address[16]; /* IPv4: the first four bytes */
	__u32 prefix_bits;
	__u32 family; /* 4 or 6 */
};
struct tps_ban {
	__u64 until_ns; /* CLOCK_MONOTONIC; ~0: until lifted */
	__u64 made_s;   /* CLOCK_REALTIME; 0: the policy's own */
	char reason[TPS_TEXT_LEN];
};

/* devices: hash of the devices that the gate is wanted on. */
#define TPS_NETNS_LEN 48
#define TPS_DEVICE_LEN 16
enum tps_xdp_mode { TPS_XDP_AUTO, TPS_XDP_NATIVE, TPS_XDP_GENERIC, TPS_XDP_MODE_MAX };
#define TPS_XDP_MODES(X) X(AUTO, "auto") X(NATIVE, "native") X(GENERIC, "generic")
struct tps_device_key {
	char netns[TPS_NETNS_LEN]; /* its name under /run/netns; empty: the one of the attach */
	char name[TPS_DEVICE_LEN];
};
struct tps_device {
	__u32 ifindex;
	__u32 mode;  /* enum tps_xdp_mode: what was got, native or generic */
	__u32 flags; /* TPS_DEVICE_* */
	__u32 zero;
};
#define TPS_DEVICE_CLSACT 0x01 /* tps made the clsact qdisc, and removes it when it is empty */

/* meta: one entry; tpsctl's alone. What it begins with, layout_hash included, stays where it is. */
struct tps_meta {
	__u32 magic;
	__u32 abi_version;
	__u64 layout_hash;
	__u32 hint_slot;               /* no slot below this one is free; for user space */
	__u32 last_generation;         /* of a slot's tenant: no two tenants ever share one */
	char version[TPS_VERSION_LEN]; /* of the tpsctl whose programs run */
	__u64 object_hash; /* of the object that they are of; 0: a swap of them has not ended */
};

/* ---- what the gate spends and counts --------------------------------------------------------- */

/* Two words under one limit: unproven is for what anybody can forge. */
struct tps_bucket {
	__u64 proven_tat_vt;
	__u64 unproven_tat_vt;
};

/*
 * The last transaction that was refused (or banned, or would have been), in one word, so that it is
 * never half of one and half of another: CLOCK_MONOTONIC without its lowest 16 bits (66 us), which
 * hold reason (8), verdict (2) and listener (6). 0: none yet. Written once in TPS_EVENT_APART_NS:
 * of those that follow within it nothing is told.
 */
#define TPS_LAST(now_ns, reason, verdict, listener) \
	(((now_ns) & ~0xffffULL) | (__u64)(reason) << 8 | (verdict) << 6 | (listener))
#define TPS_LAST_NS(last) ((last) & ~0xffffULL)
#define TPS_LAST_REASON(last) ((last) >> 8 & 255)
#define TPS_LAST_VERDICT(last) ((last) >> 6 & 3)
#define TPS_LAST_LISTENER(last) ((last)&63)
#define TPS_EVENT_APART_NS 1010000000ULL /* a second, and the most that jiffies lag */

/* buckets: array by slot. It begins with the bucket. */
struct tps_account {
	struct tps_bucket bucket;
	__u64 last; /* TPS_LAST */
	__u64 zero;
};

/* listener_buckets: array by listener number. */
struct tps_listener_bucket {
	struct tps_bucket own;       /* of the listener's own limit */
	struct tps_bucket strangers; /* shared by strangers whose entry could not be made */
	__u64 last;                  /* TPS_LAST, of strangers that have no entry */
};

/* strangers: LRU hash by source address (IPv6: /64). Also remembers to whom a source belongs, so
 * that the prefix tries are walked once per address and change of sources. */
struct tps_address {
	__u64 word; /* IPv6: the first 8 bytes; IPv4: TPS_ADDRESS_IPV4 | address (host order) */
};
/* ff00::/8 is multicast and never a source (RFC 4291 2.7): no IPv6 source collides. */
#define TPS_ADDRESS_IPV4 0xff00000000000000ULL
struct tps_stranger {
	struct tps_bucket bucket;
	__u64 last;               /* TPS_LAST */
	__u32 sources_generation; /* control.generation at which .caller was looked up */
	__u32 zero;
	struct tps_slot caller; /* generation 0: a stranger indeed */
	__u64 verdicts[TPS_VERDICT_MAX];
};

/* counters: per-CPU array by slot, transactions by verdict; TPS_SLOT_STRANGERS: of all strangers.
 */
struct tps_counter {
	__u64 verdicts[TPS_VERDICT_MAX];
};

/* totals: per-CPU array by listener number; 0: what is no listener's. */
struct tps_totals {
	__u64 verdicts[TPS_TIERS_MAX][TPS_VERDICT_MAX];  /* transactions */
	__u64 packets[TPS_ACTION_MAX][TPS_REASON_MAX];   /* one final reason each */
	__u64 refusals[TPS_REFUSAL_MAX][TPS_REASON_MAX]; /* what was given, if not the drop */
	__u64 notes[TPS_REASON_MAX];
};

/* ---- what the gate tells --------------------------------------------------------------------- */

/*
 * events: one entry, mapped. A ring that the gate writes over and any number read, each at its own
 * pace: nothing is consumed, and where nobody reads nothing waits. At most one event for each
 * caller (or stranger) in TPS_EVENT_APART_NS.
 */
#define TPS_EVENTS_MAX 4096
struct tps_event {
	/* the event's number + 1, set last; TPS_EVENT_OPEN: being written. A reader takes the turn,
	 * copies the event, and believes the copy if the turn is the same then. */
	__u64 turn;
	__u64 time_ns;        /* CLOCK_MONOTONIC */
	struct tps_slot slot; /* generation 0: a stranger */
	__u32 source_be[4];   /* as in tps_flow_key */
	/* enum tps_verdict: the fate of a transaction. From TPS_VERDICT_MAX on: what else happens.
	 */
	__u8 kind;
	__u8 reason;   /* enum tps_reason */
	__u8 listener; /* its number */
	__u8 tier;
	__u16 port_be; /* of the listener */
	__u8 family;   /* 4 or 6 */
	__u8 zero;
};
#define TPS_EVENT_OPEN (~0ULL)
struct tps_events {
	__u64 next; /* the number of the next event; that of the first is 0 */
	__u64 lost; /* events that the gate could not write, and those that a reader came too late
		       for */
	struct tps_event event[TPS_EVENTS_MAX]; /* by number modulo TPS_EVENTS_MAX */
};

/* ---- flows ------------------------------------------------------------------------------------
 */

/* As the client sends: source first. IPv4 as ::ffff:a.b.c.d. */
struct tps_flow_key {
	__u32 source_be[4];
	__u32 destination_be[4];
	__u16 source_port_be;
	__u16 destination_port_be;
};

/* The HTTP parser between two segments; see bpf/http.h. */
struct tps_http {
	__u8 phase; /* enum http_phase */
	__u8 key;   /* enum http_key: of the head that is open */
	__u8 flags; /* HTTP_* */
	__u8 carry_bytes;
	__u32 head_bytes; /* of the head that is open */
	__u64 body_bytes; /* still to come */
	__u64 key_hash[2];
	__u8 carry[TPS_CARRY_BYTES];
};

/* The TLS parser between two segments; see bpf/tls.h. */
struct tps_hello {
	__u8 phase;         /* enum tls_phase */
	__u8 flags;         /* TLS_* */
	__u8 header_bytes;  /* how many of a record's header that is open are in .header */
	__u8 field_bytes;   /* the same of a field */
	__u8 disorder;      /* segments that came out of order */
	__u8 reason;        /* enum tps_reason: why it names nobody; 0: not so */
	__u16 record_bytes; /* of the record, still to come */
	__u32 header;
	__u32 field;
	__u32 hello_bytes; /* of the ClientHello, still to come */
	__u16 skip_bytes;  /* of them, before the next field */
	__u16 name_bytes;
	__u16 list_bytes; /* of the extension server_name */
	__u16 zero;
	__u32 begin_jiffies;                /* the low half: when it began */
	__u32 sent_seq;                     /* all that the server had to send when it ended */
	__u8 name[TPS_HOST_BYTES_MAX + 11]; /* with room for an 8-byte store at its end */
};

/* flows: LRU hash, written by the gate alone. Made by proof only. Sequence numbers are host order.
 */
struct tps_flow {
	__u32 next_seq;        /* the next byte that the parser wants */
	__u32 proven_ack;      /* the ack of the last segment that was proven: with it, no lookup */
	__u32 ack_high;        /* all that the server has to send, when it was last seen */
	__u32 server_next;     /* the server's rcv_nxt, when it was last seen */
	struct tps_slot bound; /* the caller of the last key or of the name; generation 0: none */
	/* control.keys_generation before it was looked up, + jiffies >> TPS_KEY_BIND_SHIFT: of two
	 * counts that only grow, the sum is the same only if neither moved */
	__u32 bound_generation;
	__u16 epoch;   /* control.epoch when it was last read */
	__u8 syn_seen; /* a SYN of this tuple came by: prove the next segment anew */
	__u8 protocol; /* enum tps_protocol: which of the two below it is */
	union {
		struct {                   /* http */
			__u32 framed_seq;  /* end of the last byte read as anything but a body */
			__u32 high_seq;    /* end of the last byte that was let through */
			__u32 turn_ack;    /* ack_high at the last charge */
			__u16 tainted;     /* enum http_phase: the framing was not known once */
			__u16 answers;     /* of the server, while the parser read a body that it
					      does not trust */
			__u64 bound_print; /* fingerprint of the bound caller's key; 0: none */
			__u64 bound_hash[2];
			__u32 open_seq;  /* what passed from here on may be read otherwise by the
					    host */
			__u32 again_seq; /* where the last segment that was not all body began */
			/* and http's state there, its first HTTP_STATE_BYTES; only when nothing was
			 * carried, else its phase is HTTP_PHASE_MAX */
			__u64 again[4];
			struct tps_http http;
		};
		struct tps_hello hello; /* tls */
	};
};

/*
 * An answer, all that its text is made of: what is sent again must be the same to the byte.
 */
struct tps_answer {
	char name[TPS_TIER_NAME_LEN]; /* of the tier */
	struct tps_policy policy;
	__u32 retry_s;
	__u16 bytes; /* of the text */
	__u8 closes; /* the connection ends with it */
	__u8 form;   /* enum tps_form */
};
enum tps_form {
	TPS_FORM_HEAD, /* an HTTP response without a body */
	TPS_FORM_BODY,
	TPS_FORM_ALERT, /* a TLS record */
};

/*
 * spliced: hash by tps_flow_key, written by the gate's two programs. A connection on which requests
 * were answered in the server's stead: the server knows less of what the client sent, and the
 * client more of what the server sent. Never evicted while the connection lives, since its sequence
 * numbers fit at neither end without it.
 *
 *   client's byte at c in the client's count   c - swallowed in the server's
 *   server's byte at t in the server's count   t + injected  in the client's
 *
 * The latest answer stands between two counts: client's bytes before asked_seq, and server's bytes
 * before edge_seq, are counted by the values of before.
 */
struct tps_splice {
	__u64 used_jiffies;        /* when a segment last came by */
	struct bpf_spin_lock lock; /* over what follows */
	__u32 swallowed;
	__u32 injected;
	__u32 swallowed_before;
	__u32 injected_before;
	__u32 asked_seq; /* the server's rcv_nxt at the latest answer, in the server's count */
	__u32 edge_seq;  /* its snd_nxt then */
	/* what the server's next ACK is to become */
	__u32 want_seq; /* for the request that begins here, in the server's count */
	__u32 want_ack; /* and that acked this, all that the server had sent */
	__u32 want_bytes;
	__u32 ifindex;     /* of the device that both directions use */
	__u8 want;         /* enum tps_want */
	__u8 state;        /* enum tps_splice_state */
	__u8 window_shift; /* the client's window scale */
	__u8 listener;
	__u8 reason;              /* enum tps_reason: why it is refused */
	__u8 ending;              /* TPS_SPLICE_*_FIN: who has ended its side */
	__u16 window_be;          /* as the server's last segment had it */
	struct tps_answer answer; /* the wanted one, or the latest that was given */
	__u32 client_end;         /* the byte behind the client's FIN, in the server's count */
	__u32 server_end;         /* the byte behind the server's */
	__u8 unacked;             /* the client has not acked the latest answer */
	__u8 tagged; /* leaves with a VLAN tag that stands beside the packet (skb->vlan_tci) */
	__u16 zero;
	__u32 sent_seq; /* the byte behind the last that was seen to leave, in the server's count */
	__u32 zero_end;
};

/* splicing: one entry, of all spliced connections together. */
struct tps_splicing {
	struct bpf_timer timer; /* looks for those that nobody uses */
	__u32 swept;            /* it is set */
	__u32 zero;
	/* bit ifindex % 64: frames leave by the device with a VLAN tag that stands beside them */
	__u64 tagged;
};
#define TPS_SPLICE_CLIENT_FIN 0x01
#define TPS_SPLICE_SERVER_FIN 0x02
#define TPS_SPLICE_BOTH_FIN 0x04 /* and the server has acked the client's */

/* spliced_sources: array by the client's address (IPv6: its /64), scattered, so that no source
 * fills `spliced` by itself. */
#define TPS_SPLICED_SOURCES_MAX 4096
static inline __attribute__((always_inline)) __u32 tps_spliced_source(const __u32 source_be[4])
{
	__u32 word = source_be[0] | source_be[1] ? source_be[0] ^ source_be[1] : source_be[3];

	return word * 0x9e3779b1u >> 20; /* Knuth, TAOCP 6.4: multiplicative hashing */
}
_Static_assert(TPS_SPLICED_SOURCES_MAX == 1 << (32 - 20), "tps_spliced_source");
enum tps_want {
	TPS_WANT_NOTHING,
	TPS_WANT_ANSWER,
	TPS_WANT_CLOSE,
	TPS_WANT_AGAIN, /* the latest answer once more */
	TPS_WANT_RESET, /* a RST, to either side */
};
enum tps_splice_state {
	TPS_SPLICE_OPEN,
	TPS_SPLICE_CLOSED, /* a closing answer was given; the server's socket is still to be reset
			    */
	TPS_SPLICE_RESET,  /* it was */
};

/* handshakes: LRU hash by tps_flow_key. Placement transit: SYN-ACKs that left on a hooked device.
 */
struct tps_handshake {
	__u32 client_next; /* the SYN-ACK's ack */
	__u32 server_next; /* the SYN-ACK's seq + 1 */
	__u32 epoch;       /* control.epoch then */
};

/* What the program `clocks` is given to fill in. */
struct tps_clocks {
	__u64 ktime_ns;
	__u64 jiffies;
};

/* ports: array by TPS_PORT_INDEX, to a listener number; 0: nobody's. */
#define TPS_PORT_INDEX(is_udp, port) ((__u32)(is_udp) << 16 | (port))
#define TPS_PORTS_MAX (2 << 16)

#define TPS_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
TPS_ASSERT_SIZE(tps_rate, 16);
TPS_ASSERT_SIZE(tps_control, 120);
TPS_ASSERT_SIZE(tps_key_header, 104);
TPS_ASSERT_SIZE(tps_listener, 16 + 4 * 104 + 32 + 32 + 64 + 128);
TPS_ASSERT_SIZE(tps_tier, 72);
TPS_ASSERT_SIZE(tps_limit, 32);
TPS_ASSERT_SIZE(tps_caller, 104);
TPS_ASSERT_SIZE(tps_slot, 8);
TPS_ASSERT_SIZE(tps_source4_key, 8);
TPS_ASSERT_SIZE(tps_source6_key, 20);
TPS_ASSERT_SIZE(tps_key, 16);
TPS_ASSERT_SIZE(tps_key_owner, 16);
TPS_ASSERT_SIZE(tps_ban_key, 24);
TPS_ASSERT_SIZE(tps_ban, 80);
TPS_ASSERT_SIZE(tps_device_key, 64);
TPS_ASSERT_SIZE(tps_device, 16);
TPS_ASSERT_SIZE(tps_meta, 56);
TPS_ASSERT_SIZE(tps_bucket, 16);
TPS_ASSERT_SIZE(tps_account, 32);
TPS_ASSERT_SIZE(tps_listener_bucket, 40);
TPS_ASSERT_SIZE(tps_stranger, 72);
TPS_ASSERT_SIZE(tps_event, 48);
TPS_ASSERT_SIZE(tps_events, 16 + 48 * TPS_EVENTS_MAX);
_Static_assert(TPS_VERDICT_MAX <= 4 && TPS_LISTENERS_MAX <= 64 && TPS_REASON_MAX <= 256,
	       "TPS_LAST has room for them");
TPS_ASSERT_SIZE(tps_flow_key, 36);
TPS_ASSERT_SIZE(tps_host, 264);
TPS_ASSERT_SIZE(tps_http, 224);
TPS_ASSERT_SIZE(tps_hello, 300);
TPS_ASSERT_SIZE(tps_flow, 336);
TPS_ASSERT_SIZE(tps_answer, 48);
TPS_ASSERT_SIZE(tps_splice, 128);
TPS_ASSERT_SIZE(tps_splicing, 32);

#endif
