// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is made of a driver's answers: of its queues, which there is no device here to give every
 * kind of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/ethtool.h>
#include <net/if.h>
#include <sys/ioctl.h>

static struct ethtool_channels answer;

static int answer_ioctl(int fd, unsigned long request, const struct ifreq *of)
{
	struct ethtool_channels *channels = (struct ethtool_channels *)of->ifr_data;

	assert_int_equal(channels->cmd, ETHTOOL_GCHANNELS);
	*channels = answer;
	return 0;
}

#define ioctl answer_ioctl
#include "../../user/lib/nic.c"

static struct tps_nic nic_of(struct ethtool_channels channels)
{
	struct tps_nic nic = {};

	answer = channels;
	queues_read(-1, "eth0", &nic);
	return nic;
}

static void combined_queues_are_known_as_such(void **state)
{
	struct tps_nic nic = nic_of((struct ethtool_channels){
		.max_combined = 8, .combined_count = 2, .max_other = 1, .other_count = 1});

	assert_true(nic.is_combined);
	assert_int_equal(nic.queues, 2);
	assert_int_equal(nic.queues_max, 8);
}

static void queues_that_only_receive_are_not_combined(void **state)
{
	struct tps_nic nic = nic_of(
		(struct ethtool_channels){.max_rx = 8, .rx_count = 1, .max_tx = 8, .tx_count = 1});

	assert_false(nic.is_combined);
	assert_int_equal(nic.queues, 1);
	assert_int_equal(nic.queues_max, 8);
}

static void of_both_kinds_the_one_with_more_counts(void **state)
{
	assert_true(nic_of((struct ethtool_channels){.max_rx = 1, .max_combined = 4}).is_combined);
	assert_true(nic_of((struct ethtool_channels){.max_rx = 4, .max_combined = 4}).is_combined);
	assert_false(nic_of((struct ethtool_channels){.max_rx = 4, .max_combined = 1}).is_combined);
}

#define NIC_CASE(name, f) \
	{ \
		name, f, NULL, NULL, NULL \
	}

int main(void)
{
	const struct CMUnitTest cases[] = {
		NIC_CASE("combined queues are known as such", combined_queues_are_known_as_such),
		NIC_CASE("queues that only receive are not combined",
			 queues_that_only_receive_are_not_combined),
		NIC_CASE("of both kinds the one with more counts",
			 of_both_kinds_the_one_with_more_counts),
	};

	return cmocka_run_group_tests_name("nic", cases, NULL, NULL);
}
