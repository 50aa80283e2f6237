#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# tpsd: what it serves is what was sent, what it says of the gate's health is true, and the gate does
# without it. Limits refill so slowly that no test meets it.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab tpsd
	attach_gate
	tps set tier slow --rate 1/d --burst 5
	tps set listener log --port 5000 --protocol udp
	tps set listener web --port 8080 --protocol http
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	tpsd_pid=
}

teardown()
{
	if [[ $tpsd_pid ]] && kill "$tpsd_pid" 2>/dev/null; then
		wait "$tpsd_pid" || true
	fi
}

# page PATH [CURL OPTION...]: the status, and the page in the file `page`.
page()
{
	local path=$1
	shift

	lab_run server curl -s -o "$lab_dir/page" -w '%{http_code}' --max-time 5 "$@" \
		"http://127.0.0.1:10429$path"
}

answers()
{
	page /metrics >/dev/null
}

silent()
{
	! answers
}

# What a shell starts in the background ignores SIGINT, and its children do; not so here.
start_tpsd()
{
	background server env --default-signal=INT "$tpsd" "$@"
	tpsd_pid=$!
	wait_until 5 answers
}

# series NAME{LABELS}: the value of that one series, "none" when there is none.
series()
{
	page /metrics >/dev/null
	awk -v name="$1" 'index($0, name " ") == 1 {n = $NF; seen++}
		END {print seen == 1 ? n : seen ? "twice" : "none"}' "$lab_dir/page"
}

# send SOURCE: a flood; prints how many datagrams it was.
send()
{
	flood 5000 0.2 <<<"$1 500" | awk '{print $2}'
}

# one_line: the last run said one line.
one_line()
{
	assert_equal "${#lines[@]}" 1
}

@test "without a gate tpsd says so in a line and ends with 1" {
	run lab_run server "$tpsd" --root "$lab_dir/nowhere"
	assert_failure 1
	one_line
	assert_output --partial "$lab_dir/nowhere"
}

@test "a wrong option is a usage error" {
	for listen in 127.0.0.1 127.0.0.1:0 127.0.0.1:70000 :10429 localhost:10429 '[::1]' 127.0.0.1:080; do
		run lab_run server "$tpsd" --listen "$listen"
		assert_failure 2
		one_line
		assert_output --partial "'$listen'"
	done
	run lab_run server "$tpsd" --max-callers many
	assert_failure 2
	run lab_run server "$tpsd" attach
	assert_failure 2
	run lab_run server "$tpsd" --bogus
	assert_failure 2
	assert_output "tpsd: option '--bogus': unknown, see \`tpsd --help\`"
	run lab_run server "$tpsd" -xv
	assert_failure 2
	assert_output "tpsd: option '-xv': unknown, see \`tpsd --help\`"
	run lab_run server "$tpsd" --listen
	assert_failure 2
	assert_output "tpsd: option '--listen': it needs a value, see \`tpsd --help\`"
}

@test "an address that is taken is named, and tpsd ends with 1" {
	start_tpsd
	run lab_run server "$tpsd"
	assert_failure 1
	one_line
	assert_output --partial "'127.0.0.1:10429'"
	run lab_run server "$tpsd" --listen 192.0.2.99:10429
	assert_failure 1
	one_line
}

@test "IPv6 is served as well" {
	start_tpsd
	background server "$tpsd" --listen '[::1]:10430'
	local second=$!
	wait_until 5 lab_run server curl -s -o /dev/null 'http://[::1]:10430/metrics'
	kill "$second"
}

@test "SIGTERM and SIGINT end it with 0" {
	local signal ended

	for signal in TERM INT; do
		start_tpsd
		kill "-$signal" "$tpsd_pid"
		ended=0
		wait "$tpsd_pid" || ended=$?
		assert_equal "$ended" 0
		silent
	done
}

@test "the metrics are clean under promtool" {
	start_tpsd
	tps set caller clean --tier slow --source 203.0.113.1
	send 203.0.113.1 >/dev/null
	run page /metrics
	assert_output 200
	run promtool check metrics <"$lab_dir/page"
	assert_success
	refute_output
}

