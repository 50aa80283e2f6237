#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What real clients sent through the gate is captured on their side of the wire, where nothing is
# dropped yet, and replayed under the same settings: every count must come out as it did live. All
# rates but one are a token an hour, so that no count depends on when a packet was stamped.

# shellcheck disable=SC2154 # $output and $status are BATS'
# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab replay
	tls_serve
	attach_gate
	settings
	capture_start
	traffic >"$lab_dir/traffic" 2>&1
	capture_stop
	live_counts >"$lab_dir/live"
	tps -j replay "$lab_dir/capture" >"$lab_dir/replayed"
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

# ---- what is captured

tls_serve()
{
	lab_certificate
	cat >"$lab_dir/server-tls.conf" <<-TEXT
		server {
			listen 8443 ssl;
			listen 8444 ssl;
			location / { return 200 "ok\n"; }
		}
	TEXT
	lab_nginx
}

settings()
{
	slow_strangers
	printf 'key-of-acme' >"$lab_dir/acme"
	printf 'key-of-none' >"$lab_dir/none"
	tps set listener api --port 8080 --protocol http
	tps set listener quiet --port 8090 --protocol http --refuse drop
	tps set listener secure --port 8443 --protocol tls
	tps set listener mute --port 8444 --protocol tls --refuse drop
	tps set listener plain --port 8081 --protocol tcp
	tps set listener log --port 5000 --protocol udp --cost 2
	tps set listener watched --port 5001 --protocol udp --mode observe
	tps set caller acme --rate 1/h --burst 8 --key-file "$lab_dir/acme" --sni api.example.com
	tps set caller lan --rate 1/h --burst 6 --source 203.0.113.64/26
	tps set caller names --rate 1/h --burst 2 --sni '*.example.com'
	tps set caller lb --exempt --source 203.0.113.128/28
	tps set caller out --source 203.0.113.150
	tps set listener rated --port 5002 --protocol udp
	tps set caller fast --rate 1000/s --burst 100 --source 203.0.113.160
	tps ban caller:out
	tps ban 203.0.113.200/30
}

# requests N SOURCE [CURL OPTION...]: on one connection, as long as it lives.
requests()
{
	local n=$1 source=$2 urls=() i
	shift 2

	for ((i = 0; i < n; i++)); do
		urls+=("http://$lab_server4:${ASK_PORT:-8080}/")
	done
	lab_run client curl -s --interface "$source" --max-time 2 "$@" "${urls[@]}" || true
}

# hellos N SOURCE PORT NAME
hellos()
{
	local i

	for ((i = 0; i < $1; i++)); do
		lab_run client curl -sk --interface "$2" --max-time 0.7 \
			--resolve "$4:$3:$lab_server4" "https://$4:$3/" || true
	done
}

traffic()
{
	requests 12 203.0.113.1 -H 'X-API-Key: key-of-acme' # 429 and the connection kept
	requests 7 203.0.113.2
	requests 3 203.0.113.3 -H 'X-API-Key: key-of-none'
	requests 4 203.0.113.4 -d 'a body' -X POST
	ask_times 7 2001:db8:c:1::1
	ask_times 8 203.0.113.70
	requests 9 203.0.113.130
	requests 2 203.0.113.150
	ASK_SECONDS=0.3 ask_times 2 203.0.113.201
	# dropped, so that its client sends it again and again; a head in two segments, too
	ASK_PORT=8090 requests 7 203.0.113.5
	ASK_PORT=8090 requests 7 203.0.113.6 -H "X-Long: $(head -c 1800 /dev/zero | tr '\0' x)"
	hellos 3 203.0.113.7 8443 api.example.com
	hellos 4 203.0.113.8 8443 a.example.com
	hellos 7 203.0.113.9 8443 x.test
	hellos 2 203.0.113.10 8444 b.example.com
	hellos 6 203.0.113.11 8444 x.test
	ASK_PORT=8081 ask_times 7 203.0.113.12 --http2-prior-knowledge
	ASK_PORT=8081 ask_times 2 203.0.113.71 --http2-prior-knowledge
	flood 5000 0.2 <<<$'203.0.113.13 100\n203.0.113.72 50\n2001:db8:c:2::1 100'
	flood 5001 0.2 <<<'203.0.113.14 100'
	flood 5002 1.5 <<<'203.0.113.160 3000'
}

