# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# Many connections from C to W, and the latches that are left of them. They come from a LISTENER that spawns
# latches, a backlog that overflows, requests that time out, processes killed at both
# ends, many short connections (LATCHD_S38_CONNECTIONS=1000000 for a million;
# then raise LATCHD_SCENARIO_LIMIT, too). In the end only the listeners' latches are left.
# Timeouts run while the next part runs.
#
# touches: gate latch net control
# run: conformance
# expect: clean

readonly CROWD=$BUILD_DIR/tests/vm/crowd
readonly VISITS=${LATCHD_S38_CONNECTIONS:-200}

# crowd HOST NAME WORD COMMAND...: starts it in the background; waits until it has printed the word.
crowd() {
	local host=$1 name=$2 word=$3

	shift 3
	spawn "$host" "$RUN/crowd-$name.pid" "$CROWD" "$@" >"$RUN/crowd-$name" 2>&1
	[ -z "$word" ] || need 60 "crowd $*" file_has "$RUN/crowd-$name" "$word"
}

crowd_kill() {
	kill_and_wait KILL "$(cat "$RUN/crowd-$1.pid")"
}

crowd_ended() {
	! running "$(cat "$RUN/crowd-$1.pid")"
}

listens_at() {
	echo ".state == \"listener\" and .local.port == $1"
}

# listens PORT MEMBER: a number of its LISTENER.
listens() {
	latch_field "$(listens_at "$1")" ".listens.$2"
}

# connections PORT: latches with it at either end that are no LISTENERs.
connections() {
	latch_count ".state != \"listener\" and (.local.port == $1 or .remote.port == $1)"
}

latch_count() {
	local found

	found=$(latches "$1") || exit 1
	matches -c . <<<"$found"
}

no_connections() {
	[ "$(connections "$1")" = 0 ]
}

connections_at_least() {
	[ "$(connections "$1")" -ge "$2" ]
}

# as_many_as_sockets PORT: true if C has no client socket left, and each socket of the server at W
# has one latch.
as_many_as_sockets() {
	local at_w at_c

	at_w=$(sockets w state connected "sport = :$1" | wc -l)
	at_c=$(sockets c state connected "dport = :$1" | wc -l)
	[ "$(connections "$1")" = $((at_w + at_c)) ] && [ "$at_c" = 0 ]
}

spawned_event() {
	event_seen ".event == \"latch-established\" and .direction == \"in\" and
		.local.port == $1 and .listener == \"$2\""
}

topology
# Without this half-closed sockets of killed processes stay for minutes.
for host in w c; do
	in_host $host sysctl -qw net.ipv4.tcp_orphan_retries=3 net.ipv4.tcp_synack_retries=3
done
crowd w early listening serve "$(addr w)" 7009
WITH_LATCHD=1 honest_start
latch_seen "$(listens_at 7009)" || fail "a listener that is older than latchd has no LISTENER"
log "a listener that is older than latchd is found"
conforms R-2-16 "a listener older than latchd has its LISTENER when latchd answers"

crowd w server listening serve "$(addr w)" 7100
latch_seen "$(listens_at 7100)" || fail "no LISTENER with the return of listen()"
id=$(latch_id "$(listens_at 7100)")
crowd c first "all established" visit "$(addr w)" 7100 1
need 30 "the monitor names the LISTENER of a spawned latch" spawned_event 7100 "$id"
[ "$(listens 7100 spawned)" = 1 ] || fail "spawned: $(listens 7100 spawned)"
conforms L-5.1-1 "LISTENER with the return of listen()"
conforms L-5.1-2 "a connection of a listener is latched, and counted on its LISTENER"
conforms R-2.3-1 "latch-established of a spawned latch names its LISTENER $id"

crowd w deaf listening deaf "$(addr w)" 7200
crowd c holders holding hold "$(addr w)" 7200 40
need 60 "connections that no process accepts" connections_at_least 7200 5
log "backlog of 2, 40 connections: $(connections 7200) latches at both ends"
crowd_kill holders

in_host w sysctl -qw net.ipv4.tcp_synack_retries=1
in_host c sysctl -qw net.ipv4.tcp_syn_retries=1
in_host w nft "table inet hold { chain out { type filter hook output priority 0;
	tcp sport 7100 tcp flags & (syn|ack) == (syn|ack) counter drop; }; }"
before=$(listens 7100 spawned)
crowd c silenced holding hold "$(addr w)" 7100 20
spawned_since() {
	[ "$(listens 7100 spawned)" -gt "$before" ]
}
need 60 "requests that W cannot answer" spawned_since
need 120 "they time out at both ends and leave no latch" no_connections 7100
crowd_kill silenced
in_host w nft delete table inet hold
conforms S26 "requests and answers that timed out: no latch left"

crowd c crowd "" visit "$(addr w)" 7100 "$VISITS"
need "${LATCHD_SCENARIO_LIMIT:-600}" "$VISITS visits" crowd_ended crowd
file_has "$RUN/crowd-crowd" "all established" || fail "$(tail -n 1 "$RUN/crowd-crowd")"
log "$VISITS connections, $(connections 7100) latches at the end (TIME_WAIT)"

# Connections that the kernel has accepted for the listener stay in its backlog, and so do their latches.
need 200 "only open sockets have latches" as_many_as_sockets 7200
log "of the backlog $(connections 7200) are left, waiting for accept()"
latch_seen "$(listens_at 7200)" || fail "the LISTENER is gone with its connections"
conforms S26 "backlog overflow and a client killed with -9: latches of open sockets only"
conforms L-2.3-3 "backlog overflow: connections that were not accepted have no latch, the LISTENER has"

crowd c visitor holding hold "$(addr w)" 7200 2
need 60 "connections are established" connections_at_least 7200 4
crowd_kill deaf
need 200 "the server was killed: no latch is left" no_connections 7200
need 200 "$VISITS connections leave no latch" no_connections 7100
conforms S38 "$VISITS short connections, half of them reset: no latch left"
conforms R-2.3-19 "$VISITS short connections, half of them reset: no latch left"
no_latch "$(listens_at 7200)" || fail "a LISTENER is left of a killed process"
crowd_kill early
no_latch "$(listens_at 7009)" || fail "a LISTENER older than latchd is left of a killed process"
crowd_kill server
no_latch "$(listens_at 7100)" || fail "a LISTENER is left of a killed process"
conforms R-2.3-20 "LISTENERs gone with processes killed with -9"
end_stream c 7000
left=$(latch_count '.state != "listener" and .local.port != 7000 and .remote.port != 7000')
[ "$left" = 0 ] || fail "$left latches are left"
note "$VISITS connections; backlog, timeouts, kills: no latch left"
