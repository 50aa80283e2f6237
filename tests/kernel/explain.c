// SPDX-License-Identifier: GPL-2.0-only
/*
 * explain says what the gate does: settings, sources and buckets at random, explained first and
 * then met by a packet. And it changes nothing.
 */
#include <stdlib.h>

#include <arpa/inet.h>

#include <bpf/bpf.h>

#include <tps/siphash.h>

#include "lib/hello.h"
#include "lib/far.h"

#include "explain.h"
#include "gate.h"
#include "secret.h"

#define TLS_PORT 443
#define TLS 4
#define ROUNDS 3000
#define CALLERS 6
#define INTERVAL_NS (71ULL * BUCKET_NS_PER_SEC) /* of limit_frozen() */
#define SOURCES 10

static struct tps_gate *gate;
static struct tps_slot callers[CALLERS];

/* Some of one /24 or /64, some alone. */
static const char *const sources[SOURCES] = {
	"198.51.100.7",  "198.51.100.8",  "198.51.100.200",  "203.0.113.1",   "203.0.113.2",
	"2001:db8:7::7", "2001:db8:7::8", "2001:db8:7:1::1", "2001:db8:8::1", "2001:db8:9::1"};
static const char *const prefixes[] = {"198.51.100.0/24", "198.51.100.0/28", "198.51.100.8",
				       "203.0.0.0/16",    "203.0.113.2",     "2001:db8:7::/48",
				       "2001:db8:7::/64", "2001:db8:7::8",   "2001:db8::/32"};
static const char *const keys[] = {"alpha", "beta", "gamma"};
static const char *const names[] = {"api.example.com", "*.example.com", "*.com", "b.eu.example.com",
				    "*.eu.example.com"};
static const char *const asked_names[] = {"api.example.com",     "b.eu.example.com",
					  "c.eu.example.com",    "x.org",
					  "a.b.c.d.e.f.g.h.com", "com"};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static __u32 below(__u32 n)
{
	return random() % n;
}

static bool one_in(__u32 n)
{
	return !below(n);
}

static struct tps_slot someone(void)
{
	return callers[below(CALLERS)];
}

/* ---- states at random */

/* Tokens spent, to the middle of one, so that no test meets a refill; none; or a broken clock. */
static __u64 random_word(void)
{
	__u64 now_ns = harness_now_ns();

	switch (below(5)) {
	case 0:
		return 0;
	case 1:
		return bucket_now_vt(now_ns + 3600 * BUCKET_NS_PER_SEC);
	default:
		return bucket_now_vt(now_ns) -
		       ((below(5) * INTERVAL_NS + INTERVAL_NS / 2) << BUCKET_VT_SHIFT);
	}
}

static struct tps_bucket random_bucket(void)
{
	return (struct tps_bucket){random_word(), random_word()};
}

static bucket_limit random_limit(void)
{
	return one_in(4) ? 0 : limit_frozen(1 + below(4));
}

static __u64 random_until(void)
{
	__u64 now_ns = harness_now_ns();

	switch (below(4)) {
	case 0:
		return now_ns - BUCKET_NS_PER_SEC;
	case 1:
		return ~0ULL;
	default:
		return one_in(3) ? now_ns + 3600 * BUCKET_NS_PER_SEC : 0;
	}
}

static void mutate_listener(void)
{
	static const struct harness_listener of[] = {
		{.protocol = TPS_PROTOCOL_UDP, .ports = {UDP_PORT}},
		{.protocol = TPS_PROTOCOL_TCP, .ports = {TCP_PORT}},
		{.protocol = TPS_PROTOCOL_HTTP, .ports = {HTTP_PORT}},
		{.protocol = TPS_PROTOCOL_TLS, .ports = {TLS_PORT}},
	};
	__u32 number = 1 + below(4);
	struct harness_listener listener = of[number - 1];

	listener.mode = one_in(5) ? TPS_MODE_OBSERVE : TPS_MODE_ENFORCE;
	listener.placement = TPS_PLACEMENT_TRANSIT;
	listener.cost = 1 + (one_in(3) ? below(3) : 0);
	listener.limit = one_in(2) ? 0 : random_limit();
	harness_set_listener(&h, number, &listener);
}

