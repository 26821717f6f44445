# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Steps that several scenarios and the demo share.

# honest_start [LINES]: C and W talk; with latchd the stream is latched.
honest_start() {
	host_up w c d
	[ -z "${WITH_LATCHD:-}" ] || start_latchd_watched
	must_initiate c
	[ -z "${WITH_LATCHD:-}" ] || need_bound c.example
	start_stream "${1:-0}"
	[ -z "${WITH_LATCHD:-}" ] || need_latch w 7000 established
}

start_latchd_watched() {
	start_latchd
	start_monitor
}

# impostor_takes_over: C vanishes, D comes in its place as itself.
impostor_takes_over() {
	host_down c
	take_address d c
	now >"$RUN/attack-started"
	must_initiate d
	now >"$RUN/attack-ready"
}

# The kernel's own words at W count the latch's drops; the application's end
# is what a user notices.
need_reset() {
	need 30 "the application at W is cut off" app_failed w-7000
	log "W's application: $(app_error w-7000)"
}

need_broken() {
	need 30 "latchctl monitor reports the broken latch" event_seen \
		'.event == "latch-broken" and (.want | tostring | contains("c.example")) and (.got | tostring | contains("d.example"))'
}

# seconds_between FIRST LAST
seconds_between() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b - a }'
}

# new_connection PORT: D, in C's place, connects to W as itself and is served.
new_connection() {
	local port=$1

	listen_and_connect w d "$port" --say W-TELLS-D --rate 20 --lines 40 \
		-- --expect W-TELLS-D
	need 60 "D's own connection is served to its end" app_done "d-$port"
	[ "$(app_value "d-$port" received)" = "$(app_value "w-$port" sent)" ] ||
		fail "D's own connection lost bytes"
	log "D's own connection to W port $port works"
}

# finish_stream: the stream of start_stream LINES comes to its orderly end with
# every byte; leaves the sender's figures in SENT, GAP and RETRANSMITTED.
finish_stream() {
	local limit=$1

	need "$limit" "the stream ends at W" app_done w-7000
	need 30 "the stream ends at C" app_done c-7000
	! app_failed w-7000 || fail "W's application: $(app_error w-7000)"
	! app_failed c-7000 || fail "C's application: $(app_error c-7000)"
	SENT=$(app_value w-7000 sent)
	GAP=$(app_value c-7000 longest-gap-ms)
	RETRANSMITTED=$(app_value w-7000 retransmitted)
	[ "$SENT" = "$(app_value c-7000 received)" ] ||
		fail "W sent $SENT bytes, C got $(app_value c-7000 received)"
}
