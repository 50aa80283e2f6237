#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
# What tpsctl says and what it leaves alone: words, exit statuses, refusals, and settings that outlive
# the command that made them.

# shellcheck disable=SC2030,SC2031,SC2154 # BATS: a test is a subshell, and run sets variables

# shellcheck source=tests/e2e/lab.bash
source "$BATS_TEST_DIRNAME/lab.bash"

setup_file()
{
	open_lab tpsctl
	attach_gate --capacity callers=4 --capacity keys=4 --capacity hosts=4 \
		--capacity sources4=4 --capacity sources6=4 --capacity bans=4
}

teardown_file()
{
	close_lab
}

setup()
{
	enter_lab
	printf 'first key\n' >"$BATS_TEST_TMPDIR/first"
	printf 'second key' >"$BATS_TEST_TMPDIR/second"
}

teardown()
{
	local name

	export TPS_ROOT=$lab_root
	ip netns del "$lab_id-other" 2>/dev/null || true
	tps detach --all
	attach_gate
	tps resume
	tps enforce 2>/dev/null
	tps set default-tier free
	tps set tier free --rate 100/s --burst 100
	for name in $(tps -j list callers | jq -r '.[].name'); do
		tps delete caller "$name"
	done
	for name in $(tps -j list listeners | jq -r '.[].name'); do
		tps delete listener "$name"
	done
	for name in $(tps -j list tiers | jq -r '.[].name | select(. != "free")'); do
		tps delete tier "$name"
	done
	for name in $(tps -j list bans | jq -r '.[].banned'); do
		tps unban "$name"
	done
}

# Every setting, as one text.
settings()
{
	local noun

	for noun in tiers listeners callers bans; do
		tps -j list "$noun" | jq -cS 'map(del(.left, .left_s))'
	done
	tps -j list callers | jq -r '.[].name' | while read -r name; do
		tps -j show caller "$name" | jq -cS '{sources, sni, keys}'
	done
	tps -j status | jq -cS '[.state, .default_tier, .devices, (.maps | map(del(.entries)))]'
	entries
}

# The same, but for which program of the kernel it is.
settings_here()
{
	settings | sed 's/"program_id":[0-9]*//'
}

# Entries in use of the maps that commands write.
entries()
{
	tps -j status | jq -cS '[.maps[] | select(.name | IN("callers", "limits", "sources4", "sources6",
		"keys", "hosts", "bans", "devices", "ports")) | {(.name): .entries}] | add'
}

# refused STATUS TEXT COMMAND...: it ends so, says this on one line of stderr, and changes nothing.
refused()
{
	local status_wanted=$1 text=$2 before
	shift 2

	before=$(settings)
	run --separate-stderr "$@"
	assert_equal "$status" "$status_wanted"
	assert_equal "$output" ""
	assert_equal "${#stderr_lines[@]}" 1
	[[ $stderr == *"$text"* ]] || fail "wanted '$text', got '$stderr'"
	assert_equal "$(settings)" "$before"
}

changed()
{
	run "$tpsctl" -j "$@"
	assert_success
	assert_output '{"changed": true}'
}

unchanged()
{
	run "$tpsctl" -j "$@"
	assert_success
	assert_output '{"changed": false}'
}

@test "silence is success" {
	run tps set tier gold --rate 10/s
	assert_success
	assert_output ""
}

# names CALLER
names()
{
	tps -j show caller "$1" | jq -c .sni
}

# depths: for which server names the gate looks, as control says it.
depths()
{
	bpftool -j map dump pinned "$lab_root/control" | jq '.[0].formatted.value.host_depths'
}

@test "a command that is repeated changes nothing and says so" {
	for words in "set tier gold --rate 10/s --burst 20" "set default-tier gold" "pause" \
		"set listener api --port 80,8080 --protocol http --key-header X-Token" \
		"set caller acme --tier free --source 192.0.2.0/24 --key-file $BATS_TEST_TMPDIR/first" \
		"set caller acme --sni api.example.com --sni *.example.com" \
		"set caller acme --add-sni a.example --remove-sni api.example.com" \
		"set caller acme --rate 5/s --exempt" "observe api"; do
		# shellcheck disable=SC2086
		changed $words
		# shellcheck disable=SC2086
		unchanged $words
	done
	for words in "ban 192.0.2.7" "ban 192.0.2.7 --reason loud" "ban 2001:db8::/64 --reason loud" \
		"ban caller:acme" "ban caller:acme --reason loud"; do
		# shellcheck disable=SC2086
		changed $words
		# shellcheck disable=SC2086
		unchanged $words
	done
	changed ban 192.0.2.7 --for 1h --reason loud
	changed ban 192.0.2.7 --for 1h --reason loud # an hour from now
	changed unban 192.0.2.7
	unchanged unban 192.0.2.7
	changed delete caller acme
	unchanged delete caller acme --if-exists
}

@test "the global options stand before or behind the verb" {
	assert_equal "$(tps -j list tiers)" "$(tps list tiers -j)"
	assert_equal "$(env -u TPS_ROOT "$tpsctl" --root "$lab_root" -j list tiers)" \
		"$(env -u TPS_ROOT "$tpsctl" list tiers -j --root "$lab_root")"
}

# words_of VERB: with these it succeeds.
words_of()
{
	case $1 in
	attach | detach) echo "$1 $lab_device --netns $(lab_netns server)" ;;
	"set tier") echo "$1 gold --rate 10/s" ;;
	"set default-tier" | "show tier") echo "$1 free" ;;
	"set listener") echo "$1 api --port 80 --protocol http" ;;
	"set caller" | "show caller") echo "$1 acme" ;;
	"show listener") echo "$1 log" ;;
	delete\ *) echo "$1 gold --if-exists" ;;
	"key hash") echo "$1 $BATS_TEST_TMPDIR/first" ;;
	check | apply) echo "$1 $BATS_TEST_TMPDIR/policy.yaml" ;;
	export | rollback) echo "$1" ;;
	ban | unban) echo "$1 192.0.2.7" ;;
	explain) echo "$1 --source 192.0.2.7 --port 80" ;;
	replay) echo "$1 $BATS_TEST_TMPDIR/empty.pcap" ;;
	top) echo "$1 --count 1 --interval 0.1" ;;
	events) ;; # waits for something to happen: watching.bats
	doctor | selftest) echo "$1" ;;
	status | pause | resume | observe | enforce | list\ * | version | help) echo "$1" ;;
	*) fail "no words for the verb '$1'" ;;
	esac
}