static void mutate_listener_bucket(void)
{
	__u32 number = 1 + below(4);
	struct tps_listener_bucket bucket = {.own = random_bucket(), .strangers = random_bucket()};

	assert_false(bpf_map_update_elem(gate->map_fd[TPS_MAP_listener_buckets], &number, &bucket,
					 BPF_ANY));
}

static void mutate_stranger(void)
{
	struct tps_prefix source;
	struct tps_stranger entry;
	struct tps_address address;
	struct tps_why why;

	assert_false(tps_prefix_parse(sources[below(SOURCES)], &source, &why));
	address = tps_address_of(&source);
	if (bpf_map_lookup_elem(gate->map_fd[TPS_MAP_strangers], &address, &entry))
		return;
	entry.bucket = random_bucket();
	assert_false(
		bpf_map_update_elem(gate->map_fd[TPS_MAP_strangers], &address, &entry, BPF_EXIST));
}

static void mutate_caller(void)
{
	__u32 i = below(CALLERS);
	struct tps_bucket bucket = random_bucket();
	struct tps_limit limit = gate->limits[callers[i].slot];

	switch (below(5)) {
	case 0:
		callers[i] = harness_replace_caller(&h, callers[i], below(3), random_limit());
		return;
	case 1:
		limit.banned_until_ns = random_until();
		break;
	case 2:
		limit.flags = one_in(3) ? TPS_LIMIT_EXEMPT : 0;
		break;
	case 3:
		limit.own = random_limit();
		limit.tier = below(3);
		break;
	default:
		harness_set_bucket(&h, callers[i], &bucket);
		return;
	}
	assert_false(bpf_map_update_elem(gate->map_fd[TPS_MAP_limits], &callers[i].slot, &limit,
					 BPF_ANY));
}

static bool has_source[COUNT(prefixes)], has_ban[COUNT(prefixes)];

static void mutate_identity(void)
{
	__u32 i = below(COUNT(prefixes));

	switch (below(4)) {
	case 0:
		harness_add_key(&h, someone(), keys[below(COUNT(keys))]);
		break;
	case 1:
		harness_add_name(&h, someone(), names[below(COUNT(names))]);
		break;
	default:
		if (has_source[i])
			harness_remove_source(&h, prefixes[i]);
		else
			harness_add_source(&h, someone(), prefixes[i]);
		has_source[i] = !has_source[i];
		break;
	}
}

static void mutate_ban(void)
{
	__u32 i = below(COUNT(prefixes));

	if (has_ban[i])
		harness_unban(&h, prefixes[i]);
	else
		harness_ban(&h, prefixes[i], random_until());
	has_ban[i] = !has_ban[i];
	/* most prefixes hold: else nothing but bans would be met */
	for (i = 0; i < COUNT(prefixes); i++) {
		if (has_ban[i] && one_in(2)) {
			harness_unban(&h, prefixes[i]);
			has_ban[i] = false;
		}
	}
}

static void mutate(void)
{
	switch (below(9)) {
	case 0:
		harness_set_tier(&h, below(3), one_in(5) ? 0 : limit_frozen(1 + below(5)));
		break;
	case 1:
		harness_set_default_tier(&h, below(3));
		break;
	case 2:
		mutate_listener();
		break;
	case 3:
		mutate_listener_bucket();
		break;
	case 4:
		mutate_stranger();
		break;
	case 5:
		harness_observe(&h, one_in(6));
		harness_pause(&h, one_in(12));
		break;
	case 6:
		mutate_ban();
		break;
	case 7:
		mutate_identity();
		break;
	default:
		mutate_caller();
		break;
	}
}

/* ---- every byte of every map */

static void fold(__u64 *sum, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*sum = (*sum ^ ((const __u8 *)bytes)[i]) * 0x100000001b3ULL;
}

