#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Answers on live connections, as real clients see them. Strangers have 3 tokens and meet no refill; a
# test has an address of its own.

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	open_lab answers
	answers_serve
	answers_limit
	head -c 300000 /dev/zero | tr '\0' b >"$lab_dir/letter"
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	# a test that failed may have left it otherwise
	tps set listener web --port "$answers_listen" --protocol http --refuse answer --mode enforce
	tps resume
}

# ---- every byte

@test "each answer fits its request to the byte, and nothing is sent again" {
	local before probes asked

	before=$(($(sent_again client) + $(sent_again server)))
	probes=$(loss_probes)
	dialog 16 "${TPS_DIALOG_SECONDS:-8}"
	assert_dialog
	assert_equal "$(jq .connections "$lab_dir/dialog")" 16
	# Probes of a tail that was not lost (RFC 8985 7) come with a busy machine, gate or not.
	asked=$(jq .asked "$lab_dir/dialog")
	probes=$(($(loss_probes) - probes))
	echo "$probes probes in $asked requests"
	between 0 $(($(sent_again client) + $(sent_again server) - before)) "$probes"
	between 0 "$probes" $((asked / 50))
}

@test "over IPv6 each answer fits its request to the byte" {
	dialog6 16 3
	assert_dialog
	assert_equal "$(jq .connections "$lab_dir/dialog")" 16
}

@test "with answers that close each one fits its request to the byte" {
	tps set listener web --refuse close
	dialog 8 3
	assert_dialog
	run jq '.refused - .closed' "$lab_dir/dialog"
	assert_output 0
}

@test "in generic mode each answer fits its request to the byte" {
	tps detach "$lab_device" --netns "$(lab_netns server)"
	attach_gate --xdp-mode generic
	dialog 16 3
	tps detach "$lab_device" --netns "$(lab_netns server)"
	attach_gate
	assert_dialog
	assert_equal "$(jq .connections "$lab_dir/dialog")" 16
}

# ---- curl

@test "curl reads a whole 429 over IPv4" {
	spend 203.0.113.1
	run fetch 203.0.113.1 "$(at 203.0.113.1)"
	assert_success
	assert_refusal
}

@test "curl reads a whole 429 over IPv6" {
	spend 2001:db8:c:1::1
	run fetch 2001:db8:c:1::1 "$(at 2001:db8:c:1::1)"
	assert_success
	assert_refusal
}

@test "the answer to a HEAD has no body" {
	spend 203.0.113.2
	run fetch 203.0.113.2 -I "$(at 203.0.113.2)"
	assert_success
	assert_refusal bodyless
	run fetch_codes 203.0.113.2 -I -o /dev/null "$(at 203.0.113.2)" -o /dev/null "$(at 203.0.113.2)"
	assert_output '429:1 429:0 exit 0'
}

@test "a small POST is refused" {
	spend 203.0.113.3
	run fetch 203.0.113.3 -d a=1 "$(at 203.0.113.3)"
	assert_success
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
}

@test "a POST of 300 kB that expects 100 Continue is refused before its body" {
	spend 203.0.113.4
	run fetch 203.0.113.4 -H 'Expect: 100-continue' --data-binary "@$lab_dir/letter" \
		-w '%{stderr}sent %{size_upload}\n' "$(at 203.0.113.4)"
	assert_success
	assert_output --partial 'sent 0'
	run fetch 203.0.113.4 -H 'Expect: 100-continue' --data-binary "@$lab_dir/letter" "$(at 203.0.113.4)"
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
}

@test "a POST of 300 kB that does not wait is refused" {
	spend 203.0.113.5
	run fetch 203.0.113.5 -H 'Expect:' --data-binary "@$lab_dir/letter" "$(at 203.0.113.5)"
	assert_success
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
}

@test "a chunked upload is refused" {
	spend 203.0.113.6
	run fetch 203.0.113.6 -H 'Expect:' -H 'Transfer-Encoding: chunked' \
		--data-binary "@$lab_dir/letter" "$(at 203.0.113.6)"
	assert_success
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
}

@test "one connection lives through limit and recovery" {
	local url
	url=$(at 203.0.113.7)

	run fetch_codes 203.0.113.7 -H 'X-API-Key: brisk' --rate 80/m -o /dev/null "$url" \
		-o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url"
	assert_output '200:1 429:0 200:0 429:0 200:0 exit 0'
}

