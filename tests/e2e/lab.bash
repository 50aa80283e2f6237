# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What the end-to-end tests know of the lab: how to lay it, ask the server as somebody, flood it and
# read what the gate counted. A file of tests has a lab, a root and namespaces of its own.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

# shellcheck source=scripts/lab
source "$BATS_TEST_DIRNAME/../../scripts/lab"

tpsctl=$lab_top/build/tpsctl
tpsd=$lab_top/build/tpsd
programs=$lab_top/build/tests/e2e

# open_lab ID [--box]: for setup_file; other functions find it by its exported id.
open_lab()
{
	export LAB_ID=$1
	lab_use "$1"
	lab_up "${@:2}"
}

# For setup: this file's lab again.
enter_lab()
{
	lab_use "$LAB_ID"
}

# For teardown_file.
close_lab()
{
	lab_use "$LAB_ID"
	lab_down
}

# lab_certificate [OPTION...]: before lab_nginx, whose TLS servers then are api.example.com; options are
# those of openssl-req.
lab_certificate()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=api.example.com "$@" -keyout "$lab_dir/key.pem" -out "$lab_dir/cert.pem" 2>/dev/null
	cat >"$lab_dir/server-certificate.conf" <<-TEXT
		ssl_certificate $lab_dir/cert.pem;
		ssl_certificate_key $lab_dir/key.pem;
	TEXT
}

# Its standard output is the command's, its descriptor 3 is not BATS'.
tps()
{
	"$tpsctl" "$@" 3>&-
}

attach_gate()
{
	tps attach "$lab_device" --netns "$(lab_netns server)" "$@"
}

# For setup_file: the gate on the server, and strangers that are refused after 5 transactions: a rate
# so slow that no test meets a refill.
slow_strangers()
{
	tps set tier slow --rate 1/h --burst 5
	tps set default-tier slow
}

# ask SOURCE [CURL OPTION...]: one request on a connection of its own; prints the status, or
# "refused" when that is 429, or no answer comes.
ask()
{
	local source=$1 server=$lab_server4 status
	shift
	[[ $source != *:* ]] || server="[$lab_server6]"

	status=$(lab_run client curl -s -o /dev/null -w '%{http_code}' --interface "$source" \
		--max-time "${ASK_SECONDS:-0.8}" "$@" "http://$server:${ASK_PORT:-8080}/") ||
		true
	[[ $status != 000 && $status != 429 ]] || status=refused
	echo "$status"
}

# ask_times N SOURCE [CURL OPTION...]: how many of N were answered with 200.
ask_times()
{
	local n=$1 i answered=0
	shift

	for ((i = 0; i < n; i++)); do
		if [[ $(ask "$@") == 200 ]]; then
			answered=$((answered + 1))
		fi
	done
	echo "$answered"
}

# background WHERE COMMAND...: its process id in $!, its output in the lab's directory.
background()
{
	local where=$1
	shift

	lab_in "$where" "$@" >>"$lab_dir/background" 2>&1 </dev/null 3>&- &
}

# wait_until SECONDS COMMAND...
wait_until()
{
	local end=$((SECONDS + $1))
	shift

	until "$@"; do
		((SECONDS < end)) || { echo "not within the time: $*"; return 1; }
		sleep 0.05
	done
}

# sink_start PORT [WHERE]: counts the datagrams that arrive.
sink_start()
{
	rm -f "$lab_dir/sink-$1"
	lab_in "${2:-server}" "$programs/sink" "$1" >"$lab_dir/sink-$1" 2>&1 </dev/null 3>&- &
	echo $! >"$lab_dir/sink-$1.pid"
	wait_until 5 grep -qs ready "$lab_dir/sink-$1"
}

# sink_stop PORT: what arrived is told by sink_count from now on.
sink_stop()
{
	local pid
	pid=$(<"$lab_dir/sink-$1.pid")

	kill "$pid"
	wait_until 10 has_ended "$pid"
}

