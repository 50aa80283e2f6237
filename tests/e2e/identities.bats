#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# One caller and its many identities; keys that nobody has.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab identities
	lab_nginx
	attach_gate
	tps set listener web --port 8080 --protocol http
	tps set listener log --port 5000 --protocol udp
	printf 'key-one' >"$lab_dir/one"
	printf 'key-two' >"$lab_dir/two"
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

@test "two prefixes and two keys of one caller share a bucket" {
	tps set caller acme --rate 1/h --burst 8 --source 203.0.113.16/28 --source 2001:db8:c:10::/60 \
		--key-file "$lab_dir/one" --key-file "$lab_dir/two"
	run ask_times 2 203.0.113.17
	assert_output 2
	run ask_times 2 2001:db8:c:1f::1
	assert_output 2
	run ask_times 2 203.0.113.1 -H 'X-API-Key: key-one'
	assert_output 2
	run ask_times 2 203.0.113.2 -H 'X-API-Key: key-two'
	assert_output 2
	run ask 203.0.113.18
	assert_output refused
	run ask 2001:db8:c:10::1
	assert_output refused
	run ask 203.0.113.3 -H 'X-API-Key: key-one'
	assert_output refused
	run ask 203.0.113.3 -H 'X-API-Key: key-two'
	assert_output refused
	run verdicts acme allowed
	assert_output 8
}

@test "a source that is taken from a caller is a stranger's again" {
	tps set caller acme --remove-source 203.0.113.16/28
	run ask 203.0.113.18
	assert_output 200
	run ask 2001:db8:c:10::1
	assert_output refused
}

@test "an exempt caller is never refused" {
	tps set caller health --rate 1/h --burst 1 --source 203.0.113.48/28 --exempt
	run ask_times 5 203.0.113.49
	assert_output 5
	run verdicts health allowed
	assert_output 5
	tps ban 203.0.113.48/28
	run ask 203.0.113.49
	assert_output 200
	tps unban 203.0.113.48/28
}

@test "a banned prefix is shut out until it is unbanned, a banned caller likewise" {
	run ask 203.0.113.81
	assert_output 200
	tps ban 203.0.113.80/28 --for 1h --reason 'a test'
	run ask 203.0.113.81
	assert_output refused
	run datagrams 5000 203.0.113.82 5
	assert_output 0
	run ask 203.0.113.97
	assert_output 200
	tps unban 203.0.113.80/28
	run ask 203.0.113.81
	assert_output 200
	tps set caller shut --rate 100/s --source 203.0.113.112/28
	tps ban caller:shut
	run ask 203.0.113.113
	assert_output refused
	between 1 "$(verdicts shut banned)" 10
	tps unban caller:shut
	run ask 203.0.113.113
	assert_output 200
}

@test "a ban ends by itself" {
	tps ban 203.0.113.83 --for 2s
	run datagrams 5000 203.0.113.83 5
	assert_output 0
	sleep 2.1
	run datagrams 5000 203.0.113.83 5
	assert_output 5
}

@test "100000 keys that nobody has make no entry, and are charged to their source" {
	local before

	tps set tier wide --rate 1000000/s
	tps set default-tier wide
	printf 'key-three' >"$lab_dir/three"
	tps set caller holder --key-file "$lab_dir/three"
	before=$(metric tps_map_entries map=keys)
	between 1 "$before" 10
	run lab_run client "$lab_top/tests/e2e/asking.py" keys 203.0.113.200 "$lab_server4" 8080 100000
	assert_output 100000
	run metric tps_map_entries map=keys
	assert_output "$before"
	run metric tps_map_entries map=strangers
	between 1 "$output" 50
	# A note, not a count of transactions: where TCP puts many heads into one segment they may be
	# too many to be told apart, or looked at twice.
	run metric tps_unknown_keys_total listener=web
	between 99000 "$output" 101000
	run metric tps_transactions_total listener=web tier=wide verdict=allowed
	between 100000 "$output" 100000
}

@test "with keys that nobody has, the source's bucket is spent" {
	slow_strangers
	run ask 203.0.113.201 -H 'X-API-Key: a'
	assert_output 200
	for key in b c d e; do
		run ask 203.0.113.201 -H "X-API-Key: $key"
		assert_output 200
	done
	run ask 203.0.113.201 -H 'X-API-Key: f'
	assert_output refused
	run ask 203.0.113.201
	assert_output refused
}
