// SPDX-License-Identifier: GPL-2.0-only
/*
 * A reader of the ring, against a writer that follows the gate's rule: whatever the two do at once,
 * what is read is whole, in order, and what is missed is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <pthread.h>

#include "../../user/lib/events.c"

static struct tps_events *ring;
static struct tps_events_reader reader;

static int begin(void **state)
{
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -1;
	reader = (struct tps_events_reader){.ring = ring, .lost = &ring->lost};
	return 0;
}

static int end(void **state)
{
	free(ring);
	return 0;
}

/* As notice_event() of bpf/notice.h; every field tells the event's number. */
static void write_one(void)
{
	__u64 number = __sync_fetch_and_add(&ring->next, 1);
	struct tps_event *event = &ring->event[number & (TPS_EVENTS_MAX - 1)];

	__atomic_exchange_n(&event->turn, TPS_EVENT_OPEN, __ATOMIC_SEQ_CST);
	*(volatile __u64 *)&event->time_ns = number;
	*(volatile __u32 *)&event->slot.slot = number;
	for (int i = 0; i < 4; i++)
		*(volatile __u32 *)&event->source_be[i] = number;
	__atomic_exchange_n(&event->turn, number + 1, __ATOMIC_SEQ_CST);
}

static void assert_next(__u64 number, __u64 want_lost)
{
	struct tps_event event;
	__u64 lost;

	assert_int_equal(tps_events_next(&reader, &event, &lost), 1);
	assert_int_equal(event.time_ns, number);
	assert_int_equal(lost, want_lost);
}

static void assert_none(void)
{
	struct tps_event event;
	__u64 lost;

	assert_int_equal(tps_events_next(&reader, &event, &lost), 0);
	assert_int_equal(lost, 0);
}

static void events_come_in_order(void **state)
{
	assert_none();
	for (int i = 0; i < 3; i++)
		write_one();
	for (int i = 0; i < 3; i++)
		assert_next(i, 0);
	assert_none();
	assert_int_equal(ring->lost, 0);
}

static void full_ring_is_read_to_its_end(void **state)
{
	for (int i = 0; i < TPS_EVENTS_MAX; i++)
		write_one();
	for (int i = 0; i < TPS_EVENTS_MAX; i++)
		assert_next(i, 0);
	assert_none();
}

static void one_more_than_full_loses_one(void **state)
{
	for (int i = 0; i <= TPS_EVENTS_MAX; i++)
		write_one();
	assert_next(1, 1);
	assert_int_equal(ring->lost, 1);
}

/* The ring went on between the look at its end and the look at the event. */
static void event_written_over_meanwhile_is_missed(void **state)
{
	write_one();
	write_one();
	ring->event[0].turn = TPS_EVENTS_MAX + 1;
	ring->event[0].time_ns = TPS_EVENTS_MAX;
	assert_next(1, 1);
	assert_int_equal(ring->lost, 1);
}

static void event_that_is_not_whole_is_waited_for(void **state)
{
	write_one();
	write_one();
	ring->event[0].turn = TPS_EVENT_OPEN;
	assert_none();
	ring->event[0].turn = 1;
	assert_next(0, 0);
	assert_next(1, 0);
}

#define HIGH ((1ULL << 32) - 2) /* its low half wraps */

static void high_numbers_are_read(void **state)
{
	ring->next = reader.next = HIGH;
	for (int i = 0; i < 4; i++)
		write_one();
	for (int i = 0; i < 4; i++)
		assert_next(HIGH + i, 0);
}

#define WRITTEN 3000000

static void *write_all(void *unused)
{
	for (int i = 0; i < WRITTEN; i++)
		write_one();
	return NULL;
}

static bool is_whole(const struct tps_event *event, __u64 number)
{
	for (int i = 0; i < 4; i++) {
		if (event->source_be[i] != (__u32)number)
			return false;
	}
	return event->time_ns == number && event->slot.slot == (__u32)number;
}

static void what_is_read_beside_a_writer_is_whole(void **state)
{
	__u64 got = 0, missed = 0, lost, end;
	struct tps_event event;
	pthread_t writer;
	bool whole = true;

	assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
	do {
		end = __atomic_load_n(&ring->next, __ATOMIC_ACQUIRE);
		if (tps_events_next(&reader, &event, &lost)) {
			whole = whole && is_whole(&event, got + missed + lost);
			got++;
		}
		missed += lost;
	} while (end < WRITTEN || reader.next < WRITTEN);
	pthread_join(writer, NULL);
	assert_true(whole);
	assert_none();
	assert_int_equal(got + missed, WRITTEN);
	assert_true(got > 0);
}

#define EVENTS_CASE(sentence, function) \
	{ \
		sentence, function, begin, end, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		EVENTS_CASE("events come in order, then none", events_come_in_order),
		EVENTS_CASE("a full ring is read to its end", full_ring_is_read_to_its_end),
		EVENTS_CASE("one more than full loses one", one_more_than_full_loses_one),
		EVENTS_CASE("an event written over meanwhile is missed",
			    event_written_over_meanwhile_is_missed),
		EVENTS_CASE("an event that is not whole is waited for",
			    event_that_is_not_whole_is_waited_for),
		EVENTS_CASE("high numbers are read as well", high_numbers_are_read),
		EVENTS_CASE("what is read beside a writer is whole",
			    what_is_read_beside_a_writer_is_whole),
	};

	return cmocka_run_group_tests_name("events", cases, NULL, NULL);
}
