#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# HTTP/2 without TLS is not read: a flow is charged a transaction each turn.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab http2
	lab_nginx
	attach_gate
	tps set listener web --port 8080,8081 --protocol http
	tps set caller multi --rate 100/s --source 203.0.113.1
	tps set caller wide --rate 100000/s --source 203.0.113.2
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# h2 SOURCE H2LOAD_OPTION...: prints how many requests succeeded. h2load cannot choose its address;
# the route to the server does.
h2()
{
	local source=$1 client
	client=$(lab_netns client)
	shift

	ip -n "$client" addr replace "$source/32" dev lo
	ip -n "$client" route replace "$lab_server4/32" dev client0 src "$source"
	lab_run client timeout 30 h2load "$@" "http://$lab_server4:8081/" >"$lab_dir/h2load" 2>&1 || true
	cat "$lab_dir/h2load" >&2
	sed -nE 's/^requests:.* ([0-9]+) succeeded.*/\1/p' "$lab_dir/h2load"
}

@test "h2load at full speed is let through no more turns than the bound" {
	local start allowed refused succeeded

	start=$(date +%s.%N)
	succeeded=$(h2 203.0.113.1 -c 8 -m 1 -D 5)
	allowed=$(verdicts multi allowed)
	refused=$(verdicts multi refused)
	echo "succeeded $succeeded, turns allowed $allowed, refused $refused"
	between 0 "$allowed" "$(bound 100 100 "$(awk -v start="$start" -v end="$(date +%s.%N)" \
		'BEGIN {print end - start}')")"
	# The tokens were wanted, and one stream at a time means a turn a request.
	between 400 "$allowed" 1e9
	between 1 "$refused" 1e9
	between 0 "$succeeded" "$allowed"
}

@test "within its limit every request succeeds, and none is free" {
	local succeeded allowed

	succeeded=$(h2 203.0.113.2 -c 4 -m 1 -n 2000)
	allowed=$(verdicts wide allowed)
	assert_equal "$succeeded" 2000
	between 2000 "$allowed" 4100 # the preface, settings and acknowledgements are turns too
	assert_equal "$(verdicts wide refused)" 0
}

@test "streams sent together share a turn, and are never free" {
	local before

	before=$(verdicts wide allowed)
	assert_equal "$(h2 203.0.113.2 -c 2 -m 20 -n 2000)" 2000
	between 50 $(($(verdicts wide allowed) - before)) 4100
}
