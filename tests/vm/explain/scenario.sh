# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# latchctl explain names the cause of each. There are an established latch, one that has ended, a
# connection that a rule does not latch, one in clear and one that does not exist yet. The last is a
# connect() that a rule refuses. Then D takes C's address. A latch that waits is broken,
# one that resets has ended, and explain names both peers; a new connection is contested.
#
# touches: control report history explain latchctl
# expect: clean
# run: conformance

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7001
		disposition = wait

		[rule free]
		action = off
		protocol = tcp
		local-port = 7100

		[rule needed]
		action = require
		protocol = tcp
		remote-port = 9000
	EOF
}

# explained WORDS... -- CONDITION: the document, and whether it meets the condition.
explained() {
	local words=() met

	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	answer latchctl --json explain "${words[@]}" >"$RUN/explained.json" || exit 1
	met=$(json "$2" <"$RUN/explained.json") || exit 1
	[ "$met" = true ]
}

# need_explained WHAT WORDS... -- CONDITION
need_explained() {
	local what=$1

	shift
	wait_until 30 explained "$@" || fail "$what: $(head -c 1500 "$RUN/explained.json")"
	log "$what: $(answer jq -r '.cause.code + ": " + .cause.text' "$RUN/explained.json")"
}

# shown TEXT WORDS...: a line of the answer for people.
shown() {
	local text=$1

	shift
	answer latchctl explain "$@" | has_line "$text" ||
		fail "explain $*: no line with '$text': $(latchctl explain "$@" 2>&1)"
}

# wrong TEXT WORDS...: one line, exit status 2.
wrong() {
	local text=$1 code=0

	shift
	latchctl explain "$@" >"$RUN/wrong.out" 2>"$RUN/wrong" || code=$?
	[ $code = 2 ] || fail "explain $*: exit status $code, not 2"
	grep -q -- "$text" "$RUN/wrong" || fail "explain $*: $(cat "$RUN/wrong")"
	[ "$(wc -l <"$RUN/wrong")" = 1 ] || fail "explain $*: not one line"
	[ ! -s "$RUN/wrong.out" ] || fail "explain $* wrote to its output"
}

flow_of() {
	echo tcp "$(addr w):$1" "$(addr c):$(port_of "c-$1")" netns lt-w
}

topology dpd=300s
WITH_LATCHD=1 honest_start
established=$(latch_id "$(at w 7000)")
read -ra flow <<<"$(flow_of 7000)"

need_explained "an established latch" "$established" -- \
	'.found == "latch" and .cause.code == "established" and .latch.peer.id == "c.example" and
	 .flow.netns_name == "lt-w" and .packet.verdict == "passed" and .next == null'
need_explained "the same by its flow" "${flow[@]}" -- \
	".found == \"latch\" and .latch.id == \"$established\""
shown "^latch  *$established, established" "$established"
[ "$(COLUMNS=80 answer latchctl list netns lt-w | matches -c established)" = 1 ] ||
	fail "list does not know the namespace by its name"

start_stream 7002
at_c=$(at c "$(port_of c-7002)")
ended=$(latch_id "$at_c")
end_stream c 7002
need 60 "C's latch has ended" no_latch "$at_c"
need_explained "a latch that has ended" "$ended" -- \
	'.found == "ended" and .cause.code == "ended" and .latch.peer.id == "w.example" and
	 .flow.netns_name == "lt-c" and .latch.ended != null and .mismatch == []'

start_stream 7100
read -ra free <<<"$(flow_of 7100)"
need_explained "a connection that a rule does not latch" "${free[@]}" -- \
	'.found == "socket" and .cause.code == "rule-off" and .rule.name == "free" and .latch == null'
end_stream c 7100