capture_start()
{
	lab_in client tcpdump -i client0 -s 0 -w "$lab_dir/capture" -U --immediate-mode \
		--time-stamp-precision nano >"$lab_dir/tcpdump" 2>&1 </dev/null 3>&- &
	echo $! >"$lab_dir/tcpdump.pid"
	wait_until 5 grep -qs 'listening on' "$lab_dir/tcpdump"
}

capture_stop()
{
	local pid
	pid=$(<"$lab_dir/tcpdump.pid")

	# from one moment on nothing is sent: clients that have ended still repeat what was dropped
	lab_run client ip link set client0 down
	sleep 0.3
	kill -INT "$pid" 2>/dev/null || true
	wait_until 10 has_ended "$pid"
	grep -q '^0 packets dropped by kernel' "$lab_dir/tcpdump"
}

# ---- counts, alike of both: a line each, WHO NAME VERDICT COUNT, of what is not 0

# shellcheck disable=SC2016 # of jq
as_lines='
	def counts($who; $name): to_entries[]
		| select(.key | IN("allowed", "refused", "banned", "would_refuse")) | select(.value > 0)
		| "\($who) \($name) \(.key) \(.value)";'

live_counts()
{
	tps -j list callers | jq -r "$as_lines"' .[] | . as $row | counts("caller"; $row.name)'
	tps -j list listeners | jq -r "$as_lines"' .[] | . as $row | counts("listener"; $row.name)'
	tps -j list strangers | jq -r "$as_lines"' .[] | . as $row
		| counts("stranger"; $row.address)'
}

replayed_counts()
{
	jq -r "$as_lines"' select(.summary).summary.callers[]? | . as $row
		| counts("caller"; $row.caller)' "$1"
	jq -sr 'map(select(.verdict)) | group_by([.listener, .verdict])[]
		| "listener \(.[0].listener) \(.[0].verdict) \(map(.transactions) | add)"' "$1"
	# an IPv6 stranger is its /64
	jq -sr 'map(select(.verdict and .by == "address" and .reason != "banned_prefix"))
		| map(.source |= if test(":") then sub("::[0-9a-f]+$"; "::/64") else . end)
		| group_by([.source, .verdict])[]
		| "stranger \(.[0].source) \(.[0].verdict) \(map(.transactions) | add)"' "$1"
}

# What does not depend on time stamps, sorted.
exact()
{
	grep -vE '^(caller fast|listener rated) ' | sort
}

@test "every caller, stranger and listener counts what it counted live" {
	exact <"$lab_dir/live" >"$lab_dir/wanted"
	replayed_counts "$lab_dir/replayed" | exact >"$lab_dir/counts"
	cat "$lab_dir/wanted"
	run diff "$lab_dir/wanted" "$lab_dir/counts"
	assert_success
	# and there was something to count, of every kind
	for line in 'caller acme allowed 8' 'caller acme refused 7' 'caller names refused' \
		'caller lan refused' 'caller lb allowed 9' 'caller out banned' \
		'stranger 203.0.113.2 refused 2' 'stranger 2001:db8:c:1::/64 refused 2' \
		'listener watched would_refuse' 'listener quiet refused' 'listener mute refused' \
		'listener plain refused' 'listener log refused' 'listener api banned'; do
		grep -q "^$line" "$lab_dir/wanted"
	done
}

