# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2 (vanished)
#	    ^
#	    +--- forged segments of C under D's new SA --- D, now at 10.9.0.2
#
# D sends segments that fit into C's connection in the same burst as its
# IKE_AUTH: W's own latchd cannot know D's SA before they arrive. The gates must drop
# packets of a pending SA; W's application receives none of them. A second application,
# with a latch that waits and heals, receives none either. D repeats the burst with new SAs
# and latchd is stopped (S5: LATCHD_S5_RUNS times, 5; for many raise LATCHD_SCENARIO_LIMIT).
#
# touches: gate sa latch feeds vici
# expect: clean

readonly TIMES=${LATCHD_S5_RUNS:-5}

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7001
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

forged_more_than() {
	[ "$(decrypted_times w "$1")" -gt "$2" ]
}

# W's charon has D's SA before D has it, and on a quick machine latchd has attributed the SA when
# the first segment arrives. latchd is stopped meanwhile, so that the SA is pending.
once_more() {
	local seen

	seen=$(decrypted_times w AGAIN-BY-D) || exit 1
	kill -STOP "$(latchd_pid)"
	forge d w-7001 --seq "$again_in" --ack "$again_out" --text AGAIN-BY-D --every 5
	must_initiate d
	need 30 "W decrypts D's burst" forged_more_than AGAIN-BY-D $((seen + 10))
	[ "$(received_bytes w-7001)" = 0 ] || fail "W's application received D's data under an unattributed SA"
	kill -CONT "$(latchd_pid)"
	need_latch w 7001 broken
	kill_and_wait TERM "$(cat "$APPS/forge.pid")"
	end_d
}

end_d() {
	swan d --terminate --child flow >>"$RUN/d/terminate.log" 2>&1 ||
		fail "D cannot end its SAs; see d/terminate.log"
	need_latch w 7001 established
}

topology dpd=300s
WITH_LATCHD=1 honest_start
start_stream 7001
need_latch w 7001 established
read -r next_in next_out < <(learn_sequence w-7000)
read -r again_in again_out < <(learn_sequence w-7001)
log "C's next sequence numbers, for D: $next_in, $again_in"
host_down c
take_address d c
# The first segment starts IKE by D's trap policy. The others follow in the
# same burst as IKE_AUTH, as soon as D's kernel has the SA.
forge d w-7000 --seq "$next_in" --ack "$next_out" \
	--text FORGED-BY-D --every 2
need 60 "D's IKE is complete" established_at_least d "CHILD_SA" 1
need_reset
need_broken
need 30 "W decrypts D's burst" decrypted w FORGED-BY-D
[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received bytes"
conforms R-2.3-11 "data in one burst with the IKE exchange: none of it was received"
conforms R-2-5 "segments that fit, under another peer's SA: decrypted, not received"
conforms L-1-3 "the latch broke before the new SA carried data of its flow"

kill_and_wait TERM "$(cat "$APPS/forge.pid")"
need_latch w 7001 broken
end_d
for ((i = 0; i < TIMES; i++)); do
	once_more
done
need_events $((TIMES + 1)) '.event == "latch-broken" and .local.port == 7001' "breaks in $TIMES runs"
[ "$(received_bytes w-7001)" = 0 ] || fail "W's application with disposition wait received bytes"
! app_failed w-7001 || fail "W's application with disposition wait got $(app_error w-7001)"
! decrypted d W-TO-C || fail "D decrypted a part of C's streams"
conforms S5 "$TIMES new SAs of D's with a burst each, latchd stopped: no byte received, none sent"
note "W reset $RESET_MS ms after D's SA; $TIMES bursts more while latchd was stopped; no forged byte received"
