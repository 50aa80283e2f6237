#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Answers where frames have a VLAN tag: in the frame, and taken off by the device before the gate sees
# it. The tags have VID 0, which needs no VLAN device.

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	open_lab tagged
	answers_serve
	answers_limit
	make -s -C "$lab_top" build/tests/e2e/tag.bpf.o
	lab_run client tc qdisc add dev client0 clsact
	tag client client0
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# tag WHERE DEVICE: what leaves there has a tag from now on, put on before the gate's egress program.
tag()
{
	lab_run "$1" tc filter add dev "$2" egress prio 1 handle 2 bpf da \
		obj "$programs/tag.bpf.o" sec tc
}

untag()
{
	lab_run "$1" tc filter del dev "$2" egress prio 1 handle 2 bpf
}

# offload on|off: does the client's device leave the tag beside the packet, so that the gate's does
# not see it in the frame?
offload()
{
	lab_run client ethtool -K client0 txvlan "$1"
}

sent_at_once()
{
	tps -j show listener web | jq '[.packets.tx[]] | add // 0'
}

# assert_answered yes|no: a dialog is right to the byte; are answers sent at once?
assert_answered()
{
	local before
	before=$(sent_at_once)

	dialog 8 2
	assert_dialog
	dialog6 8 2
	assert_dialog
	if [[ $1 == yes ]]; then
		(($(sent_at_once) > before))
	else
		assert_equal "$(sent_at_once)" "$before"
	fi
}

@test "with the tag in the frame, answers fit their requests to the byte" {
	offload off
	assert_answered yes
}

@test "with the tag taken off by the device, answers fit their requests to the byte" {
	offload on
	assert_answered yes
}

@test "with a tag both ways in the frame, answers fit their requests to the byte" {
	offload off
	tag server "$lab_device"
	assert_answered yes
	untag server "$lab_device"
}

@test "what would lose its tag is not sent at once" {
	offload on
	tag server "$lab_device"
	assert_answered no
	untag server "$lab_device"
}
