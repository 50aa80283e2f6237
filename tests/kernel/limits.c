// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a listener adds: its own limit, its cost, observing; and a bucket that two CPUs spend at
 * once.
 */
#include "lib/cases.h"

#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include <sys/param.h>

static void set_udp(bucket_limit limit, __u32 cost, enum tps_mode mode)
{
	struct harness_listener listener = {
		.protocol = TPS_PROTOCOL_UDP,
		.ports = {UDP_PORT},
		.limit = limit,
		.cost = cost,
		.mode = mode,
	};

	harness_set_listener(&h, UDP, &listener);
}

static void cost_weighs_transactions(void **state)
{
	struct packet packet = datagram(STRANGER);

	set_udp(0, 3, TPS_MODE_ENFORCE);
	harness_set_tier(&h, 0, limit_frozen(10));
	for (int i = 0; i < 3; i++)
		expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	assert_transactions(UDP, 3, 1);
	/* the tenth token is still there for a listener that costs one */
	packet = syn(STRANGER);
	expect_allowed(&packet, TCP);
	expect_refused(&packet, TCP);
}

static void cost_above_the_burst_is_refused(void **state)
{
	struct packet packet = datagram(STRANGER);

	set_udp(0, 11, TPS_MODE_ENFORCE);
	harness_set_tier(&h, 0, limit_frozen(10));
	expect_refused(&packet, UDP);
	assert_transactions(UDP, 0, 1);
}

