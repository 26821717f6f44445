# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# UDP sockets of W that are never connected, of uid 65534, send to C's address and read what comes from
# there. One wishes for c.example and one for d.example, each datagram for itself; the control has no
# wish. While C is there, the first one and the control exchange datagrams with C. The other one sends
# and reads nothing. Then D takes C's address, and it is the other way round: D decrypts nothing of the
# first one, which reads nothing of D. An SA renewed by C, and latchd killed and started again, change
# nothing of that.
#
# touches: api gate
# run: conformance
# variant: loose-datagrams-ipv6 family=6
# expect: clean

rules() {
	printf '\n[api]\nenabled = on\n'
}

# reports TAG FILTER: the last whole line of the program.
reports() {
	[ "$(last_answer "$1" "$2")" = true ]
}

# need_report TAG WHAT FILTER
need_report() {
	wait_until 60 reports "$1" "$3" ||
		fail "$2: $(tail -n 1 "$RUN/ask-$1") $(tail -n 1 "$RUN/ask-$1.err")"
	log "$2"
}

# sockets_of HOST TEXT: three sockets at C's address, each for one of W.
sockets_of() {
	local port

	for port in 7101 7102 7103; do
		asking "$1" "$1-$port" --say="$2" loose "$(addr c)" "$port" "$(addr w)" "$port"
	done
}

# exchanges TAG HOST PORT OTHERS-TEXT OWN-TEXT: the socket of W and the one of HOST read each other.
exchanges() {
	need_report "$1" "the socket $1 of W sends, and reads what $2 says" ".sent == null and any(.heard[]; . == \"$4\")"
	need_report "$2-$3" "$2 reads what the socket $1 says" "any(.heard[]; . == \"$5\")"
}

# is_silent TAG HOST PORT OTHERS-TEXT
is_silent() {
	need_report "$1" "the socket $1 of W sends nothing" '.sent == "EPERM"'
	reports "$1" "all(.heard[]; . != \"$4\")" || fail "the socket $1 reads what $2 says"
	reports "$2-$3" 'all(.heard[]; . == "FOR-EACH-PEER")' || fail "$2 reads what the socket $1 says"
}

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start
how=${*:+ ($*)}

# ---- C is there

asking w for-c --peer=c.example --datagrams --say=FOR-C-ONLY loose "$(addr w)" 7101 "$(addr c)" 7101
asking w for-d --peer=d.example --datagrams --say=FOR-D-ONLY loose "$(addr w)" 7102 "$(addr c)" 7102
asking w control --say=FOR-EACH-PEER loose "$(addr w)" 7103 "$(addr c)" 7103
sockets_of c FROM-C
exchanges for-c c 7101 FROM-C FOR-C-ONLY
exchanges control c 7103 FROM-C FOR-EACH-PEER
is_silent for-d c 7102 FROM-C
need 60 "C decrypts what is for C only" decrypted c FOR-C-ONLY
renew CHILD_SA rekey_child 2
need_no_break
need_report for-c "the socket for-c after new keys" '.sent == null'

# ---- D takes C's address

impostor_takes_over
need 120 "W gives C up" has_no_children w c.example
sockets_of d FROM-D
exchanges for-d d 7102 FROM-D FOR-D-ONLY
exchanges control d 7103 FROM-D FOR-EACH-PEER
is_silent for-c d 7101 FROM-D
need 60 "D decrypts what is for each peer" decrypted d FOR-EACH-PEER

# ---- without latchd, and with the next one

kill9_latchd
is_silent for-c d 7101 FROM-D
need_report for-d "without latchd the socket for-d" '.sent == null'
start_latchd
is_silent for-c d 7101 FROM-D
need_report for-d "with the next latchd the socket for-d" '.sent == null'
! decrypted d FOR-C-ONLY || fail "D decrypted what is for C only"
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "unconnected datagrams: each socket exchanged them with its wished peer only$how"
