#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What doctor says of a host, a device and a gate that have something wrong, each thing made wrong for
# real; and that the command which it names mends it. A gate that is well is told of by silence.

# shellcheck disable=SC2030,SC2031,SC2154 # BATS: a test is a subshell, and run sets variables

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

# The gate has room for few, so that a test can fill it.
setup_file()
{
	open_lab doctor --box
	export PATH=$lab_top/build:$PATH # what mends is called by its name
	lab_nginx server
	lab_nginx box
	attach_gate --capacity callers=8 --capacity keys=8
	tps set listener api --port 8080 --protocol http
	background server "$tpsd"
	export doctor_tpsd=$!
	wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/healthz
	mend_all >/dev/null
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	server=$(lab_netns server)
	spare=
}

teardown()
{
	local caller

	[[ ! $spare ]] || ip -n "$server" link del "$spare" 2>/dev/null || true
	ip -n "$server" link del spare0 2>/dev/null || true
	tps detach spare0 --netns "$server" 2>/dev/null || true
	tps resume
	tps enforce
	for caller in $(tps -j list callers | jq -r '.[].name'); do
		tps delete caller "$caller"
	done
	tps delete listener other --if-exists
	run tps doctor
	assert_output ""
	assert_success
}

# found CHECK [WORD...]: what doctor says of it.
found()
{
	tps -j doctor "${@:2}" | jq -r --arg check "$1" '.findings[] | select(.check == $check) | .found'
}

mend_of()
{
	tps -j doctor "${@:2}" | jq -r --arg check "$1" '.findings[] | select(.check == $check) | .mend'
}

# mend CHECK [WORD...]: does what doctor says, word for word, after which it says it no more.
mend()
{
	local command
	command=$(mend_of "$@")

	[[ $command ]]
	bash -ec "$command" 3>&-
	assert_equal "$(found "$@")" ""
}

mend_all()
{
	local command

	tps -j doctor | jq -r '.findings[].mend' | while read -r command; do
		bash -ec "$command" 3>&-
	done
}

# ill SEVERITY CHECK TEXT [WORD...]: it is that grave, says the text, and exits as it should.
ill()
{
	local severity=$1 check=$2 text=$3 wanted=1
	shift 3

	run tps -j doctor "$@"
	[[ $severity != note ]] || wanted=0
	assert_equal "$(jq -r --arg check "$check" '.findings[] | select(.check == $check) | .severity' \
		<<<"$output" | sort -u)" "$severity"
	jq -r --arg check "$check" '.findings[] | select(.check == $check) | .found' <<<"$output" |
		grep -qF -- "$text" || fail "wanted '$text', got '$output'"
	assert_equal "$status" "$wanted"
}

# A device more, with its other end where nobody looks.
spare_add()
{
	spare=${1:-spare0}
	ip -n "$server" link add "$spare" type veth peer name spare1 netns "$(lab_netns client)"
	ip -n "$server" link set "$spare" up
	lab_run server ethtool -K "$spare" rxvlan off
	lab_run server ethtool -L "$spare" rx "$(nproc)" 2>/dev/null || true
}

spare_attach()
{
	spare_add
	tps attach spare0 --netns "$server" "$@"
}

