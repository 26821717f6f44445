# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# Programs of uid 65534 wish for their peer: clients and listeners of W, for c.example or d.example.
# What is wished for C works with C, also while its keys are renewed. What is wished for D is refused
# while C has the address, and says why. Then D takes C's address: what is wished for C gets no
# connection, and D gets no byte of it. The control, without a wish, connects to D, and so does what
# is wished for D. Wishes are enforced in audit mode, without latchd, and by the next latchd. Purge
# ends them, and then none is taken.
#
# touches: api enforce latch gate
# run: conformance
# variant: wish-ipv6 family=6
# expect: clean

rules() {
	printf '\n[api]\nenabled = on\n'
}

# has_line_of TAG FILTER: some line of the program so far.
has_line_of() {
	[ "$(abi_jq -s "any(.[]; $2)" <"$RUN/ask-$1")" = true ]
}

# need_line TAG WHAT FILTER
need_line() {
	wait_until 60 has_line_of "$1" "$3" ||
		fail "$2: $(tail -n 1 "$RUN/ask-$1") $(tail -n 1 "$RUN/ask-$1.err")"
	log "$2"
}

# serves HOST TAG PORT [OPTION...]: a server of W's or C's address, until it listens.
serves() {
	local host=$1 tag=$2 port=$3 at=$1

	shift 3
	[ "$host" != d ] || at=c
	asking "$host" "$tag" "$@" serve "$(addr "$at")" "$port"
	need_answer "$tag" "$tag listens" '.listener.state == LATCH_APP_LISTENER'
}

# connects TAG PORT [OPTION...]: a client of W, to whatever has C's address.
connects() {
	local tag=$1 port=$2

	shift 2
	asking w "$tag" "$@" connect "$(addr c)" "$port"
}

# need_refused TAG WHAT WHY ERROR: connect() has ended at once, and the socket says why.
need_refused() {
	need_line "$1" "$2" ".connect == \"$4\" and .took < 10"
	need_answer "$1" "$2: why" ".state == LATCH_APP_NOT_LATCHED and .info.why == $3 and .peer == \"ENODATA\""
}

# need_accepts_none HOST TAG PORT CONNECTOR: the listener of W refuses what the other host opens.
need_accepts_none() {
	local host=$1 tag=$2 port=$3 connector=$4

	asking "$host" "$connector" connect "$(addr w)" "$port"
	need 30 "W refuses a connection to $port" event_seen \
		".event == \"latch-refused\" and .wish == \"peer\" and .local.port == $port and .packet == \"ingress\""
	no_latch "$(at w "$port")" || fail "a latch of W at $port"
	! has_line_of "$tag" '.state' || fail "$tag has accepted a connection"
}

readonly C_PEER='.state == LATCH_APP_ESTABLISHED and .peer == "c.example"'
readonly D_PEER='.state == LATCH_APP_ESTABLISHED and .peer == "d.example"'
readonly LOST_C='.state == LATCH_APP_BROKEN and .info.why == LATCH_WHY_SA_CONFLICT and .peer == "c.example"'

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start
how=${*:+ ($*)}

# ---- C is there

serves c c-7020 7020
connects wish-c 7020 --peer=c.example --say=FOR-C-ONLY
need_answer wish-c "a client that wishes c.example" "$C_PEER"
serves w listen-c 7021 --peer=c.example --local=w.example --connection=peer --say=FOR-C-ONLY
asking c c-client connect "$(addr w)" 7021
need_answer listen-c "what a listener that wishes c.example accepts" "$C_PEER"
conforms R-2.3-16 "a listener's expected peer counts for what it accepts$how"
conforms R-2.3-17 "a client's expected peer counts for its latch$how"
need 60 "C decrypts what is for C only" decrypted c FOR-C-ONLY

serves c c-7022 7022
connects wish-d 7022 --peer=d.example
need_refused wish-d "a client that wishes d.example" LATCH_WHY_PEER EKEYREJECTED
connects no-wish 7022
need_answer no-wish "the same without a wish" "$C_PEER"
serves w listen-d 7023 --peer=d.example
need_accepts_none c listen-d 7023 c-refused
serves w clear-server 7024
asking w clear --require connect "$(addr w)" 7024
need_refused clear "a client of its own host, in clear" LATCH_WHY_REQUIRED ENOKEY

renew CHILD_SA rekey_child 3
renew IKE_SA reauthenticate
need_no_break
need_answer wish-c "the wish for c.example after new keys" "$C_PEER and .seen == []"
need_answer listen-c "the accepted one" "$C_PEER and .seen == []"

# ---- D takes C's address

impostor_takes_over
need_answer wish-c "W's connection after D's SA" "$LOST_C"
need_answer listen-c "the accepted one" "$LOST_C"
need 120 "W gives C up" has_no_children w c.example
serves d d-7030 7030
connects again-c 7030 --peer=c.example --say=FOR-C-ONLY
need_refused again-c "a client that wishes c.example, with D" LATCH_WHY_PEER EKEYREJECTED
conforms S25 "a connection to a peer that was named in advance fails with another one$how"
connects control 7030
need_answer control "the control, without a wish" "$D_PEER"
serves w listen-c-2 7031 --peer=c.example --say=FOR-C-ONLY
need_accepts_none d listen-c-2 7031 d-refused
serves d d-7032 7032
connects again-d 7032 --peer=d.example
need_answer again-d "a client that wishes d.example, with D" "$D_PEER"
serves w listen-d-2 7033 --peer=d.example
asking d d-client connect "$(addr w)" 7033
need_answer listen-d-2 "what a listener that wishes d.example accepts from D" "$D_PEER"

# ---- audit mode

answer latchctl mode audit >/dev/null
serves d d-7034 7034
connects audit-c 7034 --peer=c.example --say=FOR-C-ONLY
need_refused audit-c "in audit mode a client that wishes c.example" LATCH_WHY_PEER EKEYREJECTED
connects audit-d 7034 --peer=d.example
need_answer audit-d "in audit mode one that wishes d.example" "$D_PEER"
serves d d-7035 7035
connects audited 7035
need_answer audited "in audit mode one without a wish" '.state == LATCH_APP_AUDITED'
answer latchctl mode enforce >/dev/null
need_answer audit-d "it was enforced all the time" "$D_PEER"
need_answer audited "it was not" '.state == LATCH_APP_AUDITED'

# ---- without latchd

kill9_latchd
serves d d-7036 7036
connects alone-c 7036 --peer=c.example --say=FOR-C-ONLY
need_line alone-c "without latchd a client that wishes c.example begins" '.connecting'
connects alone-d 7036 --peer=d.example
need_answer alone-d "without latchd one that wishes d.example" "$D_PEER"
! has_line_of alone-c '.connect == null and has("took")' || fail "alone-c is connected"
start_latchd
need_line alone-c "the next latchd ends it" '.connect == "EKEYREJECTED"'
need_answer alone-c "and it says why" '.state == LATCH_APP_NOT_LATCHED and .info.why == LATCH_WHY_PEER'
! decrypted d FOR-C-ONLY || fail "D decrypted what is for C only"

# ---- purge

kill9_latchd
latchctl --yes purge >"$RUN/purge.log" 2>&1 || fail "latchctl purge: $(tail -n 1 "$RUN/purge.log")"
connects purged 7036 --require
need_line purged "after purge no wish is taken" '.wish == "ENOTSUP" or .wish == "ENOPROTOOPT"'
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "wishes for c.example: C served, D refused; D decrypted nothing of them"
