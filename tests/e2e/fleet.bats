#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Many callers of several tiers and many strangers at once, each at its own multiple of its limit.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab fleet
	attach_gate
	tps set listener log --port 5000 --protocol udp
	tps set tier small --rate 10/s
	tps set tier middle --rate 50/s --burst 100
	tps set tier large --rate 200/s
	tps set default-tier small
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# Lines NAME SOURCE RATE BURST MULTIPLE: 160 callers and 40 strangers, every fourth by IPv6.
members()
{
	awk 'BEGIN {
		split("0.5 0.9 1.5 4 10", multiple, " ")
		split("small 10 10 middle 50 100 large 200 200", tier, " ")
		for (i = 0; i < 200; i++) {
			t = i < 160 ? int(i / 5) % 3 : 0
			source = i % 4 ? "203.0.113." i + 20 : sprintf("2001:db8:c:%x::1", i + 1)
			print (i < 160 ? "caller" i ":" tier[t * 3 + 1] : "stranger"), source,
				tier[t * 3 + 2], tier[t * 3 + 3], multiple[i % 5 + 1]
		}
	}'
}

@test "of 200 callers and strangers each is within its bound, and none below its limit is refused" {
	local name source

	members >"$lab_dir/members"
	while read -r name source _; do
		[[ $name != stranger ]] || continue
		tps set caller "${name%:*}" --tier "${name#*:}" --source "$source"
	done <"$lab_dir/members"
	assert_equal "$(tps -j list callers | jq length)" 160

	sink_start 5000
	awk '{print $2, $3 * $5}' "$lab_dir/members" | flood 5000 30 >"$lab_dir/sent"
	sink_stop 5000
	run awk '
		FILENAME ~ /members/ {rate[$2] = $3; burst[$2] = $4; multiple[$2] = $5; next}
		FILENAME ~ /sink/ {received[$1] = $2; next}
		{
			got = received[$1] + 0
			bound = burst[$1] + rate[$1] * ($3 + 0.01)
			if (got > bound || got > $2)
				print "above its bound:", $0, "received", got, "bound", bound
			if (multiple[$1] < 1 && got != $2)
				print "refused below its limit:", $0, "received", got
			if (multiple[$1] > 1 && got < 0.98 * (bound < $2 ? bound : $2) - 2)
				print "below its due:", $0, "received", got, "bound", bound
			members++
		}
		END {print members, "judged"}
	' "$lab_dir/members" "$lab_dir/sink-5000" "$lab_dir/sent"
	assert_output "200 judged"
}