# pinned_write MAP OFFSET BYTE...: bytes of its one entry, behind tpsctl's back.
pinned_write()
{
	local map=$lab_root/$1 offset=$2
	shift 2

	# shellcheck disable=SC2046 # words
	bpftool map update pinned "$map" key 0 0 0 0 value $(bpftool -j map dump pinned "$map" |
		jq -r --arg offset "$offset" --arg bytes "$*" '(.[0].value) as $value |
			($bytes | split(" ")) as $new | [range($value | length)] |
			map(if . >= ($offset | tonumber) and . < ($offset | tonumber) + ($new | length)
				then $new[. - ($offset | tonumber)] else $value[.] end) | join(" ")')
}

pinned_bytes()
{
	bpftool -j map dump pinned "$lab_root/$1" |
		jq -r --argjson from "$2" --argjson to "$3" '.[0].value[$from:$to] | join(" ")'
}

# in_hiding FILE CONTENT COMMAND...: where that file of the kernel's has another content; empty: is not
# there.
in_hiding()
{
	local file=$1 content=$2
	shift 2

	# shellcheck disable=SC2016 # the inner shell's
	unshare -m --propagation slave bash -ec '
		if [[ $2 ]]; then
			echo "$2" >"$3"
			mount --bind "$3" "$1"
		else
			mount -t tmpfs none "$(dirname "$1")"
		fi
		"${@:4}"' - "$file" "$content" "$BATS_TEST_TMPDIR/content" "$@" 3>&-
}

@test "of a gate that is well doctor says nothing" {
	run --separate-stderr tps doctor
	assert_success
	assert_equal "$output$stderr" ""
	assert_equal "$(tps -j doctor | jq -c .)" '{"healthy":true,"findings":[]}'
}

@test "an old kernel, one without types, an interpreter, a slow clock" {
	run setarch --uname-2.6 "$tpsctl" doctor
	assert_failure 1
	assert_line --partial "error: kernel '2.6."
	run in_hiding /sys/kernel/btf/vmlinux "" "$tpsctl" doctor
	assert_failure 1
	assert_line --partial "does not tell its types"
	run in_hiding /proc/sys/net/core/bpf_jit_enable 0 "$tpsctl" doctor
	assert_failure 1
	assert_line "warning: BPF programs are interpreted: the gate costs many times as much ->\
 sysctl -w net.core.bpf_jit_enable=1"
	run in_hiding /sys/devices/system/clocksource/clocksource0/current_clocksource hpet "$tpsctl" doctor
	assert_failure 1
	assert_line --partial "warning: the clock source is 'hpet'"
}

@test "missing privileges are named, and what they hide is not reported as broken" {
	run capsh --drop=cap_bpf,cap_perfmon,cap_sys_admin -- -c "$tpsctl doctor"
	assert_failure 1
	assert_output --regexp "^error: tpsctl lacks CAP_BPF, CAP_PERFMON: .* -> sudo tpsctl doctor$"
}

@test "no gate is an error, unless a device is asked about" {
	run "$tpsctl" --root /run/tps-doctor/none doctor
	assert_failure 1
	assert_output "error: there is no gate: nothing is throttled -> tpsctl --root /run/tps-doctor/none\
 attach DEVICE --observe"
	spare_add
	run "$tpsctl" --root /run/tps-doctor/none doctor spare0 --netns "$server"
	assert_success
	assert_output --regexp "^note: there is no gate[^
]*$"
	run "$tpsctl" doctor nowhere0
	assert_failure 1
	assert_output "tpsctl: no device 'nowhere0': ip link shows what there is"
}

@test "a gate of another layout, a swap that was not ended, programs of another build" {
	local bytes

	bytes=$(pinned_bytes meta 8 9)
	pinned_write meta 8 $((bytes ^ 1))
	ill error layout "has another layout"
	pinned_write meta 8 "$bytes"
	pinned_write meta 48 0 0 0 0 0 0 0 0
	ill error version "was not ended"
	assert_equal "$(mend_of version)" "tpsctl attach DEVICE"
	attach_gate
	pinned_write meta 48 1
	ill warning version "of another build"
	attach_gate
}

@test "paused, draining and without listeners are warnings, observing is a note" {
	tps pause
	ill warning paused "everything passes, uncharged"
	mend paused
	tps observe
	ill note observing "nothing is refused"
	tps enforce
	pinned_write control 112 1
	ill warning draining "a detach was not ended"
	attach_gate
	tps delete listener api
	ill warning listeners "there is no listener"
	tps set listener api --port 8080 --protocol http
}

