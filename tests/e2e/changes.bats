#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Limits that change while traffic runs: in force at the next packet, without a refill; and a slot that
# gets another tenant.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab changes
	attach_gate
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

# changed SOURCE BEFORE AFTER COMMAND...: floods for 6 s, runs the command after 3 s, and wants what
# arrives to be BEFORE a second with a burst of as many, then AFTER a second without a refill.
changed()
{
	local source=$1 before=$2 after=$3 start began ended window admitted
	shift 3

	sink_start 5000
	start=$(date +%s.%N)
	lab_in client "$programs/openloop" 5000 6 "$lab_server4" "$lab_server6" \
		<<<"$source 5000" >"$lab_dir/sent" 3>&- &
	sleep 3
	began=$(seconds_since "$start")
	"$@"
	ended=$(seconds_since "$start")
	wait $!
	sink_stop 5000
	read -r _ _ window <"$lab_dir/sent"
	admitted=$(sink_count 5000 "$source")
	echo "changed from $began to $ended s of $window s: admitted $admitted"
	# While the command ran, either rate held. The sender began within 0.1 s, and a tick is 10 ms.
	between "$(awk -v b="$before" -v a="$after" -v began="$began" -v ended="$ended" -v w="$window" '
		BEGIN {
			low = b < a ? b : a
			print 0.97 * (b + b * (began - 0.1) + low * (ended - began) + a * (w - ended))
		}')" "$admitted" \
		"$(awk -v b="$before" -v a="$after" -v began="$began" -v ended="$ended" -v w="$window" \
			-v fresh="${fresh_tokens:-0}" 'BEGIN {
			high = b > a ? b : a
			print b + b * began + high * (ended - began) + a * (w + 0.1 - ended) + high * 0.02 + fresh
		}')"
}

seconds_since()
{
	awk -v start="$1" -v now="$(date +%s.%N)" 'BEGIN {print now - start}'
}

@test "a tier's new rate holds for its callers at once" {
	tps set tier gold --rate 100/s
	tps set caller golden --tier gold --source 203.0.113.1
	changed 203.0.113.1 100 1000 tps set tier gold --rate 1000/s
}

@test "a caller that changes its tier has the new one's rate at once" {
	tps set tier premium --rate 1000/s
	tps set caller mover --source 203.0.113.2 --tier premium
	changed 203.0.113.2 1000 100 tps set caller mover --tier free
}

@test "a rate of its own counts before the tier's, and is taken away again" {
	tps set caller owner --tier free --source 203.0.113.3
	changed 203.0.113.3 100 500 tps set caller owner --rate 500/s
	tps set caller owner2 --tier free --rate 500/s --source 203.0.113.4
	changed 203.0.113.4 500 100 tps set caller owner2 --no-rate
}

@test "another default tier holds for strangers at once" {
	tps set tier open --rate 800/s
	changed 203.0.113.5 100 800 tps set default-tier open
	tps set default-tier free
}

@test "a stranger that becomes a caller, and a caller that goes, are limited as such at once" {
	# Its bucket is new, and full.
	fresh_tokens=300
	changed 203.0.113.6 100 1000 \
		tps set caller fresh --rate 1000/s --burst "$fresh_tokens" --source 203.0.113.6
	tps set default-tier free
	tps delete caller fresh
	run datagrams 5000 203.0.113.6 200
	between 80 "$output" 130
}

@test "a larger burst is no refill" {
	tps set caller frozen --rate 1/h --burst 5 --source 203.0.113.7
	run datagrams 5000 203.0.113.7 20
	assert_output 5
	tps set caller frozen --rate 1/h --burst 50
	run datagrams 5000 203.0.113.7 20
	assert_output 0
}

@test "a slot's next tenant has neither debit nor counter of the last" {
	local slot

	tps set caller first --rate 1/h --burst 5 --source 203.0.113.8
	run datagrams 5000 203.0.113.8 20
	assert_output 5
	assert_equal "$(verdicts first refused)" 15
	slot=$(slot first)
	tps delete caller first
	tps set caller second --rate 1/h --burst 7 --source 203.0.113.9
	assert_equal "$(slot second)" "$slot"
	assert_equal "$(verdicts second allowed)" 0
	assert_equal "$(verdicts second refused)" 0
	run datagrams 5000 203.0.113.9 20
	assert_output 7
	# The old tenant's source is a stranger's.
	run datagrams 5000 203.0.113.8 20
	assert_output 20
	assert_equal "$(verdicts second allowed)" 7
}

@test "slots change hands under traffic: what was let through of each tenant is within its burst" {
	local round

	sink_start 5000
	lab_in client "$programs/openloop" 5000 60 "$lab_server4" "$lab_server6" \
		< <(printf '203.0.113.%d 500\n' {101..108}) >"$lab_dir/sent" 3>&- &
	for round in {1..20}; do
		for i in {101..108}; do
			tps set caller "tenant$i" --rate 1/d --burst 3 --source "203.0.113.$i"
		done
		for i in {101..108}; do
			between 0 "$(verdicts "tenant$i" allowed)" 3
			tps delete caller "tenant$i"
		done
	done
	kill $!
	sink_stop 5000
	echo "$round rounds"
	assert_equal "$(metric tps_errors_total)" 0
}
