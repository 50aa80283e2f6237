// SPDX-License-Identifier: GPL-2.0-only
/*
 * Captures by libpcap. What is not Ethernet gets its header: the ether type is all that is read of
 * it.
 */
#include "capture.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <linux/if_ether.h>
#include <pcap/pcap.h>
#include <pcap/sll.h>

#define FRAME_BYTES_MAX 262144 /* MAXIMUM_SNAPLEN of libpcap */

struct tps_capture {
	pcap_t *pcap;
	int link;
	__u64 count; /* of frames so far */
	off_t size;  /* of the file; 0: not known */
	__u8 frame[ETH_HLEN + FRAME_BYTES_MAX];
};

static int link_check(const char *file, int link, struct tps_why *why)
{
	const char *name = pcap_datalink_val_to_name(link);

	switch (link) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return 0;
	default:
		return tps_why_say(why, -EINVAL,
				   "capture '%s': link type '%s' (%d): expected Ethernet, Linux "
				   "cooked or raw IP",
				   file, name ? name : "?", link);
	}
}

int tps_capture_open(const char *file, struct tps_capture **ret_capture, struct tps_why *why)
{
	_cleanup_(tps_capture_close_at_end) struct tps_capture *capture = NULL;
	char error[PCAP_ERRBUF_SIZE] = "";
	struct stat of;
	int err;

	capture = calloc(1, sizeof(*capture));
	if (!capture)
		return -ENOMEM;
	capture->pcap =
		pcap_open_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!capture->pcap)
		return tps_why_say(why, -EINVAL,
				   "capture '%s': %s; expected a .pcap or .pcapng file", file,
				   error);
	capture->link = pcap_datalink(capture->pcap);
	err = link_check(file, capture->link, why);
	if (err)
		return err;
	if (!fstat(fileno(pcap_file(capture->pcap)), &of) && S_ISREG(of.st_mode))
		capture->size = of.st_size;
	*ret_capture = TAKE_PTR(capture);
	return 0;
}

void tps_capture_close(struct tps_capture *capture)
{
	if (capture->pcap)
		pcap_close(capture->pcap);
	free(capture);
}

/* The ether type (network order, as it stands or as the version of IP says) and how many bytes of
 * the link's own header there are. False: not even these were captured. */
static bool link_read(int link, const __u8 *bytes, __u32 count, __u8 ret_type[2], __u32 *ret_header)
{
	__u32 type_at = 0;

	switch (link) {
	case DLT_LINUX_SLL:
		*ret_header = SLL_HDR_LEN;
		type_at = 14;
		break;
	case DLT_LINUX_SLL2:
		*ret_header = SLL2_HDR_LEN;
		break;
	default:
		if (!count)
			return false;
		*ret_header = 0;
		memcpy(ret_type, bytes[0] >> 4 == 6 ? "\x86\xdd" : "\x08\x00", 2);
		return true;
	}
	if (count < *ret_header)
		return false;
	memcpy(ret_type, bytes + type_at, 2);
	return true;
}

static int ethernet_make(struct tps_capture *capture, const __u8 *bytes, __u32 count,
			 struct tps_captured *ret)
{
	__u32 header = 0;

	ret->frame = bytes;
	ret->bytes = count;
	if (capture->link == DLT_EN10MB)
		return 1;
	ret->frame = capture->frame;
	ret->bytes = 0;
	if (!link_read(capture->link, bytes, count, capture->frame + 12, &header))
		return 1;
	memcpy(capture->frame + ETH_HLEN, bytes + header, count - header);
	ret->bytes = ETH_HLEN + count - header;
	return 1;
}

int tps_capture_next(struct tps_capture *capture, struct tps_captured *ret, struct tps_why *why)
{
	struct pcap_pkthdr *header;
	const __u8 *bytes;
	int got = pcap_next_ex(capture->pcap, &header, &bytes);

	if (got == PCAP_ERROR_BREAK)
		return 0;
	if (got != 1)
		return tps_why_say(why, -EIO, "the capture cannot be read behind packet %llu: %s",
				   capture->count, pcap_geterr(capture->pcap));
	capture->count++;
	/* of this precision tv_usec counts nanoseconds */
	ret->time_ns = header->ts.tv_sec * 1000000000ULL + header->ts.tv_usec;
	return ethernet_make(capture, bytes,
			     header->caplen < FRAME_BYTES_MAX ? header->caplen : FRAME_BYTES_MAX,
			     ret);
}

int tps_capture_permille(const struct tps_capture *capture)
{
	off_t at = ftello(pcap_file(capture->pcap));

	return capture->size && at >= 0 ? (int)(at * 1000 / capture->size) : -1;
}
