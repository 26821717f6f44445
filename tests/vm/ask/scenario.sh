# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# Programs of uid 65534 ask their own sockets: a TCP server and a UDP socket at W, their peers at C,
# and a connection in clear. One UDP socket has a datagram in clear from before its latch. One that
# has connected elsewhere is reset, and does not answer for C. D takes C's address. The same
# descriptors then tell why, and which peer they had. A connection of D answers for D. Answers survive
# latchd, and end with purge. latchctl whois tells no more than the sockets.
#
# touches: api enforce config watch latchctl
# run: conformance ask-ipv6
# variant: ask-ipv6 family=6
# expect: clean

ANSWERS=on
rules() {
	printf '\n[api]\nenabled = %s\n' "$ANSWERS"
}

asked_more_than() {
	[ "$(wc -l <"$RUN/ask-tcp-2")" -gt $(($1 + 3)) ]
}

# sending TAG...: these UDP sockets are all connected, and send from now on.
sending() {
	local tag

	for tag in "$@"; do
		need 60 "the UDP socket $tag is connected" file_has "$RUN/ask-$tag" '"connected": true'
	done
	for tag in "$@"; do
		kill -USR1 "$(cat "$RUN/ask-$tag.pid")" || fail "no $tag"
	done
}

# whois PORT COUNT FILTER: so many network namespaces have a connection with this port of W, and it
# is so at W.
whois() {
	local end found

	end=$(addr w)
	[[ $end != *:* ]] || end="[$end]"
	found=$(latchctl --json whois "$end:$1" 2>"$RUN/whois.err") ||
		file_has "$RUN/whois.err" 'no latched connection has this end' ||
		fail "latchctl whois failed: $(tail -n 1 "$RUN/whois.err")"
	[ "$(json ".connections | ([.[].netns] | unique | length) == $2 and
		length == $2 and any(.[]; .local.port == $1 and $3)" <<<"$found")" = true ]
}

# whois_socket TAG FILTER: root asks a copy of the application's only socket.
whois_socket() {
	local pid number

	pid=$(cat "$RUN/ask-$1.pid")
	number=$(find "/proc/$pid/fd" -lname 'socket:*' -printf '%f\n')
	latchctl --json whois --pid "$pid" --fd "$number" >"$RUN/whois.json" 2>"$RUN/whois.err" || return
	[ "$(json ".connections | length == 1 and all(.[]; $2)" <"$RUN/whois.json")" = true ]
}

reload() {
	ANSWERS=$1
	latchd_config >"$RUN/latchd.conf"
	kill -HUP "$(latchd_pid)"
}

readonly LISTENS='.listener.state == LATCH_APP_LISTENER'
readonly PROVEN=".uid == $UNPRIVILEGED and .state == LATCH_APP_ESTABLISHED"
readonly TO_C="$PROVEN and .peer == \"c.example\" and .local == \"w.example\""
readonly TO_W="$PROVEN and .peer == \"w.example\" and .local == \"c.example\""
readonly D_TO_W="$PROVEN and .peer == \"w.example\" and .local == \"d.example\""
readonly W_TO_D="$PROVEN and .peer == \"d.example\" and .local == \"w.example\""
readonly CLEAR='.state == LATCH_APP_NOT_LATCHED and .info.why == LATCH_WHY_CLEAR and .peer == "ENODATA"'
readonly UNCONNECTED='.state == LATCH_APP_NOT_LATCHED and .info.why == LATCH_WHY_NOT_CONNECTED and
	.peer == "ENODATA"'
readonly UNPROVEN='.state == LATCH_APP_UNPROVEN and .info.why == LATCH_WHY_EARLIER_DATA and
	.peer == "ENODATA" and .connection == "ENODATA"'
readonly LOST_C='.state == LATCH_APP_BROKEN and .info.why == LATCH_WHY_SA_CONFLICT and
	.info.reasons == LATCH_APP_SA_CONFLICT and .peer == "c.example"'
# Python has one name for errno 95.
readonly AWAY='.state == "ENOTSUP" or .state == "ENOPROTOOPT"'

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start
how=${*:+ ($*)}

# ---- before the attack

asking w tcp serve "$(addr w)" 7010
need_answer tcp "a listener" "$LISTENS and .listener.info.latch != \"0\""
asking c tcp-c connect "$(addr w)" 7010
asking w udp udp "$(addr w)" 8001 "$(addr c)" 8000
asking c udp-c udp "$(addr c)" 8000 "$(addr w)" 8001
sending udp udp-c
asking w late late "$(addr w)" 8003 "$(addr c)" 8002
need 60 "a UDP socket without a connection" file_has "$RUN/ask-late" '"bound": true'
in_host w python3 -c 'import socket, sys
to = (sys.argv[1], 8003)
socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM).sendto(b"clear", to)' \
	"$(addr w)" || fail "no datagram in clear"
sending late
asking w moved moved "$(addr w)" 8005 "$(addr c)" 8004
asking c moved-c udp "$(addr c)" 8004 "$(addr w)" 8005
sending moved moved-c
asking w clear-server serve 127.0.0.1 7020
need_answer clear-server "a second listener" "$LISTENS"
asking w clear connect 127.0.0.1 7020

