#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# TLS listeners before a real nginx: real clients are known by their server name, whatever the path's
# MTU, and those over their limit are told so and leave no socket on either side.

# shellcheck disable=SC2154 # $output and $status are BATS'
# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

tls_port=8443
tls_host=api.example.com

setup_file()
{
	open_lab tls
	tls_serve
	attach_gate
	tps set tier slow --rate 1/h --burst 3
	tps set tier wide --rate 1000000/s
	tps set default-tier slow
	tps set listener secure --port "$tls_port" --protocol tls
	tps set caller acme --tier wide --sni "$tls_host"
	tps set caller spent --rate 1/h --burst 1 --sni "spent.example.com"
	tps set caller rest --tier wide --sni '*.example.com'
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	tps set listener secure --refuse answer
}

# nginx with TLS 1.2 and 1.3: / is "ok", /large 4 MiB.
tls_serve()
{
	install -d -m 0755 "$lab_dir/www"
	chmod 0711 "$lab_dir"
	head -c 4194304 /dev/zero | tr '\0' x >"$lab_dir/www/large"
	lab_certificate -addext 'subjectAltName=DNS:*.example.com'
	cat >"$lab_dir/server-tls.conf" <<-TEXT
		server {
			listen $tls_port ssl backlog=4096;
			listen [::]:$tls_port ssl backlog=4096;
			ssl_protocols TLSv1.2 TLSv1.3;
			default_type text/plain;
			location / { return 200 "ok\n"; }
			location /large { root $lab_dir/www; }
		}
	TEXT
	lab_nginx
}

# ---- clients: one handshake each with the server, by this name; they print what it says, or why not

by_curl()
{
	lab_run client curl -sSk --max-time 5 --resolve "$1:$tls_port:$lab_server4" \
		"https://$1:$tls_port/" "${@:2}"
}

by_openssl()
{
	printf 'GET / HTTP/1.0\r\n\r\n' |
		lab_run client timeout 5 openssl s_client -quiet -connect "$lab_server4:$tls_port" \
			-servername "$1" "${@:2}"
}

by_gnutls()
{
	printf 'GET / HTTP/1.0\r\n\r\n' |
		lab_run client timeout 5 gnutls-cli --insecure --sni-hostname "$1" \
			--port "$tls_port" "$lab_server4"
}

by_python()
{
	lab_run client timeout 5 python3 -c '
import socket, ssl, sys
plain = socket.create_connection((sys.argv[2], int(sys.argv[3])), 5)
secure = ssl._create_unverified_context().wrap_socket(plain, server_hostname=sys.argv[1])
secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
sys.stdout.write(secure.makefile("rb").read().decode())
' "$1" "$lab_server4" "$tls_port"
}

by_go()
{
	lab_run client hey -n 1 -c 1 -t 5 -host "$1" "https://$lab_server4:$tls_port/"
}

# Its own connections go nowhere from here. What it was told by an alert stands in its log alone.
by_chromium()
{
	rm -rf "$lab_dir/chromium" "$lab_dir/netlog"
	lab_run client timeout 30 chromium --headless --no-sandbox --disable-gpu \
		--disable-dev-shm-usage --user-data-dir="$lab_dir/chromium" \
		--ignore-certificate-errors --disable-background-networking --no-first-run --log-net-log="$lab_dir/netlog" \
		--host-resolver-rules="MAP $1 $lab_server4" --dump-dom \
		"https://$1:$tls_port/" 2>"$lab_dir/chromium.log"
	# 2, 49 in base64, and ERR_SSL_PROTOCOL_ERROR
	if grep -q '"bytes":"AjE="' "$lab_dir/netlog" && grep -q '"net_error":-107' "$lab_dir/netlog"; then
		echo 'alert 49'
	fi
}

# set_mtu BYTES: of both ends; less than IPv6 can live with takes its addresses away.
set_mtu()
{
	lab_run client ip link set client0 mtu "$1"
	lab_run server ip link set server0 mtu "$1"
}