@test "every verb takes -j, before it and after it" {
	local verb words count=0

	tps set listener log --port 5000 --protocol udp
	echo 'version: 1' >"$BATS_TEST_TMPDIR/policy.yaml"
	# a capture of nothing: magic, version 2.4, 64 KiB of each packet, Ethernet
	printf '\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\0\0' \
		>"$BATS_TEST_TMPDIR/empty.pcap"
	while read -r verb; do
		words=$(words_of "$verb")
		# shellcheck disable=SC2086
		for words in ${words:+"-j $words" "$words -j"}; do
			run --separate-stderr "$tpsctl" $words
			# which fails when it finds what is wrong
			[[ $verb == doctor ]] || assert_success
			jq -e . <<<"$output" >/dev/null || fail "$words: no JSON: $output"
		done
		# shellcheck disable=SC2086
		assert_equal "$(tps -j help $verb | jq -r .verb)" "$verb"
		# shellcheck disable=SC2086
		assert_equal "$(tps $verb -h -j)" "$(tps help $verb -j)"
		count=$((count + 1))
	done < <(tps -j help | jq -r '.[].verb')
	((count > 25))
	rm -r "$lab_root.policy" # the other tests drift from no policy
	assert_equal "$(tps --help -j | jq length)" "$count"
	assert_equal "$(tps -h)" "$(tps help)"
}

@test "what cannot be written down is a failure" {
	local words

	tps set listener log --port 5000 --protocol udp
	for words in status "status -j" "list listeners" "show listener log" help "help ban" "ban -h" \
		"key hash $BATS_TEST_TMPDIR/first" version "-j pause"; do
		# shellcheck disable=SC2016,SC2086
		run --separate-stderr bash -c '"$@" >/dev/full' - "$tpsctl" $words
		assert_failure 1
		assert_equal "$stderr" "tpsctl: standard output: No space left on device"
	done
}

@test "an error is one line, whatever it is about" {
	local text=$'a\nb'

	refused 2 'a\x0ab' tps "$text"
	refused 2 'a\x0ab' tps set "$text"
	refused 2 'a\x0ab' tps status "$text"
	refused 2 'a\x0ab' tps set tier "$text" --rate 1/s
	refused 2 'a\x0ab' tps set listener api --port 80 --protocol http --key-header "$text"
}

@test "words that mean nothing are told by name and end with 2" {
	refused 2 "verb 'nonsense'" tps nonsense
	refused 2 "'set tier'" tps set nonsense
	refused 2 "option '--nonsense'" tps set tier gold --nonsense
	refused 2 "option '--rate': it needs a value" tps set tier gold --rate
	refused 2 "'more': not expected" tps show tier free more
	refused 2 "something is missing" tps show tier
	refused 2 "--sort 'nonsense'" tps list tiers --sort nonsense
	refused 2 "no verb" tps
}

@test "a rate that is not exactly one is refused" {
	local rate

	for rate in 10k 010/s 10 /s 10/w "10 /s" 1.2345/s .5/s 5./s -1/s 0/s 0.0/s 0x10/s 1e3/s; do
		refused 2 "rate '$rate'" tps set tier gold --rate "$rate"
	done
	refused 2 "at most 10000000/s" tps set tier gold --rate 10000001/s
	refused 2 "at least 1/d" tps set tier gold --rate 0.9/d
	refused 2 "it needs a rate" tps set tier gold
	refused 2 "burst '0'" tps set tier gold --rate 1/s --burst 0
	refused 2 "at most 833" tps set tier gold --rate 1/d --burst 834
	refused 2 "a burst of its own needs a rate" tps set caller acme --burst 5
}

@test "rates are kept as they were written" {
	local rate

	for rate in 100/s 0.5/s 30/m 1000/h 10/d 10000000/s 1/d 1.125/m; do
		tps set tier gold --rate "$rate"
		assert_equal "$(tps -j show tier gold | jq -r .rate)" "$rate"
	done
}

@test "the default burst is one second of the rate, at least 1, and follows it" {
	tps set tier gold --rate 250/s
	assert_equal "$(tps -j show tier gold | jq .burst)" 250
	tps set tier gold --rate 1/h
	assert_equal "$(tps -j show tier gold | jq .burst)" 1
	tps set tier gold --burst 7
	tps set tier gold --rate 250/s
	assert_equal "$(tps -j show tier gold | jq .burst)" 7
}

@test "a prefix that is not exactly one is refused, host bits with the corrected form" {
	local prefix

	refused 2 "did you mean '192.0.2.0/24'?" tps set caller acme --source 192.0.2.1/24
	refused 2 "did you mean '2001:db8::/32'?" tps set caller acme --source 2001:db8::1/32
	refused 2 "IPv4 is written as such: '192.0.2.1'" tps ban ::ffff:192.0.2.1
	for prefix in 192.0.2.0/33 192.0.2 192.0.2.0/024 2001:db8::/129 192.0.2.0/ example; do
		refused 2 "prefix '$prefix'" tps ban "$prefix"
	done
}

@test "names of nothing are told, with what lists the names" {
	refused 1 "no tier 'nobody': tpsctl list tiers" tps set default-tier nobody
	refused 1 "no tier 'nobody'" tps set caller acme --tier nobody
	refused 1 "no tier 'nobody'" tps delete tier nobody
	refused 1 "no caller 'nobody': tpsctl list callers" tps show caller nobody
	refused 1 "no caller 'nobody'" tps delete caller nobody
	refused 1 "no caller 'nobody'" tps ban caller:nobody
	refused 1 "no listener 'nobody': tpsctl list listeners" tps observe nobody
	refused 1 "no listener 'nobody'" tps delete listener nobody
	refused 2 "caller '-x'" tps set caller -- -x
	refused 2 "caller 'a b'" tps set caller "a b"
}

@test "a protocol, a refusal or a placement that there is not is refused, naming what there is" {
	refused 2 "--protocol 'quic': expected one of http, tls, tcp, udp" \
		tps set listener api --port 443 --protocol quic
	refused 2 "refuse 'reset' is not for protocol 'udp': a datagram is dropped" \
		tps set listener api --port 80 --protocol udp --refuse reset
	refused 2 "refuse 'answer' is not for protocol 'udp'" \
		tps set listener api --port 80 --protocol udp --refuse answer
	refused 2 "refuse 'close' is not for protocol 'tls'" \
		tps set listener api --port 443 --protocol tls --refuse close
	refused 2 "with placement 'transit' refuse 'drop' is all there is" \
		tps set listener api --port 80 --protocol http --refuse answer --placement transit
	refused 2 "with placement 'transit' refuse 'drop' is all there is" \
		tps set listener api --port 443 --protocol tls --refuse answer --placement transit
}

@test "a tls listener answers unless told otherwise, and reads no key header" {
	local refusal

	changed set listener api --port 443,8443 --protocol tls
	unchanged set listener api --port 443,8443 --protocol tls --refuse answer
	for refusal in reset drop answer; do
		changed set listener api --refuse "$refusal"
		assert_equal "$(tps -j show listener api | jq -c '[.protocol, .ports, .refuse, .key_headers]')" \
			"[\"tls\",[443,8443],\"$refusal\",[]]"
	done
	run tps list listeners
	assert_line --regexp '^api +tls +443,8443 +enforce '
	refused 2 "key headers are for protocol 'http'" tps set listener api --key-header X-Token
	# another protocol or placement brings its own refusal and headers along
	changed set listener api --placement transit
	assert_equal "$(tps -j show listener api | jq -r .refuse)" drop
	changed set listener api --protocol http --placement local --key-header X-Token
	changed set listener api --protocol tls
	assert_equal "$(tps -j show listener api | jq -c '[.refuse, .key_headers]')" '["answer",[]]'
}