need_answer tcp "W's accepted connection" "$TO_C and .connection == \"peer\""
need_answer tcp-c "C's end of it" "$TO_W"
need_answer udp "W's UDP socket" "$TO_C"
need_answer udp-c "C's UDP socket" "$TO_W"
need_answer late "a UDP socket with a datagram in clear from before its latch" "$UNPROVEN"
need 10 "whois names the peer of a proven connection" whois 7010 2 \
	'.state == "established" and .peer.id == "c.example" and .proto == "tcp"'
need 10 "whois names that of a UDP socket" whois 8001 2 '.peer.id == "c.example" and .proto == "udp"'
need 10 "whois names none that the socket does not tell" whois 8003 1 \
	'.state == "unproven" and .why == "earlier-data" and .peer == null and .connection == null'
need 10 "root asks the socket of W's server" whois_socket tcp \
	'.state == "established" and .peer.id == "c.example" and .local.port == 7010'
need 10 "and that of C's client" whois_socket tcp-c '.peer.id == "w.example" and .remote.port == 7010'
need_answer moved "another UDP socket of W" "$TO_C"
kill -STOP "$(latchd_pid)" # it would find that the socket has gone on, and close its latch to C
kill -USR1 "$(cat "$RUN/ask-moved.pid")" || fail "no moved"
need_answer moved "W's UDP socket that has moved" "$CLEAR"
in_host w ss -nuK "sport = :8005" >"$RUN/ss.log" 2>&1 || fail "ss: $(tail -n 1 "$RUN/ss.log")"
need_answer moved "W's UDP socket that had moved, after its reset" "$UNCONNECTED"
kill -CONT "$(latchd_pid)"
need_answer clear "a connection in clear" "$CLEAR"
need_answer clear-server "its other end" "$CLEAR"
# Of IANA and linux/xfrm.h: ESP in transport mode; a key of 128 bits and its salt of 32.
need_answer tcp "parameters and ends" \
	'.info.protocol == 50 and .info.mode == 0 and .info.encryption == "rfc4106(gcm(aes))" and
	 .info.encryption_bits == 160 and .info.direction == LATCH_DIRECTION_IN and .info.local_port == 7010 and
	 .info.outer_local_addr == .info.local_addr and .info.outer_remote_addr == .info.remote_addr and
	 .info.age_ns > 0 and .info.peer_number > 0'
id=$(latch_id "$(at w 7010)")
[ "$(last_answer tcp .info.latch)" = "$id" ] || fail "latch $(last_answer tcp .info.latch), not $id"
conforms R-2-6 "an application learns the latched parameters from its own socket$how"
conforms R-2-9 "an application learns the ends of its connection and of its SA$how"

reload off
need_answer tcp "the interface is switched off" "$AWAY"
need_answer clear "everywhere" "$AWAY"
reload on
need_answer tcp "and on again" "$TO_C and .info.latch == \"$id\""

# ---- the attack

impostor_takes_over
need_answer tcp "W's connection after D's SA" \
	"$LOST_C and any(.seen[]; endswith(\"ECONNABORTED\")) and .info.latch == \"$id\""
need_answer tcp "an end of file follows the error, and the answer stays" \
	"$LOST_C and any(.seen[]; . == \"end of file\")"
need 60 "W's UDP latch is gone" no_latch "$(at w 8001)"
need_answer udp "W's UDP socket after its latch is gone" \
	"$LOST_C and any(.seen[]; . == \"recv ECONNABORTED\" or . == \"send ECONNABORTED\")"
need_answer clear "the connection in clear" "$CLEAR"
conforms L-2-2 "after a break the application's own descriptor tells why and which peer it had$how"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"

need 120 "W gives C up" has_no_children w c.example
asking w tcp-2 serve "$(addr w)" 7011
need_answer tcp-2 "a listener for D" "$LISTENS"
asking d tcp-d connect "$(addr w)" 7011
need_answer tcp-2 "D's own connection" "$W_TO_D"
need_answer tcp-d "D's end of it" "$D_TO_W"
need_answer tcp "the connection that was C's" "$LOST_C"

# ---- without latchd

kill9_latchd
before=$(wc -l <"$RUN/ask-tcp-2")
need 30 "W's server asks on" asked_more_than "$before"
need_answer tcp-2 "D's connection without latchd" "$W_TO_D"
need_answer tcp "C's without latchd" "$LOST_C"
need 10 "root asks the socket of D's connection without latchd" whois_socket tcp-2 \
	'.state == "established" and .peer.id == "d.example" and .local.port == 7011'
latchctl --yes purge >"$RUN/purge.log" 2>&1 || fail "latchctl purge: $(tail -n 1 "$RUN/purge.log")"
need_answer tcp-2 "D's connection after purge" "$AWAY"
need_answer tcp "C's after purge" "$AWAY"
need_answer clear "the clear one after purge" "$AWAY"
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "c.example before D's SA, sa-conflict after it; D's own connection answers d.example"