@test "a device that is gone, renamed, bare again or in a namespace that is gone" {
	spare_attach
	ip -n "$server" link del spare0
	ill error gone "device 'spare0': the gate is wanted on it, and there is no such device"
	spare_add
	ill error attached "device 'spare0': wanted, but the gate is not on it"
	mend attached
	ip -n "$server" link set spare0 down
	ill warning down "device 'spare0' is down"
	ip -n "$server" link set spare0 name spare9
	spare=spare9
	ill warning renamed "device 'spare0' is called 'spare9' now"
	ip -n "$server" link set spare9 name spare0
	mend down
	ip netns add tps-doctor-brief
	ip -n tps-doctor-brief link add brief0 type veth peer name brief1
	tps attach brief0 --netns tps-doctor-brief
	ip netns del tps-doctor-brief
	ill error gone "its network namespace 'tps-doctor-brief' has gone"
	mend gone
}

@test "generic mode, a detach that was not ended, an egress filter that has gone" {
	spare_attach --xdp-mode generic
	ill warning mode "generic mode"
	assert_regex "$(found mode)" "its driver 'veth' has native XDP"
	mend mode
	lab_run server tc filter del dev spare0 egress
	ill error egress "egress filter has gone"
	mend egress
	# the entry of the map of what is wanted, as 64 bytes of names
	# shellcheck disable=SC2046 # words
	bpftool map delete pinned "$lab_root/devices" key hex $(printf "%-48s%-16s" "$server" spare0 |
		tr ' ' '\0' | od -An -v -tx1)
	ill warning unwanted "a detach was not ended"
	mend unwanted
}

@test "tags taken off, queues left idle, filters and tcx programs before the gate's" {
	spare_attach
	lab_run server ethtool -K spare0 rxvlan on
	ill note vlan "takes VLAN tags off"
	mend vlan
	if (($(nproc) > 1)); then
		lab_run server ethtool -L spare0 rx 1
		ill warning queues "1 of "
		mend queues
	fi
	lab_run server tc filter add dev spare0 egress handle 7 prio 1 bpf da \
		obj "$programs/loss.bpf.o" sec tc/outward
	ill warning order "another egress filter"
	lab_run server tc filter del dev spare0 egress handle 7 prio 1 bpf
	assert_equal "$(found order)" ""
}

# tcx_attach DEVICE SECONDS: a program of tcx's before what leaves there, for so long. No tool of Debian
# 12 knows tcx: bpf(2) itself, with BPF_LINK_CREATE of BPF_TCX_EGRESS.
tcx_attach()
{
	bpftool prog load "$programs/tag.bpf.o" "$lab_root/tcx"
	lab_in server python3 -c '
import ctypes, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attribute):
    buffer = ctypes.create_string_buffer(attribute.ljust(128, b"\0"))
    fd = libc.syscall(321, command, buffer, 128)
    if fd < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return fd
path = ctypes.create_string_buffer(sys.argv[1].encode())
program = bpf(7, struct.pack("QII", ctypes.addressof(path), 0, 0))
link = bpf(28, struct.pack("IIII", program, socket.if_nametoindex(sys.argv[2]), 47, 0))
print("ready", flush=True)
time.sleep(float(sys.argv[3]))' "$lab_root/tcx" "$1" "$2" >"$lab_dir/tcx" 2>&1 3>&- &
	wait_until 5 grep -q . "$lab_dir/tcx"
	grep -q ready "$lab_dir/tcx" || { cat "$lab_dir/tcx"; return 1; }
}

@test "a tcx program, which sees what leaves before the gate does" {
	spare_attach
	tcx_attach spare0 30
	ill warning order "the tcx program '"
	kill $!
	rm "$lab_root/tcx"
}

@test "a device that the gate is to be put on: no native XDP, an MTU beyond a page, another's program" {
	spare_add
	ip -n "$server" link add bridge9 type bridge
	ill warning native "no native XDP" bridge9 --netns "$server"
	ip -n "$server" link del bridge9
	ip -n "$server" tuntap add tap9 mode tap
	ip -n "$server" link set tap9 mtu 9000 up
	ill warning mtu "MTU 9000" tap9 --netns "$server"
	mend mtu tap9 --netns "$server"
	ip -n "$server" link del tap9
	lab_run server ip link set spare0 xdp obj "$programs/pass.bpf.o" sec xdp.frags
	ill error taken "the XDP program 'pass' (id " spare0 --netns "$server"
}

