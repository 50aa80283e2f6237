#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# A policy in a file: checked before anything is written, applied under traffic, killed at any moment,
# and printed again as it was.

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab policy
	attach_gate --capacity callers=120000 --capacity sources4=120000 --capacity keys=120000
}

teardown_file()
{
	close_lab
}

# Each test begins with the same settings, and without traffic.
setup()
{
	enter_lab
	cat >"$lab_dir/base.yaml" <<-'YAML'
		version: 1
		default_tier: slow
		tiers: {slow: {rate: 1/h, burst: 5}}
		listeners: {log: {ports: [5000], protocol: udp}}
	YAML
	tps unban caller:kept 2>/dev/null || true
	tps apply "$lab_dir/base.yaml"
}

# policy NAME: standard input is what follows `version: 1` in $lab_dir/NAME.yaml.
policy()
{
	{ echo 'version: 1'; cat; } >"$lab_dir/$1.yaml"
}

# flooding SOURCE RATE: datagrams to port 5000 until `stop_flood`; what arrives is counted meanwhile.
flooding()
{
	sink_start 5000
	lab_in client "$programs/openloop" 5000 500 "$lab_server4" "$lab_server6" <<<"$1 $2" \
		>"$lab_dir/flood" 2>&1 3>&- &
	flooder=$!
	sleep 0.2
}

stop_flood()
{
	kill -0 "$flooder" # the traffic was there to the end
	kill "$flooder"
	wait "$flooder" || true
	sink_stop 5000
}

# ---- read

