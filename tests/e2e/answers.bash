# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What the tests of answers share: a server that logs, whose responses tell which request they are
# for, and counts of what both hosts keep and send again.

# shellcheck disable=SC2154 # $output is BATS'
# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

answers_listen=8070

# A server of nginx's on port 8070: /id?id=X is X, /large is dialog.py's file, / is "ok". Every
# request is a line of the log.
answers_serve()
{
	# nginx's workers have another user
	install -d -m 0755 "$lab_dir/www"
	chmod 0711 "$lab_dir"
	"$BATS_TEST_DIRNAME/dialog.py" large "$lab_dir/www/large"
	cat >"$lab_dir/server-answers.conf" <<-TEXT
		log_format asked '\$request_method \$request_uri \$status \$remote_addr';
		server {
			listen $answers_listen backlog=4096;
			listen [::]:$answers_listen backlog=4096;
			access_log $lab_dir/asked asked;
			default_type text/plain;
			location / { return 200 "ok\n"; }
			location /id { return 200 "\$arg_id"; }
			location /large { root $lab_dir/www; }
			location /upload {
				proxy_pass http://127.0.0.1:9002;
				proxy_http_version 1.1;
				proxy_request_buffering off;
			}
		}
	TEXT
	lab_nginx
	background server "$lab_top/tests/e2e/asking.py" read 9002
}

# answers_limit [answer|close|drop]: the gate, and who is refused. Strangers are after 3; the keys
# are "allowed" and "limited", and "brisk" has a token a second.
answers_limit()
{
	local key

	attach_gate
	tps set tier slow --rate 1/h --burst 3
	tps set default-tier slow
	tps set tier brisk --rate 1/s --burst 1
	tps set tier tight --rate 20/s --burst 5
	tps set tier wide --rate 1000000/s
	tps set listener web --port "$answers_listen" --protocol http --refuse "${1:-answer}"
	for key in allowed:wide limited:tight brisk:brisk; do
		printf '%s\n' "${key%:*}" >"$lab_dir/key"
		tps set caller "${key%:*}" --tier "${key#*:}" --key-file "$lab_dir/key"
	done
}

# at SOURCE [PATH]: the URL for it.
at()
{
	local server=$lab_server4
	[[ $1 != *:* ]] || server="[$lab_server6]"
	echo "http://$server:$answers_listen${2-/}"
}

# spend SOURCE: all of a stranger's tokens.
spend()
{
	local url
	url=$(at "$1")
	run lab_run client curl -s -o /dev/null -w '%{http_code} ' --interface "$1" --max-time 3 \
		"$url" -o /dev/null "$url" -o /dev/null "$url"
	assert_output '200 200 200 '
}

# fetch SOURCE CURL-OPTION...: what curl says and shows, headers included; it waits 3 s.
fetch()
{
	local source=$1
	shift
	lab_run client curl -sS -i --interface "$source" --max-time 3 "$@"
}

# fetch_codes SOURCE CURL-OPTION...: per URL "status:connects", its exit status last.
fetch_codes()
{
	local source=$1
	shift
	lab_run client curl -s -w '%{http_code}:%{num_connects} ' --interface "$source" \
		--max-time 20 "$@" | tr -d '\0'
	echo "exit ${PIPESTATUS[0]}"
}

