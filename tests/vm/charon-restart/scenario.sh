# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# Key managers stop and start while W streams to C, with dead-peer detection on.
# C's stops orderly and starts again, W's is killed and starts again, C's is
# killed. No peer is dead or has rebooted, so no latch breaks and no byte is lost.
#
# touches: feeds vici sa latch spd
# run: field charon-restart-trixie charon-restart-sid
# variant: charon-restart-trixie charon=trixie
# variant: charon-restart-sid charon=sid
# expect: clean

need_unbroken() {
	need_events 0 "$A_BREAK" "$1 broke a latch"
	! app_failed w-7000 || fail "application at W: $(app_error w-7000)"
	need_latch w 7000 established
}

need_progress() {
	local before

	before=$(received_bytes c-7000)
	need 120 "the stream continues after $1" received_at_least c-7000 $((before + 1000))
	need_unbroken "$1"
}

# A charon that ends deletes the policies of its own host: that break is expected.
readonly A_BREAK='.event == "latch-broken" and .reason != "spd-change"'

a_latch_broke() {
	event_seen "$A_BREAK"
}

# A latch that is broken for lack of policies heals when they are back.
rules() {
	printf '\n[rule patient]\naction = auto\ndisposition = wait\n'
}

start_again() {
	rm -f "$RUN/$1.vici"
	host_up "$1"
}

topology dpd=4s "$@"
WITH_LATCHD=1 honest_start

charon_stop c
never 6 "a latch broke when C's charon ended" a_latch_broke
start_again c
# W may be quicker.
initiate c || log "W has initiated already: $(tail -n 1 "$RUN/c/initiate.log")"
need_progress "an orderly restart of C's charon"

kill_and_wait KILL "$(charon_pid w)"
need_progress "the kill of W's charon"
start_again w
# Longer than dead-peer detection takes; but traffic from a peer proves that it is not dead.
never 20 "a latch broke after W's charon was killed" a_latch_broke
need_progress "the restart of W's charon"
conforms R-2-16 "W's charon was killed and started again: the latch and the stream survived"

kill_and_wait KILL "$(charon_pid c)"
never 20 "a latch broke after C's charon was killed" a_latch_broke
need_progress "the kill of C's charon"
end_stream c 7000
note "C's charon restarted, W's killed and restarted, C's killed: $SENT bytes, none lost"