static void listener_limit_stands_above_all(void **state)
{
	struct packet one = datagram("198.51.100.1"), other = datagram("198.51.100.2");

	set_udp(limit_frozen(3), 1, TPS_MODE_ENFORCE);
	expect_allowed(&one, UDP);
	expect_allowed(&one, UDP);
	expect_allowed(&other, UDP);
	expect(&one, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	expect(&other, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	assert_transactions(UDP, 3, 2);
}

static void listener_gives_the_callers_token_back(void **state)
{
	struct packet packet = datagram("198.51.100.1");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(5), 0);
	struct tps_bucket before, after;

	harness_add_source(&h, caller, "198.51.100.0/24");
	set_udp(limit_frozen(2), 1, TPS_MODE_ENFORCE);
	expect_allowed(&packet, UDP);
	expect_allowed(&packet, UDP);
	before = harness_bucket(&h, caller);
	for (int i = 0; i < 20; i++)
		expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	after = harness_bucket(&h, caller);
	assert_memory_equal(&before, &after, sizeof(before));
	/* the three tokens are there when the listener lets go */
	set_udp(0, 1, TPS_MODE_ENFORCE);
	for (int i = 0; i < 3; i++)
		expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	assert_caller(caller, 5, 21);
}

static void listener_gives_a_strangers_token_back(void **state)
{
	struct packet packet = datagram(STRANGER), first = datagram("198.51.100.99");

	harness_set_tier(&h, 0, limit_frozen(2));
	set_udp(limit_frozen(1), 1, TPS_MODE_ENFORCE);
	expect_allowed(&packet, UDP);
	for (int i = 0; i < 20; i++) {
		expect(&packet, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
		expect(&first, UDP, TPS_ACTION_DROP, TPS_REASON_LISTENER_LIMIT);
	}
	set_udp(0, 1, TPS_MODE_ENFORCE);
	expect_allowed(&packet, UDP);
	expect_refused(&packet, UDP);
	expect_allowed(&first, UDP);
	expect_allowed(&first, UDP);
	expect_refused(&first, UDP);
}

static void refused_caller_spends_nothing_of_the_listener(void **state)
{
	struct packet greedy = datagram("198.51.100.1"), other = datagram("198.51.100.2");

	harness_set_tier(&h, 0, limit_frozen(1));
	set_udp(limit_frozen(2), 1, TPS_MODE_ENFORCE);
	expect_allowed(&greedy, UDP);
	for (int i = 0; i < 50; i++)
		expect_refused(&greedy, UDP);
	expect_allowed(&other, UDP);
	assert_transactions(UDP, 2, 50);
}

/* A limit that is read by jiffies becomes one that is read exactly, and back: one time line. */
static void limit_change_never_mixes_clocks(void **state)
{
	struct packet packet = datagram("198.51.100.1");
	bucket_limit coarse = limit_per_second(1000, 1000), fine = limit_per_second(100000, 100);
	struct tps_slot caller = harness_add_caller(&h, 0, coarse, 0);
	struct tps_bucket before, after;
	__u64 now_vt;

	harness_use_ticks(&h);
	harness_add_source(&h, caller, "198.51.100.0/24");
	for (int i = 0; i < 5; i++) {
		harness_set_own_limit(&h, caller, coarse);
		usleep(20000); /* what the fine limit left is less than a token here */
		expect_allowed(&packet, UDP);
		before = harness_bucket(&h, caller);
		now_vt = bucket_now_vt(harness_now_ns());
		assert_true(before.unproven_tat_vt <= now_vt);
		harness_set_own_limit(&h, caller, fine);
		expect_allowed(&packet, UDP);
		after = harness_bucket(&h, caller);
		assert_true(after.unproven_tat_vt > before.unproven_tat_vt);
	}
	assert_caller(caller, 10, 0);
}

struct mix {
	const char *source;
	int packets;
};

static const struct mix mixed[] = {
	{"198.51.100.1", 12},   {"198.51.100.200", 4}, {"203.0.113.5", 9},
	{"2001:db8:ac::1", 11}, {"2001:db8:ff::1", 3}, {"192.0.2.77", 6},
};

/* The same packets, interleaved. Fills in what each caller and the strangers got. */
static void run_mixed(struct tps_slot *callers, __u64 ret_counts[3][TPS_VERDICT_MAX],
		      __u32 ret_dropped[1])
{
	ret_dropped[0] = 0;
	for (int round = 0; round < 12; round++) {
		for (size_t i = 0; i < sizeof(mixed) / sizeof(*mixed); i++) {
			struct packet packet = datagram(mixed[i].source);

			if (round < mixed[i].packets)
				ret_dropped[0] += harness_run(&h, &packet) == XDP_DROP;
		}
	}
	for (int i = 0; i < 3; i++)
		for (__u32 v = 0; v < TPS_VERDICT_MAX; v++)
			ret_counts[i][v] = harness_caller_count(&h, callers[i], v);
}

static void set_mixed(struct tps_slot *ret_callers)
{
	harness_set_tier(&h, 0, limit_frozen(5));
	ret_callers[0] = (struct tps_slot){.slot = TPS_SLOT_STRANGERS};
	ret_callers[1] = harness_add_caller(&h, 0, limit_frozen(7), 0);
	ret_callers[2] = harness_add_caller(&h, 0, limit_frozen(4), 0);
	harness_add_source(&h, ret_callers[1], "198.51.100.0/24");
	harness_add_source(&h, ret_callers[2], "2001:db8:ac::/48");
}

static void observed_is_what_enforced_refuses(bool by_control)
{
	__u64 observed[3][TPS_VERDICT_MAX], enforced[3][TPS_VERDICT_MAX];
	struct tps_slot callers[3];
	__u32 dropped;

	set_mixed(callers);
	if (by_control)
		harness_observe(&h, true);
	else
		set_udp(0, 1, TPS_MODE_OBSERVE);
	run_mixed(callers, observed, &dropped);
	assert_int_equal(dropped, 0);
	assert_int_equal(harness_transactions(&h, UDP, TPS_VERDICT_REFUSED), 0);

	harness_reset(&h);
	case_listeners();
	set_mixed(callers);
	run_mixed(callers, enforced, &dropped);
	assert_true(dropped > 0);
	assert_int_equal(harness_transactions(&h, UDP, TPS_VERDICT_REFUSED), dropped);
	for (int i = 0; i < 3; i++) {
		assert_true(enforced[i][TPS_VERDICT_REFUSED] > 0);
		assert_int_equal(observed[i][TPS_VERDICT_WOULD_REFUSE],
				 enforced[i][TPS_VERDICT_REFUSED]);
		assert_int_equal(observed[i][TPS_VERDICT_ALLOWED],
				 enforced[i][TPS_VERDICT_ALLOWED]);
	}
}

static void observing_listener(void **state)
{
	observed_is_what_enforced_refuses(false);
}

static void observing_gate(void **state)
{
	observed_is_what_enforced_refuses(true);
}

#define FLOOD_PACKETS 2000000 /* by each of two threads */

/* One of two senders, each on a CPU of its own. */
struct flood {
	const struct packet *packet;
	pthread_barrier_t *start;
	int cpu;
	__u64 from_ns, to_ns;
};

static void *flood(void *of)
{
	struct flood *flood = of;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(flood->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %d", flood->cpu);
	pthread_barrier_wait(flood->start);
	flood->from_ns = harness_now_ns();
	harness_repeat(&h, flood->packet, FLOOD_PACKETS);
	flood->to_ns = harness_now_ns();
	return NULL;
}

/* Two of the CPUs that this process may use. */
static void two_cpus(int *ret_one, int *ret_other)
{
	cpu_set_t cpus;
	int found[2], count = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			found[count++] = cpu;
	if (count < 2)
		fail_msg("two CPUs are needed, there is %d", count);
	*ret_one = found[0];
	*ret_other = found[1];
}

/* Both at once: while the faster one sent most of its packets, the other did too. */
static void flood_from_two_threads(const struct packet *one, const struct packet *other)
{
	struct flood floods[2] = {{.packet = one}, {.packet = other}};
	__u64 both_from_ns, both_to_ns, shorter_ns;
	pthread_barrier_t start;
	pthread_t threads[2];

	two_cpus(&floods[0].cpu, &floods[1].cpu);
	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		floods[i].start = &start;
		assert_int_equal(pthread_create(&threads[i], NULL, flood, &floods[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	both_from_ns = MAX(floods[0].from_ns, floods[1].from_ns);
	both_to_ns = MIN(floods[0].to_ns, floods[1].to_ns);
	shorter_ns = MIN(floods[0].to_ns - floods[0].from_ns, floods[1].to_ns - floods[1].from_ns);
	assert_true(both_to_ns > both_from_ns);
	assert_true(both_to_ns - both_from_ns > shorter_ns / 2);
}

/* A million tokens, the next of which comes in 71 s: the horizon is frozen while this lasts. */
static void two_cpus_admit_exactly_the_burst(void **state)
{
	struct packet one = datagram("198.51.100.1"), other = datagram("198.51.100.2");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1000000), 0);
	__u64 from_ns = harness_now_ns();

	harness_add_source(&h, caller, "198.51.100.0/24");
	flood_from_two_threads(&one, &other);
	assert_true(harness_now_ns() - from_ns < 60 * BUCKET_NS_PER_SEC);
	assert_int_equal(harness_notes(&h, UDP, TPS_REASON_CONTENDED), 0);
	assert_int_equal(harness_packets(&h, UDP, TPS_ACTION_DROP, TPS_REASON_CONTENDED), 0);
	assert_caller(caller, 1000000, 2 * FLOOD_PACKETS - 1000000);
	assert_transactions(UDP, 1000000, 2 * FLOOD_PACKETS - 1000000);
}

static void two_cpus_admit_exactly_a_strangers_burst(void **state)
{
	struct packet packet = datagram(STRANGER);

	harness_set_tier(&h, 0, limit_frozen(1000000));
	flood_from_two_threads(&packet, &packet);
	assert_transactions(UDP, 1000000, 2 * FLOOD_PACKETS - 1000000);
}

/* Each refusal gives a token back while the other CPU takes: none may be minted. */
static void two_cpus_mint_no_token_by_giving_back(void **state)
{
	struct packet one = datagram("198.51.100.1"), other = datagram("198.51.100.2");
	struct tps_slot caller = harness_add_caller(&h, 0, limit_frozen(1000000), 0);
	struct tps_bucket bucket;

	harness_add_source(&h, caller, "198.51.100.0/24");
	set_udp(limit_frozen(1000), 1, TPS_MODE_ENFORCE);
	flood_from_two_threads(&one, &other);
	assert_caller(caller, 1000, 2 * FLOOD_PACKETS - 1000);
	bucket = harness_bucket(&h, caller);
	assert_in_range(bucket_tokens(bucket.unproven_tat_vt, bucket_now_vt(harness_now_ns()),
				      limit_frozen(1000000)),
			999000 - 100, 999000);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		CASE("a listener's cost weighs its transactions", cost_weighs_transactions),
		CASE("a cost above the burst is refused", cost_above_the_burst_is_refused),
		CASE("a listener's own limit stands above all callers",
		     listener_limit_stands_above_all),
		CASE("where the listener refuses, the caller's token is given back",
		     listener_gives_the_callers_token_back),
		CASE("where the listener refuses, a stranger's token is given back",
		     listener_gives_a_strangers_token_back),
		CASE("a refused caller spends nothing of the listener's limit",
		     refused_caller_spends_nothing_of_the_listener),
		CASE("a limit change never mixes clocks", limit_change_never_mixes_clocks),
		CASE("what an observing listener would refuse is what it refuses when it enforces",
		     observing_listener),
		CASE("what an observing gate would refuse is what it refuses when it enforces",
		     observing_gate),
		CASE("two CPUs admit exactly the burst of 4,000,000 packets",
		     two_cpus_admit_exactly_the_burst),
		CASE("two CPUs admit exactly a stranger's burst of 4,000,000 packets",
		     two_cpus_admit_exactly_a_strangers_burst),
		CASE("two CPUs mint no token by giving tokens back",
		     two_cpus_mint_no_token_by_giving_back),
	};

	return cmocka_run_group_tests_name("limits", cases, NULL, NULL);
}
