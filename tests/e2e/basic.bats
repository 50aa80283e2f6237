#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The basic flow, on any kernel and at any speed: each limit refills so slowly that no test meets it.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab basic
	lab_nginx
	attach_gate
	slow_strangers
	printf 'key-of-acme\n' >"$lab_dir/acme"
	tps set tier slower --rate 1/d --burst 3
	tps set listener web --port 8080 --protocol http
	tps set listener api --port 8090 --protocol tcp
	tps set listener log --port 5000 --protocol udp
	tps set caller acme --rate 1/h --burst 8 --key-file "$lab_dir/acme"
	tps set caller office --tier slower --source 203.0.113.64/28 --source 2001:db8:c:64::/64
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

@test "a stranger's requests pass up to the burst, the next is refused" {
	run ask_times 5 203.0.113.1
	assert_output 5
	run ask 203.0.113.1
	assert_output refused
}

@test "another stranger has a bucket of its own" {
	run ask 203.0.113.2
	assert_output 200
}

@test "strangers of one /64 share a bucket" {
	run ask_times 3 2001:db8:c:1::1
	assert_output 3
	run ask_times 2 2001:db8:c:1::2
	assert_output 2
	run ask 2001:db8:c:1::3
	assert_output refused
	run ask 2001:db8:c:2::1
	assert_output 200
}

@test "a key's caller has its limit wherever it comes from" {
	run ask_times 4 203.0.113.3 -H 'X-API-Key: key-of-acme'
	assert_output 4
	run ask_times 4 2001:db8:c:3::1 -H 'x-api-key:key-of-acme'
	assert_output 4
	run ask 203.0.113.4 -H 'X-API-Key: key-of-acme'
	assert_output refused
	run verdicts acme allowed
	assert_output 8
	run verdicts acme refused
	refute_output 0
}

@test "who comes without the key is not charged to it" {
	run ask 203.0.113.4
	assert_output 200
}

@test "a prefix's caller has its tier's limit" {
	run ask_times 2 203.0.113.65
	assert_output 2
	run ask 2001:db8:c:64::1
	assert_output 200
	run ask 203.0.113.66
	assert_output refused
}

@test "connection attempts pass up to the burst" {
	ASK_PORT=8090 run ask_times 5 203.0.113.5
	assert_output 5
	ASK_PORT=8090 run ask 203.0.113.5
	assert_output refused
}

@test "datagrams pass up to the burst, and no further" {
	run datagrams 5000 203.0.113.6 20
	assert_output 5
	run datagrams 5000 2001:db8:c:6::1 20
	assert_output 5
}

@test "a port that is no listener's is not limited" {
	run datagrams 5001 203.0.113.6 20
	assert_output 20
}

@test "paused, everything passes; resumed, the debt still stands" {
	tps pause
	run ask_times 3 203.0.113.1
	assert_output 3
	tps resume
	run ask 203.0.113.1
	assert_output refused
}

@test "detached, everything passes; attached again, the debt still stands" {
	tps detach "$lab_device" --netns "$(lab_netns server)"
	run ask_times 3 203.0.113.1
	assert_output 3
	attach_gate
	run ask 203.0.113.1
	assert_output refused
}
