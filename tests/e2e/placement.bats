#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What status says of a listener whose traffic cannot be proven: how it is now, where something comes,
# whatever went before.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab placement --box
	lab_nginx box
	attach_gate
	tps set tier free --rate 1000000/s --burst 1000000
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	# shellcheck disable=SC2034 # of scripts/lab
	lab_server4=$lab_box4 lab_server6=$lab_box6
	crowd=
}

teardown()
{
	[[ ! $crowd ]] || kill "$crowd" 2>/dev/null || true
	tps delete listener api
}

# requests N: on one connection.
requests()
{
	lab_run client curl -s -o /dev/null "http://$lab_box4:8080/[1-$1]"
}

# crowd_start: requests that go on, on connections of their own.
crowd_start()
{
	background client bash -c "while sleep 0.01; do curl -s -o /dev/null http://$lab_box4:8080/; done"
	crowd=$!
	sleep 0.3
}

# placed WHERE [PROTOCOL]
placed()
{
	tps set listener api --port 8080 --protocol "${2:-http}" --placement "$1"
}

doubts()
{
	tps -j status | jq -r '.warnings[] | select(startswith("listener"))'
}

@test "where nothing comes now, the whole is told as the whole" {
	placed local
	assert_equal "$(doubts)" ""
	requests 40
	assert_equal "$(doubts)" "listener 'api': since it was made, 40 of 40 transactions could not be\
 proven: is its placement transit?"
}

@test "once the placement is mended, what went before warns no more" {
	placed local
	requests 2000
	placed transit
	crowd_start
	assert_equal "$(doubts)" ""
}

@test "a healthy history does not hide what is wrong now" {
	placed transit
	requests 2000
	assert_equal "$(doubts)" ""
	placed local
	crowd_start
	run doubts
	assert_output --regexp "^listener 'api': just now, [0-9]+ of [0-9]+ .*: is its placement transit\\?$"
}

@test "a listener that is in transit already is asked something else" {
	placed transit
	lab_run server tc filter del dev "$lab_device" egress
	crowd_start
	sleep 0.5
	run doubts
	attach_gate
	assert_output --partial "is the gate on each device that the answers leave by?"
}

@test "a tls listener whose handshakes cannot be proven is doubted too" {
	placed local tls
	lab_run client curl -sk -o /dev/null "https://$lab_box4:8080/[1-40]" || true
	assert_equal "$(doubts)" "listener 'api': since it was made, 40 of 40 transactions could not be\
 proven: is its placement transit?"
}
