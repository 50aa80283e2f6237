#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# selftest beside a gate that works: what it shows, that it can fail, and that nothing is left of it,
# however it ends.

# shellcheck disable=SC2154 # run sets variables

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab beside
	lab_nginx
	attach_gate
	tps set listener api --port 8080 --protocol http
	tps set caller acme --rate 7/s --source 203.0.113.0/24
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

teardown()
{
	local name

	assert_nothing_left
	for name in $(tps -j list listeners | jq -r '.[].name'); do
		assert_equal "$name" api
	done
}

assert_nothing_left()
{
	assert_equal "$(ip netns list | grep tps-selftest-)" ""
	assert_equal "$(find /run -maxdepth 1 -name 'tps-selftest*' ! -name tps-selftest.one)" ""
	assert_equal "$(grep -c ' /run/tps-selftest ' /proc/self/mountinfo)" 0
	# a network namespace goes in its own time, and what is on its devices with it
	wait_until 10 programs_gone
}

programs_gone()
{
	[[ $(bpftool -j prog show | jq '[.[] | select(.name == "selftest")] | length') == 0 ]]
}

# surroundings: all that the lab's gate is, and the devices of this host and of the lab.
surroundings()
{
	tps -j status | jq -cS 'del(.maps[].entries)'
	tps -j show caller acme | jq -cS .
	ip -j -d link | jq -c 'map({ifname, ifindex, xdp})'
	ip -j addr | jq -c 'map([.ifname, .addr_info[].local])'
	ip netns list | grep -v tps-selftest-server | sort
	bpftool -j map show | jq -c 'map(.id)'
	bpftool -j prog show | jq -c 'map(select(.name != "selftest").id)'
	tc qdisc show | sort
}

@test "it proves what it says, and what stands beside it stands as it did" {
	local before start=$SECONDS

	before=$(surroundings)
	run --separate-stderr tps selftest
	assert_success
	wait_until 10 programs_gone
	assert_equal "$stderr" ""
	assert_equal "$(grep -c '^ok: ' <<<"$output")" 12
	assert_line "ok: pause, the kill switch, lets everything pass, resume ends it"
	assert_line --regexp "^selftest passed: 12 things proved in [0-9.]+ s$"
	between 0 $((SECONDS - start)) 10
	assert_equal "$(surroundings)" "$before"
	run tps -j selftest
	assert_success
	assert_equal "$(jq -c '[.passed, (.proved | length), .failed]' <<<"$output")" '[true,12,null]'
}

@test "a gate that lets everything pass fails it, and is named" {
	local busy

	# the kill switch, as soon as there is one, and again and again
	while :; do tps --root /run/tps-selftest pause || true; done 2>/dev/null &
	busy=$!
	run --separate-stderr tps selftest
	kill "$busy" 2>/dev/null || true
	assert_failure 1
	assert_regex "$stderr" "^tpsctl: not so: .*: (request . of .: wanted a 429, got a 200|wanted .*)$"
	refute_line --partial passed
	while :; do tps --root /run/tps-selftest pause || true; done 2>/dev/null &
	busy=$!
	run --separate-stderr tps -j selftest
	kill "$busy" 2>/dev/null || true
	assert_failure 1
	assert_equal "$(jq -c '[.passed, (.failed | type)]' <<<"$output")" '[false,"string"]'
}

@test "interrupted at any moment, nothing is left of it" {
	local after process status left interrupted=0

	for after in 0.01:INT 0.05:TERM 0.2:INT 0.35:TERM 0.5:INT; do
		env --default-signal=INT "$tpsctl" selftest >"$lab_dir/out" 2>&1 3>&- &
		process=$!
		sleep "${after%:*}"
		kill -"${after#*:}" "$process" 2>/dev/null || true
		status=0
		wait "$process" || status=$?
		left=$(tail -n 1 "$lab_dir/out")
		# before it has made anything a signal just ends it
		[[ $status == 0 || $status -gt 128 ||
			($status == 1 && $left == *"interrupted; what it had made is removed") ]] ||
			fail "status $status: $left"
		((status != 1)) || interrupted=$((interrupted + 1))
		assert_nothing_left
	done
	((interrupted))
}

@test "killed at any moment, the next one removes what was left" {
	local after process

	for after in 0.15 0.3 0.5; do
		"$tpsctl" selftest >/dev/null 2>&1 3>&- &
		process=$!
		sleep "$after"
		kill -KILL "$process" 2>/dev/null || true
		wait "$process" || true
		run tps selftest
		assert_success
		assert_nothing_left
	done
}

@test "two at once wait for each other; without privileges it needs root" {
	local first

	"$tpsctl" selftest >/dev/null 2>&1 3>&- &
	first=$!
	run tps selftest
	assert_success
	wait "$first"
	run setpriv --reuid=65534 --clear-groups "$tpsctl" selftest
	assert_failure 1
	assert_output --partial "it needs root"
}