@test "a listener needs ports and a protocol, and no other's port" {
	refused 2 "it needs a protocol" tps set listener api --port 80
	refused 2 "it needs 1 to 16 ports" tps set listener api --protocol http
	refused 2 "port '80,80'" tps set listener api --protocol http --port 80,80
	refused 2 "at most 16 ports" tps set listener api --protocol http --port "$(seq -s, 1 17)"
	refused 2 "port '65536'" tps set listener api --protocol http --port 65536
	tps set listener api --port 80 --protocol http
	refused 1 "port '80' is of listener 'api'" tps set listener other --port 80 --protocol tcp
	tps set listener other --port 80 --protocol udp
	refused 2 "cannot carry a key" tps set listener api --key-header Content-Length
	refused 2 "key headers are for protocol 'http'" tps set listener other --key-header X-Token
}

@test "a port that a listener loses is free for another" {
	tps set listener api --port 80,81 --protocol http
	tps set listener api --port 81
	tps set listener other --port 80 --protocol tcp
	assert_equal "$(tps -j status | jq '.maps[] | select(.name == "ports") | .entries')" 2
	tps delete listener api
	assert_equal "$(tps -j status | jq '.maps[] | select(.name == "ports") | .entries')" 1
}

@test "a cost that no burst could pay is refused from either side" {
	refused 2 "over the burst of tier 'free', 100" \
		tps set listener api --port 80 --protocol http --cost 101
	tps set listener api --port 80 --protocol http --cost 100
	refused 2 "below the cost" tps set tier free --burst 99
	refused 2 "below the cost" tps set caller acme --rate 10/s
}

@test "one prefix, two claims: the second is refused naming the first" {
	tps set caller acme --source 192.0.2.0/24
	refused 1 "source '192.0.2.0/24' is of caller 'acme'" tps set caller beta --source 192.0.2.0/24
	refused 2 "source '192.0.2.0/25' is given twice" \
		tps set caller beta --source 192.0.2.0/25 --source 192.0.2.0/25
	tps set caller beta --source 192.0.2.0/25
	tps set caller acme --remove-source 192.0.2.0/24
	tps set caller beta --add-source 192.0.2.0/24
	assert_equal "$(tps -j show caller beta | jq -c '.sources | sort')" '["192.0.2.0/24","192.0.2.0/25"]'
}

@test "one key, two claims: the second is refused naming the first" {
	tps set caller acme --key-file "$BATS_TEST_TMPDIR/first"
	refused 1 "is of caller 'acme'" tps set caller beta --key-file "$BATS_TEST_TMPDIR/first"
	tps set caller acme --key-file "$BATS_TEST_TMPDIR/second"
	tps set caller beta --key-file "$BATS_TEST_TMPDIR/first"
}

@test "one server name, two claims: the second is refused naming the first" {
	tps set caller acme --sni api.example.com --sni "*.example.com"
	refused 1 "caller 'beta': server name 'api.example.com' is of caller 'acme'" \
		tps set caller beta --sni other.example.com --sni API.Example.com
	refused 1 "server name '*.example.com' is of caller 'acme'" \
		tps set caller beta --add-sni "*.EXAMPLE.com"
	refused 2 "server name 'a.example' is given twice" \
		tps set caller beta --sni a.example --sni A.example
	tps set caller beta --sni "*.api.example.com" # below acme's, and its own
	tps set caller acme --remove-sni api.example.com
	tps set caller beta --add-sni api.example.com
	assert_equal "$(names beta)" '["*.api.example.com","api.example.com"]'
	tps delete caller acme
	tps set caller gamma --sni "*.example.com"
	assert_equal "$(names gamma)" '["*.example.com"]'
}

@test "a list is replaced or edited, not both at once" {
	local hash

	tps set caller acme --source 192.0.2.0/25 --source 2001:db8:1::/48
	tps set caller acme --add-source 192.0.2.128/25 --remove-source 2001:db8:1::/48
	assert_equal "$(tps -j show caller acme | jq -c '.sources | sort')" \
		'["192.0.2.0/25","192.0.2.128/25"]'
	refused 2 "either replaced or edited" \
		tps set caller acme --source 192.0.2.0/24 --add-source 198.51.100.0/24
	refused 2 "source '192.0.2.0/25' is both added and removed" \
		tps set caller acme --add-source 192.0.2.0/25 --remove-source 192.0.2.0/25
	hash=$(tps key hash "$BATS_TEST_TMPDIR/first")
	refused 2 "key '${hash:0:22}...' is both added and removed" tps set caller acme \
		--add-key-file "$BATS_TEST_TMPDIR/first" --remove-key-hash "$hash"
	refused 2 "key '${hash:0:22}...' is given twice" tps set caller acme \
		--key-file "$BATS_TEST_TMPDIR/first" --key-hash "$hash"
	tps set caller acme --no-sources
	assert_equal "$(tps -j show caller acme | jq -c .sources)" '[]'
	tps set caller acme --sni b.example --sni "*.b.example"
	tps set caller acme --sni b.example --sni a.example
	tps set caller acme --add-sni c.example --remove-sni b.example --remove-sni nobodys.example
	assert_equal "$(names acme)" '["a.example","c.example"]'
	refused 2 "either replaced or edited" tps set caller acme --sni a.example --remove-sni c.example
	refused 2 "either replaced or edited" tps set caller acme --no-sni --add-sni d.example
	refused 2 "server name 'a.example' is both added and removed" \
		tps set caller acme --add-sni a.example --remove-sni A.example
	changed set caller acme --no-sni
	unchanged set caller acme --no-sni
	assert_equal "$(names acme)" '[]'
}

@test "a server name that is not exactly one is refused, with what is wrong" {
	local name reason before

	before=$(settings)
	while read -r reason name; do
		run --separate-stderr tps set caller acme --sni "$name"
		assert_equal "$status" 2
		assert_regex "$stderr" "^tpsctl: server name '.*': ${reason//_/ }"
		[[ $stderr == *"'$name'"* ]]
		assert_equal "${#stderr_lines[@]}" 1
	done <<-'TEXT'
		expected_a_name_or_ *
		expected_a_name_or_ *.
		a_label_is_empty api.example.com.
		a_label_is_empty .example.com
		a_label_is_empty api..example.com
		a_label_is_empty *..example.com
		'.'_stands_for_all_labels_before_a_suffix *api.example.com
		'.'_stands_for_all_labels_before_a_suffix api.*.com
		'.'_stands_for_all_labels_before_a_suffix *.*.com
		expected_letters,_digits api.example.com:443
		expected_letters,_digits https://api.example.com
		expected_letters,_digits api.example.com,www.example.com
		expected_letters,_digits münchen.example
		7_labels_behind_'...,_expected_at_most_6 *.a.b.c.d.e.f.g
	TEXT
	assert_equal "$(settings)" "$before"
	refused 2 "server name ''" tps set caller acme --sni ""
	refused 2 "it has 254 bytes, expected at most 253" \
		tps set caller acme --sni "$(head -c 254 /dev/zero | tr '\0' a)"
	refused 2 "it has 254 bytes, expected at most 253" \
		tps set caller acme --sni "*.$(head -c 253 /dev/zero | tr '\0' a)"
	tps set caller acme --sni "$(head -c 253 /dev/zero | tr '\0' a)" --sni "*.a.b.c.d.e.f" --sni xn--mnchen-3ya.example
	assert_equal "$(names acme | jq length)" 3
}

