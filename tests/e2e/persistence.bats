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

# killed_after SECONDS COMMAND...: succeeds when it was killed, fails when it was done before.
killed_after()
{
	local seconds=$1 pid status=0
	shift

	"$@" >/dev/null 2>&1 3>&- &
	pid=$!
	read -rt "$seconds" <&"$never" || true
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || status=$?
	((status == 137))
}

# seconds_of VERB COMMAND...: how long it runs; the median of five.
seconds_of()
{
	local verb=$1 i start
	shift

	for i in 1 2 3 4 5; do
		"undo_$verb" >/dev/null
		start=$EPOCHREALTIME
		"$@" >/dev/null 3>&-
		echo "$start $EPOCHREALTIME"
	done | awk '{print $2 - $1}' | sort -g | sed -n 3p
}

# The state in which each round begins, the command, and what holds when it was run again.
undo_attach() { detach_gate; }
run_attach() { echo attach "$lab_device" --netns "$(lab_netns server)"; }
done_attach() { has_xdp && on_device true; }

undo_detach() { attach_gate; }
run_detach() { echo detach "$lab_device" --netns "$(lab_netns server)"; }
done_detach() { ! has_xdp && [[ $(tps -j status | jq '.devices | length') == 0 ]]; }

undo_ban() { tps unban 203.0.113.40 2>/dev/null || true; }
run_ban() { echo ban 203.0.113.40 --for 1h; }
done_ban() { [[ $(tps -j list bans | jq -r '.[].banned') == 203.0.113.40 ]]; }

undo_ban_caller() { tps unban caller:flooder; }
run_ban_caller() { echo ban caller:flooder --for 1h; }
done_ban_caller() { tps -j show caller flooder | jq -e .is_banned; }

undo_listener() { tps set listener api --port 7001 --protocol tcp --cost 1; }
run_listener() { echo set listener api --port 7002,7003 --protocol udp --cost 2 --rate 5/s; }
done_listener()
{
	tps -j list listeners |
		jq -e '.[] | select(.name == "api") | .ports == [7002, 7003] and .protocol == "udp" and .cost == 2' &&
		[[ $(tps -j status | jq '.maps[] | select(.name == "ports").entries') == 3 ]]
}

undo_tier() { tps set tier tried --rate 8/s --burst 8; }
run_tier() { echo set tier tried --rate 70/m --burst 9; }
done_tier()
{
	tps -j list tiers | jq -e '.[] | select(.name == "tried") | .rate == "70/m" and .burst == 9'
}

undo_pause() { tps resume; }
run_pause() { echo pause; }
done_pause() { state_is paused; }

undo_resume() { tps pause; }
run_resume() { echo resume; }
done_resume() { state_is enforcing; }

undo_observe() { tps enforce; }
run_observe() { echo observe; }
done_observe() { state_is observing; }

undo_enforce() { tps observe; }
run_enforce() { echo enforce; }
done_enforce() { state_is enforcing; }

state_is()
{
	[[ $(tps -j status | jq -r .state) == "$1" ]]
}

on_device()
{
	tps -j status | jq -e ".devices | length == 1 and .[0].attached == $1 and .[0].wanted == $1"
}

# refusals: of the caller that floods all the time, whatever name the verdict has.
refusals()
{
	tps -j show caller flooder | jq -e '.refused + .banned + .would_refuse'
}

# Whoever reads after a kill sees a whole answer, and the command run again ends the work.
converges()
{
	local verb=$1
	shift

	tps -j status | jq -e '.state and (.maps | length) > 10 and (.listeners | length) >= 1' >/dev/null
	tps -j list callers | jq -e 'length == 1' >/dev/null
	tps -j list listeners | jq -e 'length >= 1' >/dev/null
	tps "$@"
	"done_$verb" >/dev/null || { echo "'$*', killed and run again, did not do its work"; tps status; return 1; }
}

# The gate enforces and counts: back in the state that every verb starts and ends in.
goes_on()
{
	local before

	has_xdp || attach_gate
	tps resume
	tps enforce
	tps unban caller:flooder
	before=$(refusals)
	wait_until 2 refused_more_than "$before"
}

refused_more_than()
{
	(($(refusals) > $1))
}