@test "a map that is nearly full" {
	local i

	for i in 1 2 3 4 5 6; do
		tps set caller "caller$i"
	done
	assert_equal "$(found full)" ""
	tps set caller caller7
	ill warning full "map 'callers': 7 of 8 entries"
}

@test "a listener that nobody listens on" {
	tps set listener other --port 8090,8080 --protocol udp
	ill warning deserted "listener 'other': nobody listens on UDP port 8090"
	sink_start 8090
	sink_start 8080
	assert_equal "$(found deserted)" ""
	sink_stop 8090
	sink_stop 8080
	tps set listener other --placement transit
	assert_equal "$(found deserted)" ""
}

# stream SOURCE...: each sends for three seconds; those that were are ended.
stream()
{
	[[ ! $stream ]] || { kill "$stream"; wait "$stream" || true; }
	lab_in client "$programs/openloop" 5000 3 "$lab_server4" "$lab_server6" \
		< <(printf '%s 2000\n' "$@") >/dev/null 2>&1 3>&- &
	stream=$!
	sleep 0.2
}

@test "one source that sends most of what comes" {
	stream=
	tps set listener other --port 5000 --protocol udp
	sink_start 5000
	stream 203.0.113.40
	ill warning proxy "source 203.0.113.40 sent "
	# of whom it is known that many come through it, nothing is said
	tps set caller proxy --source 203.0.113.40 --exempt
	assert_equal "$(found proxy)" ""
	tps delete caller proxy
	stream 203.0.113.41 203.0.113.42 203.0.113.43
	assert_equal "$(found proxy)" ""
	kill "$stream"
	sink_stop 5000
}

@test "a listener of the wrong placement" {
	lab_run client curl -s -o /dev/null --max-time 3 "http://$lab_box4:8080/[1-30]" || true
	ill warning unproven "could not be proven: is its placement transit?"
	# the totals of a listener that is made anew begin at nothing
	tps delete listener api
	tps set listener api --port 8080 --protocol http
}

@test "the secret's file: open to others, another one, spoilt, gone" {
	cp -p "$TPS_SECRET" "$BATS_TEST_TMPDIR/kept"
	chmod 644 "$TPS_SECRET"
	ill error secret "open to others"
	mend secret
	chown nobody "$TPS_SECRET"
	ill error secret "belongs to user"
	mend secret
	echo 0123456789abcdef0123456789abcdef >"$TPS_SECRET"
	ill error secret "is not the one that the gate was made with"
	echo nonsense >"$TPS_SECRET"
	ill error secret "32 hex digits"
	rm "$TPS_SECRET"
	ill warning secret "it is not there"
	cp -p "$BATS_TEST_TMPDIR/kept" "$TPS_SECRET"
}

@test "no tpsd is a note, a tpsd of another gate is none" {
	kill "$doctor_tpsd"
	wait_until 5 has_ended "$doctor_tpsd"
	ill note tpsd "no tpsd serves this gate's metrics"
	background server "$tpsd"
	wait_until 5 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/healthz
	assert_equal "$(found tpsd)" ""
}

@test "a root that this mount namespace alone sees" {
	local root=/run/tps-doctor/private

	tps --root "$root" attach "$lab_device" --netns "$(lab_netns client)" 2>/dev/null || true
	ip -n "$(lab_netns client)" link add alone0 type veth peer name alone1
	tps --root "$root" attach alone0 --netns "$(lab_netns client)"
	# shellcheck disable=SC2016 # the inner shell's
	run unshare -m --propagation private bash -c '
		nsenter --mount=/proc/'$$'/ns/mnt umount -l "$1"
		"$2" -j --root "$1" doctor' - "$root" "$tpsctl" 3>&-
	assert_failure 1
	assert_equal "$(jq -r '.findings[] | select(.check == "bpffs") | .severity' <<<"$output")" error
	ip -n "$(lab_netns client)" link del alone0
	rm -rf "$root" "$root.lock"
}