@test "names are kept in lower case, shown sorted, and counted by status" {
	tps set caller acme --sni WWW.example.com --sni "*.API.example.com" --sni api.example.com
	assert_equal "$(names acme)" '["*.api.example.com","api.example.com","www.example.com"]'
	run tps show caller acme
	assert_line --regexp '^sni +\*\.api\.example\.com, api\.example\.com, www\.example\.com$'
	tps set caller beta
	run tps show caller beta
	assert_line --regexp '^sni +-$'
	run tps status
	assert_line --regexp '^hosts +3 +4$'
	assert_equal "$(depths)" $((1 | 1 << 3))
}

@test "a key's hash is the same from a file and by hand, and of one secret only" {
	local hash other

	hash=$(tps key hash "$BATS_TEST_TMPDIR/first")
	assert_equal "$(printf 'first key' | tps key hash)" "$hash"
	tps set caller acme --key-hash "$hash"
	assert_equal "$(tps -j show caller acme | jq -r '.keys[0].key')" "${hash:0:22}"
	unchanged set caller acme --key-file "$BATS_TEST_TMPDIR/first"
	printf '%032d\n' 7 >"$BATS_TEST_TMPDIR/secret"
	chmod 600 "$BATS_TEST_TMPDIR/secret"
	other=$(tps key hash --secret "$BATS_TEST_TMPDIR/secret" "$BATS_TEST_TMPDIR/first")
	[[ $other != "$hash" ]]
	refused 1 "made with another secret" tps set caller acme --key-hash "$other"
	refused 2 "expected hash:" tps set caller acme --key-hash "${hash%?}"
	chmod 644 "$BATS_TEST_TMPDIR/secret"
	refused 1 "open to others" tps key hash --secret "$BATS_TEST_TMPDIR/secret" /dev/null
	chmod 600 "$BATS_TEST_TMPDIR/secret"
	chown 65534 "$BATS_TEST_TMPDIR/secret"
	refused 1 "belongs to user 65534, expected root" \
		tps key hash --secret "$BATS_TEST_TMPDIR/secret" "$BATS_TEST_TMPDIR/first"
}

@test "a secret that is named is the gate's, or refused" {
	local words=(attach "$lab_device" --netns "$(lab_netns server)" --secret)

	unchanged "${words[@]}" "$lab_dir/secret"
	printf '%032d\n' 7 >"$BATS_TEST_TMPDIR/secret"
	chmod 600 "$BATS_TEST_TMPDIR/secret"
	refused 1 "was made with another" tps "${words[@]}" "$BATS_TEST_TMPDIR/secret"
	refused 1 "was made with another" tps "${words[@]}" "$BATS_TEST_TMPDIR/none"
	[[ ! -e $BATS_TEST_TMPDIR/none ]]
	TPS_SECRET=$BATS_TEST_TMPDIR/secret refused 1 "was made with another" tps "${words[@]:0:4}"
}

@test "a key that no header could carry is refused" {
	head -c 129 /dev/zero | tr '\0' a >"$BATS_TEST_TMPDIR/long"
	printf 'a\nb\n' >"$BATS_TEST_TMPDIR/lines"
	: >"$BATS_TEST_TMPDIR/empty"
	refused 2 "over 128 bytes" tps set caller acme --key-file "$BATS_TEST_TMPDIR/long"
	refused 2 "control character" tps set caller acme --key-file "$BATS_TEST_TMPDIR/lines"
	refused 2 "empty" tps set caller acme --key-file "$BATS_TEST_TMPDIR/empty"
	refused 1 "No such file" tps set caller acme --key-file "$BATS_TEST_TMPDIR/none"
}

@test "a tier is not deleted while it is the default or somebody is in it" {
	refused 1 "is the default tier" tps delete tier free
	tps set tier gold --rate 10/s
	tps set caller acme --tier gold
	refused 1 "has callers in it, as 'acme'" tps delete tier gold
	tps set caller acme --tier free
	changed delete tier gold
}

@test "a caller's limit is its own or its tier's, and show says which" {
	tps set tier gold --rate 10/s --burst 20
	tps set caller acme --tier gold
	assert_equal "$(tps -j show caller acme | jq -c '[.rate, .burst, .limit_from]')" '["10/s",20,"tier"]'
	tps set caller acme --rate 3/m --burst 9
	assert_equal "$(tps -j show caller acme | jq -c '[.rate, .burst, .limit_from]')" '["3/m",9,"own"]'
	assert_equal "$(tps -j show caller acme | jq -c '[.proven_tokens, .unproven_tokens]')" '[9,9]'
	tps set caller acme --no-rate
	assert_equal "$(tps -j show caller acme | jq -c '[.rate, .burst, .limit_from]')" '["10/s",20,"tier"]'
}

@test "a map that is full: one line, and the caller is as it was" {
	local i

	for i in 1 2 3 4; do
		tps set caller "c$i" --source "192.0.2.$i" --source "2001:db8::$i"
	done
	refused 1 "the map 'callers' is full" tps set caller c5
	refused 1 "the map 'sources4' is full" tps set caller c1 --add-source 198.51.100.1
	refused 1 "the map 'sources6' is full" tps set caller c1 --add-source 2001:db8::9
	tps delete caller c4
	refused 1 "the map 'sources4' is full" \
		tps set caller c5 --source 192.0.2.5 --source 192.0.2.6
	tps set caller c5 --source 192.0.2.5
	for i in 1 2 3 4; do
		echo "key $i" >"$BATS_TEST_TMPDIR/$i"
		tps set caller c1 --add-key-file "$BATS_TEST_TMPDIR/$i"
		tps ban "198.51.100.$i"
	done
	refused 1 "the map 'keys' is full" tps set caller c5 --key-file "$BATS_TEST_TMPDIR/first"
	tps set caller c1 --sni a.example --sni b.example --sni c.example
	refused 1 "the map 'hosts' is full" tps set caller c5 --sni d.example --sni "*.example"
	assert_equal "$(depths)" 1
	refused 1 "the map 'hosts' is full" tps set caller c1 --add-sni d.example --add-sni "*.example"
	assert_equal "$(depths)" 1
	tps set caller c5 --sni d.example
	tps delete caller c1
	tps set caller c5 --add-sni a.example --add-sni b.example --add-sni "*.example"
	assert_equal "$(depths)" 3
	refused 1 "the map 'bans' is full" tps ban 198.51.100.9
}

@test "a ban that is past makes room and is listed no more" {
	local i

	for i in 1 2 3 4; do
		tps ban "198.51.100.$i" --for 1s
	done
	sleep 1.1
	assert_equal "$(tps -j list bans)" '[]'
	tps ban 198.51.100.9 --for 2h --reason "too loud"
	assert_equal "$(tps -j list bans | jq -c 'map([.banned, .reason, .left_s > 7190])')" \
		'[["198.51.100.9","too loud",true]]'
	assert_equal "$(tps -j status | jq '.maps[] | select(.name == "bans") | .entries')" 1
	refused 2 "duration '10'" tps ban 198.51.100.9 --for 10
}

