/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file of captured packets (.pcap, .pcapng), one frame at a time, as Ethernet. Knows link types,
 * and nothing behind them.
 */
#ifndef TPS_CAPTURE_H
#define TPS_CAPTURE_H

#include <linux/types.h>

#include "cleanup.h"
#include "why.h"

struct tps_capture;

struct tps_captured {
	__u64 time_ns;     /* CLOCK_REALTIME, as it stands there */
	const __u8 *frame; /* until the next one; of another link than Ethernet: with a header of
			      one put in front, without stations */
	__u32 bytes;       /* of it that were captured */
};

/* @file `-`: standard input. */
int tps_capture_open(const char *file, struct tps_capture **ret_capture, struct tps_why *why);
/* 1: there is one; 0: the end; -errno: the file cannot be read on, and @why says where. */
int tps_capture_next(struct tps_capture *capture, struct tps_captured *ret, struct tps_why *why);
/* How much of the file was read, in 1/1000; -1 where its size is not known. */
int tps_capture_permille(const struct tps_capture *capture);
void tps_capture_close(struct tps_capture *capture);
TPS_DEFINE_CLEANUP(struct tps_capture *, tps_capture_close)

#endif
