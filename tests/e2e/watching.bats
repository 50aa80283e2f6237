#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# The operator looks on: events, top, and what show and list say of the last refusal, under a flood
# that is known.

# shellcheck disable=SC2030,SC2031,SC2154 # BATS: a test is a subshell, and run sets variables

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab watching
	lab_nginx
	laid
}

laid()
{
	attach_gate
	tps set tier free --rate 10/s --burst 5
	tps set listener log --port 5000 --protocol udp
	tps set listener web --port 8080 --protocol http
	tps set caller acme --rate 20/s --burst 5 --source 203.0.113.5
	tps set caller calm --rate 1000/s --source 203.0.113.6
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
}

teardown()
{
	# What a failing test left.
	jobs -p | xargs -r kill 2>/dev/null || true
	tps enforce 2>/dev/null || true
}

# What a shell starts in the background ignores SIGINT; not so here. Its process id is in $listener.
listen_to()
{
	env --default-signal=INT "$tpsctl" "${@:2}" >"$BATS_TEST_TMPDIR/$1" \
		2>"$BATS_TEST_TMPDIR/$1.err" 3>&- &
	listener=$!
}

# Acme asks for 500 a second, a stranger for 300, calm for 100.
flooded()
{
	flood 5000 "$1" >/dev/null <<-TEXT
		203.0.113.5 500
		203.0.113.7 300
		203.0.113.6 100
	TEXT
}

lines()
{
	wc -l <"$BATS_TEST_TMPDIR/$1"
}

@test "events tells each who is refused once a second, and nobody else" {
	local name all=()

	for name in all: "acme:-j --caller acme" "strangers:--strangers" "calm:--caller calm" \
		"source:--source 203.0.113.0/29 --verdict refused" "beside:--source 198.51.100.0/24" \
		"banned:--verdict banned" "web:--listener web" "log:-j --listener log"; do
		# shellcheck disable=SC2086
		listen_to "${name%%:*}" events ${name#*:}
		all+=("$listener")
	done
	sleep 0.5
	flooded 3
	sleep 0.2
	kill -INT "${all[@]}"
	for listener in "${all[@]}"; do
		wait "$listener"
	done
	between 2 "$(lines acme)" 4
	between 2 "$(lines strangers)" 4
	assert_equal "$(lines all)" $(($(lines acme) + $(lines strangers)))
	assert_equal "$(lines source)" "$(lines all)"
	assert_equal "$(lines log)" "$(lines all)"
	for name in calm beside banned web; do
		assert_equal "$name $(lines "$name")" "$name 0"
	done
	assert_equal "$(cat "$BATS_TEST_TMPDIR"/*.err)" ""
	run jq -se 'all(.verdict == "refused" and .caller == "acme" and .source == "203.0.113.5" and
		.listener == "log" and .port == 5000 and .reason == "limit" and .tier == "free" and
		(.is_stranger | not)) and length == ([.[].time] | unique | length)' \
		"$BATS_TEST_TMPDIR/acme"
	assert_success
	run cat "$BATS_TEST_TMPDIR/strangers"
	assert_line --regexp '^[0-9-]+T[0-9:.]+[+-][0-9]{2}:[0-9]{2} refused +\(stranger\) +203\.0\.113\.7 +log:5000 limit$'
}

@test "events of an observing gate are of what would be refused, and of a ban of what is banned" {
	tps observe
	listen_to would -j events --verdict would_refuse --count 1
	sleep 0.3
	flooded 0.3
	wait "$listener"
	assert_equal "$(jq -r .reason "$BATS_TEST_TMPDIR/would")" limit
	tps enforce
	tps ban 203.0.113.7
	listen_to banned -j events --verdict banned --count 1
	sleep 1.2
	flooded 0.3
	wait "$listener"
	tps unban 203.0.113.7
	assert_equal "$(jq -r '[.reason, .source, .is_stranger] | @csv' "$BATS_TEST_TMPDIR/banned")" \
		'"banned_prefix","203.0.113.7",true'
}

@test "events ends with its pipe, and holds up nobody meanwhile" {
	local status=0

	listen_to held events
	sleep 0.3
	kill -STOP "$listener"
	timeout 2 "$tpsctl" set tier free --rate 10/s --burst 5 3>&-
	kill -CONT "$listener"
	kill -TERM "$listener"
	wait "$listener"
	(sleep 0.5; flooded 2.5) &
	timeout 4 "$tpsctl" events 3>&- | head -n 1 >"$BATS_TEST_TMPDIR/first" || status=$?
	wait
	assert_equal "$(lines first)" 1
	((status == 0 || status == 141))
}

