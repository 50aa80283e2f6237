#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# A live host: the gate comes under connections that are open and busy. Limits here are far away, so
# whatever breaks is the gate's fault.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab live
	lab_nginx
	background server "$lab_top/tests/e2e/websocket.py" serve 9001
	background server "$lab_top/tests/e2e/asking.py" read 9002
	attach_gate
	tps set tier wide --rate 100000/s
	tps set default-tier wide
	tps set listener web --port 8080 --protocol http
	tps set caller keeper --tier wide --source 203.0.113.1
	tps set caller uploader --tier wide --source 203.0.113.2
	tps set caller talker --tier wide --source 203.0.113.3
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	detach_gate || true # a test that failed may have left it off
}

detach_gate()
{
	tps detach "$lab_device" --netns "$(lab_netns server)"
}

# upload [chunked]: 1 GB in the background, its process id in $!; the bytes that the server read will be
# in the lab's directory, in a file upload or uploadchunked.
upload()
{
	lab_in client "$lab_top/tests/e2e/asking.py" upload 203.0.113.2 "$lab_server4" 8080 1024 "$@" \
		>"$lab_dir/upload${1-}" 3>&- &
}

@test "keep-alive connections live on when the gate comes, and each request is one transaction" {
	local before asked answered after allowed

	lab_in client "$lab_top/tests/e2e/asking.py" keepalive 203.0.113.1 "$lab_server4" 8080 \
		20 400 4 >"$lab_dir/keepalive" 3>&- &
	sleep 1
	before=$(verdicts keeper allowed)
	attach_gate
	wait $!
	read -r asked answered <"$lab_dir/keepalive"
	echo "asked $asked, answered $answered, charged $(($(verdicts keeper allowed) - before))"
	assert_equal "$answered" "$asked"
	allowed=$(($(verdicts keeper allowed) - before))
	# About three quarters were asked with the gate in place: of these only each connection's
	# first may pass uncharged, and none is charged twice.
	between $((asked / 2)) "$allowed" $((asked * 4 / 5))
	assert_equal "$(verdicts keeper refused)" 0
	# From here on every request is seen.
	before=$(verdicts keeper allowed)
	run lab_run client "$lab_top/tests/e2e/asking.py" keepalive 203.0.113.1 "$lab_server4" 8080 10 400 1
	assert_success
	read -r asked answered <<<"$output"
	after=$(verdicts keeper allowed)
	assert_equal "$((after - before))" "$asked"
	assert_equal "$answered" "$asked"
}

@test "an upload of 1 GB that is under way goes on, and is no transaction" {
	local before

	before=$(verdicts uploader allowed)
	upload
	sleep 0.5
	attach_gate
	run ! grep -q . "$lab_dir/upload" # it was under way indeed
	wait $!
	assert_equal "$(<"$lab_dir/upload")" $((1 << 30))
	assert_equal "$(verdicts uploader allowed)" "$before"
}

@test "an upload of 1 GB is one transaction" {
	local before

	attach_gate
	before=$(verdicts uploader allowed)
	run lab_run client "$lab_top/tests/e2e/asking.py" upload 203.0.113.2 "$lab_server4" 8080 1024
	assert_output $((1 << 30))
	assert_equal "$(verdicts uploader allowed)" $((before + 1))
	assert_equal "$(verdicts uploader refused)" 0
}

@test "an upload of 1 GB in chunks is one transaction" {
	local before

	attach_gate
	before=$(verdicts uploader allowed)
	run lab_run client "$lab_top/tests/e2e/asking.py" upload 203.0.113.2 "$lab_server4" 8080 1024 chunked
	assert_output $((1 << 30))
	assert_equal "$(verdicts uploader allowed)" $((before + 1))
	assert_equal "$(verdicts uploader refused)" 0
}

@test "two uploads of 1 GB at once, one in chunks: when the gate comes they go on, and are no transaction" {
	local before uploads=()

	before=$(verdicts uploader allowed)
	upload
	uploads+=($!)
	upload chunked
	uploads+=($!)
	sleep 0.5
	attach_gate
	run ! grep -q . "$lab_dir/upload" "$lab_dir/uploadchunked" # they were under way indeed
	wait "${uploads[@]}"
	assert_equal "$(<"$lab_dir/upload")" $((1 << 30))
	assert_equal "$(<"$lab_dir/uploadchunked")" $((1 << 30))
	assert_equal "$(verdicts uploader allowed)" "$before"
	assert_equal "$(verdicts uploader refused)" 0
}

@test "two uploads of 1 GB at once, one in chunks, are two transactions" {
	local before uploads=()

	attach_gate
	before=$(verdicts uploader allowed)
	upload
	uploads+=($!)
	upload chunked
	uploads+=($!)
	wait "${uploads[@]}"
	assert_equal "$(<"$lab_dir/upload")" $((1 << 30))
	assert_equal "$(<"$lab_dir/uploadchunked")" $((1 << 30))
	assert_equal "$(verdicts uploader allowed)" $((before + 2))
	assert_equal "$(verdicts uploader refused)" 0
}

@test "a WebSocket is one transaction, whatever it carries" {
	local before

	attach_gate
	before=$(verdicts talker allowed)
	run lab_run client "$lab_top/tests/e2e/websocket.py" talk 203.0.113.3 "$lab_server4" 8080 200 1
	assert_line 200
	assert_equal "$(verdicts talker allowed)" $((before + 1))
	assert_equal "$(verdicts talker refused)" 0
}

@test "a WebSocket older than the gate goes on, and is no transaction" {
	local before

	before=$(verdicts talker allowed)
	lab_in client "$lab_top/tests/e2e/websocket.py" talk 203.0.113.3 "$lab_server4" 8080 200 3 \
		>"$lab_dir/talk" 3>&- &
	wait_until 5 grep -qs upgraded "$lab_dir/talk"
	sleep 0.5
	attach_gate
	wait $!
	run cat "$lab_dir/talk"
	assert_line 200
	assert_equal "$(verdicts talker allowed)" "$before"
	assert_equal "$(verdicts talker refused)" 0
}

@test "detaching breaks nothing either" {
	local asked answered

	attach_gate
	lab_in client "$lab_top/tests/e2e/asking.py" keepalive 203.0.113.1 "$lab_server4" 8080 \
		20 400 2 >"$lab_dir/keepalive" 3>&- &
	sleep 1
	detach_gate
	wait $!
	read -r asked answered <"$lab_dir/keepalive"
	assert_equal "$answered" "$asked"
}