static void fold_map(__u64 *sum, int fd)
{
	static __u8 key[128], next[128], value[1 << 20];
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	__u64 entries = 0;
	void *at = NULL;

	assert_false(bpf_obj_get_info_by_fd(fd, &info, &size));
	while (!bpf_map_get_next_key(fd, at, next)) {
		__u64 one = 0xcbf29ce484222325ULL;

		memset(value, 0, sizeof(struct tps_totals));
		if (!bpf_map_lookup_elem(fd, next, value)) {
			fold(&one, next, info.key_size);
			fold(&one, value, info.value_size);
			entries += one;
		}
		memcpy(key, next, info.key_size);
		at = key;
	}
	fold(sum, &entries, sizeof(entries));
}

static __u64 fold_maps(void)
{
	__u64 sum = 0;

	for (int map = 0; map < TPS_MAP_MAX; map++) {
		if (map == TPS_MAP_spliced) /* a timer and a lock, which are not read */
			continue;
		if (map == TPS_MAP_ports || map == TPS_MAP_spliced_ports ||
		    map == TPS_MAP_spliced_sources)
			continue; /* these are held as memory, read-only where explain runs */
		fold_map(&sum, gate->map_fd[map]);
	}
	fold(&sum, gate->ports, TPS_PORTS_MAX * sizeof(*gate->ports));
	return sum;
}

/* ---- a transaction */

struct case_of {
	struct tps_question question;
	struct packet packet;
	__u32 number;
	struct tps_key hash;
	struct tps_server_name name;
	char payload[4096];
	struct hello hello;
};

/* The handshake, of which the egress program sees the answer. */
static void connect_far(struct case_of *of_case, const char *source, __u16 port)
{
	static __u16 client_port = 20000;
	struct packet syn_ack = {.destination = source, .source_port = port};

	if (++client_port < 20000)
		client_port = 20000;
	of_case->packet =
		(struct packet){.source = source,
				.destination = strchr(source, ':') ? FAR_SERVER6 : FAR_SERVER,
				.source_port = client_port,
				.destination_port = port,
				.seq = 1001,
				.ack = 900000001};
	syn_ack.source = of_case->packet.destination;
	syn_ack.destination_port = client_port;
	syn_ack.seq = of_case->packet.ack - 1;
	syn_ack.ack = of_case->packet.seq;
	syn_ack.flags = PACKET_SYN | PACKET_ACK;
	harness_run_egress(&h, &syn_ack);
}

static void random_case(struct case_of *of_case)
{
	const char *source = sources[below(SOURCES)];
	struct tps_control control = harness_control(&h);
	struct tps_why why;
	const char *text;

	memset(&of_case->question, 0, sizeof(of_case->question));
	of_case->number = 1 + below(5);
	assert_false(tps_prefix_parse(source, &of_case->question.source, &why));
	of_case->question.listener = of_case->number > 4 ? 0 : of_case->number;
	switch (of_case->number) {
	case UDP:
		of_case->packet = datagram(source);
		break;
	case TCP:
		of_case->packet = syn(source);
		break;
	case HTTP:
		connect_far(of_case, source, HTTP_PORT);
		text = keys[below(COUNT(keys))];
		snprintf(of_case->payload, sizeof(of_case->payload), GET);
		if (one_in(2)) {
			snprintf(of_case->payload, sizeof(of_case->payload), GET_KEY("%s"), text);
			siphash_128(control.secret, text, strlen(text), of_case->hash.hash);
			of_case->question.key = &of_case->hash;
		}
		of_case->packet.payload = of_case->payload;
		break;
	case TLS:
		connect_far(of_case, source, TLS_PORT);
		text = one_in(4) ? NULL : asked_names[below(COUNT(asked_names))];
		hello_usual(&of_case->hello, text, 600, 0);
		if (text) {
			assert_false(tps_server_name_parse(text, &of_case->name, &why));
			of_case->question.name = &of_case->name;
		}
		of_case->packet.payload = of_case->hello.bytes;
		of_case->packet.payload_bytes = of_case->hello.len;
		break;
	default:
		of_case->packet = datagram(source);
		of_case->packet.destination_port = 9;
		break;
	}
}