# kill_verb VERB: at each of its points, then many times at any moment of its run.
kill_verb()
{
	local verb=$1 words at step call n i seconds point=0 rounds=0 killed=0

	read -ra words < <("run_$verb")
	"undo_$verb"
	points "$tpsctl" "${words[@]}" >"$lab_dir/points"
	"done_$verb" >/dev/null
	between 6 "$(wc -l <"$lab_dir/points")" 100
	while read -r call n; do
		is_taken $((++point)) || continue
		"undo_$verb"
		killed_before "$call" "$n" "$tpsctl" "${words[@]}" 2>/dev/null
		converges "$verb" "${words[@]}"
		((++rounds % 4)) || goes_on
	done <"$lab_dir/points"
	seconds=$(seconds_of "$verb" "$tpsctl" "${words[@]}")
	# The delay follows the end of the run, where the writing is: half of them come too late.
	at=$(awk -v seconds="$seconds" 'BEGIN {print seconds / 2}')
	for i in {1..20}; do
		"undo_$verb"
		if killed_after "$at" "$tpsctl" "${words[@]}" 2>/dev/null; then
			killed=$((killed + 1)) step=1
		else
			step=-1
		fi
		at=$(awk -v at="$at" -v step=$step -v random="$RANDOM" \
			'BEGIN {printf "%.6f", at * (1 + step * 0.4 * random / 32768)}')
		converges "$verb" "${words[@]}"
		((i % 5)) || goes_on
	done
	echo "# $verb: killed at $rounds points and $killed of 20 times in its $seconds s" >&3
	killed_at_random=$((killed_at_random + killed))
}

@test "tpsctl killed under traffic, whatever it does: it converges, and the gate enforces and counts on" {
	local verb verbs=(attach detach ban ban_caller listener tier pause resume observe enforce)

	killed_at_random=0
	for verb in one two victim three; do
		tps delete caller "$verb" --if-exists
	done
	tps set caller flooder --rate 1/h --burst 5 --source 203.0.113.200
	exec {never}<> <(:)
	lab_in client "$programs/openloop" 5000 300 "$lab_server4" "$lab_server6" \
		<<<'203.0.113.200 2000' >/dev/null 2>&1 3>&- &
	flooder=$!
	for verb in "${verbs[@]}"; do
		kill_verb "$verb"
		goes_on
	done
	# About half were killed indeed.
	between $((${#verbs[@]} * 20 / 4)) "$killed_at_random" $((${#verbs[@]} * 20 * 3 / 4))
	kill -0 "$flooder" # the traffic was there to the end
	kill "$flooder"
	tps unban 203.0.113.40
	tps delete listener api
	run datagrams 5000 203.0.113.200 10
	assert_output 0
}

@test "a first attach killed at its points leaves nothing that stops the next" {
	local root=$lab_dir/first/bpf call n round=0 rounds=0 killed=0

	detach_gate
	first() { echo --root "$root" attach "$lab_device" --netns "$(lab_netns server)"; }
	read -ra words < <(first)
	forget_first()
	{
		! has_xdp || "$tpsctl" --root "$root" detach "$lab_device" --netns "$(lab_netns server)"
		! mountpoint -q "$root" || umount "$root"
		rm -rf --one-file-system "$lab_dir/first"
		install -d -m 0700 "$lab_dir/first"
	}
	forget_first
	points "$tpsctl" "${words[@]}" >"$lab_dir/points"
	between 40 "$(wc -l <"$lab_dir/points")" 300
	while read -r call n; do
		# A tenth of them, and each of the last. How many calls come before depends on what else
		# is in the kernel: programs and maps are gone through.
		((++round % 10 == 0 || round > $(wc -l <"$lab_dir/points") - 20)) || continue
		is_taken "$round" || continue
		rounds=$((rounds + 1))
		forget_first
		if killed_before "$call" "$n" "$tpsctl" "${words[@]}" 2>/dev/null; then
			killed=$((killed + 1))
		fi
		tps "${words[@]}"
		tps --root "$root" -j status | jq -e '.devices[0].attached and .state == "enforcing"' >/dev/null
		has_xdp
		tps --root "$root" set listener log --port 5000 --protocol udp
		tps --root "$root" set caller one --rate 1/h --burst 4 --source 203.0.113.1
	done <"$lab_dir/points"
	echo "killed in $killed of $rounds rounds"
	between $((rounds / 2)) "$killed" "$rounds"
	run datagrams 5000 203.0.113.1 10
	assert_output 4
	forget_first
	attach_gate
}
