#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Containers: the sockets are in another namespace, behind the server's bridge.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab transit --box
	lab_nginx box
	attach_gate
	slow_strangers
	printf 'key-of-acme' >"$lab_dir/acme"
	tps set listener right --port 8080 --protocol http --placement transit
	tps set listener wrong --port 8090 --protocol http
	tps set listener api --port 8081 --protocol tcp --placement transit
	tps set listener log --port 5000 --protocol udp --placement transit
	tps set caller acme --rate 1/h --burst 8 --key-file "$lab_dir/acme"
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
}

@test "in transit, a stranger's requests pass up to the burst" {
	run ask_times 5 203.0.113.1
	assert_output 5
	run ask 203.0.113.1
	assert_output refused
	run metric tps_unproven_total listener=right
	assert_output 0
}

@test "in transit, a key's caller has its limit" {
	run ask_times 8 203.0.113.2 -H 'X-API-Key: key-of-acme'
	assert_output 8
	run ask 203.0.113.2 -H 'X-API-Key: key-of-acme'
	assert_output refused
	run verdicts acme allowed
	assert_output 8
}

@test "in transit, IPv6 is the same" {
	run ask_times 5 2001:db8:c:1::1
	assert_output 5
	run ask 2001:db8:c:1::1
	assert_output refused
	run metric tps_unproven_total listener=right
	assert_output 0
}

@test "in transit, a tcp listener's connections pass up to the burst" {
	for source in 203.0.113.7 2001:db8:c:7::1; do
		ASK_PORT=8081 run ask_times 5 "$source" --http2-prior-knowledge
		assert_output 5
		ASK_PORT=8081 run ask "$source" --http2-prior-knowledge
		assert_output refused
	done
	ASK_PORT=8081 run ask 203.0.113.8 --http2-prior-knowledge
	assert_output 200
	between 2 "$(metric tps_transactions_total listener=api verdict=refused)" 100
	assert_equal "$(metric tps_transactions_total listener=api verdict=allowed)" 11
}

@test "in transit, a udp listener's datagrams pass up to the burst" {
	for source in 203.0.113.9 2001:db8:c:9::1; do
		run datagrams 5000 "$source" 20 box
		assert_output 5
		# behind a port without a listener there is no limit
		run datagrams 5001 "$source" 20 box
		assert_output 20
	done
	assert_equal "$(metric tps_transactions_total listener=log verdict=allowed)" 10
	assert_equal "$(metric tps_transactions_total listener=log verdict=refused)" 30
}

@test "taken for local by mistake: charged to the source, counted and named by status" {
	ASK_PORT=8090 run ask_times 5 203.0.113.3 -H 'X-API-Key: key-of-acme'
	assert_output 5
	ASK_PORT=8090 run ask 203.0.113.3
	assert_output refused
	run ask_times 5 203.0.113.3 # of the other word: none of these was proven
	assert_output 5
	for i in {4..6}; do
		ASK_PORT=8090 run ask_times 3 "203.0.113.$i"
		assert_output 3
	done
	run metric tps_unproven_total listener=wrong reason=no_socket
	between 14 "$output" 100
	run tps status
	assert_line --partial wrong
	assert_line --partial transit
	run bash -c "'$tpsctl' status | grep -i 'unproven' | grep -w right"
	assert_failure
}