struct counted {
	__u64 verdicts[TPS_VERDICT_MAX], of_slot[TPS_VERDICT_MAX], packets;
};

static struct counted count_now(const struct case_of *of_case, const struct tps_explanation *of)
{
	__u32 number = of->verdict == TPS_VERDICT_MAX ? 0 : of_case->number;
	struct counted counted;

	for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++) {
		counted.verdicts[verdict] = harness_transactions(&h, of_case->number % 5, verdict);
		counted.of_slot[verdict] = harness_caller_count(&h, of->whose.slot, verdict);
	}
	counted.packets = harness_packets(
		&h, number, of->passes ? TPS_ACTION_PASS : TPS_ACTION_DROP, of->reason);
	return counted;
}

static bool agrees(const struct case_of *of_case, const struct tps_explanation *of,
		   const struct counted *before, int action)
{
	struct counted after = count_now(of_case, of);
	bool counts_slot = of->reason != TPS_REASON_BANNED_PREFIX;
	bool good = (action == XDP_PASS) == of->passes && after.packets == before->packets + 1;

	for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++) {
		__u64 one = (enum tps_verdict)verdict == of->verdict;

		good &= after.verdicts[verdict] == before->verdicts[verdict] + one;
		good &= after.of_slot[verdict] ==
			before->of_slot[verdict] + (counts_slot ? one : 0);
	}
	return good;
}

static void explain_agrees_with_the_gate(void **state)
{
	__u32 reasons[TPS_REASON_MAX] = {}, bys[TPS_BY_MAX] = {};
	static struct case_of now;

	srandom(10429);
	for (int round = 0; round < ROUNDS; round++) {
		struct tps_explanation of;
		struct counted before;
		__u64 bytes = 0;
		int action;

		for (__u32 i = below(4); i; i--)
			mutate();
		random_case(&now);
		if (round % 32 == 0)
			bytes = fold_maps();
		assert_false(tps_explain(gate, &now.question, &of));
		if (round % 32 == 0)
			assert_int_equal(fold_maps(), bytes);
		reasons[of.reason]++;
		bys[of.whose.by]++;
		before = count_now(&now, &of);
		action = harness_run(&h, &now.packet);
		if (!agrees(&now, &of, &before, action)) {
			print_error("round %d, listener %u, from %s: explained reason %d, verdict "
				    "%d, slot %u, passes %d; the gate's action is %d\n",
				    round, now.number, now.packet.source, of.reason, of.verdict,
				    of.whose.slot.slot, of.passes, action);
			fail();
		}
	}
	/* and every way was gone often enough to fail */
	assert_true(reasons[TPS_REASON_ALLOWED] > 100);
	assert_true(reasons[TPS_REASON_LIMIT] > 100);
	assert_true(reasons[TPS_REASON_LISTENER_LIMIT] > 30);
	assert_true(reasons[TPS_REASON_EXEMPT] > 30);
	assert_true(reasons[TPS_REASON_BANNED_PREFIX] > 30);
	assert_true(reasons[TPS_REASON_BANNED_CALLER] > 30);
	assert_true(reasons[TPS_REASON_PAUSED] > 30);
	assert_true(reasons[TPS_REASON_NOT_LISTENER] > 30);
	for (int by = 0; by < TPS_BY_MAX; by++)
		assert_true(bys[by] > 50);
}

