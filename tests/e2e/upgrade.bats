#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The programs of another build take the place of those that run: under traffic, on every device, up
# and down, and whatever kills it. The other build is this one's sources with one line changed, which
# shows in what the gate counts.

# shellcheck disable=SC2154 # run sets variables

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	open_lab upgrade
	build other '0.1.0-other' bpf/tps.bpf.c \
		's/return TPS_REASON_NOT_LISTENER;/return TPS_REASON_LATER_FRAGMENT;/'
	# the two halves of a bucket change places: the same size, another meaning
	build changed '0.2.0' include/tps/abi.h \
		'/^struct tps_bucket {/,/^}/ {s/\bproven_tat_vt/kept/; s/unproven_tat_vt/proven_tat_vt/; s/kept/unproven_tat_vt/}'
	ip -n "$(lab_netns server)" link add spare0 type veth peer name spare1
	ip -n "$(lab_netns client)" link add far0 type veth peer name far1
	answers_serve
	answers_limit
	tps attach spare0 --netns "$(lab_netns server)"
	tps attach far0 --netns "$(lab_netns client)"
	tps set listener log --port 5000 --protocol udp
	background server "$tpsd"
	export upgrade_tpsd=$!
	wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/healthz
	upgrade_first="$(pinned_id gate) $(pinned_id egress)"
	export upgrade_first # the programs that were there as it started
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	kept=
}

teardown()
{
	[[ ! $kept ]] || kill "$kept" 2>/dev/null || true
	swap ours >/dev/null
}

# build NAME VERSION FILE SED: a tpsctl of the sources with FILE changed by SED.
build()
{
	local top=$lab_dir/$1

	mkdir "$top"
	(cd "$lab_top" && cp -a bpf include user Makefile "$top")
	echo "$2" >"$top/VERSION"
	sed -i "$4" "$top/$3"
	run ! cmp "$lab_top/$3" "$top/$3"
	make -s -C "$top" -j2 build/tpsctl >"$top/log" 2>&1 || { cat "$top/log"; return 1; }
}

# binary ours|other|changed: its tpsctl.
binary()
{
	[[ $1 == ours ]] && echo "$tpsctl" || echo "$lab_dir/$1/build/tpsctl"
}