@test "a caller that is banned is listed until it is lifted" {
	tps set caller acme
	tps ban caller:acme --for 1h --reason scraping
	assert_equal "$(tps -j list bans | jq -c 'map([.banned, .reason])')" '[["caller:acme","scraping"]]'
	assert_equal "$(tps -j show caller acme | jq .is_banned)" true
	changed unban caller:acme
	unchanged unban caller:acme
	assert_equal "$(tps -j show caller acme | jq .is_banned)" false
}

@test "pause is said by status, and so is observing" {
	tps pause
	assert_equal "$(tps -j status | jq -r .state)" paused
	tps resume
	tps observe
	assert_equal "$(tps -j status | jq -r .state)" observing
	tps set listener api --port 80 --protocol http --mode observe
	run tps enforce
	assert_success
	assert_output --partial "listener 'api' observes still"
	assert_equal "$(tps -j status | jq -r .state)" enforcing
	changed enforce api
}

@test "lists are sorted by a field: numbers falling, names rising" {
	tps set tier bronze --rate 1/s
	tps set tier gold --rate 1000/s
	assert_equal "$(tps -j list tiers --sort burst | jq -c 'map(.name)')" '["gold","free","bronze"]'
	assert_equal "$(tps -j list tiers --sort name | jq -c 'map(.name)')" '["bronze","free","gold"]'
}

@test "a field to sort by is a field, on an empty list too" {
	local nouns

	for nouns in tiers listeners callers strangers bans; do
		refused 2 "--sort 'nonsense': expected one of " tps list "$nouns" --sort nonsense
	done
	tps set listener log --port 5000 --protocol udp
	tps set caller acme
	tps ban caller:acme
	run datagrams 5000 203.0.113.1 1
	for nouns in tiers listeners callers strangers bans; do
		tps -j list "$nouns" | jq -r '.[0] | keys[]' >"$BATS_TEST_TMPDIR/fields"
		[[ -s $BATS_TEST_TMPDIR/fields ]]
		while read -r field; do
			tps -j list "$nouns" --sort "$field" >/dev/null
		done <"$BATS_TEST_TMPDIR/fields"
		run tps list "$nouns" --sort nonsense
		assert_equal "$(sed 's/.*one of //; s/; usage.*//' <<<"$output" | tr -d ' ' | tr , '\n' | sort)" \
			"$(sort "$BATS_TEST_TMPDIR/fields")"
	done
}

@test "a device that another program holds is refused by name and left alone" {
	ip netns add "$lab_id-other"
	ip -n "$lab_id-other" link add taken type veth peer name peer
	nsenter --net="/run/netns/$lab_id-other" \
		ip link set taken xdp obj "$programs/pass.bpf.o" sec xdp.frags
	refused 1 "the XDP program 'pass' (id " tps attach taken --netns "$lab_id-other"
	assert_equal "$(ip -n "$lab_id-other" -j link show taken | jq '.[0].xdp != null')" true
	nsenter --net="/run/netns/$lab_id-other" ip link set taken xdp off
	changed attach taken --netns "$lab_id-other"
	unchanged attach taken --netns "$lab_id-other"
	refused 1 "wanted 'generic'" tps attach taken --netns "$lab_id-other" --xdp-mode generic
	changed detach taken --netns "$lab_id-other"
	unchanged detach taken --netns "$lab_id-other"
}

@test "where one device fails, the gate is put on none, and taken off none that it was on" {
	ip netns add "$lab_id-other"
	ip -n "$lab_id-other" link add one type veth peer name two
	ip -n "$lab_id-other" link add taken type veth peer name peer
	nsenter --net="/run/netns/$lab_id-other" \
		ip link set taken xdp obj "$programs/pass.bpf.o" sec xdp.frags
	tps attach one --netns "$lab_id-other"
	nsenter --net="/run/netns/$lab_id-other" tc filter del dev one egress
	run tps attach two one taken --netns "$lab_id-other"
	assert_failure 1
	assert_output --partial "device 'taken' in network namespace '$lab_id-other': the XDP program 'pass'"
	run jq -c '.[] | [.ifname, .xdp != null]' <(ip -n "$lab_id-other" -j link show type veth)
	assert_line '["one",true]'
	assert_line '["two",false]'
	changed detach one --netns "$lab_id-other"
}

@test "a gate of another layout is refused by every verb, and stands as it was" {
	local at bytes damaged verb verbs=(status pause "attach $lab_device --netns $(lab_netns server)")

	mapfile -t bytes < <(bpftool -j map dump pinned "$lab_root/meta" | jq -r '.[0].value[]')
	for at in 0 4 8 15; do # the magic, the version of the ABI, the hash of the layout
		damaged=("${bytes[@]}")
		damaged[at]=$(printf '0x%02x' $((bytes[at] ^ 1)))
		bpftool map update pinned "$lab_root/meta" key 0 0 0 0 value "${damaged[@]}"
		for verb in "${verbs[@]}"; do
			# shellcheck disable=SC2086 # words
			run --separate-stderr tps $verb
			assert_failure 1
			assert_equal "${#stderr_lines[@]}" 1
			assert_regex "$stderr" "made by tpsctl '.*' and has another layout than this one"
		done
	done
	bpftool map update pinned "$lab_root/meta" key 0 0 0 0 value "${bytes[@]}"
	unchanged attach "$lab_device" --netns "$(lab_netns server)"
}

@test "a gate that has lost a pin says which, and that it is not the end of the others" {
	mv "$lab_root/bans" "$lab_root/aside"
	run --separate-stderr tps attach "$lab_device" --netns "$(lab_netns server)"
	mv "$lab_root/aside" "$lab_root/bans"
	assert_failure 1
	assert_equal "$stderr" "tpsctl: '$lab_root/bans' is no longer pinned: umount '$lab_root' takes the\
 gate away, then attach anew"
	unchanged attach "$lab_device" --netns "$(lab_netns server)"
}

@test "devices and namespaces that are not there are told" {
	refused 1 "no device 'nodevice'" tps attach nodevice
	refused 1 "network namespace 'nowhere'" tps attach eth0 --netns nowhere
	refused 1 "tpsctl status shows where it is" tps detach nodevice
	refused 2 "--capacity 'limits=5': expected MAP=N" tps attach eth0 --capacity limits=5
	refused 1 "was made with 4" \
		tps attach "$lab_device" --netns "$(lab_netns server)" --capacity callers=5
	refused 2 "expected devices, or --all" tps detach
}

@test "a network namespace without a name is refused: its devices have others' names" {
	refused 1 "ip netns attach NAME PID" unshare -n "$tpsctl" attach lo --xdp-mode generic
	refused 1 "ip netns attach NAME PID" unshare -n "$tpsctl" detach lo
	ip netns add "$lab_id-other"
	tps attach lo --netns "$lab_id-other" --xdp-mode generic
	run unshare -n ip netns exec "$lab_id-other" "$tpsctl" -j detach lo
	assert_output '{"changed": true}'
}

