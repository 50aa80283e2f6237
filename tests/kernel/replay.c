// SPDX-License-Identifier: GPL-2.0-only
/*
 * A replay's gate: its time is the capture's and nothing else, and it stands on no device.
 */
#include <errno.h>
#include <string.h>

#include "lib/cases.h"

#include "device.h"
#include "listener.h"
#include "replay.h"
#include "tier.h"

#define SECOND 1000000000ULL
#define DAY (86400 * SECOND)
#define BEGIN (1700000000 * SECOND) /* of the captures here */

static struct tps_replay *replay;
static struct tps_gate *gate;
static struct tps_why why;

static void must(int err)
{
	if (err)
		print_error("%d: %s\n", err, why.text);
	assert_int_equal(err, 0);
}

/* Strangers get @burst and @milli / 1000 each @period_s; the settings stand. */
static void begin(__u64 milli, __u32 period_s, __u32 burst, enum tps_mode mode)
{
	struct tps_tier tier = {.rate = {milli, period_s, 0}, .name = "free", .burst_given = burst};
	struct tps_listener listener = {.name = "log",
					.protocol = TPS_PROTOCOL_UDP,
					.port = {UDP_PORT},
					.port_count = 1,
					.mode = mode};

	must(tps_tier_set(gate, &tier, NULL, &why));
	must(tps_listener_set(gate, &listener, NULL, &why));
	must(tps_replay_begin(replay, &why));
}

/* A datagram at that time: its verdict. */
static enum tps_verdict at(__u64 time_ns)
{
	struct packet packet = datagram(STRANGER);
	struct tps_replayed of;
	__u8 frame[PACKET_BYTES_MAX];
	struct tps_captured captured = {
		.time_ns = time_ns, .frame = frame, .bytes = packet_write(&packet, frame)};

	must(tps_replay_run(replay, &captured, &of));
	assert_int_equal(of.charge_count, 1);
	assert_int_equal(of.charges[0].by, TPS_BY_ADDRESS);
	assert_int_equal(of.note, TPS_REASON_DATAGRAM);
	return of.verdict;
}

static void a_token_comes_when_the_capture_says_so(void **state)
{
	begin(1000, 1, 1, TPS_MODE_ENFORCE);
	for (__u64 second = 0; second < 5; second++) {
		assert_int_equal(at(BEGIN + second * SECOND), TPS_VERDICT_ALLOWED);
		assert_int_equal(at(BEGIN + second * SECOND), TPS_VERDICT_REFUSED);
		assert_int_equal(at(BEGIN + second * SECOND + SECOND - 1000), TPS_VERDICT_REFUSED);
	}
}

/* An interval is held to 24 bits: of a day, to 5 ms. */
static void a_day_passes_in_no_time(void **state)
{
	__u64 near_ns = SECOND / 100;

	begin(1000, 86400, 1, TPS_MODE_ENFORCE);
	for (__u64 day = 0; day < 365; day++) {
		assert_int_equal(at(BEGIN + day * (DAY + near_ns)), TPS_VERDICT_ALLOWED);
		assert_int_equal(at(BEGIN + day * (DAY + near_ns) + DAY - near_ns),
				 TPS_VERDICT_REFUSED);
	}
}

/* The clock that runs meanwhile gives nothing: 100000 a second, at one instant. */
static void no_time_passes_by_itself(void **state)
{
	int allowed = 0;

	begin(100000000, 1, 100, TPS_MODE_ENFORCE);
	for (int i = 0; i < 10000; i++)
		allowed += at(BEGIN) == TPS_VERDICT_ALLOWED;
	assert_int_equal(allowed, 100);
}

static void the_smallest_limit_is_exact(void **state)
{
	int allowed = 0;

	begin(10000000000, 1, 1, TPS_MODE_ENFORCE); /* a token each 100 ns */
	for (__u64 i = 0; i < 1000; i++)
		allowed += at(BEGIN + i * 50) == TPS_VERDICT_ALLOWED;
	assert_in_range(allowed, 498, 502); /* of 50 us: jiffies move by some ns */
}

static void time_does_not_run_backwards(void **state)
{
	begin(1000, 1, 1, TPS_MODE_ENFORCE);
	assert_int_equal(at(BEGIN + 10 * SECOND), TPS_VERDICT_ALLOWED);
	assert_int_equal(at(BEGIN), TPS_VERDICT_REFUSED);
	assert_int_equal(at(BEGIN + 10 * SECOND), TPS_VERDICT_REFUSED);
	assert_int_equal(at(BEGIN + 11 * SECOND), TPS_VERDICT_ALLOWED);
	assert_int_equal(tps_replay_counts(replay)->backwards, 1);
	assert_int_equal(tps_replay_counts(replay)->unattributed, 0);
}

static void an_observing_listener_would_refuse(void **state)
{
	begin(1000, 86400, 1, TPS_MODE_OBSERVE);
	assert_int_equal(at(BEGIN), TPS_VERDICT_ALLOWED);
	assert_int_equal(at(BEGIN), TPS_VERDICT_WOULD_REFUSE);
}

static void it_stands_on_no_device(void **state)
{
	struct tps_device_key key;

	begin(1000, 1, 1, TPS_MODE_ENFORCE);
	must(tps_device_key(NULL, "lo", &key, &why));
	for (int has_root = 0; has_root < 2; has_root++) {
		gate->root = has_root ? strdup("/nowhere") : NULL;
		why.text[0] = 0;
		assert_int_equal(tps_device_attach(gate, &key, TPS_XDP_GENERIC, NULL, NULL, &why),
				 -EINVAL);
		assert_non_null(strstr(why.text, "replay"));
	}
}

static int replay_open(void **state)
{
	static const __u32 capacity[TPS_MAP_MAX];
	static const __u64 secret[2] = {1, 2};

	if (tps_replay_make(capacity, secret, &replay, &why)) {
		print_error("%s\n", why.text);
		return -1;
	}
	gate = tps_replay_gate(replay);
	return 0;
}

static int replay_close(void **state)
{
	tps_replay_close(replay);
	return 0;
}

#define REPLAYED(sentence, function) \
	{ \
		sentence, function, replay_open, replay_close, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REPLAYED("a token comes when the capture says so",
			 a_token_comes_when_the_capture_says_so),
		REPLAYED("a day passes in no time", a_day_passes_in_no_time),
		REPLAYED("no time passes by itself", no_time_passes_by_itself),
		REPLAYED("the smallest limit is exact", the_smallest_limit_is_exact),
		REPLAYED("time does not run backwards", time_does_not_run_backwards),
		REPLAYED("an observing listener would refuse", an_observing_listener_would_refuse),
		REPLAYED("a replay's gate stands on no device", it_stands_on_no_device),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