# swap BUILD [WORD...]: attach by that build, of the lab's device if of no other.
swap()
{
	local by
	by=$(binary "$1")
	shift
	(($#)) || set -- "$lab_device" --netns "$(lab_netns server)"

	"$by" -j attach "$@" 3>&-
}

# swaps N: as many times up and down.
swaps()
{
	local n build

	for ((n = 0; n < $1; n++)); do
		for build in other ours; do
			assert_equal "$(swap "$build")" '{"changed": true}'
		done
	done
}

# where: the devices that the gate is on, "NAMESPACE DEVICE" each.
where()
{
	printf '%s\n' "server $lab_device" "server spare0" "client far0"
}

xdp_id()
{
	ip -n "$(lab_netns "$1")" -j -d link show dev "$2" | jq '.[0].xdp.prog.id'
}

egress_id()
{
	lab_run "$1" tc -j filter show dev "$2" egress | jq -c '[.[].options.prog.id | select(.)]'
}

pinned_id()
{
	bpftool -j prog show pinned "$lab_root/$1" | jq .id
}

# standing: all that a swap changes.
standing()
{
	local name device

	where | while read -r name device; do
		echo "$name $device $(xdp_id "$name" "$device") $(egress_id "$name" "$device")"
	done
	echo "pinned $(pinned_id gate) $(pinned_id egress)"
	bpftool -j map dump pinned "$lab_root/meta" | jq -c '.[0].value'
}

# assert_whole BUILD: it is that build's programs alone, everywhere.
assert_whole()
{
	local name device by status
	by=$(binary "$1")

	where | while read -r name device; do
		assert_equal "$device $(xdp_id "$name" "$device")" "$device $(pinned_id gate)"
		assert_equal "$device $(egress_id "$name" "$device")" "$device [$(pinned_id egress)]"
	done
	[[ ! -e $lab_root/next ]]
	status=$("$by" -j status 3>&-)
	assert_equal "$(jq -c .warnings <<<"$status")" '[]'
	assert_equal "$(jq -r .made_by <<<"$status")" "$("$by" -j version | jq -r .version)"
	assert_equal "$(which_runs)" "$1"
}

# which_runs: whose program sees what comes: the other one takes what is no listener's for something
# else.
which_runs()
{
	local before

	before=$(metric tps_packets_total reason=later_fragment)
	lab_run client curl -s -o /dev/null --max-time 1 "http://$lab_server4:9999/" || true
	(($(metric tps_packets_total reason=later_fragment) > before)) && echo other || echo ours
}

# What goes on until stop_kept; its process in $kept. flood_on SOURCE RATE; dialog_on CONNECTIONS.
flood_on()
{
	lab_in client "$programs/openloop" 5000 580 "$lab_server4" "$lab_server6" \
		<<<"$1 $2" >"$lab_dir/sent" 2>&1 3>&- &
	kept=$!
	sleep 0.2
}

dialog_on()
{
	lab_in client "$lab_top/tests/e2e/dialog.py" 203.0.113.18 "$lab_server4" "$answers_listen" \
		"$1" 580 >"$lab_dir/dialog" 2>"$lab_dir/faults" 3>&- &
	kept=$!
	sleep 1
}

# stop_kept: it was there to the end, and has said what it did.
stop_kept()
{
	kill -TERM "$kept"
	wait "$kept"
	kept=
}

@test "attach by the same build changes nothing, and by another one swaps the programs" {
	local before

	assert_whole ours
	before=$(standing)
	assert_equal "$(swap ours)" '{"changed": false}'
	assert_equal "$(standing)" "$before"
	assert_equal "$(swap other)" '{"changed": true}'
	assert_whole other
	before=$(standing)
	assert_equal "$(swap other)" '{"changed": false}'
	assert_equal "$(standing)" "$before"
	run tps status
	assert_line --partial "programs of tpsctl 0.1.0-other,"
	assert_line "warning: the programs that run are of another build, tpsctl '0.1.0-other': tpsctl\
 attach DEVICE swaps them for those of this one, '$(<"$lab_top/VERSION")'"
	assert_equal "$(swap ours)" '{"changed": true}'
	assert_whole ours
	run tps attach "$lab_device" --netns "$(lab_netns server)"
	assert_success
	assert_output ""
}

@test "swapped up and down under a flood, no packet is unfiltered, none lost, and the limit holds" {
	local sent window admitted

	tps set caller flooder --rate 500/s --burst 100 --source 203.0.113.30
	sink_start 5000
	flood_on 203.0.113.30 20000
	swaps 10
	stop_kept
	sink_stop 5000
	read -r _ sent window <"$lab_dir/sent"
	admitted=$(sink_count 5000 203.0.113.30)
	echo "# sent $sent in $window s, admitted $admitted, bound $(bound 100 500 "$window")" >&3
	# The sender kept its word: else the test would show nothing.
	between "$(awk -v window="$window" 'BEGIN {print window * 20000 * 0.99}')" "$sent" 1e9
	between 0 "$admitted" "$(bound 100 500 "$window")"
	between "$(awk -v window="$window" 'BEGIN {print (100 + 500 * window) * 0.99}')" "$admitted" 1e9
	# A packet that no program saw would be missed here, or there be one too many.
	assert_equal "$(verdicts flooder allowed)" "$admitted"
	assert_equal "$(($(verdicts flooder allowed) + $(verdicts flooder refused)))" "$sent"
	tps delete caller flooder
}

@test "swapped up and down, live connections with answered requests go on, right to the byte" {
	local before probes again allowed start first

	first=$(pinned_id gate)
	before=$(($(sent_again client) + $(sent_again server)))
	probes=$(loss_probes)
	allowed=$(verdicts limited allowed)
	start=$EPOCHREALTIME
	dialog_on 16
	swaps 10
	stop_kept
	assert_dialog
	again=$(($(sent_again client) + $(sent_again server) - before))
	probes=$(($(loss_probes) - probes))
	echo "# $(jq .asked "$lab_dir/dialog") requests: $again segments sent again, $probes probes" >&3
	# Nothing was lost: what is sent again is a probe of a machine that is busy (answers.bats).
	between 0 "$again" "$probes"
	between 0 "$probes" $(($(jq .asked "$lab_dir/dialog") / 50))
	# none was made anew
	assert_equal "$(jq .connections "$lab_dir/dialog")" 16
	# the sweep of these connections does not keep the program that began it
	wait_until 10 program_gone "$first"
	between 0 $(($(verdicts limited allowed) - allowed)) \
		"$(bound 5 20 "$(awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN {print end - start}')")"
}

# gate_stands: every device has one of the programs that were pinned and are loaded.
gate_stands()
{
	local name device

	where | while read -r name device; do
		[[ $(xdp_id "$name" "$device") != null && $(egress_id "$name" "$device") != '[]' ]]
	done
}

# What status says when it was killed.
unended="warning: a swap of the gate's programs was not ended: tpsctl attach DEVICE ends it"

@test "killed at any point of a swap, the gate enforces, and the next attach of either build ends it" {
	local call n by point=0 rounds=0 torn=0 words
	words=(attach "$lab_device" --netns "$(lab_netns server)")

	tps set caller flooder --rate 1/h --burst 5 --source 203.0.113.31
	sink_start 5000
	flood_on 203.0.113.31 2000
	points "$(binary other)" "${words[@]}" >"$lab_dir/points"
	assert_whole other
	between 30 "$(wc -l <"$lab_dir/points")" 100
	while read -r call n; do
		# the last points are the swap's; those before leave the gate as it was
		((++point % 5 == 0 || point > $(wc -l <"$lab_dir/points") - 32)) || continue
		is_taken "$point" || continue
		rounds=$((rounds + 1))
		swap ours >/dev/null
		killed_before "$call" "$n" "$(binary other)" "${words[@]}" 2>/dev/null
		gate_stands
		! tps status | grep -qF "$unended" || torn=$((torn + 1))
		((rounds % 2)) && by=other || by=ours
		swap "$by" >/dev/null
		assert_whole "$by"
	done <"$lab_dir/points"
	echo "# killed at $rounds points, $torn of them in the middle" >&3
	between $((20 / points_every)) "$torn" "$((rounds - 1))"
	stop_kept
	sink_stop 5000
	# over all of it not one too many
	assert_equal "$(sink_count 5000 203.0.113.31)" 5
	assert_equal "$(verdicts flooder allowed)" 5
	assert_equal "$(($(verdicts flooder refused) + 5))" "$(awk '{print $2}' "$lab_dir/sent")"
	tps delete caller flooder
}

@test "a swap that fails at any of its calls has changed nothing" {
	local call n before point=0 rounds=0 failures=0 words
	words=(attach "$lab_device" --netns "$(lab_netns server)")

	points "$(binary other)" "${words[@]}" | grep -E '^(bpf|sendto|rename) ' >"$lab_dir/points"
	swap ours >/dev/null
	before=$(standing)
	while read -r call n; do
		is_taken $((++point)) || continue
		rounds=$((rounds + 1))
		run strace -o "$lab_dir/calls" -e "trace=$call" -e inject="$call:error=ENOMEM:when=$n" \
			"$(binary other)" "${words[@]}" 3>&-
		grep -q INJECTED "$lab_dir/calls"
		if ((status)); then
			failures=$((failures + 1))
			assert_equal "${#lines[@]}" 1
			assert_equal "$(standing)" "$before"
		else
			# what libbpf tries out and does without
			assert_whole other
			swap ours >/dev/null
			before=$(standing)
		fi
	done <"$lab_dir/points"
	echo "# failed at $failures of $rounds calls" >&3
	between $((15 / points_every)) "$failures" "$rounds"
	assert_whole ours
}

@test "a device that fails stops the swap of all: another's egress filter is in the way" {
	local before

	lab_run server tc filter del dev spare0 egress
	lab_run server tc filter add dev spare0 egress handle 0x747073 prio 1 bpf da \
		obj "$programs/loss.bpf.o" sec tc/outward
	before=$(standing)
	run swap other
	assert_failure 1
	assert_output --partial "another program (id "
	assert_equal "$(standing)" "$before"
	refute_regex "$(tps status)" "$unended"
	lab_run server tc filter del dev spare0 egress
	assert_equal "$(swap other)" '{"changed": true}'
	assert_whole other
}

@test "a device that another build attaches has all of them swapped; one that fails, none" {
	local before server
	server=$(lab_netns server)

	ip -n "$server" link add late0 type veth peer name taken
	lab_run server ip link set taken xdp obj "$programs/pass.bpf.o" sec xdp.frags
	before=$(standing)
	run swap other late0 taken --netns "$server"
	assert_failure 1
	assert_equal "$(standing)" "$before"
	assert_equal "$(xdp_id server late0)" null
	assert_equal "$(swap other late0 --netns "$server")" '{"changed": true}'
	assert_equal "$(xdp_id server late0)" "$(pinned_id gate)"
	assert_whole other
	tps detach late0 --netns "$server"
	ip -n "$server" link del late0
}

@test "a build of another layout is refused in one line, and what runs goes on" {
	local before

	tps set caller small --rate 1/h --burst 5 --source 203.0.113.32
	run datagrams 5000 203.0.113.32 8
	assert_output 5
	before=$(standing)
	run --separate-stderr swap changed
	assert_failure 1
	assert_output ""
	assert_equal "${#stderr_lines[@]}" 1
	assert_equal "$stderr" "tpsctl: the gate at '$lab_root' was made by tpsctl '$(<"$lab_top/VERSION")' and\
 has another layout than this one, '0.2.0': use that tpsctl, or detach --all --forget with it and attach\
 anew"
	assert_equal "$(standing)" "$before"
	assert_whole ours
	run datagrams 5000 203.0.113.32 8
	assert_output 0
	tps delete caller small
}

# back_datagrams: 8 of them over the devices back1 and back0; how many arrived.
back_datagrams()
{
	sink_start 5001
	lab_run client python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(8):
    s.sendto(b"x", ("192.0.2.129", 5001))'
	sleep 0.1
	sink_stop 5001
	sink_count 5001 192.0.2.130
}

@test "nor does an older build touch a gate of a newer layout: it limits on, and its own build rules it" {
	local changed root=$lab_dir/newer server before words
	changed=$(binary changed)
	server=$(lab_netns server)

	ip -n "$server" link add back0 type veth peer name back1 netns "$(lab_netns client)"
	ip -n "$server" addr add 192.0.2.129/30 dev back0
	ip -n "$(lab_netns client)" addr add 192.0.2.130/30 dev back1
	ip -n "$server" link set back0 up
	ip -n "$(lab_netns client)" link set back1 up
	"$changed" --root "$root" attach back0 --netns "$server" 3>&-
	"$changed" --root "$root" set tier free --rate 1/h --burst 5 3>&-
	"$changed" --root "$root" set listener log --port 5001 --protocol udp 3>&-
	run back_datagrams
	assert_output 5
	before="$(xdp_id server back0) $(egress_id server back0) $(bpftool -j map dump pinned "$root/meta")"
	for words in "attach back0 --netns $server" "detach --all --forget" status pause "set tier free --rate 9/s"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr tps --root "$root" $words
		assert_failure 1
		assert_output ""
		assert_equal "${#stderr_lines[@]}" 1
		assert_regex "$stderr" "was made by tpsctl '0.2.0' and has another layout than this one"
	done
	assert_equal "$(xdp_id server back0) $(egress_id server back0) $(bpftool -j map dump pinned "$root/meta")" \
		"$before"
	run back_datagrams
	assert_output 0
	"$changed" --root "$root" detach --all --forget 3>&-
	assert_equal "$(xdp_id server back0)" null
	ip -n "$server" link del back0
	assert_whole ours
}

# total: transactions and packets that tpsd serves.
total()
{
	echo $(($(metric tps_transactions_total) + $(metric tps_packets_total)))
}

# never_back PID: as long as that runs, what tpsd serves never goes back, nor is it ill.
never_back()
{
	local before=0 now rounds=0

	while kill -0 "$1" 2>/dev/null; do
		now=$(total)
		((now >= before)) || { echo "$before, then $now"; return 1; }
		before=$now rounds=$((rounds + 1))
		assert_equal "$(lab_run server curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:10429/healthz)" 200
		assert_equal "$(metric tps_xdp_attached)" 3
	done
	echo "# looked $rounds times" >&3
	between 10 "$rounds" 10000
}

@test "tpsd that runs meanwhile serves on, and lets go of the programs that were" {
	local first refused swapper

	assert_equal "$(metric tps_xdp_attached)" 3
	tps set caller flooder --rate 1/h --burst 5 --source 203.0.113.33
	flood_on 203.0.113.33 2000
	swaps 10 >"$lab_dir/swapper" 2>&1 3>&- &
	swapper=$!
	never_back "$swapper"
	wait "$swapper" || { cat "$lab_dir/swapper"; return 1; }
	stop_kept
	refused=$(metric tps_caller_transactions_total caller=flooder verdict=refused)
	assert_equal "$(metric tps_caller_transactions_total caller=flooder verdict=allowed)" 5
	assert_equal "$((refused + 5))" "$(awk '{print $2}' "$lab_dir/sent")"
	kill -0 "$upgrade_tpsd"
	for first in $upgrade_first; do
		wait_until 10 program_gone "$first"
	done
	tps delete caller flooder
}

program_gone()
{
	! bpftool prog show id "$1" >/dev/null 2>&1
}