# attached DEVICE: is the gate on it, in the other namespace?
attached()
{
	ip -n "$lab_id-other" -d link show dev "$1" | grep -q 'prog/xdp'
}

filtered()
{
	ip netns exec "$lab_id-other" tc filter show dev "$1" egress | grep -q .
}

@test "a device that took another's name does not take the gate off that one" {
	ip netns add "$lab_id-other"
	ip -n "$lab_id-other" link add wan0 type veth peer name wan1
	tps attach wan0 --netns "$lab_id-other"
	ip -n "$lab_id-other" link set wan0 name lan0
	ip -n "$lab_id-other" link set wan1 name wan0
	refused 1 "(now 'lan0')" tps attach wan0 --netns "$lab_id-other"
	attached lan0
	changed detach wan0 --netns "$lab_id-other"
	run attached lan0
	assert_failure
	run filtered lan0
	assert_failure
	changed attach wan0 --netns "$lab_id-other"
	changed attach lan0 --netns "$lab_id-other"
	attached wan0
	attached lan0
}

@test "a namespace that took another's name does not pass for it" {
	local sleeper

	ip netns add "$lab_id-other"
	tps attach lo --netns "$lab_id-other" --xdp-mode generic
	nsenter --net="/run/netns/$lab_id-other" sleep 60 3>&- &
	sleeper=$!
	wait_until 5 bash -c "ip netns pids '$lab_id-other' | grep -qx $sleeper"
	ip netns del "$lab_id-other"
	ip netns add "$lab_id-other"
	refused 1 "this is another device now" tps attach lo --netns "$lab_id-other" --xdp-mode generic
	changed detach lo --netns "$lab_id-other"
	changed attach lo --netns "$lab_id-other" --xdp-mode generic
	kill "$sleeper"
}

@test "detach --all --netns takes the gate off in that namespace alone" {
	ip netns add "$lab_id-other"
	tps attach lo --netns "$lab_id-other" --xdp-mode generic
	refused 1 "network namespace 'nowhere'" tps detach --all --netns nowhere
	refused 2 "--forget is of the whole gate" tps detach --all --netns "$lab_id-other" --forget
	changed detach --all --netns "$lab_id-other"
	unchanged detach --all --netns "$lab_id-other"
	assert_equal "$(tps -j status | jq -c '[.devices[].device]')" "[\"$lab_device\"]"
	# Of a namespace that has gone since, what is left there is cleared away.
	tps attach lo --netns "$lab_id-other" --xdp-mode generic
	ip netns del "$lab_id-other"
	changed detach --all --netns "$lab_id-other"
	refused 1 "network namespace '$lab_id-other'" tps detach --all --netns "$lab_id-other"
}

@test "a detach that fails on one device has taken the gate off none" {
	refused 1 "device 'nodevice' in network namespace '$(lab_netns server)': the gate is not on it" \
		tps detach "$lab_device" nodevice --netns "$(lab_netns server)"
	refused 1 "device 'nodevice'" tps detach nodevice "$lab_device" --netns "$(lab_netns server)"
}

@test "a gate whose root is in use is not forgotten, and nothing of it is lost" {
	local here=$PWD

	tps set caller acme --rate 3/m --source 192.0.2.0/24
	cd "$lab_root"
	refused 1 "cannot unmount it" tps detach --all --forget
	cd "$here"
}

@test "generic mode only where it is asked for, and the fallback is reported" {
	ip netns add "$lab_id-other"
	ip -n "$lab_id-other" link add dotted.1 type dummy 2>/dev/null ||
		ip -n "$lab_id-other" link add dotted.1 type veth peer name peer
	refused 1 "try --xdp-mode auto" tps attach lo --netns "$lab_id-other"
	run tps attach lo --netns "$lab_id-other" --xdp-mode auto
	assert_success
	assert_output --partial "attached in generic mode"
	assert_equal "$(tps -j status | jq -r '.devices[] | select(.device == "lo") | .mode')" generic
	tps attach dotted.1 --netns "$lab_id-other" --xdp-mode generic
	assert_equal "$(tps -j status | jq '.devices[] | select(.device == "dotted.1") | .attached')" true
	tps detach lo dotted.1 --netns "$lab_id-other"
	run ip netns exec "$lab_id-other" tc qdisc show dev lo
	refute_output --partial clsact
}

@test "an attach that fails on one device leaves none, and no gate that it made" {
	ip netns add "$lab_id-other"
	ip -n "$lab_id-other" link add taken type veth peer name peer
	refused 1 "try --xdp-mode auto" tps attach taken lo --netns "$lab_id-other"
	export TPS_ROOT=$BATS_TEST_TMPDIR/none/bpf
	run tps attach taken lo --netns "$lab_id-other"
	assert_failure 1
	run ls -A "$BATS_TEST_TMPDIR/none"
	assert_output ""
	export TPS_ROOT=$lab_root
}

@test "an egress filter that somebody took away is told, and attach mends it" {
	local words=(attach "$lab_device" --netns "$(lab_netns server)")

	unchanged "${words[@]}"
	lab_run server tc filter del dev "$lab_device" egress
	assert_equal "$(tps -j status | jq -c '[.devices[].egress, (.warnings | length)]')" '[false,1]'
	run tps status
	assert_line "warning: device '$lab_device': its egress filter has gone: attach it again"
	changed "${words[@]}"
	unchanged "${words[@]}"
	lab_run server tc qdisc del dev "$lab_device" clsact
	assert_equal "$(tps -j status | jq -c '[.devices[].egress, (.warnings | length)]')" '[false,1]'
	changed "${words[@]}"
	assert_equal "$(tps -j status | jq -c '[.devices[].egress, .warnings]')" '[true,[]]'
}

@test "a clsact qdisc with somebody else's filter stays" {
	ip netns add "$lab_id-other"
	tps attach lo --netns "$lab_id-other" --xdp-mode generic
	nsenter --net="/run/netns/$lab_id-other" \
		tc filter add dev lo ingress prio 7 bpf da object-pinned "$lab_root/egress"
	tps detach lo --netns "$lab_id-other"
	run nsenter --net="/run/netns/$lab_id-other" tc filter show dev lo ingress
	assert_output --partial "pref 7"
}

@test "too little privilege: one line that says what is needed" {
	export TPS_ROOT=$BATS_TEST_TMPDIR/none/bpf
	run setpriv --bounding-set=-all --inh-caps=-all "$tpsctl" attach lo
	assert_failure 1
	assert_output --partial "cannot mount a bpffs: Operation not permitted; it needs CAP_SYS_ADMIN"
	run ls -A "$BATS_TEST_TMPDIR/none"
	assert_output ""
	mkdir "$TPS_ROOT"
	mount -t bpf -o mode=0700 bpf "$TPS_ROOT"
	run setpriv --bounding-set=-all --inh-caps=-all "$tpsctl" attach lo
	umount "$TPS_ROOT"
	assert_failure 1
	assert_output --partial "loading it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (root)"
	export TPS_ROOT=$lab_root
	refused 1 "needs CAP_SYS_ADMIN" capsh --drop=cap_sys_admin -- \
		-c "$tpsctl attach $lab_device --netns $(lab_netns server)"
	chmod 755 "$lab_dir"
	refused 1 "needs root" setpriv --reuid=65534 --clear-groups "$tpsctl" status
}