@test "a scrape by Prometheus succeeds" {
	local at=127.0.0.1:10490 query='query=min(up{job="tps"})+count(tps_build_info)'

	start_tpsd
	cat >"$lab_dir/prometheus.yml" <<-'TEXT'
		scrape_configs:
		  - job_name: tps
		    scrape_interval: 1s
		    static_configs: [{targets: ["127.0.0.1:10429"]}]
	TEXT
	background server prometheus --config.file="$lab_dir/prometheus.yml" \
		--storage.tsdb.path="$lab_dir/prometheus" --web.listen-address="$at" --log.level=warn
	local prometheus=$!
	up()
	{
		lab_run server curl -s -G "http://$at/api/v1/query" --data-urlencode "$query" |
			jq -e '.data.result[0].value[1] == "2"'
	}
	run wait_until 30 up
	kill "$prometheus"
	wait "$prometheus" || true
	assert_success
}

@test "the values are what was sent" {
	local sent

	start_tpsd
	tps set caller counted --tier slow --source 203.0.113.2
	local drops_before
	drops_before=$(series 'tps_packets_total{action="drop",reason="limit"}')
	local before
	before=$(series 'tps_unproven_total{listener="log",reason="datagram"}')
	local allowed_before
	allowed_before=$(series 'tps_transactions_total{listener="log",tier="slow",verdict="allowed"}')
	sent=$(send 203.0.113.2)
	((sent > 20))

	run series 'tps_caller_transactions_total{caller="counted",verdict="allowed"}'
	assert_output 5
	run series 'tps_caller_transactions_total{caller="counted",verdict="refused"}'
	assert_output $((sent - 5))
	run series 'tps_caller_transactions_total{caller="counted",verdict="would_refuse"}'
	assert_output 0
	run series 'tps_transactions_total{listener="log",tier="slow",verdict="allowed"}'
	assert_output $((allowed_before + 5))
	run series 'tps_packets_total{action="drop",reason="limit"}'
	assert_output $((drops_before + sent - 5))
	run series 'tps_refusals_total{listener="log",reason="limit",refusal="drop"}'
	assert_output $((drops_before + sent - 5))
	run series 'tps_unproven_total{listener="log",reason="datagram"}'
	assert_output $((before + sent))
	# Nothing of it is another listener's.
	run series 'tps_transactions_total{listener="web",tier="slow",verdict="allowed"}'
	assert_output 0
}

@test "strangers are summed, and nobody's address is a label" {
	local sent

	tps set default-tier slow
	start_tpsd
	local before
	before=$(series 'tps_caller_transactions_total{caller="_stranger",verdict="allowed"}')
	send 203.0.113.30 >/dev/null
	send 2001:db8:c:30::1 >/dev/null
	run series 'tps_caller_transactions_total{caller="_stranger",verdict="allowed"}'
	assert_output $((before + 10))
	page /metrics
	run grep -E '203\.0\.113|2001:db8|hash:' "$lab_dir/page"
	assert_failure
}

@test "a packet of no listener is counted under its reason alone" {
	start_tpsd
	local before sent
	before=$(series 'tps_packets_total{action="pass",reason="not_listener"}')
	sent=$(flood 5001 0.2 <<<"203.0.113.31 500" | awk '{print $2}')
	# The host's ICMP answers are not seen by ingress; other traffic of the lab may add to it.
	run series 'tps_packets_total{action="pass",reason="not_listener"}'
	((output >= before + sent && output < before + sent + 20))
	page /metrics
	run grep -c 'listener=""' "$lab_dir/page"
	assert_output 0
}

