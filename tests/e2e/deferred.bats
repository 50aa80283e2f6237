#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# A server that defers its accept (TCP_DEFER_ACCEPT) has no socket before a connection's first bytes. A
# first request that is refused is answered at once all the same, and leaves nothing on either side.
# Strangers have 3 tokens and meet no refill; a test has an address of its own.

# shellcheck disable=SC2154 # $output and $status are BATS'
# shellcheck source=tests/e2e/answers.bash
source "$BATS_TEST_DIRNAME/answers.bash"

setup_file()
{
	open_lab deferred
	deferred_serve
	attach_gate
	tps set tier slow --rate 1/h --burst 3
	tps set default-tier slow
	tps set listener web --port "$answers_listen" --protocol http
	tps set listener secure --port 8071 --protocol tls
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	tps set listener web --refuse answer
	tps set listener secure --refuse answer
}

# A server of Python's that defers for 30 s, as Apache does, and an nginx, which asks for 1 s.
deferred_serve()
{
	chmod 0711 "$lab_dir"
	cat >"$lab_dir/deferring.py" <<-TEXT
		import http.server, socket
		class Quick(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_GET(self):
		        self.send_response(200)
		        self.send_header("Content-Length", "3")
		        self.end_headers()
		        self.wfile.write(b"ok\n")
		class Deferring(http.server.ThreadingHTTPServer):
		    address_family = socket.AF_INET6
		    request_queue_size = 1024
		    def server_activate(self):
		        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
		        super().server_activate()
		Deferring(("::", $answers_listen), Quick).serve_forever()
	TEXT
	background server python3 "$lab_dir/deferring.py"
	lab_certificate
	cat >"$lab_dir/server-deferred.conf" <<-TEXT
		server {
			listen 8071 ssl deferred;
			location / { return 200 "ok\n"; }
		}
	TEXT
	lab_nginx
}

# assert_told SOURCE: three are served and a fourth, on a connection of its own, is answered within the
# second that curl waits; its server was not woken.
assert_told()
{
	spend "$1"
	run fetch "$1" --max-time 1 "$(at "$1")"
	assert_success
	assert_refusal bodyless # curl's request leaves no room
	assert_no_sockets "$1"
}

@test "a connection's first request is answered, and nothing is left of it" {
	assert_told 203.0.113.20
	[ "$(metric tps_refusals_total listener=web refusal=close)" -ge 1 ]
}

@test "a connection's first request is answered, and nothing is left of it, over IPv6" {
	assert_told 2001:db8:c:20::1
}

@test "first requests by the thousand are answered, and leave nothing" {
	run lab_run client hey -n 2000 -c 8 -disable-keepalive "$(at "$lab_client4")"
	assert_success
	grep -qE '\[429\]\s+1997 responses' <<<"$output"
	refute_output --partial 'Error distribution'
	assert_no_sockets "$lab_client4"
}

@test "reset, a connection's first request ends it, and nothing is left of it" {
	tps set listener web --refuse reset
	spend 203.0.113.22
	run lab_run client curl -s -o /dev/null --interface 203.0.113.22 --max-time 2 "$(at 203.0.113.22)"
	assert_failure 56
	assert_no_sockets 203.0.113.22
}

@test "a later request keeps its connection" {
	local url
	url=$(at 203.0.113.23)
	run fetch_codes 203.0.113.23 "$url" -o /dev/null "$url" -o /dev/null "$url" -o /dev/null \
		"$url" -o /dev/null "$url" -o /dev/null
	assert_output --partial '200:0 429:0 429:0 exit 0'
}

@test "a hello is refused with an alert, and nothing is left of its connection" {
	local source=203.0.113.24
	for _ in 1 2 3; do
		run lab_run client curl -sk --interface "$source" --max-time 3 "https://$lab_server4:8071/"
		assert_output ok
	done
	run lab_run client curl -sSk --interface "$source" --max-time 1 "https://$lab_server4:8071/"
	assert_failure 35
	assert_output --partial 'access denied'
	sleep 1
	run lab_run server ss -Htan "( sport = :8071 and dst $source )"
	refute_output --partial SYN-RECV
	refute_output --partial ESTAB
}