# unknown: handshakes that were nobody's by name.
unknown()
{
	tps -j status | jq '.listeners[] | select(.name == "secure") | .allowed + .refused'
}

# assert_handshake CLIENT [OPTION...]: it is served, and acme pays one handshake, nobody else any.
assert_handshake()
{
	local before all
	before=$(verdicts acme allowed) all=$(unknown)

	run "$1" "$tls_host" "${@:2}"
	assert_success
	assert_output --partial ok
	assert_equal "$1 $(($(verdicts acme allowed) - before))" "$1 1"
	assert_equal "$1 $(($(unknown) - all))" "$1 1"
}

# sockets: on both sides, of the port, whatever their state but TIME-WAIT.
sockets()
{
	local where

	for where in client server; do
		lab_run "$where" ss -Htan "( sport = :$tls_port or dport = :$tls_port )" |
			grep -v -e '^TIME-WAIT' -e '^LISTEN' || true
	done
}

assert_no_sockets()
{
	sleep 1
	assert_equal "$(sockets)" ''
}

# spend: the caller's one token.
spend()
{
	[[ $(verdicts spent allowed) == 1 ]] || by_curl spent.example.com >/dev/null
}

# assert_refused CLIENT TEXT: within its time, and with this among what it says; nothing is left.
assert_refused()
{
	local before
	before=$(verdicts spent refused)

	spend
	run "$1" spent.example.com
	assert_output --partial "$2"
	refute_output --partial '200 OK'
	[[ $(verdicts spent refused) -gt $before ]]
	assert_no_sockets
}

@test "each client pays one handshake of its name's caller" {
	assert_handshake by_curl
	assert_handshake by_openssl
	assert_handshake by_gnutls
	assert_handshake by_python
}

@test "TLS 1.2 and 1.3 are known alike" {
	assert_handshake by_openssl -tls1_2
	assert_handshake by_openssl -tls1_3
	assert_handshake by_curl --tls-max 1.2
	assert_handshake by_curl --tlsv1.3
	# a HelloRetryRequest: the second hello is of the connection that was paid
	assert_handshake by_openssl -groups P-521:P-256
}

@test "a browser is known by its name, cut as its post-quantum hello is" {
	local before strangers
	before=$(verdicts acme allowed) strangers=$(verdicts rest allowed)

	run by_chromium "$tls_host"
	assert_success
	assert_output --partial ok
	between 1 $(($(verdicts acme allowed) - before)) 6
	assert_equal "$(verdicts rest allowed)" "$strangers"
}

@test "a suffix is another caller's, and a name that nobody has is its source's" {
	local before
	before=$(verdicts rest allowed)

	run by_curl a.b.example.com
	assert_output ok
	assert_equal $(($(verdicts rest allowed) - before)) 1
	# a stranger has three
	for expected in ok ok ok ''; do
		run by_curl www.example.org
		[[ $expected == ok ]] && assert_output ok || assert_output --partial 'access denied'
	done
	# whoever names acme is not among them
	assert_handshake by_curl
}

@test "at an MTU of 576 and of 300 each client is known, and served" {
	local mtu before

	for mtu in 576 300; do
		set_mtu "$mtu"
		assert_handshake by_curl
		assert_handshake by_openssl
		assert_handshake by_gnutls
		assert_handshake by_python
		before=$(verdicts acme allowed)
		run by_chromium "$tls_host"
		assert_output --partial ok
		between 1 $(($(verdicts acme allowed) - before)) 6
	done
	set_mtu 1500
	# IPv6 went with the MTU
	ip -n "$(lab_netns client)" addr add "$lab_client6/64" dev client0 nodad
	ip -n "$(lab_netns server)" addr add "$lab_server6/64" dev server0 nodad
}