@test "limits, bursts, exemption and bans of a caller are told" {
	start_tpsd
	tps set caller ruled --rate 30/m --burst 7 --source 203.0.113.3
	tps set caller freed --source 203.0.113.4 --exempt
	run series 'tps_caller_limit_transactions_per_second{caller="ruled"}'
	assert_output 0.5
	run series 'tps_caller_burst_transactions{caller="ruled"}'
	assert_output 7
	run series 'tps_caller_limit_transactions_per_second{caller="freed"}'
	assert_output +Inf
	run series 'tps_caller_banned{caller="ruled"}'
	assert_output 0
	tps ban caller:ruled --for 1h
	run series 'tps_caller_banned{caller="ruled"}'
	assert_output 1
	tps unban caller:ruled
	run series 'tps_caller_banned{caller="ruled"}'
	assert_output 0
	tps set tier slow --burst 6
	tps set caller tiered --tier slow --source 203.0.113.5
	run series 'tps_caller_burst_transactions{caller="tiered"}'
	assert_output 6
	tps set tier slow --burst 5
}

@test "beyond --max-callers callers are summed, and the sum never falls" {
	local name i=40 callers

	callers=$(tps -j list callers | jq length)
	for name in zz-one zz-two zz-three; do
		tps set caller "$name" --tier slow --source "203.0.113.$((i++))"
	done
	start_tpsd --max-callers "$callers"
	local before
	before=$(series 'tps_caller_transactions_total{caller="_other",verdict="allowed"}')
	send 203.0.113.40 >/dev/null
	send 203.0.113.41 >/dev/null
	run series 'tps_caller_transactions_total{caller="_other",verdict="allowed"}'
	assert_output $((before + 10))
	run series 'tps_caller_transactions_total{caller="zz-one",verdict="allowed"}'
	assert_output none
	# One of them goes, and another comes on its slot.
	tps delete caller zz-one
	run series 'tps_caller_transactions_total{caller="_other",verdict="allowed"}'
	assert_output $((before + 10))
	tps set caller zz-four --tier slow --source 203.0.113.43
	send 203.0.113.43 >/dev/null
	run series 'tps_caller_transactions_total{caller="_other",verdict="allowed"}'
	assert_output $((before + 15))
	# One that is named goes: another takes its place, and the sum still does not fall.
	tps set caller aa-first --tier slow --source 203.0.113.44
	send 203.0.113.44 >/dev/null
	run series 'tps_caller_transactions_total{caller="aa-first",verdict="allowed"}'
	assert_output 5
	run series 'tps_caller_transactions_total{caller="_other",verdict="allowed"}'
	((output >= before + 15))
	for name in aa-first zz-two zz-three zz-four; do
		tps delete caller "$name"
	done
}

@test "maps tell their entries and their room" {
	start_tpsd
	local callers sources
	callers=$(tps -j list callers | jq length)
	run series 'tps_map_entries{map="callers"}'
	assert_output "$callers"
	run series 'tps_map_capacity{map="callers"}'
	assert_output 65536
	sources=$(series 'tps_map_entries{map="sources4"}')
	tps set caller mapped --source 203.0.113.50 --source 203.0.113.52/30
	run series 'tps_map_entries{map="sources4"}'
	assert_output $((sources + 2))
	run series 'tps_map_entries{map="callers"}'
	assert_output $((callers + 1))
	tps delete caller mapped
	run series 'tps_map_entries{map="sources4"}'
	assert_output "$sources"
	run series 'tps_map_entries{map="listeners"}'
	assert_output 2
}

@test "the switches are told" {
	start_tpsd
	run series 'tps_control_state{state="enforcing"}'
	assert_output 1
	tps observe
	run series 'tps_control_state{state="observing"}'
	assert_output 1
	tps pause
	run series 'tps_control_state{state="paused"}'
	assert_output 1
	run series 'tps_control_state{state="observing"}'
	assert_output 0
	tps resume
	tps enforce
	run series 'tps_control_state{state="enforcing"}'
	assert_output 1
}

@test "other paths, other methods" {
	start_tpsd
	run page /
	assert_output 404
	run page /metrics/
	assert_output 404
	run page /metrics -X POST -d x
	assert_output 405
	run page /healthz -X DELETE
	assert_output 405
	run page /metrics -I
	assert_output 200
}

@test "killed, the gate goes on refusing and counting" {
	start_tpsd
	tps set caller orphan --tier slow --source 203.0.113.60
	send 203.0.113.60 >/dev/null
	kill -KILL "$tpsd_pid"
	wait "$tpsd_pid" || true
	run datagrams 5000 203.0.113.60 20
	assert_output 0
	start_tpsd
	run series 'tps_caller_transactions_total{caller="orphan",verdict="allowed"}'
	assert_output 5
	run series 'tps_caller_transactions_total{caller="orphan",verdict="refused"}'
	((output > 100))
}