# assert_refusal [bodyless]: $output is the whole of a 429 with its headers, and nothing else.
assert_refusal()
{
	local text=${output//$'\r'/} retry

	echo "$text"
	grep -qx 'HTTP/1.1 429 Too Many Requests' <<<"$text"
	grep -qx 'Server: tps' <<<"$text"
	retry=$(sed -n 's/^Retry-After: //p' <<<"$text")
	[[ $retry =~ ^[0-9]+$ ]]
	grep -qxE 'RateLimit-Policy: "[a-z]+";q=[0-9]+;w=[0-9]+' <<<"$text"
	grep -qxE "RateLimit: \"[a-z]+\";r=0;t=$retry" <<<"$text"
	if [[ ${1-} == bodyless ]]; then
		run ! grep -q quota-exceeded <<<"$text"
	else
		grep -qx 'Content-Type: application/problem+json' <<<"$text"
		[[ ${text##*$'\n'} == '{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429}' ]]
	fi
}

# asked: lines in the server's log.
asked()
{
	wc -l <"$lab_dir/asked"
}

# sent_again WHERE: TCP segments that the host there sent again.
sent_again()
{
	lab_run "$1" nstat -asz TcpRetransSegs | awk '$1 == "TcpRetransSegs" {print $2}'
}

# sockets WHERE SOURCE: TCP sockets of the client's address, whatever their state but TIME-WAIT.
sockets()
{
	lab_run "$1" ss -Htan "( sport = :$answers_listen and dst $2 ) or ( dport = :$answers_listen and src $2 )" |
		grep -cv '^TIME-WAIT' || true
}

# assert_no_sockets SOURCE: on neither side, 1 s from now.
assert_no_sockets()
{
	local where

	sleep 1
	for where in client server; do
		echo "$where:"
		lab_run "$where" ss -Htano "( sport = :$answers_listen and dst $1 ) or ( dport = :$answers_listen and src $1 )" |
			head -6
	done
	assert_equal "client $(sockets client "$1") server $(sockets server "$1")" 'client 0 server 0'
}

loss_probes()
{
	local where

	for where in client server; do
		lab_run "$where" nstat -asz TcpExtTCPLossProbes
	done | awk '$1 == "TcpExtTCPLossProbes" {n += $2} END {print n + 0}'
}

# dialog CONNECTIONS SECONDS [PATIENCE]: dialog.py's object and faults, in files of these names.
dialog()
{
	dialog_of 203.0.113.18 "$lab_server4" "$@"
}

dialog6()
{
	dialog_of 2001:db8:c:18::1 "$lab_server6" "$@"
}

dialog_of()
{
	lab_run client "$lab_top/tests/e2e/dialog.py" "$1" "$2" "$answers_listen" "${@:3}" \
		>"$lab_dir/dialog" 2>"$lab_dir/faults"
}

# What a dialog must say in any case.
assert_dialog()
{
	cat "$lab_dir/dialog" "$lab_dir/faults"
	run jq -r '"wrong \(.wrong) broken \(.broken) hung \(.hung)"' "$lab_dir/dialog"
	assert_output 'wrong 0 broken 0 hung 0'
	# it was a test of answers indeed
	jq -e '.refused > 200 and .ok > 200' "$lab_dir/dialog"
}

# wire_lay: the client's device is a bad wire from now on, and a good one until wire_set.
wire_lay()
{
	local way

	mkdir -p "$lab_dir/wire"
	mount -t bpf bpf "$lab_dir/wire"
	bpftool prog loadall "$programs/loss.bpf.o" "$lab_dir/wire/prog" type classifier \
		pinmaps "$lab_dir/wire/maps"
	lab_run client ip link add late0 type veth peer name late1
	lab_run client ethtool -K late0 tx off >/dev/null 2>&1
	lab_sysctl client net.ipv6.conf.late0.disable_ipv6=1 net.ipv6.conf.late1.disable_ipv6=1
	lab_run client ip link set late0 arp off up
	lab_run client ip link set late1 arp off up
	lab_run client tc qdisc add dev late0 clsact
	lab_run client tc filter add dev late0 ingress bpf da pinned "$lab_dir/wire/prog/belated"
	lab_run client tc qdisc add dev client0 clsact
	for way in egress:outward ingress:inward; do
		lab_run client tc filter add dev client0 "${way%:*}" bpf da \
			pinned "$lab_dir/wire/prog/${way#*:}"
	done
	# shellcheck disable=SC2046 # bytes
	bpftool map update pinned "$lab_dir/wire/maps/home" key 0 0 0 0 value \
		$(words "$(wire_ifindex client0)")
	background client "$lab_top/tests/e2e/late.py" late1 10
}

wire_remove()
{
	umount "$lab_dir/wire" || umount -l "$lab_dir/wire"
}

# words N...: each as four bytes, as bpftool takes them.
words()
{
	local n

	for n in "$@"; do
		echo "$((n & 255)) $((n >> 8 & 255)) $((n >> 16 & 255)) $((n >> 24 & 255))"
	done
}

# wire_set outward|inward|both [lose=PERMILLE] [double=PERMILLE] [late=PERMILLE] [refusals=N]
# [payloads=N] [acks=N] [spare_syns=1]: how bad it is; its counts begin again.
wire_set()
{
	local lose=0 double=0 late=0 refusals=0 payloads=0 acks=0 spare_syns=0
	local way ways=(0 1)

	case $1 in
	outward) ways=(0) ;;
	inward) ways=(1) ;;
	esac
	shift
	while (($#)); do
		local "$1"
		shift
	done
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2046 # bytes
		bpftool map update pinned "$lab_dir/wire/maps/wire" key "$way" 0 0 0 value \
			$(words "$lose" "$double" "$late" \
				"$(wire_ifindex late0)" \
				"$refusals" "$payloads" "$acks" "$spare_syns") \
			$(words 0 0 0 0 0 0)
	done
}

# wire_count outward|inward lost|doubled|late
wire_count()
{
	local way=0
	[[ $1 == outward ]] || way=1

	bpftool -j map dump pinned "$lab_dir/wire/maps/wire" |
		jq ".[].formatted | select(.key == $way) | .value.$2"
}

wire_ifindex()
{
	lab_run client ip -o link show "$1" | cut -d: -f1
}
