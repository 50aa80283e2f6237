#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Answers on a bad wire: packets are lost, doubled and made late, each way. Whatever happens, no
# response has a wrong byte, and no request waits for ever.

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	local where

	open_lab loss
	answers_serve
	answers_limit
	wire_lay
	# no test's round trips become the next one's patience
	for where in client server; do
		lab_sysctl "$where" net.ipv4.tcp_no_metrics_save=1
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
}

teardown()
{
	enter_lab
	send_again_after 200ms # Linux' own
}

# send_again_after TIME: both hosts send a lost segment again after TIME, then 2 TIME, 4 TIME...
send_again_after()
{
	lab_run client ip route replace "$lab_server4" dev client0 rto_min "$1"
	lab_run server ip route replace "$lab_callers4" via "$lab_client4" rto_min "$1"
}

# assert_lost WHAT: there was some of it, each way.
assert_lost()
{
	local way

	for way in outward inward; do
		echo "$way: $1 $(wire_count "$way" "$1")"
		(($(wire_count "$way" "$1") > 100))
	done
}

@test "3 % lost each way: no wrong byte, and nobody waits for ever" {
	wire_set both lose=30
	dialog 32 "${TPS_DIALOG_SECONDS:-8}" 10
	assert_lost lost
	assert_dialog
}

@test "3 % lost each way over IPv6: no wrong byte, and nobody waits for ever" {
	wire_set both lose=30
	dialog6 32 4 10
	assert_lost lost
	assert_dialog
}

@test "3 % lost each way under answers that close: no wrong byte, and nobody waits for ever" {
	tps set listener web --port "$answers_listen" --refuse close
	wire_set both lose=30
	dialog 32 4 10
	tps set listener web --port "$answers_listen" --refuse answer
	assert_lost lost
	assert_dialog
}

@test "3 % doubled each way: no wrong byte, nobody waits for ever" {
	wire_set both double=30
	dialog 16 4 10
	assert_lost doubled
	assert_dialog
}

@test "3 % made late by up to 10 ms each way: no wrong byte, nobody waits for ever" {
	wire_set both late=30
	dialog 16 4 10
	assert_lost late
	assert_dialog
}

@test "3 % lost, doubled and late each way: no wrong byte, nobody waits for ever" {
	wire_set both lose=30 double=30 late=30
	dialog 32 "${TPS_DIALOG_SECONDS:-8}" 10
	assert_lost lost
	assert_dialog
}

# dialog_for_ever outward|inward: 20 % lost that way. By chance alone a request that is sent at Linux'
# own pace, 7 times within the 20 s that it has, is lost each time once in 80,000 times, which is met
# now and then; and once in 600 times where the SYN-ACK was sent twice, since a host takes that for a
# round trip of a second. So both hosts are in a hurry, no SYN is lost, and a request is sent 11
# times: once in 50 million.
dialog_for_ever()
{
	send_again_after 10ms
	wire_set "$1" lose=200 spare_syns=1
	dialog 32 5 20
	cat "$lab_dir/dialog" "$lab_dir/faults"
	run jq -r '"wrong \(.wrong) broken \(.broken) hung \(.hung)"' "$lab_dir/dialog"
	assert_output 'wrong 0 broken 0 hung 0'
}

@test "20 % lost from the server alone: no wrong byte, nobody waits for ever" {
	dialog_for_ever inward
}

@test "20 % lost to the server alone: no wrong byte, nobody waits for ever" {
	dialog_for_ever outward
}

# many SOURCE: a large 200, then 429s and a 200 again, on one connection.
many()
{
	lab_run client curl -sS -o "$lab_dir/got" -w '%{http_code}:%{num_connects} ' --interface "$1" \
		--max-time 5 -H 'X-API-Key: allowed' "$(at "$1" /large)" \
		--next -sS -o /dev/null -w '%{http_code}:%{num_connects} ' --interface "$1" \
		--max-time 9 "$(at "$1")?[1-2]" \
		--next -sS -o "$lab_dir/id" -w '%{http_code}:%{num_connects} ' --interface "$1" \
		--max-time 5 -H 'X-API-Key: allowed' "$(at "$1" /id?id=last)"
}

@test "a 429 that is lost behind a response of many segments is sent again" {
	local lost source=203.0.113.20

	spend "$source"
	for lost in 1 2 3; do
		wire_set inward refusals="$lost"
		run many "$source"
		assert_output '200:1 429:0 429:0 200:0 '
		cmp "$lab_dir/got" "$lab_dir/www/large"
		assert_equal "$(<"$lab_dir/id")" last
		assert_equal "$(wire_count inward lost)" "$lost"
	done
}

@test "a 429 that is lost over IPv6 is sent again" {
	local source=2001:db8:c:20::1

	spend "$source"
	wire_set inward refusals=1
	run many "$source"
	assert_output '200:1 429:0 429:0 200:0 '
	cmp "$lab_dir/got" "$lab_dir/www/large"
}

@test "a 429 that says close and is lost is sent again" {
	local source=203.0.113.21

	spend "$source"
	wire_set inward refusals=2
	run fetch "$source" -H 'Connection: close' "$(at "$source")"
	assert_success
	assert_refusal
	assert_no_sockets "$source"
}

@test "a refused request that is lost is refused when it comes" {
	local source=203.0.113.22

	spend "$source"
	wire_set outward payloads=2
	run fetch "$source" "$(at "$source")"
	assert_success
	assert_refusal
}

# The server sends its SYN-ACK again 1 s later; a request that waits for that is sent at 1.6 s next.
@test "a refused request whose connection's ACK was lost does not wait for another SYN-ACK" {
	local source

	for source in 203.0.113.23 2001:db8:c:23::1; do
		spend "$source"
		# of the request one as well, so that it comes when the host's clock has moved on
		wire_set outward acks=1 payloads=1
		run fetch "$source" --max-time 1.4 "$(at "$source")"
		assert_success
		assert_refusal
		assert_equal "$(wire_count outward lost)" 2
	done
}

# To a SYN cookie the server sends nothing again.
@test "a refused request that answers a SYN cookie is refused, though the ACK was lost" {
	local source

	for source in 203.0.113.24 2001:db8:c:24::1; do
		spend "$source"
		wire_set outward acks=1
		lab_sysctl server net.ipv4.tcp_syncookies=2
		run fetch "$source" "$(at "$source")"
		lab_sysctl server net.ipv4.tcp_syncookies=1
		assert_success
		assert_refusal
		assert_equal "$(wire_count outward lost)" 1
	done
}
