#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# Refusal by reset: a client learns it at once, and no socket is left on either side. Strangers have 3
# tokens and meet no refill; a test has an address of its own.

# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	open_lab reset
	answers_serve
	answers_limit reset
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	# a test that failed may have left it otherwise
	tps set listener web --port "$answers_listen" --protocol http --refuse reset
}

# curl_exit SOURCE: its exit status for one more request; a client that has to wait gets 28.
curl_exit()
{
	lab_run client curl -s -o /dev/null --interface "$1" --max-time 1 "$(at "$1")"
	echo "exit $?"
}

# refusals FORM: how many the gate has counted of it.
refusals()
{
	metric tps_refusals_total listener=web refusal="$1"
}

# Of a connection that lives: its next request is reset within the second that curl waits.
assert_reset()
{
	local url

	url=$(at "$1")
	run lab_run client curl -s -w '%{http_code}:%{num_connects} ' --interface "$1" --max-time 1 \
		-o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url" -o /dev/null "$url"
	assert_failure 56
	assert_output '200:1 200:0 200:0 000:1 '
	assert_no_sockets "$1"
}

@test "the connection of a refused request is reset on both sides" {
	local before
	before=$(refusals reset)

	assert_reset 203.0.113.20
	# curl tries once more on a new connection, since the old one had served
	assert_equal "$(($(refusals reset) - before))" 2
	assert_equal "$(refusals answer)" 0
}

@test "the connection of a refused request is reset on both sides over IPv6" {
	assert_reset 2001:db8:c:20::1
}

@test "a reset closes 2000 connections and leaves no socket on either side" {
	local before
	before=$(refusals reset)

	run lab_run client hey -n 2000 -c 8 -H 'X-API-Key: limited' "$(at 203.0.113.21)"
	assert_success
	# hey asks once more where a connection that had served was reset
	between 1000 $(($(refusals reset) - before)) 4000
	assert_no_sockets "$lab_client4"
}

@test "a connection that was answered is reset in the client's count" {
	local url

	spend 203.0.113.22
	url=$(at 203.0.113.22)
	tps set listener web --refuse answer
	(
		sleep 1
		tps set listener web --refuse reset
	) &
	run lab_run client python3 -c '
import http.client, sys, time
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5, source_address=(sys.argv[3], 0))
for wait in (0, 0, 2):
	time.sleep(wait)
	c.request("GET", "/")
	r = c.getresponse()
	r.read()
	print(r.status)
' "$lab_server4" "$answers_listen" 203.0.113.22
	wait $!
	assert_failure
	assert_line --index 0 429
	assert_line --index 1 429
	assert_output --partial 'ConnectionResetError'
	assert_no_sockets 203.0.113.22
}

@test "a refused connection attempt is reset, as a closed port would" {
	local i

	tps set listener web --protocol tcp
	for i in 1 2 3; do
		run curl_exit 203.0.113.24
		assert_output 'exit 0'
	done
	run curl_exit 203.0.113.24
	assert_output 'exit 7'
	for i in 1 2 3; do
		run curl_exit 2001:db8:c:24::1
		assert_output 'exit 0'
	done
	run curl_exit 2001:db8:c:24::1
	assert_output 'exit 7'
}

@test "under refusal by drop a connection attempt gets no answer" {
	tps set listener web --protocol tcp --refuse drop
	for i in 1 2 3; do
		run curl_exit 203.0.113.25
	done
	run curl_exit 203.0.113.25
	assert_output 'exit 28'
}

@test "in generic mode the connection of a refused request is reset on both sides" {
	tps detach "$lab_device" --netns "$(lab_netns server)"
	tps attach "$lab_device" --netns "$(lab_netns server)" --xdp-mode generic
	assert_reset 203.0.113.26
	tps detach "$lab_device" --netns "$(lab_netns server)"
	attach_gate
}

@test "a listener refuses as its protocol and placement let clients know, unless told otherwise" {
	refuse_of()
	{
		tps -j show listener web | jq -r .refuse
	}
	tps delete listener web
	tps set listener web --port "$answers_listen" --protocol http
	assert_equal "$(refuse_of)" answer
	tps set listener web --protocol tcp
	assert_equal "$(refuse_of)" reset
	tps set listener web --protocol http --placement transit
	assert_equal "$(refuse_of)" drop
	tps set listener web --placement local --refuse close
	tps set listener web --protocol http --cost 1
	assert_equal "$(refuse_of)" close
	run tps set listener web --protocol tcp --refuse answer
	assert_failure
	assert_output --partial "refuse 'answer' is not for protocol 'tcp'"
	tps delete listener web
}
