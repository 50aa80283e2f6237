#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What an installation is: its files and no others, manuals that say what the programs say, completion in
# a real bash, a unit under whose restrictions tpsd works, and a package that leaves a gate alone.

# shellcheck disable=SC2030,SC2031,SC2154 # BATS: a test is a subshell, and run sets variables

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab install
	attach_gate
	tps set tier gold --rate 10/s
	tps set caller acme --tier gold
	tps set caller apex
	tps set listener api --port 8080 --protocol http
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	installed=$lab_dir/installed
}

# put: an installation below $installed.
put()
{
	rm -rf "$installed"
	make -s -C "$lab_top" install DESTDIR="$installed" PREFIX=/usr
}

@test "make install puts these files, and make uninstall takes them away and no other" {
	put
	run bash -c "cd '$installed' && find . -type f -printf '%m %P\n' | grep -v /doc/ | sort -k 2"
	assert_output "644 usr/lib/systemd/system/run-tps-bpf.mount
644 usr/lib/systemd/system/tpsd.service
755 usr/sbin/tpsctl
755 usr/sbin/tpsd
644 usr/share/bash-completion/completions/tpsctl
$(cd "$lab_top/user" && printf '%s\n' */*.[58] |
	sed -E 's,^.*/(.*\.([58]))$,644 usr/share/man/man\2/\1,' | sort -k 2)"
	[[ -s $installed/usr/share/doc/tps/operations.md && -s $installed/usr/share/doc/tps/examples/tps.yaml ]]
	grep -qx 'ExecStart=/usr/sbin/tpsd' "$installed/usr/lib/systemd/system/tpsd.service"
	assert_equal "$("$installed/usr/sbin/tpsctl" version)" "tpsctl $(<"$lab_top/VERSION")"
	touch "$installed/usr/share/doc/tps/notes"
	make -s -C "$lab_top" uninstall DESTDIR="$installed" PREFIX=/usr
	assert_equal "$(cd "$installed" && find . -type f)" ./usr/share/doc/tps/notes
}

@test "the example of a policy observes and is accepted" {
	grep -q 'mode: observe' "$lab_top/packaging/tps.yaml"
	run ! grep -qE '^[^#]*mode: enforce' "$lab_top/packaging/tps.yaml"
	! tps help check >/dev/null 2>&1 || tps check "$lab_top/packaging/tps.yaml"
}

# ---- manuals

manual()
{
	mandoc -T utf8 "$lab_top/user/$1" | col -b | sed 's/[‐−]/-/g'
}

long_options()
{
	grep -oE -- '--[a-z][a-z0-9-]*' | sort -u
}

@test "tpsctl(8) has every verb and option of the table, and no other" {
	assert_equal "$(sed -n '/^\.Ss Devices/,/^\.Ss Forms/p' "$lab_top/user/tpsctl/tpsctl.8" |
		sed -nE '/^\.It Xo/ {n; s/^\.Cm/.It Cm/}; s/^\.It Cm ([a-z-]+( [a-z-]+)?).*/\1/p' |
		sort -u)" \
		"$(tps -j help | jq -r '.[].verb' | sort -u)"
	# those that stand anywhere are of no verb
	assert_equal "$(manual tpsctl/tpsctl.8 | long_options)" \
		"$({ tps -j help | jq -r '.[].usage' && echo '--json --root --verbose --help'; } | long_options)"
}

@test "tpsd(8) has every option of tpsd --help, and no other" {
	assert_equal "$(manual tpsd/tpsd.8 | long_options)" "$("$tpsd" --help | long_options)"
}

# ---- completion

# completed WORD...: what there is for the last of them.
completed()
{
	# shellcheck disable=SC2016 # the inner shell's
	bash -c 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMPREPLY=()
		_tpsctl "$2"; printf "%s\n" "${COMPREPLY[@]}"' - \
		"$lab_top/user/tpsctl/tpsctl.bash" "$tpsctl" "$@" 2>/dev/null 3>&- | sort | paste -sd ' '
}

