# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, in full use ===== C 10.9.0.2
#	    ^                                              (stays)
#	    +--- SA of d.example, segments that fit ------- D, at 10.9.0.2, too
#
# S20 with live packets: latchd (variant: W's charon, too) is dead when D attacks, and W's TCP
# sends to C until D's SA is there. W's next segments and D's burst meet each other under D's
# SA: neither leaves W, neither is received. The next latchd resets W's application. Variant:
# D's IKE begins while neither runs. D has its SA from W's next charon, before the next latchd.
# charon-killed-live: only W's charon is dead when D's IKE begins, and latchd runs all the time. W's
# next charon reports D's SA, and W's application is reset at once.
#
# touches: latchd enforce maps gate sa feeds vici
# variant: both-killed-live latchd and charon
# variant: charon-killed-live charon
# run: conformance
# expect: clean

more_drops() {
	pending_drops_at_least egress $((egress + 1)) &&
		pending_drops_at_least ingress $((ingress + 1))
}

ike_of_d_arrived() {
	[ -n "$(captured wire-w ether src "${MAC[d]}" and udp port 500)" ]
}

without_charon() {
	kill_and_wait KILL "$(charon_pid w)"
	log "W's charon was killed with -9"
	need_live "without $DEAD"
	burst
	need 60 "an IKE request of D's arrives at W" ike_of_d_arrived
	need_live "while D's IKE has no answer"
	# A charon that has no configuration yet refuses D's request, and D then asks no more.
	in_host w nft -f - <<-EOF
		table inet starting {
			chain arrived {
				type filter hook input priority 0
				udp dport 500 drop
			}
		}
	EOF
	host_up w
	in_host w nft delete table inet starting
}

latchd_is_killed() {
	[[ $DEAD = *latchd* ]]
}

# D has its SAs, and W's TCP has sent until then.
d_is_there() {
	need 120 "D has its SAs" has_child_sa d
	sent=$(sent_during_ike) || exit 1
	[ "$sent" -gt 0 ] || fail "W sent nothing to C while D's IKE ran"
	log "W sent $sent packets to C between D's two exchanges"
	need 60 "W decrypts D's burst" decrypted w FORGED-BY-D
}

# No process breaks the latch: its packets are dropped until the next latchd does.
holds_without_latchd() {
	# Longer than the time after which a new flow may use an unattributed SA.
	never 10 "D decrypted C's stream while latchd did not run" decrypted d W-TO-C
	[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received D's data under a pending SA"
	need 60 "packets of both directions were dropped under D's SA" more_drops
	! app_failed w-7000 || fail "W's application got $(app_error w-7000) without latchd"
	kill_and_wait TERM "$(cat "$APPS/forge.pid")"
	start_latchd
}

readonly DEAD=${*:-latchd}
WITH_LATCHD=1 live_opening
if latchd_is_killed; then
	kill9_latchd
	need_live "without latchd"
	egress=$(pending_drops egress) || exit 1
	ingress=$(pending_drops ingress) || exit 1
else
	start_monitor
fi
if [[ $DEAD = *charon* ]]; then
	without_charon
else
	burst
fi
d_is_there
! latchd_is_killed || holds_without_latchd
need 120 "W's application is reset" app_failed w-7000
need 60 "no latch of W's connection is left" no_latch "$(at w 7000)"
latchd_is_killed || need_broken
kill_and_wait TERM "$(cat "$APPS/forge.pid")"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received D's data"
conforms R-2-16 "attack on a stream in full use ($DEAD dead): nothing leaked, then reset"
conforms S20 "live packets of W and a burst of D's meet D's SA, $DEAD dead: all dropped"
note "$DEAD dead: $sent packets to C while D's IKE ran; none under D's SA; then $(app_error w-7000)"
