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
# is wished for D. A break does to each socket what it wishes. Wishes are enforced in audit mode, without
# latchd, and by the next latchd. Purge ends them, and then none is taken. A socket from before has no
# wish then, so it does not connect, and accepts nothing, also with the next latchd.
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

# need_refused TAG WHAT WHY ERROR: connect() has ended, before its second SYN, and the socket says why.
need_refused() {
	need_line "$1" "$2" ".connect == \"$4\" and .took < 0.9"
	need_answer "$1" "$2: why" ".state == LATCH_APP_NOT_LATCHED and .info.why == $3 and .peer == \"ENODATA\""
}

# need_accepts_none HOST TAG PORT CONNECTOR: the listener of W refuses what the other host opens.
need_accepts_none() {
	local host=$1 tag=$2 port=$3 connector=$4

	asking "$host" "$connector" connect "$(addr w)" "$port"
	need 30 "W refuses a connection to $port" event_seen \
		".event == \"latch-refused\" and .wish == \"peer\" and .local.port == $port and .packet == \"ingress\""
	has_accepted_none "$tag" "$port"
}

# Also later, since the other host sends its SYN again.
has_accepted_none() {
	no_latch "$(at w "$2")" || fail "a latch of W at $2"
	! has_line_of "$1" '.state' || fail "$1 has accepted a connection"
}

# connects_held TAG: one that has made its wish before.
connects_held() {
	kill -USR1 "$(cat "$RUN/ask-$1.pid")" || fail "no $1"
}

readonly C_PEER='.state == LATCH_APP_ESTABLISHED and .peer == "c.example"'
readonly D_PEER='.state == LATCH_APP_ESTABLISHED and .peer == "d.example"'
readonly LOST_C='.state == LATCH_APP_BROKEN and .info.why == LATCH_WHY_SA_CONFLICT and .peer == "c.example"'

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start
how=${*:+ ($*)}

# ---- options of others: Linux 6.1 shows a program a page at most

in_host w python3 - <<-'EOF' || fail "a filter that is longer than a page is refused"
	import ctypes, socket, struct
	count = 600
	code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xffff) * count)
	sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", count, ctypes.addressof(code)))
	try:
	    sock.setsockopt(socket.IPPROTO_IP, 64, bytes(8192))
	except OSError as error:
	    assert error.errno != 14, "EFAULT"
EOF

# ---- C is there

serves c c-7020 7020
connects wish-c 7020 --peer=c.example --say=FOR-C-ONLY
need_answer wish-c "a client that wishes c.example" "$C_PEER"
serves c c-7026 7026
connects class-c 7026 --class=PUBLIC_KEY --bits=128
need_answer class-c "a client that wishes a public key and 128 bits" "$C_PEER"
serves c c-7027 7027
connects eap-c 7027 --class=EAP
need_refused eap-c "a client that wishes EAP" LATCH_WHY_CLASS EKEYREJECTED
connects bits-c 7027 --bits=129
need_refused bits-c "a client that wishes 129 bits" LATCH_WHY_QUALITY EKEYREJECTED
for wished in TIMEOUT:7028 WAIT:7029; do
	serves c "c-${wished#*:}" "${wished#*:}"
	connects "${wished%:*}" "${wished#*:}" --disposition="${wished%:*}"
	need_answer "${wished%:*}" "a client that wishes ${wished%:*}" "$C_PEER"
done
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
need_answer wish-c "W's connection after D's SA" "$LOST_C and any(.seen[]; endswith(\"ECONNABORTED\"))"
need_answer TIMEOUT "the one that wishes a timeout" "$LOST_C and any(.seen[]; endswith(\"ETIMEDOUT\"))"
need_answer WAIT "the one that wishes to wait" "$LOST_C and .seen == []"
conforms R-5.5-1 "a break does what the application has wished$how"
need_answer listen-c "the accepted one" "$LOST_C"
need 120 "W gives C up" has_no_children w c.example
serves d d-7030 7030
connects again-c 7030 --peer=c.example --say=FOR-C-ONLY
need_refused again-c "a client that wishes c.example, with D" LATCH_WHY_PEER EKEYREJECTED
conforms S25 "a connection to a peer that was named in advance fails with another one$how"
connects control 7030 --say=FOR-EACH-PEER
need_answer control "the control, without a wish" "$D_PEER"
need 60 "D decrypts what is for each peer" decrypted d FOR-EACH-PEER
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

asking w held-c --peer=c.example --say=FOR-C-ONLY held "$(addr c)" 7036
need_line held-c "a socket that wishes c.example, and does not connect yet" '.held'
serves w listen-c-3 7037 --peer=c.example --say=FOR-C-ONLY

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
for tag in listen-d:7023 listen-c-2:7031 listen-c-3:7037; do
	has_accepted_none "${tag%:*}" "${tag#*:}"
done

# ---- purge

kill9_latchd
latchctl --yes purge >"$RUN/purge.log" 2>&1 || fail "latchctl purge: $(tail -n 1 "$RUN/purge.log")"
grep -Eq '^[0-9]+ sockets had a wish, and connect to any peer now$' "$RUN/purge.log" ||
	fail "purge counts no wishes: $(tail -n 1 "$RUN/purge.log")"
connects purged 7036 --require
need_line purged "after purge no wish is taken" '.wish == "ENOTSUP" or .wish == "ENOPROTOOPT"'
start_latchd
connects_held held-c
need_line held-c "a socket whose wish purge has ended does not connect" '.connect == "ENOKEY"'
asking d d-last connect "$(addr w)" 7037
need_line listen-c-3 "a listener whose wish purge has ended accepts nothing" '.accept == "ENOKEY"'
! has_line_of listen-c-3 '.state' || fail "listen-c-3 has accepted a connection"
! decrypted d FOR-C-ONLY || fail "D decrypted what is for C only"
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "wishes for c.example: C served, D refused; D decrypted nothing of them"
