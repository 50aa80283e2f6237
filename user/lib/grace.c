// SPDX-License-Identifier: GPL-2.0-only
/*
 * A grace period of the kernel's RCU, asked for by membarrier(2).
 */
#include "grace.h"

#include <time.h>
#include <unistd.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>

/* Where membarrier is not there (nohz_full): longer than any run of a BPF program. */
#define GRACE_NS 100000000L

void tps_grace_wait(void)
{
	/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() (kernel/sched/membarrier.c). */
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&(struct timespec){.tv_nsec = GRACE_NS}, NULL);
}
