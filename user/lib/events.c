// SPDX-License-Identifier: GPL-2.0-only
/*
 * One reader of the ring. The gate never waits for it: who reads too slowly is told how much it
 * missed.
 */
#include "events.h"

#include <errno.h>
#include <sys/mman.h>

int tps_events_begin(const struct tps_gate *gate, struct tps_events_reader *ret_reader)
{
	/* A reader's gate is mapped for reading; what it missed it writes beside. */
	void *head = mmap(NULL, sizeof(struct tps_events), PROT_READ | PROT_WRITE, MAP_SHARED,
			  gate->map_fd[TPS_MAP_events], 0);

	if (head == MAP_FAILED)
		return -errno;
	*ret_reader = (struct tps_events_reader){
		.ring = head,
		.lost = &((struct tps_events *)head)->lost,
		.next = __atomic_load_n(&((struct tps_events *)head)->next, __ATOMIC_ACQUIRE),
	};
	return 0;
}

void tps_events_end(struct tps_events_reader *reader)
{
	if (reader->ring)
		munmap((void *)reader->ring, sizeof(struct tps_events));
	reader->ring = NULL;
}

static void miss(struct tps_events_reader *reader, __u64 count, __u64 *lost)
{
	reader->next += count;
	*lost += count;
	__atomic_fetch_add(reader->lost, count, __ATOMIC_RELAXED);
}

/* Is the event that is wanted whole? 1: it is *ret_event; 0: not yet; -1: never again. */
static int event_copy(const struct tps_events_reader *reader, struct tps_event *ret_event)
{
	const struct tps_event *from = &reader->ring->event[reader->next & (TPS_EVENTS_MAX - 1)];
	__u64 turn = __atomic_load_n(&from->turn, __ATOMIC_ACQUIRE);
	struct tps_event copy;

	if (turn == TPS_EVENT_OPEN || turn < reader->next + 1)
		return 0;
	if (turn > reader->next + 1)
		return -1;
	copy = *from;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&from->turn, __ATOMIC_RELAXED) != turn)
		return -1;
	*ret_event = copy;
	return 1;
}

int tps_events_next(struct tps_events_reader *reader, struct tps_event *ret_event, __u64 *ret_lost)
{
	__u64 end = __atomic_load_n(&reader->ring->next, __ATOMIC_ACQUIRE), lost = 0;
	int got = 0;

	if (end - reader->next > TPS_EVENTS_MAX)
		miss(reader, end - TPS_EVENTS_MAX - reader->next, &lost);
	while (!got && reader->next != end) {
		got = event_copy(reader, ret_event);
		if (got > 0) {
			reader->next++;
		} else if (got < 0) {
			miss(reader, 1, &lost);
			got = 0;
		} else if (reader->awaited == reader->next + 1) {
			/* Twice not whole: the gate gave it up, and counted it. */
			reader->next++;
			lost++;
		} else {
			reader->awaited = reader->next + 1;
			break;
		}
	}
	*ret_lost = lost;
	return got;
}