@test "key hash needs neither root nor a gate" {
	printf '%032d\n' 7 >"$BATS_TEST_TMPDIR/secret"
	chmod 600 "$BATS_TEST_TMPDIR/secret"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR"
	chown 65534 "$BATS_TEST_TMPDIR/secret"
	run env TPS_ROOT=/nowhere setpriv --reuid=65534 --clear-groups "$tpsctl" \
		key hash --secret /dev/fd/3 /dev/fd/4 3<"$BATS_TEST_TMPDIR/secret" \
		4<"$BATS_TEST_TMPDIR/first"
	assert_success
	assert_output --regexp '^hash:[0-9a-f]{8}:[0-9a-f]{32}$'
}

@test "no gate: one line that says how one is made" {
	refused 1 "no gate at '/run/tps-$lab_id-none/bpf': make one with tpsctl attach" \
		env TPS_ROOT="/run/tps-$lab_id-none/bpf" "$tpsctl" status
	[[ ! -e /run/tps-$lab_id-none ]]
}

@test "an old kernel is told, and nothing is left behind" {
	export TPS_ROOT=/run/tps-$lab_id-old/bpf
	run setarch "$(uname -m)" --uname-2.6 \
		"$tpsctl" attach "$lab_device" --netns "$(lab_netns server)"
	assert_failure 1
	assert_output --partial "tps needs Linux 6.1 or later"
	run ls -A "/run/tps-$lab_id-old"
	assert_output ""
	rmdir "/run/tps-$lab_id-old"
}

@test "a root that is a link, another's or open to others is refused" {
	ln -s "$lab_root" "$lab_dir/link"
	touch "$lab_dir/link.lock"
	refused 1 "a symbolic link" "$tpsctl" --root "$lab_dir/link" status
	chmod 711 "$lab_root"
	run tps status
	chmod 700 "$lab_root"
	assert_failure 1
	assert_output --partial "open to others (mode 711)"
	chown 65534 "$lab_root"
	run tps status
	chown 0 "$lab_root"
	assert_failure 1
	assert_output --partial "belongs to user 65534"
	rm "$lab_dir/link" "$lab_dir/link.lock"
}

@test "a root that is refused in any case leaves no lock and no directory" {
	ln -s "$lab_root" "$lab_dir/link"
	refused 1 "a symbolic link" \
		"$tpsctl" --root "$lab_dir/link" attach "$lab_device" --netns "$(lab_netns server)"
	rm "$lab_dir/link"
	[[ ! -e $lab_dir/link.lock ]]
	cd "$BATS_TEST_TMPDIR"
	refused 1 "expected an absolute path" \
		"$tpsctl" --root some/where attach "$lab_device" --netns "$(lab_netns server)"
	[[ ! -e some ]]
}

@test "a mount that would vanish is refused, and where the gate is seen it can be used" {
	export TPS_ROOT=/run/tps-$lab_id-private/bpf
	run unshare -m --propagation slave "$tpsctl" attach "$lab_device" --netns "$(lab_netns server)"
	assert_failure 1
	assert_output --partial "would vanish with this mount namespace"
	assert_output --partial "--netns NAME"
	run ip netns exec "$(lab_netns server)" "$tpsctl" attach "$lab_device"
	assert_failure 1
	assert_output --partial "would vanish with this mount namespace"
	[[ ! -e $TPS_ROOT ]]
	rm -r "/run/tps-$lab_id-private"
	export TPS_ROOT=$lab_root
	run ip netns exec "$(lab_netns server)" "$tpsctl" -j attach "$lab_device"
	assert_success
	assert_output '{"changed": false}'
}

@test "a device in its namespace has one name, by --netns and from inside" {
	run nsenter --net="/run/netns/$(lab_netns server)" "$tpsctl" -j attach "$lab_device"
	assert_output '{"changed": false}'
	assert_equal "$(tps -j status | jq -r '.devices | length')" 1
}

# epoch: which connections the gate followed without a gap.
epoch()
{
	bpftool -j map dump pinned "$lab_root/control" | jq '.[0].formatted.value.epoch'
}

@test "detached and attached again, settings and counters are there" {
	local before earlier

	tps set listener log --port 5000 --protocol udp
	tps set caller one --rate 1/h --burst 5 --source 203.0.113.1
	run datagrams 5000 203.0.113.1 8
	assert_output 5
	before=$(settings_here)
	tps detach "$lab_device" --netns "$(lab_netns server)"
	assert_equal "$(tps -j status | jq -c .devices)" '[]'
	assert_equal "$(verdicts one refused)" 3
	earlier=$(epoch)
	tps attach "$lab_device" --netns "$(lab_netns server)"
	((earlier < $(epoch))) || fail "connections of before pass for followed ones"
	assert_equal "$(settings_here)" "$before"
	run datagrams 5000 203.0.113.1 8
	assert_output 0
}

@test "strangers are listed by address with what they have left" {
	tps set listener log --port 5000 --protocol udp
	tps set tier free --rate 1/h --burst 5
	run datagrams 5000 203.0.113.77 8
	assert_output 5
	assert_equal "$(tps -j list strangers | jq -c '.[] | select(.address == "203.0.113.77") |
		[.proven_tokens, .unproven_tokens, .allowed, .refused]')" '[5,0,5,3]'
}

@test "killed at any moment, a command that is run again converges and leaves nothing" {
	local i

	for i in $(seq 1 40); do
		timeout -s KILL "0.0$((i % 30 + 5))" "$tpsctl" set caller acme --source 192.0.2.0/24 \
			--key-file "$BATS_TEST_TMPDIR/first" --sni a.example || true
		tps set caller acme --source 192.0.2.0/24 --key-file "$BATS_TEST_TMPDIR/first" \
			--sni a.example
		assert_equal "$(tps -j show caller acme | jq -c '[.sources, .sni]')" \
			'[["192.0.2.0/24"],["a.example"]]'
		timeout -s KILL "0.00$((i % 9 + 1))" "$tpsctl" delete caller acme || true
		tps delete caller acme --if-exists
	done
	for i in 1 2 3 4; do
		tps set caller "c$i" --source "192.0.2.$i"
	done
	tps set caller c1 --key-file "$BATS_TEST_TMPDIR/first"
	assert_equal "$(entries | jq -c '[.callers, .limits, .sources4, .keys, .hosts]')" '[4,4,4,1,0]'
	assert_equal "$(depths)" 0
}

# depths_there: the depths of the names that are there, whoever has them.
depths_there()
{
	bpftool -j map dump pinned "$lab_root/hosts" | jq -r '.[].formatted.value.name' |
		awk -F. '{bit[$1 == "*" ? NF - 1 : 0]} END {for (n in bit) sum += 2 ^ n; print sum + 0}'
}