@test "one connection lives through limit and recovery over IPv6" {
	local url
	url=$(at 2001:db8:c:7::1)

	sleep 1
	run fetch_codes 2001:db8:c:7::1 -H 'X-API-Key: brisk' --rate 80/m -o /dev/null "$url" \
		-o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url"
	assert_output '200:1 429:0 200:0 429:0 200:0 exit 0'
}

@test "what is large is whole on a connection that was answered before, both ways" {
	local source=203.0.113.8

	spend "$source"
	run fetch_codes "$source" -o /dev/null "$(at "$source")" \
		--next --interface "$source" -s -w '%{http_code}:%{num_connects} ' -H 'X-API-Key: allowed' \
		-o "$lab_dir/got" "$(at "$source" /large)" \
		--next --interface "$source" -s -w '%{http_code}:%{num_connects} ' -o /dev/null \
		"$(at "$source")" \
		--next --interface "$source" -s -w '%{http_code}:%{num_connects} ' -H 'X-API-Key: allowed' \
		--data-binary "@$lab_dir/www/large" "$(at "$source" /upload)"
	assert_output '429:1 200:0 429:0 4194304200:0 exit 0'
	cmp "$lab_dir/got" "$lab_dir/www/large"
}

@test "who asks to close, and HTTP/1.0, are answered and closed" {
	local source=203.0.113.9

	spend "$source"
	run fetch "$source" -H 'Connection: close' "$(at "$source")"
	assert_success
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
	assert_line $'Connection: close\r'
	run fetch "$source" -0 "$(at "$source")"
	assert_success
	assert_refusal "$(grep -q quota <<<"$output" || echo bodyless)"
	assert_line $'Connection: close\r'
	assert_no_sockets "$source"
}

