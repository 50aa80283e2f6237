#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# How exactly a rate is kept: never above burst + rate * window, and hardly below.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab accuracy
	lab_nginx
	attach_gate
	tps set listener web --port 8080 --protocol http
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

# flooded RATE:SOURCE...: ten times the rate, for ten seconds, of all of them at once.
flooded()
{
	local of

	sink_start 5000
	for of in "$@"; do
		tps set caller "udp${of%:*}" --rate "${of%:*}/s" --source "${of#*:}"
		echo "${of#*:} $((${of%:*} * 10))"
	done >"$lab_dir/flooded"
	flood 5000 10 <"$lab_dir/flooded" >"$lab_dir/sent"
	sink_stop 5000
	for of in "$@"; do
		assert_admitted "${of%:*}" "${of#*:}"
	done
}

# assert_admitted RATE SOURCE: as many as the limit has tokens, and what the flood says that it sent.
assert_admitted()
{
	local rate=$1 source=$2 sent window admitted

	read -r sent window < <(awk -v source="$source" '$1 == source {print $2, $3}' "$lab_dir/sent")
	admitted=$(sink_count 5000 "$source")
	echo "rate $rate: sent $sent in $window s, admitted $admitted, bound $(bound "$rate" "$rate" "$window")"
	# The sender kept its word: else the test would show nothing.
	between $((rate * 99)) "$sent" $((rate * 100 + 1))
	between 0 "$admitted" "$(bound "$rate" "$rate" "$window")"
	# Within 1 %, or one datagram, of the whole tokens there were.
	between "$(awk -v rate="$rate" -v window="$window" 'BEGIN {
		bound = int(rate + rate * window)
		slack = bound * 0.01
		print bound - (slack > 1 ? slack : 1)
	}')" "$admitted" 1e9
	assert_equal "$(verdicts "udp$rate" allowed)" "$admitted"
	assert_equal "$(($(verdicts "udp$rate" allowed) + $(verdicts "udp$rate" refused)))" "$sent"
}

@test "10 datagrams a second are admitted of 100, and 100 of 1000, and no more" {
	flooded 10:203.0.113.10 100:203.0.113.11
}

@test "10000 datagrams a second are admitted of 100000, and no more" {
	flooded 10000:203.0.113.12
}

# requested RATE CONNECTIONS: as many as the connections carry, for ten seconds. Who is refused asks again
# at once, so tokens are always wanted.
requested()
{
	local rate=$1 connections=$2 start end allowed left

	printf 'key-%s' "$rate" >"$lab_dir/key"
	tps set caller "http$rate" --rate "$rate/s" --key-file "$lab_dir/key"
	start=$(date +%s.%N)
	lab_run client wrk -t 1 -c "$connections" -d 10s --timeout 2s -H "X-API-Key: key-$rate" \
		"http://$lab_server4:8080/" >"$lab_dir/wrk"
	left=$(tps -j show caller "http$rate" | jq -e .proven_tokens)
	end=$(date +%s.%N)
	allowed=$(verdicts "http$rate" allowed)
	cat "$lab_dir/wrk"
	echo "rate $rate: allowed $allowed, $left tokens left, $(verdicts "http$rate" refused) refused"
	between 0 "$allowed" "$(awk -v rate="$rate" -v start="$start" -v end="$end" \
		'BEGIN {printf "%d\n", rate * (1 + end - start + 0.01)}')"
	# Starting and ending wrk takes time in which nobody asks: the tokens of it are left.
	between "$(awk -v rate="$rate" -v start="$start" -v end="$end" \
		'BEGIN {print 0.97 * rate * (1 + end - start)}')" $((allowed + left)) 1e9
	between 1 "$(verdicts "http$rate" refused)" 1e9
	# The client was served as often as it was let through, but for what was under way at its end.
	between $((allowed - connections)) "$(awk '/requests in/ {n += $1} /Non-2xx/ {n -= $NF} END {print n}' \
		"$lab_dir/wrk")" "$allowed"
}

@test "100 requests a second are let through of what 100 connections ask" {
	requested 100 100
}

@test "1000 requests a second are let through of what 400 connections ask" {
	requested 1000 400
}