@test "completion knows verbs, nouns, options, their values and the gate's names" {
	assert_equal "$(completed stat)" status
	assert_equal "$(completed "")" "$(tps -j help | jq -r '.[].verb | split(" ")[0]' | sort -u | paste -sd ' ')"
	assert_equal "$(completed set "")" "caller default-tier listener tier"
	assert_equal "$(completed -j list c)" callers
	assert_equal "$(completed show caller a)" "acme apex"
	assert_equal "$(completed show caller acme "")" ""
	assert_equal "$(completed set default-tier "")" "free gold"
	assert_equal "$(completed set caller acme --tier g)" gold
	assert_equal "$(completed enforce "")" api
	assert_equal "$(completed attach --xdp-mode "")" "auto generic native"
	assert_equal "$(completed set listener api --protocol t)" "tcp tls"
	assert_equal "$(completed set listener api --pl)" --placement
	assert_equal "$(completed attach --netns tps-install-s)" "$(lab_netns server)"
	assert_equal "$(completed attach --netns "$(lab_netns server)" serv)" "$lab_device"
	assert_equal "$(completed unban caller : ac)" acme
	assert_equal "$(completed key hash "$lab_top/VERS")" "$lab_top/VERSION"
	assert_equal "$(completed help obs)" observe
	assert_equal "$(completed --ro)" --root
	assert_equal "$(completed --root "$lab_root" show tier g)" gold
	# every option of every verb
	tps -j help | jq -r '.[] | "\(.verb)\t\(.usage)"' | while IFS=$'\t' read -r verb usage; do
		# shellcheck disable=SC2086 # one word or two
		assert_equal "$verb $(completed $verb -- | tr ' ' '\n' | sort -u | paste -sd ' ')" \
			"$verb $({ echo "$usage" && echo '--json --root --verbose --help'; } | long_options | paste -sd ' ')"
	done
}

@test "without a gate completion is silent, and of options and verbs it knows all the same" {
	assert_equal "$(TPS_ROOT=/run/tps-install/none completed show caller "")" ""
	assert_equal "$(completed --root /run/tps-install/none set caller x --tier "")" ""
	assert_equal "$(TPS_ROOT=/run/tps-install/none completed attach --obs)" --observe
}

@test "at a terminal, the tabulator completes a command that then is run" {
	PATH=$lab_top/build:$PATH run python3 - "$lab_top/user/tpsctl/tpsctl.bash" <<-'PYTHON'
		import os, pty, select, sys, time
		pid, terminal = pty.fork()
		if pid == 0:
		    os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
		def until(text, seconds=10):
		    seen, end = b"", time.time() + seconds
		    while text not in seen and time.time() < end:
		        if select.select([terminal], [], [], 0.1)[0]:
		            seen += os.read(terminal, 4096)
		    if text not in seen:
		        sys.exit("wanted %r, saw %r" % (text, seen))
		os.write(terminal, ("bind 'set enable-bracketed-paste off'; . %s; echo so''urced\n" % sys.argv[1]).encode())
		until(b"sourced")
		os.write(terminal, b"tpsctl sho\tcal\tac\t")
		until(b"tpsctl show caller acme ")
		os.write(terminal, b"| head -n 1\n")
		until(b"name")
		os.write(terminal, b"exit\n")
		os.waitpid(pid, 0)
	PYTHON
	assert_success
}

# ---- the unit

unit_says()
{
	sed -nE "s/^$1=//p" "$installed/usr/lib/systemd/system/tpsd.service"
}