@test "each broken policy is refused in one line that names the place, and nothing is changed" {
	local want line text out status before count=0

	# what is there already, so that a change would be seen
	tps set caller acme --source 203.0.113.0/24
	before=$(tps export)
	printf 'key-of-acme' >"$lab_dir/key"
	printf 'version: 1\ntiers: {a: {rate: 1/s}}\n' >"$lab_dir/extra.inc"
	awk -v dir="$lab_dir" '/^#/ && !n {next}
		/^@@/ {n++; file = sprintf("%s/broken.%03d", dir, n); print >(file ".want")
			printf "" >file; next}
		{gsub("DIR", dir); print >file}' "$BATS_TEST_DIRNAME/policies.broken"
	for want in "$lab_dir"/broken.*.want; do
		read -r _ line text <"$want"
		text=${text//DIR/$lab_dir}
		cp "${want%.want}" "$lab_dir/p.yaml"
		status=0
		out=$(tps apply "$lab_dir/p.yaml" 2>&1) || status=$?
		[[ $status == 1 && $out == *[pa].[yi]n[c]:"$line: "*"$text"* ||
			$status == 1 && $out == *"p.yaml:$line: "*"$text"* ]] &&
			[[ $(wc -l <<<"$out") == 1 ]] ||
			{ echo "${want%.want}, line $line: wanted '$text', got ($status) '$out'"; return 1; }
		count=$((count + 1))
	done
	between 70 "$count" 200
	assert_equal "$(tps export)" "$before"
}

# refused TEXT FILE: in one line and in no time.
refused()
{
	local out status=0

	out=$(timeout 5 "$tpsctl" apply "$2" 2>&1 3>&-) || status=$?
	[[ $status == 1 && $out == *"$1"* && $(wc -l <<<"$out") == 1 ]] ||
		{ echo "$2: wanted '$1', got ($status) '$out'"; return 1; }
}

@test "what is no policy at all is refused: binary, 10 MB, directories, loops, devices, what cannot be read" {
	local before

	before=$(tps export)
	head -c 100000 /dev/urandom >"$lab_dir/binary.yaml"
	refused 'binary.yaml:' "$lab_dir/binary.yaml"
	head -c 10000000 /dev/zero | tr '\0' a >"$lab_dir/long.yaml"
	refused "long.yaml:1: 'aaaa" "$lab_dir/long.yaml"
	head -c 10000000 /dev/zero | tr '\0' '[' >"$lab_dir/deep.yaml"
	refused 'deep.yaml:1: policy: expected a mapping' "$lab_dir/deep.yaml"
	{ printf 'version: 1\nbans: ['; head -c 10000000 /dev/zero | tr '\0' '['; } >"$lab_dir/deep.yaml"
	refused 'deep.yaml:2: bans: expected a list of prefixes, found a list' "$lab_dir/deep.yaml"
	{ printf 'version: 1\nbans: ['; yes '192.0.2.1,' | head -c 10000000; echo ']'; } >"$lab_dir/same.yaml"
	refused "ban '192.0.2.1': given twice" "$lab_dir/same.yaml"
	mkdir -p "$lab_dir/directory.yaml"
	refused 'directory.yaml: ' "$lab_dir/directory.yaml"
	ln -sf loop.yaml "$lab_dir/loop.yaml"
	refused 'loop.yaml: Too many levels of symbolic links' "$lab_dir/loop.yaml"
	printf 'version: 1\ninclude: [loop.yaml]\n' >"$lab_dir/of-loop.yaml"
	refused 'of-loop.yaml:2: ' "$lab_dir/of-loop.yaml"
	refused '/dev/zero: expected a file' /dev/zero
	refused 'nosuch.yaml: No such file' "$lab_dir/nosuch.yaml"
	cp "$lab_dir/base.yaml" "$lab_dir/secret.yaml"
	chmod 600 "$lab_dir/secret.yaml"
	chmod 755 "$lab_dir"
	run setpriv --reuid 65534 --clear-groups env -u TPS_SECRET "$tpsctl" check "$lab_dir/secret.yaml" 3>&-
	chmod 700 "$lab_dir"
	assert_failure 1
	assert_output --partial 'secret.yaml: Permission denied'
	assert_equal "$(tps export)" "$before"
}

@test "check needs no gate, no root and no secret; it warns of names that prove nothing" {
	policy names <<-'YAML'
		callers:
		  named: {sni: [api.example.com]}
		  free: {sni: [lb.example.com], sources: [203.0.113.1], exempt: true}
		  both: {sni: [www.example.com], sources: [203.0.113.2]}
	YAML
	chmod 755 "$lab_dir"
	run setpriv --reuid 65534 --clear-groups env -u TPS_SECRET TPS_ROOT=/run/tps-nowhere/bpf \
		"$tpsctl" check "$lab_dir/names.yaml" 3>&-
	chmod 700 "$lab_dir"
	assert_success
	assert_line --partial "names.yaml:3: caller 'named': known by a server name alone"
	assert_line --partial "names.yaml:4: caller 'free': exempt, and known by a server name"
	refute_line --partial both
	run tps -j check "$lab_dir/base.yaml"
	assert_success
	jq -e '.valid and .warnings == []' <<<"$output"
	run tps check "$lab_dir/base.yaml"
	assert_success
	refute_output
}

@test "more than the maps hold is refused before anything is written" {
	local before

	before=$(tps export)
	{
		printf 'version: 1\ncallers:\n'
		seq 130000 | awk '{printf "  c%d: {}\n", $1}'
	} >"$lab_dir/large.yaml"
	refused "130000 entries for the map 'callers', which holds 120000" "$lab_dir/large.yaml"
	assert_equal "$(tps export)" "$before"
}

@test "included files have callers; who is claimed twice is told with both places" {
	mkdir -p "$lab_dir/callers.d"
	printf 'callers: {one: {sources: [203.0.113.1]}}\n' >"$lab_dir/callers.d/1.yaml"
	printf 'callers:\n  two: {sources: [203.0.113.2]}\n' >"$lab_dir/callers.d/2.yaml"
	policy whole <<-'YAML'
		include: [callers.d/*.yaml, none.d/*.yaml]
		callers: {zero: {sources: [203.0.113.3]}}
	YAML
	tps apply "$lab_dir/whole.yaml"
	assert_equal "$(tps -j list callers | jq -c '[.[].name]')" '["one","two","zero"]'
	printf 'callers:\n  two: {sources: [203.0.113.1]}\n' >"$lab_dir/callers.d/2.yaml"
	run tps apply "$lab_dir/whole.yaml"
	assert_failure 1
	assert_output "tpsctl: $lab_dir/callers.d/2.yaml:2: caller 'two': source '203.0.113.1' is of caller 'one' already, at $lab_dir/callers.d/1.yaml:1"
	rm -r "$lab_dir/callers.d"
}

# ---- compared and printed

# every_key: a policy that has each key which this version takes.
every_key()
{
	policy every <<-YAML
		devices: ["$(lab_netns server):$lab_device"]
		default_tier: slow
		tiers:
		  slow: {rate: 1/h, burst: 5}
		  premium: {rate: 0.5/s, burst: 2000}
		listeners:
		  log: {ports: [5000], protocol: udp}
		  api: {ports: [80, 8081], protocol: http, mode: observe, refuse: close, key_headers: [X-Key, Authorization], rate: 50000/s, burst: 60000, cost: 3, placement: local}
		  bare: {ports: [443], protocol: tls, placement: transit}
		callers:
		  acme: {tier: premium, rate: 500/s, burst: 800, sources: [203.0.113.0/24, "2001:db8:c::/48"], sni: [acme.example.com, "*.acme.example.com"], keys: ["file:$lab_dir/key"]}
		  edge-lb: {sources: [192.0.2.0/28], exempt: true}
		bans: [198.51.100.66/32, "2001:db8:bad::/48"]
		tpsd: {listen: "[::1]:10429", max_callers: 7, hook: [/etc/tps/hook, "two words", "quote\"d"]}
	YAML
	printf 'key-of-acme' >"$lab_dir/key"
}

@test "what is exported is applied with nothing to do, and exported as the same text; so is JSON" {
	local first

	every_key
	run tps -j apply "$lab_dir/every.yaml"
	assert_output '{"changed": true}'
	run tps -j apply "$lab_dir/every.yaml"
	assert_output '{"changed": false}'
	first=$(tps export)
	printf '%s\n' "$first" >"$lab_dir/exported.yaml"
	tps apply --dry-run --exit-code "$lab_dir/exported.yaml"
	run tps -j apply "$lab_dir/exported.yaml"
	assert_output '{"changed": false}'
	assert_equal "$(tps export)" "$first"
	tps -j export | jq -e '.callers.acme.keys | length == 1' >/dev/null
	tps -j export >"$lab_dir/exported.json"
	tps apply --dry-run --exit-code "$lab_dir/exported.json"
	# and from nothing
	tps apply "$lab_dir/base.yaml"
	tps apply "$lab_dir/exported.yaml"
	assert_equal "$(tps export)" "$first"
	grep -q 'hook: \["/etc/tps/hook", "two words", "quote\\"d"\]' <<<"$first"
}

@test "the difference is readable, coloured on a terminal alone, and its exit status is 3" {
	every_key
	tps apply "$lab_dir/every.yaml"
	tps set caller acme --rate 600/s --add-source 198.51.100.128/25
	tps delete caller edge-lb
	tps set tier gold --rate 7/s
	tps unban 198.51.100.66
	run tps apply --dry-run --exit-code "$lab_dir/every.yaml"
	assert_failure 3
	assert_output - <<-'TEXT'
		- tier gold {rate: 7/s}
		~ caller acme: rate 600/s -> 500/s
		+ caller edge-lb {tier: slow, exempt: true, sources: [192.0.2.0/28]}
		~ caller acme: sources - 198.51.100.128/25
		+ ban 198.51.100.66
	TEXT
	run script -qec "$tpsctl apply --dry-run $lab_dir/every.yaml" /dev/null 3>&-
	assert_success
	assert_output --partial $'\e[32m+ ban 198.51.100.66\e[0m'
	run env NO_COLOR=1 script -qec "$tpsctl apply --dry-run $lab_dir/every.yaml" /dev/null 3>&-
	refute_output --partial $'\e['
	run tps -j apply --dry-run "$lab_dir/every.yaml"
	jq -e '.would_change and (.differences | length == 5) and
		.differences[1] == {sign: "~", what: "caller", name: "acme", field: "rate", from: "600/s", to: "500/s"}' \
		<<<"$output"
	run tps apply --exit-code "$lab_dir/every.yaml"
	assert_failure 2
}

@test "status reports the drift from the policy; apply ends it, rollback goes back and forth" {
	every_key
	tps apply "$lab_dir/every.yaml"
	assert_equal "$(tps -j status | jq -c '.policy | [.drift, .unfinished]')" '[0,false]'
	tps set caller acme --rate 600/s
	tps observe log
	assert_equal "$(tps -j status | jq .policy.drift)" 2
	tps status | grep -q 'warning: the gate is no longer as the last policy has it, 2 differences'
	tps apply "$lab_dir/every.yaml"
	assert_equal "$(tps -j status | jq .policy.drift)" 0
	run tps -j rollback
	assert_output '{"changed": true}'
	tps -j show caller acme | jq -e '.rate == "600/s"'
	tps -j show listener log | jq -e '.mode == "observe"'
	# what changes nothing is nothing to go back from
	tps export >"$lab_dir/now.yaml"
	tps apply "$lab_dir/now.yaml"
	tps rollback
	tps -j show caller acme | jq -e '.rate == "500/s"'
}

# ---- applied

@test "apply keeps every debt and counter of what it does not change, and of a caller whose limit it does" {
	policy one <<-'YAML'
		default_tier: slow
		tiers: {slow: {rate: 1/h, burst: 5}, other: {rate: 1/h, burst: 7}}
		listeners: {log: {ports: [5000], protocol: udp}}
		callers:
		  same: {sources: [203.0.113.1]}
		  changed: {rate: 1/h, burst: 4, sources: [203.0.113.2]}
	YAML
	tps apply "$lab_dir/one.yaml"
	run datagrams 5000 203.0.113.1 8
	assert_output 5
	run datagrams 5000 203.0.113.2 8
	assert_output 4
	sed 's/burst: 4/burst: 6/; s/  same/  new: {sources: [203.0.113.3]}\n  same/' "$lab_dir/one.yaml" \
		>"$lab_dir/two.yaml"
	tps apply "$lab_dir/two.yaml"
	run datagrams 5000 203.0.113.1 8
	assert_output 0
	run datagrams 5000 203.0.113.2 8
	assert_output 0 # a larger burst, and the debt carried over: no refill
	run datagrams 5000 203.0.113.3 8
	assert_output 5
	assert_equal "$(verdicts same refused)" 11
	assert_equal "$(verdicts changed refused)" 12
}

@test "a ban by hand is never lifted: neither of a prefix, nor with a caller that leaves the policy" {
	policy banned <<-'YAML'
		default_tier: slow
		tiers: {slow: {rate: 1/h, burst: 5}}
		listeners: {log: {ports: [5000], protocol: udp}}
		callers: {kept: {sources: [203.0.113.7]}}
		bans: [198.51.100.66, 198.51.100.67]
	YAML
	tps apply "$lab_dir/banned.yaml"
	tps ban 198.51.100.68 --for 1h
	tps ban 198.51.100.67 --reason by-hand
	tps ban caller:kept
	run tps apply "$lab_dir/base.yaml"
	assert_success
	assert_output --partial "caller 'kept' is not in the policy, but banned by hand: it stays"
	assert_equal "$(tps -j list bans | jq -c '[.[] | [.banned, .by]]')" \
		'[["198.51.100.67","hand"],["198.51.100.68","hand"],["caller:kept","hand"]]'
	run datagrams 5000 203.0.113.7 3
	assert_output 0
	tps apply --dry-run --exit-code "$lab_dir/base.yaml"
	tps unban caller:kept
	tps apply "$lab_dir/base.yaml"
	run tps -j show caller kept
	assert_failure 1
	# one that would end by itself does not, while the policy has it too
	sed -i 's/67\]/68]/' "$lab_dir/banned.yaml"
	tps apply "$lab_dir/banned.yaml"
	assert_equal "$(tps -j list bans | jq -c '.[] | select(.banned == "198.51.100.68") | [.left_s, .by]')" '[null,"hand"]'
	tps unban 198.51.100.67
	tps unban 198.51.100.68
}

@test "the first apply makes the gate, with its capacities, and puts it on the devices; a failed one makes none" {
	local root=$lab_dir/first/bpf server
	server=$(lab_netns server)

	install -d -m 0700 "$lab_dir/first"
	ip -n "$server" link add spare0 type veth peer name spare1
	policy first <<-YAML
		devices: ["$server:spare0"]
		capacity: {callers: 3, strangers: 5000}
		callers: {a: {}, b: {}, c: {}, d: {}}
	YAML
	run tps --root "$root" apply "$lab_dir/first.yaml"
	assert_failure 1
	assert_output --partial "4 entries for the map 'callers', which holds 3"
	[[ -z $(find "$lab_dir/first" -mindepth 1) ]]
	sed -i 's/, d: {}//' "$lab_dir/first.yaml"
	tps --root "$root" apply "$lab_dir/first.yaml" 2>/dev/null
	tps --root "$root" -j status | jq -e '.devices[0].attached and
		([.maps[] | select(.name == "callers" or .name == "strangers").capacity] == [3, 5000])'
	sed -i 's/callers: 3/callers: 9/' "$lab_dir/first.yaml"
	run tps --root "$root" apply "$lab_dir/first.yaml"
	assert_success
	assert_output --partial 'capacity callers: 9 is wanted, the gate was made with 3'
	tps --root "$root" detach --all --forget
	[[ -z $(find "$lab_dir/first" -mindepth 1) ]]
	run tps --root "$root" apply "$lab_dir/base.yaml"
	assert_failure 1
	assert_output --partial "name 'devices:' in the policy"
	ip -n "$server" link del spare0
}

@test "1000 applies that change a limit at full load: no packet unfiltered, none above the larger limit" {
	local i start sent window arrived allowed refused

	for i in 0 1; do
		policy "limit-$i" <<-YAML
			default_tier: slow
			tiers: {slow: {rate: 1/h, burst: 5}}
			listeners: {log: {ports: [5000], protocol: udp}}
			callers: {flooder: {rate: $((500 + i * 500))/s, burst: $((100 + i * 100)), sources: [203.0.113.200]}}
		YAML
	done
	tps apply "$lab_dir/limit-0.yaml"
	start=$EPOCHREALTIME
	flooding 203.0.113.200 30000
	for ((i = 1; i <= 1000; i++)); do
		"$tpsctl" apply "$lab_dir/limit-$((i % 2)).yaml" 3>&-
	done
	stop_flood
	read -r _ sent window <"$lab_dir/flood"
	arrived=$(sink_count 5000 203.0.113.200)
	allowed=$(verdicts flooder allowed) refused=$(verdicts flooder refused)
	echo "# 1000 applies in $(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}') s: sent $sent," \
		"allowed $allowed, refused $refused, arrived $arrived, bound $(bound 200 1000 "$window")" >&3
	between 1 "$arrived" "$allowed" # whatever arrived, the gate had allowed
	between 0 "$allowed" "$(bound 200 1000 "$window")"
	between "$(bound 0 450 "$window")" "$allowed" 1000000000 # and the limits did hold, not the ban on all
	assert_equal "$(tps -j show listener log | jq '.packets.pass | keys - ["allowed"]')" '[]'
}

# Two policies in which nothing has the same name, but all is about the same traffic: each caller may
# send 5, then never again.
two_policies()
{
	local i

	for i in 0 1; do
		policy "all-$i" <<-YAML
			default_tier: slow-$i
			tiers: {slow-$i: {rate: 1/h, burst: 5}, own-$i: {rate: 1/h, burst: 4}}
			listeners: {log-$i: {ports: [5000, 50$((1 + i))0], protocol: udp}}
			callers:
			  flooder-$i: {tier: own-$i, sources: [203.0.113.200, 203.0.113.$((8 + i * 8))/29], keys: ["hash:FP:0123456789abcdef0123456789abcdef"]}
			  limited-$((1 - i)): {rate: 1/h, burst: 3, sources: ["2001:db8:c:$i::/64", 203.0.113.3$i], sni: ["*.$i.example.com", api.example.com]}
			bans: [198.51.100.6$i, 198.51.100.7]
		YAML
		sed -i "s/FP/$fingerprint/" "$lab_dir/all-$i.yaml"
	done
}

@test "identities, ports and tiers change hands under load: nobody is unlimited for a moment" {
	local i fingerprint

	fingerprint=$(printf key | tps key hash - | cut -d: -f2)
	two_policies
	tps apply "$lab_dir/all-0.yaml"
	flooding 203.0.113.200 30000
	for ((i = 1; i <= 100; i++)); do
		"$tpsctl" apply "$lab_dir/all-$((i % 2)).yaml" 3>&-
	done
	stop_flood
	# 4 of each new caller, and 5 as a stranger
	between 300 "$(sink_count 5000 203.0.113.200)" $((101 * 4 + 5))
	between 10000 "$(awk '{print $2}' "$lab_dir/flood")" 1000000000
}

@test "apply killed at any moment: the next one ends the work, and nobody was without a limit" {
	local i call n fingerprint at step point=0 rounds=0 killed=0 random=40

	((points_every > 1)) || random=200
	fingerprint=$(printf key | tps key hash - | cut -d: -f2)
	two_policies
	tps apply "$lab_dir/all-1.yaml"
	points "$tpsctl" apply "$lab_dir/all-0.yaml" >"$lab_dir/points"
	for i in 0 1; do
		tps apply "$lab_dir/all-$i.yaml"
		tps export >"$lab_dir/whole-$i"
	done
	between 20 "$(wc -l <"$lab_dir/points")" 200
	flooding 203.0.113.200 5000
	while read -r call n; do
		is_taken $((++point)) || continue
		((points_every == 1 || point % 4 < 2)) || continue
		rounds=$((rounds + 1))
		killed_before "$call" "$n" "$tpsctl" apply "$lab_dir/all-0.yaml" 2>/dev/null
		ends_the_work 0
		tps apply "$lab_dir/all-1.yaml"
	done <"$lab_dir/points"
	# The delay follows the end of the run, where the writing is: half of them come too late.
	at=0.01
	for ((i = 1; i <= random; i++)); do
		rounds=$((rounds + 1)) status=0 step=1
		"$tpsctl" apply "$lab_dir/all-$((i % 2)).yaml" >/dev/null 2>&1 3>&- &
		sleep "$at"
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || status=$?
		if ((status == 137)); then
			killed=$((killed + 1))
		else
			step=-1
		fi
		at=$(awk -v at="$at" -v step=$step -v random="$RANDOM" \
			'BEGIN {printf "%.6f", at * (1 + step * 0.4 * random / 32768)}')
		# the same again, or the other one: a killed apply is no reason to go on with it
		ends_the_work $(((i + i / 2) % 2))
	done
	stop_flood
	echo "# apply: killed in $rounds rounds, $killed of $random at random" >&3
	between $((random / 4)) "$killed" $((random * 3 / 4))
	# each round has three applies at most, each of which gives a slot to a new caller
	between 5 "$(sink_count 5000 203.0.113.200)" $(((rounds * 4 + 8) * 4 + 5))
	assert_equal "$(tps -j status | jq .policy.unfinished)" false
}

# ends_the_work N: whoever reads now sees a whole answer; all-N is applied, and all of it is there.
ends_the_work()
{
	tps export >"$lab_dir/between.yaml"
	tps check "$lab_dir/between.yaml" 2>/dev/null
	tps apply "$lab_dir/all-$1.yaml"
	tps export | diff - "$lab_dir/whole-$1"
	tps apply --dry-run --exit-code "$lab_dir/all-$1.yaml"
	assert_equal "$(occupied)" '2 3 1 1 2 2'
}

# What the maps hold of identities and ports, whatever names them.
occupied()
{
	local map

	for map in callers sources4 sources6 keys hosts; do
		bpftool -j map dump pinned "$lab_root/$map" | jq length
	done | paste -sd ' ' | tr '\n' ' '
	tps -j status | jq '.maps[] | select(.name == "ports").entries'
}

@test "what a killed apply moved is charged to its new owner, when it was run again" {
	local i n fingerprint owners=(one two)

	fingerprint=$(printf key | tps key hash - | cut -d: -f2)
	for i in 0 1; do
		policy "owner-$i" <<-YAML
			default_tier: slow
			tiers: {slow: {rate: 1/h, burst: 5}}
			listeners: {log: {ports: [5000], protocol: udp}}
			callers:
			  ${owners[i]}: {sources: [203.0.113.50], keys: ["hash:$fingerprint:0123456789abcdef0123456789abcdef"]}
			  ${owners[1 - i]}: {sources: [203.0.113.51]}
		YAML
	done
	tps apply "$lab_dir/owner-0.yaml"
	points "$tpsctl" apply "$lab_dir/owner-1.yaml" >"$lab_dir/points"
	tps apply "$lab_dir/owner-0.yaml"
	datagrams 5000 203.0.113.50 2 # the gate remembers whose it is
	# the last write is the key's: before it, the source has moved
	n=$(awk '$1 == "bpf" {n = $2} END {print n}' "$lab_dir/points")
	killed_before bpf "$n" "$tpsctl" apply "$lab_dir/owner-1.yaml"
	tps apply "$lab_dir/owner-1.yaml"
	datagrams 5000 203.0.113.50 2
	assert_equal "$(verdicts one allowed) $(verdicts two allowed)" '2 2'
}

@test "an apply that was not ended is told, and rollback goes back to what was before it" {
	local n

	tps set caller before --rate 3/s
	policy after <<-'YAML'
		callers: {after: {rate: 4/s}}
	YAML

	points "$tpsctl" apply "$lab_dir/after.yaml" 2>/dev/null >"$lab_dir/points"
	tps rollback
	# before the last call that changes a map
	n=$(awk '$1 == "bpf" {n = $2} END {print n}' "$lab_dir/points")
	killed_before bpf "$n" "$tpsctl" apply "$lab_dir/after.yaml"
	tps status | grep -q 'warning: an apply was not ended'
	tps rollback --dry-run | grep -q '^+ caller before'
	tps apply "$lab_dir/after.yaml"
	tps rollback
	tps -j list callers | jq -e '[.[].name] == ["before"]'
	assert_equal "$(tps -j status | jq .policy.unfinished)" false
}

@test "a hundred writers at once: no torn value, no lost entry" {
	local i

	{
		cat "$lab_dir/base.yaml"
		echo 'callers:'
		for ((i = 1; i <= 40; i++)); do
			echo "  w$i: {rate: 1$((100 + i))/s, burst: 1$((100 + i)), sources: [203.0.113.$i]}"
		done
	} >"$lab_dir/writers.yaml"
	tps apply "$lab_dir/writers.yaml"
	writers=()
	for ((i = 1; i <= 40; i++)); do
		tps set caller "w$i" --rate "2$((100 + i))/s" --burst "2$((100 + i))" &
		writers+=($!)
		tps set caller "w$i" --add-source "2001:db8:c:$i::/64" &
		writers+=($!)
		if ((i % 2)); then
			tps apply "$lab_dir/writers.yaml" &
			writers+=($!)
		fi
	done
	between 100 "${#writers[@]}" 100
	for i in "${writers[@]}"; do
		wait "$i"
	done
	# each has the one pair or the other, and its source
	tps -j list callers | jq -e 'length == 40 and all(.[]; (.name[1:] | tonumber) as $n |
		(.rate == "\(1100 + $n)/s" and .burst == 1100 + $n) or
		(.rate == "\(2100 + $n)/s" and .burst == 2100 + $n))'
	tps export | grep -c 'sources:.*203.0.113' | grep -qx 40
	tps apply "$lab_dir/writers.yaml"
	tps apply --dry-run --exit-code "$lab_dir/writers.yaml"
	assert_equal "$(tps -j status | jq '.maps[] | select(.name == "sources4" or .name == "sources6").entries' | paste -sd ' ')" '40 0'
}

@test "100,000 callers apply in under 5 s, with progress on a terminal" {
	local start seconds fingerprint

	fingerprint=$(printf key | tps key hash - | cut -d: -f2)
	awk -v f="$fingerprint" 'BEGIN {
		print "version: 1\ntiers: {free: {rate: 100/s}, premium: {rate: 1000/s}}\ncallers:"
		for (i = 0; i < 100000; i++)
			printf "  caller-%06d: {tier: premium, rate: %d/s, sources: [10.%d.%d.%d], keys: [\"hash:%s:%032x\"]}\n",
				i, i % 1000 + 1, i / 65536, i / 256 % 256, i % 256, f, i
	}' >"$lab_dir/many.yaml"
	start=$EPOCHREALTIME
	run script -qec "$tpsctl apply $lab_dir/many.yaml" /dev/null 3>&-
	seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}')
	assert_success
	assert_output --partial 'callers: 8192 of 100000'
	echo "# 100,000 callers in $seconds s" >&3
	between 0 "$seconds" 5
	assert_equal "$(tps -j list callers | jq length)" 100000
	tps apply --dry-run --exit-code "$lab_dir/many.yaml"
	tps apply "$lab_dir/base.yaml"
	assert_equal "$(tps -j list callers | jq length)" 0
	rm "$lab_dir/many.yaml"
}
