# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
#	[peer web]  id = c.example          [rule web]  ports 7040-7049: peer = web
#	[peer db]   host = d.*              [rule db]   ports 7050-7059: peer = db
#	[peer all]  host = *.example        [rule strong]  port 7060: min-encryption = 136
#
# Rules of W name their peer by a set, and so do programs of uid 65534. C is of the sets web and all, so
# it gets what the rule web protects, and nothing of the rule db. Then D takes C's address, and it is the
# other way round; the control, of no rule, connects to D. The SAs have keys of 128 bits: the rule strong
# admits neither. W's connection has the remote id *.example, so the names are proven to be host names.
# A reload moves the sets: the next connection is decided by the new ones, and a running one goes on. A
# reload with a fault changes nothing. latchctl and the sockets show the same tags.
#
# touches: api config enforce gate identity
# run: conformance
# variant: tags-ipv6 family=6
# expect: clean

WEB=$'id = c.example\n'
rule() {
	printf '\n[rule %s]\naction = require\nprotocol = tcp\nremote-port = %s\n%s\n' "$1" "$2" "$3"
}

rules() {
	printf '\n[api]\nenabled = on\n'
	printf '\n[peer web]\nclass = public-key\n%s' "$WEB"
	printf '\n[peer db]\nclass = public-key\nhost = d.*\n'
	printf '\n[peer all]\nclass = public-key\nhost = *.example\n'
	printf '\n[peer other]\nclass = psk\nhost = d.*\n'
	rule web 7040-7049 'peer = web'
	rule db 7050-7059 'peer = db'
	rule strong 7060 'min-encryption = 136'
	rule psk 7061 'peer = other'
	printf '%s' "$FAULT"
}
FAULT=''

# times_of TEXT: lines of latchd's log with the text.
times_of() {
	matches -cF -e "$1" "$LATCHD_LOG"
}

logged_more_than() {
	[ "$(times_of "$2")" -gt "$1" ]
}

# hang_up TEXT: a reload; latchd's log then has the text once more.
hang_up() {
	local before

	before=$(times_of "$1") || exit 1
	latchd_config >"$RUN/latchd.conf"
	kill -HUP "$(latchd_pid)"
	need 60 "latchd's log says: $1" logged_more_than "$before" "$1"
	running "$(latchd_pid)" || fail "SIGHUP has ended latchd"
}

has_line_of() {
	[ "$(abi_jq -s "any(.[]; $2)" <"$RUN/ask-$1")" = true ]
}

need_line() {
	wait_until 60 has_line_of "$1" "$3" ||
		fail "$2: $(tail -n 1 "$RUN/ask-$1") $(tail -n 1 "$RUN/ask-$1.err")"
	log "$2"
}

# opens HOST PORT [OPTION...]: W connects to a server of HOST, at C's address. TAG is w-PORT.
opens() {
	local host=$1 port=$2

	shift 2
	[ -e "$RUN/ask-$host-$port" ] || {
		asking "$host" "$host-$port" serve "$(addr c)" "$port"
		need_answer "$host-$port" "$host listens at $port" '.listener != null'
	}
	asking w "w-$port" "$@" connect "$(addr c)" "$port"
}

# admits HOST PORT TAGS [OPTION...]
admits() {
	local host=$1 port=$2 tags=$3

	shift 3
	opens "$host" "$port" "$@"
	need_answer "w-$port" "$host is admitted at port $port" \
		".state == LATCH_APP_ESTABLISHED and .peer == \"$host.example\" and .tags == $tags"
}

# refuses HOST PORT REASON [OPTION...]: connect() ends before its second SYN, and the event says why.
refuses() {
	local host=$1 port=$2 reason=$3

	shift 3
	opens "$host" "$port" --say=FOR-C-ONLY "$@"
	need_line "w-$port" "$host is refused at port $port" \
		'(.connect == "ECONNABORTED" or .connect == "EKEYREJECTED") and .took < 0.9'
	need 30 "the event of port $port" event_seen \
		".event == \"latch-refused\" and .reason == \"$reason\" and .remote.port == $port"
	no_latch ".remote.port == $port and .local.addr == \"$(addr w)\"" || fail "a latch to port $port"
}

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start
how=${*:+ ($*)}

# ---- C is there

admits c 7040 '["web","all"]'
refuses c 7050 identity
refuses c 7060 qop
refuses c 7061 identity
admits c 7070 '["web","all"]' --tag=web
refuses c 7071 identity --tag=db
refuses c 7072 identity --tag=none
# tags_in_list CONDITION...: of W's latches.
tags_in_list() {
	answer latchctl --json list src "$(addr w)" "$@" | jq -r '.latches[].tags | join(" ")'
}
[ "$(tags_in_list dport 7040)" = "web all" ] || fail "latchctl list shows other tags than the socket"
[ "$(tags_in_list tag web dport 7040)" = "web all" ] || fail "latchctl list tag web"
[ -z "$(tags_in_list tag db dport 7040)" ] || fail "latchctl list tag db"
conforms R-2.3-17 "an application expects a tag$how"
renew CHILD_SA rekey_child 2
need_no_break

# ---- a reload

WEB=$'id = none.example\n'
hang_up "reloaded: 4 rules"
need_answer w-7040 "the running connection has other tags" '.state == LATCH_APP_ESTABLISHED and .tags == ["all"]'
need_answer w-7070 "so has that of the application" '.state == LATCH_APP_ESTABLISHED and .tags == ["all"]'
refuses c 7041 identity
refuses c 7073 identity --tag=web
renew CHILD_SA rekey_child 1
need_no_break
WEB=$'id = c.example\n'
FAULT=$'\n[rule bad]\naction = require\npeer = none\n'
hang_up "not reloaded, nothing changed"
refuses c 7042 identity
FAULT=''
hang_up "reloaded: 4 rules"
admits c 7043 '["web","all"]'

# ---- D takes C's address

impostor_takes_over
need_answer w-7040 "W's connection after D's SA" '.state == LATCH_APP_BROKEN and .peer == "c.example"'
need 120 "W gives C up" has_no_children w c.example
refuses d 7044 identity
refuses d 7074 identity --tag=web
admits d 7051 '["db","all"]'
admits d 7075 '["db","all"]' --tag=all
opens d 7080 --say=FOR-EACH-PEER
need_answer w-7080 "the control, of no rule" '.state == LATCH_APP_ESTABLISHED and .peer == "d.example"'
need 60 "D decrypts what is for each peer" decrypted d FOR-EACH-PEER

# ---- without latchd, and a new start

kill9_latchd
start_latchd
refuses d 7045 identity
admits d 7052 '["db","all"]'
! decrypted d FOR-C-ONLY || fail "D decrypted what is for C only"
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "sets: C is web, D is db; each rule and tag admitted its own peer only, before and after reloads"
