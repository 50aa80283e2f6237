#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# "A customer says that they are refused": what explain answers, before and behind their requests.

# shellcheck disable=SC2154 # $output and $status are BATS'
# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab explain
	lab_nginx
	attach_gate
	slow_strangers
	printf 'key-of-acme' >"$lab_dir/acme"
	tps set listener api --port 8080 --protocol http
	tps set listener log --port 5000 --protocol udp
	tps set caller acme --rate 1/h --burst 2 --key-file "$lab_dir/acme"
	tps set caller lan --source 203.0.113.0/24 --sni '*.example.com'
	tps set caller one --source 203.0.113.7
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# explained FILTER ARGUMENT...
explained()
{
	tps -j explain "${@:2}" | jq -er "$1"
}

@test "who it is and by which rule: key, server name, longest source prefix, address" {
	assert_equal "$(explained '.caller + " " + .rule' --source 203.0.113.7)" 'one source 203.0.113.7'
	assert_equal "$(explained '.caller + " " + .rule' --source 203.0.113.8)" 'lan source 203.0.113.0/24'
	assert_equal "$(explained '.caller + " " + .rule' --source 198.51.100.9 --sni a.b.example.com)" \
		'lan sni *.example.com'
	run explained '.caller + " " + .by' --source 203.0.113.7 --port 8080 --key-file "$lab_dir/acme"
	assert_output 'acme key'
	assert_equal "$(explained '.rule' --source 2001:db8:c:5::9)" 'address 2001:db8:c:5::/64'
	assert_equal "$(explained '.limit_from' --source 2001:db8:c:5::9)" 'default tier'
	run tps explain --source 203.0.113.7
	assert_line --index 0 --partial "203.0.113.7 is caller 'one' (source 203.0.113.7); "
}

@test "what is left and what would become of the next, as the requests go" {
	local asked=(--source 203.0.113.9 --port 8080 --key-file "$lab_dir/acme")

	for tokens in 2 1; do
		assert_equal "$(explained .proven_tokens "${asked[@]}")" $tokens
		assert_equal "$(explained .verdict "${asked[@]}")" allowed
		assert_equal "$(ask 203.0.113.9 -H 'X-API-Key: key-of-acme')" 200
	done
	run explained '"\(.verdict) \(.reason) \(.passes)"' "${asked[@]}"
	assert_output 'refused limit false'
	between 3500 "$(explained .retry_after_s "${asked[@]}")" 3601
	between 3500 "$(explained .wait_s "${asked[@]}")" 3600
	# as the answer says it
	run lab_run client curl -s -o /dev/null -D - --interface 203.0.113.9 \
		-H 'X-API-Key: key-of-acme' "http://$lab_server4:8080/"
	assert_line --regexp '^Retry-After: 3[56]'
	tps observe api
	assert_equal "$(explained '"\(.verdict) \(.passes)"' "${asked[@]}")" 'would_refuse true'
	tps enforce api
	tps pause
	assert_equal "$(explained '"\(.verdict) \(.reason)"' "${asked[@]}")" 'null paused'
	tps resume
	tps ban 203.0.113.8/31 --reason 'too many'
	assert_equal "$(explained '"\(.reason) \(.ban) \(.ban_reason) \(.wait_s)"' "${asked[@]}")" \
		'banned_prefix 203.0.113.8/31 too many never'
	tps unban 203.0.113.8/31
}

@test "what cannot be asked is refused in one line" {
	for words in '' '--source 203.0.113.0/24' '--source nobody' '--source 203.0.113.1 --port 0' \
		'--source 203.0.113.1 --port 5000' '--source 203.0.113.1 --udp' \
		'--source 203.0.113.1 --sni *.example.com' '--source 203.0.113.1 --key-hash hash:0:0' \
		'--source 203.0.113.1 word'; do
		set -f
		# shellcheck disable=SC2086 # words
		run tps explain $words
		set +f
		assert_failure 2
		assert_equal "${#lines[@]}" 1
	done
	run tps explain --source 203.0.113.1 --port 5000
	assert_output --partial "--udp"
	assert_equal "$(explained .listener --source 203.0.113.1 --port 5000 --udp)" log
	assert_equal "$(explained .reason --source 203.0.113.1 --port 9)" not_listener
}
