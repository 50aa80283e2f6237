#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The truth is in the kernel: whatever dies, throttling and counting go on, and nothing is torn.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab persist
	attach_gate --capacity callers=4
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

@test "a device that goes takes nothing along, and is told and attached when it has come back" {
	local before server
	server=$(lab_netns server)

	before=$(verdicts one refused)
	ip -n "$server" link add spare0 type veth peer name spare1
	tps attach spare0 --netns "$server"
	ip -n "$server" link del spare0
	run tps status
	assert_line "warning: device 'spare0': wanted, but the gate is not on it"
	has_xdp
	assert_equal "$(verdicts one refused)" "$before"
	ip -n "$server" link add spare0 type veth peer name spare1
	run tps status
	assert_line "warning: device 'spare0': wanted, but the gate is not on it"
	run tps -j attach spare0 --netns "$server"
	assert_output '{"changed": true}'
	ip -n "$server" -d link show dev spare0 | grep -q 'prog/xdp'
	run tps status
	refute_line --partial spare0\'
	tps detach spare0 --netns "$server"
	ip -n "$server" link del spare0
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

# What callers and their identities occupy: the maps' own entries, not what is counted of them.
occupied()
{
	for map in callers sources4 sources6 keys; do
		bpftool -j map dump pinned "$lab_root/$map" | jq length
	done | paste -sd ' '
}

# killed_at N COMMAND...: tpsctl, killed when it makes its N-th bpf(2) call; succeeds when it was done
# before that.
killed_at()
{
	local n=$1
	shift

	strace -o /dev/null -e trace=bpf -e inject="bpf:signal=KILL:when=$n" "$tpsctl" "$@" 3>&-
}

# victim N: the words that make it; a prefix differs from round to round.
victim()
{
	echo set caller victim --rate 1/h --burst 4 --source 203.0.113.32/28 --source 2001:db8:c:20::/60 \
		--source "203.0.113.$((128 + $1 % 16 * 4))/30" --key-file "$lab_dir/victim"
}

# Kills `set` (made 1) or `delete` (made 0) of a caller at each of its calls in turn.
kill_at_each_call()
{
	local made=$1 n words

	for ((n = 1; n < 500; n++)); do
		read -ra words < <(victim "$n")
		if ((made)); then
			set -- "${words[@]}"
		else
			tps "${words[@]}"
			set -- delete caller victim --if-exists
		fi
		if killed_at "$n" "$@" 2>/dev/null; then
			break
		fi
		# Whoever reads now sees a whole answer; and the same command ends the work.
		tps -j list callers | jq -e . >/dev/null
		tps "$@"
		if ((made)); then
			tps -j show caller victim | jq -e '(.sources | length) == 3 and (.keys | length) == 1' >/dev/null
			tps delete caller victim
		fi
	done
	echo "$* was killed at each of its $((n - 1)) calls"
	between 20 "$n" 499
	tps delete caller victim --if-exists
}

@test "tpsctl killed in the middle of writing: nothing is torn, and the same command ends the work" {
	local empty

	printf 'key-of-victim' >"$lab_dir/victim"
	empty=$(occupied)
	kill_at_each_call 1
	assert_equal "$(occupied)" "$empty"
	kill_at_each_call 0
	assert_equal "$(occupied)" "$empty"
	tps set caller victim --rate 1/h --burst 4 --source 203.0.113.32/28
	run datagrams 5000 203.0.113.33 10
	assert_output 4
	# No slot is lost: as many callers as there is room for can still be made.
	for name in one two three; do
		tps set caller "$name" --rate 1/h
	done
	run tps set caller four --rate 1/h
	assert_failure 1
	tps delete caller victim
}

# What there is of the victim, and of all identities.
victim_state()
{
	tps -j show caller victim | jq -cS 'del(.allowed, .refused, .banned, .would_refuse)'
	occupied
}

@test "a change that fails at any of its calls has changed nothing" {
	local n before failures=0
	local words=(set caller victim --rate 2/h --burst 9 --source 203.0.113.48/28
		--source 2001:db8:c:30::/60 --key-file "$lab_dir/another")

	printf 'key-of-victim' >"$lab_dir/victim"
	printf 'another-key' >"$lab_dir/another"
	for ((n = 1; n < 500; n++)); do
		tps set caller victim --rate 1/h --burst 4 --source 203.0.113.32/28 \
			--source 2001:db8:c:20::/60 --key-file "$lab_dir/victim"
		before=$(victim_state)
		run strace -o "$lab_dir/calls" -e trace=bpf \
			-e inject="bpf:error=ENOMEM:when=$n" "$tpsctl" "${words[@]}" 3>&-
		grep -q INJECTED "$lab_dir/calls" || break
		if ((status)); then
			assert_equal "$(victim_state)" "$before"
			failures=$((failures + 1))
		fi
	done
	assert_success
	between 20 "$failures" "$((n - 1))"
	tps delete caller victim
}