@test "an allowed connection is unharmed: 4 MiB, and requests on it" {
	local url=https://$tls_host:$tls_port

	run lab_run client curl -sSk --max-time 20 --resolve "$tls_host:$tls_port:$lab_server4" \
		-o "$lab_dir/got" -w '%{http_code}:%{num_connects} ' "$url/large" \
		-o /dev/null "$url/" -o /dev/null "$url/"
	assert_output '200:1 200:0 200:0 '
	cmp "$lab_dir/got" "$lab_dir/www/large"
}

@test "a client over its limit is told so by an alert" {
	assert_refused by_curl 'tlsv1 alert access denied'
	assert_refused by_openssl 'SSL alert number 49'
	assert_refused by_gnutls 'Access was denied'
	assert_refused by_python 'TLSV1_ALERT_ACCESS_DENIED'
	assert_refused by_chromium 'alert 49'
}

@test "a client over its limit is told so by an alert at an MTU of 300" {
	set_mtu 300
	assert_refused by_curl 'tlsv1 alert access denied'
	assert_refused by_gnutls 'Access was denied'
	assert_refused by_chromium 'alert 49'
	set_mtu 1500
}

@test "2000 handshakes refused leave no socket on either side" {
	local before
	before=$(metric tps_refusals_total listener=secure refusal=close)

	# without a name, of a source that has spent its own
	for _ in 1 2 3 4; do by_curl nobody.example.org >/dev/null 2>&1 || true; done
	run lab_run client hey -n 2000 -c 8 -t 5 "https://$lab_server4:$tls_port/"
	assert_output --partial 'access denied'
	refute_output --partial 'responses'
	[[ $(($(metric tps_refusals_total listener=secure refusal=close) - before)) -ge 2000 ]]
	assert_no_sockets
}

@test "hellos of a byte a segment are each known, and refused, on many connections at once" {
	local before
	before=$(verdicts acme allowed)

	run lab_run client "$programs/trickle" "$lab_server4" "$tls_port" 500 0 "$tls_host"
	assert_output "answered 500 denied 0 silent 0"
	assert_equal $(($(verdicts acme allowed) - before)) 500
	spend
	before=$(verdicts spent refused)
	run lab_run client "$programs/trickle" "$lab_server4" "$tls_port" 500 0 spent.example.com
	assert_output "answered 0 denied 500 silent 0"
	assert_equal $(($(verdicts spent refused) - before)) 500
	assert_no_sockets
}

# With TPS_TRICKLE=10000 they take longer than the 30 s that a hello may: then their source pays.
@test "as many hellos of a byte a segment as there may be are each paid by somebody" {
	local before flows=${TPS_TRICKLE:-1000}
	before=$(unknown)

	run lab_run client "$programs/trickle" "$lab_server4" "$tls_port" "$flows" 0 "$tls_host"
	assert_equal "$(awk '/^answered/ {print $2 + $4 + $6}' <<<"$output")" "$flows"
	[[ $(($(unknown) - before)) -ge $flows ]]
	echo "# $output" | tail -n 1 >&3
}

@test "hellos that never end are nobody's handshake, and no more than the table holds" {
	local before flows=${TPS_TRICKLE:-1000}
	before=$(unknown)

	run lab_run client "$programs/trickle" "$lab_server4" "$tls_port" "$flows" 100 "$tls_host"
	assert_output "answered 0 denied 0 silent $flows"
	assert_equal "$(unknown)" "$before"
	[[ $(tps -j status | jq '.maps[] | select(.name == "flows") | .entries <= .capacity') == true ]]
	assert_handshake by_curl
}

@test "by reset a client learns it at once, and by drop it waits" {
	tps set listener secure --refuse reset
	spend
	run by_curl spent.example.com
	assert_failure
	assert_output --partial 'reset by peer'
	assert_no_sockets
	tps set listener secure --refuse drop
	run by_curl spent.example.com --max-time 2
	assert_failure 28
	tps set listener secure --refuse answer
}
