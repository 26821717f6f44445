# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Steps that several scenarios and the demo share. WITH_LATCHD=1 makes them
# start latchd and check its latches.

# honest_start: C and W exchange data; with latchd both ends of the stream are latched.
honest_start() {
	host_up w c d
	if [ -n "${WITH_LATCHD:-}" ]; then
		start_latchd
		start_monitor
	fi
	must_initiate c
	start_stream
	[ -z "${WITH_LATCHD:-}" ] || need_latch w 7000 established
}

# impostor_takes_over: C vanishes without a message, and D takes its address, with D's own identity.
impostor_takes_over() {
	host_down c
	take_address d c
	must_initiate d
}

# sa_time: when W's charon installed its newest SA, in seconds of the epoch; empty if it has none.
# It reports the CHILD_SA later, and latchd may have asked it meanwhile.
sa_time() {
	grep 'adding SAD entry' "$RUN/w/charon.log" | tail -n 1 | cut -d ' ' -f 1
}

# need_reset: W's application is reset; leaves the milliseconds since W had D's SA in RESET_MS.
need_reset() {
	need 60 "W's application is reset" app_failed w-7000
	RESET_MS=$(ms_between "$(sa_time)" "$(event_time w-7000 error)")
	log "W's application gets $(app_error w-7000)," \
		"$RESET_MS ms after W had D's SA"
	[ "$RESET_MS" -le 5000 ] || fail "the reset came after $RESET_MS ms"
}

need_broken() {
	need 30 "latchctl monitor reports the broken latch" event_seen \
		'.event == "latch-broken" and
		 (.expected | tostring | contains("c.example")) and
		 (.actual | tostring | contains("d.example"))'
	log "latchctl monitor: latched to c.example, broken by d.example"
}

# attack_is_stopped: the whole attack, in any topology.
attack_is_stopped() {
	WITH_LATCHD=1 honest_start
	impostor_takes_over
	need_reset
	need_broken
	! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
	note "W reset $RESET_MS ms after D's SA, D decrypted nothing"
}

# new_connection PORT: D, in C's place, connects to W as itself and is served.
new_connection() {
	local port=$1

	listen_and_connect w d "$port" --send W-TO-D --rate 20 -- \
		--expect W-TO-D
	need 60 "D is served" received_at_least "d-$port" 200
	log "a new connection from D to W port $port works"
}

# end_stream CLIENT PORT: the stream from W comes to an orderly end with every
# byte; leaves the figures in SENT, GAP_MS and RETRANSMITTED.
end_stream() {
	local client=$1-$2 server=w-$2

	stop_app "$server"
	need 60 "the stream ends at W" app_done "$server"
	need 60 "the stream ends at $1" app_done "$client"
	! app_failed "$server" || fail "application at W: $(app_error "$server")"
	! app_failed "$client" || fail "application at $1: $(app_error "$client")"
	SENT=$(app_value "$server" sent)
	GAP_MS=$(app_value "$client" longest-gap-ms)
	RETRANSMITTED=$(app_value "$server" retransmitted)
	[ "$SENT" = "$(app_value "$client" received)" ] ||
		fail "W sent $SENT bytes, $1 got $(app_value "$client" received)"
	log "stream on port $2 ended: $SENT bytes, none lost," \
		"longest gap $GAP_MS ms, $RETRANSMITTED segments repeated"
}

# established HOST WHAT: how many such SAs its charon has made so far. charon logs a rekeyed
# CHILD_SA once a direction, a rekeyed IKE_SA in other words.
established() {
	matches -o "$2 [a-z]*[[{][0-9]*[]}] \(established\|rekeyed between\)" "$RUN/$1/charon.log" |
		sort -u | wc -l
}

established_at_least() {
	[ "$(established "$1" "$2")" -ge "$3" ]
}

# C has no rekeyed CHILD_SA left. charon keeps a rekeyed one for a while and moves it to the next
# IKE_SA, where it stays forever. As long as it is there charon does not authenticate again.
no_old_children() {
	local listed

	listed=$(answer swan c --list-sas --raw) || exit 1
	[[ $listed = *state=INSTALLED* && ! $listed =~ state=(REKEYED|DELETING|DELETED) ]]
}

# renew WHAT COMMAND [TIMES]: C renews its CHILD_SA or IKE_SA, one at a time.
renew() {
	local what=$1 command=$2 times=${3:-1} before i

	for ((i = 0; i < times; i++)); do
		before=$(established c "$what")
		[ "$what" != IKE_SA ] ||
			need 60 "C has no rekeyed CHILD_SA left" no_old_children
		"$command" c || fail "$command failed; see c/rekey.log"
		need 60 "$command is complete" \
			established_at_least c "$what" $((before + 1))
	done
}

# need_no_break: up to now.
need_no_break() {
	need_events 0 '.event == "latch-broken"' "a latch was broken"
}

# decrypted_times HOST TEXT: how many lines with it the host has decrypted.
decrypted_times() {
	local text

	text=$(decrypted_text "$1") || exit 1
	matches -c -- "$2" <<<"$text"
}