/* What it says of the wait is when the gate would let it pass: the bucket, moved by so much. */
static void the_wait_is_enough_and_no_more(void **state)
{
	struct packet packet = datagram("203.0.113.1");
	struct tps_question question = {.listener = UDP};
	struct tps_explanation of;
	struct tps_bucket bucket;
	struct tps_why why;

	harness_add_source(&h, callers[0], "203.0.113.1");
	harness_set_own_limit(&h, callers[0], limit_per_second(1, 2));
	assert_false(tps_prefix_parse("203.0.113.1", &question.source, &why));
	bucket.proven_tat_vt = 0;
	bucket.unproven_tat_vt = bucket_now_vt(harness_now_ns() - BUCKET_NS_PER_SEC / 2);
	harness_set_bucket(&h, callers[0], &bucket);
	assert_false(tps_explain(gate, &question, &of));
	assert_int_equal(of.reason, TPS_REASON_LIMIT);
	assert_int_equal(of.retry_after_s, 1);
	assert_int_equal(of.left.proven_tokens, 2);
	assert_int_equal(of.left.unproven_tokens, 0);
	assert_in_range(of.wait_ns, 100000000, 500000000);
	assert_int_equal(harness_run(&h, &packet), XDP_DROP);
	bucket.unproven_tat_vt -= (of.wait_ns + 1) << BUCKET_VT_SHIFT;
	harness_set_bucket(&h, callers[0], &bucket);
	assert_int_equal(harness_run(&h, &packet), XDP_PASS);
	/* a burst below the cost is never enough */
	harness_set_listener(&h, UDP,
			     &(struct harness_listener){
				     .protocol = TPS_PROTOCOL_UDP, .ports = {UDP_PORT}, .cost = 3});
	assert_false(tps_explain(gate, &question, &of));
	assert_true(of.wait_ns == ~0ULL);
}

/* A stranger's entry is of its /64; with a longer prefix inside, it does not tell whose all of it
 * is.
 */
static void a_caller_within_a_strangers_64(void **state)
{
	struct packet stranger = datagram("2001:db8:7::7");
	struct tps_question question = {.listener = UDP};
	struct tps_explanation of;
	struct tps_why why;

	harness_add_source(&h, callers[0], "2001:db8:7::8");
	assert_int_equal(harness_run(&h, &stranger), XDP_PASS);
	assert_false(tps_prefix_parse("2001:db8:7::8", &question.source, &why));
	assert_false(tps_explain(gate, &question, &of));
	assert_int_equal(of.whose.slot.slot, callers[0].slot);
	assert_false(tps_prefix_parse("2001:db8:7::7", &question.source, &why));
	assert_false(tps_explain(gate, &question, &of));
	assert_int_equal(of.whose.by, TPS_BY_ADDRESS);
}

/* ---- the group */

static int explain_open(void **state)
{
	static const struct harness_sizes sizes = {.strangers = 4096};
	static const __u64 secret[2] = {1, 2};
	struct tps_control control;
	struct tps_why why = {};

	case_open_sized(&sizes);
	if (tps_gate_adopt(harness_object(&h), secret, &gate, &why)) {
		print_error("%s\n", why.text);
		return -1;
	}
	control = harness_control(&h);
	control.tick_ns = 0; /* what is random here has no ticks to meet */
	harness_set_control(&h, &control);
	for (__u32 tier = 0; tier < 3; tier++)
		harness_set_tier(&h, tier, limit_frozen(3 + tier));
	for (__u32 number = 1; number <= TLS; number++) {
		struct harness_listener listener = {.protocol = number == UDP    ? TPS_PROTOCOL_UDP
								: number == TCP  ? TPS_PROTOCOL_TCP
								: number == HTTP ? TPS_PROTOCOL_HTTP
										 : TPS_PROTOCOL_TLS,
						    .ports = {number == UDP    ? UDP_PORT
							      : number == TCP  ? TCP_PORT
							      : number == HTTP ? HTTP_PORT
									       : TLS_PORT},
						    .placement = TPS_PLACEMENT_TRANSIT};

		harness_set_listener(&h, number, &listener);
	}
	for (int i = 0; i < CALLERS; i++)
		callers[i] = harness_add_caller(&h, below(3), random_limit(), 0);
	return 0;
}

static int explain_close(void **state)
{
	tps_gate_close(gate);
	gate = NULL;
	return 0;
}

#define EXPLAINED(sentence, function) \
	{ \
		sentence, function, explain_open, explain_close, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXPLAINED("what is explained at random is what the gate then does, and changes "
			  "nothing",
			  explain_agrees_with_the_gate),
		EXPLAINED("a caller within a stranger's /64 is told from it",
			  a_caller_within_a_strangers_64),
		EXPLAINED("what it says of the wait is enough, and no more",
			  the_wait_is_enough_and_no_more),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