has_ended()
{
	! kill -0 "$1" 2>/dev/null
}

# sink_count PORT SOURCE
sink_count()
{
	awk -v source="$2" '$1 == source {n = $2} END {print n + 0}' "$lab_dir/sink-$1"
}

# flood PORT SECONDS: standard input has lines SOURCE RATE; prints SOURCE SENT WINDOW.
flood()
{
	lab_run client "$programs/openloop" "$1" "$2" "$lab_server4" "$lab_server6"
}

# datagrams PORT SOURCE N [WHERE]: N of them at once; how many arrived.
datagrams()
{
	sink_start "$1" "${4-}"
	flood "$1" 0.2 <<<"$2 $(($3 * 5))" >/dev/null
	sink_stop "$1"
	sink_count "$1" "$2"
}

# verdicts CALLER VERDICT: the gate's count.
verdicts()
{
	tps -j show caller "$1" | jq -e ".$2"
}

# slot CALLER: where the gate keeps its bucket.
slot()
{
	bpftool -j map dump pinned "$lab_root/callers" |
		jq -e --arg name "$1" '.[].formatted | select(.key.name == $name) | .value.slot'
}

# metrics: what tpsd serves; it is started by the first who asks.
metrics()
{
	if ! lab_run server curl -s -o /dev/null http://127.0.0.1:10429/metrics; then
		background server "$tpsd"
		wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/metrics
	fi
	lab_run server curl -s --max-time 5 http://127.0.0.1:10429/metrics
}

# metric NAME [LABEL=VALUE...]: the sum of the series that have these labels.
metric()
{
	local name=$1 text label
	shift

	text=$(metrics | grep -E "^${name}[{ ]") || true
	for label in "$@"; do
		text=$(grep -F "${label%%=*}=\"${label#*=}\"" <<<"$text") || true
	done
	awk '{n += $NF} END {printf "%d\n", n}' <<<"$text"
}

# points COMMAND...: runs it, and says at which calls it can be killed with an effect of its own: before
# each that changes something, and behind the last stores into a map that it writes as memory. A line is
# the call's name and which one of that name it is.
points()
{
	strace -o "$lab_dir/trace" "$@" 3>&- || return
	awk '{name = $1; sub(/\(.*/, "", name); n[name]++}
		/^flock/ {locked = 1}
		!locked {next}
		name ~ /^(munmap|unlink|rename|mkdir|mount|sendto|setns|exit_group)$/ ||
		/^bpf\(BPF_(MAP_CREATE|MAP_UPDATE|MAP_DELETE|PROG_LOAD|OBJ_PIN|LINK_CREATE|LINK_UPDATE|LINK_DETACH)/ {
			print name, n[name]
		}' "$lab_dir/trace"
}

# Where there are many points, one in so many is taken, and another of them in each run.
points_every=${TPS_POINTS_EVERY:-4}
is_taken()
{
	((($1 + $$) % points_every == 0))
}

# killed_before CALL N COMMAND...
killed_before()
{
	local call=$1 n=$2 status=0
	shift 2

	strace -o /dev/null -e "trace=$call" -e inject="$call:signal=KILL:when=$n" "$@" \
		>/dev/null 2>&1 3>&- || status=$?
	((status == 137)) || { echo "not killed at $call $n: $*"; return 1; }
}

# between LOW VALUE HIGH: numbers, with fractions.
between()
{
	awk -v low="$1" -v value="$2" -v high="$3" 'BEGIN {exit !(low <= value && value <= high)}' ||
		{ echo "wanted $1 to $3, got $2"; return 1; }
}

# The bound of invariant I2: burst + rate * window, and one tick of jiffies (at most 10 ms).
bound()
{
	awk -v burst="$1" -v rate="$2" -v window="$3" \
		'BEGIN {printf "%d\n", burst + rate * (window + 0.01)}'
}