spawn w "$RUN/clear.pid" python3 -c "import socket, time
server = socket.create_server(('127.0.0.1', 7200))
client = socket.create_connection(('127.0.0.1', 7200), source_address=('127.0.0.1', 7201))
print('connected', flush=True)
time.sleep(600)" >"$RUN/clear.out" 2>&1
need 60 "a connection in clear" file_has "$RUN/clear.out" connected
need_explained "a connection in clear" tcp 127.0.0.1:7201 127.0.0.1:7200 netns lt-w -- \
	'.found == "socket" and .cause.code == "no-ipsec" and .now.code == "clear"'
kill_and_wait TERM "$(cat "$RUN/clear.pid")"

need_explained "a connection that does not exist yet" \
	tcp "$(addr w)" "$(addr c):5432" netns lt-w -- \
	'.found == "none" and .now.code == "latched" and (.now.text | contains("c.example")) and
	 (.now.policies | length) == 2 and .now.policies[0].action == "protect" and
	 any(.now.sas[]; .direction == "out" and .state == "bound" and .peer.id == "c.example")'
need_explained "one that a rule would refuse" tcp "$(addr w)" 10.9.0.77:9000 netns lt-w -- \
	'.found == "none" and .now.code == "required" and .rule.name == "needed"'

answer in_host w python3 -c "import errno, socket
s = socket.socket()
s.bind(('$(addr w)', 9001))
try:
    s.connect(('10.9.0.77', 9000))
except OSError as error:
    print(errno.errorcode[error.errno])" >"$RUN/refused.out"
grep -q ECONNABORTED "$RUN/refused.out" || fail "connect() ended otherwise: $(cat "$RUN/refused.out")"
need_explained "a refused connect()" tcp "$(addr w):9001" 10.9.0.77:9000 netns lt-w -- \
	'.found == "refused" and .cause.code == "required" and .rule.at_start == "needed" and
	 (.cause.text | contains("ECONNABORTED")) and (.next | contains("start_action = trap"))'
need_explained "the same without its local port" \
	dst 10.9.0.77 dport 9000 src "$(addr w)" netns lt-w -- \
	'.found == "refused" and .flow.local.port == 9001'

start_stream 7001
patient=$(latch_id "$(at w 7001)")
impostor_takes_over
need_reset
need 30 "the latch that resets has ended" no_latch "$(at w 7000)"
need_latch w 7001 broken
need_explained "a broken latch" "$patient" -- \
	'.found == "latch" and .cause.code == "sa-conflict" and .rule.at_start == "patient" and
	 (.cause.text | contains("\"c.example\"") and contains("\"d.example\"")) and
	 any(.mismatch[]; .field == "peer" and .expected == "c.example" and .actual == "d.example")'
need_explained "a latch that was broken and has ended" "$established" -- \
	'.found == "ended" and .cause.code == "sa-conflict" and .latch.broken != null and
	 any(.mismatch[]; .field == "peer" and .expected == "c.example" and .actual == "d.example")'
need_explained "the same by its flow" "${flow[@]}" -- \
	".found == \"ended\" and .latch.id == \"$established\""
need_explained "a new connection with two owners" tcp "$(addr w)" "$(addr c):5432" netns lt-w -- \
	'.now.code == "contested" and
	 ([.now.sas[] | select(.direction == "out") | .peer.id] | sort) == ["c.example", "d.example"]'
need_explained "the packet that was dropped last" "$patient" -- \
	'.packet.verdict == "dropped" and .latch.drops > 0'

wrong "not a remote end" tcp 10.9.0.1 10.9.0.2
wrong "unknown field" tcpp 10.9.0.1 10.9.0.2:1
wrong "IPv4, the other one IPv6" tcp 10.9.0.1 "[fd09::2]:1"
code=0
latchctl explain fedcba9876543210 >"$RUN/unknown.out" 2>"$RUN/unknown" || code=$?
[ $code = 1 ] || fail "an unknown ID: exit status $code"
grep -q "is not remembered (records since" "$RUN/unknown" || fail "an unknown ID: $(cat "$RUN/unknown")"
note "each cause is named"