# killed_at_each START ENDED COMMAND...: tpsctl's command is killed at each of its writes, after the
# function START laid what stood before; then ENDED looks, runs it again and looks.
killed_at_each()
{
	local points=$BATS_TEST_TMPDIR/points start=$1 ended=$2 call n
	shift 2

	"$start"
	points "$tpsctl" "$@" | grep -E '^(bpf|exit_group) ' >"$points"
	((4 <= $(wc -l <"$points")))
	while read -r call n; do
		"$start"
		killed_before "$call" "$n" "$tpsctl" "$@" 2>/dev/null
		"$ended" "$@"
	done <"$points"
}

one_suffix()
{
	tps delete caller acme --if-exists
	tps set caller acme --sni "*.example"
}

other_names()
{
	# an entry comes before its bit
	(($(depths) == ($(depths) & $(depths_there))))
	tps "$@"
	assert_equal "$(names acme)" '["*.b.example","a.example"]'
	assert_equal "$(depths)" $((1 | 1 << 2))
	assert_equal "$(entries | jq .hosts)" 2
	unchanged "$@"
}

@test "killed at any of its writes, a command that gives names is ended by the same one" {
	killed_at_each one_suffix other_names set caller acme --sni a.example --sni "*.b.example"
}

two_names()
{
	tps delete caller beta --if-exists
	tps set caller acme --sni a.example --sni "*.b.example"
}

no_names()
{
	# the gate looks for what is there
	(($(depths_there) == ($(depths) & $(depths_there))))
	tps "$@"
	assert_equal "$(names acme)" '[]'
	assert_equal "$(depths)" 0
	assert_equal "$(entries | jq .hosts)" 0
	unchanged "$@"
}

no_caller()
{
	tps "$@" --if-exists
	assert_equal "$(entries | jq -c '[.callers, .hosts]')" '[0,0]'
	assert_equal "$(depths)" 0
}

# Another takes the names instead, as soon as they are free.
another_caller()
{
	run tps set caller beta --sni a.example --sni "*.b.example"
	if ((status)); then
		assert_output --partial "is of caller 'acme'"
		assert_equal "$(names acme)" '["*.b.example","a.example"]'
		no_caller "$@"
		return
	fi
	assert_equal "$(names beta)" '["*.b.example","a.example"]'
	tps "$@" --if-exists
	assert_equal "$(entries | jq -c '[.callers, .hosts]')" '[1,2]'
	assert_equal "$(depths)" $((1 | 1 << 2))
}

@test "killed at any of its writes, a command that takes names is ended by the same one" {
	killed_at_each two_names no_names set caller acme --no-sni
}

@test "killed at any of its writes, a deletion is ended by the same one, and its names are free" {
	killed_at_each two_names no_caller delete caller acme
	killed_at_each two_names another_caller delete caller acme
}

@test "a command that fails at any of its writes has changed no name and no depth" {
	local call n failures=0 before

	tps set caller acme --sni "*.example"
	points "$tpsctl" set caller acme --tier free --add-sni a.example --add-sni "*.b.example" |
		grep bpf >"$BATS_TEST_TMPDIR/points"
	tps set caller acme --sni "*.example"
	before=$(settings)
	while read -r call n; do
		run strace -o "$BATS_TEST_TMPDIR/calls" -e "trace=$call" -e inject="$call:error=ENOMEM:when=$n" \
			"$tpsctl" set caller acme --add-sni a.example --add-sni "*.b.example" 3>&-
		grep -q INJECTED "$BATS_TEST_TMPDIR/calls"
		assert_failure 1
		assert_equal "${#lines[@]}" 1
		assert_equal "$(settings)" "$before"
		assert_equal "$(depths)" 2
		failures=$((failures + 1))
	done <"$BATS_TEST_TMPDIR/points"
	between 3 "$failures" 20
}

# le NUMBER: 32 bits as bpftool wants them.
le()
{
	printf '0x%02x 0x%02x 0x%02x 0x%02x ' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) \
		$(($1 >> 24 & 255))
}

@test "a slot that no name leads to, as a killed command leaves it, is used again" {
	local i zeros

	zeros=$(printf '0 %.0s' $(seq 1 16))
	# own, banned_until_ns: nothing; generation 77; tier, flags, padding: nothing
	# shellcheck disable=SC2046,SC2086
	bpftool map update pinned "$lab_root/limits" key $(le 3) value $zeros $(le 77) $(le 0) \
		$(le 0) $(le 0)
	assert_equal "$(entries | jq .limits)" 1
	for i in 1 2 3 4; do
		tps set caller "c$i"
	done
	assert_equal "$(entries | jq -c '[.callers, .limits]')" '[4,4]'
}

@test "a key that is waited for keeps nobody from the kill switch" {
	local setting

	mkfifo "$BATS_TEST_TMPDIR/pipe"
	"$tpsctl" set caller acme --key-file - <"$BATS_TEST_TMPDIR/pipe" 3>&- &
	setting=$!
	exec 4>"$BATS_TEST_TMPDIR/pipe"
	sleep 0.5
	changed pause
	assert_equal "$(tps -j status | jq -r .state)" paused
	printf 'first key' >&4
	exec 4>&-
	wait "$setting"
	assert_equal "$(tps -j show caller acme | jq '.keys | length')" 1
}

@test "a lock that is held is waited for, its holder named, and not for ever" {
	local holder waiting began=$SECONDS

	flock "$lab_root.lock" sleep 60 3>&- &
	holder=$!
	wait_until 5 grep -q "FLOCK .* $holder " /proc/locks
	"$tpsctl" list tiers >/dev/null 2>"$BATS_TEST_TMPDIR/reader" 3>&- &
	waiting=$!
	run --separate-stderr tps pause
	kill "$(pgrep -P "$holder")"
	assert_failure 1
	between 29 $((SECONDS - began)) 60
	assert_equal "${stderr_lines[0]}" \
		"tpsctl: note: waiting for process $holder, which holds '$lab_root.lock'"
	assert_equal "${stderr_lines[1]}" "tpsctl: lock '$lab_root.lock': process $holder holds it,\
 for over 30 s: end it, or try again"
	wait "$waiting" || :
	assert_equal "$(cat "$BATS_TEST_TMPDIR/reader")" "$stderr"
	changed pause
}

@test "a ban that a killed command left without its length is finished by the same command" {
	local bytes

	tps ban 203.0.113.9
	tps set listener log --port 5000 --protocol udp
	mapfile -t bytes < <(bpftool -j map dump pinned "$lab_root/control" | jq -r '.[0].value[]')
	# control.ban_lengths4, as the killed command found it
	bpftool map update pinned "$lab_root/control" key 0 0 0 0 \
		value "${bytes[@]:0:48}" 0 0 0 0 0 0 0 0 "${bytes[@]:56}"
	run datagrams 5000 203.0.113.9 2
	assert_output 2
	changed ban 203.0.113.9
	unchanged ban 203.0.113.9
	run datagrams 5000 203.0.113.9 2
	assert_output 0
}

@test "twenty commands at once: none is lost" {
	local i pids=()

	for i in $(seq 1 20); do
		"$tpsctl" set listener "l$i" --port "$((5000 + i))" --protocol udp 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	assert_equal "$(tps -j list listeners | jq length)" 20
}