@test "words that events and top do not know are told by name" {
	run -1 tps events --caller nobody
	assert_output --partial "no caller 'nobody'"
	run -1 tps events --listener nobody
	assert_output --partial "nobody"
	run -2 tps events --verdict allowed
	assert_output --partial "verdict 'allowed': expected refused, banned or would_refuse"
	run -2 tps events --source 203.0.113
	assert_output --partial "203.0.113"
	run -2 tps events --count 0
	run -2 tps events --caller acme --strangers
	run -2 tps top --sort nonsense
	assert_output --partial "expected one of refused, rate, used, total, name"
	for interval in 0 0.05 1e1 -1 1. abc 99999; do
		run -2 tps top --interval "$interval" --count 1
		assert_output --partial "interval '$interval'"
	done
}

@test "each list says what it can be sorted by" {
	local noun

	for noun in tiers listeners callers strangers bans; do
		run -2 tps list "$noun" --sort nonsense
		assert_output --regexp "--sort 'nonsense': expected one of [a-z_]+, [a-z_, ]+; usage:"
	done
}

@test "top tells what is asked and refused over the time that passed, as lines" {
	flooded 3.5 &
	sleep 0.5
	run tps top --count 2 --interval 0.8
	assert_success
	assert_equal "$(grep -c '^NAME' <<<"$output")" 2
	assert_line --regexp '^acme +[0-9.]+ +[0-9.]+ +20 \[##########\] '
	run tps -j top --count 1 --interval 1 --sort rate
	assert_success
	wait
	assert_equal "$(wc -l <<<"$output")" 1
	assert_equal "$(jq -c '[.rows[].name]' <<<"$output")" '["acme","203.0.113.7","calm"]'
	between 450 "$(jq '.rows[0].asked_per_s' <<<"$output")" 550
	between 440 "$(jq '.rows[0].refused_per_s' <<<"$output")" 530
	between 250 "$(jq '.rows[1].asked_per_s' <<<"$output")" 350
	between 85 "$(jq '.rows[2].asked_per_s' <<<"$output")" 115
	between 0.06 "$(jq '.rows[2].used' <<<"$output")" 0.14
	assert_equal "$(jq '.rows[2].refused_per_s' <<<"$output")" 0
	between 800 "$(jq '.asked_per_s' <<<"$output")" 1000
	between 0.9 "$(jq '.interval_s' <<<"$output")" 1.5
	assert_equal "$(jq -r .state <<<"$output")" enforcing
}

@test "a slot that is used again has no rate of its former tenant" {
	tps set caller passing --rate 20/s --source 203.0.113.8
	flood 5000 0.5 <<<"203.0.113.8 1000" >/dev/null
	listen_to rates -j top --interval 0.5 --count 4
	sleep 0.7
	tps delete caller passing
	tps set caller coming --rate 20/s --source 203.0.113.9
	wait "$listener"
	tps delete caller coming
	run jq -se 'all(.[].rows[]; .asked_per_s >= 0 and .refused_per_s >= 0) and
		all(.[].rows[]; .name != "coming") and any(.[0].rows[]; .name == "passing")' \
		"$BATS_TEST_TMPDIR/rates"
	assert_success
}

# screen COLUMNSxLINES STEP...: top on a terminal, one that does without repeated characters (REP), which
# the emulation of screen.py does not know.
screen()
{
	TERM=screen-256color "$BATS_TEST_DIRNAME/screen.py" "$@" -- \
		"$tpsctl" --root "$lab_root" top --interval 0.3 3>&-
}

@test "top on a terminal sorts by keys, chooses, explains itself and gives the terminal back" {
	flooded 4 &
	sleep 0.3
	run screen 80x24 see:acme see:enforcing "see:by refused" see:REFUSED/S "see:[####" print \
		key:a "see:by rate" key:n "see:by name" key:u "see:by used" key:t "see:by total" \
		key:c gone:203.0.113.7 see:acme key:s see:203.0.113.7 gone:calm key:b see:calm \
		key:h "see:refused a second" key:h "gone:refused a second" "key: " see:held \
		"key: " gone:held key:q
	wait
	assert_success
	assert_line coloured
	assert_line "status 0"
	assert_line --regexp '^acme +[0-9.]+ +[0-9.]+ +20 \[#+-*\] +[0-9]+$'
}