# The gate takes a packet some time after its stamp, and by a clock that steps every 1 to 10 ms: the
# tokens of one step may fall on the other side of the last packet.
@test "at a rate, the count is the one that was live but for a step of the clock" {
	local live replayed

	live=$(awk '/^caller fast allowed/ {print $4}' "$lab_dir/live")
	replayed=$(replayed_counts "$lab_dir/replayed" | awk '/^caller fast allowed/ {print $4}')
	echo "live $live, replayed $replayed"
	between 1500 "$live" 1700
	between $((live - 11)) "$replayed" $((live + 11))
	assert_equal "$(awk '/^caller fast/ {n += $4} END {print n}' "$lab_dir/live")" \
		"$(replayed_counts "$lab_dir/replayed" | awk '/^caller fast/ {n += $4} END {print n}')"
}

# replayed FILE ARGUMENT...: its counts, sorted. That stamps of two CPUs are out of order is a note.
replayed()
{
	tps -j replay "$@" >"$lab_dir/other" 2>"$lab_dir/notes" && replayed_counts "$lab_dir/other" | exact
}

@test "by the policy that the gate has, without the gate: the same" {
	tps export >"$lab_dir/policy.yaml"
	TPS_ROOT=$lab_dir/none run replayed "$lab_dir/capture" --policy "$lab_dir/policy.yaml"
	assert_success
	# who is banned by hand stands in no policy
	assert_equal "$(grep -vE '^caller out|^listener api' <<<"$output")" \
		"$(grep -vE '^caller out|^listener api' "$lab_dir/wanted")"
}

@test "by another policy: what it would have refused" {
	cat >"$lab_dir/other.yaml" <<-TEXT
		version: 1
		default_tier: slow
		tiers: {slow: {rate: 1/h, burst: 1000}}
		listeners: {api: {ports: [8080], protocol: http}}
		callers: {acme: {rate: 1/h, burst: 3, keys: ["file:$lab_dir/acme"]}}
	TEXT
	TPS_ROOT=$lab_dir/none run replayed "$lab_dir/capture" --policy "$lab_dir/other.yaml"
	assert_success
	# connections go on behind what is refused now, and was answered then
	assert_line 'caller acme allowed 3'
	assert_line 'caller acme refused 9'
	assert_line 'stranger 203.0.113.2 allowed 7'
	refute_line --partial 'stranger 203.0.113.2 refused'
	run tps replay "$lab_dir/capture" --policy "$lab_dir/none.yaml"
	assert_failure 1
	assert_output --partial none.yaml
}

@test "pcapng, standard input, Linux cooked and raw IP captures: the same" {
	editcap -F pcapng "$lab_dir/capture" "$lab_dir/capture.pcapng"
	python3 - "$lab_dir" <<-'PYTHON'
		import struct, sys
		top = sys.argv[1]
		data = open(top + "/capture", "rb").read()
		def convert(name, link, head):
		    out = open(top + "/" + name, "wb")
		    out.write(data[:20] + struct.pack("<I", link))
		    at = 24
		    while at < len(data):
		        seconds, parts, caught, length = struct.unpack("<IIII", data[at:at + 16])
		        frame = data[at + 16:at + 16 + caught]
		        at += 16 + caught
		        if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
		            continue
		        frame = head(frame[12:14]) + frame[14:]
		        out.write(struct.pack("<IIII", seconds, parts, len(frame), len(frame)) + frame)
		convert("sll", 113, lambda kind: bytes(14) + kind)
		convert("sll2", 276, lambda kind: kind + bytes(18))
		convert("raw", 101, lambda kind: b"")
		convert("wifi", 105, lambda kind: bytes(24) + kind)
	PYTHON
	for file in capture.pcapng sll sll2 raw; do
		run replayed "$lab_dir/$file"
		assert_success
		assert_output "$(<"$lab_dir/wanted")"
	done
	run replayed - <"$lab_dir/capture"
	assert_output "$(<"$lab_dir/wanted")"
	run tps replay "$lab_dir/wifi"
	assert_failure 1
	assert_output --partial "'IEEE802_11'"
	assert_output --partial "expected Ethernet"
}

