#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What is no listener's passes untouched and is counted by its reason, even of a source that has spent
# everything.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab untouched
	lab_nginx
	attach_gate
	tps set listener log --port 5000 --protocol udp
	tps set listener web --port 8080 --protocol http
	tps set tier none --rate 1/d --burst 1
	tps set default-tier none
	background server /usr/bin/python3 -m http.server 22
	wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:22/
	# All that the client's own address has.
	ask "$lab_client4"
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# grew REASON: by how much the count of passed packets grew since `mark REASON`.
mark()
{
	metric tps_packets_total action=pass "reason=$1" >"$lab_dir/mark"
}
grew()
{
	echo $(($(metric tps_packets_total action=pass "reason=$1") - $(<"$lab_dir/mark")))
}

@test "the source has nothing left at the listener" {
	run ask "$lab_client4"
	assert_output refused
}

@test "the ssh port and other ports pass" {
	mark not_listener
	ASK_PORT=22 run ask "$lab_client4"
	assert_output 200
	ASK_PORT=8090 run ask_times 3 "$lab_client4"
	assert_output 3
	between 16 "$(grew not_listener)" 80
	run datagrams 5001 "$lab_client4" 10
	assert_output 10
}

@test "answers to what the server itself asks pass" {
	mark not_listener
	lab_in client /usr/bin/python3 -m http.server 80 --bind "$lab_client4" >/dev/null 2>&1 3>&- &
	wait_until 5 lab_run client curl -s -o /dev/null "http://$lab_client4/"
	run lab_run server curl -s -o /dev/null -w '%{http_code}' --max-time 2 "http://$lab_client4/"
	assert_output 200
	between 3 "$(grew not_listener)" 20
}

@test "ICMP and ICMPv6 pass" {
	mark not_transport
	run lab_run client ping -q -c 3 -i 0.2 -W 1 "$lab_server4"
	assert_success
	run lab_run client ping -q -c 3 -i 0.2 -W 1 "$lab_server6"
	assert_success
	between 6 "$(grew not_transport)" 20
}

@test "ARP passes" {
	mark not_ip
	ip -n "$(lab_netns client)" neigh replace "$lab_server4" lladdr "$lab_server_mac" \
		dev client0 nud reachable
	ip -n "$(lab_netns client)" neigh del "$lab_server4" dev client0
	run lab_run client ping -q -c 1 -W 2 "$lab_server4"
	assert_success
	between 1 "$(grew not_ip)" 10
}

@test "later fragments pass, and the first is the source's transaction" {
	local refused

	mark later_fragment
	refused=$(metric tps_transactions_total listener=log verdict=refused)
	lab_run client /usr/bin/python3 - <<-PYTHON
		import socket
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.bind(("$lab_client4", 0))
		for _ in range(4):
		    sock.sendto(bytes(4000), ("$lab_server4", 5000))
	PYTHON
	assert_equal "$(grew later_fragment)" 8
	# The unproven word holds one: the other three first fragments are refused.
	assert_equal "$(metric tps_transactions_total listener=log verdict=refused)" $((refused + 3))
}
