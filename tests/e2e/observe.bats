#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Observing counts what enforcing would refuse, and refuses nothing.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab observe
	attach_gate
	tps set listener log --port 5000 --protocol udp
	tps set tier three --rate 1/d --burst 3
	tps set tier nine --rate 1/d --burst 9
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

members=(alpha:three:203.0.113.1 beta:nine:203.0.113.2 gamma:nine:2001:db8:c:3::1 delta:free:203.0.113.4)

# Callers with full buckets and counters at zero; beta is banned.
start_again()
{
	local member name tier source

	for member in "${members[@]}"; do
		IFS=: read -r name tier source <<<"$member"
		tps delete caller "$name" --if-exists
		tps set caller "$name" --tier "$tier" --source "$source"
	done
	tps ban caller:beta
}

# 20 datagrams of each.
send()
{
	local member

	sink_start 5000
	for member in "${members[@]}"; do
		echo "${member#*:*:} 100"
	done | flood 5000 0.2 >/dev/null
	sink_stop 5000
}

verdicts_of_all()
{
	local verdict=$1 member

	for member in "${members[@]}"; do
		echo "${member%%:*} $(verdicts "${member%%:*}" "$verdict")"
	done
}

@test "the same packets observed, then enforced: would_refuse is refused and banned" {
	local observed enforced

	start_again
	tps observe log
	send
	for member in "${members[@]}"; do
		assert_equal "$(sink_count 5000 "${member#*:*:}")" 20
	done
	observed=$(verdicts_of_all would_refuse)
	assert_equal "$(verdicts_of_all refused; verdicts_of_all banned)" \
		"$(for i in 1 2; do printf '%s 0\n' alpha beta gamma delta; done)"

	start_again
	tps enforce log
	send
	assert_equal "$(sink_count 5000 203.0.113.1)" 3
	assert_equal "$(sink_count 5000 203.0.113.2)" 0
	assert_equal "$(sink_count 5000 2001:db8:c:3::1)" 9
	assert_equal "$(sink_count 5000 203.0.113.4)" 20
	enforced=$(paste -d' ' <(verdicts_of_all refused) <(verdicts_of_all banned) |
		awk '{print $1, $2 + $4}')
	assert_equal "$observed" "$enforced"
	assert_equal "$enforced" "$(printf '%s\n' 'alpha 17' 'beta 20' 'gamma 11' 'delta 0')"
}

@test "observing by all listeners is the same, and ends with enforce" {
	tps observe
	run datagrams 5000 203.0.113.1 10
	assert_output 10
	tps enforce
	run datagrams 5000 203.0.113.1 10
	assert_output 0
}