@test "top fits a terminal that is narrow, and one that changes" {
	flooded 3 &
	sleep 0.3
	run screen 80x24 see:acme "see:[####" size:40x8 "gone:[####" see:acme see:REFUSED/S print \
		size:12x3 gone:REFUSED/S size:120x30 see:TIER "see:free" key:q
	wait
	assert_success
	assert_line "status 0"
	assert_line --regexp '^acme +[0-9.]+ +[0-9.]+$'
}

@test "top gives the terminal back on a signal, and without colours shows none" {
	local name

	flooded 3 &
	sleep 0.3
	for name in SIGTERM SIGINT SIGHUP; do
		NO_COLOR=1 run screen 80x24 see:acme "see:[####" "signal:$name"
		assert_success
		assert_line plain
		assert_line "status 0"
	done
	# ^C as a terminal sends it
	run screen 80x24 see:acme $'key:\x03'
	assert_success
	assert_line "status 0"
	wait
}

@test "a terminal that can show no screen gets lines" {
	run env TERM=dumb script -qec "$tpsctl --root $lab_root top --count 1 --interval 0.1" /dev/null
	assert_success
	assert_line --partial "NAME"
	refute_output --partial $'\x1b'
}

@test "show caller says when its keys came, and what was refused last" {
	printf 'key one' >"$BATS_TEST_TMPDIR/one"
	printf 'key two' >"$BATS_TEST_TMPDIR/two"
	tps set caller keyed --rate 1/d --burst 1 --key-file "$BATS_TEST_TMPDIR/one" \
		--key-file "$BATS_TEST_TMPDIR/two"
	assert_equal "$(tps -j show caller keyed | jq -c '[.last_refusal, .keys[].last_used]')" \
		'[null,null,null]'
	run tps show caller keyed
	assert_line --regexp '^last_refusal +never$'
	assert_line --regexp '^limit_from +own$'
	assert_equal "$(ask_times 3 203.0.113.20 -H 'X-API-Key: key one')" 1
	run tps -j show caller keyed
	assert_equal "$(jq -c '[.keys[].last_used != null] | sort' <<<"$output")" '[false,true]'
	assert_equal "$(jq -c '.last_refusal | [.verdict, .reason, .listener]' <<<"$output")" \
		'["refused","limit","web"]'
	between 0 "$(jq '.last_refusal.ago_s' <<<"$output")" 4
	between 0 "$(jq '[.keys[].last_used.ago_s // 0] | max' <<<"$output")" 4
	between -5 $(($(date -d "$(jq -r .last_refusal.time <<<"$output")" +%s) - $(date +%s))) 1
	run tps show caller keyed
	assert_line --regexp '^keys +hash:[0-9a-f:]+, last_used .*$'
	assert_line --regexp '^last_refusal +[0-9-]+T[0-9:]+[+-][0-9:]+ \([0-4] s ago\), refused: over .*, at web$'
	assert_line --regexp '^proven_tokens +0$'
	tps set caller keyed --no-rate
	run tps show caller keyed
	assert_line --regexp '^limit_from +tier free$'
	tps delete caller keyed
}

@test "list strangers --sort would_refuse shows first whom enforcing would hit most" {
	tps observe
	flood 5000 0.5 >/dev/null <<-TEXT
		203.0.113.31 100
		203.0.113.32 900
		203.0.113.33 400
	TEXT
	tps enforce
	run tps -j list strangers --sort would_refuse
	assert_equal "$(jq -r '[.[].address | select(test("113.3[123]$"))] | join(" ")' <<<"$output")" \
		"203.0.113.32 203.0.113.33 203.0.113.31"
	assert_equal "$(jq '[.[].would_refuse] == ([.[].would_refuse] | sort | reverse)' <<<"$output")" true
	assert_equal "$(jq '.[] | select(.address == "203.0.113.32") | .last_refused != null' <<<"$output")" true
}

@test "tpsd serves how many events were lost" {
	assert_equal "$(metric tps_events_lost_total)" 0
	assert_equal "$(metrics | grep -c '^tps_events_lost_total 0$')" 1
}

@test "who listens to a gate that is forgotten is told, and ends" {
	listen_to events events
	local other=$listener status=0
	listen_to top top --interval 0.3
	sleep 0.3
	tps detach --all --forget
	wait "$listener" || status=$?
	assert_equal "$status" 1
	wait "$other" || status=$((status + $?))
	assert_equal "$status" 2
	assert_equal "$(cat "$BATS_TEST_TMPDIR/events.err")" \
		"tpsctl: the gate at '$lab_root' has been forgotten"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/top.err")" \
		"tpsctl: the gate at '$lab_root' has been forgotten"
}
