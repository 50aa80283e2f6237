# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Completion of tpsctl(8) for bash. Knows no verb and no option: it asks the tpsctl that it completes,
# whose help is made from the table of its verbs. Names are the gate's; without one it is silent.

# _tpsctl_ask WORD...: by the tpsctl and the root of the command line.
_tpsctl_ask()
{
	"$_tpsctl_program" ${_tpsctl_root:+--root "$_tpsctl_root"} "$@" 2>/dev/null </dev/null
}

# Lines of the verbs: one or two words each.
_tpsctl_verbs()
{
	_tpsctl_ask help | sed -nE 's/^  ([a-z-]+( [a-z-]+)?)  .*/\1/p'
}

# _tpsctl_names callers|tiers|listeners...
_tpsctl_names()
{
	_tpsctl_ask list "$1" | awk 'NR > 1 {print $1}'
}

_tpsctl_devices()
{
	ip ${1:+-n "$1"} -o link show 2>/dev/null | sed -nE 's/^[0-9]+: ([^:@]+).*/\1/p'
}

# _tpsctl_reply WORDS: those that begin like the word at hand.
_tpsctl_reply()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$_tpsctl_word")
}

_tpsctl_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$_tpsctl_word")
}

# _tpsctl_value WORD: what stands for a value in the use of a verb.
_tpsctl_value()
{
	case $1 in
	*'|'*) _tpsctl_reply "${1//|/ }" ;;
	NAME) [[ $before != --netns ]] || _tpsctl_reply "$(ip netns list 2>/dev/null | awk '{print $1}')" ;;
	T) _tpsctl_reply "$(_tpsctl_names tiers)" ;;
	F | FILE | FILE.*) _tpsctl_files ;;
	DIR)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$_tpsctl_word")
		;;
	*) ;;
	esac
}

# _tpsctl_operand VERB USE NETNS: only the first of them is a NAME.
_tpsctl_operand()
{
	local -a of_verb

	read -ra of_verb <<<"$1"
	case $1 in
	set\ * | show\ * | delete\ *) ((${#words[@]} == ${#of_verb[@]})) || return 0 ;;
	esac
	case $1 in
	'set default-tier') _tpsctl_reply "$(_tpsctl_names tiers)" ;;
	set\ * | show\ * | delete\ *) _tpsctl_reply "$(_tpsctl_names "${1#* }s")" ;;
	help) _tpsctl_reply "$(_tpsctl_verbs | tr ' ' '\n' | sort -u)" ;;
	*)
		case $2 in
		*DEVICE*) _tpsctl_reply "$(_tpsctl_devices "$3")" ;;
		*'[LISTENER'*) _tpsctl_reply "$(_tpsctl_names listeners)" ;;
		*caller:NAME*) _tpsctl_reply 'caller:' && compopt -o nospace 2>/dev/null ;;
		*FILE*) _tpsctl_files ;;
		esac
		;;
	esac
}

_tpsctl()
{
	local _tpsctl_program=$1 _tpsctl_root='' _tpsctl_word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]} netns='' verbs verb='' use='' i
	local -a words=()

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root) _tpsctl_root=${COMP_WORDS[++i]-} ;;
		--netns) netns=${COMP_WORDS[++i]-} ;;
		-*) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	verbs=$(_tpsctl_verbs)
	if ((${#words[@]} > 1)) && grep -qxF -- "${words[0]} ${words[1]}" <<<"$verbs"; then
		verb="${words[0]} ${words[1]}"
	elif ((${#words[@]})) && grep -qxF -- "${words[0]}" <<<"$verbs"; then
		verb=${words[0]}
	fi
	if [[ $before == --root ]]; then
		_tpsctl_value DIR
	elif [[ ! $verb && $_tpsctl_word == -* ]]; then
		_tpsctl_reply '--root --json --verbose --help'
	elif [[ ! $verb ]]; then
		# the first word, or the second of those that begin so
		_tpsctl_reply "$(awk -v first="${words[0]-}" 'first == "" {print $1}
			first != "" && $1 == first {print $2}' <<<"$verbs" | sort -u)"
	else
		# shellcheck disable=SC2086 # a verb is one word or two
		use=$(_tpsctl_ask help $verb | sed -n '1s/^usage: tpsctl //p')
		# tpsctl: an option's value stands behind it in its use
		if [[ $before == --* && $use =~ $before' '([^]\ []+) && ${BASH_REMATCH[1]} != '|' ]]; then
			_tpsctl_value "${BASH_REMATCH[1]}"
		elif [[ $before == : && $use == *caller:NAME* ]]; then
			_tpsctl_reply "$(_tpsctl_names callers)"
		elif [[ $_tpsctl_word == : && $use == *caller:NAME* ]]; then
			_tpsctl_word=''
			_tpsctl_reply "$(_tpsctl_names callers)"
		elif [[ $_tpsctl_word == -* ]]; then
			_tpsctl_reply "$(grep -oE -- '--[a-z0-9-]+' <<<"$use") --root --json --verbose --help"
		else
			_tpsctl_operand "$verb" "$use" "$netns"
		fi
	fi
}

complete -F _tpsctl tpsctl