@test "healthy is said while a wanted device has the gate, and detached when none is wanted" {
	local device
	device="device=\"$(lab_netns server):$lab_device\",mode=\"native\""

	start_tpsd
	run page /healthz
	assert_output 200
	run cat "$lab_dir/page"
	assert_output ok
	run series "tps_xdp_attached{$device}"
	assert_output 1
	tps detach "$lab_device" --netns "$(lab_netns server)"
	run page /healthz
	assert_output 503
	run cat "$lab_dir/page"
	assert_output --partial detached
	run series "tps_xdp_attached{$device}"
	assert_output none
	# The descriptor that tpsd holds does not keep it on.
	run datagrams 5000 203.0.113.61 3
	assert_output 3
	attach_gate
	run page /healthz
	assert_output 200
}

@test "a device that was removed is told as lost" {
	local device
	device="device=\"$(lab_netns server):extra0\",mode=\"native\""

	start_tpsd
	ip -n "$(lab_netns server)" link add extra0 type veth peer name extra1
	tps attach extra0 --netns "$(lab_netns server)"
	run series "tps_xdp_attached{$device}"
	assert_output 1
	ip -n "$(lab_netns server)" link del extra0
	run series "tps_xdp_attached{$device}"
	assert_output 0
	# The other one still has it.
	run page /healthz
	assert_output 200
	tps detach "$lab_device" --netns "$(lab_netns server)"
	run page /healthz
	assert_output 503
	run cat "$lab_dir/page"
	assert_output --partial lost
	assert_output --partial extra0
	tps detach extra0 --netns "$(lab_netns server)"
	attach_gate
}

@test "a device with a dot in its name is held and told like any other" {
	local server
	server=$(lab_netns server)

	ip -n "$server" link add vlan0.10 type veth peer name extra1
	tps attach vlan0.10 --netns "$server"
	start_tpsd
	run series "tps_xdp_attached{device=\"$server:vlan0.10\",mode=\"native\"}"
	assert_output 1
	# Its pin goes; what tpsd holds keeps the gate on.
	rm "$lab_root"/links/*vlan0*
	ip -n "$server" -d link show dev vlan0.10 | grep -q 'prog/xdp'
	run series "tps_xdp_attached{device=\"$server:vlan0.10\",mode=\"native\"}"
	assert_output 1
	tps detach vlan0.10 --netns "$server"
	ip -n "$server" link del vlan0.10
}

@test "a root that is unmounted does not take the gate off while tpsd holds it" {
	start_tpsd
	tps set caller held --tier slow --source 203.0.113.62
	umount "$lab_root"
	run page /healthz
	assert_output 503
	run cat "$lab_dir/page"
	assert_output --partial "$lab_root"
	run datagrams 5000 203.0.113.62 20
	assert_output 5
	run series 'tps_caller_transactions_total{caller="held",verdict="allowed"}'
	assert_output 5
	# What was pinned goes with its last holder.
	kill "$tpsd_pid"
	wait "$tpsd_pid" || true
	run datagrams 5000 203.0.113.62 20
	assert_output 20
}

@test "another gate below the same root is found" {
	attach_gate
	tps set listener log --port 5000 --protocol udp
	start_tpsd
	tps detach "$lab_device" --netns "$(lab_netns server)"
	umount "$lab_root"
	run page /healthz
	assert_output 503
	attach_gate
	tps set listener other --port 5000 --protocol udp
	run page /healthz
	assert_output 200
	run series 'tps_transactions_total{listener="other",tier="free",verdict="allowed"}'
	assert_output 0
	run series 'tps_transactions_total{listener="log",tier="free",verdict="allowed"}'
	assert_output none
	send 203.0.113.63 >/dev/null
	run series 'tps_transactions_total{listener="other",tier="free",verdict="allowed"}'
	refute_output 0
}