@test "the units are well-formed, and tpsd's is exposed by no more than 2.2" {
	local exposure

	put
	run systemd-analyze verify --man=no "$installed/usr/lib/systemd/system/run-tps-bpf.mount"
	assert_output ""
	sed "s,=/usr/sbin,=$installed/usr/sbin," "$installed/usr/lib/systemd/system/tpsd.service" \
		>"$BATS_TEST_TMPDIR/tpsd.service"
	run systemd-analyze verify --man=no "$BATS_TEST_TMPDIR/tpsd.service"
	refute_output --partial tpsd.service:
	exposure=$(systemd-analyze security --offline=true "$BATS_TEST_TMPDIR/tpsd.service" |
		sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p')
	echo "# exposure $exposure" >&3
	between 0 "$exposure" 2.2
}

# calls_of GROUP|CALL: system calls, one a line.
calls_of()
{
	local line

	[[ $1 == @* ]] || { echo "$1"; return; }
	systemd-analyze syscall-filter "$1" | sed -nE 's/^ +([@a-z0-9_-]+)$/\1/p' | while read -r line; do
		calls_of "$line"
	done
}

# What the lines of SystemCallFilter= let through, in their order (systemd.exec(5)).
allowed_calls()
{
	local line word allowed

	allowed=$(calls_of @default | sort -u)
	while read -r line; do
		for word in ${line#\~}; do
			if [[ $line == '~'* ]]; then
				allowed=$(comm -23 <(echo "$allowed") <(calls_of "$word" | sort -u))
			else
				allowed=$({ echo "$allowed"; calls_of "$word"; } | sort -u)
			fi
		done
	done < <(unit_says SystemCallFilter)
	echo "$allowed"
}

# confined COMMAND...: with the capabilities of the unit and its file system: all read-only, no home, no
# other's /tmp. No PID 1 that is systemd is there to ask.
confined()
{
	local capabilities

	capabilities=$(unit_says CapabilityBoundingSet | sed 's/CAP_/+/g; s/ /,/g' | tr '[:upper:]' '[:lower:]')
	# shellcheck disable=SC2016 # the inner shell's
	lab_in server unshare -m --propagation slave bash -ec '
		while read -r _ _ _ _ at _; do
			case $at in
			/proc | /proc/* | /sys | /sys/* | /dev | /dev/*) ;;
			*) mount -o bind,remount,ro "$at" 2>/dev/null || true ;;
			esac
		done </proc/self/mountinfo
		mount -t tmpfs -o ro none /root
		mount -t tmpfs -o ro none /home
		! touch /run/x /usr/x 2>/dev/null
		exec setpriv --no-new-privs --inh-caps=-all --bounding-set="-all,$1" "${@:2}"' \
		- "$capabilities" "$@"
}

@test "under the unit's capabilities and on its file system tpsd serves, with no call but those allowed" {
	local pid allowed calls before

	put
	# a look at what it may not do: else the confinement would show nothing
	run confined grep CapBnd /proc/self/status
	assert_output --regexp '^CapBnd:[[:space:]]*000000c000001000$'
	confined strace -f "$installed/usr/sbin/tpsd" >/dev/null 2>"$lab_dir/calls" 3>&- &
	wait_until 10 lab_run server curl -s -o /dev/null http://127.0.0.1:10429/healthz
	before=$(metric tps_transactions_total)
	tps set caller later
	assert_equal "$(metric tps_xdp_attached)" 1
	between 0 "$before" "$(metric tps_transactions_total)"
	assert_equal "$(lab_run server curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:10429/healthz)" 200
	tps delete caller later
	pid=$(pgrep -f "^$installed/usr/sbin/tpsd")
	kill -TERM "$pid"
	wait_until 5 has_ended "$pid"
	calls=$(sed -nE 's/^(\[pid +[0-9]+\] )?([a-z0-9_]+)\(.*/\2/p' "$lab_dir/calls" | sort -u)
	allowed=$(allowed_calls)
	grep -qx bpf <<<"$calls"
	assert_equal "$(comm -23 <(echo "$calls") <(echo "$allowed"))" ""
	# families of sockets, of namespaces none, of memory none that is written and run
	assert_equal "$(grep -oE 'socket\(AF_[A-Z0-9]+' "$lab_dir/calls" | sort -u)" "socket(AF_INET"
	assert_equal "$(grep -cE '(setns|unshare)\(|PROT_WRITE\|PROT_EXEC' "$lab_dir/calls")" 0
}

# ---- the package

@test "every library that scripts/setup brings is a build dependency of the package" {
	local wanted

	for wanted in $("$lab_top/scripts/setup" demo --list | grep -E -- '-dev$|^clang$|^bpftool$'); do
		grep -qE "[ ]$wanted,$" "$lab_top/packaging/debian/control" || fail "$wanted"
	done
}

# script NAME ARGUMENT...: one of the package's, where a gate stands at the default root.
script()
{
	# shellcheck disable=SC2016 # the inner shell's
	unshare -m --propagation slave bash -ec '
		mkdir -p /run/tps /etc/tps
		mount -t tmpfs none /run/tps
		mount -t tmpfs none /etc/tps
		cp "$1" /etc/tps/secret
		if [[ $2 ]]; then mkdir /run/tps/bpf && mount --bind "$2" /run/tps/bpf; fi
		sh "$3" "${@:4}"
		ls /etc/tps' - "$TPS_SECRET" "$gate" "$package/$1" "${@:2}" 2>&1 3>&-
}

@test "the package is clean of errors, and leaves a gate that stands, and its secret, alone" {
	local before gate package=$BATS_TEST_TMPDIR/scripts

	make -s -C "$lab_top" deb >/dev/null
	run lintian --fail-on error "$lab_top"/build/deb/tps_*.deb
	assert_success
	dpkg-deb -e "$lab_top"/build/deb/tps_*.deb "$package"
	assert_equal "$(cd "$package" && grep -lE '\b(umount|detach|tps.*mount)\b' postinst postrm prerm preinst 2>/dev/null)" prerm
	assert_equal "$(dpkg-deb -c "$lab_top"/build/deb/tps_*.deb | grep -oE '[^ ]*(tpsctl|tpsd|tps-bpf)[^ ]*$' | sort)" \
		"./lib/systemd/system/run-tps-bpf.mount
./lib/systemd/system/tpsd.service
./usr/sbin/tpsctl
./usr/sbin/tpsd
./usr/share/bash-completion/completions/tpsctl
./usr/share/man/man8/tpsctl.8.gz
./usr/share/man/man8/tpsd.8.gz"
	gate=$lab_root
	before=$(tps -j status | jq -cS .)
	run script prerm remove
	assert_success
	assert_line --partial "the gate stays on its devices"
	run script postrm purge
	assert_success
	assert_line "tps: a gate stands: /etc/tps/secret is kept."
	assert_line secret
	assert_equal "$(tps -j status | jq -cS .)" "$before"
	gate=
	run script postrm purge
	refute_line secret
	run script postrm remove
	assert_line secret
}
