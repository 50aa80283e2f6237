// SPDX-License-Identifier: GPL-2.0-only
/*
 * tps/bucket.h against a bucket that counts its credit in the plain way, over any sequence of
 * takes, returns and steps of the clock.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <tps/bucket.h>

#include "fuzz/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static __u64 number(const uint8_t *from, size_t bytes)
{
	__u64 v = 0;

	while (bytes--)
		v = v << 8 | from[bytes];
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bucket_limit limit;
	__u64 word = 0, now_vt = bucket_now_vt(0);
	__u32 taken = 0;
	__int128 interval, full, credit, admitted = 0, begun = now_vt;

	if (size < 13)
		return 0;
	limit = limit_make(number(data, 8), number(data + 8, 4));
	if (!limit)
		return 0;
	interval = limit_interval_vt(limit);
	full = credit = interval * limit_burst(limit);
	if (full > BUCKET_BURST_VT_MAX) /* the interval was rounded up: a few tokens less on a fresh
					   host */
		return 0;
	for (size_t at = 13; at + 4 <= size; at += 4) {
		__u32 cost = data[at + 1];
		__u64 step = taken && data[at] & 1 ? 0 : (__u64)data[at + 2] << (data[at + 3] % 44);

		if (now_vt + step < now_vt || now_vt + step > 1ULL << 63)
			break;
		now_vt += step;
		credit = credit + step > full ? full : credit + step;
		if (taken && data[at] & 1) { /* what was taken just now */
			bucket_give(&word, limit, taken);
			credit += taken * interval;
			admitted -= taken * interval;
			taken = 0;
		} else {
			int fits = cost && cost <= limit_burst(limit) && cost * interval <= credit;

			expect(bucket_would_take(&word, limit, now_vt, cost) == fits,
			       "what it would do");
			expect((bucket_take(&word, limit, now_vt, cost) == BUCKET_TAKEN) == fits,
			       "takes");
			if (fits) {
				credit -= cost * interval;
				admitted += cost * interval;
			}
			taken = fits ? cost : 0;
		}
		expect(bucket_tokens(word, now_vt, limit) == (__u32)(credit / interval),
		       "tokens left");
		expect(admitted <= full + (now_vt - begun),
		       "burst and rate bound what is admitted");
	}
	return 0;
}
