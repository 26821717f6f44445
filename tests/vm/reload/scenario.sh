# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, in use ===== C 10.9.0.2
#
# SIGHUP under a live latched stream. Rules and feeds change and the latch stays; a fault in the file
# changes nothing; a key that is fixed at the start is named. Then a start that fails late, because
# another program answers at its control socket, leaves the rules of the latchd before it in force.
#
# touches: config enforce feeds sa control
# run: conformance
# expect: clean

# rules() of the file; a scenario's feeds come after them.
readonly CLOSED=$'\n[rule closed]\naction = require\nprotocol = tcp\nlocal = 127.0.0.0/8\n'
LINES=''

rules() {
	printf '%s' "$LINES"
}

# hang_up LINES TEXT: a reload with these lines in the file; latchd's log then has the text.
hang_up() {
	LINES=$1
	latchd_config >"$RUN/latchd.conf"
	kill -HUP "$(latchd_pid)"
	need 60 "latchd's log says: $2" file_has "$LATCHD_LOG" "$2"
	running "$(latchd_pid)" || fail "SIGHUP has ended latchd"
}

# loopback: the error of a connection that no program accepts, on W's loopback device.
loopback() {
	answer in_host w python3 -c 'import errno, socket
sock = socket.socket()
print(errno.errorcode[sock.connect_ex(("127.0.0.1", 9))])'
}

need_error() {
	local error

	error=$(loopback) || exit 1
	[ "$error" = "$1" ] || fail "$2: connect on the loopback device gives $error, expected $1"
}

need_progress() {
	local before

	before=$(received_bytes c-7000)
	need 60 "the stream continues after $1" received_at_least c-7000 $((before + 2000))
	[ "$(latch_field "$(at w 7000)" .id)" = "$id" ] || fail "another latch after $1"
	need_latch w 7000 established
}

# need_feeds FILTER WHAT
need_feeds() {
	[ "$(status "[.feeds[] | select($1)] | length")" -gt 0 ] || fail "$2"
}

topology
WITH_LATCHD=1 honest_start
id=$(latch_field "$(at w 7000)" .id) || exit 1
resyncs=$(status '[.feeds[].resyncs] | add') || exit 1
need_error ECONNREFUSED "before the reload"

hang_up "$CLOSED" "reloaded: 1 rules"
need_error ECONNABORTED "after a reload with a rule that requires a latch"
need_progress "a reload"
[ "$(status '[.feeds[] | select(.state == "synced")] | length')" = 3 ] || fail "a feed is not synced"
[ "$(status '[.feeds[].resyncs] | add')" -le $((resyncs + 1)) ] || fail "the feeds have begun anew"

hang_up "$CLOSED"$'\n[rule bad]\naction = maybe\n' "not reloaded, nothing changed"
need_error ECONNABORTED "after a reload of a file with a fault"
hang_up "$CLOSED"$'\n[control]\ngroup = no-such-group\n' "no group"
need_error ECONNABORTED "after a reload with a group that does not exist"
hang_up "$CLOSED"$'\n[control]\ngroup = root\n' "group not changed (fixed at the start); restart latchd"
need_progress "reloads that change nothing"

hang_up "$CLOSED"$'\n[feed late]\ntype = vici\nsocket = /run/no-such.vici\n' "4 feeds (1 new, 0 ended)"
need_feeds '.name == "late" and .state == "absent"' "the new feed is not shown"
hang_up "" "3 feeds (0 new, 1 ended)"
need_error ECONNREFUSED "after a reload without rules"
need_progress "feeds that come and go"
conforms R-2-16 "SIGHUP: rules and feeds changed under a latched stream, which stayed latched"

stop_latchd
python3 -c 'import socket, time
sock = socket.socket(socket.AF_UNIX)
sock.bind("'"$RUN"'/taken.sock")
sock.listen()
time.sleep(600)' &
taken=$!
detach_job
need 30 "another program listens" test -S "$RUN/taken.sock"
LINES="$CLOSED"$'\n[control]\nsocket = '"$RUN"$'/taken.sock\n'
latchd_config >"$RUN/latchd.conf"
code=0
"$BUILD_DIR/latchd" --config "$RUN/latchd.conf" >>"$LATCHD_LOG" 2>&1 || code=$?
[ "$code" = 1 ] || fail "a start without its control socket ended with $code"
need_error ECONNREFUSED "after a start that failed"
kill_and_wait TERM "$taken"
LINES=''
start_latchd
need_progress "a failed start and a restart"
end_stream c 7000
note "$SENT bytes, none lost; longest gap $GAP_MS ms"
