#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Answers to dialogs that ordinary clients do not have: the right answer, or an end that is told, never
# a wrong or a missing response.

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	local source

	open_lab odd
	answers_serve
	answers_limit
	wire_lay
	for source in 203.0.113.40 2001:db8:c:40::1; do
		spend "$source"
	done
}

teardown_file()
{
	enter_lab
	wire_remove
	close_lab
}

setup()
{
	enter_lab
	wire_set both
	lab_sysctl client net.ipv4.tcp_timestamps=1 net.ipv4.tcp_sack=1
}

# odd CASE [v6]: what odd.py says.
odd()
{
	local source=203.0.113.40 server=$lab_server4
	[[ ${2-} != v6 ]] || source=2001:db8:c:40::1 server=$lab_server6

	lab_run client timeout 40 "$lab_top/tests/e2e/odd.py" "$1" "$source" "$server" "$answers_listen" 2>&1
}

turns='429:problem 200:ok 429:none 200:ok 429:problem 200:ok 429:none 200:ok 429:problem 200:ok 429:none 200:ok'
tiny='429:problem 200:ok 429:problem 200:ok 429:problem 200:ok 429:problem 200:ok 429:problem 200:ok'

@test "refused and allowed in turns, GET and HEAD" {
	run odd plain
	assert_output "$turns"
	run odd plain v6
	assert_output "$turns"
}

@test "without timestamps" {
	lab_sysctl client net.ipv4.tcp_timestamps=0
	run odd plain
	assert_output "$turns"
	run odd tiny_window
	assert_output "$tiny"
}

@test "without SACK" {
	lab_sysctl client net.ipv4.tcp_sack=0
	run odd plain
	assert_output "$turns"
	run odd tiny_window
	assert_output "$tiny"
}

@test "without either, on a wire that loses" {
	lab_sysctl client net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0
	wire_set both lose=30
	dialog 16 4 10
	assert_dialog
}

@test "with a tiny receive window" {
	run odd tiny_window
	assert_output "$tiny"
	run odd tiny_window v6
	assert_output "$tiny"
}

@test "requests that are pipelined in one segment are refused whole, and the connection ends" {
	run odd pipelined
	assert_output --regexp '^429:(none|problem) fin$'
}

@test "one that may not behind one that may, in one segment: refused whole, and the connection ends" {
	run odd pipelined_allowed_first
	assert_output --regexp '^429:(none|problem) fin$'
}

@test "requests that are pipelined on an answered connection are refused whole" {
	run odd pipelined_behind_answers
	assert_output --regexp '^429:problem 200:ok 429:(none|problem) fin$'
}

@test "a body in the head's segment is refused with it, and the connection lives on" {
	run odd body_same_segment
	assert_output '429:problem 200:ok'
}

@test "a body in a segment of its own: the connection ends" {
	run odd body_later
	assert_output --regexp '^429:(none|problem) fin$'
	run odd body_at_once
	assert_output --regexp '^429:(none|problem) fin$'
}

@test "a head in two segments: answered, and the connection ends" {
	run odd split_head
	assert_output --regexp '^429:(none|problem) fin$'
	run odd split_head_live
	assert_output --regexp '^429:problem 200:ok 429:(none|problem) fin$'
}

@test "a request while the last response is under way and the window is shut" {
	run odd in_flight
	assert_output '200:ok 429:problem 200:ok'
}

@test "a tuple that is used again at once" {
	local again='429:problem 200:ok 429:problem '
	run odd same_tuple
	assert_output "$again$again${again}429:problem 200:ok 200:ok fin 429:problem 200:ok"
	run odd same_tuple v6
	assert_output "$again$again${again}429:problem 200:ok 200:ok fin 429:problem 200:ok"
}

@test "a tuple that is used again after an answer that closed" {
	run odd same_tuple_closed
	assert_output '429:problem fin 429:problem fin 429:problem fin'
}

@test "a client that ends its side with its request" {
	run odd half_closed
	assert_output '429:problem fin'
	run odd half_closed_live
	assert_output '429:problem 200:ok 429:problem fin'
}

@test "probes of an idle answered connection are acked" {
	run odd idle_probe
	assert_output '429:problem 200:ok'
}

# The server's ack of an old copy must not ack the request, or nobody sends the answer again.
@test "a 429 that is lost, and an ACK of the server's behind it" {
	mkfifo "$lab_dir/go"
	odd old_copy <"$lab_dir/go" >"$lab_dir/odd" 3>&- &
	exec 7>"$lab_dir/go"
	wait_until 3 grep -qs ready "$lab_dir/odd"
	wire_set inward refusals=1
	echo go >&7
	exec 7>&-
	wait $!
	run cat "$lab_dir/odd"
	assert_line '429:problem 200:ok 200:ok 429:problem 200:ok'
}

# icmps_astray: ICMP errors about bytes that the server, as it counts, has not sent.
icmps_astray()
{
	lab_run server nstat -asz TcpExtOutOfWindowIcmps | awk '$1 == "TcpExtOutOfWindowIcmps" {print $2}'
}

@test "an ICMP error about an answered connection is the server's to believe" {
	local where before

	for where in '' v6; do
		before=$(icmps_astray)
		run odd quoted_error $where
		assert_output '429:problem 429:problem 200:ok 200:ok'
		assert_equal "$(icmps_astray)" "$before"
		run odd quoted_error_astray $where
		assert_output '429:problem 429:problem 200:ok 200:ok'
		assert_equal "$(icmps_astray)" $((before + 1))
	done
	# and it was about the way to the client
	lab_run server ip route get 203.0.113.40 | grep 'mtu 1400'
}