@test "what was not captured whole, or not from its beginning, is told apart" {
	local handshake
	# headers alone: connection attempts and datagrams need no more
	editcap -s 74 "$lab_dir/capture" "$lab_dir/short"
	run replayed "$lab_dir/short"
	assert_success
	assert_equal "$(grep -E 'listener (plain|log|watched)' <<<"$output")" \
		"$(grep -E 'listener (plain|log|watched)' "$lab_dir/wanted")"
	refute_line --partial 'caller acme'
	run jq -e 'select(.summary).summary.undecided[] | select(.reason == "cut").count > 10' \
		"$lab_dir/other"
	assert_success
	# the first connection without its handshake: its first request is nobody's, the others are acme's
	mapfile -t handshake < <(tshark -r "$lab_dir/capture" -Y 'tcp.stream == 0' -T fields \
		-e frame.number 2>/dev/null | head -n 3)
	editcap "$lab_dir/capture" "$lab_dir/late" "${handshake[@]}"
	run replayed "$lab_dir/late"
	assert_success
	assert_equal "$(grep -c 'caller acme' <<<"$output")" 2
	assert_equal "$(jq 'select(.summary).summary.undecided[]
		| select(.reason == "no_handshake").count' "$lab_dir/other")" 1
}

@test "time that runs backwards is held, and said" {
	editcap "$lab_dir/capture" "$lab_dir/first" 401-1000000
	editcap "$lab_dir/capture" "$lab_dir/second" 1-400
	mergecap -a -F pcap -w "$lab_dir/backwards" "$lab_dir/second" "$lab_dir/first"
	run --separate-stderr tps replay --summary "$lab_dir/backwards"
	assert_success
	[[ $stderr == *'came earlier than the one before'* ]]
}

@test "what is no capture is refused in one line, and what is torn is told up to there" {
	printf 'GET / HTTP/1.1\r\n' >"$lab_dir/text"
	: >"$lab_dir/empty"
	for file in text empty missing; do
		run tps replay "$lab_dir/$file"
		assert_failure 1
		assert_equal "${#lines[@]}" 1
		assert_output --partial "$lab_dir/$file"
	done
	head -c 50001 "$lab_dir/capture" >"$lab_dir/torn"
	run --separate-stderr tps replay --summary "$lab_dir/torn"
	assert_failure 1
	assert_line --partial 'packets in'
	[[ $stderr == *'cannot be read behind packet'* ]]
	run tps replay
	assert_failure 2
	run tps replay "$lab_dir/capture" --secret "$lab_dir/secret"
	assert_failure 2
}

@test "an interrupt ends it with what came before" {
	mkfifo "$lab_dir/pipe"
	"$tpsctl" replay --summary "$lab_dir/pipe" >"$lab_dir/cut" 2>&1 3>&- &
	local replay=$! status=0
	exec 8>"$lab_dir/pipe"
	cat "$lab_dir/capture" >&8
	sleep 1.5
	kill -INT $replay
	exec 8>&-
	wait $replay || status=$?
	assert_equal "$status" 1
	run cat "$lab_dir/cut"
	assert_line --partial 'packets in'
	assert_line --partial 'interrupted'
}

@test "nothing of it is attached, pinned or left, and the gate that runs is as it was" {
	maps_now >"$lab_dir/before"
	tps replay --summary "$lab_dir/capture" >/dev/null
	maps_now >"$lab_dir/after"
	run diff "$lab_dir/before" "$lab_dir/after"
	assert_success
	wait_until 5 has_gone tps_undone
}

has_gone()
{
	[[ -z $(bpftool map show name "$1") ]]
}

# What the gate has counted and spent, and which programs stand on devices.
maps_now()
{
	local map

	for map in buckets counters totals strangers flows control; do
		bpftool map dump pinned "$lab_root/$map" | sha256sum
	done
	lab_run server bpftool net show
}