@test "a client that waits as long as it is told to is served" {
	local source=203.0.113.10 i retry

	for i in 1 2 3; do
		run ask_brisk "$source"
		[[ $i == 1 ]] || assert_output '200 ' # it waited
		[[ $output != 429* ]] || { sleep "${output#429 }"; run ask_brisk "$source"; assert_output '200 '; }
		run ask_brisk "$source"
		assert_output --regexp '^429 [1-9]$'
		retry=${output#429 }
		assert_equal "$retry" 1
		sleep "$retry"
	done
}

# ask_brisk SOURCE: a status and its Retry-After.
ask_brisk()
{
	lab_run client curl -s -o /dev/null -w '%{http_code} %header{retry-after}' --interface "$1" \
		--max-time 3 -H 'X-API-Key: brisk' "$(at "$1")"
}

@test "each answer waits for the bucket: a day's tier says so" {
	spend 203.0.113.11
	run fetch 203.0.113.11 "$(at 203.0.113.11)"
	assert_line --regexp $'^Retry-After: 3(600|5[0-9][0-9])\r$'
}

# ---- load generators

# A key far beyond its limit of 20/s.
@test "wrk counts refusals and no errors" {
	run lab_run client wrk -t2 -c8 -d2s -H 'X-API-Key: limited' "$(at 203.0.113.12)"
	assert_success
	assert_line --regexp 'Non-2xx or 3xx responses: [0-9]{4,}'
	refute_line --partial 'Socket errors'
}

@test "hey counts refusals and no errors" {
	run lab_run client hey -z 2s -c 8 -H 'X-API-Key: limited' "$(at 203.0.113.12)"
	assert_success
	assert_line --regexp '\[429\].[0-9]{4,} responses'
	refute_output --partial 'Error distribution'
}

@test "hey with a connection for each request counts no errors" {
	run lab_run client hey -n 400 -c 8 -disable-keepalive -H 'X-API-Key: limited' "$(at 203.0.113.12)"
	assert_success
	assert_line --regexp '\[429\].3[0-9]{2} responses'
	refute_output --partial 'Error distribution'
}

@test "h2load counts refusals and no errors over HTTP/1.1" {
	run lab_run client h2load --h1 -n 4000 -c 8 -H 'X-API-Key: limited' "$(at 203.0.113.12)"
	assert_success
	assert_line --regexp '^requests: 4000 total, 4000 started, 4000 done, .* 0 errored, 0 timeout$'
	assert_line --regexp '^status codes: [0-9]+ 2xx, 0 3xx, [0-9]{4} 4xx, 0 5xx$'
}

# ---- libraries

@test "Python's http.client sees 429 on the connection that it keeps" {
	run lab_run client "$lab_top/tests/e2e/clients.py" http "$(at 203.0.113.13)" 203.0.113.13 limited 60
	assert_success
	assert_output --regexp '200 .*429 .*connects=1'
	refute_output --regexp 'torn'
}

@test "Python's http.client sees 429 on the connection that it keeps over IPv6" {
	run lab_run client "$lab_top/tests/e2e/clients.py" http "$(at 2001:db8:c:2::1)" 2001:db8:c:2::1 limited 60
	assert_success
	assert_output --regexp '429 .*connects=1'
	refute_output --regexp 'torn'
}

@test "Python's urllib, which asks to close, sees 429" {
	run lab_run client "$lab_top/tests/e2e/clients.py" urllib "$(at 203.0.113.13)" 203.0.113.13 limited 60
	assert_success
	assert_output --regexp '429 '
	refute_output --regexp 'torn'
}

@test "Python's requests sees 429" {
	run lab_run client "$lab_top/tests/e2e/clients.py" requests "$(at 203.0.113.13)" 203.0.113.13 limited 60
	assert_success
	assert_output --regexp '429 '
	refute_output --regexp 'torn'
}

@test "node's fetch sees 429" {
	cat >"$lab_dir/fetch.mjs" <<-'TEXT'
		const words = [];
		for (let i = 0; i < 60; i++) {
			const answer = await fetch(process.argv[2], {headers: {"X-API-Key": "limited"}});
			const text = await answer.text();
			if (answer.status == 429 && (!(Number(answer.headers.get("retry-after")) > 0) ||
			    JSON.parse(text).status != 429))
				words.push("torn");
			words.push(answer.status);
		}
		console.log(words.join(" "));
	TEXT
	run lab_run client node "$lab_dir/fetch.mjs" "$(at 203.0.113.14)"
	assert_success
	assert_output --regexp '429'
	refute_output --regexp 'torn'
}

# ---- the server

@test "a refused request is in no log of the server's" {
	local before

	spend 203.0.113.15
	before=$(asked)
	run lab_run client curl -s -o /dev/null -w '%{http_code} ' --interface 203.0.113.15 --max-time 3 \
		"$(at 203.0.113.15)?[1-20]"
	assert_output "$(printf '429 %.0s' {1..20})"
	run fetch_codes 203.0.113.15 -o /dev/null -d a=1 "$(at 203.0.113.15)"
	assert_output --partial 429
	assert_equal "$(asked)" "$before"
}

@test "what the gate counts is what the clients saw" {
	local before after

	before=$(tps -j show listener web | jq '.refused')
	spend 203.0.113.16
	run lab_run client curl -s -o /dev/null -w '%{http_code} ' --interface 203.0.113.16 --max-time 3 \
		"$(at 203.0.113.16)?[1-20]"
	assert_output "$(printf '429 %.0s' {1..20})"
	after=$(tps -j show listener web | jq '.refused')
	assert_equal "$((after - before))" 20
}

# ---- changes

# dialog_meanwhile COMMAND: a dialog of 4 s whose connections live on through COMMAND, but for those
# that an answer ends in so many words: the gate may have lost the place where a request begins.
dialog_meanwhile()
{
	dialog 8 4 &
	sleep 1.5
	"$@"
	wait $!
	assert_dialog
	assert_equal "$(jq '.connections - .closed' "$lab_dir/dialog")" 8
}

@test "paused and resumed, live answered connections go on" {
	pause_a_second()
	{
		tps pause
		sleep 1
		tps resume
	}
	dialog_meanwhile pause_a_second
}

@test "observed, live answered connections go on" {
	dialog_meanwhile tps set listener web --mode observe
}

@test "under refusal by drop, live answered connections go on" {
	dialog 8 4 2.9 &
	sleep 1.5
	tps set listener web --refuse drop
	sleep 0.5
	tps set listener web --refuse answer
	wait $!
	assert_dialog
}

@test "with their listener deleted, live answered connections go on" {
	dialog_meanwhile tps delete listener web
}

@test "a detach resets live answered connections, says how many, and harms nothing else" {
	dialog 8 4 &
	sleep 1.5
	tps detach "$lab_device" --netns "$(lab_netns server)" 2>"$lab_dir/said"
	attach_gate
	wait $!
	cat "$lab_dir/dialog" "$lab_dir/said"
	run jq -r '"wrong \(.wrong) broken \(.broken) hung \(.hung)"' "$lab_dir/dialog"
	assert_output "wrong 0 broken $(grep -oE '[0-9]+ connections' "$lab_dir/said" | cut -d' ' -f1) hung 0"
	jq -e '.broken > 0 and .ok > 200' "$lab_dir/dialog"
}

@test "a detach that drains waits for the connections, and answers no further one" {
	dialog 8 3 &
	sleep 1
	run --separate-stderr tps detach --drain 10s "$lab_device" --netns "$(lab_netns server)"
	assert_success
	# shellcheck disable=SC2154 # run sets it
	assert_equal "$stderr" ''
	wait $!
	run jq -r '"wrong \(.wrong) broken \(.broken) hung \(.hung)"' "$lab_dir/dialog"
	assert_output 'wrong 0 broken 0 hung 0'
	attach_gate
}

@test "a drain that is interrupted leaves the gate, which answers as before" {
	local pid

	spend 203.0.113.30
	dialog 8 4 &
	sleep 1.5
	"$tpsctl" detach --drain 20s "$lab_device" --netns "$(lab_netns server)" 2>"$lab_dir/said" 3>&- &
	pid=$!
	sleep 0.5
	run fetch 203.0.113.30 "$(at 203.0.113.30)"
	assert_output --partial 'Connection: close'
	kill -TERM "$pid"
	wait "$pid" || status=$?
	assert_equal "$status" 1
	run cat "$lab_dir/said"
	assert_output --partial 'interrupted while connections drained: the gate stays where it is'
	run fetch 203.0.113.30 "$(at 203.0.113.30)"
	assert_output --partial '429'
	refute_output --partial 'Connection: close'
	wait
	assert_dialog
}

@test "a device of the same index in another namespace takes no connections along" {
	local other
	other=$(lab_netns box)

	ip netns add "$other"
	ip link add name same0 index "$(ip -n "$(lab_netns server)" -j link show "$lab_device" | jq '.[].ifindex')" \
		netns "$other" type veth peer name same1
	ip -n "$other" link set same0 up
	tps attach same0 --netns "$other"
	dialog_meanwhile tps detach same0 --netns "$other"
	ip netns del "$other"
}

@test "attached anew over itself, live answered connections go on" {
	dialog_meanwhile attach_gate
}

# ---- sockets

@test "no refusal leaves a socket on either side: connections that the client closes" {
	run lab_run client hey -n 2000 -c 8 -H 'X-API-Key: limited' "$(at 203.0.113.19)"
	assert_success
	assert_no_sockets "$lab_client4"
}

@test "no refusal that closes leaves a socket on either side" {
	tps set listener web --port "$answers_listen" --protocol http --refuse close
	run lab_run client hey -n 10000 -c 8 -H 'X-API-Key: limited' "$(at 203.0.113.19)"
	assert_success
	refute_output --partial 'Error distribution'
	assert_line --regexp '\[429\].9[0-9]{3} responses'
	assert_no_sockets "$lab_client4"
}

@test "no refused upload leaves a socket on either side" {
	local i

	spend 203.0.113.17
	for i in {1..10}; do
		run fetch 203.0.113.17 -o /dev/null -w '%{http_code}' -H 'Expect:' \
			--data-binary "@$lab_dir/letter" "$(at 203.0.113.17)"
		assert_success
	done
	assert_no_sockets 203.0.113.17
}

nothing_is_spliced()
{
	bpftool -j map dump pinned "$lab_root/spliced" | jq -e 'length == 0'
}

@test "an answered connection is forgotten when both sides have ended it" {
	local i url
	url=$(at 203.0.113.29)

	spend 203.0.113.29
	wait_until 15 nothing_is_spliced
	for i in {1..20}; do
		run lab_run client curl -s -o /dev/null -w '%{http_code} ' --interface 203.0.113.29 \
			"$url" -o /dev/null "$url"
		assert_output '429 429 '
	done
	wait_until 1 nothing_is_spliced
	bpftool -j map dump pinned "$lab_root/spliced_ports" | jq -e 'all(.formatted.value == 0)'
	bpftool -j map dump pinned "$lab_root/spliced_sources" | jq -e 'all(.formatted.value == 0)'
}
