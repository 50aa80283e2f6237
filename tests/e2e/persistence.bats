#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The truth is in the kernel: whatever dies, throttling and counting go on, and nothing is torn.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab persist
	attach_gate
	slow_strangers
	tps set listener log --port 5000 --protocol udp
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

detach_gate()
{
	tps detach "$lab_device" --netns "$(lab_netns server)"
}

# Is any XDP program on the server's device?
has_xdp()
{
	ip -n "$(lab_netns server)" -d link show dev "$lab_device" | grep -q 'prog/xdp'
}

daemon_start()
{
	background server "$tpsd"
	daemon=$!
	wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/healthz
}

# daemon_end SIGNAL
daemon_end()
{
	kill -"$1" "$daemon"
	wait "$daemon" 2>/dev/null || true
}

@test "tpsd killed: throttling and counters go on, and it finds them again" {
	tps set caller one --rate 1/h --burst 5 --source 203.0.113.1
	daemon_start
	run datagrams 5000 203.0.113.1 8
	assert_output 5
	assert_equal "$(metric tps_caller_transactions_total caller=one verdict=refused)" 3
	daemon_end KILL
	run datagrams 5000 203.0.113.1 8
	assert_output 0
	daemon_start
	assert_equal "$(metric tps_caller_transactions_total caller=one verdict=refused)" 11
	assert_equal "$(metric tps_caller_transactions_total caller=one verdict=allowed)" 5
	daemon_end KILL
}

@test "detached and attached again: buckets, counters and settings are as before" {
	tps set caller two --rate 1/h --burst 5 --source 203.0.113.2
	run datagrams 5000 203.0.113.2 8
	assert_output 5
	detach_gate
	run has_xdp
	assert_failure
	run datagrams 5000 203.0.113.2 8
	assert_output 8
	assert_equal "$(verdicts two refused)" 3
	attach_gate
	run datagrams 5000 203.0.113.2 8
	assert_output 0
	assert_equal "$(verdicts two refused)" 11
	assert_equal "$(verdicts two allowed)" 5
}

@test "detached while tpsd runs, it stays detached" {
	daemon_start
	has_xdp
	detach_gate
	run has_xdp
	assert_failure
	sleep 3
	run has_xdp
	assert_failure
	daemon_end TERM
	attach_gate
	has_xdp
}

@test "a gate whose device goes takes nothing along" {
	local before

	before=$(verdicts one refused)
	ip -n "$(lab_netns server)" link set dev "$lab_device" down
	ip -n "$(lab_netns server)" link set dev "$lab_device" up
	has_xdp
	assert_equal "$(verdicts one refused)" "$before"
}

@test "under ip netns exec a first attach is refused, and says how to do it" {
	local other=$lab_dir/other/bpf

	install -d -m 0700 "$lab_dir/other"
	run ip netns exec "$(lab_netns server)" "$tpsctl" --root "$other" attach "$lab_device"
	assert_failure 1
	assert_output --partial -- --netns
	assert_equal "${#lines[@]}" 1
	run mountpoint -q "$other"
	assert_failure
}

# What callers and their identities occupy.
occupied()
{
	for map in callers sources4 sources6 keys limits; do
		metric tps_map_entries "map=$map"
	done | paste -sd ' '
}

@test "tpsctl killed in the middle of writing: nothing is torn, and the same command ends the work" {
	local round empty killed=0 pid

	empty=$(occupied)
	printf 'key-of-victim' >"$lab_dir/victim"
	for round in {1..150}; do
		if ((round % 3 == 0)); then
			set -- delete caller victim --if-exists
		else
			set -- set caller victim --rate 1/h --burst "$((round % 7 + 1))" \
				--source 203.0.113.32/28 --source 2001:db8:c:20::/60 \
				--source 203.0.113.48/30 --key-file "$lab_dir/victim"
		fi
		# The process itself, not a shell around it, is what is killed.
		"$tpsctl" "$@" >/dev/null 2>&1 3>&- &
		pid=$!
		sleep "0.$(printf '%04d' $((RANDOM % 50)))"
		if kill -9 "$pid" 2>/dev/null; then
			killed=$((killed + 1))
		fi
		wait "$pid" 2>/dev/null || true
		# Whoever reads now sees a whole answer.
		tps -j list callers >"$lab_dir/callers"
		jq -e . "$lab_dir/callers" >/dev/null
	done
	echo "$killed of 150 killed in time"
	between 30 "$killed" 150
	tps set caller victim --rate 1/h --burst 4 --source 203.0.113.32/28 \
		--source 2001:db8:c:20::/60 --source 203.0.113.48/30 --key-file "$lab_dir/victim"
	assert_equal "$(tps -j show caller victim | jq '.sources | length')" 3
	tps delete caller victim
	tps set caller victim --rate 1/h --burst 4 --source 203.0.113.32/28
	run datagrams 5000 203.0.113.33 10
	assert_output 4
	tps delete caller victim
	assert_equal "$(occupied)" "$empty"
}
