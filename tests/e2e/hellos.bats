#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The list of the hellos that real clients sent, which the parser of bpf/tls.h is held to, against a
# dissector that is not ours.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

hellos=$BATS_TEST_DIRNAME/../hellos

# what_tshark_reads records|segments BYTES
what_tshark_reads()
{
	"$hellos/tshark.py" "$1" "$2" "$hellos"/*.hello
}

@test "tshark reads the names that the list says from hellos as they were sent" {
	run what_tshark_reads segments 65000
	assert_success
	assert_output "$(<"$hellos/names")"
}

@test "tshark reads the names that the list says from hellos in records of 64 bytes" {
	run what_tshark_reads records 64
	assert_success
	assert_output "$(<"$hellos/names")"
}

@test "tshark reads the names that the list says from hellos cut into segments" {
	run what_tshark_reads segments 97
	assert_success
	assert_output "$(<"$hellos/names")"
}

@test "tshark reads no name from a hello that is not there" {
	printf '\x15\x03\x03\x00\x02\x02\x28' >"$BATS_TEST_TMPDIR/alert.hello"
	run "$hellos/tshark.py" segments 65000 "$BATS_TEST_TMPDIR/alert.hello"
	assert_success
	assert_output 'alert.hello ?'
}
